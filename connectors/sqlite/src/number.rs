//! Doubles and decimals, exactly: the shortest text that stands for a double, and the decimal that
//! a stored double, integer or text is.

use std::fmt::Write;

/// SQLite keeps this many significant digits when it turns text into a double
/// (<https://sqlite.org/datatype3.html>, section 3).
const SQLITE_DIGITS: usize = 15;

/// A number's digits: `digits × 10^exponent`, without leading zeros.
struct Digits {
    negative: bool,
    digits: String,
    exponent: i64,
}

/// The fewest digits that read back as exactly this double, which must be finite.
fn shortest(value: f64) -> Digits {
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().expect("Rust writes the exponent as an integer");
    let places = i64::try_from(fraction.len()).expect("at most 17 digits");
    let mut digits = format!("{whole}{fraction}");
    if digits == "0" {
        digits.clear();
    }
    Digits { negative: value.is_sign_negative(), digits, exponent: exponent - places }
}

/// A double as SQLite writes it (`%!.15g`), but with as many digits as it takes to read back the
/// same double.
pub(crate) fn write_real(value: f64, out: &mut String) {
    if value.is_infinite() {
        out.push_str(if value < 0.0 { "-Inf" } else { "Inf" });
        return;
    }
    let Digits { negative, digits, exponent } = shortest(value);
    if digits.is_empty() {
        out.push_str("0.0");
        return;
    }
    if negative {
        out.push('-');
    }
    let places = i64::try_from(digits.len()).expect("at most 17 digits");
    // The exponent in scientific notation: one digit before the point.
    let scientific = exponent + places - 1;
    if !(-4..15).contains(&scientific) {
        let (whole, fraction) = digits.split_at(1);
        let fraction = if fraction.is_empty() { "0" } else { fraction };
        let sign = if scientific < 0 { '-' } else { '+' };
        // Writing to a String cannot fail.
        let _ = write!(out, "{whole}.{fraction}e{sign}{:02}", scientific.abs());
    } else if scientific < 0 {
        out.push_str("0.");
        (scientific..-1).for_each(|_| out.push('0'));
        out.push_str(&digits);
    } else if exponent >= 0 {
        out.push_str(&digits);
        (0..exponent).for_each(|_| out.push('0'));
        out.push_str(".0");
    } else {
        let point = usize::try_from(scientific + 1).expect("checked to be small and positive");
        let (whole, fraction) = digits.split_at(point);
        out.push_str(whole);
        out.push('.');
        out.push_str(fraction);
    }
}

/// A decimal type's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) precision: u8,
    pub(crate) scale: u8,
}

impl Size {
    fn too_big(self) -> String {
        format!("has more than {} digits before the point", self.precision - self.scale)
    }

    /// The unscaled integer of a stored integer.
    pub(crate) fn integer(self, value: i64) -> Result<i128, String> {
        10_i128
            .checked_pow(u32::from(self.scale))
            .and_then(|factor| i128::from(value).checked_mul(factor))
            .filter(|n| n.unsigned_abs() < 10_u128.pow(u32::from(self.precision.min(38))))
            .ok_or_else(|| self.too_big())
    }

