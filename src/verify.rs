//! Compares what was read, what was written, and what the files themselves say.

pub(crate) mod audit;
mod canonical;
mod checksum;
mod difference;
mod records;
mod reread;

use std::fs::File;
use std::path::Path;

use rsqoop_connector::{Error, ErrorKind, Relation, Result, Session};

use crate::format::parquet::footer_rows;
use crate::job::{Format, JobSpec};
use crate::plan::Prepared;
use crate::run::Outcome;
use crate::run::part::PartReceipt;
use crate::store::write_error;

/// Rows the server counted, or why it did not.
pub(crate) type Counted = std::result::Result<u64, String>;

/// Checks the outcome of a run before anything is published; returns what was compared.
///
/// # Errors
/// `Verify` naming the file and both numbers.
pub(crate) fn verify(
    job: &JobSpec,
    prepared: &Prepared,
    outcome: &Outcome,
    staging: &Path,
) -> Result<Vec<String>> {
    let mut pieces: Vec<usize> = outcome.splits().into_iter().flat_map(|s| s.read.run).collect();
    pieces.sort_unstable();
    if !pieces.iter().copied().eq(0..prepared.pieces.len()) {
        return Err(Error::new(
            ErrorKind::Bug,
            "a piece is missing, or twice, at the end of the run",
        ));
    }
    let parquet = matches!(job.format, Format::Parquet(_));
    for part in &outcome.parts {
        check_part(&staging.join(&part.name), part, parquet)?;
    }
    let (read, written) = (outcome.rows_read(), outcome.parts.iter().map(|p| p.rows).sum::<u64>());
    if read != written {
        return Err(mismatch(format!("{read} rows were read but {written} written"), &job.target));
    }
    let mut compared =
        vec!["rows read = rows written".to_string(), "bytes written = bytes on disk".to_string()];
    if parquet {
        compared.push("rows written = rows in the footers".to_string());
    }
    Ok(compared)
}

/// Compares the rows read with those the server counted in the same snapshot; gives back why they could
/// not be compared.
///
/// # Errors
/// `Verify` with both numbers.
pub(crate) fn verify_count(
    read: u64,
    counted: Counted,
    relation: &Relation,
) -> Result<std::result::Result<String, String>> {
    let counted = match counted {
        Ok(counted) => counted,
        Err(why) => return Ok(Err(why)),
    };
    if read != counted {
        return Err(Error::new(
            ErrorKind::Verify,
            format!("{read} rows were read but the server counts {counted} in the same snapshot"),
        )
        .hint(match relation {
            Relation::Table(_) => {
                "nothing was published; please report it with the output of --verbose"
            }
            // LIMIT, aggregates, random rows, or a key whose name means one thing inside the query and
            // another in its result.
            Relation::Query(_) => {
                "nothing was published; the splits of this query do not add up to it (LIMIT? a --split-by \
                 that names something else inside the query?): read it with -m 1"
            }
        }));
    }
    Ok(Ok(format!("rows read = rows the server counts ({counted})")))
}

/// Splits that are counted again to find one that differs.
const SPLITS_COUNTED: usize = 64;

/// Names the first split whose rows the server counts otherwise.
pub(crate) fn name_split(
    error: Error,
    prepared: &Prepared,
    outcome: &Outcome,
    session: &mut dyn Session,
) -> Error {
    for split in outcome.splits().iter().take(SPLITS_COUNTED) {
        let query = prepared.query(&split.read.run);
        match session.count(&query) {
            Ok(Some(rows)) if rows != split.read.rows => {
                let range = query.range.to_sql(session.dialect());
                let range = range.unwrap_or_else(|| "all rows".to_string());
                return error.context(
                    "split",
                    format!("{range}: {} rows were read, {rows} counted", split.read.rows),
                );
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    error
}

fn check_part(path: &Path, part: &PartReceipt, parquet: bool) -> Result<()> {
    let in_file = |e: std::io::Error| write_error(e).context("file", path.display().to_string());
    let file = File::open(path).map_err(in_file)?;
    let size = file.metadata().map_err(in_file)?.len();
    if size != part.bytes {
        let message = format!("{} bytes were written but the file has {size}", part.bytes);
        return Err(mismatch(message, path));
    }
    if parquet {
        let rows = footer_rows(&file)?;
        if rows != part.rows {
            let message = format!("{} rows were written but the footer says {rows}", part.rows);
            return Err(mismatch(message, path));
        }
    }
    Ok(())
}

fn mismatch(message: String, path: &Path) -> Error {
    Error::new(ErrorKind::Verify, message)
        .context("file", path.display().to_string())
        .hint("nothing was published; look at the disk and run again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_differs_stops_the_run() {
        let query = Relation::Query("SELECT 1".to_string());
        let verify_count = |counted| verify_count(7, counted, &query);
        assert!(verify_count(Ok(7)).unwrap().is_ok());
        assert_eq!(verify_count(Ok(8)).unwrap_err().kind(), ErrorKind::Verify);
        let why = verify_count(Err("a view".to_string())).unwrap();
        assert_eq!(why, Err("a view".to_string()));
    }

    #[test]
    fn a_file_that_lost_bytes_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part-m-00000");
        std::fs::write(&path, b"1,a\n2,b\n").unwrap();
        let part = |bytes| PartReceipt {
            name: "part-m-00000".to_string(),
            worker: 0,
            rows: 2,
            bytes,
            runs: Vec::new(),
            snapshot: 0,
        };
        assert!(check_part(&path, &part(8), false).is_ok());
        let error = check_part(&path, &part(9), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Verify);
        assert!(error.message().contains("9 bytes were written but the file has 8"));
        assert_eq!(check_part(&path, &part(8), true).unwrap_err().kind(), ErrorKind::Verify);
    }
}
