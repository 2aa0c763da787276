//! What the ledger says of itself: rows of `properties`, one for each thing.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use uuid::Uuid;

use super::{connect, records, statements};
use crate::auth::keyring::Fingerprints;
use crate::auth::ledger_key::KeyFingerprint;
use crate::clock::Clock;
use crate::ledger::{Mode, Rules};
use crate::store::journal::Properties;
use crate::store::{Description, LedgerName, OpenError};

/// Which ledger it is, in whatever place.
const LEDGER: &str = "ledger_id";
/// Play money or real money.
const MODE: &str = "mode";
/// The fingerprint of the key file that is the ledger's own.
const KEY: &str = "key_fingerprint";
/// Which of its lives the ledger is in; no row in the first.
pub(super) const EPOCH: &str = "epoch";
/// The ledger that is being moved here; there only until it is whole.
const MIGRATION: &str = "migration";
/// Up to which transaction the journal is folded: the engine's own, and not the ledger's.
pub(super) const FOLDED_TO: &str = "folded_to";
/// Up to which record they are folded; likewise.
pub(super) const LISTED_TO: &str = "listed_to";
/// Up to which security event they are listed by user; likewise.
pub(super) const EVENTS_LISTED_TO: &str = "events_listed_to";
/// The number of the last record that there ever was, when one was last taken away.
pub(super) const LAST_RECORD: &str = "last_record";

const INSERT: &str = "INSERT INTO properties (name, value) VALUES (?1, ?2)";
const PUT: &str =
    "INSERT INTO properties (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2";

/// Writes what the ledger is when it is made; refuses to serve it as something else later, or before it is whole.
pub(super) fn settle(
    connection: &mut Connection,
    given: &Fingerprints,
    rules: &Rules,
    clock: &Clock,
) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if get(&transaction, MIGRATION)?.is_some() {
        return Err(OpenError::Unusable(
            "a ledger is being moved here and is not whole yet; run 'farthing migrate' again to its end"
                .into(),
        ));
    }
    match key(&transaction)? {
        Some(made) if made == given.newest() => {}
        // The keys were rotated: the ledger follows, so that no older file opens it.
        Some(made) if given.has(made) => {
            let sql = "UPDATE properties SET value = ?2 WHERE name = ?1";
            transaction.execute(sql, (KEY, given.newest().to_string()))?;
        }
        Some(made) => return Err(OpenError::Key { made, given: given.newest() }),
        // A ledger that is new, or that was made before ledgers named their key: nothing is encrypted with it yet.
        None => {
            transaction.execute(INSERT, (KEY, given.newest().to_string()))?;
        }
    }
    match mode(&transaction)? {
        Some(mode) if mode == rules.mode => {}
        Some(made) => return Err(OpenError::Mode { made, asked: rules.mode }),
        None => {
            let ledger = clock.uuid().map_err(|error| OpenError::Unusable(error.to_string()))?;
            transaction.execute(INSERT, (LEDGER, ledger.to_string()))?;
            transaction.execute(INSERT, (MODE, rules.mode.name()))?;
            transaction.execute(INSERT, ("made_at", clock.now().as_millis()))?;
            transaction.execute(INSERT, (FOLDED_TO, 0))?;
        }
    }
    Ok(transaction.commit()?)
}

/// A property that is a number.
pub(super) fn number(connection: &Connection, name: &str) -> Result<i64, rusqlite::Error> {
    connection.prepare_cached(statements::NUMBER)?.query_row([name], |row| row.get(0))
}

/// Changes one.
pub(super) fn set_number(connection: &Connection, name: &str, value: i64) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(statements::SET_NUMBER)?.execute((name, value)).map(drop)
}

/// Which ledger it is, and which of its lives.
pub(super) fn name(connection: &Connection) -> Result<LedgerName, OpenError> {
    let ledger = get(connection, LEDGER)?.and_then(|text| Uuid::try_parse(&text).ok());
    let epoch = get(connection, EPOCH)?.map_or(Ok(1), |epoch| epoch.parse());
    Ok(LedgerName {
        ledger: ledger.ok_or_else(|| unreadable(LEDGER))?,
        epoch: epoch.map_err(|_| unreadable(EPOCH))?,
    })
}

