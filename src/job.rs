//! What the user wants: plain data, serialisable, checked without contacting anything.
//!
//! A [`JobSpec`] knows nothing of the command line; the command line, a job file and a program using
//! the library all make one. How it is done is the [`Plan`](crate::Plan)'s business.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rsqoop_connector::{ConnectTarget, Consistency, Error, ErrorKind, Relation, Result, TableName};
use serde::{Deserialize, Serialize};

/// Sessions and part files when the user names no number (Sqoop 1.4.7: `--num-mappers`).
pub const DEFAULT_WORKERS: usize = 4;

/// Most sessions one job may open.
pub const MAX_WORKERS: usize = 256;

/// One import: a table or query becomes files in a directory.
///
/// ```
/// use rsqoop::{JobSpec, Relation, TableName};
///
/// let job = JobSpec::import(
///     "sqlite:examples/shop.db",
///     Relation::Table(TableName::new("orders")),
///     "out/orders",
/// )?;
/// job.validate()?;
/// # Ok::<(), rsqoop::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct JobSpec {
    /// Where to read from, credentials included.
    pub source: ConnectTarget,
    /// What to read.
    pub relation: Relation,
    /// Columns to read, in output order; empty for all.
    pub columns: Vec<String>,
    /// SQL condition on the rows of a table.
    pub filter: Option<String>,
    /// How the rows are cut.
    pub split: SplitSpec,
    /// Rows per round trip, where the protocol has such a thing.
    pub fetch_size: Option<u32>,
    /// Column types the user chose.
    pub overrides: Vec<(String, TypeName)>,
    /// Where the files go.
    pub target: PathBuf,
    /// What to do when the target exists.
    pub existing: Existing,
    /// What the files look like.
    pub format: Format,
    /// What is compared with the source after the last row.
    pub verify: Verify,
    /// A result that could not be verified is a failure.
    pub require_verified: bool,
    /// How strong the state must be that all readers share.
    pub consistency: Consistency,
    /// What becomes of the rows that a dead run on the same target left.
    pub resume: Resume,
    /// Fastest rate at which rows are read, all workers together.
    pub max_rows_per_second: Option<u64>,
    /// The same in bytes of the rows in memory.
    pub max_bytes_per_second: Option<u64>,
    /// The command line behind the job, without secrets: what `rsqoop resume` gives again, and what
    /// the report shows.
    pub command: Vec<String>,
    /// Bounds on time and memory.
    pub limits: Limits,
}

/// How rows are cut into splits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitSpec {
    /// Sessions, and part files.
    pub workers: usize,
    /// Column or expression to cut by; the primary key's first column when missing.
    pub by: Option<String>,
    /// A query that gives minimum and maximum in one row.
    pub boundary_query: Option<String>,
    /// Widest split in key units (integers) or seconds (dates and timestamps); 0 is no limit.
    pub limit: u64,
    /// The user expects that a table without key may run with one worker.
    pub autoreset: bool,
}

/// What to do when the target directory exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// Refuse before any row is read.
    Refuse,
    /// Add files beside those that are there.
    Append,
    /// Put the new files in its place once they are complete.
    Replace,
}

/// What is compared with the source; the files are always compared with what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// Nothing.
    None,
    /// The number of rows, counted by the server in the snapshot that was read, where that costs
    /// little: not for views and unsplit queries.
    Auto,
    /// The number of rows, whatever it costs.
    Count,
    /// A checksum of every column in every split, computed by the server and from the files.
    Checksum,
}

/// What becomes of the rows that a dead run on the same target left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// They stay if the source has not changed since; otherwise the table starts again.
    Restart,
    /// They stay, whatever the source has become since.
    Mixed,
}

/// The files' format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Parquet.
    Parquet(ParquetCodec),
    /// Delimited text in Sqoop's form.
    Text(TextFormat),
}

