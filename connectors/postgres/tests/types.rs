//! Every type with its extremes, as literal values.

mod common;

use std::sync::Arc;

use arrow_array::builder::{Decimal128Builder, ListBuilder, StringBuilder};
use arrow_array::types::{Float32Type, Float64Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    ListArray, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray, UInt32Array,
    cast::AsArray,
};
use arrow_buffer::i256;
use arrow_schema::{DataType, Field};
use common::{in_schema, query, read_one, run, table};
use rsqoop_connector::{ColumnKind, ErrorKind, Extension, Relation, Session};

/// Makes a table of one column, `values` in order, then a NULL, and reads it back.
fn column(session: &mut dyn Session, sql_type: &str, values: &[&str]) -> (Column, ArrayRef) {
    let rows: Vec<String> = values.iter().enumerate().map(|(i, v)| format!("({i}, {v})")).collect();
    run(
        session,
        &[
            "DROP TABLE IF EXISTS v",
            &format!("CREATE TABLE v (n int PRIMARY KEY, c {sql_type})"),
            &format!("INSERT INTO v VALUES {}, (1000, NULL)", rows.join(", ")),
            "CLUSTER v USING v_pkey",
        ],
    );
    let info = session.describe(&table("v")).expect("the table was just made");
    let c = &info.columns[1];
    let described =
        Column { kind: c.kind, native_type: c.native_type.clone(), extension: c.extension };
    (described, Arc::clone(read_one(session, &table("v"), false).column(1)))
}

struct Column {
    kind: ColumnKind,
    native_type: String,
    extension: Option<Extension>,
}

fn check(
    session: &mut dyn Session,
    sql_type: &str,
    kind: ColumnKind,
    values: &[&str],
    want: ArrayRef,
) {
    let (described, got) = column(session, sql_type, values);
    assert_eq!(described.kind, kind, "{sql_type}");
    assert_eq!(&got, &want, "{sql_type} ({})", described.native_type);
}

fn text(values: &[&str]) -> ArrayRef {
    let values = values.iter().copied().map(Some).chain([None]);
    Arc::new(values.collect::<StringArray>())
}

#[test]
fn numbers_and_booleans() {
    let s = &mut *in_schema("t_numbers");
    let boolean = BooleanArray::from(vec![Some(true), Some(false), None]);
    check(s, "bool", ColumnKind::Boolean, &["true", "false"], Arc::new(boolean));
    let int2 = Int16Array::from(vec![Some(i16::MIN), Some(i16::MAX), None]);
    check(s, "int2", ColumnKind::Integer, &["-32768", "32767"], Arc::new(int2));
    let int4 = Int32Array::from(vec![Some(i32::MIN), Some(i32::MAX), None]);
    check(s, "int4", ColumnKind::Integer, &["-2147483648", "2147483647"], Arc::new(int4));
    let int8 = Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None]);
    check(
        s,
        "int8",
        ColumnKind::Integer,
        &["'-9223372036854775808'", "9223372036854775807"],
        Arc::new(int8),
    );
    let oid = UInt32Array::from(vec![Some(0), Some(u32::MAX), None]);
    check(s, "oid", ColumnKind::Integer, &["0", "4294967295"], Arc::new(oid));
}

#[test]
fn floats_are_bit_exact() {
    let s = &mut *in_schema("t_floats");
    let values = ["'NaN'", "'-0'", "'Infinity'", "'-Infinity'", "'1e-45'", "3.4028235e38"];
    let (_, got) = column(s, "float4", &values);
    let want = [f32::NAN, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(1), f32::MAX];
    let got: &Float32Array = got.as_primitive::<Float32Type>();
    let bits: Vec<u32> = got.values()[..6].iter().map(|v| v.to_bits()).collect();
    assert_eq!(bits, want.map(f32::to_bits));
    assert!(got.is_null(6));
    let values = ["'NaN'", "'-0'", "'5e-324'", "1.7976931348623157e308", "0.1"];
    let (_, got) = column(s, "float8", &values);
    let want = [f64::NAN, -0.0, f64::from_bits(1), f64::MAX, 0.1];
    let got: &Float64Array = got.as_primitive::<Float64Type>();
    let bits: Vec<u64> = got.values()[..5].iter().map(|v| v.to_bits()).collect();
    assert_eq!(bits, want.map(f64::to_bits));
}

