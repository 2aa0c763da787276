//! What a node recalls of who paid lets nobody in: what another node was told counts from the next request on.

use serde_json::{Value, json};

use crate::support::factor::Factor;
use crate::support::{Client, PASSWORD, Request, Server, User};

/// A payment that goes through. Without a key it is no repeat of the one by which a node comes to know the payer: that
/// would be told no whoever made it.
fn good() -> Value {
    json!({"amount": "3", "currency": "USD"})
}

/// Payments that are told no whatever is known of the payer: at the body, by the recipient, by the ledger.
fn bad() -> [Value; 3] {
    [
        json!({"amount": "much", "currency": "USD"}),
        json!({"amount": "1", "currency": "USD", "to": "nobody@example.org"}),
        json!({"amount": "1000000", "currency": "USD"}),
    ]
}

/// The same caller at that node, which has just looked them up and let them pay.
fn known_at(node: &Server, token: &str) -> Client {
    let mut client = node.client().with_token(token);
    let first =
        Request::post("/payment", &json!({"amount": "1", "currency": "USD"})).key(&format!("known {token}"));
    let mut pay = || client.call(&first).status;
    assert_eq!((pay(), pay()), (201, 201));
    client
}

fn set_role(node: &Server, email: &str, role: &str) {
    assert!(node.run(&["admin", "set-role", "--email", email, "--role", role]).status.success());
}

fn patch(client: &mut Client, user: &User, body: &Value) {
    let path = format!("/admin/users/{}", user.id);
    client.call(&Request::new("PATCH", &path).json(body)).expect(200);
}

#[test]
fn a_session_or_key_that_ended_elsewhere_is_refused_before_all_else() {
    let (one, two) = super::nodes::two();
    for (number, body) in (0..).zip(bad().into_iter().chain([good()])) {
        let mut ada = one.user(&format!("ada{number}"));
        let made =
            ada.client.post("/api-keys", &json!({"name": "shop", "scopes": ["own_account"]})).expect(201);
        let (mut shop, mut phone) = (known_at(&two, &made.str("key")), known_at(&two, &ada.token));
        ada.client.delete(&format!("/api-keys/{}", made.str("id"))).expect(204);
        shop.post("/payment", &body).problem(401, "token_invalid");
        shop.get("/wallets").problem(401, "token_invalid");
        ada.client.post_empty("/logout").expect(204);
        phone.post("/payment", &body).problem(401, "token_invalid");
        phone.get("/wallets").problem(401, "token_invalid");
    }
    one.verify();
}

#[test]
fn who_is_frozen_or_promoted_elsewhere_pays_no_more() {
    let (one, two) = super::nodes::two();
    let (mut admin, ada) = (one.operator("admin"), one.user("ada"));
    let mut phone = known_at(&two, &ada.token);
    patch(&mut admin.client, &ada, &json!({"frozen": true}));
    phone.post("/payment", &good()).problem(403, "account_frozen");
    patch(&mut admin.client, &ada, &json!({"frozen": false}));
    phone.post("/payment", &good()).expect(201);

    // Operators need a longer password, and can do nothing until they have it.
    let (email, short) = ("kim@example.org", "plum-otter-9");
    let log_in = json!({"email": email, "password": short});
    for body in bad().into_iter().chain([good()]) {
        let registered = one.client().post("/register", &log_in);
        if registered.status != 201 {
            set_role(&one, email, "customer");
        }
        let token = one.client().post("/login", &log_in).expect(200).str("access_token");
        let mut phone = known_at(&two, &token);
        set_role(&one, email, "support");
        phone.post("/payment", &body).problem(403, "credentials_too_weak");
    }
    one.verify();
}

