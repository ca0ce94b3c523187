//! Delimited text in Sqoop 1.4.7's form.
//!
//! The bytes are Sqoop's own, for every value whose Sqoop form can be read back; where it cannot
//! (fractions of a time, years before 1, an escaped NULL token) they are the lossless ones unless
//! the user asks for `--compat sqoop1.4`. `values` and `float` make the text of values, `field`
//! escapes and encloses, `cells` joins them per column, and this file walks the rows.
//!
//! Deliberately not here: reading text files, choosing delimiters, header lines, CSV quoting.

mod cells;
mod field;
mod float;
mod output;
mod values;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use rsqoop_connector::{ColumnKind, Error, ErrorKind, Result};

use self::cells::Column;
use self::field::FieldFormatter;
use self::output::Output;
use super::{ByteSink, Cut, FileWriter, Finished};
use crate::job::TextFormat;

/// A writer of one text file. `kinds` has the source column's kind for every field of `schema`;
/// it decides which of the two NULL tokens stands for NULL and what `hive_delims` applies to.
///
/// # Errors
/// `Unsupported`, naming the column, when a column's Arrow type has no text form.
pub(crate) fn text_writer(
    schema: SchemaRef,
    kinds: &[ColumnKind],
    options: &TextFormat,
    sink: ByteSink,
) -> Result<Box<dyn FileWriter>> {
    if schema.fields().len() != kinds.len() {
        return Err(Error::new(ErrorKind::Bug, "a column kind is missing for a text file"));
    }
    let formatter = FieldFormatter::new(options)?;
    let columns = schema
        .fields()
        .iter()
        .zip(kinds)
        .map(|(column, kind)| Column::new(column, *kind, options, &formatter))
        .collect::<Result<Vec<_>>>()?;
    let out = Output::new(sink, options.codec)?;
    Ok(Box::new(TextWriter { columns, formatter, out, rows: 0 }))
}

struct TextWriter {
    columns: Vec<Column>,
    formatter: FieldFormatter,
    out: Output,
    rows: u64,
}

impl FileWriter for TextWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.columns.len() {
            return Err(Error::new(ErrorKind::Bug, "a batch has another number of columns"));
        }
        let cells = self
            .columns
            .iter()
            .zip(batch.columns())
            .map(|(column, array)| column.bind(array.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            for (index, column) in cells.iter().enumerate() {
                if index > 0 {
                    self.out.buffer.extend_from_slice(self.formatter.field_delimiter());
                }
                column.write(row, &self.formatter, &mut self.out)?;
                self.out.spill()?;
            }
            self.out.buffer.extend_from_slice(self.formatter.record_delimiter());
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn cut(&mut self) -> Result<Option<Cut>> {
        let bytes = self.out.cut()?;
        Ok(bytes.map(|bytes| Cut { rows: self.rows, bytes, tail: Vec::new() }))
    }

    fn finish(self: Box<Self>) -> Result<Finished> {
        let TextWriter { out, rows, .. } = *self;
        Ok(Finished { rows, bytes: out.finish()? })
    }
}
