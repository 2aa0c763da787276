//! Checkpoints, receipts and keys from outside: what was signed cannot be taken back, and what was not is not believed.

use std::fs;
use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::support::{self, Request, Server, count};
use super::{ended, farthing, field, stderr, stdout};

const PASSPHRASE: (&str, &str) = ("FARTHING_BACKUP_PASSPHRASE", "nine tidy badgers");

fn public_key(server: &Server) -> String {
    let exported = server.run(&["keys", "export"]);
    ended(&exported, 0, "");
    stdout(&exported).lines().last().unwrap().split_once(' ').unwrap().1.to_owned()
}

fn lines(server: &Server) -> Vec<String> {
    let text = fs::read_to_string(server.data().join("checkpoints")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Runs statements against the ledger of a server that stopped, with nothing in their way.
fn damage(data: &Path, sql: &str) {
    let connection = Connection::open(data.join("farthing.db")).unwrap();
    support::damage::damage(&connection, sql);
}

#[test]
fn a_receipt_proves_what_became_of_a_payment() {
    let server = Server::start();
    let (mut ann, mut ben) = (server.user("ann"), server.user("ben"));
    let body = json!({"amount": "12.50", "currency": "USD", "to": ben.id, "capture": "manual"});
    let id = ann.pay(&body).expect(201).str("id");
    ben.client.post(&format!("/payment/{id}/capture"), &json!({"amount": "10.00"})).expect(200);
    ben.client.post(&format!("/payment/{id}/refund"), &json!({"amount": "4.00"})).expect(201);
    let receipt = ann.client.get(&format!("/payment/{id}/receipt")).expect(200);
    let rows = receipt.json()["rows"].as_array().unwrap().clone();
    let told =
        |row: &Value| ["type", "amount"].map(|member| row["statement"][member].as_str().unwrap().to_owned());
    let expected = [["payment", "12.50"], ["capture", "10.00"], ["refund", "4.00"]];
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), expected.map(|row| row.map(str::to_owned)));

    let folder = tempfile::tempdir().unwrap();
    let key = public_key(&server);
    let verify = |receipt: &Value| {
        fs::write(folder.path().join("receipt.json"), receipt.to_string()).unwrap();
        farthing(folder.path(), &[], &["receipt", "verify", "receipt.json", "--key", &key])
    };
    let verified = verify(&receipt.json());
    ended(&verified, 0, "");
    assert!(stdout(&verified).contains("refund      4.00 USD from ben"), "{}", stdout(&verified));
    let mut bent = receipt.json();
    bent["rows"][2]["statement"]["amount"] = json!("40.00");
    ended(&verify(&bent), 1, "it was altered");
}

#[test]
fn a_receipt_is_checked_with_the_public_key_alone() {
    let server = Server::start();
    let (mut ann, mut ben) = (server.user("ann"), server.user("ben"));
    let body = json!({"amount": "12.50", "currency": "USD", "to": "ben@example.org", "description": "Lunch \"é\"",
                      "metadata": {"table": "7"}});
    let paid = ann.pay(&body).expect(201).json();
    // The tree is of more than one tile, and the payment not in its last.
    for number in 0..300 {
        let body = json!({"amount": "0.01", "currency": "USD", "reference": format!("{number}")});
        ann.pay(&body).expect(201);
    }
    let path = format!("/payment/{}/receipt", paid["id"].as_str().unwrap());
    let response = ann.client.get(&path).expect(200);
    let receipt = response.json();
    assert_eq!(receipt["payment"], paid["id"]);
    let statement = &receipt["rows"][0]["statement"];
    assert_eq!(statement["amount"], "12.50");
    assert_eq!(statement["description"], "Lunch \"é\"");
    assert_eq!(statement["from"]["id"], paid["from"]["id"]);
    assert_eq!(statement["to"]["name"], paid["to"]["name"]);
    assert!(receipt["rows"][0]["path"].as_array().unwrap().len() >= 8);
    let other_side = ben.client.get(&path).expect(200).json();
    assert_eq!(other_side["rows"][0]["statement"], *statement, "both sides have the same");
    assert!(!response.to_string().contains("987.50"), "no balance is told");

    let folder = tempfile::tempdir().unwrap();
    let (file, keys) = (folder.path().join("receipt.json"), folder.path().join("farthing.pub"));
    let text = response.body.clone();
    fs::write(&file, &text).unwrap();
    fs::write(&keys, stdout(&server.run(&["keys", "export"]))).unwrap();
    let key = public_key(&server);
    for key in [key.as_str(), keys.to_str().unwrap()] {
        let verified = farthing(folder.path(), &[], &["receipt", "verify", "receipt.json", "--key", key]);
        ended(&verified, 0, "");
        assert!(stdout(&verified).contains("12.50 USD from"), "{}", stdout(&verified));
    }

    let verify = |text: &[u8], key: &str| {
        fs::write(&file, text).unwrap();
        farthing(folder.path(), &[], &["receipt", "verify", "receipt.json", "--key", key])
    };
    let stranger = Server::start();
    ended(&verify(&text, &public_key(&stranger)), 1, "signed with another key");
    ended(&verify(b"{}", &key), 1, "no receipt that this version can read");
    ended(&verify(&text, "ed25519:AAAA"), 2, "takes a public key");
    let forged = String::from_utf8(text.clone()).unwrap().replacen("12.50", "99.50", 1);
    ended(&verify(forged.as_bytes(), &key), 1, "is not what was signed");
    ended(
        &farthing(folder.path(), &[], &["receipt", "verify", "none.json", "--key", &key]),
        2,
        "cannot read",
    );
    ended(&farthing(folder.path(), &[], &["receipt", "verify", "receipt.json"]), 2, "--key");

    // Every single byte, in every test run, within this process.
    let believed = farthing::auth::sign::PublicKey::parse(&key).unwrap();
    let check = |text: &[u8]| {
        farthing::proof::Receipt::parse(text).and_then(|receipt| receipt.check(&[believed]).map(|()| receipt))
    };
    check(&text).unwrap();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut altered = text.clone();
            altered[at] ^= 1 << bit;
            assert!(check(&altered).is_err(), "byte {at}, bit {bit}: {}", String::from_utf8_lossy(&altered));
        }
    }
}

