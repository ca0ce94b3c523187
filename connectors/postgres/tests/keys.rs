//! Keys of large tables and of several columns: pieces of about equal size, every row once.

// Tells clippy that helpers outside `#[test]` functions are test code too.
#![cfg(test)]

mod common;

use std::time::{Duration, Instant};

use common::{ask_all, bounds_request, in_schema, points, ranges, run, table, whole_once};
use rsqoop_connector::{Bounds, BoundsRequest, ColumnInfo, KeyValue, Relation, Session, SplitKey};
use rsqoop_postgres::PostgresDialect;

fn column(s: &mut dyn Session, relation: &Relation, name: &str) -> ColumnInfo {
    let info = s.describe(relation).unwrap_or_else(|e| panic!("{e:?}"));
    info.columns.into_iter().find(|c| c.name == name).expect("a column of the table")
}

fn request(s: &mut dyn Session, name: &str, key: &str, pieces: usize) -> BoundsRequest {
    let relation = table(name);
    let column = column(s, &relation, key);
    bounds_request(&relation, SplitKey::new(format!("\"{key}\""), Some(column)), pieces)
}

fn row_request(s: &mut dyn Session, name: &str, keys: &[&str], pieces: usize) -> BoundsRequest {
    let relation = table(name);
    let columns = keys.iter().map(|key| column(s, &relation, key)).collect();
    bounds_request(&relation, SplitKey::of_row(&PostgresDialect, columns), pieces)
}

/// Every piece is at most twice its fair share, but for what one value alone makes.
fn even(sizes: &[usize], largest_value: usize) {
    let fair = sizes.iter().sum::<usize>() / sizes.len();
    let most = sizes.iter().max().unwrap();
    assert!(*most <= fair * 2 + largest_value, "{most} where {fair} is fair: {sizes:?}");
}

/// 95 of 100 rows lie in the last hundredth of the keys.
const SKEWED: &str = "CASE WHEN i % 20 = 0 THEN i * 4950 ELSE 990000000 + i * 50 END";

#[test]
fn skewed_numbers_dates_and_times_are_cut_by_rows() {
    let s = &mut *in_schema("k_skew");
    let create = format!(
        "CREATE TABLE t AS SELECT k::int8 AS id, k::int4 AS i4, k::numeric / 100 AS n, \
         date '2000-01-01' + (k / 10000)::int AS d, \
         timestamp '2000-01-01' + k * interval '1 second' AS ts, \
         timestamptz '2000-01-01' + k * interval '1 second' AS tz, \
         CASE WHEN i % 4 > 0 THEN k END AS nullable, (i % 3)::int2 AS few \
         FROM (SELECT i, {SKEWED} AS k FROM generate_series(1, 200000) i) AS g"
    );
    run(s, &[&create, "ALTER TABLE t SET (autovacuum_enabled = off)"]);
    for analysed in [false, true] {
        if analysed {
            run(s, &["ANALYZE t"]);
        }
        for key in ["id", "i4", "n", "d", "ts", "tz"] {
            let request = request(s, "t", key, 16);
            let points = points(s, &request);
            assert_eq!(points.len(), 15, "{key}, analysed: {analysed}");
            let sizes = whole_once(s, &table("t"), None, &request.key, &points);
            even(&sizes, 200_000 / 100);
            if analysed {
                // Samples differ; the statistics stay the same.
                assert_eq!(points, common::points(s, &request), "{key}");
            }
        }
        // Rows without a key belong to no range.
        let nullable = request(s, "t", "nullable", 16);
        let points_ = points(s, &nullable);
        let mut sizes = Vec::new();
        for range in ranges(&nullable.key, &points_) {
            sizes.push(common::ids(s, &table("t"), None, range).len());
        }
        assert_eq!(sizes.iter().sum::<usize>(), 150_000);
        even(&sizes, 0);
        // Three values cannot make more than three pieces.
        let few = request(s, "t", "few", 16);
        let points_ = points(s, &few);
        assert_eq!(points_, [KeyValue::Integer(1), KeyValue::Integer(2)], "{analysed}");
        whole_once(s, &table("t"), None, &few.key, &points_);
    }
    let mut filtered = request(s, "t", "id", 16);
    filtered.filter = Some("id > 990000000 -- most".to_string());
    let points_ = points(s, &filtered);
    even(&whole_once(s, &table("t"), Some("id > 990000000"), &filtered.key, &points_), 0);
    // The extent itself, where it is asked for.
    let mut extent = request(s, "t", "id", 16);
    extent.extent = true;
    assert!(matches!(s.bounds(&extent).unwrap(), Bounds::Range { .. }));
}

