//! What a run leaves behind for the one after it, should it die: what it was doing (`run.json`) and
//! which rows are safe in which file (one journal of receipts a part).
//!
//! A receipt is written only after the bytes it speaks of are durable, so that it holds whatever the
//! machine died of. It says where the part file may be cut off, and what must follow there instead.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use rsqoop_connector::{Error, ErrorKind, KeyRange, KeyValue, Result, SharedSnapshot, SplitKey};
use serde::{Deserialize, Serialize};

use crate::format::Cut;
use crate::plan::PlanColumn;
use crate::run::pump::RunRead;
use crate::run::regions::Run;
use crate::store::{local, write_error};

/// The directory inside staging that holds it; gone before anything is published.
pub(crate) const STATE_DIR: &str = ".rsqoop-state";

const RECORD_NAME: &str = "run.json";

/// Version of the record's form; another one is not gone on with.
const RECORD_VERSION: u32 = 1;

/// What a run is doing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRecord {
    version: u32,
    /// Random id.
    pub run_id: String,
    /// Version of rsqoop.
    pub rsqoop: String,
    /// When it began, UTC, RFC 3339.
    pub started: String,
    /// The command without secrets, if it came from a command line.
    pub command: Vec<String>,
    /// The directory the command was given in.
    pub directory: PathBuf,
    /// Where it reads, without credentials.
    pub source: String,
    /// Table or query.
    pub relation: String,
    /// Target directory.
    pub target: PathBuf,
    /// Everything that decides which rows go where and how they look: a run goes on only with what
    /// has the same.
    pub(crate) fingerprint: String,
    /// The columns.
    pub(crate) columns: Vec<PlanColumn>,
    /// The pieces of the key, in the server's order.
    pub(crate) pieces: Vec<Piece>,
    /// The snapshots that were read, one a try.
    pub snapshots: Vec<Option<SharedSnapshot>>,
}

/// One piece of the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Piece {
    /// Everything.
    All,
    /// Between two points.
    Between { lower: Option<KeyValue>, upper: Option<KeyValue>, upper_inclusive: bool },
    /// Rows without a key.
    Null,
}

impl Piece {
    pub(crate) fn of(range: &KeyRange) -> Piece {
        match range {
            KeyRange::All => Piece::All,
            KeyRange::Null(_) => Piece::Null,
            KeyRange::Between { lower, upper, upper_inclusive, .. } => Piece::Between {
                lower: lower.clone(),
                upper: upper.clone(),
                upper_inclusive: *upper_inclusive,
            },
        }
    }

    /// The range of a key; `None` for a piece that needs a key where there is none.
    pub(crate) fn range(&self, key: Option<&SplitKey>) -> Option<KeyRange> {
        Some(match self {
            Piece::All => KeyRange::All,
            Piece::Null => KeyRange::Null(key?.clone()),
            Piece::Between { lower, upper, upper_inclusive } => KeyRange::Between {
                key: key?.clone(),
                lower: lower.clone(),
                upper: upper.clone(),
                upper_inclusive: *upper_inclusive,
            },
        })
    }
}

/// What a new run knows of itself.
pub(crate) struct NewRun {
    pub(crate) run_id: String,
    pub(crate) started: String,
    pub(crate) command: Vec<String>,
    pub(crate) source: String,
    pub(crate) relation: String,
    pub(crate) target: PathBuf,
    pub(crate) fingerprint: String,
    pub(crate) columns: Vec<PlanColumn>,
}

impl RunRecord {
    pub(crate) fn new(run: NewRun) -> Self {
        RunRecord {
            version: RECORD_VERSION,
            run_id: run.run_id,
            rsqoop: env!("CARGO_PKG_VERSION").to_string(),
            started: run.started,
            command: run.command,
            directory: std::env::current_dir().unwrap_or_default(),
            source: run.source,
            relation: run.relation,
            target: run.target,
            fingerprint: run.fingerprint,
            columns: run.columns,
            pieces: Vec::new(),
            snapshots: Vec::new(),
        }
    }

