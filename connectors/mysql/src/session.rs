//! One session: logs in, fixes every setting on which results could depend, and answers the engine.

use std::sync::Arc;

use mysql_common::constants::ColumnType;
use rsqoop_connector::{
    Activity, BatchSink, Bounds, BoundsRequest, Checksums, Dialect, Error, ErrorKind, Interrupt,
    ReadQuery, Relation, Result, ServerInfo, Session, SharedSnapshot, SnapshotOp, SnapshotRequest,
    TableInfo, TextColumn, TextSink,
};

use crate::config::Settings;
use crate::dialect::{MySqlDialect, bytes, ident};
use crate::error::{self, Phase};
use crate::snapshot::{Keeper, USUAL_LOCK_WAIT};
use crate::stop::{KILL_LIMIT, Stopper};
use crate::types::TypeOptions;
use crate::wire::{ColumnDef, Conn, Cursor, Fault, LoginParams, Next, RowSet};
use crate::{activity, bounds, checksum, describe, read, snapshot, value};

/// A connection and what belongs to it.
#[derive(Debug)]
pub(crate) struct MySqlSession {
    conn: Conn,
    database: Option<String>,
    types: TypeOptions,
    stop: Arc<Stopper>,
    keeper: Option<Keeper>,
}

/// ER_UNKNOWN_SYSTEM_VARIABLE
const UNKNOWN_VARIABLE: u16 = 1193;

/// ER_SPECIFIC_ACCESS_DENIED_ERROR
const NOT_PRIVILEGED: u16 = 1227;

fn run(fault: Fault) -> Error {
    error::statement(fault, Phase::Run)
}

impl MySqlSession {
    /// Logs in and sets the session up.
    pub(crate) fn open(settings: Settings) -> Result<MySqlSession> {
        let mut conn = Conn::open(&settings.login)?;
        prepare_session(&mut conn, settings.session_variables.as_deref(), |fault| {
            error::setting_up(&settings.login, fault)
        })?;
        let pulse = conn.limit_silence(settings.login.silence).map_err(run)?;
        let closer = conn.closer().map_err(|e| run(e.into()))?;
        let database = settings.login.database.clone();
        let login = LoginParams {
            connect_timeout: KILL_LIMIT,
            silence: KILL_LIMIT,
            database: None,
            ..settings.login
        };
        let stop = Arc::new(Stopper::new(closer, conn.id, login, pulse));
        Ok(MySqlSession { conn, database, types: settings.types, stop, keeper: None })
    }

    /// Runs `step`; an interrupt in the meantime is the answer, whatever else came out. A killed
    /// `SLEEP()` for one answers a row as if nothing had happened.
    fn interruptible<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.stop.is_stopped() {
            return Err(error::cancelled());
        }
        let result = step(self);
        if self.stop.is_stopped() { Err(error::cancelled()) } else { result }
    }
}

