//! Byte-for-byte tables: each rule of Sqoop's text format with the text it must give.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_buffer::i256;
use arrow_schema::extension::Uuid;
use arrow_schema::{DataType, Field, Schema};

use super::*;
use crate::job::{HiveDelims, TextCodec};

#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) type TestColumn = (ColumnKind, ArrayRef);

/// Writes one batch; the file's text.
pub(super) fn file(options: &TextFormat, columns: &[TestColumn]) -> String {
    let fields: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(n, (_, array))| Field::new(format!("c{n}"), array.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let kinds: Vec<_> = columns.iter().map(|(kind, _)| *kind).collect();
    let shared = Shared::default();
    let mut writer =
        text_writer(schema.clone(), &kinds, options, Box::new(shared.clone())).unwrap();
    let arrays: Vec<_> = columns.iter().map(|(_, array)| array.clone()).collect();
    let batch = RecordBatch::try_new(schema, arrays).unwrap();
    writer.write(&batch).unwrap();
    let finished = writer.finish().unwrap();
    let bytes = shared.0.lock().unwrap().clone();
    assert_eq!(finished, Finished { rows: batch.num_rows() as u64, bytes: bytes.len() as u64 });
    String::from_utf8(bytes).unwrap()
}

pub(super) fn texts(values: &[Option<&str>]) -> TestColumn {
    (ColumnKind::Text, Arc::new(StringArray::from(values.to_vec())))
}

fn one_text(options: &TextFormat, value: Option<&str>) -> String {
    let text = file(options, &[texts(&[value])]);
    text.strip_suffix(options.record_delimiter).expect("the record ends").to_string()
}

/// The lines of one column in the default format.
fn lines(kind: ColumnKind, array: impl Array + 'static) -> Vec<String> {
    lines_of(&TextFormat::default(), kind, array)
}

fn lines_of(options: &TextFormat, kind: ColumnKind, array: impl Array + 'static) -> Vec<String> {
    file(options, &[(kind, Arc::new(array))]).lines().map(str::to_string).collect()
}

fn escaped() -> TextFormat {
    TextFormat { escaped_by: Some('\\'), ..TextFormat::default() }
}

fn enclosed(all: bool, escape: Option<char>) -> TextFormat {
    TextFormat {
        enclosed_by: Some('"'),
        enclose_all: all,
        escaped_by: escape,
        ..TextFormat::default()
    }
}

#[test]
fn without_enclosing_and_escaping_everything_is_raw() {
    let options = TextFormat::default();
    for text in ["", "a", "a,b", "a\nb", "\\", "\"", "null"] {
        assert_eq!(one_text(&options, Some(text)), text);
    }
    assert_eq!(
        file(&options, &[texts(&[Some("a"), None]), texts(&[Some(""), Some("b")])]),
        "a,\nnull,b\n"
    );
}

#[test]
fn escape_only() {
    for (text, expected) in [
        ("", ""),
        ("plain", "plain"),
        ("a,b", r"a\,b"),
        (",,", r"\,\,"),
        ("a\nb", "a\\\nb"),
        (r"\", r"\\"),
        (r"\,", r"\\\,"),
        (r"\N", r"\\N"),
        ("\r", "\r"),
        ("\"", "\""),
    ] {
        assert_eq!(one_text(&escaped(), Some(text)), expected, "{text:?}");
    }
}

#[test]
fn optional_enclosing_looks_at_delimiters_only() {
    for (text, without_escape, with_escape) in [
        ("", "", ""),
        ("plain", "plain", "plain"),
        ("a,b", "\"a,b\"", "\"a,b\""),
        ("a\nb", "\"a\nb\"", "\"a\nb\""),
        ("\"a", "\"a", "\\\"a"),
        ("a\"b,c", "\"a\"b,c\"", "\"a\\\"b,c\""),
        (r"\", r"\", r"\\"),
        (r"\,", "\"\\,\"", "\"\\\\,\""),
    ] {
        assert_eq!(one_text(&enclosed(false, None), Some(text)), without_escape, "{text:?}");
        assert_eq!(one_text(&enclosed(false, Some('\\')), Some(text)), with_escape, "{text:?}");
    }
}

#[test]
fn mandatory_enclosing() {
    for (text, without_escape, with_escape) in [
        ("", "\"\"", "\"\""),
        ("a", "\"a\"", "\"a\""),
        ("a,b\n", "\"a,b\n\"", "\"a,b\n\""),
        ("\"", "\"\"\"", "\"\\\"\""),
        (r"\", "\"\\\"", "\"\\\\\""),
    ] {
        assert_eq!(one_text(&enclosed(true, None), Some(text)), without_escape, "{text:?}");
        assert_eq!(one_text(&enclosed(true, Some('\\')), Some(text)), with_escape, "{text:?}");
    }
    let number = Int32Array::from(vec![Some(-7), None]);
    assert_eq!(
        lines_of(&enclosed(true, None), ColumnKind::Integer, number),
        ["\"-7\"", "\"null\""]
    );
}

#[test]
fn numbers_and_times_go_through_the_formatter_too() {
    let mut options = escaped();
    options.field_delimiter = '-';
    assert_eq!(lines_of(&options, ColumnKind::Integer, Int64Array::from(vec![-12])), [r"\-12"]);
    assert_eq!(lines_of(&options, ColumnKind::Date, Date32Array::from(vec![0])), [r"1970\-01\-01"]);
    options.field_delimiter = '1';
    assert_eq!(lines_of(&options, ColumnKind::Integer, UInt64Array::from(vec![121])), [r"\12\1"]);
    options.field_delimiter = 'E';
    assert_eq!(lines_of(&options, ColumnKind::Float, Float64Array::from(vec![1e10])), [r"1.0\E10"]);
    options.field_delimiter = ' ';
    let bytes = BinaryArray::from_vec(vec![b"\x01\xff"]);
    assert_eq!(lines_of(&options, ColumnKind::Bytes, bytes.clone()), [r"01\ ff"]);
    let mut options = enclosed(false, None);
    options.field_delimiter = ' ';
    assert_eq!(lines_of(&options, ColumnKind::Bytes, bytes), ["\"01 ff\""]);
    options.field_delimiter = 't';
    let flags = BooleanArray::from(vec![true, false]);
    assert_eq!(lines_of(&options, ColumnKind::Boolean, flags), ["\"true\"", "false"]);
}

#[test]
fn delimiters_beyond_ascii() {
    // § is C2 A7 and © is C2 A9: the same first byte.
    let options = TextFormat { field_delimiter: '§', ..escaped() };
    assert_eq!(one_text(&options, Some("©§©")), r"©\§©");
    let options = TextFormat { enclosed_by: Some('«'), escaped_by: Some('©'), ..options };
    assert_eq!(one_text(&options, Some("a§©«")), "«a§©©©««");
    let options = TextFormat { enclose_all: true, ..options };
    let number = Int32Array::from(vec![5]);
    assert_eq!(lines_of(&options, ColumnKind::Integer, number), ["«5«"]);
}

#[test]
fn null_tokens_are_enclosed_as_in_sqoop_but_never_escaped() {
    let hive = TextFormat {
        null_string: r"\N".to_string(),
        null_non_string: r"\X".to_string(),
        ..escaped()
    };
    let both = |options: &TextFormat| {
        let number = Arc::new(PrimitiveArray::<Int32Type>::from(vec![None]));
        file(options, &[texts(&[None]), (ColumnKind::Integer, number)])
    };
    assert_eq!(both(&hive), "\\N,\\X\n");
    assert_eq!(both(&TextFormat { sqoop_compat: true, ..hive.clone() }), "\\\\N,\\\\X\n");
    let all = TextFormat { enclosed_by: Some('"'), enclose_all: true, ..hive.clone() };
    assert_eq!(both(&all), "\"\\N\",\"\\X\"\n");
    assert_eq!(both(&TextFormat { sqoop_compat: true, ..all }), "\"\\\\N\",\"\\\\X\"\n");
    let optional = TextFormat { enclosed_by: Some('"'), ..hive };
    assert_eq!(both(&optional), "\\N,\\X\n");
    let odd = TextFormat { null_string: "a,\"b".to_string(), ..optional };
    assert_eq!(both(&odd), "\"a,\"b\",\\X\n");
}

#[test]
fn the_null_token_is_chosen_by_the_columns_kind() {
    let options = TextFormat {
        null_string: "S".to_string(),
        null_non_string: "N".to_string(),
        ..TextFormat::default()
    };
    for (kind, expected) in [
        (ColumnKind::Text, "S"),
        (ColumnKind::Json, "S"),
        (ColumnKind::Other, "S"),
        (ColumnKind::Decimal, "N"),
        (ColumnKind::Timestamp, "N"),
        (ColumnKind::Bytes, "N"),
    ] {
        let array = StringArray::from(vec![None::<&str>]);
        assert_eq!(lines_of(&options, kind, array), [expected], "{kind:?}");
    }
}

#[test]
fn hive_delimiters_are_dropped_or_replaced_before_escaping() {
    let with = |delims: HiveDelims, base: TextFormat| TextFormat { hive_delims: delims, ..base };
    let text = Some("a\r\nb\x01c\td");
    let drop = with(HiveDelims::Drop, TextFormat::default());
    assert_eq!(one_text(&drop, text), "abc\td");
    let replace = with(HiveDelims::Replace("$1\\,".to_string()), TextFormat::default());
    assert_eq!(one_text(&replace, text), "a$1\\,$1\\,b$1\\,c\td");
    let replace = with(HiveDelims::Replace(",".to_string()), escaped());
    assert_eq!(one_text(&replace, text), "a\\,\\,b\\,c\td");
    let replace = with(HiveDelims::Replace(",".to_string()), enclosed(false, None));
    assert_eq!(one_text(&replace, Some("a\nb")), "\"a,b\"");
    let drop = with(HiveDelims::Drop, enclosed(false, None));
    assert_eq!(one_text(&drop, Some("a\nb")), "ab");
    // Only columns of a character type, and not the NULL token.
    let drop = TextFormat { null_string: "\x01".to_string(), ..drop };
    let number = (ColumnKind::Decimal, Arc::new(StringArray::from(vec!["1\x01"])) as ArrayRef);
    assert_eq!(file(&drop, &[texts(&[None]), number]), "\x01,1\x01\n");
}

#[test]
fn every_record_ends_with_the_record_delimiter() {
    let options = TextFormat { record_delimiter: '\u{1}', ..TextFormat::default() };
    assert_eq!(file(&options, &[texts(&[Some("a"), Some("b")])]), "a\u{1}b\u{1}");
    assert_eq!(file(&options, &[texts(&[])]), "");
}

#[test]
fn integers_and_booleans() {
    let kind = ColumnKind::Integer;
    assert_eq!(lines(kind, Int8Array::from(vec![i8::MIN, 0, i8::MAX])), ["-128", "0", "127"]);
    assert_eq!(lines(kind, Int16Array::from(vec![i16::MIN])), ["-32768"]);
    assert_eq!(lines(kind, Int32Array::from(vec![i32::MIN])), ["-2147483648"]);
    assert_eq!(lines(kind, Int64Array::from(vec![i64::MIN])), ["-9223372036854775808"]);
    assert_eq!(lines(kind, UInt8Array::from(vec![u8::MAX])), ["255"]);
    assert_eq!(lines(kind, UInt16Array::from(vec![u16::MAX])), ["65535"]);
    assert_eq!(lines(kind, UInt32Array::from(vec![u32::MAX])), ["4294967295"]);
    assert_eq!(lines(kind, UInt64Array::from(vec![u64::MAX])), ["18446744073709551615"]);
    let flags = BooleanArray::from(vec![Some(true), Some(false), None]);
    assert_eq!(lines(ColumnKind::Boolean, flags), ["true", "false", "null"]);
}

/// Texts from the JDK's documentation and tests (JDK 19 and later).
#[test]
fn floats_as_java_writes_them() {
    for (value, expected) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (100.0, "100.0"),
        (256.0, "256.0"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (0.001, "0.001"),
        (0.002, "0.002"),
        (9.999e-4, "9.999E-4"),
        (1e-4, "1.0E-4"),
        (1e-5, "1.0E-5"),
        (-1.25e-7, "-1.25E-7"),
        (1_234_567.0, "1234567.0"),
        (9_999_999.0, "9999999.0"),
        (9_999_999.999_999_998, "9999999.999999998"),
        (1e7, "1.0E7"),
        (12_345_678.9, "1.23456789E7"),
        (1e10, "1.0E10"),
        (1e21, "1.0E21"),
        (1e22, "1.0E22"),
        (1e23, "1.0E23"),
        (2e23, "2.0E23"),
        (8.41e21, "8.41E21"),
        (9_007_199_254_740_993.0, "9.007199254740992E15"),
        (f64::MAX, "1.7976931348623157E308"),
        (f64::MIN, "-1.7976931348623157E308"),
        (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
        (5e-324, "4.9E-324"),
        (1e-323, "9.9E-324"),
        (1.5e-323, "1.5E-323"),
        (f64::NAN, "NaN"),
        (-f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        let array = Float64Array::from(vec![value]);
        assert_eq!(lines(ColumnKind::Float, array), [expected]);
    }
    for (value, expected) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (0.001, "0.001"),
        (9.999e-4, "9.999E-4"),
        (9_999_999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (1e10, "1.0E10"),
        (16_777_216.0, "1.6777216E7"),
        (1.342_178e8, "1.342178E8"),
        (f32::MAX, "3.4028235E38"),
        (f32::MIN_POSITIVE, "1.1754944E-38"),
        (1e-45, "1.4E-45"),
        (3e-45, "2.8E-45"),
        (-f32::INFINITY, "-Infinity"),
        (f32::NAN, "NaN"),
    ] {
        let array = Float32Array::from(vec![value]);
        assert_eq!(lines(ColumnKind::Float, array), [expected]);
    }
}

fn decimals(values: Vec<i128>, precision: u8, scale: i8) -> Vec<String> {
    let array = Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap();
    lines(ColumnKind::Decimal, array)
}

#[test]
fn decimals_keep_their_scale() {
    assert_eq!(
        decimals(vec![100, -100, 0, 5, -5, 12345], 10, 2),
        ["1.00", "-1.00", "0.00", "0.05", "-0.05", "123.45"]
    );
    assert_eq!(decimals(vec![1, -12], 10, 7), ["0.0000001", "-0.0000012"]);
    assert_eq!(decimals(vec![7, 0], 5, 0), ["7", "0"]);
    assert_eq!(decimals(vec![7, 0, -3], 5, -3), ["7000", "0", "-3000"]);
    let nines = 10_i128.pow(38) - 1;
    assert_eq!(
        decimals(vec![nines, -nines, 1], 38, 38),
        [
            format!("0.{}", "9".repeat(38)),
            format!("-0.{}", "9".repeat(38)),
            format!("0.{}1", "0".repeat(37)),
        ]
    );
    assert_eq!(decimals(vec![nines], 38, 10), [format!("{}.{}", "9".repeat(28), "9".repeat(10))]);
}

#[test]
fn decimals_of_76_digits() {
    let nines = "9".repeat(76);
    let half = format!("1{}", "0".repeat(38));
    let plus_one = format!("1{}1", "0".repeat(37));
    let texts = [nines.as_str(), &half, &plus_one, "-1", "0"];
    let values: Vec<_> = texts.iter().map(|text| i256::from_string(text).unwrap()).collect();
    let negative = values.iter().map(|value| value.wrapping_neg()).collect::<Vec<_>>();
    for (scale, values, sign) in [(0, &values, ""), (0, &negative, "-")] {
        let array = Decimal256Array::from(values.clone()).with_precision_and_scale(76, scale);
        let lines = lines(ColumnKind::Decimal, array.unwrap());
        assert_eq!(lines[0], format!("{sign}{nines}"));
        assert_eq!(lines[1], format!("{sign}{half}"));
        assert_eq!(lines[2], format!("{sign}{plus_one}"));
        assert_eq!(lines[4], "0");
    }
    let array = Decimal256Array::from(values).with_precision_and_scale(76, 76).unwrap();
    let lines = lines(ColumnKind::Decimal, array);
    assert_eq!(lines[0], format!("0.{nines}"));
    assert_eq!(lines[1], format!("0.{}1{}", "0".repeat(37), "0".repeat(38)));
    assert_eq!(lines[3], format!("-0.{}1", "0".repeat(75)));
    let mut out = Vec::new();
    values::decimal256(&mut out, i256::MIN, 1);
    let digits = i256::MIN.to_string();
    let (whole, last) = digits.split_at(digits.len() - 1);
    assert_eq!(String::from_utf8(out).unwrap(), format!("{whole}.{last}"));
}

#[test]
fn dates() {
    for (days, expected) in [
        (0, "1970-01-01"),
        (-1, "1969-12-31"),
        (11_016, "2000-02-29"),
        (19_782, "2024-02-29"),
        (2_932_896, "9999-12-31"),
        (2_932_897, "10000-01-01"),
        (-719_162, "0001-01-01"),
        (-719_163, "0000-12-31"),
        (-719_529, "-0001-12-31"),
        // The Ides of March of 44 BC in the proleptic Gregorian calendar.
        (-735_160, "-0043-03-15"),
        (-354_285, "1000-01-01"),
        (-354_286, "0999-12-31"),
        (i32::MAX, "5881580-07-11"),
        (i32::MIN, "-5877641-06-23"),
    ] {
        assert_eq!(lines(ColumnKind::Date, Date32Array::from(vec![days])), [expected], "{days}");
    }
}

/// Every day of years -5 to 3005, against a calendar that counts.
#[test]
fn dates_one_by_one() {
    let (mut year, mut month, mut day) = (-5_i64, 1_u32, 1_u32);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before_1970: i64 = (year..1970).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let mut days = -before_1970;
    let mut out = Vec::new();
    while year <= 3005 {
        out.clear();
        values::date(&mut out, days);
        let sign = if year < 0 { "-" } else { "" };
        let expected = format!("{sign}{:04}-{month:02}-{day:02}", year.abs());
        assert_eq!(out, expected.as_bytes(), "{days}");
        let last = match month {
            2 => 28 + u32::from(leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        days += 1;
        day += 1;
        if day > last {
            (day, month) = (1, month + 1);
        }
        if month > 12 {
            (month, year) = (1, year + 1);
        }
    }
}

#[test]
fn times() {
    let values = vec![0, 45_296_000_000, 45_296_120_000, 86_399_999_999, 86_400_000_000, 1];
    let exact =
        ["00:00:00", "12:34:56", "12:34:56.12", "23:59:59.999999", "24:00:00", "00:00:00.000001"];
    let array = Time64MicrosecondArray::from(values.clone());
    assert_eq!(lines(ColumnKind::Time, array.clone()), exact);
    let compat = TextFormat { sqoop_compat: true, ..TextFormat::default() };
    let short: Vec<_> = exact.iter().map(|text| &text[..8]).collect();
    assert_eq!(lines_of(&compat, ColumnKind::Time, array), short);
    let nanos = Time64NanosecondArray::from(vec![1]);
    assert_eq!(lines(ColumnKind::Time, nanos), ["00:00:00.000000001"]);
}

#[test]
fn timestamps() {
    let values = vec![
        0,
        -1,
        1_709_210_096_120_000,
        951_827_696_000_001,
        -62_135_596_800_000_000,
        253_402_300_800_000_000,
        i64::MAX,
        i64::MIN,
    ];
    let expected = [
        "1970-01-01 00:00:00.0",
        "1969-12-31 23:59:59.999999",
        "2024-02-29 12:34:56.12",
        "2000-02-29 12:34:56.000001",
        "0001-01-01 00:00:00.0",
        "10000-01-01 00:00:00.0",
        "294247-01-10 04:00:54.775807",
        "-290308-12-21 19:59:05.224192",
    ];
    let array = TimestampMicrosecondArray::from(values);
    assert_eq!(lines(ColumnKind::Timestamp, array.clone()), expected);
    // An instant is shown in UTC, whatever zone the column is displayed in.
    let array = array.with_timezone("+02:00");
    assert_eq!(lines(ColumnKind::TimestampTz, array), expected);
    let nanos = TimestampNanosecondArray::from(vec![1, 100_000_000]);
    assert_eq!(
        lines(ColumnKind::Timestamp, nanos),
        ["1970-01-01 00:00:00.000000001", "1970-01-01 00:00:00.1"]
    );
    let seconds = TimestampSecondArray::from(vec![59]);
    assert_eq!(lines(ColumnKind::Timestamp, seconds), ["1970-01-01 00:00:59.0"]);
}

#[test]
fn bytes_and_uuids() {
    let values: Vec<&[u8]> = vec![b"", b"\x01", b"\x01\x02\xff"];
    let expected = ["", "01", "01 02 ff"];
    assert_eq!(lines(ColumnKind::Bytes, BinaryArray::from_vec(values.clone())), expected);
    assert_eq!(lines(ColumnKind::Bytes, LargeBinaryArray::from_vec(values)), expected);
    let mut builder = FixedSizeBinaryBuilder::new(16);
    let id: [u8; 16] = std::array::from_fn(|n| u8::try_from(n * 17).unwrap());
    builder.append_value(id).unwrap();
    let array = builder.finish();
    assert_eq!(
        lines(ColumnKind::Bytes, array.clone()),
        ["00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff"]
    );
    let canonical = "00112233-4455-6677-8899-aabbccddeeff\n";
    assert_eq!(
        file(&TextFormat::default(), &[(ColumnKind::Uuid, Arc::new(array.clone()))]),
        canonical
    );
    let field = Field::new("id", DataType::FixedSizeBinary(16), false).with_extension_type(Uuid);
    let schema = Arc::new(Schema::new(vec![field]));
    let shared = Shared::default();
    let sink = Box::new(shared.clone());
    let options = TextFormat::default();
    let mut writer = text_writer(schema.clone(), &[ColumnKind::Bytes], &options, sink).unwrap();
    writer.write(&RecordBatch::try_new(schema, vec![Arc::new(array)]).unwrap()).unwrap();
    writer.finish().unwrap();
    assert_eq!(*shared.0.lock().unwrap(), canonical.as_bytes());
}

#[test]
fn long_values_are_cut_between_characters() {
    for options in [
        TextFormat::default(),
        escaped(),
        enclosed(true, Some('\\')),
        enclosed(false, Some('\\')),
        TextFormat { hive_delims: HiveDelims::Drop, ..escaped() },
    ] {
        // Characters of 3 bytes: no multiple of a piece's size.
        let long = "€,\"\\".repeat(100_000);
        let unit = one_text(&TextFormat { enclosed_by: None, ..options.clone() }, Some("€,\"\\"));
        let text = one_text(&options, Some(&long));
        if options.enclosed_by.is_none() {
            assert_eq!(text, unit.repeat(100_000));
        } else {
            assert_eq!(text, format!("\"{}\"", "€,\\\"\\\\".repeat(100_000)));
        }
    }
    let bytes = vec![0xab_u8; 1_000_000];
    for options in [TextFormat::default(), enclosed(true, None), enclosed(false, None)] {
        let array = BinaryArray::from_vec(vec![&bytes]);
        let text = lines_of(&options, ColumnKind::Bytes, array).remove(0);
        assert_eq!(text.trim_matches('"'), vec!["ab"; 1_000_000].join(" "));
        assert_eq!(text.starts_with('"'), options.enclose_all);
    }
}

#[test]
fn nested_columns_are_refused_by_name_before_anything_is_written() {
    let list = DataType::new_list(DataType::Int32, true);
    let schema = Arc::new(Schema::new(vec![Field::new("tags", list, true)]));
    let sink = Box::new(io::sink());
    let result = text_writer(schema, &[ColumnKind::List], &TextFormat::default(), sink);
    let error = result.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.contexts(), [("column", "tags".to_string())]);
}

#[test]
fn a_batch_of_other_types_is_a_defect() {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, true)]));
    let other = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let sink = Box::new(io::sink());
    let mut writer =
        text_writer(schema, &[ColumnKind::Integer], &TextFormat::default(), sink).unwrap();
    let batch = RecordBatch::try_new(other, vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
    assert_eq!(writer.write(&batch).unwrap_err().kind(), ErrorKind::Bug);
}

#[test]
fn rows_and_bytes_are_counted_after_compression() {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, true)]));
    let options = TextFormat { codec: TextCodec::Gzip, ..TextFormat::default() };
    let shared = Shared::default();
    let sink = Box::new(shared.clone());
    let mut writer = text_writer(schema.clone(), &[ColumnKind::Integer], &options, sink).unwrap();
    let array = Arc::new(Int32Array::from_iter_values(0..10_000));
    let batch = RecordBatch::try_new(schema, vec![array]).unwrap();
    for _ in 0..20 {
        writer.write(&batch).unwrap();
    }
    let finished = writer.finish().unwrap();
    let file = shared.0.lock().unwrap().clone();
    assert_eq!(finished, Finished { rows: 200_000, bytes: file.len() as u64 });
    let mut text = String::new();
    let mut decoder = flate2::read::GzDecoder::new(file.as_slice());
    io::Read::read_to_string(&mut decoder, &mut text).unwrap();
    assert_eq!(text.lines().count(), 200_000);
}
