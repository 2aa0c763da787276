//! Statements as files, by the cookie's session.

use crate::browser::Browser;
use crate::support::{PASSWORD, Request, Server};

#[test]
fn a_statement_is_the_same_file_as_the_apis() {
    let server = Server::start();
    let mut ada = server.user("ada");
    ada.pay(&serde_json::json!({"amount": "5", "currency": "USD"})).expect(201);
    let mut browser = Browser::new(&server);
    browser.log_in("ada@example.org", PASSWORD);
    assert!(browser.get("/console/statement").text().contains("<option value=\"USD\""));
    let query = "currency=USD&format=csv";
    let page = browser.get(&format!("/console/statement/file?{query}&from=&to="));
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/csv; charset=utf-8")), "{page}");
    assert_eq!(
        page.header("content-disposition"),
        Some("attachment; filename=\"statement-USD.csv\""),
        "{page}"
    );
    let file = ada.client.call(&Request::get(&format!("/statement?{query}"))).expect(200);
    assert_eq!(page.text(), file.text());
    let wrong = browser.get("/console/statement/file?currency=USD&from=2026-02-01&to=2026-01-01&format=csv");
    assert!(wrong.status == 422 && wrong.text().contains("to-error"), "{wrong}");
    assert!(wrong.text().contains("value=\"2026-02-01\""), "what was typed stays: {wrong}");
}
