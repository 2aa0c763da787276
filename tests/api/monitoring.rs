//! What watches over a server: alerts, the dashboard, fail2ban. Each names only what the server gives.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use farthing::ledger::EventKind;
use serde_json::{Value, json};

use crate::support::{Request, Server};

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a program on files of the repository; none if it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    if output.is_err() {
        println!("SKIPPED: {program} is not installed");
    }
    output.ok()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Every word of these expressions that is the name of a metric.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("farthing_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// Every series that a server gives once everything has happened to it.
fn series() -> BTreeSet<String> {
    let server = Server::builder()
        .env("FARTHING_RATE_LIMITS_ENABLED", "true")
        .env("FARTHING_RATE_LIMITS_PAYMENT", "3/day per account")
        .start();
    let mut ada = server.user("ada");
    ada.pay(&json!({"amount": "1", "currency": "USD"})).expect(201);
    while ada.pay_with_key("k", &json!({"amount": "2", "currency": "USD"})).status != 429 {}
    let text = server.client().get("/metrics").expect(200).text();
    let names = text.lines().filter(|line| !line.starts_with('#'));
    names.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

fn expressions_of_the_rules() -> String {
    let rules = file("deploy/prometheus/farthing.rules.yml");
    // The file is ours: an expression is what stands behind "expr:", or in the deeper lines below it.
    let mut expressions = String::new();
    let mut inside = false;
    for line in rules.lines() {
        let begins = line.trim_start().strip_prefix("expr:");
        inside = begins.is_some() || (inside && line.starts_with("          "));
        if inside {
            expressions.push_str(begins.unwrap_or(line));
            expressions.push('\n');
        }
    }
    expressions
}

fn expressions_of_the_dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/farthing.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_query_names_a_metric_that_exists() {
    let series = series();
    for expression in expressions_of_the_dashboard() {
        let named = metrics_in(&expression);
        assert!(!named.is_empty(), "{expression} asks for nothing");
        let missing: Vec<_> = named.difference(&series).collect();
        assert!(missing.is_empty(), "{missing:?} of {expression} is not among {series:?}");
    }
    let rules = expressions_of_the_rules();
    let named = metrics_in(&rules);
    assert!(named.len() >= 10, "{named:?}");
    let missing: Vec<_> = named.difference(&series).collect();
    assert!(missing.is_empty(), "{missing:?} of the rules is not among {series:?}");
}

#[test]
fn every_event_that_a_rule_names_is_one() {
    let text = format!("{}{}", expressions_of_the_rules(), expressions_of_the_dashboard().join("\n"));
    let named = text.split("event=\"").skip(1).filter_map(|rest| rest.split('"').next());
    for name in named {
        assert!(EventKind::from_name(name).is_some(), "{name}");
    }
}

#[test]
fn the_alerts_are_well_formed_and_fire_on_what_they_are_for() {
    let Some(output) = run("promtool", &["check", "rules", "deploy/prometheus/farthing.rules.yml"]) else {
        return;
    };
    assert!(output.status.success(), "{}", said(&output));
    let tests = "deploy/prometheus/farthing.test.yml";
    let output = run("promtool", &["test", "rules", tests]).unwrap();
    assert!(output.status.success(), "{}", said(&output));
    // Each is tested to be silent and to fire.
    let (rules, tests) = (file("deploy/prometheus/farthing.rules.yml"), file(tests));
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {alert}}}")), "{alert} is never silent");
        assert!(tests.contains(&format!("alertname: {alert}\n        exp_alerts:")), "{alert} never fires");
    }
}

#[test]
fn anonymous_events_count_as_often_as_they_came() {
    let server = Server::start();
    for _ in 0..7 {
        server.client().call(&Request::get("/me").bearer("nonsense")).expect(401);
    }
    let name = "farthing_security_events_total{event=\"authn_token_invalid\",severity=\"warning\"}";
    let mut server = server;
    // A stop writes what is left; what was counted before stays in the log alone.
    crate::support::until("the first is told", || {
        server.client().get("/metrics").expect(200).text().contains(name)
    });
    server.terminate();
    let log = server.log();
    let counts: u64 = log
        .lines()
        .filter(|line| line.contains("authn_token_invalid"))
        .filter_map(|line| {
            serde_json::from_str::<Value>(line).ok()?["detail"]["count"].as_str()?.parse::<u64>().ok()
        })
        .sum();
    assert_eq!(counts, 7, "{log}");
}

/// The events that the filter of fail2ban is about.
const BANNED_FOR: [&str; 5] = [
    "authn_login_fail",
    "authn_login_lock",
    "authn_token_invalid",
    "authn_token_reuse",
    "excess_rate_limit_exceeded",
];

#[test]
fn fail2ban_sees_who_guesses_and_nobody_else() {
    let mut server = Server::builder().env("FARTHING_RATE_LIMITS_ENABLED", "true").start();
    let ada = server.user("ada");
    let mut thief = server.client().connecting_from([127, 0, 0, 90]);
    // What a client says about itself looks like a line about somebody else.
    let forged = "{\"target\":\"security\",\"id\":\"sec_00000000000000000000000000\",\"at\":\"2026-01-01T00:00:00.000Z\",\
                  \"event\":\"authn_login_fail\",\"severity\":\"warning\",\"user\":null,\"ip\":\"192.0.2.99\",";
    for n in 0..8 {
        let wrong = json!({"email": ada.email, "password": format!("not that one {n}")});
        thief.call(&Request::post("/login", &wrong).header("User-Agent", forged));
    }
    thief.call(&Request::get("/me").bearer("nonsense")).expect(401);
    server.terminate();
    let log = server.log();
    let events: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let expected = events.iter().filter(|event| BANNED_FOR.iter().any(|name| event["event"] == *name));
    let expected: Vec<&Value> = expected.collect();
    assert!(expected.len() >= 7, "{log}");
    assert!(expected.iter().all(|event| event["ip"] == "127.0.0.90"), "{log}");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(log.as_bytes()).unwrap();
    let filter = "contrib/fail2ban/filter.d/farthing.conf";
    let Some(output) = run("fail2ban-regex", &["-v", file.path().to_str().unwrap(), filter]) else { return };
    let said = said(&output);
    assert!(said.contains(&format!(" {} matched,", expected.len())), "{said}\n{log}");
    let addresses = said.lines().filter(|line| line.contains("127.0.0.90")).count();
    assert!(addresses >= expected.len(), "{said}");
    assert!(!said.lines().any(|line| line.trim_start().starts_with("192.0.2.99")), "{said}");
}
