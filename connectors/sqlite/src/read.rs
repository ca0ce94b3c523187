//! The reading loop: steps a statement on the calling thread and pushes batches.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{RecordBatch, RecordBatchOptions};
use rsqoop_connector::{BatchSink, Error, ErrorKind, ReadQuery, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Statement};

use crate::decode::{self, Decoder};
use crate::dialect::SqliteDialect;
use crate::{error, number};

/// Longest piece of a key's value that a message repeats.
const KEY_TEXT_MAX: usize = 60;

/// Reads for [`rsqoop_connector::Session::read`].
pub(crate) fn read(
    conn: &Connection,
    query: &ReadQuery,
    stop: &AtomicBool,
    out: &mut dyn BatchSink,
) -> Result<()> {
    stopped(stop)?;
    let mut statement = prepare(conn, &query.to_sql(&SqliteDialect))?;
    if statement.column_count() != query.columns.len() {
        return Err(Error::new(
            ErrorKind::Schema,
            format!(
                "the statement delivers {} columns where {} were described",
                statement.column_count(),
                query.columns.len()
            ),
        ));
    }
    let mut decoders = query
        .columns
        .iter()
        .zip(query.schema.fields())
        .map(|(column, field)| decode::decoder(column, field.data_type()))
        .collect::<Result<Vec<_>>>()?;
    let mut rows = statement.raw_query();
    let mut progress = Progress::default();
    while let Some(row) = rows.next().map_err(error::step)? {
        for (index, decoder) in decoders.iter_mut().enumerate() {
            let value = row.get_ref_unwrap(index);
            progress.bytes += match value {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() + 4,
                _ => 8,
            };
            if let Err(problem) = decoder.push(value) {
                return Err(refused(query, index, row, progress.total, &problem));
            }
        }
        progress.rows += 1;
        progress.total += 1;
        if progress.rows >= query.batch_rows || progress.bytes >= query.batch_bytes {
            flush(query, &mut decoders, &mut progress, out)?;
            stopped(stop)?;
        }
    }
    if progress.rows > 0 {
        flush(query, &mut decoders, &mut progress, out)?;
    }
    stopped(stop)
}

/// What the loop has gathered.
#[derive(Debug, Default)]
struct Progress {
    /// Rows in the batch being built.
    rows: usize,
    /// Bytes in the batch being built, about.
    bytes: usize,
    /// Rows since the statement began.
    total: u64,
}

/// Compiles a statement that must only read and have no open parameters.
pub(crate) fn prepare<'c>(conn: &'c Connection, sql: &str) -> Result<Statement<'c>> {
    let statement = conn.prepare(sql).map_err(error::prepare)?;
    let refuse = |why: &str| Err(Error::new(ErrorKind::Usage, format!("the query {why}")));
    if statement.parameter_count() > 0 {
        return refuse("has a parameter that nothing gives a value");
    }
    if !statement.readonly() || statement.column_count() == 0 {
        return refuse("is not a SELECT");
    }
    Ok(statement)
}

fn flush(
    query: &ReadQuery,
    decoders: &mut [Box<dyn Decoder>],
    progress: &mut Progress,
    out: &mut dyn BatchSink,
) -> Result<()> {
    let arrays = decoders.iter_mut().map(|d| d.finish()).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(progress.rows));
    let batch = RecordBatch::try_new_with_options(query.schema.clone(), arrays, &options)?;
    progress.rows = 0;
    progress.bytes = 0;
    out.push(batch)
}

/// `Cancelled` once another thread has asked to stop.
pub(crate) fn stopped(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) { Err(error::cancelled()) } else { Ok(()) }
}

/// The error for a value that cannot be carried identically.
#[cold]
fn refused(query: &ReadQuery, index: usize, row: &Row<'_>, total: u64, problem: &str) -> Error {
    let column = &query.columns[index].info;
    let native_type = match column.native_type.as_str() {
        "" => "no declared type",
        declared => declared,
    };
    let value = shown(row.get_ref_unwrap(index));
    let place = match query.key.filter(|k| *k < query.columns.len()) {
        Some(key) => {
            let value = shown(row.get_ref_unwrap(key));
            format!("{} = {value}", query.columns[key].info.name)
        }
        None => format!("number {} of this read", total + 1),
    };
    Error::value(&column.name, native_type, format!("the value {value} {problem}"))
        .context("row", place)
}

/// A value for a message, cut when it is long.
fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_string(),
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Real(v) => {
            let mut out = String::new();
            number::write_real(v, &mut out);
            out
        }
        ValueRef::Text(text) => {
            let text = String::from_utf8_lossy(text);
            let cut: String = text.chars().take(KEY_TEXT_MAX).collect();
            let more = if cut.len() < text.len() { "…" } else { "" };
            format!("{cut:?}{more}")
        }
        ValueRef::Blob(bytes) => format!("of {} bytes", bytes.len()),
    }
}
