//! `POST /payment/{id}/capture`, `/void`, `/refund`: held payments and money that goes back.

use serde_json::{Value, json};

use crate::schedules::{advance, patient_server};
use crate::support::lists::rows;
use crate::support::shape::{assert_fails, assert_id, assert_members, codes_of};
use crate::support::{Request, Response, Server, User, until};

/// A payment of 10.00 that its payee is still to capture.
fn hold(from: &mut User, to: &User) -> String {
    let body = json!({"amount": "10.00", "currency": "USD", "to": to.id, "capture": "manual", "description": "Hotel"});
    let key = format!("hold {}", from.list("/payments").len());
    let payment = from.pay_with_key(&key, &body).expect(201);
    assert_eq!(payment.str("status"), "authorized");
    payment.str("id")
}

/// A payment of 10.00 that is paid.
fn paid(from: &mut User, to: &User) -> String {
    let body = json!({"amount": "10.00", "currency": "USD", "to": to.id, "description": "Lunch"});
    let key = format!("paid {}", from.list("/payments").len());
    from.pay_with_key(&key, &body).expect(201).str("id")
}

fn step(user: &mut User, payment: &str, what: &str, body: &Value) -> Response {
    user.client.post(&format!("/payment/{payment}/{what}"), body)
}

fn wallet(user: &mut User) -> [String; 3] {
    let wallets = rows(&user.client.get("/wallets").expect(200).json());
    let usd = wallets.iter().find(|wallet| wallet["currency"] == "USD").unwrap();
    ["balance", "available", "held"].map(|member| usd[member].as_str().unwrap().to_owned())
}

fn state(user: &mut User, payment: &str) -> [String; 3] {
    let payment = user.client.get(&format!("/payment/{payment}")).expect(200);
    ["status", "amount_captured", "amount_refunded"].map(|member| payment.str(member))
}

#[test]
fn held_money_is_still_the_payers_and_cannot_be_spent() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let id = hold(&mut ada, &bob);
    assert_eq!(wallet(&mut ada), ["1000.00", "990.00", "10.00"]);
    assert_eq!(wallet(&mut bob), ["1000.00", "1000.00", "0.00"]);
    for user in [&mut ada, &mut bob] {
        assert_eq!(state(user, &id), ["authorized", "0.00", "0.00"]);
        assert_eq!(user.list("/payments").len(), 1);
        // A hold is no movement.
        assert_eq!(user.list("/transactions").len(), 1);
        user.client.get(&format!("/transactions/{}", id.replace("pay_", "txn_"))).problem(404, "not_found");
    }
    let all = json!({"amount": "1000.00", "currency": "USD", "to": bob.id});
    assert_eq!(ada.pay(&all).problem(402, "insufficient_funds").str("available"), "990.00");
    server.verify();
}

#[test]
fn a_capture_takes_a_part_and_releases_the_rest() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let (id, other) = (hold(&mut ada, &bob), hold(&mut ada, &bob));
    let captured = step(&mut bob, &id, "capture", &json!({"amount": "7.5"})).expect(200).json();
    assert_eq!(captured, bob.client.get(&format!("/payment/{id}")).expect(200).json());
    assert_eq!(state(&mut ada, &id), ["succeeded", "7.50", "0.00"]);
    assert_eq!(wallet(&mut ada), ["992.50", "982.50", "10.00"]);
    assert_eq!(wallet(&mut bob), ["1007.50", "1007.50", "0.00"]);
    // What a movement leaves counts what is held.
    for (user, direction, balance) in [(&mut ada, "out", "992.50"), (&mut bob, "in", "1007.50")] {
        let movement = &user.list("/transactions")[0];
        for (member, value) in [
            ("type", json!("payment")),
            ("direction", json!(direction)),
            ("amount", json!("7.50")),
            ("payment", json!(id)),
            ("status", json!("succeeded")),
            ("description", json!("Hotel")),
            ("balance_after", json!(balance)),
        ] {
            assert_eq!(movement[member], value, "{member}: {movement}");
        }
    }
    step(&mut bob, &other, "capture", &json!({})).expect(200);
    assert_eq!(wallet(&mut ada), ["982.50", "982.50", "0.00"]);
    let again = step(&mut bob, &id, "capture", &json!({})).problem(409, "payment_state");
    assert_eq!(again.str("payment_status"), "succeeded");
    assert!(again.str("detail").contains("succeeded"));
    step(&mut bob, &id, "void", &json!({})).problem(409, "payment_state");
    server.verify();
}

