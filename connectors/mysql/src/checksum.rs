//! Content checksums by the server's own SQL. Which text stands for a value is decided by the
//! contract (`rsqoop_connector::Checksums`); here it is spelled for MySQL and MariaDB alike.
//!
//! No text of a float has all its digits on both servers, so its bits are taken out of the
//! well-known binary form of a point.

use rsqoop_connector::{
    Checksums, ColumnSql, Dialect, Error, ErrorKind, ReadColumn, ReadQuery, Result,
    checksums_by_sql,
};

use crate::dialect::MySqlDialect;
use crate::error::{self, Phase};
use crate::types::{Class, TypeOptions};
use crate::wire::Conn;

/// Computes the checksums of `query`'s rows.
pub(crate) fn checksum(
    conn: &mut Conn,
    options: TypeOptions,
    query: &ReadQuery,
) -> Result<Checksums> {
    let column = |column: &ReadColumn, name: &str| Ok(aggregates(column, name, options));
    checksums_by_sql(query, &MySqlDialect, "count(*)", column, |sql| {
        let rows = conn.rows(sql).map_err(|fault| error::statement(fault, Phase::Run))?;
        rows.into_iter().next().ok_or_else(|| {
            Error::new(ErrorKind::Source, "the server answers a checksum with no row")
        })
    })
}

/// A value's canonical text.
struct Canonical {
    /// What is read.
    value: String,
    text: String,
    /// The text is made by a function that answers NULL beyond `max_allowed_packet`.
    limited: bool,
}

fn aggregates(column: &ReadColumn, name: &str, options: TypeOptions) -> ColumnSql {
    let Canonical { value, text, limited } = canonical(column, name, options);
    ColumnSql {
        values: format!("count({value})"),
        texts: limited.then(|| format!("count({text})")),
        // A sum of integers is a decimal of 41 digits or more and does not overflow.
        sum: format!("sum(CAST(CONV(LEFT(SHA2({text}, 256), 16), 16, 10) AS UNSIGNED))"),
    }
}

fn canonical(column: &ReadColumn, name: &str, options: TypeOptions) -> Canonical {
    let class = Class::of(&column.info);
    let short = |text: String| Canonical { value: name.to_string(), text, limited: false };
    if class == Class::Float {
        return short(format!("REVERSE(SUBSTR(ST_AsBinary(POINT({name}, 0)), 6, 8))"));
    }
    let utf8 = |value: String| {
        let text = format!("CONVERT({value} USING utf8mb4)");
        Canonical { value, text, limited: true }
    };
    if column.as_text {
        return match class {
            // Bytes become these digits when they are decoded.
            Class::Bytes => {
                Canonical { value: name.to_string(), text: format!("HEX({name})"), limited: true }
            }
            _ => utf8(MySqlDialect.text_expr(&column.info, name)),
        };
    }
    match class {
        // The addition drops the zeros of ZEROFILL, and makes a number of a bit field.
        Class::Integer | Class::Year | Class::Bit | Class::Decimal => {
            short(format!("CAST({name} + 0 AS CHAR)"))
        }
        Class::Date => {
            let value = dated(name, options);
            let text = era(&value, &format!("CAST({value} AS CHAR)"));
            Canonical { value, text, limited: false }
        }
        Class::DateTime | Class::Timestamp => {
            let value = dated(name, options);
            let text = trimmed(&format!("CAST(CAST({value} AS DATETIME(6)) AS CHAR)"));
            let text = if class == Class::DateTime { era(&value, &text) } else { text };
            Canonical { value, text, limited: false }
        }
        Class::Time => short(trimmed(&format!("CAST(CAST({name} AS TIME(6)) AS CHAR)"))),
        Class::Bytes => short(name.to_string()),
        Class::Uuid => short(format!("LOWER(CAST({name} AS CHAR))")),
        Class::Plain
        | Class::Float
        | Class::Text
        | Class::Enum
        | Class::Json
        | Class::Inet
        | Class::Geometry => utf8(MySqlDialect.read_expr(&column.info, name)),
    }
}

/// A date as it is read: NULL for zero dates, if the user wants that.
fn dated(name: &str, options: TypeOptions) -> String {
    match options.zero_null {
        true => format!("IF(MONTH({name}) = 0 OR DAYOFMONTH({name}) = 0, NULL, {name})"),
        false => name.to_string(),
    }
}

/// The year 0 is 1 BC.
fn era(value: &str, text: &str) -> String {
    format!("IF({value} < '0001-01-01', CONCAT('0001', SUBSTR({text}, 5), ' BC'), {text})")
}

/// Without the zeros at the end of six digits of a fraction, and without the point if nothing is left.
fn trimmed(text: &str) -> String {
    format!("TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {text}))")
}
