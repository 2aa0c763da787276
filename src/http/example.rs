//! Examples of answers, made from their schemas, so that every call in the OpenAPI document shows one.
//!
//! What a schema shows in `examples` comes first; else its type, format and pattern say what fits, and the field's name
//! which of that is told.

use serde_json::{Map, Value, json};

use super::problem::{Code, Problem};

/// How deep a schema is followed; no named schema has itself in it.
const MAX_DEPTH: usize = 32;
const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const PAYMENT: &str = "pay_01h455vb4pex5vsknk084sn02q";

/// A problem of this code, with the members of its own.
pub fn of_problem(code: Code) -> Value {
    let problem = match code {
        Code::ValidationFailed => Problem::field("amount", "required", "is required"),
        Code::MethodNotAllowed => Problem::method_not_allowed("GET, HEAD"),
        Code::InsufficientFunds => Problem::new(code)
            .member("payment", PAYMENT)
            .member("available", "3.00")
            .member("currency", "USD"),
        Code::PaymentDeclined | Code::DuplicatePayment => Problem::new(code).member("payment", PAYMENT),
        Code::PaymentState => Problem::new(code).member("payment_status", "voided"),
        Code::RequestState => Problem::new(code).member("request_status", "paid"),
        Code::IdempotencyKeyReused => Problem::new(code).member("fields", json!(["amount"])),
        Code::WebhookLimit => Problem::new(code).member("most", 20),
        _ => Problem::new(code),
    };
    let mut value = problem.to_value();
    value["request_id"] = "req_01h455vb4pex5vsknk084sn02q".into();
    value
}

/// A value that the schema allows. `components` are the named schemas that it may refer to.
pub fn of(schema: &Value, components: &Map<String, Value>) -> Value {
    value("", schema, components, MAX_DEPTH)
}

fn value(name: &str, schema: &Value, components: &Map<String, Value>, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    if let Some(shown) = schema["examples"].as_array().and_then(|shown| shown.first()) {
        return shown.clone();
    }
    if let Some(target) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
        return components.get(target).map_or(Value::Null, |schema| value(name, schema, components, depth));
    }
    if let Some(first) = schema["enum"].as_array().and_then(|words| words.first()) {
        return first.clone();
    }
    if let Some(only) = schema.get("const") {
        return only.clone();
    }
    if let Some(first) = schema["anyOf"].as_array().and_then(|choices| choices.first()) {
        return value(name, first, components, depth);
    }
    match of_type(schema) {
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields.map(|(name, schema)| (name.clone(), value(name, schema, components, depth))).collect()
        }
        Some("array") => json!([value(name, &schema["items"], components, depth)]),
        Some("boolean") => json!(false),
        Some("integer") => json!(number(name, schema)),
        Some("string") => json!(text(name, schema)),
        _ => Value::Null,
    }
}

/// The type, or the first of several.
fn of_type(schema: &Value) -> Option<&str> {
    let several = || schema["type"].as_array()?.first()?.as_str();
    schema["type"].as_str().or_else(several)
}

fn number(name: &str, schema: &Value) -> i64 {
    match (name, schema["minimum"].as_i64()) {
        (_, Some(least)) => least.max(1),
        ("refresh_expires_in", None) => 2_592_000,
        ("elapsed_ms", None) => 40,
        _ => 900,
    }
}

fn text(name: &str, schema: &Value) -> String {
    if schema["format"] == "date-time" {
        return "2026-01-31T09:30:00.000Z".to_owned();
    }
    if schema["format"] == "email" {
        return "ann@example.com".to_owned();
    }
    if schema["format"] == "uuid" {
        return "018f2d6e-5b7c-7d31-9c55-3e0f6b0a4c1d".to_owned();
    }
    match schema["pattern"].as_str() {
        // An id: its prefix is the pattern's.
        Some(pattern) if pattern.contains("_[0-7]") => {
            let prefix: String = pattern.chars().filter(char::is_ascii_alphanumeric).take(3).collect();
            return format!("{prefix}_01h455vb4pex5vsknk084sn02q");
        }
        Some(pattern) if pattern.contains("a-f") => return HASH.to_owned(),
        Some(pattern) if pattern.contains("A-Z") => return "USD".to_owned(),
        Some(_) => return "12.50".to_owned(),
        None => {}
    }
    let known = match name {
        "access_token" => "fat_…",
        "refresh_token" => "frt_…",
        "token" => "fpr_…",
        "payment" => PAYMENT,
        "user" | "id" => "usr_01h455vb4pex5vsknk084sn02q",
        "ip" => "192.0.2.1",
        "balance_after" => "987.50",
        "name" => "Ann",
        "description" => "Lunch",
        "reference" => "R-7",
        "user_agent" => "curl/8.0",
        "url" => "http://127.0.0.1:8080/pay/plk_01h455vb4pex5vsknk084sn02q",
        "type" => "payment",
        "status" => "succeeded",
        "method" => "sim_ok",
        "reason" => "One was cold",
        "rule" => "new_payee",
        "date" => "2026-01-31",
        "scopes" => "own_account",
        "idempotency_key" => "wages-2026-01-ann",
        "body" => "ok",
        "next" => "AQAAAAAAAAAB",
        "secret" => "JBSWY3DPEHPK3PXP",
        "otpauth_url" => "otpauth://totp/Farthing:ann@example.com?secret=JBSWY3DPEHPK3PXP&issuer=Farthing",
        "recovery_codes" => "k7pd-2mxa-q4vn-w6hz",
        "key" => "LHDhK3oGRvkiefQnx7OOczTY5Tic/xZ6HcMOc/gmtoM=",
        "signature" => {
            "AHPsJm1PtK2/PRBKpxT58RAy/Yq22IKfxAtSyG9khdeSjMLr1GRvP+PzdL4R2QW/S+J1+obziJ2CqffcXkHdMg=="
        }
        "qr_svg" => "<svg …>",
        "rrule" => "FREQ=MONTHLY;BYMONTHDAY=1",
        _ => "…",
    };
    known.to_owned()
}
