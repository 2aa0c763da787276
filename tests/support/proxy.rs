//! A proxy between a node and PostgreSQL that cuts connections around a COMMIT.
//!
//! It reads along as far as it must: a message of a client is a type byte and a length, and a COMMIT is a simple query.
//! No TLS, so that it can.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::Random;

/// How often connections were cut, and where.
#[derive(Debug, Default)]
pub struct Cuts {
    /// Before the COMMIT went on to the server: it never happens.
    pub before: AtomicUsize,
    /// After it went on, and before its answer came back: it happens, and nobody is told.
    pub between: AtomicUsize,
    /// How many COMMITs there were.
    pub commits: AtomicUsize,
}

/// A running proxy; it ends with the process.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// What it did so far.
    pub cuts: Arc<Cuts>,
    /// One COMMIT in so many is cut; none if zero.
    one_in: Arc<AtomicUsize>,
}

impl Proxy {
    /// A proxy in front of that server, which cuts nothing yet.
    pub fn start(server: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, one_in) = (Arc::new(Cuts::default()), Arc::new(AtomicUsize::new(0)));
        let random = Arc::new(Mutex::new(Random::new(seed)));
        let proxy = Self { address, cuts: Arc::clone(&cuts), one_in: Arc::clone(&one_in) };
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { continue };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (cuts, one_in, random) = (Arc::clone(&cuts), Arc::clone(&one_in), Arc::clone(&random));
                let (back_from, back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || copy(back_from, back_to));
                std::thread::spawn(move || follow(client, server, &cuts, &one_in, &random));
            }
        });
        proxy
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts one COMMIT in so many from now on; none if zero.
    pub fn cut_one_in(&self, many: usize) {
        self.one_in.store(many, Ordering::SeqCst);
    }

    /// How often it cut.
    pub fn count(&self) -> usize {
        self.cuts.before.load(Ordering::SeqCst) + self.cuts.between.load(Ordering::SeqCst)
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

/// Hands the client's messages on, one by one.
fn follow(
    mut client: TcpStream,
    mut server: TcpStream,
    cuts: &Cuts,
    one_in: &AtomicUsize,
    random: &Mutex<Random>,
) {
    let cut = |client: &TcpStream, server: &TcpStream| {
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    };
    // The first message has no type.
    let mut typed = false;
    while let Some(message) = read_message(&mut client, typed) {
        typed = true;
        let is_commit = message.first() == Some(&b'Q') && message.get(5..) == Some(&b"COMMIT\0"[..]);
        if is_commit {
            cuts.commits.fetch_add(1, Ordering::SeqCst);
            let many = one_in.load(Ordering::SeqCst);
            let (hit, before) = {
                let mut random = random.lock().unwrap();
                (many > 0 && random.one_in(u64::try_from(many).unwrap()), random.one_in(3))
            };
            if hit {
                if before {
                    cuts.before.fetch_add(1, Ordering::SeqCst);
                } else {
                    // The server gets it, and the client never hears of it.
                    let _ = client.shutdown(Shutdown::Both);
                    let _ = server.write_all(&message);
                    cuts.between.fetch_add(1, Ordering::SeqCst);
                    // Long enough to be received; what it answers goes nowhere.
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                return cut(&client, &server);
            }
        }
        if server.write_all(&message).is_err() {
            break;
        }
    }
    cut(&client, &server);
}

fn read_message(client: &mut TcpStream, typed: bool) -> Option<Vec<u8>> {
    let mut message = vec![0; if typed { 5 } else { 4 }];
    client.read_exact(&mut message).ok()?;
    let length: [u8; 4] = message[message.len() - 4..].try_into().ok()?;
    let rest = usize::try_from(u32::from_be_bytes(length)).ok()?.checked_sub(4)?;
    let begin = message.len();
    message.resize(begin + rest, 0);
    client.read_exact(&mut message[begin..]).ok()?;
    Some(message)
}
