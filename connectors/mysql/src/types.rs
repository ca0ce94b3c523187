//! From MySQL's column definitions to Arrow types, and the connector's type code.
//!
//! One table for tables and queries alike, since both are described by preparing a statement. How
//! values are decoded is in `decode`; how they are spelled in SQL in `dialect`.

use arrow_schema::{DataType, TimeUnit};
use mysql_common::constants::{ColumnFlags, ColumnType};
use rsqoop_connector::{ColumnInfo, ColumnKind, Extension};

use crate::wire::{ColumnDef, Ext};

/// What the URL's parameters say about types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TypeOptions {
    /// `tinyInt1isBit=true`: `tinyint(1)` is a boolean.
    pub(crate) tiny_bool: bool,
    /// `zeroDateTimeBehavior=convertToNull`.
    pub(crate) zero_null: bool,
}

/// The classes of types that differ in SQL spelling; this is all that the dialect knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    /// Read as it is; its text is what `CAST(… AS CHAR)` makes of it.
    Plain,
    /// Integer and year.
    Integer,
    Year,
    Bit,
    /// `float` and `double`: text is made here, since the server's has too few digits.
    Float,
    /// Decimals arrive as text anyway.
    Decimal,
    /// Date, time and both.
    Date,
    DateTime,
    Timestamp,
    Time,
    Text,
    Bytes,
    /// Compared by index with a number, but by name with a string.
    Enum,
    Json,
    Uuid,
    Inet,
    Geometry,
}

const CLASSES: [Class; 17] = [
    Class::Plain,
    Class::Integer,
    Class::Year,
    Class::Bit,
    Class::Float,
    Class::Decimal,
    Class::Date,
    Class::DateTime,
    Class::Timestamp,
    Class::Time,
    Class::Text,
    Class::Bytes,
    Class::Enum,
    Class::Json,
    Class::Uuid,
    Class::Inet,
    Class::Geometry,
];

impl Class {
    /// The class in a column's native code.
    pub(crate) fn of(column: &ColumnInfo) -> Class {
        usize::try_from(column.native_code & 0xff)
            .ok()
            .and_then(|i| CLASSES.get(i).copied())
            .unwrap_or(Class::Plain)
    }

    /// The class of a result column.
    pub(crate) fn of_def(def: &ColumnDef) -> Class {
        use ColumnType as T;
        match def.ext {
            Ext::Json => return Class::Json,
            Ext::Uuid => return Class::Uuid,
            Ext::Inet4 | Ext::Inet6 => return Class::Inet,
            Ext::None => {}
        }
        match def.kind {
            T::MYSQL_TYPE_TINY
            | T::MYSQL_TYPE_SHORT
            | T::MYSQL_TYPE_INT24
            | T::MYSQL_TYPE_LONG
            | T::MYSQL_TYPE_LONGLONG => Class::Integer,
            T::MYSQL_TYPE_YEAR => Class::Year,
            T::MYSQL_TYPE_BIT => Class::Bit,
            T::MYSQL_TYPE_FLOAT | T::MYSQL_TYPE_DOUBLE => Class::Float,
            T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL => Class::Decimal,
            T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_NEWDATE => Class::Date,
            T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_DATETIME2 => Class::DateTime,
            T::MYSQL_TYPE_TIMESTAMP | T::MYSQL_TYPE_TIMESTAMP2 => Class::Timestamp,
            T::MYSQL_TYPE_TIME | T::MYSQL_TYPE_TIME2 => Class::Time,
            T::MYSQL_TYPE_JSON => Class::Json,
            T::MYSQL_TYPE_GEOMETRY => Class::Geometry,
            // The server's text of a vector is rounded; its bytes are exact.
            T::MYSQL_TYPE_VECTOR => Class::Bytes,
            T::MYSQL_TYPE_NULL => Class::Text,
            T::MYSQL_TYPE_ENUM | T::MYSQL_TYPE_SET => Class::Enum,
            T::MYSQL_TYPE_VARCHAR
            | T::MYSQL_TYPE_VAR_STRING
            | T::MYSQL_TYPE_STRING
            | T::MYSQL_TYPE_TINY_BLOB
            | T::MYSQL_TYPE_MEDIUM_BLOB
            | T::MYSQL_TYPE_LONG_BLOB
            | T::MYSQL_TYPE_BLOB => {
                if def.flags.intersects(ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG) {
                    Class::Enum
                } else if def.is_binary() {
                    Class::Bytes
                } else {
                    Class::Text
                }
            }
            T::MYSQL_TYPE_TYPED_ARRAY | T::MYSQL_TYPE_UNKNOWN => Class::Plain,
        }
    }
}

