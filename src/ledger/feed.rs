//! Events: what changed, told to those whom it concerns.
//!
//! The journal is the outbox of money: each of its rows is one event, and nothing is written twice. What is not money is
//! told by a [`Notice`], a record that is written in the transaction of the change. The feed is both, merged by time, the
//! journal first; a place in it is a place in each. Both are numbered in the order of commits, so that who goes on from a
//! place misses nothing.

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    Command, Filing, PaymentRequest, PaymentRequestId, PaymentStatus, Record, RecordKey, Stored, Timestamp,
    Transaction, TransactionKind, User, UserId, WorkingSet,
};

/// For how long a notice is kept, in milliseconds: 90 days.
const KEPT_MS: i64 = 90 * 86_400_000;

macro_rules! event_types {
    ($($kind:ident = $name:literal, $about:literal;)*) => {
        /// What an event tells.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventType { $(#[doc = $about] $kind,)* }

        impl EventType {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// Their names.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];

            /// The type's name.
            pub const fn name(self) -> &'static str { match self { $(Self::$kind => $name,)* } }

            /// When it is told.
            pub const fn about(self) -> &'static str { match self { $(Self::$kind => $about,)* } }
        }
    };
}

event_types! {
    PaymentSucceeded = "payment.succeeded", "A payment was made.";
    PaymentDeclined = "payment.declined", "A payment was declined; its payer alone is told.";
    PaymentAuthorized = "payment.authorized", "A payment was made whose money is held until the payee captures it.";
    PaymentPendingReview = "payment.pending_review", "A payment waits for an operator; its money is held.";
    PaymentCaptured = "payment.captured", "The payee took what was held, or a part of it; the rest was released.";
    PaymentVoided = "payment.voided", "What was held was released.";
    PaymentExpired = "payment.expired", "What was held too long was released.";
    PaymentApproved = "payment.approved", "An operator let a payment under review through.";
    PaymentRejected = "payment.rejected", "An operator stopped a payment under review.";
    RefundSucceeded = "refund.succeeded", "Money of a payment went back, all of it or a part.";
    RefundDeclined = "refund.declined", "A refund was declined: the payee had too little.";
    DepositSucceeded = "deposit.succeeded", "A cashier took cash in for a wallet.";
    DepositPending = "deposit.pending", "Cash that was taken in waits for a second operator; the one who took it is told.";
    DepositRejected = "deposit.rejected", "A second operator stopped cash that was taken in; the one who took it is told.";
    WithdrawalSucceeded = "withdrawal.succeeded", "A cashier paid cash out of a wallet.";
    WithdrawalDeclined = "withdrawal.declined", "A withdrawal was declined: the wallet had too little.";
    WithdrawalPending = "withdrawal.pending", "Cash that is to be paid out waits for a second operator; the one who asked is told.";
    WithdrawalRejected = "withdrawal.rejected", "A second operator stopped cash that was to be paid out; the one who asked is told.";
    TopupSucceeded = "topup.succeeded", "A wallet was topped up.";
    TopupFailed = "topup.failed", "A top-up failed.";
    GrantCreated = "grant.created", "A new customer of a sandbox got the money to start with.";
    RequestCreated = "request.created", "A payment was asked for.";
    RequestPaid = "request.paid", "A payment request was paid, or its payment waits for an operator.";
    RequestReopened = "request.reopened", "A payment request can be paid again: its payment came to nothing.";
    RequestCancelled = "request.cancelled", "A payment request was taken back.";
    RequestExpired = "request.expired", "A payment request was not paid in time.";
    ScheduleCreated = "schedule.created", "A payment was scheduled.";
    ScheduleRunFailed = "schedule.run_failed", "A scheduled payment was declined or could not be tried; 'last' says why.";
    ScheduleRunSkipped = "schedule.run_skipped", "A scheduled payment was missed and left out.";
    ScheduleDone = "schedule.done", "A schedule had its last run.";
    ScheduleCancelled = "schedule.cancelled", "A schedule was ended.";
    UserCreated = "user.created", "An account was made.";
    UserUpdated = "user.updated", "A user changed their name.";
    UserPasswordChanged = "user.password_changed", "A user's password was changed.";
    UserTotpEnabled = "user.totp_enabled", "A user set a second factor up.";
    UserTotpDisabled = "user.totp_disabled", "A user's second factor was taken away.";
    UserRoleChanged = "user.role_changed", "A user got another role.";
    UserFrozen = "user.frozen", "A user was frozen.";
    UserUnfrozen = "user.unfrozen", "A user is frozen no more.";
    ApiKeyCreated = "api_key.created", "An API key was made.";
    ApiKeyRotated = "api_key.rotated", "An API key was replaced; it counts until it expires.";
    ApiKeyDeleted = "api_key.deleted", "An API key was taken away, or ended with a new password.";
    WebhookCreated = "webhook.created", "A webhook was made.";
    WebhookUpdated = "webhook.updated", "A webhook was changed, or its secret was.";
    WebhookDisabled = "webhook.disabled", "A webhook was switched off, because it answered 410 or failed for three days.";
    WebhookDeleted = "webhook.deleted", "A webhook was taken away.";
    WebhookTest = "webhook.test", "A test was asked for; only the webhook that it is for gets it.";
}

