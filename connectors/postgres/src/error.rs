//! From sqlx's errors to rsqoop's: the kind, the server's own message, and what to do about it.

use rsqoop_connector::{Error, ErrorKind};
use sqlx::postgres::PgDatabaseError;

/// Maps an error of a statement on an open session.
pub(crate) fn statement(error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(inner) => match inner.try_downcast::<PgDatabaseError>() {
            Ok(error) => server(*error),
            Err(other) => Error::new(ErrorKind::Source, other.to_string()),
        },
        sqlx::Error::Io(error) => {
            Error::new(ErrorKind::Source, format!("the connection to the server broke: {error}"))
                .transient()
                .source(error)
        }
        // rustls says so when a connection ends without its closing word.
        sqlx::Error::Tls(error) => {
            Error::new(ErrorKind::Source, format!("the connection to the server broke: {error}"))
                .transient()
        }
        other => Error::new(
            ErrorKind::Source,
            format!("the server's answer was not understood: {}", driver_text(&other)),
        )
        .source(other),
    }
}

/// Whether the connection can still be used after this error.
pub(crate) fn keeps_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|e| !matches!(e.severity(), sqlx::postgres::PgSeverity::Fatal)),
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
    }
}

/// Maps an error of connecting to `place` (host and port).
pub(crate) fn connecting(error: sqlx::Error, place: &str, password_given: bool) -> Error {
    match error {
        sqlx::Error::Database(inner) => match inner.try_downcast::<PgDatabaseError>() {
            Ok(error) => refused_login(*error, password_given).context("server", place),
            Err(other) => Error::new(ErrorKind::Connect, other.to_string()),
        },
        // The TLS handshake reports what is wrong with a certificate as invalid data.
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            insecure(place, &error)
        }
        sqlx::Error::Io(error) => Error::new(
            ErrorKind::Connect,
            format!("{place} could not be reached: {}", plain(&error)),
        )
        .hint("check host and port, and that the server listens there")
        .transient()
        .source(error),
        sqlx::Error::Tls(error) => insecure(place, &error),
        sqlx::Error::Configuration(error) => Error::new(
            ErrorKind::Config,
            format!("the connection settings are not usable: {error}"),
        )
        .context("server", place),
        other => stranger(place, &driver_text(&other)),
    }
}

/// Something answers at `place`, but not as PostgreSQL does.
pub(crate) fn stranger(place: &str, what: &str) -> Error {
    Error::new(ErrorKind::Connect, format!("{place} does not answer as PostgreSQL: {what}"))
        .hint("check host and port")
}

/// The driver's text without the place in its source that it puts at the end.
fn driver_text(error: &sqlx::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (sqlx_") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

fn insecure(place: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Connect, format!("no secure connection to {place}: {error}"))
        .hint("check sslmode, and sslrootcert where the server's CA is not a public one")
}

fn refused_login(error: PgDatabaseError, password_given: bool) -> Error {
    let message = one_line(error.message());
    match error.code() {
        "28P01" | "28000" => {
            let mapped =
                Error::new(ErrorKind::Auth, format!("the server refused the login: {message}"));
            if refused_by_rule(&message) {
                mapped
                    .hint("the server's pg_hba.conf decides this: check user, database and sslmode")
            } else if password_given {
                mapped.hint("check user name and password")
            } else {
                mapped.hint("no password was given: use --password-file or -P")
            }
        }
        "3D000" => Error::new(ErrorKind::Auth, message)
            .hint("name one in the URL (postgresql://host/DATABASE); rsqoop list-databases with the database postgres shows them"),
        _ => {
            let mapped = server(error);
            // Nothing was asked yet, so what is wrong is the connection itself.
            match mapped.kind() {
                ErrorKind::Source => {
                    let error = Error::new(ErrorKind::Connect, mapped.message());
                    if mapped.is_transient() { error.transient() } else { error }
                }
                _ => mapped,
            }
        }
    }
}

/// Whether the server refused before it looked at any password.
fn refused_by_rule(message: &str) -> bool {
    message.contains("pg_hba.conf")
}

/// Maps an error message of the server by its SQLSTATE (PostgreSQL documentation, appendix A).
fn server(error: PgDatabaseError) -> Error {
    let code = error.code().to_string();
    let (kind, transient) = match code.as_str() {
        "42501" => (ErrorKind::Auth, false),
        "53300" | "57P03" => (ErrorKind::Connect, true),
        "25006" => (ErrorKind::Usage, false),
        // Refused for the moment, or the session was ended: by an administrator, a crash, a
        // standby that had to replay (40001), or a limit on idle sessions that came back.
        "55P03" | "40001" | "40P01" | "57P01" | "57P02" | "57P05" | "25P03" | "25P04" => {
            (ErrorKind::Source, true)
        }
        _ if error.message().contains("conflict with recovery") => (ErrorKind::Source, true),
        _ => match code.get(..2) {
            Some("28") => (ErrorKind::Auth, false),
            Some("42") => (ErrorKind::Usage, false),
            Some("0A") => (ErrorKind::Unsupported, false),
            Some("08") => (ErrorKind::Source, true),
            _ => (ErrorKind::Source, false),
        },
    };
    let mut mapped = Error::new(kind, one_line(error.message())).context("sqlstate", code.as_str());
    if let Some(detail) = error.detail() {
        mapped = mapped.context("detail", one_line(detail));
    }
    if let Some(hint) = hint(&code, error.message()).map(str::to_string) {
        mapped = mapped.hint(hint);
    } else if let Some(hint) = error.hint() {
        mapped = mapped.hint(one_line(hint));
    }
    if transient {
        mapped = mapped.transient();
    }
    mapped.source(error)
}

fn hint(code: &str, message: &str) -> Option<&'static str> {
    match code {
        "42501" if message.contains("row-level security") => {
            Some("rsqoop reads all rows or none: use a role that bypasses row-level security")
        }
        "42501" => Some("grant the user SELECT on it"),
        "55P03" => Some("another session holds a lock on the table for more than 30 s; try later"),
        "25006" => Some("imports run in read-only transactions; the statement tries to write"),
        "53300" => Some("the server has no free connection: use a lower -m"),
        "57014" => Some("the statement was cancelled on the server, by a person or a time limit"),
        _ => None,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An I/O error's text without the "(os error N)" that helps nobody.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

/// The system gives this process no more files or threads for another session.
pub(crate) fn no_resources(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Source, format!("another session cannot be opened: {}", plain(&error)))
        .hint("use a lower -m, or allow more open files (ulimit -n)")
        .source(error)
}

/// What a session answers after it was given up.
pub(crate) fn dead(why: &str) -> Error {
    Error::new(ErrorKind::Source, format!("this session cannot be used any more: {why}"))
        .hint("open a new one")
}
