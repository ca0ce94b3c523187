//! The crash sweep: a small run is killed, or fails with EIO or ENOSPC, at every single call that
//! changes the file system, one run for each call. After each the target is what it was or complete,
//! and the same command again ends as one clean run does, with nothing left beside the target.
//!
//! `crash/tracer.py` counts the calls over all threads and disturbs one of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::servers::support::digest;
use crate::support::{
    Dir, assert_complete, figure, leftovers, names, python, rsqoop, sized, sorted_lines,
};

/// Rows of the table that is imported, and of what was in the target before.
const ROWS: u64 = 3000;
const OLD_ROWS: u64 = 10;

/// More calls than any of these runs makes.
const MOST_CALLS: usize = 400;

/// Sweeps at the same time of runs that mostly wait.
const SLEEPERS: usize = 12;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const SIGKILL: i32 = 9;

/// The status of a failed run that left rows for a later one.
const KEPT: i64 = 5;

// ---- running under the tracer ----

/// One process of the tracer: starting Python takes longer than a run.
struct Tracer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Kill,
    Error(i32),
}

/// A call that changes the file system.
#[derive(Debug, Clone)]
struct Call {
    kind: String,
    path: String,
    disturbed: bool,
}

/// What a traced run did.
#[derive(Debug)]
struct Traced {
    status: i64,
    stderr: String,
    calls: Vec<Call>,
}

impl Tracer {
    fn new() -> Tracer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/crash/tracer.py");
        let mut child = Command::new(python())
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("RSQOOP_TEST_PYTHON is a Python");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Tracer { child, stdin, stdout }
    }

    /// Runs the program and disturbs its call number `at`; none for 0.
    fn run(&mut self, dir: &Dir, args: &[&str], at: usize, fault: Fault) -> Traced {
        let command = rsqoop();
        let argv: Vec<&str> =
            [&[command.get_program().to_str().expect("a plain path")], args].concat();
        let mut request = json!({
            "cwd": dir.root(), "root": dir.root(), "argv": argv, "at": at,
            "env": {"LC_ALL": "C.UTF-8", "COLUMNS": "100"},
        });
        match fault {
            Fault::Kill => request["signal"] = SIGKILL.into(),
            Fault::Error(number) => request["errno"] = number.into(),
        }
        writeln!(self.stdin, "{request}").and_then(|()| self.stdin.flush()).expect("it listens");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it answers");
        let answer: Value = serde_json::from_str(&line).expect("it answers in JSON");
        assert!(answer["error"].is_null(), "{}", answer["error"]);
        let text = |value: &Value| value.as_str().expect("a text").to_string();
        Traced {
            status: answer["status"].as_i64().expect("a status"),
            stderr: text(&answer["stderr"]),
            calls: answer["calls"].as_array().expect("calls").iter().map(Call::new).collect(),
        }
    }
}

impl Call {
    fn new(value: &Value) -> Call {
        let text = |name: &str| value[name].as_str().expect("a text").to_string();
        Call {
            kind: text("kind"),
            path: text("path"),
            disturbed: value["disturbed"] == Value::Bool(true),
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Traced {
    /// The call that was disturbed, if the run came that far.
    fn disturbed(&self) -> Option<&Call> {
        self.calls.iter().find(|c| c.disturbed)
    }

    fn story(&self) -> String {
        let calls: Vec<String> = self
            .calls
            .iter()
            .map(|c| format!("{}{} {}", if c.disturbed { "=> " } else { "   " }, c.kind, c.path))
            .collect();
        format!("exit {}\n{}\n{}", self.status, self.stderr, calls.join("\n"))
    }
}

// ---- what is swept ----

#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    Fresh,
    Append,
    Replace,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Format {
    Text,
    Parquet,
}

/// What kind of run is swept.
#[derive(Debug, Clone, Copy)]
struct Kind {
    target: Target,
    format: Format,
    /// Flags of both runs, and of the disturbed one alone.
    more: &'static [&'static str],
    slow: &'static [&'static str],
    /// Sweeps at the same time.
    threads: usize,
}

impl Kind {
    const fn new(target: Target, format: Format) -> Kind {
        Kind { target, format, more: &[], slow: &[], threads: 2 }
    }
}

/// So slow that the run makes receipts of what is safe while it reads.
const SLOW: &[&str] = &["--max-rows-per-second", "800"];

/// In many splits, so that some are whole at any time.
const MANY: &[&str] = &["--split-limit", "150"];
const MANY_MIXED: &[&str] = &["--split-limit", "150", "--resume", "mixed"];

/// A directory with a database and an old dataset `seed`, and the flags of one run.
struct Sweep {
    dir: Dir,
    target: Target,
    format: Format,
    args: Vec<&'static str>,
    /// More flags of the run that is disturbed.
    slow: &'static [&'static str],
    /// Runs again that went on with what a dead one left.
    resumed: usize,
    /// Everything in the target before, and the rows of a clean run.
    before: Contents,
    clean: Rows,
    old: Rows,
    points: BTreeMap<String, usize>,
}

