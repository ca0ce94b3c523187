//! Asks for a password on the terminal, without showing what is typed.
//!
//! Ctrl-C is read as a character meanwhile: a process that is killed by it would leave the terminal
//! without echo.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use rsqoop_connector::{Error, ErrorKind, Result, Secret};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// Longest line that is read; a terminal gives 4,096 at most.
const BYTES_MAX: usize = 4096;

const CTRL_C: u8 = 3;

/// The terminal's settings, given back when dropped.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        quiet.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
        // Ends a line, so that it arrives at once.
        quiet.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Quiet { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Reads one line from the terminal.
///
/// # Errors
/// `Config` without a terminal or when it ends, `Cancelled` at Ctrl-C.
pub(super) fn password() -> Result<Secret> {
    let mut terminal =
        OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(no_terminal)?;
    let settings = terminal.try_clone().map_err(no_terminal)?;
    let quiet = Quiet::new(&settings).map_err(no_terminal)?;
    terminal.write_all(b"Enter password: ").map_err(no_terminal)?;
    let line = read_line(&mut terminal);
    drop(quiet);
    match line.map_err(no_terminal)? {
        Line::Whole(text) => Ok(Secret::new(text)),
        Line::Ended => Err(Error::new(ErrorKind::Config, "the terminal ended before a password")
            .hint("type the password and Enter")),
        Line::Interrupted => {
            let _ = terminal.write_all(b"\n");
            Err(Error::new(ErrorKind::Cancelled, "stopped while waiting for the password"))
        }
    }
}

enum Line {
    Whole(String),
    Ended,
    Interrupted,
}

fn read_line(from: &mut impl Read) -> io::Result<Line> {
    let mut line = Vec::with_capacity(BYTES_MAX);
    let mut byte = [0];
    loop {
        match from.read(&mut byte) {
            Ok(0) => return Ok(Line::Ended),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        match byte[0] {
            CTRL_C => return Ok(Line::Interrupted),
            b'\n' | b'\r' => break,
            _ if line.len() == BYTES_MAX => return Err(io::ErrorKind::InvalidData.into()),
            other => line.push(other),
        }
    }
    String::from_utf8(line).map(Line::Whole).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn no_terminal(error: io::Error) -> Error {
    Error::new(ErrorKind::Config, "-P needs a terminal to ask for the password")
        .hint("without one, use --password-file or the variable RSQOOP_PASSWORD")
        .source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> Line {
        read_line(&mut bytes).unwrap()
    }

    #[test]
    fn a_line_is_the_password_and_ctrl_c_ends_it() {
        assert!(matches!(read(b"p\xc3\xa4 w\n"), Line::Whole(text) if text == "pä w"));
        assert!(matches!(read(b"\n"), Line::Whole(text) if text.is_empty()));
        assert!(matches!(read(b"pw\x03"), Line::Interrupted));
        assert!(matches!(read(b"pw"), Line::Ended));
        assert!(read_line(&mut &b"\xff\n"[..]).is_err());
        assert!(read_line(&mut &[b'x'; BYTES_MAX + 1][..]).is_err());
    }
}
