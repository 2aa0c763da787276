//! `POST /login`, `POST /logout`, `GET /sessions`, `DELETE /sessions/{id}`, and what a token is.

mod refresh;

use serde_json::json;

use crate::support::lists::{ids, rows};
use crate::support::shape::{assert_fails, assert_id, assert_members, assert_same_answer};
use crate::support::{PASSWORD, Random, Request, Server};

#[test]
fn a_login_gives_a_pair_of_tokens_and_the_user() {
    let server = Server::start();
    let mut client = server.client();
    let body = json!({"email": "ada@example.org", "password": PASSWORD, "name": "Ada"});
    let registered = client.post("/register", &body).expect(201).json();
    let response =
        client.post("/login", &json!({"email": "ada@example.org", "password": PASSWORD})).expect(200);
    let login = response.json();
    let members = ["access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in", "user"];
    assert_members(&login, &members);
    assert_eq!(login["token_type"], "Bearer");
    assert_eq!(login["expires_in"], 15 * 60);
    assert_eq!(login["refresh_expires_in"], 30 * 24 * 60 * 60);
    assert_eq!(login["user"], registered);
    assert_ne!(login["access_token"], login["refresh_token"]);
    assert!(response.header("cache-control").is_some_and(|value| value.contains("no-store")), "{response}");
    // 256 random bits take 43 characters of base64 at least.
    for token in ["access_token", "refresh_token"] {
        assert!(login[token].as_str().unwrap().len() > 43, "{login}");
    }
    client.call(&Request::get("/me").bearer(login["access_token"].as_str().unwrap())).expect(200);
}

#[test]
fn the_scheme_is_named_without_regard_to_case() {
    let server = Server::start();
    let ada = server.user("ada");
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = Request::get("/me").header("Authorization", &format!("{scheme} {}", ada.token));
        server.client().call(&request).expect(200);
    }
}

#[test]
fn a_wrong_email_and_a_wrong_password_are_one_answer() {
    let server = Server::start();
    server.user("ada");
    let mut client = server.client();
    let wrong_password =
        client.post("/login", &json!({"email": "ada@example.org", "password": "not that one 7"}));
    let wrong_password = wrong_password.problem(401, "invalid_credentials");
    for body in [
        json!({"email": "nobody@example.org", "password": PASSWORD}),
        json!({"email": "nobody@example.org", "password": "x"}),
        json!({"email": "not an address", "password": PASSWORD}),
        json!({"email": "ada@example.org", "password": "short"}),
        json!({"email": "ada@example.org", "password": "l".repeat(1_000)}),
        json!({"email": "ada@example.org", "password": format!("{PASSWORD} ")}),
        json!({"email": "ada@example.org", "password": PASSWORD.to_uppercase()}),
    ] {
        let response = client.post("/login", &body);
        assert_same_answer(&wrong_password, &response);
    }
}

#[test]
fn a_login_names_every_failing_field() {
    let server = Server::start();
    let mut client = server.client();
    assert_fails(&client.post("/login", &json!({})), &["email", "password"]);
    assert_fails(&client.post("/login", &json!({"email": 7, "password": 7})), &["email", "password"]);
    let body = json!({"email": "ada@example.org", "password": PASSWORD, "remember": true});
    assert_fails(&client.post("/login", &body), &["remember"]);
}

#[test]
fn without_a_token_it_is_missing_and_with_a_crafted_one_invalid() {
    let server = Server::start();
    let ada = server.user("ada");
    let mut client = server.client();
    client.get("/me").problem(401, "token_missing");
    for token in crafted(&ada.token, &ada.refresh) {
        let response = client.call(&Request::get("/me").header("Authorization", &format!("Bearer {token}")));
        assert_eq!(response.status, 401, "accepted {token:?}: {response}");
        let code = response.str("code");
        let expected = if token.trim().is_empty() { "token_missing" } else { "token_invalid" };
        assert!(code == "token_invalid" || code == expected, "{token:?}: {response}");
        assert!(token.len() < 20 || !response.text().contains(&token), "the token comes back: {response}");
    }
    for other in ["Basic YWRhOnB3", "Digest x", "Token x", &ada.token] {
        let response = client.call(&Request::get("/me").header("Authorization", other)).expect(401);
        assert!(["token_invalid", "token_missing"].contains(&response.str("code").as_str()), "{response}");
    }
    // A token elsewhere is no token.
    client.get(&format!("/me?access_token={}", ada.token)).expect(401);
    client.call(&Request::get("/me").header("Cookie", &format!("access_token={}", ada.token))).expect(401);
    client.call(&Request::get("/me").bearer(&ada.token)).expect(200);
}

