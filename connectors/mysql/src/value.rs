//! Single values: from the server's form to numbers, and to text where rsqoop makes it.
//!
//! Pure and without allocation on the bulk path. A value that does not fit is a [`Problem`], never
//! an approximation.

use arrow_buffer::i256;

use crate::wire::Cursor;

/// Why a value cannot be carried over identically.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The packet ends within a value: the server's fault, not the value's.
    Cut,
    ZeroDate,
    NoSuchDay,
    TimeOutsideDay,
    NotBool,
    Digits,
    NotUuid,
    NotUtf8,
    TooLong,
    TooManyBits,
}

impl Problem {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Problem::Cut => "a packet is cut",
            Problem::ZeroDate => "the date has month or day zero, which no file type can hold",
            Problem::NoSuchDay => "the calendar has no such day",
            Problem::TimeOutsideDay => "the time is not within a day (00:00:00 to 23:59:59.999999)",
            Problem::NotBool => "a tinyint(1) holds a number other than 0 and 1",
            Problem::Digits => "the decimal does not fit the digits of its column",
            Problem::NotUuid => "the server's text of a UUID is not one",
            Problem::NotUtf8 => "the text is not valid UTF-8",
            Problem::TooLong => "the value is longer than 2 GiB",
            Problem::TooManyBits => "the bit field has more than 64 bits",
        }
    }
}

/// Largest count of digits that always fit 64 bits.
const CHUNK: usize = 18;

/// Sign, digits before and after the point, of which exactly `scale` follow it.
#[inline]
fn split_decimal(text: &[u8], scale: u8) -> Result<(bool, &[u8], &[u8]), Problem> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let scale = usize::from(scale);
    if scale == 0 {
        return if digits.is_empty() { Err(Problem::Digits) } else { Ok((negative, digits, &[])) };
    }
    let (whole, fraction) = digits
        .len()
        .checked_sub(scale + 1)
        .and_then(|n| digits.split_at_checked(n))
        .ok_or(Problem::Digits)?;
    match fraction {
        [b'.', fraction @ ..] => Ok((negative, whole, fraction)),
        _ => Err(Problem::Digits),
    }
}

/// The number of up to 18 digits.
#[inline]
fn number(digits: &[u8], start: u64) -> Result<u64, Problem> {
    let mut sum = start;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Problem::Digits);
        }
        sum = sum * 10 + u64::from(digit);
    }
    Ok(sum)
}

/// A decimal as the server writes it, always with all digits of the scale.
#[inline]
pub(crate) fn decimal128(text: &[u8], precision: u8, scale: u8) -> Result<i128, Problem> {
    let (negative, whole, fraction) = split_decimal(text, scale)?;
    let digits = whole.len() + fraction.len();
    let sum = if digits <= CHUNK {
        i128::from(number(fraction, number(whole, 0)?)?)
    } else {
        long_decimal(whole, fraction)?
    };
    // Leading zeros (zerofill) may exceed the precision's count of digits, the number may not.
    if digits > usize::from(precision) {
        let limit = 10i128.checked_pow(u32::from(precision)).ok_or(Problem::Digits)?;
        if sum >= limit {
            return Err(Problem::Digits);
        }
    }
    Ok(if negative { -sum } else { sum })
}

#[cold]
fn long_decimal(whole: &[u8], fraction: &[u8]) -> Result<i128, Problem> {
    let mut sum = 0i128;
    for part in [whole, fraction] {
        for chunk in part.chunks(CHUNK) {
            let power = u32::try_from(chunk.len()).map_err(|_| Problem::Digits)?;
            sum = sum
                .checked_mul(10i128.pow(power))
                .and_then(|s| s.checked_add(number(chunk, 0).ok()?.into()))
                .ok_or(Problem::Digits)?;
        }
    }
    Ok(sum)
}

/// As [`decimal128`] for up to 65 digits.
pub(crate) fn decimal256(text: &[u8], precision: u8, scale: u8) -> Result<i256, Problem> {
    let (negative, whole, fraction) = split_decimal(text, scale)?;
    let mut sum = i256::ZERO;
    for part in [whole, fraction] {
        for chunk in part.chunks(CHUNK) {
            let power = u32::try_from(chunk.len()).map_err(|_| Problem::Digits)?;
            sum = sum
                .checked_mul(i256::from_i128(10i128.pow(power)))
                .and_then(|s| s.checked_add(i256::from_i128(number(chunk, 0).ok()?.into())))
                .ok_or(Problem::Digits)?;
        }
    }
    let limit = i256::from_i128(10).checked_pow(u32::from(precision)).ok_or(Problem::Digits)?;
    if sum >= limit {
        return Err(Problem::Digits);
    }
    Ok(if negative { -sum } else { sum })
}

/// A bit field: big-endian bytes.
#[inline]
pub(crate) fn bits(bytes: &[u8]) -> Result<u64, Problem> {
    if bytes.len() > 8 {
        return Err(Problem::TooManyBits);
    }
    Ok(bytes.iter().fold(0, |sum, b| sum << 8 | u64::from(*b)))
}

