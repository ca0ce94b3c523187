//! Ranges of `ctid`: which tables offer them, and that they hold every row once.

// Tells clippy that helpers outside `#[test]` functions are test code too.
#![cfg(test)]

mod common;

use common::{
    ask_all, bounds_request, in_schema, joined, points, ranges, run, session, share, table,
    whole_once,
};
use rsqoop_connector::{Bounds, Consistency, KeyValue, Relation, Session, SplitKey, StorageKey};
use rsqoop_postgres::PostgresDialect;

fn key() -> SplitKey {
    SplitKey::new("ctid", None)
}

fn storage(s: &mut dyn Session, name: &str) -> Option<StorageKey> {
    s.describe(&table(name)).unwrap_or_else(|e| panic!("{e:?}")).storage_key
}

/// The kinds of nodes that scan tables in the plan of a range.
fn scans(s: &mut dyn Session, name: &str, point: &[KeyValue]) -> Vec<String> {
    let range = ranges(&key(), point)[1].to_sql(&PostgresDialect).unwrap();
    let plan = ask_all(s, &format!("EXPLAIN (COSTS off) SELECT * FROM {name} WHERE {range}"));
    plan.iter()
        .filter(|line| line.contains("Scan"))
        .map(|line| {
            line.split(" on ").next().unwrap().trim_start_matches([' ', '-', '>']).to_string()
        })
        .collect()
}

#[test]
fn plain_updated_and_never_analysed_tables() {
    let s = &mut *in_schema("t_plain");
    run(
        s,
        &[
            "CREATE TABLE fresh (id int8, v text)",
            "ALTER TABLE fresh SET (autovacuum_enabled = off)",
            "INSERT INTO fresh SELECT i, repeat('x', 50) FROM generate_series(1, 50000) i",
            "CREATE TABLE moved (id int8, v text)",
            "INSERT INTO moved SELECT i, repeat('x', 50) FROM generate_series(1, 50000) i",
            "UPDATE moved SET v = v || 'y' WHERE id % 3 = 0",
            "DELETE FROM moved WHERE id > 30000",
            "CREATE MATERIALIZED VIEW m AS SELECT * FROM fresh",
            "CREATE TABLE none (id int8)",
            "CREATE TABLE one (id int8)",
            "INSERT INTO one VALUES (1)",
        ],
    );
    for name in ["fresh", "moved", "m", "none", "one"] {
        assert_eq!(storage(s, name), Some(StorageKey { expr: "ctid".into(), preferred: None }));
        for (pieces, filter) in [(1, None), (4, None), (64, None), (4, Some("id % 7 <> 0"))] {
            let mut request = bounds_request(&table(name), key(), pieces);
            request.filter = filter.map(str::to_string);
            let points = points(s, &request);
            let sizes = whole_once(s, &table(name), filter, &key(), &points);
            if name == "fresh" && filter.is_none() {
                assert_eq!(sizes.len(), pieces);
                let even = 50_000 / pieces;
                assert!(sizes.iter().all(|n| n.abs_diff(even) <= even / 3 + 200), "{sizes:?}");
                if pieces > 2 {
                    assert_eq!(scans(s, name, &points), ["Tid Range Scan"]);
                }
            }
        }
    }
}

#[test]
fn every_partition_is_read_by_its_pages() {
    let s = &mut *in_schema("t_parts");
    run(
        s,
        &[
            "CREATE TABLE p (id int8 NOT NULL, v text) PARTITION BY RANGE (id)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (90000) \
             PARTITION BY RANGE (id)",
            "CREATE TABLE p21 PARTITION OF p2 FOR VALUES FROM (1000) TO (20000)",
            "CREATE TABLE p22 PARTITION OF p2 FOR VALUES FROM (20000) TO (90000)",
            "INSERT INTO p SELECT i, repeat('x', 50) FROM generate_series(0, 49999) i",
            "CREATE TABLE parent (id int8, v text)",
            "CREATE TABLE child (more int) INHERITS (parent)",
            "INSERT INTO parent SELECT i, repeat('x', 50) FROM generate_series(1, 10000) i",
            "INSERT INTO child SELECT i, repeat('x', 50) FROM generate_series(1, 40000) i",
        ],
    );
    for (name, leaves) in [("p", 3), ("parent", 2)] {
        assert!(storage(s, name).is_some());
        let points = points(s, &bounds_request(&table(name), key(), 8));
        assert_eq!(points.len(), 7);
        let sizes = whole_once(s, &table(name), None, &key(), &points);
        assert!(sizes.iter().all(|n| (4_000..=9_000).contains(n)), "{name}: {sizes:?}");
        assert_eq!(scans(s, name, &points), vec!["Tid Range Scan"; leaves]);
    }
}

