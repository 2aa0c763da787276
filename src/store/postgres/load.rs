//! Load: everything that a batch can touch, in one round trip (statements that need no answer of an earlier one are sent
//! together); a second one only where a key is given again, for the entries of its transaction, or comes from somebody who may
//! move cash.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deadpool_postgres::ClientWrapper;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::batch::BEGIN;
use super::fault::Fault;
use super::pasts::{Pasts, Way};
use super::records;
use super::rows::{self, SESSION_COLUMNS, TRANSACTION_COLUMNS, USER_COLUMNS, get};
use super::statements;
use crate::ledger::chain::Hash;
use crate::ledger::{
    AccountKey, AccountKind, Action, Command, KnownPayment, Needs, RecentPayment, RecordKind, RefreshState,
    Shown, Timestamp, Transaction, TransactionId, UserId, WorkingSet,
};

/// Where [`statements::LOAD`] tells, after a session and a user, whose is held, how much; the transaction's number; the time;
/// where the journal ends.
const HOLDER: usize = SESSION_COLUMNS + USER_COLUMNS;
const HELD: usize = HOLDER + 3;
const NUMBER: usize = HELD + 1;
const NOW: usize = NUMBER + 1;
const END: usize = NOW + 1;
/// Where [`statements::PAYMENTS_BY_ID`] tells, after a transaction and a state of three columns, what is held of its sides.
const HELD_OF_PAYER: usize = TRANSACTION_COLUMNS + 3;
const HELD_OF_PAYEE: usize = HELD_OF_PAYER + 1;

/// What a batch asks of the database before it decides.
pub(super) struct Wanted {
    needs: Needs,
    locked_users: Vec<Uuid>,
    users: Vec<Uuid>,
    sessions: Vec<Uuid>,
    /// The ids of wallets, and of what is held of them.
    wallets: Vec<Uuid>,
    holds: Vec<Uuid>,
}

impl Wanted {
    /// What these commands need.
    pub(super) fn by(commands: &[Command]) -> Self {
        let mut needs = Needs::default();
        let mut locked_users = Vec::new();
        for command in commands {
            command.add_needs(&mut needs);
            locked_users.extend(locked_user(&command.action).map(UserId::uuid));
        }
        let ids = |kind| {
            let keys: HashSet<&AccountKey> = needs.accounts.iter().filter(|key| key.kind == kind).collect();
            sorted(keys.into_iter().map(account_id))
        };
        let (wallets, holds) = (ids(AccountKind::Wallet), ids(AccountKind::Holds));
        let users = sorted(needs.users.iter().map(|id| id.uuid()));
        let sessions = sorted(needs.sessions.iter().map(|id| id.uuid()));
        Self { needs, locked_users, users, sessions, wallets, holds }
    }
}

/// Each once, neighbours in an index beside each other.
fn sorted(ids: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The user whose row serialises such commands across nodes. Payments need none: their accounts' rows do it.
fn locked_user(action: &Action) -> Option<UserId> {
    match action {
        Action::OpenSession(open) => Some(open.user),
        Action::EndSession(end) => Some(end.caller.user),
        Action::ChangePassword(change) => Some(change.caller.user),
        Action::Rename(rename) => Some(rename.caller.user),
        Action::BeginFactor(begin) => Some(begin.caller.user),
        Action::ConfirmFactor(confirm) => Some(confirm.caller.user),
        Action::RemoveFactor(remove) => Some(remove.caller.user),
        Action::MakeApiKey(make) => Some(make.caller.user),
        Action::RotateApiKey(rotate) => Some(rotate.caller.user),
        // Of two that show the same code at the same moment one is to find it used.
        Action::Pay(pay) if matches!(pay.shown, Shown::Proof(_)) => Some(pay.caller.user),
        Action::PayMany(many) if matches!(many.shown, Shown::Proof(_)) => Some(many.caller.user),
        Action::ChangeUser(change) => Some(change.user),
        Action::EndUserSessions(end) => Some(end.user),
        Action::ResetFactor(reset) => Some(reset.user),
        Action::MakeResetLink(make) => Some(make.user),
        Action::ResetPassword(reset) => Some(reset.user),
        // A refresh locks by its token.
        Action::RefreshSession(_)
        | Action::Register(_)
        | Action::TouchSession(_)
        | Action::Pay(_)
        | Action::PayMany(_)
        | Action::FindKey(_)
        | Action::MakeSchedule(_)
        | Action::EndSchedule(_)
        | Action::RunSchedule(_)
        | Action::MoveClock(_)
        | Action::MakeRequest(_)
        | Action::CancelRequest(_)
        | Action::PayRequest(_)
        | Action::Settle(_)
        | Action::Expire(_)
        | Action::LapseRequest(_)
        | Action::Cash(_)
        | Action::DecideCash(_)
        | Action::Topup(_)
        // These lock by their records.
        | Action::Webhook(_)
        | Action::Delivery(_)
        | Action::Note(_) => None,
    }
}

/// An account's id follows from what identifies it, so that nobody has to look it up: a `UUIDv8` (RFC 9562).
pub(super) fn account_id(key: &AccountKey) -> Uuid {
    let mut hasher = Sha256::new();
    hasher.update(key.owner.uuid().as_bytes());
    hasher.update(key.kind.name());
    hasher.update(key.currency.code());
    let digest: [u8; 32] = hasher.finalize().into();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(byte, digested)| *byte = digested);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// The settings of a load that do not come from its commands.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoadTime {
    /// Whether the transaction has begun.
    pub(super) has_begun: bool,
    /// A test's time; none for the database's.
    pub(super) fixed_ms: Option<i64>,
    /// For how long an equal payment is taken for a repeat.
    pub(super) duplicate_window_ms: i64,
    /// Whether risk rules look at payments.
    pub(super) assesses_risk: bool,
}

