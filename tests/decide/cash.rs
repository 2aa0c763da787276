//! Random cash, with and without a second operator, payments under the same keys, and looked-up keys, against a naive
//! model: a list of everything that happened, which is looked through anew for each answer. After each step the answers
//! agree, every wallet is what the list adds up to, and what waits is what nobody has decided.

use std::collections::BTreeSet;

use farthing::ledger::{
    AccountKey, Action, Authority, Caller, Capture, Cash, CashDirection, CashRequest, ChangeUser, Currency,
    DecideCash, FindKey, IdempotencyKey, Memo, Money, Notice, Outcome, Pay, PaymentId, Refusal, Reply, Rules,
    Shown, Stored, Timestamp, TransactionId, UserId, WorkingSet, decide,
};
use uuid::Uuid;

use super::cash_book::{Asked, Happened, Kept, Model, ROLES, STRANGER};
use super::random::Random;
use super::{Dice, command, make_user, rules, stay_logged_in, with_seeds};

/// Above so many dollars, or yen, cash waits.
const MOST: u64 = 100;
/// Lists stay short, so that looking through them is quick.
const WORLDS: u32 = 40;
const STEPS: u32 = 400;

/// What was said, without its details.
fn said(outcome: &Outcome) -> String {
    let said = match &outcome.result {
        _ if outcome.replayed => "again",
        Ok(Reply::Transaction(_)) => "moved",
        Ok(Reply::CashWaits(_)) => "waits",
        Ok(Reply::Done) => "done",
        Err(Refusal::InsufficientFunds { .. } | Refusal::CashShort { .. }) => "short",
        Err(Refusal::PermissionDenied) => "denied",
        Err(Refusal::AccountFrozen) => "frozen",
        Err(Refusal::RecipientNotFound) => "nobody",
        Err(Refusal::SelfPayment) => "self",
        Err(Refusal::CashRequestNotFound) => "not found",
        Err(Refusal::CashRequestDecided) => "decided",
        Err(Refusal::IdempotencyKeyReused { fields }) => return format!("reused {}", fields.join(" ")),
        other => panic!("{other:?}"),
    };
    said.into()
}

struct World {
    dice: Dice,
    rules: Rules,
    set: WorkingSet,
    callers: Vec<Caller>,
    model: Model,
}

impl World {
    fn new(seed: u64) -> Self {
        let rules = Rules { four_eyes_above: Some(MOST), ..rules() };
        let (mut dice, mut set) =
            (Dice(Random::new(seed)), WorkingSet::at(Timestamp::from_millis(1_800_000_000_000)));
        let callers: Vec<Caller> =
            (0..ROLES.len()).map(|number| make_user(&rules, &mut set, &mut dice, number)).collect();
        for (caller, role) in callers.iter().zip(ROLES) {
            let (by, user) = (Authority::Host, caller.user);
            let change = Action::ChangeUser(ChangeUser { by, user, role: Some(role), frozen: None });
            let command = command(&mut dice, change);
            decide(&rules, &mut set, &command).result.unwrap();
        }
        Self { dice, rules, set, callers, model: Model::default() }
    }

    fn somebody(&mut self) -> usize {
        usize::try_from(self.dice.below(7)).unwrap()
    }

    fn id_of(&mut self, user: usize) -> UserId {
        self.callers.get(user).map_or_else(|| UserId::new(self.dice.uuid()), |caller| caller.user)
    }

    fn decide(&mut self, action: Action) -> Outcome {
        stay_logged_in(&mut self.set, &self.callers);
        let command = command(&mut self.dice, action);
        decide(&self.rules, &mut self.set, &command)
    }

    fn step(&mut self, answers: &mut BTreeSet<String>) {
        self.set.now = self.set.now.plus_millis(i64::try_from(self.dice.below(100_000)).unwrap());
        let asker = self.somebody();
        let answer = match self.dice.below(16) {
            0 => return self.freeze(),
            1 => self.find_key(asker),
            2..6 => self.decide_cash(),
            _ => self.ask(asker),
        };
        answers.insert(answer);
    }

