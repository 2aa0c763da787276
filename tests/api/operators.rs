//! `/admin/…`: what operators see and do, when it counts, and what is written about it.

use serde_json::{Value, json};

use crate::support::lists::rows;
use crate::support::{PASSWORD, Request, Response, Server, User};

/// The ids of a list's rows.
fn ids(list: &Response) -> Vec<String> {
    rows(&list.json()).iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

fn patch(client: &mut crate::support::Client, user: &str, body: &Value) -> Response {
    client.call(&Request::new("PATCH", &format!("/admin/users/{user}")).json(body))
}

/// The last event of that kind that concerns the user.
fn event(auditor: &mut User, kind: &str, user: &str) -> Value {
    let list = auditor.client.get(&format!("/admin/security-events?event={kind}&user={user}")).expect(200);
    rows(&list.json())[0].clone()
}

#[test]
fn users_are_found_by_email_name_role_and_page() {
    let server = Server::start();
    let mut admin = User::operator(&server, "root", "admin");
    let (ada, eve) = (server.user("Ada"), server.user("eve"));
    let found =
        |admin: &mut User, query: &str| ids(&admin.client.get(&format!("/admin/users?{query}")).expect(200));
    assert_eq!(found(&mut admin, ""), [&*eve.id, &*ada.id, &*admin.id]);
    assert_eq!(found(&mut admin, "q=EVE@"), [&*eve.id]);
    assert_eq!(found(&mut admin, "q=Ad&role=customer"), [&*ada.id]);
    assert_eq!(found(&mut admin, "role=admin"), [&*admin.id]);
    assert_eq!(found(&mut admin, "frozen=true"), Vec::<String>::new());
    assert_eq!(found(&mut admin, "q=%25"), Vec::<String>::new());
    patch(&mut admin.client, &eve.id, &json!({"frozen": true})).expect(200);
    assert_eq!(found(&mut admin, "frozen=true"), [&*eve.id]);
    assert_eq!(admin.list("/admin/users").len(), 3);
    let row = admin.client.get(&format!("/admin/users/{}", eve.id)).expect(200).json();
    assert_eq!(
        (&row["email"], &row["frozen"], &row["role"]),
        (&json!(eve.email), &json!(true), &json!("customer"))
    );
    admin.client.get("/admin/users?role=boss&frozen=maybe").problem(422, "validation_failed");
    patch(&mut admin.client, &eve.id, &json!({})).problem(422, "validation_failed");
    patch(&mut admin.client, &eve.id, &json!({"frozen": "yes"})).problem(422, "validation_failed");
}

#[test]
fn freezing_counts_from_the_next_request_on_and_is_written_down() {
    let server = Server::start();
    let mut support = User::operator(&server, "sam", "support");
    let mut auditor = User::operator(&server, "aud", "auditor");
    let mut eve = server.user("eve");
    let pay = json!({"amount": "1", "currency": "USD"});
    let frozen = patch(&mut support.client, &eve.id, &json!({"frozen": true})).expect(200);
    eve.pay(&pay).problem(403, "account_frozen");
    eve.client.get("/wallets").expect(200);
    let change = event(&mut auditor, "authz_change", &eve.id);
    assert_eq!(change["detail"], json!({"by": support.id, "frozen": "true"}));
    assert_eq!(change["request_id"], frozen.header("request-id").unwrap());
    let used = event(&mut auditor, "privilege_use", &support.id);
    assert_eq!(used["detail"], json!({"action": "change_user", "target": eve.id}));
    assert_eq!(used["request_id"], change["request_id"], "told in one transaction");
    patch(&mut support.client, &eve.id, &json!({"frozen": false})).expect(200);
    eve.pay(&pay).expect(201);

    // Roles are an administrator's, and refused together with what would be allowed.
    patch(&mut support.client, &eve.id, &json!({"frozen": true, "role": "admin"}))
        .problem(403, "permission_denied");
    eve.pay(&json!({"amount": "2", "currency": "USD"})).expect(201);
    let denied = event(&mut auditor, "authz_fail", &support.id);
    assert_eq!(denied["detail"]["permission"], "administer");
    // Nobody reaches themselves.
    let own = patch(&mut support.client, &support.id.clone(), &json!({"frozen": false}));
    own.problem(403, "permission_denied");
    server.verify();
}

#[test]
fn a_role_counts_from_the_next_request_on_and_a_frozen_operator_is_none() {
    let server = Server::start();
    let mut admin = User::operator(&server, "root", "admin");
    let mut eve = server.user("eve");
    eve.client.get("/admin/users").problem(403, "permission_denied");
    patch(&mut admin.client, &eve.id, &json!({"role": "support"})).expect(200);
    eve.client.get("/admin/users").expect(200);
    eve.client.get("/admin/audit").problem(403, "permission_denied");
    patch(&mut admin.client, &eve.id, &json!({"frozen": true})).expect(200);
    eve.client.get("/admin/users").problem(403, "account_frozen");
    eve.client.get("/transactions").expect(200);
    patch(&mut admin.client, &eve.id, &json!({"frozen": false, "role": "customer"})).expect(200);
    eve.client.get("/admin/users").problem(403, "permission_denied");
    let unknown = "usr_01h455vb4pex5vsknk084sn02q";
    patch(&mut admin.client, unknown, &json!({"frozen": true})).problem(404, "not_found");
}

#[test]
fn who_is_promoted_with_a_short_password_can_only_mend_it() {
    let server = Server::start();
    let mut client = server.client();
    let (email, short) = ("kim@example.org", "plum-otter-9");
    let registered = client.post("/register", &json!({"email": email, "password": short})).expect(201);
    let token =
        client.post("/login", &json!({"email": email, "password": short})).expect(200).str("access_token");
    let mut kim = server.client().with_token(&token);
    kim.get("/wallets").expect(200);
    let output = server.run(&["admin", "set-role", "--email", email, "--role", "support"]);
    assert!(output.status.success());
    for path in ["/wallets", "/me", "/admin/users", "/admin/stats"] {
        kim.get(path).problem(403, "credentials_too_weak");
    }
    kim.get("/sessions").expect(200);
    let body = json!({"current_password": short, "new_password": "short again"});
    kim.post("/me/password", &body).problem(422, "validation_failed");
    let body = json!({"current_password": short, "new_password": PASSWORD});
    kim.post("/me/password", &body).expect(204);
    kim.get("/admin/users").expect(200);
    assert!(registered.str("id").starts_with("usr_"));
}

#[test]
fn payments_of_all_are_seen_but_for_the_operators_own() {
    let server = Server::start();
    let mut support = User::operator(&server, "sam", "support");
    let (mut ada, mut eve) = (server.user("ada"), server.user("eve"));
    let pay = |from: &mut User, to: &str, amount: &str| {
        from.pay(&json!({"amount": amount, "currency": "USD", "to": to})).json()["id"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    };
    let between = pay(&mut ada, &eve.email, "3");
    let back = pay(&mut eve, &ada.email, "4");
    let own = pay(&mut ada, &support.email, "5");
    pay(&mut ada, &eve.email, "5000");
    let list = support.client.get("/admin/payments").expect(200);
    assert_eq!(ids(&list)[1..], [&*back, &*between]);
    assert_eq!(rows(&list.json())[0]["status"], "declined");
    assert_eq!(ids(&support.client.get("/admin/payments?status=succeeded").expect(200)), [&*back, &*between]);
    assert_eq!(
        ids(&support.client.get(&format!("/admin/payments?user={}", eve.id)).expect(200)),
        [&*back, &*between]
    );
    let of_ada = support.client.get(&format!("/admin/payments?user={}&status=succeeded", ada.id)).expect(200);
    assert_eq!(ids(&of_ada), [&*back, &*between]);
    support.client.get(&format!("/admin/payments/{between}")).expect(200);
    support.client.get(&format!("/admin/payments/{own}")).problem(403, "permission_denied");
    let of_own = format!("/admin/payments?user={}", support.id);
    support.client.get(&of_own).problem(403, "permission_denied");
    support.client.get("/admin/payments?user=eve").problem(422, "validation_failed");
    let figures = support.client.get("/admin/stats").expect(200).json();
    assert_eq!(figures["users"], json!({"total": 3, "customers": 2, "operators": 1, "frozen": 0}));
    let day = &figures["payments_last_day"][0];
    assert_eq!(
        (&day["currency"], &day["succeeded"], &day["volume"], &day["declined"]),
        (&json!("USD"), &json!(3), &json!("12.00"), &json!(1))
    );
}

#[test]
fn security_events_are_filtered_and_the_chain_is_shown() {
    let server = Server::start();
    let mut auditor = User::operator(&server, "aud", "auditor");
    let eve = server.user("eve");
    let wrong = json!({"email": eve.email, "password": "not the password"});
    server.client().post("/login", &wrong).problem(401, "invalid_credentials");
    let found = |auditor: &mut User, query: &str| {
        rows(&auditor.client.get(&format!("/admin/security-events?{query}")).expect(200).json())
    };
    let of_eve = found(&mut auditor, &format!("user={}", eve.id));
    assert_eq!(of_eve[0]["event"], "authn_login_fail");
    assert_eq!(of_eve.last().unwrap()["event"], "user_created");
    let warnings = found(&mut auditor, "severity=warning");
    assert!(
        warnings.iter().all(|event| event["severity"] == "warning") && warnings.len() >= 2,
        "{warnings:?}"
    );
    assert!(found(&mut auditor, "to=2020-01-01").is_empty());
    let all = auditor.list("/admin/security-events").len();
    assert_eq!(found(&mut auditor, "from=2020-01-01&limit=100").len(), all);
    auditor.client.get("/admin/security-events?event=party").problem(422, "validation_failed");

    // What happened is still being handed on behind the answers; then the chain stands still.
    let (audit, verified) = (0..50)
        .find_map(|_| {
            let before = auditor.client.get("/admin/audit").expect(200).json();
            let output = server.run(&["verify", "--json"]);
            let after = auditor.client.get("/admin/audit").expect(200).json();
            let verified: Value = serde_json::from_slice(&output.stdout).unwrap();
            (before == after).then_some((after, verified))
        })
        .expect("a chain that stands still");
    assert_eq!((&audit["head"], &audit["blocks"]), (&verified["head"], &verified["blocks"]));
    assert_eq!(audit["security_events"], verified["events"]);
}

#[test]
fn an_operator_ends_the_sessions_of_a_user() {
    let server = Server::start();
    let mut support = User::operator(&server, "sam", "support");
    let mut eve = server.user("eve");
    support.client.delete(&format!("/admin/users/{}/sessions", eve.id)).expect(204);
    eve.client.get("/me").problem(401, "token_invalid");
    let refresh = json!({"refresh_token": eve.refresh});
    server.client().post("/token/refresh", &refresh).problem(401, "token_invalid");
    eve.log_in_again(server.client()).client.get("/me").expect(200);
}

#[test]
fn a_forgotten_password_is_set_anew_by_a_token_that_counts_once() {
    let server = Server::start();
    let mut support = User::operator(&server, "sam", "support");
    let admin = User::operator(&server, "root", "admin");
    let mut eve = server.user("eve");
    let link = |user: &str| Request::post(&format!("/admin/users/{user}/reset-link"), &json!({}));
    // Who could set an administrator's password would be one.
    support.client.call(&link(&admin.id)).problem(403, "permission_denied");
    let first = support.client.call(&link(&eve.id)).expect(201).str("token");
    let second = support.client.call(&link(&eve.id)).expect(201).str("token");
    let mut client = server.client();
    let new = "eleven loud herons";
    let mut reset = |token: &str, password: &str| {
        client.post("/password/reset", &json!({"token": token, "new_password": password}))
    };
    reset(&first, new).problem(404, "reset_link_invalid");
    reset("fpr_nonsense", new).problem(404, "reset_link_invalid");
    reset(&second, "short").problem(422, "validation_failed");
    eve.client.get("/me").expect(200);
    reset(&second, new).expect(204);
    reset(&second, new).problem(404, "reset_link_invalid");
    eve.client.get("/me").problem(401, "token_invalid");
    let old = json!({"email": eve.email, "password": PASSWORD});
    server.client().post("/login", &old).problem(401, "invalid_credentials");
    server.client().post("/login", &json!({"email": eve.email, "password": new})).expect(200);

    let output = server.run(&["admin", "reset-password", "--email", &eve.email]);
    let said = String::from_utf8(output.stdout).unwrap();
    let token = said.split_whitespace().find(|word| word.starts_with("fpr_")).unwrap();
    reset(token, PASSWORD).expect(204);
    server.client().post("/login", &old).expect(200);
    server.verify();
}
