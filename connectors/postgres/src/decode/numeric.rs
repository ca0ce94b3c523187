//! Columns of `numeric(p,s)`: base-10000 digits to one integer of 128 or 256 bits, exactly.

use std::sync::Arc;

use arrow_array::types::{Decimal128Type, Decimal256Type, DecimalType};
use arrow_array::{ArrayRef, PrimitiveArray};
use arrow_buffer::{ArrowNativeType, NullBufferBuilder, i256};
use rsqoop_connector::Result;

use super::{Column, Refused, Span};

/// Digits of one base-10000 digit.
const GROUP: usize = 4;
const POWERS: [u16; GROUP + 1] = [1, 10, 100, 1_000, 10_000];

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// Integers wide enough for a decimal.
trait Wide: ArrowNativeType {
    /// `self * 10^zeros + digit`, or nothing when it does not fit.
    fn shift(self, power: u16, digit: u16) -> Option<Self>;
    fn negate(self) -> Self;
    /// Fast path: the value as 64 bits.
    fn from_u64(value: u64) -> Self;
}

impl Wide for i128 {
    fn shift(self, power: u16, digit: u16) -> Option<Self> {
        self.checked_mul(i128::from(power))?.checked_add(i128::from(digit))
    }

    fn negate(self) -> Self {
        -self
    }

    fn from_u64(value: u64) -> Self {
        i128::from(value)
    }
}

impl Wide for i256 {
    fn shift(self, power: u16, digit: u16) -> Option<Self> {
        self.checked_mul(i256::from_i128(i128::from(power)))?
            .checked_add(i256::from_i128(i128::from(digit)))
    }

    fn negate(self) -> Self {
        self.wrapping_neg()
    }

    fn from_u64(value: u64) -> Self {
        i256::from_parts(u128::from(value), 0)
    }
}

struct Decimals<T: DecimalType> {
    precision: u8,
    scale: i8,
    /// Base-10000 digits after the point that the scale covers, and how many decimal digits of
    /// the last one lie outside it.
    groups: i32,
    excess: usize,
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
}

pub(super) fn decimal128(precision: u8, scale: i8) -> Option<Box<dyn Column>> {
    Decimals::<Decimal128Type>::boxed(precision, scale)
}

pub(super) fn decimal256(precision: u8, scale: i8) -> Option<Box<dyn Column>> {
    Decimals::<Decimal256Type>::boxed(precision, scale)
}

