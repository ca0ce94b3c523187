//! Single values at the edges, and what is said of those that do not fit.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float32Type, Float64Type, Int64Type, Time64MicrosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal256Array, Float32Array,
    Float64Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_buffer::i256;
use arrow_schema::DataType;
use rsqoop_connector::{ColumnKind, ErrorKind};

use super::super::{Converter, Refused};
use super::{
    INTEGERS, TIME, TIMESTAMP, column, convert, decimal_text, decimals, integer_at, refusal, text,
};

#[test]
fn a_refusal_names_row_column_flag_and_value() {
    let array = Float64Array::from(vec![Some(1.0), None, Some(3.7), Some(0.5)]);
    let Refused { row, error } = convert(array, &DataType::Int64).unwrap_err();
    assert_eq!(row, 2);
    assert_eq!(error.message(), "value 3.7 has a fraction, which long cannot hold");
    assert_eq!(
        error.contexts(),
        [("column", "c (native)".to_string()), ("flag", "--map-column c=long".to_string())]
    );
    assert!(error.hint_text().unwrap().contains("--map-column c=string"));
}

#[test]
fn an_array_of_another_type_is_a_defect() {
    let converter =
        Converter::new(&column(ColumnKind::Integer, &DataType::Int64), &DataType::Int32).unwrap();
    let array: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
    assert_eq!(converter.convert(&array).unwrap_err().error.kind(), ErrorKind::Bug);
}

#[test]
fn nulls_hide_what_does_not_fit() {
    // Arrow allows any bits under a NULL.
    let nulls = arrow_buffer::NullBuffer::from(vec![true, false]);
    let array = Int64Array::new(vec![1, i64::MAX].into(), Some(nulls.clone()));
    let new = convert(array, &DataType::Int32).unwrap();
    assert!(new.is_valid(0) && new.is_null(1));
    let array = BinaryArray::new(
        arrow_buffer::OffsetBuffer::from_lengths([1, 1]),
        vec![b'x', 0xff].into(),
        Some(nulls),
    );
    let new = convert(array, &DataType::Utf8).unwrap();
    assert!(new.is_valid(0) && new.is_null(1));
    let sliced = Int64Array::from(vec![None, Some(1), Some(i64::MAX)]).slice(1, 2);
    assert_eq!(convert(sliced, &DataType::Int32).unwrap_err().row, 1);
    assert!(convert(StringArray::new_null(3), &DataType::Date32).unwrap().is_null(2));
    assert_eq!(convert(Int64Array::new_null(0), &DataType::Boolean).unwrap().len(), 0);
}

#[test]
fn booleans_become_zero_and_one() {
    let array = BooleanArray::from(vec![Some(true), None, Some(false)]);
    for target in &INTEGERS {
        let new = convert(array.clone(), target).unwrap();
        assert_eq!((integer_at(&new, 0), new.is_null(1), integer_at(&new, 2)), (1, true, 0));
    }
    assert_eq!(
        refusal(Int64Array::from(vec![2]), &DataType::Boolean),
        "value 2 is neither 0 nor 1, so it is no boolean"
    );
}

#[test]
fn float_edges() {
    let double = |value: f64| Float64Array::from(vec![value]);
    for (value, message) in [
        (-0.0, "value -0.0 is a negative zero, whose sign long cannot hold"),
        (f64::NAN, "value NaN is not a number that long can hold"),
        (f64::NEG_INFINITY, "value -inf is not a number that long can hold"),
        (9_223_372_036_854_775_808.0, "value 9.223372036854776e+18 is outside the range of long"),
        (1e300, "value 1e+300 is outside the range of long"),
        (5e-324, "value 5e-324 has a fraction, which long cannot hold"),
    ] {
        assert_eq!(refusal(double(value), &DataType::Int64), message);
    }
    let lowest = convert(double(-9_223_372_036_854_775_808.0), &DataType::Int64).unwrap();
    assert_eq!(lowest.as_primitive::<Int64Type>().value(0), i64::MIN);
    for exact in [
        0.0,
        -0.0,
        f64::INFINITY,
        f64::from(f32::MAX),
        f64::from(f32::MIN_POSITIVE),
        f64::from(f32::from_bits(1)),
        -f64::from(f32::from_bits(0x007f_ffff)),
    ] {
        let new = convert(double(exact), &DataType::Float32).unwrap();
        let new = f64::from(new.as_primitive::<Float32Type>().value(0));
        assert_eq!(new.to_bits(), exact.to_bits());
    }
    for inexact in
        [0.1, f64::MAX, f64::MIN_POSITIVE, 16_777_217.0, f64::from(f32::from_bits(1)) / 2.0]
    {
        refusal(double(inexact), &DataType::Float32);
    }
    // What a database shows for these is the shortest text, and that becomes the decimal.
    for (value, shown) in [(0.1, "0.10"), (2.5, "2.50"), (-100.0, "-100.00")] {
        let new = convert(double(value), &DataType::Decimal128(10, 2)).unwrap();
        assert_eq!(decimal_text(&new, 0), shown);
    }
    let new = convert(Float32Array::from(vec![0.1]), &DataType::Decimal128(10, 2)).unwrap();
    assert_eq!(decimal_text(&new, 0), "0.10");
    assert_eq!(
        refusal(double(0.125), &DataType::Decimal128(10, 2)),
        "value 0.125 has more digits after the point than decimal(10,2) holds"
    );
    for value in [-0.0, f64::NAN, 1e300] {
        refusal(double(value), &DataType::Decimal128(38, 0));
    }
}

