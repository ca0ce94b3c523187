//! Split keys of every kind: their extent or points, and that the pieces make the whole.

mod common;

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use common::{in_schema, query, read_all, run, table};
use rsqoop_connector::{
    Bounds, BoundsRequest, ErrorKind, KeyRange, KeyValue, Relation, Session, SplitKey,
};

fn request(
    session: &mut dyn Session,
    relation: Relation,
    key: &str,
    pieces: usize,
) -> BoundsRequest {
    let info = session.describe(&relation).unwrap_or_else(|e| panic!("{e:?}"));
    let column = info.columns.iter().find(|c| c.name == key).cloned();
    BoundsRequest {
        relation,
        filter: None,
        key: SplitKey::new(key, column),
        pieces,
        boundary_query: None,
        estimated_rows: info.estimated_rows,
        extent: false,
    }
}

fn bounds(session: &mut dyn Session, key: &str) -> Bounds {
    let request = request(session, table("t"), key, 4);
    session.bounds(&request).unwrap_or_else(|e| panic!("{key}: {e:?}"))
}

#[test]
fn extents() {
    let s = &mut *in_schema("b_extents");
    run(
        s,
        &[
            "CREATE TABLE t (i2 int2, i8 int8, o oid, n numeric(10,2), f numeric, d date, \
             ts timestamp, tz timestamptz)",
            "INSERT INTO t VALUES (-1, -9223372036854775808, 4294967295, 0.5, 1.25, \
             '4714-11-24 BC', '1969-12-31 23:59:59.999999', '1970-01-01 01:00:00+01'), \
             (7, 9223372036854775807, 0, 10, 3, '5874897-12-31', '1970-01-01', \
             '2000-01-01 00:00:00+00'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        ],
    );
    let int = |v: i128| KeyValue::Integer(v);
    let decimal = |unscaled, scale| KeyValue::Decimal { unscaled, scale };
    for (key, min, max) in [
        ("i2", int(-1), int(7)),
        ("i8", int(i64::MIN.into()), int(i64::MAX.into())),
        ("n", decimal(50, 2), decimal(1000, 2)),
        ("f", decimal(125, 2), decimal(300, 2)),
        ("d", KeyValue::Date(-2_440_588), KeyValue::Date(2_145_042_905)),
        ("ts", KeyValue::Timestamp(-1), KeyValue::Timestamp(0)),
        ("tz", KeyValue::TimestampTz(0), KeyValue::TimestampTz(946_684_800_000_000)),
        ("i2 + 1", int(0), int(8)),
    ] {
        assert_eq!(bounds(s, key), Bounds::Range { min, max }, "{key}");
    }
    assert_eq!(bounds(s, "o"), Bounds::Range { min: int(0), max: int(u32::MAX.into()) });
    run(s, &["DELETE FROM t WHERE i2 IS NOT NULL"]);
    for key in ["i2", "n", "d", "ts", "i2::text"] {
        assert_eq!(bounds(s, key), Bounds::Empty, "{key}");
    }
}

#[test]
fn infinite_keys_are_cut_at_points() {
    let s = &mut *in_schema("b_infinite");
    run(
        s,
        &[
            "CREATE TABLE t (d date, n numeric, f float8)",
            "INSERT INTO t SELECT date '2020-01-01' + i, i, i FROM generate_series(1, 100) i",
            "INSERT INTO t VALUES ('infinity', 'NaN', 'NaN'), ('-infinity', 1, '-Infinity')",
        ],
    );
    for key in ["d", "n", "f"] {
        let Bounds::Points(points) = bounds(s, key) else { panic!("{key} has an extent") };
        assert_eq!(points.len(), 3, "{key}: {points:?}");
        assert!(matches!(points[0], KeyValue::Sql(_)), "{key}: {points:?}");
    }
}

/// Reads every piece and compares the ids with those of the whole.
fn pieces_make_the_whole(s: &mut dyn Session, relation: &Relation, key: &str, pieces: usize) {
    let request = request(s, relation.clone(), key, pieces);
    let points = match s.bounds(&request).unwrap_or_else(|e| panic!("{key}: {e:?}")) {
        Bounds::Points(points) => points,
        Bounds::Range { min, max } => vec![min, max],
        Bounds::Empty => panic!("{key} is empty"),
    };
    let mut info = s.describe(relation).expect("it was described before");
    info.columns.truncate(1);
    let ids = |s: &mut dyn Session, range: KeyRange| -> Vec<i64> {
        let mut read = query(relation, &info, false);
        read.range = range;
        read.whole = false;
        read_all(s, &read)
            .iter()
            .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect()
    };
    let whole = ids(s, KeyRange::All);
    let mut seen: BTreeMap<i64, usize> = BTreeMap::new();
    let mut sizes = Vec::new();
    for n in 0..=points.len() {
        let range = KeyRange::Between {
            key: request.key.clone(),
            lower: n.checked_sub(1).map(|n| points[n].clone()),
            upper: points.get(n).cloned(),
            upper_inclusive: false,
        };
        let part = ids(s, range);
        sizes.push(part.len());
        part.iter().for_each(|id| *seen.entry(*id).or_default() += 1);
    }
    for id in ids(s, KeyRange::Null(request.key.clone())) {
        *seen.entry(id).or_default() += 1;
    }
    assert_eq!(seen.len(), whole.len(), "{key}: rows are missing");
    assert!(seen.values().all(|n| *n == 1), "{key}: rows are read twice");
    let largest = sizes.iter().max().expect("there is at least one piece");
    assert!(points.len() < 2 || *largest < whole.len(), "{key}: {sizes:?}");
}

#[test]
fn pieces_are_disjoint_and_complete_for_any_type() {
    let s = &mut *in_schema("b_pieces");
    run(
        s,
        &[
            "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
            "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', \
             deterministic = false)",
            "CREATE TABLE t (id int8, c text COLLATE \"C\", e text COLLATE \"und-x-icu\", \
             ci text COLLATE folded, q text, ch char(9), u uuid, b bool, y bytea, m mood, \
             f float8, n numeric, r int4range, iv interval, d date, x inet, tm time, \
             qc \"char\", lo int[])",
            "INSERT INTO t SELECT i, chr(65 + i % 57) || i, chr(65 + i % 57) || i, \
             chr(65 + i % 57) || i, 'it''s \\ ' || i, 'k' || i, md5(i::text)::uuid, i % 3 = 0, \
             decode(md5(i::text), 'hex'), (ARRAY['sad', 'ok', 'happy'])[i % 3 + 1]::mood, \
             CASE WHEN i % 50 = 0 THEN 'NaN' ELSE i / 7.0 END, \
             CASE WHEN i % 50 = 0 THEN 'NaN' ELSE i / 7.0 END, int4range(i, i + 5), \
             i * interval '1 hour', CASE WHEN i % 50 = 0 THEN 'infinity' ELSE date '2020-01-01' + i END, \
             ('10.0.' || i % 250 || '.1')::inet, time '00:00' + i * interval '1 minute', \
             chr(65 + i % 26)::\"char\", ARRAY[i, 1] \
             FROM generate_series(1, 1000) i",
            "INSERT INTO t (id) VALUES (-1), (-2)",
        ],
    );
    for key in [
        "c", "e", "ci", "q", "ch", "u", "b", "y", "m", "f", "n", "r", "iv", "d", "x", "tm", "qc",
        "lo", "lower(c)", "id",
    ] {
        for pieces in [1, 2, 7] {
            pieces_make_the_whole(s, &table("t"), key, pieces);
        }
    }
    let relation =
        Relation::Query("SELECT t.id, t.c FROM t WHERE t.id > 10 AND $CONDITIONS".to_string());
    pieces_make_the_whole(s, &relation, "c", 5);
}

#[test]
fn points_of_a_sample() {
    let s = &mut *in_schema("b_sample");
    run(
        s,
        &[
            "CREATE TABLE t (id int8, u text)",
            "INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 200000) i",
            "CREATE VIEW w AS SELECT * FROM t",
        ],
    );
    for (relation, filter) in [
        (table("t"), None),
        (table("t"), Some("id > 5".to_string())),
        (table("w"), None),
        (table("w"), Some("id > 5".to_string())),
        (Relation::Query("SELECT * FROM t WHERE $CONDITIONS".to_string()), None),
    ] {
        let mut request = request(s, relation, "u", 8);
        request.filter = filter;
        let Bounds::Points(points) = s.bounds(&request).unwrap() else { panic!("no points") };
        assert_eq!(points.len(), 7);
        assert!(points.is_sorted_by(|a, b| format!("{a:?}") < format!("{b:?}")), "{points:?}");
    }
    run(s, &["CREATE TABLE e (id int8, u text)"]);
    let mut request = request(s, table("e"), "u", 8);
    request.estimated_rows = Some(3_000_000);
    assert_eq!(s.bounds(&request).unwrap(), Bounds::Empty);
}

#[test]
fn boundary_queries() {
    let s = &mut *in_schema("b_boundary");
    run(s, &["CREATE TABLE t (id int8, u text)"]);
    let mut ask = |sql: &str| {
        let mut request = request(s, table("t"), "id", 4);
        request.boundary_query = Some(sql.to_string());
        s.bounds(&request)
    };
    let text = |t: &str| KeyValue::Text(t.to_string());
    assert_eq!(
        ask("SELECT 1, 10::int8;").unwrap(),
        Bounds::Range { min: KeyValue::Integer(1), max: KeyValue::Integer(10) }
    );
    assert_eq!(
        ask("SELECT 1.5, 10.25").unwrap(),
        Bounds::Range {
            min: KeyValue::Decimal { unscaled: 150, scale: 2 },
            max: KeyValue::Decimal { unscaled: 1025, scale: 2 }
        }
    );
    assert_eq!(
        ask("SELECT DATE '1970-01-01', DATE '1970-01-02'").unwrap(),
        Bounds::Range { min: KeyValue::Date(0), max: KeyValue::Date(1) }
    );
    assert_eq!(ask("SELECT 'a'::text, 'b'").unwrap(), Bounds::Points(vec![text("a"), text("b")]));
    assert_eq!(ask("SELECT min(id), max(id) FROM t").unwrap(), Bounds::Empty);
    assert_eq!(ask("SELECT min(u), max(u) FROM t").unwrap(), Bounds::Empty);
    for bad in [
        "SELECT 1",
        "SELECT 1, 2 WHERE false",
        "SELECT 1, 2 UNION SELECT 3, 4",
        "SELECT 1, NULL::int",
    ] {
        assert_eq!(ask(bad).unwrap_err().kind(), ErrorKind::Usage, "{bad}");
    }
}

#[test]
fn keys_without_an_order_are_refused() {
    let s = &mut *in_schema("b_unordered");
    run(s, &["CREATE TABLE t (id int8, j json, p point)"]);
    for key in ["j", "p"] {
        let request = request(s, table("t"), key, 4);
        let error = s.bounds(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
        assert!(error.message().contains("no order"), "{error:?}");
    }
    let request = request(s, table("t"), "nope", 4);
    assert_eq!(s.bounds(&request).unwrap_err().kind(), ErrorKind::Usage);
}
