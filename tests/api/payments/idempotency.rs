//! `Idempotency-Key` on `POST /payment` and `POST /topup`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::shape::{assert_fails, assert_same_answer};
use crate::support::{PASSWORD, Request, Response, Server, User, count};

/// Which fields the refusal of a reused key names.
fn differing(response: &Response) -> BTreeSet<String> {
    let problem = response.json();
    let named = problem["fields"].as_array().or_else(|| problem["errors"].as_array());
    named
        .unwrap_or_else(|| panic!("no differing fields: {response}"))
        .iter()
        .map(|field| field.as_str().or_else(|| field["field"].as_str()).unwrap().to_owned())
        .collect()
}

fn assert_replay(first: &Response, again: &Response) {
    assert_eq!(again.header("idempotent-replayed"), Some("true"), "{again}");
    assert_eq!(again.status, first.status, "{again}");
    assert_eq!(again.without_request_id(), first.without_request_id());
}

#[test]
fn the_same_key_and_payload_give_the_first_answer_again() {
    let mut server = Server::start();
    let (mut ada, _bob) = (server.user("ada"), server.user("bob"));
    let body = json!({"amount": "1", "currency": "USD", "to": "bob@example.org"});
    let first = ada.pay_with_key("k-1", &body).expect(201);
    assert_eq!(first.header("idempotent-replayed"), None, "{first}");
    for _ in 0..3 {
        assert_replay(&first, &ada.pay_with_key("k-1", &body));
    }
    assert_eq!(ada.balance("USD"), 99_900);
    // Names are told as they were then.
    ada.client.call(&Request::new("PATCH", "/me").json(&json!({"name": "Countess"}))).expect(200);
    assert_replay(&first, &ada.pay_with_key("k-1", &body));
    server.kill();
    server.start_again();
    ada.client = server.client().with_token(&ada.token);
    assert_replay(&first, &ada.pay_with_key("k-1", &body));
    server.terminate();
    server.start_again();
    ada.client = server.client().with_token(&ada.token);
    assert_replay(&first, &ada.pay_with_key("k-1", &body));
    assert_eq!(ada.balance("USD"), 99_900);
}

#[test]
fn payloads_are_compared_as_parsed() {
    let server = Server::start();
    let (mut ada, bob) = (server.user("ada"), server.user("bob"));
    let first = ada
        .pay_with_key("k", &json!({"amount": "1", "currency": "USD", "to": "bob@example.org"}))
        .expect(201);
    for same in [
        r#"{"amount":"1.00","currency":"USD","to":"bob@example.org"}"#,
        r#"{"amount":1,"currency":"USD","to":"bob@example.org"}"#,
        r#"{"amount":1.0,"currency":"usd","to":"BOB@example.org"}"#,
        r#"{"to":"bob@example.org","currency":"USD","amount":"1"}"#,
        "{ \"amount\" : \"1\" ,\r\n\t\"currency\":\"USD\", \"to\":\"bob@example.org\" }",
        r#"{"amount":"\u0031","currency":"\u0055SD","to":"bob@example.org"}"#,
        r#"{"amount":"1","currency":"USD","to":"bob@example.org","description":null,"reference":null}"#,
        r#"{"amount":"1","currency":"USD","to":"bob@example.org","description":"","reference":""}"#,
        r#"{"amount":"1","currency":"USD","to":"bob@example.org","metadata":{}}"#,
        r#"{"amount":"1","currency":"USD","to":"bob@example.org","metadata":null}"#,
        &format!(r#"{{"amount":"1","currency":"USD","to":"{}"}}"#, bob.id),
    ] {
        let again = ada.client.call(&Request::new("POST", "/payment").json_text(same).key("k"));
        assert_replay(&first, &again);
    }
    // No `to`, a null and an empty one are all the house.
    let first = ada.pay_with_key("h", &json!({"amount": "2", "currency": "USD"})).expect(201);
    assert_replay(&first, &ada.pay_with_key("h", &json!({"amount": "2", "currency": "USD", "to": null})));
    assert_eq!(ada.list("/payments").len(), 2);
}

#[test]
fn another_payload_under_a_used_key_is_refused_and_the_difference_named() {
    let server = Server::start();
    let (mut ada, _bob, _eve) = (server.user("ada"), server.user("bob"), server.user("eve"));
    let body = json!({"amount": "1", "currency": "USD", "to": "bob@example.org", "description": "D", "reference": "R",
        "metadata": {"a": "1"}});
    ada.pay_with_key("k", &body).expect(201);
    let table: [(&[&str], Value); 8] = [
        (&["amount"], json!("1.01")),
        (&["currency"], json!("EUR")),
        (&["to"], json!("eve@example.org")),
        (&["to"], Value::Null),
        (&["description"], json!("d")),
        (&["description"], Value::Null),
        (&["reference"], json!("R ")),
        (&["metadata"], json!({"a": "2"})),
    ];
    for (fields, value) in table {
        let mut other = body.clone();
        other[fields[0]] = value;
        let refusal = ada.pay_with_key("k", &other).problem(422, "idempotency_key_reused");
        assert_eq!(differing(&refusal), fields.iter().map(|&field| field.to_owned()).collect(), "{refusal}");
        assert_ne!(refusal.header("idempotent-replayed"), Some("true"));
    }
    let other = json!({"amount": "2", "currency": "USD", "to": "eve@example.org", "description": "D"});
    let refusal = ada.pay_with_key("k", &other).problem(422, "idempotency_key_reused");
    let fields = ["amount", "to", "reference", "metadata"].map(str::to_owned);
    assert_eq!(differing(&refusal), fields.into_iter().collect(), "{refusal}");
    assert_eq!(ada.balance("USD"), 99_900);
}

#[test]
fn the_call_is_part_of_the_payload() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let body = json!({"amount": "1", "currency": "USD"});
    ada.pay_with_key("paid", &body).expect(201);
    let request = Request::post("/topup", &body);
    ada.client.call(&request.clone().key("paid")).problem(422, "idempotency_key_reused");
    assert!(ada.client.call(&request.key("topped up")).status < 300);
    ada.pay_with_key("topped up", &body).problem(422, "idempotency_key_reused");
}

