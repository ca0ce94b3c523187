//! From what the user wants to how it is done: columns and types, the split key, ranges, files.
//!
//! Planning has two stages, because ranges must come from the snapshot that is read: [`Draft`] needs
//! one session and no snapshot, [`Draft::finish`] asks a session that sees the snapshot.

mod key;
mod names;
pub(crate) mod split;
pub(crate) mod types;

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use rsqoop_connector::{
    BoundsRequest, ColumnInfo, ColumnKind, Dialect, KeyRange, KeyValue, ReadColumn, ReadQuery,
    Relation, RelationKind, Result, Session, SplitKey, TableInfo, fill_conditions,
};
use serde::Serialize;

use crate::job::{Format, JobSpec, usage};
use types::Choice;

/// How an import will be done. Nothing of it has happened yet.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Where it reads, without credentials.
    pub source: String,
    /// Product and version of the server.
    pub server: String,
    /// The table, or the query as the user wrote it.
    pub relation: String,
    /// What the catalogue says the relation is.
    pub relation_kind: RelationKind,
    /// The columns in output order.
    pub columns: Vec<PlanColumn>,
    /// The key the rows are cut by, if any.
    pub split_by: Option<String>,
    /// Why this key, or why none.
    pub split_reason: String,
    /// The ranges, in the order in which they are handed out.
    pub splits: Vec<PlanSplit>,
    /// Sessions that read at the same time, and part files.
    pub workers: usize,
    /// How all readers come to see the same state.
    pub snapshot: String,
    /// The target directory.
    pub target: String,
    /// Format and compression.
    pub format: String,
    /// Part files in it.
    pub files: Vec<String>,
    /// Rows by the server's estimate.
    pub estimated_rows: Option<u64>,
    /// Bytes on the server by its estimate.
    pub estimated_bytes: Option<u64>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// A column of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlanColumn {
    /// Name.
    pub name: String,
    /// The database's own type.
    pub native_type: String,
    /// The type in the files.
    pub file_type: String,
    /// Whether NULL can occur.
    pub nullable: bool,
}

/// A range of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlanSplit {
    /// `all`, `range` or `null`.
    pub kind: &'static str,
    /// The statement.
    pub sql: String,
}

/// One output column: how it is read and what it becomes.
#[derive(Debug, Clone)]
pub(crate) struct OutputColumn {
    pub(crate) read: ReadColumn,
    /// The field that `read` delivers.
    pub(crate) read_field: Field,
    /// The field in the files; differs where a conversion is asked for.
    pub(crate) field: Field,
    /// Decides which null token and value form text output uses.
    pub(crate) kind: ColumnKind,
}

impl OutputColumn {
    fn new(info: &ColumnInfo, choice: Choice) -> OutputColumn {
        let as_text = choice == Choice::AsText;
        let field = choice.field(info);
        let kind = match &choice {
            Choice::AsIs => info.kind,
            Choice::AsText => ColumnKind::Text,
            Choice::Convert(target) => kind_of(target),
        };
        let read_field = info.field(as_text);
        OutputColumn { read: ReadColumn { info: info.clone(), as_text }, read_field, field, kind }
    }

    /// Whether the value must be converted after it was read.
    pub(crate) fn converts(&self) -> bool {
        self.read_field.data_type() != self.field.data_type()
    }
}

/// What is known before the snapshot exists.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) relation: Relation,
    pub(crate) info: TableInfo,
    pub(crate) columns: Vec<OutputColumn>,
    pub(crate) key: Option<SplitKey>,
    pub(crate) key_reason: String,
    pub(crate) workers: usize,
    pub(crate) notes: Vec<String>,
    whole: bool,
}

/// Everything a run needs.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) queries: Vec<ReadQuery>,
    pub(crate) columns: Vec<OutputColumn>,
    pub(crate) schema: SchemaRef,
    pub(crate) workers: usize,
    /// Name of the plain column that rows are cut by.
    pub(crate) key_column: Option<String>,
    /// What the server counts to verify the rows, or why it does not.
    pub(crate) count: Result<Vec<ReadQuery>, String>,
}

/// Estimated rows of a split below which cutting finer costs more than it balances.
const ROWS_PER_SPLIT: u64 = 100_000;

/// Splits per worker at most: enough that no worker waits long for the last one.
const SPLITS_PER_WORKER: usize = 8;

