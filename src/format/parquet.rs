//! Parquet files: one writer, row groups closed by size, columns encoded in parallel where cores
//! would idle.
//!
//! What the files promise: statistics and page index for every column, the database's own types in
//! the file's metadata, and no feature that DuckDB, pyarrow or Spark cannot read.

use std::io::Read;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, SchemaRef};
use parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rsqoop_connector::{Error, ErrorKind, NATIVE_TYPE_KEY, Result};

use super::{ByteSink, FileWriter, Finished};
use crate::job::ParquetCodec;

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
    file: SerializedFileWriter<ByteSink>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    options: ParquetOptions,
    group: Option<Group>,
    rows: u64,
}

struct Group {
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
}

impl ParquetWriter {
    /// Starts a file: writes the magic bytes and fixes the schema.
    pub(crate) fn new(schema: SchemaRef, options: ParquetOptions, sink: ByteSink) -> Result<Self> {
        let mut properties = properties(&schema, &options);
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema).map_err(encode_error)?;
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let file =
            SerializedFileWriter::new(sink, parquet_schema.root_schema_ptr(), Arc::new(properties))
                .map_err(encode_error)?;
        let factory = ArrowRowGroupWriterFactory::new(&file, schema.clone());
        Ok(ParquetWriter { file, factory, schema, options, group: None, rows: 0 })
    }

    fn close_group(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let chunks = if self.options.parallel {
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

impl FileWriter for ParquetWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let group = match &mut self.group {
            Some(group) => group,
            None => {
                let index = self.file.flushed_row_groups().len();
                let columns = self.factory.create_column_writers(index).map_err(encode_error)?;
                self.group.insert(Group { columns, rows: 0 })
            }
        };
        let mut leaves = Vec::with_capacity(group.columns.len());
        for (field, array) in self.schema.fields().iter().zip(batch.columns()) {
            leaves.extend(compute_leaves(field, array).map_err(encode_error)?);
        }
        if leaves.len() != group.columns.len() {
            return Err(Error::new(ErrorKind::Bug, "a batch does not fit the file's schema"));
        }
        if self.options.parallel {
            group
                .columns
                .iter_mut()
                .zip(leaves)
                .collect::<Vec<_>>()
                .into_par_iter()
                .try_for_each(|(column, leaf)| column.write(&leaf))
        } else {
            group
                .columns
                .iter_mut()
                .zip(leaves)
                .try_for_each(|(column, leaf)| column.write(&leaf))
        }
        .map_err(encode_error)?;
        group.rows += batch.num_rows();
        self.rows += batch.num_rows() as u64;
        let bytes: usize = group.columns.iter().map(ArrowColumnWriter::memory_size).sum();
        if group.rows >= self.options.row_group_rows || bytes >= self.options.row_group_bytes {
            self.close_group()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Finished> {
        self.close_group()?;
        self.file.finish().map_err(encode_error)?;
        Ok(Finished { rows: self.rows, bytes: self.file.bytes_written() as u64 })
    }
}

fn properties(schema: &SchemaRef, options: &ParquetOptions) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(compression(options.codec))
        .set_created_by(format!("rsqoop version {}", env!("CARGO_PKG_VERSION")))
        .set_statistics_enabled(EnabledStatistics::Page)
        // Row groups are closed by ParquetWriter, which sees the encoded size.
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(vec![KeyValue {
            key: "rsqoop.columns".to_string(),
            value: Some(native_types(schema)),
        }]));
    for field in schema.fields() {
        let path = ColumnPath::from(field.name().as_str());
        if options.ascending.as_deref() == Some(field.name()) && is_delta_type(field.data_type()) {
            // A key has no repeated values for a dictionary, and small steps between neighbours.
            builder = builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    builder.build()
}

fn is_delta_type(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int32 | DataType::Int64 | DataType::UInt32 | DataType::UInt64
    )
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
            Err(other) => Error::new(ErrorKind::Storage, format!("Parquet encoding failed: {other}")),
        };
    }
    Error::new(ErrorKind::Storage, format!("Parquet encoding failed: {error}"))
}
