//! What a `memory://host/database` URL may say. Contacts nothing.

use rsqoop_connector::{ConnectTarget, Error, ErrorKind, Location, Result};

/// URL parameters this connector knows: none, so every one is returned to be warned about.
const KNOWN: &[&str] = &[];

/// Checks a target and names the parameters that mean nothing here.
pub(crate) fn check(target: &ConnectTarget) -> Result<Vec<String>> {
    database(target)?;
    Ok(target.unknown_params(KNOWN))
}

/// The database's name, which only `databases` shows: a [`crate::Memory`] is one database.
pub(crate) fn database(target: &ConnectTarget) -> Result<String> {
    match &target.location {
        Location::Server { database, .. } => Ok(database.clone().unwrap_or("memory".to_string())),
        Location::File(_) => Err(Error::new(
            ErrorKind::Usage,
            "tables in memory are named by a URL like memory://local/database, not by a file",
        )),
    }
}
