//! Sessions that are silent or lost: what the server says of them, and how a read ends.

// Tells clippy that helpers outside `#[test]` functions are test code too.
#![cfg(test)]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{ask, database, in_schema, query, read_all, rows, run, session, share, table, target};
use rsqoop_connector::{Activity, Connector, Consistency, ErrorKind, KeyRange, Relation, Session};
use rsqoop_postgres::Postgres;

/// Asks until the answer is the wanted one.
fn until(
    keeper: &mut dyn Session,
    backend: &str,
    wanted: impl Fn(&Option<Activity>) -> bool,
) -> Option<Activity> {
    let begin = Instant::now();
    loop {
        let found = keeper.activity(backend).unwrap_or_else(|e| panic!("{e:?}"));
        if wanted(&found) || begin.elapsed() > Duration::from_secs(5) {
            return found;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_keeper_tells_what_another_session_waits_for() {
    let s = &mut *in_schema("w_activity");
    run(s, &["CREATE TABLE t (id int8)", "CREATE TABLE u (id int8)"]);
    let mut keeper = session();
    run(&mut *keeper, &["SET search_path = w_activity"]);
    share(&mut *keeper, &[table("u")], Consistency::Snapshot).unwrap();
    let mut reader = session();
    run(&mut *reader, &["SET search_path = w_activity"]);
    let backend = reader.backend().unwrap();
    assert_eq!(ask(&mut *reader, "SELECT pg_backend_pid()"), backend);
    let idle = keeper.activity(&backend).unwrap().unwrap();
    assert!(!idle.working, "{idle:?}");
    assert_eq!(idle.waits_for.as_deref(), Some("Client: ClientRead"));

    let info = s.describe(&table("t")).unwrap();
    let holder = s.backend().unwrap();
    run(s, &["BEGIN", "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"]);
    let read = query(&table("t"), &info, false);
    let blocked = thread::spawn(move || {
        let outcome = reader.read(&read, &mut Vec::new());
        (reader, outcome)
    });
    let seen = until(&mut *keeper, &backend, |a| a.as_ref().is_some_and(|a| a.working));
    let want = format!("Lock: relation (held by process {holder})");
    assert_eq!(seen, Some(Activity { working: true, waits_for: Some(want) }));
    run(s, &["COMMIT"]);
    let (mut reader, outcome) = blocked.join().unwrap();
    outcome.unwrap();

    let busy = thread::spawn(move || {
        run(&mut *reader, &["SELECT sum(i) FROM generate_series(1, 3000000) i"]);
        reader
    });
    let seen = until(&mut *keeper, &backend, |a| a.as_ref().is_some_and(|a| a.working));
    assert!(seen.is_some_and(|a| a.working));
    let reader = busy.join().unwrap();
    let seen = until(&mut *keeper, &backend, |a| a.as_ref().is_some_and(|a| !a.working));
    assert!(seen.is_some_and(|a| !a.working));
    drop(reader);
    assert_eq!(until(&mut *keeper, &backend, Option::is_none), None);
    assert_eq!(keeper.activity("nobody").unwrap_err().kind(), ErrorKind::Bug);
    // The keeper's transaction is whole.
    keeper.snapshot(&rsqoop_connector::SnapshotOp::Check).unwrap();
}

/// A session that waits one second for a silent server.
fn impatient() -> Box<dyn Session> {
    let mut target = target(&common::superuser_url());
    target.read_timeout = Duration::from_secs(1);
    Postgres.connect(&target).unwrap()
}

/// Tells a session every 200 ms that the server works, until told to stop.
fn reassure(session: &dyn Session) -> impl FnOnce() + use<> {
    let interrupter = session.interrupter();
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let thread = thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            interrupter.still_working();
            thread::sleep(Duration::from_millis(200));
        }
    });
    move || {
        over.store(true, Ordering::Relaxed);
        thread.join().unwrap();
    }
}

