//! Secrets that can be recognised are sent through every journey, and then looked for everywhere they must not be:
//! in the database files, in the log at its most talkative, in what is printed, and in every refusal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

mod support;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use support::{Client, Request, Response, Server};

const OLD: &str = "canary-old 0ne marmalade-Ütopia";
const NEW: &str = "canary-new tw0 marmalade-Ütopia";
const GUESS: &str = "canary-guess thr33 marmalade-Ütopia";
const WEAK: &str = "canarycanary";
const NOBODY: &str = "canary.nobody.at.all@example.org";
/// Not a secret: if this is not found, neither would a secret be.
const SIGN: &str = "canary-sign-in-the-open";

/// A client that keeps every refusal.
struct Witness {
    client: Client,
    refusals: Vec<String>,
}

impl Witness {
    fn call(&mut self, request: &Request) -> Response {
        let response = self.client.call(request);
        if response.status >= 400 {
            self.refusals.extend([format!("{:?}", response.headers), response.text()]);
        }
        response
    }

    fn post(&mut self, path: &str, body: &Value) -> Response {
        self.call(&Request::post(path, body))
    }
}

/// Goes through everything that takes or gives a secret; gives the secrets.
fn journeys(witness: &mut Witness) -> Vec<String> {
    let (email, mut secrets) = ("ada@example.org", vec![OLD.to_owned(), NEW.to_owned(), GUESS.to_owned()]);
    let mut keep = |response: &Response| {
        let pair = response.json();
        let texts = ["access_token", "refresh_token"].map(|name| pair[name].as_str().unwrap().to_owned());
        secrets.extend(texts.clone());
        texts
    };
    witness.post("/register", &json!({"email": email, "password": OLD, "name": SIGN})).expect(201);
    witness.post("/register", &json!({"email": email, "password": GUESS})).expect(409);
    witness.post("/register", &json!({"email": "no address", "password": GUESS})).expect(422);
    witness.post("/register", &json!({"email": NOBODY, "password": WEAK})).expect(422);
    witness.post("/register", &json!({"email": NOBODY, "password": [GUESS]})).expect(422);
    witness.post("/login", &json!({"email": email, "password": GUESS})).expect(401);
    witness.post("/login", &json!({"email": NOBODY, "password": GUESS})).expect(401);
    witness.post("/login", &json!({"email": NOBODY, "password": {"x": GUESS}})).expect(422);
    witness.post("/login", &json!({"email": email, "pasword": OLD})).expect(422);
    let broken = format!("{{\"email\":\"{NOBODY}\",\"password\":\"{GUESS}\" oops");
    witness.call(&Request::new("POST", "/login").json_text(&broken)).expect(400);
    witness.call(&Request::new("POST", "/login").bytes(broken.as_bytes())).expect(415);

    let [first, refresh] =
        keep(&witness.post("/login", &json!({"email": email, "password": OLD})).expect(200));
    let [second, next] =
        keep(&witness.post("/token/refresh", &json!({"refresh_token": refresh})).expect(200));
    witness.call(&Request::get("/me").bearer(&first)).expect(401);
    witness.call(&Request::get(&format!("/me?token={second}"))).expect(401);
    witness.call(&Request::get("/me").header("Authorization", &second)).expect(401);
    witness.call(&Request::get("/me").bearer(&second)).expect(200);
    witness.call(&Request::get(&format!("/payment/{second}")).bearer(&second)).expect(404);
    witness.call(&Request::get(&format!("/transactions?after={second}")).bearer(&second)).expect(422);
    let payment = json!({"amount": "1", "currency": "USD", "description": SIGN});
    witness.call(&Request::post("/payment", &payment).bearer(&second).key("canary-key")).expect(201);
    witness
        .call(&Request::post("/payment", &json!({"amount": "9999", "currency": "USD"})).bearer(&second))
        .expect(402);
    let change = |current: &str, new: &str| {
        Request::post("/me/password", &json!({"current_password": current, "new_password": new}))
            .bearer(&second)
    };
    assert!(witness.call(&change(GUESS, NEW)).status >= 400);
    witness.call(&change(OLD, WEAK)).expect(422);
    assert!(witness.call(&change(OLD, NEW)).status < 300);
    witness.post("/token/refresh", &json!({"refresh_token": refresh})).expect(401);
    witness.post("/token/refresh", &json!({"refresh_token": next})).expect(401);
    let [last, _] = keep(&witness.post("/login", &json!({"email": email, "password": NEW})).expect(200));
    witness.call(&Request::new("POST", "/logout").bearer(&last)).expect(204);
    witness.call(&Request::new("POST", "/logout").bearer(&last)).expect(401);
    secrets
}

