//! The extent of a split key, in SQLite's own order: classes first, then values, text by the
//! column's collation. Where smallest and largest key are integers everything between them is a
//! number, so that integers can cut it: between about equal numbers of rows where an index tells how
//! they lie, evenly elsewhere. Any other key is cut at values that are stored.

use rsqoop_connector::{Bounds, BoundsRequest, Dialect, KeyValue, Relation, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use crate::dialect::{self, SqliteDialect};
use crate::{density, error, read};

/// Answers [`rsqoop_connector::Session::bounds`].
pub(crate) fn bounds(conn: &Connection, request: &BoundsRequest) -> Result<Bounds> {
    if !request.key.row.is_empty() && request.boundary_query.is_none() {
        return points(conn, request);
    }
    let key = request.key_sql();
    let from = request.from_sql(&SqliteDialect);
    let filtered = is_filtered(request);
    let searched = !filtered && density::has_index(conn, &from, key);
    let sql = match &request.boundary_query {
        Some(sql) => sql.trim().trim_end_matches(';').to_string(),
        // Alone each of the two is one step in an index; both at once would read all of it.
        None if searched => {
            format!("SELECT (SELECT min({key}) FROM {from}), (SELECT max({key}) FROM {from})")
        }
        None => format!("SELECT min({key}), max({key}) FROM {from}"),
    };
    let Some((min, max)) = extent(conn, &sql)? else { return Ok(Bounds::Empty) };
    if let (KeyValue::Integer(low), KeyValue::Integer(high)) = (&min, &max) {
        let evenly = request.extent || request.boundary_query.is_some() || request.pieces < 2;
        if searched
            && !evenly
            && low < high
            && let (Ok(low), Ok(high)) = (i64::try_from(*low), i64::try_from(*high))
        {
            let extent = (low, high);
            return density::points(conn, (&from, key), extent, request.pieces).map(Bounds::Points);
        }
        return Ok(Bounds::Range { min, max });
    }
    if request.boundary_query.is_some() {
        let only = min == max;
        return Ok(Bounds::Points(if only { vec![min] } else { vec![min, max] }));
    }
    points(conn, request)
}

fn is_filtered(request: &BoundsRequest) -> bool {
    matches!((&request.relation, &request.filter), (Relation::Table(_), Some(_)))
}

/// The two columns of a statement's first row; `None` when either is NULL.
fn extent(conn: &Connection, sql: &str) -> Result<Option<(KeyValue, KeyValue)>> {
    let mut statement = read::prepare(conn, sql)?;
    if statement.column_count() < 2 {
        return Err(rsqoop_connector::Error::new(
            rsqoop_connector::ErrorKind::Usage,
            "a boundary query must deliver two columns: the smallest and the largest key",
        ));
    }
    let mut rows = statement.raw_query();
    let Some(row) = rows.next().map_err(error::step)? else { return Ok(None) };
    Ok(key_value(row, 0).zip(key_value(row, 1)))
}

/// Keys that cut the rows into `pieces` parts of about the same number of rows, by one pass over
/// the distinct keys in order: over an index where there is one, through one sort elsewhere.
fn points(conn: &Connection, request: &BoundsRequest) -> Result<Bounds> {
    let pieces = u64::try_from(request.pieces).unwrap_or(u64::MAX).max(1);
    let columns: Vec<String> = match request.key.row.as_slice() {
        [] => vec![request.key_sql().to_string()],
        row => row.iter().map(|column| SqliteDialect.quote_ident(&column.name)).collect(),
    };
    let known: Vec<String> = columns.iter().map(|c| format!("({c}) IS NOT NULL")).collect();
    let from = format!(
        "FROM {} {} {}",
        request.from_sql(&SqliteDialect),
        if is_filtered(request) { "AND" } else { "WHERE" },
        known.join(" AND "),
    );
    let total: i64 = read::prepare(conn, &format!("SELECT count(*) {from}"))?
        .query_row([], |row| row.get(0))
        .map_err(error::step)?;
    let total = match u64::try_from(total) {
        Ok(0) | Err(_) => return Ok(Bounds::Empty),
        Ok(total) => total,
    };
    // The rows that must come before the n-th point.
    let quota = |n: u64| {
        u64::try_from(u128::from(n) * u128::from(total) / u128::from(pieces)).unwrap_or(total)
    };
    let key = columns.join(", ");
    let sql = format!("SELECT count(*), {key} {from} GROUP BY {key} ORDER BY {key}");
    let mut statement = read::prepare(conn, &sql)?;
    let mut rows = statement.raw_query();
    let (mut points, mut before, mut next) = (Vec::new(), 0_u64, 1_u64);
    while next < pieces
        && let Some(row) = rows.next().map_err(error::step)?
    {
        if before > 0 && before >= quota(next) {
            points.extend(row_key(row, columns.len()));
            while next < pieces && before >= quota(next) {
                next += 1;
            }
        }
        let rows: i64 = row.get(0).map_err(error::step)?;
        before += u64::try_from(rows).unwrap_or(0);
    }
    Ok(Bounds::Points(points))
}

/// The key in the `columns` columns after the first.
fn row_key(row: &Row<'_>, columns: usize) -> Option<KeyValue> {
    if columns == 1 {
        return key_value(row, 1);
    }
    (1..=columns).map(|index| key_value(row, index)).collect::<Option<_>>().map(KeyValue::Row)
}

/// A stored key, as what spells a literal of the same class.
fn key_value(row: &Row<'_>, index: usize) -> Option<KeyValue> {
    Some(match row.get_ref_unwrap(index) {
        ValueRef::Null => return None,
        ValueRef::Integer(n) => KeyValue::Integer(n.into()),
        // SQL has no spelling for infinity; a literal beyond every double becomes one.
        ValueRef::Real(v) if v.is_infinite() => {
            KeyValue::Sql(if v > 0.0 { "9e999" } else { "-9e999" }.to_string())
        }
        ValueRef::Real(v) => KeyValue::Sql(format!("{v:?}")),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => KeyValue::Text(text.to_string()),
            Err(_) => KeyValue::Sql(dialect::text_literal(bytes)),
        },
        ValueRef::Blob(bytes) => KeyValue::Bytes(bytes.to_vec()),
    })
}
