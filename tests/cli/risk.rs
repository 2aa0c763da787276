//! `farthing risk replay`: what other rules would have done.

use std::fs;

use serde_json::{Value, json};

use super::support::{Server, User};
use super::{ended, stdout};

fn to(payee: &User, amount: &str) -> Value {
    json!({"amount": amount, "currency": "USD", "to": payee.id})
}

/// What a replay of these rules tells, line by line.
fn replayed(server: &Server, rules: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    fs::write(&file, rules).unwrap();
    let output = server.run(&["risk", "replay", "--rules", file.to_str().unwrap(), "--json"]);
    ended(&output, 0, "");
    stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn other_rules_are_tried_on_what_was_while_the_server_runs() {
    let server = Server::builder()
        .env("FARTHING_RISK_NEW_PAYEE", "review above 100")
        .env("FARTHING_RISK_FAN_OUT", "decline above 2")
        .start();
    let (mut ada, ben, cat, dan) =
        (server.user("ada"), server.user("ben"), server.user("cat"), server.user("dan"));
    ada.pay_with_key("small", &to(&ben, "100.00")).expect(201);
    let held = ada.pay_with_key("large", &to(&cat, "100.01")).expect(202);
    let declined = ada.pay_with_key("third", &to(&dan, "1.00")).expect(402);
    ada.pay_with_key("too much", &to(&ben, "10000.00")).expect(402);

    let same = replayed(&server, "[risk]\nnew_payee = \"review above 100\"\nfan_out = \"decline above 2\"\n");
    assert_eq!(same.len(), 1, "{same:?}");
    assert_eq!((&same[0]["payments"], &same[0]["changed"]), (&json!(3), &json!(0)));
    let rules = json!([
        {"rule": "fan_out", "action": "decline", "payments": 1, "sums": [{"amount": "1.00", "currency": "USD"}]},
        {"rule": "new_payee", "action": "review", "payments": 1, "sums": [{"amount": "100.01", "currency": "USD"}]},
    ]);
    assert_eq!(same[0]["rules"], rules);

    let looser = replayed(&server, "[risk]\nenabled = false\n");
    assert_eq!(looser.len(), 3, "{looser:?}");
    let told = |line: &Value| (line["payment"].clone(), line["was"].clone(), line["would"].clone());
    assert_eq!(told(&looser[0]), (held.json()["id"].clone(), json!("review"), json!("allow")));
    assert_eq!((&looser[0]["amount"], &looser[0]["to"]), (&json!("100.01"), &json!(cat.id)));
    assert_eq!((&looser[1]["was"], &looser[1]["would"]), (&json!("decline"), &json!("allow")));
    assert_eq!(looser[1]["hits"], json!([]));
    assert_eq!((&looser[2]["changed"], &looser[2]["rules"]), (&json!(2), &json!([])));
    assert_eq!(declined.str("code"), "payment_declined");

    let stricter = replayed(&server, "[risk]\nnew_payee = \"decline above JPY 1, 50\"\nfan_out = \"off\"\n");
    let changed: Vec<_> = stricter.iter().filter(|line| line["payment"].is_string()).collect();
    assert_eq!(changed.len(), 3, "{stricter:?}");
    let hits = json!([{"rule": "new_payee", "action": "decline", "figure": "100.00", "limit": "50.00"}]);
    assert_eq!((&changed[0]["was"], &changed[0]["hits"]), (&json!("allow"), &hits));
    server.verify();
}

#[test]
fn rules_that_are_none_are_told_with_their_cure() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    fs::write(&file, "[risk]\nnew_payee = \"ask above 100\"\n").unwrap();
    let output = server.run(&["risk", "replay", "--rules", file.to_str().unwrap()]);
    ended(&output, 2, "risk.new_payee");
    let output = server.run(&["risk", "replay", "--rules", "no-such-file.toml"]);
    ended(&output, 2, "no-such-file.toml");
    fs::write(&file, "").unwrap();
    let output = server.run(&["risk", "replay", "--rules", file.to_str().unwrap()]);
    ended(&output, 0, "");
    assert_eq!(stdout(&output), "0 payments looked at; 0 would have gone another way\n");
}
