//! Splits: the union of all ranges between a key's bounds is the whole table, each row once, for
//! every key type and collation.

use crate::common::{Open, Server, both, column, describe, query, read, run, table};
use rsqoop_connector::{
    Bounds, BoundsRequest, ErrorKind, KeyRange, KeyValue, Relation, SplitKey, TableName,
};

fn request(session: &Open, relation: Relation, key: &str, pieces: usize) -> BoundsRequest {
    BoundsRequest {
        relation,
        filter: None,
        key: SplitKey::new(session.dialect().quote_ident(key), None),
        pieces,
        boundary_query: None,
        estimated_rows: None,
        extent: false,
    }
}

/// Points between the smallest and the largest key, as an engine would choose them.
fn interior(bounds: &Bounds, pieces: i128) -> Vec<KeyValue> {
    let steps = |min: i128, max: i128| -> Vec<i128> {
        let mut list: Vec<i128> =
            (1..pieces).map(|i| min + (max - min) * i / pieces).filter(|v| *v > min).collect();
        list.dedup();
        list
    };
    let i64s = |a: i64, b: i64| -> Vec<i64> {
        steps(a.into(), b.into())
            .into_iter()
            .map(|v| i64::try_from(v).expect("between two i64"))
            .collect()
    };
    match bounds {
        Bounds::Empty => Vec::new(),
        Bounds::Points(list) => list.clone(),
        Bounds::Range { min, max } => match (min, max) {
            (KeyValue::Integer(a), KeyValue::Integer(b)) => {
                steps(*a, *b).into_iter().map(KeyValue::Integer).collect()
            }
            (KeyValue::Decimal { unscaled: a, scale }, KeyValue::Decimal { unscaled: b, .. }) => {
                let make = |unscaled| KeyValue::Decimal { unscaled, scale: *scale };
                steps(*a, *b).into_iter().map(make).collect()
            }
            (KeyValue::Date(a), KeyValue::Date(b)) => i64s((*a).into(), (*b).into())
                .into_iter()
                .map(|v| KeyValue::Date(i32::try_from(v).expect("between two i32")))
                .collect(),
            (KeyValue::Timestamp(a), KeyValue::Timestamp(b)) => {
                i64s(*a, *b).into_iter().map(KeyValue::Timestamp).collect()
            }
            (KeyValue::TimestampTz(a), KeyValue::TimestampTz(b)) => {
                i64s(*a, *b).into_iter().map(KeyValue::TimestampTz).collect()
            }
            other => panic!("{other:?}"),
        },
    }
}

/// Reads every range and the NULLs; the ids in all must be the ids of the table.
fn union_is_whole(session: &mut Open, what: &Relation, key: &str, place: &str) -> usize {
    let info = describe(session, what);
    let mut q = query(&info, what, false);
    q.columns.truncate(1);
    q.whole = false;
    q.schema = std::sync::Arc::new(arrow_schema::Schema::new(vec![info.columns[0].field(false)]));
    let mut whole: Vec<i64> =
        column(&read(session, &q), 0).iter().map(|v| v.parse().expect("an id")).collect();
    whole.sort_unstable();
    let request = request(session, what.clone(), key, 7);
    let bounds = session.bounds(&request).unwrap_or_else(|e| panic!("{place}: {e:?}"));
    let mut points: Vec<Option<KeyValue>> = interior(&bounds, 7).into_iter().map(Some).collect();
    if let Bounds::Points(list) = &bounds {
        assert!(list.len() <= 6, "{place}: {list:?}");
    }
    points.insert(0, None);
    points.push(None);
    let mut ranges: Vec<KeyRange> = points
        .windows(2)
        .map(|w| KeyRange::Between {
            key: request.key.clone(),
            lower: w[0].clone(),
            upper: w[1].clone(),
            upper_inclusive: false,
        })
        .collect();
    ranges.push(KeyRange::Null(request.key.clone()));
    let mut union: Vec<i64> = Vec::new();
    for range in ranges {
        q.range = range;
        union
            .extend(column(&read(session, &q), 0).iter().map(|v| v.parse::<i64>().expect("an id")));
    }
    union.sort_unstable();
    assert_eq!(union, whole, "{place}: {bounds:?}");
    points.len() - 1
}

/// Words that collations order in different ways, or that need care in a literal.
const WORDS: &[&str] = &[
    "",
    " ",
    "a",
    "A",
    "ä",
    "Ä",
    "á",
    "b",
    "B",
    "ß",
    "ss",
    "z",
    "Z",
    "O'Neil",
    "back\\slash",
    "tab\t",
    "line\nbreak",
    "%",
    "_",
    "😀",
    "😁",
    "日本",
    "ﬀ",
    "é",
    "e",
    "E",
    "ö",
    "œ",
    "zz",
    "a ",
    "a\u{301}",
    "\u{0}",
    "\"",
    "`",
];
const LATIN: &[&str] = &["", "a", "A", "ä", "Ä", "ß", "é", "b", "O'Neil", "x\\y", "z", "ö"];