/// Makes results independent of the server's defaults and of the user's.
fn prepare_session(
    conn: &mut Conn,
    variables: Option<&str>,
    failed: impl Fn(Fault) -> Error,
) -> Result<()> {
    conn.run("SET NAMES utf8mb4").map_err(&failed)?;
    // Rows wait in the server while the engine is behind: no limit of its own may end that.
    let patience = "SET SESSION net_write_timeout = 3600, SESSION net_read_timeout = 3600, \
                    SESSION wait_timeout = 86400, SESSION innodb_lock_wait_timeout = 30";
    conn.run(&format!("{patience}, SESSION lock_wait_timeout = {USUAL_LOCK_WAIT}"))
        .map_err(&failed)?;
    let optional: &[&str] = if conn.mariadb {
        &[
            "max_statement_time = 0",
            "idle_transaction_timeout = 0",
            "idle_readonly_transaction_timeout = 0",
        ]
    } else {
        // Estimates would otherwise be up to a day old.
        &["max_execution_time = 0", "information_schema_stats_expiry = 0"]
    };
    for setting in optional {
        match conn.run(&format!("SET SESSION {setting}")) {
            Err(Fault::Server(e)) if e.code == UNKNOWN_VARIABLE => {}
            other => {
                other.map_err(&failed)?;
            }
        }
    }
    if let Some(sql) = variables {
        conn.run(sql).map_err(|fault| {
            error::statement(fault, Phase::Describe).context("parameter", "sessionVariables")
        })?;
    }
    // So that SHOW WARNINGS shows all (`read`). MySQL 8 and later reserve it for administrators: an
    // ordinary reader must do with the default of 1,024; @@warning_count counts the rest.
    match conn.run("SET SESSION max_error_count = 65535") {
        Err(Fault::Server(e)) if e.code == NOT_PRIVILEGED => {}
        other => {
            other.map_err(&failed)?;
        }
    }
    // Last, since correctness hangs on these: literals, instants, how many rows there are, and that
    // no character becomes a question mark.
    conn.run(
        "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', \
         SESSION character_set_client = utf8mb4, SESSION character_set_results = utf8mb4, \
         SESSION collation_connection = IF(@@collation_connection LIKE 'utf8mb4%', \
         @@collation_connection, 'utf8mb4_general_ci'), \
         SESSION time_zone = '+00:00', SESSION sql_auto_is_null = 0, SESSION autocommit = 1, \
         SESSION sql_select_limit = 18446744073709551615",
    )
    .map_err(&failed)?;
    conn.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").map_err(&failed)?;
    Ok(())
}

impl Session for MySqlSession {
    fn dialect(&self) -> &'static dyn Dialect {
        &MySqlDialect
    }

    fn server(&mut self) -> Result<ServerInfo> {
        let product = if self.conn.mariadb { "MariaDB" } else { "MySQL" };
        Ok(ServerInfo { product: product.to_string(), version: self.conn.version.clone() })
    }

    fn databases(&mut self) -> Result<Vec<String>> {
        self.interruptible(|s| first_column(&mut s.conn, "SHOW DATABASES"))
    }

    fn tables(&mut self, schema: Option<&str>) -> Result<Vec<String>> {
        let from = schema.map(|s| format!(" FROM {}", ident(s))).unwrap_or_default();
        self.interruptible(|s| first_column(&mut s.conn, &format!("SHOW TABLES{from}")))
    }

    fn describe(&mut self, what: &Relation) -> Result<TableInfo> {
        self.interruptible(|s| match what {
            Relation::Table(name) => {
                describe::table(&mut s.conn, name, s.database.as_deref(), s.types)
            }
            Relation::Query(text) => describe::query(&mut s.conn, text, s.types),
        })
    }

    fn bounds(&mut self, request: &BoundsRequest) -> Result<Bounds> {
        self.interruptible(|s| bounds::bounds(&mut s.conn, request))
    }

    fn snapshot_recipe(&mut self, request: &SnapshotRequest) -> Result<String> {
        self.interruptible(|s| snapshot::recipe(&mut s.conn, request))
    }

    fn snapshot(&mut self, op: &SnapshotOp) -> Result<Option<SharedSnapshot>> {
        self.interruptible(|s| match op {
            SnapshotOp::Share(request) => {
                s.keeper = snapshot::share(&mut s.conn, &s.stop, request)?;
                Ok(s.keeper.as_ref().map(Keeper::shared))
            }
            SnapshotOp::Join(id) => snapshot::join(&mut s.conn, id).map(|()| None),
            SnapshotOp::Release => match &mut s.keeper {
                Some(keeper) => keeper.release(&mut s.conn).map(Some),
                None => Ok(None),
            },
            SnapshotOp::Check => match &s.keeper {
                Some(keeper) => keeper.check(&mut s.conn).map(|()| None),
                None => Err(Error::new(ErrorKind::Bug, "this session keeps no snapshot")),
            },
        })
    }

    fn backend(&self) -> Option<String> {
        Some(self.conn.id.to_string())
    }

    fn activity(&mut self, backend: &str) -> Result<Option<Activity>> {
        self.interruptible(|s| activity::activity(&mut s.conn, backend))
    }

    fn count(&mut self, query: &ReadQuery) -> Result<Option<u64>> {
        let sql = query.count_sql(&MySqlDialect);
        let cells = self.interruptible(|s| first_column(&mut s.conn, &sql))?;
        Ok(cells.first().and_then(|text| text.parse().ok()))
    }

    fn checksum(&mut self, query: &ReadQuery) -> Result<Option<Checksums>> {
        self.interruptible(|s| checksum::checksum(&mut s.conn, s.types, query)).map(Some)
    }

    fn execute(&mut self, sql: &str) -> Result<u64> {
        self.interruptible(|s| s.conn.run(sql).map_err(run))
    }

    fn evaluate(&mut self, sql: &str, out: &mut dyn TextSink) -> Result<()> {
        self.interruptible(|s| {
            let result = evaluate(&mut s.conn, sql, out);
            if result.is_err() && s.conn.is_busy() {
                s.conn.abandon("an earlier result was not read to its end");
            }
            result
        })
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        Arc::clone(&self.stop) as Arc<dyn Interrupt>
    }

    fn read(&mut self, query: &ReadQuery, out: &mut dyn BatchSink) -> Result<()> {
        // The sink's own error stays what it is, even if the run was stopped for it.
        if self.stop.is_stopped() {
            return Err(error::cancelled());
        }
        let mut sink = Watched { out, failed: false };
        let result = read::read(&mut self.conn, self.types, query, &mut sink);
        if sink.failed || !self.stop.is_stopped() { result } else { Err(error::cancelled()) }
    }
}

