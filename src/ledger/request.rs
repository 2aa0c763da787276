//! Payment requests: links by which whoever knows one pays its maker, at most once.
//!
//! Knowing a request's id is being allowed to see and pay it: of a `UUIDv7` 74 bits are random, where OWASP's session
//! management asks for 64 of what is guessed online. What it asks for never changes. How it stands follows from what
//! ended it and from the time, whether or not anybody looked in between.

use serde::{Deserialize, Serialize};

use super::feed::ToldParty;
use super::{Caller, Currency, Money, Needs, Pay, PaymentId, PaymentRequestId, RecordKey, Timestamp, UserId};

/// What somebody asks to be paid. The record's owner is who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRequest {
    /// How much.
    pub money: Money,
    /// What for; empty if nothing was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// From when on it can no longer be paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What ended it, if anything did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<RequestEnd>,
}

/// What ends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestEnd {
    /// Somebody paid it.
    Paid {
        /// The payment.
        payment: PaymentId,
        /// Who paid.
        by: UserId,
        /// When.
        at: Timestamp,
    },
    /// Whoever asked took it back.
    Cancelled {
        /// When.
        at: Timestamp,
    },
}

/// How a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestStatus {
    /// It can be paid.
    Open,
    /// It was paid.
    Paid,
    /// It was taken back.
    Cancelled,
    /// Its time is over.
    Expired,
}

impl RequestStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Open, Self::Paid, Self::Cancelled, Self::Expired];

    /// The status's name, as in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl PaymentRequest {
    /// How it stands at that time.
    pub fn status(&self, now: Timestamp) -> RequestStatus {
        match self.end {
            Some(RequestEnd::Paid { .. }) => RequestStatus::Paid,
            Some(RequestEnd::Cancelled { .. }) => RequestStatus::Cancelled,
            None if self.expires_at.is_some_and(|end| now >= end) => RequestStatus::Expired,
            None => RequestStatus::Open,
        }
    }

    /// The request of that id and time as its maker, whose id and name are given, is told of it at a time, in answers and
    /// in events.
    pub fn told<'a>(
        &'a self,
        (id, created_at): (PaymentRequestId, Timestamp),
        (to, to_name): (UserId, Option<&'a str>),
        now: Timestamp,
    ) -> ToldRequest<'a> {
        let (payment, ended_at) = match self.end {
            None => (None, None),
            Some(RequestEnd::Cancelled { at }) => (None, Some(at)),
            Some(RequestEnd::Paid { payment, at, .. }) => (Some(payment), Some(at)),
        };
        ToldRequest {
            amount: self.money.to_string(),
            created_at: created_at.to_string(),
            currency: self.money.currency(),
            description: (!self.description.is_empty()).then_some(&self.description),
            ended_at: ended_at.map(|at| at.to_string()),
            expires_at: self.expires_at.map(|at| at.to_string()),
            id,
            payment,
            status: self.status(now),
            to: ToldParty::new(to, to_name),
        }
    }
}

/// A request as clients are told of it.
#[derive(Debug, Serialize)]
pub struct ToldRequest<'a> {
    amount: String,
    created_at: String,
    currency: Currency,
    description: Option<&'a str>,
    ended_at: Option<String>,
    expires_at: Option<String>,
    id: PaymentRequestId,
    /// The payment that paid it, which is for its two sides alone.
    pub payment: Option<PaymentId>,
    status: RequestStatus,
    to: ToldParty<'a>,
}

/// Ask for a payment.
#[derive(Debug, Clone)]
pub struct MakeRequest {
    /// Who asks.
    pub caller: Caller,
    /// The id that the request gets.
    pub request: PaymentRequestId,
    /// How much.
    pub money: Money,
    /// What for; empty if nothing is said.
    pub description: String,
    /// For how long it can be paid, in milliseconds; none for ever.
    pub expires_in_ms: Option<i64>,
}

/// Take a request back.
#[derive(Debug, Clone)]
pub struct CancelRequest {
    /// Who asks.
    pub caller: Caller,
    /// Which request.
    pub request: PaymentRequestId,
}

/// Tell that a request's time is over, once.
#[derive(Debug, Clone, Copy)]
pub struct LapseRequest {
    /// Which request.
    pub request: PaymentRequestId,
    /// Whose it is.
    pub owner: UserId,
}

impl LapseRequest {
    pub(super) fn add_needs(&self, needs: &mut Needs) {
        needs.users.push(self.owner);
        needs.records.push(RecordKey::of::<PaymentRequest>(self.request.uuid()));
    }
}

/// Pay what a request asks.
#[derive(Debug, Clone)]
pub struct PayRequested {
    /// Which request.
    pub request: PaymentRequestId,
    /// The payment: to its maker, of what it asks, with the request's id as its reference.
    pub pay: Pay,
}
