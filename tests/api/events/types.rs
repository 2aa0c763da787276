//! Each type of event happens, is delivered to those whom it concerns alone, and looks like its example.

use std::collections::{BTreeMap, BTreeSet};

use farthing::http::events::example;
use farthing::ledger::EventType;
use serde_json::{Value, json};

use super::feed;
use crate::factors::set_up;
use crate::schedules::advance;
use crate::support::lists::rows;
use crate::support::receiver::{Reaction, Receiver};
use crate::support::{PASSWORD, Request, Server, User};
use crate::webhooks::{builder_for, make};

const HOUR: i64 = 3_600;

/// Each type as an example has it, word for word.
#[test]
fn the_documents_have_an_example_of_each_type() {
    let (document, mut missing) = (include_str!("../../../docs/events.md"), Vec::new());
    for kind in EventType::ALL {
        let example = example(*kind);
        let section = format!("## `{}`\n\n{}\n\n```json\n{:#}\n```\n", kind.name(), kind.about(), example);
        if !document.contains(&section) {
            missing.push(section);
        }
    }
    assert!(missing.is_empty(), "docs/events.md lacks:\n{}", missing.join("\n"));
}

#[test]
fn every_type_is_delivered_and_looks_like_its_example() {
    let (house, bystanders) = (Receiver::start(), Receiver::start());
    let gone = Receiver::reacting(|_, _| Reaction::Status(410, ""));
    let server = builder_for(&[&house, &bystanders, &gone], "0,1")
        .env("FARTHING_RISK_NEW_PAYEE", "review above 100")
        .env("FARTHING_SECURITY_FOUR_EYES_ABOVE", "100")
        .env("FARTHING_TOKENS_REFRESH_TTL_SECONDS", "31536000")
        .start();
    let mut admin = server.operator("admin");
    let body = json!({"url": house.url(), "events": ["*"], "scope": "ledger"});
    let of_house = admin.client.post("/webhooks", &body).expect(201).str("id");
    admin.client.post_empty(&format!("/webhooks/{of_house}/test")).expect(202);
    let (mut ada, mut ben, mut mia) = (server.user("ada"), server.user("ben"), server.user("mia"));
    make(&mut mia, &bystanders, &["*"]);

    review(&mut admin, &mut ada, &mut ben);
    pay(&mut ada, &mut ben);
    move_cash(&server, &mut admin, &ben);
    change_account(&server, &mut admin);
    make(&mut ada, &gone, &["payment.*"]);
    ada.pay_with_key("to nobody", &json!({"amount": "1", "currency": "USD"})).expect(201);
    let path = format!("/webhooks/{}", make(&mut ben, &house, &["grant.*"])["id"].as_str().unwrap());
    ben.client.call(&Request::new("PATCH", &path).json(&json!({"description": "x"}))).expect(200);
    ben.client.call(&Request::new("DELETE", &path)).expect(204);
    let time = let_time_pass(&mut admin, &mut ada, &mut ben, &mut mia);
    house.wait_until("what time brings", |got| {
        let kinds: BTreeSet<String> = got.iter().map(crate::support::receiver::Received::kind).collect();
        time.iter().all(|kind| kinds.contains(kind.name()))
    });
    let skipped = newest(&mut ada, "/schedules");
    ada.client.call(&Request::new("DELETE", &skipped)).expect(204);

    let delivered = house.wait_until("event of each type", |got| {
        let kinds: BTreeSet<String> = got.iter().map(crate::support::receiver::Received::kind).collect();
        EventType::NAMES.iter().all(|name| kinds.contains(*name))
    });
    let mut first: BTreeMap<String, Value> = BTreeMap::new();
    for got in &delivered {
        first.entry(got.kind()).or_insert_with(|| got.json()["data"].clone());
    }
    for kind in EventType::ALL {
        assert_eq!(shape(&first[kind.name()]), shape(&example(*kind)), "{}", kind.name());
    }
    // What is ben's, is not for who pays him; what is ada's, is not for whom she pays; and mia sees nothing of it.
    assert_eq!(of_family(&mut ben, "request."), 8);
    assert_eq!(of_family(&mut ada, "request."), 0);
    assert!(of_family(&mut ada, "schedule.") >= 6);
    assert_eq!(of_family(&mut ben, "schedule."), 0);
    assert_eq!(of_family(&mut ben, "deposit.") + of_family(&mut ben, "withdrawal."), 3);
    assert_eq!(kinds(&mut mia), ["grant.created", "user.created", "webhook.created"]);
    let told: Vec<String> =
        bystanders.received().iter().map(crate::support::receiver::Received::kind).collect();
    assert_eq!(told, ["webhook.created"]);
    server.verify();
}

/// Payments and their steps, of which one is left to lapse; top-ups.
fn pay(ada: &mut User, ben: &mut User) {
    ada.pay(&json!({"amount": "5", "currency": "USD"})).expect(201);
    ada.pay(&json!({"amount": "5", "currency": "JPY"})).problem(402, "insufficient_funds");
    let held = json!({"to": ben.email, "amount": "7", "currency": "USD", "capture": "manual"});
    let captured = ada.pay_with_key("captured", &held).expect(201).str("id");
    let voided = ada.pay_with_key("voided", &held).expect(201).str("id");
    ada.pay_with_key("lapses", &held).expect(201);
    for (payment, step) in [(&captured, "capture"), (&captured, "refund"), (&voided, "void")] {
        assert!(ben.client.post_empty(&format!("/payment/{payment}/{step}")).status < 300, "{step}");
    }
    ada.top_up("8", "GBP");
    let failing = json!({"amount": "5", "currency": "USD", "method": "sim_expired"});
    ada.client.post("/topup", &failing).problem(402, "topup_failed");
    let spent = ada.pay(&json!({"to": ben.email, "amount": "8", "currency": "GBP"})).expect(201).str("id");
    ben.pay(&json!({"amount": "8", "currency": "GBP"})).expect(201);
    ben.client.post_empty(&format!("/payment/{spent}/refund")).problem(402, "insufficient_funds");
}

