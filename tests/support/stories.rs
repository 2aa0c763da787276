//! Payments that go on in steps, and how they end: what fault tests send, and what they hold the ledger to.
//!
//! Each step that moves money is a call with a key of its own. A step without an answer is sent again under that key, and a step that was
//! answered is sent again now and then: either way it has happened once.

use serde_json::{Value, json};

use super::lists::rows;
use super::user::{GRANT_MINOR, major};
use super::{Client, Request, Response, Server, shape};

/// How a payment goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plot {
    /// Held, and captured in part.
    Captured,
    /// Held, and given up.
    Voided,
    /// Paid, and refunded in two steps.
    Refunded,
    /// Asked for with a link, paid by that, and refunded in part.
    Linked,
    /// Paid in one call with another payment, and refunded in part.
    Bulk,
}

/// Every plot.
pub const PLOTS: [Plot; 5] = [Plot::Captured, Plot::Voided, Plot::Refunded, Plot::Linked, Plot::Bulk];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Hold,
    Capture(i64),
    Void,
    Pay,
    Refund(i64),
    Ask,
    PayLink,
    PayMany,
}

/// What each payment is of, in minor units.
const AMOUNT: i64 = 100;
/// What the other payment of the same call is of.
const OTHER_AMOUNT: i64 = 40;

impl Plot {
    fn steps(self) -> &'static [Step] {
        match self {
            Self::Captured => &[Step::Hold, Step::Capture(60)],
            Self::Voided => &[Step::Hold, Step::Void],
            Self::Refunded => &[Step::Pay, Step::Refund(30), Step::Refund(70)],
            Self::Linked => &[Step::Ask, Step::PayLink, Step::Refund(1)],
            Self::Bulk => &[Step::PayMany, Step::Refund(1)],
        }
    }

    /// What the payment says of itself after so many steps: status, captured, refunded.
    fn state(self, done: usize) -> [&'static str; 3] {
        match (self, done) {
            (Self::Captured | Self::Voided, 1) => ["authorized", "0.00", "0.00"],
            (Self::Captured, _) => ["succeeded", "0.60", "0.00"],
            (Self::Voided, _) => ["voided", "0.00", "0.00"],
            (Self::Refunded | Self::Bulk, 1) | (Self::Linked, 2) => ["succeeded", "1.00", "0.00"],
            (Self::Refunded, 2) => ["partially_refunded", "1.00", "0.30"],
            (Self::Refunded, _) => ["refunded", "1.00", "1.00"],
            (Self::Linked | Self::Bulk, _) => ["partially_refunded", "1.00", "0.01"],
        }
    }
}

/// Somebody with a wallet.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: String,
    pub token: String,
}

/// Registers so many people.
pub fn people(server: &Server, many: usize) -> Vec<Person> {
    let user = |number| server.user(&format!("teller{number}"));
    (0..many).map(user).map(|user| Person { id: user.id, token: user.token }).collect()
}

/// One payment, from its beginning to where it is.
#[derive(Debug, Clone)]
pub struct Story {
    name: String,
    plot: Plot,
    payer: Person,
    payee: Person,
    done: usize,
    payment: Option<String>,
    link: Option<String>,
    /// What the last step was answered with.
    told: Vec<u8>,
}

impl Story {
    /// One that is still to begin, under a name that no other has.
    pub fn new(name: String, plot: Plot, payer: &Person, payee: &Person) -> Self {
        let (payer, payee) = (payer.clone(), payee.clone());
        Self { name, plot, payer, payee, done: 0, payment: None, link: None, told: Vec::new() }
    }

    /// Whether every step was acknowledged.
    pub fn is_over(&self) -> bool {
        self.done == self.plot.steps().len()
    }

    /// The next step, to be sent however often it takes.
    pub fn next(&self) -> Request {
        self.step(self.done)
    }

    /// Whether the next step has a key: asking for money moves none.
    pub fn next_moves_money(&self) -> bool {
        self.moves_money(self.done)
    }

    fn moves_money(&self, number: usize) -> bool {
        self.plot.steps()[number] != Step::Ask
    }

