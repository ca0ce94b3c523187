//! Literal values of every type, with extremes, and the values that must be refused.

use crate::common::{Db, query, read, table_relation};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::i256;
use rsqoop_connector::{Error, ErrorKind};

/// One column of the declared type with these SQL values in rows 1, 2, …
fn db(declared: &str, values: &[&str]) -> Db {
    let db = Db::new(&format!("CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})"));
    for value in values {
        db.conn.execute(&format!("INSERT INTO t (v) VALUES ({value})"), []).unwrap();
    }
    db
}

fn column(declared: &str, values: &[&str]) -> ArrayRef {
    let batch = db(declared, values).read("t").unwrap_or_else(|e| panic!("{declared}: {e:?}"));
    assert_eq!(batch.num_rows(), values.len());
    batch.column(1).clone()
}

fn refused(declared: &str, value: &str) -> Error {
    let error = db(declared, &["NULL", value])
        .read("t")
        .err()
        .unwrap_or_else(|| panic!("{declared} took {value}"));
    assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
    let context = |key| error.contexts().iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str());
    assert_eq!(context("row"), Some("id = 2"), "{error:?}");
    assert!(context("column").is_some_and(|c| c.starts_with("v (")), "{error:?}");
    assert!(error.hint_text().is_some_and(|h| h.contains("--map-column v=string")), "{error:?}");
    error
}

fn text(declared: &str, values: &[&str]) -> Vec<Option<String>> {
    let array = column(declared, values);
    array.as_string::<i32>().iter().map(|v| v.map(str::to_string)).collect()
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|v| Some((*v).to_string())).collect()
}

#[test]
fn integers() {
    for declared in ["INTEGER", "INT", "TINYINT", "BIGINT", "UNSIGNED BIG INT", "int2"] {
        let array = column(
            declared,
            &["-9223372036854775808", "9223372036854775807", "0", "NULL", "'17'", "3.0"],
        );
        let got: Vec<_> = array.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(got, [Some(i64::MIN), Some(i64::MAX), Some(0), None, Some(17), Some(3)]);
        for bad in ["1.5", "'many'", "x'01'", "9223372036854775808"] {
            refused(declared, bad);
        }
    }
}

#[test]
fn booleans() {
    let array = column("BOOLEAN", &["0", "1", "TRUE", "NULL"]);
    let got: Vec<_> = array.as_boolean().iter().collect();
    assert_eq!(got, [Some(false), Some(true), Some(true), None]);
    for bad in ["2", "-1", "'true'", "0.5", "x'01'"] {
        refused("BOOL", bad);
    }
}

#[test]
fn doubles() {
    let db = db("DOUBLE", &["NULL", "1", "'2.5'", "9e999"]);
    let extremes = [0.1, f64::MAX, f64::MIN_POSITIVE, 5e-324, -0.1 - 0.2];
    for value in extremes {
        db.conn.execute("INSERT INTO t (v) VALUES (?1)", [value]).unwrap();
    }
    let batch = db.read("t").unwrap();
    let got: Vec<_> = batch.column(1).as_primitive::<Float64Type>().iter().collect();
    assert_eq!(got[..4], [None, Some(1.0), Some(2.5), Some(f64::INFINITY)]);
    for (got, want) in got[4..].iter().zip(extremes) {
        assert_eq!(got.map(f64::to_bits), Some(want.to_bits()));
    }
    for bad in ["'ten'", "x'01'"] {
        refused("FLOAT", bad);
    }
    // INTEGER affinity by SQLite's rules, and so an integer here.
    refused("FLOATING POINT", "1.5");
}

