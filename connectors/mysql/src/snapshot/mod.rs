//! One state of the tables for several sessions.
//!
//! Neither server has a snapshot that can be handed over: every session opens its own, and either a
//! short lock keeps writers away until all have done so, or the binary log shows that nobody wrote.
//! Each session then touches what it will read, so that its transaction holds the metadata locks and
//! nobody can truncate, alter, rename or drop a table under it.

mod grants;
mod join;
mod lock;
mod names;
mod position;
mod sources;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rsqoop_connector::{
    Consistency, Error, ErrorKind, Result, SharedSnapshot, SnapshotId, SnapshotRequest,
};

use crate::error::{self, Phase};
use crate::stop::Stopper;
use crate::wire::{Conn, Fault};
use grants::Grants;
use join::State;
pub(crate) use join::join;
pub(crate) use lock::USUAL_LOCK_WAIT;
use lock::{Held, Refusal};
use sources::Sources;

/// How the sessions come to one state.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// All writers of the server wait.
    Global,
    /// The writers of the tables that are read wait.
    Tables,
    /// Nobody waits; the log must not move. MySQL: from this set of transactions on.
    Log(Option<String>),
    /// The writers of the tables wait until all is read.
    Lock,
}

/// The sharing session's part.
#[derive(Debug)]
pub(crate) struct Keeper {
    state: Arc<State>,
    shared: SharedSnapshot,
    /// The lock, while others join.
    held: Option<Held>,
    tables: usize,
}

/// The commit of a transaction and its place in MySQL's set of executed ones are not one step.
const GRACE: Duration = Duration::from_millis(50);

/// Snapshots of this process so far: connection numbers repeat on other servers.
static COUNT: AtomicU64 = AtomicU64::new(0);

fn run(fault: Fault) -> Error {
    error::statement(fault, Phase::Run)
}

fn unsupported(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, why)
}

/// What is behind the relations, or why it cannot be read in one state.
fn checked_sources(conn: &mut Conn, request: &SnapshotRequest) -> Result<Sources> {
    let sources = sources::find(conn, &request.relations)?;
    if request.consistency == Consistency::Snapshot {
        if let Some((table, engine)) = &sources.versionless {
            return Err(unsupported(format!(
                "the table {table} keeps no older versions of its rows (engine {engine}), so \
                 there is no snapshot of it"
            )));
        }
        if let Some(why) = &sources.hidden {
            return Err(unsupported(format!("no snapshot can be promised: {why}")));
        }
    } else if let Some(why) = &sources.unlockable {
        return Err(unsupported(format!("not all tables can be locked: {why}")));
    }
    Ok(sources)
}

/// The ways in the order in which they are tried.
fn ways(conn: &Conn, consistency: Consistency) -> Vec<Way> {
    match consistency {
        Consistency::None => Vec::new(),
        Consistency::Lock => vec![Way::Lock],
        Consistency::Snapshot if lock::flush_waits_for_readers(conn) => {
            vec![Way::Tables, Way::Global, Way::Log(None)]
        }
        Consistency::Snapshot => vec![Way::Global, Way::Tables, Way::Log(None)],
    }
}

/// Makes this session the keeper. `None` when nothing shall be shared.
pub(crate) fn share(
    conn: &mut Conn,
    stop: &Arc<Stopper>,
    request: &SnapshotRequest,
) -> Result<Option<Keeper>> {
    if request.consistency == Consistency::None {
        return Ok(None);
    }
    let sources = checked_sources(conn, request)?;
    let mut refusals: Vec<Refusal> = Vec::new();
    for way in ways(conn, request.consistency) {
        let taken = match &way {
            Way::Global => lock::global(conn, stop)?,
            Way::Tables | Way::Lock => lock::tables(conn, stop, &sources.named)?,
            Way::Log(_) => match position::log_is_blind(conn)? {
                Some(why) => Err(Refusal::new(format!("log position: {why}"))),
                None => Ok(()),
            },
        };
        match taken {
            Ok(()) => return Keeper::start(conn, way, request, sources.named.len()).map(Some),
            Err(refusal) => refusals.push(refusal),
        }
    }
    Err(refused(&refusals))
}

fn refused(refusals: &[Refusal]) -> Error {
    let why: Vec<&str> = refusals.iter().map(|r| r.why.as_str()).collect();
    let text = format!("the sessions cannot be brought to one state: {}", why.join("; "));
    if refusals.iter().any(|r| r.busy) {
        return Error::new(ErrorKind::Source, text)
            .hint("try again when the server is less busy")
            .transient();
    }
    unsupported(text)
}

