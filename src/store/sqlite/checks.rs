//! What verification checks of this engine alone: that what was folded out of the journal follows from it, and the lists of
//! records from these, and that sessions and spent tokens have their users and sessions.
//!
//! Histories and keys are compared by an order-independent sum of hashes first, and histories row by row only where
//! that differs.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::connect;
use super::engine::{key_fault, key_hash};
use super::fault::Fault;
use super::key_index::{KeyIndex, KeyIndexError};
use super::{load, statements};
use crate::ledger::{Transaction, UserId};

/// What the folded tables must hold, as far as the journal was shown.
#[derive(Default)]
pub(super) struct Checks {
    folded_to: i64,
    movements: Multiset,
    key_pairs: Multiset,
    discrepancies: Vec<String>,
}

/// Adds up hashes: equal sums of equally many rows mean the same rows, in whatever order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Multiset {
    count: u64,
    sum: u128,
}

impl Multiset {
    fn add(&mut self, parts: &[&[u8]]) {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        let hash: [u8; 32] = hasher.finalize().into();
        self.count = self.count.saturating_add(1);
        let half = hash.first_chunk().copied().unwrap_or_default();
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(half));
    }
}

impl Checks {
    /// The tables are folded up to the transaction with that number, and the journal goes up to the other.
    pub(super) fn begin(folded_to: i64, last: i64) -> Self {
        let mut checks = Self { folded_to: folded_to.min(last), ..Self::default() };
        if folded_to > last {
            checks.wrong(format!("properties: folded_to is {folded_to}, and the journal ends with {last}"));
        }
        checks
    }

    /// Takes in the journal's next transaction.
    pub(super) fn witness(&mut self, no: i64, transaction: &Transaction) {
        if no > self.folded_to {
            return;
        }
        if let Some(key) = &transaction.key {
            let hash = key_hash(&key.digest(transaction.owner()));
            self.key_pairs.add(&[&hash.to_be_bytes(), &no.to_be_bytes()]);
        }
        for user in transaction.seen_by() {
            add_movement(&mut self.movements, user, no, transaction.balance_after(user));
        }
    }

    /// Compares, now that the whole journal was shown.
    pub(super) fn finish(mut self, connection: &Connection) -> Result<Vec<String>, Fault> {
        self.check_movements(connection)?;
        self.check_keys(connection)?;
        self.check_lists(connection)?;
        self.check_references(connection)?;
        self.check_schema(connection)?;
        self.check_structure(connection)?;
        Ok(self.discrepancies)
    }

    fn wrong(&mut self, what: String) {
        self.discrepancies.push(what);
    }

    fn check_movements(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut statement =
            connection.prepare("SELECT user, txn, balance_after FROM movements WHERE txn <= ?1")?;
        let mut found = statement.query([self.folded_to])?;
        let mut stored = Multiset::default();
        while let Some(row) = found.next()? {
            add_movement(&mut stored, UserId::new(row.get(0)?), row.get(1)?, row.get(2)?);
        }
        if stored != self.movements {
            self.name_movements(connection)?;
        }
        Ok(())
    }

    /// The sums differ: looks for the rows that do.
    fn name_movements(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut find =
            connection.prepare("SELECT balance_after FROM movements WHERE user = ?1 AND txn = ?2")?;
        let mut expected = 0_i64;
        for no in 1..=self.folded_to {
            let Ok(transaction) = load::transaction(connection, no) else { continue };
            for user in transaction.seen_by() {
                expected = expected.saturating_add(1);
                let mut found = find.query(params![user.uuid(), no])?;
                match found.next()?.map(|row| row.get::<_, Option<i64>>(0)).transpose()? {
                    None => self.wrong(format!("movements row of {user} and transaction {no} is missing")),
                    Some(balance) if balance != transaction.balance_after(user) => self.wrong(format!(
                        "movements row of {user} and transaction {no}: balance_after is not the entry's"
                    )),
                    Some(_) => {}
                }
            }
        }
        let stored: i64 = connection.query_row(
            "SELECT count(*) FROM movements WHERE txn <= ?1",
            [self.folded_to],
            |row| row.get(0),
        )?;
        if stored > expected {
            let more = stored.saturating_sub(expected);
            self.wrong(format!("movements has {more} rows that no transaction explains"));
        }
        Ok(())
    }