/// The files of a directory.
type Contents = BTreeMap<String, Vec<u8>>;

/// The rows of a dataset in a form that does not depend on how they lie in files.
#[derive(Debug, Clone, PartialEq)]
struct Rows {
    count: u64,
    text: Vec<String>,
    parquet: String,
}

/// What was found where the target is.
#[derive(Debug, PartialEq)]
enum State {
    Unchanged,
    New,
}

fn contents(dir: &Path) -> Contents {
    if !dir.exists() {
        return Contents::new();
    }
    names(dir).into_iter().map(|n| (n.clone(), fs::read(dir.join(n)).unwrap())).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

impl Sweep {
    fn new(kind: Kind) -> Sweep {
        let Kind { target, format, more, slow, .. } = kind;
        let dir = Dir::with_db(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
             INSERT INTO t SELECT i, 'row number ' || i FROM n;
             CREATE TABLE old (id INTEGER PRIMARY KEY, a TEXT);
             INSERT INTO old SELECT -id, 'old' FROM t WHERE id <= {OLD_ROWS};"
        ));
        let format_flag = match format {
            Format::Text => "--as-textfile",
            Format::Parquet => "--as-parquetfile",
        };
        let mut args = vec!["import", "--connect", "sqlite:t.db", "--table", "t", "-m", "2"];
        args.extend(["--target-dir", "out", "--progress", "none", format_flag]);
        args.extend_from_slice(more);
        match target {
            Target::Fresh => {}
            Target::Append => args.push("--append"),
            Target::Replace => args.push("--delete-target-dir"),
        }
        dir.import("old", &["--target-dir", "seed", "-m", "1", format_flag]);
        dir.import("t", &["--target-dir", "clean", "-m", "2", format_flag]);
        let mut sweep = Sweep {
            target,
            format,
            args,
            slow,
            resumed: 0,
            before: Contents::new(),
            clean: Rows { count: 0, text: Vec::new(), parquet: String::new() },
            old: Rows { count: 0, text: Vec::new(), parquet: String::new() },
            points: BTreeMap::new(),
            dir,
        };
        sweep.clean = sweep.rows("clean");
        sweep.old = sweep.rows("seed");
        assert_eq!((sweep.clean.count, sweep.old.count), (ROWS, OLD_ROWS));
        if target != Target::Fresh {
            sweep.before = contents(&sweep.dir.path("seed"));
        }
        sweep
    }

    /// Makes everything as it was before the first run.
    fn reset(&self) {
        for name in names(self.dir.root()) {
            if !["t.db", "seed", "clean"].contains(&name.as_str()) {
                let path = self.dir.path(&name);
                if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
                    .unwrap();
            }
        }
        if self.target != Target::Fresh {
            copy(&self.dir.path("seed"), &self.dir.path("out"));
        }
    }

    fn rows(&self, name: &str) -> Rows {
        let dir = self.dir.path(name);
        let count = assert_complete(&dir);
        match self.format {
            Format::Text => Rows { count, text: sorted_lines(&dir), parquet: String::new() },
            Format::Parquet => Rows { count, text: Vec::new(), parquet: digest(&dir).digest },
        }
    }

    /// Looks at the target after a disturbed run: it is as before or complete.
    fn state(&self, why: &str) -> State {
        let out = self.dir.path("out");
        if contents(&out) == self.before {
            return State::Unchanged;
        }
        assert!(out.exists(), "the old data is gone\n{why}");
        let rows = self.rows("out");
        self.assert_rows(&rows, 1, why);
        State::New
    }

    /// The rows are those of `runs` runs, with what was there before if that is kept.
    fn assert_rows(&self, found: &Rows, runs: usize, why: &str) {
        let old = if self.target == Target::Append { self.old.count } else { 0 };
        assert_eq!(found.count, old + ROWS * runs as u64, "{why}");
        if self.format == Format::Text {
            let mut wanted = if old > 0 { self.old.text.clone() } else { Vec::new() };
            for _ in 0..runs {
                wanted.extend_from_slice(&self.clean.text);
            }
            wanted.sort();
            assert!(found.text == wanted, "other rows than a clean run\n{why}");
        } else if old == 0 && runs == 1 {
            assert!(found.parquet == self.clean.parquet, "other rows than a clean run\n{why}");
        }
    }

    fn disturbed(&self, tracer: &mut Tracer, at: usize, fault: Fault) -> Traced {
        tracer.run(&self.dir, &[&self.args[..], self.slow].concat(), at, fault)
    }

    /// One point: disturb, look, run again, look. False when the run did not come that far.
    fn point(&mut self, tracer: &mut Tracer, at: usize, fault: Fault) -> bool {
        self.reset();
        let run = self.disturbed(tracer, at, fault);
        let Some(call) = run.disturbed().cloned() else {
            assert_eq!(run.status, 0, "{}", run.story());
            return false;
        };
        *self.points.entry(call.kind.clone()).or_default() += 1;
        let why =
            format!("{:?} {:?} {fault:?} at call {at}\n{}", self.target, self.format, run.story());
        let state = self.state(&why);
        self.assert_told(&run, fault, &call, &state, &why);
        self.again(&state, &why);
        true
    }

    /// What the disturbed run said agrees with what it left.
    fn assert_told(&self, run: &Traced, fault: Fault, call: &Call, state: &State, why: &str) {
        if fault == Fault::Kill {
            assert_eq!(run.status, 137, "{why}");
            return;
        }
        // A run whose rows may be kept for a later one says that it kept them, with its own status.
        let kept = run.stderr.contains("what is safe was kept");
        let mixed = self.args.contains(&"mixed");
        assert!([0, if kept { KEPT } else { 1 }].contains(&run.status), "{why}");
        assert!(mixed || !kept, "{why}");
        assert!(!run.stderr.contains("panicked"), "{why}");
        if run.status == 0 {
            assert_eq!(*state, State::New, "success without the rows\n{why}");
        } else {
            assert!(run.stderr.contains("error: "), "{why}");
            assert!(run.stderr.lines().count() <= 20, "{why}");
            if run.stderr.contains("nothing was published") {
                assert_eq!(*state, State::Unchanged, "the message is wrong\n{why}");
            }
        }
        // The space is given back, unless giving it back is what failed.
        if call.kind != "unlink" && !kept {
            assert_eq!(leftovers(self.dir.root()), [""; 0], "left behind\n{why}");
        }
    }

    /// The same command once more ends as a clean run does.
    fn again(&mut self, state: &State, why: &str) {
        let published = *state == State::New;
        let again = self.dir.run(&self.args);
        let why = format!("{why}\nthen again: exit {}\n{}", again.status, again.stderr);
        self.resumed += usize::from(again.stderr.contains("going on with run"));
        if published && self.target == Target::Fresh {
            assert_eq!(again.status, 2, "{why}");
            assert!(again.stderr.contains("already exists"), "{why}");
        } else {
            assert_eq!(again.status, 0, "{why}");
        }
        let runs = if published && self.target == Target::Append { 2 } else { 1 };
        self.assert_rows(&self.rows("out"), runs, &why);
        assert_eq!(names(self.dir.root()), ["clean", "out", "seed", "t.db"], "left behind\n{why}");
    }
}

