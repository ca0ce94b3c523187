//! A worker that gets nothing because the server waits for something: told with its statement and
//! what the server waits for, and not ended for its silence, since the server is at work for it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use super::{clear_failure, sorted};
use crate::servers::support::{Database, Run, Server, program};
use crate::support::figure;

const ROWS: usize = 100;

/// How long the lock is held: beyond the ten seconds after which the server is asked, and beyond
/// the limit on silence.
const HELD: Duration = Duration::from_secs(22);
const SILENCE_SECONDS: &str = "14";

/// A session of another client that holds the lock until dropped.
struct Lock {
    client: Child,
    _stdin: ChildStdin,
}

impl Lock {
    fn take(db: &Database) -> Lock {
        let mut client =
            db.client().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a client");
        let mut stdin = client.stdin.take().expect("it is piped");
        let sql = match db.server {
            Server::Postgres => "SELECT pg_advisory_lock(74321) IS NULL; SELECT 'held';\n",
            _ => "SELECT GET_LOCK('rsqoop_stall', 5); SELECT 'held'; SELECT SLEEP(600);\n",
        };
        stdin.write_all(sql.as_bytes()).expect("it listens");
        if db.server == Server::Postgres {
            let lines = BufReader::new(client.stdout.take().expect("it is piped")).lines();
            for line in lines {
                if line.expect("text").contains("held") {
                    break;
                }
            }
        } else {
            // This client says nothing before its input ends.
            let start = Instant::now();
            while db.sql("SELECT IS_USED_LOCK('rsqoop_stall') IS NULL;").trim() != "0" {
                assert!(start.elapsed() < Duration::from_secs(10), "the lock is not taken");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Lock { client, _stdin: stdin }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// A view whose row 70 waits for the lock.
fn database(server: Server, test: &str) -> Database {
    let db = Database::new(server, test);
    let rows: Vec<String> = (1..=ROWS).map(|i| format!("({i})")).collect();
    let wait = match server {
        Server::Postgres => "pg_advisory_lock_shared(74321) IS NULL",
        _ => "GET_LOCK('rsqoop_stall', 90) IS NULL",
    };
    db.sql(&format!(
        "CREATE TABLE n (i int PRIMARY KEY); INSERT INTO n VALUES {};
         CREATE VIEW v AS SELECT i, CASE WHEN i = 70 THEN CASE WHEN {wait} THEN 2 ELSE 1 END END AS w FROM n;",
        rows.join(",")
    ));
    db
}

fn start(db: &Database, out: &str) -> (Child, Vec<String>) {
    let (url, out) = (db.url(), db.path(out).display().to_string());
    let mut args = vec!["import", "--connect", &url, "--table", "v", "--split-by", "i", "-m", "2"];
    args.extend(["--boundary-query", "SELECT 1, 100", "--target-dir", &out]);
    args.extend(["--progress", "none", "--read-timeout", SILENCE_SECONDS]);
    let child = program(&args, Some(&db.server.address().password))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`timeout` of coreutils");
    (child, args.into_iter().map(String::from).collect())
}

fn stalled(server: Server, test: &str) {
    let db = database(server, test);
    let lock = Lock::take(&db);
    let (child, args) = start(&db, "out");
    std::thread::sleep(HELD);
    drop(lock);
    let begun = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let run = Run::from_output(&output, &args, db.path("out")).ok();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}\n{}", begun.elapsed(), run.story());
    assert_eq!(sorted(&run).len(), ROWS);
    let warning = run.stderr.lines().find(|l| l.starts_with("warning: ") && l.contains("worker"));
    let warning = warning.unwrap_or_else(|| panic!("no warning of the stall\n{}", run.story()));
    assert!(warning.contains("SELECT") || warning.contains("COPY"), "no statement: {warning}");
    let wait = match server {
        Server::Postgres => "advisory",
        _ => "User lock",
    };
    assert!(
        warning.to_lowercase().contains(&wait.to_lowercase()),
        "not what it waits for: {warning}"
    );
    figure(&format!("stall {server:?}: {warning}"));
}

#[test]
fn a_worker_that_waits_on_the_server_is_told_of() {
    std::thread::scope(|scope| {
        for (server, test) in [
            (Server::Postgres, "stall_pg"),
            (Server::MariaDb, "stall_maria"),
            (Server::MySql, "stall_my"),
        ] {
            scope.spawn(move || stalled(server, test));
        }
    });
}

/// The server is not at work and says nothing: the limit on silence ends the run. A stopped server
/// process is as silent as one gets.
#[test]
fn a_silent_server_ends_the_run_at_the_limit() {
    use super::private::Private;
    use rustix::process::{Signal, kill_process};
    let private = Private::new(Server::MariaDb, &[]);
    private.sql(
        "CREATE TABLE n (i int PRIMARY KEY); INSERT INTO n VALUES (1), (2), (3), (4);
         CREATE VIEW v AS SELECT i, sleep(1) AS nap FROM n;",
    );
    let dir = crate::support::Dir::new();
    let out = dir.path("out");
    let url = private.url();
    let mut args = vec!["import", "--connect", &url, "--table", "v", "--split-by", "i", "-m", "2"];
    args.extend(["--target-dir", out.to_str().expect("plain"), "--progress", "none"]);
    args.extend(["--boundary-query", "SELECT 1, 4"]);
    args.extend(["--connect-timeout", "2", "--read-timeout", "3", "--retries", "1"]);
    let child = program(&args, Some(Private::password()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`timeout` of coreutils");
    std::thread::sleep(Duration::from_millis(900));
    kill_process(private.process(), Signal::STOP).expect("it runs");
    let stopped = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    let took = stopped.elapsed();
    kill_process(private.process(), Signal::CONT).expect("it runs");
    let run = Run::from_output(&output, &args, out.clone());
    clear_failure(&run, dir.root(), &[1, 3], &format!("{took:?}"));
    assert!(took < Duration::from_secs(25), "{took:?}\n{}", run.story());
    figure(&format!("silent server: the run ended after {took:?}"));
}
