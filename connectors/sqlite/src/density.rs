//! Where in the range of an integer key the rows lie, by a bounded number of looks into its index.
//!
//! An interval of keys is cut in the middle; a seek downwards from there gives the last key of the
//! lower half and one upwards the first of the upper half, so that what is empty is known to be, and
//! the keys next to either end tell how dense the rows lie there. The interval with the most rows by
//! that measure is cut next. What this cannot see is a dense spot in the middle of sparse keys that
//! no cut comes near to.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use rsqoop_connector::{KeyValue, Result};
use rusqlite::{Connection, OptionalExtension, Statement};

use crate::error;

/// Keys looked at next to an interval's end.
const WINDOW: u64 = 48;
/// Most looks.
const LOOKS_MAX: usize = 2_000;
/// Longest time for them, if the disk is slow: what is known by then is used.
const TIME_MAX: Duration = Duration::from_secs(1);
/// Intervals that are made by width before they are chosen by rows.
const GRID: usize = 64;
/// Rows with one key are counted up to this number.
const EQUAL_MAX: i64 = 20_000;
/// More rows than any file of SQLite's can have; keeps products within 128 bits.
const ROWS_MAX: u128 = 1 << 48;

/// Whether a statement by ranges of this key is a search in one index or in the table's own order.
pub(crate) fn has_index(conn: &Connection, from: &str, key: &str) -> bool {
    let sql = format!(
        "EXPLAIN QUERY PLAN SELECT {key} FROM {from} WHERE {key} >= 1 ORDER BY {key} LIMIT 1"
    );
    let steps = || -> rusqlite::Result<Vec<String>> {
        let mut statement = conn.prepare(&sql)?;
        let steps = statement.query_map([], |row| row.get(3))?;
        steps.collect()
    };
    // What does not compile here is reported by the statement that needs it.
    matches!(steps().as_deref(), Ok([one]) if one.starts_with("SEARCH "))
}

/// Points between about equal numbers of rows, strictly ascending, each above `min` and not above
/// `max`, which are the least and the greatest key. Everything between them must be a number.
pub(crate) fn points(
    conn: &Connection,
    (from, key): (&str, &str),
    (min, max): (i64, i64),
    pieces: usize,
) -> Result<Vec<KeyValue>> {
    let intervals = Looks::new(conn, from, key)?.intervals(min, max, pieces)?;
    let total: u128 = intervals.iter().map(|i| i.rows).sum();
    let pieces = pieces as u128;
    let (mut points, mut before, mut last) = (Vec::new(), 0, i128::from(min));
    let mut next = 1;
    for interval in intervals {
        while next < pieces && total * next / pieces < before + interval.rows {
            let inside = total * next / pieces - before;
            let offset = interval.width() * inside / interval.rows;
            let point = i128::from(interval.low) + i128::try_from(offset).unwrap_or(0);
            if point > last {
                points.push(KeyValue::Integer(point));
                last = point;
            }
            next += 1;
        }
        before += interval.rows;
    }
    Ok(points)
}

/// Keys from one that is stored to another, and about how many rows have one of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    /// First, so that the greatest of several intervals is the one with the most rows.
    rows: u128,
    low: i64,
    high: i64,
    at_low: Density,
    at_high: Density,
}

/// So many rows on so many values of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Density {
    rows: u64,
    values: u64,
}

/// What a look from one place finds.
struct Seen {
    /// The nearest key.
    nearest: i64,
    density: Density,
    /// The number of rows up to the limit, where all of them were seen.
    all: Option<u64>,
}

impl Interval {
    fn new(
        (low, at_low): (i64, Density),
        (high, at_high): (i64, Density),
        all: Option<u64>,
    ) -> Self {
        let mut new = Interval { rows: 0, low, high, at_low, at_high };
        let part = |d: Density| new.width() * u128::from(d.rows) / u128::from(d.values.max(1));
        let rows = match all {
            Some(rows) => u128::from(rows),
            None => (part(at_low) + part(at_high)) / 2,
        };
        new.rows = rows.clamp(1, ROWS_MAX);
        new
    }

    fn width(&self) -> u128 {
        u128::from(self.high.abs_diff(self.low)) + 1
    }
}

/// The statements. A key that is no integer is taken for the one next to it.
struct Looks<'c> {
    up: Statement<'c>,
    down: Statement<'c>,
    equal: Statement<'c>,
    begin: Instant,
    done: usize,
}

impl<'c> Looks<'c> {
    fn new(conn: &'c Connection, from: &str, key: &str) -> Result<Self> {
        let prepare = |sql: String| conn.prepare(&sql).map_err(error::prepare);
        Ok(Looks {
            up: prepare(format!(
                "SELECT CAST({key} AS INTEGER) FROM {from} WHERE {key} >= ?1 ORDER BY {key} LIMIT {WINDOW}"
            ))?,
            down: prepare(format!(
                "SELECT CAST({key} AS INTEGER) FROM {from} WHERE {key} < ?1 ORDER BY {key} DESC LIMIT {WINDOW}"
            ))?,
            equal: prepare(format!(
                "SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {key} = ?1 LIMIT {EQUAL_MAX})"
            ))?,
            begin: Instant::now(),
            done: 0,
        })
    }

