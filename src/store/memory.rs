//! The model engine: everything in memory, one command a batch. What tests compare the others against.
//!
//! It is as plain as can be, so that where an engine and this one differ, the engine is wrong.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::clock::Clock;
use crate::ledger::chain::{BlockDigest, Hash, link};
use crate::ledger::{
    AccountKey, Activity, Balance, Changes, Command, IdempotencyKey, KnownPayment, Needs, Network, Outcome,
    PaymentId, PaymentShape, PaymentState, RecentPayment, Record, RecordKey, RecordKind, RefreshState, Role,
    Rules, SecurityEvent, Session, SessionId, Timestamp, TokenHash, Transaction, TransactionId,
    TransactionKind, User, UserId, WorkingSet, decide,
};

use super::journal::Head;
use super::oversight::{EventQuery, Oversight, PaymentFigures, Statistics, TransactionQuery, UserQuery};
use super::{
    AccountBalance, Answer, HistoryQuery, JournalQuery, LedgerName, Movement, Order, Page, PageRequest,
    RecordQuery, Status, Store, StoreError, WalletQuery,
};

/// A ledger in memory.
#[derive(Debug)]
pub struct MemoryStore {
    rules: Rules,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    now: Timestamp,
    users: Vec<Arc<User>>,
    sessions: BTreeMap<SessionId, Arc<Session>>,
    spent_tokens: HashMap<TokenHash, SessionId>,
    accounts: BTreeMap<AccountKey, i64>,
    transactions: Vec<Arc<Transaction>>,
    keys: HashMap<(UserId, IdempotencyKey), Arc<Transaction>>,
    payments: HashMap<PaymentId, KnownPayment>,
    shapes: HashMap<PaymentShape, Vec<RecentPayment>>,
    events: Vec<SecurityEvent>,
    records: BTreeMap<u64, Arc<Record>>,
    last_record: u64,
    blocks: u64,
    chain: Head,
}

impl MemoryStore {
    /// An empty ledger.
    pub fn new(rules: Rules, clock: Clock) -> Self {
        Self { rules, clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer<'a, T: Send + 'a>(&self, read: impl FnOnce(&State) -> T) -> Answer<'a, T> {
        let value = read(&self.state());
        Box::pin(std::future::ready(Ok(value)))
    }
}

impl Store for MemoryStore {
    fn execute(&self, command: Command) -> Answer<'_, Outcome> {
        let mut state = self.state();
        if state.closed {
            return Box::pin(std::future::ready(Err(StoreError::Unavailable("closed".into()))));
        }
        state.now = state.now.max(self.clock.now());
        let mut needs = Needs::default();
        command.add_needs(&mut needs);
        for known in needs.payments.clone().iter().filter_map(|payment| state.payments.get(payment)) {
            let first = &known.first;
            needs.add_accounts([first.from.id, first.to.id], first.money.currency());
        }
        let mut set = state.load(&needs, self.rules.duplicate_window_ms);
        let outcome = decide(&self.rules, &mut set, &command);
        state.save(set);
        Box::pin(std::future::ready(Ok(outcome)))
    }

