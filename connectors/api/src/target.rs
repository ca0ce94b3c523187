//! Where to connect: URLs in the database's own spelling and in JDBC's.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use crate::{Error, ErrorKind, Result};

/// A password or the like: shows as stars, is wiped when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(SecretString::from(text.into()))
    }

    /// The secret itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A server on the network or behind a Unix socket.
    Server {
        /// Host name or address, without brackets.
        host: String,
        /// Port, where the URL names one.
        port: Option<u16>,
        /// Database, where the URL names one.
        database: Option<String>,
    },
    /// A file.
    File(PathBuf),
}

/// A parsed connection URL with everything a session needs.
#[derive(Debug, Clone)]
pub struct ConnectTarget {
    /// Lower-case scheme without `jdbc:`.
    pub scheme: String,
    /// Whether the URL was spelled `jdbc:…`.
    pub jdbc: bool,
    /// Host or file.
    pub location: Location,
    /// User name, from the URL or set later.
    pub user: Option<String>,
    /// Password, from the URL or set later.
    pub password: Option<Secret>,
    /// URL parameters in order, decoded. `user` and `password` are taken out of them.
    pub params: Vec<(String, String)>,
    /// Limit for reaching the server and logging in, all steps together.
    pub connect_timeout: Duration,
    /// Limit for the server's silence while an answer is awaited.
    pub read_timeout: Duration,
    /// Shown by the server in its list of sessions.
    pub application: String,
}

/// How a connection is secured; the words are PostgreSQL's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never TLS.
    Disable,
    /// TLS where the server offers it.
    Prefer,
    /// TLS or no connection; the certificate is not checked.
    Require,
    /// As `Require`, and the certificate must come from a trusted CA.
    VerifyCa,
    /// As `VerifyCa`, and it must name the host.
    VerifyFull,
}

/// TLS settings of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// The mode.
    pub mode: TlsMode,
    /// CA certificates in PEM; the system's own when missing.
    pub ca: Option<PathBuf>,
    /// Client certificate in PEM.
    pub cert: Option<PathBuf>,
    /// Its private key in PEM.
    pub key: Option<PathBuf>,
}

const KEY_USER: &str = "user";
const KEY_PASSWORD: &str = "password";

impl ConnectTarget {
    /// Parses `scheme://[user[:password]@]host[:port][/database][?a=b&…]`, `sqlite:PATH`, and both
    /// with `jdbc:` before them. Contacts nothing.
    ///
    /// # Errors
    /// `Usage` for anything that is not such a URL; the message never repeats the password.
    pub fn parse(url: &str) -> Result<Self> {
        let url = url.trim();
        let (jdbc, rest) = match url.get(..5) {
            Some(prefix) if prefix.eq_ignore_ascii_case("jdbc:") => (true, &url[5..]),
            _ => (false, url),
        };
        let (scheme, rest) =
            rest.split_once(':').ok_or_else(|| bad_url(url, "it has no scheme"))?;
        if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+') {
            return Err(bad_url(url, "it has no scheme"));
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let mut target = ConnectTarget {
            scheme: scheme.to_ascii_lowercase(),
            jdbc,
            location: Location::File(PathBuf::new()),
            user: None,
            password: None,
            params: parse_params(url, query.unwrap_or(""))?,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            application: "rsqoop".to_string(),
        };
        if target.scheme == "sqlite" {
            target.parse_file(url, rest)?;
        } else {
            target.parse_server(url, rest)?;
        }
        target.take_credentials();
        Ok(target)
    }

    fn parse_file(&mut self, url: &str, rest: &str) -> Result<()> {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.is_empty() {
            return Err(bad_url(url, "it names no file"));
        }
        self.location = Location::File(PathBuf::from(decode(url, path)?));
        Ok(())
    }

