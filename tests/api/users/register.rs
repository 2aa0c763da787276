//! `POST /register`.

use serde_json::{Value, json};

use crate::support::shape::{
    assert_fails, assert_id, assert_members, assert_same_answer, assert_time, codes_of,
};
use crate::support::{Client, PASSWORD, Server};

#[test]
fn a_new_customer_is_told_who_they_are() {
    let server = Server::start();
    let body = json!({"email": "ada@example.org", "password": PASSWORD, "name": "Ada Lovelace"});
    let response = server.client().post("/register", &body).expect(201);
    let user = response.json();
    assert_members(&user, &["id", "email", "name", "role", "created_at"]);
    assert_id(user["id"].as_str().unwrap(), "usr");
    assert_eq!(user["email"], "ada@example.org");
    assert_eq!(user["name"], "Ada Lovelace");
    assert_eq!(user["role"], "customer");
    assert_time(&user["created_at"]);
}

#[test]
fn the_name_may_be_left_out() {
    let server = Server::start();
    let body = json!({"email": "ada@example.org", "password": PASSWORD});
    server.client().post("/register", &body).expect(201);
    let body = json!({"email": "eve@example.org", "password": PASSWORD, "name": null});
    server.client().post("/register", &body).expect(201);
}

#[test]
fn the_email_is_trimmed() {
    let server = Server::start();
    let mut client = server.client();
    let body = json!({"email": "  ada@example.org \t", "password": PASSWORD});
    assert_eq!(client.post("/register", &body).expect(201).str("email"), "ada@example.org");
    client.post("/login", &json!({"email": " ada@example.org", "password": PASSWORD})).expect(200);
}

#[test]
fn an_email_is_taken_once_without_regard_to_case() {
    let server = Server::start();
    let mut client = server.client();
    let register = |client: &mut Client, email: &str| {
        client.post("/register", &json!({"email": email, "password": PASSWORD, "name": "Somebody"}))
    };
    register(&mut client, "Ada@Example.org").expect(201);
    for again in ["Ada@Example.org", "ada@example.org", "ADA@EXAMPLE.ORG", " ada@example.ORG "] {
        register(&mut client, again).problem(409, "email_taken");
    }
    client.post("/login", &json!({"email": "aDa@eXample.org", "password": PASSWORD})).expect(200);
}

