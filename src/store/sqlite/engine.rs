//! The writer's engine: load, decide, write, commit, for one batch at a time, on the only writing connection.
//!
//! The hot path appends to the journal and touches nothing else: balances, histories and keys are folded in behind
//! (`fold.rs`). What is not folded yet is known here (keys, accounts) and in the tail (for readers). All of it is
//! rebuilt from the journal at start and after a fault; nothing in memory outlives a failed commit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::fault::Fault;
use super::flusher::Log;
use super::fold::{Fold, FoldPace};
use super::key_index::KeyIndex;
use super::recents::Recents;
use super::tail::TailRecord;
use super::{Shared, properties};
use crate::clock::Clock;
use crate::ledger::chain::{BlockDigest, Hash, link};
use crate::ledger::{
    AccountKey, AccountKind, Activity, Changes, Command, IdMap, IdempotencyKey, Needs, Outcome, PaymentShape,
    RecentPayment, RecordKind, Rules, SecurityEvent, Transaction, TransactionKind, UserId, WorkingSet,
    decide,
};
use crate::store::journal::Head;

/// Users whose last payments are kept in memory, before all of them are forgotten and read again: 45 MiB at most.
const ACTIVE_USERS: usize = 20_000;

/// How long what gives way may be written and not durable.
const UNSYNCED: Duration = Duration::from_secs(1);
/// A write that changes nothing: once it is durable, so is everything before.
const PROOF: &str = "UPDATE properties SET value = value WHERE name = 'folded_to'";

/// Accounts kept in memory before those that are folded are forgotten.
const ACCOUNT_CAPACITY: usize = 200_000;

/// An account as the writer knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownAccount {
    pub(super) no: i64,
    pub(super) balance: i64,
    /// The last transaction that touched it: folded if not above the watermark.
    pub(super) last_transaction: i64,
}

/// The numbers of transactions by the hash of their owner and key.
pub(super) type KeyHashes = HashMap<u64, Vec<i64>>;

/// The writer's state. Thrown away and made anew after a fault.
pub(super) struct Engine {
    pub(super) connection: Connection,
    pub(super) log: Log,
    pub(super) shared: Arc<Shared>,
    rules: Rules,
    clock: Clock,
    pub(super) pace: FoldPace,
    pub(super) head: Head,
    pub(super) folded_to: i64,
    /// Up to which security event they are listed by user.
    pub(super) events_listed_to: i64,
    pub(super) accounts: IdMap<AccountKey, KnownAccount>,
    pub(super) next_account: i64,
    /// The number of the newest record there ever was.
    pub(super) last_record: i64,
    /// Numbers of records that were taken away before they were folded.
    pub(super) gone: HashSet<i64>,
    /// Every account that holds or held money for payments to be captured.
    holding: HashSet<AccountKey>,
    /// Keys that are in no run yet: of the active generation, and of the one being folded.
    pub(super) active_keys: KeyHashes,
    pub(super) folding_keys: KeyHashes,
    pub(super) key_index: KeyIndex,
    pub(super) recents: Recents,
    /// The last payments of users who paid or were paid since the start. While a batch is made, its working set has them.
    activity: IdMap<UserId, Activity>,
    pub(super) fold: Option<Fold>,
    /// How long the last batch took to be made durable; nothing if it changed nothing.
    pub(super) last_commit: Duration,
    /// Since when there are batches that were written and not yet synced.
    unsynced_since: Option<Instant>,
}

/// A batch that was run.
pub(super) struct Done {
    pub(super) outcomes: Vec<Outcome>,
    /// Security events that it wrote, to be logged.
    pub(super) events: Vec<SecurityEvent>,
}

/// What a batch's commit makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// Durable before anybody is answered.
    Synced,
    /// Written, in its place before what comes later. It becomes durable with the next batch that is synced.
    Written,
}

