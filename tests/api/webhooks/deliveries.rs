//! What arrives, how often, in which order, and what becomes of receivers that fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use farthing::webhook::Secret;
use serde_json::{Value, json};

use super::{builder_for, make, server_for};
use crate::schedules::advance;
use crate::support::lists::rows;
use crate::support::receiver::{Reaction, Received, Receiver};
use crate::support::{Request, Server, User, found, until};

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

fn deliveries(user: &mut User, webhook: &Value, query: &str) -> Vec<Value> {
    rows(&user.client.get(&format!("/webhooks/{}/deliveries{query}", id(webhook))).expect(200).json())
}

fn webhook(user: &mut User, webhook: &Value) -> Value {
    user.client.get(&format!("/webhooks/{}", id(webhook))).expect(200).json()
}

/// What the signature must be, by that secret.
fn signature_by(secret: &str, got: &Received) -> String {
    let secret = Secret::parse(secret).unwrap();
    secret.sign(got.id(), got.headers["webhook-timestamp"].parse().unwrap(), got.body.as_bytes())
}

#[test]
fn both_sides_are_told_of_a_payment_by_signed_messages() {
    let (adas, bobs) = (Receiver::start(), Receiver::start());
    let server = server_for(&[&adas, &bobs], "0,1");
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let made = make(&mut ada, &adas, &["payment.*"]);
    make(&mut bob, &bobs, &["payment.succeeded"]);
    let started = Instant::now();
    let paid = ada.pay(&json!({"to": bob.email, "amount": "5", "currency": "USD"})).expect(201);
    let (one, other) = (adas.wait_for(1), bobs.wait_for(1));
    assert!(one[0].at.duration_since(started) < Duration::from_secs(5));
    assert_eq!((one[0].id(), &one[0].body), (other[0].id(), &other[0].body), "the same event");
    let event = one[0].json();
    assert_eq!(event["type"], "payment.succeeded");
    assert_eq!(event["data"], paid.json(), "the payment as the API shows it");
    assert_eq!(event["id"], one[0].id());
    assert_eq!(one[0].headers["webhook-signature"], signature_by(made["secret"].as_str().unwrap(), &one[0]));

    // The feed has the same, and the delivery is on record.
    let feed = ada.client.get("/events?limit=100").expect(200).json();
    assert!(rows(&feed).contains(&event), "{feed}");
    until("delivered", || deliveries(&mut ada, &made, "")[0]["status"] == "delivered");
    let delivery = &deliveries(&mut ada, &made, "?status=delivered&type=payment.succeeded")[0];
    assert_eq!(
        (&delivery["event"], &delivery["response"]),
        (&event["id"], &json!({"status": 204, "body": ""}))
    );
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(deliveries(&mut ada, &made, "?status=failed").len(), 0);
    // A declined payment is its payer's alone.
    ada.pay(&json!({"to": bob.email, "amount": "5000", "currency": "USD"}))
        .problem(402, "insufficient_funds");
    assert_eq!(adas.wait_for(2)[1].kind(), "payment.declined");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(bobs.received().len(), 1);
    server.verify();
}