const MICROS_PER_SECOND: u64 = 1_000_000;
pub(crate) const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Year, month, day, microseconds of the day, as sent.
#[inline]
pub(crate) fn date_time_fields(c: &mut Cursor<'_>) -> Result<(u16, u8, u8, u64), Problem> {
    let len = c.u8().ok_or(Problem::Cut)?;
    if !matches!(len, 0 | 4 | 7 | 11) {
        return Err(Problem::Cut);
    }
    let mut f = Cursor(c.take(usize::from(len)).ok_or(Problem::Cut)?);
    if len == 0 {
        return Ok((0, 0, 0, 0));
    }
    let [y0, y1, month, day] = f.array().ok_or(Problem::Cut)?;
    let mut micros = 0;
    if len >= 7 {
        let [hour, minute, second] = f.array().ok_or(Problem::Cut)?;
        micros = clock(hour, minute, second)?;
    }
    if len == 11 {
        micros += u64::from(f.u32().ok_or(Problem::Cut)?);
    }
    Ok((u16::from_le_bytes([y0, y1]), month, day, micros))
}

#[inline]
fn clock(hour: u8, minute: u8, second: u8) -> Result<u64, Problem> {
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Problem::TimeOutsideDay);
    }
    let seconds = u64::from(hour) * 3600 + u64::from(minute) * 60 + u64::from(second);
    Ok(seconds * MICROS_PER_SECOND)
}

/// Days since 1970-01-01 of a day in the proleptic Gregorian calendar.
#[inline]
pub(crate) fn days(year: u16, month: u8, day: u8) -> Result<i32, Problem> {
    if month == 0 || day == 0 {
        return Err(Problem::ZeroDate);
    }
    if month > 12 || (day > 28 && day > days_in_month(year, month)) {
        return Err(Problem::NoSuchDay);
    }
    // Years that begin in March, so that the leap day is the last (H. Hinnant, "chrono-Compatible
    // Low-Level Date Algorithms"). Shifted by 400 years to stay positive for the year 0.
    let shift = i32::from(month <= 2);
    let y = i32::from(year) - shift + 400;
    let m = i32::from(month) + 12 * shift - 3;
    let day_of_year = (153 * m + 2) / 5 + i32::from(day) - 1;
    Ok(y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719_468 - 146_097)
}

fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

#[inline]
pub(crate) fn date(c: &mut Cursor<'_>) -> Result<i32, Problem> {
    let (year, month, day, _) = date_time_fields(c)?;
    days(year, month, day)
}

#[inline]
pub(crate) fn date_time(c: &mut Cursor<'_>) -> Result<i64, Problem> {
    let (year, month, day, micros) = date_time_fields(c)?;
    let micros = i64::try_from(micros).map_err(|_| Problem::TimeOutsideDay)?;
    Ok(i64::from(days(year, month, day)?) * MICROS_PER_DAY + micros)
}

/// Whether negative, and microseconds.
pub(crate) fn time_fields(c: &mut Cursor<'_>) -> Result<(bool, u64), Problem> {
    let len = c.u8().ok_or(Problem::Cut)?;
    if !matches!(len, 0 | 8 | 12) {
        return Err(Problem::Cut);
    }
    let mut f = Cursor(c.take(usize::from(len)).ok_or(Problem::Cut)?);
    if len == 0 {
        return Ok((false, 0));
    }
    let negative = f.u8().ok_or(Problem::Cut)? != 0;
    let whole_days = u64::from(f.u32().ok_or(Problem::Cut)?);
    let [hour, minute, second] = f.array().ok_or(Problem::Cut)?;
    let mut micros = whole_days
        .checked_mul(MICROS_PER_DAY.unsigned_abs())
        .and_then(|days| days.checked_add(clock(hour, minute, second).ok()?))
        .filter(|micros| *micros < u64::MAX / 2)
        .ok_or(Problem::TimeOutsideDay)?;
    if len == 12 {
        micros += u64::from(f.u32().ok_or(Problem::Cut)?);
    }
    Ok((negative, micros))
}

#[inline]
pub(crate) fn time(c: &mut Cursor<'_>) -> Result<i64, Problem> {
    match time_fields(c)? {
        (false, micros) if micros < MICROS_PER_DAY.unsigned_abs() => {
            i64::try_from(micros).map_err(|_| Problem::TimeOutsideDay)
        }
        _ => Err(Problem::TimeOutsideDay),
    }
}

/// `8-4-4-4-12` hexadecimal digits.
pub(crate) fn uuid(text: &[u8]) -> Result<[u8; 16], Problem> {
    if text.len() != 36 {
        return Err(Problem::NotUuid);
    }
    let mut out = [0; 16];
    let mut digits = 0;
    for (i, byte) in text.iter().enumerate() {
        if matches!(i, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return Err(Problem::NotUuid);
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return Err(Problem::NotUuid),
        };
        out[digits / 2] = out[digits / 2] << 4 | digit;
        digits += 1;
    }
    Ok(out)
}

