//! What answers look like: the ledger's values as JSON, their fields in a fixed order.
//!
//! A payment is told from its first row of the journal and the state that a row about it left it in, neither of which
//! ever changes, so that a repeated key gets the same bytes as the first time.

use std::fmt::Display;

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ledger::{
    Balance, CashDirection, CashRequest, Currency, Decline, EventKind, MovementType, Party, PaymentId,
    PaymentState, PaymentStatus, Record, RefundId, Role, SecurityEvent, Session, SessionId, Timestamp,
    Transaction, TransactionId, TransactionKind, User, UserId,
};
use crate::store::Movement;

/// A value as the text that it displays as.
#[derive(Debug)]
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A user, as they see themselves.
#[derive(Debug, Serialize)]
pub(super) struct UserView<'a> {
    id: UserId,
    email: &'a str,
    name: Option<&'a str>,
    role: Role,
    created_at: Text<Timestamp>,
}

impl<'a> UserView<'a> {
    pub(super) fn new(user: &'a User) -> Self {
        Self {
            id: user.id,
            email: user.email.as_str(),
            name: user.name.as_deref(),
            role: user.role,
            created_at: Text(user.created_at),
        }
    }
}

/// A session, as its user sees it.
#[derive(Debug, Serialize)]
pub(super) struct SessionView<'a> {
    id: SessionId,
    current: bool,
    ip: Option<Text<std::net::IpAddr>>,
    user_agent: Option<&'a str>,
    created_at: Text<Timestamp>,
    last_seen_at: Text<Timestamp>,
    expires_at: Text<Timestamp>,
}

impl<'a> SessionView<'a> {
    pub(super) fn new(session: &'a Session, current: SessionId) -> Self {
        Self {
            id: session.id,
            current: session.id == current,
            ip: session.ip.map(Text),
            user_agent: session.user_agent.as_deref(),
            created_at: Text(session.created_at),
            last_seen_at: Text(session.last_seen_at),
            expires_at: Text(session.refresh_expires_at),
        }
    }
}

/// A security event.
#[derive(Debug, Serialize)]
pub(super) struct EventView<'a> {
    id: crate::ledger::SecurityEventId,
    at: Text<Timestamp>,
    event: &'static str,
    severity: &'static str,
    user: Option<UserId>,
    ip: Option<Text<std::net::IpAddr>>,
    user_agent: Option<&'a str>,
    request_id: crate::ledger::RequestId,
    detail: &'a RawValue,
}

impl<'a> EventView<'a> {
    pub(super) fn new(event: &'a SecurityEvent) -> Self {
        Self {
            id: event.id,
            at: Text(event.at),
            event: event.kind.name(),
            severity: event.severity.name(),
            user: event.user,
            ip: event.ip.map(Text),
            user_agent: event.user_agent.as_deref(),
            request_id: event.request,
            detail: object(&event.detail),
        }
    }

    /// The event as the user whom it concerns sees it: where the limits of risk rules are is for operators to know.
    pub(super) fn own(event: &'a SecurityEvent) -> Self {
        let view = Self::new(event);
        if event.kind == EventKind::PaymentSuspicious { Self { detail: object(""), ..view } } else { view }
    }
}

/// One side of a payment.
#[derive(Debug, Serialize)]
pub(super) struct PartyView<'a> {
    id: PartyName,
    name: Option<&'a str>,
}

impl<'a> PartyView<'a> {
    fn new(party: &'a Party) -> Self {
        Self::named(party.id, party.name.as_deref())
    }

    pub(super) fn named(id: UserId, name: Option<&'a str>) -> Self {
        Self { id: PartyName(id), name }
    }
}

#[derive(Debug)]
struct PartyName(UserId);

impl Serialize for PartyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.system_name() {
            Some(name) => serializer.serialize_str(name),
            None => self.0.serialize(serializer),
        }
    }
}

