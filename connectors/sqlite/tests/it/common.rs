//! A throw-away database file and the shortest way to read from it.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use rsqoop_connector::{
    ConnectTarget, Connector, KeyRange, Location, ReadColumn, ReadQuery, Relation, Result, Session,
    TableInfo, TableName,
};
use rsqoop_sqlite::Sqlite;

pub(crate) struct Db {
    folder: tempfile::TempDir,
    pub(crate) conn: rusqlite::Connection,
}

impl Db {
    pub(crate) fn new(sql: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let conn = rusqlite::Connection::open(folder.path().join("test.db")).unwrap();
        conn.execute_batch(sql).unwrap();
        Db { folder, conn }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("test.db")
    }

    pub(crate) fn target(&self) -> ConnectTarget {
        target(self.path())
    }

    pub(crate) fn session(&self) -> Box<dyn Session> {
        Sqlite.connect(&self.target()).unwrap()
    }

    pub(crate) fn describe(&self, table: &str) -> TableInfo {
        self.session().describe(&table_relation(table)).unwrap()
    }

    /// Reads a table; the first column names rows.
    pub(crate) fn read(&self, table: &str) -> Result<RecordBatch> {
        let relation = table_relation(table);
        let mut session = self.session();
        let query = query(&relation, &session.describe(&relation)?, false);
        read(&mut *session, &query)
    }
}

pub(crate) fn target(path: PathBuf) -> ConnectTarget {
    let mut target = ConnectTarget::parse("sqlite:test.db?busy_timeout=100").unwrap();
    target.location = Location::File(path);
    target
}

pub(crate) fn table_relation(name: &str) -> Relation {
    Relation::Table(TableName::new(name))
}

pub(crate) fn query(relation: &Relation, info: &TableInfo, as_text: bool) -> ReadQuery {
    let fields: Vec<_> = info.columns.iter().map(|c| c.field(as_text)).collect();
    ReadQuery {
        relation: relation.clone(),
        columns: info
            .columns
            .iter()
            .map(|info| ReadColumn { info: info.clone(), as_text })
            .collect(),
        whole: true,
        filter: None,
        range: KeyRange::All,
        schema: Arc::new(Schema::new(fields)),
        batch_rows: 100_000,
        batch_bytes: 1 << 30,
        fetch_size: None,
        key: Some(0),
    }
}

/// Reads into one batch.
pub(crate) fn read(session: &mut dyn Session, query: &ReadQuery) -> Result<RecordBatch> {
    let mut batches: Vec<RecordBatch> = Vec::new();
    session.read(query, &mut batches)?;
    assert!(batches.len() <= 1, "the test data fits one batch");
    Ok(batches.pop().unwrap_or_else(|| RecordBatch::new_empty(query.schema.clone())))
}
