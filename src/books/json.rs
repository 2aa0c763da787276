//! JSON: one object, with a line for each transaction, so that it can be read as a whole and line by line.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::value::RawValue;

use super::Totals;
use super::export::{Book, Sheet};
use crate::ledger::{
    AccountKey, Balance, Currency, Decline, Money, Party, Timestamp, Total, Transaction, TransactionId,
};

/// The whole journal.
#[derive(Debug, Default)]
pub struct Journal {
    has_rows: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    no: i64,
    id: TransactionId,
    r#type: &'static str,
    status: &'static str,
    created_at: Text<Timestamp>,
    amount: Text<Money>,
    currency: Currency,
    from: Side<'a>,
    to: Side<'a>,
    description: &'a str,
    reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline: Option<&'static str>,
    entries: Vec<Posting>,
}

#[derive(Serialize)]
struct Side<'a> {
    id: String,
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Posting {
    account: Account,
    amount: Text<Balance>,
    balance_after: Text<Balance>,
}

#[derive(Serialize)]
struct Account {
    owner: String,
    kind: &'static str,
    currency: Currency,
}

#[derive(Serialize)]
struct Standing {
    account: Account,
    balance: Text<Balance>,
}

#[derive(Serialize)]
struct Sum {
    currency: Currency,
    amount: Text<Total>,
}

/// A value as the text that it displays as.
struct Text<T>(T);

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Sheet for Journal {
    fn begin(&mut self, book: &Book, out: &mut dyn Write) -> io::Result<()> {
        let bound = |at: Option<Timestamp>| at.map(Text);
        write!(out, "{{\"ledger\":\"{}\",\"mode\":\"{}\",\"from\":", book.ledger, book.mode.name())?;
        serde_json::to_writer(&mut *out, &bound(book.span.from))?;
        out.write_all(b",\"to\":")?;
        serde_json::to_writer(&mut *out, &bound(book.span.to))?;
        out.write_all(b",\"opening\":")?;
        standings(&book.opening, out)?;
        out.write_all(b",\"transactions\":[")
    }

    fn transaction(&mut self, no: i64, transaction: &Transaction, out: &mut dyn Write) -> io::Result<u64> {
        out.write_all(if self.has_rows { b",\n" } else { b"\n" })?;
        self.has_rows = true;
        serde_json::to_writer(&mut *out, &row(no, transaction))?;
        Ok(1)
    }

    fn end(
        &mut self,
        _: &Book,
        closing: &BTreeMap<AccountKey, i64>,
        totals: &Totals,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        out.write_all(b"\n],\"closing\":")?;
        standings(closing, out)?;
        let sums = totals.sums().map(|sum| Sum { currency: sum.currency, amount: Text(sum) });
        write!(out, ",\"rows\":{},\"sums\":", totals.rows)?;
        serde_json::to_writer(&mut *out, &sums.collect::<Vec<_>>())?;
        out.write_all(b"}\n")
    }
}

fn row(no: i64, transaction: &Transaction) -> Row<'_> {
    let posting = |entry: &crate::ledger::Entry| {
        let currency = entry.account.currency;
        Posting {
            account: account(&entry.account),
            amount: Text(Balance { amount_minor: entry.amount_minor, currency }),
            balance_after: Text(Balance { amount_minor: entry.balance_after_minor, currency }),
        }
    };
    Row {
        no,
        id: transaction.id,
        r#type: transaction.kind.name(),
        status: super::status(transaction),
        created_at: Text(transaction.created_at),
        amount: Text(transaction.money),
        currency: transaction.money.currency(),
        from: side(&transaction.from),
        to: side(&transaction.to),
        description: &transaction.memo.description,
        reference: &transaction.memo.reference,
        // What is kept is JSON of ours; empty is none.
        metadata: serde_json::from_str(&transaction.memo.metadata).ok(),
        decline: transaction.decline.map(Decline::name),
        entries: transaction.entries.iter().map(posting).collect(),
    }
}

fn side(party_of: &Party) -> Side<'_> {
    Side { id: party_of.id.told(), name: party_of.name.as_deref() }
}

fn account(key: &AccountKey) -> Account {
    Account { owner: key.owner.told(), kind: key.kind.name(), currency: key.currency }
}

/// What accounts hold, those that hold nothing left out.
fn standings(balances: &BTreeMap<AccountKey, i64>, out: &mut dyn Write) -> io::Result<()> {
    let standing = |(key, amount_minor): (&AccountKey, &i64)| Standing {
        account: account(key),
        balance: Text(Balance { amount_minor: *amount_minor, currency: key.currency }),
    };
    out.write_all(b"[")?;
    for (index, entry) in balances.iter().filter(|(_, amount_minor)| **amount_minor != 0).enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, &standing(entry))?;
    }
    out.write_all(b"]")
}