/// A payment.
#[derive(Debug, Serialize)]
pub(super) struct PaymentView<'a> {
    id: PaymentId,
    status: PaymentStatus,
    amount: Text<Balance>,
    amount_captured: Text<Balance>,
    amount_refunded: Text<Balance>,
    currency: Currency,
    from: PartyView<'a>,
    to: PartyView<'a>,
    description: Option<&'a str>,
    reference: Option<&'a str>,
    metadata: &'a RawValue,
    decline: Option<DeclineView>,
    created_at: Text<Timestamp>,
}

#[derive(Debug, Serialize)]
struct DeclineView {
    code: &'static str,
    available: Option<Text<Balance>>,
}

impl<'a> PaymentView<'a> {
    /// The payment of that first row, as a row about it left it.
    pub(super) fn new(transaction: &'a Transaction, state: Option<PaymentState>) -> Self {
        let currency = transaction.money.currency();
        let of = |amount_minor| Text(Balance { amount_minor, currency });
        let state = state.unwrap_or(PaymentState::without_capture(PaymentStatus::Declined));
        Self {
            id: transaction.id.into(),
            status: state.status,
            amount: of(transaction.money.amount_minor()),
            amount_captured: of(state.captured_minor),
            amount_refunded: of(state.refunded_minor),
            currency,
            from: PartyView::new(&transaction.from),
            to: PartyView::new(&transaction.to),
            description: text_or_null(&transaction.memo.description),
            reference: text_or_null(&transaction.memo.reference),
            metadata: object(&transaction.memo.metadata),
            decline: transaction.decline.map(|decline| DeclineView {
                code: decline.name(),
                available: match decline {
                    Decline::InsufficientFunds { available_minor } => Some(of(available_minor)),
                    Decline::Risk | Decline::Topup(_) => None,
                },
            }),
            created_at: Text(transaction.created_at),
        }
    }
}

/// A refund that was made.
#[derive(Debug, Serialize)]
pub(super) struct RefundView<'a> {
    id: RefundId,
    payment: Option<PaymentId>,
    transaction: TransactionId,
    status: &'static str,
    amount: Text<crate::ledger::Money>,
    currency: Currency,
    reason: Option<&'a str>,
    payment_status: Option<PaymentStatus>,
    amount_refunded: Text<Balance>,
    created_at: Text<Timestamp>,
}

impl<'a> RefundView<'a> {
    pub(super) fn new(transaction: &'a Transaction) -> Self {
        let currency = transaction.money.currency();
        let state = transaction.payment_state();
        let amount_minor = state.map_or(0, |state| state.refunded_minor);
        Self {
            id: transaction.id.into(),
            payment: transaction.payment(),
            transaction: transaction.id,
            status: status(transaction),
            amount: Text(transaction.money),
            currency,
            reason: transaction.stage.step().and_then(|step| text_or_null(&step.note)),
            payment_status: state.map(|state| state.status),
            amount_refunded: Text(Balance { amount_minor, currency }),
            created_at: Text(transaction.created_at),
        }
    }
}

/// Cash that was taken in or paid out, or that waits for a second operator.
#[derive(Debug, Serialize)]
pub(super) struct CashView {
    id: TransactionId,
    #[serde(rename = "type")]
    direction: CashDirection,
    status: &'static str,
    user: Who,
    amount: Text<Balance>,
    currency: Currency,
    reference: String,
    created_at: Text<Timestamp>,
}

/// A user as an operator's answer names them.
#[derive(Debug, Serialize)]
struct Who {
    id: UserId,
    name: Option<String>,
}

impl CashView {
    /// Cash that moved.
    pub(super) fn moved(transaction: &Transaction) -> Self {
        let is_deposit = transaction.kind == TransactionKind::Deposit;
        let user = if is_deposit { &transaction.to } else { &transaction.from };
        let currency = transaction.money.currency();
        Self {
            id: transaction.id,
            direction: if is_deposit { CashDirection::Deposit } else { CashDirection::Withdrawal },
            status: status(transaction),
            user: Who { id: user.id, name: user.name.clone() },
            amount: Text(Balance { amount_minor: transaction.money.amount_minor(), currency }),
            currency,
            reference: transaction.memo.reference.clone(),
            created_at: Text(transaction.created_at),
        }
    }

