//! One state for all readers, and that nothing takes it away unnoticed.

mod common;

use common::{
    ask, ask_all, in_schema, joined, query, read_all, rows, run, session, share, table, target,
    tcp_url,
};
use rsqoop_connector::{
    Connector, Consistency, ErrorKind, Relation, Session, SharedSnapshot, SnapshotId, SnapshotOp,
    SnapshotRequest,
};
use rsqoop_postgres::Postgres;

fn keeper(schema: &str) -> Box<dyn Session> {
    let mut keeper = session();
    run(&mut *keeper, &[&format!("SET search_path = {schema}")]);
    keeper
}

fn snapshot(keeper: &mut dyn Session, relations: &[Relation]) -> SharedSnapshot {
    share(keeper, relations, Consistency::Snapshot)
        .unwrap_or_else(|e| panic!("{e:?}"))
        .expect("a snapshot was asked for")
}

fn query_of(text: &str) -> Relation {
    Relation::Query(text.to_string())
}

fn count(session: &mut dyn Session, relation: &Relation) -> usize {
    let info = session.describe(relation).unwrap_or_else(|e| panic!("{e:?}"));
    rows(&read_all(session, &query(relation, &info, false)))
}

/// What changes the files of `t`, or takes it away.
const REWRITES: &[&str] = &[
    "TRUNCATE s_rewrite.t",
    "ALTER TABLE s_rewrite.t ALTER COLUMN id TYPE int8",
    "DROP TABLE s_rewrite.t CASCADE",
    "VACUUM FULL s_rewrite.t",
];

#[test]
fn what_would_empty_a_table_waits_for_the_end_of_the_run() {
    let s = &mut *in_schema("s_rewrite");
    run(
        s,
        &[
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t SELECT i, 'x' FROM generate_series(1, 100) i",
            "CREATE TABLE other (id int PRIMARY KEY, n int)",
            // The join adds nothing to what is selected, and the planner drops it.
            "CREATE VIEW w AS SELECT o.id FROM other o LEFT JOIN t ON t.id = o.id",
            "CREATE MATERIALIZED VIEW m AS SELECT * FROM t",
            "CREATE FUNCTION f() RETURNS SETOF t LANGUAGE sql STABLE AS 'SELECT * FROM s_rewrite.t'",
            "SET lock_timeout = '100ms'",
        ],
    );
    for relation in [
        table("t"),
        table("w"),
        query_of("SELECT id, v FROM t WHERE $CONDITIONS"),
        query_of("SELECT o.id FROM other o WHERE o.id IN (SELECT id FROM t) AND $CONDITIONS"),
        query_of("SELECT id FROM f() WHERE $CONDITIONS -- as it stands"),
    ] {
        let mut keeper = keeper("s_rewrite");
        let shared = snapshot(&mut *keeper, std::slice::from_ref(&relation));
        assert!(shared.recipe.contains("s_rewrite.t"), "{relation:?}: {}", shared.recipe);
        for sql in REWRITES {
            let error = s.execute(sql).unwrap_err();
            assert!(error.is_transient(), "{relation:?}: {sql}: {error:?}");
        }
        keeper.snapshot(&SnapshotOp::Check).unwrap();
    }
    let mut keeper = keeper("s_rewrite");
    snapshot(&mut *keeper, &[table("m")]);
    assert!(s.execute("REFRESH MATERIALIZED VIEW s_rewrite.m").unwrap_err().is_transient());
    drop(keeper);
    run(s, &["REFRESH MATERIALIZED VIEW s_rewrite.m"]);
}

