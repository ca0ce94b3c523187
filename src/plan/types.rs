//! Column types the user may choose: how they are spelled, which column may become what, and how
//! the plan names them.
//!
//! Pure: no value is converted here (`run::convert` does that) and nothing is contacted.

use arrow_schema::extension::{EXTENSION_TYPE_NAME_KEY, ExtensionType, Json, Uuid};
use arrow_schema::{DataType, Field, TimeUnit};
use rsqoop_connector::{ColumnInfo, ColumnKind, Error, Result};

use crate::job::{TypeName, usage};

/// Digits a `DECIMAL` of 128 bits holds; larger ones take 256 bits.
const DIGITS_128: u8 = 38;
/// Digits a `DECIMAL` holds at most.
const DIGITS_MAX: u8 = 76;

/// Spellings of types without parameters, lower case. The first of each type is the canonical one.
/// The Java names are those of Sqoop 1.4.7's `--map-column-java`.
const SPELLINGS: [(&str, TypeName); 40] = [
    ("string", TypeName::String),
    ("java.lang.string", TypeName::String),
    ("varchar", TypeName::String),
    ("text", TypeName::String),
    ("int", TypeName::Int),
    ("integer", TypeName::Int),
    ("java.lang.integer", TypeName::Int),
    ("long", TypeName::Long),
    ("bigint", TypeName::Long),
    ("java.lang.long", TypeName::Long),
    ("float", TypeName::Float),
    ("real", TypeName::Float),
    ("java.lang.float", TypeName::Float),
    ("double", TypeName::Double),
    ("double precision", TypeName::Double),
    ("java.lang.double", TypeName::Double),
    ("boolean", TypeName::Boolean),
    ("bool", TypeName::Boolean),
    ("java.lang.boolean", TypeName::Boolean),
    ("decimal", TypeName::Decimal(None)),
    ("numeric", TypeName::Decimal(None)),
    ("bigdecimal", TypeName::Decimal(None)),
    ("java.math.bigdecimal", TypeName::Decimal(None)),
    ("date", TypeName::Date),
    ("java.sql.date", TypeName::Date),
    ("time", TypeName::Time),
    ("java.sql.time", TypeName::Time),
    ("timestamp", TypeName::Timestamp),
    ("datetime", TypeName::Timestamp),
    ("java.sql.timestamp", TypeName::Timestamp),
    ("bytes", TypeName::Bytes),
    ("binary", TypeName::Bytes),
    ("varbinary", TypeName::Bytes),
    ("blob", TypeName::Bytes),
    ("bytea", TypeName::Bytes),
    ("byte[]", TypeName::Bytes),
    ("bytebuffer", TypeName::Bytes),
    ("java.nio.bytebuffer", TypeName::Bytes),
    ("byteswritable", TypeName::Bytes),
    ("org.apache.hadoop.io.byteswritable", TypeName::Bytes),
];

const KNOWN: &str = "string, int, long, float, double, boolean, decimal(p,s), date, time, \
                     timestamp, bytes";

/// Reads a type name in rsqoop's, SQL's or Java's spelling, in any case.
pub(crate) fn parse_type(text: &str) -> Result<TypeName> {
    let wanted = text.trim().to_ascii_lowercase();
    if let Some((_, found)) = SPELLINGS.iter().find(|(spelling, _)| *spelling == wanted) {
        return Ok(*found);
    }
    if let Some((name, size)) = wanted.split_once('(')
        && let Some(size) = size.strip_suffix(')')
        && SPELLINGS.contains(&(name.trim_end(), TypeName::Decimal(None)))
    {
        return decimal_size(text.trim(), size);
    }
    let near = SPELLINGS
        .iter()
        .map(|(spelling, _)| (strsim::damerau_levenshtein(spelling, &wanted), *spelling))
        .min()
        .filter(|(distance, spelling)| *distance <= 2 && *distance < spelling.len() / 2 + 1);
    let error = usage(format!("there is no type {:?}", text.trim()));
    Err(match near {
        Some((_, near)) => error.hint(format!("did you mean {near}? The types are {KNOWN}")),
        None => error.hint(format!("the types are {KNOWN}")),
    })
}

