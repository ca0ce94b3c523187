//! Conversion of a column to the type the user chose: every value identical or refused.
//!
//! The way from one type to another is decided once per column; then whole Arrow arrays go through
//! it. Nothing is rounded, clamped or nulled, and NULL stays NULL. Which pairs exist is
//! `plan::types::convertible`; what a pair accepts is said in the submodules: [`number`] integers
//! and decimals, [`float`] binary floating point, [`digits`] numbers as text, [`calendar`] dates
//! and times.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::iterator::ArrayIter;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type,
    TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayAccessor, ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray,
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::{DataType, TimeUnit};
use rsqoop_connector::{ColumnInfo, Error, ErrorKind, Result};

use crate::plan::types::type_name;

/// Runs an expression with `$T` as the Arrow type of an integer [`DataType`].
macro_rules! with_integer {
    ($data_type:expr, $T:ident => $found:expr, _ => $other:expr) => {
        match $data_type {
            DataType::Int8 => {
                type $T = arrow_array::types::Int8Type;
                $found
            }
            DataType::Int16 => {
                type $T = arrow_array::types::Int16Type;
                $found
            }
            DataType::Int32 => {
                type $T = arrow_array::types::Int32Type;
                $found
            }
            DataType::Int64 => {
                type $T = arrow_array::types::Int64Type;
                $found
            }
            DataType::UInt8 => {
                type $T = arrow_array::types::UInt8Type;
                $found
            }
            DataType::UInt16 => {
                type $T = arrow_array::types::UInt16Type;
                $found
            }
            DataType::UInt32 => {
                type $T = arrow_array::types::UInt32Type;
                $found
            }
            DataType::UInt64 => {
                type $T = arrow_array::types::UInt64Type;
                $found
            }
            _ => $other,
        }
    };
}

mod calendar;
mod digits;
mod float;
mod number;
#[cfg(test)]
mod tests;

/// Converts one column's arrays.
pub(crate) struct Converter {
    column: String,
    native_type: String,
    source: DataType,
    target: DataType,
    cast: Cast,
}

/// A value that the chosen type cannot hold.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Its row, counted from 0 in the array.
    pub(crate) row: usize,
    /// Names the column, the value and the flag; the caller adds the row's key.
    pub(crate) error: Error,
}

/// The way from one type to another over whole arrays.
type Cast = Box<dyn Fn(&dyn Array) -> Result<ArrayRef, Failed> + Send + Sync>;

struct Failed {
    row: usize,
    why: Why,
}

/// Why a value is refused; words are made of it only once a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Fraction,
    Range,
    Precision,
    Scale,
    Inexact,
    NotFinite,
    NegativeZero,
    NotBoolean,
    NotMidnight,
    NotUtf8,
    NoSuchDay,
    Form,
}

impl Converter {
    /// Finds the way from the column's type to `target`.
    pub(crate) fn new(column: &ColumnInfo, target: &DataType) -> Result<Self> {
        let cast = cast(&column.data_type, target).ok_or_else(|| {
            let from = &column.data_type;
            Error::new(ErrorKind::Bug, format!("no conversion from {from} to {target} was planned"))
                .context("column", format!("{} ({})", column.name, column.native_type))
        })?;
        Ok(Converter {
            column: column.name.clone(),
            native_type: column.native_type.clone(),
            source: column.data_type.clone(),
            target: target.clone(),
            cast,
        })
    }

    /// Converts every value, or says which row holds one that does not fit.
    pub(crate) fn convert(&self, array: &ArrayRef) -> Result<ArrayRef, Refused> {
        if *array.data_type() != self.source {
            let (wanted, got) = (&self.source, array.data_type());
            let error = Error::new(
                ErrorKind::Bug,
                format!("column {} came as {got}, described was {wanted}", self.column),
            );
            return Err(Refused { row: 0, error });
        }
        (self.cast)(array).map_err(|Failed { row, why }| {
            let name = type_name(&self.target);
            let problem = format!("value {} {}", shown(array, row), why.text(&name, &self.target));
            let error = Error::value(&self.column, &self.native_type, problem)
                .context("flag", format!("--map-column {}={name}", self.column));
            Refused { row, error }
        })
    }
}

impl Why {
    /// The rest of the sentence that begins with the value.
    fn text(self, name: &str, target: &DataType) -> String {
        match self {
            Why::Fraction => format!("has a fraction, which {name} cannot hold"),
            Why::Range => format!("is outside the range of {name}"),
            Why::Precision => format!("has more digits than {name} holds"),
            Why::Scale => format!("has more digits after the point than {name} holds"),
            Why::Inexact => format!("cannot be held exactly by {name}"),
            Why::NotFinite => format!("is not a number that {name} can hold"),
            Why::NegativeZero => format!("is a negative zero, whose sign {name} cannot hold"),
            Why::NotBoolean => "is neither 0 nor 1, so it is no boolean".to_string(),
            Why::NotMidnight => format!("has a time of day, which {name} cannot hold"),
            Why::NotUtf8 => "is not valid UTF-8".to_string(),
            Why::NoSuchDay => "names a day or time that does not exist".to_string(),
            Why::Form => format!("does not read as {name}, which is written {}", form(target)),
        }
    }

    /// The same for a target without digits after the point.
    fn for_integer(self) -> Why {
        match self {
            Why::Scale => Why::Fraction,
            Why::Precision => Why::Range,
            other => other,
        }
    }
}

fn form(target: &DataType) -> &'static str {
    match target {
        DataType::Boolean => "true or false, t or f, yes or no, y or n, on or off, 1 or 0",
        DataType::Date32 => "YYYY-MM-DD",
        DataType::Time64(_) => "HH:MM:SS, with up to six digits of a second after a point",
        DataType::Timestamp(..) => "YYYY-MM-DD HH:MM:SS, without a zone",
        _ => "in digits, with an optional sign, point and exponent",
    }
}

