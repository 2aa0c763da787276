//! `listen`: what was missed, what happens and what is sent again arrives at a program on a local port; and `trigger`,
//! which tells what did not happen.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::support::receiver::{Received, Receiver};
use super::support::{Server, User};
use super::{command, ended, farthing, stdout};

/// A running `listen`, which ends with the test.
struct Listening {
    child: Child,
    /// What it said until it listened.
    said: Vec<String>,
}

impl Listening {
    fn start(
        folder: &std::path::Path,
        server: SocketAddr,
        token: &str,
        receiver: &Receiver,
        more: &[&str],
    ) -> Self {
        let url = format!("http://{server}");
        let args = ["listen", "--forward-to", &receiver.url(), "--url", &url, "--event", "payment.*"];
        let mut listen = command(folder, &[("FARTHING_TOKEN", token)], &[&args[..], more].concat());
        let mut child =
            listen.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let said: Vec<String> = lines.take_while(|line| line != "listening").collect();
        assert!(child.try_wait().unwrap().is_none(), "it does not come to listen: {said:?}");
        Self { child, said }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pay(user: &mut User, amount: &str) {
    user.pay(&json!({"amount": amount, "currency": "USD"})).expect(201);
}

/// Makes a webhook and pays; gives the webhook's path once the event was delivered.
fn pay_with_webhook(user: &mut User, hook: &Receiver, amount: &str) -> String {
    let body = json!({"url": hook.url(), "events": ["payment.*"]});
    let made = user.client.post("/webhooks", &body).expect(201).str("id");
    pay(user, amount);
    hook.wait_for(1);
    format!("/webhooks/{made}")
}

fn amounts(received: &[Received]) -> Vec<Value> {
    received.iter().map(|got| got.json()["data"]["amount"].clone()).collect()
}

fn send_again(user: &mut User, webhook: &str) {
    let delivery = user.list(&format!("{webhook}/deliveries"))[0]["id"].clone();
    user.client
        .post_empty(&format!("{webhook}/deliveries/{}/redeliver", delivery.as_str().unwrap()))
        .expect(202);
}

#[test]
fn what_was_missed_what_happens_and_what_is_sent_again_arrives() {
    let (hook, other_hook, local) = (Receiver::start(), Receiver::start(), Receiver::start());
    let server = Server::builder().sends_to(&[&hook, &other_hook]).start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let webhook = pay_with_webhook(&mut ada, &hook, "1");
    let others = pay_with_webhook(&mut bob, &other_hook, "100");
    // Sent again before anybody listened: what is missed is told once.
    send_again(&mut ada, &webhook);
    hook.wait_for(2);

    let folder = tempfile::tempdir().unwrap();
    let listening = Listening::start(folder.path(), server.address(), &ada.token, &local, &["--since", "1h"]);
    assert_eq!(amounts(&local.wait_for(1)), ["1.00"]);
    pay(&mut ada, "2");
    assert_eq!(amounts(&local.wait_for(2)), ["1.00", "2.00"]);
    hook.wait_for(3);
    send_again(&mut bob, &others);
    other_hook.wait_for(2);
    send_again(&mut ada, &webhook);
    let got = local.wait_for(3);
    assert_eq!(amounts(&got), ["1.00", "2.00", "2.00"]);
    assert_eq!((got[1].id(), &got[1].body), (got[2].id(), &got[2].body));
    let everything = json!({"since": "2020-01-01T00:00:00Z"});
    ada.client.post(&format!("{webhook}/replay"), &everything).expect(202);
    assert_eq!(amounts(&local.wait_for(5))[3..], ["1.00", "2.00"]);
    // Nothing is told again by going on.
    drop(listening);
    let _listening = Listening::start(folder.path(), server.address(), &ada.token, &local, &[]);
    pay(&mut ada, "3");
    assert_eq!(amounts(&local.wait_for(6))[5..], ["3.00"]);
}

/// A way to a server that can be closed for a while; it ends with the process.
#[derive(Clone)]
struct Gate {
    address: SocketAddr,
    /// What goes through; nothing if it is closed.
    passing: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Gate {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate =
            Self { address: listener.local_addr().unwrap(), passing: Arc::new(Mutex::new(Some(Vec::new()))) };
        let passing = Arc::clone(&gate.passing);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut passing = passing.lock().unwrap();
                let Some(passing) = &mut *passing else { continue };
                let server = TcpStream::connect(server).unwrap();
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                }
                passing.extend([client, server]);
            }
        });
        gate
    }

    fn close(&self) {
        for stream in self.passing.lock().unwrap().take().unwrap() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn open(&self) {
        *self.passing.lock().unwrap() = Some(Vec::new());
    }
}

