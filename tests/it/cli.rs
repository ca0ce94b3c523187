//! Help texts, error messages and exit statuses: what a person at the command line sees.
//!
//! Messages are kept as snapshots, so that a change of words is seen in review. Whatever the
//! mistake: a few lines on standard error, nothing on standard output, nothing made or changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::support::{Dir, PASSWORD, Run, clean_environment, is_root, run};

/// Lines a message may have.
const LINES_MAX: usize = 20;

/// A table without a key, one with a key of two columns, one with every name that misleads.
const TABLES: &str = "
    CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, note TEXT);
    INSERT INTO orders VALUES (1, 'Ada', NULL), (2, 'Bob', 'x');
    CREATE TABLE order_lines (order_id INTEGER, line INTEGER, PRIMARY KEY (order_id, line));
    CREATE TABLE loose (a INTEGER, b TEXT);
    CREATE TABLE docs (id INTEGER PRIMARY KEY, body JSON);";

/// Runs mistakes one after the other and keeps what they print.
struct Transcript {
    dir: Dir,
    text: String,
}

impl Transcript {
    fn new() -> Self {
        Transcript { dir: Dir::with_db(TABLES), text: String::new() }
    }

    /// Runs a mistake and checks all that every mistake has in common.
    fn mistake(&mut self, status: i32, args: &[&str]) {
        let before = self.dir.listing();
        let run = self.dir.run(args);
        assert_eq!(self.dir.listing(), before, "{args:?} changed the directory");
        self.keep(status, args, &run);
    }

    fn keep(&mut self, status: i32, args: &[&str], run: &Run) {
        assert_eq!(run.status, status, "{args:?}\n{}", run.stderr);
        assert_eq!(run.stdout, "", "{args:?}");
        assert!(run.stderr.lines().count() <= LINES_MAX, "{args:?}\n{}", run.stderr);
        for word in ["panicked", "backtrace", "RUST_BACKTRACE", "os error", PASSWORD] {
            assert!(!run.stderr.contains(word), "{args:?}: {word} in\n{}", run.stderr);
        }
        let shown: Vec<String> = args.iter().map(|a| quoted(a)).collect();
        let shown = shown.join(" ").replace(PASSWORD, "PASSWORD");
        self.text += &format!("$ rsqoop {shown}\n{}exit {status}\n\n", run.stderr);
    }

    /// A mistake in the flags of an otherwise good import of `orders` into `out`.
    fn import(&mut self, status: i32, more: &[&str]) {
        let import = ["import", "--connect", "sqlite:t.db", "--table", "orders"];
        self.mistake(status, &[&import, more].concat());
    }
}

fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=:/.,@+?&%".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_string()
    } else {
        format!("'{argument}'")
    }
}

#[test]
fn help_texts() {
    let dir = Dir::new();
    for (name, args) in [
        ("help", &["--help"][..]),
        ("help_import", &["import", "--help"]),
        ("help_plan", &["plan", "--help"]),
        ("help_eval", &["eval", "--help"]),
        ("help_list_databases", &["list-databases", "--help"]),
        ("help_list_tables", &["list-tables", "--help"]),
    ] {
        let run = dir.ok(args);
        assert_eq!(run.stderr, "");
        assert!(run.stdout.lines().all(|l| l.chars().count() <= 100), "{name} is too wide");
        assert_snapshot!(name, run.stdout);
    }
    let import = dir.ok(&["import", "--help"]).stdout;
    let usage = |text: &str| text.split_once("Usage:").map(|(_, rest)| rest.to_string());
    for (args, title) in [
        (&["help", "import"][..], "rsqoop import"),
        (&["plan", "import", "--help"], "rsqoop plan import"),
    ] {
        let same = usage(&dir.ok(args).stdout).unwrap().replace(title, "rsqoop import");
        assert_eq!(same, usage(&import).unwrap(), "{args:?} shows the flags of import");
    }
    assert_eq!(dir.listing(), [""; 0]);
}

