//! Every "no" that a client can get: RFC 9457 problem details, from one catalogue.
//!
//! The catalogue gives each code its status, title, cause and cure; the answers, the pages under `/problems/` and the
//! OpenAPI document all read it. A code is a promise to clients: it never changes its meaning or its status. A detail
//! never carries SQL, a path, a secret or another user's data, because it is written here and not taken from a fault.

use std::borrow::Cow;

use hyper::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};

use super::limits::{RATE_LIMIT, RATE_LIMIT_POLICY};
use super::reply::{self, Reply};
use crate::auth::hasher::HashError;
use crate::auth::password::PasswordFault;
use crate::auth::throttle::Limited;
use crate::ledger::{Balance, Refusal, RequestId};
use crate::store::StoreError;
use crate::teller::TellerError;

/// Marks the first answer to an idempotency key, given again.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What the catalogue says about one code.
#[derive(Debug)]
pub struct Entry {
    /// The code itself.
    pub code: Code,
    /// The stable name, as in `type`, `code` and the page's address.
    pub name: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// A short summary, the same for every occurrence.
    pub title: &'static str,
    /// Why a client gets this.
    pub cause: &'static str,
    /// What a client can do about it.
    pub cure: &'static str,
}

macro_rules! catalogue {
    ($($variant:ident = $name:literal, $status:ident, $title:literal, $cause:literal, $cure:literal;)*) => {
        /// The stable code of a problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $title] $variant,)* }

        /// Every code, in order of status.
        pub static CATALOGUE: &[Entry] = &[$(Entry {
            code: Code::$variant, name: $name, status: StatusCode::$status, title: $title, cause: $cause, cure: $cure,
        },)*];

        impl Code {
            /// What the catalogue says about it.
            pub fn entry(self) -> &'static Entry {
                match self { $(Self::$variant => {
                    static ENTRY: Entry = Entry {
                        code: Code::$variant, name: $name, status: StatusCode::$status,
                        title: $title, cause: $cause, cure: $cure,
                    };
                    &ENTRY
                })* }
            }
        }
    };
}

