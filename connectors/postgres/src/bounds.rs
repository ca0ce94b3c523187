//! The extent of a split key, or points between its values in the server's own order.
//!
//! Integers, decimals, dates and timestamps have an extent that the engine can cut by arithmetic,
//! which is what small tables and expressions get; large tables are cut where the statistics or a
//! sample say that the rows are, whatever their spread. Everything else that the server can sort
//! (text in its collation, uuid, floats with NaN, enumerations, rows of several columns …) is cut at
//! points that the server names.

use rsqoop_connector::{
    Bounds, BoundsRequest, ColumnInfo, ColumnKind, Error, ErrorKind, KeyValue, Relation, Result,
};
use sqlx::postgres::PgRow;
use sqlx::{Row, ValueRef};

use crate::decode::{unix_days, unix_micros};
use crate::dialect::PostgresDialect;
use crate::link::{Link, Switch};
use crate::sample::{Rows, SAMPLE_MIN};
use crate::types::{self, oid};
use crate::{boundary, catalog, composite, error, points, spread, storage};

/// Digits after the point up to which a decimal extent is cut by arithmetic.
pub(crate) const SCALE_MAX: usize = 30;

/// Answers the engine's question.
pub(crate) fn bounds(link: &mut Link, request: &BoundsRequest) -> Result<Bounds> {
    link.read_only(|link| match &request.boundary_query {
        Some(sql) => boundary::bounds(link, sql),
        None => link.without(Switch::Jit, |link| by_key(link, request)),
    })
}

fn by_key(link: &mut Link, request: &BoundsRequest) -> Result<Bounds> {
    if !request.key.row.is_empty() {
        return composite::bounds(link, request);
    }
    if let Some(bounds) = by_storage(link, request)? {
        return Ok(bounds);
    }
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
        if let Some(points) = by_rows(link, request)? {
            return Ok(Bounds::Points(points));
        }
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
    points::bounds(link, request, &column)
}

/// Pages of a table, where the key names them.
fn by_storage(link: &mut Link, request: &BoundsRequest) -> Result<Option<Bounds>> {
    match &request.relation {
        Relation::Table(table)
            if request.key.column.is_none() && request.key.expr == storage::EXPR =>
        {
            let found = catalog::find(link, table)?;
            storage::bounds(link, &found, request.pieces)
        }
        _ => Ok(None),
    }
}

/// Points between equal numbers of rows, for a column of a large table where they are cheap: from
/// the statistics if these are fresh, or else from a sample.
fn by_rows(link: &mut Link, request: &BoundsRequest) -> Result<Option<Vec<KeyValue>>> {
    let Some(column) = request.key.column.as_ref() else { return Ok(None) };
    if request.extent || request.pieces < 2 || matches!(request.relation, Relation::Query(_)) {
        return Ok(None);
    }
    let rows = Rows::of(link, request)?;
    let Some(found) = rows.table.as_ref().filter(|_| rows.are_many()) else { return Ok(None) };
    if request.filter.is_none()
        && rows.is_analysed()
        && let Some(points) = spread::points(link, found, column, request.pieces)?
    {
        return Ok(Some(points));
    }
    let sampled = points::sampled(link, request, column, &rows)?;
    Ok(sampled.filter(|s| s.rows >= SAMPLE_MIN).map(|s| s.points))
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

pub(crate) fn key_value(bytes: &[u8], column: &ColumnInfo) -> Option<KeyValue> {
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

/// A decimal text as digits and the number of those after the point.
pub(crate) fn decimal(text: &[u8]) -> Option<(i128, usize)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some((unscaled, fraction.len()))
}

/// Two decimal texts as numbers of one scale.
fn decimals(min: &[u8], max: &[u8]) -> Extent {
    let scaled = |(unscaled, places): (i128, usize), scale: usize| {
        let power = u32::try_from(scale - places).ok()?;
        let unscaled = unscaled.checked_mul(10i128.checked_pow(power)?)?;
        Some(KeyValue::Decimal { unscaled, scale: u8::try_from(scale).ok()? })
    };
    let range = || {
        let (min, max) = (decimal(min)?, decimal(max)?);
        let scale = min.1.max(max.1);
        (scale <= SCALE_MAX).then_some(())?;
        Some(Extent::Range(scaled(min, scale)?, scaled(max, scale)?))
    };
    range().unwrap_or(Extent::Unbounded)
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
