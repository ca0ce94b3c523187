//! From what the user wants to how it is done: columns and types, the split key, ranges, files.
//!
//! Planning has two stages, because ranges must come from the snapshot that is read: [`Draft`] needs
//! one session and no snapshot, [`Draft::finish`] asks a session that sees the snapshot.

mod key;
mod names;
mod prepared;
pub(crate) mod split;
pub(crate) mod types;

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use rsqoop_connector::{
    Bounds, BoundsRequest, ColumnInfo, ColumnKind, Dialect, KeyRange, KeyValue, ReadColumn,
    ReadQuery, Relation, RelationKind, Result, Session, SplitKey, TableInfo, fill_conditions,
};
use serde::{Deserialize, Serialize};

use crate::job::{Format, JobSpec, Verify, usage};
use crate::run::regions::{self, Grain};
use types::Choice;

pub(crate) use prepared::Prepared;

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
    /// What each worker has before it at the beginning.
    pub splits: Vec<PlanSplit>,
    /// Pieces into which these can be cut.
    pub pieces: usize,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Pieces of about equal size in it; whoever runs dry takes some over.
    pub pieces: usize,
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
    /// Several statements can see one state.
    pub(crate) shared_state: bool,
    /// The key is where the rows lie: its ranges mean nothing in another state of the table.
    pub(crate) by_place: bool,
    /// Every row has a key.
    key_is_total: bool,
    whole: bool,
}

/// Estimated rows of a piece below which cutting finer costs more than it balances.
const ROWS_PER_PIECE: u64 = 10_000;

/// The same in bytes on the server, where rows are wide or nobody has counted them.
const BYTES_PER_PIECE: u64 = 2 << 20;

/// Rows and bytes from which a lone worker, too, reads in pieces, so that a run that dies leaves
/// something.
const ROWS_ALONE: u64 = 4_000_000;
const BYTES_ALONE: u64 = 512 << 20;

/// Bytes on the server that one statement reads at most where pieces can be told apart so far: only
/// between statements is there a place at which rows are safe, or another file can be begun.
const STATEMENT_BYTES_MAX: u64 = 512 << 20;

/// Pieces per worker at most: the last of them takes 1.6 % of the time.
const PIECES_PER_WORKER: usize = 64;

/// The same at least, where there is more than one.
const PIECES_LEAST: usize = 8;

