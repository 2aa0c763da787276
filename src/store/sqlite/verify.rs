//! Verification: everything is computed again from the journal and compared with what is stored.
//!
//! It works while a server writes: where the journal ends, the watermark and the balances are taken in one short
//! snapshot, and the rows up to there, which never change, are read in pieces, so that no long snapshot keeps the WAL
//! from being checkpointed. What is folded out of the journal (histories, keys) is compared by an order-independent
//! sum of hashes first, and row by row only where that differs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use rusqlite::{Connection, Row, params};
use sha2::{Digest, Sha256};

use super::engine::{Head, key_digest, key_hash};
use super::fault::Fault;
use super::key_index::KeyIndex;
use super::rows::{self, ENTRIES_PER_TRANSACTION};
use super::{connect, load, statements};
use crate::ledger::chain::{BlockDigest, Hash, link};
use crate::ledger::{AccountKey, Entry, SecurityEvent, Timestamp, Transaction, UserId};
use crate::store::{OpenError, VerifyReport};

/// Transactions and events that are read at a time.
const PIECE: i64 = 20_000;
/// Discrepancies that are told one by one.
const TOLD: usize = 1_000;

/// Recomputes everything from the journal of the ledger in that folder; also while a server writes.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
pub fn verify(folder: &Path) -> Result<VerifyReport, OpenError> {
    let connection = connect::reader(folder)?;
    let verified = Verification::begin(&connection).and_then(Verification::run);
    verified.map_err(|fault| OpenError::Unusable(fault.to_string()))
}

/// An account as it is stored.
struct StoredAccount {
    key: AccountKey,
    balance: i64,
    as_of: i64,
}

struct Verification<'c> {
    connection: &'c Connection,
    report: VerifyReport,
    head: Head,
    folded_to: i64,
    accounts: HashMap<i64, StoredAccount>,
    /// The accounts that are to be compared once the transaction of that number is counted in.
    due: BTreeMap<i64, Vec<i64>>,
    balances: HashMap<i64, i64>,
    keys: HashSet<[u8; 16]>,
    movements: Multiset,
    key_pairs: Multiset,
    hash: Hash,
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
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(first_half(hasher.finalize().into())));
    }
}

