//! The extent of a split key, and points between its values where rsqoop cannot compute them.
//!
//! Everything is asked from the server in its own order. Points of numbers and dates come from the
//! server's estimates (`dives`), where an index begins with the key. Others are found by stepping
//! through the index: the key that lies one step after the last point, and so on, which reads the
//! index once in total. A query of the user's is not repeated per step but cut by one window function.

mod dives;
mod rows;

use rsqoop_connector::{
    Bounds, BoundsRequest, Dialect, Error, ErrorKind, KeyValue, Relation, Result,
};

use crate::describe::prepared_columns;
use crate::dialect::{MySqlDialect, time};
use crate::error::{self, Phase};
use crate::types::{Class, native_name};
use crate::value::{self, MICROS_PER_DAY};
use crate::wire::{Cell, ColumnDef, Conn, Fault};

/// ER_PARSE_ERROR: a server without window functions (MySQL 5.7).
const PARSE_ERROR: u16 = 1064;

/// Answers a request.
pub(crate) fn bounds(conn: &mut Conn, request: &BoundsRequest) -> Result<Bounds> {
    let from = request.from_sql(&MySqlDialect);
    if !request.key.row.is_empty() {
        return rows::bounds(conn, request, &from);
    }
    let key = Key::of(conn, request.key_sql().to_string(), &from)?;
    let ends = match &request.boundary_query {
        Some(sql) => boundary(conn, sql, &key)?,
        None if key.has_range() => min_max(conn, &from, &key)?,
        None => Ends::Open,
    };
    match ends {
        Ends::None => Ok(Bounds::Empty),
        Ends::Range(min, max) => {
            let points = by_estimates(conn, request, &key, &min, &max)?;
            Ok(points.map_or(Bounds::Range { min, max }, Bounds::Points))
        }
        Ends::Points(min, max) => {
            let inner = points(conn, request, &key, &from, Some((&min, &max)))?.unwrap_or_default();
            let mut list = vec![min];
            list.extend(inner.into_iter().filter(|p| *p != max));
            if list.first() != Some(&max) {
                list.push(max);
            }
            Ok(Bounds::Points(list))
        }
        Ends::Open => match points(conn, request, &key, &from, None)? {
            Some(list) => Ok(Bounds::Points(list)),
            None => Ok(Bounds::Empty),
        },
    }
}

/// What is known about the extent.
enum Ends {
    None,
    Range(KeyValue, KeyValue),
    /// The boundary query's ends of a key whose points only the server knows.
    Points(KeyValue, KeyValue),
    /// The server is asked for points without ends.
    Open,
}

/// The key and how its values are asked for.
#[derive(Debug)]
struct Key {
    /// As in the ranges that the engine makes.
    expr: String,
    /// What is selected and sorted: the index number for enumerations, since a comparison with a
    /// number goes by it and one with a string does not.
    value: String,
    class: Class,
    def: ColumnDef,
}

impl Key {
    fn of(conn: &mut Conn, expr: String, from: &str) -> Result<Key> {
        let columns = prepared_columns(conn, &format!("SELECT {expr} FROM {from} LIMIT 0"))?;
        let [def] = columns.as_slice() else {
            return Err(Error::new(ErrorKind::Usage, "the split key must be one column")
                .context("key", expr));
        };
        let class = Class::of_def(def);
        let json = matches!(def.kind, mysql_common::constants::ColumnType::MYSQL_TYPE_JSON);
        if json || matches!(class, Class::Geometry | Class::Plain) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("a column of type {} has no order to split by", native_name(def)),
            )
            .context("key", expr)
            .hint("choose another column with --split-by, or read with -m 1"));
        }
        let value = match class {
            Class::Enum | Class::Bit => format!("({expr} + 0)"),
            Class::Inet | Class::Uuid => format!("CAST({expr} AS CHAR)"),
            _ => expr.clone(),
        };
        Ok(Key { expr, value, class, def: def.clone() })
    }

    /// Digits after the point of a decimal.
    fn scale(&self) -> u8 {
        self.def.decimals
    }

    fn has_range(&self) -> bool {
        matches!(
            self.class,
            Class::Integer
                | Class::Bit
                | Class::Enum
                | Class::Year
                | Class::Decimal
                | Class::Date
                | Class::DateTime
                | Class::Timestamp
        )
    }

    /// A value as a key; `None` for NULL.
    fn value(&self, cell: Cell) -> Result<Option<KeyValue>> {
        let value = match cell {
            Cell::Null => return Ok(None),
            Cell::Int(n) => KeyValue::Integer(n),
            // The exponent makes it a double to the server; a decimal would compare otherwise.
            Cell::Float(v) => KeyValue::Sql(format!("{v:e}")),
            Cell::Time(negative, micros) => KeyValue::Sql(time(negative, micros)),
            Cell::DateTime(y, m, d, micros) => match (self.class, value::days(y, m, d)) {
                (Class::Date, Ok(days)) => KeyValue::Date(days),
                (class, Ok(days)) => {
                    let micros = i64::try_from(micros).unwrap_or(MICROS_PER_DAY);
                    let at = i64::from(days) * MICROS_PER_DAY + micros;
                    if class == Class::Timestamp {
                        KeyValue::TimestampTz(at)
                    } else {
                        KeyValue::Timestamp(at)
                    }
                }
                (_, Err(_)) => KeyValue::Sql(zero_date(self.class, (y, m, d), micros)),
            },
            Cell::Bytes(bytes) => return self.bytes_value(bytes).map(Some),
        };
        Ok(Some(value))
    }

    fn bytes_value(&self, bytes: Vec<u8>) -> Result<KeyValue> {
        if matches!(self.class, Class::Bytes) {
            return Ok(KeyValue::Bytes(bytes));
        }
        let text = String::from_utf8(bytes).map_err(|_| {
            Error::new(ErrorKind::Source, "the server sent a key that is not UTF-8")
        })?;
        if self.class != Class::Decimal {
            return Ok(KeyValue::Text(text));
        }
        let scale = text.rsplit_once('.').map_or(0, |(_, fraction)| fraction.len());
        let number = u8::try_from(scale)
            .ok()
            .and_then(|s| Some((value::decimal128(text.as_bytes(), 38, s).ok()?, s)));
        Ok(match number {
            Some((unscaled, scale)) => KeyValue::Decimal { unscaled, scale },
            None => KeyValue::Sql(text),
        })
    }
}

