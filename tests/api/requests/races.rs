//! One request, many who pay it at once.

use std::sync::Barrier;
use std::thread;

use serde_json::json;

use crate::support::{Request, Server};

#[test]
fn of_many_who_pay_at_once_one_does() {
    let server = Server::start();
    let mut ada = server.user("ada");
    let users: Vec<_> = (0..12).map(|n| server.user(&format!("payer{n}"))).collect();
    for _ in 0..3 {
        let id =
            ada.client.post("/requests", &json!({"amount": "7", "currency": "USD"})).expect(201).str("id");
        let before = ada.balance("USD");
        let start = Barrier::new(users.len());
        let pay = |token: &str| {
            let request = Request::post(&format!("/requests/{id}/pay"), &json!({})).bearer(token).key(&id);
            let mut client = server.client();
            start.wait();
            let response = client.call(&request);
            let status = response.status;
            if status != 201 {
                response.problem(409, "request_state");
            }
            status
        };
        let answers: Vec<u16> = thread::scope(|scope| {
            let pay = &pay;
            let threads: Vec<_> = users.iter().map(|user| scope.spawn(move || pay(&user.token))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
        assert_eq!(ada.balance("USD"), before + 700);
    }
    server.verify();
}

#[test]
fn taken_back_or_paid_but_never_both() {
    let server = Server::start();
    let (mut ada, bob) = (server.user("ada"), server.user("bob"));
    for n in 0..10 {
        let id =
            ada.client.post("/requests", &json!({"amount": "1", "currency": "USD"})).expect(201).str("id");
        let before = ada.balance("USD");
        let path = format!("/requests/{id}");
        let start = Barrier::new(2);
        let (paid, cancelled) = thread::scope(|scope| {
            let pay = scope.spawn(|| {
                let request =
                    Request::post(&format!("{path}/pay"), &json!({})).bearer(&bob.token).key(&n.to_string());
                start.wait();
                server.client().call(&request).status
            });
            start.wait();
            let cancelled = ada.client.call(&Request::new("DELETE", &path)).status;
            (pay.join().unwrap(), cancelled)
        });
        assert!([(201, 409), (409, 204)].contains(&(paid, cancelled)), "{paid} {cancelled}");
        assert_eq!(ada.balance("USD"), before + if paid == 201 { 100 } else { 0 });
    }
    server.verify();
}
