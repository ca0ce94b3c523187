//! The canonical text of a value, by which a database and the files of its rows are compared; the table
//! is in `rsqoop_connector::Checksums`.
//!
//! Made from Arrow arrays and from the fields of delimited text by code of its own: nothing here is
//! shared with the writers, whose mistakes it is to find.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::{DataType, TimeUnit};
use rsqoop_connector::calendar::civil_from_days;
use rsqoop_connector::{ColumnKind, ReadColumn};
use sha2::{Digest, Sha256};

use crate::plan::OutputColumn;

/// Which text stands for a column's values: decided by what the database delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Canon {
    Integer,
    Boolean,
    Decimal {
        scale: i8,
    },
    Float,
    /// Floating point that was read as text: 32 or 64 bits of it.
    FloatText {
        single: bool,
    },
    Date,
    Time,
    Timestamp,
    Bytes,
    Uuid,
    Text,
    List(Box<Canon>),
}

/// The hash of a canonical text.
pub(super) fn hash(text: &[u8]) -> u64 {
    let digest = Sha256::digest(text);
    u64::from_be_bytes(*digest.first_chunk::<8>().expect("SHA-256 has 32 bytes"))
}

impl Canon {
    /// As the database delivers the column.
    pub(super) fn of_read(column: &ReadColumn) -> Result<Canon, String> {
        if column.as_text {
            return Ok(match column.info.kind {
                ColumnKind::Float => {
                    Canon::FloatText { single: column.info.data_type == DataType::Float32 }
                }
                _ => Canon::Text,
            });
        }
        Canon::of_type(&column.info.data_type)
    }

    fn of_type(data_type: &DataType) -> Result<Canon, String> {
        Ok(match data_type {
            DataType::Boolean => Canon::Boolean,
            integer if integer.is_integer() => Canon::Integer,
            DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => {
                Canon::Decimal { scale: *scale }
            }
            DataType::Float32 | DataType::Float64 => Canon::Float,
            DataType::Date32 => Canon::Date,
            DataType::Time64(TimeUnit::Microsecond) => Canon::Time,
            DataType::Timestamp(TimeUnit::Microsecond, _) => Canon::Timestamp,
            DataType::Binary => Canon::Bytes,
            // The only fixed width that a connector delivers.
            DataType::FixedSizeBinary(16) => Canon::Uuid,
            DataType::Utf8 => Canon::Text,
            DataType::List(item) => Canon::List(Box::new(Canon::of_type(item.data_type())?)),
            other => return Err(format!("values of Arrow type {other} have no canonical text")),
        })
    }

    /// As the files hold the column, if the database's text can still be told from it.
    pub(super) fn of_file(column: &OutputColumn) -> Result<Canon, String> {
        let canon = Canon::of_read(&column.read)?;
        let file = column.field.data_type();
        let same = match (&canon, file) {
            _ if !column.converts() => true,
            (Canon::Integer, DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale)) => {
                *scale == 0
            }
            (Canon::Integer | Canon::Boolean, file) => file.is_integer(),
            (
                Canon::Decimal { scale },
                DataType::Decimal128(_, other) | DataType::Decimal256(_, other),
            ) => scale == other,
            (Canon::Decimal { scale: 0 }, file) => file.is_integer(),
            // Widening keeps the value; anything else was checked to be exact or refused.
            (Canon::Float, DataType::Float32 | DataType::Float64)
            | (Canon::Bytes, DataType::Utf8)
            | (Canon::Text, DataType::Binary) => true,
            _ => false,
        };
        match same {
            true => Ok(canon),
            false => Err(format!(
                "its values were converted (--map-column), and the server's {} has another text",
                column.read.info.native_type
            )),
        }
    }
}

/// Appends the canonical text of one row's value, which is not NULL.
type Write<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// Goes through an array and gives each value's canonical text, or `None` for NULL.
///
/// # Errors
/// The array's type is none that a column of this canonical text is written in.
pub(super) fn for_each(
    canon: &Canon,
    array: &dyn Array,
    visit: &mut dyn FnMut(usize, Option<&[u8]>),
) -> Result<(), String> {
    let write = writer(canon, array)?;
    let mut text = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            visit(row, None);
            continue;
        }
        text.clear();
        write(row, &mut text);
        visit(row, Some(&text));
    }
    Ok(())
}

fn integers<'a, T: ArrowPrimitiveType>(array: &'a dyn Array) -> Write<'a>
where
    T::Native: itoa::Integer,
{
    let values = array.as_primitive::<T>().values();
    Box::new(move |row, out| {
        out.extend_from_slice(itoa::Buffer::new().format(values[row]).as_bytes());
    })
}