/// Remembers whether an error is the sink's.
struct Watched<'a> {
    out: &'a mut dyn BatchSink,
    failed: bool,
}

impl BatchSink for Watched<'_> {
    fn push(&mut self, batch: arrow_array::RecordBatch) -> Result<()> {
        self.out.push(batch).inspect_err(|_| self.failed = true)
    }
}

fn first_column(conn: &mut Conn, sql: &str) -> Result<Vec<String>> {
    let rows = conn.rows(sql).map_err(run)?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}

fn evaluate(conn: &mut Conn, sql: &str, out: &mut dyn TextSink) -> Result<()> {
    let mut reply = conn.query(sql).map_err(run)?;
    loop {
        let done = match reply {
            RowSet::Done(done) => {
                out.updated(done.affected)?;
                done
            }
            RowSet::Rows(columns) => {
                let heads: Vec<TextColumn> = columns
                    .iter()
                    .map(|c| TextColumn { name: c.name.clone(), display_size: c.display_size() })
                    .collect();
                out.columns(&heads)?;
                let done = loop {
                    match conn.next().map_err(run)? {
                        Next::Row(packet) => out.row(&text_row(packet, &columns)?)?,
                        Next::End(done) => break done,
                    }
                };
                out.end()?;
                done
            }
        };
        if !done.more_results {
            return Ok(());
        }
        reply = conn.next_result().map_err(run)?;
    }
}

fn text_row(packet: &[u8], columns: &[ColumnDef]) -> Result<Vec<Option<String>>> {
    let mut c = Cursor(packet);
    columns
        .iter()
        .map(|def| {
            let value = c.text_value().ok_or_else(|| run(Fault::protocol("a row is cut")))?;
            Ok(value.map(|v| text_value(v, def)))
        })
        .collect()
}

/// Bytes that are no text are shown as hexadecimal digits, bit fields as numbers.
fn text_value(value: &[u8], def: &ColumnDef) -> String {
    if def.kind == ColumnType::MYSQL_TYPE_BIT
        && let Ok(n) = value::bits(value)
    {
        return n.to_string();
    }
    match std::str::from_utf8(value) {
        Ok(text) => text.to_string(),
        Err(_) => bytes(value).replace("x'", "0x").replace('\'', ""),
    }
}
