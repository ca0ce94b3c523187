//! URL parameters: the spellings of MySQL Connector/J, MariaDB Connector/J and the `mysql` client.
//!
//! Contacts nothing; reads the certificate and key files that are named, so that a wrong path is
//! found before anything else happens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rsqoop_connector::{ConnectTarget, Error, ErrorKind, Location, Result, TlsMode, TlsOptions};

use crate::types::TypeOptions;
use crate::wire::{Endpoint, LoginParams, client_config, read_file};

/// Everything a session needs.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) login: LoginParams,
    pub(crate) types: TypeOptions,
    /// `SET` list of the user's, ready to be sent.
    pub(crate) session_variables: Option<String>,
}

const MODE: &[&str] = &["sslMode", "ssl-mode"];
const USE_TLS: &[&str] = &["useSSL", "useTls", "ssl"];
const REQUIRE_TLS: &[&str] = &["requireSSL"];
const VERIFY: &[&str] = &["verifyServerCertificate", "ssl-verify-server-cert"];
const TRUST: &[&str] = &["trustServerCertificate"];
const CA: &[&str] = &["sslCa", "ssl-ca", "serverSslCert", "sslrootcert", "ssl_ca"];
const CERT: &[&str] = &["sslCert", "ssl-cert", "ssl_cert"];
const KEY: &[&str] = &["sslKey", "ssl-key", "ssl_key"];
const TRUST_STORE: &[&str] = &["trustCertificateKeyStoreUrl", "trustStore"];
const CLIENT_STORE: &[&str] = &["clientCertificateKeyStoreUrl", "keyStore"];
const CONNECT_TIMEOUT: &[&str] = &["connectTimeout"];
const SOCKET_TIMEOUT: &[&str] = &["socketTimeout"];
const SOCKET: &[&str] = &["socket", "localSocket", "unixSocket"];
const TINY_BOOL: &[&str] = &["tinyInt1isBit"];
const ZERO_DATE: &[&str] = &["zeroDateTimeBehavior"];
const FETCH_KEY: &[&str] = &["allowPublicKeyRetrieval"];
const SERVER_KEY: &[&str] = &["serverRSAPublicKeyFile"];
const VARIABLES: &[&str] = &["sessionVariables"];
const MULTI: &[&str] = &["allowMultiQueries"];
const ENCODING: &[&str] = &["characterEncoding"];

/// Parameters with an effect here.
const USED: &[&[&str]] = &[
    MODE,
    USE_TLS,
    REQUIRE_TLS,
    VERIFY,
    TRUST,
    CA,
    CERT,
    KEY,
    TRUST_STORE,
    CLIENT_STORE,
    CONNECT_TIMEOUT,
    SOCKET_TIMEOUT,
    SOCKET,
    TINY_BOOL,
    ZERO_DATE,
    FETCH_KEY,
    SERVER_KEY,
    VARIABLES,
    MULTI,
    ENCODING,
];

