//! The sender of webhooks, by itself: where it never connects, what it makes of a hostile receiver, and whether somebody
//! else's library takes its signatures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop at what it did not expect"
)]

mod outside;
mod receivers;
mod ssrf;
mod tls;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use farthing::clock::Clock;
use farthing::ledger::Timestamp;
use farthing::webhook::resolver::Addresses;
use farthing::webhook::{Attempt, Guard, Message, Resolver, Scheme, Secret, Sender, TargetRules};
use rustls::RootCertStore;

/// What an attacker's name server says: per name a list of answers, the last of which stays.
#[derive(Default)]
struct Names(Mutex<HashMap<String, Vec<Vec<IpAddr>>>>);

impl Names {
    fn set(&self, name: &str, answers: &[&[&str]]) {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        self.0.lock().unwrap().insert(name.to_owned(), answers.iter().map(parse).collect());
    }
}

impl Resolver for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> Addresses<'a> {
        let mut names = self.0.lock().unwrap();
        let answer = names.get_mut(name).map(|answers| match answers.len() {
            0 => Vec::new(),
            1 => answers[0].clone(),
            _ => answers.remove(0),
        });
        let answer = answer.ok_or_else(|| io::Error::other("no such name"));
        Box::pin(std::future::ready(answer))
    }
}

fn rules(allow_private: bool, ports: Vec<u16>) -> TargetRules {
    TargetRules { guard: Guard { allow_private, ..Guard::default() }, ports, allow_http: true }
}

fn sender(rules: TargetRules, names: Arc<Names>) -> Sender {
    Sender::new(rules, names, RootCertStore::empty()).unwrap()
}

fn secret() -> Secret {
    Secret::generate(Scheme::V1, &Clock::system()).unwrap()
}

async fn send(sender: &Sender, url: &str) -> Attempt {
    let at = Timestamp::from_millis(1_700_000_000_000);
    let message = Message { id: "evt_1", at, body: "{\"type\":\"test\"}", secrets: &[secret()] };
    sender.send(url, message).await
}
