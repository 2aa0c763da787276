//! Forms: only our own are taken, a payment's form pays once, and what was wrong stands beside its field.

use crate::browser::{Browser, form, form_token, hidden};
use crate::support::{Request, Response, Server};

/// Insists on a page that tells a problem.
#[track_caller]
fn told(response: &Response, status: u16, code: &str) {
    assert_eq!(response.status, status, "{response}");
    assert!(response.header("content-type").unwrap().starts_with("text/html"), "{response}");
    assert!(response.text().contains(code), "{response}");
}

const PAYMENT: [(&str, &str); 3] = [("to", "house"), ("amount", "12.50"), ("currency", "USD")];

fn payment<'f>(nonce: &'f str, token: &'f str) -> Vec<(&'f str, &'f str)> {
    PAYMENT.into_iter().chain([("nonce", nonce), ("form_token", token)]).collect()
}

#[test]
fn a_form_from_another_site_is_refused() {
    let server = Server::start();
    let mut browser = Browser::registered(&server, "ada");
    let token = form_token(&browser.get("/console/send"));
    let own = format!("http://{}", server.address());
    for (origin, fetch_site) in [
        (Some("https://evil.example"), None),
        (Some("null"), None),
        (Some("http://127.0.0.1:1"), None),
        (Some(own.replace("http://", "http://evil.").as_str()), None),
        (None, Some("cross-site")),
        (None, Some("same-site")),
        (None, None),
    ] {
        let mut request = form("/console/send/confirm", &payment("n", &token));
        for (name, value) in [("Origin", origin), ("Sec-Fetch-Site", fetch_site)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        told(&browser.send(request), 403, "cross_site");
    }
    assert!(!browser.get("/console/history").text().contains("12.50"));
}

#[test]
fn a_form_without_the_browsers_own_token_is_refused() {
    let server = Server::start();
    let mut ada = Browser::registered(&server, "ada");
    let mut eve = Browser::registered(&server, "eve");
    let eves = form_token(&eve.get("/console/send"));
    for token in ["", "nonsense", eves.as_str()] {
        told(&ada.post("/console/send/confirm", &payment("n", token)), 403, "form_expired");
    }
    told(&ada.post("/console/send/confirm", &PAYMENT), 403, "form_expired");
    // A visitor's login form needs its cookie, too.
    let mut visitor = Browser::new(&server);
    let token = form_token(&visitor.get("/console/login"));
    let fields = [("email", "ada@example.org"), ("password", "x"), ("form_token", token.as_str())];
    told(&Browser::new(&server).post("/console/login", &fields), 403, "form_expired");
    assert!(!ada.get("/console/history").text().contains("12.50"));
}

#[test]
fn over_plain_http_from_elsewhere_no_password_is_taken() {
    let server = Server::start();
    let mut browser = Browser::at(&server, "192.0.2.1:8080", "http");
    told(&browser.post("/console/login", &[("email", "ada@example.org")]), 403, "https_required");
}

#[test]
fn a_form_is_a_form() {
    let server = Server::start();
    let mut browser = Browser::registered(&server, "ada");
    let origin = format!("http://{}", server.address());
    let json =
        Request::new("POST", "/console/send").json_text("{\"to\":\"house\"}").header("Origin", &origin);
    told(&browser.send(json), 415, "unsupported_media_type");
    let broken = Request::new("POST", "/console/send")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Origin", &origin)
        .bytes(b"to=%ff");
    told(&browser.send(broken), 400, "malformed_json");
}

#[test]
fn a_confirmed_payment_happens_once_however_often_it_is_sent() {
    let server = Server::start();
    let mut browser = Browser::registered(&server, "ada");
    let page = browser.get("/console/send");
    let (nonce, token) = (hidden(&page, "nonce").unwrap(), form_token(&page));
    let review = browser.post("/console/send", &payment(&nonce, &token));
    assert_eq!(review.status, 200, "{review}");
    assert!(review.text().contains("Is this right?") && review.text().contains("House"), "{review}");
    let carried = hidden(&review, "nonce").unwrap();
    let first = browser.post("/console/send/confirm", &payment(&carried, &token));
    assert_eq!(first.status, 303, "{first}");
    // A double click, a reload, and the first step gone through again from the same page.
    let again = browser.post("/console/send", &payment(&nonce, &token));
    for nonce in [&carried, &hidden(&again, "nonce").unwrap()] {
        let second = browser.post("/console/send/confirm", &payment(nonce, &token));
        assert_eq!(second.header("location"), first.header("location"), "{second}");
    }
    // Another page is another payment, and so is another amount.
    let page = browser.get("/console/send");
    let nonce = hidden(&page, "nonce").unwrap();
    let other = browser.post("/console/send/confirm", &payment(&nonce, &token));
    assert_ne!(other.header("location"), first.header("location"), "{other}");
    let mut more = payment(&carried, &token);
    more[1] = ("amount", "13");
    let other = browser.post("/console/send/confirm", &more);
    assert_ne!(other.header("location"), first.header("location"), "{other}");
    let balance = browser.get("/console/").text();
    assert!(balance.contains("962<span class=\"decimals\">.00"), "{balance}");
}

#[test]
fn a_declined_payment_is_shown_as_declined() {
    let server = Server::start();
    let mut browser = Browser::registered(&server, "ada");
    let page = browser.get("/console/send");
    let (nonce, token) = (hidden(&page, "nonce").unwrap(), form_token(&page));
    let mut fields = payment(&nonce, &token);
    fields[1] = ("amount", "1000.01");
    let declined = browser.post("/console/send/confirm", &fields);
    assert_eq!(declined.status, 303, "{declined}");
    let shown = browser.get(declined.header("location").unwrap());
    assert!(shown.text().contains("Declined: not enough money."), "{shown}");
}

#[test]
fn what_is_wrong_stands_beside_its_field_and_what_was_typed_stays() {
    let server = Server::start();
    let mut browser = Browser::registered(&server, "ada");
    let page = browser.get("/console/send");
    let (nonce, token) = (hidden(&page, "nonce").unwrap(), form_token(&page));
    let fields = |to: &'static str, amount: &'static str| {
        vec![
            ("to", to),
            ("amount", amount),
            ("currency", "USD"),
            ("nonce", nonce.as_str()),
            ("form_token", token.as_str()),
        ]
    };
    for (to, amount, status, beside) in [
        ("nobody", "1", 422, "to-error"),
        ("nobody@example.org", "1", 404, "to-error"),
        ("house", "1.001", 422, "amount-error"),
        ("house", "-1", 422, "amount-error"),
        ("house", "", 422, "amount-error"),
    ] {
        let response = browser.post("/console/send", &fields(to, amount));
        assert_eq!(response.status, status, "{response}");
        let text = response.text();
        assert!(
            text.contains(&format!("id=\"{beside}\"")) && text.contains(&format!("value=\"{to}\"")),
            "{response}"
        );
    }
    let response = browser.post("/console/send/confirm", &fields("ada@example.org", "1"));
    assert!(response.text().contains("to-error"), "oneself cannot be paid: {response}");
}

#[test]
fn a_new_account_is_logged_in_and_a_taken_email_is_told() {
    let server = Server::start();
    Browser::registered(&server, "ada");
    let mut other = Browser::new(&server);
    let fields = [("email", "ADA@example.org"), ("password", "seven quiet otters")];
    let response = other.fill("/console/register", "/console/register", &fields);
    told(&response, 409, "email-error");
    let fields = [("email", "bob@example.org"), ("password", "password")];
    told(&other.fill("/console/register", "/console/register", &fields), 422, "password-error");
}

#[test]
fn name_password_and_sessions_change_in_the_browser() {
    let server = Server::start();
    let mut browser = Browser::registered(&server, "ada");
    let renamed = browser.fill("/console/security", "/console/security/name", &[("name", "Ada L.")]);
    assert_eq!(renamed.header("location"), Some("/console/security?note=name"), "{renamed}");
    assert!(browser.get("/console/security?note=name").text().contains("Ada L."));
    let mut other = Browser::new(&server);
    other.log_in("ada@example.org", crate::support::PASSWORD);
    let wrong = [("current_password", "wrong"), ("new_password", "seven quiet otters")];
    let response = browser.fill("/console/security", "/console/security/password", &wrong);
    told(&response, 422, "current_password-error");
    let right = [("current_password", crate::support::PASSWORD), ("new_password", "seven quiet otters")];
    let response = browser.fill("/console/security", "/console/security/password", &right);
    assert_eq!(response.status, 303, "{response}");
    assert_eq!(other.get("/console/").status, 303, "the other session has ended");
    assert_eq!(other.log_in("ada@example.org", "seven quiet otters").status, 303);
    let page = browser.get("/console/security").text();
    let (_, rest) = page.split_once("/console/sessions/").expect("another session to end");
    let (id, _) = rest.split_once("/end").unwrap();
    let ended = browser.fill("/console/security", &format!("/console/sessions/{id}/end"), &[]);
    assert_eq!(ended.status, 303, "{ended}");
    assert_eq!(other.get("/console/").status, 303);
}
