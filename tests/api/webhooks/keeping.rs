//! Making webhooks, seeing, changing, rotating and taking them away.

use serde_json::json;

use super::{make, server_for};
use crate::support::lists::{ids, rows};
use crate::support::receiver::Receiver;
use crate::support::shape::{assert_fails, assert_id, assert_members, codes_of};
use crate::support::{Server, User};

const MEMBERS: [&str; 12] = [
    "id",
    "url",
    "events",
    "description",
    "scope",
    "signature",
    "public_key",
    "status",
    "disabled_reason",
    "old_secret_until",
    "created_at",
    "updated_at",
];

#[test]
fn a_webhook_is_made_seen_changed_and_taken_away() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let body = json!({"url": "https://HOOK.invalid", "events": ["payment.*"], "description": "books"});
    let made = ada.client.post("/webhooks", &body).expect(201).json();
    let id = made["id"].as_str().unwrap().to_owned();
    assert_id(&id, "whk");
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!((&made["url"], &made["status"]), (&json!("https://hook.invalid/"), &json!("enabled")));

    // The secret is shown once.
    let seen = ada.client.get(&format!("/webhooks/{id}")).expect(200).json();
    assert_members(&seen, &MEMBERS);
    assert_eq!(ids(&rows(&ada.client.get("/webhooks").expect(200).json())), std::slice::from_ref(&id));

    let patch = json!({"enabled": false, "events": ["topup.succeeded"], "description": ""});
    let changed =
        ada.client.call(&crate::support::Request::new("PATCH", &format!("/webhooks/{id}")).json(&patch));
    let changed = changed.expect(200).json();
    assert_eq!((&changed["status"], &changed["disabled_reason"]), (&json!("disabled"), &json!("by_owner")));
    assert_eq!((&changed["events"], &changed["description"]), (&json!(["topup.succeeded"]), &json!(null)));
    assert_eq!(changed["url"], "https://hook.invalid/", "what is left out stays");

    ada.client.call(&crate::support::Request::new("DELETE", &format!("/webhooks/{id}"))).expect(204);
    ada.client.get(&format!("/webhooks/{id}")).problem(404, "not_found");
    assert_eq!(rows(&ada.client.get("/webhooks").expect(200).json()), [json!(null); 0]);
    server.verify();
}

#[test]
fn what_is_wrong_with_a_webhook_is_named() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for url in [
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://user:secret@hook.invalid/",
        "https://hook.invalid:22/",
        "https://localhost/",
        "gopher://hook.invalid/",
        "hook.invalid",
    ] {
        let answer = ada.client.post("/webhooks", &json!({"url": url}));
        assert_fails(&answer, &["url"]);
        assert!(codes_of(&answer, "url").contains("url_not_allowed"), "{answer}");
    }
    let body = json!({"url": "https://hook.invalid/", "events": ["payment.success"], "signature": "v2"});
    assert_fails(&ada.client.post("/webhooks", &body), &["events", "signature"]);
    let body = json!({"url": "https://hook.invalid/", "events": "payment.*"});
    assert_fails(&ada.client.post("/webhooks", &body), &["events"]);
    assert_fails(
        &ada.client.post("/webhooks", &json!({"url": "https://hook.invalid/", "events": []})),
        &["events"],
    );
    assert_fails(&ada.client.post("/webhooks", &json!({})), &["url"]);
}

#[test]
fn live_money_is_told_of_over_tls_alone() {
    let server = Server::builder().env("FARTHING_MODE", "live").start();
    let mut ada = server.user("ada");
    assert_fails(&ada.client.post("/webhooks", &json!({"url": "http://hook.invalid/"})), &["url"]);
    ada.client.post("/webhooks", &json!({"url": "https://hook.invalid/"})).expect(201);
}

#[test]
fn a_user_has_as_many_webhooks_as_the_operator_allows() {
    let server = Server::builder().env("FARTHING_WEBHOOKS_ENDPOINTS_PER_OWNER", "2").start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let body = json!({"url": "https://hook.invalid/"});
    let first = ada.client.post("/webhooks", &body).expect(201).json();
    ada.client.post("/webhooks", &body).expect(201);
    let refused = ada.client.post("/webhooks", &body).problem(409, "webhook_limit");
    assert_eq!(refused.json()["most"], 2);
    bob.client.post("/webhooks", &body).expect(201);
    let path = format!("/webhooks/{}", first["id"].as_str().unwrap());
    ada.client.call(&crate::support::Request::new("DELETE", &path)).expect(204);
    ada.client.post("/webhooks", &body).expect(201);
}

/// An admin, logged in.
pub fn admin(server: &Server) -> User {
    let output = server.run(&["admin", "create", "--email", "root@example.org"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let mut client = server.client();
    let tokens = said
        .split_whitespace()
        .map(|word| client.post("/login", &json!({"email": "root@example.org", "password": word})))
        .find(|answer| answer.status == 200)
        .unwrap_or_else(|| panic!("no password among: {said}"));
    let (token, refresh) = (tokens.str("access_token"), tokens.str("refresh_token"));
    let me = server.client().with_token(&token).get("/me").expect(200);
    User {
        id: me.str("id"),
        name: "root".to_owned(),
        email: me.str("email"),
        token: token.clone(),
        refresh,
        client: server.client().with_token(&token),
    }
}

#[test]
fn the_house_hears_everything_and_its_webhooks_are_the_admins() {
    let receiver = Receiver::start();
    let server = server_for(&[&receiver], "0,1");
    let (mut ada, mut bob, mut root) = (server.user("ada"), server.user("bob"), admin(&server));
    let body = json!({"url": receiver.url(), "scope": "ledger", "events": ["payment.*"]});
    ada.client.post("/webhooks", &body).problem(403, "permission_denied");
    ada.client.get("/webhooks?scope=ledger").problem(403, "permission_denied");
    ada.client.get("/events?scope=ledger").problem(403, "permission_denied");
    ada.client.get("/events/stream?scope=ledger").problem(403, "permission_denied");
    let made = root.client.post("/webhooks", &body).expect(201).json();
    assert_eq!(made["scope"], "ledger");
    let path = format!("/webhooks/{}", made["id"].as_str().unwrap());
    ada.client.get(&path).problem(404, "not_found");
    assert_eq!(root.client.get(&path).expect(200).json()["id"], made["id"]);
    assert_eq!(rows(&root.client.get("/webhooks").expect(200).json()).len(), 0, "it is not the admin's own");
    assert_eq!(rows(&root.client.get("/webhooks?scope=ledger").expect(200).json()).len(), 1);

    ada.pay(&json!({"to": bob.email, "amount": "5", "currency": "USD"})).expect(201);
    bob.pay(&json!({"to": ada.email, "amount": "7", "currency": "USD"})).expect(201);
    let amounts: Vec<String> = receiver
        .wait_for(2)
        .iter()
        .map(|got| got.json()["data"]["amount"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(amounts.len(), 2);
    assert!(amounts.contains(&"5.00".to_owned()) && amounts.contains(&"7.00".to_owned()), "{amounts:?}");
    // And what is somebody's own goes to nobody else.
    let mut eve = server.user("eve");
    make(&mut eve, &receiver, &["payment.*"]);
    ada.pay(&json!({"to": bob.email, "amount": "9", "currency": "USD"})).expect(201);
    receiver.wait_for(3);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(receiver.received().len(), 3, "the house alone hears of what is not eve's");
}
