//! The pages, in a table as the API's calls are: path, who may see it, what answers, which fields its form or query has.

pub use super::own_routes::{OWN_PAGES, PAY_LINKS};
use super::{accounts, assets, first, help, history, home, live, payments, reset, security, send, topup};
use crate::http::spec::{Access, Doc, Field, Kind, Permission, Route, Tag, Verb};
use crate::http::transactions::TYPES;
use crate::http::wallets::METHODS;
use crate::ledger::User;

pub(super) const OWN: Access = Access::Needs(Permission::OwnAccount);
/// One's own credentials, which also somebody can change who must mend them first.
pub(super) const CREDENTIALS: Access = Access::Needs(Permission::OwnCredentials);
pub(super) const AFTER: Field = Field::optional("after", Kind::After, "Where the page before ended.");
pub(super) const AMOUNT: Field = Field::required("amount", Kind::Amount, "How much.");
pub(super) const CURRENCY: Field = Field::required("currency", Kind::Currency, "In which currency.");
pub(super) const NONCE: Field =
    Field::required("nonce", Kind::Text(100), "What makes this form another than the next.");
pub(super) const OTP: Field = Field::optional("otp", Kind::Text(64), "A code of the second factor.");

/// What a payment's form says.
const PAYMENT: &[Field] = &[
    Field::required("to", Kind::Recipient, "To whom."),
    AMOUNT,
    CURRENCY,
    Field::optional("description", Kind::Text(500), "For people."),
    Field::optional("reference", Kind::Text(100), "For the books."),
    OTP,
    NONCE,
];

macro_rules! handler {
    ($handler:path) => {
        |call| Box::pin($handler(call))
    };
}

pub(super) const fn doc(summary: &'static str, query: &'static [Field], body: &'static [Field]) -> Doc {
    Doc {
        tag: Tag::Console,
        operation: "",
        summary,
        description: "",
        body,
        file: &[],
        query,
        idempotent: false,
        success: &[],
        errors: &[],
        example: "",
    }
}

/// A page to look at.
macro_rules! page {
    ($path:literal, $access:expr, $handler:path, $summary:literal, [$($query:expr),* $(,)?]) => {
        Route {
            verb: Verb::Get,
            path: $path,
            access: $access,
            handler: handler!($handler),
            doc: doc($summary, &[$($query),*], &[]),
        }
    };
}

/// A form that is sent.
macro_rules! form {
    ($path:literal, $access:expr, $handler:path, $summary:literal, $body:expr) => {
        Route {
            verb: Verb::Post,
            path: $path,
            access: $access,
            handler: handler!($handler),
            doc: doc($summary, &[], $body),
        }
    };
}

pub(super) use {form, handler, page};

/// A word of ours that a page shows a message for.
pub(super) const fn note(words: &'static [&'static str]) -> Field {
    Field::optional("note", Kind::OneOf(words), "What was just done.")
}