/// What a run would do, by what this login may do; takes no lock.
pub(crate) fn recipe(conn: &mut Conn, request: &SnapshotRequest) -> Result<String> {
    if request.consistency == Consistency::None {
        return Ok("none: every statement reads the state of its own moment".to_string());
    }
    checked_sources(conn, request)?;
    let grants = Grants::of(conn)?;
    let mut refusals = Vec::new();
    for way in ways(conn, request.consistency) {
        let may = match &way {
            Way::Global => grants.global("RELOAD") || grants.global("FLUSH_TABLES"),
            Way::Tables | Way::Lock => grants.somewhere("LOCK TABLES"),
            Way::Log(_) => match position::log_is_blind(conn)? {
                Some(why) => {
                    refusals.push(Refusal::new(format!("log position: {why}")));
                    continue;
                }
                None => true,
            },
        };
        // What a role allows is not always listed.
        if may || grants.roles() {
            return Ok(plan(&way).to_string());
        }
        refusals.push(Refusal::new(match way {
            Way::Global => "global read lock: needs the privilege RELOAD",
            _ => "read locks: need the privilege LOCK TABLES",
        }));
    }
    Err(refused(&refusals))
}

fn plan(way: &Way) -> &'static str {
    match way {
        Way::Global => "global read lock for at most 2 s, one consistent snapshot per session",
        Way::Tables => {
            "read locks on the tables for at most 2 s, one consistent snapshot per session"
        }
        Way::Log(_) => {
            "one consistent snapshot per session, valid if the binary log did not move while they \
             were opened"
        }
        Way::Lock => "read locks on the tables until all is read",
    }
}

impl Keeper {
    fn start(
        conn: &mut Conn,
        mut way: Way,
        request: &SnapshotRequest,
        tables: usize,
    ) -> Result<Keeper> {
        // The alarm comes first: nothing that fails after this leaves the lock in place.
        let held = match way {
            Way::Global | Way::Tables => Some(Held::start(conn)?),
            Way::Log(_) | Way::Lock => None,
        };
        lock::set_lock_wait(conn, USUAL_LOCK_WAIT)?;
        if let Way::Log(start) = &mut way
            && !conn.mariadb
        {
            *start = Some(position::executed(conn)?);
        }
        let position = position::log_position(conn);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mysql-{}-{number}-{}", std::process::id(), conn.id);
        let shared = SharedSnapshot {
            id: SnapshotId(name),
            recipe: plan(&way).to_string(),
            position,
            data_version: None,
        };
        let state = State::register(&shared.id, way, request);
        Ok(Keeper { state, shared, held, tables })
    }

    /// What is shared.
    pub(crate) fn shared(&self) -> SharedSnapshot {
        self.shared.clone()
    }

    /// Everybody has joined: gives locks back and says how it was done.
    pub(crate) fn release(&mut self, conn: &mut Conn) -> Result<SharedSnapshot> {
        let hold = match self.held.take() {
            Some(held) => Some(held.release(conn)?.as_millis()),
            None => None,
        };
        let positions = self.state.positions();
        let sessions = self.state.joined();
        let ms = hold.map_or_else(|| "0".to_string(), |ms| ms.to_string());
        self.shared.recipe = match self.state.way() {
            Way::Global => {
                format!("global read lock for {ms} ms, one consistent snapshot per session")
            }
            Way::Tables => format!(
                "read locks on {} table(s) for {ms} ms, one consistent snapshot per session",
                self.tables
            ),
            Way::Lock => format!("read locks on {} table(s) until all is read", self.tables),
            Way::Log(_) => format!(
                "no lock: the binary log did not move while {sessions} sessions opened their \
                 snapshots"
            ),
        };
        if let Way::Log(start) = self.state.way() {
            self.check_log(conn, start.as_deref(), &positions, sessions)?;
        }
        if let Some(own) = positions.first() {
            self.shared.position = Some(own.clone());
        }
        Ok(self.shared())
    }

    fn check_log(
        &self,
        conn: &mut Conn,
        start: Option<&str>,
        positions: &[String],
        sessions: usize,
    ) -> Result<()> {
        let moved = match start {
            Some(start) => {
                std::thread::sleep(GRACE);
                position::executed(conn)? != start
            }
            None => {
                positions.len() != sessions || positions.windows(2).any(|pair| pair[0] != pair[1])
            }
        };
        if !moved {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Source,
            "something was written while the sessions opened their snapshots",
        )
        .hint("grant the user LOCK TABLES or RELOAD, so that writers can wait for that moment")
        .transient())
    }

    /// Everything was read: the lock, where there is one, must have held until now.
    pub(crate) fn check(&self, conn: &mut Conn) -> Result<()> {
        if *self.state.way() != Way::Lock {
            conn.run("DO 0").map_err(run)?;
            return Ok(());
        }
        // Under LOCK TABLES any other table is refused before it is looked for.
        const NOT_LOCKED: u16 = 1100;
        match conn.rows("SELECT 1 FROM mysql.rsqoop_is_not_locked LIMIT 0") {
            Err(Fault::Server(e)) if e.code == NOT_LOCKED => Ok(()),
            Err(fault) if !fault.keeps_connection() => Err(run(fault)),
            _ => Err(Error::new(
                ErrorKind::Source,
                "the tables' read locks were lost while they were read",
            )),
        }
    }
}
