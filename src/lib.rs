//! Bulk transfer between databases and files, in the manner of Apache Sqoop.
//!
//! The program `rsqoop` is a thin shell over this library. An import is a [`JobSpec`]; an [`Engine`]
//! plans and runs it and gives a [`Report`].
//!
//! ```
//! use rsqoop::{Engine, Format, JobSpec, ParquetCodec, Relation, TableName};
//!
//! # let dir = std::env::temp_dir().join(format!("rsqoop-doc-{}", std::process::id()));
//! # let target = dir.join("orders");
//! let mut job = JobSpec::import(
//!     "sqlite:examples/shop.db",
//!     Relation::Table(TableName::new("orders")),
//!     &target,
//! )?;
//! job.format = Format::Parquet(ParquetCodec::Zstd);
//! let report = Engine::new().run(&job)?;
//! assert_eq!(report.status, "done");
//! assert!(target.join("_SUCCESS").exists());
//! # std::fs::remove_dir_all(dir).unwrap();
//! # Ok::<(), rsqoop::Error>(())
//! ```
//!
//! A run can be watched and stopped from other threads through a [`RunControl`]. Connectors of one's
//! own are added with [`Engine::with_connector`]; their contract is [`connector`].

mod commit;
mod engine;
mod format;
mod job;
mod plan;
mod registry;
mod report;
mod run;
mod store;
mod verify;

#[doc(hidden)]
pub mod cli;

pub use rsqoop_connector as connector;
pub use rsqoop_connector::{
    ConnectTarget, Consistency, Error, ErrorKind, Relation, Result, Secret, TableName,
};

pub use commit::leftover::{Leftover, leftovers_below, remove_leftover};
pub use commit::manifest::{MANIFEST_VERSION, Manifest, ManifestColumn, ManifestFile, ManifestRun};
pub use commit::state::RunRecord;
pub use engine::Engine;
pub use job::{
    DEFAULT_MEMORY, DEFAULT_WORKERS, Existing, Format, HiveDelims, JobSpec, Limits, MAX_WORKERS,
    ParquetCodec, Resume, SplitSpec, TextCodec, TextFormat, TypeName, Verify,
};
pub use plan::{Plan, PlanColumn, PlanSplit};
pub use report::{
    REPORT_VERSION, Report, ReportChecksum, ReportError, ReportFile, ReportRetry, ReportSplit,
    ReportWorker,
};
pub use run::control::{Event, Phase, Progress, RunControl, WorkerProgress, WorkerSnapshot};

/// The program's exit status for a run that failed but left what is safe, to be gone on with.
pub const EXIT_STATE_KEPT: u8 = 5;

/// The program's exit status for a kind of failure; see `docs/errors.md`.
///
/// ```
/// assert_eq!(rsqoop::exit_status(rsqoop::ErrorKind::Usage), 2);
/// ```
pub fn exit_status(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage | ErrorKind::Config | ErrorKind::Unsupported => 2,
        ErrorKind::Connect | ErrorKind::Auth => 3,
        ErrorKind::Conflict => 4,
        ErrorKind::Bug => 70,
        ErrorKind::Cancelled => 130,
        _ => 1,
    }
}