#[test]
fn a_second_factor_begun_or_removed_elsewhere_counts_at_once() {
    let limit = ("FARTHING_SECURITY_STEP_UP_ABOVE", "100");
    let (one, two) = super::nodes::two_with(|node| node.env(limit.0, limit.1));
    let mut ada = one.user("ada");
    let mut phone = known_at(&two, &ada.token);
    let secret = ada.client.post("/me/totp", &json!({})).expect(200).str("secret");
    let factor = Factor::new(&secret);
    ada.client.post("/me/totp/confirm", &json!({"otp": factor.code(0)})).expect(200);
    let mut pay = |key: &str, otp: Option<String>| {
        let body = json!({"amount": "101", "currency": "USD", "otp": otp});
        phone.call(&Request::post("/payment", &body).key(key))
    };
    pay("large", Some(factor.code(1))).expect(201);
    pay("larger", None).problem(401, "otp_required");
    ada.client.call(&Request::new("DELETE", "/me/totp").json(&json!({"password": PASSWORD}))).expect(204);
    pay("larger", None).expect(201);
    one.verify();
}

/// The calls beside a payment that go by what is recalled, each good: of a payee who was paid twice with capture by hand and
/// once without, and is asked for money.
fn good_calls(payer: &mut User, payee: &str) -> [Request; 5] {
    let mut pay = |(amount, capture): (&str, &str)| {
        let body = json!({"to": payee, "amount": amount, "currency": "USD", "capture": capture});
        payer.client.post("/payment", &body).expect(201).str("id")
    };
    let [held, voided, whole] = [("5", "manual"), ("6", "manual"), ("7", "automatic")].map(&mut pay);
    let asked =
        payer.client.post("/requests", &json!({"amount": "1", "currency": "USD"})).expect(201).str("id");
    [
        Request::post(&format!("/payment/{held}/capture"), &json!({})),
        Request::post(&format!("/payment/{voided}/void"), &json!({})),
        Request::post(&format!("/payment/{whole}/refund"), &json!({})),
        Request::post("/requests", &json!({"amount": "2", "currency": "USD"})),
        Request::post(&format!("/requests/{asked}/pay"), &json!({})),
    ]
}

#[test]
fn what_ended_elsewhere_takes_no_later_step_and_asks_and_pays_nothing() {
    let (one, two) = super::nodes::two();
    let (mut ada, mut bob) = (one.user("ada"), one.user("bob"));
    let calls = good_calls(&mut bob, &ada.email);
    let mut phone = known_at(&two, &ada.token);
    ada.client.post_empty("/logout").expect(204);
    for call in &calls {
        phone.call(call).problem(401, "token_invalid");
    }

    let (email, short) = ("kim@example.org", "plum-otter-9");
    let log_in = json!({"email": email, "password": short});
    one.client().post("/register", &log_in).expect(201);
    let token = || one.client().post("/login", &log_in).expect(200).str("access_token");
    let kim = token();
    one.client().with_token(&kim).post("/topup", &json!({"amount": "9", "currency": "USD"})).expect(201);
    let calls = good_calls(&mut bob, email);
    let mut phone = known_at(&two, &kim);
    set_role(&one, email, "support");
    for call in &calls {
        phone.call(call).problem(403, "credentials_too_weak");
    }
    set_role(&one, email, "customer");
    let mut phone = known_at(&two, &token());
    for call in &calls {
        assert!(matches!(phone.call(call).status, 200 | 201), "{}", call.path());
    }

    // Who may do more than the node recalls does it, and is called what they are called now.
    let dan = one.user("dan");
    let mut phone = known_at(&two, &dan.token);
    set_role(&one, &dan.email, "support");
    let body = json!({"amount": "4", "currency": "USD"});
    let paid = bob.client.post("/payment", &body).expect(201).str("id");
    phone.post(&format!("/payment/{paid}/refund"), &json!({})).expect(201);
    one.client()
        .with_token(&dan.token)
        .call(&Request::new("PATCH", "/me").json(&json!({"name": "Dan the Man"})))
        .expect(200);
    let asked = phone.post("/requests", &json!({"amount": "2", "currency": "USD"})).expect(201).json();
    assert_eq!(asked["to"]["name"], "Dan the Man", "{asked}");
    one.verify();
}
