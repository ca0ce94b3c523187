//! One logged-in connection: commands out, results in.
//!
//! Rows are handed out as slices of the read buffer. Any failure but a plain refusal makes the
//! connection dead, and so does a result that is given up before its end: rows of an earlier
//! statement can never be taken for those of a later one.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_common::constants::CapabilityFlags;
use rsqoop_connector::{Error, Secret, TlsMode};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::column::ColumnDef;
use super::packet::{Cell, Cursor, Done, ServerError};
use super::reader::{Fault, PacketReader};
use super::socket::{Closer, Endpoint, Pulse, Socket};
use super::{MAX_PACKET, auth};
use crate::{decode, error};

/// Everything that a login needs; kept for the second connection that kills a statement.
#[derive(Debug, Clone)]
pub(crate) struct LoginParams {
    pub(crate) endpoint: Endpoint,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    pub(crate) database: Option<String>,
    pub(crate) tls_mode: TlsMode,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Ask the server for its RSA key over an open connection (Connector/J's
    /// `allowPublicKeyRetrieval`).
    pub(crate) fetch_server_key: bool,
    /// The server's RSA key in PEM, from a file.
    pub(crate) server_key: Option<Arc<[u8]>>,
    pub(crate) multi_statements: bool,
    pub(crate) application: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) silence: Duration,
}

#[derive(Debug)]
pub(super) enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
    /// TLS could not be set up.
    Gone,
}

fn gone() -> io::Error {
    io::Error::from(io::ErrorKind::NotConnected)
}

impl Stream {
    fn socket(&mut self) -> io::Result<&mut Socket> {
        match self {
            Stream::Plain(s) => Ok(s),
            Stream::Tls(s) => Ok(&mut s.sock),
            Stream::Gone => Err(gone()),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(s) => s.read(out),
            Stream::Tls(s) => s.read(out),
            Stream::Gone => Err(gone()),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(s) => s.write(bytes),
            Stream::Tls(s) => s.write(bytes),
            Stream::Gone => Err(gone()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(s) => s.flush(),
            Stream::Tls(s) => s.flush(),
            Stream::Gone => Err(gone()),
        }
    }
}

/// A prepared statement.
#[derive(Debug)]
pub(crate) struct Prepared {
    id: u32,
    pub(crate) columns: Vec<ColumnDef>,
    /// Question marks in it.
    pub(crate) params: u16,
}

/// What a text statement answers.
#[derive(Debug)]
pub(crate) enum RowSet {
    Done(Done),
    Rows(Vec<ColumnDef>),
}

/// A row, or the server's word that there are no more.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    Row(&'a [u8]),
    End(Done),
}

const COM_QUIT: u8 = 0x01;
const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;
const COM_STMT_CLOSE: u8 = 0x19;
/// MySQL's and MariaDB's limit of columns in a statement.
const MAX_COLUMNS: u64 = 4096;

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(super) stream: Stream,
    pub(super) reader: PacketReader,
    pub(super) capabilities: CapabilityFlags,
    pub(super) extended: bool,
    pub(crate) id: u32,
    pub(crate) version: String,
    pub(crate) mariadb: bool,
    dead: Option<&'static str>,
    busy: bool,
    buffer: Vec<u8>,
}

impl Conn {
    /// Connects and logs in, all within the target's limit, which holds until
    /// [`Conn::limit_silence`] takes its place.
    pub(crate) fn open(params: &LoginParams) -> Result<Conn, Error> {
        let deadline = Instant::now() + params.connect_timeout;
        let socket = Socket::connect(&params.endpoint, deadline)
            .map_err(|e| error::connect(params, Fault::from_connect(e)))?;
        let mut conn = Conn {
            stream: Stream::Plain(socket),
            reader: PacketReader::new(),
            capabilities: CapabilityFlags::empty(),
            extended: false,
            id: 0,
            version: String::new(),
            mariadb: false,
            dead: None,
            busy: false,
            buffer: Vec::new(),
        };
        match auth::login(&mut conn, params) {
            Ok(()) => Ok(conn),
            Err(auth::LoginFault::Refused(error)) => {
                conn.dead = Some("the login failed");
                Err(error)
            }
            Err(auth::LoginFault::Fault(fault)) => {
                conn.dead = Some("the login failed");
                Err(error::connect(params, fault))
            }
        }
    }

    /// The session is set up: from now on only the server's silence is limited, and that anew
    /// after each beat of the pulse.
    pub(crate) fn limit_silence(&mut self, limit: Duration) -> Result<Pulse, Fault> {
        let limited = self.stream.socket().and_then(|s| s.limit_silence(limit));
        limited.map_err(Fault::from)
    }

