//! Binary rows into Arrow arrays: a decoder is chosen per column once per statement, then every
//! value goes from the packet's bytes straight into that column's vector.
//!
//! Knows nothing of connections. The row format is "Binary Protocol Resultset Row" of the
//! protocol's documentation: a zero byte, a bitmap of NULLs with an offset of two bits, the values.

use std::sync::Arc;

use arrow_array::types::{Decimal128Type, Decimal256Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, StringArray,
    TimestampMicrosecondArray, types,
};
use arrow_buffer::{
    ArrowNativeType, BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer,
    ScalarBuffer, i256,
};
use arrow_schema::DataType;
use mysql_common::constants::ColumnType;

use crate::value::{self, Problem};
use crate::wire::{Cell, ColumnDef, Cursor};

/// Strings or byte strings under construction.
#[derive(Debug)]
struct Bytes {
    offsets: Vec<i32>,
    data: Vec<u8>,
}

impl Bytes {
    fn new() -> Self {
        Bytes { offsets: vec![0], data: Vec::new() }
    }

    #[inline]
    fn end_value(&mut self) -> Result<(), Problem> {
        self.offsets.push(i32::try_from(self.data.len()).map_err(|_| Problem::TooLong)?);
        Ok(())
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let mut offsets = Vec::with_capacity(self.offsets.len());
        offsets.push(0);
        let offsets = std::mem::replace(&mut self.offsets, offsets);
        // An eighth more than this batch: the next one is about as large.
        let data = Vec::with_capacity(self.data.len() + self.data.len() / 8);
        let data = std::mem::replace(&mut self.data, data);
        // Offsets ascend from 0 by construction.
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(data))
    }
}

#[derive(Debug)]
enum Values {
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    TinyBool(BooleanBufferBuilder),
    BitBool(BooleanBufferBuilder),
    BitU64(Vec<u64>),
    Decimal128 {
        out: Vec<i128>,
        precision: u8,
        scale: u8,
    },
    Decimal256 {
        out: Vec<i256>,
        precision: u8,
        scale: u8,
    },
    Date(Vec<i32>),
    DateTime {
        out: Vec<i64>,
        zone: Option<Arc<str>>,
    },
    Time(Vec<i64>),
    Uuid(Vec<u8>),
    Text(Bytes),
    Binary(Bytes),
    /// Text made here, because the server's own would lose digits or be no text at all.
    TextOfF32(Bytes),
    TextOfF64(Bytes),
    TextOfBytes(Bytes),
}

/// One column of a read.
#[derive(Debug)]
pub(crate) struct ColumnDecoder {
    values: Values,
    nulls: NullBufferBuilder,
    zero_null: bool,
}

