//! `POST /requests`, `GET /requests`, `GET /requests/{id}`, `POST /requests/{id}/pay`, `DELETE /requests/{id}`.

mod races;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::lists::ids;
use crate::support::shape::{assert_fails, assert_id, assert_members, assert_time};
use crate::support::{Request, Response, Server, User};

const REQUEST: [&str; 11] = [
    "id",
    "status",
    "amount",
    "currency",
    "description",
    "to",
    "payment",
    "url",
    "created_at",
    "expires_at",
    "ended_at",
];

/// Asks for 12.50 USD.
fn ask(user: &mut User) -> String {
    let body = json!({"amount": "12.50", "currency": "USD", "description": "Two tickets"});
    user.client.post("/requests", &body).expect(201).str("id")
}

fn pay(user: &mut User, id: &str, key: &str, body: &Value) -> Response {
    user.client.call(&Request::post(&format!("/requests/{id}/pay"), body).key(key))
}

fn take_back(user: &mut User, id: &str) -> Response {
    user.client.call(&Request::new("DELETE", &format!("/requests/{id}")))
}

fn status(user: &mut User, id: &str) -> String {
    user.client.get(&format!("/requests/{id}")).expect(200).str("status")
}

#[test]
fn whoever_knows_a_request_sees_and_pays_it_once() {
    let server = Server::start();
    let (mut ada, mut bob, mut eve) = (server.user("ada"), server.user("bob"), server.user("eve"));
    let body = json!({"amount": "12.5", "currency": "usd", "description": "Two tickets", "expires_in": 3600});
    let made = ada.client.post("/requests", &body).expect(201).json();
    assert_members(&made, &REQUEST);
    let id = made["id"].as_str().unwrap().to_owned();
    assert_id(&id, "plk");
    assert_time(&made["created_at"]);
    assert_time(&made["expires_at"]);
    assert_eq!(made["to"], json!({"id": ada.id, "name": "ada"}));
    assert_eq!((made["amount"].as_str(), made["status"].as_str()), (Some("12.50"), Some("open")));
    assert!(made["url"].as_str().unwrap().ends_with(&format!("/pay/{id}")), "{made}");

    let mut seen = bob.client.get(&format!("/requests/{id}")).expect(200).json();
    let code = seen.as_object_mut().unwrap().remove("qr_svg").unwrap();
    assert!(code.as_str().unwrap().contains("<svg"), "{code}");
    assert_eq!(seen, made);
    let paid = pay(&mut bob, &id, "k", &json!({})).expect(201);
    assert_eq!((paid.str("amount"), paid.str("description")), ("12.50".into(), "Two tickets".into()));
    assert_eq!(paid.str("reference"), id);
    assert_eq!(paid.json()["to"]["id"], ada.id);
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (101_250, 98_750));

    // Its two sides see which payment it was, others that it was paid.
    for (user, payment) in
        [(&mut ada, json!(paid.str("id"))), (&mut bob, json!(paid.str("id"))), (&mut eve, Value::Null)]
    {
        let now = user.client.get(&format!("/requests/{id}")).expect(200).json();
        assert_eq!((now["status"].as_str(), &now["payment"]), (Some("paid"), &payment));
        assert_time(&now["ended_at"]);
    }
    // The same key gets the same answer, another payer or key none.
    let again = pay(&mut bob, &id, "k", &json!({"amount": "12.50"})).expect(201);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.json(), paid.json());
    let refused = pay(&mut eve, &id, "k", &json!({})).problem(409, "request_state");
    assert_eq!(refused.str("request_status"), "paid");
    pay(&mut bob, &id, "k2", &json!({})).problem(409, "request_state");
    take_back(&mut ada, &id).problem(409, "request_state");
    assert_eq!(bob.balance("USD"), 98_750);
    server.verify();
}

#[test]
fn a_key_belongs_to_one_call_and_one_request() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let (one, other) = (ask(&mut ada), ask(&mut ada));
    pay(&mut bob, &one, "k", &json!({})).expect(201);
    let reused = pay(&mut bob, &other, "k", &json!({})).problem(422, "idempotency_key_reused");
    assert_eq!(reused.json()["fields"], json!(["call"]));
    let same = json!({"amount": "12.50", "currency": "USD", "to": ada.id, "description": "Two tickets"});
    bob.pay_with_key("k", &same).problem(422, "idempotency_key_reused");
    bob.pay_with_key("plain", &same).expect(201);
    pay(&mut bob, &other, "plain", &json!({})).problem(422, "idempotency_key_reused");
    // Nobody makes a payment look like one of a request.
    let mut forged = same.clone();
    forged["reference"] = json!(other);
    assert_fails(&bob.pay(&forged), &["reference"]);
    assert_eq!(status(&mut ada, &other), "open");
}

