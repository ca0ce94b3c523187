//! What the tests share: the servers, and a plain way to read.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, types};
use arrow_schema::{DataType, Schema};
use rsqoop_connector::{
    ConnectTarget, Connector, Error, KeyRange, Location, ReadColumn, ReadQuery, Relation, Result,
    Secret, Session, TableInfo, TableName,
};
use rsqoop_mysql::MySql;

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) mariadb: bool,
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("set {name} to the URL of a throw-away server, like mysql://root@127.0.0.1:3306/")
    })
}

/// Tests that lock a whole server run while no other test does.
static TURN: RwLock<()> = RwLock::new(());

pub(crate) fn shared() -> RwLockReadGuard<'static, ()> {
    TURN.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    TURN.write().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn mariadb() -> Server {
    Server { url: env("RSQOOP_TEST_MARIADB"), mariadb: true }
}

pub(crate) fn mysql() -> Server {
    Server { url: env("RSQOOP_TEST_MYSQL"), mariadb: false }
}

pub(crate) fn both() -> [Server; 2] {
    [mariadb(), mysql()]
}

impl Server {
    pub(crate) fn target(&self, database: &str, params: &[(&str, &str)]) -> ConnectTarget {
        let mut target = ConnectTarget::parse(&self.url).expect("a valid URL");
        if let Location::Server { database: d, .. } = &mut target.location {
            *d = Some(database.to_string()).filter(|d| !d.is_empty());
        }
        for (k, v) in params {
            target.params.push((k.to_string(), v.to_string()));
        }
        target
    }

    pub(crate) fn user(
        &self,
        name: &str,
        password: &str,
        params: &[(&str, &str)],
    ) -> ConnectTarget {
        let mut target = self.target("", params);
        target.user = Some(name.to_string());
        target.password = Some(Secret::new(password));
        target
    }

    pub(crate) fn session(&self, database: &str, params: &[(&str, &str)]) -> Box<dyn Session> {
        MySql.connect(&self.target(database, params)).unwrap_or_else(|e| panic!("{e:?}"))
    }

    /// A session on a fresh database of this name.
    pub(crate) fn fresh(&self, database: &str) -> Box<dyn Session> {
        let mut root = self.session("", &[]);
        run(&mut root, &format!("DROP DATABASE IF EXISTS {database}"));
        run(&mut root, &format!("CREATE DATABASE {database} CHARACTER SET utf8mb4"));
        self.session(database, &[])
    }
}

pub(crate) type Open = Box<dyn Session>;

pub(crate) fn run(session: &mut Open, sql: &str) -> u64 {
    session.execute(sql).unwrap_or_else(|e| panic!("{e:?}: {}", &sql[..sql.len().min(300)]))
}

pub(crate) fn table(name: &str) -> Relation {
    Relation::Table(TableName::new(name))
}

pub(crate) fn describe(session: &mut Open, what: &Relation) -> TableInfo {
    session.describe(what).unwrap_or_else(|e| panic!("{e:?}"))
}

/// A read of all columns.
pub(crate) fn query(info: &TableInfo, what: &Relation, as_text: bool) -> ReadQuery {
    let columns: Vec<ReadColumn> =
        info.columns.iter().map(|c| ReadColumn { info: c.clone(), as_text }).collect();
    let fields: Vec<_> = columns.iter().map(|c| c.info.field(c.as_text)).collect();
    ReadQuery {
        relation: what.clone(),
        columns,
        whole: true,
        filter: None,
        range: KeyRange::All,
        schema: Arc::new(Schema::new(fields)),
        batch_rows: 1_000_000,
        batch_bytes: 1 << 30,
        fetch_size: None,
        key: Some(0),
    }
}

pub(crate) fn try_read(session: &mut Open, query: &ReadQuery) -> Result<Vec<RecordBatch>, Error> {
    let mut out = Vec::new();
    session.read(query, &mut out)?;
    Ok(out)
}

pub(crate) fn read(session: &mut Open, query: &ReadQuery) -> Vec<RecordBatch> {
    try_read(session, query).unwrap_or_else(|e| panic!("{e:?}"))
}

/// One column of all batches as text.
pub(crate) fn column(batches: &[RecordBatch], index: usize) -> Vec<String> {
    batches
        .iter()
        .flat_map(|b| (0..b.num_rows()).map(|i| show(b.column(index), i)).collect::<Vec<_>>())
        .collect()
}

pub(crate) fn show(array: &dyn Array, i: usize) -> String {
    if array.is_null(i) {
        return "NULL".to_string();
    }
    macro_rules! number {
        ($t:ty) => {
            array.as_primitive::<$t>().value(i).to_string()
        };
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(i).to_string(),
        DataType::Int8 => number!(types::Int8Type),
        DataType::UInt8 => number!(types::UInt8Type),
        DataType::Int16 => number!(types::Int16Type),
        DataType::UInt16 => number!(types::UInt16Type),
        DataType::Int32 => number!(types::Int32Type),
        DataType::UInt32 => number!(types::UInt32Type),
        DataType::Int64 => number!(types::Int64Type),
        DataType::UInt64 => number!(types::UInt64Type),
        DataType::Float32 => {
            format!("{:08x}", array.as_primitive::<types::Float32Type>().value(i).to_bits())
        }
        DataType::Float64 => {
            format!("{:016x}", array.as_primitive::<types::Float64Type>().value(i).to_bits())
        }
        DataType::Decimal128(..) => {
            array.as_primitive::<types::Decimal128Type>().value_as_string(i)
        }
        DataType::Decimal256(..) => {
            array.as_primitive::<types::Decimal256Type>().value_as_string(i)
        }
        DataType::Date32 => number!(types::Date32Type),
        DataType::Timestamp(..) => number!(types::TimestampMicrosecondType),
        DataType::Time64(_) => number!(types::Time64MicrosecondType),
        DataType::Utf8 => array.as_string::<i32>().value(i).to_string(),
        DataType::Binary => hex(array.as_binary::<i32>().value(i)),
        DataType::FixedSizeBinary(_) => hex(array.as_fixed_size_binary().value(i)),
        other => panic!("{other}"),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
