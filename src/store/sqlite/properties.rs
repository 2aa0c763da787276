//! What the ledger says of itself: rows of `properties`, read back into values.

use std::path::Path;

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension};

use super::connect;
use crate::auth::ledger_key::KeyFingerprint;
use crate::ledger::Mode;
use crate::store::{Description, OpenError};

/// The fingerprint of the key file that is the ledger's own.
pub(super) const KEY: &str = "key_fingerprint";
/// Which of its lives the ledger is in; no row in the first.
pub(super) const EPOCH: &str = "epoch";

/// What the ledger in that folder is; also while a server writes.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
pub fn describe(folder: &Path) -> Result<Description, OpenError> {
    let connection = connect::reader(folder)?;
    let mode = mode(&connection)?.ok_or_else(|| unreadable("mode"))?;
    let epoch: Option<i64> = property(&connection, EPOCH)?;
    let epoch = u64::try_from(epoch.unwrap_or(1)).map_err(|_| unreadable(EPOCH))?;
    Ok(Description { mode, epoch, key: key(&connection)? })
}

/// Play money or real money; none if the ledger is not made yet.
pub(super) fn mode(connection: &Connection) -> Result<Option<Mode>, OpenError> {
    let text: Option<String> = property(connection, "mode")?;
    text.map(|text| Mode::from_name(&text).ok_or_else(|| unreadable("mode"))).transpose()
}

/// Which key is the ledger's own; none if it is new, or was made before ledgers said so.
pub(super) fn key(connection: &Connection) -> Result<Option<KeyFingerprint>, OpenError> {
    let text: Option<String> = property(connection, KEY)?;
    text.map(|text| KeyFingerprint::parse(&text).ok_or_else(|| unreadable(KEY))).transpose()
}

fn property<T: FromSql>(connection: &Connection, name: &str) -> Result<Option<T>, OpenError> {
    let sql = "SELECT value FROM properties WHERE name = ?1";
    Ok(connection.query_row(sql, [name], |row| row.get(0)).optional()?)
}

fn unreadable(name: &str) -> OpenError {
    OpenError::Unusable(format!("the ledger's property {name} is not readable"))
}
