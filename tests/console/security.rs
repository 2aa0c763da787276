//! A second factor in the browser: set up, asked for where it matters, switched off.

use crate::browser::{Browser, form_token, hidden};
use crate::support::factor::Factor;
use crate::support::{PASSWORD, Response, Server};

/// The text of the first element of that class.
fn code_of<'p>(page: &'p str, before: &str) -> &'p str {
    let (_, rest) = page.split_once(before).unwrap_or_else(|| panic!("no {before}: {page}"));
    rest.split_once('<').unwrap().0
}

/// Sets a second factor up; gives the app and the recovery codes.
fn set_up(browser: &mut Browser) -> (Factor, Vec<String>) {
    let begun = browser.fill("/console/security/totp", "/console/security/totp", &[]);
    assert_eq!(begun.header("location"), Some("/console/security/totp"), "{begun}");
    let page = browser.get("/console/security/totp");
    assert!(page.text().contains("<svg xmlns"), "{page}");
    let factor = Factor::new(code_of(&page.text(), "data-copy>"));
    let wrong = browser.fill("/console/security/totp", "/console/security/totp/confirm", &[("otp", "12345")]);
    assert!(
        wrong.status == 401 && wrong.text().contains("otp-error") && wrong.text().contains("<svg xmlns"),
        "{wrong}"
    );
    let code = factor.code(0);
    let confirmed =
        browser.fill("/console/security/totp", "/console/security/totp/confirm", &[("otp", &code)]);
    assert_eq!(confirmed.status, 200, "{confirmed}");
    let text = confirmed.text();
    let codes: Vec<String> =
        text.split("<li><code>").skip(1).map(|rest| rest.split_once('<').unwrap().0.to_owned()).collect();
    assert_eq!(codes.len(), 10, "{text}");
    (factor, codes)
}

#[test]
fn a_second_factor_is_set_up_asked_for_and_switched_off() {
    let server = Server::start();
    let mut ada = Browser::registered(&server, "ada");
    let (factor, codes) = set_up(&mut ada);
    let page = ada.get("/console/security/totp");
    assert!(page.text().contains("Recovery codes left</dt><dd class=\"number\">10"), "{page}");
    assert!(!codes.iter().any(|code| page.text().contains(code)), "shown once: {page}");
    let mut other = Browser::new(&server);
    let refused = other.log_in("ada@example.org", PASSWORD);
    assert!(refused.status == 401 && refused.text().contains("otp-error"), "{refused}");
    let code = factor.code(1);
    let fields = [("email", "ada@example.org"), ("password", PASSWORD), ("otp", &code)];
    assert_eq!(other.fill("/console/login", "/console/login", &fields).status, 303);

    // A new password asks for a code from the beginning, so that nothing is typed twice.
    let page = ada.get("/console/security");
    assert!(page.text().contains("id=\"otp\""), "{page}");
    let mut fields = vec![("current_password", PASSWORD), ("new_password", "seven quiet otters 7")];
    let refused = ada.fill("/console/security", "/console/security/password", &fields);
    assert!(refused.status == 401 && refused.text().contains("otp-error"), "{refused}");
    fields.push(("otp", &codes[0]));
    assert_eq!(ada.fill("/console/security", "/console/security/password", &fields).status, 303);

    let wrong = ada.fill("/console/security/totp", "/console/security/totp/off", &[("password", "not it")]);
    assert!(wrong.status == 422 && wrong.text().contains("password-error"), "{wrong}");
    let off = [("password", "seven quiet otters 7")];
    let off = ada.fill("/console/security/totp", "/console/security/totp/off", &off);
    assert_eq!(off.header("location"), Some("/console/security/totp?note=off"), "{off}");
    assert_eq!(other.log_in("ada@example.org", "seven quiet otters 7").status, 303);
}

/// The fields of a payment's page with one more.
fn again<'f>(page: &'f [(String, String)], name: &'f str, value: &'f str) -> Vec<(&'f str, &'f str)> {
    let fields = page.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    fields.chain([(name, value)]).collect()
}

/// The hidden fields that a page carries.
fn carried(page: &Response, names: &[&str]) -> Vec<(String, String)> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), hidden(page, name)?))).collect()
}

#[test]
fn a_large_payment_asks_for_a_code_and_goes_on_with_what_was_typed() {
    let server = Server::builder().env("FARTHING_SECURITY_STEP_UP_ABOVE", "100").start();
    let mut bob = Browser::registered(&server, "bob");
    let mut ada = Browser::registered(&server, "ada");
    let (_, codes) = set_up(&mut ada);
    let page = ada.get("/console/send");
    let (nonce, token) = (hidden(&page, "nonce").unwrap(), form_token(&page));
    let fields = [
        ("to", "bob@example.org"),
        ("amount", "150"),
        ("currency", "USD"),
        ("description", "A <big> one"),
        ("nonce", nonce.as_str()),
        ("form_token", token.as_str()),
    ];
    let asked = ada.post("/console/send/confirm", &fields);
    assert!(asked.status == 401 && asked.text().contains("otp-error"), "{asked}");
    assert!(asked.text().contains("A &lt;big&gt; one") && asked.text().contains("Is this right?"), "{asked}");
    let fields = carried(&asked, &["to", "amount", "currency", "nonce", "form_token"]);
    let wrong = ada.post("/console/send/confirm", &again(&fields, "otp", "000000"));
    assert!(
        wrong.status == 401 && wrong.text().contains("otp-error") && !wrong.text().contains("000000"),
        "{wrong}"
    );
    let paid = ada.post("/console/send/confirm", &again(&fields, "otp", &codes[0]));
    assert!(paid.header("location").is_some_and(|address| address.ends_with("?note=sent")), "{paid}");

    // A request asks, too.
    let made = bob.get("/console/requests/new");
    let nonce = hidden(&made, "nonce").unwrap();
    let wanted = [("amount", "150"), ("currency", "USD"), ("nonce", nonce.as_str())];
    let made = bob.fill("/console/requests/new", "/console/requests/new", &wanted);
    let address =
        made.header("location").unwrap().replace("/console/requests/", "/pay/").replace("?note=made", "");
    let page = ada.get(&address);
    let fields = carried(&page, &["nonce", "form_token"]);
    let asked = ada.post(&address, &again(&fields, "otp", ""));
    assert!(asked.status == 401 && asked.text().contains("otp-error"), "{asked}");
    let paid = ada.post(&address, &again(&fields, "otp", &codes[1]));
    assert!(paid.header("location").is_some_and(|address| address.ends_with("?note=sent")), "{paid}");
}

#[test]
fn who_must_mend_their_credentials_can_do_so_in_the_browser() {
    let server = Server::start();
    let mut browser = Browser::new(&server);
    let fields = [("email", "sam@example.org"), ("password", "otters 4 tea")];
    assert_eq!(browser.fill("/console/register", "/console/register", &fields).status, 303);
    let output = server.run(&["admin", "set-role", "--email", "sam@example.org", "--role", "support"]);
    assert!(output.status.success());
    let refused = browser.get("/console/");
    assert!(refused.status == 403 && refused.text().contains("href=\"/console/security\""), "{refused}");
    let fields = [("current_password", "otters 4 tea"), ("new_password", PASSWORD)];
    assert_eq!(browser.fill("/console/security", "/console/security/password", &fields).status, 303);
    assert_eq!(browser.get("/console/").status, 200);
}
