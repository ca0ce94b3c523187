//! The suite's tables: as record batches, and as the SQL that makes them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array,
    Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::{Failure, SqlTypes, Suite};
use crate::{Dialect, KeyValue, TableName};

/// One row of every type, one of NULLs, and one of extremes in each direction.
pub(super) const TYPES: &str = "rsqoop_suite_types";
/// Keys of several types with gaps, duplicates and NULLs.
pub(super) const KEYS: &str = "rsqoop_suite_keys";
/// A primary key of two columns.
pub(super) const PAIRS: &str = "rsqoop_suite_pairs";
/// No rows.
pub(super) const EMPTY: &str = "rsqoop_suite_empty";
/// More rows than fit any buffer between server and sink.
pub(super) const BIG: &str = "rsqoop_suite_big";
/// Rows are added to it while it is read.
pub(super) const WRITES: &str = "rsqoop_suite_writes";
/// A name that is SQL to whoever forgets to quote it.
pub(super) const HOSTILE: &str = "rsqoop_suite \"x\"; DROP TABLE `y` -- 'ü\\ 日本 %s ?1 $1 :a";
/// Column names of [`HOSTILE`].
pub(super) const HOSTILE_COLUMNS: [&str; 12] = [
    "select",
    "a b",
    "quo\"te",
    "back`tick",
    "apostro'phe",
    "semi;colon --",
    "back\\slash",
    "ünï 日本",
    "per%cent %s",
    "dollar $1 $CONDITIONS",
    "mark ? :a",
    "{brace} [bracket]",
];

/// Texts that break whoever builds SQL by hand; no two are equal in any usual collation.
pub(super) const HOSTILE_TEXTS: [&str; 14] = [
    "plain",
    "",
    "it's",
    "'; DROP TABLE rsqoop_suite_types; --",
    "double \"quoted\"",
    "back\\slash \\' \\n",
    "tab\there",
    "new\nline\r\nboth",
    "comma,semi;pipe|",
    "\\N",
    "NULL",
    "日本語 текст",
    "\u{1F980} beyond the BMP",
    "per%cent_under $1 ?2 :name",
];

/// Rows of [`BIG`].
const BIG_ROWS: i64 = 20_000;
/// Rows of [`KEYS`].
const KEY_ROWS: i64 = 500;
/// Rows of one `INSERT`.
const INSERT_ROWS: usize = 250;

/// A table of the suite.
#[derive(Debug, Clone)]
pub struct TestTable {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows, in the order of the primary key.
    pub batches: Vec<RecordBatch>,
    /// The primary key's columns.
    pub primary_key: &'static [&'static str],
}

/// All tables that the suite reads.
pub fn tables() -> Vec<TestTable> {
    vec![types(), keys(), pairs(), empty(), big(), writes(), hostile()]
}

fn table(
    name: &str,
    key: &'static [&'static str],
    columns: Vec<(&str, bool, ArrayRef)>,
) -> TestTable {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, nullable, array)| Field::new(*name, array.data_type().clone(), *nullable))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).expect("the suite's own data fits");
    TestTable { name: name.to_string(), schema, batches: vec![batch], primary_key: key }
}

fn decimals(values: Vec<Option<i128>>) -> ArrayRef {
    let array = Decimal128Array::from(values);
    Arc::new(array.with_precision_and_scale(10, 2).expect("10 digits are a valid size"))
}

