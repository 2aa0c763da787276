//! SQL in every field of every body, every parameter of every query and every id in a path, from the route table.
//!
//! A hole shows itself by a fault of the server, by words of a database in an answer, by an answer that hangs on whether a
//! condition is true, or by one that takes as long as it was told to.

use std::time::{Duration, Instant};

use farthing::http::routes::ROUTES;
use farthing::http::spec::Route;
use serde_json::{Value, json};

use crate::support::{Request, Response};
use crate::{Finding, Target, check};

const PAYLOADS: [&str; 22] = [
    "'",
    "\"",
    "`",
    "\\",
    "';",
    "' --",
    "') --",
    "' OR 1=1 --",
    "' OR '1'='1",
    "\" OR \"1\"=\"1",
    "1 OR 1=1",
    "1; SELECT 1",
    "'; DROP TABLE users; --",
    "' UNION SELECT NULL --",
    "' UNION SELECT NULL, NULL, NULL, NULL --",
    "' UNION ALL SELECT sql FROM sqlite_master --",
    "' AND extractvalue(1, concat(0x7e, version())) --",
    "'||(SELECT version())||'",
    "$1",
    "?1",
    "%27%20OR%201=1",
    "' AND randomblob(500000000) IS NULL --",
];

/// A condition that holds and one that does not, of the same length.
const CONDITIONS: [(&str, &str); 3] =
    [("x' OR '1'='1", "x' OR '1'='2"), ("x' OR 1=1 --", "x' OR 1=2 --"), ("0 OR 1=1", "0 OR 1=2")];

/// What only a database says.
const DATABASE_WORDS: [&str; 12] = [
    "syntax error",
    "sqlite",
    "SQLITE_",
    "postgres",
    "PSQLException",
    "unrecognized token",
    "unterminated quoted",
    "no such column",
    "no such table",
    "near \"",
    "SQLSTATE",
    "pg_catalog",
];

const TOO_LONG: Duration = Duration::from_secs(20);

/// Calls that end the attacker's own session, or change what they log in with.
const SPARED: [&str; 1] = ["/logout"];

type MakeRequest = Box<dyn Fn(&str) -> Request>;

/// Every place of the API into which a text can be put, each as a function from the text to a request.
fn places() -> Vec<(String, MakeRequest)> {
    let mut places: Vec<(String, MakeRequest)> = Vec::new();
    for route in ROUTES.iter().filter(|route| !SPARED.contains(&route.path)) {
        let name = format!("{} {}", route.verb.name(), route.path);
        for (parameter, _) in route.path.split('{').filter_map(|piece| piece.split_once('}')) {
            let place = format!("{{{parameter}}}");
            let put = move |text: &str| route.path.replace(&place, &encode(text)).replace(['{', '}'], "");
            places.push((
                format!("{name}: {parameter} in the path"),
                Box::new(move |text| request(route, &put(text), None)),
            ));
        }
        let path = route.path.replace(['{', '}'], "");
        for field in route.doc.query {
            let path = path.clone();
            places.push((
                format!("{name}: the parameter {}", field.name),
                Box::new(move |text| {
                    request(route, &format!("{path}?{}={}", field.name, encode(text)), None)
                }),
            ));
        }
        for field in route.doc.body {
            let path = path.clone();
            places.push((
                format!("{name}: the field {}", field.name),
                Box::new(move |text| request(route, &path, Some((field.name, text)))),
            ));
        }
    }
    places
}

fn request(route: &Route, path: &str, field: Option<(&str, &str)>) -> Request {
    let request = Request::new(route.verb.name(), path);
    if !route.verb.has_body() {
        return request;
    }
    let mut body: Value = serde_json::from_str(route.doc.example).unwrap_or_else(|_| json!({}));
    if body.get("amount").is_some() {
        // Small, so that money for all of them is there.
        body["amount"] = json!("0.01");
    }
    // Nobody registers anew, and nobody's password changes: each answer hangs on what is sent alone.
    if route.path == "/register" {
        body["email"] = json!("ada@example.org");
    }
    if body.get("current_password").is_some() {
        body["current_password"] = json!("not the one");
    }
    if let Some((name, text)) = field {
        body[name] = json!(text);
    }
    request.json(&body)
}

/// Percent-encodes all but letters and digits.
fn encode(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

fn probe(target: &Target) -> Vec<Finding> {
    let mut found = Vec::new();
    for (place, make) in places() {
        for payload in PAYLOADS {
            let begun = Instant::now();
            let Some(answer) = target.ask(&make(payload)) else {
                found.push(format!("{place}: no answer to {payload:?}"));
                continue;
            };
            if answer.status >= 500 {
                found.push(format!("{place}: {payload:?} makes it fail: {answer}"));
            }
            if let Some(word) = word_of_a_database(&answer, payload) {
                found.push(format!("{place}: {payload:?} makes it say {word:?}: {answer}"));
            }
            if begun.elapsed() > TOO_LONG {
                found.push(format!("{place}: {payload:?} took {:?}", begun.elapsed()));
            }
        }
        for (holds, does_not) in CONDITIONS {
            let answer = |text| target.ask(&make(text)).map(|answer| (answer.status, measure(&answer)));
            let (one, other) = (answer(holds), answer(does_not));
            if one != other {
                found.push(format!("{place}: {holds:?} gives {one:?}, and {does_not:?} {other:?}"));
            }
        }
    }
    found
}

/// How long an answer is, apart from the pictures of codes: each shows another random text.
fn measure(answer: &Response) -> usize {
    let picture = serde_json::from_slice::<Value>(&answer.body)
        .ok()
        .and_then(|body| body["qr_svg"].as_str().map(|svg| json!(svg).to_string().len()));
    answer.body.len() - picture.unwrap_or(0)
}

/// A word of a database that was not in what was sent.
fn word_of_a_database(answer: &Response, payload: &str) -> Option<&'static str> {
    let text = answer.text().to_lowercase();
    let said = |word: &&str| {
        text.contains(&word.to_lowercase()) && !payload.to_lowercase().contains(&word.to_lowercase())
    };
    DATABASE_WORDS.into_iter().find(said)
}

#[test]
fn no_text_anywhere_becomes_sql() {
    assert!(places().len() > 40, "{}", places().len());
    check(probe);
}
