//! `/api-keys`: for servers; shown once, within their scopes, replaced without a gap, revoked at once.

use serde_json::{Value, json};

use crate::support::lists::rows;
use crate::support::{Request, Server, User};

fn make(user: &mut User, body: &Value) -> (String, String) {
    let made = user.client.post("/api-keys", body).expect(201);
    (made.str("id"), made.str("key"))
}

#[test]
fn a_key_does_what_its_scopes_allow_and_nothing_to_credentials() {
    let server = Server::start();
    let mut ann = server.user("ann");
    let (_, all) = make(&mut ann, &json!({"name": "shop", "scopes": ["own_account"]}));
    let (_, reads) = make(&mut ann, &json!({"name": "books", "scopes": ["own_account:read"]}));
    assert!(all.starts_with("fak_") && all != reads);
    let mut shop = server.client().with_token(&all);
    let mut books = server.client().with_token(&reads);
    let pay = json!({"amount": "1", "currency": "USD"});
    shop.post("/payment", &pay).expect(201);
    shop.get("/transactions").expect(200);
    books.get("/transactions").expect(200);
    books.post("/payment", &pay).problem(403, "permission_denied");
    for path in ["/sessions", "/api-keys"] {
        shop.get(path).problem(403, "permission_denied");
    }
    shop.post("/api-keys", &json!({"name": "x", "scopes": ["own_account"]}))
        .problem(403, "permission_denied");
    shop.post("/me/totp", &json!({})).problem(403, "permission_denied");
    let swap = json!({"refresh_token": all});
    server.client().post("/token/refresh", &swap).problem(401, "token_invalid");
    // Logins and keys are listed apart.
    assert_eq!(ann.list("/sessions").len(), 1);
    server.verify();
}

#[test]
fn a_key_is_shown_once_listed_and_revoked() {
    let server = Server::start();
    let mut ann = server.user("ann");
    let (id, key) = make(&mut ann, &json!({"name": "shop", "scopes": ["own_account"], "expires_in": 3600}));
    let listed = ann.client.get("/api-keys").expect(200);
    assert!(!listed.text().contains(&key));
    let row = &rows(&listed.json())[0];
    assert_eq!(
        (&row["id"], &row["name"], &row["scopes"]),
        (&json!(id), &json!("shop"), &json!(["own_account"]))
    );
    assert_eq!(row["last_used_at"], Value::Null);
    assert!(row["expires_at"].is_string());
    let mut shop = server.client().with_token(&key);
    shop.get("/me").expect(200);
    // Nobody else's.
    let mut eve = server.user("eve");
    eve.client.delete(&format!("/api-keys/{id}")).problem(404, "not_found");
    let rotate = Request::post(&format!("/api-keys/{id}/rotate"), &json!({}));
    eve.client.call(&rotate).problem(404, "not_found");
    shop.get("/me").expect(200);
    ann.client.delete(&format!("/api-keys/{id}")).expect(204);
    shop.get("/me").problem(401, "token_invalid");
    assert!(ann.list("/api-keys").is_empty());
    // One letter wrong is told without looking.
    let mistyped = format!("{}0", &key[..key.len() - 1]);
    server.client().with_token(&mistyped).get("/me").problem(401, "token_invalid");
}

#[test]
fn a_key_is_replaced_and_the_old_one_counts_for_a_while() {
    let server = Server::start();
    let mut ann = server.user("ann");
    let (id, old) = make(&mut ann, &json!({"name": "shop", "scopes": ["own_account:read"]}));
    let rotate =
        |overlap: u64| Request::post(&format!("/api-keys/{id}/rotate"), &json!({"overlap": overlap}));
    let replaced = ann.client.call(&rotate(3_600)).expect(201);
    assert_eq!(
        (&replaced.json()["name"], &replaced.json()["scopes"]),
        (&json!("shop"), &json!(["own_account:read"]))
    );
    for key in [&old, &replaced.str("key")] {
        server.client().with_token(key).get("/wallets").expect(200);
    }
    ann.client.call(&rotate(0)).expect(201);
    let ended = server.client().with_token(&old).get("/wallets");
    assert_eq!(ended.status, 401, "{ended}");
    server.client().with_token(&replaced.str("key")).get("/wallets").expect(200);
}

#[test]
fn scopes_do_not_reach_beyond_the_role_now_or_later() {
    let server = Server::start();
    let mut ann = server.user("ann");
    for scopes in [
        json!(["read_users"]),
        json!(["own_credentials"]),
        json!(["everything"]),
        json!([]),
        json!("own_account"),
    ] {
        let wrong = ann.client.post("/api-keys", &json!({"name": "x", "scopes": scopes}));
        wrong.problem(422, "validation_failed");
    }
    ann.client
        .post("/api-keys", &json!({"scopes": ["own_account"], "expires_in": 1}))
        .problem(422, "validation_failed");
    let mut sam = User::operator(&server, "sam", "support");
    let (_, key) = make(&mut sam, &json!({"name": "desk", "scopes": ["read_users", "freeze_users:read"]}));
    let mut desk = server.client().with_token(&key);
    desk.get("/admin/users").expect(200);
    let freeze = Request::new("PATCH", &format!("/admin/users/{}", ann.id)).json(&json!({"frozen": true}));
    desk.call(&freeze).problem(403, "permission_denied");
    desk.get("/wallets").problem(403, "permission_denied");
    // What their role may do with others' payments, a key without that scope may not.
    let mut bob = server.user("bob");
    let paid = json!({"amount": "5", "currency": "USD", "to": bob.email, "capture": "manual"});
    let payment = ann.pay(&paid).expect(201).str("id");
    let (_, narrow) = make(&mut sam, &json!({"name": "own", "scopes": ["own_account"]}));
    let mut narrow = server.client().with_token(&narrow);
    narrow.post(&format!("/payment/{payment}/void"), &json!({})).problem(404, "not_found");
    assert_eq!(bob.client.get(&format!("/payment/{payment}")).expect(200).str("status"), "authorized");
    sam.client.post(&format!("/payment/{payment}/void"), &json!({})).expect(200);
    let output = server.run(&["admin", "set-role", "--email", &sam.email, "--role", "customer"]);
    assert!(output.status.success());
    desk.get("/admin/users").problem(403, "permission_denied");
}
