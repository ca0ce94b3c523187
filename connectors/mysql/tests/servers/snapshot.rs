//! All sessions of a run see one state of the tables, and nobody waits long for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Open, Server, both, column, describe, query, read, run, table, try_read};
use rsqoop_connector::{
    Connector, Consistency, Error, ErrorKind, Location, Relation, Result, SharedSnapshot,
    SnapshotOp, SnapshotRequest,
};
use rsqoop_mysql::MySql;

fn request(relations: Vec<Relation>, consistency: Consistency) -> SnapshotRequest {
    SnapshotRequest { relations, consistency }
}

fn tables(names: &[&str]) -> Vec<Relation> {
    names.iter().map(|name| table(name)).collect()
}

fn try_share(session: &mut Open, relations: Vec<Relation>) -> Result<Option<SharedSnapshot>> {
    session.snapshot(&SnapshotOp::Share(request(relations, Consistency::Snapshot)))
}

fn share(session: &mut Open, names: &[&str]) -> SharedSnapshot {
    try_share(session, tables(names)).unwrap_or_else(|e| panic!("{e:?}")).expect("a snapshot")
}

fn join(session: &mut Open, shared: &SharedSnapshot) -> Result<()> {
    session.snapshot(&SnapshotOp::Join(shared.id.clone())).map(|nothing| assert!(nothing.is_none()))
}

fn release(session: &mut Open) -> SharedSnapshot {
    session.snapshot(&SnapshotOp::Release).unwrap_or_else(|e| panic!("{e:?}")).expect("a recipe")
}

/// A keeper and a reader of the same state.
fn pair(server: &Server, database: &str, relations: Vec<Relation>) -> (Open, Open) {
    let mut keeper = server.session(database, &[]);
    let mut reader = server.session(database, &[]);
    let shared = try_share(&mut keeper, relations).expect("it works").expect("a snapshot");
    join(&mut reader, &shared).expect("it works");
    release(&mut keeper);
    (keeper, reader)
}

/// Milliseconds that a recipe says a lock was held for.
fn held(recipe: &str) -> u64 {
    let (before, _) = recipe.split_once(" ms").unwrap_or_else(|| panic!("{recipe}"));
    before.rsplit(' ').next().expect("it works").parse().unwrap_or_else(|_| panic!("{recipe}"))
}

fn login(server: &Server, database: &str, name: &str) -> Open {
    let mut target = server.user(name, "pw", &[]);
    let Location::Server { database: d, .. } = &mut target.location else { panic!() };
    *d = Some(database.to_string());
    MySql.connect(&target).unwrap_or_else(|e| panic!("{e:?}"))
}

fn create_user(root: &mut Open, name: &str, grants: &[&str]) {
    run(root, &format!("DROP USER IF EXISTS {name}"));
    run(root, &format!("CREATE USER {name} IDENTIFIED BY 'pw'"));
    for grant in grants {
        run(root, &format!("GRANT {grant} TO {name}"));
    }
}

fn setting(session: &mut Open, expr: &str) -> String {
    let what = Relation::Query(format!("SELECT CAST({expr} AS CHAR) AS s WHERE $CONDITIONS"));
    let what = match describe_ok(session, &what) {
        true => what,
        // Before 10.6 MariaDB wants a table for a WHERE.
        false => {
            Relation::Query(format!("SELECT CAST({expr} AS CHAR) AS s FROM dual WHERE $CONDITIONS"))
        }
    };
    let info = describe(session, &what);
    column(&read(session, &query(&info, &what, true)), 0)[0].clone()
}

fn describe_ok(session: &mut Open, what: &Relation) -> bool {
    session.describe(what).is_ok()
}

fn sum(session: &mut Open, condition: &str) -> i64 {
    let what = Relation::Query(format!(
        "SELECT CAST(SUM(v) AS SIGNED) AS s FROM t WHERE {condition} AND $CONDITIONS"
    ));
    let info = describe(session, &what);
    column(&read(session, &query(&info, &what, false)), 0)[0].parse().expect("a sum")
}

