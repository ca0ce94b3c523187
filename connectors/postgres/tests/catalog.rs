//! Tables, columns, keys, estimates, and statements whose results are text.

mod common;

use common::{Lines, in_schema, run, table, target, tcp_url};
use rsqoop_connector::{Connector, ErrorKind, Relation, RelationKind, Session, TableName};
use rsqoop_postgres::Postgres;

fn evaluate(session: &mut dyn Session, sql: &str) -> Vec<String> {
    let mut lines = Lines::default();
    session.evaluate(sql, &mut lines).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    lines.0
}

#[test]
fn a_table_is_described() {
    let s = &mut *in_schema("c_table");
    run(
        s,
        &[
            "CREATE TABLE \"We\"\"ird né\" (b int NOT NULL, gone int, a text NOT NULL, \
             \"c d\" numeric(5,1), g int GENERATED ALWAYS AS (b * 2) STORED, PRIMARY KEY (a, b))",
            "ALTER TABLE \"We\"\"ird né\" DROP COLUMN gone",
            "INSERT INTO \"We\"\"ird né\" SELECT i, i::text, i FROM generate_series(1, 1000) i",
            "ANALYZE \"We\"\"ird né\"",
        ],
    );
    let info = s.describe(&table("We\"ird né")).unwrap();
    let names: Vec<_> = info.columns.iter().map(|c| (c.name.as_str(), c.nullable)).collect();
    assert_eq!(names, [("b", false), ("a", false), ("c d", true), ("g", true)]);
    assert_eq!(info.columns[2].native_type, "numeric(5,1)");
    assert_eq!(info.primary_key, ["a", "b"]);
    assert_eq!((info.kind, info.estimated_rows), (RelationKind::Table, Some(1000)));
    assert!(info.estimated_bytes.unwrap() > 8192);
    assert_eq!(common::read_one(s, &table("We\"ird né"), false).num_rows(), 1000);
    let schema = Some("c_table".to_string());
    let qualified = Relation::Table(TableName { schema, name: "We\"ird né".to_string() });
    assert_eq!(s.describe(&qualified).unwrap().columns.len(), 4);
    assert_eq!(s.tables(None).unwrap(), ["We\"ird né"]);
    assert_eq!(s.tables(Some("c_table")).unwrap().len(), 1);
    assert!(s.databases().unwrap().contains(&"template1".to_string()));
}

#[test]
fn views_partitions_and_parents() {
    let s = &mut *in_schema("c_kinds");
    run(
        s,
        &[
            "CREATE TABLE p (k int NOT NULL, v text) PARTITION BY RANGE (k)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (500)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (500) TO (1000)",
            "INSERT INTO p SELECT i, 'x' FROM generate_series(0, 999) i",
            "ANALYZE p",
            "CREATE VIEW w AS SELECT * FROM p WHERE k < 10",
            "CREATE MATERIALIZED VIEW m AS SELECT * FROM p",
            "CREATE TABLE parent (a int NOT NULL)",
            "CREATE TABLE child () INHERITS (parent)",
            "CREATE TABLE fresh (a int)",
        ],
    );
    let kind = |s: &mut dyn Session, name: &str| {
        let info = s.describe(&table(name)).unwrap();
        (info.kind, info.columns[0].nullable, info.estimated_rows)
    };
    assert_eq!(kind(s, "p"), (RelationKind::Partitioned, false, Some(1000)));
    assert_eq!(kind(s, "m").0, RelationKind::Table);
    let (view, nullable, estimate) = kind(s, "w");
    assert_eq!((view, nullable), (RelationKind::View, true));
    assert!(estimate.is_some());
    assert_eq!(kind(s, "parent").0, RelationKind::Partitioned);
    assert!(kind(s, "parent").1, "a child may have dropped NOT NULL");
    assert_eq!(kind(s, "fresh").2, None);
    assert_eq!(common::read_one(s, &table("p"), false).num_rows(), 1000);
    assert_eq!(common::read_one(s, &table("w"), false).num_rows(), 10);
}

