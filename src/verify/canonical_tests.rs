use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, Float64Array, Int32Array, ListArray,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use proptest::prelude::*;

use super::*;

fn texts(canon: &Canon, array: &dyn Array) -> Vec<Option<Vec<u8>>> {
    let mut all = Vec::new();
    for_each(canon, array, &mut |_, text| all.push(text.map(<[u8]>::to_vec))).unwrap();
    all
}

fn one(canon: &Canon, array: &dyn Array) -> String {
    String::from_utf8(texts(canon, array)[0].clone().unwrap()).unwrap()
}

fn field(canon: &Canon, file: &DataType, text: &str) -> String {
    let mut out = Vec::new();
    from_field(canon, file, text.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn texts_are_those_of_the_table() {
    let decimal = |unscaled: i128, scale| {
        let array = Decimal128Array::from(vec![unscaled]);
        one(&Canon::Decimal { scale }, &array.with_precision_and_scale(20, scale).unwrap())
    };
    assert_eq!(decimal(-5, 2), "-0.05");
    assert_eq!(decimal(0, 3), "0.000");
    assert_eq!(decimal(1234, 2), "12.34");
    assert_eq!(decimal(7, 0), "7");
    let date = |days: i32| one(&Canon::Date, &Date32Array::from(vec![days]));
    assert_eq!(date(0), "1970-01-01");
    assert_eq!(date(-719_528), "0001-01-01 BC");
    assert_eq!(date(2_932_897), "10000-01-01");
    let time = |micros: i64| one(&Canon::Time, &Time64MicrosecondArray::from(vec![micros]));
    assert_eq!(time(86_400_000_000), "24:00:00");
    assert_eq!(time(10_500_000), "00:00:10.5");
    let timestamp =
        |micros: i64| one(&Canon::Timestamp, &TimestampMicrosecondArray::from(vec![micros]));
    assert_eq!(timestamp(-1), "1969-12-31 23:59:59.999999");
    assert_eq!(timestamp(-62_135_683_200_000_000), "0001-12-31 00:00:00 BC");
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(10), None])]);
    assert_eq!(one(&Canon::List(Box::new(Canon::Integer)), &list), "2:10,-");
    let empty = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![])]);
    assert_eq!(one(&Canon::List(Box::new(Canon::Integer)), &empty), "");
    let nan = f64::from_bits(0xfff8_0000_0000_0001);
    assert_eq!(
        texts(&Canon::Float, &Float64Array::from(vec![nan]))[0].as_deref(),
        Some(&[0x7f, 0xf8, 0, 0, 0, 0, 0, 0][..])
    );
}

#[test]
fn fields_of_text_files_have_the_same_texts() {
    let utf8 = DataType::Utf8;
    assert_eq!(field(&Canon::Boolean, &DataType::Boolean, "true"), "1");
    assert_eq!(field(&Canon::Date, &utf8, "0000-01-02"), "0001-01-02 BC");
    assert_eq!(field(&Canon::Date, &utf8, "-0043-03-15"), "0044-03-15 BC");
    assert_eq!(field(&Canon::Date, &utf8, "12020-03-15"), "12020-03-15");
    assert_eq!(field(&Canon::Timestamp, &utf8, "2020-01-01 00:00:00.0"), "2020-01-01 00:00:00");
    assert_eq!(
        field(&Canon::Timestamp, &utf8, "-0001-01-01 00:00:00.5"),
        "0002-01-01 00:00:00.5 BC"
    );
    assert_eq!(field(&Canon::Bytes, &DataType::Binary, "61 0a"), "a\n");
    assert_eq!(field(&Canon::Bytes, &DataType::Binary, ""), "");
    for wrong in ["6", "61 ", "61  0a", "6A", "zz"] {
        assert_ne!(field(&Canon::Bytes, &DataType::Binary, wrong), "");
        assert!(field(&Canon::Bytes, &DataType::Binary, wrong).starts_with("no bytes"));
    }
}

#[test]
fn types_that_a_column_is_not_written_in_are_refused() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    let number: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"1"]));
    let refused =
        |canon: &Canon, array: &ArrayRef| for_each(canon, &**array, &mut |_, _| {}).is_err();
    assert!(refused(&Canon::Integer, &text));
    assert!(refused(&Canon::Date, &number));
    assert!(refused(&Canon::Text, &number));
    assert!(refused(&Canon::Decimal { scale: 2 }, &number));
    assert!(!refused(&Canon::Decimal { scale: 0 }, &number));
    assert!(!refused(&Canon::Bytes, &text));
    assert!(!refused(&Canon::Text, &bytes));
    assert!(refused(&Canon::Uuid, &bytes));
}

proptest! {
    #[test]
    fn a_double_has_one_text_in_both_formats(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        let mut from_text = Vec::new();
        from_field(&Canon::Float, &DataType::Float64, format!("{value:e}").as_bytes(), &mut from_text);
        let array = Float64Array::from(vec![value]);
        prop_assert_eq!(texts(&Canon::Float, &array)[0].clone(), Some(from_text.clone()));
        prop_assert_eq!(shown(&Canon::Float, Some(&from_text)).parse::<f64>().unwrap().is_nan(), value.is_nan());
    }

    #[test]
    fn every_day_has_a_text_of_its_own(days in -2_500_000..3_000_000_i32, other in -2_500_000..3_000_000_i32) {
        let text = |days| one(&Canon::Date, &Date32Array::from(vec![days]));
        prop_assert_eq!(text(days) == text(other), days == other);
    }

    #[test]
    fn every_instant_has_a_text_of_its_own(a in any::<i64>(), step in 0..2_i64) {
        let text = |micros| one(&Canon::Timestamp, &TimestampMicrosecondArray::from(vec![micros]));
        let b = a.wrapping_add(step);
        prop_assert_eq!(text(a) == text(b), a == b);
    }

    #[test]
    fn decimals_read_back(unscaled in any::<i64>(), scale in 0..=18_i8) {
        let array = Decimal128Array::from(vec![i128::from(unscaled)]).with_precision_and_scale(38, scale).unwrap();
        let text = one(&Canon::Decimal { scale }, &array);
        prop_assert_eq!(text.replace('.', "").parse::<i128>().unwrap(), i128::from(unscaled));
        let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        prop_assert_eq!(places, usize::try_from(scale).unwrap());
    }

    #[test]
    fn bytes_read_back(bytes: Vec<u8>) {
        let text: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
        prop_assert_eq!(from_hex(text.join(" ").as_bytes()), Some(bytes));
    }
}
