//! A webhook's other end: keeps what it got, and answers as the test wants.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Something that was sent.
#[derive(Debug, Clone)]
pub struct Received {
    /// The headers, their names in lower-case.
    pub headers: HashMap<String, String>,
    /// The body, as it came.
    pub bytes: Vec<u8>,
    /// The body as text.
    pub body: String,
    /// When it was all there.
    pub at: Instant,
}

impl Received {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The event's type.
    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    /// The event's id.
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

/// How a receiver answers.
#[derive(Debug, Clone)]
pub enum Reaction {
    /// With this status and these header lines.
    Status(u16, &'static str),
    /// Not at all, until the sender goes away.
    Hang,
    /// By closing the connection.
    Close,
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// One that takes everything.
    pub fn start() -> Self {
        Self::reacting(|_, _| Reaction::Status(204, ""))
    }

    /// One that reacts to what it got and to how much it got before.
    pub fn reacting(react: impl Fn(&Received, usize) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let kept = Arc::clone(&received);
        let react = Arc::new(react);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, react) = (Arc::clone(&kept), Arc::clone(&react));
                thread::spawn(move || {
                    let mut stream = stream;
                    let Some(got) = read(&mut stream) else { return };
                    let before = {
                        let mut kept = kept.lock().unwrap();
                        kept.push(got.clone());
                        kept.len() - 1
                    };
                    match react(&got, before) {
                        Reaction::Status(status, headers) => {
                            let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: 2\r\n\r\nok");
                            let _ = stream.write_all(head.as_bytes());
                        }
                        Reaction::Hang => {
                            let _ = stream.read(&mut [0; 16]);
                        }
                        Reaction::Close => {}
                    }
                });
            }
        });
        Self { address, received }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything that it got so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// What it got once that is this much.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait_until(&format!("{count} deliveries"), |received| received.len() >= count)
    }

    /// What it got once that is enough.
    pub fn wait_until(&self, what: &str, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let end = Instant::now() + Duration::from_mins(1);
        loop {
            let received = self.received();
            if enough(&received) {
                return received;
            }
            assert!(Instant::now() < end, "no {what}: {received:#?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut part = [0; 4_096];
    let (head, start) = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break (String::from_utf8(bytes[..at].to_vec()).unwrap(), at + 4);
        }
        let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&part[..count]);
    };
    let headers: HashMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    while bytes.len() < start + length {
        let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&part[..count]);
    }
    let bytes = bytes[start..start + length].to_vec();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Some(Received { headers, bytes, body, at: Instant::now() })
}
