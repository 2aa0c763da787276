//! What is done with paths, headers and methods to get where one may not go.

use crate::support::{Client, Request, Response};
use crate::{Finding, Target, check};

/// Paths that mean `/me`, or a file, to somebody who tidies them up.
const PATHS: [&str; 34] = [
    "//me",
    "/./me",
    "/me/",
    "/me/.",
    "/me//",
    "/me;x=y",
    "/me%00",
    "/me%20",
    "/me%0a",
    "/me%09",
    "/ME",
    "/Me",
    "/m%65",
    "/%6d%65",
    "/%2fme",
    "/docs/../me",
    "/docs/..;/me",
    "/docs/%2e%2e/me",
    "/docs/%2e%2e%2fme",
    "/docs/..%2fme",
    "/docs/..%5cme",
    "/docs/.%2e/me",
    "/docs\\..\\me",
    "/healthz/../me",
    "/problems/..%2f..%2fme",
    "/public/../me",
    "/../me",
    "/..%2f..%2f..%2fetc/passwd",
    "/assets/../../etc/passwd",
    "/assets/..%252f..%252fetc/passwd",
    "/assets/%c0%ae%c0%ae/etc/passwd",
    "/.git/HEAD",
    "/.env",
    "/farthing-data/farthing.key",
];

fn paths(target: &Target) -> Vec<Finding> {
    let mut found = Vec::new();
    for path in PATHS {
        for answer in
            [target.ask(&Request::get(path)), target.ask_as_nobody(&Request::get(path))].into_iter().flatten()
        {
            if answer.status < 300 {
                found.push(format!("{path} leads somewhere: {answer}"));
            }
        }
    }
    found
}

#[test]
fn no_path_is_tidied_up() {
    check(paths);
}

/// Ends of lines as somebody may write them.
const LINE_ENDS: [&str; 7] = ["%0d%0a", "%0a", "%0d", "%E5%98%8A%E5%98%8D", "\\r\\n", "%250d%250a", "%u000a"];

fn headers(target: &Target) -> Vec<Finding> {
    let mut found = Vec::new();
    for end in LINE_ENDS {
        let evil = format!("{end}X-Evil:%201{end}");
        for path in [
            format!("/transactions?limit=1&currency=USD{evil}"),
            format!("/transactions?limit=1&type=payment{evil}"),
            format!("/payments?limit=1{evil}"),
            format!("/payments?limit=1&after=x{evil}"),
            format!("/problems/not_found{evil}"),
            format!("/payment/x{evil}"),
            format!("/nowhere{evil}"),
        ] {
            found.extend(written(&path, target.ask(&Request::get(&path))));
        }
    }
    for name in [
        "Host",
        "Origin",
        "Referer",
        "User-Agent",
        "X-Forwarded-Host",
        "X-Request-Id",
        "Request-Id",
        "Idempotency-Key",
    ] {
        let request = Request::get("/me").header(name, "x%0d%0aX-Evil: 1");
        found.extend(written(name, target.ask(&request)));
        let request = Request::get("/me").header(name, "evil.example");
        let answer = target.ask(&request);
        if let Some(answer) =
            answer.filter(|answer| answer.headers.iter().any(|(_, value)| value.contains("evil.example")))
        {
            found.push(format!("{name} comes back: {answer}"));
        }
    }
    found
}

/// Whether an answer has a header that was sent as a text.
fn written(what: &str, answer: Option<Response>) -> Option<Finding> {
    let answer = answer?;
    let ends_a_line = |(_, value): &(String, String)| value.contains(['\r', '\n']);
    let is_written = answer.header("x-evil").is_some() || answer.headers.iter().any(ends_a_line);
    is_written.then(|| format!("{what} writes a header: {answer}"))
}

#[test]
fn no_text_becomes_a_header() {
    check(headers);
}

fn methods(target: &Target) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"] {
        for method in ["PATCH", "DELETE", "PUT"] {
            for request in [
                Request::post("/me", &serde_json::json!({"name": "overridden"})).header(name, method),
                Request::new("POST", &format!("/me?{name}={method}")).json_text("{\"name\":\"overridden\"}"),
                Request::get("/me").header(name, method).json_text("{\"name\":\"overridden\"}"),
            ] {
                let changed = target.ask(&request).is_some_and(|answer| answer.text().contains("overridden"));
                if changed {
                    found.push(format!("{name}: {method} is obeyed"));
                }
            }
        }
    }
    for name in ["X-Original-URL", "X-Rewrite-URL"] {
        let request = Request::get("/healthz").header(name, "/me");
        if target.ask(&request).is_some_and(|answer| answer.text().contains("email")) {
            found.push(format!("{name} is obeyed"));
        }
    }
    for method in ["TRACE", "TRACK", "DEBUG", "CONNECT"] {
        let request = Request::new(method, "/me").header("X-Secret", "a5c1e8");
        let answer = Client::new(target.address).send(&request);
        if answer.is_ok_and(|answer| answer.status < 400 || answer.text().contains("a5c1e8")) {
            found.push(format!("{method} is answered"));
        }
    }
    found
}

#[test]
fn no_header_and_no_odd_method_is_obeyed() {
    check(methods);
}
