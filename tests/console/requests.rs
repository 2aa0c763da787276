//! Payment requests and the pages to which their links lead.

use serde_json::json;

use crate::browser::{Browser, form_token, hidden};
use crate::support::{PASSWORD, Request, Response, Server};

/// Makes a request through its form; gives its id.
fn ask(browser: &mut Browser, amount: &str, note: &str) -> String {
    let page = browser.get("/console/requests/new");
    let (nonce, token) = (hidden(&page, "nonce").unwrap(), form_token(&page));
    let fields = [
        ("amount", amount),
        ("currency", "usd"),
        ("description", note),
        ("expires_in", "3600"),
        ("nonce", &nonce),
        ("form_token", &token),
    ];
    let made = browser.post("/console/requests/new", &fields);
    assert_eq!(made.status, 303, "{made}");
    // A double click and a reload make no second one.
    let again = browser.post("/console/requests/new", &fields);
    assert_eq!(again.header("location"), Some("/console/requests"), "{again}");
    let address = made.header("location").unwrap().to_owned();
    let (_, rest) = address.split_once("/console/requests/").unwrap();
    rest.split_once('?').unwrap().0.to_owned()
}

/// Sends the form of a link's page.
fn pay(browser: &mut Browser, link: &str, page: &Response) -> Response {
    let (nonce, token) = (hidden(page, "nonce").unwrap(), form_token(page));
    browser.post(link, &[("nonce", &nonce), ("form_token", &token)])
}

#[test]
fn a_request_is_shown_paid_once_and_told_as_paid() {
    let server = Server::start();
    let mut ada = Browser::registered(&server, "ada");
    let mut bob = Browser::registered(&server, "bob");
    let id = ask(&mut ada, "12.50", "Two tickets");
    let link = format!("/pay/{id}");
    let list = ada.get("/console/requests");
    assert_eq!(list.text().matches("Two tickets").count(), 1, "{list}");
    let shown = ada.get(&format!("/console/requests/{id}"));
    assert!(
        shown.text().contains("<svg xmlns")
            && shown.text().contains(&format!("http://{}{link}", server.address())),
        "{shown}"
    );

    // Anybody with the link sees it, and is led to the login and back.
    let mut anybody = Browser::new(&server);
    let page = anybody.get(&link);
    assert!(page.text().contains("Two tickets") && page.text().contains("Log in to pay"), "{page}");
    assert!(page.text().contains(&format!("/console/register?next=%2Fpay%2F{id}")), "{page}");
    let login = format!("/console/login?next=%2Fpay%2F{id}");
    let fields = [("email", "bob@example.org"), ("password", PASSWORD), ("next", link.as_str())];
    let response = anybody.fill(&login, "/console/login", &fields);
    assert_eq!(response.header("location"), Some(link.as_str()), "{response}");
    // Its maker cannot pay it.
    assert!(ada.get(&link).text().contains("your own request"));

    let page = bob.get(&link);
    let first = pay(&mut bob, &link, &page);
    let payment = first.header("location").unwrap().to_owned();
    assert!(first.status == 303 && payment.starts_with("/console/payments/pay_"), "{first}");
    let second = pay(&mut bob, &link, &page);
    assert_eq!(second.header("location"), Some(payment.as_str()), "a double click: {second}");
    // From a page that was open since before, too, and by others.
    let other = pay(&mut anybody, &link, &page);
    assert_eq!(other.status, 403, "another browser's form: {other}");
    let path = payment.split('?').next().unwrap();
    for (browser, sees_payment) in [(&mut ada, true), (&mut bob, true), (&mut Browser::new(&server), false)] {
        let page = browser.get(&link);
        assert!(page.text().contains("This was paid."), "{page}");
        assert_eq!(page.text().contains(path), sees_payment, "{page}");
    }
    let shown = ada.get(&format!("/console/requests/{id}"));
    assert!(shown.text().contains("by <strong>bob") && shown.text().contains("Paid"), "{shown}");
    let balance = bob.get("/console/").text();
    assert!(balance.contains("987<span class=\"decimals\">.50"), "{balance}");
}

#[test]
fn too_little_money_leaves_a_request_open() {
    let server = Server::start();
    let mut ada = Browser::registered(&server, "ada");
    let mut bob = Browser::registered(&server, "bob");
    let link = format!("/pay/{}", ask(&mut ada, "1000.01", "A car"));
    let page = bob.get(&link);
    assert!(page.text().contains("would be declined"), "{page}");
    let declined = pay(&mut bob, &link, &page);
    let shown = bob.get(declined.header("location").unwrap());
    assert!(shown.text().contains("Declined: not enough money.") && shown.text().contains(&link), "{shown}");
    let mut rich = server.user("rich");
    rich.pay(&json!({"amount": "500", "currency": "USD", "to": "bob@example.org"})).expect(201);
    let page = bob.get(&link);
    let paid = pay(&mut bob, &link, &page);
    assert!(paid.header("location").is_some_and(|address| address.ends_with("?note=sent")), "{paid}");
    assert!(bob.get(&link).text().contains("This was paid."));
}

