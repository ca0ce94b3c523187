//! Content checksums that a database and a reader of files can compute independently.
//!
//! A value is brought to its canonical text; the first 8 bytes of the text's SHA-256, as a big-endian
//! unsigned number, are its hash; a column's checksum is the sum of the hashes of its values that
//! are not NULL, modulo 2^64. A sum and not an exclusive or, in which equal values would cancel.
//! SHA-256 because every server has it as a function (MySQL has taken out MD5 since 9.6) and computes
//! it as fast; it protects against accidents, not against forgers.
//!
//! # Canonical texts
//! What a column's text is follows from [`ReadColumn`] alone, so that both sides agree without
//! speaking to each other:
//!
//! | Column | Canonical text |
//! |---|---|
//! | read as text (`as_text`), `Utf8` | the text that is read, as UTF-8 |
//! | ... but floating point read as text | as floating point, after reading the text back |
//! | integer, boolean | decimal digits; `1` and `0` |
//! | decimal | plain digits, all of the column's scale, at least one digit before the point |
//! | `Float32`, `Float64` | the 8 bytes of the double, big-endian; every NaN is `7ff8000000000000` |
//! | date | `YYYY-MM-DD`, more digits beyond 9999, ` BC` after it for years before 1 |
//! | time | `HH:MM:SS` and a fraction without trailing zeros, if there is one |
//! | timestamp | date, blank, time, then ` BC`; instants in UTC |
//! | bytes | the bytes |
//! | UUID | `8-4-4-4-12`, lower case |
//! | list | elements with their length in characters before them, `2:ab,-,0:`; `-` is NULL; bytes and floating point in hexadecimal |

use serde::{Deserialize, Serialize};

use crate::{Dialect, Error, ErrorKind, ReadColumn, ReadQuery, Relation, Result};

/// What a set of rows holds, column by column.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checksums {
    /// Rows.
    pub rows: u64,
    /// One entry per column of the query, in its order.
    pub columns: Vec<ColumnChecksum>,
}

/// One column's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnChecksum {
    /// What the values add up to.
    Sum {
        /// Values that are NULL.
        nulls: u64,
        /// Sum of the hashes modulo 2^64.
        sum: u64,
    },
    /// Why the database has no canonical text for this column's values.
    None(String),
}

impl Checksums {
    /// The checksum of these rows and those of `other` together.
    pub fn add(&mut self, other: &Checksums) {
        self.rows += other.rows;
        if self.columns.is_empty() {
            self.columns.clone_from(&other.columns);
            return;
        }
        for (mine, theirs) in self.columns.iter_mut().zip(&other.columns) {
            match (&mut *mine, theirs) {
                (
                    ColumnChecksum::Sum { nulls, sum },
                    ColumnChecksum::Sum { nulls: more_nulls, sum: more },
                ) => {
                    *nulls += more_nulls;
                    *sum = sum.wrapping_add(*more);
                }
                (ColumnChecksum::Sum { .. }, ColumnChecksum::None(_)) => mine.clone_from(theirs),
                (ColumnChecksum::None(_), _) => {}
            }
        }
    }
}

/// How a database's SQL sums up one column: three aggregates whose results arrive as digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSql {
    /// Counts the values that are not NULL.
    pub values: String,
    /// Counts the canonical texts, where the server may fail to make one of a value and answers NULL.
    pub texts: Option<String>,
    /// Sums up the hashes; NULL without any. The sum may be of signed numbers: it is taken modulo 2^64.
    pub sum: String,
}

/// Columns in one statement: servers limit what a statement may select (PostgreSQL: 1,664).
const COLUMNS_PER_STATEMENT: usize = 400;

/// Computes [`Checksums`] by SQL: what all connectors with a server have in common.
///
/// `count` is the aggregate that counts the rows; `column` gives a column's aggregates, given its quoted
/// name; `ask` runs a statement of one row and gives back its values as text.
///
/// # Errors
/// Those of `ask`; `Source` when the answer is not one row of numbers.
pub fn checksums_by_sql(
    query: &ReadQuery,
    dialect: &dyn Dialect,
    count: &str,
    column: impl Fn(&ReadColumn, &str) -> std::result::Result<ColumnSql, String>,
    mut ask: impl FnMut(&str) -> Result<Vec<Option<String>>>,
) -> Result<Checksums> {
    let all: Vec<std::result::Result<ColumnSql, String>> = (0..query.columns.len())
        .map(|index| {
            let this = &query.columns[index];
            ambiguous(query, index)?;
            column(this, &dialect.quote_ident(&this.info.name))
        })
        .collect();
    let mut sums = Checksums::default();
    for (number, columns) in all.chunks(COLUMNS_PER_STATEMENT).enumerate() {
        let mut select = vec![count.to_string()];
        for sql in columns.iter().flatten() {
            select.push(sql.values.clone());
            select.extend(sql.texts.clone());
            select.push(sql.sum.clone());
        }
        let row = ask(&query.aggregate_sql(dialect, &select.join(", ")))?;
        let mut row = Answer { row: row.into_iter() };
        let rows = row.count()?;
        if number > 0 && rows != sums.rows {
            return Err(Error::new(
                ErrorKind::Source,
                "the number of rows changed between two statements of one checksum",
            ));
        }
        sums.rows = rows;
        for column in columns {
            sums.columns.push(match column {
                Err(why) => ColumnChecksum::None(why.clone()),
                Ok(sql) => row.column(rows, sql.texts.is_some())?,
            });
        }
    }
    Ok(sums)
}

/// Around a query its columns are known by their names only.
fn ambiguous(query: &ReadQuery, index: usize) -> std::result::Result<(), String> {
    let name = &query.columns[index].info.name;
    let twice = query
        .columns
        .iter()
        .enumerate()
        .any(|(other, c)| other != index && c.info.name.eq_ignore_ascii_case(name));
    if twice && matches!(query.relation, Relation::Query(_)) {
        return Err("the query has two columns of this name".to_string());
    }
    Ok(())
}

/// The values of a row one after the other.
struct Answer {
    row: std::vec::IntoIter<Option<String>>,
}

impl Answer {
    fn number(&mut self) -> Result<i128> {
        let text = self.row.next().flatten().unwrap_or_else(|| "0".to_string());
        text.parse().map_err(|_| {
            Error::new(ErrorKind::Source, "the server's answer to a checksum is not a number")
        })
    }

    fn count(&mut self) -> Result<u64> {
        u64::try_from(self.number()?)
            .map_err(|_| Error::new(ErrorKind::Source, "the server counts a negative number"))
    }

    fn column(&mut self, rows: u64, texts: bool) -> Result<ColumnChecksum> {
        const MODULUS: i128 = 1 << 64;
        let values = self.count()?;
        let made = if texts { self.count()? } else { values };
        let sum = self.number()?.rem_euclid(MODULUS);
        if made != values {
            let missing = values.saturating_sub(made);
            return Ok(ColumnChecksum::None(format!(
                "the server makes no text of {missing} of its values, which may be longer than it allows"
            )));
        }
        let nulls = rows.checked_sub(values).ok_or_else(|| {
            Error::new(ErrorKind::Source, "the server counts more values than rows")
        })?;
        let sum = u64::try_from(sum).expect("a remainder of 2^64 fits 64 bits");
        Ok(ColumnChecksum::Sum { nulls, sum })
    }
}