/// The shortest digits that give the same number again: plain up to 15 places, as MySQL, else with
/// an exponent. `exponent` and `plain` are the two forms of the number.
pub(crate) fn write_float(out: &mut Vec<u8>, exponent: &str, plain: &str) {
    let power = exponent.rsplit_once('e').and_then(|(_, e)| e.parse::<i32>().ok()).unwrap_or(0);
    let text = if (-15..15).contains(&power) { plain } else { exponent };
    out.extend_from_slice(text.as_bytes());
}

/// Upper-case hexadecimal digits, as MySQL's `HEX()`.
pub(crate) fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rsqoop_connector::calendar::civil_from_days;

    #[test]
    fn days_at_the_ends() {
        assert_eq!(days(1970, 1, 1), Ok(0));
        assert_eq!(days(9999, 12, 31), Ok(2_932_896));
        assert_eq!(days(0, 1, 1), Ok(-719_528));
        assert_eq!(days(2000, 2, 29), Ok(11_016));
        assert_eq!(days(1900, 2, 29), Err(Problem::NoSuchDay));
        assert_eq!(days(2020, 0, 1), Err(Problem::ZeroDate));
        assert_eq!(days(2020, 1, 0), Err(Problem::ZeroDate));
        assert_eq!(days(2020, 13, 1), Err(Problem::NoSuchDay));
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = days(0, 1, 1).unwrap();
        for year in 0..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days(year, month, day), Ok(expected));
                    let fields = (i64::from(year), i64::from(month), i64::from(day));
                    assert_eq!(civil_from_days(expected.into()), fields);
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn decimals() {
        assert_eq!(decimal128(b"-123.45", 5, 2), Ok(-12_345));
        assert_eq!(decimal128(b"0000123.45", 5, 2), Ok(12_345));
        assert_eq!(decimal128(b".45", 5, 2), Ok(45));
        assert_eq!(decimal128(b"1234.56", 5, 2), Err(Problem::Digits));
        assert_eq!(decimal128(b"1.5", 5, 2), Err(Problem::Digits));
        assert_eq!(decimal128(b"1x.50", 5, 2), Err(Problem::Digits));
        assert_eq!(decimal128(b"", 5, 0), Err(Problem::Digits));
        assert_eq!(decimal128(&[b'9'; 38], 38, 0), Ok(10i128.pow(38) - 1));
        assert_eq!(decimal128(&[b'9'; 39], 38, 0), Err(Problem::Digits));
        assert_eq!(decimal256(&[b'9'; 65], 65, 0), Ok(i256::from_string(&"9".repeat(65)).unwrap()));
        assert_eq!(decimal256(&[b'9'; 66], 65, 0), Err(Problem::Digits));
    }

    #[test]
    fn floats_as_text_give_the_same_number() {
        for v in [0.1f64, -0.0, 1e15, 1e-16, f64::MAX, f64::MIN_POSITIVE, 5e-324, 123_456.789] {
            let mut out = Vec::new();
            write_float(&mut out, &format!("{v:e}"), &v.to_string());
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), v.to_bits(), "{text}");
            assert!(text.len() < 25, "{text}");
        }
    }

    #[test]
    fn a_time_of_many_days_is_refused() {
        let bytes = [8, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0];
        assert_eq!(time(&mut Cursor(&bytes)), Err(Problem::TimeOutsideDay));
    }

    #[test]
    fn uuids() {
        let want = [
            0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17,
            0x40, 0,
        ];
        assert_eq!(uuid(b"123e4567-e89B-12d3-a456-426614174000"), Ok(want));
        assert_eq!(uuid(b"123e4567xe89b-12d3-a456-426614174000"), Err(Problem::NotUuid));
        assert_eq!(uuid(b"123e4567-e89b-12d3-a456-42661417400g"), Err(Problem::NotUuid));
    }

    proptest! {
        #[test]
        fn any_decimal(unscaled in -(10i128.pow(38) - 1)..10i128.pow(38), scale in 0u8..=30) {
            let (sign, digits) = (if unscaled < 0 { "-" } else { "" }, unscaled.unsigned_abs());
            let digits = format!("{digits:0width$}", width = usize::from(scale) + 1);
            let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
            let point = if scale > 0 { "." } else { "" };
            let text = format!("{sign}{whole}{point}{fraction}");
            prop_assert_eq!(decimal128(text.as_bytes(), 38, scale), Ok(unscaled));
            prop_assert_eq!(decimal256(text.as_bytes(), 65, scale), Ok(i256::from_i128(unscaled)));
        }

        #[test]
        fn nothing_a_server_sends_panics(bytes: Vec<u8>, p in 1u8..=65, s in 0u8..=30) {
            let _ = decimal128(&bytes, p, s);
            let _ = decimal256(&bytes, p, s);
            let _ = bits(&bytes);
            let _ = uuid(&bytes);
            let _ = date_time(&mut Cursor(&bytes));
            let _ = time(&mut Cursor(&bytes));
        }
    }
}
