//! The shapes of answers and fields, as JSON Schema (2020-12), for the OpenAPI document.

use serde_json::{Map, Value, json};

use super::extract::MAX_METADATA_PAIRS;
use super::spec::{Field, Kind};
use crate::ledger::{EventKind, MovementType, PaymentStatus, Role, Severity};

/// A field's schema.
pub fn of_kind(kind: Kind) -> Value {
    match kind {
        Kind::Text(max) => json!({"type": ["string", "null"], "maxLength": max}),
        Kind::Email => json!({"type": "string", "format": "email", "maxLength": 254}),
        Kind::Password => json!({"type": "string", "format": "password", "minLength": 8, "maxLength": 128}),
        Kind::Secret => json!({"type": "string", "format": "password"}),
        Kind::Amount => json!({"oneOf": [
            {"type": "string", "pattern": "^(0|[1-9][0-9]*)(\\.[0-9]+)?$"},
            {"type": "number", "exclusiveMinimum": 0},
        ]}),
        Kind::Currency => json!({"type": "string", "pattern": "^[A-Za-z]{3}$"}),
        Kind::Recipient => json!({"type": ["string", "null"]}),
        Kind::Metadata => json!({
            "type": ["object", "null"], "maxProperties": MAX_METADATA_PAIRS,
            "propertyNames": {"minLength": 1, "maxLength": 40},
            "additionalProperties": {"type": "string", "maxLength": 500},
        }),
        Kind::OneOf(words) => json!({"type": "string", "enum": words}),
        Kind::Limit => json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
        Kind::Token | Kind::After => json!({"type": "string"}),
        Kind::Moment => json!({"anyOf": [
            {"type": "string", "format": "date-time"}, {"type": "string", "format": "date"},
        ]}),
    }
}

