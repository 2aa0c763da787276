//! `POST /admin/deposits`, `POST /admin/withdrawals`, and what waits for a second operator.

use serde_json::{Value, json};

use crate::support::lists::rows;
use crate::support::shape::{assert_fails, assert_id};
use crate::support::{Request, Response, Server, User};

fn order(operator: &mut User, what: &str, user: &User, amount: &str, key: &str) -> Response {
    let body = json!({"user": user.id, "amount": amount, "currency": "EUR", "reference": "slip 7"});
    operator.client.call(&Request::post(&format!("/admin/{what}"), &body).key(key))
}

#[test]
fn cash_goes_in_and_out() {
    let server = Server::start();
    let (mut ada, mut cashier) = (server.user("ada"), server.operator("cashier"));
    let deposit = order(&mut cashier, "deposits", &ada, "50.00", "in").expect(201).json();
    assert_id(deposit["id"].as_str().unwrap(), "txn");
    for (member, value) in [
        ("type", json!("deposit")),
        ("status", json!("succeeded")),
        ("user", json!({"id": ada.id, "name": "ada"})),
        ("amount", json!("50.00")),
        ("currency", json!("EUR")),
        ("reference", json!("slip 7")),
    ] {
        assert_eq!(deposit[member], value, "{member}: {deposit}");
    }
    order(&mut cashier, "withdrawals", &ada, "20.00", "out").expect(201);
    let declined =
        order(&mut cashier, "withdrawals", &ada, "30.01", "more").problem(402, "insufficient_funds");
    assert_eq!(declined.str("available"), "30.00");
    let again = order(&mut cashier, "withdrawals", &ada, "30.01", "more").problem(402, "insufficient_funds");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let again = order(&mut cashier, "deposits", &ada, "50.00", "in").expect(201);
    assert_eq!((again.json(), again.header("idempotent-replayed")), (deposit, Some("true")));
    let refused =
        order(&mut cashier, "withdrawals", &ada, "50.00", "in").problem(422, "idempotency_key_reused");
    assert_eq!(refused.json()["fields"], json!(["call"]));
    assert_eq!(ada.balance("EUR"), 3_000);
    let movements = ada.list("/transactions?currency=EUR");
    let told: Vec<_> =
        movements.iter().map(|row| (&row["type"], &row["direction"], &row["status"])).collect();
    assert_eq!(
        told,
        [
            (&json!("withdrawal"), &json!("out"), &json!("declined")),
            (&json!("withdrawal"), &json!("out"), &json!("succeeded")),
            (&json!("deposit"), &json!("in"), &json!("succeeded")),
        ]
    );
    assert_eq!(movements[2]["counterparty"], json!({"id": "cash", "name": Value::Null}));
    assert!(cashier.list("/transactions").is_empty());
    server.verify();
}

#[test]
fn only_cashiers_move_cash_and_never_their_own() {
    let server = Server::start();
    let (mut ada, mut cashier) = (server.user("ada"), server.operator("cashier"));
    let mut support = server.operator("support");
    let own = User { client: server.client(), ..server.operator("admin") };
    for what in ["deposits", "withdrawals"] {
        order(&mut support, what, &ada, "1.00", "s").problem(403, "permission_denied");
        let body = json!({"user": ada.id, "amount": "1", "currency": "EUR", "reference": "x"});
        ada.client.post(&format!("/admin/{what}"), &body).problem(403, "permission_denied");
        let me =
            User { client: server.client(), id: cashier.id.clone(), ..server.user(&format!("{what}-eve")) };
        order(&mut cashier, what, &me, "1.00", "me").problem(403, "permission_denied");
        let nobody =
            json!({"user": "nobody@example.org", "amount": "1", "currency": "EUR", "reference": "x"});
        cashier.client.post(&format!("/admin/{what}"), &nobody).problem(404, "recipient_not_found");
        assert_fails(
            &cashier.client.post(&format!("/admin/{what}"), &json!({})),
            &["user", "amount", "currency", "reference"],
        );
    }
    order(&mut cashier, "deposits", &own, "1.00", "other").expect(201);
}

