//! MySQL and MariaDB: one table, and what only one of them has.

use super::super::support::Server;
use super::{Column, check, column, same, v};

const SETUP: &str = "SET sql_mode = '', time_zone = '+00:00';";

#[test]
fn every_mysql_type_keeps_its_values() {
    check(Server::MySql, "types", SETUP, &columns(&[NUMBERS, TIMES, TEXTS, MYSQL]), "");
}

#[test]
fn every_mariadb_type_keeps_its_values() {
    check(Server::MariaDb, "types", SETUP, &columns(&[NUMBERS, TIMES, TEXTS, MARIADB]), "");
}

fn columns(groups: &[&'static [Column]]) -> Vec<Column> {
    let copy = |c: &Column| Column { ddl: c.ddl, parquet: c.parquet, values: c.values };
    groups.iter().flat_map(|g| g.iter().map(copy)).collect()
}

const TEXT: &str = "BYTE_ARRAY STRING";

const NUMBERS: &[Column] = &[
    column(
        "tinyint",
        "INT32 INT(8,signed)",
        &[same("-128", "-128"), same("127", "127"), same("0", "0")],
    ),
    column(
        "tinyint(1)",
        "INT32 INT(8,signed)",
        &[same("0", "0"), same("1", "1"), same("2", "2"), same("-128", "-128")],
    ),
    column("tinyint unsigned", "INT32 INT(8,unsigned)", &[same("255", "255"), same("0", "0")]),
    column("boolean", "INT32 INT(8,signed)", &[same("true", "1"), same("false", "0")]),
    column("smallint", "INT32 INT(16,signed)", &[same("-32768", "-32768"), same("32767", "32767")]),
    column("smallint unsigned", "INT32 INT(16,unsigned)", &[same("65535", "65535")]),
    column("mediumint", "INT32", &[same("-8388608", "-8388608"), same("8388607", "8388607")]),
    column("mediumint unsigned", "INT32 INT(32,unsigned)", &[same("16777215", "16777215")]),
    column("int", "INT32", &[same("-2147483648", "-2147483648"), same("2147483647", "2147483647")]),
    column(
        "int unsigned",
        "INT32 INT(32,unsigned)",
        &[same("4294967295", "4294967295"), same("0", "0")],
    ),
    column("int(5) unsigned zerofill", "INT32 INT(32,unsigned)", &[same("42", "42")]),
    column(
        "bigint",
        "INT64",
        &[
            same("-9223372036854775808", "-9223372036854775808"),
            same("9223372036854775807", "9223372036854775807"),
        ],
    ),
    column(
        "bigint unsigned",
        "INT64 INT(64,unsigned)",
        &[
            same("18446744073709551615", "18446744073709551615"),
            same("9223372036854775808", "9223372036854775808"),
            same("0", "0"),
        ],
    ),
    column(
        "float",
        "FLOAT",
        &[
            v("1.4e-45", "1e-45", "1.4E-45"),
            v("1.17549435e-38", "1.1754944e-38", "1.1754944E-38"),
            v("3.4028234e38", "3.4028235e+38", "3.4028235E38"),
            same("0.1", "0.1"),
            v("16777216", "16777216.0", "1.6777216E7"),
            v("123456.79", "123456.79", "123456.79"),
        ],
    ),
    column("float(7,3)", "FLOAT", &[same("1234.567", "1234.567")]),
    column(
        "double",
        "DOUBLE",
        &[
            v("5e-324", "5e-324", "4.9E-324"),
            v("2.2250738585072014e-308", "2.2250738585072014e-308", "2.2250738585072014E-308"),
            v("1.7976931348623157e308", "1.7976931348623157e+308", "1.7976931348623157E308"),
            same("0.1", "0.1"),
            v("9007199254740993", "9007199254740992.0", "9.007199254740992E15"),
            same("0.30000000000000004e0", "0.30000000000000004"),
        ],
    ),
    column("double unsigned", "DOUBLE", &[same("1.5", "1.5")]),
    column(
        "decimal(4,2)",
        "INT32 DECIMAL(4,2)",
        &[same("-99.99", "-99.99"), same("0", "0.00"), same("0.01", "0.01")],
    ),
    column(
        "decimal(18,4)",
        "INT64 DECIMAL(18,4)",
        &[same("99999999999999.9999", "99999999999999.9999"), same("-0.0001", "-0.0001")],
    ),
    column(
        "decimal(38,0)",
        "FIXED_LEN_BYTE_ARRAY(16) DECIMAL(38,0)",
        &[
            same(
                "99999999999999999999999999999999999999",
                "99999999999999999999999999999999999999",
            ),
            same(
                "-99999999999999999999999999999999999999",
                "-99999999999999999999999999999999999999",
            ),
        ],
    ),
    column(
        "decimal(38,10) unsigned",
        "FIXED_LEN_BYTE_ARRAY(16) DECIMAL(38,10)",
        &[same(
            "9999999999999999999999999999.9999999999",
            "9999999999999999999999999999.9999999999",
        )],
    ),
    column(
        "decimal(30,30)",
        "FIXED_LEN_BYTE_ARRAY(13) DECIMAL(30,30)",
        &[same("-0.000000000000000000000000000001", "-0.000000000000000000000000000001")],
    ),
    column(
        "decimal(65,0)",
        "FIXED_LEN_BYTE_ARRAY(28) DECIMAL(65,0)",
        &[
            same(
                "99999999999999999999999999999999999999999999999999999999999999999",
                "99999999999999999999999999999999999999999999999999999999999999999",
            ),
            same("-1", "-1"),
        ],
    ),
    column(
        "decimal(65,30)",
        "FIXED_LEN_BYTE_ARRAY(28) DECIMAL(65,30)",
        &[
            same(
                "-99999999999999999999999999999999999.999999999999999999999999999999",
                "-99999999999999999999999999999999999.999999999999999999999999999999",
            ),
            same("0", "0.000000000000000000000000000000"),
        ],
    ),
    column("decimal", "INT64 DECIMAL(10,0)", &[same("-9999999999", "-9999999999")]),
    column("bit", "BOOLEAN", &[same("b'0'", "false"), same("b'1'", "true")]),
    column("bit(8)", "INT64 INT(64,unsigned)", &[same("b'11111111'", "255"), same("b'0'", "0")]),
    column(
        "bit(64)",
        "INT64 INT(64,unsigned)",
        &[
            same("0xffffffffffffffff", "18446744073709551615"),
            same("0x8000000000000000", "9223372036854775808"),
        ],
    ),
    column(
        "year",
        "INT32 INT(16,signed)",
        &[same("1901", "1901"), same("2155", "2155"), same("'0000'", "0")],
    ),
];

const TIMES: &[Column] = &[
    column(
        "date",
        "INT32 DATE",
        &[
            same("'1000-01-01'", "1000-01-01"),
            same("'9999-12-31'", "9999-12-31"),
            same("'0001-01-01'", "0001-01-01"),
            same("'1970-01-01'", "1970-01-01"),
            same("'1582-10-10'", "1582-10-10"),
        ],
    ),
    column(
        "datetime",
        "INT64 TIMESTAMP(us,local)",
        &[
            v("'1000-01-01 00:00:00'", "1000-01-01 00:00:00.000000", "1000-01-01 00:00:00.0"),
            v("'9999-12-31 23:59:59'", "9999-12-31 23:59:59.000000", "9999-12-31 23:59:59.0"),
            v("'2024-03-31 02:30:00'", "2024-03-31 02:30:00.000000", "2024-03-31 02:30:00.0"),
        ],
    ),
    column(
        "datetime(6)",
        "INT64 TIMESTAMP(us,local)",
        &[
            v(
                "'9999-12-31 23:59:59.999999'",
                "9999-12-31 23:59:59.999999",
                "9999-12-31 23:59:59.999999",
            ),
            v(
                "'1969-12-31 23:59:59.000001'",
                "1969-12-31 23:59:59.000001",
                "1969-12-31 23:59:59.000001",
            ),
        ],
    ),
    column(
        "datetime(3)",
        "INT64 TIMESTAMP(us,local)",
        &[v("'2024-01-01 00:00:00.120'", "2024-01-01 00:00:00.120000", "2024-01-01 00:00:00.12")],
    ),
    column(
        "timestamp",
        "INT64 TIMESTAMP(us,utc)",
        &[
            v("'1970-01-01 00:00:01'", "1970-01-01 00:00:01.000000Z", "1970-01-01 00:00:01.0"),
            v("'2024-10-27 01:30:00'", "2024-10-27 01:30:00.000000Z", "2024-10-27 01:30:00.0"),
        ],
    ),
    column(
        "timestamp(6)",
        "INT64 TIMESTAMP(us,utc)",
        &[v(
            "'2038-01-19 03:14:07.999999'",
            "2038-01-19 03:14:07.999999Z",
            "2038-01-19 03:14:07.999999",
        )],
    ),
    column(
        "time",
        "INT64 TIME(us,local)",
        &[
            v("'00:00:00'", "00:00:00.000000", "00:00:00"),
            v("'23:59:59'", "23:59:59.000000", "23:59:59"),
        ],
    ),
    column(
        "time(6)",
        "INT64 TIME(us,local)",
        &[
            v("'23:59:59.999999'", "23:59:59.999999", "23:59:59.999999"),
            v("'00:00:00.000001'", "00:00:00.000001", "00:00:00.000001"),
        ],
    ),
];

const TEXTS: &[Column] = &[
    column("char(5)", TEXT, &[same("'ab'", "ab"), same("''", ""), same("'äö漢😀x'", "äö漢😀x")]),
    column(
        "varchar(10)",
        TEXT,
        &[
            same("''", ""),
            same("'null'", "null"),
            same("'žluť 漢😀'", "žluť 漢😀"),
            same("'  pad  '", "  pad  "),
        ],
    ),
    column("varchar(10) character set latin1", TEXT, &[same("'äöß€'", "äöß€")]),
    column("varchar(10) character set utf16", TEXT, &[same("'ä😀'", "ä😀")]),
    column("char(3) character set ascii", TEXT, &[same("'abc'", "abc")]),
    column(
        "text",
        TEXT,
        &[
            same("''", ""),
            same("'\\\\N'", "\\N"),
            same("'tab\\tline\\n\\rback\\\\q\\'\"'", "tab\tline\n\rback\\q'\""),
            same("repeat('x', 60000)", "{x*60000}"),
            same("concat(char(0), char(1), char(127))", "\0\u{1}\u{7f}"),
        ],
    ),
    column("tinytext", TEXT, &[same("'t'", "t")]),
    column("mediumtext", TEXT, &[same("repeat('é', 40000)", "{é*40000}")]),
    column("longtext", TEXT, &[same("repeat('x', 70000)", "{x*70000}")]),
    column("binary(4)", "BYTE_ARRAY", &[v("'a'", "61000000", "61 00 00 00")]),
    column(
        "varbinary(300)",
        "BYTE_ARRAY",
        &[same("''", ""), v("x'{bytes}'", "{bytes}", "{spaced bytes}")],
    ),
    column("tinyblob", "BYTE_ARRAY", &[v("x'00ff'", "00ff", "00 ff")]),
    column("blob", "BYTE_ARRAY", &[v("x'{bytes}'", "{bytes}", "{spaced bytes}")]),
    column("mediumblob", "BYTE_ARRAY", &[same("''", "")]),
    column("longblob", "BYTE_ARRAY", &[v("x'00'", "00", "00")]),
    column(
        "enum('a','ü,x','','it''s')",
        TEXT,
        &[same("'a'", "a"), same("'ü,x'", "ü,x"), same("''", ""), same("'it''s'", "it's")],
    ),
    column("set('x','y','ž')", TEXT, &[same("'x,ž'", "x,ž"), same("''", ""), same("'y'", "y")]),
    column("point", TEXT, &[same("ST_GeomFromText('POINT(1.5 -2)')", "POINT(1.5 -2)")]),
    column(
        "geometry",
        TEXT,
        &[same("ST_GeomFromText('LINESTRING(0 0,1 1)')", "LINESTRING(0 0,1 1)")],
    ),
];

const MYSQL: &[Column] = &[
    // MariaDB forgets the sign of a zero.
    column("float", "FLOAT", &[same("-0e0", "-0.0")]),
    column("double", "DOUBLE", &[same("-0e0", "-0.0")]),
    column(
        "json",
        "BYTE_ARRAY JSON",
        &[
            same("'{\"b\":1,\"a\":[null, 1.10]}'", "{\"a\": [null, 1.1], \"b\": 1}"),
            same("'null'", "null"),
            same("'\"ž😀\"'", "\"ž😀\""),
        ],
    ),
    column(
        "vector(2)",
        "BYTE_ARRAY",
        &[v("string_to_vector('[1,-2]')", "0000803f000000c0", "00 00 80 3f 00 00 00 c0")],
    ),
];

const MARIADB: &[Column] = &[
    column(
        "json",
        "BYTE_ARRAY JSON",
        &[
            same("'{\"b\":1,  \"a\" : [null]}'", "{\"b\":1,  \"a\" : [null]}"),
            same("'null'", "null"),
        ],
    ),
    column(
        "uuid",
        "FIXED_LEN_BYTE_ARRAY(16) UUID",
        &[
            same("'00000000-0000-0000-0000-000000000000'", "00000000-0000-0000-0000-000000000000"),
            same("'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ],
    ),
    column("inet6", TEXT, &[same("'::1'", "::1"), same("'::ffff:10.0.0.1'", "::ffff:10.0.0.1")]),
    column("inet4", TEXT, &[same("'10.0.0.1'", "10.0.0.1")]),
];
