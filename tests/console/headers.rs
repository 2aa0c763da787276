//! What every page is sent with, and that nothing which people wrote becomes markup.

use serde_json::json;

use farthing::console::desk::routes::PAGES as DESK;
use farthing::console::routes::{OWN_PAGES, PAGES, PAY_LINKS};
use farthing::http::spec::{Access, Route, Verb};

use crate::browser::Browser;
use crate::support::{PASSWORD, Request, Server, User};

/// Every page and form.
fn pages() -> impl Iterator<Item = &'static Route> {
    PAGES.iter().chain(OWN_PAGES).chain(DESK).chain(PAY_LINKS)
}

#[test]
fn every_page_loads_nothing_from_elsewhere_and_stands_in_no_frame() {
    let server = Server::start();
    let mut browser = Browser::registered(&server, "ada");
    let mut seen = 0;
    for route in pages().filter(|route| {
        route.verb == Verb::Get && !route.path.contains('{') && !route.path.ends_with("/live")
    }) {
        let page = browser.get(route.path);
        // A statement says for which wallet.
        if [303, 403, 422].contains(&page.status) {
            continue;
        }
        seen += 1;
        assert_eq!(page.status, 200, "{page}");
        let policy = page.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{part}: {page}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(page.header(name), Some(value), "{page}");
        }
        let text = page.text();
        assert!(
            !text.contains(" style=") && !text.contains(" onclick=") && !text.contains("<script>"),
            "{page}"
        );
        assert!(!text.contains("src=\"http") && !text.contains("href=\"http"), "{page}");
        assert!(page.body.len() < 100_000, "{} bytes: {}", page.body.len(), route.path);
    }
    assert!(seen >= 16, "{seen}");
}

#[test]
fn the_desks_pages_are_sent_with_the_same() {
    let server = Server::start();
    let root = User::operator(&server, "root", "admin");
    let mut browser = Browser::new(&server);
    assert_eq!(browser.log_in(&root.email, PASSWORD).status, 303);
    for route in DESK.iter().filter(|route| {
        route.verb == Verb::Get && !route.path.contains('{') && !route.path.ends_with("/live")
    }) {
        let page = browser.get(route.path);
        if page.status == 303 {
            continue;
        }
        assert_eq!(page.status, 200, "{page}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{page}");
        let text = page.text();
        assert!(
            !text.contains(" style=") && !text.contains(" onclick=") && !text.contains("<script>"),
            "{page}"
        );
        assert!(page.body.len() < 100_000, "{} bytes: {}", page.body.len(), route.path);
    }
}

#[test]
fn a_path_of_the_console_that_leads_nowhere_is_told_on_a_page() {
    let server = Server::start();
    let mut browser = Browser::registered(&server, "ada");
    for path in
        ["/console/nowhere", "/console/payments/pay_01h455vb4pex5vsknk084sn02q", "/console/payments/x"]
    {
        let page = browser.get(path);
        assert_eq!(
            (page.status, page.header("content-type")),
            (404, Some("text/html; charset=utf-8")),
            "{page}"
        );
        assert!(page.text().contains("There is nothing here") && page.text().contains("req_"), "{page}");
    }
    let page = browser.send(Request::new("DELETE", "/console/send"));
    assert_eq!((page.status, page.header("allow")), (405, Some("GET, HEAD, POST")), "{page}");
}

#[test]
fn nobody_sees_anothers_payment() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let paid = ada.pay(&json!({"amount": "5", "currency": "USD"})).expect(201);
    let (payment, moved) = (paid.str("id"), ada.list("/transactions")[0]["id"].as_str().unwrap().to_owned());
    let mut eve = Browser::registered(&server, "eve");
    for path in [format!("/console/payments/{payment}"), format!("/console/transactions/{moved}")] {
        assert_eq!(eve.get(&path).status, 404);
    }
}

#[test]
fn nothing_that_people_write_becomes_markup() {
    let server = Server::start();
    let hostile = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>";
    let mut ada = server.user("ada");
    ada.client.call(&Request::new("PATCH", "/me").json(&json!({"name": hostile}))).expect(200);
    let body = json!({
        "amount": "5", "currency": "USD", "to": "eve@example.org", "description": hostile, "reference": hostile,
        "metadata": {"<b>k</b>": hostile},
    });
    let mut eve = Browser::registered(&server, "eve");
    let payment = ada.pay(&body).expect(201).str("id");
    let mut own = Browser::new(&server);
    own.log_in("ada@example.org", crate::support::PASSWORD);
    for browser in [&mut eve, &mut own] {
        for path in
            ["/console/", "/console/history", "/console/security", &format!("/console/payments/{payment}")]
        {
            let page = browser.get(path);
            assert_eq!(page.status, 200, "{page}");
            assert!(!page.text().contains("<img") && !page.text().contains("<script>alert"), "{page}");
        }
    }
    let query =
        "q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&to=%3Cb%3E&note=%3Cb%3E&next=%22%3E%3Cscript%3Ealert(1)";
    for route in pages().filter(|route| route.verb == Verb::Get && !route.path.ends_with("/live")) {
        let page = eve.get(&format!(
            "{}?{query}",
            route.path.replace("{secret}", "x").replace("{id}", "%3Cscript%3Ealert(1)")
        ));
        assert!(!page.text().contains("<script>alert") && !page.text().contains("<b>"), "{page}");
    }
    let fields: Vec<(&str, &str)> =
        ["to", "amount", "currency", "description", "reference", "nonce"].map(|name| (name, hostile)).into();
    let page = eve.fill("/console/send", "/console/send", &fields);
    assert!(page.status == 422 && !page.text().contains("<img"), "{page}");
}

#[test]
fn only_what_must_be_is_open_to_everybody() {
    let open: Vec<&str> =
        pages().filter(|route| route.access == Access::Public).map(|route| route.path).collect();
    let expected = [
        "/console",
        "/console/assets/{name}",
        "/console/help",
        "/console/login",
        "/console/login",
        "/console/first/{secret}",
        "/console/first/{secret}",
        "/console/reset/{token}",
        "/console/reset/{token}",
        "/console/register",
        "/console/register",
        "/pay/{id}",
    ];
    assert_eq!(open, expected);
    let server = Server::start();
    for route in pages().filter(|route| route.access != Access::Public) {
        let path = route.path.replace("{id}", "x");
        let response = server.client().send(&Request::new(route.verb.name(), &path)).unwrap();
        assert_eq!(response.status, 303, "{response}");
        assert!(response.header("location").unwrap().starts_with("/console/login"), "{response}");
    }
}
