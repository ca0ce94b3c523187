//! The keys: a type, and an expression of `i` (1 to 600) that makes its values.

/// One kind of key.
pub(super) struct Key {
    pub(super) ddl: &'static str,
    pub(super) expr: &'static str,
    pub(super) split_by: &'static str,
    pub(super) flags: &'static [&'static str],
}

const fn key(ddl: &'static str, expr: &'static str) -> Key {
    Key { ddl, expr, split_by: "k", flags: &[] }
}

/// A key with values that only text files or columns of text can hold.
const fn as_string(ddl: &'static str, expr: &'static str) -> Key {
    Key { ddl, expr, split_by: "k", flags: &["--map-column", "k=string"] }
}

const fn by(ddl: &'static str, expr: &'static str, split_by: &'static str) -> Key {
    Key { ddl, expr, split_by, flags: &[] }
}

/// Texts that need quoting, escaping and a collation.
macro_rules! words {
    () => {
        "CASE i % 13 WHEN 0 THEN '' WHEN 1 THEN 'it''s ' || i WHEN 2 THEN 'Äpfel ' || i \
         WHEN 3 THEN 'äpfel ' || i WHEN 4 THEN 'ÄPFEL ' || i WHEN 5 THEN 'ß' || i WHEN 6 THEN '😀' || i \
         WHEN 7 THEN '漢字' || i WHEN 8 THEN '\"q\" % _' || i WHEN 9 THEN 'Zebra' WHEN 10 THEN 'zebra ' \
         WHEN 11 THEN '; DROP TABLE n; --' ELSE 'a' || i END"
    };
}

/// The same for types of one byte a character.
macro_rules! narrow_words {
    () => {
        "CASE i % 7 WHEN 0 THEN '' WHEN 1 THEN 'it''s ' || i WHEN 2 THEN 'Äpfel ' || i \
         WHEN 3 THEN 'äpfel' WHEN 4 THEN 'ß' || i WHEN 5 THEN 'Zebra' ELSE 'a' || i END"
    };
}

