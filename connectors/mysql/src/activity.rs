//! What another session is doing, by the server's process list, which shows a user's own sessions
//! without any privilege.

use rsqoop_connector::{Activity, Result};

use crate::error::{self, Phase};
use crate::wire::Conn;

/// States in which the server waits for the client.
const WAITS_FOR_US: &[&str] =
    &["Sending to client", "Writing to net", "Reading from net", "Receiving from client"];

/// Asks about the connection with this number.
pub(crate) fn activity(conn: &mut Conn, backend: &str) -> Result<Option<Activity>> {
    let Ok(id) = backend.parse::<u64>() else { return Ok(None) };
    let sql = format!("SELECT command, state FROM information_schema.processlist WHERE id = {id}");
    let rows = conn.rows(&sql).map_err(|fault| error::statement(fault, Phase::Run))?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut row = row.into_iter();
    let command = row.next().flatten().unwrap_or_default();
    let state = row.next().flatten().unwrap_or_default();
    Ok(Some(judge(&command, &state)))
}

fn judge(command: &str, state: &str) -> Activity {
    let runs = matches!(command, "Query" | "Execute" | "Prepare");
    let working = runs && !WAITS_FOR_US.iter().any(|s| s.eq_ignore_ascii_case(state));
    let waits = working
        && (state.starts_with("Waiting for")
            || state.starts_with("Waiting on")
            || state.eq_ignore_ascii_case("System lock")
            || state.eq_ignore_ascii_case("User lock")
            || state.eq_ignore_ascii_case("Locked"));
    Activity { working, waits_for: waits.then(|| state.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_both_servers() {
        assert!(judge("Execute", "executing").working);
        assert!(judge("Query", "Sending data").working);
        assert!(!judge("Execute", "Sending to client").working);
        assert!(!judge("Execute", "Writing to net").working);
        assert!(!judge("Sleep", "").working);
        let waits = judge("Query", "Waiting for table metadata lock");
        assert_eq!(waits.waits_for.as_deref(), Some("Waiting for table metadata lock"));
    }
}