#[test]
fn a_working_server_may_be_silent() {
    let relation =
        Relation::Query("SELECT 1 AS a, pg_sleep(2.5)::text AS b WHERE $CONDITIONS".to_string());
    let mut s = impatient();
    let info = s.describe(&relation).unwrap();
    let read = query(&relation, &info, false);
    let enough = reassure(&*s);
    // Before the first row of a read, within it, and in a statement.
    assert_eq!(rows(&read_all(&mut *s, &read)), 1);
    assert_eq!(s.count(&read).unwrap(), Some(1));
    let midway = Relation::Query(
        "SELECT i, CASE WHEN i = 2 THEN pg_sleep(2.5)::text END AS b FROM generate_series(1, 3) i \
         WHERE $CONDITIONS"
            .to_string(),
    );
    let info = s.describe(&midway).unwrap();
    assert_eq!(rows(&read_all(&mut *s, &query(&midway, &info, false))), 3);
    enough();
    // After the last word the limit holds again.
    let begin = Instant::now();
    let error = s.execute("SELECT pg_sleep(10)").unwrap_err();
    assert!(error.is_transient() && error.message().contains("1 s"), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

/// Passes a connection on to the server and cuts it after so many bytes of the server's.
fn cut_after(bytes: usize) -> (u16, thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(("127.0.0.1", common::port())).unwrap();
        let (mut up_from, mut up_to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut up_from, &mut up_to));
        let (mut from, mut to) = (server, client);
        let mut passed = 0;
        let mut buffer = [0; 4096];
        while passed < bytes {
            let most = buffer.len().min(bytes - passed);
            match from.read(&mut buffer[..most]) {
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    passed += n;
                    if to.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
        let _ = from.shutdown(std::net::Shutdown::Both);
        passed
    });
    (port, handle)
}

#[test]
fn a_connection_cut_at_any_byte_is_worth_another_try() {
    let s = &mut *in_schema("w_cut");
    run(
        s,
        &[
            "CREATE TABLE t (id int8, v text)",
            "INSERT INTO t SELECT i, 'value ' || i FROM generate_series(1, 200) i",
            "GRANT USAGE ON SCHEMA w_cut TO app",
            "GRANT SELECT ON t TO app",
        ],
    );
    let attempt = |bytes: usize| -> (usize, rsqoop_connector::Result<usize>) {
        let (port, proxy) = cut_after(bytes);
        let url = format!(
            "postgresql://app:pw@127.0.0.1:{port}/{}?sslmode=disable&currentSchema=w_cut",
            database()
        );
        let outcome = Postgres.connect(&target(&url)).and_then(|mut s| {
            let info = s.describe(&table("t"))?;
            let mut read = query(&table("t"), &info, false);
            read.range = KeyRange::All;
            let mut batches = Vec::new();
            s.read(&read, &mut batches)?;
            Ok(rows(&batches))
        });
        (proxy.join().unwrap(), outcome)
    };
    let (all, outcome) = attempt(usize::MAX);
    assert_eq!(outcome.unwrap(), 200);
    let (mut cut, mut whole) = (0, 0);
    for bytes in (1..all).step_by(47).chain(all - 120..all) {
        match attempt(bytes).1 {
            // Only the farewell was cut.
            Ok(rows) => {
                assert_eq!(rows, 200, "cut after {bytes} bytes of {all}");
                whole += 1;
            }
            Err(error) => {
                assert!(error.is_transient(), "cut after {bytes} bytes of {all}: {error:?}");
                cut += 1;
            }
        }
    }
    assert!(cut > 100, "{cut} of {}", cut + whole);
}

#[test]
fn what_another_try_cannot_mend_is_not_tried() {
    let s = &mut *in_schema("w_final");
    run(s, &["CREATE TABLE t (id int8)", "INSERT INTO t VALUES (1)"]);
    for text in [
        "SELECT 1 / (id - 1) AS q FROM t WHERE $CONDITIONS",
        "SELECT nextval('none') AS q FROM t WHERE $CONDITIONS",
    ] {
        let relation = Relation::Query(text.to_string());
        let mut other = session();
        run(&mut *other, &["SET search_path = w_final"]);
        let error = other
            .describe(&relation)
            .and_then(|info| other.read(&query(&relation, &info, false), &mut Vec::new()))
            .unwrap_err();
        assert!(!error.is_transient(), "{error:?}");
    }
}
