//! What goes wrong around a run: the network, signals, servers that die, limits that are to be kept.
//! However it goes wrong, the run ends in time with a clear failure and nothing published, or with
//! exactly the rows of an undisturbed one.

mod limits;
mod network;
pub(crate) mod private;
mod restart;
mod signals;
mod stall;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::servers::support::{Database, Run, Server};
use crate::support::names;

/// Nothing is where the target would be, nor beside it.
#[track_caller]
fn nothing_in(folder: &Path, story: &str) {
    let left = names(folder);
    assert!(left.is_empty(), "{left:?} is left behind by\n{story}");
}

/// A failure that a person can use: one of the statuses, a short message, nothing published.
#[track_caller]
fn clear_failure(run: &Run, folder: &Path, statuses: &[i32], story: &str) {
    assert!(statuses.contains(&run.status), "{story}\n{}", run.story());
    assert!(run.stderr.contains("error: "), "{story}\n{}", run.story());
    assert!(!run.stderr.contains("panicked"), "{story}\n{}", run.story());
    assert!(!run.stderr.contains("Retrieved "), "{story}\n{}", run.story());
    assert!(run.stderr.lines().count() <= 20, "more than 20 lines: {story}\n{}", run.story());
    nothing_in(folder, &format!("{story}\n{}", run.story()));
}

/// The lines of a text dataset, sorted.
fn sorted(run: &Run) -> Vec<String> {
    let text = String::from_utf8(run.text()).expect("UTF-8");
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    lines.sort();
    lines
}

/// The server's numbers of the sessions in the test's database that work on a statement now.
fn at_work(db: &Database) -> Vec<String> {
    let name = &db.name;
    let sql = match db.server {
        Server::Postgres => format!(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = '{name}' AND state = 'active' AND pid <> pg_backend_pid()
               AND backend_type = 'client backend';"
        ),
        _ => format!(
            "SELECT id FROM information_schema.processlist
             WHERE db = '{name}' AND command <> 'Sleep' AND id <> connection_id();"
        ),
    };
    db.sql(&sql).lines().map(str::to_string).collect()
}

/// Waits until no statement of the test's database runs any more.
#[track_caller]
fn all_quiet(db: &Database, limit: Duration, story: &str) {
    let start = Instant::now();
    while !at_work(db).is_empty() {
        assert!(start.elapsed() < limit, "{:?} still at work\n{story}", at_work(db));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Fills a table `t (id, pad)` with numbered rows of about `width` bytes.
fn numbered(db: &Database, rows: usize, width: usize) {
    db.sql(&format!("CREATE TABLE t (id int PRIMARY KEY, pad varchar({width}) NOT NULL);"));
    let pad = "x".repeat(width - 10);
    for from in (1..=rows).step_by(5000) {
        let values: Vec<String> =
            (from..=rows.min(from + 4999)).map(|i| format!("({i},'{pad}{i}')")).collect();
        db.sql(&format!("INSERT INTO t VALUES {};", values.join(",")));
    }
    match db.server {
        Server::Postgres | Server::Sqlite => db.sql("ANALYZE t;"),
        _ => db.sql("ANALYZE TABLE t;"),
    };
}
