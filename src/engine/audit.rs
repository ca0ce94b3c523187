//! `--verify checksum`: the files against the database, several parts at a time.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rsqoop_connector::{Checksums, ColumnChecksum, ReadQuery, Result, Session};

use crate::job::JobSpec;
use crate::plan::Prepared;
use crate::report::ReportChecksum;
use crate::run::Watchdog;
use crate::run::control::{RunControl, WorkerProgress};
use crate::run::part::PartReceipt;
use crate::run::pump::RunRead;
use crate::verify::audit::{Audit, AuditedRun, Layout, audit_part};

/// What is compared.
pub(super) struct Audited<'a> {
    pub(super) job: &'a JobSpec,
    pub(super) prepared: &'a Prepared,
    pub(super) staging: &'a Path,
    /// Which of the run's snapshots the database can be asked about.
    pub(super) snapshot: usize,
    /// Whether there is one at all.
    pub(super) shared: bool,
}

/// The checksums of a run of pieces, by its first piece.
type Sums = Vec<(usize, Checksums)>;

/// Compares every part with the database, column by column and run by run, on all sessions that see the
/// snapshot.
///
/// # Errors
/// `Verify` for the first difference that any of them finds.
pub(super) fn checksums(
    what: &Audited<'_>,
    parts: &[PartReceipt],
    sessions: &mut [Box<dyn Session>],
    auditor: &mut Box<dyn Session>,
    keeper: &mut Box<dyn Session>,
    control: &RunControl,
) -> Result<(Audit, Vec<ReportChecksum>)> {
    // The workers' own sessions are done reading; the auditor helps where there are none.
    let sessions = if sessions.is_empty() { std::slice::from_mut(auditor) } else { sessions };
    let progress: Vec<Arc<WorkerProgress>> = sessions.iter().map(|_| Arc::default()).collect();
    let others = progress.iter().map(|p| ("a checksum".to_string(), p.clone())).collect();
    let next = AtomicUsize::new(0);
    let found: Mutex<(Audit, Sums)> = Mutex::default();
    Watchdog::new(control, others).around(&mut **keeper, || {
        std::thread::scope(|scope| {
            for (session, progress) in sessions.iter_mut().zip(&progress) {
                let (next, found) = (&next, &found);
                scope.spawn(move || {
                    while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                        match one_part(what, part, &mut **session, progress, control) {
                            Ok((audit, sums)) => {
                                let mut all = found.lock().unwrap_or_else(PoisonError::into_inner);
                                all.0.add(audit);
                                all.1.extend(sums);
                            }
                            Err(error) => return control.fail(error),
                        }
                    }
                });
            }
        });
    });
    if let Some(error) = control.take_error() {
        return Err(error);
    }
    let (audit, mut sums) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    sums.sort_by_key(|(piece, _)| *piece);
    Ok((audit, reported(what.prepared, &sums)))
}

fn one_part(
    what: &Audited<'_>,
    part: &PartReceipt,
    session: &mut dyn Session,
    progress: &WorkerProgress,
    control: &RunControl,
) -> Result<(Audit, Sums)> {
    control.check()?;
    let layout = Layout { format: &what.job.format, columns: &what.prepared.columns };
    let mut ask = |session: &mut dyn Session, query: &ReadQuery| {
        progress.begins(session, query.count_sql(session.dialect()), control);
        let answer = session.checksum(query);
        progress.ends();
        answer
    };
    let path = what.staging.join(&part.name);
    let (audit, files) = audit_part(session, layout, &path, &runs(what, part), &mut ask)?;
    Ok((audit, part.runs.iter().map(|r| r.run.start).zip(files).collect()))
}

/// The runs of a part, as the database is asked about them.
fn runs(what: &Audited<'_>, part: &PartReceipt) -> Vec<AuditedRun> {
    let skip = match (part.snapshot == what.snapshot, what.shared) {
        (false, _) => Some("its rows are of an earlier snapshot, which is gone".to_string()),
        (true, false) => Some("there is no snapshot that could be asked".to_string()),
        (true, true) => None,
    };
    let run = |read: &RunRead| AuditedRun {
        query: what.prepared.query(&read.run),
        rows: read.rows,
        skip: skip.clone(),
    };
    part.runs.iter().map(run).collect()
}

fn reported(prepared: &Prepared, sums: &Sums) -> Vec<ReportChecksum> {
    let mut all = Vec::new();
    for (split, (_, sums)) in sums.iter().enumerate() {
        for (column, sum) in prepared.columns.iter().zip(&sums.columns) {
            if let ColumnChecksum::Sum { nulls, sum } = sum {
                let column = column.field.name().clone();
                all.push(ReportChecksum {
                    split,
                    column,
                    nulls: *nulls,
                    sum: format!("{sum:016x}"),
                });
            }
        }
    }
    all
}
