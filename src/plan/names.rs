//! Names of tables and columns: found exactly, else without case, else refused with near ones.

use rsqoop_connector::{
    ColumnInfo, Error, ErrorKind, Relation, Result, Session, TableInfo, TableName,
};

use super::refuse_empty_columns;
use crate::job::usage;

/// Names listed in a hint at most.
const LISTED: usize = 12;

/// Describes a relation; a dotted table name is a schema and a table, or else a table whose name has a dot.
pub(super) fn describe(
    relation: &Relation,
    session: &mut dyn Session,
) -> Result<(Relation, TableInfo)> {
    let first = match session.describe(relation) {
        Ok(info) => {
            refuse_empty_columns(&info.columns, &super::relation_label(relation))?;
            refuse_same_names(&info.columns)?;
            return Ok((relation.clone(), info));
        }
        Err(error) => error,
    };
    let Relation::Table(table) = relation else { return Err(first) };
    if first.kind() != ErrorKind::Usage {
        return Err(first);
    }
    if table.schema.is_some() {
        let dotted = Relation::Table(TableName::new(table.to_string()));
        if let Ok(info) = session.describe(&dotted) {
            refuse_empty_columns(&info.columns, &super::relation_label(&dotted))?;
            return Ok((dotted, info));
        }
    }
    let known = session.tables(table.schema.as_deref()).unwrap_or_default();
    Err(first.replace_hint(hint_of(&table.name, &known, "tables there")))
}

/// A query may give two columns one name. Files would hold both under it, and a statement around the
/// query would read the first one twice; Sqoop 1.4.7 refuses it too.
fn refuse_same_names(columns: &[ColumnInfo]) -> Result<()> {
    for (index, column) in columns.iter().enumerate() {
        if columns[..index].iter().any(|c| c.name == column.name) {
            return Err(usage(format!("the query gives two columns the name {:?}", column.name))
                .hint("name one of them otherwise in the query, with AS"));
        }
    }
    Ok(())
}

/// The columns the user asked for, in that order; all of them when none are named.
pub(super) fn choose_columns(info: &TableInfo, wanted: &[String]) -> Result<Vec<ColumnInfo>> {
    if wanted.is_empty() {
        return Ok(info.columns.clone());
    }
    let mut chosen: Vec<ColumnInfo> = Vec::with_capacity(wanted.len());
    for name in wanted {
        let column = find_column(&info.columns, name, "--columns")?;
        if chosen.iter().any(|c| c.name == column.name) {
            return Err(usage(format!("--columns names {:?} twice", column.name)));
        }
        chosen.push(column.clone());
    }
    Ok(chosen)
}

/// Whether two names are one for a flag: Sqoop looks types up without case.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

/// A column by its exact name, else by the only one that differs in case.
///
/// # Errors
/// `Usage` naming `flag`, with near names.
pub(super) fn find_column<'a>(
    columns: &'a [ColumnInfo],
    name: &str,
    flag: &str,
) -> Result<&'a ColumnInfo> {
    if let Some(column) = columns.iter().find(|c| c.name == name) {
        return Ok(column);
    }
    let mut similar = columns.iter().filter(|c| same_name(&c.name, name));
    match (similar.next(), similar.next()) {
        (Some(column), None) => Ok(column),
        (Some(_), Some(_)) => Err(usage(format!(
            "{flag} names {name:?}, and several columns differ from it only in case"
        ))
        .hint("write the name exactly as the database spells it")),
        _ => {
            let known: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
            Err(usage(format!("{flag} names a column that does not exist: {name:?}"))
                .context("column", name)
                .hint(hint_of(name, &known, "columns there")))
        }
    }
}

/// "did you mean …?" with near names, else the list of what there is.
pub(crate) fn hint_of(name: &str, known: &[String], what: &str) -> String {
    let lower = name.to_lowercase();
    let mut near: Vec<(f64, &String)> = known
        .iter()
        .map(|k| (strsim::jaro_winkler(&k.to_lowercase(), &lower), k))
        .filter(|(score, _)| *score >= 0.8)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    if !near.is_empty() {
        let names: Vec<&str> = near.iter().take(3).map(|(_, k)| k.as_str()).collect();
        return format!("did you mean {}?", names.join(" or "));
    }
    if known.is_empty() {
        return format!("there are no {what}");
    }
    let more = if known.len() > LISTED { ", …" } else { "" };
    let names: Vec<&str> = known.iter().take(LISTED).map(String::as_str).collect();
    format!("{what}: {}{more}", names.join(", "))
}

/// An error that a key of the user's is not there.
pub(super) fn unknown_key(name: &str, info: &TableInfo) -> Error {
    let known: Vec<String> = info.columns.iter().map(|c| c.name.clone()).collect();
    usage(format!("--split-by names a column that does not exist: {name:?}"))
        .context("column", name)
        .hint(hint_of(name, &known, "columns there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_what_is_near_or_all_there_is() {
        let known = ["orders".to_string(), "customers".to_string(), "Order_Items".to_string()];
        assert_eq!(hint_of("ordres", &known, "tables there"), "did you mean orders?");
        assert_eq!(
            hint_of("zzz", &known, "tables there"),
            "tables there: orders, customers, Order_Items"
        );
        assert_eq!(hint_of("zzz", &[], "tables there"), "there are no tables there");
    }
}
