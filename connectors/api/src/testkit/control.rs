//! Checks of snapshots and of stopping a session from another thread.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::tables::{BIG, KEYS, PAIRS, WRITES};
use super::tools::{Each, expected, must_fail, query, read_table, relation, same_rows};
use super::{Check, Checked, Done, Failure, Suite, ensure};
use crate::{
    Consistency, ErrorKind, ReadQuery, Relation, Session, SnapshotOp, SnapshotRequest, TableName,
};

pub(super) const CHECKS: &[Check] = &[
    ("an interrupt between batches ends the read as cancelled", interrupt_between_batches),
    ("an interrupt ends a statement that delivers nothing", interrupt_silent_statement),
    ("an interrupt before the read is not forgotten", interrupt_before),
    ("a recipe says how and changes nothing", recipe),
    ("without consistency there is no snapshot", nothing_shared),
    ("sessions that joined a snapshot do not see later rows", snapshot),
];

/// How long an interrupted read may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A query over all rows of the big table, in small batches.
fn big_query(session: &mut dyn Session) -> Result<ReadQuery, Failure> {
    let relation = relation(BIG);
    let info = session.describe(&relation)?;
    let mut query = query(&relation, &info, &[])?;
    query.batch_rows = 100;
    Ok(query)
}

fn interrupt_between_batches(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let query = big_query(&mut *session)?;
    let interrupter = session.interrupter();
    let mut pushed = 0;
    let result = session.read(
        &query,
        &mut Each(|_| {
            pushed += 1;
            if pushed == 1 {
                let interrupter = interrupter.clone();
                // A panic in there shows as a read that was not cancelled.
                let _ = thread::spawn(move || interrupter.interrupt()).join();
            }
            Ok(())
        }),
    );
    must_fail(result, &[ErrorKind::Cancelled], "a read that was interrupted")?;
    ensure!(pushed < 200, "all {pushed} batches came although the first was interrupted");
    Ok(Done::Passed)
}

fn interrupt_before(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let query = big_query(&mut *session)?;
    let interrupter = session.interrupter();
    interrupter.interrupt();
    interrupter.interrupt();
    let result = session.read(&query, &mut Vec::new());
    must_fail(result, &[ErrorKind::Cancelled], "a read after an interrupt")?;
    Ok(Done::Passed)
}

fn interrupt_silent_statement(suite: &Suite<'_>) -> Checked {
    if !suite.connector.capabilities().sql {
        return Ok(Done::NotApplicable("the connector has no SQL"));
    }
    let mut session = suite.session()?;
    // 400 million pairs of which none qualifies, and no index helps.
    let dialect = session.dialect();
    let (table, id) = (dialect.quote_table(&TableName::new(BIG)), dialect.quote_ident("id"));
    let relation = Relation::Query(format!(
        "SELECT a.{id} AS {id} FROM {table} a, {table} b WHERE a.{id} * 3 + b.{id} * 7 < 0 \
         AND $CONDITIONS"
    ));
    let info = session.describe(&relation)?;
    let query = query(&relation, &info, &[])?;
    let interrupter = session.interrupter();
    let (done, wait) = mpsc::channel();
    let reader = thread::spawn(move || {
        let result = session.read(&query, &mut Vec::new());
        // Nobody listens any more once the limit is over.
        let _ = done.send(result);
    });
    if wait.recv_timeout(Duration::from_millis(500)).is_ok() {
        return Ok(Done::NotApplicable("the server answers too fast to be stopped"));
    }
    interrupter.interrupt();
    let Ok(result) = wait.recv_timeout(STOP_LIMIT) else {
        return Err(Failure(format!("it was still running {STOP_LIMIT:?} after the interrupt")));
    };
    must_fail(result, &[ErrorKind::Cancelled], "a statement that was interrupted")?;
    ensure!(reader.join().is_ok(), "the reading thread panicked");
    Ok(Done::Passed)
}

