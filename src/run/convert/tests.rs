//! Every pair of types against an oracle of `i128` and strings, and the edges by hand.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    Float32Array, Float64Array, Int64Array, PrimitiveArray, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow_array::cast::AsArray;
use arrow_buffer::i256;
use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;
use rsqoop_connector::{ColumnInfo, ColumnKind, ErrorKind, Result};

use super::{Converter, Refused, calendar};
use crate::plan::types::convertible;

const INTEGERS: [DataType; 8] = [
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::UInt8,
    DataType::UInt16,
    DataType::UInt32,
    DataType::UInt64,
];
const TIME: DataType = DataType::Time64(TimeUnit::Microsecond);
const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn column(kind: ColumnKind, data_type: &DataType) -> ColumnInfo {
    ColumnInfo {
        name: "c".to_string(),
        native_type: "native".to_string(),
        native_code: 0,
        kind,
        data_type: data_type.clone(),
        extension: None,
        nullable: true,
    }
}

fn convert(array: impl Array + 'static, target: &DataType) -> Result<ArrayRef, Refused> {
    let array: ArrayRef = Arc::new(array);
    convert_ref(&array, target)
}

fn convert_ref(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, Refused> {
    let converter = Converter::new(&column(ColumnKind::Text, array.data_type()), target).unwrap();
    let new = converter.convert(array)?;
    assert_eq!((new.data_type(), new.len()), (target, array.len()));
    Ok(new)
}

/// What is said of a value that does not fit.
fn refusal(array: impl Array + 'static, target: &DataType) -> String {
    let refused = convert(array, target).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Data);
    refused.error.message().to_string()
}

fn text(value: &str) -> StringArray {
    StringArray::from(vec![value])
}

fn decimals(unscaled: i128, precision: u8, scale: i8) -> Decimal128Array {
    Decimal128Array::from(vec![unscaled]).with_precision_and_scale(precision, scale).unwrap()
}

/// An integer array of any type; `None` when the value does not fit it.
fn integers(data_type: &DataType, value: i128) -> Option<ArrayRef> {
    with_integer!(data_type, T => Some(Arc::new(PrimitiveArray::<T>::from_iter([
        None,
        Some(value.try_into().ok()?),
    ])) as ArrayRef), _ => None)
}

fn integer_at(array: &ArrayRef, row: usize) -> i128 {
    with_integer!(array.data_type(), T => array.as_primitive::<T>().value(row).into(), _ => {
        panic!("no integer array")
    })
}

/// A number without exponent, without zeros that do not count.
fn plain(text: &str) -> String {
    let (negative, unsigned) = super::digits::sign(text);
    let (head, tail) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let (head, tail) = (head.trim_start_matches('0'), tail.trim_end_matches('0'));
    let sign = if negative && !(head.is_empty() && tail.is_empty()) { "-" } else { "" };
    format!("{sign}{head}.{tail}")
}

/// Whether a plain number fits a decimal.
fn fits(plain: &str, precision: usize, scale: usize) -> bool {
    let (head, tail) = plain.trim_start_matches('-').split_once('.').unwrap();
    tail.len() <= scale && head.len() + scale <= precision
}

/// The shortest texts of a float, plain. There are two where the exact value lies in the middle:
/// Rust's own printing takes the larger then, zmij as most databases the even one.
fn shortest<F: std::fmt::Display>(value: F) -> Vec<String> {
    let text = value.to_string();
    let places = text.split_once('.').map_or(0, |(_, tail)| tail.len());
    vec![plain(&text), plain(&format!("{value:.places$}"))]
}

/// Values near the edges of all types, and values of every size.
fn any_integer() -> impl Strategy<Value = i128> {
    let near = (0u32..=66, -2i128..=2, any::<bool>()).prop_map(|(bits, step, negative)| {
        let value = (1i128 << bits) + step;
        if negative { -value } else { value }
    });
    let sized = (any::<i128>(), 0u32..127).prop_map(|(value, bits)| value >> bits);
    prop_oneof![near, sized]
}

