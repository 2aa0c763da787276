//! Writing the difference: one prepared statement per table, run for each row that is new or changed.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::fault::Fault;
use super::rows::{self, ENTRIES_PER_TRANSACTION};
use super::statements;
use crate::ledger::chain::Digested;
use crate::ledger::{AccountKey, SecurityEvent, Session, Timestamp, Transaction, User, UserId, WorkingSet};
use crate::store::journal::Head;

/// Users, sessions and spent tokens that the batch changed.
pub(super) fn identities(connection: &Connection, set: &WorkingSet) -> Result<(), Fault> {
    for id in &set.changes.users {
        let user = set.users.get(id).ok_or_else(|| missing("user"))?;
        save_user(connection, user)?;
    }
    for id in &set.changes.sessions {
        let session = set.sessions.get(id).ok_or_else(|| missing("session"))?;
        save_session(connection, session)?;
    }
    for (token, session) in &set.changes.spent_tokens {
        connection.prepare_cached(statements::SPEND_TOKEN)?.execute(params![token.0, session.uuid()])?;
    }
    Ok(())
}

pub(super) fn save_user(connection: &Connection, user: &User) -> Result<(), Fault> {
    connection.prepare_cached(statements::SAVE_USER)?.execute(params![
        user.id.uuid(),
        user.email.as_str(),
        user.email.folded(),
        user.name,
        user.password.as_phc(),
        user.role.name(),
        user.frozen,
        user.created_at.as_millis(),
        user.password_changed_at.as_millis(),
        user.password.is_long(),
        user.second_factor.as_ref().map(|factor| serde_json::to_string(factor).unwrap_or_default()),
        user.new_address_at.map(Timestamp::as_millis),
    ])?;
    Ok(())
}

pub(super) fn save_session(connection: &Connection, session: &Session) -> Result<(), Fault> {
    connection.prepare_cached(statements::SAVE_SESSION)?.execute(params![
        session.id.uuid(),
        session.user.uuid(),
        session.created_at.as_millis(),
        session.last_seen_at.as_millis(),
        session.ip.map(|ip| ip.to_string()),
        session.user_agent,
        session.access.0,
        session.access_expires_at.as_millis(),
        session.refresh.0,
        session.refresh_expires_at.as_millis(),
        session.ended.map(|(at, _)| at.as_millis()),
        session.ended.map(|(_, why)| why.name()),
        session.kind.api_key().map(|key| serde_json::to_string(key).unwrap_or_default()),
    ])?;
    Ok(())
}

/// An account that the batch is the first to touch.
pub(super) fn open_account(
    connection: &Connection,
    no: i64,
    account: &AccountKey,
    as_of: i64,
) -> Result<(), Fault> {
    connection.prepare_cached(statements::OPEN_ACCOUNT)?.execute(params![
        no,
        account.owner.uuid(),
        account.kind.name(),
        account.currency.code(),
        as_of,
    ])?;
    Ok(())
}

/// New rows of the journal with their entries.
pub(super) fn transactions<'a>(
    connection: &Connection,
    numbered: impl Iterator<Item = (i64, &'a Arc<Transaction>)>,
    account_number: impl Fn(&AccountKey) -> Option<i64>,
) -> Result<(), Fault> {
    let mut add_transaction = connection.prepare_cached(statements::ADD_TRANSACTION)?;
    let mut add_entry = connection.prepare_cached(statements::ADD_ENTRY)?;
    for (no, transaction) in numbered {
        rows::with_transaction_params(no, transaction, |values| add_transaction.execute(values))?;
        let first = no.saturating_mul(ENTRIES_PER_TRANSACTION);
        for (entry_no, entry) in
            (first..first.saturating_add(ENTRIES_PER_TRANSACTION)).zip(&transaction.entries)
        {
            let account = account_number(&entry.account).ok_or_else(|| missing("account"))?;
            add_entry.execute(params![entry_no, account, entry.amount_minor, entry.balance_after_minor])?;
        }
    }
    Ok(())
}

/// New security events, numbered after the last one.
pub(super) fn events(connection: &Connection, events: &[SecurityEvent], last: i64) -> Result<(), Fault> {
    let mut add_event = connection.prepare_cached(statements::ADD_EVENT)?;
    for (no, event) in (last.saturating_add(1)..).zip(events) {
        add_event.execute(params![
            no,
            event.id.uuid(),
            event.at.as_millis(),
            event.kind.name(),
            event.severity.name(),
            event.user.map(UserId::uuid),
            event.ip.map(|ip| ip.to_string()),
            event.user_agent,
            event.request.uuid(),
            event.detail,
        ])?;
    }
    Ok(())
}

/// The chain's next block.
pub(super) fn block(connection: &Connection, head: &Head, rows: &Digested) -> Result<(), Fault> {
    connection.prepare_cached(statements::ADD_BLOCK)?.execute(params![
        head.block,
        head.transaction,
        head.event,
        head.at.as_millis(),
        rows.digest,
        head.hash,
        rows.marks,
    ])?;
    Ok(())
}

/// A changed row is always in the working set: anything else is our bug, and must not be committed.
fn missing(what: &str) -> Fault {
    Fault::Damaged(format!("a changed {what} is not in the working set"))
}