#[test]
fn what_is_over_says_so() {
    let server = Server::start();
    let mut ada = Browser::registered(&server, "ada");
    let mut bob = Browser::registered(&server, "bob");
    let id = ask(&mut ada, "1", "Taken back");
    let page = bob.get(&format!("/pay/{id}"));
    // Nobody but its maker takes it back.
    let own = format!("/console/requests/{id}");
    assert_eq!(bob.get(&own).header("location"), Some(format!("/pay/{id}").as_str()));
    assert_eq!(bob.fill("/console/send", &format!("{own}/cancel"), &[]).status, 404);
    let cancelled = ada.fill(&own, &format!("{own}/cancel"), &[]);
    assert_eq!(cancelled.header("location"), Some(format!("{own}?note=cancelled").as_str()), "{cancelled}");
    let late = pay(&mut bob, &format!("/pay/{id}"), &page);
    assert!(late.status == 409 && late.text().contains("taken back"), "{late}");

    let id = ask(&mut ada, "1", "Too late");
    let root = crate::support::User::operator(&server, "root", "admin");
    let advance = Request::new("POST", "/sandbox/clock").json(&json!({"advance": 3_601}));
    server.client().call(&advance.bearer(&root.token)).expect(200);
    assert!(bob.get(&format!("/pay/{id}")).text().contains("has expired"));
    for path in ["/pay/plk_01h455vb4pex5vsknk084sn02q", "/pay/x", "/pay/", "/pay/x/y"] {
        let page = bob.get(path);
        assert_eq!(
            (page.status, page.header("content-type")),
            (404, Some("text/html; charset=utf-8")),
            "{page}"
        );
    }
}

#[test]
fn who_registers_on_the_way_comes_back() {
    let server = Server::start();
    let mut ada = Browser::registered(&server, "ada");
    let link = format!("/pay/{}", ask(&mut ada, "1", ""));
    let mut new = Browser::new(&server);
    let fields = [("email", "new@example.org"), ("password", PASSWORD), ("next", link.as_str())];
    let page = format!("/console/register?next={}", link.replace('/', "%2F"));
    let response = new.fill(&page, "/console/register", &fields);
    assert_eq!(response.header("location"), Some(link.as_str()), "{response}");
    // A session that ended on the page leads back to it, too.
    let ended = Browser::new(&server).post(&link, &[]);
    assert_eq!(ended.header("location"), Some(page.replace("register", "login").as_str()), "{ended}");
}

#[test]
fn a_wrong_request_is_told_beside_its_fields() {
    let server = Server::start();
    let mut ada = Browser::registered(&server, "ada");
    let page = ada.get("/console/requests/new");
    let (nonce, token) = (hidden(&page, "nonce").unwrap(), form_token(&page));
    let mut fields = vec![
        ("amount", "1.001"),
        ("currency", "XXY"),
        ("description", "<b>kept</b>"),
        ("nonce", &nonce),
        ("form_token", &token),
    ];
    let refused = ada.post("/console/requests/new", &fields);
    assert_eq!(refused.status, 422, "{refused}");
    for text in ["currency-error", "&lt;b&gt;kept&lt;/b&gt;"] {
        assert!(refused.text().contains(text), "{text}: {refused}");
    }
    // What was refused may be sent again with the same word.
    fields[0] = ("amount", "1.00");
    fields[1] = ("currency", "EUR");
    assert_eq!(ada.post("/console/requests/new", &fields).status, 303);
}

#[test]
fn a_long_list_goes_on_behind_its_first_page() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for number in 0..26 {
        let body = json!({"amount": "1", "currency": "USD", "description": format!("Number {number}.")});
        ada.client.post("/requests", &body).expect(201);
    }
    let mut browser = Browser::new(&server);
    browser.log_in("ada@example.org", PASSWORD);
    let first = browser.get("/console/requests").text();
    assert!(first.contains("Number 25.") && !first.contains("Number 0."), "{first}");
    let (_, rest) = first.split_once("rel=\"next\" href=\"").expect("a way on");
    let older = browser.get(rest.split('"').next().unwrap()).text();
    assert!(
        older.contains("Number 0.") && !older.contains("Number 1.") && older.contains("Newest"),
        "{older}"
    );
}
