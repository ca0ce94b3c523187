//! Property test of cutting, with the database as oracle: for key sets of any shape, the ranges that
//! come of a connector's answer hold every key exactly once, NULL included.
//!
//! One table holds many key sets, told apart by the column `s`. Each set is cut through the filter
//! `s = n`, as an import with `--where` would cut it, and some cuts are of the whole table. Ranges are
//! then made as the engine makes them (first open below, last open above, neighbours share their
//! point, one for NULL), and the server counts for *every* key of the table how many of them it is in:
//! ranges without gap and overlap hold any key once, not only those that they were made from. So a
//! run of n sets checks n cuts of n key sets each against n sets.
//!
//! A normal run cuts 200 sets of each kind of key; `RSQOOP_TEST_LONG=1` cuts 10^5.

mod draw;
mod kinds;

use rsqoop_connector::{
    Bounds, BoundsRequest, ConnectTarget, Connector, Dialect, KeyRange, KeyValue, Relation, Result,
    Session, SplitKey, TableName, TextColumn, TextSink,
};

use self::draw::{KeySet, Kind};
use super::support::{Database, Server};
use crate::support::{Random, figure, sized};

/// Key sets in one table.
const SETS: u64 = 100;
/// Cuts of the whole table, each time one is filled.
const WHOLE_CUTS: u64 = 6;
/// Cuts that one statement judges.
const JUDGED: usize = 50;
/// Rows that one statement inserts.
const INSERTED: usize = 500;

/// A cut to be judged.
struct Cut {
    /// The set it was made from; none for the whole table.
    set: Option<u64>,
    ranges: Vec<KeyRange>,
}

#[test]
fn postgres_ranges_hold_every_key_once() {
    check(Server::Postgres, kinds::POSTGRES_SETUP, &kinds::postgres());
}

#[test]
fn mariadb_ranges_hold_every_key_once() {
    check(Server::MariaDb, "", &kinds::mysql_family(Server::MariaDb));
}

#[test]
fn mysql_ranges_hold_every_key_once() {
    check(Server::MySql, "", &kinds::mysql_family(Server::MySql));
}

#[test]
fn sqlite_ranges_hold_every_key_once() {
    check(Server::Sqlite, "", &kinds::sqlite());
}

fn check(server: Server, setup: &str, kinds: &[Kind]) {
    let db = Database::new(server, "keyprops");
    if !setup.is_empty() {
        db.sql(setup);
    }
    if server == Server::Postgres {
        // Compiling a statement that judges takes a hundred times as long as running it.
        db.sql(&format!("ALTER DATABASE {} SET jit = off;", db.name));
    }
    let only = std::env::var("RSQOOP_TEST_KEY_KIND").unwrap_or_default();
    let (mut cuts, mut wrong) = (0, Vec::new());
    for kind in kinds.iter().filter(|kind| kind.name.contains(&only)) {
        for round in 0..sized(2, 100_000 / SETS) {
            match one_table(&db, kind, round) {
                Ok(count) => cuts += count,
                Err(problem) => {
                    wrong.push(format!("{} (table {round}): {problem}", kind.name));
                    break;
                }
            }
        }
    }
    figure(&format!(
        "{server:?}: {cuts} cuts of {} kinds of keys, each judged on {SETS} key sets",
        kinds.len()
    ));
    assert!(wrong.is_empty(), "{server:?}, {} kinds:\n{}", wrong.len(), wrong.join("\n"));
}

/// Fills the table with key sets, cuts each of them and the whole, and lets the server judge.
fn one_table(db: &Database, kind: &Kind, round: u64) -> std::result::Result<usize, String> {
    let mut random = Random::new(seed(&kind.name).wrapping_add(round));
    fill(db, kind, round, &mut random);
    let mut session = open(db);
    let relation = Relation::Table(TableName::new("p"));
    let info = session.describe(&relation).map_err(|e| e.to_string())?;
    let key = match kind.by {
        Some(expr) => SplitKey::new(expr, None),
        None if kind.columns.len() > 1 => {
            SplitKey::of_row(session.dialect(), info.columns[1..].to_vec())
        }
        None => {
            let column = info.columns[1].clone();
            SplitKey::new(session.dialect().quote_ident(&column.name), Some(column))
        }
    };
    let mut cuts = Vec::new();
    for set in (0..SETS).map(Some).chain((0..WHOLE_CUTS).map(|_| None)) {
        let pieces =
            [2, 2, 3, 3, 4, 5, 7, 16, 64][usize::try_from(random.below(9)).expect("small")];
        let request = BoundsRequest {
            relation: relation.clone(),
            filter: set.map(|n| format!("s = {n}")),
            key: key.clone(),
            pieces,
            boundary_query: None,
            estimated_rows: [None, Some(10), Some(1_000_000)]
                [usize::try_from(random.below(3)).expect("small")],
            extent: kind.by.is_none() && random.below(5) == 0,
        };
        let bounds = session
            .bounds(&request)
            .map_err(|e| format!("cutting set {set:?} into {pieces}: {e}"))?;
        cuts.push(Cut { set, ranges: ranges(&key, &bounds, pieces) });
    }
    for some in cuts.chunks(JUDGED) {
        judge(&mut *session, some).map_err(|e| format!("{e}\n{}", shown(db, kind)))?;
    }
    Ok(cuts.len())
}

