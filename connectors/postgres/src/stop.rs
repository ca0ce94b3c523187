//! What another thread tells a session: to stop (a flag that every wait looks at, and a word to the
//! server), or that the server is busy and its silence means nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rsqoop_connector::{Error, ErrorKind, Interrupt};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Notify;

use crate::config::Settings;

/// Limit for telling the server.
const CANCEL_LIMIT: Duration = Duration::from_secs(3);
/// How long `interrupt` itself waits for the server to be told.
const CANCEL_WAIT: Duration = Duration::from_secs(1);

/// Shared by a session and its interrupters.
#[derive(Debug)]
pub(crate) struct Stop {
    asked: AtomicBool,
    wake: Notify,
    settings: Arc<Settings>,
    /// The server process of the session while it lives.
    process: Mutex<Option<i32>>,
    opened: Instant,
    /// When the server was last said to be working: milliseconds since `opened`.
    working: AtomicU64,
}

impl Stop {
    pub(crate) fn new(settings: Arc<Settings>, process: i32) -> Self {
        Stop {
            asked: AtomicBool::new(false),
            wake: Notify::new(),
            settings,
            process: Mutex::new(Some(process)),
            opened: Instant::now(),
            working: AtomicU64::new(0),
        }
    }

    /// When the server was last said to be working, if ever.
    pub(crate) fn worked_at(&self) -> Option<Instant> {
        match self.working.load(Ordering::Acquire) {
            0 => None,
            millis => self.opened.checked_add(Duration::from_millis(millis)),
        }
    }

    /// Ready once the server was silent for `limit` from now on, and in that time nobody said that
    /// it works.
    pub(crate) async fn silence(&self, limit: Duration) {
        let mut until = Instant::now() + limit;
        loop {
            tokio::time::sleep_until(until.into()).await;
            match self.worked_at().map(|at| at + limit) {
                Some(later) if later > until => until = later,
                _ => return,
            }
        }
    }

    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Ready once a stop is asked for.
    pub(crate) async fn wait(&self) {
        // A stop before the wait began has left its permit.
        while !self.asked() {
            self.wake.notified().await;
        }
    }

    pub(crate) fn error() -> Error {
        Error::new(ErrorKind::Cancelled, "the read was stopped")
    }

    /// The session is over: its process number may soon be another's.
    pub(crate) fn retire(&self) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Asks the server to cancel what the session's process does, from a connection and a thread of
    /// its own. sqlx keeps the cancel key of the protocol to itself, hence the function.
    pub(crate) fn cancel_on_server(&self) -> Option<mpsc::Receiver<()>> {
        self.cancel(self.process()?)
    }

    fn process(&self) -> Option<i32> {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cancel(&self, process: i32) -> Option<mpsc::Receiver<()>> {
        let settings = Arc::clone(&self.settings);
        let (done, wait) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("rsqoop-pg-cancel".to_string())
            .spawn(move || {
                cancel(&settings, process);
                // Nobody waits any more: nothing to tell.
                let _ = done.try_send(());
            })
            .ok()?;
        Some(wait)
    }
}

impl Interrupt for Stop {
    fn interrupt(&self) {
        // The process is looked up before the reader wakes: it gives its connection up at once.
        let process = self.process();
        self.asked.store(true, Ordering::Release);
        let done = process.and_then(|process| self.cancel(process));
        self.wake.notify_one();
        if let Some(done) = done {
            let _ = done.recv_timeout(CANCEL_WAIT);
        }
    }

    fn still_working(&self) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.working.fetch_max(millis.max(1), Ordering::AcqRel);
    }
}

/// Best effort: the reader has stopped anyway, and the server notices when it writes.
fn cancel(settings: &Settings, process: i32) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    let told = async {
        let mut connection = settings.options.connect().await?;
        sqlx::query("SELECT pg_catalog.pg_cancel_backend($1)")
            .bind(process)
            .execute(&mut connection)
            .await?;
        connection.close().await
    };
    let _ = runtime.block_on(async { tokio::time::timeout(CANCEL_LIMIT, told).await });
    runtime.shutdown_background();
}
