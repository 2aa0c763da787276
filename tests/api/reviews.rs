//! Risk rules, and `GET /admin/reviews`, `POST /admin/reviews/{id}/approve|reject`.

use serde_json::{Value, json};

use super::factors::set_up;
use crate::support::lists::rows;
use crate::support::shape::{assert_fails, assert_members, assert_time};
use crate::support::{PASSWORD, Request, Response, Server, User, until};

/// A server that looks at every first payment of more than 100.
fn server() -> Server {
    Server::builder().env("FARTHING_RISK_NEW_PAYEE", "review above 100").start()
}

fn to(payee: &User, amount: &str) -> Value {
    json!({"amount": amount, "currency": "USD", "to": payee.id})
}

fn wallet(user: &mut User) -> (String, String) {
    let wallets = rows(&user.client.get("/wallets").expect(200).json());
    let member = |name: &str| wallets[0][name].as_str().unwrap().to_owned();
    (member("available"), member("held"))
}

fn waiting(operator: &mut User) -> Vec<Value> {
    rows(&operator.client.get("/admin/reviews").expect(200).json())
}

fn decide(operator: &mut User, payment: &str, what: &str, note: &str) -> Response {
    operator.client.post(&format!("/admin/reviews/{payment}/{what}"), &json!({"note": note}))
}

/// The rules that the user's payments hit, by the security log.
fn told(auditor: &mut User, user: &User) -> Vec<Value> {
    let path = format!("/admin/security-events?event=payment_suspicious&user={}", user.id);
    let events = rows(&auditor.client.get(&path).expect(200).json());
    events.iter().rev().map(|event| event["detail"].clone()).collect()
}

#[test]
fn a_suspicious_payment_is_held_until_an_operator_lets_it_through() {
    let server = server();
    let (mut ada, mut ben) = (server.user("ada"), server.user("ben"));
    let (mut support, mut auditor) = (server.operator("support"), server.operator("auditor"));
    ada.pay_with_key("small", &to(&support, "100.00")).expect(201);
    let held = ada.pay_with_key("large", &to(&ben, "100.01")).expect(202);
    let payment = held.str("id");
    assert_eq!(held.str("status"), "pending_review");
    assert_eq!(wallet(&mut ada), ("799.99".into(), "100.01".into()));
    assert_eq!(ben.balance("USD"), 100_000);
    assert!(ben.list("/transactions").iter().all(|row| row["type"] == "grant"), "nothing has moved");
    let again = ada.pay_with_key("large", &to(&ben, "100.01")).expect(202);
    assert_eq!((again.json(), again.header("idempotent-replayed")), (held.json(), Some("true")));

    let listed = waiting(&mut support);
    assert_eq!(listed.len(), 1);
    assert_members(&listed[0], &["payment", "reasons", "expires_at"]);
    assert_eq!(listed[0]["payment"], held.json());
    assert_eq!(listed[0]["reasons"], json!([{"rule": "new_payee", "figure": "100.01", "limit": "100.00"}]));
    assert_time(&listed[0]["expires_at"]);
    let event = &told(&mut auditor, &ada)[0];
    assert_eq!(
        *event,
        json!({"payment": payment, "rule": "new_payee", "action": "review", "figure": "100.01", "limit": "100.00"})
    );

    assert_fails(&support.client.post(&format!("/admin/reviews/{payment}/approve"), &json!({})), &["note"]);
    for stranger in [&mut ada, &mut ben, &mut auditor] {
        decide(stranger, &payment, "approve", "please").problem(403, "permission_denied");
    }
    let approved = decide(&mut support, &payment, "approve", "called ada").expect(200).json();
    assert_eq!((&approved["id"], &approved["status"]), (&json!(payment), &json!("succeeded")));
    assert_eq!((wallet(&mut ada).1, ben.balance("USD")), ("0.00".into(), 110_001));
    assert!(waiting(&mut support).is_empty());
    for what in ["approve", "reject"] {
        let state = decide(&mut support, &payment, what, "again").problem(409, "payment_state");
        assert_eq!(state.str("payment_status"), "succeeded");
    }
    // Ben is known from now on.
    ada.pay_with_key("next", &to(&ben, "100.02")).expect(201);
    server.verify();
}

