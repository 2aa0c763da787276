//! What the ledger says of itself: rows of `properties`, one for each thing.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use uuid::Uuid;

use crate::clock::Clock;
use crate::ledger::{Mode, Rules};
use crate::store::OpenError;
use crate::store::journal::Properties;

/// Which ledger it is, in whatever place.
const LEDGER: &str = "ledger_id";
/// Play money or real money.
const MODE: &str = "mode";
/// The ledger that is being moved here; there only until it is whole.
const MIGRATION: &str = "migration";
/// Up to which transaction the journal is folded: the engine's own, and not the ledger's.
const FOLDED_TO: &str = "folded_to";

const INSERT: &str = "INSERT INTO properties (name, value) VALUES (?1, ?2)";

/// Writes what the ledger is when it is made; refuses to serve it as something else later, or before it is whole.
pub(super) fn settle(connection: &mut Connection, rules: &Rules, clock: &Clock) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if get(&transaction, MIGRATION)?.is_some() {
        return Err(OpenError::Unusable(
            "a ledger is being moved here and is not whole yet; run 'farthing migrate' again to its end"
                .into(),
        ));
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

/// What belongs to the ledger and not to this engine.
pub(super) fn read(connection: &Connection) -> Result<Properties, OpenError> {
    let mode = mode(connection)?.ok_or_else(|| unreadable(MODE))?;
    let ledger = get(connection, LEDGER)?.and_then(|text| Uuid::try_parse(&text).ok());
    let ledger = ledger.ok_or_else(|| unreadable(LEDGER))?;
    let mut others = BTreeMap::new();
    let sql =
        "SELECT name, CAST(value AS TEXT) FROM properties WHERE name NOT IN (?1, ?2, ?3, ?4) ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let mut found = statement.query([LEDGER, MODE, MIGRATION, FOLDED_TO])?;
    while let Some(row) = found.next()? {
        others.insert(row.get(0)?, row.get(1)?);
    }
    Ok(Properties { ledger, mode, others })
}

/// Begins to move a ledger here, or goes on; refuses a place where there is another, or this one as a whole.
pub(super) fn begin_migration(connection: &mut Connection, properties: &Properties) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let ledger = properties.ledger.to_string();
    match (get(&transaction, MIGRATION)?, mode(&transaction)?) {
        (Some(moved), _) if moved == ledger => return Ok(()),
        (Some(_), _) => return Err(OpenError::Unusable("another ledger is being moved there".into())),
        (None, Some(_)) => {
            return Err(OpenError::Unusable(
                "there is a ledger already; one is moved into an empty place only".into(),
            ));
        }
        (None, None) => {}
    }
    transaction.execute(INSERT, (MIGRATION, &ledger))?;
    transaction.execute(INSERT, (LEDGER, &ledger))?;
    transaction.execute(INSERT, (MODE, properties.mode.name()))?;
    transaction.execute(INSERT, (FOLDED_TO, 0))?;
    for (name, value) in &properties.others {
        // What was a number stays one; an identifier of digits alone is too long to be taken for one.
        let value = value.parse().map_or_else(|_| Value::Text(value.clone()), Value::Integer);
        transaction.execute(INSERT, (name, value))?;
    }
    Ok(transaction.commit()?)
}

/// The ledger is whole.
pub(super) fn end_migration(connection: &Connection) -> Result<(), OpenError> {
    connection.execute("DELETE FROM properties WHERE name = ?1", [MIGRATION])?;
    Ok(())
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
