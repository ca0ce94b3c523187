//! The contract's session: answers small questions itself and delegates the rest.

use std::sync::Arc;

use rsqoop_connector::{
    BatchSink, Bounds, BoundsRequest, Dialect, Error, ErrorKind, Interrupt, ReadQuery, Relation,
    Result, ServerInfo, Session, SnapshotId, SnapshotOp, TableInfo, TableName, TextSink,
};
use sqlx::Row;

use crate::config::Settings;
use crate::dialect::{PostgresDialect, quote_text};
use crate::link::Link;
use crate::{bounds, catalog, describe, evaluate, read};

/// One PostgreSQL connection.
#[derive(Debug)]
pub(crate) struct PostgresSession {
    link: Link,
}

impl PostgresSession {
    pub(crate) fn open(settings: Settings) -> Result<Self> {
        Ok(PostgresSession { link: Link::open(settings)? })
    }

    fn names(&mut self, sql: &str) -> Result<Vec<String>> {
        let rows = self.link.rows(sql)?;
        rows.iter().map(|row| row.try_get(0).map_err(crate::error::statement)).collect()
    }

    /// Locks the tables, then takes the snapshot and names it: a table that is truncated or
    /// rewritten after the snapshot would look empty in it.
    fn share(&mut self, tables: &[TableName]) -> Result<SnapshotId> {
        if self.link.in_snapshot() {
            return Err(Error::new(ErrorKind::Bug, "this session already has a snapshot"));
        }
        let mut locked = Vec::new();
        for table in tables {
            let found = catalog::find(&mut self.link, table)?;
            if found.is_lockable() {
                locked.push(found.qualified());
            }
        }
        self.link.simple("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        // From here on everything runs in this transaction, whatever becomes of it.
        self.link.set_in_snapshot();
        for table in locked {
            // Utility statements take no snapshot; the SELECT after them does.
            self.link
                .simple(format!("LOCK TABLE {table} IN ACCESS SHARE MODE"))
                .map_err(|e| e.context("table", table))?;
        }
        let id = self.names("SELECT pg_catalog.pg_export_snapshot()")?;
        match id.into_iter().next() {
            Some(id) => Ok(SnapshotId(id)),
            None => Err(Error::new(ErrorKind::Source, "the server exported no snapshot")),
        }
    }

    fn join(&mut self, id: &SnapshotId) -> Result<()> {
        if self.link.in_snapshot() {
            return Err(Error::new(ErrorKind::Bug, "this session already has a snapshot"));
        }
        self.link.simple("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        self.link.set_in_snapshot();
        self.link.simple(format!("SET TRANSACTION SNAPSHOT {}", quote_text(&id.0)))?;
        Ok(())
    }
}

impl Session for PostgresSession {
    fn dialect(&self) -> &'static dyn Dialect {
        &PostgresDialect
    }

    fn server(&mut self) -> Result<ServerInfo> {
        self.link.parts()?;
        Ok(ServerInfo {
            product: "PostgreSQL".to_string(),
            version: self.link.version().to_string(),
        })
    }

    fn databases(&mut self) -> Result<Vec<String>> {
        self.names("SELECT datname::pg_catalog.text FROM pg_catalog.pg_database")
    }

    fn tables(&mut self, schema: Option<&str>) -> Result<Vec<String>> {
        let schema = schema.map_or_else(|| "pg_catalog.current_schema()".to_string(), quote_text);
        self.names(&format!(
            "SELECT tablename::pg_catalog.text FROM pg_catalog.pg_tables \
             WHERE schemaname = {schema}"
        ))
    }

    fn describe(&mut self, what: &Relation) -> Result<TableInfo> {
        match what {
            Relation::Table(table) => catalog::describe(&mut self.link, table),
            Relation::Query(query) => describe::query(&mut self.link, query),
        }
    }

    fn bounds(&mut self, request: &BoundsRequest) -> Result<Bounds> {
        bounds::bounds(&mut self.link, request)
    }

    fn snapshot(&mut self, op: &SnapshotOp) -> Result<Option<SnapshotId>> {
        match op {
            SnapshotOp::Share(tables) => self.share(tables).map(Some),
            SnapshotOp::Join(id) => self.join(id).map(|()| Some(id.clone())),
            // The table locks stay: they keep the tables from being rewritten under the snapshot.
            SnapshotOp::Release => Ok(None),
        }
    }

    fn count(&mut self, query: &ReadQuery) -> Result<Option<u64>> {
        let sql = query.count_sql(&PostgresDialect);
        let rows = self.link.read_only(|link| {
            // The readers keep the server's cores busy; more workers would only take theirs away.
            link.simple("SET LOCAL max_parallel_workers_per_gather = 0")?;
            link.rows(sql)
        })?;
        let count = rows.first().and_then(|row| row.try_get::<i64, _>(0).ok());
        Ok(count.and_then(|n| u64::try_from(n).ok()))
    }

    fn execute(&mut self, sql: &str) -> Result<u64> {
        self.link.simple(sql)
    }

    fn evaluate(&mut self, sql: &str, out: &mut dyn TextSink) -> Result<()> {
        evaluate::evaluate(&mut self.link, sql, out)
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        Arc::clone(self.link.stop()) as Arc<dyn Interrupt>
    }

    fn read(&mut self, query: &ReadQuery, out: &mut dyn BatchSink) -> Result<()> {
        read::read(&mut self.link, query, out)
    }
}
