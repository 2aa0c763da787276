//! The naive model: who may pay what, written from the contract in plain maps.

use std::collections::{HashMap, HashSet};

use farthing::ledger::{Currency, Memo, Money, Outcome, Refusal, Reply, TopupMethod, UserId};

/// What is asked for; a top-up has a method, a payment has none.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub payee: UserId,
    pub money: Money,
    pub memo: Memo,
    pub method: Option<TopupMethod>,
}

impl Asked {
    /// The fields by which two requests under one key differ.
    fn differs_from(&self, first: &Self) -> Vec<&'static str> {
        if self.method.is_some() != first.method.is_some() {
            return vec!["call"];
        }
        let mut fields = Vec::new();
        let mut compare = |name, is_same: bool| fields.extend((!is_same).then_some(name));
        compare("amount", self.money.amount_minor() == first.money.amount_minor());
        compare("currency", self.money.currency() == first.money.currency());
        compare("to", self.payee == first.payee);
        compare("description", self.memo.description == first.memo.description);
        compare("reference", self.memo.reference == first.memo.reference);
        compare("metadata", self.memo.metadata == first.memo.metadata);
        compare("method", self.method == first.method);
        fields
    }
}

/// Who asks, and what the answer depends on beside the model.
pub struct Circumstances<'a> {
    pub payer: UserId,
    pub key: Option<&'a str>,
    pub shows_wrong_token: bool,
    pub is_live: bool,
    pub now: i64,
}

/// The contract in plain maps.
#[derive(Default)]
pub struct Model {
    pub users: HashSet<UserId>,
    pub frozen: HashSet<UserId>,
    /// Until when a user's access token counts.
    pub expiries: HashMap<UserId, i64>,
    pub balances: HashMap<(UserId, Currency), i64>,
    pub answers: HashMap<(UserId, String), (Asked, Outcome)>,
    /// The last time at which a payment of this payer, payee, amount, currency, description and reference succeeded.
    pub last: HashMap<(UserId, UserId, Money, String, String), i64>,
}

/// How an answer is to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    Moved,
    Declined,
    Failed,
    Duplicate,
    KeyReused(Vec<&'static str>),
    Replay,
    Myself,
    NoPayee,
    Frozen,
    NoSandbox,
    TooMuch,
    Stranger,
    Expired,
}

/// How many there are.
pub const ANSWERS: usize = 13;

impl Model {
    /// The answer, and what follows from it.
    pub fn expect(&mut self, asked: &Asked, given: &Circumstances) -> Expected {
        // Who asks comes before everything else, also before the key; the key comes before every rule.
        if given.shows_wrong_token {
            return Expected::Stranger;
        }
        if given.now >= self.expiries[&given.payer] {
            return Expected::Expired;
        }
        if let Some((first, _)) = given.key.and_then(|key| self.answers.get(&(given.payer, key.to_owned()))) {
            let fields = asked.differs_from(first);
            return if fields.is_empty() { Expected::Replay } else { Expected::KeyReused(fields) };
        }
        if self.frozen.contains(&given.payer) {
            return Expected::Frozen;
        }
        match asked.method {
            None => self.expect_payment(asked, given),
            Some(_) if given.is_live => Expected::NoSandbox,
            Some(TopupMethod::Fails(_)) => Expected::Failed,
            Some(TopupMethod::Ok | TopupMethod::Slow) => {
                self.move_money(UserId::SANDBOX, given.payer, asked.money)
            }
        }
    }

    fn expect_payment(&mut self, asked: &Asked, given: &Circumstances) -> Expected {
        let Asked { payee, money, memo, .. } = asked.clone();
        if !self.users.contains(&payee) {
            return Expected::NoPayee;
        }
        if payee == given.payer {
            return Expected::Myself;
        }
        let shape = (given.payer, payee, money, memo.description, memo.reference);
        if given.key.is_none() && self.last.get(&shape).is_some_and(|at| given.now < at + 60_000) {
            return Expected::Duplicate;
        }
        if self.balance(given.payer, money) < money.amount_minor() {
            return Expected::Declined;
        }
        let moved = self.move_money(given.payer, payee, money);
        if moved == Expected::Moved {
            self.last.insert(shape, given.now);
        }
        moved
    }

    fn balance(&self, user: UserId, money: Money) -> i64 {
        self.balances.get(&(user, money.currency())).copied().unwrap_or_default()
    }

    /// Moves it, if there are numbers for what both will hold.
    pub fn move_money(&mut self, from: UserId, to: UserId, money: Money) -> Expected {
        let minor = money.amount_minor();
        let (less, more) =
            (self.balance(from, money).checked_sub(minor), self.balance(to, money).checked_add(minor));
        let (Some(less), Some(more)) = (less, more) else { return Expected::TooMuch };
        self.balances.insert((from, money.currency()), less);
        self.balances.insert((to, money.currency()), more);
        Expected::Moved
    }
}

/// The kind of an answer.
pub fn class(outcome: &Outcome) -> Expected {
    match &outcome.result {
        _ if outcome.replayed => Expected::Replay,
        Ok(Reply::Transaction(_)) => Expected::Moved,
        Err(Refusal::InsufficientFunds { .. }) => Expected::Declined,
        Err(Refusal::TopupFailed { .. }) => Expected::Failed,
        Err(Refusal::DuplicatePayment { .. }) => Expected::Duplicate,
        Err(Refusal::IdempotencyKeyReused { fields }) => Expected::KeyReused(fields.clone()),
        Err(Refusal::TokenInvalid) => Expected::Stranger,
        Err(Refusal::TokenExpired) => Expected::Expired,
        Err(Refusal::AccountFrozen) => Expected::Frozen,
        Err(Refusal::SandboxOnly) => Expected::NoSandbox,
        Err(Refusal::SelfPayment) => Expected::Myself,
        Err(Refusal::RecipientNotFound) => Expected::NoPayee,
        Err(Refusal::BalanceLimit) => Expected::TooMuch,
        other => panic!("{other:?}"),
    }
}