#[test]
fn statistics_that_are_too_old_are_not_believed() {
    let s = &mut *in_schema("k_stale");
    run(
        s,
        &[
            "CREATE TABLE t (id int8)",
            "ALTER TABLE t SET (autovacuum_enabled = off)",
            "INSERT INTO t SELECT generate_series(1, 150000)",
            "ANALYZE t",
            "INSERT INTO t SELECT generate_series(150001, 900000)",
        ],
    );
    let request = request(s, "t", "id", 16);
    let points = points(s, &request);
    even(&whole_once(s, &table("t"), None, &request.key, &points), 0);
}

#[test]
fn partitions_and_parents() {
    let s = &mut *in_schema("k_parts");
    run(
        s,
        &[
            "CREATE TABLE p (id int8 NOT NULL) PARTITION BY RANGE (id)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (900000)",
            "INSERT INTO p SELECT generate_series(1, 200000)",
            "CREATE TABLE parent (id int8)",
            "CREATE TABLE child () INHERITS (parent)",
            "INSERT INTO parent SELECT generate_series(1, 10000)",
            "INSERT INTO child SELECT generate_series(1, 200000)",
        ],
    );
    for analysed in [false, true] {
        if analysed {
            run(s, &["ANALYZE p", "ANALYZE parent"]);
        }
        for name in ["p", "parent"] {
            let request = request(s, name, "id", 8);
            let points = points(s, &request);
            assert_eq!(points.len(), 7);
            even(&whole_once(s, &table(name), None, &request.key, &points), 0);
        }
    }
}

#[test]
fn infinite_and_not_a_number_in_large_tables() {
    let s = &mut *in_schema("k_infinite");
    run(
        s,
        &[
            "CREATE TABLE t AS SELECT i::int8 AS id, \
             CASE WHEN i % 10 = 0 THEN 'NaN' ELSE i::numeric END AS n, \
             CASE WHEN i % 10 = 0 THEN date 'infinity' ELSE date '2000-01-01' + i END AS d, \
             CASE WHEN i % 10 = 0 THEN 'Infinity' ELSE i::float8 END AS f \
             FROM generate_series(1, 120000) i",
            "ANALYZE t",
        ],
    );
    for key in ["n", "d", "f"] {
        let request = request(s, "t", key, 8);
        let points = points(s, &request);
        assert!(points.len() >= 6, "{key}: {points:?}");
        even(&whole_once(s, &table("t"), None, &request.key, &points), 12_000);
    }
}