pub(super) const POSTGRES_NUMBERS: &[Key] = &[
    key("smallint", "(i * 109 % 65536 - 32768)::smallint"),
    key("int", "CASE i WHEN 1 THEN -2147483648 WHEN 2 THEN 2147483647 ELSE i * 7919 - 2000000 END"),
    key(
        "bigint",
        "CASE i WHEN 1 THEN -9223372036854775808 WHEN 2 THEN 9223372036854775807 \
         ELSE 15000000000000000 * i * (CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END) END",
    ),
    // heavy duplicates; a huge gap; one value only; two neighbours
    key("bigint", "CASE WHEN i < 590 THEN 5 ELSE i END"),
    key("bigint", "CASE WHEN i = 600 - 1 THEN 1000000000000000 ELSE i END"),
    key("int", "7"),
    key("int", "i % 2"),
    key("oid", "(i::bigint * 7000000)::oid"),
    key("numeric(10,2)", "i * 1.37 - 400"),
    key(
        "numeric(38,10)",
        "i * 12345678901234567890.1234567891 * (CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END)",
    ),
    key(
        "numeric(38,0)",
        "CASE i WHEN 1 THEN -99999999999999999999999999999999999999 WHEN 2 THEN 99999999999999999999999999999999999999 ELSE i * 1e30 END",
    ),
    key("numeric(76,0)", "CASE i WHEN 1 THEN -1e75 WHEN 2 THEN 1e75 ELSE i * 1e70 END"),
    key(
        "numeric",
        "CASE i WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' WHEN 3 THEN '-Infinity' ELSE (i / 7.0)::numeric END",
    ),
    as_string("numeric(10,2)", "CASE WHEN i % 50 = 1 THEN 'NaN' ELSE i::numeric END"),
    key(
        "real",
        "CASE i WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' WHEN 3 THEN '-Infinity' WHEN 4 THEN '-0' WHEN 5 THEN '0' ELSE (i - 300) / 7.0::real END",
    ),
    key(
        "double precision",
        "CASE i WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' WHEN 3 THEN '-Infinity' WHEN 4 THEN 1.7976931348623157e308 WHEN 5 THEN -1.7976931348623157e308 ELSE (i - 300) * 0.1::float8 END",
    ),
    key("double precision", "CASE WHEN i < 300 THEN 'NaN' ELSE i::float8 END"),
    key("money", "(i * 3.21)::numeric::money"),
    key("boolean", "i % 3 = 0"),
    key("date", "date '2000-01-01' + i * 11"),
    key(
        "date",
        "CASE i WHEN 1 THEN date '4713-01-01 BC' WHEN 2 THEN date '5874897-12-31' ELSE date '0001-01-01' - i END",
    ),
    as_string(
        "date",
        "CASE i WHEN 1 THEN date 'infinity' WHEN 2 THEN date '-infinity' ELSE date '2000-01-01' + i END",
    ),
    key("timestamp", "timestamp '1999-12-31 23:59:59.999999' + i * interval '1 day 1 microsecond'"),
    as_string(
        "timestamp",
        "CASE i WHEN 1 THEN timestamp 'infinity' WHEN 2 THEN timestamp '-infinity' ELSE timestamp '2024-01-01' + i * interval '1 hour' END",
    ),
    key("timestamptz", "timestamptz '2024-10-26 00:00:00+00' + i * interval '5 minutes'"),
    as_string(
        "timestamptz",
        "CASE i WHEN 1 THEN timestamptz 'infinity' WHEN 2 THEN timestamptz '294276-12-31' ELSE timestamptz '2024-01-01 00:00:00+00' - i * interval '1 hour' END",
    ),
    as_string(
        "time",
        "CASE i WHEN 1 THEN time '24:00:00' ELSE time '00:00:00' + i * interval '2 minutes' END",
    ),
    key(
        "timetz",
        "CASE i WHEN 1 THEN timetz '24:00:00-15:59' ELSE (time '00:00:00' + i * interval '2 minutes')::timetz END",
    ),
    key("interval", "i * interval '1 day 03:00:00' - interval '1 year'"),
];

pub(super) const POSTGRES_SETUP: &str = "
CREATE TYPE size AS ENUM ('small', 'medium', 'a''large', 'XL');
CREATE DOMAIN code AS int;
CREATE DOMAIN label AS text;
CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE EXTENSION citext;";

pub(super) const POSTGRES_TEXTS: &[Key] = &[
    key("text", words!()),
    key("text COLLATE \"C\"", words!()),
    key("text COLLATE \"de-x-icu\"", words!()),
    key("text COLLATE caseless", words!()),
    key(
        "text",
        "CASE i % 3 WHEN 0 THEN E'back\\\\slash' || i WHEN 1 THEN E'line\\n' || i ELSE E'\\'\\\\' END",
    ),
    key("varchar(40)", words!()),
    key("char(30)", words!()),
    key("citext", words!()),
    key("name", words!()),
    key("\"char\"", "chr(32 + i % 90)::\"char\""),
    key("size", "(ARRAY['small','medium','a''large','XL']::size[])[1 + i % 4]"),
    key("code", "i * 3"),
    key("label", words!()),
    key("uuid", "md5(i::text)::uuid"),
    key("bytea", "decode(md5(i::text) || CASE WHEN i % 2 = 0 THEN '00' ELSE '' END, 'hex')"),
    key("bytea", "CASE WHEN i % 3 = 0 THEN ''::bytea ELSE '\\x5c27'::bytea END"),
    key("inet", "('10.0.' || i % 256 || '.' || i / 256)::inet"),
    key(
        "macaddr",
        "('08:00:2b:00:' || lpad(to_hex(i / 256), 2, '0') || ':' || lpad(to_hex(i % 256), 2, '0'))::macaddr",
    ),
    key("int4range", "int4range(i, i + 5)"),
    key("bit(12)", "i::bit(12)"),
    key("varbit", "i::bit(12)::varbit"),
    by("int", "i", "k % 7"),
    by("text", words!(), "lower(k)"),
    by("int", "i", "id"),
    by("jsonb", "jsonb_build_object('n', i)", "(k->>'n')::int"),
];