/// Digits of a decimal, from its display length (sign and point take one each).
pub(crate) fn precision(def: &ColumnDef) -> u8 {
    let point = u32::from(def.decimals > 0);
    let sign = u32::from(!def.is_unsigned());
    let digits = def.length.saturating_sub(point + sign).clamp(1, 65);
    u8::try_from(digits).unwrap_or(65).max(def.decimals)
}

fn data_type(def: &ColumnDef, class: Class, options: TypeOptions) -> DataType {
    use ColumnType as T;
    match class {
        Class::Integer => match (def.kind, def.is_unsigned()) {
            (T::MYSQL_TYPE_TINY, false) if options.tiny_bool && def.length == 1 => {
                DataType::Boolean
            }
            (T::MYSQL_TYPE_TINY, false) => DataType::Int8,
            (T::MYSQL_TYPE_TINY, true) => DataType::UInt8,
            (T::MYSQL_TYPE_SHORT, false) => DataType::Int16,
            (T::MYSQL_TYPE_SHORT, true) => DataType::UInt16,
            (T::MYSQL_TYPE_LONGLONG, false) => DataType::Int64,
            (T::MYSQL_TYPE_LONGLONG, true) => DataType::UInt64,
            (_, false) => DataType::Int32,
            (_, true) => DataType::UInt32,
        },
        Class::Year => DataType::Int16,
        Class::Bit if def.length == 1 => DataType::Boolean,
        Class::Bit => DataType::UInt64,
        Class::Float if def.kind == T::MYSQL_TYPE_FLOAT => DataType::Float32,
        Class::Float => DataType::Float64,
        Class::Decimal => {
            let (p, s) = (precision(def), i8::try_from(def.decimals).unwrap_or(i8::MAX));
            if p <= 38 { DataType::Decimal128(p, s) } else { DataType::Decimal256(p, s) }
        }
        Class::Date => DataType::Date32,
        Class::DateTime => DataType::Timestamp(TimeUnit::Microsecond, None),
        Class::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Class::Time => DataType::Time64(TimeUnit::Microsecond),
        Class::Bytes => DataType::Binary,
        Class::Uuid => DataType::FixedSizeBinary(16),
        Class::Plain | Class::Text | Class::Enum | Class::Json | Class::Inet | Class::Geometry => {
            DataType::Utf8
        }
    }
}

fn column_kind(class: Class, data_type: &DataType) -> ColumnKind {
    match class {
        _ if *data_type == DataType::Boolean => ColumnKind::Boolean,
        Class::Integer | Class::Year | Class::Bit => ColumnKind::Integer,
        Class::Float => ColumnKind::Float,
        Class::Decimal => ColumnKind::Decimal,
        Class::Date => ColumnKind::Date,
        Class::DateTime => ColumnKind::Timestamp,
        Class::Timestamp => ColumnKind::TimestampTz,
        Class::Time => ColumnKind::Time,
        Class::Text | Class::Enum => ColumnKind::Text,
        Class::Bytes => ColumnKind::Bytes,
        Class::Json => ColumnKind::Json,
        Class::Uuid => ColumnKind::Uuid,
        Class::Plain | Class::Inet | Class::Geometry => ColumnKind::Other,
    }
}

/// A described column. `native_type` is the catalogue's spelling where there is one; `not_null`
/// whether the catalogue promises it.
pub(crate) fn column_info(
    def: &ColumnDef,
    native_type: Option<String>,
    not_null: bool,
    options: TypeOptions,
) -> ColumnInfo {
    let class = Class::of_def(def);
    let data_type = data_type(def, class, options);
    let zero_null =
        options.zero_null && matches!(class, Class::Date | Class::DateTime | Class::Timestamp);
    // The text of a shape is made by a function, which may answer NULL.
    let nullable = !not_null || zero_null || class == Class::Geometry;
    ColumnInfo {
        name: def.name.clone(),
        native_type: native_type.unwrap_or_else(|| native_name(def)),
        native_code: class as u64,
        kind: column_kind(class, &data_type),
        extension: match class {
            Class::Json => Some(Extension::Json),
            Class::Uuid => Some(Extension::Uuid),
            _ => None,
        },
        data_type,
        nullable,
    }
}

