//! One snapshot for several connections.
//!
//! Every session holds a read transaction. With a rollback journal the first of them already keeps
//! everybody from committing (<https://sqlite.org/lockingv3.html>). In WAL mode another program may
//! commit while the sessions open one after the other; a probe connection, which holds no
//! transaction, tells whether that happened: its `PRAGMA data_version` changes with every commit of
//! another connection. If it did not change from before the first session began until after the last
//! one, all of them see the same database.
//!
//! The data version of a snapshot is what the file system says of the files: no two states of a
//! database have it in common, because every write changes a file's time of change, which no program
//! can set. Where two writes could fall into one tick of that clock, there is no data version.

use std::time::Duration;

use rsqoop_connector::{
    Consistency, Error, ErrorKind, Result, SharedSnapshot, SnapshotId, SnapshotOp,
};
use rusqlite::Connection;

use crate::config::Config;
use crate::error;
use crate::evidence::{Evidence, FileId, FileState};

/// How long a session that joins waits for a lock. A writer that wants to commit lets no new reader
/// in and itself waits for the session that shares: more patience would help neither.
const JOIN_WAIT: Duration = Duration::from_secs(1);

/// How a file's state is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A read transaction keeps writers out.
    Locked,
    /// Readers see the log as it was when they began.
    Wal,
    /// The user says that nobody writes.
    Immutable,
}

impl Mode {
    fn of(conn: &Connection, config: &Config) -> Result<Mode> {
        if config.immutable() {
            return Ok(Mode::Immutable);
        }
        let mode: String =
            conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(error::step)?;
        Ok(if mode.eq_ignore_ascii_case("wal") { Mode::Wal } else { Mode::Locked })
    }

    fn recipe(self) -> &'static str {
        match self {
            Mode::Locked => "one read transaction in each session, which keeps writers out",
            Mode::Wal => "one read transaction in each session, all at the same data version",
            Mode::Immutable => "immutable=1: nobody writes to the file",
        }
    }
}

/// What the sharing session keeps.
#[derive(Debug)]
pub(crate) struct Keeper {
    mode: Mode,
    file: FileState,
    /// Watches for commits while sessions join.
    probe: Option<Probe>,
}

#[derive(Debug)]
struct Probe {
    conn: Connection,
    version: i64,
}

impl Probe {
    fn new(config: &Config) -> Result<Self> {
        let conn = config.open_reader()?;
        let version = data_version(&conn)?;
        Ok(Probe { conn, version })
    }

    fn check(&self) -> Result<()> {
        if data_version(&self.conn)? == self.version {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Source, "the database changed while the sessions opened")
            .hint("run it again, or with one session: -m 1")
            .transient())
    }
}

/// What a plan prints.
pub(crate) fn recipe(
    conn: &Connection,
    config: &Config,
    consistency: Consistency,
) -> Result<String> {
    if consistency == Consistency::None {
        return Ok("none: every statement reads the state of its own moment".to_string());
    }
    Ok(Mode::of(conn, config)?.recipe().to_string())
}

/// Shares, joins, releases or checks. `opened` is the file that `conn` reads.
pub(crate) fn snapshot(
    conn: &Connection,
    config: &Config,
    opened: FileId,
    keeper: &mut Option<Keeper>,
    op: &SnapshotOp,
) -> Result<Option<SharedSnapshot>> {
    match op {
        SnapshotOp::Share(request) if request.consistency == Consistency::None => Ok(None),
        SnapshotOp::Share(_) => share(conn, config, opened, keeper).map(Some),
        SnapshotOp::Join(id) => {
            if *id != name(opened) {
                return Err(replaced());
            }
            conn.busy_timeout(config.busy_timeout().min(JOIN_WAIT)).map_err(error::step)?;
            let joined = begin(conn);
            conn.busy_timeout(config.busy_timeout()).map_err(error::step)?;
            joined.map(|()| None)
        }
        SnapshotOp::Release => {
            // The probe is done: an open connection of its own would only hold a file handle.
            if let Some(probe) = keeper.as_mut().and_then(|keeper| keeper.probe.take()) {
                probe.check()?;
            }
            Ok(None)
        }
        SnapshotOp::Check => {
            keeper.as_ref().map_or(Ok(()), |k| k.check(conn, config)).map(|()| None)
        }
    }
}

fn share(
    conn: &Connection,
    config: &Config,
    opened: FileId,
    keeper: &mut Option<Keeper>,
) -> Result<SharedSnapshot> {
    // Before the transaction begins, so that no commit in between is missed.
    let probe = if config.immutable() { None } else { Some(Probe::new(config)?) };
    begin(conn)?;
    let mode = Mode::of(conn, config)?;
    let evidence = Evidence::of(config.path(), mode == Mode::Wal)?
        .filter(|evidence| evidence.file.id == opened)
        .ok_or_else(replaced)?;
    // A log may be written meanwhile: the evidence is that of this snapshot only if nothing was
    // committed until after it was taken.
    let settled = evidence.is_settled();
    let probe = probe.filter(|_| mode == Mode::Wal);
    if let Some(probe) = &probe {
        probe.check()?;
    }
    let settled = settled && Evidence::of(config.path(), mode == Mode::Wal)? == Some(evidence);
    *keeper = Some(Keeper { mode, file: evidence.file, probe });
    Ok(SharedSnapshot {
        id: name(opened),
        recipe: mode.recipe().to_string(),
        position: None,
        data_version: settled.then(|| evidence.to_string()),
    })
}

impl Keeper {
    /// Whether the state held until now.
    fn check(&self, conn: &Connection, config: &Config) -> Result<()> {
        let lost = |why: String| Err(Error::new(ErrorKind::Source, why));
        let shown = config.path().display();
        if conn.is_autocommit() {
            return lost(format!("the read transaction that kept the state of {shown} is gone"));
        }
        // In WAL mode a checkpoint may write to the file under its readers.
        if self.mode == Mode::Wal {
            return Ok(());
        }
        match FileState::of(config.path())? {
            Some(now) if now.id == self.file.id && !self.file.same_content(&now) => lost(format!(
                "the file {shown} was written while it was read, by a program that does not keep \
                 to SQLite's locks"
            )),
            // One that was put in its place is not what the sessions read.
            _ => Ok(()),
        }
    }
}

fn name(opened: FileId) -> SnapshotId {
    SnapshotId(format!("read transactions on file {opened}"))
}

fn replaced() -> Error {
    Error::new(ErrorKind::Source, "the database file was replaced while the sessions opened")
        .hint("run it again")
        .transient()
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
