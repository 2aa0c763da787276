//! A million random commands, decided one after another, against a naive model written from the contract: who may pay
//! what, in plain maps. After each command the answers agree, money is conserved, nothing is negative, every entry set
//! sums to zero, and a repeated key gives the identical answer.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop at what it did not expect"
)]

use std::collections::HashMap;
use std::sync::Arc;

use farthing::ledger::{
    AccountKey, Action, Caller, Command, Currency, Email, IdempotencyKey, Memo, Mode, Money, OpenSession,
    Origin, Outcome, PasswordHash, Pay, PaymentId, RecentPayment, Refusal, Register, Reply, RequestId, Role,
    Rules, SessionEnd, SessionId, Timestamp, TokenHash, TokenPair, Topup, TopupFailure, TopupMethod,
    TransactionId, UserId, WorkingSet, decide,
};
use uuid::Uuid;

#[path = "support/random.rs"]
#[allow(dead_code, clippy::expect_used, reason = "test code, of which other tests use the rest")]
mod random;
use random::Random;

const USERS: usize = 12;
const COMMANDS_PER_SEED: u32 = 260_000;

/// What the commands are drawn with.
struct Dice(Random);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0.next()
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.next() % u64::try_from(from.len()).unwrap()).unwrap()]
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }
}

/// What was asked under a key, as the contract compares it.
#[derive(Clone, PartialEq)]
struct Asked {
    is_payment: bool,
    payee: UserId,
    money: Money,
    description: String,
    method: &'static str,
}

/// The contract in plain maps.
#[derive(Default)]
struct Model {
    balances: HashMap<(UserId, Currency), i64>,
    answers: HashMap<(UserId, String), (Asked, Outcome)>,
    /// The last time at which a payment of this payer, payee, amount, currency and description succeeded.
    last: HashMap<(UserId, UserId, Money, String), i64>,
}

/// How an answer is to be.
#[derive(Debug, PartialEq)]
enum Expected {
    Moved,
    Declined,
    Failed,
    Duplicate,
    KeyReused,
    Replay,
    Myself,
    NoPayee,
    Stranger,
}

impl Model {
    fn expect(&mut self, payer: UserId, asked: &Asked, key: Option<&str>, known: bool, now: i64) -> Expected {
        if let Some((first, _)) = key.and_then(|key| self.answers.get(&(payer, key.to_owned()))) {
            return if first == asked { Expected::Replay } else { Expected::KeyReused };
        }
        let currency = asked.money.currency();
        let minor = asked.money.amount_minor();
        if !asked.is_payment {
            if asked.method != "sim_ok" {
                return Expected::Failed;
            }
            *self.balances.entry((payer, currency)).or_default() += minor;
            return Expected::Moved;
        }
        let shape = (payer, asked.payee, asked.money, asked.description.clone());
        if !known {
            return Expected::NoPayee;
        }
        if asked.payee == payer {
            return Expected::Myself;
        }
        if key.is_none() && self.last.get(&shape).is_some_and(|at| now < at + 60_000) {
            return Expected::Duplicate;
        }
        let balance = self.balances.entry((payer, currency)).or_default();
        if *balance < minor {
            return Expected::Declined;
        }
        *balance -= minor;
        *self.balances.entry((asked.payee, currency)).or_default() += minor;
        self.last.insert(shape, now);
        Expected::Moved
    }
}

fn class(outcome: &Outcome) -> Expected {
    match &outcome.result {
        _ if outcome.replayed => Expected::Replay,
        Ok(Reply::Transaction(_)) => Expected::Moved,
        Err(Refusal::InsufficientFunds { .. }) => Expected::Declined,
        Err(Refusal::TopupFailed { .. }) => Expected::Failed,
        Err(Refusal::DuplicatePayment { .. }) => Expected::Duplicate,
        Err(Refusal::IdempotencyKeyReused { fields }) => {
            assert!(!fields.is_empty());
            Expected::KeyReused
        }
        Err(Refusal::TokenInvalid) => Expected::Stranger,
        Err(Refusal::SelfPayment) => Expected::Myself,
        Err(Refusal::RecipientNotFound) => Expected::NoPayee,
        other => panic!("{other:?}"),
    }
}

