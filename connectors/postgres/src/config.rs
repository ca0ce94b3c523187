//! From a connection target to sqlx's options: which parameters are known, in libpq's and pgjdbc's
//! spelling. Contacts nothing.
//!
//! A session must not depend on the environment of the process. sqlx reads libpq's `PG*` variables
//! when options are made and cannot be told not to, so every option is set here; the few variables
//! that no option can override are refused by name.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rsqoop_connector::{ConnectTarget, Error, ErrorKind, Location, Result, TlsMode, TlsOptions};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

const HOST: &[&str] = &["host"];
const SOCKET: &[&str] = &["socket"];
const PORT: &[&str] = &["port"];
const DATABASE: &[&str] = &["dbname", "PGDBNAME"];
const SSL_MODE: &[&str] = &["sslmode"];
const SSL: &[&str] = &["ssl"];
const ROOT_CERT: &[&str] = &["sslrootcert"];
const CERT: &[&str] = &["sslcert"];
const KEY: &[&str] = &["sslkey"];
const CONNECT_TIMEOUT: &[&str] = &["connectTimeout", "loginTimeout", "connect_timeout"];
const SOCKET_TIMEOUT: &[&str] = &["socketTimeout"];
const SEARCH_PATH: &[&str] = &["currentSchema", "search_path"];
const OPTIONS: &[&str] = &["options"];
const APPLICATION: &[&str] = &["ApplicationName", "application_name"];

/// Parameters of pgjdbc and libpq that change nothing about what rsqoop does.
const IGNORED: &[&str] = &[
    "adaptiveFetch",
    "adaptiveFetchMaximum",
    "adaptiveFetchMinimum",
    "allowEncodingChanges",
    "assumeMinServerVersion",
    "autosave",
    "binaryTransfer",
    "binaryTransferDisable",
    "binaryTransferEnable",
    "cancelSignalTimeout",
    "charSet",
    "characterEncoding",
    "cleanupSavepoints",
    "client_encoding",
    "databaseMetadataCacheFields",
    "databaseMetadataCacheFieldsMiB",
    "defaultRowFetchSize",
    "disableColumnSanitiser",
    "escapeSyntaxCallMode",
    "fallback_application_name",
    "gssEncMode",
    "gssResponseTimeout",
    "hideUnprivilegedObjects",
    "hostRecheckSeconds",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "loadBalanceHosts",
    "logServerErrorDetail",
    "logUnclosedConnections",
    "loggerFile",
    "loggerLevel",
    "maxResultBuffer",
    "maxSendBufferSize",
    "preferQueryMode",
    "preparedStatementCacheQueries",
    "preparedStatementCacheSizeMiB",
    "prepareThreshold",
    "quoteReturningIdentifiers",
    "reWriteBatchedInserts",
    "readOnly",
    "readOnlyMode",
    "receiveBufferSize",
    "sendBufferSize",
    "sslResponseTimeout",
    "stringtype",
    "targetServerType",
    "tcpKeepAlive",
    "tcpNoDelay",
    "tcp_user_timeout",
    "unknownLength",
    "useUnicode",
];

/// Everything a session is opened with.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) options: PgConnectOptions,
    /// Host and port, or the socket, for messages.
    pub(crate) place: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) search_path: Option<String>,
    pub(crate) password_given: bool,
}

