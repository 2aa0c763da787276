//! Every route × every credential that must not open it, from the route table itself.
//!
//! A route that this file does not know how to use, or one that became public, fails here: it is listed by hand which
//! calls anybody may make, and what a good call to each of the others looks like.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

mod support;

use std::collections::BTreeSet;

use farthing::auth::permission::{Access, Permission};
use farthing::http::routes::ROUTES;
use farthing::http::spec::{Route, Verb};
use farthing::ledger::Role;
use serde_json::{Value, json};

use support::factor::Factor;
use support::shape::assert_same_answer;
use support::{PASSWORD, Request, Server, User};

/// The calls that anybody may make, each for a reason that stands in the route table's description.
const PUBLIC: [&str; 14] = [
    "POST /password/reset",
    "POST /register",
    "POST /login",
    "POST /token/refresh",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /docs",
    "GET /assets/style.css",
    "GET /problems",
    "GET /problems/{code}",
    "GET /",
    "GET /start",
];

/// The calls to an object whose id is what lets one in: who knows it may make them.
const CAPABILITIES: [&str; 2] = ["GET /requests/{id}", "POST /requests/{id}/pay"];

fn name(route: &Route) -> String {
    format!("{} {}", route.verb.name(), route.path)
}

fn guarded() -> impl Iterator<Item = (&'static Route, Permission)> {
    ROUTES.iter().filter_map(|route| Some((route, route.access.permission()?)))
}

/// A good call to a guarded route by this user, on an object of theirs.
fn good_call(route: &Route, user: &mut User) -> Request {
    let call = name(route);
    let path = match route.path.split_once("{id}") {
        Some((before, after)) => {
            let object = own_object(&call, user);
            let delivery = if after.contains("{delivery}") { own_delivery(user) } else { String::new() };
            format!("{before}{object}{}", after.replace("{delivery}", &delivery))
        }
        None => route.path.to_owned(),
    };
    let body = match call.as_str() {
        "PATCH /me" => json!({"name": "A new name"}),
        "POST /me/password" => json!({"current_password": PASSWORD, "new_password": PASSWORD}),
        "POST /payment" => json!({"amount": "1.23", "currency": "USD", "reference": "a good call"}),
        "POST /topup" | "POST /requests" => json!({"amount": "1.23", "currency": "USD"}),
        "POST /sandbox/clock" => json!({"advance": 1}),
        "POST /schedules" => json!({"amount": "1.23", "currency": "USD", "at": "2030-01-01T09:00:00Z"}),
        "POST /me/totp/confirm" => json!({"otp": begin_factor(user).unwrap().code(0)}),
        // After the confirmation, which stands before it in the table.
        "DELETE /me/totp" => json!({"password": PASSWORD}),
        "POST /api-keys" => json!({"name": "shop", "scopes": ["own_account"]}),
        "PATCH /admin/users/{id}" => json!({"frozen": true}),
        "POST /webhooks" => json!({"url": "https://hook.invalid/"}),
        "PATCH /webhooks/{id}" => json!({"description": "A new note"}),
        "POST /webhooks/{id}/secret" => json!({"keep_old_seconds": 60}),
        "POST /webhooks/{id}/replay" => json!({"since": "2026-01-01T00:00:00Z"}),
        "POST /sandbox/events" => json!({"type": "payment.succeeded"}),
        "POST /admin/deposits" | "POST /admin/withdrawals" => {
            json!({"user": user.id, "amount": "1.23", "currency": "USD", "reference": "slip 1"})
        }
        "POST /admin/cash/{id}/approve" | "POST /admin/cash/{id}/reject" => json!({"note": "counted"}),
        "POST /admin/reviews/{id}/approve" | "POST /admin/reviews/{id}/reject" => {
            json!({"note": "looked at"})
        }
        "GET /statement" => return Request::get("/statement?currency=USD"),
        "POST /admin/reconciliations" => {
            return Request::new("POST", "/admin/reconciliations?from=2026-01-01&to=2026-01-31")
                .header("Content-Type", "text/csv")
                .bytes(b"amount,currency,reference\n1,USD,slip 1\n");
        }
        "GET /payment" => return Request::get("/payment?idempotency_key=good"),
        "POST /payments/batch" => json!({"payments": [
            {"idempotency_key": "good call", "amount": "0.02", "currency": "USD"},
        ]}),
        "POST /logout"
        | "POST /me/totp"
        | "POST /api-keys/{id}/rotate"
        | "POST /requests/{id}/pay"
        | "POST /sandbox/reset"
        | "POST /admin/users/{id}/reset-link"
        | "POST /webhooks/{id}/test"
        | "POST /webhooks/{id}/deliveries/{delivery}/redeliver"
        | "POST /payment/{id}/capture"
        | "POST /payment/{id}/void"
        | "POST /payment/{id}/refund" => json!({}),
        _ => {
            assert!(route.doc.body.is_empty(), "what is a good body of {call}?");
            return Request::new(route.verb.name(), &path);
        }
    };
    Request::new(route.verb.name(), &path).json(&body)
}

