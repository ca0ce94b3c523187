//! The bounded queue between the thread that reads and the thread that writes.
//!
//! The end is an explicit mark: a queue that closes without it means that the producer died, and the
//! consumer must never take that for the end of the data.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use rsqoop_connector::{BatchSink, BatchSource, Error, ErrorKind, Result};

use super::control::{RunControl, WorkerProgress};

enum Item {
    Batch(RecordBatch),
    End,
}

/// A queue for `batches` batches; their bytes are bounded by whoever makes them.
pub(crate) fn queue(
    batches: usize,
    schema: SchemaRef,
    control: Arc<RunControl>,
    progress: Arc<WorkerProgress>,
) -> (QueueSink, QueueSource) {
    let (sender, receiver) = sync_channel(batches);
    (
        QueueSink { sender, control, progress, rows: 0 },
        QueueSource { receiver, schema, ended: false },
    )
}

/// The producer's end.
pub(crate) struct QueueSink {
    sender: SyncSender<Item>,
    control: Arc<RunControl>,
    progress: Arc<WorkerProgress>,
    rows: u64,
}

impl QueueSink {
    /// Rows pushed.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Says that all batches have been pushed.
    pub(crate) fn end(self) -> Result<()> {
        self.sender.send(Item::End).map_err(|_| writer_gone())
    }
}

impl BatchSink for QueueSink {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.control.check()?;
        let rows = batch.num_rows() as u64;
        let bytes = batch.get_array_memory_size() as u64;
        self.sender.send(Item::Batch(batch)).map_err(|_| writer_gone())?;
        self.rows += rows;
        self.progress.rows.fetch_add(rows, Ordering::Relaxed);
        self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// The writer reported its own error; the producer's is only an echo.
fn writer_gone() -> Error {
    Error::new(ErrorKind::Cancelled, "the writer stopped")
}

/// The consumer's end.
pub(crate) struct QueueSource {
    receiver: Receiver<Item>,
    schema: SchemaRef,
    ended: bool,
}

impl BatchSource for QueueSource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.ended {
            return Ok(None);
        }
        match self.receiver.recv() {
            Ok(Item::Batch(batch)) => Ok(Some(batch)),
            Ok(Item::End) => {
                self.ended = true;
                Ok(None)
            }
            Err(_) => Err(Error::new(ErrorKind::Cancelled, "the reader stopped before its end")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int32Array;
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn pair(batches: usize) -> (QueueSink, QueueSource, Arc<RunControl>) {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, false)]));
        let control = RunControl::new(|_| {});
        let (sink, source) = queue(batches, schema, control.clone(), Arc::default());
        (sink, source, control)
    }

    fn batch(source: &QueueSource, values: Vec<i32>) -> RecordBatch {
        RecordBatch::try_new(source.schema(), vec![Arc::new(Int32Array::from(values))]).unwrap()
    }

    #[test]
    fn batches_arrive_in_order_and_then_the_end() {
        let (mut sink, mut source, _) = pair(4);
        sink.push(batch(&source, vec![1, 2])).unwrap();
        sink.push(batch(&source, vec![3])).unwrap();
        assert_eq!(sink.rows(), 3);
        sink.end().unwrap();
        assert_eq!(source.next().unwrap().unwrap().num_rows(), 2);
        assert_eq!(source.next().unwrap().unwrap().num_rows(), 1);
        assert!(source.next().unwrap().is_none());
        assert!(source.next().unwrap().is_none());
    }

    #[test]
    fn a_reader_that_dies_is_an_error_and_never_an_end() {
        let (mut sink, mut source, _) = pair(4);
        sink.push(batch(&source, vec![1])).unwrap();
        drop(sink);
        assert!(source.next().unwrap().is_some());
        assert!(source.next().is_err());
    }

    #[test]
    fn a_full_queue_blocks_until_the_writer_dies() {
        let (mut sink, source, _) = pair(1);
        let one = batch(&source, vec![1]);
        sink.push(one.clone()).unwrap();
        let reader = std::thread::spawn(move || sink.push(one));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!reader.is_finished(), "the queue holds one batch only");
        drop(source);
        assert!(reader.join().unwrap().is_err());
    }

    #[test]
    fn a_stopped_run_takes_no_more_batches() {
        let (mut sink, source, control) = pair(4);
        control.cancel();
        let error = sink.push(batch(&source, vec![1])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
