//! What holds for the API as a whole: bodies, methods, paths, headers.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::shape::{assert_fails, check_any_answer};
use crate::support::{PASSWORD, Request, Server};

#[test]
fn only_json_is_read() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let body = json!({"amount": "1", "currency": "USD"}).to_string();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/xml",
        "multipart/form-data; boundary=x",
        "text/json",
        "application/jsonp",
        "json",
        "",
        "application/json-seq",
        "*/*",
    ] {
        let request =
            Request::new("POST", "/payment").header("Content-Type", content_type).bytes(body.as_bytes());
        ada.client.call(&request).expect(415);
    }
    ada.client.call(&Request::new("POST", "/payment").bytes(body.as_bytes())).expect(415);
    assert!(ada.list("/payments").is_empty());
    for (n, content_type) in
        ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
            .into_iter()
            .enumerate()
    {
        let body = json!({"amount": n + 1, "currency": "USD"}).to_string();
        let request =
            Request::new("POST", "/payment").header("Content-Type", content_type).bytes(body.as_bytes());
        ada.client.call(&request).expect(201);
    }
}

#[test]
fn a_post_whose_fields_are_optional_needs_no_body() {
    let server = Server::start();
    let ada = server.user("ada");
    let mut other = ada.log_in_again(server.client());
    other.client.post_empty("/logout").expect(204);
    let mut other = ada.log_in_again(server.client());
    other.client.post("/logout", &json!({})).expect(204);
}

#[test]
fn a_body_has_a_limit() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let padded = |bytes: usize| {
        let body = json!({"amount": "-1", "currency": "USD"}).to_string();
        format!("{}{body}", " ".repeat(bytes - body.len()))
    };
    let post = |text: &str| Request::new("POST", "/payment").json_text(text);
    assert_fails(&ada.client.call(&post(&padded(64 * 1024))), &["amount"]);
    ada.client.call(&post(&padded(64 * 1024 + 1))).expect(413);
    ada.client.call(&post(&padded(1024 * 1024))).expect(413);
    // Announced, but never sent.
    let head = format!(
        "POST /payment HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 99999999999\r\n\r\n",
        ada.token
    );
    let mut client = server.client();
    let response = client.send_raw(head.as_bytes()).unwrap();
    check_any_answer(&response);
    assert_eq!(response.status, 413, "{response}");
    // In chunks, without saying how much will come.
    let chunk = format!("2000\r\n{}\r\n", " ".repeat(0x2000));
    let head = format!(
        "POST /payment HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        ada.token
    );
    let response =
        server.client().send_raw(format!("{head}{}0\r\n\r\n", chunk.repeat(9)).as_bytes()).unwrap();
    check_any_answer(&response);
    assert_eq!(response.status, 413, "{response}");
    server.client().get("/healthz").expect(200);
}

/// A client that still sends sees its answer, whatever the path and the method.
#[test]
fn a_large_body_that_nobody_reads_is_answered_as_any_other() {
    let server = Server::start();
    let large = vec![b' '; 5_000_000];
    for (method, path, status, code) in [
        ("POST", "/nowhere", 404, "not_found"),
        ("DELETE", "/payment", 405, "method_not_allowed"),
        ("POST", "/transactions", 405, "method_not_allowed"),
        ("GET", "/transactions", 401, "token_missing"),
        ("POST", "/payment", 401, "token_missing"),
    ] {
        server.client().call(&Request::new(method, path).bytes(&large)).problem(status, code);
    }
    server.client().call(&Request::get("/healthz").bytes(&large)).expect(200);
}

#[test]
fn a_body_in_chunks_is_a_body() {
    let server = Server::start();
    let ada = server.user("ada");
    let body = json!({"amount": "1", "currency": "USD"}).to_string();
    let (one, two) = body.split_at(7);
    let raw = format!(
        "POST /payment HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        ada.token,
        one.len(),
        two.len()
    );
    server.client().send_raw(raw.as_bytes()).unwrap().expect(201);
}

