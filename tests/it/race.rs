//! Two runs on one target: exactly one wins, the other leaves with its own status and has touched
//! nothing. And the claims of the dead: taken over, with a note.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{
    Dir, Random, Run, assert_complete, figure, finish, names, parts, sized, wait_until,
};

/// Rows of each of the two tables: an import takes some tenths of a second.
const ROWS: u64 = 60_000;

/// The loser is gone within this time.
const LOSER_LIMIT: Duration = Duration::from_secs(5);

/// Two tables whose rows tell them apart, `a` and `b`, and a small one.
fn database() -> Dir {
    Dir::with_db(&format!(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, t TEXT);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO a SELECT i, 'a' FROM n;
         CREATE TABLE b (id INTEGER PRIMARY KEY, t TEXT);
         INSERT INTO b SELECT id, 'b' FROM a;"
    ))
}

fn start(dir: &Dir, args: &[&str]) -> (Child, Instant) {
    let mut command = dir.command(args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    (child, Instant::now())
}

fn import<'a>(table: &'a str, target: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = ["import", "--connect", "sqlite:t.db", "--table", table, "--target-dir", target];
    [&args[..], &["-m", "2"], more].concat()
}

/// The table that a target's rows come from; all of them from one, and all there.
fn winner_of(dir: &Dir, target: &str) -> &'static str {
    let out = dir.path(target);
    assert_eq!(assert_complete(&out), ROWS);
    let text: String = parts(&out).iter().map(|p| fs::read_to_string(p).unwrap()).collect();
    let count = |end: &str| text.lines().filter(|l| l.ends_with(end)).count() as u64;
    match (count(",a"), count(",b")) {
        (ROWS, 0) => "a",
        (0, ROWS) => "b",
        mixed => panic!("mixed rows: {mixed:?}"),
    }
}

/// Both runs and how long each took.
fn race(dir: &Dir, target: &str, lead: Duration, more: &[&str]) -> [(Run, Duration); 2] {
    std::thread::scope(|scope| {
        let both = ["a", "b"].map(|table| {
            scope.spawn(move || {
                if table == "b" {
                    std::thread::sleep(lead);
                }
                let (child, begun) = start(dir, &import(table, target, more));
                let run = finish(child);
                (run, begun.elapsed())
            })
        });
        both.map(|thread| thread.join().expect("no panic"))
    })
}

#[test]
fn of_two_runs_one_wins_and_the_other_touches_nothing() {
    let dir = database();
    let (mut random, mut losses, mut late, mut slowest) = (Random::new(7), 0, 0, Duration::ZERO);
    // The whole of a run, as far as this machine takes for one now.
    let (child, begun) = start(&dir, &import("a", "first", &[]));
    assert_eq!(finish(child).status, 0);
    let whole = begun.elapsed();
    fs::remove_dir_all(dir.path("first")).unwrap();
    for round in 0..sized(50, 200) {
        let target = format!("r{round}/out");
        // Most of them start nearly together.
        let lead = random.within(whole) / if round % 3 == 0 { 1 } else { 10 };
        let [(a, a_time), (b, b_time)] = race(&dir, &target, lead, &[]);
        let story = format!("round {round}, {lead:?}\na: {a:?}\nb: {b:?}");
        let (loser, time) = match (a.status, b.status) {
            (0, _) => (&b, b_time),
            (_, 0) => (&a, a_time),
            _ => panic!("nobody won\n{story}"),
        };
        match loser.status {
            4 => {
                losses += 1;
                slowest = slowest.max(time);
                assert!(time < LOSER_LIMIT, "{time:?}\n{story}");
                assert!(
                    loser.stderr.contains("another run is writing to this target")
                        || loser.stderr.contains("appeared while the run was reading"),
                    "{story}"
                );
            }
            // It began when the winner had published.
            2 => {
                late += 1;
                assert!(loser.stderr.contains("already exists"), "{story}");
            }
            _ => panic!("{story}"),
        }
        assert!(!loser.stderr.contains("Retrieved"), "{story}");
        let winner = if a.status == 0 { "a" } else { "b" };
        assert_eq!(winner_of(&dir, &target), winner, "{story}");
        assert_eq!(names(dir.path(&target).parent().unwrap()), ["out"], "{story}");
        fs::remove_dir_all(dir.path(&format!("r{round}"))).unwrap();
    }
    figure(&format!(
        "race: {losses} lost by the claim (slowest {slowest:?}), {late} came too late"
    ));
    assert!(losses >= 20, "only {losses} races were races");
}