    fn parse_server(&mut self, url: &str, rest: &str) -> Result<()> {
        // pgjdbc also accepts `jdbc:postgresql:database` for the local default server.
        let Some(rest) = rest.strip_prefix("//") else {
            if self.jdbc && !rest.is_empty() && !rest.contains(['/', '@']) {
                self.location = Location::Server {
                    host: "localhost".to_string(),
                    port: None,
                    database: Some(decode(url, rest)?),
                };
                return Ok(());
            }
            return Err(bad_url(url, "\"//\" is missing after the scheme"));
        };
        // A password may hold '/' or '@' unescaped: the last '@' ends it.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        if let Some(credentials) = credentials {
            let (user, password) = match credentials.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (credentials, None),
            };
            self.user = Some(decode(url, user)?).filter(|u| !u.is_empty());
            self.password = match password {
                Some(password) => Some(Secret::new(decode(url, password)?)),
                None => None,
            };
        }
        let (authority, database) = match rest.split_once('/') {
            Some((authority, database)) => (authority, decode(url, database)?),
            None => (rest, String::new()),
        };
        let (host, port) = split_host(url, authority)?;
        self.location =
            Location::Server { host, port, database: Some(database).filter(|d| !d.is_empty()) };
        Ok(())
    }

    fn take_credentials(&mut self) {
        let mut kept = Vec::with_capacity(self.params.len());
        for (key, value) in std::mem::take(&mut self.params) {
            match key.to_ascii_lowercase().as_str() {
                KEY_USER => self.user = Some(value),
                KEY_PASSWORD => self.password = Some(Secret::new(value)),
                _ => kept.push((key, value)),
            }
        }
        self.params = kept;
    }

    /// The value of a parameter, by any of its names, upper or lower case; the last one wins.
    pub fn param(&self, names: &[&str]) -> Option<&str> {
        self.params
            .iter()
            .rev()
            .find(|(key, _)| names.iter().any(|n| n.eq_ignore_ascii_case(key)))
            .map(|(_, value)| value.as_str())
    }

    /// Names of the parameters that are not in `known` (compared without case).
    pub fn unknown_params(&self, known: &[&str]) -> Vec<String> {
        self.params
            .iter()
            .map(|(key, _)| key)
            .filter(|key| !known.iter().any(|k| k.eq_ignore_ascii_case(key)))
            .cloned()
            .collect()
    }

    /// A boolean parameter: `true`, `1`, `yes`, `on` or nothing after its name; and the opposites.
    ///
    /// # Errors
    /// `Usage` for any other text.
    pub fn bool_param(&self, names: &[&str]) -> Result<Option<bool>> {
        let Some(text) = self.param(names) else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "" | "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" => Ok(Some(false)),
            _ => Err(Error::new(
                ErrorKind::Usage,
                format!("the URL parameter {} must be true or false, not {text:?}", names[0]),
            )),
        }
    }

    /// Whether a parameter of this name holds a secret of its own (a key store's password).
    pub fn is_secret_param(name: &str) -> bool {
        name.to_ascii_lowercase().contains(KEY_PASSWORD)
    }

    /// The URL without password, for messages, manifests and reports. Parameters are shown only by
    /// name, since a value may hold a secret.
    pub fn redacted(&self) -> String {
        let jdbc = if self.jdbc { "jdbc:" } else { "" };
        match &self.location {
            Location::File(path) => format!("{jdbc}{}:{}", self.scheme, path.display()),
            Location::Server { host, port, database } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let port = port.map(|p| format!(":{p}")).unwrap_or_default();
                let database = database.as_deref().map(|d| format!("/{d}")).unwrap_or_default();
                format!("{jdbc}{}://{host}{port}{database}", self.scheme)
            }
        }
    }
}

fn bad_url(url: &str, why: &str) -> Error {
    // Only the scheme is repeated: anything after it may hold a password.
    let scheme = url.split("//").next().filter(|s| s.ends_with(':') && !s.contains('@'));
    let error = Error::new(ErrorKind::Usage, format!("the connection URL is not usable: {why}"));
    match scheme {
        Some(scheme) => error.context("url", format!("{scheme}//…")),
        None => error,
    }
    .hint(
        "write it like postgresql://host:5432/database, jdbc:mysql://host/database or sqlite:FILE",
    )
}