impl Engine {
    /// An engine on that connection, before the journal's end is read.
    pub(super) fn new(
        mut connection: Connection,
        shared: Arc<Shared>,
        rules: Rules,
        clock: Clock,
        pace: FoldPace,
    ) -> Result<Self, Fault> {
        let log = Log::of(&mut connection)?;
        let key_index = KeyIndex::open(&connection).map_err(key_fault)?;
        let recents = Recents::new(rules.duplicate_window_ms);
        let mut engine = Self {
            connection,
            log,
            shared,
            rules,
            clock,
            pace,
            head: Head::default(),
            folded_to: 0,
            events_listed_to: 0,
            accounts: IdMap::default(),
            next_account: 1,
            last_record: 0,
            gone: HashSet::new(),
            holding: HashSet::new(),
            active_keys: KeyHashes::new(),
            folding_keys: KeyHashes::new(),
            key_index,
            recents,
            activity: IdMap::default(),
            fold: None,
            last_commit: Duration::ZERO,
            unsynced_since: None,
        };
        engine.rebuild()?;
        engine.publish();
        Ok(engine)
    }

    /// Runs one batch. On success everything is durable, but for a batch that [gives way](Command::gives_way): what that
    /// wrote is done again if it was lost, and it is durable within [`UNSYNCED`]. On a fault the engine is not to be used
    /// again.
    pub(super) fn run(&mut self, commands: &[Command]) -> Result<Done, Fault> {
        self.last_commit = Duration::ZERO;
        let mut set = self.load(commands)?;
        let outcomes = commands.iter().map(|command| decide(&self.rules, &mut set, command)).collect();
        if !set.changes.is_empty() {
            let may_wait = commands.iter().all(Command::gives_way)
                && set.changes.transactions.is_empty()
                && set.changes.events.is_empty()
                // Who reads the feed goes on after its numbers: none may come twice.
                && set.changes.added_records.iter().all(|key| key.kind != RecordKind::Notice)
                && self.unsynced_since.is_none_or(|since| since.elapsed() < UNSYNCED);
            self.write(&set, if may_wait { Durability::Written } else { Durability::Synced })?;
            self.apply(&set);
            if let Some(telemetry) = &self.shared.telemetry {
                telemetry.engine().batch(commands.len(), self.last_commit);
            }
        }
        self.activity = std::mem::take(&mut set.activity);
        if self.activity.len() >= ACTIVE_USERS {
            self.activity.clear();
        }
        Ok(Done { outcomes, events: set.changes.events })
    }

    /// Whether something was written and is not yet durable.
    pub(super) fn is_unsynced(&self) -> bool {
        self.unsynced_since.is_some()
    }

    /// Makes durable what was written.
    pub(super) fn sync(&mut self) -> Result<(), Fault> {
        self.connection.execute_batch(PROOF)?;
        self.unsynced_since = None;
        Ok(())
    }

    /// Lets go of a batch that failed half-way, so that the engine made in this one's place can write.
    pub(super) fn roll_back(&self) {
        // Where no transaction is open there is nothing to roll back.
        let _ = self.connection.execute_batch("ROLLBACK");
    }

    /// What the batch needs, from memory where it is known and from the file where not.
    fn load(&mut self, commands: &[Command]) -> Result<WorkingSet, Fault> {
        let mut needs = Needs::default();
        for command in commands {
            command.add_needs(&mut needs);
        }
        let mut set = WorkingSet::at(self.head.at.max(self.clock.now()));
        super::load::identities(&self.connection, &self.shared.identities, &needs, &mut set)?;
        needs.record_lookups.extend(needs.cash_by_key(&set.users));
        super::records::load(&self.connection, &self.shared.fresh, &needs, &mut set)?;
        self.load_payments(&mut needs, &mut set)?;
        for account in &needs.accounts {
            if let Some(known) = self.account(account)? {
                set.accounts.insert(*account, known.balance);
            }
        }
        for (owner, key) in &needs.keys {
            if let Some(transaction) = self.answered(*owner, key)? {
                set.keys.insert((*owner, key.clone()), Arc::new(transaction));
            }
        }
        for user in needs.active().filter(|_| self.rules.risk.enabled) {
            if !self.activity.contains_key(user) {
                let activity = super::activity::read(&self.connection, &self.shared, *user)?;
                self.activity.insert(*user, activity);
            }
        }
        for shape in &needs.shapes {
            if !set.shapes.contains_key(shape) {
                let recent = self.recent(shape, needs.payments.len().saturating_add(1))?;
                set.shapes.insert(shape.clone(), recent);
            }
        }
        set.activity = std::mem::take(&mut self.activity);
        Ok(set)
    }