impl EventType {
    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// What a row of the journal tells.
    pub fn of(transaction: &Transaction) -> Self {
        match (transaction.kind, transaction.decline) {
            (TransactionKind::Payment, Some(_)) => Self::PaymentDeclined,
            (TransactionKind::Payment, None) => match transaction.payment_state().map(|state| state.status) {
                Some(PaymentStatus::Authorized) => Self::PaymentAuthorized,
                Some(PaymentStatus::PendingReview) => Self::PaymentPendingReview,
                _ => Self::PaymentSucceeded,
            },
            (TransactionKind::Capture, _) => Self::PaymentCaptured,
            (TransactionKind::Void, _) => Self::PaymentVoided,
            (TransactionKind::Expiry, _) => Self::PaymentExpired,
            (TransactionKind::Approval, _) => Self::PaymentApproved,
            (TransactionKind::Rejection, _) => Self::PaymentRejected,
            (TransactionKind::Refund, None) => Self::RefundSucceeded,
            (TransactionKind::Refund, Some(_)) => Self::RefundDeclined,
            (TransactionKind::Deposit, _) => Self::DepositSucceeded,
            (TransactionKind::Withdrawal, None) => Self::WithdrawalSucceeded,
            (TransactionKind::Withdrawal, Some(_)) => Self::WithdrawalDeclined,
            (TransactionKind::Topup, None) => Self::TopupSucceeded,
            (TransactionKind::Topup, Some(_)) => Self::TopupFailed,
            (TransactionKind::Grant, _) => Self::GrantCreated,
        }
    }

    /// Whether a selection such as `payment.*` takes it.
    pub fn is_selected_by(self, selection: &str) -> bool {
        match selection.strip_suffix('*') {
            Some(start) => self.name().starts_with(start),
            None => self.name() == selection,
        }
    }
}

/// Where an event is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventSource {
    /// By the row of the journal with this number.
    Journal(u64),
    /// By the notice with this id.
    Notice(Uuid),
}

/// An event that no row of the journal tells. Its owner is whom it concerns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notice {
    /// The name of its type.
    pub name: String,
    /// What it is about: events about one thing arrive in order.
    pub object: Uuid,
    /// The thing as it was then: JSON that nobody here looks into. None if `request` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// The thing as it was then, if it is a payment request: of these there are as many as of payments, and what is told of
    /// one takes three times the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestThen>,
    /// The only webhook that gets it; none if it is for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Uuid>,
}

/// A payment request as it was when something about it was told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestThen {
    /// The request.
    pub request: PaymentRequest,
    /// When it was made, if not when this was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
    /// Its maker's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_name: Option<String>,
}

