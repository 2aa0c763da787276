//! Verification: everything is computed again from the journal and compared with what is stored, on any engine.
//!
//! It works while a server writes: where the journal ends and the balances are taken at one moment, and the rows up to
//! there, which never change, are read in pieces. What an engine keeps beside the journal it checks itself, from the
//! transactions that it is shown. Memory: a piece, the accounts, the payments that have later steps, and 16 bytes for each
//! idempotency key.

mod lives;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;

use super::checkpoints::Comparison;
use super::journal::{
    AccountRow, ENTRIES_PER_TRANSACTION, Head, JournalReader, Numbered, StoredAccount, StoredBlock,
    StoredEntry,
};
use super::{OpenError, VerifyReport};
use crate::ledger::chain::{BlockDigest, GENESIS, Hash, Mark, link};
use crate::ledger::{AccountKey, Entry, SecurityEvent, Timestamp, Transaction, hexadecimal};
use lives::Lives;

/// Transactions and events that are read at a time.
pub(super) const PIECE: i64 = 20_000;
/// Discrepancies that are told one by one.
const TOLD: usize = 1_000;

/// What a verification found, and what it computed.
#[derive(Debug)]
pub struct Audit {
    /// What was looked at and is wrong.
    pub report: VerifyReport,
    /// Where the journal ended.
    pub head: Head,
    /// What each account's entries sum to, in minor units.
    pub balances: BTreeMap<AccountKey, i64>,
    /// Which accounts the entries name.
    pub accounts: HashMap<AccountRow, AccountKey>,
}

/// Checks everything that the reader hands out; the journal also against signed checkpoints, if there are.
///
/// # Errors
/// [`OpenError::Unusable`] if it cannot be read.
pub fn audit(reader: &mut dyn JournalReader, checkpoints: Option<Comparison>) -> Result<Audit, OpenError> {
    let beginning = reader.begin()?;
    let mut accounts = HashMap::with_capacity(beginning.accounts.len());
    let mut due: BTreeMap<i64, Vec<AccountRow>> = BTreeMap::new();
    let mut discrepancies = beginning.discrepancies;
    for stored in beginning.accounts {
        if stored.as_of > beginning.head.transaction {
            discrepancies.push(format!(
                "accounts row {}: it counts transactions up to {}, and the journal ends with {}",
                stored.row, stored.as_of, beginning.head.transaction
            ));
        }
        due.entry(stored.as_of).or_default().push(stored.row);
        accounts.insert(stored.row, Account { stored, sum: 0 });
    }
    let lives = Lives::new(beginning.settled);
    let report = VerifyReport {
        accounts: u64::try_from(accounts.len()).unwrap_or(u64::MAX),
        users: beginning.users,
        records: beginning.records,
        discrepancies,
        ..VerifyReport::default()
    };
    let verification = Verification {
        report,
        end: beginning.head,
        accounts,
        due,
        keys: HashSet::new(),
        lives,
        hash: GENESIS,
        checkpoints,
    };
    verification.run(reader)
}

/// An account, and what its entries up to here sum to.
struct Account {
    stored: StoredAccount,
    sum: i64,
}

struct Verification {
    report: VerifyReport,
    end: Head,
    accounts: HashMap<AccountRow, Account>,
    /// The accounts that are to be compared once the transaction of that number is counted in.
    due: BTreeMap<i64, Vec<AccountRow>>,
    keys: HashSet<[u8; 16]>,
    lives: Lives,
    hash: Hash,
    checkpoints: Option<Comparison>,
}

impl Verification {
    fn run(mut self, reader: &mut dyn JournalReader) -> Result<Audit, OpenError> {
        let mut after = Head::default();
        while after.block < self.end.block {
            after = self.piece(reader, after)?;
        }
        self.compare_due(i64::MAX);
        self.check_totals();
        for what in reader.own_discrepancies()? {
            self.wrong(what);
        }
        if let Some(checkpoints) = self.checkpoints.take() {
            let (looked_at, wrong) = checkpoints.finish(&self.end);
            self.report.checkpoints = Some(looked_at);
            for what in wrong {
                self.wrong(what);
            }
        }
        self.report.head = hexadecimal::write(&self.hash);
        let balances = self.accounts.values().map(|account| (account.stored.key, account.sum)).collect();
        let accounts = self.accounts.into_iter().map(|(row, account)| (row, account.stored.key)).collect();
        Ok(Audit { report: self.report, head: self.end, balances, accounts })
    }

    fn wrong(&mut self, what: String) {
        if self.report.discrepancies.len() < TOLD {
            self.report.discrepancies.push(what);
        }
    }

