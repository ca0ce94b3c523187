//! The queue between the thread that reads and the thread that writes, bounded in bytes.
//!
//! The end is an explicit mark: a queue that closes without it means that the producer died, and the
//! consumer must never take that for the end of the data.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use rsqoop_connector::{BatchSink, Error, ErrorKind, Result};

use super::control::{RunControl, WorkerProgress};
use super::regions::Run;

/// What the reader tells the writer.
#[derive(Debug)]
pub(crate) enum Item {
    /// Rows of the run that is being read.
    Batch(RecordBatch),
    /// All rows of a run have been pushed.
    RunEnd(RunRead),
    /// The run that was being read failed midway: what is not safe yet must be forgotten, and the
    /// runs that this loses be named.
    Forget(Sender<Vec<Run>>),
    /// All runs of this worker have ended.
    End,
}

/// A run that was read to its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunRead {
    pub(crate) run: Run,
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<(Item, usize)>,
    bytes: usize,
    reader_gone: bool,
    writer_gone: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    bytes_max: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue that holds batches of `bytes_max` bytes together, or one that is larger.
pub(crate) fn queue(
    bytes_max: usize,
    control: Arc<RunControl>,
    progress: Arc<WorkerProgress>,
) -> (QueueSink, QueueSource) {
    let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), bytes_max });
    (QueueSink { shared: shared.clone(), control, progress, rows: 0 }, QueueSource { shared })
}

/// The producer's end.
#[derive(Debug)]
pub(crate) struct QueueSink {
    shared: Arc<Shared>,
    control: Arc<RunControl>,
    progress: Arc<WorkerProgress>,
    rows: u64,
}

impl QueueSink {
    /// Rows pushed so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Hands over an item, waiting for room for its bytes.
    pub(crate) fn send(&mut self, item: Item, bytes: usize) -> Result<()> {
        let mut state = self.shared.lock();
        while !state.writer_gone && state.bytes > 0 && state.bytes + bytes > self.shared.bytes_max {
            state = self.shared.wait(state);
        }
        if state.writer_gone {
            // The writer reported its own error; the producer's is only an echo.
            return Err(Error::new(ErrorKind::Cancelled, "the writer stopped"));
        }
        state.bytes += bytes;
        state.items.push_back((item, bytes));
        self.shared.changed.notify_all();
        Ok(())
    }
}

impl Drop for QueueSink {
    fn drop(&mut self) {
        self.shared.lock().reader_gone = true;
        self.shared.changed.notify_all();
    }
}

impl BatchSink for QueueSink {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.control.check()?;
        let rows = batch.num_rows() as u64;
        let bytes = batch.get_array_memory_size();
        self.progress.waits_for_us();
        self.control.throttle().pass(rows, bytes as u64, &self.control)?;
        self.send(Item::Batch(batch), bytes)?;
        self.progress.waits_for_server(&self.control);
        self.rows += rows;
        self.progress.rows.fetch_add(rows, Ordering::Relaxed);
        self.progress.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// The consumer's end.
#[derive(Debug)]
pub(crate) struct QueueSource {
    shared: Arc<Shared>,
}

impl QueueSource {
    /// The next item.
    ///
    /// # Errors
    /// The reader went away without [`Item::End`]: that is never the end of the data.
    pub(crate) fn next(&mut self) -> Result<Item> {
        let mut state = self.shared.lock();
        loop {
            if let Some((item, bytes)) = state.items.pop_front() {
                state.bytes -= bytes;
                self.shared.changed.notify_all();
                return Ok(item);
            }
            if state.reader_gone {
                return Err(Error::new(ErrorKind::Cancelled, "the reader stopped before its end"));
            }
            state = self.shared.wait(state);
        }
    }
}

impl Drop for QueueSource {
    fn drop(&mut self) {
        self.shared.lock().writer_gone = true;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int32Array;
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn pair(bytes: usize) -> (QueueSink, QueueSource, Arc<RunControl>) {
        let control = RunControl::new(|_| {});
        let (sink, source) = queue(bytes, control.clone(), Arc::default());
        (sink, source, control)
    }

    fn batch(values: Vec<i32>) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, false)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int32Array::from(values))]).unwrap()
    }

    fn rows(item: Item) -> usize {
        match item {
            Item::Batch(batch) => batch.num_rows(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn batches_arrive_in_order_and_then_the_end() {
        let (mut sink, mut source, _) = pair(1 << 20);
        sink.push(batch(vec![1, 2])).unwrap();
        sink.push(batch(vec![3])).unwrap();
        assert_eq!(sink.rows(), 3);
        sink.send(Item::End, 0).unwrap();
        assert_eq!(rows(source.next().unwrap()), 2);
        assert_eq!(rows(source.next().unwrap()), 1);
        assert!(matches!(source.next().unwrap(), Item::End));
    }

    #[test]
    fn a_reader_that_dies_is_an_error_and_never_an_end() {
        let (mut sink, mut source, _) = pair(1 << 20);
        sink.push(batch(vec![1])).unwrap();
        drop(sink);
        assert!(source.next().is_ok());
        assert!(source.next().is_err());
    }

    #[test]
    fn a_full_queue_blocks_until_the_writer_dies() {
        // One batch is larger than the limit, and passes all the same; the second must wait.
        let (mut sink, source, _) = pair(1);
        sink.push(batch(vec![1])).unwrap();
        let reader = std::thread::spawn(move || sink.push(batch(vec![2])));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!reader.is_finished(), "the queue holds one batch only");
        drop(source);
        assert!(reader.join().unwrap().is_err());
    }

    #[test]
    fn a_stopped_run_takes_no_more_batches() {
        let (mut sink, _source, control) = pair(1 << 20);
        control.cancel();
        let error = sink.push(batch(vec![1])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
