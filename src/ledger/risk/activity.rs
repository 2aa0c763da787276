//! What risk rules know of a user: the last payments that they made, and the last that they got. Neither pushes the other
//! out, so that who is paid a lot in between does not have fewer payments of their own.

use std::collections::VecDeque;

use crate::ledger::{Currency, Hold, Stage, Timestamp, Transaction, TransactionKind, UserId};

/// How many payments of a user are remembered each way. Counts stop there, so a limit on them must be below it.
pub const REMEMBERED: usize = 32;

/// Room is made for so many at first, and for all of them with the next.
const FEW: usize = 4;

/// What a payment was to the user who remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// They paid it.
    Paid,
    /// They paid it, and an operator is, or was, to look at it: it proves nothing yet.
    UnderReview,
    /// An operator let it through.
    Approved,
    /// They tried to pay it, and could not.
    Declined,
    /// They were paid.
    Got,
}

/// The other side of a payment in 64 bits, the random ones of the user's id: the same are the same, others almost never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Counterparty(u64);

impl Counterparty {
    /// That user.
    pub const fn of(user: UserId) -> Self {
        Self(user.uuid().as_u64_pair().1)
    }
}

/// A payment as one of its sides saw it. Small, since each payment goes over those of both its sides, and what is known of
/// ten thousand users should stay in the processor's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// When.
    pub at: Timestamp,
    /// The other side.
    pub other: Counterparty,
    /// How much, in minor units, …
    pub amount_minor: i64,
    /// … of what.
    pub currency: Currency,
    /// What was said about it, as [`digest`] has it.
    pub memo: u32,
    /// What it was to this side.
    pub part: Part,
}

/// The last payments of one user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    paid: OneWay,
    got: OneWay,
}

/// Payments one way, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OneWay {
    past: VecDeque<Past>,
    /// A bit for each of them, the oldest the lowest: whether it counts and is the newest with its other side. However far
    /// back is counted, there are as many other sides as bits set among what is counted.
    newest: u32,
}

impl OneWay {
    fn push(&mut self, past: Past) {
        if self.past.len() >= REMEMBERED {
            self.past.pop_front();
            self.newest >>= 1_u32;
        } else if self.past.len() == FEW {
            self.past.reserve_exact(REMEMBERED.saturating_sub(FEW));
        }
        if past.part.counts() {
            let earlier = self.each().position(|(known, is_newest)| is_newest && known.other == past.other);
            self.newest &= !earlier.map_or(0, bit);
            self.newest |= bit(self.past.len());
        }
        self.past.push_back(past);
    }

    fn each(&self) -> impl Iterator<Item = (&Past, bool)> {
        let is_newest = |place: usize| self.newest & bit(place) != 0;
        self.past.iter().enumerate().map(move |(place, past)| (past, is_newest(place)))
    }
}

fn bit(place: usize) -> u32 {
    u32::try_from(place).ok().and_then(|place| 1_u32.checked_shl(place)).unwrap_or_default()
}

impl Activity {
    /// Takes the next row of the journal, if it is of a payment in which the user has a part.
    pub fn take(&mut self, user: UserId, transaction: &Transaction) {
        if let Some(past) = past(user, transaction) {
            self.push(past);
        }
    }

    /// Takes the next payment as an engine's row has it.
    pub fn push(&mut self, past: Past) {
        let one_way = if past.part == Part::Got { &mut self.got } else { &mut self.paid };
        one_way.push(past);
    }

    /// What the user paid or tried to pay, the oldest first, and of each whether it counts and is the newest to its payee.
    pub fn paid(&self) -> impl Iterator<Item = (&Past, bool)> {
        self.paid.each()
    }

    /// What the user got, the oldest first, and of each whether it is the newest from its payer.
    pub fn got(&self) -> impl Iterator<Item = (&Past, bool)> {
        self.got.each()
    }
}

impl Part {
    /// Whether it is a payment that limits count: one that moved money, or holds it.
    pub const fn counts(self) -> bool {
        matches!(self, Self::Paid | Self::UnderReview | Self::Got)
    }

    /// What a payment, or that it was let through, is to the side that paid or was paid.
    pub fn of(kind: TransactionKind, is_out: bool, is_declined: bool, hold: Option<Hold>) -> Self {
        match hold {
            _ if !is_out => Self::Got,
            _ if kind == TransactionKind::Approval => Self::Approved,
            _ if is_declined => Self::Declined,
            Some(Hold::ForReview) => Self::UnderReview,
            Some(Hold::ForCapture) | None => Self::Paid,
        }
    }
}

fn past(user: UserId, transaction: &Transaction) -> Option<Past> {
    let Transaction { kind, from, to, memo, .. } = transaction;
    let (is_out, is_declined) = (from.id == user, transaction.decline.is_some());
    let is_theirs = match kind {
        TransactionKind::Payment => is_out || (to.id == user && !is_declined),
        TransactionKind::Approval => is_out,
        _ => false,
    };
    let hold = match transaction.stage {
        Stage::Held(hold) => Some(hold),
        Stage::Whole | Stage::Step(_) => None,
    };
    is_theirs.then(|| Past {
        at: transaction.created_at,
        other: Counterparty::of(if is_out { to.id } else { from.id }),
        amount_minor: transaction.money.amount_minor(),
        currency: transaction.money.currency(),
        memo: digest(&memo.description, &memo.reference),
        part: Part::of(*kind, is_out, is_declined, hold),
    })
}

/// Description and reference in 32 bits (FNV-1a): equal ones are equal, others almost never.
pub fn digest(description: &str, reference: &str) -> u32 {
    let bytes = description.bytes().chain([0]).chain(reference.bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
