//! PostgreSQL's types and how each is carried: identical, or as the server's own text.
//!
//! One table, no I/O. What a column's type resolves to (domains, enumerations, arrays) is looked up
//! by `catalog.rs`; how values are decoded follows from the Arrow type alone (`decode`).

use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};
use rsqoop_connector::{ColumnKind, Extension};

/// Oids of the built-in types, `src/include/catalog/pg_type.dat`; they never change.
pub(crate) mod oid {
    pub(crate) const BOOL: u32 = 16;
    pub(crate) const BYTEA: u32 = 17;
    pub(crate) const NAME: u32 = 19;
    pub(crate) const INT8: u32 = 20;
    pub(crate) const INT2: u32 = 21;
    pub(crate) const INT2VECTOR: u32 = 22;
    pub(crate) const INT4: u32 = 23;
    pub(crate) const TEXT: u32 = 25;
    pub(crate) const OID: u32 = 26;
    pub(crate) const OIDVECTOR: u32 = 30;
    pub(crate) const JSON: u32 = 114;
    pub(crate) const FLOAT4: u32 = 700;
    pub(crate) const FLOAT8: u32 = 701;
    pub(crate) const INET: u32 = 869;
    pub(crate) const BPCHAR: u32 = 1042;
    pub(crate) const VARCHAR: u32 = 1043;
    pub(crate) const DATE: u32 = 1082;
    pub(crate) const TIME: u32 = 1083;
    pub(crate) const TIMESTAMP: u32 = 1114;
    pub(crate) const TIMESTAMPTZ: u32 = 1184;
    pub(crate) const INTERVAL: u32 = 1186;
    pub(crate) const TIMETZ: u32 = 1266;
    pub(crate) const BIT: u32 = 1560;
    pub(crate) const VARBIT: u32 = 1562;
    pub(crate) const NUMERIC: u32 = 1700;
    pub(crate) const UUID: u32 = 2950;
    pub(crate) const JSONB: u32 = 3802;
    pub(crate) const CHAR: u32 = 18;
}

/// Bit of [`ColumnInfo::native_code`](rsqoop_connector::ColumnInfo::native_code) above the oid: the
/// binary form is not what is wanted, so the server is asked for text.
const CAST: u64 = 1 << 32;
/// The same for the elements of an array.
const CAST_ELEMENTS: u64 = 1 << 33;

/// A type as the catalogue has it, with domains looked through.
#[derive(Debug, Clone, Default)]
pub(crate) struct PgType {
    /// Oid of the type below all domains.
    pub(crate) oid: u32,
    /// Its modifier, -1 for none.
    pub(crate) modifier: i32,
    /// An enumeration or an extension type that is text on the wire.
    pub(crate) textual: bool,
    /// What an array holds.
    pub(crate) element: Option<Box<PgType>>,
}

/// How a column is carried.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Carried {
    pub(crate) kind: ColumnKind,
    pub(crate) data_type: DataType,
    pub(crate) extension: Option<Extension>,
    pub(crate) native_code: u64,
}

impl Carried {
    fn plain(kind: ColumnKind, data_type: DataType, pg: &PgType) -> Self {
        Carried { kind, data_type, extension: None, native_code: u64::from(pg.oid) }
    }

    fn cast(kind: ColumnKind, pg: &PgType) -> Self {
        let native_code = u64::from(pg.oid) | CAST;
        Carried { kind, data_type: DataType::Utf8, extension: None, native_code }
    }
}