/// The pages of the wallet.
pub static PAGES: &[Route] = &[
    page!("/console", Access::Public, accounts::front, "The way to the wallet", []),
    page!("/console/assets/{name}", Access::Public, assets::asset, "The script and the icon", []),
    page!("/console/help", Access::Public, help::page, "Help", []),
    page!(
        "/console/login",
        Access::Public,
        accounts::login_page,
        "Log in",
        [Field::optional("next", Kind::Text(1_000), "Where to go then."), note(&["ended", "out", "reset"]),]
    ),
    form!(
        "/console/login",
        Access::Public,
        accounts::login,
        "Log in",
        &[
            Field::required("email", Kind::Email, "As registered."),
            Field::required("password", Kind::Secret, "The password."),
            Field::optional("otp", Kind::Text(64), "A code of the second factor."),
            Field::optional("next", Kind::Text(1_000), "Where to go then."),
        ]
    ),
    page!("/console/first/{secret}", Access::Public, first::page, "Make the first administrator", []),
    form!(
        "/console/first/{secret}",
        Access::Public,
        first::create,
        "Make the first administrator",
        &[
            Field::required("email", Kind::Email, "An address of one's own."),
            Field::required("password", Kind::Password, "A new password, of 15 characters at least."),
            Field::optional("name", Kind::Text(User::MAX_NAME), "What others see."),
        ]
    ),
    page!("/console/reset/{token}", Access::Public, reset::page, "Set a new password by a link", []),
    form!(
        "/console/reset/{token}",
        Access::Public,
        reset::reset,
        "Set a new password by a link",
        &[Field::required("new_password", Kind::Password, "The one that is wanted.")]
    ),
    page!(
        "/console/register",
        Access::Public,
        accounts::register_page,
        "Register",
        [Field::optional("next", Kind::Text(1_000), "Where to go then.")]
    ),
    form!(
        "/console/register",
        Access::Public,
        accounts::register,
        "Register",
        &[
            Field::required("email", Kind::Email, "An address of one's own."),
            Field::required("password", Kind::Password, "A new password."),
            Field::optional("name", Kind::Text(User::MAX_NAME), "What others see."),
            Field::optional("next", Kind::Text(1_000), "Where to go then."),
        ]
    ),
    form!("/console/logout", CREDENTIALS, accounts::logout, "Log out", &[]),
    page!("/console/", OWN, home::page, "The wallet", [note(&["welcome"])]),
    page!(
        "/console/send",
        OWN,
        send::page,
        "Send money",
        [
            Field::optional("to", Kind::Text(254), "To whom."),
            Field::optional("amount", Kind::Text(20), "How much."),
            Field::optional("currency", Kind::Text(3), "In which currency."),
            Field::optional("description", Kind::Text(500), "For people."),
            Field::optional("reference", Kind::Text(100), "For the books."),
        ]
    ),
    form!("/console/send", OWN, send::review, "Look at a payment before it goes", PAYMENT),
    form!("/console/send/confirm", OWN, send::confirm, "Pay", PAYMENT),
    page!("/console/topup", OWN, topup::page, "Add play money", []),
    form!(
        "/console/topup",
        OWN,
        topup::topup,
        "Add play money",
        &[AMOUNT, CURRENCY, Field::optional("method", Kind::OneOf(METHODS), "How it goes."), NONCE,]
    ),
    page!(
        "/console/history",
        OWN,
        history::page,
        "Every movement",
        [
            AFTER,
            Field::optional("q", Kind::Text(200), "What to look for."),
            Field::optional("currency", Kind::Currency, "Only this currency."),
            Field::optional("type", Kind::OneOf(TYPES), "Only this type."),
            Field::optional("status", Kind::OneOf(&["succeeded", "declined"]), "Only this status."),
            Field::optional("from", Kind::Moment, "At or after this date."),
            Field::optional("to", Kind::Moment, "Up to the end of this date."),
        ]
    ),
    page!(
        "/console/payments/{id}",
        OWN,
        payments::payment,
        "A payment",
        [note(&["sent", "captured", "voided", "refunded"])]
    ),
    page!("/console/transactions/{id}", OWN, payments::transaction, "A movement", []),
    page!(
        "/console/security",
        CREDENTIALS,
        security::page,
        "One's own security",
        [note(&["name", "password", "ended"])]
    ),
    form!(
        "/console/security/name",
        OWN,
        security::rename,
        "Change one's name",
        &[Field::optional("name", Kind::Text(User::MAX_NAME), "What others see."),]
    ),
    form!(
        "/console/security/password",
        CREDENTIALS,
        security::change_password,
        "Change one's password",
        &[
            Field::required("current_password", Kind::Secret, "The one that there is."),
            Field::optional("otp", Kind::Text(64), "A code of the second factor."),
            Field::required("new_password", Kind::Password, "The one that is wanted."),
            Field::optional("username", Kind::Text(254), "For password managers."),
        ]
    ),
    form!("/console/sessions/{id}/end", CREDENTIALS, security::end_session, "End a session", &[]),
    page!("/console/live", OWN, live::own, "Changes of one's own, as they come", []),
    page!("/console/activity", OWN, security::activity, "One's own security events", [AFTER]),
];
