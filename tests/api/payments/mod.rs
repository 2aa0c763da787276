//! `POST /payment`, `GET /payments`, `GET /payment/{id}`.

mod bulk;
mod idempotency;
mod races;
mod search;
mod steps;

use serde_json::{Value, json};

use crate::support::lists::ids;
use crate::support::shape::{assert_fails, assert_id, assert_members, assert_same_answer, assert_time};
use crate::support::user::major;
use crate::support::{Request, Server};

const PAYMENT: [&str; 13] = [
    "id",
    "status",
    "amount",
    "amount_captured",
    "amount_refunded",
    "currency",
    "from",
    "to",
    "description",
    "reference",
    "metadata",
    "decline",
    "created_at",
];

#[test]
fn a_payment_moves_the_money_and_says_so() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let body = json!({
        "amount": "12.50", "currency": "usd", "to": "bob@example.org", "description": "Lunch", "reference": "L-1",
        "metadata": {"table": "4"},
    });
    let payment = ada.pay(&body).expect(201).json();
    assert_members(&payment, &PAYMENT);
    assert_id(payment["id"].as_str().unwrap(), "pay");
    assert_time(&payment["created_at"]);
    for (member, value) in [
        ("status", json!("succeeded")),
        ("amount", json!("12.50")),
        ("amount_captured", json!("12.50")),
        ("amount_refunded", json!("0.00")),
        ("currency", json!("USD")),
        ("from", json!({"id": ada.id, "name": "ada"})),
        ("to", json!({"id": bob.id, "name": "bob"})),
        ("description", json!("Lunch")),
        ("reference", json!("L-1")),
        ("metadata", json!({"table": "4"})),
        ("decline", Value::Null),
    ] {
        assert_eq!(payment[member], value, "{member}: {payment}");
    }
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (98_750, 101_250));
    let path = format!("/payment/{}", payment["id"].as_str().unwrap());
    assert_eq!(ada.client.get(&path).expect(200).json(), payment);
    assert_eq!(bob.client.get(&path).expect(200).json(), payment);
    for user in [&mut ada, &mut bob] {
        assert_eq!(user.list("/payments"), std::slice::from_ref(&payment));
    }
}

#[test]
fn the_payee_is_an_email_an_id_or_the_house() {
    let server = Server::start();
    let (mut ada, bob) = (server.user("ada"), server.user("bob"));
    for (amount, to) in [("1", "bob@example.org"), ("2", "  BOB@Example.ORG "), ("3", bob.id.as_str())] {
        let payment = ada.pay(&json!({"amount": amount, "currency": "USD", "to": to})).expect(201).json();
        assert_eq!(payment["to"]["id"], bob.id.as_str(), "{to}");
    }
    for body in
        [json!({"amount": "4", "currency": "USD"}), json!({"amount": "5", "currency": "USD", "to": null})]
    {
        let payment = ada.pay(&body).expect(201).json();
        assert_eq!(payment["to"]["id"], "house");
        assert!(payment["to"]["name"].as_str().is_some_and(|name| !name.is_empty()), "{payment}");
    }
    assert_eq!(ada.balance("USD"), 100_000 - 1_500);
}

#[test]
fn nobody_pays_themselves_or_somebody_unknown() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for to in [ada.email.clone(), ada.email.to_uppercase(), ada.id.clone()] {
        let response = ada.pay(&json!({"amount": "1", "currency": "USD", "to": to}));
        assert_eq!(response.status, 422, "{response}");
    }
    for to in ["nobody@example.org", "usr_01h455vb4pex5vsknk084sn02q"] {
        let body = json!({"amount": "1", "currency": "USD", "to": to});
        ada.pay(&body).problem(404, "recipient_not_found");
    }
    // The other system parties are no payees.
    for to in
        ["usr_00000000000000000000000002", "usr_00000000000000000000000003", "sandbox", "cash", "' OR 1=1 --"]
    {
        let response = ada.pay(&json!({"amount": "1", "currency": "USD", "to": to}));
        assert!([404, 422].contains(&response.status), "{to}: {response}");
    }
    assert_eq!(ada.balance("USD"), 100_000);
    assert!(ada.list("/payments").is_empty());
}