/// The value as a message shows it.
pub(crate) fn shown(array: &dyn Array, row: usize) -> String {
    /// Long values are cut: the message is one line, and the row tells the rest.
    const SHOWN_MAX: usize = 60;
    if array.is_null(row) {
        return "NULL".to_string();
    }
    match array.data_type() {
        DataType::Float32 => float::text(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float::text(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Decimal256(..) => array.as_primitive::<Decimal256Type>().value_as_string(row),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Date32 => {
            calendar::date_text(i64::from(array.as_primitive::<Date32Type>().value(row)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            calendar::timestamp_text(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Utf8 => {
            let text = array.as_string::<i32>().value(row);
            match text.char_indices().nth(SHOWN_MAX) {
                Some((end, _)) => format!("{:?}…", &text[..end]),
                None => format!("{text:?}"),
            }
        }
        DataType::Binary => format!("of {} bytes", array.as_binary::<i32>().value(row).len()),
        integer => with_integer!(
            integer,
            T => array.as_primitive::<T>().value(row).to_string(),
            _ => format!("of type {integer}")
        ),
    }
}

/// The way from one type to another, where there is one.
fn cast(source: &DataType, target: &DataType) -> Option<Cast> {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
    match source {
        integer if integer.is_integer() => number::from_integers(integer, target),
        DataType::Boolean => number::from_booleans(target),
        DataType::Decimal128(_, scale) => number::from_decimal128(*scale, target),
        DataType::Decimal256(_, scale) => number::from_decimal256(*scale, target),
        DataType::Float32 => float::from_floats::<Float32Type>(target),
        DataType::Float64 => float::from_floats::<Float64Type>(target),
        DataType::Utf8 => from_text(target),
        DataType::Binary if *target == DataType::Utf8 => Some(Box::new(binary_to_text)),
        DataType::Date32 if *target == timestamp => {
            Some(primitives::<Date32Type, TimestampMicrosecondType>(target, |days| {
                calendar::midnight(days).ok_or(Why::Range)
            }))
        }
        own if *own == timestamp && *target == DataType::Date32 => {
            Some(primitives::<TimestampMicrosecondType, Date32Type>(target, calendar::day))
        }
        _ => None,
    }
}

/// Text is read whole or not at all: no blanks, no rest.
fn from_text(target: &DataType) -> Option<Cast> {
    use arrow_array::types::Time64MicrosecondType;
    Some(match target {
        DataType::Boolean => Box::new(|array: &dyn Array| {
            let array = array.as_string::<i32>();
            let values: Vec<bool> = each(array, digits::boolean)?;
            Ok(booleans(values, array.nulls()))
        }),
        DataType::Date32 => text::<Date32Type>(target, calendar::parse_date),
        DataType::Time64(TimeUnit::Microsecond) => {
            text::<Time64MicrosecondType>(target, calendar::parse_time)
        }
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            text::<TimestampMicrosecondType>(target, calendar::parse_timestamp)
        }
        DataType::Binary => Box::new(|array: &dyn Array| {
            Ok(Arc::new(BinaryArray::from(array.as_string::<i32>().clone())) as ArrayRef)
        }),
        DataType::Float32 => text::<Float32Type>(target, float::from_text::<f32>),
        DataType::Float64 => text::<Float64Type>(target, float::from_text::<f64>),
        _ => return number::from_text(target),
    })
}

fn binary_to_text(array: &dyn Array) -> Result<ArrayRef, Failed> {
    let array = array.as_binary::<i32>();
    // One check over the whole buffer; only a failure is worth looking at row by row.
    if let Ok(text) = StringArray::try_from_binary(array.clone()) {
        return Ok(Arc::new(text));
    }
    let mut values = Vec::with_capacity(array.len());
    for (row, bytes) in ArrayIter::new(array).enumerate() {
        let text = bytes.map(std::str::from_utf8).transpose();
        values.push(text.map_err(|_| Failed { row, why: Why::NotUtf8 })?);
    }
    Ok(Arc::new(StringArray::from(values)))
}

/// The loop of every conversion: values one by one, NULLs passed over.
fn each<A: ArrayAccessor, N: Default>(
    array: A,
    step: impl Fn(A::Item) -> Result<N, Why>,
) -> Result<Vec<N>, Failed> {
    let mut values = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        values.push(if array.is_valid(row) {
            step(array.value(row)).map_err(|why| Failed { row, why })?
        } else {
            N::default()
        });
    }
    Ok(values)
}

fn primitives<S: ArrowPrimitiveType, T: ArrowPrimitiveType>(
    target: &DataType,
    step: impl Fn(S::Native) -> Result<T::Native, Why> + Send + Sync + 'static,
) -> Cast {
    let target = target.clone();
    Box::new(move |array| {
        let array = array.as_primitive::<S>();
        Ok(primitive::<T>(each(array, &step)?, array.nulls(), &target))
    })
}

fn text<T: ArrowPrimitiveType>(
    target: &DataType,
    step: impl Fn(&str) -> Result<T::Native, Why> + Send + Sync + 'static,
) -> Cast {
    let target = target.clone();
    Box::new(move |array| {
        let array = array.as_string::<i32>();
        Ok(primitive::<T>(each(array, &step)?, array.nulls(), &target))
    })
}

fn primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<&NullBuffer>,
    target: &DataType,
) -> ArrayRef {
    let array = PrimitiveArray::<T>::new(values.into(), nulls.cloned());
    Arc::new(array.with_data_type(target.clone()))
}

fn booleans(values: Vec<bool>, nulls: Option<&NullBuffer>) -> ArrayRef {
    Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls.cloned()))
}