impl ColumnDecoder {
    /// The decoder that makes `want` of what the server announces; `None` where that is not a
    /// lossless pair.
    pub(crate) fn choose(def: &ColumnDef, want: &DataType, zero_null: bool) -> Option<Self> {
        use ColumnType as T;
        let unsigned = def.is_unsigned();
        let date_time = matches!(def.kind, T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_TIMESTAMP);
        let values = match (want, def.kind) {
            (DataType::Int8, T::MYSQL_TYPE_TINY) if !unsigned => Values::I8(Vec::new()),
            (DataType::UInt8, T::MYSQL_TYPE_TINY) if unsigned => Values::U8(Vec::new()),
            (DataType::Boolean, T::MYSQL_TYPE_TINY) => {
                Values::TinyBool(BooleanBufferBuilder::new(0))
            }
            (DataType::Boolean, T::MYSQL_TYPE_BIT) => Values::BitBool(BooleanBufferBuilder::new(0)),
            (DataType::Int16, T::MYSQL_TYPE_SHORT) if !unsigned => Values::I16(Vec::new()),
            (DataType::Int16, T::MYSQL_TYPE_YEAR) => Values::I16(Vec::new()),
            (DataType::UInt16, T::MYSQL_TYPE_SHORT) if unsigned => Values::U16(Vec::new()),
            (DataType::Int32, T::MYSQL_TYPE_LONG | T::MYSQL_TYPE_INT24) if !unsigned => {
                Values::I32(Vec::new())
            }
            (DataType::UInt32, T::MYSQL_TYPE_LONG | T::MYSQL_TYPE_INT24) if unsigned => {
                Values::U32(Vec::new())
            }
            (DataType::Int64, T::MYSQL_TYPE_LONGLONG) if !unsigned => Values::I64(Vec::new()),
            (DataType::UInt64, T::MYSQL_TYPE_LONGLONG) if unsigned => Values::U64(Vec::new()),
            (DataType::UInt64, T::MYSQL_TYPE_BIT) => Values::BitU64(Vec::new()),
            (DataType::Float32, T::MYSQL_TYPE_FLOAT) => Values::F32(Vec::new()),
            (DataType::Float64, T::MYSQL_TYPE_DOUBLE) => Values::F64(Vec::new()),
            (DataType::Decimal128(p, s), T::MYSQL_TYPE_NEWDECIMAL | T::MYSQL_TYPE_DECIMAL) => {
                let scale = u8::try_from(*s).ok()?;
                Values::Decimal128 { out: Vec::new(), precision: *p, scale }
            }
            (DataType::Decimal256(p, s), T::MYSQL_TYPE_NEWDECIMAL | T::MYSQL_TYPE_DECIMAL) => {
                let scale = u8::try_from(*s).ok()?;
                Values::Decimal256 { out: Vec::new(), precision: *p, scale }
            }
            (DataType::Date32, T::MYSQL_TYPE_DATE) => Values::Date(Vec::new()),
            (DataType::Timestamp(_, zone), _) if date_time => {
                Values::DateTime { out: Vec::new(), zone: zone.clone() }
            }
            (DataType::Time64(_), T::MYSQL_TYPE_TIME) => Values::Time(Vec::new()),
            (DataType::FixedSizeBinary(16), _) if is_string(def.kind) => Values::Uuid(Vec::new()),
            (DataType::Utf8, T::MYSQL_TYPE_FLOAT) => Values::TextOfF32(Bytes::new()),
            (DataType::Utf8, T::MYSQL_TYPE_DOUBLE) => Values::TextOfF64(Bytes::new()),
            (DataType::Utf8, kind) if is_string(kind) => {
                let text = !def.is_binary()
                    || matches!(kind, T::MYSQL_TYPE_JSON | T::MYSQL_TYPE_NULL)
                    || is_number_text(kind);
                if text { Values::Text(Bytes::new()) } else { Values::TextOfBytes(Bytes::new()) }
            }
            (DataType::Binary, kind) if is_string(kind) => Values::Binary(Bytes::new()),
            _ => return None,
        };
        Some(ColumnDecoder { values, nulls: NullBufferBuilder::new(0), zero_null })
    }

    /// Arrow bytes of one value, without what varies.
    pub(crate) fn width(&self) -> usize {
        match &self.values {
            Values::I8(_) | Values::U8(_) | Values::TinyBool(_) | Values::BitBool(_) => 1,
            Values::I16(_) | Values::U16(_) => 2,
            Values::I32(_) | Values::U32(_) | Values::F32(_) | Values::Date(_) => 4,
            Values::Decimal128 { .. } | Values::Uuid(_) => 16,
            Values::Decimal256 { .. } => 32,
            Values::I64(_)
            | Values::U64(_)
            | Values::F64(_)
            | Values::BitU64(_)
            | Values::DateTime { .. }
            | Values::Time(_) => 8,
            Values::Text(_)
            | Values::Binary(_)
            | Values::TextOfF32(_)
            | Values::TextOfF64(_)
            | Values::TextOfBytes(_) => 4,
        }
    }

    pub(crate) fn push_null(&mut self) {
        self.nulls.append_null();
        self.push_default();
    }

