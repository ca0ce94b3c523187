//! Cuts delimited text in Sqoop's form into records and fields: the reader to the format that
//! docs/text-format.md describes, made from that description and not from the writer.
//!
//! Without an escape character the form is ambiguous, and this reader takes the first delimiter for
//! one; who uses it compares the number of fields and records with what was written. It knows nothing
//! of columns and NULL.

use std::io::{self, Read};
use std::ops::Range;

use memchr::memchr3;

use crate::job::TextFormat;

/// Bytes that are asked for at a time.
const READ_BYTES: usize = 64 * 1024;

/// The longest UTF-8 character: how far a decision looks ahead.
const LOOK_AHEAD: usize = 4;

/// The characters that have a meaning, in UTF-8.
#[derive(Debug)]
pub(super) struct Marks {
    field: Vec<u8>,
    record: Vec<u8>,
    enclose: Option<Vec<u8>>,
    escape: Option<Vec<u8>>,
}

impl Marks {
    pub(super) fn of(format: &TextFormat) -> Marks {
        let utf8 = |c: char| c.to_string().into_bytes();
        Marks {
            field: utf8(format.field_delimiter),
            record: utf8(format.record_delimiter),
            enclose: format.enclosed_by.map(utf8),
            escape: format.escaped_by.map(utf8),
        }
    }

    pub(super) fn field_delimiter(&self) -> &[u8] {
        &self.field
    }

    pub(super) fn record_delimiter(&self) -> &[u8] {
        &self.record
    }

    /// How far to go on outside of enclosing characters, and what ended.
    ///
    /// What is passed over is looked at no further: what then comes first is decided in the next round,
    /// with enough of what follows it at hand.
    fn bare(&self, text: &[u8]) -> (usize, Option<End>) {
        let escape = self.escape.as_ref().unwrap_or(&self.record);
        let plain = memchr3(self.field[0], self.record[0], escape[0], text).unwrap_or(text.len());
        if plain > 0 {
            (plain, None)
        } else if let Some(escape) = starts_with(text, self.escape.as_deref()) {
            (escape + 1, None)
        } else if text.starts_with(&self.field) {
            (self.field.len(), Some(End::Field))
        } else if text.starts_with(&self.record) {
            (self.record.len(), Some(End::Record))
        } else {
            // Another character with the same first byte.
            (1, None)
        }
    }

    /// The same inside of them, and whether the enclosing character was the closing one.
    fn enclosed(&self, text: &[u8]) -> (usize, bool) {
        let enclose = self.enclose.as_ref().unwrap_or(&self.record);
        let escape = self.escape.as_ref().unwrap_or(enclose);
        let plain = memchr::memchr2(enclose[0], escape[0], text).unwrap_or(text.len());
        if plain > 0 {
            (plain, false)
        } else if let Some(escape) = starts_with(text, self.escape.as_deref()) {
            (escape + 1, false)
        } else if let Some(enclose) = starts_with(text, self.enclose.as_deref()) {
            let next = &text[enclose..];
            let closes =
                next.is_empty() || next.starts_with(&self.field) || next.starts_with(&self.record);
            (enclose, closes)
        } else {
            (1, false)
        }
    }

    /// A raw field without enclosing and escape characters.
    pub(super) fn plain(&self, raw: &[u8], out: &mut Vec<u8>) {
        let mut rest = raw;
        if let Some(enclose) = &self.enclose
            && raw.len() >= 2 * enclose.len()
            && let Some(inner) = raw.strip_prefix(&enclose[..])
            && let Some(inner) = inner.strip_suffix(&enclose[..])
        {
            rest = inner;
        }
        let Some(escape) = &self.escape else { return out.extend_from_slice(rest) };
        while let Some(at) = memchr::memmem::find(rest, escape) {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at + escape.len()..];
            // The character after it is itself, whatever it is; its first byte is enough to step over.
            let Some(first) = rest.first() else { return };
            out.push(*first);
            rest = &rest[1..];
        }
        out.extend_from_slice(rest);
    }
}

/// Reads records one after the other; holds one of them and what was read beyond it.
pub(super) struct Records<R> {
    input: R,
    marks: Marks,
    buffer: Vec<u8>,
    /// Where the next record begins.
    start: usize,
    ended: bool,
    cut: bool,
    fields: Vec<Range<usize>>,
}

/// What ends a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Field,
    Record,
}

/// Where a scan stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Bare,
    Enclosed,
}

impl<R: Read> Records<R> {
    pub(super) fn new(input: R, marks: Marks) -> Self {
        let (buffer, fields) = (Vec::new(), Vec::new());
        Records { input, marks, buffer, start: 0, ended: false, cut: false, fields }
    }

    pub(super) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The raw fields of the record that was read last.
    pub(super) fn fields(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.fields.iter().map(|range| &self.buffer[range.clone()])
    }

    /// One of them.
    pub(super) fn field(&self, index: usize) -> Option<&[u8]> {
        self.fields.get(index).map(|range| &self.buffer[range.clone()])
    }

