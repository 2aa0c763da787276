//! `POST /payments/batch`: many payments in one call.

use serde_json::{Value, json};

use crate::support::shape::{assert_fails, assert_members};
use crate::support::{Response, Server, User};

fn payment(key: &str, amount: &str, to: &str) -> Value {
    json!({"idempotency_key": key, "amount": amount, "currency": "USD", "to": to})
}

fn send(user: &mut User, mode: &str, payments: &[Value]) -> Response {
    user.client.post("/payments/batch", &json!({"mode": mode, "payments": payments}))
}

fn statuses(response: &Response) -> Vec<u64> {
    results(response).iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

fn results(response: &Response) -> Vec<Value> {
    response.json()["results"].as_array().unwrap().clone()
}

#[test]
fn each_payment_gets_the_answer_that_it_would_get_alone() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let payments = [
        payment("a", "600", &bob.email),
        payment("b", "600", &bob.id),
        payment("c", "1", "nobody@example.com"),
        payment("d", "2", &ada.id),
        payment("a", "600", &bob.id),
        payment("a", "601", &bob.id),
        json!({"idempotency_key": "e", "amount": "3.50", "currency": "usd", "to": bob.id, "capture": "manual",
            "description": "Hotel", "reference": "R-1", "metadata": {"room": "7"}}),
        payment("f", "4", "house"),
    ];
    let answer = send(&mut ada, "one_by_one", &payments).expect(200);
    assert_eq!(statuses(&answer), [201, 402, 404, 422, 201, 422, 201, 201]);
    let results = results(&answer);
    for (index, result) in results.iter().enumerate() {
        assert_members(result, &["index", "idempotency_key", "status", "replayed", "payment", "error"]);
        assert_eq!(
            (&result["index"], result["payment"].is_null()),
            (&json!(index), !result["error"].is_null())
        );
    }
    let code = |index: usize| results[index]["error"]["code"].as_str().unwrap();
    assert_eq!(
        [1, 2, 3, 5].map(code),
        ["insufficient_funds", "recipient_not_found", "validation_failed", "idempotency_key_reused"]
    );
    assert!(results[1]["error"]["request_id"].is_null() && results[1]["error"]["payment"].is_string());
    assert_eq!((&results[4]["replayed"], &results[4]["payment"]), (&json!(true), &results[0]["payment"]));
    assert_eq!(results[6]["payment"]["status"], "authorized");
    assert_eq!(results[6]["payment"]["metadata"], json!({"room": "7"}));
    // 1000 - 600 - 4, and 3.50 is held.
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (39_600, 160_000));

    // Again: the first answers again, and nothing moves.
    let again = send(&mut ada, "one_by_one", &payments).expect(200);
    assert_eq!(statuses(&again), statuses(&answer));
    for (first, second) in results.iter().zip(self::results(&again)) {
        assert_eq!(first["payment"], second["payment"]);
    }
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (39_600, 160_000));
    assert_eq!(ada.list("/payments").len(), 4);
    server.verify();
}

#[test]
fn all_or_nothing_is_all_or_nothing() {
    let server = Server::start();
    let (mut ada, bob) = (server.user("ada"), server.user("bob"));
    let good = [payment("a", "600", &bob.id), payment("b", "300", &bob.id)];
    let bad = [good[0].clone(), payment("b", "500", &bob.id), payment("c", "1", "nobody@example.com")];
    let refused = send(&mut ada, "all_or_nothing", &bad).problem(422, "batch_refused");
    let told = refused.json()["results"].as_array().unwrap().clone();
    let told: Vec<_> =
        told.iter().map(|one| (&one["index"], &one["status"], &one["error"]["code"])).collect();
    let expected = [
        (json!(1), json!(402), json!("insufficient_funds")),
        (json!(2), json!(404), json!("recipient_not_found")),
    ];
    assert_eq!(told, expected.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>());
    assert!(refused.json()["results"][0]["error"]["payment"].is_null(), "nothing was kept");
    assert_eq!(ada.balance("USD"), 100_000);
    assert!(ada.list("/payments").is_empty());
    // The keys were not used up.
    let made = send(&mut ada, "all_or_nothing", &good).expect(200);
    assert_eq!(statuses(&made), [201, 201]);
    assert_eq!(ada.balance("USD"), 10_000);
    // Made already: each is the first answer again, beside one that is new.
    let more = [good[0].clone(), good[1].clone(), payment("d", "100", &bob.id)];
    let replayed = results(&send(&mut ada, "all_or_nothing", &more).expect(200));
    assert_eq!(replayed.iter().map(|one| one["replayed"] == true).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(ada.balance("USD"), 0);
    server.verify();
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_nothing_is_made() {
    let server = Server::start();
    let (mut ada, bob) = (server.user("ada"), server.user("bob"));
    let good = payment("a", "1", &bob.id);
    let wrong = json!({"amount": "1.001", "currency": "USD", "too": "much"});
    let answer = send(&mut ada, "one_by_one", &[good.clone(), wrong]);
    assert_fails(&answer, &["payments[1].idempotency_key", "payments[1].amount", "payments[1].too"]);
    assert_fails(&send(&mut ada, "one_by_one", &[json!(7)]), &["payments[0]"]);
    assert_fails(&send(&mut ada, "one_by_one", &[]), &["payments"]);
    assert_fails(&send(&mut ada, "some", std::slice::from_ref(&good)), &["mode"]);
    assert_fails(&ada.client.post("/payments/batch", &json!({"payments": {"a": 1}})), &["payments"]);
    let many: Vec<Value> = (0..1_001).map(|number| payment(&number.to_string(), "0.01", &bob.id)).collect();
    assert_fails(&send(&mut ada, "one_by_one", &many), &["payments"]);
    assert!(ada.list("/payments").is_empty());
    let all = send(&mut ada, "one_by_one", &many[..1_000]).expect(200);
    assert!(statuses(&all).iter().all(|status| *status == 201));
    assert_eq!(ada.balance("USD"), 99_000);
    // A megabyte, and not more.
    let long = json!({"payments": [good], "mode": "x".repeat(1024 * 1024)});
    ada.client.post("/payments/batch", &long).problem(413, "body_too_large");
    server.verify();
}

#[test]
fn a_batch_that_is_sent_by_many_at_once_is_made_once() {
    let server = Server::start();
    let (mut ada, bob) = (server.user("ada"), server.user("bob"));
    let payments: Vec<Value> = (0..50).map(|number| payment(&number.to_string(), "1", &bob.id)).collect();
    std::thread::scope(|scope| {
        for mode in ["one_by_one", "all_or_nothing"].repeat(4) {
            let (mut sender, payments) = (server.client().with_token(&ada.token), &payments);
            scope.spawn(move || {
                let body = json!({"mode": mode, "payments": payments});
                let answer = sender.post("/payments/batch", &body).expect(200);
                assert!(statuses(&answer).iter().all(|status| *status == 201));
            });
        }
    });
    assert_eq!((ada.balance("USD"), ada.list("/payments").len()), (95_000, 50));
    server.verify();
}
