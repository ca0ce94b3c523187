//! Money moves between accounts at full speed while it is imported: the sum of all balances never
//! changes in any state of the database, so an import whose sum is wrong mixed two states.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::servers::support::{Database, Run, Server};
use crate::support::{Random, figure, json, sized};

const ACCOUNTS: u64 = 20_000;
const BALANCE: u64 = 1000;

/// Clients that move money at the same time.
const CLIENTS: usize = 3;

/// A writer that waits longer than this was harmed by the import. The lock itself may last two
/// seconds; the rest is for a machine that does other things too.
const STALL_LIMIT: Duration = Duration::from_secs(5);

/// Clients that move money until they are dropped.
struct Transfers {
    over: Arc<AtomicBool>,
    /// Transfers that the server has confirmed.
    done: Arc<AtomicUsize>,
    /// Longest time between two confirmations of one client, in microseconds.
    longest: Arc<AtomicUsize>,
    clients: Vec<(Child, JoinHandle<()>)>,
}

impl Transfers {
    fn start(db: &Database) -> Transfers {
        let mut transfers = Transfers {
            over: Arc::default(),
            done: Arc::default(),
            longest: Arc::default(),
            clients: Vec::new(),
        };
        for number in 0..CLIENTS {
            let client = transfers.client(db, number);
            transfers.clients.push(client);
        }
        transfers
    }

