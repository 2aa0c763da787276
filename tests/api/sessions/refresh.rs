//! `POST /token/refresh`: rotation, the detection of a stolen token, and lifetimes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::shape::{assert_fails, assert_members};
use crate::support::{Client, Request, Response, Server, at_once};

fn refresh(client: &mut Client, token: &str) -> Response {
    client.post("/token/refresh", &json!({"refresh_token": token}))
}

fn live(client: &mut Client, access: &str) -> bool {
    client.call(&Request::get("/me").bearer(access)).status == 200
}

fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap().to_owned()
}

#[test]
fn a_refresh_gives_a_new_pair_and_ends_the_old_one() {
    let server = Server::start();
    let ada = server.user("ada");
    let mut client = server.client();
    let response = refresh(&mut client, &ada.refresh).expect(200);
    let pair = response.json();
    for member in ["access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in"] {
        assert!(!pair[member].is_null(), "{member}: {pair}");
    }
    assert!(response.header("cache-control").is_some_and(|value| value.contains("no-store")), "{response}");
    assert_ne!(pair["access_token"], ada.token.as_str());
    assert_ne!(pair["refresh_token"], ada.refresh.as_str());
    assert!(live(&mut client, &text(&pair, "access_token")));
    client.call(&Request::get("/me").bearer(&ada.token)).problem(401, "token_invalid");
    let login =
        client.post("/login", &json!({"email": ada.email, "password": crate::support::PASSWORD})).json();
    assert_members(&pair, &login.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_spent_refresh_token_revokes_the_whole_session_and_is_written_down() {
    let server = Server::start();
    let ada = server.user("ada");
    let mut other = ada.log_in_again(server.client());
    let mut client = server.client();
    let second = refresh(&mut client, &ada.refresh).expect(200).json();
    let third = refresh(&mut client, &text(&second, "refresh_token")).expect(200).json();
    assert!(live(&mut client, &text(&third, "access_token")));

    refresh(&mut client, &ada.refresh).problem(401, "token_reused");
    assert!(!live(&mut client, &text(&third, "access_token")), "the session lives on");
    assert_eq!(refresh(&mut client, &text(&third, "refresh_token")).status, 401);
    other.client.get("/me").expect(200);
    let events = other.list("/me/activity");
    assert!(events.iter().any(|event| event["event"] == "authn_token_reuse"), "{events:?}");
}

#[test]
fn anything_else_is_no_refresh_token() {
    let server = Server::start();
    let ada = server.user("ada");
    let mut client = server.client();
    for token in
        [ada.token.as_str(), "", "x", &ada.refresh[1..], &format!("{}x", ada.refresh), &"r".repeat(9_000)]
    {
        let response = refresh(&mut client, token);
        let refused = response.status == 401 && response.str("code") == "token_invalid";
        let empty = token.is_empty() && response.status == 422;
        assert!(refused || empty, "{token:?}: {response}");
    }
    assert_fails(&client.post("/token/refresh", &json!({})), &["refresh_token"]);
    assert_fails(
        &client.post("/token/refresh", &json!({"refresh_token": 7, "x": 1})),
        &["refresh_token", "x"],
    );
    // None of that spent the real one, or ended its session.
    assert!(live(&mut client, &ada.token));
    refresh(&mut client, &ada.refresh).expect(200);
}

#[test]
fn a_race_of_refreshes_leaves_at_most_one_live_branch() {
    let server = Server::start();
    for round in 0..4 {
        let ada = server.user(&format!("ada{round}"));
        let request = Request::post("/token/refresh", &json!({"refresh_token": ada.refresh}));
        let answers = at_once((0..50).map(|_| (server.client(), &request)).collect());
        let pairs: Vec<Value> =
            answers.iter().filter(|answer| answer.status == 200).map(Response::json).collect();
        assert!(pairs.len() <= 1, "{} refreshes of one token succeeded", pairs.len());
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert!([401, 503].contains(&answer.status), "{answer}");
        }
        let mut client = server.client();
        assert!(!live(&mut client, &ada.token));
        let alive = pairs.iter().filter(|pair| live(&mut client, &text(pair, "access_token"))).count();
        let refreshable = pairs
            .iter()
            .filter(|pair| refresh(&mut client, &text(pair, "refresh_token")).status == 200)
            .count();
        assert!(alive <= 1 && refreshable <= alive, "{alive} live, {refreshable} refreshable");
    }
}

#[test]
fn tokens_expire() {
    let server = Server::builder()
        .env("FARTHING_TOKENS_ACCESS_TTL_SECONDS", "1")
        .env("FARTHING_TOKENS_REFRESH_TTL_SECONDS", "6")
        .start();
    let mut ada = server.user("ada");
    let mut client = server.client();
    wait_for_expiry(|| ada.client.get("/me"));
    // The session outlives its access token.
    let pair = refresh(&mut client, &ada.refresh).expect(200).json();
    assert_eq!((&pair["expires_in"], &pair["refresh_expires_in"]), (&json!(1), &json!(6)));
    // A spent token stays spent and a lapsed one lapses; nothing but a new login helps.
    let other = ada.log_in_again(server.client());
    wait_for_expiry(|| client.call(&Request::get("/me").bearer(&other.token)));
    wait_for_expiry(|| {
        // Asked again and again a live token would be spent, so this waits first and asks once.
        std::thread::sleep(Duration::from_secs(6));
        refresh(&mut client, &other.refresh)
    });
    ada.log_in_again(server.client());
}

/// Asks until the answer is no longer yes; then it must be that the token expired.
fn wait_for_expiry(mut ask: impl FnMut() -> Response) {
    let start = Instant::now();
    loop {
        let response = ask();
        if response.status != 200 {
            response.problem(401, "token_expired");
            return;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "the token does not expire");
        std::thread::sleep(Duration::from_millis(50));
    }
}
