//! What must hold of the whole document: references, answers, examples.

use super::*;
use crate::books::bank;
use crate::http::extract::{Form, parse_start};
use crate::http::routes::ROUTES;

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get("$ref") {
                references.push(target.clone());
            }
            object.values().for_each(|value| collect_references(value, references));
        }
        Value::Array(array) => array.iter().for_each(|value| collect_references(value, references)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document(ROUTES);
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 20);
    for target in references {
        assert!(document.pointer(&target[1..]).is_some(), "{target}");
    }
}

#[test]
fn every_route_is_there_with_every_kind_of_answer() {
    let document = document(ROUTES);
    let mut operations = Vec::new();
    for route in ROUTES {
        let operation = &document["paths"][route.path][route.verb.name().to_lowercase()];
        let name = operation["operationId"].as_str().expect(route.path);
        assert!(!operations.contains(&name), "{name}");
        operations.push(name);
        assert!(operation["responses"].get("500").is_some(), "{name}");
        assert_eq!(
            operation["responses"].get("401").is_some(),
            route.access != Access::Public || !codes_401(route).is_empty()
        );
        assert!(route.doc.success.iter().all(|success| (200..400).contains(&success.status)), "{name}");
        assert!(!route.doc.success.is_empty(), "{name}");
    }
}

#[test]
fn headers_that_a_call_reads_are_parameters() {
    let document = document(ROUTES);
    for (verb, path, header) in
        [("post", "/payment", "Idempotency-Key"), ("get", "/events/stream", "Last-Event-ID")]
    {
        let parameters = document["paths"][path][verb]["parameters"].as_array().unwrap();
        let is_there = |one: &Value| one["in"] == "header" && one["name"] == header;
        assert!(parameters.iter().any(is_there), "{path}: {parameters:?}");
    }
}

/// What a body or an answer of this media type shows.
fn shown<'a>(document: &'a Value, media: &'a Value) -> Vec<&'a Value> {
    let several = media["examples"].as_object().into_iter().flatten();
    let several = several.map(|(_, one)| &followed(document, one)["value"]);
    media.get("example").into_iter().chain(several).collect()
}

fn followed<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    value["$ref"].as_str().map_or(value, |target| document.pointer(&target[1..]).expect(target))
}

/// Every body and every answer of every call: its name, its media type and what the document says of it.
fn contents(document: &Value) -> Vec<(String, &String, &Value)> {
    let mut all = Vec::new();
    for route in ROUTES {
        let operation = &document["paths"][route.path][route.verb.name().to_lowercase()];
        let answers = operation["responses"].as_object().unwrap().iter();
        let parts = answers.map(|(status, answer)| (status.as_str(), answer));
        for (part, value) in parts.chain([("body", &operation["requestBody"])]) {
            for (kind, media) in value["content"].as_object().into_iter().flatten() {
                all.push((format!("{} {} {part}", route.verb.name(), route.path), kind, media));
            }
        }
    }
    all
}

