//! The journal handed out for verification and transfer, also while nodes write: what changes is taken in one
//! repeatable-read transaction, and the rows up to there, which never change, are read behind it.
//!
//! All calls block: they run on a runtime of their own, on a thread that may wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use deadpool_postgres::Object;
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row, Transaction as Snapshot};
use uuid::Uuid;

use super::connect::{self, PostgresSettings};
use super::fault::{Fault, describe};
use super::load::account_id;
use super::rows::{self, get};
use super::{guards, migrate, records, statements};
use crate::ledger::chain::{Digested, Hash};
use crate::ledger::{
    Mode, PaymentId, Record, SecurityEvent, Session, SessionId, Timestamp, TokenHash, Transaction, User,
};
use crate::store::OpenError;
use crate::store::journal::{
    AccountRow, Beginning, Head, JournalReader, Numbered, Properties, StoredAccount, StoredBlock, StoredEntry,
};

/// Sessions and spent tokens that are looked at in one statement: each is short, so that none holds a snapshot for long.
const PAGE: i64 = 20_000;

/// Which ledger it is, in whatever place.
pub(super) const LEDGER: &str = "ledger_id";
/// Play money or real money.
pub(super) const MODE: &str = "mode";
/// The ledger that is being moved here; there only until it is whole.
pub(super) const MIGRATION: &str = "migration";

/// Hands out the ledger in one database.
pub struct PostgresJournal {
    runtime: Runtime,
    connection: Object,
}

impl PostgresJournal {
    /// Connects to a ledger, also while nodes write.
    ///
    /// # Errors
    /// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
    pub fn open(settings: &PostgresSettings) -> Result<Self, OpenError> {
        let runtime = runtime()?;
        let connection = runtime.block_on(async {
            // A whole ledger is read: no statement is stopped for taking long.
            let connection = connect::connect(&settings.url, 0).await?;
            migrate::check(&connection).await?;
            Ok::<_, OpenError>(connection)
        })?;
        Ok(Self { runtime, connection })
    }

    fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, OpenError> {
        self.runtime.block_on(self.connection.query(sql, parameters)).map_err(unusable)
    }

    /// Sessions whose user is not there, looked at in pages.
    fn check_sessions(&self, wrong: &mut Vec<String>) -> Result<(), OpenError> {
        let sql = "SELECT s.id, EXISTS (SELECT 1 FROM users u WHERE u.id = s.user_id) FROM sessions s \
                   WHERE s.id > $1 ORDER BY s.id LIMIT $2";
        let mut after = Uuid::nil();
        loop {
            let page = self.query(sql, &[&after, &PAGE])?;
            for row in &page {
                after = get(row, 0)?;
                if !get::<bool>(row, 1)? {
                    wrong.push(format!("sessions row {}: its user is missing", SessionId::new(after)));
                }
            }
            if page.is_empty() {
                return Ok(());
            }
        }
    }

    /// Records whose values are not of their kind, looked at in pages.
    fn check_records(&self, wrong: &mut Vec<String>) -> Result<(), OpenError> {
        let mut after = 0_i64;
        loop {
            let page = self.query(statements::RECORDS_AFTER, &[&after, &PAGE])?;
            for row in &page {
                after = get(row, 0)?;
                if let Err(fault) = records::record(row) {
                    wrong.push(fault.to_string());
                }
            }
            if page.is_empty() {
                return Ok(());
            }
        }
    }

    /// Spent tokens whose session is not there, looked at in pages.
    fn check_spent_tokens(&self, wrong: &mut Vec<String>) -> Result<(), OpenError> {
        let sql = "SELECT p.hash, EXISTS (SELECT 1 FROM sessions s WHERE s.id = p.session_id), p.session_id \
                   FROM spent_tokens p WHERE p.hash > $1 ORDER BY p.hash LIMIT $2";
        let mut after: Vec<u8> = Vec::new();
        loop {
            let page = self.query(sql, &[&after, &PAGE])?;
            for row in &page {
                after = get(row, 0)?;
                if !get::<bool>(row, 1)? {
                    let session = SessionId::new(get(row, 2)?);
                    wrong.push(format!("spent_tokens row of {session}: its session is missing"));
                }
            }
            if page.is_empty() {
                return Ok(());
            }
        }
    }
}