fn decimal_size(text: &str, size: &str) -> Result<TypeName> {
    let (precision, scale) = size.split_once(',').unwrap_or((size, "0"));
    let number = |digits: &str| -> Option<u8> {
        let digits = digits.trim();
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    match (number(precision), number(scale)) {
        (Some(precision @ 1..=DIGITS_MAX), Some(scale)) if scale <= precision => {
            let scale = i8::try_from(scale).expect("at most 76, as the precision is");
            Ok(TypeName::Decimal(Some((precision, scale))))
        }
        _ => Err(usage(format!("{text:?} is not a size of a decimal")).hint(format!(
            "write decimal(p,s): p from 1 to {DIGITS_MAX} digits in all, s from 0 to p of them \
             after the point"
        ))),
    }
}

/// Reads `column=type,column=type` as the value of `flag`.
///
/// Commas inside a type's parentheses belong to the type, and the type may be percent-encoded as
/// Sqoop asks for (`decimal(10%2C2)`). A column's name may hold `=`: the last one counts.
pub(crate) fn parse_map(flag: &str, text: &str) -> Result<Vec<(String, TypeName)>> {
    let mut map: Vec<(String, TypeName)> = Vec::new();
    for entry in entries(text) {
        let pair = entry.rsplit_once('=').map(|(name, value)| (name.trim(), value.trim()));
        let Some((name, value)) = pair.filter(|(n, v)| !n.is_empty() && !v.is_empty()) else {
            return Err(usage(format!("{flag}: {:?} is not column=type", entry.trim()))
                .hint(format!("write {flag} column=type,column=type, for example id=long")));
        };
        let wanted = parse_type(&percent_decoded(value))
            .map_err(|error| prefixed(&format!("{flag} {name}"), &error))?;
        if map.iter().any(|(other, _)| other == name) {
            return Err(
                usage(format!("{flag} names column {name:?} twice")).hint("leave one of them out")
            );
        }
        map.push((name.to_string(), wanted));
    }
    Ok(map)
}

/// Cuts at commas, but for those between the parentheses of a type.
fn entries(text: &str) -> Vec<&str> {
    let mut entries = Vec::new();
    let (mut start, mut in_type, mut depth) = (0, false, 0usize);
    for (at, symbol) in text.char_indices() {
        match symbol {
            '=' => in_type = true,
            '(' if in_type => depth += 1,
            ')' if in_type => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                entries.push(&text[start..at]);
                (start, in_type) = (at + 1, false);
            }
            _ => {}
        }
    }
    entries.push(&text[start..]);
    entries
}

/// Undoes percent-encoding; what is none stays, and no type has such a name.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match code {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &rest[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_string())
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn prefixed(place: &str, error: &Error) -> Error {
    let new = Error::new(error.kind(), format!("{place}: {}", error.message()));
    match error.hint_text() {
        Some(hint) => new.hint(hint),
        None => new,
    }
}

/// How one column is carried after the user's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// In the connector's type.
    AsIs,
    /// As the database's own text.
    AsText,
    /// Read in the connector's type and converted to this one.
    Convert(DataType),
}

impl Choice {
    /// The field of the files: an extension type does not survive a conversion.
    pub(crate) fn field(&self, column: &ColumnInfo) -> Field {
        match self {
            Choice::AsIs => column.field(false),
            Choice::AsText => column.field(true),
            Choice::Convert(target) => column.field(true).with_data_type(target.clone()),
        }
    }
}

/// Decides how `column` becomes what the user wants.
///
/// An instant stays an instant when a timestamp is wanted: its zone is kept, nothing is lost.
pub(crate) fn choose(column: &ColumnInfo, wanted: Option<TypeName>) -> Result<Choice> {
    let Some(wanted) = wanted else { return Ok(Choice::AsIs) };
    if wanted == TypeName::String {
        // Also for a column of texts: SQLite may have stored something else in it.
        return Ok(Choice::AsText);
    }
    let Some(target) = target(column, wanted) else {
        return Err(no_size(column));
    };
    if target == column.data_type {
        return Ok(Choice::AsIs);
    }
    if convertible(column, &target) {
        return Ok(Choice::Convert(target));
    }
    Err(cannot_become(column, &target))
}

/// The Arrow type of what the user wants; `None` for a decimal whose size nobody named.
fn target(column: &ColumnInfo, wanted: TypeName) -> Option<DataType> {
    Some(match wanted {
        TypeName::String => DataType::Utf8,
        TypeName::Int => DataType::Int32,
        TypeName::Long => DataType::Int64,
        TypeName::Float => DataType::Float32,
        TypeName::Double => DataType::Float64,
        TypeName::Boolean => DataType::Boolean,
        TypeName::Decimal(Some((precision, scale))) => decimal(precision, scale),
        TypeName::Decimal(None) => match &column.data_type {
            own @ (DataType::Decimal128(..) | DataType::Decimal256(..)) => own.clone(),
            integer => decimal(integer_digits(integer)?, 0),
        },
        TypeName::Date => DataType::Date32,
        TypeName::Time => DataType::Time64(TimeUnit::Microsecond),
        TypeName::Timestamp => match &column.data_type {
            own @ DataType::Timestamp(..) => own.clone(),
            _ => DataType::Timestamp(TimeUnit::Microsecond, None),
        },
        TypeName::Bytes => DataType::Binary,
    })
}

fn decimal(precision: u8, scale: i8) -> DataType {
    if precision <= DIGITS_128 {
        DataType::Decimal128(precision, scale)
    } else {
        DataType::Decimal256(precision, scale)
    }
}