    fn step(&self, number: usize) -> Request {
        let of_payment =
            |what: &str| format!("/payment/{}/{what}", self.payment.as_deref().unwrap_or("none"));
        let amount = |minor: i64| json!({"amount": major(minor)});
        let pay = |capture: &str| {
            json!({"amount": major(AMOUNT), "currency": "USD", "to": self.payee.id, "capture": capture,
                   "reference": self.name})
        };
        let one = |name: &str, minor: i64| {
            json!({"amount": major(minor), "currency": "USD", "to": self.payee.id,
                   "idempotency_key": format!("{} {name}", self.name)})
        };
        let step = self.plot.steps()[number];
        let (path, body): (String, Value) = match step {
            Step::Hold => ("/payment".into(), pay("manual")),
            Step::Pay => ("/payment".into(), pay("automatic")),
            Step::Capture(minor) => (of_payment("capture"), amount(minor)),
            Step::Void => (of_payment("void"), json!({})),
            Step::Refund(minor) => (of_payment("refund"), amount(minor)),
            Step::Ask => ("/requests".into(), json!({"amount": major(AMOUNT), "currency": "USD"})),
            Step::PayLink => (format!("/requests/{}/pay", self.link.as_deref().unwrap_or("none")), json!({})),
            Step::PayMany => {
                let both = [one("first", AMOUNT), one("other", OTHER_AMOUNT)];
                ("/payments/batch".into(), json!({"mode": "all_or_nothing", "payments": both}))
            }
        };
        let is_paid = matches!(step, Step::Hold | Step::Pay | Step::PayLink | Step::PayMany);
        let request =
            Request::post(&path, &body).bearer(if is_paid { &self.payer.token } else { &self.payee.token });
        // Each payment of many has its own.
        if step == Step::PayMany { request } else { request.key(&format!("{} {number}", self.name)) }
    }

    /// Takes the answer to the next step: whether it was one, and no fault.
    pub fn take(&mut self, answer: &Response) -> bool {
        shape::check_any_answer(answer);
        if [500, 503, 507].contains(&answer.status) {
            return false;
        }
        assert!([200, 201].contains(&answer.status), "{self:?}: {answer}");
        match self.plot.steps()[self.done] {
            Step::Ask => self.link = Some(answer.str("id")),
            Step::Hold | Step::Pay | Step::PayLink => self.payment = Some(answer.str("id")),
            Step::PayMany => {
                let first = &answer.json()["results"][0]["payment"];
                self.payment = Some(first["id"].as_str().unwrap().to_owned());
            }
            Step::Capture(_) | Step::Void | Step::Refund(_) => {}
        }
        self.told.clone_from(&answer.body);
        self.done += 1;
        true
    }

    /// The last step that was answered, once more: it says the same, and does nothing.
    pub fn check_again(&self, client: &mut Client) {
        let Some(last) = self.done.checked_sub(1).filter(|last| self.moves_money(*last)) else { return };
        let Ok(answer) = client.send(&self.step(last)) else { return };
        if [200, 201].contains(&answer.status) {
            assert_eq!(told(&answer.body), told(&self.told), "two answers under one key");
            let is_replayed = if self.plot.steps()[last] == Step::PayMany {
                !answer.text().contains(NEW)
            } else {
                answer.header("idempotent-replayed") == Some("true")
            };
            assert!(is_replayed, "{self:?}: {answer}");
        }
    }

    /// What was acknowledged is there, and no more than the step that is under way.
    pub fn audit(&self, client: &mut Client) {
        let Some(payment) = &self.payment else { return };
        let payment =
            client.call(&Request::get(&format!("/payment/{payment}")).bearer(&self.payee.token)).expect(200);
        let state = ["status", "amount_captured", "amount_refunded"].map(|member| payment.str(member));
        let told = self.plot.state(self.done);
        let next = if self.is_over() { told } else { self.plot.state(self.done + 1) };
        assert!(state == told || state == next, "{self:?}: {payment}");
    }

    /// What it brings its payee in the end, in minor units.
    fn gain(&self) -> i64 {
        let gain = |step: &Step| match step {
            Step::Pay | Step::PayLink => AMOUNT,
            Step::PayMany => AMOUNT + OTHER_AMOUNT,
            Step::Capture(minor) => *minor,
            Step::Refund(minor) => -minor,
            Step::Hold | Step::Void | Step::Ask => 0,
        };
        self.plot.steps().iter().map(gain).sum()
    }
}

/// How each of many payments says that it was not answered before.
const NEW: &str = "\"replayed\":false";

/// What an answer says of what happened, whether it says it for the first time or again.
pub fn told(body: &[u8]) -> String {
    String::from_utf8_lossy(body).replace(NEW, "\"replayed\":true")
}

/// Every story is over: what people have is what the stories brought them, and nothing is held.
pub fn audit_balances(server: &Server, people: &[Person], stories: &[Story]) {
    for person in people {
        let gains = stories.iter().filter(|story| story.payee.id == person.id).map(Story::gain);
        let costs = stories.iter().filter(|story| story.payer.id == person.id).map(Story::gain);
        let balance = major(GRANT_MINOR + gains.sum::<i64>() - costs.sum::<i64>());
        let wallets = server.client().with_token(&person.token).get("/wallets").expect(200).json();
        let wallet = &rows(&wallets)[0];
        let found =
            ["balance", "available", "held"].map(|member| wallet[member].as_str().unwrap().to_owned());
        assert_eq!(found, [balance.clone(), balance, "0.00".into()], "{}", person.id);
    }
}
