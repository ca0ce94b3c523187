//! PostgreSQL.

use super::super::support::Server;
use super::{Column, check, column, same, v};

const SETUP: &str = "
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE TYPE mood AS ENUM ('sad', 'o''k', 'žluť 😀');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN price AS numeric(6,2) CHECK (VALUE >= 0);
CREATE DOMAIN small AS smallint;
CREATE DOMAIN smaller AS small;
CREATE DOMAIN phrase AS varchar(20);
CREATE DOMAIN humour AS mood;
CREATE DOMAIN when_ AS timestamptz;
";

#[test]
fn every_postgres_scalar_type_keeps_its_values() {
    check(Server::Postgres, "types_scalar", SETUP, &columns(&[NUMBERS, TIMES, TEXTS, DOMAINS]), "");
}

#[test]
fn every_postgres_composed_type_keeps_its_values() {
    check(Server::Postgres, "types_composed", SETUP, &columns(&[ARRAYS, OTHERS]), "");
}

fn columns(groups: &[&'static [Column]]) -> Vec<Column> {
    let copy = |c: &Column| Column { ddl: c.ddl, parquet: c.parquet, values: c.values };
    groups.iter().flat_map(|g| g.iter().map(copy)).collect()
}

const TEXT: &str = "BYTE_ARRAY STRING";

const NUMBERS: &[Column] = &[
    column(
        "smallint",
        "INT32 INT(16,signed)",
        &[same("-32768", "-32768"), same("32767", "32767"), same("0", "0")],
    ),
    column(
        "integer",
        "INT32",
        &[same("-2147483648", "-2147483648"), same("2147483647", "2147483647"), same("0", "0")],
    ),
    column(
        "bigint",
        "INT64",
        &[
            same("-9223372036854775808", "-9223372036854775808"),
            same("9223372036854775807", "9223372036854775807"),
            same("0", "0"),
        ],
    ),
    column("oid", "INT32 INT(32,unsigned)", &[same("4294967295", "4294967295"), same("0", "0")]),
    column(
        "real",
        "FLOAT",
        &[
            same("'-0'", "-0.0"),
            same("'NaN'", "NaN"),
            same("'Infinity'", "Infinity"),
            same("'-Infinity'", "-Infinity"),
            v("'1e-45'", "1e-45", "1.4E-45"),
            v("'1.1754944e-38'", "1.1754944e-38", "1.1754944E-38"),
            v("'3.4028235e38'", "3.4028235e+38", "3.4028235E38"),
            same("0.1", "0.1"),
            v("16777216", "16777216.0", "1.6777216E7"),
        ],
    ),
    column(
        "double precision",
        "DOUBLE",
        &[
            same("'-0'", "-0.0"),
            same("'NaN'", "NaN"),
            same("'Infinity'", "Infinity"),
            same("'-Infinity'", "-Infinity"),
            v("'5e-324'", "5e-324", "4.9E-324"),
            v("'2.2250738585072014e-308'", "2.2250738585072014e-308", "2.2250738585072014E-308"),
            v("'1.7976931348623157e308'", "1.7976931348623157e+308", "1.7976931348623157E308"),
            same("0.1", "0.1"),
            v("9007199254740993", "9007199254740992.0", "9.007199254740992E15"),
        ],
    ),
    column(
        "numeric(4,2)",
        "INT32 DECIMAL(4,2)",
        &[same("-99.99", "-99.99"), same("0", "0.00"), same("0.01", "0.01"), same("1.1", "1.10")],
    ),
    column(
        "numeric(18,4)",
        "INT64 DECIMAL(18,4)",
        &[
            same("99999999999999.9999", "99999999999999.9999"),
            same("-0.0001", "-0.0001"),
            same("10000", "10000.0000"),
        ],
    ),
    column(
        "numeric(19,0)",
        "FIXED_LEN_BYTE_ARRAY(9) DECIMAL(19,0)",
        &[same("-9999999999999999999", "-9999999999999999999"), same("10000", "10000")],
    ),
    column(
        "numeric(38,0)",
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
            same("100000000", "100000000"),
        ],
    ),
    column(
        "numeric(38,38)",
        "FIXED_LEN_BYTE_ARRAY(16) DECIMAL(38,38)",
        &[
            same(
                "0.99999999999999999999999999999999999999",
                "0.99999999999999999999999999999999999999",
            ),
            same(
                "-0.00000000000000000000000000000000000001",
                "-0.00000000000000000000000000000000000001",
            ),
        ],
    ),
    column(
        "numeric(76,0)",
        "FIXED_LEN_BYTE_ARRAY(32) DECIMAL(76,0)",
        &[
            same(
                "9999999999999999999999999999999999999999999999999999999999999999999999999999",
                "9999999999999999999999999999999999999999999999999999999999999999999999999999",
            ),
            same(
                "-9999999999999999999999999999999999999999999999999999999999999999999999999999",
                "-9999999999999999999999999999999999999999999999999999999999999999999999999999",
            ),
            same("0", "0"),
        ],
    ),
    column(
        "numeric(76,38)",
        "FIXED_LEN_BYTE_ARRAY(32) DECIMAL(76,38)",
        &[same(
            "-12345678901234567890123456789012345678.00000000000000000000000000000000000001",
            "-12345678901234567890123456789012345678.00000000000000000000000000000000000001",
        )],
    ),
    column(
        "numeric",
        TEXT,
        &[
            same("1.10", "1.10"),
            same("'NaN'", "NaN"),
            same("'-Infinity'", "-Infinity"),
            same("1e-20", "0.00000000000000000001"),
            same("1e40", "10000000000000000000000000000000000000000"),
        ],
    ),
    column("numeric(77,1)", TEXT, &[same("1.5", "1.5"), same("'NaN'", "NaN")]),
    column("numeric(3,-2)", TEXT, &[same("12345", "12300")]),
    column("numeric(2,4)", TEXT, &[same("0.0012", "0.0012")]),
    column(
        "money",
        TEXT,
        &[
            same("'-92233720368547758.08'", "-$92,233,720,368,547,758.08"),
            same("1234.5::numeric", "$1,234.50"),
            same("0", "$0.00"),
        ],
    ),
    column("boolean", "BOOLEAN", &[same("true", "true"), same("false", "false")]),
];