/// A second factor that was begun; none if there is one already.
fn begin_factor(user: &mut User) -> Option<Factor> {
    let begun = user.client.post("/me/totp", &json!({}));
    (begun.status == 200).then(|| Factor::new(&begun.str("secret")))
}

/// The id of an object of the user's that this call is about.
fn own_object(call: &str, user: &mut User) -> String {
    if call.starts_with("POST /admin/cash/") {
        // Cash waits only where a second operator is asked for, which other tests do.
        return "txn_01h455vb4pex5vsknk084sn02q".to_owned();
    }
    if call.starts_with("POST /admin/reviews/") {
        // A payment waits only where a rule holds it, likewise.
        return "pay_01h455vb4pex5vsknk084sn02q".to_owned();
    }
    let waits_for = match call {
        "POST /payment/{id}/capture" | "POST /payment/{id}/void" => Some("authorized"),
        "POST /payment/{id}/refund" => Some("succeeded"),
        _ => None,
    };
    if let Some(status) = waits_for {
        let payments = user.list("/payments");
        let is_own = |payment: &&Value| payment["status"] == status && payment["to"]["id"] == user.id;
        return payments.iter().find(is_own).unwrap()["id"].as_str().unwrap().to_owned();
    }
    if call == "POST /requests/{id}/pay" {
        let told =
            |payment: &Value| payment["description"].as_str().is_some_and(|text| text.starts_with("plk_"));
        let payments = user.list("/payments");
        let payment = payments.iter().find(|payment| told(payment)).unwrap();
        return payment["description"].as_str().unwrap().to_owned();
    }
    let list = match call {
        "GET /requests/{id}" | "DELETE /requests/{id}" => "/requests",
        "GET /schedules/{id}" | "DELETE /schedules/{id}" => "/schedules",
        _ if call.contains(" /webhooks/") => "/webhooks",
        "DELETE /sessions/{id}" => "/sessions",
        "GET /payment/{id}" | "GET /payment/{id}/receipt" | "GET /admin/payments/{id}" => "/payments",
        "GET /transactions/{id}" => "/transactions",
        call if call.contains("/admin/users/{id}") => return user.id.clone(),
        call if call.contains("/api-keys/{id}") => {
            let key = json!({"name": "shop", "scopes": ["own_account"]});
            if support::lists::rows(&user.client.get("/api-keys").expect(200).json()).is_empty() {
                user.client.post("/api-keys", &key).expect(201);
            }
            "/api-keys"
        }
        _ => panic!("what is an object of {call}?"),
    };
    let rows = support::lists::rows(&user.client.get(list).expect(200).json());
    rows[0]["id"].as_str().unwrap().to_owned()
}