/// A date that no calendar has, as a literal of the server's.
fn zero_date(class: Class, (y, m, d): (u16, u8, u8), micros: u64) -> String {
    if class == Class::Date {
        return format!("DATE'{y:04}-{m:02}-{d:02}'");
    }
    let s = micros / 1_000_000;
    let (h, min, sec, f) = (s / 3600, s / 60 % 60, s % 60, micros % 1_000_000);
    format!("TIMESTAMP'{y:04}-{m:02}-{d:02} {h:02}:{min:02}:{sec:02}.{f:06}'")
}

fn run(fault: Fault) -> Error {
    error::statement(fault, Phase::Describe)
}

/// `condition` added to a `FROM` clause that may have a `WHERE` already.
fn with_condition(request: &BoundsRequest, from: &str, condition: &str) -> String {
    match (&request.relation, &request.filter) {
        (Relation::Table(_), Some(_)) => format!("{from} AND {condition}"),
        _ => format!("{from} WHERE {condition}"),
    }
}

/// Points by the server's estimates, for a plain column of a table that an index begins with.
fn by_estimates(
    conn: &mut Conn,
    request: &BoundsRequest,
    key: &Key,
    min: &KeyValue,
    max: &KeyValue,
) -> Result<Option<Vec<KeyValue>>> {
    let Relation::Table(table) = &request.relation else { return Ok(None) };
    let hand_made = request.extent || request.boundary_query.is_some();
    if hand_made || request.pieces < 2 || !dives::can_dive(key) {
        return Ok(None);
    }
    let (Some(lo), Some(hi)) = (dives::number(min), dives::number(max)) else { return Ok(None) };
    let column = match &request.key.column {
        Some(column) => Some(column.name.clone()),
        None => dives::plain_column(&key.expr),
    };
    let (Some(column), true) = (column, hi - lo >= request.pieces as i128) else {
        return Ok(None);
    };
    let Some(index) = dives::index(conn, table, &[&column])? else { return Ok(None) };
    let diver = dives::Diver { table, index: &index, key, prefix: String::new(), kind: min };
    let mut budget = dives::Budget::new(request.pieces);
    let Some(pieces) =
        diver.refine(conn, (lo, dives::end(min, lo, hi)), request.pieces, &mut budget)
    else {
        return Ok(None);
    };
    let rows: u64 = pieces.iter().map(|p| p.rows).sum();
    // With so few rows the estimates say nothing, and it does not matter.
    if rows < 4 * request.pieces as u64 {
        return Ok(None);
    }
    let points: Vec<KeyValue> = dives::borders(&pieces, request.pieces)
        .into_iter()
        .filter_map(|(_, n)| dives::value(min, n))
        .collect();
    Ok((!points.is_empty()).then_some(points))
}

