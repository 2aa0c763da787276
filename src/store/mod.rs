//! The store: where the ledger's rows are kept. The only place that names engines.
//!
//! [`Store`] is the seam. An engine carries what the ledger decides: it gathers waiting commands into a batch, loads
//! the rows that they need, runs [`decide`](crate::ledger::decide) over them, writes the difference, commits once, and
//! then answers everybody. No engine holds a business rule. One contract suite (`tests/contract`) keeps them in step.

pub mod checkpoints;
mod filter;
pub mod journal;
pub mod memory;
pub mod oversight;
pub mod postgres;
pub mod sqlite;
pub mod transfer;
pub mod verification;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use crate::auth::keyring::Fingerprints;
use crate::auth::ledger_key::KeyFingerprint;
use crate::auth::throttle::ThrottleNews;
use crate::clock::Clock;
use crate::telemetry::Telemetry;

pub use filter::{HistoryFilter, Listing};
use journal::{Head, JournalReader, JournalWriter};
pub use postgres::PostgresSettings;
pub use transfer::TransferError;

use crate::ledger::chain::Hash;
use crate::ledger::{
    AccountKind, Balance, Command, Currency, Mode, Network, Outcome, PaymentId, PaymentState, Record,
    RecordKey, RecordKind, Rules, SecurityEvent, Session, SessionId, Timestamp, TokenHash, Transaction,
    TransactionId, User, UserId,
};

/// A future that an engine answers with.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Where a ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// Embedded: the data folder.
    Folder(PathBuf),
    /// In a PostgreSQL database.
    Postgres(PostgresSettings),
}

/// Opens the ledger, and makes it where there is none. Of a folder, the caller holds the lock. The keys are
/// durable already: a ledger names the newest from its first moment.
///
/// # Errors
/// [`OpenError`].
pub async fn open(
    location: &Location,
    keys: impl Into<Fingerprints>,
    rules: Rules,
    clock: Clock,
    telemetry: Option<Telemetry>,
) -> Result<Arc<dyn Store>, OpenError> {
    let keys = keys.into();
    Ok(match location {
        Location::Folder(folder) => {
            let pace = sqlite::FoldPace::default();
            Arc::new(sqlite::SqliteStore::open(folder, keys, rules, clock, pace, telemetry)?)
        }
        Location::Postgres(settings) => {
            Arc::new(postgres::PostgresStore::open(settings, keys, rules, clock, telemetry).await?)
        }
    })
}

/// Whether there is a ledger, or what is left of one, so that none can be made there.
///
/// # Errors
/// [`OpenError::Unusable`] if the database cannot be asked.
pub async fn exists(location: &Location) -> Result<bool, OpenError> {
    match location {
        Location::Folder(folder) => Ok(sqlite::exists(folder)),
        Location::Postgres(settings) => postgres::exists(settings).await,
    }
}

/// The file that an embedded ledger is, once nobody has it open.
pub fn file(folder: &Path) -> PathBuf {
    sqlite::file(folder)
}

/// What the ledger in that folder is; also while a server writes.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
pub fn describe(folder: &Path) -> Result<Description, OpenError> {
    sqlite::describe(folder)
}

/// Copies the embedded ledger in the one folder into the other, which is empty, as it is at one moment; also while a
/// server writes. The copy is not made durable.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<(), OpenError> {
    sqlite::copy(from, to)
}

/// Writes down which of its lives the embedded ledger in that folder is in, and leaves it durable in its one file.
/// Nobody has it open.
///
/// # Errors
/// [`OpenError::Unusable`] if it cannot be written.
pub fn begin_epoch(folder: &Path, epoch: u64) -> Result<(), OpenError> {
    sqlite::begin_epoch(folder, epoch)
}

/// Every user of the ledger, in the order of their making; also while a server writes.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
pub async fn read_users(location: &Location) -> Result<Vec<Arc<User>>, OpenError> {
    match location {
        Location::Folder(folder) => sqlite::read_users(folder),
        Location::Postgres(settings) => postgres::read_users(settings).await,
    }
}

