//! Examples of answers, made from their schemas, so that every call in the OpenAPI document shows one.

use serde_json::{Map, Value, json};

/// How deep a schema is followed.
const MAX_DEPTH: usize = 8;

/// A value that the schema allows. `components` are the named schemas that it may refer to.
pub fn of(schema: &Value, components: &Map<String, Value>) -> Value {
    value("", schema, components, MAX_DEPTH)
}

fn value(name: &str, schema: &Value, components: &Map<String, Value>, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    if let Some(target) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
        return components.get(target).map_or(Value::Null, |schema| value(name, schema, components, depth));
    }
    if let Some(first) = schema["enum"].as_array().and_then(|words| words.first()) {
        return first.clone();
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
        Some("integer") => schema["minimum"].as_i64().map_or(json!(900), |least| json!(least)),
        Some("string") => json!(text(name, schema)),
        _ => Value::Null,
    }
}

/// The type, or the first of several.
fn of_type(schema: &Value) -> Option<&str> {
    let several = || schema["type"].as_array()?.first()?.as_str();
    schema["type"].as_str().or_else(several)
}

fn text(name: &str, schema: &Value) -> String {
    if schema["format"] == "date-time" {
        return "2026-01-31T09:30:00.000Z".to_owned();
    }
    if schema["format"] == "email" {
        return "ann@example.com".to_owned();
    }
    match schema["pattern"].as_str() {
        // An id: its prefix is the pattern's.
        Some(pattern) if pattern.contains("_[0-7]") => {
            let prefix: String = pattern.chars().filter(char::is_ascii_alphanumeric).take(3).collect();
            return format!("{prefix}_01h455vb4pex5vsknk084sn02q");
        }
        Some(pattern) if pattern.contains("A-Z") => return "USD".to_owned(),
        Some(_) => return "12.50".to_owned(),
        None => {}
    }
    let known = match name {
        "access_token" => "fat_…",
        "refresh_token" => "frt_…",
        "payment" => "pay_01h455vb4pex5vsknk084sn02q",
        "user" | "id" => "usr_01h455vb4pex5vsknk084sn02q",
        "ip" => "192.0.2.1",
        "balance_after" => "987.50",
        "name" => "Ann",
        "description" => "Lunch",
        "reference" => "R-7",
        "user_agent" => "curl/8.0",
        "url" => "http://127.0.0.1:8080/pay/plk_01h455vb4pex5vsknk084sn02q",
        "qr_svg" => "<svg …>",
        "rrule" => "FREQ=MONTHLY;BYMONTHDAY=1",
        _ => "…",
    };
    known.to_owned()
}
