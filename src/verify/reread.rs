//! Reads a finished part file again, by other code than wrote it, and gives the hashes of the canonical
//! texts of its values in the order of its rows.
//!
//! Streams: holds a batch of hashes, and a batch of Parquet rows or one record of text. What hashes mean
//! is the business of `checksum`.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;
use rsqoop_connector::{Error, ErrorKind, Result};

use super::canonical::{self, Canon};
use super::records::{Marks, Records};
use crate::job::{Format, TextCodec, TextFormat};
use crate::plan::OutputColumn;

/// Most rows of a batch.
const BATCH_ROWS: usize = 8192;
/// Most hashes in a batch.
const BATCH_HASHES: usize = 1 << 18;
/// Bytes of a batch of Parquet rows, about.
const BATCH_BYTES: usize = 8 << 20;
/// No block of Hadoop's is longer than its buffer; this bounds what a damaged length can ask for.
const HADOOP_BLOCK_MAX: usize = 64 << 20;

/// A column to be read: its place in the file and what its values' text is.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) index: usize,
    pub(super) canon: Canon,
}

/// The hashes of some rows.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    /// Number in the file of the first of these rows.
    pub(super) first: u64,
    pub(super) rows: usize,
    /// For each wanted column and row; `None` is NULL.
    pub(super) columns: Vec<Vec<Option<u64>>>,
    /// Rows with another number of fields than the file has columns, and that number. Their hashes mean
    /// nothing.
    pub(super) odd: Vec<(usize, usize)>,
}

/// Sees every text before it becomes a hash: the number of the wanted column, and the text or NULL. Within
/// a column texts come in the order of the rows.
pub(super) type Observe<'a> = dyn FnMut(usize, Option<&[u8]>) + 'a;

/// What is done with a batch.
pub(super) type Each<'a> = dyn FnMut(&Hashes) -> Result<()> + 'a;

/// Which rows of which file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) format: &'a Format,
    pub(super) columns: &'a [OutputColumn],
    pub(super) path: &'a Path,
    pub(super) skip: u64,
    /// All that there are after `skip`, if missing.
    pub(super) rows: Option<u64>,
}

/// Reads rows and gives their hashes.
///
/// # Errors
/// `Verify` for a file that cannot be read back, naming it; those of `each`.
pub(super) fn hashes(
    part: Part<'_>,
    wanted: &[Wanted],
    observe: &mut Observe<'_>,
    each: &mut Each<'_>,
) -> Result<()> {
    match part.format {
        Format::Parquet(_) => parquet(part, wanted, observe, each),
        Format::Text(format) => text(part, format, wanted, observe, each),
    }
}

/// A file that is not what it should be.
pub(super) fn unreadable(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Verify, format!("a file cannot be read back: {problem}"))
        .context("file", path.display().to_string())
        .hint("nothing was published; look at the disk and run again")
}

fn parquet(
    part: Part<'_>,
    wanted: &[Wanted],
    observe: &mut Observe<'_>,
    each: &mut Each<'_>,
) -> Result<()> {
    let broken = |e: &dyn std::fmt::Display| unreadable(part.path, e);
    let file = File::open(part.path).map_err(|e| broken(&e))?;
    let metadata = with_views(&file).map_err(|e| broken(&e))?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let names: Vec<&str> = builder.schema().fields().iter().map(|f| f.name().as_str()).collect();
    if names.len() != part.columns.len()
        || part.columns.iter().zip(&names).any(|(column, name)| column.field.name() != name)
    {
        return Err(broken(&format!("it has the columns {}", names.join(", "))));
    }
    // The reader gives its columns in the file's order.
    let mut order: Vec<usize> = wanted.iter().map(|w| w.index).collect();
    order.sort_unstable();
    order.dedup();
    let mask = ProjectionMask::roots(builder.parquet_schema(), order.iter().copied());
    let skip = usize::try_from(part.skip).map_err(|e| broken(&e))?;
    let batch_rows = batch_rows(builder.metadata());
    let mut builder = builder.with_projection(mask).with_batch_size(batch_rows).with_offset(skip);
    if let Some(rows) = part.rows {
        builder = builder.with_limit(usize::try_from(rows).map_err(|e| broken(&e))?);
    }
    let mut first = part.skip;
    for batch in builder.build().map_err(|e| broken(&e))? {
        let batch = batch.map_err(|e| broken(&e))?;
        let mut hashes = Hashes { first, rows: batch.num_rows(), ..Hashes::default() };
        for (number, wanted) in wanted.iter().enumerate() {
            let at = order.iter().position(|index| *index == wanted.index);
            let array = batch.column(at.expect("every wanted column is in the order"));
            let mut column = Vec::with_capacity(batch.num_rows());
            canonical::for_each(&wanted.canon, array, &mut |_, text| {
                observe(number, text);
                column.push(text.map(canonical::hash));
            })
            .map_err(|problem| {
                broken(&problem).context("column", part.columns[wanted.index].field.name().as_str())
            })?;
            hashes.columns.push(column);
        }
        first += batch.num_rows() as u64;
        each(&hashes)?;
    }
    Ok(())
}

