//! Checks of bounds and ranges: whatever a key's type and however many pieces, the pieces together
//! are the whole, and no row is in two of them.

use super::tables::{BIG, EMPTY, HOSTILE_TEXTS, KEYS, PAIRS, TYPES};
use super::tools::{column, expected, query, read, read_table, relation, same_rows, split_key};
use super::{Check, Checked, Done, Failure, Suite, ensure};
use crate::{Bounds, BoundsRequest, KeyRange, KeyValue, ReadQuery, Relation, Session, SplitKey};

pub(super) const CHECKS: &[Check] = &[
    ("ranges of an integer key are the whole, once", |s| whole_once(s, "id")),
    ("ranges of an integer key with NULLs are the whole, once", |s| whole_once(s, "nint")),
    ("ranges of a text key are the whole, once", |s| whole_once(s, "tkey")),
    ("ranges of a text key with NULLs are the whole, once", |s| whole_once(s, "ntext")),
    ("ranges of a date key are the whole, once", |s| whole_once(s, "day")),
    ("ranges of a decimal key are the whole, once", |s| whole_once(s, "amount")),
    ("ranges of a timestamp key are the whole, once", |s| whole_once(s, "moment")),
    ("ranges over the extremes of an integer type are the whole, once", extremes),
    ("ranges of a key of two columns are the whole, once", pairs),
    ("ranges of the storage key are the whole, once", storage_key),
    ("bounds of an integer key ascend between its extremes", ascending),
    ("the extent of an integer key is given where it is asked for", extent),
    ("a key of NULLs and an empty table have empty bounds", empty_bounds),
    ("a literal finds exactly the row it was made from", literals),
    ("open ends and an inclusive end are kept", ends),
];

/// Asks for bounds of a plain column.
pub(super) fn bounds(
    session: &mut dyn Session,
    relation: &Relation,
    key: &SplitKey,
    pieces: usize,
) -> Result<Bounds, Failure> {
    Ok(session.bounds(&BoundsRequest {
        relation: relation.clone(),
        filter: None,
        key: key.clone(),
        pieces,
        boundary_query: None,
        estimated_rows: None,
        extent: false,
    })?)
}

/// Cuts like the engine: half-open ranges, the last one closed or open-ended, and one for NULL.
pub(super) fn cut(
    bounds: &Bounds,
    key: &SplitKey,
    pieces: usize,
) -> Result<Vec<KeyRange>, Failure> {
    let between = |lower: Option<KeyValue>, upper: Option<KeyValue>, upper_inclusive| {
        KeyRange::Between { key: key.clone(), lower, upper, upper_inclusive }
    };
    let mut ranges = Vec::new();
    match bounds {
        Bounds::Empty => {}
        Bounds::Range { min, max } => {
            let (low, high) = (number(min)?, number(max)?);
            ensure!(low <= high, "the smallest key {min:?} is greater than the largest {max:?}");
            let pieces = i128::try_from(pieces).expect("few").min(high - low).max(1);
            let point =
                |i| like(min, low + (high - low) / pieces * i + (high - low) % pieces * i / pieces);
            for i in 0..pieces {
                let last = i + 1 == pieces;
                let upper = if last { max.clone() } else { point(i + 1)? };
                ranges.push(between(Some(point(i)?), Some(upper), last));
            }
        }
        Bounds::Points(points) => {
            let ends = points.iter().cloned().map(Some).chain([None]);
            let mut lower = None;
            for upper in ends {
                ranges.push(between(lower, upper.clone(), false));
                lower = upper;
            }
        }
    }
    if key.row.is_empty() && key.column.as_ref().is_none_or(|c| c.nullable) {
        ranges.push(KeyRange::Null(key.clone()));
    }
    Ok(ranges)
}

fn number(key: &KeyValue) -> Result<i128, Failure> {
    match key {
        KeyValue::Integer(n) => Ok(*n),
        KeyValue::Decimal { unscaled, .. } => Ok(*unscaled),
        KeyValue::Date(days) => Ok(i128::from(*days)),
        KeyValue::Timestamp(us) | KeyValue::TimestampTz(us) => Ok(i128::from(*us)),
        other => Err(Failure(format!("a range of {other:?} cannot be computed with"))),
    }
}

