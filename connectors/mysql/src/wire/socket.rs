//! TCP and Unix sockets with limits: one deadline for the whole login, then a limit for the
//! server's silence.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Endpoint::Tcp { host, port } => write!(f, "{host}:{port}"),
            Endpoint::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

#[derive(Debug)]
enum Inner {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    inner: Inner,
    deadline: Option<Instant>,
}

/// Closes a socket from another thread.
#[derive(Debug)]
pub(crate) struct Closer(Inner);

impl Closer {
    pub(crate) fn close(&self) {
        // Only fails when it is closed already.
        let _ = match &self.0 {
            Inner::Tcp(s) => s.shutdown(Shutdown::Both),
            Inner::Unix(s) => s.shutdown(Shutdown::Both),
        };
    }
}

fn timed_out() -> io::Error {
    io::Error::from(io::ErrorKind::TimedOut)
}

fn remaining(deadline: Instant) -> io::Result<Duration> {
    match deadline.checked_duration_since(Instant::now()) {
        Some(d) if !d.is_zero() => Ok(d),
        _ => Err(timed_out()),
    }
}

impl Socket {
    /// Connects before `deadline`, trying each address of the host.
    pub(crate) fn connect(to: &Endpoint, deadline: Instant) -> io::Result<Socket> {
        let inner = match to {
            Endpoint::Unix(path) => Inner::Unix(UnixStream::connect(path)?),
            Endpoint::Tcp { host, port } => {
                let mut last = None;
                let mut connected = None;
                for address in resolve(host, *port, deadline)? {
                    match TcpStream::connect_timeout(&address, remaining(deadline)?) {
                        Ok(stream) => {
                            connected = Some(stream);
                            break;
                        }
                        Err(e) => last = Some(e),
                    }
                }
                let stream = connected.ok_or_else(|| {
                    last.unwrap_or_else(|| io::Error::other("the host name has no address"))
                })?;
                stream.set_nodelay(true)?;
                Inner::Tcp(stream)
            }
        };
        Ok(Socket { inner, deadline: Some(deadline) })
    }

    /// The login is done: from now on only silence is limited.
    pub(crate) fn limit_silence(&mut self, limit: Duration) -> io::Result<()> {
        self.deadline = None;
        self.set_timeouts(limit)
    }

    pub(crate) fn closer(&self) -> io::Result<Closer> {
        Ok(Closer(match &self.inner {
            Inner::Tcp(s) => Inner::Tcp(s.try_clone()?),
            Inner::Unix(s) => Inner::Unix(s.try_clone()?),
        }))
    }

    fn set_timeouts(&self, limit: Duration) -> io::Result<()> {
        match &self.inner {
            Inner::Tcp(s) => {
                s.set_read_timeout(Some(limit))?;
                s.set_write_timeout(Some(limit))
            }
            Inner::Unix(s) => {
                s.set_read_timeout(Some(limit))?;
                s.set_write_timeout(Some(limit))
            }
        }
    }

    fn arm(&self) -> io::Result<()> {
        match self.deadline {
            Some(deadline) => self.set_timeouts(remaining(deadline)?),
            None => Ok(()),
        }
    }
}

/// Name resolution has no time limit of its own, so it runs on a thread that may be left behind.
fn resolve(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    let (send, receive) = mpsc::channel();
    let name = host.to_string();
    std::thread::Builder::new().name("resolve".to_string()).spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs().map(|a| a.collect::<Vec<_>>());
        // Nobody listens once the limit is over.
        let _ = send.send(found);
    })?;
    receive.recv_timeout(remaining(deadline)?).map_err(|_| timed_out())?
}

impl Read for Socket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.arm()?;
        match &mut self.inner {
            Inner::Tcp(s) => s.read(out),
            Inner::Unix(s) => s.read(out),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.arm()?;
        match &mut self.inner {
            Inner::Tcp(s) => s.write(bytes),
            Inner::Unix(s) => s.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
