//! What webhooks, their deliveries and events look like.

use serde_json::{Map, Value, json};

use super::{id, like, object, one_of, reference, text, text_or_null, time, time_or_null};
use crate::http::events::example;
use crate::ledger::{DeliveryState, EventType};

/// An example of a place in the feed.
const PLACE: &str = "AgAAAAAAAAABAAAAAAAAAAI";

pub(super) fn webhook() -> Value {
    object(&fields())
}

fn fields() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("id", id("whk"), "The webhook's id."),
        ("url", like(text(), "https://shop.example/farthing"), "Where events are sent."),
        (
            "events",
            like(json!({"type": "array", "items": text()}), ["payment.*"].as_slice()),
            "What it selects.",
        ),
        ("description", like(text_or_null(), "Orders"), "Your note."),
        ("scope", one_of(&["own", "ledger"]), "What concerns you, or everything."),
        ("signature", one_of(&["v1", "v1a"]), "How deliveries are signed."),
        ("public_key", like(text_or_null(), Value::Null), "Of v1a: what signatures are verified with."),
        ("status", one_of(&["enabled", "disabled"]), "Whether anything is sent."),
        (
            "disabled_reason",
            like(json!({"enum": ["by_owner", "gone", "failing", null]}), Value::Null),
            "by_owner; gone: it answered 410; failing: it took nothing for three days.",
        ),
        ("old_secret_until", like(time_or_null(), Value::Null), "Until when the secret before signs, too."),
        ("created_at", time(), "When it was made."),
        ("updated_at", time(), "When it last changed."),
    ]
}

pub(super) fn webhook_with_secret() -> Value {
    let mut fields = fields();
    fields.push((
        "secret",
        like(text(), "whsec_…"),
        "whsec_…, or of v1a the public key, whpk_…: shown this once.",
    ));
    object(&fields)
}

pub(super) fn delivery() -> Value {
    let attempt = object(&[
        ("at", time(), "When it was recorded."),
        ("status", status(&["integer", "null"]), "The answer's status."),
        ("failure", like(text_or_null(), Value::Null), "Why there was no answer."),
        ("elapsed_ms", json!({"type": "integer"}), "How long it took."),
    ]);
    let response = json!({
        "type": ["object", "null"],
        "properties": {"status": status(&["integer"]), "body": {"type": "string"}},
    });
    let next = like(time_or_null(), Value::Null);
    object(&[
        ("id", id("dlv"), "The delivery's id."),
        ("webhook", id("whk"), "Where it goes."),
        ("event", id("evt"), "The event, which is the header webhook-id, too."),
        ("type", one_of(EventType::NAMES), "What the event tells."),
        ("status", like(one_of(DeliveryState::NAMES), DeliveryState::Delivered.name()), "How it stands."),
        ("attempts", json!({"type": "array", "items": attempt}), "Every attempt."),
        ("response", response, "The beginning of the last answer."),
        ("next_attempt_at", next, "When it is tried next; null while it waits for an earlier one."),
        ("created_at", time(), "When it was made."),
        ("updated_at", time(), "When it last changed."),
    ])
}

fn status(types: &[&str]) -> Value {
    like(json!({"type": types, "minimum": 100, "maximum": 999}), 200)
}

pub(super) fn event() -> Value {
    object(&[
        ("id", id("evt"), "The event's id."),
        ("type", one_of(EventType::NAMES), "What it tells."),
        ("timestamp", time(), "When it happened."),
        (
            "data",
            like(json!({"type": "object"}), example(EventType::PaymentSucceeded)),
            "The thing as it was then; docs/events.md has an example of each.",
        ),
    ])
}

pub(super) fn events() -> Value {
    object(&[
        ("data", json!({"type": "array", "items": reference("Event")}), "The events, oldest first."),
        ("has_more", json!({"type": "boolean"}), "Whether there are more right now."),
        ("next", like(text(), PLACE), "The place to send as 'after' to go on; always there."),
    ])
}

/// Of a stream, as OpenAPI 3.2 has it in `itemSchema`: the stream as a whole has no end.
pub(super) fn streamed_event() -> Value {
    let event = crate::http::example::of(&event(), &Map::new()).to_string();
    object(&[
        ("id", like(text(), PLACE), "What the next stream goes on from, as Last-Event-ID."),
        ("event", like(text(), EventType::PaymentSucceeded.name()), "The event's type."),
        ("data", like(text(), event), "The event, as GET /events gives it."),
    ])
}
