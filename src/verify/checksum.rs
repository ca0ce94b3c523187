//! Compares the checksums that a database computed of its rows with those of the files read back.
//!
//! Whether a column can be compared at all is decided here, and never guessed: where the form of the
//! files leaves open what a field was, the answer is "not verifiable" with the reason. Finding the row
//! behind a difference is the business of `difference`.

use std::path::Path;

use arrow_schema::DataType;
use rsqoop_connector::{Checksums, ColumnChecksum, ReadQuery, Result, Session};

use super::canonical::{self, Canon};
use super::difference::{self, Suspect};
use super::records::{Marks, Records};
use super::reread::{self, Part, Wanted, null_field, null_token};
use crate::job::{Format, HiveDelims, TextFormat};
use crate::plan::OutputColumn;

/// What came of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// Database and files hold the same values, each as often.
    Equal,
    /// They do not.
    Different {
        /// Index of the column.
        column: usize,
    },
    /// It cannot be told.
    NotVerifiable {
        /// Index of the column.
        column: usize,
        /// Completes "not verified: ".
        why: String,
    },
}

/// Reads a finished part file again and sums up each of its runs of rows: `run_rows` rows one after the
/// other belong to one read statement. A column that cannot be compared is `None` with the reason.
///
/// # Errors
/// `Verify`, naming the file, when it cannot be read back or holds another number of rows.
pub(crate) fn checksum_part(
    format: &Format,
    columns: &[OutputColumn],
    path: &Path,
    run_rows: &[u64],
) -> Result<Vec<Checksums>> {
    let canons: Vec<Result<Canon, String>> =
        columns.iter().map(|column| comparable(format, column)).collect();
    let mut sums: Vec<Checksums> = run_rows.iter().map(|rows| empty(*rows, &canons)).collect();
    if let Some(why) = unreadable_nulls(format, columns) {
        sums.iter_mut().for_each(|run| refuse(run, &why));
        return Ok(sums);
    }
    let wanted: Vec<Wanted> = canons
        .into_iter()
        .enumerate()
        .filter_map(|(index, canon)| canon.ok().map(|canon| Wanted { index, canon }))
        .collect();
    let mut runs = Runs::new(run_rows, columns.len());
    let part = Part { format, columns, path, skip: 0, rows: None };
    reread::hashes(part, &wanted, &mut |_, _| {}, &mut |batch| {
        runs.note_odd(batch);
        runs.each_run(batch.rows, |run, rows| {
            for (wanted, hashes) in wanted.iter().zip(&batch.columns) {
                add(&mut sums[run].columns[wanted.index], &hashes[rows.clone()]);
            }
        });
        Ok(())
    })?;
    match ambiguity(format, columns) {
        None => runs.check(path)?,
        Some(why) => match misreadable(format, columns) {
            Some(why) if runs.check(path).is_err() => {
                sums.iter_mut().for_each(|run| refuse(run, why));
            }
            _ => runs.mark(path, why, &mut sums)?,
        },
    }
    Ok(sums)
}

/// Compares column by column the rows of one read statement, or of any number of them.
pub(crate) fn compare(
    format: &Format,
    columns: &[OutputColumn],
    database: &Checksums,
    files: &Checksums,
) -> Vec<Comparison> {
    let pair = |column: usize| database.columns.get(column).zip(files.columns.get(column));
    (0..columns.len())
        .map(|column| match pair(column) {
            Some((ColumnChecksum::None(why), _) | (_, ColumnChecksum::None(why))) => {
                Comparison::NotVerifiable { column, why: why.clone() }
            }
            Some((ours, theirs)) if ours == theirs && database.rows == files.rows => {
                Comparison::Equal
            }
            Some((ours, theirs)) => {
                let why = like_null(format, &columns[column], ours, theirs)
                    .or_else(|| misreadable(format, columns).map(str::to_string));
                match why {
                    Some(why) => Comparison::NotVerifiable { column, why },
                    None => Comparison::Different { column },
                }
            }
            None => {
                Comparison::NotVerifiable { column, why: "there is no checksum of it".to_string() }
            }
        })
        .collect()
}

/// The rows of one read statement in a part file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunOfRows<'a> {
    /// The file.
    pub(crate) path: &'a Path,
    /// Rows of earlier statements before it.
    pub(crate) skip: u64,
    /// Its own.
    pub(crate) rows: u64,
}