#[test]
fn a_void_releases_everything() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let id = hold(&mut ada, &bob);
    bob.client.post_empty(&format!("/payment/{id}/void")).expect(200);
    assert_eq!(wallet(&mut ada), ["1000.00", "1000.00", "0.00"]);
    for (what, body) in [("capture", json!({})), ("void", json!({})), ("refund", json!({}))] {
        let refused = step(&mut bob, &id, what, &body).problem(409, "payment_state");
        assert_eq!(refused.str("payment_status"), "voided");
    }
    assert_eq!(ada.list("/transactions").len(), 1);
    assert_eq!(state(&mut ada, &id), ["voided", "0.00", "0.00"]);
    server.verify();
}

#[test]
fn a_voided_payment_is_not_what_the_next_one_repeats() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let body = json!({"amount": "10.00", "currency": "USD", "to": bob.id, "capture": "manual"});
    let first = ada.pay(&body).expect(201).str("id");
    assert_eq!(ada.pay(&body).problem(409, "duplicate_payment").str("payment"), first);
    step(&mut bob, &first, "void", &json!({})).expect(200);
    ada.pay(&body).expect(201);
}

#[test]
fn a_hold_lapses_even_if_nobody_has_released_it_yet() {
    let server = Server::builder().env("FARTHING_PAYMENTS_HOLD_SECONDS", "1").start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let id = hold(&mut ada, &bob);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    for what in ["capture", "void"] {
        let late = step(&mut bob, &id, what, &json!({})).problem(409, "payment_state");
        assert_eq!(late.str("payment_status"), "expired");
    }
    // Then the worker releases it.
    let is_released = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        wallet(&mut ada) == ["1000.00", "1000.00", "0.00"]
    });
    assert!(is_released);
    assert_eq!(state(&mut bob, &id), ["expired", "0.00", "0.00"]);
    assert_eq!(ada.list("/transactions").len(), 1);
    server.verify();
}

#[test]
fn a_hold_stands_for_seven_days_unless_told_otherwise() {
    let server = patient_server();
    let (mut ada, mut bob, mut admin) = (server.user("ada"), server.user("bob"), server.operator("admin"));
    let [captured, left] = [(); 2].map(|()| hold(&mut ada, &bob));
    advance(&mut admin, 7 * 86_400 - 60, &mut [&mut ada, &mut bob]);
    // Two rounds of the worker.
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert_eq!(wallet(&mut ada), ["1000.00", "980.00", "20.00"]);
    assert_eq!(state(&mut ada, &left), ["authorized", "0.00", "0.00"]);
    step(&mut bob, &captured, "capture", &json!({})).expect(200);
    advance(&mut admin, 60, &mut [&mut ada, &mut bob]);
    step(&mut bob, &left, "capture", &json!({})).problem(409, "payment_state");
    until("the hold is released", || wallet(&mut ada) == ["990.00", "990.00", "0.00"]);
    assert_eq!(state(&mut ada, &left), ["expired", "0.00", "0.00"]);
    server.verify();
}

#[test]
fn what_lapsed_while_no_server_ran_is_released_at_the_next_start() {
    let mut server = Server::builder().env("FARTHING_PAYMENTS_HOLD_SECONDS", "2").start();
    let (mut ada, bob) = (server.user("ada"), server.user("bob"));
    for _ in 0..3 {
        hold(&mut ada, &bob);
    }
    server.kill();
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    server.start_again();
    ada.client = server.client().with_token(&ada.token);
    let is_released = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        wallet(&mut ada)[2] == "0.00"
    });
    assert!(is_released);
    server.verify();
}