#[test]
fn version_is_one_line_on_standard_output() {
    let dir = Dir::new();
    let expected = format!("rsqoop {}\n", env!("CARGO_PKG_VERSION"));
    for args in [&["version"][..], &["--version"], &["-V"]] {
        let run = dir.ok(args);
        assert_eq!((run.stdout, run.stderr), (expected.clone(), String::new()), "{args:?}");
    }
}

#[test]
fn unknown_flags_and_tools() {
    let mut t = Transcript::new();
    t.mistake(2, &[]);
    t.mistake(2, &["improt"]);
    t.import(2, &["--tagret-dir", "out"]);
    t.import(2, &["--target-dir", "out", "--frobnicate"]);
    t.import(2, &["--target-dir", "out", "--num-mapers", "4"]);
    t.import(2, &["--target-dir"]);
    t.import(2, &["--target-dir", "out", "stray"]);
    t.mistake(2, &["import", "--table", "orders", "--target-dir", "out"]);
    t.mistake(2, &["import", "--connect", "sqlite:t.db", "--target-dir", "out"]);
    t.mistake(2, &["plan"]);
    assert_snapshot!("unknown_flags", t.text);
}

#[test]
fn names_that_do_not_exist_come_with_near_ones() {
    let mut t = Transcript::new();
    let out = ["--target-dir", "out"];
    let table = |name| ["import", "--connect", "sqlite:t.db", "--table", name, out[0], out[1]];
    t.mistake(2, &table("ordres"));
    t.mistake(2, &table("zzz"));
    t.mistake(2, &table("main.ordres"));
    t.mistake(2, &table("nowhere.orders"));
    t.mistake(2, &table(""));
    t.import(2, &["--target-dir", "out", "--columns", "id,custmer"]);
    t.import(2, &["--target-dir", "out", "--columns", "id,id"]);
    t.import(2, &["--target-dir", "out", "--columns", ","]);
    t.import(2, &["--target-dir", "out", "--split-by", "idd"]);
    t.import(2, &["--target-dir", "out", "--where", "custmer = 'Ada'"]);
    t.import(2, &["--target-dir", "out", "--where", "customer = "]);
    let docs = ["import", "--connect", "sqlite:t.db", "--table", "docs", "--target-dir", "out"];
    t.mistake(2, &[&docs[..], &["--split-by", "body"]].concat());
    assert_snapshot!("unknown_names", t.text);
}

#[test]
fn queries_that_cannot_work() {
    let mut t = Transcript::new();
    let query = |sql, more: &[&'static str]| {
        let start = ["import", "--connect", "sqlite:t.db", "--query", sql];
        [&start[..], more].concat()
    };
    let good = "SELECT id, customer FROM orders WHERE $CONDITIONS";
    let out = ["--target-dir", "out"];
    t.mistake(2, &query("SELECT * FROM orders", &out));
    t.mistake(2, &query(good, &[]));
    t.mistake(2, &query("SELECT * FROM ordres WHERE $CONDITIONS", &out));
    t.mistake(2, &query("SELEC * FROM orders WHERE $CONDITIONS", &out));
    t.mistake(2, &query("DELETE FROM orders WHERE $CONDITIONS", &out));
    t.mistake(2, &query(good, &["--target-dir", "out", "--split-by", "idd"]));
    t.mistake(2, &query("SELECT id AS a, note AS a FROM orders WHERE $CONDITIONS", &out));
    assert_snapshot!("queries", t.text);
    assert_eq!(t.dir.sqlite("t.db", "SELECT count(*) FROM orders"), "2\n");
}