#[test]
fn keys_of_several_columns() {
    let s = &mut *in_schema("k_rows");
    run(
        s,
        &[
            "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', \
             deterministic = false)",
            "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
            "CREATE TABLE t (id int8 NOT NULL, a int4 NOT NULL, \
             x text COLLATE \"und-x-icu\" NOT NULL, y text COLLATE folded NOT NULL, \
             d timestamptz NOT NULL, n numeric(12,3) NOT NULL, m mood NOT NULL, u uuid NOT NULL, \
             ch char(6) NOT NULL, b bytea NOT NULL, PRIMARY KEY (a, x, id))",
            "INSERT INTO t SELECT i, i % 3, chr(65 + i % 57) || '''\\' || i % 11, \
             chr(65 + i % 57) || i % 1000, timestamptz '2020-01-01' + i * interval '7 minutes', \
             i / 7.0, (ARRAY['sad', 'ok', 'happy'])[i % 3 + 1]::mood, md5(i::text)::uuid, \
             'k' || i % 99, decode(md5(i::text), 'hex') FROM generate_series(1, 20000) i",
            "CREATE TABLE big (id int8 NOT NULL, a int4 NOT NULL, x text NOT NULL, \
             PRIMARY KEY (a, x))",
            "INSERT INTO big SELECT i, i % 2, md5(i::text) FROM generate_series(1, 200000) i",
            "ANALYZE t",
            "ANALYZE big",
        ],
    );
    for keys in [
        &["a", "x", "id"][..],
        &["x", "a", "id"],
        &["y", "id"],
        &["m", "d"],
        &["m", "n"],
        &["ch", "u"],
        &["a", "b"],
        &["id"],
        // Not unique: rows with equal keys stay together.
        &["m", "a"],
        &["y", "x"],
    ] {
        for pieces in [1, 2, 7, 40] {
            let request = row_request(s, "t", keys, pieces);
            let points = points(s, &request);
            assert!(points.iter().all(|p| matches!(p, KeyValue::Row(r) if r.len() == keys.len())));
            let sizes = whole_once(s, &table("t"), None, &request.key, &points);
            even(&sizes, 20_000 / 3 + 1);
            if keys != ["m", "a"] {
                assert_eq!(sizes.len(), pieces, "{keys:?}");
                even(&sizes, 40);
            }
        }
    }
    let big = row_request(s, "big", &["a", "x"], 16);
    let found = points(s, &big);
    assert_eq!(found.len(), 15);
    even(&whole_once(s, &table("big"), None, &big.key, &found), 0);
    let mut some = row_request(s, "big", &["a", "x"], 8);
    some.filter = Some("id <= 5000".to_string());
    let found = points(s, &some);
    assert_eq!(found.len(), 7);
    even(&whole_once(s, &table("big"), Some("id <= 5000"), &some.key, &found), 0);
    // The index is used for a row as a whole, although the first column has two values.
    let range = ranges(&some.key, &found)[3].clone();
    let sql = format!("SELECT * FROM big WHERE {}", range.to_sql(&PostgresDialect).unwrap());
    let mut read = common::query(&table("big"), &s.describe(&table("big")).unwrap(), false);
    read.range = range;
    assert!(s.count(&read).unwrap().is_some());
    run(s, &["BEGIN", "SET LOCAL enable_seqscan = off"]);
    let plan = ask_all(s, &format!("EXPLAIN {sql}")).join("\n");
    run(s, &["COMMIT"]);
    assert!(plan.contains("Index Cond: ((ROW(a, x) >= ROW("), "{plan}");
    // Nothing, and only one row.
    run(s, &["DELETE FROM t WHERE id > 1"]);
    let request = row_request(s, "t", &["a", "x"], 4);
    let found = points(s, &request);
    assert_eq!(whole_once(s, &table("t"), None, &request.key, &found), [1]);
    run(s, &["DELETE FROM t"]);
    assert_eq!(points(s, &request), []);
}

#[test]
fn a_large_table_is_planned_at_once() {
    let s = &mut *in_schema("k_speed");
    run(
        s,
        &[
            "CREATE UNLOGGED TABLE t (id int8, g int4, x text)",
            "ALTER TABLE t SET (autovacuum_enabled = off)",
            "INSERT INTO t SELECT i, i % 1000, md5(i::text) FROM generate_series(1, 2000000) i",
        ],
    );
    let mut slowest = Duration::ZERO;
    for analysed in [false, true] {
        if analysed {
            run(s, &["ANALYZE t"]);
        }
        let questions = [
            request(s, "t", "id", 256),
            request(s, "t", "g", 256),
            request(s, "t", "x", 256),
            row_request(s, "t", &["g", "x"], 256),
            bounds_request(&table("t"), SplitKey::new("ctid", None), 256),
        ];
        for question in &questions {
            let begin = Instant::now();
            assert_eq!(points(s, question).len(), 255, "{}", question.key.expr);
            slowest = slowest.max(begin.elapsed());
        }
    }
    run(s, &["DROP TABLE t"]);
    // A tenth of it on a quiet machine.
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}