#[test]
fn malformed_json_is_told_as_such() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let (deep_lists, deep_objects) = ("[".repeat(60_000), "{\"a\":".repeat(12_000));
    for body in [
        "",
        " ",
        "{",
        "}",
        "{\"amount\":",
        "{\"amount\":\"1\"",
        "{\"amount\" \"1\"}",
        "{'amount':'1'}",
        "{amount:1}",
        "{\"amount\":\"1\",}",
        "{\"amount\":\"1\"}}",
        "{\"amount\":\"1\"} x",
        "nul",
        "\"",
        "[1,2",
        "{\"amount\":\"\u{1}\"}",
        "{\"amount\":\"\\x\"}",
        "\u{feff}{}",
        "// {}",
        "{\"amount\":1 /* */}",
        "{\"a\":tru}",
        &deep_lists,
        &deep_objects,
    ] {
        let response = ada.client.call(&Request::new("POST", "/payment").json_text(body));
        let shown: String = body.chars().take(40).collect();
        assert_eq!(
            (response.status, response.str("code").as_str()),
            (400, "malformed_json"),
            "{shown:?}: {response}"
        );
    }
    for bytes in [&b"{\"amount\":\"\xff\"}"[..], b"\xff\xfe{\0}\0", b"{\"\xc3\x28\":1}"] {
        let request =
            Request::new("POST", "/payment").header("Content-Type", "application/json").bytes(bytes);
        ada.client.call(&request).problem(400, "malformed_json");
    }
    assert!(ada.list("/payments").is_empty());
}

#[test]
fn json_that_is_no_object_is_well_formed_and_wrong() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for body in ["[]", "1", "\"x\"", "null", "true", "[{\"amount\":\"1\",\"currency\":\"USD\"}]"] {
        ada.client.call(&Request::new("POST", "/payment").json_text(body)).problem(422, "validation_failed");
    }
}

/// One of the engines cannot store it, and no text has a use for it.
#[test]
fn a_zero_character_is_refused_in_every_text() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let text = "a\0b";
    let payment = |name: &str, value: Value| {
        let mut body = json!({"amount": "1", "currency": "USD"});
        body[name] = value;
        body
    };
    for (field, value) in [
        ("description", json!(text)),
        ("reference", json!(text)),
        ("to", json!("a\0b@example.org")),
        ("currency", json!("US\0")),
        ("amount", json!("1\0")),
    ] {
        assert_fails(&ada.pay(&payment(field, value)), &[field]);
    }
    assert_fails(&ada.pay(&payment("metadata", json!({"k": text}))), &["metadata.k"]);
    assert_fails(&ada.pay(&payment("metadata", json!({"k\0": "v"}))), &["metadata.k\0"]);
    let new = json!({"email": "a\0b@example.org", "password": PASSWORD, "name": text});
    assert_fails(&server.client().post("/register", &new), &["email", "name"]);
    let login = json!({"email": "a\0b@example.org", "password": PASSWORD});
    // What can be no account is answered like an unknown one.
    server.client().post("/login", &login).problem(401, "invalid_credentials");
    let rename = Request::new("PATCH", "/me").json(&json!({"name": text}));
    assert_fails(&ada.client.call(&rename), &["name"]);
    assert_fails(&ada.client.get("/transactions?currency=US%00&type=topup%00"), &["currency", "type"]);
    // A key is a header, which cannot hold the character itself; quoted, it has no escape for it.
    for key in ["\"a\\0b\"", "\"a\\u0000b\""] {
        let request = Request::post("/payment", &payment("description", json!("x"))).key(key);
        ada.client.call(&request).problem(400, "idempotency_key_invalid");
    }
    assert!(ada.list("/payments").is_empty());
    // A password is kept as its hash alone, so it may hold any character.
    let odd = json!({"email": "bob@example.org", "password": "seven quiet\0otters"});
    server.client().post("/register", &odd).expect(201);
    server.client().post("/login", &odd).expect(200);
}

#[test]
fn a_field_that_comes_twice_is_refused() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for body in [
        r#"{"amount":"1","amount":"2","currency":"USD"}"#,
        r#"{"amount":"1","currency":"USD","\u0061mount":"2"}"#,
    ] {
        let response = ada.client.call(&Request::new("POST", "/payment").json_text(body));
        assert!([400, 422].contains(&response.status), "{body}: {response}");
    }
    assert!(ada.list("/payments").is_empty());
}

