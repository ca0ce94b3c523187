//! A TCP proxy before a server: it counts connections, and can cut or stall them, as a dying server
//! or a broken network would. Also a server that accepts and says nothing.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::support::{Database, Server};

/// What happens to a connection once the server has sent enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Never,
    /// Both sides are cut after so many bytes from the server.
    CutAfter(usize),
    /// Nothing more comes after so many bytes from the server.
    StallAfter(usize),
}

pub(super) struct Proxy {
    pub(super) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    fault: Fault,
    connections: AtomicUsize,
    over: AtomicBool,
}

impl Proxy {
    pub(super) fn new(server: Server, fault: Fault) -> Proxy {
        let address = server.address();
        let shared = Arc::new(Shared {
            server: format!("{}:{}", address.host, address.port),
            fault,
            connections: AtomicUsize::new(0),
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
                own.connections.fetch_add(1, Ordering::SeqCst);
                own.clone().serve(client);
            }
        });
        Proxy { port, shared }
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The database's URL by way of this proxy.
    pub(super) fn url(&self, db: &Database) -> String {
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
    fn serve(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(&self.server) else { return };
        let (mut up_from, mut up_to) = (
            client.try_clone().expect("a socket can be shared"),
            server.try_clone().expect("a socket can be shared"),
        );
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut up_from, &mut up_to);
            let _ = up_to.shutdown(Shutdown::Write);
        });
        std::thread::spawn(move || self.answer(server, client));
    }

    fn answer(&self, mut server: TcpStream, mut client: TcpStream) {
        let (mut sent, mut buffer) = (0, vec![0; 16 << 10]);
        while let Ok(count @ 1..) = server.read(&mut buffer) {
            match self.fault {
                Fault::CutAfter(limit) if sent + count > limit => break,
                Fault::StallAfter(limit) if sent + count > limit => {
                    while !self.over.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    break;
                }
                _ => {}
            }
            if client.write_all(&buffer[..count]).is_err() {
                break;
            }
            sent += count;
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }
}

/// A port where somebody listens, accepts and never says a word.
pub(super) fn silent_port() -> u16 {
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
pub(super) fn hostile_port(answers: Vec<Vec<u8>>) -> u16 {
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
pub(super) fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").port()
}
