//! Dates and times as SQLite writes them: `YYYY-MM-DD`, `HH:MM[:SS[.fff]]`, both with a blank or `T`
//! between them (<https://sqlite.org/lang_datefunc.html>, section 2). Everything else is refused by
//! saying what is wrong with it. Also the way back, for literals.

use std::fmt::Write;

use rsqoop_connector::calendar::{civil_from_days, days_from_civil, days_in_month};

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Days since 1970-01-01 of `YYYY-MM-DD`.
pub(crate) fn parse_date(text: &[u8]) -> Result<i32, &'static str> {
    const FORM: &str = "is not a date of the form YYYY-MM-DD";
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return Err(FORM);
    }
    let field = |digits: &[u8]| number(digits).map(i64::from).ok_or(FORM);
    let (year, month, day) = (field(&text[..4])?, field(&text[5..7])?, field(&text[8..])?);
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return Err("is no day of the calendar");
    }
    // Four digits of a year make at most 2,932,896 days.
    i32::try_from(days_from_civil(year, month, day)).map_err(|_| FORM)
}

/// Microseconds since midnight of `HH:MM[:SS[.fff]]`.
pub(crate) fn parse_time(text: &[u8]) -> Result<i64, &'static str> {
    const FORM: &str = "is not a time of the form HH:MM[:SS[.ffffff]]";
    if matches!(text, [.., b'Z' | b'z']) || text.iter().skip(5).any(|b| matches!(b, b'+' | b'-')) {
        return Err("has a time zone, and its column's type has none");
    }
    if text.len() < 5 || text[2] != b':' {
        return Err(FORM);
    }
    let hour = number(&text[..2]).ok_or(FORM)?;
    let minute = number(&text[3..5]).ok_or(FORM)?;
    let (second, fraction) = match &text[5..] {
        [] => (0, 0),
        [b':', rest @ ..] if rest.len() >= 2 => {
            (number(&rest[..2]).ok_or(FORM)?, fraction(&rest[2..])?)
        }
        _ => return Err(FORM),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return Err("is no time of a day");
    }
    Ok(i64::from(hour * 3600 + minute * 60 + second) * 1_000_000 + fraction)
}

/// Microseconds since 1970-01-01 00:00:00 of a date and a time.
pub(crate) fn parse_timestamp(text: &[u8]) -> Result<i64, &'static str> {
    const FORM: &str = "is not a date and time of the form YYYY-MM-DD HH:MM[:SS[.ffffff]]";
    if text.len() < 16 || !matches!(text[10], b' ' | b'T') {
        return Err(FORM);
    }
    let days = parse_date(&text[..10])?;
    Ok(i64::from(days) * DAY_US + parse_time(&text[11..])?)
}

fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i32::from(b - b'0')))
}

/// Microseconds of `.fff`; digits beyond the sixth must be zero.
fn fraction(text: &[u8]) -> Result<i64, &'static str> {
    let digits = match text {
        [] => return Ok(0),
        [b'.', digits @ ..] if !digits.is_empty() => digits,
        _ => return Err("is not a time of the form HH:MM[:SS[.ffffff]]"),
    };
    let mut us = 0;
    for (i, b) in digits.iter().enumerate() {
        match b {
            b'0'..=b'9' if i < 6 => us = us * 10 + i64::from(b - b'0'),
            b'0' => {}
            b'1'..=b'9' => return Err("has more than six digits of a second"),
            _ => return Err("is not a time of the form HH:MM[:SS[.ffffff]]"),
        }
    }
    (digits.len()..6).for_each(|_| us *= 10);
    Ok(us)
}

/// `YYYY-MM-DD` of days since 1970-01-01.
pub(crate) fn date_text(days: i64) -> String {
    let (year, month, day) = civil_from_days(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `YYYY-MM-DD HH:MM:SS[.ffffff]` of microseconds since 1970-01-01 00:00:00.
pub(crate) fn timestamp_text(us: i64) -> String {
    let (seconds, fraction) = (us.rem_euclid(DAY_US) / 1_000_000, us.rem_euclid(1_000_000));
    let mut out = date_text(us.div_euclid(DAY_US));
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    // Writing to a String cannot fail.
    let _ = write!(out, " {h:02}:{m:02}:{s:02}");
    if fraction != 0 {
        let _ = write!(out, ".{fraction:06}");
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn literal_dates_and_times() {
        assert_eq!(parse_date(b"1970-01-01"), Ok(0));
        assert_eq!(parse_date(b"0000-01-01"), Ok(-719_528));
        assert_eq!(parse_date(b"9999-12-31"), Ok(2_932_896));
        assert_eq!(parse_date(b"2024-02-29"), Ok(19_782));
        assert_eq!(parse_time(b"23:59:59.999999"), Ok(DAY_US - 1));
        assert_eq!(parse_time(b"00:01"), Ok(60_000_000));
        assert_eq!(parse_time(b"00:00:01.5000000"), Ok(1_500_000));
        assert_eq!(parse_timestamp(b"1969-12-31T23:59:59.999999"), Ok(-1));
        assert_eq!(parse_timestamp(b"1970-01-01 00:00"), Ok(0));
        assert_eq!(timestamp_text(-1), "1969-12-31 23:59:59.999999");
        for bad in [
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "2024-1-1",
            "24-01-01",
            "2024-01-01 ",
            "-024-01-01",
            "2024/01/01",
            "",
            "2024-01-0x",
        ] {
            assert!(parse_date(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in [
            "24:00",
            "12:60",
            "12:00:60",
            "12",
            "12:00:",
            "12:00:00.",
            "12:00:00.0000001",
            "12:00Z",
            "12:00:00+01:00",
            "1:00",
            "12:00:0",
            "12:00:00,5",
            "12:00 ",
        ] {
            assert!(parse_time(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in ["2024-01-01", "2024-01-01 12", "2024-01-01x12:00", "2024-01-01 12:00:00Z"] {
            assert!(parse_timestamp(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_timestamp_comes_back(us in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
            prop_assert_eq!(parse_timestamp(timestamp_text(us).as_bytes()), Ok(us));
        }
    }
}