#[test]
fn decimals() {
    let array = column(
        "DECIMAL(10,2)",
        &["12.34", "'12.34'", "-99999999.99", "99999999.99", "7", "0", "NULL", "0.1", "1e3"],
    );
    let got: Vec<_> = array.as_primitive::<Decimal128Type>().iter().collect();
    let want = [1234, 1234, -9_999_999_999, 9_999_999_999, 700, 0];
    assert_eq!(got[..6], want.map(Some));
    assert_eq!(got[6..], [None, Some(10), Some(100_000)]);
    for bad in ["12.345", "100000000", "1e8", "0.1 + 0.2", "'x'", "x'01'", "9e999", "-1e-9"] {
        refused("DECIMAL(10,2)", bad);
    }
    // More digits than SQLite keeps: what was written is lost already.
    let error = refused("DECIMAL(38,10)", "'12345678901.2345678'");
    assert!(error.message().contains("15 digits"), "{error:?}");

    let array = column("NUMERIC(38,0)", &["-9223372036854775808", "1e37", "NULL"]);
    let got: Vec<_> = array.as_primitive::<Decimal128Type>().iter().collect();
    assert_eq!(got, [Some(i128::from(i64::MIN)), Some(10_i128.pow(37)), None]);
    refused("NUMERIC(38,0)", "1e38");

    let array = column("DECIMAL(76,30)", &["1.5", "-3", "NULL", "1e45"]);
    let got: Vec<_> = array.as_primitive::<Decimal256Type>().iter().collect();
    let power = |n: usize| i256::from_string(&format!("1{}", "0".repeat(n))).unwrap();
    let fifteen = i256::from_i128(15) * power(29);
    assert_eq!(got, [Some(fifteen), Some(i256::from_i128(-3) * power(30)), None, Some(power(75))]);
    refused("DECIMAL(76,30)", "1e46");

    // Only a text column keeps every digit of a long decimal.
    let db = Db::new("CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT)");
    db.conn.execute("INSERT INTO a (v) VALUES ('-12345678901234567890.123456789')", []).unwrap();
    let batch = db.read("a").unwrap();
    assert_eq!(batch.column(1).as_string::<i32>().value(0), "-12345678901234567890.123456789");
}

#[test]
fn numbers_without_a_size_are_exact_text() {
    for declared in ["NUMERIC", "DECIMAL", "DECIMAL(80,2)"] {
        assert_eq!(
            text(
                declared,
                &["12", "'12.50'", "0.1 + 0.2", "1e20", "'n/a'", "-9223372036854775808"]
            ),
            some(&["12", "12.5", "0.30000000000000004", "1.0e+20", "n/a", "-9223372036854775808"])
        );
        refused(declared, "x'01'");
    }
}

#[test]
fn dates_and_times() {
    let array = column("DATE", &["'0000-01-01'", "'1970-01-01'", "'9999-12-31'", "NULL"]);
    let got: Vec<_> = array.as_primitive::<Date32Type>().iter().collect();
    assert_eq!(got, [Some(-719_528), Some(0), Some(2_932_896), None]);
    for bad in ["'2023-02-29'", "20240101", "1704067200000", "'2024-01-01 00:00:00'", "''", "1.5"] {
        refused("DATE", bad);
    }

    for declared in ["DATETIME", "TIMESTAMP", "datetime(3)"] {
        let array = column(
            declared,
            &[
                "'1970-01-01 00:00'",
                "'1969-12-31T23:59:59.999999'",
                "'9999-12-31 23:59:59.9999990'",
                "'2024-02-29 12:34:56.7'",
                "NULL",
            ],
        );
        let got: Vec<_> = array.as_primitive::<TimestampMicrosecondType>().iter().collect();
        assert_eq!(
            got,
            [Some(0), Some(-1), Some(253_402_300_799_999_999), Some(1_709_210_096_700_000), None]
        );
        for bad in ["'2024-01-01'", "1704067200000", "'2024-01-01 12:00:00.0000001'", "2460310.5"] {
            refused(declared, bad);
        }
        for zone in ["'2024-01-01 12:00:00Z'", "'2024-01-01T12:00:00+01:00'"] {
            assert!(refused(declared, zone).message().contains("zone"), "{zone}");
        }
    }

    let array = column("TIME", &["'00:00'", "'23:59:59.999999'", "NULL"]);
    let got: Vec<_> = array.as_primitive::<Time64MicrosecondType>().iter().collect();
    assert_eq!(got, [Some(0), Some(86_399_999_999), None]);
    for bad in ["'24:00:00'", "'-01:00:00'", "3600"] {
        refused("TIME", bad);
    }
}

#[test]
fn texts() {
    for declared in ["VARCHAR(3)", "TEXT", "NATIVE CHARACTER(70)", "CLOB"] {
        assert_eq!(
            text(
                declared,
                &["'longer than three'", "''", "'日本 🦀'", "12", "1.5", "'a' || char(0) || 'b'"]
            ),
            some(&["longer than three", "", "日本 🦀", "12", "1.5", "a\0b"])
        );
        assert_eq!(text(declared, &["NULL"]), [None]);
        refused(declared, "x'61'");
        assert!(refused(declared, "CAST(x'ff' AS TEXT)").message().contains("UTF-8"));
    }
}