/// Parameters that JDBC URLs carry and that need no effect: rows always stream, `TIMESTAMP` is
/// always read as an instant, text is always UTF-8, `YEAR` is always a number, compression is not
/// used.
const HARMLESS: &[&str] = &[
    "serverTimezone",
    "connectionTimeZone",
    "forceConnectionTimeZoneToSession",
    "preserveInstants",
    "timezone",
    "useTimezone",
    "useLegacyDatetimeCode",
    "useGmtMillisForDatetimes",
    "useJDBCCompliantTimezoneShift",
    "noDatetimeStringSync",
    "sendFractionalSeconds",
    "yearIsDateType",
    "transformedBitIsBoolean",
    "useUnicode",
    "connectionCollation",
    "characterSetResults",
    "useCursorFetch",
    "defaultFetchSize",
    "useServerPrepStmts",
    "useServerPrepStmt",
    "rewriteBatchedStatements",
    "cachePrepStmts",
    "prepStmtCacheSize",
    "prepStmtCacheSqlLimit",
    "cacheServerConfiguration",
    "cacheResultSetMetadata",
    "useLocalSessionState",
    "useLocalTransactionState",
    "elideSetAutoCommits",
    "maintainTimeStats",
    "autoReconnect",
    "autoReconnectForPools",
    "failOverReadOnly",
    "maxReconnects",
    "maxRows",
    "useCompression",
    "nullCatalogMeansCurrent",
    "nullNamePatternMatchesAll",
    "allowLoadLocalInfile",
    "allowUrlInLocalInfile",
    "allowLocalInfile",
    "jdbcCompliantTruncation",
    "noAccessToProcedureBodies",
    "useOldAliasMetadataBehavior",
    "useInformationSchema",
    "dontTrackOpenResources",
    "enabledTLSProtocols",
    "tlsVersions",
    "enabledSslProtocolSuites",
    "tcpKeepAlive",
    "tcpNoDelay",
    "tcpRcvBuf",
    "tcpSndBuf",
    "paranoid",
    "profileSQL",
    "logger",
    "gatherPerfMetrics",
    "useReadAheadInput",
    "useUnbufferedInput",
    "netTimeoutForStreamingResults",
    "interactiveClient",
    "useBulkStmts",
    "useBatchMultiSend",
    "usePipelineAuth",
    "permitMysqlScheme",
    "useAffectedRows",
    "blobSendChunkSize",
    "emulateUnsupportedPstmts",
    "continueBatchOnError",
    "clientCertificateKeyStoreType",
    "clientCertificateKeyStorePassword",
    "trustCertificateKeyStoreType",
    "trustCertificateKeyStorePassword",
    "trustStorePassword",
    "keyStorePassword",
    "fallbackToSystemTrustStore",
    "fallbackToSystemKeyStore",
    "defaultAuthenticationPlugin",
    "authenticationPlugins",
    "charset",
    "createDatabaseIfNotExist",
    "useConfigs",
    "dumpQueriesOnException",
];

/// The names of all parameters that are understood.
pub(crate) fn known() -> Vec<&'static str> {
    USED.iter().flat_map(|names| names.iter().copied()).chain(HARMLESS.iter().copied()).collect()
}

impl Settings {
    /// Reads a target.
    ///
    /// # Errors
    /// `Usage` for a value that cannot be understood, `Config` for a file that cannot be used.
    pub(crate) fn parse(target: &ConnectTarget) -> Result<Settings> {
        let Location::Server { host, port, database } = &target.location else {
            return Err(Error::new(ErrorKind::Usage, "a MySQL URL names a host, not a file")
                .hint("write it like mysql://host:3306/database"));
        };
        let endpoint = match target.param(SOCKET) {
            Some(path) if !path.is_empty() => Endpoint::Unix(PathBuf::from(path)),
            _ => Endpoint::Tcp { host: host.clone(), port: port.unwrap_or(3306) },
        };
        encoding(target)?;
        let tls = tls_options(target)?;
        let server_key = target
            .param(SERVER_KEY)
            .map(|p| read_file("server's public key", &PathBuf::from(p)).map(Arc::from))
            .transpose()?;
        Ok(Settings {
            login: LoginParams {
                endpoint,
                user: target.user.clone().unwrap_or_default(),
                password: target.password.clone(),
                database: database.clone(),
                tls_mode: tls.mode,
                tls: client_config(&tls)?,
                fetch_server_key: target.bool_param(FETCH_KEY)?.unwrap_or(false),
                server_key,
                multi_statements: target.bool_param(MULTI)?.unwrap_or(false),
                application: target.application.clone(),
                connect_timeout: millis(target, CONNECT_TIMEOUT)?.unwrap_or(target.connect_timeout),
                silence: millis(target, SOCKET_TIMEOUT)?.unwrap_or(target.read_timeout),
            },
            types: TypeOptions {
                tiny_bool: target.bool_param(TINY_BOOL)?.unwrap_or(false),
                zero_null: zero_dates(target)?,
            },
            session_variables: target.param(VARIABLES).and_then(variables),
        })
    }
}

fn bad(name: &str, value: &str, allowed: &str) -> Error {
    Error::new(
        ErrorKind::Usage,
        format!("the URL parameter {name} must be {allowed}, not {value:?}"),
    )
}

