//! Binary floating point.
//!
//! A float stands for two numbers: the one its bits are, and the shortest decimal that reads back
//! as it, which is what databases print. A decimal becomes a float when it is either of the two; a
//! float becomes a decimal as the shortest. So decimal → float → decimal and the way back are
//! identities. Integers and floats meet only where they are equal to the last bit, and a negative
//! zero becomes neither integer nor decimal, because they have no sign for it.

use std::str::FromStr;

use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, Decimal256Type, Float32Type, Float64Type,
};
use arrow_buffer::i256;
use arrow_schema::DataType;

use super::digits::{Digits, sign};
use super::{Cast, Why, primitives};

/// What the conversions need to know of `f32` and `f64`.
pub(super) trait Float: zmij::Float + Copy + FromStr + Into<f64> + 'static {
    /// Bits of the significand, the leading one included.
    const SIGNIFICAND: u32;
    /// Below this, every decimal of `POWERS.len() - 1` digits after the point is the shortest text
    /// of the float nearest to it: `DBL_DIG` and `FLT_DIG` of C, 15 and 6 digits.
    const SURE: u128;
    /// The powers of ten that are floats to the last bit.
    const POWERS: &[Self];
    const NAN: Self;
    const INFINITY: Self;
    /// The nearest float.
    fn nearest(value: i128) -> Self;
    fn quotient(self, divisor: Self) -> Self;
    fn negated(self) -> Self;
    /// All digits of the number the bits are.
    fn exact_text(self) -> String;
}

macro_rules! float {
    ($float:ident, $sure:expr, $powers:expr, $digits:expr) => {
        impl Float for $float {
            const SIGNIFICAND: u32 = $float::MANTISSA_DIGITS;
            const SURE: u128 = $sure;
            const POWERS: &[Self] = &$powers;
            const NAN: Self = $float::NAN;
            const INFINITY: Self = $float::INFINITY;
            fn nearest(value: i128) -> Self {
                value as $float
            }
            fn quotient(self, divisor: Self) -> Self {
                self / divisor
            }
            fn negated(self) -> Self {
                -self
            }
            fn exact_text(self) -> String {
                format!("{self:.digits$e}", digits = $digits)
            }
        }
    };
}

// No finite value has more significant digits than 112 and 767.
float!(f32, 1_000_000, [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10], 112);
float!(
    f64,
    1_000_000_000_000_000,
    [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19, 1e20, 1e21, 1e22
    ],
    767
);

/// The shortest text, for messages.
pub(super) fn text<F: Float>(value: F) -> String {
    zmij::Buffer::new().format(value).to_string()
}

/// An integer, where the float equals it.
pub(super) fn from_integer<F: Float>(value: i128) -> Result<F, Why> {
    let size = value.unsigned_abs();
    let odd = size.checked_shr(size.trailing_zeros()).unwrap_or(0);
    if odd >> F::SIGNIFICAND != 0 {
        return Err(Why::Inexact);
    }
    Ok(F::nearest(value))
}

/// The decimal `unscaled` × 10^-`scale`.
pub(super) fn from_decimal<F: Float>(unscaled: i128, scale: i8) -> Result<F, Why> {
    let power = usize::try_from(scale).ok().and_then(|scale| F::POWERS.get(scale));
    match power {
        // Both operands are exact, so the division gives the nearest float.
        Some(power) if unscaled.unsigned_abs() < F::SURE => {
            Ok(F::nearest(unscaled).quotient(*power))
        }
        _ => from_text(&format!("{unscaled}e{}", -i16::from(scale))),
    }
}

/// The same for a decimal of 256 bits.
pub(super) fn from_decimal256<F: Float>(unscaled: i256, scale: i8) -> Result<F, Why> {
    match unscaled.to_i128() {
        Some(small) => from_decimal(small, scale),
        None => from_text(&format!("{unscaled}e{}", -i16::from(scale))),
    }
}

/// A number as text, or NaN or an infinity.
pub(super) fn from_text<F: Float>(text: &str) -> Result<F, Why> {
    let wanted = match Digits::parse(text) {
        Ok(wanted) => wanted,
        Err(why) => return special(text).ok_or(why),
    };
    let value: F = text.parse().map_err(|_| Why::Form)?;
    if !finite(value) {
        return Err(Why::Range);
    }
    let mut buffer = zmij::Buffer::new();
    if Digits::parse(buffer.format_finite(value))? == wanted
        || Digits::parse(&value.exact_text())? == wanted
    {
        Ok(value)
    } else {
        Err(Why::Inexact)
    }
}