#[test]
fn decimal_edges() {
    let most = 10i128.pow(38) - 1;
    assert_eq!(
        refusal(decimals(370, 10, 2), &DataType::Int64),
        "value 3.70 has a fraction, which long cannot hold"
    );
    assert_eq!(
        refusal(decimals(most, 38, 0), &DataType::Int64),
        format!("value {most} is outside the range of long")
    );
    assert_eq!(
        refusal(decimals(100_000, 10, 2), &DataType::Decimal128(5, 2)),
        "value 1000.00 has more digits than decimal(5,2) holds"
    );
    assert!(convert(decimals(-99_999, 10, 2), &DataType::Decimal128(5, 2)).is_ok());
    refusal(decimals(-100_000, 10, 2), &DataType::Decimal128(5, 2));
    // A scale below zero, as PostgreSQL 15 allows it.
    let new = convert(decimals(12, 5, -2), &DataType::Int64).unwrap();
    assert_eq!(integer_at(&new, 0), 1200);
    let new = convert(decimals(12, 5, -2), &DataType::Float64).unwrap();
    assert_eq!(new.as_primitive::<Float64Type>().value(0).to_bits(), 1200f64.to_bits());
    // Zero fits whatever the scales are.
    let zero = Decimal256Array::from(vec![i256::ZERO]).with_precision_and_scale(76, 76).unwrap();
    assert!(convert(zero, &DataType::Decimal128(1, 0)).is_ok());
    let tiny = Decimal256Array::from(vec![i256::ONE]).with_precision_and_scale(76, 76).unwrap();
    refusal(tiny.clone(), &DataType::Decimal128(38, 38));
    let new = convert(tiny, &DataType::Float64).unwrap();
    assert_eq!(new.as_primitive::<Float64Type>().value(0).to_bits(), 1e-76f64.to_bits());
    for digits in ["9".repeat(76), format!("-{}", "9".repeat(76))] {
        let new = convert(text(&digits), &DataType::Decimal256(76, 0)).unwrap();
        assert_eq!(decimal_text(&new, 0), digits);
        refusal(text(&format!("{digits}0")), &DataType::Decimal256(76, 0));
        refusal(text(&digits), &DataType::Float64);
    }
}

