//! Progress, and the last lines of a run; always on standard error.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Dir, Run, clean_environment, finish, json, run};

const TABLE: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    INSERT INTO t SELECT i, 'row ' || i FROM n;";

/// Rows for some seconds, long enough for progress to show; one worker.
const SLOW: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)
    SELECT i, printf('%s %s', i, i * 7) AS s FROM n WHERE $CONDITIONS";

fn import(dir: &Dir, more: &[&str]) -> Run {
    dir.import("t", &[&["--target-dir", "out"], more].concat())
}

#[test]
fn the_summary_has_rows_files_bytes_time_and_sqoops_lines() {
    let dir = Dir::with_db(TABLE);
    let run = import(&dir, &[]);
    assert_eq!(run.stdout, "");
    let lines: Vec<&str> = run.stderr.lines().collect();
    let [summary, transferred, retrieved] = lines[..] else { panic!("{}", run.stderr) };
    assert!(summary.starts_with("1,000 rows in 4 files at out: "), "{summary}");
    assert!(summary.contains(" kB in ") && summary.ends_with(" rows/s"), "{summary}");
    assert!(
        transferred.starts_with("Transferred ") && transferred.ends_with("/sec)"),
        "{transferred}"
    );
    assert_eq!(retrieved, "Retrieved 1000 records.");
}

#[test]
fn quiet_says_nothing_and_none_only_the_summary() {
    let dir = Dir::with_db(TABLE);
    let quiet = import(&dir, &["--quiet"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let none = dir.import("t", &["--target-dir", "none", "--progress", "none"]);
    assert_eq!(none.stderr.lines().count(), 3, "{}", none.stderr);
    // Warnings are said in any case.
    let warned = dir.ok(&[
        "import",
        "--connect",
        "sqlite:t.db?colour=1",
        "--table",
        "t",
        "--quiet",
        "--target-dir",
        "w",
    ]);
    assert_eq!(warned.stderr.lines().count(), 1);
    // And errors.
    let failed = dir.run(&[
        "import",
        "--connect",
        "sqlite:t.db",
        "--table",
        "t",
        "--quiet",
        "--target-dir",
        "w",
    ]);
    assert!(failed.stderr.starts_with("error: "), "{}", failed.stderr);
}

/// Keeps a database file locked against readers until dropped.
struct Locked {
    sqlite: Child,
}

impl Locked {
    fn new(dir: &Dir, file: &str) -> Self {
        let mut sqlite = Command::new("sqlite3")
            .arg(file)
            .current_dir(dir.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = sqlite.stdin.as_mut().unwrap();
        input.write_all(b"BEGIN EXCLUSIVE;\nSELECT 'locked';\n").unwrap();
        let mut answer = [0; 6];
        sqlite.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
        Locked { sqlite }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        drop(self.sqlite.stdin.take());
        let _ = self.sqlite.wait();
    }
}

#[test]
fn json_and_lines_tell_how_far_a_run_is() {
    let dir = Dir::with_db(TABLE);
    // However fast the machine: both runs wait here while they report.
    let locked = Locked::new(&dir, "t.db");
    let [json_run, lines_run] = ["json", "lines"].map(|mode| {
        let args = ["import", "--connect", "sqlite:t.db", "--table", "t", "--target-dir", mode];
        let mut command = dir.command(&[&args[..], &["--progress", mode]].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    std::thread::sleep(Duration::from_millis(5300));
    drop(locked);
    let (json_run, lines_run) = (finish(json_run), finish(lines_run));
    assert_eq!((json_run.stdout.as_str(), lines_run.stdout.as_str()), ("", ""));
    assert!(lines_run.stderr.starts_with("connecting\n"), "{}", lines_run.stderr);
    assert!(!lines_run.stderr.contains(['\u{1b}', '\r', '{']), "{:?}", lines_run.stderr);
    let objects: Vec<_> =
        json_run.stderr.lines().filter(|l| l.starts_with('{')).map(json).collect();
    assert!(objects.len() >= 4, "{}", json_run.stderr);
    assert_eq!(objects[0]["phase"], "connecting");
    for object in &objects {
        assert_eq!(object["event"], "progress");
        assert!(object["seconds"].as_f64().unwrap() >= 0.0);
    }
    let last = objects.last().unwrap();
    assert_eq!((&last["phase"], &last["rows"]), (&"done".into(), &1000.into()));
    assert_eq!((&last["splits_done"], &last["splits"]), (&4.into(), &4.into()));
    assert_eq!(last["workers"].as_array().unwrap().len(), 4);
    assert_eq!(last["workers"][0]["idle"], true);
    // A run that is over at once has its last line too.
    let short = import(&dir, &["--progress", "json"]);
    let last = short.stderr.lines().filter(|l| l.starts_with('{')).map(json).next_back().unwrap();
    assert_eq!((&last["phase"], &last["rows"]), (&"done".into(), &1000.into()));
}

/// Runs the program on a pseudo-terminal of 100 columns; gives everything the terminal received.
fn on_terminal(dir: &Dir, more: &[&str]) -> String {
    let quoted: Vec<String> = ["import", "--connect", "sqlite:t.db", "--target-dir", "bar"]
        .iter()
        .chain(more)
        .map(|a| format!("'{}'", a.replace('\'', "'\\''")))
        .collect();
    let line = format!(
        "stty cols 100 rows 30; exec '{}' {} >stdout.txt",
        env!("CARGO_BIN_EXE_rsqoop"),
        quoted.join(" ")
    );
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]);
    clean_environment(&mut command);
    command.env("TERM", "xterm").env("SHELL", "/bin/sh").current_dir(dir.root());
    let run = run(command);
    assert_eq!(run.status, 0, "{}", run.stdout);
    run.stdout
}

#[test]
fn bars_are_redrawn_in_place_and_leave_a_clean_end() {
    let dir = Dir::with_db(TABLE);
    let seen = on_terminal(&dir, &["--query", SLOW]);
    assert_eq!(std::fs::read(dir.path("stdout.txt")).unwrap(), b"", "standard output stays clean");
    assert!(seen.matches("worker 0 ").count() > 3, "redrawn: {seen:?}");
    assert!(seen.contains("reading") && seen.contains("total "), "{seen:?}");
    assert!(seen.contains("\u{1b}["), "drawn with control sequences: {seen:?}");
    // After the bars are gone only the summary is left.
    let (_, end) = seen.rsplit_once("\u{1b}[2K").expect("lines are cleared");
    let lines: Vec<&str> = end.trim_start_matches(['\r', '\u{1b}']).lines().collect();
    assert!(end.contains("3,000,000 rows in 1 file at bar"), "{end:?}");
    assert_eq!(lines.last().map(|l| l.trim_end()), Some("Retrieved 3000000 records."), "{end:?}");
    assert!(!end.contains("worker 0 "), "{end:?}");
}

#[test]
fn more_workers_than_lines_still_draw_a_total() {
    let dir = Dir::with_db(TABLE);
    let seen = on_terminal(&dir, &["--table", "t", "-m", "64"]);
    assert!(seen.contains("Retrieved 1000 records."), "{seen:?}");
    assert!(!seen.contains("worker 63"), "{seen:?}");
}
