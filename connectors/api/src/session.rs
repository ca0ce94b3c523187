//! The traits a connector implements.

use std::sync::Arc;

use crate::{
    BatchSink, Bounds, BoundsRequest, Checksums, ColumnInfo, ConnectTarget, KeyValue, ReadQuery,
    Relation, Result, SharedSnapshot, SnapshotOp, SnapshotRequest, SplitKey, TableInfo, TableName,
};

/// One kind of database: a static value, shared by all threads.
pub trait Connector: Send + Sync {
    /// Short lower-case name: `postgres`.
    fn name(&self) -> &'static str;

    /// The URL schemes it answers to, without `jdbc:`: `["postgresql", "postgres"]`.
    fn schemes(&self) -> &'static [&'static str];

    /// What it can do, as plain data.
    fn capabilities(&self) -> Capabilities;

    /// Checks a target without contacting anything and returns the names of its URL parameters that
    /// this connector does not know, to be warned about.
    ///
    /// # Errors
    /// A part is missing or a known parameter has a value that cannot be used.
    fn check(&self, target: &ConnectTarget) -> Result<Vec<String>>;

    /// Opens a session: one login attempt, within [`ConnectTarget::connect_timeout`].
    ///
    /// # Errors
    /// `Connect` when the server cannot be reached in time, `Auth` when it refuses the login,
    /// `Config` for an unusable certificate or similar.
    fn connect(&self, target: &ConnectTarget) -> Result<Box<dyn Session>>;
}

/// What a connector can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Several sessions can see one snapshot.
    pub shared_snapshot: bool,
    /// A session opened later can still join a snapshot whose sharing session lives, so that a
    /// reader whose connection broke can be replaced.
    pub rejoin: bool,
    /// The database speaks SQL, so that `--where`, `--query` and `eval` have a meaning.
    pub sql: bool,
    /// Several sessions at once make sense.
    pub parallel: bool,
}

/// One connection, used by one thread at a time, for many statements one after the other.
///
/// After an error of kind `Source`, `Connect` or `Cancelled` from [`read`](Self::read) the session
/// must not be used again. After a refused statement or a failed sink it must either work or
/// report a clear error; it must never deliver rows of an earlier statement.
pub trait Session: Send {
    /// How this database spells names and values.
    fn dialect(&self) -> &'static dyn Dialect;

    /// Product and version of the server that answers.
    fn server(&mut self) -> Result<ServerInfo>;

    /// Names of all databases this login can see, in the server's order.
    fn databases(&mut self) -> Result<Vec<String>>;

    /// Names of the tables of a schema (`None`: the session's default), in catalogue order. Views
    /// are included where Sqoop's `list-tables` includes them (MySQL yes, PostgreSQL no).
    fn tables(&mut self, schema: Option<&str>) -> Result<Vec<String>>;

    /// Columns, primary key and estimates of a relation. A query is described without running it;
    /// its `$CONDITIONS` becomes `(1 = 0)`.
    ///
    /// # Errors
    /// `Usage` when there is no such table (the engine adds near names), or the server's message
    /// for a query that does not compile; `Auth` without the right to read it.
    fn describe(&mut self, what: &Relation) -> Result<TableInfo>;

    /// The extent of a split key, or points between its values, in the server's own order.
    fn bounds(&mut self, request: &BoundsRequest) -> Result<Bounds>;

    /// Says in one line how [`SnapshotOp::Share`] would bring all readers to one state, without
    /// locking or changing anything: what a plan prints.
    ///
    /// # Errors
    /// As `Share` where it is known beforehand that it would refuse.
    fn snapshot_recipe(&mut self, request: &SnapshotRequest) -> Result<String>;

    /// Shares, joins, releases or checks a snapshot. Answers what is shared for `Share`, and nothing
    /// for the other steps; for [`Consistency::None`](crate::Consistency::None) nothing at all.
    ///
    /// The order of calls is: `Share` on one session, `Join` on every reading session (each a
    /// different one), `Release` on the first, before any row is read by the joined sessions; `Check`
    /// on the first after the last row. The sharing session stays open until the run is over and
    /// reads nothing itself. A transient error means that the database changed in between: the
    /// engine begins again with new sessions, a few times.
    ///
    /// # Errors
    /// `Unsupported`, saying why, where no state of the wanted strength can be had; the engine adds
    /// which flag accepts less.
    fn snapshot(&mut self, op: &SnapshotOp) -> Result<Option<SharedSnapshot>>;

    /// Counts the rows of `query` without reading them, on a session that sees the snapshot; its
    /// columns do not matter. `Ok(None)` where this database cannot count.
    fn count(&mut self, query: &ReadQuery) -> Result<Option<u64>> {
        let _ = query;
        Ok(None)
    }

