//! How another thread stops a session: a flag that every wait looks at, and a word to the server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

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
}

impl Stop {
    pub(crate) fn new(settings: Arc<Settings>, process: i32) -> Self {
        Stop {
            asked: AtomicBool::new(false),
            wake: Notify::new(),
            settings,
            process: Mutex::new(Some(process)),
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
