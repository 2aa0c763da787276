//! A ledger is moved from a folder into PostgreSQL by the command, is killed on the way at each table, goes on, and is
//! served there as before.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::json;

use crate::support::postgres::{Database, Postgres, program};
use crate::support::server::FARTHING;
use crate::support::{Request, Server, until};

/// `farthing migrate` from a folder, both places told by variables: a URL among the arguments shows its password.
fn migrate(from: &str, to: &Database) -> Command {
    let mut command = Command::new(FARTHING);
    command.arg("migrate").env_clear();
    command.env("FARTHING_MIGRATE_FROM", from).env("FARTHING_MIGRATE_TO", to.migration_url());
    command.stdin(Stdio::null());
    command
}

/// A database in which a ledger could be, and none is: with its tables, and rights for the role that serves.
fn emptied() -> Arc<Database> {
    let mut server = Server::embedded().database(Postgres::shared().database()).start();
    let database = server.shared_database().unwrap();
    server.terminate();
    database.query("DELETE FROM properties").unwrap();
    database
}

/// Keeps everybody from writing to a table until it is dropped.
struct Held(Child);

impl Held {
    fn new(database: &Database, table: &str) -> Self {
        let sql = format!("BEGIN; LOCK TABLE {table} IN SHARE MODE; SELECT pg_sleep(600)");
        let mut psql = Command::new(program("psql"));
        let psql = psql.args(["-XAtq", &database.migration_url(), "-c", &sql]);
        let held = Self(psql.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        until("the table is held", || locks(database, table, "granted AND mode = 'ShareLock'") == 1);
        held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn locks(database: &Database, table: &str, which: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass AND {which}");
    database.query(&sql).unwrap().parse().unwrap()
}

#[test]
fn a_move_that_is_killed_goes_on_and_everybody_finds_what_was_theirs() {
    let mut old = Server::embedded().start();
    let (mut ann, ben) = (old.user("ann"), old.user("ben"));
    let pay = json!({"amount": "12.50", "currency": "USD", "to": ben.email});
    let paid = ann.pay_with_key("k1", &pay).expect(201).str("id");
    let (history, balance) = (ann.list("/transactions"), ann.balance("USD"));
    old.terminate();
    let (database, from) = (emptied(), old.data().to_str().unwrap().to_owned());

    for table in ["security_events", "users", "sessions"] {
        let held = Held::new(&database, table);
        let mut moving = migrate(&from, &database).stderr(Stdio::null()).spawn().unwrap();
        until("the move waits", || locks(&database, table, "NOT granted") == 1);
        moving.kill().unwrap();
        moving.wait().unwrap();
        // The server ends what the dead client left once it need not wait any more.
        database.terminate_backends();
        drop(held);
        let mut server = Server::embedded().database(Arc::clone(&database)).data(old.data()).stopped();
        assert_eq!(server.try_start_again().unwrap_err().and_then(|status| status.code()), Some(3));
        assert!(server.log().contains("is being moved here"), "{table}: {}", server.log());
    }
    let moved = migrate(&from, &database).output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&moved.stdout), String::from_utf8_lossy(&moved.stderr));
    assert!(moved.status.success() && said.contains("equal to the source"), "{said}{wrong}");
    assert!(said.contains("needs a copy of the key file"), "{said}");
    assert!(!format!("{said}{wrong}").contains("postgres://"), "{said}{wrong}");

    // The folder still has the key file; its ledger is the database by now.
    let server = Server::embedded().database(Arc::clone(&database)).data(old.data()).start();
    let again = Request::post("/payment", &pay).bearer(&ann.token).key("k1");
    let again = server.client().call(&again).expect(201);
    assert_eq!((again.str("id"), again.header("Idempotent-Replayed")), (paid, Some("true")));
    let mut ann = ann.log_in_again(server.client());
    assert_eq!((ann.list("/transactions"), ann.balance("USD")), (history, balance));
    ann.pay(&json!({"amount": "1", "currency": "USD", "to": ben.email})).expect(201);
    server.verify();
    drop(server);

    let again = migrate(&from, &database).output().unwrap();
    assert_eq!(again.status.code(), Some(3), "what is served is not overwritten");
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is a ledger already"));
}
