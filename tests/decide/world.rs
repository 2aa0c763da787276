//! A million random commands, decided one after another, against the model. After each the answers agree, money is
//! conserved, nothing is negative, every entry set sums to zero, and a repeated key gives the identical answer. Each kind
//! of answer must come up.

use std::collections::{BTreeSet, HashMap};
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use farthing::ledger::{
    AccountKey, Action, Caller, Capture, Changes, Currency, IdempotencyKey, Memo, Mode, Money, Outcome, Pay,
    PaymentId, RefreshSession, Rules, Shown, Timestamp, TokenHash, Topup, TopupFailure, TopupMethod,
    TransactionId, UserId, WorkingSet, decide,
};

use super::model::{ANSWERS, Asked, Circumstances, Expected, Model, class};
use super::random::Random;
use super::{ACCESS_TTL_MS, Dice, command, make_user, refresh_of, rules, with_seeds};

const USERS: usize = 12;
const COMMANDS_PER_SEED: u32 = 260_000;

/// The ledger and the model of it.
struct World {
    dice: Dice,
    set: WorkingSet,
    model: Model,
    callers: Vec<Caller>,
    answers: HashMap<Discriminant<Expected>, u32>,
    fields: BTreeSet<&'static str>,
}

impl World {
    fn new(seed: u64) -> Self {
        let (rules, mut dice, mut model) = (rules(), Dice(Random::new(seed)), Model::default());
        let mut set = WorkingSet::at(Timestamp::from_millis(1_800_000_000_000));
        let callers: Vec<Caller> =
            (0..USERS).map(|number| make_user(&rules, &mut set, &mut dice, number)).collect();
        model.users.insert(UserId::HOUSE);
        for caller in &callers {
            model.users.insert(caller.user);
            model.expiries.insert(caller.user, set.now.as_millis() + ACCESS_TTL_MS);
            assert_eq!(model.move_money(UserId::SANDBOX, caller.user, rules.grant), Expected::Moved);
        }
        // One is so rich that there is hardly a number for more.
        let yen = Currency::parse("JPY").unwrap();
        for (owner, minor) in [(callers[0].user, i64::MAX - 1_000), (UserId::CASH, 1_000 - i64::MAX)] {
            set.accounts.insert(AccountKey::wallet(owner, yen), minor);
            model.balances.insert((owner, yen), minor);
        }
        Self { dice, set, model, callers, answers: HashMap::new(), fields: BTreeSet::new() }
    }

    fn step(&mut self) {
        self.set.now = self.set.now.plus_millis(i64::try_from(self.dice.below(400)).unwrap());
        if self.dice.below(200) == 0 {
            self.freeze_or_unfreeze();
        }
        let index = usize::try_from(self.dice.next() % u64::try_from(USERS).unwrap()).unwrap();
        let mut caller = self.callers[index];
        let shows_wrong_token = self.dice.below(16) == 0;
        if shows_wrong_token {
            caller.access = TokenHash([0xff; 32]);
        }
        let key = (self.dice.below(2) == 0).then(|| format!("k{}", self.dice.below(2_000)));
        let asked = self.ask(caller.user, key.as_deref());
        let action = self.action(caller, &asked, key.as_deref());
        // A ledger keeps its mode; the decision takes it as it is told.
        let is_live = self.dice.below(16) == 0;
        let rules = Rules { mode: if is_live { Mode::Live } else { Mode::Sandbox }, ..rules() };
        let command = command(&mut self.dice, action);
        let before = self.set.changes.transactions.len();
        let outcome = decide(&rules, &mut self.set, &command);
        let (payer, now) = (caller.user, self.set.now.as_millis());
        let given = Circumstances { payer, key: key.as_deref(), shows_wrong_token, is_live, now };
        let expected = self.model.expect(&asked, &given);
        assert_eq!(class(&outcome), expected, "{command:?}");
        check_written(&self.set, before, &expected);
        if let Some(key) = key {
            settle_key(&mut self.model, payer, key, asked, outcome, &expected);
        }
        if expected == Expected::Expired && self.dice.below(4) == 0 {
            self.refresh(index);
        }
        *self.answers.entry(discriminant(&expected)).or_default() += 1;
        if let Expected::KeyReused(fields) = expected {
            self.fields.extend(fields);
        }
    }

