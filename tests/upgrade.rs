//! A ledger of each earlier schema, as the version that had it left it, is brought up to date: everybody finds what was
//! theirs, the books are as they were, and a start that is killed on the way leaves it old or new and never in between.
//!
//! `tests/ledgers/schema-N/` holds such a ledger for both engines as SQL, and its key file. Ada paid Ben 12.50 USD under
//! the key `lunch`, got 2.50 back, paid the house 7, and was declined 5000 under the key `much`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use support::postgres::{Database, Postgres, psql};
use support::{PASSWORD, Random, Request, Server, count};
use tempfile::TempDir;

/// The folders of earlier ledgers.
fn earlier() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ledgers");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

fn schema_of(folder: &Path) -> i64 {
    folder.file_name().unwrap().to_str().unwrap().strip_prefix("schema-").unwrap().parse().unwrap()
}

/// A data folder with that ledger's key, readable by its owner alone.
fn data_folder(earlier: &Path) -> TempDir {
    let data = TempDir::new().unwrap();
    let key = data.path().join("farthing.key");
    fs::copy(earlier.join("farthing.key"), &key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    data
}

/// The same with the ledger itself, in one file.
fn embedded(earlier: &Path) -> TempDir {
    let data = data_folder(earlier);
    let file = data.path().join("farthing.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch(&fs::read_to_string(earlier.join("sqlite.sql")).unwrap()).unwrap();
    drop(connection);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    data
}

fn database(earlier: &Path) -> Arc<Database> {
    let database = Postgres::shared().database();
    psql(&database.migration_url(), &fs::read_to_string(earlier.join("postgres.sql")).unwrap()).unwrap();
    Arc::new(database)
}

/// Everybody finds what was theirs, and can go on.
fn check(server: &Server) {
    server.verify();
    let mut client = server.client();
    let login = client.post("/login", &json!({"email": "ada@example.org", "password": PASSWORD})).expect(200);
    let mut client = client.with_token(&login.str("access_token"));
    let wallets = client.get("/wallets").expect(200).json();
    let balances: Vec<String> = support::lists::rows(&wallets)
        .iter()
        .map(|wallet| {
            format!("{} {}", wallet["balance"].as_str().unwrap(), wallet["currency"].as_str().unwrap())
        })
        .collect();
    assert!(balances.contains(&"983.00 USD".to_owned()), "{balances:?}");
    assert!(balances.contains(&"1200 JPY".to_owned()), "{balances:?}");
    let history = support::lists::every_row(&mut client, "/transactions");
    assert_eq!(history.len(), 7, "{history:?}");

    let lunch = json!({"amount": "12.50", "currency": "USD", "to": "ben@example.org", "description": "Lunch",
        "reference": "L-1", "metadata": {"table": "4"}});
    let again = client.call(&Request::post("/payment", &lunch).key("lunch")).expect(201);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"), "{again}");
    assert!(history.iter().any(|row| row["payment"] == again.json()["id"]), "{again}");
    let other =
        json!({"amount": "12.51", "currency": "USD", "to": "ben@example.org", "description": "Lunch"});
    client.call(&Request::post("/payment", &other).key("lunch")).problem(422, "idempotency_key_reused");
    let much =
        client.call(&Request::post("/payment", &json!({"amount": "5000", "currency": "USD"})).key("much"));
    assert_eq!(much.problem(402, "insufficient_funds").json()["available"], "983.00");

    let new = json!({"amount": "3", "currency": "USD", "to": "ben@example.org"});
    client.call(&Request::post("/payment", &new).key("after the upgrade")).expect(201);
    assert_eq!(support::lists::every_row(&mut client, "/transactions").len(), 8);
    server.verify();
}

#[test]
fn an_earlier_embedded_ledger_is_served_as_before() {
    for earlier in earlier() {
        let data = embedded(&earlier);
        let mut server = Server::embedded().data(data.path()).start();
        check(&server);
        server.terminate();
        server.start_again();
        server.verify();
    }
}

/// What migrations after the seventh did to an embedded ledger, undone.
const BACK_TO_7: &str = "INSERT INTO records SELECT no, 'notice', id, owner, NULL, NULL, NULL, created_at, created_at, 1, value \
     FROM notices; DROP TABLE notices; \
     UPDATE properties SET value = (SELECT max(no) FROM records) WHERE name = 'last_record'; \
     DROP TRIGGER records_are_unlisted; DROP TABLE record_lists; \
     DROP TABLE event_lists; CREATE INDEX security_events_by_user ON security_events (user, no) WHERE user IS NOT NULL; \
     DELETE FROM properties WHERE name IN ('listed_to', 'events_listed_to'); DROP INDEX records_by_kind; \
     CREATE INDEX records_by_kind ON records (kind, no); \
     CREATE INDEX records_by_owner ON records (kind, owner, no) WHERE kind <> 'deadline'; PRAGMA user_version = 7";

#[test]
fn an_embedded_ledger_whose_records_and_events_were_indexed_by_owner_lists_them_as_before() {
    let data = TempDir::new().unwrap();
    let mut server = Server::embedded().data(data.path()).start();
    let mut user = server.user("ada");
    for amount in 1..=25 {
        let request = json!({"amount": amount.to_string(), "currency": "USD"});
        user.client.post("/requests", &request).expect(201);
    }
    let (requests, events) = (user.list("/requests"), user.list("/me/activity"));
    assert_eq!((requests.len(), events.len()), (25, 3));
    let feed = user.client.get("/events?limit=100").expect(200).json();
    assert_eq!(feed["data"].as_array().unwrap().len(), 27, "{feed}");
    server.terminate();
    let connection = rusqlite::Connection::open(data.path().join("farthing.db")).unwrap();
    connection.execute_batch(BACK_TO_7).unwrap();
    drop(connection);
    server.start_again();
    server.verify();
    let mut client = server.client().with_token(&user.token);
    let listed: Vec<_> = support::lists::every_row(&mut client, "/requests");
    let ids = |rows: &[serde_json::Value]| rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&listed), ids(&requests));
    assert_eq!(support::lists::every_row(&mut client, "/me/activity"), events);
    assert_eq!(client.get("/events?limit=100").expect(200).json(), feed);
    let last = ids(&requests)[0].as_str().unwrap().to_owned();
    client.delete(&format!("/requests/{last}")).expect(204);
    let after = client.get(&format!("/events?after={}", feed["next"].as_str().unwrap())).expect(200).json();
    assert_eq!(after["data"].as_array().unwrap().len(), 1, "{after}");
}

