//! A reading session's part: its own view of the rows, and the metadata locks that keep the tables
//! as they are.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use rsqoop_connector::{
    Dialect, Error, ErrorKind, Relation, Result, SnapshotId, SnapshotRequest, fill_conditions,
};

use super::lock::{USUAL_LOCK_WAIT, set_lock_wait};
use super::{Way, position};
use crate::dialect::MySqlDialect;
use crate::error::{self, Phase};
use crate::wire::{Conn, Fault};

/// What the sessions of one run know of their common state. It lives as long as the keeper.
#[derive(Debug)]
pub(super) struct State {
    id: SnapshotId,
    way: Way,
    /// Statements that open everything which will be read, without reading a row.
    touches: Vec<String>,
    joined: Mutex<Joined>,
}

#[derive(Debug, Default)]
struct Joined {
    sessions: usize,
    /// Where the log stood for each session's own snapshot, where the server tells.
    positions: Vec<String>,
}

/// The states of this process: sessions are handed a name only, and locks do not leave a process.
static STATES: Mutex<Vec<Weak<State>>> = Mutex::new(Vec::new());

/// Seconds to wait for a table that somebody is about to alter, while others wait for us.
const TOUCH_WAIT: u32 = 1;

impl State {
    pub(super) fn register(id: &SnapshotId, way: Way, request: &SnapshotRequest) -> Arc<State> {
        let touches = request.relations.iter().map(touch).collect();
        let state = Arc::new(State { id: id.clone(), way, touches, joined: Mutex::default() });
        let mut states = STATES.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|s| s.strong_count() > 0);
        states.push(Arc::downgrade(&state));
        state
    }

    fn find(id: &SnapshotId) -> Option<Arc<State>> {
        let states = STATES.lock().unwrap_or_else(PoisonError::into_inner);
        states.iter().filter_map(Weak::upgrade).find(|state| state.id == *id)
    }

    pub(super) fn way(&self) -> &Way {
        &self.way
    }

    pub(super) fn joined(&self) -> usize {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner).sessions
    }

    pub(super) fn positions(&self) -> Vec<String> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner).positions.clone()
    }
}

/// With `LIMIT 0` both servers open every table and view but run nothing, also not what is nested.
fn touch(relation: &Relation) -> String {
    match relation {
        Relation::Table(table) => {
            format!("SELECT 1 FROM {} LIMIT 0", MySqlDialect.quote_table(table))
        }
        Relation::Query(text) => {
            // A comment at the end must not swallow the parenthesis.
            format!("SELECT 1 FROM ({}\n) AS rsqoop_q LIMIT 0", fill_conditions(text, "(1 = 1)"))
        }
    }
}

fn run(fault: Fault) -> Error {
    /// ER_TABLE_DEF_CHANGED
    const CHANGED: u16 = 1412;
    let changed = matches!(&fault, Fault::Server(e) if e.code == CHANGED);
    let error = error::statement(fault, Phase::Run);
    // Nothing was read yet: with new snapshots it may fit.
    if changed { error.transient() } else { error }
}

/// Opens this session's own view of the rows, which is the common one as far as the keeper sees to
/// that, and keeps everybody from changing the tables themselves until the transaction ends.
pub(crate) fn join(conn: &mut Conn, id: &SnapshotId) -> Result<()> {
    let Some(state) = State::find(id) else {
        return Err(Error::new(
            ErrorKind::Source,
            format!("the snapshot {id} is no longer kept by any session of this process"),
        ));
    };
    set_lock_wait(conn, TOUCH_WAIT)?;
    conn.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").map_err(run)?;
    conn.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").map_err(run)?;
    for sql in &state.touches {
        conn.run(sql).map_err(run)?;
    }
    let position = if conn.mariadb { position::own_snapshot(conn)? } else { None };
    let mut joined = state.joined.lock().unwrap_or_else(PoisonError::into_inner);
    joined.sessions += 1;
    joined.positions.extend(position);
    drop(joined);
    set_lock_wait(conn, USUAL_LOCK_WAIT)
}