/// A runtime for calls that block.
pub(super) fn runtime() -> Result<Runtime, OpenError> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    built.map_err(|error| OpenError::Unusable(format!("cannot start threads: {error}")))
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
pub(super) fn unusable(error: tokio_postgres::Error) -> OpenError {
    OpenError::Unusable(describe(&error))
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        Self::Unusable(fault.to_string())
    }
}

impl JournalReader for PostgresJournal {
    fn begin(&mut self) -> Result<Beginning, OpenError> {
        let Self { runtime, connection } = self;
        runtime.block_on(async {
            let builder = connection.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
            let snapshot = builder.read_only(true).start().await.map_err(unusable)?;
            let beginning = begin(&snapshot).await?;
            snapshot.commit().await.map_err(unusable)?;
            Ok(beginning)
        })
    }

    fn blocks(&mut self, after: &Head, to: i64, rows: i64) -> Result<Vec<StoredBlock>, OpenError> {
        // Each block has one row at least, so that no more blocks than rows can be wanted.
        let sql = "SELECT no, last_transaction, last_event, at, hash, digest, marks FROM blocks \
                   WHERE no > $1 AND no <= $2 ORDER BY no LIMIT $3";
        let mut blocks: Vec<StoredBlock> = Vec::new();
        for row in self.query(sql, &[&after.block, &to, &rows.max(1)])? {
            let head = head_of(&row)?;
            if head.rows().saturating_sub(after.rows()) > rows && !blocks.is_empty() {
                break;
            }
            let rows = Digested { digest: hash(&row, 5)?, marks: get(&row, 6)? };
            blocks.push(StoredBlock { head, rows });
        }
        Ok(blocks)
    }

    fn transactions(&mut self, after: i64, to: i64) -> Result<Numbered<Transaction>, OpenError> {
        let found = self.query(statements::TRANSACTIONS_BETWEEN, &[&after, &to])?;
        let mut transactions = numbered(&found, rows::transaction)?;
        for row in &found {
            let (no, owner): (i64, Uuid) = (get(row, 0)?, get(row, rows::TRANSACTION_COLUMNS)?);
            let place = transactions.rows.binary_search_by_key(&no, |(no, _)| *no).ok();
            let transaction = place.and_then(|place| transactions.rows.get(place));
            // Keys are unique per owner: with another owner, a key could be used twice.
            if transaction.is_some_and(|(_, transaction)| transaction.owner().uuid() != owner) {
                let what = format!("transactions row {no}: its owner is not who asked for it");
                transactions.wrong.push(what);
            }
        }
        Ok(transactions)
    }

    fn entries(&mut self, after: i64, to: i64) -> Result<Vec<StoredEntry>, OpenError> {
        let sql = "SELECT no, transaction_no, account, amount, balance_after FROM entries \
                   WHERE no >= ($1::bigint + 1) * 8 AND no < ($2::bigint + 1) * 8 ORDER BY no";
        let entry = |row: &Row| {
            Ok(StoredEntry {
                no: get(row, 0)?,
                transaction: get(row, 1)?,
                account: AccountRow::Uuid(get(row, 2)?),
                amount_minor: get(row, 3)?,
                balance_after_minor: get(row, 4)?,
            })
        };
        self.query(sql, &[&after, &to])?.iter().map(entry).collect()
    }

    fn events(&mut self, after: i64, to: i64) -> Result<Numbered<SecurityEvent>, OpenError> {
        numbered(&self.query(statements::EVENTS_BETWEEN, &[&after, &to])?, rows::event)
    }