impl<T: DecimalType> Decimals<T>
where
    T::Native: Wide,
{
    fn boxed(precision: u8, scale: i8) -> Option<Box<dyn Column>> {
        let column = Self::new(precision, scale)?;
        Some(Box::new(column))
    }

    fn new(precision: u8, scale: i8) -> Option<Self> {
        let digits = usize::try_from(scale).ok()?;
        let groups = digits.div_ceil(GROUP);
        Some(Decimals {
            precision,
            scale,
            groups: i32::try_from(groups).ok()?,
            excess: groups * GROUP - digits,
            values: Vec::new(),
            nulls: NullBufferBuilder::new(0),
        })
    }

    /// One value, `src/backend/utils/adt/numeric.c`, `numeric_send`: digit count, weight, sign,
    /// display scale, then the digits, each a 16-bit word.
    fn decode(&self, bytes: &[u8]) -> Result<T::Native, String> {
        let Some((head, digits)) = bytes.split_first_chunk::<8>() else {
            return Err("the server sent a numeric without its head".to_string());
        };
        let word = |i: usize| u16::from_be_bytes([head[i], head[i + 1]]);
        let count = usize::from(word(0));
        let weight = i32::from(i16::from_be_bytes([head[2], head[3]]));
        let negative = match word(4) {
            0 => false,
            NEGATIVE => true,
            NAN => return Err("the value is NaN".to_string()),
            INFINITY => return Err("the value is Infinity".to_string()),
            MINUS_INFINITY => return Err("the value is -Infinity".to_string()),
            other => return Err(format!("the server sent a numeric with the sign {other:#x}")),
        };
        if digits.len() != count * 2 {
            return Err("the server sent a numeric of a wrong length".to_string());
        }
        let value = self.combine(digits, weight)?;
        Ok(if negative { value.negate() } else { value })
    }

    /// The digits as a multiple of `10^-scale`.
    fn combine(&self, digits: &[u8], weight: i32) -> Result<T::Native, String> {
        let count = i32::try_from(digits.len() / 2).unwrap_or(i32::MAX);
        if count == 0 {
            return Ok(T::Native::default());
        }
        // Groups from the first digit down to the last one that the scale covers.
        let wanted = weight.saturating_add(1).saturating_add(self.groups);
        if wanted < count {
            return Err(self.too_fine());
        }
        if wanted <= GROUP_LIMIT_64 {
            let mut sum = 0u64;
            let mut last = 0;
            for group in 0..wanted {
                last = digit(digits, group);
                sum = sum * u64::from(POWERS[GROUP]) + u64::from(last);
            }
            let power = POWERS[self.excess];
            if !last.is_multiple_of(power) {
                return Err(self.too_fine());
            }
            return self.fit(T::Native::from_u64(sum / u64::from(power)));
        }
        if wanted > GROUP_LIMIT {
            return Err(self.too_large());
        }
        let mut sum = T::Native::default();
        for group in 0..wanted - 1 {
            sum = sum.shift(POWERS[GROUP], digit(digits, group)).ok_or_else(|| self.too_large())?;
        }
        let last = digit(digits, wanted - 1);
        let power = POWERS[self.excess];
        if !last.is_multiple_of(power) {
            return Err(self.too_fine());
        }
        sum =
            sum.shift(POWERS[GROUP - self.excess], last / power).ok_or_else(|| self.too_large())?;
        self.fit(sum)
    }

    fn fit(&self, value: T::Native) -> Result<T::Native, String> {
        if T::is_valid_decimal_precision(value, self.precision) {
            Ok(value)
        } else {
            Err(self.too_large())
        }
    }

    fn too_fine(&self) -> String {
        format!("the value has more than {} digits after the point", self.scale)
    }

    fn too_large(&self) -> String {
        format!("the value does not fit numeric({},{})", self.precision, self.scale)
    }
}

/// Four base-10000 digits are below 10^16, which 64 bits hold.
const GROUP_LIMIT_64: i32 = 4;
/// 76 decimal digits take at most 21 groups; a value with more cannot fit.
const GROUP_LIMIT: i32 = 21;

/// A base-10000 digit; the server leaves out zeros at the end.
fn digit(digits: &[u8], group: i32) -> u16 {
    usize::try_from(group)
        .ok()
        .and_then(|group| digits.get(group * 2..group * 2 + 2))
        .map_or(0, |pair| u16::from_be_bytes([pair[0], pair[1]]))
}

