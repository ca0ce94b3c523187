//! What one session learns of another, and how long a silent server is waited for.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;

use crate::common::{Open, Server, both, describe, query, run, table, try_read};
use rsqoop_connector::{
    BatchSink, ConnectTarget, Connector, ErrorKind, Location, Relation, Result,
};
use rsqoop_mysql::MySql;

/// Takes one batch and then waits to be told.
struct Slow(mpsc::Receiver<()>);

impl BatchSink for Slow {
    fn push(&mut self, _batch: RecordBatch) -> Result<()> {
        let _ = self.0.recv();
        Ok(())
    }
}

fn seen(keeper: &mut Open, backend: &str) -> rsqoop_connector::Activity {
    keeper.activity(backend).expect("it works").expect("the server knows the session")
}

#[test]
fn working_waiting_and_idle_sessions_are_told_apart() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut root = server.fresh("rsqoop_watch");
        run(&mut root, "CREATE TABLE t (id int PRIMARY KEY, v longtext)");
        for i in 0..30 {
            run(&mut root, &format!("INSERT INTO t VALUES ({i}, REPEAT('x', 1000000))"));
        }
        // Nobody reads: the server waits for us.
        let mut reader = server.session("rsqoop_watch", &[]);
        let backend = reader.backend().unwrap();
        let info = describe(&mut reader, &table("t"));
        let mut q = query(&info, &table("t"), false);
        q.batch_rows = 1;
        assert!(!seen(&mut root, &backend).working);
        let (go, wait) = mpsc::channel();
        let thread = std::thread::spawn(move || reader.read(&q, &mut Slow(wait)));
        std::thread::sleep(Duration::from_millis(700));
        assert!(!seen(&mut root, &backend).working, "MariaDB {}", server.mariadb);
        drop(go);
        thread.join().unwrap().unwrap();
        // It computes.
        let mut busy = server.session("rsqoop_watch", &[]);
        let backend = busy.backend().unwrap();
        let stop = busy.interrupter();
        let thread = std::thread::spawn(move || busy.execute("DO SLEEP(20)"));
        std::thread::sleep(Duration::from_millis(300));
        let activity = seen(&mut root, &backend);
        assert!(activity.working && activity.waits_for.is_none(), "{activity:?}");
        stop.interrupt();
        let _ = thread.join().unwrap();
        // It waits for a lock.
        run(&mut root, "LOCK TABLES t WRITE");
        let mut stuck = server.session("rsqoop_watch", &[]);
        let backend = stuck.backend().unwrap();
        let thread = std::thread::spawn(move || stuck.execute("DO (SELECT MAX(id) FROM t)"));
        std::thread::sleep(Duration::from_millis(300));
        let activity = seen(&mut root, &backend);
        assert!(activity.working, "{activity:?}");
        assert_eq!(activity.waits_for.as_deref(), Some("Waiting for table metadata lock"));
        run(&mut root, "UNLOCK TABLES");
        thread.join().unwrap().unwrap();
        assert!(root.activity("999999999").unwrap().is_none());
        assert!(root.activity("no number").unwrap().is_none());
    }
}

