//! Points between the values of a key of one column, by sorting them: all, or a sample.
//!
//! The server sorts, in the key's own type and collation; the client never compares two keys.

use rsqoop_connector::{
    Bounds, BoundsRequest, ColumnInfo, ColumnKind, Error, ErrorKind, KeyValue, Result,
};
use sqlx::Row;

use crate::dialect::{PostgresDialect, quote_text};
use crate::error;
use crate::link::Link;
use crate::sample::{Rows, SAMPLE_MIN, counted};
use crate::types::{self, oid};

/// Most points that are asked for at once.
pub(crate) const POINTS_MAX: usize = 10_000;

/// What sorting found.
#[derive(Debug)]
pub(crate) struct Sorted {
    /// Ascending, distinct, without the smallest key.
    pub(crate) points: Vec<KeyValue>,
    /// Keys that were sorted.
    pub(crate) rows: u64,
}

/// Points of a key that has no extent to calculate with.
pub(crate) fn bounds(
    link: &mut Link,
    request: &BoundsRequest,
    column: &ColumnInfo,
) -> Result<Bounds> {
    let rows = Rows::of(link, request)?;
    if rows.are_many()
        && let Some(sorted) = sampled(link, request, column, &rows)?
        && sorted.rows >= SAMPLE_MIN
    {
        return Ok(Bounds::Points(sorted.points));
    }
    let mut sorted = ask(link, request, column, &rows.thinned(request))
        .map_err(|e| unordered(e, request.key_sql(), column))?;
    if rows.are_many() && sorted.rows < SAMPLE_MIN {
        // Far fewer than estimated.
        sorted = ask(link, request, column, &request.from_sql(&PostgresDialect))?;
    }
    Ok(if sorted.rows == 0 { Bounds::Empty } else { Bounds::Points(sorted.points) })
}

/// Points of a sample of the table's pages; nothing where there is no such thing.
pub(crate) fn sampled(
    link: &mut Link,
    request: &BoundsRequest,
    column: &ColumnInfo,
    rows: &Rows,
) -> Result<Option<Sorted>> {
    match rows.of_pages(request) {
        Some(from) => link.optional(|link| ask(link, request, column, &from)),
        None => Ok(None),
    }
}

/// The server has no order for json, xml, points and the like.
pub(crate) fn unordered(error: Error, key: &str, column: &ColumnInfo) -> Error {
    let unknown = error.contexts().iter().any(|(k, v)| *k == "sqlstate" && v == "42883");
    if !unknown {
        return error;
    }
    Error::new(
        ErrorKind::Usage,
        format!("{} keys have no order, so {key} cannot split the rows", column.native_type),
    )
    .hint("choose another --split-by, or read with -m 1")
}

/// The points of the rows in `from`.
fn ask(
    link: &mut Link,
    request: &BoundsRequest,
    column: &ColumnInfo,
    from: &str,
) -> Result<Sorted> {
    let pieces = request.pieces.clamp(1, POINTS_MAX);
    let key = request.key_sql();
    // The smallest key comes first: a point equal to it would cut off nothing.
    let candidates = if matches!(column.kind, ColumnKind::List | ColumnKind::Other) {
        // There is no type for the aggregate's array of arrays, and unnest() takes composites apart.
        format!(
            "SELECT p, c FROM (SELECT p, pg_catalog.row_number() OVER (ORDER BY p) - 1 AS n, \
             pg_catalog.count(*) OVER () AS c FROM (SELECT {key} AS p FROM {from}) AS k \
             WHERE p IS NOT NULL) AS o WHERE n = 0 OR n * {pieces} / c > (n - 1) * {pieces} / c"
        )
    } else {
        let fractions: Vec<String> =
            (0..pieces).map(|i| format!("{:.9}", i as f64 / pieces as f64)).collect();
        format!(
            "SELECT p, c FROM (SELECT pg_catalog.percentile_disc(\
             ARRAY[{}]::pg_catalog.float8[]) WITHIN GROUP (ORDER BY {key}) AS a, \
             pg_catalog.count({key}) AS c FROM {from}) AS s, pg_catalog.unnest(a) AS u (p) \
             WHERE p IS NOT NULL",
            fractions.join(", ")
        )
    };
    let rows = link.rows(format!(
        "SELECT p::text, c FROM (SELECT DISTINCT p, c FROM ({candidates}) AS a) AS d ORDER BY d.p"
    ))?;
    let mut sorted = Sorted { points: Vec::with_capacity(rows.len()), rows: 0 };
    for row in rows.iter().skip(1) {
        sorted.points.push(typed(column, row.try_get(0).map_err(error::statement)?));
    }
    if let Some(row) = rows.first() {
        sorted.rows = counted(row.try_get(1).map_err(error::statement)?);
    }
    Ok(sorted)
}

/// A value the server named, as a number where it is one.
pub(crate) fn typed(column: &ColumnInfo, text: String) -> KeyValue {
    match text.parse() {
        Ok(number) if column.kind == ColumnKind::Integer => KeyValue::Integer(number),
        _ => point(column, text),
    }
}

/// A value the server named, as a literal of the key's type.
pub(crate) fn point(column: &ColumnInfo, text: String) -> KeyValue {
    // A string without a type takes the key's own, and its collation.
    if column.kind == ColumnKind::Text && types::oid_of(column.native_code) != oid::CHAR {
        return KeyValue::Text(text);
    }
    let type_name = match types::oid_of(column.native_code) {
        // The plain word char means another type.
        oid::CHAR => "\"char\"".to_string(),
        // Without the modifier, which could round or refuse the value.
        oid::NUMERIC => "numeric".to_string(),
        _ => column.native_type.clone(),
    };
    KeyValue::Sql(format!("{}::{type_name}", quote_text(&text)))
}
