//! The desk's pages, in a table of their own.

use super::{audit, cash, events, overview, payments, reconciliation, reviews, settings, today, users};
use crate::console::routes::{AFTER, AMOUNT, CURRENCY, NONCE, doc, form, handler, note, page};
use crate::console::{live, own_routes, webhooks};
use crate::http::operators::{ROLES, SEVERITIES, YES_OR_NO};
use crate::http::search::{self, FROM, TO, searched};
use crate::http::spec::{Access, Doc, Field, File, Kind, Permission, Route, Verb};
use crate::ledger::EventKind;

const READ: Access = Access::Needs(Permission::ReadUsers);
const REVIEW: Access = Access::Needs(Permission::ReviewPayments);
const REFUND: Access = Access::Needs(Permission::RefundAny);
const FREEZE: Access = Access::Needs(Permission::FreezeUsers);
const CASH: Access = Access::Needs(Permission::MoveCash);
const AUDIT: Access = Access::Needs(Permission::ReadAudit);
const ADMIN: Access = Access::Needs(Permission::Administer);

const REASON: &[Field] = &[Field::required("note", Kind::Text(500), "Why."), NONCE];
const NOTE: Field = Field::optional("note", Kind::Text(500), "What there is to say about it.");
const SEARCH: Field = Field::optional("q", Kind::Text(254), "What to look for.");
/// What a form about cash says.
const ORDER: &[Field] = &[
    Field::required("user", Kind::Recipient, "Whose wallet."),
    AMOUNT,
    CURRENCY,
    Field::required("reference", Kind::Text(100), "For the books."),
    NONCE,
];

/// Every page of the desk.
pub static PAGES: &[Route] = &[
    page!("/console/desk", READ, today::front, "The way to the desk", []),
    page!("/console/desk/", READ, today::page, "Today", []),
    page!("/console/desk/overview", READ, overview::page, "Figures in charts", []),
    page!("/console/desk/live", READ, live::desk, "Changes of any kind, as they come", []),
    page!(
        "/console/desk/reviews",
        REVIEW,
        reviews::page,
        "Payments that wait for an operator",
        [AFTER, note(&["approved", "rejected"])]
    ),
    form!("/console/desk/reviews/{id}/approve", REVIEW, reviews::approve, "Let a payment through", REASON),
    form!("/console/desk/reviews/{id}/reject", REVIEW, reviews::reject, "Stop a payment", REASON),
    Route {
        verb: Verb::Get,
        path: "/console/desk/payments",
        access: READ,
        handler: handler!(payments::page),
        doc: Doc {
            query: searched![
                AFTER,
                SEARCH,
                Field::optional("user", Kind::UserId, "Only this user's, as they see them."),
                search::CURRENCY,
                search::STATUS,
            ],
            ..doc("Everybody's payments", &[], &[])
        },
    },
    page!(
        "/console/desk/payments/{id}",
        READ,
        payments::payment,
        "Anybody's payment",
        [note(&["refunded", "voided"])]
    ),
    form!(
        "/console/desk/payments/{id}/refund",
        REFUND,
        payments::refund,
        "Give back what was paid",
        own_routes::REFUND
    ),
    form!("/console/desk/payments/{id}/void", REFUND, payments::void, "Release what is held", &[NONCE]),
    page!(
        "/console/desk/users",
        READ,
        users::page,
        "Everybody with an account",
        [
            AFTER,
            SEARCH,
            Field::optional("role", Kind::OneOf(ROLES), "Only this role."),
            Field::optional("frozen", Kind::OneOf(YES_OR_NO), "Only frozen ones, or only others."),
        ]
    ),
    page!(
        "/console/desk/users/{id}",
        READ,
        users::user,
        "A user",
        [note(&["frozen", "unfrozen", "ended", "role"])]
    ),
    form!("/console/desk/users/{id}/freeze", FREEZE, users::freeze, "Freeze a user", &[]),
    form!("/console/desk/users/{id}/unfreeze", FREEZE, users::unfreeze, "Unfreeze a user", &[]),
    form!(
        "/console/desk/users/{id}/sessions",
        FREEZE,
        users::end_sessions,
        "End all sessions of a user",
        &[]
    ),
    form!(
        "/console/desk/users/{id}/reset-link",
        FREEZE,
        users::reset_link,
        "Let a user set a new password",
        &[]
    ),
    form!(
        "/console/desk/users/{id}/role",
        ADMIN,
        users::change_role,
        "Change what a user may do",
        &[Field::required("role", Kind::OneOf(ROLES), "The role.")]
    ),
    page!(
        "/console/desk/cash",
        CASH,
        cash::page,
        "Cash in and out",
        [AFTER, note(&["deposit", "withdrawal", "waits", "approved", "rejected"])]
    ),
    form!("/console/desk/cash/deposit", CASH, cash::deposit, "Take cash in", ORDER),
    form!("/console/desk/cash/withdraw", CASH, cash::withdraw, "Pay cash out", ORDER),
    form!("/console/desk/cash/{id}/approve", CASH, cash::approve, "Let cash through", &[NOTE]),
    form!("/console/desk/cash/{id}/reject", CASH, cash::reject, "Stop cash", &[NOTE]),
    page!("/console/desk/reconciliation", CASH, reconciliation::page, "A bank's file beside the ledger", []),
    Route {
        doc: Doc {
            file: &[File { media: "multipart/form-data", example: "" }],
            ..doc(
                "Compare a bank's file with the ledger",
                &[],
                &[
                    Field::required("from", Kind::Moment, "The period: from this date (UTC) on …"),
                    Field::required("to", Kind::Moment, "… up to the end of this date."),
                    Field::required("file", Kind::Document, "CSV or camt.053."),
                ],
            )
        },
        ..form!(
            "/console/desk/reconciliation",
            CASH,
            reconciliation::compare,
            "Compare a bank's file with the ledger",
            &[]
        )
    },
    page!(
        "/console/desk/events",
        AUDIT,
        events::page,
        "Security events",
        [
            AFTER,
            Field::optional("event", Kind::OneOf(EventKind::NAMES), "Only this event."),
            Field::optional("severity", Kind::OneOf(SEVERITIES), "Only this severity."),
            Field::optional("user", Kind::UserId, "Only what concerns this user."),
            FROM,
            TO,
        ]
    ),
    page!(
        "/console/desk/webhooks",
        ADMIN,
        webhooks::list_of_house,
        "Webhooks of the house",
        [AFTER, note(webhooks::DONE)]
    ),
    page!("/console/desk/audit", AUDIT, audit::page, "The chain and the books", []),
    form!("/console/desk/audit/verify", AUDIT, audit::verify, "Verify the ledger", &[]),
    page!("/console/desk/settings", ADMIN, settings::page, "The settings in effect", []),
];