    fn push_default(&mut self) {
        match &mut self.values {
            Values::I8(v) => v.push(0),
            Values::U8(v) => v.push(0),
            Values::I16(v) => v.push(0),
            Values::U16(v) => v.push(0),
            Values::I32(v) | Values::Date(v) => v.push(0),
            Values::U32(v) => v.push(0),
            Values::I64(v) | Values::Time(v) | Values::DateTime { out: v, .. } => v.push(0),
            Values::U64(v) | Values::BitU64(v) => v.push(0),
            Values::F32(v) => v.push(0.0),
            Values::F64(v) => v.push(0.0),
            Values::TinyBool(v) | Values::BitBool(v) => v.append(false),
            Values::Decimal128 { out, .. } => out.push(0),
            Values::Decimal256 { out, .. } => out.push(i256::ZERO),
            Values::Uuid(v) => v.extend_from_slice(&[0; 16]),
            Values::Text(b)
            | Values::Binary(b)
            | Values::TextOfF32(b)
            | Values::TextOfF64(b)
            | Values::TextOfBytes(b) => {
                let end = b.offsets.last().copied().unwrap_or(0);
                b.offsets.push(end);
            }
        }
    }

    /// Appends the value at the front of `c`.
    #[inline]
    pub(crate) fn push(&mut self, c: &mut Cursor<'_>) -> Result<(), Problem> {
        match self.decode(c) {
            Ok(()) => {
                self.nulls.append_non_null();
                Ok(())
            }
            Err(Problem::ZeroDate) if self.zero_null => {
                self.push_null();
                Ok(())
            }
            Err(problem) => Err(problem),
        }
    }

    #[inline]
    fn decode(&mut self, c: &mut Cursor<'_>) -> Result<(), Problem> {
        match &mut self.values {
            Values::I8(v) => v.push(i8::from_le_bytes(fixed(c)?)),
            Values::U8(v) => v.push(u8::from_le_bytes(fixed(c)?)),
            Values::I16(v) => v.push(i16::from_le_bytes(fixed(c)?)),
            Values::U16(v) => v.push(u16::from_le_bytes(fixed(c)?)),
            Values::I32(v) => v.push(i32::from_le_bytes(fixed(c)?)),
            Values::U32(v) => v.push(u32::from_le_bytes(fixed(c)?)),
            Values::I64(v) => v.push(i64::from_le_bytes(fixed(c)?)),
            Values::U64(v) => v.push(u64::from_le_bytes(fixed(c)?)),
            Values::F32(v) => v.push(f32::from_le_bytes(fixed(c)?)),
            Values::F64(v) => v.push(f64::from_le_bytes(fixed(c)?)),
            Values::TinyBool(v) => match fixed::<1>(c)? {
                [0] => v.append(false),
                [1] => v.append(true),
                _ => return Err(Problem::NotBool),
            },
            Values::BitBool(v) => v.append(value::bits(string(c)?)? != 0),
            Values::BitU64(v) => v.push(value::bits(string(c)?)?),
            Values::Decimal128 { out, precision, scale } => {
                out.push(value::decimal128(string(c)?, *precision, *scale)?);
            }
            Values::Decimal256 { out, precision, scale } => {
                out.push(value::decimal256(string(c)?, *precision, *scale)?);
            }
            Values::Date(v) => v.push(value::date(c)?),
            Values::DateTime { out, .. } => out.push(value::date_time(c)?),
            Values::Time(v) => v.push(value::time(c)?),
            Values::Uuid(v) => v.extend_from_slice(&value::uuid(string(c)?)?),
            Values::Text(b) | Values::Binary(b) => {
                b.data.extend_from_slice(string(c)?);
                b.end_value()?;
            }
            Values::TextOfF32(b) => {
                let v = f32::from_le_bytes(fixed(c)?);
                value::write_float(&mut b.data, &format!("{v:e}"), &v.to_string());
                b.end_value()?;
            }
            Values::TextOfF64(b) => {
                let v = f64::from_le_bytes(fixed(c)?);
                value::write_float(&mut b.data, &format!("{v:e}"), &v.to_string());
                b.end_value()?;
            }
            Values::TextOfBytes(b) => {
                value::write_hex(&mut b.data, string(c)?);
                b.end_value()?;
            }
        }
        Ok(())
    }