/// Tokens that are nearly right, and tokens made for other programs' mistakes.
fn crafted(access: &str, refresh: &str) -> Vec<String> {
    let mut tokens: Vec<String> = [
        "x",
        "null",
        "undefined",
        "true",
        "0",
        "admin",
        "Bearer",
        "..",
        "' OR '1'='1",
        "' OR 1=1 --",
        "*",
        "%",
        "_",
        "%00",
        "../../etc/passwd",
        "{}",
        "[]",
        "\"\"",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c3IifQ.",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl",
        "${jndi:x}",
        "{{7*7}}",
        "0x00",
    ]
    .map(str::to_owned)
    .into();
    tokens.push(String::new());
    tokens.push(refresh.to_owned());
    tokens.push("a".repeat(7_000));
    tokens.push(format!("{access}{access}"));
    tokens.push(format!("{access}="));
    tokens.push(format!("{access}."));
    tokens.push(format!("{access}0"));
    tokens.push(format!("{access},{access}"));
    tokens.push(format!("{access} {access}"));
    tokens.push(format!("\"{access}\""));
    tokens.push(access.to_uppercase());
    tokens.push(access.to_lowercase());
    tokens.push(access.chars().rev().collect());
    for cut in [1, 2, 6, 8, access.len() / 2] {
        tokens.push(access[cut..].to_owned());
        tokens.push(access[..access.len() - cut].to_owned());
    }
    // The body of one with the head of the other, and one character changed at every place in turn.
    let head = access.find(|c: char| !c.is_ascii_alphanumeric()).map_or(4, |at| at + 1);
    tokens.push(format!("{}{}", &access[..head], &refresh[head.min(refresh.len())..]));
    tokens.push(format!("{}{}", &refresh[..head], &access[head..]));
    let mut random = Random::new(7);
    for place in 0..access.len() {
        let mut changed: Vec<u8> = access.bytes().collect();
        while changed[place] == access.as_bytes()[place] {
            changed[place] = b"ABCDEFGHJKMNPQRSTVWXYZabcdefghjkmnpqrstvwxyz0123456789"[random.below(54)];
        }
        tokens.push(String::from_utf8(changed).unwrap());
    }
    tokens.retain(|token| token != access);
    assert!(tokens.len() >= 60, "{}", tokens.len());
    tokens
}

#[test]
fn two_tokens_in_one_request_are_refused() {
    let server = Server::start();
    let (ada, eve) = (server.user("ada"), server.user("eve"));
    let response = server.client().call(&Request::get("/me").bearer(&ada.token).bearer(&eve.token));
    response.problem(401, "token_invalid");
}

#[test]
fn a_logout_ends_this_session_at_once_and_no_other() {
    let server = Server::start();
    let mut here = server.user("ada");
    let mut there = here.log_in_again(server.client());
    let response = here.client.post_empty("/logout").expect(204);
    assert!(response.body.is_empty());
    here.client.get("/me").problem(401, "token_invalid");
    let refresh = server.client().post("/token/refresh", &json!({"refresh_token": here.refresh}));
    assert_eq!(refresh.status, 401, "{refresh}");
    here.client.post_empty("/logout").problem(401, "token_invalid");
    there.client.get("/me").expect(200);
}

#[test]
fn a_logout_is_remembered_over_a_crash() {
    let mut server = Server::start();
    let mut here = server.user("ada");
    let there = here.log_in_again(server.client());
    here.client.post_empty("/logout").expect(204);
    server.kill();
    server.start_again();
    server.client().call(&Request::get("/me").bearer(&here.token)).problem(401, "token_invalid");
    server.client().call(&Request::get("/me").bearer(&there.token)).expect(200);
}

#[test]
fn sessions_are_listed_for_their_owner_and_one_is_the_current_one() {
    let server = Server::start();
    let mut ada = server.user("ada");
    server.user("eve");
    let request = Request::post("/login", &json!({"email": ada.email, "password": PASSWORD}));
    server.client().call(&request.header("User-Agent", "a phone/7.1")).expect(200);
    let list = ada.client.get("/sessions").expect(200).json();
    let sessions = rows(&list);
    assert_eq!(sessions.len(), 2, "{list}");
    for session in &sessions {
        assert_id(session["id"].as_str().unwrap(), "ses");
    }
    let current: Vec<_> = sessions.iter().filter(|session| session["current"] == true).collect();
    assert_eq!(current.len(), 1, "{list}");
    let other = sessions.iter().find(|session| session["current"] == false).unwrap();
    assert_eq!(other["user_agent"], "a phone/7.1", "{list}");
    let text = list.to_string();
    assert!(text.contains("127.0.0.1"), "the address: {list}");
    assert!(!text.contains(&ada.token) && !text.contains(&ada.refresh), "a token: {list}");
}

#[test]
fn a_session_can_be_ended_by_its_owner_alone() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let mut phone = ada.log_in_again(server.client());
    let mut eve = server.user("eve");
    let list = phone.client.get("/sessions").expect(200).json();
    let current = rows(&list).into_iter().find(|session| session["current"] == true).unwrap();
    let path = format!("/sessions/{}", current["id"].as_str().unwrap());

    let foreign = eve.client.call(&Request::new("DELETE", &path)).problem(404, "not_found");
    let missing = eve.client.call(&Request::new("DELETE", "/sessions/ses_01h455vb4pex5vsknk084sn02q"));
    assert_same_answer(&foreign, &missing);
    let malformed = eve.client.call(&Request::new("DELETE", "/sessions/1")).expect(404);
    assert_same_answer(&foreign, &malformed);
    phone.client.get("/me").expect(200);

    ada.client.call(&Request::new("DELETE", &path)).expect(204);
    phone.client.get("/me").problem(401, "token_invalid");
    ada.client.call(&Request::new("DELETE", &path)).problem(404, "not_found");
    assert_eq!(ids(&rows(&ada.client.get("/sessions").expect(200).json())).len(), 1);
    ada.client.get("/me").expect(200);
}

#[test]
fn a_session_can_end_itself() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let list = ada.client.get("/sessions").expect(200).json();
    let path = format!("/sessions/{}", ids(&rows(&list))[0]);
    ada.client.call(&Request::new("DELETE", &path)).expect(204);
    ada.client.get("/me").problem(401, "token_invalid");
}