/// The first key whose rows hold another value of `column` in the file than in the database: as the user
/// would write it, `None` where it cannot be found. Reads both again; `key` and `column` are indices of
/// `query.columns`.
///
/// # Errors
/// Those of reading again.
pub(crate) fn first_difference(
    session: &mut dyn Session,
    query: &ReadQuery,
    (column, key): (usize, usize),
    format: &Format,
    columns: &[OutputColumn],
    run: RunOfRows<'_>,
) -> Result<Option<String>> {
    let part = Part { format, columns, path: run.path, skip: run.skip, rows: Some(run.rows) };
    difference::first(session, &Suspect { query, column, key, part })
}

/// The canonical text of a column in the files, or why it cannot be compared.
pub(super) fn comparable(format: &Format, column: &OutputColumn) -> Result<Canon, String> {
    let canon = Canon::of_file(column)?;
    let Format::Text(text) = format else { return Ok(canon) };
    let is_text = *column.field.data_type() == DataType::Utf8;
    if is_text && column.kind.is_string_class() && text.hive_delims != HiveDelims::Keep {
        return Err("its texts were changed (--hive-drop-import-delims or \
                    --hive-delims-replacement)"
            .to_string());
    }
    if canon == Canon::Time && text.sqoop_compat {
        return Err("fractions of its times were dropped (--compat sqoop1.4)".to_string());
    }
    Ok(canon)
}

fn empty(rows: u64, canons: &[Result<Canon, String>]) -> Checksums {
    let column = |canon: &Result<Canon, String>| match canon {
        Ok(_) => ColumnChecksum::Sum { nulls: 0, sum: 0 },
        Err(why) => ColumnChecksum::None(why.clone()),
    };
    Checksums { rows, columns: canons.iter().map(column).collect() }
}

fn add(to: &mut ColumnChecksum, hashes: &[Option<u64>]) {
    let ColumnChecksum::Sum { nulls, sum } = to else { return };
    for hash in hashes {
        match hash {
            Some(hash) => *sum = sum.wrapping_add(*hash),
            None => *nulls += 1,
        }
    }
}

fn refuse(run: &mut Checksums, why: &str) {
    for column in &mut run.columns {
        if matches!(column, ColumnChecksum::Sum { .. }) {
            *column = ColumnChecksum::None(why.to_string());
        }
    }
}

/// Why a field may hold characters that look like the form of the file; nothing for files in which every
/// field can be told.
fn ambiguity(format: &Format, columns: &[OutputColumn]) -> Option<&'static str> {
    let Format::Text(text) = format else { return None };
    if text.escaped_by.is_some() || !columns.iter().any(|column| may_hold_marks(text, column)) {
        return None;
    }
    Some("a value may hold a delimiter, and without --escaped-by it cannot be told from one")
}

/// With enclosing characters that are not escaped even the number of fields proves nothing: one may be
/// cut in two while two others become one.
fn misreadable(format: &Format, columns: &[OutputColumn]) -> Option<&'static str> {
    let Format::Text(text) = format else { return None };
    text.enclosed_by?;
    ambiguity(format, columns)
        .map(|_| "a value may hold the enclosing character, and without --escaped-by it cannot be told from one")
}

fn may_hold_marks(format: &TextFormat, column: &OutputColumn) -> bool {
    let marks = [Some(format.field_delimiter), Some(format.record_delimiter), format.enclosed_by];
    // What numbers, dates and bytes are written with.
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | ':' | ' ');
    *column.field.data_type() == DataType::Utf8 || marks.into_iter().flatten().any(usual)
}

/// A token for NULL is written as it is; one that holds a delimiter or ends with the escape character
/// cuts the record elsewhere.
fn unreadable_nulls(format: &Format, columns: &[OutputColumn]) -> Option<String> {
    let Format::Text(text) = format else { return None };
    columns.iter().filter(|column| column.field.is_nullable()).find_map(|column| {
        let null = null_field(text, column);
        let marks = Marks::of(text);
        let mut record = null.clone();
        record.extend_from_slice(marks.field_delimiter());
        record.extend_from_slice(&null);
        record.extend_from_slice(marks.record_delimiter());
        let mut records = Records::new(&record[..], marks);
        let readable = records.next().is_ok_and(|found| found)
            && records.fields().len() == 2
            && records.fields().all(|field| field == null);
        (!readable).then(|| {
            format!(
                "the token {:?} for NULL has the form of a delimiter or escape",
                null_token(text, column)
            )
        })
    })
}

/// Whether a value can look like NULL in the files.
pub(super) fn null_alike(format: &Format, column: &OutputColumn) -> Option<u64> {
    let Format::Text(text) = format else { return None };
    let token = null_token(text, column);
    let told_apart = match text.escaped_by {
        Some(escape) if !text.sqoop_compat => reread::escaped(text, escape, token) != token,
        _ => false,
    };
    if told_apart {
        return None;
    }
    let canon = comparable(format, column).ok()?;
    let mut canonical = Vec::new();
    canonical::from_field(&canon, column.field.data_type(), token.as_bytes(), &mut canonical);
    Some(canonical::hash(&canonical))
}