/// A seed that stays the same from run to run.
fn seed(name: &str) -> u64 {
    name.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

fn fill(db: &Database, kind: &Kind, round: u64, random: &mut Random) {
    let (even, first) = (round.is_multiple_of(2), round == 0);
    let mut sql = String::from(if db.server.is_mysql_family() {
        "SET sql_mode = 'ALLOW_INVALID_DATES';\n"
    } else {
        ""
    });
    // PostgreSQL keeps the statistics of the first table: those of the next are wrong.
    if db.server == Server::Postgres && !first {
        sql.push_str("TRUNCATE p;\nDROP INDEX IF EXISTS p_k;\n");
    } else {
        sql.push_str("DROP TABLE IF EXISTS p;\n");
        let required = if kind.nullable() { "" } else { " NOT NULL" };
        let columns: Vec<String> = (0..kind.columns.len())
            .map(|i| format!("k{i} {}{required}", kind.columns[i].ddl))
            .collect();
        sql.push_str(&format!("CREATE TABLE p (s int, {});\n", columns.join(", ")));
        sql.push_str("CREATE INDEX p_s ON p (s);\n");
    }
    let mut rows = Vec::new();
    for set in 0..SETS {
        let KeySet(keys) = kind.set(random);
        rows.extend(keys.into_iter().map(|key| format!("({set}, {key})")));
    }
    for some in rows.chunks(INSERTED) {
        sql.push_str(&format!("INSERT INTO p VALUES {};\n", some.join(",\n")));
    }
    if kind.indexed && even {
        let names: Vec<String> = (0..kind.columns.len()).map(|i| format!("k{i}")).collect();
        sql.push_str(&format!("CREATE INDEX p_k ON p ({});\n", names.join(", ")));
    }
    match db.server {
        Server::Postgres => {
            if first {
                sql.push_str("ANALYZE p;\n");
            }
            // The planner believes that the table is large: statistics and samples are used.
            sql.push_str(
                "UPDATE pg_class SET reltuples = 1e8, relpages = pg_relation_size(oid) / 8192 \
                 WHERE relname = 'p';\n",
            );
        }
        Server::MariaDb | Server::MySql if even => sql.push_str("ANALYZE TABLE p;\n"),
        Server::Sqlite if even => sql.push_str("ANALYZE;\n"),
        _ => {}
    }
    db.sql(&sql);
}

fn open(db: &Database) -> Box<dyn Session> {
    let connector: &dyn Connector = match db.server {
        Server::Postgres => &rsqoop_postgres::Postgres,
        Server::MariaDb | Server::MySql => &rsqoop_mysql::MySql,
        Server::Sqlite => &rsqoop_sqlite::Sqlite,
    };
    let mut url = db.url();
    if db.server != Server::Sqlite {
        let address = db.server.address();
        url = url.replacen('@', &format!(":{}@", address.password), 1);
    }
    let target = ConnectTarget::parse(&url).expect("a URL that can be parsed");
    connector.connect(&target).unwrap_or_else(|e| panic!("{:?}: {e}", db.server))
}

/// The ranges that the engine makes of an answer.
fn ranges(key: &SplitKey, bounds: &Bounds, pieces: usize) -> Vec<KeyRange> {
    let points = match bounds {
        Bounds::Empty => Vec::new(),
        Bounds::Range { min, max } => arithmetic(min, max, pieces),
        Bounds::Points(points) => points.clone(),
    };
    if points.is_empty() {
        return vec![KeyRange::All];
    }
    let mut ranges = Vec::with_capacity(points.len() + 2);
    let mut lower = None;
    for upper in points.into_iter().map(Some).chain([None]) {
        ranges.push(KeyRange::Between {
            key: key.clone(),
            lower: lower.clone(),
            upper: upper.clone(),
            upper_inclusive: false,
        });
        lower = upper;
    }
    if key.row.is_empty() {
        ranges.push(KeyRange::Null(key.clone()));
    }
    ranges
}

/// Evenly spaced points between smallest and largest.
fn arithmetic(min: &KeyValue, max: &KeyValue, pieces: usize) -> Vec<KeyValue> {
    let (low, high) = (number(min), number(max));
    assert!(low <= high, "the smallest key {min:?} is above the largest, {max:?}");
    let span = high.wrapping_sub(low).cast_unsigned();
    let pieces = (pieces as u128).min(span.saturating_add(1));
    (1..pieces)
        .map(|i| low.wrapping_add((span / pieces * i + (span % pieces).min(i)).cast_signed()))
        .filter(|n| *n > low)
        .map(|n| like(min, n))
        .collect()
}

fn number(key: &KeyValue) -> i128 {
    match key {
        KeyValue::Integer(n) => *n,
        KeyValue::Decimal { unscaled, .. } => *unscaled,
        KeyValue::Date(days) => i128::from(*days),
        KeyValue::Timestamp(us) | KeyValue::TimestampTz(us) => i128::from(*us),
        other => panic!("nobody can compute with {other:?}"),
    }
}

/// `n` in the type of `key`; it lies between two keys of that type.
fn like(key: &KeyValue, n: i128) -> KeyValue {
    match key {
        KeyValue::Decimal { scale, .. } => KeyValue::Decimal { unscaled: n, scale: *scale },
        KeyValue::Date(_) => KeyValue::Date(i32::try_from(n).expect("between two")),
        KeyValue::Timestamp(_) => KeyValue::Timestamp(i64::try_from(n).expect("between two")),
        KeyValue::TimestampTz(_) => KeyValue::TimestampTz(i64::try_from(n).expect("between two")),
        _ => KeyValue::Integer(n),
    }
}

/// How many of the ranges hold a key, as SQL; a condition that is NULL does not hold.
fn holders(dialect: &dyn Dialect, ranges: &[KeyRange]) -> String {
    let terms: Vec<String> = ranges
        .iter()
        .map(|range| match range.to_sql(dialect) {
            Some(condition) => format!("CASE WHEN {condition} THEN 1 ELSE 0 END"),
            None => "1".to_string(),
        })
        .collect();
    terms.join(" + ")
}

/// Every key of the table is in exactly one range of each cut.
fn judge(session: &mut dyn Session, cuts: &[Cut]) -> std::result::Result<(), String> {
    let counts: Vec<String> = cuts
        .iter()
        .map(|cut| holders(session.dialect(), &cut.ranges))
        .map(|holders| format!("sum(CASE WHEN {holders} = 1 THEN 0 ELSE 1 END)"))
        .collect();
    let sql = format!("SELECT {} FROM p", counts.join(",\n"));
    let mut answer = Answer::default();
    session.evaluate(&sql, &mut answer).map_err(|e| format!("{e}\n{sql:.3000}"))?;
    let [row] = answer.0.as_slice() else { return Err(format!("{} rows", answer.0.len())) };
    match cuts.iter().zip(row).find(|(_, wrong)| wrong.as_deref() != Some("0")) {
        None => Ok(()),
        Some((cut, wrong)) => {
            let holders = holders(session.dialect(), &cut.ranges);
            Err(format!(
                "a cut of set {:?} is wrong for {} keys\n\
                 SELECT p.*, {holders} FROM p WHERE {holders} <> 1;",
                cut.set,
                wrong.as_deref().unwrap_or("all"),
            ))
        }
    }
}

/// The table as it was, for a message.
fn shown(db: &Database, kind: &Kind) -> String {
    format!("kind {}, first keys:\n{}", kind.name, db.sql("SELECT * FROM p LIMIT 5;"))
}

#[derive(Default)]
struct Answer(Vec<Vec<Option<String>>>);

impl TextSink for Answer {
    fn columns(&mut self, _: &[TextColumn]) -> Result<()> {
        Ok(())
    }

    fn row(&mut self, values: &[Option<String>]) -> Result<()> {
        self.0.push(values.to_vec());
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }

    fn updated(&mut self, _: u64) -> Result<()> {
        Ok(())
    }
}
