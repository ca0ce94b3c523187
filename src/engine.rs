//! The engine: finds the connector, plans, reads under one snapshot, verifies, publishes.

mod audit;
mod import;
mod readers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use rsqoop_connector::{ConnectTarget, Connector, Consistency, Error, ErrorKind, Result, Session};

use crate::commit::dataset;
use crate::commit::manifest::Manifest;
use crate::commit::staging::check_target;
use crate::job::{Format, JobSpec};
use crate::plan::{self, Draft, Plan};
use crate::report::{REPORT_VERSION, Report, ReportError};
use crate::run;
use crate::run::control::{Phase, RunControl};
use import::Import;

/// Runs jobs with the connectors it knows.
///
/// ```no_run
/// use rsqoop::{Engine, JobSpec, Relation, TableName};
///
/// let job = JobSpec::import(
///     "postgresql://reader@db.example/shop",
///     Relation::Table(TableName::new("orders")),
///     "out/orders",
/// )?;
/// let report = Engine::new().run(&job)?;
/// println!("{} rows", report.rows);
/// # Ok::<(), rsqoop::Error>(())
/// ```
#[derive(Clone)]
pub struct Engine {
    connectors: Vec<Arc<dyn Connector>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.connectors.iter().map(|c| c.name()).collect();
        f.debug_struct("Engine").field("connectors", &names).finish()
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine with the connectors of the tree.
    pub fn new() -> Self {
        Engine { connectors: crate::registry::all() }
    }

    /// Adds a connector of one's own; its schemes win over earlier ones.
    #[must_use]
    pub fn with_connector(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connectors.insert(0, connector);
        self
    }

    /// The connector for a target.
    ///
    /// # Errors
    /// `Usage` naming the known schemes.
    pub fn connector(&self, target: &ConnectTarget) -> Result<Arc<dyn Connector>> {
        let found = self.connectors.iter().find(|c| c.schemes().contains(&target.scheme.as_str()));
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> =
                self.connectors.iter().flat_map(|c| c.schemes()).copied().collect();
            Error::new(ErrorKind::Usage, format!("there is no connector for {}:", target.scheme))
                .hint(format!("known are: {}", known.join(", ")))
        })
    }

    /// Opens a session to a target, after warning of URL parameters nobody knows.
    ///
    /// # Errors
    /// As [`Connector::check`] and [`Connector::connect`].
    pub fn connect(
        &self,
        target: &ConnectTarget,
        control: &RunControl,
    ) -> Result<Box<dyn Session>> {
        let connector = self.connector(target)?;
        for name in connector.check(target)? {
            control.warn(format!("the URL parameter {name} is not known and has no effect"));
        }
        readers::await_session(&readers::start_connecting(&connector, target)?, control)
    }

    /// Says how a job would be done; reads the catalogue and the key's extent, changes nothing.
    ///
    /// # Errors
    /// Whatever would stop the job before its first row.
    pub fn plan(&self, job: &JobSpec, control: &RunControl) -> Result<Plan> {
        job.validate()?;
        check_target(&job.target, job.existing)?;
        let earlier = dataset::earlier_manifest(job, &job.target)?;
        let mut session = self.connect(&job.source, control)?;
        control.enter(Phase::Planning);
        let server = session.server()?;
        let draft = Draft::new(job, &mut *session)?;
        let (kind, key, reason) = (draft.info.kind, draft.key.clone(), draft.key_reason.clone());
        let (rows, bytes) = (draft.info.estimated_rows, draft.info.estimated_bytes);
        let relation = plan::relation_label(&draft.relation);
        let snapshot = recipe(job, &draft, &mut *session)?;
        warn_of_changes(earlier.as_ref(), &plan::plan_columns(&draft.columns), control);
        let (prepared, notes) = draft.finish(job, &mut *session, None)?;
        let first = dataset::next_part_number(job)?;
        Ok(Plan {
            source: job.source.redacted(),
            server: format!("{} {}", server.product, server.version),
            relation,
            relation_kind: kind,
            columns: plan::plan_columns(&prepared.columns),
            split_by: key.map(|k| k.expr),
            split_reason: reason,
            splits: plan::plan_splits(&prepared, &*session),
            workers: prepared.workers,
            snapshot,
            target: job.target.display().to_string(),
            format: format_label(&job.format),
            files: dataset::part_names(job, first, prepared.workers).collect(),
            pieces: prepared.pieces.len(),
            estimated_rows: rows,
            estimated_bytes: bytes,
            notes,
        })
    }

    /// Runs a job to its end.
    ///
    /// # Errors
    /// The first failure; nothing is published then.
    pub fn run(&self, job: &JobSpec) -> Result<Report> {
        let (report, result) = self.run_watched(job, &RunControl::new(|_| {}));
        result.map(|()| report)
    }

    /// Runs a job while others watch or stop it through `control`; the report is there in any case.
    pub fn run_watched(&self, job: &JobSpec, control: &Arc<RunControl>) -> (Report, Result<()>) {
        let started = Instant::now();
        let mut report = Report {
            version: REPORT_VERSION,
            status: "failed".to_string(),
            run_id: random_id(),
            rsqoop: env!("CARGO_PKG_VERSION").to_string(),
            started: now(),
            seconds: 0.0,
            source: job.source.redacted(),
            server: None,
            relation: plan::relation_label(&job.relation),
            target: job.target.display().to_string(),
            format: format_label(&job.format),
            command: job.command.clone(),
            consistency: job.consistency,
            snapshot: None,
            earlier_snapshots: Vec::new(),
            workers: Vec::new(),
            read_seconds: 0.0,
            kept: None,
            rows: 0,
            bytes: 0,
            verified: Vec::new(),
            not_verified: Vec::new(),
            files: Vec::new(),
            splits: Vec::new(),
            checksums: Vec::new(),
            retries: Vec::new(),
            notes: Vec::new(),
            error: None,
        };
        let import = |report: &mut Report| Import { engine: self, job, control, report }.run();
        let result = catch_unwind(AssertUnwindSafe(|| import(&mut report)))
            .unwrap_or_else(|panic| Err(run::panic_error(&*panic)));
        // A stop from outside explains whatever else went wrong after it.
        let result = match (result, control.take_error()) {
            (Err(_), Some(stop)) if stop.kind() == ErrorKind::Cancelled => Err(stop),
            (result, _) => result,
        };
        report.seconds = started.elapsed().as_secs_f64();
        match &result {
            Ok(()) => report.status = "done".to_string(),
            Err(error) => report.error = Some(ReportError::new(error)),
        }
        control.enter(Phase::Done);
        (report, result)
    }
}

