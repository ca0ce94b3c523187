//! How SQLite spells names and values; pure.

use std::fmt::Write;

use rsqoop_connector::{ColumnInfo, Dialect, KeyValue, row_literal};

use crate::time;

/// SQLite's spelling.
#[derive(Debug)]
pub(crate) struct SqliteDialect;

impl Dialect for SqliteDialect {
    fn quote_ident(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn literal(&self, value: &KeyValue) -> String {
        match value {
            KeyValue::Integer(n) => match i64::try_from(*n) {
                Ok(n) => n.to_string(),
                // Beyond every integer SQLite can store; digits would become a rounded double.
                Err(_) if *n < 0 => "-9e999".to_string(),
                Err(_) => "9e999".to_string(),
            },
            KeyValue::Decimal { unscaled, scale } => decimal(*unscaled, *scale),
            KeyValue::Date(days) => format!("'{}'", time::date_text(i64::from(*days))),
            KeyValue::Timestamp(us) | KeyValue::TimestampTz(us) => {
                format!("'{}'", time::timestamp_text(*us))
            }
            KeyValue::Text(text) => text_literal(text.as_bytes()),
            KeyValue::Bytes(bytes) => blob_literal(bytes),
            KeyValue::Sql(sql) => sql.clone(),
            KeyValue::Row(parts) => row_literal(self, parts),
        }
    }

    fn read_expr(&self, _column: &ColumnInfo, expr: &str) -> String {
        expr.to_string()
    }

    /// The decoder makes the text: SQLite's own `CAST(x AS TEXT)` cuts a double to 15 digits.
    fn text_expr(&self, _column: &ColumnInfo, expr: &str) -> String {
        expr.to_string()
    }
}

/// A text of any bytes. SQL text ends at a NUL, so that such a value is spelled as a blob; the plus
/// keeps the cast's affinity from changing what it is compared with.
pub(crate) fn text_literal(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Ok(text) if !text.contains('\0') => format!("'{}'", text.replace('\'', "''")),
        _ => format!("+CAST({} AS TEXT)", blob_literal(text)),
    }
}

/// A byte string as SQL.
pub(crate) fn blob_literal(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2 + 3);
    out.push_str("x'");
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out.push('\'');
    out
}

fn decimal(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use rusqlite::types::Value;

    use super::*;

    #[test]
    fn literals_mean_exactly_their_value() {
        let conn = Connection::open_in_memory().unwrap();
        let read = |value: KeyValue| -> Value {
            let sql = format!("SELECT {}", SqliteDialect.literal(&value));
            conn.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        for n in [0, 1, -1, i64::MAX, i64::MIN, i64::MIN + 1] {
            assert_eq!(read(KeyValue::Integer(n.into())), Value::Integer(n));
        }
        assert_eq!(read(KeyValue::Integer(1 << 70)), Value::Real(f64::INFINITY));
        for text in ["", "'", "''; DROP TABLE t --", "a\0b", "\\", "ünï", "x'00'"] {
            assert_eq!(read(KeyValue::Text(text.into())), Value::Text(text.into()), "{text:?}");
        }
        assert_eq!(read(KeyValue::Bytes(vec![0, 39, 255])), Value::Blob(vec![0, 39, 255]));
        assert_eq!(read(KeyValue::Date(0)), Value::Text("1970-01-01".into()));
        assert_eq!(read(KeyValue::Timestamp(1)), Value::Text("1970-01-01 00:00:00.000001".into()));
        assert_eq!(read(KeyValue::Decimal { unscaled: -5, scale: 2 }), Value::Real(-0.05));
        assert_eq!(read(KeyValue::Decimal { unscaled: 7, scale: 0 }), Value::Integer(7));
    }

    #[test]
    fn a_text_with_nul_does_not_turn_numbers_into_text() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (v); INSERT INTO t VALUES (5), ('5'), ('6')").unwrap();
        let literal = SqliteDialect.literal(&KeyValue::Text("5\0".into()));
        let count: i64 = conn
            .query_row(&format!("SELECT count(*) FROM t WHERE v < {literal}"), [], |r| r.get(0))
            .unwrap();
        assert_eq!(count, 2, "the number 5 and the text '5' come before it");
        let count: i64 = conn
            .query_row(&format!("SELECT count(*) FROM t WHERE v >= {literal}"), [], |r| r.get(0))
            .unwrap();
        assert_eq!(count, 1, "only the text '6': a number never does");
    }
}