impl Notice {
    /// What the notice in that record says of the thing, as clients are told of it.
    pub fn told(self, record: &Record) -> Box<RawValue> {
        let Self { object, data, request: then, .. } = self;
        let told = then.as_ref().map(|then| {
            let made = (PaymentRequestId::new(object), then.made_at.unwrap_or(record.created_at));
            let to = (record.filing.owner, then.to_name.as_deref());
            raw(&then.request.told(made, to, record.created_at))
        });
        told.or(data).unwrap_or_else(|| RawValue::NULL.to_owned())
    }

    /// Whether the notice in that record was kept long enough. Their order is that of their times, so that none needs to be
    /// filed under when it is due.
    pub fn is_over(record: &Record, now: Timestamp) -> bool {
        record.key.kind == Self::KIND && record.created_at.plus_millis(KEPT_MS) <= now
    }
}

/// A notice that is to be written.
#[derive(Debug, Clone)]
pub struct NoticeDraft {
    /// What it tells.
    pub kind: EventType,
    /// Whom it concerns.
    pub owner: UserId,
    /// What it is about.
    pub object: Uuid,
    /// The thing as it is now.
    pub data: Box<RawValue>,
    /// The only webhook that gets it; none if it is for all.
    pub only: Option<Uuid>,
}

impl WorkingSet {
    /// Writes a notice. The first of a command has the id of its request; later ones differ from it in their last bits.
    pub(super) fn tell(&mut self, command: &Command, draft: NoticeDraft) -> Uuid {
        let NoticeDraft { kind, owner, object, data, only } = draft;
        let name = kind.name().to_owned();
        self.put_notice(command, owner, &Notice { name, object, data: Some(data), request: None, only })
    }

    fn put_notice(&mut self, command: &Command, owner: UserId, notice: &Notice) -> Uuid {
        let own = command.origin.request.uuid();
        let is_free = |id: &Uuid| !self.records.contains_key(&RecordKey::of::<Notice>(*id));
        let mut ids = (0..=u128::MAX).map(|ordinal| Uuid::from_u128(own.as_u128() ^ ordinal));
        let id = ids.find(is_free).unwrap_or(own);
        self.put_record(id, Filing::under(owner), notice);
        id
    }

    /// Tells what changed about a payment request.
    pub(super) fn tell_request(
        &mut self,
        command: &Command,
        kind: EventType,
        (owner, object): (UserId, Uuid),
        request: RequestThen,
    ) {
        let name = kind.name().to_owned();
        let notice = Notice { name, object, data: None, request: Some(request), only: None };
        self.put_notice(command, owner, &notice);
    }

    /// Tells what changed about a thing that is its owner's alone.
    pub(super) fn tell_owner(
        &mut self,
        command: &Command,
        kind: EventType,
        owner: UserId,
        (object, data): (Uuid, impl Serialize),
    ) {
        let data = raw(&data);
        self.tell(command, NoticeDraft { kind, owner, object, data, only: None });
    }

    /// Tells what changed about a user.
    pub(super) fn tell_user(&mut self, command: &Command, kind: EventType, user: &User) {
        let data = json!({
            "id": user.id,
            "email": user.email.as_str(),
            "name": user.name,
            "role": user.role,
            "created_at": user.created_at.to_string(),
        });
        self.tell_owner(command, kind, user.id, (user.id.uuid(), data));
    }
}

/// What an event tells, as it is kept. It is written into memory, which cannot fail.
pub(super) fn raw(told: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(told).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// One side of a payment as clients are told of it.
#[derive(Debug, Serialize)]
pub(super) struct ToldParty<'a> {
    id: String,
    name: Option<&'a str>,
}

impl<'a> ToldParty<'a> {
    /// The party with that id and name.
    pub(super) fn new(id: UserId, name: Option<&'a str>) -> Self {
        Self { id: id.told(), name }
    }
}

/// A place in the feed: what lies up to it was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedPosition {
    /// The number of the last row of the journal.
    pub transaction: u64,
    /// The place of the last notice among the records.
    pub notice: u64,
}

/// Where something that follows the feed has got to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedCursor {
    /// What lies up to here was dealt with.
    pub position: FeedPosition,
}

impl FeedCursor {
    /// The cursor of what hands events to webhooks.
    pub const FAN_OUT: RecordKey = RecordKey::of::<Self>(Uuid::from_u128(1));
}
