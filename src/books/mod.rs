//! Books: the journal and statements written down for other tools, each row once and in the order of the journal.
//!
//! [`export`] writes the whole journal, from the seam that engines hand it out over; [`statement`] writes one wallet.
//! Both know nothing of a format: a sheet per format ([`csv`], [`json`], [`hledger`], [`beancount`], [`camt053`]) is given
//! what comes in order. Every format ends with the count of its rows and their sum, so that a file that was cut cannot
//! pass for a whole one. Memory: a piece of the journal and the accounts, however long the journal is.
//!
//! Signs are the ledger's: a wallet above zero holds its owner's money, and the outside world (`cash`, `sandbox`) is
//! below zero by what it brought. In plain-text accounting wallets and holds are therefore assets, the outside is equity.

pub mod bank;
pub mod beancount;
pub mod camt053;
pub mod csv;
pub mod export;
pub mod hledger;
pub mod json;
pub mod reconciliation;
pub mod replay;
pub mod statement;
mod text;

use std::collections::BTreeMap;
use std::io;

use crate::ledger::{AccountKey, AccountKind, Currency, Timestamp, Total, Transaction, UserId};
use crate::store::OpenError;
use crate::store::journal::Numbered;

/// Rows of the journal that are read at a time: small enough that a piece in its longest format is a few megabytes.
const PIECE: i64 = 4_000;

/// Which part of the journal is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// At or after this time.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
}

/// Why the journal was not read to its end. What was written until then has no end that counts it.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The ledger cannot be read.
    #[error("{0}")]
    Ledger(#[from] OpenError),
    /// A row cannot be read.
    #[error("{0}; 'farthing verify' says more")]
    Damaged(String),
    /// What is written cannot be kept.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// What a file ends with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many rows the file has.
    pub rows: u64,
    /// What came into accounts, by currency; as much went out of others.
    pub sums: BTreeMap<Currency, i128>,
}

impl Totals {
    /// Counts an amount in.
    fn add(&mut self, currency: Currency, amount_minor: i64) {
        if amount_minor > 0 {
            let sum = self.sums.entry(currency).or_default();
            *sum = sum.saturating_add(i128::from(amount_minor));
        }
    }

    /// The sums, each with its currency.
    pub fn sums(&self) -> impl Iterator<Item = Total> + '_ {
        self.sums
            .iter()
            .map(|(currency, amount_minor)| Total { amount_minor: *amount_minor, currency: *currency })
    }

    /// `2 rows, 12.50 USD, 1200 JPY`.
    fn sentence(&self) -> String {
        let sums = self.sums().map(|sum| format!(", {sum} {}", sum.currency));
        format!("{} rows{}", self.rows, sums.collect::<String>())
    }
}

/// The rows of a table with numbers after `after` and up to `to`, if each is there and can be read.
fn whole<T>(found: Numbered<T>, table: &str, after: i64, to: i64) -> Result<Vec<(i64, T)>, BookError> {
    if let Some(what) = found.wrong.into_iter().next() {
        return Err(BookError::Damaged(what));
    }
    let count = i64::try_from(found.rows.len()).unwrap_or(i64::MAX);
    if count != to.saturating_sub(after) {
        return Err(BookError::Damaged(format!("a row of {table} between {after} and {to} is missing")));
    }
    Ok(found.rows)
}

/// An account's name in plain-text accounting. `user` writes the id of a user as the format allows.
fn account_name(account: &AccountKey, user: impl Fn(UserId) -> String) -> String {
    match (account.owner, account.kind) {
        (UserId::HOUSE, AccountKind::Wallet) => "Assets:House".to_owned(),
        (UserId::CASH, _) => "Equity:Cash".to_owned(),
        (UserId::SANDBOX, _) => "Equity:Sandbox".to_owned(),
        (owner, AccountKind::Wallet) => format!("Assets:Wallets:{}", user(owner)),
        (owner, AccountKind::Holds) => format!("Assets:Holds:{}", user(owner)),
    }
}

/// The day of a time (UTC): `2026-01-31`.
fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// Whether a transaction moved money.
fn status(transaction: &Transaction) -> &'static str {
    if transaction.decline.is_some() { "declined" } else { "succeeded" }
}
