//! What another session of this run is doing, as the server tells.

use rsqoop_connector::{Activity, Error, ErrorKind, Result};
use sqlx::Row;

use crate::error;
use crate::link::Link;

const ACTIVITY: &str = "SELECT a.state = 'active' \
    AND a.wait_event_type IS DISTINCT FROM 'Client', a.wait_event_type, a.wait_event, \
    CASE WHEN a.wait_event_type = 'Lock' THEN pg_catalog.array_to_string(\
    pg_catalog.pg_blocking_pids(a.pid), ', ') END \
    FROM pg_catalog.pg_stat_activity a WHERE a.pid = $1";

/// Asks what the process `backend` does; nothing when it is gone.
pub(crate) fn activity(link: &mut Link, backend: &str) -> Result<Option<Activity>> {
    let process: i32 = backend.parse().map_err(|_| {
        Error::new(ErrorKind::Bug, format!("{backend:?} is no process of PostgreSQL"))
    })?;
    // Inside a transaction the view shows what it showed the first time, until this is called.
    link.simple("SELECT pg_catalog.pg_stat_clear_snapshot()")?;
    let row = link.run(async |c| {
        sqlx::query(ACTIVITY).persistent(false).bind(process).fetch_optional(c).await
    })?;
    let Some(row) = row else { return Ok(None) };
    let text = |index: usize| row.try_get::<Option<String>, _>(index).map_err(error::statement);
    // Another role's session shows no state to a login without the right to see it.
    let Some(working) = row.try_get::<Option<bool>, _>(0).map_err(error::statement)? else {
        return Ok(None);
    };
    let waits_for = match (text(1)?, text(2)?) {
        (Some(kind), Some(event)) => Some(match text(3)?.as_deref() {
            None | Some("") => format!("{kind}: {event}"),
            Some(one) if !one.contains(',') => format!("{kind}: {event} (held by process {one})"),
            Some(many) => format!("{kind}: {event} (held by processes {many})"),
        }),
        _ => None,
    };
    Ok(Some(Activity { working, waits_for }))
}
