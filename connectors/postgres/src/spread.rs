//! How the server's statistics say that the values of a column are spread: points between about
//! equal numbers of rows, without looking at any row.

use rsqoop_connector::{ColumnInfo, ColumnKind, KeyValue, Result};
use sqlx::{Row, ValueRef};

use crate::bounds::{SCALE_MAX, decimal, key_value};
use crate::catalog::{Found, whole};
use crate::dialect::quote_text;
use crate::error;
use crate::link::Link;
use crate::types::{self, oid};

/// A histogram of fewer bounds says too little.
const BOUNDS_MIN: usize = 50;
/// Shares of the rows are counted in units of this.
const UNITS: f64 = 1e9;

/// What the statistics hold of a column.
#[derive(Debug, Default)]
struct Spread {
    /// Ends of ranges that hold equally many rows.
    bounds: Vec<i128>,
    /// The rows that are in no range, value by value.
    common: Vec<(i128, u64)>,
    /// Share of NULL.
    nulls: u64,
}

/// Points that divide the rows of a column evenly; nothing where the statistics do not tell.
pub(crate) fn points(
    link: &mut Link,
    found: &Found,
    column: &ColumnInfo,
    pieces: usize,
) -> Result<Option<Vec<KeyValue>>> {
    let Some(type_name) = type_name(column) else { return Ok(None) };
    let statistics = format!(
        "FROM pg_catalog.pg_stats s WHERE s.schemaname = {} AND s.tablename = {} \
         AND s.attname = {} AND s.inherited = {}",
        quote_text(found.schema()),
        quote_text(found.name()),
        quote_text(&column.name),
        found.has_children()
    );
    // The arrays are of a type that only the statistics know; text is what both sides agree on.
    let cast = if column.kind == ColumnKind::Decimal { "::pg_catalog.text" } else { "" };
    let sql = format!(
        "WITH s AS (SELECT s.null_frac::pg_catalog.float8 AS n, \
         s.most_common_vals::pg_catalog.text::{type_name}[] AS v, \
         s.most_common_freqs::pg_catalog.float8[] AS f, \
         s.histogram_bounds::pg_catalog.text::{type_name}[] AS h {statistics}) \
         SELECT 'n', n, NULL{cast_null} FROM s \
         UNION ALL SELECT 'c', u.f, u.v{cast} FROM s, \
         ROWS FROM (pg_catalog.unnest(s.v), pg_catalog.unnest(s.f)) AS u (v, f) \
         UNION ALL SELECT 'h', 0, u.h{cast} FROM s, pg_catalog.unnest(s.h) AS u (h)",
        cast_null = if cast.is_empty() { format!("::{type_name}") } else { cast.to_string() },
    );
    let Some(rows) = link.optional(|link| link.rows(sql))? else { return Ok(None) };
    let mut values: Vec<(String, u64, Option<Vec<u8>>)> = Vec::with_capacity(rows.len());
    for row in &rows {
        let value = row.try_get_raw(2).map_err(error::statement)?;
        let bytes = match value.is_null() {
            true => None,
            false => {
                let bytes =
                    value.as_bytes().map_err(|e| error::statement(sqlx::Error::Decode(e)))?;
                Some(bytes.to_vec())
            }
        };
        let share: f64 = row.try_get(1).map_err(error::statement)?;
        let kind: String = row.try_get(0).map_err(error::statement)?;
        values.push((kind, whole(share * UNITS).unwrap_or(0), bytes));
    }
    let Some((spread, scale)) = spread(column, &values) else { return Ok(None) };
    let Some(cuts) = spread.cuts(pieces) else { return Ok(None) };
    Ok(cuts.into_iter().map(|n| typed(column.kind, n, scale)).collect())
}

/// The name of the type below all domains.
fn type_name(column: &ColumnInfo) -> Option<&'static str> {
    Some(match (column.kind, types::oid_of(column.native_code)) {
        (ColumnKind::Integer, oid::INT2) => "pg_catalog.int2",
        (ColumnKind::Integer, oid::INT4) => "pg_catalog.int4",
        (ColumnKind::Integer, oid::INT8) => "pg_catalog.int8",
        (ColumnKind::Integer, oid::OID) => "pg_catalog.oid",
        (ColumnKind::Decimal, _) => "pg_catalog.numeric",
        (ColumnKind::Date, _) => "pg_catalog.date",
        (ColumnKind::Timestamp, _) => "pg_catalog.timestamp",
        (ColumnKind::TimestampTz, _) => "pg_catalog.timestamptz",
        _ => return None,
    })
}

/// All values as numbers of one scale; nothing if one of them is infinite or the like.
fn spread(
    column: &ColumnInfo,
    values: &[(String, u64, Option<Vec<u8>>)],
) -> Option<(Spread, usize)> {
    let mut numbers = Vec::with_capacity(values.len());
    let mut scale = 0;
    for (kind, share, bytes) in values {
        let number = match bytes {
            None => None,
            Some(bytes) if column.kind == ColumnKind::Decimal => {
                let (unscaled, places) = decimal(bytes)?;
                scale = scale.max(places);
                Some((unscaled, places))
            }
            Some(bytes) => Some((number(&key_value(bytes, column)?)?, 0)),
        };
        numbers.push((kind.as_str(), *share, number));
    }
    if scale > SCALE_MAX {
        return None;
    }
    let mut found = Spread::default();
    for (kind, share, number) in numbers {
        let Some((unscaled, places)) = number else {
            found.nulls = share;
            continue;
        };
        let power = 10i128.checked_pow(u32::try_from(scale - places).ok()?)?;
        let number = unscaled.checked_mul(power)?;
        match kind {
            "c" => found.common.push((number, share)),
            _ => found.bounds.push(number),
        }
    }
    Some((found, scale))
}

