//! Escaping and enclosing of one field, byte for byte as Sqoop 1.4.7's `FieldFormatter` does it:
//!
//! 1. with an escape character, every escape character is doubled;
//! 2. without an enclosing character, the escape character goes before every field and record
//!    delimiter, and that is all;
//! 3. with one, the escape character goes before every enclosing character, and the field is
//!    enclosed when that is mandatory or when the *original* holds a field or record delimiter.
//!
//! Since the four characters are distinct (`TextFormat::validate` sees to it), steps 1 to 3 come to
//! this: the escape character goes before each character of one set. There are no doubled quotes
//! as in CSV, and an enclosing character without an escape character is ambiguous; that is Sqoop's
//! format, and not mended here.

use memchr::{memchr, memchr2, memchr3};
use rsqoop_connector::{Error, ErrorKind, Result};

use crate::job::{HiveDelims, TextFormat};

/// The characters that Hive always treats as delimiters (`FieldFormatter.hiveStringReplaceDelims`).
const HIVE: [u8; 3] = [b'\n', b'\r', 1];

/// Which bytes a column's texts can consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Any characters.
    Any,
    /// These ASCII characters.
    Only(&'static [u8]),
}

/// How much of the formatter a column needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// None: no text of the column can hold a special character.
    Bare,
    /// Always enclosed, never escaped.
    Enclosed,
    /// All of it.
    Full,
}

/// The formatter for one set of delimiters.
#[derive(Debug)]
pub(super) struct FieldFormatter {
    field_delimiter: String,
    record_delimiter: String,
    enclosed_by: Option<String>,
    enclose_all: bool,
    escaped_by: Option<String>,
    /// Characters that get the escape character before them; empty without one.
    escaped: CharSet,
    /// Characters that make optional enclosing necessary.
    delimiters: CharSet,
}

impl FieldFormatter {
    pub(super) fn new(options: &TextFormat) -> Result<Self> {
        let (field, record) = (options.field_delimiter, options.record_delimiter);
        let given = [Some(field), Some(record), options.enclosed_by, options.escaped_by];
        if (1..4).any(|at| given[at].is_some() && given[..at].contains(&given[at])) {
            return Err(Error::new(ErrorKind::Bug, "two delimiters of a text file are the same"));
        }
        let escaped = match (options.escaped_by, options.enclosed_by) {
            (None, _) => CharSet::new(&[]),
            (Some(escape), None) => CharSet::new(&[escape, field, record]),
            (Some(escape), Some(enclose)) => CharSet::new(&[escape, enclose]),
        };
        Ok(FieldFormatter {
            field_delimiter: field.into(),
            record_delimiter: record.into(),
            enclosed_by: options.enclosed_by.map(String::from),
            enclose_all: options.enclose_all,
            escaped_by: options.escaped_by.map(String::from),
            escaped,
            delimiters: CharSet::new(&[field, record]),
        })
    }

    pub(super) fn field_delimiter(&self) -> &[u8] {
        self.field_delimiter.as_bytes()
    }

    pub(super) fn record_delimiter(&self) -> &[u8] {
        self.record_delimiter.as_bytes()
    }

    /// How much of the formatter texts of this alphabet need.
    pub(super) fn frame(&self, alphabet: Alphabet) -> Frame {
        let optional = self.enclosed_by.is_some() && !self.enclose_all;
        if self.escaped.meets(alphabet) || (optional && self.delimiters.meets(alphabet)) {
            Frame::Full
        } else if self.enclosed_by.is_some() && self.enclose_all {
            Frame::Enclosed
        } else {
            Frame::Bare
        }
    }

    /// Whether this original text is enclosed.
    pub(super) fn encloses(&self, text: &[u8]) -> bool {
        self.enclosed_by.is_some() && (self.enclose_all || self.delimiters.find(text).is_some())
    }

    /// The enclosing character, for both ends.
    pub(super) fn enclosing(&self, out: &mut Vec<u8>) {
        if let Some(enclose) = &self.enclosed_by {
            out.extend_from_slice(enclose.as_bytes());
        }
    }

