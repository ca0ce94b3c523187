//! One state for all sessions: what is promised, how it is named, and what breaks it.

use std::fs;
use std::time::Duration;

use rsqoop_connector::{
    Consistency, ErrorKind, Session, SharedSnapshot, SnapshotOp, SnapshotRequest,
};

use crate::common::{Db, query, read, table_relation};

fn request(consistency: Consistency) -> SnapshotRequest {
    SnapshotRequest { relations: vec![table_relation("t")], consistency }
}

fn share(session: &mut dyn Session) -> SharedSnapshot {
    session.snapshot(&SnapshotOp::Share(request(Consistency::Snapshot))).unwrap().unwrap()
}

/// The data version that a new session gives to the state of now; later than the last write by
/// more than a tick of the clock by which files are stamped.
fn version(db: &Db) -> Option<String> {
    std::thread::sleep(Duration::from_millis(60));
    share(&mut *db.session()).data_version
}

fn both_modes() -> [Db; 2] {
    ["delete", "wal"].map(|mode| {
        Db::new(&format!(
            "PRAGMA journal_mode = {mode}; CREATE TABLE t (a); INSERT INTO t VALUES (1)"
        ))
    })
}

fn rows(session: &mut dyn Session) -> usize {
    let relation = table_relation("t");
    let info = session.describe(&relation).unwrap();
    read(session, &query(&relation, &info, false)).unwrap().num_rows()
}

#[test]
fn the_recipe_names_the_journal_and_is_what_share_says() {
    for (db, word) in both_modes().iter().zip(["writers out", "data version"]) {
        let mut session = db.session();
        for consistency in [Consistency::Snapshot, Consistency::Lock] {
            let recipe = session.snapshot_recipe(&request(consistency)).unwrap();
            assert!(recipe.contains(word), "{recipe}");
            assert_eq!(share(&mut *db.session()).recipe, recipe);
        }
        assert!(session.snapshot_recipe(&request(Consistency::None)).unwrap().starts_with("none"));
        // Asking holds nothing.
        db.conn.execute("INSERT INTO t VALUES (2)", []).unwrap();
    }
}

#[test]
fn without_consistency_writers_are_not_kept_out() {
    for db in both_modes() {
        let mut session = db.session();
        let none = session.snapshot(&SnapshotOp::Share(request(Consistency::None))).unwrap();
        assert_eq!(none, None);
        assert_eq!(rows(&mut *session), 1);
        db.conn.execute("INSERT INTO t VALUES (2)", []).unwrap();
        assert_eq!(rows(&mut *session), 2);
        session.snapshot(&SnapshotOp::Check).unwrap();
    }
}

#[test]
fn equal_data_versions_are_equal_rows() {
    for db in both_modes() {
        let first = version(&db).unwrap();
        assert_eq!(version(&db).as_ref(), Some(&first), "nobody wrote");
        assert_eq!(rows(&mut *db.session()), 1);
        assert_eq!(version(&db).as_ref(), Some(&first), "reading is no writing");
        let mut seen = vec![first];
        for step in [
            "UPDATE t SET a = 2",
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "INSERT INTO t VALUES (1)",
            "VACUUM",
            "CREATE TABLE u (a)",
            "DROP TABLE u",
            "PRAGMA user_version = 7",
        ] {
            db.conn.execute_batch(step).unwrap();
            let version = version(&db).unwrap();
            assert!(!seen.contains(&version), "{step}: {version}");
            seen.push(version);
        }
    }
}