    fn own_discrepancies(&mut self) -> Result<Vec<String>, OpenError> {
        let mut wrong = self.runtime.block_on(guards::discrepancies(&self.connection))?;
        // What the tables' own rules would have refused, had nobody switched them off.
        self.check_sessions(&mut wrong)?;
        self.check_spent_tokens(&mut wrong)?;
        self.check_records(&mut wrong)?;
        Ok(wrong)
    }

    fn properties(&mut self) -> Result<Properties, OpenError> {
        let unreadable = |name| OpenError::Unusable(format!("the ledger's property {name} is not readable"));
        let mut others = BTreeMap::new();
        for row in self.query("SELECT name, value FROM properties", &[])? {
            others.insert(get(&row, 0)?, get::<String>(&row, 1)?);
        }
        others.remove(MIGRATION);
        let mode = others.remove(MODE).and_then(|mode| Mode::from_name(&mode));
        let ledger = others.remove(LEDGER).and_then(|ledger| Uuid::try_parse(&ledger).ok());
        Ok(Properties {
            ledger: ledger.ok_or_else(|| unreadable(LEDGER))?,
            mode: mode.ok_or_else(|| unreadable(MODE))?,
            others,
        })
    }

    fn users(&mut self, after: i64, limit: usize) -> Result<Vec<(i64, Arc<User>)>, OpenError> {
        let found = self.query(statements::USERS, &[&after, &count(limit)])?;
        found.iter().map(|row| Ok((get(row, rows::USER_COLUMNS)?, rows::user(row, 0)?))).collect()
    }

    fn sessions(&mut self, after: Option<SessionId>, limit: usize) -> Result<Vec<Arc<Session>>, OpenError> {
        let after = after.map_or(Uuid::nil(), SessionId::uuid);
        let found = self.query(statements::SESSIONS_AFTER, &[&after, &count(limit)])?;
        found.iter().map(|row| Ok(rows::session(row)?)).collect()
    }

    fn spent_tokens(
        &mut self,
        after: Option<TokenHash>,
        limit: usize,
    ) -> Result<Vec<(TokenHash, SessionId)>, OpenError> {
        let after: &[u8] = after.as_ref().map_or(&[], |token| &token.0);
        let sql = "SELECT hash, session_id FROM spent_tokens WHERE hash > $1 ORDER BY hash LIMIT $2";
        let unreadable = || OpenError::Unusable("spent_tokens: a hash is not readable".into());
        let found = self.query(sql, &[&after, &count(limit)])?;
        let token = |row: &Row| {
            let hash = rows::token_hash(row, 0).ok_or_else(unreadable)?;
            Ok((hash, SessionId::new(get(row, 1)?)))
        };
        found.iter().map(token).collect()
    }

    fn records(&mut self, after: i64, limit: usize) -> Result<Vec<(i64, Arc<Record>)>, OpenError> {
        let found = self.query(statements::RECORDS_AFTER, &[&after, &count(limit)])?;
        found.iter().map(|row| Ok(records::record(row)?)).collect()
    }
}

async fn begin(snapshot: &Snapshot<'_>) -> Result<Beginning, OpenError> {
    let mut beginning = Beginning { head: last_block(snapshot).await?, ..Beginning::default() };
    beginning.discrepancies = strays(snapshot, &beginning.head).await?;
    let sql = "SELECT owner, kind, currency, id, balance FROM accounts";
    for row in snapshot.query(sql, &[]).await.map_err(unusable)? {
        let id: Uuid = get(&row, 3)?;
        match rows::account_key(&row, 0) {
            Ok(key) => {
                // Whoever pays looks for the account under the id that follows from what it is.
                if id != account_id(&key) {
                    let what = format!("accounts row {id} of {}: its id is not its own", key.owner);
                    beginning.discrepancies.push(what);
                }
                beginning.accounts.push(StoredAccount {
                    row: AccountRow::Uuid(id),
                    key,
                    balance: get(&row, 4)?,
                    as_of: beginning.head.transaction,
                });
            }
            Err(fault) => beginning.discrepancies.push(format!("accounts row {id}: {fault}")),
        }
    }
    let sql = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM records)";
    let row = snapshot.query_one(sql, &[]).await.map_err(unusable)?;
    beginning.users = u64::try_from(get::<i64>(&row, 0)?).unwrap_or_default();
    beginning.records = u64::try_from(get::<i64>(&row, 1)?).unwrap_or_default();
    let sql = "SELECT DISTINCT about FROM transactions WHERE about IS NOT NULL";
    for row in snapshot.query(sql, &[]).await.map_err(unusable)? {
        beginning.settled.insert(PaymentId::new(get(&row, 0)?));
    }
    Ok(beginning)
}

