//! Which rows are looked at to find points: all of few, a sample of many.

use rsqoop_connector::{BoundsRequest, Dialect, Relation, Result};

use crate::catalog::{self, Found};
use crate::dialect::PostgresDialect;
use crate::link::Link;
use crate::{describe, storage};

/// Up to this many rows are sorted to find the points.
pub(crate) const EXACT_ROWS: u64 = 100_000;
/// A sample with fewer rows says nothing.
pub(crate) const SAMPLE_MIN: u64 = 1_000;
/// Rows of a sample.
const SAMPLE_ROWS: f64 = 30_000.0;
/// Pages of a sample: many more than rows would need, since the rows of a page have near keys.
const SAMPLE_PAGES: f64 = 1_000.0;

/// The rows that are to be split, as far as is known.
#[derive(Debug)]
pub(crate) struct Rows {
    /// How many, by the planner, which looks at the size of the files.
    pub(crate) count: Option<u64>,
    /// The table, where it has pages to take a sample from.
    pub(crate) table: Option<Found>,
    pages: u64,
    analysed_pages: u64,
}

impl Rows {
    /// Asks the catalogue and the planner.
    pub(crate) fn of(link: &mut Link, request: &BoundsRequest) -> Result<Self> {
        let from = request.from_sql(&PostgresDialect);
        let plan = describe::explain(link, &format!("SELECT 1 FROM {from}"))?;
        let count = plan.and_then(|plan| plan.rows).or(request.estimated_rows);
        let mut rows = Rows { count, table: None, pages: 0, analysed_pages: 0 };
        if let Relation::Table(table) = &request.relation {
            let found = catalog::find(link, table)?;
            if found.has_storage() {
                let leaves = storage::leaves(link, &found, None)?;
                rows.pages = leaves.iter().map(|leaf| leaf.pages).sum();
                rows.analysed_pages = leaves.iter().map(|leaf| leaf.analysed_pages).sum();
                rows.table = Some(found);
            }
        }
        Ok(rows)
    }

    /// Whether there are so many that only some are looked at.
    pub(crate) fn are_many(&self) -> bool {
        self.count.is_some_and(|count| count > EXACT_ROWS)
    }

    /// Whether the table has about the size that its statistics were gathered from.
    pub(crate) fn is_analysed(&self) -> bool {
        let (now, then) = (self.pages, self.analysed_pages);
        then > 0 && now * 10 <= then * 12 && then * 10 <= now * 12
    }

    /// The `FROM` and `WHERE` of a sample of pages, where the table has pages.
    pub(crate) fn of_pages(&self, request: &BoundsRequest) -> Option<String> {
        let Relation::Table(table) = &request.relation else { return None };
        self.table.as_ref()?;
        let share = (SAMPLE_PAGES / self.pages.max(1) as f64).min(1.0);
        let name = PostgresDialect.quote_table(table);
        let expected = self.count.unwrap_or(0) as f64 * share;
        let mut conditions: Vec<String> =
            request.filter.iter().map(|filter| format!("({filter}\n)")).collect();
        if expected > SAMPLE_ROWS {
            conditions.push(format!("pg_catalog.random() < {:.9}", SAMPLE_ROWS / expected));
        }
        let condition = match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(" AND ")),
        };
        Some(format!("{name} TABLESAMPLE SYSTEM ({:.8}){condition}", share * 100.0))
    }

    /// All of few rows; of many, some: all of them are made, but few are sorted.
    pub(crate) fn thinned(&self, request: &BoundsRequest) -> String {
        let from = request.from_sql(&PostgresDialect);
        if !self.are_many() {
            return from;
        }
        let share = SAMPLE_ROWS / self.count.unwrap_or(1).max(1) as f64;
        let filtered = matches!(request.relation, Relation::Table(_)) && request.filter.is_some();
        let join = if filtered { "AND" } else { "WHERE" };
        format!("{from} {join} pg_catalog.random() < {share:.9}")
    }
}

/// A count the server answered.
pub(crate) fn counted(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
