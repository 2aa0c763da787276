//! Random lives of payments, held, captured, voided, refunded, lapsed, made alone and many at once, against a naive model.
//! After each step the answers agree and every wallet and hold is what the model says.

use std::collections::BTreeSet;

use farthing::ledger::{
    AccountKey, Action, Amount, Caller, Capture, Changes, Currency, Expire, IdempotencyKey, Memo, Money,
    Outcome, Pay, PayMany, PaymentId, Refusal, Reply, Settle, Settlement, Shown, Timestamp, TransactionId,
    WorkingSet, decide,
};

use super::random::Random;
use super::{Dice, GRANT_MINOR, command, make_user, rules, stay_logged_in, with_seeds};

const USERS: usize = 5;
const STEPS: u32 = 20_000;
/// Payments whose lives go on; older ones are left as they are.
const ALIVE: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Declined,
    Held,
    Paid,
    Over,
}

#[derive(Debug, Clone)]
struct Life {
    id: PaymentId,
    payer: usize,
    payee: usize,
    minor: i64,
    status: Status,
    /// What the payee still has of it.
    kept: i64,
    due_at: i64,
}

/// What was said, without its details.
fn said(outcome: &Outcome) -> &'static str {
    match &outcome.result {
        Ok(_) => "yes",
        Err(Refusal::PaymentNotFound) => "not found",
        Err(Refusal::PermissionDenied) => "denied",
        Err(Refusal::PaymentState { .. }) => "state",
        Err(Refusal::AmountTooLarge { .. }) => "too large",
        Err(Refusal::InsufficientFunds { .. }) => "short",
        Err(Refusal::SelfPayment) => "self",
        Err(Refusal::BatchRefused { .. }) => "batch",
        Err(other) => panic!("{other:?}"),
    }
}

#[derive(Debug, Clone)]
struct Model {
    wallets: [i64; USERS],
    held: [i64; USERS],
    lives: Vec<Life>,
}

#[derive(Debug, Clone)]
struct Order {
    id: PaymentId,
    payee: usize,
    minor: i64,
    is_held: bool,
}

impl Model {
    fn pay(&mut self, payer: usize, order: &Order, now: i64, hold_ms: i64) -> &'static str {
        let &Order { id, payee, minor, is_held } = order;
        if payer == payee {
            return "self";
        }
        let is_short = self.wallets[payer] < minor;
        let status = match (is_short, is_held) {
            (true, _) => Status::Declined,
            (false, true) => Status::Held,
            (false, false) => Status::Paid,
        };
        let kept = if status == Status::Paid { minor } else { 0 };
        self.lives.push(Life { id, payer, payee, minor, status, kept, due_at: now + hold_ms });
        if is_short {
            return "short";
        }
        self.wallets[payer] -= minor;
        if is_held {
            self.held[payer] += minor;
        } else {
            self.wallets[payee] += minor;
        }
        "yes"
    }

    fn settle(
        &mut self,
        user: usize,
        place: usize,
        what: &Settlement,
        minor: Option<i64>,
        now: i64,
    ) -> &'static str {
        let life = &mut self.lives[place];
        if user == life.payer {
            return "denied";
        }
        if user != life.payee || life.status == Status::Declined {
            return "not found";
        }
        let is_refund = matches!(what, Settlement::Refund { .. });
        let is_over = life.status == Status::Held && now >= life.due_at;
        let needed = if is_refund { Status::Paid } else { Status::Held };
        if is_over || life.status != needed {
            return "state";
        }
        let most = if is_refund { life.kept } else { life.minor };
        let minor = minor.unwrap_or(most);
        if minor > most {
            return "too large";
        }
        match what {
            Settlement::Refund { .. } => {
                if self.wallets[life.payee] < minor {
                    return "short";
                }
                self.wallets[life.payee] -= minor;
                self.wallets[life.payer] += minor;
                life.kept -= minor;
                life.status = if life.kept == 0 { Status::Over } else { Status::Paid };
            }
            Settlement::Capture { .. } => {
                self.held[life.payer] -= life.minor;
                self.wallets[life.payer] += life.minor - minor;
                self.wallets[life.payee] += minor;
                (life.kept, life.status) = (minor, Status::Paid);
            }
            _ => self.release(place),
        }
        "yes"
    }

    fn release(&mut self, place: usize) {
        let life = &mut self.lives[place];
        self.held[life.payer] -= life.minor;
        self.wallets[life.payer] += life.minor;
        life.status = Status::Over;
    }

    fn expire(&mut self, place: usize, now: i64) -> &'static str {
        let life = &self.lives[place];
        if life.status != Status::Held || now < life.due_at {
            return "state";
        }
        self.release(place);
        "yes"
    }
}

