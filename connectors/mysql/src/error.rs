//! Turns faults of the connection and refusals of the server into the project's error.

use rsqoop_connector::{Error, ErrorKind};

use crate::wire::{Endpoint, Fault, LoginParams, ServerError};

/// What was going on when the server refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A statement made of what the user named: names and syntax are the user's.
    Describe,
    /// Any other statement.
    Run,
}

/// A failed login.
pub(crate) fn connect(params: &LoginParams, fault: Fault) -> Error {
    let place = &params.endpoint;
    match fault {
        Fault::Timeout => Error::new(
            ErrorKind::Connect,
            format!("{place} did not answer within {} s", seconds(params.connect_timeout)),
        )
        .hint("check host, port and firewall; connectTimeout in the URL (milliseconds) sets the limit")
        .transient(),
        Fault::Closed => Error::new(
            ErrorKind::Connect,
            format!("{place} closed the connection during the login"),
        )
        .hint("check host and port, and whether a proxy or firewall stands between")
        .transient(),
        Fault::Io(e) => io(place, e),
        Fault::Protocol(what) => Error::new(
            ErrorKind::Connect,
            format!("{place} does not answer like a MySQL or MariaDB server: {what}"),
        )
        .hint("check host and port"),
        Fault::Server(e) => refused_login(params, &e),
        Fault::Dead(why) => Error::new(ErrorKind::Bug, format!("the login was used twice: {why}")),
    }
}

/// A failure of the session's own first statements, which belong to connecting.
pub(crate) fn setting_up(params: &LoginParams, fault: Fault) -> Error {
    match fault {
        Fault::Server(_) => statement(fault, Phase::Run),
        broken => connect(params, broken),
    }
}

fn seconds(limit: std::time::Duration) -> String {
    let s = limit.as_secs_f64();
    if s.fract() == 0.0 { format!("{s:.0}") } else { format!("{s:.1}") }
}

fn io(place: &Endpoint, e: std::io::Error) -> Error {
    let tls = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(tls) => {
            let error = Error::new(
                ErrorKind::Connect,
                format!("no secure connection to {place}: {tls}"),
            );
            match tls {
                rustls::Error::InvalidCertificate(
                    rustls::CertificateError::NotValidForName
                    | rustls::CertificateError::NotValidForNameContext { .. },
                ) => error.hint("connect by a name that is in the server's certificate, or use sslMode=VERIFY_CA"),
                rustls::Error::InvalidCertificate(_) => {
                    error.hint("name the CA that signed the server's certificate: sslCa=/path/ca.pem")
                }
                _ => error.hint("if the server has no usable TLS, use sslMode=DISABLED"),
            }
        }
        None => Error::new(ErrorKind::Connect, format!("cannot reach {place}: {}", plain(&e)))
            .hint("check that the server runs and that host and port are right")
            .transient(),
    }
    .source(e)
}

/// An I/O error's text without the "(os error N)" that helps nobody.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

fn refused_login(params: &LoginParams, e: &ServerError) -> Error {
    let text = server_text(e);
    match e.code {
        // ER_CON_COUNT_ERROR, ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED, shutdown
        1040 | 1053 | 1203 | 1226 => Error::new(
            ErrorKind::Connect,
            format!("{} refuses another connection: {text}", params.endpoint),
        )
        .hint("use a lower -m, or try later")
        .transient(),
        1049 => {
            let name = params.database.as_deref().unwrap_or_default();
            Error::new(ErrorKind::Usage, format!("there is no database \"{name}\""))
                .context("server", params.endpoint.to_string())
                .hint("rsqoop list-databases shows the databases of a server")
        }
        // ER_HOST_IS_BLOCKED, ER_HOST_NOT_PRIVILEGED
        1129 | 1130 => {
            Error::new(ErrorKind::Auth, format!("{} refuses this host: {text}", params.endpoint))
        }
        _ => Error::new(ErrorKind::Auth, format!("{} refuses the login: {text}", params.endpoint))
            .context("user", params.user.clone())
            .hint("check user and password, and from which hosts the user may log in"),
    }
}

fn server_text(e: &ServerError) -> String {
    format!("{} (error {})", e.message.trim_end_matches('.'), e.code)
}

/// A failed statement.
pub(crate) fn statement(fault: Fault, phase: Phase) -> Error {
    match fault {
        Fault::Server(e) => refused(&e, phase),
        Fault::Timeout => Error::new(
            ErrorKind::Source,
            "the server has been silent for longer than the read timeout",
        )
        .hint("raise the read timeout (socketTimeout in the URL, in milliseconds)")
        .transient(),
        Fault::Closed => Error::new(
            ErrorKind::Source,
            "the server closed the connection before the result was complete",
        )
        .transient(),
        Fault::Io(e) => Error::new(ErrorKind::Source, format!("the connection failed: {e}"))
            .source(e)
            .transient(),
        Fault::Protocol(what) => {
            Error::new(ErrorKind::Source, format!("the server broke the protocol: {what}"))
        }
        Fault::Dead(why) => Error::new(ErrorKind::Source, format!("this session is over: {why}")),
    }
}

fn refused(e: &ServerError, phase: Phase) -> Error {
    let text = server_text(e);
    let kind = match e.code {
        // access denied: database, login, table, column, privilege, routine, view's definer
        1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1449 => ErrorKind::Auth,
        // no database selected, unknown database, column, syntax, unknown table, function
        1046 | 1049 | 1051 | 1052 | 1054 | 1064 | 1146 | 1305 => ErrorKind::Usage,
        // the table changed under an open snapshot, or since it was described
        1412 => ErrorKind::Schema,
        _ if phase == Phase::Describe && !is_transient(e.code) => ErrorKind::Usage,
        _ => ErrorKind::Source,
    };
    let error = Error::new(kind, text);
    let error = match e.code {
        1046 => error.hint("name the database in the URL: mysql://host/DATABASE"),
        1412 => error.hint("the table was altered during the run; start again"),
        1142 | 1143 => error.hint("grant the user SELECT on it"),
        3024 | 1969 => error.hint("the server's statement time limit stopped it"),
        _ => error,
    };
    if is_transient(e.code) { error.transient() } else { error }
}

/// Lock wait, deadlock, shutdown, killed connection or statement, lost connection: what may be
/// otherwise a moment later. Neither a table that changed nor a time limit of the statement's own.
fn is_transient(code: u16) -> bool {
    matches!(
        code,
        1053 | 1077 | 1152 | 1158..=1161 | 1184 | 1205 | 1213 | 1317 | 1927 | 3168 | 4031
    )
}

/// The run was stopped from outside.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the statement was stopped")
}