/// SQL type and the values of the key.
type KeyCase = (&'static str, Vec<String>);

fn texts() -> Vec<KeyCase> {
    let literals = |list: &[&str]| -> Vec<String> {
        list.iter().map(|w| format!("_utf8mb4 x'{}'", crate::common::hex(w.as_bytes()))).collect()
    };
    let (words, latin) = (literals(WORDS), literals(LATIN));
    vec![
        ("varchar(30) collate utf8mb4_bin", words.clone()),
        ("varchar(30) collate utf8mb4_general_ci", words.clone()),
        ("varchar(30) collate utf8mb4_unicode_ci", words.clone()),
        ("varchar(30) collate utf8mb4_german2_ci", words.clone()),
        ("varchar(30) character set utf16", words.clone()),
        ("text", words),
        ("varchar(30) character set latin1", latin.clone()),
        ("char(30) character set latin1 collate latin1_bin", latin),
    ]
}

fn many(f: &dyn Fn(i64) -> String) -> Vec<String> {
    (0..60).map(f).collect()
}

fn numbers() -> Vec<KeyCase> {
    vec![
        ("int", many(&|i| (i * i - 50).to_string())),
        ("bigint unsigned", vec!["0".into(), "5".into(), "18446744073709551615".into()]),
        ("bigint", vec!["-9223372036854775808".into(), "0".into(), "9223372036854775807".into()]),
        ("tinyint(1)", vec!["-128".into(), "0".into(), "1".into(), "127".into()]),
        ("bit(40)", many(&|i| (i * 1_000_003).to_string())),
        ("bit(1)", vec!["0".into(), "1".into()]),
        ("year", many(&|i| if i == 0 { "0".into() } else { (1900 + i * 4).to_string() })),
        ("year", many(&|i| (1970 + i).to_string())),
        ("decimal(20,4)", many(&|i| format!("{}.{:04}", i * i - 400, i * 7))),
        (
            "decimal(65,30)",
            many(&|i| format!("{}.000000000000000000000000000001", 10i128.pow(20) * i128::from(i))),
        ),
        ("float", many(&|i| format!("{}e-1", i * i * 3))),
        ("double", many(&|i| format!("{}e300", i - 20))),
    ]
}

fn others() -> Vec<KeyCase> {
    vec![
        ("date", many(&|i| format!("'{:04}-02-28'", 1000 + i * 100))),
        (
            "date",
            vec![
                "'0000-00-00'".into(),
                "'2020-00-00'".into(),
                "'2020-01-01'".into(),
                "'2021-01-01'".into(),
            ],
        ),
        ("datetime", many(&|i| format!("'2020-01-01 00:00:{i:02}'"))),
        ("datetime(6)", many(&|i| format!("'1969-12-31 23:59:{i:02}.{:06}'", i * 16_666))),
        ("timestamp(2) NULL", many(&|i| format!("'2020-01-01 00:00:{i:02}.5'"))),
        ("time(3)", many(&|i| format!("'{}:00:00.123'", i * 20 - 600))),
        (
            "enum('z','a','ä','m','b')",
            vec!["'z'".into(), "'a'".into(), "'m'".into(), "'b'".into(), "'ä'".into()],
        ),
        ("set('b','a','c')", many(&|i| (i % 8).to_string())),
        ("binary(4)", many(&|i| format!("x'{:08x}'", i * 69_999_999))),
        (
            "varbinary(9)",
            vec![
                "''".into(),
                "x'00'".into(),
                "x'0000'".into(),
                "x'FF'".into(),
                "x'27'".into(),
                "x'5C'".into(),
            ],
        ),
        ("blob", many(&|i| format!("x'{i:02x}ff'"))),
    ]
}

fn fill(session: &mut Open, sql: &str, values: &[String], index: bool) {
    run(session, "DROP TABLE IF EXISTS t");
    run(session, "SET SESSION sql_mode = ''");
    run(session, &format!("CREATE TABLE t (id bigint PRIMARY KEY AUTO_INCREMENT, k {sql})"));
    run(session, "INSERT INTO t (k) VALUES (NULL), (NULL)");
    // Every key several times, some very often.
    for (i, value) in values.iter().enumerate() {
        let times = if i % 5 == 1 { 9 } else { 2 };
        let list = vec![format!("({value})"); times].join(",");
        run(session, &format!("INSERT INTO t (k) VALUES {list}"));
    }
    if index && !sql.starts_with("text") && !sql.starts_with("blob") {
        run(session, "CREATE INDEX i ON t (k)");
    }
}

fn check(server: &Server, database: &str, index: bool) {
    let mut session = server.fresh(database);
    let mut reader = server.session(database, &[]);
    for (sql, values) in texts().into_iter().chain(numbers()).chain(others()) {
        fill(&mut session, sql, &values, index);
        let place = format!("{sql} (index {index}, MariaDB {})", server.mariadb);
        let zero_dates = sql == "date" && values.len() == 4;
        if !zero_dates {
            let pieces = union_is_whole(&mut reader, &table("t"), "k", &place);
            // Nothing lies strictly between the two values of a bit.
            assert!(pieces >= 2 || sql == "bit(1)", "{place}: no split at all");
            let sub = "SELECT id, k FROM t WHERE $CONDITIONS".to_string();
            union_is_whole(&mut reader, &Relation::Query(sub), "k", &place);
        } else {
            union_is_whole(&mut reader, &table("t"), "k", &place);
        }
    }
}

#[test]
fn the_union_of_all_splits_is_the_table() {
    let _turn = crate::common::shared();
    for server in both() {
        check(&server, "rsqoop_split", false);
        check(&server, "rsqoop_split", true);
    }
}

#[test]
fn keys_that_are_special_in_mariadb() {
    let _turn = crate::common::shared();
    let mut session = crate::common::mariadb().fresh("rsqoop_split_m");
    for (sql, value) in [("uuid", "UUID()"), ("inet6", "CONCAT('2001:db8::', HEX(RAND()*60000))")] {
        run(&mut session, "DROP TABLE IF EXISTS t");
        run(&mut session, &format!("CREATE TABLE t (id int PRIMARY KEY, k {sql})"));
        for i in 0..50 {
            run(&mut session, &format!("INSERT INTO t VALUES ({i}, {value})"));
        }
        run(&mut session, "INSERT INTO t VALUES (100, NULL)");
        let pieces = union_is_whole(&mut session, &table("t"), "k", sql);
        assert!(pieces >= 4, "{sql}: {pieces}");
    }
}

#[test]
fn empty_tables_expressions_and_boundary_queries() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.fresh("rsqoop_bounds");
        run(&mut session, "CREATE TABLE t (id int PRIMARY KEY, k varchar(9), n int, j json)");
        let ask = |session: &mut Open, key: &str, boundary: Option<&str>| {
            let mut r = request(session, table("t"), "id", 4);
            r.key.expr = key.to_string();
            r.boundary_query = boundary.map(str::to_string);
            session.bounds(&r)
        };
        for key in ["id", "k", "n"] {
            assert_eq!(ask(&mut session, key, None).unwrap(), Bounds::Empty);
        }
        run(&mut session, "INSERT INTO t (id, k) VALUES (1,'a'),(2,'b'),(3,'c'),(4,'d'),(5,'e')");
        assert_eq!(ask(&mut session, "n", None).unwrap(), Bounds::Empty);
        let range = |a, b| Bounds::Range { min: KeyValue::Integer(a), max: KeyValue::Integer(b) };
        assert_eq!(ask(&mut session, "id", None).unwrap(), range(1, 5));
        assert_eq!(ask(&mut session, "id % 3", None).unwrap(), range(0, 2));
        assert_eq!(ask(&mut session, "id", Some("SELECT '2', '9'")).unwrap(), range(2, 9));
        assert_eq!(ask(&mut session, "id", Some("SELECT NULL, NULL")).unwrap(), Bounds::Empty);
        for bad in ["SELECT 1", "SELECT 1, 2 UNION SELECT 3, 4", "SELECT 'x', 'y'"] {
            assert_eq!(ask(&mut session, "id", Some(bad)).unwrap_err().kind(), ErrorKind::Usage);
        }
        let Bounds::Points(points) = ask(&mut session, "k", Some("SELECT 'b', 'e'")).unwrap()
        else {
            panic!()
        };
        assert_eq!(points.first(), Some(&KeyValue::Text("b".into())));
        assert_eq!(points.last(), Some(&KeyValue::Text("e".into())));
        let Bounds::Points(points) = ask(&mut session, "upper(k)", None).unwrap() else { panic!() };
        assert!(!points.is_empty());
        assert_eq!(ask(&mut session, "nope", None).unwrap_err().kind(), ErrorKind::Usage);
        if !server.mariadb {
            assert_eq!(ask(&mut session, "j", None).unwrap_err().kind(), ErrorKind::Usage);
        }
        let mut filtered = request(&session, table("t"), "id", 4);
        filtered.filter = Some("id > 2 OR id < 0".to_string());
        assert_eq!(session.bounds(&filtered).unwrap(), range(3, 5));
        filtered.key.expr = "k".to_string();
        assert!(matches!(session.bounds(&filtered).unwrap(), Bounds::Points(p) if p.len() == 2));
    }
}

#[test]
fn a_not_null_column_with_zero_dates_is_not_split_twice() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.fresh("rsqoop_zero_key");
        run(&mut session, "SET SESSION sql_mode = ''");
        run(&mut session, "CREATE TABLE t (id int PRIMARY KEY, d date NOT NULL)");
        run(&mut session, "INSERT INTO t VALUES (1, '0000-00-00'), (2, '2020-01-01')");
        let r = request(&session, Relation::Table(TableName::new("t")), "d", 2);
        assert_eq!(session.bounds(&r).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