#[test]
fn the_locks_are_those_the_recipe_names() {
    let s = &mut *in_schema("s_locks");
    run(
        s,
        &[
            "CREATE TABLE p (k int NOT NULL) PARTITION BY RANGE (k)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (500)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (500) TO (1000)",
            "CREATE TABLE \"Odd name\" (a int)",
        ],
    );
    let locks = |s: &mut dyn Session, pid: &str| {
        ask_all(
            s,
            &format!(
                "SELECT c.relname || ' ' || l.mode FROM pg_locks l JOIN pg_class c ON c.oid = \
                 l.relation JOIN pg_namespace n ON n.oid = c.relnamespace WHERE l.pid = {pid} \
                 AND n.nspname = 's_locks' AND l.granted ORDER BY 1"
            ),
        )
    };
    let request = |consistency| SnapshotRequest {
        relations: vec![table("p"), table("Odd name")],
        consistency,
    };
    let mut keeper = keeper("s_locks");
    let pid = keeper.backend().unwrap();
    let planned = keeper.snapshot_recipe(&request(Consistency::Snapshot)).unwrap();
    assert_eq!(locks(s, &pid), [""; 0], "a plan leaves no locks");
    let shared =
        keeper.snapshot(&SnapshotOp::Share(request(Consistency::Snapshot))).unwrap().unwrap();
    assert_eq!(shared.recipe, planned);
    assert_eq!(
        planned,
        "ACCESS SHARE locks on s_locks.\"Odd name\" and 3 more tables, then one exported snapshot \
         for all sessions"
    );
    assert!(shared.position.as_deref().unwrap().starts_with("wal "), "{shared:?}");
    let plain = [
        "Odd name AccessShareLock",
        "p AccessShareLock",
        "p1 AccessShareLock",
        "p2 AccessShareLock",
    ];
    assert_eq!(locks(s, &pid), plain);
    keeper.snapshot(&SnapshotOp::Release).unwrap();
    assert_eq!(locks(s, &pid), plain, "they stay while it is read");
    drop(keeper);

    let mut keeper = self::keeper("s_locks");
    let pid = keeper.backend().unwrap();
    let planned = keeper.snapshot_recipe(&request(Consistency::Lock)).unwrap();
    let shared = share(&mut *keeper, &request(Consistency::Lock).relations, Consistency::Lock);
    let shared = shared.unwrap().unwrap();
    assert_eq!(shared.recipe, planned);
    assert!(planned.starts_with("SHARE locks on "), "{planned}");
    keeper.snapshot(&SnapshotOp::Release).unwrap();
    let held = locks(s, &pid);
    for name in ["Odd name", "p", "p1", "p2"] {
        assert!(held.contains(&format!("{name} ShareLock")), "{held:?}");
    }
    run(s, &["SET lock_timeout = '100ms'"]);
    for sql in ["INSERT INTO p VALUES (1)", "DELETE FROM p2", "UPDATE \"Odd name\" SET a = 1"] {
        assert!(s.execute(sql).unwrap_err().is_transient(), "{sql}");
    }
    assert_eq!(count(&mut *joined("s_locks", &shared), &table("p")), 0);
    keeper.snapshot(&SnapshotOp::Check).unwrap();
    drop(keeper);
    run(s, &["INSERT INTO p VALUES (1)"]);
}

#[test]
fn a_reader_that_died_is_replaced_in_the_same_snapshot() {
    let s = &mut *in_schema("s_rejoin");
    run(
        s,
        &["CREATE TABLE t (id int8 PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 1000)"],
    );
    let mut keeper = keeper("s_rejoin");
    let shared = snapshot(&mut *keeper, &[table("t")]);
    let mut first = joined("s_rejoin", &shared);
    keeper.snapshot(&SnapshotOp::Release).unwrap();
    assert_eq!(count(&mut *first, &table("t")), 1000);
    run(s, &["DELETE FROM t WHERE id > 10", "INSERT INTO t VALUES (5000)", "VACUUM t"]);
    let pid = first.backend().unwrap();
    assert_eq!(ask(s, &format!("SELECT pg_terminate_backend({pid})")), "t");
    let info = s.describe(&table("t")).unwrap();
    let error = first.read(&query(&table("t"), &info, false), &mut Vec::new()).unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    drop(first);
    for _ in 0..3 {
        assert_eq!(count(&mut *joined("s_rejoin", &shared), &table("t")), 1000);
    }
    keeper.snapshot(&SnapshotOp::Check).unwrap();
    assert_eq!(count(s, &table("t")), 11);
    // Without the keeper there is nothing to join any more.
    drop(keeper);
    let mut late = session();
    let error = late.snapshot(&SnapshotOp::Join(shared.id)).unwrap_err();
    assert!(error.message().contains("cannot be joined") && !error.is_transient(), "{error:?}");
    let nonsense = SnapshotId("'; DROP TABLE s_rejoin.t; --".to_string());
    assert!(session().snapshot(&SnapshotOp::Join(nonsense)).is_err());
}

