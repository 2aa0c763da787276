//! A journal for beancount: accounts are opened with their currencies, and balances asserted the day after the last row.
//!
//! Its accounts know neither `_` nor a small letter at the beginning of a part, so that `usr_01h4…` stands as `Usr-01h4…`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::export::{Book, Sheet};
use super::{Totals, account_name, day, text};
use crate::ledger::{AccountKey, Balance, Transaction, UserId};

const MS_PER_DAY: i64 = 86_400_000;

/// The whole journal.
#[derive(Debug)]
pub struct Journal;

impl Sheet for Journal {
    fn begin(&mut self, book: &Book, out: &mut dyn Write) -> io::Result<()> {
        let day = day(book.begins);
        writeln!(out, "option \"title\" \"Ledger {} ({} mode)\"\n", book.ledger, book.mode.name())?;
        let currencies: BTreeSet<_> = book.opening.keys().map(|key| key.currency).collect();
        currencies.iter().try_for_each(|currency| writeln!(out, "{day} commodity {currency}"))?;
        let mut accounts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for key in book.opening.keys() {
            accounts.entry(name(key)).or_default().push(key.currency.code());
        }
        for (account, currencies) in accounts {
            writeln!(out, "{day} open {account} {}", currencies.join(","))?;
        }
        let open: Vec<_> = book.opening.iter().filter(|(_, amount_minor)| **amount_minor != 0).collect();
        if !open.is_empty() {
            writeln!(out, "\n{day} * \"opening balances\"")?;
        }
        open.into_iter().try_for_each(|(key, amount_minor)| posting(key, *amount_minor, out))
    }

    fn transaction(&mut self, no: i64, transaction: &Transaction, out: &mut dyn Write) -> io::Result<u64> {
        let Transaction { id, created_at, kind, memo, entries, .. } = transaction;
        let (day, kind) = (day(*created_at), kind.name());
        if entries.is_empty() {
            let (money, currency) = (transaction.money, transaction.money.currency());
            let status = super::status(transaction);
            writeln!(out, "\n; {day} {id} no {no}: {status}, {kind} of {money} {currency}")?;
            return Ok(1);
        }
        let narration = text::quoted(if memo.description.is_empty() { kind } else { &memo.description });
        writeln!(out, "\n{day} * {narration}\n  id: \"{id}\"\n  type: \"{kind}\"\n  time: \"{created_at}\"")?;
        if !memo.reference.is_empty() {
            writeln!(out, "  reference: {}", text::quoted(&memo.reference))?;
        }
        entries.iter().try_for_each(|entry| posting(&entry.account, entry.amount_minor, out))?;
        Ok(1)
    }

    fn end(
        &mut self,
        book: &Book,
        closing: &BTreeMap<AccountKey, i64>,
        totals: &Totals,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        writeln!(out)?;
        // An assertion looks at the beginning of its day.
        let day = day(book.ends.max(book.begins).plus_millis(MS_PER_DAY));
        for (key, amount_minor) in closing {
            let (account, currency) = (name(key), key.currency);
            let balance = Balance { amount_minor: *amount_minor, currency };
            writeln!(out, "{day} balance {account}  {balance} ~ 0 {currency}")?;
        }
        writeln!(out, "\n; end: {}", totals.sentence())
    }
}

fn name(key: &AccountKey) -> String {
    account_name(key, |user: UserId| user.to_string().replacen("usr_", "Usr-", 1))
}

fn posting(key: &AccountKey, amount_minor: i64, out: &mut dyn Write) -> io::Result<()> {
    let amount = Balance { amount_minor, currency: key.currency };
    writeln!(out, "  {}  {amount} {}", name(key), key.currency)
}
