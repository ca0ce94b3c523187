//! What a database holds: tables, columns, keys.

use std::collections::HashMap;

use arrow_schema::extension::{Json, Uuid};
use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

/// A table or view by name; without a schema the server's own search order decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// Schema (PostgreSQL), database (MySQL), attached database (SQLite).
    pub schema: Option<String>,
    /// Name as the catalogue spells it.
    pub name: String,
}

impl TableName {
    /// A table in the default schema.
    pub fn new(name: impl Into<String>) -> Self {
        TableName { schema: None, name: name.into() }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What is read: a table or view, or a query of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// A table or view.
    Table(TableName),
    /// A `SELECT` that holds the literal `$CONDITIONS`, as in Sqoop's `--query`.
    Query(String),
}

/// What kind of relation the catalogue says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// A base table.
    Table,
    /// A partitioned table or inheritance parent.
    Partitioned,
    /// A view or anything else without storage of its own.
    View,
    /// A query of the user's.
    Query,
}

/// What [`Session::describe`](crate::Session::describe) answers.
#[derive(Debug, Clone)]
pub struct TableInfo {
    /// The relation's kind.
    pub kind: RelationKind,
    /// Columns in catalogue order. For a query: its result columns.
    pub columns: Vec<ColumnInfo>,
    /// Names of the primary key's columns in key order; empty when there is none.
    pub primary_key: Vec<String>,
    /// Rows by the server's own estimate; not a promise.
    pub estimated_rows: Option<u64>,
    /// Bytes on the server by its own estimate.
    pub estimated_bytes: Option<u64>,
    /// Where the rows lie, if the database can read them by that.
    pub storage_key: Option<StorageKey>,
}

/// A key that names where a row lies (PostgreSQL's `ctid`, SQLite's `rowid`): every row has one, it
/// is never NULL, and a range of it is a range of the table's storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageKey {
    /// Its SQL.
    pub expr: String,
    /// Why it serves better than the primary key, where it does: `the order of the key is far from
    /// that of the heap (correlation 0.02)`.
    pub preferred: Option<String>,
}

/// The logical kind of a source column, independent of how it is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// True or false.
    Boolean,
    /// Integers of any width and sign; also bit fields read as numbers.
    Integer,
    /// Binary floating point.
    Float,
    /// Exact decimals, constrained or not.
    Decimal,
    /// Character strings, enumerations and sets.
    Text,
    /// Byte strings.
    Bytes,
    /// Calendar dates.
    Date,
    /// Times of day.
    Time,
    /// Date and time without zone.
    Timestamp,
    /// An instant.
    TimestampTz,
    /// A UUID.
    Uuid,
    /// A JSON document.
    Json,
    /// An array of a mapped type.
    List,
    /// Anything else, carried as the database's own text.
    Other,
}

impl ColumnKind {
    /// Whether Sqoop's Java type for it is `String`, so that `--null-string` rather than
    /// `--null-non-string` stands for its NULL (Sqoop 1.4.7, `HiveTypes`/`ConnManager`).
    pub fn is_string_class(self) -> bool {
        matches!(
            self,
            ColumnKind::Text
                | ColumnKind::Json
                | ColumnKind::Uuid
                | ColumnKind::List
                | ColumnKind::Other
        )
    }
}

/// A logical type that Arrow spells as an extension of a storage type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extension {
    /// `arrow.uuid` over `FixedSizeBinary(16)`; Parquet's UUID logical type.
    Uuid,
    /// `arrow.json` over `Utf8`; Parquet's JSON logical type.
    Json,
}

/// One column of a relation and how it is carried.
#[derive(Debug, Clone)]
pub struct ColumnInfo {
    /// Name as the catalogue spells it.
    pub name: String,
    /// The database's own spelling of the type, with its modifiers: `numeric(10,2)`.
    pub native_type: String,
    /// The connector's own type code (PostgreSQL's type oid, MySQL's column type); the engine
    /// passes it back in [`ReadColumn`](crate::ReadColumn) and never looks at it.
    pub native_code: u64,
    /// The logical kind.
    pub kind: ColumnKind,
    /// The Arrow type in which [`Session::read`](crate::Session::read) delivers it by default.
    pub data_type: DataType,
    /// An extension type over `data_type`.
    pub extension: Option<Extension>,
    /// Whether NULL can occur; true whenever the database does not promise otherwise.
    pub nullable: bool,
}

/// The key of a field's metadata that holds the database's own type name.
pub const NATIVE_TYPE_KEY: &str = "rsqoop.native_type";

impl ColumnInfo {
    /// The Arrow field of this column as carried: `data_type`, or `Utf8` with `as_text`.
    /// The native type is kept in the field's metadata under `rsqoop.native_type`.
    pub fn field(&self, as_text: bool) -> Field {
        let data_type = if as_text { DataType::Utf8 } else { self.data_type.clone() };
        let field = Field::new(&self.name, data_type, self.nullable).with_metadata(HashMap::from(
            [(NATIVE_TYPE_KEY.to_string(), self.native_type.clone())],
        ));
        match self.extension {
            _ if as_text => field,
            Some(Extension::Uuid) => field.with_extension_type(Uuid),
            Some(Extension::Json) => field.with_extension_type(Json::default()),
            None => field,
        }
    }
}

/// A value of a split key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyValue {
    /// Any integer type of any database.
    Integer(i128),
    /// `unscaled × 10^-scale`.
    Decimal {
        /// All digits as an integer.
        unscaled: i128,
        /// Digits after the point; never negative.
        scale: u8,
    },
    /// Days since 1970-01-01, proleptic Gregorian.
    Date(i32),
    /// Microseconds since 1970-01-01 00:00:00 without zone.
    Timestamp(i64),
    /// Microseconds since 1970-01-01 00:00:00 UTC.
    TimestampTz(i64),
    /// A character string, compared by the server in the column's own collation.
    Text(String),
    /// A byte string.
    Bytes(Vec<u8>),
    /// SQL that the connector made for a type only its server knows: already quoted and typed.
    Sql(String),
    /// A value of a key of several columns, one part a column; none of them NULL.
    Row(Vec<KeyValue>),
}
