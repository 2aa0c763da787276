//! The journal handed out for verification and transfer, from a read-only connection.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Row};
use uuid::Uuid;

use super::checks::Checks;
use super::fault::Fault;
use super::rows::{self, ENTRIES_PER_TRANSACTION};
use super::{connect, load, properties, records, statements};
use crate::ledger::chain::Digested;
use crate::ledger::{PaymentId, Record, SecurityEvent, Session, SessionId, TokenHash, Transaction, User};
use crate::store::OpenError;
use crate::store::journal::{
    AccountRow, Beginning, Head, JournalReader, Numbered, Properties, StoredAccount, StoredBlock, StoredEntry,
};

/// Hands out the ledger in one folder.
pub struct SqliteJournal {
    connection: Connection,
    checks: Checks,
}

impl SqliteJournal {
    /// Opens the ledger in that folder, also while a server writes.
    ///
    /// # Errors
    /// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Ok(Self { connection: connect::reader(folder)?, checks: Checks::default() })
    }
}

impl JournalReader for SqliteJournal {
    fn begin(&mut self) -> Result<Beginning, OpenError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let beginning = begin(&self.connection)?;
        let folded_to: i64 = properties::number(&self.connection, properties::FOLDED_TO)?;
        snapshot.finish()?;
        self.checks = Checks::begin(folded_to, beginning.head.transaction);
        Ok(beginning)
    }

    fn blocks(&mut self, after: &Head, to: i64, rows: i64) -> Result<Vec<StoredBlock>, OpenError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT no, last_transaction, last_event, at, hash, digest, marks FROM blocks WHERE no > ?1 AND no <= ?2 ORDER BY no",
        )?;
        let mut found = statement.query([after.block, to])?;
        let mut blocks = Vec::new();
        while let Some(row) = found.next()? {
            let head = load::head_of(row)?;
            if head.rows().saturating_sub(after.rows()) > rows && !blocks.is_empty() {
                break;
            }
            blocks.push(StoredBlock { head, rows: Digested { digest: row.get(5)?, marks: row.get(6)? } });
        }
        Ok(blocks)
    }

    fn transactions(&mut self, after: i64, to: i64) -> Result<Numbered<Transaction>, OpenError> {
        let sql = statements::TRANSACTIONS_BETWEEN;
        Ok(numbered(&self.connection, sql, (after, to), rows::transaction)?)
    }

    fn entries(&mut self, after: i64, to: i64) -> Result<Vec<StoredEntry>, OpenError> {
        let first = after.saturating_add(1).saturating_mul(ENTRIES_PER_TRANSACTION);
        let end = to.saturating_add(1).saturating_mul(ENTRIES_PER_TRANSACTION);
        let mut statement = self.connection.prepare_cached(
            "SELECT no, account, amount, balance_after FROM entries WHERE no >= ?1 AND no < ?2 ORDER BY no",
        )?;
        let mut found = statement.query([first, end])?;
        let mut entries = Vec::new();
        while let Some(row) = found.next()? {
            let no: i64 = row.get(0)?;
            entries.push(StoredEntry {
                no,
                transaction: no.div_euclid(ENTRIES_PER_TRANSACTION),
                account: AccountRow::Number(row.get(1)?),
                amount_minor: row.get(2)?,
                balance_after_minor: row.get(3)?,
            });
        }
        Ok(entries)
    }

    fn events(&mut self, after: i64, to: i64) -> Result<Numbered<SecurityEvent>, OpenError> {
        let sql = "SELECT no, id, at, event, severity, user, ip, user_agent, request, detail FROM security_events \
             WHERE no > ?1 AND no <= ?2 ORDER BY no";
        Ok(numbered(&self.connection, sql, (after, to), rows::event)?)
    }

    fn witness(&mut self, no: i64, transaction: &Transaction) {
        self.checks.witness(no, transaction);
    }

    fn own_discrepancies(&mut self) -> Result<Vec<String>, OpenError> {
        let mut wrong = std::mem::take(&mut self.checks).finish(&self.connection)?;
        wrong.extend(records::discrepancies(&self.connection)?);
        Ok(wrong)
    }

    fn properties(&mut self) -> Result<Properties, OpenError> {
        properties::read(&self.connection)
    }

    fn users(&mut self, after: i64, limit: usize) -> Result<Vec<(i64, Arc<User>)>, OpenError> {
        let mut statement = self.connection.prepare_cached(statements::USERS)?;
        let mut found = statement.query([after, count(limit)])?;
        let mut users = Vec::new();
        while let Some(row) = found.next()? {
            users.push((row.get(rows::USER_COLUMNS)?, rows::user(row)?));
        }
        Ok(users)
    }

    fn sessions(&mut self, after: Option<SessionId>, limit: usize) -> Result<Vec<Arc<Session>>, OpenError> {
        let after = after.map_or(Uuid::nil(), SessionId::uuid);
        let mut statement = self.connection.prepare_cached(statements::SESSIONS_AFTER)?;
        let mut found = statement.query(rusqlite::params![after, count(limit)])?;
        let mut sessions = Vec::new();
        while let Some(row) = found.next()? {
            sessions.push(rows::session(row)?);
        }
        Ok(sessions)
    }

    fn spent_tokens(
        &mut self,
        after: Option<TokenHash>,
        limit: usize,
    ) -> Result<Vec<(TokenHash, SessionId)>, OpenError> {
        let after = after.map(|token| token.0.to_vec()).unwrap_or_default();
        let mut statement = self.connection.prepare_cached(statements::SPENT_AFTER)?;
        let mut found = statement.query(rusqlite::params![after, count(limit)])?;
        let mut tokens = Vec::new();
        while let Some(row) = found.next()? {
            tokens.push((TokenHash(row.get(0)?), SessionId::new(row.get(1)?)));
        }
        Ok(tokens)
    }

    fn records(&mut self, after: i64, limit: usize) -> Result<Vec<(i64, Arc<Record>)>, OpenError> {
        Ok(records::after(&self.connection, after, limit)?)
    }
}

