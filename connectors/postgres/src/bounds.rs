//! The extent of a split key, or points between its values in the server's own order.
//!
//! Integers, decimals, dates and timestamps have an extent that the engine can cut by arithmetic.
//! Everything else that the server can sort (text in its collation, uuid, floats with NaN,
//! enumerations …) is cut at points that the server names: an ordered-set aggregate sorts once and
//! keeps type and collation of the key.

use rsqoop_connector::{
    Bounds, BoundsRequest, ColumnInfo, ColumnKind, Error, ErrorKind, KeyValue, Relation, Result,
};
use sqlx::postgres::PgRow;
use sqlx::{Row, ValueRef};

use crate::decode::{unix_days, unix_micros};
use crate::dialect::{PostgresDialect, quote_text};
use crate::link::Link;
use crate::types::{self, oid};
use crate::{boundary, catalog, error};

/// Above this many rows the points come from a sample.
const EXACT_ROWS: u64 = 2_000_000;
/// Rows of such a sample.
const SAMPLE_ROWS: f64 = 200_000.0;
/// Most points that are asked for at once.
const POINTS_MAX: usize = 10_000;
/// Digits after the point up to which a decimal extent is cut by arithmetic.
const SCALE_MAX: usize = 30;

/// Answers the engine's question.
pub(crate) fn bounds(link: &mut Link, request: &BoundsRequest) -> Result<Bounds> {
    link.read_only(|link| match &request.boundary_query {
        Some(sql) => boundary::bounds(link, sql),
        None => by_key(link, request),
    })
}

fn by_key(link: &mut Link, request: &BoundsRequest) -> Result<Bounds> {
    let key = request.key_sql();
    let from = request.from_sql(&PostgresDialect);
    let column = match &request.key.column {
        Some(column) => column.clone(),
        None => catalog::key_column(
            link,
            &request.relation,
            &format!("SELECT {key} FROM {from} LIMIT 0"),
        )?,
    };
    if has_extent(column.kind) {
        // Numerics come as text: their digits may need any width.
        let cast = if column.kind == ColumnKind::Decimal { "::text" } else { "" };
        let rows = link.rows(format!(
            "SELECT pg_catalog.min({key}){cast}, pg_catalog.max({key}){cast} FROM {from}"
        ))?;
        let row = one(&rows)?;
        match extent(row, [&column, &column])? {
            Extent::Empty => return Ok(Bounds::Empty),
            Extent::Range(min, max) => return Ok(Bounds::Range { min, max }),
            Extent::Unbounded => {}
        }
    }
    points(link, request, &column)
}

/// Kinds whose smallest and largest key suffice.
pub(crate) fn has_extent(kind: ColumnKind) -> bool {
    matches!(
        kind,
        ColumnKind::Integer
            | ColumnKind::Decimal
            | ColumnKind::Date
            | ColumnKind::Timestamp
            | ColumnKind::TimestampTz
    )
}

/// What a row of smallest and largest key says.
pub(crate) enum Extent {
    /// Both are NULL.
    Empty,
    /// Numbers to calculate with.
    Range(KeyValue, KeyValue),
    /// Infinite, NaN, or with too many digits.
    Unbounded,
}

/// Reads a row of smallest and largest key in binary form, decimals as text.
pub(crate) fn extent(row: &PgRow, columns: [&ColumnInfo; 2]) -> Result<Extent> {
    let field = |index: usize| -> Result<Option<Vec<u8>>> {
        let value = row.try_get_raw(index).map_err(error::statement)?;
        if value.is_null() {
            return Ok(None);
        }
        let bytes = value.as_bytes().map_err(|e| error::statement(sqlx::Error::Decode(e)))?;
        Ok(Some(bytes.to_vec()))
    };
    let (min, max) = match (field(0)?, field(1)?) {
        (None, None) => return Ok(Extent::Empty),
        (Some(min), Some(max)) => (min, max),
        _ => {
            return Err(Error::new(
                ErrorKind::Usage,
                "the boundary query answers one NULL and one value",
            ));
        }
    };
    if columns[0].kind == ColumnKind::Decimal {
        return Ok(decimals(&min, &max));
    }
    Ok(match (key_value(&min, columns[0]), key_value(&max, columns[1])) {
        (Some(min), Some(max)) => Extent::Range(min, max),
        _ => Extent::Unbounded,
    })
}

