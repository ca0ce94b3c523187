//! Stops a session's statement from another thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use rsqoop_connector::Interrupt;

use crate::wire::{Closer, Conn, LoginParams, Pulse};

/// Longest time for the second connection that kills a statement, and for waiting until it may be
/// opened.
pub(crate) const KILL_LIMIT: Duration = Duration::from_secs(2);
/// A server that could not be told is not asked again for so long: many sessions may be stopped one
/// after the other.
const GIVE_UP: Duration = Duration::from_secs(10);

/// One connection beyond those of the run at a time; holds when one last could not be opened.
static KILLING: Mutex<Option<Instant>> = Mutex::new(None);

/// Stops one session.
#[derive(Debug)]
pub(crate) struct Stopper {
    stopped: AtomicBool,
    closer: Closer,
    connection: u32,
    login: LoginParams,
    pulse: Pulse,
}

impl Stopper {
    pub(crate) fn new(closer: Closer, connection: u32, login: LoginParams, pulse: Pulse) -> Self {
        Stopper { stopped: AtomicBool::new(false), closer, connection, login, pulse }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Ends the running statement on the server, as far as the server can be told.
    pub(crate) fn kill(&self) {
        let Some(mut failed) = turn() else { return };
        if failed.is_some_and(|at| at.elapsed() < GIVE_UP) {
            return;
        }
        *failed = match Conn::open(&self.login) {
            Ok(mut conn) => {
                // Only fails when the session is gone already.
                let _ = conn.run(&format!("KILL QUERY {}", self.connection));
                None
            }
            Err(_) => Some(Instant::now()),
        };
    }
}

/// Waits for the one extra connection.
fn turn() -> Option<MutexGuard<'static, Option<Instant>>> {
    let start = Instant::now();
    loop {
        match KILLING.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if start.elapsed() > KILL_LIMIT => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

impl Interrupt for Stopper {
    fn interrupt(&self) {
        if self.stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        // A server that only loses the connection notices when it next sends a row. If it cannot
        // be told, closing our end is all that is left.
        self.kill();
        self.closer.close();
    }

    fn still_working(&self) {
        self.pulse.beat();
    }
}
