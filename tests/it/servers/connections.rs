//! Reaching a server and logging in: spellings of URLs, TLS, sockets, and everything that can go wrong.

use std::time::{Duration, Instant};

use super::proxy::{Fault, Proxy, closed_port, hostile_port, silent_port};
use super::support::{Database, Run, Server, env, rsqoop};

/// A database with a table of three rows that everybody may read, and one that nobody may.
fn database(server: Server, test: &str) -> Database {
    let db = Database::new(server, test);
    db.sql(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3);
         CREATE TABLE secret (id int PRIMARY KEY);",
    );
    match server {
        Server::Postgres => {
            db.sql("GRANT SELECT ON t TO app, tls, cert;");
        }
        Server::MariaDb | Server::MySql => {
            let name = &db.name;
            for user in ["app", "tls", "cert"] {
                db.sql(&format!("GRANT SELECT ON {name}.t TO {user}@'%';"));
                // What one snapshot for several sessions takes.
                db.sql(&format!("GRANT LOCK TABLES ON {name}.* TO {user}@'%';"));
            }
        }
        Server::Sqlite => {}
    }
    db
}

/// A URL to this database with a scheme, login, host and parameters of the test's own.
fn url(db: &Database, scheme: &str, user: &str, host: &str, params: &str) -> String {
    let port = db.server.address().port;
    let user = if user.is_empty() { String::new() } else { format!("{user}@") };
    format!("{scheme}://{user}{host}:{port}/{}{params}", db.name)
}

fn native(db: &Database, user: &str, params: &str) -> String {
    let address = db.server.address();
    url(db, &address.scheme, user, &address.host, params)
}

/// Imports `t` by `url`.
fn import(db: &Database, url: &str, password: Option<&str>, flags: &[&str]) -> Run {
    import_table(db, url, password, "t", flags)
}

fn import_table(
    db: &Database,
    url: &str,
    password: Option<&str>,
    table: &str,
    flags: &[&str],
) -> Run {
    let target = db.path("out");
    let _ = std::fs::remove_dir_all(&target);
    let text = target.display().to_string();
    let mut all = vec!["import", "--connect", url, "--table", table, "--target-dir", &text];
    all.extend_from_slice(&["--progress", "none"]);
    all.extend_from_slice(flags);
    let mut run = rsqoop(&all, password);
    run.target = target;
    run
}

#[track_caller]
fn three(run: Run) {
    assert_eq!(run.ok().records(), 3);
}

#[test]
fn every_spelling_of_a_url_reaches_the_server() {
    for server in Server::NETWORK {
        let db = database(server, "spelling");
        let host = server.address().host;
        let schemes: &[&str] = match server {
            Server::Postgres => &["postgresql", "postgres", "jdbc:postgresql"],
            Server::MariaDb => &["mariadb", "mysql", "jdbc:mariadb", "jdbc:mysql"],
            _ => &["mysql", "jdbc:mysql"],
        };
        for scheme in schemes {
            three(import(&db, &url(&db, scheme, "app", &host, ""), Some("pw"), &[]));
            three(import(&db, &url(&db, scheme, "", &host, "?user=app&password=pw"), None, &[]));
            let flags = ["--username", "app", "--password", "pw"];
            three(import(&db, &url(&db, scheme, "", &host, ""), None, &flags));
            three(import(&db, &url(&db, scheme, "app:pw", &host, ""), None, &[]));
        }
        let file = db.path("password");
        std::fs::write(&file, "pw\n").unwrap();
        let flags = ["--password-file", file.to_str().unwrap()];
        three(import(&db, &native(&db, "app", ""), None, &flags));
    }
}

#[test]
fn sqlite_urls_and_missing_files() {
    let db = database(Server::Sqlite, "spelling");
    let file = db.file().display().to_string();
    for url in [format!("sqlite:{file}"), format!("jdbc:sqlite:{file}"), format!("sqlite://{file}")]
    {
        three(import(&db, &url, None, &[]));
    }
    let missing = db.path("missing.db");
    import(&db, &format!("sqlite:{}", missing.display()), None, &[]).refused(3, &["missing.db"]);
    assert!(!missing.exists(), "a missing database must not be made");
}

#[test]
fn an_unknown_parameter_is_warned_about_by_name() {
    for server in Server::ALL {
        let db = database(server, "parameter");
        let url = format!("{}?frobnicate=1", db.url());
        let run = db.import_from(&url, "out", &["--table", "t"]).ok();
        assert!(
            run.stderr.contains("warning") && run.stderr.contains("frobnicate"),
            "{}",
            run.story()
        );
    }
}

