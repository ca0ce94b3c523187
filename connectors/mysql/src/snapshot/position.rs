//! Where the server's binary log stands.
//!
//! MariaDB tells every session the very position of its own consistent snapshot; MySQL only tells
//! the set of all transactions that are done.

use rsqoop_connector::Result;

use super::sources::first;
use crate::wire::Conn;

/// Where the log stands, if this login may know.
pub(super) fn log_position(conn: &mut Conn) -> Option<String> {
    if conn.mariadb
        && let Ok(rows) = conn.rows("SELECT @@gtid_binlog_pos")
        && let Some(Some(position)) = rows.first().and_then(|r| r.first())
        && !position.is_empty()
    {
        return Some(format!("gtid {position}"));
    }
    let binlog = ["SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"].iter().find_map(|sql| {
        let rows = conn.rows(sql).ok()?;
        let mut row = rows.into_iter().next()?.into_iter();
        Some(format!("binlog {}:{}", row.next()??, row.next()??))
    });
    if binlog.is_some() || conn.mariadb {
        return binlog;
    }
    // Without the privilege REPLICATION CLIENT.
    let set = executed(conn).ok()?;
    (!set.is_empty()).then(|| format!("gtid {set}"))
}

/// Why the log cannot tell whether something was written; `None` when it can.
pub(super) fn log_is_blind(conn: &mut Conn) -> Result<Option<&'static str>> {
    if first(conn, "SELECT @@GLOBAL.log_bin")?.as_deref() != Some("1") {
        return Ok(Some("the server writes no binary log (log_bin)"));
    }
    if conn.mariadb {
        let copies = first(conn, "SELECT @@GLOBAL.log_slave_updates")?.as_deref() == Some("1");
        let rows = conn
            .rows("SHOW GLOBAL STATUS LIKE 'Slaves_running'")
            .map_err(|f| crate::error::statement(f, crate::error::Phase::Run))?;
        let replica = rows.iter().any(|row| !matches!(row.get(1), Some(Some(n)) if n == "0"));
        if replica && !copies {
            return Ok(Some("the replica does not log what it copies (log_slave_updates)"));
        }
        return Ok(None);
    }
    let mode = first(conn, "SELECT @@GLOBAL.gtid_mode")?.unwrap_or_default();
    Ok((mode != "ON").then_some("the server does not number its transactions (gtid_mode)"))
}

/// The position of this session's own consistent snapshot (MariaDB with a binary log).
pub(super) fn own_snapshot(conn: &mut Conn) -> Result<Option<String>> {
    let rows = conn
        .rows("SHOW SESSION STATUS LIKE 'binlog_snapshot_%'")
        .map_err(|f| crate::error::statement(f, crate::error::Phase::Run))?;
    let value = |name: &str| {
        rows.iter()
            .find(|row| {
                row.first()
                    .is_some_and(|n| n.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name)))
            })
            .and_then(|row| row.get(1).cloned().flatten())
            .filter(|text| !text.is_empty())
    };
    Ok(match (value("binlog_snapshot_file"), value("binlog_snapshot_position")) {
        (Some(file), Some(position)) => Some(format!("binlog {file}:{position}")),
        _ => None,
    })
}

/// All transactions that MySQL has done.
pub(super) fn executed(conn: &mut Conn) -> Result<String> {
    Ok(first(conn, "SELECT @@GLOBAL.gtid_executed")?.unwrap_or_default())
}