const TIMES: &[Column] = &[
    column(
        "date",
        "INT32 DATE",
        &[
            same("'4713-01-01 BC'", "-4712-01-01"),
            same("'5874897-12-31'", "5874897-12-31"),
            same("'1970-01-01'", "1970-01-01"),
            same("'0001-01-01'", "0001-01-01"),
            same("'0001-12-31 BC'", "0000-12-31"),
            same("'1582-10-10'", "1582-10-10"),
            same("'2000-02-29'", "2000-02-29"),
        ],
    ),
    column(
        "timestamp",
        "INT64 TIMESTAMP(us,local)",
        &[
            v("'4713-01-01 00:00:00 BC'", "-4712-01-01 00:00:00.000000", "-4712-01-01 00:00:00.0"),
            v(
                "'294247-01-10 04:00:54.775807'",
                "294247-01-10 04:00:54.775807",
                "294247-01-10 04:00:54.775807",
            ),
            v(
                "'1969-12-31 23:59:59.999999'",
                "1969-12-31 23:59:59.999999",
                "1969-12-31 23:59:59.999999",
            ),
            v("'2024-03-31 02:30:00'", "2024-03-31 02:30:00.000000", "2024-03-31 02:30:00.0"),
            v(
                "'9999-12-31 23:59:59.999999'",
                "9999-12-31 23:59:59.999999",
                "9999-12-31 23:59:59.999999",
            ),
        ],
    ),
    column(
        "timestamp(3)",
        "INT64 TIMESTAMP(us,local)",
        &[v("'2000-01-01 00:00:00.1239'", "2000-01-01 00:00:00.124000", "2000-01-01 00:00:00.124")],
    ),
    column(
        "timestamptz",
        "INT64 TIMESTAMP(us,utc)",
        &[
            v(
                "'4713-01-01 00:00:00+00 BC'",
                "-4712-01-01 00:00:00.000000Z",
                "-4712-01-01 00:00:00.0",
            ),
            v(
                "'294247-01-10 04:00:54.775807+00'",
                "294247-01-10 04:00:54.775807Z",
                "294247-01-10 04:00:54.775807",
            ),
            v("'2024-10-27 02:30:00+02'", "2024-10-27 00:30:00.000000Z", "2024-10-27 00:30:00.0"),
            v(
                "'1999-12-31 23:59:59.000001-12'",
                "2000-01-01 11:59:59.000001Z",
                "2000-01-01 11:59:59.000001",
            ),
        ],
    ),
    column(
        "time",
        "INT64 TIME(us,local)",
        &[
            v("'00:00:00'", "00:00:00.000000", "00:00:00"),
            v("'23:59:59.999999'", "23:59:59.999999", "23:59:59.999999"),
            v("'12:34:56.5'", "12:34:56.500000", "12:34:56.5"),
        ],
    ),
    column("time(0)", "INT64 TIME(us,local)", &[v("'23:59:59'", "23:59:59.000000", "23:59:59")]),
    column(
        "timetz",
        TEXT,
        &[
            same("'24:00:00-15:59'", "24:00:00-15:59"),
            same("'12:00:00.5+05:30'", "12:00:00.5+05:30"),
            same("'00:00:00+00'", "00:00:00+00"),
        ],
    ),
    column(
        "interval",
        TEXT,
        &[
            same("'1 year 2 mons -3 days 04:05:06.789'", "1 year 2 mons -3 days +04:05:06.789"),
            same("'178000000 years'", "178000000 years"),
            same("'0'", "00:00:00"),
            same("'-1 day -00:00:00.000001'", "-1 days -00:00:00.000001"),
        ],
    ),
];

