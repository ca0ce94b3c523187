//! One import, from the claim on the target to its publication.

use std::path::Path;
use std::sync::Arc;

use rsqoop_connector::{
    Consistency, ErrorKind, KeyRange, ReadQuery, Result, Session, SharedSnapshot, SnapshotOp,
};

use super::readers::{self, Readers};
use super::{Engine, audit, warn_of_changes};
use crate::commit::leftover::Leftover;
use crate::commit::manifest::Manifest;
use crate::commit::staging::{Staging, check_target, forget_dead_claim};
use crate::commit::state::{NewRun, Piece, RunReceipt, RunRecord};
use crate::commit::{dataset, publish};
use crate::job::{JobSpec, Resume, Verify};
use crate::plan::{self, Draft, Prepared};
use crate::report::{Report, ReportFile, ReportRetry, ReportSplit, ReportWorker};
use crate::run::control::{Phase, RunControl, WorkerProgress};
use crate::run::part::PartReceipt;
use crate::run::regions::Run;
use crate::run::throttle::Throttle;
use crate::run::{self, Outcome, Watchdog, Work};
use crate::verify::{self, Counted};

/// What an import has in hand while it runs.
pub(super) struct Import<'a> {
    pub(super) engine: &'a Engine,
    pub(super) job: &'a JobSpec,
    pub(super) control: &'a Arc<RunControl>,
    pub(super) report: &'a mut Report,
}

/// What an earlier try of the same run left, and what of it counts.
struct Kept {
    record: RunRecord,
    parts: Vec<PartReceipt>,
    pieces: Option<Vec<KeyRange>>,
}

impl Kept {
    /// What was read in other snapshots than this one.
    fn earlier_runs(&self, snapshot: usize) -> Vec<Run> {
        let earlier = self.parts.iter().filter(|p| p.snapshot != snapshot);
        earlier.flat_map(|p| p.runs.iter().map(|r| r.run.clone())).collect()
    }
}

