//! Points between equal numbers of rows, and keys of several columns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{Open, Server, both, column, describe, query, read, run, table};
use rsqoop_connector::{
    Bounds, BoundsRequest, ErrorKind, KeyRange, KeyValue, ReadQuery, Relation, SplitKey,
};

/// Rows of the skewed table: 95 % of them in the first hundredth of the key's range.
const ROWS: u64 = 400_000;

fn numbers(server: &Server, count: u64) -> String {
    if server.mariadb {
        return format!("(SELECT seq AS n FROM seq_0_to_{}) AS s", count - 1);
    }
    format!(
        "(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < {}) \
         SELECT n FROM s) AS s",
        count - 1
    )
}

fn session(server: &Server, database: &str) -> Open {
    let mut session = server.fresh(database);
    if !server.mariadb {
        run(&mut session, "SET SESSION cte_max_recursion_depth = 10000000");
    }
    session
}

fn analyse(session: &mut Open, name: &str) {
    // Its answer is a result, not a failure.
    run(session, &format!("ANALYZE TABLE {name}"));
}

fn ask(key: SplitKey, pieces: usize, rows: Option<u64>) -> BoundsRequest {
    BoundsRequest {
        relation: table("t"),
        filter: None,
        key,
        pieces,
        boundary_query: None,
        estimated_rows: rows,
        extent: false,
    }
}

fn key_of(session: &mut Open, names: &[&str]) -> SplitKey {
    let info = describe(session, &table("t"));
    let columns: Vec<_> = names
        .iter()
        .map(|n| info.columns.iter().find(|c| c.name == *n).expect("the column").clone())
        .collect();
    let dialect = session.dialect();
    match columns.as_slice() {
        [one] => SplitKey::new(dialect.quote_ident(&one.name), Some(one.clone())),
        _ => SplitKey::of_row(dialect, columns),
    }
}

fn ranges(key: &SplitKey, points: &[KeyValue]) -> Vec<KeyRange> {
    let mut ends: Vec<Option<KeyValue>> = points.iter().cloned().map(Some).collect();
    ends.insert(0, None);
    ends.push(None);
    ends.windows(2)
        .map(|w| {
            if w[0].is_none() && w[1].is_none() {
                return KeyRange::All;
            }
            KeyRange::Between {
                key: key.clone(),
                lower: w[0].clone(),
                upper: w[1].clone(),
                upper_inclusive: false,
            }
        })
        .collect()
}

/// Only the identifying column.
fn narrow(session: &mut Open) -> ReadQuery {
    let info = describe(session, &table("t"));
    let mut q = query(&info, &table("t"), false);
    q.columns.truncate(1);
    q.whole = false;
    q.schema = Arc::new(arrow_schema::Schema::new(vec![info.columns[0].field(false)]));
    q
}

fn counts(session: &mut Open, key: &SplitKey, points: &[KeyValue]) -> Vec<u64> {
    let mut q = narrow(session);
    ranges(key, points)
        .into_iter()
        .map(|range| {
            q.range = range;
            session.count(&q).expect("it works").expect("a count")
        })
        .collect()
}

/// Every piece has at most twice its share of the rows, and none is missing.
fn balanced(counts: &[u64], total: u64, place: &str) {
    assert_eq!(counts.iter().sum::<u64>(), total, "{place}");
    let share = total / counts.len() as u64;
    let high = counts.iter().max().expect("a piece");
    assert!(*high <= 2 * share, "{place}: {counts:?}");
}

fn points(session: &mut Open, request: &BoundsRequest, place: &str) -> Vec<KeyValue> {
    let start = Instant::now();
    let bounds = session.bounds(request).unwrap_or_else(|e| panic!("{place}: {e:?}"));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let Bounds::Points(points) = bounds else { panic!("{place}: {bounds:?}") };
    assert!(points.len() < request.pieces, "{place}");
    points
}

