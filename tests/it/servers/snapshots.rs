//! All workers of one import see one state, though another client keeps moving money between
//! accounts: the sum of all balances never changes.

use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::support::{Database, Run, Server};

const ACCOUNTS: usize = 20_000;
const BALANCE: usize = 1000;
const IMPORTS: usize = 5;

/// A client that moves money until it is dropped.
struct Transfers {
    over: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    writer: Option<JoinHandle<()>>,
    client: Child,
}

impl Transfers {
    fn start(db: &Database) -> Transfers {
        let mut client =
            db.client().stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a client");
        let mut stdin = client.stdin.take().expect("it is piped");
        let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stop, count) = (over.clone(), sent.clone());
        let setup = if db.server == Server::Sqlite { "PRAGMA busy_timeout = 5000;\n" } else { "" };
        let writer = std::thread::spawn(move || {
            let mut seed = 1_usize;
            let mut account = || {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) % ACCOUNTS + 1
            };
            let mut alive = stdin.write_all(setup.as_bytes()).is_ok();
            while alive && !stop.load(Ordering::SeqCst) {
                let sql = format!(
                    "BEGIN; UPDATE a SET b = b - 1 WHERE id = {}; UPDATE a SET b = b + 1 WHERE id = {}; COMMIT;\n",
                    account(),
                    account()
                );
                alive = stdin.write_all(sql.as_bytes()).is_ok();
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Transfers { over, sent, writer: Some(writer), client }
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.client.kill();
        let _ = self.client.wait();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn check(server: Server) {
    let db = Database::new(server, "snapshots");
    if server == Server::Sqlite {
        db.sql("PRAGMA journal_mode = WAL;");
    }
    let rows: Vec<String> = (1..=ACCOUNTS).map(|i| format!("({i},{BALANCE})")).collect();
    db.sql(&format!(
        "CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL); INSERT INTO a VALUES {};",
        rows.join(",")
    ));
    let transfers = Transfers::start(&db);
    while transfers.sent.load(Ordering::SeqCst) < 200 {
        std::thread::sleep(Duration::from_millis(10));
    }
    for round in 0..IMPORTS {
        let before = transfers.sent.load(Ordering::SeqCst);
        let run = import(&db, &format!("out{round}"));
        let text = String::from_utf8(run.text()).expect("UTF-8");
        let balances = text.lines().map(|l| {
            let (_, balance) = l.split_once(',').expect("two fields");
            balance.parse::<i64>().expect("a number")
        });
        let (count, sum) = balances.fold((0, 0), |(count, sum), b| (count + 1, sum + b));
        let moved = transfers.sent.load(Ordering::SeqCst) - before;
        let wanted = i64::try_from(ACCOUNTS * BALANCE).expect("a small number");
        assert_eq!(
            (count, sum),
            (ACCOUNTS, wanted),
            "{server:?} import {round}, {moved} transfers"
        );
    }
    let sent = transfers.sent.load(Ordering::SeqCst);
    assert!(sent > 500, "{server:?}: the transfers went on: {sent}");
}

/// SQLite has no snapshot that several sessions share: when the file changes while they open, the
/// import says so and stops, and the user runs it again.
fn import(db: &Database, out: &str) -> Run {
    let tries = if db.server == Server::Sqlite { 50 } else { 1 };
    for _ in 1..tries {
        let run = db.import(out, &["--table", "a", "-m", "4"]);
        if !run.stderr.contains("the database changed while the sessions opened") {
            return run.ok();
        }
        run.refused(1, &["run it again"]);
    }
    db.import(out, &["--table", "a", "-m", "4"]).ok()
}

#[test]
fn postgres_workers_share_a_snapshot() {
    check(Server::Postgres);
}

#[test]
fn mariadb_workers_share_a_snapshot() {
    check(Server::MariaDb);
}

#[test]
fn mysql_workers_share_a_snapshot() {
    check(Server::MySql);
}

#[test]
fn sqlite_workers_share_a_snapshot() {
    check(Server::Sqlite);
}

/// A row that is updated meanwhile lies in two places, or in none, of different states.
#[test]
fn without_a_common_state_the_place_of_a_row_is_no_key() {
    for server in [Server::Postgres, Server::Sqlite] {
        let db = Database::new(server, "places");
        db.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2), (3);");
        let place = if server == Server::Postgres { "ctid" } else { "rowid" };
        let flags = ["--table", "t", "--dry-run"];
        let plan = db.import("t", &flags).stdout;
        assert!(plan.contains(&format!("split by   {place}: where the rows lie")), "{plan}");
        let plan = db.import("t", &[&flags[..], &["--consistency", "none"]].concat()).stdout;
        assert!(plan.contains("split by   nothing: no primary key"), "{plan}");
    }
}
