//! How names and values are spelled. Nothing here is ever parsed by this connector; messages and
//! printed plans show it.

use rsqoop_connector::{ColumnInfo, Dialect, KeyValue, row_literal};

use crate::text;

/// Standard SQL spelling.
#[derive(Debug)]
pub(crate) struct MemoryDialect;

impl Dialect for MemoryDialect {
    fn quote_ident(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn literal(&self, value: &KeyValue) -> String {
        match value {
            KeyValue::Integer(i) => i.to_string(),
            KeyValue::Decimal { unscaled, scale } => text::decimal(*unscaled, *scale),
            KeyValue::Date(days) => format!("DATE '{}'", text::date(*days)),
            KeyValue::Timestamp(us) => format!("TIMESTAMP '{}'", text::timestamp(*us)),
            KeyValue::TimestampTz(us) => format!("TIMESTAMP '{}+00'", text::timestamp(*us)),
            KeyValue::Text(s) => format!("'{}'", s.replace('\'', "''")),
            KeyValue::Bytes(bytes) => format!("X'{}'", text::hex(bytes)),
            KeyValue::Sql(sql) => sql.clone(),
            KeyValue::Row(parts) => row_literal(self, parts),
        }
    }

    fn read_expr(&self, _column: &ColumnInfo, expr: &str) -> String {
        expr.to_string()
    }

    fn text_expr(&self, _column: &ColumnInfo, expr: &str) -> String {
        expr.to_string()
    }
}