#[test]
fn every_body_and_every_answer_shows_an_example_that_its_schema_allows() {
    let document = document(ROUTES);
    let mut faults = Vec::new();
    for (name, kind, media) in contents(&document) {
        let shown = shown(&document, media);
        if shown.is_empty() {
            faults.push(format!("{name} {kind}: no example"));
        }
        for example in shown {
            if *example == json!({}) || *example == json!("") {
                faults.push(format!("{name} {kind}: an example that says nothing"));
            }
            let mut wrong = Vec::new();
            check(&document, &media["schema"], example, "", &mut wrong);
            faults.extend(wrong.into_iter().map(|fault| format!("{name} {kind}{fault}")));
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

/// The texts in a value, each with the name of the field that holds it.
fn texts<'a>(name: &'a str, value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::String(text) => found.push((name, text)),
        Value::Array(items) => items.iter().for_each(|item| texts(name, item, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| texts(name, value, found)),
        _ => {}
    }
}

#[test]
fn examples_show_what_calls_answer() {
    let document = document(ROUTES);
    for (name, kind, media) in contents(&document) {
        let mut found = Vec::new();
        for example in shown(&document, media) {
            texts("", example, &mut found);
        }
        for (field, text) in found {
            assert_ne!(text, "…", "{name} {kind} {field}");
        }
    }
    let answer = |verb: &str, path: &str, status: &str| {
        document["paths"][path][verb]["responses"][status]["content"]["application/json"]["example"].clone()
    };
    let paid = answer("post", "/payment", "201");
    assert_eq!(paid["from"]["id"], "usr_01h455vb4pex5vsknk084sn02q", "{paid}");
    assert_eq!((&paid["status"], &paid["amount"]), (&json!("succeeded"), &json!("12.50")));
    assert_eq!(paid["amount_refunded"], "0.00");
    let webhook = answer("post", "/webhooks", "201");
    assert_eq!(webhook["url"], "https://shop.example/farthing");
    assert_eq!(webhook["events"], json!(["payment.*"]));
    let delivery = answer("get", "/webhooks/{id}/deliveries/{delivery}", "200");
    assert_eq!((&delivery["status"], &delivery["attempts"][0]["status"]), (&json!("delivered"), &json!(200)));
    for path in ["/webhooks/{id}/test", "/sandbox/events"] {
        let told = answer("post", path, "202");
        assert_eq!(told, json!({"event": "evt_01h455vb4pex5vsknk084sn02q"}), "{path}");
    }
    let replayed = answer("post", "/webhooks/{id}/replay", "202");
    assert!(replayed["since"].is_string() && replayed["until"].is_string(), "{replayed}");
}

#[test]
fn files_of_a_bank_that_are_shown_can_be_read() {
    let document = document(ROUTES);
    let content = &document["paths"]["/admin/reconciliations"]["post"]["requestBody"]["content"];
    for (kind, media) in content.as_object().unwrap() {
        let text = media["example"].as_str().unwrap();
        let lines = if kind == "text/csv" { bank::read_csv(text) } else { bank::read_camt053(text) };
        assert_eq!(lines.unwrap()[0].amount_minor, 50_00, "{kind}");
    }
}

fn codes_401(route: &Route) -> Vec<Code> {
    codes(route).into_iter().filter(|code| code.entry().status == 401).collect()
}

#[test]
fn examples_are_bodies_that_the_fields_allow() {
    for route in ROUTES.iter().filter(|route| !route.doc.body.is_empty()) {
        let form = Form::read(route.doc.example.as_bytes(), route.doc.body).unwrap();
        for field in route.doc.body.iter().filter(|field| field.required) {
            assert!(form.has(field.name), "{} {}", route.path, field.name);
        }
        assert!(form.finish(Some(())).is_ok(), "{}", route.path);
    }
}

/// Adds to `faults` what a schema does not allow, as far as our schemas go: a word that is not known here is a fault, too.
fn check(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = followed(document, schema);
    let allows = |schema: &Value| {
        let mut wrong = Vec::new();
        check(document, schema, value, at, &mut wrong);
        wrong.is_empty()
    };
    for (word, rule) in schema.as_object().unwrap() {
        let list = || rule.as_array().unwrap().iter();
        let number = || rule.as_i64().unwrap();
        let size = || rule.as_u64().and_then(|bound| usize::try_from(bound).ok()).unwrap();
        let length = || value.as_str().map(|text| text.chars().count());
        let items = || value.as_array().map(Vec::len);
        let fields = || value.as_object().into_iter().flatten();
        let is_kept = match word.as_str() {
            "description" | "examples" | "default" | "title" => true,
            "type" => list_or_one(rule).iter().any(|kind| is_of_type(value, kind.as_str().unwrap())),
            "const" => value == rule,
            "enum" => list().any(|one| one == value),
            "anyOf" => list().any(allows),
            "oneOf" => list().filter(|one| allows(one)).count() == 1,
            "allOf" => list().all(allows),
            "required" => {
                !value.is_object() || list().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (name, value) in fields().filter(|(name, _)| rule.get(*name).is_some()) {
                    check(document, &rule[name], value, &format!("{at}/{name}"), faults);
                }
                true
            }
            "additionalProperties" => {
                fields().filter(|(name, _)| schema["properties"].get(*name).is_none()).all(|(name, value)| {
                    if rule.is_object() {
                        check(document, rule, value, &format!("{at}/{name}"), faults);
                    }
                    *rule != json!(false)
                })
            }
            "propertyNames" => {
                fields().for_each(|(name, _)| {
                    check(document, rule, &json!(name), &format!("{at}/{name}"), faults);
                });
                true
            }
            "items" => {
                for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, rule, item, &format!("{at}/{place}"), faults);
                }
                true
            }
            "minimum" => value.as_i64().is_none_or(|found| found >= number()),
            "maximum" => value.as_i64().is_none_or(|found| found <= number()),
            "exclusiveMinimum" => value.as_i64().is_none_or(|found| found > number()),
            "minLength" => length().is_none_or(|found| found >= size()),
            "maxLength" => length().is_none_or(|found| found <= size()),
            "minItems" => items().is_none_or(|found| found >= size()),
            "maxItems" => items().is_none_or(|found| found <= size()),
            "maxProperties" => fields().count() <= size(),
            "pattern" => value.as_str().is_none_or(|text| fits(rule.as_str().unwrap(), text)),
            "format" => value.as_str().is_none_or(|text| is_of_format(rule.as_str().unwrap(), text)),
            _ => false,
        };
        if !is_kept {
            faults.push(format!("{at}: {value} against {word} {rule}"));
        }
    }
}

