//! Integers and decimals: ranges are checked, decimals rescaled exactly.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, Decimal256Type, Float32Type, Float64Type,
};
use arrow_array::{Array, ArrowNativeTypeOp};
use arrow_buffer::i256;
use arrow_schema::DataType;

use super::digits::Digits;
use super::{Cast, Why, booleans, each, float, primitive, primitives, text};

pub(super) fn from_integers(source: &DataType, target: &DataType) -> Option<Cast> {
    with_integer!(source, S => integers_to::<S>(target), _ => None)
}

fn integers_to<S>(target: &DataType) -> Option<Cast>
where
    S: ArrowPrimitiveType,
    S::Native: Into<i128>,
{
    Some(match target {
        DataType::Boolean => Box::new(|array: &dyn Array| {
            let array = array.as_primitive::<S>();
            let values = each(array, |value| match value.into() {
                0 => Ok(false),
                1 => Ok(true),
                _ => Err(Why::NotBoolean),
            })?;
            Ok(booleans(values, array.nulls()))
        }),
        DataType::Float32 => {
            primitives::<S, Float32Type>(target, |value| float::from_integer(value.into()))
        }
        DataType::Float64 => {
            primitives::<S, Float64Type>(target, |value| float::from_integer(value.into()))
        }
        DataType::Decimal128(precision, scale) => {
            let rescale = Rescale::<i128>::new(0, *scale, Some(*precision));
            primitives::<S, Decimal128Type>(target, move |value| rescale.apply(value.into()))
        }
        DataType::Decimal256(precision, scale) => {
            let rescale = Rescale::<i256>::new(0, *scale, Some(*precision));
            primitives::<S, Decimal256Type>(target, move |value| {
                rescale.apply(i256::from_i128(value.into()))
            })
        }
        _ => with_integer!(target, T => primitives::<S, T>(target, |value| {
            narrow::<T>(value.into())
        }), _ => return None),
    })
}

fn narrow<T>(value: i128) -> Result<T::Native, Why>
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i128>,
{
    T::Native::try_from(value).map_err(|_| Why::Range)
}

pub(super) fn from_booleans(target: &DataType) -> Option<Cast> {
    let kind = target.clone();
    Some(with_integer!(target, T => Box::new(move |array: &dyn Array| {
        let array = array.as_boolean();
        let values = each(array, |value| Ok(zero_or_one(value)))?;
        Ok(primitive::<T>(values, array.nulls(), &kind))
    }), _ => return None))
}

fn zero_or_one<N: ArrowNativeTypeOp>(value: bool) -> N {
    if value { N::ONE } else { N::ZERO }
}

pub(super) fn from_text(target: &DataType) -> Option<Cast> {
    Some(match target {
        DataType::Decimal128(precision, scale) => {
            let (precision, scale) = (*precision, *scale);
            text::<Decimal128Type>(target, move |value| number(value)?.unscaled(scale, precision))
        }
        DataType::Decimal256(precision, scale) => {
            let (precision, scale) = (*precision, *scale);
            text::<Decimal256Type>(target, move |value| number(value)?.unscaled(scale, precision))
        }
        _ => with_integer!(target, T => text::<T>(target, |value| {
            narrow::<T>(number(value)?.integer()?)
        }), _ => return None),
    })
}

/// Tells NaN and infinity, which a `numeric` column may hold, from what is no number at all.
fn number(value: &str) -> Result<Digits<'_>, Why> {
    Digits::parse(value).map_err(|why| match float::special::<f64>(value) {
        Some(_) => Why::NotFinite,
        None => why,
    })
}

pub(super) fn from_decimal128(scale: i8, target: &DataType) -> Option<Cast> {
    Some(match target {
        DataType::Decimal128(precision, to) => {
            let rescale = Rescale::<i128>::new(scale, *to, Some(*precision));
            primitives::<Decimal128Type, Decimal128Type>(target, move |value| rescale.apply(value))
        }
        DataType::Decimal256(precision, to) => {
            let rescale = Rescale::<i256>::new(scale, *to, Some(*precision));
            primitives::<Decimal128Type, Decimal256Type>(target, move |value| {
                rescale.apply(i256::from_i128(value))
            })
        }
        DataType::Float32 => primitives::<Decimal128Type, Float32Type>(target, move |value| {
            float::from_decimal(value, scale)
        }),
        DataType::Float64 => primitives::<Decimal128Type, Float64Type>(target, move |value| {
            float::from_decimal(value, scale)
        }),
        _ => {
            let rescale = Rescale::<i128>::new(scale, 0, None);
            with_integer!(target, T => primitives::<Decimal128Type, T>(target, move |value| {
                narrow::<T>(rescale.apply(value).map_err(Why::for_integer)?)
            }), _ => return None)
        }
    })
}

pub(super) fn from_decimal256(scale: i8, target: &DataType) -> Option<Cast> {
    Some(match target {
        DataType::Decimal128(precision, to) => {
            let rescale = Rescale::<i256>::new(scale, *to, Some(*precision));
            primitives::<Decimal256Type, Decimal128Type>(target, move |value| {
                rescale.apply(value)?.to_i128().ok_or(Why::Precision)
            })
        }
        DataType::Decimal256(precision, to) => {
            let rescale = Rescale::<i256>::new(scale, *to, Some(*precision));
            primitives::<Decimal256Type, Decimal256Type>(target, move |value| rescale.apply(value))
        }
        DataType::Float32 => primitives::<Decimal256Type, Float32Type>(target, move |value| {
            float::from_decimal256(value, scale)
        }),
        DataType::Float64 => primitives::<Decimal256Type, Float64Type>(target, move |value| {
            float::from_decimal256(value, scale)
        }),
        _ => {
            let rescale = Rescale::<i256>::new(scale, 0, None);
            with_integer!(target, T => primitives::<Decimal256Type, T>(target, move |value| {
                let integer = rescale.apply(value).map_err(Why::for_integer)?;
                narrow::<T>(integer.to_i128().ok_or(Why::Range)?)
            }), _ => return None)
        }
    })
}

/// From one scale to another, without a digit lost.
struct Rescale<N> {
    /// Digits after the point become more, or stay.
    widens: bool,
    /// The power of ten between the scales; `None` when `N` cannot hold it, so only zero fits.
    power: Option<N>,
    /// The first positive value that does not fit; `None` when `N` itself is the limit.
    limit: Option<N>,
}

impl<N: ArrowNativeTypeOp + From<i8>> Rescale<N> {
    fn new(from: i8, to: i8, precision: Option<u8>) -> Self {
        let ten = N::from(10);
        Rescale {
            widens: to >= from,
            power: ten.pow_checked(u32::from(to.abs_diff(from))).ok(),
            limit: precision.and_then(|digits| ten.pow_checked(u32::from(digits)).ok()),
        }
    }

    fn apply(&self, value: N) -> Result<N, Why> {
        if value.is_zero() {
            return Ok(value);
        }
        let new = match (self.widens, self.power) {
            (true, Some(power)) => value.mul_checked(power).map_err(|_| Why::Precision)?,
            (true, None) => return Err(Why::Precision),
            (false, Some(power)) => {
                let (whole, rest) = value.div_rem_checked(power).map_err(|_| Why::Scale)?;
                if !rest.is_zero() {
                    return Err(Why::Scale);
                }
                whole
            }
            (false, None) => return Err(Why::Scale),
        };
        match self.limit {
            Some(limit) if new.is_ge(limit) || new.is_le(limit.neg_wrapping()) => {
                Err(Why::Precision)
            }
            _ => Ok(new),
        }
    }
}
