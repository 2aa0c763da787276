//! Two nodes on one database: one ledger.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::cast::Cast;
use crate::support::postgres::Postgres;
use crate::support::server::Builder;
use crate::support::stories::{self, PLOTS, Story};
use crate::support::{PASSWORD, Request, Response, Server, User};

/// Two nodes that share a database and a key file.
pub fn two() -> (Server, Server) {
    two_with(|node| node)
}

/// The same, with settings.
pub fn two_with(settings: impl Fn(Builder) -> Builder) -> (Server, Server) {
    let one = settings(Server::embedded().database(Postgres::shared().database())).start();
    let two = settings(Server::embedded().database(one.shared_database().unwrap()).data(one.data())).start();
    (one, two)
}

/// Asks all of it at once, the first of one node, the second of the other, and so on.
fn at_once(nodes: [&Server; 2], requests: &[Request]) -> Vec<Response> {
    let clients = nodes.into_iter().cycle().map(Server::client);
    crate::support::at_once(clients.zip(requests).collect())
}

/// The one answer that is a success; the others were refused for this reason.
#[track_caller]
fn only_success<'a>(answers: &'a [Response], reason: &str) -> &'a Response {
    let (well, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status < 300);
    assert_eq!(well.len(), 1, "{answers:?}");
    for answer in refused {
        assert_eq!((answer.status, answer.str("code").as_str()), (409, reason), "{answer}");
    }
    well[0]
}

#[test]
fn a_hundred_identical_requests_pay_once() {
    let (one, two) = two();
    let ada = one.user("ada");
    let body = json!({"amount": "1", "currency": "USD", "description": "once"});
    let ask = |request: &Request| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..100)
                .map(|number| {
                    let node = if number % 2 == 0 { &one } else { &two };
                    let mut client = node.client().with_token(&ada.token);
                    scope.spawn(move || client.call(request))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        })
    };
    let answers = ask(&Request::post("/payment", &body).key("the same"));
    assert!(
        answers.iter().all(|answer| answer.status == 201),
        "{:?}",
        answers.iter().find(|a| a.status != 201)
    );
    assert_eq!(answers.iter().map(Response::text).collect::<BTreeSet<_>>().len(), 1);
    let replayed =
        answers.iter().filter(|answer| answer.header("Idempotent-Replayed") == Some("true")).count();
    assert_eq!(replayed, 99);

    let answers = ask(&Request::post("/payment", &json!({"amount": "2", "currency": "USD"})));
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(409)), (1, 99));
    one.verify();
}

#[test]
fn no_transaction_stays_open_while_nobody_asks() {
    let server = Server::embedded().database(Postgres::shared().database());
    let node = server.env("FARTHING_DATABASE_WRITERS", "3").start();
    let (database, ada) = (node.shared_database().unwrap(), node.user("ada"));
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND state = 'idle in transaction' AND state_change < clock_timestamp() - interval '1 second'";
    for round in 0..5 {
        let pay = |number| {
            let request = Request::post("/payment", &json!({"amount": "0.01", "currency": "USD"}));
            request.bearer(&ada.token).key(&format!("{round} {number}"))
        };
        let asked: Vec<Request> = (0..24).map(pay).collect();
        let answers = at_once([&node, &node], &asked);
        assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
        std::thread::sleep(std::time::Duration::from_millis(1_300));
        assert_eq!(database.query(open).unwrap(), "0");
    }
}

#[test]
fn nobody_spends_on_two_nodes_what_they_have_once() {
    let (one, two) = two();
    let ada = one.user("ada");
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..40)
            .map(|number| {
                let node = if number % 2 == 0 { &one } else { &two };
                let mut client = node.client().with_token(&ada.token);
                let request = Request::post("/payment", &json!({"amount": "60", "currency": "USD"}))
                    .key(&format!("spend {number}"));
                scope.spawn(move || client.call(&request).status)
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 16, "{answers:?}");
    assert!(answers.iter().all(|status| [201, 402].contains(status)), "{answers:?}");
    one.verify();
}

