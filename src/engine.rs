//! The engine: finds the connector, plans, reads under one snapshot, verifies, publishes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rsqoop_connector::{
    ConnectTarget, Connector, Error, ErrorKind, ReadQuery, Result, Session, SnapshotId, SnapshotOp,
};

use crate::commit::manifest::Manifest;
use crate::commit::staging::{Staging, check_target};
use crate::commit::{dataset, publish};
use crate::job::{Format, JobSpec, Verify};
use crate::plan::{self, Draft, Plan};
use crate::report::{REPORT_VERSION, Report, ReportError, ReportFile, ReportSplit};
use crate::run::control::{Phase, RunControl};
use crate::run::{self, Outcome};
use crate::verify::{verify, verify_count};

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

/// Sessions in use for a job, and the snapshot they share.
struct Readers {
    /// Keeps the snapshot alive; never reads while the workers do.
    keeper: Box<dyn Session>,
    /// Sees the snapshot too: cuts the key, and counts while the workers read.
    auditor: Box<dyn Session>,
    sessions: Vec<Box<dyn Session>>,
    snapshot: Option<SnapshotId>,
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
        await_session(&start_connecting(&connector, target)?, control)
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
        let snapshot = if self.connector(&job.source)?.capabilities().shared_snapshot {
            "one snapshot, shared by all sessions".to_string()
        } else {
            "none: the database has no shared snapshots".to_string()
        };
        warn_of_changes(earlier.as_ref(), &plan::plan_columns(&draft.columns), control);
        let (prepared, notes) = draft.finish(job, &mut *session)?;
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
            files: dataset::part_names(job, first, prepared.workers),
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
            workers: 0,
            snapshot: None,
            rows: 0,
            bytes: 0,
            verified: Vec::new(),
            not_verified: Vec::new(),
            files: Vec::new(),
            splits: Vec::new(),
            notes: Vec::new(),
            error: None,
        };
        let result = catch_unwind(AssertUnwindSafe(|| self.import(job, control, &mut report)))
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

    fn import(&self, job: &JobSpec, control: &Arc<RunControl>, report: &mut Report) -> Result<()> {
        job.validate()?;
        check_target(&job.target, job.existing)?;
        let earlier = dataset::earlier_manifest(job, &job.target)?;
        let mut keeper = self.connect(&job.source, control)?;
        control.watch(keeper.interrupter());
        control.enter(Phase::Planning);
        let server = keeper.server()?;
        report.server = Some(format!("{} {}", server.product, server.version));
        let draft = Draft::new(job, &mut *keeper)?;
        report.relation = plan::relation_label(&draft.relation);
        report.workers = draft.workers;
        let (rows, columns) = (draft.info.estimated_rows, plan::plan_columns(&draft.columns));
        let mut staging = Staging::open(&job.target, job.existing, &report.run_id)?;
        let mut readers = self.open_readers(job, control, keeper, &draft)?;
        control.watch(readers.auditor.interrupter());
        warn_of_changes(earlier.as_ref(), &columns, control);
        report.snapshot = readers.snapshot.as_ref().map(ToString::to_string);
        let (prepared, notes) = draft.finish(job, &mut *readers.auditor)?;
        for note in notes {
            control.note(note.clone());
            report.notes.push(note);
        }
        control.check()?;
        control.expect(rows, prepared.queries.len());
        control.enter(Phase::Reading);
        let first = dataset::next_part_number(job)?;
        let names = dataset::part_names(job, first, prepared.workers);
        let sql: Vec<String> =
            plan::plan_splits(&prepared, &*readers.keeper).into_iter().map(|s| s.sql).collect();
        let sessions = std::mem::take(&mut readers.sessions);
        let wanted = match (job.verify, &readers.snapshot) {
            (Verify::None, _) => Err("--verify none".to_string()),
            (_, None) => Err("no snapshot that could be counted".to_string()),
            (Verify::Count, Some(_)) => prepared.count.clone(),
        };
        let auditor = &mut *readers.auditor;
        let (outcome, counted) = std::thread::scope(|scope| {
            let counting = scope.spawn(|| count_rows(wanted, auditor));
            let outcome = run::run(job, &prepared, sessions, &staging.dir, &names, control);
            control.enter(Phase::Verifying);
            let counted = counting.join().unwrap_or_else(|panic| Err(panic_text(&*panic)));
            (outcome, counted)
        });
        let outcome = outcome?;
        report.verified = verify(job, &prepared, &outcome)?;
        match verify_count(&outcome, counted, &job.relation)? {
            Ok(compared) => report.verified.push(compared),
            Err(why) => {
                if job.verify != Verify::None {
                    control.note(format!("the rows were not counted on the server: {why}"));
                }
                report.not_verified.push(format!("rows on the server: {why}"));
            }
        }
        record(&outcome, &sql, report);
        control.check()?;
        control.enter(Phase::Publishing);
        dataset::seal(job, &staging, report, columns)?;
        publish::publish(&mut staging, job.existing)
    }

    /// Opens one session per worker and brings them all to one snapshot. Tries again, with new
    /// sessions, where the database changed between the first and the last of them.
    fn open_readers(
        &self,
        job: &JobSpec,
        control: &Arc<RunControl>,
        mut keeper: Box<dyn Session>,
        draft: &Draft,
    ) -> Result<Readers> {
        let connector = self.connector(&job.source)?;
        let mut attempt = 1;
        let readers = loop {
            control.check()?;
            match share_snapshot(&connector, job, keeper, draft, control) {
                Err(error) if error.is_transient() && attempt < SNAPSHOT_ATTEMPTS => {
                    control.detail(format!("snapshot, attempt {attempt}: {error}"));
                    std::thread::sleep(SNAPSHOT_PAUSE * attempt);
                    attempt += 1;
                    keeper = await_session(&start_connecting(&connector, &job.source)?, control)?;
                    control.watch(keeper.interrupter());
                }
                result => break result?,
            }
        };
        match &readers.snapshot {
            Some(id) => control.detail(format!("snapshot: {id}")),
            None if draft.workers > 1 => control.warn(
                "the database gives no snapshot that several sessions can share: rows that change meanwhile may be read in different states",
            ),
            None => {}
        }
        Ok(readers)
    }
}

