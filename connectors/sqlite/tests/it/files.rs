//! Database files: how they are opened, what their catalogue says, what stays untouched.

use crate::common::{Db, query, read, table_relation, target};
use rsqoop_connector::{
    Bounds, BoundsRequest, ColumnKind, Connector, Consistency, ErrorKind, KeyValue, Relation,
    RelationKind, SnapshotOp, SnapshotRequest, SplitKey, TableName,
};
use rsqoop_sqlite::Sqlite;

/// A snapshot of whatever is in the file.
fn request() -> SnapshotRequest {
    SnapshotRequest { relations: Vec::new(), consistency: Consistency::Snapshot }
}

#[test]
fn what_is_no_database_file_is_said_and_never_created() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.db");
    let refused = |path: &std::path::Path| {
        let error = Sqlite.connect(&target(path.to_path_buf())).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
        assert!(error.message().contains(&path.display().to_string()), "{error:?}");
        error.message().to_string()
    };
    assert!(refused(&missing).starts_with("there is no database file"));
    assert!(!missing.exists());
    assert!(refused(folder.path()).contains("is a directory"));
    let text = folder.path().join("text");
    std::fs::write(&text, "this is a text file of more than sixteen bytes\n".repeat(100)).unwrap();
    assert!(refused(&text).contains("not a SQLite database"));
    // A file of no bytes is SQLite's empty database.
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    assert!(Sqlite.connect(&target(empty)).unwrap().tables(None).unwrap().is_empty());
}

