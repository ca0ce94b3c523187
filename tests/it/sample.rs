//! The sample database: every table in both formats, against what `sqlite3` says is in it.

use crate::support::{Dir, assert_complete, bytes, judge_parquet, parts};

const TABLES: [(&str, u64); 8] = [
    ("countries", 12),
    ("customers", 200),
    ("log", 0),
    ("order_items", 0),
    ("orders", 1500),
    ("payments", 0),
    ("products", 50),
    ("returns", 0),
];

/// A column's value as `sqlite3` prints it: as JSON text or null, blobs in hex.
fn dump_sql(dir: &Dir, table: &str) -> String {
    let columns =
        dir.sqlite("shop.db", &format!("SELECT name, type FROM pragma_table_info('{table}')"));
    let items: Vec<String> = columns
        .lines()
        .map(|line| {
            let (name, declared) = line.split_once('|').unwrap();
            match declared {
                d if d.starts_with("DECIMAL") => {
                    let scale = d.trim_end_matches(')').rsplit(',').next().unwrap().to_string();
                    format!("printf('%.{scale}f', {name}) ")
                }
                "BLOB" => format!("lower(hex({name})) "),
                "BOOLEAN" => {
                    format!("CASE {name} WHEN 1 THEN json('true') WHEN 0 THEN json('false') END ")
                }
                "DOUBLE" | "REAL" => name.to_string(),
                _ => format!("CAST({name} AS TEXT)"),
            }
            .trim()
            .to_string()
                + &format!("|{name}")
        })
        .map(|item| {
            let (expr, name) = item.rsplit_once('|').unwrap();
            format!("CASE WHEN {name} IS NOT NULL THEN {expr} END")
        })
        .collect();
    format!("SELECT json_array({}) FROM {table};", items.join(", "))
}

#[test]
fn every_table_is_here() {
    let dir = Dir::with_shop();
    let listed = dir.ok(&["list-tables", "--connect", "sqlite:shop.db"]).stdout;
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    assert_eq!(listed, TABLES.map(|(name, _)| name));
}

#[test]
fn every_table_arrives_in_both_formats() {
    let dir = Dir::with_shop();
    for (table, expected) in TABLES {
        let count: u64 =
            dir.sqlite("shop.db", &format!("SELECT count(*) FROM {table}")).trim().parse().unwrap();
        assert!(expected == 0 || expected == count, "{table}: {count} rows");
        let (text, parquet) = (format!("{table}.text"), format!("{table}.parquet"));
        let import = |target: &str, format: &str| {
            let args = ["import", "--connect", "sqlite:shop.db", "--table", table, "--target-dir"];
            dir.ok(&[&args[..], &[target, format]].concat());
            assert_eq!(assert_complete(&dir.path(target)), count, "{table}");
        };
        import(&text, "--as-textfile");
        import(&parquet, "--as-parquetfile");
        let mut seen: Vec<String> = judge_parquet(&parts(&dir.path(&parquet)))["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(row_text)
            .collect();
        let dump = dir.sqlite("shop.db", &dump_sql(&dir, table));
        let mut stored: Vec<String> =
            dump.lines().map(|line| row_text(&serde_json::from_str(line).unwrap())).collect();
        seen.sort();
        stored.sort();
        assert_eq!(seen, stored, "{table}");
        // A record ends with a line feed, and only one column of one table has some inside.
        let lines = bytes(&dir.path(&text)).iter().filter(|b| **b == b'\n').count() as u64;
        let inside = if table == "orders" { 125 } else { 0 };
        assert_eq!(lines, count + inside, "{table}");
    }
}

/// A row in one form, whoever printed it: numbers by value, times without a fraction of zero.
fn row_text(row: &serde_json::Value) -> String {
    let values: Vec<String> = row
        .as_array()
        .unwrap()
        .iter()
        .map(|v| match v {
            serde_json::Value::Number(n) => n.as_f64().unwrap().to_string(),
            serde_json::Value::String(s) => match s.parse::<f64>() {
                Ok(n) if s.contains('.') => n.to_string(),
                _ => format!("{s:?}"),
            },
            other => other.to_string(),
        })
        .collect();
    values.join(" ")
}
