//! A list costs what is on it, whoever else has how many rows: the planner is not misled by a ledger in which few have
//! nearly everything.

use std::time::Duration;

use serde_json::json;

use crate::support::postgres::{Database, Postgres};
use crate::support::{Request, Server};

/// Payment requests that one user makes, and payments of that user to another.
const REQUESTS: usize = 3_000;
const PAYMENTS: usize = 4_000;

/// The rows of journal and records that were read so far. Connections tell at their end, so all of them end first.
fn rows_read(database: &Database) -> usize {
    while database.terminate_backends() > 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let sql = "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables \
               WHERE relname IN ('records', 'transactions', 'security_events')";
    database.query(sql).unwrap().parse().unwrap()
}

#[test]
fn a_short_list_is_read_without_the_long_ones() {
    let mut server = Server::embedded().database(Postgres::shared().database()).start();
    let (mut ada, bob, cyd) = (server.user("ada"), server.user("bob"), server.user("cyd"));
    for bulk in 0..PAYMENTS / 1_000 {
        let pay = |number| {
            json!({"to": bob.email, "amount": "0.01", "currency": "USD",
                "idempotency_key": format!("{bulk} {number}")})
        };
        let body = json!({"mode": "all_or_nothing", "payments": (0..1_000).map(pay).collect::<Vec<_>>()});
        ada.client.call(&Request::post("/payments/batch", &body)).expect(200);
    }
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let mut client = server.client().with_token(&ada.token);
            scope.spawn(move || {
                for _ in 0..REQUESTS / 8 {
                    client.post("/requests", &json!({"amount": "1", "currency": "USD"})).expect(201);
                }
            });
        }
    });
    server.terminate();
    let database = server.shared_database().unwrap();
    database.query("ANALYZE").unwrap();
    let before = rows_read(&database);
    server.start_again();
    let mut client = server.client().with_token(&cyd.token);
    for path in
        ["/transactions", "/payments", "/requests", "/schedules", "/webhooks", "/events", "/me/activity"]
    {
        client.get(path).expect(200);
    }
    // What follows the records looks at them several times a second.
    std::thread::sleep(Duration::from_secs(1));
    server.terminate();
    let read = rows_read(&database) - before;
    // Of the journal a node that starts reads its newest rows.
    assert!(read < REQUESTS, "{read} rows were read for nothing");
}
