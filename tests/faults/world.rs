//! People who pay each other at random, and the book of what they were told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::lists::every_row;
use crate::support::user::{GRANT_MINOR, major, minor};
use crate::support::{Client, Random, Request, Response, Server, shape};

/// What an operator's fault may be answered with.
const FAULTS: [u16; 3] = [500, 503, 507];

/// Somebody with a wallet. Tokens outlive restarts; connections don't.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: String,
    pub token: String,
}

/// One payment that somebody asked for.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub payer: usize,
    /// `None` is the house.
    payee: Option<usize>,
    amount_minor: i64,
    /// The idempotency key, and the reference by which the payment is recognised.
    pub key: String,
}

/// What the payer was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// 201, with this body.
    Paid(Vec<u8>),
    /// 402.
    Declined,
    /// No answer, or a fault.
    Unknown,
    /// A fault of which the answer says that nothing was done.
    Undone,
}

impl Fate {
    /// Whether the payment has yet to be resolved.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Unknown | Self::Undone)
    }
}

/// A payment in the book.
#[derive(Debug, Clone)]
pub struct Entry {
    pub attempt: Attempt,
    pub fate: Fate,
}

/// How a client goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many clients there are at once.
    pub clients: usize,
    /// How many payments each makes at most.
    pub attempts: usize,
    /// Whether a client that got no answer, or a fault, goes on.
    pub goes_on: bool,
}

/// The people, and the book.
#[derive(Debug)]
pub struct World {
    pub people: Vec<Person>,
    pub book: Vec<Entry>,
    rounds: usize,
}

impl World {
    /// Registers so many people.
    pub fn new(server: &Server, many: usize) -> Self {
        let people = (0..many)
            .map(|n| {
                let user = server.user(&format!("person{n}"));
                Person { id: user.id, token: user.token }
            })
            .collect();
        Self { people, book: Vec::new(), rounds: 0 }
    }

