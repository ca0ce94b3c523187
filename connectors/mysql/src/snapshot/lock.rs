//! The locks under which sessions can come to one state: taken with a bounded wait, held for a
//! bounded time, whatever happens.
//!
//! Deliberately not used: `LOCK INSTANCE FOR BACKUP`, which keeps no row from being written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rsqoop_connector::{Error, ErrorKind, Result};

use super::grants::Grants;
use super::sources::first;
use crate::dialect::ident;
use crate::error::{self, Phase};
use crate::stop::Stopper;
use crate::wire::{Conn, Fault};

/// Longest time that writers may be kept waiting by a lock that was got.
const LONGEST_HOLD: Duration = Duration::from_secs(2);
/// Seconds to wait for a lock: meanwhile others already wait behind it.
const LOCK_WAIT: u32 = 2;
/// `lock_wait_timeout` counts for each table anew: the statement is stopped after this.
const LONGEST_WAIT: Duration = Duration::from_millis(2200);
/// Seconds that other statements of a session wait for a metadata lock.
pub(crate) const USUAL_LOCK_WAIT: u32 = 30;
/// ER_LOCK_WAIT_TIMEOUT, and ER_QUERY_INTERRUPTED for one that was stopped.
const WAITED: [u16; 2] = [1205, 1317];

/// Why a way to one state cannot be gone.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) why: String,
    /// It may be possible a moment later.
    pub(super) busy: bool,
}

impl Refusal {
    pub(super) fn new(why: impl Into<String>) -> Refusal {
        Refusal { why: why.into(), busy: false }
    }
}

fn run(fault: Fault) -> Error {
    error::statement(fault, Phase::Run)
}

pub(super) fn set_lock_wait(conn: &mut Conn, seconds: u32) -> Result<()> {
    conn.run(&format!("SET SESSION lock_wait_timeout = {seconds}")).map(|_| ()).map_err(run)
}

/// Whether a global read lock waits for, and holds up others behind, every statement that reads:
/// it does where it closes all tables first (MySQL, and MariaDB before 10.4).
pub(super) fn flush_waits_for_readers(conn: &Conn) -> bool {
    let mut parts = conn.version.split(['.', '-']).map(|p| p.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    !conn.mariadb || version < (10, 4)
}

/// The global read lock.
pub(super) fn global(conn: &mut Conn, stop: &Arc<Stopper>) -> Result<Result<(), Refusal>> {
    if flush_waits_for_readers(conn)
        && let Some(refusal) = somebody_reads(conn)?
    {
        return Ok(Err(refusal));
    }
    attempt(conn, stop, "FLUSH TABLES WITH READ LOCK", "global read lock")
}

/// Closing all tables cannot be bounded: those who come later wait for the statements before, even
/// after the one that asked for it has given up. So nobody may be in the middle of a long one.
fn somebody_reads(conn: &mut Conn) -> Result<Option<Refusal>> {
    if !Grants::of(conn)?.global("PROCESS") {
        return Ok(Some(Refusal::new(
            "global read lock: without the privilege PROCESS it is not known whether a long \
             statement would make it a standstill",
        )));
    }
    let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() \
               AND command IN ('Query', 'Execute') AND time >= 1";
    let busy = first(conn, sql)?.is_some_and(|n| n != "0");
    Ok(busy.then(|| Refusal {
        why: "global read lock: a statement runs elsewhere, and all others would wait for it"
            .to_string(),
        busy: true,
    }))
}

/// Read locks on tables and on the tables behind views.
pub(super) fn tables(
    conn: &mut Conn,
    stop: &Arc<Stopper>,
    names: &BTreeSet<(String, String)>,
) -> Result<Result<(), Refusal>> {
    if names.is_empty() {
        return Ok(Err(Refusal::new("read locks: no table is known")));
    }
    let list: Vec<String> =
        names.iter().map(|(s, t)| format!("{}.{} READ", ident(s), ident(t))).collect();
    attempt(conn, stop, &format!("LOCK TABLES {}", list.join(", ")), "read locks")
}

fn attempt(
    conn: &mut Conn,
    stop: &Arc<Stopper>,
    sql: &str,
    what: &str,
) -> Result<Result<(), Refusal>> {
    set_lock_wait(conn, LOCK_WAIT)?;
    let watched = Arc::clone(stop);
    let limit = Alarm::start(LONGEST_WAIT, move || watched.kill())?;
    let result = conn.run(sql);
    let late = limit.stop();
    let outcome = match result {
        // A kill that comes too late would hit the next statement.
        Ok(_) if late => {
            conn.abandon("its lock came too late");
            return Err(too_late());
        }
        Ok(_) => Ok(()),
        Err(Fault::Server(e)) => Err(Refusal {
            busy: WAITED.contains(&e.code),
            why: if WAITED.contains(&e.code) {
                format!("{what}: not to be had within {LOCK_WAIT} s, somebody else holds a lock")
            } else {
                format!("{what}: {} (error {})", e.message, e.code)
            },
        }),
        Err(fault) => return Err(run(fault)),
    };
    if outcome.is_err() {
        set_lock_wait(conn, USUAL_LOCK_WAIT)?;
    }
    Ok(outcome)
}

fn too_late() -> Error {
    Error::new(
        ErrorKind::Source,
        "the lock had to be given back before every session had its snapshot",
    )
    .hint("try again, or use fewer connections")
    .transient()
}

/// Does something when it is not stopped in time.
#[derive(Debug)]
struct Alarm {
    done: Sender<()>,
    watch: JoinHandle<bool>,
}

impl Alarm {
    fn start(limit: Duration, act: impl FnOnce() + Send + 'static) -> Result<Alarm> {
        let (done, finished) = mpsc::channel();
        let watch = std::thread::Builder::new()
            .name("mysql-lock".to_string())
            .spawn(move || {
                let late = finished.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
                if late {
                    act();
                }
                late
            })
            .map_err(|e| {
                Error::new(ErrorKind::Source, format!("the lock cannot be watched: {e}"))
            })?;
        Ok(Alarm { done, watch })
    }

    /// Whether it has gone off.
    fn stop(self) -> bool {
        // Nobody listens when time was up.
        let _ = self.done.send(());
        self.watch.join().unwrap_or(true)
    }
}

/// A lock that is held until every session has its snapshot, and the alarm that takes it back.
#[derive(Debug)]
pub(super) struct Held {
    since: Instant,
    alarm: Alarm,
}

impl Held {
    /// Right after the lock was got.
    pub(super) fn start(conn: &mut Conn) -> Result<Held> {
        let since = Instant::now();
        let started = conn.closer().map_err(|e| run(e.into())).and_then(|closer| {
            // The server gives the locks of a lost connection back.
            Alarm::start(LONGEST_HOLD, move || closer.close())
        });
        match started {
            Ok(alarm) => Ok(Held { since, alarm }),
            Err(error) => {
                conn.abandon("the lock could not be watched");
                Err(error)
            }
        }
    }

    /// Gives the lock back and says how long it was held.
    ///
    /// # Errors
    /// It was gone before: somebody may have joined another state than the rest.
    pub(super) fn release(self, conn: &mut Conn) -> Result<Duration> {
        if self.alarm.stop() {
            conn.abandon("its lock was given back");
            return Err(too_late());
        }
        conn.run("UNLOCK TABLES").map_err(run)?;
        Ok(self.since.elapsed())
    }
}
