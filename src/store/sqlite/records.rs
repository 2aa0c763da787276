//! Records: read, written and taken away by key; listed by owner, by what they belong to, by when they are due.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::fault::Fault;
use super::reads::{cut, one_more, position};
use super::statements;
use crate::ledger::chain::Hash;
use crate::ledger::{Changes, Filing, Needs, Record, RecordKey, RecordKind, Timestamp, UserId, WorkingSet};
use crate::store::{Order, Page, RecordQuery};

/// Records that are looked at in one piece.
const PIECE: i64 = 20_000;

/// Those that a batch needs.
pub(super) fn load(connection: &Connection, needs: &Needs, set: &mut WorkingSet) -> Result<(), Fault> {
    for key in &needs.records {
        if let Some(record) = by_key(connection, *key)? {
            set.add_record(record);
        }
    }
    for (kind, lookup) in &needs.record_lookups {
        if let Some(record) = by_lookup(connection, *kind, lookup)? {
            set.add_record(record);
        }
    }
    Ok(())
}

/// Those that the batch changed, within the batch's transaction: new ones are numbered after the last that was given, and
/// the new last is given back.
pub(super) fn save(connection: &Connection, set: &WorkingSet, last: i64) -> Result<i64, Fault> {
    let Changes { removed_records, updated_records, added_records, .. } = &set.changes;
    let changed =
        |key| set.records.get(key).ok_or_else(|| Fault::Damaged(format!("changed {key} is missing")));
    for key in removed_records {
        let by = params![key.kind.name(), key.id];
        connection.prepare_cached(statements::REMOVE_RECORD)?.execute(by)?;
    }
    for key in updated_records {
        update(connection, changed(key)?)?;
    }
    let mut last = last;
    for key in added_records {
        last = last.saturating_add(1);
        put(connection, last, changed(key)?)?;
    }
    if !added_records.is_empty() {
        connection.prepare_cached(statements::SET_LAST_RECORD)?.execute([last])?;
    }
    Ok(last)
}

/// Writes a record over the one with its key. Where it is filed seldom changes; that alone would touch the indexes.
fn update(connection: &Connection, record: &Record) -> Result<(), Fault> {
    let Record { key, filing, created_at: _, updated_at, version, value } = record;
    let values = params![
        key.kind.name(),
        key.id,
        filing.owner.uuid(),
        filing.parent,
        filing.lookup,
        filing.due_at.map(Timestamp::as_millis),
        updated_at.as_millis(),
        number(*version),
        value,
    ];
    let mut updated = connection.prepare_cached(statements::UPDATE_RECORD)?.execute(values)?;
    if updated == 0 {
        updated = connection.prepare_cached(statements::MOVE_RECORD)?.execute(values)?;
    }
    if updated == 1 { Ok(()) } else { Err(Fault::Damaged(format!("{key} is gone"))) }
}

