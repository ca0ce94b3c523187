//! All workers of one import see one state, though another client keeps moving money between
//! accounts: the sum of all balances never changes.

use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::support::{Database, Server};

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
        let mut client = db.client().stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut stdin = client.stdin.take().unwrap();
        let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stop, count) = (over.clone(), sent.clone());
        let setup = if db.server == Server::Sqlite { "PRAGMA busy_timeout = 5000;\n" } else { "" };
        let writer = std::thread::spawn(move || {
            let mut seed = 1_usize;
            let mut account = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
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
        let run = db.import(&format!("out{round}"), &["--table", "a", "-m", "4"]).ok();
        let text = String::from_utf8(run.text()).unwrap();
        let balances = text.lines().map(|l| l.split_once(',').unwrap().1.parse::<i64>().unwrap());
        let (count, sum) = balances.fold((0, 0), |(count, sum), b| (count + 1, sum + b));
        let moved = transfers.sent.load(Ordering::SeqCst) - before;
        let wanted = i64::try_from(ACCOUNTS * BALANCE).unwrap();
        assert_eq!((count, sum), (ACCOUNTS, wanted), "{server:?} import {round}, {moved} transfers");
    }
    let sent = transfers.sent.load(Ordering::SeqCst);
    assert!(sent > 500, "{server:?}: the transfers went on: {sent}");
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
