//! Holds a finished part file against the database, run by run, and words what came of it.
//!
//! One part at a time and with one session, so that who calls decides how many are at work. Nothing is
//! published or recorded here.

use std::collections::BTreeMap;
use std::path::Path;

use rsqoop_connector::{Checksums, ColumnChecksum, Error, ErrorKind, ReadQuery, Result, Session};

use super::checksum::{self, Comparison, RunOfRows};
use crate::job::Format;
use crate::plan::OutputColumn;

/// The files' form, the same for all parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout<'a> {
    /// Their format.
    pub(crate) format: &'a Format,
    /// Their columns.
    pub(crate) columns: &'a [OutputColumn],
}

/// The rows of one read statement in a part.
#[derive(Debug, Clone)]
pub(crate) struct AuditedRun {
    /// The statement.
    pub(crate) query: ReadQuery,
    /// How many rows it gave.
    pub(crate) rows: u64,
    /// Why the database cannot be asked about them any more: they were read in an earlier snapshot.
    pub(crate) skip: Option<String>,
}

/// What came of the parts so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    /// Columns that were equal in every run so far, by name and the number of runs.
    pub(crate) equal: BTreeMap<String, usize>,
    /// Columns that could not be compared, with the first reason and in how many runs.
    pub(crate) not_verified: BTreeMap<String, (String, usize)>,
}

impl Audit {
    /// Takes in what came of another part.
    pub(crate) fn add(&mut self, other: Audit) {
        for (column, runs) in other.equal {
            *self.equal.entry(column).or_default() += runs;
        }
        for (column, (why, runs)) in other.not_verified {
            self.not_verified.entry(column).or_insert((why, 0)).1 += runs;
        }
    }

    /// For the report: what was compared and equal.
    pub(crate) fn verified(&self) -> Option<String> {
        let complete: Vec<&str> = self
            .equal
            .keys()
            .filter(|column| !self.not_verified.contains_key(*column))
            .map(String::as_str)
            .collect();
        match complete.as_slice() {
            [] => None,
            all if self.not_verified.is_empty() => Some(format!(
                "checksums by the server = checksums of the files read back, in all {} columns",
                all.len()
            )),
            some => Some(format!(
                "checksums by the server = checksums of the files read back, in {} of {} columns",
                some.len(),
                some.len() + self.not_verified.len()
            )),
        }
    }

    /// For the report: what was not compared, and why; columns with the same reason together.
    pub(crate) fn not_verified(&self) -> Vec<String> {
        /// Columns a line names.
        const NAMED_MAX: usize = 5;
        let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
        for (column, (why, _)) in &self.not_verified {
            match by_reason.iter_mut().find(|(reason, _)| reason == why) {
                Some((_, columns)) => columns.push(column),
                None => by_reason.push((why, vec![column])),
            }
        }
        by_reason
            .into_iter()
            .map(|(why, columns)| {
                let more = columns.len().saturating_sub(NAMED_MAX);
                let mut names = columns[..columns.len() - more].join(", ");
                if more > 0 {
                    names.push_str(&format!(" and {more} more"));
                }
                let noun = if columns.len() == 1 { "column" } else { "columns" };
                format!("checksum of {noun} {names}: {why}")
            })
            .collect()
    }
}

/// Asks a session for the checksums of a statement's rows.
pub(crate) type Ask<'a> = dyn FnMut(&mut dyn Session, &ReadQuery) -> Result<Option<Checksums>> + 'a;