catalogue! {
    MalformedJson = "malformed_json", BAD_REQUEST,
        "The body is not JSON",
        "The body is not valid JSON in UTF-8, is nested too deeply, or has something after its end.",
        "Send one JSON object. The detail names the line and column where reading stopped.";
    MalformedRequest = "malformed_request", BAD_REQUEST,
        "The request is not HTTP",
        "The head of the request is not HTTP/1.1, or not in the way in which this port speaks it.",
        "Send HTTP/1.1, over TLS where the server's address begins with https. The connection was closed.";
    IdempotencyKeyInvalid = "idempotency_key_invalid", BAD_REQUEST,
        "The Idempotency-Key header is not usable",
        "An Idempotency-Key is 1 to 255 printable ASCII characters, bare or as a quoted structured-field string, and is sent once.",
        "Use a fresh UUID as the key, in one header.";
    TokenMissing = "token_missing", UNAUTHORIZED,
        "This call needs an access token",
        "The request has no Authorization header.",
        "Log in with POST /login and send the access token as 'Authorization: Bearer TOKEN'.";
    TokenInvalid = "token_invalid", UNAUTHORIZED,
        "The token is not valid",
        "The token is malformed, unknown or revoked, or more than one Authorization header was sent.",
        "Log in again. If you have a refresh token, try POST /token/refresh first.";
    TokenExpired = "token_expired", UNAUTHORIZED,
        "The token has expired",
        "Access tokens live for minutes and refresh tokens for days; this one's time is over.",
        "Get a new pair with POST /token/refresh, or log in again.";
    TokenReused = "token_reused", UNAUTHORIZED,
        "The refresh token was used before",
        "A refresh token works once. A second use means that somebody else may have a copy, so the whole session was ended.",
        "Log in again. If the first use was not yours, change your password.";
    InvalidCredentials = "invalid_credentials", UNAUTHORIZED,
        "The email or the password is wrong",
        "No account has this email with this password. The answer is the same whichever of the two is wrong.",
        "Check both and try again; repeated failures are slowed down.";
    OtpRequired = "otp_required", UNAUTHORIZED,
        "A code of your second factor is needed",
        "The account has a second factor, and this call asks for a fresh code of it.",
        "Send the code that your app shows, or a recovery code, in the field 'otp'.";
    OtpInvalid = "otp_invalid", UNAUTHORIZED,
        "The code does not count",
        "The code is wrong, too old, or was used before: each counts once.",
        "Wait for the next code and send that, or send a recovery code.";
    InsufficientFunds = "insufficient_funds", PAYMENT_REQUIRED,
        "There is not enough money in the wallet",
        "The amount is more than what is available in the wallet of this currency. Nothing was moved; the declined payment is kept in your history.",
        "Add money or pay less, with a new Idempotency-Key: this one now stands for the declined payment.";
    PaymentDeclined = "payment_declined", PAYMENT_REQUIRED,
        "The payment was declined",
        "A rule against fraud does not let this payment through. Nothing was moved; the declined payment is kept in your history.",
        "Ask the operator, who sees which rule it was. A new try needs a new Idempotency-Key: this one now stands for the declined payment.";
    TopupFailed = "topup_failed", PAYMENT_REQUIRED,
        "The top-up failed",
        "The simulated payment method refused, as its name asks for. The member 'reason' says how.",
        "Use another method, with a new Idempotency-Key.";
    PermissionDenied = "permission_denied", FORBIDDEN,
        "You may not do this",
        "Your role does not have the permission that this call needs; or it has, and you are a party to the payment or wallet, which an operator's permission never reaches.",
        "Ask an administrator for a role that has it, or somebody else who has it to do this.";
    CrossSite = "cross_site", FORBIDDEN,
        "This did not come from a page of ours",
        "Forms of the console are taken from its own pages alone: the browser says that this one was sent from elsewhere, or says nothing. A proxy in front that changes the Host header has the same effect.",
        "Open the page here and send its form. If this is your own server behind a proxy, let the proxy pass the Host header on.";
    FormExpired = "form_expired", FORBIDDEN,
        "The page was too old",
        "The page was opened before you logged in or out, or the browser did not keep the cookie that its form needs. Nothing was done.",
        "Go back, reload the page, and send it again; let the browser keep cookies of this site.";
    HttpsRequired = "https_required", FORBIDDEN,
        "The console needs HTTPS here",
        "The page came over plain HTTP from another machine, where anybody between could read a password or a session.",
        "Put TLS in front of the server, or open the console on the server itself.";
    CredentialsTooWeak = "credentials_too_weak", FORBIDDEN,
        "Your own credentials must be mended first",
        "Who works for the operator needs a password of 15 characters or more and, where real money is at stake, a second factor. Until you have them you can change your credentials, and do nothing else.",
        "Set a longer password with POST /me/password; set up a second factor with POST /me/totp.";
    AccountFrozen = "account_frozen", FORBIDDEN,
        "The account is frozen",
        "An operator has frozen this account: it can neither pay nor change anything.",
        "Contact the operator of this server.";
    SandboxOnly = "sandbox_only", FORBIDDEN,
        "This call exists in sandbox mode alone",
        "The server holds real money, and simulated top-ups would invent some.",
        "Use a sandbox server for tests.";
    NotFound = "not_found", NOT_FOUND,
        "There is nothing here",
        "The path or the object does not exist, or it is not yours.",
        "Check the path and the id. The paths are listed under /docs.";
    ResetLinkInvalid = "reset_link_invalid", NOT_FOUND,
        "This link for a new password does not count",
        "A link counts once and for 30 minutes, and ends when a newer one is made.",
        "Ask the operator of this server for a new one.";
    RecipientNotFound = "recipient_not_found", NOT_FOUND,
        "There is no such recipient",
        "No account has the email or the user id given as 'to' or 'user'.",
        "Check 'to'; leave it out to pay the house.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED,
        "This path does not take this method",
        "The path exists, but not with this method.",
        "Use one of the methods in the Allow header.";
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT,
        "The body did not arrive in time",
        "The connection was too slow, or less was sent than Content-Length promised.",
        "Try again.";
    EmailTaken = "email_taken", CONFLICT,
        "The email is taken",
        "An account with this email exists, in upper- or lower-case.",
        "Log in, or register with another email.";
    TotpState = "totp_state", CONFLICT,
        "The second factor is not in the state for this",
        "One can be begun where there is none, confirmed where one was begun, and taken away where there is one.",
        "Begin with POST /me/totp; to change it, take it away with DELETE /me/totp first.";
    DuplicatePayment = "duplicate_payment", CONFLICT,
        "This looks like the same payment again",
        "A payment to the same payee with the same amount, currency, description and reference was made moments ago, and this request has no Idempotency-Key. The member 'payment' is the id of the first.",
        "If you meant to pay twice, send an Idempotency-Key of its own with each payment.";
    PaymentState = "payment_state", CONFLICT,
        "The payment is not in a state that allows this",
        "A payment is captured or voided while it is authorized, refunded once money of it was captured, and approved or rejected while it is under review. The member 'payment_status' says how it stands.",
        "Look at the payment with GET /payment/{id}: what you want may have happened already, or not be possible any more.";
    RequestState = "request_state", CONFLICT,
        "The payment request is not open",
        "A payment request is paid at most once, and only while it is open; one that was paid is not taken back. The member 'request_status' says how it stands.",
        "Look at it with GET /requests/{id}; if it expired or was taken back, ask for a new one.";
    ResetUnsupported = "reset_unsupported", CONFLICT,
        "This ledger cannot begin anew",
        "A ledger in a PostgreSQL database is moved aside by the role that owns its tables, into a schema that it makes. 'detail' says what is missing for that.",
        "Start the nodes with database.migration_url, the URL of that role, and let it make schemas in the database; or make an empty database, and start the nodes on that.";
    WebhookLimit = "webhook_limit", CONFLICT,
        "There are as many webhooks as there may be",
        "An owner may have a number of webhooks that the operator sets. The member 'most' says how many.",
        "Take one away, or change one: a webhook can take several types of events.";
    WebhookDisabled = "webhook_disabled", CONFLICT,
        "The webhook is switched off",
        "Nothing is sent to this webhook, so that nothing can be sent to it again.",
        "Mend the receiver, switch the webhook on with PATCH and enabled: true, then send again.";
    CashDecided = "cash_decided", CONFLICT,
        "Another operator has decided this",
        "This deposit or withdrawal waited for a second operator, and one has let it through or stopped it.",
        "Look at GET /admin/cash for what still waits.";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE,
        "The body is too large",
        "A body may have at most 64 KiB.",
        "Send less.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE,
        "The body is not declared as JSON",
        "A body must come with 'Content-Type: application/json', in UTF-8 and without Content-Encoding.",
        "Set the header, and send JSON.";
    ValidationFailed = "validation_failed", UNPROCESSABLE_ENTITY,
        "Some fields are wrong",
        "Fields of the body, parameters of the query or a header are missing, unknown, of the wrong type, or failed a check. The member 'errors' lists every one of them.",
        "Mend each field that 'errors' names.";
    BatchRefused = "batch_refused", UNPROCESSABLE_ENTITY,
        "Not all of the payments can be made",
        "All or nothing was asked for, and at least one of the payments is refused. Nothing was moved and no key was used up; 'results' says which and why.",
        "Mend or leave out the payments that 'results' names and send all of them again, with the same keys if you like.";
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY,
        "The Idempotency-Key stands for another request",
        "You used this key before with another payload. The member 'fields' names what differs.",
        "Use a new key for a new request, and the old payload to repeat the old one.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS,
        "Too many requests",
        "A limit was reached. The RateLimit and RateLimit-Policy headers say which, Retry-After says for how long.",
        "Wait for as many seconds as Retry-After says.";
    TooManyStreams = "too_many_streams", TOO_MANY_REQUESTS,
        "Too many streams are open",
        "A user may keep five streams of events open, and a server 500.",
        "Close one, or fetch the feed with GET /events.";
    HeadTooLarge = "head_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The head of the request is too large",
        "Path, query and headers together may have 32 KiB unless the operator says otherwise, and at most 100 headers.",
        "Send less of them. The connection was closed.";
    InternalError = "internal_error", INTERNAL_SERVER_ERROR,
        "Something went wrong in the server",
        "A fault that is ours, not yours. It is in the server's log under the request id.",
        "Try again, payments with the same Idempotency-Key; if it stays, tell the operator the request id.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE,
        "The server cannot take this now",
        "The database cannot be written, or too many requests wait. Nothing was done.",
        "Try again after as many seconds as Retry-After says.";
    OutcomeUnknown = "outcome_unknown", SERVICE_UNAVAILABLE,
        "The outcome is not known yet",
        "The database failed while it made the change durable: it was done either wholly or not at all, and which is not known yet.",
        "Repeat the request with the same Idempotency-Key: it then happens exactly once. Without a key, look at GET /payments first.";
}

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's or parameter's name.
    pub field: String,
    /// The stable code of what is wrong.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

