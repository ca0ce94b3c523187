//! The proxy cuts, resets, stalls and slows connections at a sweep of byte offsets of what the
//! server says: densely where logins and plans are made, then ever more widely to the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{clear_failure, nothing_in, numbered, sorted};
use crate::servers::proxy::{Disturbance, Fault, Proxy};
use crate::servers::support::{Database, Run, Server};
use crate::support::{figure, names, sized};

const ROWS: usize = 4000;
const WIDTH: usize = 80;

/// Offsets below this are tried densely.
const DENSE: usize = 3000;

/// Trials at once; most of them wait.
const THREADS: usize = 6;

/// No disturbed run takes longer: three retries with their pauses, each with its deadlines.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// One disturbed run.
#[derive(Debug, Clone, Copy)]
struct Trial {
    disturbance: Disturbance,
    offset: usize,
    only: Option<usize>,
    tls: bool,
}

/// Connects without TLS and with deadlines of two seconds.
fn url(db: &Database, proxy: &Proxy, tls: bool) -> String {
    let (seconds, plain) = match db.server {
        Server::Postgres => ("2", "sslmode=disable"),
        _ => ("2000", "sslMode=DISABLED"),
    };
    let limits = format!("connectTimeout={seconds}&socketTimeout={seconds}");
    let plain = if tls { "" } else { plain };
    format!("{}?{limits}&{plain}", proxy.url(db)).trim_end_matches('&').to_string()
}

fn import(db: &Database, proxy: &Proxy, tls: bool, out: &str) -> Run {
    std::fs::create_dir(db.path(out)).expect("a new folder");
    db.import_from(&url(db, proxy, tls), &format!("{out}/out"), &["--table", "t", "-m", "2"])
}

/// The offsets that are tried on connections that carry up to `most` bytes.
fn offsets(most: usize) -> Vec<usize> {
    let mut offsets: Vec<usize> = (0..DENSE.min(most)).step_by(sized(47, 5)).collect();
    let mut offset = DENSE;
    while offset < most {
        offsets.push(offset);
        offset += offset / sized(3, 12) + 1;
    }
    // The very end: all rows are there, the word that these are all is not.
    offsets.extend((1..=sized(24, 200)).map(|back| most.saturating_sub(back)));
    offsets
}

/// Every offset with every disturbance, on one connection and on all, with TLS and without.
fn trials(sent: &[usize]) -> Vec<Trial> {
    let most = *sent.iter().max().expect("there were connections");
    let mut trials = Vec::new();
    for (index, offset) in offsets(most).into_iter().enumerate() {
        let all = [Disturbance::Cut, Disturbance::Reset, Disturbance::Stall, Disturbance::Slow];
        for (turn, disturbance) in all.into_iter().enumerate() {
            // These wait for a deadline, or for three hundred pauses.
            let costly = [Disturbance::Stall, Disturbance::Slow].contains(&disturbance);
            if costly && !index.is_multiple_of(sized(5, 2)) {
                continue;
            }
            let number = index + turn;
            let only = (!number.is_multiple_of(3)).then_some(number % sent.len());
            // A small connection is swept again and again.
            let offset = only.map_or(offset, |n| offset % sent[n].max(1));
            trials.push(Trial { disturbance, offset, only, tls: number % 5 == 4 });
        }
    }
    trials
}

/// Runs one trial; gives what came of it, in a word.
fn attempt(db: &Database, trial: Trial, number: usize, wanted: &[String]) -> &'static str {
    let Trial { disturbance, offset, only, tls } = trial;
    let proxy = Proxy::new(db.server, Fault::At(disturbance, offset, only));
    let folder = format!("trial{number}");
    let start = Instant::now();
    let run = import(db, &proxy, tls, &folder);
    let took = start.elapsed();
    let story = format!("{:?} {trial:?} took {took:?}, sent {:?}", db.server, proxy.sent());
    assert!(took < RUN_LIMIT, "{story}\n{}", run.story());
    let parent = db.path(&folder);
    if run.status == 0 {
        assert!(sorted(&run) == wanted, "wrong rows and success: {story}\n{}", run.story());
        assert_eq!(names(&parent), ["out"], "left behind: {story}\n{}", run.story());
        std::fs::remove_dir_all(parent).expect("it is there");
        return "right";
    }
    assert_ne!(disturbance, Disturbance::Slow, "slow is no fault: {story}\n{}", run.story());
    clear_failure(&run, &parent, &[1, 3], &story);
    if run.status == 3 { "not reached" } else { "failed" }
}