/// The id of a delivery of the user's; it is made soon after its event.
fn own_delivery(user: &mut User) -> String {
    let webhook = own_object("GET /webhooks/{id}", user);
    for _ in 0..600 {
        let list = user.client.get(&format!("/webhooks/{webhook}/deliveries")).expect(200).json();
        if let Some(delivery) = support::lists::rows(&list).first() {
            return delivery["id"].as_str().unwrap().to_owned();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("no delivery of {webhook}");
}

/// An id of the same kind that nobody has.
fn missing_object(own: &str) -> String {
    format!("{}_01h455vb4pex5vsknk084sn02q", own.split_once('_').unwrap().0)
}

/// Somebody with an object of each kind.
fn somebody(server: &Server, who: &str) -> User {
    furnished(server, server.user(who), who)
}

/// The same user with an object of each kind.
fn furnished(server: &Server, mut user: User, who: &str) -> User {
    user.client.post("/webhooks", &json!({"url": "https://hook.invalid/"})).expect(201);
    user.pay_with_key("good", &json!({"amount": "5", "currency": "USD"})).expect(201);
    let mut payer = server.user(&format!("payer-of-{who}"));
    for capture in ["automatic", "manual"] {
        payer
            .pay(&json!({"amount": "3", "currency": "USD", "to": user.id, "capture": capture, "description": capture}))
            .expect(201);
    }
    user.client.post("/requests", &json!({"amount": "2", "currency": "USD"})).expect(201);
    let later = json!({"amount": "2", "currency": "USD", "at": "2030-01-01"});
    user.client.post("/schedules", &later).expect(201);
    // Somebody else's request, and how the user knows of it.
    let asked =
        payer.client.post("/requests", &json!({"amount": "2", "currency": "USD"})).expect(201).str("id");
    payer.pay(&json!({"amount": "1", "currency": "USD", "to": user.id, "description": asked})).expect(201);
    user
}

/// Everything of a user that a call could change, as far as they can see it.
fn state(user: &mut User) -> Vec<Value> {
    ["/me", "/wallets", "/payments", "/transactions"]
        .map(|path| user.client.get(path).expect(200).json())
        .into()
}

#[test]
fn the_public_calls_are_those_and_no_others() {
    let public: BTreeSet<String> =
        ROUTES.iter().filter(|route| route.access == Access::Public).map(name).collect();
    assert_eq!(public, PUBLIC.iter().map(|&call| call.to_owned()).collect());
    let all: BTreeSet<String> = ROUTES.iter().map(name).collect();
    assert_eq!(all.len(), ROUTES.len(), "a call is in the table twice");
}

#[test]
fn the_description_and_the_router_know_the_same_calls() {
    let server = Server::start();
    let mut client = server.client();
    let document = client.get("/openapi.json").expect(200).json();
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods: Vec<&String> = item.as_object().unwrap().keys().collect();
            methods.into_iter().map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(described, ROUTES.iter().map(name).collect());
    for route in ROUTES {
        let path = route.path.replace("{code}", "not_found").replace("{id}", "x");
        let response = client.call(&Request::new(route.verb.name(), &path));
        assert!(![404, 405].contains(&response.status), "described and not there: {response}");
        let expected = if route.access == Access::Public { response.status } else { 401 };
        assert_eq!(response.status, expected, "{response}");
        let security = &document["paths"][route.path][route.verb.name().to_lowercase()]["security"];
        let open = security.as_array().is_some_and(Vec::is_empty) || security.is_null();
        assert_eq!(open, route.access == Access::Public, "{}: the description says {security}", name(route));
    }
}

#[test]
fn a_good_call_to_each_guarded_route_succeeds() {
    // A stream has no end; its tests are with the events.
    let finite = |route: &Route| route.path != "/events/stream";
    for (route, _) in guarded().filter(|(route, permission)| permission.is_own() && finite(route)) {
        let server = Server::start();
        let mut user = somebody(&server, "ada");
        if route.path == "/me/totp" && route.verb == Verb::Delete {
            let factor = begin_factor(&mut user).unwrap();
            user.client.post("/me/totp/confirm", &json!({"otp": factor.code(0)})).expect(200);
        }
        let request = good_call(route, &mut user);
        let response = user.client.call(&request);
        assert!((200..300).contains(&response.status), "{response}");
    }
}

#[test]
fn no_guarded_route_opens_to_a_credential_that_is_not_one() {
    let server = Server::start();
    let elsewhere = Server::start();
    let mut user = somebody(&server, "ada");
    let stranger = somebody(&elsewhere, "ada");
    let mut left = user.log_in_again(server.client());
    left.client.post_empty("/logout").expect(204);
    let before = state(&mut user);
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let wrong = [
        (None, "token_missing"),
        (bearer("nonsense"), "token_invalid"),
        (bearer(&user.token[1..]), "token_invalid"),
        (bearer(&stranger.token), "token_invalid"),
        (bearer(&left.token), "token_invalid"),
        (bearer(&user.refresh), "token_invalid"),
        (bearer(&user.id), "token_invalid"),
        (Some(user.token.clone()), "token_invalid"),
    ];
    for (route, _) in guarded() {
        let good = good_call(route, &mut user);
        let nonsense = Request::new(route.verb.name(), route.path).json_text("{\"nonsense\":");
        for (credential, code) in &wrong {
            // Who asks is settled before what is asked.
            for request in [&good, &nonsense] {
                let request = match credential {
                    Some(credential) => request.clone().header("Authorization", credential),
                    None => request.clone(),
                };
                let response = server.client().call(&request);
                assert_eq!((response.status, response.str("code").as_str()), (401, *code), "{response}");
            }
        }
    }
    assert_eq!(state(&mut user), before);
}

#[test]
fn no_guarded_route_opens_to_an_expired_token() {
    let server = Server::start();
    let mut user = somebody(&server, "ada");
    let calls: Vec<Request> = guarded().map(|(route, _)| good_call(route, &mut user)).collect();
    let before = state(&mut user);
    // The lifetime is set when a token is made, so a second start with a short one makes the token that expires.
    let server = restarted(server, "FARTHING_TOKENS_ACCESS_TTL_SECONDS", "1");
    let short = user.log_in_again(server.client());
    let expired = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        server.client().call(&Request::get("/me").bearer(&short.token)).status == 401
    });
    assert!(expired, "the token does not expire");
    for call in calls {
        server.client().call(&call.bearer(&short.token)).problem(401, "token_expired");
    }
    user.client = server.client().with_token(&user.token);
    assert_eq!(state(&mut user), before);
}