#[test]
fn a_key_is_the_payers_own() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let body = json!({"amount": "1", "currency": "USD"});
    let first = ada.pay_with_key("same", &body).expect(201);
    let other = bob.pay_with_key("same", &body).expect(201);
    assert_eq!(other.header("idempotent-replayed"), None, "{other}");
    assert_ne!(first.str("id"), other.str("id"));
    // Another session of the same user is the same payer.
    let mut phone = ada.log_in_again(server.client());
    assert_replay(&first, &phone.pay_with_key("same", &body));
}

#[test]
fn a_key_is_printable_ascii_and_may_be_quoted() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let mut amount = 0;
    let mut fresh = || {
        amount += 1;
        json!({"amount": amount, "currency": "USD"})
    };
    let longest = "k".repeat(255);
    for (plain, quoted) in [
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\""),
        ("!#$%&'()*+,-./:;<=>?@[]^_`{|}~", "\"!#$%&'()*+,-./:;<=>?@[]^_`{|}~\""),
        ("1", "\"1\""),
        ("a\"b", r#""a\"b""#),
        ("a\\b", r#""a\\b""#),
        (longest.as_str(), &format!("\"{longest}\"")),
    ] {
        let body = fresh();
        let first = ada.pay_with_key(plain, &body).expect(201);
        assert_replay(&first, &ada.pay_with_key(quoted, &body));
    }
    let too_long = "k".repeat(256);
    for wrong in ["", "\"\"", &too_long, &format!("\"{too_long}\""), "schlüssel", "key\tkey", "\u{1f511}"] {
        ada.pay_with_key(wrong, &fresh()).problem(400, "idempotency_key_invalid");
    }
    let twice = Request::post("/payment", &fresh()).key("one").key("two");
    ada.client.call(&twice).problem(400, "idempotency_key_invalid");
    assert_eq!(ada.list("/payments").len(), 6);
}

#[test]
fn case_matters_in_a_key() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let body = json!({"amount": "1", "currency": "USD"});
    let lower = ada.pay_with_key("key", &body).expect(201).str("id");
    let upper = ada.pay_with_key("KEY", &body).expect(201).str("id");
    assert_ne!(lower, upper);
}

