//! The engine: finds the connector, plans, reads under one snapshot, verifies, publishes.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rsqoop_connector::{
    ConnectTarget, Connector, Error, ErrorKind, Result, Session, SnapshotId, SnapshotOp,
};

use crate::commit::manifest::{Manifest, ManifestColumn, ManifestFile, ManifestRun};
use crate::commit::staging::{Staging, check_target};
use crate::commit::{MANIFEST_NAME, SUCCESS_NAME, publish};
use crate::format::parquet::footer_rows;
use crate::job::{Existing, Format, JobSpec};
use crate::plan::{self, Draft, Plan, Prepared};
use crate::report::{REPORT_VERSION, Report, ReportError, ReportFile, ReportSplit};
use crate::run::control::{Phase, RunControl};
use crate::run::{self, Outcome};
use crate::store::{local, write_error};

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
        connector.connect(target)
    }

    /// Says how a job would be done; reads the catalogue and the key's extent, changes nothing.
    ///
    /// # Errors
    /// Whatever would stop the job before its first row.
    pub fn plan(&self, job: &JobSpec, control: &RunControl) -> Result<Plan> {
        job.validate()?;
        check_target(&job.target, job.existing)?;
        earlier_manifest(job, &job.target)?;
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
        let (prepared, notes) = draft.finish(job, &mut *session)?;
        let first = next_part_number(job)?;
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
            files: part_names(job, first, prepared.workers),
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
        earlier_manifest(job, &job.target)?;
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
        report.snapshot = readers.snapshot.as_ref().map(ToString::to_string);
        let (prepared, notes) = draft.finish(job, &mut *readers.sessions[0])?;
        for note in notes {
            control.note(note.clone());
            report.notes.push(note);
        }
        control.check()?;
        control.expect(rows, prepared.queries.len());
        control.enter(Phase::Reading);
        let first = next_part_number(job)?;
        let names = part_names(job, first, prepared.workers);
        let sql: Vec<String> =
            plan::plan_splits(&prepared, &*readers.keeper).into_iter().map(|s| s.sql).collect();
        let sessions = std::mem::take(&mut readers.sessions);
        let outcome = run::run(job, &prepared, sessions, &staging.dir, &names, control)?;
        control.enter(Phase::Verifying);
        verify(job, &prepared, &outcome, report)?;
        record(&outcome, &sql, report);
        control.check()?;
        control.enter(Phase::Publishing);
        write_manifest(job, &staging, report, columns)?;
        publish::publish(&mut staging, job.existing)
    }

    /// Opens one session per worker and brings them all to one snapshot.
    fn open_readers(
        &self,
        job: &JobSpec,
        control: &Arc<RunControl>,
        mut keeper: Box<dyn Session>,
        draft: &Draft,
    ) -> Result<Readers> {
        let connector = self.connector(&job.source)?;
        let shared = connector.capabilities().shared_snapshot;
        // Opened before the snapshot is taken: locks that taking it needs are then held shortly.
        let mut sessions = open_sessions(&*connector, &job.source, draft.workers)?;
        let mut snapshot = None;
        if shared {
            snapshot = keeper.snapshot(&SnapshotOp::Share(draft.tables()))?;
            if let Some(id) = &snapshot {
                for session in &mut sessions {
                    session.snapshot(&SnapshotOp::Join(id.clone()))?;
                }
                keeper.snapshot(&SnapshotOp::Release)?;
            }
        }
        match &snapshot {
            Some(id) => control.detail(format!("snapshot: {id}")),
            None if draft.workers > 1 => control.warn(
                "the database gives no snapshot that several sessions can share: rows that change meanwhile may be read in different states",
            ),
            None => {}
        }
        Ok(Readers { keeper, sessions, snapshot })
    }
}

/// Opens `count` sessions at the same time.
fn open_sessions(
    connector: &dyn Connector,
    target: &ConnectTarget,
    count: usize,
) -> Result<Vec<Box<dyn Session>>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..count).map(|_| scope.spawn(|| connector.connect(target))).collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|panic| Err(run::panic_error(&*panic))))
            .collect()
    })
}

