//! Reading what the writer needs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::engine::KnownAccount;
use super::fault::Fault;
use super::identities::Identities;
use super::rows::{self, ENTRIES_PER_TRANSACTION};
use super::statements;
use crate::ledger::{
    AccountKey, Entry, IdMap, KnownPayment, Needs, PaymentId, PaymentState, RefreshState, Session, Timestamp,
    Transaction, TransactionKind, User, UserId, WorkingSet,
};
use crate::store::journal::Head;

/// Users and sessions: those that are known from memory, the rest from the file.
pub(super) fn identities(
    connection: &Connection,
    identities: &Identities,
    needs: &Needs,
    set: &mut WorkingSet,
) -> Result<(), Fault> {
    let (unknown_users, unknown_sessions) = identities.with_known(|users, sessions| {
        (
            take_known(&needs.users, users, &mut set.users),
            take_known(&needs.sessions, sessions, &mut set.sessions),
        )
    });
    let mut read = Read { connection, set, users: Vec::new(), sessions: Vec::new() };
    for id in unknown_users {
        read.user(id)?;
    }
    for id in unknown_sessions {
        if let Some(session) = find_session(connection, statements::SESSION, &id.uuid())? {
            read.session(session);
        }
    }
    for token in &needs.refresh_tokens {
        let current = find_session(connection, statements::SESSION_BY_REFRESH, &token.0)?;
        let spent = || find_session(connection, statements::SESSION_BY_SPENT, &token.0);
        let found = match current {
            Some(session) => Some((session, RefreshState::Current)),
            None => spent()?.map(|session| (session, RefreshState::Spent)),
        };
        if let Some((session, state)) = found {
            read.set.refresh_tokens.insert(*token, (session.id, state));
            read.user(session.user)?;
            read.session(session);
        }
    }
    for user in &needs.sessions_of {
        read.sessions_of(*user)?;
    }
    for folded in &needs.emails {
        let mut statement = connection.prepare_cached(statements::USER_BY_EMAIL)?;
        let mut found = statement.query([folded])?;
        if let Some(row) = found.next()? {
            let user = rows::user(row)?;
            read.set.emails.insert(folded.clone(), user.id);
        }
    }
    let Read { users, sessions, .. } = read;
    if !users.is_empty() || !sessions.is_empty() {
        identities.replace(users.iter(), sessions.iter());
    }
    Ok(())
}

/// What was read from the file, for the working set and for memory.
struct Read<'a> {
    connection: &'a Connection,
    set: &'a mut WorkingSet,
    users: Vec<Arc<User>>,
    sessions: Vec<Arc<Session>>,
}

impl Read<'_> {
    fn user(&mut self, id: UserId) -> Result<(), Fault> {
        let mut statement = self.connection.prepare_cached(statements::USER)?;
        let mut found = statement.query([id.uuid()])?;
        if let Some(row) = found.next()? {
            let user = rows::user(row)?;
            self.set.users.insert(id, Arc::clone(&user));
            self.users.push(user);
        }
        Ok(())
    }

    fn session(&mut self, session: Arc<Session>) {
        self.set.sessions.insert(session.id, Arc::clone(&session));
        self.sessions.push(session);
    }

    fn sessions_of(&mut self, user: UserId) -> Result<(), Fault> {
        let mut statement = self.connection.prepare_cached(statements::LIVE_SESSIONS)?;
        let mut found = statement.query(params![user.uuid(), self.set.now.as_millis()])?;
        let mut of_user = Vec::new();
        while let Some(row) = found.next()? {
            let session = rows::session(row)?;
            of_user.push(session.id);
            self.session(session);
        }
        self.set.sessions_of.insert(user, of_user);
        Ok(())
    }
}

/// Moves what is known into the set; gives back what is not.
fn take_known<K: Copy + Eq + std::hash::Hash, V>(
    wanted: &[K],
    known: &IdMap<K, Arc<V>>,
    set: &mut IdMap<K, Arc<V>>,
) -> Vec<K> {
    let mut unknown = Vec::new();
    for key in wanted {
        match known.get(key) {
            Some(value) => {
                set.insert(*key, Arc::clone(value));
            }
            None => unknown.push(*key),
        }
    }
    unknown
}