fn any_float() -> impl Strategy<Value = f64> {
    let bits = any::<u64>().prop_map(f64::from_bits);
    let whole = (any::<i64>(), 0u32..64).prop_map(|(value, bits)| (value >> bits) as f64);
    let short = (-1_000_000i32..1_000_000, 0usize..12)
        .prop_map(|(value, scale)| format!("{value}e-{scale}").parse().unwrap());
    let single = any::<u32>().prop_map(|bits| f64::from(f32::from_bits(bits)));
    prop_oneof![bits, whole, short, single]
}

fn any_decimal() -> impl Strategy<Value = (i128, i8)> {
    let value = (any::<i128>(), 0u32..127).prop_map(|(value, bits)| (value % 10i128.pow(38)) >> bits);
    let round = (-1_000_000i128..1_000_000, 0u32..30).prop_map(|(value, n)| value * 10i128.pow(n));
    (prop_oneof![value, round], 0i8..=38)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn integers_become_integers_of_the_same_value(value in any_integer()) {
        for source in &INTEGERS {
            let Some(array) = integers(source, value) else { continue };
            for target in &INTEGERS {
                match convert_ref(&array, target) {
                    Ok(new) => {
                        prop_assert!(new.is_null(0) && new.is_valid(1));
                        prop_assert_eq!(integer_at(&new, 1), value);
                    }
                    Err(refused) => {
                        prop_assert!(integers(target, value).is_none());
                        prop_assert_eq!(refused.row, 1);
                    }
                }
            }
        }
    }

    #[test]
    fn integers_become_floats_of_the_same_value(value in any_integer()) {
        for source in &INTEGERS {
            let Some(array) = integers(source, value) else { continue };
            let double = convert_ref(&array, &DataType::Float64);
            let single = convert_ref(&array, &DataType::Float32);
            prop_assert_eq!(double.is_ok(), format!("{:.0}", value as f64) == value.to_string());
            prop_assert_eq!(single.is_ok(), format!("{:.0}", value as f32) == value.to_string());
            if let Ok(double) = double {
                let text = format!("{:.0}", double.as_primitive::<Float64Type>().value(1));
                prop_assert_eq!(text, value.to_string());
                prop_assert_eq!(integer_at(&convert_ref(&double, source).unwrap(), 1), value);
            }
            if let Ok(single) = single {
                prop_assert_eq!(integer_at(&convert_ref(&single, source).unwrap(), 1), value);
            }
        }
    }

    #[test]
    fn integers_become_decimals_and_booleans(value in any_integer(), p in 1u8..=76, s in 0i8..=76) {
        let s = s.min(i8::try_from(p).unwrap());
        let wanted = plain(&value.to_string());
        for source in &INTEGERS {
            let Some(array) = integers(source, value) else { continue };
            let truth = convert_ref(&array, &DataType::Boolean);
            match truth {
                Ok(truth) => prop_assert_eq!(i128::from(truth.as_boolean().value(1)), value),
                Err(_) => prop_assert!(value != 0 && value != 1),
            }
            let target = if p <= 38 { DataType::Decimal128(p, s) } else { DataType::Decimal256(p, s) };
            let fit = fits(&wanted, p.into(), s.unsigned_abs().into());
            match convert_ref(&array, &target) {
                Ok(new) => {
                    prop_assert!(fit);
                    prop_assert_eq!(plain(&decimal_text(&new, 1)), wanted.clone());
                    prop_assert_eq!(integer_at(&convert_ref(&new, source).unwrap(), 1), value);
                }
                Err(_) => prop_assert!(!fit),
            }
        }
    }

    #[test]
    fn decimals_are_rescaled_exactly((value, from) in any_decimal(), p in 1u8..=76, s in 0i8..=76) {
        let s = s.min(i8::try_from(p).unwrap());
        let narrow: ArrayRef = Arc::new(decimals(value, 38, from));
        let wanted = plain(&decimal_text(&narrow, 0));
        let wide = convert_ref(&narrow, &DataType::Decimal256(76, from)).unwrap();
        prop_assert_eq!(plain(&decimal_text(&wide, 0)), wanted.clone());
        let target = if p <= 38 { DataType::Decimal128(p, s) } else { DataType::Decimal256(p, s) };
        for array in [narrow, wide] {
            match convert_ref(&array, &target) {
                Ok(new) => prop_assert_eq!(plain(&decimal_text(&new, 0)), wanted.clone()),
                Err(_) => prop_assert!(!fits(&wanted, p.into(), s.unsigned_abs().into())),
            }
            let integral = wanted.ends_with('.');
            match convert_ref(&array, &DataType::Int64) {
                Ok(new) => prop_assert_eq!(plain(&integer_at(&new, 0).to_string()), wanted.clone()),
                Err(_) => prop_assert!(
                    !integral || wanted.trim_end_matches('.').parse::<i64>().is_err()
                ),
            }
        }
    }

    #[test]
    fn decimals_become_floats_that_show_the_same_digits((value, scale) in any_decimal()) {
        let narrow: ArrayRef = Arc::new(decimals(value, 38, scale));
        let wide = convert_ref(&narrow, &DataType::Decimal256(76, scale)).unwrap();
        let text = decimal_text(&narrow, 0);
        let written: ArrayRef = Arc::new(StringArray::from(vec![text.as_str()]));
        let double: f64 = text.parse().unwrap();
        let single: f32 = text.parse().unwrap();
        let mut doubles = shortest(double);
        doubles.push(plain(&format!("{double:.1100}")));
        let mut singles = shortest(single);
        singles.push(plain(&format!("{single:.200}")));
        for array in [narrow, wide, written] {
            match convert_ref(&array, &DataType::Float64) {
                Ok(new) => {
                    let new = new.as_primitive::<Float64Type>().value(0);
                    prop_assert_eq!(new.to_bits(), double.to_bits());
                    prop_assert!(doubles.contains(&plain(&text)));
                }
                // Of two shortest texts one is refused, or both would become the same float.
                Err(_) => prop_assert!(
                    doubles[0] != doubles[1] || !doubles.contains(&plain(&text))
                ),
            }
            match convert_ref(&array, &DataType::Float32) {
                Ok(new) => {
                    let new = new.as_primitive::<Float32Type>().value(0);
                    prop_assert_eq!(new.to_bits(), single.to_bits());
                    prop_assert!(singles.contains(&plain(&text)));
                }
                Err(_) => prop_assert!(
                    singles[0] != singles[1] || !singles.contains(&plain(&text))
                ),
            }
        }
    }

    #[test]
    fn floats_become_what_they_equal(value in any_float()) {
        let array: ArrayRef = Arc::new(Float64Array::from(vec![value]));
        let negative_zero = value == 0.0 && value.is_sign_negative();
        let shown = format!("{value}");

        match convert_ref(&array, &DataType::Int64) {
            Ok(new) => {
                prop_assert!(!negative_zero);
                prop_assert_eq!(format!("{value:.0}"), integer_at(&new, 0).to_string());
                prop_assert_eq!(value.fract(), 0.0);
            }
            Err(_) => prop_assert!(
                negative_zero || value.fract() != 0.0 || shown.parse::<i64>().is_err()
            ),
        }
        match convert_ref(&array, &DataType::Decimal256(76, 30)) {
            Ok(new) => {
                prop_assert!(!negative_zero);
                prop_assert!(shortest(value).contains(&plain(&decimal_text(&new, 0))));
                let back = convert_ref(&new, &DataType::Float64).unwrap();
                prop_assert_eq!(back.as_primitive::<Float64Type>().value(0).to_bits(), value.to_bits());
            }
            Err(_) => prop_assert!(
                negative_zero || !value.is_finite() || !fits(&plain(&shown), 76, 30)
            ),
        }
        let single: f32 = shown.parse().unwrap();
        let equal = f64::from(single).to_bits() == value.to_bits() || value.is_nan();
        match convert_ref(&array, &DataType::Float32) {
            Ok(new) => {
                prop_assert!(equal);
                let new = new.as_primitive::<Float32Type>().value(0);
                prop_assert!(new.to_bits() == single.to_bits() || value.is_nan() && new.is_nan());
            }
            Err(_) => prop_assert!(!equal),
        }
        let array: ArrayRef = Arc::new(Float32Array::from(vec![single]));
        let wide = convert_ref(&array, &DataType::Float64).unwrap();
        let wide = wide.as_primitive::<Float64Type>().value(0);
        prop_assert!(wide.to_bits() == f64::from(single).to_bits() || single.is_nan());
    }

    #[test]
    fn text_is_read_whole(integer in any_integer(), value in any_float(), noise in "[-+0-9.eE ]{0,9}") {
        let array = convert(text(&integer.to_string()), &DataType::Int64);
        match integer.to_string().parse::<i64>() {
            Ok(integer) => prop_assert_eq!(integer_at(&array.unwrap(), 0), i128::from(integer)),
            Err(_) => prop_assert!(array.is_err()),
        }
        for shown in [format!("{value}"), format!("{value:e}")] {
            let Ok(new) = convert(text(&shown), &DataType::Float64) else {
                let texts = shortest(value);
                prop_assert!(texts[0] != texts[1], "{} is refused", shown);
                continue;
            };
            let new = new.as_primitive::<Float64Type>().value(0);
            prop_assert!(new.to_bits() == value.to_bits() || new.is_nan() && value.is_nan());
        }
        // Whatever is accepted is a number for Rust too, and the same one.
        if let Ok(new) = convert(text(&noise), &DataType::Float64) {
            prop_assert_eq!(new.as_primitive::<Float64Type>().value(0), noise.parse::<f64>().unwrap());
        }
        if let Ok(new) = convert(text(&noise), &DataType::Decimal128(38, 9)) {
            let back = convert(text(&decimal_text(&new, 0)), &DataType::Decimal128(38, 9)).unwrap();
            prop_assert_eq!(new.to_data(), back.to_data());
            prop_assert!(noise.parse::<f64>().is_ok());
        }
    }

    #[test]
    fn noise_never_panics(noise in "\\PC{0,12}") {
        for target in [DataType::Boolean, DataType::Date32, TIME, TIMESTAMP, DataType::Int64] {
            let _ = convert(text(&noise), &target);
        }
    }

    #[test]
    fn timestamps_survive_text(micros in -62_167_219_200_000_000i64..253_402_300_800_000_000) {
        let shown = calendar::timestamp_text(micros);
        let new = convert(text(&shown), &TIMESTAMP).unwrap();
        prop_assert_eq!(new.as_primitive::<TimestampMicrosecondType>().value(0), micros);
        let (date, time) = shown.split_once(' ').unwrap();
        let new = convert(text(&format!("{date}T{time}")), &TIMESTAMP).unwrap();
        prop_assert_eq!(new.as_primitive::<TimestampMicrosecondType>().value(0), micros);
        let new = convert(text(time), &TIME).unwrap();
        let of_day = micros.rem_euclid(86_400_000_000);
        prop_assert_eq!(new.as_primitive::<Time64MicrosecondType>().value(0), of_day);
        let day = convert(TimestampMicrosecondArray::from(vec![micros]), &DataType::Date32);
        prop_assert_eq!(day.is_ok(), of_day == 0);
    }

    #[test]
    fn dates_and_midnights_are_the_same(days in any::<i32>()) {
        let new = convert(Date32Array::from(vec![days]), &TIMESTAMP);
        let midnight = i64::from(days).checked_mul(86_400_000_000);
        prop_assert_eq!(new.is_ok(), midnight.is_some());
        if let Ok(new) = new {
            let back = convert_ref(&new, &DataType::Date32).unwrap();
            prop_assert_eq!(back.as_primitive::<Date32Type>().value(0), days);
        }
        if days > -719_528 {
            let back = convert(text(&calendar::date_text(days.into())), &DataType::Date32).unwrap();
            prop_assert_eq!(back.as_primitive::<Date32Type>().value(0), days);
        }
    }

    #[test]
    fn bytes_are_text_where_they_are_utf8(bytes in prop::collection::vec(any::<u8>(), 0..6)) {
        let array = BinaryArray::from_opt_vec(vec![None, Some(&bytes), Some(b"x")]);
        match convert(array, &DataType::Utf8) {
            Ok(new) => {
                prop_assert!(new.is_null(0));
                prop_assert_eq!(new.as_string::<i32>().value(1).as_bytes(), &bytes[..]);
                let back = convert_ref(&new, &DataType::Binary).unwrap();
                prop_assert_eq!(back.as_binary::<i32>().value(1), &bytes[..]);
            }
            Err(refused) => {
                prop_assert_eq!(refused.row, 1);
                prop_assert!(String::from_utf8(bytes).is_err());
            }
        }
    }
}

