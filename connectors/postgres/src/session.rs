//! The contract's session: answers small questions itself and delegates the rest.

use std::sync::Arc;

use rsqoop_connector::{
    Activity, BatchSink, Bounds, BoundsRequest, Checksums, Dialect, Interrupt, ReadQuery, Relation,
    Result, ServerInfo, Session, SharedSnapshot, SnapshotOp, SnapshotRequest, TableInfo, TextSink,
};
use sqlx::Row;

use crate::config::Settings;
use crate::dialect::{PostgresDialect, quote_text};
use crate::link::Link;
use crate::snapshot::{self, Held};
use crate::{activity, bounds, catalog, checksum, describe, evaluate, read};

/// One PostgreSQL connection.
#[derive(Debug)]
pub(crate) struct PostgresSession {
    link: Link,
    /// What this session keeps for the others.
    held: Option<Held>,
}

impl PostgresSession {
    pub(crate) fn open(settings: Settings) -> Result<Self> {
        Ok(PostgresSession { link: Link::open(settings)?, held: None })
    }

    fn names(&mut self, sql: &str) -> Result<Vec<String>> {
        let rows = self.link.rows(sql)?;
        rows.iter().map(|row| row.try_get(0).map_err(crate::error::statement)).collect()
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

    fn snapshot_recipe(&mut self, request: &SnapshotRequest) -> Result<String> {
        snapshot::plan(&mut self.link, request)
    }

    fn snapshot(&mut self, op: &SnapshotOp) -> Result<Option<SharedSnapshot>> {
        match op {
            SnapshotOp::Share(request) => {
                let shared = snapshot::share(&mut self.link, request)?;
                Ok(shared.map(|(shared, held)| {
                    self.held = Some(held);
                    shared
                }))
            }
            SnapshotOp::Join(id) => snapshot::join(&mut self.link, id).map(|()| None),
            // The table locks stay: they keep the tables from being rewritten under the snapshot.
            SnapshotOp::Release => Ok(None),
            SnapshotOp::Check => match &self.held {
                Some(held) => snapshot::check(&mut self.link, held).map(|()| None),
                None => Ok(None),
            },
        }
    }

    fn count(&mut self, query: &ReadQuery) -> Result<Option<u64>> {
        let sql = query.count_sql(&PostgresDialect);
        let rows = self.link.read_only(|link| {
            // The readers keep the server's cores busy; more workers would only take theirs away.
            link.simple("SET LOCAL max_parallel_workers_per_gather = 0")?;
            read::by_range(link, query, |link| link.rows(sql))
        })?;
        let count = rows.first().and_then(|row| row.try_get::<i64, _>(0).ok());
        Ok(count.and_then(|n| u64::try_from(n).ok()))
    }

    fn checksum(&mut self, query: &ReadQuery) -> Result<Option<Checksums>> {
        checksum::checksum(&mut self.link, query).map(Some)
    }

    fn backend(&self) -> Option<String> {
        Some(self.link.backend().to_string())
    }

    fn activity(&mut self, backend: &str) -> Result<Option<Activity>> {
        activity::activity(&mut self.link, backend)
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