/// The schema of a body with these fields.
pub fn of_body(fields: &[Field]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| {
            let mut schema = of_kind(field.kind);
            if let Some(object) = schema.as_object_mut() {
                object.insert("description".into(), field.about.into());
            }
            (field.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let Some(object) = schema.as_object_mut().filter(|_| !required.is_empty()) {
        object.insert("required".into(), required.into());
    }
    schema
}

/// Every named schema.
pub fn components() -> Map<String, Value> {
    let named = [
        ("User", user()),
        ("Tokens", tokens()),
        ("Session", session()),
        ("SecurityEvent", security_event()),
        ("Party", party()),
        ("Payment", payment()),
        ("Refund", refund()),
        ("Transaction", transaction()),
        ("Wallet", wallet()),
        ("Wallets", json!({"type": "array", "items": {"$ref": "#/components/schemas/Wallet"}})),
        ("Statement", statement()),
        ("Topup", topup()),
        ("Health", health()),
        ("FieldError", field_error()),
        ("Problem", problem()),
    ];
    named.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// The schema of a page of these.
pub fn list_of(name: &str) -> Value {
    object(&[
        ("data", json!({"type": "array", "items": reference(name)}), "The rows, newest first."),
        ("has_more", json!({"type": "boolean"}), "Whether there are more rows."),
        ("next", json!({"type": ["string", "null"]}), "The cursor to send as 'after' for the next page."),
    ])
}

/// A reference to a named schema.
pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An object all of whose fields are always there.
fn object(fields: &[(&str, Value, &str)]) -> Value {
    let mut properties = Map::new();
    for (name, schema, about) in fields {
        let mut schema = schema.clone();
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".into(), (*about).into());
        }
        properties.insert((*name).to_owned(), schema);
    }
    let required: Vec<&str> = fields.iter().map(|(name, _, _)| *name).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn id(prefix: &str) -> Value {
    json!({"type": "string", "pattern": format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$")})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn text_or_null() -> Value {
    json!({"type": ["string", "null"]})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn amount() -> Value {
    json!({"type": "string", "pattern": "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?$"})
}

fn currency() -> Value {
    json!({"type": "string", "pattern": "^[A-Z]{3}$"})
}

fn one_of(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

fn user() -> Value {
    object(&[
        ("id", id("usr"), "The user's id."),
        ("email", json!({"type": "string", "format": "email"}), "As it was registered."),
        ("name", text_or_null(), "What others are shown."),
        ("role", one_of(&Role::ALL.map(Role::name)), "What the user may do."),
        ("created_at", time(), "When the account was made."),
    ])
}

fn tokens() -> Value {
    object(&[
        ("access_token", text(), "Send it as 'Authorization: Bearer TOKEN'."),
        ("token_type", one_of(&["Bearer"]), "How to send the token."),
        ("expires_in", json!({"type": "integer"}), "Seconds until the access token ends."),
        ("refresh_token", text(), "Good for one new pair, at POST /token/refresh."),
        ("refresh_expires_in", json!({"type": "integer"}), "Seconds until the refresh token ends."),
        ("user", reference("User"), "Who logged in."),
    ])
}

fn session() -> Value {
    object(&[
        ("id", id("ses"), "The session's id."),
        ("current", json!({"type": "boolean"}), "Whether this request belongs to it."),
        ("ip", text_or_null(), "The address of the login."),
        ("user_agent", text_or_null(), "The client of the login."),
        ("created_at", time(), "When the user logged in."),
        ("last_seen_at", time(), "When it was last used, to about a minute."),
        ("expires_at", time(), "When it ends unless it is refreshed."),
    ])
}

fn security_event() -> Value {
    let events: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
    object(&[
        ("id", id("sec"), "The event's id."),
        ("at", time(), "When it happened."),
        ("event", one_of(&events), "What happened, in the words of the OWASP Logging Vocabulary."),
        ("severity", one_of(&Severity::ALL.map(Severity::name)), "How much it matters."),
        ("user", text_or_null(), "Whom it concerns."),
        ("ip", text_or_null(), "The client's address."),
        ("user_agent", text_or_null(), "What the client calls itself."),
        ("request_id", id("req"), "The request that caused it."),
        ("detail", json!({"type": "object"}), "What explains it."),
    ])
}

fn party() -> Value {
    object(&[
        ("id", text(), "A user id, or 'house', 'sandbox' or 'cash'."),
        ("name", text_or_null(), "The name at the time of the payment."),
    ])
}

fn payment() -> Value {
    object(&[
        ("id", id("pay"), "The payment's id."),
        ("status", one_of(&PaymentStatus::ALL.map(PaymentStatus::name)), "How it stands."),
        ("amount", amount(), "In major units, with the currency's own number of decimals."),
        ("amount_captured", amount(), "What the payee got."),
        ("amount_refunded", amount(), "What went back."),
        ("currency", currency(), "ISO 4217."),
        ("from", reference("Party"), "Who pays."),
        ("to", reference("Party"), "Who is paid."),
        ("description", text_or_null(), "For people."),
        ("reference", text_or_null(), "For the books."),
        (
            "metadata",
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            "The payer's own pairs.",
        ),
        ("decline", json!({"anyOf": [decline(), {"type": "null"}]}), "Why nothing moved; null if it did."),
        ("created_at", time(), "When it was made."),
    ])
}

fn decline() -> Value {
    object(&[
        ("code", one_of(&["insufficient_funds", "payment_declined"]), "The reason."),
        (
            "available",
            json!({"anyOf": [amount(), {"type": "null"}]}),
            "What the payer could have spent; null if it was not that.",
        ),
    ])
}

fn refund() -> Value {
    object(&[
        ("id", id("rfd"), "The refund's id."),
        ("payment", id("pay"), "The payment that it is of."),
        ("transaction", id("txn"), "The movement that it is."),
        ("status", one_of(&["succeeded"]), "How it went."),
        ("amount", amount(), "What went back, in major units."),
        ("currency", currency(), "ISO 4217."),
        ("reason", text_or_null(), "Why."),
        ("payment_status", one_of(&["refunded", "partially_refunded"]), "How the payment stood after it."),
        ("amount_refunded", amount(), "All that had gone back of the payment after it."),
        ("created_at", time(), "When it was made."),
    ])
}

fn transaction() -> Value {
    object(&[
        ("id", id("txn"), "The movement's id."),
        ("type", one_of(&MovementType::ALL.map(MovementType::name)), "What it is."),
        ("direction", one_of(&["in", "out"]), "Which way the money went, seen from you."),
        ("amount", amount(), "In major units."),
        ("currency", currency(), "ISO 4217."),
        ("counterparty", reference("Party"), "The other side."),
        ("payment", json!({"type": ["string", "null"]}), "The payment that it belongs to."),
        ("status", one_of(&["succeeded", "declined"]), "Whether money moved."),
        ("description", text_or_null(), "For people."),
        ("reference", text_or_null(), "For the books."),
        (
            "balance_after",
            json!({"type": ["string", "null"]}),
            "Your balance right after it; null if declined.",
        ),
        ("created_at", time(), "When it happened."),
    ])
}

fn wallet() -> Value {
    object(&[
        ("currency", currency(), "ISO 4217."),
        ("balance", amount(), "All of it."),
        ("available", amount(), "What can be spent."),
        ("held", amount(), "What is set aside for authorised payments."),
    ])
}

fn statement() -> Value {
    object(&[
        ("currency", currency(), "ISO 4217."),
        ("from", json!({"type": ["string", "null"], "format": "date-time"}), "As asked."),
        (
            "to",
            json!({"type": ["string", "null"], "format": "date-time"}),
            "As asked; the end of a date is the next one's beginning.",
        ),
        ("created_at", time(), "When it was made."),
        ("opening_balance", amount(), "What the wallet held before."),
        ("closing_balance", amount(), "What it holds after the last movement."),
        ("movements", json!({"type": "array", "items": reference("Transaction")}), "Oldest first."),
        ("rows", json!({"type": "integer", "minimum": 0}), "How many movements there are."),
        ("total_in", amount(), "What came in."),
        ("total_out", amount(), "What went out."),
    ])
}

fn topup() -> Value {
    object(&[
        ("id", id("txn"), "The movement's id."),
        ("status", one_of(&["succeeded"]), "How it went."),
        ("amount", amount(), "In major units."),
        ("currency", currency(), "ISO 4217."),
        ("method", text(), "The simulated method."),
        ("balance_after", amount(), "The balance right after it."),
        ("created_at", time(), "When it happened."),
    ])
}

fn health() -> Value {
    object(&[("status", one_of(&["ok"]), "Always ok; anything else is a problem.")])
}

fn field_error() -> Value {
    object(&[
        ("field", text(), "The field's or parameter's name."),
        ("code", text(), "The stable code of what is wrong."),
        ("message", text(), "What is wrong, for people."),
    ])
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457 problem details. Codes may add members of their own.",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "description": "A page that explains the cause and the cure."},
            "title": {"type": "string", "description": "The same for every occurrence."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": {"type": "string", "description": "What happened this time."},
            "code": {"type": "string", "description": "Stable; decide by this."},
            "request_id": id("req"),
            "errors": {"type": "array", "items": reference("FieldError"), "description": "Of validation_failed: every wrong field."},
            "fields": {"type": "array", "items": {"type": "string"}, "description": "Of idempotency_key_reused: what differs."},
            "payment": {"type": "string", "description": "Of insufficient_funds: the declined payment, or the payment that was to be refunded; of duplicate_payment: the first one."},
            "payment_status": {"type": "string", "description": "Of payment_state: how the payment stands."},
            "available": {"type": "string", "description": "Of insufficient_funds: what could have been spent."},
            "currency": {"type": "string", "description": "Of insufficient_funds: the currency of 'available'."},
            "reason": {"type": "string", "description": "Of topup_failed: why."},
        },
    })
}