#[test]
fn a_server_that_works_is_waited_for_and_a_silent_one_is_not() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.session("", &[("socketTimeout", "1000")]);
        let start = Instant::now();
        let error = session.execute("DO SLEEP(20)").unwrap_err();
        assert!(error.is_transient() && error.kind() == ErrorKind::Source, "{error:?}");
        let waited = start.elapsed();
        assert!(waited > Duration::from_millis(900) && waited < Duration::from_secs(3));
        let mut session = server.session("", &[("socketTimeout", "1000")]);
        let beat = session.interrupter();
        let (done, over) = mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            while over.recv_timeout(Duration::from_millis(300)).is_err() {
                beat.still_working();
            }
        });
        run(&mut session, "DO SLEEP(3)");
        done.send(()).unwrap();
        watch.join().unwrap();
        // The limit is what it was.
        let start = Instant::now();
        assert!(session.execute("DO SLEEP(20)").is_err());
        assert!(start.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn many_stopped_sessions_need_one_more_connection_at_a_time() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut root = server.fresh("rsqoop_many");
        let mut stops = Vec::new();
        let mut threads = Vec::new();
        for _ in 0..12 {
            let mut session = server.session("rsqoop_many", &[]);
            stops.push(session.interrupter());
            threads.push(std::thread::spawn(move || session.execute("DO SLEEP(30)")));
        }
        std::thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        let killers: Vec<_> = stops
            .into_iter()
            .map(|stop| std::thread::spawn(move || Arc::clone(&stop).interrupt()))
            .collect();
        for thread in killers {
            thread.join().unwrap();
        }
        for thread in threads {
            assert_eq!(thread.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let left = Relation::Query(
            "SELECT id FROM information_schema.processlist WHERE info LIKE 'DO SLEEP(30)%' \
             AND $CONDITIONS"
                .to_string(),
        );
        let info = describe(&mut root, &left);
        std::thread::sleep(Duration::from_millis(300));
        assert!(crate::common::read(&mut root, &query(&info, &left, false)).is_empty());
    }
}

/// Passes bytes on to the server and back, and lets go of both after so many bytes from the server.
fn relay(server: &Server, limit: &Arc<AtomicUsize>) -> u16 {
    let Location::Server { host, port, .. } = server.target("", &[]).location else {
        panic!("{} names no server", server.url)
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("its number").port();
    let limit = Arc::clone(limit);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(back) = TcpStream::connect((host.as_str(), port.unwrap_or(3306))) else {
                return;
            };
            let (Ok(from), Ok(to)) = (client.try_clone(), back.try_clone()) else { return };
            std::thread::spawn(move || {
                let (mut from, mut to) = (from, to);
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            let limit = Arc::clone(&limit);
            std::thread::spawn(move || {
                let (mut back, mut client) = (back, client);
                let mut buffer = vec![0; 4096];
                while let Ok(n @ 1..) = back.read(&mut buffer) {
                    let left = limit.load(Ordering::SeqCst);
                    let pass = n.min(left);
                    limit.store(left - pass, Ordering::SeqCst);
                    if client.write_all(&buffer[..pass]).is_err() || pass < n {
                        break;
                    }
                }
                let _ = client.shutdown(Shutdown::Both);
                let _ = back.shutdown(Shutdown::Both);
            });
        }
    });
    at
}

fn through(server: &Server, port: u16, mode: &str) -> ConnectTarget {
    let mut target = server.target("rsqoop_cut", &[("sslMode", mode)]);
    let Location::Server { port: p, .. } = &mut target.location else { panic!() };
    *p = Some(port);
    target
}

#[test]
fn a_connection_cut_at_any_byte_is_transient_and_never_the_end() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut root = server.fresh("rsqoop_cut");
        run(&mut root, "CREATE TABLE t (id int PRIMARY KEY, v varchar(100))");
        for i in 0..200 {
            run(&mut root, &format!("INSERT INTO t VALUES ({i}, REPEAT('x', 90))"));
        }
        let info = describe(&mut root, &table("t"));
        let q = query(&info, &table("t"), false);
        for mode in ["DISABLED", "REQUIRED"] {
            let limit = Arc::new(AtomicUsize::new(usize::MAX));
            let port = relay(&server, &limit);
            let mut complete = false;
            let mut bytes = 0;
            while !complete {
                limit.store(usize::MAX, Ordering::SeqCst);
                let mut session = MySql.connect(&through(&server, port, mode)).unwrap();
                limit.store(bytes, Ordering::SeqCst);
                match try_read(&mut session, &q) {
                    Ok(rows) => {
                        let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
                        assert_eq!(count, 200, "{mode}, cut at {bytes}");
                        complete = true;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Source, "{bytes}: {error:?}");
                        assert!(error.is_transient(), "{mode}, cut at {bytes}: {error:?}");
                    }
                }
                // Many places in the head, then steps that meet every position in a row.
                bytes += if bytes < 300 { 7 } else { 397 };
            }
            assert!(bytes > 15_000, "{bytes}");
            for bytes in (0..2000).step_by(37) {
                limit.store(bytes, Ordering::SeqCst);
                if let Err(error) = MySql.connect(&through(&server, port, mode)) {
                    assert_eq!(error.kind(), ErrorKind::Connect, "{mode}, {bytes}: {error:?}");
                }
            }
        }
    }
}

#[test]
fn a_full_queue_at_a_unix_socket_does_not_hang() {
    let place = std::env::temp_dir().join(format!("rsqoop-full-{}.s", std::process::id()));
    let _ = std::fs::remove_file(&place);
    let address = rustix::net::SocketAddrUnix::new(&place).unwrap();
    let kind = rustix::net::SocketType::STREAM;
    let family = rustix::net::AddressFamily::UNIX;
    let listener = rustix::net::socket(family, kind, None).unwrap();
    rustix::net::bind(&listener, &address).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let client = std::os::unix::net::UnixStream::from(
                rustix::net::socket(family, kind, None).unwrap(),
            );
            client.set_nonblocking(true).unwrap();
            // The queue is full when this fails.
            let _ = rustix::net::connect(&client, &address);
            client
        })
        .collect();
    let text = place.to_str().unwrap();
    let mut target =
        ConnectTarget::parse(&format!("mysql://root@localhost/?socket={text}")).unwrap();
    target.connect_timeout = Duration::from_millis(400);
    let start = Instant::now();
    let error = MySql.connect(&target).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
    assert!(error.is_transient());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    drop(waiting);
    std::fs::remove_file(&place).unwrap();
}
