//! `GET /transactions`, `GET /transactions/{id}`.

use serde_json::{Value, json};

use crate::support::lists::ids;
use crate::support::shape::{assert_fails, assert_id, assert_members, assert_same_answer, assert_time};
use crate::support::user::minor;
use crate::support::{Server, User};

const MOVEMENT: [&str; 12] = [
    "id",
    "type",
    "direction",
    "amount",
    "currency",
    "counterparty",
    "payment",
    "status",
    "description",
    "reference",
    "balance_after",
    "created_at",
];

#[test]
fn both_sides_of_a_payment_see_their_own_movement() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let body = json!({"amount": "12.50", "currency": "USD", "to": "bob@example.org", "description": "Lunch",
        "reference": "L-1"});
    let payment = ada.pay(&body).expect(201).str("id");
    let (ada_id, bob_id) = (ada.id.clone(), bob.id.clone());
    for (user, other, direction, after) in
        [(&mut ada, ("bob", bob_id), "out", "987.50"), (&mut bob, ("ada", ada_id), "in", "1012.50")]
    {
        let rows = user.list("/transactions");
        assert_eq!(rows.len(), 2, "{rows:?}");
        let row = &rows[0];
        assert_members(row, &MOVEMENT);
        assert_id(row["id"].as_str().unwrap(), "txn");
        assert_time(&row["created_at"]);
        for (member, value) in [
            ("type", "payment"),
            ("direction", direction),
            ("amount", "12.50"),
            ("currency", "USD"),
            ("payment", &payment),
            ("status", "succeeded"),
            ("description", "Lunch"),
            ("reference", "L-1"),
            ("balance_after", after),
        ] {
            assert_eq!(row[member], value, "{member}: {row}");
        }
        assert_eq!(row["counterparty"], json!({"id": other.1, "name": other.0}), "{row}");
        let grant = &rows[1];
        assert_members(grant, &MOVEMENT);
        assert_eq!((&grant["type"], &grant["direction"]), (&json!("grant"), &json!("in")));
        assert_eq!((&grant["payment"], &grant["balance_after"]), (&Value::Null, &json!("1000.00")));
        // One by one they are the same.
        for row in &rows {
            let path = format!("/transactions/{}", row["id"].as_str().unwrap());
            assert_eq!(&user.client.get(&path).expect(200).json(), row);
        }
    }
}

#[test]
fn somebody_elses_movement_is_a_missing_one() {
    let server = Server::start();
    let (mut ada, mut eve) = (server.user("ada"), server.user("eve"));
    let payment = ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201).str("id");
    let missing = eve.client.get("/transactions/txn_01h455vb4pex5vsknk084sn02q").problem(404, "not_found");
    for id in ids(&ada.list("/transactions")) {
        assert_same_answer(&missing, &eve.client.get(&format!("/transactions/{id}")));
    }
    for id in ["1", "txn_", &payment, &payment.replace("pay_", "txn_"), "..%2f", "%ff"] {
        let answer = eve.client.get(&format!("/transactions/{id}"));
        assert_eq!((answer.status, answer.str("code").as_str()), (404, "not_found"), "{answer}");
    }
    assert_eq!(eve.list("/transactions").len(), 1);
}

#[test]
fn balances_run_through_the_history() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    for n in 1..=30 {
        ada.pay_with_key(&format!("a{n}"), &json!({"amount": n, "currency": "USD", "to": bob.id}))
            .expect(201);
        bob.pay_with_key(&format!("b{n}"), &json!({"amount": "0.50", "currency": "USD", "to": ada.id}))
            .expect(201);
    }
    ada.top_up("33", "EUR");
    for user in [&mut ada, &mut bob] {
        let mut rows = user.list("/transactions?currency=USD");
        assert_eq!(rows.len(), 61);
        rows.reverse();
        let mut balance = 0;
        for row in &rows {
            let amount = minor(row["amount"].as_str().unwrap());
            balance += if row["direction"] == "in" { amount } else { -amount };
            assert_eq!(minor(row["balance_after"].as_str().unwrap()), balance, "{row}");
        }
        assert_eq!(user.balance("USD"), balance);
        let times: Vec<&str> = rows.iter().map(|row| row["created_at"].as_str().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
    }
}

