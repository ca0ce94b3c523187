//! Sessions: opened side by side, brought to one state of the database, replaced when one breaks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rsqoop_connector::{
    ConnectTarget, Connector, Consistency, Error, ErrorKind, Result, Session, SharedSnapshot,
    SnapshotOp, SnapshotRequest,
};

use crate::job::JobSpec;
use crate::plan::Draft;
use crate::run;
use crate::run::control::RunControl;

/// How long it is tried to bring all sessions to one snapshot, and the pause between attempts, times
/// the attempt up to the fifth.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(10);
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(10);

/// How soon a stop is noticed while sessions open.
const CONNECT_POLL: Duration = Duration::from_millis(50);

/// Sessions in use for a job, and the snapshot they share: the workers' and two more.
pub(super) struct Readers {
    /// Keeps the snapshot alive, and answers what the others are doing; never reads itself.
    pub(super) keeper: Box<dyn Session>,
    /// Sees the snapshot too: cuts the key, and counts while the workers read.
    pub(super) auditor: Box<dyn Session>,
    pub(super) sessions: Vec<Box<dyn Session>>,
    pub(super) snapshot: Option<SharedSnapshot>,
}

/// What a job must agree on.
pub(super) fn request(job: &JobSpec, draft: &Draft) -> SnapshotRequest {
    SnapshotRequest { relations: vec![draft.relation.clone()], consistency: job.consistency }
}

/// One statement sees one state by itself, so that a lone worker needs no snapshot.
pub(super) fn may_do_without(job: &JobSpec, draft: &Draft, error: &Error) -> bool {
    error.kind() == ErrorKind::Unsupported
        && job.consistency == Consistency::Snapshot
        && draft.workers == 1
}

/// Says which flag accepts less than what cannot be had.
pub(super) fn name_weaker(job: &JobSpec, error: Error) -> Error {
    if error.kind() != ErrorKind::Unsupported {
        return error;
    }
    let hint = match job.consistency {
        Consistency::Snapshot => {
            "--consistency lock keeps writers out while the tables are read, -m 1 reads them in one statement, and --consistency none accepts rows of different states"
        }
        Consistency::Lock | Consistency::None => {
            "--consistency none accepts rows of different states"
        }
    };
    error.replace_hint(hint)
}

/// Opens one session per worker and brings them all to one snapshot. Tries again, with new
/// sessions, where the database changed between the first and the last of them.
pub(super) fn open(
    connector: &Arc<dyn Connector>,
    job: &JobSpec,
    control: &Arc<RunControl>,
    mut keeper: Box<dyn Session>,
    draft: &Draft,
) -> Result<Readers> {
    let (begun, mut attempt) = (Instant::now(), 1);
    loop {
        control.check()?;
        match share(connector, job, keeper, draft, control) {
            Err(error) if error.is_transient() && begun.elapsed() < SNAPSHOT_LIMIT => {
                control.detail(format!("snapshot, attempt {attempt}: {error}"));
                std::thread::sleep(SNAPSHOT_PAUSE * attempt.min(5));
                attempt += 1;
                keeper = await_session(&start_connecting(connector, &job.source)?, control)?;
                control.watch(keeper.interrupter());
            }
            result => return result,
        }
    }
}

fn share(
    connector: &Arc<dyn Connector>,
    job: &JobSpec,
    mut keeper: Box<dyn Session>,
    draft: &Draft,
    control: &RunControl,
) -> Result<Readers> {
    // Opened before the snapshot is taken: locks that taking it needs are then held shortly.
    let mut sessions = open_sessions(connector, &job.source, draft.workers + 1, control)?;
    let shared = keeper.snapshot(&SnapshotOp::Share(request(job, draft)));
    let mut snapshot = match shared {
        Err(error) if may_do_without(job, draft, &error) => {
            control.note(format!(
                "one statement reads everything, without a snapshot: {}",
                error.message()
            ));
            None
        }
        shared => shared.map_err(|error| name_weaker(job, error))?,
    };
    if let Some(shared) = &mut snapshot {
        for session in &mut sessions {
            session.snapshot(&SnapshotOp::Join(shared.id.clone()))?;
        }
        // Some know only now what they did.
        if let Some(known) = keeper.snapshot(&SnapshotOp::Release)? {
            *shared = known;
        }
    }
    let auditor = sessions
        .pop()
        .ok_or_else(|| Error::new(ErrorKind::Bug, "a session more than workers was opened"))?;
    Ok(Readers { keeper, auditor, sessions, snapshot })
}

/// Opens a session that sees a snapshot which others share already.
pub(super) fn rejoin(
    connector: &Arc<dyn Connector>,
    target: &ConnectTarget,
    snapshot: Option<&SharedSnapshot>,
    control: &RunControl,
) -> Result<Box<dyn Session>> {
    let mut session = await_session(&start_connecting(connector, target)?, control)?;
    if let Some(snapshot) = snapshot {
        session.snapshot(&SnapshotOp::Join(snapshot.id.clone()))?;
    }
    Ok(session)
}

/// Opens `count` sessions at the same time.
fn open_sessions(
    connector: &Arc<dyn Connector>,
    target: &ConnectTarget,
    count: usize,
    control: &RunControl,
) -> Result<Vec<Box<dyn Session>>> {
    let opening: Vec<_> =
        (0..count).map(|_| start_connecting(connector, target)).collect::<Result<_>>()?;
    opening.iter().map(|session| await_session(session, control)).collect()
}

type Opening = Receiver<Result<Box<dyn Session>>>;

/// Begins to open a session on a thread of its own. A run that is stopped meanwhile does not wait for it:
/// the thread ends within the connector's own time limit, and its session with it.
pub(super) fn start_connecting(
    connector: &Arc<dyn Connector>,
    target: &ConnectTarget,
) -> Result<Opening> {
    let (sender, receiver) = channel();
    let (connector, target) = (Arc::clone(connector), target.clone());
    let connect = move || {
        let opened = catch_unwind(AssertUnwindSafe(|| connector.connect(&target)))
            .unwrap_or_else(|panic| Err(run::panic_error(&*panic)));
        let _ = sender.send(opened);
    };
    run::spawn_error(std::thread::Builder::new().name("connect".to_string()).spawn(connect))?;
    Ok(receiver)
}

pub(super) fn await_session(opening: &Opening, control: &RunControl) -> Result<Box<dyn Session>> {
    loop {
        match opening.recv_timeout(CONNECT_POLL) {
            Ok(opened) => return opened,
            Err(RecvTimeoutError::Timeout) => control.check()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(ErrorKind::Bug, "a session was lost while it opened"));
            }
        }
    }
}
