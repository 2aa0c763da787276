//! Refusals: every business 'no', in order of precedence. A refusal is an answer; a fault is not in this list.

use super::{Money, MoneyError, PaymentId, PaymentStatus, TopupFailure};

/// Why the ledger said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The token does not name a live session.
    TokenInvalid,
    /// The token named a live session, and its time is over.
    TokenExpired,
    /// A spent refresh token was used again; the session has ended.
    TokenReused,
    /// The password is no longer the one that was checked.
    InvalidCredentials,
    /// Somebody has this email already.
    EmailTaken,
    /// No such session of the caller's.
    SessionNotFound,
    /// No such user.
    UserNotFound,
    /// The link for a new password is unknown, spent or too old.
    ResetLinkInvalid,
    /// The key was used for something else; names the differing fields.
    IdempotencyKeyReused {
        /// The differing fields, by their names in the API; `call` if the key was used on another call.
        fields: Vec<&'static str>,
    },
    /// No such payment that the caller may know of.
    PaymentNotFound,
    /// The caller's role may not do this; or may, but not to a payment or wallet of their own.
    PermissionDenied,
    /// The caller's account is frozen.
    AccountFrozen,
    /// Only a sandbox does this.
    SandboxOnly,
    /// No such payee.
    RecipientNotFound,
    /// Payer and payee are the same.
    SelfPayment,
    /// The same payment was made moments ago.
    DuplicatePayment {
        /// The first one.
        payment: PaymentId,
    },
    /// The state of the payment does not allow this.
    PaymentState {
        /// How it stands.
        status: PaymentStatus,
    },
    /// The amount is none in the payment's currency.
    AmountRefused {
        /// Why.
        error: MoneyError,
    },
    /// More was asked for than is there to be captured or refunded.
    AmountTooLarge {
        /// The most that could have been asked for.
        most: Money,
    },
    /// Too little money; the declined payment is kept.
    InsufficientFunds {
        /// The declined payment.
        payment: PaymentId,
        /// What was asked.
        asked: Money,
        /// What the payer could have spent, in minor units of the same currency.
        available_minor: i64,
    },
    /// A risk rule said no; the declined payment is kept.
    PaymentDeclined {
        /// The declined payment.
        payment: PaymentId,
    },
    /// The simulated method said no.
    TopupFailed {
        /// Why.
        reason: TopupFailure,
    },
    /// The receiving account would hold more than can be counted.
    BalanceLimit,
}