/// Compression inside Parquet files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParquetCodec {
    /// No compression.
    None,
    /// Snappy.
    Snappy,
    /// Gzip.
    Gzip,
    /// Zstandard; the default.
    Zstd,
    /// LZ4 in Parquet's `LZ4_RAW` form.
    Lz4,
    /// Brotli.
    Brotli,
}

/// Compression of text files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextCodec {
    /// No compression.
    None,
    /// Gzip, `.gz`.
    Gzip,
    /// Bzip2, `.bz2`.
    Bzip2,
    /// Zstandard, `.zst`.
    Zstd,
    /// Snappy in Hadoop's block framing, `.snappy`.
    Snappy,
    /// LZ4 in Hadoop's block framing, `.lz4`.
    Lz4,
    /// Zlib, as Hadoop's default codec, `.deflate`.
    Deflate,
}

/// Delimited text (Sqoop 1.4.7 user guide, "Output line formatting").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFormat {
    /// Between fields.
    pub field_delimiter: char,
    /// After every record.
    pub record_delimiter: char,
    /// Around fields.
    pub enclosed_by: Option<char>,
    /// Whether every field is enclosed, or only one that holds a delimiter.
    pub enclose_all: bool,
    /// Before characters that would be misread.
    pub escaped_by: Option<char>,
    /// Stands for NULL in a column of a character type.
    pub null_string: String,
    /// Stands for NULL in any other column.
    pub null_non_string: String,
    /// What becomes of `\n`, `\r` and `\x01` in character columns.
    pub hive_delims: HiveDelims,
    /// Follow Sqoop 1.4.7 also where its form loses data or escapes the null token.
    pub sqoop_compat: bool,
    /// Compression of the whole file.
    pub codec: TextCodec,
}

/// What becomes of `\n`, `\r` and `\x01` in character columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiveDelims {
    /// They stay.
    Keep,
    /// They are dropped (`--hive-drop-import-delims`).
    Drop,
    /// Each is replaced (`--hive-delims-replacement`).
    Replace(String),
}

impl Default for TextFormat {
    fn default() -> Self {
        TextFormat {
            field_delimiter: ',',
            record_delimiter: '\n',
            enclosed_by: None,
            enclose_all: false,
            escaped_by: None,
            null_string: "null".to_string(),
            null_non_string: "null".to_string(),
            hive_delims: HiveDelims::Keep,
            sqoop_compat: false,
            codec: TextCodec::None,
        }
    }
}

impl Format {
    /// `parquet` or `text`: what must not be mixed in one directory.
    pub fn family(&self) -> &'static str {
        match self {
            Format::Parquet(_) => "parquet",
            Format::Text(_) => "text",
        }
    }

    /// The ending of part files: `""`, `".gz"`, `".parquet"` ….
    pub fn file_ending(&self) -> &'static str {
        match self {
            Format::Parquet(_) => ".parquet",
            Format::Text(text) => match text.codec {
                TextCodec::None => "",
                TextCodec::Gzip => ".gz",
                TextCodec::Bzip2 => ".bz2",
                TextCodec::Zstd => ".zst",
                TextCodec::Snappy => ".snappy",
                TextCodec::Lz4 => ".lz4",
                TextCodec::Deflate => ".deflate",
            },
        }
    }
}

/// A column type the user may ask for with `--map-column`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeName {
    /// The database's own text.
    String,
    /// 32-bit integer.
    Int,
    /// 64-bit integer.
    Long,
    /// 32-bit floating point.
    Float,
    /// 64-bit floating point.
    Double,
    /// True or false.
    Boolean,
    /// An exact decimal; without a size, the column's own.
    Decimal(Option<(u8, i8)>),
    /// A date.
    Date,
    /// A time of day.
    Time,
    /// Date and time.
    Timestamp,
    /// Bytes.
    Bytes,
}