impl<T: DecimalType> Column for Decimals<T>
where
    T::Native: Wide,
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
                    let value = self.decode(bytes).map_err(|problem| Refused { at, problem })?;
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
        PrimitiveArray::<T>::new(values.into(), self.nulls.finish())
            .with_precision_and_scale(self.precision, self.scale)
            .map(|array| Arc::new(array) as ArrayRef)
            .map_err(|error| Refused { at: 0, problem: error.to_string() })
    }

    fn width(&self) -> usize {
        size_of::<T::Native>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the server sends for a decimal text: groups of four digits around the point.
    fn encode(text: &str) -> Vec<u8> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let lead = whole.len().div_ceil(4) * 4;
        let whole_padded = format!("{whole:0>lead$}");
        let tail = fraction.len().div_ceil(4) * 4;
        let all = format!("{whole_padded}{fraction:0<tail$}");
        let mut groups: Vec<u16> = all
            .as_bytes()
            .chunks(4)
            .map(|c| std::str::from_utf8(c).unwrap().parse().unwrap())
            .collect();
        let mut weight = i16::try_from(lead / 4).unwrap() - 1;
        while groups.first() == Some(&0) {
            groups.remove(0);
            weight -= 1;
        }
        while groups.last() == Some(&0) {
            groups.pop();
        }
        if groups.is_empty() {
            weight = 0;
        }
        let mut out = Vec::new();
        out.extend(u16::try_from(groups.len()).unwrap().to_be_bytes());
        out.extend(weight.to_be_bytes());
        out.extend(if negative { NEGATIVE } else { 0 }.to_be_bytes());
        out.extend(u16::try_from(fraction.len()).unwrap().to_be_bytes());
        for group in groups {
            out.extend(group.to_be_bytes());
        }
        out
    }

    fn decimal(precision: u8, scale: i8, text: &str) -> Result<i128, String> {
        Decimals::<Decimal128Type>::new(precision, scale).unwrap().decode(&encode(text))
    }

    fn wide(precision: u8, scale: i8, text: &str) -> Result<i256, String> {
        Decimals::<Decimal256Type>::new(precision, scale).unwrap().decode(&encode(text))
    }

    #[test]
    fn literal_values() {
        assert_eq!(decimal(10, 2, "0"), Ok(0));
        assert_eq!(decimal(10, 2, "1.5"), Ok(150));
        assert_eq!(decimal(10, 2, "-12345678.91"), Ok(-1_234_567_891));
        assert_eq!(decimal(10, 0, "10000"), Ok(10_000));
        assert_eq!(decimal(9, 9, "0.000000001"), Ok(1));
        assert_eq!(decimal(38, 0, &"9".repeat(38)), Ok(10i128.pow(38) - 1));
        assert_eq!(decimal(38, 38, &format!("-0.{}", "9".repeat(38))), Ok(1 - 10i128.pow(38)));
        assert_eq!(wide(76, 0, &"9".repeat(76)), Ok(i256::from_string(&"9".repeat(76)).unwrap()));
        assert_eq!(
            wide(76, 38, &format!("-{}.{}", "8".repeat(38), "7".repeat(38))),
            Ok(i256::from_string(&format!("-{}{}", "8".repeat(38), "7".repeat(38))).unwrap())
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(decimal(4, 2, "100").unwrap_err().contains("numeric(4,2)"));
        assert!(decimal(4, 2, "1.005").unwrap_err().contains("after the point"));
        assert!(decimal(4, 2, "1.00005").unwrap_err().contains("after the point"));
        assert!(decimal(38, 0, &"9".repeat(39)).is_err());
        assert!(decimal(38, 0, &format!("1{}", "0".repeat(400))).is_err());
        assert!(wide(76, 0, &"9".repeat(77)).is_err());
        for (sign, name) in [(NAN, "NaN"), (INFINITY, "Infinity"), (MINUS_INFINITY, "-Infinity")] {
            let mut bytes = encode("0");
            bytes[4..6].copy_from_slice(&sign.to_be_bytes());
            let column = Decimals::<Decimal128Type>::new(10, 2).unwrap();
            assert!(column.decode(&bytes).unwrap_err().ends_with(name));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_decimal_is_what_its_text_says(
            unscaled in -(10i128.pow(38) - 1)..10i128.pow(38),
            shrink in 0u32..38,
            scale in 0i8..=38,
        ) {
            let unscaled = unscaled / 10i128.pow(shrink);
            let places = usize::try_from(scale).unwrap();
            let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = places + 1);
            let (whole, fraction) = digits.split_at(digits.len() - places);
            let sign = if unscaled < 0 { "-" } else { "" };
            let text = format!("{sign}{whole}.{fraction}");
            prop_assert_eq!(decimal(38, scale, &text), Ok(unscaled));
            prop_assert_eq!(wide(76, scale, &text), Ok(i256::from_i128(unscaled)));
            // One place less must be refused unless the last digit is zero.
            if scale > 0 {
                let less = decimal(38, scale - 1, &text);
                prop_assert_eq!(less.is_ok(), unscaled % 10 == 0);
            }
        }
    }
}
