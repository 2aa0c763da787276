//! The working set: the rows that a batch may touch, as they stand while its commands are decided one after another,
//! and the changes that they made.
//!
//! An engine fills it with what [`Needs`](super::Needs) names, and afterwards writes [`Changes`]. A row that was needed
//! and is not here does not exist. Nothing here does I/O.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::chain::Hash;
use super::{
    AccountKey, Activity, AmountLimits, Command, EventDraft, Filing, IdMap, IdempotencyKey, Money, PaymentId,
    PaymentShape, PaymentState, Record, RecordKey, RecordKind, RiskRules, SecurityEvent, SecurityEventId,
    Session, SessionId, Stage, Stored, Timestamp, TokenHash, Transaction, User, UserId,
};

/// What kind of money a ledger holds. Fixed when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Play money, for developing and teaching.
    Sandbox,
    /// Real money.
    Live,
}

impl Mode {
    /// The mode's name, as in the configuration and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Live => "live",
        }
    }

    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sandbox, Self::Live].into_iter().find(|mode| mode.name() == name)
    }
}

/// The settings of webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRules {
    /// How many an owner may have.
    pub most: usize,
    /// How long each attempt waits after the one before, in milliseconds; after the last the delivery has failed.
    pub schedule_ms: Vec<i64>,
}

/// The settings that decisions depend on.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Sandbox or live.
    pub mode: Mode,
    /// For how long an equal payment without a key is taken for a repeat, in milliseconds.
    pub duplicate_window_ms: i64,
    /// How long money is held for a payment that is neither captured nor reviewed, in milliseconds.
    pub hold_ttl_ms: i64,
    /// Above how much of any currency, in whole major units, cash waits for a second operator; none for never.
    pub four_eyes_above: Option<u64>,
    /// How long an access token counts, in milliseconds.
    pub access_ttl_ms: i64,
    /// How long a refresh token counts, in milliseconds.
    pub refresh_ttl_ms: i64,
    /// What a new customer of a sandbox starts with.
    pub grant: Money,
    /// The house's name.
    pub house_name: String,
    /// Of webhooks.
    pub webhooks: WebhookRules,
    /// Above which amounts a payment asks for a fresh second factor.
    pub step_up_above: AmountLimits,
    /// What makes a payment suspicious.
    pub risk: RiskRules,
}

impl Rules {
    /// Whether so much cash waits for a second operator.
    pub fn needs_four_eyes(&self, money: Money) -> bool {
        let unit = 10_i128.saturating_pow(u32::from(money.currency().exponent()));
        self.four_eyes_above
            .is_some_and(|most| i128::from(money.amount_minor()) > i128::from(most).saturating_mul(unit))
    }
}

/// Whether a refresh token is a session's current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshState {
    /// The one that counts.
    Current,
    /// Swapped before.
    Spent,
}

/// A payment made within the duplicate window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecentPayment {
    /// Which one.
    pub payment: PaymentId,
    /// When.
    pub at: Timestamp,
}

/// A payment, and where the newest row about it left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPayment {
    /// Its first row. Nobody looks at its entries here, and a store may leave them out.
    pub first: Arc<Transaction>,
    /// How it stands.
    pub state: PaymentState,
}

/// What a batch changed, in the order in which it happened.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Users that are new or not as they were; their last state is in the working set.
    pub users: Vec<UserId>,
    /// Sessions that are new or not as they were; their last state is in the working set.
    pub sessions: Vec<SessionId>,
    /// Refresh tokens that were swapped, with their session.
    pub spent_tokens: Vec<(TokenHash, SessionId)>,
    /// Records that were taken away. One that was put again after that is a new one.
    pub removed_records: Vec<RecordKey>,
    /// Records that are new; their last state is in the working set.
    pub added_records: Vec<RecordKey>,
    /// Records that are not as they were; their last state is in the working set.
    pub updated_records: Vec<RecordKey>,
    /// New rows of the journal.
    pub transactions: Vec<Arc<Transaction>>,
    /// New security events.
    pub events: Vec<SecurityEvent>,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
            && self.sessions.is_empty()
            && self.spent_tokens.is_empty()
            && self.removed_records.is_empty()
            && self.added_records.is_empty()
            && self.updated_records.is_empty()
            && self.transactions.is_empty()
            && self.events.is_empty()
    }
}

