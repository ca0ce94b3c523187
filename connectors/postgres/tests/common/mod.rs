//! What the tests share: the server they need, and short ways to read from it.
//!
//! They want a throw-away PostgreSQL: `RSQOOP_TEST_PG` is the URL of a superuser on it, and
//! `RSQOOP_TEST_CERTS` a folder with `ca.crt`, `other-ca.crt`, `client.crt` and `client.key`. Over
//! TCP on 127.0.0.1, at the same port, it must know `app` and `tls` (password `pw`; `tls` only with
//! TLS) and `cert` (client certificate). `RSQOOP_TEST_WRONG_HOST` is another address of it, which its
//! certificate does not name. Without them the tests fail: a skipped test proves nothing.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::Schema;
use rsqoop_connector::{
    BatchSink, Bounds, BoundsRequest, ConnectTarget, Connector, Consistency, KeyRange, KeyValue,
    Location, ReadColumn, ReadQuery, Relation, Result, Session, SharedSnapshot, SnapshotOp,
    SnapshotRequest, SplitKey, TableInfo, TableName, TextColumn, TextSink,
};
use rsqoop_postgres::Postgres;

/// The URL of the superuser.
pub(crate) fn superuser_url() -> String {
    std::env::var("RSQOOP_TEST_PG")
        .expect("RSQOOP_TEST_PG must be the URL of a throw-away PostgreSQL; tests/run sets it")
}

/// A file of the certificate folder.
pub(crate) fn cert(name: &str) -> PathBuf {
    let folder = std::env::var_os("RSQOOP_TEST_CERTS")
        .expect("RSQOOP_TEST_CERTS must be a folder of certificates; tests/run sets it");
    PathBuf::from(folder).join(name)
}

pub(crate) fn target(url: &str) -> ConnectTarget {
    ConnectTarget::parse(url).expect("a URL that can be parsed")
}

/// A session of the superuser.
pub(crate) fn session() -> Box<dyn Session> {
    Postgres.connect(&target(&superuser_url())).expect("the server of the tests answers")
}

/// The port of the server and the database of the superuser's URL.
pub(crate) fn port() -> u16 {
    match target(&superuser_url()).location {
        Location::Server { port, .. } => port.unwrap_or(5432),
        Location::File(_) => unreachable!("a PostgreSQL URL names a server"),
    }
}

pub(crate) fn database() -> String {
    match target(&superuser_url()).location {
        Location::Server { database, .. } => database.expect("the URL must name a database"),
        Location::File(_) => unreachable!("a PostgreSQL URL names a server"),
    }
}

/// A URL over TCP.
pub(crate) fn tcp_url(user: &str, params: &str) -> String {
    format!("postgresql://{user}@127.0.0.1:{}/{}?{params}", port(), database())
}

/// A session with a fresh schema of its own as default.
pub(crate) fn in_schema(name: &str) -> Box<dyn Session> {
    let mut session = session();
    run(
        &mut *session,
        &[
            &format!("DROP SCHEMA IF EXISTS {name} CASCADE"),
            &format!("CREATE SCHEMA {name}"),
            &format!("SET search_path = {name}"),
        ],
    );
    session
}

