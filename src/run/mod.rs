//! Drives a prepared import: one reading and one writing thread per worker, who share the pieces of
//! the key between them.

pub(crate) mod control;
pub(crate) mod convert;
pub(crate) mod part;
pub(crate) mod pump;
pub(crate) mod regions;
pub(crate) mod throttle;
mod watch;
mod worker;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rsqoop_connector::{Error, ErrorKind, Result, Session};

use crate::job::JobSpec;
use crate::plan;
use crate::plan::Prepared;
use control::RunControl;
use part::PartReceipt;
use pump::RunRead;
use regions::Regions;
use worker::Worker;

pub(crate) use watch::Watchdog;

/// A range of the key that was read to its end, and where its rows are.
#[derive(Debug, Clone)]
pub(crate) struct SplitReceipt {
    pub(crate) read: RunRead,
    pub(crate) worker: usize,
    pub(crate) snapshot: usize,
    /// Index of the part that has its rows; none of a run that failed.
    pub(crate) part: Option<usize>,
}

/// What one worker did.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkerReceipt {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) splits: usize,
    /// Seconds in which it read or wrote.
    pub(crate) busy_seconds: f64,
    /// Seconds without one while others still read.
    pub(crate) idle_seconds: f64,
}

/// A connection that broke while rows were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) worker: usize,
    pub(crate) error: String,
}

/// What all workers together did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) parts: Vec<PartReceipt>,
    pub(crate) workers: Vec<WorkerReceipt>,
    pub(crate) retries: Vec<Retry>,
    /// How long rows were read.
    pub(crate) seconds: f64,
    /// What a run that failed had read: for its report, never for its files.
    pub(crate) unfinished: Vec<SplitReceipt>,
}

impl Outcome {
    /// The ranges that were read, in the order of the key.
    pub(crate) fn splits(&self) -> Vec<SplitReceipt> {
        let mut splits: Vec<SplitReceipt> = self
            .parts
            .iter()
            .enumerate()
            .flat_map(|(index, part)| {
                part.runs.iter().map(move |read| SplitReceipt {
                    read: read.clone(),
                    worker: part.worker,
                    snapshot: part.snapshot,
                    part: Some(index),
                })
            })
            .chain(self.unfinished.iter().cloned())
            .collect();
        splits.sort_by_key(|s| s.read.run.start);
        splits
    }

    /// Rows that were read, by what the readers counted.
    pub(crate) fn rows_read(&self) -> u64 {
        self.parts.iter().flat_map(|p| &p.runs).map(|r| r.rows).sum()
    }
}

/// Opens another session that sees the snapshot of the run.
pub(crate) type Rejoin<'a> = dyn Fn() -> Result<Box<dyn Session>> + Sync + 'a;

/// What workers need to know of a run.
pub(crate) struct Work<'a> {
    pub(crate) job: &'a JobSpec,
    pub(crate) prepared: &'a Prepared,
    pub(crate) staging: &'a Path,
    /// The number of the first part file.
    pub(crate) first_part: usize,
    /// Which of the run's snapshots the rows come from.
    pub(crate) snapshot: usize,
    /// Parts of an earlier try that stay.
    pub(crate) kept: Vec<PartReceipt>,
    /// Replaces a session whose connection broke; missing where that is impossible.
    pub(crate) rejoin: Option<&'a Rejoin<'a>>,
}

/// What workers share.
pub(crate) struct Shared<'a> {
    work: &'a Work<'a>,
    regions: Regions,
    control: &'a Arc<RunControl>,
    /// The number of the first worker's first part.
    first_part: usize,
    /// The number of the next part that is no worker's first.
    next_part: AtomicUsize,
    spare_cores: bool,
    retries: Mutex<Vec<Retry>>,
    read: Mutex<Vec<SplitReceipt>>,
    /// Why the last worker that left did so.
    lost: Mutex<Option<Error>>,
}

impl Shared<'_> {
    /// The name of a worker's next part file. The first ones have the order of the workers, and so of
    /// the key.
    fn part_name(&self, worker: usize, first: bool) -> String {
        let number = match first {
            true => self.first_part + worker,
            false => self.next_part.fetch_add(1, Ordering::Relaxed),
        };
        plan::part_name(number, &self.work.job.format)
    }
}

