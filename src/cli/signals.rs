//! SIGINT, SIGTERM and SIGHUP: the first stops the run and lets it clean up, the second ends it.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rsqoop_connector::{Error, ErrorKind, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals as Incoming;

use super::console::Console;
use crate::RunControl;

/// Longest wait for the server to be told that its statements are not wanted any more.
const TELL_LIMIT: Duration = Duration::from_secs(3);

/// A signal this soon after the first is the same one: timeout(1) sends it to its child and then to
/// the whole process group, and a terminal's Ctrl-C may be passed on by a parent.
const ECHO: Duration = Duration::from_millis(300);

/// Remembers which signal stopped the run.
pub(super) struct Signals {
    first: Arc<AtomicI32>,
    told: Receiver<()>,
}

impl Signals {
    /// Watches for signals until the process ends; `notice` is shown at the first.
    ///
    /// # Errors
    /// `Bug` when the handlers cannot be installed.
    pub(super) fn watch(
        control: Arc<RunControl>,
        console: Arc<Console>,
        shutdown: Duration,
        notice: &'static str,
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
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let mut stopping: Option<Instant> = None;
            for signal in &mut incoming {
                match stopping {
                    Some(since) if since.elapsed() < ECHO => continue,
                    Some(_) => leave(signal),
                    None => stopping = Some(Instant::now()),
                }
                seen.store(signal, Ordering::SeqCst);
                console.warn(notice);
                let (control, tell) = (control.clone(), tell.clone());
                std::thread::spawn(move || {
                    control.cancel();
                    let _ = tell.send(());
                    std::thread::sleep(shutdown);
                    leave(signal);
                });
            }
        });
        Ok(Signals { first, told })
    }

    /// 128 + the signal's number, as shells count it, if one arrived. Waits until the statements
    /// are cancelled: the reader gives up before the server knows, and the process would take the
    /// message with it.
    pub(super) fn exit_status(&self) -> Option<ExitCode> {
        match self.first.load(Ordering::SeqCst) {
            0 => None,
            signal => {
                let _ = self.told.recv_timeout(TELL_LIMIT);
                Some(ExitCode::from(status(signal)))
            }
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
