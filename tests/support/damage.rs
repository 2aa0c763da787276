//! Changes to a ledger's file that its triggers would refuse.

use rusqlite::Connection;

/// Runs statements with no trigger in their way, and puts the triggers back.
pub fn damage(connection: &Connection, sql: &str) {
    without_triggers(connection, || connection.execute_batch(sql).unwrap());
}

/// The same for whatever is done with the connection.
pub fn without_triggers<T>(connection: &Connection, change: impl FnOnce() -> T) -> T {
    let mut found = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let triggers: Vec<(String, String)> =
        found.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    assert!(!triggers.is_empty(), "the ledger has its triggers");
    drop(found);
    connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
    for (name, _) in &triggers {
        connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    let result = change();
    for (_, sql) in &triggers {
        connection.execute_batch(sql).unwrap();
    }
    result
}