    fn session_by_access(&self, access: TokenHash) -> Answer<'_, Option<(Arc<Session>, Arc<User>)>> {
        self.answer(|state| {
            let session = state.sessions.values().find(|session| session.access == access)?;
            Some((Arc::clone(session), state.user(session.user)?))
        })
    }

    fn user(&self, id: UserId) -> Answer<'_, Option<Arc<User>>> {
        self.answer(|state| state.user(id))
    }

    fn user_by_email(&self, folded: String) -> Answer<'_, Option<Arc<User>>> {
        self.answer(|state| state.users.iter().find(|user| user.email.folded() == folded).cloned())
    }

    fn users(&self, page: PageRequest) -> Answer<'_, Page<Arc<User>>> {
        self.answer(|state| {
            let after = page.after.unwrap_or_default();
            let rows = (1_u64..).zip(state.users.iter().cloned()).filter(|(position, _)| *position > after);
            cut(rows, page.limit)
        })
    }

    fn sessions(&self, user: UserId, now: Timestamp) -> Answer<'_, Vec<Session>> {
        self.answer(|state| {
            let live = state.sessions.values().filter(|session| session.user == user && session.is_live(now));
            let mut sessions: Vec<_> = live.map(|session| Session::clone(session)).collect();
            sessions.sort_by_key(|session| std::cmp::Reverse((session.created_at, session.id)));
            sessions
        })
    }

    fn network(&self, user: UserId, ip: IpAddr) -> Answer<'_, Network> {
        self.answer(|state| {
            let own = state.sessions.values().filter(|session| session.user == user);
            Network::among(own.filter_map(|session| session.ip), ip)
        })
    }

    fn wallets(&self, user: UserId) -> Answer<'_, Vec<AccountBalance>> {
        self.answer(|state| {
            let own = state.accounts.iter().filter(|(account, _)| account.owner == user);
            own.map(|(account, amount_minor)| AccountBalance {
                kind: account.kind,
                balance: Balance { amount_minor: *amount_minor, currency: account.currency },
            })
            .collect()
        })
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, Page<Movement>> {
        self.answer(|state| {
            let before = query.page.after.unwrap_or(u64::MAX);
            let rows = state
                .movements(query.user)
                .rev()
                .filter(|movement| movement.sequence < before && query.filter.matches(&movement.transaction));
            cut(rows.map(|movement| (movement.sequence, movement)), query.page.limit)
        })
    }

    fn wallet_movements(&self, query: WalletQuery) -> Answer<'_, Vec<Movement>> {
        self.answer(|state| {
            let rows = state.movements(query.user).filter(|movement| {
                movement.sequence > query.after
                    && movement.sequence <= query.to
                    && movement.balance_after_minor.is_some()
                    && movement.transaction.money.currency() == query.currency
            });
            rows.take(query.limit).collect()
        })
    }

    fn journal(&self, query: JournalQuery) -> Answer<'_, Vec<Movement>> {
        self.answer(|state| {
            let numbered = state.transactions.iter().enumerate();
            let rows = numbered.map(|(index, transaction)| Movement {
                sequence: number(index),
                balance_after_minor: None,
                transaction: Arc::clone(transaction),
            });
            let is_seen = |movement: &Movement| {
                query.seer.is_none_or(|seer| movement.transaction.seen_by().any(|user| user == seer))
            };
            rows.filter(|movement| movement.sequence > query.after && is_seen(movement))
                .take(query.limit)
                .collect()
        })
    }

    fn transaction(&self, user: UserId, id: TransactionId) -> Answer<'_, Option<Movement>> {
        self.answer(|state| state.movements(user).find(|movement| movement.transaction.id == id))
    }

    fn payment_states(&self, payments: Vec<PaymentId>) -> Answer<'_, HashMap<PaymentId, PaymentState>> {
        self.answer(|state| {
            let steps = state.transactions.iter().filter_map(|transaction| transaction.stage.step());
            let wanted = steps.filter(|step| payments.contains(&step.payment));
            wanted.map(|step| (step.payment, step.state)).collect()
        })
    }

    fn events(&self, user: UserId, page: PageRequest) -> Answer<'_, Page<SecurityEvent>> {
        self.answer(|state| {
            let before = page.after.unwrap_or(u64::MAX);
            let numbered = state.events.iter().enumerate().rev().map(|(index, event)| (number(index), event));
            let rows = numbered.filter(|(number, event)| *number < before && event.user == Some(user));
            cut(rows.map(|(number, event)| (number, event.clone())), page.limit)
        })
    }

    fn record(&self, key: RecordKey) -> Answer<'_, Option<Arc<Record>>> {
        self.answer(|state| state.records.values().find(|record| record.key == key).cloned())
    }

    fn record_by_lookup(&self, kind: RecordKind, lookup: Hash) -> Answer<'_, Option<Arc<Record>>> {
        self.answer(|state| {
            let mut records = state.records.values();
            records.find(|record| record.key.kind == kind && record.filing.lookup == Some(lookup)).cloned()
        })
    }

    fn records(&self, query: RecordQuery) -> Answer<'_, Page<(u64, Arc<Record>)>> {
        self.answer(|state| {
            let RecordQuery { kind, owner, parent, order, page } = query;
            let wanted = state.records.iter().filter(|(_, record)| {
                record.key.kind == kind
                    && owner.is_none_or(|owner| record.filing.owner == owner)
                    && (parent.is_none() || record.filing.parent == parent)
            });
            let numbered = wanted.map(|(number, record)| (*number, (*number, Arc::clone(record))));
            match order {
                Order::OldestFirst => {
                    let after = page.after.unwrap_or_default();
                    cut(numbered.filter(|(number, _)| *number > after), page.limit)
                }
                Order::NewestFirst => {
                    let before = page.after.unwrap_or(u64::MAX);
                    cut(numbered.rev().filter(|(number, _)| *number < before), page.limit)
                }
            }
        })
    }

    fn due_records(&self, kind: RecordKind, until: Timestamp, limit: usize) -> Answer<'_, Vec<Arc<Record>>> {
        self.answer(|state| {
            let of_kind = state.records.iter().filter(|(_, record)| record.key.kind == kind);
            let due = of_kind.filter_map(|(number, record)| {
                let due_at = record.filing.due_at.filter(|due_at| *due_at <= until)?;
                Some(((due_at, *number), Arc::clone(record)))
            });
            let due: BTreeMap<_, _> = due.collect();
            due.into_values().take(limit).collect()
        })
    }

    fn name(&self) -> Answer<'_, LedgerName> {
        self.answer(|_| LedgerName { ledger: Uuid::nil(), epoch: 1 })
    }

    fn head(&self, block: Option<u64>) -> Answer<'_, Option<Head>> {
        // Of its blocks the model knows only the last.
        self.answer(|state| {
            let is_last = block.is_none_or(|block| block == state.blocks);
            (state.blocks > 0 && is_last).then_some(state.chain)
        })
    }

    fn status(&self) -> Status {
        let state = self.state();
        Status {
            ready: !state.closed,
            sequence: u64::try_from(state.transactions.len()).unwrap_or(u64::MAX),
            blocks: state.blocks,
            queued: 0,
            tail: 0,
        }
    }

    fn close(&self) -> Answer<'_, ()> {
        self.state().closed = true;
        self.answer(|_| ())
    }
}

