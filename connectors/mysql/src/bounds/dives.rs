//! Points with about equal numbers of rows between them, from the server's own estimates.
//!
//! For a range of an index both servers descend the tree at its two ends and tell how many rows lie
//! between ("index dive"): a fraction of a millisecond, whatever the table's size. The key's extent
//! is cut again and again where most rows are. Only numbers, dates and timestamps, whose middle can
//! be computed; estimates are without the user's filter.

use std::time::{Duration, Instant};

use rsqoop_connector::{Dialect, KeyValue, Result, TableName};

use super::Key;
use crate::dialect::{MySqlDialect, ident};
use crate::types::Class;
use crate::wire::Conn;

/// Longest time for all dives of one request.
const TIME: Duration = Duration::from_millis(120);
/// Ranges per statement.
const BATCH: usize = 100;
/// Pieces that the extent is cut into before anything is known.
const START: i128 = 8;

/// An index whose first columns are the key's.
#[derive(Debug)]
pub(super) struct Index {
    name: String,
}

/// The index to dive into, of those that begin with `columns`; the primary key first.
pub(super) fn index(conn: &mut Conn, table: &TableName, columns: &[&str]) -> Result<Option<Index>> {
    let sql = format!("SHOW INDEX FROM {}", MySqlDialect.quote_table(table));
    // A view, or a table that this login may not look at so closely.
    let Ok(rows) = conn.rows(&sql) else { return Ok(None) };
    let text = |row: &[Option<String>], i: usize| row.get(i).cloned().flatten();
    let mut found: Vec<(String, usize)> = Vec::new();
    for row in &rows {
        let (Some(name), Some(seq), Some(column)) = (text(row, 2), text(row, 3), text(row, 4))
        else {
            continue;
        };
        // MySQL says "visible: NO", MariaDB "ignored: YES".
        let unused = if conn.mariadb { "YES" } else { "NO" };
        let usable = text(row, 10).as_deref() == Some("BTREE")
            && text(row, 7).is_none()
            && text(row, 5).as_deref() == Some("A")
            && text(row, 13).as_deref() != Some(unused);
        let Ok(seq) = seq.parse::<usize>() else { continue };
        if seq == 1 {
            found.push((name.clone(), 0));
        }
        let Some(entry) = found.iter_mut().find(|(n, _)| *n == name) else { continue };
        let fits = columns.get(seq - 1).is_some_and(|c| c.eq_ignore_ascii_case(&column));
        if usable && fits && entry.1 == seq - 1 {
            entry.1 = seq;
        }
    }
    found.retain(|(_, n)| *n == columns.len());
    found.sort_by_key(|(name, _)| name != "PRIMARY");
    Ok(found.into_iter().next().map(|(name, _)| Index { name }))
}

/// The column that an expression names, if it is nothing but that.
pub(super) fn plain_column(expr: &str) -> Option<String> {
    if let Some(inner) = expr.strip_prefix('`').and_then(|e| e.strip_suffix('`')) {
        let name = inner.replace("``", "`");
        return (inner.matches('`').count() == 2 * name.matches('`').count()).then_some(name);
    }
    let plain = expr.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
    let number = expr.chars().all(|c| c.is_ascii_digit());
    (plain && !number).then(|| expr.to_string())
}

/// A key value as a number that can be computed with.
pub(super) fn number(value: &KeyValue) -> Option<i128> {
    match value {
        KeyValue::Integer(n) => Some(*n),
        KeyValue::Decimal { unscaled, .. } => Some(*unscaled),
        KeyValue::Date(days) => Some((*days).into()),
        KeyValue::Timestamp(us) | KeyValue::TimestampTz(us) => Some((*us).into()),
        _ => None,
    }
}

/// The value of the same kind as `kind` with this number.
pub(super) fn value(kind: &KeyValue, n: i128) -> Option<KeyValue> {
    Some(match kind {
        KeyValue::Integer(_) => KeyValue::Integer(n),
        KeyValue::Decimal { scale, .. } => KeyValue::Decimal { unscaled: n, scale: *scale },
        KeyValue::Date(_) => KeyValue::Date(i32::try_from(n).ok()?),
        KeyValue::Timestamp(_) => KeyValue::Timestamp(i64::try_from(n).ok()?),
        KeyValue::TimestampTz(_) => KeyValue::TimestampTz(i64::try_from(n).ok()?),
        _ => return None,
    })
}

/// The end of an extent, not included. The day after the last one that a calendar has cannot be
/// written, so that of dates and timestamps leaves the largest out.
pub(super) fn end(kind: &KeyValue, lo: i128, hi: i128) -> i128 {
    match kind {
        KeyValue::Integer(_) | KeyValue::Decimal { .. } => hi + 1,
        _ => hi.max(lo + 1),
    }
}