fn key_value(bytes: &[u8], column: &ColumnInfo) -> Option<KeyValue> {
    let kind = column.kind;
    match (kind, bytes.len()) {
        (ColumnKind::Integer, 4) if types::oid_of(column.native_code) == oid::OID => {
            Some(KeyValue::Integer(u32::from_be_bytes(bytes.try_into().ok()?).into()))
        }
        (ColumnKind::Integer, 2) => {
            Some(KeyValue::Integer(i16::from_be_bytes(bytes.try_into().ok()?).into()))
        }
        (ColumnKind::Integer, 4) => {
            Some(KeyValue::Integer(i32::from_be_bytes(bytes.try_into().ok()?).into()))
        }
        (ColumnKind::Integer, 8) => {
            Some(KeyValue::Integer(i64::from_be_bytes(bytes.try_into().ok()?).into()))
        }
        (ColumnKind::Date, 4) => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            unix_days(days).ok().map(KeyValue::Date)
        }
        (ColumnKind::Timestamp | ColumnKind::TimestampTz, 8) => {
            let micros = unix_micros(i64::from_be_bytes(bytes.try_into().ok()?)).ok()?;
            Some(if kind == ColumnKind::Timestamp {
                KeyValue::Timestamp(micros)
            } else {
                KeyValue::TimestampTz(micros)
            })
        }
        _ => None,
    }
}

/// Two decimal texts as numbers of one scale.
fn decimals(min: &[u8], max: &[u8]) -> Extent {
    let parse = |text: &[u8]| {
        let text = std::str::from_utf8(text).ok()?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
        Some((unscaled, fraction.len()))
    };
    let scaled = |(unscaled, places): (i128, usize), scale: usize| {
        let power = u32::try_from(scale - places).ok()?;
        let unscaled = unscaled.checked_mul(10i128.checked_pow(power)?)?;
        Some(KeyValue::Decimal { unscaled, scale: u8::try_from(scale).ok()? })
    };
    let range = || {
        let (min, max) = (parse(min)?, parse(max)?);
        let scale = min.1.max(max.1);
        (scale <= SCALE_MAX).then_some(())?;
        Some(Extent::Range(scaled(min, scale)?, scaled(max, scale)?))
    };
    range().unwrap_or(Extent::Unbounded)
}

/// Points between the keys, by sorting all of them or a sample.
fn points(link: &mut Link, request: &BoundsRequest, column: &ColumnInfo) -> Result<Bounds> {
    let key = request.key_sql();
    if let Some(sample) = sample_from(link, request)? {
        let points = ask(link, request, column, &sample)?;
        if let Some(points) = points {
            return Ok(Bounds::Points(points));
        }
        // The sample held no key at all; the whole table may.
    }
    let from = request.from_sql(&PostgresDialect);
    ask(link, request, column, &from)
        .map(|points| points.map_or(Bounds::Empty, Bounds::Points))
        .map_err(|e| unordered(e, key, column))
}