/// Recomputes everything from the journal of the ledger; also while a server writes. Blocks, so asynchronous code calls it
/// on a thread that may.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
pub fn verify(location: &Location) -> Result<VerifyReport, OpenError> {
    Ok(verification::audit(&mut *reader(location)?, None)?.report)
}

/// Moves a ledger into an empty place, or goes on with that, and proves both equal. Nobody serves either: of folders the
/// caller holds the locks. Blocks, as [`verify`] does.
///
/// # Errors
/// [`TransferError`].
pub fn migrate(
    from: &Location,
    to: &Location,
    clock: Clock,
    tell: &mut dyn FnMut(transfer::Progress),
) -> Result<VerifyReport, TransferError> {
    let mut source = reader(from).map_err(TransferError::Source)?;
    let mut writer = importer(to, clock).map_err(TransferError::Target)?;
    transfer::transfer(&mut *source, &mut *writer, &mut || reader(to), tell)
}

/// What hands out the ledger there, also while a server writes. Blocks, as [`verify`] does.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
pub fn reader(location: &Location) -> Result<Box<dyn JournalReader>, OpenError> {
    match location {
        Location::Folder(folder) => Ok(Box::new(sqlite::SqliteJournal::open(folder)?)),
        Location::Postgres(settings) => Ok(Box::new(postgres::PostgresJournal::open(settings)?)),
    }
}

/// What takes a ledger in there.
fn importer(location: &Location, clock: Clock) -> Result<Box<dyn JournalWriter>, OpenError> {
    match location {
        Location::Folder(folder) => Ok(Box::new(sqlite::SqliteImport::new(folder, clock))),
        Location::Postgres(settings) => Ok(Box::new(postgres::PostgresImport::open(settings)?)),
    }
}

/// What a ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Play money or real money.
    pub mode: Mode,
    /// Which of its lives it is in: 1 from its making, one more with each restore.
    pub epoch: u64,
    /// Which key file is its own; none if it was made before ledgers said so, and not opened since.
    pub key: Option<KeyFingerprint>,
}

/// What a verification looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Transactions of the journal.
    pub transactions: u64,
    /// Their entries.
    pub entries: u64,
    /// Accounts.
    pub accounts: u64,
    /// Users.
    pub users: u64,
    /// Records.
    pub records: u64,
    /// Security events.
    pub events: u64,
    /// Blocks of the hash chain.
    pub blocks: u64,
    /// The hash of the last block, in hexadecimal.
    pub head: String,
    /// Signed checkpoints that were compared with the journal; none if none were looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoints: Option<u64>,
    /// Everything that is wrong, each with the row that it is about; empty if nothing is.
    pub discrepancies: Vec<String>,
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            transactions,
            entries,
            accounts,
            users,
            records,
            events,
            blocks,
            head,
            checkpoints,
            discrepancies,
        } = self;
        write!(
            f,
            "{transactions} transactions, {entries} entries, {accounts} accounts, {users} users, {records} records, {events} \
             security events, {blocks} blocks\nchain head {head}"
        )?;
        match checkpoints {
            None => {}
            Some(0) => f.write_str("\nno signed checkpoint yet")?,
            Some(1) => f.write_str("\n1 signed checkpoint looked at")?,
            Some(many) => write!(f, "\n{many} signed checkpoints looked at")?,
        }
        if discrepancies.is_empty() {
            return write!(f, "\nEverything follows from the journal.");
        }
        discrepancies.iter().try_for_each(|discrepancy| write!(f, "\n- {discrepancy}"))
    }
}

