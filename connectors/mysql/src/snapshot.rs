//! One consistent snapshot for several sessions.
//!
//! MySQL has no snapshot that can be handed over: every session opens its own, and a short lock on
//! the first session keeps writers away until all have done so. The lock is given back after a
//! bounded time whatever happens. Deliberately not used: `LOCK INSTANCE FOR BACKUP`, which would
//! outlive the moment.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use rsqoop_connector::{Dialect, Error, ErrorKind, Result, SnapshotId, TableName};

use crate::dialect::{MySqlDialect, string};
use crate::error::{self, Phase};
use crate::wire::{Conn, Fault};

/// Longest time that all writers of the server may be kept waiting.
const GLOBAL_LOCK: Duration = Duration::from_secs(2);
/// The same for the writers of the tables that are read.
const TABLE_LOCK: Duration = Duration::from_secs(10);
/// Seconds to wait for either lock; waiting for it already holds up writers behind it.
const LOCK_WAIT: u32 = 2;
/// Seconds that other statements of the session wait for a metadata lock.
pub(crate) const USUAL_LOCK_WAIT: u32 = 30;

/// The lock that keeps writers away, and the thread that takes it back when time is up.
#[derive(Debug)]
pub(crate) struct Keeper {
    done: Sender<()>,
    watch: JoinHandle<bool>,
}

fn run(fault: Fault) -> Error {
    error::statement(fault, Phase::Run)
}

/// Takes a lock over the tables. `None` when none can be had, or when a table keeps no row versions.
pub(crate) fn share(conn: &mut Conn, tables: &[TableName]) -> Result<Option<(SnapshotId, Keeper)>> {
    for table in tables {
        if !has_row_versions(conn, table)? {
            return Ok(None);
        }
    }
    set_lock_wait(conn, LOCK_WAIT)?;
    let locked = lock(conn, tables)?;
    // The watch comes first: nothing that fails after this leaves the lock in place.
    let keeper = match &locked {
        Some((_, limit)) => Some(Keeper::start(conn, *limit).inspect_err(|_| {
            conn.abandon("the lock could not be watched");
        })?),
        None => None,
    };
    set_lock_wait(conn, USUAL_LOCK_WAIT)?;
    let (Some((how, _)), Some(keeper)) = (locked, keeper) else { return Ok(None) };
    let id = match log_position(conn) {
        Some(position) => format!("{how}; {position}"),
        None => how.to_string(),
    };
    Ok(Some((SnapshotId(id), keeper)))
}

fn set_lock_wait(conn: &mut Conn, seconds: u32) -> Result<()> {
    conn.run(&format!("SET SESSION lock_wait_timeout = {seconds}")).map(|_| ()).map_err(run)
}

fn lock(conn: &mut Conn, tables: &[TableName]) -> Result<Option<(&'static str, Duration)>> {
    match conn.run("FLUSH TABLES WITH READ LOCK") {
        Ok(_) => return Ok(Some(("global read lock", GLOBAL_LOCK))),
        Err(fault) if fault.keeps_connection() => {}
        Err(fault) => return Err(run(fault)),
    }
    if tables.is_empty() {
        return Ok(None);
    }
    let list: Vec<String> =
        tables.iter().map(|t| format!("{} READ", MySqlDialect.quote_table(t))).collect();
    match conn.run(&format!("LOCK TABLES {}", list.join(", "))) {
        Ok(_) => Ok(Some(("table read locks", TABLE_LOCK))),
        Err(fault) if fault.keeps_connection() => Ok(None),
        Err(fault) => Err(run(fault)),
    }
}

/// Whether an older version of the table's rows can be read. Views are taken as their tables.
fn has_row_versions(conn: &mut Conn, table: &TableName) -> Result<bool> {
    let schema = table.schema.as_deref().map_or_else(|| "DATABASE()".to_string(), string);
    let sql = format!(
        "SELECT engine FROM information_schema.tables WHERE table_schema = {schema} \
         AND table_name = {}",
        string(&table.name)
    );
    let rows = conn.rows(&sql).map_err(run)?;
    Ok(rows.iter().flatten().flatten().all(|engine| {
        ["InnoDB", "ROCKSDB", "partition"].iter().any(|e| e.eq_ignore_ascii_case(engine))
    }))
}

/// Where the binary log stands, if this login may know.
fn log_position(conn: &mut Conn) -> Option<String> {
    if conn.mariadb
        && let Ok(rows) = conn.rows("SELECT @@gtid_binlog_pos")
        && let Some(Some(position)) = rows.first().and_then(|r| r.first())
        && !position.is_empty()
    {
        return Some(format!("gtid {position}"));
    }
    ["SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"].iter().find_map(|sql| {
        let rows = conn.rows(sql).ok()?;
        let mut row = rows.into_iter().next()?.into_iter();
        Some(format!("binlog {}:{}", row.next()??, row.next()??))
    })
}

impl Keeper {
    fn start(conn: &mut Conn, limit: Duration) -> Result<Keeper> {
        let failed = |e: std::io::Error| {
            Error::new(ErrorKind::Source, format!("the lock cannot be watched: {e}"))
        };
        let closer = conn.closer().map_err(failed)?;
        let (done, finished) = mpsc::channel();
        let watch = std::thread::Builder::new()
            .name("mysql-lock".to_string())
            .spawn(move || {
                let late = finished.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
                if late {
                    // The server gives the locks of a lost connection back.
                    closer.close();
                }
                late
            })
            .map_err(failed)?;
        Ok(Keeper { done, watch })
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// It was gone before: somebody may have joined another snapshot than the rest.
    pub(crate) fn release(self, conn: &mut Conn) -> Result<()> {
        // Nobody listens when time was up.
        let _ = self.done.send(());
        let late = self.watch.join().unwrap_or(true);
        if late {
            conn.abandon("its lock was given back");
            return Err(Error::new(
                ErrorKind::Source,
                "the lock had to be given back before every session had its snapshot",
            )
            .hint("try again, or use fewer connections")
            .transient());
        }
        conn.run("UNLOCK TABLES").map(|_| ()).map_err(run)
    }
}

/// Opens this session's own view of the rows, which is the common one while the lock is held.
pub(crate) fn join(conn: &mut Conn) -> Result<()> {
    conn.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").map_err(run)?;
    conn.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").map_err(run)?;
    Ok(())
}
