//! A connector outside the tree: it registers itself with the engine and runs.
//!
//! The "database" counts: `counter://N` has one table `numbers` with the columns `n` and `square`,
//! split by `n` like any other table.
//!
//! `cargo run --release --example own_connector -- DIRECTORY`

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::DataType;
use rsqoop::connector::{
    BatchSink, Bounds, BoundsRequest, Capabilities, ColumnInfo, ColumnKind, ConnectTarget,
    Connector, Consistency, Dialect, Error, ErrorKind, Interrupt, KeyRange, KeyValue, Location,
    ReadQuery, Relation, RelationKind, Result, ServerInfo, Session, SharedSnapshot, SnapshotId,
    SnapshotOp, SnapshotRequest, TableInfo, TextSink,
};
use rsqoop::{Engine, Format, JobSpec, ParquetCodec, TableName};

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let target = std::env::args().nth(1).ok_or("name a directory that does not exist yet")?;
    let mut job =
        JobSpec::import("counter://100000", Relation::Table(TableName::new("numbers")), target)?;
    job.format = Format::Parquet(ParquetCodec::Zstd);
    let report = Engine::new().with_connector(Arc::new(Counter)).run(&job)?;
    println!("{} rows in {} files at {}", report.rows, report.files.len(), report.target);
    Ok(())
}

/// The kind of database: says what it is called and opens sessions.
struct Counter;

impl Connector for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["counter"]
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { shared_snapshot: true, rejoin: true, sql: false, parallel: true }
    }

    fn check(&self, target: &ConnectTarget) -> Result<Vec<String>> {
        last_number(target)?;
        Ok(target.unknown_params(&[]))
    }

    fn connect(&self, target: &ConnectTarget) -> Result<Box<dyn Session>> {
        Ok(Box::new(Counting { last: last_number(target)?, stop: Arc::default() }))
    }
}

fn last_number(target: &ConnectTarget) -> Result<i64> {
    match &target.location {
        Location::Server { host, .. } => host.parse().ok(),
        Location::File(_) => None,
    }
    .filter(|n| *n >= 0)
    .ok_or_else(|| Error::new(ErrorKind::Usage, "write the URL like counter://1000"))
}

/// One session: knows the one table and reads ranges of it.
struct Counting {
    last: i64,
    stop: Arc<Stop>,
}

#[derive(Default)]
struct Stop(AtomicBool);

impl Interrupt for Stop {
    fn interrupt(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn no_sql<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "the counter has no SQL"))
}

impl Session for Counting {
    fn dialect(&self) -> &'static dyn Dialect {
        &Names
    }

    fn server(&mut self) -> Result<ServerInfo> {
        Ok(ServerInfo { product: "Counter".to_string(), version: "1".to_string() })
    }

    fn databases(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn tables(&mut self, _schema: Option<&str>) -> Result<Vec<String>> {
        Ok(vec!["numbers".to_string()])
    }

    fn describe(&mut self, what: &Relation) -> Result<TableInfo> {
        match what {
            Relation::Table(table) if table.name == "numbers" => {}
            Relation::Table(table) => {
                let message = format!("there is no table {:?}", table.name);
                return Err(Error::new(ErrorKind::Usage, message));
            }
            Relation::Query(_) => return no_sql(),
        }
        let column = |name: &str| ColumnInfo {
            name: name.to_string(),
            native_type: "number".to_string(),
            native_code: 0,
            kind: ColumnKind::Integer,
            data_type: DataType::Int64,
            extension: None,
            nullable: false,
        };
        Ok(TableInfo {
            kind: RelationKind::Table,
            columns: vec![column("n"), column("square")],
            primary_key: vec!["n".to_string()],
            estimated_rows: u64::try_from(self.last).ok(),
            estimated_bytes: None,
            storage_key: None,
        })
    }

    fn bounds(&mut self, _request: &BoundsRequest) -> Result<Bounds> {
        if self.last == 0 {
            return Ok(Bounds::Empty);
        }
        Ok(Bounds::Range {
            min: KeyValue::Integer(1),
            max: KeyValue::Integer(i128::from(self.last)),
        })
    }

    fn snapshot_recipe(&mut self, _request: &SnapshotRequest) -> Result<String> {
        Ok("numbers never change".to_string())
    }

    /// Every session sees the same numbers without doing anything; only the keeper names them.
    fn snapshot(&mut self, op: &SnapshotOp) -> Result<Option<SharedSnapshot>> {
        let SnapshotOp::Share(request) = op else { return Ok(None) };
        Ok((request.consistency != Consistency::None).then(|| SharedSnapshot {
            id: SnapshotId("numbers".to_string()),
            recipe: "numbers never change".to_string(),
            position: None,
            data_version: None,
        }))
    }

    fn execute(&mut self, _sql: &str) -> Result<u64> {
        no_sql()
    }

    fn evaluate(&mut self, _sql: &str, _out: &mut dyn TextSink) -> Result<()> {
        no_sql()
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.stop.clone()
    }

    fn read(&mut self, query: &ReadQuery, out: &mut dyn BatchSink) -> Result<()> {
        if query.filter.is_some() {
            return no_sql();
        }
        let Some((mut next, end)) = range(&query.range, self.last)? else { return Ok(()) };
        while next < end {
            if self.stop.0.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::Cancelled, "the read was interrupted"));
            }
            let rows = i64::try_from(query.batch_rows).unwrap_or(i64::MAX);
            let until = end.min(next.saturating_add(rows));
            let arrays = query
                .columns
                .iter()
                .map(|column| match column.info.name.as_str() {
                    "n" => Arc::new(Int64Array::from_iter_values(next..until)) as _,
                    _ => Arc::new(Int64Array::from_iter_values((next..until).map(|n| n * n))) as _,
                })
                .collect();
            out.push(RecordBatch::try_new(query.schema.clone(), arrays)?)?;
            next = until;
        }
        Ok(())
    }
}

/// A range as numbers from the first to before the last; `None` when it is empty.
fn range(range: &KeyRange, last: i64) -> Result<Option<(i64, i64)>> {
    let number = |value: &KeyValue| match value {
        KeyValue::Integer(n) => Ok(i64::try_from(*n).unwrap_or(i64::MAX)),
        _ => Err(Error::new(ErrorKind::Bug, "numbers are split by numbers")),
    };
    let (low, high) = match range {
        KeyRange::All => (1, last + 1),
        KeyRange::Null(_) => return Ok(None),
        KeyRange::Between { lower, upper, upper_inclusive, .. } => (
            lower.as_ref().map_or(Ok(1), number)?,
            match upper {
                Some(upper) => number(upper)? + i64::from(*upper_inclusive),
                None => last + 1,
            },
        ),
    };
    Ok((low < high).then_some((low, high)))
}

/// Only shown in plans: the counter itself reads the structured query.
struct Names;

impl Dialect for Names {
    fn quote_ident(&self, name: &str) -> String {
        name.to_string()
    }

    fn literal(&self, value: &KeyValue) -> String {
        format!("{value:?}")
    }

    fn read_expr(&self, _column: &ColumnInfo, expr: &str) -> String {
        expr.to_string()
    }

    fn text_expr(&self, _column: &ColumnInfo, expr: &str) -> String {
        expr.to_string()
    }
}