/// Texts and bytes are read as views: a long value that a dictionary holds once is not copied for each
/// of its rows.
fn with_views(file: &File) -> parquet::errors::Result<ArrowReaderMetadata> {
    let plain = ArrowReaderMetadata::load(file, ArrowReaderOptions::new())?;
    let fields: Vec<Field> = plain
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let field = field.as_ref().clone();
            match field.data_type() {
                DataType::Utf8 => field.with_data_type(DataType::Utf8View),
                DataType::Binary => field.with_data_type(DataType::BinaryView),
                _ => field,
            }
        })
        .collect();
    let schema = Schema::new_with_metadata(fields, plain.schema().metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options)
}

/// Rows whose values take about [`BATCH_BYTES`] by the file's own account.
fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let widest = metadata
        .row_groups()
        .iter()
        .map(|group| {
            let rows = group.num_rows().max(1);
            usize::try_from(group.total_byte_size() / rows).unwrap_or(0)
        })
        .max();
    let columns = metadata.file_metadata().schema_descr().num_columns().max(1);
    (BATCH_BYTES / widest.unwrap_or(0).max(1)).min(BATCH_HASHES / columns).clamp(1, BATCH_ROWS)
}

fn text(
    part: Part<'_>,
    format: &TextFormat,
    wanted: &[Wanted],
    observe: &mut Observe<'_>,
    each: &mut Each<'_>,
) -> Result<()> {
    let broken = |e: io::Error| unreadable(part.path, e);
    let input = opened(part.path, format.codec).map_err(broken)?;
    let mut records = Records::new(input, Marks::of(format));
    let nulls: Vec<Vec<u8>> =
        wanted.iter().map(|w| null_field(format, &part.columns[w.index])).collect();
    let batch_rows = (BATCH_HASHES / wanted.len().max(1)).clamp(1, BATCH_ROWS);
    let end = part.rows.map(|rows| part.skip + rows);
    let (mut number, mut cut) = (0, false);
    let new = |first| Hashes {
        first,
        columns: vec![Vec::with_capacity(batch_rows); wanted.len()],
        ..Hashes::default()
    };
    let mut hashes = new(part.skip);
    let (mut plain, mut canonical) = (Vec::new(), Vec::new());
    while end.is_none_or(|end| number < end) {
        // What the end of the file cuts off is a row without fields.
        if !records.next().map_err(broken)? {
            if cut || !records.is_cut() {
                break;
            }
            cut = true;
        }
        number += 1;
        if number <= part.skip {
            continue;
        }
        let width = if cut { 0 } else { records.fields().len() };
        let odd = width != part.columns.len();
        if odd {
            hashes.odd.push((hashes.rows, width));
        }
        // Wanted columns may come in any order, and twice.
        for (at, wanted) in wanted.iter().enumerate() {
            let raw = records.field(wanted.index);
            let text = match raw {
                Some(raw) if !odd && raw != nulls[at] => {
                    plain.clear();
                    canonical.clear();
                    records.marks().plain(raw, &mut plain);
                    let file = part.columns[wanted.index].field.data_type();
                    canonical::from_field(&wanted.canon, file, &plain, &mut canonical);
                    Some(&canonical[..])
                }
                _ => None,
            };
            observe(at, text);
            hashes.columns[at].push(text.map(canonical::hash));
        }
        hashes.rows += 1;
        if hashes.rows == batch_rows {
            each(&hashes)?;
            hashes = new(number);
        }
    }
    if hashes.rows > 0 {
        each(&hashes)?;
    }
    Ok(())
}

