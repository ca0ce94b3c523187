//! Every type with its extremes against literal expected values, on both servers.

use crate::common::{
    both, column, describe, hex, mariadb, query, read, run, show, table, try_read,
};
use arrow_schema::{DataType, TimeUnit};
use rsqoop_connector::{ColumnKind, ErrorKind, Extension, Relation};

/// SQL literal, Arrow value as shown, text.
type Value = (&'static str, &'static str, &'static str);

struct Case {
    sql: &'static str,
    data_type: DataType,
    kind: ColumnKind,
    values: &'static [Value],
}

fn case(
    sql: &'static str,
    data_type: DataType,
    kind: ColumnKind,
    values: &'static [Value],
) -> Case {
    Case { sql, data_type, kind, values }
}

fn integers() -> Vec<Case> {
    use ColumnKind::{Boolean, Integer};
    use DataType as T;
    vec![
        case("tinyint", T::Int8, Integer, &[("-128", "-128", "-128"), ("127", "127", "127")]),
        case("tinyint(1)", T::Int8, Integer, &[("-128", "-128", "-128"), ("2", "2", "2")]),
        case("tinyint unsigned", T::UInt8, Integer, &[("0", "0", "0"), ("255", "255", "255")]),
        case("smallint", T::Int16, Integer, &[("-32768", "-32768", "-32768")]),
        case("smallint unsigned", T::UInt16, Integer, &[("65535", "65535", "65535")]),
        case("mediumint", T::Int32, Integer, &[("-8388608", "-8388608", "-8388608")]),
        case("mediumint unsigned", T::UInt32, Integer, &[("16777215", "16777215", "16777215")]),
        case("int", T::Int32, Integer, &[("-2147483648", "-2147483648", "-2147483648")]),
        case("int unsigned", T::UInt32, Integer, &[("4294967295", "4294967295", "4294967295")]),
        case(
            "bigint",
            T::Int64,
            Integer,
            &[
                ("-9223372036854775808", "-9223372036854775808", "-9223372036854775808"),
                ("9223372036854775807", "9223372036854775807", "9223372036854775807"),
            ],
        ),
        case(
            "bigint unsigned",
            T::UInt64,
            Integer,
            &[("18446744073709551615", "18446744073709551615", "18446744073709551615")],
        ),
        case("year", T::Int16, Integer, &[("0", "0", "0000"), ("2155", "2155", "2155")]),
        case("bit(1)", T::Boolean, Boolean, &[("0", "false", "0"), ("1", "true", "1")]),
        case(
            "bit(64)",
            T::UInt64,
            Integer,
            &[
                ("0", "0", "0"),
                ("18446744073709551615", "18446744073709551615", "18446744073709551615"),
            ],
        ),
        case("bit(10)", T::UInt64, Integer, &[("b'1000000001'", "513", "513")]),
    ]
}

fn numbers() -> Vec<Case> {
    use ColumnKind::{Decimal, Float};
    use DataType as T;
    const N38: &str = "99999999999999999999999999999999999999";
    const N65: &str = "-99999999999999999999999999999999999.999999999999999999999999999999";
    vec![
        case(
            "float",
            T::Float32,
            Float,
            &[
                ("16777217", "4b800000", "16777216"),
                ("3.4028234e38", "7f7fffff", "3.4028235e38"),
                ("1.1754944e-38", "00800000", "1.1754944e-38"),
                ("0.1", "3dcccccd", "0.1"),
                ("123456.789", "47f12065", "123456.79"),
            ],
        ),
        case(
            "double",
            T::Float64,
            Float,
            &[
                ("1.7976931348623157e308", "7fefffffffffffff", "1.7976931348623157e308"),
                ("2.2250738585072014e-308", "0010000000000000", "2.2250738585072014e-308"),
                ("0.1", "3fb999999999999a", "0.1"),
                ("-1e15", "c30c6bf526340000", "-1e15"),
                ("9007199254740993", "4340000000000000", "9.007199254740992e15"),
            ],
        ),
        case(
            "decimal(10,2)",
            T::Decimal128(10, 2),
            Decimal,
            &[("-99999999.99", "-99999999.99", "-99999999.99"), ("0", "0.00", "0.00")],
        ),
        case("decimal(38,0)", T::Decimal128(38, 0), Decimal, &[(N38, N38, N38)]),
        case(
            "decimal(12,10) unsigned",
            T::Decimal128(12, 10),
            Decimal,
            &[("99.9999999999", "99.9999999999", "99.9999999999")],
        ),
        case("decimal(65,30)", T::Decimal256(65, 30), Decimal, &[(N65, N65, N65)]),
        case("decimal(5,5)", T::Decimal128(5, 5), Decimal, &[("0.00001", "0.00001", "0.00001")]),
    ]
}

fn times() -> Vec<Case> {
    use ColumnKind::{Date, Time, Timestamp, TimestampTz};
    use DataType as T;
    let stamp = T::Timestamp(TimeUnit::Microsecond, None);
    let instant = T::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let time = T::Time64(TimeUnit::Microsecond);
    vec![
        case(
            "date",
            T::Date32,
            Date,
            &[
                ("'0001-01-01'", "-719162", "0001-01-01"),
                ("'1000-01-01'", "-354285", "1000-01-01"),
                ("'9999-12-31'", "2932896", "9999-12-31"),
                ("'2000-02-29'", "11016", "2000-02-29"),
            ],
        ),
        case(
            "datetime(6)",
            stamp.clone(),
            Timestamp,
            &[
                (
                    "'9999-12-31 23:59:59.999999'",
                    "253402300799999999",
                    "9999-12-31 23:59:59.999999",
                ),
                ("'1000-01-01 00:00:00'", "-30610224000000000", "1000-01-01 00:00:00.000000"),
                ("'1969-12-31 23:59:59.999999'", "-1", "1969-12-31 23:59:59.999999"),
            ],
        ),
        case(
            "datetime",
            stamp,
            Timestamp,
            &[("'2024-07-01 12:00:00'", "1719835200000000", "2024-07-01 12:00:00")],
        ),
        case(
            "timestamp(3) NULL",
            instant.clone(),
            TimestampTz,
            &[("'2038-01-19 03:14:07.499'", "2147483647499000", "2038-01-19 03:14:07.499")],
        ),
        case(
            "timestamp NULL",
            instant,
            TimestampTz,
            &[("'1970-01-01 00:00:01'", "1000000", "1970-01-01 00:00:01")],
        ),
        case(
            "time(6)",
            time.clone(),
            Time,
            &[
                ("'00:00:00'", "0", "00:00:00.000000"),
                ("'23:59:59.999999'", "86399999999", "23:59:59.999999"),
            ],
        ),
        case("time", time, Time, &[("'12:34:56'", "45296000000", "12:34:56")]),
    ]
}

fn strings() -> Vec<Case> {
    use ColumnKind::{Bytes, Text};
    use DataType as T;
    const ODD: &str = "'ä€😀 \"x\" \\\\ ''q'''";
    const ODD_TEXT: &str = "ä€😀 \"x\" \\ 'q'";
    vec![
        case(
            "char(20)",
            T::Utf8,
            Text,
            &[("''", "", ""), ("'abc  '", "abc", "abc"), (ODD, ODD_TEXT, ODD_TEXT)],
        ),
        case(
            "varchar(20)",
            T::Utf8,
            Text,
            &[("'abc  '", "abc  ", "abc  "), (ODD, ODD_TEXT, ODD_TEXT)],
        ),
        case("varchar(20) character set latin1", T::Utf8, Text, &[("'äßé'", "äßé", "äßé")]),
        case("varchar(20) character set utf16", T::Utf8, Text, &[(ODD, ODD_TEXT, ODD_TEXT)]),
        case("varchar(20) collate utf8mb4_bin", T::Utf8, Text, &[(ODD, ODD_TEXT, ODD_TEXT)]),
        case("tinytext", T::Utf8, Text, &[(ODD, ODD_TEXT, ODD_TEXT)]),
        case("text", T::Utf8, Text, &[(ODD, ODD_TEXT, ODD_TEXT)]),
        case("mediumtext", T::Utf8, Text, &[(ODD, ODD_TEXT, ODD_TEXT)]),
        case("longtext", T::Utf8, Text, &[(ODD, ODD_TEXT, ODD_TEXT)]),
        case(
            "enum('ä','b,c','')",
            T::Utf8,
            Text,
            &[("'ä'", "ä", "ä"), ("'b,c'", "b,c", "b,c"), ("''", "", "")],
        ),
        case("set('a','ö')", T::Utf8, Text, &[("'a,ö'", "a,ö", "a,ö"), ("''", "", "")]),
        case(
            "binary(3)",
            T::Binary,
            Bytes,
            &[("x'01'", "010000", "010000"), ("x'FF00FE'", "ff00fe", "FF00FE")],
        ),
        case(
            "varbinary(9)",
            T::Binary,
            Bytes,
            &[("x''", "", ""), ("x'00FFC3'", "00ffc3", "00FFC3")],
        ),
        case("tinyblob", T::Binary, Bytes, &[("x'00FF'", "00ff", "00FF")]),
        case("blob", T::Binary, Bytes, &[("x'00FF'", "00ff", "00FF")]),
        case("longblob", T::Binary, Bytes, &[("x'00FF'", "00ff", "00FF")]),
    ]
}

fn check(session: &mut crate::common::Open, case: &Case, place: &str) {
    run(session, "DROP TABLE IF EXISTS t");
    run(session, &format!("CREATE TABLE t (id int PRIMARY KEY, c {})", case.sql));
    run(session, "INSERT INTO t VALUES (0, NULL)");
    for (i, (sql, ..)) in case.values.iter().enumerate() {
        run(session, &format!("INSERT INTO t VALUES ({}, {sql})", i + 1));
    }
    for what in [
        table("t"),
        Relation::Query("SELECT id, c FROM t WHERE $CONDITIONS ORDER BY id".to_string()),
    ] {
        let info = describe(session, &what);
        let place = format!("{place} {} {what:?}", case.sql);
        assert_eq!(info.columns[1].data_type, case.data_type, "{place}");
        assert_eq!(info.columns[1].kind, case.kind, "{place}");
        assert!(info.columns[1].nullable);
        let got = column(&read(session, &query(&info, &what, false)), 1);
        let want: Vec<&str> =
            std::iter::once("NULL").chain(case.values.iter().map(|v| v.1)).collect();
        assert_eq!(got, want, "{place}");
        let got = column(&read(session, &query(&info, &what, true)), 1);
        let want: Vec<&str> =
            std::iter::once("NULL").chain(case.values.iter().map(|v| v.2)).collect();
        assert_eq!(got, want, "{place} as text");
    }
}

#[test]
fn every_type_arrives_identical() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.fresh("rsqoop_types");
        let place = if server.mariadb { "MariaDB" } else { "MySQL" };
        for case in integers().iter().chain(&numbers()).chain(&times()).chain(&strings()) {
            check(&mut session, case, place);
        }
    }
}

