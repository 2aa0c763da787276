//! The engine on PostgreSQL: any number of stateless nodes on one database.
//!
//! - `lanes`: gathers waiting commands into batches and answers them;
//! - `batch`: one batch: load, decide, write, commit; retried, halved or looked up where that went wrong;
//! - `load` and `save`: the two round trips of a batch;
//! - `pasts`: what risk rules know of users, from batch to batch;
//! - `records`: rows that are read, written and listed as they are;
//! - `journal` and `import`: the whole ledger handed out and taken in;
//! - `news`: what the nodes' throttles tell each other;
//! - `lookups` and `reads`: everything that only looks, point reads gathered as well; `seen`: what of it the door may use
//!   again where a batch looks at it anew;
//! - `connect`, `migrate` and `properties`: TLS, pools, durability, the schema and who may do what in it, what the ledger is;
//!   `guards`: whether what guards the tables is in force; `reset`: an empty ledger in the place of one of play money.
//!
//! Nothing that decides is remembered between batches without asking what came since: what another node committed counts
//! from the next one on. What `seen` remembers decides nothing: whoever the door lets a payment through by, the batch loads
//! their session and user anew, in the round trip that it takes anyway. No advisory lock, no LISTEN, no serial key: the
//! order of the journal comes from the chain's head alone.

mod batch;
mod connect;
mod fault;
mod guards;
mod import;
mod journal;
mod lanes;
mod load;
mod lookups;
mod migrate;
mod news;
mod oversight;
mod pasts;
mod properties;
mod reads;
mod records;
mod reset;
mod rows;
mod save;
mod seen;
mod statements;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_postgres::types::Oid;
use uuid::Uuid;

use super::journal::Head;
use super::{
    AccountBalance, Answer, HistoryQuery, JournalQuery, LedgerName, Movement, OpenError, Page, PageRequest,
    RecordQuery, Status, Store, StoreError, WalletQuery,
};
use crate::auth::keyring::Fingerprints;
use crate::auth::throttle::ThrottleNews;
use crate::clock::Clock;
use crate::ledger::chain::Hash;
use crate::ledger::{
    Command, Network, Outcome, PaymentId, PaymentState, Record, RecordKey, RecordKind, Rules, SecurityEvent,
    Session, SessionId, Timestamp, TokenHash, TransactionId, User, UserId,
};
use crate::telemetry::{Telemetry, Traced};
pub use connect::PostgresSettings;
use fault::{Fault, describe};
pub use import::PostgresImport;
pub use journal::PostgresJournal;
use lanes::Waiting;
use lookups::Lookups;
use reads::SessionAndUser;
use save::Committed;
use seen::Seen;

/// Commands that may wait before more are turned away.
const QUEUE: usize = 8_192;
/// How often the database is asked whether it can be used, and where the journal ends.
const PROBE: Duration = Duration::from_millis(500);
/// After how many probes old batches are forgotten: ten minutes.
const FORGET_EVERY: u32 = 1_200;

/// What the lanes, the readers and the door share.
#[derive(Debug)]
struct Shared {
    writers: Pool,
    readers: Pool,
    /// The runtime that opened the store: connections are its own.
    runtime: Handle,
    rules: Rules,
    clock: Clock,
    gauges: Gauges,
    telemetry: Option<Telemetry>,
}

/// What the store tells of itself.
#[derive(Debug, Default)]
struct Gauges {
    ready: AtomicBool,
    sequence: AtomicU64,
    blocks: AtomicU64,
    queued: AtomicU64,
    /// The table that tells where the journal ends: another one when another ledger has taken the place of this one.
    home: AtomicU32,
}

/// A node's part of a ledger on PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore {
    shared: Arc<Shared>,
    settings: PostgresSettings,
    keys: Fingerprints,
    commands: std::sync::Mutex<Option<mpsc::Sender<Waiting>>>,
    lanes: std::sync::Mutex<Vec<JoinHandle<()>>>,
    probe: JoinHandle<()>,
    sessions: Lookups<TokenHash, SessionAndUser>,
    seen: Seen,
    users: Lookups<UserId, Arc<User>>,
    emails: Lookups<String, Arc<User>>,
    records: Lookups<RecordKey, Arc<Record>>,
    /// This node among the others, new with each start.
    node: Uuid,
    heard: Mutex<news::Heard>,
}

