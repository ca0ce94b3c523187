//! One worker: a thread that reads runs of pieces on one session, and a thread that converts,
//! encodes and writes them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use rsqoop_connector::{Error, ErrorKind, ReadQuery, Result, Session};

use super::control::{RunControl, WorkerProgress};
use super::convert::{self, Converter};
use super::part::{Part, PartPlace, PartReceipt};
use super::pump::{self, Item, QueueSink, QueueSource, RunRead};
use super::regions::Run;
use super::{Retry, Shared, SplitReceipt, WorkerReceipt, panic_error, spawn_error};
use crate::format::parquet::{ParquetOptions, ParquetWriter};
use crate::format::{ByteSink, FileWriter, text};
use crate::job::Format;
use crate::plan::{OutputColumn, Prepared};

/// The pause before the first new connection after one broke; doubled for each further one.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// A connection that held so long was a good one: the next that breaks is the first again.
const RETRY_MEMORY: Duration = Duration::from_secs(60);

pub(super) struct Worker<'a> {
    index: usize,
    shared: &'a Shared<'a>,
    progress: Arc<WorkerProgress>,
}

/// What a worker leaves.
pub(super) struct Ended {
    pub(super) parts: Vec<PartReceipt>,
    pub(super) receipt: WorkerReceipt,
    /// Its session, if it still works.
    pub(super) session: Option<Box<dyn Session>>,
}

/// What a reader did with its runs.
#[derive(Default)]
struct Read {
    splits: usize,
    /// How long it had nothing to read while others still read.
    idle: Duration,
    session: Option<Box<dyn Session>>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(index: usize, shared: &'a Shared<'a>, progress: Arc<WorkerProgress>) -> Self {
        Worker { index, shared, progress }
    }

    fn control(&self) -> &Arc<RunControl> {
        self.shared.control
    }

    fn prepared(&self) -> &Prepared {
        self.shared.work.prepared
    }

