//! What the server tests share: databases of their own on the four servers, runs of the program, and
//! the independent reader. Expects the environment that `tests/servers` makes and fails without it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Seconds after which a run counts as hanging; `timeout` then ends it with status 124.
const RUN_SECONDS: &str = "120";

/// The four kinds of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Postgres,
    MariaDb,
    MySql,
    Sqlite,
}

impl Server {
    pub(crate) const ALL: [Server; 4] =
        [Server::Postgres, Server::MariaDb, Server::MySql, Server::Sqlite];
    pub(crate) const NETWORK: [Server; 3] = [Server::Postgres, Server::MariaDb, Server::MySql];
    pub(crate) const MYSQL_FAMILY: [Server; 2] = [Server::MariaDb, Server::MySql];

    pub(crate) fn variable(self) -> &'static str {
        match self {
            Server::Postgres => "RSQOOP_TEST_PG",
            Server::MariaDb => "RSQOOP_TEST_MARIADB",
            Server::MySql => "RSQOOP_TEST_MYSQL",
            Server::Sqlite => "RSQOOP_TEST_SQLITE",
        }
    }

    /// The administrator's URL from the environment, in pieces.
    pub(crate) fn address(self) -> Address {
        let url = env(self.variable());
        let parse = || {
            let (scheme, rest) = url.split_once("://")?;
            let (login, place) = rest.split_once('@')?;
            let (user, password) = login.split_once(':')?;
            let (host, port) = place.split_once('/')?.0.rsplit_once(':')?;
            Some(Address {
                scheme: scheme.to_string(),
                user: user.to_string(),
                password: password.to_string(),
                host: host.to_string(),
                port: port.to_string(),
            })
        };
        parse().unwrap_or_else(|| {
            panic!("{} is no scheme://user:password@host:port/db", self.variable())
        })
    }

    pub(crate) fn socket(self) -> String {
        env(&format!("{}_SOCKET", self.variable()))
    }

    pub(crate) fn is_mysql_family(self) -> bool {
        matches!(self, Server::MariaDb | Server::MySql)
    }
}

/// Where a server listens and who rules it.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) scheme: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) host: String,
    pub(crate) port: String,
}

/// A variable of the environment that `tests/servers` makes.
pub(crate) fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run the tests by tests/run, or source what `tests/run servers` prints")
    })
}

/// A fresh, empty database of one test, and a folder for its files.
pub(crate) struct Database {
    pub(crate) server: Server,
    pub(crate) name: String,
    dir: TempDir,
}

impl Database {
    pub(crate) fn new(server: Server, test: &str) -> Database {
        let dir = TempDir::new().expect("a temporary folder can be made");
        let db = Database { server, name: format!("it_{test}"), dir };
        let name = &db.name;
        match server {
            Server::Postgres => {
                let sql = format!(
                    "DROP DATABASE IF EXISTS {name} WITH (FORCE);\nCREATE DATABASE {name};\n"
                );
                run_client(psql("postgres"), &sql);
            }
            Server::MariaDb | Server::MySql => {
                let sql = format!(
                    "DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb4;"
                );
                run_client(mysql(server, ""), &sql);
            }
            Server::Sqlite => {}
        }
        db
    }

    /// Runs statements as the administrator and gives what they print: rows in lines, fields
    /// between tabs.
    pub(crate) fn sql(&self, script: &str) -> String {
        run_client(self.client(), script)
    }

    /// The database's own command line program, reading statements from its standard input.
    pub(crate) fn client(&self) -> Command {
        match self.server {
            Server::Postgres => psql(&self.name),
            Server::MariaDb | Server::MySql => mysql(self.server, &self.name),
            Server::Sqlite => {
                let mut command = Command::new("sqlite3");
                command.args(["-batch", "-bail", "-tabs"]).arg(self.file());
                command
            }
        }
    }

    /// The SQLite file.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("source.db")
    }

    /// A path in this test's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The URL of this database as the administrator, without password.
    pub(crate) fn url(&self) -> String {
        if self.server == Server::Sqlite {
            return format!("sqlite:{}", self.file().display());
        }
        let Address { scheme, user, host, port, .. } = self.server.address();
        format!("{scheme}://{user}@{host}:{port}/{}", self.name)
    }

    /// Imports into `out` of this test's folder.
    pub(crate) fn import(&self, out: &str, args: &[&str]) -> Run {
        self.import_from(&self.url(), out, args)
    }

    /// As [`import`](Self::import), connecting by another URL to the same server.
    pub(crate) fn import_from(&self, url: &str, out: &str, args: &[&str]) -> Run {
        let target = self.path(out);
        let text = target.display().to_string();
        let mut all = vec!["import", "--connect", url, "--target-dir", &text, "--progress", "none"];
        all.extend_from_slice(args);
        let mut run = self.rsqoop(&all);
        run.target = target;
        run
    }

    /// Runs the program with the administrator's password in its environment.
    pub(crate) fn rsqoop(&self, args: &[&str]) -> Run {
        match self.server {
            Server::Sqlite => rsqoop(args, None),
            server => rsqoop(args, Some(&server.address().password)),
        }
    }

    /// A name as this database quotes it.
    pub(crate) fn quote(&self, name: &str) -> String {
        match self.server.is_mysql_family() {
            true => format!("`{}`", name.replace('`', "``")),
            false => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }
}

