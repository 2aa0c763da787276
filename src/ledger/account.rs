//! Accounts: where money stands. One per owner, kind and currency; opened by the first entry that touches it.

use super::{Currency, UserId};

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccountKind {
    /// Money that its owner may spend; of the system's parties, their counter-account.
    Wallet,
    /// Money authorised and not yet captured: still the owner's, no longer spendable.
    Holds,
}

impl AccountKind {
    /// The kind's name, as in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Holds => "holds",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Wallet, Self::Holds].into_iter().find(|kind| kind.name() == name)
    }
}

/// What identifies an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey {
    /// Whose it is.
    pub owner: UserId,
    /// What it is for.
    pub kind: AccountKind,
    /// What it holds.
    pub currency: Currency,
}

impl AccountKey {
    /// The owner's wallet in that currency.
    pub const fn wallet(owner: UserId, currency: Currency) -> Self {
        Self { owner, kind: AccountKind::Wallet, currency }
    }

    /// Where what is held of that wallet stands.
    pub const fn holds(owner: UserId, currency: Currency) -> Self {
        Self { owner, kind: AccountKind::Holds, currency }
    }

    /// Whether the account stands for the outside world, and may be below zero.
    pub fn may_be_negative(&self) -> bool {
        self.owner.is_outside()
    }
}