/// Says so when nothing differs but for values that are written like NULL.
fn like_null(
    format: &Format,
    column: &OutputColumn,
    database: &ColumnChecksum,
    files: &ColumnChecksum,
) -> Option<String> {
    let (ColumnChecksum::Sum { nulls, sum }, ColumnChecksum::Sum { nulls: found, sum: without }) =
        (database, files)
    else {
        return None;
    };
    let Format::Text(text) = format else { return None };
    let values = found.checked_sub(*nulls).filter(|values| *values > 0)?;
    let hash = null_alike(format, column)?;
    let with = without.wrapping_add(hash.wrapping_mul(values));
    (with == *sum).then(|| {
        let token = null_token(text, column);
        format!("{values} of its values are {token:?}, which also stands for NULL in the files")
    })
}

/// Runs of rows in a file.
struct Runs<'a> {
    rows: &'a [u64],
    width: usize,
    /// The run that the next row belongs to, and how many of its rows came.
    run: usize,
    taken: u64,
    /// Rows beyond the last run.
    beyond: u64,
    /// By run: number in the file and fields of the first row with too many, and with too few.
    wide: Vec<Option<(u64, usize)>>,
    narrow: Option<(u64, usize)>,
}

impl<'a> Runs<'a> {
    fn new(rows: &'a [u64], width: usize) -> Self {
        let wide = vec![None; rows.len()];
        Runs { rows, width, run: 0, taken: 0, beyond: 0, wide, narrow: None }
    }

    /// Hands out the next rows by run, as ranges within them.
    fn each_run(&mut self, count: usize, mut each: impl FnMut(usize, std::ops::Range<usize>)) {
        let mut at = 0;
        while at < count {
            let Some(rows) = self.rows.get(self.run) else {
                self.beyond += (count - at) as u64;
                return;
            };
            let left = usize::try_from(rows - self.taken).unwrap_or(usize::MAX);
            if left == 0 {
                self.run += 1;
                self.taken = 0;
                continue;
            }
            let end = at + left.min(count - at);
            each(self.run, at..end);
            self.taken += (end - at) as u64;
            at = end;
        }
    }

    /// Notes rows of another width, before their batch is handed out.
    fn note_odd(&mut self, batch: &reread::Hashes) {
        for (row, width) in &batch.odd {
            let number = batch.first + *row as u64;
            if *width < self.width {
                self.narrow.get_or_insert((number, *width));
            } else {
                let mut before = 0;
                let run = self.rows.iter().position(|rows| {
                    before += rows;
                    number < before
                });
                if let Some(run) = run {
                    self.wide[run].get_or_insert((number, *width));
                }
            }
        }
    }

    fn expected(&self) -> u64 {
        self.rows.iter().sum()
    }

    fn found(&self) -> u64 {
        self.rows[..self.run.min(self.rows.len())].iter().sum::<u64>() + self.taken + self.beyond
    }

    /// Fails unless the file has the rows that were written, all of them with all fields.
    fn check(&self, path: &Path) -> Result<()> {
        let (found, expected) = (self.found(), self.expected());
        if found != expected {
            let problem = format!("it has {found} rows where {expected} were written");
            return Err(reread::unreadable(path, problem));
        }
        match self.narrow.or_else(|| self.wide.iter().flatten().next().copied()) {
            Some((row, 0)) => {
                Err(reread::unreadable(path, format!("it ends within row {}", row + 1)))
            }
            Some((row, fields)) => Err(reread::unreadable(
                path,
                format!("row {} has {fields} fields instead of {}", row + 1, self.width),
            )),
            None => Ok(()),
        }
    }

    /// The same where a text may hold a delimiter: there are then more rows or fields, never less.
    fn mark(&self, path: &Path, why: &str, sums: &mut [Checksums]) -> Result<()> {
        let (found, expected) = (self.found(), self.expected());
        if found < expected {
            return self.check(path);
        }
        if found > expected {
            let why = format!("{why} (the file has {found} records instead of {expected})");
            sums.iter_mut().for_each(|run| refuse(run, &why));
            return Ok(());
        }
        if self.narrow.is_some() {
            return self.check(path);
        }
        for (run, wide) in sums.iter_mut().zip(&self.wide) {
            if let Some((row, fields)) = wide {
                let row = row + 1;
                refuse(
                    run,
                    &format!("{why} (record {row} has {fields} fields instead of {})", self.width),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "checksum_tests.rs"]
mod tests;