    /// Starts a load, does something meanwhile, and writes down what the clients were told. The clients end when they
    /// are through, when they fail, or when `meanwhile` has returned; it gets the number of answers so far.
    pub fn load<T>(
        &mut self,
        server: &Server,
        seed: u64,
        load: Load,
        meanwhile: impl FnOnce(&AtomicUsize) -> T,
    ) -> T {
        self.rounds += 1;
        let (running, answered) = (AtomicBool::new(true), AtomicUsize::new(0));
        let (people, round) = (&self.people, self.rounds);
        let (entries, result) = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..load.clients)
                .map(|number| {
                    let (running, answered) = (&running, &answered);
                    let mut payer = Payer {
                        people,
                        client: server.client(),
                        number,
                        random: Random::new(seed ^ (u64::try_from(number).unwrap() << 32)),
                    };
                    scope.spawn(move || payer.pay(round, load, running, answered))
                })
                .collect();
            let stop = Stop(&running);
            let result = meanwhile(&answered);
            drop(stop);
            let entries: Vec<Entry> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            (entries, result)
        });
        self.book.extend(entries);
        result
    }

    /// The same, until every client is through.
    pub fn load_to_the_end(&mut self, server: &Server, seed: u64, load: Load) {
        let expected = load.clients * load.attempts;
        self.load(server, seed, load, |answered| {
            // A client that gave up counts its remaining payments as answered.
            while answered.load(Ordering::Relaxed) < expected {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
    }

    /// How many payments of the book have no known outcome.
    pub fn unknown(&self) -> usize {
        self.book.iter().filter(|entry| entry.fate.is_open()).count()
    }

    /// How many payments of the book were acknowledged.
    pub fn paid(&self) -> usize {
        self.book.iter().filter(|entry| matches!(entry.fate, Fate::Paid(_))).count()
    }

    /// Checks the ledger against the book, resolves what is unknown by asking again with the same key, and checks again.
    pub fn settle(&mut self, server: &Server) {
        let before = self.existing(server);
        let mut client = server.client();
        for entry in self.book.iter_mut().filter(|entry| entry.fate.is_open()) {
            let response = client.call(&request(&self.people, &entry.attempt));
            let replayed = response.header("idempotent-replayed") == Some("true");
            let existed = before.get(&entry.attempt.key);
            assert_eq!(replayed, existed.is_some(), "{:?} was {existed:?}: {response}", entry.attempt);
            entry.fate = match response.status {
                201 => Fate::Paid(response.body.clone()),
                402 => Fate::Declined,
                _ => panic!("{:?}: {response}", entry.attempt),
            };
            if let (Some(id), 201) = (existed, response.status) {
                assert_eq!(*id, response.str("id"), "another payment under the same key");
            }
        }
        self.audit(server);
    }

    /// Checks that every acknowledged payment exists; gives the id of each payment of the book that exists.
    pub fn existing(&self, server: &Server) -> HashMap<String, String> {
        let mut existing: HashMap<String, Value> = HashMap::new();
        for person in &self.people {
            let mut client = server.client().with_token(&person.token);
            for row in every_row(&mut client, "/payments") {
                if row["from"]["id"] == person.id.as_str() {
                    let key = row["reference"].as_str().unwrap().to_owned();
                    let other = existing.insert(key, row.clone());
                    assert!(other.is_none(), "paid twice: {row} and {other:?}");
                }
            }
        }
        let asked: HashMap<&str, &Entry> =
            self.book.iter().map(|entry| (entry.attempt.key.as_str(), entry)).collect();
        for (key, row) in &existing {
            let entry = asked.get(key.as_str()).unwrap_or_else(|| panic!("nobody asked for {row}"));
            let to = entry.attempt.payee.map_or("house", |payee| self.people[payee].id.as_str());
            assert_eq!(row["amount"], major(entry.attempt.amount_minor), "{row}");
            assert_eq!(row["from"]["id"], self.people[entry.attempt.payer].id, "{row}");
            assert_eq!(row["to"]["id"], to, "{row}");
        }
        for entry in &self.book {
            let row = existing.get(&entry.attempt.key);
            match &entry.fate {
                Fate::Paid(body) => {
                    let told: Value = serde_json::from_slice(body).unwrap();
                    assert_eq!(row, Some(&told), "acknowledged and lost, or not as it was told");
                }
                Fate::Declined => {
                    assert_eq!(row.map(|row| &row["status"]), Some(&json!("declined")), "{entry:?}");
                }
                Fate::Undone => assert_eq!(row, None, "nothing was done, it said: {entry:?}"),
                Fate::Unknown => {}
            }
        }
        existing.into_iter().map(|(key, row)| (key, row["id"].as_str().unwrap().to_owned())).collect()
    }

    /// Settles the book once the server is ready again, and checks that a restart after a kill changes nothing of it.
    pub fn settle_and_audit(&mut self, server: &mut Server) {
        server.wait_until_ready();
        self.settle(server);
        server.verify();
        server.kill();
        server.start_again();
        self.audit(server);
        server.verify();
    }

    /// Checks everything that the book says when nothing in it is unknown.
    pub fn audit(&self, server: &Server) {
        assert_eq!(self.unknown(), 0);
        self.existing(server);
        let mut balances = vec![GRANT_MINOR; self.people.len()];
        let mut movements = vec![1usize; self.people.len()];
        for entry in self.book.iter().filter(|entry| entry.fate != Fate::Declined) {
            balances[entry.attempt.payer] -= entry.attempt.amount_minor;
            movements[entry.attempt.payer] += 1;
            if let Some(payee) = entry.attempt.payee {
                balances[payee] += entry.attempt.amount_minor;
                movements[payee] += 1;
            }
        }
        for ((person, balance), movements) in self.people.iter().zip(balances).zip(movements) {
            let mut client = server.client().with_token(&person.token);
            let wallets = client.get("/wallets").expect(200).json();
            let wallet = &crate::support::lists::rows(&wallets)[0];
            assert_eq!(wallet["balance"], major(balance), "{}", person.id);
            assert_eq!(wallet["available"], wallet["balance"], "{}", person.id);
            assert!(balance >= 0);
            check_history(&mut client, balance, movements);
        }
    }
}

/// The history of a person leads from nothing to the balance, step by step.
fn check_history(client: &mut Client, balance: i64, movements: usize) {
    let mut rows = every_row(client, "/transactions");
    rows.retain(|row| row["status"] != "declined");
    assert_eq!(rows.len(), movements);
    let mut sum = 0;
    for row in rows.iter().rev() {
        let amount = minor(row["amount"].as_str().unwrap());
        sum += if row["direction"] == "in" { amount } else { -amount };
        assert_eq!(row["balance_after"], major(sum), "{row}");
        assert!(sum >= 0, "{row}");
    }
    assert_eq!(sum, balance);
}

/// Lets the clients of a load end, also when what went on meanwhile has failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// One client of a load.
struct Payer<'a> {
    people: &'a [Person],
    client: Client,
    number: usize,
    random: Random,
}

impl Payer<'_> {
    fn pay(&mut self, round: usize, load: Load, running: &AtomicBool, answered: &AtomicUsize) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for n in 0..load.attempts {
            if !running.load(Ordering::Relaxed) {
                break;
            }
            let attempt = self.attempt(format!("{round}/{}/{n}", self.number));
            let sent = self.client.send(&request(self.people, &attempt));
            let fate = sent.map_or(Fate::Unknown, |response| fate_of(&response));
            let failed = fate.is_open();
            entries.push(Entry { attempt, fate });
            answered.fetch_add(1, Ordering::Relaxed);
            if failed && !load.goes_on {
                answered.fetch_add(load.attempts - n - 1, Ordering::Relaxed);
                break;
            }
            if self.random.one_in(8) {
                self.ask_again(&entries[self.random.clone().below(entries.len())]);
            }
        }
        entries
    }

    fn attempt(&mut self, key: String) -> Attempt {
        let payer = self.number % self.people.len();
        let other = (payer + 1 + self.random.below(self.people.len() - 1)) % self.people.len();
        let payee = if self.random.one_in(5) { None } else { Some(other) };
        // Now and then more than anybody has.
        let amount = if self.random.one_in(40) { (9_000_000, 9_999_999) } else { (1, 200) };
        let amount_minor = i64::try_from(self.random.between(amount.0, amount.1)).unwrap();
        Attempt { payer, payee, amount_minor, key }
    }

    /// The same key gives the same answer, if it gives one.
    fn ask_again(&mut self, entry: &Entry) {
        // One that is open stays as it is until the ledger was looked at.
        if entry.fate.is_open() {
            return;
        }
        let Ok(response) = self.client.send(&request(self.people, &entry.attempt)) else { return };
        match (&entry.fate, fate_of(&response)) {
            (_, Fate::Unknown | Fate::Undone) | (Fate::Declined, Fate::Declined) => {}
            (Fate::Paid(one), Fate::Paid(other)) => assert_eq!(*one, other, "two answers under one key"),
            (one, other) => panic!("two answers under one key: {one:?} and {other:?}"),
        }
    }
}

fn request(people: &[Person], attempt: &Attempt) -> Request {
    let to = attempt.payee.map(|payee| people[payee].id.as_str());
    let body =
        json!({"amount": major(attempt.amount_minor), "currency": "USD", "to": to, "reference": attempt.key});
    Request::post("/payment", &body).key(&attempt.key).bearer(&people[attempt.payer].token)
}

fn fate_of(response: &Response) -> Fate {
    shape::check_any_answer(response);
    match response.status {
        201 => Fate::Paid(response.body.clone()),
        402 => Fate::Declined,
        503 if response.json()["code"] == "unavailable" => Fate::Undone,
        status if FAULTS.contains(&status) => Fate::Unknown,
        _ => panic!("neither an answer nor a fault: {response}"),
    }
}
