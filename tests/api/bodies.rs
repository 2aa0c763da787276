//! The bodies as a whole, so that no member appears, vanishes or changes its form unnoticed.
//!
//! Ids, times, tokens and cursors are replaced; everything else is as it was sent.

use serde_json::{Value, json};

use crate::support::{PASSWORD, Server};

/// The body with what differs from run to run replaced by its kind.
fn steady(body: &Value) -> Value {
    match body {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), steady_member(name, value))).collect()
        }
        Value::Array(items) => items.iter().map(steady).collect(),
        Value::String(text) => json!(steady_text(text)),
        other => other.clone(),
    }
}

fn steady_member(name: &str, value: &Value) -> Value {
    match (name, value) {
        ("access_token" | "refresh_token" | "next", Value::String(_)) => json!(format!("[{name}]")),
        _ => steady(value),
    }
}

fn steady_text(text: &str) -> String {
    let digits: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if digits == "0000-00-00T00:00:00.000Z" {
        return "[time]".to_owned();
    }
    match text.split_once('_') {
        Some((prefix, rest)) if prefix.len() == 3 && rest.len() == 26 => format!("{prefix}_[id]"),
        _ => text.to_owned(),
    }
}

macro_rules! assert_body {
    ($name:literal, $response:expr) => {
        insta::assert_json_snapshot!($name, steady(&$response.json()))
    };
}

#[test]
fn the_bodies_of_accounts_and_sessions() {
    let server = Server::start();
    let mut client = server.client();
    let body = json!({"email": "ada@example.org", "password": PASSWORD, "name": "Ada Lovelace"});
    assert_body!("register", client.post("/register", &body));
    let login = client.post("/login", &json!({"email": "ada@example.org", "password": PASSWORD}));
    assert_body!("login", login);
    let mut ada = server.client().with_token(&login.str("access_token"));
    assert_body!("me", ada.get("/me"));
    assert_body!("sessions", ada.get("/sessions"));
    assert_body!("activity", ada.get("/me/activity?limit=1"));
    assert_body!("email_taken", client.post("/register", &body));
    assert_body!(
        "validation_failed",
        client.post("/register", &json!({"email": "x", "password": "x", "rôle": 1}))
    );
    assert_body!("token_missing", client.get("/me"));
    assert_body!("not_found", client.get("/nowhere"));
}

#[test]
fn the_bodies_of_payments_and_movements() {
    let server = Server::start();
    let (mut ada, _bob) = (server.user("ada"), server.user("bob"));
    let body = json!({"amount": "12.5", "currency": "usd", "to": "bob@example.org", "description": "Lunch",
        "reference": "L-1", "metadata": {"table": "4"}});
    assert_body!("payment", ada.pay(&body));
    assert_body!("payment_to_the_house", ada.pay(&json!({"amount": 1, "currency": "USD"})));
    assert_body!("duplicate_payment", ada.pay(&body));
    assert_body!("insufficient_funds", ada.pay(&json!({"amount": "9000", "currency": "USD"})));
    ada.pay_with_key("k", &json!({"amount": 2, "currency": "USD"})).expect(201);
    assert_body!("idempotency_key_reused", ada.pay_with_key("k", &json!({"amount": 3, "currency": "EUR"})));
    assert_body!("topup", ada.client.post("/topup", &json!({"amount": "5", "currency": "EUR"})));
    let failing = json!({"amount": "5", "currency": "EUR", "method": "sim_expired"});
    assert_body!("topup_failed", ada.client.post("/topup", &failing));
    assert_body!("payments", ada.client.get("/payments?limit=2"));
    assert_body!("transactions", ada.client.get("/transactions?limit=3"));
    assert_body!("grant", ada.client.get("/transactions?type=grant"));
    assert_body!("wallets", ada.client.get("/wallets"));
}
