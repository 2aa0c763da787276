//! `POST /sandbox/reset` where nodes share a database: an empty ledger takes the place of the one that all of them serve, and
//! the old one is a whole ledger still, in a schema of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use farthing::ledger::PaymentId;
use serde_json::{Value, json};

use super::nodes::{two, two_with};
use crate::support::postgres::{Database, Postgres, program};
use crate::support::receiver::{Received, Receiver};
use crate::support::{Client, PASSWORD, Request, Server, until};

/// What a ledger's tables hold, all of it.
fn contents(database: &Database, schema: &str) -> Vec<(&'static str, String)> {
    let of = |table| {
        let sql = format!(
            "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {schema}.{table} t"
        );
        (table, database.query(&sql).unwrap())
    };
    let tables = [
        "properties",
        "users",
        "accounts",
        "transactions",
        "entries",
        "security_events",
        "blocks",
        "chain",
        "records",
        "schema_migrations",
    ];
    tables.map(of).to_vec()
}

/// `farthing verify` of the ledger in that schema, as the role that owns it.
fn verify_aside(node: &Server, schema: &str, checkpoints: Option<&Path>) -> Value {
    let url = node.database().unwrap().migration_url() + "&options=-csearch_path%3D" + schema;
    let aside = Server::embedded().env("FARTHING_DATABASE_URL", &url).data(node.data()).stopped();
    let nothing = aside.data().join("nothing");
    std::fs::write(&nothing, "").unwrap();
    let checkpoints = checkpoints.unwrap_or(&nothing).to_str().unwrap();
    let verified = aside.run(&["verify", "--json", "--checkpoints", checkpoints]);
    assert!(verified.status.success(), "{verified:?}");
    serde_json::from_slice(&verified.stdout).unwrap()
}

fn pay(client: &mut Client, key: &str) -> u16 {
    let body = json!({"amount": "1", "currency": "USD", "description": key});
    client.call(&Request::post("/payment", &body).key(key)).status
}

/// Waits until so many transactions are signed by a node with that folder.
fn until_signed(node: &Server, transactions: u32) {
    let signed = format!("\"transactions\":{transactions},");
    until("all of it is signed", || {
        let lines = std::fs::read_to_string(node.data().join("checkpoints")).unwrap_or_default();
        lines.lines().last().is_some_and(|line| line.contains(&signed))
    });
}

fn ledger_id(database: &Database) -> String {
    database.query("SELECT value FROM properties WHERE name = 'ledger_id'").unwrap()
}

