//! Drives a prepared import: one reading and one writing thread per worker, ranges taken from a
//! common queue, one part file per worker.

pub(crate) mod control;
pub(crate) mod convert;
pub(crate) mod pump;

use std::io::BufWriter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use arrow_array::RecordBatch;
use rsqoop_connector::{BatchSource, Error, ErrorKind, ReadQuery, Result, Session};

use crate::format::parquet::{ParquetOptions, ParquetWriter};
use crate::format::{ByteSink, FileWriter, text};
use crate::job::{Format, JobSpec};
use crate::plan::{OutputColumn, Prepared};
use crate::store::{local, write_error};
use control::{RunControl, WorkerProgress};
use convert::Converter;
use pump::{QueueSink, QueueSource};

/// Bytes collected before a write to the file system.
const FILE_BUFFER_BYTES: usize = 256 << 10;

/// Proof that a part file is complete and durable, though not yet visible.
#[derive(Debug, Clone)]
pub(crate) struct PartReceipt {
    pub(crate) path: PathBuf,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// Proof that a range was read to its end.
#[derive(Debug, Clone)]
pub(crate) struct SplitReceipt {
    pub(crate) split: usize,
    pub(crate) worker: usize,
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
}

/// What all workers together did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) parts: Vec<PartReceipt>,
    pub(crate) splits: Vec<SplitReceipt>,
}

/// Hands out ranges: the first of each worker is fixed, so that small tables spread over all
/// files; the rest go to whoever is free.
struct SplitQueue {
    total: usize,
    workers: usize,
    next: AtomicUsize,
}

impl SplitQueue {
    fn new(total: usize, workers: usize) -> Self {
        SplitQueue { total, workers, next: AtomicUsize::new(workers) }
    }

    fn first(&self, worker: usize) -> Option<usize> {
        (worker < self.total.min(self.workers)).then_some(worker)
    }

    fn more(&self) -> Option<usize> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.total).then_some(index)
    }
}

/// Reads all ranges into one part file per worker. `sessions` has one session per worker, all of
/// them seeing the same snapshot; `names` are the part files to make in `dir`.
///
/// # Errors
/// The first failure of any thread; the others have stopped by then.
pub(crate) fn run(
    job: &JobSpec,
    prepared: &Prepared,
    sessions: Vec<Box<dyn Session>>,
    dir: &Path,
    names: &[String],
    control: &Arc<RunControl>,
) -> Result<Outcome> {
    let splits = SplitQueue::new(prepared.queries.len(), sessions.len());
    let spare_cores = sessions.len() < cores();
    let mut outcome = Outcome::default();
    for session in &sessions {
        control.watch(session.interrupter());
    }
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, (session, name)) in sessions.into_iter().zip(names).enumerate() {
            let worker = Worker {
                index,
                job,
                prepared,
                splits: &splits,
                control,
                progress: control.add_worker(),
                path: dir.join(name),
                spare_cores,
            };
            let builder = std::thread::Builder::new().name(format!("write-{index}"));
            match spawn_error(builder.spawn_scoped(scope, move || worker.run(session))) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    control.fail(error);
                    break;
                }
            }
        }
        for thread in threads {
            match thread.join() {
                Ok(Ok((part, splits))) => {
                    outcome.parts.push(part);
                    outcome.splits.extend(splits);
                }
                Ok(Err(error)) => control.fail(error),
                Err(panic) => control.fail(panic_error(&*panic)),
            }
        }
    });
    outcome.splits.sort_by_key(|s| s.split);
    match control.take_error() {
        Some(error) => Err(error),
        None => Ok(outcome),
    }
}

/// Cores this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

struct Worker<'a> {
    index: usize,
    job: &'a JobSpec,
    prepared: &'a Prepared,
    splits: &'a SplitQueue,
    control: &'a Arc<RunControl>,
    progress: Arc<WorkerProgress>,
    path: PathBuf,
    spare_cores: bool,
}

