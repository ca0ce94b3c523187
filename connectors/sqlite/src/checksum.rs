//! Content checksums inside SQLite, which has no hash of its own: an aggregate function is registered
//! that is given the stored values. Which text stands for a value is decided by the contract
//! (`rsqoop_connector::Checksums`).
//!
//! The texts are made from what is stored and not by the decoders of a read, whose mistakes they are to
//! find; only what a real's decimal is, and its text, comes from the same place.

use arrow_schema::DataType;
use rsqoop_connector::{
    Checksums, ColumnKind, ColumnSql, Error, ErrorKind, ReadColumn, ReadQuery, Result,
    checksums_by_sql,
};
use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

use crate::dialect::SqliteDialect;
use crate::number::{self, Size};
use crate::{error, read};

/// Computes the checksums of `query`'s rows.
pub(crate) fn checksum(conn: &Connection, query: &ReadQuery) -> Result<Checksums> {
    let mut forms: Vec<(Form, String)> = Vec::new();
    for column in &query.columns {
        let Ok(form) = Form::of(column) else { continue };
        if forms.iter().all(|(other, _)| *other != form) {
            let function = format!("rsqoop_sum_{}", forms.len());
            conn.create_aggregate_function(
                function.as_str(),
                1,
                FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
                Sum(form),
            )
            .map_err(error::step)?;
            forms.push((form, function));
        }
    }
    let column = |column: &ReadColumn, name: &str| {
        let form = Form::of(column)?;
        let function = forms.iter().find(|(other, _)| *other == form).map(|(_, f)| f.as_str());
        let function = function.ok_or("there is no function for it")?;
        let values = format!("count({name})");
        Ok(ColumnSql { values, texts: None, sum: format!("{function}({name})") })
    };
    checksums_by_sql(query, &SqliteDialect, "count(*)", column, |sql| {
        let mut statement = read::prepare(conn, sql)?;
        let width = statement.column_count();
        let mut rows = statement.raw_query();
        let row = rows.next().map_err(error::step)?.ok_or_else(|| {
            Error::new(ErrorKind::Source, "SQLite answers a checksum with no row")
        })?;
        (0..width)
            .map(|i| Ok(row.get::<_, Option<i64>>(i).map_err(error::step)?.map(|n| n.to_string())))
            .collect()
    })
}

/// Which text stands for a stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    Real,
    RealAsText,
    Decimal(Size),
    Date,
    Time,
    Timestamp,
    Uuid,
    Bytes,
    Text,
}

impl Form {
    fn of(column: &ReadColumn) -> std::result::Result<Form, String> {
        if column.as_text {
            return Ok(match column.info.kind {
                ColumnKind::Float => Form::RealAsText,
                _ => Form::Text,
            });
        }
        Ok(match &column.info.data_type {
            DataType::Int64 | DataType::Boolean => Form::Number,
            DataType::Float64 => Form::Real,
            DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
                let scale = u8::try_from(*scale).map_err(|_| "its scale is negative")?;
                Form::Decimal(Size { precision: *precision, scale })
            }
            DataType::Date32 => Form::Date,
            DataType::Time64(_) => Form::Time,
            DataType::Timestamp(..) => Form::Timestamp,
            DataType::FixedSizeBinary(16) => Form::Uuid,
            DataType::Binary => Form::Bytes,
            DataType::Utf8 => Form::Text,
            other => return Err(format!("values of Arrow type {other} have no canonical text")),
        })
    }

    /// Appends a value's canonical text; false where there is none.
    fn write(self, value: ValueRef<'_>, out: &mut Vec<u8>) -> bool {
        match (self, value) {
            (Form::Decimal(size), value) => return decimal(size, value, out),
            (Form::Real, ValueRef::Integer(n)) => bits(n as f64, out),
            (Form::Real, ValueRef::Real(v)) => bits(v, out),
            (Form::RealAsText, ValueRef::Real(v)) => bits(v, out),
            (Form::Number | Form::Text | Form::RealAsText, ValueRef::Integer(n)) => {
                out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
            }
            (Form::Text, ValueRef::Real(v)) => {
                let mut text = String::new();
                number::write_real(v, &mut text);
                out.extend_from_slice(text.as_bytes());
            }
            (Form::Date, ValueRef::Text(t)) => dated(t, b"", out),
            (Form::Time, ValueRef::Text(t)) => clock(t, out),
            (Form::Timestamp, ValueRef::Text(t)) => match t.split_at_checked(10) {
                Some((date, time)) => {
                    let mut text = vec![b' '];
                    clock(time.get(1..).unwrap_or_default(), &mut text);
                    dated(date, &text, out);
                }
                None => return false,
            },
            (Form::Uuid, ValueRef::Text(t)) => out.extend_from_slice(&t.to_ascii_lowercase()),
            (
                Form::Text | Form::RealAsText | Form::Bytes,
                ValueRef::Text(bytes) | ValueRef::Blob(bytes),
            ) => out.extend_from_slice(bytes),
            _ => return false,
        }
        // A number in a text is what the reader of a file takes it for.
        if self == Form::RealAsText
            && !matches!(value, ValueRef::Real(_))
            && let Some(v) = std::str::from_utf8(out).ok().and_then(|t| t.parse::<f64>().ok())
        {
            out.clear();
            bits(v, out);
        }
        true
    }
}

