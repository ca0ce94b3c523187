//! Parquet files: one writer, row groups closed by size, columns encoded in parallel where cores
//! would idle.
//!
//! What the files promise: statistics and page index for every column but floating point, the
//! database's own types in the file's metadata, and no feature that DuckDB, pyarrow or Spark cannot
//! read.

use std::io::Read;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter,
    RowGroupMetaData,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rsqoop_connector::{Error, ErrorKind, NATIVE_TYPE_KEY, Result};

use super::{ByteSink, Cut, FileWriter, Finished, encodings};
use crate::job::ParquetCodec;

/// Most rows of a data page, and so the grain of the page index.
const PAGE_ROWS: usize = 65_536;

/// Values that go to a column's encoder at a time.
const ENCODE_ROWS: usize = 8_192;

/// Columns from which on a row group is gathered as it was read and encoded one column after the
/// other: the encoders of so many columns at once would take more memory than the rows.
const WIDE_COLUMNS: usize = 100;

/// Memory that the footer of a column chunk takes until the file ends, about; measured with page index
/// and statistics.
const CHUNK_FOOTER_BYTES: usize = 2 << 10;

/// Memory of such footers at which a new file should be begun.
const FOOTER_BYTES_MAX: usize = 16 << 20;

/// How one Parquet file is written.
#[derive(Debug, Clone)]
pub(crate) struct ParquetOptions {
    /// Compression of every column.
    pub(crate) codec: ParquetCodec,
    /// Encoded bytes at which a row group is closed.
    pub(crate) row_group_bytes: usize,
    /// Rows at which a row group is closed.
    pub(crate) row_group_rows: usize,
    /// Whether cores are left over for encoding columns of one file in parallel.
    pub(crate) parallel: bool,
    /// Name of the column that rows are split by: close to ascending in every file.
    pub(crate) ascending: Option<String>,
}

/// Writes one Parquet file.
pub(crate) struct ParquetWriter {
    state: State,
    schema: SchemaRef,
    options: ParquetOptions,
    rows: u64,
    /// Batches of a wide row group that nobody has encoded yet.
    gathered: Vec<RecordBatch>,
    gathered_rows: usize,
    gathered_bytes: usize,
}

/// A file begins with its first batch, from which the encodings are chosen.
enum State {
    Waiting(Option<ByteSink>),
    Open(Box<Open>),
}

struct Open {
    file: SerializedFileWriter<ByteSink>,
    factory: ArrowRowGroupWriterFactory,
    group: Option<Group>,
}

struct Group {
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
}

impl ParquetWriter {
    /// A writer whose file begins with the first batch, or with [`FileWriter::finish`].
    pub(crate) fn new(schema: SchemaRef, options: ParquetOptions, sink: ByteSink) -> Self {
        ParquetWriter {
            state: State::Waiting(Some(sink)),
            schema,
            options,
            rows: 0,
            gathered: Vec::new(),
            gathered_rows: 0,
            gathered_bytes: 0,
        }
    }

    /// Opens the file on the first call: writes the magic bytes and fixes schema and encodings.
    fn open(&mut self, first: Option<&RecordBatch>) -> Result<&mut Open> {
        if let State::Waiting(sink) = &mut self.state {
            let sink = sink
                .take()
                .ok_or_else(|| Error::new(ErrorKind::Bug, "a Parquet file that failed to begin"))?;
            self.state =
                State::Open(Box::new(Open::new(&self.schema, &self.options, first, sink)?));
        }
        match &mut self.state {
            State::Open(open) => Ok(open),
            State::Waiting(_) => Err(Error::new(ErrorKind::Bug, "a Parquet file did not begin")),
        }
    }
}

impl ParquetWriter {
    fn is_wide(&self) -> bool {
        self.schema.fields().len() >= WIDE_COLUMNS
    }

    /// Takes a batch for later.
    fn gather(&mut self, batch: &RecordBatch) -> Result<()> {
        self.gathered_rows += batch.num_rows();
        self.gathered_bytes += batch.get_array_memory_size();
        self.gathered.push(batch.clone());
        if self.gathered_rows >= self.options.row_group_rows
            || self.gathered_bytes >= self.options.row_group_bytes
        {
            self.encode_gathered()?;
        }
        Ok(())
    }

    /// Makes a row group of the batches gathered so far.
    fn encode_gathered(&mut self) -> Result<()> {
        let batches = std::mem::take(&mut self.gathered);
        (self.gathered_rows, self.gathered_bytes) = (0, 0);
        let largest = batches.iter().max_by_key(|b| b.num_rows());
        let Some(largest) = largest else { return Ok(()) };
        self.open(Some(largest))?.write_columns(&batches)
    }
}

