//! SQLite: declared types decide.

use super::super::support::Server;
use super::{Column, Value, check, column, same, v};

#[test]
fn every_sqlite_type_keeps_its_values() {
    let columns: Vec<Column> = [NUMBERS, TIMES, TEXTS].into_iter().flatten().map(copy).collect();
    check(Server::Sqlite, "types", "", &columns, "");
}

fn copy(column: &Column) -> Column {
    Column { ddl: column.ddl, parquet: column.parquet, values: column.values }
}

const INTEGERS: &[Value] = &[
    same("-9223372036854775808", "-9223372036854775808"),
    same("9223372036854775807", "9223372036854775807"),
    same("0", "0"),
];

const DOUBLES: &[Value] = &[
    // SQLite itself forgets the sign of a zero.
    same("-0.0", "0.0"),
    v("9e999", "Infinity", "Infinity"),
    v("-9e999", "-Infinity", "-Infinity"),
    v("5e-324", "5e-324", "4.9E-324"),
    v("2.2250738585072014e-308", "2.2250738585072014e-308", "2.2250738585072014E-308"),
    v("1.7976931348623157e308", "1.7976931348623157e+308", "1.7976931348623157E308"),
    v("0.1", "0.1", "0.1"),
    v("16777217.0", "16777217.0", "1.6777217E7"),
];

const NUMBERS: &[Column] = &[
    column("integer", "INT64", INTEGERS),
    column("tinyint", "INT64", INTEGERS),
    column("unsigned big int", "INT64", INTEGERS),
    column("real", "DOUBLE", DOUBLES),
    column("double precision", "DOUBLE", DOUBLES),
    column(
        "float",
        "DOUBLE",
        &[
            v("1", "1.0", "1.0"),
            v("9007199254740992", "9007199254740992.0", "9.007199254740992E15"),
        ],
    ),
    column("boolean", "BOOLEAN", &[same("0", "false"), same("1", "true"), same("true", "true")]),
    column(
        "decimal(10,2)",
        "INT64 DECIMAL(10,2)",
        &[
            same("0", "0.00"),
            same("-12345678.9", "-12345678.90"),
            same("'99999999.99'", "99999999.99"),
            same("0.1", "0.10"),
            same("-0.01", "-0.01"),
        ],
    ),
    column("decimal(5)", "INT32 DECIMAL(5,0)", &[same("-99999", "-99999"), same("99999", "99999")]),
    column(
        "numeric(18,18)",
        "INT64 DECIMAL(18,18)",
        &[same("0.5", "0.500000000000000000"), same("-0.25", "-0.250000000000000000")],
    ),
    column(
        "numeric(38,0)",
        "FIXED_LEN_BYTE_ARRAY(16) DECIMAL(38,0)",
        &[same("9223372036854775807", "9223372036854775807"), same("-1", "-1")],
    ),
    column(
        "numeric(76,2)",
        "FIXED_LEN_BYTE_ARRAY(32) DECIMAL(76,2)",
        &[same("12.5", "12.50"), same("-9223372036854775808", "-9223372036854775808.00")],
    ),
    column(
        "numeric",
        "BYTE_ARRAY STRING",
        &[same("1.5", "1.5"), same("12", "12"), same("'abc'", "abc")],
    ),
];

const TIMES: &[Column] = &[
    column(
        "date",
        "INT32 DATE",
        &[
            same("'0001-01-01'", "0001-01-01"),
            same("'9999-12-31'", "9999-12-31"),
            same("'1970-01-01'", "1970-01-01"),
            same("'1582-10-10'", "1582-10-10"),
        ],
    ),
    column(
        "datetime",
        "INT64 TIMESTAMP(us,local)",
        &[
            v("'0001-01-01 00:00:00'", "0001-01-01 00:00:00.000000", "0001-01-01 00:00:00.0"),
            v(
                "'9999-12-31 23:59:59.999999'",
                "9999-12-31 23:59:59.999999",
                "9999-12-31 23:59:59.999999",
            ),
            v("'1969-12-31T23:59:59.5'", "1969-12-31 23:59:59.500000", "1969-12-31 23:59:59.5"),
        ],
    ),
    column(
        "timestamp",
        "INT64 TIMESTAMP(us,local)",
        &[v("'2024-02-29 12:34:56.001'", "2024-02-29 12:34:56.001000", "2024-02-29 12:34:56.001")],
    ),
    column(
        "time",
        "INT64 TIME(us,local)",
        &[
            v("'00:00:00'", "00:00:00.000000", "00:00:00"),
            v("'23:59:59.999999'", "23:59:59.999999", "23:59:59.999999"),
        ],
    ),
];

const TEXTS: &[Column] = &[
    column(
        "text",
        "BYTE_ARRAY STRING",
        &[
            same("''", ""),
            same("'null'", "null"),
            same("'\\N'", "\\N"),
            same(
                "'tab' || char(9) || 'line' || char(10) || char(13) || 'q''\"'",
                "tab\tline\n\rq'\"",
            ),
            same("'žluťoučký 漢字 😀'", "žluťoučký 漢字 😀"),
            same("replace(hex(zeroblob(35000)), '0', 'x')", "{x*70000}"),
            same("'nul' || char(0) || 'end'", "nul\0end"),
        ],
    ),
    column(
        "varchar(3)",
        "BYTE_ARRAY STRING",
        &[same("'longer than three'", "longer than three"), same("12", "12")],
    ),
    column("native character(7)", "BYTE_ARRAY STRING", &[same("'a  '", "a  ")]),
    column("clob", "BYTE_ARRAY STRING", &[same("'c'", "c")]),
    column(
        "blob",
        "BYTE_ARRAY",
        &[
            same("x''", ""),
            v("x'00ff'", "00ff", "00 ff"),
            v("x'{bytes}'", "{bytes}", "{spaced bytes}"),
        ],
    ),
    column("varbinary(4)", "BYTE_ARRAY", &[v("x'0102030405'", "0102030405", "01 02 03 04 05")]),
    column(
        "json",
        "BYTE_ARRAY JSON",
        &[same("'{\"b\":1, \"a\" : [null]}'", "{\"b\":1, \"a\" : [null]}")],
    ),
    column(
        "uuid",
        "FIXED_LEN_BYTE_ARRAY(16) UUID",
        &[
            same("'00000000-0000-0000-0000-000000000000'", "00000000-0000-0000-0000-000000000000"),
            same("'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ],
    ),
    column(
        "any",
        "BYTE_ARRAY STRING",
        &[
            same("1", "1"),
            same("1.5", "1.5"),
            same("'x'", "x"),
            same("-9223372036854775808", "-9223372036854775808"),
        ],
    ),
    column("colour", "BYTE_ARRAY STRING", &[same("'red'", "red")]),
];