    fn freeze(&mut self) {
        let (user, frozen) = (self.somebody(), self.dice.below(3) == 0);
        let change = ChangeUser {
            by: Authority::Host,
            user: self.callers[user].user,
            role: None,
            frozen: Some(frozen),
        };
        self.decide(Action::ChangeUser(change)).result.unwrap();
        self.model.list.push(Happened::Frozen { user, frozen });
    }

    fn find_key(&mut self, asker: usize) -> String {
        let key = self.dice.below(20);
        let find = FindKey { caller: self.callers[asker], key: key_of(key) };
        let found = self.decide(Action::FindKey(find)).result;
        // Cash that waits is no movement, whatever became of it.
        let expected = self.model.first(asker, Some(key)).filter(|(_, _, kept, _)| *kept != Kept::Waits);
        match (found, expected) {
            (Ok(Reply::Transaction(transaction)), Some((id, ..))) => {
                assert_eq!(transaction.id, TransactionId::new(id));
                "found".into()
            }
            (Err(Refusal::PaymentNotFound), None) => "unknown".into(),
            other => panic!("{key} of {asker}: {other:?}"),
        }
    }

    fn something(&mut self) -> Asked {
        let currency = Currency::parse(self.dice.pick(&["USD", "USD", "JPY"])).unwrap();
        let user = if self.dice.below(16) == 0 { STRANGER } else { self.somebody() };
        // Now and then just what there is, or one more.
        let all = self.model.balance(user, currency) + i64::try_from(self.dice.below(2)).unwrap();
        let minor = self.dice.pick(&[1, 100, 101, 10_000, 10_001, 70_000, all, all]);
        let money = Money::from_minor(minor.max(1), currency).unwrap();
        if self.dice.below(4) == 0 {
            return Asked::Pay { payee: user, money };
        }
        let direction = self.dice.pick(&[CashDirection::Deposit, CashDirection::Withdrawal]);
        Asked::Cash { direction, user, money, reference: self.dice.pick(&["slip 1", "slip 1", "slip 2"]) }
    }

    fn ask(&mut self, asker: usize) -> String {
        let key = (self.dice.below(2) == 0).then(|| self.dice.below(20));
        // Something new, or what was asked under the key before.
        let again = self.model.first(asker, key).map(|(_, asked, ..)| asked.clone());
        let new = self.something();
        let asked = again.filter(|_| self.dice.below(2) == 0).unwrap_or(new);
        let id = self.dice.uuid();
        let (caller, named) = (self.callers[asker], key.map(key_of));
        // Without a key no two are alike: that one is taken for the other is in the test beside this one.
        let reference = if key.is_some() { String::new() } else { id.to_string() };
        let memo = Memo { reference, ..Memo::default() };
        let action = match asked.clone() {
            Asked::Cash { direction, user, money, reference } => Action::Cash(Cash {
                caller,
                transaction: TransactionId::new(id),
                direction,
                user: self.id_of(user),
                money,
                reference: reference.into(),
                key: named,
            }),
            Asked::Pay { payee, money } => Action::Pay(Pay {
                caller,
                payment: PaymentId::new(id),
                payee: self.id_of(payee),
                money,
                memo,
                capture: Capture::Automatic,
                shown: Shown::Nothing,
                key: named,
            }),
        };
        let told = self.decide(action);
        let answer = self.model.ask(asker, key, &asked);
        assert_eq!(said(&told), answer, "{asked:?} of {asker} under {key:?}: {told:?}");
        let kept = match answer.as_str() {
            "moved" => Kept::Moved,
            "short" => Kept::Short,
            "waits" => Kept::Waits,
            "again" => {
                let (_, _, _, first) = self.model.first(asker, key).unwrap();
                assert_eq!(lasting(&told), lasting(first));
                return answer;
            }
            _ => return answer,
        };
        self.model.list.push(Happened::Answered { asker, key, id, asked, kept, told });
        answer
    }