fn psql(database: &str) -> Command {
    let address = Server::Postgres.address();
    let mut command = Command::new("psql");
    command
        .args(["-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-f", "-"])
        .args(["-h", &address.host, "-p", &address.port, "-U", &address.user, "-d", database])
        .env("PGPASSWORD", &address.password)
        .env("PGOPTIONS", "-c client_min_messages=warning -c timezone=UTC");
    command
}

/// MariaDB's client speaks to both.
fn mysql(server: Server, database: &str) -> Command {
    let address = server.address();
    let mut command = Command::new("mariadb");
    command
        .args(["--no-defaults", "-BN", "--local-infile=1", "--default-character-set=utf8mb4"])
        .arg("--init-command=SET time_zone='+00:00'")
        .args(["-h", &address.host, "-P", &address.port, "-u", &address.user])
        .env("MYSQL_PWD", &address.password);
    if !database.is_empty() {
        command.arg(database);
    }
    command
}

fn run_client(mut command: Command, script: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{:?} cannot be started: {e}", command.get_program()));
    let mut stdin = child.stdin.take().expect("it is piped");
    let text = script.to_string();
    // A client may stop reading early; its message says why.
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).is_ok());
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it does not panic");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{:?}: {error}\nin {:.2000}", command.get_program(), script);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// One finished run of the program.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) target: PathBuf,
    command: String,
}

/// The program, not yet started.
pub(crate) fn program(args: &[&str], password: Option<&str>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", RUN_SECONDS, env!("CARGO_BIN_EXE_rsqoop")]).args(args);
    command.stdin(Stdio::null()).env_remove("RSQOOP_PASSWORD");
    if let Some(password) = password {
        command.env("RSQOOP_PASSWORD", password);
    }
    command
}

/// Runs the program. Whatever happens it may not panic, and may not show the password.
pub(crate) fn rsqoop(args: &[&str], password: Option<&str>) -> Run {
    let output = program(args, password).output().expect("`timeout` of coreutils is there");
    let run = Run::from_output(&output, args, PathBuf::new());
    if let Some(password) = password.filter(|p| p.len() > 3) {
        assert!(!run.stdout.contains(password), "the password is shown by {}", run.command);
        assert!(!run.stderr.contains(password), "the password is shown by {}", run.command);
    }
    assert!(!run.stderr.contains("panicked"), "{}", run.story());
    run
}

impl Run {
    pub(crate) fn from_output(output: &Output, args: &[&str], target: PathBuf) -> Run {
        Run {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            target,
            command: args.join(" "),
        }
    }

    /// The command and what came of it, for messages.
    pub(crate) fn story(&self) -> String {
        format!("rsqoop {}\nexit {}\n{}{}", self.command, self.status, self.stdout, self.stderr)
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Run {
        assert_eq!(self.status, 0, "{}", self.story());
        self
    }

    /// Failed with a status and a message that holds all of `words`; nothing was published.
    #[track_caller]
    pub(crate) fn refused(self, status: i32, words: &[&str]) -> Run {
        assert_eq!(self.status, status, "{}", self.story());
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is missing:\n{}", self.story());
        }
        assert!(self.stderr.lines().count() <= 20, "more than 20 lines:\n{}", self.story());
        if !self.target.as_os_str().is_empty() {
            assert!(!self.target.exists(), "something was published:\n{}", self.story());
        }
        self
    }

    /// As [`refused`](Self::refused), with whatever status but success.
    #[track_caller]
    pub(crate) fn refused_any(self, words: &[&str]) -> Run {
        let status = self.status;
        assert!([1, 2, 3].contains(&status), "{}", self.story());
        self.refused(status, words)
    }

    /// Records by Sqoop's closing line.
    #[track_caller]
    pub(crate) fn records(&self) -> u64 {
        let find = || {
            let (_, rest) = self.stderr.split_once("Retrieved ")?;
            rest.split_once(" records.")?.0.parse().ok()
        };
        find().unwrap_or_else(|| panic!("no record count:\n{}", self.story()))
    }

