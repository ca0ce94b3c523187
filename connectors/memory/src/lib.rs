//! Tables in memory: the smallest complete rsqoop connector, and the template to copy.
//!
//! It serves tests, examples and programs that already hold record batches. It deliberately has no
//! SQL: `--where`, `--query` and `eval` are refused as `Unsupported`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow_array::{Int64Array, RecordBatch, StringArray};
//! use arrow_schema::{DataType, Field, Schema};
//! use rsqoop_connector::{ConnectTarget, Connector, Relation, TableName};
//! use rsqoop_memory::Memory;
//!
//! let schema = Arc::new(Schema::new(vec![
//!     Field::new("id", DataType::Int64, false),
//!     Field::new("name", DataType::Utf8, true),
//! ]));
//! let batch = RecordBatch::try_new(schema.clone(), vec![
//!     Arc::new(Int64Array::from(vec![1, 2])),
//!     Arc::new(StringArray::from(vec![Some("bolt"), None])),
//! ])?;
//! let memory = Memory::new().table("parts", schema, vec![batch], &["id"])?;
//!
//! let mut session = memory.connect(&ConnectTarget::parse("memory://local/shop")?)?;
//! let info = session.describe(&Relation::Table(TableName::new("parts")))?;
//! assert_eq!(info.primary_key, ["id"]);
//! assert_eq!(info.estimated_rows, Some(2));
//! # Ok::<(), rsqoop_connector::Error>(())
//! ```
//!
//! # Writing a connector of your own
//!
//! Copy this crate and replace one file after the other, in this order:
//!
//! | File | What it answers |
//! |---|---|
//! | `lib.rs` | the [`Connector`]: name, URL schemes, [`Capabilities`], how a session is opened |
//! | `config.rs` | which parts and parameters of a URL it knows; contacts nothing |
//! | `error.rs` | how the driver's errors become [`Error`]s of the right kind |
//! | `types.rs` | native type → Arrow type and [`ColumnKind`](rsqoop_connector::ColumnKind); identical or refused |
//! | `dialect.rs` | quoting of names and literals; pure |
//! | `session.rs` | catalogue questions, snapshot, interrupt; delegates the two loops |
//! | `bounds.rs` | smallest and largest key, or points between keys in the server's own order |
//! | `rows.rs` | the same for keys of several columns, which SQL compares as a row |
//! | `read.rs` | the reading loop: statement in, record batches out |
//! | `tests/suite.rs` | the behaviour suite of `rsqoop_connector::testkit`; it tells when you are done |
//!
//! Then add one line to `src/registry.rs` of the program. Four rules carry the whole design:
//!
//! 1. The connector owns the reading loop and pushes batches; the sink blocks when the engine is
//!    behind, so nothing is ever queued without bound.
//! 2. A decoder is chosen once per column and query, never per value.
//! 3. A value that does not fit is an error of kind `Data` that names column and row; it is never
//!    clamped, rounded or nulled.
//! 4. The interrupt flag is looked at once per batch, and before the first one.

mod bounds;
mod config;
mod dialect;
mod error;
mod read;
mod rows;
mod session;
mod text;
mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use rsqoop_connector::{Capabilities, ConnectTarget, Connector, Error, ErrorKind, Result, Session};

/// Named tables of record batches, as a database of its own.
///
/// Cloning is cheap; all sessions of all clones see the same, never changing data.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    tables: Arc<BTreeMap<String, Table>>,
}

/// One table: what a catalogue and a heap would hold.
#[derive(Debug, Clone)]
struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    primary_key: Vec<String>,
}

impl Memory {
    /// A database without tables.
    pub fn new() -> Self {
        Memory::default()
    }

    /// Adds a table; one of the same name is replaced. `primary_key` may be empty.
    ///
    /// # Errors
    /// `Usage` when a batch has another schema than the table, or the key names no column.
    pub fn table(
        mut self,
        name: impl Into<String>,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
        primary_key: &[&str],
    ) -> Result<Self> {
        let name = name.into();
        if batches.iter().any(|b| b.schema() != schema) {
            return Err(Error::new(ErrorKind::Usage, "a batch has another schema than its table")
                .context("table", name));
        }
        if let Some(column) = primary_key.iter().find(|c| schema.index_of(c).is_err()) {
            return Err(error::no_column(column).context("table", name));
        }
        let primary_key = primary_key.iter().map(ToString::to_string).collect();
        Arc::make_mut(&mut self.tables).insert(name, Table { schema, batches, primary_key });
        Ok(self)
    }
}

impl Connector for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["memory"]
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { shared_snapshot: true, rejoin: true, sql: false, parallel: true }
    }

    fn check(&self, target: &ConnectTarget) -> Result<Vec<String>> {
        config::check(target)
    }

    fn connect(&self, target: &ConnectTarget) -> Result<Box<dyn Session>> {
        Ok(Box::new(session::MemorySession::new(self.clone(), config::database(target)?)))
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn a_table_must_agree_with_itself() {
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
        let other = Arc::new(Schema::new(vec![Field::new("id", DataType::Int32, false)]));
        let batch = RecordBatch::new_empty(other);
        let error = Memory::new().table("t", schema.clone(), vec![batch], &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        let error = Memory::new().table("t", schema, vec![], &["nope"]).unwrap_err();
        assert!(error.message().contains("nope"), "{error:?}");
    }
}
