//! A TCP proxy before a server: it counts connections and their bytes, and can cut, reset, stall or
//! slow them, as a dying server or a broken network would. Also a server that accepts and says nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::{Database, Server};

/// What happens to a connection once the server has sent enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Never,
    /// Both sides are cut after so many bytes from the server.
    CutAfter(usize),
    /// Nothing more comes after so many bytes from the server.
    StallAfter(usize),
    /// Exactly so many bytes of the server's reach the client before this happens, on the
    /// connection of this number (from 0 in order of opening) or on all.
    At(Disturbance, usize, Option<usize>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disturbance {
    /// The connection ends in order, as if the server had said all.
    Cut,
    /// The connection is torn down (RST).
    Reset,
    /// Nothing more comes.
    Stall,
    /// The next bytes come one at a time.
    Slow,
}

/// How many bytes come one at a time, and the time between two.
const SLOW_BYTES: usize = 300;
const SLOW_PAUSE: Duration = Duration::from_micros(500);

/// How often a blocked thread looks whether all is over.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    fault: Fault,
    connections: AtomicUsize,
    /// Bytes from the server, for each connection.
    sent: Mutex<Vec<usize>>,
    over: AtomicBool,
}

impl Proxy {
    pub(crate) fn new(server: Server, fault: Fault) -> Proxy {
        let address = server.address();
        let shared = Arc::new(Shared {
            server: format!("{}:{}", address.host, address.port),
            fault,
            connections: AtomicUsize::new(0),
            sent: Mutex::new(Vec::new()),
            over: AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let own = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if own.over.load(Ordering::SeqCst) {
                    return;
                }
                let number = own.connections.fetch_add(1, Ordering::SeqCst);
                own.sent.lock().expect("nobody panics").push(0);
                own.clone().serve(client, number);
            }
        });
        Proxy { port, shared }
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many bytes the server said on each connection, in order of opening.
    pub(crate) fn sent(&self) -> Vec<usize> {
        self.shared.sent.lock().expect("nobody panics").clone()
    }

    /// The database's URL by way of this proxy.
    pub(crate) fn url(&self, db: &Database) -> String {
        let port = db.server.address().port;
        db.url().replace(&format!(":{port}/"), &format!(":{}/", self.port))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn serve(self: Arc<Self>, client: TcpStream, number: usize) {
        let Ok(server) = TcpStream::connect(&self.server) else { return };
        let _ = client.set_nodelay(true);
        // The two directions share no more than this, so that a reset can close the last handle.
        let ended = Arc::new(AtomicBool::new(false));
        let (up_from, up_to) = (
            client.try_clone().expect("a socket can be shared"),
            server.try_clone().expect("a socket can be shared"),
        );
        let (own, up_ended) = (self.clone(), ended.clone());
        std::thread::spawn(move || own.questions(up_from, up_to, &up_ended));
        std::thread::spawn(move || self.answers(server, client, number, &ended));
    }

    /// Client to server. What the client still says to a server that is gone is swallowed: closing
    /// with it unread would be a reset.
    fn questions(&self, mut client: TcpStream, mut server: TcpStream, ended: &AtomicBool) {
        let _ = client.set_read_timeout(Some(LOOK));
        let mut buffer = vec![0; 16 << 10];
        while !ended.load(Ordering::SeqCst) && !self.over.load(Ordering::SeqCst) {
            match client.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => drop(server.write_all(&buffer[..count])),
                Err(e) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&e.kind()) => {}
                Err(_) => break,
            }
        }
        let _ = server.shutdown(Shutdown::Write);
    }

    /// Server to client, until the fault comes.
    fn answers(
        &self,
        mut server: TcpStream,
        mut client: TcpStream,
        number: usize,
        ended: &AtomicBool,
    ) {
        let (mut sent, mut buffer) = (0, vec![0; 16 << 10]);
        while let Ok(count @ 1..) = server.read(&mut buffer) {
            let answer = &buffer[..count];
            let after = sent + count;
            self.sent.lock().expect("nobody panics")[number] = after;
            match self.fault {
                Fault::CutAfter(limit) if after > limit => break,
                Fault::StallAfter(limit) if after > limit => {
                    self.wait();
                    break;
                }
                Fault::At(disturbance, at, only)
                    if (sent..after).contains(&at) && only.is_none_or(|n| n == number) =>
                {
                    let (before, rest) = answer.split_at(at - sent);
                    if client.write_all(before).is_err()
                        || !self.disturb(disturbance, &server, &mut client, rest, ended)
                    {
                        return;
                    }
                }
                _ => {
                    if client.write_all(answer).is_err() {
                        break;
                    }
                }
            }
            sent = after;
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }

    /// True when the connection goes on.
    fn disturb(
        &self,
        disturbance: Disturbance,
        server: &TcpStream,
        client: &mut TcpStream,
        rest: &[u8],
        ended: &AtomicBool,
    ) -> bool {
        match disturbance {
            Disturbance::Slow => {
                let (slow, rest) = rest.split_at(rest.len().min(SLOW_BYTES));
                let one_by_one = slow.iter().all(|byte| {
                    std::thread::sleep(SLOW_PAUSE);
                    client.write_all(&[*byte]).is_ok()
                });
                return one_by_one && client.write_all(rest).is_ok();
            }
            Disturbance::Cut => {
                // The other direction closes when the client does.
                let _ = client.shutdown(Shutdown::Write);
            }
            Disturbance::Reset => {
                // Without lingering, the last handle that closes sends a reset.
                let _ = rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO));
                ended.store(true, Ordering::SeqCst);
            }
            Disturbance::Stall => self.wait(),
        }
        let _ = server.shutdown(Shutdown::Both);
        false
    }

    fn wait(&self) {
        while !self.over.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
        }
    }
}

/// A port where somebody listens, accepts and never says a word.
pub(crate) fn silent_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for client in listener.incoming().flatten() {
            held.push(client);
        }
    });
    port
}

/// A port where the first of `answers` is sent at once, each other one after the client has spoken,
/// and then nothing.
pub(crate) fn hostile_port(answers: Vec<Vec<u8>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut client in listener.incoming().flatten() {
            for (index, answer) in answers.iter().enumerate() {
                if index > 0 {
                    // What it says is of no interest.
                    let _ = client.read(&mut [0; 4096]);
                }
                let _ = client.write_all(answer);
            }
            held.push(client);
        }
    });
    port
}

/// A port where nobody listens.
pub(crate) fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").port()
}
