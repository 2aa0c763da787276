//! Security events: what an operator must be able to see, named after the OWASP Logging Vocabulary where it has a name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::{RequestId, SecurityEventId, Timestamp, UserId};

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The ordinary course.
    Info,
    /// Worth a look when it repeats.
    Warning,
    /// Worth a look now.
    High,
}

impl Severity {
    /// Every severity.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::High];

    /// The severity's name, as in the log and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::High => "high",
        }
    }

    /// The severity of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $kind:ident = $name:literal $severity:ident;)*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventKind { $($(#[$doc])* $kind,)* }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// Every kind's name.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];

            /// The event's name, as in the log and the database.
            pub const fn name(self) -> &'static str { match self { $(Self::$kind => $name,)* } }

            /// How much it matters unless the place that writes it knows better.
            pub const fn severity(self) -> Severity { match self { $(Self::$kind => Severity::$severity,)* } }

            /// The event of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.name() == name)
            }
        }
    };
}

events! {
    /// An account was made.
    UserCreated = "user_created" Info;
    /// A login succeeded.
    LoginSuccess = "authn_login_success" Info;
    /// A login failed.
    LoginFail = "authn_login_fail" Warning;
    /// Logins are slowed down after too many failures.
    LoginLock = "authn_login_lock" High;
    /// Tokens were given out.
    TokenCreated = "authn_token_created" Info;
    /// A session's tokens ended.
    TokenRevoked = "authn_token_revoked" Info;
    /// A spent refresh token was used again.
    TokenReuse = "authn_token_reuse" High;
    /// A token that is unknown, malformed, expired or revoked was shown.
    TokenInvalid = "authn_token_invalid" Warning;
    /// A password was changed.
    PasswordChange = "authn_password_change" Info;
    /// Somebody asked for what they may not have.
    AuthzFail = "authz_fail" Warning;
    /// Somebody's rights changed.
    AuthzChange = "authz_change" Warning;
    /// A limit was reached.
    RateLimitExceeded = "excess_rate_limit_exceeded" Warning;
    /// A request's fields did not pass the checks.
    InputValidationFail = "input_validation_fail" Info;
    /// A payment or top-up was declined.
    PaymentDeclined = "payment_declined" Info;
    /// A payment looked like an accidental repeat.
    PaymentDuplicateBlocked = "payment_duplicate_blocked" Warning;
    /// A payment is out of the ordinary.
    PaymentSuspicious = "payment_suspicious" Warning;
    /// An operator's permission was used.
    PrivilegeUse = "privilege_use" Info;
}

/// Names and values that explain an event. Never a secret.
pub type Detail = BTreeMap<&'static str, String>;

/// An event before the batch gives it its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDraft {
    /// What happened.
    pub kind: EventKind,
    /// How much it matters.
    pub severity: Severity,
    /// Who it concerns, where that is known.
    pub user: Option<UserId>,
    /// What explains it.
    pub detail: Detail,
}

impl EventDraft {
    /// An event of its kind's own severity.
    pub fn new(kind: EventKind, user: Option<UserId>) -> Self {
        Self { kind, severity: kind.severity(), user, detail: Detail::new() }
    }

    /// The same event with one more name and value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.detail.insert(name, value.into());
        self
    }
}

/// A security event as it is kept and logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEvent {
    /// Which one.
    pub id: SecurityEventId,
    /// The batch's time.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// How much it matters.
    pub severity: Severity,
    /// Who it concerns, where that is known.
    pub user: Option<UserId>,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The request that caused it.
    pub request: RequestId,
    /// What explains it: a JSON object with sorted keys.
    pub detail: String,
}
