//! `admin`: operators are made with and without a server, and can log in.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use super::support::Server;
use super::{command, ended, farthing, field, stdout};

#[test]
fn an_operator_is_made_before_the_server_starts_and_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let variables = [("FARTHING_DATA", data.to_str().unwrap())];
    let before = farthing(folder.path(), &variables, &["admin", "create", "--email", "ann@example.com"]);
    ended(&before, 0, "in sandbox mode");

    let server = Server::builder().data(&data).start();
    let during =
        server.run(&["admin", "create", "--email", "sam@example.com", "--role", "support", "--name", "Sam"]);
    ended(&during, 0, "only time that the password is shown");

    for (made, email, role) in
        [(&before, "ann@example.com", "admin"), (&during, "sam@example.com", "support")]
    {
        let password = field(made, "password");
        assert!(password.len() >= 20, "{password}");
        let login =
            server.client().post("/login", &json!({"email": email, "password": password})).expect(200);
        let user = &login.json()["user"];
        assert_eq!(
            (user["role"].as_str(), user["id"].as_str()),
            (Some(role), Some(field(made, "id").as_str()))
        );
    }

    let taken = server.run(&["admin", "create", "--email", "SAM@example.com"]);
    ended(&taken, 1, "somebody has this email already");
    assert_eq!(stdout(&taken), "", "no password is shown for an operator that was not made");
    server.verify();
}

#[test]
fn users_are_listed_while_the_server_runs() {
    let server = Server::start();
    let customer = server.user("bob");
    ended(&server.run(&["admin", "create", "--email", "ann@example.com"]), 0, "");

    let table = stdout(&server.run(&["admin", "list"]));
    let row = |email: &str| {
        let line =
            table.lines().find(|line| line.contains(email)).unwrap_or_else(|| panic!("{email}:\n{table}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(table.starts_with("id "), "{table}");
    assert_eq!(row("ann@example.com")[2..4], ["admin", "no"]);
    assert_eq!(row(&customer.email)[0], customer.id);

    let output = server.run(&["admin", "list", "--json"]);
    let users: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let listed = users.iter().find(|user| user["id"] == customer.id.as_str()).unwrap();
    assert_eq!((&listed["role"], &listed["frozen"]), (&json!("customer"), &json!(false)));
    assert!(!stdout(&output).contains("argon2"), "hashes stay in the ledger");
}

#[test]
fn a_password_can_be_piped_in_and_must_be_good() {
    let server = Server::start();
    let create = |email: &str, password: &str| -> Output {
        let variables = [("FARTHING_DATA", server.data().to_str().unwrap())];
        let args = ["admin", "create", "--email", email, "--password-stdin"];
        let mut child = command(server.data(), &variables, &args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let good = "nineteen teal kayaks";
    let made = create("ann@example.com", &format!("{good}\n"));
    ended(&made, 0, "");
    assert!(!stdout(&made).contains(good) && !stdout(&made).contains("password"), "{}", stdout(&made));
    server.client().post("/login", &json!({"email": "ann@example.com", "password": good})).expect(200);

    ended(&create("bob@example.com", "14 characters!"), 1, "the password");
    ended(&create("bob@example.com", ""), 2, "standard input holds no password");
}

#[test]
fn a_live_ledger_gets_its_operators_without_being_told_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::builder().data(&data).arg("--mode").arg("live").start();
    assert!(server.log().contains("live mode: real money"), "{}", server.log());
    server.terminate();
    let variables = [("FARTHING_DATA", data.to_str().unwrap())];
    ended(&farthing(folder.path(), &variables, &["admin", "create", "--email", "ann@example.com"]), 0, "");
    let sandbox =
        farthing(folder.path(), &variables, &["serve", "--mode", "sandbox", "--listen", "127.0.0.1:0"]);
    ended(&sandbox, 2, "made in live mode");
    let server = Server::builder().data(&data).start();
    assert!(server.log().contains("live mode: real money"), "{}", server.log());
}
