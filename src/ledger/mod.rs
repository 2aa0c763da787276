//! The pure core: what can be asked, what is decided, what is written down.
//!
//! Every engine runs commands the same way: it loads the rows that [`Command::add_needs`] names into a [`WorkingSet`],
//! lets [`decide()`] apply the commands to it one after another, and writes its [`Changes`]. All business rules live in
//! [`decide()`] and only there. No I/O, no clock, no randomness: the time comes with the batch, ids with the command.
//!
//! Money is never created: every [`Transaction`]'s entries sum to zero per currency, and the journal is only appended.

#![deny(clippy::arithmetic_side_effects)]

mod account;
mod amount_limits;
pub mod chain;
mod command;
mod decide;
mod delivery;
mod event;
mod feed;
pub mod hexadecimal;
mod id;
mod key;
mod money;
mod needs;
mod payment;
mod permission;
mod record;
mod refusal;
mod request;
mod risk;
mod schedule;
mod second_factor;
mod session;
mod time;
mod transaction;
mod user;
mod webhook;
mod working_set;

pub use account::{AccountKey, AccountKind};
pub use amount_limits::{AmountLimits, AmountLimitsError};
pub use command::{
    Action, Authority, BeginFactor, Cash, ChangePassword, ChangeUser, Command, ConfirmFactor, DecideCash,
    EndSession, EndUserSessions, Expire, FindKey, MakeApiKey, MakeResetLink, MoveClock, OpenSession, Pay,
    PayMany, RefreshSession, Register, RemoveFactor, Rename, ResetFactor, ResetPassword, RotateApiKey,
    Settle, Settlement, TokenPair, Topup,
};
pub use decide::{Outcome, Reply, check_session, decide, may_use};
pub use delivery::{
    Claim, Delivery, DeliveryCommand, DeliveryState, FanOut, NewDelivery, Redeliver, Replay, SettleDelivery,
    Try, TryResult, lane,
};
pub use event::{Detail, EventDraft, EventKind, SecurityEvent, Severity};
pub use feed::{EventSource, EventType, FeedCursor, FeedPosition, Notice, NoticeDraft, RequestThen};
pub use id::{
    DeliveryId, EventId, IdError, IdMap, KeyId, PaymentId, PaymentRequestId, RefundId, RequestId, ScheduleId,
    SecurityEventId, SessionId, TransactionId, UserId, WebhookId,
};
pub use key::{IdempotencyKey, IdempotencyKeyError};
pub use money::{Amount, Balance, Currency, Money, MoneyError, Total};
pub use needs::Needs;
pub use payment::{Capture, Hold, Move, PaymentState, PaymentStatus, Stage, Step};
pub use permission::{Permission, Scope, ScopeError};
pub use record::{
    CashDecision, CashDirection, CashRequest, Deadline, Filing, Record, RecordKey, RecordKind, ResetLink,
    Review, ReviewReason, Stored,
};
pub use refusal::Refusal;
pub use request::{
    CancelRequest, LapseRequest, MakeRequest, PayRequested, PaymentRequest, RequestEnd, RequestStatus,
    ToldRequest,
};
pub use risk::{
    Activity, AmountRule, Count, CountRule, Counterparty, Facts, Hit, Part, Past, REMEMBERED, RiskAction,
    RiskRule, RiskRules, RiskSetting, RiskSettingError, assess, digest as memo_digest, strictest,
};
pub use schedule::{
    EndSchedule, LastRun, MakeSchedule, Missed, RunOutcome, RunSchedule, Schedule, ScheduleEnd,
};
pub use second_factor::{Proof, SecondFactor, Shown};
pub use session::{ApiKey, Caller, Lifetime, Network, Origin, Session, SessionEnd, SessionKind, network_of};
pub use time::{Timestamp, date_of};
pub use transaction::{
    BalancesAfter, Decline, Entry, Memo, MovementType, Party, PaymentShape, TopupFailure, TopupMethod,
    Transaction, TransactionKind,
};
pub use user::{Email, EmailError, PasswordHash, Role, TokenHash, User};
pub use webhook::{
    Disabled, Keeper, NewSecret, RetiredSecret, Webhook, WebhookCommand, WebhookDraft, WebhookList,
    WebhookPatch, WebhookState,
};
pub use working_set::{
    Changes, KnownPayment, Mode, RecentPayment, RefreshState, Rules, WebhookRules, WorkingSet,
};