/// What the ledger in that folder is; also while a server writes.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
pub fn describe(folder: &Path) -> Result<Description, OpenError> {
    let connection = connect::reader(folder)?;
    let mode = mode(&connection)?.ok_or_else(|| unreadable(MODE))?;
    let epoch = get(&connection, EPOCH)?.map_or(Ok(1), |epoch| epoch.parse());
    Ok(Description { mode, epoch: epoch.map_err(|_| unreadable(EPOCH))?, key: key(&connection)? })
}

/// What belongs to the ledger and not to this engine.
pub(super) fn read(connection: &Connection) -> Result<Properties, OpenError> {
    let mode = mode(connection)?.ok_or_else(|| unreadable(MODE))?;
    let ledger = get(connection, LEDGER)?.and_then(|text| Uuid::try_parse(&text).ok());
    let ledger = ledger.ok_or_else(|| unreadable(LEDGER))?;
    let mut others = BTreeMap::new();
    let sql = "SELECT name, CAST(value AS TEXT) FROM properties WHERE name NOT IN (?1, ?2, ?3, ?4, ?5, ?6) ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let mut found = statement.query([LEDGER, MODE, MIGRATION, FOLDED_TO, LISTED_TO, EVENTS_LISTED_TO])?;
    while let Some(row) = found.next()? {
        others.insert(row.get(0)?, row.get(1)?);
    }
    others.insert(LAST_RECORD.into(), records::last(connection)?.to_string());
    Ok(Properties { ledger, mode, others })
}

/// Begins to move a ledger here, or goes on; refuses a place where there is another, or this one as a whole.
pub(super) fn begin_migration(connection: &mut Connection, properties: &Properties) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let ledger = properties.ledger.to_string();
    match (get(&transaction, MIGRATION)?, mode(&transaction)?) {
        (Some(moved), _) if moved == ledger => {}
        (Some(_), _) => return Err(OpenError::Unusable("another ledger is being moved there".into())),
        (None, Some(_)) => {
            return Err(OpenError::Unusable(
                "there is a ledger already; one is moved into an empty place only".into(),
            ));
        }
        (None, None) => {
            transaction.execute(INSERT, (MIGRATION, &ledger))?;
            transaction.execute(INSERT, (LEDGER, &ledger))?;
            transaction.execute(INSERT, (MODE, properties.mode.name()))?;
            transaction.execute(INSERT, (FOLDED_TO, 0))?;
        }
    }
    // What the source says of itself may have changed since an earlier try, and records may be gone.
    transaction.execute_batch(statements::FORGET_RECORDS)?;
    for (name, value) in &properties.others {
        // What was a number stays one; an identifier of digits alone is too long to be taken for one.
        let value = value.parse().map_or_else(|_| Value::Text(value.clone()), Value::Integer);
        transaction.execute(PUT, (name, value))?;
    }
    Ok(transaction.commit()?)
}

/// The ledger is whole.
pub(super) fn end_migration(connection: &Connection) -> Result<(), OpenError> {
    connection.execute("DELETE FROM properties WHERE name = ?1", [MIGRATION])?;
    Ok(())
}

/// Which key is the ledger's own; none if it is new, or was made before ledgers said so.
fn key(connection: &Connection) -> Result<Option<KeyFingerprint>, OpenError> {
    let text = get(connection, KEY)?;
    text.map(|text| KeyFingerprint::parse(&text).ok_or_else(|| unreadable(KEY))).transpose()
}

fn mode(connection: &Connection) -> Result<Option<Mode>, OpenError> {
    let text = get(connection, MODE)?;
    text.map(|text| Mode::from_name(&text).ok_or_else(|| unreadable(MODE))).transpose()
}

fn get(connection: &Connection, name: &str) -> Result<Option<String>, OpenError> {
    let sql = "SELECT CAST(value AS TEXT) FROM properties WHERE name = ?1";
    Ok(connection.query_row(sql, [name], |row| row.get(0)).optional()?)
}

fn unreadable(name: &str) -> OpenError {
    OpenError::Unusable(format!("the ledger's property {name} is not readable"))
}