fn number_writer(array: &dyn Array) -> Option<Write<'_>> {
    Some(match array.data_type() {
        DataType::Int8 => integers::<Int8Type>(array),
        DataType::Int16 => integers::<Int16Type>(array),
        DataType::Int32 => integers::<Int32Type>(array),
        DataType::Int64 => integers::<Int64Type>(array),
        DataType::UInt8 => integers::<UInt8Type>(array),
        DataType::UInt16 => integers::<UInt16Type>(array),
        DataType::UInt32 => integers::<UInt32Type>(array),
        DataType::UInt64 => integers::<UInt64Type>(array),
        DataType::Decimal128(_, scale) => {
            let (values, scale) = (array.as_primitive::<Decimal128Type>().values(), *scale);
            Box::new(move |row, out| decimal(&values[row].to_string(), scale, out))
        }
        DataType::Decimal256(_, scale) => {
            let (values, scale) = (array.as_primitive::<Decimal256Type>().values(), *scale);
            Box::new(move |row, out| decimal(&values[row].to_string(), scale, out))
        }
        DataType::Boolean => {
            let values = array.as_boolean();
            Box::new(move |row, out| out.push(if values.value(row) { b'1' } else { b'0' }))
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().values();
            Box::new(move |row, out| float(values[row].into(), out))
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values();
            Box::new(move |row, out| float(values[row], out))
        }
        _ => return None,
    })
}

fn bytes_writer(array: &dyn Array) -> Option<Write<'_>> {
    Some(match array.data_type() {
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            Box::new(move |row, out| out.extend_from_slice(values.value(row).as_bytes()))
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            Box::new(move |row, out| out.extend_from_slice(values.value(row)))
        }
        DataType::Utf8View => {
            let values = array.as_string_view();
            Box::new(move |row, out| out.extend_from_slice(values.value(row).as_bytes()))
        }
        DataType::BinaryView => {
            let values = array.as_binary_view();
            Box::new(move |row, out| out.extend_from_slice(values.value(row)))
        }
        _ => return None,
    })
}

fn writer<'a>(canon: &'a Canon, array: &'a dyn Array) -> Result<Write<'a>, String> {
    let found = array.data_type();
    let write: Option<Write<'a>> = match (canon, found) {
        (Canon::Boolean, DataType::Boolean)
        | (Canon::Float, DataType::Float32 | DataType::Float64) => number_writer(array),
        (Canon::Integer | Canon::Boolean | Canon::Decimal { .. }, found)
            if found.is_integer() || matches!(canon, Canon::Integer | Canon::Decimal { .. }) =>
        {
            let fits = match (canon, found) {
                (
                    Canon::Decimal { scale },
                    DataType::Decimal128(_, s) | DataType::Decimal256(_, s),
                ) => scale == s,
                (Canon::Decimal { scale }, _) => *scale == 0 && found.is_integer(),
                (_, DataType::Decimal128(_, s) | DataType::Decimal256(_, s)) => *s == 0,
                _ => found.is_integer(),
            };
            fits.then(|| number_writer(array)).flatten()
        }
        (Canon::FloatText { single }, DataType::Utf8) => {
            let (values, single) = (array.as_string::<i32>(), *single);
            Some(Box::new(move |row, out| float_text(values.value(row).as_bytes(), single, out)))
        }
        (Canon::Date, DataType::Date32) => {
            let values = array.as_primitive::<Date32Type>().values();
            Some(Box::new(move |row, out| date(values[row].into(), &[], out)))
        }
        (Canon::Time, DataType::Time64(TimeUnit::Microsecond)) => {
            let values = array.as_primitive::<Time64MicrosecondType>().values();
            Some(Box::new(move |row, out| clock(values[row], out)))
        }
        (Canon::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, _)) => {
            let values = array.as_primitive::<TimestampMicrosecondType>().values();
            Some(Box::new(move |row, out| timestamp(values[row], out)))
        }
        (Canon::Uuid, DataType::FixedSizeBinary(16)) => {
            let values = array.as_fixed_size_binary();
            Some(Box::new(move |row, out| uuid(values.value(row), out)))
        }
        (Canon::FloatText { single }, DataType::Utf8View) => {
            let (values, single) = (array.as_string_view(), *single);
            Some(Box::new(move |row, out| float_text(values.value(row).as_bytes(), single, out)))
        }
        (
            Canon::Bytes | Canon::Text,
            DataType::Utf8 | DataType::Binary | DataType::Utf8View | DataType::BinaryView,
        ) => bytes_writer(array),
        (Canon::List(item), DataType::List(_)) => {
            let values = array.as_list::<i32>();
            let of_type = values.value_type();
            let _: Write<'_> = writer(item, &*arrow_array::new_empty_array(&of_type))?;
            Some(Box::new(move |row, out| list(item, &*values.value(row), out)))
        }
        _ => None,
    };
    write.ok_or_else(|| format!("the file holds {found}, which the column was not written as"))
}

fn list(item: &Canon, elements: &dyn Array, out: &mut Vec<u8>) {
    let as_hex = matches!(item, Canon::Float | Canon::Bytes);
    let result = for_each(item, elements, &mut |index, text| {
        if index > 0 {
            out.push(b',');
        }
        let Some(text) = text else { return out.push(b'-') };
        let hex: String;
        let text = if as_hex {
            hex = text.iter().map(|byte| format!("{byte:02x}")).collect();
            hex.as_bytes()
        } else {
            text
        };
        // In characters, as the server counts them.
        let length = String::from_utf8_lossy(text).chars().count();
        out.extend_from_slice(format!("{length}:").as_bytes());
        out.extend_from_slice(text);
    });
    debug_assert!(result.is_ok(), "the type was tried before");
}