/// Digits of the largest value of an integer type.
fn integer_digits(data_type: &DataType) -> Option<u8> {
    Some(match data_type {
        DataType::Int8 | DataType::UInt8 => 3,
        DataType::Int16 | DataType::UInt16 => 5,
        DataType::Int32 | DataType::UInt32 => 10,
        DataType::Int64 => 19,
        DataType::UInt64 => 20,
        _ => return None,
    })
}

/// Whether `run::convert` has a way from the column's type to `target`.
pub(crate) fn convertible(column: &ColumnInfo, target: &DataType) -> bool {
    use DataType::{Binary, Boolean, Date32, Decimal128, Decimal256, Float32, Float64, Utf8};
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
    let time = DataType::Time64(TimeUnit::Microsecond);
    let number = target.is_integer()
        || matches!(target, Float32 | Float64 | Decimal128(..) | Decimal256(..));
    match &column.data_type {
        integer if integer.is_integer() => number || *target == Boolean,
        Float32 | Float64 | Decimal128(..) | Decimal256(..) => number,
        Boolean => target.is_integer(),
        Date32 => *target == timestamp,
        own if *own == timestamp => *target == Date32,
        Binary => *target == Utf8,
        // What a document or identifier is written in is not a number or date.
        Utf8 if matches!(column.kind, ColumnKind::Json | ColumnKind::Uuid) => *target == Binary,
        Utf8 => {
            number
                || matches!(target, Boolean | Date32 | Binary)
                || *target == timestamp
                || *target == time
        }
        _ => false,
    }
}

fn no_size(column: &ColumnInfo) -> Error {
    let ColumnInfo { name, native_type, .. } = column;
    if !convertible(column, &decimal(DIGITS_128, 0)) {
        return cannot_become(column, &decimal(DIGITS_128, 0));
    }
    usage(format!("column {name} ({native_type}) has no size of its own that a decimal could take"))
        .hint(format!(
            "name one: --map-column {name}=decimal(p,s), p digits in all, s of them after the point"
        ))
}

fn cannot_become(column: &ColumnInfo, target: &DataType) -> Error {
    let ColumnInfo { name, native_type, .. } = column;
    let all = [
        TypeName::Int,
        TypeName::Long,
        TypeName::Float,
        TypeName::Double,
        TypeName::Boolean,
        TypeName::Decimal(Some((DIGITS_128, 0))),
        TypeName::Date,
        TypeName::Time,
        TypeName::Timestamp,
        TypeName::Bytes,
    ];
    let mut possible = vec!["string".to_string()];
    for wanted in all {
        let Some(other) = self::target(column, wanted) else { continue };
        if other == column.data_type || convertible(column, &other) {
            possible.push(match wanted {
                TypeName::Decimal(_) => "decimal(p,s)".to_string(),
                _ => type_name(&other),
            });
        }
    }
    usage(format!("column {name} ({native_type}) cannot become {}", type_name(target)))
        .hint(format!("it can become {}", possible.join(", ")))
}

/// The word by which `--map-column` asks for a type.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "string".to_string(),
        DataType::Int32 => "int".to_string(),
        DataType::Int64 => "long".to_string(),
        DataType::Binary => "bytes".to_string(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("decimal({precision},{scale})")
        }
        DataType::Time64(_) => "time".to_string(),
        DataType::Timestamp(..) => "timestamp".to_string(),
        other => label(other).to_ascii_lowercase(),
    }
}

/// A field's type in words close to Parquet's, for the plan: `INT64`, `DECIMAL(10,2)`,
/// `TIMESTAMP(us, UTC)`, `LIST<STRING>`.
pub(crate) fn type_label(field: &Field) -> String {
    match field.metadata().get(EXTENSION_TYPE_NAME_KEY).map(String::as_str) {
        Some(Uuid::NAME) => "UUID".to_string(),
        Some(Json::NAME) => "JSON".to_string(),
        _ => label(field.data_type()),
    }
}

fn label(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_string(),
        DataType::Float32 => "FLOAT".to_string(),
        DataType::Float64 => "DOUBLE".to_string(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".to_string(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BINARY".to_string(),
        DataType::FixedSizeBinary(width) => format!("BINARY({width})"),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Date32 | DataType::Date64 => "DATE".to_string(),
        DataType::Time32(unit) | DataType::Time64(unit) => format!("TIME({})", unit_name(*unit)),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", unit_name(*unit)),
        DataType::Timestamp(unit, Some(zone)) => {
            format!("TIMESTAMP({}, {zone})", unit_name(*unit))
        }
        DataType::List(item) | DataType::LargeList(item) => {
            format!("LIST<{}>", type_label(item))
        }
        // The integers' names are right but for their case.
        other => other.to_string().to_ascii_uppercase(),
    }
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

#[cfg(test)]
mod tests;