    /// Puts the record into a staging directory, in one step.
    pub(crate) fn write(&self, staging: &Path) -> Result<()> {
        let dir = staging.join(STATE_DIR);
        let failed =
            |e: std::io::Error| write_error(e).context("directory", dir.display().to_string());
        if !dir.is_dir() {
            fs::create_dir(&dir).map_err(failed)?;
        }
        let mut text =
            serde_json::to_string_pretty(self).expect("plain strings and numbers always serialise");
        text.push('\n');
        let new = dir.join(format!("{RECORD_NAME}.new"));
        let _ = fs::remove_file(&new);
        local::write_durably(&new, text.as_bytes())?;
        fs::rename(&new, dir.join(RECORD_NAME)).map_err(failed)
    }

    /// The record of a staging directory, if it has one that this version can use.
    pub(crate) fn read(staging: &Path) -> Option<RunRecord> {
        let text = fs::read_to_string(staging.join(STATE_DIR).join(RECORD_NAME)).ok()?;
        let record: RunRecord = serde_json::from_str(&text).ok()?;
        (record.version == RECORD_VERSION).then_some(record)
    }
}

/// What is safe of one part file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// The part file.
    pub(crate) part: String,
    /// The worker that wrote it.
    pub(crate) worker: usize,
    /// Rows before the cut.
    pub(crate) rows: u64,
    /// Bytes before the cut.
    pub(crate) bytes: u64,
    /// The file beside the journal that holds what follows the cut.
    tail: Option<String>,
    /// The runs whose rows these are.
    pub(crate) runs: Vec<RunReceipt>,
    /// Which of the record's snapshots they come from.
    pub(crate) snapshot: usize,
}

/// One run of pieces in a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunReceipt {
    /// First piece.
    pub(crate) first: usize,
    /// One beyond the last piece.
    pub(crate) end: usize,
    /// Rows.
    pub(crate) rows: u64,
    /// Seconds it took.
    pub(crate) seconds: f64,
}

impl RunReceipt {
    pub(crate) fn of(read: &RunRead) -> Self {
        RunReceipt {
            first: read.run.start,
            end: read.run.end,
            rows: read.rows,
            seconds: read.seconds,
        }
    }

    pub(crate) fn read(&self) -> RunRead {
        RunRead { run: self.run(), rows: self.rows, seconds: self.seconds }
    }

    pub(crate) fn run(&self) -> Run {
        self.first..self.end
    }
}

/// The receipts of one part, in the order in which they were written.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: PathBuf,
    part: String,
    worker: usize,
    snapshot: usize,
    file: File,
    tails: usize,
}

impl Journal {
    /// Begins the journal of a part.
    pub(crate) fn create(
        staging: &Path,
        part: &str,
        worker: usize,
        snapshot: usize,
    ) -> Result<Self> {
        let dir = staging.join(STATE_DIR);
        let path = dir.join(format!("{part}.receipts"));
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(|e| write_error(e).context("file", path.display().to_string()))?;
        // The part's own name must survive as well as what its receipts say.
        local::sync_dir(staging)?;
        Ok(Journal { dir, part: part.to_string(), worker, snapshot, file, tails: 0 })
    }

    /// Says that a part is safe up to a cut. Its bytes must be durable by now.
    pub(crate) fn append(&mut self, cut: &Cut, runs: &[RunRead]) -> Result<()> {
        let tail = match cut.tail.is_empty() {
            true => None,
            false => {
                self.tails += 1;
                let name = format!("{}.tail-{}", self.part, self.tails);
                local::write_durably(&self.dir.join(&name), &cut.tail)?;
                Some(name)
            }
        };
        let receipt = Receipt {
            part: self.part.clone(),
            worker: self.worker,
            rows: cut.rows,
            bytes: cut.bytes,
            tail,
            runs: runs.iter().map(RunReceipt::of).collect(),
            snapshot: self.snapshot,
        };
        let mut line = serde_json::to_string(&receipt).expect("plain data always serialises");
        line.push('\n');
        local::sync_dir(&self.dir)?;
        self.file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(|e| write_error(e).context("directory", self.dir.display().to_string()))?;
        if self.tails > 1 {
            // Only the last one counts.
            let _ =
                fs::remove_file(self.dir.join(format!("{}.tail-{}", self.part, self.tails - 1)));
        }
        Ok(())
    }
}

/// The last receipt of every part in a staging directory.
pub(crate) fn receipts(staging: &Path) -> Vec<Receipt> {
    let Ok(entries) = fs::read_dir(staging.join(STATE_DIR)) else { return Vec::new() };
    let mut found: Vec<Receipt> = entries
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().ends_with(".receipts"))
        .filter_map(|e| fs::read_to_string(e.path()).ok())
        // A line that was being written when the run died does not parse, and does not count.
        .filter_map(|text| text.lines().rev().find_map(|l| serde_json::from_str(l).ok()))
        .filter(|receipt: &Receipt| whole(staging, receipt))
        .collect();
    found.sort_by(|a, b| a.part.cmp(&b.part));
    found
}

