//! Migrations: numbered files, forward only, each in one transaction. Nodes that start together wait for each other at
//! the table of what was applied.

use deadpool_postgres::{GenericClient, Object};

use super::connect::{self, PostgresSettings};
use super::fault::describe;
use crate::store::OpenError;

/// The files, in the order of their numbers.
pub(super) const MIGRATIONS: [(i32, &str); 10] = [
    (1, include_str!("migrations/0001_heart.sql")),
    (2, include_str!("migrations/0002_throttle.sql")),
    (3, include_str!("migrations/0003_records.sql")),
    (4, include_str!("migrations/0004_marks.sql")),
    (5, include_str!("migrations/0005_life_of_a_payment.sql")),
    (6, include_str!("migrations/0006_identity.sql")),
    (7, include_str!("migrations/0007_new_address.sql")),
    (8, include_str!("migrations/0008_lists_of_owners.sql")),
    (9, include_str!("migrations/0009_room_in_records.sql")),
    (10, include_str!("migrations/0010_lists_by_owner.sql")),
];

/// Makes the table of what was applied.
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY)";
/// What nodes that start together wait for each other at.
const LOCK: &str = "LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE";

/// Brings the schema up to date; refuses one that is newer than this program.
pub(super) async fn apply(connection: &mut Object) -> Result<(), OpenError> {
    let unusable = |error: tokio_postgres::Error| {
        OpenError::Unusable(format!("cannot bring the schema up to date: {}", describe(&error)))
    };
    if version(connection).await? == Some(latest()) {
        return Ok(());
    }
    // Two that make the table at the same moment: one gets an error, and finds it made.
    let _ = connection.batch_execute(TABLE).await;
    let transaction = connection.transaction().await.map_err(unusable)?;
    transaction.batch_execute(LOCK).await.map_err(unusable)?;
    let row = transaction
        .query_one("SELECT coalesce(max(version), 0) FROM schema_migrations", &[])
        .await
        .map_err(unusable)?;
    let version: i32 = row.try_get(0).map_err(unusable)?;
    refuse_newer(version)?;
    make(&transaction, version).await.map_err(unusable)?;
    transaction.commit().await.map_err(unusable)
}

/// Runs the files after the one of that number.
pub(super) async fn make(client: &impl GenericClient, version: i32) -> Result<(), tokio_postgres::Error> {
    for (number, sql) in MIGRATIONS.iter().filter(|(number, _)| *number > version) {
        client.batch_execute(sql).await?;
        client.execute("INSERT INTO schema_migrations (version) VALUES ($1)", &[number]).await?;
    }
    Ok(())
}

/// Refuses a database that has no ledger of this program's schema.
pub(super) async fn check(connection: &Object) -> Result<(), OpenError> {
    match version(connection).await? {
        Some(version) if version == latest() => Ok(()),
        Some(version) => {
            refuse_newer(version)?;
            Err(OpenError::Unusable(
                "the database's schema is older than this program; start a server to bring it up to date"
                    .into(),
            ))
        }
        None => Err(OpenError::Unusable("there is no ledger in this database".into())),
    }
}

/// The role that serves, if another one makes the tables.
pub(super) fn serving_role(settings: &PostgresSettings) -> Result<Option<String>, OpenError> {
    if settings.migration_url.is_some() { connect::user_of(&settings.url) } else { Ok(None) }
}

/// Lets the serving role use the tables, and no more: it can add to the journal and never change it.
pub(super) fn rights(role: &str) -> String {
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}; \
         GRANT INSERT ON properties, users, sessions, spent_tokens, accounts, transactions, entries, security_events, \
         blocks, batches, throttle_news, records TO {role}; \
         GRANT UPDATE ON properties, users, sessions, accounts, chain, records TO {role}; \
         GRANT DELETE ON properties, batches, throttle_news, records TO {role};"
    )
}

/// Gives the serving role its [`rights`].
pub(super) async fn grant(connection: &mut Object, role: &str) -> Result<(), OpenError> {
    let unusable = |error: tokio_postgres::Error| {
        OpenError::Unusable(format!("cannot grant the serving role its rights: {}", describe(&error)))
    };
    let transaction = connection.transaction().await.map_err(unusable)?;
    // Two that grant at the same moment: one would get an error.
    for statement in [LOCK, &rights(role)] {
        transaction.batch_execute(statement).await.map_err(unusable)?;
    }
    transaction.commit().await.map_err(unusable)
}

/// Whether the connected role could take the journal's protection away.
pub(super) async fn owns_journal(connection: &Object) -> Result<bool, OpenError> {
    let sql = "SELECT pg_has_role(current_user, c.relowner, 'USAGE') FROM pg_class c \
               WHERE c.oid = 'transactions'::regclass";
    let unusable = |error: tokio_postgres::Error| OpenError::Unusable(describe(&error));
    connection.query_one(sql, &[]).await.map_err(unusable)?.try_get(0).map_err(unusable)
}

fn latest() -> i32 {
    MIGRATIONS.iter().map(|(number, _)| *number).max().unwrap_or_default()
}

async fn version(connection: &Object) -> Result<Option<i32>, OpenError> {
    let unusable = |error: tokio_postgres::Error| OpenError::Unusable(describe(&error));
    let sql = "SELECT to_regclass('schema_migrations') IS NOT NULL";
    let is_there: bool =
        connection.query_one(sql, &[]).await.map_err(unusable)?.try_get(0).map_err(unusable)?;
    if !is_there {
        return Ok(None);
    }
    let sql = "SELECT max(version) FROM schema_migrations";
    connection.query_one(sql, &[]).await.map_err(unusable)?.try_get(0).map_err(unusable)
}

fn refuse_newer(version: i32) -> Result<(), OpenError> {
    if version > latest() {
        return Err(OpenError::Unusable(format!(
            "the database has schema version {version}, and this program knows versions up to {}: use a newer farthing",
            latest()
        )));
    }
    Ok(())
}