impl Draft {
    /// Describes the relation and decides columns, types and key.
    ///
    /// # Errors
    /// `Usage` for a table or column that does not exist, with near names.
    pub(crate) fn new(job: &JobSpec, session: &mut dyn Session) -> Result<Draft> {
        let (relation, info) = names::describe(&job.relation, session)?;
        let chosen = names::choose_columns(&info, &job.columns)?;
        let whole = chosen.len() == info.columns.len()
            && chosen.iter().zip(&info.columns).all(|(a, b)| a.name == b.name);
        for (name, _) in &job.overrides {
            names::find_column(&chosen, name, "--map-column")?;
        }
        let columns =
            chosen.iter().map(|column| output_column(job, column)).collect::<Result<Vec<_>>>()?;
        let choice = key::choose(job, session.dialect(), &relation, &info)?;
        Ok(Draft {
            relation,
            info,
            columns,
            workers: if choice.key.is_some() { job.split.workers } else { 1 },
            key: choice.key,
            key_reason: choice.reason,
            notes: choice.notes,
            whole,
        })
    }

    /// The tables whose snapshot matters.
    pub(crate) fn tables(&self) -> Vec<rsqoop_connector::TableName> {
        match &self.relation {
            Relation::Table(table) => vec![table.clone()],
            Relation::Query(_) => Vec::new(),
        }
    }

    /// Asks for the key's extent and makes the statements.
    pub(crate) fn finish(
        self,
        job: &JobSpec,
        session: &mut dyn Session,
    ) -> Result<(Prepared, Vec<String>)> {
        let mut notes = self.notes.clone();
        let ranges = self.ranges(job, session, &mut notes)?;
        let read_schema = Arc::new(Schema::new(
            self.columns.iter().map(|c| c.read_field.clone()).collect::<Vec<_>>(),
        ));
        let key_column = self.key.as_ref().and_then(|k| k.column.as_ref()).map(|c| c.name.clone());
        let row_name = key_column.as_ref().or(self.info.primary_key.first());
        let key_index =
            row_name.and_then(|name| self.columns.iter().position(|c| c.field.name() == name));
        let query = |range: KeyRange| ReadQuery {
            relation: self.relation.clone(),
            columns: self.columns.iter().map(|c| c.read.clone()).collect(),
            whole: self.whole,
            filter: job.filter.clone(),
            range,
            schema: read_schema.clone(),
            batch_rows: job.limits.batch_rows,
            batch_bytes: job.limits.batch_bytes,
            fetch_size: job.fetch_size,
            key: key_index,
        };
        if ranges.len() > 1 {
            self.refuse_unconditional_rows(session, query(KeyRange::All))?;
        }
        let whole = whole_range(&ranges, job.split.boundary_query.is_some());
        let count = match self.info.kind {
            RelationKind::Query if ranges.len() == 1 => Err("a query is not run twice".to_string()),
            RelationKind::View => Err("a view is not run twice".to_string()),
            _ => Ok(vec![query(whole)]),
        };
        let relations = disjoint(&self.relation, &ranges, session.dialect());
        let queries: Vec<ReadQuery> = ranges
            .into_iter()
            .zip(relations)
            .map(|(range, relation)| ReadQuery { relation, ..query(range) })
            .collect();
        let schema =
            Arc::new(Schema::new(self.columns.iter().map(|c| c.field.clone()).collect::<Vec<_>>()));
        let prepared = Prepared {
            queries,
            schema,
            workers: self.workers,
            key_column,
            columns: self.columns,
            count,
        };
        Ok((prepared, notes))
    }

    /// Rows that a query of the user's gives whatever its condition says would be read by every split:
    /// those of an `OR` without parentheses, of a part of a `UNION` without `$CONDITIONS`, of an
    /// aggregate over everything.
    fn refuse_unconditional_rows(&self, session: &mut dyn Session, all: ReadQuery) -> Result<()> {
        let Relation::Query(text) = &self.relation else { return Ok(()) };
        let never = Relation::Query(fill_conditions(text, "(1 = 0)"));
        match session.count(&ReadQuery { relation: never, ..all })? {
            Some(rows) if rows > 0 => Err(usage(format!(
                "the query gives {rows} rows even where $CONDITIONS is false, and every split would read them"
            ))
            .hint("write (a OR b) AND $CONDITIONS, give every SELECT of a UNION its own $CONDITIONS, or read with -m 1")),
            _ => Ok(()),
        }
    }

