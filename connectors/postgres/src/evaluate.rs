//! Statements of the user's whose results are wanted as the server's own text.
//!
//! They run by the simple protocol, as they stand and without a transaction around them. sqlx tells
//! the columns of a result only with its first row, so a single statement is parsed beforehand;
//! among several statements a result without rows counts as a statement without result.

use std::sync::Arc;

use futures_util::TryStreamExt;
use rsqoop_connector::{ErrorKind, Result, TextColumn, TextSink};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Column, Either, Row, ValueRef};

use crate::describe;
use crate::link::Link;
use crate::types;

pub(crate) fn evaluate(link: &mut Link, sql: &str, out: &mut dyn TextSink) -> Result<()> {
    let columns: Option<Vec<TextColumn>> = match describe::prepare(link, sql) {
        Ok(columns) => Some(
            columns
                .iter()
                .map(|c| TextColumn {
                    name: c.name.clone(),
                    display_size: types::display_size(c.type_oid, c.modifier),
                })
                .collect(),
        ),
        // The server parses only one statement at a time; another error shows again below.
        Err(error) if error.kind() == ErrorKind::Usage => None,
        Err(error) => return Err(error),
    };
    let statement = AssertSqlSafe(sql.to_string());
    let limit = link.read_timeout();
    let stop = Arc::clone(link.stop());
    link.run_inner(async |connection| {
        let mut results = sqlx::raw_sql(statement).fetch_many(connection);
        let mut open = false;
        loop {
            let next = tokio::select! {
                biased;
                next = results.try_next() => next,
                () = stop.silence(limit) => return Err(Link::silent(limit)),
            };
            match next {
                Err(e) => return Ok(Err(e)),
                Ok(None) => return Ok(Ok(())),
                Ok(Some(Either::Right(row))) => {
                    if !open {
                        open = true;
                        match &columns {
                            Some(columns) => out.columns(columns)?,
                            None => out.columns(&labels(&row))?,
                        }
                    }
                    match values(&row) {
                        Ok(values) => out.row(&values)?,
                        Err(e) => return Ok(Err(e)),
                    }
                }
                Ok(Some(Either::Left(done))) => {
                    match &columns {
                        Some(columns) if !open && !columns.is_empty() => {
                            out.columns(columns)?;
                            out.end()?;
                        }
                        _ if open => out.end()?,
                        _ => out.updated(done.rows_affected())?,
                    }
                    open = false;
                }
            }
        }
    })
}

fn labels(row: &PgRow) -> Vec<TextColumn> {
    row.columns()
        .iter()
        .map(|column| TextColumn {
            name: column.name().to_string(),
            display_size: types::display_size(column.type_info().oid().map_or(0, |oid| oid.0), -1),
        })
        .collect()
}

fn values(row: &PgRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    (0..row.len())
        .map(|index| {
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                return Ok(None);
            }
            value.as_str().map(|text| Some(text.to_string())).map_err(sqlx::Error::Decode)
        })
        .collect()
}
