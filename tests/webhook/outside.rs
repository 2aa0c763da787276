//! Somebody else's opinion: npm's `standardwebhooks` takes our signatures and no altered message, and Node's own Ed25519
//! takes the others.
//!
//! `./test` installs the package and names its folder; without that there is nobody to ask.

use std::io::Write as _;
use std::process::{Command, Stdio};

use farthing::clock::Clock;
use farthing::webhook::{Scheme, Secret};
use serde_json::json;

/// The folder that holds `node_modules`.
const FOLDER: &str = "FARTHING_STANDARDWEBHOOKS";

#[test]
fn another_library_takes_what_is_signed_and_nothing_else() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        println!("not asked: {FOLDER} does not say where npm's standardwebhooks is");
        return;
    };
    let clock = Clock::system();
    let now = clock.now().as_millis() / 1_000;
    let cases: Vec<_> =
        ["{}", "{\"type\":\"payment.created\",\"data\":{\"amount\":\"12.50\"}}", "{\"é\":\"\u{1f4b6}\"}"]
            .into_iter()
            .map(|body| {
                let [v1, old, v1a] = [Scheme::V1, Scheme::V1, Scheme::V1a]
                    .map(|scheme| Secret::generate(scheme, &clock).unwrap());
                let id = format!("evt_{}", clock.uuid().unwrap().simple());
                // As during a rotation: the new secret's and the old one's.
                let signature = [&v1, &old].map(|secret| secret.sign(&id, now, body.as_bytes())).join(" ");
                json!({
                    "id": id,
                    "timestamp": now,
                    "body": body,
                    "secrets": [v1.for_receiver(), old.for_receiver()],
                    "signature": signature,
                    "public_key": v1a.for_receiver(),
                    "asymmetric": v1a.sign(&id, now, body.as_bytes()),
                })
            })
            .collect();
    let mut node = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/webhook/verify.cjs"))
        .env("NODE_PATH", std::path::Path::new(&folder).join("node_modules"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is installed");
    node.stdin.take().unwrap().write_all(json!(cases).to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(output.status.success(), "{text}");
}