    /// One client: sends some transfers ahead, and waits for the server's word on each.
    fn client(&self, db: &Database, number: usize) -> (Child, JoinHandle<()>) {
        let mut command = db.client();
        if db.server != Server::Postgres {
            command.args(["--unbuffered", "--quick"]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a client");
        let mut stdin = child.stdin.take().expect("it is piped");
        let mut answers = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (over, done, longest) = (self.over.clone(), self.done.clone(), self.longest.clone());
        let mut random = Random::new(number as u64 + 1);
        let thread = std::thread::spawn(move || {
            let mut waiting = 0;
            let mut last = Instant::now();
            while !over.load(Ordering::SeqCst) {
                while waiting < 4 {
                    if stdin.write_all(transfer(&mut random).as_bytes()).is_err() {
                        return;
                    }
                    waiting += 1;
                }
                let Some(Ok(line)) = answers.next() else { return };
                if line.trim() == "moved" {
                    waiting -= 1;
                    done.fetch_add(1, Ordering::SeqCst);
                    let gap = usize::try_from(last.elapsed().as_micros()).unwrap_or(usize::MAX);
                    longest.fetch_max(gap, Ordering::SeqCst);
                    last = Instant::now();
                }
            }
        });
        (child, thread)
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    fn longest(&self) -> Duration {
        Duration::from_micros(self.longest.load(Ordering::SeqCst) as u64)
    }
}

/// One transfer between two accounts; always in the order of their numbers, so that two transfers
/// never wait for each other.
fn transfer(random: &mut Random) -> String {
    let (from, to) = (random.below(ACCOUNTS) + 1, random.below(ACCOUNTS) + 1);
    let amount = i64::try_from(random.below(100)).expect("small") + 1;
    let change = |id: u64, by: i64| format!("UPDATE a SET b = b + ({by}) WHERE id = {id};");
    let (one, two) = (change(from, -amount), change(to, amount));
    let (one, two) = if from < to { (one, two) } else { (two, one) };
    format!("BEGIN; {one} {two} COMMIT; SELECT 'moved';\n")
}

impl Drop for Transfers {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        for (mut child, thread) in self.clients.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
            let _ = thread.join();
        }
    }
}

fn accounts(server: Server, test: &str) -> Database {
    let db = Database::new(server, test);
    db.sql("CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL);");
    let rows: Vec<String> = (1..=ACCOUNTS).map(|i| format!("({i},{BALANCE})")).collect();
    db.sql(&format!("INSERT INTO a VALUES {};", rows.join(",")));
    db
}

/// Starts the transfers and waits until they flow.
fn busy(db: &Database) -> Transfers {
    let transfers = Transfers::start(db);
    let start = Instant::now();
    while transfers.done() < 300 {
        assert!(start.elapsed() < Duration::from_secs(30), "the transfers do not flow");
        std::thread::sleep(Duration::from_millis(10));
    }
    transfers
}

/// Rows and the sum of their balances.
fn total(run: &Run) -> (u64, i64) {
    let text = String::from_utf8(run.text()).expect("UTF-8");
    text.lines().fold((0, 0), |(rows, sum), line| {
        let (_, balance) = line.split_once(',').expect("two fields");
        (rows + 1, sum + balance.parse::<i64>().expect("a number"))
    })
}

fn wanted() -> (u64, i64) {
    (ACCOUNTS, i64::try_from(ACCOUNTS * BALANCE).expect("small"))
}

/// How long the report says that a lock was held, in milliseconds: `… for 12 ms`.
fn held_ms(report: &serde_json::Value) -> Option<f64> {
    let recipe = report["snapshot"]["recipe"].as_str()?;
    let words: Vec<&str> = recipe.split_whitespace().collect();
    let at = words.iter().position(|w| w.trim_end_matches([',', ';', ')']) == "ms")?;
    words.get(at.checked_sub(1)?)?.trim_start_matches('(').parse().ok()
}

/// Imports again and again; every sum is right, and the writers are not kept waiting for long.
fn sums_are_right(server: Server, test: &str, imports: usize) {
    let db = accounts(server, test);
    let transfers = busy(&db);
    let (start, before) = (Instant::now(), transfers.done());
    let (mut held, mut recipe) = (0_f64, String::new());
    for round in 0..imports {
        let moved = transfers.done();
        let report = db.path(&format!("report{round}.json"));
        let report = report.to_str().expect("a plain path");
        let args = ["--table", "a", "-m", "4", "--report", report];
        let run = db.import(&format!("out{round}"), &args).ok();
        let moved = transfers.done() - moved;
        assert_eq!(total(&run), wanted(), "{server:?} import {round} beside {moved} transfers");
        let report = json(&std::fs::read_to_string(report).expect("a report"));
        assert_eq!(report["consistency"], "snapshot", "{report}");
        assert!(report["snapshot"]["id"].is_string(), "{report}");
        held = held.max(held_ms(&report).unwrap_or(0.0));
        recipe = report["snapshot"]["recipe"].as_str().unwrap_or_default().to_string();
        std::fs::remove_dir_all(&run.target).expect("it is there");
    }
    let (moved, seconds) = (transfers.done() - before, start.elapsed().as_secs_f64());
    let longest = transfers.longest();
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let rate = moved as f64 / seconds;
    figure(&format!(
        "balance sum {server:?}: {imports} imports in {seconds:.1} s beside {moved} transfers ({rate:.0}/s), \
         a transfer waited {longest:?} at most, lock held {held} ms at most ({recipe})"
    ));
    assert!(moved > imports * 10, "only {moved} transfers");
    assert!(longest < STALL_LIMIT, "a transfer waited {longest:?}");
    assert!(held <= 2000.0, "the lock was held {held} ms");
}

#[test]
fn postgres_sums_are_right() {
    sums_are_right(Server::Postgres, "balance_pg", sized(17, 67));
}

#[test]
fn mariadb_sums_are_right() {
    sums_are_right(Server::MariaDb, "balance_maria", sized(17, 67));
}

#[test]
fn mysql_sums_are_right() {
    sums_are_right(Server::MySql, "balance_my", sized(16, 66));
}

/// The test above can fail: without a common snapshot a wrong sum soon shows.
#[test]
fn without_a_snapshot_sums_are_wrong() {
    for server in Server::NETWORK {
        let db = accounts(server, "balance_none");
        let transfers = busy(&db);
        let most = 30;
        let wrong = (0..most).position(|round| {
            let args = ["--table", "a", "-m", "4", "--consistency", "none"];
            let run = db.import(&format!("out{round}"), &args).ok();
            let found = total(&run);
            assert_eq!(found.0, ACCOUNTS, "{server:?}: no account is lost or doubled");
            found != wanted()
        });
        drop(transfers);
        let wrong = wrong.unwrap_or_else(|| panic!("{server:?}: {most} sums, and all are right"));
        figure(&format!("balance sum {server:?} without snapshot: wrong at import {}", wrong + 1));
    }
}
