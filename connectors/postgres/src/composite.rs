//! Points of a key of several columns, compared row by row as the server does: `(a, b) >= (1, 'x')`.

use rsqoop_connector::{Bounds, BoundsRequest, Error, KeyValue, Result};
use sqlx::Row;

use crate::dialect::{PostgresDialect, quote_ident};
use crate::error;
use crate::link::Link;
use crate::points::{POINTS_MAX, typed, unordered};
use crate::sample::Rows;

/// Points between about equal numbers of rows.
pub(crate) fn bounds(link: &mut Link, request: &BoundsRequest) -> Result<Bounds> {
    let pieces = request.pieces.clamp(1, POINTS_MAX);
    if pieces < 2 {
        return Ok(Bounds::Points(Vec::new()));
    }
    let rows = Rows::of(link, request)?;
    if rows.are_many()
        && let Some(from) = rows.of_pages(request)
        && let Some(points) = link.optional(|link| ask(link, request, &from, pieces))?
        && points.len() + 1 >= pieces
    {
        return Ok(Bounds::Points(points));
    }
    let thinned = rows.thinned(request);
    let mut points = ask(link, request, &thinned, pieces).map_err(|e| named(e, request))?;
    if rows.are_many() && points.len() + 1 < pieces {
        // Far fewer rows than estimated.
        points = ask(link, request, &request.from_sql(&PostgresDialect), pieces)?;
    }
    Ok(Bounds::Points(points))
}

fn named(error: Error, request: &BoundsRequest) -> Error {
    match request.key.row.first() {
        Some(column) => unordered(error, &request.key.expr, column),
        None => error,
    }
}

/// The points of the rows in `from`: distinct and ascending, for the server sorts and compares.
fn ask(
    link: &mut Link,
    request: &BoundsRequest,
    from: &str,
    pieces: usize,
) -> Result<Vec<KeyValue>> {
    let columns = &request.key.row;
    let list = |item: &dyn Fn(usize) -> String| {
        (0..columns.len()).map(item).collect::<Vec<_>>().join(", ")
    };
    let names = list(&|i| format!("k{i}"));
    let keys = list(&|i| format!("{} AS k{i}", quote_ident(&columns[i].name)));
    let texts = list(&|i| format!("k{i}::text"));
    // Unqualified, the names would stand for the texts.
    let sorted = list(&|i| format!("d.k{i}"));
    let rows = link.rows(format!(
        "SELECT {texts} FROM (SELECT DISTINCT ON ({names}) * FROM (\
         SELECT {names}, pg_catalog.row_number() OVER (ORDER BY {names}) - 1 AS n, \
         pg_catalog.count(*) OVER () AS c FROM (SELECT {keys} FROM {from}) AS k) AS o \
         WHERE n > 0 AND n * {pieces} / c > (n - 1) * {pieces} / c ORDER BY {names}) AS d \
         ORDER BY {sorted}"
    ))?;
    rows.iter()
        .map(|row| {
            let parts = columns.iter().enumerate().map(|(index, column)| {
                let text: String = row.try_get(index).map_err(error::statement)?;
                Ok(typed(column, text))
            });
            Ok(KeyValue::Row(parts.collect::<Result<_>>()?))
        })
        .collect()
}