/// A fault: not a 'no' of the ledger, but a store that could not say yes or no.
///
/// The message is for the operator's log; a client is told only which of the three it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too many commands wait; nothing was done.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The database cannot be used now; nothing was done.
    #[error("the database cannot be used: {0}")]
    Unavailable(String),
    /// The commit failed, and whether it happened is not known: the same idempotency key tells.
    #[error("the outcome of a commit is unknown: {0}")]
    OutcomeUnknown(String),
    /// A row is not what this program writes.
    #[error("the database is damaged: {0}")]
    Damaged(String),
}

/// Why a ledger was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was made in the other mode: sandbox money never becomes live money.
    #[error("this ledger was made in {} mode and cannot be served in {} mode", made.name(), asked.name())]
    Mode {
        /// The mode in which it was made.
        made: Mode,
        /// The mode that was asked for.
        asked: Mode,
    },
    /// It was made with another key.
    #[error("this ledger was made with the key {made}, and the key given is {given}")]
    Key {
        /// The key with which it was made.
        made: KeyFingerprint,
        /// The key that was given.
        given: KeyFingerprint,
    },
    /// The database cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// Keeps the ledger's rows. Cheap to share; every call may come from any thread.
pub trait Store: oversight::Oversight {
    /// Decides a command within a batch, and answers once that batch is durable.
    fn execute(&self, command: Command) -> Answer<'_, Outcome>;

    /// The session whose current access token has this hash, live or not, and its user.
    fn session_by_access(&self, access: TokenHash) -> Answer<'_, Option<(Arc<Session>, Arc<User>)>>;

    /// The same as it was when it was last looked up here, if that is known without asking: maybe outdated, and for those
    /// alone whose command looks at both again. An engine that knows the newest without asking needs none.
    fn seen_session(&self, _access: TokenHash) -> Option<(Arc<Session>, Arc<User>)> {
        None
    }

    /// The user with this id.
    fn user(&self, id: UserId) -> Answer<'_, Option<Arc<User>>>;

    /// The user with this folded email.
    fn user_by_email(&self, folded: String) -> Answer<'_, Option<Arc<User>>>;

    /// Every user, in the order of their making, after a position.
    fn users(&self, page: PageRequest) -> Answer<'_, Page<Arc<User>>>;

    /// The user's sessions that still count at that time, newest first.
    fn sessions(&self, user: UserId, now: Timestamp) -> Answer<'_, Vec<Session>>;

    /// What this address's network is to the user, who may have begun sessions from it.
    fn network(&self, user: UserId, ip: IpAddr) -> Answer<'_, Network>;

    /// What the user's accounts hold, by currency.
    fn wallets(&self, user: UserId) -> Answer<'_, Vec<AccountBalance>>;

    /// The transactions that the user sees, newest first.
    fn history(&self, query: HistoryQuery) -> Answer<'_, Page<Movement>>;

    /// What moved a wallet, oldest first.
    fn wallet_movements(&self, query: WalletQuery) -> Answer<'_, Vec<Movement>>;

    /// The journal after a place, oldest first, without entries and balances: all of it, or what one user sees.
    fn journal(&self, query: JournalQuery) -> Answer<'_, Vec<Movement>>;

    /// One transaction, with its entries, if the user sees it.
    fn transaction(&self, user: UserId, id: TransactionId) -> Answer<'_, Option<Movement>>;

    /// Where the newest later step left each of these payments; those that have none are left out.
    fn payment_states(&self, payments: Vec<PaymentId>) -> Answer<'_, HashMap<PaymentId, PaymentState>>;

    /// The security events that concern a user, newest first.
    fn events(&self, user: UserId, page: PageRequest) -> Answer<'_, Page<SecurityEvent>>;

    /// The record with this key.
    fn record(&self, key: RecordKey) -> Answer<'_, Option<Arc<Record>>>;

    /// The record of this kind that is found by this hash.
    fn record_by_lookup(&self, kind: RecordKind, lookup: Hash) -> Answer<'_, Option<Arc<Record>>>;

