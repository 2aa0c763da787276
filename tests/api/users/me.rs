//! `GET /me`, `PATCH /me`, `POST /me/password`.

use serde_json::{Value, json};

use crate::support::shape::{assert_fails, assert_members, codes_of};
use crate::support::{PASSWORD, Request, Server};

const NEW: &str = "wrong donkey charger pin 8";

#[test]
fn me_is_the_one_who_asks() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let me = ada.client.get("/me").expect(200).json();
    assert_eq!((me["id"].as_str(), me["email"].as_str()), (Some(ada.id.as_str()), Some("ada@example.org")));
    for member in ["id", "email", "name", "role", "created_at"] {
        assert!(!me[member].is_null(), "{member}: {me}");
    }
    assert!(!me.to_string().contains("argon2"), "{me}");
    assert_eq!(bob.client.get("/me").expect(200).str("id"), bob.id);
}

#[test]
fn the_name_can_be_changed_and_is_what_others_see() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let request = Request::new("PATCH", "/me").json(&json!({"name": "Ada, Countess of Lovelace"}));
    assert_eq!(ada.client.call(&request).expect(200).str("name"), "Ada, Countess of Lovelace");
    assert_eq!(ada.client.get("/me").expect(200).str("name"), "Ada, Countess of Lovelace");
    let payment = bob.pay(&json!({"amount": "1", "currency": "USD", "to": ada.id})).expect(201).json();
    assert_eq!(payment["to"], json!({"id": ada.id, "name": "Ada, Countess of Lovelace"}));
    assert_members(&payment["to"], &["id", "name"]);
}

#[test]
fn nothing_else_of_me_can_be_changed() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let before = ada.client.get("/me").expect(200).json();
    let table: [(Value, &[&str]); 5] = [
        (json!({"name": 7}), &["name"]),
        (json!({"name": "n".repeat(10_000)}), &["name"]),
        (json!({"name": "Ada", "role": "admin"}), &["role"]),
        (
            json!({"email": "eve@example.org", "id": "usr_1", "frozen": false, "password": "x"}),
            &["email", "id", "frozen", "password"],
        ),
        (json!({"name": [], "created_at": "2020-01-01T00:00:00.000Z"}), &["name", "created_at"]),
    ];
    for (body, fields) in table {
        let response = ada.client.call(&Request::new("PATCH", "/me").json(&body));
        // A required field that is missing may be named, too.
        if body.get("name").is_some() {
            assert_fails(&response, fields);
        } else {
            assert_eq!(response.status, 422, "{response}");
        }
    }
    assert_eq!(ada.client.get("/me").expect(200).json(), before);
}

#[test]
fn a_new_password_ends_every_other_session() {
    let server = Server::start();
    let mut here = server.user("ada");
    let mut there = here.log_in_again(server.client());
    let body = json!({"current_password": PASSWORD, "new_password": NEW});
    let response = here.client.post("/me/password", &body);
    assert!([200, 204].contains(&response.status), "{response}");

    there.client.get("/me").problem(401, "token_invalid");
    let refresh = server.client().post("/token/refresh", &json!({"refresh_token": there.refresh}));
    assert_eq!(refresh.status, 401, "{refresh}");
    here.client.get("/me").expect(200);
    let mut client = server.client();
    client
        .post("/login", &json!({"email": "ada@example.org", "password": PASSWORD}))
        .problem(401, "invalid_credentials");
    client.post("/login", &json!({"email": "ada@example.org", "password": NEW})).expect(200);
}

#[test]
fn the_current_password_must_be_right_and_the_new_one_good() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let mut there = ada.log_in_again(server.client());
    let wrong = json!({"current_password": "not that one 7", "new_password": NEW});
    let response = ada.client.post("/me/password", &wrong);
    assert!([401, 403, 422].contains(&response.status), "{response}");
    for (new, code) in [("short", "too_short"), ("password1", "too_common"), (&"kW9 ".repeat(33), "too_long")]
    {
        let response =
            ada.client.post("/me/password", &json!({"current_password": PASSWORD, "new_password": new}));
        assert_fails(&response, &["new_password"]);
        assert!(codes_of(&response, "new_password").contains(code), "{response}");
    }
    assert_fails(&ada.client.post("/me/password", &json!({})), &["current_password", "new_password"]);
    let body = json!({"current_password": PASSWORD, "new_password": NEW, "email": "x"});
    assert_fails(&ada.client.post("/me/password", &body), &["email"]);
    // None of that did anything.
    there.client.get("/me").expect(200);
    server.client().post("/login", &json!({"email": "ada@example.org", "password": PASSWORD})).expect(200);
}