#[test]
fn an_amount_is_read_exactly_as_a_text_and_as_a_number() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for currency in ["USD", "JPY", "KWD"] {
        ada.client.post("/topup", &json!({"amount": "9000", "currency": currency}));
    }
    let table = [
        ("USD", "0.01", "0.01"),
        ("USD", "0.1", "0.10"),
        ("USD", "0.10", "0.10"),
        ("USD", "1", "1.00"),
        ("USD", "1.1", "1.10"),
        ("USD", "1.10", "1.10"),
        ("USD", "0.29", "0.29"),
        ("USD", "8.70", "8.70"),
        ("USD", "1.15", "1.15"),
        ("USD", "100.00", "100.00"),
        ("usd", "2", "2.00"),
        ("JPY", "1200", "1200"),
        ("jpy", "1", "1"),
        ("KWD", "1.250", "1.250"),
        ("KWD", "1.25", "1.250"),
        ("KWD", "0.001", "0.001"),
        ("KWD", "7", "7.000"),
    ];
    for (n, (currency, text, said)) in table.into_iter().enumerate() {
        for (kind, amount) in [("text", format!("\"{text}\"")), ("number", text.to_owned())] {
            let body = format!(r#"{{"amount":{amount},"currency":"{currency}","reference":"{kind} {n}"}}"#);
            let response = ada.client.call(&Request::new("POST", "/payment").json_text(&body)).expect(201);
            assert_eq!(response.str("amount"), said, "{body}");
            assert_eq!(response.str("currency"), currency.to_uppercase(), "{body}");
        }
    }
}

#[test]
fn an_amount_that_is_not_plain_money_is_refused() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let long_number = format!("1{}", "0".repeat(4_000));
    let long_decimals = format!("1.{}", "0".repeat(4_000));
    // Refused both as a text and as a JSON number.
    let both = [
        ("USD", "0"),
        ("USD", "0.00"),
        ("USD", "-1"),
        ("USD", "-0"),
        ("USD", "-0.01"),
        ("USD", "1e3"),
        ("USD", "1E3"),
        ("USD", "1e-2"),
        ("USD", "1.5e1"),
        ("USD", "1.0000000000000000001"),
        ("USD", "0.001"),
        ("USD", "0.0000000000000000000000000001"),
        ("USD", "1.000"),
        ("USD", "1.234"),
        ("USD", "10000000000.00"),
        ("USD", "10000000000"),
        ("USD", "92233720368547758.08"),
        ("USD", "18446744073709551617"),
        ("USD", "340282366920938463463374607431768211457"),
        ("USD", &long_number),
        ("USD", &long_decimals),
        ("JPY", "1.5"),
        ("JPY", "1.0"),
        ("JPY", "1000000000000"),
        ("KWD", "1.2505"),
        ("KWD", "1000000000.000"),
        ("USD", "1e400"),
    ];
    for (currency, text) in both {
        for amount in [format!("\"{text}\""), text.to_owned()] {
            let body = format!(r#"{{"amount":{amount},"currency":"{currency}"}}"#);
            let response = ada.client.call(&Request::new("POST", "/payment").json_text(&body));
            assert_fails(&response, &["amount"]);
        }
    }
    // Refused as a text; as a JSON number it would not even be JSON.
    for text in [
        "",
        " ",
        ".5",
        "5.",
        ".",
        "-",
        "007",
        "00.1",
        "01",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "1,50",
        "1.5.0",
        "1_000",
        "1 000",
        "0x10",
        "NaN",
        "Infinity",
        "-Infinity",
        "$1",
        "1USD",
        "١",
        "１",
        "¹",
        "½",
        "1\u{0}",
        "1\u{200b}",
        "true",
        "null",
        "1..0",
    ] {
        let response = ada.pay(&json!({"amount": text, "currency": "USD"}));
        assert_fails(&response, &["amount"]);
    }
    for number in [".5", "5.", "007", "01", "+1", "NaN", "Infinity", "0x10", "1_000", "--1", "1.e1"] {
        let body = format!(r#"{{"amount":{number},"currency":"USD"}}"#);
        ada.client.call(&Request::new("POST", "/payment").json_text(&body)).problem(400, "malformed_json");
    }
    for value in [json!(null), json!(true), json!([]), json!(["1"]), json!({}), json!({"value": "1"})] {
        assert_fails(&ada.pay(&json!({"amount": value, "currency": "USD"})), &["amount"]);
    }
    assert_eq!(ada.balance("USD"), 100_000);
    assert!(ada.list("/payments").is_empty());
}

#[test]
fn the_largest_amount_is_read_and_declined_for_lack_of_money() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for (amount, currency) in [("9999999999.99", "USD"), ("999999999999", "JPY"), ("999999999.999", "KWD")] {
        ada.pay(&json!({"amount": amount, "currency": currency})).problem(402, "insufficient_funds");
    }
}

