//! Values as text, for `--map-column c=string` and for literals.

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::{DataType, TimeUnit};
use rsqoop_connector::calendar::civil_from_days;
use rsqoop_connector::{Error, ErrorKind, Result};

/// A whole column as text: the type is looked at once, then the values are looped over.
pub(crate) fn column(array: &ArrayRef) -> Result<ArrayRef> {
    macro_rules! each {
        ($type:ty, $format:expr) => {
            array.as_primitive::<$type>().iter().map(|v| v.map($format)).collect::<StringArray>()
        };
    }
    let texts = match array.data_type() {
        DataType::Utf8 => return Ok(array.clone()),
        DataType::Boolean => {
            array.as_boolean().iter().map(|v| v.map(|b| b.to_string())).collect::<StringArray>()
        }
        DataType::Int8 => each!(Int8Type, |v| v.to_string()),
        DataType::Int16 => each!(Int16Type, |v| v.to_string()),
        DataType::Int32 => each!(Int32Type, |v| v.to_string()),
        DataType::Int64 => each!(Int64Type, |v| v.to_string()),
        DataType::UInt8 => each!(UInt8Type, |v| v.to_string()),
        DataType::UInt16 => each!(UInt16Type, |v| v.to_string()),
        DataType::UInt32 => each!(UInt32Type, |v| v.to_string()),
        DataType::UInt64 => each!(UInt64Type, |v| v.to_string()),
        DataType::Float32 => each!(Float32Type, |v| format!("{v:?}")),
        DataType::Float64 => each!(Float64Type, |v| format!("{v:?}")),
        DataType::Decimal128(_, scale) => {
            let scale = u8::try_from(*scale).map_err(|_| no_text(array.data_type()))?;
            each!(Decimal128Type, |v| decimal(v, scale))
        }
        DataType::Date32 => each!(Date32Type, date),
        DataType::Time64(TimeUnit::Microsecond) => each!(Time64MicrosecondType, time),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            each!(TimestampMicrosecondType, timestamp)
        }
        DataType::Binary => {
            array.as_binary::<i32>().iter().map(|v| v.map(hex)).collect::<StringArray>()
        }
        other => return Err(no_text(other)),
    };
    Ok(Arc::new(texts))
}

fn no_text(data_type: &DataType) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("the memory connector has no text form for the type {data_type}"),
    )
}

/// `unscaled × 10^-scale` in digits.
pub(crate) fn decimal(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let digits = unscaled.unsigned_abs().to_string();
    let sign = if unscaled < 0 { "-" } else { "" };
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// `YYYY-MM-DD` of days since 1970-01-01.
pub(crate) fn date(days: i32) -> String {
    let (year, month, day) = civil_from_days(i64::from(days));
    format!("{year:04}-{month:02}-{day:02}")
}

/// `YYYY-MM-DD HH:MM:SS[.ffffff]` of microseconds since 1970-01-01.
pub(crate) fn timestamp(us: i64) -> String {
    let (year, month, day) = civil_from_days(us.div_euclid(DAY_US));
    format!("{year:04}-{month:02}-{day:02} {}", time(us.rem_euclid(DAY_US)))
}

const DAY_US: i64 = 86_400_000_000;

fn time(us: i64) -> String {
    let (seconds, fraction) = (us / 1_000_000, us % 1_000_000);
    let mut out = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        let _ = write!(out, ".{fraction:06}");
    }
    out
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_decimals() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-719_468 - 1), "0000-02-29");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(timestamp(-1), "1969-12-31 23:59:59.999999");
        assert_eq!(timestamp(0), "1970-01-01 00:00:00");
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(12_345, 2), "123.45");
        assert_eq!(decimal(7, 0), "7");
    }
}