    /// The range as intervals in order.
    fn intervals(mut self, min: i64, max: i64, pieces: usize) -> Result<Vec<Interval>> {
        let low = self.look(true, min, max)?;
        let at_high = match max {
            i64::MAX => low.density,
            _ => self.look(false, max + 1, min)?.density,
        };
        let whole = Interval::new((min, low.density), (max, at_high), low.all);
        let mut widest = BinaryHeap::from([(whole.width(), Reverse(whole))]);
        let mut done = Vec::new();
        while widest.len() < GRID.max(pieces.saturating_mul(2)).min(LOOKS_MAX / 4)
            && let Some((_, Reverse(interval))) = widest.pop()
        {
            match self.cut(&interval)? {
                Some(halves) => widest.extend(halves.map(|i| (i.width(), Reverse(i)))),
                None => done.push(interval),
            }
        }
        let mut fullest: BinaryHeap<Interval> = widest.into_iter().map(|(_, i)| i.0).collect();
        let mut total: u128 = fullest.iter().chain(&done).map(|i| i.rows).sum();
        let parts = pieces.saturating_mul(8) as u128;
        while let Some(interval) = fullest.pop() {
            if interval.rows <= total / parts || !self.may_go_on() {
                done.push(interval);
                break;
            }
            match self.cut(&interval)? {
                Some(halves) => {
                    total = total - interval.rows + halves[0].rows + halves[1].rows;
                    fullest.extend(halves);
                }
                None => done.push(interval),
            }
        }
        done.extend(fullest);
        done.sort_unstable_by_key(|interval| interval.low);
        Ok(done)
    }

    fn may_go_on(&self) -> bool {
        self.done + 2 <= LOOKS_MAX && self.begin.elapsed() < TIME_MAX
    }

    /// Cuts an interval in the middle; `None` where that is of no use.
    fn cut(&mut self, interval: &Interval) -> Result<Option<[Interval; 2]>> {
        let Interval { low, high, at_low, at_high, .. } = *interval;
        if low >= high || !self.may_go_on() {
            return Ok(None);
        }
        // Above `low`, not above `high`.
        let half = interval.width() / 2;
        let middle = i64::try_from(i128::from(low) + i128::try_from(half).unwrap_or(0));
        let Ok(middle) = middle else { return Ok(None) };
        let below = self.look(false, middle, low)?;
        let above = self.look(true, middle, high)?;
        Ok(Some([
            Interval::new((low, at_low), (below.nearest, below.density), below.all),
            Interval::new((above.nearest, above.density), (high, at_high), above.all),
        ]))
    }

    /// Looks at the keys from `place` upwards, or downwards from below it, as far as `limit`.
    fn look(&mut self, up: bool, place: i64, limit: i64) -> Result<Seen> {
        self.done += 1;
        let statement = if up { &mut self.up } else { &mut self.down };
        let mut rows = statement.query([place]).map_err(error::step)?;
        let (mut nearest, mut last, mut seen, mut all) = (limit, limit, 0, true);
        while let Some(row) = rows.next().map_err(error::step)? {
            let key: i64 = row.get(0).map_err(error::step)?;
            if beyond(up, key, limit) {
                all = true;
                break;
            }
            if seen == 0 {
                nearest = key;
            }
            last = key;
            seen += 1;
            all = seen < WINDOW;
        }
        drop(rows);
        if all {
            let density = Density { rows: seen, values: nearest.abs_diff(limit).saturating_add(1) };
            return Ok(Seen { nearest, density, all: Some(seen) });
        }
        let density = match nearest.abs_diff(last) {
            0 => self.of_equal_keys(up, nearest, limit)?,
            values => Density { rows: seen - 1, values },
        };
        Ok(Seen { nearest, density, all: None })
    }

    /// The density where many rows have one key: on the values up to the next key.
    fn of_equal_keys(&mut self, up: bool, key: i64, limit: i64) -> Result<Density> {
        self.done += 2;
        let count: i64 = self.equal.query_row([key], |row| row.get(0)).map_err(error::step)?;
        let rows = u64::try_from(count).unwrap_or(0).max(WINDOW);
        let statement = if up { &mut self.up } else { &mut self.down };
        let place = if up { key.saturating_add(1) } else { key };
        let next: Option<i64> =
            statement.query_row([place], |row| row.get(0)).optional().map_err(error::step)?;
        let next = next.filter(|next| *next != key && !beyond(up, *next, limit));
        Ok(Density { rows, values: next.unwrap_or(limit).abs_diff(key).max(1) })
    }
}

