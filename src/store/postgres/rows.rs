//! Rows to values. A row that this program could not have written is an error that names table and row.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::fault::Fault;
use crate::ledger::{
    AccountKey, AccountKind, BalancesAfter, Capture, Counterparty, Currency, Decline, Email, Entry,
    EventKind, Hold, IdempotencyKey, Memo, Money, Part, Party, PasswordHash, Past, PaymentId, PaymentState,
    PaymentStatus, RequestId, Role, SecurityEvent, SecurityEventId, Session, SessionEnd, SessionId,
    SessionKind, Severity, Stage, Step, Timestamp, TokenHash, TopupFailure, TopupMethod, Transaction,
    TransactionId, TransactionKind, User, UserId, memo_digest,
};

/// How many columns `transaction_columns!` names.
pub(super) const TRANSACTION_COLUMNS: usize = 26;
/// How many columns `session_columns!` names.
pub(super) const SESSION_COLUMNS: usize = 13;
/// How many columns `user_columns!` names.
pub(super) const USER_COLUMNS: usize = 11;

/// A column's value.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> Result<T, Fault> {
    row.try_get(index).map_err(|error| Fault::Damaged(error.to_string()))
}

/// A transaction and its number, without its entries.
pub(super) fn transaction(row: &Row) -> Result<(i64, Transaction), Fault> {
    let no: i64 = get(row, 0)?;
    let damaged = |column: &str| Fault::Damaged(format!("transactions row {no}: {column} is not readable"));
    let kind = TransactionKind::from_name(get(row, 2)?).ok_or_else(|| damaged("kind"))?;
    let currency = Currency::from_code(get(row, 8)?).ok_or_else(|| damaged("currency"))?;
    let available: Option<i64> = get(row, 14)?;
    let decline = get::<Option<&str>>(row, 13)?
        .map(|name| decline(kind, name, available).ok_or_else(|| damaged("decline")))
        .transpose()?;
    let method = get::<Option<&str>>(row, 12)?
        .map(|name| TopupMethod::from_name(name).ok_or_else(|| damaged("method")))
        .transpose()?;
    let key = get::<Option<&str>>(row, 15)?
        .map(|key| IdempotencyKey::from_stored(key).ok_or_else(|| damaged("idempotency_key")))
        .transpose()?;
    let capture = match get::<Option<&str>>(row, 17)? {
        None => Capture::Automatic,
        Some(name) if name == Capture::Manual.name() => Capture::Manual,
        Some(_) => return Err(damaged("capture")),
    };
    let transaction = Transaction {
        id: TransactionId::new(get(row, 1)?),
        kind,
        from: Party { id: UserId::new(get(row, 3)?), name: get(row, 4)? },
        to: Party { id: UserId::new(get(row, 5)?), name: get(row, 6)? },
        money: Money::from_minor(get(row, 7)?, currency).map_err(|_| damaged("amount"))?,
        memo: Memo { description: get(row, 9)?, reference: get(row, 10)?, metadata: get(row, 11)? },
        method,
        capture,
        stage: stage(row)?.ok_or_else(|| damaged("status"))?,
        actor: get::<Option<Uuid>>(row, 23)?.map(UserId::new),
        after: BalancesAfter { from: get(row, 24)?, to: get(row, 25)? },
        decline,
        key,
        created_at: Timestamp::from_millis(get(row, 16)?),
        entries: Vec::new(),
    };
    Ok((no, transaction))
}

/// What a transaction is in the life of a payment; none if its columns do not fit together.
fn stage(row: &Row) -> Result<Option<Stage>, Fault> {
    let (about, status): (Option<Uuid>, Option<&str>) = (get(row, 18)?, get(row, 19)?);
    let (captured, refunded): (Option<i64>, Option<i64>) = (get(row, 20)?, get(row, 21)?);
    let note: Option<String> = get(row, 22)?;
    let is_bare = captured.is_none() && refunded.is_none() && note.is_none();
    Ok(match (about, status) {
        (None, None) => is_bare.then_some(Stage::Whole),
        (None, Some(status)) => Hold::of_status(status).filter(|_| is_bare).map(Stage::Held),
        (Some(_), None) => None,
        // An empty note is none.
        (Some(_), Some(_)) if note.as_deref() == Some("") => None,
        (Some(about), Some(status)) => state(status, captured, refunded).map(|state| {
            let payment = PaymentId::new(about);
            Stage::Step(Box::new(Step { payment, state, note: note.unwrap_or_default() }))
        }),
    })
}

