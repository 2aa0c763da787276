//! What the OpenAPI document says about webhooks and events, and the fields that their calls take.

use crate::http::problem::Code;
use crate::http::spec::{Content, Doc, Field, Kind, Success, Tag};
use crate::ledger::{DeliveryState, EventType};

const SCOPES: &[&str] = &["own", "ledger"];
const SCOPE: Field =
    Field::optional("scope", Kind::OneOf(SCOPES), "own (yours), or ledger (everything; for admins).");
const EVENTS: Field = Field::optional(
    "events",
    Kind::Words(64),
    "Types of events, or beginnings such as payment.*; all of them (*) if left out.",
);
const DESCRIPTION: Field = Field::optional("description", Kind::Text(200), "A note for yourself.");
const LIMIT: Field = Field::optional("limit", Kind::Limit, "How many rows, 1 to 100.");
const AFTER: Field = Field::optional("after", Kind::After, "The 'next' of the page before.");
const PLACE: Field =
    Field::optional("after", Kind::Place, "The 'next' of the page before, or an event's 'cursor'.");

const fn success(status: u16, content: Content, about: &'static str) -> Success {
    Success { status, content, about }
}

const BASE: Doc = Doc {
    tag: Tag::Webhooks,
    operation: "",
    summary: "",
    description: "",
    body: &[],
    file: &[],
    query: &[],
    idempotent: false,
    success: &[],
    errors: &[],
    example: "",
};

pub const CREATE: Doc = Doc {
    operation: "createWebhook",
    summary: "Make a webhook",
    description: "Events that concern you are sent to the URL, signed after Standard Webhooks. The answer holds the secret \
                  (or, of v1a, the public key) to verify them with, this once. An admin makes one of the house with \
                  scope ledger: it gets everything. The URL must lead to a public address.",
    body: &[
        Field::required("url", Kind::Text(2_048), "Where events are sent: https, port 443 or 80."),
        EVENTS,
        DESCRIPTION,
        Field::optional("signature", Kind::OneOf(&["v1", "v1a"]), "v1 (HMAC-SHA256) or v1a (Ed25519)."),
        SCOPE,
    ],
    success: &[success(201, Content::Json("WebhookWithSecret"), "The webhook and its secret.")],
    errors: &[Code::AccountFrozen, Code::WebhookLimit, Code::PermissionDenied],
    example: r#"{"url": "https://shop.example/farthing", "events": ["payment.*"]}"#,
    ..BASE
};

pub const LIST: Doc = Doc {
    operation: "listWebhooks",
    summary: "Your webhooks",
    description: "Newest first.",
    query: &[LIMIT, AFTER, SCOPE],
    success: &[success(200, Content::List("Webhook"), "The webhooks.")],
    errors: &[Code::PermissionDenied],
    ..BASE
};

pub const GET: Doc = Doc {
    operation: "getWebhook",
    summary: "One webhook",
    description: "Without its secret, which is shown when it is made.",
    success: &[success(200, Content::Json("Webhook"), "The webhook.")],
    errors: &[Code::NotFound],
    ..BASE
};

pub const UPDATE: Doc = Doc {
    operation: "updateWebhook",
    summary: "Change a webhook",
    description: "What is left out stays. A webhook that was switched off is switched on again with enabled: true; what \
                  happened in between is sent with POST /webhooks/{id}/replay.",
    body: &[
        Field::optional("url", Kind::Text(2_048), "Where events are sent."),
        EVENTS,
        DESCRIPTION,
        Field::optional("enabled", Kind::Flag, "Whether anything is sent."),
    ],
    success: &[success(200, Content::Json("Webhook"), "The webhook as it is now.")],
    errors: &[Code::NotFound],
    example: r#"{"events": ["payment.*", "topup.*"]}"#,
    ..BASE
};

pub const DELETE: Doc = Doc {
    operation: "deleteWebhook",
    summary: "Take a webhook away",
    description: "Nothing more is sent to it.",
    success: &[success(204, Content::Nothing, "Done.")],
    errors: &[Code::NotFound],
    ..BASE
};

pub const ROTATE: Doc = Doc {
    operation: "rotateWebhookSecret",
    summary: "Give a webhook another secret",
    description: "Until keep_old_seconds are over, deliveries carry two signatures, so that no receiver misses one.",
    body: &[Field::optional(
        "keep_old_seconds",
        Kind::Number(0, 604_800),
        "How long the old secret signs, too: 0 to 604800, 86400 if left out.",
    )],
    example: r#"{"keep_old_seconds": 86400}"#,
    success: &[success(200, Content::Json("WebhookWithSecret"), "The webhook and its new secret.")],
    errors: &[Code::NotFound],
    ..BASE
};

