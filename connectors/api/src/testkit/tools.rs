//! What the checks share: building queries, reading rows, comparing them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};

use super::{Failure, Suite, ensure};
use crate::{
    BatchSink, ColumnInfo, Error, ErrorKind, KeyRange, ReadColumn, ReadQuery, Relation, Session,
    SplitKey, TableInfo, TableName,
};

/// A row in comparable form; `None` is NULL.
pub(super) type Row = Vec<Option<String>>;

/// A table by name.
pub(super) fn relation(name: &str) -> Relation {
    Relation::Table(TableName::new(name))
}

/// A query that reads some columns of a described relation; all of them when none is named.
pub(super) fn query(
    relation: &Relation,
    info: &TableInfo,
    columns: &[&str],
) -> Result<ReadQuery, Failure> {
    let whole = columns.is_empty();
    let infos: Vec<ColumnInfo> = if whole {
        info.columns.clone()
    } else {
        columns.iter().map(|name| column(info, name)).collect::<Result<_, _>>()?
    };
    let schema = Schema::new(infos.iter().map(|c| c.field(false)).collect::<Vec<_>>());
    Ok(ReadQuery {
        relation: relation.clone(),
        columns: infos.into_iter().map(|info| ReadColumn { info, as_text: false }).collect(),
        whole,
        filter: None,
        range: KeyRange::All,
        schema: Arc::new(schema),
        batch_rows: 1000,
        batch_bytes: 1 << 20,
        fetch_size: None,
        key: Some(0),
    })
}

/// The description of one column.
pub(super) fn column(info: &TableInfo, name: &str) -> Result<ColumnInfo, Failure> {
    info.columns
        .iter()
        .find(|c| c.name == name)
        .cloned()
        .ok_or_else(|| Failure(format!("describe does not name the column {name:?}")))
}

/// A plain column as split key.
pub(super) fn split_key(session: &dyn Session, column: &ColumnInfo) -> SplitKey {
    SplitKey::new(session.dialect().quote_ident(&column.name), Some(column.clone()))
}

/// Describes a table and reads it whole.
pub(super) fn read_table(session: &mut dyn Session, name: &str) -> Result<Vec<Row>, Failure> {
    let relation = relation(name);
    let info = session.describe(&relation)?;
    read(session, &query(&relation, &info, &[])?)
}

/// Reads and compares every batch's schema with the query's.
pub(super) fn read(session: &mut dyn Session, query: &ReadQuery) -> Result<Vec<Row>, Failure> {
    rows(query, &read_batches(session, query)?)
}

/// Reads as batches.
pub(super) fn read_batches(
    session: &mut dyn Session,
    query: &ReadQuery,
) -> Result<Vec<RecordBatch>, Failure> {
    let mut batches: Vec<RecordBatch> = Vec::new();
    session.read(query, &mut batches)?;
    Ok(batches)
}

fn rows(query: &ReadQuery, batches: &[RecordBatch]) -> Result<Vec<Row>, Failure> {
    let mut out = Vec::new();
    for batch in batches {
        ensure!(
            batch.schema() == query.schema,
            "a batch has the schema {:?} where {:?} was asked for",
            batch.schema(),
            query.schema
        );
        ensure!(batch.num_rows() > 0, "a batch without rows was pushed");
        for row in 0..batch.num_rows() {
            out.push(
                batch.columns().iter().map(|c| cell(c, row)).collect::<Result<Row, Failure>>()?,
            );
        }
    }
    Ok(out)
}

/// A table's rows as the suite knows them.
pub(super) fn expected(suite: &Suite<'_>, table: &str) -> Result<Vec<Row>, Failure> {
    let batches = &suite.table(table).batches;
    let mut out = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            out.push(
                batch.columns().iter().map(|c| cell(c, row)).collect::<Result<Row, Failure>>()?,
            );
        }
    }
    Ok(out)
}

/// One value in comparable form. Doubles are compared by their bits.
fn cell(array: &ArrayRef, row: usize) -> Result<Option<String>, Failure> {
    macro_rules! number {
        ($type:ty) => {
            array.as_primitive::<$type>().value(row).to_string()
        };
    }
    if array.is_null(row) {
        return Ok(None);
    }
    Ok(Some(match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            format!("{value:e} ({:016x})", value.to_bits())
        }
        DataType::Decimal128(_, scale) => {
            format!("{}e-{scale}", array.as_primitive::<Decimal128Type>().value(row))
        }
        DataType::Date32 => format!("day {}", array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(_, _) => {
            format!("µs {}", array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Utf8 => array.as_string::<i32>().value(row).to_string(),
        DataType::Binary => format!("{:02x?}", array.as_binary::<i32>().value(row)),
        other => return Err(Failure(format!("a column of type {other} was not expected"))),
    }))
}

/// Compares rows whose order is the server's affair; says which rows differ.
pub(super) fn same_rows(mut got: Vec<Row>, mut want: Vec<Row>, what: &str) -> Result<(), Failure> {
    got.sort();
    want.sort();
    if got == want {
        return Ok(());
    }
    let only = |a: &[Row], b: &[Row]| a.iter().find(|row| !b.contains(row)).cloned();
    Err(Failure(format!(
        "{what}: {} rows where {} were expected; not expected: {:?}; missing: {:?}",
        got.len(),
        want.len(),
        only(&got, &want),
        only(&want, &got),
    )))
}

/// The error that something must fail with.
pub(super) fn must_fail<T>(
    result: crate::Result<T>,
    kinds: &[ErrorKind],
    what: &str,
) -> Result<Error, Failure> {
    match result {
        Ok(_) => Err(Failure(format!("{what} did not fail"))),
        Err(error) => {
            ensure!(
                kinds.contains(&error.kind()),
                "{what} failed with {error:?}; its kind must be {kinds:?}"
            );
            ensure!(!error.message().contains('\n'), "the message has several lines: {error:?}");
            Ok(error)
        }
    }
}

/// A sink that calls a function for every batch.
pub(super) struct Each<F>(pub(super) F);

impl<F: FnMut(RecordBatch) -> crate::Result<()>> BatchSink for Each<F> {
    fn push(&mut self, batch: RecordBatch) -> crate::Result<()> {
        (self.0)(batch)
    }
}
