//! Clients that repeat each payment with its key until it is answered, and what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::postgres::Database;
use crate::support::{Client, Random, Request, User};

/// No request may take longer.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// What the clients were told.
#[derive(Debug, Default)]
pub struct Book {
    asked: BTreeSet<String>,
    acknowledged: BTreeMap<String, String>,
    pub faults: usize,
    longest: Duration,
}

/// Sixteen clients pay through these nodes until `meanwhile` is done; each payment is repeated until it is answered.
pub fn pay_while(
    users: &[User],
    nodes: &[SocketAddr],
    seed: u64,
    meanwhile: impl FnOnce(&Mutex<Book>),
) -> Book {
    let (book, stop) = (Mutex::new(Book::default()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for number in 0..16_usize {
            let user = &users[number % users.len()];
            let mut random = Random::new(seed ^ (u64::try_from(number).unwrap() << 32));
            let mut clients: Vec<Client> =
                nodes.iter().map(|node| Client::new(*node).with_token(&user.token)).collect();
            let (book, stop) = (&book, &stop);
            scope.spawn(move || {
                for attempt in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // Of this load alone: a key of another one would be answered from what was paid then.
                    let key = format!("{seed:x}-{number}-{attempt}");
                    book.lock().unwrap().asked.insert(key.clone());
                    pay(&key, &mut clients, &mut random, book);
                }
            });
        }
        let stop = Stop(&stop);
        meanwhile(&book);
        drop(stop);
    });
    book.into_inner().unwrap()
}

/// Lets the clients end, also when what went on meanwhile has failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn pay(key: &str, clients: &mut [Client], random: &mut Random, book: &Mutex<Book>) {
    let request = Request::post("/payment", &json!({"amount": "0.01", "currency": "USD"})).key(key);
    loop {
        let client = &mut clients[usize::try_from(random.next()).unwrap_or_default() % clients.len()];
        let began = Instant::now();
        let answer = client.send(&request);
        let mut told = book.lock().unwrap();
        told.longest = told.longest.max(began.elapsed());
        match answer {
            Ok(answer) if answer.status == 201 => {
                told.acknowledged.insert(key.to_owned(), answer.str("id"));
                return;
            }
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{answer}");
                assert!(answer.header("Retry-After").is_some(), "{answer}");
                told.faults += 1;
            }
            // The node was killed.
            Err(_) => told.faults += 1,
        }
        drop(told);
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Book {
    /// How many payments were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Takes in what was told under another load.
    pub fn absorb(&mut self, other: Self) {
        let Self { asked, acknowledged, faults, longest } = other;
        self.asked.extend(asked);
        self.acknowledged.extend(acknowledged);
        self.faults += faults;
        self.longest = self.longest.max(longest);
    }

    /// Every acknowledged payment is there, once; none that nobody asked for; and the books balance.
    pub fn check(&self, database: &Database) {
        assert!(self.longest < REQUEST_LIMIT, "a request took {:?}", self.longest);
        let rows =
            database.query("SELECT idempotency_key, id FROM transactions WHERE kind = 'payment'").unwrap();
        let mut kept = BTreeMap::new();
        for row in rows.lines() {
            let (key, id) = row.split_once('|').unwrap();
            assert!(self.asked.contains(key), "nobody asked for {key}");
            assert_eq!(kept.insert(key, id.replace('-', "")), None, "{key} happened twice");
        }
        for (key, payment) in &self.acknowledged {
            let id: farthing::ledger::PaymentId = payment.parse().unwrap();
            assert_eq!(kept.get(key.as_str()), Some(&id.uuid().simple().to_string()), "{payment} is lost");
        }
    }
}
