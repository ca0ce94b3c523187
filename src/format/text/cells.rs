//! One encoder per column: chosen from the schema when the file is opened, bound to each batch's
//! arrays once, and then called row by row without looking at types again.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, LargeBinaryArray, LargeStringArray,
    StringArray,
};
use arrow_buffer::{NullBuffer, i256};
use arrow_schema::{DataType, Field, TimeUnit};
use rsqoop_connector::{ColumnKind, Error, ErrorKind, Result};

use super::field::{self, Alphabet, FieldFormatter, Frame};
use super::output::{Output, PIECE_BYTES};
use super::{float, values};
use crate::job::{HiveDelims, TextFormat};

/// What is decided about a column once for the whole file.
#[derive(Debug)]
pub(super) struct Column {
    name: String,
    data_type: DataType,
    uuid: bool,
    frame: Frame,
    /// The bytes of a NULL, complete.
    null: Vec<u8>,
    /// Applied to character columns before anything else.
    hive_delims: HiveDelims,
    /// Sqoop writes no fraction of a time.
    time_fraction: bool,
}

impl Column {
    pub(super) fn new(
        column: &Field,
        kind: ColumnKind,
        options: &TextFormat,
        formatter: &FieldFormatter,
    ) -> Result<Self> {
        let uuid = *column.data_type() == DataType::FixedSizeBinary(16)
            && (column.extension_type_name() == Some("arrow.uuid") || kind == ColumnKind::Uuid);
        let alphabet = alphabet(column.data_type(), uuid).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("a column of Arrow type {} has no text form", column.data_type()),
            )
            .context("column", column.name().as_str())
            .hint(format!("import it as text: --map-column {}=string", column.name()))
        })?;
        let string_class = kind.is_string_class();
        let token = if string_class { &options.null_string } else { &options.null_non_string };
        let hive_delims = match string_class && alphabet == Alphabet::Any {
            true => options.hive_delims.clone(),
            false => HiveDelims::Keep,
        };
        Ok(Column {
            name: column.name().clone(),
            data_type: column.data_type().clone(),
            uuid,
            frame: formatter.frame(alphabet),
            null: formatter.null(token, options.sqoop_compat),
            hive_delims,
            time_fraction: !options.sqoop_compat,
        })
    }

    /// The encoder for one batch's values of this column.
    pub(super) fn bind<'a>(&'a self, array: &'a dyn Array) -> Result<Cells<'a>> {
        let values = (*array.data_type() == self.data_type)
            .then(|| Values::of(array, self.uuid, self.time_fraction))
            .flatten();
        let values = values.ok_or_else(|| {
            Error::new(
                ErrorKind::Bug,
                format!("a batch has {} where {} was promised", array.data_type(), self.data_type),
            )
            .context("column", self.name.as_str())
        })?;
        Ok(Cells { column: self, values, nulls: array.nulls().filter(|n| n.null_count() > 0) })
    }
}

/// Every character that a type's texts can hold; `None` for types without a text form.
fn alphabet(data_type: &DataType, uuid: bool) -> Option<Alphabet> {
    Some(Alphabet::Only(match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => return Some(Alphabet::Any),
        DataType::Boolean => b"truefals",
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => b"0123456789",
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => b"-0123456789",
        DataType::Float32 | DataType::Float64 => b"-.0123456789ENaInfity",
        DataType::Decimal128(..) | DataType::Decimal256(..) => b"-.0123456789",
        DataType::Date32 => b"-0123456789",
        DataType::Time64(_) => b"-0123456789:.",
        DataType::Timestamp(..) => b"-0123456789:. ",
        DataType::FixedSizeBinary(_) if uuid => b"-0123456789abcdef",
        DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) => {
            b"0123456789abcdef "
        }
        _ => return None,
    }))
}

/// A batch's values of one column.
pub(super) struct Cells<'a> {
    column: &'a Column,
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
}

