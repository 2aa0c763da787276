//! `/me/totp`: a second factor is begun, confirmed, asked for, and taken away; each code counts once.

use serde_json::{Value, json};

use crate::support::factor::Factor;
use crate::support::{PASSWORD, Request, Response, Server, User};

/// Sets a second factor up with the code of now; gives the app and the recovery codes.
pub fn set_up(user: &mut User) -> (Factor, Vec<String>) {
    let begun = user.client.post("/me/totp", &json!({})).expect(200).json();
    let secret = begun["secret"].as_str().unwrap();
    assert!(begun["otpauth_url"].as_str().unwrap().contains(&format!("secret={secret}")), "{begun}");
    assert!(begun["qr_svg"].as_str().unwrap().contains("<svg"), "{begun}");
    let factor = Factor::new(secret);
    let confirmed = user.client.post("/me/totp/confirm", &json!({"otp": factor.code(0)})).expect(200).json();
    let codes: Vec<String> = serde_json::from_value(confirmed["recovery_codes"].clone()).unwrap();
    assert_eq!(codes.len(), 10);
    (factor, codes)
}

fn log_in(server: &Server, user: &User, otp: Option<&str>) -> Response {
    let mut body = json!({"email": user.email, "password": PASSWORD});
    if let Some(otp) = otp {
        body["otp"] = otp.into();
    }
    server.client().post("/login", &body)
}

#[test]
fn a_login_asks_for_a_code_and_takes_each_once() {
    let server = Server::start();
    let mut ann = server.user("ann");
    ann.client.post("/me/totp/confirm", &json!({"otp": "123456"})).problem(409, "totp_state");
    ann.client
        .call(&Request::new("DELETE", "/me/totp").json(&json!({"password": PASSWORD})))
        .problem(409, "totp_state");
    // What is begun and not confirmed is asked for nowhere.
    ann.client.post("/me/totp", &json!({})).expect(200);
    ann.client.post("/me/totp/confirm", &json!({"otp": "12345"})).problem(401, "otp_invalid");
    log_in(&server, &ann, None).expect(200);

    let (factor, codes) = set_up(&mut ann);
    ann.client.post("/me/totp", &json!({})).problem(409, "totp_state");
    log_in(&server, &ann, None).problem(401, "otp_required");
    log_in(&server, &ann, Some("000000")).problem(401, "otp_invalid");
    log_in(&server, &ann, Some(&factor.code(0))).problem(401, "otp_invalid");
    log_in(&server, &ann, Some(&factor.code(1))).expect(200);
    log_in(&server, &ann, Some(&factor.code(1))).problem(401, "otp_invalid");
    // Only the right password learns that there is one.
    let wrong = json!({"email": ann.email, "password": "not the password", "otp": codes[0]});
    server.client().post("/login", &wrong).problem(401, "invalid_credentials");
    log_in(&server, &ann, Some(&codes[0].to_uppercase().replace('-', " "))).expect(200);
    log_in(&server, &ann, Some(&codes[0])).problem(401, "otp_invalid");

    let remove = |password: &str| Request::new("DELETE", "/me/totp").json(&json!({"password": password}));
    ann.client.call(&remove("not the password")).problem(401, "invalid_credentials");
    ann.client.call(&remove(PASSWORD)).expect(204);
    log_in(&server, &ann, None).expect(200);
    server.verify();
}

#[test]
fn of_two_logins_with_one_code_exactly_one_succeeds() {
    let server = Server::start();
    let mut ann = server.user("ann");
    let (factor, _) = set_up(&mut ann);
    let code = factor.code(1);
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let logins: Vec<_> =
            (0..4).map(|_| scope.spawn(|| log_in(&server, &ann, Some(&code)).status)).collect();
        logins.into_iter().map(|login| login.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| [200, 401].contains(status)), "{answers:?}");
}