/// The words for what is no finite number, as PostgreSQL reads them ("Floating-Point Types").
pub(super) fn special<F: Float>(text: &str) -> Option<F> {
    if text.eq_ignore_ascii_case("nan") {
        return Some(F::NAN);
    }
    let (negative, word) = sign(text);
    let infinite = word.eq_ignore_ascii_case("infinity") || word.eq_ignore_ascii_case("inf");
    infinite.then(|| if negative { F::INFINITY.negated() } else { F::INFINITY })
}

pub(super) fn from_floats<S>(target: &DataType) -> Option<Cast>
where
    S: ArrowPrimitiveType,
    S::Native: Float,
{
    Some(match target {
        DataType::Float64 => primitives::<S, Float64Type>(target, |value| Ok(value.into())),
        DataType::Float32 => primitives::<S, Float32Type>(target, |value| single(value.into())),
        DataType::Decimal128(precision, scale) => {
            let (precision, scale) = (*precision, *scale);
            primitives::<S, Decimal128Type>(target, move |value| {
                let mut buffer = zmij::Buffer::new();
                shortest(value, &mut buffer)?.unscaled(scale, precision)
            })
        }
        DataType::Decimal256(precision, scale) => {
            let (precision, scale) = (*precision, *scale);
            primitives::<S, Decimal256Type>(target, move |value| {
                let mut buffer = zmij::Buffer::new();
                shortest(value, &mut buffer)?.unscaled(scale, precision)
            })
        }
        _ => with_integer!(target, T => primitives::<S, T>(target, |value| {
            let integer = integer(value.into())?;
            <T as ArrowPrimitiveType>::Native::try_from(integer).map_err(|_| Why::Range)
        }), _ => return None),
    })
}

fn finite<F: Float>(value: F) -> bool {
    Into::<f64>::into(value).is_finite()
}

fn shortest<F: Float>(value: F, buffer: &mut zmij::Buffer) -> Result<Digits<'_>, Why> {
    let wide: f64 = value.into();
    if !wide.is_finite() {
        return Err(Why::NotFinite);
    }
    if wide == 0.0 && wide.is_sign_negative() {
        return Err(Why::NegativeZero);
    }
    Digits::parse(buffer.format_finite(value))
}

/// The integer that the bits are.
fn integer(value: f64) -> Result<i128, Why> {
    if !value.is_finite() {
        return Err(Why::NotFinite);
    }
    if value == 0.0 {
        return if value.is_sign_negative() { Err(Why::NegativeZero) } else { Ok(0) };
    }
    let (odd, exponent) = odd_and_exponent(value);
    let exponent = u32::try_from(exponent).map_err(|_| Why::Fraction)?;
    // 53 bits moved by 64 are beyond every integer type and still within 128 bits.
    if exponent > 64 {
        return Err(Why::Range);
    }
    let size = i128::from(odd) << exponent;
    Ok(if value < 0.0 { -size } else { size })
}

/// The same number in single precision; NaN stays NaN.
fn single(value: f64) -> Result<f32, Why> {
    let sign = if value.is_sign_negative() { -1.0 } else { 1.0 };
    if value.is_nan() {
        return Ok(f32::NAN);
    }
    if value.is_infinite() {
        return Ok(sign * f32::INFINITY);
    }
    if value == 0.0 {
        return Ok(sign * 0.0);
    }
    let (odd, exponent) = odd_and_exponent(value);
    let width = 64 - odd.leading_zeros();
    let top = exponent + i32::try_from(width).expect("at most 53") - 1;
    if width > f32::MANTISSA_DIGITS {
        return Err(Why::Inexact);
    }
    let odd = u32::try_from(odd).expect("at most 24 bits");
    // IEEE 754 single precision: normal numbers hide the leading bit, subnormal ones count in
    // units of 2^-149.
    let bits = match top {
        128.. => return Err(Why::Range),
        -126.. => {
            let biased = u32::try_from(top + 127).expect("between 1 and 254");
            biased << 23 | (odd << (f32::MANTISSA_DIGITS - width) & 0x007f_ffff)
        }
        _ => odd << u32::try_from(exponent + 149).map_err(|_| Why::Inexact)?,
    };
    Ok(sign * f32::from_bits(bits))
}

/// `(m, e)` with the size of a finite value other than zero being m × 2^e and m odd.
fn odd_and_exponent(value: f64) -> (u64, i32) {
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = value.to_bits();
    let field = i32::try_from((bits >> 52) & 0x7ff).expect("eleven bits");
    let (significand, exponent) = match field {
        0 => (bits & FRACTION, -1074),
        _ => (bits & FRACTION | 1 << 52, field - 1075),
    };
    let zeros = significand.trailing_zeros();
    (significand >> zeros, exponent + i32::try_from(zeros).expect("at most 63"))
}