#[test]
fn a_stopped_payment_gives_the_money_back_and_makes_nobody_known() {
    let server = server();
    let (mut ada, mut ben, mut support) =
        (server.user("ada"), server.user("ben"), server.operator("support"));
    for round in ["first", "second"] {
        let payment = ada.pay_with_key(round, &to(&ben, "300.00")).expect(202).str("id");
        let stopped = decide(&mut support, &payment, "reject", "not ada").expect(200);
        assert_eq!(stopped.str("status"), "rejected");
        assert_eq!(wallet(&mut ada), ("1000.00".into(), "0.00".into()));
    }
    let shown = ada.client.get("/payments").expect(200).json();
    assert!(rows(&shown).iter().all(|payment| payment["status"] == "rejected"));
    assert_eq!(ben.balance("USD"), 100_000);
    server.verify();
}

#[test]
fn nobody_looks_at_their_own_payments() {
    let server = server();
    let (mut ada, mut support, mut other) =
        (server.user("ada"), server.operator("support"), server.operator("admin"));
    let payment = ada.pay_with_key("to them", &to(&support, "200.00")).expect(202).str("id");
    assert!(waiting(&mut support).is_empty());
    for what in ["approve", "reject"] {
        decide(&mut support, &payment, what, "mine").problem(403, "permission_denied");
    }
    assert_eq!(waiting(&mut other).len(), 1);
    decide(&mut other, &payment, "approve", "fine").expect(200);
    // Without a note, or of a payment that is none, nothing is decided.
    decide(&mut other, "pay_01h455vb4pex5vsknk084sn02q", "approve", "?").problem(404, "not_found");
    let plain = ada.pay_with_key("plain", &to(&support, "1.00")).expect(201).str("id");
    decide(&mut other, &plain, "reject", "?").problem(409, "payment_state");
    server.verify();
}

#[test]
fn what_nobody_looks_at_lapses() {
    let server = server();
    let (mut ada, ben, mut admin) = (server.user("ada"), server.user("ben"), server.operator("admin"));
    let payment = ada.pay_with_key("large", &to(&ben, "200.00")).expect(202).str("id");
    admin.client.post("/sandbox/clock", &json!({"advance": 7 * 86_400})).expect(200);
    let mut ada = ada.log_in_again(server.client());
    let fresh = admin.client.post("/token/refresh", &json!({"refresh_token": admin.refresh})).expect(200);
    admin.client.set_token(&fresh.str("access_token"));
    decide(&mut admin, &payment, "approve", "late").problem(409, "payment_state");
    let path = format!("/payment/{payment}");
    until("the payment lapses", || ada.client.get(&path).expect(200).str("status") == "expired");
    assert_eq!(wallet(&mut ada), ("1000.00".into(), "0.00".into()));
    assert!(waiting(&mut admin).is_empty());
    server.verify();
}

#[test]
fn a_payment_to_be_captured_is_held_on() {
    let server = server();
    let (mut ada, mut ben, mut support) =
        (server.user("ada"), server.user("ben"), server.operator("support"));
    let body = json!({"amount": "200.00", "currency": "USD", "to": ben.id, "capture": "manual"});
    let payment = ada.pay_with_key("large", &body).expect(202).str("id");
    ben.client.post(&format!("/payment/{payment}/capture"), &json!({})).problem(409, "payment_state");
    let approved = decide(&mut support, &payment, "approve", "fine").expect(200);
    assert_eq!(approved.str("status"), "authorized");
    assert_eq!(wallet(&mut ada), ("800.00".into(), "200.00".into()));
    let captured = ben.client.post(&format!("/payment/{payment}/capture"), &json!({"amount": "150.00"}));
    assert_eq!(captured.expect(200).str("amount_captured"), "150.00");
    assert_eq!(wallet(&mut ada), ("850.00".into(), "0.00".into()));
    server.verify();
}

#[test]
fn a_request_whose_payment_is_stopped_is_open_again() {
    let server = server();
    let (mut ada, mut ben, mut support) =
        (server.user("ada"), server.user("ben"), server.operator("support"));
    let asked = ben.client.post("/requests", &json!({"amount": "150.00", "currency": "USD"})).expect(201);
    let path = format!("/requests/{}", asked.str("id"));
    let pay = |user: &mut User, key: &str| {
        user.client.call(&Request::post(&format!("{path}/pay"), &json!({})).key(key))
    };
    let payment = pay(&mut ada, "one").expect(202).str("id");
    assert_eq!(ben.client.get(&path).expect(200).str("status"), "paid");
    pay(&mut ada, "two").problem(409, "request_state");
    decide(&mut support, &payment, "reject", "no").expect(200);
    assert_eq!(ben.client.get(&path).expect(200).str("status"), "open");
    assert_eq!(pay(&mut ada, "one").expect(202).str("id"), payment, "a key stands for its answer");
    let second = pay(&mut ada, "three").expect(202).str("id");
    decide(&mut support, &second, "approve", "yes").expect(200);
    assert_eq!(ben.client.get(&path).expect(200).str("status"), "paid");
    assert_eq!(ben.balance("USD"), 115_000);
    server.verify();
}

