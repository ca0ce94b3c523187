//! One part file while it is written: rows go in, and from time to time what is in it becomes safe.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use rsqoop_connector::{Error, Result};

use super::pump::RunRead;
use super::regions::Run;
use crate::commit::state::{self, Journal};
use crate::format::{ByteSink, Cut, FileWriter};
use crate::store::{local, write_error};

/// Bytes collected before a write to the file system.
const FILE_BUFFER_BYTES: usize = 256 << 10;

/// A part is made safe at the end of a run of pieces when this long has passed since the last time …
const SAFE_INTERVAL: Duration = Duration::from_secs(2);

/// … and this share of the time since the part was begun: so that a run of hours has few, and its
/// Parquet row groups stay whole.
const SAFE_SHARE: u32 = 20;

/// Proof that a part file is complete and durable, though not yet visible.
#[derive(Debug, Clone)]
pub(crate) struct PartReceipt {
    /// The file's name in staging.
    pub(crate) name: String,
    pub(crate) worker: usize,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Where its rows come from, in file order.
    pub(crate) runs: Vec<RunRead>,
    /// Which snapshot of the run they come from.
    pub(crate) snapshot: usize,
}

/// Where parts are written.
#[derive(Debug, Clone)]
pub(crate) struct PartPlace {
    pub(crate) staging: PathBuf,
    pub(crate) worker: usize,
    pub(crate) snapshot: usize,
}

/// A part file under construction.
pub(crate) struct Part {
    place: PartPlace,
    name: String,
    path: PathBuf,
    file: File,
    writer: Box<dyn FileWriter>,
    begun: Instant,
    safe_at: Instant,
    safe: Option<(Cut, usize)>,
    /// Runs in the file; those after the safe ones may be lost.
    runs: Vec<RunRead>,
    journal: Option<Journal>,
}

impl Part {
    /// Creates a part file; `writer` makes what encodes into it.
    pub(crate) fn create(
        place: PartPlace,
        name: String,
        writer: impl FnOnce(ByteSink) -> Result<Box<dyn FileWriter>>,
    ) -> Result<Part> {
        let path = place.staging.join(&name);
        let file = local::create(&path)?;
        let handle = file.try_clone().map_err(write_error).map_err(|e| in_file(e, &path))?;
        let writer = writer(Box::new(BufWriter::with_capacity(FILE_BUFFER_BYTES, file)))?;
        let now = Instant::now();
        Ok(Part {
            place,
            name,
            path,
            file: handle,
            writer,
            begun: now,
            safe_at: now,
            safe: None,
            runs: Vec::new(),
            journal: None,
        })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(|e| in_file(e, &self.path))
    }

    /// All rows of a run are written.
    pub(crate) fn run_ended(&mut self, run: RunRead) -> Result<()> {
        self.runs.push(run);
        let since = self.safe_at.elapsed();
        if since >= SAFE_INTERVAL && since * SAFE_SHARE >= self.begun.elapsed() {
            self.make_safe().map_err(|e| in_file(e, &self.path))?;
        }
        Ok(())
    }

    /// Whether the next run of pieces should go into another file.
    pub(crate) fn is_full(&self) -> bool {
        self.writer.is_full()
    }

    fn make_safe(&mut self) -> Result<()> {
        self.safe_at = Instant::now();
        let Some(cut) = self.writer.cut()? else { return Ok(()) };
        self.file.sync_data().map_err(write_error)?;
        let runs = self.runs.clone();
        journal(&mut self.journal, &self.place, &self.name)?.append(&cut, &runs)?;
        self.safe = Some((cut, self.runs.len()));
        Ok(())
    }

    /// Gives up what is not safe: the part ends there, or vanishes. Says which runs must be read
    /// again.
    pub(crate) fn forget(self) -> Result<(Option<PartReceipt>, Vec<Run>)> {
        // What its buffers still hold reaches the file now, and is cut off.
        drop(self.writer);
        let kept = self.safe.as_ref().map_or(0, |(_, runs)| *runs);
        let lost = self.runs[kept..].iter().map(|r| r.run.clone()).collect();
        match self.safe {
            Some((cut, kept)) if cut.rows > 0 => {
                let bytes = state::cut_off(&self.path, &cut)?;
                let mut runs = self.runs;
                runs.truncate(kept);
                let (rows, place) = (cut.rows, self.place);
                let (worker, snapshot) = (place.worker, place.snapshot);
                let name = self.name;
                Ok((Some(PartReceipt { name, worker, rows, bytes, runs, snapshot }), lost))
            }
            _ => {
                let lost = self.runs.iter().map(|r| r.run.clone()).collect();
                std::fs::remove_file(&self.path)
                    .map_err(write_error)
                    .map_err(|e| in_file(e, &self.path))?;
                Ok((None, lost))
            }
        }
    }

    /// Completes the file and makes it durable.
    pub(crate) fn finish(mut self) -> Result<PartReceipt> {
        let failed = |e: Error| in_file(e, &self.path);
        let finished = self.writer.finish().map_err(failed)?;
        self.file.sync_all().map_err(write_error).map_err(failed)?;
        // Others may go on for long; what took shorter is read again sooner than it is looked up.
        if self.journal.is_some() || self.begun.elapsed() >= SAFE_INTERVAL {
            let cut = Cut { rows: finished.rows, bytes: finished.bytes, tail: Vec::new() };
            let runs = self.runs.clone();
            journal(&mut self.journal, &self.place, &self.name)?.append(&cut, &runs)?;
        }
        Ok(PartReceipt {
            name: self.name,
            worker: self.place.worker,
            rows: finished.rows,
            bytes: finished.bytes,
            runs: self.runs,
            snapshot: self.place.snapshot,
        })
    }
}

/// The journal of a part, begun when it is first needed.
fn journal<'a>(
    journal: &'a mut Option<Journal>,
    place: &PartPlace,
    part: &str,
) -> Result<&'a mut Journal> {
    if journal.is_none() {
        *journal = Some(Journal::create(&place.staging, part, place.worker, place.snapshot)?);
    }
    Ok(journal.as_mut().expect("it was just made"))
}

fn in_file(error: Error, path: &Path) -> Error {
    if error.contexts().iter().any(|(key, _)| *key == "file") {
        return error;
    }
    error.context("file", path.display().to_string())
}
