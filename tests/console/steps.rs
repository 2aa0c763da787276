//! A payment's life on its page: what happened, and what its payee does.

use serde_json::json;

use crate::browser::{Browser, form_token, hidden};
use crate::support::{Response, Server};

/// Sends one of the forms of a payment's page; what is sent again is the same.
fn step(browser: &mut Browser, address: &str, action: &str, fields: &[(&str, &str)]) -> Response {
    let page = browser.get(address);
    let (nonce, token) = (hidden(&page, "nonce").unwrap(), form_token(&page));
    let fields: Vec<(&str, &str)> =
        fields.iter().copied().chain([("nonce", nonce.as_str()), ("form_token", token.as_str())]).collect();
    let done = browser.post(&format!("{address}/{action}"), &fields);
    let again = browser.post(&format!("{address}/{action}"), &fields);
    assert_eq!((again.status, again.header("location")), (done.status, done.header("location")), "{again}");
    done
}

#[test]
fn a_payee_captures_refunds_and_voids() {
    let server = Server::start();
    let mut ada = Browser::registered(&server, "ada");
    let mut bob = server.user("bob");
    let hold = json!({"amount": "10", "currency": "USD", "to": "ada@example.org", "capture": "manual", "description": "one"});
    let address = format!("/console/payments/{}", bob.pay(&hold).expect(201).str("id"));
    // What is held is no movement yet, and stands among the payments.
    let list = ada.get("/console/payments?status=authorized&direction=in&counterparty=&from=&to=");
    assert!(list.text().contains(&address) && list.text().contains("Authorized"), "{list}");
    assert!(ada.get("/console/payments?status=voided").text().contains("No payment is like that"));
    let wrong = ada.get("/console/payments?from=2026-13-01");
    assert!(wrong.text().contains("from-error") && !wrong.text().contains(&address), "{wrong}");
    let page = ada.get(&address);
    assert!(
        page.text().contains("Authorised: the money is held") && page.text().contains("value=\"10.00\""),
        "{page}"
    );
    let wrong = step(&mut ada, &address, "capture", &[("amount", "1.001")]);
    assert!(wrong.status == 422 && wrong.text().contains("amount-error"), "{wrong}");
    let captured = step(&mut ada, &address, "capture", &[("amount", "8")]);
    assert_eq!(captured.header("location"), Some(format!("{address}?note=captured").as_str()), "{captured}");
    let refunded = step(&mut ada, &address, "refund", &[("amount", "3"), ("reason", "<b>late</b>")]);
    assert_eq!(refunded.header("location"), Some(format!("{address}?note=refunded").as_str()), "{refunded}");
    let text = ada.get(&address).text();
    for told in [
        "Captured <span",
        "Refunded <span",
        "&lt;b&gt;late&lt;/b&gt;",
        "Partially refunded",
        "value=\"5.00\"",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let too_much = step(&mut ada, &address, "refund", &[("amount", "6")]);
    assert!(too_much.status == 422 || too_much.status == 409, "{too_much}");

    let hold = json!({"amount": "4", "currency": "USD", "to": "ada@example.org", "capture": "manual", "description": "two"});
    let other = format!("/console/payments/{}", bob.pay(&hold).expect(201).str("id"));
    let voided = step(&mut ada, &other, "void", &[]);
    assert_eq!(voided.header("location"), Some(format!("{other}?note=voided").as_str()), "{voided}");
    assert!(ada.get(&other).text().contains("Voided: what was held is released"));

    // The payer sees what happened and has nothing to do; others see nothing.
    let mut payer = Browser::new(&server);
    payer.log_in("bob@example.org", crate::support::PASSWORD);
    let page = payer.get(&address);
    assert!(page.text().contains("Refunded <span") && !page.text().contains("/refund"), "{page}");
    assert_eq!(payer.fill("/console/send", &format!("{address}/refund"), &[("nonce", "n")]).status, 403);
    let receipt = payer.get(&format!("{address}/receipt"));
    assert!(
        receipt.status == 200 && receipt.header("content-disposition").unwrap().contains("receipt-pay_"),
        "{receipt}"
    );
    let mut eve = Browser::registered(&server, "eve");
    for path in [address.clone(), format!("{address}/receipt")] {
        assert_eq!(eve.get(&path).status, 404);
    }
}
