//! One session: a connection that only reads, and a second one that may write, opened when it is
//! first needed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rsqoop_connector::{
    BatchSink, Bounds, BoundsRequest, Checksums, Dialect, Interrupt, ReadQuery, Relation, Result,
    ServerInfo, Session, SharedSnapshot, SnapshotOp, SnapshotRequest, TableInfo, TextSink,
};
use rusqlite::Connection;

use crate::config::Config;
use crate::dialect::SqliteDialect;
use crate::evidence::FileId;
use crate::snapshot::{self, Keeper};
use crate::{bounds, catalog, checksum, error, evaluate, read};

/// Steps of SQLite's virtual machine between two looks at the stop flag: some 100 microseconds.
const STOP_STEPS: i32 = 10_000;

pub(crate) struct SqliteSession {
    config: Config,
    reader: Connection,
    /// The file that `reader` reads.
    opened: FileId,
    writer: Option<Connection>,
    keeper: Option<Keeper>,
    stop: Arc<Stop>,
}

/// The flag that other threads set. SQLite's virtual machine looks at it by itself, also while a
/// statement has no row to give yet, so that `sqlite3_interrupt` is not needed.
#[derive(Debug, Default)]
struct Stop(AtomicBool);

impl Interrupt for Stop {
    fn interrupt(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for SqliteSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSession").field("path", &self.config.path()).finish_non_exhaustive()
    }
}

impl SqliteSession {
    pub(crate) fn open(config: Config) -> Result<Self> {
        let stop = Arc::default();
        let (reader, opened) = config.open_known_reader()?;
        watch(&reader, &stop)?;
        Ok(SqliteSession { config, reader, opened, writer: None, keeper: None, stop })
    }

    fn writer(&mut self) -> Result<&Connection> {
        if self.writer.is_none() {
            let conn = self.config.open_writer()?;
            watch(&conn, &self.stop)?;
            self.writer = Some(conn);
        }
        Ok(self.writer.as_ref().expect("it was just opened"))
    }
}

/// Makes a connection end its statement once the flag is set.
fn watch(conn: &Connection, stop: &Arc<Stop>) -> Result<()> {
    let stop = Arc::clone(stop);
    conn.progress_handler(STOP_STEPS, Some(move || stop.0.load(Ordering::Relaxed)))
        .map_err(error::step)
}

impl Session for SqliteSession {
    fn dialect(&self) -> &'static dyn Dialect {
        &SqliteDialect
    }

    fn server(&mut self) -> Result<ServerInfo> {
        Ok(ServerInfo { product: "SQLite".to_string(), version: rusqlite::version().to_string() })
    }

    fn databases(&mut self) -> Result<Vec<String>> {
        catalog::databases(&self.reader)
    }

    fn tables(&mut self, schema: Option<&str>) -> Result<Vec<String>> {
        catalog::tables(&self.reader, schema.unwrap_or("main"))
    }

    fn describe(&mut self, what: &Relation) -> Result<TableInfo> {
        catalog::describe(&self.reader, what)
    }

    fn bounds(&mut self, request: &BoundsRequest) -> Result<Bounds> {
        bounds::bounds(&self.reader, request)
    }

    fn snapshot_recipe(&mut self, request: &SnapshotRequest) -> Result<String> {
        snapshot::recipe(&self.reader, &self.config, request.consistency)
    }

    fn snapshot(&mut self, op: &SnapshotOp) -> Result<Option<SharedSnapshot>> {
        snapshot::snapshot(&self.reader, &self.config, self.opened, &mut self.keeper, op)
    }

    fn count(&mut self, query: &ReadQuery) -> Result<Option<u64>> {
        let mut statement = read::prepare(&self.reader, &query.count_sql(&SqliteDialect))?;
        let rows: i64 = statement.query_row([], |row| row.get(0)).map_err(error::step)?;
        Ok(u64::try_from(rows).ok())
    }

    fn checksum(&mut self, query: &ReadQuery) -> Result<Option<Checksums>> {
        checksum::checksum(&self.reader, query).map(Some)
    }

    fn execute(&mut self, sql: &str) -> Result<u64> {
        evaluate::execute(self.writer()?, sql)
    }

    fn evaluate(&mut self, sql: &str, out: &mut dyn TextSink) -> Result<()> {
        evaluate::evaluate(self.writer()?, sql, out)
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.stop.clone()
    }

    fn read(&mut self, query: &ReadQuery, out: &mut dyn BatchSink) -> Result<()> {
        read::read(&self.reader, query, &self.stop.0, out)
    }
}
