//! What readers ask. Every answer is one statement, hence one snapshot; a connection that broke is replaced and asked
//! again, since a read may be repeated.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::Row;
use tokio_postgres::types::{Oid, ToSql};
use uuid::Uuid;

use super::fault::Fault;
use super::rows::{self, SESSION_COLUMNS, TRANSACTION_COLUMNS, USER_COLUMNS, get};
use super::{Shared, connect, journal, load, records, statements};
use crate::ledger::{
    Balance, Currency, Network, PaymentId, PaymentState, Record, RecordKey, SecurityEvent, Session,
    Timestamp, TokenHash, Transaction, TransactionId, TransactionKind, User, UserId,
};
use crate::store::LedgerName;
use crate::store::journal::Head;
use crate::store::{
    AccountBalance, HistoryFilter, HistoryQuery, JournalQuery, Movement, Page, PageRequest, WalletQuery,
};

/// How long one read may take, tried again or not.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// How often a read is tried.
const TRIES: u32 = 3;

pub(super) type SessionAndUser = (Arc<Session>, Arc<User>);

/// Runs one statement; again if the connection broke. While the database is known to be away nobody waits for it.
pub(super) async fn query(
    shared: &Shared,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Fault> {
    if !shared.gauges.ready.load(Ordering::Relaxed) {
        return Err(Fault::Transient("waiting for the database".into()));
    }
    tokio::time::timeout(PATIENCE, query_again(shared, sql, parameters))
        .await
        .unwrap_or_else(|_| Err(Fault::Transient("the database did not answer in time".into())))
}

async fn query_again(
    shared: &Shared,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Fault> {
    for _ in 1..TRIES {
        match query_once(shared, sql, parameters).await {
            Err(Fault::Transient(_)) => {}
            done => return done,
        }
    }
    query_once(shared, sql, parameters).await
}

async fn query_once(
    shared: &Shared,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Fault> {
    let client = connect::take(&shared.readers, &shared.runtime).await?;
    let statement = client.prepare_cached(sql).await?;
    match client.query(&statement, parameters).await {
        Ok(rows) => Ok(rows),
        Err(error) => {
            drop(Object::take(client));
            Err(error.into())
        }
    }
}

pub(super) async fn sessions_by_access(
    shared: Arc<Shared>,
    tokens: Vec<TokenHash>,
) -> Result<HashMap<TokenHash, SessionAndUser>, Fault> {
    let hashes: Vec<&[u8]> = tokens.iter().map(|token| &token.0[..]).collect();
    let mut found = HashMap::new();
    for row in query(&shared, statements::SESSIONS_BY_ACCESS, &[&hashes]).await? {
        let session = rows::session(&row)?;
        found.insert(session.access, (session, rows::user(&row, SESSION_COLUMNS)?));
    }
    Ok(found)
}

pub(super) async fn users_by_id(
    shared: Arc<Shared>,
    ids: Vec<UserId>,
) -> Result<HashMap<UserId, Arc<User>>, Fault> {
    let ids: Vec<Uuid> = ids.into_iter().map(UserId::uuid).collect();
    let found = query(&shared, statements::USERS_BY_ID, &[&ids]).await?;
    found.iter().map(|row| rows::user(row, 0).map(|user| (user.id, user))).collect()
}

pub(super) async fn users_by_email(
    shared: Arc<Shared>,
    emails: Vec<String>,
) -> Result<HashMap<String, Arc<User>>, Fault> {
    let found = query(&shared, statements::USERS_BY_EMAIL, &[&emails]).await?;
    found.iter().map(|row| rows::user(row, 0).map(|user| (user.email.folded().to_owned(), user))).collect()
}

pub(super) async fn records_by_key(
    shared: Arc<Shared>,
    keys: Vec<RecordKey>,
) -> Result<HashMap<RecordKey, Arc<Record>>, Fault> {
    let (kinds, ids): (Vec<&str>, Vec<Uuid>) = keys.iter().map(|key| (key.kind.name(), key.id)).unzip();
    let found = query(&shared, statements::RECORDS_BY_KEY, &[&kinds, &ids]).await?;
    found.iter().map(|row| records::record(row).map(|(_, record)| (record.key, record))).collect()
}

pub(super) async fn users(shared: &Shared, page: PageRequest) -> Result<Page<Arc<User>>, Fault> {
    let (after, limit) = (position(page.after, 0), one_more(page.limit));
    let found = query(shared, statements::USERS, &[&after, &limit]).await?;
    let numbered = found.iter().map(|row| Ok((get(row, USER_COLUMNS)?, rows::user(row, 0)?)));
    Ok(cut(numbered.collect::<Result<_, Fault>>()?, page.limit))
}

pub(super) async fn sessions(shared: &Shared, user: UserId, now: Timestamp) -> Result<Vec<Session>, Fault> {
    let found = query(shared, statements::OPEN_SESSIONS_OF, &[&vec![user.uuid()]]).await?;
    let sessions = found.iter().map(rows::session).collect::<Result<Vec<_>, _>>()?;
    Ok(sessions
        .iter()
        .filter(|session| session.is_live(now))
        .map(|session| Session::clone(session))
        .collect())
}

pub(super) async fn network(shared: &Shared, user: UserId, ip: IpAddr) -> Result<Network, Fault> {
    let found = query(shared, statements::ADDRESSES_OF, &[&user.uuid()]).await?;
    let known = found.iter().map(|row| get::<&str>(row, 0).map(|text| text.parse::<IpAddr>().ok()));
    Ok(Network::among(known.collect::<Result<Vec<_>, _>>()?.into_iter().flatten(), ip))
}

pub(super) async fn wallets(shared: &Shared, user: UserId) -> Result<Vec<AccountBalance>, Fault> {
    let found = query(shared, statements::ACCOUNTS_OF, &[&user.uuid()]).await?;
    let mut wallets = Vec::new();
    for row in &found {
        let account = rows::account_key(row, 0)?;
        let balance = Balance { amount_minor: get(row, 3)?, currency: account.currency };
        wallets.push((account, AccountBalance { kind: account.kind, balance }));
    }
    wallets.sort_by_key(|(account, _)| *account);
    Ok(wallets.into_iter().map(|(_, balance)| balance).collect())
}

pub(super) async fn history(shared: &Shared, asked: &HistoryQuery) -> Result<Page<Movement>, Fault> {
    let HistoryFilter { currency, declined, from, to, .. } = asked.filter;
    let kinds: Vec<&str> = asked.filter.kinds().map(TransactionKind::name).collect();
    let takes_held = asked.filter.takes_held();
    let (user, before) = (asked.user.uuid(), position(asked.page.after, i64::MAX));
    let limit = one_more(asked.page.limit);
    let currency = currency.map(Currency::code);
    let from = from.map_or(i64::MIN, Timestamp::as_millis);
    let to = to.map(Timestamp::as_millis);
    let found = query(
        shared,
        statements::HISTORY,
        &[&user, &before, &limit, &currency, &kinds, &declined, &from, &to, &takes_held],
    )
    .await?;
    let mut numbered = Vec::new();
    for row in &found {
        let (no, transaction) = rows::transaction(row)?;
        numbered.push((no, movement(no, transaction, get(row, TRANSACTION_COLUMNS)?)));
    }
    Ok(cut(numbered, asked.page.limit))
}

/// What moved a wallet, oldest first.
pub(super) async fn wallet_movements(shared: &Shared, asked: &WalletQuery) -> Result<Vec<Movement>, Fault> {
    let place = |place: u64| i64::try_from(place).unwrap_or(i64::MAX);
    let (user, after, to) = (asked.user.uuid(), place(asked.after), place(asked.to));
    let limit = i64::try_from(asked.limit).unwrap_or(i64::MAX);
    let parameters: [&(dyn ToSql + Sync); 5] = [&user, &after, &to, &asked.currency.code(), &limit];
    let found = query(shared, statements::WALLET_MOVEMENTS, &parameters).await?;
    let numbered = found.iter().map(|row| {
        let (no, transaction) = rows::transaction(row)?;
        Ok(movement(no, transaction, get(row, TRANSACTION_COLUMNS)?))
    });
    numbered.collect()
}

pub(super) async fn journal(shared: &Shared, asked: JournalQuery) -> Result<Vec<Movement>, Fault> {
    let after = i64::try_from(asked.after).unwrap_or(i64::MAX);
    let limit = i64::try_from(asked.limit).unwrap_or(i64::MAX);
    let found = if let Some(seer) = asked.seer {
        query(shared, statements::MOVEMENTS_AFTER, &[&seer.uuid(), &after, &limit]).await?
    } else {
        // Numbers are dense, so that this span has as many rows.
        let to = after.saturating_add(limit);
        query(shared, statements::TRANSACTIONS_BETWEEN, &[&after, &to]).await?
    };
    let numbered = found.iter().map(|row| {
        let (no, transaction) = rows::transaction(row)?;
        Ok(movement(no, transaction, None))
    });
    numbered.collect()
}

pub(super) async fn transaction(
    shared: &Shared,
    user: UserId,
    id: TransactionId,
) -> Result<Option<Movement>, Fault> {
    let found = query(shared, statements::TRANSACTION_BY_ID, &[&id.uuid()]).await?;
    let Some(row) = found.first() else { return Ok(None) };
    // The journal is append-only: what a second statement reads of it is what the first would have.
    let entries = query(shared, statements::ENTRIES_OF, &[&vec![get::<i64>(row, 0)?]]).await?;
    let Some((no, transaction)) = load::with_entries(&found, &entries)?.pop() else { return Ok(None) };
    if !transaction.seen_by().any(|seer| seer == user) {
        return Ok(None);
    }
    let balance_after = transaction.balance_after(user);
    Ok(Some(movement(no, transaction, balance_after)))
}

pub(super) async fn payment_states(
    shared: &Shared,
    payments: &[PaymentId],
) -> Result<HashMap<PaymentId, PaymentState>, Fault> {
    if payments.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = payments.iter().map(|payment| payment.uuid()).collect();
    query(shared, statements::STATES_OF, &[&ids])
        .await?
        .iter()
        .filter_map(|row| rows::state_of(row).transpose())
        .collect()
}

pub(super) async fn events(
    shared: &Shared,
    user: UserId,
    page: PageRequest,
) -> Result<Page<SecurityEvent>, Fault> {
    let (before, limit) = (position(page.after, i64::MAX), one_more(page.limit));
    let found = query(shared, statements::EVENTS_OF, &[&user.uuid(), &before, &limit]).await?;
    Ok(cut(found.iter().map(rows::event).collect::<Result<_, _>>()?, page.limit))
}

/// Where the journal ends, in which table that is told, and whether the server takes writes. Asked also while the database is
/// away.
pub(super) async fn head(shared: &Shared) -> Result<(super::save::Committed, Oid, bool), Fault> {
    let asked = tokio::time::timeout(PATIENCE, query_again(shared, statements::HEAD, &[]));
    let found = asked.await.map_err(|_| Fault::Transient("the database did not answer in time".into()))??;
    let row = found.first().ok_or_else(|| Fault::Damaged("the chain has no head".into()))?;
    let is_read_only: bool = get(row, 4)?;
    Ok((super::save::committed_of(row)?, get(row, 3)?, !is_read_only))
}

/// Which ledger it is, and which of its lives.
pub(super) async fn name(shared: &Shared) -> Result<LedgerName, Fault> {
    let found = query(shared, statements::NAME, &[]).await?;
    let row = found.first().ok_or_else(|| Fault::Damaged("the ledger has no name".into()))?;
    let unreadable = |name| Fault::Damaged(format!("the ledger's property {name} is not readable"));
    let ledger = Uuid::try_parse(get(row, 0)?).map_err(|_| unreadable("ledger_id"))?;
    let epoch = get::<Option<&str>>(row, 1)?.map_or(Ok(1), str::parse);
    Ok(LedgerName { ledger, epoch: epoch.map_err(|_| unreadable("epoch"))? })
}

/// Where the journal ended with the block of that number, or ends with the last one.
pub(super) async fn block(shared: &Shared, block: Option<u64>) -> Result<Option<Head>, Fault> {
    let found = query(shared, statements::BLOCK, &[&position(block, i64::MAX)]).await?;
    let Some(row) = found.first() else { return Ok(None) };
    let head = journal::head_of(row).map_err(|error| Fault::Damaged(error.to_string()))?;
    Ok(Some(head).filter(|head| block.is_none_or(|block| u64::try_from(head.block) == Ok(block))))
}

/// Forgets batches whose outcome nobody asks for any more.
pub(super) async fn forget_batches(shared: &Shared) -> Result<(), Fault> {
    query(shared, statements::FORGET_BATCHES, &[]).await.map(|_| ())
}

pub(super) fn movement(no: i64, transaction: Transaction, balance_after_minor: Option<i64>) -> Movement {
    let sequence = u64::try_from(no).unwrap_or_default();
    Movement { sequence, transaction: Arc::new(transaction), balance_after_minor }
}

/// Cuts what was read to the page; one row more than asked for tells that there is a next one.
pub(super) fn cut<T>(mut numbered: Vec<(i64, T)>, limit: usize) -> Page<T> {
    let is_last = numbered.len() <= limit;
    numbered.truncate(limit);
    let last = numbered.last().and_then(|(no, _)| u64::try_from(*no).ok());
    let next = if is_last { None } else { last };
    Page { rows: numbered.into_iter().map(|(_, row)| row).collect(), next }
}

pub(super) fn position(after: Option<u64>, otherwise: i64) -> i64 {
    after.map_or(otherwise, |after| i64::try_from(after).unwrap_or(i64::MAX))
}

pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX)
}
