//! Limits on `/login` and `/register`, which are on by default.

use serde_json::json;

use crate::support::{Client, PASSWORD, Response, Server};

fn limited() -> Server {
    Server::builder().env("FARTHING_RATE_LIMITS_ENABLED", "true").start()
}

fn wrong(client: &mut Client, email: &str) -> Response {
    client.post("/login", &json!({"email": email, "password": "not that one 7"}))
}

/// Guesses until the answer is 429; gives how many guesses were looked at.
fn guess_until_limited(client: &mut Client, email: &str) -> (usize, Response) {
    for guesses in 0..100 {
        let response = wrong(client, email);
        if response.status == 429 {
            return (guesses, response);
        }
        response.problem(401, "invalid_credentials");
    }
    panic!("a hundred guesses were looked at");
}

#[test]
fn guessing_is_stopped_and_the_owner_is_not() {
    let server = limited();
    let ada = server.user("ada");
    let mut thief = server.client().connecting_from([127, 0, 0, 66]);
    let (guesses, limited) = guess_until_limited(&mut thief, &ada.email);
    assert!(guesses >= 3, "a typing error is not an attack: {guesses}");
    limited.problem(429, "rate_limited");
    // The right password does not help the thief meanwhile, so that the answer tells nothing.
    let right = thief.post("/login", &json!({"email": ada.email, "password": PASSWORD}));
    right.problem(429, "rate_limited");
    // From where the owner logged in before, they get in.
    ada.log_in_again(server.client());
    // And an account that nobody guessed at is free.
    let bob = server.user("bob");
    bob.log_in_again(server.client());
}

#[test]
fn the_wait_grows() {
    let server = limited();
    let ada = server.user("ada");
    let mut thief = server.client().connecting_from([127, 0, 0, 67]);
    let (_, first) = guess_until_limited(&mut thief, &ada.email);
    let seconds = |response: &Response| response.header("retry-after").unwrap().parse::<u64>().unwrap();
    let first = seconds(&first);
    // Waiting it out buys few guesses, then a longer wait.
    std::thread::sleep(std::time::Duration::from_secs(first.min(20)));
    let (guesses, again) = guess_until_limited(&mut thief, &ada.email);
    assert!(guesses <= 10, "{guesses} guesses after {first} s");
    assert!(seconds(&again) >= first, "{} after {first}", seconds(&again));
}

#[test]
fn guesses_at_one_account_from_many_addresses_are_stopped() {
    let server = limited();
    let ada = server.user("ada");
    let looked_at = (1..=120)
        .map(|n| wrong(&mut server.client().connecting_from([127, 0, 1, n]), &ada.email).status)
        .filter(|status| *status == 401)
        .count();
    assert!(looked_at <= 100, "{looked_at} guesses were looked at");
}

#[test]
fn one_guess_at_each_of_many_accounts_from_one_address_is_stopped() {
    let server = limited();
    let mut thief = server.client().connecting_from([127, 0, 0, 68]);
    let looked_at = (0..300)
        .map(|n| wrong(&mut thief, &format!("user{n}@example.org")).status)
        .filter(|status| *status == 401)
        .count();
    assert!(looked_at < 300, "none was stopped");
}

#[test]
fn an_unknown_account_is_limited_like_a_known_one() {
    let server = limited();
    server.user("ada");
    let mut one = server.client().connecting_from([127, 0, 0, 69]);
    let mut other = server.client().connecting_from([127, 0, 0, 70]);
    let (known, known_answer) = guess_until_limited(&mut one, "ada@example.org");
    let (unknown, unknown_answer) = guess_until_limited(&mut other, "nobody@example.org");
    assert_eq!(known, unknown);
    assert_eq!(known_answer.json()["detail"].is_string(), unknown_answer.json()["detail"].is_string());
}

#[test]
fn a_farm_of_registrations_is_stopped() {
    let server = limited();
    let mut client = server.client().connecting_from([127, 0, 0, 71]);
    for n in 0..400 {
        let body = json!({"email": format!("bot{n}@example.org"), "password": PASSWORD});
        let response = client.post("/register", &body);
        if response.status == 429 {
            response.problem(429, "rate_limited");
            return;
        }
        response.expect(201);
    }
    panic!("four hundred registrations from one address");
}

#[test]
fn registrations_with_mistakes_count_too() {
    let server = limited();
    // A wrong field beside a password that is to be judged; a wrong password; nothing but an unknown field.
    let bodies = [
        json!({"email": "no address", "password": PASSWORD}),
        json!({"email": "ada@example.org", "password": "short"}),
        json!({"colour": "red"}),
    ];
    for (last, body) in (72..).zip(bodies) {
        let mut client = server.client().connecting_from([127, 0, 0, last]);
        let refused = (0..400).find_map(|_| {
            let response = client.post("/register", &body);
            (response.status != 422).then_some(response)
        });
        let refused = refused.unwrap_or_else(|| panic!("four hundred mistakes from one address: {body}"));
        let refused = refused.problem(429, "rate_limited");
        assert!(refused.header("retry-after").is_some(), "{refused}");
        // An honest one from elsewhere is served meanwhile.
        let body = json!({"email": format!("honest{last}@example.org"), "password": PASSWORD});
        server.client().post("/register", &body).expect(201);
    }
}

#[test]
fn one_password_tried_on_many_accounts_is_told_to_the_operator() {
    let server = limited();
    let ada = server.user("ada");
    // From an address of its own each time, so that no other limit stands in the way.
    for n in 0..12 {
        let email = if n == 3 { ada.email.clone() } else { format!("user{n}@example.org") };
        wrong(&mut server.client().connecting_from([127, 0, 2, n]), &email)
            .problem(401, "invalid_credentials");
    }
    let told = |line: &&str| line.contains("authn_login_lock");
    let log = server.log();
    let locks: Vec<&str> = log.lines().filter(told).collect();
    let [lock] = &locks[..] else { panic!("{locks:?} in\n{log}") };
    let lock: serde_json::Value = serde_json::from_str(lock).unwrap();
    assert_eq!(lock["severity"], "high");
    assert_eq!(lock["detail"], json!({"pattern": "one_password_on_many_accounts", "accounts": "10"}));
    assert!(!log.contains("not that one"), "the password is in the log");
    // Nobody is kept out by it.
    ada.log_in_again(server.client());
}