/// Moves money between rows until told to stop.
fn transfers(
    server: &Server,
    database: &'static str,
    stop: &Arc<AtomicBool>,
) -> std::thread::JoinHandle<u64> {
    let (stop, server) = (Arc::clone(stop), server.clone());
    std::thread::spawn(move || {
        let mut w = server.session(database, &[]);
        let mut i = 0u64;
        while !stop.load(Ordering::Relaxed) {
            let (a, b) = (i * 7 % 200, (i * 13 % 200) ^ 1);
            run(&mut w, "START TRANSACTION");
            run(&mut w, &format!("UPDATE t SET v = v - 5 WHERE id = {a}"));
            run(&mut w, &format!("UPDATE t SET v = v + 5 WHERE id = {b}"));
            run(&mut w, "COMMIT");
            i += 1;
        }
        i
    })
}

fn accounts(session: &mut Open) {
    run(session, "CREATE TABLE t (id int PRIMARY KEY, v bigint) ENGINE=InnoDB");
    let rows: Vec<String> = (0..200).map(|i| format!("({i}, 1000)")).collect();
    run(session, &format!("INSERT INTO t VALUES {}", rows.join(",")));
}

fn sums_agree(readers: &mut [Open]) {
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(sum(&mut readers[0], "id % 2 = 0") + sum(&mut readers[1], "id % 2 = 1"), 200_000);
    assert!(readers.iter_mut().all(|r| sum(r, "1 = 1") == 200_000));
}

#[test]
fn transfers_never_show_half() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut session = server.fresh("rsqoop_snap");
        accounts(&mut session);
        let stop = Arc::new(AtomicBool::new(false));
        let writer = transfers(&server, "rsqoop_snap", &stop);
        let mut longest = 0;
        for _ in 0..10 {
            let mut keeper = server.session("rsqoop_snap", &[]);
            let mut readers: Vec<Open> =
                (0..4).map(|_| server.session("rsqoop_snap", &[])).collect();
            let shared = share(&mut keeper, &["t"]);
            for reader in &mut readers {
                join(reader, &shared).unwrap();
            }
            let recipe = release(&mut keeper).recipe;
            let way = if server.mariadb { "global read lock" } else { "read locks on 1 table" };
            assert!(recipe.starts_with(way), "{recipe}");
            longest = longest.max(held(&recipe));
            sums_agree(&mut readers);
            keeper.snapshot(&SnapshotOp::Check).unwrap();
            // The keeper goes on as a plain session.
            describe(&mut keeper, &table("t"));
        }
        assert!(longest < 500, "{longest} ms");
        stop.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 10);
    }
}

#[test]
fn few_rights_mean_another_way_or_a_clear_refusal() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut root = server.fresh("rsqoop_snap_few");
        run(&mut root, "CREATE TABLE t (id int PRIMARY KEY, v int)");
        let logs = setting(&mut root, "@@GLOBAL.log_bin + 0") == "1";
        for (grant, want) in [
            ("SELECT, LOCK TABLES", Some("read locks on 1 table(s) for ")),
            ("SELECT", logs.then_some("no lock: the binary log did not move")),
        ] {
            create_user(&mut root, "rsqoop_snap", &[&format!("{grant} ON rsqoop_snap_few.*")]);
            let mut session = login(&server, "rsqoop_snap_few", "rsqoop_snap");
            let mut reader = login(&server, "rsqoop_snap_few", "rsqoop_snap");
            let asked = request(tables(&["t"]), Consistency::Snapshot);
            let plan = session.snapshot_recipe(&asked);
            let Some(text) = want else {
                for error in
                    [plan.unwrap_err(), try_share(&mut session, tables(&["t"])).unwrap_err()]
                {
                    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
                    assert!(error.message().contains("log_bin"), "{error:?}");
                }
                describe(&mut session, &table("t"));
                continue;
            };
            plan.unwrap();
            let shared = share(&mut session, &["t"]);
            join(&mut reader, &shared).unwrap();
            let recipe = release(&mut session).recipe;
            assert!(recipe.starts_with(text), "{recipe}");
            run(&mut root, "INSERT INTO t VALUES (1, 1)");
            let info = describe(&mut reader, &table("t"));
            let rows = read(&mut reader, &query(&info, &table("t"), false));
            assert!(column(&rows, 0).is_empty());
            run(&mut root, "DELETE FROM t");
            session.snapshot(&SnapshotOp::Check).unwrap();
        }
    }
}

