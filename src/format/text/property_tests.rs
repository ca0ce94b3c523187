//! Random values and delimiters: the writer against a literal transcription of Sqoop's
//! `FieldFormatter`, and read back by a reader of Sqoop's record format.

use std::sync::Arc;

use arrow_array::*;
use proptest::prelude::*;

use super::tests::{TestColumn, file, texts};
use super::*;
use crate::job::HiveDelims;

/// Characters that delimiters and texts are made of: they collide with each other, with every
/// form of value, and (the last three) in the first byte of their UTF-8 form.
const CHARS: [char; 24] = [
    ',', '\n', '\\', '"', '\'', '\u{1}', '\r', '|', '-', '.', ':', ' ', '0', '1', '9', 'E', 'a',
    'e', 't', 'N', '\t', '§', '©', '¢',
];

/// `org.apache.sqoop.lib.FieldFormatter.escapeAndEnclose`, statement by statement.
fn sqoop_field(text: &str, options: &TextFormat) -> String {
    let mut with_escapes = text.to_string();
    if let Some(escape) = options.escaped_by {
        with_escapes = with_escapes.replace(escape, &format!("{escape}{escape}"));
    }
    let Some(enclose) = options.enclosed_by else {
        if let Some(escape) = options.escaped_by {
            for delimiter in [options.field_delimiter, options.record_delimiter] {
                with_escapes = with_escapes.replace(delimiter, &format!("{escape}{delimiter}"));
            }
        }
        return with_escapes;
    };
    if let Some(escape) = options.escaped_by {
        with_escapes = with_escapes.replace(enclose, &format!("{escape}{enclose}"));
    }
    let required = text.contains([options.field_delimiter, options.record_delimiter]);
    if options.enclose_all || required {
        format!("{enclose}{with_escapes}{enclose}")
    } else {
        with_escapes
    }
}

/// Sqoop's `RecordParser`, but for records that go on after an escaped or enclosed delimiter.
fn read(file: &str, options: &TextFormat) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut at_start, mut enclosed, mut closed) = (true, false, false);
    let mut chars = file.chars();
    while let Some(c) = chars.next() {
        let delimiter = c == options.field_delimiter || c == options.record_delimiter;
        if Some(c) == options.escaped_by && !closed {
            field.extend(chars.next());
            at_start = false;
        } else if at_start && Some(c) == options.enclosed_by {
            (enclosed, at_start) = (true, false);
        } else if enclosed && Some(c) == options.enclosed_by {
            (enclosed, closed) = (false, true);
        } else if delimiter && !enclosed {
            record.push(std::mem::take(&mut field));
            (at_start, closed) = (true, false);
            if c == options.record_delimiter {
                records.push(std::mem::take(&mut record));
            }
        } else {
            assert!(!closed, "a character after the end of an enclosed field");
            field.push(c);
            at_start = false;
        }
    }
    assert!(record.is_empty() && field.is_empty() && !enclosed, "a record without its end");
    records
}

fn any_text() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        4 => proptest::sample::select(&CHARS[..]),
        1 => any::<char>(),
    ];
    proptest::collection::vec(char, 0..12).prop_map(String::from_iter)
}

fn any_format() -> impl Strategy<Value = TextFormat> {
    let hive = prop_oneof![
        2 => Just(HiveDelims::Keep),
        1 => Just(HiveDelims::Drop),
        1 => any_text().prop_map(HiveDelims::Replace),
    ];
    let chars = Just(CHARS.to_vec()).prop_shuffle();
    (chars, any::<[bool; 4]>(), any_text(), any_text(), hive).prop_map(
        |(chars, [escape, enclose, all, compat], null_string, null_non_string, hive_delims)| {
            TextFormat {
                field_delimiter: chars[0],
                record_delimiter: chars[1],
                enclosed_by: enclose.then_some(chars[2]),
                enclose_all: all,
                escaped_by: escape.then_some(chars[3]),
                null_string,
                null_non_string,
                hive_delims,
                sqoop_compat: compat,
                ..TextFormat::default()
            }
        },
    )
}