/// The same ledger under a server with another setting.
fn restarted(mut server: Server, variable: &str, value: &str) -> Server {
    server.terminate();
    server.set_env(variable, value);
    server.start_again();
    server
}

/// Whose object a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    Own,
    Foreign,
    Missing,
}

/// What a call must come to: its status, and if it is no success its code.
fn expected(route: &Route, permission: Permission, role: Role, object: Object) -> (u16, &'static str) {
    let has_object = route.path.contains("{id}");
    match object {
        _ if !permission.is_given_to(role) => (403, "permission_denied"),
        _ if !has_object => (200, ""),
        Object::Missing => (404, "not_found"),
        Object::Own if permission.is_own() => (200, ""),
        Object::Foreign if permission.is_own() => (404, "not_found"),
        // What an operator may know of a user is no secret to that user.
        Object::Own if name(route) == "GET /admin/users/{id}" => (200, ""),
        Object::Own => (403, "permission_denied"),
        Object::Foreign => (200, ""),
    }
}

/// A user with this role and an object of each kind.
fn somebody_with(server: &Server, role: Role) -> User {
    furnished(server, User::operator(server, role.name(), role.name()), role.name())
}

/// Calls that use their object up, or the whole ledger: whom they let in is in the tests of each.
/// What cash is, a cashier may not do for themselves.
const ONCE: [&str; 11] = [
    "POST /admin/deposits",
    "POST /admin/withdrawals",
    "POST /admin/cash/{id}/approve",
    "POST /admin/cash/{id}/reject",
    "POST /admin/reviews/{id}/approve",
    "POST /admin/reviews/{id}/reject",
    "POST /payment/{id}/capture",
    "POST /payment/{id}/void",
    "POST /payment/{id}/refund",
    "POST /sandbox/reset",
    "POST /sandbox/clock",
];

/// The routes whose every cell is tried one after the other.
fn repeatable() -> impl Iterator<Item = (&'static Route, Permission)> {
    guarded().filter(|(route, _)| {
        route.path != "/events/stream"
            && !ONCE.contains(&name(route).as_str())
            && !CAPABILITIES.contains(&name(route).as_str())
    })
}

/// Every route × every role × whose object, each cell of it.
#[test]
fn every_route_opens_to_the_roles_and_for_the_objects_that_it_is_for_and_no_others() {
    let server = Server::start();
    let mut cells = 0;
    for role in Role::ALL {
        let mut user = somebody_with(&server, role);
        let mut other = somebody(&server, &format!("other-{role}"));
        for (route, permission) in repeatable() {
            let objects = [Object::Own, Object::Foreign, Object::Missing];
            let objects = if route.path.contains("{id}") { &objects[..] } else { &objects[..1] };
            for object in objects.iter().copied() {
                // A call before may have ended the sessions.
                for somebody in [&mut user, &mut other] {
                    if somebody.client.get("/me").status != 200 {
                        *somebody = somebody.log_in_again(server.client());
                    }
                }
                let good = good_call(route, &mut user);
                let own = own_id(route, &mut user);
                let request = match (object, &own) {
                    (Object::Own, _) | (_, None) => good,
                    (Object::Foreign, Some(_)) => {
                        let foreign = own_id(route, &mut other).unwrap();
                        good.at(&route.path.replace("{id}", &foreign))
                    }
                    (Object::Missing, Some(own)) => {
                        good.at(&route.path.replace("{id}", &missing_object(own)))
                    }
                };
                let response = user.client.call(&request);
                let (status, code) = expected(route, permission, role, object);
                let cell = format!("{} by {role} on {object:?}: {response}", name(route));
                if status == 200 {
                    assert!((200..300).contains(&response.status), "{cell}");
                } else {
                    assert_eq!((response.status, response.str("code").as_str()), (status, code), "{cell}");
                }
                cells += 1;
            }
        }
    }
    let objects = |route: &Route| if route.path.contains("{id}") { 3 } else { 1 };
    assert_eq!(cells, repeatable().map(|(route, _)| objects(route)).sum::<usize>() * Role::ALL.len());
    server.verify();
}

