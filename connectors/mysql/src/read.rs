//! One bulk read: prepare, execute, decode every row where it lies, push batches.
//!
//! The binary protocol is used because the text one rounds `FLOAT`. No cursor: the rows stream, and
//! the server waits while the sink does.

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use rsqoop_connector::{BatchSink, Dialect, Error, ErrorKind, ReadQuery, Result};

use crate::decode::{self, ColumnDecoder};
use crate::dialect::{MySqlDialect, string, time};
use crate::error::{self, Phase};
use crate::types::{TypeOptions, native_name};
use crate::value::Problem;
use crate::wire::{Cell, ColumnDef, Conn, Fault, Next};

/// Reads all rows of `query`. Does not look at interrupts: the session does.
pub(crate) fn read(
    conn: &mut Conn,
    options: TypeOptions,
    query: &ReadQuery,
    out: &mut dyn BatchSink,
) -> Result<()> {
    let run = |fault: Fault| error::statement(fault, Phase::Run);
    let statement = conn.prepare(&query.to_sql(&MySqlDialect)).map_err(run)?;
    if statement.params > 0 {
        conn.close(&statement).map_err(run)?;
        return Err(question_mark());
    }
    let columns = conn.execute(&statement).map_err(run)?;
    let batch = match Batch::new(columns, query, options) {
        Ok(batch) => batch,
        Err(error) => {
            conn.abandon("the columns did not fit what was asked for");
            return Err(error);
        }
    };
    let warnings = match batch.run(conn, out) {
        Ok(warnings) => warnings,
        Err(error) => {
            conn.abandon("an earlier read was given up midway");
            return Err(error);
        }
    };
    if warnings > 0 {
        refuse_lost_values(conn, query)?;
    }
    conn.close(&statement).map_err(run)
}

/// A question mark outside of quotes is a parameter to the server.
pub(crate) fn question_mark() -> Error {
    Error::new(ErrorKind::Usage, "the query holds a parameter mark (?)")
        .hint("write the value itself into the query")
}

/// A function whose result is longer than `max_allowed_packet` answers NULL and a warning
/// (ER_WARN_ALLOWED_PACKET_OVERFLOWED): the value would be lost without a word.
fn refuse_lost_values(conn: &mut Conn, query: &ReadQuery) -> Result<()> {
    const OVERFLOW: &str = "1301";
    let made = query.columns.iter().any(|c| {
        let name = MySqlDialect.quote_ident(&c.info.name);
        let text = MySqlDialect.text_expr(&c.info, &name);
        let expr = if c.as_text { text } else { MySqlDialect.read_expr(&c.info, &name) };
        expr != name
    });
    if !made {
        return Ok(());
    }
    let rows = conn.rows("SHOW WARNINGS").map_err(|fault| error::statement(fault, Phase::Run))?;
    let lost = rows.iter().any(|r| matches!(r.get(1), Some(Some(code)) if code == OVERFLOW));
    if lost {
        return Err(Error::new(
            ErrorKind::Data,
            "the server's text of a value is longer than its max_allowed_packet",
        )
        .hint("raise max_allowed_packet in the server, or leave the column out"));
    }
    Ok(())
}

/// The batch under construction.
struct Batch<'q> {
    query: &'q ReadQuery,
    columns: Vec<ColumnDef>,
    decoders: Vec<ColumnDecoder>,
    /// Arrow bytes of a row, without what varies.
    row_width: usize,
    rows: usize,
    bytes: usize,
}

/// No batch grows beyond what 32-bit offsets can address, whatever its limits; bytes as text take
/// twice their size.
const MOST_BYTES: usize = 1 << 29;

impl<'q> Batch<'q> {
    fn new(columns: Vec<ColumnDef>, query: &'q ReadQuery, options: TypeOptions) -> Result<Self> {
        let fields = query.schema.fields();
        if columns.len() != fields.len() {
            return Err(Error::new(
                ErrorKind::Schema,
                format!("{} columns were asked for, {} came", fields.len(), columns.len()),
            ));
        }
        let decoders = columns
            .iter()
            .zip(fields)
            .map(|(def, field)| {
                ColumnDecoder::choose(def, field.data_type(), options.zero_null)
                    .ok_or_else(|| changed(def, field.name(), field.data_type()))
            })
            .collect::<Result<Vec<_>>>()?;
        let row_width = decoders.iter().map(ColumnDecoder::width).sum();
        Ok(Batch { query, columns, decoders, row_width, rows: 0, bytes: 0 })
    }