    fn ranges(
        &self,
        job: &JobSpec,
        session: &mut dyn Session,
        notes: &mut Vec<String>,
    ) -> Result<Vec<KeyRange>> {
        let Some(key) = &self.key else { return Ok(vec![KeyRange::All]) };
        let closed = job.split.boundary_query.is_some();
        if self.workers == 1 && !closed && job.split.limit == 0 {
            return Ok(vec![KeyRange::All]);
        }
        let pieces = pieces(self.workers, self.info.estimated_rows);
        let bounds = session.bounds(&BoundsRequest {
            relation: self.relation.clone(),
            filter: job.filter.clone(),
            key: key.clone(),
            pieces,
            boundary_query: job.split.boundary_query.clone(),
            estimated_rows: self.info.estimated_rows,
        })?;
        if closed {
            notes.push(
                "rows outside the boundary query's minimum and maximum, and rows whose key is NULL, are left out"
                    .to_string(),
            );
        }
        let nullable = key.column.as_ref().is_none_or(|c| c.nullable);
        split::ranges(
            key,
            &bounds,
            split::SplitWish { pieces, limit: job.split.limit, closed, nullable },
        )
    }
}

/// The relation as each range reads it. Points that a server sorted have the order of the key in a
/// query's result; inside the query its name may mean a column of another type or collation, by whose
/// order ranges overlap (`SELECT CAST(id AS CHAR) AS id`). There each range also asks for keys beyond
/// all earlier points, which makes a row the first range's that it fits, in any order.
fn disjoint(relation: &Relation, ranges: &[KeyRange], dialect: &dyn Dialect) -> Vec<Relation> {
    let mut beyond = String::new();
    let mut relations = Vec::with_capacity(ranges.len());
    for range in ranges {
        relations.push(match relation {
            Relation::Query(text) if !beyond.is_empty() && !matches!(range, KeyRange::Null(_)) => {
                Relation::Query(fill_conditions(text, &format!("($CONDITIONS{beyond})")))
            }
            _ => relation.clone(),
        });
        if let KeyRange::Between { key, lower: Some(point), .. } = range
            && matches!(point, KeyValue::Text(_) | KeyValue::Bytes(_) | KeyValue::Sql(_))
        {
            let literal = dialect.literal(point);
            // Would be filled in once more; the count still finds what this point would have kept apart.
            if !literal.contains("$CONDITIONS") {
                beyond.push_str(&format!(" AND {} >= {literal}", key.expr));
            }
        }
    }
    relations
}

/// All that the ranges cover, in one range that owes nothing to the points between them.
fn whole_range(ranges: &[KeyRange], closed: bool) -> KeyRange {
    match (ranges.first(), ranges.last()) {
        (Some(KeyRange::Between { key, lower, .. }), Some(KeyRange::Between { upper, .. }))
            if closed =>
        {
            let (key, lower, upper) = (key.clone(), lower.clone(), upper.clone());
            KeyRange::Between { key, lower, upper, upper_inclusive: true }
        }
        // A boundary query that answers NULL.
        (Some(only @ KeyRange::Null(_)), _) if closed => only.clone(),
        _ => KeyRange::All,
    }
}

/// Ranges for a number of workers: one each for a small table, several for a large one, so that a
/// worker with thin ranges takes over from one with thick ones.
fn pieces(workers: usize, estimated_rows: Option<u64>) -> usize {
    if workers == 1 {
        return 1;
    }
    let most = workers * SPLITS_PER_WORKER;
    match estimated_rows {
        None => workers * 2,
        Some(rows) => {
            let by_rows = usize::try_from(rows / ROWS_PER_SPLIT).unwrap_or(most);
            by_rows.clamp(workers, most)
        }
    }
}

fn output_column(job: &JobSpec, column: &ColumnInfo) -> Result<OutputColumn> {
    let wanted = job
        .overrides
        .iter()
        .find(|(name, _)| names::same_name(name, &column.name))
        .map(|(_, wanted)| *wanted);
    let mut choice = types::choose(column, wanted)?;
    // Delimited text has no form for lists: the database's own is kept.
    let is_list = matches!(column.data_type, DataType::List(_) | DataType::LargeList(_));
    if is_list && matches!(job.format, Format::Text(_)) {
        choice = Choice::AsText;
    }
    Ok(OutputColumn::new(column, choice))
}

/// The relation as people write it.
pub(crate) fn relation_label(relation: &Relation) -> String {
    match relation {
        Relation::Table(table) => table.to_string(),
        Relation::Query(query) => query.trim().to_string(),
    }
}