/// Whether ranges of the key are ranges of an index. Bit fields and enumerations compare as numbers,
/// which their index is not used for.
pub(super) fn can_dive(key: &Key) -> bool {
    matches!(
        key.class,
        Class::Integer | Class::Decimal | Class::Date | Class::DateTime | Class::Timestamp
    )
}

/// A part of the extent, `lo` included and `hi` not, with the rows that are said to be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) lo: i128,
    pub(super) hi: i128,
    pub(super) rows: u64,
}

/// One key column in one index.
#[derive(Debug)]
pub(super) struct Diver<'a> {
    pub(super) table: &'a TableName,
    pub(super) index: &'a Index,
    pub(super) key: &'a Key,
    /// `a = 5 AND `, where the column is not the index's first.
    pub(super) prefix: String,
    /// A value of the key's kind.
    pub(super) kind: &'a KeyValue,
}

impl Index {
    pub(super) fn source(&self, table: &TableName) -> String {
        format!("{} FORCE INDEX ({})", MySqlDialect.quote_table(table), ident(&self.name))
    }
}

impl Diver<'_> {
    /// Estimates of the rows in these ranges. `None` when the server answers otherwise than
    /// expected: then it is done without.
    fn dive(&self, conn: &mut Conn, ranges: &[(i128, i128)]) -> Option<Vec<u64>> {
        let mut out = Vec::with_capacity(ranges.len());
        for batch in ranges.chunks(BATCH) {
            let mut parts = Vec::with_capacity(batch.len());
            for (lo, hi) in batch {
                let (lo, hi) = (value(self.kind, *lo)?, value(self.kind, *hi)?);
                parts.push(format!(
                    "SELECT {k} FROM {from} WHERE {prefix}{k} >= {lo} AND {k} < {hi}",
                    k = self.key.expr,
                    from = self.index.source(self.table),
                    prefix = self.prefix,
                    lo = MySqlDialect.literal(&lo),
                    hi = MySqlDialect.literal(&hi),
                ));
            }
            let sql = format!("EXPLAIN FORMAT=TRADITIONAL {}", parts.join(" UNION ALL "));
            let rows = conn.rows(&sql).ok()?;
            let estimates: Vec<u64> = rows.iter().filter_map(|row| estimate(row)).collect();
            if estimates.len() != batch.len() {
                return None;
            }
            out.extend(estimates);
        }
        Some(out)
    }

    /// Cuts `lo..hi` into pieces of at most about a `wanted`-th of the rows.
    pub(super) fn refine(
        &self,
        conn: &mut Conn,
        (lo, hi): (i128, i128),
        wanted: usize,
        budget: &mut Budget,
    ) -> Option<Vec<Piece>> {
        let mut pieces = self.measured(conn, &cut(lo, hi, START), budget)?;
        loop {
            let total: u64 = pieces.iter().map(|p| p.rows).sum();
            let target = (total / wanted as u64).max(1);
            // With few pieces finer ones cost next to nothing.
            let most = if wanted <= 16 { target.div_ceil(3) } else { target };
            let mut large: Vec<usize> = (0..pieces.len())
                .filter(|i| pieces[*i].rows > most && pieces[*i].hi - pieces[*i].lo > 1)
                .collect();
            large.sort_by_key(|i| std::cmp::Reverse(pieces[*i].rows));
            // One statement a round, so that the time is looked at often.
            large.truncate((BATCH / 4).min(budget.left() / 4));
            if large.is_empty() || budget.is_over() {
                return Some(pieces);
            }
            let ranges: Vec<(i128, i128)> = large
                .iter()
                .map(|i| pieces[*i])
                .flat_map(|p| cut(p.lo, p.hi, if p.rows > 2 * most { 4 } else { 2 }))
                .collect();
            let finer = self.measured(conn, &ranges, budget)?;
            let mut next: Vec<Piece> = (0..pieces.len())
                .filter(|i| !large.contains(i))
                .map(|i| pieces[i])
                .chain(finer)
                .collect();
            next.sort_by_key(|p| p.lo);
            pieces = next;
        }
    }

    fn measured(
        &self,
        conn: &mut Conn,
        ranges: &[(i128, i128)],
        budget: &mut Budget,
    ) -> Option<Vec<Piece>> {
        budget.dives = budget.dives.saturating_sub(ranges.len());
        let rows = self.dive(conn, ranges)?;
        Some(
            ranges
                .iter()
                .zip(rows)
                .map(|((lo, hi), rows)| Piece { lo: *lo, hi: *hi, rows })
                .collect(),
        )
    }
}

/// What may still be spent.
#[derive(Debug)]
pub(super) struct Budget {
    dives: usize,
    until: Instant,
}

