//! `GET /events`, `GET /events/stream`, `POST /sandbox/events`, and the types of events.

mod types;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use farthing::http::events::example;
use farthing::ledger::EventType;
use serde_json::{Value, json};

use crate::support::lists::{assert_distinct, ids, rows};
use crate::support::receiver::Receiver;
use crate::support::shape::{assert_fails, assert_id, assert_members, assert_time};
use crate::support::{Request, Server, User};
use crate::webhooks::{make, server_for};

fn feed(user: &mut User, query: &str) -> Value {
    user.client.get(&format!("/events{query}")).expect(200).json()
}

#[test]
fn the_feed_has_everything_once_in_order_from_any_place_on() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    for amount in 1..=5 {
        ada.pay(&json!({"to": bob.email, "amount": amount, "currency": "USD"})).expect(201);
    }
    ada.client.call(&Request::new("PATCH", "/me").json(&json!({"name": "Ada L."}))).expect(200);
    ada.pay(&json!({"to": bob.email, "amount": "5000", "currency": "USD"}))
        .problem(402, "insufficient_funds");

    let whole = rows(&feed(&mut ada, "?limit=100"));
    let kinds: Vec<&str> = whole.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let paid = ["payment.succeeded"; 5];
    let expected =
        [&["grant.created", "user.created"], &paid[..], &["user.updated", "payment.declined"]].concat();
    assert_eq!(kinds, expected);
    for event in &whole {
        assert_members(event, &["id", "type", "timestamp", "data"]);
        assert_id(event["id"].as_str().unwrap(), "evt");
        assert_time(&event["timestamp"]);
    }
    // One by one, while more arrives.
    let (mut after, mut found) = (String::new(), Vec::new());
    loop {
        let page = feed(&mut ada, &format!("?limit=1{after}"));
        let events = rows(&page);
        if events.is_empty() {
            assert_eq!(page["has_more"], false);
            break;
        }
        found.extend(events);
        after = format!("&after={}", page["next"].as_str().unwrap());
        if found.len() == 3 {
            ada.pay(&json!({"to": bob.email, "amount": "9", "currency": "USD"})).expect(201);
        }
    }
    assert_eq!(found[..whole.len()], whole);
    assert_eq!((found.len(), &found[whole.len()]["data"]["amount"]), (whole.len() + 1, &json!("9.00")));
    assert_distinct(&ids(&found));
    // The other side sees what concerns it.
    let bobs: Vec<Value> = rows(&feed(&mut bob, "?limit=100"));
    let amounts: Vec<&Value> = bobs.iter().skip(2).map(|event| &event["data"]["amount"]).collect();
    assert_eq!(amounts, ["1.00", "2.00", "3.00", "4.00", "5.00", "9.00"]);
    assert!(bobs.iter().all(|event| event["type"] != "payment.declined"));

    let since = whole[4]["timestamp"].as_str().unwrap();
    let from = rows(&feed(&mut ada, &format!("?limit=100&since={since}")));
    assert!(from.iter().all(|event| event["timestamp"].as_str().unwrap() >= since), "{from:?}");
    assert!(from.contains(&whole[4]) && from.len() < whole.len());
    assert_fails(&ada.client.get("/events?after=nonsense"), &["after"]);
}

/// A stream of events, read line by line.
struct Stream {
    lines: BufReader<TcpStream>,
    status: String,
}

