//! Taking in a ledger that comes from elsewhere: rows with the numbers that they have, in the order of the journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use deadpool_postgres::Object;
use tokio::runtime::Runtime;
use tokio_postgres::Transaction as DatabaseTransaction;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::connect::{self, PostgresSettings};
use super::journal::{LEDGER, MIGRATION, MODE, head_of, runtime, unusable};
use super::load::account_id;
use super::save::{Accounts, Entries, Events, Sessions, Transactions, Users};
use super::{migrate, records, statements};
use crate::ledger::{Record, Session, SessionId, TokenHash, User};
use crate::store::OpenError;
use crate::store::journal::{Block, Head, JournalWriter, Properties};

/// Takes a ledger into one database, as the role that owns it.
pub struct PostgresImport {
    runtime: Runtime,
    connection: Object,
}

impl PostgresImport {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// [`OpenError::Unusable`] if the database cannot be used.
    pub fn open(settings: &PostgresSettings) -> Result<Self, OpenError> {
        let runtime = runtime()?;
        let url = settings.migration_url.as_ref().unwrap_or(&settings.url);
        let connection = runtime.block_on(async {
            let mut connection = connect::connect(url, 0).await?;
            migrate::apply(&mut connection).await?;
            connect::check_durability(&connection).await?;
            Ok::<_, OpenError>(connection)
        })?;
        Ok(Self { runtime, connection })
    }

    /// Runs statements in one transaction.
    fn in_transaction(&mut self, work: &[(&str, &[&(dyn ToSql + Sync)])]) -> Result<(), OpenError> {
        let Self { runtime, connection } = self;
        runtime.block_on(async {
            let transaction = connection.transaction().await.map_err(unusable)?;
            for (sql, parameters) in work {
                transaction.execute(*sql, parameters).await.map_err(unusable)?;
            }
            transaction.commit().await.map_err(unusable)
        })
    }
}

impl JournalWriter for PostgresImport {
    fn begin(&mut self, properties: &Properties) -> Result<Head, OpenError> {
        let Self { runtime, connection } = self;
        runtime.block_on(async {
            let transaction = connection.transaction().await.map_err(unusable)?;
            transaction
                .batch_execute("LOCK TABLE properties IN ACCESS EXCLUSIVE MODE")
                .await
                .map_err(unusable)?;
            let ledger = properties.ledger.to_string();
            match (property(&transaction, MIGRATION).await?, property(&transaction, MODE).await?) {
                (Some(moved), _) if moved == ledger => mark(&transaction, properties, &ledger).await?,
                (Some(_), _) => {
                    return Err(OpenError::Unusable("another ledger is being moved there".into()));
                }
                (None, Some(_)) => {
                    return Err(OpenError::Unusable(
                        "there is a ledger already; one is moved into an empty place only".into(),
                    ));
                }
                (None, None) => mark(&transaction, properties, &ledger).await?,
            }
            let sql = "SELECT block, last_transaction, last_event, at, hash FROM chain";
            let head = head_of(&transaction.query_one(sql, &[]).await.map_err(unusable)?)?;
            transaction.commit().await.map_err(unusable)?;
            Ok(head)
        })
    }

    fn append(&mut self, blocks: &[Block]) -> Result<(), OpenError> {
        let Some(last) = blocks.last().map(|block| block.stored.head) else { return Ok(()) };
        let columns = Columns::of(blocks);
        let Columns {
            accounts: a,
            numbers,
            transactions: t,
            created,
            entries: e,
            events: v,
            event_numbers,
            event_times,
            ..
        } = &columns;
        let (at, hash): (i64, &[u8]) = (last.at.as_millis(), &last.hash);
        self.in_transaction(&[
            (statements::IMPORT_ACCOUNTS, &[&a.ids, &a.owners, &a.kinds, &a.currencies, &a.balances]),
            (
                statements::IMPORT_TRANSACTIONS,
                &[
                    numbers,
                    &t.ids,
                    &t.kinds,
                    &t.from,
                    &t.from_names,
                    &t.to,
                    &t.to_names,
                    &t.owners,
                    &t.amounts,
                    &t.currencies,
                    &t.descriptions,
                    &t.references,
                    &t.metadata,
                    &t.methods,
                    &t.declines,
                    &t.available,
                    &t.keys,
                    created,
                    &t.captures,
                    &t.about,
                    &t.statuses,
                    &t.captured,
                    &t.refunded,
                    &t.notes,
                    &t.actors,
                    &t.from_after,
                    &t.to_after,
                ],
            ),
            (
                statements::IMPORT_ENTRIES,
                &[&e.transactions, &e.indexes, &e.accounts, &e.amounts, &e.balances],
            ),
            (
                statements::IMPORT_EVENTS,
                &[
                    event_numbers,
                    event_times,
                    &v.ids,
                    &v.kinds,
                    &v.severities,
                    &v.users,
                    &v.ips,
                    &v.agents,
                    &v.requests,
                    &v.details,
                ],
            ),
            (
                statements::IMPORT_BLOCKS,
                &[
                    &columns.blocks,
                    &columns.last_transactions,
                    &columns.last_events,
                    &columns.times,
                    &columns.digests,
                    &columns.hashes,
                    &columns.marks,
                ],
            ),
            (statements::IMPORT_HEAD, &[&last.block, &last.transaction, &last.event, &at, &hash]),
        ])
    }

