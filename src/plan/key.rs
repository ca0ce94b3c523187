//! The key by which rows are cut.

use rsqoop_connector::{
    ColumnInfo, ColumnKind, Consistency, Dialect, Relation, Result, SplitKey, StorageKey, TableInfo,
};

use super::names::{find_column, unknown_key};
use crate::job::{JobSpec, usage};

/// A key with the reason for it, or the reason for none.
pub(super) struct KeyChoice {
    pub(super) key: Option<SplitKey>,
    pub(super) reason: String,
    pub(super) notes: Vec<String>,
    /// Every row has a key, whatever the catalogue says of its column.
    pub(super) total: bool,
    /// It is where the rows lie, which is another place in another state of the table.
    pub(super) by_place: bool,
}

impl KeyChoice {
    fn none(reason: &str, notes: Vec<String>) -> Self {
        KeyChoice { key: None, reason: reason.to_string(), notes, total: false, by_place: false }
    }
}

/// Chooses `--split-by`, else the primary key, else where the rows lie, else nothing. Sqoop 1.4.7
/// takes the first column of a primary key of several; all of them cut more evenly.
pub(super) fn choose(
    job: &JobSpec,
    dialect: &dyn Dialect,
    relation: &Relation,
    info: &TableInfo,
) -> Result<KeyChoice> {
    if let Some(by) = &job.split.by {
        let key = Some(user_key(by, dialect, relation, info)?);
        let reason = "--split-by names it".to_string();
        return Ok(KeyChoice { key, reason, notes: Vec::new(), total: false, by_place: false });
    }
    if matches!(relation, Relation::Query(_)) {
        let note = "a query is read by one worker unless --split-by names a column of its result";
        let notes = if job.split.workers > 1 { vec![note.to_string()] } else { Vec::new() };
        return Ok(KeyChoice::none("a query without --split-by", notes));
    }
    // A boundary query and a limit on the width speak of a column's values.
    let by_values = job.split.boundary_query.is_some() || job.split.limit > 0;
    // Without a common state a row that is updated meanwhile may be in two places, or in none.
    let storage = info.storage_key.as_ref().filter(|_| job.consistency != Consistency::None);
    if let Some(storage) = storage
        && let Some(why) = &storage.preferred
        && !by_values
    {
        return Ok(by_storage(storage, why));
    }
    let primary = primary_key(info, by_values)?;
    let (columns, problem) = match primary {
        Some(columns) if columns.iter().all(|c| can_split(c.kind)) => (columns, None),
        Some(columns) => {
            let bad = columns.iter().find(|c| !can_split(c.kind)).unwrap_or(&columns[0]);
            let why =
                format!("the primary key {} is {}, which cannot be cut", bad.name, bad.native_type);
            (Vec::new(), Some(("the primary key's type cannot be cut", why)))
        }
        None => (Vec::new(), Some(("no primary key", "the table has no primary key".to_string()))),
    };
    let Some((short, why)) = problem else {
        let reason = match info.primary_key.as_slice() {
            [_] => "primary key".to_string(),
            all if columns.len() == 1 => {
                format!("first column of the primary key ({})", all.join(", "))
            }
            _ => "primary key, compared as a row".to_string(),
        };
        let key = match columns.as_slice() {
            [one] => SplitKey::new(dialect.quote_ident(&one.name), Some(one.clone())),
            _ => SplitKey::of_row(dialect, columns),
        };
        let total = !key.row.is_empty();
        return Ok(KeyChoice { key: Some(key), reason, notes: Vec::new(), total, by_place: false });
    };
    match storage {
        Some(storage) if !by_values && !job.split.autoreset => Ok(by_storage(storage, short)),
        _ if job.split.boundary_query.is_some() => {
            Err(usage(format!("--boundary-query needs a key, and {why}"))
                .hint("name the column with --split-by"))
        }
        _ => {
            let note =
                format!("{why}, so one worker reads it; name a column with --split-by to use more");
            let notes = if job.split.workers > 1 { vec![note] } else { Vec::new() };
            Ok(KeyChoice::none(short, notes))
        }
    }
}

fn by_storage(storage: &StorageKey, why: &str) -> KeyChoice {
    KeyChoice {
        key: Some(SplitKey::new(storage.expr.clone(), None)),
        reason: format!("where the rows lie, since {why}"),
        notes: Vec::new(),
        total: true,
        by_place: true,
    }
}

/// The columns of the primary key by which rows are cut: all of them where none can be NULL, the
/// first one otherwise.
fn primary_key(info: &TableInfo, by_values: bool) -> Result<Option<Vec<ColumnInfo>>> {
    let columns = info
        .primary_key
        .iter()
        .map(|name| find_column(&info.columns, name, "the primary key").cloned())
        .collect::<Result<Vec<_>>>()?;
    let rowwise = !by_values && columns.iter().all(|c| !c.nullable && can_split(c.kind));
    Ok(match columns.as_slice() {
        [] => None,
        [first, ..] if !rowwise => Some(vec![first.clone()]),
        _ => Some(columns),
    })
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
            Ok(SplitKey::new(expr, Some(column.clone())))
        }
        Err(_) if is_plain_name(by) => Err(unknown_key(by, info)),
        Err(_) => {
            let last = by.rsplit('.').next().unwrap_or(by).trim_matches(['"', '`']);
            let qualified = by.split('.').all(|part| is_plain_name(part.trim_matches(['"', '`'])));
            let column = info.columns.iter().find(|c| qualified && c.name == last).cloned();
            if let Some(column) = &column {
                refuse_unsplittable(column)?;
            }
            Ok(SplitKey::new(by, column))
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