    /// Turns the plain stream into a TLS one.
    pub(super) fn start_tls(&mut self, tls: ClientConnection) -> Result<(), Fault> {
        if !self.reader.is_empty() {
            return Err(Fault::protocol("data before TLS was set up"));
        }
        let Stream::Plain(socket) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(Fault::protocol("TLS twice"));
        };
        let mut stream = StreamOwned::new(tls, socket);
        // All of the handshake now, so that its failure is told from one of the login.
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        self.stream = Stream::Tls(Box::new(stream));
        Ok(())
    }

    pub(crate) fn closer(&mut self) -> io::Result<Closer> {
        self.stream.socket()?.closer()
    }

    /// Whether a result waits to be read.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Nothing can be asked any more, and the server learns it too.
    pub(crate) fn abandon(&mut self, why: &'static str) {
        if self.dead.is_none() {
            self.dead = Some(why);
            if let Ok(closer) = self.closer() {
                closer.close();
            }
        }
    }

    pub(super) fn send(&mut self, payload: &[u8], mut seq: u8) -> Result<(), Fault> {
        self.buffer.clear();
        let mut rest = payload;
        loop {
            let (part, tail) = rest.split_at(rest.len().min(MAX_PACKET));
            let len = u32::try_from(part.len()).unwrap_or_default().to_le_bytes();
            self.buffer.extend_from_slice(&[len[0], len[1], len[2], seq]);
            self.buffer.extend_from_slice(part);
            seq = seq.wrapping_add(1);
            rest = tail;
            if part.len() < MAX_PACKET {
                break;
            }
        }
        self.stream.write_all(&self.buffer)?;
        self.stream.flush()?;
        // A password may have been in it.
        self.buffer.fill(0);
        self.reader.expect_seq(seq);
        Ok(())
    }

    fn command(&mut self, code: u8, body: &[u8]) -> Result<(), Fault> {
        if let Some(why) = self.dead {
            return Err(Fault::Dead(why));
        }
        if self.busy {
            self.abandon("an earlier result was not read to its end");
            return Err(Fault::Dead("an earlier result was not read to its end"));
        }
        let mut payload = Vec::with_capacity(body.len() + 1);
        payload.push(code);
        payload.extend_from_slice(body);
        self.guard(|c| c.send(&payload, 0))
    }

    /// Runs `step` and makes the connection dead when it cannot be used after its failure.
    fn guard<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let result = step(self);
        if let Err(fault) = &result {
            if !fault.keeps_connection() {
                self.abandon("the connection failed earlier");
            }
            self.busy = false;
        }
        result
    }

    /// One packet that must not be an error.
    pub(super) fn packet(&mut self) -> Result<&[u8], Fault> {
        let packet = self.reader.next(&mut self.stream)?;
        match packet.first() {
            Some(0xff) => Err(refusal(packet)),
            Some(_) => Ok(packet),
            None => Err(Fault::protocol("an empty packet")),
        }
    }

    fn deprecate_eof(&self) -> bool {
        self.capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF)
    }

    fn columns(&mut self, count: u64) -> Result<Vec<ColumnDef>, Fault> {
        if count > MAX_COLUMNS {
            return Err(Fault::protocol("more columns than a statement can have"));
        }
        let extended = self.extended;
        let mut columns = Vec::new();
        for _ in 0..count {
            let column = ColumnDef::parse(self.packet()?, extended)
                .ok_or_else(|| Fault::protocol("a column definition is cut"))?;
            columns.push(column);
        }
        if count > 0 && !self.deprecate_eof() {
            self.packet()?;
        }
        Ok(columns)
    }

    /// The head of a result: of a statement, or of the next result of the same statement.
    fn head(&mut self) -> Result<RowSet, Fault> {
        let packet = self.packet()?;
        match packet[0] {
            0x00 => {
                let done = Done::parse_ok(packet).ok_or_else(cut)?;
                self.busy = done.more_results;
                Ok(RowSet::Done(done))
            }
            0xfb => Err(Fault::protocol("the server asks for a local file")),
            _ => {
                let count = Cursor(packet).lenenc().ok_or_else(cut)?;
                let columns = self.columns(count)?;
                self.busy = true;
                Ok(RowSet::Rows(columns))
            }
        }
    }

    /// Runs a statement in the text protocol.
    pub(crate) fn query(&mut self, sql: &str) -> Result<RowSet, Fault> {
        self.command(COM_QUERY, sql.as_bytes())?;
        self.guard(Conn::head)
    }

    /// The next result of the same statement; only after a [`Done`] that promised one.
    pub(crate) fn next_result(&mut self) -> Result<RowSet, Fault> {
        self.guard(Conn::head)
    }

    /// The next row of the running statement.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Next<'_>, Fault> {
        let packet = match self.reader.next(&mut self.stream) {
            Ok(packet) => packet,
            Err(fault) => {
                self.dead = Some("the connection failed earlier");
                self.busy = false;
                return Err(fault);
            }
        };
        match packet.first() {
            // In the text protocol 0xfe may also start a value of 16 MiB and more.
            Some(0xfe) if packet.len() < MAX_PACKET => {
                let new = self.capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF);
                let done = if new { Done::parse_ok(packet) } else { Done::parse_eof(packet) };
                let done = done.ok_or_else(cut)?;
                self.busy = done.more_results;
                Ok(Next::End(done))
            }
            Some(0xff) => {
                self.busy = false;
                Err(refusal(packet))
            }
            Some(_) => Ok(Next::Row(packet)),
            None => {
                self.dead = Some("the connection failed earlier");
                Err(Fault::protocol("an empty packet"))
            }
        }
    }

    /// Reads the running result to its end without looking at it.
    fn skip_rows(&mut self) -> Result<Done, Fault> {
        loop {
            if let Next::End(done) = self.next()? {
                return Ok(done);
            }
        }
    }

    /// Runs a statement for its effect; answers how many rows it changed.
    pub(crate) fn run(&mut self, sql: &str) -> Result<u64, Fault> {
        let mut reply = self.query(sql)?;
        let mut affected = 0;
        loop {
            let done = match reply {
                RowSet::Done(done) => done,
                RowSet::Rows(_) => self.skip_rows()?,
            };
            affected += done.affected;
            if !done.more_results {
                return Ok(affected);
            }
            reply = self.next_result()?;
        }
    }

    /// All rows of a small result as text: catalogue questions only.
    pub(crate) fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Fault> {
        let width = match self.query(sql)? {
            RowSet::Done(_) => return Ok(Vec::new()),
            RowSet::Rows(columns) => columns.len(),
        };
        let mut rows = Vec::new();
        while let Next::Row(packet) = self.next()? {
            let mut c = Cursor(packet);
            let mut row = Vec::with_capacity(width);
            for _ in 0..width {
                let value = c.text_value().ok_or_else(cut)?;
                row.push(value.map(|v| String::from_utf8_lossy(v).into_owned()));
            }
            rows.push(row);
        }
        Ok(rows)
    }

    /// Prepares a statement.
    pub(crate) fn prepare(&mut self, sql: &str) -> Result<Prepared, Fault> {
        self.command(COM_STMT_PREPARE, sql.as_bytes())?;
        self.guard(|c| {
            let mut head = Cursor(c.packet()?);
            let fields = (|| {
                head.u8()?;
                Some((head.u32()?, head.u16()?, head.u16()?))
            })();
            let (id, columns, params) = fields.ok_or_else(cut)?;
            c.columns(u64::from(params))?;
            Ok(Prepared { id, columns: c.columns(u64::from(columns))?, params })
        })
    }

    /// Starts a prepared statement; its rows come in the binary protocol. The columns are those of
    /// this execution: a table may have changed since it was prepared.
    pub(crate) fn execute(&mut self, statement: &Prepared) -> Result<Vec<ColumnDef>, Fault> {
        let mut body = [0; 9];
        body[..4].copy_from_slice(&statement.id.to_le_bytes());
        body[5] = 1; // one iteration; flags 0: no cursor, the rows stream
        self.command(COM_STMT_EXECUTE, &body)?;
        match self.guard(Conn::head)? {
            RowSet::Rows(columns) => Ok(columns),
            RowSet::Done(_) => Ok(Vec::new()),
        }
    }

    /// Forgets a prepared statement; the server does not answer.
    pub(crate) fn close(&mut self, statement: &Prepared) -> Result<(), Fault> {
        self.command(COM_STMT_CLOSE, &statement.id.to_le_bytes())
    }

    /// All rows of a small result in the binary protocol, where floats keep their bits.
    pub(crate) fn cells(&mut self, sql: &str) -> Result<(Vec<ColumnDef>, Vec<Vec<Cell>>), Fault> {
        let statement = self.prepare(sql)?;
        let columns = self.execute(&statement)?;
        let mut rows = Vec::new();
        while let Next::Row(packet) = self.next()? {
            rows.push(decode::cells(packet, &columns).ok_or_else(cut)?);
        }
        self.close(&statement)?;
        Ok((columns, rows))
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        // Without a goodbye the server counts an aborted client.
        if self.dead.is_none() && !self.busy {
            let _ = self.command(COM_QUIT, &[]);
        }
    }
}

fn cut() -> Fault {
    Fault::protocol("a packet is cut")
}

fn refusal(packet: &[u8]) -> Fault {
    ServerError::parse(packet).map_or_else(cut, Fault::Server)
}

impl Fault {
    /// While connecting, a refused or reset connection is the system's error, with its own words.
    fn from_connect(error: io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Fault::Timeout,
            _ => Fault::Io(error),
        }
    }
}

/// Reads a small file that a parameter names.
pub(crate) fn read_file(what: &str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| {
        Error::new(
            rsqoop_connector::ErrorKind::Config,
            format!("the {what} file {} cannot be read: {e}", path.display()),
        )
    })
}
