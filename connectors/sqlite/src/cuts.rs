//! Generated keys of every class: however they are cut, the pieces are the whole, and no row is in
//! two of them. 100,000 sets of keys of each class.

use rsqoop_connector::{
    Bounds, BoundsRequest, ColumnInfo, KeyRange, KeyValue, Relation, SplitKey, TableName,
};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::bounds::bounds;
use crate::catalog;
use crate::dialect::SqliteDialect;

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()].clone()
    }

    fn integer(&mut self) -> Value {
        let around = |n: i64, d: u64| n.wrapping_add(i64::try_from(d).unwrap() - 3);
        Value::Integer(match self.below(4) {
            0 => self.next().cast_signed(),
            1 => around(0, self.below(7)),
            2 => self.one_of(&[i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]),
            _ => around(self.one_of(&[1 << 53, -(1 << 53), 1 << 62, 1000]), self.below(7)),
        })
    }

    fn real(&mut self) -> Value {
        Value::Real(match self.below(5) {
            // NaN would be stored as NULL.
            0 => Some(f64::from_bits(self.next())).filter(|v| !v.is_nan()).unwrap_or(1.5),
            1 => self.one_of(&[f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX, f64::MIN]),
            // Neighbours, which differ in the last of 17 digits.
            2 => f64::from_bits(0.1_f64.to_bits() + self.below(4)),
            3 => f64::from_bits(9.876_543_210_987_654e200_f64.to_bits() + self.below(4)),
            _ => f64::from(i16::try_from(self.below(9)).unwrap() - 4) / 2.0,
        })
    }

    fn text(&mut self) -> Value {
        let parts =
            ["", "a", "A", "b", "é", "É", " ", "'", "\0", "5", "5.0", "日", "\u{1F980}", "%"];
        let count = self.below(4);
        Value::Text((0..count).map(|_| self.one_of(&parts)).collect())
    }

    fn blob(&mut self) -> Value {
        let count = self.below(4);
        Value::Blob((0..count).map(|_| self.one_of(&[0, 1, 53, 0x27, 0x7f, 0x80, 0xff])).collect())
    }

    fn any(&mut self) -> Value {
        match self.below(4) {
            0 => self.integer(),
            1 => self.real(),
            2 => self.text(),
            _ => self.blob(),
        }
    }
}

/// Makes a table of one or two key columns and checks `sets` sets of keys in it.
fn check(declared: &[&str], indexed: bool, sets: usize, key: fn(&mut Random) -> Value) {
    let conn = Connection::open_in_memory().unwrap();
    let names = ["a", "b"];
    let columns: Vec<String> =
        declared.iter().zip(names).map(|(d, n)| format!("{n} {d}")).collect();
    let names = names[..declared.len()].join(", ");
    conn.execute_batch(&format!("CREATE TABLE t ({})", columns.join(", "))).unwrap();
    if indexed {
        conn.execute_batch(&format!("CREATE INDEX i ON t ({names})")).unwrap();
    }
    let relation = Relation::Table(TableName::new("t"));
    let info = catalog::describe(&conn, &relation).unwrap();
    let key_of = |columns: Vec<ColumnInfo>| match <[ColumnInfo; 1]>::try_from(columns) {
        Ok([one]) => SplitKey::new("\"a\"", Some(one)),
        Err(columns) => SplitKey::of_row(&SqliteDialect, columns),
    };
    let split = key_of(info.columns);
    let mut random = Random(sets as u64 ^ declared.len() as u64);
    let marks = if declared.len() == 1 { "?1" } else { "?1, ?2" };
    let mut insert = conn.prepare(&format!("INSERT INTO t VALUES ({marks})")).unwrap();
    let mut delete = conn.prepare("DELETE FROM t").unwrap();
    conn.execute_batch("BEGIN").unwrap();
    for set in 0..sets {
        delete.execute([]).unwrap();
        let rows = random.below(14);
        let pool: Vec<Value> = (0..=random.below(8)).map(|_| key(&mut random)).collect();
        for _ in 0..rows {
            let mut value = || match random.below(8) {
                0 if declared.len() == 1 => Value::Null,
                1..=3 => random.one_of(&pool),
                _ => key(&mut random),
            };
            let values: Vec<Value> = declared.iter().map(|_| value()).collect();
            insert.execute(rusqlite::params_from_iter(&values)).unwrap();
        }
        let pieces = random.one_of(&[1, 2, 4, 16]);
        let got = pieces_of(&conn, &relation, &split, pieces, declared.len() == 1);
        let want: Vec<i64> = (1..=i64::try_from(rows).unwrap()).collect();
        if got != want {
            let all = format!("SELECT {names} FROM t");
            let mut all = conn.prepare(&all).unwrap();
            let count = declared.len();
            let all: Vec<Vec<Value>> = all
                .query_map([], |row| (0..count).map(|i| row.get(i)).collect())
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            let request = request(&relation, &split, pieces);
            let bounds = bounds(&conn, &request);
            panic!("set {set} of {declared:?}: rows {got:?} of {all:?} by {bounds:?}");
        }
    }
}

