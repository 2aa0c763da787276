//! `POST /sandbox/clock`, `POST /sandbox/reset`.

use std::fs;
use std::path::{Path, PathBuf};

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
    let server = Server::start();
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
    // What was moved aside is a ledger, whole and as it was.
    let folder = tempfile::tempdir().unwrap();
    let aside = Aside::of(&server, 1, folder.path());
    let exported = aside.0.run(&["export", "--format", "csv"]);
    assert_eq!(exported.stdout, old, "{}", String::from_utf8_lossy(&exported.stderr));
    aside.0.verify();
    // And once more.
    let mut admin = server.operator("admin");
    admin.client.call(&Request::post("/sandbox/reset", &json!({}))).expect(204);
    Aside::of(&server, 2, folder.path()).0.verify();
}

#[test]
fn whoever_was_down_in_a_reset_starts_with_the_new_ledger() {
    let mut server = Server::start();
    server.user("ada").pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
    // A stop signs what there is.
    server.terminate();
    let signed = fs::read_to_string(server.data().join("checkpoints")).unwrap();
    server.start_again();
    server.operator("admin").client.post("/sandbox/reset", &json!({})).expect(204);
    server.kill();
    // The checkpoints as a node has them that did not see it.
    for file in asides(&server) {
        fs::remove_file(file).unwrap();
    }
    fs::write(server.data().join("checkpoints"), &signed).unwrap();
    server.start_again();
    assert!(server.log().contains("moved aside"), "{}", server.log());
    let mut again = server.user("ada");
    assert_eq!(again.balance("USD"), 100_000);
    let asides = asides(&server);
    assert_eq!(asides.len(), 1, "{asides:?}");
    assert_eq!(fs::read_to_string(&asides[0]).unwrap(), signed);
    server.terminate();
    let new = fs::read_to_string(server.data().join("checkpoints")).unwrap();
    assert!(!new.contains(asides[0].extension().unwrap().to_str().unwrap()), "{new}");
    server.verify();
}

/// The files of checkpoints that were moved aside.
fn asides(server: &Server) -> Vec<PathBuf> {
    let files = fs::read_dir(server.data()).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|file| {
            file.file_stem().is_some_and(|stem| stem == "checkpoints") && file.extension().is_some()
        })
        .collect()
}

/// The ledger that the reset of that number moved aside, for commands.
struct Aside(Server);

impl Aside {
    fn of(server: &Server, number: u32, folder: &Path) -> Self {
        if let Some(database) = server.database() {
            let url = format!("{}&options=-csearch_path%3Dfarthing_reset_{number}", database.migration_url());
            return Self(Server::embedded().env("FARTHING_DATABASE_URL", &url).data(folder).stopped());
        }
        let file = server.data().join(format!("farthing-reset-{number}.db"));
        fs::copy(file, folder.join("farthing.db")).unwrap();
        Self(Server::embedded().data(folder).stopped())
    }
}
