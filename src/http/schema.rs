//! The shapes of answers and fields, as JSON Schema (2020-12), for the OpenAPI document.

mod webhooks;

use serde_json::{Map, Value, json};

use super::extract::MAX_METADATA_PAIRS;
use super::spec::{Field, Kind};
use crate::ledger::{
    EventKind, Missed, MovementType, PaymentStatus, RequestStatus, Role, Schedule, Severity,
};

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
        Kind::UserId => id("usr"),
        Kind::Flag => json!({"type": ["boolean", "null"]}),
        Kind::Metadata => json!({
            "type": ["object", "null"], "maxProperties": MAX_METADATA_PAIRS,
            "propertyNames": {"minLength": 1, "maxLength": 40},
            "additionalProperties": {"type": "string", "maxLength": 500},
        }),
        Kind::OneOf(words) => json!({"type": "string", "enum": words}),
        Kind::Number(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Limit => json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
        Kind::Words(most) => json!({
            "type": ["array", "null"], "items": {"type": "string", "maxLength": 100}, "maxItems": most,
        }),
        Kind::Items(fields, most) => json!({
            "type": "array", "items": of_body(fields), "minItems": 1, "maxItems": most,
        }),
        Kind::Document | Kind::Token | Kind::After | Kind::Place => json!({"type": "string"}),
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
            if !field.required {
                allow_null(&mut schema);
            }
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

/// What may be left out may be null.
fn allow_null(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    match object.get_mut("type") {
        Some(Value::Array(types)) if types.contains(&"null".into()) => {}
        Some(Value::Array(types)) => types.push("null".into()),
        Some(one) => *one = json!([one.clone(), "null"]),
        None => {}
    }
    for list in ["enum", "anyOf", "oneOf"] {
        if let Some(Value::Array(items)) = object.get_mut(list) {
            items.push(if list == "enum" { Value::Null } else { json!({"type": "null"}) });
        }
    }
}

/// Every named schema.
pub fn components() -> Map<String, Value> {
    let named = [
        ("User", user()),
        ("Tokens", tokens()),
        ("Account", account()),
        ("FactorOffer", factor_offer()),
        ("RecoveryCodes", recovery_codes()),
        ("ApiKey", api_key(false)),
        ("NewApiKey", api_key(true)),
        ("ResetLink", reset_link()),
        ("Audit", audit()),
        ("Statistics", statistics()),
        ("Session", session()),
        ("SecurityEvent", security_event()),
        ("Party", party()),
        ("Payment", payment()),
        ("Refund", refund()),
        ("PaymentResults", payment_results()),
        ("Reconciliation", reconciliation()),
        ("Review", review()),
        ("Cash", cash()),
        ("Receipt", receipt()),
        ("Checkpoint", checkpoint()),
        ("Transaction", transaction()),
        ("Wallet", wallet()),
        ("Wallets", json!({"type": "array", "items": {"$ref": "#/components/schemas/Wallet"}})),
        ("Statement", statement()),
        ("Schedule", schedule()),
        ("SandboxClock", object(&[("now", time(), "What the clock shows now.")])),
        ("PaymentRequest", payment_request(false)),
        ("PaymentRequestWithCode", payment_request(true)),
        ("Topup", topup()),
        ("Health", health()),
        ("Webhook", webhooks::webhook()),
        ("WebhookWithSecret", webhooks::webhook_with_secret()),
        ("Delivery", webhooks::delivery()),
        ("Event", webhooks::event()),
        ("Events", webhooks::events()),
        ("EventSent", object(&[("event", id("evt"), "The event's id.")])),
        ("Replay", object(&[("since", time(), "From when on."), ("until", time(), "And before when.")])),
        ("StreamedEvent", webhooks::streamed_event()),
        ("OpenApi", open_api()),
        ("FieldError", field_error()),
        ("Problem", problem()),
    ];
    named.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// The schema of a page of these.
pub fn list_of(name: &str) -> Value {
    object(&[
        ("data", json!({"type": "array", "items": reference(name)}), "The rows, newest first."),
        ("has_more", like(json!({"type": "boolean"}), true), "Whether there are more rows."),
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

/// The same, and what an example of it shows.
fn like(mut schema: Value, example: impl Into<Value>) -> Value {
    schema["examples"] = json!([example.into()]);
    schema
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

fn account() -> Value {
    object(&[
        ("id", id("usr"), "The user's id."),
        ("email", json!({"type": "string", "format": "email"}), "As it was registered."),
        ("name", text_or_null(), "What others are shown."),
        ("role", one_of(&Role::ALL.map(Role::name)), "What the user may do."),
        ("frozen", json!({"type": "boolean"}), "Whether they can move no money."),
        ("second_factor", json!({"type": "boolean"}), "Whether they log in with a second factor."),
        ("created_at", time(), "When the account was made."),
    ])
}

fn factor_offer() -> Value {
    object(&[
        ("secret", text(), "To be typed into an authenticator app."),
        ("otpauth_url", text(), "The same, for an app to open."),
        ("qr_svg", text_or_null(), "The same, for an app to look at."),
    ])
}

fn recovery_codes() -> Value {
    let codes = json!({"type": "array", "items": {"type": "string"}});
    object(&[("recovery_codes", codes, "Each is as good as a code, once. They are shown this once.")])
}

fn api_key(is_new: bool) -> Value {
    let mut fields = vec![
        ("id", id("key"), "The key's id."),
        ("name", like(text(), "shop"), "What you call it."),
        ("scopes", json!({"type": "array", "items": {"type": "string"}}), "What it may be used for."),
    ];
    if is_new {
        fields.push((
            "key",
            like(text(), "fak_…"),
            "Send it as 'Authorization: Bearer KEY'. It is shown this once.",
        ));
    }
    fields.extend([
        ("created_at", time(), "When it was made."),
        ("last_used_at", time_or_null(), "To about a minute."),
        ("expires_at", time_or_null(), "When it ends, if it does."),
    ]);
    object(&fields)
}

fn reset_link() -> Value {
    object(&[
        ("token", text(), "For POST /password/reset, once."),
        ("expires_in", json!({"type": "integer"}), "Seconds until it ends."),
    ])
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn audit() -> Value {
    object(&[
        ("blocks", count(), "How many blocks the chain has."),
        ("transactions", count(), "How many transactions they hold."),
        ("security_events", count(), "How many security events they hold."),
        ("head", hash(), "The hash of the last block."),
        ("at", time_or_null(), "The time of the last block."),
    ])
}

fn statistics() -> Value {
    let users = object(&[
        ("total", count(), "All of them."),
        ("customers", count(), "Those who pay and are paid."),
        ("operators", count(), "Those who work for the operator."),
        ("frozen", count(), "Those who can move no money."),
    ]);
    let payments = object(&[
        ("currency", currency(), "ISO 4217."),
        ("succeeded", count(), "How many moved money."),
        ("volume", amount(), "How much that was."),
        ("declined", count(), "How many did not."),
    ]);
    object(&[
        ("users", users, "How many users there are."),
        ("sessions", count(), "How many sessions and API keys count."),
        ("payments_last_day", json!({"type": "array", "items": payments}), "By currency."),
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
        ("amount_refunded", like(amount(), "0.00"), "What went back."),
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
        ("decline", like(or_null(&decline()), Value::Null), "Why nothing moved; null if it did."),
        ("created_at", time(), "When it was made."),
    ])
}

fn receipt() -> Value {
    let side = || object(&[("id", text(), "Who it is."), ("name", text_or_null(), "The name at that time.")]);
    let statement = object(&[
        ("sequence", json!({"type": "integer", "minimum": 1}), "The row's place in the journal."),
        ("transaction", id("txn"), "The row's id as a transaction."),
        ("type", text(), "What it is."),
        ("payment", text_or_null(), "The payment that it is or is about."),
        ("status", text(), "What became of it, or where it left the payment."),
        ("amount", amount(), "In major units."),
        ("currency", currency(), "ISO 4217."),
        ("from", side(), "Who gives."),
        ("to", side(), "Who gets."),
        ("description", text(), "For people; empty if there is none."),
        ("reference", text(), "For the books; empty if there is none."),
        ("metadata", like(text(), ""), "A JSON object as text; empty if there is none."),
        ("method", like(text_or_null(), Value::Null), "The simulated method of a top-up."),
        ("decline", like(text_or_null(), Value::Null), "Why nothing moved; null if it did."),
        ("created_at", time(), "When it was written."),
    ]);
    let path = json!({"type": "array", "items": hash()});
    let row = object(&[
        ("statement", statement, "What the journal says."),
        ("path", path, "The hashes beside its way to the root, from the bottom up."),
    ]);
    object(&[
        ("version", json!({"const": 1}), "The version of this form."),
        ("payment", id("pay"), "The payment."),
        ("rows", json!({"type": "array", "minItems": 1, "items": row}), "The journal's rows about it."),
        ("checkpoint", reference("Checkpoint"), "What signs them."),
    ])
}

fn checkpoint() -> Value {
    object(&[
        ("version", json!({"const": 1}), "The version of this form."),
        ("ledger", json!({"type": "string", "format": "uuid"}), "Which ledger."),
        ("epoch", count(), "Which of its lives: one more with each restore."),
        ("transactions", count(), "Rows of the journal, the leaves of the tree."),
        ("root", hash(), "The root of the Merkle tree."),
        ("events", count(), "Security events."),
        ("blocks", count(), "Blocks of the hash chain."),
        ("head", hash(), "The hash of the last block."),
        ("at", time(), "When the last block was written."),
        ("key", text(), "The public key that signed."),
        ("signature", text(), "Ed25519, in base64."),
    ])
}

fn hash() -> Value {
    json!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
}

/// What may be null in an answer.
fn or_null(schema: &Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn payment_results() -> Value {
    let result = object(&[
        ("index", like(count(), 0), "Its place in the request, from 0 on."),
        ("idempotency_key", json!({"type": "string"}), "Its key."),
        (
            "status",
            like(json!({"type": "integer", "minimum": 200, "maximum": 599}), 201),
            "What it would have been answered with alone.",
        ),
        ("replayed", json!({"type": "boolean"}), "Whether this is an earlier answer, given again."),
        ("payment", or_null(&reference("Payment")), "The payment; null if there is none."),
        (
            "error",
            like(json!({"type": ["object", "null"]}), Value::Null),
            "The problem without its request_id; null if there is none.",
        ),
    ]);
    object(&[("results", json!({"type": "array", "items": result}), "One for each payment, in their order.")])
}

fn reconciliation() -> Value {
    let list = |of: Value| json!({"type": "array", "items": of});
    let signed = || json!({"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"});
    let line = || {
        object(&[
            ("line", count(), "The line of a CSV file, or the number of the entry."),
            ("date", text_or_null(), "As the file writes it."),
            ("amount", signed(), "Above zero what came in, below what went out."),
            ("currency", currency(), "ISO 4217."),
            ("reference", text_or_null(), "What it is matched by."),
        ])
    };
    let booking = || {
        object(&[
            ("transaction", id("txn"), "The deposit or withdrawal."),
            ("amount", signed(), "Above zero what came in, below what went out."),
            ("currency", currency(), "ISO 4217."),
            ("reference", text_or_null(), "For the books."),
        ])
    };
    let pair = || object(&[("bank", line(), "The bank's side."), ("ledger", booking(), "Ours.")]);
    let counts =
        ["lines", "matched", "differing", "missing", "extra"].map(|name| (name, count(), "How many."));
    object(&[
        ("counts", object(&counts), "How many of each."),
        ("matched", list(pair()), "The same reference and amount."),
        ("differing", list(pair()), "The same reference and another amount."),
        ("missing", list(line()), "Only the bank has these."),
        ("extra", list(booking()), "Only the ledger has these, within the period."),
    ])
}

fn decline() -> Value {
    object(&[
        ("code", one_of(&["insufficient_funds", "payment_declined"]), "The reason."),
        (
            "available",
            json!({"anyOf": [amount(), {"type": "null"}]}),
            "Of insufficient_funds: what the payer could have spent.",
        ),
    ])
}

fn review() -> Value {
    let reason = object(&[
        ("rule", text(), "The rule, by its name in the settings."),
        (
            "figure",
            like(text(), "1200.00"),
            "What it counted: a number, or an amount in the payment's currency.",
        ),
        ("limit", like(text(), "1000.00"), "What that was above."),
    ]);
    object(&[
        ("payment", reference("Payment"), "The payment."),
        ("reasons", json!({"type": "array", "items": reason}), "The rules that hold it."),
        ("expires_at", time(), "When the payer has the money back if nobody looks at it."),
    ])
}

fn cash() -> Value {
    object(&[
        ("id", id("txn"), "The movement's id, also while it waits."),
        ("type", one_of(&["deposit", "withdrawal"]), "In or out."),
        ("status", one_of(&["succeeded", "pending"]), "Whether it moved, or waits for a second operator."),
        ("user", reference("Party"), "Whose wallet."),
        ("amount", amount(), "In major units."),
        ("currency", currency(), "ISO 4217."),
        ("reference", text(), "For the books."),
        ("created_at", time(), "When it was asked for."),
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
        ("available", or_null(&amount()), "What can be spent; null of a past time."),
        ("held", or_null(&amount()), "What is set aside for authorised payments; null of a past time."),
    ])
}

fn payment_request(has_code: bool) -> Value {
    let statuses = RequestStatus::ALL.map(RequestStatus::name);
    let mut fields = vec![
        ("id", id("plk"), "The request's id. Who knows it may see and pay the request."),
        ("status", one_of(&statuses), "How it stands."),
        ("amount", amount(), "In major units."),
        ("currency", currency(), "ISO 4217."),
        ("description", text_or_null(), "What for."),
        ("to", reference("Party"), "Who asks."),
        (
            "payment",
            like(text_or_null(), Value::Null),
            "The payment, for its two sides; null until it is paid.",
        ),
        ("url", text(), "The page to pay it at."),
        ("created_at", time(), "When it was made."),
        ("expires_at", time_or_null(), "From when on it cannot be paid; null for ever."),
        ("ended_at", like(time_or_null(), Value::Null), "When it was paid or taken back."),
    ];
    if has_code {
        fields.push(("qr_svg", text_or_null(), "The page's address as a QR code, an SVG image."));
    }
    object(&fields)
}

fn time_or_null() -> Value {
    json!({"type": ["string", "null"], "format": "date-time"})
}

fn schedule() -> Value {
    let last = object(&[
        ("due_at", time(), "For which time it was."),
        ("at", time(), "When it ran."),
        ("outcome", one_of(&["paid", "declined", "refused", "skipped"]), "What became of it."),
        ("payment", text_or_null(), "The payment, also a declined one."),
        ("reason", like(text_or_null(), Value::Null), "Why nothing was tried."),
    ]);
    let missed = Missed::ALL.map(Missed::name);
    object(&[
        ("id", id("sch"), "The schedule's id."),
        ("status", one_of(&Schedule::STATUSES), "How it stands."),
        ("amount", amount(), "In major units."),
        ("currency", currency(), "ISO 4217."),
        ("to", reference("Party"), "Who is paid."),
        ("description", text_or_null(), "What its payments say."),
        ("reference", text_or_null(), "Likewise, for the books."),
        ("at", time(), "The first time."),
        ("rrule", text_or_null(), "The rule, if it runs more than once."),
        ("missed", one_of(&missed), "What is done about missed runs."),
        ("next_at", time_or_null(), "When it runs next; null if it does not."),
        ("runs", count(), "How often it ran."),
        ("last", or_null(&last), "What became of the last run."),
        ("created_at", time(), "When it was made."),
    ])
}

fn statement() -> Value {
    object(&[
        ("currency", currency(), "ISO 4217."),
        ("from", time_or_null(), "As asked."),
        ("to", time_or_null(), "As asked; the end of a date is the next one's beginning."),
        ("created_at", time(), "When it was made."),
        ("opening_balance", amount(), "What the wallet held before."),
        ("closing_balance", amount(), "What it holds after the last movement."),
        ("movements", json!({"type": "array", "items": reference("Transaction")}), "Oldest first."),
        ("rows", count(), "How many movements there are."),
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

fn open_api() -> Value {
    let shown = json!({"openapi": "3.1.0", "info": {"title": "Farthing", "version": "0.1.0"}, "paths": {}});
    like(json!({"type": "object", "required": ["openapi", "info", "paths"]}), shown)
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
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."},
            "detail": {"type": "string", "description": "What happened this time."},
            "code": {"type": "string", "description": "Stable; decide by this."},
            "request_id": id("req"),
            "errors": {"type": "array", "items": reference("FieldError"), "description": "Of validation_failed: every wrong field."},
            "fields": {"type": "array", "items": {"type": "string"}, "description": "Of idempotency_key_reused: what differs."},
            "payment": {"type": "string", "description": "Of insufficient_funds and payment_declined: the declined payment, or the payment that was to be refunded; of duplicate_payment: the first one."},
            "payment_status": {"type": "string", "description": "Of payment_state: how the payment stands."},
            "transaction": {"type": "string", "description": "Of insufficient_funds: the declined withdrawal."},
            "available": {"type": "string", "description": "Of insufficient_funds: what could have been spent."},
            "currency": {"type": "string", "description": "Of insufficient_funds: the currency of 'available'."},
            "request_status": {"type": "string", "description": "Of request_state: how the payment request stands."},
            "reason": {"type": "string", "description": "Of topup_failed: why."},
            "most": {"type": "integer", "description": "Of webhook_limit: how many there may be."},
        },
    })
}