#[test]
fn a_declined_payment_has_a_receipt_for_its_payer_alone() {
    let server = Server::start();
    let (mut ann, mut ben) = (server.user("ann"), server.user("ben"));
    let body = json!({"amount": "99999.00", "currency": "USD", "to": "ben@example.org"});
    let declined = ann.pay(&body).expect(402).json();
    let path = format!("/payment/{}/receipt", declined["payment"].as_str().unwrap());
    let receipt = ann.client.get(&path).expect(200).json();
    assert_eq!(receipt["rows"][0]["statement"]["status"], "declined");
    assert_eq!(receipt["rows"][0]["statement"]["decline"], "insufficient_funds");
    ben.client.get(&path).expect(404);
}

#[test]
fn a_receipt_among_many_payments_takes_milliseconds() {
    let server = Server::start();
    let mut ann = server.user("ann");
    let first =
        ann.pay(&json!({"amount": "0.01", "currency": "USD", "reference": "first"})).expect(201).json();
    for number in 0..count(600, 20_000) {
        let body = json!({"amount": "0.01", "currency": "USD", "reference": format!("{number}")});
        ann.pay(&body).expect(201);
    }
    let path = format!("/payment/{}/receipt", first["id"].as_str().unwrap());
    ann.client.get(&path).expect(200);
    let began = Instant::now();
    for _ in 0..20 {
        ann.client.get(&path).expect(200);
    }
    let each = began.elapsed() / 20;
    assert!(each.as_millis() < 250, "{each:?}");
}

#[test]
fn a_server_signs_at_its_stop_and_goes_on_from_there() {
    let mut server = Server::builder().start();
    let mut ann = server.user("ann");
    for number in 0..400 {
        ann.pay(&json!({"amount": "0.01", "currency": "USD", "reference": format!("{number}")})).expect(201);
    }
    server.terminate();
    let signed = lines(&server);
    let last: Value = serde_json::from_str(signed.last().unwrap()).unwrap();
    assert_eq!(last["transactions"], 401);
    let verified = server.run(&["verify"]);
    ended(&verified, 0, "");
    assert!(stdout(&verified).contains("signed checkpoint"), "{}", stdout(&verified));

    // Nothing new: nothing to sign.
    server.start_again();
    server.terminate();
    assert_eq!(lines(&server), signed);

    // The tree's file is a cache: wrong or gone, it is made anew.
    for content in [vec![7_u8; 64], Vec::new()] {
        let content_length = content.len();
        fs::write(server.data().join("tree"), content).unwrap();
        server.start_again();
        let mut ann = ann.log_in_again(server.client());
        let reference = format!("after a tree of {content_length} bytes");
        ann.pay(&json!({"amount": "0.02", "currency": "USD", "reference": reference})).expect(201);
        server.terminate();
        ended(&server.run(&["verify"]), 0, "");
    }
    assert_eq!(lines(&server).len(), signed.len() + 2);
}