    /// Records of one kind, with their positions. New ones come after all that were ever there, in the order of commits,
    /// so that a reader who goes on from a position misses none.
    fn records(&self, query: RecordQuery) -> Answer<'_, Page<(u64, Arc<Record>)>>;

    /// The records of this kind that are due at that time, the longest due first.
    fn due_records(&self, kind: RecordKind, until: Timestamp, limit: usize) -> Answer<'_, Vec<Arc<Record>>>;

    /// Which ledger it is, and which of its lives.
    fn name(&self) -> Answer<'_, LedgerName>;

    /// Where the journal ended with the block of that number, or ends with the last one; none if there is no such block.
    fn head(&self, block: Option<u64>) -> Answer<'_, Option<Head>>;

    /// Tells the other nodes of this ledger what was counted here, and hears what they counted. Approximate: what is lost
    /// is not told again. An engine that serves a single process has nobody to tell.
    fn exchange_news(&self, _news: Vec<ThrottleNews>) -> Answer<'_, Vec<ThrottleNews>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Puts an empty ledger in the place of the session's, which is moved aside as it is; says why where that cannot be done.
    fn begin_anew(&self, _by: SessionId) -> Answer<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(Err("This ledger is kept nowhere.".into()))))
    }

    /// How the store is.
    fn status(&self) -> Status;

    /// Stops taking commands, makes durable what was accepted, and lets go of the database. Idempotent.
    fn close(&self) -> Answer<'_, ()>;
}

/// Which ledger something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerName {
    /// Its id, the same in whatever place.
    pub ledger: Uuid,
    /// Which of its lives: 1 from its making, one more with each restore.
    pub epoch: u64,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// The position after which to go on, as an earlier page gave it; none for the beginning.
    pub after: Option<u64>,
    /// How many rows at most.
    pub limit: usize,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page goes on; none if this is the last.
    pub next: Option<u64>,
}

/// Which transactions of a user are wanted. The position of a page is the commit sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Whose history.
    pub user: UserId,
    /// Which part.
    pub page: PageRequest,
    /// Only these.
    pub filter: HistoryFilter,
}

/// Which records are wanted; those of all owners only of a kind that [is listed so](RecordKind::is_listed_by_kind). The
/// position of a page is the record's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordQuery {
    /// Of this kind.
    pub kind: RecordKind,
    /// Only this owner's, of a kind that [is listed so](RecordKind::is_listed_by_owner).
    pub owner: Option<UserId>,
    /// Only those that belong to this.
    pub parent: Option<Uuid>,
    /// From which end.
    pub order: Order,
    /// Which part.
    pub page: PageRequest,
}

/// From which end a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

/// Which movements of a wallet are wanted: those that moved money, between two places of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalletQuery {
    /// Whose wallet.
    pub user: UserId,
    /// Which.
    pub currency: Currency,
    /// After this place.
    pub after: u64,
    /// Up to this place.
    pub to: u64,
    /// How many at most.
    pub limit: usize,
}

/// Which rows of the journal are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalQuery {
    /// Only what this user sees.
    pub seer: Option<UserId>,
    /// After this place.
    pub after: u64,
    /// How many at most.
    pub limit: usize,
}

/// A transaction as one user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Its place in the journal: the commit sequence.
    pub sequence: u64,
    /// The transaction; its entries may be left out.
    pub transaction: Arc<Transaction>,
    /// What the user's wallet held right after it, in minor units; none if it did not move.
    pub balance_after_minor: Option<i64>,
}

/// What one account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountBalance {
    /// Wallet or holds.
    pub kind: AccountKind,
    /// How much.
    pub balance: Balance,
}

/// How a store is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether it can write.
    pub ready: bool,
    /// The sequence number of the newest transaction.
    pub sequence: u64,
    /// How many blocks the hash chain has.
    pub blocks: u64,
    /// How many commands wait.
    pub queued: u64,
    /// How many transactions are not yet folded.
    pub tail: u64,
}
