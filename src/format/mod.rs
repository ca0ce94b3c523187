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

    /// Makes what was written so far complete in itself, and flushes it to the sink: the file's first
    /// bytes with a tail are a whole file, whatever is written after them. `None` where the format
    /// or codec has no such places.
    fn cut(&mut self) -> Result<Option<Cut>>;

    /// Whether what must be remembered until the end of the file has grown so large that a new file
    /// should be begun.
    fn is_full(&self) -> bool {
        false
    }

    /// Completes the file, flushes the sink, and gives it back for the store to make durable.
    fn finish(self: Box<Self>) -> Result<Finished>;
}

/// A place at which a file can be cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Rows before it.
    pub(crate) rows: u64,
    /// Bytes before it.
    pub(crate) bytes: u64,
    /// What must follow these bytes in place of the rest: a Parquet footer; nothing for text.
    pub(crate) tail: Vec<u8>,
}

/// A complete file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Rows written.
    pub(crate) rows: u64,
    /// Bytes handed to the sink.
    pub(crate) bytes: u64,
}
