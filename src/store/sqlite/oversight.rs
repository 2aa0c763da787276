//! What operators look at. The journal's tables have every row from its commit on, so nothing here asks the tail.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::fault::Fault;
use super::reads::{cut, movement_row, one_more, position};
use super::{SqliteStore, load, rows, statements};
use crate::ledger::{
    Currency, EventKind, PaymentId, Role, SecurityEvent, Severity, Timestamp, TransactionId, TransactionKind,
    User, UserId,
};
use crate::store::oversight::{
    EventQuery, Oversight, PaymentFigures, Statistics, TransactionQuery, UserQuery,
};
use crate::store::{Answer, Movement, Page};

impl Oversight for SqliteStore {
    fn find_users(&self, query: UserQuery) -> Answer<'_, Page<Arc<User>>> {
        self.readers.read(move |connection| find_users(connection, &query))
    }

    fn find_transactions(&self, query: TransactionQuery) -> Answer<'_, Page<Movement>> {
        self.readers.read(move |connection| find_transactions(connection, &query))
    }

    fn find_transaction(&self, id: TransactionId) -> Answer<'_, Option<Movement>> {
        self.readers.read(move |connection| find_transaction(connection, id))
    }

    fn payment_steps(&self, payment: PaymentId, limit: usize) -> Answer<'_, Vec<Movement>> {
        self.readers.read(move |connection| payment_steps(connection, payment, limit))
    }

    fn find_events(&self, query: EventQuery) -> Answer<'_, Page<SecurityEvent>> {
        self.readers.read(move |connection| find_events(connection, &query))
    }

    fn statistics(&self, now: Timestamp, since: Timestamp) -> Answer<'_, Statistics> {
        self.readers.read(move |connection| statistics(connection, now, since))
    }
}

fn find_users(connection: &Connection, query: &UserQuery) -> Result<Page<Arc<User>>, Fault> {
    let UserQuery { search, role, frozen, page } = query;
    let mut statement = connection.prepare_cached(statements::FIND_USERS)?;
    let mut found = statement.query(params![
        position(page.after, i64::MAX),
        one_more(page.limit),
        search.as_ref().map(|search| search.to_lowercase()),
        search,
        role.map(Role::name),
        frozen,
    ])?;
    let mut numbered = Vec::new();
    while let Some(row) = found.next()? {
        numbered.push((row.get(rows::USER_COLUMNS)?, rows::user(row)?));
    }
    Ok(cut(numbered, page.limit))
}

fn find_transactions(connection: &Connection, query: &TransactionQuery) -> Result<Page<Movement>, Fault> {
    let TransactionQuery { not_of, filter, page } = query;
    let mut statement = connection.prepare_cached(statements::FIND_TRANSACTIONS)?;
    let mut found = statement.query(params![
        position(page.after, i64::MAX),
        one_more(page.limit),
        not_of.uuid(),
        filter.currency.map(Currency::code),
        filter.kind().map(TransactionKind::name),
        filter.declined,
        filter.from.map(Timestamp::as_millis),
        filter.to.map(Timestamp::as_millis),
    ])?;
    let mut numbered = Vec::new();
    while let Some(row) = found.next()? {
        let (no, transaction) = rows::transaction(row)?;
        numbered.push((no, movement_row(no, transaction, None)));
    }
    Ok(cut(numbered, page.limit))
}

fn find_transaction(connection: &Connection, id: TransactionId) -> Result<Option<Movement>, Fault> {
    let mut statement = connection.prepare_cached(statements::TRANSACTION_BY_ID)?;
    let mut found = statement.query([id.uuid()])?;
    let found = found.next()?.map(rows::transaction).transpose()?;
    Ok(found.map(|(no, transaction)| movement_row(no, transaction, None)))
}

fn payment_steps(connection: &Connection, payment: PaymentId, limit: usize) -> Result<Vec<Movement>, Fault> {
    let mut statement = connection.prepare_cached(statements::STEPS_OF)?;
    let mut found = statement.query(params![payment.uuid(), i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut steps = Vec::new();
    while let Some(row) = found.next()? {
        let (no, transaction) = rows::transaction(row)?;
        steps.push(movement_row(no, transaction, None));
    }
    Ok(steps)
}

fn find_events(connection: &Connection, query: &EventQuery) -> Result<Page<SecurityEvent>, Fault> {
    let EventQuery { kind, severity, user, from, to, page } = query;
    let mut statement = connection.prepare_cached(statements::FIND_EVENTS)?;
    let mut found = statement.query(params![
        position(page.after, i64::MAX),
        one_more(page.limit),
        kind.map(EventKind::name),
        severity.map(Severity::name),
        user.map(UserId::uuid),
        from.map(Timestamp::as_millis),
        to.map(Timestamp::as_millis),
    ])?;
    let mut numbered = Vec::new();
    while let Some(row) = found.next()? {
        numbered.push(rows::event(row)?);
    }
    Ok(cut(numbered, page.limit))
}

fn statistics(connection: &Connection, now: Timestamp, since: Timestamp) -> Result<Statistics, Fault> {
    let mut statistics = Statistics::default();
    let mut statement = connection.prepare_cached(statements::COUNT_USERS)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let damaged = || Fault::Damaged("users: a role is not readable".into());
        let role = row.get_ref(0)?.as_str().ok().and_then(Role::from_name).ok_or_else(damaged)?;
        statistics.users.push((role, count(row, 1)?));
        statistics.frozen = statistics.frozen.saturating_add(count(row, 2)?);
    }
    statistics.users.sort_by_key(|(role, _)| role.name());
    let mut statement = connection.prepare_cached(statements::COUNT_SESSIONS)?;
    statistics.sessions = statement.query_row([now.as_millis()], |row| Ok(count(row, 0)))??;
    let last = load::last_block(connection)?.transaction;
    let before = load::last_before(connection, last, since)?;
    let mut statement = connection.prepare_cached(statements::COUNT_PAYMENTS)?;
    let mut found = statement.query([before])?;
    while let Some(row) = found.next()? {
        let damaged = || Fault::Damaged("transactions: a currency is not readable".into());
        let currency = row.get_ref(0)?.as_str().ok().and_then(Currency::from_code);
        let (high, low): (i64, i64) = (row.get(2)?, row.get(3)?);
        statistics.payments.push(PaymentFigures {
            currency: currency.ok_or_else(damaged)?,
            succeeded: count(row, 1)?,
            volume_minor: (i128::from(high) << 32) | i128::from(low),
            declined: count(row, 4)?,
        });
    }
    Ok(statistics)
}

fn count(row: &Row<'_>, index: usize) -> Result<u64, Fault> {
    Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or_default())
}