/// Milliseconds; zero means that the default stays, since nothing here may wait for ever.
fn millis(target: &ConnectTarget, names: &[&str]) -> Result<Option<Duration>> {
    let Some(text) = target.param(names) else { return Ok(None) };
    let ms: u64 = text.parse().map_err(|_| bad(names[0], text, "a number of milliseconds"))?;
    Ok((ms > 0).then(|| Duration::from_millis(ms)))
}

fn encoding(target: &ConnectTarget) -> Result<()> {
    let Some(name) = target.param(ENCODING) else { return Ok(()) };
    match name.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "" | "utf8" | "utf8mb4" | "utf8mb3" => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            format!("characterEncoding={name} has no effect here: text is always read as UTF-8"),
        )
        .hint("leave characterEncoding out; the server converts every character set")),
    }
}

fn zero_dates(target: &ConnectTarget) -> Result<bool> {
    let Some(text) = target.param(ZERO_DATE) else { return Ok(false) };
    match text.to_ascii_lowercase().replace('_', "").as_str() {
        "exception" => Ok(false),
        "converttonull" => Ok(true),
        "round" => Err(Error::new(
            ErrorKind::Usage,
            "zeroDateTimeBehavior=round would turn zero dates into the year 1",
        )
        .hint("use convertToNull, or read the column as text: --map-column COLUMN=string")),
        _ => Err(bad("zeroDateTimeBehavior", text, "exception or convertToNull")),
    }
}

fn tls_options(target: &ConnectTarget) -> Result<TlsOptions> {
    let ca = pem_path(target, CA, TRUST_STORE, "sslCa")?;
    let cert = pem_path(target, CERT, CLIENT_STORE, "sslCert and sslKey")?;
    let key = target.param(KEY).map(PathBuf::from);
    let mode = match target.param(MODE) {
        Some(text) => match text.to_ascii_lowercase().replace('-', "_").as_str() {
            "disabled" | "disable" => TlsMode::Disable,
            "preferred" | "prefer" => TlsMode::Prefer,
            "required" | "require" | "trust" => TlsMode::Require,
            "verify_ca" => TlsMode::VerifyCa,
            "verify_identity" | "verify_full" => TlsMode::VerifyFull,
            _ => {
                let allowed = "DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY";
                return Err(bad("sslMode", text, allowed));
            }
        },
        None => older_mode(target, ca.is_some())?,
    };
    Ok(TlsOptions { mode, ca, cert, key })
}

/// The mode by the parameters before `sslMode`: Connector/J's `useSSL`, `requireSSL` and
/// `verifyServerCertificate`, MariaDB's `useSsl` and `trustServerCertificate`. A CA file alone asks
/// for a check against it, as in the `mysql` client.
fn older_mode(target: &ConnectTarget, has_ca: bool) -> Result<TlsMode> {
    let use_tls = target.bool_param(USE_TLS)?;
    if use_tls == Some(false) {
        return Ok(TlsMode::Disable);
    }
    let verify = target.bool_param(VERIFY)?;
    let trust = target.bool_param(TRUST)?.unwrap_or(false);
    Ok(if verify == Some(true) || (has_ca && verify.is_none()) {
        TlsMode::VerifyCa
    } else if target.scheme == "mariadb" && use_tls == Some(true) {
        if trust || verify == Some(false) { TlsMode::Require } else { TlsMode::VerifyFull }
    } else if target.bool_param(REQUIRE_TLS)? == Some(true) || trust {
        TlsMode::Require
    } else {
        TlsMode::Prefer
    })
}

