//! From declared types to Arrow types. The rules are in the crate's documentation; where a type
//! name means nothing special, SQLite's own affinity rules decide (<https://sqlite.org/datatype3.html>,
//! section 3.1). Stored values are not looked at here.

use arrow_schema::{DataType, TimeUnit};
use rsqoop_connector::{ColumnInfo, ColumnKind, Extension};

/// `native_code` of a `Utf8` column that takes text only.
pub(crate) const CODE_TEXT: u64 = 1;
/// `native_code` of a column whose `Utf8` takes integers, reals and text.
pub(crate) const CODE_ANY: u64 = 2;

/// Most digits of Arrow's decimals.
const DECIMAL128_DIGITS: u8 = 38;
const DECIMAL256_DIGITS: u8 = 76;

/// Describes a column by its declared type; empty when it has none.
pub(crate) fn column(name: &str, declared: &str, nullable: bool) -> ColumnInfo {
    let (kind, data_type) = map(declared);
    let extension = match kind {
        ColumnKind::Uuid => Some(Extension::Uuid),
        ColumnKind::Json => Some(Extension::Json),
        _ => None,
    };
    let native_code = if kind == ColumnKind::Text { CODE_TEXT } else { CODE_ANY };
    ColumnInfo {
        name: name.to_string(),
        native_type: declared.to_string(),
        native_code,
        kind,
        data_type,
        extension,
        nullable,
    }
}

fn map(declared: &str) -> (ColumnKind, DataType) {
    let upper = declared.trim().to_ascii_uppercase();
    let (base, arguments) = split(&upper);
    match base.as_str() {
        "BOOLEAN" | "BOOL" => (ColumnKind::Boolean, DataType::Boolean),
        "DATE" => (ColumnKind::Date, DataType::Date32),
        "TIME" | "TIME WITHOUT TIME ZONE" => {
            (ColumnKind::Time, DataType::Time64(TimeUnit::Microsecond))
        }
        "DATETIME" | "TIMESTAMP" | "TIMESTAMP WITHOUT TIME ZONE" => {
            (ColumnKind::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        "DECIMAL" | "NUMERIC" | "DEC" | "NUM" | "NUMBER" => {
            (ColumnKind::Decimal, decimal(arguments).unwrap_or(DataType::Utf8))
        }
        "JSON" => (ColumnKind::Json, DataType::Utf8),
        "UUID" => (ColumnKind::Uuid, DataType::FixedSizeBinary(16)),
        "BINARY" | "VARBINARY" => (ColumnKind::Bytes, DataType::Binary),
        _ => by_affinity(&upper),
    }
}

/// SQLite's rules in SQLite's order.
fn by_affinity(upper: &str) -> (ColumnKind, DataType) {
    let has = |part: &str| upper.contains(part);
    if has("INT") {
        (ColumnKind::Integer, DataType::Int64)
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        (ColumnKind::Text, DataType::Utf8)
    } else if has("BLOB") {
        (ColumnKind::Bytes, DataType::Binary)
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        (ColumnKind::Float, DataType::Float64)
    } else {
        (ColumnKind::Other, DataType::Utf8)
    }
}

/// `DECIMAL (10, 2) UNSIGNED` → `DECIMAL UNSIGNED`, `10, 2`. Runs of blanks become one.
fn split(upper: &str) -> (String, Option<&str>) {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match upper.split_once('(').and_then(|(before, rest)| {
        rest.split_once(')').map(|(arguments, after)| (before, arguments, after))
    }) {
        Some((before, arguments, after)) => (words(&format!("{before} {after}")), Some(arguments)),
        None => (words(upper), None),
    }
}

fn decimal(arguments: Option<&str>) -> Option<DataType> {
    let mut numbers = arguments?.split(',').map(|n| n.trim().parse::<u8>());
    let precision = numbers.next()?.ok()?;
    let scale = numbers.next().unwrap_or(Ok(0)).ok()?;
    if numbers.next().is_some() || precision == 0 || scale > precision {
        return None;
    }
    let scale = i8::try_from(scale).ok()?;
    match precision {
        1..=DECIMAL128_DIGITS => Some(DataType::Decimal128(precision, scale)),
        ..=DECIMAL256_DIGITS => Some(DataType::Decimal256(precision, scale)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_decide() {
        use ColumnKind::*;
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
        for (declared, kind, data_type) in [
            ("INTEGER", Integer, DataType::Int64),
            ("unsigned big int", Integer, DataType::Int64),
            ("tinyint(1)", Integer, DataType::Int64),
            ("Boolean", Boolean, DataType::Boolean),
            ("double precision", Float, DataType::Float64),
            ("FLOAT", Float, DataType::Float64),
            ("decimal(10,2)", Decimal, DataType::Decimal128(10, 2)),
            ("NUMERIC ( 38 , 38 )", Decimal, DataType::Decimal128(38, 38)),
            ("NUMERIC(5)", Decimal, DataType::Decimal128(5, 0)),
            ("DECIMAL(39,4)", Decimal, DataType::Decimal256(39, 4)),
            ("DECIMAL(77,4)", Decimal, DataType::Utf8),
            ("DECIMAL(4,5)", Decimal, DataType::Utf8),
            ("DECIMAL(5,-2)", Decimal, DataType::Utf8),
            ("NUMERIC", Decimal, DataType::Utf8),
            ("date", Date, DataType::Date32),
            ("datetime", Timestamp, timestamp.clone()),
            ("TIMESTAMP(3)", Timestamp, timestamp.clone()),
            ("timestamp without  time zone", Timestamp, timestamp),
            ("TIMESTAMP WITH TIME ZONE", Other, DataType::Utf8),
            ("time", Time, DataType::Time64(TimeUnit::Microsecond)),
            ("NATIVE CHARACTER(70)", Text, DataType::Utf8),
            ("varchar(10)", Text, DataType::Utf8),
            ("CLOB", Text, DataType::Utf8),
            ("longblob", Bytes, DataType::Binary),
            ("varbinary(16)", Bytes, DataType::Binary),
            ("json", Json, DataType::Utf8),
            ("UUID", Uuid, DataType::FixedSizeBinary(16)),
            ("", Other, DataType::Utf8),
            ("ANY", Other, DataType::Utf8),
            ("colour", Other, DataType::Utf8),
        ] {
            assert_eq!(map(declared), (kind, data_type), "{declared}");
        }
    }
}