#[test]
fn what_fails_is_sent_again_with_the_same_id() {
    let receiver = Receiver::reacting(|_, before| match before {
        0 => Reaction::Status(500, ""),
        1 => Reaction::Close,
        2 => Reaction::Status(302, "location: http://127.0.0.1:1/\r\n"),
        _ => Reaction::Status(200, ""),
    });
    let server = server_for(&[&receiver], "0,1,1,1,1");
    let mut ada = server.user("ada");
    let made = make(&mut ada, &receiver, &["payment.*"]);
    ada.pay(&json!({"amount": "5", "currency": "USD"})).expect(201);
    let got = receiver.wait_for(4);
    assert!(got.iter().all(|one| one.id() == got[0].id() && one.body == got[0].body), "{got:#?}");
    until("delivered", || deliveries(&mut ada, &made, "")[0]["status"] == "delivered");
    let delivery = &deliveries(&mut ada, &made, "")[0];
    let told: Vec<(Value, Value)> = delivery["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| (attempt["status"].clone(), attempt["failure"].clone()))
        .collect();
    let expected = [
        (json!(500), json!(null)),
        (json!(null), json!("not_http")),
        (json!(302), json!(null)),
        (json!(200), json!(null)),
    ];
    assert_eq!(told, expected);
    assert_eq!(delivery["response"], json!({"status": 200, "body": "ok"}));
}

#[test]
fn a_receiver_that_is_gone_is_switched_off_and_its_owner_told() {
    let (gone, other) = (Receiver::reacting(|_, _| Reaction::Status(410, "")), Receiver::start());
    let server = server_for(&[&gone, &other], "0,1,1");
    let mut ada = server.user("ada");
    let made = make(&mut ada, &gone, &["payment.*"]);
    make(&mut ada, &other, &["webhook.disabled"]);
    ada.pay(&json!({"amount": "5", "currency": "USD"})).expect(201);
    let told = other.wait_for(1)[0].json();
    assert_eq!((&told["data"]["id"], &told["data"]["disabled_reason"]), (&made["id"], &json!("gone")));
    assert_eq!(webhook(&mut ada, &made)["status"], "disabled");
    // Nothing more is sent; and nothing can be sent again until it is switched on.
    ada.pay(&json!({"amount": "6", "currency": "USD"})).expect(201);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(gone.received().len(), 1);
    let failed = id(&deliveries(&mut ada, &made, "?status=failed")[0]);
    let again = format!("/webhooks/{}/deliveries/{failed}/redeliver", id(&made));
    ada.client.post_empty(&again).problem(409, "webhook_disabled");
    let on = Request::new("PATCH", &format!("/webhooks/{}", id(&made))).json(&json!({"enabled": true}));
    assert_eq!(ada.client.call(&on).expect(200).json()["disabled_reason"], json!(null));
    ada.client.post_empty(&again).expect(202);
    gone.wait_for(2);
}

#[test]
fn a_receiver_that_fails_to_the_end_is_switched_off_and_its_owner_told() {
    let (failing, other) = (Receiver::reacting(|_, _| Reaction::Status(503, "")), Receiver::start());
    let server = server_for(&[&failing, &other], "0,1");
    let mut ada = server.user("ada");
    let made = make(&mut ada, &failing, &["payment.*"]);
    make(&mut ada, &other, &["webhook.disabled"]);
    ada.pay(&json!({"amount": "5", "currency": "USD"})).expect(201);
    assert_eq!(other.wait_for(1)[0].json()["data"]["disabled_reason"], "failing");
    assert_eq!(failing.received().len(), 2);
    let delivery = &deliveries(&mut ada, &made, "")[0];
    assert_eq!((&delivery["status"], &delivery["next_attempt_at"]), (&json!("failed"), &json!(null)));
    assert_eq!(webhook(&mut ada, &made)["disabled_reason"], "failing");
}

#[test]
fn a_receiver_gets_the_time_that_it_asks_for() {
    let receiver = Receiver::reacting(|_, before| match before {
        0 => Reaction::Status(429, "retry-after: 3\r\n"),
        _ => Reaction::Status(200, ""),
    });
    let server = server_for(&[&receiver], "0,1,1");
    let mut ada = server.user("ada");
    make(&mut ada, &receiver, &["payment.*"]);
    ada.pay(&json!({"amount": "5", "currency": "USD"})).expect(201);
    let got = receiver.wait_for(2);
    assert!(got[1].at.duration_since(got[0].at) >= Duration::from_millis(2_900), "{got:#?}");
}

/// Events about one thing: the second waits until the first was taken.
#[test]
fn events_about_one_thing_arrive_in_order() {
    let receiver = Receiver::reacting(|_, before| Reaction::Status(if before < 2 { 500 } else { 200 }, ""));
    let server = server_for(&[&receiver], "0,1,1,1");
    let mut ada = server.user("ada");
    make(&mut ada, &receiver, &["user.updated"]);
    for name in ["One", "Two", "Three", "Four"] {
        ada.client.call(&Request::new("PATCH", "/me").json(&json!({"name": name}))).expect(200);
    }
    let got = receiver.wait_for(6);
    let names: Vec<String> =
        got.iter().map(|one| one.json()["data"]["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["One", "One", "One", "Two", "Three", "Four"]);
}

#[test]
fn the_steps_of_a_payment_arrive_in_order() {
    let receiver = Receiver::reacting(|_, before| Reaction::Status(if before < 2 { 500 } else { 200 }, ""));
    let server = server_for(&[&receiver], "0,1,1,1");
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    make(&mut bob, &receiver, &["payment.*", "refund.*"]);
    let body = json!({"to": bob.email, "amount": "5", "currency": "USD", "capture": "manual"});
    let payment = ada.pay(&body).expect(201).str("id");
    bob.client.post(&format!("/payment/{payment}/capture"), &json!({})).expect(200);
    bob.client.post(&format!("/payment/{payment}/refund"), &json!({})).expect(201);
    let got = receiver.wait_for(5);
    let kinds: Vec<String> = got.iter().map(Received::kind).collect();
    let [authorized, captured, refunded] = ["payment.authorized", "payment.captured", "refund.succeeded"];
    assert_eq!(kinds, [authorized, authorized, authorized, captured, refunded]);
}

/// What a receiver that always fails is given unless the operator sets it otherwise.
#[test]
fn a_delivery_is_tried_for_three_days_by_default_each_time_up_to_a_tenth_later() {
    const WAITS_SECONDS: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
    let failing = [(); 2].map(|()| Receiver::reacting(|_, _| Reaction::Status(500, "")));
    let server = Server::builder()
        .env("FARTHING_TOKENS_REFRESH_TTL_SECONDS", "31536000")
        .sends_to(&failing.each_ref())
        .start();
    let (mut ada, mut admin) = (server.user("ada"), server.operator("admin"));
    let made = failing.each_ref().map(|receiver| make(&mut ada, receiver, &["payment.*"]));
    ada.pay(&json!({"amount": "5", "currency": "USD"})).expect(201);
    let mut waits: [Vec<i64>; 2] = [Vec::new(), Vec::new()];
    for (tried, seconds) in (1..).zip(WAITS_SECONDS) {
        for (waits, made) in waits.iter_mut().zip(&made) {
            let delivery = found("the next try", || {
                let delivery = deliveries(&mut ada, made, "").into_iter().next()?;
                (delivery["attempts"].as_array().unwrap().len() == tried).then_some(delivery)
            });
            let wait_ms =
                millis(&delivery["next_attempt_at"]) - millis(&delivery["attempts"][tried - 1]["at"]);
            assert!((seconds * 1_000..=seconds * 1_100).contains(&wait_ms), "{wait_ms} after {delivery}");
            waits.push(wait_ms);
        }
        advance(&mut admin, seconds + seconds / 10 + 1, &mut [&mut ada]);
    }
    for made in &made {
        until("it has failed", || deliveries(&mut ada, made, "")[0]["status"] == "failed");
    }
    assert!(waits[0].iter().sum::<i64>() >= 3 * 86_400_000, "{waits:?}");
    assert_ne!(waits[0], waits[1], "two that fail together do not come back together");
}

fn millis(time: &Value) -> i64 {
    let output =
        std::process::Command::new("date").args(["-u", "-d", time.as_str().unwrap(), "+%s%3N"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn a_delivery_is_sent_again_by_itself_or_with_everything_since_a_time() {
    let receiver = Receiver::start();
    let server = server_for(&[&receiver], "0,1");
    let (mut ada, mut eve) = (server.user("ada"), server.user("eve"));
    let made = make(&mut ada, &receiver, &["payment.*"]);
    for amount in ["1", "2", "3"] {
        ada.pay(&json!({"amount": amount, "currency": "USD"})).expect(201);
    }
    let first = receiver.wait_for(3);
    until("three delivered", || deliveries(&mut ada, &made, "?status=delivered").len() == 3);
    let delivery = &deliveries(&mut ada, &made, "")[0];
    let other = make(&mut ada, &receiver, &["webhook.disabled"]);
    let of = |webhook: &Value| format!("/webhooks/{}/deliveries/{}", id(webhook), id(delivery));
    let path = format!("{}/redeliver", of(&made));
    eve.client.post_empty(&path).problem(404, "not_found");
    eve.client.get(&of(&made)).problem(404, "not_found");
    // Another webhook of the same owner has it no more than somebody else has.
    ada.client.post_empty(&format!("{}/redeliver", of(&other))).problem(404, "not_found");
    ada.client.get(&of(&other)).problem(404, "not_found");
    assert_eq!(ada.client.get(&of(&made)).expect(200).json()["id"], delivery["id"]);
    let again = ada.client.post_empty(&path).expect(202).json();
    assert_eq!((&again["event"], &again["status"]), (&delivery["event"], &json!("pending")));
    assert_eq!(receiver.wait_for(4)[3].id(), delivery["event"]);

    let since = first.iter().find(|got| got.json()["data"]["amount"] == "2.00").unwrap().json();
    let body = json!({"since": since["timestamp"]});
    ada.client.post(&format!("/webhooks/{}/replay", id(&made)), &body).expect(202);
    let got = receiver.wait_for(6);
    // Events about two payments: which of them comes first is nobody's business.
    let mut amounts: Vec<String> =
        got[4..].iter().map(|one| one.json()["data"]["amount"].as_str().unwrap().to_owned()).collect();
    amounts.sort();
    assert_eq!(amounts, ["2.00", "3.00"]);
    assert!(first.iter().any(|one| one.id() == got[4].id()), "the ids are the same");
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(receiver.received().len(), 6, "and it ends");
}

#[test]
fn a_test_goes_to_its_webhook_alone_and_a_rotation_signs_twice() {
    let (one, other) = (Receiver::start(), Receiver::start());
    let server = server_for(&[&one, &other], "0,1");
    let mut ada = server.user("ada");
    let made = make(&mut ada, &one, &["topup.*"]);
    make(&mut ada, &other, &["webhook.test"]);
    let path = format!("/webhooks/{}", id(&made));
    let told = ada.client.post_empty(&format!("{path}/test")).expect(202).json();
    let got = one.wait_for(1);
    assert_eq!((got[0].kind().as_str(), &json!(got[0].id())), ("webhook.test", &told["event"]));

    let rotated = ada.client.post_empty(&format!("{path}/secret")).expect(200).json();
    assert_ne!(rotated["secret"], made["secret"]);
    ada.client.post_empty(&format!("{path}/test")).expect(202);
    let got = &one.wait_for(2)[1];
    let signatures: Vec<&str> = got.headers["webhook-signature"].split(' ').collect();
    let by = |value: &Value| signature_by(value["secret"].as_str().unwrap(), got);
    assert_eq!(signatures, [by(&rotated), by(&made)]);

    // And at once, if the old one must not count any more.
    let last = ada.client.post(&format!("{path}/secret"), &json!({"keep_old_seconds": 0})).expect(200).json();
    ada.client.post_empty(&format!("{path}/test")).expect(202);
    let got = &one.wait_for(3)[2];
    assert_eq!(got.headers["webhook-signature"], signature_by(last["secret"].as_str().unwrap(), got));
    assert_eq!(other.received().len(), 0);
}

#[test]
fn a_webhook_may_be_signed_with_a_key_of_which_the_receiver_knows_the_public_half() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ring::signature::{ED25519, UnparsedPublicKey};
    let receiver = Receiver::start();
    let server = server_for(&[&receiver], "0,1");
    let mut ada = server.user("ada");
    let body = json!({"url": receiver.url(), "signature": "v1a"});
    let made = ada.client.post("/webhooks", &body).expect(201).json();
    ada.client.post_empty(&format!("/webhooks/{}/test", id(&made))).expect(202);
    let got = receiver.wait_until("a test", |got| got.iter().any(|one| one.kind() == "webhook.test"));
    let key = made["public_key"].as_str().unwrap().strip_prefix("whpk_").unwrap();
    for one in &got {
        let signature = one.headers["webhook-signature"].strip_prefix("v1a,").unwrap();
        let content = format!("{}.{}.{}", one.id(), one.headers["webhook-timestamp"], one.body);
        UnparsedPublicKey::new(&ED25519, STANDARD.decode(key).unwrap())
            .verify(content.as_bytes(), &STANDARD.decode(signature).unwrap())
            .unwrap();
    }
}

#[test]
fn a_receiver_that_hangs_holds_up_nobody_else() {
    let (hanging, healthy) = (Receiver::reacting(|_, _| Reaction::Hang), Receiver::start());
    let server = server_for(&[&hanging, &healthy], "0,60");
    let mut ada = server.user("ada");
    for _ in 0..8 {
        make(&mut ada, &hanging, &["payment.*"]);
    }
    make(&mut ada, &healthy, &["payment.*"]);
    for number in 1..=10 {
        let paid = Instant::now();
        ada.pay(&json!({"amount": number, "currency": "USD"})).expect(201);
        let got = healthy.wait_for(number);
        let took = got[number - 1].at.duration_since(paid);
        assert!(took < Duration::from_secs(2), "payment {number} was told after {took:?}");
    }
}

/// Deliveries give way to payments, and go on all the same.
#[test]
fn payments_that_never_stop_hold_up_no_delivery() {
    let receiver = Receiver::start();
    let server = server_for(&[&receiver], "0,60");
    let mut ada = server.user("ada");
    make(&mut ada, &receiver, &["payment.*"]);
    let mut others: Vec<User> = (0..16).map(|number| server.user(&format!("other{number}"))).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for other in &mut others {
            scope.spawn(|| {
                for number in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let body = json!({"amount": "0.01", "currency": "USD"});
                    other.pay_with_key(&format!("payment {number}"), &body);
                }
            });
        }
        let paid = Instant::now();
        for number in 1..=20 {
            ada.pay(&json!({"amount": number, "currency": "USD"})).expect(201);
        }
        receiver.wait_for(20);
        let took = paid.elapsed();
        is_over.store(true, Ordering::Relaxed);
        assert!(took < Duration::from_secs(5), "20 payments were told after {took:?}");
    });
}

/// What was sent is known before the server stops, so that it is not sent again by the next one.
#[test]
fn a_server_that_stops_records_what_it_sent() {
    let receiver = Receiver::start();
    let mut server = builder_for(&[&receiver], "0,1").start();
    let mut ada = server.user("ada");
    let made = make(&mut ada, &receiver, &["payment.*"]);
    for number in 1..=3 {
        ada.pay(&json!({"amount": number, "currency": "USD"})).expect(201);
        receiver.wait_for(number);
        // The answer is on its way; it would be recorded within a tenth of a second.
        std::thread::sleep(Duration::from_millis(20));
        assert!(server.terminate().success());
        server.start_again();
        ada.client = server.client().with_token(&ada.token);
        let states: Vec<Value> =
            deliveries(&mut ada, &made, "").into_iter().map(|one| one["status"].clone()).collect();
        assert_eq!(states, vec![json!("delivered"); number]);
    }
}

/// Killed after the receiver had it and before that was recorded: it is sent again, with the same id.
#[test]
fn a_server_that_is_killed_while_it_sends_sends_again() {
    let receiver = Receiver::reacting(|_, before| match before {
        0 => Reaction::Hang,
        _ => Reaction::Status(200, ""),
    });
    let mut server = builder_for(&[&receiver], "0,1").start();
    let mut ada = server.user("ada");
    let made = make(&mut ada, &receiver, &["payment.*"]);
    ada.pay(&json!({"amount": "5", "currency": "USD"})).expect(201);
    receiver.wait_for(1);
    server.kill();
    server.start_again();
    // The dead server's claim runs out after half a minute.
    let got = receiver.wait_for(2);
    assert_eq!((got[0].id(), &got[0].body), (got[1].id(), &got[1].body));
    ada.client = server.client().with_token(&ada.token);
    until("delivered", || deliveries(&mut ada, &made, "")[0]["status"] == "delivered");
    assert_eq!(deliveries(&mut ada, &made, "").len(), 1, "one delivery, tried twice");
    server.verify();
}
