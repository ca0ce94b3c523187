//! The behaviour suite against tables in memory; and against connectors that are wrong in one way
//! each, to prove that the suite notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use rsqoop_connector::testkit::{Fixture, report, run_all, tables};
use rsqoop_connector::{
    BatchSink, Bounds, BoundsRequest, Capabilities, ConnectTarget, Connector, Consistency, Dialect,
    Error, ErrorKind, Interrupt, KeyRange, KeyValue, ReadQuery, Relation, Result, ServerInfo,
    Session, SharedSnapshot, SnapshotOp, SnapshotRequest, StorageKey, TableInfo, TextSink,
};
use rsqoop_memory::Memory;

const FIXTURE: Fixture = Fixture { sql: None, unreachable: None };

fn memory() -> Memory {
    tables().into_iter().fold(Memory::new(), |memory, table| {
        memory
            .table(table.name, table.schema, table.batches, table.primary_key)
            .expect("the suite's tables agree with themselves")
    })
}

fn target() -> ConnectTarget {
    ConnectTarget::parse("memory://local/suite").expect("a valid URL")
}

#[test]
fn behaviour() {
    run_all(&memory(), &target(), &FIXTURE);
}

#[test]
fn the_suite_notices_each_fault() {
    for (fault, check) in [
        (Fault::LosesTheLastRow, "every value of every type arrives identically"),
        (Fault::UpperIsInclusive, "ranges of an integer key with NULLs are the whole, once"),
        (Fault::UpperIsInclusive, "ranges of a text key are the whole, once"),
        (Fault::UpperIsInclusive, "ranges of a date key are the whole, once"),
        (Fault::UpperIsInclusive, "ranges of a key of two columns are the whole, once"),
        (Fault::ComparesOneColumn, "ranges of a key of two columns are the whole, once"),
        (Fault::KeyInColumnOrder, "describe gives the primary key"),
        (Fault::InventsAStorageKey, "ranges of the storage key are the whole, once"),
        (Fault::PointsRepeat, "bounds of an integer key ascend between its extremes"),
        (Fault::NarrowBounds, "bounds of an integer key ascend between its extremes"),
        (Fault::NoExtent, "the extent of an integer key is given where it is asked for"),
        (Fault::ForgetsNullKeys, "ranges of a text key with NULLs are the whole, once"),
        (Fault::SwallowsSinkErrors, "a failing sink stops the read with its own error"),
        (Fault::RewordsSinkErrors, "a failing sink stops the read with its own error"),
        (Fault::CannotBeStopped, "an interrupt between batches ends the read as cancelled"),
        (Fault::CannotBeStopped, "an interrupt before the read is not forgotten"),
        (Fault::OneBigBatch, "batches keep to batch_rows"),
        (Fault::OneBigBatch, "batches keep to batch_bytes"),
        (Fault::PushesEmptyBatches, "an empty table gives no batch"),
        (Fault::HasNoKeys, "describe gives the primary key"),
        (Fault::ForgetsNullability, "describe gives names, kinds, types and nullability"),
        (Fault::UnknownTableIsABug, "an unknown table is a usage error that names it"),
        (Fault::NarrowBounds, "ranges over the extremes of an integer type are the whole, once"),
        (Fault::GivesNoSnapshot, "sessions that joined a snapshot do not see later rows"),
        (Fault::LosesItsHold, "sessions that joined a snapshot do not see later rows"),
        (Fault::CannotRejoin, "sessions that joined a snapshot do not see later rows"),
        (Fault::AlwaysShares, "without consistency there is no snapshot"),
        (Fault::HasNoRecipe, "a recipe says how and changes nothing"),
    ] {
        let broken = Broken { memory: memory(), fault, released: Arc::default() };
        let report = report(&broken, &target(), &FIXTURE);
        let failed: Vec<&str> = report.failed.iter().map(|(name, _)| *name).collect();
        assert!(failed.contains(&check), "{fault:?}: {check:?} is not among {failed:?}");
    }
}

/// What a wrong connector does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    LosesTheLastRow,
    UpperIsInclusive,
    ForgetsNullKeys,
    SwallowsSinkErrors,
    RewordsSinkErrors,
    CannotBeStopped,
    OneBigBatch,
    PushesEmptyBatches,
    HasNoKeys,
    ForgetsNullability,
    UnknownTableIsABug,
    NarrowBounds,
    GivesNoSnapshot,
    LosesItsHold,
    CannotRejoin,
    AlwaysShares,
    HasNoRecipe,
    ComparesOneColumn,
    KeyInColumnOrder,
    InventsAStorageKey,
    PointsRepeat,
    NoExtent,
}

struct Broken {
    memory: Memory,
    fault: Fault,
    released: Arc<AtomicBool>,
}

impl Connector for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn schemes(&self) -> &'static [&'static str] {
        self.memory.schemes()
    }

    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }

    fn check(&self, target: &ConnectTarget) -> Result<Vec<String>> {
        self.memory.check(target)
    }

    fn connect(&self, target: &ConnectTarget) -> Result<Box<dyn Session>> {
        Ok(Box::new(BrokenSession {
            inner: self.memory.connect(target)?,
            fault: self.fault,
            released: self.released.clone(),
        }))
    }
}

struct BrokenSession {
    inner: Box<dyn Session>,
    fault: Fault,
    released: Arc<AtomicBool>,
}

struct Deaf;

impl Interrupt for Deaf {
    fn interrupt(&self) {}
}