#[test]
fn a_rule_may_decline() {
    let server = Server::builder()
        .env("FARTHING_RISK_DECLINES", "decline above 2")
        .env("FARTHING_RISK_FAN_OUT", "decline above 1")
        .start();
    let (mut ada, mut ben, cy) = (server.user("ada"), server.user("ben"), server.user("cy"));
    let mut auditor = server.operator("auditor");
    ada.pay_with_key("ben", &to(&ben, "1.00")).expect(201);
    let refused = ada.pay_with_key("cy", &to(&cy, "2.00")).problem(402, "payment_declined");
    let payment = refused.str("payment");
    let again = ada.pay_with_key("cy", &to(&cy, "2.00")).problem(402, "payment_declined");
    assert_eq!((again.str("payment"), again.header("idempotent-replayed")), (payment.clone(), Some("true")));
    let kept = ada.client.get(&format!("/payment/{payment}")).expect(200).json();
    assert_eq!(kept["status"], "declined");
    assert_eq!(kept["decline"], json!({"code": "payment_declined", "available": Value::Null}));
    assert_eq!(ada.balance("USD"), 99_900);
    let event = &told(&mut auditor, &ada)[0];
    assert_eq!((&event["rule"], &event["figure"]), (&json!("fan_out"), &json!("2")));
    // Who pays too much too often is stopped as well, whatever it is.
    for key in ["a", "b"] {
        ben.pay_with_key(key, &to(&ada, "5000.00")).problem(402, "insufficient_funds");
    }
    ben.pay_with_key("c", &to(&ada, "1.00")).expect(201);
    ben.pay_with_key("d", &to(&ada, "5000.00")).problem(402, "insufficient_funds");
    ben.pay_with_key("e", &to(&ada, "1.00")).problem(402, "payment_declined");
    server.verify();
}

#[test]
fn a_rule_may_ask_for_a_code_or_for_an_operator_where_there_is_none() {
    let server = Server::builder().env("FARTHING_RISK_NEW_PAYEE", "step_up above 100").start();
    let (mut ada, mut ben, cy) = (server.user("ada"), server.user("ben"), server.user("cy"));
    let mut auditor = server.operator("auditor");
    let (factor, _) = set_up(&mut ada);
    ada.pay_with_key("large", &to(&cy, "200.00")).problem(401, "otp_required");
    assert_eq!(told(&mut auditor, &ada)[0]["action"], "step_up");
    let mut body = to(&cy, "200.00");
    body["otp"] = factor.code(1).into();
    ada.pay_with_key("large", &body).expect(201);
    ben.pay_with_key("large", &to(&cy, "200.00")).expect(202);
    server.verify();
}

#[test]
fn a_new_password_and_a_new_network_are_looked_at() {
    let server = Server::builder()
        .env("FARTHING_RISK_NEW_PASSWORD", "review above 10")
        .env("FARTHING_RISK_NEW_ADDRESS", "review above 20")
        .start();
    let (mut ada, mut ben) = (server.user("ada"), server.user("ben"));
    let mut auditor = server.operator("auditor");
    let house = |amount: &str| json!({"amount": amount, "currency": "USD"});
    ada.pay_with_key("before", &house("100.00")).expect(201);
    let change = json!({"current_password": PASSWORD, "new_password": "another fine long password"});
    ada.client.post("/me/password", &change).expect(204);
    ada.pay_with_key("small", &house("10.00")).expect(201);
    ada.pay_with_key("large", &house("10.01")).expect(202);

    ben.log_in_again(server.client()).pay_with_key("same network", &house("30.00")).expect(201);
    let mut elsewhere = ben.log_in_again(server.client().connecting_from([127, 0, 0, 77]));
    elsewhere.pay_with_key("small", &house("20.00")).expect(201);
    elsewhere.pay_with_key("large", &house("20.01")).expect(202);
    // It is the account that is looked at, whichever session pays.
    ben.pay_with_key("at home", &house("20.01")).expect(202);
    assert_eq!(told(&mut auditor, &ben)[0]["rule"], "new_address");
    server.verify();
}

