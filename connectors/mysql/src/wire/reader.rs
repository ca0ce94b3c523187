//! Cuts the byte stream into packets: in place where a packet lies whole in the buffer, joined in a
//! second buffer where it does not.
//!
//! Knows lengths and sequence numbers only, nothing of what is inside.

use std::io::{self, Read};

use super::MAX_PACKET;
use super::packet::ServerError;

/// Why a conversation with the server ended early.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server closed the connection.
    Closed,
    /// No answer within the limit.
    Timeout,
    /// The operating system or TLS failed.
    Io(io::Error),
    /// The server said something that this protocol does not allow.
    Protocol(String),
    /// The server refused.
    Server(ServerError),
    /// An earlier failure made the connection unusable.
    Dead(&'static str),
}

impl Fault {
    pub(crate) fn protocol(what: impl Into<String>) -> Fault {
        Fault::Protocol(what.into())
    }

    /// Whether the connection can still be used after it.
    pub(crate) fn keeps_connection(&self) -> bool {
        matches!(self, Fault::Server(_))
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Fault::Timeout,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Fault::Closed,
            _ => Fault::Io(error),
        }
    }
}

const BUFFER: usize = 256 * 1024;
/// The server's own upper limit for `max_allowed_packet`, with room for the packet's other fields.
const MAX_VALUE: usize = (1 << 30) + (1 << 20);

/// The buffer between socket and parser.
#[derive(Debug)]
pub(crate) struct PacketReader {
    buf: Vec<u8>,
    start: usize,
    end: usize,
    seq: u8,
    large: Vec<u8>,
}

impl PacketReader {
    pub(crate) fn new() -> Self {
        PacketReader { buf: vec![0; BUFFER], start: 0, end: 0, seq: 0, large: Vec::new() }
    }

    /// The next packet's sequence number.
    pub(crate) fn expect_seq(&mut self, seq: u8) {
        self.seq = seq;
    }

    /// The sequence number that an answer of ours carries.
    pub(crate) fn seq(&self) -> u8 {
        self.seq
    }

    /// Whether bytes wait that nobody asked for: before TLS they would be taken as if they came
    /// from inside it.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The payload of the next packet.
    #[inline]
    pub(crate) fn next(&mut self, stream: &mut impl Read) -> Result<&[u8], Fault> {
        let len = self.header(stream)?;
        if len == MAX_PACKET || len > self.buf.len() {
            return self.next_large(stream, len);
        }
        if self.end - self.start < len {
            self.fill(stream, len)?;
        }
        let from = self.start;
        self.start = from + len;
        Ok(&self.buf[from..from + len])
    }

    #[inline]
    fn header(&mut self, stream: &mut impl Read) -> Result<usize, Fault> {
        if self.end - self.start < 4 {
            self.fill(stream, 4)?;
        }
        let from = self.start;
        let header = &self.buf[from..from + 4];
        let len =
            usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
        if header[3] != self.seq {
            return Err(Fault::protocol("packets out of order"));
        }
        self.seq = self.seq.wrapping_add(1);
        self.start = from + 4;
        Ok(len)
    }

    /// Makes at least `n` bytes available; `n` fits the buffer.
    #[cold]
    fn fill(&mut self, stream: &mut impl Read, n: usize) -> Result<(), Fault> {
        self.buf.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < n {
            match stream.read(&mut self.buf[self.end..]) {
                Ok(0) => return Err(Fault::Closed),
                Ok(k) => self.end += k,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// A packet larger than the buffer, or one in several parts: a part of exactly 16 MiB - 1 is
    /// followed by another, which may be empty (protocol documentation, "Sending more than 16Mb").
    #[cold]
    fn next_large(&mut self, stream: &mut impl Read, first: usize) -> Result<&[u8], Fault> {
        self.large.clear();
        // A giant value is rare: do not keep its memory for the rest of the run.
        self.large.shrink_to(2 * MAX_PACKET);
        let mut len = first;
        loop {
            if self.large.len() + len > MAX_VALUE {
                return Err(Fault::protocol("a packet is larger than 1 GiB"));
            }
            let mut missing = len;
            while missing > 0 {
                if self.is_empty() {
                    self.fill(stream, 1)?;
                }
                let n = missing.min(self.end - self.start);
                self.large.extend_from_slice(&self.buf[self.start..self.start + n]);
                self.start += n;
                missing -= n;
            }
            if len < MAX_PACKET {
                return Ok(&self.large);
            }
            len = self.header(stream)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives at most `step` bytes a read.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(out.len()).min(self.0.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn frame(payload: &[u8], seq: &mut u8, out: &mut Vec<u8>) {
        let mut rest = payload;
        loop {
            let (part, tail) = rest.split_at(rest.len().min(MAX_PACKET));
            let len = u32::try_from(part.len()).unwrap().to_le_bytes();
            out.extend_from_slice(&[len[0], len[1], len[2], *seq]);
            out.extend_from_slice(part);
            *seq = seq.wrapping_add(1);
            rest = tail;
            if part.len() < MAX_PACKET {
                break;
            }
        }
    }

    fn round_trip(payloads: &[Vec<u8>], step: usize) {
        let (mut bytes, mut seq) = (Vec::new(), 0);
        for payload in payloads {
            frame(payload, &mut seq, &mut bytes);
        }
        let mut reader = PacketReader::new();
        let mut stream = Drip(&bytes, step);
        for payload in payloads {
            assert!(reader.next(&mut stream).unwrap() == payload.as_slice());
        }
        assert!(matches!(reader.next(&mut stream), Err(Fault::Closed)));
    }

    #[test]
    fn packets_at_the_limits() {
        for len in [0, 1, BUFFER - 5, BUFFER - 4, BUFFER, BUFFER + 1, MAX_PACKET - 1, MAX_PACKET] {
            round_trip(&[vec![7; len], vec![1, 2], vec![9; len]], usize::MAX);
        }
        round_trip(&[vec![7; 2 * MAX_PACKET], vec![], vec![8; MAX_PACKET + 1]], 100_000);
    }

    #[test]
    fn a_wrong_number_is_an_error() {
        let mut reader = PacketReader::new();
        let got = reader.next(&mut Drip(&[1, 0, 0, 1, 5], 9));
        assert!(matches!(got, Err(Fault::Protocol(_))));
    }

    #[test]
    fn a_cut_packet_is_no_end() {
        let mut reader = PacketReader::new();
        assert!(matches!(reader.next(&mut Drip(&[4, 0, 0, 0, 5], 9)), Err(Fault::Closed)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_packets_in_any_pieces(
            sizes in proptest::collection::vec(0usize..600_000, 1..12),
            step in 1usize..300_000,
        ) {
            let payloads: Vec<Vec<u8>> = sizes
                .iter()
                .map(|n| (0..*n).map(|i| u8::try_from(i % 251).unwrap()).collect())
                .collect();
            round_trip(&payloads, step.max(500));
        }
    }
}
