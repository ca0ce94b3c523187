//! Checks of the reading loop: values, projections, batch sizes, failing sinks.

use std::sync::Arc;
use std::thread;

use arrow_schema::Schema;

use super::tables::{BIG, EMPTY, KEYS, TYPES};
use super::tools::{
    Each, Row, expected, must_fail, query, read, read_batches, read_table, relation, same_rows,
};
use super::{Check, Checked, Done, Failure, Suite, ensure};
use crate::{Error, ErrorKind};

pub(super) const CHECKS: &[Check] = &[
    ("every value of every type arrives identically", values),
    ("a projection keeps the order it was given", projection),
    ("columns asked for as text arrive as text", as_text),
    ("an empty table gives no batch", empty),
    ("batches keep to batch_rows", batch_rows),
    ("batches keep to batch_bytes", batch_bytes),
    ("a failing sink stops the read with its own error", failing_sink),
    ("a session reads again after a read", second_read),
    ("two sessions read at once", two_sessions),
];

fn values(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    for name in [TYPES, KEYS] {
        let got = read_table(&mut *session, name)?;
        same_rows(got, expected(suite, name)?, name)?;
    }
    Ok(Done::Passed)
}

fn projection(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let relation = relation(TYPES);
    let info = session.describe(&relation)?;
    let got = read(&mut *session, &query(&relation, &info, &["name", "whole", "id"])?)?;
    let want = expected(suite, TYPES)?
        .into_iter()
        .map(|row| vec![row[5].clone(), row[2].clone(), row[0].clone()])
        .collect();
    same_rows(got, want, "name, whole, id")?;
    Ok(Done::Passed)
}

fn as_text(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let relation = relation(TYPES);
    let info = session.describe(&relation)?;
    let mut query = query(&relation, &info, &[])?;
    query.columns.iter_mut().for_each(|c| c.as_text = true);
    let fields: Vec<_> = query.columns.iter().map(|c| c.info.field(true)).collect();
    query.schema = Arc::new(Schema::new(fields));
    // Bytes have no text of their own everywhere; the others have, and NULL stays NULL.
    query.columns.remove(6);
    let mut fields: Vec<_> = query.schema.fields().iter().cloned().collect();
    fields.remove(6);
    query.schema = Arc::new(Schema::new(fields));
    query.whole = false;
    let got = read(&mut *session, &query)?;
    let pick = |rows: Vec<Row>, columns: [usize; 3]| -> Vec<Row> {
        rows.into_iter().map(|r| columns.iter().map(|c| r[*c].clone()).collect()).collect()
    };
    let nulls = got.iter().filter(|row| row[1..].iter().all(Option::is_none)).count();
    ensure!(nulls == 1, "{nulls} rows of NULLs where there is one");
    same_rows(pick(got, [0, 2, 5]), pick(expected(suite, TYPES)?, [0, 2, 5]), "as text")?;
    Ok(Done::Passed)
}

fn empty(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let rows = read_table(&mut *session, EMPTY)?;
    ensure!(rows.is_empty(), "{} rows", rows.len());
    Ok(Done::Passed)
}

fn batch_rows(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let relation = relation(KEYS);
    let info = session.describe(&relation)?;
    let want = expected(suite, KEYS)?;
    for limit in [1, 7, want.len(), want.len() + 1] {
        let mut query = query(&relation, &info, &[])?;
        query.batch_rows = limit;
        let batches = read_batches(&mut *session, &query)?;
        let sizes: Vec<usize> = batches.iter().map(|b| b.num_rows()).collect();
        ensure!(sizes.iter().all(|n| (1..=limit).contains(n)), "limit {limit}: sizes {sizes:?}");
        ensure!(sizes.iter().sum::<usize>() == want.len(), "limit {limit}: sizes {sizes:?}");
    }
    Ok(Done::Passed)
}

fn batch_bytes(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let relation = relation(BIG);
    let info = session.describe(&relation)?;
    let mut query = query(&relation, &info, &["id", "pad"])?;
    query.batch_rows = usize::MAX;
    query.batch_bytes = 64 * 1024;
    // A row is about 165 bytes: 400 of them fill a batch.
    let mut largest = 0;
    session.read(
        &query,
        &mut Each(|batch: arrow_array::RecordBatch| {
            largest = largest.max(batch.num_rows());
            Ok(())
        }),
    )?;
    ensure!((50..=1000).contains(&largest), "64 KiB made a batch of {largest} rows of 165 bytes");
    Ok(Done::Passed)
}

fn failing_sink(suite: &Suite<'_>) -> Checked {
    const WORDS: &str = "the suite's disk is full";
    let mut session = suite.session()?;
    let relation = relation(BIG);
    let info = session.describe(&relation)?;
    let mut query = query(&relation, &info, &[])?;
    query.batch_rows = 100;
    let mut pushed = 0;
    let result = session.read(
        &query,
        &mut Each(|_| {
            pushed += 1;
            if pushed < 3 { Ok(()) } else { Err(Error::new(ErrorKind::Storage, WORDS)) }
        }),
    );
    let error = must_fail(result, &[ErrorKind::Storage], "reading into a sink that fails")?;
    ensure!(error.message() == WORDS, "the sink's error became {error:?}");
    ensure!(pushed == 3, "{pushed} batches were pushed although the third was refused");
    // Afterwards the session works or says that it does not; it never delivers older rows.
    match read_table(&mut *session, TYPES) {
        Ok(rows) => same_rows(rows, expected(suite, TYPES)?, "after a failed sink")?,
        Err(Failure(why)) => {
            ensure!(session.describe(&relation).is_err(), "only the next read failed: {why}");
        }
    }
    Ok(Done::Passed)
}

fn second_read(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    for name in [TYPES, EMPTY, KEYS, TYPES] {
        let got = read_table(&mut *session, name)?;
        same_rows(got, expected(suite, name)?, name)?;
    }
    Ok(Done::Passed)
}

fn two_sessions(suite: &Suite<'_>) -> Checked {
    let mut outer = suite.session()?;
    let mut inner = suite.session()?;
    let relation = relation(BIG);
    let info = outer.describe(&relation)?;
    let query = query(&relation, &info, &["id"])?;
    let want = expected(suite, TYPES)?;
    let (mut rows, mut failure) = (0, None);
    outer.read(
        &query,
        &mut Each(|batch: arrow_array::RecordBatch| {
            rows += batch.num_rows();
            // Every session has a thread of its own, as in the engine.
            let read = thread::scope(|scope| {
                scope
                    .spawn(|| read_table(&mut *inner, TYPES))
                    .join()
                    .unwrap_or_else(|_| Err(Failure("the inner session panicked".to_string())))
            });
            let same = read.and_then(|got| same_rows(got, want.clone(), "the inner session"));
            failure = failure.take().or(same.err());
            Ok(())
        }),
    )?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    ensure!(rows == expected(suite, BIG)?.len(), "the outer session read {rows} rows");
    Ok(Done::Passed)
}
