//! The server dies or is restarted in the middle of a run: a clear failure, nothing published, the
//! space given back; then, on the new server, the same command ends well.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::clear_failure;
use super::private::Private;
use crate::servers::support::{Run, Server, program};
use crate::support::{Dir, assert_complete, figure, names, sized, sorted_lines};

/// Rows, and what reading one takes: about four seconds for each of two workers.
const ROWS: usize = 800;
const NAP_SECONDS: &str = "0.01";

/// Longest from the server's end to the run's: three retries with their pauses.
const END_LIMIT: Duration = Duration::from_secs(60);

/// A server with a table and a slow view of it.
fn server(server: Server) -> Private {
    let private = Private::new(server, &[]);
    let nap = match server {
        Server::Postgres => format!("CASE WHEN pg_sleep({NAP_SECONDS}) IS NULL THEN 1 END"),
        _ => format!("sleep({NAP_SECONDS})"),
    };
    let rows: Vec<String> = (1..=ROWS).map(|i| format!("({i})")).collect();
    private.sql(&format!(
        "CREATE TABLE n (i int PRIMARY KEY); INSERT INTO n VALUES {};
         CREATE VIEW v AS SELECT i, {nap} AS nap FROM n;",
        rows.join(",")
    ));
    private
}

fn args(private: &Private) -> Vec<String> {
    let url = private.url();
    let args = ["import", "--connect", &url, "--table", "v", "--split-by", "i", "-m", "2"];
    let more = ["--boundary-query", "SELECT 1, 800", "--target-dir", "out", "--progress", "none"];
    args.iter().chain(&more).map(ToString::to_string).collect()
}

fn command(dir: &Dir, args: &[String]) -> Command {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = program(&args, Some(Private::password()));
    command.current_dir(dir.root()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start(dir: &Dir, args: &[String]) -> Child {
    command(dir, args).spawn().expect("`timeout` of coreutils")
}

fn end(dir: &Dir, child: Child, args: &[String]) -> Run {
    let output = child.wait_with_output().expect("it ends");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Run::from_output(&output, &args, dir.path("out"))
}

/// Waits until the readers are at work.
fn wait_for_readers(private: &Private) {
    let sql = match private.server {
        Server::Postgres => {
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%nap%'
             AND query NOT LIKE '%pg_stat_activity%'"
        }
        _ => {
            "SELECT count(*) FROM information_schema.processlist
             WHERE info LIKE '%nap%' AND info NOT LIKE '%processlist%'"
        }
    };
    let end = Instant::now() + Duration::from_secs(20);
    while private.sql(sql).trim().parse::<usize>().expect("a count") < 2 {
        assert!(Instant::now() < end, "the readers never began");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Ends the server in the middle of a run, at once or after a while brings it back.
fn disturb(private: &mut Private, signal: Signal, back_after: Option<Duration>) {
    let dir = Dir::new();
    let args = args(private);
    let child = start(&dir, &args);
    wait_for_readers(private);
    std::thread::sleep(Duration::from_millis(400));
    let ended = Instant::now();
    private.stop(signal);
    if let Some(pause) = back_after {
        std::thread::sleep(pause);
        private.start();
    }
    let run = end(&dir, child, &args);
    let took = ended.elapsed();
    let story = format!("{:?} after {signal:?}, {took:?}", private.server);
    // Its snapshot died with the server, so that even one that is back cannot help.
    clear_failure(&run, dir.root(), &[1, 3], &story);
    assert!(took < END_LIMIT, "{story}\n{}", run.story());
    figure(&format!(
        "server gone ({signal:?}) {:?}: the run ended within {took:?}",
        private.server
    ));
    if back_after.is_none() {
        private.start();
    }
    let again = end(&dir, start(&dir, &args), &args).ok();
    assert_eq!(assert_complete(&again.target), ROWS as u64, "{story}");
    let lines = sorted_lines(&again.target);
    assert_eq!(lines.len(), ROWS);
    assert_eq!(names(dir.root()), ["out"], "{story}");
}

fn disturb_all(which: Server, signals: &[Signal]) {
    let mut private = server(which);
    for _ in 0..sized(1, 4) {
        for signal in signals {
            disturb(&mut private, *signal, None);
            disturb(&mut private, *signal, Some(Duration::ZERO));
        }
    }
}

#[test]
fn a_postgres_that_dies_or_restarts_ends_the_run() {
    // SIGINT is its fast shutdown: sessions are ended in order.
    disturb_all(Server::Postgres, &[Signal::KILL, Signal::INT]);
}

#[test]
fn a_mariadb_that_dies_or_restarts_ends_the_run() {
    disturb_all(Server::MariaDb, &[Signal::KILL, Signal::TERM]);
}
