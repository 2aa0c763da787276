//! `POST /admin/reconciliations`: a bank's file beside the ledger.

use serde_json::{Value, json};

use crate::support::shape::assert_fails;
use crate::support::{Request, Response, Server, User};

const CSV: &str = "text/csv; charset=utf-8";

fn compare(user: &mut User, period: &str, kind: &str, file: &str) -> Response {
    let request = Request::new("POST", &format!("/admin/reconciliations?{period}"));
    user.client.call(&request.header("Content-Type", kind).bytes(file.as_bytes()))
}

/// Two deposits and a withdrawal of Ada's.
fn world(server: &Server) -> (User, User) {
    let (mut cashier, ada) = (server.operator("cashier"), server.user("ada"));
    for (call, amount, reference) in
        [("deposits", "50", "Slip 1"), ("deposits", "20.50", "Slip 2"), ("withdrawals", "5", "Slip 3")]
    {
        let body = json!({"user": ada.id, "amount": amount, "currency": "EUR", "reference": reference});
        cashier.client.post(&format!("/admin/{call}"), &body).expect(201);
    }
    (cashier, ada)
}

fn counts(found: &Value) -> [u64; 5] {
    ["lines", "matched", "differing", "missing", "extra"].map(|name| found["counts"][name].as_u64().unwrap())
}

#[test]
fn a_csv_file_is_matched_with_the_cash_of_the_period() {
    let server = Server::start();
    let (mut cashier, mut ada) = world(&server);
    let file =
        "date;amount;currency;reference\n2026-01-02;50.00;EUR;slip  1\n;20.05;EUR;Slip 2\n;7;EUR;Slip 9\n";
    let found = compare(&mut cashier, "from=2020-01-01&to=2999-12-31", CSV, file).expect(200).json();
    assert_eq!(counts(&found), [3, 1, 1, 1, 1]);
    let matched = &found["matched"][0];
    assert_eq!((&matched["bank"]["line"], &matched["bank"]["date"]), (&json!(2), &json!("2026-01-02")));
    assert_eq!(
        (&matched["ledger"]["amount"], &matched["ledger"]["reference"]),
        (&json!("50.00"), &json!("Slip 1"))
    );
    let differing = &found["differing"][0];
    assert_eq!(
        (&differing["bank"]["amount"], &differing["ledger"]["amount"]),
        (&json!("20.05"), &json!("20.50"))
    );
    assert_eq!(found["missing"][0]["reference"], "Slip 9");
    assert_eq!(found["extra"][0]["amount"], "-5.00");
    let withdrawal = found["extra"][0]["transaction"].as_str().unwrap();
    assert_eq!(ada.client.get(&format!("/transactions/{withdrawal}")).expect(200).str("type"), "withdrawal");
    // Long ago nothing was booked here, and a file without lines has nothing to say.
    let found = compare(&mut cashier, "from=2001-01-01&to=2001-01-31", CSV, file).expect(200).json();
    assert_eq!(counts(&found), [3, 0, 0, 3, 0]);
    let empty = "amount,currency,reference\n";
    let found = compare(&mut cashier, "from=2020-01-01&to=2999-12-31", CSV, empty).expect(200).json();
    assert_eq!(counts(&found), [0, 0, 0, 0, 3]);
    assert_eq!(ada.balance("EUR"), 6_550, "nothing is changed by it");
    server.verify();
}

#[test]
fn a_camt053_file_is_matched_too() {
    let server = Server::start();
    let (mut cashier, _) = world(&server);
    let entry = |amount: &str, sign: &str, reference: &str| {
        format!(
            "<Ntry><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd><NtryDtls><TxDtls>\
             <Refs><EndToEndId>the payer's own</EndToEndId></Refs><RmtInf><Ustrd>{reference}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
        )
    };
    let entries =
        [entry("50", "CRDT", "Slip 1"), entry("20.5", "CRDT", "Slip 2"), entry("5", "DBIT", "Slip 3")];
    let file =
        format!("<Document><BkToCstmrStmt><Stmt>{}</Stmt></BkToCstmrStmt></Document>", entries.concat());
    let found = compare(&mut cashier, "from=2020-01-01&to=2999-12-31", "application/xml", &file).expect(200);
    assert_eq!(counts(&found.json()), [3, 3, 0, 0, 0]);
}

#[test]
fn what_cannot_be_read_is_told_with_its_line() {
    let server = Server::start();
    let (mut cashier, mut ada) = world(&server);
    let period = "from=2026-01-01&to=2026-01-31";
    for (kind, file, said) in [
        (CSV, "amount,currency\n", "line 1: has no column 'reference'"),
        (CSV, "amount,currency,reference\n1e3,EUR,a\n", "line 2: 'amount'"),
        ("text/xml", "<Document/>", "is no camt.053"),
        (
            "application/xml",
            "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
            "has a DTD",
        ),
    ] {
        let refused = compare(&mut cashier, period, kind, file);
        assert_fails(&refused, &["body"]);
        assert!(refused.text().contains(said), "{refused}");
    }
    assert_fails(&compare(&mut cashier, "from=2026-01-01", CSV, "amount,currency,reference\n"), &["to"]);
    assert_fails(&compare(&mut cashier, period, CSV, ""), &["body"]);
    compare(&mut cashier, period, "application/json", "{}").problem(415, "unsupported_media_type");
    let row = "1,EUR,slip\n";
    let large = format!("amount,currency,reference\n{}", row.repeat(10 * 1024 * 1024 / row.len()));
    compare(&mut cashier, period, CSV, &large).problem(413, "body_too_large");
    let most = format!("amount,currency,reference\n{}", row.repeat(100_001));
    assert!(compare(&mut cashier, period, CSV, &most).text().contains("send the file in parts"));
    compare(&mut ada, period, CSV, "x").problem(403, "permission_denied");
}