/// Begins the batch's transaction, locks and loads. On a fault the transaction is to be rolled back.
pub(super) async fn load(
    client: &ClientWrapper,
    wanted: &Wanted,
    time: LoadTime,
    pasts: &mut Pasts,
) -> Result<WorkingSet, Fault> {
    let needs = &wanted.needs;
    let sessions_of: Vec<Uuid> = needs.sessions_of.iter().map(|id| id.uuid()).collect();
    let tokens: Vec<&[u8]> = needs.refresh_tokens.iter().map(|token| &token.0[..]).collect();
    let Wanted { users, sessions, wallets, holds, .. } = wanted;
    let payments: Vec<Uuid> = needs.payments.iter().map(|id| id.uuid()).collect();
    let no_payments = payments.is_empty();
    let (owners, keys): (Vec<Uuid>, Vec<&str>) =
        needs.keys.iter().map(|(owner, key)| (owner.uuid(), key.as_str())).unzip();
    let r = records::Wanted::by(needs);
    let lock_nobody = wanted.locked_users.is_empty() && tokens.is_empty();
    let shapes = Shapes::of(needs);
    let [payers, payees] = [&needs.payers, &needs.payees].map(|users| active(users, time));
    let [payer_ids, payee_ids] =
        [&payers, &payees].map(|users| users.iter().map(|user| user.uuid()).collect::<Vec<_>>());
    let (paid_to, got_to) = (pasts.known_to(&payers, Way::Paid), pasts.known_to(&payees, Way::Got));

    // The order in which these are polled first is the order in which they are sent.
    let (
        begun,
        locked,
        record_rows,
        wallet_rows,
        side_rows,
        payment_rows,
        payment_record_rows,
        rows,
        email_rows,
        token_rows,
        open_rows,
        past_rows,
        recent,
    ) = tokio::join! {
        biased;
        begin(client, time.has_begun),
        query(client, lock_nobody, statements::LOCK_USERS, [&wanted.locked_users, &tokens]),
        query(client, r.is_empty(), statements::LOCK_RECORDS, [&r.kinds, &r.ids, &r.lookup_kinds, &r.lookups]),
        query(client, wallets.is_empty() || !no_payments, statements::LOCK_WALLETS, [wallets]),
        query(client, no_payments, statements::LOCK_WALLETS_AND_SIDES, [wallets, &payments]),
        query(client, no_payments, statements::PAYMENTS_BY_ID, [&payments]),
        query(client, r.payments_ids.is_empty(), statements::RECORDS_BY_KEY, [&r.payments_kinds, &r.payments_ids]),
        query(client, false, statements::LOAD, [&time.fixed_ms, sessions, users, holds, &owners, &keys]),
        query(client, needs.emails.is_empty(), statements::USERS_BY_EMAIL, [&needs.emails]),
        query(client, tokens.is_empty(), statements::SESSIONS_BY_REFRESH, [&tokens]),
        query(client, sessions_of.is_empty(), statements::OPEN_SESSIONS_OF, [&sessions_of]),
        query(client, payers.is_empty() && payees.is_empty(), statements::ACTIVITY,
            [&payer_ids, &paid_to, &payee_ids, &got_to]),
        shapes.query(client, time),
    };
    begun?;
    locked?;
    let rows = rows?;
    let now = rows.first().ok_or_else(|| Fault::Damaged("the chain has no head".into()))?;
    let mut set = WorkingSet::at(Timestamp::from_millis(get(now, NOW)?));
    let end: i64 = get(now, END)?;
    for row in [record_rows?, payment_record_rows?].iter().flatten() {
        set.add_record(records::record(row)?.1);
    }
    for row in [wallet_rows?, side_rows?].iter().flatten() {
        set.accounts.insert(rows::account_key(row, 0)?, get(row, 3)?);
    }
    let given_again = take_rows(&rows, &mut set)?;
    take_payments(&payment_rows?, &mut set)?;
    for row in email_rows? {
        let user = rows::user(&row, 0)?;
        set.emails.insert(user.email.folded().to_owned(), user.id);
    }
    for row in token_rows? {
        load_refreshed(&row, &mut set)?;
    }
    for row in open_rows? {
        let session = rows::session(&row)?;
        if session.is_live(set.now) {
            set.sessions_of.entry(session.user).or_default().push(session.id);
            set.sessions.insert(session.id, session);
        }
    }
    pasts.take([(&payers, Way::Paid), (&payees, Way::Got)], &past_rows?, end, &mut set)?;
    take_recent(needs, &recent?, time, &mut set)?;
    take_given_again(client, &given_again, &needs.cash_by_key(&set.users), &mut set).await?;
    Ok(set)
}

