//! The key by which rows are cut.

use rsqoop_connector::{ColumnInfo, ColumnKind, Dialect, Relation, Result, SplitKey, TableInfo};

use super::names::{find_column, unknown_key};
use crate::job::{JobSpec, usage};

/// A key with the reason for it, or the reason for none.
pub(super) struct KeyChoice {
    pub(super) key: Option<SplitKey>,
    pub(super) reason: String,
    pub(super) notes: Vec<String>,
}

/// Chooses `--split-by`, else the primary key's first column (Sqoop 1.4.7), else nothing.
pub(super) fn choose(
    job: &JobSpec,
    dialect: &dyn Dialect,
    relation: &Relation,
    info: &TableInfo,
) -> Result<KeyChoice> {
    let mut notes = Vec::new();
    if let Some(by) = &job.split.by {
        let key = user_key(by, dialect, relation, info)?;
        return Ok(KeyChoice { key: Some(key), reason: "--split-by names it".to_string(), notes });
    }
    let none = |reason: &str, notes: Vec<String>| {
        let reason = reason.to_string();
        Ok(KeyChoice { key: None, reason, notes })
    };
    if matches!(relation, Relation::Query(_)) {
        if job.split.workers > 1 {
            notes.push(
                "a query is read by one worker unless --split-by names a column of its result"
                    .to_string(),
            );
        }
        return none("a query without --split-by", notes);
    }
    let Some(first) = info.primary_key.first() else {
        if job.split.boundary_query.is_some() {
            return Err(usage("--boundary-query needs a key, and the table has no primary key")
                .hint("name the column with --split-by"));
        }
        if job.split.workers > 1 {
            notes.push(
                "the table has no primary key, so one worker reads it; name a column with --split-by to use more"
                    .to_string(),
            );
        }
        return none("no primary key", notes);
    };
    let column = find_column(&info.columns, first, "the primary key")?;
    if !can_split(column.kind) {
        notes.push(format!(
            "the primary key {first} is {}, which cannot be cut; one worker reads the table; name another column with --split-by to use more",
            column.native_type
        ));
        return none("the primary key's type cannot be cut", notes);
    }
    let reason = if info.primary_key.len() > 1 {
        format!("first column of the primary key ({})", info.primary_key.join(", "))
    } else {
        "primary key".to_string()
    };
    let key = SplitKey { expr: dialect.quote_ident(&column.name), column: Some(column.clone()) };
    Ok(KeyChoice { key: Some(key), reason, notes })
}

/// `--split-by` is a column, or an expression of the user's where it is no plain name.
fn user_key(
    by: &str,
    dialect: &dyn Dialect,
    relation: &Relation,
    info: &TableInfo,
) -> Result<SplitKey> {
    let by = by.trim();
    match find_column(&info.columns, by, "--split-by") {
        Ok(column) => {
            refuse_unsplittable(column)?;
            let expr = match relation {
                Relation::Table(_) => dialect.quote_ident(&column.name),
                // Inside a query only the user knows how the column is spelled.
                Relation::Query(_) => by.to_string(),
            };
            Ok(SplitKey { expr, column: Some(column.clone()) })
        }
        Err(_) if is_plain_name(by) => Err(unknown_key(by, info)),
        Err(_) => {
            let last = by.rsplit('.').next().unwrap_or(by).trim_matches(['"', '`']);
            let qualified = by.split('.').all(|part| is_plain_name(part.trim_matches(['"', '`'])));
            let column = info.columns.iter().find(|c| qualified && c.name == last).cloned();
            if let Some(column) = &column {
                refuse_unsplittable(column)?;
            }
            Ok(SplitKey { expr: by.to_string(), column })
        }
    }
}

fn refuse_unsplittable(column: &ColumnInfo) -> Result<()> {
    if can_split(column.kind) {
        return Ok(());
    }
    Err(usage(format!(
        "--split-by {} is {}, which cannot be cut into ranges",
        column.name, column.native_type
    ))
    .hint("split by a column of another type, or read with -m 1"))
}

fn can_split(kind: ColumnKind) -> bool {
    !matches!(kind, ColumnKind::Json | ColumnKind::List)
}

fn is_plain_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
}
