//! What is in a database file: tables, columns, keys, and cheap estimates of size.

use rsqoop_connector::{
    ColumnInfo, Dialect, Error, ErrorKind, Relation, RelationKind, Result, StorageKey, TableInfo,
    TableName, fill_conditions,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::dialect::SqliteDialect;
use crate::{error, read, types};

/// The name of the opened file's schema.
const MAIN: &str = "main";
/// Above this many tables the share of one of them is not estimated.
const ESTIMATE_TABLES_MAX: usize = 100;
/// From this many rows on, reading by a key's own index, which fetches each row from elsewhere in the
/// file, is so much slower than reading by rowid that the rowid is proposed.
const SEPARATE_KEY_ROWS: u64 = 100_000;

/// Names of the attached databases.
pub(crate) fn databases(conn: &Connection) -> Result<Vec<String>> {
    names(conn, "SELECT name FROM pragma_database_list ORDER BY seq")
}

/// Names of the tables of a schema in the order they were created.
pub(crate) fn tables(conn: &Connection, schema: &str) -> Result<Vec<String>> {
    let schema = SqliteDialect.quote_ident(schema);
    names(
        conn,
        &format!(
            "SELECT name FROM {schema}.sqlite_schema WHERE type = 'table' \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
        ),
    )
}

/// The first column of a catalogue query.
fn names(conn: &Connection, sql: &str) -> Result<Vec<String>> {
    let mut statement = conn.prepare(sql).map_err(error::prepare)?;
    let rows = statement.query_map([], |row| row.get(0)).map_err(error::step)?;
    rows.collect::<rusqlite::Result<_>>().map_err(error::step)
}

/// Describes a table, a view or a query.
pub(crate) fn describe(conn: &Connection, what: &Relation) -> Result<TableInfo> {
    match what {
        Relation::Table(name) => describe_table(conn, name),
        Relation::Query(text) => describe_query(conn, text),
    }
}

fn describe_query(conn: &Connection, text: &str) -> Result<TableInfo> {
    let statement = read::prepare(conn, &fill_conditions(text, "(1 = 0)"))?;
    let names = statement.column_names();
    for (index, name) in names.iter().enumerate() {
        // A statement around the query would read the first of the two for both.
        if names[..index].iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("the query has two columns named \"{name}\", and SQLite compares names without case"),
            )
            .hint("name one of them otherwise in the query, with AS"));
        }
    }
    let columns = statement
        .columns()
        .iter()
        .map(|c| types::column(c.name(), c.decl_type().unwrap_or(""), true))
        .collect();
    Ok(TableInfo {
        kind: RelationKind::Query,
        columns,
        primary_key: Vec::new(),
        estimated_rows: None,
        estimated_bytes: None,
        storage_key: None,
    })
}

/// What `pragma_table_list` says of a table.
struct Listed {
    table: TableName,
    is_view: bool,
    has_rowid: bool,
}

fn describe_table(conn: &Connection, name: &TableName) -> Result<TableInfo> {
    let listed = find(conn, name)?
        .ok_or_else(|| Error::new(ErrorKind::Usage, format!("there is no table \"{name}\"")))?;
    let schema = listed.table.schema.as_deref().unwrap_or(MAIN);
    // A rowid table's primary key that has no index of its own is the rowid: never NULL. Any other
    // may hold NULL unless it is declared NOT NULL (https://sqlite.org/lang_createtable.html 3.5).
    let key_has_index: bool = conn
        .query_row(
            "SELECT count(*) > 0 FROM pragma_index_list(?1, ?2) WHERE origin = 'pk'",
            params![listed.table.name, schema],
            |row| row.get(0),
        )
        .map_err(error::step)?;
    let key_is_rowid = listed.has_rowid && !key_has_index;
    let mut statement = conn
        .prepare(
            "SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?1, ?2) \
             WHERE hidden <> 1 ORDER BY cid",
        )
        .map_err(error::prepare)?;
    let rows = statement
        .query_map(params![listed.table.name, schema], |row| {
            let (name, declared): (String, String) = (row.get(0)?, row.get(1)?);
            let (not_null, key): (bool, i64) = (row.get(2)?, row.get(3)?);
            let nullable = !(not_null || key > 0 && key_is_rowid);
            Ok((key, types::column(&name, &declared, nullable)))
        })
        .map_err(error::step)?
        .collect::<rusqlite::Result<Vec<_>>>()
        .map_err(error::prepare)?;
    let mut key: Vec<(i64, String)> =
        rows.iter().filter(|(n, _)| *n > 0).map(|(n, c)| (*n, c.name.clone())).collect();
    key.sort_unstable();
    let mut columns: Vec<ColumnInfo> = rows.into_iter().map(|(_, column)| column).collect();
    if listed.is_view {
        without_invented_types(conn, &listed.table, &mut columns)?;
    }
    let (estimated_rows, estimated_bytes) = estimates(conn, &listed, &columns);
    let storage_key =
        listed.has_rowid.then(|| storage_key(&columns, key_has_index, estimated_rows));
    Ok(TableInfo {
        kind: if listed.is_view { RelationKind::View } else { RelationKind::Table },
        columns,
        primary_key: key.into_iter().map(|(_, name)| name).collect(),
        estimated_rows,
        estimated_bytes,
        storage_key: storage_key.flatten(),
    })
}