/// The table.
pub(crate) fn carried(pg: &PgType) -> Carried {
    let plain = |kind, data_type| Carried::plain(kind, data_type, pg);
    let micros = TimeUnit::Microsecond;
    match pg.oid {
        oid::BOOL => plain(ColumnKind::Boolean, DataType::Boolean),
        oid::INT2 => plain(ColumnKind::Integer, DataType::Int16),
        oid::INT4 => plain(ColumnKind::Integer, DataType::Int32),
        oid::INT8 => plain(ColumnKind::Integer, DataType::Int64),
        oid::OID => plain(ColumnKind::Integer, DataType::UInt32),
        oid::FLOAT4 => plain(ColumnKind::Float, DataType::Float32),
        oid::FLOAT8 => plain(ColumnKind::Float, DataType::Float64),
        oid::NUMERIC => match decimal(pg.modifier) {
            Some(data_type) => plain(ColumnKind::Decimal, data_type),
            None => Carried::cast(ColumnKind::Decimal, pg),
        },
        oid::DATE => plain(ColumnKind::Date, DataType::Date32),
        oid::TIME => plain(ColumnKind::Time, DataType::Time64(micros)),
        oid::TIMESTAMP => plain(ColumnKind::Timestamp, DataType::Timestamp(micros, None)),
        oid::TIMESTAMPTZ => {
            plain(ColumnKind::TimestampTz, DataType::Timestamp(micros, Some("UTC".into())))
        }
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME => {
            plain(ColumnKind::Text, DataType::Utf8)
        }
        oid::CHAR => Carried::cast(ColumnKind::Text, pg),
        oid::BYTEA => plain(ColumnKind::Bytes, DataType::Binary),
        oid::UUID => Carried {
            extension: Some(Extension::Uuid),
            ..plain(ColumnKind::Uuid, DataType::FixedSizeBinary(16))
        },
        oid::JSON => {
            Carried { extension: Some(Extension::Json), ..plain(ColumnKind::Json, DataType::Utf8) }
        }
        // Its binary form has a version byte before the text.
        oid::JSONB => {
            Carried { extension: Some(Extension::Json), ..Carried::cast(ColumnKind::Json, pg) }
        }
        _ if pg.textual => plain(ColumnKind::Text, DataType::Utf8),
        _ => match pg.element.as_deref() {
            Some(element) if !matches!(pg.oid, oid::INT2VECTOR | oid::OIDVECTOR) => {
                list(pg, element).unwrap_or_else(|| Carried::cast(ColumnKind::Other, pg))
            }
            _ => Carried::cast(ColumnKind::Other, pg),
        },
    }
}

/// An array of a type that has a form of its own in Arrow.
fn list(pg: &PgType, element: &PgType) -> Option<Carried> {
    let inner = carried(element);
    if matches!(inner.kind, ColumnKind::Other | ColumnKind::List) {
        return None;
    }
    let cast = if inner.native_code & CAST == 0 { 0 } else { CAST_ELEMENTS };
    let item = Arc::new(Field::new_list_field(inner.data_type, true));
    Some(Carried {
        kind: ColumnKind::List,
        data_type: DataType::List(item),
        extension: None,
        native_code: u64::from(pg.oid) | cast,
    })
}

/// Precision and scale of a numeric's modifier: `(precision << 16 | scale as 11 bits) + 4`
/// (`numeric.c`, `make_numeric_typmod`; before PostgreSQL 15 the scale is never negative).
pub(crate) fn numeric_modifier(modifier: i32) -> Option<(i32, i32)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = (packed >> 16) & 0xffff;
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    Some((precision, scale))
}

/// The decimal type of a numeric's modifier. Without one, with more than 76 digits, or with a scale
/// that Parquet does not know (negative, or above the precision) there is none.
fn decimal(modifier: i32) -> Option<DataType> {
    let (precision, scale) = numeric_modifier(modifier)?;
    if !(0..=precision).contains(&scale) {
        return None;
    }
    let scale = i8::try_from(scale).ok()?;
    let precision = u8::try_from(precision).ok()?;
    match precision {
        1..=38 => Some(DataType::Decimal128(precision, scale)),
        39..=76 => Some(DataType::Decimal256(precision, scale)),
        _ => None,
    }
}

/// The type oid in a column's code.
pub(crate) fn oid_of(native_code: u64) -> u32 {
    u32::try_from(native_code & u64::from(u32::MAX)).expect("the mask leaves 32 bits")
}

/// What is appended to a column's name to get its default form.
pub(crate) fn read_cast(native_code: u64) -> &'static str {
    if native_code & CAST != 0 {
        "::text"
    } else if native_code & CAST_ELEMENTS != 0 {
        "::text[]"
    } else {
        ""
    }
}