    /// Payments and where they stand; and that both their sides' accounts are needed.
    fn load_payments(&mut self, needs: &mut Needs, set: &mut WorkingSet) -> Result<(), Fault> {
        for payment in std::mem::take(&mut needs.payments) {
            if let Some(known) = super::load::payment(&self.connection, payment)? {
                let first = &known.first;
                needs.add_accounts([first.from.id, first.to.id], first.money.currency());
                set.payments.insert(payment, known);
            }
            needs.payments.push(payment);
        }
        Ok(())
    }

    /// The latest payments of that shape that did not come to nothing, oldest first.
    fn recent(&self, shape: &PaymentShape, wanted: usize) -> Result<Vec<RecentPayment>, Fault> {
        let mut recent = Vec::new();
        for no in self.recents.candidates(shape) {
            let transaction = super::load::bare_transaction(&self.connection, no)?;
            let payment = transaction.id.into();
            let state = super::load::state(&self.connection, payment)?;
            if transaction.shape() == *shape && !state.is_some_and(|state| state.status.is_undone()) {
                recent.push(RecentPayment { payment, at: transaction.created_at });
            }
            if recent.len() >= wanted {
                break;
            }
        }
        recent.reverse();
        Ok(recent)
    }

    fn account(&mut self, key: &AccountKey) -> Result<Option<KnownAccount>, Fault> {
        if let Some(known) = self.accounts.get(key) {
            return Ok(Some(*known));
        }
        // Few users ever hold money, and every payment asks whether its sides do.
        if key.kind == AccountKind::Holds && !self.holding.contains(key) {
            return Ok(None);
        }
        let found = super::load::account(&self.connection, key)?;
        if let Some(known) = found {
            self.accounts.insert(*key, known);
        }
        Ok(found)
    }

    /// The transaction that first used the key, wherever it is known.
    fn answered(&self, owner: UserId, key: &IdempotencyKey) -> Result<Option<Transaction>, Fault> {
        let hash = key_hash(&key.digest(owner));
        let mut candidates = Vec::new();
        self.key_index.candidates(&self.connection, hash, &mut candidates).map_err(key_fault)?;
        let folded = candidates.into_iter().filter_map(|no| i64::try_from(no).ok());
        let unfolded = [&self.active_keys, &self.folding_keys];
        let unfolded = unfolded.into_iter().filter_map(|keys| keys.get(&hash)).flatten().copied();
        for no in unfolded.chain(folded) {
            let transaction = super::load::transaction(&self.connection, no)?;
            if transaction.owner() == owner && transaction.key.as_ref() == Some(key) {
                return Ok(Some(transaction));
            }
        }
        Ok(None)
    }

