//! The reading loop: one COPY statement in, record batches out.
//!
//! sqlx hands over one message of the server at a time, usually one row. They are gathered into a
//! block that fits the processor's cache and decoded column by column. The block may end anywhere:
//! a row that is not all there waits for the next bytes.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::DataType;
use bytes::Bytes;
use futures_util::Stream;
use rsqoop_connector::{BatchSink, Error, ErrorKind, KeyRange, ReadQuery, Result};
use sqlx::PgConnection;
use tokio::time::{Instant, Sleep};

use crate::decode::{Block, Column, Refused, Rows, column_for};
use crate::dialect::PostgresDialect;
use crate::error;
use crate::link::{Link, Switch};
use crate::stop::Stop;

/// Bytes gathered before they are decoded.
const BLOCK_BYTES: usize = 32 * 1024;
/// Most bytes of a batch, whatever was asked for: with one more row, which is below 1 GiB, the
/// 32-bit offsets of Arrow's text columns still suffice.
const BATCH_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Reads all rows of `query`.
pub(crate) fn read(link: &mut Link, query: &ReadQuery, out: &mut dyn BatchSink) -> Result<()> {
    link.parts()?;
    let batches = Batches::new(query, out)?;
    // The line break ends a comment that the user's SQL may end with.
    let sql = format!("COPY ({}\n) TO STDOUT (FORMAT binary)", query.to_sql(&PostgresDialect));
    link.read_only(|link| {
        by_range(link, query, |link| {
            let Err(error) = copy(link, &sql, batches) else { return Ok(()) };
            let error = if link.stop().asked() { Stop::error() } else { error };
            // A COPY that sqlx did not see to its end leaves answers of the server behind, also
            // when the server refused the statement. The server is told, since it may be far from
            // its first row and would only notice when it writes.
            link.stop().cancel_on_server();
            link.give_up(error.message().to_string());
            Err(error)
        })
    })
}

/// Runs a statement over the range of `query` so that the server reads only that range.
pub(crate) fn by_range<T>(
    link: &mut Link,
    query: &ReadQuery,
    work: impl FnOnce(&mut Link) -> Result<T>,
) -> Result<T> {
    match &query.range {
        KeyRange::Between { key, lower, upper, .. }
            if !key.row.is_empty() && (lower.is_some() || upper.is_some()) =>
        {
            link.without(Switch::TableScans, work)
        }
        _ => work(link),
    }
}

/// The sink is called outside the event loop: it may block, and may have a loop of its own.
fn copy(link: &mut Link, sql: &str, mut batches: Batches<'_>) -> Result<()> {
    let limit = link.read_timeout();
    let (runtime, connection, stop) = link.parts()?;
    let mut source = runtime.block_on(Source::open(connection, stop, limit, sql))?;
    let mut pending = Vec::with_capacity(BLOCK_BYTES * 2);
    loop {
        let more = runtime.block_on(source.fill(&mut pending))?;
        let used = batches.take(&pending)?;
        pending.drain(..used);
        if pending.len() < BLOCK_BYTES && pending.capacity() > BLOCK_BYTES * 64 {
            // One very large row came by.
            pending.shrink_to(BLOCK_BYTES * 2);
        }
        if !more {
            return batches.end(&pending);
        }
    }
}

/// The server's messages.
struct Source<'a> {
    stop: &'a Stop,
    stream: Pin<Box<dyn Stream<Item = Result<Bytes, sqlx::Error>> + Send + 'a>>,
    silence: Silence,
}

/// Measures how long nothing came.
struct Silence {
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    running: bool,
}

impl<'a> Source<'a> {
    async fn open(
        connection: &'a mut PgConnection,
        stop: &'a Stop,
        limit: Duration,
        sql: &str,
    ) -> Result<Self> {
        let stream = tokio::select! {
            biased;
            stream = connection.copy_out_raw(sql) => stream.map_err(error::statement)?,
            () = stop.wait() => return Err(Stop::error()),
            () = stop.silence(limit) => return Err(Link::silent(limit)),
        };
        let timer = Box::pin(tokio::time::sleep(limit));
        Ok(Source { stop, stream, silence: Silence { limit, timer, running: false } })
    }

    /// Gathers messages until there is enough to decode; false at the end of the stream, which sqlx
    /// only reports after the server said that the statement is complete.
    async fn fill(&mut self, pending: &mut Vec<u8>) -> Result<bool> {
        if self.stop.asked() {
            return Err(Stop::error());
        }
        let stop = self.stop;
        let mut stopped = pin!(stop.wait());
        poll_fn(|cx| self.poll_fill(cx, stopped.as_mut(), pending)).await
    }

    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stopped: Pin<&mut impl Future<Output = ()>>,
        pending: &mut Vec<u8>,
    ) -> Poll<Result<bool>> {
        loop {
            match self.stream.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    self.silence.running = false;
                    pending.extend_from_slice(&message);
                    if pending.len() >= BLOCK_BYTES {
                        return Poll::Ready(Ok(true));
                    }
                }
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Err(error::statement(e))),
                Poll::Ready(None) => return Poll::Ready(Ok(false)),
                Poll::Pending => break,
            }
        }
        if stopped.poll(cx).is_ready() {
            return Poll::Ready(Err(Stop::error()));
        }
        self.silence.poll(cx, self.stop).map(Err)
    }
}

