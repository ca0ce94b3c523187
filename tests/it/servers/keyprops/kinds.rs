//! The kinds of keys of each database: every type that can be a split key, keys of several columns,
//! and expressions.

use super::super::support::Server;
use super::draw::{Column, Kind, Values};

const I64: (i128, i128) = (i64::MIN as i128, i64::MAX as i128);
/// Widest decimals that are computed with here.
const WIDE: i128 = 10_i128.pow(37);
const MICROS_PER_DAY: i128 = 86_400_000_000;
/// About 4,700 years.
const MICROS: i128 = 150_000_000_000_000_000;

const fn line(ddl: &'static str, low: i128, high: i128, spell: fn(i128) -> String) -> Column {
    Column { ddl, values: Values::Line(low, high, spell), edges: &[] }
}

const fn texts(ddl: &'static str, spell: fn(&str) -> String) -> Column {
    Column { ddl, values: Values::Texts(spell), edges: &[] }
}

const fn with(edges: &'static [&'static str], column: Column) -> Column {
    let Column { ddl, values, .. } = column;
    Column { ddl, values, edges }
}

fn kind(columns: &[Column]) -> Kind {
    let names: Vec<&str> = columns.iter().map(|c| c.ddl).collect();
    Kind { name: names.join(" + "), columns: columns.to_vec(), by: None, indexed: true }
}

fn by(column: &Column, expr: &'static str) -> Kind {
    let name = format!("{expr} of {}", column.ddl);
    Kind { name, by: Some(expr), ..kind(std::slice::from_ref(column)) }
}

fn without_index(column: &Column) -> Kind {
    Kind { indexed: false, ..kind(std::slice::from_ref(column)) }
}

// ---- spellings ----

fn plain(n: i128) -> String {
    n.to_string()
}