impl Worker<'_> {
    fn run(&self, session: Box<dyn Session>) -> Result<(PartReceipt, Vec<SplitReceipt>)> {
        let read_schema = match self.prepared.queries.first() {
            Some(query) => query.schema.clone(),
            None => return Err(Error::new(ErrorKind::Bug, "a run without splits")),
        };
        let (sink, source) = pump::queue(
            self.job.limits.queue_batches,
            read_schema,
            self.control.clone(),
            self.progress.clone(),
        );
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
            let (splits, part) = (read?, written?);
            let rows: u64 = splits.iter().map(|s| s.rows).sum();
            if rows != part.rows {
                return Err(Error::new(
                    ErrorKind::Verify,
                    format!("{rows} rows were read but {} written", part.rows),
                )
                .context("file", part.path.display().to_string()));
            }
            Ok((part, splits))
        })
    }

    /// Stops the run with this worker's error unless it has been stopped before.
    fn stop(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Cancelled {
            self.control.fail(error);
        }
        Error::new(ErrorKind::Cancelled, "the run was stopped")
    }

    fn read(
        &self,
        mut session: Box<dyn Session>,
        mut sink: QueueSink,
    ) -> Result<Vec<SplitReceipt>> {
        let mut receipts = Vec::new();
        let mut next = self.splits.first(self.index);
        while let Some(split) = next {
            self.control.check()?;
            let query = &self.prepared.queries[split];
            let started = Instant::now();
            let before = sink.rows();
            self.detail(split, query, &*session);
            session.read(query, &mut sink)?;
            receipts.push(SplitReceipt {
                split,
                worker: self.index,
                rows: sink.rows() - before,
                seconds: started.elapsed().as_secs_f64(),
            });
            self.progress.splits.fetch_add(1, Ordering::Relaxed);
            next = self.splits.more();
        }
        self.progress.idle.store(true, Ordering::Relaxed);
        sink.end()?;
        Ok(receipts)
    }

    /// For `--verbose`: the whole statement once, then only what differs.
    fn detail(&self, split: usize, query: &ReadQuery, session: &dyn Session) {
        let dialect = session.dialect();
        let text = match query.range.to_sql(dialect) {
            Some(range) if split > 0 => range,
            _ => query.to_sql(dialect),
        };
        self.control.detail(format!("split {split}, worker {}: {text}", self.index));
    }

    fn write(&self, mut source: QueueSource) -> Result<PartReceipt> {
        let in_file = |error: Error| error.context("file", self.path.display().to_string());
        let file = local::create(&self.path)?;
        let handle = file.try_clone().map_err(write_error).map_err(in_file)?;
        let sink: ByteSink = Box::new(BufWriter::with_capacity(FILE_BUFFER_BYTES, file));
        let mut writer = self.writer(sink)?;
        let converters = converters(&self.prepared.columns)?;
        while let Some(batch) = source.next()? {
            let batch = self.convert(&converters, batch)?;
            writer.write(&batch).map_err(in_file)?;
        }
        let finished = writer.finish().map_err(in_file)?;
        handle.sync_all().map_err(write_error).map_err(in_file)?;
        Ok(PartReceipt { path: self.path.clone(), rows: finished.rows, bytes: finished.bytes })
    }

    fn writer(&self, sink: ByteSink) -> Result<Box<dyn FileWriter>> {
        let schema = self.prepared.schema.clone();
        match &self.job.format {
            Format::Parquet(codec) => {
                let options = ParquetOptions {
                    codec: *codec,
                    row_group_bytes: self.job.limits.row_group_bytes,
                    row_group_rows: self.job.limits.row_group_rows,
                    parallel: self.spare_cores,
                    ascending: self.prepared.key_column.clone(),
                };
                Ok(Box::new(ParquetWriter::new(schema, options, sink)))
            }
            Format::Text(options) => {
                let kinds: Vec<_> = self.prepared.columns.iter().map(|c| c.kind).collect();
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
        Ok(RecordBatch::try_new(self.prepared.schema.clone(), arrays)?)
    }

    /// Names the row of a refused value by its key, where the key was read.
    fn with_row(&self, error: Error, row: usize, batch: &RecordBatch) -> Error {
        let key = self.prepared.queries.first().and_then(|q| q.key);
        let Some(column) = key else { return error };
        let name = self.prepared.columns[column].field.name();
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

/// A thread that could not be started, told from what the user can do about it.
pub(crate) fn spawn_error<T>(spawned: std::io::Result<T>) -> Result<T> {
    spawned.map_err(|error| {
        Error::new(
            ErrorKind::Storage,
            format!("the system gives no more threads: {}", crate::store::plain(&error)),
        )
        .hint("use fewer workers (-m), or raise the limits on memory and processes (ulimit -v, -u)")
        .source(error)
    })
}

/// A caught panic as an error of its own kind.
pub(crate) fn panic_error(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_string())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_string());
    Error::new(ErrorKind::Bug, format!("a defect in rsqoop: {text}"))
        .hint("please report it with the command and the output of --verbose")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_is_handed_out_once_and_the_first_ones_are_spread() {
        let queue = SplitQueue::new(10, 4);
        let mut taken: Vec<usize> = (0..4).filter_map(|w| queue.first(w)).collect();
        assert_eq!(taken, [0, 1, 2, 3]);
        while let Some(split) = queue.more() {
            taken.push(split);
        }
        assert_eq!(taken, (0..10).collect::<Vec<_>>());
        let few = SplitQueue::new(2, 4);
        assert_eq!(
            (0..4).map(|w| few.first(w)).collect::<Vec<_>>(),
            [Some(0), Some(1), None, None]
        );
        assert_eq!(few.more(), None);
    }
}