fn decimal_text(array: &ArrayRef, row: usize) -> String {
    match array.data_type() {
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        _ => array.as_primitive::<Decimal256Type>().value_as_string(row),
    }
}

#[test]
fn the_calendar_counts_every_day() {
    let mut days = -719_528;
    for year in 0..=9999 {
        let leap = (year % 4 == 0) != (year % 100 == 0) || year % 400 == 0;
        for (month, length) in
            [31, 28 + i32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].iter().enumerate()
        {
            for day in 1..=*length {
                let text = format!("{year:04}-{:02}-{day:02}", month + 1);
                assert_eq!(calendar::parse_date(&text), Ok(days), "{text}");
                assert_eq!(calendar::date_text(days.into()), text);
                days += 1;
            }
        }
    }
    assert_eq!(calendar::parse_date("1970-01-01"), Ok(0));
}

#[test]
fn pairs_are_those_that_the_plan_offers() {
    let mut types = INTEGERS.to_vec();
    types.extend([
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(10, 2),
        DataType::Decimal256(50, 2),
        DataType::Boolean,
        DataType::Date32,
        TIME,
        TIMESTAMP,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Utf8,
        DataType::Binary,
        DataType::FixedSizeBinary(16),
    ]);
    for source in &types {
        for target in types.iter().filter(|target| *target != source) {
            let column = column(ColumnKind::Text, source);
            let found = Converter::new(&column, target);
            assert_eq!(found.is_ok(), convertible(&column, target), "{source} to {target}");
        }
    }
    let nowhere = Converter::new(&column(ColumnKind::Time, &TIME), &DataType::Int64);
    assert_eq!(nowhere.err().unwrap().kind(), ErrorKind::Bug);
}

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
        (9_223_372_036_854_775_808.0, "value 9.223372036854776e18 is outside the range of long"),
        (1e300, "value 1e300 is outside the range of long"),
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
    for inexact in [0.1, f64::MAX, f64::MIN_POSITIVE, 16_777_217.0, f64::from(f32::from_bits(1)) / 2.0] {
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
    for (written, value) in
        [("7", 7), ("+7", 7), ("007", 7), ("7.00", 7), ("7e0", 7), ("0.7E+1", 7), ("-0", 0), ("70e-1", 7)]
    {
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
    for (written, value) in [("true", true), ("F", false), ("1", true), ("No", false), ("OFF", false)] {
        let new = convert(text(written), &DataType::Boolean).unwrap();
        assert_eq!(new.as_boolean().value(0), value);
    }
    for bad in ["", "2", " true", "tru", "null", "ja"] {
        assert!(refusal(text(bad), &DataType::Boolean).contains("which is written true or false"));
    }
}

#[test]
fn texts_that_are_dates_and_times() {
    for (written, days) in
        [("1970-01-02", 1), ("2000-02-29", 11_016), ("0001-01-01", -719_162), ("10000-01-01", 2_932_897)]
    {
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