    /// All rows; answers the server's count of warnings.
    fn run(mut self, conn: &mut Conn, out: &mut dyn BatchSink) -> Result<u16> {
        let most_bytes = self.query.batch_bytes.clamp(1, MOST_BYTES);
        let most_rows = self.query.batch_rows.max(1);
        loop {
            let next = conn.next().map_err(|fault| error::statement(fault, Phase::Run))?;
            match next {
                Next::Row(row) => {
                    if self.bytes + row.len() > MOST_BYTES && self.rows > 0 {
                        self.push(out)?;
                    }
                    self.row(row)?;
                    self.rows += 1;
                    self.bytes += row.len() + self.row_width;
                    if self.rows >= most_rows || self.bytes >= most_bytes {
                        self.push(out)?;
                    }
                }
                Next::End(done) => {
                    if self.rows > 0 {
                        self.push(out)?;
                    }
                    return Ok(done.warnings);
                }
            }
        }
    }

    #[inline]
    fn row(&mut self, row: &[u8]) -> Result<()> {
        let (bitmap, mut c) =
            decode::split_row(row, self.decoders.len()).ok_or_else(protocol_error)?;
        let nulls = bitmap.iter().any(|byte| *byte != 0);
        for (i, decoder) in self.decoders.iter_mut().enumerate() {
            if nulls && decode::is_null(bitmap, i) {
                decoder.push_null();
                continue;
            }
            if let Err(problem) = decoder.push(&mut c) {
                return Err(self.refusal(i, problem, Some(row)));
            }
        }
        if c.0.is_empty() { Ok(()) } else { Err(protocol_error()) }
    }

    fn push(&mut self, out: &mut dyn BatchSink) -> Result<()> {
        let mut arrays = Vec::with_capacity(self.decoders.len());
        for i in 0..self.decoders.len() {
            match self.decoders[i].finish() {
                Ok(array) => arrays.push(array),
                Err(problem) => return Err(self.refusal(i, problem, None)),
            }
        }
        self.rows = 0;
        self.bytes = 0;
        out.push(RecordBatch::try_new(self.query.schema.clone(), arrays)?)
    }

    /// The error for a value, with the key of its row where it is known.
    #[cold]
    fn refusal(&self, column: usize, problem: Problem, row: Option<&[u8]>) -> Error {
        if problem == Problem::Cut {
            return protocol_error();
        }
        let info = self.query.columns.get(column).map(|c| &c.info);
        let name = info.map_or("?", |i| i.name.as_str());
        let native = info.map_or("?", |i| i.native_type.as_str());
        let error = if problem == Problem::ZeroDate {
            Error::new(ErrorKind::Data, problem.text())
                .context("column", format!("{name} ({native})"))
                .hint(format!(
                    "make it NULL with zeroDateTimeBehavior=convertToNull in the URL, or import \
                     the text: --map-column {name}=string"
                ))
        } else {
            Error::value(name, native, problem.text())
        };
        match row.and_then(|row| self.key_text(row)) {
            Some(text) => error.context("row", text),
            None => error,
        }
    }

    fn key_text(&self, row: &[u8]) -> Option<String> {
        let key = self.query.key?;
        let name = &self.query.columns.get(key)?.info.name;
        let cells = decode::cells(row, &self.columns)?;
        Some(format!("{name} = {}", cell_text(cells.get(key)?)))
    }
}

fn protocol_error() -> Error {
    error::statement(Fault::protocol("a row does not fit its columns"), Phase::Run)
}

fn changed(def: &ColumnDef, name: &str, want: &DataType) -> Error {
    Error::new(
        ErrorKind::Schema,
        format!("the server now sends {} where {want} was expected", native_name(def)),
    )
    .context("column", name)
    .hint("the table may have been altered since it was described; start again")
}

/// A value as SQL would spell it, for messages.
fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_string(),
        Cell::Int(n) => n.to_string(),
        Cell::Float(v) => v.to_string(),
        Cell::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => {
                let short: String = text.chars().take(60).collect();
                if short.len() < text.len() {
                    format!("{}…", string(&short))
                } else {
                    string(text)
                }
            }
            Err(_) => crate::dialect::bytes(&bytes[..bytes.len().min(32)]),
        },
        Cell::DateTime(y, m, d, micros) => {
            let s = micros / 1_000_000;
            let (h, min, sec) = (s / 3600, s / 60 % 60, s % 60);
            format!("{y:04}-{m:02}-{d:02} {h:02}:{min:02}:{sec:02}.{:06}", micros % 1_000_000)
        }
        Cell::Time(negative, micros) => time(*negative, *micros),
    }
}