fn snapshot(suite: &Suite<'_>) -> Checked {
    let request =
        SnapshotRequest { relations: vec![relation(WRITES)], consistency: Consistency::Snapshot };
    let mut keeper = suite.session()?;
    let shared = keeper.snapshot(&SnapshotOp::Share(request));
    if !suite.connector.capabilities().shared_snapshot {
        must_fail(shared, &[ErrorKind::Unsupported], "a snapshot where there is none")?;
        return Ok(Done::NotApplicable("the connector has no shared snapshot"));
    }
    let Some(shared) = shared? else {
        return Err(Failure("it gave no snapshot although it says it has them".to_string()));
    };
    let mut readers = [suite.session()?, suite.session()?];
    for reader in &mut readers {
        reader.snapshot(&SnapshotOp::Join(shared.id.clone()))?;
    }
    keeper.snapshot(&SnapshotOp::Release)?;
    let want = expected(suite, WRITES)?;
    let mut written = false;
    if suite.fixture.sql.is_some() {
        let mut writer = suite.session()?;
        let table = writer.dialect().quote_table(&TableName::new(WRITES));
        // A database may also keep writers out for the time being.
        let insert = writer.execute(&format!("INSERT INTO {table} VALUES (911, 'after')"));
        written = insert.is_ok();
        ensure!(
            written || insert.is_err_and(|e| e.is_transient()),
            "a writer was refused for good"
        );
    }
    for (index, reader) in readers.iter_mut().enumerate() {
        let got = read_table(&mut **reader, WRITES)?;
        same_rows(got, want.clone(), &format!("joined session {index}"))?;
    }
    if suite.connector.capabilities().rejoin {
        let mut late = suite.session()?;
        late.snapshot(&SnapshotOp::Join(shared.id.clone()))?;
        same_rows(read_table(&mut *late, WRITES)?, want.clone(), "a session that joined late")?;
    }
    keeper.snapshot(&SnapshotOp::Check)?;
    if written {
        let got = read_table(&mut *suite.session()?, WRITES)?.len();
        ensure!(got == want.len() + 1, "a session without snapshot sees {got} rows");
    }
    Ok(Done::Passed)
}

fn recipe(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    for consistency in [Consistency::Snapshot, Consistency::Lock, Consistency::None] {
        let relations = vec![relation(KEYS), relation(PAIRS)];
        let recipe = session.snapshot_recipe(&SnapshotRequest { relations, consistency });
        let recipe = match recipe {
            Err(e) if e.kind() == ErrorKind::Unsupported && consistency != Consistency::None => {
                ensure!(
                    consistency == Consistency::Lock
                        || !suite.connector.capabilities().shared_snapshot,
                    "there is no recipe for a snapshot: {e:?}"
                );
                continue;
            }
            other => other?,
        };
        let one_line = !recipe.trim().is_empty() && !recipe.contains('\n');
        ensure!(one_line, "the recipe for {consistency:?} is {recipe:?}");
    }
    if suite.fixture.sql.is_some() {
        // Nothing is locked although the session that was asked is still there.
        let mut writer = suite.session()?;
        let table = writer.dialect().quote_table(&TableName::new(KEYS));
        writer.execute(&format!("DELETE FROM {table} WHERE 1 = 0"))?;
    }
    same_rows(read_table(&mut *session, KEYS)?, expected(suite, KEYS)?, "after the question")?;
    Ok(Done::Passed)
}

fn nothing_shared(suite: &Suite<'_>) -> Checked {
    let request =
        SnapshotRequest { relations: vec![relation(KEYS)], consistency: Consistency::None };
    let mut session = suite.session()?;
    let shared = session.snapshot(&SnapshotOp::Share(request))?;
    ensure!(shared.is_none(), "it gave a snapshot that nobody asked for: {shared:?}");
    same_rows(read_table(&mut *session, KEYS)?, expected(suite, KEYS)?, "without a snapshot")?;
    Ok(Done::Passed)
}
