//! Columns whose values have one width: numbers, dates, times, UUIDs, booleans.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt32Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, PrimitiveArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder};
use arrow_schema::DataType;
use rsqoop_connector::Result;

use super::{Column, Refused, Span};

/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's day zero.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(crate) const EPOCH_MICROS: i64 = 946_684_800_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// A column of primitive values; `F` decodes one, and is a type of its own so that the loop holds
/// no call.
struct Fixed<T: ArrowPrimitiveType, const N: usize, F> {
    decode: F,
    data_type: DataType,
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
}

impl<T, const N: usize, F> Fixed<T, N, F>
where
    T: ArrowPrimitiveType,
    F: Fn([u8; N]) -> Result<T::Native, &'static str> + 'static,
{
    fn boxed(data_type: DataType, decode: F) -> Box<dyn Column> {
        let (values, nulls) = (Vec::new(), NullBufferBuilder::new(0));
        Box::new(Fixed::<T, N, F> { decode, data_type, values, nulls })
    }
}

/// The bytes of a field as an array of its type's width.
fn exact<const N: usize>(at: usize, bytes: &[u8]) -> Result<[u8; N], Refused> {
    bytes.try_into().map_err(|_| Refused {
        at,
        problem: format!("the server sent {} bytes where its type has {N}", bytes.len()),
    })
}

