//! What a query of the user's answers: its columns, without running it.
//!
//! sqlx tells a result column's type but not its modifier, without which `numeric(10,2)` is a
//! numeric of any size. It is found in two other places: in the catalogue for a column that comes
//! straight from a table, and in the plan for one that ends in a cast.

use std::collections::HashSet;

use rsqoop_connector::{
    ColumnInfo, Error, ErrorKind, RelationKind, Result, TableInfo, fill_conditions,
};
use sqlx::postgres::types::Oid;
use sqlx::{AssertSqlSafe, Column, Connection, Executor, Row, SqlSafeStr, Statement};

use crate::catalog::{self, RawColumn};
use crate::error;
use crate::link::{Link, Switch};
use crate::types::oid;

/// A prepared statement's result column.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    /// Table and column number it comes from.
    origin: Option<(u32, i16)>,
    /// -1 when it is not known.
    pub(crate) modifier: i32,
}

/// Describes a query.
pub(crate) fn query(link: &mut Link, text: &str) -> Result<TableInfo> {
    let explained = fill_conditions(text, "(1 = 1)");
    let described = fill_conditions(text, "(1 = 0)");
    let (columns, plan) = link.read_only(|link| {
        let mut prepared = prepare(link, &described)?;
        check_names(&prepared)?;
        let plan = link.without(Switch::Jit, |link| explain(link, &explained))?;
        if let Some(plan) = &plan {
            for (column, output) in prepared.iter_mut().zip(&plan.output) {
                if column.type_oid == oid::NUMERIC && column.modifier == -1 {
                    column.modifier = cast_modifier(output).unwrap_or(-1);
                }
            }
        }
        Ok((resolve(link, &prepared)?, plan))
    })?;
    Ok(TableInfo {
        kind: RelationKind::Query,
        columns,
        primary_key: Vec::new(),
        estimated_rows: plan.and_then(|plan| plan.rows),
        estimated_bytes: None,
        storage_key: None,
    })
}

/// The columns of a statement of the connector's own.
pub(crate) fn columns(link: &mut Link, sql: &str) -> Result<Vec<ColumnInfo>> {
    let prepared = prepare(link, sql)?;
    resolve(link, &prepared)
}

fn resolve(link: &mut Link, prepared: &[Prepared]) -> Result<Vec<ColumnInfo>> {
    let raw: Vec<RawColumn> = prepared
        .iter()
        .map(|column| RawColumn {
            name: column.name.clone(),
            type_oid: column.type_oid,
            modifier: column.modifier,
            not_null: false,
        })
        .collect();
    catalog::resolve(link, &raw)
}

const MODIFIERS: &str = "SELECT k.n::pg_catalog.int4, a.atttypid, a.atttypmod \
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), \
    pg_catalog.unnest($2::pg_catalog.int2[])) WITH ORDINALITY AS k (r, c, n) \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = k.r AND a.attnum = k.c";

/// Lets the server parse a statement and tell its columns.
pub(crate) fn prepare(link: &mut Link, sql: &str) -> Result<Vec<Prepared>> {
    let statement = AssertSqlSafe(sql.to_string()).into_sql_str();
    let mut columns = link.run(async |c| {
        let prepared = (&mut *c).prepare(statement).await?;
        let columns: Vec<Prepared> = prepared
            .columns()
            .iter()
            .map(|column| Prepared {
                name: column.name().to_string(),
                type_oid: column.type_info().oid().map_or(0, |oid| oid.0),
                origin: column
                    .relation_id()
                    .map(|relation| relation.0)
                    .zip(column.relation_attribute_no()),
                modifier: -1,
            })
            .collect();
        // A statement that stays prepared would answer for a table that has changed since.
        c.clear_cached_statements().await?;
        Ok(columns)
    })?;
    let known: Vec<(usize, (u32, i16))> =
        columns.iter().enumerate().filter_map(|(i, c)| Some((i, c.origin?))).collect();
    if known.is_empty() {
        return Ok(columns);
    }
    let relations: Vec<Oid> = known.iter().map(|(_, (relation, _))| Oid(*relation)).collect();
    let numbers: Vec<i16> = known.iter().map(|(_, (_, number))| *number).collect();
    let rows = link.run(async |c| {
        sqlx::query(MODIFIERS).persistent(false).bind(relations).bind(numbers).fetch_all(c).await
    })?;
    for row in rows {
        let number: i32 = row.try_get(0).map_err(error::statement)?;
        let type_oid: Oid = row.try_get(1).map_err(error::statement)?;
        let modifier = row.try_get(2).map_err(error::statement)?;
        let place = usize::try_from(number - 1).ok().and_then(|n| known.get(n));
        if let Some((index, _)) = place
            && columns[*index].type_oid == type_oid.0
        {
            columns[*index].modifier = modifier;
        }
    }
    Ok(columns)
}

