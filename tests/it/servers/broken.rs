//! What breaks in the middle: killed sessions, cut and stalled connections. The run ends with exit 1
//! and nothing is published or left behind.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::proxy::{Fault, Proxy};
use super::support::{Database, Run, Server, program};

/// Seconds within which a test's import must be seen reading on the server.
const START_SECONDS: u64 = 20;

/// A table, and a view of it that takes long to read: about 30 s for each of two workers.
fn slow(server: Server, test: &str) -> Database {
    let db = Database::new(server, test);
    let rows: Vec<String> = (1..=2000).map(|i| format!("({i})")).collect();
    let nap = match server {
        Server::Postgres => "CASE WHEN pg_sleep(0.03) IS NULL THEN 1 END",
        _ => "sleep(0.03)",
    };
    db.sql(&format!(
        "CREATE TABLE n (i int PRIMARY KEY); INSERT INTO n VALUES {};
         CREATE VIEW v AS SELECT i, {nap} AS nap FROM n;",
        rows.join(",")
    ));
    db
}

/// Finds the bounds of the slow view as slowly as its rows.
const SLOW_BOUNDS: &str = "SELECT min(i), max(nap) FROM v";

/// The server's names of the sessions that are at this work now.
fn at_work(db: &Database, doing: Doing) -> Vec<String> {
    let name = &db.name;
    let statement = match (doing, db.server) {
        (Doing::Planning, _) => "SELECT min(i), max(nap)%",
        (Doing::Reading, Server::Postgres) => "COPY%nap%",
        (Doing::Reading, _) => "SELECT%nap%FROM%v%",
    };
    let sql = match db.server {
        Server::Postgres => format!(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = '{name}' AND state = 'active' AND query LIKE '{statement}';"
        ),
        _ => format!(
            "SELECT id FROM information_schema.processlist
             WHERE db = '{name}' AND info LIKE '{statement}' AND info NOT LIKE '%processlist%';"
        ),
    };
    db.sql(&sql).lines().map(str::to_string).collect()
}

/// All sessions in the test's database, for the message.
fn sessions(db: &Database) -> String {
    db.sql(&match db.server {
        Server::Postgres => {
            format!("SELECT pid, state, query FROM pg_stat_activity WHERE datname = '{}';", db.name)
        }
        _ => format!(
            "SELECT id, command, info FROM information_schema.processlist WHERE db = '{}';",
            db.name
        ),
    })
}

/// Nothing is where the target would be, nor beside it.
#[track_caller]
fn nothing_left(db: &Database, run: &Run) {
    let root = db.path("");
    let left: Vec<_> = std::fs::read_dir(&root)
        .expect("the test's folder")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    assert!(left.is_empty(), "{left:?} is left behind by\n{}", run.story());
}

#[test]
fn a_run_whose_sessions_are_all_killed_fails() {
    std::thread::scope(|scope| {
        for server in Server::NETWORK {
            scope.spawn(move || kill(server));
        }
    });
}

/// What an import of the slow view is doing when it is disturbed.
#[derive(Clone, Copy, PartialEq)]
enum Doing {
    /// Finding the smallest and largest key.
    Planning,
    Reading,
}

