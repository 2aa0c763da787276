//! `POST /schedules`, `GET /schedules`, `GET /schedules/{id}`, `DELETE /schedules/{id}`, run by the sandbox's clock.

use serde_json::{Value, json};

use crate::support::lists::{ids, rows};
use crate::support::shape::{assert_fails, assert_id, assert_members, assert_time};
use crate::support::{Request, Response, Server, User, at_once, found, until};

const DAY: i64 = 86_400;

/// Moves the clock, and says what it shows. The admin and the others get new tokens, which the old ones' end calls for.
pub fn advance(admin: &mut User, seconds: i64, others: &mut [&mut User]) -> String {
    let now = admin.client.post("/sandbox/clock", &json!({"advance": seconds})).expect(200).str("now");
    for user in others.iter_mut().map(|user| &mut **user).chain([admin]) {
        let tokens = user.client.post("/token/refresh", &json!({"refresh_token": user.refresh})).expect(200);
        (user.token, user.refresh) = (tokens.str("access_token"), tokens.str("refresh_token"));
        user.client.set_token(&user.token);
    }
    now
}

/// A server whose sessions outlive a moved clock.
pub fn patient_server() -> Server {
    Server::builder().env("FARTHING_TOKENS_REFRESH_TTL_SECONDS", "31536000").start()
}

/// Schedules a payment the day after tomorrow.
fn schedule(user: &mut User, more: &Value) -> Response {
    let body = body(user, more);
    user.client.post("/schedules", &body)
}