fn begin(connection: &Connection) -> Result<Beginning, Fault> {
    let mut beginning = Beginning::default();
    beginning.head = match load::head(connection) {
        Err(Fault::Damaged(what)) => {
            beginning.discrepancies.push(what);
            load::last_block(connection)?
        }
        other => other?,
    };
    beginning.discrepancies.extend(strays(connection, &beginning.head)?);
    let mut statement =
        connection.prepare("SELECT owner, kind, currency, no, balance, as_of FROM accounts")?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let no: i64 = row.get(3)?;
        match rows::account_key(row) {
            Ok(key) => beginning.accounts.push(StoredAccount {
                row: AccountRow::Number(no),
                key,
                balance: row.get(4)?,
                as_of: row.get(5)?,
            }),
            Err(Fault::Damaged(what)) => beginning.discrepancies.push(format!("accounts row {no}: {what}")),
            Err(fault) => return Err(fault),
        }
    }
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    beginning.users = u64::try_from(count("SELECT count(*) FROM users")?).unwrap_or_default();
    beginning.records = u64::try_from(count(statements::COUNT_RECORDS)?).unwrap_or_default();
    let mut statement =
        connection.prepare("SELECT DISTINCT about FROM transactions WHERE about IS NOT NULL")?;
    let settled = statement.query_map([], |row| row.get(0).map(PaymentId::new))?;
    beginning.settled = settled.collect::<Result<_, _>>()?;
    Ok(beginning)
}

/// Rows that stand before the journal's first or, of entries, after its last: no block would read them.
fn strays(connection: &Connection, head: &Head) -> Result<Vec<String>, Fault> {
    let end = head.transaction.saturating_add(1).saturating_mul(ENTRIES_PER_TRANSACTION);
    let spans = [
        ("transactions", 1, i64::MAX),
        ("security_events", 1, i64::MAX),
        ("blocks", 1, i64::MAX),
        ("entries", ENTRIES_PER_TRANSACTION, end),
    ];
    let mut strays = Vec::new();
    for (table, first, end) in spans {
        let sql = format!(
            "SELECT no FROM (SELECT min(no) AS no FROM {table} UNION SELECT max(no) FROM {table}) \
             WHERE no < ?1 OR no >= ?2"
        );
        let mut statement = connection.prepare(&sql)?;
        let mut found = statement.query([first, end])?;
        while let Some(row) = found.next()? {
            let no: i64 = row.get(0)?;
            strays.push(format!("{table} row {no} is outside of the journal"));
        }
    }
    Ok(strays)
}

fn numbered<T>(
    connection: &Connection,
    sql: &str,
    (after, to): (i64, i64),
    read: fn(&Row<'_>) -> Result<(i64, T), Fault>,
) -> Result<Numbered<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([after, to])?;
    let mut numbered = Numbered { rows: Vec::new(), wrong: Vec::new() };
    while let Some(row) = found.next()? {
        match read(row) {
            Ok(row) => numbered.rows.push(row),
            Err(Fault::Damaged(what)) => numbered.wrong.push(what),
            Err(fault) => return Err(fault),
        }
    }
    Ok(numbered)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
