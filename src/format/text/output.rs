//! The buffer between cells and the compressor or file.

use std::io::Write;

use rsqoop_connector::Result;

use crate::format::codec::{FinishWrite, sink_error};

/// Bytes at which the buffer is handed on.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;

/// Values longer than this are written in pieces of this size, so that the buffer never has to
/// hold a second copy of a large one.
pub(super) const PIECE_BYTES: usize = 64 * 1024;

/// A buffer of bounded size before a sink.
pub(super) struct Output {
    /// What is written next. It may grow beyond [`BUFFER_BYTES`] by one piece.
    pub(super) buffer: Vec<u8>,
    /// For one value on its way to the buffer.
    pub(super) scratch: Vec<u8>,
    sink: Box<dyn FinishWrite>,
}

impl Output {
    pub(super) fn new(sink: Box<dyn FinishWrite>) -> Self {
        let buffer = Vec::with_capacity(BUFFER_BYTES + 2 * PIECE_BYTES);
        Output { buffer, scratch: Vec::new(), sink }
    }

    /// Hands the buffer on once it is full.
    pub(super) fn spill(&mut self) -> Result<()> {
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        self.sink.write_all(&self.buffer).map_err(sink_error)?;
        self.buffer.clear();
        // Escaping can double a piece, and a rare value may have needed a large scratch.
        self.buffer.shrink_to(BUFFER_BYTES + 2 * PIECE_BYTES);
        if self.scratch.capacity() > BUFFER_BYTES {
            self.scratch = Vec::new();
        }
        Ok(())
    }

    /// Completes the file; bytes handed to the sink.
    pub(super) fn finish(mut self) -> Result<u64> {
        self.flush()?;
        self.sink.finish().map_err(sink_error)
    }
}