#[test]
fn blobs() {
    for declared in ["BLOB", "LONGBLOB", "VARBINARY(16)"] {
        let array = column(declared, &["x''", "x'00ff27'", "NULL", "zeroblob(3)"]);
        let got: Vec<_> = array.as_binary::<i32>().iter().collect();
        assert_eq!(got, [Some(&[][..]), Some(&[0, 255, 39]), None, Some(&[0, 0, 0])]);
        refused(declared, "'text'");
        refused(declared, "17");
    }
}

#[test]
fn uuids_and_json() {
    let array = column("UUID", &["'00112233-4455-6677-8899-AABBCCDDEEFF'", "NULL"]);
    let got: Vec<_> = array.as_fixed_size_binary().iter().collect();
    let want: Vec<u8> = (0..16).map(|n| n * 0x11).collect();
    assert_eq!(got, [Some(&want[..]), None]);
    for bad in [
        "'00112233445566778899aabbccddeeff'",
        "'{0112233-4455-6677-8899-aabbccddeef}'",
        "'00112233-4455-6677-8899-aabbccddeefg'",
        "'0011223-34455-6677-8899-aabbccddeeff'",
        "x'00112233445566778899aabbccddeeff'",
        "''",
    ] {
        refused("UUID", bad);
    }
    // NUMERIC affinity turns JSON numbers into numbers.
    assert_eq!(
        text("JSON", &["'{\"a\": [1, null]}'", "'7'", "'null'"]),
        some(&["{\"a\": [1, null]}", "7", "null"])
    );
}

#[test]
fn columns_without_a_type_are_text_of_any_class() {
    for declared in ["", "ANY", "POLYGON"] {
        assert_eq!(
            text(declared, &["'x'", "12", "2.5", "NULL"])[..3],
            some(&["x", "12", "2.5"])[..]
        );
        refused(declared, "x'01'");
    }
}

#[test]
fn as_text_takes_every_class_that_is_text() {
    let db = Db::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b DATE, c DECIMAL(9,2), d BLOB, e REAL);
         INSERT INTO t VALUES (1, 'many', 1704067200000, 0.1 + 0.2, x'616263', 1e100),
                              (2, NULL, NULL, NULL, NULL, NULL)",
    );
    let relation = table_relation("t");
    let mut session = db.session();
    let info = session.describe(&relation).unwrap();
    let batch = read(&mut *session, &query(&relation, &info, true)).unwrap();
    let cell = |column: usize| batch.column(column).as_string::<i32>().value(0).to_string();
    let got: Vec<String> = (0..6).map(cell).collect();
    assert_eq!(got, ["1", "many", "1704067200000", "0.30000000000000004", "abc", "1.0e+100"]);
    assert!((1..6).all(|c| batch.column(c).is_null(1)));
    db.conn.execute("UPDATE t SET d = x'ff'", []).unwrap();
    let error = read(&mut *session, &query(&relation, &info, true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
}

#[test]
fn sqlite_writes_doubles_of_15_digits_the_same_way() {
    let db = Db::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v REAL, s TEXT)");
    let mut state = 88_172_645_463_325_252_u64;
    let transaction = db.conn.unchecked_transaction().unwrap();
    for _ in 0..20_000 {
        // xorshift64: any spread of digits and exponents will do.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let exponent = i64::try_from(state >> 59).unwrap() - 16;
        let text = format!("{}e{exponent}", state % 1_000_000_000_000_000);
        let value: f64 = text.parse().unwrap();
        transaction.execute("INSERT INTO t (v) VALUES (?1)", [value]).unwrap();
    }
    transaction.execute("UPDATE t SET s = CAST(v AS TEXT)", []).unwrap();
    transaction.commit().unwrap();
    let relation = table_relation("t");
    let mut session = db.session();
    let info = session.describe(&relation).unwrap();
    let batch = read(&mut *session, &query(&relation, &info, true)).unwrap();
    let (ours, theirs) = (batch.column(1).as_string::<i32>(), batch.column(2).as_string::<i32>());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(ours, theirs);
    }
}
