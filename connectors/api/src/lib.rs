//! The contract between the rsqoop engine and a connector.
//!
//! A connector reaches one kind of database. It implements three small traits and one dialect:
//!
//! | Trait | What it stands for |
//! |---|---|
//! | [`Connector`] | one database kind: its name, URL schemes, abilities, and how to open a session |
//! | [`Session`] | one connection, used by one thread, for many statements one after the other |
//! | [`Interrupt`] | a handle by which another thread stops what a session is doing |
//! | [`Dialect`] | how names and values are spelled in this database's SQL; no I/O |
//!
//! Arrow record batches are the only currency. The connector owns the reading loop and pushes
//! batches into a [`BatchSink`], so that cursors, statements and transactions live on its own
//! stack; the sink blocks when the engine is behind, and that is the whole back-pressure.
//!
//! This crate deliberately knows no file format, no thread pool, no command line and no async
//! runtime. `connectors/memory` is the smallest complete connector and the template to copy; the
//! behaviour suite in the module `testkit` (feature `testkit`) tells when a new one is done.
//!
//! ```
//! use rsqoop_connector::{ConnectTarget, Location};
//!
//! let target = ConnectTarget::parse("jdbc:postgresql://db.example:5433/shop?sslmode=require")?;
//! assert_eq!(target.scheme, "postgresql");
//! assert!(matches!(target.location, Location::Server { port: Some(5433), .. }));
//! # Ok::<(), rsqoop_connector::Error>(())
//! ```

mod batch;
pub mod calendar;
mod checksum;
mod error;
mod model;
mod query;
mod session;
mod snapshot;
mod target;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use batch::{BatchSink, BatchSource};
pub use checksum::{Checksums, ColumnChecksum, ColumnSql, checksums_by_sql};
pub use error::{Error, ErrorKind, Result};
pub use model::{
    ColumnInfo, ColumnKind, Extension, KeyValue, NATIVE_TYPE_KEY, Relation, RelationKind,
    StorageKey, TableInfo, TableName,
};
pub use query::{
    Bounds, BoundsRequest, KeyRange, ReadColumn, ReadQuery, SplitKey, fill_conditions, row_literal,
};
pub use session::{
    Activity, Capabilities, Connector, Dialect, Interrupt, ServerInfo, Session, TextColumn,
    TextSink,
};
pub use snapshot::{Consistency, SharedSnapshot, SnapshotId, SnapshotOp, SnapshotRequest};
pub use target::{ConnectTarget, Location, Secret, TlsMode, TlsOptions};
