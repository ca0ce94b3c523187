//! From Arrow's types to the contract's column description. A real connector maps its database's
//! own types here; this one stores Arrow already, so that nothing changes but the kind.

use arrow_schema::{DataType, Field, Schema};
use rsqoop_connector::{ColumnInfo, ColumnKind, Extension, NATIVE_TYPE_KEY};

/// Describes all columns of a table.
pub(crate) fn columns(schema: &Schema) -> Vec<ColumnInfo> {
    schema.fields().iter().map(|field| column(field)).collect()
}

fn column(field: &Field) -> ColumnInfo {
    let extension = match field.extension_type_name() {
        Some("arrow.uuid") => Some(Extension::Uuid),
        Some("arrow.json") => Some(Extension::Json),
        _ => None,
    };
    let native_type = field
        .metadata()
        .get(NATIVE_TYPE_KEY)
        .cloned()
        .unwrap_or_else(|| field.data_type().to_string());
    ColumnInfo {
        name: field.name().clone(),
        native_type,
        native_code: 0,
        kind: match extension {
            Some(Extension::Uuid) => ColumnKind::Uuid,
            Some(Extension::Json) => ColumnKind::Json,
            None => kind(field.data_type()),
        },
        data_type: field.data_type().clone(),
        extension,
        nullable: field.is_nullable(),
    }
}

fn kind(data_type: &DataType) -> ColumnKind {
    match data_type {
        DataType::Boolean => ColumnKind::Boolean,
        t if t.is_integer() => ColumnKind::Integer,
        t if t.is_floating() => ColumnKind::Float,
        t if t.is_decimal() => ColumnKind::Decimal,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnKind::Text,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => ColumnKind::Bytes,
        DataType::Date32 | DataType::Date64 => ColumnKind::Date,
        DataType::Time32(_) | DataType::Time64(_) => ColumnKind::Time,
        DataType::Timestamp(_, None) => ColumnKind::Timestamp,
        DataType::Timestamp(_, Some(_)) => ColumnKind::TimestampTz,
        DataType::List(_) => ColumnKind::List,
        _ => ColumnKind::Other,
    }
}