#[test]
fn reading_never_writes() {
    let db = Db::new("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    let mut session = db.session();
    for text in ["DELETE FROM t", "INSERT INTO t VALUES (2) RETURNING a", "PRAGMA user_version = 7"]
    {
        let error = session.describe(&Relation::Query(text.to_string())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
    }
    let count: i64 = db.conn.query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap();
    assert_eq!(count, 1);
    // A statement of the user's own may, unless the URL says otherwise.
    assert_eq!(session.execute("INSERT INTO t VALUES (2)").unwrap(), 1);
    let mut target = db.target();
    target.params.push(("mode".to_string(), "ro".to_string()));
    let error = Sqlite.connect(&target).unwrap().execute("INSERT INTO t VALUES (3)").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
}

#[test]
fn a_locked_file_is_a_transient_error() {
    let db = Db::new("CREATE TABLE t (a)");
    let mut session = db.session();
    db.conn.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = session.describe(&table_relation("t")).unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let error = Sqlite.connect(&db.target()).err().unwrap();
    assert!(error.is_transient() && error.kind() == ErrorKind::Connect, "{error:?}");
}

#[test]
fn an_immutable_file_needs_no_lock() {
    let db = Db::new("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    db.conn.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut target = db.target();
    target.params.push(("immutable".to_string(), "1".to_string()));
    assert_eq!(Sqlite.connect(&target).unwrap().tables(None).unwrap(), ["t"]);
}

#[test]
fn keys_and_nullability() {
    let db = Db::new(
        "CREATE TABLE alias (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b TEXT);
         CREATE TABLE desc_key (id INTEGER PRIMARY KEY DESC);
         CREATE TABLE text_key (k TEXT PRIMARY KEY, v INT);
         CREATE TABLE two (b INT, a TEXT, PRIMARY KEY (a, b));
         CREATE TABLE no_rowid (b INT, a TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
         CREATE TABLE strict_key (k TEXT PRIMARY KEY, v ANY) STRICT;
         CREATE TABLE no_key (a, b)",
    );
    let check = |table: &str, key: &[&str], nullable: &[bool]| {
        let info = db.describe(table);
        assert_eq!(info.primary_key, key, "{table}");
        let got: Vec<bool> = info.columns.iter().map(|c| c.nullable).collect();
        assert_eq!(got, nullable, "{table}");
    };
    check("alias", &["id"], &[false, false, true]);
    // Not the rowid, by an old mistake of SQLite's that must stay: it may hold NULL.
    check("desc_key", &["id"], &[true]);
    check("text_key", &["k"], &[true, true]);
    check("two", &["a", "b"], &[true, true]);
    check("no_rowid", &["a", "b"], &[false, false]);
    check("strict_key", &["k"], &[false, true]);
    check("no_key", &[], &[true, true]);
}

#[test]
fn generated_columns_views_and_spelling() {
    let db = Db::new(
        "CREATE TABLE Items (id INTEGER PRIMARY KEY, net DECIMAL(9,2),
             double_net INT GENERATED ALWAYS AS (net * 2) VIRTUAL,
             kept TEXT AS ('n' || id) STORED);
         INSERT INTO Items (id, net) VALUES (1, 2.5), (2, 3);
         CREATE VIEW seen AS SELECT id, net, net + 1 AS more FROM Items;
         CREATE VIRTUAL TABLE words USING fts5(body)",
    );
    let info = db.describe("items");
    let names: Vec<&str> = info.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["id", "net", "double_net", "kept"]);
    assert_eq!(db.read("items").unwrap().num_rows(), 2);

    let info = db.describe("seen");
    assert_eq!(info.kind, RelationKind::View);
    let kinds: Vec<_> = info.columns.iter().map(|c| (c.kind, c.nullable)).collect();
    assert_eq!(
        kinds,
        [(ColumnKind::Integer, true), (ColumnKind::Decimal, true), (ColumnKind::Other, true)]
    );
    assert_eq!(db.read("seen").unwrap().num_rows(), 2);
    // A virtual table's hidden columns are no columns of the data.
    assert_eq!(db.describe("words").columns.len(), 1);

    let mut session = db.session();
    let tables = session.tables(None).unwrap();
    assert!(tables.contains(&"Items".to_string()) && !tables.contains(&"seen".to_string()));
    let main = TableName { schema: Some("main".to_string()), name: "Items".to_string() };
    assert_eq!(session.describe(&Relation::Table(main)).unwrap().columns.len(), 4);
    let other = TableName { schema: Some("other".to_string()), name: "Items".to_string() };
    let error = session.describe(&Relation::Table(other)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
}

#[test]
fn columns_of_a_query_that_differ_in_case_only_are_refused() {
    let db = Db::new("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    let query = Relation::Query("SELECT 1 AS a, 2 AS A FROM t WHERE $CONDITIONS".to_string());
    let error = db.session().describe(&query).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
}

#[test]
fn a_column_without_type_has_none_in_a_view_either() {
    let db = Db::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, any, raw BLOB);
         INSERT INTO t (any, raw) VALUES (1, x'00'), (2.5, NULL), ('x', x'01');
         CREATE VIEW v AS SELECT id, any, raw, coalesce(any, 'none') AS other FROM t",
    );
    let kinds: Vec<_> = db.describe("v").columns.iter().map(|c| c.kind).collect();
    let want = [ColumnKind::Integer, ColumnKind::Other, ColumnKind::Bytes, ColumnKind::Other];
    assert_eq!(kinds, want);
    assert_eq!(db.read("v").unwrap().num_rows(), 3);
}

#[test]
fn estimates_cost_nothing_and_are_near() {
    let db = Db::new(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO a SELECT i, 'some text' FROM n;
         CREATE TABLE b (rowid TEXT, v TEXT); INSERT INTO b VALUES ('x', 'y')",
    );
    let info = db.describe("a");
    assert_eq!(info.estimated_rows, Some(3000));
    let file = std::fs::metadata(db.path()).unwrap().len();
    assert!(info.estimated_bytes.unwrap() > file / 2 && info.estimated_bytes.unwrap() <= file);
    assert_eq!(db.describe("b").estimated_rows, Some(1), "_rowid_ is still the rowid");
    db.conn.execute_batch("DELETE FROM a WHERE id % 2 = 0; ANALYZE").unwrap();
    assert_eq!(db.describe("a").estimated_rows, Some(1500));
}

#[test]
fn a_quoted_name_that_is_no_column_is_not_a_text() {
    let db = Db::new("CREATE TABLE t (id INTEGER PRIMARY KEY)");
    let text = Relation::Query("SELECT \"nosuch\" FROM t WHERE $CONDITIONS".to_string());
    let error = db.session().describe(&text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
}

#[test]
fn bounds_follow_the_stored_classes_and_the_collation() {
    let db = Db::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v, n TEXT COLLATE NOCASE);
         INSERT INTO t (v, n) VALUES (1, 'a'), (2.5, 'A'), ('x', 'b'), (x'00', 'B'), (NULL, 'c'),
             (9e999, 'C'), (-9e999, 'c')",
    );
    let relation = table_relation("t");
    let mut session = db.session();
    let info = session.describe(&relation).unwrap();
    let mut ask = |column: usize| {
        let key = SplitKey::new(
            session.dialect().quote_ident(&info.columns[column].name),
            Some(info.columns[column].clone()),
        );
        session
            .bounds(&BoundsRequest {
                relation: relation.clone(),
                filter: None,
                key,
                pieces: 50,
                boundary_query: None,
                estimated_rows: None,
                extent: false,
            })
            .unwrap()
    };
    let sql = |text: &str| KeyValue::Sql(text.to_string());
    assert_eq!(
        ask(1),
        Bounds::Points(vec![
            KeyValue::Integer(1),
            sql("2.5"),
            sql("9e999"),
            KeyValue::Text("x".into()),
            KeyValue::Bytes(vec![0])
        ])
    );
    let Bounds::Points(points) = ask(2) else { panic!("text has points") };
    assert_eq!(points.len(), 2, "a, b and c are three keys whatever their case: {points:?}");
}

#[test]
fn a_commit_while_sessions_join_is_noticed_in_wal_mode() {
    let db = Db::new("PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    for commit in [false, true] {
        let (mut keeper, mut reader) = (db.session(), db.session());
        let id = keeper.snapshot(&SnapshotOp::Share(request())).unwrap().unwrap().id;
        if commit {
            db.conn.execute("INSERT INTO t VALUES (2)", []).unwrap();
        }
        reader.snapshot(&SnapshotOp::Join(id)).unwrap();
        match keeper.snapshot(&SnapshotOp::Release) {
            Ok(_) => assert!(!commit, "the two sessions see different rows"),
            Err(error) => assert!(commit && error.is_transient(), "{error:?}"),
        }
    }
}

#[test]
fn a_writer_that_waits_does_not_disturb_the_snapshot() {
    let db = Db::new("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    let (mut keeper, mut reader) = (db.session(), db.session());
    let id = keeper.snapshot(&SnapshotOp::Share(request())).unwrap().unwrap().id;
    reader.snapshot(&SnapshotOp::Join(id)).unwrap();
    db.conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    assert!(db.conn.execute("INSERT INTO t VALUES (2)", []).is_err(), "readers keep it out");
    keeper.snapshot(&SnapshotOp::Release).unwrap();
    let relation = table_relation("t");
    let info = reader.describe(&relation).unwrap();
    assert_eq!(read(&mut *reader, &query(&relation, &info, false)).unwrap().num_rows(), 1);
}