impl Budget {
    pub(super) fn new(pieces: usize) -> Budget {
        Budget { dives: 4 * pieces + 300, until: Instant::now() + TIME }
    }

    fn left(&self) -> usize {
        self.dives
    }

    fn is_over(&self) -> bool {
        self.dives < 4 || Instant::now() >= self.until
    }
}

/// The `rows` of a line that reads a table. MySQL has two columns more, `partitions` and `filtered`.
fn estimate(row: &[Option<String>]) -> Option<u64> {
    let kind = row.get(1)?.as_deref()?;
    if !matches!(kind, "SIMPLE" | "PRIMARY" | "UNION") {
        return None;
    }
    let at = if row.len() >= 12 { 9 } else { 8 };
    // No number: the optimizer has seen that there are none.
    Some(row.get(at)?.as_deref().and_then(|n| n.parse().ok()).unwrap_or(0))
}

/// At most `n` parts of about the same width.
fn cut(lo: i128, hi: i128, n: i128) -> Vec<(i128, i128)> {
    let width = hi - lo;
    let n = n.min(width).max(1);
    let at = |i: i128| lo + width / n * i + width % n * i / n;
    (0..n).map(|i| (at(i), at(i + 1))).collect()
}

/// Where `wanted` equal numbers of rows end: pairs of a piece's index and a number in it, strictly
/// ascending, none at the very beginning.
pub(super) fn borders(pieces: &[Piece], wanted: usize) -> Vec<(usize, i128)> {
    let total: u128 = pieces.iter().map(|p| u128::from(p.rows)).sum();
    let wanted = wanted as u128;
    let mut out: Vec<(usize, i128)> = Vec::new();
    let (mut at, mut before) = (0, 0u128);
    for i in 1..wanted {
        let goal = total * i / wanted;
        while at < pieces.len() && before + u128::from(pieces[at].rows) <= goal {
            before += u128::from(pieces[at].rows);
            at += 1;
        }
        let Some(piece) = pieces.get(at) else { break };
        let (part, rows) = (goal - before, u128::from(piece.rows.max(1)));
        // Cut in two steps, so that nothing overflows for the widest keys.
        let width = piece.hi - piece.lo;
        let part = i128::try_from(part).unwrap_or(0);
        let rows = i128::try_from(rows).unwrap_or(i128::MAX);
        let mut n = piece.lo + width / rows * part + width % rows * part / rows;
        // A piece that cannot be cut begins a new one as a whole.
        if width == 1 {
            n = piece.lo;
        }
        let first = at == 0 && n == pieces[0].lo;
        if !first && out.last().is_none_or(|last| *last < (at, n)) {
            out.push((at, n));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_plain_names_are_columns() {
        for (expr, want) in [
            ("`a``b`", Some("a`b")),
            ("id", Some("id")),
            ("`a` + `b`", None),
            ("1", None),
            ("id % 3", None),
            ("o.id", None),
        ] {
            assert_eq!(plain_column(expr).as_deref(), want, "{expr}");
        }
    }

    #[test]
    fn equal_pieces_have_equal_borders() {
        let pieces = [
            Piece { lo: 0, hi: 100, rows: 1000 },
            Piece { lo: 100, hi: 200, rows: 0 },
            Piece { lo: 200, hi: 300, rows: 1000 },
        ];
        assert_eq!(borders(&pieces, 4), [(0, 50), (2, 200), (2, 250)]);
    }

    proptest! {
        #[test]
        fn parts_are_the_whole(lo in i128::from(i64::MIN)..i128::from(u64::MAX), width in 1i128..1 << 70, n in 1i128..300) {
            let parts = cut(lo, lo + width, n);
            prop_assert_eq!(parts[0].0, lo);
            prop_assert_eq!(parts.last().unwrap().1, lo + width);
            prop_assert!(parts.windows(2).all(|w| w[0].1 == w[1].0 && w[0].0 < w[0].1));
        }

        #[test]
        fn borders_ascend_inside(
            sizes in proptest::collection::vec((1i128..1 << 60, 0u64..u64::MAX >> 8), 1..50),
            wanted in 1usize..600,
        ) {
            let mut lo = i128::from(i64::MIN);
            let mut pieces = Vec::new();
            for (width, rows) in sizes {
                pieces.push(Piece { lo, hi: lo + width, rows });
                lo += width;
            }
            let borders = borders(&pieces, wanted);
            prop_assert!(borders.len() < wanted);
            prop_assert!(borders.windows(2).all(|w| w[0].1 < w[1].1));
            prop_assert!(borders.iter().all(|(at, n)| *n >= pieces[*at].lo && *n < pieces[*at].hi));
            prop_assert!(borders.first().is_none_or(|(_, n)| *n > i128::from(i64::MIN)));
        }
    }
}
