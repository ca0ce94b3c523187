//! What a run did, for machines: written for every run, failed ones too.

use rsqoop_connector::{Consistency, Error, SharedSnapshot};
use serde::{Deserialize, Serialize};

/// Version of the report's form.
pub const REPORT_VERSION: u32 = 2;

/// The report of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// `done` or `failed`.
    pub status: String,
    /// Random id of the run.
    pub run_id: String,
    /// Version of rsqoop.
    pub rsqoop: String,
    /// The command line, without secrets.
    pub command: Vec<String>,
    /// When it began, UTC, RFC 3339.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// Where it read, without credentials.
    pub source: String,
    /// Product and version of the server, once known.
    pub server: Option<String>,
    /// Table or query.
    pub relation: String,
    /// Target directory.
    pub target: String,
    /// Format and compression.
    pub format: String,
    /// How strong a state all readers were to share.
    pub consistency: Consistency,
    /// The state all readers shared, if there was one.
    pub snapshot: Option<SharedSnapshot>,
    /// The states of earlier tries from which parts were kept; `splits` say which.
    pub earlier_snapshots: Vec<Option<SharedSnapshot>>,
    /// What each worker did.
    pub workers: Vec<ReportWorker>,
    /// Seconds in which rows were read.
    pub read_seconds: f64,
    /// Rows in the files.
    pub rows: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// What was compared after the last row and found equal.
    pub verified: Vec<String>,
    /// What was not compared, and why.
    pub not_verified: Vec<String>,
    /// The files.
    pub files: Vec<ReportFile>,
    /// The ranges, in the order of the key.
    pub splits: Vec<ReportSplit>,
    /// The checksums that were compared, with `--verify checksum`.
    pub checksums: Vec<ReportChecksum>,
    /// Connections that broke while rows were read.
    pub retries: Vec<ReportRetry>,
    /// The directory with what is safe of a run that failed and can go on.
    pub kept: Option<String>,
    /// What the user was told on the way.
    pub notes: Vec<String>,
    /// Why it failed.
    pub error: Option<ReportError>,
}

/// One file of a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportFile {
    /// Name in the target directory.
    pub name: String,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// One worker of a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportWorker {
    /// Rows it wrote.
    pub rows: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Ranges it read.
    pub splits: usize,
    /// Seconds in which it read or wrote.
    pub busy_seconds: f64,
    /// Seconds in which it had nothing to read while others still read.
    pub idle_seconds: f64,
}

/// The content of one column in one range of a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportChecksum {
    /// The range, an index into `splits`.
    pub split: usize,
    /// The column.
    pub column: String,
    /// Values that are NULL.
    pub nulls: u64,
    /// Sum of the hashes of the others, in hexadecimal.
    pub sum: String,
}

/// A connection that broke.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportRetry {
    /// The worker.
    pub worker: usize,
    /// What happened.
    pub error: String,
}

/// One range of a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportSplit {
    /// The condition on the key; all rows when missing.
    pub range: Option<String>,
    /// The worker that read it, counted from 0.
    pub worker: usize,
    /// Name of the file that has its rows; none has where the run failed.
    pub file: Option<String>,
    /// The snapshot it comes from: the run's own when missing, else an index into
    /// `earlier_snapshots`.
    pub earlier_snapshot: Option<usize>,
    /// Rows it gave.
    pub rows: u64,
    /// Seconds it took.
    pub seconds: f64,
}

/// A failure of a report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportError {
    /// Kind of failure.
    pub kind: String,
    /// What happened.
    pub message: String,
    /// Where.
    pub context: Vec<(String, String)>,
    /// What to do.
    pub hint: Option<String>,
    /// Exit status of the program for it.
    pub exit_status: u8,
}

impl ReportError {
    /// From an error.
    pub(crate) fn new(error: &Error) -> Self {
        ReportError {
            kind: error.kind().name().to_string(),
            message: error.message().to_string(),
            context: error.contexts().iter().map(|(k, v)| ((*k).to_string(), v.clone())).collect(),
            hint: error.hint_text().map(str::to_string),
            exit_status: crate::exit_status(error.kind()),
        }
    }
}

impl Report {
    /// The report's text.
    ///
    /// # Panics
    /// Never: plain numbers and strings always serialise.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data always serialises");
        text.push('\n');
        text
    }
}