fn decode(url: &str, text: &str) -> Result<String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(|t| t.into_owned())
        .map_err(|_| bad_url(url, "it holds percent-encoded bytes that are not UTF-8"))
}

fn split_host(url: &str, authority: &str) -> Result<(String, Option<u16>)> {
    if authority.contains(',') {
        return Err(bad_url(url, "it names several hosts; rsqoop takes one"));
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| bad_url(url, "\"]\" is missing"))?;
        (host.to_string(), rest.strip_prefix(':'))
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (decode(url, host)?, Some(port)),
            None => (decode(url, authority)?, None),
        }
    };
    let port = match port {
        None | Some("") => None,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(bad_url(url, "its port is not a number from 1 to 65535")),
        },
    };
    let host = if host.is_empty() { "localhost".to_string() } else { host };
    Ok((host, port))
}

fn parse_params(url: &str, query: &str) -> Result<Vec<(String, String)>> {
    query
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(url, key)?, decode(url, value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> (String, Option<u16>, Option<String>) {
        match ConnectTarget::parse(url).unwrap().location {
            Location::Server { host, port, database } => (host, port, database),
            Location::File(_) => panic!("{url} is a file"),
        }
    }

    #[test]
    fn native_and_jdbc_spellings_name_the_same_place() {
        let want = ("db.example".to_string(), Some(5433), Some("shop".to_string()));
        for url in [
            "postgresql://db.example:5433/shop",
            "postgres://u:p@db.example:5433/shop",
            "jdbc:postgresql://db.example:5433/shop?user=u&password=p",
            "JDBC:mysql://db.example:5433/shop",
        ] {
            assert_eq!(server(url), want, "{url}");
        }
        assert_eq!(server("mysql://[::1]:3307/d"), ("::1".into(), Some(3307), Some("d".into())));
        assert_eq!(server("postgres:///d"), ("localhost".into(), None, Some("d".into())));
        assert_eq!(server("jdbc:postgresql:shop"), ("localhost".into(), None, Some("shop".into())));
    }

    #[test]
    fn a_password_may_hold_any_character_and_is_never_shown() {
        let target = ConnectTarget::parse("postgres://joe:p@ss/w:rd%21@h/d?password2=x").unwrap();
        assert_eq!(target.password.as_ref().unwrap().expose(), "p@ss/w:rd!");
        assert!(!format!("{target:?} {}", target.redacted()).contains("p@ss"));
        let error = ConnectTarget::parse("postgres:joe:geheim@h").unwrap_err();
        assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
    }

    #[test]
    fn files_and_parameters() {
        let target = ConnectTarget::parse("sqlite:a%20b.db?mode=ro").unwrap();
        assert_eq!(target.location, Location::File("a b.db".into()));
        assert_eq!(target.param(&["MODE"]), Some("ro"));
        assert_eq!(
            ConnectTarget::parse("sqlite:///tmp/x.db").unwrap().location,
            Location::File("/tmp/x.db".into())
        );
        let target = ConnectTarget::parse("jdbc:mysql://h/d?a=1&useSSL&b=no").unwrap();
        assert_eq!(target.bool_param(&["useSSL"]).unwrap(), Some(true));
        assert_eq!(target.bool_param(&["b"]).unwrap(), Some(false));
        assert_eq!(target.unknown_params(&["usessl", "B"]), ["a"]);
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in [
            "",
            "shop",
            "postgres",
            "postgres:",
            "postgres:/h/d",
            "mysql://h:0/d",
            "mysql://h:x/d",
            "sqlite:",
        ] {
            assert_eq!(ConnectTarget::parse(url).unwrap_err().kind(), ErrorKind::Usage, "{url:?}");
        }
    }
}