#[test]
fn a_cut_tail_is_found_and_not_served_on() {
    let mut server = Server::embedded().start();
    let mut ann = server.user("ann");
    for number in 0..5 {
        ann.pay(&json!({"amount": "1.00", "currency": "USD", "reference": format!("{number}")})).expect(201);
    }
    server.terminate();
    ended(&server.run(&["verify"]), 0, "");
    // Taken away so that nothing in the database tells: rows, entries, events, blocks and what is folded.
    damage(
        server.data(),
        "DELETE FROM entries WHERE no >= 8 * (SELECT max(no) FROM transactions);
         DELETE FROM movements WHERE txn = (SELECT max(no) FROM transactions);
         DELETE FROM transactions WHERE no = (SELECT max(no) FROM transactions);
         DELETE FROM blocks WHERE last_transaction > (SELECT max(no) FROM transactions);
         DELETE FROM security_events WHERE no > (SELECT last_event FROM blocks ORDER BY no DESC LIMIT 1);",
    );
    let found = server.run(&["verify"]);
    assert_eq!(found.status.code(), Some(1), "{}", stdout(&found));
    assert!(stdout(&found).contains("the journal's tail was cut"), "{}", stdout(&found));
    let refused = server.run(&["serve", "--listen", "127.0.0.1:0"]);
    ended(&refused, 3, "the journal's tail was cut");
    ended(&refused, 3, "Restore a backup");

    // A later life cannot be claimed without the key.
    damage(server.data(), "INSERT INTO properties (name, value) VALUES ('epoch', 2)");
    let found = server.run(&["verify"]);
    assert!(stdout(&found).contains("the journal's tail was cut"), "{}", stdout(&found));
    ended(&server.run(&["serve", "--listen", "127.0.0.1:0"]), 3, "the journal's tail was cut");

    // Whoever knows better says so by moving the file away.
    fs::rename(server.data().join("checkpoints"), server.data().join("checkpoints.old")).unwrap();
    let old = server.data().join("checkpoints.old");
    let found = server.run(&["verify", "--checkpoints", old.to_str().unwrap()]);
    assert!(stdout(&found).contains("the journal's tail was cut"), "{}", stdout(&found));
}

