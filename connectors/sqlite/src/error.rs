//! From SQLite's result codes to the contract's errors.

use std::path::Path;

use rsqoop_connector::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// SQLite's own words.
fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    match error {
        rusqlite::Error::SqlInputError { error, .. } => Some(error.code),
        other => other.sqlite_error_code(),
    }
}

/// Another thread asked to stop.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the statement was stopped")
}

/// The file could not be opened, or its first page says that it is no database.
pub(crate) fn open(error: &rusqlite::Error, path: &Path) -> Error {
    let shown = path.display();
    match code(error) {
        Some(ErrorCode::NotADatabase) => Error::new(
            ErrorKind::Connect,
            format!("{shown} is not a SQLite database, or it is encrypted"),
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::new(ErrorKind::Connect, format!("{shown} is locked by another program"))
                .hint("wait for the other program, or raise ?busy_timeout=MILLISECONDS")
                .transient()
        }
        Some(ErrorCode::CannotOpen) => Error::new(
            ErrorKind::Connect,
            format!("the database file {shown} cannot be opened: {}", message(error)),
        )
        .hint(
            "a database in WAL mode needs a writable folder; if nobody writes to it, add \
             ?immutable=1 to the URL",
        ),
        _ => Error::new(
            ErrorKind::Connect,
            format!("the database file {shown} cannot be opened: {}", message(error)),
        ),
    }
}

/// A statement did not compile, or the catalogue could not be read.
pub(crate) fn prepare(error: rusqlite::Error) -> Error {
    match code(&error) {
        // SQLITE_ERROR: the text is wrong or names something that does not exist.
        Some(ErrorCode::Unknown) => {
            let text = message(&error);
            let hint = text.contains("single-quotes").then_some(
                "SQLite takes text in double quotes as a name: write text in single quotes",
            );
            let new = Error::new(ErrorKind::Usage, format!("SQLite refuses the statement: {text}"));
            hint.into_iter().fold(new, Error::hint).source(error)
        }
        _ => step(error),
    }
}

/// A statement failed while it ran.
pub(crate) fn step(error: rusqlite::Error) -> Error {
    let text = message(&error);
    let new = match code(&error) {
        Some(ErrorCode::OperationInterrupted) => return cancelled(),
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            Error::new(ErrorKind::Auth, format!("SQLite does not allow the statement: {text}"))
        }
        Some(ErrorCode::ReadOnly) => Error::new(
            ErrorKind::Usage,
            format!("the statement would write, and the database is opened read-only: {text}"),
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::new(ErrorKind::Source, "the database is locked by another program")
                .hint("wait for the other program, or raise ?busy_timeout=MILLISECONDS")
                .transient()
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Error::new(ErrorKind::Source, format!("the database file is damaged: {text}"))
                .hint("check it with: sqlite3 FILE 'PRAGMA integrity_check'")
        }
        _ => Error::new(ErrorKind::Source, format!("SQLite failed: {text}")),
    };
    new.source(error)
}
