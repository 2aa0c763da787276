//! What the roles may not do, and databases that are not served.

use crate::support::postgres::{Postgres, psql};
use crate::support::{Request, Server};

#[test]
fn nobody_changes_the_journal() {
    let server = Server::embedded().database(Postgres::shared().database()).start();
    server.user("ada");
    let database = server.database().unwrap();
    for table in ["transactions", "entries", "security_events", "blocks"] {
        for change in [
            format!("UPDATE {table} SET no = no"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
        ] {
            let refused = psql(&database.url(), &change).unwrap_err();
            assert!(refused.contains("permission denied"), "{change}: {refused}");
            let refused = psql(&database.migration_url(), &change).unwrap_err();
            assert!(refused.contains("append-only"), "{change}: {refused}");
        }
    }
    for forbidden in [
        "DELETE FROM users",
        "DROP TABLE users",
        "ALTER TABLE entries DISABLE TRIGGER ALL",
        "DELETE FROM chain",
    ] {
        psql(&database.url(), forbidden).unwrap_err();
    }
    let below = "UPDATE accounts SET balance = -1 WHERE owner NOT IN \
                 ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000003')";
    assert!(psql(&database.url(), below).unwrap_err().contains("accounts_are_not_below_zero"));
    server.verify();
}

#[test]
fn nodes_that_start_together_make_one_ledger() {
    let database = std::sync::Arc::new(Postgres::shared().database());
    let folder = tempfile::tempdir().unwrap();
    let servers: Vec<Server> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (database, data) = (std::sync::Arc::clone(&database), folder.path().join("data"));
                scope.spawn(move || Server::embedded().database(database).data(&data).start())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let ada = servers[0].user("ada");
    for server in &servers {
        server.client().call(&Request::get("/me").bearer(&ada.token)).expect(200);
    }
    servers[0].verify();
}

#[test]
fn a_newer_schema_and_a_careless_database_are_refused() {
    let database = Postgres::shared().database();
    let server = Server::embedded().database(database).start();
    let database = server.database().unwrap();
    psql(&database.migration_url(), "INSERT INTO schema_migrations VALUES (999)").unwrap();
    let refused = server.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("use a newer farthing"), "{refused:?}");
    psql(&database.migration_url(), "DELETE FROM schema_migrations WHERE version = 999").unwrap();

    let careless = Postgres::own();
    careless.query("ALTER SYSTEM SET fsync = off").unwrap();
    careless.query("SELECT pg_reload_conf()").unwrap();
    let mut server = Server::embedded().database(careless.database()).stopped();
    assert_eq!(server.try_start_again().unwrap_err().and_then(|status| status.code()), Some(3));
    assert!(server.log().contains("fsync=off"), "{}", server.log());
}