pub(crate) fn run(session: &mut dyn Session, statements: &[&str]) {
    for sql in statements {
        session.execute(sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }
}

pub(crate) fn table(name: &str) -> Relation {
    Relation::Table(TableName::new(name))
}

/// A read of all columns.
pub(crate) fn query(relation: &Relation, info: &TableInfo, as_text: bool) -> ReadQuery {
    let columns: Vec<ReadColumn> =
        info.columns.iter().map(|c| ReadColumn { info: c.clone(), as_text }).collect();
    let fields: Vec<_> = columns.iter().map(|c| c.info.field(as_text)).collect();
    ReadQuery {
        relation: relation.clone(),
        columns,
        whole: true,
        filter: None,
        range: KeyRange::All,
        schema: Arc::new(Schema::new(fields)),
        batch_rows: 65_536,
        batch_bytes: 16 << 20,
        fetch_size: None,
        key: None,
    }
}

pub(crate) fn read_all(session: &mut dyn Session, query: &ReadQuery) -> Vec<RecordBatch> {
    let mut out: Vec<RecordBatch> = Vec::new();
    session.read(query, &mut out).unwrap_or_else(|e| panic!("{e:?}"));
    out
}

/// All rows of a relation as one batch.
pub(crate) fn read_one(
    session: &mut dyn Session,
    relation: &Relation,
    as_text: bool,
) -> RecordBatch {
    let info = session.describe(relation).unwrap_or_else(|e| panic!("{e:?}"));
    let mut batches = read_all(session, &query(relation, &info, as_text));
    assert_eq!(batches.len(), 1, "one batch expected");
    batches.remove(0)
}

pub(crate) fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// The second line of a statement's text result: its first row.
pub(crate) fn ask(session: &mut dyn Session, sql: &str) -> String {
    let mut lines = Lines::default();
    session.evaluate(sql, &mut lines).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    lines.0[1].strip_prefix("row ").unwrap_or_else(|| panic!("{sql}: no row")).to_string()
}

/// All rows of a statement's text result.
pub(crate) fn ask_all(session: &mut dyn Session, sql: &str) -> Vec<String> {
    let mut lines = Lines::default();
    session.evaluate(sql, &mut lines).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    lines.0.iter().filter_map(|l| l.strip_prefix("row ")).map(str::to_string).collect()
}

/// Makes a session the keeper of a snapshot of what is named.
pub(crate) fn share(
    keeper: &mut dyn Session,
    relations: &[Relation],
    consistency: Consistency,
) -> Result<Option<SharedSnapshot>> {
    let request = SnapshotRequest { relations: relations.to_vec(), consistency };
    keeper.snapshot(&SnapshotOp::Share(request))
}

/// A session of the superuser that has joined a snapshot, with a schema as default.
pub(crate) fn joined(schema: &str, shared: &SharedSnapshot) -> Box<dyn Session> {
    let mut reader = session();
    run(&mut *reader, &[&format!("SET search_path = {schema}")]);
    reader.snapshot(&SnapshotOp::Join(shared.id.clone())).unwrap_or_else(|e| panic!("{e:?}"));
    reader
}

/// A question about a key without filter.
pub(crate) fn bounds_request(relation: &Relation, key: SplitKey, pieces: usize) -> BoundsRequest {
    BoundsRequest {
        relation: relation.clone(),
        filter: None,
        key,
        pieces,
        boundary_query: None,
        estimated_rows: None,
        extent: false,
    }
}

/// The points of a key; panics for any other answer.
pub(crate) fn points(session: &mut dyn Session, request: &BoundsRequest) -> Vec<KeyValue> {
    match session.bounds(request).unwrap_or_else(|e| panic!("{e:?}")) {
        Bounds::Points(points) => points,
        other => panic!("{}: no points but {other:?}", request.key.expr),
    }
}

/// The ranges between points, the first and the last one open.
pub(crate) fn ranges(key: &SplitKey, points: &[KeyValue]) -> Vec<KeyRange> {
    (0..=points.len())
        .map(|n| KeyRange::Between {
            key: key.clone(),
            lower: n.checked_sub(1).map(|n| points[n].clone()),
            upper: points.get(n).cloned(),
            upper_inclusive: false,
        })
        .collect()
}

/// The values of the first column, a bigint, in a range.
pub(crate) fn ids(
    session: &mut dyn Session,
    relation: &Relation,
    filter: Option<&str>,
    range: KeyRange,
) -> Vec<i64> {
    let mut info = session.describe(relation).unwrap_or_else(|e| panic!("{e:?}"));
    info.columns.truncate(1);
    let mut read = query(relation, &info, false);
    read.range = range;
    read.whole = false;
    read.filter = filter.map(str::to_string);
    read_all(session, &read)
        .iter()
        .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect()
}

/// Reads every range; the rows must be the whole, once. Answers how many each holds.
pub(crate) fn whole_once(
    session: &mut dyn Session,
    relation: &Relation,
    filter: Option<&str>,
    key: &SplitKey,
    points: &[KeyValue],
) -> Vec<usize> {
    let mut whole = ids(session, relation, filter, KeyRange::All);
    let mut sizes = Vec::new();
    let mut seen = Vec::new();
    for range in ranges(key, points) {
        let part = ids(session, relation, filter, range);
        sizes.push(part.len());
        seen.extend(part);
    }
    whole.sort_unstable();
    seen.sort_unstable();
    assert!(whole == seen, "{}: {} rows of {}", key.expr, seen.len(), whole.len());
    sizes
}

/// Collects text results as lines.
#[derive(Debug, Default)]
pub(crate) struct Lines(pub(crate) Vec<String>);

impl TextSink for Lines {
    fn columns(&mut self, columns: &[TextColumn]) -> Result<()> {
        let names: Vec<_> =
            columns.iter().map(|c| format!("{}/{}", c.name, c.display_size)).collect();
        self.0.push(format!("columns {}", names.join(" ")));
        Ok(())
    }

    fn row(&mut self, values: &[Option<String>]) -> Result<()> {
        let values: Vec<_> = values.iter().map(|v| v.as_deref().unwrap_or("∅")).collect();
        self.0.push(format!("row {}", values.join(" ")));
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.0.push("end".to_string());
        Ok(())
    }

    fn updated(&mut self, rows: u64) -> Result<()> {
        self.0.push(format!("updated {rows}"));
        Ok(())
    }
}

/// A sink that fails at the n-th batch.
#[derive(Debug)]
pub(crate) struct Failing(pub(crate) usize);

impl BatchSink for Failing {
    fn push(&mut self, _: RecordBatch) -> Result<()> {
        if self.0 == 0 {
            return Err(rsqoop_connector::Error::new(
                rsqoop_connector::ErrorKind::Storage,
                "the disk is full",
            ));
        }
        self.0 -= 1;
        Ok(())
    }
}