fn rules() -> Rules {
    Rules {
        mode: Mode::Sandbox,
        duplicate_window_ms: 60_000,
        access_ttl_ms: i64::MAX / 4,
        refresh_ttl_ms: i64::MAX / 4,
        grant: Money::from_minor(100_000, Currency::USD).unwrap(),
        house_name: "House".into(),
    }
}

fn command(dice: &mut Dice, action: Action) -> Command {
    Command { origin: Origin { request: RequestId::new(dice.uuid()), ip: None, user_agent: None }, action }
}

fn make_user(rules: &Rules, set: &mut WorkingSet, dice: &mut Dice, number: usize) -> Caller {
    let (user, session) = (UserId::new(dice.uuid()), SessionId::new(dice.uuid()));
    let password = PasswordHash::from_phc("*".into());
    let register = Register {
        user,
        grant: TransactionId::new(dice.uuid()),
        email: Email::parse(&format!("u{number}@example.com")).unwrap(),
        name: None,
        password: password.clone(),
        role: Role::Customer,
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&dice.next().to_be_bytes());
    let access = TokenHash(bytes);
    bytes[31] = 1;
    let tokens = TokenPair { access, refresh: TokenHash(bytes) };
    let open = OpenSession { user, verified: password, rehashed: None, session, tokens };
    for action in [Action::Register(register), Action::OpenSession(open)] {
        let command = command(dice, action);
        assert!(decide(rules, set, &command).result.is_ok());
    }
    Caller { user, session, access }
}