impl fmt::Debug for Settings {
    /// The options hold the password, and sqlx would show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Where the server listens.
struct Address {
    host: String,
    port: u16,
    socket: Option<PathBuf>,
    database: Option<String>,
}

/// Names of the parameters that are not known here.
pub(crate) fn unknown(target: &ConnectTarget) -> Vec<String> {
    let known: Vec<&str> = [
        HOST,
        SOCKET,
        PORT,
        DATABASE,
        SSL_MODE,
        SSL,
        ROOT_CERT,
        CERT,
        KEY,
        CONNECT_TIMEOUT,
        SOCKET_TIMEOUT,
        SEARCH_PATH,
        OPTIONS,
        APPLICATION,
        IGNORED,
    ]
    .concat();
    target.unknown_params(&known)
}

/// Reads the target; `Usage` for values that cannot be meant, `Config` for files that are missing.
pub(crate) fn settings(target: &ConnectTarget) -> Result<Settings> {
    let address = address(target)?;
    let user = target.user.as_deref().ok_or_else(|| {
        Error::new(ErrorKind::Usage, "the connection names no user")
            .hint("add --username, or put it into the URL: postgresql://user@host/database")
    })?;
    let tls = tls(target, address.socket.is_some())?;
    refuse_environment(&tls, |name| std::env::var_os(name).is_some_and(|v| !v.is_empty()))?;
    let application = target.param(APPLICATION).unwrap_or(&target.application);
    // An empty password stands for none: leaving it unset would use PGPASSWORD.
    let password = target.password.as_ref().map_or("", |p| p.expose());
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&address.host)
        .port(address.port)
        .username(user)
        .password(password)
        .database(address.database.as_deref().unwrap_or(user))
        .application_name(application)
        .statement_cache_capacity(16)
        .extra_float_digits(3)
        // Statements may hold secrets, and are shown by the engine where they are wanted.
        .disable_statement_logging();
    if let Some(socket) = &address.socket {
        options = options.socket(socket);
    }
    options = with_tls(options, &tls);
    options = options.options(server_options(target)?);
    let place = match &address.socket {
        Some(socket) => format!("{}/.s.PGSQL.{}", socket.display(), address.port),
        None if address.host.contains(':') => format!("[{}]:{}", address.host, address.port),
        None => format!("{}:{}", address.host, address.port),
    };
    Ok(Settings {
        options,
        place,
        connect_timeout: seconds(target, CONNECT_TIMEOUT)?.unwrap_or(target.connect_timeout),
        read_timeout: seconds(target, SOCKET_TIMEOUT)?.unwrap_or(target.read_timeout),
        search_path: target.param(SEARCH_PATH).map(str::to_string),
        password_given: target.password.is_some(),
    })
}

fn address(target: &ConnectTarget) -> Result<Address> {
    let Location::Server { host, port, database } = &target.location else {
        return Err(Error::new(ErrorKind::Usage, "a PostgreSQL URL names a server, not a file"));
    };
    let host = target.param(HOST).unwrap_or(host).to_string();
    let port = match target.param(PORT) {
        None => port.unwrap_or(5432),
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err(bad(PORT[0], "a number from 1 to 65535")),
        },
    };
    let socket = match target.param(SOCKET) {
        Some(path) => Some(PathBuf::from(path)),
        None => host.starts_with('/').then(|| PathBuf::from(&host)),
    };
    let database = target.param(DATABASE).map(str::to_string).or_else(|| database.clone());
    // With a socket the host is only a name for messages, and sqlx needs one that is no path.
    let host = if socket.is_some() { "localhost".to_string() } else { host };
    Ok(Address { host, port, socket, database })
}

fn tls(target: &ConnectTarget, local: bool) -> Result<TlsOptions> {
    let mode = match target.param(SSL_MODE) {
        Some(text) => Some(match text.to_ascii_lowercase().as_str() {
            "disable" => TlsMode::Disable,
            // libpq tries without TLS first; with it where there is a choice is never worse.
            "allow" | "prefer" => TlsMode::Prefer,
            "require" => TlsMode::Require,
            "verify-ca" => TlsMode::VerifyCa,
            "verify-full" => TlsMode::VerifyFull,
            _ => {
                return Err(bad(
                    SSL_MODE[0],
                    "disable, allow, prefer, require, verify-ca or verify-full",
                ));
            }
        }),
        None => None,
    };
    let ssl = target.bool_param(SSL)?;
    let mode = match (mode, ssl) {
        (Some(mode), _) => mode,
        (None, Some(true)) => TlsMode::VerifyFull,
        (None, _) => TlsMode::Prefer,
    };
    let file = |names: &[&'static str]| -> Result<Option<PathBuf>> {
        let Some(path) = target.param(names).filter(|p| !p.is_empty()) else { return Ok(None) };
        readable(names[0], Path::new(path))?;
        Ok(Some(PathBuf::from(path)))
    };
    let (ca, cert, key) = (file(ROOT_CERT)?, file(CERT)?, file(KEY)?);
    if cert.is_some() != key.is_some() {
        return Err(Error::new(ErrorKind::Usage, "sslcert and sslkey must be given together"));
    }
    // As libpq: sslmode has no meaning on a Unix socket, which never leaves the machine.
    let mode = if local { TlsMode::Disable } else { mode };
    Ok(TlsOptions { mode, ca, cert, key })
}