/// Whether the bytes and the tail that a receipt speaks of are there.
fn whole(staging: &Path, receipt: &Receipt) -> bool {
    let plain = Path::new(&receipt.part).file_name().is_some_and(|n| *n == *receipt.part);
    let long = fs::symlink_metadata(staging.join(&receipt.part))
        .is_ok_and(|m| m.is_file() && m.len() >= receipt.bytes);
    let tail = receipt.tail.as_ref();
    plain && long && tail.is_none_or(|t| staging.join(STATE_DIR).join(t).is_file())
}

/// Brings a part file to what its receipt says: cuts off what came later and completes it.
///
/// # Errors
/// `Storage` when the disk refuses.
pub(crate) fn restore(staging: &Path, receipt: &Receipt) -> Result<u64> {
    let tail = match &receipt.tail {
        None => Vec::new(),
        Some(name) => fs::read(staging.join(STATE_DIR).join(name)).map_err(write_error)?,
    };
    let cut = Cut { rows: receipt.rows, bytes: receipt.bytes, tail };
    cut_off(&staging.join(&receipt.part), &cut)
}

/// Ends a file at a cut; gives its size.
pub(crate) fn cut_off(path: &Path, cut: &Cut) -> Result<u64> {
    let done = || -> std::io::Result<u64> {
        let mut file = OpenOptions::new().append(true).open(path)?;
        file.set_len(cut.bytes)?;
        file.write_all(&cut.tail)?;
        file.sync_all()?;
        Ok(cut.bytes + cut.tail.len() as u64)
    };
    done().map_err(|e| write_error(e).context("file", path.display().to_string()))
}

/// Takes the state away, before the directory is published.
pub(crate) fn remove(staging: &Path) -> Result<()> {
    match fs::remove_dir_all(staging.join(STATE_DIR)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::new(ErrorKind::Storage, "the state of the run cannot be removed")
                .context("directory", staging.display().to_string())
                .source(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(run: Run, rows: u64) -> RunRead {
        RunRead { run, rows, seconds: 0.5 }
    }

    #[test]
    fn the_last_whole_receipt_counts() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(STATE_DIR)).unwrap();
        fs::write(dir.path().join("part-m-00000"), b"one\ntwo\nthr").unwrap();
        let mut journal = Journal::create(dir.path(), "part-m-00000", 0, 0).unwrap();
        let cut = |rows, bytes, tail: &[u8]| Cut { rows, bytes, tail: tail.to_vec() };
        journal.append(&cut(1, 4, b"a"), &[read(0..1, 1)]).unwrap();
        journal.append(&cut(2, 8, b"END"), &[read(0..1, 1), read(1..3, 1)]).unwrap();
        drop(journal);
        let path = dir.path().join(STATE_DIR).join("part-m-00000.receipts");
        let mut torn = OpenOptions::new().append(true).open(path).unwrap();
        torn.write_all(b"{\"part\":\"part-m-00000\",\"rows\":3,\"byt").unwrap();
        let found = receipts(dir.path());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].rows, found[0].runs.len()), (2, 2));
        assert_eq!(restore(dir.path(), &found[0]).unwrap(), 11);
        assert_eq!(fs::read(dir.path().join("part-m-00000")).unwrap(), b"one\ntwo\nEND");
        // A file that lost bytes is not what the receipt spoke of.
        fs::write(dir.path().join("part-m-00000"), b"one").unwrap();
        assert!(receipts(dir.path()).is_empty());
    }

    #[test]
    fn a_receipt_cannot_name_a_file_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let receipt = |part: &str| Receipt {
            part: part.to_string(),
            worker: 0,
            rows: 0,
            bytes: 0,
            tail: None,
            runs: Vec::new(),
            snapshot: 0,
        };
        fs::write(dir.path().join("x"), b"").unwrap();
        assert!(whole(dir.path(), &receipt("x")));
        assert!(!whole(dir.path(), &receipt("../x")));
        assert!(!whole(dir.path(), &receipt("/etc/passwd")));
    }
}
