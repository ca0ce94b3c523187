//! One state of the database for all readers: locks first, then an exported snapshot.
//!
//! A table that is truncated or rewritten after a snapshot was taken looks empty in it, without any
//! error. So every table that is going to be read is locked before: by LOCK TABLE, or where that
//! cannot be (views, queries, rights to some columns only) by having the server plan the reading.
//! Planning takes ACCESS SHARE locks on tables, partitions and all that views and inlined functions
//! read, needs no more rights than the reading itself, and keeps the locks until the transaction
//! ends. The keeper's transaction is READ COMMITTED, because in the stricter levels the planning
//! would fix the snapshot before the lock is there; the exported snapshot is that of the statement
//! that exports it, and readers take it into transactions of REPEATABLE READ.
//!
//! Tables that only the body of a function in another language reads are not seen here.

use std::collections::BTreeSet;

use rsqoop_connector::{
    Consistency, Error, ErrorKind, Relation, Result, SharedSnapshot, SnapshotId, SnapshotRequest,
    fill_conditions,
};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::dialect::quote_text;
use crate::link::{Link, Switch};
use crate::{catalog, error};

/// How long writers may have to queue up behind a request for a SHARE lock.
const SHARE_LOCK_WAIT: &str = "SET LOCAL lock_timeout = '10s'";

/// Most tables that a joining session locks beforehand.
const JOINED_LOCKS_MAX: usize = 100;

/// What the keeper holds, to be compared at the end.
#[derive(Debug)]
pub(crate) struct Held {
    tables: Vec<Locked>,
    children: BTreeSet<u32>,
    /// The 32-bit number of the first transaction that the snapshot cannot see.
    horizon: u32,
}

/// A relation that the keeper's transaction has locked.
#[derive(Debug)]
struct Locked {
    oid: u32,
    /// Schema and name, quoted where they need it.
    name: String,
    relkind: String,
    /// The file its rows are in; 0 for a partitioned table, none once it is dropped.
    file: Option<u32>,
}

/// Makes this session the keeper of a state and names it.
pub(crate) fn share(
    link: &mut Link,
    request: &SnapshotRequest,
) -> Result<Option<(SharedSnapshot, Held)>> {
    if request.consistency == Consistency::None {
        return Ok(None);
    }
    refuse_second(link)?;
    // Found before the transaction: an unknown name is the user's mistake, not the snapshot's.
    let statements = statements(link, &request.relations)?;
    link.simple("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY")?;
    // From here on everything runs in this transaction, whatever becomes of it.
    link.set_in_snapshot();
    lock_for_reading(link, &statements)?;
    if request.consistency == Consistency::Lock {
        lock_against_writers(link)?;
    }
    let tables = locked(link)?;
    refuse_foreign(&tables)?;
    let children = children(link, &tables)?.into_iter().map(|(oid, ..)| oid).collect();
    let (id, horizon) = export(link)?;
    let shared = SharedSnapshot {
        id,
        recipe: recipe(&tables, request.consistency),
        position: position(link)?,
        data_version: None,
    };
    Ok(Some((shared, Held { tables, children, horizon })))
}

/// What `share` would do, without the export.
pub(crate) fn plan(link: &mut Link, request: &SnapshotRequest) -> Result<String> {
    if request.consistency == Consistency::None {
        return Ok("none: every statement may see another state".to_string());
    }
    let statements = statements(link, &request.relations)?;
    let work = |link: &mut Link| {
        lock_for_reading(link, &statements)?;
        let tables = locked(link)?;
        refuse_foreign(&tables)?;
        Ok(recipe(&tables, request.consistency))
    };
    if link.in_snapshot() { work(link) } else { link.read_only(work) }
}