#[test]
fn of_two_replacements_one_wins_and_the_other_touches_nothing() {
    let dir = database();
    let mut random = Random::new(11);
    dir.ok(&import("a", "out", &[]));
    let mut conflicts = 0;
    for round in 0..sized(20, 100) {
        let lead = random.within(Duration::from_millis(20));
        let before = winner_of(&dir, "out");
        let [(a, _), (b, _)] = race(&dir, "out", lead, &["--delete-target-dir"]);
        let story = format!("round {round}, before {before}\na: {a:?}\nb: {b:?}");
        let after = winner_of(&dir, "out");
        match (a.status, b.status) {
            // One after the other.
            (0, 0) => {}
            (0, 4) => assert_eq!(after, "a", "{story}"),
            (4, 0) => assert_eq!(after, "b", "{story}"),
            _ => panic!("{story}"),
        }
        conflicts += usize::from(a.status == 4 || b.status == 4);
        assert_eq!(names(dir.root()), ["out", "t.db"], "{story}");
    }
    assert!(conflicts >= 5, "only {conflicts} races were races");
}

/// Gives rows for as long as anybody listens.
const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    SELECT i FROM n WHERE $CONDITIONS";

#[test]
fn the_loser_leaves_a_running_winner_alone() {
    let dir = database();
    let args = ["import", "--connect", "sqlite:t.db", "--query", ENDLESS, "--target-dir", "x/out"];
    let (mut winner, _) = start(&dir, &args);
    wait_until("the winner writes", || {
        dir.path("x").is_dir()
            && names(&dir.path("x")).iter().any(|n| {
                let staging = dir.path("x").join(n);
                staging.is_dir() && !names(&staging).is_empty()
            })
    });
    let staging = names(&dir.path("x"));
    let claim = dir.path("x").join(staging.iter().find(|n| n.ends_with(".claim")).unwrap());
    let owner = fs::read(&claim).unwrap();
    for more in [&[][..], &["--delete-target-dir"], &["--append"], &["--as-parquetfile"]] {
        let (loser, begun) = start(&dir, &import("a", "x/out", more));
        let loser = finish(loser);
        assert_eq!(loser.status, 4, "{more:?}: {}", loser.stderr);
        assert!(begun.elapsed() < LOSER_LIMIT, "{:?}", begun.elapsed());
        assert_eq!(names(&dir.path("x")), staging, "{more:?}");
        assert_eq!(fs::read(&claim).unwrap(), owner, "{more:?}");
        assert!(winner.try_wait().unwrap().is_none(), "the winner ended");
    }
    winner.kill().unwrap();
    winner.wait().unwrap();
}

#[test]
fn the_claim_of_a_dead_process_is_taken_over_with_a_note() {
    let dir = database();
    let args = ["import", "--connect", "sqlite:t.db", "--query", ENDLESS, "--target-dir", "out"];
    let (mut dead, _) = start(&dir, &args);
    wait_until("a run makes its staging directory", || {
        names(dir.root()).iter().any(|n| n.starts_with('.') && dir.path(n).is_dir())
    });
    let id = dead.id().to_string();
    dead.kill().unwrap();
    dead.wait().unwrap();
    let run = dir.import("a", &["--target-dir", "out"]);
    let note = run.stderr.lines().find(|l| l.starts_with("note: ") || l.starts_with("warning: "));
    let note = note.unwrap_or_else(|| panic!("nothing is said of the dead run:\n{}", run.stderr));
    assert!(note.contains("run ") || note.contains(&id), "{note}");
    assert_eq!(winner_of(&dir, "out"), "a");
    assert_eq!(names(dir.root()), ["out", "t.db"]);
    // With nothing left there is nothing to say.
    let run = dir.import("a", &["--target-dir", "out", "--delete-target-dir"]);
    assert!(!run.stderr.contains("note: "), "{}", run.stderr);
}
