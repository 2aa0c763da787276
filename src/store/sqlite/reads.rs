//! What readers ask: each function runs on a read-only connection. Where rows may not be folded yet, what the tail knows
//! is taken first and the snapshot second (see `tail.rs`).

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::rows::TRANSACTION_COLUMNS;
use super::{Shared, load, properties, rows, statements};
use crate::ledger::{
    AccountKey, Balance, Network, PaymentId, PaymentState, SecurityEvent, Session, Timestamp, TokenHash,
    TransactionId, User, UserId,
};
use crate::store::journal::Head;
use crate::store::{
    AccountBalance, HistoryFilter, HistoryQuery, JournalQuery, Movement, Page, PageRequest, WalletQuery,
};

type SessionAndUser = (Arc<Session>, Arc<User>);

pub(super) fn session_by_access(
    connection: &Connection,
    access: &TokenHash,
) -> Result<Option<SessionAndUser>, Fault> {
    in_snapshot(connection, || {
        let mut statement = connection.prepare_cached(statements::SESSION_BY_ACCESS)?;
        let mut found = statement.query([access.0])?;
        let Some(session) = found.next()?.map(rows::session).transpose()? else { return Ok(None) };
        Ok(user(connection, session.user)?.map(|user| (session, user)))
    })
}

pub(super) fn user(connection: &Connection, id: UserId) -> Result<Option<Arc<User>>, Fault> {
    let mut statement = connection.prepare_cached(statements::USER)?;
    statement.query([id.uuid()])?.next()?.map(rows::user).transpose()
}

pub(super) fn user_by_email(connection: &Connection, folded: &str) -> Result<Option<Arc<User>>, Fault> {
    let mut statement = connection.prepare_cached(statements::USER_BY_EMAIL)?;
    statement.query([folded])?.next()?.map(rows::user).transpose()
}

pub(super) fn users(connection: &Connection, page: PageRequest) -> Result<Page<Arc<User>>, Fault> {
    let mut statement = connection.prepare_cached(statements::USERS)?;
    let mut found = statement.query([position(page.after, 0), one_more(page.limit)])?;
    let mut numbered = Vec::new();
    while let Some(row) = found.next()? {
        numbered.push((row.get(rows::USER_COLUMNS)?, rows::user(row)?));
    }
    Ok(cut(numbered, page.limit))
}

pub(super) fn sessions(connection: &Connection, user: UserId, now: Timestamp) -> Result<Vec<Session>, Fault> {
    let mut statement = connection.prepare_cached(statements::LIVE_SESSIONS)?;
    let mut found = statement.query(params![user.uuid(), now.as_millis()])?;
    let mut sessions = Vec::new();
    while let Some(row) = found.next()? {
        sessions.push(Session::clone(&*rows::session(row)?));
    }
    Ok(sessions)
}

pub(super) fn network(connection: &Connection, user: UserId, ip: IpAddr) -> Result<Network, Fault> {
    let mut statement = connection.prepare_cached(statements::ADDRESSES_OF)?;
    let mut found = statement.query([user.uuid()])?;
    let mut known = Vec::new();
    while let Some(row) = found.next()? {
        known.extend(row.get::<_, String>(0)?.parse::<IpAddr>().ok());
    }
    Ok(Network::among(known, ip))
}

pub(super) fn wallets(
    connection: &Connection,
    shared: &Shared,
    user: UserId,
) -> Result<Vec<AccountBalance>, Fault> {
    let unfolded = shared.tail.balances(user);
    let mut balances: BTreeMap<AccountKey, i64> = BTreeMap::new();
    let mut statement = connection.prepare_cached(statements::ACCOUNTS_OF)?;
    let mut found = statement.query([user.uuid()])?;
    while let Some(row) = found.next()? {
        let account = rows::account_of(user, row)?;
        let (mut balance, as_of): (i64, i64) = (row.get(2)?, row.get(3)?);
        // A fold that ended between the tail and this row has the newer balance.
        if let Some((_, newer)) = unfolded.iter().find(|(known, tail)| *known == account && tail.no > as_of) {
            balance = newer.balance;
        }
        balances.insert(account, balance);
    }
    let listed = balances.into_iter().map(|(account, amount_minor)| AccountBalance {
        kind: account.kind,
        balance: Balance { amount_minor, currency: account.currency },
    });
    Ok(listed.collect())
}