/// Compares what was read, written, and what the files themselves say.
fn verify(
    job: &JobSpec,
    prepared: &Prepared,
    outcome: &Outcome,
    report: &mut Report,
) -> Result<()> {
    let mismatch = |message: String, path: &PathBuf| {
        Err(Error::new(ErrorKind::Verify, message)
            .context("file", path.display().to_string())
            .hint("nothing was published; look at the disk and run again"))
    };
    if outcome.splits.len() != prepared.queries.len() || outcome.parts.len() != prepared.workers {
        return Err(Error::new(ErrorKind::Bug, "a split or part is missing at the end of the run"));
    }
    for part in &outcome.parts {
        let in_file =
            |e: std::io::Error| write_error(e).context("file", part.path.display().to_string());
        let file = File::open(&part.path).map_err(in_file)?;
        let size = file.metadata().map_err(in_file)?.len();
        if size != part.bytes {
            return mismatch(
                format!("{} bytes were written but the file has {size}", part.bytes),
                &part.path,
            );
        }
        if matches!(job.format, Format::Parquet(_)) {
            let rows = footer_rows(&file)?;
            if rows != part.rows {
                return mismatch(
                    format!("{} rows were written but the footer says {rows}", part.rows),
                    &part.path,
                );
            }
        }
    }
    report.verified.push("rows read = rows written".to_string());
    report.verified.push("bytes written = bytes on disk".to_string());
    if matches!(job.format, Format::Parquet(_)) {
        report.verified.push("rows written = rows in the footers".to_string());
    }
    Ok(())
}

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

fn write_manifest(
    job: &JobSpec,
    staging: &Staging,
    report: &Report,
    columns: Vec<plan::PlanColumn>,
) -> Result<()> {
    let run = ManifestRun {
        run_id: report.run_id.clone(),
        rsqoop: report.rsqoop.clone(),
        started: report.started.clone(),
        source: report.source.clone(),
        relation: report.relation.clone(),
        snapshot: report.snapshot.clone(),
        columns: columns
            .into_iter()
            .map(|c| ManifestColumn {
                name: c.name,
                native_type: c.native_type,
                file_type: c.file_type,
            })
            .collect(),
    };
    let files = report
        .files
        .iter()
        .map(|f| ManifestFile {
            name: f.name.clone(),
            rows: f.rows,
            bytes: f.bytes,
            run_id: report.run_id.clone(),
        })
        .collect();
    let mut manifest = Manifest::new(run, files);
    if let Some(earlier) = earlier_manifest(job, &staging.target)? {
        manifest = manifest.after(earlier);
    }
    local::write_durably(&staging.dir.join(MANIFEST_NAME), manifest.to_json().as_bytes())?;
    local::write_durably(&staging.dir.join(SUCCESS_NAME), b"")
}

/// The manifest that `--append` adds to; Sqoop's own directories have none.
fn earlier_manifest(job: &JobSpec, target: &Path) -> Result<Option<Manifest>> {
    if job.existing != Existing::Append {
        return Ok(None);
    }
    let path = target.join(MANIFEST_NAME);
    let in_file = |error: Error| error.context("file", path.display().to_string());
    match std::fs::read_to_string(&path) {
        Ok(text) => Manifest::parse(&text).map(Some).map_err(in_file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(in_file(write_error(error))),
    }
}

/// The first free part number: Sqoop's `--append` goes on counting.
fn next_part_number(job: &JobSpec) -> Result<usize> {
    if job.existing != Existing::Append {
        return Ok(0);
    }
    let entries = match std::fs::read_dir(&job.target) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => {
            return Err(write_error(error).context("target", job.target.display().to_string()));
        }
    };
    let mut next = 0;
    for entry in entries {
        let entry = entry.map_err(write_error)?;
        next = next.max(part_number(&entry.file_name().to_string_lossy()).map_or(0, |n| n + 1));
    }
    Ok(next)
}

/// `part-m-00012.gz` → 12, also for reducers' `part-r-`.
fn part_number(name: &str) -> Option<usize> {
    let rest = name.strip_prefix("part-")?;
    let digits: String = rest
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

fn part_names(job: &JobSpec, first: usize, count: usize) -> Vec<String> {
    (first..first + count).map(|n| plan::part_name(n, &job.format)).collect()
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

    #[test]
    fn part_numbers_are_found_in_every_spelling() {
        for (name, number) in [
            ("part-m-00000", Some(0)),
            ("part-m-00012.gz", Some(12)),
            ("part-r-00003.parquet", Some(3)),
            ("part-00007", Some(7)),
            ("_SUCCESS", None),
            ("part-m-", None),
        ] {
            assert_eq!(part_number(name), number, "{name}");
        }
    }
}