#[test]
fn skewed_numbers_and_dates_are_cut_into_equal_parts() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = session(&server, "rsqoop_skew");
        // 95 % of the rows lie in the first hundredth of each key's range.
        let skew =
            format!("IF(n < {edge}, n, {edge} + (n - {edge}) * 1881)", edge = ROWS / 100 * 95);
        for (sql, value) in [
            ("bigint NOT NULL PRIMARY KEY", skew.clone()),
            ("bigint unsigned NOT NULL PRIMARY KEY", format!("18446744073709551615 - {skew}")),
            ("decimal(20,2) NOT NULL PRIMARY KEY", format!("({skew}) / 100 - 5000")),
            ("int, KEY (k)", format!("{skew} DIV 100")),
            ("date, KEY (k)", format!("DATE'1950-01-01' + INTERVAL ({skew}) DIV 20000 DAY")),
            (
                "datetime(3) NOT NULL PRIMARY KEY",
                format!("TIMESTAMP'1999-12-31 23:00:00' + INTERVAL ({skew}) SECOND"),
            ),
        ] {
            let place = format!("MariaDB {} {sql}", server.mariadb);
            run(&mut session, "DROP TABLE IF EXISTS t");
            run(&mut session, &format!("CREATE TABLE t (k {sql}, pad varchar(100)) ENGINE=InnoDB"));
            run(
                &mut session,
                &format!(
                    "INSERT INTO t SELECT {value}, REPEAT('x', 60) FROM {}",
                    numbers(&server, ROWS)
                ),
            );
            analyse(&mut session, "t");
            let key = key_of(&mut session, &["k"]);
            for pieces in [4, 16] {
                let request = ask(key.clone(), pieces, Some(ROWS));
                let points = points(&mut session, &request, &place);
                let counts = counts(&mut session, &key, &points);
                // With few different values one of them may be more than a share.
                if !sql.starts_with("date,") {
                    assert_eq!(counts.len(), pieces, "{place}");
                    balanced(&counts, ROWS, &place);
                }
                assert_eq!(counts.iter().sum::<u64>(), ROWS);
            }
            // Many pieces are still cheap; the extent alone stays what it was.
            points(&mut session, &ask(key.clone(), 256, Some(ROWS)), &place);
            let mut extent = ask(key, 4, Some(ROWS));
            extent.extent = true;
            assert!(matches!(session.bounds(&extent).unwrap(), Bounds::Range { .. }), "{place}");
        }
    }
}

#[test]
fn large_composite_keys_are_cut_by_two_columns() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = session(&server, "rsqoop_rows_large");
        for (second, value) in
            [("int", "n"), ("varchar(20) COLLATE utf8mb4_unicode_ci", "CONCAT('k', n)")]
        {
            run(&mut session, "DROP TABLE IF EXISTS t");
            run(
                &mut session,
                &format!(
                    "CREATE TABLE t (a int NOT NULL, b {second} NOT NULL, c char(3) NOT NULL, \
                     PRIMARY KEY (a, b, c)) ENGINE=InnoDB"
                ),
            );
            // 90 % of the rows have one value of the first column.
            run(
                &mut session,
                &format!(
                    "INSERT INTO t SELECT IF(MOD(n, 10) = 0, MOD(n, 1000), 500), {value}, 'x' FROM {}",
                    numbers(&server, ROWS)
                ),
            );
            analyse(&mut session, "t");
            let key = key_of(&mut session, &["a", "b", "c"]);
            let place = format!("MariaDB {} (int, {second}, char)", server.mariadb);
            let points = points(&mut session, &ask(key.clone(), 16, Some(ROWS)), &place);
            let counts = counts(&mut session, &key, &points);
            assert_eq!(counts.iter().sum::<u64>(), ROWS);
            balanced(&counts, ROWS, &place);
        }
    }
}

/// Texts that collations take for equal or order in different ways.
const WORDS: &[&str] = &[
    "", " ", "a", "A", "ä", "ß", "ss", "z", "O'Neil", "b\\c", "\t", "日本", "😀", "é", "e", "E",
    "\u{0}",
];