    /// Computes in the database, for every column of `query` that has a canonical text, a checksum of
    /// its values in the rows of `query` (see [`Checksums`]); on a session that sees the snapshot. `Ok(None)` where this database cannot.
    fn checksum(&mut self, query: &ReadQuery) -> Result<Option<Checksums>> {
        let _ = query;
        Ok(None)
    }

    /// How the server calls this session: what [`activity`](Self::activity) of another session
    /// understands.
    fn backend(&self) -> Option<String> {
        None
    }

    /// Asks the server what another session of this run is doing. `Ok(None)` where it does not say.
    /// Answers at once; never waits for what that session waits for.
    fn activity(&mut self, backend: &str) -> Result<Option<Activity>> {
        let _ = backend;
        Ok(None)
    }

    /// Runs a statement without result rows; returns the number of rows it changed.
    fn execute(&mut self, sql: &str) -> Result<u64>;

    /// Runs any statements and delivers their results as the database's own text.
    fn evaluate(&mut self, sql: &str, out: &mut dyn TextSink) -> Result<()>;

    /// A handle by which another thread stops a running statement.
    fn interrupter(&self) -> Arc<dyn Interrupt>;

    /// Reads all rows of `query` and pushes them as batches of `query.schema`. Streams: holds about
    /// one batch. Returns only when the server said that the result is complete.
    ///
    /// # Errors
    /// `Data` for a value that cannot be carried identically (column and row named), `Source` when
    /// the server failed or the connection ended early, `Cancelled` after an interrupt, or the
    /// sink's own error unchanged.
    fn read(&mut self, query: &ReadQuery, out: &mut dyn BatchSink) -> Result<()>;
}

/// Stops what a session is doing, from another thread.
pub trait Interrupt: Send + Sync {
    /// Makes a running or future [`Session::read`] of that session end soon with `Cancelled`, also
    /// on the server where it can be told. Never blocks for more than a few seconds; may be called
    /// more than once.
    fn interrupt(&self);

    /// The server says that it is busy with the session's statement and not waiting for us: the
    /// limit on its silence begins anew.
    fn still_working(&self) {}
}

/// What a session is doing, as the server tells another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The server works on a statement and waits neither for us to read nor to send.
    pub working: bool,
    /// What it waits for, in its own words: `Lock: relation`, `Waiting for table metadata lock`.
    pub waits_for: Option<String>,
}

/// How a database spells names and values; pure.
pub trait Dialect: Send + Sync {
    /// A name, quoted whatever it holds: the quote character inside is doubled.
    fn quote_ident(&self, name: &str) -> String;

    /// A key value as a literal that compares with the key column in the column's own type, order
    /// and collation, and is exact.
    fn literal(&self, value: &KeyValue) -> String;

    /// A comparison of a key with a value: `"id" >= 5`, or row by row for a key of several columns.
    fn compare(&self, key: &SplitKey, op: &str, value: &KeyValue) -> String {
        format!("{} {op} {}", key.expr, self.literal(value))
    }

    /// The expression that delivers the column's default Arrow type; usually `expr` itself.
    fn read_expr(&self, column: &ColumnInfo, expr: &str) -> String;

    /// The expression that delivers the column as the database's own text, for a read with
    /// `as_text`.
    fn text_expr(&self, column: &ColumnInfo, expr: &str) -> String;

    /// A table name, each part quoted.
    fn quote_table(&self, table: &TableName) -> String {
        match &table.schema {
            Some(schema) => {
                format!("{}.{}", self.quote_ident(schema), self.quote_ident(&table.name))
            }
            None => self.quote_ident(&table.name),
        }
    }
}

/// What answers at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// `PostgreSQL`, `MariaDB`, `MySQL`, `SQLite`.
    pub product: String,
    /// Its own version text.
    pub version: String,
}

/// A column of a text result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextColumn {
    /// Its label.
    pub name: String,
    /// Characters the database's JDBC driver says a value needs at most (`getColumnDisplaySize`);
    /// decides the column widths of `eval`.
    pub display_size: usize,
}

/// Takes results as text.
pub trait TextSink {
    /// A result set begins.
    fn columns(&mut self, columns: &[TextColumn]) -> Result<()>;
    /// One row of it; `None` is NULL.
    fn row(&mut self, values: &[Option<String>]) -> Result<()>;
    /// The result set is complete.
    fn end(&mut self) -> Result<()>;
    /// A statement without rows changed this many.
    fn updated(&mut self, rows: u64) -> Result<()>;
}