#[test]
fn nothing_is_missed_while_the_connection_is_broken() {
    let (hook, local) = (Receiver::start(), Receiver::start());
    let server = Server::builder().sends_to(&[&hook]).start();
    let mut ada = server.user("ada");
    let webhook = pay_with_webhook(&mut ada, &hook, "1");
    let gate = Gate::to(server.address());
    let folder = tempfile::tempdir().unwrap();
    let _listening = Listening::start(folder.path(), gate.address, &ada.token, &local, &[]);
    // Before the first event, and after one.
    for (round, amount) in ["2", "3"].into_iter().enumerate() {
        gate.close();
        pay(&mut ada, amount);
        hook.wait_for(2 * round + 2);
        send_again(&mut ada, &webhook);
        hook.wait_for(2 * round + 3);
        gate.open();
        let amount = format!("{amount}.00");
        assert_eq!(amounts(&local.wait_for(2 * round + 2))[2 * round..], [amount.as_str(), amount.as_str()]);
    }
}

#[test]
fn a_stream_without_a_place_is_no_beginning() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let place = b": connected\nid: a-place\n\n";
    std::thread::spawn(move || {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        for answer in [head.as_bytes().to_vec(), [head.as_bytes(), place].concat()] {
            let (mut client, _) = server.accept().unwrap();
            let mut asked = BufReader::new(client.try_clone().unwrap()).lines();
            assert!(asked.any(|line| line.unwrap().is_empty()));
            client.write_all(&answer).unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let listening = Listening::start(folder.path(), address, "a-token", &Receiver::start(), &[]);
    assert_eq!(listening.said[1..], ["the stream ended; opening it again"]);
}

#[test]
fn what_is_triggered_is_told_and_what_cannot_be_is_refused() {
    let hook = Receiver::start();
    let mut server = Server::builder().sends_to(&[&hook]).start();
    let mut ada = server.user("ada");
    ada.client.post("/webhooks", &json!({"url": hook.url(), "events": ["refund.*"]})).expect(201);
    let (folder, url) = (tempfile::tempdir().unwrap(), format!("http://{}", server.address()));
    let trigger = |event: &str, token: &str| {
        farthing(folder.path(), &[("FARTHING_URL", &url), ("FARTHING_TOKEN", token)], &["trigger", event])
    };
    let done = trigger("refund.succeeded", &ada.token);
    ended(&done, 0, "");
    let got = &hook.wait_for(1)[0];
    assert_eq!((got.kind().as_str(), got.id()), ("refund.succeeded", stdout(&done).trim()));
    let feed = ada.client.get("/events?limit=100").expect(200).json();
    assert!(feed["data"].as_array().unwrap().contains(&got.json()), "{feed}");

    ended(&trigger("payment.eaten", &ada.token), 2, "invalid value 'payment.eaten' for '<EVENT>'");
    ended(&trigger("refund.succeeded", "no token"), 1, "the server says 401");
    assert_eq!(ada.client.get("/events?limit=100").expect(200).json(), feed, "nothing more is told");
    server.terminate();
    ended(&trigger("refund.succeeded", &ada.token), 3, "the server cannot be reached");
}
