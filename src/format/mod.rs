//! File formats: record batches in, files out.
//!
//! A writer is given a byte sink and never opens files itself, so that an object store can stand
//! behind it. Dropping a writer without [`FileWriter::finish`] leaves a file nobody will publish.

pub(crate) mod codec;
mod encodings;
pub(crate) mod parquet;
pub(crate) mod text;

use std::io::Write;

use arrow_array::RecordBatch;
use rsqoop_connector::Result;

/// Where encoded bytes go.
pub(crate) type ByteSink = Box<dyn Write + Send>;

/// Encodes the batches of one part file.
pub(crate) trait FileWriter: Send {
    /// Encodes a batch; bytes reach the sink sooner or later.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Completes the file, flushes the sink, and gives it back for the store to make durable.
    fn finish(self: Box<Self>) -> Result<Finished>;
}

/// A complete file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Rows written.
    pub(crate) rows: u64,
    /// Bytes handed to the sink.
    pub(crate) bytes: u64,
}