#[test]
fn numerics() {
    let s = &mut *in_schema("t_numerics");
    let small = Decimal128Array::from(vec![Some(-9_999_999_999), Some(1), Some(0), None])
        .with_precision_and_scale(10, 2)
        .unwrap();
    check(s, "numeric(10,2)", ColumnKind::Decimal, &["-99999999.99", "0.01", "0"], Arc::new(small));
    let nines = "9".repeat(38);
    let wide =
        Decimal128Array::from(vec![Some(10i128.pow(38) - 1), Some(1 - 10i128.pow(38)), None])
            .with_precision_and_scale(38, 0)
            .unwrap();
    check(s, "numeric(38,0)", ColumnKind::Decimal, &[&nines, &format!("-{nines}")], Arc::new(wide));
    let nines = "9".repeat(76);
    let huge =
        Decimal256Array::from(vec![i256::from_string(&format!("-{nines}")), Some(i256::ONE), None])
            .with_precision_and_scale(76, 38)
            .unwrap();
    let (whole, fraction) = nines.split_at(38);
    check(
        s,
        "numeric(76,38)",
        ColumnKind::Decimal,
        &[&format!("-{whole}.{fraction}"), &format!("0.{}1", "0".repeat(37))],
        Arc::new(huge),
    );
    let free = ["1.500", "'NaN'", "'Infinity'", "1e100"];
    let exact = format!("1{}", "0".repeat(100));
    check(s, "numeric", ColumnKind::Decimal, &free, text(&["1.500", "NaN", "Infinity", &exact]));
    check(s, "numeric(77,1)", ColumnKind::Decimal, &["1.5"], text(&["1.5"]));
    check(s, "numeric(3,-2)", ColumnKind::Decimal, &["12345"], text(&["12300"]));
    check(s, "numeric(2,4)", ColumnKind::Decimal, &["0.0012"], text(&["0.0012"]));
}

#[test]
fn dates_and_times() {
    let s = &mut *in_schema("t_times");
    let date = Date32Array::from(vec![Some(-2_440_588), Some(0), Some(2_145_042_905), None]);
    check(
        s,
        "date",
        ColumnKind::Date,
        &["'4714-11-24 BC'", "'1970-01-01'", "'5874897-12-31'"],
        Arc::new(date),
    );
    let time = Time64MicrosecondArray::from(vec![Some(0), Some(86_399_999_999), None]);
    check(s, "time", ColumnKind::Time, &["'00:00'", "'23:59:59.999999'"], Arc::new(time));
    let micros =
        vec![Some(-210_866_803_200_000_000), Some(-1), Some(253_402_300_799_999_999), None];
    let values = [
        "'4714-11-24 00:00:00 BC'",
        "'1969-12-31 23:59:59.999999'",
        "'9999-12-31 23:59:59.999999'",
    ];
    let plain = TimestampMicrosecondArray::from(micros.clone());
    check(s, "timestamp", ColumnKind::Timestamp, &values, Arc::new(plain));
    let zoned = TimestampMicrosecondArray::from(micros).with_timezone("UTC");
    let values = [
        "'4714-11-24 00:00:00+00 BC'",
        "'1970-01-01 05:29:59.999999+05:30'",
        "'9999-12-31 23:59:59.999999+00'",
    ];
    check(s, "timestamptz", ColumnKind::TimestampTz, &values, Arc::new(zoned));
    check(s, "timetz", ColumnKind::Other, &["'12:00:00.5+05:30'"], text(&["12:00:00.5+05:30"]));
    check(
        s,
        "interval",
        ColumnKind::Other,
        &["'1 year 2 days 03:04:05.6'"],
        text(&["1 year 2 days 03:04:05.6"]),
    );
}

#[test]
fn strings_bytes_and_documents() {
    let s = &mut *in_schema("t_strings");
    run(s, &["CREATE TYPE mood AS ENUM ('sad', 'happy')", "CREATE DOMAIN code AS char(4)"]);
    let long = "ü".repeat(100_000);
    check(
        s,
        "text",
        ColumnKind::Text,
        &["''", "E'a\\nb'", &format!("'{long}'"), "'\u{1F600}'"],
        text(&["", "a\nb", &long, "\u{1F600}"]),
    );
    check(s, "varchar(3)", ColumnKind::Text, &["'a  '"], text(&["a  "]));
    check(s, "char(4)", ColumnKind::Text, &["'ab'"], text(&["ab  "]));
    check(s, "code", ColumnKind::Text, &["'ab'"], text(&["ab  "]));
    check(s, "name", ColumnKind::Text, &["'n'"], text(&["n"]));
    check(s, "\"char\"", ColumnKind::Text, &["'x'", "''"], text(&["x", ""]));
    check(s, "mood", ColumnKind::Text, &["'happy'"], text(&["happy"]));
    let bytes = BinaryArray::from(vec![Some(b"".as_slice()), Some(b"\x00\xff"), None]);
    check(s, "bytea", ColumnKind::Bytes, &["''", "'\\x00ff'"], Arc::new(bytes));
    let id: [u8; 16] = std::array::from_fn(|i| u8::try_from(i * 17).unwrap());
    let uuid =
        FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some(id), None].into_iter(), 16);
    let (described, got) = column(s, "uuid", &["'00112233-4455-6677-8899-aabbccddeeff'"]);
    assert_eq!((described.kind, described.extension), (ColumnKind::Uuid, Some(Extension::Uuid)));
    assert_eq!(got.as_ref(), &uuid.unwrap() as &dyn Array);
    for sql_type in ["json", "jsonb"] {
        let (described, got) = column(s, sql_type, &["'{\"a\": 1}'"]);
        assert_eq!(
            (described.kind, described.extension),
            (ColumnKind::Json, Some(Extension::Json))
        );
        assert_eq!(&got, &text(&["{\"a\": 1}"]), "{sql_type}");
    }
}