/// What the threads of a sweep share.
#[derive(Default)]
struct Found {
    points: BTreeMap<String, usize>,
    resumed: usize,
    failures: Vec<String>,
    reached: usize,
}

/// Sweeps one kind of run; prints how many points there were. Gives how many runs went on with what
/// the disturbed one had left.
fn sweep(kind: Kind) -> usize {
    let whole = {
        let sweep = Sweep::new(kind);
        sweep.reset();
        sweep.disturbed(&mut Tracer::new(), 0, Fault::Kill)
    };
    assert_eq!(whole.status, 0, "{}", whole.story());
    assert!(whole.calls.len() >= 10, "{}", whole.story());
    assert_in_order(&whole);
    let faults = [Fault::Kill, Fault::Error(EIO), Fault::Error(ENOSPC)];
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Found::default());
    std::thread::scope(|scope| {
        for _ in 0..kind.threads {
            scope.spawn(|| {
                let (mut sweep, mut tracer) = (Sweep::new(kind), Tracer::new());
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let (at, fault) = (number / faults.len() + 1, faults[number % faults.len()]);
                    // All that is wrong is told: one failure would hide the others.
                    let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        sweep.point(&mut tracer, at, fault)
                    }));
                    let mut found = found.lock().expect("nobody panics with it");
                    match attempt {
                        // How threads meet changes the number of calls by a few.
                        Ok(false) if at > whole.calls.len() + 8 => break,
                        Ok(false) => {}
                        Ok(true) => found.reached = found.reached.max(at),
                        Err(cause) => {
                            let text = cause.downcast_ref::<String>().cloned();
                            found.failures.push(text.unwrap_or_default());
                        }
                    }
                    assert!(at < MOST_CALLS, "there is no end to the calls");
                }
                let mut found = found.lock().expect("nobody panics with it");
                for (kind, count) in &sweep.points {
                    *found.points.entry(kind.clone()).or_default() += count;
                }
                found.resumed += sweep.resumed;
            });
        }
    });
    let found = found.into_inner().expect("nobody panicked");
    let points: usize = found.points.values().sum();
    let Kind { target, format, more, .. } = kind;
    figure(&format!(
        "crash sweep {target:?} {format:?} {more:?}: {points} points {:?}, {} runs went on with what was left",
        found.points, found.resumed
    ));
    assert!(found.reached + 5 >= whole.calls.len(), "{} calls\n{}", found.reached, whole.story());
    let failures = found.failures;
    let briefly = |f: &String| f.lines().take(3).collect::<Vec<_>>().join(" | ");
    let all: Vec<String> = failures.iter().map(briefly).collect();
    let first = failures.first().cloned().unwrap_or_default();
    assert!(
        failures.is_empty(),
        "{} of {points} points fail:\n{}\nthe first of them:\n{first}",
        failures.len(),
        all.join("\n")
    );
    found.resumed
}