    /// One whole field.
    pub(super) fn field(&self, text: &[u8], out: &mut Vec<u8>) {
        if self.encloses(text) {
            self.enclosing(out);
            self.escape(text, out);
            self.enclosing(out);
        } else {
            self.escape(text, out);
        }
    }

    /// The text with its escape characters. Pieces of a text may be given one after the other if
    /// they are cut between characters.
    pub(super) fn escape(&self, text: &[u8], out: &mut Vec<u8>) {
        let mut rest = text;
        if let Some(escape) = &self.escaped_by {
            while let Some((at, length)) = self.escaped.find(rest) {
                out.extend_from_slice(&rest[..at]);
                out.extend_from_slice(escape.as_bytes());
                out.extend_from_slice(&rest[at..at + length]);
                rest = &rest[at + length..];
            }
        }
        out.extend_from_slice(rest);
    }

    /// What stands for NULL. Sqoop passes the token through the whole formatter, so that
    /// `--escaped-by '\\' --null-string '\\N'` gives `\\N`, which Hive reads as text; the token
    /// is enclosed as in Sqoop but escaped only for `--compat sqoop1.4`.
    pub(super) fn null(&self, token: &str, sqoop_compat: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if sqoop_compat {
            self.field(token.as_bytes(), &mut out);
        } else if self.encloses(token.as_bytes()) {
            self.enclosing(&mut out);
            out.extend_from_slice(token.as_bytes());
            self.enclosing(&mut out);
        } else {
            out.extend_from_slice(token.as_bytes());
        }
        out
    }
}

/// Whether `delims` changes this text.
pub(super) fn changed_by_hive(delims: &HiveDelims, text: &[u8]) -> bool {
    *delims != HiveDelims::Keep && memchr3(HIVE[0], HIVE[1], HIVE[2], text).is_some()
}

/// Drops or replaces Hive's delimiters, each one by itself. The replacement is taken literally.
pub(super) fn without_hive_delims(delims: &HiveDelims, text: &[u8], out: &mut Vec<u8>) {
    let replacement = match delims {
        HiveDelims::Keep => return out.extend_from_slice(text),
        HiveDelims::Drop => "",
        HiveDelims::Replace(replacement) => replacement,
    };
    let mut rest = text;
    while let Some(at) = memchr3(HIVE[0], HIVE[1], HIVE[2], rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(replacement.as_bytes());
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// At most three characters to look for in UTF-8 text.
#[derive(Debug)]
struct CharSet {
    chars: Vec<String>,
}

impl CharSet {
    fn new(chars: &[char]) -> Self {
        debug_assert!(chars.len() <= 3, "the search is for three bytes at most");
        CharSet { chars: chars.iter().map(|c| String::from(*c)).collect() }
    }

    fn meets(&self, alphabet: Alphabet) -> bool {
        match alphabet {
            Alphabet::Any => !self.chars.is_empty(),
            Alphabet::Only(bytes) => self.chars.iter().any(|c| bytes.contains(&c.as_bytes()[0])),
        }
    }

    /// Where the first of the characters is, and its length. UTF-8 is self-synchronising, so a
    /// character's bytes occur nowhere but at that character.
    fn find(&self, text: &[u8]) -> Option<(usize, usize)> {
        let mut from = 0;
        loop {
            let rest = text.get(from..)?;
            let at = from
                + match self.chars.as_slice() {
                    [] => None,
                    [a] => memchr(a.as_bytes()[0], rest),
                    [a, b] => memchr2(a.as_bytes()[0], b.as_bytes()[0], rest),
                    [a, b, c, ..] => {
                        memchr3(a.as_bytes()[0], b.as_bytes()[0], c.as_bytes()[0], rest)
                    }
                }?;
            if let Some(found) = self.chars.iter().find(|c| text[at..].starts_with(c.as_bytes())) {
                return Some((at, found.len()));
            }
            // Another character with the same first byte.
            from = at + 1;
        }
    }
}
