//! How lists are paged: limits, cursors, and rows that arrive meanwhile.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::lists::{assert_distinct, check_page, ids, page, rows};
use crate::support::shape::assert_fails;
use crate::support::{Request, Server};

#[test]
fn pages_follow_each_other_without_a_gap() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for n in 0..45 {
        ada.pay_with_key(&format!("{n}"), &json!({"amount": "1", "currency": "USD"})).expect(201);
    }
    for path in ["/transactions", "/payments", "/transactions?currency=USD", "/transactions?type=payment"] {
        let all = ids(&ada.list(path));
        assert_distinct(&all);
        let first = ada.client.get(path).expect(200);
        assert_eq!(ids(&rows(&first.json())), all[..20], "the default is twenty");
        for limit in [1, 7, 20, 45, 46, 100] {
            let (mut paged, mut next) = (Vec::new(), None);
            loop {
                let response = page(&mut ada.client, path, limit, next.as_deref());
                let found = ids(&rows(&response.json()));
                assert!(found.len() <= limit, "{response}");
                paged.extend(found);
                next = check_page(&response);
                if next.is_none() {
                    break;
                }
            }
            assert_eq!(paged, all, "{path} by {limit}");
        }
    }
}

#[test]
fn wallets_and_sessions_are_paged_as_well() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for currency in ["JPY", "EUR", "KWD", "CHF"] {
        ada.client.post("/topup", &json!({"amount": "5", "currency": currency})).expect(201);
    }
    for _ in 0..4 {
        ada.log_in_again(server.client());
    }
    let currencies: Vec<Value> = ["CHF", "EUR", "JPY", "KWD", "USD"].map(Value::from).to_vec();
    let wallets = rows(&ada.client.get("/wallets").expect(200).json());
    assert_eq!(wallets.iter().map(|wallet| wallet["currency"].clone()).collect::<Vec<_>>(), currencies);
    let sessions = rows(&ada.client.get("/sessions").expect(200).json());
    assert_eq!(sessions.len(), 5);
    assert!(
        sessions.is_sorted_by(|newer, older| newer["created_at"].as_str() >= older["created_at"].as_str())
    );
    for (path, all) in [("/wallets", wallets), ("/sessions", sessions)] {
        for limit in [1, 2, 4, 5, 100] {
            let (mut paged, mut next) = (Vec::new(), None);
            loop {
                let response = page(&mut ada.client, path, limit, next.as_deref());
                paged.extend(rows(&response.json()));
                next = check_page(&response);
                if next.is_none() {
                    break;
                }
            }
            assert_eq!(paged, all, "{path} by {limit}");
        }
    }
}

#[test]
fn the_link_leads_to_the_next_page() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for n in 1..=5 {
        ada.pay(&json!({"amount": n, "currency": "USD"})).expect(201);
    }
    let all = ids(&ada.list("/transactions?type=payment"));
    let mut found = Vec::new();
    let mut target = "/transactions?limit=2&type=payment".to_owned();
    loop {
        let response = ada.client.get(&target).expect(200);
        found.extend(ids(&rows(&response.json())));
        let Some(link) = response.header("link") else { break };
        let inside = link.split_once('<').and_then(|(_, rest)| rest.split_once('>')).unwrap().0;
        target = inside.strip_prefix("http://localhost").unwrap_or(inside).to_owned();
    }
    assert_eq!(found, all);
}

#[test]
fn a_limit_and_a_cursor_are_checked() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for path in ["/transactions", "/payments", "/me/activity", "/wallets", "/sessions"] {
        for limit in ["0", "101", "-1", "1000000000", "abc", "1.5", "", "99999999999999999999"] {
            assert_fails(&ada.client.get(&format!("{path}?limit={limit}")), &["limit"]);
        }
        for after in
            ["garbage", "0", "-1", "%00", "'", "AAAAAAAAAAAAAAAAAAAAAAAA", "usr_01h455vb4pex5vsknk084sn02q"]
        {
            assert_fails(&ada.client.get(&format!("{path}?after={after}")), &["after"]);
        }
        assert_fails(&ada.client.get(&format!("{path}?limit=x&after=x")), &["limit", "after"]);
    }
}

#[test]
fn a_cursor_shows_its_finder_nothing_of_others() {
    let server = Server::start();
    let (mut ada, mut eve) = (server.user("ada"), server.user("eve"));
    for n in 1..=5 {
        ada.pay(&json!({"amount": n, "currency": "USD"})).expect(201);
    }
    let response = page(&mut ada.client, "/transactions", 2, None);
    let cursor = check_page(&response).unwrap();
    let answer = eve.client.get(&format!("/transactions?after={cursor}"));
    assert!([200, 422].contains(&answer.status), "{answer}");
    if answer.status == 200 {
        let own: HashSet<String> = ids(&eve.list("/transactions")).into_iter().collect();
        assert!(ids(&rows(&answer.json())).iter().all(|id| own.contains(id)), "{answer}");
    }
}

#[test]
fn no_row_is_missed_or_seen_twice_while_rows_arrive() {
    let server = Server::start();
    let (mut ada, bob) = (server.user("ada"), server.user("bob"));
    for n in 0..300 {
        ada.pay_with_key(&format!("before {n}"), &json!({"amount": "0.01", "currency": "USD", "to": bob.id}))
            .expect(201);
    }
    for (path, limit) in [("/transactions", 7), ("/payments", 3), ("/transactions?type=payment", 10)] {
        let before = ids(&ada.list(path));
        let running = AtomicBool::new(true);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (mut client, to, running) = (server.client(), &bob, &running);
                let token = ada.token.clone();
                scope.spawn(move || {
                    let mut n = 0;
                    while running.load(Ordering::Relaxed) && n < 2_000 {
                        let body = json!({"amount": "0.01", "currency": "USD", "to": to.id});
                        let key = format!("{path} {thread} {n}");
                        client.call(&Request::post("/payment", &body).key(&key).bearer(&token)).expect(201);
                        n += 1;
                    }
                });
            }
            let (mut paged, mut next) = (Vec::new(), None);
            loop {
                let response = page(&mut ada.client, path, limit, next.as_deref());
                paged.extend(ids(&rows(&response.json())));
                next = check_page(&response);
                if next.is_none() {
                    break;
                }
            }
            running.store(false, Ordering::Relaxed);
            assert_distinct(&paged);
            let from = paged.len() - before.len();
            assert_eq!(paged[from..], before, "what was there before, in its order");
        });
    }
    let all = ids(&ada.list("/transactions"));
    assert_distinct(&all);
    assert_eq!(all.len(), ada.list("/payments").len() + 1);
}
