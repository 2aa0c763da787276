//! The embedded engine: one `SQLite` file, one writer thread, readers with connections of their own.
//!
//! - `writer`: gathers commands into batches, answers them, recovers from faults;
//! - `flusher`: syncs beside the writer, and brings the log into the file;
//! - `engine`: one batch: load, decide, write, commit;
//! - `fold` and `key_index`: what was appended in the order of time, brought into other orders in sorted bulk;
//! - `tail`: what is not folded yet, for readers; `identities`: users and sessions in memory, exact;
//! - `records`: rows that are read, written and listed; `fresh`: those that were written last, in memory, exact;
//! - `readers` and `reads`: everything that only looks;
//! - `journal`, `checks` and `import`: the whole ledger handed out, checked and taken in.

mod activity;
mod checks;
mod connect;
mod copy;
mod engine;
mod fault;
mod filter;
mod flusher;
mod fold;
mod fresh;
mod identities;
mod import;
mod journal;
pub mod key_index;
mod load;
mod oversight;
mod properties;
mod readers;
mod reads;
mod recents;
mod records;
mod rows;
mod save;
mod statements;
mod tail;
mod writer;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::journal::Head;
use super::{
    AccountBalance, Answer, HistoryQuery, JournalQuery, LedgerName, Movement, OpenError, Page, PageRequest,
    RecordQuery, Status, Store, StoreError, WalletQuery,
};
use crate::auth::keyring::Fingerprints;
use crate::clock::Clock;
use crate::ledger::chain::Hash;
use crate::ledger::{
    Command, Network, Outcome, PaymentId, PaymentState, Record, RecordKey, RecordKind, Rules, SecurityEvent,
    Session, SessionId, Timestamp, TokenHash, TransactionId, User, UserId,
};

use crate::telemetry::{Telemetry, Traced};
pub use copy::{begin_epoch, copy};
use fault::Fault;
use flusher::Flusher;
pub use fold::FoldPace;
use fresh::Fresh;
use identities::{Identities, Lookup};
pub use import::SqliteImport;
pub use journal::SqliteJournal;
pub use properties::describe;
use readers::Readers;
use tail::Tail;
use writer::{Source, Waiting};

/// Commands that may wait before more are turned away.
const QUEUE: usize = 8_192;
/// Threads that read.
const READERS: usize = 2;

/// What the writer, the readers and the door share.
#[derive(Debug, Default)]
struct Shared {
    tail: Tail,
    identities: Identities,
    fresh: Fresh,
    gauges: Gauges,
    telemetry: Option<Telemetry>,
    /// Who waits for an empty ledger in the place of this one.
    anew: Mutex<Option<oneshot::Sender<Result<(), StoreError>>>>,
}

/// What the store tells of itself.
#[derive(Debug, Default)]
struct Gauges {
    ready: AtomicBool,
    sequence: AtomicU64,
    blocks: AtomicU64,
    queued: AtomicU64,
    tail: AtomicU64,
}

/// A ledger in one file.
#[derive(Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    readers: Readers,
    commands: Mutex<Option<SyncSender<Waiting>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the ledger in that folder, and makes it where there is none.
    ///
    /// The caller holds the folder's lock: two writers would each believe to be the only one.
    ///
    /// # Errors
    /// [`OpenError::Mode`] if the ledger was made in the other mode, [`OpenError::Key`] if with another key;
    /// [`OpenError::Unusable`] if the file cannot be used: newer schema, damaged, not writable.
    pub fn open(
        folder: &Path,
        keys: impl Into<Fingerprints>,
        rules: Rules,
        clock: Clock,
        pace: FoldPace,
        telemetry: Option<Telemetry>,
    ) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared { telemetry, ..Shared::default() });
        let mut connection = connect::writer(folder)?;
        let keys = keys.into();
        properties::settle(&mut connection, &keys, &rules, &clock)?;
        let (folder, moved) = (folder.to_owned(), Arc::clone(&shared));
        let source = Source { folder: folder.clone(), keys, shared: moved, rules, clock, pace };
        let engine = source.engine(connection)?;
        let readers = Readers::start(&folder, READERS)?;
        let no_thread = |error| OpenError::Unusable(format!("cannot start a thread: {error}"));
        let flusher = Flusher::start(&folder).map_err(no_thread)?;
        shared.gauges.set_ready(true);
        let (sender, receiver) = sync_channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || writer::run(&source, engine, &receiver, flusher))
            .map_err(no_thread)?;
        Ok(Self { shared, readers, commands: Mutex::new(Some(sender)), writer: Mutex::new(Some(writer)) })
    }

    fn send(&self, command: Command) -> Result<oneshot::Receiver<Result<Outcome, StoreError>>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let commands = commands.as_ref().ok_or_else(|| StoreError::Unavailable("closed".into()))?;
        self.shared.gauges.queued.fetch_add(1, Ordering::Relaxed);
        commands.try_send(Waiting { command, answer, traced: Traced::now() }).map_err(|error| {
            self.shared.gauges.taken(1);
            match error {
                TrySendError::Full(_) => StoreError::Overloaded,
                TrySendError::Disconnected(_) => StoreError::Unavailable("the writer has ended".into()),
            }
        })?;
        Ok(answered)
    }
}