#[test]
fn a_log_that_moved_is_told() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut root = server.fresh("rsqoop_snap_log");
        accounts(&mut root);
        if setting(&mut root, "@@GLOBAL.log_bin + 0") != "1" {
            // The refusal is tested above.
            continue;
        }
        create_user(&mut root, "rsqoop_snap_log", &["SELECT ON rsqoop_snap_log.*"]);
        let open = || login(&server, "rsqoop_snap_log", "rsqoop_snap_log");
        let (mut keeper, mut first, mut second) = (open(), open(), open());
        let shared = share(&mut keeper, &["t"]);
        join(&mut first, &shared).unwrap();
        run(&mut root, "UPDATE t SET v = v + 1 WHERE id = 1");
        join(&mut second, &shared).unwrap();
        let error = keeper.snapshot(&SnapshotOp::Release).unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        // Against a stream of writes: what is released is right.
        run(&mut root, "UPDATE t SET v = 1000");
        let stop = Arc::new(AtomicBool::new(false));
        let writer = transfers(&server, "rsqoop_snap_log", &stop);
        for _ in 0..30 {
            let (mut keeper, mut readers) = (open(), vec![open(), open(), open()]);
            let shared = share(&mut keeper, &["t"]);
            for reader in &mut readers {
                join(reader, &shared).unwrap();
            }
            match keeper.snapshot(&SnapshotOp::Release) {
                Ok(_) => {
                    sums_agree(&mut readers);
                }
                Err(error) => {
                    assert!(error.is_transient(), "{error:?}");
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    }
}

fn refused(session: &mut Open, relations: Vec<Relation>) -> Error {
    let asked = request(relations.clone(), Consistency::Snapshot);
    let planned = session.snapshot_recipe(&asked).expect_err("a refusal");
    let error = try_share(session, relations).expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert_eq!(planned.message(), error.message());
    error
}

#[test]
fn tables_without_row_versions_are_named() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut session = server.fresh("rsqoop_snap_my");
        for (name, engine) in [("m", "MyISAM"), ("h", "MEMORY"), ("c", "CSV"), ("a", "ARCHIVE")] {
            let created =
                session.execute(&format!("CREATE TABLE {name} (id int NOT NULL) ENGINE={engine}"));
            if created.is_err() {
                // Not every server has every engine.
                assert_eq!(engine, "ARCHIVE");
                continue;
            }
            let error = refused(&mut session, tables(&[name]));
            assert!(error.message().contains(engine), "{error:?}");
            assert!(error.message().contains(&format!("rsqoop_snap_my.{name}")), "{error:?}");
        }
        run(&mut session, "CREATE TABLE t (id int) ENGINE=InnoDB");
        run(&mut session, "CREATE VIEW v AS SELECT t.id FROM t JOIN m ON t.id = m.id");
        run(&mut session, "CREATE VIEW w AS SELECT id FROM v");
        run(&mut session, "SET GLOBAL log_bin_trust_function_creators = 1");
        run(
            &mut session,
            "CREATE FUNCTION f() RETURNS int READS SQL DATA RETURN (SELECT MAX(id) FROM m)",
        );
        let ask = |sql: &str| vec![Relation::Query(sql.to_string())];
        for relations in [
            tables(&["t", "m"]),
            tables(&["v"]),
            tables(&["w"]),
            ask("SELECT t.id FROM t, `m` AS x WHERE $CONDITIONS"),
            ask("SELECT id FROM (SELECT id FROM rsqoop_snap_my.w) AS q WHERE $CONDITIONS"),
            ask("SELECT f() AS id FROM t WHERE $CONDITIONS"),
        ] {
            let error = refused(&mut session, relations.clone());
            assert!(error.message().contains("rsqoop_snap_my.m"), "{relations:?}: {error:?}");
        }
        assert!(session.snapshot(&SnapshotOp::Release).unwrap().is_none());
        run(&mut session, "INSERT INTO t VALUES (1)");
        // What a view reads is not shown to everybody; then nothing is promised.
        create_user(&mut session, "rsqoop_snap_my", &["SELECT ON rsqoop_snap_my.*"]);
        let mut few = login(&server, "rsqoop_snap_my", "rsqoop_snap_my");
        let error = refused(&mut few, tables(&["v"]));
        assert!(error.message().contains("SHOW VIEW"), "{error:?}");
        create_user(
            &mut session,
            "rsqoop_snap_my",
            &["SELECT, LOCK TABLES, EXECUTE ON rsqoop_snap_my.*"],
        );
        let mut few = login(&server, "rsqoop_snap_my", "rsqoop_snap_my");
        let calls = ask("SELECT f() AS id FROM t WHERE $CONDITIONS");
        let error = refused(&mut few, calls.clone());
        assert!(error.message().contains("rsqoop_snap_my.f"), "{error:?}");
        let lock = SnapshotOp::Share(request(calls, Consistency::Lock));
        let error = few.snapshot(&lock).expect_err("unknown tables");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        run(&mut session, "SET GLOBAL log_bin_trust_function_creators = 0");
    }
}