#[test]
fn contradicting_flags_are_both_named() {
    let mut t = Transcript::new();
    let file = t.dir.path("pw");
    fs::write(&file, PASSWORD).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let table = ["import", "--connect", "sqlite:t.db", "--table", "orders", "--target-dir", "out"];
    let query = ["import", "--connect", "sqlite:t.db", "--target-dir", "out"];
    let good = "SELECT id FROM orders WHERE $CONDITIONS";
    for (base, more, named) in [
        (&table[..], &["--query", good][..], ["--table", "--query"]),
        (&table, &["--warehouse-dir", "w"], ["--target-dir", "--warehouse-dir"]),
        (&table, &["--append", "--delete-target-dir"], ["--append", "--delete-target-dir"]),
        (&table, &["--as-textfile", "--as-parquetfile"], ["--as-textfile", "--as-parquetfile"]),
        (&table, &["--verbose", "--quiet"], ["--verbose", "--quiet"]),
        (
            &table,
            &["--hive-drop-import-delims", "--hive-delims-replacement", " "],
            ["--hive-drop-import-delims", "--hive-delims-replacement"],
        ),
        (
            &table,
            &["--split-by", "id", "--autoreset-to-one-mapper"],
            ["--split-by", "--autoreset-to-one-mapper"],
        ),
        (&table, &["--password-file", "pw", "-P"], ["--password-file", "-P"]),
        (
            &table,
            &["--password-file", "pw", "--password", PASSWORD],
            ["--password-file", "--password"],
        ),
        (&table, &["--password", PASSWORD, "-P"], ["--password", "-P"]),
        (&query, &["--query", good, "--where", "id > 1"], ["--query", "--where"]),
        (
            &query,
            &["--query", good, "--boundary-query", "SELECT 1, 2"],
            ["--boundary-query", "--split-by"],
        ),
        (
            &table,
            &["--fields-terminated-by", "|", "--lines-terminated-by", "|"],
            ["--fields-terminated-by", "--lines-terminated-by"],
        ),
        (&table, &["--enclosed-by", "'", "--escaped-by", "'"], ["--enclosed-by", "--escaped-by"]),
    ] {
        let args = [base, more].concat();
        let start = t.text.len();
        t.mistake(2, &args);
        let message = t.text[start..].split_once('\n').unwrap().1;
        for flag in named {
            assert!(message.contains(flag), "{flag} is not named in\n{message}");
        }
    }
    assert_snapshot!("contradictions", t.text);
}

#[test]
fn values_of_flags_that_make_no_sense() {
    let mut t = Transcript::new();
    for more in [
        &["--compression-codec", "lzo"][..],
        &["--as-parquetfile", "--compression-codec", "bzip2"],
        &["--fields-terminated-by", ""],
        &["--fields-terminated-by", r"\q"],
        &["--lines-terminated-by", r"\095"],
        &["--escaped-by", r"\0x9K5"],
        &["--null-string", r"\q"],
        &["--compat", "sqoop2"],
        &["--progress", "dots"],
        &["--map-column", "id"],
        &["--map-column", "id=colour"],
        &["--map-column", "idd=string"],
        &["--map-column", "id=string", "--map-column-java", "id=Long"],
        &["--map-column-java", "id=java.util.UUID"],
        &["-m", "many"],
        &["-m", "1000"],
        &["--fetch-size", "many"],
        &["--split-limit", "x"],
    ] {
        t.import(2, &[&["--target-dir", "out"], more].concat());
    }
    assert_snapshot!("flag_values", t.text);
}