/// The same where every piece is a statement of its own.
const SINGLES_PER_WORKER: usize = 8;

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
            shared_state: true,
            by_place: choice.by_place,
            key_is_total: choice.total,
            whole,
        })
    }

    /// Everything that decides which rows go where and how they look, as text.
    pub(crate) fn fingerprint(&self, job: &JobSpec) -> String {
        serde_json::json!({
            "source": job.source.redacted(),
            "relation": self.relation,
            "columns": plan_columns(&self.columns),
            "where": job.filter,
            "key": self.key.as_ref().map(|k| &k.expr),
            "split": [&job.split.boundary_query, &Some(job.split.limit.to_string())],
            "format": job.format,
            "existing": job.existing,
        })
        .to_string()
    }

    /// Asks for the key's extent and makes the statements. With `pieces` of an earlier try, those are
    /// taken.
    pub(crate) fn finish(
        self,
        job: &JobSpec,
        session: &mut dyn Session,
        pieces: Option<Vec<KeyRange>>,
    ) -> Result<(Prepared, Vec<String>)> {
        let mut notes = self.notes.clone();
        let (ranges, equal_rows) = match pieces {
            Some(pieces) => (pieces, true),
            None => self.ranges(job, session, &mut notes)?,
        };
        let read_schema = Arc::new(Schema::new(
            self.columns.iter().map(|c| c.read_field.clone()).collect::<Vec<_>>(),
        ));
        let key_column = self.key.as_ref().and_then(|k| k.column.as_ref()).map(|c| c.name.clone());
        let row_name = key_column.as_ref().or(self.info.primary_key.first());
        let key_index =
            row_name.and_then(|name| self.columns.iter().position(|c| c.field.name() == name));
        let base = ReadQuery {
            relation: self.relation.clone(),
            columns: self.columns.iter().map(|c| c.read.clone()).collect(),
            whole: self.whole,
            filter: job.filter.clone(),
            range: KeyRange::All,
            schema: read_schema,
            batch_rows: job.limits.batch_rows,
            batch_bytes: job.limits.batch_bytes,
            fetch_size: job.fetch_size,
            key: key_index,
        };
        if ranges.len() > 1 {
            self.refuse_unconditional_rows(session, base.clone())?;
        }
        let closed = job.split.boundary_query.is_some();
        let count = match self.info.kind {
            _ if job.verify == Verify::Count => Ok(()),
            RelationKind::Query if ranges.len() == 1 => Err("a query is not run twice".to_string()),
            RelationKind::View => Err("a view is not run twice".to_string()),
            _ => Ok(()),
        };
        let relations = disjoint(&self.relation, &ranges, session.dialect());
        let grain = match &relations {
            Some(_) => Grain::Single,
            // Sqoop's: no split may be wider.
            None if job.split.limit > 0 => Grain::Single,
            None if equal_rows => Grain::EqualRows,
            None => Grain::EqualWidth,
        };
        let schema =
            Arc::new(Schema::new(self.columns.iter().map(|c| c.field.clone()).collect::<Vec<_>>()));
        let prepared = Prepared {
            base,
            longest: longest(ranges.len(), self.info.estimated_bytes),
            pieces: ranges,
            relations,
            grain,
            closed,
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

    /// The pieces, and whether they have about equal rows.
    fn ranges(
        &self,
        job: &JobSpec,
        session: &mut dyn Session,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<KeyRange>, bool)> {
        let Some(key) = &self.key else { return Ok((vec![KeyRange::All], true)) };
        let closed = job.split.boundary_query.is_some();
        let mut pieces = pieces(self.workers, self.info.estimated_rows, self.info.estimated_bytes);
        // A lone statement needs no snapshot; several do.
        let alone = pieces == 1 || (self.workers == 1 && !self.shared_state);
        if alone && !closed && job.split.limit == 0 {
            return Ok((vec![KeyRange::All], true));
        }
        if matches!(self.relation, Relation::Query(_)) {
            pieces = pieces.min(self.workers * SINGLES_PER_WORKER);
        }
        let bounds = session.bounds(&BoundsRequest {
            relation: self.relation.clone(),
            filter: job.filter.clone(),
            key: key.clone(),
            pieces,
            boundary_query: job.split.boundary_query.clone(),
            estimated_rows: self.info.estimated_rows,
            extent: job.split.limit > 0,
        })?;
        if closed {
            notes.push(
                "rows outside the boundary query's minimum and maximum, and rows whose key is NULL, are left out"
                    .to_string(),
            );
        }
        let nullable = key.column.as_ref().is_none_or(|c| c.nullable) && !self.key_is_total;
        let equal_rows = matches!(bounds, Bounds::Points(_));
        let wish = split::SplitWish { pieces, limit: job.split.limit, closed, nullable };
        Ok((split::ranges(key, &bounds, wish)?, equal_rows))
    }
}

/// The relation as each range reads it. Points that a server sorted have the order of the key in a
/// query's result; inside the query its name may mean a column of another type or collation, by whose
/// order ranges overlap (`SELECT CAST(id AS CHAR) AS id`). There each range also asks for keys beyond
/// all earlier points, which makes a row the first range's that it fits, in any order.
fn disjoint(
    relation: &Relation,
    ranges: &[KeyRange],
    dialect: &dyn Dialect,
) -> Option<Vec<Relation>> {
    let Relation::Query(text) = relation else { return None };
    let mut beyond = String::new();
    let mut relations = Vec::with_capacity(ranges.len());
    for range in ranges {
        relations.push(if beyond.is_empty() || matches!(range, KeyRange::Null(_)) {
            relation.clone()
        } else {
            Relation::Query(fill_conditions(text, &format!("($CONDITIONS{beyond})")))
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
    (!beyond.is_empty()).then_some(relations)
}

/// Pieces for a number of workers: one each for a small table, many for a large one, so that whoever
/// is free takes over what others have not begun.
fn pieces(workers: usize, rows: Option<u64>, bytes: Option<u64>) -> usize {
    if workers == 1 && rows.unwrap_or(0) < ROWS_ALONE && bytes.unwrap_or(0) < BYTES_ALONE {
        return 1;
    }
    let most = workers * PIECES_PER_WORKER;
    let wanted = |amount: u64, each: u64| usize::try_from(amount / each).unwrap_or(most);
    let (by_rows, by_bytes) =
        (rows.map(|n| wanted(n, ROWS_PER_PIECE)), bytes.map(|n| wanted(n, BYTES_PER_PIECE)));
    let pieces = match (by_rows, by_bytes) {
        (None, None) => workers * 2,
        // A few more than workers would leave some of them with twice the work of others.
        (rows, bytes) => {
            rows.max(bytes).filter(|n| *n >= workers * PIECES_LEAST).unwrap_or(workers)
        }
    };
    pieces.clamp(workers, most)
}

/// Pieces that one statement may read.
fn longest(pieces: usize, bytes: Option<u64>) -> usize {
    let statements = bytes.unwrap_or(0).div_ceil(STATEMENT_BYTES_MAX).max(1);
    pieces.div_ceil(usize::try_from(statements).unwrap_or(pieces)).max(1)
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

/// The statements of a plan for people: what each worker has before it. Pieces that are read one by
/// one are listed so.
pub(crate) fn plan_splits(prepared: &Prepared, session: &dyn Session) -> Vec<PlanSplit> {
    let (together, alone) = prepared.todo(&[]);
    let workers =
        if prepared.grain == Grain::Single { prepared.pieces.len() } else { prepared.workers };
    let regions = regions::shares(&together, workers);
    regions
        .into_iter()
        .chain(alone)
        .map(|run| {
            let query = prepared.query(&run);
            PlanSplit {
                kind: match query.range {
                    KeyRange::All => "all",
                    KeyRange::Between { .. } => "range",
                    KeyRange::Null(_) => "null",
                },
                pieces: run.len(),
                sql: query.to_sql(session.dialect()),
            }
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
        let key = SplitKey::new("id".to_string(), None);
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
            .unwrap()
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
