//! The extent of a key, and whether a key lies in a range. Orders are those of the stored values:
//! integers by number, text by bytes.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_schema::{DataType, TimeUnit};
use rsqoop_connector::{Bounds, KeyValue, Result};

use crate::error;

/// Smallest and largest key, or points between text keys.
pub(crate) fn extent(column: &str, arrays: &[ArrayRef], pieces: usize) -> Result<Bounds> {
    let Some(first) = arrays.first() else { return Ok(Bounds::Empty) };
    if first.data_type() == &DataType::Utf8 {
        return Ok(points(arrays, pieces));
    }
    let mut extent: Option<(i128, i128)> = None;
    for array in arrays {
        for n in numbers(column, array)?.into_iter().flatten() {
            extent = Some(extent.map_or((n, n), |(min, max)| (min.min(n), max.max(n))));
        }
    }
    let Some((min, max)) = extent else { return Ok(Bounds::Empty) };
    let key = |n| key_value(n, first.data_type()).ok_or_else(|| unordered(column, first));
    Ok(Bounds::Range { min: key(min)?, max: key(max)? })
}

/// About `pieces - 1` keys that cut the rows into equal parts; each is greater than the one before.
fn points(arrays: &[ArrayRef], pieces: usize) -> Bounds {
    let mut keys: Vec<&str> =
        arrays.iter().flat_map(|a| a.as_string::<i32>().iter().flatten()).collect();
    if keys.is_empty() {
        return Bounds::Empty;
    }
    keys.sort_unstable();
    let mut points: Vec<&str> = (1..pieces.max(1)).map(|i| keys[i * keys.len() / pieces]).collect();
    points.dedup();
    Bounds::Points(points.into_iter().map(|k| KeyValue::Text(k.to_string())).collect())
}

/// Which rows have a key from `lower` to `upper`; a NULL key is in no range.
pub(crate) fn between(
    column: &str,
    array: &ArrayRef,
    lower: Option<&KeyValue>,
    upper: Option<&KeyValue>,
    upper_inclusive: bool,
) -> Result<BooleanArray> {
    fn inside<T: Ord>(key: &T, lower: Option<&T>, upper: Option<&T>, inclusive: bool) -> bool {
        lower.is_none_or(|l| key >= l) && upper.is_none_or(|u| key < u || (inclusive && key == u))
    }
    let wrong = || unordered(column, array);
    if array.data_type() == &DataType::Utf8 {
        let text = |value: Option<&KeyValue>| match value {
            None => Ok(None),
            Some(KeyValue::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong()),
        };
        let (lower, upper) = (text(lower)?, text(upper)?);
        let (lower, upper) = (lower.as_deref(), upper.as_deref());
        let keys = array.as_string::<i32>().iter();
        return Ok(keys
            .map(|k| {
                Some(k.is_some_and(|k| inside(&k, lower.as_ref(), upper.as_ref(), upper_inclusive)))
            })
            .collect());
    }
    let number = |value: Option<&KeyValue>| {
        value.map(|v| number(v, array.data_type()).ok_or_else(wrong)).transpose()
    };
    let (lower, upper) = (number(lower)?, number(upper)?);
    Ok(numbers(column, array)?
        .into_iter()
        .map(|k| {
            Some(k.is_some_and(|k| inside(&k, lower.as_ref(), upper.as_ref(), upper_inclusive)))
        })
        .collect())
}

/// The keys of a column as integers in their own order.
pub(crate) fn numbers(column: &str, array: &ArrayRef) -> Result<Vec<Option<i128>>> {
    macro_rules! each {
        ($type:ty) => {
            array.as_primitive::<$type>().iter().map(|v| v.map(i128::from)).collect()
        };
    }
    Ok(match array.data_type() {
        DataType::Int8 => each!(Int8Type),
        DataType::Int16 => each!(Int16Type),
        DataType::Int32 => each!(Int32Type),
        DataType::Int64 => each!(Int64Type),
        DataType::UInt8 => each!(UInt8Type),
        DataType::UInt16 => each!(UInt16Type),
        DataType::UInt32 => each!(UInt32Type),
        DataType::UInt64 => each!(UInt64Type),
        DataType::Date32 => each!(Date32Type),
        DataType::Timestamp(TimeUnit::Microsecond, _) => each!(TimestampMicrosecondType),
        DataType::Decimal128(_, _) => each!(Decimal128Type),
        _ => return Err(unordered(column, array)),
    })
}

/// The contract's key for one of [`numbers`].
pub(crate) fn key_value(n: i128, data_type: &DataType) -> Option<KeyValue> {
    Some(match data_type {
        DataType::Date32 => KeyValue::Date(i32::try_from(n).ok()?),
        DataType::Timestamp(_, None) => KeyValue::Timestamp(i64::try_from(n).ok()?),
        DataType::Timestamp(_, Some(_)) => KeyValue::TimestampTz(i64::try_from(n).ok()?),
        DataType::Decimal128(_, scale) => {
            KeyValue::Decimal { unscaled: n, scale: u8::try_from(*scale).ok()? }
        }
        _ => KeyValue::Integer(n),
    })
}

/// The integer that compares like `value` with the keys of a column of this type.
pub(crate) fn number(value: &KeyValue, data_type: &DataType) -> Option<i128> {
    match (value, data_type) {
        (KeyValue::Date(days), DataType::Date32) => Some(i128::from(*days)),
        (KeyValue::Timestamp(us), DataType::Timestamp(_, None))
        | (KeyValue::TimestampTz(us), DataType::Timestamp(_, Some(_))) => Some(i128::from(*us)),
        (KeyValue::Decimal { unscaled, scale }, DataType::Decimal128(_, s))
            if i16::from(*scale) == i16::from(*s) =>
        {
            Some(*unscaled)
        }
        (KeyValue::Integer(n), t) if t.is_integer() => Some(*n),
        _ => None,
    }
}

fn unordered(column: &str, array: &ArrayRef) -> rsqoop_connector::Error {
    error::no_ranges(column, &array.data_type().to_string())
}
