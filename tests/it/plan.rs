//! `rsqoop plan import` and `--dry-run`: what would be done, in text and JSON; nothing changes.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::{Dir, json as parse};

const TABLES: &str = "
    CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, price DECIMAL(10,2), made DATE);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    INSERT INTO items SELECT i, 'item ' || i, i / 4.0, '2024-01-01' FROM n;
    CREATE TABLE pairs (a INTEGER, b INTEGER, c INTEGER, PRIMARY KEY (a, b));
    INSERT INTO pairs VALUES (1, 1, 1), (2, 1, 1), (3, 1, 2), (40, 1, 3);
    CREATE TABLE loose (a INTEGER, b TEXT);
    INSERT INTO loose VALUES (1, 'x'), (NULL, 'y'), (3, 'z');
    CREATE VIEW cheap AS SELECT id, price FROM items WHERE price < 10;";

/// A plan's text; the version of SQLite changes with its library.
fn plan(dir: &Dir, args: &[&str]) -> String {
    let before = dir.listing();
    let run =
        dir.ok(&[&["plan", "import", "--connect", "sqlite:t.db", "--target-dir", "out"], args]
            .concat());
    assert_eq!(dir.listing(), before, "a plan changes nothing");
    assert_eq!(run.stderr, "");
    let version = dir.sqlite_version();
    run.stdout.replace(&version, "SQLite VERSION")
}

impl Dir {
    /// What the program says of its SQLite library.
    fn sqlite_version(&self) -> String {
        let sql = "SELECT sqlite_version() AS v";
        let eval = self.ok(&["eval", "--connect", "sqlite:t.db", "--query", sql]);
        let version = eval.stdout.split('|').nth(3).unwrap_or_default().trim().to_string();
        assert!(version.starts_with("3."), "{}", eval.stdout);
        format!("SQLite {version}")
    }
}

#[test]
fn plans_for_people() {
    let dir = Dir::with_db(TABLES);
    let plans = [
        &["--table", "items"][..],
        &[
            "--table",
            "items",
            "--as-parquetfile",
            "-m",
            "2",
            "--where",
            "price > 10",
            "--columns",
            "name,id",
        ],
        &["--table", "items", "-m", "1", "-z", "--map-column", "price=string"],
        &["--table", "pairs"],
        &["--table", "loose"],
        &["--table", "loose", "--split-by", "a", "-m", "2"],
        &["--table", "cheap"],
        &["--table", "items", "--boundary-query", "SELECT 10, 20", "-m", "2"],
        &["--query", "SELECT id, name FROM items WHERE $CONDITIONS", "--split-by", "id", "-m", "2"],
        &["--query", "SELECT name FROM items WHERE $CONDITIONS"],
    ];
    let mut text = String::new();
    for args in plans {
        text += &format!("$ rsqoop plan import … {}\n{}\n", args.join(" "), plan(&dir, args));
    }
    assert_snapshot!("plans", text);
}

#[test]
fn a_dry_run_is_a_plan() {
    let dir = Dir::with_db(TABLES);
    let flags = ["import", "--connect", "sqlite:t.db", "--table", "items", "--target-dir", "out"];
    let before = dir.listing();
    for more in [&[][..], &["--json"]] {
        let dry = dir.ok(&[&flags[..], &["--dry-run"], more].concat());
        let plan = dir.ok(&[&["plan"], &flags[..], more].concat());
        assert_eq!((dry.stdout, dry.stderr), (plan.stdout, plan.stderr));
    }
    assert_eq!(dir.listing(), before);
}

#[test]
fn a_plan_for_programs_has_everything() {
    let dir = Dir::with_db(TABLES);
    let plan = parse(&plan(&dir, &["--table", "items", "--as-parquetfile", "--json"]));
    assert_eq!(plan["relation_kind"], "table");
    assert_eq!(plan["source"], "sqlite:t.db");
    assert_eq!(plan["workers"], 4);
    assert_eq!(plan["estimated_rows"], 1000);
    assert!(plan["estimated_bytes"].as_u64().unwrap() > 1000, "{plan}");
    assert_eq!(plan["files"][3], "part-m-00003.parquet");
    assert_eq!(plan["files"].as_array().unwrap().len(), 4);
    let price = &plan["columns"][2];
    let expected = json!({"name": "price", "native_type": "DECIMAL(10,2)", "file_type": "DECIMAL(10,2)", "nullable": true});
    assert_eq!(*price, expected);
    // The statements are the ones that run, and together they read every row once.
    let statements: Vec<&str> =
        plan["splits"].as_array().unwrap().iter().map(|s| s["sql"].as_str().unwrap()).collect();
    assert!(statements.len() >= 4, "{statements:?}");
    let rows = |sql: &str| -> Vec<String> {
        dir.sqlite("t.db", &format!("{sql};")).lines().map(str::to_string).collect()
    };
    let mut split: Vec<String> = statements.iter().flat_map(|s| rows(s)).collect();
    let mut whole = rows("SELECT id, name, price, made FROM items");
    split.sort();
    whole.sort();
    assert_eq!(split, whole);
}

#[test]
fn a_plan_and_its_run_read_the_same_way() {
    let dir = Dir::with_db(TABLES);
    let flags = ["--table", "loose", "--split-by", "a", "-m", "2"];
    let plan = parse(&plan(&dir, &[&flags[..], &["--json"]].concat()));
    dir.import("loose", &[&flags[2..], &["--target-dir", "out", "--report", "r.json"]].concat());
    let report = parse(&std::fs::read_to_string(dir.path("r.json")).unwrap());
    let list = |v: &serde_json::Value, key: &str| -> Vec<String> {
        let splits = v["splits"].as_array().unwrap().iter();
        splits.map(|s| s[key].as_str().unwrap().to_string()).collect()
    };
    let (statements, ranges) = (list(&plan, "sql"), list(&report, "range"));
    assert_eq!(statements.len(), ranges.len());
    for (statement, range) in statements.iter().zip(&ranges) {
        assert!(statement.ends_with(range), "{statement} reads {range}");
    }
    assert!(ranges.iter().any(|s| s.contains("IS NULL")), "{ranges:?}");
}

#[test]
fn a_plan_that_cannot_be_is_refused_as_its_run_would_be() {
    let dir = Dir::with_db(TABLES);
    std::fs::create_dir(dir.path("there")).unwrap();
    let args = ["import", "--connect", "sqlite:t.db", "--table", "items", "--target-dir", "there"];
    let (plan, run) = (dir.run(&[&["plan"], &args[..]].concat()), dir.run(&args));
    assert_eq!((plan.status, &plan.stderr), (2, &run.stderr));
    assert_eq!(plan.stdout, "");
}

#[test]
fn an_append_plan_goes_on_counting() {
    let dir = Dir::with_db(TABLES);
    dir.import("items", &["--target-dir", "out"]);
    let plan = parse(&plan(&dir, &["--table", "items", "--append", "-m", "2", "--json"]));
    assert_eq!(plan["files"], json!(["part-m-00004", "part-m-00005"]));
}