impl PostgresStore {
    /// Opens the ledger in that database, and makes it where there is none.
    ///
    /// # Errors
    /// [`OpenError::Mode`] if the ledger was made in the other mode, [`OpenError::Key`] if with another key;
    /// [`OpenError::Unusable`] if the database cannot be used: not reachable, newer schema, not durable.
    pub async fn open(
        settings: &PostgresSettings,
        keys: impl Into<Fingerprints>,
        rules: Rules,
        clock: Clock,
        telemetry: Option<Telemetry>,
    ) -> Result<Self, OpenError> {
        let keys = keys.into();
        prepare(settings, &keys, &rules, &clock).await?;
        let (writers, readers) = (connect::writers(settings)?, connect::readers(settings)?);
        let gauges = Gauges::default();
        let runtime = Handle::current();
        let shared = Arc::new(Shared { writers, readers, runtime, rules, clock, gauges, telemetry });
        let (head, home, writable) =
            reads::head(&shared).await.map_err(|fault| OpenError::Unusable(fault.to_string()))?;
        shared.gauges.home.store(home, Ordering::Relaxed);
        shared.saw(&head);
        shared.gauges.ready.store(writable, Ordering::Relaxed);
        let (commands, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        let lanes = (0..settings.writers.max(1))
            .map(|_| tokio::spawn(lanes::run(Arc::clone(&shared), Arc::clone(&queue))))
            .collect();
        let node = shared.clock.uuid().map_err(|error| OpenError::Unusable(error.to_string()))?;
        Ok(Self {
            node,
            settings: settings.clone(),
            keys,
            heard: Mutex::default(),
            commands: std::sync::Mutex::new(Some(commands)),
            lanes: std::sync::Mutex::new(lanes),
            probe: tokio::spawn(probe(Arc::clone(&shared))),
            sessions: Lookups::start(Arc::clone(&shared), reads::sessions_by_access),
            seen: Seen::default(),
            users: Lookups::start(Arc::clone(&shared), reads::users_by_id),
            emails: Lookups::start(Arc::clone(&shared), reads::users_by_email),
            records: Lookups::start(Arc::clone(&shared), reads::records_by_key),
            shared,
        })
    }

    fn send(&self, command: Command) -> Result<oneshot::Receiver<Result<Outcome, StoreError>>, StoreError> {
        if !self.shared.gauges.ready.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("waiting for the database".into()));
        }
        let (answer, answered) = oneshot::channel();
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let commands = commands.as_ref().ok_or_else(|| StoreError::Unavailable("closed".into()))?;
        self.shared.gauges.queued.fetch_add(1, Ordering::Relaxed);
        commands.try_send(Waiting { command, answer, traced: Traced::now() }).map_err(|error| {
            self.shared.gauges.taken(1);
            match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => {
                    StoreError::Unavailable("the writers have ended".into())
                }
            }
        })?;
        Ok(answered)
    }

    fn read<'a, T: Send + 'a>(read: impl Future<Output = Result<T, Fault>> + Send + 'a) -> Answer<'a, T> {
        Box::pin(async move { read.await.map_err(StoreError::from) })
    }
}

/// Every user of the ledger in that database, in the order of their making.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
pub async fn read_users(settings: &PostgresSettings) -> Result<Vec<Arc<User>>, OpenError> {
    let connection = connect::connect(&settings.url, settings.statement_timeout_ms).await?;
    migrate::check(&connection).await?;
    let found = connection
        .query(statements::USERS, &[&0_i64, &i64::MAX])
        .await
        .map_err(|error| OpenError::Unusable(describe(&error)))?;
    let users = found.iter().map(|row| rows::user(row, 0)).collect::<Result<_, _>>();
    users.map_err(|fault| OpenError::Unusable(fault.to_string()))
}