#[test]
fn the_same_payment_under_another_key_is_told_and_goes_through() {
    let server = Server::start();
    let (mut ada, mut auditor) = (server.user("ada"), server.operator("auditor"));
    let lunch = json!({"amount": "5.00", "currency": "USD", "description": "Lunch"});
    for key in ["click", "click again", "and again"] {
        ada.pay_with_key(key, &lunch).expect(201);
    }
    let events = told(&mut auditor, &ada);
    assert_eq!(events.len(), 1, "told when the limit is passed");
    assert_eq!((&events[0]["rule"], &events[0]["action"]), (&json!("same_payment"), &json!("allow")));
    // Where the limits are is not for the payer to see.
    let own = rows(&ada.client.get("/me/activity?limit=100").expect(200).json());
    let own = own.iter().find(|event| event["event"] == "payment_suspicious").unwrap();
    assert_eq!(own["detail"], json!({}));
    server.verify();
}

#[test]
fn switched_off_nothing_is_looked_at() {
    let server = Server::builder()
        .env("FARTHING_RISK_NEW_PAYEE", "decline above 0")
        .env("FARTHING_RISK_ENABLED", "false")
        .start();
    let (mut ada, ben) = (server.user("ada"), server.user("ben"));
    ada.pay_with_key("any", &to(&ben, "500.00")).expect(201);
}

/// What was paid before a restart still counts after it, however much was got since.
#[test]
fn the_past_is_remembered_across_a_restart() {
    let mut server = Server::start();
    let (ada, mut shop) = (server.user("ada"), server.user("shop"));
    let pay = |server: &Server, key: &str| {
        let mut ada = ada.log_in_again(server.client());
        ada.pay_with_key(key, &json!({"amount": "1.00", "currency": "USD"}))
    };
    for key in ["1", "2", "3"] {
        pay(&server, key).expect(201);
    }
    let cent = |number| json!({"amount": "0.01", "currency": "USD", "to": ada.email, "idempotency_key": format!("{number}")});
    let cents: Vec<_> = (0..200).map(cent).collect();
    shop.client.post("/payments/batch", &json!({"payments": cents})).expect(200);
    server.terminate();
    server.set_env("FARTHING_RISK_PAYER_PAYMENTS", "decline above 3");
    server.start_again();
    pay(&server, "4").problem(402, "payment_declined");
    server.verify();
}

#[test]
fn what_was_taken_back_does_not_count() {
    let server = Server::builder().env("FARTHING_RISK_PAYER_PAYMENTS", "decline above 3").start();
    let mut ada = server.user("ada");
    let small = |key: &str| json!({"amount": "1.00", "currency": "USD", "idempotency_key": key});
    let unknown =
        json!({"amount": "1.00", "currency": "USD", "to": "nobody@example.org", "idempotency_key": "none"});
    for _ in 0..3 {
        let batch = json!({"mode": "all_or_nothing", "payments": [small("a"), small("b"), unknown]});
        ada.client.post("/payments/batch", &batch).expect(422);
    }
    for key in ["1", "2", "3"] {
        ada.pay_with_key(key, &json!({"amount": "1.00", "currency": "USD"})).expect(201);
    }
    ada.pay_with_key("4", &json!({"amount": "1.00", "currency": "USD"})).problem(402, "payment_declined");
}

#[test]
fn what_waits_and_for_how_long_is_a_metric() {
    let server = server();
    let (mut ada, ben, mut admin) = (server.user("ada"), server.user("ben"), server.operator("admin"));
    let told = |line: &str| {
        let text = server.client().get("/metrics").expect(200).text();
        assert!(text.lines().any(|found| found == line), "no {line:?} in {text}");
    };
    told("farthing_reviews_waiting 0");
    told("farthing_review_oldest_age_seconds 0");
    let held: Vec<String> = ["one", "two"]
        .iter()
        .map(|key| ada.pay_with_key(key, &to(&ben, "200.00")).expect(202).str("id"))
        .collect();
    told("farthing_reviews_waiting 2");
    admin.client.post("/sandbox/clock", &json!({"advance": 600})).expect(200);
    let text = server.client().get("/metrics").expect(200).text();
    let age = text.lines().find_map(|line| line.strip_prefix("farthing_review_oldest_age_seconds "));
    assert!((600..700).contains(&age.unwrap().parse().unwrap()), "{age:?}");
    for payment in &held {
        decide(&mut admin, payment, "reject", "no").expect(200);
    }
    told("farthing_reviews_waiting 0");
    told("farthing_review_oldest_age_seconds 0");
}