    /// Something new, or what was asked under the key before.
    fn ask(&mut self, payer: UserId, key: Option<&str>) -> Asked {
        let first = key.and_then(|key| self.model.answers.get(&(payer, key.to_owned())));
        if let Some((first, _)) = first.filter(|_| self.dice.below(2) == 0) {
            return first.clone();
        }
        let dice = &mut self.dice;
        let currency = Currency::parse(dice.pick(&["USD", "USD", "JPY"])).unwrap();
        let money = Money::from_minor(dice.pick(&[1, 2, 700, 40_000, Money::MAX_MINOR]), currency).unwrap();
        if dice.below(5) == 0 {
            let failing = TopupMethod::Fails(TopupFailure::Expired);
            let method = dice.pick(&[TopupMethod::Ok, TopupMethod::Slow, failing]);
            return Asked { payee: payer, money, memo: Memo::default(), method: Some(method) };
        }
        let payee = match dice.below(20) {
            0 => UserId::HOUSE,
            1 => UserId::new(dice.uuid()),
            _ => dice.pick(&self.callers).user,
        };
        let memo = Memo {
            description: dice.pick(&["", "", "lunch"]).to_owned(),
            reference: dice.pick(&["", "", "L-1"]).to_owned(),
            metadata: dice.pick(&["", "", "{\"table\":\"4\"}"]).to_owned(),
        };
        Asked { payee, money, memo, method: None }
    }

    fn action(&mut self, caller: Caller, asked: &Asked, key: Option<&str>) -> Action {
        let key = key.map(|key| IdempotencyKey::parse(key).unwrap());
        let Asked { payee, money, memo, method } = asked.clone();
        match method {
            None => {
                let payment = PaymentId::new(self.dice.uuid());
                Action::Pay(Pay {
                    caller,
                    payment,
                    payee,
                    money,
                    memo,
                    capture: Capture::Automatic,
                    shown: Shown::Nothing,
                    key,
                })
            }
            Some(method) => {
                let transaction = TransactionId::new(self.dice.uuid());
                Action::Topup(Topup { caller, transaction, money, method, key })
            }
        }
    }

    /// About one in eight is frozen at a time. No command does that yet, so the row is changed.
    fn freeze_or_unfreeze(&mut self) {
        let user = self.dice.pick(&self.callers).user;
        let frozen = self.dice.below(8) == 0;
        Arc::make_mut(self.set.users.get_mut(&user).unwrap()).frozen = frozen;
        if frozen {
            self.model.frozen.insert(user);
        } else {
            self.model.frozen.remove(&user);
        }
    }

    fn refresh(&mut self, index: usize) {
        let (caller, tokens) = (self.callers[index], self.dice.tokens());
        let action = Action::RefreshSession(RefreshSession { shown: refresh_of(caller.access), tokens });
        let command = command(&mut self.dice, action);
        assert!(decide(&rules(), &mut self.set, &command).result.is_ok());
        self.callers[index].access = tokens.access;
        self.model.expiries.insert(caller.user, self.set.now.as_millis() + ACCESS_TTL_MS);
    }

    fn check_balances(&self) {
        let mut totals: HashMap<Currency, i128> = HashMap::new();
        for (account, balance) in &self.set.accounts {
            *totals.entry(account.currency).or_default() += i128::from(*balance);
            assert_eq!(self.model.balances.get(&(account.owner, account.currency)), Some(balance));
        }
        assert_eq!(self.set.accounts.len(), self.model.balances.len());
        assert!(totals.values().all(|total| *total == 0), "{totals:?}");
    }
}

/// Only what moved or was declined is written, and what is written sums to zero.
fn check_written(set: &WorkingSet, before: usize, expected: &Expected) {
    let written = &set.changes.transactions[before..];
    let is_written = matches!(expected, Expected::Moved | Expected::Declined | Expected::Failed);
    assert_eq!(written.len(), usize::from(is_written));
    for transaction in written {
        assert_eq!(transaction.entries.iter().map(|entry| entry.amount_minor).sum::<i64>(), 0);
        assert_eq!(transaction.entries.is_empty(), *expected != Expected::Moved);
        for entry in &transaction.entries {
            assert_eq!(set.balance(&entry.account), entry.balance_after_minor);
            assert!(entry.balance_after_minor >= 0 || entry.account.owner.is_outside());
        }
    }
}

/// A key stands for its first answer; only answers that were kept use it up.
fn settle_key(
    model: &mut Model,
    payer: UserId,
    key: String,
    asked: Asked,
    outcome: Outcome,
    expected: &Expected,
) {
    match expected {
        Expected::Replay => {
            let (_, first) = &model.answers[&(payer, key)];
            assert_eq!(first.result, outcome.result);
        }
        Expected::Moved | Expected::Declined | Expected::Failed => {
            model.answers.insert((payer, key), (asked, outcome));
        }
        _ => {}
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    for step in 0..COMMANDS_PER_SEED {
        world.step();
        if step % 1_000 == 0 {
            world.check_balances();
            world.set.changes = Changes::default();
        }
    }
    world.check_balances();
    assert_eq!(world.answers.len(), ANSWERS, "some answer never came up: {:?}", world.answers);
    let fields = ["amount", "call", "currency", "description", "metadata", "method", "reference", "to"];
    assert!(world.fields.iter().eq(&fields), "{:?}", world.fields);
}

#[test]
fn a_million_commands_agree_with_the_naive_model() {
    with_seeds(&[1, 2, 3], run);
}