/// An answer that is not a success.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    members: Vec<(&'static str, Value)>,
    headers: HeaderMap,
    /// The limit that was reached.
    limit: Option<&'static str>,
    /// What the operator's log says about it; never sent.
    fault: Option<String>,
}

impl Problem {
    /// A problem whose detail is the catalogue's cause.
    pub fn new(code: Code) -> Self {
        Self::with_detail(code, code.entry().cause)
    }

    /// A problem with a detail of its own.
    pub fn with_detail(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(challenge) = challenge(code) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if code.entry().status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            members: Vec::new(),
            headers,
            limit: None,
            fault: None,
        }))
    }

    /// 500 for a fault that is ours; `fault` goes to the log alone.
    pub fn internal(fault: impl Into<String>) -> Self {
        Self::new(Code::InternalError).with_fault(fault)
    }

    /// 422 with every field that is wrong.
    pub fn validation(errors: &[FieldError]) -> Self {
        let detail = match errors {
            [one] => format!("The field '{}' {}.", one.field, one.message),
            many => format!("{} fields are wrong; 'errors' lists them.", many.len()),
        };
        let list = serde_json::to_value(errors).unwrap_or_default();
        Self::with_detail(Code::ValidationFailed, detail).member("errors", list)
    }

    /// 422 for one field.
    pub fn field(field: &str, code: &'static str, message: &str) -> Self {
        Self::validation(&[FieldError { field: field.to_owned(), code, message: message.to_owned() }])
    }

    /// 422 with what each payment was refused for. What was declined was not kept, so that no id of it is told.
    fn batch_refused(refusals: Vec<(usize, Refusal)>) -> Self {
        let result = |(index, refusal): (usize, Refusal)| {
            let mut error = Self::from(refusal);
            error.0.members.retain(|(name, _)| *name != "payment");
            json!({"index": index, "status": error.0.code.entry().status.as_u16(), "error": error.to_value()})
        };
        Self::new(Code::BatchRefused).member("results", refusals.into_iter().map(result).collect::<Vec<_>>())
    }

    /// What it says within another answer: all of it but the id of the request.
    pub fn to_value(&self) -> Value {
        let nobody = RequestId::new(uuid::Uuid::nil());
        let mut value =
            serde_json::to_value(Body { problem: &self.0, request_id: nobody }).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            members.remove("request_id");
        }
        value
    }

    /// 405 with the methods that the path takes.
    pub fn method_not_allowed(allow: &str) -> Self {
        let mut problem = Self::new(Code::MethodNotAllowed);
        if let Ok(value) = HeaderValue::from_str(allow) {
            problem.0.headers.insert(ALLOW, value);
        }
        problem
    }

    /// 429 with `Retry-After`, `RateLimit` and `RateLimit-Policy`.
    pub fn rate_limited(limit: Limited) -> Self {
        let wait = limit.retry_after_seconds.max(1);
        let detail = format!("The limit '{}' was reached; try again in {wait} s.", limit.policy);
        let mut problem = Self::with_detail(Code::RateLimited, detail)
            .member("violated-policies", vec![limit.policy.to_owned()]);
        problem.0.limit = Some(limit.policy);
        let policy = format!("\"{}\";q={};w={}", limit.policy, limit.quota, limit.window_seconds);
        let state = format!("\"{}\";r=0;t={wait}", limit.policy);
        for (name, value) in
            [(RETRY_AFTER, wait.to_string()), (RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)]
        {
            if let Ok(value) = HeaderValue::try_from(value) {
                problem.0.headers.insert(name, value);
            }
        }
        problem
    }

    /// Adds a member of the code's own.
    #[must_use]
    pub fn member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.members.push((name, value.into()));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Notes what the operator's log says about it.
    #[must_use]
    pub fn with_fault(mut self, fault: impl Into<String>) -> Self {
        self.0.fault = Some(fault.into());
        self
    }

    /// What the operator's log says about it, if it is a fault.
    pub fn fault(&self) -> Option<&str> {
        self.0.fault.as_deref()
    }

    /// The name of the limit that was reached, if it is that.
    pub fn limit(&self) -> Option<&'static str> {
        self.0.limit
    }

    /// A member of the code's own.
    pub fn find_member(&self, name: &str) -> Option<&Value> {
        self.0.members.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// What happened this time.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The headers that go with it.
    pub fn into_headers(self) -> HeaderMap {
        self.0.headers
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The response, `application/problem+json`.
    pub fn into_reply(self, request_id: RequestId) -> Reply {
        let entry = self.0.code.entry();
        let body = serde_json::to_vec(&Body { problem: &self.0, request_id }).unwrap_or_default();
        let mut reply = reply::with_type(entry.status, "application/problem+json", body);
        reply.headers_mut().extend(self.0.headers);
        reply
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TokenInvalid => Self::new(Code::TokenInvalid),
            Refusal::TokenExpired => Self::new(Code::TokenExpired),
            Refusal::TokenReused => Self::new(Code::TokenReused),
            Refusal::InvalidCredentials => Self::new(Code::InvalidCredentials),
            Refusal::EmailTaken => Self::new(Code::EmailTaken),
            Refusal::SessionNotFound
            | Refusal::CashRequestNotFound
            | Refusal::PaymentNotFound
            | Refusal::RequestNotFound
            | Refusal::ScheduleNotFound
            | Refusal::UserNotFound
            | Refusal::WebhookNotFound => Self::new(Code::NotFound),
            Refusal::ResetLinkInvalid => Self::new(Code::ResetLinkInvalid),
            Refusal::PermissionDenied => Self::new(Code::PermissionDenied),
            Refusal::OtpRequired => Self::new(Code::OtpRequired),
            Refusal::OtpInvalid => Self::new(Code::OtpInvalid),
            Refusal::FactorState { is_on } => {
                let detail =
                    if is_on { "There is a second factor already." } else { "There is no second factor." };
                Self::with_detail(Code::TotpState, detail)
            }
            Refusal::CredentialsTooWeak => Self::new(Code::CredentialsTooWeak),
            Refusal::OwnAffair => Self::with_detail(
                Code::PermissionDenied,
                "An operator's permission does not reach the operator's own account and payments.",
            ),
            Refusal::BatchRefused { refusals } => Self::batch_refused(refusals),
            Refusal::IdempotencyKeyReused { fields } => {
                Self::new(Code::IdempotencyKeyReused).member("fields", fields)
            }
            Refusal::CashRequestDecided => Self::new(Code::CashDecided),
            Refusal::CashShort { transaction, asked, available_minor } => {
                let currency = asked.currency();
                let available = Balance { amount_minor: available_minor, currency };
                let problem = Self::new(Code::InsufficientFunds)
                    .member("available", available.to_string())
                    .member("currency", currency.code());
                match transaction {
                    Some(transaction) => problem.member("transaction", transaction.to_string()),
                    None => problem,
                }
            }
            Refusal::PaymentState { status } => {
                let detail = format!("The payment is {}, which does not allow this.", status.name());
                Self::with_detail(Code::PaymentState, detail).member("payment_status", status.name())
            }
            Refusal::RequestState { status } => {
                let detail = format!("The payment request is {}.", status.name());
                Self::with_detail(Code::RequestState, detail).member("request_status", status.name())
            }
            Refusal::AmountRefused { error } => Self::field("amount", error.code(), &error.to_string()),
            Refusal::AmountTooLarge { most } => {
                let message =
                    format!("must be at most {most} {}, which is all that there is", most.currency());
                Self::field("amount", "more_than_there_is", &message)
            }
            Refusal::WebhookLimit { most } => Self::new(Code::WebhookLimit).member("most", most),
            Refusal::WebhookDisabled => Self::new(Code::WebhookDisabled),
            Refusal::Overtaken => Self::new(Code::Unavailable).header(RETRY_AFTER, 1.into()),
            Refusal::AccountFrozen => Self::new(Code::AccountFrozen),
            Refusal::SandboxOnly => Self::new(Code::SandboxOnly),
            Refusal::RecipientNotFound => Self::new(Code::RecipientNotFound),
            Refusal::SelfPayment => Self::field("to", "self_payment", "must not be yourself"),
            Refusal::DuplicatePayment { payment } => {
                Self::new(Code::DuplicatePayment).member("payment", payment.to_string())
            }
            Refusal::BalanceLimit => {
                Self::field("amount", "balance_limit", "is more than the receiving account can take")
            }
            Refusal::InsufficientFunds { payment, asked, available_minor } => {
                let currency = asked.currency();
                let available = Balance { amount_minor: available_minor, currency };
                let detail =
                    format!("{asked} {currency} was asked for, and {available} {currency} is available.");
                Self::with_detail(Code::InsufficientFunds, detail)
                    .member("payment", payment.to_string())
                    .member("available", available.to_string())
                    .member("currency", currency.code())
            }
            Refusal::PaymentDeclined { payment } => {
                Self::new(Code::PaymentDeclined).member("payment", payment.to_string())
            }
            Refusal::TopupFailed { reason } => Self::new(Code::TopupFailed).member("reason", reason.name()),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Overloaded | StoreError::Unavailable(_) => Code::Unavailable,
            StoreError::OutcomeUnknown(_) => Code::OutcomeUnknown,
            StoreError::Damaged(_) => Code::InternalError,
        };
        Self::new(code).with_fault(error.to_string())
    }
}

