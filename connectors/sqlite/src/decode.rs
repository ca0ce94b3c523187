//! From stored values to Arrow arrays: one decoder per column, chosen once per query. A value whose
//! stored class is not one the column's type takes is refused by saying what it is.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
    Decimal256Builder, FixedSizeBinaryBuilder, Float64Builder, Int64Builder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow_buffer::i256;
use arrow_schema::{DataType, TimeUnit};
use rsqoop_connector::{Error, ErrorKind, ReadColumn, Result};
use rusqlite::types::ValueRef;

use crate::number::{self, Size};
use crate::{time, types};

/// Why a value is refused, continuing "a value that …". Boxed twice so that the result of the hot
/// path fits a register.
pub(crate) type Refused = Box<String>;

/// Takes the values of one column.
pub(crate) trait Decoder {
    /// Appends one value.
    fn push(&mut self, value: ValueRef<'_>) -> std::result::Result<(), Refused>;
    /// The array of the values since the last call.
    fn finish(&mut self) -> ArrayRef;
}

/// The decoder that makes `data_type` of a column.
pub(crate) fn decoder(column: &ReadColumn, data_type: &DataType) -> Result<Box<dyn Decoder>> {
    Ok(match data_type {
        DataType::Int64 => Box::new(Typed(Int64Builder::new(), integer)),
        DataType::Boolean => Box::new(Typed(BooleanBuilder::new(), boolean)),
        DataType::Float64 => Box::new(Typed(Float64Builder::new(), float)),
        DataType::Date32 => Box::new(Typed(Date32Builder::new(), date)),
        DataType::Time64(TimeUnit::Microsecond) => {
            Box::new(Typed(Time64MicrosecondBuilder::new(), time_of_day))
        }
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            Box::new(Typed(TimestampMicrosecondBuilder::new(), timestamp))
        }
        DataType::Binary => Box::new(Typed(BinaryBuilder::new(), blob)),
        DataType::FixedSizeBinary(16) => Box::new(Typed(FixedSizeBinaryBuilder::new(16), uuid)),
        DataType::Utf8 if column.as_text => Box::new(Typed(StringBuilder::new(), any_or_blob)),
        DataType::Utf8 if column.info.native_code == types::CODE_TEXT => {
            Box::new(Typed(StringBuilder::new(), text))
        }
        DataType::Utf8 => Box::new(Typed(StringBuilder::new(), any)),
        DataType::Decimal128(precision, scale) => Box::new(Decimal128 {
            builder: Decimal128Builder::new().with_data_type(data_type.clone()),
            size: size(*precision, *scale)?,
        }),
        DataType::Decimal256(precision, scale) => Box::new(Decimal256 {
            builder: Decimal256Builder::new().with_data_type(data_type.clone()),
            size: size(*precision, *scale)?,
        }),
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("SQLite values cannot be read as {other}"),
            )
            .context("column", &column.info.name));
        }
    })
}

fn size(precision: u8, scale: i8) -> Result<Size> {
    let scale = u8::try_from(scale).map_err(|_| {
        Error::new(ErrorKind::Unsupported, "a decimal with a negative scale cannot be read")
    })?;
    Ok(Size { precision, scale })
}

/// A builder and the function that appends to it. `F` is a function item, so that the call is
/// compiled into the loop's body.
struct Typed<B, F>(B, F);

