//! Which tables lie behind what is read, and whether each of them keeps versions of its rows.
//!
//! Views and stored functions are followed through the texts that the catalogue holds. Where it
//! does not show them to this login, the answer is that it is not known, never that there is none.

use std::collections::BTreeSet;

use rsqoop_connector::{Error, Relation, Result, TableName, fill_conditions};

use super::names::{self, Name};
use crate::dialect::string;
use crate::error::{self, Phase};
use crate::wire::{Conn, Fault};

/// What is behind a set of relations.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// What the relations and functions name themselves: tables and views.
    pub(super) named: BTreeSet<(String, String)>,
    /// A table that keeps no row versions, with its engine.
    pub(super) versionless: Option<(String, String)>,
    /// Why not all tables are known.
    pub(super) hidden: Option<String>,
    /// The same where locking what is named would not lock those tables: a view brings its own.
    pub(super) unlockable: Option<String>,
}

/// Names that are looked up at most.
const MOST_NAMES: usize = 500;

/// Engines whose older row versions a consistent snapshot shows.
const VERSIONED: &[&str] = &["InnoDB", "ROCKSDB", "TokuDB", "partition"];

fn run(fault: Fault) -> Error {
    error::statement(fault, Phase::Run)
}

/// Looks behind `relations`.
pub(super) fn find(conn: &mut Conn, relations: &[Relation]) -> Result<Sources> {
    let mut search = Search { found: Sources::default(), seen: BTreeSet::new() };
    let own = first(conn, "SELECT DATABASE()")?.unwrap_or_default();
    for relation in relations {
        match relation {
            Relation::Table(TableName { schema, name }) => {
                let schema = schema.clone().unwrap_or_else(|| own.clone());
                search.table(conn, &schema, name, true)?;
            }
            Relation::Query(text) => {
                search.text(conn, &fill_conditions(text, "(1 = 1)"), &own, true)?;
            }
        }
    }
    Ok(search.found)
}

struct Search {
    found: Sources,
    seen: BTreeSet<Name>,
}

impl Search {
    /// Looks at everything that a statement's text may name.
    fn text(&mut self, conn: &mut Conn, sql: &str, schema: &str, named: bool) -> Result<()> {
        let names = names::find(sql);
        if self.seen.len() + names.tables.len() > MOST_NAMES {
            self.unknown(format!("a statement names more than {MOST_NAMES} tables"));
            return Ok(());
        }
        for (of, name) in &names.tables {
            self.table(conn, of.as_deref().unwrap_or(schema), name, named)?;
        }
        self.functions(conn, &names.functions, schema)
    }

    fn unknown(&mut self, why: String) {
        self.found.hidden = Some(why.clone());
        self.found.unlockable = Some(why);
    }

    fn table(&mut self, conn: &mut Conn, schema: &str, name: &str, named: bool) -> Result<()> {
        if !self.seen.insert((Some(schema.to_string()), name.to_string())) {
            return Ok(());
        }
        let at = format!("table_schema = {} AND table_name = {}", string(schema), string(name));
        let sql = format!(
            "SELECT table_schema, table_name, table_type, engine FROM information_schema.tables \
             WHERE {at}"
        );
        for row in conn.rows(&sql).map_err(run)? {
            let [Some(schema), Some(name), kind, engine] = row.as_slice() else { continue };
            if named {
                self.found.named.insert((schema.clone(), name.clone()));
            }
            if kind.as_deref() == Some("VIEW") {
                self.view(conn, schema, name)?;
                continue;
            }
            let engine = engine.as_deref().unwrap_or("unknown");
            if !VERSIONED.iter().any(|e| e.eq_ignore_ascii_case(engine)) {
                self.found.versionless = Some((format!("{schema}.{name}"), engine.to_string()));
            }
        }
        Ok(())
    }

    fn view(&mut self, conn: &mut Conn, schema: &str, name: &str) -> Result<()> {
        let sql = format!(
            "SELECT view_definition FROM information_schema.views WHERE table_schema = {} \
             AND table_name = {}",
            string(schema),
            string(name)
        );
        match first(conn, &sql)?.filter(|text| !text.is_empty()) {
            Some(text) => self.text(conn, &text, schema, false),
            None => {
                self.found.hidden = Some(format!(
                    "this login may not see which tables the view {schema}.{name} reads \
                     (privilege SHOW VIEW)"
                ));
                Ok(())
            }
        }
    }

    /// Follows stored functions; what is built in is not in the catalogue.
    fn functions(&mut self, conn: &mut Conn, names: &BTreeSet<Name>, schema: &str) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = names.iter().map(|(_, name)| string(name)).collect();
        let sql = format!(
            "SELECT routine_schema, routine_name, routine_definition \
             FROM information_schema.routines WHERE routine_type = 'FUNCTION' \
             AND routine_name IN ({})",
            list.join(", ")
        );
        for row in conn.rows(&sql).map_err(run)? {
            let [Some(of), Some(name), body] = row.as_slice() else { continue };
            let called = names.iter().any(|(qualifier, called)| {
                called.eq_ignore_ascii_case(name)
                    && qualifier.as_deref().unwrap_or(schema).eq_ignore_ascii_case(of)
            });
            if !called || !self.seen.insert((None, format!("{of}.{name}"))) {
                continue;
            }
            match body.as_deref().filter(|text| !text.is_empty()) {
                Some(text) => self.text(conn, text, of, true)?,
                None => self.unknown(format!(
                    "this login may not see which tables the function {of}.{name} reads"
                )),
            }
        }
        Ok(())
    }
}

/// The first value of the first row.
pub(super) fn first(conn: &mut Conn, sql: &str) -> Result<Option<String>> {
    let rows = conn.rows(sql).map_err(run)?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
}