fn decimal(n: i128, scale: usize) -> String {
    let digits = format!("{:0width$}", n.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    format!("{}{whole}.{part}", if n < 0 { "-" } else { "" })
}

fn cents(n: i128) -> String {
    decimal(n, 2)
}

fn fine(n: i128) -> String {
    decimal(n, 20)
}

/// Sevenths have no end in either base.
fn seventh(n: i128) -> String {
    format!("{:e}", n as f64 / 7.0)
}

fn uuid(n: i128) -> String {
    let hex = format!("{:032x}", n.cast_unsigned());
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    format!("'{}'", parts.join("-"))
}

/// 0 to 8 bytes, with zero bytes at the end of some.
fn hex(n: i128) -> String {
    let bytes = n.cast_unsigned().to_be_bytes();
    let len = usize::try_from(n.rem_euclid(9)).expect("small");
    bytes[16 - 8..].iter().take(len).map(|b| format!("{b:02x}")).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn escaped(text: &str) -> String {
    quoted(&text.replace('\\', "\\\\"))
}

fn blob(n: i128) -> String {
    format!("x'{}'", hex(n))
}

fn sized(n: i128) -> String {
    ["'small'", "'medium'", "'a''large'", "'XL'"][usize::try_from(n.rem_euclid(4)).expect("small")]
        .to_string()
}

// ---- PostgreSQL ----

pub(super) const POSTGRES_SETUP: &str = "
CREATE TYPE size AS ENUM ('small', 'medium', 'a''large', 'XL');
CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION baseless (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
CREATE EXTENSION citext;";

fn pg_numeric() -> Column {
    with(
        &["'NaN'", "'Infinity'", "'-Infinity'", "1e75", "-1e75", "1e-30", "0", "1.0", "1.00"],
        line("numeric", -WIDE, WIDE, fine),
    )
}

fn pg_float() -> Column {
    with(
        &["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0", "1.7976931348623157e308", "5e-324"],
        line("double precision", -1 << 60, 1 << 60, seventh),
    )
}

fn pg_real() -> Column {
    with(
        &["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "0", "3.4028235e38", "1e-45"],
        line("real", -1 << 40, 1 << 40, seventh),
    )
}

fn pg_date() -> Column {
    with(
        &["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'"],
        line("date", -1_000_000, 1_000_000, |n| format!("date '2000-01-01' + {n}")),
    )
}

fn pg_timestamp() -> Column {
    with(
        &["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'294276-12-31 23:59:59.999999'"],
        line("timestamp", -MICROS, MICROS, |n| {
            format!("timestamp '2000-01-01' + {n} * interval '1 microsecond'")
        }),
    )
}

fn pg_timestamptz() -> Column {
    with(
        &["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'294276-12-31 23:59:59.999999Z'"],
        line("timestamptz", -MICROS, MICROS, |n| {
            format!("timestamptz '2000-01-01 00:00:00Z' + {n} * interval '1 microsecond'")
        }),
    )
}

fn pg_time() -> Column {
    with(
        &["'24:00'", "'00:00'"],
        line("time", 0, MICROS_PER_DAY - 1, |n| {
            format!("time '00:00' + {n} * interval '1 microsecond'")
        }),
    )
}

fn pg_interval() -> Column {
    with(
        &["'1 mon'", "'30 days'", "'720 hours'", "'-1 year'", "'0'", "'178000000 years'"],
        line("interval", -1 << 40, 1 << 40, |n| format!("{n} * interval '1 millisecond'")),
    )
}

fn pg_inet() -> Column {
    line("inet", 0, 1 << 24, |n| {
        format!("'10.{}.{}.{}/{}'", n >> 16 & 255, n >> 8 & 255, n & 255, 8 + n % 25)
    })
}

pub(super) fn postgres() -> Vec<Kind> {
    let int = line("int", i32::MIN.into(), i32::MAX.into(), plain);
    let bigint = line("bigint", I64.0, I64.1, plain);
    let money = line("numeric(10,2)", -9_999_999_999, 9_999_999_999, cents);
    let numeric = pg_numeric();
    let float = pg_float();
    let date = pg_date();
    let timestamp = pg_timestamp();
    let text = texts("text", quoted);
    let caseless = texts("text COLLATE caseless", quoted);
    let bytea = line("bytea", I64.0, I64.1, |n| format!("'\\x{}'", hex(n)));
    let size = line("size", 0, 3, sized);
    let id = line("uuid", 0, i128::MAX - 1, uuid);
    let boolean = line("boolean", 0, 1, |n| (n == 1).to_string());
    let mut kinds: Vec<Kind> = [
        line("smallint", i16::MIN.into(), i16::MAX.into(), plain),
        int.clone(),
        bigint.clone(),
        line("oid", 0, u32::MAX.into(), plain),
        money.clone(),
        numeric.clone(),
        pg_real(),
        float.clone(),
        date.clone(),
        timestamp.clone(),
        pg_timestamptz(),
        pg_time(),
        pg_interval(),
        text.clone(),
        texts("text COLLATE \"C\"", quoted),
        texts("text COLLATE \"de-x-icu\"", quoted),
        caseless.clone(),
        texts("text COLLATE baseless", quoted),
        texts("varchar(40)", quoted),
        texts("char(20)", quoted),
        texts("citext", quoted),
        texts("name", quoted),
        bytea.clone(),
        size.clone(),
        id.clone(),
        boolean.clone(),
        pg_inet(),
    ]
    .iter()
    .map(|column| kind(std::slice::from_ref(column)))
    .collect();
    kinds.extend([
        by(&int, "k0 % 7"),
        by(&text, "lower(k0)"),
        by(&float, "-k0"),
        // Subtraction of infinite dates is an error of the query's own.
        by(&Column { edges: &[], ..date.clone() }, "k0 - date '2000-01-01'"),
        kind(&[int.clone(), text.clone()]),
        kind(&[text, texts("text COLLATE \"C\"", quoted)]),
        kind(&[caseless, texts("text COLLATE \"de-x-icu\"", quoted)]),
        kind(&[date, int.clone()]),
        kind(&[id, int.clone()]),
        kind(&[numeric, timestamp]),
        kind(&[size, boolean, bigint]),
        kind(&[float, bytea, int]),
        kind(&[
            money,
            texts("varchar(20)", quoted),
            line("smallint", -3, 3, plain),
            line("interval", 0, 5, |n| format!("{n} * interval '1 day'")),
        ]),
    ]);
    kinds
}

// ---- MariaDB and MySQL ----

fn clock(n: i128) -> String {
    let (seconds, micros) = (n.unsigned_abs() / 1_000_000, n.unsigned_abs() % 1_000_000);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("'{}{h}:{m:02}:{s:02}.{micros:06}'", if n < 0 { "-" } else { "" })
}

fn since_1990(n: i128) -> String {
    format!("'1990-01-01' + INTERVAL {n} MICROSECOND")
}

/// What both servers have.
fn mysql_columns() -> Vec<Column> {
    vec![
        line("tinyint", -128, 127, plain),
        line("tinyint unsigned", 0, 255, plain),
        line("smallint", i16::MIN.into(), i16::MAX.into(), plain),
        line("mediumint unsigned", 0, 16_777_215, plain),
        line("int", i32::MIN.into(), i32::MAX.into(), plain),
        line("bigint", I64.0, I64.1, plain),
        line("bigint unsigned", 0, u64::MAX.into(), plain),
        line("decimal(10,2)", -9_999_999_999, 9_999_999_999, cents),
        line("decimal(40,20)", -WIDE, WIDE, fine),
        with(
            &[
                "99999999999999999999999999999999999999999999999999999999999999999",
                "-99999999999999999999999999999999999999999999999999999999999999999",
            ],
            line("decimal(65,0)", -WIDE, WIDE, plain),
        ),
        with(
            &["0", "3.4028234e38", "-3.4028234e38", "1.17549435e-38"],
            line("float", -1 << 40, 1 << 40, seventh),
        ),
        with(
            &["0", "1.7976931348623157e308", "-1.7976931348623157e308", "2.2250738585072014e-308"],
            line("double", -1 << 60, 1 << 60, seventh),
        ),
        line("bit(64)", 0, u64::MAX.into(), plain),
        line("bit(7)", 0, 127, plain),
        with(&["0"], line("year", 1901, 2155, plain)),
        with(
            &["'0000-00-00'", "'2024-00-10'", "'0001-01-01'", "'9999-12-31'"],
            line("date", -300_000, 2_900_000, |n| format!("'2000-01-01' + INTERVAL {n} DAY")),
        ),
        with(
            &["'0000-00-00'", "'1000-01-01'", "'9999-12-31 23:59:59.999999'"],
            line("datetime(6)", -MICROS / 5, MICROS, since_1990),
        ),
        line("datetime", -MICROS / 5, MICROS, since_1990),
        with(
            &["'0000-00-00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999999'"],
            line("timestamp(6) NULL", 0, 1_200_000_000_000_000, since_1990),
        ),
        with(
            &["'838:59:59'", "'-838:59:59'", "'00:00:00'"],
            line("time(6)", -3_000_000_000_000, 3_000_000_000_000, clock),
        ),
        texts("char(20)", escaped),
        texts("varchar(60) COLLATE utf8mb4_general_ci", escaped),
        texts("varchar(60) COLLATE utf8mb4_unicode_ci", escaped),
        texts("varchar(60) COLLATE utf8mb4_bin", escaped),
        texts("varchar(60) CHARACTER SET latin1 COLLATE latin1_german2_ci", escaped),
        texts("varchar(60) CHARACTER SET utf16", escaped),
        line("enum('small','medium','a''large','XL')", 0, 3, sized),
        line("set('x','y','z')", 0, 7, plain),
        line("binary(8)", I64.0, I64.1, blob),
        line("varbinary(20)", I64.0, I64.1, blob),
        line("boolean", 0, 1, plain),
    ]
}

pub(super) fn mysql_family(server: Server) -> Vec<Kind> {
    let mut columns = mysql_columns();
    let own = match server {
        Server::MySql => "varchar(60) COLLATE utf8mb4_0900_ai_ci",
        _ => "varchar(60) COLLATE uca1400_ai_ci",
    };
    columns.push(texts(own, escaped));
    if server == Server::MySql {
        columns.push(texts("varchar(60) COLLATE utf8mb4_0900_as_cs", escaped));
    } else {
        columns.push(line("uuid", 0, i128::MAX - 1, uuid));
        columns.push(line("inet6", 0, 1 << 24, |n| format!("'2001:db8::{:x}'", n & 0xffff)));
    }
    let mut kinds: Vec<Kind> =
        columns.iter().map(|column| kind(std::slice::from_ref(column))).collect();
    let column = |ddl: &str| {
        let found = columns.iter().find(|c| c.ddl == ddl);
        // Zero dates of columns that cannot be NULL have tests of their own.
        Column { edges: &[], ..found.expect("it is listed").clone() }
    };
    let int = line("int", i32::MIN.into(), i32::MAX.into(), plain);
    let general = column("varchar(60) COLLATE utf8mb4_general_ci");
    kinds.extend([
        without_index(&texts("text", escaped)),
        without_index(&line("blob", I64.0, I64.1, blob)),
        by(&int, "k0 % 7"),
        by(&general, "lower(k0)"),
        kind(&[int.clone(), general.clone()]),
        kind(&[general, column(own)]),
        kind(&[column("date"), int.clone()]),
        kind(&[column("binary(8)"), int.clone()]),
        kind(&[column("decimal(40,20)"), column("datetime(6)")]),
        kind(&[
            column("enum('small','medium','a''large','XL')"),
            column("boolean"),
            column("bigint"),
        ]),
        kind(&[column("bigint unsigned"), column("varchar(60) COLLATE utf8mb4_bin")]),
        kind(&[column("double"), column("varbinary(20)"), int]),
        kind(&[
            column("year"),
            column("time(6)"),
            line("smallint", -3, 3, plain),
            column("varchar(60) CHARACTER SET latin1 COLLATE latin1_german2_ci"),
        ]),
    ]);
    kinds
}

// ---- SQLite ----

pub(super) fn sqlite() -> Vec<Kind> {
    let integer = line("integer", I64.0, I64.1, plain);
    let real = with(&["9e999", "-9e999", "0", "-0.0"], line("real", -1 << 60, 1 << 60, seventh));
    let text = texts("text", quoted);
    let caseless = texts("text COLLATE NOCASE", quoted);
    let bytes = line("blob", I64.0, I64.1, blob);
    let mixed = with(
        &[
            "1",
            "1.5",
            "'a'",
            "x'00'",
            "x''",
            "''",
            "'10'",
            "9e999",
            "-9223372036854775808",
            "9223372036854775807",
        ],
        texts("any", quoted),
    );
    vec![
        kind(std::slice::from_ref(&integer)),
        kind(std::slice::from_ref(&real)),
        kind(&[line("numeric", -WIDE, WIDE, fine)]),
        kind(&[line("decimal(10,2)", -9_999_999_999, 9_999_999_999, cents)]),
        kind(&[line("boolean", 0, 1, plain)]),
        kind(&[line("date", -300_000, 2_900_000, |n| format!("date('2000-01-01', '{n} days')"))]),
        kind(&[line("uuid", 0, i128::MAX - 1, uuid)]),
        kind(std::slice::from_ref(&text)),
        kind(std::slice::from_ref(&caseless)),
        kind(&[texts("text COLLATE RTRIM", quoted)]),
        kind(std::slice::from_ref(&bytes)),
        kind(std::slice::from_ref(&mixed)),
        by(&integer, "k0 % 7"),
        by(&integer, "rowid"),
        by(&text, "lower(k0)"),
        kind(&[integer.clone(), text.clone()]),
        kind(&[caseless, bytes]),
        kind(&[mixed, integer.clone()]),
        kind(&[real, text.clone(), integer.clone()]),
        kind(&[line("boolean", 0, 1, plain), line("integer", -2, 2, plain), text, integer]),
    ]
}