fn min_max(conn: &mut Conn, from: &str, key: &Key) -> Result<Ends> {
    let v = &key.value;
    let (_, rows) = conn.cells(&format!("SELECT MIN({v}), MAX({v}) FROM {from}")).map_err(run)?;
    let mut cells = rows.into_iter().next().unwrap_or_default().into_iter();
    let (Some(min), Some(max)) = (cells.next(), cells.next()) else { return Ok(Ends::None) };
    Ok(match (key.value(min)?, key.value(max)?) {
        (Some(min), Some(max)) => {
            // A comparison of a YEAR with a number up to 99 means 1970 to 2069.
            let year_zero =
                key.class == Class::Year && matches!(min, KeyValue::Integer(n) if n < 1901);
            let computable = std::mem::discriminant(&min) == std::mem::discriminant(&max)
                && !matches!(min, KeyValue::Sql(_))
                && !year_zero;
            if matches!(
                (&min, key.class),
                (KeyValue::Sql(_), Class::Date | Class::DateTime | Class::Timestamp)
            ) {
                refuse_null_quirk(key)?;
            }
            if computable { Ends::Range(min, max) } else { Ends::Open }
        }
        _ => Ends::None,
    })
}

/// `IS NULL` is true for the zero date of a NOT NULL column (reference manual, "Comparison
/// Functions"). Where such a column is read as nullable, its zero rows would be read twice.
fn refuse_null_quirk(key: &Key) -> Result<()> {
    use mysql_common::constants::ColumnFlags;
    if !key.def.flags.contains(ColumnFlags::NOT_NULL_FLAG) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, "the split column holds zero dates")
        .context("key", key.expr.clone())
        .hint("choose another column with --split-by, or read with -m 1"))
}

fn boundary(conn: &mut Conn, sql: &str, key: &Key) -> Result<Ends> {
    let (columns, rows) = conn.cells(sql).map_err(run)?;
    let mut rows = rows.into_iter();
    let (Some(row), None, 2) = (rows.next(), rows.next(), columns.len()) else {
        return Err(Error::new(
            ErrorKind::Usage,
            "the boundary query must answer one row of two values: minimum and maximum",
        ));
    };
    let mut values = Vec::new();
    for cell in row {
        values.push(boundary_value(cell, key)?);
    }
    let (Some(max), Some(min)) = (values.pop().flatten(), values.pop().flatten()) else {
        return Ok(Ends::None);
    };
    let same = std::mem::discriminant(&min) == std::mem::discriminant(&max);
    let range = key.has_range() && same && !matches!(min, KeyValue::Sql(_));
    Ok(if range { Ends::Range(min, max) } else { Ends::Points(min, max) })
}

/// A boundary query may answer in another type than the key's, as `SELECT '1', '100'` does.
fn boundary_value(cell: Cell, key: &Key) -> Result<Option<KeyValue>> {
    let not_one = |text: &str| {
        Error::new(
            ErrorKind::Usage,
            format!("the boundary query's {text:?} is no {}", native_name(&key.def)),
        )
    };
    let whole = matches!(key.class, Class::Integer | Class::Bit | Class::Enum | Class::Year);
    match cell {
        Cell::Bytes(bytes) if whole => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.trim().parse().map(|n| Some(KeyValue::Integer(n))).map_err(|_| not_one(&text))
        }
        Cell::Bytes(bytes) if key.class == Class::Float => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let v: f64 = text.trim().parse().map_err(|_| not_one(&text))?;
            key.value(Cell::Float(v))
        }
        Cell::Bytes(bytes)
            if matches!(key.class, Class::Date | Class::DateTime | Class::Timestamp) =>
        {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let cell = parse_date_time(text.trim()).ok_or_else(|| not_one(&text))?;
            key.value(cell)
        }
        Cell::Int(n) if key.class == Class::Decimal => {
            Ok(Some(KeyValue::Decimal { unscaled: n, scale: 0 }))
        }
        Cell::Int(n) if key.class == Class::Text => Ok(Some(KeyValue::Text(n.to_string()))),
        other => key.value(other),
    }
}

/// `2020-01-31`, optionally with a time.
fn parse_date_time(text: &str) -> Option<Cell> {
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "0:0:0"));
    let mut parts = date.splitn(3, '-');
    let (y, m, d) = (parts.next()?, parts.next()?, parts.next()?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut clock = time.splitn(3, ':').map(|p| p.parse::<u64>().ok());
    let (h, min) = (clock.next()??, clock.next().unwrap_or(Some(0))?);
    let s = clock.next().unwrap_or(Some(0))?;
    if h > 23 || min > 59 || s > 59 || fraction.len() > 6 {
        return None;
    }
    let micros: u64 = format!("{fraction:0<6}").parse().ok()?;
    let micros = (h * 3600 + min * 60 + s) * 1_000_000 + micros;
    Some(Cell::DateTime(y.parse().ok()?, m.parse().ok()?, d.parse().ok()?, micros))
}