#[test]
fn no_secret_is_written_printed_or_told() {
    let mut server = Server::builder().env("FARTHING_LOG_LEVEL", "trace").start();
    let mut witness = Witness { client: server.client(), refusals: Vec::new() };
    let secrets = journeys(&mut witness);
    let metrics = server.client().get("/metrics").expect(200).text();
    let listed = server.run(&["admin", "list"]).stdout;
    let shown = server.run(&["config", "show"]).stdout;
    let mut places: Vec<(String, Vec<u8>)> = vec![
        ("the refusals".to_owned(), witness.refusals.join("\n").into_bytes()),
        ("the metrics".to_owned(), metrics.into_bytes()),
        ("admin list".to_owned(), listed),
        ("config show".to_owned(), shown),
    ];
    // Once as the running server has it, and once as a stopped one leaves it.
    collect_files(server.data(), &mut places);
    places.extend(server.database().map(|database| ("the database".to_owned(), database.dump())));
    server.terminate();
    collect_files(server.data(), &mut places);
    places.push(("the standard output".to_owned(), server.stdout().into_bytes()));
    places.push(("the log".to_owned(), server.log().into_bytes()));

    let found_in = |needle: &[u8]| -> Vec<&str> {
        let holds = |place: &&(String, Vec<u8>)| contains(&place.1, needle);
        places.iter().filter(holds).map(|(name, _)| name.as_str()).collect()
    };
    assert!(!found_in(SIGN.as_bytes()).is_empty(), "this test looks in the wrong places");
    assert!(server.log().lines().count() > 20, "the log was to be talkative:\n{}", server.log());
    for secret in &secrets {
        for (form, needle) in forms(secret) {
            assert_eq!(found_in(&needle), Vec::<&str>::new(), "{secret:?} ({form})");
        }
    }
    // Of an account that is none, the email is not kept either.
    let kept: Vec<&str> = found_in(NOBODY.as_bytes());
    assert_eq!(kept, Vec::<&str>::new(), "the email of nobody");
}

/// The shapes in which a secret could be lying about.
fn forms(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("as it is", secret.as_bytes().to_vec()),
        ("base64", STANDARD.encode(secret).into_bytes()),
        ("hexadecimal", hex(secret.as_bytes()).into_bytes()),
        ("escaped", serde_json::to_string(secret).unwrap().trim_matches('"').as_bytes().to_vec()),
    ];
    // What stands behind a token's prefix, and the bytes that it spells.
    if let Some((_, body)) = secret.rsplit_once('_').filter(|(_, body)| body.len() >= 32) {
        forms.push(("without its prefix", body.as_bytes().to_vec()));
        for engine in [URL_SAFE_NO_PAD, STANDARD_NO_PAD] {
            // The last characters may be a checksum.
            for length in [body.len(), 43] {
                if let Some(bytes) = body.get(..length).and_then(|text| engine.decode(text).ok()) {
                    forms.push(("the bytes that it spells", bytes));
                }
            }
        }
    }
    forms
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn collect_files(folder: &Path, places: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, places);
        } else if path.is_file() {
            places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
