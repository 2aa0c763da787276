//! Payments and cash that go on in steps, and how they end: what fault tests send, and what they hold the ledger to.
//!
//! Each step that moves money at once is a call with a key of its own. A step without an answer is sent again under that key,
//! and a step that was answered is sent again now and then: either way it has happened once. What has no key is looked for.

use std::sync::Arc;

use farthing::ledger::{PaymentRequestId, Timestamp};
use serde_json::{Value, json};

use super::cast::Staff;
use super::lists::rows;
use super::user::major;
use super::{Client, Request, Response, shape};

/// How a payment, or cash, goes on.
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
    /// Cash taken in, and some of it paid out.
    Cash,
    /// Much cash taken in, let through by a second operator, and most of it paid out.
    Approved,
    /// Much cash to be paid out, stopped by a second operator.
    Rejected,
    /// Paid by itself, a moment later.
    Scheduled,
    /// Held until it lapses.
    Lapsed,
}

/// Those whose every step may be sent twice at once: what has no key is in none of them.
pub const PLOTS: [Plot; 6] =
    [Plot::Captured, Plot::Voided, Plot::Refunded, Plot::Linked, Plot::Bulk, Plot::Cash];

/// Every plot.
pub const ALL_PLOTS: [Plot; 10] = [
    Plot::Captured,
    Plot::Voided,
    Plot::Refunded,
    Plot::Linked,
    Plot::Bulk,
    Plot::Cash,
    Plot::Approved,
    Plot::Rejected,
    Plot::Scheduled,
    Plot::Lapsed,
];

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
    Deposit(i64),
    Withdraw(i64),
    Approve,
    Reject,
    Schedule,
}

/// What each payment is of, in minor units.
const AMOUNT: i64 = 100;
/// What the other payment of the same call is of.
const OTHER_AMOUNT: i64 = 40;
/// Above so much, in whole dollars, cash waits: the servers are started with this.
pub const FOUR_EYES: (&str, &str) = ("FARTHING_SECURITY_FOUR_EYES_ABOVE", "100");
/// As much as does not wait, and more than that.
const CASH: i64 = 10_000;
const MUCH_CASH: i64 = CASH + 100;

impl Plot {
    fn steps(self) -> &'static [Step] {
        match self {
            Self::Captured => &[Step::Hold, Step::Capture(60)],
            Self::Voided => &[Step::Hold, Step::Void],
            Self::Refunded => &[Step::Pay, Step::Refund(30), Step::Refund(70)],
            Self::Linked => &[Step::Ask, Step::PayLink, Step::Refund(1)],
            Self::Bulk => &[Step::PayMany, Step::Refund(1)],
            Self::Cash => &[Step::Deposit(AMOUNT), Step::Withdraw(OTHER_AMOUNT)],
            Self::Approved => &[Step::Deposit(MUCH_CASH), Step::Approve, Step::Withdraw(CASH)],
            Self::Rejected => &[Step::Withdraw(MUCH_CASH), Step::Reject],
            Self::Scheduled => &[Step::Schedule],
            Self::Lapsed => &[Step::Hold],
        }
    }

    /// What the payment says of itself after so many steps: status, captured, refunded.
    fn state(self, done: usize) -> [&'static str; 3] {
        match (self, done) {
            (Self::Captured | Self::Voided | Self::Lapsed, 1) => ["authorized", "0.00", "0.00"],
            (Self::Captured, _) => ["succeeded", "0.60", "0.00"],
            (Self::Voided, _) => ["voided", "0.00", "0.00"],
            (Self::Refunded | Self::Bulk, 1) | (Self::Linked, 2) => ["succeeded", "1.00", "0.00"],
            (Self::Refunded, 2) => ["partially_refunded", "1.00", "0.30"],
            (Self::Refunded, _) => ["refunded", "1.00", "1.00"],
            (Self::Linked | Self::Bulk, _) => ["partially_refunded", "1.00", "0.01"],
            (Self::Cash | Self::Approved | Self::Rejected | Self::Scheduled | Self::Lapsed, _) => LAPSED,
        }
    }

    /// What it brings its payee in the end, and whether its payer pays for it.
    fn gain(self) -> (i64, bool) {
        match self {
            Self::Captured => (60, true),
            Self::Voided | Self::Refunded | Self::Lapsed => (0, true),
            Self::Linked => (AMOUNT - 1, true),
            Self::Bulk => (AMOUNT + OTHER_AMOUNT - 1, true),
            Self::Scheduled => (AMOUNT, true),
            Self::Cash => (AMOUNT - OTHER_AMOUNT, false),
            Self::Approved => (MUCH_CASH - CASH, false),
            Self::Rejected => (0, false),
        }
    }
}