    /// Reads and checks some blocks with all their rows; gives back where they end.
    fn piece(&mut self, reader: &mut dyn JournalReader, after: Head) -> Result<Head, OpenError> {
        let blocks = reader.blocks(&after, self.end.block, PIECE)?;
        let Some(last) = blocks.last().map(|block| block.head) else {
            self.missing("blocks", numbers(after.block, self.end.block), "is missing");
            return Ok(self.end);
        };
        let transactions = reader.transactions(after.transaction, last.transaction)?;
        let mut transactions = self.readable(transactions);
        let entries = reader.entries(after.transaction, last.transaction)?;
        self.attach_entries(&mut transactions, &entries);
        let events = reader.events(after.event, last.event)?;
        let events = self.readable(events);
        let mut previous = after;
        for block in &blocks {
            self.check_block(reader, &previous, block, &transactions, &events);
            previous = block.head;
        }
        Ok(last)
    }

    fn readable<T>(&mut self, numbered: Numbered<T>) -> Vec<(i64, T)> {
        for what in numbered.wrong {
            self.wrong(what);
        }
        numbered.rows
    }

    /// Gives the transactions their entries, and checks each entry on the way.
    fn attach_entries(&mut self, transactions: &mut [(i64, Transaction)], entries: &[StoredEntry]) {
        let mut waiting = transactions.iter_mut().peekable();
        for entry in entries {
            let StoredEntry { no, transaction: of, account: row, amount_minor, balance_after_minor } = *entry;
            self.report.entries = self.report.entries.saturating_add(1);
            if of != no.div_euclid(ENTRIES_PER_TRANSACTION) {
                self.wrong(format!("entries row {no}: its number is not one of its transaction's"));
            }
            self.compare_due(of);
            let Some(account) = self.accounts.get_mut(&row) else {
                self.wrong(format!("entries row {no}: there is no account {row}"));
                continue;
            };
            account.sum = account.sum.saturating_add(amount_minor);
            let (key, sum) = (account.stored.key, account.sum);
            if sum != balance_after_minor {
                self.wrong(format!(
                    "entries row {no}: balance_after is {balance_after_minor}, and the entries of account {row} up to \
                     here sum to {sum}"
                ));
            }
            if sum < 0 && !key.may_be_negative() {
                self.wrong(format!("entries row {no}: account {row} of {} is below zero", key.owner));
            }
            while waiting.next_if(|(number, _)| *number < of).is_some() {}
            match waiting.peek_mut() {
                Some((number, transaction)) if *number == of => {
                    // They are numbered without gaps, so that one which was moved within its transaction is found.
                    let place = i64::try_from(transaction.entries.len()).unwrap_or(i64::MAX);
                    if no.rem_euclid(ENTRIES_PER_TRANSACTION) != place {
                        self.wrong(format!(
                            "entries row {no}: it is not the next one of transactions row {of}"
                        ));
                    }
                    transaction.entries.push(Entry { account: key, amount_minor, balance_after_minor });
                }
                _ => self.wrong(format!("entries row {no}: there is no transactions row {of}")),
            }
        }
    }