#[test]
fn what_a_node_knows_of_users_is_never_older_than_the_journal() {
    let of = |node: Builder| {
        let node = node.env("FARTHING_RISK_PAYER_PAYMENTS", "decline above 20");
        node.env("FARTHING_RISK_PAYEE_PAYMENTS", "decline above 25")
            .env("FARTHING_RISK_FAN_IN", "off")
            .env("FARTHING_RISK_SAME_PAYMENT", "off")
    };
    let one = of(Server::embedded().database(Postgres::shared().database())).start();
    let two = of(Server::embedded().database(one.shared_database().unwrap()).data(one.data())).start();
    let [ada, ben, cleo, dan] = ["ada", "ben", "cleo", "dan"].map(|name| one.user(name));
    let pay = |node: &Server, from: &User, to: &User, key: String| {
        let body = json!({"amount": "1", "currency": "USD", "to": to.id});
        node.client().call(&Request::post("/payment", &body).bearer(&from.token).key(&key)).status
    };
    // Runs of payments on either node, with some of others in between, so that each knows more or less of ada's.
    let runs =
        [(&one, 3), (&two, 2), (&one, 1), (&two, 4), (&one, 5), (&two, 1), (&one, 1), (&two, 2), (&one, 1)];
    for (round, (node, times)) in (0..).zip(runs) {
        for time in 0..times {
            assert_eq!(pay(node, &ada, &ben, format!("ada {round} {time}")), 201);
        }
        assert_eq!(pay(if round % 2 == 0 { &one } else { &two }, &dan, &cleo, format!("dan {round}")), 201);
    }
    for node in [&one, &two] {
        assert_eq!(pay(node, &ada, &cleo, format!("one too many on {}", node.address())), 402);
    }
    for (time, node) in [&one, &two, &two, &one, &two].into_iter().enumerate() {
        assert_eq!(pay(node, &cleo, &ben, format!("cleo {time}")), 201);
    }
    for node in [&two, &one] {
        assert_eq!(pay(node, &dan, &ben, format!("one too many on {}", node.address())), 402);
    }
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let pay = &pay;
        let (one, two, ben, dan) = (&one, &two, &ben, &dan);
        let on = |time: usize| {
            move || pay(if time.is_multiple_of(2) { one } else { two }, ben, dan, format!("ben {time}"))
        };
        let threads: Vec<_> = (0..30).map(|time| scope.spawn(on(time))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 20, "{answers:?}");
    one.verify();
}

#[test]
fn a_request_is_paid_on_one_of_two_nodes() {
    let (one, two) = two();
    let mut ada = one.user("ada");
    let payers: Vec<_> = (0..10).map(|n| one.user(&format!("payer{n}"))).collect();
    let id = ada.client.post("/requests", &json!({"amount": "7", "currency": "USD"})).expect(201).str("id");
    let pay = |(number, token): (usize, &str)| {
        let node = if number % 2 == 0 { &one } else { &two };
        let request = Request::post(&format!("/requests/{id}/pay"), &json!({})).bearer(token).key("k");
        node.client().call(&request).status
    };
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let pay = &pay;
        let numbered = payers.iter().enumerate();
        let threads: Vec<_> =
            numbered.map(|(n, payer)| scope.spawn(move || pay((n, &payer.token)))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| [201, 409].contains(status)), "{answers:?}");
    assert_eq!(ada.balance("USD"), 100_700);
    one.verify();
}