/// Everything is durable before it becomes visible, as the calls of an undisturbed run show: each
/// file is synced after its last write, its directory after its last change, both before the rename
/// that publishes, and the parent after it.
fn assert_in_order(run: &Traced) {
    let last =
        |kind: &str, path: &str| run.calls.iter().rposition(|c| c.kind == kind && c.path == path);
    let publish = run
        .calls
        .iter()
        .rposition(|c| c.kind == "rename" && c.path == "out")
        .unwrap_or_else(|| panic!("no rename to the target\n{}", run.story()));
    let parent = last("fsync", ".");
    assert!(parent.is_some_and(|p| p > publish), "the rename is not made durable\n{}", run.story());
    let mut files = 0;
    for (at, call) in run.calls.iter().enumerate() {
        let Some((folder, name)) = call.path.rsplit_once('/') else { continue };
        let is_data =
            name.starts_with("part-") || name.starts_with("_manifest") || name == "_SUCCESS";
        // What is only for a later run (`.rsqoop-state`) is gone by then.
        if !is_data
            || folder.contains('/')
            || !["create", "write"].contains(&call.kind.as_str())
            || at > publish
        {
            continue;
        }
        files += 1;
        let synced =
            |path: &str| run.calls[at..publish].iter().any(|c| c.kind == "fsync" && c.path == path);
        assert!(synced(&call.path), "{} is not durable when published\n{}", call.path, run.story());
        assert!(synced(folder), "{folder} is not durable when published\n{}", run.story());
    }
    assert!(files >= 4, "{}", run.story());
}

