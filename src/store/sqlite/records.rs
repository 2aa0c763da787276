//! Records: read, written and taken away by key; listed by owner, by what they belong to, by when they are due.
//!
//! Owners come in no order, so that an index by owner would dirty a page for each new record. Which records an owner has is
//! folded behind instead (`fold.rs`), and the tail knows what is not folded yet.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, Params, Row, params};
use uuid::Uuid;

use super::fault::Fault;
use super::fresh::Fresh;
use super::reads::{cut, in_snapshot, one_more, position};
use super::tail::TailRecord;
use super::{Shared, properties, statements};
use crate::ledger::chain::Hash;
use crate::ledger::{Changes, Filing, Needs, Record, RecordKey, RecordKind, Timestamp, UserId, WorkingSet};
use crate::store::{Order, Page, RecordQuery};

/// Records that are looked at in one piece.
const PIECE: i64 = 20_000;

/// Those that a batch needs.
pub(super) fn load(
    connection: &Connection,
    fresh: &Fresh,
    needs: &Needs,
    set: &mut WorkingSet,
) -> Result<(), Fault> {
    for key in &needs.records {
        let known = fresh.get(key);
        if let Some(record) = known.map_or_else(|| by_key(connection, *key), |record| Ok(Some(record)))? {
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
/// the new last is given back. The numbers of those that it took away go to the others that are `gone`.
pub(super) fn save(
    connection: &Connection,
    set: &WorkingSet,
    last: i64,
    gone: &mut HashSet<i64>,
) -> Result<i64, Fault> {
    let Changes { removed_records, updated_records, added_records, .. } = &set.changes;
    if removed_records.is_empty() && updated_records.is_empty() && added_records.is_empty() {
        return Ok(last);
    }
    let changed =
        |key| set.records.get(key).ok_or_else(|| Fault::Damaged(format!("changed {key} is missing")));
    for key in removed_records {
        let by = params![key.kind.name(), key.id];
        let table = statements::table(key.kind);
        let no: i64 = connection.prepare_cached(table.number)?.query_row(by, |row| row.get(0))?;
        connection.prepare_cached(table.remove)?.execute([no])?;
        if key.kind.is_listed_by_owner() {
            gone.insert(no);
        }
    }
    let mut change = connection.prepare_cached(statements::UPDATE_RECORD)?;
    for key in updated_records {
        update(connection, &mut change, changed(key)?)?;
    }
    let mut last = last;
    let mut to_records = connection.prepare_cached(statements::RECORDS.add)?;
    let mut to_notices = connection.prepare_cached(statements::NOTICES.add)?;
    for key in added_records {
        last = last.saturating_add(1);
        let add = if key.kind == RecordKind::Notice { &mut to_notices } else { &mut to_records };
        put(add, last, changed(key)?)?;
    }
    // As long as none is taken away, the last that is there is the last that there ever was.
    if !removed_records.is_empty() {
        properties::set_number(connection, properties::LAST_RECORD, last)?;
    }
    Ok(last)
}

/// The last record that there ever was.
pub(super) fn last(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.prepare_cached(statements::LAST_RECORD)?.query_row([], |row| row.get(0))
}

/// Writes a record over the one with its key. Where it is filed seldom changes; that alone would touch the indexes.
fn update(connection: &Connection, change: &mut CachedStatement<'_>, record: &Record) -> Result<(), Fault> {
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
    let mut updated = change.execute(values)?;
    if updated == 0 {
        updated = connection.prepare_cached(statements::MOVE_RECORD)?.execute(values)?;
    }
    if updated == 1 { Ok(()) } else { Err(Fault::Damaged(format!("{key} is gone"))) }
}

/// Adds a record that has its number from elsewhere, and lists it at once.
pub(super) fn take_in(connection: &Connection, no: i64, record: &Record) -> Result<(), Fault> {
    put(&mut connection.prepare_cached(statements::table(record.key.kind).add)?, no, record)?;
    if record.key.kind.is_listed_by_owner() {
        let of = params![record.filing.owner.uuid(), record.key.kind.name(), no];
        connection.prepare_cached(statements::LIST_RECORD)?.execute(of)?;
    }
    Ok(())
}

/// Adds a record under a number.
fn put(add: &mut CachedStatement<'_>, no: i64, record: &Record) -> Result<(), Fault> {
    let Record { key, filing, created_at, updated_at, version, value } = record;
    add.execute(params![
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

/// The batch's new records that are listed by owner; the last of all has the number that is given.
pub(super) fn listed(set: &WorkingSet, last: i64) -> impl Iterator<Item = TailRecord> {
    let added = &set.changes.added_records;
    let before = last.saturating_sub(i64::try_from(added.len()).unwrap_or_default());
    let listed = (before.saturating_add(1)..).zip(added).filter(|(_, key)| key.kind.is_listed_by_owner());
    listed.filter_map(|(no, key)| {
        let record = set.records.get(key)?;
        Some(TailRecord { no, kind: key.kind, owner: record.filing.owner })
    })
}

/// Those that are listed by owner and not folded yet, in the order of their numbers.
pub(super) fn each_unfolded(connection: &Connection, mut take: impl FnMut(TailRecord)) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(statements::UNFOLDED_RECORDS)?;
    let mut found = statement.query([listed_to(connection)?])?;
    while let Some(row) = found.next()? {
        let (no, kind) = (row.get(0)?, row.get_ref(1)?.as_str().ok().and_then(RecordKind::from_name));
        let kind = kind.ok_or_else(|| Fault::Damaged(format!("records row {no}: kind is not readable")))?;
        if kind.is_listed_by_owner() {
            take(TailRecord { no, kind, owner: UserId::new(row.get(2)?) });
        }
    }
    Ok(())
}

/// The record up to which they are folded.
fn listed_to(connection: &Connection) -> Result<i64, Fault> {
    Ok(properties::number(connection, properties::LISTED_TO)?)
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn by_key(connection: &Connection, key: RecordKey) -> Result<Option<Arc<Record>>, Fault> {
    let mut statement = connection.prepare_cached(statements::table(key.kind).by_key)?;
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

/// A list: of an owner, of what they belong to, or of all of a kind.
pub(super) fn list(
    connection: &Connection,
    shared: &Shared,
    query: &RecordQuery,
) -> Result<Page<(u64, Arc<Record>)>, Fault> {
    let RecordQuery { kind, owner, parent, order, page } = *query;
    let from = first(query);
    if let (Some(owner), None) = (owner, parent) {
        return of_owner(connection, shared, (kind, owner), query);
    }
    let table = statements::table(kind);
    let (of_kind, of_parent) = match order {
        Order::NewestFirst => (table.newest_of_kind, statements::NEWEST_OF_PARENT),
        Order::OldestFirst => (table.oldest_of_kind, statements::OLDEST_OF_PARENT),
    };
    let (kind, limit) = (kind.name(), one_more(page.limit));
    let mut found = Vec::new();
    match parent {
        Some(parent) => {
            let owner = owner.map(UserId::uuid);
            add_all(connection, of_parent, params![kind, from, limit, parent, owner], &mut found)?;
        }
        None => add_all(connection, of_kind, params![kind, from, limit], &mut found)?,
    }
    Ok(page_of(found, page.limit))
}

/// A page of an owner's. Each round takes a piece of the tail and then a snapshot; there is more than one only where
/// records of the piece were taken away.
fn of_owner(
    connection: &Connection,
    shared: &Shared,
    (kind, owner): (RecordKind, UserId),
    query: &RecordQuery,
) -> Result<Page<(u64, Arc<Record>)>, Fault> {
    let RecordQuery { order, page, .. } = *query;
    let table = statements::table(kind);
    let folded = match order {
        Order::NewestFirst => table.newest_of_owner,
        Order::OldestFirst => table.oldest_of_owner,
    };
    let wanted = page.limit.saturating_add(1);
    let (mut found, mut from) = (Vec::new(), first(query));
    loop {
        let unfolded = shared.tail.records((kind, owner), order, from, wanted);
        let is_all = unfolded.len() < wanted;
        let end = unfolded.last().copied().unwrap_or(from);
        let is_done = in_snapshot(connection, || {
            let watermark = listed_to(connection)?;
            let (low, high) = match order {
                Order::NewestFirst => (0, from.min(watermark.saturating_add(1))),
                Order::OldestFirst => (from, watermark.saturating_add(1)),
            };
            let add_folded = |found: &mut Vec<_>| {
                let missing = i64::try_from(wanted.saturating_sub(found.len())).unwrap_or(i64::MAX);
                let of = params![kind.name(), owner.uuid(), low, high, missing];
                add_all(connection, folded, of, found)
            };
            let add_unfolded = |found: &mut Vec<_>| {
                let above = unfolded.iter().filter(|no| **no > watermark);
                above.copied().try_for_each(|no| add_all(connection, table.by_number, [no], found))
            };
            match order {
                Order::NewestFirst => {
                    add_unfolded(&mut found)?;
                    // Where the piece reaches down to the watermark, or is all of the tail, the table has the rest.
                    let is_folded_below = is_all || end <= watermark;
                    if is_folded_below {
                        add_folded(&mut found)?;
                    }
                    from = end;
                    Ok(is_folded_below)
                }
                Order::OldestFirst => {
                    add_folded(&mut found)?;
                    add_unfolded(&mut found)?;
                    from = end.max(watermark);
                    Ok(is_all)
                }
            }
        })?;
        if is_done || found.len() >= wanted {
            return Ok(page_of(found, page.limit));
        }
    }
}

/// Where a list begins.
fn first(query: &RecordQuery) -> i64 {
    position(
        query.page.after,
        match query.order {
            Order::NewestFirst => i64::MAX,
            Order::OldestFirst => 0,
        },
    )
}

fn add_all(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    found: &mut Vec<(i64, Arc<Record>)>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    while let Some(row) = rows.next()? {
        found.push(record(row)?);
    }
    Ok(())
}

fn page_of(found: Vec<(i64, Arc<Record>)>, limit: usize) -> Page<(u64, Arc<Record>)> {
    let numbered =
        found.into_iter().map(|(no, record)| (no, (u64::try_from(no).unwrap_or_default(), record)));
    cut(numbered.collect(), limit)
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
    let kind = row.get_ref(1)?.as_str().ok().and_then(RecordKind::from_name);
    let table = kind.map_or(statements::RECORDS.name, |kind| statements::table(kind).name);
    let damaged = |column: &str| Fault::Damaged(format!("{table} row {no}: {column} is not readable"));
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

#[cfg(test)]
mod tests {
    use super::super::connect;
    use super::*;

    #[test]
    fn a_number_is_never_given_again() {
        let folder = tempfile::tempdir().unwrap();
        let connection = connect::writer(folder.path()).unwrap();
        let mut gone = HashSet::new();
        let record = |kind, value: &str| {
            Arc::new(Record {
                key: RecordKey { kind, id: Uuid::from_u128(1) },
                filing: Filing::under(UserId::HOUSE),
                created_at: Timestamp::from_millis(1),
                updated_at: Timestamp::from_millis(1),
                version: 1,
                value: value.into(),
            })
        };
        let notice = r#"{"name":"user.created","object":"00000000-0000-0000-0000-000000000001","data":{}}"#;
        let mut expected = 0;
        for added in [record(RecordKind::Deadline, "{}"), record(RecordKind::Notice, notice)] {
            expected += 1;
            let mut set = WorkingSet::at(Timestamp::from_millis(1));
            set.changes.added_records.push(added.key);
            set.add_record(Arc::clone(&added));
            assert_eq!(save(&connection, &set, expected - 1, &mut gone).unwrap(), expected);
            assert_eq!(last(&connection).unwrap(), expected);
            assert_eq!(by_key(&connection, added.key).unwrap(), Some(Arc::clone(&added)));

            let mut set = WorkingSet::at(Timestamp::from_millis(1));
            set.changes.removed_records.push(added.key);
            save(&connection, &set, expected, &mut gone).unwrap();
            assert_eq!(by_key(&connection, added.key).unwrap(), None);
            assert_eq!(last(&connection).unwrap(), expected, "it is taken away and its number is used up");
        }
    }
}
