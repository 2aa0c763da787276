//! Records: everything small that changes and is not money, a user or a session.
//!
//! A record is a value of ours, kept as JSON, and where it is filed: whose it is, what it belongs to, what it is found
//! by, when it is due. Engines keep records without knowing what is in them; what a value means, and everything that
//! changes it, is decided like any other command. Records are not part of the journal: what must be proved later is
//! written there, or as a security event, in the same transaction.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::chain::Hash;
use super::{
    Currency, Delivery, FeedCursor, IdempotencyKey, Notice, PaymentRequest, PaymentRequestId, Replay,
    Schedule, Timestamp, UserId, Webhook, WebhookList,
};

macro_rules! records {
    ($($(#[$doc:meta])* $kind:ident = $name:literal: $value:ty;)*) => {
        /// What a record is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RecordKind { $($(#[$doc])* $kind,)* }

        impl RecordKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The kind's name, as in the database.
            pub const fn name(self) -> &'static str { match self { $(Self::$kind => $name,)* } }

            /// The kind of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.name() == name)
            }

            /// Whether this is a value of the kind, as it is stored. Engines ask it of every row that they read, so
            /// that a damaged one is told where it is found.
            pub fn can_read(self, value: &str) -> bool {
                match self { $(Self::$kind => serde_json::from_str::<$value>(value).is_ok(),)* }
            }
        }

        $(impl Stored for $value { const KIND: RecordKind = RecordKind::$kind; })*
    };
}

// One line a kind: its name in the database, and the type of its values. A name is never used again for something else.
records! {
    /// A link by which a user sets a new password, once.
    ResetLink = "reset_link": ResetLink;
    /// A link by which whoever knows it pays its maker, once.
    PaymentRequest = "payment_request": PaymentRequest;
    /// A payment that runs by itself.
    Schedule = "schedule": Schedule;
    /// When the money of a payment that is to be captured is released. It has the payment's UUID.
    Deadline = "deadline": Deadline;
    /// A payment that an operator is to look at, and when its money is released if nobody does. Likewise.
    Review = "review": Review;
    /// An event that no row of the journal tells.
    Notice = "notice": Notice;
    /// A webhook.
    Webhook = "webhook": Webhook;
    /// Which webhooks an owner has, under the owner's id.
    WebhookList = "webhook_list": WebhookList;
    /// An event on its way to a webhook, which it belongs to.
    Delivery = "delivery": Delivery;
    /// Where something that follows the feed has got to.
    FeedCursor = "feed_cursor": FeedCursor;
    /// Events to be sent to a webhook, which it belongs to, once more.
    Replay = "replay": Replay;
    /// Cash that waits for a second operator, or that one has looked at. It has the transaction's UUID.
    CashRequest = "cash_request": CashRequest;
}

impl RecordKind {
    /// Whether anybody lists an owner's records of this kind. Engines need not be able to where nobody does.
    pub const fn is_listed_by_owner(self) -> bool {
        !matches!(self, Self::Deadline)
    }

    /// Likewise whether anybody lists all records of this kind, whoever's they are.
    pub const fn is_listed_by_kind(self) -> bool {
        !matches!(self, Self::Deadline | Self::PaymentRequest | Self::Delivery)
    }

    /// Whether records of this kind change with a payment alone, so that whoever holds its payer's wallet holds them, too.
    pub const fn is_of_payment(self) -> bool {
        matches!(self, Self::Deadline | Self::Review)
    }

    /// How many blanks follow a new value of this kind, for what is added to it later: where a row grows, its neighbours
    /// move, which costs an engine more than the room. What ends a payment request takes 117 characters.
    pub(super) const fn room(self) -> usize {
        if matches!(self, Self::PaymentRequest) { 120 } else { 0 }
    }
}

/// A value that is kept as a record. A type gets it by its line in the list above.
pub trait Stored: Serialize + DeserializeOwned {
    /// The kind that its records have.
    const KIND: RecordKind;
}

