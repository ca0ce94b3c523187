//! Spellings, choices and labels.

use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};
use rsqoop_connector::{ColumnInfo, ColumnKind, ErrorKind, Extension};

use super::{Choice, SPELLINGS, choose, parse_map, parse_type, type_label, type_name};
use crate::job::TypeName;

fn column(kind: ColumnKind, native: &str, data_type: DataType) -> ColumnInfo {
    ColumnInfo {
        name: "c".to_string(),
        native_type: native.to_string(),
        native_code: 0,
        kind,
        data_type,
        extension: None,
        nullable: true,
    }
}

fn micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

#[test]
fn every_spelling_is_read_in_any_case() {
    for (spelling, wanted) in SPELLINGS {
        assert_eq!(parse_type(spelling).unwrap(), wanted);
        assert_eq!(parse_type(&format!(" {} ", spelling.to_uppercase())).unwrap(), wanted);
    }
    for (text, wanted) in [
        ("java.math.BigDecimal", TypeName::Decimal(None)),
        ("decimal(10,2)", TypeName::Decimal(Some((10, 2)))),
        ("NUMERIC ( 38 , 0 )", TypeName::Decimal(Some((38, 0)))),
        ("numeric(7)", TypeName::Decimal(Some((7, 0)))),
        ("java.math.BigDecimal(76,76)", TypeName::Decimal(Some((76, 76)))),
    ] {
        assert_eq!(parse_type(text).unwrap(), wanted, "{text}");
    }
}

#[test]
fn unknown_types_name_the_known_ones_and_the_near_one() {
    let error = parse_type("Integr").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(error.message(), "there is no type \"Integr\"");
    assert!(error.hint_text().unwrap().starts_with("did you mean integer? The types are string"));
    let error = parse_type("geometry").unwrap_err();
    assert!(error.hint_text().unwrap().starts_with("the types are string, int, long"));
    for text in [
        "",
        "decimal()",
        "decimal(0)",
        "decimal(77,1)",
        "decimal(5,6)",
        "decimal(5,-2)",
        "decimal(5,2",
        "decimal(5,2)x",
        "decimal(+5,2)",
        "decimal(5,2,1)",
        "decimal(,)",
        "int(11)",
        "decimal(300,1)",
    ] {
        assert_eq!(parse_type(text).unwrap_err().kind(), ErrorKind::Usage, "{text}");
    }
}

#[test]
fn maps_protect_commas_and_decode_types() {
    let map = |text: &str| parse_map("--map-column", text).unwrap();
    let expected = vec![
        ("a".to_string(), TypeName::Int),
        ("b".to_string(), TypeName::Decimal(Some((10, 2)))),
        ("c".to_string(), TypeName::String),
    ];
    assert_eq!(map("a=int,b=decimal(10,2),c=String"), expected);
    assert_eq!(map("a=int, b=decimal%2810%2c2%29 , c=String"), expected);
    assert_eq!(map("b=decimal(10%2C2)"), expected[1..2]);
    assert_eq!(map("x=y=int"), [("x=y".to_string(), TypeName::Int)]);
    assert_eq!(map("price (EUR=int,b=long")[0].0, "price (EUR");
    assert_eq!(map("größe=int")[0].0, "größe");
    assert_eq!(map("A=int,a=int").len(), 2);
}

#[test]
fn bad_maps_name_the_flag() {
    for (text, message) in [
        ("", "--map-column-java: \"\" is not column=type"),
        ("a", "--map-column-java: \"a\" is not column=type"),
        ("a=int,", "--map-column-java: \"\" is not column=type"),
        ("=int", "--map-column-java: \"=int\" is not column=type"),
        ("a=", "--map-column-java: \"a=\" is not column=type"),
        ("a=in", "--map-column-java a: there is no type \"in\""),
        ("a=%zz", "--map-column-java a: there is no type \"%zz\""),
        ("a=%ff", "--map-column-java a: there is no type \"%ff\""),
        ("a=int,a=long", "--map-column-java names column \"a\" twice"),
    ] {
        let error = parse_map("--map-column-java", text).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Usage, message));
        assert!(error.hint_text().is_some());
    }
}

#[test]
fn the_same_type_is_left_alone() {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    for (kind, data_type, wanted) in [
        (ColumnKind::Integer, DataType::Int32, TypeName::Int),
        (ColumnKind::Decimal, DataType::Decimal128(10, 2), TypeName::Decimal(None)),
        (ColumnKind::Decimal, DataType::Decimal128(10, 2), TypeName::Decimal(Some((10, 2)))),
        (ColumnKind::Decimal, DataType::Decimal256(40, 2), TypeName::Decimal(Some((40, 2)))),
        (ColumnKind::Timestamp, micros(), TypeName::Timestamp),
        (ColumnKind::TimestampTz, utc, TypeName::Timestamp),
        (ColumnKind::Bytes, DataType::Binary, TypeName::Bytes),
    ] {
        let column = column(kind, "native", data_type);
        assert_eq!(choose(&column, Some(wanted)).unwrap(), Choice::AsIs, "{wanted:?}");
        assert_eq!(choose(&column, None).unwrap(), Choice::AsIs);
    }
}