#[test]
fn what_is_not_there_or_not_allowed() {
    let s = &mut *in_schema("c_refused");
    run(
        s,
        &[
            "CREATE TABLE secret (a int, b int)",
            "CREATE TABLE partly (a int, b int)",
            "GRANT USAGE ON SCHEMA c_refused TO app",
            "GRANT SELECT (a) ON partly TO app",
            "CREATE TABLE guarded (a int)",
            "GRANT SELECT ON guarded TO app",
            "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
        ],
    );
    let error = s.describe(&table("Secret")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(error.message(), "there is no table \"Secret\"");
    let mut app = Postgres.connect(&target(&tcp_url("app:pw", "currentSchema=c_refused"))).unwrap();
    let error = app.describe(&table("secret")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
    assert_eq!(app.describe(&table("partly")).unwrap().columns.len(), 2);
    let info = app.describe(&table("guarded")).unwrap();
    let error =
        app.read(&common::query(&table("guarded"), &info, false), &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
    assert!(error.hint_text().unwrap().contains("row-level security"), "{error:?}");
}

#[test]
fn queries_are_described_without_running() {
    let s = &mut *in_schema("c_query");
    run(s, &["CREATE TABLE t (a int, b text)", "CREATE SEQUENCE q"]);
    let query = |text: &str| Relation::Query(text.to_string());
    let info =
        s.describe(&query("SELECT nextval('q') AS n, t.* FROM t WHERE $CONDITIONS;")).unwrap();
    assert_eq!(info.kind, RelationKind::Query);
    assert!(info.columns.iter().all(|c| c.nullable));
    assert_eq!(info.columns.len(), 3);
    assert!(info.estimated_rows.is_some());
    assert_eq!(evaluate(s, "SELECT is_called FROM q")[1], "row f");
    for (text, said) in [
        ("SELECT a, b AS a FROM t WHERE $CONDITIONS", "\"a\""),
        ("SELECT a AS \"\" FROM t WHERE $CONDITIONS", "zero-length"),
        ("SELECT nope FROM t WHERE $CONDITIONS", "nope"),
        ("SELECT 1 WHERE $CONDITIONS; SELECT 2", "multiple commands"),
        ("DELETE FROM t WHERE $CONDITIONS", "no columns"),
    ] {
        let error = s.describe(&query(text)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{text}: {error:?}");
        assert!(format!("{error:?}").contains(said), "{text}: {error:?}");
    }
    // The session goes on after a refused statement.
    assert_eq!(s.describe(&table("t")).unwrap().columns.len(), 2);
    // A read cannot write.
    run(s, &["INSERT INTO t VALUES (1, 'x')"]);
    let writing = query("SELECT nextval('q') AS n FROM t WHERE $CONDITIONS");
    let info = s.describe(&writing).unwrap();
    let error = s.read(&common::query(&writing, &info, false), &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
}

#[test]
fn a_changed_table_is_described_anew() {
    let s = &mut *in_schema("c_changed");
    run(s, &["CREATE TABLE t (a int)"]);
    let query = Relation::Query("SELECT * FROM t WHERE $CONDITIONS".to_string());
    assert_eq!(s.describe(&query).unwrap().columns.len(), 1);
    run(s, &["ALTER TABLE t ADD COLUMN b text"]);
    assert_eq!(s.describe(&query).unwrap().columns.len(), 2);
}

#[test]
fn statements_with_text_results() {
    let s = &mut *in_schema("c_eval");
    run(s, &["CREATE TABLE t (a int, n numeric(6,2), s varchar(9), ok bool)"]);
    assert_eq!(
        evaluate(s, "INSERT INTO t VALUES (1, 2.5, NULL, true), (2, 3, 'x', false)"),
        ["updated 2"]
    );
    assert_eq!(
        evaluate(s, "SELECT * FROM t ORDER BY a"),
        ["columns a/11 n/8 s/9 ok/1", "row 1 2.50 ∅ t", "row 2 3.00 x f", "end"]
    );
    assert_eq!(evaluate(s, "SELECT * FROM t WHERE false"), ["columns a/11 n/8 s/9 ok/1", "end"]);
    assert_eq!(evaluate(s, "CREATE TABLE u (a int)"), ["updated 0"]);
    assert_eq!(
        evaluate(s, "DELETE FROM t WHERE a = 1; SELECT a FROM t"),
        ["updated 1", "columns a/11", "row 2", "end"]
    );
    assert_eq!(evaluate(s, "UPDATE t SET a = 3"), ["updated 1"]);
    let error = s.evaluate("SELEC 1", &mut Lines::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
    assert!(error.contexts().iter().any(|(k, v)| *k == "sqlstate" && v == "42601"));
    assert_eq!(evaluate(s, "SELECT 1 AS one"), ["columns one/11", "row 1", "end"]);
    assert_eq!(s.execute("INSERT INTO u SELECT generate_series(1, 5)").unwrap(), 5);
}