#[test]
fn a_lost_keeper_is_told_at_the_end() {
    let s = &mut *in_schema("s_lost");
    run(s, &["CREATE TABLE t (id int8)", "INSERT INTO t VALUES (1)"]);
    let mut keeper = keeper("s_lost");
    snapshot(&mut *keeper, &[table("t")]);
    let pid = keeper.backend().unwrap();
    assert_eq!(ask(s, &format!("SELECT pg_terminate_backend({pid})")), "t");
    run(s, &["TRUNCATE t"]);
    let error = keeper.snapshot(&SnapshotOp::Check).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source, "{error:?}");
    assert!(error.message().contains("kept the snapshot was lost"), "{error:?}");
    assert!(!error.is_transient(), "{error:?}");
}

#[test]
fn another_file_under_a_table_is_seen() {
    let s = &mut *in_schema("s_file");
    run(s, &["CREATE TABLE t (id int8)", "INSERT INTO t VALUES (1)"]);
    let mut keeper = keeper("s_file");
    snapshot(&mut *keeper, &[table("t")]);
    keeper.snapshot(&SnapshotOp::Check).unwrap();
    // The lock keeps every statement from doing it, so the catalogue is changed behind its back.
    let change = |by: i32| {
        format!(
            "UPDATE pg_catalog.pg_class SET relfilenode = (relfilenode::int8 + {by})::oid \
             WHERE oid = 's_file.t'::regclass"
        )
    };
    run(s, &["SET allow_system_table_mods = on", &change(1)]);
    let error = keeper.snapshot(&SnapshotOp::Check).unwrap_err();
    run(s, &[&change(-1)]);
    assert_eq!(error.kind(), ErrorKind::Source, "{error:?}");
    assert_eq!(error.message(), "table s_file.t was truncated or rewritten while it was read");
    assert!(!error.is_transient(), "{error:?}");
    keeper.snapshot(&SnapshotOp::Check).unwrap();
}

#[test]
fn partitions_that_come_while_it_is_read() {
    let s = &mut *in_schema("s_attach");
    run(
        s,
        &[
            "CREATE TABLE p (k int NOT NULL) PARTITION BY RANGE (k)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (500)",
            "CREATE TABLE old (k int NOT NULL)",
            "INSERT INTO old VALUES (700)",
            "SET lock_timeout = '1s'",
        ],
    );
    let mut keeper = keeper("s_attach");
    snapshot(&mut *keeper, &[table("p")]);
    // What did not exist has no rows in the snapshot.
    run(
        s,
        &[
            "CREATE TABLE new (k int NOT NULL)",
            "INSERT INTO new VALUES (1700)",
            "ALTER TABLE p ATTACH PARTITION new FOR VALUES FROM (1500) TO (2000)",
        ],
    );
    keeper.snapshot(&SnapshotOp::Check).unwrap();
    run(s, &["ALTER TABLE p ATTACH PARTITION old FOR VALUES FROM (500) TO (1000)"]);
    let error = keeper.snapshot(&SnapshotOp::Check).unwrap_err();
    assert!(error.message().contains("s_attach.old became a partition"), "{error:?}");
}

#[test]
fn a_login_with_few_rights_locks_what_it_may_read() {
    let s = &mut *in_schema("s_rights");
    run(
        s,
        &[
            "CREATE TABLE partly (a int, b int)",
            "CREATE TABLE hidden (a int, b int)",
            "CREATE VIEW w AS SELECT a FROM hidden",
            "CREATE TABLE guarded (a int)",
            "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
            "GRANT USAGE ON SCHEMA s_rights TO app",
            "GRANT SELECT (a) ON partly TO app",
            "GRANT SELECT ON w, guarded TO app",
            "SET lock_timeout = '100ms'",
        ],
    );
    let app = || Postgres.connect(&target(&tcp_url("app:pw", "currentSchema=s_rights"))).unwrap();
    let mut keeper = app();
    let shared = snapshot(&mut *keeper, &[table("partly"), table("w")]);
    assert!(shared.recipe.contains("s_rights.hidden and s_rights.partly"), "{}", shared.recipe);
    for sql in ["TRUNCATE partly", "TRUNCATE hidden"] {
        assert!(s.execute(sql).unwrap_err().is_transient(), "{sql}");
    }
    keeper.snapshot(&SnapshotOp::Check).unwrap();
    let error = share(&mut *app(), &[table("hidden")], Consistency::Snapshot).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
    let by_query = query_of("SELECT a FROM guarded WHERE $CONDITIONS");
    let error = share(&mut *app(), &[by_query], Consistency::Snapshot).unwrap_err();
    assert!(error.hint_text().unwrap().contains("row-level security"), "{error:?}");
    let error = share(&mut *app(), &[table("w")], Consistency::Lock).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert_eq!(share(&mut *app(), &[table("w")], Consistency::None).unwrap(), None);
    let error = share(&mut *app(), &[table("nope")], Consistency::Snapshot).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
}

