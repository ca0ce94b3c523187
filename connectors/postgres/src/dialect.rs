//! How PostgreSQL spells names and values; pure.

use rsqoop_connector::calendar::civil_from_days;
use rsqoop_connector::{ColumnInfo, ColumnKind, Dialect, KeyValue, row_literal};

use crate::types;

/// The dialect of every PostgreSQL session.
#[derive(Debug, Clone, Copy)]
pub struct PostgresDialect;

impl Dialect for PostgresDialect {
    fn quote_ident(&self, name: &str) -> String {
        quote_ident(name)
    }

    fn literal(&self, value: &KeyValue) -> String {
        match value {
            KeyValue::Integer(value) => integer(*value),
            KeyValue::Decimal { unscaled, scale } => {
                format!("'{}'::numeric", decimal(*unscaled, usize::from(*scale)))
            }
            KeyValue::Date(days) => {
                let (date, era) = date(i64::from(*days));
                format!("'{date}{era}'::date")
            }
            KeyValue::Timestamp(micros) => timestamp(*micros, "", "timestamp"),
            KeyValue::TimestampTz(micros) => timestamp(*micros, "+00", "timestamptz"),
            KeyValue::Text(text) => quote_text(text),
            KeyValue::Bytes(bytes) => {
                let mut out = String::with_capacity(bytes.len() * 2 + 14);
                // Spelled as an escape string, which no setting of the server changes.
                out.push_str("E'\\\\x");
                for byte in bytes {
                    out.push_str(&format!("{byte:02x}"));
                }
                out.push_str("'::bytea");
                out
            }
            KeyValue::Sql(sql) => sql.clone(),
            KeyValue::Row(parts) => row_literal(self, parts),
        }
    }

    fn read_expr(&self, column: &ColumnInfo, expr: &str) -> String {
        match types::read_cast(column.native_code) {
            "::text" => own_text(column, expr),
            cast => format!("{expr}{cast}"),
        }
    }

    fn text_expr(&self, column: &ColumnInfo, expr: &str) -> String {
        // These are text on the wire; the cast would strip the padding of char(n).
        let text = matches!(column.kind, ColumnKind::Text | ColumnKind::Json);
        if text && types::read_cast(column.native_code).is_empty() {
            expr.to_string()
        } else {
            own_text(column, expr)
        }
    }
}

/// The server's own text of a value. The cast of an `inet` always adds the mask, which its own
/// output leaves out for a single host.
fn own_text(column: &ColumnInfo, expr: &str) -> String {
    if types::oid_of(column.native_code) == types::oid::INET {
        format!("pg_catalog.inet_out({expr})::text")
    } else {
        format!("{expr}::text")
    }
}

/// A name, quoted whatever it holds.
pub(crate) fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant without a type, so that it takes that of the column it meets. Backslashes only
/// occur in the `E` form, which means the same under both settings of
/// `standard_conforming_strings`.
pub(crate) fn quote_text(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

fn integer(value: i128) -> String {
    match i64::try_from(value) {
        // The minus is an operator, and the number alone would be one too large for bigint.
        Ok(i64::MIN) => format!("'{value}'::bigint"),
        Ok(value) if value < 0 => format!("({value})"),
        Ok(value) => value.to_string(),
        Err(_) => format!("'{value}'::numeric"),
    }
}

fn decimal(unscaled: i128, scale: usize) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A day of the proleptic Gregorian calendar as `YYYY-MM-DD`, and ` BC` where it needs it.
fn date(days: i64) -> (String, &'static str) {
    let (year, month, day) = civil_from_days(days);
    // There is no year 0: 1 BC is the year before 1.
    if year > 0 {
        (format!("{year:04}-{month:02}-{day:02}"), "")
    } else {
        (format!("{:04}-{month:02}-{day:02}", 1 - year), " BC")
    }
}

fn timestamp(micros: i64, zone: &str, type_name: &str) -> String {
    const DAY: i64 = 86_400_000_000;
    let (date, era) = date(micros.div_euclid(DAY));
    let of_day = micros.rem_euclid(DAY);
    let (second, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("'{date} {hour:02}:{minute:02}:{second:02}.{fraction:06}{zone}{era}'::{type_name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(value: KeyValue) -> String {
        PostgresDialect.literal(&value)
    }

    #[test]
    fn literals_are_exact_and_typed() {
        for (value, want) in [
            (KeyValue::Integer(7), "7"),
            (KeyValue::Integer(-7), "(-7)"),
            (KeyValue::Integer(i128::from(i64::MAX)), "9223372036854775807"),
            (KeyValue::Integer(i128::from(i64::MIN)), "'-9223372036854775808'::bigint"),
            (KeyValue::Integer(1 << 64), "'18446744073709551616'::numeric"),
            (KeyValue::Decimal { unscaled: -5, scale: 2 }, "'-0.05'::numeric"),
            (KeyValue::Decimal { unscaled: 12_345, scale: 0 }, "'12345'::numeric"),
            (KeyValue::Date(0), "'1970-01-01'::date"),
            (KeyValue::Date(-719_163), "'0001-12-31 BC'::date"),
            (KeyValue::Date(-2_440_588), "'4714-11-24 BC'::date"),
            (KeyValue::Date(2_932_897), "'10000-01-01'::date"),
            (KeyValue::Timestamp(-1), "'1969-12-31 23:59:59.999999'::timestamp"),
            (
                KeyValue::TimestampTz(951_782_400_000_001),
                "'2000-02-29 00:00:00.000001+00'::timestamptz",
            ),
            (
                KeyValue::TimestampTz(-62_135_683_200_000_000),
                "'0001-12-31 00:00:00.000000+00 BC'::timestamptz",
            ),
            (KeyValue::Text("it's".into()), "'it''s'"),
            (KeyValue::Text("a\\' b".into()), "E'a\\\\'' b'"),
            (KeyValue::Bytes(vec![0, 255]), "E'\\\\x00ff'::bytea"),
        ] {
            assert_eq!(literal(value), want);
        }
    }

    #[test]
    fn names_are_data() {
        assert_eq!(quote_ident("a\"; drop table t; --"), "\"a\"\"; drop table t; --\"");
    }
}
