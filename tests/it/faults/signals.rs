//! SIGINT and SIGTERM at random moments of a run on a server: it ends in time with its own status,
//! its statements end on the server, nothing is left.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use super::{all_quiet, at_work, nothing_in};
use crate::servers::support::{Database, Run, Server};
use crate::support::{Random, assert_complete, figure, pid, rsqoop, sized};

const ROWS: usize = 300;

/// About how long a whole run takes: half the rows for each of two workers.
const WHOLE: Duration = Duration::from_millis(1700);

/// A stopped run is gone within this time.
const LIMIT: Duration = Duration::from_secs(10);

fn slow(server: Server, test: &str) -> Database {
    let db = Database::new(server, test);
    let rows: Vec<String> = (1..=ROWS).map(|i| format!("({i})")).collect();
    let nap = match server {
        Server::Postgres => "CASE WHEN pg_sleep(0.01) IS NULL THEN 1 END",
        _ => "sleep(0.01)",
    };
    db.sql(&format!(
        "CREATE TABLE n (i int PRIMARY KEY); INSERT INTO n VALUES {};
         CREATE VIEW v AS SELECT i, {nap} AS nap FROM n;",
        rows.join(",")
    ));
    db
}

/// The program itself, not under `timeout`: the signal must reach it.
fn command(db: &Database, args: &[&str]) -> Command {
    let mut command = rsqoop();
    command.args(args).env("RSQOOP_PASSWORD", &db.server.address().password);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn sweep(server: Server, test: &str, seed: u64) {
    let db = slow(server, test);
    let (url, folder) = (db.url(), db.path("run"));
    let out = folder.join("out");
    let mut args = vec!["import", "--connect", &url, "--table", "v", "--split-by", "i", "-m", "2"];
    args.extend([
        "--boundary-query",
        "SELECT 1, 300",
        "--target-dir",
        out.to_str().expect("plain"),
    ]);
    let mut random = Random::new(seed);
    let (mut stopped, mut slowest) = (0, Duration::ZERO);
    for round in 0..sized(20, 200) {
        std::fs::create_dir(&folder).expect("a new folder");
        let (signal, status) =
            if round % 2 == 0 { (Signal::INT, 130) } else { (Signal::TERM, 143) };
        let wait = random.within(WHOLE);
        let child = command(&db, &args).spawn().expect("the program starts");
        std::thread::sleep(wait);
        let busy = at_work(&db).len();
        let _ = kill_process(pid(&child), signal);
        let told = Instant::now();
        let output = child.wait_with_output().expect("it ends");
        let took = told.elapsed();
        let mut run = Run::from_output(&output, &args, folder.clone());
        if run.status == -1 {
            // Before the program had begun to listen for signals the signal itself ended it.
            use std::os::unix::process::ExitStatusExt;
            run.status = 128 + output.status.signal().unwrap_or(0);
            assert!(wait < Duration::from_millis(100), "ended by the signal itself after {wait:?}");
        }
        let story = format!(
            "{server:?} round {round} {signal:?} after {wait:?}, {busy} at work, {took:?}\n{}",
            run.story()
        );
        assert!(took < LIMIT, "{story}");
        all_quiet(&db, LIMIT, &story);
        if run.status == 0 {
            assert_eq!(assert_complete(&out), ROWS as u64, "{story}");
        } else {
            assert_eq!(run.status, status, "{story}");
            assert!(!run.stderr.contains("panicked"), "{story}");
            assert!(!run.stderr.contains("Retrieved"), "{story}");
            nothing_in(&folder, &story);
            stopped += 1;
            slowest = slowest.max(took);
        }
        std::fs::remove_dir_all(&folder).expect("it is there");
    }
    figure(&format!("signals {server:?}: {stopped} runs stopped, the slowest in {slowest:?}"));
    assert!(stopped >= 10, "only {stopped} runs were stopped on their way");
}

#[test]
fn postgres_runs_stop_at_random_moments() {
    sweep(Server::Postgres, "random_pg", 1);
}

#[test]
fn mariadb_runs_stop_at_random_moments() {
    sweep(Server::MariaDb, "random_maria", 2);
}

#[test]
fn mysql_runs_stop_at_random_moments() {
    sweep(Server::MySql, "random_my", 3);
}