/// The key of `n` in the same type as `key`.
fn like(key: &KeyValue, n: i128) -> Result<KeyValue, Failure> {
    let wide = |_| Failure(format!("{n} is not between keys like {key:?}"));
    Ok(match key {
        KeyValue::Decimal { scale, .. } => KeyValue::Decimal { unscaled: n, scale: *scale },
        KeyValue::Date(_) => KeyValue::Date(i32::try_from(n).map_err(wide)?),
        KeyValue::Timestamp(_) => KeyValue::Timestamp(i64::try_from(n).map_err(wide)?),
        KeyValue::TimestampTz(_) => KeyValue::TimestampTz(i64::try_from(n).map_err(wide)?),
        _ => KeyValue::Integer(n),
    })
}

fn whole_once(suite: &Suite<'_>, name: &str) -> Checked {
    pieces_are_whole(suite, KEYS, name, &[1, 2, 3, 7, 50])
}

fn extremes(suite: &Suite<'_>) -> Checked {
    pieces_are_whole(suite, TYPES, "id", &[1, 2, 3, 7])?;
    pieces_are_whole(suite, TYPES, "whole", &[1, 2, 3, 7])
}

fn pieces_are_whole(suite: &Suite<'_>, table: &str, name: &str, pieces: &[usize]) -> Checked {
    let mut session = suite.session()?;
    let info = session.describe(&relation(table))?;
    let key = split_key(&*session, &column(&info, name)?);
    key_is_whole(suite, &mut *session, table, (&key, true), pieces)
}

/// Reads a table in pieces. A key that is said to be never NULL has no piece of NULLs.
fn key_is_whole(
    suite: &Suite<'_>,
    session: &mut dyn Session,
    table: &str,
    (key, nullable): (&SplitKey, bool),
    pieces: &[usize],
) -> Checked {
    let relation = relation(table);
    let info = session.describe(&relation)?;
    let want = expected(suite, table)?;
    for pieces in pieces.iter().copied() {
        let bounds = bounds(session, &relation, key, pieces)?;
        // A small table may lie in one place.
        let may_be_one = pieces == 1 || (!nullable && key.row.is_empty() && table != BIG);
        ensure!(
            may_be_one || !matches!(&bounds, Bounds::Points(p) if p.is_empty()),
            "no points for {pieces} pieces"
        );
        let mut got = Vec::new();
        for range in cut(&bounds, key, pieces)? {
            if !nullable && matches!(range, KeyRange::Null(_)) {
                continue;
            }
            let mut query = query(&relation, &info, &[])?;
            query.range = range;
            let rows = read(session, &query)?;
            counted(session, &query, rows.len())?;
            got.extend(rows);
        }
        same_rows(got, want.clone(), &format!("{pieces} pieces by {}, {bounds:?}", key.expr))?;
    }
    Ok(Done::Passed)
}

fn pairs(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let info = session.describe(&relation(PAIRS))?;
    let columns = ["number", "label"].map(|name| column(&info, name));
    let columns = columns.into_iter().collect::<Result<Vec<_>, _>>()?;
    let key = SplitKey::of_row(session.dialect(), columns);
    key_is_whole(suite, &mut *session, PAIRS, (&key, false), &[1, 4, 16, 200])
}

fn storage_key(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let mut some = false;
    for (table, pieces) in [(KEYS, 16), (PAIRS, 4), (BIG, 16)] {
        let Some(key) = session.describe(&relation(table))?.storage_key else { continue };
        some = true;
        let key = SplitKey::new(key.expr, None);
        key_is_whole(suite, &mut *session, table, (&key, false), &[1, pieces])?;
    }
    Ok(if some { Done::Passed } else { Done::NotApplicable("there is no storage key") })
}

fn ascending(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    for (table, name) in [(TYPES, "id"), (TYPES, "whole"), (KEYS, "id"), (BIG, "id")] {
        let relation = relation(table);
        let info = session.describe(&relation)?;
        let key = split_key(&*session, &column(&info, name)?);
        let at = info.columns.iter().position(|c| c.name == name).unwrap_or(0);
        let numbers = expected(suite, table)?;
        let numbers = numbers.iter().filter_map(|row| row[at].as_ref()?.parse::<i128>().ok());
        let (min, max) = (numbers.clone().min(), numbers.max());
        let (min, max) = (min.unwrap_or(0), max.unwrap_or(0));
        for pieces in [2, 4, 16, 200] {
            let bounds = bounds(&mut *session, &relation, &key, pieces)?;
            let shown = format!("{pieces} pieces by {table}.{name}: {bounds:?}");
            match &bounds {
                Bounds::Empty => return Err(Failure(shown)),
                Bounds::Range { min: low, max: high } => {
                    let exact = (number(low)?, number(high)?) == (min, max);
                    ensure!(exact, "{shown}, where the keys go from {min} to {max}");
                }
                Bounds::Points(points) => {
                    let points = points.iter().map(number).collect::<Result<Vec<_>, _>>()?;
                    ensure!(points.is_sorted_by(|a, b| a < b), "{shown} do not ascend");
                    let inside = points.iter().all(|p| *p > min && *p <= max);
                    ensure!(inside, "{shown} are not all above {min} and up to {max}");
                }
            }
        }
    }
    Ok(Done::Passed)
}