#[test]
fn texts_that_are_numbers() {
    for (written, value) in [
        ("7", 7),
        ("+7", 7),
        ("007", 7),
        ("7.00", 7),
        ("7e0", 7),
        ("0.7E+1", 7),
        ("-0", 0),
        ("70e-1", 7),
    ] {
        let new = convert(text(written), &DataType::Int64).unwrap();
        assert_eq!(integer_at(&new, 0), value, "{written}");
    }
    for bad in [
        "", " 7", "7 ", "7x", "0x7", "1,000", "1_000", "--7", "+", ".", "e5", "1e", "1e+", "7e0.0",
        "٧", "1.2.3", "7\n", "$7",
    ] {
        for target in [DataType::Int64, DataType::Float64, DataType::Decimal128(10, 2)] {
            assert!(refusal(text(bad), &target).contains("does not read as"), "{bad:?}");
        }
    }
    for (written, target, part) in [
        ("7.5", DataType::Int64, "has a fraction, which long"),
        ("9223372036854775808", DataType::Int64, "is outside the range of long"),
        ("1e999999999999999999999", DataType::Int64, "is outside the range of long"),
        ("1e-999999999999999999999", DataType::Int64, "has a fraction"),
        ("NaN", DataType::Decimal128(10, 2), "is not a number that decimal(10,2) can hold"),
        ("-Infinity", DataType::Int64, "is not a number that long can hold"),
        ("1e400", DataType::Float64, "is outside the range of double"),
        ("1e-400", DataType::Float64, "cannot be held exactly by double"),
        ("0.10000000000000001", DataType::Float64, "cannot be held exactly by double"),
        ("9007199254740993", DataType::Float64, "cannot be held exactly by double"),
        ("0.123456789", DataType::Float32, "cannot be held exactly by float"),
        ("-nan", DataType::Float64, "does not read as double"),
        ("1.005", DataType::Decimal128(10, 2), "has more digits after the point"),
        ("123456789.1", DataType::Decimal128(10, 2), "has more digits than decimal(10,2)"),
        ("true", DataType::Int32, "does not read as int"),
    ] {
        let said = refusal(text(written), &target);
        assert!(said.contains(part), "{said}");
    }
    for (written, value) in [
        ("0.1", 0.1),
        ("0.100", 0.1),
        (".5", 0.5),
        ("1e23", 1e23),
        ("5e-324", 5e-324),
        ("-0", -0.0),
        ("-0.0", -0.0),
        ("Infinity", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("9223372036854775808", 9_223_372_036_854_775_808.0),
        ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
    ] {
        let new = convert(text(written), &DataType::Float64).unwrap();
        let new = new.as_primitive::<Float64Type>().value(0);
        assert_eq!(new.to_bits(), f64::to_bits(value), "{written}");
    }
    let new = convert(text("NaN"), &DataType::Float32).unwrap();
    assert!(new.as_primitive::<Float32Type>().value(0).is_nan());
}

#[test]
fn texts_that_are_truth_values() {
    for (written, value) in
        [("true", true), ("F", false), ("1", true), ("No", false), ("OFF", false)]
    {
        let new = convert(text(written), &DataType::Boolean).unwrap();
        assert_eq!(new.as_boolean().value(0), value);
    }
    for bad in ["", "2", " true", "tru", "null", "ja"] {
        assert!(refusal(text(bad), &DataType::Boolean).contains("which is written true or false"));
    }
}

#[test]
fn texts_that_are_dates() {
    for (written, days) in [
        ("1970-01-02", 1),
        ("2000-02-29", 11_016),
        ("0001-01-01", -719_162),
        ("10000-01-01", 2_932_897),
    ] {
        let new = convert(text(written), &DataType::Date32).unwrap();
        assert_eq!(new.as_primitive::<Date32Type>().value(0), days);
    }
    for (bad, part) in [
        ("2023-02-29", "names a day or time that does not exist"),
        ("1900-02-29", "does not exist"),
        ("0000-00-00", "does not exist"),
        ("2023-13-01", "does not exist"),
        ("2023-04-31", "does not exist"),
        ("9999999-01-01", "is outside the range of date"),
        ("2023-1-01", "does not read as date, which is written YYYY-MM-DD"),
        ("02023-01-01", "does not read"),
        ("-2023-01-01", "does not read"),
        ("0044-03-15 BC", "does not read"),
        ("infinity", "does not read"),
        ("2023-01-01 00:00:00", "does not read"),
        ("20230101", "does not read"),
        ("+023-01-01", "does not read"),
        ("", "does not read"),
    ] {
        let said = refusal(text(bad), &DataType::Date32);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn texts_that_are_times() {
    for (written, micros) in [
        ("00:00", 0),
        ("23:59:59.999999", 86_399_999_999),
        ("01:02:03.5", 3_723_500_000),
        ("01:02:03.500000000", 3_723_500_000),
    ] {
        let new = convert(text(written), &TIME).unwrap();
        assert_eq!(new.as_primitive::<Time64MicrosecondType>().value(0), micros);
    }
    for (bad, part) in [
        ("24:00:00", "does not exist"),
        ("12:60:00", "does not exist"),
        ("12:00:60", "does not exist"),
        ("12:00:00.1234567", "cannot be held exactly by time"),
        ("12:00.5", "does not read"),
        ("12:00:00.", "does not read"),
        ("1:00:00", "does not read"),
        ("12:00:00+02", "does not read"),
        ("-01:00:00", "does not read"),
        ("838:59:59", "does not read"),
        ("12", "does not read"),
        ("12:00:00:00", "does not read"),
    ] {
        let said = refusal(text(bad), &TIME);
        assert!(said.contains(part), "{said}");
    }
    for (bad, part) in [
        ("2023-01-01", "does not read as timestamp, which is written YYYY-MM-DD HH:MM:SS"),
        ("2023-01-01 12:00:00Z", "does not read"),
        ("2023-01-01 12:00:00+00", "does not read"),
        ("2023-01-01  12:00:00", "does not read"),
        ("300000-01-01 00:00:00", "is outside the range of timestamp"),
    ] {
        let said = refusal(text(bad), &TIMESTAMP);
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(
        refusal(TimestampMicrosecondArray::from(vec![-1]), &DataType::Date32),
        "value 1969-12-31 23:59:59.999999 has a time of day, which date cannot hold"
    );
    assert_eq!(
        refusal(Date32Array::from(vec![i32::MAX]), &TIMESTAMP),
        "value 5881580-07-11 is outside the range of timestamp"
    );
}

#[test]
fn long_values_are_cut_in_messages() {
    let said = refusal(text(&"é".repeat(500)), &DataType::Int64);
    assert!(said.starts_with(&format!("value \"{}\"… does not read as long", "é".repeat(60))));
    let array = BinaryArray::from_vec(vec![&[0xff, 0xfe][..]]);
    assert_eq!(refusal(array, &DataType::Utf8), "value of 2 bytes is not valid UTF-8");
}