impl Oversight for MemoryStore {
    fn find_users(&self, query: UserQuery) -> Answer<'_, Page<Arc<User>>> {
        self.answer(|state| {
            let before = query.page.after.unwrap_or(u64::MAX);
            let numbered = (1_u64..).zip(&state.users).collect::<Vec<_>>().into_iter().rev();
            let rows = numbered.filter(|(position, user)| *position < before && query.matches(user));
            cut(rows.map(|(position, user)| (position, Arc::clone(user))), query.page.limit)
        })
    }

    fn find_transactions(&self, query: TransactionQuery) -> Answer<'_, Page<Movement>> {
        self.answer(|state| {
            let before = query.page.after.unwrap_or(u64::MAX);
            let numbered = state.transactions.iter().enumerate().rev();
            let rows = numbered.map(|(index, transaction)| (number(index), transaction)).filter(
                |(number, transaction)| {
                    let is_party = transaction.is_party(query.not_of);
                    *number < before && !is_party && query.filter.matches(transaction)
                },
            );
            let row = |(sequence, transaction): (u64, &Arc<Transaction>)| {
                let transaction = Arc::clone(transaction);
                (sequence, Movement { sequence, transaction, balance_after_minor: None })
            };
            cut(rows.map(row), query.page.limit)
        })
    }

    fn find_transaction(&self, id: TransactionId) -> Answer<'_, Option<Movement>> {
        self.answer(|state| {
            let mut numbered = state.transactions.iter().enumerate();
            let (index, found) = numbered.find(|(_, transaction)| transaction.id == id)?;
            let transaction = Arc::clone(found);
            Some(Movement { sequence: number(index), transaction, balance_after_minor: None })
        })
    }

    fn payment_steps(&self, payment: PaymentId, limit: usize) -> Answer<'_, Vec<Movement>> {
        self.answer(|state| {
            let steps = state.transactions.iter().enumerate().filter(|(_, transaction)| {
                transaction.stage.step().is_some_and(|step| step.payment == payment)
            });
            let row = |(index, transaction): (usize, &Arc<Transaction>)| {
                let transaction = Arc::clone(transaction);
                Movement { sequence: number(index), transaction, balance_after_minor: None }
            };
            steps.take(limit).map(row).collect()
        })
    }

    fn find_events(&self, query: EventQuery) -> Answer<'_, Page<SecurityEvent>> {
        self.answer(|state| {
            let before = query.page.after.unwrap_or(u64::MAX);
            let numbered = state.events.iter().enumerate().rev().map(|(index, event)| (number(index), event));
            let rows = numbered.filter(|(number, event)| *number < before && query.matches(event));
            cut(rows.map(|(number, event)| (number, event.clone())), query.page.limit)
        })
    }

    fn statistics(&self, now: Timestamp, since: Timestamp) -> Answer<'_, Statistics> {
        self.answer(|state| {
            let mut users: BTreeMap<&str, (Role, u64)> = BTreeMap::new();
            for user in &state.users {
                let (_, count) = users.entry(user.role.name()).or_insert((user.role, 0));
                *count = count.saturating_add(1);
            }
            let mut payments: BTreeMap<&str, PaymentFigures> = BTreeMap::new();
            for payment in &state.transactions {
                if payment.kind != TransactionKind::Payment || payment.created_at < since {
                    continue;
                }
                let currency = payment.money.currency();
                let none = PaymentFigures { currency, succeeded: 0, volume_minor: 0, declined: 0 };
                let figures = payments.entry(currency.code()).or_insert(none);
                if payment.decline.is_some() {
                    figures.declined = figures.declined.saturating_add(1);
                } else {
                    figures.succeeded = figures.succeeded.saturating_add(1);
                    let amount = i128::from(payment.money.amount_minor());
                    figures.volume_minor = figures.volume_minor.saturating_add(amount);
                }
            }
            let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            Statistics {
                users: users.into_values().collect(),
                frozen: count(state.users.iter().filter(|user| user.frozen).count()),
                sessions: count(state.sessions.values().filter(|session| session.is_live(now)).count()),
                payments: payments.into_values().collect(),
            }
        })
    }
}

