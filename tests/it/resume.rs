//! What a killed run leaves is gone on with or cleared away: the same command ends as one clean run
//! does, `--resume mixed` keeps what is whole and says which rows come from which snapshot, and
//! `rsqoop runs` and `rsqoop resume` handle what was left.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::servers::support::{Database, Run, Server, digest};
use crate::support::{
    Random, assert_complete, figure, finish, json, leftovers, names, rsqoop, sized, sorted_lines,
};

const ROWS: usize = 20_000;

/// Slow enough that a run makes rows safe and goes on: four seconds in all.
const SLOW: [&str; 2] = ["--max-rows-per-second", "5000"];

/// Many splits, so that some of them are whole at any time.
const SPLITS: [&str; 4] = ["-m", "3", "--split-limit", "500"];

// ---- the run and what it left ----

fn database(server: Server, test: &str) -> Database {
    let db = Database::new(server, test);
    db.sql("CREATE TABLE t (id int PRIMARY KEY, v varchar(40) NOT NULL);");
    for from in (1..=ROWS).step_by(5000) {
        let rows: Vec<String> = (from..from + 5000).map(|i| format!("({i},'old {i}')")).collect();
        db.sql(&format!("INSERT INTO t VALUES {};", rows.join(",")));
    }
    db
}

/// The arguments of an import of `t` into `folder/out`.
fn arguments(db: &Database, folder: &str, more: &[&str]) -> Vec<String> {
    let (url, out) = (db.url(), db.path(folder).join("out").display().to_string());
    let first = ["import", "--connect", &url, "--table", "t", "--target-dir", &out];
    let all = [&first[..], &["--progress", "none"], &SPLITS, more].concat();
    all.into_iter().map(String::from).collect()
}

