//! Progress, and the last lines of a run; always on standard error.

use std::process::Command;

use crate::support::{Dir, Run, clean_environment, json, run};

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

#[test]
fn json_progress_is_one_object_a_line_and_counts_up() {
    let dir = Dir::with_db(TABLE);
    let args = ["import", "--connect", "sqlite:t.db", "--query", SLOW, "--target-dir", "slow"];
    let run = dir.ok(&[&args[..], &["--progress", "json"]].concat());
    assert_eq!(run.stdout, "");
    let objects: Vec<_> = run.stderr.lines().filter(|l| l.starts_with('{')).map(json).collect();
    assert!(objects.len() >= 2, "{}", run.stderr);
    let mut rows = 0;
    for object in &objects {
        assert_eq!(object["event"], "progress");
        let now = object["rows"].as_u64().unwrap();
        assert!(now >= rows, "{}", run.stderr);
        rows = now;
        let workers: u64 =
            object["workers"].as_array().unwrap().iter().map(|w| w["rows"].as_u64().unwrap()).sum();
        assert!(workers <= now && object["seconds"].as_f64().unwrap() >= 0.0);
    }
    let last = objects.last().unwrap();
    assert_eq!((&last["phase"], &last["rows"]), (&"done".into(), &3_000_000.into()));
    assert_eq!(last["splits_done"], last["splits"]);
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

#[test]
fn lines_go_to_logs() {
    let dir = Dir::with_db(TABLE);
    let args = ["import", "--connect", "sqlite:t.db", "--query", SLOW, "--target-dir", "slow"];
    for mode in [&[][..], &["--progress", "lines"]] {
        let run = dir.ok(&[&args[..], &["--delete-target-dir"], mode].concat());
        assert_eq!(run.stdout, "");
        assert!(!run.stderr.contains(['\u{1b}', '\r']), "{:?}", run.stderr);
        assert!(run.stderr.ends_with("Retrieved 3000000 records.\n"), "{}", run.stderr);
    }
}
