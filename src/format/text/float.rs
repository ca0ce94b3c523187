//! Java's text of floating-point numbers: `Float.toString` and `Double.toString` as specified
//! since JDK 19 (the shortest digits that read back as the same value, JDK-4511638).
//!
//! Older JDKs printed a digit too many for some values; those texts read back as the same value.

use std::io::Write;
use std::ops::Range;

/// Java writes magnitudes in this range without an exponent.
const PLAIN_64: Range<f64> = 1e-3..1e7;
const PLAIN_32: Range<f32> = 1e-3..1e7;

pub(super) fn float64(out: &mut Vec<u8>, value: f64) {
    if special(out, value.is_nan(), value.is_infinite(), value == 0.0, value.is_sign_negative()) {
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(value);
    if PLAIN_64.contains(&value.abs()) && !shortest.contains('e') {
        return out.extend_from_slice(shortest.as_bytes());
    }
    let mut parts = Parts::of(shortest);
    let mut two = [0; 32];
    if parts.count == 1 && value.abs() < f64::MIN_POSITIVE {
        parts = Parts::of(two_digits(&mut two, format_args!("{value:.1e}")));
    }
    parts.write(out);
}

pub(super) fn float32(out: &mut Vec<u8>, value: f32) {
    if special(out, value.is_nan(), value.is_infinite(), value == 0.0, value.is_sign_negative()) {
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(value);
    if PLAIN_32.contains(&value.abs()) && !shortest.contains('e') {
        return out.extend_from_slice(shortest.as_bytes());
    }
    let mut parts = Parts::of(shortest);
    let mut two = [0; 32];
    if parts.count == 1 && value.abs() < f32::MIN_POSITIVE {
        parts = Parts::of(two_digits(&mut two, format_args!("{value:.1e}")));
    }
    parts.write(out);
}

/// Writes what has no digits to find; false for everything else.
fn special(out: &mut Vec<u8>, nan: bool, infinite: bool, zero: bool, negative: bool) -> bool {
    let text: &[u8] = match (nan, infinite, zero) {
        (true, _, _) => return push(out, b"NaN"),
        (_, true, _) => b"Infinity",
        (_, _, true) => b"0.0",
        _ => return false,
    };
    if negative {
        out.push(b'-');
    }
    push(out, text)
}

fn push(out: &mut Vec<u8>, text: &[u8]) -> bool {
    out.extend_from_slice(text);
    true
}

/// Java has always written at least two digits, so where one would do it takes the nearest of
/// those with two: `4.9E-324`, not `5.0E-324`. Only subnormal values have such a choice.
fn two_digits<'a>(space: &'a mut [u8; 32], text: std::fmt::Arguments<'_>) -> &'a str {
    let mut rest: &mut [u8] = space;
    let free = match rest.write_fmt(text) {
        Ok(()) => rest.len(),
        Err(_) => 32,
    };
    std::str::from_utf8(&space[..32 - free]).expect("numbers are formatted in ASCII")
}

/// Significant digits and the power of ten of the first one.
struct Parts {
    negative: bool,
    digits: [u8; 24],
    count: usize,
    exponent: i32,
}

impl Parts {
    /// Takes apart any of `12.5`, `0.00125`, `1.25e+30`, `1e-7`.
    fn of(text: &str) -> Self {
        let mut parts = Parts { negative: false, digits: [b'0'; 24], count: 0, exponent: -1 };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mut after_point = false;
        for byte in mantissa.bytes() {
            match byte {
                b'-' => parts.negative = true,
                b'.' => after_point = true,
                // Leading zeros only move the point.
                b'0' if parts.count == 0 => parts.exponent -= i32::from(after_point),
                _ => {
                    parts.digits[parts.count] = byte;
                    parts.count += 1;
                    parts.exponent += i32::from(!after_point);
                }
            }
        }
        while parts.count > 1 && parts.digits[parts.count - 1] == b'0' {
            parts.count -= 1;
        }
        parts.exponent += exponent.parse::<i32>().expect("an exponent is a small integer");
        parts
    }

    /// Java's "computerized scientific notation": one digit, a point, at least one digit, `E`.
    fn write(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        out.extend_from_slice(&[self.digits[0], b'.']);
        // The array is filled with zeros, so a lone digit gets its `.0`.
        out.extend_from_slice(&self.digits[1..self.count.max(2)]);
        out.push(b'E');
        out.extend_from_slice(itoa::Buffer::new().format(self.exponent).as_bytes());
    }
}
