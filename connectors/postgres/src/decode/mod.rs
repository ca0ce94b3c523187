//! From the bytes of binary COPY to Arrow arrays.
//!
//! [`Rows`] cuts a run of bytes into rows and fields; a [`Column`] then appends one field of many
//! rows in a tight loop, so that what a column is gets decided once per query. Nothing here does
//! I/O, and nothing depends on how the server cuts its messages.
//!
//! The layout is the one of PostgreSQL's documentation, chapter "COPY", section "Binary Format":
//! a header, tuples of (field count, then per field a length and its bytes), and a trailer of -1.

mod bytes;
mod fixed;
mod list;
mod numeric;
mod rows;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, TimeUnit};
use rsqoop_connector::{Error, ErrorKind, Result};

pub(crate) use fixed::{unix_days, unix_micros};
pub(crate) use rows::{Block, Rows};

/// Where a field lies in its block; a length of -1 is NULL.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    start: u32,
    len: i32,
}

impl Span {
    /// The field's bytes; `None` is NULL. A span is only made for bytes that are there.
    pub(crate) fn of(self, data: &[u8]) -> Option<&[u8]> {
        let len = usize::try_from(self.len).ok()?;
        data.get(self.start as usize..self.start as usize + len)
    }
}

/// Why a value was refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Index of the field in the appended run.
    pub(crate) at: usize,
    /// What is wrong, as a part of a sentence.
    pub(crate) problem: String,
}

/// Collects the values of one column.
pub(crate) trait Column {
    /// Appends one value per span.
    fn append(&mut self, data: &[u8], spans: &[Span]) -> Result<(), Refused>;

    /// The values so far as an array; the column is empty afterwards.
    fn finish(&mut self) -> Result<ArrayRef, Refused>;

    /// Bytes that a value takes at least in memory.
    fn width(&self) -> usize;
}

/// Chooses the decoder for a field of the wanted schema.
pub(crate) fn column_for(field: &Field) -> Result<Box<dyn Column>> {
    for_type(field.data_type()).ok_or_else(|| {
        Error::new(
            ErrorKind::Bug,
            format!("the PostgreSQL connector cannot deliver {}", field.data_type()),
        )
        .context("column", field.name())
    })
}

fn for_type(data_type: &DataType) -> Option<Box<dyn Column>> {
    Some(match data_type {
        DataType::Boolean => Box::new(fixed::Booleans::new()),
        DataType::Int16 => fixed::int16(),
        DataType::Int32 => fixed::int32(),
        DataType::Int64 => fixed::int64(),
        DataType::UInt32 => fixed::oid(),
        DataType::Float32 => fixed::float32(),
        DataType::Float64 => fixed::float64(),
        DataType::Date32 => fixed::date(),
        DataType::Time64(TimeUnit::Microsecond) => fixed::time(),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => fixed::timestamp(zone.clone()),
        DataType::FixedSizeBinary(16) => Box::new(fixed::Uuids::new()),
        DataType::Decimal128(precision, scale) => numeric::decimal128(*precision, *scale)?,
        DataType::Decimal256(precision, scale) => numeric::decimal256(*precision, *scale)?,
        DataType::Utf8 => Box::new(bytes::Texts::new()),
        DataType::Binary => Box::new(bytes::Binaries::new()),
        DataType::List(item) => {
            Box::new(list::Lists::new(item.clone(), for_type(item.data_type())?))
        }
        _ => return None,
    })
}