#[test]
fn what_no_snapshot_covers_is_refused() {
    let s = &mut *in_schema("s_foreign");
    run(
        s,
        &[
            "CREATE EXTENSION IF NOT EXISTS file_fdw SCHEMA pg_catalog",
            "DROP SERVER IF EXISTS s_foreign CASCADE",
            "CREATE SERVER s_foreign FOREIGN DATA WRAPPER file_fdw",
            "CREATE FOREIGN TABLE f (a text) SERVER s_foreign OPTIONS (filename '/etc/hostname')",
        ],
    );
    for relation in [table("f"), query_of("SELECT a FROM f WHERE $CONDITIONS")] {
        let mut keeper = keeper("s_foreign");
        let request = SnapshotRequest {
            relations: vec![relation.clone()],
            consistency: Consistency::Snapshot,
        };
        let error = keeper.snapshot_recipe(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        let error = keeper.snapshot(&SnapshotOp::Share(request)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.message().contains("s_foreign.f is a foreign table"), "{error:?}");
    }
    run(s, &["DROP SERVER s_foreign CASCADE"]);
}

#[test]
fn a_table_that_is_being_rewritten_is_waited_for_with_a_limit() {
    let s = &mut *in_schema("s_wait");
    run(s, &["CREATE TABLE t (id int8)", "INSERT INTO t VALUES (1)"]);
    run(s, &["BEGIN", "TRUNCATE t", "INSERT INTO t VALUES (2), (3)"]);
    let mut keeper = keeper("s_wait");
    run(&mut *keeper, &["SET lock_timeout = '200ms'"]);
    let error = share(&mut *keeper, &[table("t")], Consistency::Snapshot).unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    // Who waits until it is done sees what came of it, not an empty table.
    let waiting = std::thread::spawn(|| {
        let mut keeper = self::keeper("s_wait");
        let shared = snapshot(&mut *keeper, &[table("t")]);
        let seen = count(&mut *joined("s_wait", &shared), &table("t"));
        (keeper.snapshot(&SnapshotOp::Check).map(|_| ()), seen)
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    run(s, &["COMMIT"]);
    let (checked, seen) = waiting.join().unwrap();
    checked.unwrap();
    assert_eq!(seen, 2);
}

#[test]
fn who_queues_up_behind_the_keeper_does_not_stop_the_readers() {
    let s = &mut *in_schema("s_queue");
    run(
        s,
        &[
            "CREATE TABLE p (id int8 NOT NULL) PARTITION BY RANGE (id)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (500)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (500) TO (1000)",
            "INSERT INTO p SELECT generate_series(0, 999)",
        ],
    );
    let mut keeper = keeper("s_queue");
    let shared = snapshot(&mut *keeper, &[table("p")]);
    let mut reader = joined("s_queue", &shared);
    let mut truncating = session();
    run(&mut *truncating, &["SET search_path = s_queue"]);
    let backend = truncating.backend().unwrap();
    let truncate = std::thread::spawn(move || truncating.execute("TRUNCATE p2").map(|_| ()));
    for _ in 0..100 {
        let waits = keeper.activity(&backend).unwrap().and_then(|a| a.waits_for);
        if waits.is_some_and(|w| w.starts_with("Lock")) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let begin = std::time::Instant::now();
    assert_eq!(count(&mut *reader, &table("p")), 1000);
    assert!(begin.elapsed() < std::time::Duration::from_secs(2), "{:?}", begin.elapsed());
    keeper.snapshot(&SnapshotOp::Check).unwrap();
    drop((reader, keeper));
    truncate.join().unwrap().unwrap();
    assert_eq!(count(s, &table("p")), 500);
}