/// Attempts to bring all sessions to one snapshot, and the pause between them, times the attempt.
const SNAPSHOT_ATTEMPTS: u32 = 10;
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(20);

fn share_snapshot(
    connector: &Arc<dyn Connector>,
    job: &JobSpec,
    mut keeper: Box<dyn Session>,
    draft: &Draft,
    control: &RunControl,
) -> Result<Readers> {
    // Opened before the snapshot is taken: locks that taking it needs are then held shortly.
    let mut sessions = open_sessions(connector, &job.source, draft.workers + 1, control)?;
    let mut snapshot = None;
    if connector.capabilities().shared_snapshot {
        snapshot = keeper.snapshot(&SnapshotOp::Share(draft.tables()))?;
        if let Some(id) = &snapshot {
            for session in &mut sessions {
                session.snapshot(&SnapshotOp::Join(id.clone()))?;
            }
            keeper.snapshot(&SnapshotOp::Release)?;
        }
    }
    let auditor = sessions
        .pop()
        .ok_or_else(|| Error::new(ErrorKind::Bug, "a session more than workers was opened"))?;
    Ok(Readers { keeper, auditor, sessions, snapshot })
}

/// Counts the rows on the server, or says why not. A count that fails is no failure of the import:
/// the rows have arrived all the same, only unproven.
fn count_rows(
    wanted: Result<Vec<ReadQuery>, String>,
    auditor: &mut dyn Session,
) -> Result<u64, String> {
    let mut total = 0;
    for query in wanted? {
        match auditor.count(&query) {
            Ok(Some(rows)) => total += rows,
            Ok(None) => return Err("the connector cannot count".to_string()),
            Err(error) => return Err(error.message().to_string()),
        }
    }
    Ok(total)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    run::panic_error(panic).message().to_string()
}

/// Says when `--append` adds files whose columns are not those of the files that are there.
fn warn_of_changes(earlier: Option<&Manifest>, columns: &[plan::PlanColumn], control: &RunControl) {
    if let Some(changes) = earlier.and_then(|m| dataset::changed_columns(m, columns)) {
        control.warn(format!(
            "the columns are not those of the last import into this target: {changes}"
        ));
    }
}

/// Opens `count` sessions at the same time.
fn open_sessions(
    connector: &Arc<dyn Connector>,
    target: &ConnectTarget,
    count: usize,
    control: &RunControl,
) -> Result<Vec<Box<dyn Session>>> {
    let opening: Vec<_> =
        (0..count).map(|_| start_connecting(connector, target)).collect::<Result<_>>()?;
    opening.iter().map(|session| await_session(session, control)).collect()
}

type Opening = Receiver<Result<Box<dyn Session>>>;

/// Begins to open a session on a thread of its own. A run that is stopped meanwhile does not wait for it:
/// the thread ends within the connector's own time limit, and its session with it.
fn start_connecting(connector: &Arc<dyn Connector>, target: &ConnectTarget) -> Result<Opening> {
    let (sender, receiver) = channel();
    let (connector, target) = (Arc::clone(connector), target.clone());
    let connect = move || {
        let opened = catch_unwind(AssertUnwindSafe(|| connector.connect(&target)))
            .unwrap_or_else(|panic| Err(run::panic_error(&*panic)));
        let _ = sender.send(opened);
    };
    run::spawn_error(std::thread::Builder::new().name("connect".to_string()).spawn(connect))?;
    Ok(receiver)
}

fn await_session(opening: &Opening, control: &RunControl) -> Result<Box<dyn Session>> {
    loop {
        match opening.recv_timeout(CONNECT_POLL) {
            Ok(opened) => return opened,
            Err(RecvTimeoutError::Timeout) => control.check()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(ErrorKind::Bug, "a session was lost while it opened"));
            }
        }
    }
}

/// How soon a stop is noticed while sessions open.
const CONNECT_POLL: Duration = Duration::from_millis(50);

fn record(outcome: &Outcome, sql: &[String], report: &mut Report) {
    report.files = outcome
        .parts
        .iter()
        .map(|part| ReportFile { name: file_name(&part.path), rows: part.rows, bytes: part.bytes })
        .collect();
    report.rows = report.files.iter().map(|f| f.rows).sum();
    report.bytes = report.files.iter().map(|f| f.bytes).sum();
    report.splits = outcome
        .splits
        .iter()
        .map(|split| ReportSplit {
            sql: sql[split.split].clone(),
            worker: split.worker,
            rows: split.rows,
            seconds: split.seconds,
        })
        .collect();
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
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
            Capabilities { shared_snapshot: false, sql: false, parallel: false }
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
