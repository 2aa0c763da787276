//! What programs of a customer need: API keys and webhooks, made and looked at in the browser.

use serde_json::Value;

use crate::browser::{Browser, form_token, hidden};
use crate::support::receiver::Receiver;
use crate::support::{PASSWORD, Request, Response, Server, User, until};

/// Opens a page and sends its form, which may be sent once.
fn fill_once(browser: &mut Browser, page: &str, action: &str, fields: &[(&str, &str)]) -> Response {
    let page = browser.get(page);
    let (nonce, token) = (hidden(&page, "nonce").unwrap(), form_token(&page));
    let fields: Vec<(&str, &str)> =
        fields.iter().copied().chain([("nonce", nonce.as_str()), ("form_token", token.as_str())]).collect();
    let made = browser.post(action, &fields);
    if made.status == 200 {
        let again = browser.post(action, &fields);
        assert!(again.header("location").is_some_and(|address| address.ends_with("?note=twice")), "{again}");
    }
    made
}

/// The secret that a page shows.
fn secret(page: &Response) -> String {
    let text = page.text();
    let (_, rest) = text.split_once("class=\"secret\"><code data-copy>").unwrap_or_else(|| panic!("{page}"));
    rest.split_once('<').unwrap().0.to_owned()
}

/// What stands in an address behind a beginning, the first time that a page has it.
fn id_behind(page: &Response, beginning: &str) -> String {
    let text = page.text();
    let (_, rest) = text.split_once(beginning).unwrap_or_else(|| panic!("{beginning}: {page}"));
    rest.split(['"', '/', '?']).next().unwrap().to_owned()
}

#[test]
fn a_key_is_made_shown_once_replaced_and_revoked() {
    let server = Server::start();
    let mut ada = Browser::registered(&server, "ada");
    assert!(ada.get("/console/keys").text().contains("No key yet"));
    let nothing = fill_once(&mut ada, "/console/keys/new", "/console/keys/new", &[("name", "shop")]);
    assert!(nothing.status == 422 && nothing.text().contains("scopes-error"), "{nothing}");
    let beyond = [("name", "shop"), ("scopes", "administer")];
    assert_eq!(fill_once(&mut ada, "/console/keys/new", "/console/keys/new", &beyond).status, 422);
    let fields = [
        ("name", "The <b>shop</b>"),
        ("scopes", "own_account"),
        ("scopes", "own_account:read"),
        ("expires_in", "2592000"),
    ];
    let made = fill_once(&mut ada, "/console/keys/new", "/console/keys/new", &fields);
    assert_eq!(made.status, 200, "{made}");
    let key = secret(&made);
    server.client().call(&Request::get("/wallets").bearer(&key)).expect(200);
    let list = ada.get("/console/keys");
    assert!(list.text().contains("The &lt;b&gt;shop&lt;/b&gt;") && !list.text().contains(&key), "{list}");
    let address = format!("/console/keys/{}", id_behind(&list, "/console/keys/key_").as_str())
        .replace("keys/", "keys/key_");
    assert_eq!(Browser::registered(&server, "eve").get(&address).status, 404);

    let replaced = fill_once(&mut ada, &address, &format!("{address}/rotate"), &[("overlap", "0")]);
    let new = secret(&replaced);
    server.client().call(&Request::get("/wallets").bearer(&key)).expect(401);
    server.client().call(&Request::get("/wallets").bearer(&new)).expect(200);
    let list = ada.get("/console/keys");
    let address = format!("/console/keys/key_{}", id_behind(&list, "/console/keys/key_"));
    let revoked = ada.fill(&address, &format!("{address}/revoke"), &[]);
    assert_eq!(revoked.header("location"), Some("/console/keys?note=revoked"), "{revoked}");
    server.client().call(&Request::get("/wallets").bearer(&new)).expect(401);
    assert!(ada.get("/console/keys").text().contains("No key yet"));
}

