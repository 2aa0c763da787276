//! What operators look at.

use std::sync::Arc;

use tokio_postgres::Row;

use super::fault::Fault;
use super::reads::{cut, movement, one_more, position, query};
use super::rows::{self, USER_COLUMNS, get};
use super::{PostgresStore, Shared, statements};
use crate::ledger::{
    Currency, EventKind, PaymentId, Role, SecurityEvent, Severity, Timestamp, TransactionId, TransactionKind,
    User, UserId,
};
use crate::store::oversight::{
    EventQuery, Oversight, PaymentFigures, Statistics, TransactionQuery, UserQuery,
};
use crate::store::{Answer, Movement, Page};

impl Oversight for PostgresStore {
    fn find_users(&self, asked: UserQuery) -> Answer<'_, Page<Arc<User>>> {
        Self::read(async move { find_users(&self.shared, &asked).await })
    }

    fn find_transactions(&self, asked: TransactionQuery) -> Answer<'_, Page<Movement>> {
        Self::read(async move { find_transactions(&self.shared, &asked).await })
    }

    fn find_transaction(&self, id: TransactionId) -> Answer<'_, Option<Movement>> {
        Self::read(find_transaction(&self.shared, id))
    }

    fn payment_steps(&self, payment: PaymentId, limit: usize) -> Answer<'_, Vec<Movement>> {
        Self::read(payment_steps(&self.shared, payment, limit))
    }

    fn find_events(&self, asked: EventQuery) -> Answer<'_, Page<SecurityEvent>> {
        Self::read(async move { find_events(&self.shared, &asked).await })
    }

    fn statistics(&self, now: Timestamp, since: Timestamp) -> Answer<'_, Statistics> {
        Self::read(statistics(&self.shared, now, since))
    }
}

async fn find_users(shared: &Shared, asked: &UserQuery) -> Result<Page<Arc<User>>, Fault> {
    let UserQuery { search, role, frozen, page } = asked;
    let (before, limit) = (position(page.after, i64::MAX), one_more(page.limit));
    let (folded, role) = (search.as_ref().map(|search| search.to_lowercase()), role.map(Role::name));
    let found =
        query(shared, statements::FIND_USERS, &[&before, &limit, &folded, search, &role, frozen]).await?;
    let numbered = found.iter().map(|row| Ok((get(row, USER_COLUMNS)?, rows::user(row, 0)?)));
    Ok(cut(numbered.collect::<Result<_, Fault>>()?, page.limit))
}

async fn find_transactions(shared: &Shared, asked: &TransactionQuery) -> Result<Page<Movement>, Fault> {
    let TransactionQuery { not_of, filter, page } = asked;
    let (before, limit, not_of) = (position(page.after, i64::MAX), one_more(page.limit), not_of.uuid());
    let (currency, kind) = (filter.currency.map(Currency::code), filter.kind().map(TransactionKind::name));
    let (from, to) = (filter.from.map(Timestamp::as_millis), filter.to.map(Timestamp::as_millis));
    let found = query(
        shared,
        statements::FIND_TRANSACTIONS,
        &[&before, &limit, &not_of, &currency, &kind, &filter.declined, &from, &to],
    )
    .await?;
    let numbered = found.iter().map(|row| {
        let (no, transaction) = rows::transaction(row)?;
        Ok((no, movement(no, transaction, None)))
    });
    Ok(cut(numbered.collect::<Result<_, Fault>>()?, page.limit))
}

async fn find_transaction(shared: &Shared, id: TransactionId) -> Result<Option<Movement>, Fault> {
    let found = query(shared, statements::TRANSACTION_BY_ID, &[&id.uuid()]).await?;
    let found = found.first().map(rows::transaction).transpose()?;
    Ok(found.map(|(no, transaction)| movement(no, transaction, None)))
}

async fn payment_steps(shared: &Shared, payment: PaymentId, limit: usize) -> Result<Vec<Movement>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = query(shared, statements::STEPS_OF, &[&payment.uuid(), &limit]).await?;
    let steps = found.iter().map(rows::transaction);
    steps.map(|step| step.map(|(no, transaction)| movement(no, transaction, None))).collect()
}

async fn find_events(shared: &Shared, asked: &EventQuery) -> Result<Page<SecurityEvent>, Fault> {
    let EventQuery { kind, severity, user, from, to, page } = asked;
    let (before, limit) = (position(page.after, i64::MAX), one_more(page.limit));
    let (kind, severity) = (kind.map(EventKind::name), severity.map(Severity::name));
    let (from, to) = (from.map(Timestamp::as_millis), to.map(Timestamp::as_millis));
    let user = user.map(UserId::uuid);
    let found =
        query(shared, statements::FIND_EVENTS, &[&before, &limit, &kind, &severity, &user, &from, &to])
            .await?;
    Ok(cut(found.iter().map(rows::event).collect::<Result<_, _>>()?, page.limit))
}

async fn statistics(shared: &Shared, now: Timestamp, since: Timestamp) -> Result<Statistics, Fault> {
    let mut statistics = Statistics::default();
    for row in query(shared, statements::COUNT_USERS, &[]).await? {
        let damaged = || Fault::Damaged("users: a role is not readable".into());
        let role = Role::from_name(get(&row, 0)?).ok_or_else(damaged)?;
        statistics.users.push((role, count(&row, 1)?));
        statistics.frozen = statistics.frozen.saturating_add(count(&row, 2)?);
    }
    statistics.users.sort_by_key(|(role, _)| role.name());
    if let Some(row) = query(shared, statements::COUNT_SESSIONS, &[&now.as_millis()]).await?.first() {
        statistics.sessions = count(row, 0)?;
    }
    for row in query(shared, statements::COUNT_PAYMENTS, &[&since.as_millis()]).await? {
        let damaged = |column: &str| Fault::Damaged(format!("transactions: a {column} is not readable"));
        statistics.payments.push(PaymentFigures {
            currency: Currency::from_code(get(&row, 0)?).ok_or_else(|| damaged("currency"))?,
            succeeded: count(&row, 1)?,
            volume_minor: get::<&str>(&row, 2)?.parse().map_err(|_| damaged("sum"))?,
            declined: count(&row, 3)?,
        });
    }
    Ok(statistics)
}

fn count(row: &Row, index: usize) -> Result<u64, Fault> {
    Ok(u64::try_from(get::<i64>(row, index)?).unwrap_or_default())
}