#[test]
fn a_refusal_that_is_no_answer_leaves_the_key_unused() {
    let server = Server::start();
    let mut ada = server.user("ada");
    assert_fails(&ada.pay_with_key("k", &json!({"amount": "-1", "currency": "USD"})), &["amount"]);
    let malformed = Request::new("POST", "/payment").json_text("{").key("k");
    ada.client.call(&malformed).problem(400, "malformed_json");
    let late = json!({"amount": "1", "currency": "USD", "to": "late@example.org"});
    ada.pay_with_key("k", &late).problem(404, "recipient_not_found");
    let to_oneself = json!({"amount": "1", "currency": "USD", "to": ada.id});
    assert_eq!(ada.pay_with_key("k", &to_oneself).status, 422);
    let anonymous = Request::post("/payment", &late).bearer("nonsense").key("k");
    ada.client.call(&anonymous).problem(401, "token_invalid");
    server.user("late");
    let paid = ada.pay_with_key("k", &late).expect(201);
    assert_eq!(paid.header("idempotent-replayed"), None, "{paid}");
    assert_replay(&paid, &ada.pay_with_key("k", &late));
}

#[test]
fn a_decline_is_an_answer_and_comes_again_as_it_was_then() {
    let mut server = Server::start();
    let mut ada = server.user("ada");
    let body = json!({"amount": "1000.01", "currency": "USD"});
    let declined = ada.pay_with_key("k", &body).problem(402, "insufficient_funds");
    ada.top_up("500", "USD");
    assert_replay(&declined, &ada.pay_with_key("k", &body));
    assert_eq!(declined.str("available"), "1000.00");
    server.kill();
    server.start_again();
    ada.client = server.client().with_token(&ada.token);
    assert_replay(&declined, &ada.pay_with_key("k", &body));
    ada.pay_with_key("another", &body).expect(201);
    assert_eq!(ada.list("/payments").len(), 2);
}

#[test]
fn a_top_up_with_a_key_happens_once() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let request = Request::post("/topup", &json!({"amount": "10", "currency": "USD"})).key("t");
    let first = ada.client.call(&request);
    assert!([200, 201].contains(&first.status), "{first}");
    assert_replay(&first, &ada.client.call(&request));
    assert_eq!(ada.balance("USD"), 101_000);
    let failing = json!({"amount": "10", "currency": "USD", "method": "sim_declined"});
    let request = Request::post("/topup", &failing).key("f");
    let first = ada.client.call(&request).problem(402, "topup_failed");
    assert_replay(&first, &ada.client.call(&request));
    let other = Request::post("/topup", &json!({"amount": "11", "currency": "USD"})).key("t");
    let refusal = ada.client.call(&other).problem(422, "idempotency_key_reused");
    assert_eq!(differing(&refusal), BTreeSet::from(["amount".to_owned()]));
}

#[test]
fn a_stranger_learns_nothing_from_a_key() {
    let server = Server::start();
    let (mut ada, mut eve) = (server.user("ada"), server.user("eve"));
    let body = json!({"amount": "7", "currency": "USD", "reference": "secret purpose"});
    ada.pay_with_key("known", &body).expect(201);
    let poor = json!({"amount": "5000", "currency": "USD"});
    let used_by_other = eve.pay_with_key("known", &poor).problem(402, "insufficient_funds");
    let unused = eve.pay_with_key("unknown", &poor).problem(402, "insufficient_funds");
    let forget =
        |response: &Response| response.without_request_id().replace(&response.str("payment"), "PAYMENT");
    assert_eq!(forget(&used_by_other), forget(&unused));
    let anonymous = server.client().call(&Request::post("/payment", &body).key("known"));
    assert_same_answer(&anonymous, &server.client().post("/payment", &body));
}

#[test]
fn a_storm_on_each_of_many_keys_has_one_effect_each() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let keys = count(20, 10_000);
    for key in 0..keys {
        let answers: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..100)
                .map(|_| {
                    let mut client = server.client().with_token(&ada.token);
                    scope.spawn(move || {
                        let body = json!({"amount": "0.01", "currency": "USD"});
                        let request = Request::post("/payment", &body).key(&format!("storm-{key}"));
                        client.call(&request).expect(201).body
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(answers.iter().all(|body| *body == answers[0]), "key {key} got two answers");
    }
    assert_eq!(ada.list("/payments").len(), keys);
    server.verify();
}

#[test]
fn a_key_of_a_user_who_logs_in_anew_is_still_known() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let body = json!({"amount": "1", "currency": "USD"});
    let first = ada.pay_with_key("k", &body).expect(201);
    ada.client.post_empty("/logout").expect(204);
    let mut client = server.client();
    let login = client.post("/login", &json!({"email": ada.email, "password": PASSWORD})).expect(200);
    let mut again = User { client: client.with_token(&login.str("access_token")), ..ada };
    assert_replay(&first, &again.pay_with_key("k", &body));
}