/// A part file's name: Sqoop's.
pub(crate) fn part_name(number: usize, format: &Format) -> String {
    format!("part-m-{number:05}{}", format.file_ending())
}

/// The statements of a plan for people.
pub(crate) fn plan_splits(prepared: &Prepared, session: &dyn Session) -> Vec<PlanSplit> {
    prepared
        .queries
        .iter()
        .map(|query| PlanSplit {
            kind: match query.range {
                KeyRange::All => "all",
                KeyRange::Between { .. } => "range",
                KeyRange::Null(_) => "null",
            },
            sql: query.to_sql(session.dialect()),
        })
        .collect()
}

/// The columns of a plan or manifest.
pub(crate) fn plan_columns(columns: &[OutputColumn]) -> Vec<PlanColumn> {
    columns
        .iter()
        .map(|c| PlanColumn {
            name: c.field.name().clone(),
            native_type: c.read.info.native_type.clone(),
            file_type: types::type_label(&c.field),
            nullable: c.field.is_nullable(),
        })
        .collect()
}

/// The kind of a column that the user gave another type.
fn kind_of(data_type: &DataType) -> ColumnKind {
    match data_type {
        DataType::Boolean => ColumnKind::Boolean,
        DataType::Float32 | DataType::Float64 => ColumnKind::Float,
        DataType::Decimal128(..) | DataType::Decimal256(..) => ColumnKind::Decimal,
        DataType::Date32 => ColumnKind::Date,
        DataType::Time64(_) => ColumnKind::Time,
        DataType::Timestamp(_, None) => ColumnKind::Timestamp,
        DataType::Timestamp(_, Some(_)) => ColumnKind::TimestampTz,
        DataType::Binary => ColumnKind::Bytes,
        integer if integer.is_integer() => ColumnKind::Integer,
        _ => ColumnKind::Text,
    }
}

/// A relation without columns gives no rows to import.
pub(crate) fn refuse_empty_columns(columns: &[ColumnInfo], what: &str) -> Result<()> {
    if columns.is_empty() {
        return Err(usage(format!("{what} has no columns to import")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spells texts only.
    struct Plain;

    impl Dialect for Plain {
        fn quote_ident(&self, name: &str) -> String {
            name.to_string()
        }
        fn literal(&self, value: &KeyValue) -> String {
            match value {
                KeyValue::Text(text) => format!("'{text}'"),
                other => panic!("{other:?}"),
            }
        }
        fn read_expr(&self, _: &ColumnInfo, expr: &str) -> String {
            expr.to_string()
        }
        fn text_expr(&self, _: &ColumnInfo, expr: &str) -> String {
            expr.to_string()
        }
    }

    #[test]
    fn ranges_of_a_query_are_disjoint_whatever_order_the_key_has_inside() {
        let key = SplitKey { expr: "id".to_string(), column: None };
        let text = |t: &str| Some(KeyValue::Text(t.to_string()));
        // The order of texts, in which numbers do not ascend.
        let points = [text("10"), text("2"), text("30")];
        let mut ranges: Vec<KeyRange> = (0..4)
            .map(|i: usize| KeyRange::Between {
                key: key.clone(),
                lower: i.checked_sub(1).and_then(|i| points[i].clone()),
                upper: points.get(i).cloned().flatten(),
                upper_inclusive: false,
            })
            .collect();
        ranges.push(KeyRange::Null(key));
        let query = Relation::Query("SELECT id FROM t WHERE $CONDITIONS".to_string());
        let sql: Vec<String> = disjoint(&query, &ranges, &Plain)
            .iter()
            .zip(&ranges)
            .map(|(relation, range)| match relation {
                Relation::Query(text) => fill_conditions(text, &range.to_sql(&Plain).unwrap()),
                Relation::Table(_) => unreachable!(),
            })
            .collect();
        let select = "SELECT id FROM t WHERE ";
        assert_eq!(sql[0], format!("{select}(id < '10')"));
        assert_eq!(sql[1], format!("{select}(id >= '10' AND id < '2')"));
        assert_eq!(sql[2], format!("{select}((id >= '2' AND id < '30') AND id >= '10')"));
        assert_eq!(sql[3], format!("{select}((id >= '30') AND id >= '10' AND id >= '2')"));
        assert_eq!(sql[4], format!("{select}(id IS NULL)"));
    }
}