fn types() -> TestTable {
    let hostile = HOSTILE_TEXTS.len();
    let mut ids = vec![i64::MIN, 0, i64::MAX];
    ids.splice(2..2, (1..).take(hostile));
    let all_bytes: Vec<u8> = (0..=255).collect();
    // First the least of every type, then a row of NULLs, the hostile texts, and the greatest.
    fn column<T: Clone>(least: T, each: T, most: T, hostile: usize) -> Vec<Option<T>> {
        let mut out = vec![Some(least), None];
        out.extend(std::iter::repeat_n(Some(each), hostile));
        out.push(Some(most));
        out
    }
    let mut names: Vec<Option<&str>> = column("least", "", "most", hostile);
    names.splice(2..2 + hostile, HOSTILE_TEXTS.iter().map(|t| Some(*t)));
    // 1000-01-01 and 9999-12-31: what MySQL promises to support.
    let (first_day, last_day) = (-354_285, 2_932_896);
    const DAY_US: i64 = 86_400_000_000;
    let (first, last) = (i64::from(first_day) * DAY_US, (i64::from(last_day) + 1) * DAY_US - 1);
    table(
        TYPES,
        &["id"],
        vec![
            ("id", false, Arc::new(Int64Array::from(ids))),
            ("flag", true, Arc::new(BooleanArray::from(column(false, true, true, hostile)))),
            ("whole", true, Arc::new(Int64Array::from(column(i64::MIN, -1, i64::MAX, hostile)))),
            (
                "ratio",
                true,
                Arc::new(Float64Array::from(column(
                    -1.25e15,
                    0.1,
                    9.536_743_164_062_5e-7,
                    hostile,
                ))),
            ),
            ("amount", true, decimals(column(-9_999_999_999, 5, 9_999_999_999, hostile))),
            ("name", true, Arc::new(StringArray::from(names))),
            (
                "data",
                true,
                Arc::new(BinaryArray::from_opt_vec(column(
                    &[][..],
                    &[0, 39, 92],
                    &all_bytes,
                    hostile,
                ))),
            ),
            ("day", true, Arc::new(Date32Array::from(column(first_day, 0, last_day, hostile)))),
            (
                "moment",
                true,
                Arc::new(TimestampMicrosecondArray::from(column(first, 1, last, hostile))),
            ),
        ],
    )
}

fn keys() -> TestTable {
    const WORDS: [&str; 10] =
        ["alpha", "Beta", "beta", "délta", "it's", "日本", "zz\\top", "a b", "", "ALPHA"];
    let numbers = || 0..KEY_ROWS;
    let word = |i: i64| WORDS[usize::try_from(i % 10).expect("it is not negative")];
    let sometimes = |i: i64| i % 7 != 3;
    // Far apart on one side of zero, dense on the other.
    let ids = numbers().map(|i| if i < 100 { (i - 100) * 1_000_003 } else { i });
    let texts: Vec<String> = numbers().map(|i| format!("{}{}", word(i), i / 30)).collect();
    let nullable_texts = numbers().map(|i| sometimes(i).then(|| word(i).to_string()));
    let days = numbers().map(|i| i32::try_from(i * i / 10 - 3000).expect("small"));
    table(
        KEYS,
        &["id"],
        vec![
            ("id", false, Arc::new(Int64Array::from_iter_values(ids))),
            (
                "nint",
                true,
                Arc::new(
                    numbers().map(|i| sometimes(i).then_some(i % 90 - 45)).collect::<Int64Array>(),
                ),
            ),
            ("tkey", false, Arc::new(StringArray::from_iter_values(texts))),
            ("ntext", true, Arc::new(nullable_texts.collect::<StringArray>())),
            ("day", false, Arc::new(Date32Array::from_iter_values(days))),
            (
                "amount",
                false,
                decimals(numbers().map(|i| Some(i128::from(i * 317 % 1009) - 500)).collect()),
            ),
            (
                "moment",
                false,
                Arc::new(TimestampMicrosecondArray::from_iter_values(
                    numbers().map(|i| i * 7_777_777_777 - 1_000_000_000_000),
                )),
            ),
            (
                "nothing",
                true,
                Arc::new(Int64Array::new_null(usize::try_from(KEY_ROWS).unwrap_or(0))),
            ),
        ],
    )
}

/// Few first columns and many second ones, then the other way round; each pair once, and the values
/// in neither column's own order.
fn pairs() -> TestTable {
    const TEXTS: [&str; 4] = ["", "it's", "délta", "日本"];
    let numbers = (0..40).map(|i| (i % 2) - 1).chain((0..40).map(|i| (i * 17) % 41 - 20));
    let numbers: Vec<i64> = [i64::MIN, i64::MAX].into_iter().chain(numbers).collect();
    let text = |i: usize| format!("{}{:02}", TEXTS[i % 4], (i * 29) % 97);
    let rows = numbers.len();
    table(
        PAIRS,
        &["number", "label"],
        vec![
            ("label", false, Arc::new(StringArray::from_iter_values((0..rows).map(text)))),
            ("number", false, Arc::new(Int64Array::from(numbers))),
            (
                "row",
                false,
                Arc::new((0..rows).map(|i| i64::try_from(i).ok()).collect::<Int64Array>()),
            ),
        ],
    )
}