/// What stands in the file for NULL of a column: enclosed like a value, but escaped only where Sqoop is
/// followed to the letter.
pub(super) fn null_field(format: &TextFormat, column: &OutputColumn) -> Vec<u8> {
    let token = null_token(format, column);
    let mut out = Vec::new();
    let has_delimiter = token.contains([format.field_delimiter, format.record_delimiter]);
    let enclose = format.enclosed_by.filter(|_| format.enclose_all || has_delimiter);
    let mut text = String::new();
    text.extend(enclose);
    match (format.sqoop_compat, format.escaped_by) {
        (true, Some(escape)) => text.push_str(&escaped(format, escape, token)),
        _ => text.push_str(token),
    }
    text.extend(enclose);
    out.extend_from_slice(text.as_bytes());
    out
}

pub(super) fn null_token<'a>(format: &'a TextFormat, column: &OutputColumn) -> &'a str {
    if column.kind.is_string_class() { &format.null_string } else { &format.null_non_string }
}

/// A value as it is escaped.
pub(super) fn escaped(format: &TextFormat, escape: char, text: &str) -> String {
    let special = |c: char| match format.enclosed_by {
        Some(enclose) => c == escape || c == enclose,
        None => c == escape || c == format.field_delimiter || c == format.record_delimiter,
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special(c) {
            out.push(escape);
        }
        out.push(c);
    }
    out
}

fn opened(path: &Path, codec: TextCodec) -> io::Result<Box<dyn Read>> {
    let file = BufReader::with_capacity(64 * 1024, File::open(path)?);
    Ok(match codec {
        TextCodec::None => Box::new(file),
        TextCodec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        TextCodec::Deflate => Box::new(flate2::bufread::ZlibDecoder::new(file)),
        TextCodec::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
        TextCodec::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
        TextCodec::Snappy => Box::new(HadoopBlocks::new(file, HadoopCodec::Snappy)),
        TextCodec::Lz4 => Box::new(HadoopBlocks::new(file, HadoopCodec::Lz4)),
    })
}

#[derive(Clone, Copy)]
enum HadoopCodec {
    Snappy,
    Lz4,
}

/// Hadoop's `BlockDecompressorStream`: a block's uncompressed length, then chunks with their length
/// before each until it is full; lengths are 4 bytes, most significant first.
struct HadoopBlocks<R> {
    input: R,
    codec: HadoopCodec,
    block: Vec<u8>,
    at: usize,
    chunk: Vec<u8>,
}

impl<R: Read> HadoopBlocks<R> {
    fn new(input: R, codec: HadoopCodec) -> Self {
        HadoopBlocks { input, codec, block: Vec::new(), at: 0, chunk: Vec::new() }
    }

    /// `None` at the end of the input, which must not be within the four bytes.
    fn length(&mut self) -> io::Result<Option<usize>> {
        let mut bytes = [0; 4];
        let mut got = 0;
        while got < bytes.len() {
            match self.input.read(&mut bytes[got..]) {
                Ok(0) if got == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        match usize::try_from(u32::from_be_bytes(bytes)) {
            Ok(length) if length <= HADOOP_BLOCK_MAX => Ok(Some(length)),
            _ => Err(damaged("a block is longer than any")),
        }
    }

    fn next_block(&mut self) -> io::Result<bool> {
        let Some(length) = self.length()? else { return Ok(false) };
        self.block.resize(length, 0);
        self.at = 0;
        let mut filled = 0;
        while filled < length {
            let chunk = self.length()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.chunk.resize(chunk, 0);
            self.input.read_exact(&mut self.chunk)?;
            let out = &mut self.block[filled..];
            let got = match self.codec {
                HadoopCodec::Snappy => snap::raw::Decoder::new()
                    .decompress(&self.chunk, out)
                    .map_err(|e| damaged(&e.to_string()))?,
                HadoopCodec::Lz4 => lz4_flex::block::decompress_into(&self.chunk, out)
                    .map_err(|e| damaged(&e.to_string()))?,
            };
            if got == 0 {
                return Err(damaged("a chunk holds nothing"));
            }
            filled += got;
        }
        Ok(true)
    }
}

fn damaged(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

impl<R: Read> Read for HadoopBlocks<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let n = out.len().min(self.block.len() - self.at);
        out[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