/// Whether there is a ledger in that database, and not only its empty tables.
///
/// # Errors
/// [`OpenError::Unusable`] if the database cannot be asked.
pub async fn exists(settings: &PostgresSettings) -> Result<bool, OpenError> {
    let unusable = |error: tokio_postgres::Error| OpenError::Unusable(describe(&error));
    let owner = connect::connect(owner_url(settings), settings.statement_timeout_ms).await?;
    for sql in [
        "SELECT to_regclass('properties') IS NOT NULL",
        "SELECT EXISTS (SELECT FROM properties WHERE name = 'mode')",
    ] {
        let holds: bool = owner.query_one(sql, &[]).await.map_err(unusable)?.try_get(0).map_err(unusable)?;
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The role that makes the tables may look at them, also before the serving role may.
fn owner_url(settings: &PostgresSettings) -> &str {
    settings.migration_url.as_ref().unwrap_or(&settings.url)
}

/// The schema, the rights of the serving role, and what the ledger is.
async fn prepare(
    settings: &PostgresSettings,
    keys: &Fingerprints,
    rules: &Rules,
    clock: &Clock,
) -> Result<(), OpenError> {
    let timeout_ms = settings.statement_timeout_ms;
    let mut owner = connect::connect(owner_url(settings), 0).await?;
    migrate::apply(&mut owner).await?;
    if let Some(role) = migrate::serving_role(settings)? {
        migrate::grant(&mut owner, &role).await?;
    }
    drop(owner);
    let serving = connect::connect(&settings.url, timeout_ms).await?;
    connect::check_durability(&serving).await?;
    if migrate::owns_journal(&serving).await? {
        tracing::warn!(
            "the serving role owns the tables, and could change the journal; give database.migration_url the owner, and \
             database.url a role of its own"
        );
    }
    properties::settle(&serving, keys, rules, clock).await
}

/// Asks the database again and again whether it can be used, and where the journal ends.
async fn probe(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(PROBE);
    let mut count = 0_u32;
    loop {
        ticks.tick().await;
        let was_ready = shared.gauges.ready.load(Ordering::Relaxed);
        let is_ready = match reads::head(&shared).await {
            Ok((head, home, writable)) => {
                shared.found(home);
                shared.saw(&head);
                if !writable {
                    // Connected to a leader that was; the next connections find the one that is.
                    for pool in [&shared.writers, &shared.readers] {
                        pool.retain(|_, _| false);
                    }
                }
                writable
            }
            Err(fault) => {
                if was_ready {
                    tracing::error!(%fault, "the database cannot be used: {fault}");
                }
                false
            }
        };
        if is_ready && !was_ready {
            tracing::info!("the database can be used again");
        }
        shared.gauges.ready.store(is_ready, Ordering::Relaxed);
        count = count.wrapping_add(1);
        if is_ready && count.is_multiple_of(FORGET_EVERY) {
            // What is not deleted now is deleted the next time.
            let _ = reads::forget_batches(&shared).await;
        }
    }
}

impl Store for PostgresStore {
    fn execute(&self, command: Command) -> Answer<'_, Outcome> {
        let sent = self.send(command);
        Box::pin(async move {
            let lost = |_| Err(StoreError::OutcomeUnknown("the writers ended before they answered".into()));
            sent?.await.unwrap_or_else(lost)
        })
    }

    fn session_by_access(&self, access: TokenHash) -> Answer<'_, Option<(Arc<Session>, Arc<User>)>> {
        Box::pin(async move {
            let found = self.sessions.find(access).await?;
            self.seen.take(access, found.as_ref());
            Ok(found)
        })
    }

    fn seen_session(&self, access: TokenHash) -> Option<(Arc<Session>, Arc<User>)> {
        self.seen.find(access)
    }

    fn user(&self, id: UserId) -> Answer<'_, Option<Arc<User>>> {
        Box::pin(self.users.find(id))
    }

    fn user_by_email(&self, folded: String) -> Answer<'_, Option<Arc<User>>> {
        Box::pin(self.emails.find(folded))
    }

    fn users(&self, page: PageRequest) -> Answer<'_, Page<Arc<User>>> {
        Self::read(reads::users(&self.shared, page))
    }

    fn sessions(&self, user: UserId, now: Timestamp) -> Answer<'_, Vec<Session>> {
        Self::read(reads::sessions(&self.shared, user, now))
    }

    fn network(&self, user: UserId, ip: IpAddr) -> Answer<'_, Network> {
        Self::read(reads::network(&self.shared, user, ip))
    }

    fn wallets(&self, user: UserId) -> Answer<'_, Vec<AccountBalance>> {
        Self::read(reads::wallets(&self.shared, user))
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, Page<Movement>> {
        Self::read(async move { reads::history(&self.shared, &query).await })
    }

    fn wallet_movements(&self, query: WalletQuery) -> Answer<'_, Vec<Movement>> {
        Self::read(async move { reads::wallet_movements(&self.shared, &query).await })
    }

    fn journal(&self, query: JournalQuery) -> Answer<'_, Vec<Movement>> {
        Self::read(reads::journal(&self.shared, query))
    }

    fn transaction(&self, user: UserId, id: TransactionId) -> Answer<'_, Option<Movement>> {
        Self::read(reads::transaction(&self.shared, user, id))
    }

    fn payment_states(&self, payments: Vec<PaymentId>) -> Answer<'_, HashMap<PaymentId, PaymentState>> {
        Self::read(async move { reads::payment_states(&self.shared, &payments).await })
    }

    fn events(&self, user: UserId, page: PageRequest) -> Answer<'_, Page<SecurityEvent>> {
        Self::read(reads::events(&self.shared, user, page))
    }

    fn record(&self, key: RecordKey) -> Answer<'_, Option<Arc<Record>>> {
        Box::pin(self.records.find(key))
    }

    fn record_by_lookup(&self, kind: RecordKind, lookup: Hash) -> Answer<'_, Option<Arc<Record>>> {
        Self::read(records::by_lookup(&self.shared, kind, lookup))
    }

    fn records(&self, query: RecordQuery) -> Answer<'_, Page<(u64, Arc<Record>)>> {
        Self::read(async move { records::list(&self.shared, &query).await })
    }

    fn due_records(&self, kind: RecordKind, until: Timestamp, limit: usize) -> Answer<'_, Vec<Arc<Record>>> {
        Self::read(records::due(&self.shared, kind, until, limit))
    }

    fn name(&self) -> Answer<'_, LedgerName> {
        Self::read(reads::name(&self.shared))
    }

    fn head(&self, block: Option<u64>) -> Answer<'_, Option<Head>> {
        Self::read(reads::block(&self.shared, block))
    }

    fn exchange_news(&self, news: Vec<ThrottleNews>) -> Answer<'_, Vec<ThrottleNews>> {
        Self::read(async move {
            news::tell(&self.shared, self.node, &news).await?;
            news::hear(&self.shared, self.node, &mut *self.heard.lock().await).await
        })
    }

    fn begin_anew(&self, by: SessionId) -> Answer<'_, Result<(), String>> {
        Self::read(reset::begin_anew(&self.shared, &self.settings, &self.keys, by))
    }

    fn status(&self) -> Status {
        let gauges = &self.shared.gauges;
        Status {
            ready: gauges.ready.load(Ordering::Relaxed),
            sequence: gauges.sequence.load(Ordering::Relaxed),
            blocks: gauges.blocks.load(Ordering::Relaxed),
            queued: gauges.queued.load(Ordering::Relaxed),
            tail: 0,
        }
    }

    fn close(&self) -> Answer<'_, ()> {
        drop(self.commands.lock().unwrap_or_else(PoisonError::into_inner).take());
        let lanes = std::mem::take(&mut *self.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        Box::pin(async move {
            for lane in lanes {
                // A lane that panicked has nothing left to make durable.
                let _ = lane.await;
            }
            self.probe.abort();
            self.shared.gauges.ready.store(false, Ordering::Relaxed);
            self.shared.writers.close();
            self.shared.readers.close();
            Ok(())
        })
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.probe.abort();
    }
}

impl Shared {
    /// Takes note of where the journal ends.
    fn saw(&self, head: &Committed) {
        self.clock.not_before(head.at);
        self.gauges.saw(head);
    }

    /// Takes note of which table tells where the journal ends.
    fn found(&self, home: Oid) {
        if self.gauges.home.swap(home, Ordering::Relaxed) != home {
            tracing::warn!("an empty ledger has taken the place of the one that was served");
            self.gauges.sequence.store(0, Ordering::Relaxed);
            self.gauges.blocks.store(0, Ordering::Relaxed);
        }
    }
}

impl Gauges {
    /// Another node may have been further already: figures of one ledger only grow.
    fn saw(&self, head: &Committed) {
        self.sequence.fetch_max(u64::try_from(head.last_transaction).unwrap_or_default(), Ordering::Relaxed);
        self.blocks.fetch_max(u64::try_from(head.block).unwrap_or_default(), Ordering::Relaxed);
    }

    fn taken(&self, commands: usize) {
        self.queued.fetch_sub(u64::try_from(commands).unwrap_or_default(), Ordering::Relaxed);
    }
}