const TEXTS: &[Column] = &[
    column(
        "char(5)",
        TEXT,
        &[same("'ab'", "ab   "), same("''", "     "), same("'äö漢😀x'", "äö漢😀x")],
    ),
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
    column(
        "text",
        TEXT,
        &[
            same("''", ""),
            same("'\\N'", "\\N"),
            same("E'tab\\tline\\n\\rback\\\\q\\'\"'", "tab\tline\n\rback\\q'\""),
            same("repeat('x', 70000)", "{x*70000}"),
            same("E'\\x01\\x7f'", "\u{1}\u{7f}"),
            same("U&'\\+10FFFF \\0301'", "\u{10ffff} \u{301}"),
        ],
    ),
    column("\"char\"", TEXT, &[same("'a'", "a"), same("''", "")]),
    column("name", TEXT, &[same("'Some Name'", "Some Name")]),
    column("citext", TEXT, &[same("'MiXed'", "MiXed")]),
    column(
        "mood",
        TEXT,
        &[same("'sad'", "sad"), same("'o''k'", "o'k"), same("'žluť 😀'", "žluť 😀")],
    ),
    column(
        "bytea",
        "BYTE_ARRAY",
        &[
            same("''", ""),
            v("'\\x00ff'", "00ff", "00 ff"),
            v("'\\x{bytes}'", "{bytes}", "{spaced bytes}"),
        ],
    ),
    column(
        "uuid",
        "FIXED_LEN_BYTE_ARRAY(16) UUID",
        &[
            same("'00000000-0000-0000-0000-000000000000'", "00000000-0000-0000-0000-000000000000"),
            same("'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
            same("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ],
    ),
    column(
        "json",
        "BYTE_ARRAY JSON",
        &[
            same("'{\"b\":1,  \"a\" : [null], \"b\":2}'", "{\"b\":1,  \"a\" : [null], \"b\":2}"),
            same("'null'", "null"),
        ],
    ),
    column(
        "jsonb",
        "BYTE_ARRAY JSON",
        &[
            same("'{\"b\":1,\"a\":[null, 1.10]}'", "{\"a\": [null, 1.10], \"b\": 1}"),
            same("'\"ž\"'", "\"ž\""),
        ],
    ),
];

const DOMAINS: &[Column] = &[
    column("price", "INT32 DECIMAL(6,2)", &[same("0", "0.00"), same("9999.99", "9999.99")]),
    column("smaller", "INT32 INT(16,signed)", &[same("-32768", "-32768")]),
    column("phrase", TEXT, &[same("'a phrase'", "a phrase")]),
    column("humour", TEXT, &[same("'sad'", "sad")]),
    column(
        "when_",
        "INT64 TIMESTAMP(us,utc)",
        &[v("'2024-01-01 00:00:00+00'", "2024-01-01 00:00:00.000000Z", "2024-01-01 00:00:00.0")],
    ),
];

const ARRAYS: &[Column] = &[
    column(
        "int[]",
        "LIST<INT32>",
        &[
            v("'{1,NULL,-2147483648}'", "[1|NULL|-2147483648]", "{1,NULL,-2147483648}"),
            v("'{}'", "[]", "{}"),
            v("'{NULL}'", "[NULL]", "{NULL}"),
        ],
    ),
    column("smallint[]", "LIST<INT32 INT(16,signed)>", &[v("'{-32768}'", "[-32768]", "{-32768}")]),
    column(
        "bigint[]",
        "LIST<INT64>",
        &[v("'{9223372036854775807}'", "[9223372036854775807]", "{9223372036854775807}")],
    ),
    column(
        "text[]",
        "LIST<BYTE_ARRAY STRING>",
        &[v(
            "ARRAY['a,b','',NULL,'NULL','q\"\\','ž😀']",
            "[a,b||NULL|NULL|q\"\\|ž😀]",
            "{\"a,b\",\"\",NULL,\"NULL\",\"q\\\"\\\\\",ž😀}",
        )],
    ),
    column("varchar(3)[]", "LIST<BYTE_ARRAY STRING>", &[v("'{abc}'", "[abc]", "{abc}")]),
    column("char(3)[]", "LIST<BYTE_ARRAY STRING>", &[v("'{a}'", "[a  ]", "{\"a  \"}")]),
    column("boolean[]", "LIST<BOOLEAN>", &[v("'{t,f,NULL}'", "[true|false|NULL]", "{t,f,NULL}")]),
    column(
        "real[]",
        "LIST<FLOAT>",
        &[v("'{0.1,NaN,-Infinity}'", "[0.1|NaN|-Infinity]", "{0.1,NaN,-Infinity}")],
    ),
    column("double precision[]", "LIST<DOUBLE>", &[v("'{0.1,-0}'", "[0.1|-0.0]", "{0.1,-0}")]),
    column(
        "numeric(10,2)[]",
        "LIST<INT64 DECIMAL(10,2)>",
        &[v("'{1.5,NULL,-99999999.99}'", "[1.50|NULL|-99999999.99]", "{1.50,NULL,-99999999.99}")],
    ),
    column(
        "numeric[]",
        "LIST<BYTE_ARRAY STRING>",
        &[v("'{1.50,NaN}'", "[1.50|NaN]", "{1.50,NaN}")],
    ),
    column(
        "date[]",
        "LIST<INT32 DATE>",
        &[v("'{2024-02-29,NULL}'", "[2024-02-29|NULL]", "{2024-02-29,NULL}")],
    ),
    column(
        "timestamp[]",
        "LIST<INT64 TIMESTAMP(us,local)>",
        &[v(
            "'{2024-02-29 01:02:03.4}'",
            "[2024-02-29 01:02:03.400000]",
            "{\"2024-02-29 01:02:03.4\"}",
        )],
    ),
    column(
        "timestamptz[]",
        "LIST<INT64 TIMESTAMP(us,utc)>",
        &[v(
            "'{2024-02-29 01:02:03+01}'",
            "[2024-02-29 00:02:03.000000Z]",
            "{\"2024-02-29 00:02:03+00\"}",
        )],
    ),
    column(
        "time[]",
        "LIST<INT64 TIME(us,local)>",
        &[v("'{23:59:59.999999}'", "[23:59:59.999999]", "{23:59:59.999999}")],
    ),
    column(
        "bytea[]",
        "LIST<BYTE_ARRAY>",
        &[v("ARRAY['\\x00ff'::bytea, NULL]", "[00ff|NULL]", "{\"\\\\x00ff\",NULL}")],
    ),
    column("mood[]", "LIST<BYTE_ARRAY STRING>", &[v("'{sad,NULL}'", "[sad|NULL]", "{sad,NULL}")]),
    column(
        "jsonb[]",
        "LIST<BYTE_ARRAY STRING>",
        &[v("ARRAY['{\"a\":1}'::jsonb]", "[{\"a\": 1}]", "{\"{\\\"a\\\": 1}\"}")],
    ),
    column("inet[]", TEXT, &[same("'{10.0.0.1,::1/64}'", "{10.0.0.1,::1/64}")]),
    column("int4range[]", TEXT, &[same("ARRAY[int4range(1,3)]", "{\"[1,3)\"}")]),
    column("pair[]", TEXT, &[same("ARRAY[ROW(1,'x')::pair]", "{\"(1,x)\"}")]),
];

const OTHERS: &[Column] = &[
    column("bit(8)", TEXT, &[same("B'10101010'", "10101010")]),
    column("bit(1)", TEXT, &[same("B'1'", "1")]),
    column("varbit", TEXT, &[same("B''", ""), same("B'101'", "101")]),
    column(
        "inet",
        TEXT,
        &[
            same("'192.168.0.1/24'", "192.168.0.1/24"),
            same("'10.0.0.1'", "10.0.0.1"),
            same("'::1'", "::1"),
        ],
    ),
    column("cidr", TEXT, &[same("'10.0.0.0/8'", "10.0.0.0/8"), same("'10.0.0.1'", "10.0.0.1/32")]),
    column("macaddr", TEXT, &[same("'08:00:2b:01:02:03'", "08:00:2b:01:02:03")]),
    column("macaddr8", TEXT, &[same("'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05")]),
    column("point", TEXT, &[same("'(1.5,-2)'", "(1.5,-2)"), same("'(0.1,1e300)'", "(0.1,1e+300)")]),
    column("line", TEXT, &[same("'{1,2,3}'", "{1,2,3}")]),
    column("lseg", TEXT, &[same("'[(0,0),(1,1)]'", "[(0,0),(1,1)]")]),
    column("box", TEXT, &[same("'(0,0),(1,1)'", "(1,1),(0,0)")]),
    column("path", TEXT, &[same("'[(0,0),(1,1)]'", "[(0,0),(1,1)]")]),
    column("polygon", TEXT, &[same("'((0,0),(1,1),(1,0))'", "((0,0),(1,1),(1,0))")]),
    column("circle", TEXT, &[same("'<(0,0),1>'", "<(0,0),1>")]),
    column("tsvector", TEXT, &[same("'b a:1A'", "'a':1A 'b'")]),
    column("tsquery", TEXT, &[same("'a & !b'", "'a' & !'b'")]),
    column(
        "int4range",
        TEXT,
        &[same("'[1,10]'", "[1,11)"), same("'empty'", "empty"), same("'(,)'", "(,)")],
    ),
    column("int8range", TEXT, &[same("'[1,10)'", "[1,10)")]),
    column("numrange", TEXT, &[same("'(,5.50]'", "(,5.50]")]),
    column("daterange", TEXT, &[same("'[2024-01-01,infinity)'", "[2024-01-01,infinity)")]),
    column("tsrange", TEXT, &[same("'[2024-01-01,)'", "[\"2024-01-01 00:00:00\",)")]),
    column(
        "tstzrange",
        TEXT,
        &[same("'[2024-01-01 00:00:00+01,)'", "[\"2023-12-31 23:00:00+00\",)")],
    ),
    column("int4multirange", TEXT, &[same("'{[1,3),[5,9)}'", "{[1,3),[5,9)}")]),
    column("xml", TEXT, &[same("'<a b=\"1\">x</a>'", "<a b=\"1\">x</a>")]),
    column("pair", TEXT, &[same("ROW(1,'a,b')", "(1,\"a,b\")"), same("ROW(NULL,'')", "(,\"\")")]),
    column("hstore", TEXT, &[same("'a=>1, b=>NULL'", "\"a\"=>\"1\", \"b\"=>NULL")]),
    column("regclass", TEXT, &[same("'pg_class'", "pg_class")]),
    column("pg_lsn", TEXT, &[same("'16/B374D848'", "16/B374D848")]),
    column("xid8", TEXT, &[same("'18446744073709551615'", "18446744073709551615")]),
    column("int2vector", TEXT, &[same("'1 2 3'", "1 2 3")]),
    column("oidvector", TEXT, &[same("'1 2 3'", "1 2 3")]),
    column("jsonpath", TEXT, &[same("'$.a[*]'", "$.\"a\"[*]")]),
    column("tid", TEXT, &[same("'(0,1)'", "(0,1)")]),
];