#[test]
fn of_many_registrations_of_one_email_at_once_one_succeeds() {
    let server = Server::start();
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|_| {
                let mut client = server.client();
                scope.spawn(move || {
                    client
                        .post("/register", &json!({"email": "one@example.org", "password": PASSWORD}))
                        .status
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| [201, 409, 503].contains(status)), "{answers:?}");
}

#[test]
fn an_email_must_be_an_address() {
    let server = Server::start();
    let mut client = server.client();
    let long_local = format!("{}@example.org", "a".repeat(65));
    let too_long =
        format!("{}@{}.org", "a".repeat(60), ["b".repeat(62), "c".repeat(62), "d".repeat(62)].join("."));
    assert!(too_long.len() <= 254);
    let longer =
        format!("{}@{}.org", "a".repeat(63), ["b".repeat(63), "c".repeat(63), "d".repeat(63)].join("."));
    assert_eq!(longer.len(), 259);
    client.post("/register", &json!({"email": too_long, "password": PASSWORD})).expect(201);
    let wrong = [
        "",
        " ",
        "ada",
        "ada@",
        "@example.org",
        "ada@@example.org",
        "a@b@example.org",
        "ada lovelace@example.org",
        "ada@exa mple.org",
        "ada@example..org",
        "ada@-example-.org\u{0}",
        ".ada@example.org",
        "ada.@example.org",
        "ada\n@example.org",
        "Ada <ada@example.org>",
        &long_local,
        &longer,
    ];
    for email in wrong {
        let response = client.post("/register", &json!({"email": email, "password": PASSWORD}));
        assert_fails(&response, &["email"]);
    }
    for email in ["ada+tag@example.org", "o'brien@example.org", "a@example.org", "first.last@sub.example.org"]
    {
        client.post("/register", &json!({"email": email, "password": PASSWORD})).expect(201);
    }
}

#[test]
fn a_password_is_refused_for_each_reason() {
    let server = Server::start();
    let mut client = server.client();
    let (short, long) = ("x7#Qz!k", "kW9 ".repeat(33));
    assert_eq!((short.chars().count(), long.chars().count()), (7, 132));
    // Seven characters, though fourteen code points until they are composed.
    let decomposed = "x7#Qz!e\u{301}";
    assert_eq!(decomposed.chars().count(), 8);
    let table: [(&str, &str, &[&str]); 14] = [
        ("ada@example.org", "", &["too_short"]),
        ("ada@example.org", short, &["too_short"]),
        ("ada@example.org", decomposed, &["too_short"]),
        ("ada@example.org", &long, &["too_long"]),
        ("ada@example.org", "password", &["too_common"]),
        ("ada@example.org", "password1", &["too_common"]),
        ("ada@example.org", "iloveyou", &["too_common"]),
        ("ada@example.org", "qwertyuiop", &["too_common"]),
        ("ada@example.org", "PASSWORD1", &["too_common", "too_guessable"]),
        ("margarethe@example.org", "margarethe wrote 81 hats", &["contains_email"]),
        ("margarethe@example.org", "so MargaretHe wrote 81 hats", &["contains_email"]),
        ("hans@example.org", "my xylophone hans 81 tuba", &["contains_email"]),
        ("ada@example.org", "abcabcabcabc", &["too_guessable"]),
        ("ada@example.org", "aaaaaaaaaaaaaaaa", &["too_guessable", "too_common"]),
    ];
    for (email, password, codes) in table {
        let response = client.post("/register", &json!({"email": email, "password": password}));
        assert_fails(&response, &["password"]);
        let found = codes_of(&response, "password");
        assert!(
            codes.iter().any(|&code| found.contains(code)),
            "{password:?} should be {codes:?}: {response}"
        );
        assert!(
            password.is_empty() || password == "password" || !response.text().contains(password),
            "the password comes back: {response}"
        );
    }
}

#[test]
fn a_password_may_be_anything_else() {
    let server = Server::start();
    let mut client = server.client();
    let longest = "kW9 zebra!".repeat(12) + "12345678";
    assert_eq!(longest.chars().count(), 128);
    let table = [
        ("ada@example.org", "x7#Qz!kv"),
        // A local part under four characters is in too many words to count.
        ("bob@example.org", "bob plays banjo 77 well"),
        ("cy@example.org", &longest),
        ("di@example.org", "  leading and trailing spaces 42  "),
        ("ed@example.org", "пароль-верблюд-77-скрепка"),
        ("flo@example.org", "🐎🔋📎 staple horse 9"),
        ("gus@example.org", "ÄÄ ßtapler hörse 42"),
        ("hy@example.org", "quote\" back\\slash \u{7f} tab\t42"),
    ];
    for (email, password) in table {
        let body = json!({"email": email, "password": password});
        client.post("/register", &body).expect(201);
        client.post("/login", &body).expect(200);
        let trimmed = password.trim();
        if trimmed != password {
            let body = json!({"email": email, "password": trimmed});
            client.post("/login", &body).problem(401, "invalid_credentials");
        }
    }
}

#[test]
fn a_password_is_the_same_however_its_accents_are_typed() {
    let server = Server::start();
    let mut client = server.client();
    let (composed, decomposed) = ("caf\u{e9} au lait 42 z\u{fc}ge", "cafe\u{301} au lait 42 zu\u{308}ge");
    for (email, first, second) in
        [("ada@example.org", composed, decomposed), ("eve@example.org", decomposed, composed)]
    {
        client.post("/register", &json!({"email": email, "password": first})).expect(201);
        client.post("/login", &json!({"email": email, "password": second})).expect(200);
    }
}

#[test]
fn every_failing_field_is_named() {
    let server = Server::start();
    let mut client = server.client();
    let table: [(Value, &[&str]); 9] = [
        (json!({}), &["email", "password"]),
        (json!({"email": "ada@example.org"}), &["password"]),
        (json!({"password": PASSWORD}), &["email"]),
        (json!({"email": null, "password": null}), &["email", "password"]),
        (json!({"email": 1, "password": [], "name": {}}), &["email", "password", "name"]),
        (json!({"email": "no", "password": "no", "name": false}), &["email", "password", "name"]),
        (
            json!({"email": "ada@example.org", "password": PASSWORD, "role": "admin", "id": "x", "balance": 1}),
            &["role", "id", "balance"],
        ),
        (json!({"email": "x", "password": PASSWORD, "name": "n".repeat(10_000)}), &["email", "name"]),
        (json!({"Email": "ada@example.org", "password": PASSWORD}), &["Email", "email"]),
    ];
    for (body, fields) in table {
        assert_fails(&client.post("/register", &body), fields);
    }
    // Nothing of this made an account.
    client.post("/register", &json!({"email": "ada@example.org", "password": PASSWORD})).expect(201);
}

#[test]
fn a_customer_of_the_sandbox_starts_with_a_grant_and_one_of_a_live_ledger_with_nothing() {
    let server = Server::start();
    let mut ada = server.user("ada");
    assert_eq!(ada.balance("USD"), 100_000);
    let rows = ada.list("/transactions");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["type"], &rows[0]["amount"]), (&json!("grant"), &json!("1000.00")));

    let server = Server::builder().env("FARTHING_MODE", "live").start();
    let mut ada = server.user("ada");
    assert_eq!(ada.balance("USD"), 0);
    assert!(ada.list("/transactions").is_empty());
}

#[test]
fn a_taken_email_tells_nothing_about_its_owner() {
    let server = Server::start();
    server.user("ada");
    let mut client = server.client();
    let one =
        client.post("/register", &json!({"email": "ada@example.org", "password": PASSWORD, "name": "X"}));
    server.user("margarethe");
    let other = client
        .post("/register", &json!({"email": "margarethe@example.org", "password": PASSWORD, "name": "Y"}));
    assert_same_answer(&one.problem(409, "email_taken"), &other);
}