/// A page of a history. Each round takes a piece of the tail and then a snapshot; only where a filter lets little of
/// the tail pass does it take more than one.
pub(super) fn history(
    connection: &Connection,
    shared: &Shared,
    query: &HistoryQuery,
) -> Result<Page<Movement>, Fault> {
    let wanted = query.page.limit.saturating_add(1);
    let mut found = Vec::new();
    let mut before = position(query.page.after, i64::MAX);
    loop {
        let (unfolded, is_all) = shared.tail.newest(query.user, before, wanted);
        let oldest = unfolded.last().map_or(before, |movement| movement.no);
        let is_folded_below = in_snapshot(connection, || {
            let watermark: i64 = properties::number(connection, properties::FOLDED_TO)?;
            for movement in unfolded.iter().filter(|movement| movement.no > watermark) {
                let transaction = load::bare_transaction(connection, movement.no)?;
                if query.filter.matches(&transaction) {
                    found.push((movement.no, movement_row(movement.no, transaction, movement.balance_after)));
                }
            }
            // Where the piece reaches down to the watermark, or is all of the tail, the table has the rest.
            let is_folded_below = is_all || oldest <= watermark;
            if is_folded_below && found.len() < wanted {
                let missing = wanted.saturating_sub(found.len());
                let below = before.min(watermark.saturating_add(1));
                folded_history(connection, query, below, missing, &mut found)?;
            }
            Ok(is_folded_below)
        })?;
        if is_folded_below || found.len() >= wanted {
            break;
        }
        before = oldest;
    }
    Ok(cut(found, query.page.limit))
}

fn folded_history(
    connection: &Connection,
    query: &HistoryQuery,
    below: i64,
    limit: usize,
    found: &mut Vec<(i64, Movement)>,
) -> Result<(), Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let user = query.user.uuid();
    let HistoryFilter { currency, declined, from, to, .. } = query.filter;
    // Each kind with a comma behind it, so that none is found within another.
    let kinds = query.filter.kinds().fold(String::new(), |kinds, kind| kinds + kind.name() + ",");
    let mut statement = connection.prepare_cached(statements::HISTORY)?;
    let mut rows = statement.query(params![
        user,
        below,
        limit,
        currency.map(crate::ledger::Currency::code),
        kinds,
        declined,
        from.map(Timestamp::as_millis),
        to.map(Timestamp::as_millis),
        query.filter.takes_held(),
    ])?;
    while let Some(row) = rows.next()? {
        let (no, transaction) = rows::transaction(row)?;
        found.push((no, movement_row(no, transaction, row.get(TRANSACTION_COLUMNS)?)));
    }
    Ok(())
}

/// What moved a wallet, oldest first: the table as far as it goes, then the tail.
pub(super) fn wallet_movements(
    connection: &Connection,
    shared: &Shared,
    query: &WalletQuery,
) -> Result<Vec<Movement>, Fault> {
    let place = |place: u64| i64::try_from(place).unwrap_or(i64::MAX);
    let (after, to) = (place(query.after), place(query.to));
    let unfolded = shared.tail.between(query.user, after, to);
    in_snapshot(connection, || {
        let watermark: i64 = properties::number(connection, properties::FOLDED_TO)?;
        let mut statement = connection.prepare_cached(statements::WALLET_MOVEMENTS)?;
        let mut rows = statement.query(params![
            query.user.uuid(),
            after,
            to.min(watermark),
            query.currency.code(),
            i64::try_from(query.limit).unwrap_or(i64::MAX),
        ])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (no, transaction) = rows::transaction(row)?;
            found.push(movement_row(no, transaction, row.get(TRANSACTION_COLUMNS)?));
        }
        for movement in unfolded.iter().filter(|movement| movement.no > watermark) {
            if found.len() >= query.limit {
                break;
            }
            let transaction = load::bare_transaction(connection, movement.no)?;
            if movement.balance_after.is_some() && transaction.money.currency() == query.currency {
                found.push(movement_row(movement.no, transaction, movement.balance_after));
            }
        }
        Ok(found)
    })
}

