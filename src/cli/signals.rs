//! SIGINT, SIGTERM and SIGHUP: the first stops the run and lets it clean up, the second ends it.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use rsqoop_connector::{Error, ErrorKind, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals as Incoming;

use super::console::Console;
use crate::RunControl;

/// Remembers which signal stopped the run.
pub(super) struct Signals {
    first: Arc<AtomicI32>,
}

impl Signals {
    /// Watches for signals until the process ends.
    ///
    /// # Errors
    /// `Bug` when the handlers cannot be installed.
    pub(super) fn watch(
        control: Arc<RunControl>,
        console: Arc<Console>,
        shutdown: Duration,
    ) -> Result<Self> {
        let first = Arc::new(AtomicI32::new(0));
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Bug, "signal handlers cannot be installed").source(error)
        };
        let mut incoming = Incoming::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
        // A file over the limit on file sizes would end the process; handled, it is an error of
        // the write like any other.
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map_err(failed)?;
        let seen = first.clone();
        std::thread::spawn(move || {
            for signal in &mut incoming {
                if seen.swap(signal, Ordering::SeqCst) != 0 {
                    leave(signal);
                }
                console.warn("stopping; the target stays as it was; once more ends at once");
                let control = control.clone();
                std::thread::spawn(move || {
                    control.cancel();
                    std::thread::sleep(shutdown);
                    leave(signal);
                });
            }
        });
        Ok(Signals { first })
    }

    /// 128 + the signal's number, as shells count it, if one arrived.
    pub(super) fn exit_status(&self) -> Option<ExitCode> {
        match self.first.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(ExitCode::from(status(signal))),
        }
    }
}

fn status(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

#[expect(clippy::exit, reason = "the user asked twice, or cleaning up took too long")]
fn leave(signal: i32) {
    std::process::exit(i32::from(status(signal)));
}
