//! Ranges of a table's storage: `ctid`, by pages.
//!
//! A range of `ctid` over a partitioned table reads those pages in every partition, so the points
//! lie where the pages of all partitions together divide evenly. Pages that come to a table after
//! they were counted belong to the last, open range.

use rsqoop_connector::{Bounds, KeyValue, Result, StorageKey};
use sqlx::Row;

use crate::catalog::Found;
use crate::error;
use crate::link::Link;

/// The key's SQL; no column of a user's can have this name.
pub(crate) const EXPR: &str = "ctid";
/// The first version that reads a range of `ctid` without reading the rest of the table.
const RANGE_SCANS_SINCE: u32 = 14;
/// From this many pages on the order of the rows matters.
const PAGES_MIN: u64 = 4_000;
/// Below this the rows of a range of keys lie all over the table.
const CORRELATION_MIN: f64 = 0.8;

/// A first column of a primary key with fewer values than this says little of where rows lie.
const DISTINCT_MIN: f64 = 1_000.0;

/// A table or partition with rows of its own.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// Pages as of now.
    pub(crate) pages: u64,
    /// Pages when the statistics were gathered.
    pub(crate) analysed_pages: u64,
    /// Whether it is an ordinary heap.
    heap: bool,
    /// How far the order of the rows is that of the key's first column.
    correlation: Option<f64>,
    /// Different values of that column: a number, or with a minus a share of the rows.
    distinct: Option<f64>,
}

const LEAVES: &str = "WITH RECURSIVE t (oid) AS (SELECT $1::pg_catalog.oid UNION \
    SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN t ON i.inhparent = t.oid) \
    SELECT pg_catalog.pg_relation_size(c.oid) \
    / pg_catalog.current_setting('block_size')::pg_catalog.int8, \
    c.relpages::pg_catalog.int8, \
    c.relkind IN ('r', 'm') AND COALESCE(a.amname = 'heap', false), \
    s.correlation::pg_catalog.float8, s.n_distinct::pg_catalog.float8 FROM t JOIN pg_catalog.pg_class c ON c.oid = t.oid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam \
    LEFT JOIN LATERAL (SELECT s.* FROM pg_catalog.pg_stats s \
    WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = $2 \
    AND NOT s.inherited) AS s ON $2::pg_catalog.text IS NOT NULL WHERE c.relkind <> 'p'";