/// A certificate or key: there, readable, and PEM.
fn readable(name: &str, path: &Path) -> Result<()> {
    let problem = match std::fs::read(path) {
        Err(error) => error.to_string(),
        Ok(bytes) if !bytes.windows(11).any(|w| w == b"-----BEGIN ") => {
            "it is not a PEM file".to_string()
        }
        Ok(_) => return Ok(()),
    };
    Err(Error::new(
        ErrorKind::Config,
        format!("{name} {} cannot be used: {problem}", path.display()),
    )
    .hint("certificates and keys are read in PEM form; openssl converts others"))
}

fn with_tls(options: PgConnectOptions, tls: &TlsOptions) -> PgConnectOptions {
    let mut options = options.ssl_mode(match tls.mode {
        TlsMode::Disable => PgSslMode::Disable,
        TlsMode::Prefer => PgSslMode::Prefer,
        TlsMode::Require => PgSslMode::Require,
        TlsMode::VerifyCa => PgSslMode::VerifyCa,
        TlsMode::VerifyFull => PgSslMode::VerifyFull,
    });
    options = match &tls.ca {
        Some(path) => options.ssl_root_cert(path),
        // No certificate of our own, and so not that of PGSSLROOTCERT either.
        None => options.ssl_root_cert_from_pem(Vec::new()),
    };
    if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
        options = options.ssl_client_cert(cert).ssl_client_key(key);
    }
    options
}

/// Variables that sqlx would add to the session and that no option takes back.
fn refuse_environment(tls: &TlsOptions, is_set: impl Fn(&str) -> bool) -> Result<()> {
    let mut names = vec!["PGOPTIONS"];
    if tls.mode != TlsMode::Disable && tls.cert.is_none() {
        names.extend(["PGSSLCERT", "PGSSLKEY"]);
    }
    match names.into_iter().find(|name| is_set(name)) {
        None => Ok(()),
        Some(name) => Err(Error::new(
            ErrorKind::Config,
            format!("the environment variable {name} would change this connection unseen"),
        )
        .hint("unset it and put what it says into the URL: options, sslcert, sslkey")),
    }
}

/// libpq's `options`: `-c name=value`, `--name=value`, separated by spaces; a backslash keeps one.
fn server_options(target: &ConnectTarget) -> Result<Vec<(String, String)>> {
    let Some(text) = target.param(OPTIONS) else { return Ok(Vec::new()) };
    let usage = || bad(OPTIONS[0], "settings like -c name=value");
    let mut words = split_options(text).into_iter();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next().ok_or_else(usage)?
        } else if let Some(rest) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            rest.to_string()
        } else {
            return Err(usage());
        };
        let (name, value) = setting.split_once('=').ok_or_else(usage)?;
        found.push((name.replace('-', "_"), value.to_string()));
    }
    Ok(found)
}