#[test]
fn above_the_amount_a_second_operator_lets_it_through() {
    let server = Server::builder().env("FARTHING_SECURITY_FOUR_EYES_ABOVE", "100").start();
    let (mut ada, mut cashier, mut admin) =
        (server.user("ada"), server.operator("cashier"), server.operator("admin"));
    order(&mut cashier, "deposits", &ada, "100.00", "small").expect(201);
    let waits = order(&mut cashier, "deposits", &ada, "100.01", "large").expect(202);
    assert_eq!(waits.str("status"), "pending");
    assert_eq!(ada.balance("EUR"), 10_000);
    let listed = rows(&admin.client.get("/admin/cash").expect(200).json());
    assert_eq!(listed, [waits.json()]);
    let id = waits.str("id");
    cashier.client.post(&format!("/admin/cash/{id}/approve"), &json!({})).problem(403, "permission_denied");
    let refused =
        order(&mut cashier, "deposits", &ada, "100.02", "large").problem(422, "idempotency_key_reused");
    assert_eq!(refused.json()["fields"], json!(["amount"]));
    let moved =
        admin.client.post(&format!("/admin/cash/{id}/approve"), &json!({"note": "counted"})).expect(201);
    assert_eq!((moved.str("id"), moved.str("status")), (id.clone(), "succeeded".to_owned()));
    assert_eq!(ada.balance("EUR"), 20_001);
    for what in ["approve", "reject"] {
        admin.client.post(&format!("/admin/cash/{id}/{what}"), &json!({})).problem(409, "cash_decided");
    }
    // The key still stands for its first answer.
    let again = order(&mut cashier, "deposits", &ada, "100.01", "large").expect(202);
    assert_eq!((again.json(), again.header("idempotent-replayed")), (waits.json(), Some("true")));
    let stopped = order(&mut cashier, "withdrawals", &ada, "150.00", "out").expect(202).str("id");
    admin.client.post(&format!("/admin/cash/{stopped}/reject"), &json!({"note": "no slip"})).expect(204);
    let short = order(&mut cashier, "withdrawals", &ada, "900.00", "much").expect(202).str("id");
    admin.client.post(&format!("/admin/cash/{short}/approve"), &json!({})).problem(402, "insufficient_funds");
    let listed = rows(&admin.client.get("/admin/cash").expect(200).json());
    assert_eq!(listed.iter().map(|row| row["id"].clone()).collect::<Vec<_>>(), [json!(short)]);
    assert_eq!(ada.balance("EUR"), 20_001);
    server.verify();
}

#[test]
fn cash_of_a_user_who_was_frozen_meanwhile_still_waits() {
    let server = Server::builder().env("FARTHING_SECURITY_FOUR_EYES_ABOVE", "100").start();
    let (mut ada, mut cashier) = (server.user("ada"), server.operator("cashier"));
    let (mut support, mut admin) = (server.operator("support"), server.operator("admin"));
    let mut wait =
        |what: &str, key: &str| order(&mut cashier, what, &ada, "150.00", key).expect(202).str("id");
    let (first, second) = (wait("deposits", "in"), wait("withdrawals", "out"));
    let mut freeze = |frozen: bool| {
        let body = json!({"frozen": frozen});
        support
            .client
            .call(&Request::new("PATCH", &format!("/admin/users/{}", ada.id)).json(&body))
            .expect(200);
    };
    freeze(true);
    let mut decide =
        |id: &str, what: &str| admin.client.post(&format!("/admin/cash/{id}/{what}"), &json!({}));
    decide(&first, "approve").problem(403, "account_frozen");
    decide(&second, "approve").problem(403, "account_frozen");
    decide(&second, "reject").expect(204);
    freeze(false);
    decide(&first, "approve").expect(201);
    assert_eq!(ada.balance("EUR"), 15_000);
    server.verify();
}

#[test]
fn the_key_of_cash_that_waits_is_used_up_for_every_other_call() {
    let server = Server::builder().env("FARTHING_SECURITY_FOUR_EYES_ABOVE", "100").start();
    let (ada, mut cashier, mut admin) =
        (server.user("ada"), server.operator("cashier"), server.operator("admin"));
    cashier.client.post("/topup", &json!({"amount": "50.00", "currency": "EUR"})).expect(201);
    let pay = json!({"amount": "1.00", "currency": "EUR"});
    let paid = cashier.client.call(&Request::post("/payment", &pay)).expect(201).str("id");
    let link = admin.client.post("/requests", &pay).expect(201).str("id");
    let waits = order(&mut cashier, "deposits", &ada, "150.00", "slip").expect(202);
    let ask_with_its_key = |cashier: &mut User| {
        for (path, body) in [
            ("/payment".to_owned(), pay.clone()),
            ("/topup".to_owned(), pay.clone()),
            (format!("/requests/{link}/pay"), json!({})),
            (format!("/payment/{paid}/refund"), json!({})),
        ] {
            let refused = cashier.client.call(&Request::post(&path, &body).key("slip"));
            assert_eq!(
                refused.problem(422, "idempotency_key_reused").json()["fields"],
                json!(["call"]),
                "{path}"
            );
        }
        let many = json!({"mode": "one_by_one", "payments": [{"amount": "1.00", "currency": "EUR", "idempotency_key": "slip"}]});
        let many = cashier.client.post("/payments/batch", &many).expect(200).json();
        assert_eq!(many["results"][0]["error"]["code"], "idempotency_key_reused", "{many}");
    };
    ask_with_its_key(&mut cashier);
    admin.client.post(&format!("/admin/cash/{}/approve", waits.str("id")), &json!({})).expect(201);
    ask_with_its_key(&mut cashier);
    let again = order(&mut cashier, "deposits", &ada, "150.00", "slip").expect(202);
    assert_eq!((again.json(), again.header("idempotent-replayed")), (waits.json(), Some("true")));
    // It stands for nothing of anybody else's.
    admin.client.post("/topup", &pay).expect(201);
    admin.client.call(&Request::post("/payment", &pay).key("slip")).expect(201);
    server.verify();
}
