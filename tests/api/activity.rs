//! `GET /me/activity`, and the security events behind it.

use serde_json::{Value, json};

use crate::support::lists::ids;
use crate::support::shape::{assert_id, assert_time};
use crate::support::{PASSWORD, Request, Server, User};

fn events(user: &mut User) -> Vec<String> {
    user.list("/me/activity").iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_happened_to_my_account_is_listed_for_me_alone() {
    let server = Server::start();
    let (mut ada, mut eve) = (server.user("ada"), server.user("eve"));
    let mut client = server.client();
    client.post("/login", &json!({"email": ada.email, "password": "not that one 7"})).expect(401);
    client.post("/login", &json!({"email": ada.email, "password": PASSWORD})).expect(200);
    let body = json!({"amount": "5", "currency": "USD"});
    ada.pay(&body).expect(201);
    ada.pay(&body).expect(409);
    ada.pay(&json!({"amount": "5000", "currency": "USD"})).expect(402);
    let new = json!({"current_password": PASSWORD, "new_password": "wrong donkey charger pin 8"});
    ada.client.post("/me/password", &new);

    let rows = ada.list("/me/activity");
    let names = events(&mut ada);
    for expected in [
        "user_created",
        "authn_login_success",
        "authn_login_fail",
        "payment_duplicate_blocked",
        "payment_declined",
        "authn_password_change",
    ] {
        assert!(names.iter().any(|name| name == expected), "{expected} is missing of {names:?}");
    }
    for row in &rows {
        assert_id(row["id"].as_str().unwrap(), "sec");
        assert_time(&row["at"]);
        assert!(row["severity"].is_string(), "{row}");
        assert!(
            row.get("ip").is_some() && row.get("user_agent").is_some() && row.get("detail").is_some(),
            "{row}"
        );
    }
    let text = Value::from(rows.clone()).to_string();
    assert!(!text.contains(&ada.token) && !text.contains(PASSWORD), "{text}");

    let others = ids(&eve.list("/me/activity"));
    assert!(ids(&rows).iter().all(|id| !others.contains(id)));
    assert!(!events(&mut eve).contains(&"authn_login_fail".to_owned()));
}

#[test]
fn the_end_of_a_session_is_an_event() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let mut phone = ada.log_in_again(server.client());
    phone.client.post_empty("/logout").expect(204);
    assert!(events(&mut ada).contains(&"authn_token_revoked".to_owned()));
}

#[test]
fn a_security_event_is_one_json_line_of_the_log_with_the_id_of_its_request() {
    let server = Server::start();
    let mut client = server.client();
    let body = json!({"email": "ada@example.org", "password": PASSWORD});
    let registered = client.post("/register", &body).expect(201);
    let failed =
        client.post("/login", &json!({"email": "ada@example.org", "password": "not that one 7"})).expect(401);
    let wanted = [("user_created", registered), ("authn_login_fail", failed)];
    let find = |event: &str, request_id: &str| {
        let output = format!("{}\n{}", server.log(), server.stdout());
        output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|line| {
            line["target"] == "security"
                && line.to_string().contains(event)
                && line.to_string().contains(request_id)
        })
    };
    for (event, response) in wanted {
        let request_id = response.header("request-id").unwrap();
        let found = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            find(event, request_id)
        });
        assert!(found, "no line for {event} of {request_id} in:\n{}", server.log());
    }
}

#[test]
fn events_outlive_a_crash() {
    let mut server = Server::start();
    let mut ada = server.user("ada");
    ada.pay(&json!({"amount": "5000", "currency": "USD"})).expect(402);
    let before = ids(&ada.list("/me/activity"));
    server.kill();
    server.start_again();
    let mut client = server.client().with_token(&ada.token);
    assert_eq!(ids(&crate::support::lists::every_row(&mut client, "/me/activity")), before);
    // The list asks for the same credential as every other.
    server.client().call(&Request::get("/me/activity")).problem(401, "token_missing");
}

#[test]
fn every_event_that_can_happen_is_told() {
    let mut server = Server::builder().env("FARTHING_RATE_LIMITS_ENABLED", "true").start();
    let mut ada = server.user("ada");
    let phone = ada.log_in_again(server.client());
    let mut client = server.client();
    let refresh = json!({"refresh_token": phone.refresh});
    client.post("/token/refresh", &refresh).expect(200);
    client.post("/token/refresh", &refresh).problem(401, "token_reused");
    client.call(&Request::get("/me").bearer("nonsense")).expect(401);
    client.post("/login", &json!({"x": 1})).expect(422);
    ada.pay(&json!({"amount": "5000", "currency": "USD"})).expect(402);
    ada.pay(&json!({"amount": "5", "currency": "USD"})).expect(201);
    ada.pay(&json!({"amount": "5", "currency": "USD"})).expect(409);
    let new = json!({"current_password": PASSWORD, "new_password": "wrong donkey charger pin 8"});
    assert!(ada.client.post("/me/password", &new).status < 300);
    ada.client.post_empty("/logout").expect(204);
    let mut thief = server.client().connecting_from([127, 0, 0, 80]);
    let guess = json!({"email": ada.email, "password": "not that one 7"});
    let limited = (0..100).any(|_| thief.post("/login", &guess).status == 429);
    assert!(limited, "guessing is not limited");
    // What is counted is told at the latest when the server stops.
    assert!(server.terminate().success());
    let told: std::collections::BTreeSet<String> = format!("{}\n{}", server.log(), server.stdout())
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["target"] == "security")
        .filter_map(|line| line["event"].as_str().map(str::to_owned))
        .collect();
    for event in [
        "user_created",
        "authn_login_success",
        "authn_login_fail",
        "authn_login_lock",
        "authn_token_created",
        "authn_token_revoked",
        "authn_token_reuse",
        "authn_token_invalid",
        "authn_password_change",
        "excess_rate_limit_exceeded",
        "input_validation_fail",
        "payment_declined",
        "payment_duplicate_blocked",
    ] {
        assert!(told.contains(event), "{event} was not told, of {told:?}");
    }
}