/// Adds a record under a number.
pub(super) fn put(connection: &Connection, no: i64, record: &Record) -> Result<(), Fault> {
    let Record { key, filing, created_at, updated_at, version, value } = record;
    connection.prepare_cached(statements::ADD_RECORD)?.execute(params![
        no,
        key.kind.name(),
        key.id,
        filing.owner.uuid(),
        filing.parent,
        filing.lookup,
        filing.due_at.map(Timestamp::as_millis),
        created_at.as_millis(),
        updated_at.as_millis(),
        number(*version),
        value,
    ])?;
    Ok(())
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn by_key(connection: &Connection, key: RecordKey) -> Result<Option<Arc<Record>>, Fault> {
    let mut statement = connection.prepare_cached(statements::RECORD)?;
    let mut found = statement.query(params![key.kind.name(), key.id])?;
    Ok(found.next()?.map(record).transpose()?.map(|(_, record)| record))
}

pub(super) fn by_lookup(
    connection: &Connection,
    kind: RecordKind,
    lookup: &Hash,
) -> Result<Option<Arc<Record>>, Fault> {
    let mut statement = connection.prepare_cached(statements::RECORD_BY_LOOKUP)?;
    let mut found = statement.query(params![kind.name(), lookup])?;
    Ok(found.next()?.map(record).transpose()?.map(|(_, record)| record))
}

pub(super) fn list(connection: &Connection, query: &RecordQuery) -> Result<Page<(u64, Arc<Record>)>, Fault> {
    let RecordQuery { kind, owner, parent, order, page } = *query;
    let (sql, from) = match order {
        Order::NewestFirst => (statements::NEWEST_RECORDS, position(page.after, i64::MAX)),
        Order::OldestFirst => (statements::OLDEST_RECORDS, position(page.after, 0)),
    };
    let [of_kind, of_owner, of_parent] = sql;
    let (kind, owner, limit) = (kind.name(), owner.map(UserId::uuid), one_more(page.limit));
    let mut statement;
    let mut found = match (parent, owner) {
        (Some(parent), owner) => {
            statement = connection.prepare_cached(of_parent)?;
            statement.query(params![kind, from, limit, parent, owner])?
        }
        (None, Some(owner)) => {
            statement = connection.prepare_cached(of_owner)?;
            statement.query(params![kind, from, limit, owner])?
        }
        (None, None) => {
            statement = connection.prepare_cached(of_kind)?;
            statement.query(params![kind, from, limit])?
        }
    };
    let mut numbered = Vec::new();
    while let Some(row) = found.next()? {
        let (no, record) = record(row)?;
        numbered.push((no, (u64::try_from(no).unwrap_or_default(), record)));
    }
    Ok(cut(numbered, page.limit))
}

pub(super) fn due(
    connection: &Connection,
    kind: RecordKind,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<Arc<Record>>, Fault> {
    let mut statement = connection.prepare_cached(statements::DUE_RECORDS)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found = statement.query(params![kind.name(), until.as_millis(), limit])?;
    let mut due = Vec::new();
    while let Some(row) = found.next()? {
        due.push(record(row)?.1);
    }
    Ok(due)
}

/// All of them, in the order of their numbers, after one.
pub(super) fn after(
    connection: &Connection,
    after: i64,
    limit: usize,
) -> Result<Vec<(i64, Arc<Record>)>, Fault> {
    let mut statement = connection.prepare_cached(statements::RECORDS_AFTER)?;
    let mut found = statement.query([after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut records = Vec::new();
    while let Some(row) = found.next()? {
        records.push(record(row)?);
    }
    Ok(records)
}

/// What is wrong with records: values that are not of their kind.
pub(super) fn discrepancies(connection: &Connection) -> Result<Vec<String>, Fault> {
    let (mut wrong, mut last) = (Vec::new(), 0);
    loop {
        let before = last;
        let mut statement = connection.prepare_cached(statements::RECORDS_AFTER)?;
        let mut found = statement.query([last, PIECE])?;
        while let Some(row) = found.next()? {
            last = row.get(0)?;
            match record(row) {
                Err(Fault::Damaged(what)) => wrong.push(what),
                read => drop(read?),
            }
        }
        if last == before {
            return Ok(wrong);
        }
    }
}

/// A record and its number.
fn record(row: &Row<'_>) -> Result<(i64, Arc<Record>), Fault> {
    let no: i64 = row.get(0)?;
    let damaged = |column: &str| Fault::Damaged(format!("records row {no}: {column} is not readable"));
    let kind = row.get_ref(1)?.as_str().ok().and_then(RecordKind::from_name);
    let kind = kind.ok_or_else(|| damaged("kind"))?;
    let value: String = row.get(10)?;
    if !kind.can_read(&value) {
        return Err(damaged("value"));
    }
    let record = Record {
        key: RecordKey { kind, id: row.get(2)? },
        filing: Filing {
            owner: UserId::new(row.get(3)?),
            parent: row.get::<_, Option<Uuid>>(4)?,
            lookup: row.get(5)?,
            due_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
        },
        created_at: Timestamp::from_millis(row.get(7)?),
        updated_at: Timestamp::from_millis(row.get(8)?),
        version: u64::try_from(row.get::<_, i64>(9)?).map_err(|_| damaged("version"))?,
        value,
    };
    Ok((no, Arc::new(record)))
}