/// Sqoop's command line takes one dash before a long flag, and values that begin with one.
#[test]
fn flags_may_be_spelled_as_for_sqoop() {
    let dir = Dir::with_db(TABLES);
    let flags: [&[&str]; 4] = [
        &["-connect", "sqlite:t.db", "-table=orders", "-target-dir", "a", "-m", "1"],
        &["--connect=sqlite:t.db", "--table=orders", "--target-dir=a", "-m1"],
        &["--connect", "sqlite:t.db", "--table", "orders", "--target-dir", "a", "--m", "1"],
        &["-connect=sqlite:t.db", "-table", "orders", "-target-dir", "a", "-num-mappers", "1"],
    ];
    for spelling in flags {
        let run = dir.ok(&[&["import"], spelling].concat());
        assert!(run.stderr.contains("Retrieved 2 records."), "{}", run.stderr);
        fs::remove_dir_all(dir.path("a")).unwrap();
    }
    let minus = ["--target-dir", "b", "--where", "-id < -1", "--fetch-size", "-2147483648"];
    assert!(dir.import("orders", &minus).stderr.contains("Retrieved 1 records."));
    let query = "-- all\nSELECT id FROM orders WHERE $CONDITIONS";
    dir.ok(&["import", "--connect", "sqlite:t.db", "-e", query, "--target-dir", "c"]);
    assert!(
        dir.ok(&["eval", "-connect", "sqlite:t.db", "-e", "-- x\nSELECT 1"]).stdout.contains("| 1")
    );
}