impl Silence {
    fn poll(&mut self, cx: &mut Context<'_>, stop: &Stop) -> Poll<Error> {
        if !self.running {
            self.running = true;
            self.timer.as_mut().reset(Instant::now() + self.limit);
        }
        loop {
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match stop.worked_at().map(|at| Instant::from_std(at) + self.limit) {
                Some(later) if later > self.timer.deadline() => self.timer.as_mut().reset(later),
                _ => return Poll::Ready(Link::silent(self.limit)),
            }
        }
    }
}

/// Turns bytes into batches and pushes them.
struct Batches<'a> {
    query: &'a ReadQuery,
    out: &'a mut dyn BatchSink,
    rows: Rows,
    columns: Vec<Box<dyn Column>>,
    /// Bytes a row takes in memory at least.
    row_width: usize,
    batch_bytes_max: usize,
    batch_rows: usize,
    batch_bytes: usize,
    rows_before: u64,
}

impl<'a> Batches<'a> {
    fn new(query: &'a ReadQuery, out: &'a mut dyn BatchSink) -> Result<Self> {
        let fields = query.schema.fields();
        if fields.len() != query.columns.len() {
            return Err(Error::new(
                ErrorKind::Bug,
                format!("{} columns for a schema of {}", query.columns.len(), fields.len()),
            ));
        }
        let columns: Vec<_> = fields.iter().map(|f| column_for(f)).collect::<Result<_>>()?;
        Ok(Batches {
            query,
            out,
            rows: Rows::new(columns.len()),
            row_width: columns.iter().map(|c| c.width()).sum(),
            columns,
            batch_bytes_max: query.batch_bytes.clamp(1, BATCH_BYTES_MAX),
            batch_rows: 0,
            batch_bytes: 0,
            rows_before: 0,
        })
    }

    /// Decodes the whole rows at the beginning of `data`; returns how many bytes they took.
    fn take(&mut self, data: &[u8]) -> Result<usize> {
        let mut used = 0;
        loop {
            let rest = &data[used..];
            let wanted = self.query.batch_rows.max(1) - self.batch_rows;
            let block = self.rows.cut(rest, wanted)?;
            if block.consumed() == 0 {
                return Ok(used);
            }
            for (index, column) in self.columns.iter_mut().enumerate() {
                column.append(rest, block.column(index)).map_err(|refused| {
                    let before = self.rows_before + self.batch_rows as u64;
                    let error = value_error(self.query, index, &refused);
                    match key_text(self.query, block, refused.at, rest) {
                        Some(key) => error.context("row", key),
                        None => error.context(
                            "row",
                            format!("number {} of this read", before + refused.at as u64 + 1),
                        ),
                    }
                })?;
            }
            used += block.consumed();
            self.batch_rows += block.rows();
            self.batch_bytes += block.consumed().max(block.rows() * self.row_width);
            if self.batch_rows >= self.query.batch_rows || self.batch_bytes >= self.batch_bytes_max
            {
                self.push()?;
            }
        }
    }

    /// The stream is over: it must have ended where a row ends, with its trailer.
    fn end(&mut self, rest: &[u8]) -> Result<()> {
        if !self.rows.ended() || !rest.is_empty() {
            return Err(Error::new(
                ErrorKind::Source,
                "the server's COPY stream ended before its trailer",
            )
            .transient());
        }
        self.push()
    }

    fn push(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.batch_rows);
        self.batch_bytes = 0;
        if rows == 0 {
            return Ok(());
        }
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter_mut().enumerate() {
            let array = column.finish().map_err(|refused| {
                let number = self.rows_before + refused.at as u64 + 1;
                value_error(self.query, index, &refused)
                    .context("row", format!("number {number} of this read"))
            })?;
            arrays.push(array);
        }
        self.rows_before += rows as u64;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.query.schema.clone(), arrays, &options)?;
        self.out.push(batch)
    }
}

fn value_error(query: &ReadQuery, column: usize, refused: &Refused) -> Error {
    let info = &query.columns[column].info;
    Error::value(&info.name, &info.native_type, refused.problem.as_str())
}

/// `name = value` of the column that names a row in messages, for the usual types of keys.
fn key_text(query: &ReadQuery, block: &Block, row: usize, data: &[u8]) -> Option<String> {
    let key = query.key?;
    let bytes = block.column(key).get(row)?.of(data)?;
    let value = match query.schema.field(key).data_type() {
        DataType::Int16 => i16::from_be_bytes(bytes.try_into().ok()?).to_string(),
        DataType::Int32 => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        DataType::Int64 => i64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        DataType::UInt32 => u32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        DataType::Utf8 => String::from_utf8_lossy(bytes).chars().take(100).collect(),
        DataType::FixedSizeBinary(16) if bytes.len() == 16 => {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            format!(
                "{}-{}-{}-{}-{}",
                &hex[..8],
                &hex[8..12],
                &hex[12..16],
                &hex[16..20],
                &hex[20..]
            )
        }
        _ => return None,
    };
    Some(format!("{} = {value}", query.columns[key].info.name))
}
