//! Rows to values and back. A row that this program could not have written is an error that names table and row.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Row, ToSql, params};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::fault::Fault;
use crate::ledger::{
    AccountKey, AccountKind, BalancesAfter, Capture, Currency, Decline, Email, Entry, EventKind, Hold,
    IdempotencyKey, Memo, Money, Party, PasswordHash, PaymentId, PaymentState, PaymentStatus, RequestId,
    Role, SecurityEvent, SecurityEventId, Session, SessionEnd, SessionId, SessionKind, Severity, Stage, Step,
    Timestamp, TokenHash, TopupFailure, TopupMethod, Transaction, TransactionId, TransactionKind, User,
    UserId,
};
pub(super) use crate::store::journal::ENTRIES_PER_TRANSACTION;
use crate::store::journal::Life;

/// How many columns `transaction_columns!` names.
pub(super) const TRANSACTION_COLUMNS: usize = 26;

/// A transaction and its number, without its entries.
pub(super) fn transaction(row: &Row<'_>) -> Result<(i64, Transaction), Fault> {
    let no: i64 = row.get(0)?;
    let damaged = |column: &str| Fault::Damaged(format!("transactions row {no}: {column} is not readable"));
    let text = |index: usize| row.get_ref(index).map(|value| value.as_str().unwrap_or_default().to_owned());
    let optional = |index: usize| row.get::<_, Option<String>>(index);
    let currency = Currency::from_code(row.get_ref(8)?.as_str().unwrap_or_default())
        .ok_or_else(|| damaged("currency"))?;
    let available: Option<i64> = row.get(14)?;
    let kind = TransactionKind::from_name(row.get_ref(2)?.as_str().unwrap_or_default())
        .ok_or_else(|| damaged("kind"))?;
    let decline = match row.get_ref(13)?.as_str_or_null().map_err(|_| damaged("decline"))? {
        None => None,
        Some(name) => Some(decline(kind, name, available).ok_or_else(|| damaged("decline"))?),
    };
    let method = match row.get_ref(12)?.as_str_or_null().map_err(|_| damaged("method"))? {
        None => None,
        Some(name) => Some(TopupMethod::from_name(name).ok_or_else(|| damaged("method"))?),
    };
    let key = match row.get_ref(15)?.as_str_or_null().map_err(|_| damaged("idempotency_key"))? {
        None => None,
        Some(key) => Some(IdempotencyKey::from_stored(key).ok_or_else(|| damaged("idempotency_key"))?),
    };
    let capture = match row.get_ref(17)?.as_str_or_null().map_err(|_| damaged("capture"))? {
        None => Capture::Automatic,
        Some(name) if name == Capture::Manual.name() => Capture::Manual,
        Some(_) => return Err(damaged("capture")),
    };
    let transaction = Transaction {
        id: TransactionId::new(row.get(1)?),
        kind,
        from: Party { id: UserId::new(row.get(3)?), name: optional(4)? },
        to: Party { id: UserId::new(row.get(5)?), name: optional(6)? },
        money: Money::from_minor(row.get(7)?, currency).map_err(|_| damaged("amount"))?,
        memo: Memo { description: text(9)?, reference: text(10)?, metadata: text(11)? },
        method,
        capture,
        stage: stage(row)?.ok_or_else(|| damaged("status"))?,
        actor: row.get::<_, Option<Uuid>>(23)?.map(UserId::new),
        after: BalancesAfter { from: row.get(24)?, to: row.get(25)? },
        decline,
        key,
        created_at: Timestamp::from_millis(row.get(16)?),
        entries: Vec::new(),
    };
    Ok((no, transaction))
}