#[test]
fn a_new_text_target_survives_a_crash_at_every_call() {
    sweep(Kind::new(Target::Fresh, Format::Text));
}

#[test]
fn a_new_parquet_target_survives_a_crash_at_every_call() {
    sweep(Kind::new(Target::Fresh, Format::Parquet));
}

#[test]
fn appended_text_survives_a_crash_at_every_call() {
    sweep(Kind::new(Target::Append, Format::Text));
}

#[test]
fn appended_parquet_survives_a_crash_at_every_call() {
    sweep(Kind::new(Target::Append, Format::Parquet));
}

#[test]
fn replaced_text_survives_a_crash_at_every_call() {
    sweep(Kind::new(Target::Replace, Format::Text));
}

#[test]
fn replaced_parquet_survives_a_crash_at_every_call() {
    sweep(Kind::new(Target::Replace, Format::Parquet));
}

/// Slow runs, which make receipts: what a dead one left is gone on with, not only removed.
#[test]
fn a_resumed_text_target_survives_a_crash_at_every_call() {
    let kind = Kind::new(Target::Fresh, Format::Text);
    let resumed = sweep(Kind { more: MANY, slow: SLOW, threads: SLEEPERS, ..kind });
    assert!(resumed > 5, "only {resumed} runs went on");
}

#[test]
fn a_resumed_parquet_target_survives_a_crash_at_every_call() {
    let kind = Kind::new(Target::Replace, Format::Parquet);
    let resumed = sweep(Kind { more: MANY_MIXED, slow: SLOW, threads: SLEEPERS, ..kind });
    assert!(resumed > 5, "only {resumed} runs went on");
}

/// A run killed at one call, the same command killed at another, then left alone. Both are slow, so
/// that the second goes on with what the first left.
#[test]
fn two_crashes_in_a_row_are_survived() {
    let kind = Kind { more: MANY_MIXED, slow: SLOW, ..Kind::new(Target::Fresh, Format::Text) };
    let calls = {
        let sweep = Sweep::new(kind);
        sweep.reset();
        sweep.disturbed(&mut Tracer::new(), 0, Fault::Kill).calls.len()
    };
    // Towards the end there is something to go on with.
    let (firsts, seconds) = (sized(4, 20), sized(10, calls));
    let pairs: Vec<(usize, usize)> = (0..firsts)
        .flat_map(|first| (0..seconds).map(move |second| (first, second)))
        .map(|(first, second)| {
            (calls - 4 - first * (calls / 2) / firsts, 1 + second * calls / seconds)
        })
        .collect();
    let (next, resumed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..SLEEPERS {
            scope.spawn(|| {
                let (mut sweep, mut tracer) = (Sweep::new(kind), Tracer::new());
                while let Some((first, second)) = pairs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    sweep.reset();
                    let one = sweep.disturbed(&mut tracer, *first, Fault::Kill);
                    if sweep.state(&one.story()) == State::New {
                        continue;
                    }
                    let two = sweep.disturbed(&mut tracer, *second, Fault::Kill);
                    let why = format!("{first}, {second}\n{}\nthen\n{}", one.story(), two.story());
                    let state = sweep.state(&why);
                    sweep.again(&state, &why);
                }
                resumed.fetch_add(sweep.resumed, Ordering::SeqCst);
            });
        }
    });
    let resumed = resumed.into_inner();
    figure(&format!(
        "two crashes in a row: {} pairs, {resumed} went on with what was left",
        pairs.len()
    ));
    assert!(resumed > 3, "only {resumed} runs went on");
}
