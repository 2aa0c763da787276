//! What operators do in the browser: the first of them is made there, pages are live, the books are verified.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use std::collections::BTreeSet;

use farthing::console::desk::routes::PAGES;
use farthing::http::spec::{Route, Verb};
use farthing::ledger::Role;

use crate::browser::Browser;
use crate::support::{PASSWORD, Server, User};

/// The path of the link that the server printed when it started.
fn first_admin_link(server: &Server) -> Option<String> {
    let log = server.log();
    let (_, rest) = log.rsplit_once("/console/first/")?;
    Some(format!("/console/first/{}", rest.split_whitespace().next()?))
}

#[test]
fn the_printed_link_makes_the_first_administrator_once() {
    let mut server = Server::start();
    let link = first_admin_link(&server).unwrap();
    let mut browser = Browser::new(&server);
    assert_eq!(browser.get("/console/first/nonsense").status, 404);
    let short = browser.fill(&link, &link, &[("email", "root@example.org"), ("password", "seven otters 1")]);
    assert!(short.status == 422 && short.text().contains("password-error"), "{short}");
    let made = browser.fill(&link, &link, &[("email", "root@example.org"), ("password", PASSWORD)]);
    assert_eq!(made.status, 303, "{made}");
    let page = browser.get(made.header("location").unwrap());
    assert!(page.status == 200 && page.text().contains("root@example.org"), "{page}");
    // Used up, for everybody.
    assert_eq!(browser.get(&link).status, 404);
    let mut late = Browser::new(&server);
    late.get("/console/login");
    assert_eq!(late.get(&link).status, 404);
    // A ledger with an administrator offers no link when it is served again.
    let links = server.log().matches("/console/first/").count();
    server.terminate();
    server.start_again();
    assert_eq!(server.log().matches("/console/first/").count(), links);
}

#[test]
fn the_books_are_verified_from_the_page() {
    let server = Server::start();
    let link = first_admin_link(&server).unwrap();
    let mut browser = Browser::new(&server);
    let made = browser.fill(&link, &link, &[("email", "root@example.org"), ("password", PASSWORD)]);
    assert_eq!(made.status, 303, "{made}");
    server.user("ada");
    let begun = browser.fill("/console/desk/audit", "/console/desk/audit/verify", &[]);
    assert_eq!(begun.header("location"), Some("/console/desk/audit"), "{begun}");
    let start = Instant::now();
    while !browser.get("/console/desk/audit").text().contains("The books balance") {
        assert!(start.elapsed() < Duration::from_secs(30), "{}", browser.get("/console/desk/audit"));
        std::thread::sleep(Duration::from_millis(100));
    }
    let settings = browser.get("/console/desk/settings");
    assert!(settings.text().contains("[server]"), "{settings}");
}

#[test]
fn a_customer_has_no_desk() {
    let server = Server::start();
    let mut browser = Browser::registered(&server, "ada");
    for route in PAGES.iter().filter(|route| route.verb == Verb::Get) {
        let page = browser.get(&route.path.replace("{id}", "x"));
        assert!(page.status == 403 && page.text().contains("You may not do this"), "{page}");
    }
    assert!(!browser.get("/console/").text().contains("/console/desk"));
}

/// The desk's own form, with what each field may be.
fn fields(route: &Route) -> Vec<(&'static str, &'static str)> {
    let value = |name| match name {
        "amount" => "1",
        "currency" => "USD",
        "user" => "nobody@example.org",
        "role" => "support",
        "from" | "to" => "2026-01-31",
        _ => "x",
    };
    route.doc.body.iter().map(|field| (field.name, value(field.name))).collect()
}

/// An object of the kind that the path is about, which nobody has.
fn missing(path: &str) -> String {
    let kinds = [("payments", "pay"), ("reviews", "pay"), ("users", "usr")];
    let kind = kinds.into_iter().find(|(part, _)| path.contains(part)).map_or("txn", |(_, kind)| kind);
    path.replace("{id}", &format!("{kind}_01h455vb4pex5vsknk084sn02q"))
}

/// Every page and every form of the desk × every role: it opens to the roles of its permission and to no others. What it
/// is about does not exist, so that nothing is changed.
#[test]
fn every_page_of_the_desk_opens_to_its_roles_and_to_no_others() {
    let server = Server::start();
    for role in Role::ALL {
        let name = format!("an-{role}");
        let user = match role {
            Role::Customer => User::register(server.client(), &name),
            role => User::operator(&server, &name, role.name()),
        };
        let mut browser = Browser::new(&server);
        assert_eq!(browser.log_in(&user.email, PASSWORD).status, 303);
        let token = crate::browser::form_token(&browser.get("/console/security"));
        for route in PAGES.iter().filter(|route| !route.path.ends_with("/live")) {
            let permission = route.access.permission().unwrap_or_else(|| panic!("{} is public", route.path));
            let path = missing(route.path);
            let answer = if route.verb == Verb::Get {
                browser.get(&path)
            } else if route.doc.file.is_empty() {
                let mut fields = fields(route);
                fields.push(("form_token", &token));
                browser.post(&path, &fields)
            } else {
                browser.post_parts(&path, &[("form_token", &token), ("from", "x")])
            };
            let cell = format!("{} {path} by {role}: {answer}", route.verb.name());
            match (permission.is_given_to(role), route.path.contains("{id}")) {
                (false, _) => assert_eq!(answer.status, 403, "{cell}"),
                (true, true) => assert_eq!(answer.status, 404, "{cell}"),
                (true, false) => assert!([200, 303, 404, 422].contains(&answer.status), "{cell}"),
            }
        }
    }
    server.verify();
}