#[test]
fn a_currency_is_one_of_iso_4217_with_a_minor_unit() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for currency in [
        "XAU",
        "XAG",
        "XDR",
        "XXX",
        "XTS",
        "ZZZ",
        "US",
        "USDD",
        "",
        "U$D",
        " USD",
        "USD ",
        "840",
        "ＵＳＤ",
        "€",
    ] {
        assert_fails(&ada.pay(&json!({"amount": "1", "currency": currency})), &["currency"]);
    }
    for currency in [json!(null), json!(840), json!(["USD"]), json!({})] {
        assert_fails(&ada.pay(&json!({"amount": "1", "currency": currency})), &["currency"]);
    }
    for (currency, none) in
        [("EUR", "0.00"), ("gbp", "0.00"), ("JPY", "0"), ("KWD", "0.000"), ("CLF", "0.0000")]
    {
        let response =
            ada.pay(&json!({"amount": "1", "currency": currency})).problem(402, "insufficient_funds");
        assert_eq!(response.str("available"), none);
        assert_eq!(response.str("currency"), currency.to_uppercase());
    }
}

#[test]
fn every_failing_field_is_named() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let long = "x".repeat(20_000);
    let table: [(Value, &[&str]); 6] = [
        (json!({}), &["amount", "currency"]),
        (json!({"amount": "1"}), &["currency"]),
        (json!({"currency": "USD"}), &["amount"]),
        (
            json!({"amount": "-1", "currency": "ZZZ", "to": 5, "description": 5, "reference": [], "metadata": "x",
                "bogus": 1}),
            &["amount", "currency", "to", "description", "reference", "metadata", "bogus"],
        ),
        (
            json!({"amount": "1", "currency": "USD", "status": "succeeded", "from": "x", "id": "pay_1",
                "created_at": "2020-01-01T00:00:00.000Z", "fee": "0"}),
            &["status", "from", "id", "created_at", "fee"],
        ),
        (
            json!({"amount": "1", "currency": "USD", "description": long, "reference": long}),
            &["description", "reference"],
        ),
    ];
    for (body, fields) in table {
        assert_fails(&ada.pay(&body), fields);
    }
    assert!(ada.list("/payments").is_empty());
}

#[test]
fn metadata_is_taken_up_to_its_limits_and_refused_by_name_above_them() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let pairs = |count: usize| -> Value { (0..count).map(|n| (format!("key {n}"), json!("x"))).collect() };
    let with = |metadata: &Value| json!({"amount": "1", "currency": "USD", "metadata": metadata});
    // Characters count, whatever their bytes.
    let longest = [json!({("ö".repeat(40)): "x"}), json!({"note": "ö".repeat(500)}), pairs(50)];
    for (key, metadata) in ["key", "value", "pairs"].into_iter().zip(longest) {
        let paid = ada.pay_with_key(key, &with(&metadata)).expect(201);
        let read = ada.client.get(&format!("/payment/{}", paid.str("id"))).expect(200).json();
        assert_eq!((&paid.json()["metadata"], &read["metadata"]), (&metadata, &metadata));
    }
    let long = "k".repeat(41);
    for (metadata, field) in [
        (json!({(long.clone()): "x"}), format!("metadata.{long}")),
        (json!({"note": "x".repeat(501)}), "metadata.note".to_owned()),
        (pairs(51), "metadata".to_owned()),
    ] {
        assert_fails(&ada.pay(&with(&metadata)), &[&field]);
    }
    assert_eq!(ada.list("/payments").len(), 3);
}

#[test]
fn what_a_payment_is_for_comes_back_as_it_was_said() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for (n, text) in ["Lunch", "Ünïcödé 🍜", "<script>alert(1)</script>", "a\"b\\c", "' OR 1=1 --", "{{7*7}}"]
        .into_iter()
        .enumerate()
    {
        let body = json!({"amount": major(100 + i64::try_from(n).unwrap()), "currency": "USD", "description": text,
            "reference": text, "metadata": {"note": text}});
        let payment = ada.pay(&body).expect(201).json();
        assert_eq!((&payment["description"], &payment["reference"]), (&json!(text), &json!(text)));
        assert_eq!(payment["metadata"], json!({"note": text}));
        let again = ada.client.get(&format!("/payment/{}", payment["id"].as_str().unwrap())).expect(200);
        assert_eq!(again.json(), payment);
    }
}

