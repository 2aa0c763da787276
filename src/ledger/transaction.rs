//! Transactions: the rows of the journal, each with the entries that it made. Written once, never changed.
//!
//! A transaction carries everything that its first answer said (names as they were, what was available), so that a
//! repeated idempotency key is answered from this row alone and never from rows that change.

use serde::Serialize;

use super::{
    AccountKey, AccountKind, Capture, IdempotencyKey, Money, PaymentId, PaymentState, PaymentStatus, Stage,
    Timestamp, TransactionId, UserId,
};

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
    /// A cashier took cash in.
    Deposit,
    /// A cashier paid cash out.
    Withdrawal,
    /// Money of a payment goes back.
    Refund,
    /// The payee takes what is held.
    Capture,
    /// What is held is released.
    Void,
    /// What was held too long is released.
    Expiry,
    /// An operator let a payment under review through.
    Approval,
    /// An operator stopped a payment under review.
    Rejection,
}

impl TransactionKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Payment,
        Self::Topup,
        Self::Grant,
        Self::Deposit,
        Self::Withdrawal,
        Self::Refund,
        Self::Capture,
        Self::Void,
        Self::Expiry,
        Self::Approval,
        Self::Rejection,
    ];

    /// The kind's name, as in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Topup => "topup",
            Self::Grant => "grant",
            Self::Deposit => "deposit",
            Self::Withdrawal => "withdrawal",
            Self::Refund => "refund",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Expiry => "expiry",
            Self::Approval => "approval",
            Self::Rejection => "rejection",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What a movement is, as its owner sees it: whatever gave a payee the money of a payment is that payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MovementType {
    /// One user paid another or the house.
    Payment,
    /// Simulated money came in (sandbox).
    Topup,
    /// A cashier took cash in.
    Deposit,
    /// A cashier paid cash out.
    Withdrawal,
    /// Money of a payment went back.
    Refund,
    /// The sandbox's welcome.
    Grant,
}

impl MovementType {
    /// Every type.
    pub const ALL: [Self; 6] =
        [Self::Payment, Self::Topup, Self::Deposit, Self::Withdrawal, Self::Refund, Self::Grant];

    /// The type's name, as in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Topup => "topup",
            Self::Deposit => "deposit",
            Self::Withdrawal => "withdrawal",
            Self::Refund => "refund",
            Self::Grant => "grant",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kinds of transactions that are shown as this.
    pub const fn kinds(self) -> &'static [TransactionKind] {
        match self {
            Self::Payment => &[TransactionKind::Payment, TransactionKind::Capture, TransactionKind::Approval],
            Self::Topup => &[TransactionKind::Topup],
            Self::Deposit => &[TransactionKind::Deposit],
            Self::Withdrawal => &[TransactionKind::Withdrawal],
            Self::Refund => &[TransactionKind::Refund],
            Self::Grant => &[TransactionKind::Grant],
        }
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
    /// A risk rule said no.
    Risk,
    /// The simulated method said no.
    Topup(TopupFailure),
}

impl Decline {
    /// The stable name, as in the API and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::Risk => "payment_declined",
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

/// What the sides of a transaction had after it, with what is held, in minor units. None where the entry of their wallet
/// says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct BalancesAfter {
    /// Of who gives.
    pub from: Option<i64>,
    /// Of who gets.
    pub to: Option<i64>,
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
    /// When the payee of a payment gets the money.
    pub capture: Capture,
    /// What it is in the life of a payment.
    pub stage: Stage,
    /// Who asked for it, where that does not follow from its kind: of a later step and of cash. None for what came to
    /// pass by itself.
    pub actor: Option<UserId>,
    /// What its sides had after it where their entries alone do not say so.
    pub after: BalancesAfter,
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
    /// Who asked for it, and whose idempotency key it has: of a later step and of cash its actor, else the payer of a
    /// payment, the wallet's owner of a top-up or grant.
    pub fn owner(&self) -> UserId {
        self.actor.unwrap_or(self.sole_seer())
    }

    /// Who sees it where nothing moved.
    fn sole_seer(&self) -> UserId {
        match self.kind {
            TransactionKind::Topup | TransactionKind::Grant | TransactionKind::Deposit => self.to.id,
            TransactionKind::Payment
            | TransactionKind::Withdrawal
            | TransactionKind::Refund
            | TransactionKind::Capture
            | TransactionKind::Void
            | TransactionKind::Expiry
            | TransactionKind::Approval
            | TransactionKind::Rejection => self.from.id,
        }
    }

    /// Whether the user is one of its sides.
    pub fn is_party(&self, user: UserId) -> bool {
        self.from.id == user || self.to.id == user
    }

    /// Whose histories have it: both sides, but of what was declined the one who would have given, or topped up.
    pub fn seen_by(&self) -> impl Iterator<Item = UserId> + use<> {
        let sole = self.sole_seer();
        let other = [self.from.id, self.to.id].into_iter().find(|side| *side != sole);
        let other = other.filter(|_| self.decline.is_none());
        std::iter::once(sole).chain(other).filter(|user| !user.is_outside())
    }

    /// What it is as a movement; none if it is none: what only holds or releases money is not.
    pub fn movement(&self) -> Option<MovementType> {
        let kind = match self.kind {
            TransactionKind::Payment | TransactionKind::Capture | TransactionKind::Approval => {
                MovementType::Payment
            }
            TransactionKind::Topup => MovementType::Topup,
            TransactionKind::Deposit => MovementType::Deposit,
            TransactionKind::Withdrawal => MovementType::Withdrawal,
            TransactionKind::Refund => MovementType::Refund,
            TransactionKind::Grant => MovementType::Grant,
            TransactionKind::Void | TransactionKind::Expiry | TransactionKind::Rejection => return None,
        };
        let moves = match &self.stage {
            Stage::Whole => true,
            Stage::Held(_) => false,
            Stage::Step(step) => !step.state.status.is_held(),
        };
        moves.then_some(kind)
    }

    /// The payment that it is or that it is about.
    pub fn payment(&self) -> Option<PaymentId> {
        match (&self.stage, self.kind) {
            (Stage::Step(step), _) => Some(step.payment),
            (_, TransactionKind::Payment) => Some(self.id.into()),
            _ => None,
        }
    }

    /// Where it leaves the payment that it is or that it is about.
    pub fn payment_state(&self) -> Option<PaymentState> {
        match &self.stage {
            Stage::Step(step) => Some(step.state),
            Stage::Held(hold) => Some(PaymentState::without_capture(hold.status())),
            Stage::Whole if self.kind != TransactionKind::Payment => None,
            Stage::Whole if self.decline.is_some() => {
                Some(PaymentState::without_capture(PaymentStatus::Declined))
            }
            Stage::Whole => Some(PaymentState::captured(self.money.amount_minor())),
        }
    }

    /// What the user had right after this transaction, with what is held, in minor units; none if it did not move.
    pub fn balance_after(&self, user: UserId) -> Option<i64> {
        self.movement()?;
        let told = if user == self.from.id { self.after.from } else { self.after.to };
        let of_user =
            |entry: &&Entry| entry.account.owner == user && entry.account.kind == AccountKind::Wallet;
        told.or_else(|| self.entries.iter().find(of_user).map(|entry| entry.balance_after_minor))
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