#[test]
fn an_unknown_path_is_not_found_with_and_without_a_token() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let mut anonymous = server.client();
    for path in [
        "/nowhere",
        "/me/",
        "/ME",
        "//me",
        "/payment/",
        "/payments/x",
        "/me/nothing",
        "/admin",
        "/.env",
        "/.git/config",
        "/index.php",
        "/payment/../me",
        "/%2e%2e/etc/passwd",
        "/me%00",
        "/wp-login.php",
        "/transactions/a/b",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            for client in [&mut ada.client, &mut anonymous] {
                let response = client.call(&Request::new(method, path));
                // Behind an id the method may be the wrong one; and nothing is ever found.
                assert!([404, 405].contains(&response.status) || response.status == 401, "{response}");
            }
        }
        ada.client.get(path).problem(404, "not_found");
    }
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for (method, path, allowed) in [
        ("GET", "/register", &["POST"][..]),
        ("GET", "/login", &["POST"]),
        ("PUT", "/payment", &["GET", "POST"]),
        ("GET", "/payments/batch", &["POST"]),
        ("DELETE", "/payment/pay_01h455vb4pex5vsknk084sn02q", &["GET"]),
        ("POST", "/payments", &["GET"]),
        ("POST", "/transactions", &["GET"]),
        ("PATCH", "/transactions/txn_01h455vb4pex5vsknk084sn02q", &["GET"]),
        ("DELETE", "/me", &["GET", "PATCH"]),
        ("PUT", "/me", &["GET", "PATCH"]),
        ("GET", "/me/password", &["POST"]),
        ("GET", "/sessions/ses_01h455vb4pex5vsknk084sn02q", &["DELETE"]),
        ("POST", "/wallets", &["GET"]),
        ("GET", "/topup", &["POST"]),
        ("GET", "/logout", &["POST"]),
        ("GET", "/token/refresh", &["POST"]),
        ("POST", "/healthz", &["GET"]),
        ("DELETE", "/openapi.json", &["GET"]),
        ("TRACE", "/me", &["GET", "PATCH"]),
        ("BREW", "/me", &["GET", "PATCH"]),
    ] {
        let response = ada.client.call(&Request::new(method, path)).expect(405);
        let allow: HashSet<&str> = response.header("allow").unwrap().split(',').map(str::trim).collect();
        let allow: HashSet<&str> =
            allow.into_iter().filter(|method| !["HEAD", "OPTIONS"].contains(method)).collect();
        assert_eq!(allow, allowed.iter().copied().collect(), "{response}");
    }
}

#[test]
fn no_header_turns_one_method_into_another() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let request = Request::post("/me", &json!({"name": "x"})).header(name, "PATCH");
        ada.client.call(&request).expect(405);
    }
    for name in ["X-Original-URL", "X-Rewrite-URL"] {
        server.client().call(&Request::get("/me").header(name, "/healthz")).expect(401);
    }
}

#[test]
fn every_request_has_an_id_of_its_own_that_the_log_knows() {
    let server = Server::builder().env("FARTHING_LOG_LEVEL", "debug").start();
    let mut ada = server.user("ada");
    let mut seen = HashSet::new();
    for path in [
        "/me",
        "/nowhere",
        "/transactions",
        "/healthz",
        "/transactions?limit=0",
        "/docs",
        "/me",
        "/openapi.json",
    ] {
        let id = ada.client.get(path).header("request-id").unwrap().to_owned();
        assert!(seen.insert(id), "the same id twice");
    }
    let forged = ada.client.call(&Request::get("/me").header("Request-Id", "req_forged"));
    assert_ne!(forged.header("request-id"), Some("req_forged"));
}

#[test]
fn no_other_site_is_let_in() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for origin in ["https://evil.example", "null", "http://localhost:8080"] {
        let response = ada.client.call(&Request::get("/me").header("Origin", origin)).expect(200);
        assert_eq!(response.header("access-control-allow-origin"), None, "{response}");
        let request = Request::new("OPTIONS", "/payment")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST");
        let response = ada.client.call(&request);
        assert_eq!(response.header("access-control-allow-origin"), None, "{response}");
    }
}