#[test]
fn refunds_go_in_steps_up_to_what_was_captured() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let id = paid(&mut ada, &bob);
    let refund = step(&mut bob, &id, "refund", &json!({"amount": "4", "reason": "Cold"})).expect(201).json();
    assert_members(
        &refund,
        &[
            "id",
            "payment",
            "transaction",
            "status",
            "amount",
            "currency",
            "reason",
            "payment_status",
            "amount_refunded",
            "created_at",
        ],
    );
    assert_id(refund["id"].as_str().unwrap(), "rfd");
    for (member, value) in [
        ("payment", json!(id)),
        ("status", json!("succeeded")),
        ("amount", json!("4.00")),
        ("reason", json!("Cold")),
        ("payment_status", json!("partially_refunded")),
        ("amount_refunded", json!("4.00")),
    ] {
        assert_eq!(refund[member], value, "{member}: {refund}");
    }
    assert_eq!(state(&mut ada, &id), ["partially_refunded", "10.00", "4.00"]);
    let too_much = step(&mut bob, &id, "refund", &json!({"amount": "6.01"}));
    assert_fails(&too_much, &["amount"]);
    assert!(codes_of(&too_much, "amount").contains("more_than_there_is"), "{too_much}");
    step(&mut bob, &id, "refund", &json!({})).expect(201);
    assert_eq!(state(&mut bob, &id), ["refunded", "10.00", "10.00"]);
    let again = step(&mut bob, &id, "refund", &json!({"amount": "0.01"})).problem(409, "payment_state");
    assert_eq!(again.str("payment_status"), "refunded");
    let movement = &ada.list("/transactions?type=refund")[1];
    for (member, value) in [
        ("type", json!("refund")),
        ("direction", json!("in")),
        ("amount", json!("4.00")),
        ("payment", json!(id)),
        ("description", json!("Cold")),
        ("balance_after", json!("994.00")),
        ("id", refund["transaction"].clone()),
    ] {
        assert_eq!(movement[member], value, "{member}: {movement}");
    }
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (100_000, 100_000));
    server.verify();
}

#[test]
fn a_refund_of_more_than_the_payee_has_is_declined_and_kept() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let id = paid(&mut ada, &bob);
    bob.pay(&json!({"amount": "1005.00", "currency": "USD", "to": ada.id})).expect(201);
    let path = format!("/payment/{id}/refund");
    let request = Request::post(&path, &json!({})).key("back");
    let declined = bob.client.call(&request).problem(402, "insufficient_funds");
    assert_eq!((declined.str("payment"), declined.str("available")), (id.clone(), "5.00".to_owned()));
    bob.top_up("100.00", "USD");
    // The key stands for the answer that it got.
    let again = bob.client.call(&request).problem(402, "insufficient_funds");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let declined = &bob.list("/transactions?status=declined")[0];
    assert_eq!((&declined["type"], &declined["balance_after"]), (&json!("refund"), &Value::Null));
    assert!(ada.list("/transactions?status=declined").is_empty());
    assert_eq!(state(&mut ada, &id), ["succeeded", "10.00", "0.00"]);
    bob.client.call(&Request::post(&path, &json!({})).key("back again")).expect(201);
    server.verify();
}

#[test]
fn each_step_is_idempotent_as_payments_are() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let (held, other, id) = (hold(&mut ada, &bob), hold(&mut ada, &bob), paid(&mut ada, &bob));
    let send = |bob: &mut User, payment: &str, what: &str, key: &str, body: &Value| {
        bob.client.call(&Request::post(&format!("/payment/{payment}/{what}"), body).key(key))
    };
    let all = json!({"amount": "10.00"});
    let first = send(&mut bob, &held, "capture", "c", &json!({})).expect(200);
    let refund = send(&mut bob, &id, "refund", "r", &json!({"amount": "1", "reason": "Cold"})).expect(201);
    send(&mut bob, &held, "refund", "h", &json!({})).expect(201);
    // What happened to it since does not change what was answered then; all of it is all of it.
    for body in [json!({}), all.clone()] {
        let again = send(&mut bob, &held, "capture", "c", &body).expect(200);
        assert_eq!((&again.body, again.header("idempotent-replayed")), (&first.body, Some("true")));
    }
    let again = send(&mut bob, &id, "refund", "r", &json!({"amount": "1.00", "reason": "Cold"})).expect(201);
    assert_eq!(again.body, refund.body);
    for (payment, what, key, body, fields) in [
        (&held, "capture", "c", json!({"amount": "3"}), json!(["amount"])),
        (&other, "capture", "c", json!({}), json!(["payment"])),
        (&held, "void", "c", json!({}), json!(["call"])),
        (&id, "refund", "r", json!({}), json!(["amount", "reason"])),
        (&id, "refund", "r", json!({"amount": "1"}), json!(["reason"])),
    ] {
        let refused = send(&mut bob, payment, what, key, &body).problem(422, "idempotency_key_reused");
        assert_eq!(refused.json()["fields"], fields, "{refused}");
    }
    let body = json!({"amount": "10.00", "currency": "USD"});
    let refused = bob.pay_with_key("c", &body).problem(422, "idempotency_key_reused");
    assert_eq!(refused.json()["fields"], json!(["call"]));
    let (hotel, mut now) = (json!({"amount": "1", "currency": "USD", "capture": "manual"}), json!({}));
    ada.pay_with_key("m", &hotel).expect(201);
    now.clone_from(&hotel);
    now["capture"] = json!("automatic");
    let refused = ada.pay_with_key("m", &now).problem(422, "idempotency_key_reused");
    assert_eq!(refused.json()["fields"], json!(["capture"]));
}