#[test]
fn a_string_is_the_databases_own_text() {
    let mut json = column(ColumnKind::Json, "jsonb", DataType::Utf8);
    json.extension = Some(Extension::Json);
    let columns = [
        json,
        column(ColumnKind::Decimal, "numeric", DataType::Utf8),
        column(ColumnKind::Text, "text", DataType::Utf8),
        column(ColumnKind::Integer, "bigint", DataType::Int64),
        column(ColumnKind::Bytes, "bytea", DataType::Binary),
    ];
    for column in columns {
        let choice = choose(&column, Some(TypeName::String)).unwrap();
        assert_eq!(choice, Choice::AsText);
        assert_eq!(type_label(&choice.field(&column)), "STRING");
    }
}

#[test]
fn conversions_pick_their_arrow_type() {
    for (kind, data_type, wanted, target) in [
        (ColumnKind::Integer, DataType::Int64, TypeName::Int, DataType::Int32),
        (ColumnKind::Integer, DataType::UInt64, TypeName::Long, DataType::Int64),
        (ColumnKind::Integer, DataType::Int16, TypeName::Decimal(None), DataType::Decimal128(5, 0)),
        (
            ColumnKind::Integer,
            DataType::UInt64,
            TypeName::Decimal(None),
            DataType::Decimal128(20, 0),
        ),
        (
            ColumnKind::Decimal,
            DataType::Utf8,
            TypeName::Decimal(Some((39, 4))),
            DataType::Decimal256(39, 4),
        ),
        (ColumnKind::Date, DataType::Date32, TypeName::Timestamp, micros()),
        (ColumnKind::Text, DataType::Utf8, TypeName::Date, DataType::Date32),
        (ColumnKind::Json, DataType::Utf8, TypeName::Bytes, DataType::Binary),
    ] {
        let column = column(kind, "native", data_type);
        let choice = choose(&column, Some(wanted)).unwrap();
        assert_eq!(choice, Choice::Convert(target.clone()));
        let field = choice.field(&column);
        assert_eq!((field.data_type(), field.is_nullable()), (&target, true));
        assert_eq!(field.metadata().len(), 1);
    }
}

#[test]
fn impossible_choices_say_what_is_possible() {
    let error = choose(
        &column(ColumnKind::Decimal, "numeric", DataType::Utf8),
        Some(TypeName::Decimal(None)),
    )
    .unwrap_err();
    assert_eq!(
        error.message(),
        "column c (numeric) has no size of its own that a decimal could take"
    );
    assert!(error.hint_text().unwrap().contains("--map-column c=decimal(p,s)"));

    for (kind, native, data_type, wanted, message, hint) in [
        (
            ColumnKind::Date,
            "date",
            DataType::Date32,
            TypeName::Decimal(None),
            "column c (date) cannot become decimal(38,0)",
            "it can become string, date, timestamp",
        ),
        (
            ColumnKind::Boolean,
            "boolean",
            DataType::Boolean,
            TypeName::Double,
            "column c (boolean) cannot become double",
            "it can become string, int, long, boolean",
        ),
        (
            ColumnKind::Integer,
            "bigint",
            DataType::Int64,
            TypeName::Date,
            "column c (bigint) cannot become date",
            "it can become string, int, long, float, double, boolean, decimal(p,s)",
        ),
        (
            ColumnKind::Uuid,
            "uuid",
            DataType::FixedSizeBinary(16),
            TypeName::Bytes,
            "column c (uuid) cannot become bytes",
            "it can become string",
        ),
        (
            ColumnKind::TimestampTz,
            "timestamptz",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            TypeName::Date,
            "column c (timestamptz) cannot become date",
            "it can become string, timestamp",
        ),
    ] {
        let error = choose(&column(kind, native, data_type), Some(wanted)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!((error.message(), error.hint_text().unwrap()), (message, hint));
    }
}

#[test]
fn labels() {
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int32, true)));
    for (data_type, label) in [
        (DataType::Int64, "INT64"),
        (DataType::UInt8, "UINT8"),
        (DataType::Boolean, "BOOLEAN"),
        (DataType::Float32, "FLOAT"),
        (DataType::Float64, "DOUBLE"),
        (DataType::Utf8, "STRING"),
        (DataType::Binary, "BINARY"),
        (DataType::FixedSizeBinary(16), "BINARY(16)"),
        (DataType::Decimal128(10, 2), "DECIMAL(10,2)"),
        (DataType::Decimal256(40, 0), "DECIMAL(40,0)"),
        (DataType::Date32, "DATE"),
        (DataType::Time64(TimeUnit::Microsecond), "TIME(us)"),
        (micros(), "TIMESTAMP(us)"),
        (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), "TIMESTAMP(us, UTC)"),
        (list, "LIST<INT32>"),
    ] {
        assert_eq!(type_label(&Field::new("c", data_type, true)), label);
    }
    let mut uuid = column(ColumnKind::Uuid, "uuid", DataType::FixedSizeBinary(16));
    uuid.extension = Some(Extension::Uuid);
    assert_eq!(type_label(&uuid.field(false)), "UUID");
    let mut json = column(ColumnKind::Json, "json", DataType::Utf8);
    json.extension = Some(Extension::Json);
    assert_eq!(type_label(&json.field(false)), "JSON");
}

#[test]
fn names_of_types_are_spellings() {
    for data_type in [
        DataType::Utf8,
        DataType::Int32,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
        DataType::Boolean,
        DataType::Decimal128(10, 2),
        DataType::Date32,
        DataType::Time64(TimeUnit::Microsecond),
        micros(),
        DataType::Binary,
    ] {
        assert!(parse_type(&type_name(&data_type)).is_ok(), "{data_type}");
    }
}