#[test]
fn pages_that_come_after_the_snapshot_change_nothing() {
    let s = &mut *in_schema("t_later");
    run(
        s,
        &[
            "CREATE TABLE t (id int8, v text)",
            "INSERT INTO t SELECT i, repeat('x', 50) FROM generate_series(1, 20000) i",
        ],
    );
    let mut keeper = session();
    run(&mut *keeper, &["SET search_path = t_later"]);
    let shared = share(&mut *keeper, &[table("t")], Consistency::Snapshot).unwrap().unwrap();
    let mut reader = joined("t_later", &shared);
    let points = points(&mut *reader, &bounds_request(&table("t"), key(), 8));
    run(
        s,
        &[
            "UPDATE t SET v = v || 'z'",
            "INSERT INTO t SELECT i, 'new' FROM generate_series(20001, 90000) i",
            "DELETE FROM t WHERE id < 100",
            "VACUUM t",
        ],
    );
    let sizes = whole_once(&mut *reader, &table("t"), None, &key(), &points);
    assert_eq!(sizes.iter().sum::<usize>(), 20_000);
}

#[test]
fn a_key_far_from_the_order_of_the_rows_gives_way() {
    let s = &mut *in_schema("t_order");
    let fill = |name: &str, order: &str| {
        format!(
            "INSERT INTO {name} SELECT i, repeat('x', 700) FROM generate_series(1, 50000) i {order}"
        )
    };
    run(
        s,
        &[
            "CREATE TABLE sorted (id int8 PRIMARY KEY, v text)",
            "CREATE TABLE mixed (id int8 PRIMARY KEY, v text)",
            "CREATE TABLE unknown (id int8 PRIMARY KEY, v text)",
            "ALTER TABLE unknown SET (autovacuum_enabled = off)",
            &fill("sorted", ""),
            &fill("mixed", "ORDER BY hashint8(i)"),
            &fill("unknown", "ORDER BY hashint8(i)"),
            "ANALYZE sorted",
            "ANALYZE mixed",
            "CREATE TABLE small (id int8 PRIMARY KEY)",
            "INSERT INTO small SELECT i FROM generate_series(1, 5000) i ORDER BY hashint8(i)",
            "ANALYZE small",
        ],
    );
    let reason = storage(s, "mixed").unwrap().preferred.expect("the rows are mixed");
    assert!(reason.contains("order of id (correlation 0.0"), "{reason}");
    for name in ["sorted", "unknown", "small"] {
        assert_eq!(storage(s, name).unwrap().preferred, None, "{name}");
    }
}

#[test]
fn what_has_no_pages_offers_none() {
    let s = &mut *in_schema("t_none");
    run(
        s,
        &[
            "CREATE TABLE t (id int8)",
            "INSERT INTO t SELECT generate_series(1, 100)",
            "CREATE VIEW w AS SELECT * FROM t",
            "CREATE TABLE p (id int8) PARTITION BY RANGE (id)",
            "CREATE EXTENSION IF NOT EXISTS file_fdw SCHEMA pg_catalog",
            "DROP SERVER IF EXISTS t_none CASCADE",
            "CREATE SERVER t_none FOREIGN DATA WRAPPER file_fdw",
            "CREATE FOREIGN TABLE far PARTITION OF p FOR VALUES FROM (0) TO (10) \
             SERVER t_none OPTIONS (filename '/dev/null')",
        ],
    );
    assert_eq!(storage(s, "w"), None);
    assert_eq!(storage(s, "p"), None);
    let info = s.describe(&Relation::Query("SELECT * FROM t WHERE $CONDITIONS".into())).unwrap();
    assert_eq!(info.storage_key, None);
    run(s, &["DROP SERVER t_none CASCADE"]);
    // A partitioned table without partitions has no page.
    assert_eq!(storage(s, "p"), None);
    // Whoever asks for it by a view's column of that name gets points like for any key.
    run(s, &["CREATE VIEW named AS SELECT id, ctid AS place FROM t"]);
    let request = bounds_request(&table("named"), SplitKey::new("place", None), 4);
    assert!(matches!(s.bounds(&request).unwrap(), Bounds::Points(p) if p.len() == 3));
}