/// The name of the rowid, where a column of the user's has not taken all three. It is spelled without
/// quotes: in quotes a name that is no column's is none at all.
fn rowid_name(columns: &[&str]) -> Option<&'static str> {
    ["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|name| !columns.iter().any(|c| c.eq_ignore_ascii_case(name)))
}

fn storage_key(
    columns: &[ColumnInfo],
    key_has_index: bool,
    rows: Option<u64>,
) -> Option<StorageKey> {
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let expr = rowid_name(&names)?.to_string();
    let preferred = (key_has_index && rows.is_some_and(|rows| rows >= SEPARATE_KEY_ROWS))
        .then(|| "the primary key is an index apart from the rows, which lie by rowid".to_string());
    Some(StorageKey { expr, preferred })
}

/// For a view's column that has no declared type the pragma says `BLOB`, though it may hold anything.
fn without_invented_types(
    conn: &Connection,
    view: &TableName,
    columns: &mut [ColumnInfo],
) -> Result<()> {
    let sql = format!("SELECT * FROM {}", SqliteDialect.quote_table(view));
    let statement = read::prepare(conn, &sql)?;
    for (info, column) in columns.iter_mut().zip(statement.columns()) {
        if info.native_type == "BLOB" && column.decl_type().is_none() {
            *info = types::column(&info.name, "", info.nullable);
        }
    }
    Ok(())
}

/// Looks a table up as SQLite does: without case, temporary ones and the main file first.
fn find(conn: &Connection, name: &TableName) -> Result<Option<Listed>> {
    conn.query_row(
        "SELECT l.schema, l.name, l.type, l.wr FROM pragma_table_list(?1) AS l \
         JOIN pragma_database_list AS d ON d.name = l.schema \
         WHERE l.name = ?1 COLLATE NOCASE AND (?2 IS NULL OR l.schema = ?2 COLLATE NOCASE) \
         ORDER BY d.name <> 'temp', d.seq LIMIT 1",
        params![name.name, name.schema],
        |row| {
            let (kind, without_rowid): (String, bool) = (row.get(2)?, row.get(3)?);
            Ok(Listed {
                table: TableName { schema: Some(row.get(0)?), name: row.get(1)? },
                is_view: kind == "view",
                has_rowid: !without_rowid && (kind == "table" || kind == "shadow"),
            })
        },
    )
    .optional()
    .map_err(error::prepare)
}

/// Rows and bytes by what costs next to nothing: the statistics of `ANALYZE`, the largest rowid, and
/// the table's share of the file by rows. Whatever fails here is only an estimate less.
fn estimates(
    conn: &Connection,
    table: &Listed,
    columns: &[ColumnInfo],
) -> (Option<u64>, Option<u64>) {
    let schema = table.table.schema.as_deref().unwrap_or(MAIN);
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let rows = analyzed_rows(conn, schema, &table.table.name).or_else(|| {
        table.has_rowid.then(|| largest_rowid(conn, schema, &table.table.name, &names))?
    });
    let bytes = rows.and_then(|rows| {
        let file: u64 =
            pragma(conn, schema, "page_count")?.checked_mul(pragma(conn, schema, "page_size")?)?;
        let all = tables(conn, schema).ok().filter(|t| t.len() <= ESTIMATE_TABLES_MAX)?;
        let total: u64 = all
            .iter()
            .filter_map(|t| {
                analyzed_rows(conn, schema, t).or_else(|| largest_rowid(conn, schema, t, &[]))
            })
            .fold(0, u64::saturating_add);
        let share = u128::from(file) * u128::from(rows) / u128::from(total.max(rows).max(1));
        u64::try_from(share).ok()
    });
    (rows, bytes)
}

fn analyzed_rows(conn: &Connection, schema: &str, table: &str) -> Option<u64> {
    let schema = SqliteDialect.quote_ident(schema);
    let sql =
        format!("SELECT max(CAST(stat AS INTEGER)) FROM {schema}.sqlite_stat1 WHERE tbl = ?1");
    let rows: Option<i64> = conn.query_row(&sql, [table], |row| row.get(0)).ok()?;
    u64::try_from(rows?).ok()
}

fn largest_rowid(conn: &Connection, schema: &str, table: &str, columns: &[&str]) -> Option<u64> {
    let rowid = rowid_name(columns)?;
    let table = TableName { schema: Some(schema.to_string()), name: table.to_string() };
    let sql = format!("SELECT max({rowid}) FROM {}", SqliteDialect.quote_table(&table));
    let largest: Option<i64> = conn.query_row(&sql, [], |row| row.get(0)).ok()?;
    Some(u64::try_from(largest.unwrap_or(0)).unwrap_or(0))
}

fn pragma(conn: &Connection, schema: &str, name: &str) -> Option<u64> {
    let value: i64 = conn.pragma_query_value(Some(schema), name, |row| row.get(0)).ok()?;
    u64::try_from(value).ok()
}