    fn put_users(&mut self, users: &[(i64, Arc<User>)]) -> Result<(), OpenError> {
        let (mut numbers, mut columns) = (Vec::new(), Users::default());
        for (number, user) in users {
            numbers.push(*number);
            columns.push(user);
        }
        let u = &columns;
        self.in_transaction(&[
            (
                statements::IMPORT_USERS,
                &[
                    &numbers,
                    &u.ids,
                    &u.emails,
                    &u.folded,
                    &u.names,
                    &u.hashes,
                    &u.roles,
                    &u.frozen,
                    &u.created,
                    &u.changed,
                    &u.long,
                    &u.factors,
                    &u.new_addresses,
                ],
            ),
            (statements::IMPORT_LAST_USER, &[]),
        ])
    }

    fn put_sessions(&mut self, sessions: &[Arc<Session>]) -> Result<(), OpenError> {
        let mut columns = Sessions::default();
        for session in sessions {
            columns.push(session);
        }
        self.in_transaction(&[(statements::SAVE_SESSIONS, &columns.parameters())])
    }

    fn put_spent_tokens(&mut self, tokens: &[(TokenHash, SessionId)]) -> Result<(), OpenError> {
        let (hashes, sessions): (Vec<&[u8]>, Vec<Uuid>) =
            tokens.iter().map(|(token, session)| (&token.0[..], session.uuid())).unzip();
        self.in_transaction(&[(statements::IMPORT_TOKENS, &[&hashes, &sessions])])
    }

    fn put_records(&mut self, records: &[(i64, Arc<Record>)]) -> Result<(), OpenError> {
        let (mut numbers, mut columns) = (Vec::new(), records::Columns::default());
        for (number, record) in records {
            numbers.push(*number);
            columns.push(record);
        }
        let mut parameters = columns.parameters().to_vec();
        parameters.push(&numbers);
        self.in_transaction(&[(statements::IMPORT_RECORDS, &parameters)])
    }

    fn settle(&mut self) -> Result<(), OpenError> {
        self.runtime.block_on(self.connection.batch_execute("ANALYZE")).map_err(unusable)
    }

    fn finish(&mut self) -> Result<(), OpenError> {
        self.in_transaction(&[("DELETE FROM properties WHERE name = $1", &[&MIGRATION])])
    }
}

async fn property(transaction: &DatabaseTransaction<'_>, name: &str) -> Result<Option<String>, OpenError> {
    let sql = "SELECT value FROM properties WHERE name = $1";
    let row = transaction.query_opt(sql, &[&name]).await.map_err(unusable)?;
    row.map(|row| row.try_get(0).map_err(unusable)).transpose()
}

/// Says what is being moved here; forgets what an earlier try brought and may be gone since.
async fn mark(
    transaction: &DatabaseTransaction<'_>,
    properties: &Properties,
    ledger: &str,
) -> Result<(), OpenError> {
    let own = [(MIGRATION, ledger), (LEDGER, ledger), (MODE, properties.mode.name())];
    let others = properties.others.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.into_iter().chain(others) {
        let sql = "INSERT INTO properties (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
        transaction.execute(sql, &[&name, &value]).await.map_err(unusable)?;
    }
    transaction.execute("DELETE FROM records", &[]).await.map_err(unusable)?;
    Ok(())
}

/// Blocks with their rows, column by column.
#[derive(Default)]
struct Columns<'a> {
    accounts: Accounts,
    numbers: Vec<i64>,
    transactions: Transactions<'a>,
    created: Vec<i64>,
    entries: Entries,
    events: Events<'a>,
    event_numbers: Vec<i64>,
    event_times: Vec<i64>,
    blocks: Vec<i64>,
    last_transactions: Vec<i64>,
    last_events: Vec<i64>,
    times: Vec<i64>,
    digests: Vec<&'a [u8]>,
    marks: Vec<&'a [u8]>,
    hashes: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(blocks: &'a [Block]) -> Self {
        let mut columns = Self::default();
        let mut balances = BTreeMap::new();
        for Block { stored, transactions, events } in blocks {
            let before =
                |last: i64, rows: usize| last.saturating_sub(i64::try_from(rows).unwrap_or_default());
            let first = before(stored.head.transaction, transactions.len()).saturating_add(1);
            for (no, transaction) in (first..).zip(transactions) {
                columns.numbers.push(no);
                columns.transactions.push(transaction);
                columns.created.push(transaction.created_at.as_millis());
                for (index, entry) in (0_i64..).zip(&transaction.entries) {
                    columns.entries.transactions.push(no);
                    columns.entries.indexes.push(index);
                    columns.entries.accounts.push(account_id(&entry.account));
                    columns.entries.amounts.push(entry.amount_minor);
                    columns.entries.balances.push(entry.balance_after_minor);
                    balances.insert(account_id(&entry.account), (entry.account, entry.balance_after_minor));
                }
            }
            let first = before(stored.head.event, events.len()).saturating_add(1);
            for (no, event) in (first..).zip(events) {
                columns.event_numbers.push(no);
                columns.event_times.push(event.at.as_millis());
                columns.events.push(event);
            }
            columns.blocks.push(stored.head.block);
            columns.last_transactions.push(stored.head.transaction);
            columns.last_events.push(stored.head.event);
            columns.times.push(stored.head.at.as_millis());
            columns.digests.push(&stored.rows.digest);
            columns.marks.push(&stored.rows.marks);
            columns.hashes.push(&stored.head.hash);
        }
        for (id, (account, balance)) in balances {
            columns.accounts.push(id, &account, balance);
        }
        columns
    }
}
