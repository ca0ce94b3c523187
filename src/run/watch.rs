//! Looks after sessions that wait for the server: asks the server, through the keeper's session, what
//! they wait for, tells the user, and keeps the limit on silence from ending a statement that the
//! server is still working on.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rsqoop_connector::{Activity, Session};

use super::control::{RunControl, Watched, WorkerProgress};

/// Silence after which the server is asked.
const ASK_AFTER: Duration = Duration::from_secs(10);
/// How often it is asked.
const ASK_INTERVAL: Duration = Duration::from_secs(3);
/// How often the user is told of the same silence.
const TELL_INTERVAL: Duration = Duration::from_secs(30);
/// How often silences are looked for.
const POLL: Duration = Duration::from_millis(200);
/// Characters of a statement in a warning.
const SQL_CHARS: usize = 300;

/// Watches sessions while rows are read.
pub(crate) struct Watchdog<'a> {
    control: &'a RunControl,
    /// Sessions that are not a worker's, with what they are called.
    others: Vec<(String, Arc<WorkerProgress>)>,
}

impl<'a> Watchdog<'a> {
    pub(crate) fn new(control: &'a RunControl, others: Vec<(String, Arc<WorkerProgress>)>) -> Self {
        Watchdog { control, others }
    }

    /// Does `work` under watch; `keeper` is used by nobody else meanwhile.
    pub(crate) fn around<T>(&self, keeper: &mut dyn Session, work: impl FnOnce() -> T) -> T {
        let (end, ended) = channel();
        std::thread::scope(|scope| {
            let watching = scope.spawn(move || self.run(keeper, &ended));
            let done = work();
            drop(end);
            // Its failures are its own.
            let _ = watching.join();
            done
        })
    }

    /// Runs on a thread of its own until `ended` is closed; `keeper` is used by nobody else meanwhile.
    fn run(&self, keeper: &mut dyn Session, ended: &Receiver<()>) {
        let mut asked = Instant::now();
        let mut told: Option<Instant> = None;
        while ended.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout)
            && !self.control.is_stopped()
        {
            if asked.elapsed() < ASK_INTERVAL {
                continue;
            }
            let tell = told.is_none_or(|at| at.elapsed() >= TELL_INTERVAL);
            let mut silent = false;
            for (name, silence, watched) in self.silent() {
                silent = true;
                asked = Instant::now();
                // A keeper that cannot ask leaves the limit on silence in force.
                let Ok(Some(activity)) = keeper.activity(&watched.backend) else { continue };
                if activity.working {
                    watched.interrupt.still_working();
                }
                if tell {
                    self.control.warn(stalled(&name, silence, &watched, &activity));
                }
            }
            match silent {
                true if tell => told = Some(Instant::now()),
                true => {}
                false => told = None,
            }
        }
    }

    fn silent(&self) -> Vec<(String, Duration, Watched)> {
        let workers = self.control.workers();
        let named = workers.iter().enumerate().map(|(i, w)| (format!("worker {i}"), w));
        let others = self.others.iter().map(|(name, progress)| (name.clone(), progress));
        named
            .chain(others)
            .filter_map(|(name, progress)| {
                let (silence, watched) = progress.silence(self.control)?;
                (silence >= ASK_AFTER).then_some((name, silence, watched))
            })
            .collect()
    }
}

fn stalled(name: &str, silence: Duration, watched: &Watched, activity: &Activity) -> String {
    let sql: String = watched.sql.chars().take(SQL_CHARS).collect();
    let more = if sql.len() < watched.sql.len() { "…" } else { "" };
    let server = match (&activity.waits_for, activity.working) {
        (Some(what), _) => format!("the server waits for {what}"),
        (None, true) => "the server is working on it".to_string(),
        (None, false) => "the server says that it is not working on it".to_string(),
    };
    format!("{name} has had nothing for {} s: {server}: {sql}{more}", silence.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stalled_worker_is_told_with_its_statement_and_what_the_server_waits_for() {
        struct Nobody;
        impl rsqoop_connector::Interrupt for Nobody {
            fn interrupt(&self) {}
        }
        let watched = Watched {
            backend: "1".to_string(),
            interrupt: Arc::new(Nobody),
            sql: "SELECT 1".to_string(),
        };
        let locked = Activity { working: true, waits_for: Some("Lock: relation".to_string()) };
        assert_eq!(
            stalled("worker 2", Duration::from_secs(12), &watched, &locked),
            "worker 2 has had nothing for 12 s: the server waits for Lock: relation: SELECT 1"
        );
    }
}
