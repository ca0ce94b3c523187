//! What the outside sees of a run and may do to it: progress, events, cancel.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rsqoop_connector::{Error, ErrorKind, Interrupt, Result, Session};

use super::throttle::Throttle;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Opening the first session.
    Connecting = 0,
    /// Reading the catalogue and cutting the key.
    Planning = 1,
    /// Rows are read and written.
    Reading = 2,
    /// Files are checked.
    Verifying = 3,
    /// The directory is made visible.
    Publishing = 4,
    /// Nothing is left to do.
    Done = 5,
}

impl Phase {
    const ALL: [Phase; 6] = [
        Phase::Connecting,
        Phase::Planning,
        Phase::Reading,
        Phase::Verifying,
        Phase::Publishing,
        Phase::Done,
    ];

    /// Lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Connecting => "connecting",
            Phase::Planning => "planning",
            Phase::Reading => "reading",
            Phase::Verifying => "verifying",
            Phase::Publishing => "publishing",
            Phase::Done => "done",
        }
    }
}

/// Counters of one worker.
#[derive(Debug, Default)]
pub struct WorkerProgress {
    /// Rows read from the database.
    pub rows: AtomicU64,
    /// Bytes of those rows in memory.
    pub bytes: AtomicU64,
    /// Splits this worker has finished.
    pub splits: AtomicUsize,
    /// Whether it has nothing left to read.
    pub idle: AtomicBool,
    /// Milliseconds of the run at which it began to wait for the server, plus one; 0 while it does
    /// not.
    silent_since: AtomicU64,
    watched: Mutex<Option<Watched>>,
}

/// The session of a worker, as the watchdog needs it.
#[derive(Clone)]
pub(crate) struct Watched {
    /// How the server calls it.
    pub(crate) backend: String,
    pub(crate) interrupt: Arc<dyn Interrupt>,
    /// The statement.
    pub(crate) sql: String,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("backend", &self.backend).finish_non_exhaustive()
    }
}

impl WorkerProgress {
    /// The worker hands rows on: the server has time.
    pub(crate) fn waits_for_us(&self) {
        self.silent_since.store(0, Ordering::Relaxed);
    }

    /// The worker waits for the server from now on.
    pub(crate) fn waits_for_server(&self, control: &RunControl) {
        self.silent_since.store(control.millis() + 1, Ordering::Relaxed);
    }

    /// A statement begins on a session.
    pub(crate) fn begins(&self, session: &dyn Session, sql: String, control: &RunControl) {
        *lock(&self.watched) = session.backend().map(|backend| Watched {
            backend,
            interrupt: session.interrupter(),
            sql,
        });
        self.waits_for_server(control);
    }

    /// It has ended.
    pub(crate) fn ends(&self) {
        self.waits_for_us();
        *lock(&self.watched) = None;
    }

    /// How long the worker has been waiting for the server, and for which session.
    pub(crate) fn silence(&self, control: &RunControl) -> Option<(Duration, Watched)> {
        let since = self.silent_since.load(Ordering::Relaxed).checked_sub(1)?;
        let watched = lock(&self.watched).clone()?;
        Some((Duration::from_millis(control.millis().saturating_sub(since)), watched))
    }
}

/// One line of a [`Progress`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSnapshot {
    /// Rows read.
    pub rows: u64,
    /// Bytes of those rows in memory.
    pub bytes: u64,
    /// Splits finished.
    pub splits: usize,
    /// Whether it has nothing left to read.
    pub idle: bool,
}

/// A run's progress at one moment.
#[derive(Debug, Clone)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Rows read.
    pub rows: u64,
    /// Bytes of those rows in memory.
    pub bytes: u64,
    /// Rows by the server's estimate.
    pub estimated_rows: Option<u64>,
    /// Splits finished.
    pub splits_done: usize,
    /// Splits in all.
    pub splits: usize,
    /// The workers.
    pub workers: Vec<WorkerSnapshot>,
    /// Seconds since the run began.
    pub seconds: f64,
}

/// Something a person should read, as it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Worth knowing.
    Note(String),
    /// Probably not what was meant.
    Warning(String),
    /// Detail for `--verbose`.
    Detail(String),
}

type Listener = Box<dyn Fn(Event) + Send + Sync>;

/// A handle on a run, shared between the engine and whoever watches it.
pub struct RunControl {
    started: Instant,
    listener: Listener,
    phase: AtomicU8,
    estimated_rows: AtomicU64,
    splits: AtomicUsize,
    workers: Mutex<Vec<Arc<WorkerProgress>>>,
    stopped: AtomicBool,
    first_error: Mutex<Option<Error>>,
    interrupts: Mutex<Vec<Arc<dyn Interrupt>>>,
    throttle: OnceLock<Throttle>,
}

