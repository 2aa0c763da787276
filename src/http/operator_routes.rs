//! The operators' part of the route table.

use super::operators::{self, ROLES, SEVERITIES, YES_OR_NO};
use super::problem::Code;
use super::reconciliations;
use super::reviews;
use super::routes::{AFTER, LIMIT, NO_CONTENT, handler, ok, plain};
use super::search::{self, FROM, TO, searched};
use super::spec::{Access, Content, Doc, Field, Kind, Permission, Route, Success, Tag, Verb};
use crate::ledger::EventKind;

const READ_USERS: Access = Access::Needs(Permission::ReadUsers);
const FREEZE_USERS: Access = Access::Needs(Permission::FreezeUsers);
const READ_AUDIT: Access = Access::Needs(Permission::ReadAudit);

pub(super) const USERS: Route = Route {
    verb: Verb::Get,
    path: "/admin/users",
    access: READ_USERS,
    handler: handler!(operators::users),
    doc: Doc {
        query: &[
            LIMIT,
            AFTER,
            Field::optional(
                "q",
                Kind::Text(254),
                "Part of the email in any case, or of the name as it is written.",
            ),
            Field::optional("role", Kind::OneOf(ROLES), "Only this role."),
            Field::optional("frozen", Kind::OneOf(YES_OR_NO), "Only frozen ones, or only others."),
        ],
        ..plain(
            Tag::Operators,
            "users",
            "List users",
            "Newest first.",
            &[ok(Content::List("Account"), "A page of users.")],
        )
    },
};

pub(super) const USER: Route = Route {
    verb: Verb::Get,
    path: "/admin/users/{id}",
    access: READ_USERS,
    handler: handler!(operators::user),
    doc: Doc {
        errors: &[Code::NotFound],
        ..plain(
            Tag::Operators,
            "user",
            "Look at a user",
            "What an operator may know of them.",
            &[ok(Content::Json("Account"), "The user.")],
        )
    },
};

pub(super) const CHANGE_USER: Route = Route {
    verb: Verb::Patch,
    path: "/admin/users/{id}",
    access: FREEZE_USERS,
    handler: handler!(operators::change_user),
    doc: Doc {
        body: &[
            Field::optional(
                "role",
                Kind::OneOf(ROLES),
                "What the user may do; takes the permission 'administer'.",
            ),
            Field::optional("frozen", Kind::Flag, "Frozen users can look and log in, but move no money."),
        ],
        errors: &[Code::NotFound],
        example: r#"{"frozen": true}"#,
        ..plain(
            Tag::Operators,
            "changeUser",
            "Freeze a user, or change their role",
            "Counts from their next request on, on every node. Not for one's own account.",
            &[ok(Content::Json("Account"), "The user, as they are now.")],
        )
    },
};

pub(super) const END_SESSIONS: Route = Route {
    verb: Verb::Delete,
    path: "/admin/users/{id}/sessions",
    access: FREEZE_USERS,
    handler: handler!(operators::end_sessions),
    doc: Doc {
        errors: &[Code::NotFound],
        ..plain(
            Tag::Operators,
            "endUserSessions",
            "End all sessions of a user",
            "Their tokens and API keys end at once, on every node.",
            NO_CONTENT,
        )
    },
};

pub(super) const MAKE_RESET_LINK: Route = Route {
    verb: Verb::Post,
    path: "/admin/users/{id}/reset-link",
    access: FREEZE_USERS,
    handler: handler!(operators::make_reset_link),
    doc: Doc {
        errors: &[Code::NotFound],
        ..plain(
            Tag::Operators,
            "makeResetLink",
            "Let a user set a new password",
            "Gives a token that counts once, for 30 minutes, at POST /password/reset; an earlier one ends. It takes no \
             second factor away. For an operator's account it takes the permission 'administer'.",
            &[Success { status: 201, content: Content::Json("ResetLink"), about: "The token, shown once." }],
        )
    },
};

pub(super) const RESET_PASSWORD: Route = Route {
    verb: Verb::Post,
    path: "/password/reset",
    access: Access::Public,
    handler: handler!(operators::reset_password),
    doc: Doc {
        body: &[
            Field::required("token", Kind::Token, "As an operator gave it."),
            Field::required("new_password", Kind::Password, "By the rules of registering."),
        ],
        errors: &[Code::ResetLinkInvalid],
        example: r#"{"token": "fpr_…", "new_password": "eleven loud herons"}"#,
        ..plain(
            Tag::Accounts,
            "resetPassword",
            "Set a new password by a one-time token",
            "For who has forgotten theirs. Ends every session; logging in is as always, second factor included.",
            NO_CONTENT,
        )
    },
};

pub(super) const PAYMENTS: Route = Route {
    verb: Verb::Get,
    path: "/admin/payments",
    access: READ_USERS,
    handler: handler!(operators::payments),
    doc: Doc {
        query: searched![
            LIMIT,
            AFTER,
            Field::optional("user", Kind::UserId, "Only this user's, as they see them."),
            search::CURRENCY,
            search::STATUS,
        ],
        ..plain(
            Tag::Operators,
            "allPayments",
            "List everybody's payments",
            "Newest first; without those to which you are a party.",
            &[ok(Content::List("Payment"), "A page of payments.")],
        )
    },
};