    fn check_keys(&mut self, connection: &Connection) -> Result<(), Fault> {
        let snapshot = connection.unchecked_transaction()?;
        let folded_to = self.folded_to;
        let mut stored = Multiset::default();
        let index = KeyIndex::open(connection).map_err(key_fault);
        let walked = index.and_then(|index| {
            index
                .for_each(connection, |hash, no| -> Result<(), KeyIndexError> {
                    if i64::try_from(no).is_ok_and(|no| no <= folded_to) {
                        stored.add(&[&hash.to_be_bytes(), &no.to_be_bytes()]);
                    }
                    Ok(())
                })
                .map_err(key_fault)
        });
        match walked {
            Err(Fault::Damaged(what)) => self.wrong(what),
            other => other?,
        }
        if stored != self.key_pairs {
            let (stored, expected) = (stored.count, self.key_pairs.count);
            self.wrong(format!(
                "key_runs and key_blocks hold {stored} keys that are not the journal's {expected}"
            ));
        }
        Ok(snapshot.finish()?)
    }

    /// Whether each record and each security event up to its watermark is listed by whom it concerns, and nothing else is.
    fn check_lists(&mut self, connection: &Connection) -> Result<(), Fault> {
        self.check_list(
            connection,
            ("record_lists", "record"),
            statements::UNLISTED_RECORDS,
            statements::UNEXPLAINED_LISTS,
        )?;
        self.check_list(
            connection,
            ("event_lists", "security event"),
            "SELECT no FROM security_events e WHERE user IS NOT NULL \
             AND no <= (SELECT value FROM properties WHERE name = 'events_listed_to') AND NOT EXISTS \
             (SELECT 1 FROM event_lists l WHERE l.user = e.user AND l.no = e.no) ORDER BY no",
            "SELECT no FROM event_lists l WHERE no > (SELECT value FROM properties WHERE name = 'events_listed_to') \
             OR NOT EXISTS (SELECT 1 FROM security_events e WHERE e.no = l.no AND e.user = l.user) ORDER BY no",
        )
    }

    fn check_list(
        &mut self,
        connection: &Connection,
        (table, of): (&str, &str),
        missing: &str,
        unexplained: &str,
    ) -> Result<(), Fault> {
        let numbers = |sql: &str| -> Result<Vec<i64>, Fault> {
            Ok(connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
        };
        for no in numbers(missing)? {
            self.wrong(format!("{table} row of {of} {no} is missing"));
        }
        for no in numbers(unexplained)? {
            self.wrong(format!("{table} has a row {no} that no {of} explains"));
        }
        Ok(())
    }

    /// Whether tables, indexes and triggers are as the migrations make them: while it only reads, SQLite passes over what is
    /// wrong with a constraint, and without its triggers the journal could be changed.
    fn check_schema(&mut self, connection: &Connection) -> Result<(), Fault> {
        let made = connect::in_memory().map_err(|error| Fault::Damaged(error.to_string()))?;
        let stored = schema(connection)?;
        for (name, (kind, sql)) in schema(&made)? {
            let (how, drop) = match stored.get(&name) {
                Some((_, found)) if *found == sql => continue,
                Some((kind, _)) => ("is not as it was made", format!("DROP {kind} {name}; ")),
                None => ("is missing", String::new()),
            };
            // A table cannot be made anew around its rows.
            let cure = if kind == "table" {
                String::new()
            } else {
                format!("; put it back while no server runs: {drop}{sql}")
            };
            self.wrong(format!("sqlite_schema: {name} {how}{cure}"));
        }
        Ok(())
    }

    /// Whether each table and its indexes hang together, page by page. One table at a time, so that no look is long.
    fn check_structure(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
        let tables = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        for table in tables {
            let mut statement =
                connection.prepare(&format!("PRAGMA integrity_check('{}')", table.replace('\'', "''")))?;
            let mut found = statement.query([])?;
            while let Some(row) = found.next()? {
                let what: String = row.get(0)?;
                if what != "ok" {
                    self.wrong(format!("{table}: {}", what.replace('\n', "; ")));
                }
            }
        }
        Ok(())
    }

    fn check_references(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let (table, rowid, parent): (String, Option<i64>, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            // Tables without row numbers have none to tell.
            let row = rowid.map_or_else(|| "a row".to_owned(), |rowid| format!("row {rowid}"));
            self.wrong(format!("{table} {row}: what it names is not in {parent}"));
        }
        Ok(())
    }
}

/// Tables, indexes and triggers by name, what each is and how it is made.
fn schema(connection: &Connection) -> Result<BTreeMap<String, (String, String)>, Fault> {
    let sql = "SELECT name, type, sql FROM sqlite_schema WHERE type IN ('table', 'index', 'trigger') AND sql IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn add_movement(set: &mut Multiset, user: UserId, no: i64, balance_after: Option<i64>) {
    let balance = balance_after.map(i64::to_be_bytes).unwrap_or_default();
    let is_moved = [u8::from(balance_after.is_some())];
    set.add(&[user.uuid().as_bytes(), &no.to_be_bytes(), &is_moved, &balance]);
}
