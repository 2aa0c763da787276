//! The route table: every call there is, who may make it, what answers it, and what the documents say about it.

use super::credential_routes as credential;
use super::operator_routes as operator;
use super::problem::Code;
use super::search::{self, searched};
use super::spec::{Access, Content, Doc, Field, Kind, Permission, Route, Success, Tag, Verb};
use super::statements::{self, FILES, FORMATS};
use super::wallets::METHODS;
use super::{
    activity, cash, events, payments, requests, sandbox, schedules, sessions, system, transactions, users,
    wallets, webhooks,
};
use crate::ledger::User;

const OWN: Access = Access::Needs(Permission::OwnAccount);
const DECIDED: Access = Access::NeedsInDecision(Permission::OwnAccount);
pub(super) const CREDENTIALS: Access = Access::Needs(Permission::OwnCredentials);

pub(super) const OTP: Field = Field::optional(
    "otp",
    Kind::Text(64),
    "A fresh code of your second factor, or a recovery code; asked for with 'otp_required'.",
);
pub(super) const LIMIT: Field = Field::optional("limit", Kind::Limit, "How many rows, 1 to 100.");
pub(super) const AFTER: Field = Field::optional("after", Kind::After, "The 'next' of the page before.");
const TO: Field = Field::optional("to", Kind::Recipient, "An email, a user id, or left out: the house.");
const DESCRIPTION: Field = Field::optional("description", Kind::Text(500), "For people.");
const REFERENCE: Field = Field::optional("reference", Kind::Text(100), "For the books.");
const METADATA: Field = Field::optional("metadata", Kind::Metadata, "Up to 50 pairs of strings of your own.");
const CAPTURE: Field = Field::optional(
    "capture",
    Kind::OneOf(&["automatic", "manual"]),
    "\"automatic\" unless told; with \"manual\" the money is held until the payee captures it.",
);
const KEY: Field =
    Field::required("idempotency_key", Kind::Text(255), "Your name for this one payment, kept for good.");
const AMOUNT: Field =
    Field::required("amount", Kind::Amount, "In major units: \"12.50\", or a number, read exactly.");
const CURRENCY: Field =
    Field::required("currency", Kind::Currency, "An ISO 4217 code, upper- or lower-case.");

const NOTE: Field = Field::optional("note", Kind::Text(500), "What you have to say about it.");
const CASH: &[Field] = &[
    Field::required("user", Kind::Recipient, "Whose wallet: an email or a user id."),
    AMOUNT,
    CURRENCY,
    Field::required("reference", Kind::Text(100), "For the books, such as the number of a slip."),
];
const CASH_ANSWERS: &[Success] = &[
    Success { status: 201, content: Content::Json("Cash"), about: "The movement." },
    Success { status: 202, content: Content::Json("Cash"), about: "It waits for a second operator." },
];

const UNDER_REVIEW: Success = Success {
    status: 202,
    content: Content::Json("Payment"),
    about: "The payment, which an operator is to look at; until then its money is held.",
};

pub(super) const fn ok(content: Content, about: &'static str) -> Success {
    Success { status: 200, content, about }
}

pub(super) const NO_CONTENT: &[Success] =
    &[Success { status: 204, content: Content::Nothing, about: "Done." }];

/// A call without body, query or key.
pub(super) const fn plain(
    tag: Tag,
    operation: &'static str,
    summary: &'static str,
    description: &'static str,
    success: &'static [Success],
) -> Doc {
    Doc {
        tag,
        operation,
        summary,
        description,
        body: &[],
        file: &[],
        query: &[],
        idempotent: false,
        success,
        errors: &[],
        example: "",
    }
}

macro_rules! handler {
    ($handler:path) => {
        |call| Box::pin($handler(call))
    };
}

pub(super) use handler;

