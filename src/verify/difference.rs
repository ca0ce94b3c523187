//! Finds the row behind a checksum that differs.
//!
//! The key and the column are read once more from the database and from the file, and what the rows of
//! each key add up to is compared. Where both readers agree although the server's checksum does not,
//! the server itself is asked for ever smaller ranges of the key. Memory does not depend on the rows:
//! with many keys only a share of them is looked at in one pass.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use rsqoop_connector::{BatchSink, ColumnChecksum, KeyValue, ReadQuery, Relation, Result, Session};

use super::canonical::{self, Canon};
use super::checksum::{comparable, null_alike};
use super::reread::{self, Part, Wanted};

/// Keys that are looked at in one pass.
const KEYS_MAX: u64 = 400_000;

/// A column of a read statement and of the file, together with the key of its rows.
pub(super) struct Suspect<'a> {
    pub(super) query: &'a ReadQuery,
    pub(super) column: usize,
    pub(super) key: usize,
    /// The rows of that statement in the file.
    pub(super) part: Part<'a>,
}

impl Suspect<'_> {
    /// Key and column, unless the files do not have the text of one of them.
    pub(super) fn wanted(&self) -> Option<[Wanted; 2]> {
        let wanted = |index: usize| {
            let canon = comparable(self.part.format, &self.part.columns[index]).ok()?;
            Some(Wanted { index, canon })
        };
        Some([wanted(self.key)?, wanted(self.column)?])
    }
}

/// Takes the hashes of a batch's keys and values.
type EachPair<'a> = dyn FnMut(&[Vec<Option<u64>>; 2]) + 'a;

/// What the rows of one key add up to, the file's taken from the database's.
#[derive(Debug, Default)]
struct Balance {
    rows: i64,
    sum: u64,
    /// Where the key was first met.
    first: u64,
}

/// The first key whose rows differ, as the user would write it; `None` where none was found.
///
/// # Errors
/// Those of reading again.
pub(super) fn first(session: &mut dyn Session, suspect: &Suspect<'_>) -> Result<Option<String>> {
    let Some(wanted) = suspect.wanted() else { return Ok(None) };
    let passes = suspect.part.rows.unwrap_or(0).div_ceil(KEYS_MAX).max(1);
    let mut found: Option<(u64, Option<u64>)> = None;
    for pass in 0..passes {
        let differing =
            pass_over(session, suspect, &wanted, |key| key.unwrap_or(0) % passes == pass)?;
        found = found.into_iter().chain(differing).min();
    }
    match found {
        Some((_, None)) => Ok(Some("NULL".to_string())),
        Some((_, Some(hash))) => text_of(session, suspect, &wanted, hash),
        None if wanted[0].canon == Canon::Integer => by_ranges(session, suspect, &wanted),
        None => Ok(None),
    }
}

/// Compares the keys that `chosen` picks; the place and hash of the first that differs.
fn pass_over(
    session: &mut dyn Session,
    suspect: &Suspect<'_>,
    wanted: &[Wanted; 2],
    chosen: impl Fn(Option<u64>) -> bool,
) -> Result<Option<(u64, Option<u64>)>> {
    let mut balances: HashMap<Option<u64>, Balance> = HashMap::new();
    let mut place = 0;
    let mut add = |key: Option<u64>, value: Option<u64>, rows: i64| {
        place += 1;
        if !chosen(key) {
            return;
        }
        let balance =
            balances.entry(key).or_insert_with(|| Balance { first: place, ..Balance::default() });
        // NULL must count for something that its absence does not.
        let value = value.unwrap_or(u64::MAX / 3);
        balance.rows += rows;
        balance.sum = match rows > 0 {
            true => balance.sum.wrapping_add(value),
            false => balance.sum.wrapping_sub(value),
        };
    };
    let alike = |index| null_alike(suspect.part.format, &suspect.part.columns[index]);
    let alike = [alike(suspect.key), alike(suspect.column)];
    database_rows(session, suspect, wanted, &mut |_, _| {}, &mut |columns| {
        for (key, value) in columns[0].iter().zip(&columns[1]) {
            let as_in_file = |hash: Option<u64>, alike| hash.filter(|_| hash != alike);
            add(as_in_file(*key, alike[0]), as_in_file(*value, alike[1]), 1);
        }
    })?;
    reread::hashes(suspect.part, wanted, &mut |_, _| {}, &mut |batch| {
        for (key, value) in batch.columns[0].iter().zip(&batch.columns[1]) {
            add(*key, *value, -1);
        }
        Ok(())
    })?;
    Ok(balances
        .into_iter()
        .filter(|(_, balance)| balance.rows != 0 || balance.sum != 0)
        .map(|(key, balance)| (balance.first, key))
        .min())
}

/// Reads the two columns from the database and gives the hashes of each batch.
fn database_rows(
    session: &mut dyn Session,
    suspect: &Suspect<'_>,
    wanted: &[Wanted; 2],
    observe: &mut reread::Observe<'_>,
    each: &mut EachPair<'_>,
) -> Result<()> {
    let query = suspect.query;
    // The key alone, if it is the key that differs.
    let mut indices = vec![suspect.key, suspect.column];
    indices.dedup();
    let fields: Vec<_> = indices.iter().map(|i| query.schema.fields()[*i].clone()).collect();
    let narrow = ReadQuery {
        columns: indices.iter().map(|i| query.columns[*i].clone()).collect(),
        whole: false,
        schema: Arc::new(Schema::new(fields)),
        key: Some(0),
        ..query.clone()
    };
    let mut sink = Hashing { wanted, observe, each };
    session.read(&narrow, &mut sink)
}