    /// The array of everything since the last call.
    ///
    /// # Errors
    /// Text that is not UTF-8.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef, Problem> {
        let nulls = self.nulls.finish();
        Ok(match &mut self.values {
            Values::I8(v) => primitive::<types::Int8Type>(v, nulls),
            Values::U8(v) => primitive::<types::UInt8Type>(v, nulls),
            Values::I16(v) => primitive::<types::Int16Type>(v, nulls),
            Values::U16(v) => primitive::<types::UInt16Type>(v, nulls),
            Values::I32(v) => primitive::<types::Int32Type>(v, nulls),
            Values::U32(v) => primitive::<types::UInt32Type>(v, nulls),
            Values::I64(v) => primitive::<types::Int64Type>(v, nulls),
            Values::U64(v) | Values::BitU64(v) => primitive::<types::UInt64Type>(v, nulls),
            Values::F32(v) => primitive::<types::Float32Type>(v, nulls),
            Values::F64(v) => primitive::<types::Float64Type>(v, nulls),
            Values::Date(v) => primitive::<types::Date32Type>(v, nulls),
            Values::Time(v) => primitive::<types::Time64MicrosecondType>(v, nulls),
            Values::TinyBool(v) | Values::BitBool(v) => {
                Arc::new(BooleanArray::new(v.finish(), nulls))
            }
            Values::DateTime { out, zone } => Arc::new(
                TimestampMicrosecondArray::new(taken(out), nulls).with_timezone_opt(zone.clone()),
            ),
            Values::Decimal128 { out, precision, scale } => Arc::new(
                PrimitiveArray::<Decimal128Type>::new(taken(out), nulls)
                    .with_precision_and_scale(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
                    .map_err(|_| Problem::Digits)?,
            ),
            Values::Decimal256 { out, precision, scale } => Arc::new(
                PrimitiveArray::<Decimal256Type>::new(taken(out), nulls)
                    .with_precision_and_scale(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
                    .map_err(|_| Problem::Digits)?,
            ),
            Values::Uuid(v) => {
                let values = Buffer::from_vec(std::mem::take(v));
                Arc::new(FixedSizeBinaryArray::new(16, values, nulls))
            }
            Values::Binary(b) => {
                let (offsets, data) = b.finish();
                Arc::new(BinaryArray::new(offsets, data, nulls))
            }
            Values::Text(b)
            | Values::TextOfF32(b)
            | Values::TextOfF64(b)
            | Values::TextOfBytes(b) => {
                let (offsets, data) = b.finish();
                Arc::new(StringArray::try_new(offsets, data, nulls).map_err(|_| Problem::NotUtf8)?)
            }
        })
    }
}

/// Takes the values and leaves a vector of the same capacity, since the next batch is as long.
fn taken<T: ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    let next = Vec::with_capacity(values.len());
    ScalarBuffer::from(std::mem::replace(values, next))
}

fn primitive<T: arrow_array::ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(taken(values), nulls))
}

#[inline]
fn fixed<const N: usize>(c: &mut Cursor<'_>) -> Result<[u8; N], Problem> {
    c.array().ok_or(Problem::Cut)
}

#[inline]
fn string<'a>(c: &mut Cursor<'a>) -> Result<&'a [u8], Problem> {
    c.lenenc_bytes().ok_or(Problem::Cut)
}