impl Import<'_> {
    pub(super) fn run(&mut self) -> Result<()> {
        let (job, control) = (self.job, self.control);
        job.validate()?;
        check_target(&job.target, job.existing).inspect_err(|_| forget_dead_claim(&job.target))?;
        let earlier = dataset::earlier_manifest(job, &job.target)?;
        control.limit(Throttle::new(job.max_rows_per_second, job.max_bytes_per_second));
        let mut keeper = self.engine.connect(&job.source, control)?;
        control.watch(keeper.interrupter());
        control.enter(Phase::Planning);
        let server = keeper.server()?;
        self.report.server = Some(format!("{} {}", server.product, server.version));
        let draft = Draft::new(job, &mut *keeper)?;
        self.report.relation = plan::relation_label(&draft.relation);
        let mut staging = Staging::claim(&job.target, job.existing, &self.report.run_id)?;
        for note in std::mem::take(&mut staging.notes) {
            self.note(note);
        }
        let connector = self.engine.connector(&job.source)?;
        let readers = readers::open(&connector, job, control, keeper, &draft)?;
        control.watch(readers.auditor.interrupter());
        self.told_snapshot(readers.snapshot.as_ref());
        let kept = self.prepare_staging(&mut staging, &draft, readers.snapshot.as_ref())?;
        let finished = self.transfer(&mut staging, readers, draft, kept, earlier.as_ref());
        // What holds no safe row is worth nothing to anybody.
        staging.keep &= finished.is_err() && staging.has_receipts();
        if staging.keep {
            self.report.kept = Some(staging.dir.display().to_string());
        }
        finished
    }

    fn note(&mut self, note: String) {
        self.control.note(note.clone());
        self.report.notes.push(note);
    }

    fn warn(&mut self, warning: String) {
        self.control.warn(warning.clone());
        self.report.notes.push(warning);
    }

    fn told_snapshot(&mut self, snapshot: Option<&SharedSnapshot>) {
        self.report.snapshot = snapshot.cloned();
        match snapshot {
            Some(shared) => {
                let position = shared.position.as_ref().map(|p| format!(" at {p}"));
                let position = position.unwrap_or_default();
                self.control.detail(format!("snapshot {}{position}: {}", shared.id, shared.recipe));
            }
            None if self.job.consistency == Consistency::None => {
                self.warn("--consistency none: rows that change meanwhile may be read in different states".to_string());
            }
            None => {}
        }
    }

    /// Makes the staging directory, or takes over that of a dead run of the same job whose rows still
    /// count.
    fn prepare_staging(
        &mut self,
        staging: &mut Staging,
        draft: &Draft,
        snapshot: Option<&SharedSnapshot>,
    ) -> Result<Kept> {
        let fingerprint = draft.fingerprint(self.job);
        for dead in std::mem::take(&mut staging.leftovers) {
            match self.usable(&dead, &fingerprint, draft, snapshot) {
                Ok((record, pieces)) => {
                    return self.adopt(staging, &dead, record, pieces, snapshot);
                }
                Err(why) => self.note(format!(
                    "run {} died with {} rows safe; the table starts again, since {why}",
                    dead.run_id(),
                    dead.rows()
                )),
            }
        }
        staging.create()?;
        let record = RunRecord::new(NewRun {
            run_id: self.report.run_id.clone(),
            started: self.report.started.clone(),
            command: self.job.command.clone(),
            source: self.report.source.clone(),
            relation: self.report.relation.clone(),
            target: staging.target.clone(),
            fingerprint,
            columns: plan::plan_columns(&draft.columns),
        });
        Ok(Kept { record, parts: Vec::new(), pieces: None })
    }

    /// The pieces to go on with, or why nothing of a dead run counts.
    fn usable(
        &self,
        dead: &Leftover,
        fingerprint: &str,
        draft: &Draft,
        snapshot: Option<&SharedSnapshot>,
    ) -> std::result::Result<(RunRecord, Vec<KeyRange>), String> {
        let Some(record) = dead.record() else {
            return Err("it left no record".to_string());
        };
        if record.fingerprint != fingerprint {
            return Err("it had another job, or the table has changed its columns".to_string());
        }
        if dead.receipts.is_empty() {
            return Err("nothing of it was safe yet".to_string());
        }
        let same = is_unchanged(record, snapshot);
        if !same && self.job.resume != Resume::Mixed {
            return Err(
                "its snapshot is gone (--resume mixed would keep its rows beside later ones)"
                    .to_string(),
            );
        }
        if !same && draft.by_place {
            return Err(
                "its rows were split by where they lie, which is elsewhere by now (--split-by names a key that stays)"
                    .to_string(),
            );
        }
        let range = |piece: &Piece| piece.range(draft.key.as_ref());
        let pieces: Option<Vec<KeyRange>> = record.pieces.iter().map(range).collect();
        let known = |r: &RunReceipt| r.first < r.end && r.end <= record.pieces.len();
        match pieces {
            Some(pieces) if dead.receipts.iter().all(|r| r.runs.iter().all(known)) => {
                Ok((record.clone(), pieces))
            }
            _ => Err("its record cannot be used".to_string()),
        }
    }

    fn adopt(
        &mut self,
        staging: &mut Staging,
        dead: &Leftover,
        record: RunRecord,
        pieces: Vec<KeyRange>,
        snapshot: Option<&SharedSnapshot>,
    ) -> Result<Kept> {
        let same = is_unchanged(&record, snapshot);
        let sizes = staging.adopt(dead)?;
        let parts: Vec<PartReceipt> = dead
            .receipts
            .iter()
            .zip(sizes)
            .map(|(receipt, bytes)| PartReceipt {
                name: receipt.part.clone(),
                worker: receipt.worker,
                rows: receipt.rows,
                bytes,
                runs: receipt.runs.iter().map(RunReceipt::read).collect(),
                // Equal data versions are one state by two names.
                snapshot: if same { record.snapshots.len() } else { receipt.snapshot },
            })
            .collect();
        self.report.run_id.clone_from(&record.run_id);
        self.report.earlier_snapshots.clone_from(&record.snapshots);
        let state = if same {
            "the source has not changed since"
        } else {
            "they are of an earlier snapshot than the rest"
        };
        let note = format!(
            "going on with run {}: {} rows in {} files stay; {state}",
            record.run_id,
            dead.rows(),
            parts.len()
        );
        if same {
            self.note(note)
        } else {
            self.warn(note)
        }
        Ok(Kept { record, parts, pieces: Some(pieces) })
    }

    /// Reads, verifies and publishes.
    fn transfer(
        &mut self,
        staging: &mut Staging,
        mut readers: Readers,
        mut draft: Draft,
        mut kept: Kept,
        earlier: Option<&Manifest>,
    ) -> Result<()> {
        let (job, control) = (self.job, self.control);
        let (rows, columns) = (draft.info.estimated_rows, plan::plan_columns(&draft.columns));
        warn_of_changes(earlier, &columns, control);
        let pieces = kept.pieces.take();
        draft.shared_state = readers.snapshot.is_some();
        let (prepared, notes) = draft.finish(job, &mut *readers.auditor, pieces)?;
        for note in notes {
            if prepared.closed { self.warn(note) } else { self.note(note) }
        }
        control.check()?;
        let snapshot = kept.record.snapshots.len();
        kept.record.pieces = prepared.pieces.iter().map(Piece::of).collect();
        kept.record.snapshots.push(readers.snapshot.clone());
        kept.record.write(&staging.dir)?;
        staging.keep |= job.resume == Resume::Mixed;
        control.expect(rows, prepared.pieces.len());
        control.enter(Phase::Reading);
        let first_part = dataset::next_part_number(job)?;
        let done = kept.earlier_runs(snapshot);
        let (mut outcome, counted) =
            self.read(&mut readers, &prepared, snapshot, kept, staging, first_part)?;
        control.enter(Phase::Verifying);
        self.report.verified = verify::verify(job, &prepared, &outcome, &staging.dir)?;
        let new_rows: u64 =
            outcome.splits().iter().filter(|s| s.snapshot == snapshot).map(|s| s.read.rows).sum();
        self.counted(&prepared, &outcome, new_rows, counted, &done, &mut *readers.auditor)?;
        if job.verify == Verify::Checksum {
            self.checksums(&prepared, &outcome, &staging.dir, &mut readers, snapshot)?;
        }
        if readers.snapshot.is_some() {
            readers.keeper.snapshot(&SnapshotOp::Check)?;
            self.report.verified.push("the snapshot held until the last row".to_string());
        }
        drop(readers.auditor);
        self.refuse_unverified()?;
        control.check()?;
        control.enter(Phase::Publishing);
        dataset::number_parts(job, &staging.dir, first_part, &mut outcome.parts)?;
        self.record(&outcome, &prepared, &*readers.keeper, snapshot);
        dataset::seal(job, staging, self.report, columns)?;
        publish::publish(staging, job.existing)
    }

    /// Reads what is left, while another session counts and a third watches.
    fn read(
        &mut self,
        readers: &mut Readers,
        prepared: &Prepared,
        snapshot: usize,
        kept: Kept,
        staging: &Staging,
        first_part: usize,
    ) -> Result<(Outcome, Counted)> {
        let (job, control) = (self.job, self.control);
        let wanted = match (job.verify, &readers.snapshot) {
            (Verify::None, _) => Err("--verify none".to_string()),
            (_, None) => Err("no snapshot that could be counted".to_string()),
            _ => prepared.count.clone(),
        };
        let queries = wanted.map(|()| prepared.whole(&kept.earlier_runs(snapshot)));
        let connector = self.engine.connector(&job.source)?;
        let shared = readers.snapshot.clone();
        let again = || readers::rejoin(&connector, &job.source, shared.as_ref(), control);
        let may_rejoin = connector.capabilities().rejoin || shared.is_none();
        let work = Work {
            job,
            prepared,
            staging: &staging.dir,
            first_part,
            snapshot,
            kept: kept.parts,
            rejoin: may_rejoin.then_some(&again as &run::Rejoin<'_>),
        };
        let sessions = std::mem::take(&mut readers.sessions);
        let (keeper, auditor) = (&mut *readers.keeper, &mut *readers.auditor);
        let counter = Arc::new(WorkerProgress::default());
        let others = vec![("the count of rows".to_string(), counter.clone())];
        let (outcome, counted) = Watchdog::new(control, others).around(keeper, || {
            std::thread::scope(|scope| {
                let counting = scope.spawn(|| count(queries, auditor, &counter, control));
                let outcome = run::run(&work, sessions, control);
                control.enter(Phase::Verifying);
                let counted = counting
                    .join()
                    .unwrap_or_else(|panic| Err(run::panic_error(&*panic).message().to_string()));
                (outcome, counted)
            })
        });
        let (outcome, sessions, result) = outcome;
        readers.sessions = sessions;
        if let Err(error) = result {
            self.record(&outcome, prepared, &*readers.keeper, snapshot);
            return Err(error);
        }
        Ok((outcome, counted))
    }

    fn counted(
        &mut self,
        prepared: &Prepared,
        outcome: &Outcome,
        rows: u64,
        counted: Counted,
        done: &[Run],
        auditor: &mut dyn Session,
    ) -> Result<()> {
        match verify::verify_count(rows, counted, &self.job.relation) {
            Ok(Ok(mut compared)) => {
                if !done.is_empty() {
                    compared.push_str(", of what this try read");
                }
                self.report.verified.push(compared);
            }
            Ok(Err(why)) => {
                if self.job.verify != Verify::None {
                    self.note(format!("the rows were not counted on the server: {why}"));
                }
                self.report.not_verified.push(format!("rows on the server: {why}"));
            }
            Err(error) => return Err(verify::name_split(error, prepared, outcome, auditor)),
        }
        Ok(())
    }

    fn refuse_unverified(&self) -> Result<()> {
        match self.report.not_verified.first() {
            Some(first) if self.job.require_verified => Err(rsqoop_connector::Error::new(
                ErrorKind::Verify,
                format!("the result could not be verified: {first}"),
            )
            .hint("nothing was published; leave --require-verified out to accept it")),
            _ => Ok(()),
        }
    }

    fn checksums(
        &mut self,
        prepared: &Prepared,
        outcome: &Outcome,
        staging: &Path,
        readers: &mut Readers,
        snapshot: usize,
    ) -> Result<()> {
        let what = audit::Audited {
            job: self.job,
            prepared,
            staging,
            snapshot,
            shared: readers.snapshot.is_some(),
        };
        let mut sessions = std::mem::take(&mut readers.sessions);
        let auditor = &mut readers.auditor;
        let (found, sums) = audit::checksums(
            &what,
            &outcome.parts,
            &mut sessions,
            auditor,
            &mut readers.keeper,
            self.control,
        )?;
        self.report.verified.extend(found.verified());
        for what in found.not_verified() {
            self.note(format!("not verified: {what}"));
            self.report.not_verified.push(what);
        }
        self.report.checksums = sums;
        Ok(())
    }

    fn record(
        &mut self,
        outcome: &Outcome,
        prepared: &Prepared,
        session: &dyn Session,
        snapshot: usize,
    ) {
        let report = &mut *self.report;
        report.files = outcome
            .parts
            .iter()
            .map(|part| ReportFile { name: part.name.clone(), rows: part.rows, bytes: part.bytes })
            .collect();
        report.rows = report.files.iter().map(|f| f.rows).sum();
        report.bytes = report.files.iter().map(|f| f.bytes).sum();
        report.read_seconds = outcome.seconds;
        report.workers = outcome
            .workers
            .iter()
            .map(|w| ReportWorker {
                rows: w.rows,
                bytes: w.bytes,
                splits: w.splits,
                busy_seconds: w.busy_seconds,
                idle_seconds: w.idle_seconds,
            })
            .collect();
        report.splits = outcome
            .splits()
            .into_iter()
            .map(|split| ReportSplit {
                range: prepared.query(&split.read.run).range.to_sql(session.dialect()),
                worker: split.worker,
                file: split.part.map(|part| outcome.parts[part].name.clone()),
                earlier_snapshot: (split.snapshot != snapshot).then_some(split.snapshot),
                rows: split.read.rows,
                seconds: split.read.seconds,
            })
            .collect();
        report.retries = outcome
            .retries
            .iter()
            .map(|r| ReportRetry { worker: r.worker, error: r.error.clone() })
            .collect();
    }
}

/// Whether the source can prove that it is what a dead run read.
fn is_unchanged(record: &RunRecord, snapshot: Option<&SharedSnapshot>) -> bool {
    let version = |s: Option<&SharedSnapshot>| s.and_then(|s| s.data_version.clone());
    let now = version(snapshot);
    now.is_some() && record.snapshots.iter().all(|then| version(then.as_ref()) == now)
}

/// Counts the rows on the server, or says why not. A count that fails is no failure of the import:
/// the rows have arrived all the same, only unproven.
fn count(
    wanted: std::result::Result<Vec<ReadQuery>, String>,
    auditor: &mut dyn Session,
    progress: &WorkerProgress,
    control: &RunControl,
) -> Counted {
    let mut total = 0;
    for query in wanted? {
        let sql = query.count_sql(auditor.dialect());
        progress.begins(auditor, sql, control);
        let counted = auditor.count(&query);
        progress.ends();
        match counted {
            Ok(Some(rows)) => total += rows,
            Ok(None) => return Err("the connector cannot count".to_string()),
            Err(error) => return Err(error.message().to_string()),
        }
    }
    Ok(total)
}
