//! Points of a key of several columns, in the order of the server's index.
//!
//! Every point is a row that the table held, so that its parts are in the columns' own types and
//! collations and nothing has to be known about them. A large table whose first column is a number
//! is cut by the server's estimates; any other by walking through the index, and so is one in which a
//! single value of the first columns holds much of the table.

use rsqoop_connector::{
    Bounds, BoundsRequest, Dialect, Error, ErrorKind, KeyValue, Relation, Result, SplitKey,
    TableName,
};

use super::dives::{Budget, Diver, Index, Piece, borders, can_dive, end, index, number, value};
use super::{Key, run, with_condition};
use crate::dialect::{MySqlDialect, ident};
use crate::types::Class;
use crate::wire::{Cell, Conn};

/// From this many rows on a walk through the index is too long.
const LARGE: u64 = 200_000;

/// Answers a request for a key of several columns.
pub(super) fn bounds(conn: &mut Conn, request: &BoundsRequest, from: &str) -> Result<Bounds> {
    if request.boundary_query.is_some() {
        return Err(Error::new(
            ErrorKind::Usage,
            "a boundary query needs a split key of one column",
        )
        .hint("name one with --split-by"));
    }
    let keys = request
        .key
        .row
        .iter()
        .map(|column| Key::of(conn, ident(&column.name), from))
        .collect::<Result<Vec<_>>>()?;
    let rows = Rows { request, from, keys };
    let wanted = request.pieces.max(1);
    if let Relation::Table(table) = &request.relation
        && request.estimated_rows.is_some_and(|n| n > LARGE)
        && can_dive(&rows.keys[0])
    {
        let names: Vec<&str> = request.key.row.iter().map(|c| c.name.as_str()).collect();
        if let Some(index) = index(conn, table, &names)?
            && let Some(points) = rows.by_dives(conn, table, &index, wanted)?
        {
            return Ok(Bounds::Points(points));
        }
    }
    rows.by_walking(conn, wanted)
}

struct Rows<'a> {
    request: &'a BoundsRequest,
    from: &'a str,
    keys: Vec<Key>,
}

/// A part of the key's extent: of the first column, or of the second for one value of the first.
struct Brick {
    /// The value of the first column, where `piece` is of the second.
    first: Option<i128>,
    piece: Piece,
}