#[test]
fn a_held_lock_keeps_writers_away_until_the_end() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut session = server.fresh("rsqoop_snap_lock");
        run(&mut session, "CREATE TABLE m (id int) ENGINE=MyISAM");
        run(&mut session, "INSERT INTO m VALUES (1), (2)");
        run(&mut session, "CREATE TABLE t (id int) ENGINE=InnoDB");
        run(&mut session, "CREATE VIEW v AS SELECT m.id FROM m LEFT JOIN t ON t.id = m.id");
        for relations in [
            tables(&["m", "t"]),
            tables(&["v"]),
            vec![Relation::Query("SELECT a.id FROM m a, t b WHERE $CONDITIONS".to_string())],
        ] {
            let mut keeper = server.session("rsqoop_snap_lock", &[]);
            let mut reader = server.session("rsqoop_snap_lock", &[]);
            let asked = request(relations.clone(), Consistency::Lock);
            keeper.snapshot_recipe(&asked).unwrap();
            let shared = keeper.snapshot(&SnapshotOp::Share(asked)).unwrap().expect("a lock");
            join(&mut reader, &shared).unwrap();
            let recipe = release(&mut keeper).recipe;
            assert!(recipe.contains("until all is read"), "{recipe}");
            let mut writer = server.session("rsqoop_snap_lock", &[]);
            run(&mut writer, "SET SESSION lock_wait_timeout = 1");
            for name in ["m", "t"] {
                let error = writer.execute(&format!("INSERT INTO {name} VALUES (9)")).unwrap_err();
                assert!(error.is_transient(), "{error:?}");
                // Reading goes on, also elsewhere.
                describe(&mut writer, &table(name));
            }
            let info = describe(&mut reader, &relations[0]);
            read(&mut reader, &query(&info, &relations[0], false));
            keeper.snapshot(&SnapshotOp::Check).unwrap();
            run(&mut keeper, "UNLOCK TABLES");
            let error = keeper.snapshot(&SnapshotOp::Check).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Source, "{error:?}");
        }
        let mut keeper = server.session("rsqoop_snap_lock", &[]);
        let nothing = SnapshotOp::Share(request(tables(&["m"]), Consistency::None));
        assert!(keeper.snapshot(&nothing).unwrap().is_none());
        create_user(&mut session, "rsqoop_snap_lock", &["SELECT ON rsqoop_snap_lock.*"]);
        let mut few = login(&server, "rsqoop_snap_lock", "rsqoop_snap_lock");
        let lock = SnapshotOp::Share(request(tables(&["m"]), Consistency::Lock));
        assert_eq!(few.snapshot(&lock).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn a_dead_keeper_is_noticed() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut root = server.fresh("rsqoop_snap_dead");
        run(&mut root, "CREATE TABLE t (id int PRIMARY KEY)");
        let (mut keeper, _reader) = pair(&server, "rsqoop_snap_dead", tables(&["t"]));
        run(&mut root, &format!("KILL {}", keeper.backend().unwrap()));
        assert_eq!(keeper.snapshot(&SnapshotOp::Check).unwrap_err().kind(), ErrorKind::Source);
        let (keeper, _reader) = pair(&server, "rsqoop_snap_dead", tables(&["t"]));
        drop(keeper);
        let mut late = server.session("rsqoop_snap_dead", &[]);
        let id = rsqoop_connector::SnapshotId("mysql-0-0-0".to_string());
        assert!(late.snapshot(&SnapshotOp::Join(id)).is_err());
    }
}

