//! What risk rules know of a user: the last payments, either way, newest last.

use std::collections::VecDeque;

use crate::ledger::{Memo, Money, Timestamp, Transaction, TransactionKind, UserId};

/// How many payments of a user are looked at. Counts stop there, so a limit on them must be below it.
pub const REMEMBERED: usize = 32;

/// A payment as one of its sides saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// When.
    pub at: Timestamp,
    /// The other side.
    pub other: UserId,
    /// How much.
    pub money: Money,
    /// What was said about it, in a few bits.
    pub memo: u64,
    /// Whether the user paid; otherwise they were paid.
    pub is_out: bool,
    /// Whether it was declined.
    pub is_declined: bool,
}

/// The last payments of one user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    past: VecDeque<Past>,
}

impl Activity {
    /// Takes the next payment of the user, if it is one and they have a part in it.
    pub fn take(&mut self, user: UserId, transaction: &Transaction) {
        let is_out = transaction.from.id == user;
        let is_declined = transaction.decline.is_some();
        let is_theirs = is_out || (transaction.to.id == user && !is_declined);
        if transaction.kind != TransactionKind::Payment || !is_theirs {
            return;
        }
        if self.past.len() >= REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(Past {
            at: transaction.created_at,
            other: if is_out { transaction.to.id } else { transaction.from.id },
            money: transaction.money,
            memo: digest(&transaction.memo),
            is_out,
            is_declined,
        });
    }

    /// What the user paid since then.
    pub fn paid_since(&self, begin: Timestamp) -> impl Iterator<Item = &Past> + Clone {
        self.past.iter().filter(move |past| past.is_out && !past.is_declined && past.at > begin)
    }

    /// What the user got since then.
    pub fn got_since(&self, begin: Timestamp) -> impl Iterator<Item = &Past> + Clone {
        self.past.iter().filter(move |past| !past.is_out && past.at > begin)
    }

    /// What the user tried to pay since then, and could not.
    pub fn declined_since(&self, begin: Timestamp) -> impl Iterator<Item = &Past> {
        self.past.iter().filter(move |past| past.is_declined && past.at > begin)
    }
}

/// Description and reference in 64 bits (FNV-1a): equal ones are equal, others almost never.
pub fn digest(memo: &Memo) -> u64 {
    let bytes = memo.description.bytes().chain([0]).chain(memo.reference.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
