//! What the catalogue says of tables: columns, key, estimates. And the look-up of types, which
//! queries need too.

use std::collections::HashMap;

use rsqoop_connector::{
    ColumnInfo, Error, ErrorKind, Relation, RelationKind, Result, TableInfo, TableName,
};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::postgres::types::Oid;

use crate::describe;
use crate::dialect::quote_ident;
use crate::error;
use crate::link::{Link, Switch};
use crate::storage;
use crate::types::{self, PgType};

/// A relation found by its name.
#[derive(Debug)]
pub(crate) struct Found {
    oid: Oid,
    schema: String,
    name: String,
    /// `pg_class.relkind`.
    relkind: String,
    has_children: bool,
    readable: bool,
}

impl Found {
    /// Schema and name, quoted.
    pub(crate) fn qualified(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }

    /// Whether it or its children hold rows themselves.
    pub(crate) fn has_storage(&self) -> bool {
        matches!(self.relkind.as_str(), "r" | "p" | "m")
    }

    /// Whether `LOCK TABLE` takes it for itself: views would stand for others.
    pub(crate) fn is_lockable(&self) -> bool {
        matches!(self.relkind.as_str(), "r" | "p")
    }

    pub(crate) fn oid(&self) -> Oid {
        self.oid
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn has_children(&self) -> bool {
        self.has_children
    }

    fn kind(&self) -> RelationKind {
        match self.relkind.as_str() {
            "p" => RelationKind::Partitioned,
            "r" if self.has_children => RelationKind::Partitioned,
            "r" | "m" => RelationKind::Table,
            _ => RelationKind::View,
        }
    }

    /// Whether NOT NULL of a column holds for every row. A child table may have dropped an
    /// inherited NOT NULL before PostgreSQL 18, and nobody checks that of a foreign table.
    fn keeps_not_null(&self) -> bool {
        self.relkind == "p" || (self.relkind == "r" && !self.has_children)
    }
}

const FIND: &str = "SELECT c.oid, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, \
    c.relkind::pg_catalog.text, c.relhassubclass, \
    pg_catalog.has_any_column_privilege(c.oid, 'SELECT') \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
    AND CASE WHEN $2::pg_catalog.text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) \
    ELSE n.nspname = $2 END";

/// Finds a table or view by its exact name.
pub(crate) fn find(link: &mut Link, table: &TableName) -> Result<Found> {
    let row = link.run(async |c| {
        sqlx::query(FIND)
            .persistent(false)
            .bind(&table.name)
            .bind(table.schema.as_deref())
            .fetch_optional(c)
            .await
    })?;
    let Some(row) = row else {
        let error = Error::new(ErrorKind::Usage, format!("there is no table \"{}\"", table.name));
        return Err(match &table.schema {
            Some(schema) => error.context("schema", schema),
            None => error.hint(
                "a table outside the search path needs its schema: --schema, or currentSchema \
                 in the URL",
            ),
        });
    };
    found(&row).map_err(error::statement)
}

fn found(row: &PgRow) -> Result<Found, sqlx::Error> {
    Ok(Found {
        oid: row.try_get(0)?,
        schema: row.try_get(1)?,
        name: row.try_get(2)?,
        relkind: row.try_get(3)?,
        has_children: row.try_get(4)?,
        readable: row.try_get(5)?,
    })
}

/// Describes a table or view.
pub(crate) fn describe(link: &mut Link, table: &TableName) -> Result<TableInfo> {
    let found = find(link, table)?;
    if !found.readable {
        return Err(Error::new(
            ErrorKind::Auth,
            format!("permission denied for table {}", found.name),
        )
        .hint("grant the user SELECT on it"));
    }
    let columns = columns(link, &found)?;
    let primary_key = primary_key(link, &found)?;
    let (estimated_rows, estimated_bytes) = if found.kind() == RelationKind::View {
        let sql = format!("SELECT * FROM {}", found.qualified());
        let plan =
            link.read_only(|link| link.without(Switch::Jit, |link| describe::explain(link, &sql)))?;
        (plan.and_then(|plan| plan.rows), None)
    } else {
        estimates(link, &found)?
    };
    Ok(TableInfo {
        kind: found.kind(),
        columns,
        storage_key: storage::key(link, &found, &primary_key)?,
        primary_key,
        estimated_rows,
        estimated_bytes,
    })
}