fn empty() -> TestTable {
    table(
        EMPTY,
        &["id"],
        vec![
            ("id", false, Arc::new(Int64Array::from(Vec::<i64>::new()))),
            ("name", true, Arc::new(StringArray::from(Vec::<Option<&str>>::new()))),
        ],
    )
}

fn big() -> TestTable {
    let pad = "x".repeat(150);
    table(
        BIG,
        &["id"],
        vec![
            ("id", false, Arc::new(Int64Array::from_iter_values(0..BIG_ROWS))),
            (
                "pad",
                false,
                Arc::new(StringArray::from_iter_values((0..BIG_ROWS).map(|i| format!("{i}{pad}")))),
            ),
        ],
    )
}

fn writes() -> TestTable {
    table(
        WRITES,
        &["id"],
        vec![
            ("id", false, Arc::new(Int64Array::from_iter_values(1..=10))),
            ("name", true, Arc::new(StringArray::from(vec!["before"; 10]))),
        ],
    )
}

fn hostile() -> TestTable {
    let columns = HOSTILE_COLUMNS.iter().enumerate().map(|(i, name)| {
        let base = i64::try_from(i).unwrap_or(0) * 10;
        let array: ArrayRef = Arc::new(Int64Array::from(vec![base + 1, base + 2, base + 3]));
        (*name, false, array)
    });
    table(HOSTILE, &HOSTILE_COLUMNS[..1], columns.collect())
}

/// Makes all tables by SQL, where the fixture says how.
pub(super) fn create(suite: &Suite<'_>) -> Result<(), Failure> {
    let Some(types) = &suite.fixture.sql else { return Ok(()) };
    let mut session = suite.session()?;
    for table in &suite.tables {
        let dialect = session.dialect();
        let name = dialect.quote_table(&TableName::new(&table.name));
        session.execute(&format!("DROP TABLE IF EXISTS {name}"))?;
        session.execute(&create_sql(dialect, &name, table, types))?;
        for batch in &table.batches {
            let rows: Vec<String> =
                (0..batch.num_rows()).map(|row| row_sql(dialect, batch, row)).collect();
            for rows in rows.chunks(INSERT_ROWS) {
                session.execute(&format!("INSERT INTO {name} VALUES {}", rows.join(", ")))?;
            }
        }
    }
    Ok(())
}

fn create_sql(dialect: &dyn Dialect, name: &str, table: &TestTable, types: &SqlTypes) -> String {
    let columns: Vec<String> = table
        .schema
        .fields()
        .iter()
        .map(|field| {
            let type_name = match field.data_type() {
                DataType::Boolean => types.boolean,
                DataType::Int64 => types.integer,
                DataType::Float64 => types.double,
                DataType::Decimal128(10, 2) => types.decimal,
                DataType::Utf8 => types.text,
                DataType::Binary => types.bytes,
                DataType::Date32 => types.date,
                DataType::Timestamp(TimeUnit::Microsecond, None) => types.timestamp,
                other => unreachable!("the suite has no column of type {other}"),
            };
            let null = if field.is_nullable() { "" } else { " NOT NULL" };
            format!("{} {type_name}{null}", dialect.quote_ident(field.name()))
        })
        .collect();
    let key: Vec<String> = table.primary_key.iter().map(|c| dialect.quote_ident(c)).collect();
    format!("CREATE TABLE {name} ({}, PRIMARY KEY ({}))", columns.join(", "), key.join(", "))
}

fn row_sql(dialect: &dyn Dialect, batch: &RecordBatch, row: usize) -> String {
    let values: Vec<String> =
        batch.columns().iter().map(|array| value_sql(dialect, array, row)).collect();
    format!("({})", values.join(", "))
}

fn value_sql(dialect: &dyn Dialect, array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "NULL".to_string();
    }
    let key = match array.data_type() {
        DataType::Boolean => return array.as_boolean().value(row).to_string(),
        DataType::Float64 => {
            return format!("{:e}", array.as_primitive::<Float64Type>().value(row));
        }
        DataType::Int64 => KeyValue::Integer(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::Decimal128(_, _) => KeyValue::Decimal {
            unscaled: array.as_primitive::<Decimal128Type>().value(row),
            scale: 2,
        },
        DataType::Utf8 => KeyValue::Text(array.as_string::<i32>().value(row).to_string()),
        DataType::Binary => KeyValue::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        DataType::Date32 => KeyValue::Date(array.as_primitive::<Date32Type>().value(row)),
        _ => KeyValue::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)),
    };
    dialect.literal(&key)
}