/// Bounds on time and memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most rows in a batch between reader and writer.
    pub batch_rows: usize,
    /// Most bytes in a batch, but for one row that is larger.
    pub batch_bytes: usize,
    /// Bytes of batches that may wait between a reader and its writer, but for one batch that is
    /// larger.
    pub queue_bytes: usize,
    /// Encoded bytes of a Parquet row group at which it is closed.
    pub row_group_bytes: usize,
    /// Rows of a Parquet row group at which it is closed.
    pub row_group_rows: usize,
    /// New connections in a row for a worker whose connection broke.
    pub retries: u32,
    /// How long a stopped run may take to clean up.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            batch_rows: 8192,
            batch_bytes: 4 << 20,
            queue_bytes: 8 << 20,
            row_group_bytes: 12 << 20,
            row_group_rows: 1 << 20,
            retries: 3,
            shutdown: Duration::from_secs(10),
        }
    }
}

/// What the program, its sessions and libraries take, whatever the job.
const MEMORY_BASE: u64 = 40 << 20;

/// A worker's session, file buffer and compressor.
const MEMORY_WORKER: u64 = 2 << 20;

/// A worker holds about this many batches: two in the queue, one being read, one being written, and
/// what their buffers have in reserve.
const MEMORY_BATCHES: u64 = 6;

/// Least bytes of a batch and of a row group that still make sense.
const BATCH_BYTES_MIN: u64 = 128 << 10;
const ROW_GROUP_BYTES_MIN: u64 = 1 << 20;

/// Memory of a run when the user names none.
pub const DEFAULT_MEMORY: u64 = 256 << 20;

/// The least a worker can do with.
const MEMORY_WORKER_MIN: u64 =
    MEMORY_WORKER + MEMORY_BATCHES * BATCH_BYTES_MIN + ROW_GROUP_BYTES_MIN * 3 / 2;

impl Limits {
    /// Limits for so many workers: within [`DEFAULT_MEMORY`] if they can do with it.
    pub fn for_workers(workers: usize) -> Limits {
        let least = MEMORY_BASE + workers.max(1) as u64 * MEMORY_WORKER_MIN;
        Limits::within(DEFAULT_MEMORY.max(least), workers).unwrap_or_default()
    }

    /// Limits under which a run of `workers` takes about `memory` bytes, and what its largest rows
    /// need beyond that: `40 MiB + workers × (2 MiB + 6 × batch_bytes + 1.5 × row_group_bytes)`.
    ///
    /// # Errors
    /// `Usage` when so many workers cannot do with it.
    pub fn within(memory: u64, workers: usize) -> Result<Limits> {
        let workers = workers.max(1) as u64;
        let each = memory.saturating_sub(MEMORY_BASE) / workers;
        if each < MEMORY_WORKER_MIN {
            let needed = (MEMORY_BASE + workers * MEMORY_WORKER_MIN).div_ceil(1 << 20);
            return Err(usage(format!(
                "{workers} workers need at least {needed} MiB, and --memory allows {} MiB",
                memory >> 20
            ))
            .hint("use fewer workers (-m), or raise --memory"));
        }
        let defaults = Limits::default();
        let room = each - MEMORY_WORKER;
        let row_group = (room * 2 / 5).clamp(ROW_GROUP_BYTES_MIN, defaults.row_group_bytes as u64);
        let batch = (room - row_group * 3 / 2) / MEMORY_BATCHES;
        let batch = batch.clamp(BATCH_BYTES_MIN, defaults.batch_bytes as u64);
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Limits {
            batch_bytes: size(batch),
            queue_bytes: size(batch * 2),
            row_group_bytes: size(row_group),
            ..defaults
        })
    }
}