    pub(super) fn run(&self, session: Box<dyn Session>) -> Result<Ended> {
        let limits = &self.shared.work.job.limits;
        let (sink, source) =
            pump::queue(limits.queue_bytes, self.control().clone(), self.progress.clone());
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name(format!("read-{}", self.index));
            let reader = spawn_error(builder.spawn_scoped(scope, || {
                // Caught here, so that the run stops at once and not when the writer runs dry.
                let read = catch_unwind(AssertUnwindSafe(|| self.read(session, sink)))
                    .unwrap_or_else(|panic| Err(panic_error(&*panic)));
                read.map_err(|error| self.stop(error))
            }))?;
            let written = catch_unwind(AssertUnwindSafe(|| self.write(source)))
                .unwrap_or_else(|panic| Err(panic_error(&*panic)))
                .map_err(|error| self.stop(error));
            let read = reader.join().unwrap_or_else(|panic| Err(panic_error(&*panic)));
            let (read, parts) = (read?, written?);
            for part in &parts {
                let rows: u64 = part.runs.iter().map(|r| r.rows).sum();
                if rows != part.rows {
                    return Err(Error::new(
                        ErrorKind::Verify,
                        format!("{rows} rows were read but {} written", part.rows),
                    )
                    .context("file", part.name.clone()));
                }
            }
            let receipt = WorkerReceipt {
                rows: parts.iter().map(|p| p.rows).sum(),
                bytes: parts.iter().map(|p| p.bytes).sum(),
                splits: read.splits,
                busy_seconds: 0.0,
                idle_seconds: read.idle.as_secs_f64(),
            };
            Ok(Ended { parts, receipt, session: read.session })
        })
    }

    /// Stops the run with this worker's error unless it has been stopped before.
    fn stop(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Cancelled {
            self.control().fail(error);
        }
        Error::new(ErrorKind::Cancelled, "the run was stopped")
    }

    // ---- the reading side ----

    fn read(&self, session: Box<dyn Session>, mut sink: QueueSink) -> Result<Read> {
        let mut session = Some(session);
        let mut done = Read::default();
        let (mut retries, mut opened) = (0, Instant::now());
        while let Some(mut open) = session.take() {
            let Some(run) = self.take(&mut done)? else {
                done.session = Some(open);
                break;
            };
            session = match self.read_run(&run, &mut *open, &mut sink) {
                Ok(()) => {
                    done.splits += 1;
                    self.shared.regions.done(Vec::new());
                    Some(open)
                }
                Err(error) if self.may_go_on(&error) => {
                    // Closed before another one is opened.
                    drop(open);
                    self.forget(run, &mut sink)?;
                    // Not a statement that went well, but time without trouble: what was read may
                    // have been lost again, and would be for ever.
                    if opened.elapsed() >= RETRY_MEMORY {
                        retries = 0;
                    }
                    let replaced = self.replace_session(error, &mut retries)?;
                    opened = Instant::now();
                    replaced
                }
                Err(error) => return Err(error),
            };
        }
        self.progress.idle.store(true, Ordering::Relaxed);
        sink.send(Item::End, 0)?;
        Ok(done)
    }

    fn take(&self, done: &mut Read) -> Result<Option<Run>> {
        let asked = Instant::now();
        let run = self.shared.regions.take(self.index, self.control())?;
        done.idle += asked.elapsed();
        self.progress.idle.store(run.is_none(), Ordering::Relaxed);
        Ok(run)
    }

    fn read_run(&self, run: &Run, session: &mut dyn Session, sink: &mut QueueSink) -> Result<()> {
        let query = self.prepared().query(run);
        let (began, before) = (Instant::now(), sink.rows());
        let sql = self.describe(run, &query, session);
        self.progress.begins(session, sql, self.control());
        let read = session.read(&query, sink);
        self.progress.ends();
        read?;
        let read = RunRead {
            run: run.clone(),
            rows: sink.rows() - before,
            seconds: began.elapsed().as_secs_f64(),
        };
        self.progress.splits.fetch_add(run.len(), Ordering::Relaxed);
        self.shared.read.lock().unwrap_or_else(PoisonError::into_inner).push(SplitReceipt {
            read: read.clone(),
            worker: self.index,
            snapshot: self.shared.work.snapshot,
            part: None,
        });
        sink.send(Item::RunEnd(read), 0)
    }

    /// For `--verbose`: the whole statement once, then only what differs. Gives the whole one.
    fn describe(&self, run: &Run, query: &ReadQuery, session: &dyn Session) -> String {
        let dialect = session.dialect();
        let sql = query.to_sql(dialect);
        let text = match query.range.to_sql(dialect) {
            Some(range) if run.start > 0 => range,
            _ => sql.clone(),
        };
        let (first, last) = (run.start, run.end - 1);
        self.control().detail(format!("pieces {first}–{last}, worker {}: {text}", self.index));
        sql
    }

    /// Whether the failure is one of the connection alone, which another one may not have.
    fn may_go_on(&self, error: &Error) -> bool {
        error.is_transient()
            && matches!(error.kind(), ErrorKind::Source | ErrorKind::Connect)
            && self.shared.work.job.limits.retries > 0
            && !self.control().is_stopped()
    }

    /// Makes the writer forget what is not safe, and gives it back to be read again.
    fn forget(&self, run: Run, sink: &mut QueueSink) -> Result<()> {
        let (forgotten, wait) = std::sync::mpsc::channel();
        sink.send(Item::Forget(forgotten), 0)?;
        let mut lost: Vec<Run> =
            wait.recv().map_err(|_| Error::new(ErrorKind::Cancelled, "the writer stopped"))?;
        let unread: usize = lost.iter().map(Run::len).sum();
        self.progress.splits.fetch_sub(unread, Ordering::Relaxed);
        lost.push(run);
        self.shared.regions.done(lost);
        Ok(())
    }

    /// A session in place of the one whose connection broke; `None` when the others must do without
    /// this worker.
    fn replace_session(
        &self,
        mut error: Error,
        retries: &mut u32,
    ) -> Result<Option<Box<dyn Session>>> {
        let worker = self.index;
        loop {
            let broke = error.message().to_string();
            let retry = Retry { worker, error: broke.clone() };
            self.shared.retries.lock().unwrap_or_else(PoisonError::into_inner).push(retry);
            let Some(rejoin) = self.shared.work.rejoin else {
                self.leave(error, "no other session can see its snapshot");
                return Ok(None);
            };
            if *retries >= self.shared.work.job.limits.retries {
                self.leave(error, "it was tried often enough");
                return Ok(None);
            }
            self.pause(RETRY_PAUSE * 2_u32.saturating_pow(*retries))?;
            *retries += 1;
            match rejoin() {
                Ok(session) => {
                    self.control().watch(session.interrupter());
                    self.control().note(format!(
                        "worker {worker} lost its connection ({broke}) and reads on, in the same snapshot, on a new one"
                    ));
                    return Ok(Some(session));
                }
                Err(next) if next.is_transient() => error = next,
                Err(next) => {
                    self.control().detail(format!("worker {worker}: {next}"));
                    self.leave(error, "its snapshot is gone");
                    return Ok(None);
                }
            }
        }
    }

    fn leave(&self, error: Error, why: &str) {
        self.control().warn(format!(
            "worker {} lost its connection ({}); {why}, so the others read what it had left",
            self.index,
            error.message()
        ));
        *self.shared.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn pause(&self, pause: Duration) -> Result<()> {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            self.control().check()?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    // ---- the writing side ----

    fn write(&self, mut source: QueueSource) -> Result<Vec<PartReceipt>> {
        let converters = converters(&self.prepared().columns)?;
        let mut parts = Vec::new();
        let mut part = Some(self.new_part(true)?);
        loop {
            let item = source.next()?;
            let mut open = match part.take() {
                Some(open) => open,
                None if matches!(item, Item::End) => return Ok(parts),
                None => self.new_part(false)?,
            };
            match item {
                Item::Batch(batch) => open.write(&self.convert(&converters, batch)?)?,
                Item::RunEnd(run) => {
                    open.run_ended(run)?;
                    if open.is_full() {
                        parts.push(open.finish()?);
                        continue;
                    }
                }
                Item::Forget(forgotten) => {
                    parts.extend(self.forget_part(open, &forgotten)?);
                    continue;
                }
                Item::End => {
                    parts.push(open.finish()?);
                    return Ok(parts);
                }
            }
            part = Some(open);
        }
    }

    fn forget_part(&self, part: Part, forgotten: &Sender<Vec<Run>>) -> Result<Option<PartReceipt>> {
        let (kept, lost) = part.forget()?;
        // The reader waits for it.
        let _ = forgotten.send(lost);
        Ok(kept)
    }

    fn new_part(&self, first: bool) -> Result<Part> {
        let place = PartPlace {
            staging: self.shared.work.staging.to_path_buf(),
            worker: self.index,
            snapshot: self.shared.work.snapshot,
        };
        Part::create(place, self.shared.part_name(self.index, first), |sink| self.writer(sink))
    }

    fn writer(&self, sink: ByteSink) -> Result<Box<dyn FileWriter>> {
        let (job, prepared) = (self.shared.work.job, self.prepared());
        let schema = prepared.schema.clone();
        match &job.format {
            Format::Parquet(codec) => {
                let options = ParquetOptions {
                    codec: *codec,
                    row_group_bytes: job.limits.row_group_bytes,
                    row_group_rows: job.limits.row_group_rows,
                    parallel: self.shared.spare_cores,
                    ascending: prepared.key_column.clone(),
                };
                Ok(Box::new(ParquetWriter::new(schema, options, sink)))
            }
            Format::Text(options) => {
                let kinds: Vec<_> = prepared.columns.iter().map(|c| c.kind).collect();
                text::text_writer(schema, &kinds, options, sink)
            }
        }
    }

    /// Brings a batch from the types it was read in to those of the files.
    fn convert(&self, converters: &[Option<Converter>], batch: RecordBatch) -> Result<RecordBatch> {
        if converters.iter().all(Option::is_none) {
            return Ok(batch);
        }
        let arrays = converters
            .iter()
            .zip(batch.columns())
            .map(|(converter, array)| match converter {
                None => Ok(array.clone()),
                Some(converter) => converter
                    .convert(array)
                    .map_err(|refused| self.with_row(refused.error, refused.row, &batch)),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(self.prepared().schema.clone(), arrays)?)
    }

    /// Names the row of a refused value by its key, where the key was read.
    fn with_row(&self, error: Error, row: usize, batch: &RecordBatch) -> Error {
        let Some(column) = self.prepared().base.key else { return error };
        let name = self.prepared().columns[column].field.name();
        error.context("row", format!("{name} = {}", convert::shown(batch.column(column), row)))
    }
}

fn converters(columns: &[OutputColumn]) -> Result<Vec<Option<Converter>>> {
    columns
        .iter()
        .map(|column| {
            column
                .converts()
                .then(|| Converter::new(&column.read.info, column.field.data_type()))
                .transpose()
        })
        .collect()
}
