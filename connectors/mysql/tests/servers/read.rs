//! Streams: large values, batch limits, interrupts, lost connections, failing sinks, `evaluate`.

use std::time::{Duration, Instant};

use crate::common::{both, column, describe, query, read, run, table, try_read};
use arrow_array::RecordBatch;
use rsqoop_connector::{
    BatchSink, Connector, Error, ErrorKind, KeyRange, Relation, Result, TextColumn, TextSink,
};
use rsqoop_mysql::MySql;

/// Numbers 0 to 999,999 without a table.
fn million() -> String {
    let digits = "(SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION \
                  SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)";
    let from: Vec<String> = (0..6).map(|i| format!("{digits} AS t{i}")).collect();
    let sum: Vec<String> = (0..6).map(|i| format!("t{i}.d * {}", 10u32.pow(i))).collect();
    format!("SELECT {} AS n FROM {} WHERE $CONDITIONS", sum.join(" + "), from.join(", "))
}

#[test]
fn values_larger_than_a_packet() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut root = server.fresh("rsqoop_large");
        run(&mut root, "SET GLOBAL max_allowed_packet = 1073741824");
        let mut session = server.session("rsqoop_large", &[]);
        run(&mut session, "CREATE TABLE t (id int PRIMARY KEY, c longtext, b longblob)");
        for (id, len) in [(1, 10_000_000), (2, 20_000_000), (3, 16_777_215), (4, 40_000_000)] {
            run(
                &mut session,
                &format!("INSERT INTO t VALUES ({id}, REPEAT('x', {len}), REPEAT(x'FF', {len}))"),
            );
        }
        let what = table("t");
        let info = describe(&mut session, &what);
        let lengths = |rows: &[RecordBatch], i| -> Vec<usize> {
            column(rows, i).iter().map(String::len).collect()
        };
        let want = [10_000_000, 20_000_000, 16_777_215, 40_000_000];
        let rows = read(&mut session, &query(&info, &what, false));
        assert_eq!(lengths(&rows, 1), want);
        // Shown as two digits a byte, natively as well as by the connector.
        let twice = want.map(|n| n * 2);
        assert_eq!(lengths(&rows, 2), twice);
        let rows = read(&mut session, &query(&info, &what, true));
        assert_eq!((lengths(&rows, 1), lengths(&rows, 2)), (want.to_vec(), twice.to_vec()));
        run(&mut session, "DROP DATABASE rsqoop_large");
    }
}

#[test]
fn batches_keep_their_limits() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.session("", &[]);
        let what = Relation::Query(million());
        let info = describe(&mut session, &what);
        let mut q = query(&info, &what, false);
        q.batch_rows = 4096;
        let rows = read(&mut session, &q);
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1_000_000);
        assert!(rows.iter().all(|b| b.num_rows() <= 4096));
        q.batch_rows = usize::MAX;
        q.batch_bytes = 100_000;
        let rows = read(&mut session, &q);
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1_000_000);
        assert!(rows.len() > 10);
        q.range = KeyRange::Between {
            key: rsqoop_connector::SplitKey::new("1".to_string(), None),
            lower: Some(rsqoop_connector::KeyValue::Integer(2)),
            upper: None,
            upper_inclusive: false,
        };
        assert!(read(&mut session, &q).is_empty());
    }
}

struct Failing(usize);

impl BatchSink for Failing {
    fn push(&mut self, _: RecordBatch) -> Result<()> {
        self.0 += 1;
        if self.0 > 2 { Err(Error::new(ErrorKind::Storage, "disk full")) } else { Ok(()) }
    }
}

#[test]
fn a_failed_sink_ends_the_session() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.session("", &[]);
        let what = Relation::Query(million());
        let info = describe(&mut session, &what);
        let mut q = query(&info, &what, false);
        q.batch_rows = 1000;
        let error = session.read(&q, &mut Failing(0)).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Storage, "disk full"));
        let error = try_read(&mut session, &q).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source, "{error:?}");
    }
}

#[test]
fn a_refused_statement_leaves_the_session_usable() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.fresh("rsqoop_refused");
        run(&mut session, "CREATE TABLE t (id int)");
        run(&mut session, "INSERT INTO t VALUES (7)");
        let info = describe(&mut session, &table("t"));
        let mut q = query(&info, &table("t"), false);
        q.filter = Some("nope = 1".to_string());
        assert_eq!(try_read(&mut session, &q).unwrap_err().kind(), ErrorKind::Usage);
        q.filter = Some("(SELECT id FROM t UNION SELECT 8) = 7".to_string());
        let error = try_read(&mut session, &q).unwrap_err();
        assert!(error.message().contains("1242"), "{error:?}");
        q.filter = None;
        assert_eq!(column(&read(&mut session, &q), 0), ["7"]);
        run(&mut session, "ALTER TABLE t MODIFY id bigint");
        let error = try_read(&mut session, &q).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error:?}");
    }
}

#[test]
fn an_interrupt_stops_waiting_and_streaming() {
    let _turn = crate::common::shared();
    for server in both() {
        for sql in [
            "SELECT SLEEP(60) AS s FROM (SELECT 1) AS x WHERE $CONDITIONS".to_string(),
            million().replace(
                "WHERE",
                ", (SELECT 1 UNION ALL SELECT 1 UNION ALL SELECT 1) AS more WHERE",
            ),
        ] {
            let mut session = server.session("", &[]);
            let what = Relation::Query(sql);
            let info = describe(&mut session, &what);
            let mut q = query(&info, &what, false);
            q.batch_rows = 1000;
            let stop = session.interrupter();
            let thread = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                stop.interrupt();
                stop.interrupt();
            });
            let start = Instant::now();
            let mut sink = Slow;
            let error = session.read(&q, &mut sink).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
            assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
            thread.join().unwrap();
            let error = session.read(&q, &mut sink).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled);
            let mut other = server.session("", &[]);
            let left = running(&mut other, "SLEEP(60)");
            assert_eq!(left, 0, "the statement still runs on the server");
        }
    }
}

