//! The errors this connector makes, each in one place so that its wording stays the same.

use rsqoop_connector::{Error, ErrorKind, TableName};

/// SQL was asked for.
pub(crate) fn no_sql(what: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("the memory connector has no SQL: it takes no {what}"),
    )
    .hint("name a table and columns instead")
}

/// There is no such table.
pub(crate) fn no_table(table: &TableName) -> Error {
    Error::new(ErrorKind::Usage, format!("there is no table \"{table}\""))
}

/// There is no such column.
pub(crate) fn no_column(column: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("there is no column \"{column}\""))
}

/// A key that cannot be cut into ranges here.
pub(crate) fn no_ranges(column: &str, native_type: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("the memory connector cannot compare keys of type {native_type}"),
    )
    .context("column", column)
    .hint("split by an integer, decimal, date, timestamp or text column, or use -m 1")
}

/// Another thread asked to stop.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the read was stopped")
}