impl From<TellerError> for Problem {
    fn from(error: TellerError) -> Self {
        match error {
            TellerError::Refused { refusal, replayed } => {
                let problem = Self::from(refusal);
                if replayed { problem.header(REPLAYED, HeaderValue::from_static("true")) } else { problem }
            }
            TellerError::Throttled(limited) => Self::rate_limited(limited),
            TellerError::PasswordRefused { field, faults } => {
                Self::validation(&password_errors(field, &faults))
            }
            TellerError::Hashing(HashError::Busy { retry_after_seconds }) => {
                Self::new(Code::Unavailable).header(RETRY_AFTER, retry_after_seconds.into())
            }
            TellerError::Hashing(HashError::Fault | HashError::UnknownPepper) | TellerError::Seal(_) => {
                Self::internal(error.to_string())
            }
            TellerError::Schedule(fault) => Self::field(fault.field(), fault.code(), &fault.to_string()),
            TellerError::ResetUnsupported(why) => Self::with_detail(Code::ResetUnsupported, why),
            TellerError::Store(fault) => fault.into(),
            TellerError::Random(_) => Self::new(Code::Unavailable).with_fault(error.to_string()),
        }
    }
}

fn password_errors(field: &str, faults: &[PasswordFault]) -> Vec<FieldError> {
    let error = |fault: &PasswordFault| FieldError {
        field: field.to_owned(),
        code: fault.code(),
        message: fault.message(),
    };
    faults.iter().map(error).collect()
}