#[test]
fn everything_else_is_the_servers_text() {
    let s = &mut *in_schema("t_other");
    run(s, &["CREATE TYPE pair AS (a int, b text)", "SET lc_monetary = 'C'"]);
    for (sql_type, value, want) in [
        ("inet", "'10.0.0.1/8'", "10.0.0.1/8"),
        ("cidr", "'10.0.0.0/8'", "10.0.0.0/8"),
        ("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
        ("bit(3)", "B'101'", "101"),
        ("varbit", "B'1'", "1"),
        ("xml", "'<a/>'", "<a/>"),
        ("money", "12.5", "$12.50"),
        ("point", "'(1,2)'", "(1,2)"),
        ("int4range", "'[1,5)'", "[1,5)"),
        ("int4multirange", "'{[1,5)}'", "{[1,5)}"),
        ("tsvector", "'a b'", "'a' 'b'"),
        ("pg_lsn", "'16/B374D848'", "16/B374D848"),
        ("xid", "'7'", "7"),
        ("regclass", "'pg_class'", "pg_class"),
        ("pair", "ROW(1, 'x y')", "(1,\"x y\")"),
        ("int2vector", "'1 2'", "1 2"),
        ("inet[]", "'{10.0.0.1}'", "{10.0.0.1}"),
    ] {
        check(s, sql_type, ColumnKind::Other, &[value], text(&[want]));
    }
}

#[test]
fn arrays() {
    let s = &mut *in_schema("t_arrays");
    let ints = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None, Some(-3)]),
        Some(vec![]),
        None,
    ]);
    check(s, "int[]", ColumnKind::List, &["'{1,NULL,-3}'", "'{}'"], Arc::new(ints));
    let mut texts = ListBuilder::new(StringBuilder::new());
    texts.append_value([Some("a,b"), None, Some("")]);
    texts.append_null();
    let texts = Arc::new(texts.finish());
    let (_, got) = column(s, "text[]", &["ARRAY['a,b', NULL, '']"]);
    assert_eq!(got.as_ref(), texts.as_ref() as &dyn Array);
    let item = Field::new_list_field(DataType::Decimal128(6, 2), true);
    let mut decimals =
        ListBuilder::new(Decimal128Builder::new().with_data_type(DataType::Decimal128(6, 2)))
            .with_field(item);
    decimals.append_value([Some(150), Some(-1)]);
    decimals.append_null();
    check(s, "numeric(6,2)[]", ColumnKind::List, &["'{1.5,-0.01}'"], Arc::new(decimals.finish()));
    let mut free = ListBuilder::new(StringBuilder::new());
    free.append_value([Some("1.50"), Some("NaN")]);
    free.append_null();
    check(s, "numeric[]", ColumnKind::List, &["'{1.50,NaN}'"], Arc::new(free.finish()));
    run(s, &["CREATE DOMAIN price AS numeric(6,2)", "CREATE DOMAIN prices AS numeric(6,2)[]"]);
    let price = Decimal128Array::from(vec![Some(150), None]).with_precision_and_scale(6, 2);
    check(s, "price", ColumnKind::Decimal, &["1.5"], Arc::new(price.unwrap()));
    for (sql_type, value) in [
        ("price[]", "'{1.5}'"),
        ("prices", "'{1.5}'"),
        ("bool[]", "'{t,f}'"),
        ("timestamptz[]", "'{2020-01-01 00:00:00+00}'"),
        ("date[]", "'{2020-01-01}'"),
        ("uuid[]", "'{00112233-4455-6677-8899-aabbccddeeff}'"),
        ("bytea[]", "ARRAY['\\x00'::bytea]"),
        ("jsonb[]", "ARRAY['1'::jsonb]"),
        ("float8[]", "'{NaN}'"),
        ("varchar(3)[]", "'{abc}'"),
    ] {
        let (described, got) = column(s, sql_type, &[value]);
        assert_eq!(described.kind, ColumnKind::List, "{sql_type}");
        assert!(got.as_list::<i32>().value_length(0) > 0, "{sql_type}");
    }
}

