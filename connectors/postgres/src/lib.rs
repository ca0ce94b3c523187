//! PostgreSQL for rsqoop: rows leave the server by `COPY … TO STDOUT (FORMAT binary)` and are
//! decoded straight into Arrow arrays.
//!
//! ```no_run
//! use rsqoop_connector::{ConnectTarget, Connector, Relation, TableName};
//! use rsqoop_postgres::Postgres;
//!
//! let target = ConnectTarget::parse("postgresql://app:secret@db.example/shop?sslmode=require")?;
//! let mut session = Postgres.connect(&target)?;
//! let info = session.describe(&Relation::Table(TableName::new("orders")))?;
//! println!("{} columns, key {:?}", info.columns.len(), info.primary_key);
//! # Ok::<(), rsqoop_connector::Error>(())
//! ```
//!
//! | File | What it answers |
//! |---|---|
//! | `config.rs` | which URL parameters are known; contacts nothing |
//! | `link.rs` | one connection with its limits: every wait has an end and can be interrupted |
//! | `stop.rs` | how another thread stops a session |
//! | `session.rs` | the contract's `Session`, delegating to the others |
//! | `catalog.rs`, `describe.rs` | columns and keys of tables, columns of queries |
//! | `types.rs` | native type → Arrow type: identical, or as text |
//! | `bounds.rs`, `boundary.rs` | extent of a split key, or points between its values |
//! | `points.rs`, `composite.rs` | points by sorting keys of one column, of several |
//! | `spread.rs`, `sample.rs` | points from statistics; which rows are looked at |
//! | `storage.rs` | ranges of pages (`ctid`) |
//! | `snapshot.rs` | one state for all readers: locks, then an exported snapshot |
//! | `checksum.rs` | content checksums by the server's own SQL |
//! | `activity.rs` | what another session of the run is doing |
//! | `read.rs`, `decode/` | the reading loop; bytes → arrays |
//! | `evaluate.rs` | statements whose results are wanted as text |
//! | `dialect.rs`, `error.rs` | spelling of SQL; kinds of errors |
//!
//! Reads run in read-only transactions, with row-level security off (a read that it would shorten
//! is refused by the server) and with the server's time limits lifted for this session.

mod activity;
mod boundary;
mod bounds;
mod catalog;
mod checksum;
mod composite;
mod config;
mod decode;
mod describe;
mod dialect;
mod error;
mod evaluate;
mod link;
mod points;
mod read;
mod sample;
mod session;
mod snapshot;
mod spread;
mod stop;
mod storage;
mod types;

use rsqoop_connector::{Capabilities, ConnectTarget, Connector, Result, Session};

pub use dialect::PostgresDialect;

/// The PostgreSQL connector.
#[derive(Debug, Clone, Copy, Default)]
pub struct Postgres;

impl Connector for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["postgresql", "postgres"]
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { shared_snapshot: true, rejoin: true, sql: true, parallel: true }
    }

    fn check(&self, target: &ConnectTarget) -> Result<Vec<String>> {
        config::settings(target)?;
        Ok(config::unknown(target))
    }

    fn connect(&self, target: &ConnectTarget) -> Result<Box<dyn Session>> {
        let settings = config::settings(target)?;
        Ok(Box::new(session::PostgresSession::open(settings)?))
    }
}
