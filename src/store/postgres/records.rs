//! Records: locked and loaded by key with a batch, written with it; listed by owner, by what they belong to, by when they
//! are due.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::Shared;
use super::fault::Fault;
use super::reads::{cut, one_more, position, query};
use super::rows::get;
use super::statements;
use crate::ledger::chain::Hash;
use crate::ledger::{Changes, Filing, Needs, Record, RecordKey, RecordKind, Timestamp, UserId, WorkingSet};
use crate::store::{Order, Page, RecordQuery};

/// The keys and the hashes by which a batch asks for records, column by column.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    pub(super) kinds: Vec<&'static str>,
    pub(super) ids: Vec<Uuid>,
    /// Likewise of payments: these need no lock of their own.
    pub(super) payments_kinds: Vec<&'static str>,
    pub(super) payments_ids: Vec<Uuid>,
    pub(super) lookup_kinds: Vec<&'static str>,
    pub(super) lookups: Vec<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    pub(super) fn by(needs: &'a Needs) -> Self {
        let of = |is_of_payment: bool| {
            let wanted = needs.records.iter().filter(move |key| key.kind.is_of_payment() == is_of_payment);
            wanted.map(|key| (key.kind.name(), key.id)).unzip()
        };
        let ((kinds, ids), (payments_kinds, payments_ids)) = (of(false), of(true));
        let (lookup_kinds, lookups) =
            needs.record_lookups.iter().map(|(kind, lookup)| (kind.name(), &lookup[..])).unzip();
        Self { kinds, ids, payments_kinds, payments_ids, lookup_kinds, lookups }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.lookup_kinds.is_empty()
    }
}

/// Records as a batch writes them, column by column.
#[derive(Default)]
pub(super) struct Columns<'a> {
    kinds: Vec<&'static str>,
    pub(super) ids: Vec<Uuid>,
    owners: Vec<Uuid>,
    parents: Vec<Option<Uuid>>,
    lookups: Vec<Option<&'a [u8]>>,
    due: Vec<Option<i64>>,
    created: Vec<i64>,
    updated: Vec<i64>,
    versions: Vec<i64>,
    values: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    pub(super) fn push(&mut self, record: &'a Record) {
        let Record { key, filing, created_at, updated_at, version, value } = record;
        self.kinds.push(key.kind.name());
        self.ids.push(key.id);
        self.owners.push(filing.owner.uuid());
        self.parents.push(filing.parent);
        self.lookups.push(filing.lookup.as_ref().map(|lookup| &lookup[..]));
        self.due.push(filing.due_at.map(Timestamp::as_millis));
        self.created.push(created_at.as_millis());
        self.updated.push(updated_at.as_millis());
        self.versions.push(i64::try_from(*version).unwrap_or(i64::MAX));
        self.values.push(value);
    }

    /// The parameters of [`statements::UPDATE_RECORDS`], [`statements::ADD_RECORDS`] and, behind the numbers, of
    /// [`statements::IMPORT_RECORDS`].
    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 10] {
        [
            &self.kinds,
            &self.ids,
            &self.owners,
            &self.parents,
            &self.lookups,
            &self.due,
            &self.created,
            &self.updated,
            &self.versions,
            &self.values,
        ]
    }
}

/// What a batch does with records.
#[derive(Default)]
pub(super) struct Changed<'a> {
    pub(super) removed: (Vec<&'static str>, Vec<Uuid>),
    pub(super) updated: Columns<'a>,
    pub(super) added: Columns<'a>,
}

impl<'a> Changed<'a> {
    pub(super) fn of(set: &'a WorkingSet) -> Result<Self, Fault> {
        let Changes { removed_records, updated_records, added_records, .. } = &set.changes;
        let record =
            |key| set.records.get(key).ok_or_else(|| Fault::Damaged(format!("changed {key} is missing")));
        let mut changed = Self::default();
        for key in removed_records {
            changed.removed.0.push(key.kind.name());
            changed.removed.1.push(key.id);
        }
        for key in updated_records {
            changed.updated.push(record(key)?);
        }
        for key in added_records {
            changed.added.push(record(key)?);
        }
        Ok(changed)
    }
}

pub(super) async fn by_lookup(
    shared: &Shared,
    kind: RecordKind,
    lookup: Hash,
) -> Result<Option<Arc<Record>>, Fault> {
    let found =
        query(shared, statements::RECORDS_BY_LOOKUP, &[&vec![kind.name()], &vec![&lookup[..]]]).await?;
    found.first().map(|row| record(row).map(|(_, record)| record)).transpose()
}

pub(super) async fn list(shared: &Shared, asked: &RecordQuery) -> Result<Page<(u64, Arc<Record>)>, Fault> {
    let RecordQuery { kind, owner, parent, order, page } = *asked;
    let (sql, from) = match order {
        Order::NewestFirst => (statements::NEWEST_RECORDS, position(page.after, i64::MAX)),
        Order::OldestFirst => (statements::OLDEST_RECORDS, position(page.after, 0)),
    };
    let [of_kind, of_owner, of_parent] = sql;
    let (kind, owner, limit) = (kind.name(), owner.map(UserId::uuid), one_more(page.limit));
    let found = match (parent, owner) {
        (Some(parent), owner) => query(shared, of_parent, &[&kind, &from, &limit, &parent, &owner]).await?,
        (None, Some(owner)) => query(shared, of_owner, &[&kind, &from, &limit, &owner]).await?,
        (None, None) => query(shared, of_kind, &[&kind, &from, &limit]).await?,
    };
    let numbered = found.iter().map(|row| {
        let (no, record) = record(row)?;
        Ok((no, (u64::try_from(no).unwrap_or_default(), record)))
    });
    Ok(cut(numbered.collect::<Result<_, Fault>>()?, page.limit))
}

pub(super) async fn due(
    shared: &Shared,
    kind: RecordKind,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<Arc<Record>>, Fault> {
    let (until, limit) = (until.as_millis(), i64::try_from(limit).unwrap_or(i64::MAX));
    let found = query(shared, statements::DUE_RECORDS, &[&kind.name(), &until, &limit]).await?;
    found.iter().map(|row| record(row).map(|(_, record)| record)).collect()
}

/// A record and its number.
pub(super) fn record(row: &Row) -> Result<(i64, Arc<Record>), Fault> {
    let no: i64 = get(row, 0)?;
    let damaged = |column: &str| Fault::Damaged(format!("records row {no}: {column} is not readable"));
    let kind = RecordKind::from_name(get(row, 1)?).ok_or_else(|| damaged("kind"))?;
    let value: String = get(row, 10)?;
    if !kind.can_read(&value) {
        return Err(damaged("value"));
    }
    let lookup = get::<Option<&[u8]>>(row, 5)?.map(Hash::try_from);
    let record = Record {
        key: RecordKey { kind, id: get(row, 2)? },
        filing: Filing {
            owner: UserId::new(get(row, 3)?),
            parent: get(row, 4)?,
            lookup: lookup.transpose().map_err(|_| damaged("lookup"))?,
            due_at: get::<Option<i64>>(row, 6)?.map(Timestamp::from_millis),
        },
        created_at: Timestamp::from_millis(get(row, 7)?),
        updated_at: Timestamp::from_millis(get(row, 8)?),
        version: u64::try_from(get::<i64>(row, 9)?).map_err(|_| damaged("version"))?,
        value,
    };
    Ok((no, Arc::new(record)))
}
