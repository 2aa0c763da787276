//! Logging in and out in a browser: cookies, and what they open.

use serde_json::json;

use crate::browser::Browser;
use crate::support::{PASSWORD, Request, Server};

#[test]
fn a_login_gives_a_cookie_for_this_host_and_no_script() {
    let server = Server::start();
    server.user("ada");
    let mut here = Browser::new(&server);
    let response = here.log_in("ada@example.org", PASSWORD);
    assert_eq!((response.status, response.header("location")), (303, Some("/console/")), "{response}");
    let cookie = response.headers.iter().find(|(_, value)| value.starts_with("farthing=fat_")).unwrap();
    assert!(cookie.1.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax"), "{cookie:?}");
    // Behind TLS under a name of its own the cookie is bound to the host.
    let mut there = Browser::at(&server, "pay.example.org", "https");
    let response = there.log_in("ada@example.org", PASSWORD);
    let cookie =
        response.headers.iter().find(|(_, value)| value.starts_with("__Host-farthing=fat_")).unwrap();
    assert!(cookie.1.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{cookie:?}");
    assert_eq!(there.get("/console/").status, 200);
}

#[test]
fn a_page_without_a_session_leads_to_the_login_and_back() {
    let server = Server::start();
    server.user("ada");
    let mut browser = Browser::new(&server);
    let response = browser.get("/console/history?type=topup");
    let login = "/console/login?next=%2Fconsole%2Fhistory%3Ftype%3Dtopup";
    assert_eq!((response.status, response.header("location")), (303, Some(login)), "{response}");
    let fields =
        [("email", "ada@example.org"), ("password", PASSWORD), ("next", "/console/history?type=topup")];
    let response = browser.fill(login, "/console/login", &fields);
    assert_eq!(response.header("location"), Some("/console/history?type=topup"), "{response}");
    // Nobody is led elsewhere.
    let mut other = Browser::new(&server);
    let fields = [("email", "ada@example.org"), ("password", PASSWORD), ("next", "//evil.example/console/")];
    let response = other.fill("/console/login", "/console/login", &fields);
    assert_eq!(response.header("location"), Some("/console/"), "{response}");
}

#[test]
fn a_session_that_somebody_planted_is_not_the_one_that_is_logged_in() {
    let server = Server::start();
    let eve = server.user("eve");
    server.user("ada");
    let mut browser = Browser::new(&server);
    browser.plant("farthing", &eve.token);
    let fields = [("email", "ada@example.org"), ("password", PASSWORD)];
    assert_eq!(browser.fill("/console/login?next=%2Fconsole%2F", "/console/login", &fields).status, 303);
    assert_ne!(browser.cookie("farthing").unwrap(), eve.token);
    assert!(browser.get("/console/").text().contains("ada@example.org"));
}

#[test]
fn a_session_lasts_longer_than_an_access_token_and_ends_with_the_logout() {
    let server = Server::builder().env("FARTHING_TOKENS_ACCESS_TTL_SECONDS", "1").start();
    let mut browser = Browser::registered(&server, "ada");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(browser.get("/console/").status, 200);
    let token = browser.cookie("farthing").unwrap();
    server.client().call(&Request::get("/me").bearer(&token)).expect(200);
    let response = browser.fill("/console/", "/console/logout", &[]);
    assert_eq!(response.header("location"), Some("/console/login?note=out"), "{response}");
    assert!(response.header("clear-site-data").unwrap().contains("\"cache\""), "{response}");
    assert_eq!(browser.cookie("farthing"), None);
    server.client().call(&Request::get("/me").bearer(&token)).problem(401, "token_invalid");
    browser.plant("farthing", &token);
    let response = browser.get("/console/");
    assert_eq!(response.header("location"), Some("/console/login?note=ended"), "{response}");
    assert_eq!(browser.cookie("farthing"), None);
}

#[test]
fn a_wrong_password_is_told_on_the_page_and_not_given_back() {
    let server = Server::start();
    server.user("ada");
    let mut browser = Browser::new(&server);
    for (email, password) in
        [("ada@example.org", "wrong horse"), ("nobody@example.org", PASSWORD), ("nonsense", PASSWORD)]
    {
        let response = browser.log_in(email, password);
        assert_eq!(response.status, 401, "{response}");
        let text = response.text();
        assert!(text.contains("The email or the password is wrong") && text.contains(email), "{response}");
        assert!(!text.contains(password) && response.header("www-authenticate").is_none(), "{response}");
    }
}

#[test]
fn ended_elsewhere_is_ended_here() {
    let server = Server::start();
    let mut browser = Browser::registered(&server, "ada");
    let token = browser.cookie("farthing").unwrap();
    let mut client = server.client().with_token(&token);
    let sessions = client.get("/sessions").expect(200).json();
    let id = sessions["data"][0]["id"].as_str().unwrap().to_owned();
    let login = server
        .client()
        .post("/login", &json!({"email": "ada@example.org", "password": PASSWORD}))
        .expect(200);
    let other = login.str("access_token");
    server.client().call(&Request::new("DELETE", &format!("/sessions/{id}")).bearer(&other)).expect(204);
    assert_eq!(browser.get("/console/").status, 303);
}
