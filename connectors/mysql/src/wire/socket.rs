//! TCP and Unix sockets with limits: one deadline for the whole login, then a limit for the
//! server's silence.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket, sockopt};

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

/// When the server last showed by other ways than this connection that it works for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    /// It works now.
    pub(crate) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    inner: Inner,
    deadline: Option<Instant>,
    silence: Duration,
    pulse: Pulse,
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
            Endpoint::Unix(path) => Inner::Unix(connect_unix(path, deadline)?),
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
                keep_alive(&stream)?;
                Inner::Tcp(stream)
            }
        };
        let (silence, pulse) = (Duration::MAX, Pulse::default());
        Ok(Socket { inner, deadline: Some(deadline), silence, pulse })
    }

    /// The login is done: from now on only silence is limited.
    pub(crate) fn limit_silence(&mut self, limit: Duration) -> io::Result<Pulse> {
        self.deadline = None;
        self.silence = limit;
        self.set_timeouts(limit)?;
        Ok(self.pulse.clone())
    }

    /// What is left of the limit, where the pulse has beaten since the waiting began.
    fn patience(&self, waiting_since: Instant) -> Option<Duration> {
        if self.deadline.is_some() {
            return None;
        }
        let beat = self.pulse.last().filter(|beat| *beat > waiting_since)?;
        self.silence.checked_sub(beat.elapsed()).filter(|left| !left.is_zero())
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

/// TCP asks a silent peer whether it still lives, so that a machine that went away is noticed and
/// nothing in between forgets the connection.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

/// Connects before `deadline`: with a full queue of waiting clients the system would block without
/// limit, and answers EAGAIN when it must not (connect(2)).
fn connect_unix(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let fd = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(true)?;
    loop {
        match connect(&stream, &address) {
            Ok(()) => break,
            Err(Errno::AGAIN | Errno::INTR) => {
                let pause = remaining(deadline)?.min(Duration::from_millis(10));
                std::thread::sleep(pause);
            }
            Err(e) => return Err(e.into()),
        }
    }
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn is_timeout(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Read for Socket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.arm()?;
        let start = Instant::now();
        let mut lowered = false;
        let result = loop {
            let result = match &mut self.inner {
                Inner::Tcp(s) => s.read(out),
                Inner::Unix(s) => s.read(out),
            };
            match result {
                Err(e) if is_timeout(&e) => {
                    let Some(left) = self.patience(start) else { break Err(e) };
                    self.set_timeouts(left.max(Duration::from_millis(1)))?;
                    lowered = true;
                }
                other => break other,
            }
        };
        if lowered {
            self.set_timeouts(self.silence)?;
        }
        result
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
