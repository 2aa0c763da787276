//! The whole journal, or a span of it, from the seam over which engines hand it out; also while a server writes.
//!
//! Where the journal ends is taken once, and the rows up to there, which never change, are read in pieces behind it. A
//! span begins and ends with whole blocks, since all rows of a block have its time. Balances at the beginning of a span
//! are those that the last entries before it left.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use uuid::Uuid;

use super::{BookError, PIECE, Span, Totals, beancount, camt053, csv, hledger, json, whole};
use crate::ledger::{AccountKey, Entry, Mode, Timestamp, Transaction};
use crate::store::journal::{AccountRow, Head, JournalReader};

/// A format in which the journal can be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, a record per entry.
    Csv,
    /// One JSON object, a transaction per line.
    Json,
    /// A plain-text journal for hledger and Ledger.
    Hledger,
    /// A plain-text journal for beancount.
    Beancount,
    /// ISO 20022 bank statements, camt.053.001.08.
    Camt053,
}

/// What is known before the first row.
#[derive(Debug)]
pub struct Book {
    /// Which ledger.
    pub ledger: Uuid,
    /// Play money or real money.
    pub mode: Mode,
    /// Which part was asked for.
    pub span: Span,
    /// When it begins: as asked, or the time of the first row.
    pub begins: Timestamp,
    /// When it ends: as asked, or the time of the last row.
    pub ends: Timestamp,
    /// Every account, and what it held before the first row, in minor units.
    pub opening: BTreeMap<AccountKey, i64>,
}

/// Writes one format. Called in the order of the methods.
pub trait Sheet {
    /// Before the first row.
    fn begin(&mut self, book: &Book, out: &mut dyn Write) -> io::Result<()>;

    /// A transaction with its entries; says how many rows it made.
    fn transaction(&mut self, no: i64, transaction: &Transaction, out: &mut dyn Write) -> io::Result<u64>;

    /// After a piece of the journal: what was kept back is written.
    fn piece(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// After the last row. `closing` is what each account holds then.
    fn end(
        &mut self,
        book: &Book,
        closing: &BTreeMap<AccountKey, i64>,
        totals: &Totals,
        out: &mut dyn Write,
    ) -> io::Result<()>;
}

/// Writes the journal, and says what was written.
///
/// # Errors
/// [`BookError`].
pub fn export(
    reader: &mut dyn JournalReader,
    span: Span,
    format: Format,
    out: &mut dyn Write,
) -> Result<Totals, BookError> {
    let mut sheet: Box<dyn Sheet> = match format {
        Format::Csv => Box::new(csv::Journal),
        Format::Json => Box::new(json::Journal::default()),
        Format::Hledger => Box::new(hledger::Journal),
        Format::Beancount => Box::new(beancount::Journal),
        Format::Camt053 => Box::new(camt053::Journal::default()),
    };
    let (mut source, book, first, last) = Source::open(reader, span)?;
    sheet.begin(&book, out)?;
    let mut totals = Totals::default();
    let mut closing = book.opening.clone();
    let mut after = first;
    while after < last {
        let to = last.min(after.saturating_add(PIECE));
        for (no, transaction) in source.transactions(after, to)? {
            for entry in &transaction.entries {
                closing.insert(entry.account, entry.balance_after_minor);
                totals.add(entry.account.currency, entry.amount_minor);
            }
            let rows = sheet.transaction(no, &transaction, out)?;
            totals.rows = totals.rows.saturating_add(rows);
        }
        sheet.piece(out)?;
        after = to;
    }
    sheet.end(&book, &closing, &totals, out)?;
    out.flush()?;
    Ok(totals)
}

/// A reader, and the accounts that its entries name.
struct Source<'r> {
    reader: &'r mut dyn JournalReader,
    accounts: HashMap<AccountRow, AccountKey>,
}

impl<'r> Source<'r> {
    /// What is known before the first row; the transaction before the first of the span, and its last.
    fn open(reader: &'r mut dyn JournalReader, span: Span) -> Result<(Self, Book, i64, i64), BookError> {
        let beginning = reader.begin()?;
        if let Some(what) = beginning.discrepancies.into_iter().next() {
            return Err(BookError::Damaged(what));
        }
        let properties = reader.properties()?;
        let accounts: HashMap<_, _> =
            beginning.accounts.iter().map(|stored| (stored.row, stored.key)).collect();
        let mut opening: BTreeMap<AccountKey, i64> = accounts.values().map(|key| (*key, 0)).collect();
        let mut source = Self { reader, accounts };
        let (first, last) = source.ends(span, beginning.head)?;
        source.add_up(first, &mut opening)?;
        let begun = source.time_after(first, last)?.unwrap_or(beginning.head.at);
        let book = Book {
            ledger: properties.ledger,
            mode: properties.mode,
            span,
            begins: span.from.unwrap_or(begun),
            ends: span.to.unwrap_or(beginning.head.at),
            opening,
        };
        Ok((source, book, first, last))
    }

    /// The last transactions before the span begins and before it ends.
    fn ends(&mut self, span: Span, head: Head) -> Result<(i64, i64), BookError> {
        if span == Span::default() {
            return Ok((0, head.transaction));
        }
        let (mut first, mut last, mut after) = (0, 0, Head::default());
        while after.block < head.block {
            let blocks = self.reader.blocks(&after, head.block, PIECE)?;
            let Some(newest) = blocks.last() else { break };
            after = newest.head;
            for Head { transaction, at, .. } in blocks.into_iter().map(|block| block.head) {
                if span.to.is_some_and(|to| at >= to) {
                    return Ok((first, last));
                }
                if span.from.is_some_and(|from| at < from) {
                    first = transaction;
                }
                last = transaction;
            }
        }
        Ok((first, last))
    }

    /// Leaves in `balances` what the entries up to that transaction left.
    fn add_up(&mut self, to: i64, balances: &mut BTreeMap<AccountKey, i64>) -> Result<(), BookError> {
        let mut after = 0;
        while after < to {
            let end = to.min(after.saturating_add(PIECE));
            for entry in self.reader.entries(after, end)? {
                balances.insert(self.account(entry.no, entry.account)?, entry.balance_after_minor);
            }
            after = end;
        }
        Ok(())
    }

    /// The time of the first transaction of the span; none if there is none.
    fn time_after(&mut self, first: i64, last: i64) -> Result<Option<Timestamp>, BookError> {
        let next = last.min(first.saturating_add(1));
        Ok(self.transactions(first, next)?.first().map(|(_, transaction)| transaction.created_at))
    }

    /// Transactions with their entries; every number is there.
    fn transactions(&mut self, after: i64, to: i64) -> Result<Vec<(i64, Transaction)>, BookError> {
        let mut rows = whole(self.reader.transactions(after, to)?, "transactions", after, to)?;
        let mut waiting = rows.iter_mut().peekable();
        for stored in self.reader.entries(after, to)? {
            while waiting.next_if(|(no, _)| *no < stored.transaction).is_some() {}
            let account = self.account(stored.no, stored.account)?;
            let Some((_, transaction)) = waiting.peek_mut() else { continue };
            transaction.entries.push(Entry {
                account,
                amount_minor: stored.amount_minor,
                balance_after_minor: stored.balance_after_minor,
            });
        }
        Ok(rows)
    }

    fn account(&self, entry: i64, row: AccountRow) -> Result<AccountKey, BookError> {
        let missing = || BookError::Damaged(format!("entries row {entry}: there is no account {row}"));
        self.accounts.get(&row).copied().ok_or_else(missing)
    }
}
