//! Flags that say how far an import is to be trusted, and what it may use.

use std::time::Duration;

use clap::{Args, ValueEnum};
use rsqoop_connector::{ConnectTarget, Consistency, Result};

use crate::job::{Limits, Resume, Verify, usage};

#[derive(Debug, Args)]
#[command(next_help_heading = "Trust")]
pub(super) struct TrustArgs {
    /// The state that all workers see: one snapshot; the tables locked against writers while they are
    /// read; or none in common
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = ConsistencyMode::Snapshot)]
    pub(super) consistency: ConsistencyMode,
    /// What is compared with the database before anything is published: the number of rows [default,
    /// but for views and unsplit queries], a checksum of every column in every split, or nothing
    #[arg(long, value_enum, value_name = "WHAT", hide_default_value = true)]
    verify: Option<VerifyMode>,
    /// Fail if something could not be verified
    #[arg(long)]
    require_verified: bool,
    /// Sqoop's: the same as --verify count --require-verified
    #[arg(long)]
    validate: bool,
    /// What becomes of the rows of a run that died on the same target: they stay only if the source has
    /// not changed, or beside later ones
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ResumeMode::Restart)]
    pub(super) resume: ResumeMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ConsistencyMode {
    Snapshot,
    Lock,
    None,
}

impl From<ConsistencyMode> for Consistency {
    fn from(mode: ConsistencyMode) -> Self {
        match mode {
            ConsistencyMode::Snapshot => Consistency::Snapshot,
            ConsistencyMode::Lock => Consistency::Lock,
            ConsistencyMode::None => Consistency::None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VerifyMode {
    Count,
    Checksum,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ResumeMode {
    Restart,
    Mixed,
}

impl From<ResumeMode> for Resume {
    fn from(mode: ResumeMode) -> Self {
        match mode {
            ResumeMode::Restart => Resume::Restart,
            ResumeMode::Mixed => Resume::Mixed,
        }
    }
}

impl TrustArgs {
    /// What is verified.
    ///
    /// # Errors
    /// `Usage` when `--validate` and `--verify none` contradict each other.
    pub(super) fn verify(&self) -> Result<Verify> {
        match (self.verify, self.validate) {
            (Some(VerifyMode::None), true) => {
                Err(usage("--validate and --verify none contradict each other")
                    .hint("leave one of them out"))
            }
            (Some(VerifyMode::None), false) => Ok(Verify::None),
            (Some(VerifyMode::Checksum), _) => Ok(Verify::Checksum),
            (Some(VerifyMode::Count), _) | (None, true) => Ok(Verify::Count),
            (None, false) => Ok(Verify::Auto),
        }
    }

    pub(super) fn require_verified(&self) -> bool {
        self.require_verified || self.validate
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct BoundArgs {
    /// Memory of the whole run, such as 256M, besides what its largest rows need
    /// [default: 256M, more for more than about 40 workers]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// Read no more rows a second, all workers together
    #[arg(long, value_name = "N", value_parser = above_zero)]
    pub(super) max_rows_per_second: Option<u64>,
    /// Read no more bytes a second, such as 10M, all workers together
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) max_bytes_per_second: Option<u64>,
    /// Longest wait for a connection [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    connect_timeout: Option<Duration>,
    /// Longest silence of a server that is not at work for us [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    read_timeout: Option<Duration>,
    /// New connections in a row for a worker whose connection broke
    #[arg(long, value_name = "N", default_value_t = 3)]
    retries: u32,
}

/// Most retries: with pauses that double, more would wait for days.
const RETRIES_MAX: u32 = 10;

impl BoundArgs {
    /// Limits for so many workers.
    ///
    /// # Errors
    /// `Usage` when they cannot do with the memory.
    pub(super) fn limits(&self, workers: usize) -> Result<Limits> {
        if self.retries > RETRIES_MAX {
            return Err(usage(format!("--retries must be at most {RETRIES_MAX}")));
        }
        let mut limits = match self.memory {
            Some(memory) => Limits::within(memory, workers)?,
            None => Limits::for_workers(workers),
        };
        limits.retries = self.retries;
        if let Some(rate) = self.max_rows_per_second {
            // Batches pass as a whole: none of them may take longer than about a second.
            let rows = usize::try_from(rate).unwrap_or(usize::MAX) / workers.max(1);
            limits.batch_rows = limits.batch_rows.min(rows.max(1));
        }
        if let Some(rate) = self.max_bytes_per_second {
            let bytes = usize::try_from(rate).unwrap_or(usize::MAX) / workers.max(1);
            limits.batch_bytes = limits.batch_bytes.min(bytes.max(1));
        }
        Ok(limits)
    }

    /// A target with the flags' time limits; the URL's own parameters win over them.
    pub(super) fn timed(&self, mut target: ConnectTarget) -> ConnectTarget {
        if let Some(limit) = self.connect_timeout {
            target.connect_timeout = limit;
        }
        if let Some(limit) = self.read_timeout {
            target.read_timeout = limit;
        }
        target
    }
}

/// `256M`, `1G`, `64KiB`, or bytes.
fn size(text: &str) -> std::result::Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1_u64,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err("not a size such as 256M or 1G".to_string()),
    };
    let number: u64 =
        digits.trim().parse().map_err(|_| "not a size such as 256M or 1G".to_string())?;
    match number.checked_mul(unit) {
        Some(0) => Err("must be above 0".to_string()),
        Some(bytes) => Ok(bytes),
        None => Err("too large".to_string()),
    }
}

fn above_zero(text: &str) -> std::result::Result<u64, String> {
    match text.trim().parse() {
        Ok(0) => Err("must be above 0".to_string()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a whole number".to_string()),
    }
}

/// Longest time limit: a day.
const SECONDS_MAX: f64 = 86_400.0;

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    match text.trim().parse::<f64>() {
        Ok(s) if s > 0.0 && s <= SECONDS_MAX => Ok(Duration::from_secs_f64(s)),
        Ok(_) => Err("must be above 0 and at most a day".to_string()),
        Err(_) => Err("not a number of seconds".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::DEFAULT_MEMORY;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("256M", 256 << 20),
            ("1g", 1 << 30),
            ("64KiB", 64 << 10),
            ("17", 17),
            (" 2 MB", 2 << 20),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "M", "1X", "-1M", "0", "0M", "99999999999G", "1.5G"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(size("256M"), Ok(DEFAULT_MEMORY));
    }

    #[test]
    fn time_limits() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "x", "inf", "nan", "1e9"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