struct World {
    dice: Dice,
    set: WorkingSet,
    callers: Vec<Caller>,
    model: Model,
    keys: u64,
    answers: BTreeSet<&'static str>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(Random::new(seed));
        let mut set = WorkingSet::at(Timestamp::from_millis(1_800_000_000_000));
        let callers = (0..USERS).map(|number| make_user(&rules(), &mut set, &mut dice, number)).collect();
        let model = Model { wallets: [GRANT_MINOR; USERS], held: [0; USERS], lives: Vec::new() };
        Self { dice, set, callers, model, keys: 0, answers: BTreeSet::new() }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.below(u64::try_from(bound).unwrap())).unwrap()
    }

    fn order(&mut self) -> Order {
        Order {
            id: PaymentId::new(self.dice.uuid()),
            payee: self.below(USERS),
            minor: self.dice.pick(&[1, 250, 30_000, 90_000]),
            is_held: self.dice.below(2) == 0,
        }
    }

    fn command_of(&mut self, payer: usize, order: &Order) -> Pay {
        self.keys += 1;
        Pay {
            caller: self.callers[payer],
            payment: order.id,
            payee: self.callers[order.payee].user,
            money: Money::from_minor(order.minor, Currency::USD).unwrap(),
            memo: Memo::default(),
            capture: if order.is_held { Capture::Manual } else { Capture::Automatic },
            shown: Shown::Nothing,
            key: Some(IdempotencyKey::parse(&self.keys.to_string()).unwrap()),
        }
    }

    fn decide(&mut self, action: Action) -> Outcome {
        stay_logged_in(&mut self.set, &self.callers);
        let command = command(&mut self.dice, action);
        decide(&rules(), &mut self.set, &command)
    }

    fn step(&mut self) {
        let pause = if self.dice.below(20) == 0 { 86_400_000 } else { 10_000 };
        self.set.now = self.set.now.plus_millis(i64::try_from(self.dice.below(pause)).unwrap());
        let (now, hold_ms) = (self.set.now.as_millis(), rules().hold_ttl_ms);
        let user = self.below(USERS);
        let expected = match self.dice.below(10) {
            0 | 1 => {
                let order = self.order();
                let pay = self.command_of(user, &order);
                let outcome = self.decide(Action::Pay(pay));
                self.agree(&outcome, |model| model.pay(user, &order, now, hold_ms))
            }
            2 => self.pay_many(user, now, hold_ms),
            3 if !self.model.lives.is_empty() => {
                let place = self.some_life();
                let (payment, step) = (self.model.lives[place].id, TransactionId::new(self.dice.uuid()));
                let outcome = self.decide(Action::Expire(Expire { payment, request: None, step }));
                self.agree(&outcome, |model| model.expire(place, now))
            }
            _ if !self.model.lives.is_empty() => self.settle(user, now),
            _ => return,
        };
        self.answers.insert(expected);
    }

    /// One of the newer ones.
    fn some_life(&mut self) -> usize {
        let count = self.model.lives.len();
        count - 1 - self.below(count.min(ALIVE))
    }

    fn settle(&mut self, user: usize, now: i64) -> &'static str {
        let place = self.some_life();
        let payee = self.model.lives[place].payee;
        let user = if self.dice.below(3) == 0 { user } else { payee };
        let minor = self.dice.pick(&[None, Some(1), Some(100), Some(45_000), Some(200_000)]);
        let text = minor.map(|minor: i64| format!("{}.{:02}", minor / 100, minor % 100));
        let amount = text.map(|text| Amount::parse(&text).unwrap());
        let (settlement, minor) = match self.dice.below(4) {
            0 => (Settlement::Void, None),
            1 => (Settlement::Capture { amount }, minor),
            _ => (Settlement::Refund { amount, reason: String::new() }, minor),
        };
        let settle = Settle {
            caller: self.callers[user],
            payment: self.model.lives[place].id,
            request: None,
            step: TransactionId::new(self.dice.uuid()),
            settlement: settlement.clone(),
            key: None,
        };
        let outcome = self.decide(Action::Settle(settle));
        self.agree(&outcome, |model| model.settle(user, place, &settlement, minor, now))
    }

    fn pay_many(&mut self, payer: usize, now: i64, hold_ms: i64) -> &'static str {
        let orders: Vec<Order> = (0..=self.below(5)).map(|_| self.order()).collect();
        let pays = orders.iter().map(|order| Ok(self.command_of(payer, order))).collect();
        let all_or_nothing = self.dice.below(2) == 0;
        let many = PayMany { caller: self.callers[payer], pays, all_or_nothing, shown: Shown::Nothing };
        let outcome = self.decide(Action::PayMany(many));
        let before = self.model.clone();
        let expected: Vec<_> =
            orders.iter().map(|order| self.model.pay(payer, order, now, hold_ms)).collect();
        match &outcome.result {
            Ok(Reply::Many(outcomes)) => {
                assert_eq!(outcomes.iter().map(said).collect::<Vec<_>>(), expected);
                assert!(!all_or_nothing || expected.iter().all(|answer| *answer == "yes"));
            }
            Err(Refusal::BatchRefused { refusals }) => {
                self.model = before;
                let refused = (0..).zip(&expected).filter(|(_, answer)| **answer != "yes");
                assert_eq!(
                    refusals.iter().map(|(place, _)| *place).collect::<Vec<usize>>(),
                    refused.map(|(place, _)| place).collect::<Vec<usize>>()
                );
                assert!(all_or_nothing && !refusals.is_empty());
            }
            other => panic!("{other:?}"),
        }
        self.check();
        said(&outcome)
    }

    fn agree(&mut self, outcome: &Outcome, model: impl FnOnce(&mut Model) -> &'static str) -> &'static str {
        let expected = model(&mut self.model);
        assert_eq!(said(outcome), expected, "{outcome:?}");
        self.check();
        expected
    }

    fn check(&self) {
        for (user, caller) in self.callers.iter().enumerate() {
            let wallet = self.set.balance(&AccountKey::wallet(caller.user, Currency::USD));
            let held = self.set.balance(&AccountKey::holds(caller.user, Currency::USD));
            assert_eq!((wallet, held), (self.model.wallets[user], self.model.held[user]));
            assert!(wallet >= 0 && held >= 0);
        }
        let total: i64 = self.model.wallets.iter().chain(&self.model.held).sum();
        assert_eq!(total, GRANT_MINOR * i64::try_from(USERS).unwrap());
    }
}

#[test]
fn the_lives_of_payments_agree_with_the_naive_model() {
    with_seeds(&[1], |seed| {
        let mut world = World::new(seed);
        for step in 0..STEPS {
            world.step();
            if step % 1_000 == 0 {
                world.set.changes = Changes::default();
            }
        }
        let all = ["batch", "denied", "not found", "self", "short", "state", "too large", "yes"];
        assert!(world.answers.iter().eq(&all), "{:?}", world.answers);
    });
}
