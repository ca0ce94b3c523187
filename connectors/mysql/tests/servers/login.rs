//! Logins, TLS and what goes wrong with them.
//!
//! `RSQOOP_TEST_CERTS` is a directory with the MariaDB server's `ca.crt`, an unrelated
//! `other-ca.crt`, and `client.crt`, `client.key` with the subject `CN=app`.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::common::{both, mariadb, mysql, run};
use rsqoop_connector::{ConnectTarget, Connector, Error, ErrorKind, Location};
use rsqoop_mysql::MySql;

fn fails(target: &ConnectTarget) -> Error {
    match MySql.connect(target) {
        Ok(_) => panic!("the login worked"),
        Err(error) => {
            assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
            error
        }
    }
}

fn certs(file: &str) -> String {
    let dir = std::env::var("RSQOOP_TEST_CERTS")
        .expect("set RSQOOP_TEST_CERTS to the directory of the MariaDB server's certificates");
    format!("{dir}/{file}")
}

fn user(session: &mut crate::common::Open, name: &str, how: &str) {
    run(session, &format!("DROP USER IF EXISTS {name}"));
    run(session, &format!("CREATE USER {name} {how}"));
}

#[test]
fn wrong_password_user_and_database() {
    let _turn = crate::common::shared();
    for server in both() {
        let error = fails(&server.user("nobody", "geheim", &[]));
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert!(error.hint_text().is_some());
        let error = fails(&server.target("rsqoop_no_such_db", &[]));
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.message().contains("rsqoop_no_such_db"), "{error:?}");
    }
}

#[test]
fn nothing_listens_nobody_answers_or_somebody_else_does() {
    let _turn = crate::common::shared();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = ConnectTarget::parse(&format!("mysql://root@127.0.0.1:{free}/")).unwrap();
    let error = fails(&target);
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains(&format!("127.0.0.1:{free}")), "{error:?}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut target = ConnectTarget::parse(&format!("mysql://root@127.0.0.1:{port}/")).unwrap();
    target.connect_timeout = Duration::from_millis(500);
    let start = Instant::now();
    let error = fails(&target);
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains("0.5 s"), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(2));

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = other.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 100]);
    });
    let target = ConnectTarget::parse(&format!("mysql://root@127.0.0.1:{port}/")).unwrap();
    assert_eq!(fails(&target).kind(), ErrorKind::Connect);
    thread.join().unwrap();

    let target = ConnectTarget::parse("mysql://root@no-such-host.invalid/").unwrap();
    assert_eq!(fails(&target).kind(), ErrorKind::Connect);
}