/// Puts the point into the digits of an unscaled number.
fn decimal(unscaled: &str, scale: i8, out: &mut Vec<u8>) {
    let (sign, digits) = match unscaled.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", unscaled),
    };
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(sign.as_bytes());
    out.extend_from_slice(whole.as_bytes());
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

fn float(value: f64, out: &mut Vec<u8>) {
    let value = if value.is_nan() { f64::NAN } else { value };
    out.extend_from_slice(&value.to_be_bytes());
}

/// What is no number stands for itself.
fn float_text(text: &[u8], single: bool, out: &mut Vec<u8>) {
    let number = std::str::from_utf8(text).ok().and_then(|text| match single {
        true => text.parse::<f32>().ok().map(f64::from),
        false => text.parse::<f64>().ok(),
    });
    match number {
        Some(number) => float(number, out),
        None => out.extend_from_slice(text),
    }
}

/// A date and what follows it before the era.
fn date(days: i64, rest: &[u8], out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(days);
    let before = year <= 0;
    let year = if before { 1 - year } else { year };
    out.extend_from_slice(format!("{year:04}-{month:02}-{day:02}").as_bytes());
    out.extend_from_slice(rest);
    if before {
        out.extend_from_slice(b" BC");
    }
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

fn timestamp(micros: i64, out: &mut Vec<u8>) {
    let mut rest = vec![b' '];
    clock(micros.rem_euclid(MICROS_PER_DAY), &mut rest);
    date(micros.div_euclid(MICROS_PER_DAY), &rest, out);
}

fn clock(micros: i64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    out.extend_from_slice(format!("{h:02}:{m:02}:{s:02}").as_bytes());
    if fraction != 0 {
        let digits = format!(".{fraction:06}");
        out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    }
}

fn uuid(bytes: &[u8], out: &mut Vec<u8>) {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
}

/// Appends the canonical text of a field of a text file, freed of escapes and enclosing characters.
/// What is not of the form that the column is written in stands for itself, and so differs.
pub(super) fn from_field(canon: &Canon, file: &DataType, field: &[u8], out: &mut Vec<u8>) {
    match (canon, file) {
        (Canon::Boolean, DataType::Boolean) => match field {
            b"true" => out.push(b'1'),
            b"false" => out.push(b'0'),
            other => out.extend_from_slice(other),
        },
        (Canon::Float, DataType::Float32) => float_text(field, true, out),
        (Canon::Float, _) => float_text(field, false, out),
        (Canon::FloatText { single }, _) => float_text(field, *single, out),
        (Canon::Date, _) => era(field, out),
        (Canon::Timestamp, _) => era(field.strip_suffix(b".0").unwrap_or(field), out),
        (Canon::Bytes, DataType::Binary) | (Canon::Text, DataType::Binary) => {
            match from_hex(field) {
                Some(bytes) => out.extend_from_slice(&bytes),
                None => {
                    out.extend_from_slice(b"no bytes: ");
                    out.extend_from_slice(field);
                }
            }
        }
        _ => out.extend_from_slice(field),
    }
}

/// Sqoop's files count years as ISO 8601: 0 is 1 BC, and there are negative ones.
fn era(field: &[u8], out: &mut Vec<u8>) {
    let (negative, digits) = match field.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, field),
    };
    let end = digits.iter().position(|b| *b == b'-').unwrap_or(0);
    let (year, rest) = digits.split_at(end);
    let year = std::str::from_utf8(year).ok().and_then(|y| y.parse::<i64>().ok());
    match year {
        Some(year) if negative || year == 0 => {
            out.extend_from_slice(format!("{:04}", year + 1).as_bytes());
            out.extend_from_slice(rest);
            out.extend_from_slice(b" BC");
        }
        _ => out.extend_from_slice(field),
    }
}

/// `01 02 ff`.
fn from_hex(field: &[u8]) -> Option<Vec<u8>> {
    if field.is_empty() {
        return Some(Vec::new());
    }
    field
        .split(|b| *b == b' ')
        .map(|pair| match pair {
            [high, low] if !high.is_ascii_uppercase() && !low.is_ascii_uppercase() => {
                let digit = |b: u8| char::from(b).to_digit(16);
                u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
            }
            _ => None,
        })
        .collect()
}

/// A canonical text as the user would write the value.
pub(super) fn shown(canon: &Canon, text: Option<&[u8]>) -> String {
    let Some(text) = text else { return "NULL".to_string() };
    match (canon, text.first_chunk::<8>()) {
        (Canon::Float | Canon::FloatText { .. }, Some(bits)) if text.len() == 8 => {
            f64::from_be_bytes(*bits).to_string()
        }
        (Canon::Bytes, _) => {
            let digits: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{digits}'")
        }
        _ => String::from_utf8_lossy(text).into_owned(),
    }
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