/// Characters that pgjdbc says a value takes at most (`TypeInfoCache.getDisplaySize`), which decide
/// the column widths of Sqoop's `eval`.
pub(crate) fn display_size(type_oid: u32, modifier: i32) -> usize {
    const UNKNOWN: usize = i32::MAX as usize;
    let unsigned = |n: i32| usize::try_from(n).unwrap_or(UNKNOWN);
    // "Bizarrely" a precision of 1 shows two digits, says the driver.
    let seconds = match modifier {
        -1 => 7,
        0 => 0,
        1 => 3,
        n => unsigned(n) + 1,
    };
    match type_oid {
        oid::BOOL | oid::CHAR => 1,
        oid::INT2 => 6,
        oid::INT4 => 11,
        oid::OID => 10,
        oid::INT8 => 20,
        oid::FLOAT4 => 15,
        oid::FLOAT8 => 25,
        oid::DATE => 13,
        oid::TIME => 8 + seconds,
        oid::TIMETZ => 8 + seconds + 6,
        oid::TIMESTAMP => 13 + 1 + 8 + seconds,
        oid::TIMESTAMPTZ => 13 + 1 + 8 + seconds + 6,
        oid::INTERVAL => 49,
        oid::VARCHAR | oid::BPCHAR if modifier >= 4 => unsigned(modifier - 4),
        oid::BIT | oid::VARBIT if modifier >= 0 => unsigned(modifier),
        oid::NUMERIC => match numeric_modifier(modifier) {
            None => 131_089,
            Some((precision, scale)) => 1 + unsigned(precision) + usize::from(scale != 0),
        },
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(precision: i32, scale: i32) -> PgType {
        let modifier = ((precision << 16) | (scale & 0x7ff)) + 4;
        PgType { oid: oid::NUMERIC, modifier, ..PgType::default() }
    }

    #[test]
    fn numeric_sizes() {
        for ((precision, scale), want) in [
            ((10, 2), DataType::Decimal128(10, 2)),
            ((38, 38), DataType::Decimal128(38, 38)),
            ((39, 0), DataType::Decimal256(39, 0)),
            ((76, 10), DataType::Decimal256(76, 10)),
            ((77, 0), DataType::Utf8),
            ((1000, 1000), DataType::Utf8),
            ((3, -2), DataType::Utf8),
            ((3, 5), DataType::Utf8),
        ] {
            let carried = carried(&numeric(precision, scale));
            assert_eq!(carried.data_type, want, "numeric({precision},{scale})");
            assert_eq!(carried.kind, ColumnKind::Decimal);
            assert_eq!(
                read_cast(carried.native_code) == "::text",
                want == DataType::Utf8,
                "numeric({precision},{scale})"
            );
        }
    }

    #[test]
    fn arrays() {
        let array = |element: PgType| PgType {
            oid: 99_999,
            modifier: -1,
            textual: false,
            element: Some(Box::new(element)),
        };
        let of = |data_type| DataType::List(Arc::new(Field::new_list_field(data_type, true)));
        let decimals = carried(&array(numeric(10, 2)));
        assert_eq!(decimals.data_type, of(DataType::Decimal128(10, 2)));
        assert_eq!(read_cast(decimals.native_code), "");
        let unconstrained = PgType { oid: oid::NUMERIC, modifier: -1, ..PgType::default() };
        let texts = carried(&array(unconstrained));
        assert_eq!(texts.data_type, of(DataType::Utf8));
        assert_eq!(read_cast(texts.native_code), "::text[]");
        let network = carried(&array(PgType { oid: 869, modifier: -1, ..PgType::default() }));
        assert_eq!((network.kind, network.data_type), (ColumnKind::Other, DataType::Utf8));
    }

    #[test]
    fn widths_are_those_of_the_jdbc_driver() {
        assert_eq!(display_size(oid::VARCHAR, 24), 20);
        assert_eq!(display_size(oid::VARCHAR, -1), 2_147_483_647);
        assert_eq!(display_size(oid::TIMESTAMP, -1), 29);
        assert_eq!(display_size(oid::NUMERIC, ((10 << 16) | 2) + 4), 12);
        assert_eq!(display_size(oid::NUMERIC, (10 << 16) + 4), 11);
    }
}