struct Slow;

impl BatchSink for Slow {
    fn push(&mut self, _: RecordBatch) -> Result<()> {
        std::thread::sleep(Duration::from_millis(5));
        Ok(())
    }
}

#[derive(Default)]
struct Text(Vec<String>);

impl TextSink for Text {
    fn columns(&mut self, columns: &[TextColumn]) -> Result<()> {
        self.0.extend(columns.iter().map(|c| format!("{}:{}", c.name, c.display_size)));
        Ok(())
    }
    fn row(&mut self, values: &[Option<String>]) -> Result<()> {
        let values: Vec<&str> = values.iter().map(|v| v.as_deref().unwrap_or("(null)")).collect();
        self.0.push(values.join("|"));
        Ok(())
    }
    fn end(&mut self) -> Result<()> {
        self.0.push("end".to_string());
        Ok(())
    }
    fn updated(&mut self, rows: u64) -> Result<()> {
        self.0.push(format!("updated {rows}"));
        Ok(())
    }
}

fn evaluate(session: &mut crate::common::Open, sql: &str) -> Vec<String> {
    let mut out = Text::default();
    session.evaluate(sql, &mut out).unwrap_or_else(|e| panic!("{e:?}"));
    out.0
}

fn running(session: &mut crate::common::Open, part: &str) -> usize {
    let rows = evaluate(session, "SHOW FULL PROCESSLIST");
    rows.iter().filter(|r| r.contains(part) && r.contains("|Query|")).count()
}

#[test]
fn statements_as_text() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.fresh("rsqoop_eval");
        assert_eq!(
            evaluate(
                &mut session,
                "CREATE TABLE t (id int, v varchar(20), d datetime, b bit(3), x varbinary(4), n bigint)"
            ),
            ["updated 0"]
        );
        assert_eq!(
            evaluate(
                &mut session,
                "INSERT INTO t VALUES (1, 'ä', '2020-01-01', 5, x'FF00', 9), (2, NULL, NULL, NULL, 'ok', NULL)"
            ),
            ["updated 2"]
        );
        assert_eq!(
            evaluate(&mut session, "SELECT * FROM t ORDER BY id"),
            [
                "id:11",
                "v:20",
                "d:19",
                "b:3",
                "x:4",
                "n:20",
                "1|ä|2020-01-01 00:00:00|5|0xFF00|9",
                "2|(null)|(null)|(null)|ok|(null)",
                "end"
            ]
        );
        let error = session.evaluate("SELECT * FROM nope", &mut Text::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(evaluate(&mut session, "UPDATE t SET v = 'x'"), ["updated 2"]);
        run(&mut session, "CREATE PROCEDURE two() BEGIN SELECT 1 AS a; SELECT 2 AS b; END");
        let rows = evaluate(&mut session, "CALL two()");
        assert_eq!(rows.iter().filter(|r| *r == "end").count(), 2, "{rows:?}");
        let error = session.evaluate("SELECT 1; SELECT 2", &mut Text::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        let mut several = server.session("rsqoop_eval", &[("allowMultiQueries", "true")]);
        assert_eq!(evaluate(&mut several, "SELECT 1 AS a; SELECT 2 AS b").len(), 6);
        run(&mut session, "SET GLOBAL max_allowed_packet = 1073741824");
        let mut long = server.session("rsqoop_eval", &[]);
        let text = evaluate(&mut long, "SELECT REPEAT('y', 17000000) AS y");
        assert_eq!(text[1].len(), 17_000_000);
    }
}

#[test]
fn a_killed_connection_is_never_an_end() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.session("", &[]);
        let id = evaluate(&mut session, "SELECT CONNECTION_ID() AS c")[1].clone();
        let what = Relation::Query(million());
        let info = describe(&mut session, &what);
        let mut q = query(&info, &what, false);
        q.batch_rows = 1000;
        let killer = server.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            let mut other = killer.session("", &[]);
            run(&mut other, &format!("KILL {id}"));
        });
        let error = session.read(&q, &mut Slow).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source, "{error:?}");
        thread.join().unwrap();
    }
}

#[test]
fn silence_has_a_limit() {
    let _turn = crate::common::shared();
    for server in both() {
        let target = server.target("", &[("socketTimeout", "700")]);
        let mut session = MySql.connect(&target).unwrap();
        let start = Instant::now();
        let error = session.execute("DO SLEEP(30)").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source);
        assert!(error.message().contains("silent"), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn results_do_not_depend_on_server_defaults() {
    let _turn = crate::common::shared();
    for server in both() {
        let variables = "sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH',\
                         time_zone='+05:00',sql_select_limit=1";
        let mut setup = server.fresh("rsqoop_defaults");
        run(&mut setup, "CREATE TABLE t (id int PRIMARY KEY, c char(5), s timestamp NULL)");
        run(&mut setup, "INSERT INTO t VALUES (1, 'a', '2020-01-01 00:00:00'), (2, 'b\\\\', NULL)");
        let mut session = server.session("rsqoop_defaults", &[("sessionVariables", variables)]);
        let info = describe(&mut session, &table("t"));
        let rows = read(&mut session, &query(&info, &table("t"), false));
        assert_eq!(column(&rows, 1), ["a", "b\\"]);
        assert_eq!(column(&rows, 2), ["1577836800000000", "NULL"]);
        let error =
            MySql.connect(&server.target("", &[("sessionVariables", "nonsense=1")])).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}
