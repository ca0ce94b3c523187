//! Database servers of one test's own, which it may kill: the shared ones serve everybody.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use crate::servers::support::Server;
use crate::support::{is_root, pid};

/// The account of the servers where the tests run as root: servers refuse to be root.
const ACCOUNT: &str = "nobody";

/// Longest a server takes to start or stop.
const LIMIT: Duration = Duration::from_secs(60);

/// The user of the private MariaDB, and its password; PostgreSQL trusts everybody.
const USER: &str = "it";

/// A running server; gone with its data when dropped.
pub(crate) struct Private {
    pub(crate) server: Server,
    pub(crate) port: u16,
    dir: TempDir,
    more: Vec<String>,
    child: Option<Child>,
}

/// A program that runs as the servers' account and dies with this process.
fn as_account(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if is_root() {
        command.args(["--reuid", ACCOUNT, "--regid", &group(), "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command.stdin(Stdio::null());
    command
}

fn group() -> String {
    let out = Command::new("id").args(["-g", ACCOUNT]).output().expect("`id` of coreutils");
    String::from_utf8_lossy(&out.stdout).trim().to_string()
}

/// The folder of the newest PostgreSQL server programs.
fn postgres_bin() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .expect("the PostgreSQL server is installed")
        .flatten()
        .map(|e| (e.file_name().to_string_lossy().parse().unwrap_or(0), e.path().join("bin")))
        .filter(|(_, bin)| bin.join("postgres").exists())
        .collect();
    found.sort();
    found.pop().expect("the PostgreSQL server is installed").1
}

#[track_caller]
fn must(command: &mut Command) {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = [out.stdout, out.stderr].concat();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&text));
}

impl Private {
    /// A new PostgreSQL or MariaDB, with more words for its command line.
    pub(crate) fn new(server: Server, more: &[&str]) -> Private {
        let dir = TempDir::new().expect("a temporary folder can be made");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        if is_root() {
            must(Command::new("chown").arg(ACCOUNT).arg(dir.path()));
        }
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr();
        let port = port.expect("it is bound").port();
        let more = more.iter().map(ToString::to_string).collect();
        let mut private = Private { server, port, dir, more, child: None };
        private.initialise();
        private.start();
        if server == Server::MariaDb {
            private.sql_as_owner(&format!(
                "CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{USER}';
                 GRANT ALL ON *.* TO {USER}@'127.0.0.1'; CREATE DATABASE d;"
            ));
        }
        private
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    fn socket(&self) -> String {
        self.dir.path().join("s.sock").display().to_string()
    }

    fn initialise(&self) {
        let mut command = match self.server {
            Server::Postgres => {
                let mut command = as_account(&postgres_bin().join("initdb"));
                command.args(["-D", &self.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8"]);
                command.args(["--locale=C.UTF-8", "--no-sync"]);
                command
            }
            Server::MariaDb => {
                let mut command = as_account(Path::new("mariadb-install-db"));
                command.args(["--no-defaults", &format!("--datadir={}", self.data())]);
                command.args(["--skip-test-db", "--auth-root-authentication-method=normal"]);
                command
            }
            _ => unreachable!("only these two can be had privately"),
        };
        must(command.current_dir(self.dir.path()));
    }

    /// Starts the server on the data that is there and waits until it answers.
    pub(crate) fn start(&mut self) {
        let port = self.port.to_string();
        let mut command = match self.server {
            Server::Postgres => {
                let mut command = as_account(&postgres_bin().join("postgres"));
                command.args(["-D", &self.data(), "-p", &port]);
                command.arg("-k").arg(self.dir.path());
                for setting in ["listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=16MB"] {
                    command.args(["-c", setting]);
                }
                command
            }
            _ => {
                let mut command = as_account(Path::new("/usr/sbin/mariadbd"));
                command.args(["--no-defaults", "--skip-name-resolve", "--port", &port]);
                command.arg(format!("--datadir={}", self.data()));
                command.arg(format!("--socket={}", self.socket()));
                command.arg(format!("--pid-file={}/pid", self.dir.path().display()));
                command.args(["--bind-address=127.0.0.1", "--innodb-buffer-pool-size=16M"]);
                command.arg("--innodb-flush-method=nosync");
                command
            }
        };
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.dir.path().join("log"));
        let log = log.expect("a log can be written");
        command.args(&self.more).current_dir(self.dir.path());
        command.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        let child = command.spawn().expect("`setpriv` of util-linux");
        self.child = Some(child);
        let end = Instant::now() + LIMIT;
        while !self.answers() {
            let ended = self.child.as_mut().expect("just started").try_wait();
            assert!(
                Instant::now() < end && matches!(ended, Ok(None)),
                "the server does not start:\n{}",
                fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        let out = self.owner().args([self.flag(), "SELECT 1"]).stderr(Stdio::null()).output();
        out.is_ok_and(|o| o.status.success())
    }

    /// The server's first process.
    pub(crate) fn process(&self) -> rustix::process::Pid {
        pid(self.child.as_ref().expect("it runs"))
    }

    /// Sends the server a signal and waits for its end.
    pub(crate) fn stop(&mut self, signal: Signal) {
        let mut child = self.child.take().expect("it runs");
        kill_process(pid(&child), signal).expect("it runs");
        let end = Instant::now() + LIMIT;
        while child.try_wait().expect("it is ours").is_none() {
            assert!(Instant::now() < end, "the server does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
        // PostgreSQL's sessions notice by themselves that the first process is gone; a new one
        // cannot start before.
        std::thread::sleep(Duration::from_millis(300));
    }

    fn flag(&self) -> &'static str {
        if self.server == Server::Postgres { "-c" } else { "-e" }
    }

    /// The owner's client program, over the server's socket.
    fn owner(&self) -> Command {
        match self.server {
            Server::Postgres => {
                let mut command = Command::new("psql");
                command.args([
                    "-XAtq",
                    "-v",
                    "ON_ERROR_STOP=1",
                    "-U",
                    "postgres",
                    "-d",
                    "postgres",
                ]);
                command.arg("-h").arg(self.dir.path()).args(["-p", &self.port.to_string()]);
                command
            }
            _ => {
                let mut command = Command::new("mariadb");
                command.args(["--no-defaults", "-BN", "-u", "root", "-S", &self.socket()]);
                command
            }
        }
    }

    fn sql_as_owner(&self, sql: &str) -> String {
        let out = self.owner().args([self.flag(), sql]).output().expect("the client is installed");
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{error}\nin {sql:.500}");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Runs statements in the database of the tests.
    pub(crate) fn sql(&self, sql: &str) -> String {
        match self.server {
            Server::Postgres => self.sql_as_owner(sql),
            _ => self.sql_as_owner(&format!("USE d; {sql}")),
        }
    }

    /// The URL of the tests' database.
    pub(crate) fn url(&self) -> String {
        match self.server {
            Server::Postgres => format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port),
            _ => format!("mariadb://{USER}@127.0.0.1:{}/d", self.port),
        }
    }

    /// What goes into `RSQOOP_PASSWORD`.
    pub(crate) fn password() -> &'static str {
        USER
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let stop = if self.server == Server::Postgres { Signal::INT } else { Signal::TERM };
            let _ = kill_process(pid(&child), stop);
            let end = Instant::now() + Duration::from_secs(10);
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
