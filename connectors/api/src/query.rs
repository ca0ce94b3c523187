//! What a session is asked to read, and the one place that renders it as SQL.

use arrow_schema::SchemaRef;

use crate::{ColumnInfo, Dialect, KeyValue, Relation};

/// One column of a read.
#[derive(Debug, Clone)]
pub struct ReadColumn {
    /// As described by the same connector.
    pub info: ColumnInfo,
    /// Deliver the database's own text (`Utf8`) instead of `info.data_type`.
    pub as_text: bool,
}

/// The column or expression by which a relation is cut.
#[derive(Debug, Clone)]
pub struct SplitKey {
    /// SQL of the key, already quoted where it is a name; `("a", "b")` for several columns.
    pub expr: String,
    /// The column, where the key is a plain one.
    pub column: Option<ColumnInfo>,
    /// The columns in order, where the key is a row of several, none of which can be NULL.
    pub row: Vec<ColumnInfo>,
}

impl SplitKey {
    /// A key of one column or expression.
    pub fn new(expr: impl Into<String>, column: Option<ColumnInfo>) -> Self {
        SplitKey { expr: expr.into(), column, row: Vec::new() }
    }

    /// A key of several columns, compared as a row.
    pub fn of_row(dialect: &dyn Dialect, columns: Vec<ColumnInfo>) -> Self {
        let names: Vec<String> = columns.iter().map(|c| dialect.quote_ident(&c.name)).collect();
        SplitKey { expr: format!("({})", names.join(", ")), column: None, row: columns }
    }
}

/// `(1, 'a')`: the literal of a [`KeyValue::Row`].
pub fn row_literal(dialect: &dyn Dialect, parts: &[KeyValue]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| dialect.literal(part)).collect();
    format!("({})", parts.join(", "))
}

/// Which rows of a relation one statement reads.
#[derive(Debug, Clone)]
pub enum KeyRange {
    /// All of them.
    All,
    /// Keys from `lower` (included) to `upper`; a missing end is open. Rows whose key is NULL are
    /// not among them.
    Between {
        /// The key.
        key: SplitKey,
        /// `>=` this.
        lower: Option<KeyValue>,
        /// `<` this, or `<=` with `upper_inclusive`.
        upper: Option<KeyValue>,
        /// Whether `upper` itself belongs to the range.
        upper_inclusive: bool,
    },
    /// Rows whose key is NULL.
    Null(SplitKey),
}

/// One read statement.
#[derive(Debug, Clone)]
pub struct ReadQuery {
    /// What is read.
    pub relation: Relation,
    /// The columns in output order.
    pub columns: Vec<ReadColumn>,
    /// Whether `columns` are all columns of the relation in its own order, so that a query of the
    /// user's can run as it stands.
    pub whole: bool,
    /// The user's `--where`, verbatim.
    pub filter: Option<String>,
    /// The rows.
    pub range: KeyRange,
    /// The schema of the batches to push: one field per column.
    pub schema: SchemaRef,
    /// Most rows in a batch.
    pub batch_rows: usize,
    /// A batch is pushed once it holds about this many bytes, whatever its rows.
    pub batch_bytes: usize,
    /// Rows per round trip, where the protocol has such a thing.
    pub fetch_size: Option<u32>,
    /// Index in `columns` of the column that names a row in messages.
    pub key: Option<usize>,
}

impl ReadQuery {
    /// The statement that counts this one's rows instead of reading them.
    pub fn count_sql(&self, dialect: &dyn Dialect) -> String {
        self.aggregate_sql(dialect, "count(*)")
    }

    /// A statement that selects aggregates over this one's rows; the columns are known by their names.
    pub fn aggregate_sql(&self, dialect: &dyn Dialect, select_list: &str) -> String {
        let condition = self.range.to_sql(dialect);
        match &self.relation {
            Relation::Table(table) => {
                let table = dialect.quote_table(table);
                format!("SELECT {select_list} FROM {table}{}", self.where_sql(condition))
            }
            Relation::Query(text) => {
                let condition = condition.unwrap_or_else(|| "(1 = 1)".to_string());
                let inner = fill_conditions(text, &condition);
                format!("SELECT {select_list} FROM {} AS rsqoop_c", parenthesised(&inner))
            }
        }
    }

