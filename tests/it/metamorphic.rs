//! The way of cutting, filtering and projecting never changes the rows.

use std::collections::BTreeMap;

use crate::support::{Dir, bytes, parts, sorted_lines};

/// One table with a key of each kind, NULLs among the keys that may have them, values clustered,
/// repeated and far apart.
const TABLE: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, gap BIGINT NOT NULL, few INTEGER, word TEXT NOT NULL COLLATE NOCASE,
        maybe TEXT, day DATE, at TIMESTAMP, price DECIMAL(12,3), real DOUBLE, flag BOOLEAN, raw BLOB, u UUID,
        huge BIGINT, free, void INTEGER);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    INSERT INTO t SELECT
        i,
        CASE WHEN i < 4990 THEN i ELSE i * 1000000007 END,
        CASE WHEN i % 7 THEN i % 5 END,
        CASE i % 3 WHEN 0 THEN 'word' WHEN 1 THEN 'WORD' ELSE 'Wörd ''' END || (i * 7919 % 5000),
        CASE WHEN i % 11 THEN char(97 + i % 26) || (i % 300) WHEN i % 2 THEN '' END,
        CASE WHEN i % 13 THEN date('1950-01-01', '+' || (i * 37 % 40000) || ' days') END,
        CASE WHEN i % 5 THEN datetime('1999-12-31 23:00:00', '+' || (i * 7907 % 9000000) || ' seconds') END,
        CASE WHEN i % 9 THEN (i * 7919 % 100000 - 50000) / 1000.0 END,
        CASE WHEN i % 10 THEN (i - 2500) * 1e300 / 7 ELSE i / 3.0 END,
        CASE WHEN i % 4 THEN i % 2 END,
        CASE WHEN i % 6 THEN CAST(char(i % 90 + 33, i % 70 + 33) AS BLOB) END,
        CASE WHEN i % 8 THEN printf('%08x-0000-4000-8000-%012x', i * 2654435761 % 4294967296, i) END,
        CASE i % 3 WHEN 0 THEN -9223372036854775808 + i WHEN 1 THEN 9223372036854775807 - i END,
        CASE i % 3 WHEN 0 THEN i WHEN 1 THEN 'text' || i END,
        NULL
    FROM n;";

const KEYS: [&str; 15] = [
    "id", "gap", "few", "word", "maybe", "day", "at", "price", "real", "flag", "raw", "u", "huge",
    "free", "void",
];

/// Imports and gives the rows as a multiset.
fn rows(dir: &Dir, target: &str, flags: &[&str]) -> Vec<String> {
    dir.import("t", &[&["--target-dir", target], flags].concat());
    sorted_lines(&dir.path(target))
}

/// Two multisets of lines are the same; says where they differ without printing thousands.
fn assert_same(what: &str, got: &[String], want: &[String]) {
    if got == want {
        return;
    }
    let mut count: BTreeMap<&String, i64> = BTreeMap::new();
    got.iter().for_each(|l| *count.entry(l).or_default() += 1);
    want.iter().for_each(|l| *count.entry(l).or_default() -= 1);
    let wrong: Vec<_> = count.into_iter().filter(|(_, n)| *n != 0).take(8).collect();
    panic!("{what}: {} rows where {} should be; {wrong:?}", got.len(), want.len());
}

#[test]
fn any_key_and_any_number_of_workers_give_the_same_rows() {
    let dir = Dir::with_db(TABLE);
    let want = rows(&dir, "one", &["-m", "1"]);
    assert_eq!(want.len(), 5000);
    for key in KEYS {
        for workers in ["1", "4", "16"] {
            let target = format!("{key}-{workers}");
            let got = rows(&dir, &target, &["-m", workers, "--split-by", key]);
            assert_same(&target, &got, &want);
            assert_eq!(parts(&dir.path(&target)).len().to_string(), workers, "{target}");
        }
    }
    // The primary key by itself, and an expression.
    assert_same("default", &rows(&dir, "default", &[]), &want);
    let expressions = ["id % 100", "abs(gap)", "\"word\"", "coalesce(maybe, word)"];
    for (index, by) in expressions.iter().enumerate() {
        let got = rows(&dir, &format!("e{index}"), &["--split-by", by, "-m", "3"]);
        assert_same(by, &got, &want);
    }
}

