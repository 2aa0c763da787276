//! One wallet over a span of time: what it held, what came and went, what it holds.
//!
//! Whoever asks hands over the movements in the order of the journal and gets bytes, so that a statement of any length is
//! sent in pieces. That opening, movements and closing add up is checked on the way.

use std::io;

use super::{Span, camt053, csv, hledger};
use crate::ledger::{Currency, MovementType, Party, PaymentId, Timestamp, Total, Transaction, UserId};
use crate::store::Movement;

/// What a statement says before its first movement.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Whose wallet.
    pub user: UserId,
    /// Which.
    pub currency: Currency,
    /// Which part was asked for.
    pub span: Span,
    /// When it was made.
    pub at: Timestamp,
    /// What the wallet held before, in minor units.
    pub opening_minor: i64,
    /// What it holds afterwards, in minor units.
    pub closing_minor: i64,
}

/// A movement, as the wallet's owner sees it.
#[derive(Debug)]
pub struct Line<'a> {
    /// What moved it.
    pub movement: &'a Movement,
    /// The other side.
    pub counterparty: &'a Party,
    /// What the wallet changed by, in minor units; below zero where money went out.
    pub amount_minor: i64,
    /// What it held afterwards, in minor units.
    pub balance_after_minor: i64,
}

impl<'a> Line<'a> {
    /// The movement from the side of that user; none if it did not move their wallet.
    pub fn of(movement: &'a Movement, user: UserId) -> Option<Self> {
        let Transaction { from, to, money, .. } = &*movement.transaction;
        let amount_minor = money.amount_minor();
        let (counterparty, amount_minor) =
            if from.id == user { (to, amount_minor.saturating_neg()) } else { (from, amount_minor) };
        let balance_after_minor = movement.balance_after_minor?;
        Some(Self { movement, counterparty, amount_minor, balance_after_minor })
    }

    /// The transaction that moved it.
    pub fn transaction(&self) -> &Transaction {
        &self.movement.transaction
    }

    /// What it is, in the words of the API.
    pub fn kind(&self) -> &'static str {
        self.transaction().movement().map_or("payment", MovementType::name)
    }

    /// The payment that it belongs to.
    pub fn payment(&self) -> Option<PaymentId> {
        self.transaction().payment()
    }
}

/// What the movements come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// How many there were.
    pub rows: u64,
    /// What came in, in minor units.
    pub in_minor: i128,
    /// What went out, in minor units, above zero.
    pub out_minor: i128,
}

impl Moved {
    /// Counts a movement in.
    pub fn add(&mut self, amount_minor: i64) {
        self.rows = self.rows.saturating_add(1);
        let side = if amount_minor < 0 { &mut self.out_minor } else { &mut self.in_minor };
        *side = side.saturating_add(i128::from(amount_minor.unsigned_abs()));
    }

    /// Whether they lead from the opening to the closing balance.
    pub fn explains(&self, statement: &Statement) -> bool {
        let ends = i128::from(statement.opening_minor).saturating_add(self.in_minor);
        ends.saturating_sub(self.out_minor) == i128::from(statement.closing_minor)
    }

    /// `2 rows, in 12.50 USD, out 0.50 USD`.
    pub(super) fn sentence(&self, currency: Currency) -> String {
        let of = |amount_minor| Total { amount_minor, currency };
        format!(
            "{} rows, in {} {currency}, out {} {currency}",
            self.rows,
            of(self.in_minor),
            of(self.out_minor)
        )
    }
}

/// Writes one format. Called in the order of the methods.
pub trait Sheet: Send {
    /// Before the first movement.
    fn begin(&mut self, statement: &Statement, out: &mut Vec<u8>) -> io::Result<()>;

    /// A movement.
    fn line(&mut self, statement: &Statement, line: &Line<'_>, out: &mut Vec<u8>) -> io::Result<()>;

    /// After the last movement.
    fn end(&mut self, statement: &Statement, moved: &Moved, out: &mut Vec<u8>) -> io::Result<()>;
}

/// A format for accountants. JSON is the API's own and stands with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180.
    Csv,
    /// ISO 20022, camt.053.001.08.
    Camt053,
    /// A plain-text journal for hledger and Ledger.
    Hledger,
}

impl Format {
    /// What writes it.
    pub fn sheet(self) -> Box<dyn Sheet> {
        match self {
            Self::Csv => Box::new(csv::Wallet),
            Self::Camt053 => Box::new(camt053::Wallet),
            Self::Hledger => Box::new(hledger::Wallet),
        }
    }
}