/// What a payment says of itself whose hold has lapsed.
const LAPSED: [&str; 3] = ["expired", "0.00", "0.00"];

/// Somebody with a wallet.
#[derive(Debug)]
pub struct Person {
    pub id: String,
    pub token: String,
}

/// What a step that has no key asks next: whether it was made already, what time it is, and then that it be made.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Search,
    Now,
    Make(String),
}

/// One payment, or cash of one person, from its beginning to where it is.
#[derive(Debug, Clone)]
pub struct Story {
    name: String,
    pub plot: Plot,
    payer: Arc<Person>,
    payee: Arc<Person>,
    staff: Staff,
    done: usize,
    /// How often the next step was sent.
    sent: usize,
    /// What of a schedule was sent last, and what is to be sent next.
    parts: [Part; 2],
    payment: Option<String>,
    link: Option<String>,
    schedule: Option<String>,
    /// Cash that was asked for last, and the cash that has moved.
    cash: Option<String>,
    moved: Vec<String>,
    /// Whether its hold lapsed before it came to its end.
    lapsed: bool,
    /// What the last step was answered with.
    told: Vec<u8>,
}

impl Story {
    /// One that is still to begin, under a name that no other has.
    pub fn new(name: String, plot: Plot, [payer, payee]: [&Arc<Person>; 2], staff: &Staff) -> Self {
        Self {
            name,
            plot,
            payer: Arc::clone(payer),
            payee: Arc::clone(payee),
            staff: staff.clone(),
            done: 0,
            sent: 0,
            parts: [Part::Search, Part::Search],
            payment: None,
            link: None,
            schedule: None,
            cash: None,
            moved: Vec::new(),
            lapsed: false,
            told: Vec::new(),
        }
    }

    /// Whether every step was acknowledged.
    pub fn is_over(&self) -> bool {
        self.lapsed || self.done == self.plot.steps().len()
    }

    /// The next step, to be sent however often it takes.
    pub fn next(&mut self) -> Request {
        self.sent += 1;
        if self.plot.steps()[self.done] == Step::Schedule {
            // Until the answer is there it may have been made.
            let next = std::mem::replace(&mut self.parts[1], Part::Search);
            self.parts[0] = next;
            return self.schedule_part();
        }
        self.step(self.done)
    }

    /// Whether the next step has a key: asking for money moves none.
    pub fn next_moves_money(&self) -> bool {
        self.has_key(self.done)
    }

    fn has_key(&self, number: usize) -> bool {
        let without = [Step::Ask, Step::Approve, Step::Reject, Step::Schedule];
        !without.contains(&self.plot.steps()[number])
    }

    /// A schedule has no key, and two of them would pay twice: whose answer is lost is looked for by its reference.
    fn schedule_part(&self) -> Request {
        let request = match &self.parts[0] {
            Part::Search => Request::get("/schedules?limit=100"),
            // What is asked for says when.
            Part::Now => Request::post("/requests", &json!({"amount": "1", "currency": "USD"})),
            Part::Make(at) => Request::post(
                "/schedules",
                &json!({"amount": major(AMOUNT), "currency": "USD", "to": self.payee.id, "at": at,
                        "reference": self.name}),
            ),
        };
        request.bearer(&self.payer.token)
    }

