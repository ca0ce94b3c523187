//! Memory is bounded by `--memory`, not by the size of the table: runs in a memory-limited group of
//! the kernel's, on tables ten times the limit, rows of 100 MB and as many columns as databases take.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::faults::private::Private;
use crate::servers::support::{Database, Server, duckdb};
use crate::support::{Dir, assert_complete, bytes, figure, long, parts, rsqoop, sized};

const MB: u64 = 1 << 20;

/// What `--memory` is without the flag.
const DEFAULT: u64 = 256 * MB;

/// A group of processes whose memory the kernel limits; gone when dropped.
struct Group {
    dir: PathBuf,
    peak: &'static str,
    failures: &'static str,
}

impl Group {
    /// `None` where this process may not make one.
    fn new(limit: u64) -> Option<Group> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("rsqoop-test-{}-{number}", std::process::id());
        let first = Path::new("/sys/fs/cgroup/memory");
        let second = Path::new("/sys/fs/cgroup");
        let (dir, file, peak, failures) = if first.join("memory.limit_in_bytes").exists() {
            let names =
                ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control");
            (first.join(name), names.0, names.1, names.2)
        } else {
            let _ = fs::write(second.join("cgroup.subtree_control"), "+memory");
            (second.join(name), "memory.max", "memory.peak", "memory.events")
        };
        fs::create_dir(&dir).ok()?;
        let group = Group { dir, peak, failures };
        fs::write(group.dir.join(file), limit.to_string()).ok()?;
        // Swapping would hide what is needed; not every kernel counts it.
        let _ = fs::write(group.dir.join("memory.swappiness"), "0");
        let _ = fs::write(group.dir.join("memory.swap.max"), "0");
        Some(group)
    }

    /// The most that was ever used, file caches included.
    fn peak(&self) -> Option<u64> {
        fs::read_to_string(self.dir.join(self.peak)).ok()?.trim().parse().ok()
    }

    /// Processes that the kernel ended for want of memory.
    fn killed(&self) -> u64 {
        let text = fs::read_to_string(self.dir.join(self.failures)).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("oom_kill "));
        line.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..100 {
            if fs::remove_dir(&self.dir).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What a run needed.
struct Needed {
    status: i32,
    stderr: String,
    /// The most memory of its own that it had at one time.
    resident: u64,
    /// In a group of the kernel's, or only watched.
    limited: bool,
}

/// Runs the program in a group of `limit` bytes.
fn run(limit: u64, dir: &Path, password: &str, args: &[&str]) -> Needed {
    let group = Group::new(limit);
    let own = rsqoop();
    let mut command = Command::new("sh");
    // The shell joins the group first, so that all of the program is counted.
    let join = group.as_ref().map_or_else(
        || "exec \"$0\" \"$@\"".to_string(),
        |g| format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", g.dir.display()),
    );
    command.args(["-c", &join]).arg(own.get_program()).args(args);
    crate::support::clean_environment(&mut command);
    command.env("RSQOOP_PASSWORD", password).current_dir(dir);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a shell");
    let status_file = format!("/proc/{}/status", child.id());
    let waiting = std::thread::spawn(move || child.wait_with_output().expect("it ends"));
    let mut resident = 0;
    while !waiting.is_finished() {
        let text = fs::read_to_string(&status_file).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
        resident = resident.max(kib.unwrap_or(0) << 10);
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = waiting.join().expect("no panic");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if let Some(group) = &group {
        assert_eq!(group.killed(), 0, "the kernel ended it at {limit} bytes\n{args:?}\n{stderr}");
        let used = group.peak().unwrap_or(0);
        assert!(used <= limit + MB, "the limit does not hold here: {used}");
    }
    Needed {
        status: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
        stderr,
        resident,
        limited: group.is_some(),
    }
}

impl Needed {
    #[track_caller]
    fn ok(self, what: &str, limit: u64) -> Needed {
        assert_eq!(self.status, 0, "{what}\n{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{what}\n{}", self.stderr);
        let how = if self.limited { "in a group of" } else { "watched, allowed" };
        figure(&format!("memory {what}: {} MB, {how} {} MB", self.resident / MB, limit / MB));
        assert!(self.resident <= limit, "{what}: {} MB of {}", self.resident / MB, limit / MB);
        self
    }
}

fn password(db: &Database) -> String {
    if db.server == Server::Sqlite { String::new() } else { db.server.address().password }
}

// ---- a table ten times the limit ----

/// Bytes of a row's text: 31 times a checksum, so that no two rows are alike.
const ROW: u64 = 992;

/// `--memory` of the runs, and what the kernel allows: a tenth more.
fn limits() -> (String, u64) {
    let memory = if long() { DEFAULT } else { 64 * MB };
    (format!("{}M", memory / MB), memory + memory / 10)
}

/// Rows of a table ten times the limit.
fn rows() -> u64 {
    limits().1 * 10 / ROW
}

const FORMATS: [&[&str]; 2] = [&["--as-textfile"], &["--as-parquetfile"]];

fn tenfold(db: &Database, what: &[&str], workers: &str) {
    let (memory, limit) = limits();
    for format in FORMATS {
        let out = db.path("out");
        let url = db.url();
        let mut args = vec!["import", "--connect", &url, "-m", workers, "--memory", &memory];
        args.extend(["--target-dir", out.to_str().expect("plain"), "--progress", "none"]);
        args.extend_from_slice(what);
        args.extend_from_slice(format);
        let label =
            format!("{:?} {} -m {workers} of {} MB", db.server, format[0], rows() * ROW / MB);
        run(limit, &db.path(""), &password(db), &args).ok(&label, limit);
        assert_eq!(assert_complete(&out), rows(), "{label}");
        fs::remove_dir_all(&out).expect("it is there");
    }
}

#[test]
fn a_postgres_table_ten_times_the_limit() {
    let db = Database::new(Server::Postgres, "tenfold_pg");
    db.sql(&format!(
        "CREATE UNLOGGED TABLE big AS SELECT i AS id, repeat(md5(i::text), 31) AS t FROM generate_series(1, {}) i;
         ALTER TABLE big ADD PRIMARY KEY (id);",
        rows()
    ));
    tenfold(&db, &["--table", "big"], "4");
    db.sql("DROP TABLE big;");
}

/// The rows are made by the query: these servers fill tables slowly.
#[test]
fn results_of_mysql_and_mariadb_ten_times_the_limit() {
    for server in Server::MYSQL_FAMILY {
        let db = Database::new(server, "tenfold_my");
        let numbers: Vec<String> = (1..=1000).map(|i| format!("({i})")).collect();
        db.sql(&format!(
            "CREATE TABLE n (i int PRIMARY KEY); INSERT INTO n VALUES {};",
            numbers.join(",")
        ));
        let query = format!(
            "SELECT a.i AS a, b.i AS b, repeat(left(sha2(a.i * 1000 + b.i + c.i * 10000000, 256), 32), 31) AS t
             FROM (SELECT i FROM n WHERE i <= {}) a, n b, (SELECT i FROM n WHERE i <= {}) c
             WHERE $CONDITIONS",
            rows() / 1000 / 4,
            4
        );
        tenfold_query(&db, &query, rows() / 1000 / 4 * 4 * 1000);
    }
}

#[test]
fn an_sqlite_result_ten_times_the_limit() {
    let db = Database::new(Server::Sqlite, "tenfold_lite");
    db.sql("CREATE TABLE t (i int);");
    let query = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
         SELECT i, hex(randomblob({})) AS t FROM n WHERE $CONDITIONS",
        rows(),
        ROW / 2
    );
    tenfold_query(&db, &query, rows());
}

fn tenfold_query(db: &Database, query: &str, rows: u64) {
    let (memory, limit) = limits();
    for format in FORMATS {
        let out = db.path("out");
        let url = db.url();
        let mut args = vec!["import", "--connect", &url, "-m", "1", "--memory", &memory];
        args.extend(["--target-dir", out.to_str().expect("plain"), "--progress", "none"]);
        args.extend(["--query", query]);
        args.extend_from_slice(format);
        let label = format!("{:?} {} -m 1 of {} MB", db.server, format[0], rows * ROW / MB);
        run(limit, &db.path(""), &password(db), &args).ok(&label, limit);
        assert_eq!(assert_complete(&out), rows, "{label}");
        fs::remove_dir_all(&out).expect("it is there");
    }
}

// ---- rows of 100 MB ----

const HUGE: u64 = 100 * MB;
const HUGE_ROWS: u64 = 4;

/// What rows of this size need beside `--memory`, as `docs/tuning.md` states it.
fn allowance(format: &str, workers: u64) -> u64 {
    let first = if format == "--as-parquetfile" { 11 } else { 5 };
    (first + 3 * (workers - 1)) * HUGE
}

fn huge_rows(url: &str, dir: &Path, password: &str, table: &str, server: Server) {
    for (format, workers) in [
        ("--as-textfile", 1),
        ("--as-textfile", 4),
        ("--as-parquetfile", 1),
        ("--as-parquetfile", 4),
    ] {
        let count = workers.to_string();
        let out = dir.join("out");
        let mut args = vec!["import", "--connect", url, "--table", table, "--split-by", "i"];
        args.extend(["-m", &count, format, "--progress", "none"]);
        args.extend(["--target-dir", out.to_str().expect("plain")]);
        args.extend(["--boundary-query", "SELECT 1, 4"]);
        let limit = DEFAULT + allowance(format, workers);
        let what = format!("{server:?} rows of 100 MB {format} -m {workers}");
        run(limit, dir, password, &args).ok(&what, limit);
        assert_eq!(assert_complete(&out), HUGE_ROWS, "{what}");
        if format == "--as-parquetfile" {
            assert_huge(&out, &what);
        } else {
            let size: u64 =
                parts(&out).iter().map(|p| fs::metadata(p).expect("a size").len()).sum();
            assert!(size >= HUGE_ROWS * HUGE, "{what}: {size} bytes");
        }
        fs::remove_dir_all(&out).expect("it is there");
    }
}

/// Every value has all its bytes, as another reader sees them.
fn assert_huge(out: &Path, what: &str) {
    let files: Vec<String> = parts(out).iter().map(|p| format!("'{}'", p.display())).collect();
    let sql = format!(
        "SELECT i::VARCHAR, octet_length(b)::VARCHAR FROM read_parquet([{}]) ORDER BY i",
        files.join(",")
    );
    let wanted: Vec<Vec<Option<String>>> =
        (1..=HUGE_ROWS).map(|i| vec![Some(i.to_string()), Some(HUGE.to_string())]).collect();
    assert_eq!(duckdb(&sql), wanted, "{what}");
}

#[test]
fn postgres_rows_of_100_mb() {
    let db = Database::new(Server::Postgres, "huge_pg");
    db.sql(&format!(
        "CREATE TABLE h (i int PRIMARY KEY, b bytea);
         INSERT INTO h SELECT i, convert_to(repeat(chr(64 + i), {HUGE}), 'UTF8') FROM generate_series(1, {HUGE_ROWS}) i;"
    ));
    huge_rows(&db.url(), &db.path(""), &password(&db), "h", Server::Postgres);
}

#[test]
fn mariadb_rows_of_100_mb() {
    let server = Private::new(Server::MariaDb, &["--max-allowed-packet=1G"]);
    server.sql(&format!(
        "CREATE TABLE n (i int PRIMARY KEY); INSERT INTO n VALUES (1), (2), (3), (4);
         CREATE VIEW h AS SELECT i, CAST(repeat(char(64 + i), {HUGE}) AS BINARY) AS b FROM n;"
    ));
    let dir = Dir::new();
    huge_rows(&server.url(), dir.root(), Private::password(), "h", Server::MariaDb);
}

#[test]
fn sqlite_rows_of_100_mb() {
    let db = Database::new(Server::Sqlite, "huge_lite");
    db.sql(&format!(
        "CREATE TABLE h (i INTEGER PRIMARY KEY, b BLOB);
         INSERT INTO h VALUES (1, zeroblob({HUGE})), (2, zeroblob({HUGE})), (3, zeroblob({HUGE})), (4, zeroblob({HUGE}));"
    ));
    huge_rows(&db.url(), &db.path(""), "", "h", Server::Sqlite);
}

// ---- many columns ----

/// Most columns of a table: PostgreSQL's and InnoDB's limits, and SQLite's as it is built.
fn most_columns(server: Server) -> usize {
    match server {
        Server::Postgres => 1600,
        Server::Sqlite => 2000,
        _ => 1017,
    }
}

fn wide(server: Server, test: &str) {
    let db = Database::new(server, test);
    let (columns, rows) = (most_columns(server), sized(2000_usize, 20_000));
    let names: Vec<String> = (1..columns).map(|c| format!("c{c} int")).collect();
    db.sql(&format!("CREATE TABLE w (id int PRIMARY KEY, {});", names.join(",")));
    let values: Vec<String> = (1..columns).map(|c| format!("i % {c}")).collect();
    let numbers: Vec<String> = (1..=rows).map(|i| format!("({i})")).collect();
    db.sql(&format!(
        "CREATE TABLE n (i int PRIMARY KEY); INSERT INTO n VALUES {};
         INSERT INTO w SELECT i, {} FROM n;",
        numbers.join(","),
        values.join(",")
    ));
    let limit = DEFAULT + DEFAULT / 10;
    for flags in [
        &["--as-textfile"][..],
        &["--as-textfile", "--compress"],
        &["--as-parquetfile"],
        &["--as-parquetfile", "--compression-codec", "zstd"],
    ] {
        let (url, out) = (db.url(), db.path("out"));
        let mut args = vec!["import", "--connect", &url, "--table", "w", "-m", "4"];
        args.extend(["--target-dir", out.to_str().expect("plain"), "--progress", "none"]);
        args.extend_from_slice(flags);
        let what = format!("{server:?} {columns} columns {flags:?}");
        run(limit, &db.path(""), &password(&db), &args).ok(&what, limit);
        assert_eq!(assert_complete(&out), rows as u64, "{what}");
        if flags == ["--as-textfile"] {
            let text = String::from_utf8(bytes(&out)).expect("UTF-8");
            let line = text.lines().find(|l| l.starts_with("1999,")).expect("row 1999");
            assert_eq!(line.split(',').count(), columns, "{what}");
            assert_eq!(line.split(',').nth(1000), Some("999"), "{what}");
        } else if flags[0] == "--as-parquetfile" {
            let sql = format!(
                "SELECT count(*)::VARCHAR, sum(c1000)::VARCHAR FROM read_parquet('{}/part-m-*')",
                out.display()
            );
            let sum: usize = (1..=rows).map(|i| i % 1000).sum();
            assert_eq!(duckdb(&sql), [[Some(rows.to_string()), Some(sum.to_string())]], "{what}");
        }
        fs::remove_dir_all(&out).expect("it is there");
    }
}

#[test]
fn as_many_columns_as_postgres_takes() {
    wide(Server::Postgres, "wide_pg");
}

#[test]
fn as_many_columns_as_mariadb_takes() {
    wide(Server::MariaDb, "wide_maria");
}

#[test]
fn as_many_columns_as_mysql_takes() {
    wide(Server::MySql, "wide_my");
}

#[test]
fn as_many_columns_as_sqlite_takes() {
    wide(Server::Sqlite, "wide_lite");
}