/// What a transaction is in the life of a payment; none if its columns do not fit together.
fn stage(row: &Row<'_>) -> Result<Option<Stage>, Fault> {
    let (about, status): (Option<Uuid>, Option<String>) = (row.get(18)?, row.get(19)?);
    let (captured, refunded): (Option<i64>, Option<i64>) = (row.get(20)?, row.get(21)?);
    let note: Option<String> = row.get(22)?;
    let is_bare = captured.is_none() && refunded.is_none() && note.is_none();
    Ok(match (about, status) {
        (None, None) => is_bare.then_some(Stage::Whole),
        (None, Some(status)) => Hold::of_status(&status).filter(|_| is_bare).map(Stage::Held),
        (Some(_), None) => None,
        // An empty note is none.
        (Some(_), Some(_)) if note.as_deref() == Some("") => None,
        (Some(about), Some(status)) => state(&status, captured, refunded).map(|state| {
            let payment = PaymentId::new(about);
            Stage::Step(Box::new(Step { payment, state, note: note.unwrap_or_default() }))
        }),
    })
}

/// Where a row leaves a payment.
pub(super) fn state(status: &str, captured: Option<i64>, refunded: Option<i64>) -> Option<PaymentState> {
    let status = PaymentStatus::from_name(status)?;
    Some(PaymentState { status, captured_minor: captured?, refunded_minor: refunded? })
}

fn decline(kind: TransactionKind, name: &str, available: Option<i64>) -> Option<Decline> {
    match (kind, available) {
        (TransactionKind::Payment, None) if name == Decline::Risk.name() => Some(Decline::Risk),
        (TransactionKind::Topup, None) => TopupFailure::from_name(name).map(Decline::Topup),
        (_, Some(available_minor)) if name == "insufficient_funds" => {
            Some(Decline::InsufficientFunds { available_minor })
        }
        _ => None,
    }
}

/// Hands the parameters of `ADD_TRANSACTION` to `run`.
pub(super) fn with_transaction_params<T>(
    no: i64,
    transaction: &Transaction,
    run: impl FnOnce(&[&dyn ToSql]) -> T,
) -> T {
    let available = match transaction.decline {
        Some(Decline::InsufficientFunds { available_minor }) => Some(available_minor),
        Some(Decline::Risk | Decline::Topup(_)) | None => None,
    };
    let life = Life::of(transaction);
    run(params![
        no,
        transaction.id.uuid(),
        transaction.kind.name(),
        transaction.from.id.uuid(),
        transaction.from.name,
        transaction.to.id.uuid(),
        transaction.to.name,
        transaction.money.amount_minor(),
        transaction.money.currency().code(),
        transaction.memo.description,
        transaction.memo.reference,
        transaction.memo.metadata,
        transaction.method.map(TopupMethod::name),
        transaction.decline.map(Decline::name),
        available,
        transaction.key.as_ref().map(IdempotencyKey::as_str),
        transaction.created_at.as_millis(),
        life.capture,
        life.about,
        life.status,
        life.captured,
        life.refunded,
        life.note,
        transaction.actor.map(UserId::uuid),
        transaction.after.from,
        transaction.after.to,
    ])
}

/// An entry, from owner, kind, currency, amount and balance.
pub(super) fn entry(row: &Row<'_>) -> Result<Entry, Fault> {
    Ok(Entry { account: account_key(row)?, amount_minor: row.get(3)?, balance_after_minor: row.get(4)? })
}

/// An account's key, from its first three columns: owner, kind, currency.
pub(super) fn account_key(row: &Row<'_>) -> Result<AccountKey, Fault> {
    parse_account(UserId::new(row.get(0)?), row.get_ref(1)?, row.get_ref(2)?)
}

/// The key of one of the owner's accounts, from its first two columns: kind, currency.
pub(super) fn account_of(owner: UserId, row: &Row<'_>) -> Result<AccountKey, Fault> {
    parse_account(owner, row.get_ref(0)?, row.get_ref(1)?)
}

fn parse_account(owner: UserId, kind: ValueRef<'_>, currency: ValueRef<'_>) -> Result<AccountKey, Fault> {
    let damaged = |column: &str| Fault::Damaged(format!("accounts of {owner}: {column} is not readable"));
    Ok(AccountKey {
        owner,
        kind: kind.as_str().ok().and_then(AccountKind::from_name).ok_or_else(|| damaged("kind"))?,
        currency: currency.as_str().ok().and_then(Currency::from_code).ok_or_else(|| damaged("currency"))?,
    })
}