#[test]
fn writes_within_a_tick_of_the_clock_have_different_data_versions_or_none() {
    let db = Db::new("PRAGMA synchronous = off; CREATE TABLE t (a); INSERT INTO t VALUES (0)");
    let mut seen = Vec::new();
    for i in 0..30_u64 {
        db.conn.execute("UPDATE t SET a = ?1", [i64::try_from(i).unwrap()]).unwrap();
        std::thread::sleep(Duration::from_millis(i * 3));
        seen.extend(share(&mut *db.session()).data_version);
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert!(seen.len() == all && all > 0, "two states have one version: {seen:?}");
}

#[test]
fn an_older_copy_put_back_has_another_data_version() {
    for db in both_modes() {
        let before = version(&db);
        db.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let copy = db.path().with_extension("copy");
        fs::copy(db.path(), &copy).unwrap();
        db.conn.execute("UPDATE t SET a = 2", []).unwrap();
        let after = version(&db);
        db.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        // In place: same file, same size, the change counter of before.
        fs::write(db.path(), fs::read(&copy).unwrap()).unwrap();
        let restored = version(&db);
        assert!(restored.is_some() && restored != before && restored != after, "{restored:?}");
    }
}

#[test]
fn a_write_past_the_locks_is_found_at_the_end() {
    let db = Db::new("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    let copy = db.path().with_extension("copy");
    fs::copy(db.path(), &copy).unwrap();
    let mut keeper = db.session();
    let shared = share(&mut *keeper);
    let mut reader = db.session();
    reader.snapshot(&SnapshotOp::Join(shared.id)).unwrap();
    keeper.snapshot(&SnapshotOp::Release).unwrap();
    keeper.snapshot(&SnapshotOp::Check).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    // Not by this process: closing the file here would drop SQLite's own locks.
    let status = std::process::Command::new("cp").args([&copy, &db.path()]).status().unwrap();
    assert!(status.success());
    let error = keeper.snapshot(&SnapshotOp::Check).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source, "{error:?}");
    assert!(!error.is_transient() && error.message().contains("locks"), "{error:?}");
}

#[test]
fn sessions_of_two_files_at_one_path_do_not_join() {
    let db = Db::new("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    let mut before = db.session();
    let other = db.path().with_extension("new");
    fs::copy(db.path(), &other).unwrap();
    fs::rename(&other, db.path()).unwrap();
    let error = before.snapshot(&SnapshotOp::Share(request(Consistency::Snapshot))).unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let mut keeper = db.session();
    let shared = share(&mut *keeper);
    let error = before.snapshot(&SnapshotOp::Join(shared.id.clone())).unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    db.session().snapshot(&SnapshotOp::Join(shared.id)).unwrap();
}

#[test]
fn a_writer_that_waits_to_commit_does_not_block_the_sessions_for_long() {
    let db = Db::new("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    let mut target = db.target();
    target.params = vec![("busy_timeout".to_string(), "30000".to_string())];
    let open = || rsqoop_connector::Connector::connect(&rsqoop_sqlite::Sqlite, &target).unwrap();
    let (mut keeper, mut reader) = (open(), open());
    let shared = share(&mut *keeper);
    db.conn.busy_timeout(Duration::ZERO).unwrap();
    db.conn.execute_batch("BEGIN; INSERT INTO t VALUES (2)").unwrap();
    // It fails, and lets no new reader in until it is tried again.
    assert!(db.conn.execute_batch("COMMIT").is_err());
    let begin = std::time::Instant::now();
    let error = reader.snapshot(&SnapshotOp::Join(shared.id)).unwrap_err();
    assert!(error.is_transient() && begin.elapsed() < Duration::from_secs(5), "{error:?}");
    drop((keeper, reader));
    db.conn.execute_batch("COMMIT").unwrap();
    assert_eq!(rows(&mut *open()), 2);
}

#[test]
fn the_storage_key_is_the_rowid_by_a_name_that_no_column_has() {
    let db = Db::new(
        "CREATE TABLE plain (a);
         CREATE TABLE one (RowID TEXT);
         CREATE TABLE two (rowid, _rowid_);
         CREATE TABLE three (rowid, _rowid_, oid);
         CREATE TABLE generated (a, rowid AS (a + 1));
         CREATE TABLE without (k TEXT PRIMARY KEY) WITHOUT ROWID;
         CREATE VIEW view AS SELECT * FROM plain;
         CREATE VIRTUAL TABLE words USING fts5(body);
         CREATE TABLE text_key (k TEXT PRIMARY KEY);
         CREATE TABLE alias (id INTEGER PRIMARY KEY)",
    );
    for (table, want) in [
        ("plain", Some("rowid")),
        ("one", Some("_rowid_")),
        ("two", Some("oid")),
        ("three", None),
        ("generated", Some("_rowid_")),
        ("without", None),
        ("view", None),
        ("words", None),
        ("text_key", Some("rowid")),
        ("alias", Some("rowid")),
    ] {
        let key = db.describe(table).storage_key;
        assert_eq!(key.as_ref().map(|k| k.expr.as_str()), want, "{table}");
        assert!(key.is_none_or(|k| k.preferred.is_none()), "{table}");
    }
    db.conn
        .execute_batch(
            "INSERT INTO text_key (rowid, k) VALUES (200000, 'a');
             INSERT INTO alias VALUES (200000); INSERT INTO plain (rowid) VALUES (200000)",
        )
        .unwrap();
    assert!(db.describe("text_key").storage_key.unwrap().preferred.is_some());
    assert!(db.describe("alias").storage_key.unwrap().preferred.is_none());
    assert!(db.describe("plain").storage_key.unwrap().preferred.is_none());
}