fn bits(value: f64, out: &mut Vec<u8>) {
    let value = if value.is_nan() { f64::NAN } else { value };
    out.extend_from_slice(&value.to_be_bytes());
}

/// A date and what follows it; the year 0 is 1 BC.
fn dated(date: &[u8], rest: &[u8], out: &mut Vec<u8>) {
    let before = date.starts_with(b"0000");
    let date = if before { [b"0001", &date[4..]].concat() } else { date.to_vec() };
    out.extend_from_slice(&date);
    out.extend_from_slice(rest);
    if before {
        out.extend_from_slice(b" BC");
    }
}

/// `HH:MM[:SS[.f]]` with seconds and without zeros at the end of the fraction.
fn clock(time: &[u8], out: &mut Vec<u8>) {
    let (whole, fraction) = match time.iter().position(|b| *b == b'.') {
        Some(at) => time.split_at(at),
        None => (time, &b""[..]),
    };
    out.extend_from_slice(whole);
    if whole.len() == 5 {
        out.extend_from_slice(b":00");
    }
    let kept = fraction.iter().rposition(|b| !matches!(b, b'0' | b'.'));
    if let Some(last) = kept {
        out.extend_from_slice(&fraction[..=last]);
    }
}

/// Plain digits with all of the scale.
fn decimal(size: Size, value: ValueRef<'_>, out: &mut Vec<u8>) -> bool {
    let scale = usize::from(size.scale);
    // Digits of which the last `places` stand after the point.
    let (text, places) = match value {
        ValueRef::Integer(n) => (n.to_string(), 0),
        ValueRef::Real(v) => match size.real(v) {
            Ok(unscaled) => (unscaled, scale),
            Err(_) => return false,
        },
        ValueRef::Text(t) => {
            let Ok(t) = std::str::from_utf8(t) else { return false };
            let (whole, fraction) = t.split_once('.').unwrap_or((t, ""));
            (format!("{whole}{fraction}"), fraction.len())
        }
        ValueRef::Null | ValueRef::Blob(_) => return false,
    };
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let mut digits = digits.to_string();
    if places > scale {
        digits.truncate(digits.len() - (places - scale));
    } else {
        digits.extend(std::iter::repeat_n('0', scale - places));
    }
    let digits = digits.trim_start_matches('0');
    let digits = format!("{digits:0>width$}", width = scale + 1);
    if negative && digits.bytes().any(|b| b != b'0') {
        out.push(b'-');
    }
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole.as_bytes());
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
    true
}

/// The aggregate function: sums up the hashes of the texts.
struct Sum(Form);

/// The sum so far, and room for a text.
struct State {
    sum: u64,
    text: Vec<u8>,
}

impl Aggregate<State, i64> for Sum {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<State> {
        Ok(State { sum: 0, text: Vec::new() })
    }

    fn step(&self, context: &mut Context<'_>, state: &mut State) -> rusqlite::Result<()> {
        let value = context.get_raw(0);
        if value == ValueRef::Null {
            return Ok(());
        }
        state.text.clear();
        if !self.0.write(value, &mut state.text) {
            let problem = "a value has a class that its column's type does not take";
            return Err(rusqlite::Error::UserFunctionError(problem.into()));
        }
        let hash = Sha256::digest(&state.text);
        let first = hash.first_chunk::<8>().expect("SHA-256 has 32 bytes");
        state.sum = state.sum.wrapping_add(u64::from_be_bytes(*first));
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, state: Option<State>) -> rusqlite::Result<i64> {
        Ok(state.map_or(0, |state| state.sum).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(form: Form, value: ValueRef<'_>) -> Option<String> {
        let mut out = Vec::new();
        form.write(value, &mut out).then(|| String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn stored_values_have_the_text_of_their_column() {
        let size = Form::Decimal(Size { precision: 6, scale: 2 });
        let t = |text: &'static str| ValueRef::Text(text.as_bytes());
        for (form, value, want) in [
            (size, ValueRef::Integer(-7), "-7.00"),
            (size, ValueRef::Real(0.05), "0.05"),
            (size, ValueRef::Real(-12.5), "-12.50"),
            (size, t("-0.00"), "0.00"),
            (size, t("+.5"), "0.50"),
            (size, t("0012.3000"), "12.30"),
            (Form::Decimal(Size { precision: 3, scale: 0 }), t("12.0"), "12"),
            (Form::Date, t("2020-01-02"), "2020-01-02"),
            (Form::Date, t("0000-01-02"), "0001-01-02 BC"),
            (Form::Timestamp, t("2020-01-02T03:04"), "2020-01-02 03:04:00"),
            (Form::Timestamp, t("0000-01-02 03:04:05.500"), "0001-01-02 03:04:05.5 BC"),
            (Form::Time, t("03:04:05.000"), "03:04:05"),
            (Form::Time, t("03:04:10"), "03:04:10"),
            (Form::Text, ValueRef::Real(1e300), "1.0e+300"),
            (Form::RealAsText, t("abc"), "abc"),
        ] {
            assert_eq!(text(form, value).as_deref(), Some(want), "{form:?} {value:?}");
        }
        assert_eq!(text(size, ValueRef::Blob(b"1")), None);
        assert_eq!(text(Form::Real, ValueRef::Integer(1)), text(Form::RealAsText, t("1.0")));
    }
}