/// Compares a part's runs with the database and gives the checksums of the files, one per run. The file
/// is read back while the database is at work. `ask` calls [`Session::checksum`], and whatever the caller
/// wants to do around it.
///
/// # Errors
/// `Verify` for the first column that differs, with the first key that can be told; `Verify` for a
/// file that cannot be read back; `Cancelled`.
pub(crate) fn audit_part(
    session: &mut dyn Session,
    layout: Layout<'_>,
    path: &Path,
    runs: &[AuditedRun],
    ask: &mut Ask<'_>,
) -> Result<(Audit, Vec<Checksums>)> {
    let rows: Vec<u64> = runs.iter().map(|run| run.rows).collect();
    let (files, database) = std::thread::scope(|scope| {
        let files =
            scope.spawn(|| checksum::checksum_part(layout.format, layout.columns, path, &rows));
        let database: Result<Vec<Checksums>> =
            runs.iter().map(|run| in_database(session, layout, run, ask)).collect();
        (files.join(), database)
    });
    let files = files.map_err(|panic| crate::run::panic_error(&*panic))??;
    let database = database?;
    let mut audit = Audit::default();
    let mut skip = 0;
    for ((run, files), database) in runs.iter().zip(&files).zip(&database) {
        for outcome in checksum::compare(layout.format, layout.columns, database, files) {
            match outcome {
                Comparison::Equal => {}
                Comparison::NotVerifiable { column, why } => {
                    let name = layout.columns[column].field.name().clone();
                    audit.not_verified.entry(name).or_insert((why, 0)).1 += 1;
                    continue;
                }
                Comparison::Different { column } => {
                    let place = RunOfRows { path, skip, rows: run.rows };
                    let sums = (&database.columns[column], &files.columns[column]);
                    return Err(different(session, layout, (&run.query, column), place, sums));
                }
            }
        }
        for (column, checksum) in layout.columns.iter().zip(&files.columns) {
            if matches!(checksum, ColumnChecksum::Sum { .. }) {
                *audit.equal.entry(column.field.name().clone()).or_default() += 1;
            }
        }
        skip += run.rows;
    }
    Ok((audit, files))
}

/// The server's checksums; its failure is a reason not to be verified and none to fail.
fn in_database(
    session: &mut dyn Session,
    layout: Layout<'_>,
    run: &AuditedRun,
    ask: &mut Ask<'_>,
) -> Result<Checksums> {
    let why = match &run.skip {
        Some(why) => why.clone(),
        None => match ask(session, &run.query) {
            Ok(Some(sums)) => return Ok(sums),
            Ok(None) => "this database computes no checksums".to_string(),
            Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
            Err(error) => format!("the server computed none: {}", error.message()),
        },
    };
    let columns = vec![ColumnChecksum::None(why); layout.columns.len()];
    Ok(Checksums { rows: run.rows, columns })
}

/// The error for a column that differs.
fn different(
    session: &mut dyn Session,
    layout: Layout<'_>,
    (query, column): (&ReadQuery, usize),
    place: RunOfRows<'_>,
    (database, files): (&ColumnChecksum, &ColumnChecksum),
) -> Error {
    let name = layout.columns[column].field.name();
    let range = query.range.to_sql(session.dialect());
    let key = query.key.map(|key| {
        let found = checksum::first_difference(
            session,
            query,
            (column, key),
            layout.format,
            layout.columns,
            place,
        );
        (layout.columns[key].field.name(), found)
    });
    let row = match &key {
        Some((key, Ok(Some(value)))) => format!("; the first such row has {key} = {value}"),
        Some((key, Ok(None))) => format!("; no single value of {key} tells where"),
        Some((_, Err(error))) => format!("; where could not be found: {}", error.message()),
        None => {
            "; no key column is among the imported ones, so that no row can be named".to_string()
        }
    };
    let shown = |sum: &ColumnChecksum| match sum {
        ColumnChecksum::Sum { nulls, sum } => format!("{sum:016x} and {nulls} NULLs"),
        ColumnChecksum::None(why) => why.clone(),
    };
    Error::new(
        ErrorKind::Verify,
        format!("column {name} of a file is not what the database holds in the same snapshot{row}"),
    )
    .context("file", place.path.display().to_string())
    .context("rows", range.unwrap_or_else(|| "all".to_string()))
    .context("checksums", format!("{} in the database, {} in the file", shown(database), shown(files)))
    .hint("nothing was published; look at disk and memory, and please report it with the output of --verbose")
}