/// Starts an import of the slow view; gives it, its arguments and a session that is seen at work.
fn start(db: &Database, doing: Doing) -> (Child, Vec<String>, String) {
    let (server, url, out) = (db.server, db.url(), db.path("out").display().to_string());
    let mut args = vec!["import", "--connect", &url, "--table", "v", "--split-by", "i", "-m", "2"];
    args.extend(["--target-dir", &out]);
    let bounds = if doing == Doing::Reading { "SELECT 1, 2000" } else { SLOW_BOUNDS };
    args.extend(["--boundary-query", bounds]);
    let password = server.address().password;
    let mut child = program(&args, Some(&password))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("`timeout` of coreutils is there");
    let start = Instant::now();
    let victim = loop {
        if let Some(found) = at_work(db, doing).into_iter().next() {
            break found;
        }
        if start.elapsed() > Duration::from_secs(START_SECONDS) {
            let _ = child.kill();
            panic!("{server:?}: nobody is seen at work, only\n{}", sessions(db));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    (child, args.into_iter().map(String::from).collect(), victim)
}

/// Waits for the end of what [`start`] began.
fn end(db: &Database, child: Child, args: &[String]) -> Run {
    let output = child.wait_with_output().expect("it ends");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Run::from_output(&output, &args, db.path("out"))
}

fn kill(server: Server) {
    let db = slow(server, "killed");
    let (child, args, _) = start(&db, Doing::Reading);
    // One of them would be replaced, or the others would read what it had left.
    let name = &db.name;
    if server == Server::Postgres {
        db.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = '{name}' AND application_name = 'rsqoop';"
        ));
    } else {
        let kill = format!(
            "SELECT concat('KILL ', id, ';') FROM information_schema.processlist
             WHERE db = '{name}' AND id <> connection_id();"
        );
        let kill = db.sql(&kill);
        // Whoever has ended meanwhile cannot be killed.
        kill.lines().for_each(|one| drop(std::panic::catch_unwind(|| db.sql(one))));
    }
    let killed = Instant::now();
    let run = end(&db, child, &args).refused(1, &["error: "]);
    let seconds = killed.elapsed().as_secs_f64();
    assert!(seconds < 15.0, "{server:?}: {seconds} s after the kill\n{}", run.story());
    nothing_left(&db, &run);
}

/// Ctrl-C leaves no statement behind that goes on reading for nobody.
#[test]
fn a_signal_ends_the_statements_on_the_server() {
    std::thread::scope(|scope| {
        for server in Server::NETWORK {
            scope.spawn(move || {
                interrupt(server, Doing::Reading);
                interrupt(server, Doing::Planning);
            });
        }
    });
}

fn interrupt(server: Server, doing: Doing) {
    let name = if doing == Doing::Reading { "interrupted" } else { "interrupted_early" };
    let db = slow(server, name);
    let (child, args, _) = start(&db, doing);
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::INT).expect("it runs");
    let told = Instant::now();
    let run = end(&db, child, &args).refused(130, &["error: the run was stopped"]);
    let seconds = told.elapsed().as_secs_f64();
    assert!(seconds < 8.0, "{server:?}: {seconds} s after the signal\n{}", run.story());
    nothing_left(&db, &run);
    // The statements would take another half minute.
    while !at_work(&db, doing).is_empty() {
        let seconds = told.elapsed().as_secs_f64();
        assert!(seconds < 12.0, "{server:?}: still reading {seconds} s later:\n{}", sessions(&db));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_cut_connection_ends_the_run() {
    for server in Server::NETWORK {
        let db = filled(server, "cut");
        for (index, bytes) in [100, 20_000, 200_000, 600_000].into_iter().enumerate() {
            let proxy = Proxy::new(server, Fault::CutAfter(bytes));
            let start = Instant::now();
            let out = format!("out{index}");
            let run = db.import_from(&proxy.url(&db), &out, &["--table", "t", "-m", "2"]);
            // Cut during the login it is a server that cannot be reached.
            let run = run.refused(if bytes == 100 { 3 } else { 1 }, &["error: "]);
            assert!(start.elapsed() < Duration::from_secs(10), "{server:?}: {:?}", start.elapsed());
            nothing_left(&db, &run);
        }
    }
}

#[test]
fn a_stalled_connection_ends_at_the_socket_timeout() {
    for server in Server::NETWORK {
        let db = filled(server, "stalled");
        let proxy = Proxy::new(server, Fault::StallAfter(300_000));
        let timeout = if server == Server::Postgres { "2" } else { "2000" };
        let url = format!("{}?socketTimeout={timeout}", proxy.url(&db));
        let start = Instant::now();
        let run =
            db.import_from(&url, "out", &["--table", "t", "-m", "2"]).refused(1, &["error: "]);
        let seconds = start.elapsed().as_secs_f64();
        assert!((1.5..20.0).contains(&seconds), "{server:?}: {seconds} s\n{}", run.story());
        nothing_left(&db, &run);
    }
}

/// About 1.6 MB of rows.
fn filled(server: Server, test: &str) -> Database {
    let db = Database::new(server, test);
    let pad = "x".repeat(80);
    let rows: Vec<String> = (1..=20_000).map(|i| format!("({i},'{pad}')")).collect();
    db.sql(&format!(
        "CREATE TABLE t (id int PRIMARY KEY, pad varchar(80)); INSERT INTO t VALUES {};",
        rows.join(",")
    ));
    db
}