    /// Writes the difference and commits it.
    fn write(&mut self, set: &WorkingSet, durability: Durability) -> Result<(), Fault> {
        if durability == Durability::Written {
            // A fault before it is undone ends the connection; whatever follows on it is synced.
            self.connection.execute_batch("PRAGMA synchronous = NORMAL")?;
        }
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        super::save::identities(&self.connection, set)?;
        let last_record = super::records::save(&self.connection, set, self.last_record, &mut self.gone)?;
        let mut digest = BlockDigest::default();
        self.write_transactions(self.head.transaction, &set.changes.transactions)?;
        for transaction in &set.changes.transactions {
            digest.transaction(transaction);
        }
        let mut head = self.head;
        super::save::events(&self.connection, &set.changes.events, head.event)?;
        for event in &set.changes.events {
            digest.event(event);
        }
        head.transaction = next(head.transaction, set.changes.transactions.len())?;
        head.event = next(head.event, set.changes.events.len())?;
        head.at = set.now;
        if head.transaction != self.head.transaction || head.event != self.head.event {
            let rows = digest.finish();
            head.block = next(head.block, 1)?;
            head.hash = link(&head.hash, &rows.digest, head.at);
            super::save::block(&self.connection, &head, &rows)?;
        }
        let began = Instant::now();
        self.connection.execute_batch("COMMIT").map_err(Fault::Commit)?;
        self.last_commit = began.elapsed();
        match durability {
            Durability::Synced => self.unsynced_since = None,
            Durability::Written => {
                self.connection.execute_batch("PRAGMA synchronous = FULL")?;
                self.unsynced_since = self.unsynced_since.or(Some(began));
            }
        }
        self.head = head;
        self.last_record = last_record;
        Ok(())
    }

    /// Writes transactions that follow the one with the number `after`, and opens the accounts that they touch first.
    pub(super) fn write_transactions(
        &mut self,
        after: i64,
        transactions: &[Arc<Transaction>],
    ) -> Result<(), Fault> {
        for (no, transaction) in numbered(after, transactions) {
            for entry in &transaction.entries {
                if self.account(&entry.account)?.is_none() {
                    let opened = KnownAccount { no: self.next_account, balance: 0, last_transaction: 0 };
                    super::save::open_account(
                        &self.connection,
                        opened.no,
                        &entry.account,
                        self.head.transaction,
                    )?;
                    self.next_account = next(self.next_account, 1)?;
                    if entry.account.kind == AccountKind::Holds {
                        self.holding.insert(entry.account);
                    }
                    self.accounts.insert(entry.account, opened);
                }
                if let Some(known) = self.accounts.get_mut(&entry.account) {
                    known.balance = entry.balance_after_minor;
                    known.last_transaction = no;
                }
            }
        }
        let accounts = &self.accounts;
        super::save::transactions(&self.connection, numbered(after, transactions), |account| {
            accounts.get(account).map(|known| known.no)
        })
    }

    /// Folds all that is not folded yet.
    pub(super) fn fold_all(&mut self) -> Result<(), Fault> {
        while self.wants_to_fold(true) {
            self.fold_slice(true)?;
        }
        Ok(())
    }

    /// Takes a durable batch into memory, before anybody is answered.
    fn apply(&mut self, set: &WorkingSet) {
        let transactions = &set.changes.transactions;
        let before =
            self.head.transaction.saturating_sub(i64::try_from(transactions.len()).unwrap_or_default());
        self.remember(before, || transactions.iter(), super::records::listed(set, self.last_record));
        let users = set.changes.users.iter().filter_map(|id| set.users.get(id));
        let sessions = set.changes.sessions.iter().filter_map(|id| set.sessions.get(id));
        if !set.changes.users.is_empty() || !set.changes.sessions.is_empty() {
            self.shared.identities.replace(users, sessions);
        }
        let Changes { removed_records, updated_records, added_records, .. } = &set.changes;
        // Nobody asks for a notice by its key but who sends an event again.
        let written = updated_records.iter().chain(added_records);
        let written =
            written.filter(|key| key.kind != RecordKind::Notice).filter_map(|key| set.records.get(key));
        self.shared.fresh.replace(removed_records.iter(), written);
        if let Some(telemetry) = &self.shared.telemetry {
            telemetry.security_events(&set.changes.events);
        }
        self.publish();
    }