#[test]
fn a_large_payment_a_new_password_and_a_new_key_ask_for_a_fresh_code() {
    let server = Server::builder().env("FARTHING_SECURITY_STEP_UP_ABOVE", "100, JPY 5000").start();
    let mut ann = server.user("ann");
    let pay = |user: &mut User, amount: &str, otp: Option<&str>, key: &str| {
        let mut body = json!({"amount": amount, "currency": "USD"});
        if let Some(otp) = otp {
            body["otp"] = otp.into();
        }
        user.pay_with_key(key, &body)
    };
    pay(&mut ann, "100.01", None, "before").expect(201);
    let (factor, codes) = set_up(&mut ann);
    pay(&mut ann, "100.00", None, "small").expect(201);
    pay(&mut ann, "100.01", None, "large").problem(401, "otp_required");
    pay(&mut ann, "100.01", Some(&factor.code(0)), "large").problem(401, "otp_invalid");
    let paid = pay(&mut ann, "100.01", Some(&factor.code(1)), "large").expect(201);
    // The first answer again, whatever is shown with it now.
    for otp in [None, Some("000000")] {
        let again = pay(&mut ann, "100.01", otp, "large").expect(201);
        assert_eq!((again.text(), again.header("idempotent-replayed")), (paid.text(), Some("true")));
    }
    pay(&mut ann, "100.01", Some(&factor.code(1)), "another").problem(401, "otp_invalid");

    let key = |otp: Option<&str>| json!({"name": "shop", "scopes": ["own_account"], "otp": otp});
    ann.client.post("/api-keys", &key(None)).problem(401, "otp_required");
    ann.client.post("/api-keys", &key(Some(&codes[1]))).expect(201);
    let change = |otp: Option<&str>| json!({"current_password": PASSWORD, "new_password": "eleven loud herons", "otp": otp});
    ann.client.post("/me/password", &change(None)).problem(401, "otp_required");
    ann.client.post("/me/password", &change(Some(&codes[1]))).problem(401, "otp_invalid");
    ann.client.post("/me/password", &change(Some(&codes[2]))).expect(204);
    server.verify();
}

#[test]
fn guesses_of_a_code_are_slowed_down() {
    let server = Server::builder().env("FARTHING_RATE_LIMITS_ENABLED", "true").start();
    let mut ann = server.user("ann");
    set_up(&mut ann);
    let guess = |n: u32| log_in(&server, &ann, Some(&format!("{n:06}"))).status;
    assert!((0..12).any(|n| guess(n) == 429), "twelve guesses were let through");
}

#[test]
fn with_real_money_an_operator_without_a_second_factor_can_only_set_one_up() {
    let server = Server::builder().env("FARTHING_MODE", "live").start();
    let mut root = User::operator(&server, "root", "admin");
    root.client.get("/admin/users").problem(403, "credentials_too_weak");
    root.client.get("/wallets").problem(403, "credentials_too_weak");
    let (_, codes) = set_up(&mut root);
    root.client.get("/admin/users").expect(200);

    // A forgotten password is set anew, and the second factor is still asked for.
    let output = server.run(&["admin", "reset-password", "--email", &root.email]);
    let said = String::from_utf8(output.stdout).unwrap();
    let token = said.split_whitespace().find(|word| word.starts_with("fpr_")).unwrap();
    let body = json!({"token": token, "new_password": PASSWORD});
    server.client().post("/password/reset", &body).expect(204);
    log_in(&server, &root, None).problem(401, "otp_required");
    log_in(&server, &root, Some(&codes[3])).expect(200);

    // Who has lost it too is helped from the host, and sets up another one before anything else.
    let output = server.run(&["admin", "reset-totp", "--email", &root.email]);
    assert!(output.status.success());
    let login: Value = log_in(&server, &root, None).expect(200).json();
    let mut root = server.client().with_token(login["access_token"].as_str().unwrap());
    root.get("/admin/users").problem(403, "credentials_too_weak");
}