/// Every route.
pub static ROUTES: &[Route] = &[
    Route {
        verb: Verb::Post,
        path: "/register",
        access: Access::Public,
        handler: handler!(users::register),
        doc: Doc {
            body: &[
                Field::required(
                    "email",
                    Kind::Email,
                    "At most 254 characters; unique without regard to case.",
                ),
                Field::required(
                    "password",
                    Kind::Password,
                    "8 to 128 characters, any Unicode; common and guessable ones are refused.",
                ),
                Field::optional("name", Kind::Text(User::MAX_NAME), "What others are shown."),
            ],
            errors: &[Code::EmailTaken, Code::RateLimited],
            example: r#"{"email": "ann@example.com", "password": "seven quiet otters", "name": "Ann"}"#,
            ..plain(
                Tag::Accounts,
                "register",
                "Make an account",
                "Makes a customer's account. In sandbox mode it starts with 1000.00 USD of play money.",
                &[Success { status: 201, content: Content::Json("User"), about: "The new account." }],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/login",
        access: Access::Public,
        handler: handler!(sessions::login),
        doc: Doc {
            body: &[
                Field::required("email", Kind::Email, "As registered, in any case."),
                Field::required("password", Kind::Secret, "The password."),
                OTP,
            ],
            errors: &[Code::InvalidCredentials, Code::OtpRequired, Code::OtpInvalid, Code::RateLimited],
            example: r#"{"email": "ann@example.com", "password": "seven quiet otters"}"#,
            ..plain(
                Tag::Accounts,
                "login",
                "Log in",
                "Begins a session and gives its tokens: an access token for minutes, a refresh token for weeks. A wrong \
                 email and a wrong password are told alike, in the same time.",
                &[ok(Content::Json("Tokens"), "The session's tokens.")],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/token/refresh",
        access: Access::Public,
        handler: handler!(sessions::refresh),
        doc: Doc {
            body: &[Field::required(
                "refresh_token",
                Kind::Token,
                "The newest refresh token of the session.",
            )],
            errors: &[Code::TokenInvalid, Code::TokenExpired, Code::TokenReused],
            example: r#"{"refresh_token": "frt_…"}"#,
            ..plain(
                Tag::Accounts,
                "refreshToken",
                "Get a new pair of tokens",
                "The old access token ends and the old refresh token is spent. A spent one used again ends the whole \
                 session, because somebody else may have a copy.",
                &[ok(Content::Json("Tokens"), "The new pair.")],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/logout",
        access: CREDENTIALS,
        handler: handler!(sessions::logout),
        doc: plain(
            Tag::Accounts,
            "logout",
            "Log out",
            "Ends this session; its tokens end at once.",
            NO_CONTENT,
        ),
    },
    Route {
        verb: Verb::Get,
        path: "/me",
        access: OWN,
        handler: handler!(users::me),
        doc: plain(
            Tag::Accounts,
            "me",
            "Look at yourself",
            "Your own account.",
            &[ok(Content::Json("User"), "You.")],
        ),
    },
    Route {
        verb: Verb::Patch,
        path: "/me",
        access: OWN,
        handler: handler!(users::rename),
        doc: Doc {
            body: &[Field::optional(
                "name",
                Kind::Text(User::MAX_NAME),
                "What others are shown; null or empty takes it away.",
            )],
            example: r#"{"name": "Ann"}"#,
            ..plain(
                Tag::Accounts,
                "rename",
                "Change your name",
                "Later payments carry the new name; earlier ones keep the old.",
                &[ok(Content::Json("User"), "You, as you are now.")],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/me/password",
        access: CREDENTIALS,
        handler: handler!(users::change_password),
        doc: Doc {
            body: &[
                Field::required("current_password", Kind::Secret, "The password that you have."),
                Field::required(
                    "new_password",
                    Kind::Password,
                    "The one that you want, by the rules of registering.",
                ),
                OTP,
            ],
            errors: &[Code::InvalidCredentials, Code::OtpRequired, Code::OtpInvalid, Code::RateLimited],
            example: r#"{"current_password": "seven quiet otters", "new_password": "eleven loud herons"}"#,
            ..plain(
                Tag::Accounts,
                "changePassword",
                "Change your password",
                "Ends every other session of yours.",
                NO_CONTENT,
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/me/activity",
        access: OWN,
        handler: handler!(activity::list),
        doc: Doc {
            query: &[LIMIT, AFTER],
            ..plain(
                Tag::Accounts,
                "activity",
                "List your security events",
                "Logins, failed logins, tokens, password changes: what concerns your account, newest first.",
                &[ok(Content::List("SecurityEvent"), "A page of events.")],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/sessions",
        access: CREDENTIALS,
        handler: handler!(sessions::list),
        doc: Doc {
            query: &[LIMIT, AFTER],
            ..plain(
                Tag::Accounts,
                "sessions",
                "List your sessions",
                "All that still count, newest first.",
                &[ok(Content::List("Session"), "A page of sessions.")],
            )
        },
    },
    Route {
        verb: Verb::Delete,
        path: "/sessions/{id}",
        access: CREDENTIALS,
        handler: handler!(sessions::end),
        doc: Doc {
            errors: &[Code::NotFound],
            ..plain(
                Tag::Accounts,
                "endSession",
                "End one of your sessions",
                "Its tokens end at once.",
                NO_CONTENT,
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/payment",
        access: DECIDED,
        handler: handler!(payments::pay),
        doc: Doc {
            body: &[AMOUNT, CURRENCY, TO, OTP, DESCRIPTION, REFERENCE, METADATA, CAPTURE],
            idempotent: true,
            errors: &[
                Code::InsufficientFunds,
                Code::PaymentDeclined,
                Code::OtpRequired,
                Code::OtpInvalid,
                Code::AccountFrozen,
                Code::RecipientNotFound,
                Code::DuplicatePayment,
            ],
            example: r#"{"amount": "12.50", "currency": "USD", "description": "Lunch"}"#,
            ..plain(
                Tag::Payments,
                "pay",
                "Pay somebody",
                "Answered once the payment is durable. With an Idempotency-Key it happens exactly once, however often it is \
                 sent; without one, the same payment again within a minute is refused as a probable repeat. With too \
                 little money nothing moves, and the declined payment is kept in your history.",
                &[
                    Success { status: 201, content: Content::Json("Payment"), about: "The payment." },
                    UNDER_REVIEW,
                ],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/payment",
        access: OWN,
        handler: handler!(payments::by_key),
        doc: Doc {
            query: &[KEY],
            errors: &[Code::NotFound],
            ..plain(
                Tag::Payments,
                "paymentByKey",
                "Find a payment by its key",
                "What one of your idempotency keys stands for, as it is now; of a capture, void or refund, the payment that it is \
                 about.",
                &[ok(Content::Json("Payment"), "The payment.")],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/payments/batch",
        access: OWN,
        handler: handler!(payments::pay_many),
        doc: Doc {
            body: &[
                Field::required(
                    "payments",
                    Kind::Items(
                        &[KEY, AMOUNT, CURRENCY, TO, DESCRIPTION, REFERENCE, METADATA, CAPTURE],
                        payments::MOST,
                    ),
                    "The payments, up to 1,000, each with a key of its own.",
                ),
                Field::optional(
                    "mode",
                    Kind::OneOf(payments::MODES),
                    "\"one_by_one\" unless told: each for itself; with \"all_or_nothing\" one refusal refuses all.",
                ),
                OTP,
            ],
            errors: &[Code::BatchRefused, Code::OtpRequired, Code::OtpInvalid],
            example: r#"{"mode": "all_or_nothing", "payments": [{"idempotency_key": "wages-2026-01-ann", "amount": "12.50", "currency": "USD", "to": "ann@example.com"}]}"#,
            ..plain(
                Tag::Payments,
                "payMany",
                "Make many payments",
                "All of them are decided together and in their order, and answered once they are durable: one result each, as it \
                 would have been alone. Sent again, each key gets its first answer again. A code of the second factor counts \
                 for all of them.",
                &[ok(Content::Json("PaymentResults"), "What became of each.")],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/payments",
        access: OWN,
        handler: handler!(payments::list),
        doc: Doc {
            query: searched![LIMIT, AFTER, search::CURRENCY, search::TYPE, search::STATUS, search::DIRECTION,],
            ..plain(
                Tag::Payments,
                "payments",
                "List your payments",
                "From either side, newest first; declined ones are listed for their payer alone. It is searched as \
                 GET /transactions is, and whatever it lists is of type payment.",
                &[ok(Content::List("Payment"), "A page of payments.")],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/payment/{id}",
        access: OWN,
        handler: handler!(payments::get),
        doc: Doc {
            errors: &[Code::NotFound],
            ..plain(
                Tag::Payments,
                "payment",
                "Look at a payment",
                "One of your own, from either side.",
                &[ok(Content::Json("Payment"), "The payment.")],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/payment/{id}/capture",
        access: DECIDED,
        handler: handler!(payments::capture),
        doc: Doc {
            body: &[Field::optional(
                "amount",
                Kind::Amount,
                "How much of what is held; left out: all of it.",
            )],
            idempotent: true,
            errors: &[Code::NotFound, Code::PaymentState, Code::AccountFrozen],
            example: r#"{"amount": "10.00"}"#,
            ..plain(
                Tag::Payments,
                "capturePayment",
                "Take the money of a held payment",
                "For the payee, once, in whole or in part; the rest is released. A hold lapses after seven days; a \
                 capture after that is refused.",
                &[ok(Content::Json("Payment"), "The payment, captured.")],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/payment/{id}/void",
        access: DECIDED,
        handler: handler!(payments::void),
        doc: Doc {
            idempotent: true,
            errors: &[Code::NotFound, Code::PaymentState, Code::AccountFrozen],
            ..plain(
                Tag::Payments,
                "voidPayment",
                "Release the money of a held payment",
                "For the payee, or an operator with the permission who is no party to it.",
                &[ok(Content::Json("Payment"), "The payment, voided.")],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/payment/{id}/refund",
        access: DECIDED,
        handler: handler!(payments::refund),
        doc: Doc {
            body: &[
                Field::optional("amount", Kind::Amount, "How much; left out: all that is left."),
                Field::optional("reason", Kind::Text(500), "Why; the payer reads it."),
            ],
            idempotent: true,
            errors: &[Code::NotFound, Code::PaymentState, Code::InsufficientFunds, Code::AccountFrozen],
            example: r#"{"amount": "2.50", "reason": "One of the two was cold"}"#,
            ..plain(
                Tag::Payments,
                "refundPayment",
                "Give money of a payment back",
                "For the payee, or an operator with the permission who is no party to it; in one or several steps, and \
                 never more than was captured. The money comes from the payee's wallet.",
                &[Success { status: 201, content: Content::Json("Refund"), about: "The refund." }],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/requests",
        access: DECIDED,
        handler: handler!(requests::make),
        doc: Doc {
            body: &[
                AMOUNT,
                CURRENCY,
                Field::optional("description", Kind::Text(500), "What for; the payment will say it."),
                Field::optional(
                    "expires_in",
                    Kind::Number(1, 31_536_000),
                    "For how many seconds it can be paid; left out: for ever.",
                ),
            ],
            errors: &[Code::AccountFrozen],
            example: r#"{"amount": "12.50", "currency": "USD", "description": "Two tickets", "expires_in": 86400}"#,
            ..plain(
                Tag::Payments,
                "makeRequest",
                "Ask for a payment",
                "Makes a link that whoever knows it can pay, once: its id, of which 74 bits are random, cannot be guessed.",
                &[Success {
                    status: 201,
                    content: Content::Json("PaymentRequest"),
                    about: "The request. Reading it gives its page as a QR code, too.",
                }],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/requests",
        access: OWN,
        handler: handler!(requests::list),
        doc: Doc {
            query: &[LIMIT, AFTER],
            ..plain(
                Tag::Payments,
                "requests",
                "List your payment requests",
                "Those that you made, newest first.",
                &[ok(Content::List("PaymentRequest"), "A page of requests.")],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/requests/{id}",
        access: OWN,
        handler: handler!(requests::get),
        doc: Doc {
            errors: &[Code::NotFound],
            ..plain(
                Tag::Payments,
                "request",
                "Look at a payment request",
                "Whoever knows the id may.",
                &[ok(Content::Json("PaymentRequestWithCode"), "The request, and its page as a QR code.")],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/requests/{id}/pay",
        access: DECIDED,
        handler: handler!(requests::pay),
        doc: Doc {
            body: &[
                Field::optional(
                    "amount",
                    Kind::Amount,
                    "What you mean to pay; anything but what is asked is refused.",
                ),
                Field::optional("currency", Kind::Currency, "Likewise."),
                OTP,
            ],
            idempotent: true,
            errors: &[
                Code::NotFound,
                Code::OtpRequired,
                Code::OtpInvalid,
                Code::RequestState,
                Code::InsufficientFunds,
                Code::PaymentDeclined,
                Code::AccountFrozen,
                Code::DuplicatePayment,
            ],
            example: r#"{"amount": "12.50", "currency": "USD"}"#,
            ..plain(
                Tag::Payments,
                "payRequest",
                "Pay a payment request",
                "As a whole and at most once, whoever else pays it at the same moment. With too little money it stays open; \
                 if an operator stops the payment, it is open again.",
                &[
                    Success {
                        status: 201,
                        content: Content::Json("Payment"),
                        about: "The payment; its reference is the request's id.",
                    },
                    UNDER_REVIEW,
                ],
            )
        },
    },
    Route {
        verb: Verb::Delete,
        path: "/requests/{id}",
        access: OWN,
        handler: handler!(requests::cancel),
        doc: Doc {
            errors: &[Code::NotFound, Code::RequestState, Code::AccountFrozen],
            ..plain(
                Tag::Payments,
                "cancelRequest",
                "Take a payment request back",
                "One of your own that was not paid.",
                NO_CONTENT,
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/schedules",
        access: OWN,
        handler: handler!(schedules::make),
        doc: Doc {
            body: &[
                AMOUNT,
                CURRENCY,
                Field::optional("to", Kind::Recipient, "An email, a user id, or left out: the house."),
                Field::optional("description", Kind::Text(500), "For people."),
                Field::optional("reference", Kind::Text(100), "For the books."),
                Field::required("at", Kind::Moment, "The first time, and the time of day of the others."),
                Field::optional(
                    "rrule",
                    Kind::Text(300),
                    "An RFC 5545 recurrence rule, in UTC; left out: once. At least an hour between two runs.",
                ),
                Field::optional(
                    "missed",
                    Kind::OneOf(schedules::MISSED),
                    "What is done about runs that were missed; \"run_once\" unless told.",
                ),
            ],
            idempotent: true,
            errors: &[Code::RecipientNotFound, Code::AccountFrozen],
            example: r#"{"amount": "25.00", "currency": "USD", "to": "ann@example.com", "at": "2030-01-01T09:00:00Z", "rrule": "FREQ=MONTHLY;BYMONTHDAY=1"}"#,
            ..plain(
                Tag::Payments,
                "makeSchedule",
                "Let a payment run by itself",
                "Once, or by a rule. Each run happens exactly once. One that fails is in 'last' and in your security events; \
                 the next runs all the same. A key that stands for a payment is refused; payments do not look at the keys \
                 of schedules.",
                &[Success { status: 201, content: Content::Json("Schedule"), about: "The schedule." }],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/schedules",
        access: OWN,
        handler: handler!(schedules::list),
        doc: Doc {
            query: &[LIMIT, AFTER],
            ..plain(
                Tag::Payments,
                "schedules",
                "List your schedules",
                "Newest first, also those that have ended.",
                &[ok(Content::List("Schedule"), "A page of schedules.")],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/schedules/{id}",
        access: OWN,
        handler: handler!(schedules::get),
        doc: Doc {
            errors: &[Code::NotFound],
            ..plain(
                Tag::Payments,
                "schedule",
                "Look at a schedule",
                "One of your own.",
                &[ok(Content::Json("Schedule"), "The schedule.")],
            )
        },
    },
    Route {
        verb: Verb::Delete,
        path: "/schedules/{id}",
        access: OWN,
        handler: handler!(schedules::end),
        doc: Doc {
            errors: &[Code::NotFound, Code::AccountFrozen],
            ..plain(Tag::Payments, "endSchedule", "End a schedule", "It runs no more.", NO_CONTENT)
        },
    },
    Route {
        verb: Verb::Post,
        path: "/sandbox/clock",
        access: Access::Needs(Permission::Administer),
        handler: handler!(sandbox::move_clock),
        doc: Doc {
            body: &[Field::required(
                "advance",
                Kind::Number(1, 315_360_000),
                "By how many seconds; a clock only goes forward.",
            )],
            errors: &[Code::SandboxOnly, Code::AccountFrozen],
            example: r#"{"advance": 604800}"#,
            ..plain(
                Tag::System,
                "moveClock",
                "Move the sandbox's clock forward",
                "Holds lapse, schedules run and tokens expire (yours, too) as if so much time had passed, on every node, and \
                 for good.",
                &[ok(Content::Json("SandboxClock"), "The clock was moved.")],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/sandbox/reset",
        access: Access::Needs(Permission::Administer),
        handler: handler!(sandbox::reset),
        doc: Doc {
            errors: &[Code::SandboxOnly, Code::ResetUnsupported, Code::AccountFrozen],
            ..plain(
                Tag::System,
                "resetSandbox",
                "Begin anew",
                "An empty ledger takes the place of this one, on every node. The old one is moved aside as it is: in the data \
                 folder, or into a schema of its database. Nobody is known to the new one: make its first admin on the host.",
                NO_CONTENT,
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/payment/{id}/receipt",
        access: OWN,
        handler: handler!(payments::receipt),
        doc: Doc {
            errors: &[Code::NotFound, Code::Unavailable],
            ..plain(
                Tag::Payments,
                "receipt",
                "Get a signed receipt",
                "What the journal says of one of your own payments, and the proof that it does: the hashes beside its way \
                 to the root of a Merkle tree (RFC 6962), and a signed checkpoint of that tree. Anybody checks it without \
                 this server: 'farthing receipt verify FILE --key PUB'.",
                &[ok(Content::Json("Receipt"), "The receipt.")],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/transactions",
        access: OWN,
        handler: handler!(transactions::list),
        doc: Doc {
            query: searched![LIMIT, AFTER, search::CURRENCY, search::TYPE, search::STATUS, search::DIRECTION,],
            ..plain(
                Tag::Wallets,
                "transactions",
                "List your movements",
                "Your own, never another's, newest first, each with the balance right after it.",
                &[ok(Content::List("Transaction"), "A page of movements.")],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/transactions/{id}",
        access: OWN,
        handler: handler!(transactions::get),
        doc: Doc {
            errors: &[Code::NotFound],
            ..plain(
                Tag::Wallets,
                "transaction",
                "Look at a movement",
                "One of your own.",
                &[ok(Content::Json("Transaction"), "The movement.")],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/wallets",
        access: OWN,
        handler: handler!(wallets::list),
        doc: Doc {
            query: &[
                LIMIT,
                AFTER,
                Field::optional(
                    "at",
                    Kind::Moment,
                    "What was in them right before this time, or at the end of this date (UTC).",
                ),
            ],
            ..plain(
                Tag::Wallets,
                "wallets",
                "List your wallets",
                "What you have in each currency, in the order of their codes.",
                &[ok(Content::List("Wallet"), "A page of wallets.")],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/statement",
        access: OWN,
        handler: handler!(statements::get),
        doc: Doc {
            query: &[
                Field::required("currency", Kind::Currency, "Which wallet."),
                Field::optional(
                    "from",
                    Kind::Moment,
                    "From this time or date (UTC); else from the beginning.",
                ),
                Field::optional(
                    "to",
                    Kind::Moment,
                    "Before this time, or up to the end of this date (UTC); else now.",
                ),
                Field::optional("format", Kind::OneOf(FORMATS), "\"json\" unless told."),
            ],
            ..plain(
                Tag::Wallets,
                "statement",
                "Get a statement of a wallet",
                "What it held, every movement, oldest first, and what it holds; as JSON, as CSV (RFC 4180), as an ISO 20022 \
                 bank statement (camt.053.001.08), or as a journal that hledger and Ledger read. Each ends with the count \
                 of the movements and what they come to: one that does not was cut.",
                &[ok(Content::Formats("Statement", FILES), "The statement, as a file.")],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/topup",
        access: OWN,
        handler: handler!(wallets::topup),
        doc: Doc {
            body: &[
                AMOUNT,
                CURRENCY,
                Field::optional("method", Kind::OneOf(METHODS), "How it goes; \"sim_ok\" unless told."),
            ],
            idempotent: true,
            errors: &[Code::TopupFailed, Code::SandboxOnly, Code::AccountFrozen],
            example: r#"{"amount": "100.00", "currency": "EUR"}"#,
            ..plain(
                Tag::Wallets,
                "topup",
                "Add play money",
                "Sandbox mode alone. The method decides how it goes, always the same way: sim_ok succeeds, sim_slow \
                 succeeds after three seconds, the others fail with the reason in their name.",
                &[Success { status: 201, content: Content::Json("Topup"), about: "The top-up." }],
            )
        },
    },
    credential::BEGIN_FACTOR,
    credential::CONFIRM_FACTOR,
    credential::REMOVE_FACTOR,
    credential::MAKE_KEY,
    credential::KEYS,
    credential::ROTATE_KEY,
    credential::REVOKE_KEY,
    operator::RESET_PASSWORD,
    operator::USERS,
    operator::USER,
    operator::CHANGE_USER,
    operator::END_SESSIONS,
    operator::MAKE_RESET_LINK,
    operator::PAYMENTS,
    operator::PAYMENT,
    operator::REVIEWS,
    operator::APPROVE,
    operator::REJECT,
    operator::RECONCILE,
    operator::EVENTS,
    operator::AUDIT,
    operator::STATISTICS,
    Route {
        verb: Verb::Post,
        path: "/webhooks",
        access: OWN,
        handler: handler!(webhooks::create),
        doc: webhooks::docs::CREATE,
    },
    Route {
        verb: Verb::Get,
        path: "/webhooks",
        access: OWN,
        handler: handler!(webhooks::list),
        doc: webhooks::docs::LIST,
    },
    Route {
        verb: Verb::Get,
        path: "/webhooks/{id}",
        access: OWN,
        handler: handler!(webhooks::get),
        doc: webhooks::docs::GET,
    },
    Route {
        verb: Verb::Patch,
        path: "/webhooks/{id}",
        access: OWN,
        handler: handler!(webhooks::update),
        doc: webhooks::docs::UPDATE,
    },
    Route {
        verb: Verb::Delete,
        path: "/webhooks/{id}",
        access: OWN,
        handler: handler!(webhooks::delete),
        doc: webhooks::docs::DELETE,
    },
    Route {
        verb: Verb::Post,
        path: "/webhooks/{id}/secret",
        access: OWN,
        handler: handler!(webhooks::rotate),
        doc: webhooks::docs::ROTATE,
    },
    Route {
        verb: Verb::Post,
        path: "/webhooks/{id}/test",
        access: OWN,
        handler: handler!(webhooks::test),
        doc: webhooks::docs::TEST,
    },
    Route {
        verb: Verb::Post,
        path: "/webhooks/{id}/replay",
        access: OWN,
        handler: handler!(webhooks::replay),
        doc: webhooks::docs::REPLAY,
    },
    Route {
        verb: Verb::Get,
        path: "/webhooks/{id}/deliveries",
        access: OWN,
        handler: handler!(webhooks::deliveries),
        doc: webhooks::docs::DELIVERIES,
    },
    Route {
        verb: Verb::Get,
        path: "/webhooks/{id}/deliveries/{delivery}",
        access: OWN,
        handler: handler!(webhooks::delivery),
        doc: webhooks::docs::DELIVERY,
    },
    Route {
        verb: Verb::Post,
        path: "/webhooks/{id}/deliveries/{delivery}/redeliver",
        access: OWN,
        handler: handler!(webhooks::redeliver),
        doc: webhooks::docs::REDELIVER,
    },
    Route {
        verb: Verb::Get,
        path: "/events",
        access: OWN,
        handler: handler!(events::list),
        doc: webhooks::docs::FEED,
    },
    Route {
        verb: Verb::Get,
        path: "/events/stream",
        access: OWN,
        handler: handler!(events::stream),
        doc: webhooks::docs::STREAM,
    },
    Route {
        verb: Verb::Post,
        path: "/sandbox/events",
        access: OWN,
        handler: handler!(events::trigger),
        doc: webhooks::docs::TRIGGER,
    },
    Route {
        verb: Verb::Post,
        path: "/admin/deposits",
        access: Access::Needs(Permission::MoveCash),
        handler: handler!(cash::deposit),
        doc: Doc {
            body: CASH,
            idempotent: true,
            errors: &[Code::RecipientNotFound, Code::AccountFrozen],
            example: r#"{"user": "ann@example.com", "amount": "50.00", "currency": "EUR", "reference": "Till 2, slip 17"}"#,
            ..plain(
                Tag::Operators,
                "deposit",
                "Take cash in",
                "Puts cash that was taken in into a user's wallet, never into the operator's own. Above the amount of the \
                 setting 'security.four_eyes_above' it waits for a second operator. Sent twice without an Idempotency-Key, it is \
                 booked twice.",
                CASH_ANSWERS,
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/admin/withdrawals",
        access: Access::Needs(Permission::MoveCash),
        handler: handler!(cash::withdraw),
        doc: Doc {
            body: CASH,
            idempotent: true,
            errors: &[Code::RecipientNotFound, Code::InsufficientFunds, Code::AccountFrozen],
            example: r#"{"user": "ann@example.com", "amount": "20.00", "currency": "EUR", "reference": "Till 2, slip 18"}"#,
            ..plain(
                Tag::Operators,
                "withdraw",
                "Pay cash out",
                "Takes cash that is paid out from a user's wallet, by the rules of a deposit. With too little in it nothing \
                 moves, and the declined withdrawal is kept.",
                CASH_ANSWERS,
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/admin/cash",
        access: Access::Needs(Permission::MoveCash),
        handler: handler!(cash::list),
        doc: Doc {
            query: &[LIMIT, AFTER],
            ..plain(
                Tag::Operators,
                "waitingCash",
                "List cash that waits",
                "Deposits and withdrawals that a second operator is to look at, newest first.",
                &[ok(Content::List("Cash"), "A page of what waits.")],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/admin/cash/{id}/approve",
        access: Access::Needs(Permission::MoveCash),
        handler: handler!(cash::approve),
        doc: Doc {
            body: &[NOTE],
            errors: &[Code::NotFound, Code::CashDecided, Code::InsufficientFunds, Code::AccountFrozen],
            example: r#"{"note": "Counted twice"}"#,
            ..plain(
                Tag::Operators,
                "approveCash",
                "Let cash through",
                "For another operator than the one who asked. While the user is frozen it still waits, and so does a \
                 withdrawal with too little in the wallet.",
                &[Success { status: 201, content: Content::Json("Cash"), about: "The movement." }],
            )
        },
    },
    Route {
        verb: Verb::Post,
        path: "/admin/cash/{id}/reject",
        access: Access::Needs(Permission::MoveCash),
        handler: handler!(cash::reject),
        doc: Doc {
            body: &[NOTE],
            errors: &[Code::NotFound, Code::CashDecided, Code::AccountFrozen],
            example: r#"{"note": "The slip is missing"}"#,
            ..plain(
                Tag::Operators,
                "rejectCash",
                "Stop cash",
                "For another operator than the one who asked. Nothing moves.",
                NO_CONTENT,
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/healthz",
        access: Access::Public,
        handler: handler!(system::healthz),
        doc: plain(
            Tag::System,
            "healthz",
            "Is the process alive",
            "Looks at nothing but itself.",
            &[ok(Content::Json("Health"), "It is.")],
        ),
    },
    Route {
        verb: Verb::Get,
        path: "/readyz",
        access: Access::Public,
        handler: handler!(system::readyz),
        doc: Doc {
            errors: &[Code::Unavailable],
            ..plain(
                Tag::System,
                "readyz",
                "Can the database be written",
                "503 while it cannot.",
                &[ok(Content::Json("Health"), "It can.")],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/metrics",
        access: Access::Public,
        handler: handler!(system::metrics),
        doc: Doc {
            errors: &[Code::NotFound],
            ..plain(
                Tag::System,
                "metrics",
                "Figures for Prometheus",
                "For this machine alone; for others there is nothing here. With [metrics] listen they are on that address.",
                &[ok(Content::Text, "The figures, in the text format 0.0.4.")],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/openapi.json",
        access: Access::Public,
        handler: handler!(system::openapi),
        doc: plain(
            Tag::System,
            "openapi",
            "This document",
            "OpenAPI 3.1.",
            &[ok(Content::Json("OpenApi"), "The document.")],
        ),
    },
    Route {
        verb: Verb::Get,
        path: "/docs",
        access: Access::Public,
        handler: handler!(system::docs),
        doc: plain(
            Tag::System,
            "docs",
            "The reference, for people",
            "Works offline.",
            &[ok(Content::Html, "The page.")],
        ),
    },
    Route {
        verb: Verb::Get,
        path: "/assets/style.css",
        access: Access::Public,
        handler: handler!(system::style),
        doc: plain(
            Tag::System,
            "style",
            "The pages' style sheet",
            "The only thing that they load.",
            &[ok(Content::Css, "The style sheet.")],
        ),
    },
    Route {
        verb: Verb::Get,
        path: "/problems",
        access: Access::Public,
        handler: handler!(system::problems),
        doc: plain(
            Tag::System,
            "problems",
            "Every problem",
            "What can go wrong, by code.",
            &[ok(Content::Html, "The page.")],
        ),
    },
    Route {
        verb: Verb::Get,
        path: "/problems/{code}",
        access: Access::Public,
        handler: handler!(system::problem),
        doc: Doc {
            errors: &[Code::NotFound],
            ..plain(
                Tag::System,
                "problem",
                "One problem",
                "Its cause and its cure.",
                &[ok(Content::Html, "The page.")],
            )
        },
    },
    Route {
        verb: Verb::Get,
        path: "/",
        access: Access::Public,
        handler: handler!(system::root),
        doc: plain(
            Tag::System,
            "root",
            "The way to the console",
            "Where people go; programs have the calls above.",
            &[Success { status: 303, content: Content::Nothing, about: "To /console/." }],
        ),
    },
    Route {
        verb: Verb::Get,
        path: "/start",
        access: Access::Public,
        handler: handler!(system::start),
        doc: plain(
            Tag::System,
            "start",
            "What runs here",
            "And the first steps, as lines to paste.",
            &[ok(Content::Html, "The page.")],
        ),
    },
];
