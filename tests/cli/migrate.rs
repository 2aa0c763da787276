//! `migrate` between folders: what was paid before is there afterwards, and who was logged in still is.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::support::{Request, Server};
use super::{ended, farthing, stderr, stdout};

#[test]
fn a_moved_ledger_is_served_as_before() {
    let mut old = Server::embedded().start();
    let (mut ann, ben) = (old.user("ann"), old.user("ben"));
    let pay = json!({"amount": "12.50", "currency": "USD", "to": ben.email});
    let paid = ann.pay_with_key("k1", &pay).expect(201).str("id");
    let folder = tempfile::tempdir().unwrap();
    let from = old.data().to_str().unwrap().to_owned();
    let args = ["migrate", "--from", from.as_str(), "--to", "new"];
    ended(&farthing(folder.path(), &[], &args), 3, "is in use by process");
    old.terminate();

    let moved = farthing(folder.path(), &[], &args);
    ended(&moved, 0, "");
    assert!(stdout(&moved).contains("equal to the source"), "{}", stdout(&moved));
    let new = folder.path().join("new");
    let key = new.join("farthing.key");
    assert_eq!(std::fs::read(&key).unwrap(), std::fs::read(old.data().join("farthing.key")).unwrap());
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let server = Server::builder().data(&new).start();
    let call = Request::post("/payment", &pay).bearer(&ann.token).key("k1");
    let again = server.client().call(&call).expect(201).str("id");
    assert_eq!(again, paid, "the key still names the first payment");
    let call = Request::post("/payment", &json!({"amount": "1", "currency": "USD"})).bearer(&ben.token);
    server.client().call(&call).expect(201);
    server.verify();
    drop(server);
    ended(&farthing(folder.path(), &[], &args), 3, "there is a ledger already");
}

#[test]
fn places_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let migrate =
        |from: &str, to: &str| farthing(folder.path(), &[], &["migrate", "--from", from, "--to", to]);
    ended(&migrate("nowhere", "new"), 3, "there is no ledger in nowhere");
    assert!(!folder.path().join("nowhere").exists() && !folder.path().join("new").exists());
    ended(&migrate("mysql://ann:hunter2@db/ledger", "new"), 2, "--from");
    ended(&migrate("old", "mysql://ann:hunter2@db/ledger"), 2, "--to");
    assert!(!stderr(&migrate("mysql://ann:hunter2@db/ledger", "new")).contains("hunter2"));

    let create = ["admin", "create", "--email", "ann@example.com", "--data", "old"];
    ended(&farthing(folder.path(), &[], &create), 0, "");
    ended(&migrate("old", "old"), 2, "the same folder");
    std::fs::create_dir(folder.path().join("taken")).unwrap();
    let taken = folder.path().join("taken/farthing.key");
    std::fs::write(&taken, "a".repeat(64)).unwrap();
    std::fs::set_permissions(&taken, std::fs::Permissions::from_mode(0o600)).unwrap();
    ended(&migrate("old", "taken"), 3, "is there already; move it away");
    std::fs::remove_file(folder.path().join("old/farthing.key")).unwrap();
    ended(&migrate("old", "new"), 3, "the key file old/farthing.key is missing");
}