#[test]
fn nobody_changes_a_table_under_its_readers() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut root = server.fresh("rsqoop_snap_ddl");
        run(&mut root, "SET SESSION lock_wait_timeout = 1");
        let sub = "SELECT x.id, x.v FROM t x WHERE $CONDITIONS";
        for what in [table("t"), table("w"), Relation::Query(sub.to_string())] {
            for ddl in [
                "TRUNCATE t",
                "ALTER TABLE t ADD COLUMN z int DEFAULT 5, ALGORITHM=INSTANT",
                "ALTER TABLE t ADD COLUMN z int DEFAULT 5, ALGORITHM=COPY",
                "ALTER TABLE t DROP COLUMN v, ALGORITHM=INSTANT",
                "DROP TABLE t",
                "RENAME TABLE t TO old, u TO t",
            ] {
                run(&mut root, "DROP VIEW IF EXISTS w");
                run(&mut root, "DROP TABLE IF EXISTS t, u, old");
                run(&mut root, "CREATE TABLE t (id int PRIMARY KEY, v int)");
                run(&mut root, "CREATE TABLE u (id int PRIMARY KEY, v int)");
                run(&mut root, "INSERT INTO t VALUES (1, 1), (2, 2)");
                run(&mut root, "CREATE VIEW w AS SELECT * FROM t");
                let (mut keeper, mut reader) = pair(&server, "rsqoop_snap_ddl", vec![what.clone()]);
                let error = root.execute(ddl).expect_err(ddl);
                assert!(error.is_transient(), "{ddl}: {error:?}");
                let info = describe(&mut reader, &what);
                let rows = read(&mut reader, &query(&info, &what, false));
                assert_eq!(column(&rows, 0), ["1", "2"], "{ddl} under {what:?}");
                keeper.snapshot(&SnapshotOp::Check).unwrap();
                drop(reader);
                // Once the readers are gone it can be done.
                run(&mut root, ddl);
            }
        }
        // Changed before the reader came to it: an error, never no rows.
        run(&mut root, "DROP TABLE IF EXISTS t, u, old");
        run(&mut root, "CREATE TABLE t (id int PRIMARY KEY, v int)");
        run(&mut root, "CREATE TABLE u (id int PRIMARY KEY, v int)");
        run(&mut root, "INSERT INTO t VALUES (1, 1), (2, 2)");
        let (_keeper, mut reader) = pair(&server, "rsqoop_snap_ddl", tables(&["u"]));
        run(&mut root, "TRUNCATE t");
        let info = describe(&mut reader, &table("t"));
        let error = try_read(&mut reader, &query(&info, &table("t"), false)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error:?}");
        assert!(!error.is_transient());
    }
}