#[test]
fn only_who_may_takes_a_payment_further() {
    let server = Server::start();
    let (mut ada, mut bob, mut eve) = (server.user("ada"), server.user("bob"), server.user("eve"));
    let (held, id) = (hold(&mut ada, &bob), paid(&mut ada, &bob));
    for (payment, what) in [(&held, "capture"), (&held, "void"), (&id, "refund")] {
        step(&mut ada, payment, what, &json!({})).problem(403, "permission_denied");
        step(&mut eve, payment, what, &json!({})).problem(404, "not_found");
    }
    let mut support = server.operator("support");
    // An operator gives back and gives up, and captures for the house alone.
    step(&mut support, &held, "capture", &json!({})).problem(403, "permission_denied");
    step(&mut support, &id, "refund", &json!({"reason": "Asked for"})).expect(201);
    step(&mut support, &held, "void", &json!({})).expect(200);
    let house = json!({"amount": "5.00", "currency": "USD", "capture": "manual"});
    let to_house = ada.pay(&house).expect(201).str("id");
    step(&mut support, &to_house, "capture", &json!({"amount": "4"})).expect(200);
    step(&mut support, &to_house, "refund", &json!({})).expect(201);
    let mut cashier = server.operator("cashier");
    step(&mut cashier, &id, "refund", &json!({})).problem(404, "not_found");
    // Never to a payment of the operator's own.
    ada.pay(&json!({"amount": "20.00", "currency": "USD", "to": support.id})).expect(201);
    let own = support.pay(&json!({"amount": "2.00", "currency": "USD", "to": ada.id})).expect(201).str("id");
    step(&mut support, &own, "refund", &json!({})).problem(403, "permission_denied");
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (100_000 - 1_800, 100_000));
    server.verify();
}

#[test]
fn amounts_are_of_the_payments_currency() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let held = hold(&mut ada, &bob);
    for (amount, code) in [
        (json!("0"), "zero"),
        (json!(-1), "negative"),
        (json!("1e1"), "malformed"),
        (json!("1.001"), "too_precise"),
        (json!("10.01"), "more_than_there_is"),
        (json!(true), "wrong_type"),
    ] {
        let refused = step(&mut bob, &held, "capture", &json!({"amount": amount}));
        assert_fails(&refused, &["amount"]);
        assert!(codes_of(&refused, "amount").iter().any(|told| told.contains(code)), "{refused}");
    }
    step(&mut bob, &held, "capture", &json!({"amount": 10})).expect(200);
}

/// Requests on connections of their own, all opened before the first is sent.
fn at_once(server: &Server, requests: &[Request]) -> Vec<Response> {
    crate::support::at_once(requests.iter().map(|request| (server.client(), request)).collect())
}

#[test]
fn of_a_hundred_refunds_of_everything_at_once_exactly_one_succeeds() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let id = paid(&mut ada, &bob);
    let refund = |number: usize| {
        let request = Request::post(&format!("/payment/{id}/refund"), &json!({"amount": "10.00"}));
        request.bearer(&bob.token).key(&format!("refund {number}"))
    };
    let answers = at_once(&server, &(0..100).map(refund).collect::<Vec<_>>());
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.problem(409, "payment_state");
    }
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (100_000, 100_000));
    server.verify();
}

#[test]
fn of_a_capture_and_a_void_at_once_exactly_one_succeeds() {
    let server = Server::start();
    let (mut ada, bob) = (server.user("ada"), server.user("bob"));
    for _ in 0..20 {
        let id = hold(&mut ada, &bob);
        let ask = |what: &str| Request::post(&format!("/payment/{id}/{what}"), &json!({})).bearer(&bob.token);
        let answers = at_once(&server, &[ask("capture"), ask("void"), ask("capture"), ask("void")]);
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        let status = state(&mut ada, &id)[0].clone();
        assert!(["succeeded", "voided"].contains(&status.as_str()), "{status}");
    }
    assert_eq!(wallet(&mut ada)[2], "0.00");
    server.verify();
}