/// One row of values of every form, and the same texts without any formatting.
fn row(
    (long, float, flag, bytes): (i64, f64, bool, Vec<u8>),
    texts_of_row: &[Option<String>],
    base: &TextFormat,
) -> (Vec<TestColumn>, Vec<Option<String>>) {
    let mut columns: Vec<TestColumn> = vec![
        (ColumnKind::Integer, Arc::new(Int64Array::from(vec![long]))),
        (ColumnKind::Integer, Arc::new(UInt64Array::from(vec![long.unsigned_abs()]))),
        (ColumnKind::Float, Arc::new(Float64Array::from(vec![float]))),
        (ColumnKind::Boolean, Arc::new(BooleanArray::from(vec![flag]))),
        (ColumnKind::Bytes, Arc::new(BinaryArray::from_vec(vec![&bytes]))),
        (ColumnKind::Timestamp, Arc::new(TimestampMicrosecondArray::from(vec![long]))),
        (ColumnKind::Time, Arc::new(Time64MicrosecondArray::from(vec![long >> 27]))),
        (
            ColumnKind::Decimal,
            Arc::new(
                Decimal128Array::from(vec![i128::from(long)])
                    .with_precision_and_scale(38, 9)
                    .unwrap(),
            ),
        ),
        (ColumnKind::Integer, Arc::new(Int32Array::from(vec![None]))),
    ];
    let bare = TextFormat { sqoop_compat: base.sqoop_compat, ..TextFormat::default() };
    let mut raw: Vec<_> = columns
        .iter()
        .map(|column| Some(file(&bare, std::slice::from_ref(column)).trim_end().to_string()))
        .collect();
    raw.pop();
    raw.push(None);
    for text in texts_of_row {
        columns.push(texts(&[text.as_deref()]));
        raw.push(text.clone());
    }
    (columns, raw)
}

/// What Sqoop would write for the row, but for the NULL token's escape.
fn expected(raw: &[Option<String>], numbers: usize, options: &TextFormat) -> String {
    let fields = raw.iter().enumerate().map(|(index, text)| match text {
        None => {
            let token =
                if index < numbers { &options.null_non_string } else { &options.null_string };
            let never_escaped = TextFormat { escaped_by: None, ..options.clone() };
            sqoop_field(token, if options.sqoop_compat { options } else { &never_escaped })
        }
        Some(text) if index < numbers => sqoop_field(text, options),
        Some(text) => {
            let replaced = match &options.hive_delims {
                HiveDelims::Keep => text.clone(),
                HiveDelims::Drop => text.replace(['\n', '\r', '\u{1}'], ""),
                HiveDelims::Replace(with) => text.replace(['\n', '\r', '\u{1}'], with),
            };
            sqoop_field(&replaced, options)
        }
    });
    let mut line = fields.collect::<Vec<_>>().join(&String::from(options.field_delimiter));
    line.push(options.record_delimiter);
    line
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn every_form_under_any_delimiters_is_what_sqoop_writes(
        options in any_format(),
        values in any::<(i64, f64, bool, Vec<u8>)>(),
        texts_of_row in proptest::collection::vec(proptest::option::of(any_text()), 0..4),
    ) {
        let (columns, raw) = row(values, &texts_of_row, &options);
        let numbers = columns.len() - texts_of_row.len();
        prop_assert_eq!(file(&options, &columns), expected(&raw, numbers, &options));
    }

    #[test]
    fn with_an_escape_character_every_text_is_read_back(
        options in any_format(),
        rows in proptest::collection::vec([any_text(), any_text()], 1..5),
    ) {
        let escape = CHARS.into_iter().find(|c| {
            ![Some(options.field_delimiter), Some(options.record_delimiter), options.enclosed_by]
                .contains(&Some(*c))
        });
        let options = TextFormat { escaped_by: escape, hive_delims: HiveDelims::Keep, ..options };
        let column = |at: usize| texts(&rows.iter().map(|row| Some(row[at].as_str())).collect::<Vec<_>>());
        let text = file(&options, &[column(0), column(1)]);
        let wanted: Vec<_> = rows.iter().map(|row| row.to_vec()).collect();
        prop_assert_eq!(read(&text, &options), wanted);
    }

    #[test]
    fn float_texts_read_back_as_the_same_value(bits in any::<u64>(), narrow in any::<u32>()) {
        let mut out = Vec::new();
        let value = f64::from_bits(bits);
        float::float64(&mut out, value);
        let text = String::from_utf8(std::mem::take(&mut out)).unwrap();
        if value.is_nan() {
            prop_assert_eq!(&text, "NaN");
        } else {
            let parsed: f64 = text.parse().unwrap();
            prop_assert_eq!(parsed.to_bits(), bits);
            prop_assert_eq!(text.contains('E'), value.is_finite() && value != 0.0 && !(1e-3..1e7).contains(&value.abs()));
        }
        let value = f32::from_bits(narrow);
        float::float32(&mut out, value);
        let text = String::from_utf8(out).unwrap();
        if !value.is_nan() {
            let parsed: f32 = text.parse().unwrap();
            prop_assert_eq!(parsed.to_bits(), narrow);
        }
    }
}
