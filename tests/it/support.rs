//! What all tests share. Holds no tests and no expectations of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The password of every test that needs one; a hit of this text anywhere is a leak.
pub(crate) const PASSWORD: &str = "geheim-7f3a9";

/// Longest time a single run may take; far beyond what any of them needs.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// A directory of a test's own, gone when the test is over. Programs run inside it, so that
/// paths in messages are short and always the same.
pub(crate) struct Dir {
    dir: tempfile::TempDir,
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit status; for a signal 128 + its number, as shells count.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Dir {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("rsqoop-it-").tempdir().expect("a temp dir");
        Dir { dir }
    }

    /// A directory with a database `t.db` in it, made from `sql`.
    pub(crate) fn with_db(sql: &str) -> Self {
        let dir = Dir::new();
        dir.sqlite("t.db", sql);
        dir
    }

    /// A directory with a copy of the sample database in it, as `shop.db`.
    pub(crate) fn with_shop() -> Self {
        let dir = Dir::new();
        let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shop.db");
        fs::copy(shop, dir.path("shop.db")).expect("examples/shop.db is there");
        dir
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs SQL on a database file with the `sqlite3` program and gives its output.
    pub(crate) fn sqlite(&self, file: &str, sql: &str) -> String {
        let mut child = Command::new("sqlite3")
            .args(["-batch", "-bail", file])
            .current_dir(self.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program sqlite3 is installed");
        let mut input = child.stdin.take().expect("stdin is piped");
        let sql = sql.to_string();
        let writer = std::thread::spawn(move || {
            let _ = input.write_all(sql.as_bytes());
        });
        let out = child.wait_with_output().expect("sqlite3 ran");
        writer.join().expect("the writer does not panic");
        let errors = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "sqlite3 {file}: {errors}");
        String::from_utf8(out.stdout).expect("sqlite3 prints UTF-8")
    }

    /// The program, to be run in this directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = rsqoop();
        command.args(args).current_dir(self.root());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        run(self.command(args))
    }

    /// Runs what must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> Run {
        let run = self.run(args);
        assert_eq!(run.status, 0, "rsqoop {}\n{}", args.join(" "), run.stderr);
        run
    }

    /// Imports the table `table` of `t.db` into `out` with more flags.
    pub(crate) fn import(&self, table: &str, more: &[&str]) -> Run {
        self.ok(&[&["import", "--connect", "sqlite:t.db", "--table", table], more].concat())
    }

    /// Everything below this directory: paths with sizes, symbolic links with where they point.
    pub(crate) fn listing(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(self.root(), "", &mut found);
        found.sort();
        found
    }
}

fn list(dir: &Path, prefix: &str, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_symlink() {
            let to = fs::read_link(entry.path()).unwrap_or_default();
            found.push(format!("{name} -> {}", to.display()));
        } else if kind.is_dir() {
            found.push(format!("{name}/"));
            list(&entry.path(), &format!("{name}/"), found);
        } else {
            let size = entry.metadata().map_or(0, |m| m.len());
            found.push(format!("{name} {size}"));
        }
    }
}

/// Names directly inside a directory, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Data files of a dataset in order of name.
pub(crate) fn parts(dir: &Path) -> Vec<PathBuf> {
    names(dir).iter().filter(|n| !n.starts_with(['_', '.'])).map(|n| dir.join(n)).collect()
}

/// The bytes of all data files, one after the other.
pub(crate) fn bytes(dir: &Path) -> Vec<u8> {
    parts(dir).iter().flat_map(|p| fs::read(p).expect("a data file can be read")).collect()
}

/// The lines of all data files, sorted: the rows as a multiset.
pub(crate) fn sorted_lines(dir: &Path) -> Vec<String> {
    let text = String::from_utf8(bytes(dir)).expect("text output is UTF-8");
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    lines.sort();
    lines
}

/// The manifest of a dataset.
pub(crate) fn manifest(dir: &Path) -> Value {
    json(&fs::read_to_string(dir.join("_manifest.json")).expect("there is a manifest"))
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text}"))
}

/// Checks that a directory is a whole dataset: the marker, and files exactly as the manifest lists
/// them. Gives the rows it says.
pub(crate) fn assert_complete(dir: &Path) -> u64 {
    assert!(dir.join("_SUCCESS").is_file(), "no _SUCCESS in {}", dir.display());
    let manifest = manifest(dir);
    let mut listed = BTreeMap::new();
    for file in manifest["files"].as_array().expect("a list of files") {
        let name = file["name"].as_str().expect("a name");
        listed.insert(name.to_string(), file["bytes"].as_u64().expect("a size"));
    }
    let there: BTreeMap<String, u64> = parts(dir)
        .iter()
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("part-")))
        .map(|p| {
            let name = p.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::metadata(p).expect("a size").len())
        })
        .collect();
    assert_eq!(listed, there, "the manifest and the files of {}", dir.display());
    manifest["rows"].as_u64().expect("rows")
}

