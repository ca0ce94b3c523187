//! All sessions of a run see one state of the tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Open, both, column, describe, query, read, run, table};
use rsqoop_connector::{
    Connector, ErrorKind, Location, Relation, SnapshotId, SnapshotOp, TableName,
};
use rsqoop_mysql::MySql;

fn share(session: &mut Open, names: &[&str]) -> Option<SnapshotId> {
    let tables = names.iter().map(|n| TableName::new(*n)).collect();
    session.snapshot(&SnapshotOp::Share(tables)).unwrap_or_else(|e| panic!("{e:?}"))
}

fn total(session: &mut Open) -> i64 {
    let what =
        Relation::Query("SELECT CAST(SUM(v) AS SIGNED) AS s FROM t WHERE $CONDITIONS".to_string());
    let info = describe(session, &what);
    column(&read(session, &query(&info, &what, false)), 0)[0].parse().expect("a sum")
}

fn first_half(session: &mut Open, even: bool) -> i64 {
    let what = Relation::Query(format!(
        "SELECT CAST(SUM(v) AS SIGNED) AS s FROM t WHERE id % 2 = {} AND $CONDITIONS",
        i32::from(even)
    ));
    let info = describe(session, &what);
    column(&read(session, &query(&info, &what, false)), 0)[0].parse().expect("a sum")
}

#[test]
fn transfers_never_show_half() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut session = server.fresh("rsqoop_snap");
        run(&mut session, "CREATE TABLE t (id int PRIMARY KEY, v bigint) ENGINE=InnoDB");
        let rows: Vec<String> = (0..200).map(|i| format!("({i}, 1000)")).collect();
        run(&mut session, &format!("INSERT INTO t VALUES {}", rows.join(",")));
        let stop = Arc::new(AtomicBool::new(false));
        let (writer_stop, writer_server) = (Arc::clone(&stop), server.clone());
        let writer = std::thread::spawn(move || {
            let mut w = writer_server.session("rsqoop_snap", &[]);
            let mut i = 0u64;
            while !writer_stop.load(Ordering::Relaxed) {
                let (a, b) = (i * 7 % 200, (i * 13 % 200) ^ 1);
                run(&mut w, "START TRANSACTION");
                run(&mut w, &format!("UPDATE t SET v = v - 5 WHERE id = {a}"));
                run(&mut w, &format!("UPDATE t SET v = v + 5 WHERE id = {b}"));
                run(&mut w, "COMMIT");
                i += 1;
            }
            i
        });
        for _ in 0..10 {
            let mut keeper = server.session("rsqoop_snap", &[]);
            let mut readers: Vec<Open> =
                (0..4).map(|_| server.session("rsqoop_snap", &[])).collect();
            let id = share(&mut keeper, &["t"]).expect("a snapshot");
            assert!(id.0.starts_with("global read lock"), "{id}");
            for reader in &mut readers {
                reader.snapshot(&SnapshotOp::Join(id.clone())).unwrap();
            }
            keeper.snapshot(&SnapshotOp::Release).unwrap();
            std::thread::sleep(Duration::from_millis(30));
            let sum = first_half(&mut readers[0], false) + first_half(&mut readers[1], true);
            assert_eq!(sum, 200_000);
            assert!(readers.iter_mut().all(|r| total(r) == 200_000));
            // The keeper goes on as a plain session.
            describe(&mut keeper, &table("t"));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 10);
    }
}

#[test]
fn tables_without_row_versions_have_no_snapshot() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut session = server.fresh("rsqoop_snap_my");
        run(&mut session, "CREATE TABLE m (id int) ENGINE=MyISAM");
        run(&mut session, "CREATE TABLE t (id int) ENGINE=InnoDB");
        assert_eq!(share(&mut session, &["t", "m"]), None);
        assert_eq!(session.snapshot(&SnapshotOp::Release).unwrap(), None);
        run(&mut session, "INSERT INTO t VALUES (1)");
    }
}

#[test]
fn few_rights_mean_table_locks_or_none() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut root = server.fresh("rsqoop_snap_few");
        run(&mut root, "CREATE TABLE t (id int PRIMARY KEY)");
        for (grant, want) in [("SELECT, LOCK TABLES", Some("table read locks")), ("SELECT", None)] {
            run(&mut root, "DROP USER IF EXISTS rsqoop_snap");
            run(&mut root, "CREATE USER rsqoop_snap IDENTIFIED BY 'pw'");
            run(&mut root, &format!("GRANT {grant} ON rsqoop_snap_few.* TO rsqoop_snap"));
            let mut target = server.user("rsqoop_snap", "pw", &[]);
            let Location::Server { database, .. } = &mut target.location else { panic!() };
            *database = Some("rsqoop_snap_few".to_string());
            let mut session = MySql.connect(&target).unwrap();
            let mut reader = MySql.connect(&target).unwrap();
            let id = share(&mut session, &["t"]);
            match want {
                Some(text) => assert!(id.clone().unwrap().0.starts_with(text), "{id:?}"),
                None => assert_eq!(id, None),
            }
            if let Some(id) = id {
                reader.snapshot(&SnapshotOp::Join(id)).unwrap();
                session.snapshot(&SnapshotOp::Release).unwrap();
                run(&mut root, "INSERT INTO t VALUES (1)");
                let info = describe(&mut reader, &table("t"));
                let rows = read(&mut reader, &query(&info, &table("t"), false));
                assert!(column(&rows, 0).is_empty());
                run(&mut root, "DELETE FROM t");
            }
            describe(&mut session, &table("t"));
        }
    }
}

#[test]
fn the_lock_is_given_back_in_time() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut session = server.fresh("rsqoop_snap_late");
        run(&mut session, "CREATE TABLE t (id int PRIMARY KEY)");
        let mut writer = server.session("rsqoop_snap_late", &[]);
        share(&mut session, &["t"]).expect("a snapshot");
        let start = Instant::now();
        run(&mut writer, "INSERT INTO t VALUES (1)");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        let error = session.snapshot(&SnapshotOp::Release).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source);
        assert!(error.is_transient());
    }
}

#[test]
fn somebody_else_holds_the_lock() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut session = server.fresh("rsqoop_snap_busy");
        run(&mut session, "CREATE TABLE t (id int PRIMARY KEY)");
        let mut other = server.session("rsqoop_snap_busy", &[]);
        run(&mut other, "LOCK TABLES t WRITE");
        let start = Instant::now();
        let id = share(&mut session, &["t"]);
        assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
        assert_eq!(id, None);
        run(&mut other, "UNLOCK TABLES");
        describe(&mut session, &table("t"));
    }
}