fn find_session(
    connection: &Connection,
    sql: &str,
    by: &dyn rusqlite::ToSql,
) -> Result<Option<Arc<Session>>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([by])?;
    found.next()?.map(rows::session).transpose()
}

/// An account and what it held when it was last folded.
pub(super) fn account(connection: &Connection, key: &AccountKey) -> Result<Option<KnownAccount>, Fault> {
    let mut statement = connection.prepare_cached(statements::ACCOUNT)?;
    let by = params![key.owner.uuid(), key.kind.name(), key.currency.code()];
    let found = statement
        .query_row(by, |row| Ok(KnownAccount { no: row.get(0)?, balance: row.get(1)?, last_transaction: 0 }))
        .optional()?;
    Ok(found)
}

/// The transaction with that number, with its entries.
pub(super) fn transaction(connection: &Connection, no: i64) -> Result<Transaction, Fault> {
    let mut transaction = bare_transaction(connection, no)?;
    transaction.entries = entries(connection, no)?;
    Ok(transaction)
}

/// The transaction with that number, without its entries.
pub(super) fn bare_transaction(connection: &Connection, no: i64) -> Result<Transaction, Fault> {
    let mut statement = connection.prepare_cached(statements::TRANSACTION)?;
    let mut found = statement.query([no])?;
    let row = found.next()?.ok_or_else(|| Fault::Damaged(format!("transactions row {no} is missing")))?;
    Ok(rows::transaction(row)?.1)
}

/// A payment and where the newest row about it left it; none if there is no payment of that id.
pub(super) fn payment(connection: &Connection, id: PaymentId) -> Result<Option<KnownPayment>, Fault> {
    let mut statement = connection.prepare_cached(statements::TRANSACTION_BY_ID)?;
    let mut found = statement.query([id.uuid()])?;
    let Some((_, first)) = found.next()?.map(rows::transaction).transpose()? else { return Ok(None) };
    if first.kind != TransactionKind::Payment {
        return Ok(None);
    }
    let state = state(connection, id)?.or_else(|| first.payment_state());
    Ok(state.map(|state| KnownPayment { first: Arc::new(first), state }))
}

/// Where the newest later step left the payment; none if there is none.
pub(super) fn state(connection: &Connection, payment: PaymentId) -> Result<Option<PaymentState>, Fault> {
    let mut statement = connection.prepare_cached(statements::STATE_OF)?;
    let mut found = statement.query([payment.uuid()])?;
    let Some(row) = found.next()? else { return Ok(None) };
    let status = row.get_ref(0)?.as_str().unwrap_or_default();
    let damaged = || Fault::Damaged(format!("transactions about {payment}: status is not readable"));
    rows::state(status, row.get(1)?, row.get(2)?).ok_or_else(damaged).map(Some)
}

/// Every account that holds or held money for payments to be captured.
pub(super) fn holding(connection: &Connection) -> Result<HashSet<AccountKey>, Fault> {
    let mut statement = connection.prepare_cached(statements::HOLDING)?;
    let mut found = statement.query([])?;
    let mut holding = HashSet::new();
    while let Some(row) = found.next()? {
        holding.insert(rows::account_key(row)?);
    }
    Ok(holding)
}

/// The entries of the transaction with that number.
pub(super) fn entries(connection: &Connection, no: i64) -> Result<Vec<Entry>, Fault> {
    let mut statement = connection.prepare_cached(statements::ENTRIES_OF)?;
    let first = no.saturating_mul(ENTRIES_PER_TRANSACTION);
    let mut found = statement.query([first, first.saturating_add(ENTRIES_PER_TRANSACTION)])?;
    let mut entries = Vec::new();
    while let Some(row) = found.next()? {
        entries.push(rows::entry(row)?);
    }
    Ok(entries)
}

/// Where the journal ends, as the last block says and the tables confirm.
pub(super) fn head(connection: &Connection) -> Result<Head, Fault> {
    let head = last_block(connection)?;
    for (table, expected) in [("transactions", head.transaction), ("security_events", head.event)] {
        let sql = format!("SELECT coalesce(max(no), 0) FROM {table}");
        let last: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        if last != expected {
            return Err(Fault::Damaged(format!(
                "{table} ends with row {last}, and the chain's block {} with row {expected}",
                head.block
            )));
        }
    }
    Ok(head)
}