/// The words of a server's drivers for requiring TLS, checking the chain, and checking the name.
fn tls_params(server: Server, ca: &str) -> [String; 3] {
    match server {
        Server::Postgres => ["require", "verify-ca", "verify-full"].map(|m| {
            format!(
                "?sslmode={m}{}",
                if m == "require" { String::new() } else { format!("&sslrootcert={ca}") }
            )
        }),
        Server::MariaDb => ["trust", "verify-ca", "verify-full"].map(|m| {
            format!(
                "?sslMode={m}{}",
                if m == "trust" { String::new() } else { format!("&serverSslCert={ca}") }
            )
        }),
        _ => ["REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"].map(|m| {
            format!(
                "?sslMode={m}{}",
                if m == "REQUIRED" { String::new() } else { format!("&sslCa={ca}") }
            )
        }),
    }
}

#[test]
fn tls_checks_what_it_says_it_checks() {
    let certs = env("RSQOOP_TEST_CERTS");
    let (good, bad) = (format!("{certs}/ca.crt"), format!("{certs}/other-ca.crt"));
    let wrong_host = env("RSQOOP_TEST_WRONG_HOST");
    for server in Server::NETWORK {
        let db = database(server, "tls");
        let scheme = server.address().scheme;
        for params in tls_params(server, &good) {
            three(import(&db, &native(&db, "tls", &params), Some("pw"), &[]));
            three(import(&db, &native(&db, "app", &params), Some("pw"), &[]));
        }
        let [_, chain, name] = tls_params(server, &bad);
        for params in [chain, name] {
            import(&db, &native(&db, "tls", &params), Some("pw"), &[]).refused(3, &["certificate"]);
        }
        // The server listens there too, but its certificate does not say so.
        let [_, chain, name] = tls_params(server, &good);
        three(import(&db, &url(&db, &scheme, "tls", &wrong_host, &chain), Some("pw"), &[]));
        import(&db, &url(&db, &scheme, "tls", &wrong_host, &name), Some("pw"), &[])
            .refused(3, &["certificate"]);
        let off = if server == Server::Postgres { "?sslmode=disable" } else { "?sslMode=DISABLED" };
        import(&db, &native(&db, "tls", off), Some("pw"), &[]).refused(3, &[]);
        let missing = tls_params(server, "/no/such/ca.crt");
        import(&db, &native(&db, "tls", &missing[2]), Some("pw"), &[])
            .refused(2, &["/no/such/ca.crt"]);
    }
}

#[test]
fn a_client_certificate_logs_in() {
    let certs = env("RSQOOP_TEST_CERTS");
    for server in Server::NETWORK {
        let db = database(server, "client");
        let params = |who: &str| match server {
            Server::Postgres => format!(
                "?sslmode=verify-full&sslrootcert={certs}/ca.crt&sslcert={certs}/{who}.crt&sslkey={certs}/{who}.key"
            ),
            _ => format!(
                "?sslMode=VERIFY_IDENTITY&sslCa={certs}/ca.crt&sslCert={certs}/{who}.crt&sslKey={certs}/{who}.key"
            ),
        };
        three(import(&db, &native(&db, "cert", &params("client")), Some("pw"), &[]));
        import(&db, &native(&db, "cert", &params("other-client")), Some("pw"), &[]).refused(3, &[]);
        let without = tls_params(server, &format!("{certs}/ca.crt"));
        import(&db, &native(&db, "cert", &without[2]), Some("pw"), &[]).refused(3, &[]);
    }
}

#[test]
fn unix_sockets() {
    for server in Server::NETWORK {
        let db = database(server, "socket");
        let (address, socket) = (server.address(), server.socket());
        let urls = match server {
            Server::Postgres => vec![
                format!("postgresql://postgres@/{}?host={socket}&port={}", db.name, address.port),
                url(&db, "jdbc:postgresql", "postgres", "localhost", &format!("?socket={socket}")),
            ],
            _ => vec![
                format!("mysql://root@localhost/{}?socket={socket}", db.name),
                format!("jdbc:mariadb://localhost/{}?localSocket={socket}&user=root", db.name),
            ],
        };
        for url in urls {
            three(import(&db, &url, Some(&address.password), &[]));
        }
    }
}

#[test]
fn a_wrong_password_is_tried_once_and_not_shown() {
    for server in Server::NETWORK {
        let db = database(server, "password");
        for user in ["app", "nobody_at_all"] {
            let proxy = Proxy::new(server, Fault::Never);
            let address = server.address();
            let url = format!("{}://{user}@127.0.0.1:{}/{}", address.scheme, proxy.port, db.name);
            import(&db, &url, Some("not-the-password"), &[]).refused(3, &[user]);
            assert_eq!(proxy.connections(), 1, "{server:?}: one login attempt");
        }
        // No password at all is an answer too, not a question on a terminal.
        import(&db, &native(&db, "app", ""), None, &[]).refused(3, &["app"]);
    }
}

