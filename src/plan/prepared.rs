//! A plan ready to run: the pieces of the key, and the statement for any run of neighbouring ones.

use arrow_schema::SchemaRef;
use rsqoop_connector::{KeyRange, ReadQuery, Relation};

use super::OutputColumn;
use crate::run::regions::{self, Grain, Run};

/// Everything a run needs.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// The statement over all rows.
    pub(crate) base: ReadQuery,
    /// The pieces of the key in the server's order, disjoint; the one of NULL keys last.
    pub(crate) pieces: Vec<KeyRange>,
    /// The relation for each piece, where pieces would overlap without conditions of their own.
    pub(crate) relations: Option<Vec<Relation>>,
    pub(crate) grain: Grain,
    /// Pieces that one statement may read.
    pub(crate) longest: usize,
    /// The ends are the user's own: rows outside are left out.
    pub(crate) closed: bool,
    pub(crate) columns: Vec<OutputColumn>,
    pub(crate) schema: SchemaRef,
    pub(crate) workers: usize,
    /// Name of the plain column that rows are cut by.
    pub(crate) key_column: Option<String>,
    /// Whether the server counts the rows, or why it does not.
    pub(crate) count: Result<(), String>,
}

impl Prepared {
    /// The statement that reads a run of pieces.
    pub(crate) fn query(&self, run: &Run) -> ReadQuery {
        let range = match (&self.pieces[run.start], &self.pieces[run.end - 1]) {
            (first, _) if run.len() == 1 => first.clone(),
            (
                KeyRange::Between { key, lower, .. },
                KeyRange::Between { upper, upper_inclusive, .. },
            ) => KeyRange::Between {
                key: key.clone(),
                lower: lower.clone(),
                upper: upper.clone(),
                upper_inclusive: *upper_inclusive,
            },
            // `todo` never joins others; one condition fewer reads more, and is found out.
            _ => KeyRange::All,
        };
        let relation = self.relations.as_ref().map_or(&self.base.relation, |r| &r[run.start]);
        ReadQuery { range, relation: relation.clone(), ..self.base.clone() }
    }

    /// What is left when `done` is done: pieces that can be read together with their neighbours, and
    /// runs that cannot.
    pub(crate) fn todo(&self, done: &[Run]) -> (Vec<Run>, Vec<Run>) {
        let joined = self
            .pieces
            .iter()
            .position(|p| !matches!(p, KeyRange::Between { .. }))
            .unwrap_or(self.pieces.len());
        let rest = regions::rest(self.pieces.len(), done);
        let together =
            rest.iter().map(|r| r.start..r.end.min(joined)).filter(|r| !r.is_empty()).collect();
        let alone = rest.iter().flat_map(|r| r.start.max(joined)..r.end).map(|i| i..i + 1);
        (together, alone.collect())
    }

    /// The statements over everything that is read from this snapshot, which owe nothing to the points
    /// between pieces where everything is.
    pub(crate) fn whole(&self, done: &[Run]) -> Vec<ReadQuery> {
        let (together, alone) = self.todo(done);
        if done.is_empty() && !self.closed {
            return vec![self.base.clone()];
        }
        if done.is_empty() && together.len() == 1 && alone.is_empty() {
            return vec![ReadQuery {
                relation: self.base.relation.clone(),
                ..self.query(&together[0])
            }];
        }
        let runs: Vec<Run> = match self.relations {
            Some(_) => together.into_iter().flatten().map(|i| i..i + 1).collect(),
            None => together,
        };
        runs.iter().chain(&alone).map(|run| self.query(run)).collect()
    }
}
