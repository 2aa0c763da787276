//! The way in: what slow and greedy clients meet, which sites are let in, and what every answer tells a browser.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use farthing::http::routes::ROUTES;
use serde_json::json;

use crate::support::{Request, Response, Server};

/// A server that is impatient.
fn impatient() -> Server {
    Server::builder()
        .env("FARTHING_SERVER_HEAD_TIMEOUT_SECONDS", "1")
        .env("FARTHING_SERVER_BODY_TIMEOUT_SECONDS", "1")
        .env("FARTHING_SERVER_IDLE_TIMEOUT_SECONDS", "2")
        .env("FARTHING_SERVER_WRITE_TIMEOUT_SECONDS", "1")
        .start()
}

/// Longer than any of those times, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a byte every so often until the server has had enough; gives how long that took and what it said.
fn drip(stream: &mut TcpStream, bytes: &[u8]) -> (Duration, String) {
    let begun = Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut said = Vec::new();
    for byte in bytes.iter().cycle() {
        assert!(begun.elapsed() < PATIENCE, "it went on and on");
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => said.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if stream.write_all(&[*byte]).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    (begun.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_head_that_comes_byte_by_byte_is_cut_off() {
    let server = impatient();
    let mut stream = connect(server.address());
    stream.write_all(b"GET /me HTTP/1.1\r\nHost: x\r\n").unwrap();
    let (took, _) = drip(&mut stream, b"X-A: b\r\n");
    assert!(took >= Duration::from_millis(900), "{took:?}");
    server.client().get("/healthz").expect(200);
}

#[test]
fn a_body_that_comes_byte_by_byte_is_cut_off() {
    let server = impatient();
    let ada = server.user("ada");
    let mut stream = connect(server.address());
    let head = format!(
        "POST /payment HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 60000\r\n\r\n",
        ada.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    let (_, said) = drip(&mut stream, b" ");
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(said.contains("\"code\":\"request_timeout\""), "{said}");
}

#[test]
fn a_connection_that_waits_too_long_is_closed_and_one_that_works_is_not() {
    let server = impatient();
    let mut idle = connect(server.address());
    let mut client = server.client();
    let begun = Instant::now();
    for _ in 0..8 {
        client.get("/healthz").expect(200);
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(idle.read(&mut [0; 16]).unwrap(), 0, "closed without a word");
    assert!(begun.elapsed() < PATIENCE);
    let mut used = connect(server.address());
    used.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut said = Vec::new();
    used.read_to_end(&mut said).unwrap();
    assert!(said.starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn a_client_that_does_not_read_its_answers_is_cut_off() {
    let server = impatient();
    let mut stream = connect(server.address());
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(64);
    let begun = Instant::now();
    // Ask for ever more, and never read.
    let cut = (0..100_000).any(|_| {
        assert!(begun.elapsed() < PATIENCE, "it went on and on");
        match stream.write_all(&request) {
            Ok(()) => false,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    });
    assert!(cut);
    server.client().get("/healthz").expect(200);
}

#[test]
fn hundreds_of_slow_clients_keep_nobody_out() {
    let server = impatient();
    let slow: Vec<TcpStream> = (0..400)
        .map(|_| {
            let mut stream = connect(server.address());
            stream.write_all(b"POST /login HTTP/1.1\r\nHost: x\r\nX-").unwrap();
            stream
        })
        .collect();
    let mut ada = server.user("ada");
    ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
    for mut stream in slow {
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0, "each is cut off");
    }
}

#[test]
fn an_address_has_so_many_connections() {
    let server = Server::builder().env("FARTHING_SERVER_CONNECTIONS_PER_ADDRESS", "5").start();
    let mut held: Vec<_> = (0..5).map(|_| server.client().connecting_from([127, 0, 0, 50])).collect();
    for client in &mut held {
        client.get("/healthz").expect(200);
    }
    let one_more = || server.client().connecting_from([127, 0, 0, 50]).send(&Request::get("/healthz"));
    assert!(one_more().is_err());
    server.client().get("/healthz").expect(200);
    held.pop();
    let begun = Instant::now();
    while one_more().is_err() {
        assert!(begun.elapsed() < PATIENCE, "a place that was left stays taken");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn more_connections_than_there_are_places_wait() {
    let server = Server::builder()
        .env("FARTHING_SERVER_CONNECTIONS", "10")
        .env("FARTHING_SERVER_IDLE_TIMEOUT_SECONDS", "1")
        .start();
    let held: Vec<_> = (0..10).map(|_| connect(server.address())).collect();
    // It is served once one of the idle ones is closed.
    server.client().get("/healthz").expect(200);
    drop(held);
}

#[test]
fn a_head_may_be_as_large_as_configured() {
    let server = Server::builder().env("FARTHING_SERVER_HEAD_BYTES", "8192").start();
    let with =
        |bytes: usize| server.client().call(&Request::get("/healthz").header("X-Pad", &"x".repeat(bytes)));
    with(7_000).expect(200);
    with(9_000).problem(431, "head_too_large");
}

#[test]
fn methods_that_no_route_has_are_told_so() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for method in ["TRACE", "TRACK", "PUT", "OPTIONS", "PROPFIND", "DEBUG", "X"] {
        let response = ada.client.call(&Request::new(method, "/payment")).problem(405, "method_not_allowed");
        assert!(!response.text().contains(&ada.token), "nothing is reflected: {response}");
    }
    let response =
        server.client().send_raw(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n").unwrap();
    response.problem(404, "not_found");
}

/// Every header that browsers are told by.
fn check_safe(response: &Response) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}: {response}");
    }
    let policy = response.header("content-security-policy").unwrap_or_default();
    for directive in ["default-src 'none'", "base-uri 'none'", "form-action ", "frame-ancestors 'none'"] {
        assert!(policy.contains(directive), "{directive}: {response}");
    }
    let is_page = response.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    assert_eq!(policy.contains("sandbox"), !is_page, "what is no page cannot become one: {response}");
    assert_eq!(response.header("cross-origin-opener-policy").is_some(), is_page, "{response}");
}

#[test]
fn every_answer_tells_browsers_to_be_careful() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for route in ROUTES.iter().filter(|route| !["/logout", "/events/stream"].contains(&route.path)) {
        let path = route.path.replace("{id}", "x").replace("{code}", "not_found");
        for client in [&mut server.client(), &mut ada.client] {
            let response = client.call(&Request::new(route.verb.name(), &path));
            check_safe(&response);
            assert_eq!(
                response.header("strict-transport-security"),
                None,
                "HTTP promises no HTTPS: {response}"
            );
        }
    }
    check_safe(&server.client().call(&Request::get("/nowhere")));
    check_safe(&server.client().call(&Request::new("TRACE", "/me")));
}

#[test]
fn behind_a_proxy_with_https_browsers_are_told_to_stay_there() {
    let server = Server::builder().env("FARTHING_SERVER_TRUSTED_PROXIES", "127.0.0.1").start();
    let get =
        |proto: &str| server.client().call(&Request::get("/healthz").header("X-Forwarded-Proto", proto));
    let policy = get("https");
    assert_eq!(policy.header("strict-transport-security"), Some("max-age=63072000; includeSubDomains"));
    assert_eq!(get("http").header("strict-transport-security"), None);
    let alone = Server::start();
    let said = alone.client().call(&Request::get("/healthz").header("X-Forwarded-Proto", "https"));
    assert_eq!(said.header("strict-transport-security"), None, "anybody can say that");
}

const SHOP: &str = "https://shop.example";

fn open_to_a_shop() -> Server {
    Server::builder().env("FARTHING_CORS_ORIGINS", SHOP).start()
}

fn send(server: &Server, request: &Request) -> Response {
    server.client().send(request).unwrap()
}

#[test]
fn a_site_that_is_named_is_let_in() {
    let server = open_to_a_shop();
    let ada = server.user("ada");
    let preflight = Request::new("OPTIONS", "/payment")
        .header("Origin", SHOP)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "authorization,content-type,idempotency-key,last-event-id");
    let answer = send(&server, &preflight).expect(204);
    assert_eq!(answer.header("access-control-allow-origin"), Some(SHOP), "{answer}");
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"), "{answer}");
    let headers = answer.header("access-control-allow-headers").unwrap();
    for name in ["authorization", "content-type", "idempotency-key", "last-event-id"] {
        assert!(headers.contains(name), "{answer}");
    }
    assert_eq!(answer.header("access-control-max-age"), Some("600"), "{answer}");
    let pay = Request::post("/payment", &json!({"amount": "1", "currency": "USD"})).header("Origin", SHOP);
    let answer = send(&server, &pay.bearer(&ada.token)).expect(201);
    assert_eq!(answer.header("access-control-allow-origin"), Some(SHOP), "{answer}");
    assert!(answer.header("access-control-expose-headers").unwrap().contains("request-id"), "{answer}");
    // Errors can be read, too.
    for path in ["/me", "/nowhere"] {
        let answer = send(&server, &Request::get(path).header("Origin", SHOP));
        assert_eq!(answer.header("access-control-allow-origin"), Some(SHOP), "{answer}");
    }
    for answer in [answer, send(&server, &Request::get("/me"))] {
        assert_eq!(answer.header("vary"), Some("origin"), "{answer}");
        assert_eq!(answer.header("access-control-allow-credentials"), None, "{answer}");
    }
}

#[test]
fn a_site_that_is_not_named_is_not_let_in() {
    let server = open_to_a_shop();
    for origin in [
        "https://evil.example",
        "https://shop.example.evil.example",
        "https://evil-shop.example",
        "http://shop.example",
        "https://shop.example:8443",
        "HTTPS://SHOP.EXAMPLE",
        "null",
        "*",
        "",
    ] {
        let answer = send(&server, &Request::get("/me").header("Origin", origin));
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}: {answer}");
        let preflight = Request::new("OPTIONS", "/payment")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST");
        let answer = send(&server, &preflight);
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (405, None),
            "{origin}: {answer}"
        );
    }
    let twice = Request::get("/me").header("Origin", SHOP).header("Origin", "https://evil.example");
    assert_eq!(send(&server, &twice).header("access-control-allow-origin"), None);
}