    /// ` WHERE …` of the user's filter and the range; nothing when there is neither.
    fn where_sql(&self, condition: Option<String>) -> String {
        let conditions: Vec<String> =
            self.filter.iter().map(|f| parenthesised(f)).chain(condition).collect();
        if conditions.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", conditions.join(" AND "))
    }

    /// The statement in a dialect. For a query of the user's, `$CONDITIONS` becomes the range; the
    /// query is wrapped only where a column must be spelled differently from what it selects.
    pub fn to_sql(&self, dialect: &dyn Dialect) -> String {
        let condition = self.range.to_sql(dialect);
        match &self.relation {
            Relation::Table(table) => {
                let list = self
                    .columns
                    .iter()
                    .map(|c| select_item(dialect, c))
                    .collect::<Vec<_>>()
                    .join(", ");
                let table = dialect.quote_table(table);
                format!("SELECT {list} FROM {table}{}", self.where_sql(condition))
            }
            Relation::Query(text) => {
                let condition = condition.unwrap_or_else(|| "(1 = 1)".to_string());
                let inner = fill_conditions(text, &condition);
                let plain = self.columns.iter().all(|c| {
                    let name = dialect.quote_ident(&c.info.name);
                    column_expr(dialect, c) == name
                });
                if plain && self.whole {
                    return inner;
                }
                let list = self
                    .columns
                    .iter()
                    .map(|c| select_item(dialect, c))
                    .collect::<Vec<_>>()
                    .join(", ");
                format!("SELECT {list} FROM {} AS rsqoop_q", parenthesised(&inner))
            }
        }
    }
}

/// Replaces every `$CONDITIONS` of a user's query, as Sqoop does.
///
/// ```
/// use rsqoop_connector::fill_conditions;
/// assert_eq!(
///     fill_conditions("SELECT a FROM t WHERE $CONDITIONS", "(1 = 0)"),
///     "SELECT a FROM t WHERE (1 = 0)"
/// );
/// ```
pub fn fill_conditions(query: &str, condition: &str) -> String {
    query.trim().trim_end_matches(';').replace("$CONDITIONS", condition)
}

/// SQL of the user's in parentheses; a comment at its end must not swallow the closing one.
fn parenthesised(sql: &str) -> String {
    let end = if sql.contains("--") || sql.contains('#') { "\n" } else { "" };
    format!("({sql}{end})")
}

fn column_expr(dialect: &dyn Dialect, column: &ReadColumn) -> String {
    let name = dialect.quote_ident(&column.info.name);
    if column.as_text {
        dialect.text_expr(&column.info, &name)
    } else {
        dialect.read_expr(&column.info, &name)
    }
}

fn select_item(dialect: &dyn Dialect, column: &ReadColumn) -> String {
    let name = dialect.quote_ident(&column.info.name);
    let expr = column_expr(dialect, column);
    if expr == name { name } else { format!("{expr} AS {name}") }
}

impl KeyRange {
    /// The range as a parenthesised condition; `None` for all rows.
    pub fn to_sql(&self, dialect: &dyn Dialect) -> Option<String> {
        match self {
            KeyRange::All => None,
            // The columns of a row are never NULL, and not every server takes `(a, b) IS NULL`.
            KeyRange::Null(key) if !key.row.is_empty() => Some("(1 = 0)".to_string()),
            KeyRange::Null(key) => Some(format!("({} IS NULL)", key.expr)),
            KeyRange::Between { key, lower, upper, upper_inclusive } => {
                let mut parts = Vec::with_capacity(2);
                if let Some(value) = lower {
                    parts.push(dialect.compare(key, ">=", value));
                }
                if let Some(value) = upper {
                    let op = if *upper_inclusive { "<=" } else { "<" };
                    parts.push(dialect.compare(key, op, value));
                }
                if parts.is_empty() && !key.row.is_empty() {
                    parts.push("1 = 1".to_string());
                }
                if parts.is_empty() {
                    parts.push(format!("{} IS NOT NULL", key.expr));
                }
                Some(format!("({})", parts.join(" AND ")))
            }
        }
    }
}

