//! A system that gives no thread for a while: what needs one fails, says so, and works again afterwards.

use std::time::Duration;

use serde_json::json;

use crate::browser::Browser;
use crate::strace::Tracer;
use crate::support::postgres::Postgres;
use crate::support::receiver::Receiver;
use crate::support::{Server, until};

/// Makes it so until the tracer is dropped.
fn no_threads(server: &Server) -> Option<Tracer> {
    Tracer::inject(server, "clone,clone3", "error=EAGAIN:when=1+")
}

#[test]
fn a_webhook_whose_name_was_not_looked_up_is_tried_again() {
    let receiver = Receiver::start();
    let server = Server::builder()
        .sends_to(&[&receiver])
        .env("FARTHING_WEBHOOKS_RETRY_SCHEDULE_SECONDS", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1")
        .start();
    let mut ada = server.user("ada");
    let body = json!({"url": format!("http://localhost:{}/hook", receiver.port()), "events": ["*"]});
    let webhook = ada.client.post("/webhooks", &body).expect(201).str("id");
    let Some(tracer) = no_threads(&server) else { return };
    ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
    until("an attempt has failed", || {
        let deliveries = ada.client.get(&format!("/webhooks/{webhook}/deliveries")).expect(200).json();
        deliveries["data"][0]["attempts"].as_array().is_some_and(|attempts| !attempts.is_empty())
    });
    assert_eq!(receiver.received().len(), 0);
    drop(tracer);
    receiver.wait_for(1);
}

#[test]
fn books_that_could_not_be_verified_are_verified_later() {
    let server = Server::start();
    let mut browser = Browser::new(&server);
    browser.plant("farthing", &server.operator("admin").token);
    let verify = |browser: &mut Browser| {
        browser.fill("/console/desk/audit", "/console/desk/audit/verify", &[]).expect(303);
    };
    let audit = |browser: &mut Browser| browser.get("/console/desk/audit").text();
    let Some(tracer) = no_threads(&server) else { return };
    verify(&mut browser);
    until("it has ended", || !audit(&mut browser).contains("Recomputing"));
    assert!(!audit(&mut browser).contains("The books balance"), "{}", audit(&mut browser));
    drop(tracer);
    verify(&mut browser);
    until("the books balance", || audit(&mut browser).contains("The books balance"));
}

#[test]
fn a_database_whose_name_was_not_looked_up_is_found_again() {
    let database = Postgres::shared().database();
    let by_name = |url: String| url.replace("127.0.0.1", "localhost");
    let server = Server::embedded()
        .env("FARTHING_DATABASE_URL", &by_name(database.url()))
        .env("FARTHING_DATABASE_MIGRATION_URL", &by_name(database.migration_url()))
        .start();
    let mut ada = server.user("ada");
    let mut tracer = None;
    for _ in 0..4 {
        // A thread that looked a name up waits for ten seconds for another one, and a connection that was opened meanwhile had one.
        std::thread::sleep(Duration::from_secs(12));
        let Some(begun) = no_threads(&server) else { return };
        database.terminate_backends();
        let is_unready = |_| {
            std::thread::sleep(Duration::from_millis(50));
            server.client().get("/readyz").status == 503
        };
        if (0..100).any(is_unready) {
            tracer = Some(begun);
            break;
        }
    }
    assert!(tracer.is_some(), "the node stayed ready");
    ada.pay(&json!({"amount": "1", "currency": "USD"})).problem(503, "unavailable");
    drop(tracer);
    server.wait_until_ready();
    ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
    server.verify();
}
