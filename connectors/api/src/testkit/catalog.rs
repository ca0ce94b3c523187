//! Checks of what a connector says about itself, its server, and the server's catalogue.

use super::tables::{EMPTY, KEYS, PAIRS, TYPES};
use super::tools::{must_fail, relation};
use super::{Check, Checked, Done, Suite, ensure};
use crate::{ColumnKind, ErrorKind, RelationKind};

pub(super) const CHECKS: &[Check] = &[
    ("the connector answers to its own URL", own_url),
    ("unknown URL parameters are returned, not refused", unknown_parameters),
    ("an unreachable place is a connect error", unreachable),
    ("the server names itself", server),
    ("databases and tables are listed", lists),
    ("describe gives names, kinds, types and nullability", describe),
    ("describe gives the primary key", primary_key),
    ("an unknown table is a usage error that names it", unknown_table),
];

fn own_url(suite: &Suite<'_>) -> Checked {
    let name = suite.connector.name();
    ensure!(name == name.to_lowercase() && !name.is_empty(), "its name is {name:?}");
    let schemes = suite.connector.schemes();
    ensure!(
        schemes.contains(&suite.target.scheme.as_str()),
        "it answers to {schemes:?}, not to {:?}",
        suite.target.scheme
    );
    let unknown = suite.connector.check(suite.target)?;
    ensure!(unknown.is_empty(), "the suite's URL has unknown parameters {unknown:?}");
    Ok(Done::Passed)
}

fn unknown_parameters(suite: &Suite<'_>) -> Checked {
    let mut target = suite.target.clone();
    target.params.push(("rsqoopNoSuchParameter".to_string(), "1".to_string()));
    let unknown = suite.connector.check(&target)?;
    ensure!(unknown == ["rsqoopNoSuchParameter"], "check returned {unknown:?}");
    Ok(Done::Passed)
}

fn unreachable(suite: &Suite<'_>) -> Checked {
    let Some(target) = &suite.fixture.unreachable else {
        return Ok(Done::NotApplicable("there is nothing to reach"));
    };
    let begin = std::time::Instant::now();
    must_fail(suite.connector.connect(target), &[ErrorKind::Connect], "connecting to nowhere")?;
    let limit = target.connect_timeout + std::time::Duration::from_secs(5);
    ensure!(begin.elapsed() < limit, "it took {:?}", begin.elapsed());
    Ok(Done::Passed)
}

fn server(suite: &Suite<'_>) -> Checked {
    let info = suite.session()?.server()?;
    ensure!(!info.product.is_empty() && !info.version.is_empty(), "it says {info:?}");
    Ok(Done::Passed)
}

fn lists(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    ensure!(!session.databases()?.is_empty(), "there is no database");
    let tables = session.tables(None)?;
    for table in &suite.tables {
        ensure!(tables.contains(&table.name), "{:?} is not among {tables:?}", table.name);
    }
    Ok(Done::Passed)
}

fn describe(suite: &Suite<'_>) -> Checked {
    const KINDS: [ColumnKind; 9] = [
        ColumnKind::Integer,
        ColumnKind::Boolean,
        ColumnKind::Integer,
        ColumnKind::Float,
        ColumnKind::Decimal,
        ColumnKind::Text,
        ColumnKind::Bytes,
        ColumnKind::Date,
        ColumnKind::Timestamp,
    ];
    let info = suite.session()?.describe(&relation(TYPES))?;
    ensure!(info.kind == RelationKind::Table, "a table is described as {:?}", info.kind);
    let fields = suite.table(TYPES).schema.fields().clone();
    ensure!(
        info.columns.len() == fields.len(),
        "{} columns where {} were expected",
        info.columns.len(),
        fields.len()
    );
    for ((column, field), kind) in info.columns.iter().zip(&fields).zip(KINDS) {
        let got = (&column.name, &column.data_type, column.nullable, column.kind);
        let want = (field.name(), field.data_type(), field.is_nullable(), kind);
        ensure!(got == want, "described as {got:?} where {want:?} was expected");
        ensure!(!column.native_type.is_empty(), "{} has no native type", column.name);
    }
    Ok(Done::Passed)
}

fn primary_key(suite: &Suite<'_>) -> Checked {
    let mut session = suite.session()?;
    for name in [TYPES, KEYS, EMPTY] {
        let key = session.describe(&relation(name))?.primary_key;
        ensure!(key == ["id"], "the key of {name} is given as {key:?}");
    }
    // In the key's order, which is not that of the columns.
    let key = session.describe(&relation(PAIRS))?.primary_key;
    ensure!(key == ["number", "label"], "the key of {PAIRS} is given as {key:?}");
    Ok(Done::Passed)
}

fn unknown_table(suite: &Suite<'_>) -> Checked {
    let name = "rsqoop_suite_nowhere";
    let mut session = suite.session()?;
    let result = session.describe(&relation(name));
    let error = must_fail(result, &[ErrorKind::Usage], "describing a table that is not there")?;
    ensure!(error.message().contains(name), "the message does not name it: {error:?}");
    // The session is still good.
    session.describe(&relation(TYPES))?;
    Ok(Done::Passed)
}
