//! `bench`: a result to rely on, and nothing left behind, however it ends.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::support::postgres::{Database, Postgres};
use super::{command, ended, farthing, stdout};

const SMALL: [&str; 7] = ["bench", "--users", "5", "--connections", "2", "--duration", "1"];

/// Runs `bench` small with more arguments, its throw-away ledger within `folder`, and gives its JSON.
fn bench(folder: &Path, more: &[&str]) -> Value {
    let args = [&SMALL[..], &["--json"], more].concat();
    let output = farthing(folder, &[("TMPDIR", folder.to_str().unwrap())], &args);
    ended(&output, 0, "");
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// What the folder holds of throw-away ledgers.
fn ledgers(folder: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn payments_are_counted_and_the_ledger_is_verified_and_gone() {
    let folder = tempfile::tempdir().unwrap();
    for more in [&[][..], &["--hot"], &["--guarded"], &["--prefill", "30"]] {
        let report = bench(folder.path(), more);
        let acknowledged = report["acknowledged"].as_u64().unwrap();
        assert!(acknowledged > 0, "{report}");
        assert_eq!(report["payments_per_second"], acknowledged, "of one second: {report}");
        assert_eq!(report["statuses"], serde_json::json!({ "201": acknowledged }));
        assert_eq!(report["errors"], serde_json::json!({}));
        assert_eq!(report["verified"], true);
        assert_eq!(report["hot"], more.contains(&"--hot"));
        assert_eq!(report["guarded"], more.contains(&"--guarded"));
        assert!(report["latency_ms"]["p50"].as_f64() <= report["latency_ms"]["max"].as_f64());
        assert!(ledgers(folder.path()).is_empty());
    }
}

#[test]
fn a_rate_is_kept_and_no_more_than_falls_due_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let report = bench(folder.path(), &["--rate", "100"]);
    assert_eq!(report["rate"], 100);
    // A second of warm-up and one that counts.
    assert!((1..=200).contains(&report["acknowledged"].as_u64().unwrap()), "{report}");
    let output = farthing(folder.path(), &[], &["bench", "--rate", "0"]);
    ended(&output, 2, "--rate");
}

#[test]
fn webhooks_get_what_was_paid_and_both_phases_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let line = "bench --webhooks 6 --rate 50 --connections 2 --duration 1 --rounds 2 --json";
    let args: Vec<&str> = line.split(' ').collect();
    let output = farthing(folder.path(), &[("TMPDIR", folder.path().to_str().unwrap())], &args);
    ended(&output, 0, "");
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&report["users"], &report["verified"]), (&Value::from(6), &Value::from(true)), "{report}");
    let webhooks = &report["webhooks"];
    assert_eq!(webhooks["endpoints"], 6, "{report}");
    // Of each payment's two sides one has an endpoint that answers, on average.
    assert!(webhooks["awaited"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(webhooks["arrived"], webhooks["awaited"], "{report}");
    for latency in [&report["latency_ms"], &webhooks["latency_without_ms"], &webhooks["delay_ms"]] {
        assert!(latency["max"].as_f64().unwrap() > 0.0, "{report}");
    }
    assert!(webhooks["p99_ratio"].as_f64().unwrap() > 0.0, "{report}");
    assert!(ledgers(folder.path()).is_empty());

    ended(&farthing(folder.path(), &[], &["bench", "--webhooks", "6"]), 2, "--rate");
}

#[test]
fn pairs_of_requests_are_counted_and_the_ledger_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    pairs(folder.path(), "sqlite", [&[], &[], &[]]);
}

#[test]
fn pairs_of_requests_are_counted_on_postgres() {
    let folder = tempfile::tempdir().unwrap();
    let databases = [(); 3].map(|()| Postgres::shared().database());
    let [one, two, three] = databases.each_ref().map(Database::migration_url);
    let named = [&one, &two, &three].map(|url| ["--database", url]);
    pairs(folder.path(), "postgres", named.each_ref().map(|args| &args[..]));
}

/// Runs each mix of pairs with the arguments that name its ledger.
fn pairs(folder: &Path, engine: &str, more: [&[&str]; 3]) {
    let mixes = [("captures", ["200", "201"]), ("refunds", ["201", "201"]), ("links", ["201", "201"])];
    for ((mix, statuses), more) in mixes.into_iter().zip(more) {
        let report = bench(folder, &[&["--mix", mix], more].concat());
        assert_eq!((&report["mix"], &report["verified"]), (&Value::from(mix), &Value::from(true)));
        assert_eq!(report["engine"], engine);
        assert!(report["requests_per_second"].as_u64().unwrap() > 0, "{report}");
        let told: Vec<&String> = report["statuses"].as_object().unwrap().keys().collect();
        assert!(told.iter().all(|status| statuses.contains(&status.as_str())), "{report}");
        assert!(statuses.iter().all(|status| told.iter().any(|one| one == status)), "{report}");
    }
}

#[test]
fn a_named_folder_is_kept_and_never_taken_twice() {
    let folder = tempfile::tempdir().unwrap();
    let args = [&SMALL[..], &["--data", "ledger"]].concat();
    ended(&farthing(folder.path(), &[], &args), 0, "");
    ended(&farthing(folder.path(), &[], &["verify", "--data", "ledger"]), 0, "");
    ended(&farthing(folder.path(), &[], &args), 2, "is not empty");
}

#[test]
fn an_interrupted_run_leaves_neither_server_nor_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let args = [&SMALL[..5], &["--duration", "600"]].concat();
    let mut bench = command(folder.path(), &[("TMPDIR", folder.path().to_str().unwrap())], &args)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let socket = loop {
        match ledgers(folder.path()).first().map(|ledger| ledger.join("control.sock")) {
            Some(socket) if socket.exists() => break socket,
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
        assert_eq!(bench.try_wait().unwrap(), None, "the bench ended before its server began");
    };
    let server = std::fs::read_to_string(socket.with_file_name("farthing.lock")).unwrap();
    assert_ne!(server.trim(), bench.id().to_string(), "the server is a process of its own");

    let pid = rustix::process::Pid::from_raw(bench.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    ended(&bench.wait_with_output().unwrap(), 1, "interrupted");
    assert!(ledgers(folder.path()).is_empty());
    let server = Path::new("/proc").join(server.trim());
    // A killed process whose parent is gone stands in the table until init has taken note.
    let is_running = || {
        let state = std::fs::read_to_string(server.join("stat")).unwrap_or_default();
        state.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
    };
    for _ in 0..500 {
        if !is_running() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the server still runs");
}

#[test]
fn a_server_elsewhere_is_loaded_through_its_api_and_a_wrong_address_is_told() {
    let server = super::support::Server::start();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}", server.address());
    let report = bench(folder.path(), &["--url", &url]);
    assert_eq!((&report["users"], &report["engine"]), (&Value::from(5), &Value::from("unknown")));
    assert!(report["payments_per_second"].as_u64() > Some(0));

    ended(&farthing(folder.path(), &[], &["bench", "--url", "https://localhost"]), 2, "plain HTTP");
    ended(&farthing(folder.path(), &[], &["bench", "--url", "http://127.0.0.1:1"]), 1, "127.0.0.1:1");
}