/// The rows that a batch may touch.
#[derive(Debug, Clone, Default)]
pub struct WorkingSet {
    /// The batch's time.
    pub now: Timestamp,
    /// Users by id.
    pub users: IdMap<UserId, Arc<User>>,
    /// Users' ids by folded email.
    pub emails: HashMap<String, UserId>,
    /// Sessions by id.
    pub sessions: IdMap<SessionId, Arc<Session>>,
    /// Sessions by refresh token.
    pub refresh_tokens: HashMap<TokenHash, (SessionId, RefreshState)>,
    /// The live sessions of the users for whom they were asked.
    pub sessions_of: IdMap<UserId, Vec<SessionId>>,
    /// What accounts hold, in minor units; one that is not here holds nothing.
    pub accounts: IdMap<AccountKey, i64>,
    /// Transactions by owner and key.
    pub keys: HashMap<(UserId, IdempotencyKey), Arc<Transaction>>,
    /// Payments by id.
    pub payments: IdMap<PaymentId, KnownPayment>,
    /// The latest payments of each shape within the window, none of which came to nothing, oldest first.
    pub shapes: HashMap<PaymentShape, Vec<RecentPayment>>,
    /// The last payments of users, of this batch or not; of one who is not here nothing is known.
    pub activity: IdMap<UserId, Activity>,
    /// Records by key.
    pub records: HashMap<RecordKey, Arc<Record>>,
    /// Records' keys by what they are found by.
    pub record_lookups: HashMap<(RecordKind, Hash), RecordKey>,
    /// What was changed so far.
    pub changes: Changes,
}

impl WorkingSet {
    /// An empty one for a batch at that time.
    pub fn at(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }

    /// What the set is now, to go back to. Of users' last payments, those of the users who are about to pay or be paid.
    pub(super) fn before(&mut self, users: impl Iterator<Item = UserId>) -> Self {
        let activity = std::mem::take(&mut self.activity);
        let of = |user| Some((user, Activity::clone(activity.get(&user)?)));
        let before = Self { activity: users.filter_map(of).collect(), ..self.clone() };
        self.activity = activity;
        before
    }

    /// Goes back to what it was.
    pub(super) fn go_back(&mut self, before: Self) {
        let mut activity = std::mem::take(&mut self.activity);
        activity.extend(before.activity);
        *self = Self { activity, ..before };
    }

    /// What the account holds, in minor units.
    pub fn balance(&self, account: &AccountKey) -> i64 {
        self.accounts.get(account).copied().unwrap_or_default()
    }

    pub(super) fn put_user(&mut self, user: User) {
        push_new(&mut self.changes.users, user.id);
        self.emails.insert(user.email.folded().to_owned(), user.id);
        self.users.insert(user.id, Arc::new(user));
    }

    pub(super) fn put_session(&mut self, session: Session) {
        push_new(&mut self.changes.sessions, session.id);
        self.refresh_tokens.insert(session.refresh, (session.id, RefreshState::Current));
        push_new(self.sessions_of.entry(session.user).or_default(), session.id);
        self.sessions.insert(session.id, Arc::new(session));
    }

    pub(super) fn spend_refresh_token(&mut self, token: TokenHash, session: SessionId) {
        self.refresh_tokens.insert(token, (session, RefreshState::Spent));
        self.changes.spent_tokens.push((token, session));
    }

    /// The record with this id that keeps a `T`, and what it keeps.
    pub(super) fn stored<T: Stored>(&self, id: Uuid) -> Option<(Arc<Record>, T)> {
        let record = self.records.get(&RecordKey::of::<T>(id))?;
        Some((Arc::clone(record), record.read()?))
    }

    /// Writes a record: a new one, or another state of the one with that id.
    pub(super) fn put_record<T: Stored>(&mut self, id: Uuid, filing: Filing, value: &T) {
        let key = RecordKey::of::<T>(id);
        let mut value = serde_json::to_string(value).unwrap_or_default();
        debug_assert!(T::KIND.can_read(&value), "the value of {key} could not be read back");
        let before = self.take_record(key);
        let stays = before.as_ref().is_none_or(|before| before.filing.owner == filing.owner);
        assert!(stays, "{key} would get another owner");
        if before.is_none() {
            value.extend(std::iter::repeat_n(' ', T::KIND.room()));
            self.changes.added_records.push(key);
        } else if !self.changes.added_records.contains(&key) {
            push_new(&mut self.changes.updated_records, key);
        }
        let (created_at, version) =
            before.map_or((self.now, 1), |before| (before.created_at, before.version.saturating_add(1)));
        let record = Record { key, filing, created_at, updated_at: self.now, version, value };
        self.add_record(Arc::new(record));
    }