impl Cells<'_> {
    /// Appends the field of `row`, complete but for the delimiter after it.
    #[inline]
    pub(super) fn write(
        &self,
        row: usize,
        formatter: &FieldFormatter,
        out: &mut Output,
    ) -> Result<()> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.buffer.extend_from_slice(&self.column.null);
            return Ok(());
        }
        match &self.values {
            Values::Text(array) => self.text(array.value(row), formatter, out),
            Values::LargeText(array) => self.text(array.value(row), formatter, out),
            Values::Binary(array) => self.bytes(array.value(row), formatter, out),
            Values::LargeBinary(array) => self.bytes(array.value(row), formatter, out),
            Values::FixedBinary(array) => self.bytes(array.value(row), formatter, out),
            short => {
                match self.column.frame {
                    Frame::Bare => short.render(row, &mut out.buffer),
                    Frame::Enclosed => {
                        formatter.enclosing(&mut out.buffer);
                        short.render(row, &mut out.buffer);
                        formatter.enclosing(&mut out.buffer);
                    }
                    Frame::Full => {
                        out.scratch.clear();
                        short.render(row, &mut out.scratch);
                        formatter.field(&out.scratch, &mut out.buffer);
                    }
                }
                Ok(())
            }
        }
    }

    fn text(&self, text: &str, formatter: &FieldFormatter, out: &mut Output) -> Result<()> {
        if !field::changed_by_hive(&self.column.hive_delims, text.as_bytes()) {
            return self.unchanged_text(text.as_bytes(), formatter, out);
        }
        let mut scratch = std::mem::take(&mut out.scratch);
        scratch.clear();
        field::without_hive_delims(&self.column.hive_delims, text.as_bytes(), &mut scratch);
        let result = self.unchanged_text(&scratch, formatter, out);
        out.scratch = scratch;
        result
    }

    fn unchanged_text(
        &self,
        text: &[u8],
        formatter: &FieldFormatter,
        out: &mut Output,
    ) -> Result<()> {
        if text.len() > PIECE_BYTES {
            return large_text(text, formatter, out);
        }
        match self.column.frame {
            Frame::Bare => out.buffer.extend_from_slice(text),
            Frame::Enclosed | Frame::Full => formatter.field(text, &mut out.buffer),
        }
        Ok(())
    }

    fn bytes(&self, bytes: &[u8], formatter: &FieldFormatter, out: &mut Output) -> Result<()> {
        if self.column.frame == Frame::Full {
            let mut scratch = std::mem::take(&mut out.scratch);
            scratch.clear();
            values::hex(&mut scratch, bytes);
            let result = self.unchanged_text(&scratch, formatter, out);
            out.scratch = scratch;
            return result;
        }
        if self.column.frame == Frame::Enclosed {
            formatter.enclosing(&mut out.buffer);
        }
        for (index, piece) in bytes.chunks(PIECE_BYTES / 3).enumerate() {
            if index > 0 {
                out.spill()?;
                out.buffer.push(b' ');
            }
            values::hex(&mut out.buffer, piece);
        }
        if self.column.frame == Frame::Enclosed {
            formatter.enclosing(&mut out.buffer);
        }
        Ok(())
    }
}

/// A long text in pieces that end between characters.
fn large_text(text: &[u8], formatter: &FieldFormatter, out: &mut Output) -> Result<()> {
    let encloses = formatter.encloses(text);
    if encloses {
        formatter.enclosing(&mut out.buffer);
    }
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = rest.len().min(PIECE_BYTES);
        // Bytes 0b10xx_xxxx continue a character in UTF-8.
        while rest.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
            end -= 1;
        }
        let (piece, after) = rest.split_at(end);
        formatter.escape(piece, &mut out.buffer);
        out.spill()?;
        rest = after;
    }
    if encloses {
        formatter.enclosing(&mut out.buffer);
    }
    Ok(())
}