/// Payments that an operator looks at; the first pays a request, which is open again then, paid, and taken back where it
/// is another.
fn review(admin: &mut User, ada: &mut User, ben: &mut User) {
    let mut ask = |amount: &str| {
        let body = json!({"amount": amount, "currency": "USD", "expires_in": HOUR});
        ben.client.post("/requests", &body).expect(201).str("id")
    };
    let (asked, taken_back) = (ask("150"), ask("1"));
    ask("2");
    let decide = |admin: &mut User, payment: &str, what: &str| {
        admin.client.post(&format!("/admin/reviews/{payment}/{what}"), &json!({"note": "x"})).expect(200);
    };
    let path = format!("/requests/{asked}/pay");
    let payment = ada.client.call(&Request::post(&path, &json!({})).key("one")).expect(202).str("id");
    decide(admin, &payment, "reject");
    let payment = ada.client.call(&Request::post(&path, &json!({})).key("two")).expect(202).str("id");
    decide(admin, &payment, "approve");
    ben.client.call(&Request::new("DELETE", &format!("/requests/{taken_back}"))).expect(204);
}

fn move_cash(server: &Server, admin: &mut User, ben: &User) {
    let mut cashier = server.operator("cashier");
    let mut order = |what: &str, amount: &str| {
        let body = json!({"user": ben.id, "amount": amount, "currency": "EUR", "reference": "slip"});
        cashier.client.call(&Request::post(&format!("/admin/{what}"), &body).key(&format!("{what} {amount}")))
    };
    order("deposits", "50").expect(201);
    order("withdrawals", "20").expect(201);
    order("withdrawals", "31").problem(402, "insufficient_funds");
    for what in ["deposits", "withdrawals"] {
        let waits = order(what, "101").expect(202).str("id");
        admin.client.post(&format!("/admin/cash/{waits}/reject"), &json!({"note": "no"})).expect(204);
    }
    // Who asked is told, and not whose wallet it would have been.
    let told =
        ["user.created", "deposit.pending", "deposit.rejected", "withdrawal.pending", "withdrawal.rejected"];
    assert_eq!(kinds(&mut cashier), told);
}

/// An account, its name, password, second factor and keys; role and freeze in one call.
fn change_account(server: &Server, admin: &mut User) {
    let mut eve = server.user("eve");
    eve.client.call(&Request::new("PATCH", "/me").json(&json!({"name": "Eve"}))).expect(200);
    let key = json!({"name": "Shop", "scopes": ["own_account"]});
    let key = eve.client.post("/api-keys", &key).expect(201).str("id");
    eve.client.post(&format!("/api-keys/{key}/rotate"), &json!({})).expect(201);
    eve.client.call(&Request::new("DELETE", &format!("/api-keys/{key}"))).expect(204);
    // The other key ends with the password.
    let change = json!({"current_password": PASSWORD, "new_password": PASSWORD});
    eve.client.post("/me/password", &change).expect(204);
    set_up(&mut eve);
    eve.client.call(&Request::new("DELETE", "/me/totp").json(&json!({"password": PASSWORD}))).expect(204);
    for body in [json!({"role": "cashier", "frozen": true}), json!({"frozen": false})] {
        let change = Request::new("PATCH", &format!("/admin/users/{}", eve.id)).json(&body);
        admin.client.call(&change).expect(200);
    }
    let expected = [
        "user.updated",
        "api_key.created",
        "api_key.rotated",
        "api_key.created",
        "api_key.deleted",
        "api_key.deleted",
        "user.password_changed",
        "user.totp_enabled",
        "user.totp_disabled",
        "user.role_changed",
        "user.frozen",
        "user.unfrozen",
    ];
    assert_eq!(kinds(&mut eve)[2..], expected);
}

/// Schedules that run, fail and are missed; a hold and a request whose time passes. Says what that brings.
fn let_time_pass(admin: &mut User, ada: &mut User, ben: &mut User, mia: &mut User) -> [EventType; 5] {
    let now = ada.client.get("/statement?currency=USD").expect(200).str("created_at");
    let at = format!("{}T23:59:59.999Z", &now[..10]);
    let mut schedule = |more: Value| {
        let mut body = json!({"to": ben.email, "amount": "1", "currency": "USD", "at": at});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ada.client.post("/schedules", &body).expect(201);
    };
    schedule(json!({"currency": "JPY"}));
    schedule(json!({"rrule": "FREQ=DAILY", "missed": "skip"}));
    advance(admin, 8 * 24 * HOUR, &mut [ada, ben, mia]);
    [
        EventType::PaymentExpired,
        EventType::RequestExpired,
        EventType::ScheduleRunFailed,
        EventType::ScheduleRunSkipped,
        EventType::ScheduleDone,
    ]
}

fn newest(user: &mut User, list: &str) -> String {
    format!("{list}/{}", user.list(list)[0]["id"].as_str().unwrap())
}

fn kinds(user: &mut User) -> Vec<String> {
    let events = rows(&feed(user, "?limit=100"));
    events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

fn of_family(user: &mut User, family: &str) -> usize {
    kinds(user).iter().filter(|kind| kind.starts_with(family)).count()
}

/// What a value is made of, all the way down; null fits anything.
fn shape(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect("", value, &mut found);
    found
}

fn collect(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    if let Value::Object(members) = value {
        for (name, member) in members {
            let path = format!("{path}.{name}");
            found.insert(path.clone());
            collect(&path, member, found);
        }
    }
}