#[test]
fn catalogue_spelling_keys_and_promises() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.fresh("rsqoop_describe");
        run(
            &mut session,
            "CREATE TABLE `o``dd 名` (b varchar(3) NOT NULL, a bigint unsigned NOT NULL, \
             d decimal(10,2) unsigned NULL, e enum('x','y') NOT NULL, g int AS (a + 1) STORED, \
             PRIMARY KEY (a, b))",
        );
        run(&mut session, "CREATE VIEW v AS SELECT * FROM `o``dd 名`");
        let info = describe(&mut session, &table("o`dd 名"));
        assert_eq!(info.primary_key, ["a", "b"]);
        assert_eq!(info.kind, rsqoop_connector::RelationKind::Table);
        let natives: Vec<&str> = info.columns.iter().map(|c| c.native_type.as_str()).collect();
        assert_eq!(natives[0], "varchar(3)");
        assert!(natives[1].starts_with("bigint") && natives[1].ends_with("unsigned"));
        assert_eq!(natives[2], "decimal(10,2) unsigned");
        assert_eq!(natives[3], "enum('x','y')");
        let nullable: Vec<bool> = info.columns.iter().map(|c| c.nullable).collect();
        assert_eq!(nullable, [false, false, true, false, true]);
        let view = describe(&mut session, &table("v"));
        assert_eq!(view.kind, rsqoop_connector::RelationKind::View);
        assert!(view.columns.iter().all(|c| c.nullable));
        let error = session.describe(&table("nothing")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(error.message(), "there is no table \"nothing\"");
        for (sql, part) in [
            ("SELECT a, a FROM v WHERE $CONDITIONS", "two columns named \"a\""),
            ("SELECT nope FROM v WHERE $CONDITIONS", "nope"),
            ("SELEC 1", "syntax"),
            ("SELECT a FROM v WHERE a = ? AND $CONDITIONS", "parameter mark"),
        ] {
            let error = session.describe(&Relation::Query(sql.to_string())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
            assert!(error.message().contains(part), "{error:?}");
        }
        let mut none = server.session("", &[]);
        assert_eq!(none.describe(&table("t")).unwrap_err().kind(), ErrorKind::Usage);
        assert_eq!(none.tables(None).unwrap_err().kind(), ErrorKind::Usage);
        assert!(none.tables(Some("rsqoop_describe")).unwrap().contains(&"v".to_string()));
        assert!(none.databases().unwrap().contains(&"rsqoop_describe".to_string()));
    }
}