impl Open {
    /// Writes batches as a row group, one column after the other.
    fn write_columns(&mut self, batches: &[RecordBatch]) -> Result<()> {
        let properties = self.file.properties().clone();
        let mut row_group = self.file.next_row_group().map_err(encode_error)?;
        let fields = batches.first().map(|b| b.schema_ref().fields().clone()).unwrap_or_default();
        for (column, field) in fields.iter().enumerate() {
            let mut writers = column_writers(field, &properties)?;
            for batch in batches {
                let leaves = compute_leaves(field, batch.column(column)).map_err(encode_error)?;
                for (writer, leaf) in writers.iter_mut().zip(&leaves) {
                    writer.write(leaf).map_err(encode_error)?;
                }
            }
            for writer in writers {
                let chunk = writer.close().map_err(encode_error)?;
                chunk.append_to_row_group(&mut row_group).map_err(encode_error)?;
            }
        }
        row_group.close().map_err(encode_error)?;
        Ok(())
    }

    fn new(
        schema: &SchemaRef,
        options: &ParquetOptions,
        first: Option<&RecordBatch>,
        sink: ByteSink,
    ) -> Result<Self> {
        let mut properties = properties(schema, options, first);
        let parquet_schema = ArrowSchemaConverter::new().convert(schema).map_err(encode_error)?;
        add_encoded_arrow_schema_to_metadata(schema, &mut properties);
        let file =
            SerializedFileWriter::new(sink, parquet_schema.root_schema_ptr(), Arc::new(properties))
                .map_err(encode_error)?;
        let factory = ArrowRowGroupWriterFactory::new(&file, schema.clone());
        Ok(Open { file, factory, group: None })
    }

    fn group(&mut self) -> Result<&mut Group> {
        match &mut self.group {
            Some(group) => Ok(group),
            none => {
                let index = self.file.flushed_row_groups().len();
                let columns = self.factory.create_column_writers(index).map_err(encode_error)?;
                Ok(none.insert(Group { columns, rows: 0 }))
            }
        }
    }

    /// A footer over the row groups so far, without their page indexes.
    fn footer(&self) -> Result<Vec<u8>> {
        let properties = self.file.properties();
        let groups = self.file.flushed_row_groups().to_vec();
        let rows = groups.iter().map(RowGroupMetaData::num_rows).sum();
        let file = FileMetaData::new(
            properties.writer_version().as_num(),
            rows,
            Some(properties.created_by().to_string()),
            properties.key_value_metadata().cloned(),
            Arc::new(self.file.schema_descr().clone()),
            None,
        );
        let metadata = ParquetMetaData::new(file, groups);
        let mut tail = Vec::new();
        ParquetMetaDataWriter::new(&mut tail, &metadata).finish().map_err(encode_error)?;
        Ok(tail)
    }

    fn close_group(&mut self, parallel: bool) -> Result<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let chunks = if parallel {
            group
                .columns
                .into_par_iter()
                .map(ArrowColumnWriter::close)
                .collect::<Result<Vec<_>, _>>()
        } else {
            group.columns.into_iter().map(ArrowColumnWriter::close).collect::<Result<Vec<_>, _>>()
        }
        .map_err(encode_error)?;
        let mut row_group = self.file.next_row_group().map_err(encode_error)?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group).map_err(encode_error)?;
        }
        row_group.close().map_err(encode_error)?;
        Ok(())
    }
}

impl Group {
    fn write(&mut self, batch: &RecordBatch, parallel: bool) -> Result<()> {
        let mut leaves = Vec::with_capacity(self.columns.len());
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            leaves.extend(compute_leaves(field, array).map_err(encode_error)?);
        }
        if leaves.len() != self.columns.len() {
            return Err(Error::new(ErrorKind::Bug, "a batch does not fit the file's schema"));
        }
        let mut columns = self.columns.iter_mut().zip(leaves);
        if parallel {
            columns
                .collect::<Vec<_>>()
                .into_par_iter()
                .try_for_each(|(column, leaf)| column.write(&leaf))
        } else {
            columns.try_for_each(|(column, leaf)| column.write(&leaf))
        }
        .map_err(encode_error)?;
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Bytes of memory that the open row group takes.
    fn bytes(&self) -> usize {
        self.columns.iter().map(ArrowColumnWriter::memory_size).sum()
    }
}

impl FileWriter for ParquetWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.is_wide() {
            self.rows += batch.num_rows() as u64;
            return self.gather(batch);
        }
        let (parallel, rows_max, bytes_max) =
            (self.options.parallel, self.options.row_group_rows, self.options.row_group_bytes);
        let open = self.open(Some(batch))?;
        let group = open.group()?;
        group.write(batch, parallel)?;
        if group.rows >= rows_max || group.bytes() >= bytes_max {
            open.close_group(parallel)?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn is_full(&self) -> bool {
        let State::Open(open) = &self.state else { return false };
        let chunks = open.file.flushed_row_groups().len() * self.schema.fields().len();
        chunks * CHUNK_FOOTER_BYTES >= FOOTER_BYTES_MAX
    }

    fn cut(&mut self) -> Result<Option<Cut>> {
        self.encode_gathered()?;
        let (rows, parallel) = (self.rows, self.options.parallel);
        let State::Open(open) = &mut self.state else { return Ok(None) };
        open.close_group(parallel)?;
        open.file.flush().map_err(crate::store::write_error)?;
        let bytes = open.file.bytes_written() as u64;
        Ok(Some(Cut { rows, bytes, tail: open.footer()? }))
    }

    fn finish(mut self: Box<Self>) -> Result<Finished> {
        self.encode_gathered()?;
        let (rows, parallel) = (self.rows, self.options.parallel);
        let open = self.open(None)?;
        open.close_group(parallel)?;
        open.file.finish().map_err(encode_error)?;
        Ok(Finished { rows, bytes: open.file.bytes_written() as u64 })
    }
}

