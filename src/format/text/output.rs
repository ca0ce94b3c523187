//! The buffer between cells and the compressor or file.

use std::io::Write;

use rsqoop_connector::{Error, ErrorKind, Result};

use crate::format::ByteSink;
use crate::format::codec::{FinishWrite, compressed, sink_error, streams_join};
use crate::job::TextCodec;

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
    codec: TextCodec,
    stream: Stream,
    /// Bytes of the streams that have ended.
    ended: u64,
}

/// The compressor's state. After a cut the next stream begins with its first byte, so that none is
/// empty but that of an empty file.
enum Stream {
    Between(ByteSink),
    Open(Box<dyn FinishWrite>),
    Broken,
}

impl Output {
    pub(super) fn new(sink: ByteSink, codec: TextCodec) -> Result<Self> {
        let buffer = Vec::with_capacity(BUFFER_BYTES + 2 * PIECE_BYTES);
        let stream = Stream::Open(compressed(sink, codec)?);
        Ok(Output { buffer, scratch: Vec::new(), codec, stream, ended: 0 })
    }

    /// Hands the buffer on once it is full.
    pub(super) fn spill(&mut self) -> Result<()> {
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        open(&mut self.stream, self.codec)?.write_all(&self.buffer).map_err(sink_error)?;
        self.buffer.clear();
        // Escaping can double a piece, and a rare value may have needed a large scratch.
        self.buffer.shrink_to(BUFFER_BYTES + 2 * PIECE_BYTES);
        if self.scratch.capacity() > BUFFER_BYTES {
            self.scratch = Vec::new();
        }
        Ok(())
    }

    /// Ends the stream, so that what is in the file so far is a whole file; its bytes, or nothing where
    /// streams of the codec cannot follow one another.
    pub(super) fn cut(&mut self) -> Result<Option<u64>> {
        if !streams_join(self.codec) {
            return Ok(None);
        }
        self.flush()?;
        match std::mem::replace(&mut self.stream, Stream::Broken) {
            Stream::Open(stream) => {
                let (bytes, sink) = stream.finish().map_err(sink_error)?;
                self.ended += bytes;
                self.stream = Stream::Between(sink);
            }
            other => self.stream = other,
        }
        Ok(Some(self.ended))
    }

    /// Completes the file; bytes handed to the sink.
    pub(super) fn finish(mut self) -> Result<u64> {
        self.flush()?;
        match self.stream {
            Stream::Open(stream) => Ok(self.ended + stream.finish().map_err(sink_error)?.0),
            Stream::Between(mut sink) => {
                sink.flush().map_err(sink_error)?;
                Ok(self.ended)
            }
            Stream::Broken => {
                Err(Error::new(ErrorKind::Bug, "a text file that failed was finished"))
            }
        }
    }
}

/// The stream that bytes go to now; after a cut, a new one.
fn open(stream: &mut Stream, codec: TextCodec) -> Result<&mut dyn FinishWrite> {
    if let Stream::Between(_) = stream
        && let Stream::Between(sink) = std::mem::replace(stream, Stream::Broken)
    {
        *stream = Stream::Open(compressed(sink, codec)?);
    }
    match stream {
        Stream::Open(stream) => Ok(&mut **stream),
        _ => Err(Error::new(ErrorKind::Bug, "a text file that failed is written on")),
    }
}