    /// Whether the input ended within a record.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Reads the next record; false at the end.
    ///
    /// # Errors
    /// The input's own.
    pub(super) fn next(&mut self) -> io::Result<bool> {
        self.fields.clear();
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start >= READ_BYTES {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let (mut at, mut field, mut state) = (self.start, self.start, State::FieldStart);
        loop {
            if self.buffer.len() - at < 2 * LOOK_AHEAD && !self.ended {
                self.fill()?;
                continue;
            }
            if at >= self.buffer.len() {
                return match at == self.start {
                    true => Ok(false),
                    false => {
                        self.cut = true;
                        self.start = self.buffer.len();
                        Ok(false)
                    }
                };
            }
            let rest = &self.buffer[at..];
            let (step, end) = match state {
                State::FieldStart => match starts_with(rest, self.marks.enclose.as_deref()) {
                    Some(enclose) => {
                        state = State::Enclosed;
                        (enclose, None)
                    }
                    None => {
                        state = State::Bare;
                        (0, None)
                    }
                },
                State::Bare => self.marks.bare(rest),
                State::Enclosed => {
                    let (step, closes) = self.marks.enclosed(rest);
                    if closes {
                        state = State::Bare;
                    }
                    (step, None)
                }
            };
            if let Some(end) = end {
                self.fields.push(field..at);
                field = at + step;
                state = State::FieldStart;
                if end == End::Record {
                    self.start = field;
                    return Ok(true);
                }
            }
            at = (at + step).min(self.buffer.len());
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let had = self.buffer.len();
        self.buffer.resize(had + READ_BYTES, 0);
        let mut got = 0;
        while got < READ_BYTES {
            match self.input.read(&mut self.buffer[had + got..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.buffer.truncate(had);
                    return Err(e);
                }
            }
        }
        self.buffer.truncate(had + got);
        Ok(())
    }
}

fn starts_with(text: &[u8], mark: Option<&[u8]>) -> Option<usize> {
    mark.filter(|mark| text.starts_with(mark)).map(<[u8]>::len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives a byte or two at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(out.len()).min(2);
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn read(format: &TextFormat, text: &str) -> io::Result<Vec<Vec<String>>> {
        let mut records = Records::new(Slow(text.as_bytes()), Marks::of(format));
        let mut all = Vec::new();
        while records.next()? {
            let fields = records.fields().map(|raw| {
                let mut out = Vec::new();
                records.marks().plain(raw, &mut out);
                String::from_utf8(out).unwrap()
            });
            all.push(fields.collect());
        }
        if records.is_cut() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(all)
    }

    fn format(
        enclosed_by: Option<char>,
        enclose_all: bool,
        escaped_by: Option<char>,
    ) -> TextFormat {
        TextFormat { enclosed_by, enclose_all, escaped_by, ..TextFormat::default() }
    }

    #[test]
    fn records_and_fields() {
        let plain = format(None, false, None);
        assert_eq!(read(&plain, "a,b\n,\n").unwrap(), [["a", "b"], ["", ""]]);
        assert_eq!(read(&plain, "\n").unwrap(), [[""]]);
        assert!(read(&plain, "").unwrap().is_empty());
        assert!(read(&plain, "a,b").is_err());
        let escaped = format(None, false, Some('\\'));
        assert_eq!(read(&escaped, "a\\,b\\\n\\\\,c\n").unwrap(), [["a,b\n\\", "c"]]);
        let both = format(Some('"'), false, Some('\\'));
        assert_eq!(read(&both, "\"a,\n\\\"\",\\\"b\n").unwrap(), [["a,\n\"", "\"b"]]);
        let all = format(Some('"'), true, None);
        assert_eq!(read(&all, "\"a\"b\",\"\"\n").unwrap(), [["a\"b", ""]]);
    }

    #[test]
    fn delimiters_of_several_bytes() {
        let format = TextFormat {
            field_delimiter: 'é',
            record_delimiter: '😀',
            escaped_by: Some('ß'),
            ..TextFormat::default()
        };
        assert_eq!(
            read(&format, "aßéêéß😀ßßß😀").unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert_eq!(read(&format, "aßéêéß😀ßß😀ö😀").unwrap(), [vec!["aéê", "😀ß"], vec!["ö"]]);
    }

    proptest! {
        #[test]
        fn what_is_escaped_reads_back(
            rows in prop::collection::vec(prop::collection::vec("[a,\n\"\\\\é]{0,5}", 3), 0..5), enclose: bool, all: bool,
        ) {
            let format = format(enclose.then_some('"'), enclose && all, Some('\\'));
            let mut text = String::new();
            for row in &rows {
                for (index, field) in row.iter().enumerate() {
                    if index > 0 { text.push(','); }
                    let encloses = enclose && (all || field.contains([',', '\n']));
                    let special: &[char] = if enclose { &['\\', '"'] } else { &['\\', ',', '\n'] };
                    if encloses { text.push('"'); }
                    for c in field.chars() {
                        if special.contains(&c) { text.push('\\'); }
                        text.push(c);
                    }
                    if encloses { text.push('"'); }
                }
                text.push('\n');
            }
            prop_assert_eq!(read(&format, &text).unwrap(), rows);
        }

        #[test]
        fn nothing_makes_it_panic_or_hang(text in "[a,\n\"\\\\é]{0,60}", enclose: bool, escape: bool) {
            let format = format(enclose.then_some('"'), false, escape.then_some('\\'));
            let _ = read(&format, &text);
        }
    }
}