/// Whether a key lies past the end of what is looked at.
fn beyond(up: bool, key: i64, limit: i64) -> bool {
    if up { key > limit } else { key < limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: u64 = 1_000_000;

    /// Equally spread, but without any order.
    fn random(n: u64) -> u64 {
        let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn table(declared: &str, mut keys: Vec<i64>) -> (Connection, Vec<i64>) {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(&format!("CREATE TABLE t (k {declared}); BEGIN")).unwrap();
        keys.sort_unstable();
        if declared.contains("PRIMARY KEY") {
            keys.dedup();
        }
        let mut insert = conn.prepare("INSERT INTO t VALUES (?1)").unwrap();
        for key in &keys {
            insert.execute([key]).unwrap();
        }
        drop(insert);
        conn.execute_batch("COMMIT; CREATE INDEX IF NOT EXISTS i ON t (k)").unwrap();
        (conn, keys)
    }

    /// Checks that every piece is within a factor of an equal one.
    fn pieces(what: &str, declared: &str, keys: Vec<i64>, counts: [usize; 3], factor: usize) {
        let (conn, keys) = table(declared, keys);
        assert!(has_index(&conn, "t", "k"));
        let (min, max) = (keys[0], *keys.last().unwrap());
        for count in counts {
            let begin = Instant::now();
            let points = points(&conn, ("t", "k"), (min, max), count).unwrap();
            let took = begin.elapsed();
            let mut places = vec![0];
            for point in &points {
                let KeyValue::Integer(point) = point else { panic!("{point:?}") };
                assert!(*point > min.into() && *point <= max.into());
                places.push(keys.partition_point(|key| i128::from(*key) < *point));
            }
            places.push(keys.len());
            let sizes = places.windows(2).map(|pair| (pair[1] - pair[0]) * count);
            let even = sizes.clone().all(|n| n * factor >= keys.len() && n <= keys.len() * factor);
            assert!(even, "{what}, {count} pieces of {}: {sizes:?}", keys.len());
            // A few milliseconds on a machine that does nothing else.
            assert!(took < Duration::from_millis(500), "{what}: {took:?}");
        }
    }

    fn int(n: u64) -> i64 {
        i64::try_from(n).unwrap()
    }

    #[test]
    fn pieces_of_a_unique_key_are_about_equal() {
        let shapes: [(&str, Vec<i64>); 8] = [
            ("dense", (0..ROWS).map(int).collect()),
            (
                "95 % of the rows in the top 1 % of the keys",
                (0..ROWS / 20)
                    .map(|i| int(i * 1980))
                    .chain((0..ROWS / 20 * 19).map(|i| int(99_000_000 + i)))
                    .collect(),
            ),
            (
                "95 % of the rows in the top 1 %, at random",
                (0..ROWS)
                    .map(|i| {
                        int(if i % 20 == 0 {
                            random(i) % 9_900_000_000
                        } else {
                            9_900_000_000 + random(i) % 100_000_000
                        })
                    })
                    .collect(),
            ),
            ("random over 64 bits", (0..ROWS).map(|i| random(i).cast_signed()).collect()),
            (
                "seven blobs",
                (0..ROWS)
                    .map(|i| int((i % 7) * (i % 7) * 1_000_000_000_000 + random(i) % 500_000))
                    .collect(),
            ),
            (
                "half deleted",
                (0..ROWS).filter(|i| !(200_000..700_000).contains(i)).map(int).collect(),
            ),
            ("ever sparser", (1..ROWS).map(|i| int(i * i * i / 1000)).collect()),
            (
                "exponential",
                (1..ROWS)
                    .map(|i| int(1_u64 << (random(i) % 60)) + int(random(i + ROWS) % 100_000))
                    .collect(),
            ),
        ];
        for (what, keys) in shapes {
            pieces(what, "INTEGER PRIMARY KEY", keys, [4, 16, 256], 2);
        }
    }

    #[test]
    fn pieces_of_a_key_with_duplicates_are_near() {
        let shapes: [(&str, Vec<i64>); 3] = [
            ("a hundred rows each", (0..ROWS).map(|i| int(i / 100)).collect()),
            (
                "one to two hundred rows each",
                (0..ROWS).map(|i| int(random(random(i) % 20_000) % 30_000)).collect(),
            ),
            (
                "ever more rows each",
                (0..ROWS)
                    .map(|i| int(((random(i) >> 40) * (random(i + ROWS) >> 40)) >> 30))
                    .collect(),
            ),
        ];
        for (what, keys) in shapes {
            pieces(what, "INT", keys, [4, 16, 64], 3);
        }
    }

    #[test]
    fn one_key_of_most_rows_and_both_ends_of_the_type() {
        let mut keys = vec![i64::MIN, i64::MAX];
        keys.extend((0..10_000).map(|i| if i % 10 == 0 { i } else { 77 }));
        let (conn, keys) = table("INT", keys);
        let points = points(&conn, ("t", "k"), (i64::MIN, i64::MAX), 16).unwrap();
        assert!(points.len() > 1 && points.contains(&KeyValue::Integer(77)), "{points:?}");
        assert_eq!(keys.len(), 10_002);
        for ends in [(i64::MIN, i64::MAX), (i64::MAX - 1, i64::MAX), (i64::MIN, i64::MIN + 1)] {
            let (conn, _) = table("INT", vec![ends.0, ends.1]);
            let points = super::points(&conn, ("t", "k"), ends, 4).unwrap();
            assert_eq!(points.len(), 1, "{points:?}");
        }
    }
}