    /// The Parquet files as the independent reader sees them.
    #[track_caller]
    pub(crate) fn read(&self) -> Files {
        let answer = ask(&json!({"op": "read", "dir": self.target}));
        Files::from_answer(&answer)
    }

    #[track_caller]
    pub(crate) fn digest(&self) -> Digest {
        digest(&self.target)
    }

    /// All text files, one after the other.
    pub(crate) fn text(&self) -> Vec<u8> {
        part_files(&self.target)
            .into_iter()
            .flat_map(|p| fs::read(p).expect("the file can be read"))
            .collect()
    }
}

/// The part files of a dataset in order.
pub(crate) fn part_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("part-m-")))
        .collect();
    files.sort();
    files
}

/// Counts and hashes the Parquet files of a directory.
#[track_caller]
pub(crate) fn digest(dir: &Path) -> Digest {
    let answer = ask(&json!({"op": "digest", "dir": dir}));
    Digest {
        files: number(&answer["files"]),
        rows: number(&answer["rows"]),
        digest: text(&answer["digest"]),
    }
}

/// What a dataset holds: counted and hashed, rows in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) files: usize,
    pub(crate) rows: usize,
    pub(crate) digest: String,
}

/// A Parquet dataset by the independent reader.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) files: usize,
    pub(crate) columns: Vec<FileColumn>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

#[derive(Debug)]
pub(crate) struct FileColumn {
    pub(crate) name: String,
    /// Parquet's physical and logical type.
    pub(crate) parquet: String,
    pub(crate) required: bool,
    pub(crate) native: String,
}

impl Files {
    fn from_answer(answer: &Value) -> Files {
        let columns = answer["columns"].as_array().expect("columns").iter();
        Files {
            files: number(&answer["files"]),
            rows: texts(&answer["rows"]),
            columns: columns
                .map(|c| FileColumn {
                    name: text(&c["name"]),
                    parquet: text(&c["type"]),
                    required: c["required"] == true,
                    native: text(&c["native"]),
                })
                .collect(),
        }
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|c| c.name.as_str()).collect()
    }

    /// Rows in the order of their first column's text.
    pub(crate) fn sorted(mut self) -> Vec<Vec<Option<String>>> {
        self.rows.sort();
        self.rows
    }

    /// All values of a column, NULL as `NULL`.
    pub(crate) fn column(&self, name: &str) -> Vec<String> {
        let index = self.columns.iter().position(|c| c.name == name).expect("the column exists");
        self.rows.iter().map(|r| r[index].clone().unwrap_or_else(|| "NULL".into())).collect()
    }

    /// Parquet's type of a column.
    pub(crate) fn type_of(&self, name: &str) -> &str {
        let column = self.columns.iter().find(|c| c.name == name).expect("the column exists");
        &column.parquet
    }
}

fn number(value: &Value) -> usize {
    value.as_u64().and_then(|n| usize::try_from(n).ok()).expect("a count")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_string()
}

fn texts(value: &Value) -> Vec<Vec<Option<String>>> {
    let row = |row: &Value| {
        let cells = row.as_array().expect("a row").iter();
        cells.map(|cell| cell.as_str().map(str::to_string)).collect()
    };
    value.as_array().expect("rows").iter().map(row).collect()
}

/// Rows of a DuckDB query, over files and with DuckDB's own readers.
pub(crate) fn duckdb(sql: &str) -> Vec<Vec<Option<String>>> {
    texts(&ask(&json!({"op": "query", "sql": sql}))["rows"])
}

/// One reader process for all tests: starting Python takes longer than most questions. It ends when
/// its standard input does.
struct Reader {
    _child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

#[track_caller]
fn ask(request: &Value) -> Value {
    static READER: OnceLock<Mutex<Reader>> = OnceLock::new();
    let reader = READER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/servers/reader.py");
        let mut child = Command::new(env("RSQOOP_TEST_PYTHON"))
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("RSQOOP_TEST_PYTHON is a Python");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Mutex::new(Reader { _child: child, stdin, stdout })
    });
    let answer = {
        let mut reader = reader.lock().expect("nobody panics while asking");
        let mut line = String::new();
        let asked = writeln!(reader.stdin, "{request}").and_then(|()| reader.stdin.flush());
        asked.and_then(|()| reader.stdout.read_line(&mut line)).map(|_| line)
    };
    let line = answer.expect("the reader answers");
    let answer: Value = serde_json::from_str(&line).expect("the reader answers in JSON");
    assert!(answer["error"].is_null(), "{request}\n{}", answer["error"]);
    answer
}