#[test]
fn the_lock_is_given_back_in_time() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut session = server.fresh("rsqoop_snap_late");
        run(&mut session, "CREATE TABLE t (id int PRIMARY KEY)");
        let mut writer = server.session("rsqoop_snap_late", &[]);
        share(&mut session, &["t"]);
        let start = Instant::now();
        run(&mut writer, "INSERT INTO t VALUES (1)");
        assert!(start.elapsed() < Duration::from_millis(2300), "{:?}", start.elapsed());
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
        run(&mut session, "CREATE TABLE u (id int PRIMARY KEY)");
        let mut other = server.session("rsqoop_snap_busy", &[]);
        run(&mut other, "LOCK TABLES t WRITE, u WRITE");
        let start = Instant::now();
        let outcome = try_share(&mut session, tables(&["t", "u"]));
        assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
        if let Err(error) = outcome {
            assert!(error.is_transient(), "{error:?}");
        } else {
            // The log is watched instead; a session cannot join while the table is locked.
            let shared = outcome.unwrap().unwrap();
            let mut reader = server.session("rsqoop_snap_busy", &[]);
            assert!(join(&mut reader, &shared).unwrap_err().is_transient());
        }
        run(&mut other, "UNLOCK TABLES");
        describe(&mut session, &table("t"));
    }
}

/// The longest that a quick statement took while `work` ran.
fn stall(
    server: &Server,
    database: &'static str,
    sql: &'static str,
    work: impl FnOnce(),
) -> Duration {
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, server) = (Arc::clone(&stop), server.clone());
    let other = std::thread::spawn(move || {
        let mut session = server.session(database, &[]);
        let mut longest = Duration::ZERO;
        while !flag.load(Ordering::Relaxed) {
            let start = Instant::now();
            run(&mut session, sql);
            longest = longest.max(start.elapsed());
        }
        longest
    });
    std::thread::sleep(Duration::from_millis(100));
    work();
    std::thread::sleep(Duration::from_millis(300));
    stop.store(true, Ordering::Relaxed);
    other.join().expect("it works")
}

#[test]
fn a_long_statement_elsewhere_stalls_nobody() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut root = server.fresh("rsqoop_snap_stall");
        accounts(&mut root);
        run(&mut root, "CREATE TABLE other (id int PRIMARY KEY)");
        run(&mut root, "INSERT INTO other VALUES (1)");
        for long in [
            "SELECT SLEEP(6) FROM t WHERE id = 1",
            "SELECT SLEEP(6) FROM other",
            "UPDATE t SET v = v + SLEEP(6) WHERE id = 1",
            "UPDATE other SET id = id + SLEEP(6)",
        ] {
            let mut busy = server.session("rsqoop_snap_stall", &[]);
            let interrupt = busy.interrupter();
            let worker = std::thread::spawn(move || busy.execute(long).is_ok());
            std::thread::sleep(Duration::from_millis(1200));
            for quick in ["SELECT MAX(v) FROM t", "UPDATE t SET v = v + 1 WHERE id = 7"] {
                let mut recipe = String::new();
                let longest = stall(&server, "rsqoop_snap_stall", quick, || {
                    let mut keeper = server.session("rsqoop_snap_stall", &[]);
                    let shared = try_share(&mut keeper, tables(&["t"]))
                        .and_then(|_| keeper.snapshot(&SnapshotOp::Release));
                    recipe = match shared {
                        Ok(shared) => shared.expect("a snapshot").recipe,
                        Err(error) => {
                            assert!(error.is_transient(), "{error:?}");
                            error.message().to_string()
                        }
                    };
                });
                assert!(
                    longest < Duration::from_millis(2600),
                    "{long} / {quick}: {longest:?}; {recipe}"
                );
            }
            interrupt.interrupt();
            worker.join().unwrap();
        }
    }
}

#[test]
fn a_touched_query_is_not_run() {
    let _turn = crate::common::alone();
    for server in both() {
        let mut root = server.fresh("rsqoop_snap_touch");
        accounts(&mut root);
        let slow = "SELECT q.s AS s FROM (SELECT SLEEP(3) AS s, COUNT(*) AS n FROM t GROUP BY v) q \
                    WHERE $CONDITIONS -- the end";
        let start = Instant::now();
        pair(&server, "rsqoop_snap_touch", vec![Relation::Query(slow.to_string())]);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}