/// Where the journal ends, as the last block says.
pub(super) fn last_block(connection: &Connection) -> Result<Head, Fault> {
    let mut statement = connection.prepare_cached(statements::LAST_BLOCK)?;
    Ok(statement.query_row([], head_of).optional()?.unwrap_or_default())
}

/// Where the journal ended with a block, from its number, last transaction, last event, time and hash.
pub(super) fn head_of(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        block: row.get(0)?,
        transaction: row.get(1)?,
        event: row.get(2)?,
        at: Timestamp::from_millis(row.get(3)?),
        hash: row.get(4)?,
    })
}

/// Reads the journal above a number, transactions and entries side by side, and hands out each transaction with its
/// number and the numbers of its entries' accounts.
pub(super) fn each_after(
    connection: &Connection,
    after: i64,
    mut take: impl FnMut(i64, &Transaction, &[i64]),
) -> Result<(), Fault> {
    let mut keys: HashMap<i64, AccountKey> = HashMap::new();
    let mut transactions = connection.prepare_cached(statements::TRANSACTIONS_BETWEEN)?;
    let mut transactions = transactions.query([after, i64::MAX])?;
    let mut entries = connection.prepare_cached(statements::ENTRIES_FROM)?;
    let mut entries = entries.query([after.saturating_add(1).saturating_mul(ENTRIES_PER_TRANSACTION)])?;
    let mut waiting = raw_entry(&mut entries)?;
    while let Some(row) = transactions.next()? {
        let (no, mut transaction) = rows::transaction(row)?;
        let mut accounts = Vec::new();
        while let Some(entry) = waiting.take_if(|entry| entry.no.div_euclid(ENTRIES_PER_TRANSACTION) <= no) {
            if entry.no.div_euclid(ENTRIES_PER_TRANSACTION) < no {
                return Err(Fault::Damaged(format!("entries row {} has no transaction", entry.no)));
            }
            transaction.entries.push(Entry {
                account: account_of(connection, &mut keys, entry.account)?,
                amount_minor: entry.amount,
                balance_after_minor: entry.balance_after,
            });
            accounts.push(entry.account);
            waiting = raw_entry(&mut entries)?;
        }
        take(no, &transaction, &accounts);
    }
    match waiting {
        None => Ok(()),
        Some(entry) => Err(Fault::Damaged(format!("entries row {} has no transaction", entry.no))),
    }
}

/// An entry as it stands in its row.
struct RawEntry {
    no: i64,
    account: i64,
    amount: i64,
    balance_after: i64,
}

fn raw_entry(found: &mut rusqlite::Rows<'_>) -> Result<Option<RawEntry>, Fault> {
    let Some(row) = found.next()? else { return Ok(None) };
    Ok(Some(RawEntry {
        no: row.get(0)?,
        account: row.get(1)?,
        amount: row.get(2)?,
        balance_after: row.get(3)?,
    }))
}

fn account_of(
    connection: &Connection,
    keys: &mut HashMap<i64, AccountKey>,
    no: i64,
) -> Result<AccountKey, Fault> {
    if let Some(key) = keys.get(&no) {
        return Ok(*key);
    }
    let mut statement = connection.prepare_cached(statements::ACCOUNT_BY_NUMBER)?;
    let mut found = statement.query([no])?;
    let row = found.next()?.ok_or_else(|| Fault::Damaged(format!("accounts row {no} is missing")))?;
    let key = rows::account_key(row)?;
    keys.insert(no, key);
    Ok(key)
}

/// The number of the last transaction made before a time; numbers are dense and times never run back.
pub(super) fn last_before(connection: &Connection, last: i64, time: Timestamp) -> Result<i64, Fault> {
    let mut statement = connection.prepare_cached(statements::CREATED_AT)?;
    let (mut low, mut high) = (0, last);
    while low < high {
        let middle = low.midpoint(high.saturating_add(1));
        let at: i64 = statement.query_row([middle], |row| row.get(0))?;
        if at < time.as_millis() { low = middle } else { high = middle.saturating_sub(1) }
    }
    Ok(low)
}