#[test]
fn a_webhook_is_made_tested_and_sent_again() {
    let receiver = Receiver::start();
    let server = Server::builder().sends_to(&[&receiver]).start();
    let mut ada = Browser::registered(&server, "ada");
    assert!(ada.get("/console/webhooks").text().contains("No webhook yet"));
    let new = "/console/webhooks/new";
    let refused = fill_once(&mut ada, new, new, &[("url", "ftp://x"), ("events", "*")]);
    assert!(refused.status == 422 && refused.text().contains("url-error"), "{refused}");
    let fields = [
        ("url", receiver.url()),
        ("events", "payment.*".to_owned()),
        ("events", "refund.*".to_owned()),
        ("description", "<i>mine</i>".to_owned()),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let made = fill_once(&mut ada, new, new, &fields);
    assert!(secret(&made).starts_with("whsec_"), "{made}");
    let list = ada.get("/console/webhooks");
    assert!(list.text().contains("&lt;i&gt;mine&lt;/i&gt;") && list.text().contains("refund.*"), "{list}");
    let address = format!("/console/webhooks/whk_{}", id_behind(&list, "/console/webhooks/whk_"));
    let tested = ada.fill(&address, &format!("{address}/test"), &[]);
    assert_eq!(tested.header("location"), Some(format!("{address}?note=tested").as_str()), "{tested}");
    let delivered = format!("{address}?status=delivered");
    until("it was delivered", || ada.get(&delivered).text().contains("<th scope=\"row\">webhook.test"));
    assert!(ada.get(&format!("{address}?status=failed")).text().contains("No delivery is like that"));
    let page = ada.get(&address);
    let before = format!("{address}/deliveries/dlv_");
    let delivery = format!("{before}{}", id_behind(&page, &before));
    let again = ada.fill(&address, &format!("{delivery}/redeliver"), &[]);
    assert_eq!(again.header("location"), Some(format!("{address}?note=again").as_str()), "{again}");
    let got = || receiver.received().iter().map(|one| one.json()["type"].clone()).collect::<Vec<Value>>();
    let end = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while got() != ["webhook.test", "webhook.test"] {
        assert!(std::time::Instant::now() < end, "{:?}", got());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }

    let off = ada.fill(&address, &format!("{address}/switch"), &[("enabled", "false")]);
    assert_eq!(off.header("location"), Some(format!("{address}?note=off").as_str()), "{off}");
    assert!(ada.get(&address).text().contains("Switch it on"));
    let fresh = fill_once(&mut ada, &address, &format!("{address}/secret"), &[("keep_old_seconds", "3600")]);
    assert_ne!(secret(&fresh), secret(&made));
    // Nobody else sees it or does anything with it.
    let mut eve = Browser::registered(&server, "eve");
    assert_eq!(eve.get(&address).status, 404);
    for action in ["test", "delete"] {
        assert_eq!(eve.fill("/console/send", &format!("{address}/{action}"), &[]).status, 404);
    }
    assert_eq!(eve.fill("/console/send", &format!("{delivery}/redeliver"), &[]).status, 404);
    let gone = ada.fill(&address, &format!("{address}/delete"), &[]);
    assert_eq!(gone.header("location"), Some("/console/webhooks?note=deleted"), "{gone}");
    assert!(ada.get("/console/webhooks").text().contains("No webhook yet"));
}

#[test]
fn the_houses_webhooks_are_for_who_administers_it() {
    let server = Server::start();
    let mut root = Browser::new(&server);
    let admin = User::operator(&server, "root", "admin");
    assert_eq!(root.log_in(&admin.email, PASSWORD).status, 303);
    let (list, new) = ("/console/desk/webhooks", "/console/webhooks/new");
    let fields = [("url", "https://hook.invalid/"), ("events", "*"), ("scope", "ledger")];
    let made = fill_once(&mut root, &format!("{new}?scope=ledger"), new, &fields);
    assert!(secret(&made).starts_with("whsec_"), "{made}");
    assert!(root.get("/console/webhooks").text().contains("No webhook yet"), "it is nobody's own");
    let address = format!("/console/webhooks/whk_{}", id_behind(&root.get(list), "/console/webhooks/whk_"));
    assert!(root.get(&address).text().contains("Webhooks of the house"));

    let mut eve = Browser::registered(&server, "eve");
    let refused = fill_once(&mut eve, new, new, &fields);
    assert_eq!(refused.status, 403, "{refused}");
    assert_eq!(eve.get(&address).status, 404);
    assert_eq!(eve.fill("/console/send", &format!("{address}/delete"), &[]).status, 404);

    let gone = root.fill(&address, &format!("{address}/delete"), &[]);
    assert_eq!(gone.header("location"), Some("/console/desk/webhooks?note=deleted"), "{gone}");
}