#[test]
fn a_schedule_runs_once_each_time_whichever_node_comes_first() {
    let (one, two) = two();
    let (mut ada, mut admin) = (one.user("ada"), one.operator("admin"));
    let now = ada.client.get("/statement?currency=USD").expect(200).str("created_at");
    let year: u32 = now[..4].parse().unwrap();
    let body = json!({"amount": "1", "currency": "USD", "at": format!("{}-01-01T12:00:00Z", year + 1),
        "rrule": "FREQ=DAILY;COUNT=20", "missed": "run_all"});
    let id = ada.client.post("/schedules", &body).expect(201).str("id");
    // Longer than a year, so that every run is over on both nodes.
    admin.client.post("/sandbox/clock", &json!({"advance": 400 * 86_400})).expect(200);
    let mut ada = ada.log_in_again(two.client());
    crate::support::until("the last of twenty runs", || {
        ada.client.get(&format!("/schedules/{id}")).expect(200).str("status") == "done"
    });
    assert_eq!(ada.client.get(&format!("/schedules/{id}")).expect(200).json()["runs"], 20);
    assert_eq!(ada.list("/payments").len(), 20);
    assert_eq!(ada.balance("USD"), 100_000 - 2_000);
    // The other node's clock shows the same year, and goes on.
    let first = ada.pay(&json!({"amount": "3", "currency": "USD"})).expect(201).str("created_at");
    let second = ada.pay(&json!({"amount": "4", "currency": "USD"})).expect(201).str("created_at");
    assert!(now < first && first[..4] > now[..4] && first <= second, "{now} {first} {second}");
    one.verify();
}

#[test]
fn one_email_registers_once_and_one_token_is_swapped_once() {
    let (one, two) = two();
    let both = |request: &Request| {
        std::thread::scope(|scope| {
            let threads = [&one, &two, &one, &two].map(|node| {
                let mut client = node.client();
                scope.spawn(move || client.call(request))
            });
            threads.map(|thread| thread.join().unwrap())
        })
    };
    let registered =
        both(&Request::post("/register", &json!({"email": "same@example.org", "password": PASSWORD})));
    let mut statuses = registered.map(|answer| answer.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);

    let ada = one.user("ada");
    let swapped = both(&Request::post("/token/refresh", &json!({"refresh_token": ada.refresh})));
    let won: Vec<_> = swapped.iter().filter(|answer| answer.status == 200).collect();
    assert!(won.len() <= 1, "{} branches are alive", won.len());
    // A spent token was shown again: the whole session has ended, on every node.
    for answer in won {
        for node in [&one, &two] {
            node.client().call(&Request::get("/me").bearer(&answer.str("access_token"))).expect(401);
        }
    }
}

#[test]
fn what_one_node_is_told_holds_on_the_other_at_once() {
    let (one, two) = two();
    let mut ada = one.user("ada");
    let mut elsewhere = two.client().with_token(&ada.token);
    elsewhere.get("/me").expect(200);
    ada.pay_with_key("k", &json!({"amount": "5", "currency": "USD"})).expect(201);
    let wallets = elsewhere.get("/wallets").expect(200);
    assert_eq!(wallets.json()["data"][0]["balance"], "995.00");
    let frozen =
        one.database().unwrap().query("UPDATE users SET frozen = true WHERE email = 'ada@example.org'");
    frozen.unwrap();
    for client in [&mut ada.client, &mut elsewhere] {
        client.post("/payment", &json!({"amount": "6", "currency": "USD"})).problem(403, "account_frozen");
    }
    ada.client.post_empty("/logout").expect(204);
    elsewhere.get("/me").problem(401, "token_invalid");
}

#[test]
fn failures_on_one_node_count_on_the_other() {
    let limited =
        |server: crate::support::server::Builder| server.env("FARTHING_RATE_LIMITS_ENABLED", "true");
    let one = limited(Server::embedded().database(Postgres::shared().database())).start();
    let two = limited(Server::embedded().database(one.shared_database().unwrap()).data(one.data())).start();
    let ada = one.user("ada");
    let wrong = json!({"email": ada.email, "password": "not hers at all"});
    let mut stranger = one.client().connecting_from([127, 0, 0, 9]);
    while stranger.post("/login", &wrong).status == 401 {}
    // About a second later the other node knows.
    crate::support::until("the other node heard of it", || {
        two.client().connecting_from([127, 0, 0, 10]).post("/login", &wrong).status == 429
    });
}

