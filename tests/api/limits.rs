//! How often somebody may ask: by address, account and session, by class of call, and what the headers say about it.

use serde_json::json;

use crate::support::{Client, Request, Response, Server};

/// A server with these limits, each `name=value`.
fn server(limits: &[(&str, &str)]) -> Server {
    let builder = Server::builder().env("FARTHING_RATE_LIMITS_ENABLED", "true");
    limits.iter().fold(builder, |builder, (name, value)| builder.env(name, value)).start()
}

const PAYMENT: &str = "FARTHING_RATE_LIMITS_PAYMENT";
const READ: &str = "FARTHING_RATE_LIMITS_READ";

/// The items of `RateLimit` or `RateLimit-Policy` (structured fields, RFC 9651): each a string with integer parameters.
fn items(response: &Response, name: &str) -> Vec<(String, Vec<(String, u64)>)> {
    let value = response.header(name).unwrap_or_else(|| panic!("no {name}: {response}"));
    let item = |text: &str| {
        let mut parts = text.trim().split(';');
        let named = parts.next().unwrap().strip_prefix('"').unwrap().strip_suffix('"').unwrap().to_owned();
        let parameters = parts.map(|part| {
            let (name, number) = part.split_once('=').unwrap();
            (name.to_owned(), number.parse().unwrap_or_else(|_| panic!("{part}: {response}")))
        });
        (named, parameters.collect())
    };
    value.split(',').map(item).collect()
}

fn parameter(item: &(String, Vec<(String, u64)>), name: &str) -> u64 {
    item.1.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name} in {item:?}")).1
}

#[test]
fn every_answer_says_what_is_left() {
    let server = server(&[]);
    let mut ada = server.user("ada");
    let answers = [
        ada.client.get("/me").expect(200),
        ada.client.get("/transactions?limit=0").expect(422),
        ada.client.get("/payment/x").expect(404),
        ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201),
        ada.pay(&json!({"amount": "9999", "currency": "USD"})).expect(402),
        ada.client.post_empty("/logout").expect(204),
        server.client().get("/me").expect(401),
        server.client().get("/docs").expect(200),
        server.client().post("/register", &json!({})).expect(422),
        server.client().post("/login", &json!({"email": "a@b.example", "password": "no"})).expect(401),
        server.client().post("/token/refresh", &json!({"refresh_token": "no"})).expect(401),
    ];
    for answer in &answers[..] {
        let (state, policies) = (items(answer, "ratelimit"), items(answer, "ratelimit-policy"));
        let [state] = &state[..] else { panic!("{answer}") };
        let policy = policies.iter().find(|policy| policy.0 == state.0).unwrap_or_else(|| panic!("{answer}"));
        assert!(parameter(state, "r") < parameter(policy, "q"), "{answer}");
        assert!(parameter(state, "t") >= 1 && parameter(policy, "w") >= 1, "{answer}");
    }
    let [by_address, by_account, by_key] = &items(&answers[0], "ratelimit-policy")[..] else {
        panic!("{}", answers[0])
    };
    assert_eq!([&by_address.0, &by_account.0, &by_key.0], ["read-address", "read-account", "read-key"]);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(
            server.client().get(path).expect(200).header("ratelimit"),
            None,
            "a probe is never kept out"
        );
    }
    let count_down =
        |client: &mut Client| parameter(&items(&client.get("/problems").expect(200), "ratelimit")[0], "r");
    let mut client = server.client().connecting_from([127, 0, 0, 40]);
    let first = count_down(&mut client);
    assert_eq!(count_down(&mut client), first - 1);
}