#[test]
fn work_is_shared_by_the_workers() {
    let dir = Dir::with_db(TABLE);
    for key in ["id", "word", "day", "at", "u"] {
        dir.import("t", &["--target-dir", key, "--split-by", key, "-m", "4"]);
        let sizes: Vec<usize> =
            parts(&dir.path(key)).iter().map(|p| std::fs::read(p).unwrap().len()).collect();
        assert!(sizes.iter().all(|s| *s > 0), "{key}: {sizes:?}");
    }
}

#[test]
fn a_condition_its_opposite_and_its_unknown_are_everything() {
    let dir = Dir::with_db(TABLE);
    let want = rows(&dir, "all", &["-m", "1"]);
    for (index, (p, key)) in [
        ("few > 2", "id"),
        ("maybe LIKE 'a%' OR few = 1", "maybe"),
        ("price < 0", "price"),
        ("day >= '1990-01-01'", "day"),
        ("word > 'word42'", "word"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut union = Vec::new();
        for (name, condition) in [
            ("p", p.to_string()),
            ("not", format!("NOT ({p})")),
            ("null", format!("({p}) IS NULL")),
        ] {
            let target = format!("{name}{index}");
            union.extend(rows(
                &dir,
                &target,
                &["--where", &condition, "--split-by", key, "-m", "3"],
            ));
        }
        union.sort();
        assert_same(p, &union, &want);
    }
}

#[test]
fn columns_come_in_the_order_asked_for() {
    let dir = Dir::with_db(TABLE);
    let all = rows(&dir, "all", &["--columns", "id,few,flag"]);
    let swapped: Vec<String> = {
        let mut lines: Vec<String> = rows(&dir, "swapped", &["--columns", "flag,id,few"])
            .iter()
            .map(|l| {
                let f: Vec<&str> = l.split(',').collect();
                format!("{},{},{}", f[1], f[2], f[0])
            })
            .collect();
        lines.sort();
        lines
    };
    assert_same("swapped", &swapped, &all);
    // The key need not be among the columns; names are found without case and with blanks around.
    let few = rows(&dir, "few", &["--columns", " FEW ", "--split-by", "at", "-m", "5"]);
    let mut want: Vec<String> =
        all.iter().map(|l| l.split(',').nth(1).unwrap().to_string()).collect();
    want.sort();
    assert_same("few", &few, &want);
}

#[test]
fn a_split_limit_makes_more_ranges_of_the_same_rows() {
    let dir = Dir::with_db(TABLE);
    let want = rows(&dir, "one", &["-m", "1"]);
    for (key, limit, least) in [("id", "100", 50), ("few", "1", 4), ("gap", "1000000000000", 5)] {
        let report = format!("{key}.json");
        let flags = ["--split-by", key, "--split-limit", limit, "-m", "2", "--report", &report];
        assert_same(key, &rows(&dir, key, &flags), &want);
        let report = crate::support::json(&std::fs::read_to_string(dir.path(&report)).unwrap());
        let splits = report["splits"].as_array().unwrap().len();
        assert!(splits >= least, "{key}: {splits} splits");
        assert_eq!(parts(&dir.path(key)).len(), 2, "{key}");
    }
    // SQLite has text and floating point where other databases have dates and decimals.
    // A negative limit is none, as with Sqoop.
    assert_same("none", &rows(&dir, "none", &["--split-limit", "-1"]), &want);
    let refused = dir.run(&[
        "import",
        "--connect",
        "sqlite:t.db",
        "--table",
        "t",
        "--target-dir",
        "x",
        "--split-by",
        "word",
        "--split-limit",
        "10",
    ]);
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("--split-limit needs a key"), "{}", refused.stderr);
}