impl Session for BrokenSession {
    fn dialect(&self) -> &'static dyn Dialect {
        self.inner.dialect()
    }

    fn server(&mut self) -> Result<ServerInfo> {
        self.inner.server()
    }

    fn databases(&mut self) -> Result<Vec<String>> {
        self.inner.databases()
    }

    fn tables(&mut self, schema: Option<&str>) -> Result<Vec<String>> {
        self.inner.tables(schema)
    }

    fn describe(&mut self, what: &Relation) -> Result<TableInfo> {
        let mut info = match self.inner.describe(what) {
            Err(error) if self.fault == Fault::UnknownTableIsABug => {
                return Err(Error::new(ErrorKind::Bug, error.message()));
            }
            other => other?,
        };
        if self.fault == Fault::HasNoKeys {
            info.primary_key.clear();
        }
        if self.fault == Fault::ForgetsNullability {
            info.columns.iter_mut().for_each(|c| c.nullable = true);
        }
        if self.fault == Fault::KeyInColumnOrder {
            info.primary_key.sort();
        }
        if self.fault == Fault::InventsAStorageKey {
            info.storage_key = Some(StorageKey { expr: "place".to_string(), preferred: None });
        }
        Ok(info)
    }

    fn bounds(&mut self, request: &BoundsRequest) -> Result<Bounds> {
        let mut bounds = self.inner.bounds(request)?;
        match (self.fault, &mut bounds) {
            (Fault::NarrowBounds, Bounds::Range { min, max }) => *min = max.clone(),
            (Fault::PointsRepeat, Bounds::Range { max, .. }) => {
                bounds = Bounds::Points(vec![max.clone(), max.clone()]);
            }
            (Fault::NoExtent, Bounds::Range { max, .. }) => {
                bounds = Bounds::Points(vec![max.clone()]);
            }
            _ => {}
        }
        Ok(bounds)
    }

    fn snapshot_recipe(&mut self, request: &SnapshotRequest) -> Result<String> {
        let recipe = self.inner.snapshot_recipe(request)?;
        Ok(if self.fault == Fault::HasNoRecipe { String::new() } else { recipe })
    }

    fn snapshot(&mut self, op: &SnapshotOp) -> Result<Option<SharedSnapshot>> {
        let lost = || Err(Error::new(ErrorKind::Source, "the state is gone"));
        match (self.fault, op) {
            (Fault::GivesNoSnapshot, _) => return Ok(None),
            (Fault::LosesItsHold, SnapshotOp::Check) => return lost(),
            (Fault::CannotRejoin, SnapshotOp::Release) => {
                self.released.store(true, Ordering::Relaxed);
            }
            (Fault::CannotRejoin, SnapshotOp::Join(_)) if self.released.load(Ordering::Relaxed) => {
                return lost();
            }
            (Fault::AlwaysShares, SnapshotOp::Share(request)) => {
                let mut request = request.clone();
                request.consistency = Consistency::Snapshot;
                return self.inner.snapshot(&SnapshotOp::Share(request));
            }
            _ => {}
        }
        self.inner.snapshot(op)
    }

    fn execute(&mut self, sql: &str) -> Result<u64> {
        self.inner.execute(sql)
    }

    fn evaluate(&mut self, sql: &str, out: &mut dyn TextSink) -> Result<()> {
        self.inner.evaluate(sql, out)
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        match self.fault {
            Fault::CannotBeStopped => Arc::new(Deaf),
            _ => self.inner.interrupter(),
        }
    }

    fn read(&mut self, query: &ReadQuery, out: &mut dyn BatchSink) -> Result<()> {
        let mut query = query.clone();
        match (self.fault, &mut query.range) {
            (Fault::UpperIsInclusive, KeyRange::Between { upper_inclusive, .. }) => {
                *upper_inclusive = true;
            }
            // Where the lower end is concerned.
            (
                Fault::ComparesOneColumn,
                KeyRange::Between { lower: Some(KeyValue::Row(parts)), .. },
            ) => parts[1] = KeyValue::Text(String::new()),
            (Fault::ForgetsNullKeys, KeyRange::Null(_)) => return Ok(()),
            (Fault::OneBigBatch, _) => {
                query.batch_rows = usize::MAX;
                query.batch_bytes = usize::MAX;
            }
            _ => {}
        }
        let mut sink = BrokenSink { out, fault: self.fault, held: None };
        self.inner.read(&query, &mut sink)?;
        let last = sink.held.take();
        if self.fault == Fault::PushesEmptyBatches {
            out.push(RecordBatch::new_empty(query.schema.clone()))?;
        }
        match last.filter(|b| self.fault != Fault::LosesTheLastRow || b.num_rows() > 1) {
            Some(batch) if self.fault == Fault::LosesTheLastRow => {
                out.push(batch.slice(0, batch.num_rows() - 1))
            }
            _ => Ok(()),
        }
    }
}

struct BrokenSink<'a> {
    out: &'a mut dyn BatchSink,
    fault: Fault,
    held: Option<RecordBatch>,
}

impl BatchSink for BrokenSink<'_> {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        match self.fault {
            Fault::LosesTheLastRow => match self.held.replace(batch) {
                Some(before) => self.out.push(before),
                None => Ok(()),
            },
            // The error is dropped and the rest is pushed all the same.
            Fault::SwallowsSinkErrors => {
                let _ = self.out.push(batch);
                Ok(())
            }
            Fault::RewordsSinkErrors => self
                .out
                .push(batch)
                .map_err(|e| Error::new(e.kind(), format!("the sink failed: {e}"))),
            _ => self.out.push(batch),
        }
    }
}
