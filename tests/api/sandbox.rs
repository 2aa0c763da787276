//! `POST /sandbox/clock`, `POST /sandbox/reset`.

use serde_json::json;

use super::schedules::{advance, patient_server};
use crate::support::shape::assert_fails;
use crate::support::{Request, Server};

#[test]
fn the_clock_goes_forward_for_everybody_and_for_good() {
    let mut server = patient_server();
    let mut admin = server.operator("admin");
    let mut ada = server.user("ada");
    let before = ada.client.get("/statement?currency=USD").expect(200).str("created_at");
    let now = advance(&mut admin, 40 * 86_400, &mut [&mut ada]);
    assert!(now > before);
    let paid = ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
    assert!(paid.str("created_at") >= now, "{paid}");
    let asked = json!({"amount": "1", "currency": "USD", "expires_in": 3600});
    let request = ada.client.post("/requests", &asked).expect(201).str("id");
    advance(&mut admin, 3600, &mut [&mut ada]);
    assert_eq!(ada.client.get(&format!("/requests/{request}")).expect(200).str("status"), "expired");
    // What showed the time of the journal's newest row still does after a restart.
    server.terminate();
    server.start_again();
    let mut ada = ada.log_in_again(server.client());
    let later = ada.pay(&json!({"amount": "2", "currency": "USD"})).expect(201).str("created_at");
    assert!(later > now, "{later} after {now}");
    server.verify();
}

#[test]
fn tokens_expire_by_it() {
    let server = Server::start();
    let mut admin = server.operator("admin");
    let mut ada = server.user("ada");
    admin.client.post("/sandbox/clock", &json!({"advance": 16 * 60})).expect(200);
    ada.client.get("/me").problem(401, "token_expired");
    admin.client.get("/me").problem(401, "token_expired");
}

#[test]
fn only_an_admin_of_a_sandbox_moves_it() {
    let server = Server::start();
    let (mut ada, mut admin) = (server.user("ada"), server.operator("admin"));
    ada.client.post("/sandbox/clock", &json!({"advance": 1})).problem(403, "permission_denied");
    ada.client.post("/sandbox/reset", &json!({})).problem(403, "permission_denied");
    for body in
        [json!({}), json!({"advance": 0}), json!({"advance": -5}), json!({"advance": 315_360_001_i64})]
    {
        assert_fails(&admin.client.post("/sandbox/clock", &body), &["advance"]);
    }
}

#[test]
fn a_live_ledger_has_neither() {
    let server = Server::builder().arg("--mode").arg("live").start();
    let mut admin = server.operator("admin");
    super::factors::set_up(&mut admin);
    admin.client.post("/sandbox/clock", &json!({"advance": 1})).problem(403, "sandbox_only");
    admin.client.post("/sandbox/reset", &json!({})).problem(403, "sandbox_only");
}

#[test]
fn a_reset_begins_anew_and_keeps_the_old_ledger_aside() {
    let server = Server::embedded().start();
    let mut admin = server.operator("admin");
    let mut ada = server.user("ada");
    ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
    let old = server.run(&["export", "--format", "csv"]).stdout;
    admin.client.post("/sandbox/reset", &json!({})).expect(204);
    ada.client.get("/me").problem(401, "token_invalid");
    // The same server goes on with an empty ledger.
    let mut again = server.user("ada");
    assert_eq!(again.balance("USD"), 100_000);
    assert_eq!(again.list("/transactions").len(), 1);
    assert_eq!(again.list("/payments").len(), 0);
    server.verify();
    let aside = server.data().join("farthing-reset-1.db");
    assert!(aside.exists());
    // What was moved aside is a ledger, whole and as it was.
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(&aside, folder.path().join("farthing.db")).unwrap();
    let path = folder.path().to_str().unwrap();
    let exported = server.run(&["export", "--format", "csv", "--data", path]);
    assert_eq!(exported.stdout, old, "{}", String::from_utf8_lossy(&exported.stderr));
    assert!(server.run(&["verify", "--data", path]).status.success());
    // And once more.
    let mut admin = server.operator("admin");
    admin.client.call(&Request::post("/sandbox/reset", &json!({}))).expect(204);
    assert!(server.data().join("farthing-reset-2.db").exists());
}

#[test]
fn a_database_that_others_serve_is_not_reset() {
    if !crate::support::server::on_postgres() {
        return;
    }
    let server = Server::start();
    server.operator("admin").client.post("/sandbox/reset", &json!({})).problem(409, "reset_unsupported");
}
