//! Compression of whole files, in the forms that Hadoop's codecs read.
//!
//! Gzip, bzip2 and Zstandard are their usual stream formats. Hadoop's `DefaultCodec` (`.deflate`)
//! is a zlib stream. Its `SnappyCodec` and `Lz4Codec` do not use those projects' own frame
//! formats but `BlockCompressorStream`'s: see [`Blocks`].
//!
//! A compressor that is dropped before [`FinishWrite::finish`] writes nothing more: the crates
//! would otherwise add a trailer in their destructors, and half a file would look complete.
//! This module opens no files and does not read compressed data.

use std::io::{self, Write};

use bzip2::write::BzEncoder;
use flate2::write::{GzEncoder, ZlibEncoder};
use rsqoop_connector::{Error, Result};

use super::ByteSink;
use crate::job::TextCodec;

/// Zstandard's own default.
const ZSTD_LEVEL: i32 = 3;

/// Hadoop's `io.compression.codec.snappy.buffersize` and `….lz4.buffersize`: a reader's buffers
/// hold no larger chunk, neither compressed nor uncompressed.
const HADOOP_BUFFER_BYTES: usize = 256 * 1024;

/// A byte stream with an end that must be written.
pub(crate) trait FinishWrite: Write + Send {
    /// Writes what is pending and the trailer, flushes the sink, says how many bytes it got, and gives
    /// it back.
    fn finish(self: Box<Self>) -> io::Result<(u64, ByteSink)>;
}

/// Puts `codec` before `sink`.
pub(crate) fn compressed(sink: ByteSink, codec: TextCodec) -> Result<Box<dyn FinishWrite>> {
    let gate = Gate { sink, bytes: 0, closed: false };
    Ok(match codec {
        TextCodec::None => guard(gate),
        TextCodec::Gzip => guard(GzEncoder::new(gate, flate2::Compression::default())),
        TextCodec::Bzip2 => guard(BzEncoder::new(gate, bzip2::Compression::best())),
        TextCodec::Deflate => guard(ZlibEncoder::new(gate, flate2::Compression::default())),
        TextCodec::Zstd => guard(zstd_encoder(gate).map_err(sink_error)?),
        TextCodec::Snappy => {
            guard(Blocks::new(gate, Block::Snappy(Box::new(snap::raw::Encoder::new()))))
        }
        TextCodec::Lz4 => {
            let table = lz4_flex::block::CompressTable::large();
            guard(Blocks::new(gate, Block::Lz4(table)))
        }
    })
}

/// Whether one stream of this codec after another is a stream too: what gzip calls members, Zstandard
/// frames, and Hadoop's blocks are anyway. A reader of zlib stops at the end of the first.
pub(crate) fn streams_join(codec: TextCodec) -> bool {
    codec != TextCodec::Deflate
}

/// What a failed sink means to the run. A sink that carries an error of ours gives it back.
pub(crate) fn sink_error(error: io::Error) -> Error {
    if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        let inner = error.into_inner().and_then(|inner| inner.downcast::<Error>().ok());
        return *inner.expect("the type was just asked for");
    }
    crate::store::write_error(error)
}

fn zstd_encoder(gate: Gate) -> io::Result<zstd::Encoder<'static, Gate>> {
    let mut encoder = zstd::Encoder::new(gate, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

fn guard<E: Encoder + Send + 'static>(encoder: E) -> Box<dyn FinishWrite> {
    Box::new(Guard { encoder: Some(encoder) })
}

/// The sink with a byte count. Once closed, or after a first error, it refuses everything.
struct Gate {
    sink: ByteSink,
    bytes: u64,
    closed: bool,
}

impl Gate {
    fn open(&self) -> io::Result<()> {
        match self.closed {
            true => Err(io::Error::other("the stream was given up")),
            false => Ok(()),
        }
    }

    /// An interrupted call may be repeated; any other failure is final.
    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.closed |= error.kind() != io::ErrorKind::Interrupted;
        }
        result
    }
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open()?;
        let result = self.sink.write(bytes);
        let written = self.note(result)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?;
        let result = self.sink.flush();
        self.note(result)
    }
}

/// What the compressors have in common.
trait Encoder: Write {
    fn gate(&mut self) -> &mut Gate;
    fn end(self) -> io::Result<Gate>;
}

impl Encoder for Gate {
    fn gate(&mut self) -> &mut Gate {
        self
    }
    fn end(self) -> io::Result<Gate> {
        Ok(self)
    }
}

impl Encoder for GzEncoder<Gate> {
    fn gate(&mut self) -> &mut Gate {
        self.get_mut()
    }
    fn end(self) -> io::Result<Gate> {
        self.finish()
    }
}

impl Encoder for ZlibEncoder<Gate> {
    fn gate(&mut self) -> &mut Gate {
        self.get_mut()
    }
    fn end(self) -> io::Result<Gate> {
        self.finish()
    }
}