impl Stream {
    fn open(server: &Server, user: &User, path: &str, header: &str) -> Self {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{header}\r\n", user.token);
        stream.write_all(head.as_bytes()).unwrap();
        let mut stream = Self { lines: BufReader::new(stream), status: String::new() };
        stream.status = stream.line().unwrap();
        stream
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.lines.read_line(&mut line).unwrap_or(0);
        (count > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event: its place, its type and itself. None at the end.
    fn next(&mut self) -> Option<(String, String, Value)> {
        let (mut place, mut kind) = (String::new(), String::new());
        loop {
            let line = self.line()?;
            // The last chunk: the connection stays, the stream has ended.
            if line == "0" {
                return None;
            }
            if let Some(text) = line.strip_prefix("id: ") {
                text.clone_into(&mut place);
            } else if let Some(text) = line.strip_prefix("event: ") {
                text.clone_into(&mut kind);
            } else if let Some(text) = line.strip_prefix("data: ") {
                return Some((place, kind, serde_json::from_str(text).unwrap()));
            }
        }
    }
}

#[test]
fn a_stream_tells_events_as_they_happen_and_goes_on_where_it_broke() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let mut stream = Stream::open(&server, &ada, "/events/stream", "");
    assert!(stream.status.contains("200"), "{}", stream.status);
    while stream.line().unwrap() != ": connected" {}
    for amount in 1..=3 {
        ada.pay(&json!({"amount": amount, "currency": "USD"})).expect(201);
    }
    let (place, kind, first) = stream.next().unwrap();
    assert_eq!((kind.as_str(), &first["data"]["amount"]), ("payment.succeeded", &json!("1.00")));
    drop(stream);
    let mut stream = Stream::open(&server, &ada, "/events/stream", &format!("last-event-id: {place}\r\n"));
    let amounts: Vec<Value> = (0..2).map(|_| stream.next().unwrap().2["data"]["amount"].clone()).collect();
    assert_eq!(amounts, ["2.00", "3.00"]);
    // From the beginning, it is the feed.
    let whole = rows(&feed(&mut ada, "?limit=100"));
    let mut stream = Stream::open(&server, &ada, "/events/stream?since=2020-01-01", "");
    let told: Vec<Value> = whole.iter().map(|_| stream.next().unwrap().2).collect();
    assert_eq!(told, whole);
}

#[test]
fn a_stream_that_cannot_go_on_where_it_broke_is_refused() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let place = feed(&mut ada, "?limit=1")["next"].as_str().unwrap().to_owned();
    for wrong in ["nonsense", "", &place[1..]] {
        let answer = ada.client.call(&Request::new("GET", "/events/stream").header("last-event-id", wrong));
        assert_fails(&answer, &["Last-Event-ID"]);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("must be the last 'id' of an earlier stream"), "{detail}");
    }
    // Two places are as good as none, also beside one that is right.
    let twice = format!("last-event-id: {place}\r\nlast-event-id: {place}\r\n");
    for path in ["/events/stream".to_owned(), format!("/events/stream?after={place}")] {
        let stream = Stream::open(&server, &ada, &path, &twice);
        assert!(stream.status.contains("422"), "{}", stream.status);
    }
    let stream = Stream::open(&server, &ada, "/events/stream", &format!("last-event-id: {place}\r\n"));
    assert!(stream.status.contains("200"), "{}", stream.status);
}

#[test]
fn a_stream_ends_with_its_session_and_does_not_hold_up_the_server() {
    let mut server = Server::start();
    let mut ada = server.user("ada");
    let mut left = ada.log_in_again(server.client());
    let mut stream = Stream::open(&server, &left, "/events/stream", "");
    left.client.post_empty("/logout").expect(204);
    while stream.next().is_some() {}
    // No more than five at once; a closed one makes room.
    let mut streams: Vec<Stream> =
        (0..5).map(|_| Stream::open(&server, &ada, "/events/stream", "")).collect();
    ada.client.get("/events/stream").problem(429, "too_many_streams");
    streams.pop();
    let mut again = String::new();
    crate::support::until("a place is free", || {
        let mut stream = Stream::open(&server, &ada, "/events/stream", "");
        again.clone_from(&stream.status);
        let is_open = again.contains("200");
        if is_open {
            while stream.line().unwrap() != ": connected" {}
        }
        is_open
    });
    let started = std::time::Instant::now();
    server.terminate();
    assert!(started.elapsed() < Duration::from_secs(5), "open streams end at once");
}

#[test]
fn an_event_that_did_not_happen_is_told_in_a_sandbox() {
    let receiver = Receiver::start();
    let server = server_for(&[&receiver], "0,1");
    let mut ada = server.user("ada");
    make(&mut ada, &receiver, &["payment.*"]);
    let told = ada.client.post("/sandbox/events", &json!({"type": "payment.succeeded"})).expect(202).json();
    let got = receiver.wait_for(1);
    assert_eq!(got[0].id(), told["event"]);
    assert_eq!(got[0].json()["data"], example(EventType::PaymentSucceeded));
    assert_fails(&ada.client.post("/sandbox/events", &json!({"type": "payment.x"})), &["type"]);
    let live = Server::builder().env("FARTHING_MODE", "live").start();
    let body = json!({"type": "payment.succeeded"});
    live.user("ada").client.post("/sandbox/events", &body).problem(403, "sandbox_only");
}