#[test]
fn without_enough_money_nothing_moves_and_the_payer_alone_sees_it() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let body =
        json!({"amount": "1000.01", "currency": "USD", "to": "bob@example.org", "reference": "too much"});
    let refusal = ada.pay(&body).problem(402, "insufficient_funds");
    assert_eq!((refusal.str("available"), refusal.str("currency")), ("1000.00".to_owned(), "USD".to_owned()));
    let id = refusal.str("payment");
    assert_id(&id, "pay");
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (100_000, 100_000));

    let path = format!("/payment/{id}");
    let payment = ada.client.get(&path).expect(200).json();
    assert_members(&payment, &PAYMENT);
    assert_eq!((&payment["status"], &payment["amount"]), (&json!("declined"), &json!("1000.01")));
    assert!(payment["decline"].to_string().contains("insufficient_funds"), "{payment}");
    assert_eq!(ids(&ada.list("/payments")), [id.as_str()]);
    let movement = ada.list("/transactions").into_iter().find(|row| row["payment"] == id.as_str()).unwrap();
    assert_eq!(movement["status"], "declined");
    assert!(movement["balance_after"].is_null(), "{movement}");

    let hidden = bob.client.get(&path).problem(404, "not_found");
    assert_same_answer(&hidden, &bob.client.get("/payment/pay_01h455vb4pex5vsknk084sn02q"));
    assert!(bob.list("/payments").is_empty());
    assert_eq!(bob.list("/transactions").len(), 1, "the grant alone");
    // To the last cent it goes.
    ada.pay(&json!({"amount": "1000.00", "currency": "USD", "to": "bob@example.org"})).expect(201);
    let refusal = ada.pay(&json!({"amount": "0.01", "currency": "USD"})).problem(402, "insufficient_funds");
    assert_eq!(refusal.str("available"), "0.00");
}

#[test]
fn somebody_elses_payment_is_a_missing_one() {
    let server = Server::start();
    let (mut ada, _bob, mut eve) = (server.user("ada"), server.user("bob"), server.user("eve"));
    let id =
        ada.pay(&json!({"amount": "1", "currency": "USD", "to": "bob@example.org"})).expect(201).str("id");
    let foreign = eve.client.get(&format!("/payment/{id}")).problem(404, "not_found");
    for missing in [
        "pay_01h455vb4pex5vsknk084sn02q",
        "pay_zzz",
        "1",
        "usr_01h455vb4pex5vsknk084sn02q",
        &id.to_uppercase(),
        "%00",
        &id.replace("pay_", "txn_"),
    ] {
        assert_same_answer(&foreign, &eve.client.get(&format!("/payment/{missing}")));
    }
    assert!(eve.list("/payments").is_empty());
}

#[test]
fn of_identical_payments_without_a_key_the_first_stands() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let body = json!({"amount": "5", "currency": "USD", "to": "bob@example.org", "description": "D", "reference": "R"});
    let first = ada.pay(&body).expect(201).str("id");
    // The same said otherwise.
    for again in [
        body.clone(),
        json!({"amount": 5, "currency": "usd", "to": bob.id, "description": "D", "reference": "R"}),
        json!({"amount": "5.00", "currency": "USD", "to": "BOB@example.org", "description": "D", "reference": "R"}),
        json!({"amount": "5", "currency": "USD", "to": "bob@example.org", "description": "D", "reference": "R",
            "metadata": {"other": "metadata"}}),
    ] {
        let refusal = ada.pay(&again).problem(409, "duplicate_payment");
        assert_eq!(refusal.str("payment"), first, "{again}");
    }
    // Not the same: each differs in one of the things that make a payment the same.
    for other in [
        json!({"amount": "5.01", "currency": "USD", "to": "bob@example.org", "description": "D", "reference": "R"}),
        json!({"amount": "5", "currency": "USD", "description": "D", "reference": "R"}),
        json!({"amount": "5", "currency": "USD", "to": "bob@example.org", "description": "d", "reference": "R"}),
        json!({"amount": "5", "currency": "USD", "to": "bob@example.org", "description": "D", "reference": "R2"}),
        json!({"amount": "5", "currency": "USD", "to": "bob@example.org", "reference": "R"}),
    ] {
        ada.pay(&other).expect(201);
    }
    bob.pay(&json!({"amount": "5", "currency": "USD", "to": "ada@example.org", "description": "D", "reference": "R"}))
        .expect(201);
    // With a key of its own it is meant.
    ada.pay_with_key("meant", &body).expect(201);
    // A payment with a key counts as a first one, too.
    let body = json!({"amount": "6", "currency": "USD", "to": "bob@example.org"});
    let first = ada.pay_with_key("first", &body).expect(201).str("id");
    assert_eq!(ada.pay(&body).problem(409, "duplicate_payment").str("payment"), first);
}

#[test]
fn a_declined_payment_makes_no_duplicate() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let body = json!({"amount": "1500", "currency": "USD"});
    let one = ada.pay(&body).problem(402, "insufficient_funds").str("payment");
    let other = ada.pay(&body).problem(402, "insufficient_funds").str("payment");
    assert_ne!(one, other);
    ada.client.post("/topup", &json!({"amount": "700", "currency": "USD"}));
    ada.pay(&body).expect(201);
}