/// A type's name made from its definition, for columns of queries.
pub(crate) fn native_name(def: &ColumnDef) -> String {
    use ColumnType as T;
    let characters = def.display_size();
    match def.ext {
        Ext::Json => return "json".to_string(),
        Ext::Uuid => return "uuid".to_string(),
        Ext::Inet4 => return "inet4".to_string(),
        Ext::Inet6 => return "inet6".to_string(),
        Ext::None => {}
    }
    let fraction = |name: &str| match def.decimals {
        n @ 1..=6 => format!("{name}({n})"),
        _ => name.to_string(),
    };
    let blob = |text: &str, bytes: &str| {
        if def.is_binary() { bytes.to_string() } else { text.to_string() }
    };
    let name = match def.kind {
        T::MYSQL_TYPE_TINY if def.length == 1 => "tinyint(1)".to_string(),
        T::MYSQL_TYPE_TINY => "tinyint".to_string(),
        T::MYSQL_TYPE_SHORT => "smallint".to_string(),
        T::MYSQL_TYPE_INT24 => "mediumint".to_string(),
        T::MYSQL_TYPE_LONG => "int".to_string(),
        T::MYSQL_TYPE_LONGLONG => "bigint".to_string(),
        T::MYSQL_TYPE_FLOAT => "float".to_string(),
        T::MYSQL_TYPE_DOUBLE => "double".to_string(),
        T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL => {
            format!("decimal({},{})", precision(def), def.decimals)
        }
        T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_NEWDATE => "date".to_string(),
        T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_DATETIME2 => fraction("datetime"),
        T::MYSQL_TYPE_TIMESTAMP | T::MYSQL_TYPE_TIMESTAMP2 => fraction("timestamp"),
        T::MYSQL_TYPE_TIME | T::MYSQL_TYPE_TIME2 => fraction("time"),
        T::MYSQL_TYPE_YEAR => "year".to_string(),
        T::MYSQL_TYPE_BIT => format!("bit({})", def.length),
        T::MYSQL_TYPE_JSON => "json".to_string(),
        T::MYSQL_TYPE_GEOMETRY => "geometry".to_string(),
        T::MYSQL_TYPE_VECTOR => format!("vector({})", def.length / 4),
        T::MYSQL_TYPE_NULL => "null".to_string(),
        T::MYSQL_TYPE_ENUM => "enum".to_string(),
        T::MYSQL_TYPE_SET => "set".to_string(),
        _ if def.flags.contains(ColumnFlags::ENUM_FLAG) => "enum".to_string(),
        _ if def.flags.contains(ColumnFlags::SET_FLAG) => "set".to_string(),
        T::MYSQL_TYPE_STRING => {
            format!("{}({characters})", blob("char", "binary"))
        }
        T::MYSQL_TYPE_VARCHAR | T::MYSQL_TYPE_VAR_STRING => {
            format!("{}({characters})", blob("varchar", "varbinary"))
        }
        T::MYSQL_TYPE_TINY_BLOB
        | T::MYSQL_TYPE_MEDIUM_BLOB
        | T::MYSQL_TYPE_LONG_BLOB
        | T::MYSQL_TYPE_BLOB => blob("text", "blob"),
        T::MYSQL_TYPE_TYPED_ARRAY | T::MYSQL_TYPE_UNKNOWN => "unknown".to_string(),
    };
    let number = matches!(Class::of_def(def), Class::Integer | Class::Float | Class::Decimal);
    if number && def.is_unsigned() { format!("{name} unsigned") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn def(kind: ColumnType, length: u32, decimals: u8) -> ColumnDef {
        ColumnDef {
            name: "c".to_string(),
            kind,
            flags: ColumnFlags::empty(),
            charset: 63,
            length,
            decimals,
            ext: Ext::None,
        }
    }

    #[test]
    fn every_class_is_found_again_by_its_number() {
        for (i, class) in CLASSES.iter().enumerate() {
            assert_eq!(*class as usize, i);
        }
    }

    #[test]
    fn decimals_by_display_length() {
        let mut d = def(ColumnType::MYSQL_TYPE_NEWDECIMAL, 12, 2);
        assert_eq!(precision(&d), 10);
        assert_eq!(native_name(&d), "decimal(10,2)");
        d.flags = ColumnFlags::UNSIGNED_FLAG;
        d.length = 11;
        assert_eq!(native_name(&d), "decimal(10,2) unsigned");
        d = def(ColumnType::MYSQL_TYPE_NEWDECIMAL, 67, 30);
        assert_eq!(
            data_type(&d, Class::Decimal, TypeOptions::default()),
            DataType::Decimal256(65, 30)
        );
    }

    #[test]
    fn tinyint_one_is_an_integer_unless_asked() {
        let d = def(ColumnType::MYSQL_TYPE_TINY, 1, 0);
        let info = column_info(&d, None, true, TypeOptions::default());
        assert_eq!((info.data_type, info.kind), (DataType::Int8, ColumnKind::Integer));
        let options = TypeOptions { tiny_bool: true, zero_null: false };
        let info = column_info(&d, None, true, options);
        assert_eq!((info.data_type, info.kind), (DataType::Boolean, ColumnKind::Boolean));
    }
}