fn body(user: &mut User, more: &Value) -> Value {
    let now = user.client.get("/statement?currency=USD").expect(200).str("created_at");
    // The next day at noon is more than an hour away whatever the time is.
    let at = format!("{}T12:00:00Z", next_day(&next_day(&now[..10])));
    let mut body = json!({"amount": "1.50", "currency": "USD", "description": "Rent", "at": at});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn next_day(day: &str) -> String {
    let output =
        std::process::Command::new("date").args(["-u", "-d", &format!("{day} + 1 day"), "+%F"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
}

fn runs(user: &mut User, id: &str) -> u64 {
    user.client.get(&format!("/schedules/{id}")).expect(200).json()["runs"].as_u64().unwrap()
}

#[test]
fn it_pays_once_at_its_time() {
    let server = patient_server();
    let (mut ada, mut bob, mut admin) = (server.user("ada"), server.user("bob"), server.operator("admin"));
    let made = schedule(&mut ada, &json!({"to": bob.email, "reference": "R-1"})).expect(201).json();
    assert_members(
        &made,
        &[
            "id",
            "status",
            "amount",
            "currency",
            "to",
            "description",
            "reference",
            "at",
            "rrule",
            "missed",
            "next_at",
            "runs",
            "last",
            "created_at",
        ],
    );
    let id = made["id"].as_str().unwrap().to_owned();
    assert_id(&id, "sch");
    assert_eq!(made["to"], json!({"id": bob.id, "name": "bob"}));
    assert_eq!(
        (&made["status"], &made["next_at"], &made["missed"]),
        (&json!("active"), &made["at"], &json!("run_once"))
    );
    assert_eq!(bob.balance("USD"), 100_000);

    advance(&mut admin, 3 * DAY, &mut [&mut ada, &mut bob]);
    let done = found("the payment", || {
        let now = ada.client.get(&format!("/schedules/{id}")).expect(200).json();
        (now["status"] == "done").then_some(now)
    });
    assert_eq!((&done["runs"], &done["next_at"]), (&json!(1), &Value::Null));
    assert_eq!((&done["last"]["outcome"], &done["last"]["due_at"]), (&json!("paid"), &made["at"]));
    assert_time(&done["last"]["at"]);
    let payment = done["last"]["payment"].as_str().unwrap();
    assert_id(payment, "pay");
    let events = rows(&bob.client.get("/events?limit=100").expect(200).json());
    let told = events.iter().find(|event| event["data"]["id"] == payment).unwrap();
    assert_id(told["id"].as_str().unwrap(), "evt");
    let payment = bob.client.get(&format!("/payment/{payment}")).expect(200).json();
    assert_eq!(
        (&payment["amount"], &payment["description"], &payment["reference"]),
        (&json!("1.50"), &json!("Rent"), &json!("R-1"))
    );
    assert_eq!(bob.balance("USD"), 100_150);
    server.verify();
}

#[test]
fn a_key_makes_one_schedule_whenever_and_however_often_it_is_sent() {
    let server = patient_server();
    let (mut ada, mut bob, mut admin) = (server.user("ada"), server.user("bob"), server.operator("admin"));
    let body = body(&mut ada, &json!({"rrule": "FREQ=DAILY;COUNT=3", "missed": "run_all"}));
    let ask = |body: &Value| Request::post("/schedules", body).key("rent");
    let same = ask(&body);
    let answers = at_once((0..20).map(|_| (server.client().with_token(&ada.token), &same)).collect());
    let first = answers[0].text();
    let is_first = |answer: &&Response| answer.header("idempotent-replayed").is_none();
    assert_eq!(answers.iter().filter(is_first).count(), 1, "{answers:?}");
    for answer in &answers {
        assert_eq!((answer.status, answer.text()), (201, first.clone()));
    }
    assert_eq!(ada.list("/schedules").len(), 1);
    bob.client.call(&same).expect(201);

    // It is told as it was made, after its runs, its end and the time at which it could be made.
    advance(&mut admin, 6 * DAY, &mut [&mut ada, &mut bob]);
    let id = answers[0].str("id");
    until("its end", || ada.client.get(&format!("/schedules/{id}")).expect(200).str("status") == "done");
    let again = ada.client.call(&ask(&body)).expect(201);
    assert_eq!((again.text(), again.header("idempotent-replayed")), (first, Some("true")));
    assert_eq!((runs(&mut ada, &id), ada.list("/schedules").len()), (3, 1));

    for (field, value) in [
        ("amount", json!("1.51")),
        ("currency", json!("EUR")),
        ("to", json!(bob.id)),
        ("description", json!("Food")),
        ("reference", json!("R-1")),
        ("at", json!("2020-01-01T00:00:00Z")),
        ("rrule", json!("FREQ=DAILY;COUNT=4")),
        ("missed", json!("skip")),
    ] {
        let mut other = body.clone();
        other[field] = value;
        let refused = ada.client.call(&ask(&other)).problem(422, "idempotency_key_reused");
        assert_eq!(refused.json()["fields"], json!([field]));
    }
    assert_fails(&ada.client.call(&Request::post("/schedules", &body).key("too late")), &["at"]);
    ada.pay_with_key("paid", &json!({"amount": "1", "currency": "USD"})).expect(201);
    let another = self::body(&mut ada, &json!({}));
    let refused = ada.client.call(&Request::post("/schedules", &another).key("paid"));
    assert_eq!(refused.problem(422, "idempotency_key_reused").json()["fields"], json!(["call"]));
    server.verify();
}

#[test]
fn missed_runs_are_left_out_made_up_for_or_made_once() {
    let server = patient_server();
    let (mut ada, mut admin) = (server.user("ada"), server.operator("admin"));
    let rule = "FREQ=DAILY;COUNT=10";
    let mut of = |missed: &str| {
        let body = json!({"rrule": rule, "missed": missed, "description": missed});
        schedule(&mut ada, &body).expect(201).str("id")
    };
    let all = ["skip", "run_once", "run_all"].map(&mut of);
    // Four of the ten are over by more than a little.
    advance(&mut admin, 5 * DAY + DAY / 2, &mut [&mut ada]);
    until("all that was missed", || runs(&mut ada, &all[2]) >= 4);
    let [skip, once, every] = all.clone();
    until("the one for all", || runs(&mut ada, &once) == 1);
    let skipped = found("the skipping", || {
        let now = ada.client.get(&format!("/schedules/{skip}")).expect(200).json();
        (now["last"]["outcome"] == "skipped").then_some(now)
    });
    assert_eq!((&skipped["runs"], &skipped["status"]), (&json!(0), &json!("active")));
    let made_up = runs(&mut ada, &every);
    let paid = ada.list("/payments");
    let count = |what: &str| paid.iter().filter(|payment| payment["description"] == what).count();
    assert_eq!(
        (count("skip"), count("run_once"), count("run_all")),
        (0, 1, usize::try_from(made_up).unwrap())
    );
    // At the end each has its ten or fewer, and none more.
    advance(&mut admin, 30 * DAY, &mut [&mut ada]);
    for id in &all {
        until("its end", || ada.client.get(&format!("/schedules/{id}")).expect(200).str("status") == "done");
    }
    assert_eq!((runs(&mut ada, &skip), runs(&mut ada, &once), runs(&mut ada, &every)), (0, 2, 10));
    server.verify();
}

#[test]
fn a_run_that_fails_tells_its_owner_and_the_next_runs_all_the_same() {
    let server = patient_server();
    let (mut ada, mut admin) = (server.user("ada"), server.operator("admin"));
    let body = json!({"amount": "1000.00", "rrule": "FREQ=DAILY;COUNT=3", "missed": "run_all"});
    let id = schedule(&mut ada, &body).expect(201).str("id");
    ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
    advance(&mut admin, 2 * DAY + DAY / 2, &mut [&mut ada]);
    let failed = found("the first run", || {
        let now = ada.client.get(&format!("/schedules/{id}")).expect(200).json();
        (now["last"]["outcome"] == "declined").then_some(now)
    });
    let payment = failed["last"]["payment"].as_str().unwrap();
    assert_eq!(ada.client.get(&format!("/payment/{payment}")).expect(200).str("status"), "declined");
    assert!(ada.list("/me/activity").iter().any(|event| event["event"] == "payment_declined"));
    ada.top_up("5000", "USD");
    advance(&mut admin, 5 * DAY, &mut [&mut ada]);
    until("the end", || ada.client.get(&format!("/schedules/{id}")).expect(200).str("status") == "done");
    assert_eq!(
        ada.list("/payments")
            .iter()
            .filter(|payment| payment["amount"] == "1000.00" && payment["status"] == "succeeded")
            .count(),
        2
    );
}

#[test]
fn one_that_was_ended_runs_no_more_and_others_see_none() {
    let server = patient_server();
    let (mut ada, mut bob, mut admin) = (server.user("ada"), server.user("bob"), server.operator("admin"));
    let id = schedule(&mut ada, &json!({"rrule": "FREQ=WEEKLY"})).expect(201).str("id");
    let path = format!("/schedules/{id}");
    bob.client.get(&path).problem(404, "not_found");
    bob.client.call(&Request::new("DELETE", &path)).problem(404, "not_found");
    for _ in 0..2 {
        ada.client.call(&Request::new("DELETE", &path)).expect(204);
    }
    assert_eq!(ada.client.get(&path).expect(200).str("status"), "cancelled");
    let other = schedule(&mut ada, &json!({})).expect(201).str("id");
    assert_eq!(ids(&ada.list("/schedules")), [other.clone(), id.clone()]);
    advance(&mut admin, 30 * DAY, &mut [&mut ada, &mut bob]);
    until("the other's run", || runs(&mut ada, &other) == 1);
    assert_eq!(runs(&mut ada, &id), 0);
}

#[test]
fn what_cannot_be_scheduled_is_refused_by_name() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for (more, field) in [
        (json!({"rrule": "FREQ=SECONDLY"}), "rrule"),
        (json!({"rrule": "FREQ=MINUTELY"}), "rrule"),
        (json!({"rrule": "FREQ=DAILY;BYMINUTE=0,1,2"}), "rrule"),
        (json!({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}), "rrule"),
        (json!({"rrule": "every now and then"}), "rrule"),
        (json!({"at": "2020-01-01"}), "at"),
        (json!({"at": "9999-12-31T23:59:59Z"}), "at"),
        (json!({"at": "tomorrow"}), "at"),
        (json!({"at": Value::Null}), "at"),
        (json!({"missed": "never"}), "missed"),
        (json!({"to": ada.id}), "to"),
        (json!({"amount": "0"}), "amount"),
    ] {
        assert_fails(&schedule(&mut ada, &more), &[field]);
    }
    schedule(&mut ada, &json!({"to": "nobody@example.org"})).problem(404, "recipient_not_found");
}