#[test]
fn nothing_but_what_is_asked_is_paid() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let id = ask(&mut ada);
    for body in [
        json!({"amount": "12.49"}),
        json!({"amount": "1"}),
        json!({"amount": "12.51"}),
        json!({"amount": "12.500"}),
    ] {
        assert_fails(&pay(&mut bob, &id, "k", &body), &["amount"]);
    }
    assert_fails(&pay(&mut bob, &id, "k", &json!({"currency": "EUR"})), &["currency"]);
    assert_fails(
        &pay(&mut bob, &id, "k", &json!({"amount": "1", "currency": "JPY"})),
        &["amount", "currency"],
    );
    assert_fails(&pay(&mut ada, &id, "k", &json!({})), &["to"]);
    assert_eq!(status(&mut ada, &id), "open");
    pay(&mut bob, &id, "k", &json!({"amount": 12.5, "currency": "usd"})).expect(201);
}

#[test]
fn with_too_little_money_it_stays_open() {
    let server = Server::start();
    let (mut ada, mut bob, mut eve) = (server.user("ada"), server.user("bob"), server.user("eve"));
    let body = json!({"amount": "1000.00", "currency": "USD"});
    let id = ada.client.post("/requests", &body).expect(201).str("id");
    bob.pay(&json!({"amount": "0.01", "currency": "USD"})).expect(201);
    let declined = pay(&mut bob, &id, "k", &json!({})).problem(402, "insufficient_funds");
    let again = pay(&mut bob, &id, "k", &json!({})).problem(402, "insufficient_funds");
    assert_eq!(again.str("payment"), declined.str("payment"));
    assert_eq!(status(&mut ada, &id), "open");
    pay(&mut eve, &id, "k", &json!({})).expect(201);
    assert_eq!(status(&mut ada, &id), "paid");
    server.verify();
}

#[test]
fn one_that_is_over_or_taken_back_is_not_paid() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let body = json!({"amount": "1", "currency": "USD", "expires_in": 1});
    let short = ada.client.post("/requests", &body).expect(201).str("id");
    let back = ask(&mut ada);
    take_back(&mut bob, &back).problem(404, "not_found");
    take_back(&mut ada, &back).expect(204);
    take_back(&mut ada, &back).expect(204);
    let refused = pay(&mut bob, &back, "k", &json!({})).problem(409, "request_state");
    assert_eq!(refused.str("request_status"), "cancelled");
    let expired = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        status(&mut bob, &short) == "expired"
    });
    assert!(expired);
    let refused = pay(&mut bob, &short, "k", &json!({})).problem(409, "request_state");
    assert_eq!(refused.str("request_status"), "expired");
    assert_eq!(bob.balance("USD"), 100_000);
}

#[test]
fn the_list_has_ones_own_newest_first() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let mut made: Vec<String> = (0..25).map(|_| ask(&mut ada)).collect();
    ask(&mut bob);
    pay(&mut bob, &made[3], "k", &json!({})).expect(201);
    made.reverse();
    assert_eq!(ids(&ada.list("/requests")), made);
    assert_eq!(ada.list("/requests")[21]["status"], "paid");
    // Behind its time an id is random: nothing of the one before is in the next.
    let random: std::collections::HashSet<&str> = made.iter().map(|id| &id[17..24]).collect();
    assert_eq!(random.len(), made.len());
}

#[test]
fn what_cannot_be_asked_is_refused_by_name() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for (body, fields) in [
        (json!({}), &["amount", "currency"][..]),
        (json!({"amount": "0", "currency": "USD"}), &["amount"]),
        (json!({"amount": "1", "currency": "USD", "expires_in": 0}), &["expires_in"]),
        (json!({"amount": "1", "currency": "USD", "expires_in": "1"}), &["expires_in"]),
        (json!({"amount": "1", "currency": "USD", "expires_in": 31_536_001}), &["expires_in"]),
        (json!({"amount": "1", "currency": "USD", "expires_in": 1.5}), &["expires_in"]),
    ] {
        assert_fails(&ada.client.post("/requests", &body), fields);
    }
}
