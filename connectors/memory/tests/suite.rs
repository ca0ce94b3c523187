//! The behaviour suite against tables in memory; and against connectors that are wrong in one way
//! each, to prove that the suite notices.

use std::sync::Arc;

use arrow_array::RecordBatch;
use rsqoop_connector::testkit::{Fixture, report, run_all, tables};
use rsqoop_connector::{
    BatchSink, Bounds, BoundsRequest, Capabilities, ConnectTarget, Connector, Dialect, Error,
    ErrorKind, Interrupt, KeyRange, ReadQuery, Relation, Result, ServerInfo, Session,
    SharedSnapshot, SnapshotOp, SnapshotRequest, TableInfo, TextSink,
};
use rsqoop_memory::Memory;

const FIXTURE: Fixture = Fixture { sql: None, unreachable: None };

fn memory() -> Memory {
    tables().into_iter().fold(Memory::new(), |memory, table| {
        memory
            .table(table.name, table.schema, table.batches, &[table.primary_key])
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
    ] {
        let report = report(&Broken { memory: memory(), fault }, &target(), &FIXTURE);
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
}

struct Broken {
    memory: Memory,
    fault: Fault,
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
        Ok(Box::new(BrokenSession { inner: self.memory.connect(target)?, fault: self.fault }))
    }
}

struct BrokenSession {
    inner: Box<dyn Session>,
    fault: Fault,
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
        Ok(info)
    }

    fn bounds(&mut self, request: &BoundsRequest) -> Result<Bounds> {
        let mut bounds = self.inner.bounds(request)?;
        if let (Fault::NarrowBounds, Bounds::Range { min, max }) = (self.fault, &mut bounds) {
            *min = max.clone();
        }
        Ok(bounds)
    }

    fn snapshot_recipe(&mut self, request: &SnapshotRequest) -> Result<String> {
        self.inner.snapshot_recipe(request)
    }
    fn snapshot(&mut self, op: &SnapshotOp) -> Result<Option<SharedSnapshot>> {
        if self.fault == Fault::GivesNoSnapshot { Ok(None) } else { self.inner.snapshot(op) }
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
