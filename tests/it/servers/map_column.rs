//! `--map-column`: what a column may become, exactly, and what is refused.

use super::support::{Database, Server};

/// One conversion: flag, Parquet type, values of rows 1 to 3 (`NULL` in row 3).
type Conversion = (&'static str, &'static str, [&'static str; 2]);

fn check(server: Server, columns: &str, values: [&str; 2], conversions: &[Conversion]) {
    let db = Database::new(server, "map_column");
    db.sql(&format!("CREATE TABLE t (id int PRIMARY KEY, {columns});"));
    for (id, row) in values.into_iter().enumerate() {
        db.sql(&format!("INSERT INTO t VALUES ({}, {row});", id + 1));
    }
    db.sql("INSERT INTO t (id) VALUES (3);");
    let mut wrong = Vec::new();
    for (index, (flag, parquet, values)) in conversions.iter().enumerate() {
        let spelling = if index % 2 == 0 { "--map-column" } else { "--map-column-java" };
        let flags = ["--table", "t", "--as-parquetfile", spelling, flag, "--delete-target-dir"];
        let run = db.import("out", &flags);
        if run.status != 0 {
            wrong.push(run.story());
            continue;
        }
        let files = run.read();
        let column = flag.split_once('=').expect("column=type").0;
        let mut found: Vec<(String, String)> =
            files.column("id").into_iter().zip(files.column(column)).collect();
        found.sort();
        let found: Vec<&str> = found.iter().map(|(_, v)| v.as_str()).collect();
        if files.type_of(column) != *parquet || found != [values[0], values[1], "NULL"] {
            wrong.push(format!(
                "{flag}: {} {found:?}, expected {parquet} {values:?}",
                files.type_of(column)
            ));
        }
    }
    assert!(wrong.is_empty(), "{server:?}:\n{}", wrong.join("\n"));
}

const TEXT: &str = "BYTE_ARRAY STRING";

#[test]
fn postgres_conversions() {
    check(
        Server::Postgres,
        "i int, n numeric(10,2), u numeric, b boolean, ts timestamp, tz timestamptz, d date, g uuid, j jsonb, a int[], y bytea, f real, t text",
        [
            "1, 2.00, 1.5, true, '2024-01-02 03:04:05.6', '2024-01-02 03:04:05+02', '2024-02-29', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{\"a\":1}', '{1,2}', '\\x00ff', 0.1, '42'",
            "-7, -30.00, 0.125, false, '1999-12-31', '0001-01-01 00:00:00+00 BC', '0001-01-01 BC', '00000000-0000-0000-0000-000000000000', '[]', '{}', '', -1, '-5'",
        ],
        &[
            ("i=long", "INT64", ["1", "-7"]),
            ("i=java.math.BigDecimal", "INT64 DECIMAL(10,0)", ["1", "-7"]),
            ("i=decimal(12,2)", "INT64 DECIMAL(12,2)", ["1.00", "-7.00"]),
            ("i=String", TEXT, ["1", "-7"]),
            ("i=double", "DOUBLE", ["1.0", "-7.0"]),
            ("n=decimal(20,4)", "FIXED_LEN_BYTE_ARRAY(9) DECIMAL(20,4)", ["2.0000", "-30.0000"]),
            ("n=Long", "INT64", ["2", "-30"]),
            ("n=string", TEXT, ["2.00", "-30.00"]),
            ("u=decimal(10,3)", "INT64 DECIMAL(10,3)", ["1.500", "0.125"]),
            ("u=decimal(50%2C5)", "FIXED_LEN_BYTE_ARRAY(21) DECIMAL(50,5)", ["1.50000", "0.12500"]),
            ("ts=string", TEXT, ["2024-01-02 03:04:05.6", "1999-12-31 00:00:00"]),
            ("tz=String", TEXT, ["2024-01-02 01:04:05+00", "0001-01-01 00:00:00+00 BC"]),
            ("d=string", TEXT, ["2024-02-29", "0001-01-01 BC"]),
            (
                "g=String",
                TEXT,
                ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"],
            ),
            ("j=string", TEXT, ["{\"a\": 1}", "[]"]),
            ("a=string", TEXT, ["{1,2}", "{}"]),
            ("y=string", TEXT, ["\\x00ff", "\\x"]),
            ("f=double", "DOUBLE", ["0.10000000149011612", "-1.0"]),
            ("f=string", TEXT, ["0.1", "-1"]),
            ("t=long", "INT64", ["42", "-5"]),
        ],
    );
}

#[test]
fn mysql_conversions() {
    for server in Server::MYSQL_FAMILY {
        check(
            server,
            "i int, w bigint unsigned, n decimal(10,2), b tinyint(1), ts timestamp(3) NULL, dt datetime, d date, f float, y varbinary(9), e enum('x','y'), m time",
            [
                "1, 18446744073709551615, 2.00, 1, '2024-01-02 03:04:05.6', '2024-01-02 03:04:05', '2024-02-29', 0.1, 'ab', 'y', '01:02:03'",
                "-7, 5, -30.00, 0, '1999-12-31', '1000-01-01', '1000-01-01', -1, '', 'x', '23:59:59'",
            ],
            &[
                ("i=long", "INT64", ["1", "-7"]),
                ("i=String", TEXT, ["1", "-7"]),
                (
                    "w=decimal(20,0)",
                    "FIXED_LEN_BYTE_ARRAY(9) DECIMAL(20,0)",
                    ["18446744073709551615", "5"],
                ),
                ("w=string", TEXT, ["18446744073709551615", "5"]),
                (
                    "n=decimal(20,4)",
                    "FIXED_LEN_BYTE_ARRAY(9) DECIMAL(20,4)",
                    ["2.0000", "-30.0000"],
                ),
                ("n=long", "INT64", ["2", "-30"]),
                ("b=boolean", "BOOLEAN", ["true", "false"]),
                ("ts=String", TEXT, ["2024-01-02 03:04:05.600", "1999-12-31 00:00:00.000"]),
                ("dt=string", TEXT, ["2024-01-02 03:04:05", "1000-01-01 00:00:00"]),
                ("d=string", TEXT, ["2024-02-29", "1000-01-01"]),
                ("f=string", TEXT, ["0.1", "-1"]),
                // Bytes have no character set of their own, so their text is hexadecimal.
                ("y=string", TEXT, ["6162", ""]),
                ("e=string", TEXT, ["y", "x"]),
                ("m=string", TEXT, ["01:02:03", "23:59:59"]),
            ],
        );
    }
}

#[test]
fn what_does_not_fit_the_wanted_type_is_refused_by_row() {
    for server in Server::ALL {
        let db = Database::new(server, "map_refused");
        db.sql(
            "CREATE TABLE t (id int PRIMARY KEY, n decimal(10,2), w bigint, s varchar(9));
             INSERT INTO t VALUES (1, 2.00, 5, '1'), (7, 2.55, 5000000000, 'x1');",
        );
        let refused =
            [("n=long", "n ("), ("n=decimal(10,1)", "n ("), ("w=int", "w ("), ("s=long", "s (")];
        for (flag, column) in refused {
            let flags = ["--table", "t", "--as-parquetfile", "--map-column", flag];
            db.import("out", &flags).refused(1, &[column, "id = 7"]);
        }
        let unknown = ["--table", "t", "--map-column", "nn=string"];
        db.import("out", &unknown).refused(2, &["nn", "--map-column"]);
        let unknown = ["--table", "t", "--map-column", "n=strnig"];
        db.import("out", &unknown).refused(2, &["strnig", "string"]);
        // A decimal cannot become a date whatever its values.
        db.import("out", &["--table", "t", "--map-column", "n=date"])
            .refused(2, &["n (", "string"]);
    }
}