#[test]
fn broken_http_harms_nobody() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let token = ada.token.clone();
    let auth = format!("Authorization: Bearer {token}\r\n");
    let json = "Content-Type: application/json\r\n";
    let pay = r#"{"amount":"1","currency":"USD"}"#;
    let raws = [
        "\r\n\r\n".to_owned(),
        "GARBAGE\r\n\r\n".to_owned(),
        "GET /me\r\n\r\n".to_owned(),
        "GET /me HTTP/9.9\r\n\r\n".to_owned(),
        "GET  /me  HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /me HTTP/1.1\r\nHost x\r\n\r\n".to_owned(),
        format!("GET /me HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(5_000)),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)),
        format!("GET /me HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(1_000_000)),
        // Two readings of where the body ends are how requests are smuggled.
        format!(
            "POST /payment HTTP/1.1\r\nHost: x\r\n{auth}{json}Content-Length: 5\r\nContent-Length: 31\r\n\r\n{pay}"
        ),
        format!("POST /payment HTTP/1.1\r\nHost: x\r\n{auth}{json}Content-Length: +31\r\n\r\n{pay}"),
        format!("POST /payment HTTP/1.1\r\nHost: x\r\n{auth}{json}Content-Length: -1\r\n\r\n{pay}"),
        format!(
            "POST /payment HTTP/1.1\r\nHost: x\r\n{auth}{json}Transfer-Encoding: gzip, xchunked\r\n\r\n0\r\n\r\n"
        ),
        format!(
            "POST /payment HTTP/1.1\r\nHost: x\r\n{auth}{json}Transfer-Encoding: chunked\r\n\r\nzz\r\n{pay}\r\n"
        ),
        format!("POST /payment HTTP/1.1\r\nHost: x\r\n{auth}{json}Content-Length : 31\r\n\r\n{pay}"),
    ];
    for raw in raws {
        let shown: String = raw.chars().take(80).collect();
        if let Ok(response) = server.client().send_raw(raw.as_bytes()) {
            assert!((400..500).contains(&response.status), "{shown:?}: {response}");
        }
        // On a connection of its own: the first may have been idle for too long by now.
        server.client().call(&Request::get("/me").bearer(&token)).expect(200);
    }
    ada.client = server.client().with_token(&token);
    assert!(ada.list("/payments").is_empty(), "a broken request paid");
}

/// What no route is reached with is a problem like any other, and the connection ends.
#[test]
fn a_head_that_cannot_be_read_is_told_so_and_the_connection_ends() {
    let server = Server::start();
    let good = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    for (raw, status, code) in [
        ("GET /me HTTP/1.1\r\nHost x\r\n\r\n".to_owned(), 400, "malformed_request"),
        ("\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), 400, "malformed_request"),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(70_000)), 431, "head_too_large"),
        (format!("GET /me HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(101)), 431, "head_too_large"),
        (
            format!("GET /me HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(1_000_000)),
            431,
            "head_too_large",
        ),
    ] {
        let response = server.client().send_raw(raw.as_bytes()).unwrap();
        check_any_answer(&response);
        let response = response.problem(status, code);
        assert_eq!(response.header("connection"), Some("close"), "{response}");
        assert!(response.header("date").is_some(), "{response}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{response}");
        // Behind a request that is answered, the second answer is the same.
        let mut client = server.client();
        client.send_raw(good.as_bytes()).unwrap().expect(200);
        client.send_raw(raw.as_bytes()).unwrap().problem(status, code);
    }
    let metrics = server.client().get("/metrics").expect(200).text();
    assert!(metrics.contains("route=\"none\",status=\"431\"} 6"), "{metrics}");
}

#[test]
fn a_connection_that_says_nothing_costs_nobody_anything() {
    let server = Server::start();
    let mut idle: Vec<_> = (0..200).map(|_| server.client()).collect();
    for client in &mut idle {
        client.connect().unwrap();
    }
    let mut ada = server.user("ada");
    ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
}

#[test]
fn a_wrong_guess_at_a_field_is_no_mirror() {
    let server = Server::start();
    let mut client = server.client();
    let secret = "hunter2-this-is-a-secret";
    for body in [
        json!({"email": "ada@example.org", "password": [secret]}),
        json!({"email": "ada@example.org", "password": {"value": secret}}),
        json!({"email": "ada@example.org", "pasword": secret}),
    ] {
        for path in ["/register", "/login"] {
            let response = client.post(path, &body).expect(422);
            assert!(!response.text().contains(secret), "{response}");
        }
    }
    let text = format!(r#"{{"email":"ada@example.org","password":"{secret}" "x"}}"#);
    let response =
        client.call(&Request::new("POST", "/login").json_text(&text)).problem(400, "malformed_json");
    assert!(!response.text().contains(secret), "{response}");
    client.post("/login", &json!({"email": "a@example.org", "password": PASSWORD})).expect(401);
}
