//! Statements of the user's own, with results as text. These may write.

use rsqoop_connector::{Result, TextColumn, TextSink};
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, Statement};

use crate::{error, number};

/// What sqlite-jdbc's `getColumnDisplaySize` answers for every column.
const DISPLAY_SIZE: usize = 10;

/// Runs one statement after the other.
pub(crate) fn evaluate(conn: &Connection, sql: &str, out: &mut dyn TextSink) -> Result<()> {
    let mut batch = Batch::new(conn, sql);
    while let Some(mut statement) = batch.next().map_err(error::prepare)? {
        if statement.column_count() > 0 {
            deliver(&mut statement, out)?;
        } else {
            out.updated(run(conn, &mut statement)?)?;
        }
    }
    Ok(())
}

/// Runs statements without results; returns the number of rows they changed.
pub(crate) fn execute(conn: &Connection, sql: &str) -> Result<u64> {
    let mut batch = Batch::new(conn, sql);
    let mut changed = 0;
    while let Some(mut statement) = batch.next().map_err(error::prepare)? {
        changed += run(conn, &mut statement)?;
    }
    Ok(changed)
}

/// `sqlite3_changes` keeps the number of an earlier statement when this one changes no rows at all.
fn run(conn: &Connection, statement: &mut Statement<'_>) -> Result<u64> {
    let before = conn.total_changes();
    let mut rows = statement.raw_query();
    while rows.next().map_err(error::step)?.is_some() {}
    Ok(if conn.total_changes() == before { 0 } else { conn.changes() })
}

fn deliver(statement: &mut Statement<'_>, out: &mut dyn TextSink) -> Result<()> {
    let columns: Vec<TextColumn> = statement
        .column_names()
        .into_iter()
        .map(|name| TextColumn { name: name.to_string(), display_size: DISPLAY_SIZE })
        .collect();
    out.columns(&columns)?;
    let mut values = vec![None; columns.len()];
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(error::step)? {
        for (index, value) in values.iter_mut().enumerate() {
            *value = text(row.get_ref_unwrap(index));
        }
        out.row(&values)?;
    }
    out.end()
}

/// For the eye only: bytes that are no text are shown as a blob literal.
fn text(value: ValueRef<'_>) -> Option<String> {
    Some(match value {
        ValueRef::Null => return None,
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Real(v) => {
            let mut out = String::new();
            number::write_real(v, &mut out);
            out
        }
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_string(),
            Err(_) => crate::dialect::blob_literal(bytes),
        },
    })
}