/// The tables that hold the rows of `found`, with the correlation of `column` if one is named.
pub(crate) fn leaves(link: &mut Link, found: &Found, column: Option<&str>) -> Result<Vec<Leaf>> {
    let oid = found.oid();
    let rows = link.run(async |c| {
        sqlx::query(LEAVES).persistent(false).bind(oid).bind(column).fetch_all(c).await
    })?;
    let pages = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    rows.iter()
        .map(|row| {
            Ok(Leaf {
                pages: pages(row.try_get(0)?),
                analysed_pages: pages(row.try_get(1)?),
                heap: row.try_get(2)?,
                correlation: row.try_get(3)?,
                distinct: row.try_get(4)?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(error::statement)
}

/// Whether ranges of `ctid` are read as such in all of them.
fn is_usable(link: &Link, leaves: &[Leaf]) -> bool {
    link.major() >= RANGE_SCANS_SINCE && !leaves.is_empty() && leaves.iter().all(|leaf| leaf.heap)
}

/// The storage key of a table, and whether it serves better than its primary key.
pub(crate) fn key(
    link: &mut Link,
    found: &Found,
    primary_key: &[String],
) -> Result<Option<StorageKey>> {
    if !found.has_storage() || link.major() < RANGE_SCANS_SINCE {
        return Ok(None);
    }
    let first = primary_key.first();
    let leaves = leaves(link, found, first.map(String::as_str))?;
    if !is_usable(link, &leaves) {
        return Ok(None);
    }
    let preferred = preferred(primary_key, &leaves);
    Ok(Some(StorageKey { expr: EXPR.to_string(), preferred }))
}

fn preferred(primary_key: &[String], leaves: &[Leaf]) -> Option<String> {
    let column = primary_key.first()?;
    let pages: u64 = leaves.iter().map(|leaf| leaf.pages).sum();
    if pages <= PAGES_MIN {
        return None;
    }
    let (mut weight, mut sum) = (0.0, 0.0);
    for leaf in leaves {
        if let Some(correlation) = leaf.correlation {
            let pages = leaf.pages.max(1) as f64;
            weight += pages;
            sum += pages * correlation.abs();
        }
    }
    let mean = sum / weight;
    if weight > 0.0 && mean < CORRELATION_MIN {
        return Some(format!(
            "the rows do not lie in the order of {column} (correlation {mean:.2}, {pages} pages)"
        ));
    }
    // The statistics know nothing of the order within one value of the first column.
    let few = |leaf: &Leaf| leaf.distinct.is_some_and(|n| n > 0.0 && n < DISTINCT_MIN);
    let largest = leaves.iter().max_by_key(|leaf| leaf.pages)?;
    (primary_key.len() > 1 && few(largest)).then(|| {
        format!("the primary key begins with {column}, which has few values ({pages} pages)")
    })
}

/// Points between about equal numbers of pages; nothing where ranges of `ctid` are not read as
/// such.
pub(crate) fn bounds(link: &mut Link, found: &Found, pieces: usize) -> Result<Option<Bounds>> {
    let leaves = leaves(link, found, None)?;
    if !is_usable(link, &leaves) {
        return Ok(None);
    }
    let pages: Vec<u64> = leaves.iter().map(|leaf| leaf.pages).collect();
    let points = cuts(pages, pieces)
        .into_iter()
        .map(|page| KeyValue::Sql(format!("'({page},0)'::tid")))
        .collect();
    Ok(Some(Bounds::Points(points)))
}

/// The page numbers below which 1/n, 2/n … of all pages of all tables lie.
fn cuts(mut tables: Vec<u64>, pieces: usize) -> Vec<u64> {
    tables.sort_unstable();
    let total: u128 = tables.iter().copied().map(u128::from).sum();
    let pieces = pieces.max(1) as u128;
    let mut points = Vec::new();
    // Below page `floor` lie `before` pages; from there on `tables[from..]` still have pages.
    let (mut from, mut floor, mut before) = (0, 0u64, 0u128);
    for k in 1..pieces {
        let target = total * k / pieces;
        while let Some(pages) = tables.get(from) {
            let step = u128::from(pages - floor) * (tables.len() - from) as u128;
            if before + step > target {
                break;
            }
            (from, floor, before) = (from + 1, *pages, before + step);
        }
        let alive = (tables.len() - from) as u128;
        if alive == 0 {
            break;
        }
        let page = floor + u64::try_from((target - before) / alive).unwrap_or(0);
        if page > points.last().copied().unwrap_or(0) {
            points.push(page);
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_all_tables_divide_evenly() {
        assert_eq!(cuts(vec![100], 4), [25, 50, 75]);
        assert_eq!(cuts(vec![100, 100], 4), [25, 50, 75]);
        // 10 + 10 + 100: up to page 10 three tables are read, above it one.
        assert_eq!(cuts(vec![100, 10, 10], 4), [10, 40, 70]);
        assert_eq!(cuts(vec![3], 8), [1, 2]);
        for none in [vec![], vec![0], vec![1], vec![1, 1, 1]] {
            assert_eq!(cuts(none, 4), [0u64; 0]);
        }
        assert_eq!(cuts(vec![100], 1), [0u64; 0]);
    }

    #[test]
    fn a_far_order_of_many_rows_prefers_the_storage() {
        let leaf = |pages, correlation| Leaf {
            pages,
            analysed_pages: 0,
            heap: true,
            correlation,
            distinct: Some(7.0),
        };
        let key = ["id".to_string()];
        let reason = preferred(&key, &[leaf(5_000, Some(-0.02))]).unwrap();
        assert!(reason.contains("correlation 0.02"), "{reason}");
        assert_eq!(preferred(&key, &[leaf(5_000, Some(-1.0))]), None);
        assert_eq!(preferred(&key, &[leaf(3_000, Some(0.0))]), None);
        assert_eq!(preferred(&key, &[leaf(5_000, None)]), None);
        assert_eq!(preferred(&[], &[leaf(5_000, Some(0.0))]), None);
        assert!(preferred(&key, &[leaf(3_000, Some(0.1)), leaf(3_000, None)]).is_some());
        let two = ["kind".to_string(), "id".to_string()];
        let reason = preferred(&two, &[leaf(5_000, Some(1.0))]).unwrap();
        assert!(reason.contains("begins with kind"), "{reason}");
    }
}
