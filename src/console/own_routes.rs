//! The part of the pages' table about what a customer has beyond the wallet itself, and the pages of payment links.

use super::routes::{AFTER, AMOUNT, CREDENTIALS, CURRENCY, NONCE, OTP, OWN, doc, form, handler, note, page};
use super::{factor, keys, own_payments, pay, requests, statement, steps, webhooks};
use crate::http::api_keys::{LONGEST_LIFE, LONGEST_OVERLAP, MAX_SCOPES};
use crate::http::search;
use crate::http::spec::{Access, Field, Kind, Route, Verb};
use crate::http::statements::FORMATS;
use crate::ledger::{DeliveryState, EventType};

const PART: Field = Field::optional("amount", Kind::Amount, "How much of it; all that is left if left out.");
/// What the form of a refund says.
pub(super) const REFUND: &[Field] = &[PART, Field::optional("reason", Kind::Text(500), "Why."), NONCE];

const SCOPE: Field =
    Field::optional("scope", Kind::OneOf(&["own", "ledger"]), "Whose: one's own, or the house's.");

/// What a customer has beyond the wallet itself.
pub static OWN_PAGES: &[Route] = &[
    page!("/console/requests", OWN, requests::list, "One's own payment requests", [AFTER]),
    page!("/console/requests/new", OWN, requests::new, "Ask for money", []),
    form!(
        "/console/requests/new",
        OWN,
        requests::make,
        "Ask for money",
        &[
            AMOUNT,
            CURRENCY,
            Field::optional("description", Kind::Text(500), "What for."),
            Field::optional(
                "expires_in",
                Kind::Number(1, 31_536_000),
                "For how many seconds it can be paid."
            ),
            NONCE,
        ]
    ),
    page!("/console/requests/{id}", OWN, requests::page, "A payment request", [note(&["made", "cancelled"])]),
    form!("/console/requests/{id}/cancel", OWN, requests::cancel, "Take a payment request back", &[]),
    page!(
        "/console/payments",
        OWN,
        own_payments::page,
        "One's own payments, however they stand",
        [AFTER, search::STATUS, search::DIRECTION, search::COUNTERPARTY, search::FROM, search::TO]
    ),
    form!("/console/payments/{id}/capture", OWN, steps::capture, "Capture a payment", &[PART, NONCE]),
    form!("/console/payments/{id}/void", OWN, steps::void, "Void a payment", &[NONCE]),
    form!("/console/payments/{id}/refund", OWN, steps::refund, "Refund a payment", REFUND),
    page!("/console/payments/{id}/receipt", OWN, steps::receipt, "A payment's signed receipt", []),
    page!("/console/statement", OWN, statement::page, "Ask for a statement", []),
    page!(
        "/console/statement/file",
        OWN,
        statement::file,
        "A statement as a file",
        [
            CURRENCY,
            Field::optional("from", Kind::Moment, "From this date."),
            Field::optional("to", Kind::Moment, "Up to the end of this date."),
            Field::optional("format", Kind::OneOf(FORMATS), "In which format."),
        ]
    ),
    page!("/console/security/totp", CREDENTIALS, factor::page, "One's own second factor", [note(&["off"])]),
    form!("/console/security/totp", CREDENTIALS, factor::begin, "Begin a second factor", &[]),
    form!(
        "/console/security/totp/confirm",
        CREDENTIALS,
        factor::confirm,
        "Confirm a second factor",
        &[Field::required("otp", Kind::Text(64), "A first code.")]
    ),
    form!(
        "/console/security/totp/off",
        CREDENTIALS,
        factor::remove,
        "Switch a second factor off",
        &[Field::required("password", Kind::Secret, "The password.")]
    ),
    page!("/console/keys", CREDENTIALS, keys::list, "One's own API keys", [note(&["revoked", "twice"])]),
    page!("/console/keys/new", CREDENTIALS, keys::new, "Make an API key", []),
    form!(
        "/console/keys/new",
        CREDENTIALS,
        keys::make,
        "Make an API key",
        &[
            Field::required("name", Kind::Text(100), "What it is called."),
            Field::required("scopes", Kind::Words(MAX_SCOPES), "What it may do."),
            Field::optional("expires_in", Kind::Number(60, LONGEST_LIFE), "For how many seconds it counts."),
            OTP,
            NONCE,
        ]
    ),
    page!("/console/keys/{id}", CREDENTIALS, keys::page, "An API key", []),
    form!(
        "/console/keys/{id}/rotate",
        CREDENTIALS,
        keys::rotate,
        "Replace an API key",
        &[
            Field::optional(
                "overlap",
                Kind::Number(0, LONGEST_OVERLAP),
                "For how many seconds the old one counts, too."
            ),
            OTP,
            NONCE,
        ]
    ),
    form!("/console/keys/{id}/revoke", CREDENTIALS, keys::revoke, "Revoke an API key", &[]),
    page!("/console/webhooks", OWN, webhooks::list, "One's own webhooks", [AFTER, note(webhooks::DONE)]),
    page!("/console/webhooks/new", OWN, webhooks::new, "Add a webhook", [SCOPE]),
    form!(
        "/console/webhooks/new",
        OWN,
        webhooks::make,
        "Add a webhook",
        &[
            Field::required("url", Kind::Text(2_048), "Where events are sent."),
            Field::required("events", Kind::Words(64), "Which."),
            Field::optional("description", Kind::Text(200), "A note."),
            Field::optional("signature", Kind::OneOf(&["v1", "v1a"]), "How they are signed."),
            SCOPE,
            NONCE,
        ]
    ),
    page!(
        "/console/webhooks/{id}",
        OWN,
        webhooks::page,
        "A webhook and its deliveries",
        [
            AFTER,
            Field::optional("status", Kind::OneOf(DeliveryState::NAMES), "Only these."),
            Field::optional("type", Kind::OneOf(EventType::NAMES), "Only events of this type."),
            note(&["tested", "on", "off", "again"]),
        ]
    ),
    form!("/console/webhooks/{id}/test", OWN, webhooks::test, "Send a test", &[]),
    form!(
        "/console/webhooks/{id}/switch",
        OWN,
        webhooks::switch,
        "Switch a webhook on or off",
        &[Field::required("enabled", Kind::Flag, "Whether anything is sent.")]
    ),
    form!(
        "/console/webhooks/{id}/secret",
        OWN,
        webhooks::rotate,
        "Give a webhook another secret",
        &[
            Field::optional(
                "keep_old_seconds",
                Kind::Number(0, 604_800),
                "For how many seconds the old one signs, too."
            ),
            NONCE,
        ]
    ),
    form!("/console/webhooks/{id}/delete", OWN, webhooks::delete, "Delete a webhook", &[]),
    form!(
        "/console/webhooks/{id}/deliveries/{delivery}/redeliver",
        OWN,
        webhooks::redeliver,
        "Send a delivery again",
        &[]
    ),
];

/// Where payment links lead.
pub static PAY_LINKS: &[Route] = &[
    page!("/pay/{id}", Access::Public, pay::page, "What somebody asks to be paid", []),
    form!("/pay/{id}", OWN, pay::pay, "Pay it", &[OTP, NONCE]),
];
