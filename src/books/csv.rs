//! CSV after RFC 4180, in UTF-8 with CRLF: a record for each entry, and for each transaction that moved nothing.
//!
//! The first field says what a record is: `opening` and `closing` balances of accounts, `entry`, `declined`, the `sum` of
//! each currency, and last `end` with the count of the entries and declined ones. Texts are no formulas (see `text`).

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::export::{Book, Sheet};
use super::statement::{Line, Statement};
use super::{Totals, text};
use crate::ledger::{AccountKey, Balance, Currency, Entry, Total, Transaction};

/// The whole journal.
#[derive(Debug)]
pub struct Journal;

const JOURNAL: &str = "record,no,transaction,type,status,time,owner,account,currency,amount,balance_after,from,from_name,to,\
    to_name,description,reference,metadata\r\n";
const STATEMENT: &str = "record,transaction,type,time,direction,amount,currency,counterparty,counterparty_name,description,reference,\
     payment,balance_after\r\n";

/// One record of as many fields as its file has.
struct Record {
    line: String,
    fields: usize,
}

impl Record {
    fn new(kind: &str) -> Self {
        Self { line: kind.to_owned(), fields: 1 }
    }

    /// A value of ours, which needs no care.
    fn value(mut self, value: impl std::fmt::Display) -> Self {
        self.line.push(',');
        self.line.push_str(&value.to_string());
        self.fields = self.fields.saturating_add(1);
        self
    }

    /// A text of somebody's.
    fn text(mut self, value: &str) -> Self {
        self.line.push(',');
        text::csv(&mut self.line, value);
        self.fields = self.fields.saturating_add(1);
        self
    }

    fn empty(mut self, fields: usize) -> Self {
        for _ in 0..fields {
            self = self.value("");
        }
        self
    }

    /// Ends the record; what it lacks of a file's fields is empty.
    fn finish(self, header: &str, out: &mut dyn Write) -> io::Result<()> {
        let missing = header.split(',').count().saturating_sub(self.fields);
        let record = self.empty(missing);
        out.write_all(record.line.as_bytes())?;
        out.write_all(b"\r\n")
    }
}

impl Sheet for Journal {
    fn begin(&mut self, book: &Book, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(JOURNAL.as_bytes())?;
        balances("opening", &book.opening, out)
    }

    fn transaction(&mut self, no: i64, transaction: &Transaction, out: &mut dyn Write) -> io::Result<u64> {
        for entry in &transaction.entries {
            record(no, transaction, Some(entry)).finish(JOURNAL, out)?;
        }
        if transaction.entries.is_empty() {
            record(no, transaction, None).finish(JOURNAL, out)?;
        }
        Ok(u64::try_from(transaction.entries.len()).unwrap_or(u64::MAX).max(1))
    }

    fn end(
        &mut self,
        _: &Book,
        closing: &BTreeMap<AccountKey, i64>,
        totals: &Totals,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        balances("closing", closing, out)?;
        for sum in totals.sums() {
            Record::new("sum").empty(7).value(sum.currency).value(sum).finish(JOURNAL, out)?;
        }
        Record::new("end").value(totals.rows).finish(JOURNAL, out)
    }
}

fn record(no: i64, transaction: &Transaction, entry: Option<&Entry>) -> Record {
    let kind = if entry.is_some() { "entry" } else { super::status(transaction) };
    let record = Record::new(kind)
        .value(no)
        .value(transaction.id)
        .value(transaction.kind.name())
        .value(super::status(transaction))
        .value(transaction.created_at);
    let record = match entry {
        Some(entry) => {
            let of = |amount_minor| Balance { amount_minor, currency: entry.account.currency };
            record
                .value(entry.account.owner.told())
                .value(entry.account.kind.name())
                .value(entry.account.currency)
                .value(of(entry.amount_minor))
                .value(of(entry.balance_after_minor))
        }
        None => record.empty(2).value(transaction.money.currency()).value(transaction.money).empty(1),
    };
    record
        .value(transaction.from.id.told())
        .text(transaction.from.name.as_deref().unwrap_or_default())
        .value(transaction.to.id.told())
        .text(transaction.to.name.as_deref().unwrap_or_default())
        .text(&transaction.memo.description)
        .text(&transaction.memo.reference)
        .text(&transaction.memo.metadata)
}

fn balances(kind: &str, balances: &BTreeMap<AccountKey, i64>, out: &mut dyn Write) -> io::Result<()> {
    for (key, amount_minor) in balances.iter().filter(|(_, amount_minor)| **amount_minor != 0) {
        Record::new(kind)
            .empty(5)
            .value(key.owner.told())
            .value(key.kind.name())
            .value(key.currency)
            .empty(1)
            .value(Balance { amount_minor: *amount_minor, currency: key.currency })
            .finish(JOURNAL, out)?;
    }
    Ok(())
}

/// A wallet's statement.
#[derive(Debug)]
pub struct Wallet;

impl super::statement::Sheet for Wallet {
    fn begin(&mut self, statement: &Statement, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(STATEMENT.as_bytes());
        balance("opening", statement.opening_minor, statement.currency, out)
    }

    fn line(&mut self, statement: &Statement, line: &Line<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        let transaction = line.transaction();
        let of = |amount_minor| Balance { amount_minor, currency: statement.currency };
        Record::new("movement")
            .value(transaction.id)
            .value(line.kind())
            .value(transaction.created_at)
            .value(if line.amount_minor < 0 { "out" } else { "in" })
            .value(of(line.amount_minor))
            .value(statement.currency)
            .value(line.counterparty.id.told())
            .text(line.counterparty.name.as_deref().unwrap_or_default())
            .text(&transaction.memo.description)
            .text(&transaction.memo.reference)
            .value(line.payment().map(|payment| payment.to_string()).unwrap_or_default())
            .value(of(line.balance_after_minor))
            .finish(STATEMENT, out)
    }

    fn end(
        &mut self,
        statement: &Statement,
        moved: &super::statement::Moved,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        balance("closing", statement.closing_minor, statement.currency, out)?;
        for (kind, amount_minor) in [("sum_in", moved.in_minor), ("sum_out", moved.out_minor)] {
            let sum = Total { amount_minor, currency: statement.currency };
            Record::new(kind).empty(4).value(sum).value(statement.currency).finish(STATEMENT, out)?;
        }
        Record::new("end").value(moved.rows).finish(STATEMENT, out)
    }
}

fn balance(kind: &str, amount_minor: i64, currency: Currency, out: &mut Vec<u8>) -> io::Result<()> {
    let balance = Balance { amount_minor, currency };
    Record::new(kind).empty(5).value(currency).empty(5).value(balance).finish(STATEMENT, out)
}
