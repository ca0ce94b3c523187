//! Cuts the bytes of a binary COPY into rows and fields.

use rsqoop_connector::{Error, ErrorKind, Result};

use super::Span;

/// First bytes of a binary COPY.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Flag bit 16: the rows carry oids, which no server since PostgreSQL 12 does.
const HAS_OIDS: u32 = 1 << 16;
/// Rows of one block at most; keeps the table of spans inside the processor's cache.
const BLOCK_ROWS: usize = 512;

/// Where the reader stands in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Tuples,
    Ended,
}

/// The cutter: remembers where in the stream it stands, keeps no bytes.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: usize,
    place: Place,
    block: Block,
}

/// Some whole rows: the spans of their fields, column by column.
#[derive(Debug)]
pub(crate) struct Block {
    rows: usize,
    consumed: usize,
    /// `BLOCK_ROWS` spans per column.
    spans: Vec<Span>,
}

impl Block {
    /// Whole rows found.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the input that need not be shown again.
    pub(crate) fn consumed(&self) -> usize {
        self.consumed
    }

    /// The fields of one column.
    pub(crate) fn column(&self, column: usize) -> &[Span] {
        &self.spans[column * BLOCK_ROWS..column * BLOCK_ROWS + self.rows]
    }
}

impl Rows {
    pub(crate) fn new(columns: usize) -> Self {
        let spans = vec![Span::default(); columns * BLOCK_ROWS];
        Rows { columns, place: Place::Header, block: Block { rows: 0, consumed: 0, spans } }
    }

    /// Whether the trailer was seen.
    pub(crate) fn ended(&self) -> bool {
        self.place == Place::Ended
    }

    /// Finds the whole rows at the beginning of `data`, `limit` at most. A block without rows that
    /// consumed nothing means that more bytes are needed.
    pub(crate) fn cut(&mut self, data: &[u8], limit: usize) -> Result<&Block> {
        self.block.rows = 0;
        self.block.consumed = 0;
        if self.place == Place::Header {
            let Some(len) = header(data)? else { return Ok(&self.block) };
            self.block.consumed = len;
            self.place = Place::Tuples;
        }
        let limit = limit.min(BLOCK_ROWS);
        while self.block.rows < limit && self.place == Place::Tuples {
            if !self.row(data)? {
                break;
            }
        }
        if self.place == Place::Ended && self.block.consumed < data.len() {
            return Err(broken("there are bytes after its trailer"));
        }
        Ok(&self.block)
    }

    /// One row or the trailer; false when it is not all there.
    fn row(&mut self, data: &[u8]) -> Result<bool> {
        let mut at = self.block.consumed;
        let Some(count) = data.get(at..at + 2) else { return Ok(false) };
        let count = i16::from_be_bytes([count[0], count[1]]);
        at += 2;
        if count == -1 {
            self.place = Place::Ended;
            self.block.consumed = at;
            return Ok(true);
        }
        if usize::try_from(count) != Ok(self.columns) {
            return Err(broken(format!(
                "a row has {count} fields where {} were asked for",
                self.columns
            )));
        }
        let mut slot = self.block.rows;
        for _ in 0..self.columns {
            let Some(len) = data.get(at..at + 4) else { return Ok(false) };
            let len = i32::from_be_bytes([len[0], len[1], len[2], len[3]]);
            at += 4;
            let start = u32::try_from(at).map_err(|_| broken("a row is larger than 4 GiB"))?;
            self.block.spans[slot] = Span { start, len };
            slot += BLOCK_ROWS;
            match usize::try_from(len) {
                Ok(len) => at += len,
                Err(_) if len == -1 => {}
                Err(_) => return Err(broken(format!("a field has the length {len}"))),
            }
        }
        if at > data.len() {
            return Ok(false);
        }
        self.block.rows += 1;
        self.block.consumed = at;
        Ok(true)
    }
}

/// The length of the header once it is all there.
fn header(data: &[u8]) -> Result<Option<usize>> {
    let known = data.len().min(SIGNATURE.len());
    if data[..known] != SIGNATURE[..known] {
        return Err(broken("it does not begin with PostgreSQL's signature"));
    }
    let Some(rest) = data.get(SIGNATURE.len()..SIGNATURE.len() + 8) else { return Ok(None) };
    let flags = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
    // Bits 16 to 31 say what a reader must understand.
    if flags >> 16 != 0 {
        let what = if flags & HAS_OIDS != 0 { "row oids" } else { "an unknown extension" };
        return Err(broken(format!("it carries {what}")));
    }
    let extension = u32::from_be_bytes([rest[4], rest[5], rest[6], rest[7]]);
    if extension > 1 << 20 {
        return Err(broken("its header is too long"));
    }
    let len = SIGNATURE.len() + 8 + extension as usize;
    Ok((data.len() >= len).then_some(len))
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Source, format!("the server's COPY stream is not valid: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(rows: &[Vec<Option<&[u8]>>]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend([0; 8]);
        for row in rows {
            out.extend(i16::try_from(row.len()).unwrap().to_be_bytes());
            for field in row {
                match field {
                    None => out.extend((-1i32).to_be_bytes()),
                    Some(bytes) => {
                        out.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
                        out.extend(*bytes);
                    }
                }
            }
        }
        out.extend((-1i16).to_be_bytes());
        out
    }

    #[test]
    fn rows_may_be_cut_anywhere() {
        let rows =
            vec![vec![Some(b"ab".as_slice()), None], vec![Some(b""), Some(b"x")], vec![None, None]];
        let bytes = stream(&rows);
        for cut in 0..=bytes.len() {
            let mut cutter = Rows::new(2);
            let mut pending: Vec<u8> = Vec::new();
            let mut seen = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                pending.extend(part);
                loop {
                    let block = cutter.cut(&pending, 2).unwrap();
                    for row in 0..block.rows() {
                        seen.push(
                            (0..2)
                                .map(|c| block.column(c)[row].of(&pending).map(<[u8]>::to_vec))
                                .collect::<Vec<_>>(),
                        );
                    }
                    let consumed = block.consumed();
                    if consumed == 0 {
                        break;
                    }
                    pending.drain(..consumed);
                }
            }
            assert!(cutter.ended() && pending.is_empty(), "cut at {cut}");
            let want: Vec<Vec<Option<Vec<u8>>>> =
                rows.iter().map(|r| r.iter().map(|f| f.map(<[u8]>::to_vec)).collect()).collect();
            assert_eq!(seen, want, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_copy_stream_is_refused() {
        let good = stream(&[vec![Some(b"a")]]);
        let mut flags = good.clone();
        flags[12] = 1;
        let mut after = good.clone();
        after.push(0);
        let mut length = good.clone();
        length[21] = 0xff;
        for (bytes, columns) in
            [(b"PGCOPX".to_vec(), 1), (flags, 1), (after, 1), (length, 1), (good, 2)]
        {
            assert_eq!(
                Rows::new(columns).cut(&bytes, 10).unwrap_err().kind(),
                ErrorKind::Source,
                "{bytes:?}"
            );
        }
    }
}
