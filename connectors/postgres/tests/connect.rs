//! Connecting: logins, TLS, limits, and independence from the environment.

mod common;

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Lines, cert, database, port, superuser_url, target, tcp_url};
use rsqoop_connector::{Connector, Error, ErrorKind, Session};
use rsqoop_postgres::Postgres;

fn connect(url: &str) -> Result<Box<dyn Session>, Error> {
    Postgres.connect(&target(url))
}

fn refused(url: &str) -> Error {
    match connect(url) {
        Ok(_) => panic!("{url} connects"),
        Err(error) => error,
    }
}

fn ask(session: &mut dyn Session, sql: &str) -> String {
    let mut lines = Lines::default();
    session.evaluate(sql, &mut lines).expect("a statement that runs");
    lines.0[1].strip_prefix("row ").expect("a row").to_string()
}

#[test]
fn a_login_that_works() {
    let mut session = connect(&tcp_url("app:pw", "application_name=me")).unwrap();
    let server = session.server().unwrap();
    assert_eq!(server.product, "PostgreSQL");
    assert!(server.version.chars().next().unwrap().is_ascii_digit());
    assert_eq!(ask(&mut *session, "SHOW application_name"), "me");
    assert_eq!(ask(&mut *session, "SHOW row_security"), "off");
    assert_eq!(ask(&mut *session, "SHOW lock_timeout"), "30s");
    assert_eq!(ask(&mut *session, "SHOW TimeZone"), "UTC");
}

#[test]
fn wrong_logins() {
    let error = refused(&tcp_url("app:geheim", ""));
    assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
    assert!(!format!("{error:?}").contains("geheim"));
    let error = refused(&tcp_url("app", ""));
    assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
    assert!(error.hint_text().unwrap().contains("no password was given"), "{error:?}");
    let error = refused(&format!("postgresql://app:pw@127.0.0.1:{}/no_such_db", port()));
    assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
    assert!(error.message().contains("no_such_db"), "{error:?}");
    assert!(error.hint_text().unwrap().contains("list-databases"), "{error:?}");
}

#[test]
fn nothing_listens_there() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refused(&format!("postgresql://app:pw@127.0.0.1:{free}/d"));
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains(&format!("127.0.0.1:{free}")), "{error:?}");
    let error = refused("postgresql://app:pw@%2Fno%2Fsuch%2Ffolder/d");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains("/no/such/folder"), "{error:?}");
    let error = refused("postgresql://app:pw@host.invalid/d");
    assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
}

#[test]
fn a_server_that_accepts_and_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for params in ["sslmode=disable", "sslmode=require"] {
        let begin = Instant::now();
        let error =
            refused(&format!("postgresql://a:p@127.0.0.1:{port}/d?connectTimeout=1&{params}"));
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(error.message().contains(&format!("127.0.0.1:{port}")), "{error:?}");
        assert!(error.message().contains("1 s"), "{error:?}");
        assert!(begin.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn tls_is_what_was_asked_for() {
    let used = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    for (params, want) in [("sslmode=disable", "f"), ("sslmode=prefer", "t"), ("", "t")] {
        let mut session = connect(&tcp_url("app:pw", params)).unwrap();
        assert_eq!(ask(&mut *session, used), want, "{params}");
    }
    let error = refused(&tcp_url("tls:pw", "sslmode=disable"));
    assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
    let ca = cert("ca.crt").display().to_string();
    let other = cert("other-ca.crt").display().to_string();
    for mode in ["require", "verify-ca", "verify-full"] {
        let url = tcp_url("tls:pw", &format!("sslmode={mode}&sslrootcert={ca}"));
        let mut session = connect(&url).unwrap();
        assert_eq!(ask(&mut *session, used), "t", "{mode}");
    }
    for params in [
        format!("sslmode=verify-full&sslrootcert={other}"),
        format!("sslmode=verify-ca&sslrootcert={other}"),
        format!("ssl=true&sslrootcert={other}"),
        "sslmode=verify-full".to_string(),
    ] {
        let error = refused(&tcp_url("tls:pw", &params));
        assert_eq!(error.kind(), ErrorKind::Connect, "{params}: {error:?}");
        assert!(error.message().contains("secure connection"), "{params}: {error:?}");
    }
}

#[test]
fn the_certificate_must_name_the_host() {
    let host = std::env::var("RSQOOP_TEST_WRONG_HOST")
        .expect("RSQOOP_TEST_WRONG_HOST must be an address the certificate does not name");
    let ca = cert("ca.crt").display().to_string();
    let url = |mode: &str| {
        format!(
            "postgresql://app:pw@{host}:{}/{}?sslmode={mode}&sslrootcert={ca}",
            port(),
            database()
        )
    };
    connect(&url("verify-ca")).unwrap();
    let error = refused(&url("verify-full"));
    assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
    assert!(error.message().contains("secure connection"), "{error:?}");
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_required() {
    use std::io::{Read, Write};
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = plain.accept().unwrap();
        let mut request = [0; 8];
        socket.read_exact(&mut request).unwrap();
        socket.write_all(b"N").unwrap();
        // Whatever the client says next would be in the clear.
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).unwrap();
        rest
    });
    let error = refused(&format!("postgresql://a:p@127.0.0.1:{port}/d?sslmode=require"));
    assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
    assert_eq!(server.join().unwrap(), b"", "nothing is sent without TLS");
}