#[test]
fn a_closed_port_is_named_at_once() {
    for server in Server::NETWORK {
        let db = database(server, "closed");
        let (address, port) = (server.address(), closed_port());
        let url = format!("{}://app@127.0.0.1:{port}/{}", address.scheme, db.name);
        let start = Instant::now();
        import(&db, &url, Some("pw"), &[]).refused(3, &["127.0.0.1", &port.to_string()]);
        assert!(start.elapsed() < Duration::from_secs(5));
        let url = format!("{}://app@no-such-host.invalid/{}", address.scheme, db.name);
        import(&db, &url, Some("pw"), &[]).refused(3, &["no-such-host.invalid"]);
    }
}

#[test]
fn a_silent_server_is_given_up_after_ten_seconds() {
    std::thread::scope(|scope| {
        for server in Server::NETWORK {
            scope.spawn(move || {
                let db = database(server, "silent");
                let port = silent_port();
                let scheme = server.address().scheme;
                let url = format!("{scheme}://app@127.0.0.1:{port}/{}", db.name);
                let start = Instant::now();
                import(&db, &url, Some("pw"), &[]).refused(3, &[&port.to_string()]);
                let seconds = start.elapsed().as_secs_f64();
                assert!((8.0..14.0).contains(&seconds), "{server:?}: {seconds} s");
                let unit = if server == Server::Postgres { "1" } else { "1000" };
                let start = Instant::now();
                let url = format!("{url}?connectTimeout={unit}");
                import(&db, &url, Some("pw"), &[]).refused(3, &[]);
                let seconds = start.elapsed().as_secs_f64();
                assert!(
                    (0.8..4.0).contains(&seconds),
                    "{server:?}: {seconds} s with connectTimeout"
                );
            });
        }
    });
}

/// A server that falls silent after the login, while the session is set up, is still one that is
/// not reached; and what speaks another protocol is no defect of ours.
#[test]
fn servers_that_only_begin_to_answer() {
    // A MySQL server's greeting and its OK, then nothing.
    let greeting = [
        b"\x0a8.0.0\0\x01\0\0\x0012345678\0\xdf\xf7\x21\x02\0\x08\0\x15".as_slice(),
        &[0; 10],
        b"123456789012\0mysql_native_password\0",
    ]
    .concat();
    let length = u8::try_from(greeting.len()).expect("a short greeting");
    let greeting = [&[length, 0, 0, 0], greeting.as_slice()].concat();
    let ok = b"\x07\0\0\x02\0\0\0\x02\0\0\0".to_vec();
    let silent = hostile_port(vec![greeting, ok]);
    let url = format!("mysql://app@127.0.0.1:{silent}/x?connectTimeout=1500");
    let start = Instant::now();
    let run = rsqoop(&["list-tables", "--connect", &url], Some("pw"));
    assert!(run.story().contains("did not answer within 1.5 s"), "{}", run.story());
    assert_eq!(run.status, 3);
    assert!(start.elapsed() < Duration::from_secs(6));
    // A message of PostgreSQL's whose length is less than that of its length field.
    let broken = hostile_port(vec![Vec::new(), b"N".to_vec(), b"R\0\0\0\0".to_vec()]);
    let url = format!("postgresql://app@127.0.0.1:{broken}/x");
    let run = rsqoop(&["list-tables", "--connect", &url], Some("pw"));
    assert!(run.story().contains("does not answer as PostgreSQL"), "{}", run.story());
    assert_eq!(run.status, 3);
}

#[test]
fn missing_rights_and_databases_are_named() {
    for server in Server::NETWORK {
        let db = database(server, "rights");
        let run = import_table(&db, &native(&db, "app", ""), Some("pw"), "secret", &[]);
        let status = run.status;
        assert!([2, 3].contains(&status), "{server:?}: {}", run.story());
        run.refused(status, &["secret"]);
        let query = "SELECT id FROM secret WHERE $CONDITIONS";
        let target = db.path("query").display().to_string();
        let url = native(&db, "app", "");
        let run = rsqoop(
            &["import", "--connect", &url, "-e", query, "--target-dir", &target],
            Some("pw"),
        );
        assert!([2, 3].contains(&run.status), "{server:?}: {}", run.story());
        let url = native(&db, "app", "").replace(&db.name, "no_such_database");
        let run = import(&db, &url, Some("pw"), &[]);
        let status = run.status;
        assert!([2, 3].contains(&status), "{server:?}: {}", run.story());
        run.refused(status, &["no_such_database"]);
    }
}
