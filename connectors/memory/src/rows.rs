//! Keys of several columns: in the order of the first column, then of the second, and so on.

use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::DataType;
use rsqoop_connector::{Bounds, ColumnInfo, KeyValue, Result};

use crate::{bounds, error, read};

/// One column's part of a key.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Number(i128),
    Text(&'a str),
}

/// About `pieces - 1` keys that cut the rows into equal parts.
pub(crate) fn points(
    batches: &[RecordBatch],
    columns: &[ColumnInfo],
    pieces: usize,
) -> Result<Bounds> {
    let mut keys: Vec<Vec<Part<'_>>> = Vec::new();
    for batch in batches {
        keys.extend(keys_of(batch, columns)?.into_iter().flatten());
    }
    let Some(first) = batches.first().filter(|_| !keys.is_empty()) else {
        return Ok(Bounds::Empty);
    };
    keys.sort_unstable();
    let mut points: Vec<_> = (1..pieces.max(1)).map(|i| &keys[i * keys.len() / pieces]).collect();
    points.dedup();
    let types = types_of(first, columns)?;
    let value = |key: &Vec<Part<'_>>| {
        let parts = key.iter().zip(&types).zip(columns);
        let parts = parts.map(|((part, data_type), column)| match part {
            Part::Text(text) => Ok(KeyValue::Text((*text).to_string())),
            Part::Number(n) => bounds::key_value(*n, data_type)
                .ok_or_else(|| error::no_ranges(&column.name, &data_type.to_string())),
        });
        parts.collect::<Result<_>>().map(KeyValue::Row)
    };
    points.into_iter().map(value).collect::<Result<_>>().map(Bounds::Points)
}

/// Which rows have a key from `lower` to `upper`.
pub(crate) fn between(
    batch: &RecordBatch,
    columns: &[ColumnInfo],
    lower: Option<&KeyValue>,
    upper: Option<&KeyValue>,
    upper_inclusive: bool,
) -> Result<BooleanArray> {
    let types = types_of(batch, columns)?;
    let lower = lower.map(|value| parts(value, &types, columns)).transpose()?;
    let upper = upper.map(|value| parts(value, &types, columns)).transpose()?;
    let inside = |key: &[Part<'_>]| {
        lower.as_deref().is_none_or(|lower| key >= lower)
            && upper.as_deref().is_none_or(|u| key < u || (upper_inclusive && key == u))
    };
    let keys = keys_of(batch, columns)?;
    Ok(keys.into_iter().map(|key| Some(key.is_some_and(|key| inside(&key)))).collect())
}

/// Every row's key; `None` where a part is NULL.
fn keys_of<'a>(
    batch: &'a RecordBatch,
    columns: &[ColumnInfo],
) -> Result<Vec<Option<Vec<Part<'a>>>>> {
    let mut keys: Vec<Option<Vec<Part<'a>>>> = Vec::new();
    keys.resize_with(batch.num_rows(), || Some(Vec::with_capacity(columns.len())));
    let mut add = |row: usize, part: Option<Part<'a>>| match (&mut keys[row], part) {
        (Some(key), Some(part)) => key.push(part),
        (key, _) => *key = None,
    };
    for column in columns {
        let array = batch.column(read::column_index(&batch.schema(), &column.name)?);
        if array.data_type() == &DataType::Utf8 {
            let texts = array.as_string::<i32>().iter().enumerate();
            texts.for_each(|(row, text)| add(row, text.map(Part::Text)));
        } else {
            let numbers = bounds::numbers(&column.name, array)?.into_iter().enumerate();
            numbers.for_each(|(row, number)| add(row, number.map(Part::Number)));
        }
    }
    Ok(keys)
}

/// The types of the key's columns.
fn types_of(batch: &RecordBatch, columns: &[ColumnInfo]) -> Result<Vec<DataType>> {
    let schema = batch.schema();
    let index = |column: &ColumnInfo| read::column_index(&schema, &column.name);
    columns.iter().map(|c| Ok(schema.field(index(c)?).data_type().clone())).collect()
}

/// The parts of a value of the key.
fn parts<'a>(
    value: &'a KeyValue,
    types: &[DataType],
    columns: &[ColumnInfo],
) -> Result<Vec<Part<'a>>> {
    let values = match value {
        KeyValue::Row(values) if values.len() == columns.len() => values,
        _ => return Err(error::no_ranges(&columns[0].name, "row of another length")),
    };
    let parts = values.iter().zip(types).zip(columns);
    let parts = parts.map(|((value, data_type), column)| match value {
        KeyValue::Text(text) if data_type == &DataType::Utf8 => Ok(Part::Text(text)),
        _ => bounds::number(value, data_type)
            .map(Part::Number)
            .ok_or_else(|| error::no_ranges(&column.name, &data_type.to_string())),
    });
    parts.collect()
}