/// A PEM file by its own parameter, or by Java's key store parameter where that names a PEM file.
fn pem_path(
    target: &ConnectTarget,
    names: &[&str],
    store: &[&str],
    instead: &str,
) -> Result<Option<PathBuf>> {
    if let Some(path) = target.param(names) {
        let path = path.strip_prefix("file://").or(path.strip_prefix("file:")).unwrap_or(path);
        return Ok(Some(PathBuf::from(path)));
    }
    let Some(url) = target.param(store) else { return Ok(None) };
    let path = url.strip_prefix("file://").or(url.strip_prefix("file:")).unwrap_or(url);
    let pem = [".pem", ".crt", ".cer"].iter().any(|end| path.to_ascii_lowercase().ends_with(end));
    if pem {
        return Ok(Some(PathBuf::from(path)));
    }
    Err(Error::new(
        ErrorKind::Config,
        format!("{} names a Java key store, which rsqoop does not read", store[0]),
    )
    .hint(format!("export it to PEM and name the file with {instead}")))
}

/// `a=1,b='x,y'` as the list of a `SET` statement.
fn variables(text: &str) -> Option<String> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (None, ',' | ';') => parts.push(String::new()),
            _ => {
                if quote == Some(c) {
                    quote = None;
                } else if quote.is_none() && matches!(c, '\'' | '"' | '`') {
                    quote = Some(c);
                }
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    let list: Vec<String> = parts
        .iter()
        .map(|p| p.trim())
        .filter(|p| !p.is_empty())
        .map(|p| if p.starts_with('@') { p.to_string() } else { format!("SESSION {p}") })
        .collect();
    (!list.is_empty()).then(|| format!("SET {}", list.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Settings> {
        Settings::parse(&ConnectTarget::parse(url).unwrap())
    }

    fn mode(params: &str) -> TlsMode {
        parse(&format!("mysql://h/d?{params}")).unwrap().login.tls_mode
    }

    #[test]
    fn every_spelling_of_the_tls_mode() {
        for (params, want) in [
            ("", TlsMode::Prefer),
            ("sslMode=DISABLED", TlsMode::Disable),
            ("useSSL=false", TlsMode::Disable),
            ("useSSL=true", TlsMode::Prefer),
            ("useSSL=true&requireSSL=true", TlsMode::Require),
            ("sslmode=require", TlsMode::Require),
            ("sslMode=trust", TlsMode::Require),
            ("ssl-mode=REQUIRED", TlsMode::Require),
        ] {
            assert_eq!(mode(params), want, "{params}");
        }
    }

    #[test]
    fn values_that_mean_nothing_are_refused() {
        for (params, kind) in [
            ("sslMode=maybe", ErrorKind::Usage),
            ("connectTimeout=soon", ErrorKind::Usage),
            ("tinyInt1isBit=2", ErrorKind::Usage),
            ("zeroDateTimeBehavior=round", ErrorKind::Usage),
            ("characterEncoding=latin1", ErrorKind::Unsupported),
            ("sslCa=/nowhere/ca.pem", ErrorKind::Config),
            ("sslMode=REQUIRED&sslCa=/nowhere/ca.pem", ErrorKind::Config),
            ("serverRSAPublicKeyFile=/nowhere", ErrorKind::Config),
            ("trustCertificateKeyStoreUrl=file:/x/store.jks", ErrorKind::Config),
        ] {
            let error = parse(&format!("mysql://h/d?{params}")).unwrap_err();
            assert_eq!(error.kind(), kind, "{params}: {error:?}");
        }
    }

    #[test]
    fn limits_and_sockets() {
        let s = parse("mariadb://h/d?connectTimeout=1500&socketTimeout=0&socket=/run/s").unwrap();
        assert_eq!(s.login.connect_timeout, Duration::from_millis(1500));
        let default = ConnectTarget::parse("mysql://h/d").unwrap().read_timeout;
        assert_eq!(s.login.silence, default);
        assert_eq!(s.login.endpoint, Endpoint::Unix("/run/s".into()));
    }

    #[test]
    fn session_variables_become_one_statement() {
        assert_eq!(
            variables("a=1, b='x,y',@c=2").as_deref(),
            Some("SET SESSION a=1, SESSION b='x,y', @c=2")
        );
        assert_eq!(variables(" , "), None);
    }

    #[test]
    fn known_parameters_have_no_doubles() {
        let mut names: Vec<String> = known().iter().map(|n| n.to_ascii_lowercase()).collect();
        names.sort();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
    }
}
