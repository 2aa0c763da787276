//! Bodies that say more than they may: fields that nobody asked for, fields that come twice, JSON without end.

use farthing::http::routes::ROUTES;
use serde_json::{Value, json};

use crate::support::Request;
use crate::{Finding, Target, check};

/// What an attacker would like to set.
fn wishes() -> Vec<(&'static str, Value)> {
    vec![
        ("role", json!("admin")),
        ("roles", json!(["admin"])),
        ("is_admin", json!(true)),
        ("admin", json!(true)),
        ("id", json!("usr_00000000000000000000000001")),
        ("user", json!("usr_00000000000000000000000001")),
        ("user_id", json!("usr_00000000000000000000000001")),
        ("from", json!("usr_00000000000000000000000001")),
        ("owner", json!("usr_00000000000000000000000001")),
        ("balance", json!("1000000.00")),
        ("available", json!("1000000.00")),
        ("amount_minor", json!(1)),
        ("currency_scale", json!(0)),
        ("status", json!("succeeded")),
        ("frozen", json!(false)),
        ("created_at", json!("2000-01-01T00:00:00Z")),
        ("permissions", json!(["administer"])),
        ("password_hash", json!("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAA")),
        ("__proto__", json!({"role": "admin"})),
        ("constructor", json!({"prototype": {"role": "admin"}})),
        ("$where", json!("1==1")),
        ("_method", json!("DELETE")),
    ]
}

/// Every route that takes a body, with one that works.
fn bodies() -> impl Iterator<Item = (&'static str, String, Value)> {
    let routes = ROUTES.iter().filter(|route| route.verb.has_body() && !route.doc.body.is_empty());
    routes.map(|route| {
        let mut body: Value = serde_json::from_str(route.doc.example).unwrap();
        if body.get("email").is_some() && route.path == "/register" {
            body["email"] = json!("somebody.else@example.org");
        }
        (route.verb.name(), route.path.replace(['{', '}'], ""), body)
    })
}

fn mass_assignment(target: &Target) -> Vec<Finding> {
    let mut found = Vec::new();
    for (verb, path, body) in bodies() {
        for (field, value) in wishes() {
            if body.get(field).is_some() || is_field_of(&path, field) {
                continue;
            }
            let mut body = body.clone();
            body[field] = value;
            let Some(answer) = target.ask(&Request::new(verb, &path).json(&body)) else { continue };
            if answer.status < 400 {
                found.push(format!("{verb} {path} takes {field}: {answer}"));
            }
        }
    }
    let me = target.ask(&Request::get("/me")).map(|answer| answer.text()).unwrap_or_default();
    if me.contains("\"role\":\"admin\"") {
        found.push(format!("somebody became an admin: {me}"));
    }
    found
}

fn is_field_of(path: &str, name: &str) -> bool {
    let same = |route: &&farthing::http::spec::Route| route.path.replace(['{', '}'], "") == path;
    ROUTES.iter().filter(same).any(|route| route.doc.body.iter().any(|field| field.name == name))
}

#[test]
fn no_field_that_nobody_asked_for_is_taken() {
    check(mass_assignment);
}

fn pollution(target: &Target) -> Vec<Finding> {
    let mut found = Vec::new();
    for (verb, path, body) in bodies() {
        let text = body.to_string();
        for (name, value) in body.as_object().unwrap() {
            for other in [value.to_string(), "null".to_owned(), "\"x\"".to_owned()] {
                // Before and behind, and once with a letter escaped.
                let inside = &text[1..text.len() - 1];
                let escaped = format!("\\u{:04x}{}", u32::from(name.chars().next().unwrap()), &name[1..]);
                for twice in [
                    format!("{{\"{name}\":{other},{inside}}}"),
                    format!("{{{inside},\"{name}\":{other}}}"),
                    format!("{{{inside},\"{escaped}\":{other}}}"),
                ] {
                    let answer = target.ask(&Request::new(verb, &path).json_text(&twice));
                    if let Some(answer) = answer.filter(|answer| answer.status < 400) {
                        found.push(format!("{verb} {path} takes {twice}: {answer}"));
                    }
                }
            }
        }
    }
    for route in ROUTES.iter().filter(|route| !route.path.contains('{')) {
        for field in route.doc.query {
            let query = format!("{}?{1}=1&{1}=2", route.path, field.name);
            let answer = target.ask(&Request::new(route.verb.name(), &query));
            if let Some(answer) = answer.filter(|answer| answer.status < 400) {
                found.push(format!("{query} is taken: {answer}"));
            }
        }
    }
    found
}

#[test]
fn nothing_that_comes_twice_is_taken() {
    check(pollution);
}

fn depth(target: &Target) -> Vec<Finding> {
    let mut found = Vec::new();
    let nested =
        |open: &str, close: &str, times: usize| format!("{}{}", open.repeat(times), close.repeat(times));
    let shapes = [
        nested("[", "]", 30_000),
        nested("{\"a\":", "}", 9_000),
        format!("{{\"amount\":{}}}", nested("[", "]", 25_000)),
        format!("{{\"metadata\":{}}}", nested("{\"a\":", "}", 8_000)),
        "[".repeat(60_000),
        format!("{{\"amount\":1{}}}", "0".repeat(60_000)),
        format!("{{\"amount\":\"1{}\"}}", "0".repeat(60_000)),
        format!("{{\"amount\":1e{}}}", "9".repeat(1_000)),
        format!("{{{}}}", (0..5_000).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(",")),
        format!("{{\"description\":\"{}\"}}", "\\u0041".repeat(10_000)),
        " ".repeat(5_000_000),
    ];
    for (verb, path, _) in bodies() {
        for shape in &shapes {
            let shown = &shape[..shape.len().min(30)];
            match target.ask(&Request::new(verb, &path).json_text(shape)) {
                None => found.push(format!("{verb} {path}: no answer to {shown}… of {} bytes", shape.len())),
                Some(answer) if answer.status >= 500 || answer.status < 400 => {
                    found.push(format!("{verb} {path}: {shown}…: {answer}"));
                }
                Some(_) => {}
            }
        }
    }
    found
}

#[test]
fn no_json_is_too_deep_or_too_long_to_be_refused() {
    check(depth);
}
