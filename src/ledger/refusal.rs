//! Refusals: every business 'no', in order of precedence. A refusal is an answer; a fault is not in this list.

use super::{Money, MoneyError, PaymentId, PaymentStatus, RequestStatus, TopupFailure, TransactionId};

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
    /// A second factor is asked for, and none was shown.
    OtpRequired,
    /// What was shown for a second factor is worth nothing, or was used before.
    OtpInvalid,
    /// There is a second factor already, or there is none.
    FactorState {
        /// Whether one is in use.
        is_on: bool,
    },
    /// Somebody has this email already.
    EmailTaken,
    /// No such session of the caller's.
    SessionNotFound,
    /// The caller's role or key does not have the permission.
    PermissionDenied,
    /// The caller is an operator whose own password or second factor must be mended first.
    CredentialsTooWeak,
    /// An operator's permission does not reach what they are a party to.
    OwnAffair,
    /// No such user.
    UserNotFound,
    /// The link for a new password is unknown, spent or too old.
    ResetLinkInvalid,
    /// No such webhook of the caller's, or none that the caller may keep.
    WebhookNotFound,
    /// The caller has as many webhooks as there may be.
    WebhookLimit {
        /// How many that is.
        most: usize,
    },
    /// The webhook gets nothing, so that nothing can be sent again.
    WebhookDisabled,
    /// A node of the ledger was faster; what was read before is to be read again.
    Overtaken,
    /// The key was used for something else; names the differing fields.
    IdempotencyKeyReused {
        /// The differing fields, by their names in the API; `call` if the key was used on another call.
        fields: Vec<&'static str>,
    },
    /// No such payment that the caller may know of.
    PaymentNotFound,
    /// No cash of that id waits or waited for a second operator.
    CashRequestNotFound,
    /// The caller's account is frozen.
    AccountFrozen,
    /// Only a sandbox does this.
    SandboxOnly,
    /// No such schedule.
    ScheduleNotFound,
    /// No such payment request.
    RequestNotFound,
    /// The payment request is not open any more.
    RequestState {
        /// How it stands.
        status: RequestStatus,
    },
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
    /// Another operator has let this cash through or stopped it.
    CashRequestDecided,
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
    /// Too little money in the wallet to pay out.
    CashShort {
        /// The declined withdrawal, where one is kept.
        transaction: Option<TransactionId>,
        /// What was asked.
        asked: Money,
        /// What there is to be paid out, in minor units of the same currency.
        available_minor: i64,
    },
    /// Of many payments that were to be made together, these cannot be: by place, why.
    BatchRefused {
        /// The place of each, from 0 on, and its own refusal.
        refusals: Vec<(usize, Refusal)>,
    },
    /// The simulated method said no.
    TopupFailed {
        /// Why.
        reason: TopupFailure,
    },
    /// The receiving account would hold more than can be counted.
    BalanceLimit,
}
