//! What `GET /payments`, `/transactions` and `/admin/payments` find, `GET /payment?idempotency_key=`, `GET /wallets?at=`.

use serde_json::{Value, json};

use crate::support::lists::rows;
use crate::support::shape::assert_fails;
use crate::support::{Server, User};

/// Ada pays Bob 1.00 to 6.00 and the house 7.00; Bob pays her 8.00. Some have a reference or metadata.
fn world(server: &Server) -> (User, User) {
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    for amount in 1..=6 {
        let mut body = json!({"amount": amount, "currency": "USD", "to": bob.email});
        if amount % 2 == 0 {
            body["reference"] = json!("even");
            body["metadata"] = json!({"order": amount.to_string(), "shop": "north"});
        }
        ada.pay_with_key(&format!("pay {amount}"), &body).expect(201);
    }
    ada.pay_with_key("house", &json!({"amount": 7, "currency": "USD"})).expect(201);
    bob.pay_with_key("back", &json!({"amount": 8, "currency": "USD", "to": ada.id})).expect(201);
    (ada, bob)
}

fn amounts(found: &[Value]) -> Vec<String> {
    found.iter().map(|row| row["amount"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn payments_are_found_by_everything_that_is_known_of_them() {
    let server = Server::start();
    let (mut ada, bob) = world(&server);
    let of_bob = format!("counterparty={}", bob.email);
    let table: [(&str, &[&str]); 14] = [
        ("", &["8.00", "7.00", "6.00", "5.00", "4.00", "3.00", "2.00", "1.00"]),
        ("direction=in", &["8.00"]),
        ("direction=out&currency=USD&min_amount=5.5", &["7.00", "6.00"]),
        ("currency=USD&min_amount=2&max_amount=3", &["3.00", "2.00"]),
        ("counterparty=house", &["7.00"]),
        (&of_bob, &["8.00", "6.00", "5.00", "4.00", "3.00", "2.00", "1.00"]),
        ("counterparty=nobody@example.com", &[]),
        ("reference=even", &["6.00", "4.00", "2.00"]),
        ("reference=eve", &[]),
        ("metadata_key=order", &["6.00", "4.00", "2.00"]),
        ("metadata_key=order&metadata_value=4", &["4.00"]),
        ("metadata_key=4", &[]),
        ("currency=EUR", &[]),
        ("to=2001-01-01", &[]),
    ];
    for (query, expected) in table {
        for list in ["payments?", "payments?type=payment&", "transactions?type=payment&"] {
            let found = ada.list(&format!("/{list}{query}"));
            assert_eq!(amounts(&found), expected, "{list}{query}");
        }
    }
    for other in ["topup", "deposit", "withdrawal", "refund", "grant"] {
        let found = ada.list(&format!("/payments?type={other}"));
        assert!(found.is_empty(), "whatever is listed is a payment: {found:?}");
    }
    let mut admin = server.operator("admin");
    for query in
        ["reference=even", "metadata_key=shop", "currency=USD&min_amount=2&max_amount=6&reference=even"]
    {
        let found = admin.list(&format!("/admin/payments?{query}"));
        assert_eq!(amounts(&found), ["6.00", "4.00", "2.00"], "{query}");
    }
    let found = admin.list(&format!("/admin/payments?counterparty={}&currency=USD&min_amount=7", ada.id));
    assert_eq!(amounts(&found), ["8.00", "7.00"]);
}

#[test]
fn payments_are_found_by_how_they_stand_now() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let mut pay = |amount: &str, capture: &str| {
        let body = json!({"amount": amount, "currency": "USD", "to": bob.id, "capture": capture});
        ada.pay_with_key(&format!("{amount} {capture}"), &body).str("id")
    };
    let (refunded, partly) = (pay("1", "automatic"), pay("2", "automatic"));
    let (held, voided) = (pay("3", "manual"), pay("4", "manual"));
    pay("5", "automatic");
    let declined = ada.pay_with_key("much", &json!({"amount": "5000", "currency": "USD", "to": bob.id}));
    declined.problem(402, "insufficient_funds");
    bob.client.post(&format!("/payment/{refunded}/refund"), &json!({})).expect(201);
    bob.client.post(&format!("/payment/{partly}/refund"), &json!({"amount": "1"})).expect(201);
    bob.client.post(&format!("/payment/{voided}/void"), &json!({})).expect(200);
    for (status, expected) in [
        ("succeeded", "5.00"),
        ("refunded", "1.00"),
        ("partially_refunded", "2.00"),
        ("authorized", "3.00"),
        ("voided", "4.00"),
        ("declined", "5000.00"),
    ] {
        assert_eq!(amounts(&ada.list(&format!("/payments?status={status}"))), [expected], "{status}");
    }
    assert!(ada.list("/payments?status=expired").is_empty());
    bob.client.post(&format!("/payment/{held}/capture"), &json!({})).expect(200);
    assert_eq!(amounts(&ada.list("/payments?status=succeeded")), ["5.00", "3.00"]);
}

#[test]
fn what_cannot_be_searched_for_is_named() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for (query, field) in [
        ("min_amount=1", "currency"),
        ("max_amount=1.001&currency=USD", "max_amount"),
        ("min_amount=0&currency=USD", "min_amount"),
        ("direction=up", "direction"),
        ("counterparty=somebody", "counterparty"),
        ("metadata_value=4", "metadata_key"),
        ("status=good", "status"),
        ("type=gift", "type"),
    ] {
        assert_fails(&ada.client.get(&format!("/payments?{query}")), &[field]);
        assert_fails(&ada.client.get(&format!("/transactions?{query}")), &[field]);
    }
    assert_fails(&ada.client.get("/payment"), &["idempotency_key"]);
    assert_fails(&ada.client.get("/wallets?at=yesterday"), &["at"]);
}

#[test]
fn a_rare_wish_is_found_behind_many_others_page_by_page() {
    let server = Server::start();
    let (mut ada, bob) = (server.user("ada"), server.user("bob"));
    let payments: Vec<Value> = (0..1_000)
        .map(|number| {
            let reference = if number % 499 == 0 { "rare" } else { "" };
            json!({"idempotency_key": number.to_string(), "amount": "0.01", "currency": "USD", "to": bob.id,
                "reference": reference})
        })
        .collect();
    for round in 0..3 {
        let mut payments = payments.clone();
        for payment in &mut payments {
            payment["idempotency_key"] = json!(format!("{round} {}", payment["idempotency_key"]));
        }
        ada.client.post("/payments/batch", &json!({"payments": payments})).expect(200);
    }
    // Each call looks at so many rows and no more; a page may have none and still a next one.
    assert_eq!(ada.list("/payments?reference=rare").len(), 9);
    assert_eq!(ada.list("/payments?reference=none").len(), 0);
    let page = ada.client.get("/payments?reference=none").expect(200).json();
    assert_eq!((rows(&page).len(), &page["has_more"]), (0, &json!(true)));
}

#[test]
fn a_payment_is_found_by_its_key() {
    let server = Server::start();
    let (mut ada, mut bob) = world(&server);
    let found = ada.client.get("/payment?idempotency_key=pay%202").expect(200).json();
    assert_eq!((&found["amount"], &found["reference"]), (&json!("2.00"), &json!("even")));
    let id = found["id"].as_str().unwrap();
    let refund = crate::support::Request::post(&format!("/payment/{id}/refund"), &json!({})).key("give back");
    bob.client.call(&refund).expect(201);
    let now = ada.client.get("/payment?idempotency_key=pay%202").expect(200);
    assert_eq!((now.str("id").as_str(), now.str("status").as_str()), (id, "refunded"));
    // A key is its owner's: of the refund it is the payee.
    let by_refund = bob.client.get("/payment?idempotency_key=give%20back").expect(200);
    assert_eq!(by_refund.str("id"), id);
    ada.client.get("/payment?idempotency_key=give%20back").problem(404, "not_found");
    bob.client.get("/payment?idempotency_key=pay%202").problem(404, "not_found");
    ada.client.get("/payment?idempotency_key=unknown").problem(404, "not_found");
    assert_fails(&ada.client.get("/payment?idempotency_key=%C3%A9"), &["idempotency_key"]);
}

#[test]
fn wallets_are_told_as_they_were() {
    let server = Server::start();
    let mut ada = server.user("ada");
    ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
    let second = ada.pay_with_key("second", &json!({"amount": "2", "currency": "USD"})).expect(201);
    ada.top_up("5", "EUR");
    let at = |user: &mut User, time: &str| {
        let wallets = rows(&user.client.get(&format!("/wallets?at={time}")).expect(200).json());
        assert!(wallets.iter().all(|wallet| wallet["held"].is_null() && wallet["available"].is_null()));
        wallets
            .iter()
            .map(|wallet| {
                format!("{} {}", wallet["balance"].as_str().unwrap(), wallet["currency"].as_str().unwrap())
            })
            .collect::<Vec<_>>()
    };
    let before = second.str("created_at");
    let first = &ada.list("/transactions?type=payment")[1];
    // Of one millisecond nothing is told apart.
    if first["created_at"] != json!(before) {
        assert_eq!(at(&mut ada, &before), ["999.00 USD"]);
    }
    assert_eq!(at(&mut ada, "2999-01-01"), ["5.00 EUR", "997.00 USD"]);
    assert!(at(&mut ada, "2001-01-01T00:00:00Z").is_empty());
}