impl Rows<'_> {
    fn selected(&self) -> String {
        self.keys.iter().map(|k| k.value.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn order(&self) -> String {
        self.keys.iter().map(|k| k.expr.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The first row that a statement answers, as a point. `None` for none, and for one that no
    /// literal names safely.
    fn point(&self, conn: &mut Conn, sql: &str) -> Result<Option<Vec<KeyValue>>> {
        let (_, rows) = conn.cells(sql).map_err(run)?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let mut parts = Vec::with_capacity(self.keys.len());
        for (key, cell) in self.keys.iter().zip(row) {
            match key.value(cell)? {
                // Only in a view or query can there be a NULL.
                None => return Err(null_part(key)),
                Some(part) => parts.push(part),
            }
        }
        Ok(Some(parts))
    }

    /// A comparison of a YEAR with a number up to 99 means 1970 to 2069.
    fn is_safe(&self, parts: &[KeyValue]) -> bool {
        !self.keys.iter().zip(parts).any(|(key, part)| {
            key.class == Class::Year && matches!(part, KeyValue::Integer(n) if *n < 1901)
        })
    }

    /// Walks the index: one row a step, always beyond the last one.
    fn by_walking(&self, conn: &mut Conn, wanted: usize) -> Result<Bounds> {
        let (_, rows) = conn.cells(&format!("SELECT COUNT(*) FROM {}", self.from)).map_err(run)?;
        let count = match rows.first().and_then(|row| row.first()) {
            Some(Cell::Int(n)) => u64::try_from(*n).unwrap_or(0),
            _ => 0,
        };
        if count == 0 {
            return Ok(Bounds::Empty);
        }
        let step = count.div_ceil(wanted as u64).max(1);
        let mut points: Vec<KeyValue> = Vec::new();
        let mut last: Option<KeyValue> = None;
        while points.len() + 1 < wanted {
            let (source, offset) = match &last {
                None => (self.from.to_string(), step),
                Some(last) => {
                    let beyond = MySqlDialect.compare(&self.request.key, ">", last);
                    (with_condition(self.request, self.from, &beyond), step - 1)
                }
            };
            let sql = format!(
                "SELECT {} FROM {source} ORDER BY {} LIMIT 1 OFFSET {offset}",
                self.selected(),
                self.order(),
            );
            let Some(parts) = self.point(conn, &sql)? else { break };
            if !self.is_safe(&parts) {
                return Ok(Bounds::Points(points));
            }
            let point = KeyValue::Row(parts);
            points.push(point.clone());
            last = Some(point);
        }
        Ok(Bounds::Points(points))
    }

    fn by_dives(
        &self,
        conn: &mut Conn,
        table: &TableName,
        index: &Index,
        wanted: usize,
    ) -> Result<Option<Vec<KeyValue>>> {
        let mut budget = Budget::new(wanted);
        let Some((low, high)) = self.extent(conn, table, index, 0, "1 = 1")? else {
            return Ok(None);
        };
        let (Some(lo), Some(hi)) = (number(&low), number(&high)) else { return Ok(None) };
        let diver = Diver { table, index, key: &self.keys[0], prefix: String::new(), kind: &low };
        let Some(pieces) = diver.refine(conn, (lo, end(&low, lo, hi)), wanted, &mut budget) else {
            return Ok(None);
        };
        let bricks = self.split_values(conn, table, index, &low, pieces, wanted)?;
        let pieces: Vec<Piece> = bricks.iter().map(|b| b.piece).collect();
        if has_lump(&pieces, wanted) {
            return Ok(None);
        }
        let mut points: Vec<KeyValue> = Vec::new();
        for (at, n) in borders(&pieces, wanted) {
            let Some(start) = self.condition(&low, &bricks[at], n) else { return Ok(None) };
            let sql = format!(
                "SELECT {} FROM {} WHERE {start} ORDER BY {} LIMIT 1",
                self.selected(),
                index.source(table),
                self.order(),
            );
            let Some(parts) = self.point(conn, &sql)? else { break };
            let point = KeyValue::Row(parts);
            let safe = matches!(&point, KeyValue::Row(parts) if self.is_safe(parts));
            if safe && points.last() != Some(&point) {
                points.push(point);
            }
        }
        Ok(Some(points))
    }

    /// Smallest and largest value of one column.
    fn extent(
        &self,
        conn: &mut Conn,
        table: &TableName,
        index: &Index,
        column: usize,
        condition: &str,
    ) -> Result<Option<(KeyValue, KeyValue)>> {
        let key = &self.keys[column];
        let sql = format!(
            "SELECT MIN({v}), MAX({v}) FROM {from} WHERE {condition}",
            v = key.value,
            from = index.source(table),
        );
        let (_, rows) = conn.cells(&sql).map_err(run)?;
        let mut cells = rows.into_iter().next().unwrap_or_default().into_iter();
        let (Some(low), Some(high)) = (cells.next(), cells.next()) else { return Ok(None) };
        Ok(key.value(low)?.zip(key.value(high)?))
    }

    /// Cuts values of the first column that are too frequent by the second.
    fn split_values(
        &self,
        conn: &mut Conn,
        table: &TableName,
        index: &Index,
        kind: &KeyValue,
        pieces: Vec<Piece>,
        wanted: usize,
    ) -> Result<Vec<Brick>> {
        let total: u64 = pieces.iter().map(|p| p.rows).sum();
        let target = (total / wanted as u64).max(1);
        let mut bricks = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let finer =
                if piece.hi - piece.lo == 1 && piece.rows > target / 2 && can_dive(&self.keys[1]) {
                    self.split_value(conn, table, index, kind, piece, target)?
                } else {
                    None
                };
            match finer {
                Some(parts) => bricks.extend(
                    parts.into_iter().map(|part| Brick { first: Some(piece.lo), piece: part }),
                ),
                None => bricks.push(Brick { first: None, piece }),
            }
        }
        Ok(bricks)
    }

    fn split_value(
        &self,
        conn: &mut Conn,
        table: &TableName,
        index: &Index,
        kind: &KeyValue,
        piece: Piece,
        target: u64,
    ) -> Result<Option<Vec<Piece>>> {
        let Some(first) = value(kind, piece.lo) else { return Ok(None) };
        let equal = format!("{} = {}", self.keys[0].expr, MySqlDialect.literal(&first));
        let Some((low, high)) = self.extent(conn, table, index, 1, &equal)? else {
            return Ok(None);
        };
        let (Some(lo), Some(hi)) = (number(&low), number(&high)) else { return Ok(None) };
        let wanted = usize::try_from((piece.rows / target).max(1) + 1).unwrap_or(1);
        let diver =
            Diver { table, index, key: &self.keys[1], prefix: format!("{equal} AND "), kind: &low };
        Ok(diver.refine(conn, (lo, end(&low, lo, hi)), wanted, &mut Budget::new(wanted)))
    }

    /// The condition of a border: rows from there on.
    fn condition(&self, kind: &KeyValue, brick: &Brick, n: i128) -> Option<String> {
        let Some(first) = brick.first else {
            let literal = MySqlDialect.literal(&value(kind, n)?);
            return Some(format!("{} >= {literal}", self.keys[0].expr));
        };
        let columns = self.request.key.row.get(..2)?.to_vec();
        let key = SplitKey::of_row(&MySqlDialect, columns);
        let second = self.second(n)?;
        let row = KeyValue::Row(vec![value(kind, first)?, second]);
        Some(MySqlDialect.compare(&key, ">=", &row))
    }

    /// A value of the second column.
    fn second(&self, n: i128) -> Option<KeyValue> {
        let kind = match self.keys[1].class {
            Class::Integer => KeyValue::Integer(0),
            Class::Decimal => KeyValue::Decimal { unscaled: 0, scale: self.keys[1].scale() },
            Class::Date => KeyValue::Date(0),
            Class::DateTime => KeyValue::Timestamp(0),
            Class::Timestamp => KeyValue::TimestampTz(0),
            _ => return None,
        };
        value(&kind, n)
    }
}

/// Whether one value that cannot be cut any further holds far more than its share of the rows.
fn has_lump(pieces: &[Piece], wanted: usize) -> bool {
    let total: u64 = pieces.iter().map(|p| p.rows).sum();
    let most = (2 * total / wanted as u64).max(total / 32).max(1);
    pieces.iter().any(|p| p.hi - p.lo == 1 && p.rows > most)
}

fn null_part(key: &Key) -> Error {
    Error::new(ErrorKind::Usage, "a column of the split key holds NULL")
        .context("column", key.expr.clone())
        .hint("choose another key with --split-by")
}
