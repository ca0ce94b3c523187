//! A limit on how fast the source is read, shared by all workers.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rsqoop_connector::Result;

use super::control::RunControl;

/// How often a waiting worker looks whether the run was stopped.
const POLL: Duration = Duration::from_millis(50);

/// Lets rows and bytes pass at a rate. Whoever comes too early waits until the time at which the
/// rows before it would have passed at that rate; nothing is saved up for bursts.
#[derive(Debug)]
pub(crate) struct Throttle {
    rows_per_second: Option<f64>,
    bytes_per_second: Option<f64>,
    /// When the next rows may pass.
    free_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// No limit for what is `None`.
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    pub(crate) fn new(rows_per_second: Option<u64>, bytes_per_second: Option<u64>) -> Self {
        Throttle {
            rows_per_second: rows_per_second.map(|n| n as f64),
            bytes_per_second: bytes_per_second.map(|n| n as f64),
            free_at: Mutex::new(None),
        }
    }

    /// Seconds that these rows take at the limit.
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    fn seconds(&self, rows: u64, bytes: u64) -> f64 {
        let by_rows = self.rows_per_second.map_or(0.0, |rate| rows as f64 / rate);
        let by_bytes = self.bytes_per_second.map_or(0.0, |rate| bytes as f64 / rate);
        by_rows.max(by_bytes)
    }

    /// Waits until these rows may pass.
    ///
    /// # Errors
    /// The run was stopped meanwhile.
    pub(crate) fn pass(&self, rows: u64, bytes: u64, control: &RunControl) -> Result<()> {
        if self.rows_per_second.is_none() && self.bytes_per_second.is_none() {
            return Ok(());
        }
        let takes = Duration::try_from_secs_f64(self.seconds(rows, bytes)).unwrap_or(Duration::MAX);
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let begins = free_at.map_or(now, |at| at.max(now));
            let ends = begins.checked_add(takes).unwrap_or(begins);
            *free_at = Some(ends);
            ends
        };
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())
        {
            control.check()?;
            std::thread::sleep(left.min(POLL));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_both_limits_counts() {
        let throttle = Throttle::new(Some(1000), Some(1_000_000));
        assert!((throttle.seconds(500, 0) - 0.5).abs() < 1e-9);
        assert!((throttle.seconds(500, 2_000_000) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn rows_pass_at_the_rate() {
        let throttle = Throttle::new(Some(1000), None);
        let control = RunControl::new(|_| {});
        let begun = Instant::now();
        for _ in 0..5 {
            throttle.pass(20, 0, &control).unwrap();
        }
        assert!(begun.elapsed() >= Duration::from_millis(99), "{:?}", begun.elapsed());
        control.cancel();
        assert!(throttle.pass(1_000_000, 0, &control).is_err());
    }
}
