//! The extent of a split key, in SQLite's own order: classes first, then values, text by the
//! column's collation. Where smallest and largest key are integers everything between them is a
//! number, so that integers can cut it; any other key is cut at values that are stored.

use rsqoop_connector::{Bounds, BoundsRequest, KeyValue, Relation, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use crate::dialect::{self, SqliteDialect};
use crate::{error, read};

/// Answers [`rsqoop_connector::Session::bounds`].
pub(crate) fn bounds(conn: &Connection, request: &BoundsRequest) -> Result<Bounds> {
    let key = request.key_sql();
    let sql = match &request.boundary_query {
        Some(sql) => sql.trim().trim_end_matches(';').to_string(),
        None => format!("SELECT min({key}), max({key}) FROM {}", request.from_sql(&SqliteDialect)),
    };
    let Some((min, max)) = extent(conn, &sql)? else { return Ok(Bounds::Empty) };
    if matches!((&min, &max), (KeyValue::Integer(_), KeyValue::Integer(_))) {
        return Ok(Bounds::Range { min, max });
    }
    if request.boundary_query.is_some() {
        let only = min == max;
        return Ok(Bounds::Points(if only { vec![min] } else { vec![min, max] }));
    }
    points(conn, request).map(Bounds::Points)
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
fn points(conn: &Connection, request: &BoundsRequest) -> Result<Vec<KeyValue>> {
    let pieces = u64::try_from(request.pieces).unwrap_or(u64::MAX);
    if pieces <= 1 {
        return Ok(Vec::new());
    }
    let key = request.key_sql();
    let filtered = matches!((&request.relation, &request.filter), (Relation::Table(_), Some(_)));
    let from = format!(
        "FROM {} {} ({key}) IS NOT NULL",
        request.from_sql(&SqliteDialect),
        if filtered { "AND" } else { "WHERE" },
    );
    let total: i64 = read::prepare(conn, &format!("SELECT count(*) {from}"))?
        .query_row([], |row| row.get(0))
        .map_err(error::step)?;
    let total = u64::try_from(total).unwrap_or(0);
    // The rows that must come before the n-th point.
    let quota = |n: u64| {
        u64::try_from(u128::from(n) * u128::from(total) / u128::from(pieces)).unwrap_or(total)
    };
    let mut statement = read::prepare(
        conn,
        &format!("SELECT {key}, count(*) {from} GROUP BY {key} ORDER BY {key}"),
    )?;
    let mut rows = statement.raw_query();
    let (mut points, mut before, mut next) = (Vec::new(), 0_u64, 1_u64);
    while next < pieces
        && let Some(row) = rows.next().map_err(error::step)?
    {
        if before > 0 && before >= quota(next) {
            points.extend(key_value(row, 0));
            while next < pieces && before >= quota(next) {
                next += 1;
            }
        }
        let rows: i64 = row.get(1).map_err(error::step)?;
        before += u64::try_from(rows).unwrap_or(0);
    }
    Ok(points)
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
