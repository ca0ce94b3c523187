//! Checks that names are data: quotes, keywords, blanks, semicolons and the rest.

use super::tables::{HOSTILE, HOSTILE_COLUMNS, TYPES};
use super::tools::{column, expected, query, read, relation, same_rows, split_key};
use super::{Check, Checked, Done, Suite, ensure, ranges};
use crate::Relation;

pub(super) const CHECKS: &[Check] = &[
    ("hostile names are described and read", described),
    ("hostile names can be projected and split by", projected),
    ("hostile names are quoted in a query of the user's", in_query),
];

fn described(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let relation = relation(HOSTILE);
    let info = session.describe(&relation)?;
    let names: Vec<&str> = info.columns.iter().map(|c| c.name.as_str()).collect();
    ensure!(names == HOSTILE_COLUMNS, "described as {names:?}");
    ensure!(info.primary_key == [HOSTILE_COLUMNS[0]], "the key is {:?}", info.primary_key);
    let got = read(&mut *session, &query(&relation, &info, &[])?)?;
    same_rows(got, expected(suite, HOSTILE)?, "all columns")?;
    Ok(Done::Passed)
}

fn projected(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    let relation = relation(HOSTILE);
    let info = session.describe(&relation)?;
    let want = expected(suite, HOSTILE)?;
    for (index, name) in HOSTILE_COLUMNS.iter().enumerate() {
        let key = split_key(&*session, &column(&info, name)?);
        let bounds = ranges::bounds(&mut *session, &relation, &key, 2)?;
        let mut got = Vec::new();
        for range in ranges::cut(&bounds, &key, 2)? {
            let mut query = query(&relation, &info, &[name])?;
            query.range = range;
            got.extend(read(&mut *session, &query)?);
        }
        let want = want.iter().map(|row| vec![row[index].clone()]).collect();
        same_rows(got, want, name)?;
    }
    // Nothing of it was taken as a statement.
    session.describe(&super::tools::relation(TYPES))?;
    Ok(Done::Passed)
}

fn in_query(suite: &Suite<'_>) -> Checked {
    if !suite.connector.capabilities().sql {
        return Ok(Done::NotApplicable("the connector has no SQL"));
    }
    let mut session = suite.session()?;
    let dialect = session.dialect();
    // `$CONDITIONS` inside a name would be filled in, as in Sqoop; that one column is left out.
    let names: Vec<&str> =
        HOSTILE_COLUMNS.iter().copied().filter(|n| !n.contains("$CONDITIONS")).collect();
    let list: Vec<String> = names.iter().map(|n| dialect.quote_ident(n)).collect();
    let table = dialect.quote_table(&crate::TableName::new(HOSTILE));
    let text = format!("SELECT {} FROM {table} WHERE $CONDITIONS", list.join(", "));
    let relation = Relation::Query(text);
    let info = session.describe(&relation)?;
    let got: Vec<&str> = info.columns.iter().map(|c| c.name.as_str()).collect();
    ensure!(got == names, "the query's columns are described as {got:?}");
    let rows = read(&mut *session, &query(&relation, &info, &[])?)?.len();
    ensure!(rows == 3, "the query delivers {rows} rows where 3 are");
    let rows = read(&mut *session, &query(&relation, &info, &names[1..4])?)?.len();
    ensure!(rows == 3, "a projection of the query delivers {rows} rows where 3 are");
    Ok(Done::Passed)
}