/// Types that arrive as a string with its length before it.
fn is_string(kind: ColumnType) -> bool {
    use ColumnType as T;
    matches!(
        kind,
        T::MYSQL_TYPE_VARCHAR
            | T::MYSQL_TYPE_VAR_STRING
            | T::MYSQL_TYPE_STRING
            | T::MYSQL_TYPE_TINY_BLOB
            | T::MYSQL_TYPE_MEDIUM_BLOB
            | T::MYSQL_TYPE_LONG_BLOB
            | T::MYSQL_TYPE_BLOB
            | T::MYSQL_TYPE_ENUM
            | T::MYSQL_TYPE_SET
            | T::MYSQL_TYPE_JSON
            | T::MYSQL_TYPE_GEOMETRY
            | T::MYSQL_TYPE_VECTOR
            | T::MYSQL_TYPE_NULL
    ) || is_number_text(kind)
}

fn is_number_text(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::MYSQL_TYPE_DECIMAL | ColumnType::MYSQL_TYPE_NEWDECIMAL)
}

/// Splits a row into its bitmap of NULLs and its values.
#[inline]
pub(crate) fn split_row(row: &[u8], columns: usize) -> Option<(&[u8], Cursor<'_>)> {
    let mut c = Cursor(row);
    if c.u8()? != 0 {
        return None;
    }
    let bitmap = c.take((columns + 9) / 8)?;
    Some((bitmap, c))
}

/// Whether a column is NULL by the bitmap.
#[inline]
pub(crate) fn is_null(bitmap: &[u8], column: usize) -> bool {
    let bit = column + 2;
    bitmap.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
}

/// All values of a row, one object each: for single rows only.
pub(crate) fn cells(row: &[u8], columns: &[ColumnDef]) -> Option<Vec<Cell>> {
    let (bitmap, mut c) = split_row(row, columns.len())?;
    columns
        .iter()
        .enumerate()
        .map(|(i, def)| if is_null(bitmap, i) { Some(Cell::Null) } else { cell(def, &mut c) })
        .collect()
}

fn cell(def: &ColumnDef, c: &mut Cursor<'_>) -> Option<Cell> {
    use ColumnType as T;
    let unsigned = def.is_unsigned();
    Some(match def.kind {
        T::MYSQL_TYPE_TINY if unsigned => Cell::Int(c.u8()?.into()),
        T::MYSQL_TYPE_TINY => Cell::Int(i8::from_le_bytes(c.array()?).into()),
        T::MYSQL_TYPE_SHORT if !unsigned => Cell::Int(i16::from_le_bytes(c.array()?).into()),
        T::MYSQL_TYPE_SHORT | T::MYSQL_TYPE_YEAR => Cell::Int(c.u16()?.into()),
        T::MYSQL_TYPE_LONG | T::MYSQL_TYPE_INT24 if unsigned => Cell::Int(c.u32()?.into()),
        T::MYSQL_TYPE_LONG | T::MYSQL_TYPE_INT24 => {
            Cell::Int(i32::from_le_bytes(c.array()?).into())
        }
        T::MYSQL_TYPE_LONGLONG if unsigned => Cell::Int(u64::from_le_bytes(c.array()?).into()),
        T::MYSQL_TYPE_LONGLONG => Cell::Int(i64::from_le_bytes(c.array()?).into()),
        T::MYSQL_TYPE_FLOAT => Cell::Float(f32::from_le_bytes(c.array()?).into()),
        T::MYSQL_TYPE_DOUBLE => Cell::Float(f64::from_le_bytes(c.array()?)),
        T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_TIMESTAMP => {
            let (year, month, day, micros) = value::date_time_fields(c).ok()?;
            Cell::DateTime(year, month, day, micros)
        }
        T::MYSQL_TYPE_TIME => {
            let (negative, micros) = value::time_fields(c).ok()?;
            Cell::Time(negative, micros)
        }
        T::MYSQL_TYPE_BIT => Cell::Int(value::bits(c.lenenc_bytes()?).ok()?.into()),
        _ => Cell::Bytes(c.lenenc_bytes()?.to_vec()),
    })
}
