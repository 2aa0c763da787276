//! `GET /wallets`, `POST /topup`.

use serde_json::{Value, json};

use crate::support::lists::rows;
use crate::support::shape::{assert_fails, assert_members};
use crate::support::{Request, Server};

#[test]
fn a_wallet_shows_balance_available_and_held() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let wallets = rows(&ada.client.get("/wallets").expect(200).json());
    assert_eq!(
        wallets,
        [json!({"currency": "USD", "balance": "1000.00", "available": "1000.00", "held": "0.00"})]
    );
    for (amount, currency) in [("1200", "JPY"), ("1.25", "KWD"), ("7", "EUR")] {
        ada.client.post("/topup", &json!({"amount": amount, "currency": currency}));
    }
    ada.pay(&json!({"amount": "0.5", "currency": "EUR"})).expect(201);
    let wallets = rows(&ada.client.get("/wallets").expect(200).json());
    for wallet in &wallets {
        assert_members(wallet, &["currency", "balance", "available", "held"]);
    }
    let mut found: Vec<(String, String, String)> = wallets
        .iter()
        .map(|wallet| {
            let text = |member: &str| wallet[member].as_str().unwrap().to_owned();
            (text("currency"), text("balance"), text("available"))
        })
        .collect();
    found.sort();
    let expected = [("EUR", "6.50"), ("JPY", "1200"), ("KWD", "1.250"), ("USD", "1000.00")];
    let expected: Vec<_> = expected
        .iter()
        .map(|(currency, balance)| ((*currency).to_owned(), (*balance).to_owned(), (*balance).to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_top_up_arrives_and_is_a_movement() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let response = ada.client.post("/topup", &json!({"amount": "25.5", "currency": "usd"}));
    assert!([200, 201].contains(&response.status), "{response}");
    assert_eq!((response.str("amount"), response.str("currency")), ("25.50".to_owned(), "USD".to_owned()));
    assert_eq!(ada.balance("USD"), 102_550);
    let movement = &ada.list("/transactions?type=topup")[0];
    for (member, value) in
        [("type", "topup"), ("direction", "in"), ("amount", "25.50"), ("balance_after", "1025.50")]
    {
        assert_eq!(movement[member], value, "{movement}");
    }
    ada.client.post("/topup", &json!({"amount": "1", "currency": "USD", "method": "sim_ok"}));
    assert_eq!(ada.balance("USD"), 102_650);
}

#[test]
fn each_failing_method_fails_in_its_own_way() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let mut reasons = Vec::new();
    for method in ["sim_declined", "sim_insufficient_funds", "sim_expired", "sim_processing_error"] {
        for _ in 0..2 {
            let body = json!({"amount": "5", "currency": "USD", "method": method});
            let response = ada.client.post("/topup", &body).problem(402, "topup_failed");
            reasons.push(response.str("reason"));
        }
    }
    assert!(reasons.chunks(2).all(|pair| pair[0] == pair[1]), "not deterministic: {reasons:?}");
    reasons.dedup();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert_eq!(ada.balance("USD"), 100_000);
}

#[test]
fn a_slow_top_up_keeps_nobody_else_waiting() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let body = json!({"amount": "5", "currency": "USD", "method": "sim_slow"});
            ada.client.post("/topup", &body)
        });
        let mut answered = 0;
        while !slow.is_finished() && answered < 50 {
            answered += 1;
            bob.pay_with_key(&format!("{answered}"), &json!({"amount": "1", "currency": "USD"})).expect(201);
        }
        assert_eq!(answered, 50, "payments waited for the slow top-up");
        let response = slow.join().unwrap();
        assert!([200, 201].contains(&response.status), "{response}");
    });
    assert_eq!(ada.balance("USD"), 100_500);
}

#[test]
fn a_top_up_names_every_failing_field() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let table: [(Value, &[&str]); 5] = [
        (json!({}), &["amount", "currency"]),
        (json!({"amount": "0", "currency": "XAU", "method": "gold"}), &["amount", "currency", "method"]),
        (json!({"amount": "1", "currency": "USD", "method": 1}), &["method"]),
        (json!({"amount": "1e3", "currency": "USD"}), &["amount"]),
        (json!({"amount": "1", "currency": "USD", "to": "x", "description": "x"}), &["to", "description"]),
    ];
    for (body, fields) in table {
        assert_fails(&ada.client.post("/topup", &body), fields);
    }
    assert_eq!(ada.balance("USD"), 100_000);
}

#[test]
fn money_for_nothing_is_for_the_sandbox_only() {
    let server = Server::builder().env("FARTHING_MODE", "live").start();
    let mut ada = server.user("ada");
    let request = Request::post("/topup", &json!({"amount": "5", "currency": "USD"})).key("k");
    ada.client.call(&request).problem(403, "sandbox_only");
    assert_eq!(ada.balance("USD"), 0);
    ada.pay(&json!({"amount": "0.01", "currency": "USD"})).problem(402, "insufficient_funds");
}

#[test]
fn a_balance_never_grows_over_what_can_be_counted() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let mut last = 0;
    for n in 0..30 {
        let request = Request::post("/topup", &json!({"amount": "999999999999", "currency": "JPY"}))
            .key(&format!("{n}"));
        let response = ada.client.call(&request);
        assert!(response.status < 500, "{response}");
        let wallets = rows(&ada.client.get("/wallets").expect(200).json());
        let yen = wallets
            .iter()
            .find(|wallet| wallet["currency"] == "JPY")
            .map(|wallet| wallet["balance"].as_str().unwrap().parse::<i64>().unwrap())
            .unwrap_or_default();
        assert!(yen >= last, "{yen} after {last}");
        last = yen;
    }
    server.verify();
}