/// Where the journal ends, as the last block says.
async fn last_block(snapshot: &Snapshot<'_>) -> Result<Head, OpenError> {
    let sql = "SELECT no, last_transaction, last_event, at, hash FROM blocks ORDER BY no DESC LIMIT 1";
    let row = snapshot.query_opt(sql, &[]).await.map_err(unusable)?;
    row.as_ref().map_or(Ok(Head::default()), head_of)
}

/// Rows before the journal's first or behind its last, and a head of the chain that is not its last block.
async fn strays(snapshot: &Snapshot<'_>, head: &Head) -> Result<Vec<String>, OpenError> {
    let mut strays = Vec::new();
    let sql = "SELECT block, last_transaction, last_event, at, hash FROM chain";
    let chain = snapshot.query_opt(sql, &[]).await.map_err(unusable)?;
    if chain.as_ref().map(head_of).transpose()? != Some(*head) {
        strays.push(format!("chain: it does not say what its last block {} says", head.block));
    }
    let sql = "SELECT c.last_user, (SELECT coalesce(max(no), 0) FROM users) FROM chain c";
    if let Some(row) = snapshot.query_opt(sql, &[]).await.map_err(unusable)? {
        // The next user gets the next number: one that is taken would be refused, and one that is left out was removed.
        let (numbered, last): (i64, i64) = (get(&row, 0)?, get(&row, 1)?);
        if numbered != last {
            strays.push(format!("users ends with row {last}, and the chain with row {numbered}"));
        }
    }
    let end = |last: i64, step: i64| last.saturating_add(1).saturating_mul(step);
    for (table, first, end) in [
        ("transactions", 1_i64, end(head.transaction, 1)),
        ("security_events", 1, end(head.event, 1)),
        ("blocks", 1, i64::MAX),
        ("entries", 8, end(head.transaction, 8)),
    ] {
        let sql = format!(
            "SELECT no FROM (SELECT min(no) AS no FROM {table} UNION SELECT max(no) FROM {table}) e \
             WHERE no < $1 OR no >= $2"
        );
        for row in snapshot.query(&sql, &[&first, &end]).await.map_err(unusable)? {
            strays.push(format!("{table} row {} is outside of the journal", get::<i64>(&row, 0)?));
        }
    }
    Ok(strays)
}

/// Where the journal ends with a block, from its number, last transaction, last event, time and hash.
pub(super) fn head_of(row: &Row) -> Result<Head, OpenError> {
    Ok(Head {
        block: get(row, 0)?,
        transaction: get(row, 1)?,
        event: get(row, 2)?,
        at: Timestamp::from_millis(get(row, 3)?),
        hash: hash(row, 4)?,
    })
}

fn hash(row: &Row, index: usize) -> Result<Hash, OpenError> {
    let bytes: &[u8] = get(row, index)?;
    bytes.try_into().map_err(|_| OpenError::Unusable("blocks: a hash has not 32 bytes".into()))
}

fn numbered<T>(found: &[Row], read: fn(&Row) -> Result<(i64, T), Fault>) -> Result<Numbered<T>, OpenError> {
    let mut numbered = Numbered { rows: Vec::new(), wrong: Vec::new() };
    for row in found {
        match read(row) {
            Ok(row) => numbered.rows.push(row),
            Err(Fault::Damaged(what)) => numbered.wrong.push(what),
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(numbered)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
