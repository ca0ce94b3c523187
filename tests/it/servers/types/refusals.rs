//! Values that no mapped type can hold: the import stops and names the column, the row and the flag
//! that allows another type; nothing is published; with that flag the database's own text arrives.

use super::super::support::{Database, Server};

/// A column with one value that fits (row 1) and one that does not (row 7).
struct Case {
    ddl: &'static str,
    good: &'static str,
    bad: &'static str,
    /// The database's own text of `bad`.
    text: &'static str,
    /// What the message must say about the value, beside names and flags.
    word: &'static str,
}

const fn case(
    ddl: &'static str,
    good: &'static str,
    bad: &'static str,
    text: &'static str,
    word: &'static str,
) -> Case {
    Case { ddl, good, bad, text, word }
}

/// Runs all cases and reports every one that behaves otherwise.
fn check(server: Server, setup: &str, cases: &[Case]) {
    let db = Database::new(server, "refusals");
    let mut wrong = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let table = format!("r{index}");
        db.sql(&format!(
            "{setup} CREATE TABLE {table} (id int NOT NULL PRIMARY KEY, c {});
             INSERT INTO {table} VALUES (1, {});
             INSERT INTO {table} VALUES (7, {});",
            case.ddl, case.good, case.bad
        ));
        for format in ["--as-parquetfile", "--as-textfile"] {
            let run = db.import(&table, &["--table", &table, format]);
            let words = ["id = 7", "--map-column c=string", "c (", case.word];
            let missing: Vec<_> = words.iter().filter(|w| !run.stderr.contains(**w)).collect();
            if run.status != 1 || !missing.is_empty() || run.target.exists() {
                let what = format!("{} {}: exit 1 with all of {words:?}", case.ddl, case.bad);
                wrong.push(format!("{what}, but\n{}", run.story()));
            }
        }
        let target = format!("{table}_text");
        let flags = ["--table", &table, "--map-column", "c=string", "--as-parquetfile", "-m", "1"];
        let run = db.import(&target, &flags);
        if run.status != 0 {
            wrong.push(format!("{} {} as string:\n{}", case.ddl, case.bad, run.story()));
            continue;
        }
        let files = run.read();
        let rows = files.column("c");
        if files.type_of("c") != "BYTE_ARRAY STRING" || rows.len() != 2 || rows[1] != case.text {
            let found = format!("{} {rows:?}", files.type_of("c"));
            wrong.push(format!("{} as string is {found}, expected {:?}", case.ddl, case.text));
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_postgres_values_do_not_fit_is_refused() {
    let cases = [
        case("date", "'2024-01-01'", "'infinity'", "infinity", "infinity"),
        case("date", "'2024-01-01'", "'-infinity'", "-infinity", "infinity"),
        case("timestamp", "'2024-01-01'", "'infinity'", "infinity", "infinity"),
        case(
            "timestamp",
            "'2024-01-01'",
            "'294276-12-31 23:59:59.999999'",
            "294276-12-31 23:59:59.999999",
            "",
        ),
        case(
            "timestamp",
            "'2024-01-01'",
            "'294247-01-10 04:00:54.775808'",
            "294247-01-10 04:00:54.775808",
            "",
        ),
        case("timestamptz", "'2024-01-01'", "'-infinity'", "-infinity", "infinity"),
        case(
            "timestamptz",
            "'2024-01-01'",
            "'294276-12-31 23:59:59.999999+00'",
            "294276-12-31 23:59:59.999999+00",
            "",
        ),
        // Readers would show it as midnight of the same day.
        case("time", "'12:00:00'", "'24:00:00'", "24:00:00", "24:00:00"),
        case("numeric(10,2)", "1", "'NaN'", "NaN", "NaN"),
        case("numeric(76,2)", "1", "'NaN'", "NaN", "NaN"),
    ];
    check(Server::Postgres, "", &cases);
}

#[test]
fn what_postgres_arrays_do_not_fit_is_refused() {
    // Text files hold the database's own text of an array, so only Parquet refuses.
    let cases = [
        ("int[]", "'{{1,2},{3,4}}'", "{{1,2},{3,4}}"),
        ("int[]", "'[0:1]={1,2}'", "[0:1]={1,2}"),
        ("numeric(10,2)[]", "'{1,NaN}'", "{1.00,NaN}"),
        ("date[]", "'{infinity}'", "{infinity}"),
        ("timestamptz[]", "'{-infinity,NULL}'", "{-infinity,NULL}"),
        ("text[]", "'{{a},{b}}'", "{{a},{b}}"),
    ];
    let db = Database::new(Server::Postgres, "refusals_array");
    for (index, (ddl, bad, text)) in cases.into_iter().enumerate() {
        let table = format!("r{index}");
        db.sql(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, c {ddl}); INSERT INTO {table} VALUES (7, {bad});"
        ));
        db.import(&table, &["--table", &table, "--as-parquetfile"])
            .refused(1, &["id = 7", "--map-column c=string", "c ("]);
        let as_string = ["--table", &table, "--as-parquetfile", "--map-column", "c=string"];
        let files = db.import(&format!("{table}_string"), &as_string).ok().read();
        assert_eq!(files.column("c"), [text]);
        let run = db.import(&format!("{table}_text"), &["--table", &table]).ok();
        assert_eq!(String::from_utf8(run.text()).expect("UTF-8"), format!("7,{text}\n"));
    }
}

