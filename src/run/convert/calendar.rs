//! Dates and times: the proleptic Gregorian calendar in whole numbers.
//!
//! Text is read in ISO 8601's form as PostgreSQL, MySQL and SQLite print it. A zone is refused,
//! because the types here have none, and so is 24:00:00, which is no time of any day.

use rsqoop_connector::calendar::{civil_from_days, days_from_civil, days_in_month};

use super::Why;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The first microsecond of a day, where 64 bits hold it.
pub(super) fn midnight(days: i32) -> Option<i64> {
    i64::from(days).checked_mul(MICROS_PER_DAY)
}

/// The day of a timestamp that is the first microsecond of it.
pub(super) fn day(micros: i64) -> Result<i32, Why> {
    if micros % MICROS_PER_DAY != 0 {
        return Err(Why::NotMidnight);
    }
    i32::try_from(micros / MICROS_PER_DAY).map_err(|_| Why::Range)
}

/// Days since 1970-01-01 of `YYYY-MM-DD`; years beyond 9999 have more digits.
pub(super) fn parse_date(text: &str) -> Result<i32, Why> {
    let mut parts = text.splitn(3, '-');
    let mut next = || parts.next().ok_or(Why::Form);
    let (year, month, day) = (next()?, next()?, next()?);
    if year.len() > 4 && year.starts_with('0') {
        return Err(Why::Form);
    }
    // Seven digits reach past every date that 32 bits of days hold.
    let year = number(year, 4..=7)?;
    let (month, day) = (number(month, 2..=2)?, number(day, 2..=2)?);
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return Err(Why::NoSuchDay);
    }
    i32::try_from(days_from_civil(year, month, day)).map_err(|_| Why::Range)
}

/// Microseconds since midnight of `HH:MM[:SS[.ffffff]]`.
pub(super) fn parse_time(text: &str) -> Result<i64, Why> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, micros(fraction)?),
        None => (text, 0),
    };
    let mut parts = clock.splitn(3, ':');
    let mut next = || parts.next().ok_or(Why::Form).and_then(|part| number(part, 2..=2));
    let (hour, minute) = (next()?, next()?);
    let second = match parts.next() {
        Some(part) => number(part, 2..=2)?,
        None if text.contains('.') => return Err(Why::Form),
        None => 0,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Why::NoSuchDay);
    }
    Ok(((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction)
}

/// Microseconds since 1970-01-01 of a date and a time with a blank or `T` between.
pub(super) fn parse_timestamp(text: &str) -> Result<i64, Why> {
    let (date, time) = text.split_once([' ', 'T']).ok_or(Why::Form)?;
    let (days, time) = (parse_date(date)?, parse_time(time)?);
    // Only the sum has to fit: the first day of the range has its midnight outside of it.
    let micros = i128::from(days) * i128::from(MICROS_PER_DAY) + i128::from(time);
    i64::try_from(micros).map_err(|_| Why::Range)
}

/// A fraction of a second; digits after the sixth must be zeros.
fn micros(digits: &str) -> Result<i64, Why> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Why::Form);
    }
    let (kept, rest) = digits.split_at(digits.len().min(6));
    if rest.bytes().any(|byte| byte != b'0') {
        return Err(Why::Inexact);
    }
    let missing = u32::try_from(6 - kept.len()).expect("at most six are kept");
    Ok(number(kept, 1..=6)? * 10i64.pow(missing))
}

fn number(digits: &str, lengths: std::ops::RangeInclusive<usize>) -> Result<i64, Why> {
    if !lengths.contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Why::Form);
    }
    digits.parse().map_err(|_| Why::Form)
}

/// A date as messages show it.
pub(super) fn date_text(days: i64) -> String {
    let (year, month, day) = civil_from_days(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A timestamp as messages show it.
pub(super) fn timestamp_text(micros: i64) -> String {
    let time = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (time / 1_000_000, time % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let date = date_text(micros.div_euclid(MICROS_PER_DAY));
    let clock = format!("{date} {hour:02}:{minute:02}:{second:02}");
    if fraction == 0 { clock } else { format!("{clock}.{fraction:06}") }
}