/// The encoders of one column alone: a factory for the whole schema makes all of them at once, and an
/// encoder with a dictionary takes some 100 KiB before its first value.
fn column_writers(
    field: &FieldRef,
    properties: &WriterPropertiesPtr,
) -> Result<Vec<ArrowColumnWriter>> {
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    let parquet_schema = ArrowSchemaConverter::new().convert(&schema).map_err(encode_error)?;
    let nowhere = SerializedFileWriter::new(
        std::io::sink(),
        parquet_schema.root_schema_ptr(),
        properties.clone(),
    )
    .map_err(encode_error)?;
    let factory = ArrowRowGroupWriterFactory::new(&nowhere, schema);
    factory.create_column_writers(0).map_err(encode_error)
}

fn properties(
    schema: &SchemaRef,
    options: &ParquetOptions,
    first: Option<&RecordBatch>,
) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(compression(options.codec))
        .set_created_by(format!("rsqoop version {}", env!("CARGO_PKG_VERSION")))
        .set_statistics_enabled(EnabledStatistics::Page)
        // Row groups are closed by ParquetWriter, which sees the encoded size.
        .set_max_row_group_row_count(None)
        // Fewer, larger pages cost less to compress; 5 % of the client's CPU on TPC-H lineitem.
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(ENCODE_ROWS)
        .set_key_value_metadata(Some(vec![KeyValue {
            key: "rsqoop.columns".to_string(),
            value: Some(native_types(schema)),
        }]));
    for path in schema.fields().iter().filter_map(|field| float_path(field)) {
        builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    let chosen = first.map(|batch| encodings::choose_all(batch, options.ascending.as_deref()));
    for (name, encoding) in chosen.into_iter().flatten() {
        // A path of one part: a dot in a name is not a nesting.
        let path = ColumnPath::new(vec![name]);
        builder = builder
            .set_column_dictionary_enabled(path.clone(), encoding.dictionary)
            .set_column_encoding(path, encoding.plain);
    }
    builder.build()
}

/// The path of a floating-point column. The format's smallest and largest value leave NaN out, and
/// readers that sort NaN above all numbers skip row groups by them: DuckDB 1.5 found no row for
/// `x > 100` where NaN are. Without statistics there is nothing to skip by; DuckDB does the same.
fn float_path(field: &Field) -> Option<ColumnPath> {
    let name = field.name().clone();
    match field.data_type() {
        float if float.is_floating() => Some(ColumnPath::new(vec![name])),
        DataType::List(item) if item.data_type().is_floating() => {
            Some(ColumnPath::new(vec![name, "list".to_string(), item.name().clone()]))
        }
        _ => None,
    }
}

fn compression(codec: ParquetCodec) -> Compression {
    match codec {
        ParquetCodec::None => Compression::UNCOMPRESSED,
        ParquetCodec::Snappy => Compression::SNAPPY,
        ParquetCodec::Gzip => Compression::GZIP(GzipLevel::default()),
        ParquetCodec::Zstd => Compression::ZSTD(ZstdLevel::default()),
        ParquetCodec::Lz4 => Compression::LZ4_RAW,
        ParquetCodec::Brotli => Compression::BROTLI(BrotliLevel::default()),
    }
}

/// The database's own type of every column as JSON, for readers that do not look at Arrow's copy
/// of the schema.
fn native_types(schema: &SchemaRef) -> String {
    let entry = |field: &Arc<Field>| {
        serde_json::json!({
            "name": field.name(),
            "native_type": field.metadata().get(NATIVE_TYPE_KEY),
        })
    };
    serde_json::Value::Array(schema.fields().iter().map(entry).collect()).to_string()
}

/// Rows according to a file's footer: what a reader will find, independent of our own counters.
pub(crate) fn footer_rows<R: Read + parquet::file::reader::ChunkReader>(file: &R) -> Result<u64> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file).map_err(|error| {
        Error::new(ErrorKind::Verify, format!("a footer just written cannot be read: {error}"))
    })?;
    u64::try_from(metadata.file_metadata().num_rows())
        .map_err(|_| Error::new(ErrorKind::Verify, "a footer names a negative number of rows"))
}

fn encode_error(error: ParquetError) -> Error {
    if let ParquetError::External(inner) = error {
        return match inner.downcast::<std::io::Error>() {
            Ok(io) => crate::store::write_error(*io),
            Err(other) => {
                Error::new(ErrorKind::Storage, format!("Parquet encoding failed: {other}"))
            }
        };
    }
    Error::new(ErrorKind::Storage, format!("Parquet encoding failed: {error}"))
}
