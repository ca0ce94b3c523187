//! Where record batches go to and come from.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::Result;

/// Takes record batches from a connector that reads.
pub trait BatchSink {
    /// Hands over one batch. Blocks while the engine's queue is full.
    ///
    /// # Errors
    /// The run was cancelled or the other side failed; the connector stops reading and returns the
    /// error unchanged.
    fn push(&mut self, batch: RecordBatch) -> Result<()>;
}

/// Gives record batches to whoever writes them.
pub trait BatchSource {
    /// The schema of every batch.
    fn schema(&self) -> SchemaRef;

    /// The next batch, or `None` once the producer has said that it is done.
    ///
    /// # Errors
    /// The producer failed, or went away without its end mark: that is never an end.
    fn next(&mut self) -> Result<Option<RecordBatch>>;
}

/// Collects everything: for tests and small results only.
impl BatchSink for Vec<RecordBatch> {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        Vec::push(self, batch);
        Ok(())
    }
}