#[test]
fn json_uuid_addresses_and_shapes() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.fresh("rsqoop_special");
        run(&mut session, "CREATE TABLE t (id int PRIMARY KEY, j json, g geometry)");
        run(
            &mut session,
            "INSERT INTO t VALUES (1, '{\"a\": \"ä\"}', ST_GeomFromText('POINT(1 2)')), \
             (2, NULL, NULL), (3, '[]', ST_GeomFromText('POINT(1 2)', 4326))",
        );
        let what = table("t");
        let info = describe(&mut session, &what);
        assert_eq!(info.columns[1].extension, Some(Extension::Json), "{server:?}");
        assert_eq!(info.columns[1].kind, ColumnKind::Json);
        for as_text in [false, true] {
            let rows = read(&mut session, &query(&info, &what, as_text));
            assert_eq!(column(&rows, 1), ["{\"a\": \"ä\"}", "NULL", "[]"]);
            assert_eq!(column(&rows, 2), ["POINT(1 2)", "NULL", "SRID=4326;POINT(1 2)"]);
        }
    }
    let mut session = mariadb().fresh("rsqoop_special_m");
    run(&mut session, "CREATE TABLE t (id int PRIMARY KEY, u uuid, i6 inet6, i4 inet4)");
    run(
        &mut session,
        "INSERT INTO t VALUES (1, '123e4567-e89b-12d3-a456-426655440000', '2001:db8::1', '10.0.0.1'), \
         (2, NULL, NULL, NULL)",
    );
    let what = table("t");
    let info = describe(&mut session, &what);
    assert_eq!(info.columns[1].extension, Some(Extension::Uuid));
    let rows = read(&mut session, &query(&info, &what, false));
    assert_eq!(column(&rows, 1), ["123e4567e89b12d3a456426655440000", "NULL"]);
    assert_eq!(column(&rows, 2), ["2001:db8::1", "NULL"]);
    assert_eq!(column(&rows, 3), ["10.0.0.1", "NULL"]);
    let rows = read(&mut session, &query(&info, &what, true));
    assert_eq!(column(&rows, 1)[0], "123e4567-e89b-12d3-a456-426655440000");
}