const ZERO: &str = "SET sql_mode = '', time_zone = '+00:00';";

#[test]
fn what_mysql_values_do_not_fit_is_refused() {
    let cases = [
        case("date", "'2024-01-01'", "'0000-00-00'", "0000-00-00", "zero"),
        case("date", "'2024-01-01'", "'2024-00-10'", "2024-00-10", "zero"),
        case("date", "'2024-01-01'", "'2024-02-00'", "2024-02-00", "zero"),
        case("datetime", "'2024-01-01'", "'0000-00-00'", "0000-00-00 00:00:00", "zero"),
        case("datetime(6)", "'2024-01-01'", "'0000-00-00'", "0000-00-00 00:00:00.000000", "zero"),
        case("timestamp NULL", "'2024-01-01'", "'0000-00-00'", "0000-00-00 00:00:00", "zero"),
        case("time", "'00:00:01'", "'838:59:59'", "838:59:59", "day"),
        case("time", "'00:00:01'", "'-00:00:01'", "-00:00:01", "day"),
        case("time(6)", "'00:00:01'", "'-838:59:59.000000'", "-838:59:59.000000", "day"),
        case("time", "'00:00:01'", "'25:00:00'", "25:00:00", "day"),
    ];
    for server in Server::MYSQL_FAMILY {
        check(server, ZERO, &cases);
    }
}

#[test]
fn impossible_days_that_mysql_may_store_are_refused() {
    let cases = [case("date", "'2024-01-01'", "'2023-02-31'", "2023-02-31", "day")];
    for server in Server::MYSQL_FAMILY {
        check_named(server, "SET sql_mode = 'ALLOW_INVALID_DATES';", &cases);
    }
}

fn check_named(server: Server, setup: &str, cases: &[Case]) {
    let db = Database::new(server, "invalid_dates");
    for case in cases {
        db.sql(&format!(
            "{setup} CREATE TABLE d (id int PRIMARY KEY, c {}); INSERT INTO d VALUES (7, {});",
            case.ddl, case.bad
        ));
        db.import("d", &["--table", "d"]).refused(1, &["id = 7", case.word]);
        let run = db.import("s", &["--table", "d", "--map-column", "c=string"]).ok();
        assert_eq!(String::from_utf8(run.text()).expect("UTF-8"), format!("7,{}\n", case.text));
    }
}

