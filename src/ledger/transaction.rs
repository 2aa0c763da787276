//! Transactions: the rows of the journal, each with the entries that it made. Written once, never changed.
//!
//! A transaction carries everything that its first answer said (names as they were, what was available), so that a
//! repeated idempotency key is answered from this row alone and never from rows that change.

use serde::Serialize;

use super::{AccountKey, IdempotencyKey, Money, Timestamp, TransactionId, UserId};

/// What a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TransactionKind {
    /// One user pays another or the house.
    Payment,
    /// Simulated money comes in (sandbox).
    Topup,
    /// The sandbox's welcome.
    Grant,
}

impl TransactionKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Payment, Self::Topup, Self::Grant];

    /// The kind's name, as in the API and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Topup => "topup",
            Self::Grant => "grant",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Why nothing moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decline {
    /// The payer's available balance was less than the amount.
    InsufficientFunds {
        /// What the payer could have spent at that moment, in minor units.
        available_minor: i64,
    },
    /// The simulated method said no.
    Topup(TopupFailure),
}

impl Decline {
    /// The stable name, as in the API and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::Topup(failure) => failure.name(),
        }
    }
}

/// How a simulated top-up fails. Each is asked for by its method's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TopupFailure {
    /// The issuer declined.
    Declined,
    /// The card has too little.
    CardFunds,
    /// The card has expired.
    Expired,
    /// The processor failed.
    ProcessingError,
}

impl TopupFailure {
    /// Every failure.
    pub const ALL: [Self; 4] = [Self::Declined, Self::CardFunds, Self::Expired, Self::ProcessingError];

    /// The reason given to the client.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::CardFunds => "insufficient_funds",
            Self::Expired => "expired",
            Self::ProcessingError => "processing_error",
        }
    }

    /// The failure of that reason.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.name() == name)
    }
}

/// The simulated methods of a top-up (sandbox).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TopupMethod {
    /// Succeeds.
    Ok,
    /// Succeeds, and the answer comes after three seconds.
    Slow,
    /// Fails.
    Fails(TopupFailure),
}

impl TopupMethod {
    /// Every method.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::Fails(TopupFailure::Declined),
        Self::Fails(TopupFailure::CardFunds),
        Self::Fails(TopupFailure::Expired),
        Self::Fails(TopupFailure::ProcessingError),
        Self::Slow,
    ];

    /// The method's name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "sim_ok",
            Self::Slow => "sim_slow",
            Self::Fails(TopupFailure::Declined) => "sim_declined",
            Self::Fails(TopupFailure::CardFunds) => "sim_insufficient_funds",
            Self::Fails(TopupFailure::Expired) => "sim_expired",
            Self::Fails(TopupFailure::ProcessingError) => "sim_processing_error",
        }
    }

    /// The method of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// What the payer says about a payment, as parsed: absent, null and empty are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Memo {
    /// For people.
    pub description: String,
    /// For the payer's or payee's books.
    pub reference: String,
    /// Key and value pairs as a JSON object with sorted keys; empty where there are none.
    pub metadata: String,
}

/// One side of a transaction as its first answer named it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Party {
    /// Who it is.
    pub id: UserId,
    /// The name at that moment.
    pub name: Option<String>,
}

/// A change of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Which account.
    pub account: AccountKey,
    /// What it changed by, in minor units; never zero.
    pub amount_minor: i64,
    /// What the account held afterwards, in minor units.
    pub balance_after_minor: i64,
}

/// A row of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// Which one. A payment's id is the same UUID.
    pub id: TransactionId,
    /// What it is.
    pub kind: TransactionKind,
    /// Who gives.
    pub from: Party,
    /// Who gets.
    pub to: Party,
    /// How much.
    pub money: Money,
    /// What was said about it.
    pub memo: Memo,
    /// The top-up's method; of other kinds none.
    pub method: Option<TopupMethod>,
    /// Why nothing moved; none if it did.
    pub decline: Option<Decline>,
    /// The key under which its answer is repeated; the scope is [`Transaction::owner`].
    pub key: Option<IdempotencyKey>,
    /// The batch's time.
    pub created_at: Timestamp,
    /// What it changed: sums to zero per currency, empty if declined.
    pub entries: Vec<Entry>,
}

impl Transaction {
    /// Who asked for it: the payer of a payment, the wallet's owner of a top-up or grant.
    pub fn owner(&self) -> UserId {
        match self.kind {
            TransactionKind::Payment => self.from.id,
            TransactionKind::Topup | TransactionKind::Grant => self.to.id,
        }
    }

    /// Whose histories show it: both sides where money moved, else its owner alone.
    pub fn seen_by(&self) -> impl Iterator<Item = UserId> + use<> {
        let other = if self.decline.is_some() || self.from.id == self.to.id {
            None
        } else if self.owner() == self.from.id {
            Some(self.to.id)
        } else {
            Some(self.from.id)
        };
        std::iter::once(self.owner()).chain(other).filter(|user| !user.is_outside())
    }

    /// The balance of the user's wallet right after this transaction, in minor units; none if it did not move.
    pub fn balance_after(&self, user: UserId) -> Option<i64> {
        self.entries.iter().find(|entry| entry.account.owner == user).map(|entry| entry.balance_after_minor)
    }

    /// What a payment is compared by when no key tells it from an accidental repeat.
    pub fn shape(&self) -> PaymentShape {
        PaymentShape {
            payer: self.from.id,
            payee: self.to.id,
            money: self.money,
            description: self.memo.description.clone(),
            reference: self.memo.reference.clone(),
        }
    }
}

/// What makes two payments without a key the same one within the duplicate window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PaymentShape {
    /// Who pays.
    pub payer: UserId,
    /// Who is paid.
    pub payee: UserId,
    /// How much.
    pub money: Money,
    /// The description, empty if none.
    pub description: String,
    /// The reference, empty if none.
    pub reference: String,
}
