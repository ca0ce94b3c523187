//! Names, literals and expressions in MySQL's SQL, under the `sql_mode` that the session sets:
//! backslash escapes are on, double quotes are strings, the time zone is UTC.

use std::fmt::Write;

use rsqoop_connector::calendar::civil_from_days;
use rsqoop_connector::{ColumnInfo, Dialect, KeyValue, SplitKey, row_literal};

use crate::types::Class;
use crate::value::{MICROS_PER_DAY, write_hex};

/// The dialect of both servers.
#[derive(Debug)]
pub(crate) struct MySqlDialect;

/// A string literal in the connection's character set. It compares in the column's collation,
/// since a literal yields to a column (reference manual, "Collation Coercibility").
pub(crate) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// A name between backticks.
pub(crate) fn ident(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A byte string.
pub(crate) fn bytes(value: &[u8]) -> String {
    let mut hex = Vec::new();
    write_hex(&mut hex, value);
    format!("x'{}'", String::from_utf8_lossy(&hex))
}

fn date(days: i64) -> String {
    let (y, m, d) = civil_from_days(days);
    format!("{y:04}-{m:02}-{d:02}")
}

fn timestamp(micros: i64) -> String {
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    format!(
        "TIMESTAMP'{} {:02}:{:02}:{:02}.{fraction:06}'",
        date(micros.div_euclid(MICROS_PER_DAY)),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn decimal(unscaled: i128, scale: u8) -> String {
    let mut text = format!("{:0width$}", unscaled.unsigned_abs(), width = usize::from(scale) + 1);
    if scale > 0 {
        text.insert(text.len() - usize::from(scale), '.');
    }
    if unscaled < 0 { format!("-{text}") } else { text }
}

/// `(a > 1 OR (a = 1 AND b >= 2))` for `(a, b) >= (1, 2)`.
fn compare_rows(terms: &[(&str, String)], op: &str) -> String {
    match terms {
        [] => "(1 = 1)".to_string(),
        [(column, value)] => format!("{column} {op} {value}"),
        [(column, value), rest @ ..] => {
            let rest = compare_rows(rest, op);
            match op.trim_end_matches('=') {
                "" => format!("({column} = {value} AND {rest})"),
                strict => {
                    format!("({column} {strict} {value} OR ({column} = {value} AND {rest}))")
                }
            }
        }
    }
}

impl Dialect for MySqlDialect {
    fn quote_ident(&self, name: &str) -> String {
        ident(name)
    }

    fn literal(&self, value: &KeyValue) -> String {
        match value {
            KeyValue::Integer(n) => n.to_string(),
            KeyValue::Decimal { unscaled, scale } => decimal(*unscaled, *scale),
            KeyValue::Date(days) => format!("DATE'{}'", date((*days).into())),
            KeyValue::Timestamp(micros) | KeyValue::TimestampTz(micros) => timestamp(*micros),
            KeyValue::Text(text) => string(text),
            KeyValue::Bytes(value) => bytes(value),
            KeyValue::Sql(sql) => sql.clone(),
            KeyValue::Row(parts) => row_literal(self, parts),
        }
    }

    /// Neither server uses an index for a comparison of rows (reference manual, "Range Optimization of
    /// Row Constructor Expressions"), but both do for the same thing column by column.
    fn compare(&self, key: &SplitKey, op: &str, value: &KeyValue) -> String {
        match value {
            KeyValue::Row(parts) if parts.len() == key.row.len() => {
                let columns: Vec<String> = key.row.iter().map(|c| ident(&c.name)).collect();
                let terms: Vec<(&str, String)> = columns
                    .iter()
                    .zip(parts)
                    .map(|(column, part)| (column.as_str(), self.literal(part)))
                    .collect();
                compare_rows(&terms, op)
            }
            _ => format!("{} {op} {}", key.expr, self.literal(value)),
        }
    }

    fn read_expr(&self, column: &ColumnInfo, expr: &str) -> String {
        match Class::of(column) {
            // The reference system is part of the value; well-known text leaves it out.
            Class::Geometry => format!(
                "IF(ST_SRID({expr}) = 0, ST_AsText({expr}), \
                 CONCAT('SRID=', ST_SRID({expr}), ';', ST_AsText({expr})))"
            ),
            Class::Plain | Class::Inet => format!("CAST({expr} AS CHAR)"),
            _ => expr.to_string(),
        }
    }

    fn text_expr(&self, column: &ColumnInfo, expr: &str) -> String {
        match Class::of(column) {
            Class::Geometry => self.read_expr(column, expr),
            // Arrive as text, or become text when they are decoded: a function's result would be
            // NULL beyond `max_allowed_packet`, and the server's text of a float is rounded.
            Class::Float
            | Class::Decimal
            | Class::Text
            | Class::Enum
            | Class::Bytes
            | Class::Json => expr.to_string(),
            Class::Bit => format!("CAST({expr} + 0 AS CHAR)"),
            Class::Plain
            | Class::Integer
            | Class::Year
            | Class::Date
            | Class::DateTime
            | Class::Timestamp
            | Class::Time
            | Class::Uuid
            | Class::Inet => format!("CAST({expr} AS CHAR)"),
        }
    }
}

/// A time of day or longer, as a literal.
pub(crate) fn time(negative: bool, micros: u64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let mut text = String::from("TIME'");
    if negative {
        text.push('-');
    }
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    // Writing to a String cannot fail.
    let _ = write!(text, "{h:02}:{m:02}:{s:02}.{fraction:06}'");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals() {
        let d = MySqlDialect;
        for (value, want) in [
            (KeyValue::Integer(-5), "-5"),
            (KeyValue::Integer(u64::MAX.into()), "18446744073709551615"),
            (KeyValue::Decimal { unscaled: -5, scale: 2 }, "-0.05"),
            (KeyValue::Decimal { unscaled: 1234, scale: 0 }, "1234"),
            (KeyValue::Date(-719_528), "DATE'0000-01-01'"),
            (KeyValue::Timestamp(-1), "TIMESTAMP'1969-12-31 23:59:59.999999'"),
            (KeyValue::TimestampTz(0), "TIMESTAMP'1970-01-01 00:00:00.000000'"),
            (KeyValue::Text("O'R\\x\0ä😀".into()), "'O''R\\\\x\\0ä😀'"),
            (KeyValue::Bytes(vec![0, 255]), "x'00FF'"),
            (KeyValue::Bytes(vec![]), "x''"),
        ] {
            assert_eq!(d.literal(&value), want);
        }
        assert_eq!(time(true, 838 * 3_600_000_000), "TIME'-838:00:00.000000'");
    }

    #[test]
    fn rows_are_compared_column_by_column() {
        let terms = [("`a`", "1".to_string()), ("`b`", "2".to_string()), ("`c`", "3".to_string())];
        assert_eq!(
            compare_rows(&terms, ">="),
            "(`a` > 1 OR (`a` = 1 AND (`b` > 2 OR (`b` = 2 AND `c` >= 3))))"
        );
        assert_eq!(compare_rows(&terms[..2], "<"), "(`a` < 1 OR (`a` = 1 AND `b` < 2))");
        assert_eq!(compare_rows(&terms[..2], "="), "(`a` = 1 AND `b` = 2)");
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(MySqlDialect.quote_ident("a`b"), "`a``b`");
    }
}