impl Encoder for BzEncoder<Gate> {
    fn gate(&mut self) -> &mut Gate {
        self.get_mut()
    }
    fn end(self) -> io::Result<Gate> {
        self.finish()
    }
}

impl Encoder for zstd::Encoder<'static, Gate> {
    fn gate(&mut self) -> &mut Gate {
        self.get_mut()
    }
    fn end(self) -> io::Result<Gate> {
        self.finish()
    }
}

impl Encoder for Blocks {
    fn gate(&mut self) -> &mut Gate {
        &mut self.gate
    }
    fn end(mut self) -> io::Result<Gate> {
        // An empty file is one empty block, as Hadoop's `finish` writes it.
        if !self.pending.is_empty() || self.gate.bytes == 0 {
            self.write_block()?;
        }
        Ok(self.gate)
    }
}

/// Keeps a dropped compressor from completing its file.
struct Guard<E: Encoder> {
    /// Taken by `finish` only.
    encoder: Option<E>,
}

impl<E: Encoder> Guard<E> {
    fn encoder(&mut self) -> io::Result<&mut E> {
        self.encoder.as_mut().ok_or_else(|| io::Error::other("the stream is finished"))
    }
}

impl<E: Encoder> Write for Guard<E> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encoder()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder()?.flush()
    }
}

impl<E: Encoder + Send> FinishWrite for Guard<E> {
    fn finish(mut self: Box<Self>) -> io::Result<(u64, ByteSink)> {
        let mut encoder = self.encoder.take().ok_or_else(|| io::Error::other("finished twice"))?;
        encoder.gate().open()?;
        let mut gate = encoder.end()?;
        gate.flush()?;
        Ok((gate.bytes, gate.sink))
    }
}

impl<E: Encoder> Drop for Guard<E> {
    fn drop(&mut self) {
        if let Some(encoder) = &mut self.encoder {
            encoder.gate().closed = true;
        }
    }
}

/// The compression inside a block.
enum Block {
    Snappy(Box<snap::raw::Encoder>),
    Lz4(lz4_flex::block::CompressTable),
}

impl Block {
    /// Most input bytes of a block: what is left of Hadoop's buffer after its `compressionOverhead`
    /// (`SnappyCodec`, `Lz4Codec`), so that an incompressible block still fits a reader's buffer.
    fn input_bytes_max(&self) -> usize {
        HADOOP_BUFFER_BYTES
            - match self {
                Block::Snappy(_) => HADOOP_BUFFER_BYTES / 6 + 32,
                Block::Lz4(_) => HADOOP_BUFFER_BYTES / 255 + 16,
            }
    }

    fn output_bytes_max(&self, input_bytes: usize) -> usize {
        match self {
            Block::Snappy(_) => snap::raw::max_compress_len(input_bytes),
            Block::Lz4(_) => lz4_flex::block::get_maximum_output_size(input_bytes),
        }
    }

    fn compress(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<usize> {
        match self {
            Block::Snappy(encoder) => encoder.compress(input, output).map_err(io::Error::other),
            Block::Lz4(table) => lz4_flex::block::compress_into_with_table(input, output, table)
                .map_err(io::Error::other),
        }
    }
}

/// Hadoop's `BlockCompressorStream`: for each block its uncompressed length, then the length of
/// the one compressed chunk, both as 4 bytes most significant first, then the chunk.
///
/// A length of zero means the end to Hadoop's reader, so it is written for an empty file only.
struct Blocks {
    gate: Gate,
    block: Block,
    pending: Vec<u8>,
    output: Vec<u8>,
    input_bytes_max: usize,
}

impl Blocks {
    fn new(gate: Gate, block: Block) -> Self {
        let input_bytes_max = block.input_bytes_max();
        let output = vec![0; block.output_bytes_max(input_bytes_max)];
        let pending = Vec::with_capacity(input_bytes_max);
        Blocks { gate, block, pending, output, input_bytes_max }
    }

    fn write_block(&mut self) -> io::Result<()> {
        self.gate.write_all(&length(self.pending.len())?)?;
        if !self.pending.is_empty() {
            let written = self.block.compress(&self.pending, &mut self.output)?;
            self.gate.write_all(&length(written)?)?;
            self.gate.write_all(&self.output[..written])?;
            self.pending.clear();
        }
        Ok(())
    }
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    u32::try_from(bytes).map(u32::to_be_bytes).map_err(io::Error::other)
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gate.open()?;
        let taken = bytes.len().min(self.input_bytes_max - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == self.input_bytes_max {
            self.write_block()?;
        }
        Ok(taken)
    }

    /// Ends the block, so that all that was written so far can be read.
    fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.write_block()?;
        }
        self.gate.flush()
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