/// How all readers would come to one state.
fn recipe(job: &JobSpec, draft: &Draft, session: &mut dyn Session) -> Result<String> {
    if job.consistency == Consistency::None {
        return Ok("none, as --consistency none accepts".to_string());
    }
    match session.snapshot_recipe(&readers::request(job, draft)) {
        Err(error) if readers::may_do_without(job, draft, &error) => {
            Ok(format!("none, but one statement: {}", error.message()))
        }
        recipe => recipe.map_err(|error| readers::name_weaker(job, error)),
    }
}

/// Says when `--append` adds files whose columns are not those of the files that are there.
fn warn_of_changes(earlier: Option<&Manifest>, columns: &[plan::PlanColumn], control: &RunControl) {
    if let Some(changes) = earlier.and_then(|m| dataset::changed_columns(m, columns)) {
        control.warn(format!(
            "the columns are not those of the last import into this target: {changes}"
        ));
    }
}

fn format_label(format: &Format) -> String {
    let (name, codec) = match format {
        Format::Parquet(codec) => ("parquet", format!("{codec:?}")),
        Format::Text(text) => ("text", format!("{:?}", text.codec)),
    };
    format!(
        "{name}, {}",
        if codec == "None" { "uncompressed".to_string() } else { codec.to_lowercase() }
    )
}

/// A random name for a run, so that no two runs ever share files (see SPARK-33402 for ids made
/// from the time).
fn random_id() -> String {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).expect("the system's random source works");
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use rsqoop_connector::{Capabilities, Relation, TableName};

    use super::*;

    /// A connector with a defect.
    struct Broken;

    impl Connector for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }
        fn schemes(&self) -> &'static [&'static str] {
            &["broken"]
        }
        fn capabilities(&self) -> Capabilities {
            Capabilities { shared_snapshot: false, rejoin: false, sql: false, parallel: false }
        }
        fn check(&self, _: &ConnectTarget) -> Result<Vec<String>> {
            Ok(Vec::new())
        }
        fn connect(&self, _: &ConnectTarget) -> Result<Box<dyn Session>> {
            panic!("index out of bounds")
        }
    }

    #[test]
    fn a_panic_in_a_connector_is_a_reported_defect() {
        let dir = tempfile::tempdir().unwrap();
        let table = Relation::Table(TableName::new("t"));
        let job = JobSpec::import("broken://x/y", table, dir.path().join("out")).unwrap();
        let engine = Engine::new().with_connector(Arc::new(Broken));
        let (report, result) = engine.run_watched(&job, &RunControl::new(|_| {}));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Bug);
        let error = report.error.unwrap();
        assert_eq!(error.exit_status, 70);
        assert!(error.message.contains("index out of bounds"), "{}", error.message);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