fn sweep(server: Server, test: &str) {
    let db = Database::new(server, test);
    numbered(&db, ROWS, WIDTH);
    let whole = Proxy::new(server, Fault::Never);
    let clean = import(&db, &whole, false, "clean").ok();
    let (wanted, sent) = (sorted(&clean), whole.sent());
    assert_eq!(wanted.len(), ROWS);
    let trials = trials(&sent);
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let Some(trial) = trials.get(number) else { return };
                    let outcome = attempt(&db, *trial, number, &wanted);
                    let mut outcomes = outcomes.lock().expect("nobody panics with it");
                    *outcomes.entry(format!("{:?} {outcome}", trial.disturbance)).or_insert(0) += 1;
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("nobody panicked");
    figure(&format!(
        "network sweep {server:?}: {} trials over connections of {sent:?} bytes in {:?}: {outcomes:?}",
        trials.len(),
        start.elapsed()
    ));
    assert!(outcomes.contains_key("Cut failed") || outcomes.contains_key("Cut right"));
    assert!(outcomes.get("Slow right").is_some_and(|n| *n > 5), "{outcomes:?}");
}

#[test]
fn postgres_connections_break_at_every_byte() {
    sweep(Server::Postgres, "break_pg");
}

#[test]
fn mariadb_connections_break_at_every_byte() {
    sweep(Server::MariaDb, "break_maria");
}

#[test]
fn mysql_connections_break_at_every_byte() {
    sweep(Server::MySql, "break_my");
}

/// One reader's connection breaks once, the server and the snapshot live: the run goes on where a
/// snapshot can be joined again or others can take over, and says that it tried again.
#[test]
fn one_broken_reader_is_made_good() {
    for server in Server::NETWORK {
        let db = Database::new(server, "break_one");
        numbered(&db, 20_000, WIDTH);
        let whole = Proxy::new(server, Fault::Never);
        let wanted = sorted(&import(&db, &whole, false, "clean").ok());
        let sent = whole.sent();
        // The connection that carries the most is a reader's.
        let most = *sent.iter().max().expect("there were connections");
        let at = most / 8;
        let mut good = 0;
        for round in 0..2 {
            for number in 0..sent.len() {
                good += usize::from(made_good(&db, at, number, round, &wanted));
            }
        }
        assert!(good > 0, "{server:?}: no reader's connection broke");
        figure(&format!("one broken reader {server:?}: all of {good} runs went on"));
    }
}

/// Breaks connection `number` of a run; false if it was none that carries rows.
fn made_good(db: &Database, at: usize, number: usize, round: usize, wanted: &[String]) -> bool {
    let proxy = Proxy::new(db.server, Fault::At(Disturbance::Reset, at, Some(number)));
    let folder = format!("reader{round}_{number}");
    let report = db.path(&format!("{folder}.json"));
    std::fs::create_dir(db.path(&folder)).expect("a new folder");
    let args = ["--table", "t", "-m", "2", "--report", report.to_str().expect("a plain path")];
    let run = db.import_from(&url(db, &proxy, false), &format!("{folder}/out"), &args);
    let sent = proxy.sent();
    let story = format!("{:?} connection {number} of {sent:?}\n{}", db.server, run.story());
    assert_eq!(run.status, 0, "{story}");
    assert!(sorted(&run) == wanted, "{story}");
    // Connections are opened at the same time, and so not always in one order.
    if sent[number] <= at {
        return false;
    }
    let report = read_json(&report);
    let retries = report["retries"].as_array().unwrap_or_else(|| panic!("{report}"));
    assert!(!retries.is_empty(), "no retry in the report\n{story}");
    assert!(run.stderr.contains("lost its connection"), "nothing is said of it\n{story}");
    true
}

fn read_json(path: &Path) -> serde_json::Value {
    crate::support::json(&std::fs::read_to_string(path).expect("there is a report"))
}

/// Nobody answers at all: the deadline of connecting ends the run, told as such.
#[test]
fn a_server_that_accepts_and_says_nothing_ends_at_the_deadline() {
    let port = crate::servers::proxy::silent_port();
    for scheme in ["postgresql", "mysql"] {
        let db = Database::new(Server::Sqlite, "silent");
        let url = format!("{scheme}://u@127.0.0.1:{port}/d");
        let start = Instant::now();
        let args = ["--table", "t", "--connect-timeout", "2", "--retries", "0"];
        let run = db.import_from(&url, "out", &args);
        let took = start.elapsed();
        clear_failure(&run, &db.path(""), &[3], scheme);
        assert!(took > Duration::from_millis(1800) && took < Duration::from_secs(8), "{took:?}");
        nothing_in(&db.path(""), &run.story());
    }
}