/// The array of one column, by type.
enum Values<'a> {
    Boolean(&'a BooleanArray),
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    UInt8(&'a [u8]),
    UInt16(&'a [u16]),
    UInt32(&'a [u32]),
    UInt64(&'a [u64]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Decimal128(&'a [i128], i8),
    Decimal256(&'a [i256], i8),
    Date(&'a [i32]),
    Time { ticks: &'a [i64], per_second: i64, fraction: bool },
    Timestamp { ticks: &'a [i64], per_second: i64 },
    Uuid(&'a FixedSizeBinaryArray),
    FixedBinary(&'a FixedSizeBinaryArray),
    Binary(&'a BinaryArray),
    LargeBinary(&'a LargeBinaryArray),
    Text(&'a StringArray),
    LargeText(&'a LargeStringArray),
}

impl<'a> Values<'a> {
    /// `None` for types without a text form; those are refused when the file is opened.
    fn of(array: &'a dyn Array, uuid: bool, time_fraction: bool) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Boolean => Values::Boolean(array.as_boolean()),
            DataType::Int8 => Values::Int8(array.as_primitive::<Int8Type>().values()),
            DataType::Int16 => Values::Int16(array.as_primitive::<Int16Type>().values()),
            DataType::Int32 => Values::Int32(array.as_primitive::<Int32Type>().values()),
            DataType::Int64 => Values::Int64(array.as_primitive::<Int64Type>().values()),
            DataType::UInt8 => Values::UInt8(array.as_primitive::<UInt8Type>().values()),
            DataType::UInt16 => Values::UInt16(array.as_primitive::<UInt16Type>().values()),
            DataType::UInt32 => Values::UInt32(array.as_primitive::<UInt32Type>().values()),
            DataType::UInt64 => Values::UInt64(array.as_primitive::<UInt64Type>().values()),
            DataType::Float32 => Values::Float32(array.as_primitive::<Float32Type>().values()),
            DataType::Float64 => Values::Float64(array.as_primitive::<Float64Type>().values()),
            DataType::Decimal128(_, scale) => {
                Values::Decimal128(array.as_primitive::<Decimal128Type>().values(), *scale)
            }
            DataType::Decimal256(_, scale) => {
                Values::Decimal256(array.as_primitive::<Decimal256Type>().values(), *scale)
            }
            DataType::Date32 => Values::Date(array.as_primitive::<Date32Type>().values()),
            DataType::Time64(unit) => Values::Time {
                ticks: match unit {
                    TimeUnit::Nanosecond => array.as_primitive::<Time64NanosecondType>().values(),
                    _ => array.as_primitive::<Time64MicrosecondType>().values(),
                },
                per_second: per_second(*unit),
                fraction: time_fraction,
            },
            DataType::Timestamp(unit, _) => Values::Timestamp {
                ticks: match unit {
                    TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
                    TimeUnit::Millisecond => {
                        array.as_primitive::<TimestampMillisecondType>().values()
                    }
                    TimeUnit::Microsecond => {
                        array.as_primitive::<TimestampMicrosecondType>().values()
                    }
                    TimeUnit::Nanosecond => {
                        array.as_primitive::<TimestampNanosecondType>().values()
                    }
                },
                per_second: per_second(*unit),
            },
            DataType::FixedSizeBinary(_) if uuid => Values::Uuid(array.as_fixed_size_binary()),
            DataType::FixedSizeBinary(_) => Values::FixedBinary(array.as_fixed_size_binary()),
            DataType::Binary => Values::Binary(array.as_binary()),
            DataType::LargeBinary => Values::LargeBinary(array.as_binary()),
            DataType::Utf8 => Values::Text(array.as_string()),
            DataType::LargeUtf8 => Values::LargeText(array.as_string()),
            _ => return None,
        })
    }

    /// Appends a value's text, neither escaped nor enclosed.
    #[inline]
    fn render(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Values::Boolean(array) => values::boolean(out, array.value(row)),
            Values::Int8(all) => values::integer(out, all[row]),
            Values::Int16(all) => values::integer(out, all[row]),
            Values::Int32(all) => values::integer(out, all[row]),
            Values::Int64(all) => values::integer(out, all[row]),
            Values::UInt8(all) => values::integer(out, all[row]),
            Values::UInt16(all) => values::integer(out, all[row]),
            Values::UInt32(all) => values::integer(out, all[row]),
            Values::UInt64(all) => values::integer(out, all[row]),
            Values::Float32(all) => float::float32(out, all[row]),
            Values::Float64(all) => float::float64(out, all[row]),
            Values::Decimal128(all, scale) => values::decimal128(out, all[row], *scale),
            Values::Decimal256(all, scale) => values::decimal256(out, all[row], *scale),
            Values::Date(all) => values::date(out, i64::from(all[row])),
            Values::Time { ticks, per_second, fraction } => {
                values::time(out, ticks[row], *per_second, *fraction);
            }
            Values::Timestamp { ticks, per_second } => {
                values::timestamp(out, ticks[row], *per_second);
            }
            Values::Uuid(array) => values::uuid(out, array.value(row)),
            Values::FixedBinary(array) => values::hex(out, array.value(row)),
            Values::Binary(array) => values::hex(out, array.value(row)),
            Values::LargeBinary(array) => values::hex(out, array.value(row)),
            Values::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Values::LargeText(array) => out.extend_from_slice(array.value(row).as_bytes()),
        }
    }
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}
