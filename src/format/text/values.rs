//! The text of numbers, dates, times, decimals and bytes as Sqoop 1.4.7 writes it: plain functions
//! that append to a buffer.
//!
//! Nothing here escapes, encloses, allocates or fails. Where Java's own form would lose something
//! (years before 1 or after 9999, fractions of a time) the form is the lossless one of ISO 8601.

use arrow_buffer::i256;
use rsqoop_connector::calendar::civil_from_days;

const SECONDS_PER_DAY: i64 = 86_400;

/// `00` to `99`, one after the other.
const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

const HEX: &[u8; 16] = b"0123456789abcdef";

pub(super) fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

pub(super) fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// `BigDecimal.toPlainString`: all digits of the scale are kept, and there is no exponent.
pub(super) fn decimal128(out: &mut Vec<u8>, unscaled: i128, scale: i8) {
    let magnitude = unscaled.unsigned_abs();
    let mut digits = itoa::Buffer::new();
    let digits = match u64::try_from(magnitude) {
        Ok(small) => digits.format(small),
        Err(_) => digits.format(magnitude),
    };
    decimal_digits(out, unscaled < 0, digits.as_bytes(), scale);
}

/// As [`decimal128`]; the digits of wide values are made in two halves of at most 38.
pub(super) fn decimal256(out: &mut Vec<u8>, unscaled: i256, scale: i8) {
    if let Some(narrow) = unscaled.to_i128() {
        return decimal128(out, narrow, scale);
    }
    let half = i256::from_i128(10_i128.pow(38));
    let high = unscaled.wrapping_div(half).to_i128();
    let low = unscaled.wrapping_rem(half).to_i128();
    let (Some(high), Some(low)) = (high, low) else {
        // Beyond 76 digits, which no Decimal256 column promises; exact all the same.
        let text = unscaled.to_string();
        let digits = text.trim_start_matches('-');
        return decimal_digits(out, unscaled.is_negative(), digits.as_bytes(), scale);
    };
    let mut digits = [b'0'; 78];
    let (mut high_text, mut low_text) = (itoa::Buffer::new(), itoa::Buffer::new());
    let high_text = high_text.format(high.unsigned_abs()).as_bytes();
    let low_text = low_text.format(low.unsigned_abs()).as_bytes();
    let end = high_text.len() + 38;
    digits[..high_text.len()].copy_from_slice(high_text);
    digits[end - low_text.len()..end].copy_from_slice(low_text);
    decimal_digits(out, unscaled.is_negative(), &digits[..end], scale);
}

fn decimal_digits(out: &mut Vec<u8>, negative: bool, digits: &[u8], scale: i8) {
    if negative {
        out.push(b'-');
    }
    let places = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        out.extend_from_slice(digits);
        if digits != b"0" {
            zeros(out, places);
        }
    } else if digits.len() > places {
        let (whole, fraction) = digits.split_at(digits.len() - places);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(b"0.");
        zeros(out, places - digits.len());
        out.extend_from_slice(digits);
    }
}

fn zeros(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, b'0');
}

/// `YYYY-MM-DD` of the proleptic Gregorian calendar. Years have at least four digits; year 0 is
/// 1 BC and earlier ones are negative, as in ISO 8601 (`java.sql.Date` would drop the era).
pub(super) fn date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil_from_days(days);
    if year < 0 {
        out.push(b'-');
    }
    let year = year.unsigned_abs();
    if year < 1000 {
        zeros(
            out,
            if year < 10 {
                3
            } else if year < 100 {
                2
            } else {
                1
            },
        );
    }
    integer(out, year);
    out.push(b'-');
    two_digits(out, month);
    out.push(b'-');
    two_digits(out, day);
}

fn two_digits(out: &mut Vec<u8>, value: i64) {
    let at = 2 * usize::try_from(value).expect("calendar and clock fields are never negative");
    out.extend_from_slice(&PAIRS[at..at + 2]);
}

/// `HH:MM:SS`, with the fraction when there is one and `keep_fraction` is set.
pub(super) fn time(out: &mut Vec<u8>, ticks: i64, per_second: i64, keep_fraction: bool) {
    let (seconds, fraction) = (ticks.div_euclid(per_second), ticks.rem_euclid(per_second));
    clock(out, seconds);
    if keep_fraction && fraction != 0 {
        fraction_digits(out, fraction, per_second);
    }
}

/// `Timestamp.toString`: one to nine digits of fraction, trailing zeros cut.
pub(super) fn timestamp(out: &mut Vec<u8>, ticks: i64, per_second: i64) {
    let (seconds, fraction) = (ticks.div_euclid(per_second), ticks.rem_euclid(per_second));
    date(out, seconds.div_euclid(SECONDS_PER_DAY));
    out.push(b' ');
    clock(out, seconds.rem_euclid(SECONDS_PER_DAY));
    fraction_digits(out, fraction, per_second);
}

/// The hour is not wrapped: PostgreSQL's `24:00:00` is a time of day.
fn clock(out: &mut Vec<u8>, seconds: i64) {
    let hour = seconds.div_euclid(3600);
    match hour {
        0..=99 => two_digits(out, hour),
        _ => integer(out, hour),
    }
    let rest = seconds.rem_euclid(3600);
    out.push(b':');
    two_digits(out, rest / 60);
    out.push(b':');
    two_digits(out, rest % 60);
}

fn fraction_digits(out: &mut Vec<u8>, mut fraction: i64, per_second: i64) {
    out.push(b'.');
    let mut place = per_second / 10;
    while fraction != 0 && place != 0 {
        one_digit(out, fraction / place);
        fraction %= place;
        place /= 10;
    }
    if out.last() == Some(&b'.') {
        out.push(b'0');
    }
}

/// A value below 10.
fn one_digit(out: &mut Vec<u8>, digit: i64) {
    let at = usize::try_from(digit).expect("a digit of a remainder is never negative");
    out.push(PAIRS[2 * at + 1]);
}

/// Lower-case pairs with blanks between, as Sqoop's `BytesWritable` text.
pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        hex_pair(out, *byte);
    }
}

fn hex_pair(out: &mut Vec<u8>, byte: u8) {
    let pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    out.extend_from_slice(&pair);
}

/// The canonical form of RFC 9562: groups of 4, 2, 2, 2 and 6 bytes.
pub(super) fn uuid(out: &mut Vec<u8>, bytes: &[u8]) {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        hex_pair(out, *byte);
    }
}