/// Which record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// What it is.
    pub kind: RecordKind,
    /// Which of that kind.
    pub id: Uuid,
}

impl RecordKey {
    /// The key of the record with this id that keeps a `T`.
    pub const fn of<T: Stored>(id: Uuid) -> Self {
        Self { kind: T::KIND, id }
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.id)
    }
}

/// Where a record is filed: what it is listed and found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filing {
    /// Whose it is; it stays so.
    pub owner: UserId,
    /// What it belongs to, such as the webhook of a delivery.
    pub parent: Option<Uuid>,
    /// The hash of what it is found by, where that is a secret; of one kind no two have the same.
    pub lookup: Option<Hash>,
    /// When something is to be done about it.
    pub due_at: Option<Timestamp>,
}

impl Filing {
    /// Filed under its owner alone.
    pub const fn under(owner: UserId) -> Self {
        Self { owner, parent: None, lookup: None, due_at: None }
    }
}

/// A record as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Which one.
    pub key: RecordKey,
    /// Where it is filed.
    pub filing: Filing,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How often it was written: 1 when it is new.
    pub version: u64,
    /// Its value, as JSON.
    pub value: String,
}

impl Record {
    /// Its value; none if the record is not of the type's kind. Whoever handed the record out has read the value once.
    pub fn read<T: Stored>(&self) -> Option<T> {
        if self.key.kind == T::KIND { serde_json::from_str(&self.value).ok() } else { None }
    }
}

impl fmt::Debug for Record {
    /// Without the value, which may hold what must not be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, filing, created_at, updated_at, version, .. } = self;
        write!(f, "Record({key} v{version} {filing:?} {created_at} {updated_at})")
    }
}

/// When the money of a payment that is to be captured is released, unless it was captured or voided before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {}

/// Cash that one operator took in or paid out, and that another is to let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashRequest {
    /// In or out.
    pub direction: CashDirection,
    /// Whose wallet.
    pub user: UserId,
    /// Their name at that moment.
    pub name: Option<String>,
    /// How much, in minor units, …
    pub amount_minor: i64,
    /// … of this currency.
    pub currency: Currency,
    /// For the books.
    pub reference: String,
    /// The operator who asked.
    pub asked_by: UserId,
    /// Who looked at it, and whether they let it through; none while it waits.
    pub decided: Option<CashDecision>,
}

impl CashRequest {
    /// What the records of cash that waits belong to, so that they are listed without those that are decided.
    pub const WAITING: Uuid = Uuid::from_u128(1);

    /// What it is found by, where it was asked for under a key.
    pub fn lookup(asked_by: UserId, key: &IdempotencyKey) -> (RecordKind, Hash) {
        (Self::KIND, key.digest(asked_by))
    }
}

/// Which way cash goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CashDirection {
    /// Into a wallet.
    Deposit,
    /// Out of it.
    Withdrawal,
}

/// What a second operator said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashDecision {
    /// Who.
    pub by: UserId,
    /// Whether they let it through.
    pub approved: bool,
    /// What they had to say about it.
    pub note: String,
}

/// A payment that an operator is to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// What made it so.
    pub reasons: Vec<ReviewReason>,
    /// The payment request that it pays, which is open again if it comes to nothing.
    pub request: Option<PaymentRequestId>,
}

/// A risk rule that a payment hit, with its figures as people read them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewReason {
    /// The rule's name, as in the configuration.
    pub rule: String,
    /// What was counted.
    pub figure: String,
    /// What it was above.
    pub limit: String,
}

/// A link by which a user sets a new password, once, until it is due. It is found by the hash of its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetLink {
    /// The operator who made it; none if it was made on the host.
    pub made_by: Option<UserId>,
}

impl ResetLink {
    /// For how long a link counts, in milliseconds.
    pub const TTL_MS: i64 = 30 * 60_000;
}
