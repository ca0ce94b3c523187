//! A run that dies, of whatever, leaves nothing that looks complete and is not.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{
    Dir, assert_complete, clean_environment, finish, is_root, names, parts, pid, run,
};

/// Rows of the table that is read while the run is killed.
const ROWS: u64 = 200_000;

/// A table that takes some tenths of a second to import, and a small one.
fn database() -> Dir {
    Dir::with_db(&format!(
        "CREATE TABLE big (id INTEGER PRIMARY KEY, a TEXT, b REAL);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO big SELECT i, 'row number ' || i, i / 7.0 FROM n;
         CREATE TABLE small (id INTEGER PRIMARY KEY);
         INSERT INTO small VALUES (1), (2), (3);"
    ))
}

/// Gives rows for as long as anybody listens.
const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    SELECT i FROM n WHERE $CONDITIONS";

/// Works for ever without giving a row.
const SILENT: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    SELECT count(*) AS c FROM n WHERE $CONDITIONS";

fn start(dir: &Dir, args: &[&str]) -> Child {
    dir.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    rustix::process::kill_process(pid(child), signal).unwrap();
}

/// Kills one import of `big` after another, at moments spread over the time that a whole one takes,
/// and looks at the target each time. Gives how many were alive when the signal came.
fn trials(dir: &Dir, count: u32, more: &[&str], mut look: impl FnMut(&Path)) -> u32 {
    let import = ["import", "--connect", "sqlite:t.db", "--table", "big", "--target-dir", "out"];
    let args = [&import[..], more].concat();
    let started = Instant::now();
    assert_eq!(finish(start(dir, &args)).status, 0);
    // How long a run takes depends on what else the machine does: the estimate follows.
    let mut whole = started.elapsed();
    let mut killed = 0;
    for trial in 0..count {
        look(&dir.path("out"));
        // Towards the end more densely: that is where publishing happens.
        let part = (f64::from(trial + 1) / f64::from(count)).sqrt();
        let child = start(dir, &args);
        std::thread::sleep(whole.mul_f64(part));
        signal(&child, Signal::KILL);
        let run = finish(child);
        match run.status {
            0 => whole = whole.mul_f64(0.93),
            137 => {
                killed += 1;
                whole = whole.mul_f64(1.02);
            }
            _ => panic!("{}", run.stderr),
        }
    }
    look(&dir.path("out"));
    killed
}

#[test]
fn a_killed_run_leaves_no_target_or_a_complete_one() {
    let dir = database();
    let mut complete = 0;
    let killed = trials(&dir, 60, &["-m", "3"], |out| {
        if out.exists() {
            assert_whole(out);
            complete += 1;
            fs::remove_dir_all(out).unwrap();
        }
    });
    assert!(killed >= 20, "only {killed} of 60 runs were killed on their way");
    assert!(complete >= 1);
    // The next run tidies up after all of them.
    dir.import("big", &["--target-dir", "out"]);
    assert_eq!(names(dir.root()), ["out", "t.db"]);
}

#[test]
fn a_killed_replacement_leaves_the_old_data_or_the_new() {
    let dir = database();
    let (mut old, mut new) = (0, 0);
    let killed = trials(&dir, 40, &["--delete-target-dir", "--as-parquetfile"], |out| {
        assert!(out.is_dir(), "no data at all: {:?}", dir.listing());
        match assert_complete(out) {
            3 => old += 1,
            ROWS => new += 1,
            rows => panic!("{rows} rows"),
        }
        dir.import("small", &["--target-dir", "out", "--delete-target-dir"]);
    });
    assert!(killed >= 15, "only {killed} of 40 runs were killed on their way");
    assert!(old >= 10 && new >= 1, "old {old}, new {new}");
    assert_eq!(names(dir.root()), ["out", "t.db"]);
}

fn assert_whole(out: &Path) {
    assert_eq!(assert_complete(out), ROWS);
    let lines: usize = parts(out)
        .iter()
        .map(|p| fs::read(p).unwrap().iter().filter(|b| **b == b'\n').count())
        .sum();
    assert_eq!(lines as u64, ROWS);
}

#[test]
fn signals_end_a_run_at_once_and_leave_nothing() {
    let dir = database();
    dir.import("small", &["--target-dir", "old"]);
    let before = dir.listing();
    for (query, target, more) in [
        (ENDLESS, "deep/er/out", &["--as-parquetfile"][..]),
        (SILENT, "out", &[]),
        (ENDLESS, "old", &["--delete-target-dir"]),
        (ENDLESS, "old", &["--append", "--progress", "json"]),
    ] {
        for (which, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
            let args = ["import", "--connect", "sqlite:t.db", "--query", query];
            let child = start(&dir, &[&args[..], &["--target-dir", target], more].concat());
            std::thread::sleep(Duration::from_millis(300));
            let sent = Instant::now();
            signal(&child, which);
            let run = finish(child);
            assert_eq!(run.status, status, "{which:?}: {}", run.stderr);
            assert!(sent.elapsed() < Duration::from_secs(5), "{which:?}: {:?}", sent.elapsed());
            assert!(!run.stderr.contains("Retrieved"), "{}", run.stderr);
            assert_eq!(run.stdout, "");
            assert_eq!(dir.listing(), before, "{which:?} {target}");
        }
    }
}

