//! The behaviour suite against SQLite files, with a rollback journal and in WAL mode.

use rsqoop_connector::testkit::{Fixture, SqlTypes, run_all};
use rsqoop_connector::{ConnectTarget, Location};
use rsqoop_sqlite::Sqlite;

fn run(journal_mode: &str) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("suite.db");
    let conn = rusqlite::Connection::open(&file).expect("a new file");
    let mode: String = conn
        .pragma_update_and_check(None, "journal_mode", journal_mode, |r| r.get(0))
        .expect("a journal mode");
    assert_eq!(mode, journal_mode);
    conn.execute_batch("CREATE TABLE something (a); DROP TABLE something").expect("a first page");
    drop(conn);
    // With a rollback journal a writer waits for the readers: not for long here.
    let mut target = ConnectTarget::parse("sqlite:suite.db?busy_timeout=300").expect("a valid URL");
    target.location = Location::File(file);
    let mut unreachable = target.clone();
    unreachable.location = Location::File(folder.path().join("nowhere.db"));
    let fixture = Fixture {
        sql: Some(SqlTypes {
            boolean: "BOOLEAN",
            integer: "BIGINT",
            double: "DOUBLE",
            decimal: "DECIMAL(10,2)",
            text: "VARCHAR(200)",
            bytes: "BLOB",
            date: "DATE",
            timestamp: "DATETIME",
        }),
        unreachable: Some(unreachable),
    };
    run_all(&Sqlite, &target, &fixture);
}

#[test]
fn behaviour_with_rollback_journal() {
    run("delete");
}

#[test]
fn behaviour_in_wal_mode() {
    run("wal");
}
