//! What the ledger is: written when it is made, and looked at before it is served.

use deadpool_postgres::GenericClient;

use super::fault::describe;
use super::journal;
use crate::auth::keyring::Fingerprints;
use crate::auth::ledger_key::KeyFingerprint;
use crate::clock::Clock;
use crate::ledger::{Mode, Rules};
use crate::store::OpenError;

/// Why a ledger that is being moved in is not served.
const MOVING: &str =
    "a ledger is being moved here and is not whole yet; run 'farthing migrate' again to its end";

/// Writes what the ledger is when it is made; refuses to serve it as something else later.
pub(super) async fn settle(
    connection: &impl GenericClient,
    keys: &Fingerprints,
    rules: &Rules,
    clock: &Clock,
) -> Result<(), OpenError> {
    let is_moving = connection
        .query_opt("SELECT 1 FROM properties WHERE name = $1", &[&journal::MIGRATION])
        .await
        .map_err(|error| OpenError::Unusable(describe(&error)))?;
    if is_moving.is_some() {
        return Err(OpenError::Unusable(MOVING.into()));
    }
    let ledger = clock.uuid().map_err(|error| OpenError::Unusable(error.to_string()))?;
    // One statement: of nodes that make the ledger at the same moment one writes all of it, and the others read that.
    let insert = "INSERT INTO properties (name, value) VALUES ('key_fingerprint', $1), ('made_at', $2), ('mode', $3), \
                  ('ledger_id', $4) ON CONFLICT (name) DO NOTHING";
    let (fingerprint, made_at) = (keys.newest().to_string(), clock.now().as_millis().to_string());
    connection
        .execute(insert, &[&fingerprint, &made_at, &rules.mode.name(), &ledger.to_string()])
        .await
        .map_err(|error| OpenError::Unusable(describe(&error)))?;
    let made = KeyFingerprint::parse(&property(connection, "key_fingerprint").await?);
    let made =
        made.ok_or_else(|| OpenError::Unusable("the ledger's key_fingerprint is not readable".into()))?;
    if !keys.has(made) {
        return Err(OpenError::Key { made, given: keys.newest() });
    }
    if made != keys.newest() {
        // The keys were rotated: the ledger follows, so that no node with an older file opens it.
        let sql = "UPDATE properties SET value = $2 WHERE name = 'key_fingerprint' AND value = $1";
        connection
            .execute(sql, &[&made.to_string(), &fingerprint])
            .await
            .map_err(|error| OpenError::Unusable(describe(&error)))?;
    }
    match Mode::from_name(&property(connection, "mode").await?) {
        Some(made) if made == rules.mode => Ok(()),
        Some(made) => Err(OpenError::Mode { made, asked: rules.mode }),
        None => Err(OpenError::Unusable("the ledger's mode is not readable".into())),
    }
}

async fn property(connection: &impl GenericClient, name: &str) -> Result<String, OpenError> {
    let unusable = |error: tokio_postgres::Error| OpenError::Unusable(describe(&error));
    let sql = "SELECT value FROM properties WHERE name = $1";
    connection.query_one(sql, &[&name]).await.map_err(unusable)?.try_get(0).map_err(unusable)
}