fn number(key: &KeyValue) -> Option<i128> {
    match key {
        KeyValue::Integer(n) => Some(*n),
        KeyValue::Date(days) => Some(i128::from(*days)),
        KeyValue::Timestamp(micros) | KeyValue::TimestampTz(micros) => Some(i128::from(*micros)),
        _ => None,
    }
}

fn typed(kind: ColumnKind, n: i128, scale: usize) -> Option<KeyValue> {
    Some(match kind {
        ColumnKind::Integer => KeyValue::Integer(n),
        ColumnKind::Decimal => KeyValue::Decimal { unscaled: n, scale: u8::try_from(scale).ok()? },
        ColumnKind::Date => KeyValue::Date(i32::try_from(n).ok()?),
        ColumnKind::Timestamp => KeyValue::Timestamp(i64::try_from(n).ok()?),
        ColumnKind::TimestampTz => KeyValue::TimestampTz(i64::try_from(n).ok()?),
        _ => return None,
    })
}

impl Spread {
    /// Pieces of the line with the share of the rows in each, in order; a common value is a piece
    /// of no width.
    fn segments(&mut self) -> Option<Vec<(i128, i128, u64)>> {
        let common: u64 = self.common.iter().map(|(_, share)| share).sum();
        let all = whole(UNITS)?;
        let rest = all.saturating_sub(common).saturating_sub(self.nulls);
        let buckets = self.bounds.len().saturating_sub(1);
        // Too coarse; or no histogram although the common values are not all there are.
        let enough =
            if buckets == 0 { rest * 20 < all && common > 0 } else { buckets >= BOUNDS_MIN };
        if !enough {
            return None;
        }
        self.common.sort_unstable();
        let mut segments: Vec<(i128, i128, u64)> =
            self.common.iter().map(|(value, share)| (*value, *value, *share)).collect();
        for ends in self.bounds.windows(2) {
            let (low, high) = (ends[0], ends[1]);
            let share = rest / buckets as u64;
            let width = high.checked_sub(low)?;
            let mut from = low;
            let inside = self.common.iter().map(|(value, _)| *value);
            for to in inside.filter(|v| *v > low && *v < high).chain([high]) {
                let part = if width == 0 { share } else { portion(share, to - from, width) };
                segments.push((from, to, part));
                from = to;
            }
        }
        segments.sort_by_key(|(low, high, _)| (*low, *high));
        Some(segments)
    }

    /// Ascending points between equal shares.
    fn cuts(mut self, pieces: usize) -> Option<Vec<i128>> {
        let segments = self.segments()?;
        let (first, last) = (segments.first()?.0, segments.last()?.1);
        let total: u128 = segments.iter().map(|(.., share)| u128::from(*share)).sum();
        let pieces = pieces.max(1) as u128;
        let mut points: Vec<i128> = Vec::new();
        let mut rest = segments.iter();
        let mut here = rest.next()?;
        let mut before = 0u128;
        for k in 1..pieces {
            let target = total * k / pieces;
            while before + u128::from(here.2) <= target {
                before += u128::from(here.2);
                match rest.next() {
                    Some(next) => here = next,
                    None => return Some(points),
                }
            }
            let (low, high, share) = *here;
            let offset = u64::try_from(target - before).unwrap_or(0);
            let mut point = low + slice(high - low, offset, share);
            let floor = points.last().copied().unwrap_or(first);
            if point == floor && low == high {
                // The common value has a piece of its own.
                point += 1;
            }
            if point > floor && point <= last {
                points.push(point);
            }
        }
        Some(points)
    }
}

/// `share * part / width` for a share of at most 10^9.
fn portion(share: u64, part: i128, width: i128) -> u64 {
    // The widths may have as many digits as there is room for.
    let shift = (i128::BITS - width.leading_zeros()).saturating_sub(64);
    let part = i128::from(share) * (part >> shift) / (width >> shift).max(1);
    u64::try_from(part).unwrap_or(0).min(share)
}

/// `width * offset / share` without the product.
fn slice(width: i128, offset: u64, share: u64) -> i128 {
    let (offset, share) = (i128::from(offset), i128::from(share.max(1)));
    width / share * offset + width % share * offset / share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_follow_the_histogram() {
        let bounds: Vec<i128> =
            (0..=100).map(|i| if i < 5 { i * 1000 } else { 5000 + i }).collect();
        let spread = Spread { bounds, ..Spread::default() };
        // Nineteen of twenty rows are among the last hundred values.
        let points = spread.cuts(10).unwrap();
        assert_eq!(points.len(), 9);
        assert_eq!(points[0], 5010);
        assert!(points.is_sorted_by(|a, b| a < b), "{points:?}");
    }

    #[test]
    fn common_values_stand_alone() {
        let half = 500_000_000;
        let spread = Spread { bounds: (0..=100).collect(), common: vec![(50, half)], nulls: 0 };
        assert_eq!(spread.cuts(8).unwrap(), [25, 50, 51, 75]);
        let only = Spread { common: vec![(1, half), (2, half)], ..Spread::default() };
        assert_eq!(only.cuts(4).unwrap(), [2]);
    }

    #[test]
    fn the_whole_width_of_a_type_is_cut() {
        let step = (i128::from(u64::MAX)) / 100;
        let bounds = (0..=100).map(|i| i128::from(i64::MIN) + i * step).collect();
        let points = Spread { bounds, ..Spread::default() }.cuts(1000).unwrap();
        assert_eq!(points.len(), 999);
        assert!(points.is_sorted_by(|a, b| a < b));
        assert!(Spread { bounds: vec![1, 2, 3], ..Spread::default() }.cuts(4).is_none());
    }
}
