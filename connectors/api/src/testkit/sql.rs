//! Checks of what needs SQL: filters, queries, boundary queries, statements of the user's own; and
//! that a connector without SQL refuses all of them.

use super::tables::{KEYS, TYPES, WRITES};
use super::tools::{column, expected, must_fail, query, read, relation, same_rows, split_key};
use super::{Check, Checked, Done, Failure, Suite, ensure, ranges};
use crate::{
    Bounds, BoundsRequest, ErrorKind, KeyRange, KeyValue, Relation, Session, SplitKey, TableName,
    TextColumn, TextSink,
};

pub(super) const CHECKS: &[Check] = &[
    ("a connector without SQL refuses it", refused),
    ("a filter narrows the range and keeps its own precedence", filter),
    ("a query is described without running and read by ranges", user_query),
    ("a query that does not compile is a usage error", broken_query),
    ("a boundary query is used as it is", boundary_query),
    ("an expression can be the key", expression_key),
    ("evaluate delivers text", evaluate),
    ("execute counts the rows it changed", execute),
];

const NO_SQL: Done = Done::NotApplicable("the connector has no SQL");

fn has_sql(suite: &Suite<'_>) -> bool {
    suite.connector.capabilities().sql
}

/// Collects what `evaluate` delivers.
#[derive(Debug, Default)]
struct Texts {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    ends: usize,
    updated: Vec<u64>,
}

impl TextSink for Texts {
    fn columns(&mut self, columns: &[TextColumn]) -> crate::Result<()> {
        self.columns = columns.iter().map(|c| c.name.clone()).collect();
        Ok(())
    }

    fn row(&mut self, values: &[Option<String>]) -> crate::Result<()> {
        self.rows.push(values.to_vec());
        Ok(())
    }

    fn end(&mut self) -> crate::Result<()> {
        self.ends += 1;
        Ok(())
    }

    fn updated(&mut self, rows: u64) -> crate::Result<()> {
        self.updated.push(rows);
        Ok(())
    }
}

fn refused(suite: &Suite<'_>) -> Checked {
    if has_sql(suite) {
        return Ok(Done::NotApplicable("the connector has SQL"));
    }
    let mut session = suite.session()?;
    let no = &[ErrorKind::Unsupported];
    must_fail(session.execute("SELECT 1"), no, "execute")?;
    must_fail(session.evaluate("SELECT 1", &mut Texts::default()), no, "evaluate")?;
    let text = Relation::Query("SELECT 1 WHERE $CONDITIONS".to_string());
    must_fail(session.describe(&text), no, "describing a query")?;
    let relation = relation(TYPES);
    let info = session.describe(&relation)?;
    let mut query = query(&relation, &info, &[])?;
    query.filter = Some("1 = 1".to_string());
    must_fail(session.read(&query, &mut Vec::new()), no, "reading with a filter")?;
    Ok(Done::Passed)
}

fn filter(suite: &Suite<'_>) -> Checked {
    if !has_sql(suite) {
        return Ok(NO_SQL);
    }
    let mut session = suite.session()?;
    let relation = relation(TYPES);
    let info = session.describe(&relation)?;
    let key = split_key(&*session, &column(&info, "id")?);
    let id = &key.expr;
    let mut query = query(&relation, &info, &["id"])?;
    query.filter = Some(format!("{id} = 1 OR {id} = 2"));
    let got = read(&mut *session, &query)?.len();
    ensure!(got == 2, "the filter lets {got} rows pass where 2 do");
    let request = BoundsRequest {
        relation: relation.clone(),
        filter: query.filter.clone(),
        key: key.clone(),
        pieces: 4,
        boundary_query: None,
        estimated_rows: None,
        extent: false,
    };
    let bounds = session.bounds(&request)?;
    let want = Bounds::Range { min: KeyValue::Integer(1), max: KeyValue::Integer(2) };
    ensure!(bounds == want, "the bounds under the filter are {bounds:?}");
    query.range = KeyRange::Between {
        key,
        lower: Some(KeyValue::Integer(2)),
        upper: None,
        upper_inclusive: false,
    };
    let got = read(&mut *session, &query)?.len();
    ensure!(got == 1, "filter and range let {got} rows pass where one does");
    Ok(Done::Passed)
}

/// `SELECT id, tkey FROM keys WHERE $CONDITIONS`, quoted.
fn text_query(session: &dyn Session) -> Relation {
    let dialect = session.dialect();
    Relation::Query(format!(
        "SELECT {}, {} FROM {} WHERE $CONDITIONS",
        dialect.quote_ident("id"),
        dialect.quote_ident("tkey"),
        dialect.quote_table(&TableName::new(KEYS))
    ))
}

fn user_query(suite: &Suite<'_>) -> Checked {
    if !has_sql(suite) {
        return Ok(NO_SQL);
    }
    let mut session = suite.session()?;
    let relation = text_query(&*session);
    let info = session.describe(&relation)?;
    let names: Vec<&str> = info.columns.iter().map(|c| c.name.as_str()).collect();
    ensure!(names == ["id", "tkey"], "its columns are described as {names:?}");
    ensure!(info.kind == crate::RelationKind::Query, "it is described as {:?}", info.kind);
    let want: Vec<_> = expected(suite, KEYS)?
        .into_iter()
        .map(|row| vec![row[0].clone(), row[2].clone()])
        .collect();
    for name in names {
        let key = split_key(&*session, &column(&info, name)?);
        let bounds = ranges::bounds(&mut *session, &relation, &key, 3)?;
        let mut got = Vec::new();
        for range in ranges::cut(&bounds, &key, 3)? {
            let mut query = query(&relation, &info, &[])?;
            query.range = range;
            got.extend(read(&mut *session, &query)?);
        }
        same_rows(got, want.clone(), &format!("by {name}"))?;
    }
    let got = read(&mut *session, &query(&relation, &info, &["tkey"])?)?;
    let want = want.into_iter().map(|row| vec![row[1].clone()]).collect();
    same_rows(got, want, "one column of the query")?;
    Ok(Done::Passed)
}

