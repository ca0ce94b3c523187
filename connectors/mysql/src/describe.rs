//! Columns, keys and estimates of a relation.
//!
//! Columns always come from preparing a `SELECT`, for tables as for queries, so that both are
//! mapped by the same rule and `SELECT *` decides which columns there are (invisible ones are not).
//! The catalogue adds the type's own spelling, the promise of NOT NULL, the key and the estimates.

use std::collections::{HashMap, HashSet};

use rsqoop_connector::{
    Dialect, Error, ErrorKind, RelationKind, Result, TableInfo, TableName, fill_conditions,
};

use crate::dialect::{MySqlDialect, string};
use crate::error::{self, Phase};
use crate::read::question_mark;
use crate::types::{TypeOptions, column_info};
use crate::wire::{ColumnDef, Conn, Fault};

/// Result columns of a statement, without running it.
pub(crate) fn prepared_columns(conn: &mut Conn, sql: &str) -> Result<Vec<ColumnDef>> {
    let describe = |fault| error::statement(fault, Phase::Describe);
    let statement = conn.prepare(sql).map_err(describe)?;
    conn.close(&statement).map_err(describe)?;
    if statement.params > 0 { Err(question_mark()) } else { Ok(statement.columns) }
}

/// Describes a query of the user's.
pub(crate) fn query(conn: &mut Conn, text: &str, options: TypeOptions) -> Result<TableInfo> {
    let columns = prepared_columns(conn, &fill_conditions(text, "(1 = 0)"))?;
    if columns.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "the query is not a SELECT"));
    }
    let mut seen = HashSet::new();
    for column in &columns {
        let name = column.name.trim();
        if name.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "a column of the query has no name")
                .hint("name it: SELECT expression AS name"));
        }
        // Column names are compared without case in both servers.
        if !seen.insert(name.to_lowercase()) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("the query has two columns named \"{name}\""),
            )
            .hint("give one another name: SELECT a.id, b.id AS b_id"));
        }
    }
    Ok(TableInfo {
        kind: RelationKind::Query,
        columns: columns.iter().map(|def| column_info(def, None, false, options)).collect(),
        primary_key: Vec::new(),
        estimated_rows: None,
        estimated_bytes: None,
        storage_key: None,
    })
}

/// Describes a table or view.
pub(crate) fn table(
    conn: &mut Conn,
    table: &TableName,
    database: Option<&str>,
    options: TypeOptions,
) -> Result<TableInfo> {
    let place = table.schema.as_deref().or(database).unwrap_or("(none)");
    let sql = format!("SELECT * FROM {}", MySqlDialect.quote_table(table));
    let statement = conn.prepare(&sql).map_err(|fault| not_readable(fault, table, place))?;
    conn.close(&statement).map_err(run)?;
    let schema = table.schema.as_deref().map_or_else(|| "DATABASE()".to_string(), string);
    let at = format!("table_schema = {schema} AND table_name = {}", string(&table.name));
    let facts = facts(conn, &at, &table.name)?;
    let types = catalogue_columns(conn, &at, &table.name)?;
    let base = matches!(facts.kind, RelationKind::Table | RelationKind::Partitioned);
    let columns = statement
        .columns
        .iter()
        .map(|def| {
            let found = types.get(&def.name);
            let not_null = base && found.is_some_and(|(_, not_null)| *not_null);
            column_info(def, found.map(|(name, _)| name.clone()), not_null, options)
        })
        .collect::<Vec<_>>();
    let mut primary_key = key(conn, &at, &table.name)?;
    // A key with an invisible column (MySQL's generated one) cannot be named by the user's columns.
    if !primary_key.iter().all(|name| columns.iter().any(|c| c.name == *name)) {
        primary_key.clear();
    }
    Ok(TableInfo {
        kind: facts.kind,
        columns,
        primary_key,
        estimated_rows: facts.rows,
        estimated_bytes: facts.bytes,
        storage_key: None,
    })
}

fn run(fault: Fault) -> Error {
    error::statement(fault, Phase::Run)
}

fn not_readable(fault: Fault, table: &TableName, place: &str) -> Error {
    match &fault {
        Fault::Server(e) if e.code == 1146 => {
            Error::new(ErrorKind::Usage, format!("there is no table \"{}\"", table.name))
                .context("database", place)
        }
        Fault::Server(e) if e.code == 1049 => {
            Error::new(ErrorKind::Usage, format!("there is no database \"{place}\""))
        }
        _ => error::statement(fault, Phase::Describe).context("table", table.to_string()),
    }
}

struct Facts {
    kind: RelationKind,
    rows: Option<u64>,
    bytes: Option<u64>,
}

type Rows = Vec<Vec<Option<String>>>;

/// The rows about this very table: the catalogue compares names without case even where tables
/// differ by case only. The first column is the table's name.
fn own_rows(conn: &mut Conn, sql: &str, table: &str) -> Result<Rows> {
    let rows = conn.rows(sql).map_err(run)?;
    let exact =
        |row: &Vec<Option<String>>| row.first().is_some_and(|n| n.as_deref() == Some(table));
    if rows.iter().any(exact) {
        return Ok(rows.into_iter().filter(|row| exact(row)).collect());
    }
    Ok(rows)
}

fn facts(conn: &mut Conn, at: &str, table: &str) -> Result<Facts> {
    let sql = format!(
        "SELECT table_name, table_type, table_rows, data_length, create_options \
         FROM information_schema.tables WHERE {at}"
    );
    let rows = own_rows(conn, &sql, table)?;
    let text = |i: usize| rows.first().and_then(|row| row.get(i)).and_then(|v| v.as_deref());
    let kind = match text(1) {
        Some("BASE TABLE") if text(4).is_some_and(|o| o.contains("partitioned")) => {
            RelationKind::Partitioned
        }
        Some("BASE TABLE" | "SYSTEM VERSIONED") => RelationKind::Table,
        _ => RelationKind::View,
    };
    let number = |i: usize| text(i).and_then(|t| t.parse().ok());
    Ok(Facts { kind, rows: number(2), bytes: number(3) })
}

/// Column name to type and whether it is NOT NULL.
fn catalogue_columns(
    conn: &mut Conn,
    at: &str,
    table: &str,
) -> Result<HashMap<String, (String, bool)>> {
    let sql = format!(
        "SELECT table_name, column_name, column_type, is_nullable \
         FROM information_schema.columns WHERE {at} ORDER BY ordinal_position"
    );
    let columns = own_rows(conn, &sql, table)?
        .into_iter()
        .filter_map(|row| {
            let mut row = row.into_iter().skip(1);
            let (name, kind, nullable) = (row.next()??, row.next()??, row.next()??);
            Some((name, (kind, nullable == "NO")))
        })
        .collect();
    Ok(columns)
}

fn key(conn: &mut Conn, at: &str, table: &str) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT table_name, column_name FROM information_schema.statistics \
         WHERE {at} AND index_name = 'PRIMARY' ORDER BY seq_in_index"
    );
    let rows = own_rows(conn, &sql, table)?;
    Ok(rows.into_iter().filter_map(|mut row| row.pop().flatten()).collect())
}
