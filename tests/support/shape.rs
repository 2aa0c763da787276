//! What holds for every answer, whatever was asked.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Response;

/// Traces of the inside that no answer may carry. Upper case for SQL, as the program writes it.
const INSIDES: [&str; 12] = [
    "SELECT ",
    "INSERT INTO",
    "UPDATE ",
    "DELETE FROM",
    "PRAGMA",
    "rusqlite",
    "sqlite",
    "panicked",
    "RUST_BACKTRACE",
    ".rs:",
    "ledger.db",
    "No such file",
];

/// Every answer carries a request id; every refusal is a problem document that names it; nothing leaks.
#[track_caller]
pub fn check_any_answer(response: &Response) {
    let request_id =
        response.header("request-id").unwrap_or_else(|| panic!("no Request-Id: {response}")).to_owned();
    assert_id(&request_id, "req");
    for name in ["server", "x-powered-by", "access-control-allow-origin"] {
        assert_eq!(response.header(name), None, "{name}: {response}");
    }
    if response.status >= 400 {
        check_problem(response, &request_id);
    }
}

/// RFC 9457 with the members of our own.
#[track_caller]
fn check_problem(response: &Response, request_id: &str) {
    let content_type = response.header("content-type").unwrap_or_default();
    assert_eq!(content_type, "application/problem+json", "{response}");
    let problem = response.json();
    let code = problem["code"].as_str().unwrap_or_else(|| panic!("no code: {response}"));
    assert!(is_word(code), "code: {response}");
    assert_eq!(problem["type"], format!("/problems/{code}"), "{response}");
    assert_eq!(problem["status"], response.status, "{response}");
    assert_eq!(problem["request_id"], request_id, "{response}");
    for member in ["title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {response}");
    }
    let text = response.text();
    for inside in INSIDES {
        assert!(!text.contains(inside), "{inside:?} shows the inside: {response}");
    }
    match response.status {
        401 => assert!(response.header("www-authenticate").is_some() || is_login(code), "{response}"),
        405 => assert!(response.header("allow").is_some(), "{response}"),
        429 => {
            let after = response.header("retry-after").and_then(|text| text.parse::<u64>().ok());
            assert!(after.is_some_and(|seconds| seconds > 0), "{response}");
            // Open streams are counted, not timed.
            let is_timed = code != "too_many_streams";
            assert_eq!(response.header("ratelimit").is_some(), is_timed, "{response}");
            assert_eq!(response.header("ratelimit-policy").is_some(), is_timed, "{response}");
        }
        _ => {}
    }
    if code == "validation_failed" {
        assert_eq!(response.status, 422, "{response}");
        assert!(!failing_fields(response).is_empty(), "{response}");
    }
}

/// Answers to a password, not to a token: what to send is in the body, and `WWW-Authenticate` has no scheme for it.
fn is_login(code: &str) -> bool {
    ["invalid_credentials", "otp_required", "otp_invalid"].contains(&code)
}

/// The fields that a validation names, each with a code and a message.
#[track_caller]
pub fn failing_fields(response: &Response) -> BTreeSet<String> {
    let problem = response.json();
    let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no errors: {response}"));
    errors
        .iter()
        .map(|error| {
            assert!(error["code"].as_str().is_some_and(is_word), "{response}");
            assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{response}");
            error["field"].as_str().unwrap_or_else(|| panic!("no field: {response}")).to_owned()
        })
        .collect()
}

/// The codes that a validation gives for one field.
#[track_caller]
pub fn codes_of(response: &Response, field: &str) -> BTreeSet<String> {
    let problem = response.json();
    let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no errors: {response}")).clone();
    errors
        .iter()
        .filter(|error| error["field"] == field)
        .map(|error| error["code"].as_str().unwrap().to_owned())
        .collect()
}

/// Insists that a body was refused for exactly these fields.
#[track_caller]
pub fn assert_fails(response: &Response, fields: &[&str]) {
    assert_eq!(response.status, 422, "{response}");
    assert_eq!(response.json()["code"], "validation_failed", "{response}");
    assert_eq!(
        failing_fields(response),
        fields.iter().map(|&field| field.to_owned()).collect(),
        "{response}"
    );
}

/// Insists on exactly these members.
#[track_caller]
pub fn assert_members(object: &Value, members: &[&str]) {
    let found: BTreeSet<&str> = object
        .as_object()
        .unwrap_or_else(|| panic!("not an object: {object}"))
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(found, members.iter().copied().collect(), "{object}");
}

/// Insists on a `TypeID`: the prefix, `_`, and 26 digits of Crockford's base32 that hold a `UUIDv7`.
#[track_caller]
pub fn assert_id(id: &str, prefix: &str) {
    let digits = id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    let digits = digits.unwrap_or_else(|| panic!("not a {prefix}_ id: {id}"));
    assert_eq!(digits.len(), 26, "{id}");
    let value = |digit: u8| {
        let value = b"0123456789abcdefghjkmnpqrstvwxyz".iter().position(|known| *known == digit);
        u128::try_from(value.unwrap_or_else(|| panic!("no digit of an id: {id}"))).unwrap()
    };
    assert!(digits.as_bytes()[0] <= b'7', "{id}");
    let uuid = digits.bytes().fold(0_u128, |uuid, digit| uuid << 5 | value(digit));
    assert_eq!((uuid >> 76 & 15, uuid >> 62 & 3), (7, 2), "not a UUIDv7: {id}");
}

/// Insists on RFC 3339 in UTC with milliseconds: `2026-01-31T23:59:59.999Z`.
#[track_caller]
pub fn assert_time(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("not a time: {value}"));
    let pattern: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(pattern, "0000-00-00T00:00:00.000Z", "{text}");
}

/// Two answers that must not tell an outsider apart what happened: all but the request id is equal.
#[track_caller]
pub fn assert_same_answer(one: &Response, other: &Response) {
    assert_eq!(one.status, other.status, "{one}\n{other}");
    assert_eq!(one.without_request_id(), other.without_request_id(), "{one}\n{other}");
    let names = |response: &Response| -> BTreeSet<String> {
        response.headers.iter().map(|(name, _)| name.clone()).filter(|name| name != "date").collect()
    };
    assert_eq!(names(one), names(other), "{one}\n{other}");
}

fn is_word(code: &str) -> bool {
    !code.is_empty()
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
}