fn request(relation: &Relation, key: &SplitKey, pieces: usize) -> BoundsRequest {
    BoundsRequest {
        relation: relation.clone(),
        filter: None,
        key: key.clone(),
        pieces,
        boundary_query: None,
        estimated_rows: None,
        extent: false,
    }
}

/// The rowids in all pieces, sorted.
fn pieces_of(
    conn: &Connection,
    relation: &Relation,
    key: &SplitKey,
    pieces: usize,
    nullable: bool,
) -> Vec<i64> {
    let bounds = bounds(conn, &request(relation, key, pieces)).unwrap();
    let points = match &bounds {
        Bounds::Empty => None,
        Bounds::Points(points) => Some(points.clone()),
        Bounds::Range { min: KeyValue::Integer(min), max: KeyValue::Integer(max) } => {
            let (width, count) = (max - min, i128::try_from(pieces).unwrap().min(max - min).max(1));
            Some((1..count).map(|i| KeyValue::Integer(min + width * i / count)).collect())
        }
        other => panic!("{other:?} cannot be cut"),
    };
    let mut ranges: Vec<KeyRange> = Vec::new();
    if let Some(points) = points {
        integers_ascend(&points);
        let mut lower = None;
        for upper in points.into_iter().map(Some).chain([None]) {
            ranges.push(KeyRange::Between {
                key: key.clone(),
                lower,
                upper: upper.clone(),
                upper_inclusive: false,
            });
            lower = upper;
        }
    }
    if nullable {
        ranges.push(KeyRange::Null(key.clone()));
    }
    let mut found: Vec<i64> = Vec::new();
    for range in ranges {
        let condition = range.to_sql(&SqliteDialect).unwrap();
        let mut statement =
            conn.prepare(&format!("SELECT rowid FROM t WHERE {condition}")).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        found.extend(rows.map(Result::unwrap));
    }
    found.sort_unstable();
    // Rowids begin anew with each set, because the table was empty.
    found
}

fn integers_ascend(points: &[KeyValue]) {
    for pair in points.windows(2) {
        if let [KeyValue::Integer(a), KeyValue::Integer(b)] = pair {
            assert!(a < b, "{points:?}");
        }
    }
}

#[test]
fn integers() {
    check(&["INTEGER"], true, 60_000, Random::integer);
    check(&["INTEGER"], false, 25_000, Random::integer);
    check(&["NUMERIC"], true, 15_000, Random::integer);
}

#[test]
fn reals() {
    check(&["REAL"], true, 50_000, Random::real);
    check(&["NUMERIC"], true, 25_000, Random::real);
    check(&[""], false, 25_000, Random::real);
}

#[test]
fn texts() {
    check(&["TEXT"], true, 30_000, Random::text);
    check(&["TEXT COLLATE NOCASE"], true, 30_000, Random::text);
    check(&["TEXT COLLATE RTRIM"], true, 20_000, Random::text);
    check(&["NUMERIC"], true, 20_000, Random::text);
}

#[test]
fn blobs() {
    check(&["BLOB"], true, 60_000, Random::blob);
    check(&["INTEGER"], false, 40_000, Random::blob);
}

#[test]
fn mixed_classes() {
    for declared in ["", "INTEGER", "NUMERIC", "REAL", "TEXT", "TEXT COLLATE NOCASE"] {
        check(&[declared], true, 12_000, Random::any);
        check(&[declared], false, 5_000, Random::any);
    }
}

#[test]
fn rows_of_two_columns() {
    check(&["INTEGER", "TEXT COLLATE NOCASE"], true, 20_000, Random::any);
    check(&["TEXT", "REAL"], true, 15_000, Random::any);
    check(&["", "NUMERIC"], true, 15_000, Random::any);
    check(&["", ""], false, 10_000, Random::any);
    check(&["INTEGER", "INTEGER"], true, 20_000, Random::integer);
    check(&["TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM"], true, 20_000, Random::text);
}