async fn begin(client: &ClientWrapper, has_begun: bool) -> Result<(), tokio_postgres::Error> {
    if has_begun { Ok(()) } else { client.batch_execute(BEGIN).await }
}

/// Takes what [`statements::LOAD`] found; the numbers of transactions whose keys are given again are for the caller.
fn take_rows(found: &[Row], set: &mut WorkingSet) -> Result<Vec<i64>, Fault> {
    let mut given_again = Vec::new();
    for row in found {
        if get::<Option<Uuid>>(row, 0)?.is_some() {
            let session = rows::session(row)?;
            set.sessions.insert(session.id, session);
        }
        if get::<Option<Uuid>>(row, SESSION_COLUMNS)?.is_some() {
            let user = rows::user(row, SESSION_COLUMNS)?;
            set.users.insert(user.id, user);
        }
        if let Some(balance) = get(row, HELD)? {
            set.accounts.insert(rows::account_key(row, HOLDER)?, balance);
        }
        given_again.extend(get::<Option<i64>>(row, NUMBER)?);
    }
    given_again.sort_unstable();
    given_again.dedup();
    Ok(given_again)
}

/// Transactions whose keys are given again, with their entries: what they were answered with is told again. And cash for
/// which a key may stand.
async fn take_given_again(
    client: &ClientWrapper,
    numbers: &[i64],
    cash: &[(RecordKind, Hash)],
    set: &mut WorkingSet,
) -> Result<(), Fault> {
    let nothing = numbers.is_empty();
    let (kinds, lookups): (Vec<&str>, Vec<&[u8]>) =
        cash.iter().map(|(kind, lookup)| (kind.name(), &lookup[..])).unzip();
    let (found, entries, records) = tokio::join! {
        biased;
        query(client, nothing, statements::TRANSACTIONS_BY_NO, [&numbers]),
        query(client, nothing, statements::ENTRIES_OF, [&numbers]),
        query(client, cash.is_empty(), statements::RECORDS_BY_LOOKUP, [&kinds, &lookups]),
    };
    for row in records? {
        set.add_record(records::record(&row)?.1);
    }
    for (_, transaction) in with_entries(&found?, &entries?)? {
        if let Some(key) = &transaction.key {
            set.keys.insert((transaction.owner(), key.clone()), Arc::new(transaction));
        }
    }
    Ok(())
}

/// The users whose last payments are looked at, each once: those made, or those got.
fn active(users: &[UserId], time: LoadTime) -> Vec<UserId> {
    let wanted = users.iter().filter(|_| time.assesses_risk).copied();
    wanted.collect::<HashSet<_>>().into_iter().collect()
}

/// Takes what [`statements::PAYMENTS_BY_ID`] found.
fn take_payments(found: &[Row], set: &mut WorkingSet) -> Result<(), Fault> {
    for row in found {
        let (_, first) = rows::transaction(row)?;
        for (side, held) in [first.from.id, first.to.id].into_iter().zip([HELD_OF_PAYER, HELD_OF_PAYEE]) {
            if let Some(balance) = get(row, held)? {
                let account = AccountKey::holds(side, first.money.currency());
                set.accounts.insert(account, balance);
            }
        }
        let payment = first.id.into();
        let later = rows::later_state(row, TRANSACTION_COLUMNS, payment)?;
        if let Some(state) = later.or_else(|| first.payment_state()) {
            set.payments.insert(payment, KnownPayment { first: Arc::new(first), state });
        }
    }
    Ok(())
}