/// Whether there is a ledger in that folder, or what is left of one: a log that another file would be read with.
pub fn exists(folder: &Path) -> bool {
    file(folder).exists()
        || ["-wal", "-journal"].iter().any(|log| folder.join(format!("{}{log}", connect::FILE)).exists())
}

/// The file that a ledger is, once nobody has it open.
pub fn file(folder: &Path) -> PathBuf {
    folder.join(connect::FILE)
}

/// Every user of the ledger in that folder, in the order of their making; also while a server writes.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
pub fn read_users(folder: &Path) -> Result<Vec<Arc<User>>, OpenError> {
    let connection = connect::reader(folder)?;
    let page = reads::users(&connection, PageRequest { after: None, limit: usize::MAX });
    page.map(|page| page.rows).map_err(|fault| OpenError::Unusable(fault.to_string()))
}

impl Store for SqliteStore {
    fn execute(&self, command: Command) -> Answer<'_, Outcome> {
        let sent = self.send(command);
        Box::pin(async move {
            let lost = |_| Err(StoreError::OutcomeUnknown("the writer ended before it answered".into()));
            sent?.await.unwrap_or_else(lost)
        })
    }

    fn session_by_access(&self, access: TokenHash) -> Answer<'_, Option<(Arc<Session>, Arc<User>)>> {
        match self.shared.identities.by_access(&access) {
            Lookup::Known(session, user) => Box::pin(std::future::ready(Ok(Some((session, user))))),
            Lookup::Unknown(version) => {
                let shared = Arc::clone(&self.shared);
                self.readers.read(move |connection| {
                    let found = reads::session_by_access(connection, &access)?;
                    if let Some((session, user)) = &found {
                        shared.identities.learn(version, session, user);
                    }
                    Ok(found)
                })
            }
        }
    }

    fn user(&self, id: UserId) -> Answer<'_, Option<Arc<User>>> {
        self.readers.read(move |connection| reads::user(connection, id))
    }

    fn user_by_email(&self, folded: String) -> Answer<'_, Option<Arc<User>>> {
        self.readers.read(move |connection| reads::user_by_email(connection, &folded))
    }

    fn users(&self, page: PageRequest) -> Answer<'_, Page<Arc<User>>> {
        self.readers.read(move |connection| reads::users(connection, page))
    }

    fn sessions(&self, user: UserId, now: Timestamp) -> Answer<'_, Vec<Session>> {
        self.readers.read(move |connection| reads::sessions(connection, user, now))
    }

    fn network(&self, user: UserId, ip: IpAddr) -> Answer<'_, Network> {
        self.readers.read(move |connection| reads::network(connection, user, ip))
    }

    fn wallets(&self, user: UserId) -> Answer<'_, Vec<AccountBalance>> {
        let shared = Arc::clone(&self.shared);
        self.readers.read(move |connection| reads::wallets(connection, &shared, user))
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, Page<Movement>> {
        let shared = Arc::clone(&self.shared);
        self.readers.read(move |connection| reads::history(connection, &shared, &query))
    }

    fn wallet_movements(&self, query: WalletQuery) -> Answer<'_, Vec<Movement>> {
        let shared = Arc::clone(&self.shared);
        self.readers.read(move |connection| reads::wallet_movements(connection, &shared, &query))
    }

    fn journal(&self, query: JournalQuery) -> Answer<'_, Vec<Movement>> {
        let shared = Arc::clone(&self.shared);
        self.readers.read(move |connection| reads::journal(connection, &shared, query))
    }

    fn transaction(&self, user: UserId, id: TransactionId) -> Answer<'_, Option<Movement>> {
        self.readers.read(move |connection| reads::transaction(connection, user, id))
    }

    fn payment_states(&self, payments: Vec<PaymentId>) -> Answer<'_, HashMap<PaymentId, PaymentState>> {
        self.readers.read(move |connection| reads::payment_states(connection, &payments))
    }

    fn events(&self, user: UserId, page: PageRequest) -> Answer<'_, Page<SecurityEvent>> {
        self.readers.read(move |connection| reads::events(connection, user, page))
    }

    fn record(&self, key: RecordKey) -> Answer<'_, Option<Arc<Record>>> {
        match self.shared.fresh.get(&key) {
            Some(record) => Box::pin(std::future::ready(Ok(Some(record)))),
            None => self.readers.read(move |connection| records::by_key(connection, key)),
        }
    }

    fn record_by_lookup(&self, kind: RecordKind, lookup: Hash) -> Answer<'_, Option<Arc<Record>>> {
        self.readers.read(move |connection| records::by_lookup(connection, kind, &lookup))
    }

    fn records(&self, query: RecordQuery) -> Answer<'_, Page<(u64, Arc<Record>)>> {
        let shared = Arc::clone(&self.shared);
        self.readers.read(move |connection| records::list(connection, &shared, &query))
    }

    fn due_records(&self, kind: RecordKind, until: Timestamp, limit: usize) -> Answer<'_, Vec<Arc<Record>>> {
        self.readers.read(move |connection| records::due(connection, kind, until, limit))
    }

    fn begin_anew(&self, _by: SessionId) -> Answer<'_, Result<(), String>> {
        let (answer, answered) = oneshot::channel();
        let earlier = self.shared.anew.lock().unwrap_or_else(PoisonError::into_inner).replace(answer);
        // Of two who ask at once, the earlier one is told that its outcome is not known.
        drop(earlier);
        Box::pin(async move {
            let lost = |_| Err(StoreError::OutcomeUnknown("the writer ended before it answered".into()));
            answered.await.unwrap_or_else(lost)?;
            self.readers.reopen();
            Ok(Ok(()))
        })
    }

    fn name(&self) -> Answer<'_, LedgerName> {
        self.readers.read(|connection| {
            properties::name(connection).map_err(|error| Fault::Damaged(error.to_string()))
        })
    }

    fn head(&self, block: Option<u64>) -> Answer<'_, Option<Head>> {
        self.readers.read(move |connection| reads::head(connection, block))
    }

    fn status(&self) -> Status {
        let gauges = &self.shared.gauges;
        Status {
            ready: gauges.ready.load(Ordering::Relaxed),
            sequence: gauges.sequence.load(Ordering::Relaxed),
            blocks: gauges.blocks.load(Ordering::Relaxed),
            queued: gauges.queued.load(Ordering::Relaxed),
            tail: gauges.tail.load(Ordering::Relaxed),
        }
    }

    fn close(&self) -> Answer<'_, ()> {
        self.end();
        Box::pin(std::future::ready(Ok(())))
    }
}

impl SqliteStore {
    fn end(&self) {
        drop(self.commands.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
        }
        self.readers.close();
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.end();
    }
}

impl Gauges {
    fn publish(&self, head: &super::journal::Head, tail: u64) {
        self.sequence.store(u64::try_from(head.transaction).unwrap_or_default(), Ordering::Relaxed);
        self.blocks.store(u64::try_from(head.block).unwrap_or_default(), Ordering::Relaxed);
        self.tail.store(tail, Ordering::Relaxed);
    }

    fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    fn taken(&self, commands: usize) {
        self.queued.fetch_sub(u64::try_from(commands).unwrap_or_default(), Ordering::Relaxed);
    }
}
