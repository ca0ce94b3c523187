//! The manifest: exactly which files a published directory consists of, and where they came from.

use rsqoop_connector::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Version of the manifest's form; a reader refuses a larger one.
pub const MANIFEST_VERSION: u32 = 1;

/// What `_manifest.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// Rows in all files together.
    pub rows: u64,
    /// Bytes of all files together.
    pub bytes: u64,
    /// The runs that made them, oldest first: one, or several after `--append`.
    pub runs: Vec<ManifestRun>,
    /// The files.
    pub files: Vec<ManifestFile>,
}

/// One run that added files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRun {
    /// Random id.
    pub run_id: String,
    /// Version of rsqoop.
    pub rsqoop: String,
    /// When the run began, UTC, RFC 3339.
    pub started: String,
    /// Where it read, without credentials.
    pub source: String,
    /// Table or query.
    pub relation: String,
    /// The snapshot all readers shared, if there was one.
    pub snapshot: Option<String>,
    /// `parquet` or `text`.
    pub format: String,
    /// Columns in order.
    pub columns: Vec<ManifestColumn>,
}

/// A column of a run's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestColumn {
    /// Name.
    pub name: String,
    /// The database's own type.
    pub native_type: String,
    /// The type in the files.
    pub file_type: String,
}

/// One data file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Name relative to the directory.
    pub name: String,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// The run that wrote it.
    pub run_id: String,
}

/// What every version of the manifest has.
#[derive(Deserialize)]
struct Form {
    version: u32,
}

impl Manifest {
    /// The manifest of one run.
    pub(crate) fn new(run: ManifestRun, files: Vec<ManifestFile>) -> Self {
        Manifest {
            version: MANIFEST_VERSION,
            rows: files.iter().map(|f| f.rows).sum(),
            bytes: files.iter().map(|f| f.bytes).sum(),
            runs: vec![run],
            files,
        }
    }

    /// Earlier files and runs followed by this one's.
    pub(crate) fn after(self, earlier: Manifest) -> Self {
        Manifest {
            version: MANIFEST_VERSION,
            rows: earlier.rows + self.rows,
            bytes: earlier.bytes + self.bytes,
            runs: earlier.runs.into_iter().chain(self.runs).collect(),
            files: earlier.files.into_iter().chain(self.files).collect(),
        }
    }

    /// Parses a manifest.
    ///
    /// # Errors
    /// `Storage` when it is not one, or newer than this version of rsqoop knows.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: String| {
            Error::new(ErrorKind::Storage, format!("the target's manifest cannot be used: {why}"))
                .hint("import into another directory, or replace this one with --delete-target-dir")
        };
        // The version comes first: a newer form may lack what this one needs.
        let form: Form = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
        if form.version > MANIFEST_VERSION {
            return Err(bad(format!("its version {} is newer than this rsqoop", form.version)));
        }
        serde_json::from_str(text).map_err(|e| bad(e.to_string()))
    }

    /// The file's text.
    pub(crate) fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("plain strings and numbers always serialise");
        text.push('\n');
        text
    }
}