/// The journal after a place, oldest first: what one user sees is in the table as far as it goes, then in the tail.
pub(super) fn journal(
    connection: &Connection,
    shared: &Shared,
    query: JournalQuery,
) -> Result<Vec<Movement>, Fault> {
    let after = i64::try_from(query.after).unwrap_or(i64::MAX);
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let Some(seer) = query.seer else {
        // Numbers are dense, so that this span has as many rows.
        let mut statement = connection.prepare_cached(statements::TRANSACTIONS_BETWEEN)?;
        let mut rows = statement.query([after, after.saturating_add(limit)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (no, transaction) = rows::transaction(row)?;
            found.push(movement_row(no, transaction, None));
        }
        return Ok(found);
    };
    let unfolded = shared.tail.between(seer, after, i64::MAX);
    in_snapshot(connection, || {
        let watermark: i64 = properties::number(connection, properties::FOLDED_TO)?;
        let mut statement = connection.prepare_cached(statements::MOVEMENTS_AFTER)?;
        let mut rows = statement.query(params![seer.uuid(), after, watermark, limit])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (no, transaction) = rows::transaction(row)?;
            found.push(movement_row(no, transaction, None));
        }
        let above = unfolded.iter().filter(|movement| movement.no > watermark);
        for movement in above.take(query.limit.saturating_sub(found.len())) {
            let transaction = load::bare_transaction(connection, movement.no)?;
            found.push(movement_row(movement.no, transaction, None));
        }
        Ok(found)
    })
}

pub(super) fn transaction(
    connection: &Connection,
    user: UserId,
    id: TransactionId,
) -> Result<Option<Movement>, Fault> {
    let mut statement = connection.prepare_cached(statements::TRANSACTION_BY_ID)?;
    let mut found = statement.query([id.uuid()])?;
    let Some((no, mut transaction)) = found.next()?.map(rows::transaction).transpose()? else {
        return Ok(None);
    };
    transaction.entries = load::entries(connection, no)?;
    if !transaction.seen_by().any(|seer| seer == user) {
        return Ok(None);
    }
    let balance_after = transaction.balance_after(user);
    Ok(Some(movement_row(no, transaction, balance_after)))
}

pub(super) fn payment_states(
    connection: &Connection,
    payments: &[PaymentId],
) -> Result<HashMap<PaymentId, PaymentState>, Fault> {
    let mut states = HashMap::new();
    for payment in payments {
        if let Some(state) = load::state(connection, *payment)? {
            states.insert(*payment, state);
        }
    }
    Ok(states)
}

pub(super) fn events(
    connection: &Connection,
    user: UserId,
    page: PageRequest,
) -> Result<Page<SecurityEvent>, Fault> {
    let mut statement = connection.prepare_cached(statements::EVENTS_OF)?;
    let before = position(page.after, i64::MAX);
    let mut found = statement.query(params![user.uuid(), before, one_more(page.limit)])?;
    let mut numbered = Vec::new();
    while let Some(row) = found.next()? {
        numbered.push(rows::event(row)?);
    }
    Ok(cut(numbered, page.limit))
}

pub(super) fn head(connection: &Connection, block: Option<u64>) -> Result<Option<Head>, Fault> {
    let mut statement = connection.prepare_cached(statements::BLOCK)?;
    Ok(statement
        .query_row([position(block, i64::MAX)], load::head_of)
        .optional()?
        .filter(|head| block.is_none_or(|block| u64::try_from(head.block) == Ok(block))))
}

/// Runs several statements on one snapshot of the file.
pub(super) fn in_snapshot<T>(
    connection: &Connection,
    read: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let snapshot = connection.unchecked_transaction()?;
    let value = read()?;
    snapshot.finish()?;
    Ok(value)
}

pub(super) fn movement_row(
    no: i64,
    transaction: crate::ledger::Transaction,
    balance_after: Option<i64>,
) -> Movement {
    Movement {
        sequence: u64::try_from(no).unwrap_or_default(),
        transaction: Arc::new(transaction),
        balance_after_minor: balance_after,
    }
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
