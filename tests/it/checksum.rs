//! `--verify checksum`: the content of the files is what the server says it is, or the run fails and
//! names the row; and what could not be compared is said.

use std::fs;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use rsqoop::connector::{
    BatchSink, Bounds, BoundsRequest, Capabilities, Checksums, ConnectTarget, Connector, Dialect,
    Interrupt, ReadQuery, ServerInfo, Session, SharedSnapshot, SnapshotOp, SnapshotRequest,
    TableInfo, TextSink,
};
use rsqoop::{
    Engine, ErrorKind, Existing, Format, JobSpec, ParquetCodec, Relation, Result, TableName, Verify,
};
use serde_json::Value;

use crate::support::{Dir, Run, json};

const CHECKSUM: [&str; 2] = ["--verify", "checksum"];

fn import(dir: &Dir, more: &[&str]) -> (Run, Value) {
    let base = ["import", "--connect", "sqlite:t.db", "--report", "r.json"];
    let run = dir.run(&[&base[..], &CHECKSUM, more].concat());
    let report = fs::read_to_string(dir.path("r.json")).expect("every run writes its report");
    (run, json(&report))
}

fn texts(report: &Value, key: &str) -> Vec<String> {
    let list = report[key].as_array().unwrap_or_else(|| panic!("no {key} in the report"));
    list.iter().map(|v| v.as_str().expect("a text").to_string()).collect()
}

const TABLE: &str = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n BIGINT, s TEXT, d DOUBLE, x BLOB, day DATE);
    WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 5000)
    INSERT INTO t SELECT i, CASE WHEN i % 9 THEN i * i END, 'row ' || i, i / 7.0, randomblob(i % 5), date('2000-01-01', i || ' days') FROM r;";

#[test]
fn what_was_imported_is_compared_column_by_column_and_split_by_split() {
    let formats: [(&str, &[&str]); 4] = [
        ("parquet", &["--as-parquetfile"]),
        ("plain", &[]),
        ("escaped", &["--escaped-by", "\\\\", "--null-string", "\\N", "-z"]),
        ("mapped", &["--as-parquetfile", "--map-column", "n=string,id=long,d=string"]),
    ];
    for (name, flags) in formats {
        for workers in ["1", "4"] {
            let dir = Dir::with_db(TABLE);
            let more = ["--table", "t", "--target-dir", "out", "-m", workers, "--require-verified"];
            let (run, report) = import(&dir, &[&more[..], flags].concat());
            assert_eq!(run.status, 0, "{name} -m {workers}: {}", run.stderr);
            let verified = texts(&report, "verified");
            assert!(
                verified.iter().any(|v| v.contains("in all 6 columns")),
                "{name}: {verified:?}"
            );
            assert!(texts(&report, "not_verified").is_empty(), "{name}");
            let sums = report["checksums"].as_array().expect("checksums");
            let splits = report["splits"].as_array().expect("splits").len();
            assert_eq!(sums.len(), 6 * splits, "{name}");
            let nulls: u64 = sums
                .iter()
                .filter(|sum| sum["column"] == "n")
                .map(|sum| sum["nulls"].as_u64().expect("a number"))
                .sum();
            assert_eq!(nulls, 5000 / 9, "{name}");
        }
    }
}

#[test]
fn what_could_not_be_verified_is_said_and_fails_only_if_that_is_wanted() {
    let sql = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, s TEXT, n INT);
        INSERT INTO t VALUES (1, 'a,b', 1), (2, 'c', 2);";
    let null = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, s TEXT, n INT);
        INSERT INTO t VALUES (1, 'null', 1), (2, NULL, 2);";
    let map: &[&str] = &["--as-parquetfile", "--map-column", "n=double"];
    for (sql, flags, reason) in [
        (sql, &[][..], "may hold a delimiter"),
        (null, &[][..], "also stands for NULL"),
        (sql, &["--escaped-by", "\\\\", "--hive-drop-import-delims"][..], "--hive-drop"),
        (sql, map, "--map-column"),
    ] {
        let dir = Dir::with_db(sql);
        let base = ["--table", "t", "--target-dir", "out", "-m", "1"];
        let (run, report) = import(&dir, &[&base[..], flags].concat());
        assert_eq!(run.status, 0, "{reason}: {}", run.stderr);
        let not = texts(&report, "not_verified").join("\n");
        assert!(not.contains(reason), "{reason}: {not}");
        let dir = Dir::with_db(sql);
        let (run, report) = import(&dir, &[&base[..], flags, &["--require-verified"]].concat());
        assert_eq!(run.status, 1, "{reason}: {}", run.stderr);
        assert!(run.stderr.contains(reason), "{}", run.stderr);
        assert_eq!(report["status"], "failed");
        assert!(!dir.path("out").exists(), "{reason}");
    }
}