/// Rows are numbered from 1, in the order in which they were written.
fn number(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX).saturating_add(1)
}

/// The first `limit` rows, and the position of the last of them if more follow.
fn cut<T>(rows: impl Iterator<Item = (u64, T)>, limit: usize) -> Page<T> {
    let mut rows = rows.peekable();
    let mut page = Page { rows: Vec::new(), next: None };
    while let Some((position, row)) = rows.next() {
        page.rows.push(row);
        if page.rows.len() >= limit {
            page.next = rows.peek().map(|_| position);
            break;
        }
    }
    page
}

impl State {
    fn user(&self, id: UserId) -> Option<Arc<User>> {
        self.users.iter().find(|user| user.id == id).cloned()
    }

    fn movements(&self, user: UserId) -> impl DoubleEndedIterator<Item = Movement> {
        let numbered = self.transactions.iter().enumerate();
        numbered.filter(move |(_, transaction)| transaction.seen_by().any(|seer| seer == user)).map(
            move |(index, transaction)| Movement {
                sequence: number(index),
                balance_after_minor: transaction.balance_after(user),
                transaction: Arc::clone(transaction),
            },
        )
    }

    fn load(&self, needs: &Needs, duplicate_window_ms: i64) -> WorkingSet {
        let mut set = WorkingSet::at(self.now);
        set.users.extend(needs.users.iter().filter_map(|id| Some((*id, self.user(*id)?))));
        for user in &self.users {
            if needs.emails.iter().any(|folded| folded == user.email.folded()) {
                set.emails.insert(user.email.folded().to_owned(), user.id);
            }
        }
        for (id, session) in &self.sessions {
            let by_token = needs.refresh_tokens.iter().find_map(|token| {
                let is_spent = self.spent_tokens.get(token) == Some(id);
                let state = if is_spent { RefreshState::Spent } else { RefreshState::Current };
                (is_spent || session.refresh == *token).then_some((*token, state))
            });
            if let Some((token, state)) = by_token {
                set.refresh_tokens.insert(token, (*id, state));
                set.users.extend(self.user(session.user).map(|user| (user.id, user)));
            }
            let of_user = needs.sessions_of.contains(&session.user);
            if of_user {
                set.sessions_of.entry(session.user).or_default().push(*id);
            }
            if of_user || by_token.is_some() || needs.sessions.contains(id) {
                set.sessions.insert(*id, Arc::clone(session));
            }
        }
        set.accounts.extend(needs.accounts.iter().filter_map(|key| Some((*key, *self.accounts.get(key)?))));
        set.keys
            .extend(needs.keys.iter().filter_map(|key| Some((key.clone(), self.keys.get(key).cloned()?))));
        for user in needs.active() {
            let activity = set.activity.entry(*user).or_default();
            *activity = Activity::default();
            self.transactions.iter().for_each(|transaction| activity.take(*user, transaction));
        }
        let cash = needs.cash_by_key(&set.users);
        for record in self.records.values() {
            let mut lookups = needs.record_lookups.iter().chain(&cash);
            let is_looked_up = lookups
                .any(|(kind, lookup)| record.key.kind == *kind && record.filing.lookup == Some(*lookup));
            if is_looked_up || needs.records.contains(&record.key) {
                set.add_record(Arc::clone(record));
            }
        }
        set.payments.extend(
            needs.payments.iter().filter_map(|payment| Some((*payment, self.payments.get(payment)?.clone()))),
        );
        for shape in &needs.shapes {
            let is_recent = |recent: &&RecentPayment| self.now < recent.at.plus_millis(duplicate_window_ms);
            let recent = self.shapes.get(shape).into_iter().flatten().filter(is_recent).copied();
            set.shapes.insert(shape.clone(), recent.collect());
        }
        set
    }