fn start(db: &Database, args: &[String]) -> Child {
    let mut command = rsqoop();
    command.args(args);
    if db.server != Server::Sqlite {
        command.env("RSQOOP_PASSWORD", db.server.address().password);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

fn complete(db: &Database, folder: &str, more: &[&str]) -> crate::support::Run {
    finish(start(db, &arguments(db, folder, more)))
}

/// The staging directory beside the target.
fn staging(folder: &Path) -> Option<PathBuf> {
    let hidden = leftovers(folder).into_iter().map(|n| folder.join(n));
    hidden.into_iter().find(|p| p.is_dir())
}

/// Does the run in `folder` say that rows of it are safe?
fn has_receipts(folder: &Path) -> bool {
    let Some(staging) = staging(folder) else { return false };
    let Ok(entries) = std::fs::read_dir(staging.join(".rsqoop-state")) else { return false };
    entries.flatten().any(|e| {
        e.file_name().to_string_lossy().ends_with(".receipts")
            && e.metadata().is_ok_and(|m| m.len() > 0)
    })
}

/// Starts a slow run in a new folder and kills it when rows of it are safe. Gives its id.
fn killed(db: &Database, folder: &str, more: &[&str]) -> String {
    let path = db.path(folder);
    if !path.exists() {
        std::fs::create_dir(&path).expect("a new folder");
    }
    let mut child = start(db, &arguments(db, folder, &[more, &SLOW].concat()));
    let begun = Instant::now();
    while !has_receipts(&path) {
        if begun.elapsed() > Duration::from_secs(20) || child.try_wait().expect("ours").is_some() {
            let _ = child.kill();
            panic!("no rows became safe: {}", finish(child).stderr);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("it runs");
    child.wait().expect("it is ours");
    assert!(!path.join("out").exists());
    let name = staging(&path).expect("there is a staging directory");
    let name = name.file_name().expect("a name").to_string_lossy().into_owned();
    name.rsplit('-').next().expect("an id").to_string()
}

/// The rows as the database gives them, in order as texts.
fn wanted(db: &Database) -> Vec<String> {
    let rows = db.sql("SELECT id, v FROM t;");
    let mut lines: Vec<String> = rows.lines().map(|l| l.replace('\t', ",")).collect();
    lines.sort();
    lines
}

#[track_caller]
fn assert_clean(db: &Database, folder: &str, rows: &[String], run: &crate::support::Run) {
    let path = db.path(folder);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(assert_complete(&path.join("out")), rows.len() as u64, "{}", run.stderr);
    assert!(sorted_lines(&path.join("out")) == rows, "other rows\n{}", run.stderr);
    assert_eq!(names(&path), ["out"], "{}", run.stderr);
    let inside = names(&path.join("out"));
    assert!(!inside.iter().any(|n| n.starts_with('.')), "{inside:?}");
}

fn report(db: &Database, name: &str) -> Value {
    json(&std::fs::read_to_string(db.path(name)).expect("a report"))
}

// ---- the same command ----

#[test]
fn the_same_command_starts_again_and_says_so() {
    for server in Server::NETWORK {
        let db = database(server, "resume_again");
        let run_id = killed(&db, "a", &[]);
        // The snapshot died with the run: rows of two states must not be mixed unasked.
        db.sql("UPDATE t SET v = 'new' WHERE id % 2 = 0;");
        let run = complete(&db, "a", &[]);
        assert_clean(&db, "a", &wanted(&db), &run);
        let story = format!("{server:?}\n{}", run.stderr);
        assert!(run.stderr.contains("which is dead: taken over"), "{story}");
        let note = run.stderr.lines().find(|l| l.contains(&format!("run {run_id} died")));
        let note = note.unwrap_or_else(|| panic!("not a word of the dead run: {story}"));
        assert!(note.contains("the table starts again"), "{note}");
        assert!(note.contains("--resume mixed"), "{note}");
    }
}

#[test]
fn mixed_keeps_what_is_whole() {
    std::thread::scope(|scope| {
        for server in Server::ALL {
            scope.spawn(move || {
                let db = database(server, "resume_mixed");
                mixed(&db, "a", &[]);
                // Parquet too: its footer is made anew.
                let run_id = killed(&db, "p", &["--as-parquetfile", "--resume", "mixed"]);
                let run = complete(&db, "p", &["--as-parquetfile", "--resume", "mixed"]);
                assert!(
                    run.stderr.contains(&format!("going on with run {run_id}")),
                    "{}",
                    run.stderr
                );
                let clean = db.import("clean", &["--table", "t", "--as-parquetfile"]).ok();
                assert_eq!(digest(&db.path("p/out")).digest, clean.digest().digest, "{server:?}");
            });
        }
    });
}

/// A killed run and one that goes on with it while the source stays the same.
fn mixed(db: &Database, folder: &str, more: &[&str]) {
    let flags = [&["--resume", "mixed"], more].concat();
    let run_id = killed(db, folder, &flags);
    let safe = receipts_rows(&db.path(folder));
    let file = db.path(&format!("{folder}.json"));
    let with_report = [&flags[..], &["--report", file.to_str().expect("plain")]].concat();
    let run = complete(db, folder, &with_report);
    assert_clean(db, folder, &wanted(db), &run);
    let story = format!("{:?}\n{}", db.server, run.stderr);
    let note = run.stderr.lines().find(|l| l.contains(&format!("going on with run {run_id}")));
    let note = note.unwrap_or_else(|| panic!("it did not go on: {story}"));
    assert!(note.contains("stay"), "{note}");
    let report = report(db, &format!("{folder}.json"));
    let (old, new) = split_rows(&report);
    assert_eq!(old + new, ROWS as u64, "{report}");
    assert!(old >= 500 && new >= 500, "{old} old and {new} new rows: {story}");
    assert!(old >= safe, "{old} of {safe} safe rows were kept: {story}");
    assert!(!report["earlier_snapshots"].as_array().expect("a list").is_empty(), "{report}");
    figure(&format!("resume {:?}: {old} rows kept, {new} read again", db.server));
}

/// Rows of earlier snapshots and of the run's own, as the report lists the splits.
fn split_rows(report: &Value) -> (u64, u64) {
    let splits = report["splits"].as_array().expect("a list of splits");
    splits.iter().fold((0, 0), |(old, new), split| {
        let rows = split["rows"].as_u64().expect("rows");
        if split["earlier_snapshot"].is_null() { (old, new + rows) } else { (old + rows, new) }
    })
}

/// Rows that `rsqoop runs list` calls safe.
fn receipts_rows(folder: &Path) -> u64 {
    let mut command = rsqoop();
    command.args(["runs", "list"]).arg(folder);
    let run = crate::support::run(command);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let line = run.stdout.lines().find(|l| l.contains(" dead ")).expect("one dead run");
    let fields: Vec<&str> = line.split_whitespace().collect();
    fields[3].replace(',', "").parse().unwrap_or_else(|_| panic!("no rows in {line}"))
}

#[test]
fn mixed_says_which_rows_come_from_which_snapshot() {
    for server in Server::NETWORK {
        let db = database(server, "resume_names");
        killed(&db, "a", &["--resume", "mixed"]);
        db.sql("UPDATE t SET v = concat('new ', id);");
        let file = db.path("report.json");
        let flags = ["--resume", "mixed", "--report", file.to_str().expect("plain")];
        let run = complete(&db, "a", &flags);
        assert_eq!(run.status, 0, "{server:?}\n{}", run.stderr);
        assert!(run.stderr.contains("earlier snapshot"), "not warned: {}", run.stderr);
        let report = report(&db, "report.json");
        let (old, new) = split_rows(&report);
        let lines = sorted_lines(&db.path("a/out"));
        let count = |what: &str| lines.iter().filter(|l| l.contains(what)).count() as u64;
        assert_eq!((count(",old "), count(",new ")), (old, new), "{server:?}\n{report}");
        assert!(old > 0 && new > 0, "{old} old, {new} new");
        // Every row is there once, whatever its state.
        let mut ids: Vec<usize> = lines
            .iter()
            .map(|l| l.split(',').next().expect("an id").parse().expect("a number"))
            .collect();
        ids.sort_unstable();
        assert!(ids.into_iter().eq(1..=ROWS), "{server:?}: rows are lost or doubled");
        let earlier = &report["earlier_snapshots"][0];
        assert!(earlier["id"].is_string(), "the earlier snapshot has no name: {report}");
        assert_ne!(earlier["id"], report["snapshot"]["id"], "{report}");
    }
}

// ---- kills at random ----

#[test]
fn kills_at_random_end_as_one_clean_run() {
    let server = Server::Postgres;
    let db = database(server, "resume_random");
    let rows = wanted(&db);
    let trials = sized(30, 300);
    let (next, went_on) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (db, rows, next, went_on) = (&db, &rows, &next, &went_on);
            scope.spawn(move || {
                let mut random = Random::new(thread + 100);
                loop {
                    let trial = next.fetch_add(1, Ordering::SeqCst);
                    if trial >= trials {
                        return;
                    }
                    let flags: &[&str] = if trial % 3 == 0 { &[] } else { &["--resume", "mixed"] };
                    let folder = format!("r{trial}");
                    std::fs::create_dir(db.path(&folder)).expect("a new folder");
                    // Up to three kills in a row, the later ones of runs that go on.
                    for _ in 0..1 + trial % 3 {
                        let args = arguments(db, &folder, &[flags, &SLOW].concat());
                        let mut child = start(db, &args);
                        std::thread::sleep(random.within(Duration::from_millis(4400)));
                        let _ = child.kill();
                        child.wait().expect("it is ours");
                        if db.path(&folder).join("out").exists() {
                            break;
                        }
                    }
                    if db.path(&folder).join("out").exists() {
                        assert!(sorted_lines(&db.path(&folder).join("out")) == *rows);
                        std::fs::remove_dir_all(db.path(&folder).join("out")).expect("it is there");
                    }
                    let run = complete(db, &folder, flags);
                    went_on
                        .fetch_add(usize::from(run.stderr.contains("going on")), Ordering::SeqCst);
                    assert_clean(db, &folder, rows, &run);
                    std::fs::remove_dir_all(db.path(&folder)).expect("it is there");
                }
            });
        }
    });
    let went_on = went_on.into_inner();
    figure(&format!(
        "kills at random: {trials} trials, {went_on} ended by going on with what was left"
    ));
    assert!(went_on >= trials / 6, "only {went_on} went on");
}

#[test]
fn a_run_that_goes_on_may_be_killed_again() {
    let db = database(Server::MySql, "resume_twice");
    let rows = wanted(&db);
    let flags = ["--resume", "mixed"];
    killed(&db, "a", &flags);
    let mut safe = receipts_rows(&db.path("a"));
    for _ in 0..3 {
        let args = arguments(&db, "a", &[&flags, &SLOW[..]].concat());
        let mut child = start(&db, &args);
        std::thread::sleep(Duration::from_millis(1200));
        child.kill().expect("it runs");
        child.wait().expect("it is ours");
        let now = receipts_rows(&db.path("a"));
        assert!(now >= safe, "{safe} rows were safe, then {now}");
        safe = now;
    }
    let run = complete(&db, "a", &flags);
    assert!(run.stderr.contains("going on with run"), "{}", run.stderr);
    assert_clean(&db, "a", &rows, &run);
}

// ---- other commands ----

#[test]
fn another_job_does_not_go_on_with_it() {
    let db = database(Server::Postgres, "resume_other");
    for more in [
        &["--where", "id <= 100"][..],
        &["--columns", "v"],
        &["--as-parquetfile"],
        &["--fields-terminated-by", ";"],
        &["--null-string", "x"],
    ] {
        killed(&db, "a", &["--resume", "mixed"]);
        let run = complete(&db, "a", &[more, &["--resume", "mixed"]].concat());
        assert_eq!(run.status, 0, "{more:?}: {}", run.stderr);
        assert!(!run.stderr.contains("going on"), "{more:?}: {}", run.stderr);
        assert!(run.stderr.contains("starts again"), "{more:?}: {}", run.stderr);
        let rows = if more[0] == "--where" { 100 } else { ROWS as u64 };
        assert_eq!(assert_complete(&db.path("a/out")), rows, "{more:?}");
        assert_eq!(names(&db.path("a")), ["out"], "{more:?}");
        std::fs::remove_dir_all(db.path("a")).expect("it is there");
    }
}

/// What says nothing of the rows may differ.
#[test]
fn other_limits_are_the_same_job() {
    let db = database(Server::Postgres, "resume_same");
    killed(&db, "a", &["--resume", "mixed"]);
    let more = ["--resume", "mixed", "--retries", "5", "--read-timeout", "20", "--verbose"];
    let run = complete(&db, "a", &more);
    assert!(run.stderr.contains("going on with run"), "{}", run.stderr);
    assert_clean(&db, "a", &wanted(&db), &run);
}

fn tool(db: &Database, args: &[&str]) -> Run {
    let mut all = args.to_vec();
    let folder = db.path("a").display().to_string();
    if args[0] == "runs" {
        all.push(&folder);
    } else {
        all.splice(2..2, ["--dir", &folder]);
    }
    db.rsqoop(&all)
}

#[test]
fn runs_are_listed_shown_resumed_and_cleaned() {
    let db = database(Server::Postgres, "resume_tools");
    let run_id = killed(&db, "a", &["--resume", "mixed"]);
    let list = tool(&db, &["runs", "list"]).ok();
    let line = list.stdout.lines().find(|l| l.contains(&run_id)).expect("it is listed");
    assert!(line.contains("dead"), "{line}");
    let show = tool(&db, &["runs", "show", &run_id[..6]]).ok();
    for word in [&run_id, "dead", "it_resume_tools", "--table t", "snapshot"] {
        assert!(show.stdout.contains(word), "{word} is missing:\n{}", show.stdout);
    }
    assert!(!show.stdout.contains(&db.server.address().password), "{}", show.stdout);
    let resumed = tool(&db, &["resume", &run_id]).ok();
    assert!(resumed.stderr.contains("going on with run"), "{}", resumed.story());
    assert_eq!(assert_complete(&db.path("a/out")), ROWS as u64);
    assert!(sorted_lines(&db.path("a/out")) == wanted(&db));
    assert_eq!(names(&db.path("a")), ["out"]);
    assert!(!tool(&db, &["runs", "list"]).ok().stdout.contains(&run_id));
    tool(&db, &["runs", "show", &run_id]).refused(2, &["there is no run"]);
    tool(&db, &["resume", &run_id]).refused(2, &["there is no run"]);

    std::fs::remove_dir_all(db.path("a/out")).expect("it is there");
    let run_id = killed(&db, "a", &[]);
    let clean = tool(&db, &["runs", "clean"]).ok();
    assert!(clean.stdout.contains(&run_id), "{}", clean.stdout);
    assert_eq!(names(&db.path("a")), [""; 0]);
    // Nothing to do is no failure.
    tool(&db, &["runs", "clean"]).ok();
}

#[test]
fn a_living_run_is_not_cleaned_away() {
    let db = database(Server::Postgres, "resume_alive");
    std::fs::create_dir(db.path("a")).expect("a new folder");
    let child = start(&db, &arguments(&db, "a", &SLOW));
    let begun = Instant::now();
    while staging(&db.path("a")).is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it never began");
        std::thread::sleep(Duration::from_millis(10));
    }
    let list = tool(&db, &["runs", "list"]).ok();
    let line = list.stdout.lines().find(|l| l.contains("running")).expect("it is listed");
    let run_id = line.split_whitespace().next().expect("an id").to_string();
    tool(&db, &["runs", "clean"]).ok();
    tool(&db, &["runs", "clean", "--run", &run_id]).refused(4, &["not dead"]);
    tool(&db, &["resume", &run_id]).refused(4, &["another run is writing to this target"]);
    let run = finish(child);
    assert_clean(&db, "a", &wanted(&db), &run);
}