/// What a node tells of itself under that name.
fn gauge(node: &Server, name: &str) -> i64 {
    let text = node.client().get("/metrics").expect(200).text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[test]
fn every_node_serves_the_new_ledger_and_the_old_one_is_as_it_was() {
    let (one, two) = two_with(|node| node.env("FARTHING_CHECKPOINTS_EVERY_SECONDS", "1"));
    let database = one.shared_database().unwrap();
    let (mut ada, mut admin) = (one.user("ada"), one.operator("admin"));
    let mut elsewhere = two.client().with_token(&ada.token);
    for number in 0..6 {
        assert_eq!(pay(&mut ada.client, &format!("here {number}")), 201);
        assert_eq!(pay(&mut elsewhere, &format!("there {number}")), 201);
    }
    let page = ada.client.get("/transactions?limit=2").expect(200).str("next");
    until_signed(&one, 13);
    let (old, ledger) = (contents(&database, "public"), ledger_id(&database));

    admin.client.post("/sandbox/reset", &json!({})).expect(204);

    // Nobody is known, whatever a node remembers of them.
    for client in [&mut ada.client, &mut elsewhere, &mut admin.client] {
        assert_eq!(pay(client, "here 0"), 401);
        client.get("/me").problem(401, "token_invalid");
    }
    // The open connections of both nodes lead to the new tables at once.
    let mut again = two.user("ada");
    assert_ne!(again.id, ada.id);
    assert_eq!((again.balance("USD"), again.list("/payments").len()), (100_000, 0));
    let mut here = one.client().with_token(&again.token);
    assert_eq!((pay(&mut here, "here 0"), pay(&mut again.client, "there 0")), (201, 201));
    assert_eq!(again.list("/payments").len(), 2);
    let page = again.client.get(&format!("/transactions?limit=2&after={page}"));
    assert!([200, 422].contains(&page.status), "{page}");
    for node in [&one, &two] {
        until("the node counts anew", || gauge(node, "farthing_chain_head_sequence") == 3);
    }
    assert_eq!(contents(&database, "farthing_reset_1"), old);

    // What each was signed for is beside it, and both are sound.
    let aside = one.data().join(format!("checkpoints.{ledger}"));
    until_signed(&one, 3);
    let report = verify_aside(&one, "farthing_reset_1", Some(&aside));
    assert_eq!((&report["transactions"], &report["discrepancies"]), (&json!(13), &json!([])), "{report}");
    assert!(report["checkpoints"].as_i64().unwrap() >= 1, "{report}");
    one.verify();

    // And once more, on the other node.
    let mut admin = two.operator("admin");
    admin.client.post("/sandbox/reset", &json!({})).expect(204);
    again.client.get("/me").problem(401, "token_invalid");
    assert_eq!(verify_aside(&one, "farthing_reset_2", None)["transactions"], 3);
    one.verify();
    let unused = database.query("SELECT to_regnamespace('farthing_reset_3') IS NULL").unwrap();
    assert_eq!(unused, "t");
}

#[test]
fn of_two_who_ask_at_once_one_resets() {
    let (one, two) = two();
    let admin = one.operator("admin");
    let reset = || Request::post("/sandbox/reset", &json!({})).bearer(&admin.token);
    let asked = [reset(), reset(), reset(), reset()];
    let clients = [&one, &two, &one, &two].map(Server::client);
    let answers = crate::support::at_once(clients.into_iter().zip(&asked).collect());
    let well = answers.iter().filter(|answer| answer.status == 204).count();
    assert!(well >= 1 && answers.iter().all(|answer| [204, 401].contains(&answer.status)), "{answers:?}");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'farthing_reset_%'";
    assert_eq!(one.database().unwrap().query(schemas).unwrap(), "1");
    one.verify();
}

/// Somebody who registers, pays until they are not known any more, and begins again.
fn live(
    node: &Server,
    name: &str,
    over: &AtomicBool,
    paid: &Mutex<BTreeMap<String, Vec<String>>>,
) -> Duration {
    let (mut slowest, mut life) = (Duration::ZERO, 0);
    let mut client = node.client();
    let mut call = |request: &Request| {
        let asked = Instant::now();
        let answer = client.call(request);
        slowest = slowest.max(asked.elapsed());
        assert!([200, 201, 401, 503].contains(&answer.status), "{answer}");
        answer
    };
    while !over.load(Ordering::Relaxed) {
        life += 1;
        let body = json!({"email": format!("{name}-{life}@example.org"), "password": PASSWORD});
        call(&Request::post("/register", &body));
        let login = call(&Request::post("/login", &body));
        if login.status != 200 {
            continue;
        }
        let token = login.str("access_token");
        for number in 0.. {
            let body =
                json!({"amount": "0.01", "currency": "USD", "description": format!("{life} {number}")});
            let answer =
                call(&Request::post("/payment", &body).bearer(&token).key(&format!("{life} {number}")));
            match answer.status {
                201 => paid.lock().unwrap().entry(token.clone()).or_default().push(answer.str("id")),
                401 => break,
                _ => {}
            }
            call(&Request::get("/transactions?limit=5").bearer(&token));
            if over.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    slowest
}

#[test]
fn whoever_pays_on_both_nodes_meanwhile_has_paid_in_one_of_the_ledgers() {
    let (one, two) = two_with(|node| node.with_lasting_tokens().env("FARTHING_DATABASE_WRITERS", "2"));
    let database = one.shared_database().unwrap();
    let (over, paid) = (AtomicBool::new(false), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        let lives: Vec<_> = (0..12)
            .map(|number| {
                let (node, over, paid) = (if number % 2 == 0 { &one } else { &two }, &over, &paid);
                scope.spawn(move || live(node, &format!("payer{number}"), over, paid))
            })
            .collect();
        let done = std::panic::catch_unwind(|| {
            for round in 0..3 {
                let node = if round % 2 == 0 { &one } else { &two };
                let admin = node.operator("admin");
                std::thread::sleep(Duration::from_secs(1));
                let reset = Request::post("/sandbox/reset", &json!({})).bearer(&admin.token);
                let ask = || {
                    let asked = Instant::now();
                    let answer = node.client().call(&reset);
                    assert!(asked.elapsed() < Duration::from_secs(10));
                    answer
                };
                // Where the machine is busy with other tests, it may not come to it at once.
                let answer = (0..3).map(|_| ask()).find(|answer| answer.status != 503);
                answer.expect("an answer to one of three").expect(204);
            }
            std::thread::sleep(Duration::from_secs(1));
        });
        over.store(true, Ordering::Relaxed);
        for life in lives {
            let slowest = life.join().unwrap();
            assert!(slowest < Duration::from_secs(10), "a request hung for {slowest:?}");
        }
        done.unwrap();
    });
    one.verify();
    // Each ledger is whole, and each payment that was acknowledged is in the one of its payer's session, once.
    let mut found = BTreeMap::new();
    for schema in ["farthing_reset_1", "farthing_reset_2", "farthing_reset_3", "public"] {
        if schema != "public" {
            verify_aside(&one, schema, None);
        }
        let sql = format!("SELECT id FROM {schema}.transactions WHERE kind = 'payment'");
        let ids = database.query(&sql).unwrap();
        assert!(ids.lines().count() > 0, "nobody paid in {schema}");
        for id in ids.lines() {
            assert_eq!(found.insert(id.to_owned(), schema), None, "{id} is in two ledgers");
        }
    }
    for (token, payments) in paid.into_inner().unwrap() {
        let ledgers: BTreeSet<_> = payments.iter().map(|id| found.get(&uuid(id))).collect();
        assert!(ledgers.len() == 1 && !ledgers.contains(&None), "{token}: {ledgers:?}");
    }
}

/// The id as the database writes it.
fn uuid(id: &str) -> String {
    id.parse::<PaymentId>().unwrap().uuid().to_string()
}

/// Somebody who has the tables of users open, until dropped.
struct Reader(Child);

impl Reader {
    fn new(database: &Database) -> Self {
        let sql = "BEGIN; SELECT count(*) FROM users; SELECT pg_sleep(600)";
        let mut psql = Command::new(program("psql"));
        let psql = psql.args(["-XAtq", &database.migration_url(), "-c", sql]);
        let reader =
            Self(psql.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let reads = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
        until("somebody reads", || database.query(reads).unwrap() == "1");
        reader
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_reset_behind_a_long_reader_fails_soon_and_holds_nobody_up() {
    let (one, two) = two();
    let (admin, mut ada) = (one.operator("admin"), two.user("ada"));
    let database = one.shared_database().unwrap();
    let reader = Reader::new(&database);
    let over = AtomicBool::new(false);
    let mut reset = one.client().with_token(&admin.token);
    std::thread::scope(|scope| {
        let paying = scope.spawn(|| {
            let (mut slowest, mut count) = (Duration::ZERO, 0);
            while !over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                assert_eq!(pay(&mut ada.client, &format!("meanwhile {count}")), 201);
                (slowest, count) = (slowest.max(asked.elapsed()), count + 1);
            }
            (slowest, count)
        });
        let asked = Instant::now();
        let refused = reset.post("/sandbox/reset", &json!({}));
        over.store(true, Ordering::Relaxed);
        refused.problem(503, "unavailable");
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
        let (slowest, count) = paying.join().unwrap();
        assert!(slowest < Duration::from_secs(4) && count > 3, "{slowest:?} for one of {count}");
    });
    drop(reader);
    database
        .query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()")
        .unwrap();
    reset.get("/me").expect(200);
    reset.post("/sandbox/reset", &json!({})).expect(204);
    one.verify();
}

#[test]
fn who_may_not_move_the_tables_is_told_what_is_missing() {
    let (one, _two) = two();
    let database = one.shared_database().unwrap();
    let admin = one.operator("admin");
    let url = database.url();
    let served = Server::embedded().env("FARTHING_DATABASE_URL", &url).data(one.data()).start();
    let mut there = served.client().with_token(&admin.token);
    let problem = there.post("/sandbox/reset", &json!({})).problem(409, "reset_unsupported");
    assert!(problem.str("detail").contains("database.migration_url"), "{problem}");
    database.query(&format!("ALTER DATABASE {} OWNER TO postgres", database.name())).unwrap();
    let mut here = one.client().with_token(&admin.token);
    let problem = here.post("/sandbox/reset", &json!({})).problem(409, "reset_unsupported");
    assert!(problem.str("detail").contains("GRANT CREATE ON DATABASE"), "{problem}");
    here.get("/me").expect(200);
    let (name, owner) = (database.name(), database.owner());
    database.query(&format!("GRANT CREATE ON DATABASE {name} TO {owner}")).unwrap();
    here.post("/sandbox/reset", &json!({})).problem(409, "reset_unsupported");
    database.query(&format!("GRANT CREATE ON SCHEMA public TO {owner}")).unwrap();
    here.post("/sandbox/reset", &json!({})).expect(204);
    there.get("/me").problem(401, "token_invalid");
    one.verify();
}

#[test]
fn a_role_that_serves_and_owns_resets_as_well() {
    let database = Arc::new(Postgres::shared().database());
    let url = database.migration_url();
    let node = Server::embedded().env("FARTHING_DATABASE_URL", &url).start();
    let mut admin = node.operator("admin");
    admin.client.post("/sandbox/reset", &json!({})).expect(204);
    let mut ada = node.user("ada");
    assert_eq!(pay(&mut ada.client, "1"), 201);
    node.verify();
}

#[test]
fn a_node_that_slept_meanwhile_sends_and_signs_what_the_new_ledger_tells() {
    let receiver = Receiver::start();
    let (mut one, two) =
        two_with(|node| node.sends_to(&[&receiver]).env("FARTHING_CHECKPOINTS_EVERY_SECONDS", "1"));
    let webhook = json!({"url": receiver.url(), "events": ["payment.succeeded"]});
    let (mut ada, admin) = (one.user("ada"), one.operator("admin"));
    ada.client.post("/webhooks", &webhook).expect(201);
    for number in 0..20 {
        assert_eq!(pay(&mut ada.client, &format!("{number}")), 201);
    }
    receiver.wait_for(20);
    // Both nodes have read on to there.
    std::thread::sleep(Duration::from_secs(2));
    let ledger = ledger_id(two.database().unwrap());
    two.signal("STOP");
    one.client().with_token(&admin.token).post("/sandbox/reset", &json!({})).expect(204);
    let mut again = one.user("ada");
    again.client.post("/webhooks", &webhook).expect(201);
    assert_eq!(pay(&mut again.client, "0"), 201);
    receiver.wait_for(21);
    until_signed(&one, 2);
    two.signal("CONT");
    one.terminate();
    let mut there = two.client().with_token(&again.token);
    assert_eq!(pay(&mut there, "1"), 201);
    let told = receiver.wait_for(22);
    assert_eq!(told.iter().map(Received::id).collect::<BTreeSet<_>>().len(), 22);
    until_signed(&two, 3);
    two.verify();
    // The nodes share a folder; what the first one moved aside is there still.
    let aside = two.data().join(format!("checkpoints.{ledger}"));
    assert!(verify_aside(&two, "farthing_reset_1", Some(&aside))["checkpoints"].as_i64().unwrap() >= 1);
}

#[test]
fn real_money_never_begins_anew() {
    let node = Server::embedded().database(Postgres::shared().database());
    let mut node = node.env("FARTHING_CHECKPOINTS_EVERY_SECONDS", "1").arg("--mode").arg("live").start();
    node.user("ada");
    until_signed(&node, 0);
    std::thread::sleep(Duration::from_secs(2));
    let signed = || std::fs::read_to_string(node.data().join("checkpoints")).unwrap();
    let (before, ledger) = (signed(), ledger_id(node.database().unwrap()));
    let other = "UPDATE properties SET value = gen_random_uuid()::text WHERE name = 'ledger_id'";
    node.database().unwrap().query(other).unwrap();
    node.user("ben");
    until("nothing is signed", || node.log().contains("not the ledger that was signed"));
    assert!(!node.data().join(format!("checkpoints.{ledger}")).exists());
    assert_eq!(signed(), before);
    node.terminate();
    assert_eq!(node.try_start_again().unwrap_err().and_then(|status| status.code()), Some(3));
    assert!(node.log().contains("of another ledger"), "{}", node.log());
}