#[test]
fn client_certificates() {
    let (crt, key) = (cert("client.crt"), cert("client.key"));
    let with = format!("sslmode=require&sslcert={}&sslkey={}", crt.display(), key.display());
    let mut session = connect(&tcp_url("cert", &with)).unwrap();
    assert_eq!(ask(&mut *session, "SELECT current_user"), "cert");
    assert_eq!(refused(&tcp_url("cert", "sslmode=require")).kind(), ErrorKind::Auth);
    let missing = target(&tcp_url("cert", "sslcert=/no/such.crt&sslkey=/no/such.key"));
    assert_eq!(Postgres.check(&missing).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn the_environment_changes_nothing() {
    let output = |extra: &[(&str, &str)]| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "login_in_another_environment", "--nocapture"])
            .envs([
                ("PGHOST", "host.invalid"),
                ("PGHOSTADDR", "192.0.2.1"),
                ("PGPORT", "1"),
                ("PGUSER", "nobody"),
                ("PGPASSWORD", "wrong"),
                ("PGDATABASE", "no_such_db"),
                ("PGSSLMODE", "verify-full"),
                ("PGSSLROOTCERT", "/no/such/ca.crt"),
                ("PGAPPNAME", "intruder"),
                ("PGPASSFILE", "/no/such/file"),
            ])
            .envs(extra.iter().copied())
            .output()
            .unwrap()
    };
    let plain = output(&[]);
    assert!(plain.status.success(), "{}", String::from_utf8_lossy(&plain.stderr));
    let options = output(&[("PGOPTIONS", "-c search_path=pg_catalog")]);
    assert!(!options.status.success());
    let said = String::from_utf8_lossy(&options.stderr).into_owned()
        + &String::from_utf8_lossy(&options.stdout);
    assert!(said.contains("PGOPTIONS would change this connection"), "{said}");
}

/// Also run by `the_environment_changes_nothing`, in a process of its own.
#[test]
fn login_in_another_environment() {
    let mut session = connect(&tcp_url("app:pw", "")).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(ask(&mut *session, "SHOW application_name"), "rsqoop");
    assert_eq!(ask(&mut *session, "SELECT current_user"), "app");
    // Without a password of its own it has none, whatever PGPASSWORD says.
    assert_eq!(refused(&tcp_url("app", "")).kind(), ErrorKind::Auth);
}

#[test]
fn options_and_search_path_reach_the_server() {
    let url = superuser_url();
    let join = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{join}options=-c%20work_mem%3D5MB&currentSchema=pg_catalog,public");
    let mut session = connect(&url).unwrap();
    assert_eq!(ask(&mut *session, "SHOW work_mem"), "5MB");
    assert_eq!(ask(&mut *session, "SELECT current_schema()"), "pg_catalog");
}
