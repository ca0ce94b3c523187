//! The reading loop: one stored batch after the other, filtered, projected, cut to size, pushed.
//! Holds one batch's worth of memory beside the table itself.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use rsqoop_connector::{BatchSink, KeyRange, ReadQuery, Result, SplitKey};

use crate::{Table, bounds, error, rows, text};

/// Reads a table for [`rsqoop_connector::Session::read`].
pub(crate) fn read(
    table: &Table,
    query: &ReadQuery,
    stop: &AtomicBool,
    out: &mut dyn BatchSink,
) -> Result<()> {
    let columns = query
        .columns
        .iter()
        .map(|c| column_index(&table.schema, &c.info.name))
        .collect::<Result<Vec<usize>>>()?;
    for stored in &table.batches {
        let mask = mask(stored, &query.range)?;
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter().zip(&query.columns) {
            let mut array = stored.column(*index).clone();
            if let Some(mask) = &mask {
                array = arrow_select::filter::filter(&array, mask)?;
            }
            arrays.push(if column.as_text { text::column(&array)? } else { array });
        }
        let rows = mask.as_ref().map_or(stored.num_rows(), BooleanArray::true_count);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(query.schema.clone(), arrays, &options)?;
        push_slices(&batch, query, stop, out)?;
    }
    stopped(stop)
}

/// Cuts a batch so that no piece has more rows or, on average, more bytes than asked for.
fn push_slices(
    batch: &RecordBatch,
    query: &ReadQuery,
    stop: &AtomicBool,
    out: &mut dyn BatchSink,
) -> Result<()> {
    let row_bytes = batch.get_array_memory_size() / batch.num_rows().max(1);
    let step = query.batch_rows.min(query.batch_bytes / row_bytes.max(1)).max(1);
    let mut start = 0;
    while start < batch.num_rows() {
        stopped(stop)?;
        let rows = step.min(batch.num_rows() - start);
        out.push(batch.slice(start, rows))?;
        start += rows;
    }
    Ok(())
}

/// The rows of a stored batch that belong to the range; `None` for all of them.
fn mask(stored: &RecordBatch, range: &KeyRange) -> Result<Option<BooleanArray>> {
    Ok(match range {
        KeyRange::All => None,
        KeyRange::Null(key) => {
            let (_, array) = key_column(stored, key)?;
            Some((0..array.len()).map(|i| Some(array.is_null(i))).collect())
        }
        KeyRange::Between { key, lower, upper, upper_inclusive } if !key.row.is_empty() => {
            let (lower, upper) = (lower.as_ref(), upper.as_ref());
            Some(rows::between(stored, &key.row, lower, upper, *upper_inclusive)?)
        }
        KeyRange::Between { key, lower, upper, upper_inclusive } => {
            let (name, array) = key_column(stored, key)?;
            let (lower, upper) = (lower.as_ref(), upper.as_ref());
            Some(bounds::between(name, array, lower, upper, *upper_inclusive)?)
        }
    })
}

fn key_column<'a>(stored: &'a RecordBatch, key: &'a SplitKey) -> Result<(&'a str, &'a ArrayRef)> {
    let name = key_name(key)?;
    Ok((name, stored.column(column_index(&stored.schema(), name)?)))
}

/// The column a key stands for; an expression would need SQL.
pub(crate) fn key_name(key: &SplitKey) -> Result<&str> {
    match &key.column {
        Some(column) => Ok(&column.name),
        None => Err(error::no_sql("key expression")),
    }
}

/// The place of a column in a table.
pub(crate) fn column_index(schema: &Schema, name: &str) -> Result<usize> {
    schema.index_of(name).map_err(|_| error::no_column(name))
}

/// `Cancelled` once another thread has asked to stop.
fn stopped(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) { Err(error::cancelled()) } else { Ok(()) }
}