#[test]
fn certificates_are_checked_as_far_as_the_mode_says() {
    let _turn = crate::common::shared();
    let server = mariadb();
    let connects = |params: &[(&str, &str)]| MySql.connect(&server.target("", params)).map(|_| ());
    let (ca, other) = (certs("ca.crt"), certs("other-ca.crt"));
    connects(&[("sslMode", "REQUIRED")]).unwrap();
    connects(&[("sslMode", "VERIFY_CA"), ("sslCa", &ca)]).unwrap();
    connects(&[("sslMode", "VERIFY_IDENTITY"), ("sslCa", &ca)]).unwrap();
    for mode in ["VERIFY_CA", "VERIFY_IDENTITY"] {
        let error = connects(&[("sslMode", mode), ("sslCa", &other)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
        assert!(error.hint_text().unwrap().contains("sslCa"), "{error:?}");
        // The system's own CAs did not sign it either.
        assert!(connects(&[("sslMode", mode)]).is_err());
    }
    // 127.0.0.2 is the same machine under an address that is in no certificate; the server may
    // not listen there, a relay does.
    let mut target = server.target("", &[("sslMode", "VERIFY_CA"), ("sslCa", &ca)]);
    let Location::Server { host, port, .. } = &mut target.location else { panic!() };
    *host = "127.0.0.2".to_string();
    *port = Some(relay(&server));
    MySql.connect(&target).map(|_| ()).unwrap();
    target.params[0].1 = "VERIFY_IDENTITY".to_string();
    let error = fails(&target);
    assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
    assert!(error.hint_text().unwrap().contains("VERIFY_CA"), "{error:?}");
}

/// Passes bytes on from a port on all addresses to the server.
fn relay(server: &crate::common::Server) -> u16 {
    let Location::Server { host, port, .. } = server.target("", &[]).location else {
        panic!("{} names no server", server.url)
    };
    let listener = TcpListener::bind("0.0.0.0:0").expect("a free port");
    let at = listener.local_addr().expect("its number").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let back = TcpStream::connect((host.as_str(), port.unwrap_or(3306)));
            let Ok(back) = back else { return };
            let (Ok(client2), Ok(back2)) = (client.try_clone(), back.try_clone()) else { return };
            for (mut from, mut to) in [(client2, back2), (back, client)] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    at
}

#[test]
fn client_certificates() {
    let _turn = crate::common::shared();
    let server = mariadb();
    let mut root = server.session("", &[]);
    user(&mut root, "rsqoop_cert", "IDENTIFIED BY 'geheim' REQUIRE SUBJECT '/CN=app'");
    let (cert, key) = (certs("client.crt"), certs("client.key"));
    let params = [("sslMode", "REQUIRED"), ("sslCert", cert.as_str()), ("sslKey", key.as_str())];
    MySql.connect(&server.user("rsqoop_cert", "geheim", &params)).map(|_| ()).unwrap();
    let error = fails(&server.user("rsqoop_cert", "geheim", &params[..1]));
    assert_eq!(error.kind(), ErrorKind::Auth);
    let error = fails(&server.user("rsqoop_cert", "geheim", &params[..2]));
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[test]
fn every_way_to_prove_a_password() {
    let _turn = crate::common::shared();
    let server = mariadb();
    let mut root = server.session("", &[]);
    user(
        &mut root,
        "rsqoop_native",
        "IDENTIFIED VIA mysql_native_password USING PASSWORD('geheim')",
    );
    // The plugin stays installed; installing it twice is an error of its own.
    let _ = root.execute("INSTALL SONAME 'auth_ed25519'");
    user(&mut root, "rsqoop_ed", "IDENTIFIED VIA ed25519 USING PASSWORD('geheim')");
    for name in ["rsqoop_native", "rsqoop_ed"] {
        for mode in ["DISABLED", "REQUIRED"] {
            let params = [("sslMode", mode)];
            MySql.connect(&server.user(name, "geheim", &params)).map(|_| ()).unwrap();
            assert_eq!(fails(&server.user(name, "geheim2", &params)).kind(), ErrorKind::Auth);
        }
    }
    let server = mysql();
    let mut root = server.session("", &[]);
    for plugin in ["caching_sha2_password", "sha256_password"] {
        user(&mut root, "rsqoop_sha", &format!("IDENTIFIED WITH {plugin} BY 'geheim'"));
        let plain = [("sslMode", "DISABLED")];
        let error = fails(&server.user("rsqoop_sha", "geheim", &plain));
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert!(error.hint_text().unwrap().contains("allowPublicKeyRetrieval"), "{error:?}");
        let key = [("sslMode", "DISABLED"), ("allowPublicKeyRetrieval", "true")];
        assert_eq!(fails(&server.user("rsqoop_sha", "wrong geheim", &key)).kind(), ErrorKind::Auth);
        MySql.connect(&server.user("rsqoop_sha", "geheim", &key)).map(|_| ()).unwrap();
        if plugin == "caching_sha2_password" {
            // Now the server's cache knows it, and no key is needed.
            MySql.connect(&server.user("rsqoop_sha", "geheim", &plain)).map(|_| ()).unwrap();
        }
        run(&mut root, "FLUSH PRIVILEGES");
        MySql.connect(&server.user("rsqoop_sha", "geheim", &[])).map(|_| ()).unwrap();
    }
}

#[test]
fn rights_that_are_missing_are_named() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut root = server.fresh("rsqoop_rights");
        run(&mut root, "CREATE TABLE t (id int PRIMARY KEY, secret int)");
        run(&mut root, "CREATE TABLE u (id int)");
        user(&mut root, "rsqoop_few", "IDENTIFIED BY 'geheim'");
        run(&mut root, "GRANT SELECT (id) ON rsqoop_rights.t TO rsqoop_few");
        let mut target = server.user("rsqoop_few", "geheim", &[]);
        let Location::Server { database, .. } = &mut target.location else { panic!() };
        *database = Some("rsqoop_rights".to_string());
        let mut session = MySql.connect(&target).unwrap();
        for name in ["t", "u"] {
            let error = session.describe(&crate::common::table(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
        }
        let mut session = MySql.connect(&server.user("rsqoop_few", "geheim", &[])).unwrap();
        assert!(session.databases().unwrap().contains(&"rsqoop_rights".to_string()));
    }
}

#[test]
fn the_session_is_named_for_the_server() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.session("", &[]);
        let info = session.server().unwrap();
        assert_eq!(info.product, if server.mariadb { "MariaDB" } else { "MySQL" });
        assert!(info.version.starts_with(|c: char| c.is_ascii_digit()), "{info:?}");
        assert!(!info.version.starts_with("5.5.5-"), "{info:?}");
    }
}