    /// Cash that waits, told from what never changes of its record.
    pub(super) fn waiting(record: &Record) -> Option<Self> {
        let request = record.read::<CashRequest>()?;
        let currency = request.currency;
        Some(Self {
            id: TransactionId::new(record.key.id),
            direction: request.direction,
            status: "pending",
            user: Who { id: request.user, name: request.name },
            amount: Text(Balance { amount_minor: request.amount_minor, currency }),
            currency,
            reference: request.reference,
            created_at: Text(record.created_at),
        })
    }
}

/// A transaction, as one of its sides sees it.
#[derive(Debug, Serialize)]
pub(super) struct TransactionView<'a> {
    id: TransactionId,
    #[serde(rename = "type")]
    kind: Option<MovementType>,
    direction: &'static str,
    amount: Text<crate::ledger::Money>,
    currency: Currency,
    counterparty: PartyView<'a>,
    payment: Option<PaymentId>,
    status: &'static str,
    description: Option<&'a str>,
    reference: Option<&'a str>,
    balance_after: Option<Text<Balance>>,
    created_at: Text<Timestamp>,
}

impl<'a> TransactionView<'a> {
    pub(super) fn new(movement: &'a Movement, seer: UserId) -> Self {
        let transaction = &*movement.transaction;
        let is_out = transaction.from.id == seer;
        let is_refund = transaction.kind == TransactionKind::Refund;
        let step = transaction.stage.step().filter(|_| is_refund);
        let reason = step.and_then(|step| text_or_null(&step.note));
        let currency = transaction.money.currency();
        Self {
            id: transaction.id,
            kind: transaction.movement(),
            direction: if is_out { "out" } else { "in" },
            amount: Text(transaction.money),
            currency,
            counterparty: PartyView::new(if is_out { &transaction.to } else { &transaction.from }),
            payment: transaction.payment(),
            status: status(transaction),
            // A refund says why; where it does not, what the payment was for.
            description: reason.or_else(|| text_or_null(&transaction.memo.description)),
            reference: text_or_null(&transaction.memo.reference),
            balance_after: movement
                .balance_after_minor
                .map(|amount_minor| Text(Balance { amount_minor, currency })),
            created_at: Text(transaction.created_at),
        }
    }
}

/// A top-up that succeeded.
#[derive(Debug, Serialize)]
pub(super) struct TopupView {
    id: TransactionId,
    status: &'static str,
    amount: Text<crate::ledger::Money>,
    currency: Currency,
    method: Option<&'static str>,
    balance_after: Option<Text<Balance>>,
    created_at: Text<Timestamp>,
}

impl TopupView {
    pub(super) fn new(transaction: &Transaction) -> Self {
        let currency = transaction.money.currency();
        Self {
            id: transaction.id,
            status: status(transaction),
            amount: Text(transaction.money),
            currency,
            method: transaction.method.map(crate::ledger::TopupMethod::name),
            balance_after: transaction
                .balance_after(transaction.to.id)
                .map(|amount_minor| Text(Balance { amount_minor, currency })),
            created_at: Text(transaction.created_at),
        }
    }
}

fn status(transaction: &Transaction) -> &'static str {
    if transaction.decline.is_some() { "declined" } else { "succeeded" }
}

/// What the ledger tells of a thing, and a member that is not for everybody.
pub(super) fn with(mut told: Value, member: &str, value: impl Into<Value>) -> Value {
    if let Some(members) = told.as_object_mut() {
        members.insert(member.to_owned(), value.into());
    }
    told
}

pub(super) fn text_or_null(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A JSON object as it was kept; nothing kept is an empty one.
fn object(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap_or_else(|_| {
        // `{}` is an object: were it not, null would be the least wrong.
        serde_json::from_str("{}").unwrap_or(RawValue::NULL)
    })
}