impl<B, F> Decoder for Typed<B, F>
where
    B: ArrayBuilder,
    F: Fn(&mut B, ValueRef<'_>) -> std::result::Result<(), Refused>,
{
    fn push(&mut self, value: ValueRef<'_>) -> std::result::Result<(), Refused> {
        self.1(&mut self.0, value)
    }

    fn finish(&mut self) -> ArrayRef {
        self.0.finish()
    }
}

#[cold]
fn refuse<T>(problem: impl Into<String>) -> std::result::Result<T, Refused> {
    Err(Box::new(problem.into()))
}

/// `is stored as a text, not as an integer`.
#[cold]
fn wrong_class<T>(value: ValueRef<'_>, wanted: &str) -> std::result::Result<T, Refused> {
    let class = match value {
        ValueRef::Null => "NULL",
        ValueRef::Integer(_) => "an integer",
        ValueRef::Real(_) => "a real",
        ValueRef::Text(_) => "a text",
        ValueRef::Blob(_) => "a blob",
    };
    refuse(format!("is stored as {class}, not as {wanted}"))
}

type Pushed = std::result::Result<(), Refused>;

fn integer(to: &mut Int64Builder, value: ValueRef<'_>) -> Pushed {
    match value {
        ValueRef::Integer(n) => to.append_value(n),
        ValueRef::Null => to.append_null(),
        other => return wrong_class(other, "an integer"),
    }
    Ok(())
}

fn boolean(to: &mut BooleanBuilder, value: ValueRef<'_>) -> Pushed {
    match value {
        ValueRef::Integer(n @ (0 | 1)) => to.append_value(n == 1),
        ValueRef::Null => to.append_null(),
        ValueRef::Integer(_) => return refuse("is neither 0 nor 1"),
        other => return wrong_class(other, "0 or 1"),
    }
    Ok(())
}

fn float(to: &mut Float64Builder, value: ValueRef<'_>) -> Pushed {
    match value {
        ValueRef::Real(v) => to.append_value(v),
        ValueRef::Null => to.append_null(),
        ValueRef::Integer(n) => match exact_double(n) {
            Some(v) => to.append_value(v),
            None => return refuse("is an integer that no double holds exactly"),
        },
        other => return wrong_class(other, "a real"),
    }
    Ok(())
}

/// Every integer up to 2^53 is a double.
fn exact_double(n: i64) -> Option<f64> {
    const LIMIT: u64 = 1 << 53;
    (n.unsigned_abs() <= LIMIT).then_some(n as f64)
}

fn date(to: &mut Date32Builder, value: ValueRef<'_>) -> Pushed {
    match value {
        ValueRef::Text(t) => match time::parse_date(t) {
            Ok(days) => to.append_value(days),
            Err(problem) => return refuse(problem),
        },
        ValueRef::Null => to.append_null(),
        other => return wrong_class(other, "a text of the form YYYY-MM-DD"),
    }
    Ok(())
}

fn time_of_day(to: &mut Time64MicrosecondBuilder, value: ValueRef<'_>) -> Pushed {
    match value {
        ValueRef::Text(t) => match time::parse_time(t) {
            Ok(us) => to.append_value(us),
            Err(problem) => return refuse(problem),
        },
        ValueRef::Null => to.append_null(),
        other => return wrong_class(other, "a text of the form HH:MM:SS"),
    }
    Ok(())
}

fn timestamp(to: &mut TimestampMicrosecondBuilder, value: ValueRef<'_>) -> Pushed {
    match value {
        ValueRef::Text(t) => match time::parse_timestamp(t) {
            Ok(us) => to.append_value(us),
            Err(problem) => return refuse(problem),
        },
        ValueRef::Null => to.append_null(),
        other => return wrong_class(other, "a text of the form YYYY-MM-DD HH:MM:SS"),
    }
    Ok(())
}

fn text(to: &mut StringBuilder, value: ValueRef<'_>) -> Pushed {
    match value {
        ValueRef::Text(t) => append_utf8(to, t),
        ValueRef::Null => {
            to.append_null();
            Ok(())
        }
        other => wrong_class(other, "a text"),
    }
}

/// Any class that has a text form of its own.
fn any(to: &mut StringBuilder, value: ValueRef<'_>) -> Pushed {
    match value {
        ValueRef::Text(t) => return append_utf8(to, t),
        ValueRef::Null => to.append_null(),
        ValueRef::Integer(n) => to.append_value(itoa::Buffer::new().format(n)),
        ValueRef::Real(v) => {
            let mut out = String::with_capacity(24);
            number::write_real(v, &mut out);
            to.append_value(out);
        }
        ValueRef::Blob(_) => return wrong_class(value, "an integer, a real or a text"),
    }
    Ok(())
}

/// What was asked for as text: a blob counts where its bytes are text, as in SQLite's own cast.
fn any_or_blob(to: &mut StringBuilder, value: ValueRef<'_>) -> Pushed {
    match value {
        ValueRef::Blob(b) => append_utf8(to, b),
        other => any(to, other),
    }
}

fn append_utf8(to: &mut StringBuilder, bytes: &[u8]) -> Pushed {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => {
            to.append_value(text);
            Ok(())
        }
        Err(_) => refuse("holds bytes that are not UTF-8"),
    }
}

fn blob(to: &mut BinaryBuilder, value: ValueRef<'_>) -> Pushed {
    match value {
        ValueRef::Blob(b) => to.append_value(b),
        ValueRef::Null => to.append_null(),
        other => return wrong_class(other, "a blob"),
    }
    Ok(())
}

fn uuid(to: &mut FixedSizeBinaryBuilder, value: ValueRef<'_>) -> Pushed {
    match value {
        ValueRef::Text(t) => match parse_uuid(t) {
            // The builder's only error is a wrong length.
            Some(bytes) => to.append_value(bytes).map_err(|e| Box::new(e.to_string())),
            None => refuse("is not a UUID of 36 characters"),
        },
        ValueRef::Null => {
            to.append_null();
            Ok(())
        }
        other => wrong_class(other, "a text of 36 characters"),
    }
}

fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 || [8, 13, 18, 23].iter().any(|i| text[*i] != b'-') {
        return None;
    }
    let mut digits = text.iter().filter(|b| **b != b'-').map(|b| char::from(*b).to_digit(16));
    let mut out = [0; 16];
    for byte in &mut out {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    digits.next().is_none().then_some(out)
}

struct Decimal128 {
    builder: Decimal128Builder,
    size: Size,
}

impl Decoder for Decimal128 {
    fn push(&mut self, value: ValueRef<'_>) -> Pushed {
        let parsed = match value {
            ValueRef::Integer(n) => self.size.integer(n),
            ValueRef::Real(v) => match self.size.real_fast(v) {
                Some(n) => Ok(i128::from(n)),
                None => self.size.real(v).and_then(to_i128),
            },
            ValueRef::Text(t) => self.size.text(t).and_then(to_i128),
            ValueRef::Null => {
                self.builder.append_null();
                return Ok(());
            }
            ValueRef::Blob(_) => return wrong_class(value, "a number"),
        };
        self.builder.append_value(parsed.map_err(Box::new)?);
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }
}

fn to_i128(digits: String) -> std::result::Result<i128, String> {
    digits.parse().map_err(|_| "does not fit a decimal".to_string())
}

struct Decimal256 {
    builder: Decimal256Builder,
    size: Size,
}

impl Decoder for Decimal256 {
    fn push(&mut self, value: ValueRef<'_>) -> Pushed {
        let digits = match value {
            ValueRef::Integer(n) => self.size.text(n.to_string().as_bytes()),
            ValueRef::Real(v) => self.size.real(v),
            ValueRef::Text(t) => self.size.text(t),
            ValueRef::Null => {
                self.builder.append_null();
                return Ok(());
            }
            ValueRef::Blob(_) => return wrong_class(value, "a number"),
        };
        let digits = digits.map_err(Box::new)?;
        match i256::from_string(&digits) {
            Some(n) => self.builder.append_value(n),
            None => return refuse("does not fit a decimal"),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }
}