impl<T, const N: usize, F> Column for Fixed<T, N, F>
where
    T: ArrowPrimitiveType,
    F: Fn([u8; N]) -> Result<T::Native, &'static str>,
{
    fn append(&mut self, data: &[u8], spans: &[Span]) -> Result<(), Refused> {
        self.values.reserve(spans.len());
        for (at, span) in spans.iter().enumerate() {
            match span.of(data) {
                None => {
                    self.values.push(T::Native::default());
                    self.nulls.append_null();
                }
                Some(bytes) => {
                    let value = (self.decode)(exact(at, bytes)?)
                        .map_err(|problem| Refused { at, problem: problem.to_string() })?;
                    self.values.push(value);
                    self.nulls.append_non_null();
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef, Refused> {
        let capacity = self.values.len();
        let values = std::mem::replace(&mut self.values, Vec::with_capacity(capacity));
        let array = PrimitiveArray::<T>::new(values.into(), self.nulls.finish());
        Ok(Arc::new(array.with_data_type(self.data_type.clone())))
    }

    fn width(&self) -> usize {
        size_of::<T::Native>()
    }
}

pub(super) fn int16() -> Box<dyn Column> {
    Fixed::<Int16Type, 2, _>::boxed(DataType::Int16, |b| Ok(i16::from_be_bytes(b)))
}

pub(super) fn int32() -> Box<dyn Column> {
    Fixed::<Int32Type, 4, _>::boxed(DataType::Int32, |b| Ok(i32::from_be_bytes(b)))
}

pub(super) fn int64() -> Box<dyn Column> {
    Fixed::<Int64Type, 8, _>::boxed(DataType::Int64, |b| Ok(i64::from_be_bytes(b)))
}

pub(super) fn oid() -> Box<dyn Column> {
    Fixed::<UInt32Type, 4, _>::boxed(DataType::UInt32, |b| Ok(u32::from_be_bytes(b)))
}

pub(super) fn float32() -> Box<dyn Column> {
    Fixed::<Float32Type, 4, _>::boxed(DataType::Float32, |b| Ok(f32::from_be_bytes(b)))
}

pub(super) fn float64() -> Box<dyn Column> {
    Fixed::<Float64Type, 8, _>::boxed(DataType::Float64, |b| Ok(f64::from_be_bytes(b)))
}

pub(super) fn date() -> Box<dyn Column> {
    Fixed::<Date32Type, 4, _>::boxed(DataType::Date32, |b| unix_days(i32::from_be_bytes(b)))
}

pub(super) fn time() -> Box<dyn Column> {
    Fixed::<Time64MicrosecondType, 8, _>::boxed(Time64MicrosecondType::DATA_TYPE, |b| {
        match i64::from_be_bytes(b) {
            DAY_MICROS => Err("the time 24:00:00 lies outside a day's range"),
            time if (0..DAY_MICROS).contains(&time) => Ok(time),
            _ => Err("the time lies outside a day"),
        }
    })
}

pub(super) fn timestamp(zone: Option<Arc<str>>) -> Box<dyn Column> {
    Fixed::<TimestampMicrosecondType, 8, _>::boxed(
        DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, zone),
        |b| unix_micros(i64::from_be_bytes(b)),
    )
}

/// PostgreSQL's days to those since 1970-01-01; the extremes of its type stand for infinity.
pub(crate) fn unix_days(days: i32) -> Result<i32, &'static str> {
    match days {
        i32::MAX => Err("the date is infinity"),
        i32::MIN => Err("the date is -infinity"),
        _ => days.checked_add(EPOCH_DAYS).ok_or("the date is outside the range of 32-bit days"),
    }
}

/// PostgreSQL's microseconds to those since 1970; the extremes of its type stand for infinity.
pub(crate) fn unix_micros(micros: i64) -> Result<i64, &'static str> {
    match micros {
        i64::MAX => Err("the timestamp is infinity"),
        i64::MIN => Err("the timestamp is -infinity"),
        _ => micros
            .checked_add(EPOCH_MICROS)
            .ok_or("the timestamp is outside the range of 64-bit microseconds"),
    }
}

pub(super) struct Booleans {
    values: BooleanBufferBuilder,
    nulls: NullBufferBuilder,
}

impl Booleans {
    pub(super) fn new() -> Self {
        Booleans { values: BooleanBufferBuilder::new(0), nulls: NullBufferBuilder::new(0) }
    }
}

impl Column for Booleans {
    fn append(&mut self, data: &[u8], spans: &[Span]) -> Result<(), Refused> {
        for (at, span) in spans.iter().enumerate() {
            match span.of(data) {
                None => {
                    self.values.append(false);
                    self.nulls.append_null();
                }
                Some(bytes) => {
                    let [value] = exact(at, bytes)?;
                    self.values.append(value != 0);
                    self.nulls.append_non_null();
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef, Refused> {
        let array = BooleanArray::new(self.values.finish(), self.nulls.finish());
        debug_assert!(array.len() >= array.null_count());
        Ok(Arc::new(array))
    }

    fn width(&self) -> usize {
        1
    }
}

pub(super) struct Uuids {
    values: Vec<u8>,
    nulls: NullBufferBuilder,
    len: usize,
}

impl Uuids {
    pub(super) fn new() -> Self {
        Uuids { values: Vec::new(), nulls: NullBufferBuilder::new(0), len: 0 }
    }
}

impl Column for Uuids {
    fn append(&mut self, data: &[u8], spans: &[Span]) -> Result<(), Refused> {
        self.values.reserve(spans.len() * 16);
        for (at, span) in spans.iter().enumerate() {
            match span.of(data) {
                None => {
                    self.values.extend_from_slice(&[0; 16]);
                    self.nulls.append_null();
                }
                Some(bytes) => {
                    self.values.extend_from_slice(&exact::<16>(at, bytes)?);
                    self.nulls.append_non_null();
                }
            }
        }
        self.len += spans.len();
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef, Refused> {
        self.len = 0;
        let values = Buffer::from_vec(std::mem::take(&mut self.values));
        Ok(Arc::new(FixedSizeBinaryArray::new(16, values, self.nulls.finish())))
    }

    fn width(&self) -> usize {
        16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_range_of_dates_and_timestamps_fits() {
        // 4714-11-24 BC and 5874897-12-31, the ends of PostgreSQL's range.
        assert_eq!(unix_days(-2_451_545), Ok(-2_440_588));
        assert_eq!(unix_days(2_145_031_948), Ok(2_145_042_905));
        // 4714-11-24 00:00:00 BC; the other end of the range is too far from 1970.
        assert_eq!(unix_micros(-211_813_488_000_000_000), Ok(-210_866_803_200_000_000));
        assert_eq!(
            unix_micros(9_223_371_331_199_999_999),
            Err("the timestamp is outside the range of 64-bit microseconds")
        );
        for infinity in [i64::MAX, i64::MIN] {
            assert!(unix_micros(infinity).unwrap_err().contains("infinity"));
        }
        for infinity in [i32::MAX, i32::MIN] {
            assert!(unix_days(infinity).unwrap_err().contains("infinity"));
        }
    }
}
