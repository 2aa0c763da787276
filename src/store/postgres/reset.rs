//! A new beginning: the ledger's tables are moved aside into a schema of their own, as they are, and empty ones take their
//! place, in one transaction of the role that owns them.
//!
//! Every batch holds the table of the chain's head from its first statement to its end, and takes it first. So whoever resets
//! waits for the batches that run, and those that come wait with nothing in their hands and find the new tables: what was
//! loaded of the one ledger is never written to the other. Nobody waits long for a reset: it gives up a table that is not free
//! soon, and all others with it, and tries again.

use std::time::{Duration, Instant};

use deadpool_postgres::Transaction;
use tokio_postgres::types::Oid;

use super::batch::in_time;
use super::fault::Fault;
use super::guards::FUNCTIONS;
use super::rows::get;
use super::{PostgresSettings, Shared, connect, migrate, owner_url, properties, save};
use crate::auth::keyring::Fingerprints;
use crate::ledger::SessionId;

/// The ledger's tables in the order in which they are locked: what batches and nodes that start take first, and then as
/// readers do, who come by several. One that is missing here is in the way of its own migration.
const TABLES: [&str; 14] = [
    "schema_migrations",
    "chain",
    "spent_tokens",
    "sessions",
    "users",
    "transactions",
    "entries",
    "accounts",
    "blocks",
    "security_events",
    "records",
    "properties",
    "batches",
    "throttle_news",
];
/// Waits for a table are shorter than PostgreSQL's before it looks for a deadlock, so that nobody else is ended for one.
const LIMITS: &str = "SET LOCAL lock_timeout = '500ms'; SET LOCAL statement_timeout = '2s'; \
     SET LOCAL idle_in_transaction_session_timeout = '2s'";
/// How long the tables are tried for, and how long everything up to the COMMIT and that itself may take: no request may take
/// 10 s.
const PATIENCE: Duration = Duration::from_secs(3);
const LIMIT: Duration = Duration::from_secs(5);
const COMMIT_LIMIT: Duration = Duration::from_millis(1_500);
/// Between two tries everybody else goes on.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether the connected role may do it, and the number of the next schema.
const MAY: &str = "SELECT pg_has_role(current_user, c.relowner, 'USAGE'), \
     has_database_privilege(current_database(), 'CREATE') AND has_schema_privilege(current_schema(), 'CREATE'), \
     (SELECT coalesce(max(substring(nspname FROM '^farthing_reset_([0-9]{1,9})$')::integer), 0) + 1 FROM pg_namespace) \
     FROM pg_class c WHERE c.oid = 'chain'::regclass";
/// Whether the ledger that is there knows the session.
const KNOWS: &str = "SELECT EXISTS (SELECT FROM sessions WHERE id = $1)";
/// In which table the chain's head is: another one after each reset.
const HOME: &str = "SELECT 'chain'::regclass::oid";

/// What a reset came to.
enum Replaced {
    /// By the one whose chain has its head in this table; it was moved aside into that schema.
    By(Oid, String),
    /// Somebody else has just done it.
    Already,
    /// It cannot be done here, and this is why.
    Never(&'static str),
}

/// Puts an empty ledger in the place of the one that knows this session; says why where that cannot be done.
pub(super) async fn begin_anew(
    shared: &Shared,
    settings: &PostgresSettings,
    keys: &Fingerprints,
    by: SessionId,
) -> Result<Result<(), String>, Fault> {
    let began = Instant::now();
    let left = || LIMIT.saturating_sub(began.elapsed());
    let connecting = connect::connect(owner_url(settings), settings.statement_timeout_ms);
    let connected = in_time(left(), connecting).await?;
    let mut owner = connected.map_err(|error| Fault::Transient(error.to_string()))?;
    loop {
        let transaction = owner.transaction().await?;
        match in_time(left(), replace(&transaction, (shared, settings, keys), by)).await? {
            Ok(Replaced::By(home, schema)) => {
                let lost = |fault: Fault| Fault::Unknown(fault.to_string());
                let committed = in_time(COMMIT_LIMIT, transaction.commit()).await.map_err(lost)?;
                committed.map_err(save::at_commit)?;
                tracing::warn!(schema, "the ledger was moved aside into the schema {schema}");
                shared.found(home);
                return Ok(Ok(()));
            }
            Ok(Replaced::Already) => return Ok(Ok(())),
            Ok(Replaced::Never(why)) => return Ok(Err(why.into())),
            Err(Fault::Transient(told)) if began.elapsed() < PATIENCE => {
                tracing::debug!("the reset is tried again: {told}");
            }
            Err(fault) => return Err(fault),
        }
        in_time(left(), transaction.rollback()).await??;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn replace(
    transaction: &Transaction<'_>,
    (shared, settings, keys): (&Shared, &PostgresSettings, &Fingerprints),
    by: SessionId,
) -> Result<Replaced, Fault> {
    transaction.batch_execute(LIMITS).await?;
    let row = transaction.query_one(MAY, &[]).await?;
    if !get::<bool>(&row, 0)? {
        return Ok(Replaced::Never(
            "The database's role does not own the tables: give the server its owner as database.migration_url.",
        ));
    }
    if !get::<bool>(&row, 1)? {
        return Ok(Replaced::Never(
            "The role that owns the tables may not make a schema and others: GRANT CREATE ON DATABASE and on its schema \
             public to it.",
        ));
    }
    transaction.batch_execute(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", TABLES.join(", "))).await?;
    // What was locked may be what took the place of the ledger that was meant.
    if !get::<bool>(&transaction.query_one(KNOWS, &[&by.uuid()]).await?, 0)? {
        return Ok(Replaced::Already);
    }
    let schema = format!("farthing_reset_{}", get::<i32>(&row, 2)?);
    transaction.batch_execute(&format!("CREATE SCHEMA {schema}")).await?;
    for table in TABLES {
        transaction.batch_execute(&format!("ALTER TABLE {table} SET SCHEMA {schema}")).await?;
    }
    for function in FUNCTIONS {
        transaction.batch_execute(&format!("ALTER FUNCTION {function}() SET SCHEMA {schema}")).await?;
    }
    transaction.batch_execute(migrate::TABLE).await?;
    migrate::make(transaction, 0).await?;
    if let Some(role) = migrate::serving_role(settings)? {
        transaction.batch_execute(&migrate::rights(&role)).await?;
    }
    properties::settle(transaction, keys, &shared.rules, &shared.clock).await?;
    let home = get(&transaction.query_one(HOME, &[]).await?, 0)?;
    Ok(Replaced::By(home, schema))
}