/// Makes this session see a state that another one keeps.
pub(crate) fn join(link: &mut Link, id: &SnapshotId) -> Result<()> {
    refuse_second(link)?;
    link.simple("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    link.set_in_snapshot();
    link.simple(format!("SET TRANSACTION SNAPSHOT {}", quote_text(&id.0))).map_err(|e| {
        if e.is_transient() {
            return e;
        }
        let error = Error::new(ErrorKind::Source, format!("the snapshot {id} cannot be joined"))
            .context("server", e.message())
            .hint("it ends with the session that keeps it");
        error.source(e)
    })?;
    same_process(link)?;
    lock_as_keeper(link, id)
}

/// Locks what the keeper has locked: whoever queues up for a table behind the keeper would otherwise
/// keep the reader from its first row of it, until the run gives up. Best effort, for the keeper's
/// locks are the ones that count.
fn lock_as_keeper(link: &mut Link, id: &SnapshotId) -> Result<()> {
    let Some(transaction) = transaction_of(id) else { return Ok(()) };
    let condition = format!("l.virtualtransaction = {}", quote_text(&transaction));
    let Some(tables) = link.optional(|link| tables_locked(link, &condition))? else {
        return Ok(());
    };
    let names: Vec<String> = tables
        .into_iter()
        .filter(|table| matches!(table.relkind.as_str(), "r" | "p"))
        .map(|table| format!("ONLY {}", table.name))
        .collect();
    // The server's room for locks is limited.
    if names.is_empty() || names.len() > JOINED_LOCKS_MAX {
        return Ok(());
    }
    let lock = |link: &mut Link, names: &str| {
        link.optional(|link| link.simple(format!("LOCK TABLE {names} IN ACCESS SHARE MODE NOWAIT")))
    };
    if lock(link, &names.join(", "))?.is_none() {
        for name in &names {
            lock(link, name)?;
        }
    }
    Ok(())
}

/// The transaction that exported a snapshot, as `pg_locks` spells it: the id is made of it
/// (`snapmgr.c`, `ExportSnapshot`).
fn transaction_of(id: &SnapshotId) -> Option<String> {
    let mut parts = id.0.split('-');
    let mut number = || u32::from_str_radix(parts.next()?, 16).ok();
    let (process, transaction) = (number()?, number()?);
    parts.next()?;
    Some(format!("{process}/{transaction}"))
}

/// Fails if the state did not hold until now.
pub(crate) fn check(link: &mut Link, held: &Held) -> Result<()> {
    let files = files(link, held).map_err(|e| {
        if e.kind() == ErrorKind::Cancelled {
            return e;
        }
        Error::new(
            ErrorKind::Source,
            format!("the session that kept the snapshot was lost before its end: {}", e.message()),
        )
        .hint("tables may have been truncated or rewritten unseen: run the import again")
        .source(e)
    })?;
    for (table, file) in held.tables.iter().zip(files) {
        if file != table.file {
            return Err(changed(&table.name, "was truncated or rewritten while it was read"));
        }
    }
    for (oid, name, created) in children(link, &held.tables)? {
        // A table made after the snapshot has no row that the snapshot can see.
        let older = (created.wrapping_sub(held.horizon)).cast_signed() < 0;
        if older && !held.children.contains(&oid) {
            return Err(changed(&name, "became a partition of a table while that was read"));
        }
    }
    Ok(())
}

fn changed(table: &str, what: &str) -> Error {
    Error::new(ErrorKind::Source, format!("table {table} {what}")).hint("run the import again")
}

fn refuse_second(link: &Link) -> Result<()> {
    if link.in_snapshot() {
        return Err(Error::new(ErrorKind::Bug, "this session already has a snapshot"));
    }
    Ok(())
}

/// How a relation is locked: by the first of these that the login's rights allow.
type Statements = Vec<String>;

fn statements(link: &mut Link, relations: &[Relation]) -> Result<Vec<Statements>> {
    relations
        .iter()
        .map(|relation| match relation {
            Relation::Table(table) => {
                let found = catalog::find(link, table)?;
                let name = found.qualified();
                let mut all = Vec::with_capacity(3);
                if found.is_lockable() {
                    // Takes the partitions along, and leaves their indexes alone.
                    all.push(format!("LOCK TABLE {name} IN ACCESS SHARE MODE"));
                } else {
                    all.push(format!("EXPLAIN SELECT * FROM {name}"));
                }
                // The right to some columns is enough to plan a read of none.
                all.push(format!("EXPLAIN SELECT 1 FROM {name}"));
                Ok(all)
            }
            Relation::Query(text) => {
                Ok(vec![format!("EXPLAIN {}", fill_conditions(text, "(1 = 1)"))])
            }
        })
        .collect()
}

fn lock_for_reading(link: &mut Link, relations: &[Statements]) -> Result<()> {
    link.without(Switch::Jit, |link| {
        for statements in relations {
            let mut outcome = Ok(());
            for sql in statements {
                // By the extended protocol, which takes one statement and no more.
                outcome = link.attempt(|link| link.rows(sql.as_str()).map(|_| ()))?;
                match &outcome {
                    Err(error) if error.kind() == ErrorKind::Auth => {}
                    _ => break,
                }
            }
            outcome?;
        }
        Ok(())
    })
}

/// SHARE locks on all that was locked for reading: no row changes until the run is over.
fn lock_against_writers(link: &mut Link) -> Result<()> {
    let names: Vec<String> = locked(link)?
        .into_iter()
        .filter(|table| matches!(table.relkind.as_str(), "r" | "p"))
        .map(|table| table.name)
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    link.simple(SHARE_LOCK_WAIT)?;
    // All have a lock of their own already, so partitions need not be found again.
    let names: Vec<String> = names.into_iter().map(|name| format!("ONLY {name}")).collect();
    let sql = format!("LOCK TABLE {} IN SHARE MODE", names.join(", "));
    link.simple(sql).map(|_| ()).map_err(|e| {
        if e.is_transient() || !matches!(e.kind(), ErrorKind::Auth | ErrorKind::Source) {
            return e;
        }
        Error::new(
            ErrorKind::Unsupported,
            format!("the tables cannot be locked against writers: {}", e.message()),
        )
        .hint("this needs the right to UPDATE, DELETE or TRUNCATE them, and no standby server")
        .source(e)
    })
}

const LOCKED: &str = "SELECT DISTINCT c.oid, \
    pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), \
    c.relkind::pg_catalog.text, c.relfilenode \
    FROM pg_catalog.pg_locks l \
    JOIN pg_catalog.pg_class c ON c.oid = l.relation \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE l.locktype = 'relation' AND l.granted \
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d \
    WHERE d.datname = pg_catalog.current_database()) \
    AND c.relkind IN ('r', 'p', 'm', 'f') \
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')";

/// The tables this transaction holds locks on.
fn locked(link: &mut Link) -> Result<Vec<Locked>> {
    tables_locked(link, "l.pid = pg_catalog.pg_backend_pid()")
}

fn tables_locked(link: &mut Link, condition: &str) -> Result<Vec<Locked>> {
    link.rows(format!("{LOCKED} AND {condition} ORDER BY 2"))?
        .iter()
        .map(|row| {
            Ok(Locked {
                oid: oid(row, 0)?,
                name: row.try_get(1)?,
                relkind: row.try_get(2)?,
                file: row.try_get::<Option<sqlx::postgres::types::Oid>, _>(3)?.map(|oid| oid.0),
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(error::statement)
}

fn oid(row: &PgRow, index: usize) -> Result<u32, sqlx::Error> {
    Ok(row.try_get::<sqlx::postgres::types::Oid, _>(index)?.0)
}

// Not by pg_relation_filenode(), which may answer from this session's cache.
const FILES: &str = "SELECT c.relfilenode \
    FROM pg_catalog.unnest($1::pg_catalog.oid[]) WITH ORDINALITY AS k (o, n) \
    LEFT JOIN pg_catalog.pg_class c ON c.oid = k.o ORDER BY k.n";

/// The tables' files as they are now, for every statement here has a snapshot of its own.
fn files(link: &mut Link, held: &Held) -> Result<Vec<Option<u32>>> {
    let oids = oids(&held.tables);
    let rows =
        link.run(async |c| sqlx::query(FILES).persistent(false).bind(oids).fetch_all(c).await)?;
    rows.iter()
        .map(|row| Ok(row.try_get::<Option<sqlx::postgres::types::Oid>, _>(0)?.map(|oid| oid.0)))
        .collect::<Result<_, sqlx::Error>>()
        .map_err(error::statement)
}

fn oids(tables: &[Locked]) -> Vec<sqlx::postgres::types::Oid> {
    tables.iter().map(|table| sqlx::postgres::types::Oid(table.oid)).collect()
}

// The row of a system column is written once, when the table is made.
const CHILDREN: &str = "WITH RECURSIVE t (oid) AS (\
    SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = ANY ($1) UNION \
    SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN t ON i.inhparent = t.oid) \
    SELECT t.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), \
    (SELECT a.xmin::pg_catalog.text FROM pg_catalog.pg_attribute a \
    WHERE a.attrelid = t.oid AND a.attnum = -1) \
    FROM t JOIN pg_catalog.pg_class c ON c.oid = t.oid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'f')";

/// Partitions and child tables: oid, name, and the transaction that made them.
fn children(link: &mut Link, tables: &[Locked]) -> Result<Vec<(u32, String, u32)>> {
    let oids = oids(tables);
    let rows =
        link.run(async |c| sqlx::query(CHILDREN).persistent(false).bind(oids).fetch_all(c).await)?;
    rows.iter()
        .map(|row| {
            let created: Option<String> = row.try_get(2)?;
            let created = created.and_then(|text| text.parse().ok()).unwrap_or(0);
            Ok((oid(row, 0)?, row.try_get(1)?, created))
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(error::statement)
}

fn refuse_foreign(tables: &[Locked]) -> Result<()> {
    match tables.iter().find(|table| table.relkind == "f") {
        None => Ok(()),
        Some(table) => Err(Error::new(
            ErrorKind::Unsupported,
            format!("{} is a foreign table, whose server takes no part in a snapshot", table.name),
        )),
    }
}

fn export(link: &mut Link) -> Result<(SnapshotId, u32)> {
    let rows = link.rows(
        "SELECT pg_catalog.pg_export_snapshot(), \
         (pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot()) \
         % 4294967296)::pg_catalog.text",
    );
    let rows = rows.map_err(|e| {
        if e.is_transient() || e.kind() == ErrorKind::Cancelled {
            return e;
        }
        Error::new(
            ErrorKind::Unsupported,
            format!("the server exports no snapshot: {}", e.message()),
        )
        .source(e)
    })?;
    same_process(link)?;
    let found = rows.first().map(|row| -> Result<(String, String), sqlx::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?))
    });
    match found.transpose().map_err(error::statement)? {
        Some((id, horizon)) => Ok((SnapshotId(id), horizon.parse().unwrap_or(0))),
        None => Err(Error::new(ErrorKind::Unsupported, "the server exported no snapshot")),
    }
}

/// A pooler that gives every transaction another server session would also take away what this
/// session was set to.
fn same_process(link: &mut Link) -> Result<()> {
    let rows = link.rows("SELECT pg_catalog.pg_backend_pid()")?;
    let now: Option<i32> = rows.first().and_then(|row| row.try_get(0).ok());
    if now == Some(link.backend()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "a pooler between rsqoop and the server changes the server session with every transaction",
    )
    .hint("connect to the server itself, or let the pooler work in session mode"))
}

/// Where the write-ahead log stands, if this login may know.
fn position(link: &mut Link) -> Result<Option<String>> {
    let rows = link.optional(|link| {
        link.rows(
            "SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() \
             THEN pg_catalog.pg_last_wal_replay_lsn() \
             ELSE pg_catalog.pg_current_wal_insert_lsn() END)::pg_catalog.text",
        )
    })?;
    let text = rows.and_then(|rows| rows.first()?.try_get::<Option<String>, _>(0).ok().flatten());
    Ok(text.map(|lsn| format!("wal {lsn}")))
}

/// One line for people.
fn recipe(tables: &[Locked], consistency: Consistency) -> String {
    let mode = if consistency == Consistency::Lock { "SHARE" } else { "ACCESS SHARE" };
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let locks = match names.as_slice() {
        [] => return "one exported snapshot for all sessions".to_string(),
        [one] => format!("{mode} lock on {one}"),
        [names @ .., last] if names.len() < 3 => {
            format!("{mode} locks on {} and {last}", names.join(", "))
        }
        [first, rest @ ..] => format!("{mode} locks on {first} and {} more tables", rest.len()),
    };
    match consistency {
        Consistency::Lock => {
            format!("{locks} for as long as it is read, and one exported snapshot for all sessions")
        }
        _ => format!("{locks}, then one exported snapshot for all sessions"),
    }
}