    /// An answer to something that was filed, or is decided, or never was there.
    fn decide_cash(&mut self) -> String {
        let answered = self.model.list.iter().filter_map(|happened| match happened {
            Happened::Answered { id, .. } => Some(*id),
            _ => None,
        });
        let filed: Vec<Uuid> = answered.collect();
        let lately = &filed[filed.len().saturating_sub(12)..];
        let id = if lately.is_empty() { self.dice.uuid() } else { self.dice.pick(lately) };
        let (asker, approved) = (self.somebody(), self.dice.below(3) > 0);
        let (user, money) = match self.model.filed(id) {
            Some((_, &Asked::Cash { user, money, .. })) => (user, money),
            _ => (0, Money::from_minor(1, Currency::USD).unwrap()),
        };
        let told = self.decide(Action::DecideCash(DecideCash {
            caller: self.callers[asker],
            transaction: TransactionId::new(id),
            user: self.callers[user].user,
            currency: money.currency(),
            approved,
            note: String::new(),
        }));
        let answer = self.model.decide(asker, id, approved);
        assert_eq!(said(&told), answer, "{id} by {asker}: {told:?}");
        if let Ok(Reply::Transaction(transaction)) = &told.result {
            assert_eq!((transaction.id, transaction.money), (TransactionId::new(id), money));
        }
        if ["moved", "done"].contains(&answer.as_str()) {
            self.model.list.push(Happened::Decided { id, approved });
        }
        answer
    }

    fn check(&self) {
        for code in ["USD", "JPY"] {
            let currency = Currency::parse(code).unwrap();
            for (user, caller) in self.callers.iter().enumerate() {
                let wallet = self.set.balance(&AccountKey::wallet(caller.user, currency));
                assert_eq!(wallet, self.model.balance(user, currency), "{user} in {code}");
                assert!(wallet >= 0);
            }
        }
        assert_eq!(self.set.changes.transactions.len(), ROLES.len() + self.model.rows());
        let requests = self.set.records.values().filter(|record| record.key.kind == CashRequest::KIND);
        let waiting = requests.filter(|record| record.filing.parent == Some(CashRequest::WAITING));
        assert_eq!(waiting.map(|record| record.key.id).collect::<BTreeSet<_>>(), self.model.waiting());
    }

    /// Whoever asked is told once that it waits, and once if it was stopped: what moved tells itself.
    fn check_told(&self) {
        let told = self.set.records.values().filter_map(|record| {
            let notice = record.read::<Notice>().filter(|notice| !notice.name.starts_with("user."))?;
            Some((notice.object, notice.name))
        });
        let expected = self.model.list.iter().filter_map(|happened| {
            let (id, what) = match happened {
                Happened::Answered { id, kept: Kept::Waits, .. } => (*id, "pending"),
                Happened::Decided { id, approved: false } => (*id, "rejected"),
                _ => return None,
            };
            let way = match self.model.filed(id)? {
                (_, Asked::Cash { direction: CashDirection::Deposit, .. }) => "deposit",
                _ => "withdrawal",
            };
            Some((id, format!("{way}.{what}")))
        });
        assert_eq!(sorted(told), sorted(expected));
    }
}

/// An answer without what a second operator says later of cash that waited when it was given.
fn lasting(outcome: &Outcome) -> String {
    match &outcome.result {
        Ok(Reply::CashWaits(record)) => {
            let request = record.read::<CashRequest>().unwrap();
            format!("{} {:?}", record.key, CashRequest { decided: None, ..request })
        }
        other => format!("{other:?}"),
    }
}

fn key_of(number: u64) -> IdempotencyKey {
    IdempotencyKey::parse(&format!("key {number}")).unwrap()
}

fn sorted<T: Ord>(some: impl Iterator<Item = T>) -> Vec<T> {
    let mut sorted: Vec<T> = some.collect();
    sorted.sort();
    sorted
}

#[test]
fn cash_and_looked_up_keys_agree_with_the_naive_model() {
    with_seeds(&[1], |seed| {
        let (mut random, mut answers) = (Random::new(seed), BTreeSet::new());
        for _ in 0..WORLDS {
            let mut world = World::new(random.next());
            for _ in 0..STEPS {
                world.step(&mut answers);
                world.check();
            }
            world.check_told();
        }
        let words = answers.iter().flat_map(|answer| answer.split(' '));
        let words: BTreeSet<&str> = words.collect();
        let all = [
            "again",
            "amount",
            "call",
            "currency",
            "decided",
            "denied",
            "done",
            "found",
            "frozen",
            "moved",
            "nobody",
            "not",
            "reference",
            "reused",
            "self",
            "short",
            "to",
            "unknown",
            "user",
            "waits",
        ];
        assert!(words.iter().eq(&all), "{words:?}");
    });
}