#[test]
fn a_journal_that_was_computed_anew_to_its_end_is_found() {
    let mut server = Server::embedded().start();
    let mut ann = server.user("ann");
    ann.pay(&json!({"amount": "1.00", "currency": "USD"})).expect(201);
    server.terminate();
    let mut other = Server::embedded().start();
    other.user("ann");
    other.terminate();
    // Another ledger with a chain of its own, in this one's place and under its name and key.
    let property = |server: &Server, name: &str| -> String {
        let sql = format!("SELECT value FROM properties WHERE name = '{name}'");
        let connection = Connection::open(server.data().join("farthing.db")).unwrap();
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    for name in ["ledger_id", "key_fingerprint"] {
        let value = property(&server, name);
        damage(other.data(), &format!("UPDATE properties SET value = '{value}' WHERE name = '{name}'"));
    }
    for name in ["farthing.key", "checkpoints"] {
        fs::copy(server.data().join(name), other.data().join(name)).unwrap();
    }
    let found = other.run(&["verify"]);
    assert_eq!(found.status.code(), Some(1));
    let told = stdout(&found);
    assert!(told.contains("was written anew") || told.contains("tail was cut"), "{told}");
    assert_eq!(other.run(&["serve", "--listen", "127.0.0.1:0"]).status.code(), Some(3));
}

#[test]
fn no_byte_of_a_checkpoint_can_be_changed_unseen() {
    let mut server = Server::builder().start();
    server.user("ann");
    server.terminate();
    let key = farthing::auth::sign::PublicKey::parse(&public_key(&server)).unwrap();
    let line = lines(&server).pop().unwrap();
    let check = |text: &str| farthing::proof::Checkpoint::parse(text).and_then(|line| line.check(&[key]));
    check(&line).unwrap();
    for at in 0..line.len() {
        for bit in 0..7 {
            let mut altered = line.clone().into_bytes();
            altered[at] ^= 1 << bit;
            let altered = String::from_utf8(altered).unwrap();
            assert!(check(&altered).is_err(), "{altered}");
        }
    }
    let path = server.data().join("checkpoints");
    fs::write(&path, line.replacen("\"transactions\":1", "\"transactions\":2", 1) + "\n").unwrap();
    let found = server.run(&["verify"]);
    assert!(stdout(&found).contains("checkpoints line 1: its signature is wrong"), "{}", stdout(&found));
    ended(&server.run(&["serve", "--listen", "127.0.0.1:0"]), 3, "its signature is wrong");
    // What a crash left of a line is no line.
    fs::write(&path, format!("{line}\n{}", &line[..40])).unwrap();
    ended(&server.run(&["verify"]), 0, "");
    server.start_again();
    server.user("ben");
    server.terminate();
    ended(&server.run(&["verify"]), 0, "");
    assert_eq!(lines(&server).len(), 2);
}

#[test]
fn a_restored_ledger_is_not_taken_for_a_cut_one() {
    let mut server = Server::embedded().env(PASSPHRASE.0, PASSPHRASE.1).start();
    let folder = tempfile::tempdir().unwrap();
    let (backup, signed) = (folder.path().join("a.backup"), folder.path().join("signed"));
    let mut ann = server.user("ann");
    ann.pay(&json!({"amount": "1.00", "currency": "USD"})).expect(201);
    ended(&server.run(&["backup", backup.to_str().unwrap()]), 0, "");
    ann.pay(&json!({"amount": "2.00", "currency": "USD"})).expect(201);
    server.terminate();
    fs::copy(server.data().join("checkpoints"), &signed).unwrap();

    // The checkpoints are where they outlive the data folder.
    let restored = folder.path().join("restored");
    let variables = [PASSPHRASE, ("FARTHING_CHECKPOINTS_FILE", signed.to_str().unwrap())];
    let data = ["--data", restored.to_str().unwrap()];
    let run = |args: &[&str]| farthing(folder.path(), &variables, &[args, &data].concat());
    let output = run(&["restore", backup.to_str().unwrap()]);
    ended(&output, 0, "");
    assert!(field(&output, "epoch").starts_with("2, begun in block"));
    let verified = run(&["verify"]);
    ended(&verified, 0, "");
    assert!(stdout(&verified).contains("2 signed checkpoints looked at"), "{}", stdout(&verified));
    let again =
        Server::embedded().env("FARTHING_CHECKPOINTS_FILE", signed.to_str().unwrap()).data(&restored).start();
    ann.log_in_again(again.client()).pay(&json!({"amount": "3.00", "currency": "USD"})).expect(201);
    ended(&again.run(&["verify"]), 0, "");

    // The life that was given up goes on no more under what the newer one signed.
    let old = server.run(&["verify", "--checkpoints", signed.to_str().unwrap()]);
    assert!(stdout(&old).contains("it was set back to an earlier life"), "{}", stdout(&old));
}

#[test]
fn keys_are_rotated_and_the_ledger_follows() {
    let mut server = Server::builder().start();
    let mut ann = server.user("ann");
    let paid = ann.pay(&json!({"amount": "1.00", "currency": "USD"})).expect(201).json();
    let path = format!("/payment/{}/receipt", paid["id"].as_str().unwrap());
    let old_receipt = ann.client.call(&Request::new("GET", &path)).expect(200).body;
    let old_key = public_key(&server);
    let old_file = fs::read(server.data().join("farthing.key")).unwrap();
    if server.database().is_none() {
        ended(&server.run(&["keys", "rotate"]), 3, "");
    }
    server.terminate();
    let rotated = server.run(&["keys", "rotate"]);
    ended(&rotated, 0, "");
    assert_eq!(field(&rotated, "generation"), "2");
    let exported = stdout(&server.run(&["keys", "export"]));
    assert_eq!(exported.lines().next(), Some(format!("1 {old_key}").as_str()));
    assert_eq!(exported.lines().count(), 2);
    assert_ne!(public_key(&server), old_key);
    let listed: Value = serde_json::from_str(&stdout(&server.run(&["keys", "export", "--json"]))).unwrap();
    assert_eq!(listed[1]["public_key"], public_key(&server));

    // What was signed before is believed still, and the new key signs from now on.
    ended(&server.run(&["verify"]), 0, "");
    server.start_again();
    let mut ann = ann.log_in_again(server.client());
    let new_receipt = ann.client.get(&path).expect(200).body;
    let folder = tempfile::tempdir().unwrap();
    for (name, receipt, key) in
        [("old", &old_receipt, old_key.clone()), ("new", &new_receipt, public_key(&server))]
    {
        fs::write(folder.path().join(name), receipt).unwrap();
        ended(&farthing(folder.path(), &[], &["receipt", "verify", name, "--key", &key]), 0, "");
    }
    ended(&farthing(folder.path(), &[], &["receipt", "verify", "new", "--key", &old_key]), 1, "another key");
    server.terminate();
    ended(&server.run(&["verify"]), 0, "");

    // The file of before opens the ledger no more.
    fs::write(server.data().join("farthing.key"), old_file).unwrap();
    let refused = server.run(&["serve", "--listen", "127.0.0.1:0"]);
    ended(&refused, 3, "is of another ledger");
    assert!(!stderr(&refused).contains("panicked"));
}