fn check_names(columns: &[Prepared]) -> Result<()> {
    if columns.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "the query returns no columns"));
    }
    let mut seen = HashSet::new();
    for (index, column) in columns.iter().enumerate() {
        if column.name.is_empty() {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("column {} of the query has no name", index + 1),
            )
            .hint("give it one with AS"));
        }
        if !seen.insert(column.name.as_str()) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("the query has several columns named \"{}\"", column.name),
            )
            .hint("give each its own name with AS"));
        }
    }
    Ok(())
}

/// What the planner says of a statement.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rows: Option<u64>,
    /// The expressions of the result columns as the server spells them.
    pub(crate) output: Vec<String>,
}

/// Asks for the plan; a statement that cannot be explained has none.
pub(crate) fn explain(link: &mut Link, sql: &str) -> Result<Option<Plan>> {
    let sql = format!("EXPLAIN (VERBOSE, FORMAT JSON) {sql}");
    let text = link.optional(|link| {
        let sql = AssertSqlSafe(sql);
        // By the simple protocol, since the binary form of json is its text anyway.
        link.run(async |c| {
            let row = sqlx::raw_sql(sql).fetch_one(c).await?;
            let value = row.try_get_raw(0)?;
            value.as_str().map(str::to_string).map_err(sqlx::Error::Decode)
        })
    })?;
    Ok(text.as_deref().and_then(plan))
}

fn plan(text: &str) -> Option<Plan> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let top = json.get(0)?.get("Plan")?;
    let output = top.get("Output").and_then(|o| o.as_array()).cloned().unwrap_or_default();
    Some(Plan {
        rows: top.get("Plan Rows").and_then(serde_json::Value::as_f64).and_then(catalog::whole),
        output: output.iter().filter_map(|o| o.as_str().map(str::to_string)).collect(),
    })
}

/// The modifier of an expression that is as a whole a cast to `numeric(p,s)`: `(…)::numeric(p,s)`
/// with the first parenthesis closed by the one before the cast.
fn cast_modifier(expression: &str) -> Option<i32> {
    let rest = &expression[closing(expression)? + 1..];
    let size = rest.strip_prefix("::numeric(")?.strip_suffix(')')?;
    let (precision, scale) = size.split_once(',')?;
    let (precision, scale): (i32, i32) = (precision.parse().ok()?, scale.parse().ok()?);
    (0..=1000).contains(&precision).then_some(((precision << 16) | (scale & 0x7ff)) + 4)
}

/// Where the parenthesis at the beginning is closed; those in quotes do not count.
fn closing(expression: &str) -> Option<usize> {
    if !expression.starts_with('(') {
        return None;
    }
    let mut depth = 0usize;
    let mut quote = None;
    for (at, c) in expression.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cast_around_the_whole_expression_is_seen() {
        let want = Some(((10 << 16) | 2) + 4);
        assert_eq!(cast_modifier("(((a * b)))::numeric(10,2)"), want);
        assert_eq!(cast_modifier("((a || ')('::text))::numeric(10,2)"), want);
        for other in [
            "(a + (b)::numeric(10,2))",
            "(a)::numeric(10,2) + (b)::numeric(10,2)",
            "a",
            "(a)::numeric",
            "('it''s)'::text)::numeric(10,2",
            "",
        ] {
            assert_eq!(cast_modifier(other), None, "{other}");
        }
    }

    #[test]
    fn plans_are_read() {
        let text = r#"[{"Plan": {"Node Type": "Result", "Plan Rows": 12, "Output": ["a", "b"]}}]"#;
        let plan = plan(text).unwrap();
        assert_eq!((plan.rows, plan.output.len()), (Some(12), 2));
        assert!(super::plan("[\"Utility Statement\"]").is_none());
    }
}