pub(super) const MYSQL: &[Key] = &[
    key("tinyint", "i % 256 - 128"),
    key("tinyint unsigned", "i % 256"),
    key("boolean", "i % 3 = 0"),
    key("smallint", "i * 109 % 65536 - 32768"),
    key("mediumint", "i * 20011 - 8000000"),
    key("int", "CASE i WHEN 1 THEN -2147483648 WHEN 2 THEN 2147483647 ELSE i * 7919 - 2000000 END"),
    key("int unsigned", "CASE i WHEN 1 THEN 0 WHEN 2 THEN 4294967295 ELSE i * 7000000 END"),
    key(
        "bigint",
        "CASE i WHEN 1 THEN -9223372036854775808 WHEN 2 THEN 9223372036854775807 \
         ELSE 15000000000000000 * i * (CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END) END",
    ),
    key(
        "bigint unsigned",
        "CASE i WHEN 1 THEN 0 WHEN 2 THEN 18446744073709551615 ELSE 18446744073709551615 - 30000000000000000.0 * i END",
    ),
    key("bigint", "CASE WHEN i < 590 THEN 5 ELSE i END"),
    key("bigint", "CASE WHEN i = 599 THEN 1000000000000000 ELSE i END"),
    key("int", "7"),
    key("decimal(10,2)", "i * 1.37 - 400"),
    key("decimal(38,10)", "i * 12345678901234567890.1234567891"),
    key(
        "decimal(65,0)",
        "CASE i WHEN 1 THEN -99999999999999999999999999999999999999999999999999999999999999999 WHEN 2 THEN 99999999999999999999999999999999999999999999999999999999999999999 ELSE i END",
    ),
    key("float", "(i - 300) / 7"),
    key(
        "double",
        "CASE i WHEN 1 THEN 1.7976931348623157e308 WHEN 2 THEN -1.7976931348623157e308 ELSE (i - 300) * 0.1e0 END",
    ),
    key("bit(12)", "i * 6"),
    key("bit(64)", "CAST(i AS UNSIGNED) * 30000000000000000"),
    key("bit(1)", "i % 2"),
    key("year", "1901 + i % 250"),
    key("date", "date_add('2000-01-01', INTERVAL i * 11 DAY)"),
    key(
        "date",
        "CASE i WHEN 1 THEN '0001-01-01' WHEN 2 THEN '9999-12-31' ELSE date_add('1000-01-01', INTERVAL i DAY) END",
    ),
    as_string(
        "date",
        "CASE WHEN i < 50 THEN '0000-00-00' WHEN i < 90 THEN '2024-00-10' ELSE date_add('2024-01-01', INTERVAL i DAY) END",
    ),
    key("datetime", "date_add('1999-12-31 23:59:59', INTERVAL i * 1001 MINUTE)"),
    key(
        "datetime(6)",
        "date_add('1999-12-31 23:59:59.999999', INTERVAL i * 86400000001 MICROSECOND)",
    ),
    key("timestamp NULL", "date_add('2024-10-26 00:00:00', INTERVAL i * 5 MINUTE)"),
    key(
        "timestamp(6) NULL",
        "CASE i WHEN 1 THEN '2038-01-19 03:14:07.999999' ELSE date_add('1990-01-01', INTERVAL i * 86400000001 MICROSECOND) END",
    ),
    key("time", "sec_to_time(i * 120)"),
    as_string("time(3)", "sec_to_time(i * 10000 - 3000000)"),
    key("char(30)", words!()),
    key("varchar(40) COLLATE utf8mb4_general_ci", words!()),
    key("varchar(40) COLLATE utf8mb4_unicode_ci", words!()),
    key("varchar(40) COLLATE utf8mb4_bin", words!()),
    key("varchar(40) CHARACTER SET latin1", narrow_words!()),
    key("varchar(40) CHARACTER SET latin1 COLLATE latin1_german2_ci", narrow_words!()),
    key("varchar(40) CHARACTER SET utf16", words!()),
    key(
        "varchar(40)",
        "CASE i % 3 WHEN 0 THEN 'back\\\\slash' || i WHEN 1 THEN 'line\\n' || i ELSE '\\'\\\\' END",
    ),
    key("text", words!()),
    key("enum('small','medium','a''large','XL')", "1 + i % 4"),
    key("set('x','y','z')", "i % 8"),
    key("binary(16)", "unhex(left(sha2(i, 256), 32))"),
    key(
        "varbinary(20)",
        "CASE WHEN i % 7 = 0 THEN '' ELSE unhex(concat(left(sha2(i, 256), 32), CASE WHEN i % 2 = 0 THEN '00' ELSE '' END)) END",
    ),
    key("blob", "unhex(left(sha2(i, 256), 32))"),
    by("int", "i", "k % 7"),
    by("varchar(40)", words!(), "lower(k)"),
    by("json", "json_object('n', i)", "json_extract(k, '$.n') + 0"),
];

