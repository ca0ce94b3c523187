//! Who reads which pieces: pure bookkeeping, no I/O and no clock.
//!
//! The key is cut into pieces of about equal rows. Every worker owns a region of neighbouring
//! pieces and takes ever shorter runs from its front; a worker whose region is empty takes over the
//! upper half of what is left of the largest one. The last runs are single pieces, so that workers
//! end within one piece's time of each other, however wrong the estimates were.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsqoop_connector::Result;

use super::control::RunControl;

/// Neighbouring pieces that one statement reads.
pub(crate) type Run = Range<usize>;

/// What a worker takes from its region in one go: a quarter, which makes few statements, where pieces
/// are known to have about equal rows; an eighth where they may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grain {
    /// Pieces between points that the server counted or estimated.
    EqualRows,
    /// Pieces of equal width.
    EqualWidth,
    /// Pieces that cannot be read together.
    Single,
}

/// The pieces that nobody has begun, by worker.
#[derive(Debug)]
struct State {
    regions: Vec<VecDeque<Run>>,
    /// Runs whose reader failed before they were safe; they go first.
    returned: VecDeque<Run>,
    /// Workers that read something which may yet be returned.
    busy: usize,
    /// Workers that have asked for work. Nobody takes from one that has not: small tables spread
    /// over all workers however slowly these start.
    started: Vec<bool>,
}

/// The pieces of a run, shared by its workers.
#[derive(Debug)]
pub(crate) struct Regions {
    state: Mutex<State>,
    changed: Condvar,
    grain: Grain,
    longest: usize,
}

fn pieces(region: &VecDeque<Run>) -> usize {
    region.iter().map(Run::len).sum()
}

impl Regions {
    /// Shares the pieces `todo` (ascending, disjoint) between workers. `alone` are pieces that no
    /// statement can read together with others; they go first.
    pub(crate) fn new(todo: &[Run], alone: Vec<Run>, workers: usize, grain: Grain) -> Self {
        let total: usize = todo.iter().map(Run::len).sum();
        let mut rest: VecDeque<Run> = todo.iter().filter(|r| !r.is_empty()).cloned().collect();
        let mut given = 0;
        let regions = (1..=workers)
            .map(|n| {
                let want = total * n / workers - given;
                given += want;
                take_front(&mut rest, want)
            })
            .collect();
        let started = vec![false; workers];
        let state = State { regions, returned: alone.into(), busy: 0, started };
        Regions { state: Mutex::new(state), changed: Condvar::new(), grain, longest: usize::MAX }
    }