    /// The unscaled integer of a stored double, by arithmetic, for the common case: a decimal of
    /// at most 15 digits. Both it and the power of ten are exact doubles then, their quotient is
    /// rounded once, and so it equals `value` only if `value` is the double of that decimal.
    pub(crate) fn real_fast(self, value: f64) -> Option<i64> {
        const POWERS: [f64; 16] =
            [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
        /// Adding it moves an integer below 2^52 into the mantissa's bits.
        const TWO_52: f64 = 4_503_599_627_370_496.0;
        let power = *POWERS.get(usize::from(self.scale))?;
        let unscaled = (value * power).round();
        if unscaled.abs() >= 1e15 || unscaled / power != value {
            return None;
        }
        let bits = (unscaled.abs() + TWO_52).to_bits() & ((1 << 52) - 1);
        let magnitude = i64::try_from(bits).ok()?;
        if self.precision < 15 && magnitude >= 10_i64.pow(u32::from(self.precision)) {
            return None;
        }
        Some(if unscaled < 0.0 { -magnitude } else { magnitude })
    }

    /// The unscaled integer, in digits, of any stored double.
    pub(crate) fn real(self, value: f64) -> Result<String, String> {
        if !value.is_finite() {
            return Err("is infinite".to_string());
        }
        let digits = shortest(value);
        if digits.digits.len() > SQLITE_DIGITS {
            return Err(format!(
                "is stored as a double with more than {SQLITE_DIGITS} digits, so that the decimal \
                 once written is not known"
            ));
        }
        self.unscaled(digits)
    }

    /// The unscaled integer, in digits, of a stored text.
    pub(crate) fn text(self, text: &[u8]) -> Result<String, String> {
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let mut parts = rest.splitn(2, |b| *b == b'.');
        let (whole, fraction) = (parts.next().unwrap_or(b""), parts.next().unwrap_or(b""));
        let plain = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
        if whole.len() + fraction.len() == 0 || !plain(whole) || !plain(fraction) {
            return Err("is not a decimal number".to_string());
        }
        let digits: String = whole
            .iter()
            .chain(fraction)
            .map(|b| char::from(*b))
            .skip_while(|c| *c == '0')
            .collect();
        let exponent = -i64::try_from(fraction.len()).map_err(|_| self.too_big())?;
        self.unscaled(Digits { negative, digits, exponent })
    }

    fn unscaled(self, number: Digits) -> Result<String, String> {
        let Digits { negative, mut digits, exponent } = number;
        if digits.is_empty() {
            return Ok("0".to_string());
        }
        let zeros = exponent + i64::from(self.scale);
        if let Ok(zeros) = usize::try_from(zeros) {
            if digits.len() + zeros > usize::from(self.precision) {
                return Err(self.too_big());
            }
            digits.extend(std::iter::repeat_n('0', zeros));
        } else {
            for _ in zeros..0 {
                // Zeros behind the last place that is kept say nothing; other digits would be lost.
                if digits.pop().is_some_and(|c| c != '0') {
                    return Err(format!("has more than {} digits after the point", self.scale));
                }
            }
        }
        if digits.len() > usize::from(self.precision) {
            return Err(self.too_big());
        }
        Ok(if negative { format!("-{digits}") } else { digits })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn real(value: f64) -> String {
        let mut out = String::new();
        write_real(value, &mut out);
        out
    }

    #[test]
    fn doubles_look_like_sqlite_and_read_back() {
        for (value, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (0.0001, "0.0001"),
            (0.000_012_3, "1.23e-05"),
            (123_456_789_012_345.0, "123456789012345.0"),
            (1e14, "100000000000000.0"),
            (1e15, "1.0e+15"),
            (1e300, "1.0e+300"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5.0e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(real(value), text);
        }
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        let size = Size { precision: 10, scale: 2 };
        let as_real = |v: f64| size.real(v).ok();
        assert_eq!(as_real(12.34).as_deref(), Some("1234"));
        assert_eq!(as_real(-0.05).as_deref(), Some("-5"));
        assert_eq!(as_real(99_999_999.99).as_deref(), Some("9999999999"));
        assert_eq!(as_real(1e7).as_deref(), Some("1000000000"));
        assert_eq!(as_real(0.0).as_deref(), Some("0"));
        for bad in [1e8, 12.345, 0.1 + 0.2, 1e-300, 1e300, f64::INFINITY] {
            assert_eq!(as_real(bad), None, "{bad}");
        }
        let as_text = |t: &str| size.text(t.as_bytes()).ok();
        assert_eq!(as_text("12.3400").as_deref(), Some("1234"));
        assert_eq!(as_text("-.5").as_deref(), Some("-50"));
        assert_eq!(as_text("000012").as_deref(), Some("1200"));
        assert_eq!(as_text("0.000").as_deref(), Some("0"));
        for bad in ["", ".", "-", "1e3", "12.345", "100000000", " 1", "1.2.3", "0x10", "12,5"] {
            assert_eq!(as_text(bad), None, "{bad}");
        }
        assert_eq!(size.integer(99_999_999), Ok(9_999_999_900));
        assert!(size.integer(100_000_000).is_err());
        let all = Size { precision: 38, scale: 38 };
        assert_eq!(all.integer(0), Ok(0));
        assert!(all.integer(1).is_err());
        let wide = Size { precision: 38, scale: 0 };
        assert_eq!(wide.integer(i64::MIN), Ok(i128::from(i64::MIN)));
    }

    proptest! {
        #[test]
        fn every_double_reads_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite() && value != 0.0);
            prop_assert_eq!(real(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }

        #[test]
        fn both_ways_from_a_double_agree(
            unscaled in -999_999_999_999_999_i64..1_000_000_000_000_000, scale in 0_u8..16, ulp in 0_u64..3,
        ) {
            let text = format!("{unscaled}e-{scale}");
            let value = f64::from_bits(text.parse::<f64>().unwrap().to_bits() + ulp);
            let size = Size { precision: 18, scale };
            let slow = size.real(value).ok();
            let fast = size.real_fast(value).map(|n| n.to_string());
            if ulp == 0 {
                prop_assert_eq!(slow.clone(), Some(unscaled.to_string()));
            }
            prop_assert!(fast.is_none() || fast == slow, "{:?} {:?}", fast, slow);
        }
    }
}
