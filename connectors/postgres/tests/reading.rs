//! The reading loop: batches, ends, failures, interrupts, snapshots.

mod common;

use std::time::{Duration, Instant};

use common::{Failing, Lines, in_schema, query, read_all, rows, run, session, table};
use rsqoop_connector::{ErrorKind, Relation, Session};

fn big(s: &mut dyn Session, rows: usize) {
    run(
        s,
        &[
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            &format!("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, {rows}) i"),
        ],
    );
}

#[test]
fn batches_respect_rows_and_bytes() {
    let s = &mut *in_schema("r_batches");
    big(s, 10_000);
    let info = s.describe(&table("t")).unwrap();
    let mut read = query(&table("t"), &info, false);
    for batch_rows in [1, 7, 512, 4096, 100_000] {
        read.batch_rows = batch_rows;
        let batches = read_all(s, &read);
        assert_eq!(rows(&batches), 10_000);
        let (last, full) = batches.split_last().unwrap();
        assert!(full.iter().all(|b| b.num_rows() == batch_rows));
        assert!(last.num_rows() <= batch_rows);
        if batch_rows == 1 {
            // The session serves many reads.
            assert_eq!(batches.len(), 10_000);
        }
    }
    read.batch_bytes = 200_000;
    let batches = read_all(s, &read);
    assert!((4..=8).contains(&batches.len()), "{}", batches.len());
    read.filter = Some("id <= 0".to_string());
    assert!(read_all(s, &read).is_empty());
}

#[test]
fn very_large_values() {
    let s = &mut *in_schema("r_large");
    run(
        s,
        &[
            "CREATE TABLE t (id int, v text)",
            "INSERT INTO t SELECT i, repeat('ä', 20000000) FROM generate_series(1, 3) i",
        ],
    );
    let info = s.describe(&table("t")).unwrap();
    let batches = read_all(s, &query(&table("t"), &info, false));
    assert_eq!((batches.len(), rows(&batches)), (3, 3));
}

#[test]
fn a_failed_sink_ends_the_read_with_its_own_error() {
    let s = &mut *in_schema("r_sink");
    big(s, 200_000);
    let info = s.describe(&table("t")).unwrap();
    let mut read = query(&table("t"), &info, false);
    read.batch_rows = 1000;
    let begin = Instant::now();
    let error = s.read(&read, &mut Failing(2)).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Storage, "the disk is full"));
    assert!(begin.elapsed() < Duration::from_secs(5));
    // The session says so, and never delivers the rest of the former statement.
    let error = s.read(&read, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    assert!(error.message().contains("the disk is full"), "{error:?}");
    assert_eq!(s.describe(&table("t")).unwrap_err().kind(), ErrorKind::Source);
    assert!(s.server().is_err());
}

#[test]
fn a_statement_that_fails_midway_is_an_error() {
    let s = &mut *in_schema("r_midway");
    big(s, 10_000);
    let relation = Relation::Query(
        "SELECT id, 1 / (id - 9000) AS q FROM t WHERE $CONDITIONS -- all".to_string(),
    );
    let info = s.describe(&relation).unwrap();
    let mut batches = Vec::new();
    let error = s.read(&query(&relation, &info, false), &mut batches).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source, "{error:?}");
    assert!(error.message().contains("division by zero"), "{error:?}");
}

#[test]
fn a_killed_connection_is_never_an_end() {
    let s = &mut *in_schema("r_killed");
    big(s, 200_000);
    let info = s.describe(&table("t")).unwrap();
    let mut lines = Lines::default();
    s.evaluate("SELECT pg_backend_pid()", &mut lines).unwrap();
    let pid = lines.0[1].strip_prefix("row ").unwrap().to_string();
    struct Killing(Option<String>);
    impl rsqoop_connector::BatchSink for Killing {
        fn push(&mut self, _: arrow_array::RecordBatch) -> rsqoop_connector::Result<()> {
            if let Some(pid) = self.0.take() {
                session().evaluate(
                    &format!("SELECT pg_terminate_backend({pid})"),
                    &mut Lines::default(),
                )?;
            }
            Ok(())
        }
    }
    let mut read = query(&table("t"), &info, false);
    read.batch_rows = 1000;
    let error = s.read(&read, &mut Killing(Some(pid))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source, "{error:?}");
}

#[test]
fn an_interrupt_ends_a_waiting_read_on_both_sides() {
    let s = &mut *in_schema("r_interrupt");
    let relation = Relation::Query(
        "SELECT 1 AS a, pg_sleep(60)::text AS interrupted_sleep WHERE $CONDITIONS".to_string(),
    );
    let info = s.describe(&relation).unwrap();
    let read = query(&relation, &info, false);
    let stop = s.interrupter();
    let begin = Instant::now();
    let other = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        stop.interrupt();
        stop.interrupt();
    });
    let error = s.read(&read, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    other.join().unwrap();
    let asks = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%interrupted_sleep%' \
                AND state = 'active' AND pid <> pg_backend_pid()";
    let mut left = String::new();
    for _ in 0..30 {
        let mut lines = Lines::default();
        session().evaluate(asks, &mut lines).unwrap();
        left.clone_from(&lines.0[1]);
        if left == "row 0" {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(left, "row 0", "the server goes on");
    assert_eq!(s.read(&read, &mut Vec::new()).unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn a_future_read_is_interrupted_too() {
    let s = &mut *in_schema("r_future");
    big(s, 10);
    let info = s.describe(&table("t")).unwrap();
    s.interrupter().interrupt();
    let error = s.read(&query(&table("t"), &info, false), &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn a_silent_server_is_not_waited_for_for_ever() {
    use rsqoop_connector::Connector;
    let mut target = common::target(&common::superuser_url());
    target.read_timeout = Duration::from_secs(1);
    let mut s = rsqoop_postgres::Postgres.connect(&target).unwrap();
    let relation = Relation::Query("SELECT pg_sleep(20)::text AS a WHERE $CONDITIONS".to_string());
    let info = s.describe(&relation).unwrap();
    let begin = Instant::now();
    let error = s.read(&query(&relation, &info, false), &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    assert!(error.message().contains("1 s"), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(4));
}