struct Hashing<'a, 'o, 'e> {
    wanted: &'a [Wanted; 2],
    observe: &'a mut reread::Observe<'o>,
    each: &'a mut EachPair<'e>,
}

impl BatchSink for Hashing<'_, '_, '_> {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let mut columns = [Vec::new(), Vec::new()];
        for (number, (wanted, hashes)) in self.wanted.iter().zip(&mut columns).enumerate() {
            let array = batch.column(number.min(batch.num_columns() - 1));
            canonical::for_each(&wanted.canon, array, &mut |_, text| {
                (self.observe)(number, text);
                hashes.push(text.map(canonical::hash));
            })
            .map_err(|problem| {
                rsqoop_connector::Error::new(rsqoop_connector::ErrorKind::Bug, problem)
            })?;
        }
        (self.each)(&columns);
        Ok(())
    }
}

/// The key with this hash.
fn text_of(
    session: &mut dyn Session,
    suspect: &Suspect<'_>,
    wanted: &[Wanted; 2],
    hash: u64,
) -> Result<Option<String>> {
    let mut found: Option<Vec<u8>> = None;
    let mut observe = |column: usize, text: Option<&[u8]>| {
        if column == 0 && found.is_none() && text.map(canonical::hash) == Some(hash) {
            found = text.map(<[u8]>::to_vec);
        }
    };
    database_rows(session, suspect, wanted, &mut observe, &mut |_| {})?;
    // A row that only the file has.
    reread::hashes(suspect.part, wanted, &mut observe, &mut |_| Ok(()))?;
    Ok(found.map(|text| canonical::shown(&wanted[0].canon, Some(&text))))
}

/// Halves the range of an integer key until one is left, by the server's own checksums.
pub(super) fn by_ranges(
    session: &mut dyn Session,
    suspect: &Suspect<'_>,
    wanted: &[Wanted; 2],
) -> Result<Option<String>> {
    // A condition can only be added to a table's rows.
    if !matches!(suspect.query.relation, Relation::Table(_)) {
        return Ok(None);
    }
    let mut extent: Option<(i128, i128)> = None;
    let mut widen = |column: usize, text: Option<&[u8]>| {
        if column == 0
            && let Some(key) = number(text)
        {
            let (low, high) = extent.unwrap_or((key, key));
            extent = Some((low.min(key), high.max(key)));
        }
    };
    reread::hashes(suspect.part, wanted, &mut widen, &mut |_| Ok(()))?;
    let Some((mut low, mut high)) = extent else { return Ok(None) };
    if !range_differs(session, suspect, wanted, low, high)? {
        return Ok(None);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        match range_differs(session, suspect, wanted, low, middle)? {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Ok(Some(low.to_string()))
}

fn number(text: Option<&[u8]>) -> Option<i128> {
    std::str::from_utf8(text?).ok()?.parse().ok()
}

/// Whether the rows with keys from `low` to `high` have another checksum in the file.
fn range_differs(
    session: &mut dyn Session,
    suspect: &Suspect<'_>,
    wanted: &[Wanted; 2],
    low: i128,
    high: i128,
) -> Result<bool> {
    let dialect = session.dialect();
    let name = dialect.quote_ident(&suspect.query.columns[suspect.key].info.name);
    let literal = |key| dialect.literal(&KeyValue::Integer(key));
    let range = format!("{name} >= {} AND {name} <= {}", literal(low), literal(high));
    let filter = match &suspect.query.filter {
        // A comment at the end of the user's must not hide the rest.
        Some(filter) => format!("({filter}\n) AND {range}"),
        None => range,
    };
    let query = ReadQuery {
        columns: vec![suspect.query.columns[suspect.column].clone()],
        filter: Some(filter),
        whole: false,
        ..suspect.query.clone()
    };
    let database = session.checksum(&query)?.and_then(|sums| sums.columns.into_iter().next());
    let Some(ColumnChecksum::Sum { nulls, sum }) = database else { return Ok(false) };
    let inside = std::cell::RefCell::new(Vec::new());
    let (mut file_nulls, mut file_sum) = (0, 0_u64);
    reread::hashes(
        suspect.part,
        wanted,
        &mut |column, text| {
            if column == 0 {
                let key = number(text);
                inside.borrow_mut().push(key.is_some_and(|key| (low..=high).contains(&key)));
            }
        },
        &mut |batch| {
            for (inside, hash) in inside.borrow_mut().drain(..).zip(&batch.columns[1]) {
                match hash {
                    Some(hash) if inside => file_sum = file_sum.wrapping_add(*hash),
                    None if inside => file_nulls += 1,
                    _ => {}
                }
            }
            Ok(())
        },
    )?;
    Ok((nulls, sum) != (file_nulls, file_sum))
}