impl JobSpec {
    /// An import with defaults: text files, [`DEFAULT_WORKERS`] workers, an existing target is
    /// refused.
    ///
    /// # Errors
    /// `Usage` when `url` is not a connection URL.
    pub fn import(url: &str, relation: Relation, target: impl AsRef<Path>) -> Result<Self> {
        Ok(JobSpec {
            source: ConnectTarget::parse(url)?,
            relation,
            columns: Vec::new(),
            filter: None,
            split: SplitSpec {
                workers: DEFAULT_WORKERS,
                by: None,
                boundary_query: None,
                limit: 0,
                autoreset: false,
            },
            fetch_size: None,
            overrides: Vec::new(),
            target: target.as_ref().to_path_buf(),
            existing: Existing::Refuse,
            format: Format::Text(TextFormat::default()),
            verify: Verify::Auto,
            require_verified: false,
            consistency: Consistency::Snapshot,
            resume: Resume::Restart,
            max_rows_per_second: None,
            max_bytes_per_second: None,
            command: Vec::new(),
            limits: Limits::default(),
        })
    }

    /// Checks what can be known without contacting anything.
    ///
    /// # Errors
    /// `Usage`, naming the flags that contradict each other or lack something.
    pub fn validate(&self) -> Result<()> {
        if self.split.workers == 0 || self.split.workers > MAX_WORKERS {
            return Err(usage(format!(
                "-m must be between 1 and {MAX_WORKERS}, not {}",
                self.split.workers
            )));
        }
        if self.target.as_os_str().is_empty() {
            return Err(usage("the target directory has no name").hint("name it with --target-dir"));
        }
        self.validate_relation()?;
        for (flag, rate) in [
            ("--max-rows-per-second", self.max_rows_per_second),
            ("--max-bytes-per-second", self.max_bytes_per_second),
        ] {
            if rate == Some(0) {
                return Err(usage(format!("{flag} must be above 0")));
            }
        }
        if self.require_verified && self.verify == Verify::None {
            return Err(usage("--require-verified and --verify none contradict each other")
                .hint("leave one of them out"));
        }
        if self.split.autoreset && self.split.by.is_some() {
            return Err(usage("--autoreset-to-one-mapper and --split-by contradict each other")
                .hint(
                    "--split-by names a key, so nothing needs to be reset: leave one of them out",
                ));
        }
        let mut seen = Vec::new();
        for name in &self.columns {
            if seen.contains(&name) {
                return Err(usage(format!("--columns names {name:?} twice")));
            }
            seen.push(name);
        }
        if let Format::Text(text) = &self.format {
            text.validate()?;
        }
        Ok(())
    }

    fn validate_relation(&self) -> Result<()> {
        match &self.relation {
            Relation::Table(TableName { name, .. }) if name.is_empty() => {
                Err(usage("--table is empty"))
            }
            Relation::Table(_) => Ok(()),
            Relation::Query(query) => {
                if !query.contains("$CONDITIONS") {
                    return Err(usage("--query does not hold $CONDITIONS")
                        .hint("write … WHERE $CONDITIONS, in single quotes so that the shell leaves the $ alone; rsqoop puts each split's range there"));
                }
                if self.filter.is_some() {
                    return Err(usage("--where and --query contradict each other").hint(
                        "put the condition into the query: … WHERE (condition) AND $CONDITIONS",
                    ));
                }
                if self.split.boundary_query.is_some() && self.split.by.is_none() {
                    return Err(usage("--boundary-query with --query needs --split-by").hint(
                        "name the column of the query's result that the boundaries belong to",
                    ));
                }
                Ok(())
            }
        }
    }
}

impl TextFormat {
    fn validate(&self) -> Result<()> {
        let named = [
            ("--fields-terminated-by", Some(self.field_delimiter)),
            ("--lines-terminated-by", Some(self.record_delimiter)),
            (
                if self.enclose_all { "--enclosed-by" } else { "--optionally-enclosed-by" },
                self.enclosed_by,
            ),
            ("--escaped-by", self.escaped_by),
        ];
        for (index, (flag, value)) in named.iter().enumerate() {
            for (other_flag, other) in &named[..index] {
                if value.is_some() && value == other {
                    return Err(usage(format!(
                        "{other_flag} and {flag} are the same character, so the files could not be read back"
                    ))
                    .hint("choose different characters"));
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn usage(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, message)
}