#[test]
fn values_that_do_not_fit_stop_the_read() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.fresh("rsqoop_refuse");
        run(&mut session, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'");
        for (sql, value) in [
            ("date", "'0000-00-00'"),
            ("date", "'2020-00-00'"),
            ("date", "'2021-02-30'"),
            ("datetime", "'0000-00-00 00:00:00'"),
            ("timestamp NULL", "'0000-00-00 00:00:00'"),
            ("time", "'24:00:00'"),
            ("time", "'-00:00:01'"),
            ("time", "'838:59:59'"),
        ] {
            run(&mut session, "DROP TABLE IF EXISTS t");
            run(&mut session, &format!("CREATE TABLE t (id int PRIMARY KEY, c {sql})"));
            run(&mut session, &format!("INSERT INTO t VALUES (1, NULL), (42, {value})"));
            let mut reader = server.session("rsqoop_refuse", &[]);
            let info = describe(&mut reader, &table("t"));
            let error = try_read(&mut reader, &query(&info, &table("t"), false)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "{sql} {value}: {error:?}");
            assert!(error.contexts().contains(&("row", "id = 42".to_string())), "{error:?}");
            assert!(format!("{error:?}").contains("map-column c=string"), "{error:?}");
            // The session is over, and says so.
            assert_eq!(reader.tables(None).unwrap_err().kind(), ErrorKind::Source);
            let mut reader = server.session("rsqoop_refuse", &[]);
            let got = column(&read(&mut reader, &query(&info, &table("t"), true)), 1);
            assert_eq!(got[1].trim_matches('\''), value.trim_matches('\''));
        }
    }
}

#[test]
fn parameters_that_change_types() {
    let _turn = crate::common::shared();
    for server in both() {
        let mut session = server.fresh("rsqoop_params");
        run(&mut session, "SET SESSION sql_mode = ''");
        run(&mut session, "CREATE TABLE t (id int PRIMARY KEY, d date NOT NULL, b tinyint(1))");
        run(&mut session, "INSERT INTO t VALUES (1, '0000-00-00', 1), (2, '1970-01-02', 0)");
        let params = [("zeroDateTimeBehavior", "CONVERT_TO_NULL"), ("tinyInt1isBit", "true")];
        let mut reader = server.session("rsqoop_params", &params);
        let info = describe(&mut reader, &table("t"));
        let rows = read(&mut reader, &query(&info, &table("t"), false));
        assert_eq!(column(&rows, 1), ["NULL", "1"]);
        assert_eq!(column(&rows, 2), ["true", "false"]);
        run(&mut session, "INSERT INTO t VALUES (3, '1970-01-02', 2)");
        let error = try_read(&mut reader, &query(&info, &table("t"), false)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
    }
}

#[test]
fn vectors_keep_their_bytes() {
    let _turn = crate::common::shared();
    let mut session = crate::common::mysql().fresh("rsqoop_vector");
    run(&mut session, "CREATE TABLE t (id int PRIMARY KEY, v vector(3))");
    run(&mut session, "INSERT INTO t VALUES (1, STRING_TO_VECTOR('[1, 2.5, -0.1]'))");
    let info = describe(&mut session, &table("t"));
    assert_eq!(info.columns[1].data_type, DataType::Binary);
    let rows = read(&mut session, &query(&info, &table("t"), false));
    let want: Vec<u8> = [1f32, 2.5, -0.1].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(show(rows[0].column(1), 0), hex(&want));
}