    /// Keeps payments, and which of them are recent, in step with a new transaction.
    fn follow(&mut self, transaction: &Arc<Transaction>) {
        let (Some(payment), Some(state)) = (transaction.payment(), transaction.payment_state()) else {
            return;
        };
        let known = self
            .payments
            .entry(payment)
            .or_insert_with(|| KnownPayment { first: Arc::clone(transaction), state });
        known.state = state;
        let recent = self.shapes.entry(known.first.shape()).or_default();
        if state.status.is_undone() {
            recent.retain(|recent| recent.payment != payment);
        } else if known.first.id == transaction.id {
            recent.push(RecentPayment { payment, at: transaction.created_at });
        }
    }

    /// Where the chain ends with one more block of these rows.
    fn next_head(&self, transactions: &[Arc<Transaction>], events: &[SecurityEvent]) -> Head {
        let mut digest = BlockDigest::default();
        for transaction in transactions {
            digest.transaction(transaction);
        }
        for event in events {
            digest.event(event);
        }
        let by = |number: i64, rows: usize| number.saturating_add(i64::try_from(rows).unwrap_or(i64::MAX));
        Head {
            transaction: by(self.chain.transaction, transactions.len()),
            event: by(self.chain.event, events.len()),
            block: by(self.chain.block, 1),
            hash: link(&self.chain.hash, &digest.finish().digest, self.now),
            at: self.now,
        }
    }

    fn save(&mut self, set: WorkingSet) {
        let Changes {
            users,
            sessions,
            spent_tokens,
            removed_records,
            added_records,
            updated_records,
            transactions,
            events,
        } = set.changes;
        for id in users {
            let Some(user) = set.users.get(&id) else { continue };
            match self.users.iter_mut().find(|known| known.id == id) {
                Some(known) => *known = Arc::clone(user),
                None => self.users.push(Arc::clone(user)),
            }
        }
        let changed = sessions.iter().filter_map(|id| Some((*id, Arc::clone(set.sessions.get(id)?))));
        self.sessions.extend(changed);
        self.spent_tokens.extend(spent_tokens);
        self.records.retain(|_, record| !removed_records.contains(&record.key));
        for record in updated_records.iter().filter_map(|key| set.records.get(key)) {
            if let Some(known) = self.records.values_mut().find(|known| known.key == record.key) {
                *known = Arc::clone(record);
            }
        }
        for record in added_records.iter().filter_map(|key| set.records.get(key)) {
            self.last_record = self.last_record.saturating_add(1);
            self.records.insert(self.last_record, Arc::clone(record));
        }
        for transaction in &transactions {
            for entry in &transaction.entries {
                self.accounts.insert(entry.account, entry.balance_after_minor);
            }
            if let Some(key) = &transaction.key {
                self.keys.insert((transaction.owner(), key.clone()), Arc::clone(transaction));
            }
            self.follow(transaction);
        }
        if !transactions.is_empty() || !events.is_empty() {
            self.blocks = self.blocks.saturating_add(1);
            self.chain = self.next_head(&transactions, &events);
        }
        self.transactions.extend(transactions);
        self.events.extend(events);
    }
}