    fn check_block(
        &mut self,
        reader: &mut dyn JournalReader,
        previous: &Head,
        block: &StoredBlock,
        transactions: &[(i64, Transaction)],
        events: &[(i64, SecurityEvent)],
    ) {
        let no = block.head.block;
        self.report.blocks = self.report.blocks.saturating_add(1);
        self.missing("blocks", previous.block.saturating_add(1)..=no.saturating_sub(1), "is missing");
        let mut found = Marked::default();
        let mut next = previous.transaction.saturating_add(1);
        for (number, transaction) in between(transactions, previous.transaction, block.head.transaction) {
            self.missing("transactions", next..=number.saturating_sub(1), UNREADABLE);
            next = number.saturating_add(1);
            found.transaction(*number, transaction);
            if let Some(checkpoints) = &mut self.checkpoints {
                checkpoints.transaction(*number, transaction);
            }
            self.check_transaction(*number, transaction);
            self.check_time("transactions", *number, transaction.created_at, block);
            reader.witness(*number, transaction);
        }
        self.missing("transactions", next..=block.head.transaction, UNREADABLE);
        let mut next = previous.event.saturating_add(1);
        for (number, event) in between(events, previous.event, block.head.event) {
            self.missing("security_events", next..=number.saturating_sub(1), UNREADABLE);
            next = number.saturating_add(1);
            found.event(*number, event);
            self.report.events = self.report.events.saturating_add(1);
            self.check_time("security_events", *number, event.at, block);
        }
        self.missing("security_events", next..=block.head.event, UNREADABLE);
        if let Err(rows) = found.compare(previous, block) {
            self.wrong(format!("blocks row {no}: {rows}"));
        }
        self.hash = link(&self.hash, &block.rows.digest, block.head.at);
        if self.hash != block.head.hash {
            self.wrong(format!("blocks row {no}: its hash does not follow from the block before"));
            // From here on the stored chain is followed, so that one break is told once.
            self.hash = block.head.hash;
        }
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.block(&block.head);
        }
        if block.head.at < previous.at {
            self.wrong(format!("blocks row {no}: its time is before the block before"));
        }
    }

    /// Tells numbers that have no row; nothing if there are none. A span is told as one, however long a damaged row
    /// makes it.
    fn missing(&mut self, table: &str, numbers: RangeInclusive<i64>, how: &str) {
        let (first, last) = numbers.into_inner();
        if first == last {
            self.wrong(format!("{table} row {first} {how}"));
        } else if first < last {
            self.wrong(format!("{table} row {first} {how}, and all up to row {last}"));
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
        if let Err(why) = self.lives.check(transaction) {
            self.wrong(format!("transactions row {no} ({}): {why}", transaction.id));
        }
        if let Some(key) = &transaction.key
            && let Some(half) = key.digest(transaction.owner()).first_chunk()
            && !self.keys.insert(*half)
        {
            self.wrong(format!(
                "transactions row {no} ({}): its payer used the same idempotency key before",
                transaction.id
            ));
        }
    }

    /// Compares the balances that were written before the transaction of that number.
    fn compare_due(&mut self, before: i64) {
        while let Some(entry) = self.due.first_entry().filter(|entry| *entry.key() < before) {
            for row in entry.remove() {
                let Some(Account { stored, sum }) = self.accounts.get(&row) else { continue };
                if stored.balance != *sum {
                    let StoredAccount { key, balance, as_of, .. } = stored;
                    let what = format!(
                        "accounts row {row} of {}: its balance is {balance}, and its entries up to transaction {as_of} \
                         sum to {sum}",
                        key.owner
                    );
                    self.wrong(what);
                }
            }
        }
    }

    fn check_totals(&mut self) {
        let mut totals: BTreeMap<&'static str, i128> = BTreeMap::new();
        for Account { stored, sum } in self.accounts.values() {
            let total = totals.entry(stored.key.currency.code()).or_default();
            *total = total.saturating_add(i128::from(*sum));
        }
        for (currency, total) in totals {
            if total != 0 {
                self.wrong(format!("all accounts in {currency} sum to {total} minor units and not to zero"));
            }
        }
    }
}

const UNREADABLE: &str = "is missing or not readable";

/// The rows with numbers after `after` and up to `to`.
fn between<T>(rows: &[(i64, T)], after: i64, to: i64) -> &[(i64, T)] {
    let start = rows.partition_point(|(number, _)| *number <= after);
    let end = rows.partition_point(|(number, _)| *number <= to);
    rows.get(start..end).unwrap_or_default()
}

/// The rows of a block as they were found.
#[derive(Default)]
struct Marked {
    digest: BlockDigest,
    transactions: Vec<(i64, Mark)>,
    events: Vec<(i64, Mark)>,
}

impl Marked {
    fn transaction(&mut self, no: i64, transaction: &Transaction) {
        self.transactions.push((no, self.digest.transaction(transaction)));
    }

    fn event(&mut self, no: i64, event: &SecurityEvent) {
        self.events.push((no, self.digest.event(event)));
    }

    /// Whether they are what was written; if not, which are not: those whose marks differ, or all of the block where
    /// marks tell nothing.
    fn compare(self, previous: &Head, block: &StoredBlock) -> Result<(), String> {
        let found = self.digest.finish();
        let mut stored = block.rows.marks.chunks(size_of::<Mark>());
        let mut changed = Vec::new();
        for (table, rows, numbers) in [
            ("transactions", self.transactions, numbers(previous.transaction, block.head.transaction)),
            ("security_events", self.events, numbers(previous.event, block.head.event)),
        ] {
            let rows: HashMap<i64, Mark> = rows.into_iter().collect();
            for no in numbers {
                let Some(stored) = stored.next() else { break };
                // One that is not there was told as missing.
                if rows.get(&no).is_some_and(|mark| mark != stored) {
                    changed.push(format!("{table} row {no}"));
                }
            }
        }
        if found.digest == block.rows.digest {
            let is_marked = block.rows.marks.is_empty() || block.rows.marks == found.marks;
            return if is_marked { Ok(()) } else { Err("its marks are not those of its rows".into()) };
        }
        if changed.is_empty() && !block.rows.marks.is_empty() && found.marks != block.rows.marks {
            Err("its rows are not all there".into())
        } else if changed.is_empty() {
            Err(format!("{} are not what was written", describe_rows(previous, &block.head)))
        } else {
            let many = if changed.len() == 1 { "is" } else { "are" };
            Err(format!("{} {many} not what was written", changed.join(" and ")))
        }
    }
}

/// The numbers after one and up to another.
fn numbers(after: i64, to: i64) -> RangeInclusive<i64> {
    after.saturating_add(1)..=to
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
