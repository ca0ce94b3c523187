//! One session: the catalogue's answers, and the way to the two loops in `bounds` and `read`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{ArrayRef, RecordBatch};
use rsqoop_connector::{
    BatchSink, Bounds, BoundsRequest, Consistency, Dialect, Interrupt, ReadQuery, Relation,
    RelationKind, Result, ServerInfo, Session, SharedSnapshot, SnapshotId, SnapshotOp,
    SnapshotRequest, TableInfo, TextSink,
};

use crate::dialect::MemoryDialect;
use crate::{Memory, Table, bounds, error, read, rows, types};

/// How all sessions come to see the same.
const RECIPE: &str = "the data never changes";

#[derive(Debug)]
pub(crate) struct MemorySession {
    memory: Memory,
    database: String,
    stop: Arc<Stop>,
}

/// The flag that other threads set and the reading loop looks at.
#[derive(Debug, Default)]
struct Stop(AtomicBool);

impl Interrupt for Stop {
    fn interrupt(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl MemorySession {
    pub(crate) fn new(memory: Memory, database: String) -> Self {
        MemorySession { memory, database, stop: Arc::default() }
    }

    fn table(&self, what: &Relation) -> Result<&Table> {
        match what {
            Relation::Table(name) if name.schema.is_none() => {
                self.memory.tables.get(&name.name).ok_or_else(|| error::no_table(name))
            }
            Relation::Table(name) => Err(error::no_table(name)),
            Relation::Query(_) => Err(error::no_sql("query")),
        }
    }
}

impl Session for MemorySession {
    fn dialect(&self) -> &'static dyn Dialect {
        &MemoryDialect
    }

    fn server(&mut self) -> Result<ServerInfo> {
        Ok(ServerInfo {
            product: "memory".to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
        })
    }

    fn databases(&mut self) -> Result<Vec<String>> {
        Ok(vec![self.database.clone()])
    }

    fn tables(&mut self, schema: Option<&str>) -> Result<Vec<String>> {
        // There are no schemas: nothing is in a named one.
        Ok(match schema {
            None => self.memory.tables.keys().cloned().collect(),
            Some(_) => Vec::new(),
        })
    }

    fn describe(&mut self, what: &Relation) -> Result<TableInfo> {
        let table = self.table(what)?;
        let rows: usize = table.batches.iter().map(RecordBatch::num_rows).sum();
        let bytes: usize = table.batches.iter().map(RecordBatch::get_array_memory_size).sum();
        Ok(TableInfo {
            kind: RelationKind::Table,
            columns: types::columns(&table.schema),
            primary_key: table.primary_key.clone(),
            estimated_rows: u64::try_from(rows).ok(),
            estimated_bytes: u64::try_from(bytes).ok(),
            storage_key: None,
        })
    }

    fn bounds(&mut self, request: &BoundsRequest) -> Result<Bounds> {
        let table = self.table(&request.relation)?;
        if request.filter.is_some() {
            return Err(error::no_sql("--where"));
        }
        if request.boundary_query.is_some() {
            return Err(error::no_sql("--boundary-query"));
        }
        if !request.key.row.is_empty() {
            return rows::points(&table.batches, &request.key.row, request.pieces);
        }
        let name = read::key_name(&request.key)?;
        let index = read::column_index(&table.schema, name)?;
        let keys: Vec<ArrayRef> = table.batches.iter().map(|b| b.column(index).clone()).collect();
        bounds::extent(name, &keys, request.pieces)
    }

    fn snapshot_recipe(&mut self, _request: &SnapshotRequest) -> Result<String> {
        Ok(RECIPE.to_string())
    }

    fn snapshot(&mut self, op: &SnapshotOp) -> Result<Option<SharedSnapshot>> {
        // The data never changes, so that every session sees the same without doing anything.
        let SnapshotOp::Share(request) = op else { return Ok(None) };
        Ok((request.consistency != Consistency::None).then(|| SharedSnapshot {
            id: SnapshotId("memory".to_string()),
            recipe: RECIPE.to_string(),
            position: None,
            data_version: None,
        }))
    }

    fn count(&mut self, query: &ReadQuery) -> Result<Option<u64>> {
        let mut counted = Counted(0);
        self.read(query, &mut counted)?;
        Ok(Some(counted.0))
    }

    fn execute(&mut self, _sql: &str) -> Result<u64> {
        Err(error::no_sql("statement"))
    }

    fn evaluate(&mut self, _sql: &str, _out: &mut dyn TextSink) -> Result<()> {
        Err(error::no_sql("statement"))
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.stop.clone()
    }

    fn read(&mut self, query: &ReadQuery, out: &mut dyn BatchSink) -> Result<()> {
        let table = self.table(&query.relation)?;
        if query.filter.is_some() {
            return Err(error::no_sql("--where"));
        }
        read::read(table, query, &self.stop.0, out)
    }
}

/// Takes batches and keeps their number of rows.
struct Counted(u64);

impl BatchSink for Counted {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.0 += batch.num_rows() as u64;
        Ok(())
    }
}