#[test]
fn the_figures_count_what_is_new_since_somebody_looked() {
    let server = Server::start();
    let root = User::operator(&server, "root", "admin");
    let mut ada = server.user("ada");
    let mut browser = Browser::new(&server);
    assert_eq!(browser.log_in(&root.email, PASSWORD).status, 303);
    for payments in 1..=3 {
        ada.pay(&serde_json::json!({"amount": "1.25", "currency": "USD", "reference": payments.to_string()}))
            .expect(201);
        let page = browser.get("/console/desk/overview").text();
        assert!(page.contains(&format!("most: {payments}<")), "{page}");
        let page = browser.get("/console/desk/").text();
        assert!(page.contains("How is it going?") && !page.contains("Counting"), "{page}");
    }
    ada.pay(&serde_json::json!({"amount": "5000", "currency": "USD"})).expect(402);
    let mut stranger = Browser::new(&server);
    assert_eq!(stranger.log_in(&ada.email, "not the password at all").status, 401);
    let page = browser.get("/console/desk/overview").text();
    assert!(page.contains("Insufficient funds") && page.contains("3.75 USD in two weeks"), "{page}");
    let page = browser.get("/console/desk/").text();
    assert!(!page.contains("Unusual"), "{page}");
}

#[test]
fn the_figures_begin_anew_with_the_ledger() {
    let server = Server::start();
    let mut admin = server.operator("admin");
    for (round, payments) in [3, 2].into_iter().enumerate() {
        let (root, mut ada) = (User::operator(&server, "root", "admin"), server.user("ada"));
        let mut browser = Browser::new(&server);
        assert_eq!(browser.log_in(&root.email, PASSWORD).status, 303);
        for number in 0..payments {
            let reference = number.to_string();
            let body = serde_json::json!({"amount": "1.25", "currency": "USD", "reference": reference});
            ada.pay(&body).expect(201);
        }
        let page = browser.get("/console/desk/overview").text();
        assert!(page.contains(&format!("most: {payments}<")), "round {round}: {page}");
        if round == 0 {
            admin.client.post("/sandbox/reset", &serde_json::json!({})).expect(204);
        }
    }
}

/// A form of the desk that anybody could be made to send does nothing without its token.
#[test]
fn no_form_of_the_desk_counts_without_its_token() {
    let server = Server::start();
    let user = User::operator(&server, "root", "admin");
    let mut browser = Browser::new(&server);
    assert_eq!(browser.log_in(&user.email, PASSWORD).status, 303);
    let forms: BTreeSet<&str> =
        PAGES.iter().filter(|route| route.verb == Verb::Post).map(|route| route.path).collect();
    assert!(forms.len() > 10, "{forms:?}");
    for route in PAGES.iter().filter(|route| route.verb == Verb::Post) {
        let path = missing(route.path);
        let answer = if route.doc.file.is_empty() {
            browser.post(&path, &fields(route))
        } else {
            browser.post_parts(&path, &[("from", "x")])
        };
        assert_eq!(answer.status, 403, "{path}: {answer}");
    }
}

#[test]
fn a_live_page_hears_of_a_change_and_keeps_no_server_from_stopping() {
    let mut server = Server::start();
    let browser = Browser::registered(&server, "ada");
    let mut ada = server.user("bob");
    let cookie = browser.cookie("farthing").unwrap();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "GET /console/live HTTP/1.1\r\nHost: {}\r\nCookie: farthing={cookie}\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut heard = String::new();
    let mut hear_until = |wanted: usize| {
        let mut piece = [0; 4_096];
        while heard.matches("event: change").count() < wanted {
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0, "the stream has ended: {heard}");
            heard.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    };
    hear_until(1);
    ada.pay(&serde_json::json!({"amount": "1", "currency": "USD", "to": "ada@example.org"})).expect(201);
    hear_until(2);
    let start = Instant::now();
    assert!(server.terminate().success());
    assert!(start.elapsed() < Duration::from_secs(7), "{:?}", start.elapsed());
    assert_eq!(browser.cookie("farthing"), Some(cookie));
}
