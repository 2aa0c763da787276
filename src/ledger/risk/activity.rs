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

    fn tag(self) -> u16 {
        let [.., high, low] = self.0.to_be_bytes();
        u16::from_be_bytes([high, low])
    }
}

/// A payment as one of its sides saw it.
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

/// Payments one way, the oldest first. Most payments are decided from what stands beside them, which is two lines of the
/// processor's cache where they themselves are sixteen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OneWay {
    past: VecDeque<Past>,
    /// When the first of them was.
    since: Timestamp,
    /// A few bits of the other side of each.
    tags: [u16; REMEMBERED],
    /// Those that [count](Part::counts), …
    pub(super) counted: Places,
    /// … and of those with the same other side only the newest: however far back is counted, there are as many other sides
    /// as places among what is counted.
    pub(super) newest: Places,
    /// Those that were declined.
    pub(super) declined: Places,
    /// Those that show that the payer knows the payee.
    pub(super) proven: Places,
    /// What those that count come to, whatever their currencies: the most that any sum of them can be.
    pub(super) at_most_minor: i64,
}

/// A bit for each payment, the oldest the lowest.
pub type Places = u32;

impl OneWay {
    fn push(&mut self, past: Past) {
        if self.past.len() >= REMEMBERED {
            self.forget_oldest();
        } else if self.past.len() == FEW {
            self.past.reserve_exact(REMEMBERED.saturating_sub(FEW));
        }
        let place = bit(self.past.len());
        if past.part.counts() {
            self.newest &= !self.with(past.other);
            self.newest |= place;
            self.counted |= place;
            self.at_most_minor = self.at_most_minor.saturating_add(past.amount_minor);
        }
        match past.part {
            Part::Declined => self.declined |= place,
            Part::Paid | Part::Approved => self.proven |= place,
            Part::UnderReview | Part::Got => {}
        }
        if let Some(tag) = self.tags.get_mut(self.past.len()) {
            *tag = past.other.tag();
        }
        self.past.push_back(past);
        self.since = self.past.front().map_or(past.at, |first| first.at);
    }

    fn forget_oldest(&mut self) {
        let oldest = self.past.pop_front().filter(|past| past.part.counts());
        let amount_minor = oldest.map_or(0, |past| past.amount_minor);
        self.at_most_minor = self.at_most_minor.saturating_sub(amount_minor);
        self.tags.rotate_left(1);
        for places in [&mut self.counted, &mut self.newest, &mut self.declined, &mut self.proven] {
            *places >>= 1_u32;
        }
    }

    /// Those with that other side.
    pub(super) fn with(&self, other: Counterparty) -> Places {
        let tag = other.tag();
        let alike =
            self.tags.iter().rev().fold(0, |places, known| (places << 1_u32) | Places::from(*known == tag));
        let with = each(alike).filter(|place| self.past.get(*place).is_some_and(|past| past.other == other));
        with.fold(0, |places, place| places | bit(place))
    }

    /// Those that are no older. Time never runs back along the journal: they are the last ones.
    pub(super) fn within(&self, millis: i64, now: Timestamp) -> Places {
        let is_older = |past: &Past| past.at.plus_millis(millis) <= now;
        // Mostly all are.
        let first =
            if self.since.plus_millis(millis) <= now { self.past.partition_point(is_older) } else { 0 };
        bit(first).wrapping_neg()
    }

    /// The newest one.
    pub(super) fn last(&self) -> Places {
        bit(self.past.len().saturating_sub(1))
    }

    /// The payments in those places, the oldest first.
    pub(super) fn at(&self, places: Places) -> impl Iterator<Item = &Past> {
        each(places).filter_map(|place| self.past.get(place))
    }
}

fn bit(place: usize) -> Places {
    u32::try_from(place).ok().and_then(|place| 1_u32.checked_shl(place)).unwrap_or_default()
}

fn each(mut places: Places) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = usize::try_from(places.trailing_zeros()).ok().filter(|_| places != 0);
        places &= places.wrapping_sub(1);
        lowest
    })
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

    /// What the user paid or tried to pay.
    pub fn paid(&self) -> &OneWay {
        &self.paid
    }

    /// What the user got.
    pub fn got(&self) -> &OneWay {
        &self.got
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