/// The server has no order for json, xml, points and the like.
fn unordered(error: Error, key: &str, column: &ColumnInfo) -> Error {
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

/// The points of the rows in `from`; nothing when there is no key that is not NULL.
fn ask(
    link: &mut Link,
    request: &BoundsRequest,
    column: &ColumnInfo,
    from: &str,
) -> Result<Option<Vec<KeyValue>>> {
    let pieces = request.pieces.clamp(1, POINTS_MAX);
    let key = request.key_sql();
    // The smallest key comes first: a point equal to it would cut off nothing.
    let candidates = if matches!(column.kind, ColumnKind::List | ColumnKind::Other) {
        // There is no type for the aggregate's array of arrays, and unnest() takes composites apart.
        format!(
            "SELECT p FROM (SELECT p, pg_catalog.row_number() OVER (ORDER BY p) - 1 AS n, \
             pg_catalog.count(*) OVER () AS c FROM (SELECT {key} AS p FROM {from}) AS k \
             WHERE p IS NOT NULL) AS o WHERE n = 0 OR n * {pieces} / c > (n - 1) * {pieces} / c"
        )
    } else {
        let fractions: Vec<String> =
            (0..pieces).map(|i| format!("{:.9}", i as f64 / pieces as f64)).collect();
        format!(
            "SELECT p FROM pg_catalog.unnest((SELECT pg_catalog.percentile_disc(\
             ARRAY[{}]::pg_catalog.float8[]) WITHIN GROUP (ORDER BY {key}) FROM {from})) AS u (p) \
             WHERE p IS NOT NULL",
            fractions.join(", ")
        )
    };
    let rows = link.rows(format!(
        "SELECT p::text FROM (SELECT DISTINCT p FROM ({candidates}) AS a) AS d ORDER BY d.p"
    ))?;
    let mut points = Vec::with_capacity(rows.len());
    for row in &rows {
        let text: String = row.try_get(0).map_err(error::statement)?;
        points.push(point(column, text));
    }
    if points.is_empty() {
        return Ok(None);
    }
    points.remove(0);
    Ok(Some(points))
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

/// The `FROM` of a sample, where the rows are too many to sort.
fn sample_from(link: &mut Link, request: &BoundsRequest) -> Result<Option<String>> {
    let Some(rows) = request.estimated_rows.filter(|rows| *rows > EXACT_ROWS) else {
        return Ok(None);
    };
    let share = SAMPLE_ROWS / rows as f64;
    match &request.relation {
        Relation::Table(table) if catalog::find(link, table)?.can_sample() => {
            let name = rsqoop_connector::Dialect::quote_table(&PostgresDialect, table);
            let condition =
                request.filter.as_ref().map(|f| format!(" WHERE ({f}\n)")).unwrap_or_default();
            let percent = (share * 100.0).clamp(0.001, 100.0);
            Ok(Some(format!("{name} TABLESAMPLE SYSTEM ({percent:.6}){condition}")))
        }
        // All rows are made, but few are sorted.
        Relation::Table(_) => {
            let from = request.from_sql(&PostgresDialect);
            let join = if request.filter.is_some() { "AND" } else { "WHERE" };
            Ok(Some(format!("{from} {join} pg_catalog.random() < {share:.9}")))
        }
        Relation::Query(_) => {
            let from = request.from_sql(&PostgresDialect);
            Ok(Some(format!("{from} WHERE pg_catalog.random() < {share:.9}")))
        }
    }
}

/// The only row.
pub(crate) fn one(rows: &[PgRow]) -> Result<&PgRow> {
    match rows {
        [row] => Ok(row),
        _ => Err(Error::new(
            ErrorKind::Usage,
            format!("the boundary query answers {} rows instead of one", rows.len()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_extents_share_a_scale() {
        let range = |min: &str, max: &str| match decimals(min.as_bytes(), max.as_bytes()) {
            Extent::Range(min, max) => Some((min, max)),
            _ => None,
        };
        assert_eq!(
            range("-1.5", "20"),
            Some((
                KeyValue::Decimal { unscaled: -15, scale: 1 },
                KeyValue::Decimal { unscaled: 200, scale: 1 }
            ))
        );
        assert_eq!(range("NaN", "1"), None);
        assert_eq!(range("1", &format!("0.{}1", "0".repeat(30))), None);
        assert_eq!(range("1", &"9".repeat(60)), None);
    }
}