fn composite_cases() -> Vec<(&'static str, Vec<String>)> {
    let words: Vec<String> =
        WORDS.iter().map(|w| format!("_utf8mb4 x'{}'", crate::common::hex(w.as_bytes()))).collect();
    let many = |f: &dyn Fn(i64) -> String| (0..20).map(f).collect::<Vec<_>>();
    vec![
        ("varchar(20) COLLATE utf8mb4_general_ci", words.clone()),
        ("varchar(20) COLLATE utf8mb4_unicode_ci", words.clone()),
        ("varchar(20) COLLATE utf8mb4_bin", words.clone()),
        ("bigint unsigned", vec!["0".into(), "7".into(), "18446744073709551615".into()]),
        ("decimal(20,5)", many(&|i| format!("{}.{:05}", i - 9, i * 11))),
        ("double", many(&|i| format!("{}e-3", i * i - 50))),
        ("float", many(&|i| format!("{}e-1", i * 3))),
        ("year", many(&|i| (1990 + i).to_string())),
        ("year", many(&|i| if i == 0 { "0".into() } else { (1990 + i).to_string() })),
        ("bit(9)", many(&|i| (i * 13).to_string())),
        ("enum('z','a','m')", vec!["'z'".into(), "'a'".into(), "'m'".into()]),
        ("date", many(&|i| format!("'2020-01-{:02}'", i + 1))),
        ("datetime(6)", many(&|i| format!("'2020-01-01 00:00:00.{i:06}'"))),
        ("time(2)", many(&|i| format!("'{}:00:00.25'", i * 40 - 400))),
        ("varbinary(9)", many(&|i| format!("x'{i:02x}00'"))),
    ]
}

fn union_is_whole(session: &mut Open, key: &SplitKey, filter: Option<&str>, place: &str) {
    let mut q = narrow(session);
    q.filter = filter.map(str::to_string);
    let ids = |batches: &[arrow_array::RecordBatch]| -> Vec<i64> {
        column(batches, 0).iter().map(|v| v.parse().expect("an id")).collect()
    };
    let mut whole = ids(&read(session, &q));
    whole.sort_unstable();
    for pieces in [1, 2, 5, 40] {
        let mut request = ask(key.clone(), pieces, None);
        request.filter = filter.map(str::to_string);
        let bounds = session.bounds(&request).unwrap_or_else(|e| panic!("{place}: {e:?}"));
        let Bounds::Points(points) = bounds else { panic!("{place}: {bounds:?}") };
        let mut union = Vec::new();
        for range in ranges(key, &points) {
            q.range = range;
            union.extend(ids(&read(session, &q)));
        }
        union.sort_unstable();
        assert_eq!(union, whole, "{place}, {pieces} pieces: {points:?}");
        if filter.is_none() && pieces == 5 && !place.contains("year") {
            assert!(points.len() >= 2, "{place}: {points:?}");
        }
    }
}

#[test]
fn the_union_of_all_row_splits_is_the_table() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.fresh("rsqoop_rows");
        run(&mut session, "SET SESSION sql_mode = ''");
        for (sql, values) in composite_cases() {
            for order in [["a", "b"], ["b", "a"]] {
                let place = format!("MariaDB {} {sql} {order:?}", server.mariadb);
                run(&mut session, "DROP TABLE IF EXISTS t");
                // Without a key over them equal rows occur too.
                for keyed in [true, false] {
                    run(&mut session, "DROP TABLE IF EXISTS t");
                    let primary = if keyed {
                        format!("UNIQUE (id), PRIMARY KEY ({}, {})", order[0], order[1])
                    } else {
                        "PRIMARY KEY (id)".to_string()
                    };
                    run(
                        &mut session,
                        &format!(
                            "CREATE TABLE t (id int NOT NULL AUTO_INCREMENT, a {sql} NOT NULL, \
                             b int NOT NULL, {primary})"
                        ),
                    );
                    for (i, value) in values.iter().enumerate() {
                        for b in 0..4 {
                            let b = if keyed { b * 100 + i % 7 } else { b / 2 };
                            // Texts equal under the collation are one key.
                            let insert = if keyed { "INSERT IGNORE" } else { "INSERT" };
                            run(
                                &mut session,
                                &format!("{insert} INTO t (a, b) VALUES ({value}, {b})"),
                            );
                        }
                    }
                    let key = key_of(&mut session, &order);
                    union_is_whole(&mut session, &key, None, &format!("{place} {keyed}"));
                    union_is_whole(&mut session, &key, Some("b > 1 OR b = 0"), &place);
                }
            }
        }
        run(&mut session, "DELETE FROM t");
        let key = key_of(&mut session, &["a", "b"]);
        assert_eq!(session.bounds(&ask(key.clone(), 4, None)).unwrap(), Bounds::Empty);
        let mut hand_made = ask(key, 4, None);
        hand_made.boundary_query = Some("SELECT 1, 2".to_string());
        assert_eq!(session.bounds(&hand_made).unwrap_err().kind(), ErrorKind::Usage);
    }
}