#[test]
fn a_signal_while_the_database_is_locked_ends_the_run() {
    let dir = database();
    let mut lock = Command::new("sqlite3")
        .arg("t.db")
        .current_dir(dir.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = lock.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"BEGIN EXCLUSIVE;\nSELECT 'locked';\n").unwrap();
    let mut answer = [0; 6];
    std::io::Read::read_exact(lock.stdout.as_mut().unwrap(), &mut answer).unwrap();
    assert_eq!(&answer, b"locked");
    let args = ["import", "--connect", "sqlite:t.db", "--table", "big", "--target-dir", "out"];
    let child = start(&dir, &args);
    std::thread::sleep(Duration::from_millis(300));
    let sent = Instant::now();
    signal(&child, Signal::INT);
    let run = finish(child);
    drop(input);
    lock.wait().unwrap();
    assert_eq!(run.status, 130, "{}", run.stderr);
    assert!(sent.elapsed() < Duration::from_secs(11), "{:?}", sent.elapsed());
    assert!(
        !names(dir.root()).iter().any(|n| n.starts_with('.') || n == "out"),
        "{:?}",
        dir.listing()
    );
}

#[test]
fn a_second_signal_ends_at_once() {
    let dir = database();
    let args = ["import", "--connect", "sqlite:t.db", "--query", SILENT, "--target-dir", "out"];
    let child = start(&dir, &args);
    std::thread::sleep(Duration::from_millis(200));
    signal(&child, Signal::TERM);
    // Within a moment of the first it would count as the same one, sent to a process group too.
    std::thread::sleep(Duration::from_millis(500));
    if rustix::process::test_kill_process(pid(&child)).is_ok() {
        signal(&child, Signal::INT);
    }
    let run = finish(child);
    assert!([130, 143].contains(&run.status), "{}", run.stderr);
    assert!(!dir.path("out").exists());
}

#[test]
fn a_signal_does_not_wait_for_a_server_that_never_answers() {
    let dir = Dir::new();
    // Connections are accepted by the system; nobody ever answers on them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for scheme in ["postgresql", "mysql"] {
        let url = format!("{scheme}://u@127.0.0.1:{port}/d");
        let child =
            start(&dir, &["import", "--connect", &url, "--table", "t", "--target-dir", "out"]);
        std::thread::sleep(Duration::from_millis(400));
        let told = Instant::now();
        signal(&child, Signal::INT);
        let run = finish(child);
        assert_eq!(run.status, 130, "{scheme}: {}", run.stderr);
        assert!(told.elapsed() < Duration::from_secs(5), "{scheme}: {:?}", told.elapsed());
        assert!(dir.listing().is_empty(), "{scheme}: {:?}", dir.listing());
    }
}

#[test]
fn a_limit_on_file_sizes_is_a_clear_error() {
    let dir = database();
    let before = dir.listing();
    for format in ["--as-textfile", "--as-parquetfile"] {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("ulimit -c 0; ulimit -f 200; exec \"$0\" import --connect sqlite:t.db --table big --target-dir out -m 2 {format}"),
            env!("CARGO_BIN_EXE_rsqoop"),
        ]);
        clean_environment(&mut command);
        command.current_dir(dir.root());
        let run = run(command);
        assert_eq!(run.status, 1, "{format}: {}", run.stderr);
        assert!(
            run.stderr.contains("error: the target cannot be written: file too large"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("  file: "), "{}", run.stderr);
        assert!(run.stderr.contains("ulimit -f"), "{}", run.stderr);
        assert_eq!(dir.listing(), before, "{format}");
    }
}

/// A small file system of its own, gone when dropped.
struct SmallDisk<'a>(&'a Path);

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_a_clear_error() {
    let dir = database();
    let disk = dir.path("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&disk)
        .stderr(Stdio::null())
        .status();
    if !(is_root() && mounted.is_ok_and(|s| s.success())) {
        // Nobody but the superuser may mount; the limit on file sizes above takes the same way.
        return;
    }
    let _unmount = SmallDisk(&disk);
    dir.import("small", &["--target-dir", "disk/old"]);
    let before = dir.listing();
    for more in [
        &["--target-dir", "disk/out"][..],
        &["--target-dir", "disk/out", "--as-parquetfile", "--compression-codec", "none"],
        &["--target-dir", "disk/deep/out", "-m", "1"],
        &["--target-dir", "disk/old", "--delete-target-dir"],
        &["--target-dir", "disk/old", "--append"],
    ] {
        let import = ["import", "--connect", "sqlite:t.db", "--table", "big"];
        let run = dir.run(&[&import, more].concat());
        assert_eq!(run.status, 1, "{more:?}: {}", run.stderr);
        assert!(
            run.stderr.contains("error: the target cannot be written: no space left on device"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("  hint: free some space there"), "{}", run.stderr);
        assert!(!run.stderr.contains("Retrieved"), "{}", run.stderr);
        assert_eq!(dir.listing(), before, "{more:?}");
    }
}
