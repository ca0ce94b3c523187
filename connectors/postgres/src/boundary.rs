//! The user's boundary query: one row of smallest and largest key, run as it stands.

use rsqoop_connector::{Bounds, ColumnInfo, ColumnKind, Error, ErrorKind, KeyValue, Result};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row, ValueRef};

use crate::bounds::{Extent, extent, has_extent, one};
use crate::link::Link;
use crate::points::point;
use crate::{describe, error};

pub(crate) fn bounds(link: &mut Link, sql: &str) -> Result<Bounds> {
    let sql = sql.trim().trim_end_matches(';');
    let columns = describe::columns(link, sql)?;
    let [first, second] = columns.as_slice() else {
        return Err(Error::new(
            ErrorKind::Usage,
            format!(
                "the boundary query answers {} columns instead of smallest and largest key",
                columns.len()
            ),
        ));
    };
    let binary = has_extent(first.kind) && first.kind != ColumnKind::Decimal;
    if binary && second.kind == first.kind {
        let rows = link.rows(sql)?;
        match extent(one(&rows)?, [first, second])? {
            Extent::Empty => return Ok(Bounds::Empty),
            Extent::Range(min, max) => return Ok(Bounds::Range { min, max }),
            Extent::Unbounded => {}
        }
    }
    texts(link, sql, first)
}

/// Both ends in the server's text form, which the simple protocol gives for every type.
fn texts(link: &mut Link, sql: &str, column: &ColumnInfo) -> Result<Bounds> {
    let statement = AssertSqlSafe(sql.to_string());
    let rows: Vec<PgRow> = link.run(async |c| sqlx::raw_sql(statement).fetch_all(c).await)?;
    let row = one(&rows)?;
    if column.kind == ColumnKind::Decimal {
        match extent(row, [column, column])? {
            Extent::Empty => return Ok(Bounds::Empty),
            Extent::Range(min, max) => return Ok(Bounds::Range { min, max }),
            Extent::Unbounded => {}
        }
    }
    match (text(row, 0)?, text(row, 1)?) {
        (None, None) => Ok(Bounds::Empty),
        (Some(min), Some(max)) => {
            let mut points: Vec<KeyValue> =
                [min, max].into_iter().map(|value| point(column, value)).collect();
            points.dedup();
            Ok(Bounds::Points(points))
        }
        _ => Err(Error::new(ErrorKind::Usage, "the boundary query answers one NULL and one value")),
    }
}

fn text(row: &PgRow, index: usize) -> Result<Option<String>> {
    let value = row.try_get_raw(index).map_err(error::statement)?;
    if value.is_null() {
        return Ok(None);
    }
    let text = value.as_str().map_err(|e| error::statement(sqlx::Error::Decode(e)))?;
    Ok(Some(text.to_string()))
}