pub(super) const MARIADB: &[Key] = &[
    key("uuid", "md5(i)"),
    key("inet6", "'10.0.' || i % 256 || '.' || i DIV 256"),
    key("inet4", "'10.0.' || i % 256 || '.' || i DIV 256"),
];

pub(super) const SQLITE: &[Key] = &[
    key("integer", "i * 7919 - 2000000"),
    key(
        "integer",
        "CASE i WHEN 1 THEN -9223372036854775808 WHEN 2 THEN 9223372036854775807 ELSE 15000000000000000 * i END",
    ),
    key("integer", "CASE WHEN i < 590 THEN 5 ELSE i END"),
    key("integer", "CASE WHEN i = 599 THEN 1000000000000000 ELSE i END"),
    key("integer", "7"),
    key("real", "CASE i WHEN 1 THEN 9e999 WHEN 2 THEN -9e999 ELSE (i - 300) * 0.1 END"),
    key("decimal(10,2)", "round(i * 1.25, 2)"),
    key("numeric", "CASE i % 3 WHEN 0 THEN i WHEN 1 THEN i * 0.5 ELSE 'n' || i END"),
    key("boolean", "i % 2"),
    key("date", "date('2000-01-01', '+' || i * 11 || ' days')"),
    key("datetime", "datetime('2000-01-01', '+' || i * 11 || ' hours')"),
    key("time", "time('00:00:00', '+' || i * 2 || ' minutes')"),
    key("text", words!()),
    key("text COLLATE NOCASE", words!()),
    key("text COLLATE RTRIM", words!()),
    key(
        "varchar(40)",
        "CASE i % 3 WHEN 0 THEN 'back\\slash' || i WHEN 1 THEN 'nul' || char(0) || i ELSE char(10) || i END",
    ),
    key("blob", "CASE i % 3 WHEN 0 THEN x'' WHEN 1 THEN x'00ff' ELSE cast('b' || i AS blob) END"),
    key("uuid", "printf('%08x-0000-0000-0000-%012x', i * 977, i)"),
    key("any", "CASE i % 3 WHEN 0 THEN i WHEN 1 THEN i * 0.5 ELSE 't' || i END"),
    // Classes that do not fit the declared type, in a key that is read as text.
    as_string(
        "integer",
        "CASE i % 4 WHEN 0 THEN i WHEN 1 THEN i * 1.5 WHEN 2 THEN 't' || i ELSE cast('b' || i AS blob) END",
    ),
    by("integer", "i", "k % 7"),
    by("text", words!(), "lower(k)"),
];