/// A question about a split key's extent.
#[derive(Debug, Clone)]
pub struct BoundsRequest {
    /// What is read.
    pub relation: Relation,
    /// The user's `--where`.
    pub filter: Option<String>,
    /// The key.
    pub key: SplitKey,
    /// How many pieces are wanted; a hint for [`Bounds::Points`].
    pub pieces: usize,
    /// The user's `--boundary-query`: must answer one row of minimum and maximum; used as it is.
    pub boundary_query: Option<String>,
    /// The server's estimate of the rows, where known.
    pub estimated_rows: Option<u64>,
    /// The extent itself is asked for, to be cut evenly by width (`--split-limit`): numbers, dates
    /// and timestamps must answer [`Bounds::Range`]. Otherwise points between about equal numbers of
    /// rows are better, where the server can tell them cheaply.
    pub extent: bool,
}

impl BoundsRequest {
    /// The `FROM` clause and `WHERE` of the rows in question, for the connector's own statements:
    /// `"t" WHERE (f)` for a table, `(query) AS rsqoop_b` for a query.
    pub fn from_sql(&self, dialect: &dyn Dialect) -> String {
        let from = match &self.relation {
            Relation::Table(table) => dialect.quote_table(table),
            Relation::Query(query) => {
                let inner = fill_conditions(query, "(1 = 1)");
                format!("{} AS rsqoop_b", parenthesised(&inner))
            }
        };
        match (&self.relation, &self.filter) {
            (Relation::Table(_), Some(filter)) => {
                format!("{from} WHERE {}", parenthesised(filter))
            }
            _ => from,
        }
    }

    /// The key inside [`from_sql`](Self::from_sql). A column qualified by a table of the user's
    /// query (`o.id`) is only known by its last part outside that query.
    pub fn key_sql(&self) -> &str {
        match &self.relation {
            Relation::Table(_) => &self.key.expr,
            Relation::Query(_) => unqualified(&self.key.expr),
        }
    }
}

/// `o.id` → `id`, `"o"."id"` → `"id"`; anything that is not a plain qualified name stays.
fn unqualified(expr: &str) -> &str {
    let plain = |s: &str| {
        !s.is_empty()
            && s.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '"' | '`'))
    };
    match expr.rsplit_once('.') {
        Some((before, last)) if before.split('.').all(plain) && plain(last) => last,
        _ => expr,
    }
}

/// The extent of a split key.
#[derive(Debug, Clone, PartialEq)]
pub enum Bounds {
    /// There is no key that is not NULL.
    Empty,
    /// Smallest and largest key; the engine computes the points between them.
    Range {
        /// The smallest key.
        min: KeyValue,
        /// The largest key; same variant as `min`.
        max: KeyValue,
    },
    /// Strictly ascending interior points in the server's own order, with about equal numbers of rows
    /// between them. With a boundary query the
    /// first and last are that query's minimum and maximum.
    Points(Vec<KeyValue>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_at_the_end_of_user_sql_does_not_swallow_what_follows() {
        assert_eq!(parenthesised("a = 1"), "(a = 1)");
        assert_eq!(parenthesised("a = 1 -- one"), "(a = 1 -- one\n)");
    }

    #[test]
    fn a_qualified_key_is_known_by_its_last_part_outside_the_query() {
        assert_eq!(unqualified("o.id"), "id");
        assert_eq!(unqualified("\"o\".\"id\""), "\"id\"");
        assert_eq!(unqualified("id"), "id");
        assert_eq!(unqualified("o.id + 1.5"), "o.id + 1.5");
        assert_eq!(unqualified("lower(o.name)"), "lower(o.name)");
    }
}
