//! The journal as engines hand it out and take it in: the seam below `verification` and `transfer`.
//!
//! Both go over whole ledgers, so everything comes in pieces: what changes while a server writes is taken in one short
//! snapshot, and the rows up to there, which never change, are read behind it. All calls block; an engine that talks
//! asynchronously brings a runtime of its own and is called from a thread that may wait.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::OpenError;
use crate::ledger::chain::{Digested, Hash};
use crate::ledger::{
    AccountKey, Capture, Mode, PaymentId, Record, SecurityEvent, Session, SessionId, Stage, Timestamp,
    TokenHash, Transaction, User,
};

/// How many entries a transaction can have: their numbers follow from the transaction's.
pub const ENTRIES_PER_TRANSACTION: i64 = 8;

/// Where the journal ends, or ended with a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// The number of the last transaction.
    pub transaction: i64,
    /// The number of the last security event.
    pub event: i64,
    /// The number of the last block.
    pub block: i64,
    /// That block's hash.
    pub hash: Hash,
    /// That block's time.
    pub at: Timestamp,
}

impl Head {
    /// Rows of transactions and events up to here.
    pub fn rows(&self) -> i64 {
        self.transaction.saturating_add(self.event)
    }
}

/// A block of the chain as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// Where the journal ended with it.
    pub head: Head,
    /// Its rows in short. Without marks if it was written before there were any.
    pub rows: Digested,
}

/// The row of an account, as entries name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountRow {
    /// By a number.
    Number(i64),
    /// By a UUID.
    Uuid(Uuid),
}

impl fmt::Display for AccountRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Uuid(uuid) => uuid.fmt(f),
        }
    }
}

/// An account as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredAccount {
    /// Its row.
    pub row: AccountRow,
    /// What identifies it.
    pub key: AccountKey,
    /// What it held, in minor units, …
    pub balance: i64,
    /// … after the transaction of this number.
    pub as_of: i64,
}

/// An entry as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its number: entries are in the order of their transactions, and of one transaction in theirs.
    pub no: i64,
    /// The number of its transaction.
    pub transaction: i64,
    /// Which account.
    pub account: AccountRow,
    /// What it changed by, in minor units.
    pub amount_minor: i64,
    /// What the account held afterwards, in minor units.
    pub balance_after_minor: i64,
}

/// What a transaction is in the life of a payment, column by column; nothing where it is settled by itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Life<'a> {
    /// `manual` where the payee is to capture it.
    pub capture: Option<&'static str>,
    /// The payment that a later step is about.
    pub about: Option<Uuid>,
    /// How it leaves the payment.
    pub status: Option<&'static str>,
    /// What the payee got, in minor units.
    pub captured: Option<i64>,
    /// What of that went back, in minor units.
    pub refunded: Option<i64>,
    /// What was said about the step.
    pub note: Option<&'a str>,
}

impl<'a> Life<'a> {
    /// The columns of that transaction.
    pub fn of(transaction: &'a Transaction) -> Self {
        let capture = (transaction.capture == Capture::Manual).then_some(Capture::Manual.name());
        match &transaction.stage {
            Stage::Whole => Self { capture, ..Self::default() },
            Stage::Held(hold) => Self { capture, status: Some(hold.status().name()), ..Self::default() },
            Stage::Step(step) => Self {
                capture,
                about: Some(step.payment.uuid()),
                status: Some(step.state.status.name()),
                captured: Some(step.state.captured_minor),
                refunded: Some(step.state.refunded_minor),
                note: Some(step.note.as_str()).filter(|note| !note.is_empty()),
            },
        }
    }
}

/// Rows with their numbers, in the order of these; and what is wrong with them.
#[derive(Debug)]
pub struct Numbered<T> {
    /// The rows that could be read.
    pub rows: Vec<(i64, T)>,
    /// For each that could not, and for each that says one thing in two ways, a sentence that names table and row.
    pub wrong: Vec<String>,
}

/// What changes while a server writes, taken at one moment.
#[derive(Debug, Default)]
pub struct Beginning {
    /// Where the journal ends, as the last block says.
    pub head: Head,
    /// Every account.
    pub accounts: Vec<StoredAccount>,
    /// How many users there are.
    pub users: u64,
    /// How many records there are.
    pub records: u64,
    /// The payments that later steps are about.
    pub settled: HashSet<PaymentId>,
    /// What is wrong with the journal's ends: rows before the first or behind the last that the chain knows.
    pub discrepancies: Vec<String>,
}

/// What a ledger says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    /// Which ledger it is, in whatever place.
    pub ledger: Uuid,
    /// Play money or real money.
    pub mode: Mode,
    /// What else belongs to the ledger and not to the engine that keeps it, by name. Numbers are in decimal.
    pub others: BTreeMap<String, String>,
}