fn run(seed: u64) {
    println!("seed {seed}");
    let (rules, mut dice, mut model) = (rules(), Dice(Random::new(seed)), Model::default());
    let mut set = WorkingSet::at(Timestamp::from_millis(1_800_000_000_000));
    let callers: Vec<Caller> =
        (0..USERS).map(|number| make_user(&rules, &mut set, &mut dice, number)).collect();
    for caller in &callers {
        model.balances.insert((caller.user, Currency::USD), 100_000);
    }
    for step in 0..COMMANDS_PER_SEED {
        set.now = set.now.plus_millis(i64::try_from(dice.below(400)).unwrap());
        let mut caller = dice.pick(&callers);
        // Who asks comes before everything else, also before the key.
        let is_stranger = dice.below(16) == 0;
        if is_stranger {
            caller.access = TokenHash([0xff; 32]);
        }
        let currency = Currency::parse(dice.pick(&["USD", "USD", "JPY"])).unwrap();
        let money = Money::from_minor(dice.pick(&[1, 2, 700, 40_000, 999_999_999_999]), currency).unwrap();
        let key = (dice.below(2) == 0).then(|| format!("k{}", dice.below(2_000)));
        let payee = match dice.below(20) {
            0 => UserId::HOUSE,
            1 => UserId::new(dice.uuid()),
            _ => dice.pick(&callers).user,
        };
        let known = payee == UserId::HOUSE || callers.iter().any(|caller| caller.user == payee);
        let is_payment = dice.below(5) > 0;
        let method =
            dice.pick(&[TopupMethod::Ok, TopupMethod::Ok, TopupMethod::Fails(TopupFailure::Expired)]);
        let description = dice.pick(&["", "", "lunch"]).to_owned();
        let asked = if is_payment {
            Asked { is_payment, payee, money, description: description.clone(), method: "" }
        } else {
            Asked { is_payment, payee: caller.user, money, description: String::new(), method: method.name() }
        };
        let parsed = key.as_ref().map(|key| IdempotencyKey::parse(key).unwrap());
        let action = if is_payment {
            let memo = Memo { description, ..Memo::default() };
            Action::Pay(Pay { caller, payment: PaymentId::new(dice.uuid()), payee, money, memo, key: parsed })
        } else {
            let transaction = TransactionId::new(dice.uuid());
            Action::Topup(Topup { caller, transaction, money, method, key: parsed })
        };
        let command = command(&mut dice, action);
        let before = set.changes.transactions.len();
        let outcome = decide(&rules, &mut set, &command);
        let expected = if is_stranger {
            Expected::Stranger
        } else {
            model.expect(caller.user, &asked, key.as_deref(), known, set.now.as_millis())
        };
        assert_eq!(class(&outcome), expected, "seed {seed}, step {step}: {command:?}");
        check_written(&set, before, &expected);
        if let Some(key) = key {
            settle_key(&mut model, caller.user, key, asked, outcome, &expected);
        }
        if step % 1_000 == 0 {
            check_balances(&set, &model);
            set.changes = farthing::ledger::Changes::default();
        }
    }
    check_balances(&set, &model);
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

fn check_balances(set: &WorkingSet, model: &Model) {
    let mut totals: HashMap<Currency, i128> = HashMap::new();
    for (account, balance) in &set.accounts {
        *totals.entry(account.currency).or_default() += i128::from(*balance);
        if !account.owner.is_outside() {
            assert_eq!(model.balances.get(&(account.owner, account.currency)), Some(balance));
        }
    }
    assert!(totals.values().all(|total| *total == 0), "{totals:?}");
}

#[test]
fn a_million_commands_agree_with_the_naive_model() {
    let fresh = Random::seed_of_this_run();
    std::thread::scope(|scope| {
        for seed in [1, 2, 3, fresh] {
            scope.spawn(move || run(seed));
        }
    });
}

/// With everything wrong at once the first refusal is told; with that mended the next, in the order of [`Refusal`].
#[test]
fn refusals_come_in_their_order() {
    type Break = fn(&mut WorkingSet, Caller, &Pay);
    let breaks: [(&str, Break); 7] = [
        ("TokenInvalid", |set, caller, _| {
            let session = Arc::make_mut(set.sessions.get_mut(&caller.session).unwrap());
            session.ended = Some((set.now, SessionEnd::Logout));
        }),
        ("TokenExpired", |set, caller, _| {
            Arc::make_mut(set.sessions.get_mut(&caller.session).unwrap()).access_expires_at = set.now;
        }),
        ("AccountFrozen", |set, caller, _| {
            Arc::make_mut(set.users.get_mut(&caller.user).unwrap()).frozen = true;
        }),
        ("RecipientNotFound", |set, _, pay| drop(set.users.remove(&pay.payee))),
        ("DuplicatePayment", |set, _, pay| {
            set.shapes.insert(pay.shape(), RecentPayment { payment: pay.payment, at: set.now });
        }),
        ("InsufficientFunds", |set, caller, _| {
            set.accounts.insert(AccountKey::wallet(caller.user, Currency::USD), 0);
        }),
        ("BalanceLimit", |set, _, pay| {
            set.accounts.insert(AccountKey::wallet(pay.payee, Currency::USD), i64::MAX);
        }),
    ];
    for first in 0..=breaks.len() {
        let (rules, mut dice) = (rules(), Dice(Random::new(1)));
        let mut set = WorkingSet::at(Timestamp::from_millis(1_000));
        let payer = make_user(&rules, &mut set, &mut dice, 0);
        let payee = make_user(&rules, &mut set, &mut dice, 1);
        let pay = Pay {
            caller: payer,
            payment: PaymentId::new(dice.uuid()),
            payee: payee.user,
            money: Money::from_minor(1, Currency::USD).unwrap(),
            memo: Memo::default(),
            key: None,
        };
        for (_, wrong) in &breaks[first..] {
            wrong(&mut set, payer, &pay);
        }
        let command = command(&mut dice, Action::Pay(pay));
        let result = decide(&rules, &mut set, &command).result;
        match breaks.get(first) {
            None => assert!(result.is_ok(), "{result:?}"),
            Some((name, _)) => {
                let refusal = format!("{:?}", result.unwrap_err());
                assert!(refusal.starts_with(name), "{refusal} instead of {name}");
            }
        }
    }
}