pub(super) const PAYMENT: Route = Route {
    verb: Verb::Get,
    path: "/admin/payments/{id}",
    access: READ_USERS,
    handler: handler!(operators::payment),
    doc: Doc {
        errors: &[Code::NotFound],
        ..plain(
            Tag::Operators,
            "anyPayment",
            "Look at anybody's payment",
            "But for those to which you are a party.",
            &[ok(Content::Json("Payment"), "The payment.")],
        )
    },
};

pub(super) const EVENTS: Route = Route {
    verb: Verb::Get,
    path: "/admin/security-events",
    access: READ_AUDIT,
    handler: handler!(operators::events),
    doc: Doc {
        query: &[
            LIMIT,
            AFTER,
            Field::optional("event", Kind::OneOf(EventKind::NAMES), "Only this event."),
            Field::optional("severity", Kind::OneOf(SEVERITIES), "Only this severity."),
            Field::optional("user", Kind::UserId, "Only what concerns this user."),
            FROM,
            TO,
        ],
        ..plain(
            Tag::Operators,
            "securityEvents",
            "List security events",
            "Everybody's, newest first, in the words of the OWASP Logging Vocabulary.",
            &[ok(Content::List("SecurityEvent"), "A page of events.")],
        )
    },
};

pub(super) const AUDIT: Route = Route {
    verb: Verb::Get,
    path: "/admin/audit",
    access: READ_AUDIT,
    handler: handler!(operators::audit),
    doc: plain(
        Tag::Operators,
        "audit",
        "Look at the chain",
        "Where the hash chain over journal and security events ends. 'farthing verify' proves all of it.",
        &[ok(Content::Json("Audit"), "The chain's end.")],
    ),
};

pub(super) const STATISTICS: Route = Route {
    verb: Verb::Get,
    path: "/admin/stats",
    access: READ_USERS,
    handler: handler!(operators::statistics),
    doc: plain(
        Tag::Operators,
        "statistics",
        "Look at figures",
        "Users and sessions now, payments of the last 24 hours.",
        &[ok(Content::Json("Statistics"), "The figures.")],
    ),
};

const REVIEW: Access = Access::Needs(Permission::ReviewPayments);
const REASON: &[Field] = &[Field::required("note", Kind::Text(500), "Why, for whoever looks at it later.")];

pub(super) const REVIEWS: Route = Route {
    verb: Verb::Get,
    path: "/admin/reviews",
    access: REVIEW,
    handler: handler!(reviews::list),
    doc: Doc {
        query: &[LIMIT, AFTER],
        ..plain(
            Tag::Operators,
            "reviews",
            "List payments under review",
            "Payments that a risk rule holds until an operator has looked at them, the longest waiting first, each with the \
             rules that it hit. Your own are not listed.",
            &[ok(Content::List("Review"), "A page of what waits.")],
        )
    },
};

pub(super) const APPROVE: Route = Route {
    verb: Verb::Post,
    path: "/admin/reviews/{id}/approve",
    access: REVIEW,
    handler: handler!(reviews::approve),
    doc: Doc {
        body: REASON,
        idempotent: true,
        errors: &[Code::NotFound, Code::PaymentState, Code::AccountFrozen],
        example: r#"{"note": "Called the payer, who knows of it"}"#,
        ..plain(
            Tag::Operators,
            "approvePayment",
            "Let a payment through",
            "Its payee gets the money; of a payment with `capture: \"manual\"` it stays held, to be captured. Not for a party \
             to the payment.",
            &[ok(Content::Json("Payment"), "The payment as it stands now.")],
        )
    },
};

pub(super) const REJECT: Route = Route {
    verb: Verb::Post,
    path: "/admin/reviews/{id}/reject",
    access: REVIEW,
    handler: handler!(reviews::reject),
    doc: Doc {
        body: REASON,
        idempotent: true,
        errors: &[Code::NotFound, Code::PaymentState, Code::AccountFrozen],
        example: r#"{"note": "The payer knows nothing of it"}"#,
        ..plain(
            Tag::Operators,
            "rejectPayment",
            "Stop a payment under review",
            "The payer has the money back. Not for a party to the payment.",
            &[ok(Content::Json("Payment"), "The payment as it stands now.")],
        )
    },
};

pub(super) const RECONCILE: Route = Route {
    verb: Verb::Post,
    path: "/admin/reconciliations",
    access: Access::Needs(Permission::MoveCash),
    handler: handler!(reconciliations::make),
    doc: Doc {
        file: reconciliations::FILES,
        query: &[
            Field::required("from", Kind::Moment, "The period: from this time or date (UTC) on …"),
            Field::required("to", Kind::Moment, "… and before this time, or up to the end of this date."),
        ],
        ..plain(
            Tag::Operators,
            "reconcile",
            "Compare a bank's file with the ledger",
            "Send a statement of the bank as it is: CSV with the columns amount (above zero in, below out), currency, reference \
             and date, or camt.053. Its lines are matched with deposits and withdrawals by reference and amount. Nothing is \
             changed by it. Deposits of your own are not looked at.",
            &[ok(
                Content::Json("Reconciliation"),
                "What is the same, what differs, and what only one side has.",
            )],
        )
    },
};