/// A reader that has seen enough ends the statement, quietly.
#[test]
fn eval_stops_when_nobody_reads() {
    let dir = Dir::with_db(TABLES);
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let mut command = dir.command(&["eval", "--connect", "sqlite:t.db", "--query", endless]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = [0; 10];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// A run whose report could not be written would be done and look failed.
#[test]
fn a_report_that_cannot_be_written_is_told_before_the_run() {
    let dir = Dir::with_db(TABLES);
    let before = dir.listing();
    for file in ["no/such/report.json", "."] {
        let import = ["import", "--connect", "sqlite:t.db", "--table", "orders"];
        let more = ["--target-dir", "out", "--report", file];
        let run = dir.run(&[&import[..], &more].concat());
        assert_eq!(run.status, 2, "{}", run.stderr);
        assert!(run.stderr.contains("the report cannot be written"), "{}", run.stderr);
        assert_eq!(dir.listing(), before);
    }
    dir.import("orders", &["--target-dir", "out", "--report", "out/_report.json"]);
    assert!(dir.path("out/_report.json").exists());
}

/// Ctrl-C while the password is typed ends the program and gives the terminal its echo back.
#[test]
fn ctrl_c_at_the_password_prompt_leaves_a_usable_terminal() {
    let dir = Dir::with_db(TABLES);
    let line = format!(
        "'{}' list-tables --connect sqlite:t.db -P; echo status=$?; stty -a",
        env!("CARGO_BIN_EXE_rsqoop")
    );
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(dir.root());
    clean_environment(&mut command);
    command.env("TERM", "xterm").env("SHELL", "/bin/sh");
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut keys = child.stdin.take().unwrap();
    // The key must not come before the prompt, which the terminal would answer with a signal.
    let mut seen = Vec::new();
    let out = child.stdout.as_mut().unwrap();
    while !seen.ends_with(b"Enter password: ") {
        let mut byte = [0];
        std::io::Read::read_exact(out, &mut byte).unwrap();
        seen.push(byte[0]);
    }
    std::io::Write::write_all(&mut keys, b"geh\x03").unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(out, &mut rest).unwrap();
    drop(keys);
    child.wait().unwrap();
    assert!(!rest.contains("geh"), "{rest}");
    assert!(rest.contains("status=130"), "{rest}");
    assert!(rest.split_whitespace().any(|word| word == "echo"), "{rest}");
    assert!(rest.split_whitespace().any(|word| word == "isig"), "{rest}");
}

#[test]
fn urls_that_lead_nowhere() {
    let mut t = Transcript::new();
    let import = |url| ["import", "--connect", url, "--table", "orders", "--target-dir", "out"];
    for (status, url) in [
        (2, ""),
        (2, "shop"),
        (2, "postgresql:joe:geheim-7f3a9@db/shop"),
        (2, "postgresql://joe:geheim-7f3a9@db:70000/shop"),
        (2, "postgresql://joe:geheim-7f3a9@db:5432,other:5432/shop"),
        (2, "oracle://joe:geheim-7f3a9@db/shop"),
        (2, "jdbc:oracle:thin:joe/geheim-7f3a9@db:1521:shop"),
        (2, "jdbc:sqlserver://db:1433;databaseName=shop;password=geheim-7f3a9"),
        (2, "sqlite:"),
        (2, "sqlite::memory:"),
        (2, "sqlite:t.db?mode=memory"),
        (3, "sqlite:missing.db"),
        (3, "sqlite:no/such/folder/missing.db"),
        (3, "sqlite:."),
        (3, "jdbc:sqlite:missing.db"),
    ] {
        t.mistake(status, &import(url));
    }
    fs::write(
        t.dir.path("text.db"),
        "This is not a database, whatever its name may say.\n".repeat(40),
    )
    .unwrap();
    t.mistake(3, &import("sqlite:text.db"));
    t.mistake(3, &["list-tables", "--connect", "sqlite:missing.db"]);
    t.mistake(3, &["eval", "--connect", "sqlite:missing.db", "--query", "CREATE TABLE x (a)"]);
    t.mistake(2, &["eval", "--connect", "sqlite:t.db", "--query", "SELEC 1"]);
    assert_snapshot!("urls", t.text);
}

#[test]
fn an_unknown_url_parameter_is_named_in_a_warning() {
    let dir = Dir::with_db(TABLES);
    let url = "sqlite:t.db?mode=ro&colour=geheim-7f3a9";
    let run = dir.ok(&["import", "--connect", url, "--table", "orders", "--target-dir", "out"]);
    let warnings: Vec<&str> = run.stderr.lines().filter(|l| l.starts_with("warning:")).collect();
    assert_snapshot!("unknown_url_parameter", warnings.join("\n"));
    assert!(!run.stderr.contains(PASSWORD), "{}", run.stderr);
}

#[test]
fn password_files_that_cannot_be_used() {
    let mut t = Transcript::new();
    fs::create_dir(t.dir.path("folder")).unwrap();
    fs::write(t.dir.path("long"), "x".repeat(70_000)).unwrap();
    fs::write(t.dir.path("binary"), [0xFF, 0xFE, b'x']).unwrap();
    for file in ["long", "binary"] {
        fs::set_permissions(t.dir.path(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
    for file in ["missing", "folder", "long", "binary"] {
        t.import(2, &["--target-dir", "out", "--password-file", file]);
    }
    // Without a terminal there is nobody to ask.
    let mut command = std::process::Command::new("setsid");
    command.args(["-w", env!("CARGO_BIN_EXE_rsqoop")]);
    clean_environment(&mut command);
    let args =
        ["import", "--connect", "sqlite:t.db", "--table", "orders", "--target-dir", "out", "-P"];
    command.args(args).current_dir(t.dir.root());
    let asked = run(command);
    t.keep(2, &args, &asked);
    assert_snapshot!("password_files", t.text);
}

#[test]
fn a_password_file_that_others_can_read_gets_a_warning() {
    let dir = Dir::with_db(TABLES);
    fs::write(dir.path("pw"), PASSWORD).unwrap();
    fs::set_permissions(dir.path("pw"), fs::Permissions::from_mode(0o644)).unwrap();
    let run = dir.import("orders", &["--target-dir", "out", "--password-file", "pw"]);
    assert!(run.stderr.contains("warning: the password file pw can be read by others"));
    assert!(!run.stderr.contains(PASSWORD));
}

#[test]
fn targets_that_cannot_be_made() {
    let mut t = Transcript::new();
    fs::create_dir_all(t.dir.path("there/empty")).unwrap();
    fs::write(t.dir.path("file"), "x").unwrap();
    std::os::unix::fs::symlink("nowhere", t.dir.path("dangling")).unwrap();
    for target in ["there", "there/empty", "file", "file/out", "dangling", "/", ".", ".."] {
        t.import(2, &["--target-dir", target]);
    }
    t.import(2, &["--target-dir", "file", "--append"]);
    t.import(2, &["--target-dir", "file", "--delete-target-dir"]);
    t.import(2, &["--target-dir", ""]);
    t.import(2, &["--warehouse-dir", "file"]);
    // Nothing is contacted for a target that cannot be: the database is not even looked for.
    t.mistake(
        2,
        &["import", "--connect", "sqlite:missing.db", "--table", "x", "--target-dir", "there"],
    );
    assert_snapshot!("targets", t.text);
}

#[test]
fn a_target_without_write_right() {
    let dir = Dir::with_db(TABLES);
    let locked = dir.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    let args = ["import", "--connect", "sqlite:t.db", "--table", "orders", "--target-dir"];
    let before = dir.listing();
    for target in ["locked/out", "locked/deep/er/out"] {
        let run = run(as_nobody(&dir, &[&args[..], &[target]].concat()));
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{}", run.stderr);
        assert!(run.stderr.contains("permission denied"), "{}", run.stderr);
        assert!(run.stderr.contains("  directory: locked\n"), "{}", run.stderr);
    }
    let now: Vec<String> =
        dir.listing().into_iter().filter(|l| !l.starts_with("rsqoop ")).collect();
    assert_eq!(now, before);
}

/// The program as a user to whom permissions mean something.
fn as_nobody(dir: &Dir, args: &[&str]) -> std::process::Command {
    if !is_root() {
        return dir.command(args);
    }
    fs::set_permissions(dir.root(), fs::Permissions::from_mode(0o755)).unwrap();
    // The build directory may be closed to others.
    if !dir.path("rsqoop").exists() {
        fs::copy(env!("CARGO_BIN_EXE_rsqoop"), dir.path("rsqoop")).unwrap();
    }
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    command.arg(dir.path("rsqoop")).args(args).current_dir(dir.root());
    clean_environment(&mut command);
    command
}

#[test]
fn a_stored_value_of_another_class_is_refused_with_its_row() {
    let dir = Dir::with_db(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, d DATE);
         INSERT INTO t VALUES (1, 5, '2024-02-29'), (2, 'five', '2024-02-29'), (3, 1, '2024-02-30');",
    );
    let mut t = Transcript { dir, text: String::new() };
    let import = ["import", "--connect", "sqlite:t.db", "--table", "t", "--target-dir", "out"];
    t.mistake(1, &[&import[..], &["--where", "id < 3", "-m", "1"]].concat());
    t.mistake(1, &[&import[..], &["--where", "id <> 2", "-m", "1"]].concat());
    assert_snapshot!("bad_values", t.text);
    // The hint of the message works.
    t.dir.import("t", &["--target-dir", "out", "--map-column", "n=string", "--where", "id < 3"]);
}

#[test]
fn eval_and_the_lists_print_as_sqoop_does() {
    let dir = Dir::with_db(TABLES);
    let tables = dir.ok(&["list-tables", "--connect", "sqlite:t.db"]);
    let mut tables_there: Vec<&str> = tables.stdout.lines().collect();
    tables_there.sort_unstable();
    assert_eq!(tables_there, ["docs", "loose", "order_lines", "orders"]);
    assert_eq!(tables.stderr, "");
    let sql = "SELECT id, customer, note FROM orders ORDER BY id";
    let eval = dir.ok(&["eval", "--connect", "sqlite:t.db", "--query", sql]);
    assert_snapshot!("eval", eval.stdout);
    assert_eq!(eval.stderr, "");
    let sql = "UPDATE orders SET note = 'y' WHERE id = 1";
    let eval = dir.ok(&["eval", "--connect", "sqlite:t.db", "--query", sql]);
    assert_eq!((eval.stdout.as_str(), eval.stderr.as_str()), ("", "1 row(s) updated.\n"));
    assert_eq!(dir.sqlite("t.db", "SELECT note FROM orders WHERE id = 1"), "y\n");
    let databases = dir.ok(&["list-databases", "--connect", "sqlite:t.db"]);
    assert!(databases.stdout.starts_with("main"), "{}", databases.stdout);
}