    fn step(&self, number: usize) -> Request {
        let of_payment =
            |what: &str| format!("/payment/{}/{what}", self.payment.as_deref().unwrap_or("none"));
        let of_cash = |what: &str| format!("/admin/cash/{}/{what}", self.cash.as_deref().unwrap_or("none"));
        let amount = |minor: i64| json!({"amount": major(minor)});
        let pay = |capture: &str| {
            json!({"amount": major(AMOUNT), "currency": "USD", "to": self.payee.id, "capture": capture,
                   "reference": self.name})
        };
        let one = |name: &str, minor: i64| {
            json!({"amount": major(minor), "currency": "USD", "to": self.payee.id,
                   "idempotency_key": format!("{} {name}", self.name)})
        };
        let cash = |minor: i64| json!({"user": self.payee.id, "amount": major(minor), "currency": "USD", "reference": self.name});
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
            Step::Deposit(minor) => ("/admin/deposits".into(), cash(minor)),
            Step::Withdraw(minor) => ("/admin/withdrawals".into(), cash(minor)),
            Step::Approve => (of_cash("approve"), json!({})),
            Step::Reject => (of_cash("reject"), json!({})),
            Step::Schedule => return self.schedule_part(),
        };
        let asker = match step {
            Step::Hold | Step::Pay | Step::PayLink | Step::PayMany | Step::Schedule => &self.payer,
            Step::Capture(_) | Step::Void | Step::Refund(_) | Step::Ask => &self.payee,
            Step::Deposit(_) | Step::Withdraw(_) => &self.staff.cashier,
            Step::Approve | Step::Reject => &self.staff.admin,
        };
        let request = Request::post(&path, &body).bearer(&asker.token);
        // Each payment of many has its own.
        let has_header = self.has_key(number) && step != Step::PayMany;
        if has_header { request.key(&format!("{} {number}", self.name)) } else { request }
    }

    /// Takes the answer to the next step: whether it was one, and no fault.
    pub fn take(&mut self, answer: &Response) -> bool {
        shape::check_any_answer(answer);
        if [500, 503, 507].contains(&answer.status) {
            return false;
        }
        let step = self.plot.steps()[self.done];
        if step == Step::Schedule {
            return self.take_schedule(answer);
        }
        match (step, answer.status) {
            // Moving the clock let the hold lapse; who captured it before would be told so again.
            (Step::Capture(_) | Step::Void, 409) => {
                answer.clone().problem(409, "payment_state");
                self.lapsed = true;
                return true;
            }
            // It was done by the call whose answer was lost: nobody else decides it.
            (Step::Approve | Step::Reject, 409) if self.sent > 1 => {
                answer.clone().problem(409, "cash_decided");
            }
            (Step::Deposit(MUCH_CASH) | Step::Withdraw(MUCH_CASH), 202)
            | (Step::Reject, 204)
            | (_, 200 | 201) => {}
            _ => panic!("{self:?}: {answer}"),
        }
        match step {
            Step::Ask => self.link = Some(answer.str("id")),
            Step::Hold | Step::Pay | Step::PayLink => self.payment = Some(answer.str("id")),
            Step::PayMany => {
                let first = &answer.json()["results"][0]["payment"];
                self.payment = Some(first["id"].as_str().unwrap().to_owned());
            }
            Step::Deposit(_) | Step::Withdraw(_) => self.cash = Some(answer.str("id")),
            Step::Capture(_)
            | Step::Void
            | Step::Refund(_)
            | Step::Approve
            | Step::Reject
            | Step::Schedule => {}
        }
        let is_cash = matches!(step, Step::Deposit(_) | Step::Withdraw(_)) && answer.status == 201;
        if is_cash || step == Step::Approve {
            self.moved.extend(self.cash.clone());
        }
        self.told.clone_from(&answer.body);
        self.end_step();
        true
    }

    fn end_step(&mut self) {
        self.done += 1;
        self.sent = 0;
    }

    fn take_schedule(&mut self, answer: &Response) -> bool {
        match &self.parts[0] {
            Part::Search => {
                let all = rows(&answer.clone().expect(200).json());
                match all.iter().find(|schedule| schedule["reference"] == self.name.as_str()) {
                    Some(found) => {
                        self.schedule = Some(found["id"].as_str().unwrap().to_owned());
                        self.end_step();
                    }
                    None => self.parts[1] = Part::Now,
                }
            }
            Part::Now => {
                // An id begins with the time (UUIDv7).
                let asked: PaymentRequestId = answer.clone().expect(201).str("id").parse().unwrap();
                let now = Timestamp::from_millis(i64::try_from(asked.uuid().as_u128() >> 80).unwrap());
                self.parts[1] = Part::Make(now.plus_millis(400).to_string());
            }
            // That took long.
            Part::Make(_) if answer.status == 422 => self.parts[1] = Part::Now,
            Part::Make(_) => {
                self.schedule = Some(answer.clone().expect(201).str("id"));
                self.end_step();
            }
        }
        true
    }

    /// The last step that was answered, once more: it says the same, and does nothing.
    pub fn check_again(&self, client: &mut Client) {
        let Some(last) = self.done.checked_sub(1).filter(|last| self.has_key(*last)) else { return };
        let Ok(answer) = client.send(&self.step(last)) else { return };
        if [200, 201, 202].contains(&answer.status) {
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
        self.audit_cash(client);
        if let Some(schedule) = &self.schedule {
            let schedule = get(client, &format!("/schedules/{schedule}"), &self.payer);
            let stands = (&schedule["status"], &schedule["runs"], &schedule["last"]["outcome"]);
            let waits = (&json!("active"), &json!(0), &Value::Null);
            assert!(stands == waits || stands == (&json!("done"), &json!(1), &json!("paid")), "{schedule}");
        }
        let Some(payment) = &self.payment else { return };
        let state = self.payment_state(client, payment);
        let told = self.plot.state(self.done);
        let next = if self.is_over() { told } else { self.plot.state(self.done + 1) };
        let may_lapse = self.plot.steps()[0] == Step::Hold && self.done == 1;
        let as_told = !self.lapsed && (state == told || state == next);
        assert!(as_told || may_lapse && state == LAPSED, "{self:?}: {state:?}");
    }

    fn payment_state(&self, client: &mut Client, payment: &str) -> [String; 3] {
        let payment = get(client, &format!("/payment/{payment}"), &self.payee);
        ["status", "amount_captured", "amount_refunded"]
            .map(|member| payment[member].as_str().unwrap().to_owned())
    }

    fn audit_cash(&self, client: &mut Client) {
        for cash in &self.moved {
            let cash = get(client, &format!("/transactions/{cash}"), &self.payee);
            assert_eq!(cash["status"], "succeeded", "{self:?}: {cash}");
        }
        let Some(cash) = self.cash.as_ref().filter(|_| matches!(self.plot, Plot::Approved | Plot::Rejected))
        else {
            return;
        };
        let waiting = rows(&get(client, "/admin/cash?limit=100", &self.staff.admin));
        let waits = waiting.iter().any(|row| row["id"] == cash.as_str());
        // What is being decided may wait or not.
        let is_being_decided = self.done == 1 && self.sent > 0;
        assert!(is_being_decided || waits == (self.done == 1), "{self:?}: {waits}");
    }

    /// Whether it has nothing more to wait for: what was scheduled has run, and what was held for good has lapsed.
    pub fn has_settled(&self, client: &mut Client) -> bool {
        match (&self.schedule, &self.payment) {
            (Some(schedule), _) => {
                get(client, &format!("/schedules/{schedule}"), &self.payer)["status"] == "done"
            }
            (_, Some(payment)) if self.plot == Plot::Lapsed => self.payment_state(client, payment) == LAPSED,
            _ => true,
        }
    }

    /// What it brings a person in the end, in minor units.
    pub fn brings(&self, person: &Person) -> i64 {
        let (gain, is_paid_for) = self.plot.gain();
        let gained = if person.id == self.payee.id { gain } else { 0 };
        let paid = if person.id == self.payer.id && is_paid_for { gain } else { 0 };
        if self.lapsed { 0 } else { gained - paid }
    }
}

fn get(client: &mut Client, path: &str, who: &Person) -> Value {
    client.call(&Request::get(path).bearer(&who.token)).expect(200).json()
}

/// How each of many payments says that it was not answered before.
const NEW: &str = "\"replayed\":false";

/// What an answer says of what happened, whether it says it for the first time or again.
pub fn told(body: &[u8]) -> String {
    String::from_utf8_lossy(body).replace(NEW, "\"replayed\":true")
}
