//! Numbers as text: read strictly, compared by their digits, turned into integers.
//!
//! A number is its value, not its spelling: `007`, `7.0` and `7e0` are the same seven. Blanks,
//! group separators and anything after the number are refused.

use arrow_array::ArrowNativeTypeOp;

use super::Why;

/// `head` and `tail` written one after the other, × 10^`exponent`, without leading or trailing
/// zeros, so that equal values compare equal. Zero has no digits and keeps its sign.
#[derive(Debug, Clone, Copy)]
pub(super) struct Digits<'a> {
    negative: bool,
    head: &'a [u8],
    tail: &'a [u8],
    exponent: i64,
}

impl<'a> Digits<'a> {
    /// Reads `[+-]digits[.digits][e[+-]digits]`; either side of the point may be empty.
    pub(super) fn parse(text: &'a str) -> Result<Self, Why> {
        let (negative, unsigned) = sign(text);
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], parse_exponent(&unsigned[at + 1..])?),
            None => (unsigned, 0),
        };
        let (head, tail) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if head.len() + tail.len() == 0 || !all_digits(head) || !all_digits(tail) {
            return Err(Why::Form);
        }
        let (head, tail) = (head.as_bytes(), tail.as_bytes());
        let exponent = exponent - count(tail.len());
        Ok(Digits { negative, head, tail, exponent }.trimmed())
    }

    fn trimmed(mut self) -> Self {
        self.head = without_leading_zeros(self.head);
        if self.head.is_empty() {
            self.tail = without_leading_zeros(self.tail);
        }
        let before = self.len();
        self.tail = without_trailing_zeros(self.tail);
        if self.tail.is_empty() {
            self.head = without_trailing_zeros(self.head);
        }
        self.exponent += before - self.len();
        if self.len() == 0 {
            self.exponent = 0;
        }
        self
    }

    fn len(&self) -> i64 {
        count(self.head.len() + self.tail.len())
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.head.iter().chain(self.tail).copied()
    }

    /// The value × 10^`scale` as an integer of at most `precision` digits.
    pub(super) fn unscaled<N: ArrowNativeTypeOp + From<i8>>(
        &self,
        scale: i8,
        precision: u8,
    ) -> Result<N, Why> {
        if self.len() == 0 {
            return Ok(N::ZERO);
        }
        let zeros = self.exponent + i64::from(scale);
        if self.len() + zeros > i64::from(precision) {
            return Err(Why::Precision);
        }
        let zeros = u32::try_from(zeros).map_err(|_| Why::Scale)?;
        let ten = N::from(10);
        let too_long = |_| Why::Precision;
        let mut value = N::ZERO;
        for digit in self.digits() {
            let digit = i8::try_from(digit - b'0').expect("checked to be a digit");
            value = value.mul_checked(ten).map_err(too_long)?;
            value = value.add_checked(N::from(digit)).map_err(too_long)?;
        }
        if zeros > 0 {
            let power = ten.pow_checked(zeros).map_err(too_long)?;
            value = value.mul_checked(power).map_err(too_long)?;
        }
        Ok(if self.negative { value.neg_wrapping() } else { value })
    }

    /// The value as an integer.
    pub(super) fn integer(&self) -> Result<i128, Why> {
        // The longest integer type, 64 bits, has 20 digits; 38 always fit into 128 bits.
        self.unscaled(0, 38).map_err(Why::for_integer)
    }
}

impl PartialEq for Digits<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.negative, self.exponent) == (other.negative, other.exponent)
            && self.digits().eq(other.digits())
    }
}

/// Whether there is a minus sign, and what follows the sign.
pub(super) fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn parse_exponent(text: &str) -> Result<i64, Why> {
    /// Beyond any type's range, and far from where adding a text's length could overflow.
    const FAR: i64 = i64::MAX / 4;
    let (negative, digits) = sign(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Why::Form);
    }
    let size = digits.parse::<i64>().unwrap_or(FAR).min(FAR);
    Ok(if negative { -size } else { size })
}

/// Truth values as PostgreSQL reads them (its manual, "Boolean Type"), in any case.
pub(super) fn boolean(text: &str) -> Result<bool, Why> {
    const TRUE: [&str; 6] = ["true", "t", "1", "yes", "y", "on"];
    const FALSE: [&str; 6] = ["false", "f", "0", "no", "n", "off"];
    let is = |words: [&str; 6]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(TRUE) {
        Ok(true)
    } else if is(FALSE) {
        Ok(false)
    } else {
        Err(Why::Form)
    }
}

fn without_leading_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

fn without_trailing_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    &digits[..digits.len() - zeros]
}

fn count(length: usize) -> i64 {
    i64::try_from(length).expect("a text in memory is shorter than 2^63 bytes")
}