/// Reads what is left of the pieces. `sessions` has one session per worker, all of them seeing the
/// same snapshot. Gives what was done in any case, the sessions that still work, and the first
/// failure of any thread; the others have stopped by then.
pub(crate) fn run(
    work: &Work<'_>,
    sessions: Vec<Box<dyn Session>>,
    control: &Arc<RunControl>,
) -> (Outcome, Vec<Box<dyn Session>>, Result<()>) {
    let begun = Instant::now();
    let shared = shared(work, sessions.len(), control);
    for session in &sessions {
        control.watch(session.interrupter());
    }
    let mut ended = Vec::new();
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, session) in sessions.into_iter().enumerate() {
            let worker = Worker::new(index, &shared, control.add_worker());
            let builder = std::thread::Builder::new().name(format!("write-{index}"));
            match spawn_error(builder.spawn_scoped(scope, move || worker.run(session))) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    control.fail(error);
                    break;
                }
            }
        }
        for thread in threads {
            match thread.join() {
                Ok(Ok(worker)) => ended.push(worker),
                Ok(Err(error)) => control.fail(error),
                Err(panic) => control.fail(panic_error(&*panic)),
            }
        }
    });
    let result = match control.take_error() {
        Some(error) => Err(error),
        None if shared.regions.is_empty() => Ok(()),
        None => {
            let lost = shared.lost.into_inner().unwrap_or_else(PoisonError::into_inner);
            Err(lost.unwrap_or_else(|| Error::new(ErrorKind::Bug, "pieces were left unread")))
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    let mut outcome = Outcome {
        retries: shared.retries.into_inner().unwrap_or_else(PoisonError::into_inner),
        seconds,
        ..Outcome::default()
    };
    if result.is_err() {
        outcome.unfinished = shared.read.into_inner().unwrap_or_else(PoisonError::into_inner);
        return (outcome, Vec::new(), result);
    }
    outcome.parts.clone_from(&work.kept);
    let mut sessions = Vec::new();
    for worker in ended {
        sessions.extend(worker.session);
        outcome.parts.extend(worker.parts);
        outcome.workers.push(WorkerReceipt {
            busy_seconds: (seconds - worker.receipt.idle_seconds).max(0.0),
            ..worker.receipt
        });
    }
    outcome.parts.sort_by(|a, b| a.name.cmp(&b.name));
    (outcome, sessions, Ok(()))
}

fn shared<'a>(work: &'a Work<'a>, workers: usize, control: &'a Arc<RunControl>) -> Shared<'a> {
    let done: Vec<_> =
        work.kept.iter().flat_map(|p| p.runs.iter().map(|r| r.run.clone())).collect();
    let (together, alone) = work.prepared.todo(&done);
    let numbers = work.kept.iter().filter_map(|p| crate::commit::dataset::part_number(&p.name));
    let next = numbers.map(|n| n + 1).max().unwrap_or(0).max(work.first_part);
    Shared {
        work,
        regions: Regions::new(&together, alone, workers, work.prepared.grain)
            .with_longest(work.prepared.longest),
        control,
        first_part: next,
        next_part: AtomicUsize::new(next + workers),
        spare_cores: workers < cores(),
        retries: Mutex::default(),
        read: Mutex::default(),
        lost: Mutex::default(),
    }
}

/// Cores this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A thread that could not be started, told from what the user can do about it.
pub(crate) fn spawn_error<T>(spawned: std::io::Result<T>) -> Result<T> {
    spawned.map_err(|error| {
        Error::new(
            ErrorKind::Storage,
            format!("the system gives no more threads: {}", crate::store::plain(&error)),
        )
        .hint("use fewer workers (-m), or raise the limits on memory and processes (ulimit -v, -u)")
        .source(error)
    })
}

/// A caught panic as an error of its own kind.
pub(crate) fn panic_error(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_string())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_string());
    Error::new(ErrorKind::Bug, format!("a defect in rsqoop: {text}"))
        .hint("please report it with the command and the output of --verbose")
}