/// Hands out a ledger, also while a server writes to it.
///
/// Where there is a `limit`, fewer rows come only at the end.
pub trait JournalReader {
    /// Takes in one snapshot what changes. Where the engine has tables of its own to check, it begins anew with that,
    /// too. May be called again: what it gives is newer then.
    fn begin(&mut self) -> Result<Beginning, OpenError>;

    /// The blocks after `after` and up to the one with the number `to`, in order: as many as have at most so many
    /// `rows` of transactions and events together, and at least one. Empty if there are none.
    fn blocks(&mut self, after: &Head, to: i64, rows: i64) -> Result<Vec<StoredBlock>, OpenError>;

    /// The transactions with numbers after `after` and up to `to`, without their entries.
    fn transactions(&mut self, after: i64, to: i64) -> Result<Numbered<Transaction>, OpenError>;

    /// The entries of the transactions with numbers after `after` and up to `to`, in order.
    fn entries(&mut self, after: i64, to: i64) -> Result<Vec<StoredEntry>, OpenError>;

    /// The security events with numbers after `after` and up to `to`.
    fn events(&mut self, after: i64, to: i64) -> Result<Numbered<SecurityEvent>, OpenError>;

    /// Shows the engine a transaction of the journal, in the order of the numbers, with its entries.
    fn witness(&mut self, _no: i64, _transaction: &Transaction) {}

    /// What is wrong with tables that are the engine's own and follow from the transactions that it was shown.
    fn own_discrepancies(&mut self) -> Result<Vec<String>, OpenError> {
        Ok(Vec::new())
    }

    /// What the ledger says of itself.
    fn properties(&mut self) -> Result<Properties, OpenError>;

    /// Users in the order of their making, with the positions of that order; those after a position.
    fn users(&mut self, after: i64, limit: usize) -> Result<Vec<(i64, Arc<User>)>, OpenError>;

    /// Sessions, live or not, in the order of their ids; those after an id.
    fn sessions(&mut self, after: Option<SessionId>, limit: usize) -> Result<Vec<Arc<Session>>, OpenError>;

    /// Spent refresh tokens and their sessions, in the order of the hashes; those after a hash.
    fn spent_tokens(
        &mut self,
        after: Option<TokenHash>,
        limit: usize,
    ) -> Result<Vec<(TokenHash, SessionId)>, OpenError>;

    /// Records in the order of their making, with their positions; those after a position.
    fn records(&mut self, after: i64, limit: usize) -> Result<Vec<(i64, Arc<Record>)>, OpenError>;
}

/// A block with its rows, which follow those of the block before.
#[derive(Debug, Clone)]
pub struct Block {
    /// The block.
    pub stored: StoredBlock,
    /// Its transactions, with their entries.
    pub transactions: Vec<Arc<Transaction>>,
    /// Its events.
    pub events: Vec<SecurityEvent>,
}

/// Takes in a ledger that comes from elsewhere. Until it is finished no server opens it.
pub trait JournalWriter {
    /// Begins in an empty place, and marks it as one into which that ledger is moved. Goes on in a place with the mark
    /// of the same ledger, but begins anew with what can be taken away: properties and records. Says where the journal
    /// that it has ends.
    ///
    /// # Errors
    /// [`OpenError::Unusable`] also for a place that has a ledger or another ledger's mark.
    fn begin(&mut self, properties: &Properties) -> Result<Head, OpenError>;

    /// Appends blocks, and opens the accounts that they are the first to touch: all of it or, on an error, nothing.
    fn append(&mut self, blocks: &[Block]) -> Result<(), OpenError>;

    /// Writes users as they are, new and known ones, with the positions of their order.
    fn put_users(&mut self, users: &[(i64, Arc<User>)]) -> Result<(), OpenError>;

    /// Writes sessions as they are, new and known ones. Their users are there.
    fn put_sessions(&mut self, sessions: &[Arc<Session>]) -> Result<(), OpenError>;

    /// Writes spent refresh tokens, new and known ones. Their sessions are there.
    fn put_spent_tokens(&mut self, tokens: &[(TokenHash, SessionId)]) -> Result<(), OpenError>;

    /// Writes records with the positions that they have. Those of an earlier try are gone since the beginning.
    fn put_records(&mut self, records: &[(i64, Arc<Record>)]) -> Result<(), OpenError>;

    /// All is there: brings it into the shape in which it is served, still with the mark.
    fn settle(&mut self) -> Result<(), OpenError>;

    /// Takes the mark away. From now on it is a ledger like any other.
    fn finish(&mut self) -> Result<(), OpenError>;
}