fn split_options(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            c if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A limit in seconds. 0 means "no limit" to the drivers; rsqoop always has one and keeps its own.
fn seconds(target: &ConnectTarget, names: &[&str]) -> Result<Option<Duration>> {
    let Some(text) = target.param(names) else { return Ok(None) };
    match text.parse::<u32>() {
        Ok(0) => Ok(None),
        Ok(seconds) => Ok(Some(Duration::from_secs(u64::from(seconds)))),
        Err(_) => Err(bad(names[0], "a whole number of seconds")),
    }
}

fn bad(name: &str, wanted: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("the URL parameter {name} must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> ConnectTarget {
        ConnectTarget::parse(url).unwrap()
    }

    fn options(url: &str) -> PgConnectOptions {
        settings(&target(url)).unwrap().options
    }

    #[test]
    fn both_spellings_are_known() {
        let url = "jdbc:postgresql://h:1/d?user=u&sslmode=require&prepareThreshold=5\
            &ApplicationName=a&zzz=1&loginTimeout=3&socketTimeout=7&currentSchema=s";
        assert_eq!(unknown(&target(url)), ["zzz"]);
        let settings = settings(&target(url)).unwrap();
        assert_eq!(settings.options.get_application_name(), Some("a"));
        assert_eq!(settings.connect_timeout, Duration::from_secs(3));
        assert_eq!(settings.read_timeout, Duration::from_secs(7));
        assert_eq!(settings.search_path.as_deref(), Some("s"));
        assert!(matches!(settings.options.get_ssl_mode(), PgSslMode::Require));
    }

    #[test]
    fn settings_never_show_the_password() {
        let settings = settings(&target("postgres://u:geheim@h/d")).unwrap();
        assert!(!format!("{settings:?}").contains("geheim"));
    }

    #[test]
    fn sockets_and_defaults() {
        let settings =
            settings(&target("postgresql://u@%2Frun%2Fpg:77/d?sslmode=require")).unwrap();
        assert_eq!(settings.place, "/run/pg/.s.PGSQL.77");
        assert!(matches!(settings.options.get_ssl_mode(), PgSslMode::Disable));
        let by_param = options("postgres://u@h/d?host=/run/pg&port=78&dbname=e");
        assert_eq!(by_param.get_socket(), Some(&PathBuf::from("/run/pg")));
        assert_eq!((by_param.get_port(), by_param.get_database()), (78, Some("e")));
        assert_eq!(options("postgres://u@h").get_database(), Some("u"));
        assert!(matches!(options("postgres://u@h").get_ssl_mode(), PgSslMode::Prefer));
        assert!(matches!(options("postgres://u@h?ssl=true").get_ssl_mode(), PgSslMode::VerifyFull));
        assert!(matches!(
            options("postgres://u@h?ssl=true&sslmode=require").get_ssl_mode(),
            PgSslMode::Require
        ));
        assert_eq!(
            options("postgres://u@h?options=-c%20work_mem%3D8MB%20--geqo%3Doff").get_options(),
            Some("-c work_mem=8MB -c geqo=off")
        );
    }

    #[test]
    fn bad_values_are_refused_before_anything_is_contacted() {
        for (url, kind) in [
            ("postgres://h/d", ErrorKind::Usage),
            ("postgres://u@h/d?sslmode=full", ErrorKind::Usage),
            ("postgres://u@h/d?ssl=maybe", ErrorKind::Usage),
            ("postgres://u@h/d?port=0", ErrorKind::Usage),
            ("postgres://u@h/d?connectTimeout=soon", ErrorKind::Usage),
            ("postgres://u@h/d?options=work_mem", ErrorKind::Usage),
            ("postgres://u@h/d?sslrootcert=/nowhere/ca.crt", ErrorKind::Config),
        ] {
            assert_eq!(settings(&target(url)).unwrap_err().kind(), kind, "{url}");
        }
    }

    #[test]
    fn what_the_environment_would_add_is_refused() {
        let tls = |mode| TlsOptions { mode, ca: None, cert: None, key: None };
        let set = |wanted: &'static str| move |name: &str| name == wanted;
        assert!(refuse_environment(&tls(TlsMode::Prefer), set("PGHOST")).is_ok());
        assert!(refuse_environment(&tls(TlsMode::Disable), set("PGSSLKEY")).is_ok());
        for (mode, name) in [(TlsMode::Disable, "PGOPTIONS"), (TlsMode::Require, "PGSSLCERT")] {
            let error = refuse_environment(&tls(mode), set(name)).unwrap_err();
            assert!(error.message().contains(name), "{error}");
        }
    }
}
