//! Which encoding each Parquet column gets, decided once from its first batch.
//!
//! A dictionary pays where values repeat. Where they do not, building one costs time and about four
//! megabytes a column before the writer gives it up, and the column ends in plain form; then integers
//! are packed as differences and strings with their lengths apart, which every reader in
//! use understands (DuckDB, Arrow, Spark since 3.3).

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field};
use parquet::basic::Encoding;

/// Rows below which nothing is concluded.
const ROWS_MIN: usize = 1000;

/// Largest precision of a decimal that Parquet holds as an integer.
const INTEGER_DECIMAL_PRECISION: u8 = 18;

/// What a column gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColumnEncoding {
    /// Try a dictionary first.
    pub(crate) dictionary: bool,
    /// The encoding without a dictionary, or once it has grown too large.
    pub(crate) plain: Encoding,
}

/// Chooses for a column of which `batch` is the first; `ascending` says that its rows come in the order of
/// the column.
pub(crate) fn choose(field: &Field, array: &dyn Array, ascending: bool) -> ColumnEncoding {
    let plain = match field.data_type() {
        integer if is_packed(integer) => Encoding::DELTA_BINARY_PACKED,
        DataType::Utf8 | DataType::Binary => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        _ => Encoding::PLAIN,
    };
    if ascending && plain == Encoding::DELTA_BINARY_PACKED {
        return ColumnEncoding { dictionary: false, plain };
    }
    ColumnEncoding { dictionary: !mostly_distinct(array), plain }
}

/// The encodings of all flat columns of a batch; nested ones keep the writer's defaults.
pub(crate) fn choose_all(
    batch: &RecordBatch,
    ascending: Option<&str>,
) -> Vec<(String, ColumnEncoding)> {
    let schema = batch.schema_ref();
    schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, _)| !field.data_type().is_nested())
        .map(|(field, array)| {
            let by_key = ascending == Some(field.name());
            (field.name().clone(), choose(field, array, by_key))
        })
        .collect()
}

/// Types that Parquet holds as INT32 or INT64.
fn is_packed(data_type: &DataType) -> bool {
    match data_type {
        DataType::Date32 | DataType::Time64(_) | DataType::Timestamp(..) => true,
        DataType::Decimal128(precision, _) => *precision <= INTEGER_DECIMAL_PRECISION,
        other => other.is_integer(),
    }
}

/// Whether more than half of the values are different from all others, or a run of ascending values keeps
/// growing, so that a dictionary would never be done.
fn mostly_distinct(array: &dyn Array) -> bool {
    let rows = array.len() - array.null_count();
    if rows < ROWS_MIN {
        return false;
    }
    let Some(hashes) = hashes(array) else { return false };
    let ascending = is_ascending(array);
    let distinct = hashes.into_iter().collect::<HashSet<u64>>().len();
    distinct * 2 > rows || (ascending && distinct * 10 > rows)
}

/// A hash per non-null value; `None` for types that always try a dictionary.
fn hashes(array: &dyn Array) -> Option<Vec<u64>> {
    let state = RandomState::new();
    match array.data_type() {
        DataType::Utf8 => {
            Some(array.as_string::<i32>().iter().flatten().map(|v| state.hash_one(v)).collect())
        }
        DataType::Binary => {
            Some(array.as_binary::<i32>().iter().flatten().map(|v| state.hash_one(v)).collect())
        }
        _ => {
            let width = fixed_width(array.data_type())?;
            let data = array.to_data();
            let bytes = &data.buffers()[0].as_slice()[data.offset() * width..];
            let values = bytes.chunks_exact(width).take(array.len()).enumerate();
            Some(
                values
                    .filter(|(i, _)| array.is_valid(*i))
                    .map(|(_, v)| state.hash_one(v))
                    .collect(),
            )
        }
    }
}

fn fixed_width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).ok(),
        other => other.primitive_width(),
    }
}

fn is_ascending(array: &dyn Array) -> bool {
    use arrow_array::types::{Int32Type, Int64Type};
    match array.data_type() {
        DataType::Int32 => array.as_primitive::<Int32Type>().values().is_sorted(),
        DataType::Int64 => array.as_primitive::<Int64Type>().values().is_sorted(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Decimal128Array, Int64Array, StringArray};
    use arrow_schema::Schema;

    use super::*;

    fn chosen(array: Arc<dyn Array>, ascending: bool) -> ColumnEncoding {
        let field = Field::new("c", array.data_type().clone(), true);
        let schema = Arc::new(Schema::new(vec![field]));
        let batch = RecordBatch::try_new(schema, vec![array]).unwrap();
        choose_all(&batch, ascending.then_some("c"))[0].1
    }

    #[test]
    fn few_values_get_a_dictionary_and_many_do_not() {
        let few = Arc::new(Int64Array::from_iter_values((0..5000).map(|i| i * 7919 % 50)));
        assert!(chosen(few, false).dictionary);
        let many = Arc::new(Int64Array::from_iter_values((0..5000).map(|i| i * 7919 % 100_003)));
        assert_eq!(
            chosen(many, false),
            ColumnEncoding { dictionary: false, plain: Encoding::DELTA_BINARY_PACKED }
        );
        let sorted = Arc::new(Int64Array::from_iter_values((0..5000).map(|i| i / 4)));
        assert!(!chosen(sorted, false).dictionary);
        let text = Arc::new(StringArray::from_iter_values((0..5000).map(|i| format!("text {i}"))));
        assert_eq!(
            chosen(text, false),
            ColumnEncoding { dictionary: false, plain: Encoding::DELTA_LENGTH_BYTE_ARRAY }
        );
    }

    #[test]
    fn a_key_is_packed_whatever_the_first_batch_holds() {
        let key = Arc::new(Int64Array::from_iter_values(0..3));
        assert!(!chosen(key.clone(), true).dictionary);
        assert!(chosen(key, false).dictionary);
    }

    #[test]
    fn wide_decimals_stay_plain() {
        let wide = Decimal128Array::from_iter_values(0..5000).with_precision_and_scale(38, 2);
        assert_eq!(chosen(Arc::new(wide.unwrap()), false).plain, Encoding::PLAIN);
        let nulls = Arc::new(StringArray::from(vec![None::<&str>; 5000]));
        assert!(chosen(nulls, false).dictionary);
    }
}