#[test]
fn a_boundary_query_bounds_the_rows_at_both_ends() {
    let dir = Dir::with_db(TABLE);
    let ids = |target: &str, flags: &[&str]| -> (Vec<i64>, String) {
        let run = dir.import("t", &[&["--target-dir", target, "--columns", "id"], flags].concat());
        let mut ids: Vec<i64> =
            sorted_lines(&dir.path(target)).iter().map(|l| l.parse().unwrap()).collect();
        ids.sort_unstable();
        (ids, run.stderr)
    };
    for workers in ["1", "4", "7"] {
        let flags = ["--boundary-query", "SELECT 100, 200", "-m", workers];
        let (got, stderr) = ids(&format!("b{workers}"), &flags);
        assert_eq!(got, (100..=200).collect::<Vec<_>>(), "-m {workers}");
        assert!(
            stderr.contains("rows outside the boundary query's minimum and maximum"),
            "{stderr}"
        );
    }
    let (got, _) = ids("same", &["--boundary-query", "SELECT 42, 42"]);
    assert_eq!(got, [42]);
    let query = "SELECT min(id), max(id) FROM t WHERE id <= 50;";
    let (got, _) = ids("query", &["--boundary-query", query, "--where", "id % 2 = 0"]);
    assert_eq!(got, (2..=50).step_by(2).collect::<Vec<_>>());
    // Two bounds of NULL read the rows whose key is NULL, as with Sqoop.
    let flags = ["--boundary-query", "SELECT NULL, NULL", "--split-by", "few"];
    let (got, _) = ids("null", &flags);
    assert_eq!(got, (7..=5000).step_by(7).collect::<Vec<_>>());
    let refuse = |query: &str| {
        let args = ["import", "--connect", "sqlite:t.db", "--table", "t", "--target-dir", "x"];
        let run = dir.run(&[&args[..], &["--boundary-query", query]].concat());
        assert_eq!(run.status, 2, "{query}: {}", run.stderr);
        assert_eq!(run.stdout, "");
        run.stderr
    };
    assert!(refuse("SELECT 200, 100").contains("above its maximum"));
    refuse("SELECT 1");
    refuse("SELECT 1, 2 FROM nowhere");
}

#[test]
fn a_query_gives_the_rows_of_its_table() {
    let dir = Dir::with_db(TABLE);
    let want = rows(&dir, "table", &["-m", "1"]);
    for (index, (query, by)) in [
        ("SELECT * FROM t WHERE $CONDITIONS", Some("id")),
        ("SELECT * FROM t WHERE $CONDITIONS;", None),
        ("SELECT * FROM (SELECT * FROM t WHERE $CONDITIONS) WHERE $CONDITIONS", Some("word")),
        ("SELECT t.* FROM t JOIN t AS o ON o.id = t.id WHERE $CONDITIONS", Some("t.id")),
        ("SELECT * FROM t WHERE (few = 1 OR few <> 1 OR few IS NULL) AND $CONDITIONS", Some("few")),
    ]
    .into_iter()
    .enumerate()
    {
        for workers in ["1", "4", "16"] {
            let target = format!("q{index}-{workers}");
            let args =
                ["import", "--connect", "sqlite:t.db", "--query", query, "--target-dir", &target];
            let by: Vec<&str> = by.iter().flat_map(|by| ["--split-by", by]).collect();
            dir.ok(&[&args[..], &["-m", workers], &by].concat());
            assert_same(query, &sorted_lines(&dir.path(&target)), &want);
        }
    }
}

#[test]
fn a_query_whose_splits_would_not_add_up_to_it_gives_nothing() {
    let dir = Dir::with_db(TABLE);
    let refused = |status: i32, query: &str, word: &str| {
        let args = ["import", "--connect", "sqlite:t.db", "--target-dir", "x", "--query", query];
        let flags = ["--columns", "id", "--split-by", "id", "-m"];
        let run = dir.run(&[&args[..], &flags, &["3"]].concat());
        assert_eq!(run.status, status, "{query}: {}", run.stderr);
        assert!(run.stderr.contains(word), "{query}: {}", run.stderr);
        assert!(!dir.path("x").exists(), "{query}");
        // One worker reads the query as it is.
        dir.ok(&[&args[..], &flags, &["1", "--delete-target-dir"]].concat());
        std::fs::remove_dir_all(dir.path("x")).unwrap();
    };
    let early = "even where $CONDITIONS is false";
    refused(2, "SELECT id FROM t WHERE few = 1 OR id > 10 AND $CONDITIONS", early);
    refused(2, "SELECT id FROM t WHERE $CONDITIONS UNION ALL SELECT -id FROM t", early);
    refused(
        2,
        "SELECT id FROM t WHERE $CONDITIONS UNION SELECT count(*) FROM t WHERE $CONDITIONS",
        early,
    );
    let late = "in the same snapshot";
    refused(1, "SELECT id FROM t WHERE $CONDITIONS ORDER BY id LIMIT 100", late);
    refused(1, "SELECT DISTINCT few AS id FROM t WHERE $CONDITIONS", late);
}

#[test]
fn the_same_import_twice_gives_the_same_bytes() {
    let dir = Dir::with_db(TABLE);
    for (name, flags) in [("text", "--as-textfile"), ("parquet", "--as-parquetfile")] {
        let [a, b] = ["a", "b"].map(|n| format!("{name}-{n}"));
        for target in [&a, &b] {
            dir.import("t", &["--target-dir", target, flags, "-m", "4"]);
        }
        assert!(bytes(&dir.path(&a)) == bytes(&dir.path(&b)), "{name}");
    }
}
