//! Many payments at once: identical ones, more than there is money for, and money that goes round.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::lists::ids;
use crate::support::user::{major, minor};
use crate::support::{Request, Response, Server, User};

#[test]
fn of_two_hundred_identical_payments_at_once_without_a_key_exactly_one_succeeds() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let request = Request::post("/payment", &json!({"amount": "1.00", "currency": "USD", "to": bob.id}))
        .bearer(&ada.token);
    let answers = at_once(&server, 200, &request);
    let made: Vec<&Response> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 1);
    let id = made[0].str("id");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!((answer.status, answer.str("code").as_str()), (409, "duplicate_payment"), "{answer}");
        assert_eq!(answer.str("payment"), id);
    }
    assert_eq!(ids(&ada.list("/payments")), [id.as_str()]);
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (99_900, 100_100));
}

#[test]
fn of_two_hundred_identical_payments_at_once_with_a_key_all_get_the_one_answer() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    let body = json!({"amount": "1.00", "currency": "USD", "to": bob.id});
    let request = Request::post("/payment", &body).bearer(&ada.token).key("one-for-all");
    let answers = at_once(&server, 200, &request);
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (201, &answers[0].body), "{answer}");
    }
    let first = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count();
    assert_eq!(first, 1, "all but the first are marked as replayed");
    assert_eq!(ids(&ada.list("/payments")), [answers[0].str("id")]);
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (99_900, 100_100));
}

/// The same request on so many connections, all opened before the first is sent.
fn at_once(server: &Server, many: usize, request: &Request) -> Vec<Response> {
    crate::support::at_once((0..many).map(|_| (server.client(), request)).collect())
}

#[test]
fn racing_payments_never_overdraw() {
    let server = Server::start();
    let (ada, mut bob) = (server.user("ada"), server.user("bob"));
    let running = AtomicBool::new(true);
    // 40 × 40 payments of 3.00 are 4800.00, of which there are 1000.00.
    let spent: i64 = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut ada = ada.log_in_again(server.client());
            while running.load(Ordering::Relaxed) {
                assert!(ada.balance("USD") >= 0);
            }
        });
        let threads: Vec<_> = (0..40)
            .map(|thread| {
                let (mut client, to) = (server.client().with_token(&ada.token), &bob.id);
                scope.spawn(move || {
                    let mut spent = 0;
                    for n in 0..40 {
                        let body = json!({"amount": "3.00", "currency": "USD", "to": to});
                        let response =
                            client.call(&Request::post("/payment", &body).key(&format!("{thread}/{n}")));
                        match response.status {
                            201 => spent += 300,
                            402 => assert!(minor(&response.str("available")) < 300, "{response}"),
                            _ => panic!("{response}"),
                        }
                    }
                    spent
                })
            })
            .collect();
        let spent = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        running.store(false, Ordering::Relaxed);
        watch.join().unwrap();
        spent
    });
    assert_eq!(spent, 99_900, "as many as the balance allowed");
    let mut ada = ada;
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (100, 199_900));
    assert_eq!(ada.list("/payments").len(), 1_600);
    server.verify();
}

#[test]
fn money_that_goes_round_in_both_directions_is_conserved() {
    let server = Server::start();
    let users: Vec<User> = (0..4).map(|n| server.user(&format!("user{n}"))).collect();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (server, users) = (&server, &users);
            scope.spawn(move || {
                for n in 0..25 {
                    let (from, to) = (&users[(thread + n) % 4], &users[(thread + 3 * n + 1) % 4]);
                    let body = json!({"amount": major(1 + i64::try_from(n).unwrap()), "currency": "USD", "to": to.id});
                    let request = Request::post("/payment", &body).bearer(&from.token);
                    let response = server.client().call(&request.key(&format!("{thread}/{n}")));
                    assert!(response.status == 201 || (from.id == to.id && response.status == 422), "{response}");
                }
            });
        }
    });
    let total: i64 = users.into_iter().map(|mut user| user.balance("USD")).sum();
    assert_eq!(total, 400_000);
    server.verify();
}

#[test]
fn what_was_acknowledged_is_seen_at_once_by_everybody_whom_it_concerns() {
    let server = Server::start();
    let users: Vec<User> = (0..4).map(|n| server.user(&format!("user{n}"))).collect();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (server, users) = (&server, &users);
            scope.spawn(move || {
                let (from, to) = (&users[thread % 4], &users[(thread + 1) % 4]);
                let mut payer = server.client().with_token(&from.token);
                let mut payee = server.client().with_token(&to.token);
                for n in 0..60 {
                    let body = json!({"amount": "0.01", "currency": "USD", "to": to.id});
                    let request = Request::post("/payment", &body).key(&format!("{thread}/{n}"));
                    let payment = payer.call(&request).expect(201).json();
                    let id = payment["id"].as_str().unwrap();
                    for client in [&mut payee, &mut payer] {
                        assert_eq!(client.get(&format!("/payment/{id}")).expect(200).json(), payment);
                        // At most the payments of the other threads can have come in between.
                        let rows = crate::support::lists::rows(&client.get("/transactions?limit=100").json());
                        assert!(
                            rows.iter().any(|row| row["payment"] == id),
                            "{id} is not in the history yet"
                        );
                    }
                }
            });
        }
    });
    server.verify();
}