impl<'c> Verification<'c> {
    /// Takes what changes while a server writes: all of it in one snapshot.
    fn begin(connection: &'c Connection) -> Result<Self, Fault> {
        let snapshot = connection.unchecked_transaction()?;
        let mut report = VerifyReport::default();
        let head = match load::head(connection) {
            Err(Fault::Damaged(what)) => {
                report.discrepancies.push(what);
                load::last_block(connection)?
            }
            other => other?,
        };
        report.discrepancies.extend(strays(connection, &head)?);
        let folded_to = connection.query_row(statements::FOLDED_TO, [], |row| row.get(0))?;
        let mut accounts = HashMap::new();
        let mut statement =
            connection.prepare("SELECT owner, kind, currency, no, balance, as_of FROM accounts")?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let (no, balance, as_of) = (row.get(3)?, row.get(4)?, row.get(5)?);
            accounts.insert(no, StoredAccount { key: rows::account_key(row)?, balance, as_of });
        }
        report.accounts = count(accounts.len());
        let users: i64 = connection.query_row("SELECT count(*) FROM users", [], |row| row.get(0))?;
        report.users = u64::try_from(users).unwrap_or_default();
        snapshot.finish()?;
        let mut due: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (no, account) in &accounts {
            due.entry(account.as_of).or_default().push(*no);
        }
        Ok(Self {
            connection,
            report,
            head,
            folded_to,
            accounts,
            due,
            balances: HashMap::new(),
            keys: HashSet::new(),
            movements: Multiset::default(),
            key_pairs: Multiset::default(),
            hash: crate::ledger::chain::GENESIS,
        })
    }

    fn run(mut self) -> Result<VerifyReport, Fault> {
        let mut after = Head::default();
        while after.block < self.head.block {
            after = self.piece(after)?;
        }
        self.compare_due(i64::MAX);
        self.check_totals();
        self.check_movements()?;
        self.check_keys()?;
        self.report.head = self.hash.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        Ok(self.report)
    }

    fn wrong(&mut self, what: String) {
        if self.report.discrepancies.len() < TOLD {
            self.report.discrepancies.push(what);
        }
    }

    /// Reads and checks some blocks with all their rows; gives back where they end.
    fn piece(&mut self, after: Head) -> Result<Head, Fault> {
        let connection = self.connection;
        let snapshot = connection.unchecked_transaction()?;
        let blocks = self.blocks_after(&after)?;
        let Some(last) = blocks.last().map(|block| block.head) else {
            self.wrong(format!("blocks row {} is missing", after.block.saturating_add(1)));
            return Ok(self.head);
        };
        let mut transactions = self.rows_between(
            statements::TRANSACTIONS_BETWEEN,
            (after.transaction, last.transaction),
            rows::transaction,
        )?;
        self.attach_entries(&mut transactions, after.transaction, last.transaction)?;
        let events = self.rows_between(
            "SELECT no, id, at, event, severity, user, ip, user_agent, request, detail FROM security_events \
             WHERE no > ?1 AND no <= ?2 ORDER BY no",
            (after.event, last.event),
            rows::event,
        )?;
        snapshot.finish()?;
        let mut previous = after;
        for block in &blocks {
            self.check_block(&previous, block, &transactions, &events);
            previous = block.head;
        }
        Ok(last)
    }

    fn blocks_after(&mut self, after: &Head) -> Result<Vec<StoredBlock>, Fault> {
        let mut statement = self.connection.prepare_cached(
            "SELECT no, last_transaction, last_event, at, hash, digest FROM blocks WHERE no > ?1 AND no <= ?2 ORDER BY no",
        )?;
        let mut found = statement.query([after.block, self.head.block])?;
        let mut blocks = Vec::new();
        while let Some(row) = found.next()? {
            let head = load::head_of(row)?;
            let rows = head
                .transaction
                .saturating_sub(after.transaction)
                .saturating_add(head.event.saturating_sub(after.event));
            if rows > PIECE && !blocks.is_empty() {
                break;
            }
            blocks.push(StoredBlock { head, digest: row.get(5)? });
        }
        Ok(blocks)
    }

    fn rows_between<T>(
        &mut self,
        sql: &str,
        (after, to): (i64, i64),
        read: fn(&Row<'_>) -> Result<(i64, T), Fault>,
    ) -> Result<BTreeMap<i64, T>, Fault> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut found = statement.query([after, to])?;
        let mut by_number = BTreeMap::new();
        while let Some(row) = found.next()? {
            match read(row) {
                Ok((no, value)) => {
                    by_number.insert(no, value);
                }
                Err(Fault::Damaged(what)) => self.wrong(what),
                Err(fault) => return Err(fault),
            }
        }
        Ok(by_number)
    }

    /// Gives the transactions their entries, and checks each entry on the way.
    fn attach_entries(
        &mut self,
        transactions: &mut BTreeMap<i64, Transaction>,
        after: i64,
        to: i64,
    ) -> Result<(), Fault> {
        let first = after.saturating_add(1).saturating_mul(ENTRIES_PER_TRANSACTION);
        let end = to.saturating_add(1).saturating_mul(ENTRIES_PER_TRANSACTION);
        let mut statement = self.connection.prepare_cached(
            "SELECT no, account, amount, balance_after FROM entries WHERE no >= ?1 AND no < ?2 ORDER BY no",
        )?;
        let mut found = statement.query([first, end])?;
        while let Some(row) = found.next()? {
            let (no, account_no): (i64, i64) = (row.get(0)?, row.get(1)?);
            let (amount_minor, balance_after_minor): (i64, i64) = (row.get(2)?, row.get(3)?);
            self.report.entries = self.report.entries.saturating_add(1);
            let of = no.div_euclid(ENTRIES_PER_TRANSACTION);
            self.compare_due(of);
            let Some(account) = self.accounts.get(&account_no).map(|account| account.key) else {
                self.wrong(format!("entries row {no}: there is no account {account_no}"));
                continue;
            };
            let balance = self.balances.entry(account_no).or_default();
            *balance = balance.saturating_add(amount_minor);
            let balance = *balance;
            if balance != balance_after_minor {
                self.wrong(format!(
                    "entries row {no}: balance_after is {balance_after_minor}, and the entries of account \
                     {account_no} up to here sum to {balance}"
                ));
            }
            if balance < 0 && !account.may_be_negative() {
                self.wrong(format!(
                    "entries row {no}: account {account_no} of {} is below zero",
                    account.owner
                ));
            }
            match transactions.get_mut(&of) {
                Some(transaction) => {
                    transaction.entries.push(Entry { account, amount_minor, balance_after_minor });
                }
                None => self.wrong(format!("entries row {no}: there is no transactions row {of}")),
            }
        }
        Ok(())
    }

    fn check_block(
        &mut self,
        previous: &Head,
        block: &StoredBlock,
        transactions: &BTreeMap<i64, Transaction>,
        events: &BTreeMap<i64, SecurityEvent>,
    ) {
        let no = block.head.block;
        self.report.blocks = self.report.blocks.saturating_add(1);
        if no != previous.block.saturating_add(1) {
            self.wrong(format!("blocks row {} is missing", previous.block.saturating_add(1)));
        }
        let mut digest = BlockDigest::default();
        for number in previous.transaction.saturating_add(1)..=block.head.transaction {
            match transactions.get(&number) {
                None => self.wrong(format!("transactions row {number} is missing or not readable")),
                Some(transaction) => {
                    digest.transaction(transaction);
                    self.check_transaction(number, transaction);
                    self.check_time("transactions", number, transaction.created_at, block);
                }
            }
        }
        for number in previous.event.saturating_add(1)..=block.head.event {
            match events.get(&number) {
                None => self.wrong(format!("security_events row {number} is missing or not readable")),
                Some(event) => {
                    digest.event(event);
                    self.report.events = self.report.events.saturating_add(1);
                    self.check_time("security_events", number, event.at, block);
                }
            }
        }
        if digest.finish() != block.digest {
            let rows = describe_rows(previous, &block.head);
            self.wrong(format!("blocks row {no}: {rows} are not what was written"));
        }
        self.hash = link(&self.hash, &block.digest, block.head.at);
        if self.hash != block.head.hash {
            self.wrong(format!("blocks row {no}: its hash does not follow from the block before"));
            // From here on the stored chain is followed, so that one break is told once.
            self.hash = block.head.hash;
        }
        if block.head.at < previous.at {
            self.wrong(format!("blocks row {no}: its time is before the block before"));
        }
    }

    /// Every row of a block has the block's time, and that time alone is in the chain.
    fn check_time(&mut self, table: &str, no: i64, at: Timestamp, block: &StoredBlock) {
        if at != block.head.at {
            let block = block.head.block;
            self.wrong(format!("{table} row {no}: its time is not that of its block {block}"));
        }
    }

    fn check_transaction(&mut self, no: i64, transaction: &Transaction) {
        self.report.transactions = self.report.transactions.saturating_add(1);
        if let Err(why) = check_entries(transaction) {
            self.wrong(format!("transactions row {no} ({}): {why}", transaction.id));
        }
        let is_folded = no <= self.folded_to;
        if let Some(key) = &transaction.key {
            let digest = key_digest(transaction.owner(), key);
            if !self.keys.insert(first_half(digest)) {
                self.wrong(format!(
                    "transactions row {no} ({}): its payer used the same idempotency key before",
                    transaction.id
                ));
            }
            if is_folded {
                self.key_pairs.add(&[&key_hash(&digest).to_be_bytes(), &no.to_be_bytes()]);
            }
        }
        if is_folded {
            for user in transaction.seen_by() {
                add_movement(&mut self.movements, user, no, transaction.balance_after(user));
            }
        }
    }

    /// Compares the balances that were folded before the transaction of that number.
    fn compare_due(&mut self, before: i64) {
        while let Some(entry) = self.due.first_entry().filter(|entry| *entry.key() < before) {
            for no in entry.remove() {
                let Some(account) = self.accounts.get(&no) else { continue };
                let sum = self.balances.get(&no).copied().unwrap_or_default();
                if account.balance != sum {
                    let (owner, as_of, balance) = (account.key.owner, account.as_of, account.balance);
                    self.wrong(format!(
                        "accounts row {no} of {owner}: its balance is {balance}, and its entries up to transaction \
                         {as_of} sum to {sum}"
                    ));
                }
            }
        }
    }

    fn check_totals(&mut self) {
        let mut totals: BTreeMap<&'static str, i128> = BTreeMap::new();
        for (no, balance) in &self.balances {
            if let Some(account) = self.accounts.get(no) {
                let total = totals.entry(account.key.currency.code()).or_default();
                *total = total.saturating_add(i128::from(*balance));
            }
        }
        for (currency, total) in totals {
            if total != 0 {
                self.wrong(format!("all accounts in {currency} sum to {total} minor units and not to zero"));
            }
        }
    }

    fn check_movements(&mut self) -> Result<(), Fault> {
        let mut statement =
            self.connection.prepare("SELECT user, txn, balance_after FROM movements WHERE txn <= ?1")?;
        let mut found = statement.query([self.folded_to])?;
        let mut stored = Multiset::default();
        while let Some(row) = found.next()? {
            add_movement(&mut stored, UserId::new(row.get(0)?), row.get(1)?, row.get(2)?);
        }
        if stored != self.movements {
            self.name_movements()?;
        }
        Ok(())
    }

    /// The sums differ: looks for the rows that do.
    fn name_movements(&mut self) -> Result<(), Fault> {
        let mut find =
            self.connection.prepare("SELECT balance_after FROM movements WHERE user = ?1 AND txn = ?2")?;
        let mut expected = 0_i64;
        for no in 1..=self.folded_to {
            let Ok(transaction) = load::transaction(self.connection, no) else { continue };
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
        let stored: i64 = self.connection.query_row(
            "SELECT count(*) FROM movements WHERE txn <= ?1",
            [self.folded_to],
            |row| row.get(0),
        )?;
        if stored > expected {
            self.wrong(format!(
                "movements has {} rows that no transaction explains",
                stored.saturating_sub(expected)
            ));
        }
        Ok(())
    }

    fn check_keys(&mut self) -> Result<(), Fault> {
        let snapshot = self.connection.unchecked_transaction()?;
        let folded_to = self.folded_to;
        let mut stored = Multiset::default();
        let index = KeyIndex::open(self.connection).map_err(super::engine::key_fault);
        let walked = index.and_then(|index| {
            index
                .for_each(self.connection, |hash, no| -> Result<(), super::key_index::KeyIndexError> {
                    if i64::try_from(no).is_ok_and(|no| no <= folded_to) {
                        stored.add(&[&hash.to_be_bytes(), &no.to_be_bytes()]);
                    }
                    Ok(())
                })
                .map_err(super::engine::key_fault)
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

struct StoredBlock {
    head: Head,
    digest: Hash,
}

/// Exactly the entries that the transaction's kind and outcome call for.
fn check_entries(transaction: &Transaction) -> Result<(), String> {
    if transaction.decline.is_some() {
        let is_empty = transaction.entries.is_empty();
        return if is_empty { Ok(()) } else { Err("it was declined and has entries".into()) };
    }
    let sum: i128 = transaction.entries.iter().map(|entry| i128::from(entry.amount_minor)).sum();
    if sum != 0 {
        return Err(format!("its entries sum to {sum} and not to zero"));
    }
    let money = transaction.money;
    let expected = [
        (AccountKey::wallet(transaction.from.id, money.currency()), money.amount_minor().saturating_neg()),
        (AccountKey::wallet(transaction.to.id, money.currency()), money.amount_minor()),
    ];
    let is_expected =
        transaction.entries.iter().map(|entry| (entry.account, entry.amount_minor)).eq(expected);
    if is_expected { Ok(()) } else { Err("its entries are not those of its parties and amount".into()) }
}

fn add_movement(set: &mut Multiset, user: UserId, no: i64, balance_after: Option<i64>) {
    let balance = balance_after.map(i64::to_be_bytes).unwrap_or_default();
    let is_moved = [u8::from(balance_after.is_some())];
    set.add(&[user.uuid().as_bytes(), &no.to_be_bytes(), &is_moved, &balance]);
}

fn describe_rows(previous: &Head, head: &Head) -> String {
    let span = |table: &str, after: i64, to: i64| match to.saturating_sub(after) {
        0 => None,
        1 => Some(format!("{table} row {to}")),
        _ => Some(format!("{table} rows {} to {to}", after.saturating_add(1))),
    };
    let spans = [
        span("transactions", previous.transaction, head.transaction),
        span("security_events", previous.event, head.event),
    ];
    spans.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn first_half(hash: Hash) -> [u8; 16] {
    hash.first_chunk().copied().unwrap_or_default()
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