/// Where a row leaves a payment.
fn state(status: &str, captured: Option<i64>, refunded: Option<i64>) -> Option<PaymentState> {
    let status = PaymentStatus::from_name(status)?;
    Some(PaymentState { status, captured_minor: captured?, refunded_minor: refunded? })
}

/// A payment and where its newest later step left it, from `STATES_OF`.
pub(super) fn state_of(row: &Row) -> Result<Option<(PaymentId, PaymentState)>, Fault> {
    let payment = PaymentId::new(get(row, 0)?);
    Ok(later_state(row, 1, payment)?.map(|state| (payment, state)))
}

/// Where the payment's newest later step left it, in three columns from that one on; none if there is no such step.
pub(super) fn later_state(row: &Row, from: usize, payment: PaymentId) -> Result<Option<PaymentState>, Fault> {
    let Some(status) = get::<Option<&str>>(row, from)? else { return Ok(None) };
    let (captured, refunded) = (get(row, from.saturating_add(1))?, get(row, from.saturating_add(2))?);
    let damaged = || Fault::Damaged(format!("transactions about {payment}: status is not readable"));
    state(status, captured, refunded).ok_or_else(damaged).map(Some)
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

/// A payment as one of its sides remembers it, after whose that is and its number, from `ACTIVITY`.
pub(super) fn past(row: &Row) -> Result<(UserId, i64, Past), Fault> {
    let user = UserId::new(get(row, 0)?);
    let damaged = |column: &str| Fault::Damaged(format!("a payment of {user}: {column} is not readable"));
    let (is_out, is_declined): (bool, bool) = (get(row, 2)?, get(row, 9)?);
    let kind = TransactionKind::from_name(get(row, 4)?).ok_or_else(|| damaged("kind"))?;
    let hold = get::<Option<&str>>(row, 10)?.and_then(Hold::of_status);
    let currency = Currency::from_code(get(row, 6)?).ok_or_else(|| damaged("currency"))?;
    let money = Money::from_minor(get(row, 5)?, currency).map_err(|_| damaged("amount"))?;
    let past = Past {
        at: Timestamp::from_millis(get(row, 11)?),
        other: Counterparty::of(UserId::new(get(row, 3)?)),
        amount_minor: money.amount_minor(),
        currency: money.currency(),
        memo: memo_digest(get(row, 7)?, get(row, 8)?),
        part: Part::of(kind, is_out, is_declined, hold),
    };
    Ok((user, get(row, 1)?, past))
}

/// An account, from owner, kind and currency, which begin at that column.
pub(super) fn account_key(row: &Row, first: usize) -> Result<AccountKey, Fault> {
    let (second, third) = (first.saturating_add(1), first.saturating_add(2));
    let owner = UserId::new(get(row, first)?);
    let damaged = |column: &str| Fault::Damaged(format!("accounts of {owner}: {column} is not readable"));
    Ok(AccountKey {
        owner,
        kind: AccountKind::from_name(get(row, second)?).ok_or_else(|| damaged("kind"))?,
        currency: Currency::from_code(get(row, third)?).ok_or_else(|| damaged("currency"))?,
    })
}

/// An entry and the number of its transaction.
pub(super) fn entry(row: &Row) -> Result<(i64, Entry), Fault> {
    let entry = Entry {
        account: account_key(row, 1)?,
        amount_minor: get(row, 4)?,
        balance_after_minor: get(row, 5)?,
    };
    Ok((get(row, 0)?, entry))
}

/// A user, whose columns begin at that one.
pub(super) fn user(row: &Row, first: usize) -> Result<Arc<User>, Fault> {
    let at = |offset: usize| first.saturating_add(offset);
    let id = UserId::new(get(row, first)?);
    let damaged = |column: &str| Fault::Damaged(format!("users row {id}: {column} is not readable"));
    Ok(Arc::new(User {
        id,
        email: Email::parse(get(row, at(1))?).map_err(|_| damaged("email"))?,
        name: get(row, at(2))?,
        password: PasswordHash::from_phc(get(row, at(3))?).of_length(get(row, at(8))?),
        role: Role::from_name(get(row, at(4))?).ok_or_else(|| damaged("role"))?,
        frozen: get(row, at(5))?,
        created_at: Timestamp::from_millis(get(row, at(6))?),
        password_changed_at: Timestamp::from_millis(get(row, at(7))?),
        second_factor: json(row, at(9), || damaged("second_factor"))?,
        new_address_at: get::<Option<i64>>(row, at(10))?.map(Timestamp::from_millis),
    }))
}

/// A session, whose columns come first.
pub(super) fn session(row: &Row) -> Result<Arc<Session>, Fault> {
    let id = SessionId::new(get(row, 0)?);
    let damaged = |column: &str| Fault::Damaged(format!("sessions row {id}: {column} is not readable"));
    let ended = match (get::<Option<i64>>(row, 10)?, get::<Option<&str>>(row, 11)?) {
        (None, None) => None,
        (Some(at), Some(why)) => {
            let why = SessionEnd::from_name(why).ok_or_else(|| damaged("ended_why"))?;
            Some((Timestamp::from_millis(at), why))
        }
        _ => return Err(damaged("ended_at")),
    };
    let ip = get::<Option<&str>>(row, 4)?.map(str::parse).transpose().map_err(|_| damaged("ip"))?;
    Ok(Arc::new(Session {
        id,
        user: UserId::new(get(row, 1)?),
        kind: json(row, 12, || damaged("api_key"))?.map_or(SessionKind::Login, SessionKind::ApiKey),
        created_at: Timestamp::from_millis(get(row, 2)?),
        last_seen_at: Timestamp::from_millis(get(row, 3)?),
        ip,
        user_agent: get(row, 5)?,
        access: token_hash(row, 6).ok_or_else(|| damaged("access_hash"))?,
        access_expires_at: Timestamp::from_millis(get(row, 7)?),
        refresh: token_hash(row, 8).ok_or_else(|| damaged("refresh_hash"))?,
        refresh_expires_at: Timestamp::from_millis(get(row, 9)?),
        ended,
    }))
}

/// A value that is kept as JSON, or is absent; what is not readable is told by the column's name.
fn json<T: DeserializeOwned>(
    row: &Row,
    index: usize,
    unreadable: impl FnOnce() -> Fault,
) -> Result<Option<T>, Fault> {
    let text: Option<&str> = get(row, index)?;
    text.map(serde_json::from_str).transpose().map_err(|_| unreadable())
}

/// A token's hash; none if the column does not hold 32 bytes.
pub(super) fn token_hash(row: &Row, index: usize) -> Option<TokenHash> {
    let bytes: &[u8] = row.try_get(index).ok()?;
    bytes.try_into().ok().map(TokenHash)
}

/// A security event and its number.
pub(super) fn event(row: &Row) -> Result<(i64, SecurityEvent), Fault> {
    let no: i64 = get(row, 0)?;
    let damaged =
        |column: &str| Fault::Damaged(format!("security_events row {no}: {column} is not readable"));
    let event = SecurityEvent {
        id: SecurityEventId::new(get(row, 1)?),
        at: Timestamp::from_millis(get(row, 2)?),
        kind: EventKind::from_name(get(row, 3)?).ok_or_else(|| damaged("event"))?,
        severity: Severity::from_name(get(row, 4)?).ok_or_else(|| damaged("severity"))?,
        user: get::<Option<Uuid>>(row, 5)?.map(UserId::new),
        ip: get::<Option<&str>>(row, 6)?.map(str::parse).transpose().map_err(|_| damaged("ip"))?,
        user_agent: get(row, 7)?,
        request: RequestId::new(get(row, 8)?),
        detail: get(row, 9)?,
    };
    Ok((no, event))
}