impl std::fmt::Debug for RunControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunControl").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

/// No estimate.
const UNKNOWN: u64 = u64::MAX;

impl RunControl {
    /// A control whose events go to `listener`, on whichever thread they occur.
    pub fn new(listener: impl Fn(Event) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(RunControl {
            started: Instant::now(),
            listener: Box::new(listener),
            phase: AtomicU8::new(Phase::Connecting as u8),
            estimated_rows: AtomicU64::new(UNKNOWN),
            splits: AtomicUsize::new(0),
            workers: Mutex::new(Vec::new()),
            stopped: AtomicBool::new(false),
            first_error: Mutex::new(None),
            interrupts: Mutex::new(Vec::new()),
            throttle: OnceLock::new(),
        })
    }

    /// Where the run stands.
    pub fn progress(&self) -> Progress {
        let workers: Vec<WorkerSnapshot> = lock(&self.workers)
            .iter()
            .map(|w| WorkerSnapshot {
                rows: w.rows.load(Ordering::Relaxed),
                bytes: w.bytes.load(Ordering::Relaxed),
                splits: w.splits.load(Ordering::Relaxed),
                idle: w.idle.load(Ordering::Relaxed),
            })
            .collect();
        let estimate = self.estimated_rows.load(Ordering::Relaxed);
        Progress {
            phase: Phase::ALL[usize::from(self.phase.load(Ordering::Relaxed))],
            rows: workers.iter().map(|w| w.rows).sum(),
            bytes: workers.iter().map(|w| w.bytes).sum(),
            estimated_rows: (estimate != UNKNOWN).then_some(estimate),
            splits_done: workers.iter().map(|w| w.splits).sum(),
            splits: self.splits.load(Ordering::Relaxed),
            workers,
            seconds: self.started.elapsed().as_secs_f64(),
        }
    }

    /// Stops the run from outside: statements are cancelled on the server, everything is cleaned
    /// up, and the run ends with `Cancelled`.
    pub fn cancel(&self) {
        self.fail(Error::new(ErrorKind::Cancelled, "the run was stopped"));
    }

    /// Records the first failure and stops everything else.
    pub(crate) fn fail(&self, error: Error) {
        {
            let mut first = lock(&self.first_error);
            // What other threads report once the run is stopped is only its echo.
            if first.is_none() {
                *first = Some(error);
            }
        }
        if !self.stopped.swap(true, Ordering::SeqCst) {
            let interrupts: Vec<_> = lock(&self.interrupts).drain(..).collect();
            std::thread::scope(|scope| {
                for interrupt in &interrupts {
                    scope.spawn(|| interrupt.interrupt());
                }
            });
        }
    }

    /// The failure that stopped the run, once.
    pub(crate) fn take_error(&self) -> Option<Error> {
        lock(&self.first_error).take()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Milliseconds since the run began.
    pub(crate) fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Limits how fast the source is read; only the first call counts.
    pub(crate) fn limit(&self, throttle: Throttle) {
        let _ = self.throttle.set(throttle);
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        self.throttle.get_or_init(|| Throttle::new(None, None))
    }

    /// The workers so far.
    pub(crate) fn workers(&self) -> Vec<Arc<WorkerProgress>> {
        lock(&self.workers).clone()
    }

    /// An error if the run was stopped.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_stopped() {
            return Err(Error::new(ErrorKind::Cancelled, "the run was stopped"));
        }
        Ok(())
    }

    /// Registers what must be interrupted when the run stops.
    pub(crate) fn watch(&self, interrupt: Arc<dyn Interrupt>) {
        lock(&self.interrupts).push(interrupt.clone());
        if self.is_stopped() {
            interrupt.interrupt();
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(crate) fn expect(&self, rows: Option<u64>, splits: usize) {
        self.estimated_rows.store(rows.unwrap_or(UNKNOWN), Ordering::Relaxed);
        self.splits.store(splits, Ordering::Relaxed);
    }

    pub(crate) fn add_worker(&self) -> Arc<WorkerProgress> {
        let worker = Arc::new(WorkerProgress::default());
        lock(&self.workers).push(worker.clone());
        worker
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        (self.listener)(Event::Note(text.into()));
    }

    pub(crate) fn warn(&self, text: impl Into<String>) {
        (self.listener)(Event::Warning(text.into()));
    }

    pub(crate) fn detail(&self, text: impl Into<String>) {
        (self.listener)(Event::Detail(text.into()));
    }
}

/// A poisoned lock means a panic elsewhere, which is reported there; these values stay usable.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