/// Runs a prepared statement; asks nothing where there is nothing to ask.
async fn query<const N: usize>(
    client: &ClientWrapper,
    nothing: bool,
    sql: &str,
    parameters: [&(dyn ToSql + Sync); N],
) -> Result<Vec<Row>, Fault> {
    if nothing {
        return Ok(Vec::new());
    }
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query(&statement, &parameters).await?)
}

fn load_refreshed(row: &Row, set: &mut WorkingSet) -> Result<(), Fault> {
    let session = rows::session(row)?;
    let token = rows::token_hash(row, SESSION_COLUMNS)
        .ok_or_else(|| Fault::Damaged(format!("spent_tokens of {}: hash is not readable", session.id)))?;
    let is_spent: bool = get(row, SESSION_COLUMNS.saturating_add(1))?;
    let user = rows::user(row, SESSION_COLUMNS.saturating_add(2))?;
    let state = if is_spent { RefreshState::Spent } else { RefreshState::Current };
    set.refresh_tokens.insert(token, (session.id, state));
    set.users.insert(user.id, user);
    set.sessions.insert(session.id, session);
    Ok(())
}

/// Transactions and their numbers, with these of their entries, from `ENTRIES_OF`.
pub(super) fn with_entries(transactions: &[Row], entries: &[Row]) -> Result<Vec<(i64, Transaction)>, Fault> {
    let mut of: HashMap<i64, Vec<_>> = HashMap::new();
    for row in entries {
        let (no, entry) = rows::entry(row)?;
        of.entry(no).or_default().push(entry);
    }
    let with = |row: &Row| {
        let (no, mut transaction) = rows::transaction(row)?;
        transaction.entries = of.remove(&no).unwrap_or_default();
        Ok((no, transaction))
    };
    transactions.iter().map(with).collect()
}

/// The shapes of payments without a key, column by column.
#[derive(Default)]
struct Shapes<'a> {
    payers: Vec<Uuid>,
    payees: Vec<Uuid>,
    amounts: Vec<i64>,
    currencies: Vec<&'a str>,
    descriptions: Vec<&'a str>,
    references: Vec<&'a str>,
    /// How many payments of each shape.
    wanted: i64,
}

impl<'a> Shapes<'a> {
    fn of(needs: &'a Needs) -> Self {
        let wanted = i64::try_from(needs.payments.len().saturating_add(1)).unwrap_or(i64::MAX);
        let mut columns = Self { wanted, ..Self::default() };
        for shape in &needs.shapes {
            columns.payers.push(shape.payer.uuid());
            columns.payees.push(shape.payee.uuid());
            columns.amounts.push(shape.money.amount_minor());
            columns.currencies.push(shape.money.currency().code());
            columns.descriptions.push(&shape.description);
            columns.references.push(&shape.reference);
        }
        columns
    }

    async fn query(&self, client: &ClientWrapper, time: LoadTime) -> Result<Vec<Row>, Fault> {
        let Self { payers, payees, amounts, currencies, descriptions, references, wanted } = self;
        let (now, window) = (&time.fixed_ms, &time.duplicate_window_ms);
        let parameters: [&(dyn ToSql + Sync); 9] =
            [now, window, payers, payees, amounts, currencies, descriptions, references, wanted];
        query(client, payers.is_empty(), statements::RECENT_PAYMENTS, parameters).await
    }
}

/// The index stops a little early; what counts is the window before the batch's time.
fn take_recent(needs: &Needs, found: &[Row], time: LoadTime, set: &mut WorkingSet) -> Result<(), Fault> {
    for row in found {
        let (place, id, at): (i64, Uuid, i64) = (get(row, 0)?, get(row, 1)?, get(row, 2)?);
        let recent = RecentPayment { payment: TransactionId::new(id).into(), at: Timestamp::from_millis(at) };
        let shape = usize::try_from(place.saturating_sub(1)).ok().and_then(|place| needs.shapes.get(place));
        if let Some(shape) = shape
            && set.now < recent.at.plus_millis(time.duplicate_window_ms)
        {
            // Newest first; and a shape that is needed twice has its rows twice.
            let known = set.shapes.entry(shape.clone()).or_default();
            if !known.contains(&recent) {
                known.insert(0, recent);
            }
        }
    }
    Ok(())
}
