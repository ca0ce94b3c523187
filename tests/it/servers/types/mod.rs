//! Literal-value tables: one table per database with every type and its extremes, imported to Parquet
//! and to text. What is expected stands beside each value; nothing is computed from the source.

mod mysql;
mod postgres;
mod refusals;
mod sqlite;

use super::support::{Database, Run, Server};

/// A value in SQL, in Parquet (as `reader.py` prints it) and in delimited text before escaping.
struct Value {
    sql: &'static str,
    parquet: &'static str,
    text: &'static str,
}

/// A type of a database, the Parquet type it becomes, and values of it.
struct Column {
    /// The type as it stands in `CREATE TABLE`.
    ddl: &'static str,
    parquet: &'static str,
    values: &'static [Value],
}

/// A value whose text form differs from what the Parquet reader prints.
const fn v(sql: &'static str, parquet: &'static str, text: &'static str) -> Value {
    Value { sql, parquet, text }
}

/// A value with one form for both.
const fn same(sql: &'static str, text: &'static str) -> Value {
    Value { sql, parquet: text, text }
}

const fn column(ddl: &'static str, parquet: &'static str, values: &'static [Value]) -> Column {
    Column { ddl, parquet, values }
}

/// `{x*70000}` for a long text, `{bytes}` and `{spaced bytes}` for all 256 bytes in hexadecimal.
fn expand(text: &str) -> String {
    let bytes = || (0..=255_u8).map(|b| format!("{b:02x}"));
    match text {
        "{bytes}" => bytes().collect(),
        "{spaced bytes}" => bytes().collect::<Vec<_>>().join(" "),
        _ => match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')?.split_once('*')) {
            Some((piece, count)) if count.parse::<usize>().is_ok() => {
                piece.repeat(count.parse().expect("checked before"))
            }
            _ => text.to_string(),
        },
    }
}

/// Creates `all_types`: an `id`, and a column `c01`, `c02` … per type. Its last row is NULL in all of
/// them.
fn create(db: &Database, setup: &str, columns: &[Column], table_options: &str) -> usize {
    let rows = columns.iter().map(|c| c.values.len()).max().unwrap_or(0) + 1;
    let mut sql = format!("{setup}\nCREATE TABLE all_types (id int NOT NULL PRIMARY KEY");
    for (index, column) in columns.iter().enumerate() {
        let null = if column.ddl.starts_with("timestamp") { " NULL" } else { "" };
        sql.push_str(&format!(",\n {} {}{null}", name(index), column.ddl));
    }
    sql.push_str(&format!("\n){table_options};\n"));
    for row in 0..rows {
        let values = columns.iter().map(|c| match c.values.get(row) {
            None => "NULL".to_string(),
            Some(value) => value.sql.replace("{bytes}", &expand("{bytes}")),
        });
        let values: Vec<String> = values.collect();
        sql.push_str(&format!(
            "INSERT INTO all_types VALUES ({}, {});\n",
            row + 1,
            values.join(", ")
        ));
    }
    db.sql(&sql);
    rows
}

fn name(index: usize) -> String {
    format!("c{:02}", index + 1)
}

/// Compares all columns and reports every difference at once.
#[track_caller]
fn check_parquet(run: &Run, columns: &[Column], rows: usize) {
    let files = run.read();
    let mut wrong = Vec::new();
    assert_eq!(files.columns.len(), columns.len() + 1);
    assert!(files.columns[0].required, "id is NOT NULL in the source");
    for (index, column) in columns.iter().enumerate() {
        let found = &files.columns[index + 1];
        assert_eq!(found.name, name(index));
        let what = format!("{} {}", found.name, column.ddl);
        if found.parquet != column.parquet {
            wrong.push(format!("{what}: is {}, expected {}", found.parquet, column.parquet));
        }
        if found.native.is_empty() || found.required {
            wrong.push(format!("{what}: native {:?}, required {}", found.native, found.required));
        }
    }
    let mut by_id = vec![Vec::new(); rows];
    for row in files.rows {
        let id: usize = row[0].as_deref().and_then(|id| id.parse().ok()).expect("an id");
        by_id[id - 1] = row;
    }
    for (index, column) in columns.iter().enumerate() {
        for (row, found) in by_id.iter().enumerate() {
            let wanted = column.values.get(row).map(|v| expand(v.parquet));
            if found[index + 1] != wanted {
                let what = format!("{} {} row {}", name(index), column.ddl, row + 1);
                wrong.push(format!(
                    "{what}: {:.300?}, expected {:.300?}",
                    found[index + 1],
                    wanted
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences in Parquet:\n{}", wrong.len(), wrong.join("\n"));
}

/// Flags that make text unambiguous: tabs, backslash escapes, `\N`.
const TEXT_FLAGS: [&str; 8] = [
    "--fields-terminated-by",
    "\\t",
    "--escaped-by",
    "\\\\",
    "--null-string",
    "\\N",
    "--null-non-string",
    "\\N",
];

/// Every type has a checksum by the server's own SQL.
const VERIFIED: [&str; 3] = ["--verify", "checksum", "--require-verified"];

/// Compares the text files byte for byte, one worker, rows in the order of their ids.
#[track_caller]
fn check_text(run: &Run, columns: &[Column], rows: usize) {
    let mut wanted = Vec::new();
    for row in 0..rows {
        let cells = columns.iter().map(|c| match c.values.get(row) {
            None => "\\N".to_string(),
            Some(value) => escaped(&expand(value.text)),
        });
        let cells: Vec<String> = std::iter::once((row + 1).to_string()).chain(cells).collect();
        wanted.push(cells);
    }
    let bytes: String = wanted.iter().map(|cells| cells.join("\t") + "\n").collect();
    let found = run.text();
    if found == bytes.as_bytes() {
        return;
    }
    let found = String::from_utf8_lossy(&found).into_owned();
    let mut wrong = Vec::new();
    let records = records(&found);
    for (row, (cells, wanted)) in records.iter().zip(&wanted).enumerate() {
        for (index, (cell, wanted)) in cells.iter().zip(wanted).enumerate() {
            if cell != wanted {
                let ddl = index.checked_sub(1).map_or("id", |i| columns[i].ddl);
                let what = format!("c{index:02} {ddl} row {}", row + 1);
                wrong.push(format!("{what}: {cell:.300?}, expected {wanted:.300?}"));
            }
        }
    }
    panic!("{} differences in text:\n{}", wrong.len(), wrong.join("\n"));
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '\t' | '\n') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Cuts text at delimiters that no backslash stands before; the pieces stay escaped.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut cells, mut cell, mut escape) = (vec![], vec![], String::new(), false);
    for c in text.chars() {
        match c {
            '\t' | '\n' if !escape => {
                cells.push(std::mem::take(&mut cell));
                if c == '\n' {
                    records.push(std::mem::take(&mut cells));
                }
            }
            _ => cell.push(c),
        }
        escape = c == '\\' && !escape;
    }
    records
}

/// Both formats of one table, with one worker and with several.
fn check(server: Server, test: &str, setup: &str, columns: &[Column], table_options: &str) {
    let db = Database::new(server, test);
    let rows = create(&db, setup, columns, table_options);
    let parquet = [&["--table", "all_types", "--as-parquetfile"], &VERIFIED[..]].concat();
    check_parquet(&db.import("parquet", &parquet).ok(), columns, rows);
    let mut text = vec!["--table", "all_types", "--as-textfile", "-m", "1"];
    text.extend_from_slice(&VERIFIED);
    text.extend_from_slice(&TEXT_FLAGS);
    check_text(&db.import("text", &text).ok(), columns, rows);
}
