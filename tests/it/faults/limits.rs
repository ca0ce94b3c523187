//! The source is protected: no more sessions than promised, each with a name, and no more rows or
//! bytes a second than allowed.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use super::numbered;
use crate::servers::support::{Database, Run, Server, program};
use crate::support::{figure, json};

/// Sessions in the test's database now: number and name; MariaDB keeps no names.
fn sessions(db: &Database) -> Vec<(String, String)> {
    let name = &db.name;
    let sql = match db.server {
        Server::Postgres => format!(
            "SELECT pid, application_name FROM pg_stat_activity
             WHERE datname = '{name}' AND pid <> pg_backend_pid() AND backend_type = 'client backend';"
        ),
        Server::MySql => format!(
            "SELECT p.id, COALESCE(a.attr_value, '') FROM information_schema.processlist p
             LEFT JOIN performance_schema.session_connect_attrs a
               ON a.processlist_id = p.id AND a.attr_name = 'program_name'
             WHERE p.db = '{name}' AND p.id <> connection_id();"
        ),
        _ => format!(
            "SELECT id, 'rsqoop' FROM information_schema.processlist
             WHERE db = '{name}' AND id <> connection_id();"
        ),
    };
    let line = |line: &str| {
        let (id, name) = line.split_once('\t').expect("two fields");
        (id.to_string(), name.to_string())
    };
    db.sql(&sql).lines().map(line).collect()
}

/// Looks at the server until an import ends; gives the import and the most sessions at one time.
fn watched(db: &Database, workers: usize, args: &[&str]) -> (Run, usize, BTreeSet<String>) {
    let (url, out) = (db.url(), db.path(&format!("out{workers}")));
    let count = workers.to_string();
    let mut all = vec!["import", "--connect", &url, "-m", &count, "--progress", "none"];
    all.extend(["--target-dir", out.to_str().expect("a plain path")]);
    all.extend_from_slice(args);
    let mut child = program(&all, Some(&db.server.address().password))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`timeout` of coreutils");
    let (mut most, mut names) = (0, BTreeSet::new());
    while child.try_wait().expect("it is ours").is_none() {
        let now = sessions(db);
        most = most.max(now.len());
        names.extend(now.into_iter().map(|(_, name)| name));
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("it ended");
    (Run::from_output(&output, &all, out.clone()).ok(), most, names)
}

#[test]
fn a_run_has_no_more_sessions_than_promised_and_names_them() {
    std::thread::scope(|scope| {
        for server in Server::NETWORK {
            scope.spawn(move || count_sessions(server));
        }
    });
}

fn count_sessions(server: Server) {
    let db = Database::new(server, "sessions");
    numbered(&db, 20_000, 40);
    for workers in [1, 4] {
        let args = ["--table", "t", "--max-rows-per-second", "12000"];
        let (run, most, names) = watched(&db, workers, &args);
        assert_eq!(run.records(), 20_000);
        assert!(most <= workers + 2, "{server:?} -m {workers}: {most} sessions\n{}", run.story());
        assert!(most >= workers, "{server:?} -m {workers}: only {most} sessions were seen");
        for name in &names {
            assert!(name.starts_with("rsqoop"), "{server:?}: a session is named {name:?}");
        }
        figure(&format!("sessions {server:?} -m {workers}: {most} at most, named {names:?}"));
    }
    assert!(sessions(&db).is_empty(), "{server:?}: {:?} after the run", sessions(&db));
}

/// What one rate limit came to, from the report of a run: per second of reading.
fn rate(db: &Database, out: &str, flag: &str, limit: &str, of: &str) -> f64 {
    let report = db.path(&format!("{out}.json"));
    let report = report.to_str().expect("a plain path");
    let args = ["--table", "t", "-m", "4", flag, limit, "--report", report];
    db.import(out, &args).ok();
    let report = json(&std::fs::read_to_string(report).expect("a report"));
    let amount = report[of].as_f64().expect("a number");
    amount / report["seconds"].as_f64().expect("seconds")
}

#[test]
fn rates_are_kept_within_a_fifth() {
    std::thread::scope(|scope| {
        for server in Server::ALL {
            scope.spawn(move || {
                let db = Database::new(server, "rates");
                numbered(&db, 30_000, 100);
                let rows = rate(&db, "rows", "--max-rows-per-second", "6000", "rows");
                let bytes = rate(&db, "bytes", "--max-bytes-per-second", "600000", "bytes");
                figure(&format!(
                    "rates {server:?}: {rows:.0} of 6000 rows/s, {bytes:.0} of 600000 bytes/s"
                ));
                // More than allowed is never right; less is for a machine that is busy.
                assert!((3600.0..=7200.0).contains(&rows), "{server:?}: {rows} rows/s of 6000");
                assert!((300_000.0..=720_000.0).contains(&bytes), "{server:?}: {bytes} bytes/s");
            });
        }
    });
}