#[test]
fn a_range_of_rows_is_a_range_of_the_index() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = session(&server, "rsqoop_rows_plan");
        run(
            &mut session,
            "CREATE TABLE t (a int NOT NULL, b varchar(20) NOT NULL, c int NOT NULL, v int, \
             PRIMARY KEY (a, b, c))",
        );
        run(
            &mut session,
            &format!(
                "INSERT INTO t SELECT MOD(n, 5), CONCAT('w', MOD(n, 50)), n, 1 FROM {}",
                numbers(&server, 20_000)
            ),
        );
        analyse(&mut session, "t");
        let key = key_of(&mut session, &["a", "b", "c"]);
        let row = |a, b: &str, c| {
            KeyValue::Row(vec![
                KeyValue::Integer(a),
                KeyValue::Text(b.to_string()),
                KeyValue::Integer(c),
            ])
        };
        let between = KeyRange::Between {
            key,
            lower: Some(row(2, "w12", 100)),
            upper: Some(row(2, "w17", 9000)),
            upper_inclusive: false,
        };
        let condition = between.to_sql(session.dialect()).expect("a condition");
        let mut plan = Plan::default();
        session
            .evaluate(
                &format!("EXPLAIN FORMAT=TRADITIONAL SELECT * FROM t WHERE {condition}"),
                &mut plan,
            )
            .unwrap();
        let at = |name: &str| {
            let i = plan.names.iter().position(|n| n == name).expect("a column of EXPLAIN");
            plan.rows[0][i].clone().unwrap_or_default()
        };
        assert_eq!((at("type").as_str(), at("key").as_str()), ("range", "PRIMARY"));
        assert!(at("rows").parse::<u64>().unwrap() < 2_000, "{:?}", plan.rows);
    }
}

/// Keeps a text result.
#[derive(Default)]
struct Plan {
    names: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

impl rsqoop_connector::TextSink for Plan {
    fn columns(
        &mut self,
        columns: &[rsqoop_connector::TextColumn],
    ) -> rsqoop_connector::Result<()> {
        self.names = columns.iter().map(|c| c.name.clone()).collect();
        Ok(())
    }

    fn row(&mut self, values: &[Option<String>]) -> rsqoop_connector::Result<()> {
        self.rows.push(values.to_vec());
        Ok(())
    }

    fn end(&mut self) -> rsqoop_connector::Result<()> {
        Ok(())
    }

    fn updated(&mut self, _rows: u64) -> rsqoop_connector::Result<()> {
        Ok(())
    }
}

#[test]
fn a_view_and_a_column_without_an_index_keep_their_range() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = session(&server, "rsqoop_no_index");
        run(&mut session, "CREATE TABLE t (id int PRIMARY KEY, n int)");
        let rows = numbers(&server, 5000);
        run(&mut session, &format!("INSERT INTO t SELECT n, n FROM {rows}"));
        run(&mut session, "CREATE VIEW v AS SELECT * FROM t");
        let key = key_of(&mut session, &["n"]);
        let range = Bounds::Range { min: KeyValue::Integer(0), max: KeyValue::Integer(4999) };
        assert_eq!(session.bounds(&ask(key, 4, None)).unwrap(), range);
        let mut view = ask(SplitKey::new("`id`", None), 4, None);
        view.relation = table("v");
        assert_eq!(session.bounds(&view).unwrap(), range);
        view.relation = Relation::Query("SELECT id FROM t WHERE $CONDITIONS".to_string());
        assert_eq!(session.bounds(&view).unwrap(), range);
    }
}