pub const TEST: Doc = Doc {
    operation: "testWebhook",
    summary: "Send a test",
    description: "A webhook.test event, to this webhook alone, whatever it selects.",
    success: &[success(202, Content::Json("EventSent"), "The event's id.")],
    errors: &[Code::NotFound],
    ..BASE
};

pub const REPLAY: Doc = Doc {
    operation: "replayWebhook",
    summary: "Send again from a time on",
    description: "Everything that the webhook selects, in order, whether it was taken before or not; the ids are the same.",
    body: &[
        Field::required("since", Kind::Moment, "The first moment, RFC 3339."),
        Field::optional("until", Kind::Moment, "The first moment after the last; now if left out."),
    ],
    success: &[success(202, Content::Json("Replay"), "It has begun.")],
    errors: &[Code::NotFound],
    example: r#"{"since": "2026-01-31T09:30:00Z"}"#,
    ..BASE
};

pub const DELIVERIES: Doc = Doc {
    operation: "listDeliveries",
    summary: "A webhook's deliveries",
    description: "Newest first. What came to its end is kept for 30 days.",
    query: &[
        LIMIT,
        AFTER,
        Field::optional("status", Kind::OneOf(DeliveryState::NAMES), "Only these."),
        Field::optional("type", Kind::OneOf(EventType::NAMES), "Only events of this type."),
    ],
    success: &[success(200, Content::List("Delivery"), "The deliveries.")],
    errors: &[Code::NotFound],
    ..BASE
};

pub const DELIVERY: Doc = Doc {
    operation: "getDelivery",
    summary: "One delivery",
    description: "With every attempt and the beginning of the last answer.",
    success: &[success(200, Content::Json("Delivery"), "The delivery.")],
    errors: &[Code::NotFound],
    ..BASE
};

pub const REDELIVER: Doc = Doc {
    operation: "redeliver",
    summary: "Send again",
    description: "A new delivery of the same event, with the same webhook-id, at once.",
    success: &[success(202, Content::Json("Delivery"), "The new delivery.")],
    errors: &[Code::NotFound, Code::WebhookDisabled],
    ..BASE
};

pub const FEED: Doc = Doc {
    operation: "listEvents",
    summary: "Events, oldest first",
    description: "What webhooks are sent, to be fetched: everything that concerns you, or with scope ledger, for admins, \
                  everything. Go on with 'next', which is always there, and miss nothing.",
    query: &[
        LIMIT,
        PLACE,
        Field::optional("since", Kind::Moment, "Begin at this time; 'after' comes before it."),
        SCOPE,
    ],
    success: &[success(200, Content::Json("Events"), "The events.")],
    errors: &[Code::PermissionDenied],
    ..BASE
};

pub const STREAM: Doc = Doc {
    operation: "streamEvents",
    summary: "Events as they happen",
    description: "Server-sent events: each with its cursor as 'id', its type as 'event' and itself as 'data'; first a cursor \
                  alone. Begins now, or after 'after', or after the header Last-Event-ID, which a browser sends by itself. Ends \
                  with the session.",
    query: &[
        PLACE,
        Field::optional("since", Kind::Moment, "Begin at this time; 'after' comes before it."),
        SCOPE,
        Field::optional(
            "include",
            Kind::OneOf(&["resent"]),
            "With 'resent' what is sent again to your webhooks from now on, or after the cursor, comes here, too.",
        ),
    ],
    success: &[success(200, Content::EventStream, "The stream.")],
    errors: &[Code::PermissionDenied, Code::TooManyStreams],
    ..BASE
};

pub const TRIGGER: Doc = Doc {
    operation: "triggerEvent",
    summary: "Tell an event that did not happen",
    description: "For trying a receiver, in a sandbox alone: your webhooks get the type's example from docs/events.md. No \
                  money moves.",
    body: &[Field::required("type", Kind::OneOf(EventType::NAMES), "The event's type.")],
    success: &[success(202, Content::Json("EventSent"), "The event's id.")],
    errors: &[Code::SandboxOnly],
    example: r#"{"type": "payment.succeeded"}"#,
    ..BASE
};