    /// Takes transactions that are durable and follow the one with the number `after`, and new records, into what is not
    /// folded yet.
    pub(super) fn remember<'a, T>(
        &mut self,
        after: i64,
        transactions: impl Fn() -> T,
        records: impl Iterator<Item = TailRecord>,
    ) where
        T: Iterator<Item = &'a Arc<Transaction>>,
    {
        let numbered = || (after.saturating_add(1)..).zip(transactions());
        for (no, transaction) in numbered() {
            remember_key(&mut self.active_keys, no, transaction);
            remember_shape(&mut self.recents, no, transaction);
        }
        self.shared.tail.extend(numbered().map(|(no, transaction)| (no, &**transaction)), records);
        if self.accounts.len() > ACCOUNT_CAPACITY {
            let folded_to = self.folded_to;
            self.accounts.retain(|_, known| known.last_transaction > folded_to);
        }
    }

    /// Reads where the journal ends, and into memory what is not folded.
    fn rebuild(&mut self) -> Result<(), Fault> {
        self.shared.identities.clear();
        self.shared.fresh.clear();
        self.folded_to = properties::number(&self.connection, properties::FOLDED_TO)?;
        self.events_listed_to = properties::number(&self.connection, properties::EVENTS_LISTED_TO)?;
        self.head = super::load::head(&self.connection)?;
        self.clock.not_before(self.head.at);
        self.next_account =
            self.connection
                .query_row("SELECT coalesce(max(no), 0) + 1 FROM accounts", [], |row| row.get(0))?;
        self.last_record = super::records::last(&self.connection)?;
        self.holding = super::load::holding(&self.connection)?;
        let mut generation = super::tail::Generation::default();
        let (keys, known) = (&mut self.active_keys, &mut self.accounts);
        super::load::each_after(&self.connection, self.folded_to, |no, transaction, accounts| {
            generation.add(no, transaction);
            remember_key(keys, no, transaction);
            for (entry, account) in transaction.entries.iter().zip(accounts) {
                let balance = entry.balance_after_minor;
                known.insert(entry.account, KnownAccount { no: *account, balance, last_transaction: no });
            }
        })?;
        super::records::each_unfolded(&self.connection, |record| generation.add_record(record))?;
        self.shared.tail.replace(generation);
        let window_begins = self.clock.now().plus_millis(self.rules.duplicate_window_ms.saturating_neg());
        let before = super::load::last_before(&self.connection, self.head.transaction, window_begins)?;
        let recents = &mut self.recents;
        super::load::each_after(&self.connection, before, |no, transaction, _| {
            remember_shape(recents, no, transaction);
        })?;
        Ok(())
    }

    /// Tells the world where the journal ends.
    pub(super) fn publish(&self) {
        self.shared.gauges.publish(&self.head, self.shared.tail.len());
    }
}

fn remember_key(keys: &mut KeyHashes, no: i64, transaction: &Transaction) {
    if let Some(key) = &transaction.key {
        keys.entry(key_hash(&key.digest(transaction.owner()))).or_default().push(no);
    }
}

fn remember_shape(recents: &mut Recents, no: i64, transaction: &Transaction) {
    if transaction.kind == TransactionKind::Payment && transaction.decline.is_none() {
        recents.add(&transaction.shape(), no, transaction.created_at);
    }
}

/// The hash under which a key is found, from its digest: uniform.
pub(super) fn key_hash(digest: &Hash) -> u64 {
    digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

pub(super) fn key_fault(error: super::key_index::KeyIndexError) -> Fault {
    match error {
        super::key_index::KeyIndexError::Sqlite(error) => Fault::Sqlite(error),
        damaged => Fault::Damaged(damaged.to_string()),
    }
}

/// Transactions with the numbers that they get.
fn numbered(after: i64, transactions: &[Arc<Transaction>]) -> impl Iterator<Item = (i64, &Arc<Transaction>)> {
    (after.saturating_add(1)..).zip(transactions)
}

fn next(number: i64, by: usize) -> Result<i64, Fault> {
    i64::try_from(by)
        .ok()
        .and_then(|by| number.checked_add(by))
        .ok_or_else(|| Fault::Damaged("the journal's numbers are used up".into()))
}
