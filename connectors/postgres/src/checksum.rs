//! Content checksums by PostgreSQL's own SQL. Which text stands for a value is decided by the
//! contract (`rsqoop_connector::Checksums`); here it is spelled.

use arrow_schema::{DataType, Field};
use rsqoop_connector::{
    Checksums, ColumnKind, ColumnSql, Dialect, Error, ErrorKind, ReadColumn, ReadQuery, Result,
    checksums_by_sql,
};
use sqlx::Row;

use crate::dialect::PostgresDialect;
use crate::link::Link;
use crate::types;

/// The first version with `sha256()`.
const SHA256_SINCE: u32 = 11;

/// Computes the checksums of `query`'s rows.
pub(crate) fn checksum(link: &mut Link, query: &ReadQuery) -> Result<Checksums> {
    let old = link.major() < SHA256_SINCE;
    let column = |column: &ReadColumn, name: &str| match old {
        true => Err(format!("PostgreSQL before version {SHA256_SINCE} has no sha256()")),
        false => aggregates(column, name),
    };
    link.read_only(|link| {
        // The readers keep the server's cores busy; more workers would only take theirs away.
        link.simple("SET LOCAL max_parallel_workers_per_gather = 0")?;
        // What the server refuses must not end the transaction of the snapshot.
        let made = link.attempt(|link| {
            checksums_by_sql(query, &PostgresDialect, "count(*)::text", column, |sql| {
                let rows = link.rows(sql)?;
                let row = rows.first().ok_or_else(|| {
                    Error::new(ErrorKind::Source, "the server answers a checksum with no row")
                })?;
                (0..row.len()).map(|i| row.try_get(i).map_err(crate::error::statement)).collect()
            })
        });
        made?
    })
}

fn aggregates(column: &ReadColumn, name: &str) -> Result<ColumnSql, String> {
    let bytes = canonical(column, name)?;
    Ok(ColumnSql {
        values: format!("count({name})::text"),
        texts: None,
        // A sum of bigint is a numeric and does not overflow.
        sum: format!(
            "sum(('x' || pg_catalog.encode(pg_catalog.substr(pg_catalog.sha256({bytes}), 1, 8), 'hex'))\
             ::bit(64)::bigint)::text"
        ),
    })
}

/// A value's canonical text as bytes.
fn canonical(column: &ReadColumn, name: &str) -> Result<String, String> {
    let info = &column.info;
    if info.kind == ColumnKind::Float {
        return Ok(float(name));
    }
    if column.as_text {
        return Ok(utf8(&own_text(column, name)));
    }
    Ok(match &info.data_type {
        DataType::Binary => name.to_string(),
        DataType::List(item) => utf8(&list(item, name)?),
        DataType::Utf8 => utf8(&own_text(column, name)),
        other => utf8(&text(other, name)?),
    })
}

/// In the client's encoding, which every session sets to UTF-8; the server's own may be another.
fn utf8(text: &str) -> String {
    format!("pg_catalog.textsend({text})")
}

/// The text that a read delivers.
fn own_text(column: &ReadColumn, name: &str) -> String {
    let info = &column.info;
    let expr = match column.as_text {
        true => PostgresDialect.text_expr(info, name),
        false => PostgresDialect.read_expr(info, name),
    };
    if expr != name {
        return expr;
    }
    match types::oid_of(info.native_code) {
        // The cast to text would strip the padding.
        types::oid::BPCHAR => format!("pg_catalog.bpcharout({name})::text"),
        _ => format!("{name}::text"),
    }
}

/// The bits of a double; a NaN can have many.
fn float(value: &str) -> String {
    format!("pg_catalog.float8send(CASE WHEN {value} = 'NaN' THEN 'NaN' ELSE {value}::float8 END)")
}

/// A value of a fixed type as text.
fn text(data_type: &DataType, value: &str) -> Result<String, String> {
    Ok(match data_type {
        DataType::Boolean => format!("{value}::int::text"),
        DataType::Timestamp(_, Some(_)) => format!("({value} AT TIME ZONE 'UTC')::text"),
        integer if integer.is_integer() => format!("{value}::text"),
        DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::Date32
        | DataType::Time64(_)
        | DataType::Timestamp(_, None)
        | DataType::FixedSizeBinary(16) => format!("{value}::text"),
        other => return Err(format!("values of Arrow type {other} have no canonical text")),
    })
}

/// An array's elements, each with its length before it.
fn list(item: &Field, name: &str) -> Result<String, String> {
    let element = match item.data_type() {
        DataType::Float32 | DataType::Float64 => {
            format!("pg_catalog.encode({}, 'hex')", float("u.e"))
        }
        DataType::Binary => "pg_catalog.encode(u.e, 'hex')".to_string(),
        // By the type's output function, which keeps the padding of char(n).
        DataType::Utf8 => {
            "CASE WHEN u.e IS NOT NULL THEN pg_catalog.format('%s', u.e) END".to_string()
        }
        other => text(other, "u.e")?,
    };
    Ok(format!(
        "CASE WHEN {name} IS NOT NULL THEN coalesce((SELECT string_agg(coalesce(\
         pg_catalog.length(s.v) || ':' || s.v, '-'), ',' ORDER BY s.o) FROM (SELECT {element} AS v, u.o \
         FROM unnest({name}) WITH ORDINALITY AS u (e, o)) AS s), '') END"
    ))
}