/// A column before its type is looked up.
#[derive(Debug, Clone)]
pub(crate) struct RawColumn {
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    pub(crate) modifier: i32,
    pub(crate) not_null: bool,
}

// From PostgreSQL 18 a NOT NULL may be there without having been checked.
const COLUMNS: &str = "SELECT a.attname::pg_catalog.text, a.atttypid, a.atttypmod, \
    a.attnotnull AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k \
    WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND NOT k.convalidated \
    AND k.conkey[1] = a.attnum) \
    FROM pg_catalog.pg_attribute a \
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

fn columns(link: &mut Link, found: &Found) -> Result<Vec<ColumnInfo>> {
    let rows = link
        .run(async |c| sqlx::query(COLUMNS).persistent(false).bind(found.oid).fetch_all(c).await)?;
    let keeps = found.keeps_not_null();
    let raw: Vec<RawColumn> = rows
        .iter()
        .map(|row| {
            Ok(RawColumn {
                name: row.try_get(0)?,
                type_oid: row.try_get::<Oid, _>(1)?.0,
                modifier: row.try_get(2)?,
                not_null: row.try_get::<bool, _>(3)? && keeps,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(error::statement)?;
    resolve(link, &raw)
}

const PRIMARY_KEY: &str = "SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_index i \
    CROSS JOIN LATERAL pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k (attnum, n) \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
    WHERE i.indrelid = $1 AND i.indisprimary ORDER BY k.n";

fn primary_key(link: &mut Link, found: &Found) -> Result<Vec<String>> {
    let rows = link.run(async |c| {
        sqlx::query(PRIMARY_KEY).persistent(false).bind(found.oid).fetch_all(c).await
    })?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(error::statement)
}

// A table that was never analysed has -1 rows, or before PostgreSQL 14 no pages and no rows.
const ESTIMATES: &str = "WITH RECURSIVE t (oid) AS (SELECT $1::pg_catalog.oid UNION \
    SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN t ON i.inhparent = t.oid) \
    SELECT pg_catalog.sum(CASE WHEN c.reltuples >= 0 AND (c.reltuples > 0 OR \
    pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 140000) \
    THEN c.reltuples END)::pg_catalog.float8, \
    pg_catalog.sum(pg_catalog.pg_table_size(c.oid))::pg_catalog.float8 \
    FROM t JOIN pg_catalog.pg_class c ON c.oid = t.oid WHERE c.relkind IN ('r', 'm')";

fn estimates(link: &mut Link, found: &Found) -> Result<(Option<u64>, Option<u64>)> {
    let row = link.run(async |c| {
        sqlx::query(ESTIMATES).persistent(false).bind(found.oid).fetch_one(c).await
    })?;
    let number = |index: usize| -> Result<Option<u64>> {
        let value: Option<f64> = row.try_get(index).map_err(error::statement)?;
        Ok(value.and_then(whole))
    };
    Ok((number(0)?, number(1)?))
}

/// An estimate as a whole number, for which the text of a float is exact enough.
pub(crate) fn whole(value: f64) -> Option<u64> {
    format!("{value:.0}").parse().ok()
}

const TYPES: &str = "WITH RECURSIVE t AS (\
    SELECT p.* FROM pg_catalog.pg_type p WHERE p.oid = ANY ($1) UNION \
    SELECT p.* FROM pg_catalog.pg_type p JOIN t ON p.oid IN (t.typbasetype, t.typelem)) \
    SELECT t.oid, t.typtype::pg_catalog.text, t.typbasetype, t.typtypmod, \
    CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END::pg_catalog.oid, \
    t.typtype = 'e' OR t.typname = 'citext' FROM t";

const NAMES: &str = "SELECT pg_catalog.format_type(k.o, k.m) \
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), \
    pg_catalog.unnest($2::pg_catalog.int4[])) WITH ORDINALITY AS k (o, m, n) ORDER BY k.n";

/// A row of `pg_type`, as far as it matters.
#[derive(Debug)]
struct TypeRow {
    base: Option<u32>,
    base_modifier: i32,
    element: Option<u32>,
    textual: bool,
}

/// Looks up the types of columns and decides how each is carried.
pub(crate) fn resolve(link: &mut Link, columns: &[RawColumn]) -> Result<Vec<ColumnInfo>> {
    let oids: Vec<Oid> = columns.iter().map(|c| Oid(c.type_oid)).collect();
    let modifiers: Vec<i32> = columns.iter().map(|c| c.modifier).collect();
    let rows =
        link.run(async |c| sqlx::query(TYPES).persistent(false).bind(&oids).fetch_all(c).await)?;
    let known: HashMap<u32, TypeRow> =
        rows.iter().map(type_row).collect::<Result<_, sqlx::Error>>().map_err(error::statement)?;
    let names = link.run(async |c| {
        sqlx::query(NAMES).persistent(false).bind(&oids).bind(&modifiers).fetch_all(c).await
    })?;
    columns
        .iter()
        .zip(&names)
        .map(|(column, name)| {
            let name: Option<String> = name.try_get(0).map_err(error::statement)?;
            let carried = types::carried(&pg_type(&known, column.type_oid, column.modifier));
            Ok(ColumnInfo {
                name: column.name.clone(),
                native_type: name.unwrap_or_default(),
                native_code: carried.native_code,
                kind: carried.kind,
                data_type: carried.data_type,
                extension: carried.extension,
                nullable: !column.not_null,
            })
        })
        .collect()
}

fn type_row(row: &PgRow) -> Result<(u32, TypeRow), sqlx::Error> {
    let present = |oid: Oid| Some(oid.0).filter(|o| *o != 0);
    let is_domain = row.try_get::<String, _>(1)? == "d";
    let base = present(row.try_get(2)?).filter(|_| is_domain);
    Ok((
        row.try_get::<Oid, _>(0)?.0,
        TypeRow {
            base,
            base_modifier: row.try_get(3)?,
            element: present(row.try_get(4)?),
            textual: row.try_get(5)?,
        },
    ))
}

/// Looks through domains, whose own modifier is the one that counts, and into arrays.
fn pg_type(known: &HashMap<u32, TypeRow>, oid: u32, modifier: i32) -> PgType {
    let (mut oid, mut modifier) = (oid, modifier);
    while let Some(TypeRow { base: Some(base), base_modifier, .. }) = known.get(&oid) {
        if *base_modifier != -1 {
            modifier = *base_modifier;
        }
        oid = *base;
    }
    let row = known.get(&oid);
    PgType {
        oid,
        modifier,
        textual: row.is_some_and(|r| r.textual),
        element: row
            .and_then(|r| r.element)
            .map(|element| Box::new(pg_type(known, element, modifier))),
    }
}

/// The single column that a key expression makes, for keys that are no plain column.
pub(crate) fn key_column(link: &mut Link, relation: &Relation, sql: &str) -> Result<ColumnInfo> {
    let mut columns = describe::columns(link, sql)?;
    match (columns.pop(), columns.is_empty()) {
        (Some(column), true) => Ok(column),
        _ => Err(Error::new(ErrorKind::Usage, "the split key is not one expression").context(
            "relation",
            match relation {
                Relation::Table(table) => table.to_string(),
                Relation::Query(_) => "query".to_string(),
            },
        )),
    }
}