#[test]
fn each_step_of_a_payment_that_both_nodes_are_asked_for_happens_once() {
    let (one, two) = two();
    let cast = Cast::new(&one, 6);
    let told: Vec<Story> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..24)
            .map(|number| {
                let mut story = cast.story(format!("story {number}"), PLOTS[number % PLOTS.len()], number);
                let nodes = [&one, &two];
                scope.spawn(move || {
                    while !story.is_over() {
                        let step = story.next();
                        let answers = std::thread::scope(|scope| {
                            let asked = nodes.map(|node| scope.spawn(|| node.client().call(&step)));
                            asked.map(|asked| asked.join().unwrap())
                        });
                        if story.next_moves_money() {
                            let [first, second] =
                                [0, 1].map(|node: usize| stories::told(&answers[node].body));
                            assert_eq!(first, second, "two answers under one key");
                        }
                        assert!(story.take(&answers[0]), "{}", answers[0]);
                        story.check_again(&mut nodes[number % 2].client());
                    }
                    story
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for story in &told {
        story.audit(&mut two.client());
    }
    cast.audit_balances(&two, &[told]);
    one.verify();
}

#[test]
fn of_many_refunds_of_a_whole_payment_on_two_nodes_one_wins() {
    let (one, two) = two();
    let (mut ada, mut bob) = (one.user("ada"), one.user("bob"));
    for round in 0..5 {
        let body = json!({"amount": "100", "currency": "USD", "to": bob.id});
        let id = ada.pay_with_key(&format!("pay {round}"), &body).expect(201).str("id");
        let refund = |number| {
            let request = Request::post(&format!("/payment/{id}/refund"), &json!({"amount": "100"}));
            request.bearer(&bob.token).key(&format!("{id} {number}"))
        };
        let refunds: Vec<Request> = (0..20).map(refund).collect();
        only_success(&at_once([&one, &two], &refunds), "payment_state");
        let payment = ada.client.get(&format!("/payment/{id}")).expect(200);
        assert_eq!(
            (payment.str("status"), payment.str("amount_refunded")),
            ("refunded".into(), "100.00".into())
        );
    }
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (100_000, 100_000));
    one.verify();
}

/// A payment of 10.00 that its payee is still to capture.
fn hold(payer: &mut User, payee: &User, key: &str) -> String {
    let body = json!({"amount": "10", "currency": "USD", "to": payee.id, "capture": "manual"});
    payer.pay_with_key(key, &body).expect(201).str("id")
}

/// What the payer has, and what of it is held.
fn wallet(user: &mut User) -> [Value; 2] {
    let wallets = user.client.get("/wallets").expect(200).json();
    ["balance", "held"].map(|member| wallets["data"][0][member].clone())
}

#[test]
fn what_one_node_captures_the_other_does_not_void() {
    let (one, two) = two();
    let (mut ada, mut bob) = (one.user("ada"), one.user("bob"));
    let mut captured = 0;
    for round in 0..10 {
        let id = hold(&mut ada, &bob, &format!("hold {round}"));
        let step = |what: &str| {
            Request::post(&format!("/payment/{id}/{what}"), &json!({}))
                .bearer(&bob.token)
                .key(&format!("{what} {id}"))
        };
        let nodes = if round % 2 == 0 { [&one, &two] } else { [&two, &one] };
        let answers = at_once(nodes, &[step("capture"), step("void")]);
        let won = only_success(&answers, "payment_state").str("status");
        assert_eq!(ada.client.get(&format!("/payment/{id}")).expect(200).str("status"), won);
        captured += i64::from(won == "succeeded");
        assert!(["succeeded", "voided"].contains(&won.as_str()), "{won}");
    }
    assert_eq!(wallet(&mut ada)[1], "0.00");
    assert_eq!(
        (ada.balance("USD"), bob.balance("USD")),
        (100_000 - captured * 1_000, 100_000 + captured * 1_000)
    );
    one.verify();
}

#[test]
fn a_hold_that_two_workers_let_expire_is_released_once() {
    let (one, two) = two_with(|node| node.env("FARTHING_PAYMENTS_HOLD_SECONDS", "4"));
    let (mut ada, bob) = (one.user("ada"), one.user("bob"));
    let mut held: BTreeSet<String> = (0..10).map(|n| hold(&mut ada, &bob, &format!("hold {n}"))).collect();
    // There is still something held when the first are released, that could be released in their place.
    std::thread::sleep(std::time::Duration::from_secs(2));
    held.extend((10..30).map(|n| hold(&mut ada, &bob, &format!("hold {n}"))));
    // Both workers see that the first have lapsed before either may touch them.
    let keep = "BEGIN; SELECT id FROM records FOR UPDATE; SELECT pg_sleep(3); COMMIT";
    one.database().unwrap().query(keep).unwrap();
    crate::support::until("all holds are released", || wallet(&mut ada)[1] == "0.00");
    // The other worker has had its turn, too.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(wallet(&mut ada), ["1000.00", "0.00"]);
    let events = two.client().with_token(&ada.token).get("/events?limit=100").expect(200).json();
    let released: Vec<String> = crate::support::lists::rows(&events)
        .iter()
        .filter(|event| event["type"] == "payment.expired")
        .map(|event| event["data"]["payment"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((released.len(), released.into_iter().collect::<BTreeSet<_>>()), (30, held));
    one.verify();
}

#[test]
fn cash_that_waits_is_decided_on_one_of_two_nodes() {
    let (one, two) = two_with(|node| node.env("FARTHING_SECURITY_FOUR_EYES_ABOVE", "100"));
    let (mut ada, mut cashier, admin) = (one.user("ada"), one.operator("cashier"), one.operator("admin"));
    let mut deposited = 0;
    for (round, decisions) in
        (0..).zip([["approve", "reject"], ["reject", "approve"], ["approve"; 2]].repeat(4))
    {
        let body = json!({"user": ada.id, "amount": "150", "currency": "EUR", "reference": "slip 7"});
        let order = Request::post("/admin/deposits", &body).key(&format!("slip {round}"));
        let id = cashier.client.call(&order).expect(202).str("id");
        let decisions = decisions.map(|decision| {
            Request::post(&format!("/admin/cash/{id}/{decision}"), &json!({})).bearer(&admin.token)
        });
        let answers = at_once([&one, &two], &decisions);
        deposited += i64::from(only_success(&answers, "cash_decided").status == 201);
        assert_eq!(ada.balance("EUR"), deposited * 15_000);
    }
    one.verify();
}

#[test]
fn bulk_payments_sent_to_both_nodes_under_the_same_keys_are_paid_once() {
    let (one, two) = two();
    let (mut ada, mut bob) = (one.user("ada"), one.user("bob"));
    for (round, mode) in (0..).zip(["one_by_one", "all_or_nothing"].repeat(2)) {
        let payments: Vec<Value> = (0..20)
            .map(|number| json!({"idempotency_key": format!("{round} {number}"), "amount": "1", "currency": "USD", "to": bob.id}))
            .collect();
        let body = json!({"mode": mode, "payments": payments});
        let request = Request::post("/payments/batch", &body).bearer(&ada.token);
        let answers = at_once([&one, &two], &[request.clone(), request.clone(), request.clone(), request]);
        let paid = |answer: &Response| -> Vec<Value> {
            assert_eq!(answer.status, 200, "{answer}");
            let results = answer.json()["results"].as_array().unwrap().clone();
            assert!(results.iter().all(|result| result["status"] == 201), "{answer}");
            results.into_iter().map(|result| result["payment"]["id"].clone()).collect()
        };
        let first = paid(&answers[0]);
        assert!(answers.iter().all(|answer| paid(answer) == first), "{answers:?}");
        assert_eq!(ada.list("/payments").len(), 20 * (round + 1));
    }
    assert_eq!((ada.balance("USD"), bob.balance("USD")), (100_000 - 8_000, 100_000 + 8_000));
    one.verify();
}