#[test]
fn values_without_an_identical_form_are_refused() {
    let s = &mut *in_schema("t_refused");
    for (sql_type, value, problem) in [
        ("date", "'infinity'", "infinity"),
        ("timestamp", "'-infinity'", "-infinity"),
        ("timestamptz", "'infinity'", "infinity"),
        ("timestamp", "'294276-12-31 23:59:59.999999'", "64-bit microseconds"),
        ("time", "'24:00:00'", "24:00:00"),
        ("numeric(10,2)", "'NaN'", "NaN"),
        ("int[]", "'{{1,2},{3,4}}'", "2 dimensions"),
        ("int[]", "'[0:1]={1,2}'", "first index is 0"),
        ("date[]", "'{2020-01-01,infinity}'", "element 2"),
    ] {
        run(
            s,
            &[
                "DROP TABLE IF EXISTS v",
                &format!("CREATE TABLE v (id int, c {sql_type})"),
                &format!("INSERT INTO v VALUES (42, {value})"),
            ],
        );
        let mut session = in_other(s);
        let info = session.describe(&table("v")).unwrap();
        let mut read = query(&table("v"), &info, false);
        read.key = Some(0);
        let error = session.read(&read, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
        assert!(error.message().contains(problem), "{sql_type}: {error:?}");
        let contexts = format!("{error:?}");
        assert!(contexts.contains("id = 42") && contexts.contains("column: c"), "{contexts}");
        assert!(error.hint_text().unwrap().contains("--map-column c=string"), "{error:?}");
        // The same value as the server's text is carried over.
        let mut session = in_other(s);
        assert_eq!(read_one(&mut *session, &table("v"), true).num_rows(), 1);
    }
}

/// A second session in the same schema, since a failed read ends a session.
fn in_other(_: &mut dyn Session) -> Box<dyn Session> {
    let mut session = common::session();
    run(&mut *session, &["SET search_path = t_refused"]);
    session
}

#[test]
fn as_text_gives_the_servers_text() {
    let s = &mut *in_schema("t_text");
    run(
        s,
        &[
            "CREATE TABLE v (b bool, i int, f float8, n numeric(6,2), d date, t timestamptz, \
             c char(3), x bytea, u uuid, a int[], j jsonb)",
            "INSERT INTO v VALUES (true, -1, 0.1, 1.5, 'infinity', '2020-01-02 03:04:05.6+00', \
             'a', '\\x00ff', '00112233-4455-6677-8899-aabbccddeeff', '{1,NULL}', '{\"a\":1}')",
        ],
    );
    let batch = read_one(s, &table("v"), true);
    let got: Vec<&str> = batch.columns().iter().map(|c| c.as_string::<i32>().value(0)).collect();
    assert_eq!(
        got,
        [
            "true",
            "-1",
            "0.1",
            "1.50",
            "infinity",
            "2020-01-02 03:04:05.6+00",
            "a  ",
            "\\x00ff",
            "00112233-4455-6677-8899-aabbccddeeff",
            "{1,NULL}",
            "{\"a\": 1}",
        ]
    );
}

#[test]
fn a_query_keeps_the_sizes_of_columns_and_casts() {
    let s = &mut *in_schema("t_query");
    run(
        s,
        &[
            "CREATE TABLE v (id int, p numeric(10,2), q numeric, s varchar(7), j jsonb)",
            "INSERT INTO v VALUES (1, 1.25, 2, 'x', '[1]')",
        ],
    );
    let relation = Relation::Query(
        "SELECT id, p, q, s, j, (p * q)::numeric(12,3) AS cast_up, p * q AS free \
         FROM v WHERE $CONDITIONS"
            .to_string(),
    );
    let info = s.describe(&relation).unwrap();
    let types: Vec<&str> = info.columns.iter().map(|c| c.native_type.as_str()).collect();
    assert_eq!(
        types,
        [
            "integer",
            "numeric(10,2)",
            "numeric",
            "character varying(7)",
            "jsonb",
            "numeric(12,3)",
            "numeric"
        ]
    );
    let batch = read_one(s, &relation, false);
    assert_eq!(batch.schema().field(5).data_type(), &DataType::Decimal128(12, 3));
    assert_eq!(batch.column(6).as_string::<i32>().value(0), "2.50");
    assert_eq!(batch.column(4).as_string::<i32>().value(0), "[1]");
}