/// The program with nothing of the caller's environment that could change what it does.
pub(crate) fn rsqoop() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsqoop"));
    clean_environment(&mut command);
    command
}

/// Takes rsqoop's variables away and fixes the width of help texts.
pub(crate) fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RSQOOP_") {
            command.env_remove(name);
        }
    }
    command.env("COLUMNS", "100").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
}

/// Runs a program to its end and collects what it printed.
pub(crate) fn run(mut command: Command) -> Run {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    finish(child.unwrap_or_else(|e| panic!("{command:?}: {e}")))
}

/// Waits for a program that was started with piped output.
pub(crate) fn finish(child: Child) -> Run {
    let pid = pid(&child);
    let (done, watch) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let late = watch.recv_timeout(RUN_LIMIT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if late {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        late
    });
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the program ran");
    drop(done);
    let late = watchdog.join().expect("the watchdog does not panic");
    let stderr = String::from_utf8(stderr).expect("messages are UTF-8");
    assert!(!late, "still running after {RUN_LIMIT:?}\n{stderr}");
    Run {
        status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        stdout: String::from_utf8(stdout).expect("standard output is UTF-8"),
        stderr,
    }
}

pub(crate) fn pid(child: &Child) -> rustix::process::Pid {
    rustix::process::Pid::from_child(child)
}

/// Waits until a condition holds; fails after ten seconds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Are the long forms of the fault tests wanted (`tests/run --long`)?
pub(crate) fn long() -> bool {
    std::env::var_os("RSQOOP_TEST_LONG").is_some_and(|v| !v.is_empty() && v != "0")
}

/// `normal`, or `much` in the long form.
pub(crate) fn sized<T>(normal: T, much: T) -> T {
    if long() { much } else { normal }
}

/// A measured figure for whoever reads the log, also of a test that passes.
pub(crate) fn figure(text: &str) {
    // The test harness keeps what `println!` prints; this goes past it.
    let _ = std::io::stderr().write_all(format!("figure: {text}\n").as_bytes());
}

/// Names in a directory that a run may only have for as long as it works: hidden ones.
pub(crate) fn leftovers(dir: &Path) -> Vec<String> {
    names(dir).into_iter().filter(|n| n.starts_with('.')).collect()
}

/// Numbers that look random and are the same each time.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        let factor = 6_364_136_223_846_793_005;
        self.0 = self.0.wrapping_mul(factor).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// A moment within `span`.
    pub(crate) fn within(&mut self, span: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(span.as_micros()).expect("short").max(1)))
    }
}

/// Is this process the superuser? Permissions mean nothing to it then.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

// ---- the independent judge ----

/// The Python that has the independent readers.
pub(crate) fn python() -> PathBuf {
    let path = std::env::var_os("RSQOOP_TEST_PYTHON").unwrap_or_else(|| {
        panic!(
            "RSQOOP_TEST_PYTHON is not set: it must name a Python with the packages of tests/lib/requirements.txt, as `tests/run it` provides it"
        )
    });
    PathBuf::from(path)
}

fn judge(script: &str, what: &str, paths: &[PathBuf]) -> Vec<u8> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let out = Command::new(python()).arg(&script).arg(what).args(paths).output();
    let out = out.unwrap_or_else(|e| panic!("{}: {e}", python().display()));
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{} {what} {paths:?}:\n{errors}", script.display());
    out.stdout
}

/// What pyarrow finds in Parquet files, after DuckDB agreed on rows and NULLs: `rows`, `schema`,
/// `metadata`, `values` in exact text forms (see `tests/judge.py`).
pub(crate) fn judge_parquet(paths: &[PathBuf]) -> Value {
    json(&String::from_utf8(judge("judge.py", "parquet", paths)).expect("JSON is UTF-8"))
}

/// The bytes of text files after another program decompressed them.
pub(crate) fn judge_text(paths: &[PathBuf]) -> Vec<u8> {
    judge("judge.py", "text", paths)
}

/// What the footers of Parquet files say, one object a file (see `tests/it/footers.py`).
pub(crate) fn judge_footers(paths: &[PathBuf]) -> Value {
    json(&String::from_utf8(judge("it/footers.py", "footers", paths)).expect("JSON is UTF-8"))
}