fn broken_query(suite: &Suite<'_>) -> Checked {
    if !has_sql(suite) {
        return Ok(NO_SQL);
    }
    let mut session = suite.session()?;
    for text in [
        "SELECT FROM WHERE $CONDITIONS",
        "SELECT a FROM rsqoop_suite_nowhere WHERE $CONDITIONS",
        "SELECT no_such_column FROM rsqoop_suite_types WHERE $CONDITIONS",
    ] {
        let result = session.describe(&Relation::Query(text.to_string()));
        must_fail(result, &[ErrorKind::Usage], text)?;
    }
    session.describe(&relation(TYPES))?;
    Ok(Done::Passed)
}

fn boundary_query(suite: &Suite<'_>) -> Checked {
    if !has_sql(suite) {
        return Ok(NO_SQL);
    }
    let mut session = suite.session()?;
    let relation = relation(TYPES);
    let info = session.describe(&relation)?;
    let key = split_key(&*session, &column(&info, "id")?);
    let mut ask = |text: &str| {
        session.bounds(&BoundsRequest {
            relation: relation.clone(),
            filter: None,
            key: key.clone(),
            pieces: 4,
            boundary_query: Some(text.to_string()),
            estimated_rows: None,
            extent: false,
        })
    };
    let bounds = ask("SELECT 10, 20")?;
    let want = Bounds::Range { min: KeyValue::Integer(10), max: KeyValue::Integer(20) };
    ensure!(bounds == want, "SELECT 10, 20 gave {bounds:?}");
    let bounds = ask(&format!("SELECT min(id), max(id) FROM {}", "rsqoop_suite_empty"))?;
    ensure!(bounds == Bounds::Empty, "minimum and maximum of no rows gave {bounds:?}");
    Ok(Done::Passed)
}

fn expression_key(suite: &Suite<'_>) -> Checked {
    if !has_sql(suite) {
        return Ok(NO_SQL);
    }
    let mut session = suite.session()?;
    let relation = relation(KEYS);
    let info = session.describe(&relation)?;
    let column = session.dialect().quote_ident("nint");
    let key = SplitKey::new(format!("{column} * 2 + 1"), None);
    let bounds = ranges::bounds(&mut *session, &relation, &key, 3)?;
    let mut got = Vec::new();
    for range in ranges::cut(&bounds, &key, 3)? {
        let mut query = query(&relation, &info, &[])?;
        query.range = range;
        got.extend(read(&mut *session, &query)?);
    }
    same_rows(got, expected(suite, KEYS)?, "by an expression")?;
    Ok(Done::Passed)
}

fn evaluate(suite: &Suite<'_>) -> Checked {
    if !has_sql(suite) {
        return Ok(NO_SQL);
    }
    let mut session = suite.session()?;
    let mut out = Texts::default();
    session.evaluate("SELECT 7 AS number, 'it''s' AS words, NULL AS missing", &mut out)?;
    ensure!(out.columns == ["number", "words", "missing"], "its columns are {:?}", out.columns);
    let row = vec![Some("7".to_string()), Some("it's".to_string()), None];
    ensure!(out.rows == [row], "its rows are {:?}", out.rows);
    ensure!(out.ends == 1 && out.updated.is_empty(), "it ended {} times", out.ends);
    let result = session.evaluate("SELECT * FROM rsqoop_suite_nowhere", &mut Texts::default());
    let any_but_bug: Vec<ErrorKind> =
        ErrorKind::ALL.into_iter().filter(|k| *k != ErrorKind::Bug).collect();
    must_fail(result, &any_but_bug, "evaluating a statement that does not compile")?;
    let mut out = Texts::default();
    session.evaluate("SELECT 1 AS again", &mut out)?;
    ensure!(out.rows.len() == 1, "after a refused statement it gave {:?}", out.rows);
    Ok(Done::Passed)
}

fn execute(suite: &Suite<'_>) -> Checked {
    if suite.fixture.sql.is_none() {
        return Ok(Done::NotApplicable("nothing can be written"));
    }
    let mut session = suite.session()?;
    let table = session.dialect().quote_table(&TableName::new(WRITES));
    let mut changed = |sql: &str| -> Result<u64, Failure> {
        Ok(session.execute(&format!("{sql} {table} {}", ending(sql)))?)
    };
    let counts = [changed("INSERT INTO")?, changed("UPDATE")?, changed("DELETE FROM")?];
    ensure!(counts == [2, 2, 2], "insert, update and delete changed {counts:?} rows");
    Ok(Done::Passed)
}

fn ending(sql: &str) -> &'static str {
    match sql {
        "INSERT INTO" => "VALUES (901, 'a'), (902, 'b')",
        "UPDATE" => "SET name = 'c' WHERE id > 900",
        _ => "WHERE id > 900",
    }
}