/// A history with each kind of movement that a customer can cause.
fn history(server: &Server) -> (User, Vec<Value>) {
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    ada.pay(&json!({"amount": "1", "currency": "USD", "to": bob.id})).expect(201);
    ada.top_up("20", "EUR");
    ada.pay(&json!({"amount": "2", "currency": "EUR"})).expect(201);
    bob.pay(&json!({"amount": "3", "currency": "USD", "to": ada.id})).expect(201);
    ada.pay(&json!({"amount": "9999", "currency": "USD"})).expect(402);
    let rows = ada.list("/transactions");
    assert_eq!(rows.len(), 6, "{rows:?}");
    (ada, rows)
}

type Row<'a> = (&'a str, &'a dyn Fn(&Value) -> bool, usize);

#[test]
fn filters_narrow_the_list_alone_and_together() {
    let server = Server::start();
    let (mut ada, rows) = history(&server);
    let table: [Row<'_>; 11] = [
        ("currency=USD", &|row| row["currency"] == "USD", 4),
        ("currency=eur", &|row| row["currency"] == "EUR", 2),
        ("currency=JPY", &|_| false, 0),
        ("type=payment", &|row| row["type"] == "payment", 4),
        ("type=topup", &|row| row["type"] == "topup", 1),
        ("type=grant", &|row| row["type"] == "grant", 1),
        ("type=refund", &|_| false, 0),
        ("status=declined", &|row| row["status"] == "declined", 1),
        ("status=succeeded&type=payment", &|row| row["type"] == "payment" && row["status"] == "succeeded", 3),
        (
            "currency=USD&type=payment&status=succeeded",
            &|row| row["type"] == "payment" && row["status"] == "succeeded" && row["currency"] == "USD",
            2,
        ),
        ("currency=EUR&status=declined", &|_| false, 0),
    ];
    for (query, keeps, many) in table {
        let expected: Vec<&Value> = rows.iter().filter(|row| keeps(row)).collect();
        assert_eq!(expected.len(), many, "the table is wrong about {query}");
        let found = ada.list(&format!("/transactions?{query}"));
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

#[test]
fn a_time_range_narrows_the_list() {
    let server = Server::start();
    let (mut ada, rows) = history(&server);
    assert!(ada.list("/transactions?from=2999-01-01T00:00:00.000Z").is_empty());
    assert!(ada.list("/transactions?to=2001-01-01T00:00:00Z").is_empty());
    assert_eq!(ada.list("/transactions?from=2001-01-01T00:00:00Z&to=2999-01-01T00:00:00Z"), rows);
    for row in &rows {
        let at = row["created_at"].as_str().unwrap();
        let from = ada.list(&format!("/transactions?from={at}"));
        let expected: Vec<Value> =
            rows.iter().filter(|row| row["created_at"].as_str().unwrap() >= at).cloned().collect();
        assert_eq!(from, expected, "from {at}, which is included");
        let to = ada.list(&format!("/transactions?to={at}"));
        assert!(to.iter().all(|row| row["created_at"].as_str().unwrap() <= at), "to {at}: {to:?}");
        let before: Vec<&Value> =
            rows.iter().filter(|row| row["created_at"].as_str().unwrap() < at).collect();
        assert!(before.iter().all(|row| to.contains(row)), "to {at}: {to:?}");
    }
}

#[test]
fn a_filter_that_means_nothing_is_refused() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for (query, fields) in [
        ("currency=XAU", &["currency"][..]),
        ("currency=", &["currency"]),
        ("type=gift", &["type"]),
        ("status=lost", &["status"]),
        ("from=yesterday", &["from"]),
        ("to=2026-02-30T00:00:00Z", &["to"]),
        ("to=2026-13-01", &["to"]),
        (
            "currency=ZZZ&type=x&status=x&from=x&to=x&limit=0",
            &["currency", "type", "status", "from", "to", "limit"],
        ),
    ] {
        assert_fails(&ada.client.get(&format!("/transactions?{query}")), fields);
    }
}
