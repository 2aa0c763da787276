//! What an operator and a reader ask: health, metrics, the documents.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Request, Server};

/// The codes that the API's own description names, and what causes them is in the other files.
const CODES: [&str; 19] = [
    "malformed_json",
    "validation_failed",
    "not_found",
    "token_missing",
    "token_invalid",
    "token_expired",
    "token_reused",
    "permission_denied",
    "account_frozen",
    "rate_limited",
    "email_taken",
    "invalid_credentials",
    "recipient_not_found",
    "insufficient_funds",
    "idempotency_key_invalid",
    "idempotency_key_reused",
    "duplicate_payment",
    "topup_failed",
    "sandbox_only",
];

#[test]
fn a_server_that_runs_is_healthy_and_ready() {
    let server = Server::start();
    for path in ["/healthz", "/readyz"] {
        server.client().get(path).expect(200);
    }
}

#[test]
fn the_start_tells_what_one_needs_to_begin() {
    let server = Server::start();
    let said = format!("{}{}", server.stdout(), server.log());
    for part in [&server.address().to_string(), "sandbox", env!("CARGO_PKG_VERSION"), "curl", "admin create"]
    {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
}

#[test]
fn switched_off_limits_are_warned_of() {
    let server = Server::start();
    let said = format!("{}{}", server.stdout(), server.log()).to_lowercase();
    assert!(said.contains("rate_limits") || said.contains("rate limits"), "{said}");
}

#[test]
fn the_metrics_are_prometheus() {
    let server = Server::start();
    let mut ada = server.user("ada");
    ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
    ada.pay(&json!({"amount": "10000", "currency": "USD"})).expect(402);
    ada.client.get("/nowhere").expect(404);
    let text = ada.client.get("/metrics").expect(200).text();
    for part in ["farthing_", "process_", "# HELP", "# TYPE", "/payment"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    for secret in [&ada.token, &ada.id, &ada.email, "/nowhere"] {
        assert!(!text.contains(secret), "{secret} is in:\n{text}");
    }
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        println!(
            "SKIPPED: promtool is not installed, so the metrics were not checked against its conventions"
        );
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{text}");
}

#[test]
fn the_description_is_complete() {
    let server = Server::start();
    let mut client = server.client();
    let document = client.get("/openapi.json").expect(200).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
        })
        .collect();
    for call in [
        "POST /register",
        "POST /login",
        "POST /token/refresh",
        "POST /logout",
        "GET /me",
        "PATCH /me",
        "POST /me/password",
        "GET /me/activity",
        "GET /sessions",
        "DELETE /sessions/{id}",
        "GET /wallets",
        "POST /topup",
        "POST /payment",
        "GET /payments",
        "GET /payment/{id}",
        "GET /transactions",
        "GET /transactions/{id}",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /openapi.json",
        "GET /docs",
    ] {
        assert!(described.contains(call), "{call} is not described: {described:?}");
    }
    let text = document.to_string();
    for code in CODES {
        assert!(text.contains(code), "{code} is not described");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            assert!(
                call["summary"].as_str().is_some_and(|text| !text.is_empty()),
                "{method} {path} has no summary"
            );
            assert!(
                call["responses"].as_object().is_some_and(|answers| !answers.is_empty()),
                "{method} {path}"
            );
        }
    }
}

#[test]
fn the_docs_page_needs_nothing_from_elsewhere() {
    let server = Server::start();
    let mut client = server.client();
    let response = client.get("/docs").expect(200);
    assert!(response.header("content-type").unwrap().starts_with("text/html"), "{response}");
    let policy =
        response.header("content-security-policy").unwrap_or_else(|| panic!("no policy: {response}"));
    assert!(policy.contains("default-src 'none'") || policy.contains("default-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe-eval") && !policy.contains("http"), "{policy}");
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{response}");
    let page = response.text();
    for path in ["/register", "/login", "/payment", "/transactions", "curl"] {
        assert!(page.contains(path), "{path} is not on the page");
    }
    for attribute in ["src=\"http", "src='http", "href=\"//", "src=\"//", "@import", "url(http"] {
        assert!(!page.contains(attribute), "{attribute} loads from elsewhere");
    }
    for asset in assets(&page) {
        client.get(&asset).expect(200);
    }
}

/// What the page loads: every `src`, and the `href` of every `<link>`.
fn assets(page: &str) -> Vec<String> {
    let sources = page.split("src=\"").skip(1);
    let links =
        page.split("<link ").skip(1).filter_map(|rest| rest.split('>').next()?.split("href=\"").nth(1));
    sources
        .chain(links)
        .filter_map(|rest| rest.split('"').next())
        .filter(|target| target.starts_with('/'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_problem_has_a_page_with_its_cause_and_cure() {
    let server = Server::start();
    let mut client = server.client();
    let document = client.get("/openapi.json").expect(200).text();
    // Every code that the description mentions as a type, and those that must be there.
    let mentioned = document
        .split("/problems/")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>());
    let codes: BTreeSet<String> =
        mentioned.filter(|code| !code.is_empty()).chain(CODES.iter().map(|&code| code.to_owned())).collect();
    for code in codes {
        let response = client.get(&format!("/problems/{code}")).expect(200);
        assert!(response.header("content-type").unwrap().starts_with("text/html"), "{response}");
        assert!(response.text().contains(&code), "{response}");
        assert!(response.body.len() > 200, "it explains nothing: {response}");
    }
    client.get("/problems/no_such_code").problem(404, "not_found");
}

#[test]
fn the_front_page_says_what_runs_here() {
    let server = Server::start();
    let front = server.client().get("/").expect(303);
    assert_eq!(front.header("location"), Some("/console/"), "{front}");
    let response = server.client().get("/start").expect(200);
    assert!(response.text().contains("Farthing") && response.text().contains("/docs"), "{response}");
}

#[test]
fn nothing_that_is_asked_makes_a_page_of_anothers_text() {
    let server = Server::start();
    let mut client = server.client();
    for path in
        ["/problems/<script>alert(1)</script>", "/docs?<script>alert(1)</script>", "/start?x=<script>"]
    {
        let Ok(response) = client.send(&Request::get(path)) else {
            client.disconnect();
            continue;
        };
        assert!(!response.text().contains("<script>alert"), "{response}");
    }
}