/// Points between the keys, at most `pieces - 1`; `None` when there is no key at all. With ends the
/// points lie strictly between them.
fn points(
    conn: &mut Conn,
    request: &BoundsRequest,
    key: &Key,
    from: &str,
    ends: Option<(&KeyValue, &KeyValue)>,
) -> Result<Option<Vec<KeyValue>>> {
    let mut condition = format!("({} IS NOT NULL)", key.expr);
    if key.class == Class::Year {
        condition = format!("({} >= 1901)", key.expr);
    }
    if let Some((min, max)) = ends {
        let (min, max) = (MySqlDialect.literal(min), MySqlDialect.literal(max));
        condition = format!("({k} > {min} AND {k} < {max})", k = key.expr);
    }
    let source = with_condition(request, from, &condition);
    let (_, rows) = conn.cells(&format!("SELECT COUNT(*) FROM {source}")).map_err(run)?;
    let count = match rows.first().and_then(|row| row.first()) {
        Some(Cell::Int(n)) => u64::try_from(*n).unwrap_or(0),
        _ => 0,
    };
    if count == 0 {
        let empty = ends.is_none() && key.class != Class::Year;
        return Ok(if empty { None } else { Some(Vec::new()) });
    }
    let pieces = u64::try_from(request.pieces.max(1)).unwrap_or(1);
    let step = count.div_ceil(pieces).max(1);
    if pieces == 1 || step >= count {
        return Ok(Some(Vec::new()));
    }
    let list = match &request.relation {
        Relation::Query(_) => match windowed(conn, key, &source, step) {
            Err(Fault::Server(e)) if e.code == PARSE_ERROR => {
                stepped(conn, request, key, from, &condition, step)?
            }
            other => keys(key, other.map_err(run)?)?,
        },
        Relation::Table(_) => stepped(conn, request, key, from, &condition, step)?,
    };
    Ok(Some(list))
}

fn keys(key: &Key, rows: Vec<Vec<Cell>>) -> Result<Vec<KeyValue>> {
    rows.into_iter()
        .filter_map(|row| row.into_iter().next())
        .filter_map(|cell| key.value(cell).transpose())
        .collect()
}

/// Every step-th key, equal ones once: `GROUP BY` compares as the key's own collation does.
fn windowed(conn: &mut Conn, key: &Key, source: &str, step: u64) -> Result<Vec<Vec<Cell>>, Fault> {
    let (k, v) = (&key.expr, &key.value);
    let order = if key.class == Class::Enum { v } else { k };
    let sql = format!(
        "SELECT MIN(rsqoop_v) FROM (SELECT {k} AS rsqoop_k, {v} AS rsqoop_v, \
         ROW_NUMBER() OVER (ORDER BY {order}) AS rsqoop_n FROM {source}) AS rsqoop_w \
         WHERE rsqoop_n > 1 AND rsqoop_n % {step} = 1 GROUP BY {group} ORDER BY {group}",
        group = if key.class == Class::Enum { "rsqoop_v" } else { "rsqoop_k" },
    );
    // With a step of 1 every row but the first is a point.
    let sql = if step == 1 { sql.replace(" AND rsqoop_n % 1 = 1", "") } else { sql };
    Ok(conn.cells(&sql)?.1)
}

/// Walks the index: one key a step, always beyond the last one.
fn stepped(
    conn: &mut Conn,
    request: &BoundsRequest,
    key: &Key,
    from: &str,
    condition: &str,
    step: u64,
) -> Result<Vec<KeyValue>> {
    let order = if key.class == Class::Enum { &key.value } else { &key.expr };
    let mut list: Vec<KeyValue> = Vec::new();
    while list.len() + 1 < request.pieces.max(1) {
        // From a point on, its own row counts as the first of the next piece.
        let condition = match list.last() {
            None => condition.to_string(),
            Some(last) => {
                format!("{condition} AND ({} > {})", key.expr, MySqlDialect.literal(last))
            }
        };
        let offset = if list.is_empty() { step } else { step - 1 };
        let sql = format!(
            "SELECT {} FROM {} ORDER BY {order} LIMIT 1 OFFSET {offset}",
            key.value,
            with_condition(request, from, &condition),
        );
        let (_, rows) = conn.cells(&sql).map_err(run)?;
        let Some(next) = keys(key, rows)?.pop() else { break };
        list.push(next);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_a_boundary_query() {
        assert_eq!(parse_date_time("2020-01-31"), Some(Cell::DateTime(2020, 1, 31, 0)));
        assert_eq!(
            parse_date_time("2020-01-31 01:00:00.5"),
            Some(Cell::DateTime(2020, 1, 31, 3_600_500_000))
        );
        for bad in
            ["", "2020", "2020-01", "2020-01-01 25:00:00", "x-y-z", "2020-01-01 00:00:00.1234567"]
        {
            assert_eq!(parse_date_time(bad), None, "{bad}");
        }
    }
}