fn list_or_one(rule: &Value) -> &[Value] {
    rule.as_array().map_or(std::slice::from_ref(rule), Vec::as_slice)
}

fn is_of_type(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

fn is_of_format(format: &str, text: &str) -> bool {
    match format {
        "password" => true,
        "email" => text.contains('@'),
        "date" => parse_start(text).is_some() && !text.contains('T'),
        "date-time" => parse_start(text).is_some() && text.contains('T'),
        "uuid" => uuid::Uuid::parse_str(text).is_ok(),
        "uri-reference" => url::Url::parse("http://x").unwrap().join(text).is_ok(),
        other => panic!("{other} is no format that is known here"),
    }
}

/// Whether a text fits one of the patterns that our schemas have.
fn fits(pattern: &str, text: &str) -> bool {
    const DIGITS: &str = "0123456789";
    let is_all = |text: &str, letters: &str| text.chars().all(|letter| letters.contains(letter));
    let is_amount = |text: &str| {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        [whole, part].iter().all(|digits| !digits.is_empty() && is_all(digits, DIGITS))
    };
    let is_canonical =
        |text: &str| is_amount(text) && (!text.starts_with('0') || text == "0" || text.starts_with("0."));
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match pattern {
        "^(0|[1-9][0-9]*)(\\.[0-9]+)?$" => is_canonical(text),
        "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?$" => is_canonical(unsigned),
        "^-?[0-9]+(\\.[0-9]+)?$" => is_amount(unsigned),
        "^[A-Z]{3}$" => text.len() == 3 && text.bytes().all(|letter| letter.is_ascii_uppercase()),
        "^[A-Za-z]{3}$" => text.len() == 3 && text.bytes().all(|letter| letter.is_ascii_alphabetic()),
        "^[0-9a-f]{64}$" => text.len() == 64 && is_all(text, "0123456789abcdef"),
        _ => {
            let prefix =
                pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix("[0-7][0-9a-hjkmnp-tv-z]{25}$"));
            let rest = text.strip_prefix(prefix.expect(pattern));
            rest.is_some_and(|rest| {
                rest.len() == 26
                    && is_all(&rest[..1], "01234567")
                    && is_all(rest, "0123456789abcdefghjkmnpqrstvwxyz")
            })
        }
    }
}