/// The problem as it is sent, its members in a fixed order.
struct Body<'a> {
    problem: &'a Inner,
    request_id: RequestId,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = self.problem.code.entry();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("/problems/{}", entry.name))?;
        map.serialize_entry("title", entry.title)?;
        map.serialize_entry("status", &entry.status.as_u16())?;
        map.serialize_entry("detail", &self.problem.detail)?;
        map.serialize_entry("code", entry.name)?;
        map.serialize_entry("request_id", &self.request_id)?;
        for (name, value) in &self.problem.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The challenge that a 401 must carry (RFC 9110 11.6.1, RFC 6750 3).
fn challenge(code: Code) -> Option<&'static str> {
    if code.entry().status != StatusCode::UNAUTHORIZED {
        return None;
    }
    Some(match code {
        Code::TokenExpired => {
            "Bearer realm=\"farthing\", error=\"invalid_token\", error_description=\"The token has expired\""
        }
        Code::TokenInvalid | Code::TokenReused => "Bearer realm=\"farthing\", error=\"invalid_token\"",
        _ => "Bearer realm=\"farthing\"",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use uuid::Uuid;

    fn body(reply: Reply) -> Value {
        let bytes = futures_body(reply);
        serde_json::from_slice(&bytes).unwrap()
    }

    fn futures_body(reply: Reply) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { reply.into_body().collect().await.unwrap().to_bytes().to_vec() })
    }

    #[test]
    fn a_problem_has_its_members_in_order() {
        let request_id = RequestId::new(Uuid::nil());
        let reply = Problem::new(Code::DuplicatePayment).member("payment", "pay_1").into_reply(request_id);
        assert_eq!(reply.status(), StatusCode::CONFLICT);
        assert_eq!(reply.headers()["content-type"], "application/problem+json");
        let text = String::from_utf8(futures_body(reply)).unwrap();
        let order: Vec<usize> = ["type", "title", "status", "detail", "code", "request_id", "payment"]
            .iter()
            .map(|name| text.find(&format!("\"{name}\":")).unwrap())
            .collect();
        assert!(order.is_sorted(), "{text}");
        assert!(text.starts_with("{\"type\":\"/problems/duplicate_payment\""), "{text}");
    }

    #[test]
    fn names_are_unique_and_each_code_finds_its_own_entry() {
        for (index, entry) in CATALOGUE.iter().enumerate() {
            assert_eq!(entry.code.entry().name, entry.name);
            assert!(CATALOGUE.iter().skip(index + 1).all(|other| other.name != entry.name));
            assert!(entry.status.is_client_error() || entry.status.is_server_error());
        }
        assert!(CATALOGUE.is_sorted_by_key(|entry| entry.status));
    }

    #[test]
    fn every_401_carries_a_challenge_and_every_503_a_retry_after() {
        for entry in CATALOGUE {
            let reply = Problem::new(entry.code).into_reply(RequestId::new(Uuid::nil()));
            assert_eq!(
                reply.headers().contains_key("www-authenticate"),
                entry.status == 401,
                "{}",
                entry.name
            );
            assert_eq!(reply.headers().contains_key("retry-after"), entry.status == 503, "{}", entry.name);
        }
    }

    #[test]
    fn a_reached_limit_says_which_and_for_how_long() {
        let limit = Limited {
            policy: "login-account",
            quota: 5,
            window_seconds: 900,
            remaining: 0,
            retry_after_seconds: 0,
        };
        let reply = Problem::rate_limited(limit).into_reply(RequestId::new(Uuid::nil()));
        assert_eq!(reply.headers()["retry-after"], "1");
        assert_eq!(reply.headers()["ratelimit"], "\"login-account\";r=0;t=1");
        assert_eq!(reply.headers()["ratelimit-policy"], "\"login-account\";q=5;w=900");
    }

    #[test]
    fn validation_names_every_field() {
        let errors = [
            FieldError { field: "a".into(), code: "required", message: "is required".into() },
            FieldError { field: "b".into(), code: "unknown", message: "is not known".into() },
        ];
        let sent = body(Problem::validation(&errors).into_reply(RequestId::new(Uuid::nil())));
        assert_eq!(sent["status"], 422);
        assert_eq!(sent["errors"][1]["field"], "b");
        assert_eq!(sent["errors"][0]["code"], "required");
    }
}
