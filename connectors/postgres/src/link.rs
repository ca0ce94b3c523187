//! One connection with its limits: every wait has a deadline and can be interrupted, and a
//! connection whose protocol state is unknown is given up, never used again.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rsqoop_connector::{Error, ErrorKind, Result};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};
use tokio::runtime::Runtime;

use crate::config::Settings;
use crate::error;
use crate::stop::Stop;

/// Settings of every session, whatever the server, role or database say. The names are looked up
/// first, since not every version knows all of them. The keep-alive probes are the server's: the
/// keeper of a snapshot is idle for hours, and sqlx sets none on our side.
const SESSION: &str = "SELECT pg_catalog.set_config(s.name, v.value, false) \
    FROM pg_catalog.pg_settings s JOIN (VALUES \
    ('datestyle', 'ISO, MDY'), ('intervalstyle', 'postgres'), ('timezone', 'UTC'), \
    ('client_encoding', 'UTF8'), ('extra_float_digits', '3'), ('bytea_output', 'hex'), \
    ('row_security', 'off'), ('synchronize_seqscans', 'off'), ('lock_timeout', '30s'), \
    ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), \
    ('tcp_keepalives_count', '6'), ('statement_timeout', '0'), ('transaction_timeout', '0'), ('idle_session_timeout', '0'), \
    ('idle_in_transaction_session_timeout', '0')) AS v (name, value) \
    ON pg_catalog.lower(s.name) = v.name";

/// How long a close may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// What the server is told not to do for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Switch {
    /// Compiling expressions, which takes longer than our small questions; EXPLAIN does it too.
    Jit,
    /// Reading a whole table for a part of it. The planner judges a range of rows `(a, b)` by its
    /// first column alone, and would read all rows again for every piece.
    TableScans,
}

