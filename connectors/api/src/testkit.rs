//! The behaviour suite that every connector passes, unchanged.
//!
//! It tells a new connector's author when the work is done: [`run_all`] runs about thirty checks
//! against a real server and panics with a list of those that failed. For a database with SQL it
//! makes its own tables, all named `rsqoop_suite_…`, through the connector itself; a connector
//! without SQL is given the same tables beforehand ([`tables`]).
//!
//! What the suite deliberately does not check: the mapping of types that only one database has, and
//! what happens when a server breaks off. Those belong into the connector's own tests.

mod catalog;
mod control;
mod names;
mod ranges;
mod reading;
mod sql;
mod tables;
mod tools;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{ConnectTarget, Connector, Session};

pub use tables::{TestTable, tables};

/// What the suite must be told about a database.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// How to make tables by SQL; `None` when the caller has put [`tables`] in place and nothing
    /// can be written.
    pub sql: Option<SqlTypes>,
    /// A target that looks right but where nothing answers; `None` where there is no such thing.
    pub unreachable: Option<ConnectTarget>,
}

/// How the database's `CREATE TABLE` spells the types of the suite's tables. Each must be described
/// as the Arrow type named here.
#[derive(Debug, Clone, Copy)]
pub struct SqlTypes {
    /// `Boolean`
    pub boolean: &'static str,
    /// `Int64`
    pub integer: &'static str,
    /// `Float64`
    pub double: &'static str,
    /// `Decimal128(10, 2)`
    pub decimal: &'static str,
    /// `Utf8`: at least 200 characters, all of Unicode.
    pub text: &'static str,
    /// `Binary`: at least 256 bytes.
    pub bytes: &'static str,
    /// `Date32`
    pub date: &'static str,
    /// `Timestamp(Microsecond, None)`
    pub timestamp: &'static str,
}

/// What a run of the suite found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Names of the checks that passed.
    pub passed: Vec<&'static str>,
    /// Checks that do not apply to this connector, with the reason.
    pub not_applicable: Vec<(&'static str, &'static str)>,
    /// Checks that failed, with one sentence each.
    pub failed: Vec<(&'static str, String)>,
}

/// Why a check failed.
#[derive(Debug)]
struct Failure(String);

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        Failure(format!("{error:?}"))
    }
}

/// How a check that did not fail ended.
#[derive(Debug, Clone, Copy)]
enum Done {
    Passed,
    NotApplicable(&'static str),
}

type Checked = Result<Done, Failure>;

/// A check: its name, which says what must hold, and its code.
type Check = (&'static str, fn(&Suite<'_>) -> Checked);

/// What every check works with.
struct Suite<'a> {
    connector: &'a dyn Connector,
    target: &'a ConnectTarget,
    fixture: &'a Fixture,
    tables: Vec<TestTable>,
}

impl Suite<'_> {
    fn session(&self) -> crate::Result<Box<dyn Session>> {
        self.connector.connect(self.target)
    }

    fn table(&self, name: &str) -> &TestTable {
        self.tables.iter().find(|t| t.name == name).expect("checks only name tables of the suite")
    }
}

/// Fails a check unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::testkit::Failure(format!($($message)+)));
        }
    };
}
use ensure;

/// Runs all checks and says how each of them ended.
///
/// # Panics
/// Never: a panic inside the connector counts as a failed check.
pub fn report(connector: &dyn Connector, target: &ConnectTarget, fixture: &Fixture) -> Report {
    let suite = Suite { connector, target, fixture, tables: tables() };
    let mut report = Report::default();
    if let Err(Failure(why)) = tables::create(&suite) {
        report.failed.push(("the suite's tables can be made", why));
        return report;
    }
    let groups = [
        catalog::CHECKS,
        reading::CHECKS,
        ranges::CHECKS,
        names::CHECKS,
        sql::CHECKS,
        control::CHECKS,
    ];
    for (name, check) in groups.into_iter().flatten() {
        match catch_unwind(AssertUnwindSafe(|| check(&suite))) {
            Ok(Ok(Done::Passed)) => report.passed.push(name),
            Ok(Ok(Done::NotApplicable(why))) => report.not_applicable.push((name, why)),
            Ok(Err(Failure(why))) => report.failed.push((name, why)),
            Err(_) => report.failed.push((name, "the connector panicked".to_string())),
        }
    }
    report
}

/// Runs all checks.
///
/// # Panics
/// When a check fails; the message lists every check that did.
pub fn run_all(connector: &dyn Connector, target: &ConnectTarget, fixture: &Fixture) -> Report {
    let report = report(connector, target, fixture);
    let failed: Vec<String> =
        report.failed.iter().map(|(name, why)| format!("  {name}:\n    {why}")).collect();
    assert!(
        failed.is_empty(),
        "{} of {} checks failed for the connector {:?}:\n{}",
        failed.len(),
        failed.len() + report.passed.len(),
        connector.name(),
        failed.join("\n")
    );
    report
}