    /// Hands out runs of at most so many pieces.
    pub(crate) fn with_longest(mut self, longest: usize) -> Self {
        self.longest = longest.max(1);
        self
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next run for a worker; waits while others read what they might return. `None` once
    /// everything has been read. The worker is busy until [`done`](Self::done).
    pub(crate) fn take(&self, worker: usize, control: &RunControl) -> Result<Option<Run>> {
        let mut state = self.lock();
        state.started[worker] = true;
        loop {
            control.check()?;
            if let Some(run) = state.next(worker, self.grain, self.longest) {
                state.busy += 1;
                return Ok(Some(run));
            }
            if state.busy == 0 && state.started.iter().all(|started| *started) {
                return Ok(None);
            }
            let waited = self.changed.wait_timeout(state, POLL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What the worker took last is safe, or was given back by `returned`.
    pub(crate) fn done(&self, returned: Vec<Run>) {
        let mut state = self.lock();
        state.busy -= 1;
        state.returned.extend(returned);
        self.changed.notify_all();
    }

    /// Whether nothing is left to read.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.returned.is_empty() && state.regions.iter().all(VecDeque::is_empty)
    }
}

/// How often a waiting worker looks whether the run was stopped.
const POLL: Duration = Duration::from_millis(100);

impl State {
    fn next(&mut self, worker: usize, grain: Grain, longest: usize) -> Option<Run> {
        if let Some(run) = self.returned.pop_front() {
            return Some(run);
        }
        if pieces(&self.regions[worker]) == 0 {
            let largest = (0..self.regions.len())
                .filter(|i| self.started[*i])
                .max_by_key(|i| pieces(&self.regions[*i]))?;
            let left = pieces(&self.regions[largest]);
            let stays = take_front(&mut self.regions[largest], left / 2);
            self.regions[worker] = std::mem::replace(&mut self.regions[largest], stays);
        }
        let region = &mut self.regions[worker];
        let first = region.front_mut()?;
        let left = first.len();
        let wanted = match grain {
            Grain::EqualRows => left.div_ceil(4),
            Grain::EqualWidth => left.div_ceil(8),
            Grain::Single => 1,
        }
        .min(longest);
        let run = first.start..first.start + wanted;
        first.start = run.end;
        if first.start == first.end {
            region.pop_front();
        }
        Some(run)
    }
}

/// The runs that workers have before them at the beginning.
pub(crate) fn shares(todo: &[Run], workers: usize) -> Vec<Run> {
    let regions = Regions::new(todo, Vec::new(), workers, Grain::EqualRows);
    let state = regions.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.regions.into_iter().flatten().collect()
}

/// Takes `count` pieces from the front.
fn take_front(from: &mut VecDeque<Run>, mut count: usize) -> VecDeque<Run> {
    let mut taken = VecDeque::new();
    while count > 0
        && let Some(first) = from.front_mut()
    {
        let part = first.start..first.end.min(first.start + count);
        count -= part.len();
        first.start = part.end;
        if first.start == first.end {
            from.pop_front();
        }
        taken.push_back(part);
    }
    taken
}

/// The pieces of `0..total` that are in none of `done`.
pub(crate) fn rest(total: usize, done: &[Run]) -> Vec<Run> {
    let mut done: Vec<Run> = done.to_vec();
    done.sort_by_key(|r| r.start);
    let mut rest = Vec::new();
    let mut next = 0;
    for run in done {
        if run.start > next {
            rest.push(next..run.start);
        }
        next = next.max(run.end);
    }
    if next < total {
        rest.push(next..total);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(pieces: usize, workers: usize, grain: Grain) -> Regions {
        Regions::new(std::slice::from_ref(&(0..pieces)), Vec::new(), workers, grain)
    }

    /// Takes runs for workers in turn, the slow ones more seldom.
    fn drain(regions: &Regions, workers: usize) -> Vec<(usize, Run)> {
        let control = RunControl::new(|_| {});
        let mut taken = Vec::new();
        regions.lock().started = vec![true; workers];
        for round in 0.. {
            let mut idle = 0;
            for worker in 0..workers {
                if round % (worker + 1) != 0 {
                    continue;
                }
                match regions.take(worker, &control).unwrap() {
                    Some(run) => {
                        taken.push((worker, run));
                        regions.done(Vec::new());
                    }
                    None => idle += 1,
                }
            }
            if idle > 0 {
                return taken;
            }
        }
        unreachable!()
    }

    #[test]
    fn every_piece_is_handed_out_once() {
        for grain in [Grain::EqualRows, Grain::EqualWidth, Grain::Single] {
            for (total, workers) in [(1, 1), (2, 4), (5, 4), (64, 4), (257, 3), (1000, 16)] {
                let regions = regions(total, workers, grain);
                let mut pieces: Vec<usize> =
                    drain(&regions, workers).into_iter().flat_map(|(_, run)| run).collect();
                pieces.sort_unstable();
                assert_eq!(pieces, (0..total).collect::<Vec<_>>(), "{total} {workers} {grain:?}");
            }
        }
    }

    #[test]
    fn small_tables_spread_over_all_workers() {
        let regions = regions(4, 4, Grain::EqualRows);
        let control = RunControl::new(|_| {});
        let first: Vec<_> = (0..4).map(|w| regions.take(w, &control).unwrap()).collect();
        assert_eq!(first, [Some(0..1), Some(1..2), Some(2..3), Some(3..4)]);
    }

    #[test]
    fn whoever_runs_dry_takes_half_of_what_is_left_of_the_largest_region() {
        let regions = regions(128, 2, Grain::EqualRows);
        let control = RunControl::new(|_| {});
        // Worker 1 sits on its first run while worker 0 reads on.
        regions.lock().started = vec![true; 2];
        assert_eq!(regions.take(1, &control).unwrap(), Some(64..80));
        let mut mine = Vec::new();
        while let Some(run) = regions.lock().next(0, Grain::EqualRows, usize::MAX) {
            mine.push(run);
        }
        assert_eq!(mine.iter().map(Run::len).sum::<usize>(), 64 + 48, "all but the run in hand");
        assert_eq!(mine.last().unwrap().len(), 1, "the last are single pieces");
        assert!(mine.contains(&(104..110)), "half of 80..128, then a quarter of that: {mine:?}");
    }

    #[test]
    fn what_is_given_back_is_read_again_by_whoever_still_waits() {
        let regions = regions(2, 2, Grain::EqualRows);
        let control = RunControl::new(|_| {});
        assert_eq!(regions.take(0, &control).unwrap(), Some(0..1));
        assert_eq!(regions.take(1, &control).unwrap(), Some(1..2));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                regions.done(Vec::new());
                regions.take(0, &control)
            });
            std::thread::sleep(Duration::from_millis(20));
            regions.done(std::iter::once(1..2).collect());
            assert_eq!(waiting.join().unwrap().unwrap(), Some(1..2));
        });
        regions.done(Vec::new());
        assert_eq!(regions.take(1, &control).unwrap(), None);
    }

    #[test]
    fn the_rest_is_what_nobody_has_done() {
        assert_eq!(rest(10, &[]).first(), Some(&(0..10)));
        assert_eq!(rest(10, &[3..5, 0..2, 9..10]), [2..3, 5..9]);
        assert!(rest(4, std::slice::from_ref(&(0..4))).is_empty());
    }
}