/// The id of an object of the user's that this route is about, if it is about one.
fn own_id(route: &Route, user: &mut User) -> Option<String> {
    route.path.contains("{id}").then(|| own_object(&name(route), user))
}

#[test]
fn somebody_elses_object_is_a_missing_one() {
    let server = Server::start();
    let (mut ada, eve) = (somebody(&server, "ada"), somebody(&server, "eve"));
    check_foreign_objects(&server, &mut ada, &eve.token);
}

/// Each route with an object answers a foreign one like a missing one, and does nothing to it.
fn check_foreign_objects(server: &Server, owner: &mut User, stranger: &str) {
    let before = state(owner);
    let mut routes = 0;
    for (route, permission) in guarded() {
        let Some((before_id, after_id)) = route.path.split_once("{id}") else { continue };
        if !permission.is_own() || CAPABILITIES.contains(&name(route).as_str()) {
            continue;
        }
        routes += 1;
        let own = own_object(&name(route), owner);
        let good = good_call(route, owner);
        let ask = |id: &str| {
            let request = good.at(&format!("{before_id}{id}{after_id}"));
            server.client().call(&request.bearer(stranger))
        };
        let foreign = ask(&own).problem(404, "not_found");
        for other in
            [missing_object(&own), own.to_uppercase(), "x".to_owned(), "%00".to_owned(), "-1".to_owned()]
        {
            assert_same_answer(&foreign, &ask(&other));
        }
    }
    assert!(routes >= 3, "the table has lost its objects");
    assert_eq!(state(owner), before);
}

/// Values that are wrong for nearly every field, each in its own way.
fn hostile_values() -> Vec<String> {
    let mut values: Vec<String> = [
        "null",
        "true",
        "0",
        "-1",
        "-0.0",
        "1e400",
        "1e-400",
        "123456789012345678901234567890",
        "\"\"",
        "\" \"",
        "[]",
        "{}",
        "[[[[[]]]]]",
        "{\"a\":{\"b\":null}}",
        "\"\\u0000\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud800\"",
        "\"\u{202e}\u{200d}\"",
        "\"' OR 1=1 --\"",
        "\"%s%n%x\"",
        "\"../../etc/passwd\"",
        "\"<script>\"",
        "\"${x}\"",
        "\"usr_00000000000000000000000001\"",
        "\"9999-99-99T99:99:99Z\"",
        "{\"\":\"\"}",
        "{\"a\":\"b\",\"a\":\"c\"}",
    ]
    .map(str::to_owned)
    .into();
    values.push(format!("\"{}\"", "x".repeat(50_000)));
    values.push(format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)));
    let many: Vec<String> = (0..2_000).map(|n| format!("\"k{n}\":\"v\"")).collect();
    values.push(format!("{{{}}}", many.join(",")));
    values
}

#[test]
fn no_value_of_any_field_makes_the_server_fail() {
    let server = Server::start();
    let mut user = somebody_with(&server, Role::Admin);
    for route in ROUTES.iter().filter(|route| route.path != "/logout" && route.path != "/me/password") {
        let path = route.path.replace("{id}", "x").replace("{code}", "x");
        for field in route.doc.body {
            for value in hostile_values() {
                let body = format!("{{\"{}\":{value}}}", field.name);
                let request = Request::new(route.verb.name(), &path).json_text(&body);
                let response = user.client.call(&request);
                assert!(response.status < 500, "{}: {response}", &body[..body.len().min(200)]);
            }
        }
        let hostile =
            ["", "%00", "%ff", "%", "%zz", "-1", "1e9", "'", "%F0%9F%98%80", "a%26b%3Dc", "[]", "0x1", "+"];
        for field in route.doc.query {
            for value in hostile {
                let target = format!("{path}?{0}={value}&{0}={value}", field.name);
                let response = user.client.call(&Request::new(route.verb.name(), &target));
                assert!(response.status < 500, "{target}: {response}");
            }
        }
    }
    server.verify();
}