#[test]
fn zero_dates_become_null_only_when_the_url_says_so() {
    for server in Server::MYSQL_FAMILY {
        let db = Database::new(server, "zero_dates");
        db.sql(&format!(
            "{ZERO} CREATE TABLE z (id int PRIMARY KEY, d date NOT NULL, t datetime NOT NULL);
             INSERT INTO z VALUES (1, '0000-00-00', '0000-00-00'), (2, '2024-01-02', '2024-01-02 03:04:05');"
        ));
        db.import("refused", &["--table", "z"]).refused(1, &["id = 1"]);
        for parameter in ["convertToNull", "CONVERT_TO_NULL"] {
            let url = format!("{}?zeroDateTimeBehavior={parameter}", db.url());
            let run = db.import_from(&url, parameter, &["--table", "z", "--as-parquetfile"]).ok();
            let files = run.read();
            assert_eq!(files.column("d"), ["NULL", "2024-01-02"], "{server:?}");
            assert_eq!(files.column("t"), ["NULL", "2024-01-02 03:04:05.000000"], "{server:?}");
        }
        let url = format!("{}?zeroDateTimeBehavior=exception", db.url());
        db.import_from(&url, "exception", &["--table", "z"]).refused(1, &["id = 1"]);
    }
}

#[test]
fn tinyint_one_is_boolean_only_when_the_url_says_so() {
    for server in Server::MYSQL_FAMILY {
        let db = Database::new(server, "tiny");
        db.sql(
            "CREATE TABLE b (id int PRIMARY KEY, c tinyint(1), w tinyint);
             INSERT INTO b VALUES (1, 0, 0), (2, 1, 2), (3, NULL, NULL);",
        );
        let url = format!("{}?tinyInt1isBit=true", db.url());
        let files = db.import_from(&url, "bit", &["--table", "b", "--as-parquetfile"]).ok().read();
        assert_eq!(files.type_of("c"), "BOOLEAN");
        assert_eq!(files.column("c"), ["false", "true", "NULL"], "{server:?}");
        assert_eq!(files.column("w"), ["0", "2", "NULL"], "{server:?}");
        let url = format!("{}?tinyInt1isBit=false", db.url());
        let files = db.import_from(&url, "int", &["--table", "b", "--as-parquetfile"]).ok().read();
        assert_eq!(files.column("c"), ["0", "1", "NULL"], "{server:?}");
        // The driver would make true of 2: a value is never changed.
        db.sql("UPDATE b SET c = 2 WHERE id = 2");
        let url = format!("{}?tinyInt1isBit=true", db.url());
        db.import_from(&url, "two", &["--table", "b"]).refused(1, &["id = 2", "c ("]);
    }
}

#[test]
fn what_sqlite_stores_in_another_class_is_refused() {
    let cases = [
        case("integer", "1", "'12:00'", "12:00", "text"),
        case("integer", "1", "1.5", "1.5", "real"),
        case("integer", "1", "x'3031'", "01", "blob"),
        case("real", "1", "'abc'", "abc", "text"),
        case("boolean", "1", "2", "2", "0 nor 1"),
        case("text", "'a'", "x'41'", "A", "blob"),
        case("blob", "x'00'", "'text'", "text", "text"),
        case("blob", "x'00'", "5", "5", "integer"),
        case("date", "'2024-01-01'", "'2024-02-30'", "2024-02-30", ""),
        case("date", "'2024-01-01'", "45000", "45000", "integer"),
        case("datetime", "'2024-01-01 00:00:00'", "'yesterday'", "yesterday", ""),
        case("datetime", "'2024-01-01 00:00:00'", "1700000000", "1700000000", "integer"),
        case("time", "'00:00:00'", "'25:00:00'", "25:00:00", ""),
        case("decimal(10,2)", "1", "1.005", "1.005", ""),
        case("decimal(10,2)", "1", "123456789.5", "123456789.5", ""),
        case("decimal(10,2)", "1", "'abc'", "abc", ""),
        case("uuid", "'00000000-0000-0000-0000-000000000000'", "'xyz'", "xyz", ""),
    ];
    check(Server::Sqlite, "", &cases);
}