    /// Takes a record away; gives back what it was.
    pub(super) fn remove_record(&mut self, key: RecordKey) -> Option<Arc<Record>> {
        let before = self.take_record(key)?;
        let Changes { added_records, updated_records, removed_records, .. } = &mut self.changes;
        if let Some(place) = added_records.iter().position(|added| *added == key) {
            added_records.remove(place);
        } else {
            updated_records.retain(|updated| *updated != key);
            removed_records.push(key);
        }
        Some(before)
    }

    fn take_record(&mut self, key: RecordKey) -> Option<Arc<Record>> {
        let before = self.records.remove(&key)?;
        if let Some(lookup) = before.filing.lookup {
            self.record_lookups.remove(&(key.kind, lookup));
        }
        Some(before)
    }

    /// Takes in a record as an engine keeps it.
    pub fn add_record(&mut self, record: Arc<Record>) {
        if let Some(lookup) = record.filing.lookup {
            self.record_lookups.insert((record.key.kind, lookup), record.key);
        }
        self.records.insert(record.key, record);
    }

    /// Takes a decided transaction into the journal: its entries move balances, its key answers repeats.
    pub(super) fn post(&mut self, transaction: Transaction) -> Arc<Transaction> {
        assert_balanced(&transaction);
        for entry in &transaction.entries {
            self.accounts.insert(entry.account, entry.balance_after_minor);
        }
        let transaction = Arc::new(transaction);
        if let Some(key) = &transaction.key {
            self.keys.insert((transaction.owner(), key.clone()), Arc::clone(&transaction));
        }
        self.follow(&transaction);
        self.changes.transactions.push(Arc::clone(&transaction));
        transaction
    }

    /// Keeps what is known of payments in step with a transaction that was posted.
    fn follow(&mut self, transaction: &Arc<Transaction>) {
        for side in [transaction.from.id, transaction.to.id] {
            if let Some(activity) = self.activity.get_mut(&side) {
                activity.take(side, transaction);
            }
        }
        let Some(state) = transaction.payment_state() else { return };
        if let Stage::Step(step) = &transaction.stage {
            if let Some(known) = self.payments.get_mut(&step.payment) {
                known.state = state;
                if state.status.is_undone()
                    && let Some(recent) = self.shapes.get_mut(&known.first.shape())
                {
                    recent.retain(|recent| recent.payment != step.payment);
                }
            }
        } else {
            let payment = transaction.id.into();
            self.payments.insert(payment, KnownPayment { first: Arc::clone(transaction), state });
            if !state.status.is_undone() {
                let recent = RecentPayment { payment, at: self.now };
                self.shapes.entry(transaction.shape()).or_default().push(recent);
            }
        }
    }

    pub(super) fn record(&mut self, command: &Command, draft: &EventDraft) {
        let request = command.origin.request;
        let earlier = self.changes.events.iter().rev().take_while(|event| event.request == request).count();
        let ordinal = u128::try_from(earlier).unwrap_or_default();
        // A command's own UUID names its first event; its later ones differ from it in their last bits.
        let id = uuid::Uuid::from_u128(request.uuid().as_u128() ^ ordinal);
        self.changes.events.push(SecurityEvent {
            id: SecurityEventId::new(id),
            at: self.now,
            kind: draft.kind,
            severity: draft.severity,
            user: draft.user,
            ip: command.origin.ip,
            user_agent: command.origin.user_agent.clone(),
            request,
            detail: serde_json::to_string(&draft.detail).unwrap_or_default(),
        });
    }
}

/// Rows are written in the order of their first change, so that engines number new ones alike.
fn push_new<T: PartialEq>(changed: &mut Vec<T>, id: T) {
    if !changed.contains(&id) {
        changed.push(id);
    }
}

/// Whatever a rule decided, entries sum to zero per currency: a violation is our bug and must never reach the journal.
fn assert_balanced(transaction: &Transaction) {
    let sum: i128 = transaction.entries.iter().map(|entry| i128::from(entry.amount_minor)).sum();
    let one_currency =
        transaction.entries.iter().all(|entry| entry.account.currency == transaction.money.currency());
    assert!(sum == 0 && one_currency, "entries of {} do not sum to zero", transaction.id);
    assert!(
        transaction.decline.is_none() || transaction.entries.is_empty(),
        "declined {} moves money",
        transaction.id
    );
}