#[test]
fn an_earlier_ledger_on_postgres_is_served_as_before() {
    for earlier in earlier() {
        let (database, data) = (database(&earlier), data_folder(&earlier));
        let server = Server::embedded().database(database).data(data.path()).start();
        check(&server);
    }
}

#[test]
fn a_start_that_is_killed_leaves_an_embedded_ledger_old_or_new() {
    let mut random = Random::new(Random::seed_of_this_run());
    for earlier in earlier() {
        let prepared = embedded(&earlier);
        let mut seen = Vec::new();
        for _ in 0..count(8, 500) {
            let data = data_folder(&earlier);
            let file = data.path().join("farthing.db");
            fs::copy(prepared.path().join("farthing.db"), &file).unwrap();
            let mut server = Server::embedded().data(data.path()).stopped();
            server.start_and_kill(Duration::from_millis(random.between(0, 60)));
            let connection = rusqlite::Connection::open(&file).unwrap();
            let ask = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, String>(0)).unwrap();
            assert_eq!(ask("PRAGMA integrity_check"), "ok");
            let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
            drop(connection);
            seen.push(version);
            server.start_again();
            check(&server);
        }
        let (old, new) = (schema_of(&earlier), *seen.iter().max().unwrap());
        assert!(seen.iter().all(|version| [old, new].contains(version)), "neither old nor new: {seen:?}");
        println!("schema after each kill: {seen:?}");
    }
}

#[test]
fn a_start_that_is_killed_leaves_a_ledger_on_postgres_old_or_new() {
    let mut random = Random::new(Random::seed_of_this_run());
    for earlier in earlier() {
        let mut seen = Vec::new();
        for _ in 0..count(2, 100) {
            let (database, data) = (database(&earlier), data_folder(&earlier));
            let mut server = Server::embedded().database(Arc::clone(&database)).data(data.path()).stopped();
            server.start_and_kill(Duration::from_millis(random.between(10, 150)));
            let version = database.query("SELECT max(version) FROM schema_migrations").unwrap();
            seen.push(version.parse::<i64>().unwrap());
            server.start_again();
            check(&server);
        }
        let (old, new) = (schema_of(&earlier), *seen.iter().max().unwrap());
        assert!(seen.iter().all(|version| [old, new].contains(version)), "neither old nor new: {seen:?}");
        println!("schema after each kill: {seen:?}");
    }
}