#[test]
fn a_query_and_a_view_are_compared_too() {
    let view = "CREATE VIEW v AS SELECT id, s || '!' AS s, n FROM t WHERE id % 2;";
    let dir = Dir::with_db(&format!("{TABLE}{view}"));
    let query = "SELECT id, n * 2 AS n, s FROM t WHERE $CONDITIONS";
    let more = ["--query", query, "--split-by", "id", "--target-dir", "a", "--as-parquetfile"];
    let (run, report) = import(&dir, &more);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(texts(&report, "verified").iter().any(|v| v.contains("in all 3 columns")));
    let more = ["--table", "v", "--split-by", "id", "--target-dir", "b", "--as-parquetfile"];
    let (run, report) = import(&dir, &more);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(texts(&report, "verified").iter().any(|v| v.contains("in all 3 columns")));
}

/// SQLite, but for one value that its reader gets wrong.
struct Lying;

impl Connector for Lying {
    fn name(&self) -> &'static str {
        "lying"
    }
    fn schemes(&self) -> &'static [&'static str] {
        &["sqlite"]
    }
    fn capabilities(&self) -> Capabilities {
        rsqoop_sqlite::Sqlite.capabilities()
    }
    fn check(&self, target: &ConnectTarget) -> Result<Vec<String>> {
        rsqoop_sqlite::Sqlite.check(target)
    }
    fn connect(&self, target: &ConnectTarget) -> Result<Box<dyn Session>> {
        Ok(Box::new(LyingSession(rsqoop_sqlite::Sqlite.connect(target)?)))
    }
}

struct LyingSession(Box<dyn Session>);

/// Makes -1 of the value in row 4321.
struct Changing<'a> {
    out: &'a mut dyn BatchSink,
    key: Option<usize>,
    column: Option<usize>,
}

impl BatchSink for Changing<'_> {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let (Some(key), Some(column)) = (self.key, self.column) else {
            return self.out.push(batch);
        };
        let ids = batch.column(key).as_primitive::<Int64Type>().clone();
        let values = batch.column(column).as_primitive::<Int64Type>();
        let changed: Int64Array = ids
            .iter()
            .zip(values.iter())
            .map(|(id, value)| if id == Some(4321) { Some(-1) } else { value })
            .collect();
        let mut columns = batch.columns().to_vec();
        columns[column] = Arc::new(changed);
        self.out.push(RecordBatch::try_new(batch.schema(), columns)?)
    }
}

impl Session for LyingSession {
    fn dialect(&self) -> &'static dyn Dialect {
        self.0.dialect()
    }
    fn server(&mut self) -> Result<ServerInfo> {
        self.0.server()
    }
    fn databases(&mut self) -> Result<Vec<String>> {
        self.0.databases()
    }
    fn tables(&mut self, schema: Option<&str>) -> Result<Vec<String>> {
        self.0.tables(schema)
    }
    fn describe(&mut self, what: &Relation) -> Result<TableInfo> {
        self.0.describe(what)
    }
    fn bounds(&mut self, request: &BoundsRequest) -> Result<Bounds> {
        self.0.bounds(request)
    }
    fn snapshot_recipe(&mut self, request: &SnapshotRequest) -> Result<String> {
        self.0.snapshot_recipe(request)
    }
    fn snapshot(&mut self, op: &SnapshotOp) -> Result<Option<SharedSnapshot>> {
        self.0.snapshot(op)
    }
    fn count(&mut self, query: &ReadQuery) -> Result<Option<u64>> {
        self.0.count(query)
    }
    fn checksum(&mut self, query: &ReadQuery) -> Result<Option<Checksums>> {
        self.0.checksum(query)
    }
    fn execute(&mut self, sql: &str) -> Result<u64> {
        self.0.execute(sql)
    }
    fn evaluate(&mut self, sql: &str, out: &mut dyn TextSink) -> Result<()> {
        self.0.evaluate(sql, out)
    }
    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.0.interrupter()
    }
    fn read(&mut self, query: &ReadQuery, out: &mut dyn BatchSink) -> Result<()> {
        let at = |name: &str| query.columns.iter().position(|c| c.info.name == name);
        self.0.read(query, &mut Changing { out, key: at("id"), column: at("n") })
    }
}

#[test]
fn a_reader_that_gets_one_value_wrong_is_found_out_and_the_row_named() {
    for format in [Format::Parquet(ParquetCodec::Zstd), Format::Text(rsqoop::TextFormat::default())]
    {
        let dir = Dir::with_db(TABLE);
        let table = Relation::Table(TableName::new("t"));
        let url = format!("sqlite:{}", dir.path("t.db").display());
        let mut job = JobSpec::import(&url, table, dir.path("out")).unwrap();
        job.format = format;
        job.existing = Existing::Refuse;
        let engine = || Engine::new().with_connector(Arc::new(Lying));
        job.verify = Verify::Checksum;
        let error = engine().run(&job).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Verify, "{error}");
        assert!(error.message().contains("column n of a file"), "{error}");
        assert!(error.message().contains("id = 4321"), "{error}");
        assert!(!dir.path("out").exists());
        // The count alone does not see it.
        job.verify = Verify::Count;
        engine().run(&job).unwrap();
    }
}