/// A connection and what belongs to it.
pub(crate) struct Link {
    runtime: Option<Runtime>,
    connection: Option<PgConnection>,
    settings: Arc<Settings>,
    stop: Arc<Stop>,
    /// The server's version text.
    version: String,
    /// The server process at login.
    backend: i32,
    /// Whether a transaction of the snapshot is open, in which everything runs.
    in_snapshot: bool,
    /// Why the connection was given up.
    lost: String,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("place", &self.settings.place).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, logs in once and sets the session up, all within the limit.
    pub(crate) fn open(settings: Settings) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(error::no_resources)?;
        let limit = settings.connect_timeout;
        // The driver panics on some messages that no PostgreSQL server sends (sqlx 0.9: a length of
        // zero); what answers so is not a defect of rsqoop.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async { tokio::time::timeout(limit, log_in(&settings)).await })
        }));
        let opened = match outcome {
            Ok(Ok(Ok(opened))) => Ok(opened),
            Ok(Ok(Err(e))) => Err(error::connecting(e, &settings.place, settings.password_given)),
            Err(_) => Err(error::stranger(&settings.place, "a malformed message")),
            Ok(Err(_)) => Err(Error::new(
                ErrorKind::Connect,
                format!("{} did not answer within {} s", settings.place, limit.as_secs_f32()),
            )
            .hint(
                "check host, port and firewall; --connect-timeout, or connectTimeout in the URL, \
                 sets the limit in seconds",
            )
            .transient()),
        };
        match opened {
            Ok((connection, process, version)) => {
                let settings = Arc::new(settings);
                Ok(Link {
                    runtime: Some(runtime),
                    connection: Some(connection),
                    stop: Arc::new(Stop::new(Arc::clone(&settings), process)),
                    settings,
                    version,
                    backend: process,
                    in_snapshot: false,
                    lost: String::new(),
                })
            }
            Err(error) => {
                // A name look-up may hang in a thread of its own; it is not waited for.
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The first part of the server's version: 15 for `15.4`.
    pub(crate) fn major(&self) -> u32 {
        let digits = self.version.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.version.len());
        self.version[..digits].parse().unwrap_or(0)
    }

    /// The number of the server process that serves this session.
    pub(crate) fn backend(&self) -> i32 {
        self.backend
    }

    pub(crate) fn stop(&self) -> &Arc<Stop> {
        &self.stop
    }

    pub(crate) fn in_snapshot(&self) -> bool {
        self.in_snapshot
    }

    pub(crate) fn set_in_snapshot(&mut self) {
        self.in_snapshot = true;
    }

    pub(crate) fn read_timeout(&self) -> Duration {
        self.settings.read_timeout
    }

    /// What went wrong when the server was silent for too long.
    pub(crate) fn silent(limit: Duration) -> Error {
        Error::new(
            ErrorKind::Source,
            format!("the server sent nothing for {} s", limit.as_secs_f32()),
        )
        .hint("--read-timeout, or socketTimeout in the URL, sets the limit in seconds")
        .transient()
    }

    /// The connection with its event loop; refused once it was given up or a stop was asked for.
    pub(crate) fn parts(&mut self) -> Result<(&Runtime, &mut PgConnection, &Stop)> {
        if self.stop.asked() {
            return Err(Stop::error());
        }
        match (&self.runtime, &mut self.connection) {
            (Some(runtime), Some(connection)) => Ok((runtime, connection, &self.stop)),
            _ => Err(error::dead(&self.lost)),
        }
    }

    /// Gives the connection up: closes its socket without another word.
    pub(crate) fn give_up(&mut self, why: impl Into<String>) {
        if self.connection.take().is_some() {
            self.lost = why.into();
            self.stop.retire();
        }
    }

    /// Runs one exchange with the server.
    pub(crate) fn run<T>(
        &mut self,
        exchange: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T> {
        let limit = self.read_timeout();
        let stop = Arc::clone(&self.stop);
        self.run_inner(async |connection| {
            tokio::select! {
                biased;
                done = exchange(connection) => Ok(done),
                () = stop.silence(limit) => Err(Link::silent(limit)),
            }
        })
    }

    /// The same for an exchange that watches the server's silence itself, or can fail for another
    /// reason than the server's. After such a failure the connection is given up.
    pub(crate) fn run_inner<T>(
        &mut self,
        exchange: impl AsyncFnOnce(&mut PgConnection) -> Result<Result<T, sqlx::Error>>,
    ) -> Result<T> {
        let (runtime, connection, stop) = self.parts()?;
        let outcome = runtime.block_on(async {
            tokio::select! {
                biased;
                done = exchange(connection) => done,
                () = stop.wait() => Err(Stop::error()),
            }
        });
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(e)) => {
                let keeps = error::keeps_connection(&e);
                let mapped = if self.stop.asked() { Stop::error() } else { error::statement(e) };
                if !keeps {
                    self.give_up(mapped.message().to_string());
                }
                Err(mapped)
            }
            Err(error) => {
                // The exchange was left in the middle.
                self.give_up(error.message().to_string());
                Err(error)
            }
        }
    }

    /// Runs statements by the simple protocol and forgets their rows.
    pub(crate) fn simple(&mut self, sql: impl Into<String>) -> Result<u64> {
        let sql = AssertSqlSafe(sql.into());
        self.run(async |c| sqlx::raw_sql(sql).execute(c).await.map(|done| done.rows_affected()))
    }

    /// Rows of a statement without parameters, in the binary form.
    pub(crate) fn rows(&mut self, sql: impl Into<String>) -> Result<Vec<PgRow>> {
        let sql = AssertSqlSafe(sql.into());
        self.run(async |c| sqlx::query(sql).persistent(false).fetch_all(c).await)
    }

    /// Runs `work` in a read-only transaction, unless that of the snapshot is open already.
    pub(crate) fn read_only<T>(&mut self, work: impl FnOnce(&mut Link) -> Result<T>) -> Result<T> {
        if self.in_snapshot {
            return work(self);
        }
        self.simple("BEGIN TRANSACTION READ ONLY")?;
        let outcome = work(self);
        if self.connection.is_some() && !self.stop.asked() {
            let end = self.simple(if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" });
            // The first failure is the one to tell.
            outcome.and_then(|value| end.map(|_| value))
        } else {
            outcome
        }
    }

    /// Runs `work` with a switch of the server off; only inside a transaction.
    pub(crate) fn without<T>(
        &mut self,
        switch: Switch,
        work: impl FnOnce(&mut Link) -> Result<T>,
    ) -> Result<T> {
        let name = match switch {
            Switch::Jit if self.major() < 11 => return work(self),
            Switch::Jit => "jit",
            Switch::TableScans => "enable_seqscan",
        };
        self.simple(format!("SET LOCAL {name} = off"))?;
        let value = work(self)?;
        self.simple(format!("SET LOCAL {name} TO DEFAULT"))?;
        Ok(value)
    }

    /// Runs `work`, whose failure the server only answers for and nobody needs to know; the
    /// transaction around it goes on.
    pub(crate) fn optional<T>(
        &mut self,
        work: impl FnOnce(&mut Link) -> Result<T>,
    ) -> Result<Option<T>> {
        self.attempt(work).map(Result::ok)
    }

    /// The same for a failure that may matter: it is the inner error.
    pub(crate) fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Link) -> Result<T>,
    ) -> Result<Result<T>> {
        self.simple("SAVEPOINT rsqoop")?;
        match work(self) {
            Ok(value) => {
                self.simple("RELEASE SAVEPOINT rsqoop")?;
                Ok(Ok(value))
            }
            Err(error) if self.connection.is_none() || self.stop.asked() => Err(error),
            Err(error) => {
                self.simple("ROLLBACK TO SAVEPOINT rsqoop; RELEASE SAVEPOINT rsqoop")?;
                Ok(Err(error))
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.retire();
        let Some(runtime) = self.runtime.take() else { return };
        if let Some(connection) = self.connection.take() {
            // A polite end; the server copes with an impolite one.
            let _ = runtime
                .block_on(async { tokio::time::timeout(CLOSE_LIMIT, connection.close()).await });
        }
        runtime.shutdown_background();
    }
}

async fn log_in(settings: &Settings) -> Result<(PgConnection, i32, String), sqlx::Error> {
    let mut connection = settings.options.connect().await?;
    sqlx::raw_sql(SESSION).execute(&mut connection).await?;
    if let Some(path) = &settings.search_path {
        sqlx::query("SELECT pg_catalog.set_config('search_path', $1, false)")
            .persistent(false)
            .bind(path)
            .execute(&mut connection)
            .await?;
    }
    let row = sqlx::query(
        "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('server_version')",
    )
    .persistent(false)
    .fetch_one(&mut connection)
    .await?;
    let (process, version) = (row.try_get(0)?, row.try_get(1)?);
    Ok((connection, process, version))
}