/// How many columns `user_columns!` names.
pub(super) const USER_COLUMNS: usize = 11;

/// A user.
pub(super) fn user(row: &Row<'_>) -> Result<Arc<User>, Fault> {
    let id = UserId::new(row.get(0)?);
    let damaged = |column: &str| Fault::Damaged(format!("users row {id}: {column} is not readable"));
    let email: String = row.get(1)?;
    let role: String = row.get(4)?;
    Ok(Arc::new(User {
        id,
        email: Email::parse(&email).map_err(|_| damaged("email"))?,
        name: row.get(2)?,
        password: PasswordHash::from_phc(row.get(3)?).of_length(row.get(8)?),
        role: Role::from_name(&role).ok_or_else(|| damaged("role"))?,
        frozen: row.get(5)?,
        created_at: Timestamp::from_millis(row.get(6)?),
        password_changed_at: Timestamp::from_millis(row.get(7)?),
        second_factor: json(row, 9, || damaged("second_factor"))?,
        new_address_at: row.get::<_, Option<i64>>(10)?.map(Timestamp::from_millis),
    }))
}

/// A session.
pub(super) fn session(row: &Row<'_>) -> Result<Arc<Session>, Fault> {
    let id = SessionId::new(row.get(0)?);
    let damaged = |column: &str| Fault::Damaged(format!("sessions row {id}: {column} is not readable"));
    let ip: Option<String> = row.get(4)?;
    let ended_at: Option<i64> = row.get(10)?;
    let ended_why: Option<String> = row.get(11)?;
    let ended = match (ended_at, ended_why) {
        (None, None) => None,
        (Some(at), Some(why)) => {
            let why = SessionEnd::from_name(&why).ok_or_else(|| damaged("ended_why"))?;
            Some((Timestamp::from_millis(at), why))
        }
        _ => return Err(damaged("ended_at")),
    };
    Ok(Arc::new(Session {
        id,
        user: UserId::new(row.get(1)?),
        kind: json(row, 12, || damaged("api_key"))?.map_or(SessionKind::Login, SessionKind::ApiKey),
        created_at: Timestamp::from_millis(row.get(2)?),
        last_seen_at: Timestamp::from_millis(row.get(3)?),
        ip: ip.map(|ip| ip.parse()).transpose().map_err(|_| damaged("ip"))?,
        user_agent: row.get(5)?,
        access: TokenHash(row.get(6)?),
        access_expires_at: Timestamp::from_millis(row.get(7)?),
        refresh: TokenHash(row.get(8)?),
        refresh_expires_at: Timestamp::from_millis(row.get(9)?),
        ended,
    }))
}

/// A value that is kept as JSON, or is absent; what is not readable is told by the column's name.
fn json<T: DeserializeOwned>(
    row: &Row<'_>,
    index: usize,
    unreadable: impl FnOnce() -> Fault,
) -> Result<Option<T>, Fault> {
    let text: Option<String> = row.get(index)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|_| unreadable())
}

/// A security event and its number.
pub(super) fn event(row: &Row<'_>) -> Result<(i64, SecurityEvent), Fault> {
    let no: i64 = row.get(0)?;
    let damaged =
        |column: &str| Fault::Damaged(format!("security_events row {no}: {column} is not readable"));
    let kind: String = row.get(3)?;
    let severity: String = row.get(4)?;
    let ip: Option<String> = row.get(6)?;
    let event = SecurityEvent {
        id: SecurityEventId::new(row.get(1)?),
        at: Timestamp::from_millis(row.get(2)?),
        kind: EventKind::from_name(&kind).ok_or_else(|| damaged("event"))?,
        severity: Severity::from_name(&severity).ok_or_else(|| damaged("severity"))?,
        user: row.get::<_, Option<Uuid>>(5)?.map(UserId::new),
        ip: ip.map(|ip| ip.parse()).transpose().map_err(|_| damaged("ip"))?,
        user_agent: row.get(7)?,
        request: RequestId::new(row.get(8)?),
        detail: row.get(9)?,
    };
    Ok((no, event))
}
