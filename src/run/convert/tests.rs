//! Every pair of types against an oracle of `i128` and strings.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    PrimitiveArray, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use proptest::prelude::*;
use rsqoop_connector::{ColumnInfo, ColumnKind, ErrorKind, Result};

use super::{Converter, Refused, calendar};
use crate::plan::types::convertible;

mod edges;

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
    let value =
        (any::<i128>(), 0u32..127).prop_map(|(value, bits)| (value % 10i128.pow(38)) >> bits);
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
