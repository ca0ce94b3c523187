//! That verification finds what it promises to find: a connector that lies is caught, and nothing
//! is published.

use std::fs;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use rsqoop::connector::{
    BatchSink, Bounds, BoundsRequest, Capabilities, ConnectTarget, Connector, Dialect, Interrupt,
    ReadQuery, ServerInfo, Session, SharedSnapshot, SnapshotOp, SnapshotRequest, TableInfo,
    TextSink,
};
use rsqoop::{Engine, ErrorKind, JobSpec, Relation, Report, Result, TableName, Verify};
use rsqoop_memory::Memory;
use serde_json::Value;

use crate::support::Dir;

const ROWS: i64 = 10_000;

/// What a wrong connector does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    LosesARowOfEachBatch,
    ReadsARangeTwice,
    CannotCount,
}

struct Lying {
    memory: Memory,
    fault: Fault,
}

impl Lying {
    fn new(fault: Fault) -> Self {
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
        let ids = Int64Array::from_iter_values(0..ROWS);
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(ids)]).unwrap();
        let memory = Memory::new().table("t", schema, vec![batch], &["id"]).unwrap();
        Lying { memory, fault }
    }
}

impl Connector for Lying {
    fn name(&self) -> &'static str {
        "lying"
    }
    fn schemes(&self) -> &'static [&'static str] {
        &["lying"]
    }
    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }
    fn check(&self, target: &ConnectTarget) -> Result<Vec<String>> {
        self.memory.check(target)
    }
    fn connect(&self, target: &ConnectTarget) -> Result<Box<dyn Session>> {
        Ok(Box::new(LyingSession { inner: self.memory.connect(target)?, fault: self.fault }))
    }
}

struct LyingSession {
    inner: Box<dyn Session>,
    fault: Fault,
}

/// Drops the last row of every batch.
struct Losing<'a>(&'a mut dyn BatchSink);

impl BatchSink for Losing<'_> {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.0.push(batch.slice(0, batch.num_rows() - 1))
    }
}

impl Session for LyingSession {
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
        self.inner.describe(what)
    }
    fn bounds(&mut self, request: &BoundsRequest) -> Result<Bounds> {
        self.inner.bounds(request)
    }
    fn snapshot_recipe(&mut self, request: &SnapshotRequest) -> Result<String> {
        self.inner.snapshot_recipe(request)
    }
    fn snapshot(&mut self, op: &SnapshotOp) -> Result<Option<SharedSnapshot>> {
        self.inner.snapshot(op)
    }
    fn count(&mut self, query: &ReadQuery) -> Result<Option<u64>> {
        match self.fault {
            Fault::CannotCount => Ok(None),
            _ => self.inner.count(query),
        }
    }
    fn execute(&mut self, sql: &str) -> Result<u64> {
        self.inner.execute(sql)
    }
    fn evaluate(&mut self, sql: &str, out: &mut dyn TextSink) -> Result<()> {
        self.inner.evaluate(sql, out)
    }
    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.inner.interrupter()
    }
    fn read(&mut self, query: &ReadQuery, out: &mut dyn BatchSink) -> Result<()> {
        match self.fault {
            Fault::LosesARowOfEachBatch => self.inner.read(query, &mut Losing(out)),
            Fault::ReadsARangeTwice => {
                self.inner.read(query, out)?;
                self.inner.read(query, out)
            }
            _ => self.inner.read(query, out),
        }
    }
}

fn import(dir: &Dir, fault: Fault, verify: Verify) -> Result<Report> {
    let table = Relation::Table(TableName::new("t"));
    let mut job = JobSpec::import("lying://x/y", table, dir.path("out"))?;
    job.verify = verify;
    Engine::new().with_connector(Arc::new(Lying::new(fault))).run(&job)
}

#[test]
fn a_lost_or_doubled_row_is_found_by_the_count_and_nothing_is_published() {
    for fault in [Fault::LosesARowOfEachBatch, Fault::ReadsARangeTwice] {
        let dir = Dir::new();
        let error = import(&dir, fault, Verify::Count).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Verify, "{fault:?}");
        assert!(error.message().contains("but the server counts 10000"), "{error:?}");
        assert_eq!(fs::read_dir(dir.root()).unwrap().count(), 0, "{fault:?}");
        // What the count would have found goes unseen without it.
        assert!(import(&dir, fault, Verify::None).is_ok(), "{fault:?}");
    }
}

#[test]
fn what_could_not_be_counted_is_said_and_is_no_failure() {
    let dir = Dir::new();
    let report = import(&dir, Fault::CannotCount, Verify::Count).unwrap();
    assert_eq!(report.rows, ROWS.unsigned_abs());
    assert_eq!(report.not_verified, ["rows on the server: the connector cannot count"]);
    let dir = Dir::new();
    let report = import(&dir, Fault::None, Verify::Count).unwrap();
    assert!(report.verified.contains(&"rows read = rows the server counts (10000)".to_string()));
    assert!(report.not_verified.is_empty());
}

#[test]
fn the_report_says_what_was_counted() {
    let dir = Dir::with_shop();
    let import = ["import", "--connect", "sqlite:shop.db", "--report", "r.json"];
    let count = |more: &[&str]| -> (Vec<String>, Vec<String>, String) {
        let run = dir.run(&[&import[..], more].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
        let report: Value = serde_json::from_slice(&fs::read(dir.path("r.json")).unwrap()).unwrap();
        let list = |key: &str| {
            let items = report[key].as_array().unwrap().iter();
            items.map(|v| v.as_str().unwrap().to_string()).collect::<Vec<_>>()
        };
        (list("verified"), list("not_verified"), run.stderr)
    };
    let (verified, not, _) = count(&["--table", "orders", "--target-dir", "a"]);
    assert!(verified.contains(&"rows read = rows the server counts (1500)".to_string()));
    assert!(not.is_empty(), "{not:?}");
    let where_ = ["--table", "orders", "--where", "id % 2 = 0", "--target-dir", "b"];
    let (verified, _, _) = count(&where_);
    assert!(verified.iter().any(|v| v.starts_with("rows read = rows the server counts")));
    let bounded =
        ["--boundary-query", "SELECT 1001, 1500", "--table", "orders", "--target-dir", "c"];
    let (verified, _, _) = count(&bounded);
    assert!(verified.iter().any(|v| v.starts_with("rows read = rows the server counts")));
    let query =
        ["--query", "SELECT * FROM orders WHERE $CONDITIONS", "--target-dir", "d", "-m", "1"];
    let (_, not, stderr) = count(&query);
    assert_eq!(not, ["rows on the server: a query is not run twice"]);
    assert!(stderr.contains("note: the rows were not counted on the server"), "{stderr}");
    let (_, not, stderr) = count(&["--table", "orders", "--target-dir", "e", "--verify", "none"]);
    assert_eq!(not, ["rows on the server: --verify none"]);
    assert!(!stderr.contains("note:"), "{stderr}");
}
