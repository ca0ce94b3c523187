//! One snapshot for several connections.
//!
//! Every session holds a read transaction. With a rollback journal the first of them already keeps
//! everybody from committing (<https://sqlite.org/lockingv3.html>). In WAL mode another program may commit while the sessions open one
//! after the other; a probe connection, which holds no transaction, tells whether that happened: its
//! `PRAGMA data_version` changes with every commit of another connection. If it did not change from
//! before the first session began until after the last one, all of them see the same database.

use rsqoop_connector::{Error, ErrorKind, Result, SnapshotId, SnapshotOp};
use rusqlite::Connection;

use crate::config::Config;
use crate::error;

/// Watches for commits while sessions join.
#[derive(Debug)]
pub(crate) struct Keeper {
    probe: Connection,
    version: i64,
}

impl Keeper {
    fn new(config: &Config) -> Result<Self> {
        let probe = config.open_reader()?;
        let version = data_version(&probe)?;
        Ok(Keeper { probe, version })
    }

    fn check(&self) -> Result<()> {
        if data_version(&self.probe)? == self.version {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Source, "the database changed while the sessions opened")
            .hint("run it again, or with one session: -m 1")
            .transient())
    }
}

/// Shares, joins or releases.
pub(crate) fn snapshot(
    conn: &Connection,
    config: &Config,
    keeper: &mut Option<Keeper>,
    op: &SnapshotOp,
) -> Result<Option<SnapshotId>> {
    match op {
        SnapshotOp::Share(_) => {
            let mode: String = conn
                .pragma_query_value(None, "journal_mode", |row| row.get(0))
                .map_err(error::step)?;
            *keeper = if mode == "wal" { Some(Keeper::new(config)?) } else { None };
            begin(conn)?;
            Ok(Some(SnapshotId("read transaction".to_string())))
        }
        SnapshotOp::Join(id) => {
            begin(conn)?;
            Ok(Some(id.clone()))
        }
        SnapshotOp::Release => {
            // The probe is done: an open connection of its own would only hold a file handle.
            if let Some(keeper) = keeper.take() {
                keeper.check()?;
            }
            Ok(None)
        }
    }
}

/// A deferred transaction begins with its first read.
fn begin(conn: &Connection) -> Result<()> {
    if !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK").map_err(error::step)?;
    }
    conn.execute_batch("BEGIN").map_err(error::step)?;
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        .map_err(error::step)?;
    Ok(())
}

fn data_version(conn: &Connection) -> Result<i64> {
    conn.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(error::step)
}