fn extent(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let relation = relation(KEYS);
    let info = session.describe(&relation)?;
    let request = BoundsRequest {
        relation: relation.clone(),
        filter: None,
        key: split_key(&*session, &column(&info, "id")?),
        pieces: 16,
        boundary_query: None,
        estimated_rows: None,
        extent: true,
    };
    let bounds = session.bounds(&request)?;
    let (min, max) = (KeyValue::Integer(-100_000_300), KeyValue::Integer(499));
    ensure!(bounds == Bounds::Range { min, max }, "the extent is {bounds:?}");
    Ok(Done::Passed)
}

/// A count, where the database can give one, is the number of rows that a read gives.
fn counted(session: &mut dyn Session, query: &ReadQuery, read: usize) -> Result<(), Failure> {
    match session.count(query)? {
        Some(count) if count != read as u64 => {
            Err(Failure(format!("{count} rows are counted and {read} read in {:?}", query.range)))
        }
        _ => Ok(()),
    }
}

fn empty_bounds(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    for (table, name) in [(EMPTY, "id"), (EMPTY, "name"), (KEYS, "nothing")] {
        let relation = relation(table);
        let info = session.describe(&relation)?;
        let key = split_key(&*session, &column(&info, name)?);
        let bounds = bounds(&mut *session, &relation, &key, 4)?;
        ensure!(bounds == Bounds::Empty, "{table}.{name} has the bounds {bounds:?}");
        let mut query = query(&relation, &info, &[])?;
        query.range = KeyRange::Null(key);
        let got = read(&mut *session, &query)?;
        same_rows(got, expected(suite, table)?, "rows whose key is NULL")?;
    }
    Ok(Done::Passed)
}

fn literals(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let relation = relation(TYPES);
    let info = session.describe(&relation)?;
    let key = split_key(&*session, &column(&info, "name")?);
    let all = read_table(&mut *session, TYPES)?;
    for text in HOSTILE_TEXTS {
        let value = Some(KeyValue::Text(text.to_string()));
        let mut query = query(&relation, &info, &[])?;
        query.range = KeyRange::Between {
            key: key.clone(),
            lower: value.clone(),
            upper: value,
            upper_inclusive: true,
        };
        let want = all.iter().filter(|r| r[5].as_deref() == Some(text)).cloned().collect();
        same_rows(read(&mut *session, &query)?, want, &format!("name = {text:?}"))?;
    }
    Ok(Done::Passed)
}

fn ends(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let relation = relation(TYPES);
    let info = session.describe(&relation)?;
    let key = split_key(&*session, &column(&info, "id")?);
    let at = |n: i128| Some(KeyValue::Integer(n));
    let all = i128::try_from(HOSTILE_TEXTS.len()).expect("few") + 3;
    for (lower, upper, upper_inclusive, want) in [
        (None, None, false, all),
        (None, at(0), false, 1),
        (None, at(0), true, 2),
        (at(3), at(5), false, 2),
        (at(3), at(5), true, 3),
        (at(5), at(5), false, 0),
        (at(1), None, false, all - 2),
        (at(i128::from(i64::MAX)), None, false, 1),
        (None, at(i128::from(i64::MIN)), true, 1),
    ] {
        let mut query = query(&relation, &info, &["id"])?;
        let shown = format!("{lower:?} to {upper:?}, inclusive {upper_inclusive}");
        query.range = KeyRange::Between { key: key.clone(), lower, upper, upper_inclusive };
        let got = read(&mut *session, &query)?.len();
        ensure!(i128::try_from(got) == Ok(want), "{shown}: {got} rows where {want} are");
    }
    Ok(Done::Passed)
}
