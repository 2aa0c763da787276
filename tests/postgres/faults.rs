//! Connections cut around the COMMIT; PostgreSQL, one of its backends, and a node killed under load.

use std::time::Duration;

use serde_json::json;

use crate::book::{Book, pay_while};
use crate::support::postgres::{Postgres, Stop};
use crate::support::proxy::Proxy;
use crate::support::{Random, Request, Server, User, count, until};

/// Sixteen users, each with enough for the longest run.
fn users(server: &Server) -> Vec<User> {
    let rich = |number: usize| {
        let mut user = server.user(&format!("payer{number}"));
        user.client.post("/topup", &json!({"amount": "1000000", "currency": "USD"})).expect(201);
        user
    };
    (0..16).map(rich).collect()
}

#[test]
fn a_commit_whose_answer_is_lost_happens_once() {
    let seed = Random::seed_of_this_run();
    let database = Postgres::shared().database();
    let proxy = Proxy::start(Postgres::shared().address(), seed);
    let server = Server::embedded()
        .with_lasting_tokens()
        .env("FARTHING_DATABASE_URL", &database.url_at(proxy.address()))
        .env("FARTHING_DATABASE_MIGRATION_URL", &database.migration_url())
        .start();
    let users = users(&server);
    proxy.cut_one_in(5);
    let wanted = count(200, 10_000);
    let book = pay_while(&users, &[server.address()], seed, |_| {
        while proxy.count() < wanted {
            std::thread::sleep(Duration::from_millis(10));
        }
        proxy.cut_one_in(0);
    });
    println!("{} payments, {:?}, {} faults told", book.acknowledged(), proxy.cuts, book.faults);
    book.check(&database);
    server.verify();
}

#[test]
fn postgres_and_its_backends_may_be_killed() {
    let mut random = Random::new(Random::seed_of_this_run());
    let postgres = Postgres::own();
    let database = postgres.database();
    let url = database.url();
    let server = Server::embedded()
        .with_lasting_tokens()
        .env("FARTHING_DATABASE_URL", &url)
        .env("FARTHING_DATABASE_MIGRATION_URL", &database.migration_url())
        .start();
    let users = users(&server);
    let book = pay_while(&users, &[server.address()], random.next(), |book| {
        for round in 0..count(4, 2_000) {
            std::thread::sleep(Duration::from_millis(random.between(100, 500)));
            // Payments may have gone on once more before it noticed that a backend was killed.
            until("PostgreSQL has recovered", || postgres.accepts());
            match round % 4 {
                0 => {
                    postgres.kill_backend(&database);
                }
                1 => {
                    database.terminate_backends();
                }
                2 => {
                    postgres.kill();
                    // While there is no database, everybody is told so, and soon.
                    let answer = server.client().get("/readyz");
                    assert!([200, 503].contains(&answer.status), "{answer}");
                    until("the node is not ready", || server.client().get("/readyz").status == 503);
                    server
                        .client()
                        .call(&Request::get("/me").bearer(&users[0].token))
                        .problem(503, "unavailable");
                    postgres.start();
                }
                _ => {
                    postgres.stop(Stop::Immediate);
                    postgres.start();
                }
            }
            server.wait_until_ready();
            let before = book.lock().unwrap().acknowledged();
            until("payments go on", || book.lock().unwrap().acknowledged() > before);
        }
    });
    println!("{} payments, {} faults told", book.acknowledged(), book.faults);
    book.check(&database);
    server.verify();
}

#[test]
fn a_node_may_be_killed_under_load() {
    let mut random = Random::new(Random::seed_of_this_run());
    let database = Postgres::shared().database();
    let mut server = Server::embedded().with_lasting_tokens().database(database).start();
    let other = Server::embedded().with_lasting_tokens().database(server.shared_database().unwrap());
    let other = other.data(server.data()).start();
    let users = users(&server);
    let mut whole = Book::default();
    for _ in 0..count(5, 2_000) {
        let nodes = [server.address(), other.address()];
        let seed = random.next();
        let delay = Duration::from_millis(random.between(50, 400));
        let book = pay_while(&users, &nodes, seed, |book| {
            until("payments are made", || book.lock().unwrap().acknowledged() > 0);
            std::thread::sleep(delay);
            server.kill();
            // The other node goes on, and answers for what this one left.
            let before = book.lock().unwrap().acknowledged();
            until("the other node goes on", || book.lock().unwrap().acknowledged() > before + 16);
        });
        whole.absorb(book);
        server.start_again();
    }
    println!("{} payments, {} faults told", whole.acknowledged(), whole.faults);
    whole.check(other.database().unwrap());
    other.verify();
}
