//! Reading single fields out of a packet, and the packets that end a result.

/// Reads fields from the front of a packet. Every method answers `None` when the packet is short.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A length-encoded integer; `None` also for the NULL mark and for the error mark.
    #[inline]
    pub(crate) fn lenenc(&mut self) -> Option<u64> {
        match self.u8()? {
            n @ 0..=0xfa => Some(u64::from(n)),
            0xfc => self.u16().map(u64::from),
            0xfd => {
                let [a, b, c] = self.array()?;
                Some(u64::from(u32::from_le_bytes([a, b, c, 0])))
            }
            0xfe => self.array().map(u64::from_le_bytes),
            _ => None,
        }
    }

    /// A string with its length before it.
    #[inline]
    pub(crate) fn lenenc_bytes(&mut self) -> Option<&'a [u8]> {
        let n = usize::try_from(self.lenenc()?).ok()?;
        self.take(n)
    }

    /// A string up to a zero byte, which is consumed.
    pub(crate) fn until_zero(&mut self) -> Option<&'a [u8]> {
        let n = self.0.iter().position(|b| *b == 0)?;
        let text = self.take(n)?;
        self.take(1)?;
        Some(text)
    }

    /// One value of a text-protocol row: `Some(None)` is NULL.
    pub(crate) fn text_value(&mut self) -> Option<Option<&'a [u8]>> {
        if self.0.first() == Some(&0xfb) {
            self.take(1)?;
            return Some(None);
        }
        self.lenenc_bytes().map(Some)
    }
}

/// One value of a binary row outside the bulk path: split bounds and row names in messages.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i128),
    Float(f64),
    Bytes(Vec<u8>),
    /// Year, month, day, microsecond of the day.
    DateTime(u16, u8, u8, u64),
    /// Negative, microseconds.
    Time(bool, u64),
}

/// An error the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerError {
    pub(crate) code: u16,
    pub(crate) message: String,
}

impl ServerError {
    /// Parses the body of an error packet, header byte included. Before the handshake is done the
    /// server leaves the SQL state out.
    pub(crate) fn parse(packet: &[u8]) -> Option<ServerError> {
        let mut c = Cursor(packet);
        if c.u8()? != 0xff {
            return None;
        }
        let code = c.u16()?;
        if c.0.first() == Some(&b'#') {
            c.take(6)?;
        }
        // One line: the message may quote the user's own statement over several.
        let text = String::from_utf8_lossy(c.0);
        let message = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(ServerError { code, message })
    }
}

/// What an OK packet or the end mark of a result says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) affected: u64,
    pub(crate) warnings: u16,
    pub(crate) more_results: bool,
}

const SERVER_MORE_RESULTS_EXISTS: u16 = 8;

impl Done {
    /// An OK packet, whatever its header byte.
    pub(crate) fn parse_ok(packet: &[u8]) -> Option<Done> {
        let mut c = Cursor(packet);
        c.u8()?;
        let affected = c.lenenc()?;
        c.lenenc()?;
        let status = c.u16()?;
        let warnings = c.u16()?;
        Some(Done { affected, warnings, more_results: status & SERVER_MORE_RESULTS_EXISTS != 0 })
    }

    /// An EOF packet of the older form.
    pub(crate) fn parse_eof(packet: &[u8]) -> Option<Done> {
        let mut c = Cursor(packet);
        c.u8()?;
        let warnings = c.u16()?;
        let status = c.u16()?;
        Some(Done { affected: 0, warnings, more_results: status & SERVER_MORE_RESULTS_EXISTS != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn length_encoded_integers() {
        for (bytes, want) in [
            (&[0xfa][..], Some(250)),
            (&[0xfb], None),
            (&[0xfc, 1, 2], Some(513)),
            (&[0xfd, 1, 0, 1], Some(65_537)),
            (&[0xfe, 0, 0, 0, 0, 1, 0, 0, 0], Some(1 << 32)),
            (&[0xfe, 0], None),
            (&[0xff], None),
            (&[], None),
        ] {
            assert_eq!(Cursor(bytes).lenenc(), want, "{bytes:?}");
        }
    }

    #[test]
    fn errors_with_and_without_state() {
        let want = Some(ServerError { code: 1045, message: "no entry".into() });
        assert_eq!(ServerError::parse(b"\xff\x15\x04#28000no\nentry"), want);
        assert_eq!(ServerError::parse(b"\xff\x15\x04no entry"), want);
        assert_eq!(ServerError::parse(b"\x00"), None);
    }

    proptest! {
        #[test]
        fn nothing_a_server_sends_panics(bytes: Vec<u8>) {
            let _ = ServerError::parse(&bytes);
            let _ = Done::parse_ok(&bytes);
            let _ = Done::parse_eof(&bytes);
            let mut c = Cursor(&bytes);
            while c.text_value().is_some() && !c.0.is_empty() {}
        }
    }
}