#[test]
fn a_thousand_at_once_pass_exactly_the_quota() {
    let server = server(&[(PAYMENT, "100/day per account")]);
    let ada = server.user("ada");
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50)
            .map(|thread| {
                let mut client = server.client().with_token(&ada.token);
                scope.spawn(move || {
                    let answers = (0..20).map(|number| {
                        let body = json!({"amount": "0.01", "currency": "USD"});
                        let request = Request::post("/payment", &body).key(&format!("{thread}.{number}"));
                        client.call(&request).status
                    });
                    answers.collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let count = |status: u16| counts.iter().filter(|found| **found == status).count();
    assert_eq!((counts.len(), count(201), count(429)), (1_000, 100, 900));
    // 100 of 0.01 and the grant: what was refused did nothing.
    let wallets = server.client().with_token(&ada.token).get("/wallets").expect(200);
    assert_eq!(wallets.json()["data"][0]["balance"], "999.00");
}

#[test]
fn accounts_and_sessions_are_counted_apart() {
    let server = server(&[(READ, "5/day per account, 3/day per key")]);
    let mut ada = server.user("ada");
    let mut again = ada.log_in_again(server.client());
    let mut bob = server.user("bob");
    for _ in 0..3 {
        ada.client.get("/me").expect(200);
    }
    let limited = ada.client.get("/me").problem(429, "rate_limited");
    assert_eq!(limited.json()["violated-policies"], json!(["read-key"]));
    let wait: u64 = limited.header("retry-after").unwrap().parse().unwrap();
    let state = &items(&limited, "ratelimit")[0];
    assert_eq!((state.0.as_str(), parameter(state, "r")), ("read-key", 0));
    assert!(wait >= parameter(state, "t"), "{limited}");
    // What the session was refused did not count for its account, which has two left.
    for _ in 0..2 {
        again.client.get("/me").expect(200);
    }
    let limited = again.client.get("/me").problem(429, "rate_limited");
    assert_eq!(limited.json()["violated-policies"], json!(["read-account"]));
    bob.client.get("/me").expect(200);
    // Another class of calls is counted by itself.
    ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
}

#[test]
fn an_address_is_limited_before_its_token_is_looked_at() {
    let server = server(&[(READ, "3/day per address")]);
    let mut guesser = server.client().connecting_from([127, 0, 0, 41]).with_token("fat_guess");
    for _ in 0..3 {
        guesser.get("/me").problem(401, "token_invalid");
    }
    guesser.get("/me").problem(429, "rate_limited");
    server.client().connecting_from([127, 0, 0, 42]).get("/me").problem(401, "token_missing");
    let metrics = server.client().get("/metrics").expect(200).text();
    assert!(metrics.contains("farthing_rate_limited_total{policy=\"read-address\"} 1"), "{metrics}");
}

#[test]
fn no_limit_is_none() {
    let server = server(&[(READ, "none")]);
    let mut client = server.client();
    for _ in 0..20 {
        assert_eq!(client.get("/problems").expect(200).header("ratelimit"), None);
    }
}

/// Reads a page for the client that a proxy names.
fn read_for(client: &mut Client, header: &str, value: &str) -> u16 {
    client.call(&Request::get("/problems").header(header, value)).status
}

#[test]
fn behind_a_trusted_proxy_each_client_has_limits_of_its_own() {
    let server =
        server(&[(READ, "2/day per address"), ("FARTHING_SERVER_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")]);
    let mut proxy = server.client();
    let mut read = |value: &str| read_for(&mut proxy, "X-Forwarded-For", value);
    assert_eq!([read("203.0.113.1"), read("203.0.113.1"), read("203.0.113.1")], [200, 200, 429]);
    // Whatever the client sent before, and however many proxies handed it on.
    assert_eq!([read("198.51.100.7, 203.0.113.1"), read("203.0.113.1, 10.1.2.3")], [429, 429]);
    assert_eq!(read("203.0.113.2"), 200);
    // IPv6 is counted by /64.
    assert_eq!([read("2001:db8::1"), read("2001:db8::2"), read("2001:db8::3")], [200, 200, 429]);
    assert_eq!(read("2001:db8:0:1::1"), 200);
    // The header that this proxy does not write is not believed: all of these come from the proxy.
    let mut stranger = server.client();
    let forged: Vec<u16> =
        (0..3).map(|n| read_for(&mut stranger, "Forwarded", &format!("for=203.0.113.{n}"))).collect();
    assert_eq!(forged, [200, 200, 429]);
}

#[test]
fn a_client_cannot_choose_its_address() {
    let server = server(&[(READ, "2/day per address"), ("FARTHING_SERVER_TRUSTED_PROXIES", "10.0.0.0/8")]);
    let mut client = server.client();
    let mut read = |n: u32| read_for(&mut client, "X-Forwarded-For", &format!("203.0.113.{n}"));
    assert_eq!([read(1), read(2), read(3)], [200, 200, 429]);
}

#[test]
fn the_header_of_rfc_7239_is_read_where_it_is_the_proxys() {
    let server = Server::builder()
        .env("FARTHING_SERVER_TRUSTED_PROXIES", "127.0.0.1")
        .env("FARTHING_SERVER_PROXY_HEADER", "forwarded")
        .start();
    let mut ada = server.user("ada");
    let login = json!({"email": ada.email, "password": crate::support::PASSWORD});
    let request = Request::post("/login", &login)
        .header("X-Forwarded-For", "203.0.113.66")
        .header("Forwarded", "for=198.51.100.1, for=\"[2001:db8::7]:4711\";proto=https");
    server.client().call(&request).expect(200);
    let sessions = ada.client.get("/sessions").expect(200).json();
    let addresses: Vec<&str> =
        sessions["data"].as_array().unwrap().iter().filter_map(|session| session["ip"].as_str()).collect();
    assert!(addresses.contains(&"2001:db8::7"), "{sessions}");
}

#[test]
fn metrics_are_hidden_from_what_a_proxy_on_this_machine_hands_on() {
    let server = Server::start();
    server.client().get("/metrics").expect(200);
    for (name, value) in
        [("X-Forwarded-For", "203.0.113.1"), ("Forwarded", "for=203.0.113.1"), ("Via", "1.1 proxy")]
    {
        server.client().call(&Request::get("/metrics").header(name, value)).problem(404, "not_found");
    }
}
