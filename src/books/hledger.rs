//! A plain-text journal that both hledger (`check -s`) and Ledger (`--pedantic`) read.
//!
//! Commodities, accounts and tags are declared, and each posting asserts the balance after it, so that an accountant who
//! reads the file proves it. What moved nothing is a comment. The last line counts the transactions and sums them up.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::export::{Book, Sheet};
use super::statement::{Line, Moved, Statement};
use super::{Totals, account_name, day, text};
use crate::ledger::{AccountKey, Balance, Currency, Timestamp, Transaction, UserId};

/// The whole journal.
#[derive(Debug)]
pub struct Journal;

const TAGS: [&str; 4] = ["type", "time", "reference", "counterparty"];
/// The balance before a span, as a transaction.
const OPENING: &str = "opening balances";

impl Sheet for Journal {
    fn begin(&mut self, book: &Book, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "; The journal of the ledger {} ({} mode).", book.ledger, book.mode.name())?;
        let currencies: BTreeSet<Currency> = book.opening.keys().map(|key| key.currency).collect();
        declare(currencies, &book.opening.keys().map(name).collect(), out)?;
        let open: Vec<_> = book.opening.iter().filter(|(_, amount_minor)| **amount_minor != 0).collect();
        if !open.is_empty() {
            writeln!(out, "\n{} * {OPENING}", day(book.begins))?;
        }
        open.into_iter().try_for_each(|(key, amount_minor)| {
            posting(&name(key), key.currency, *amount_minor, *amount_minor, out)
        })
    }

    fn transaction(&mut self, no: i64, transaction: &Transaction, out: &mut dyn Write) -> io::Result<u64> {
        let Transaction { id, created_at, kind, memo, entries, .. } = transaction;
        if entries.is_empty() {
            let (day, status) = (day(*created_at), super::status(transaction));
            let (money, currency) = (transaction.money, transaction.money.currency());
            writeln!(out, "\n; {day} {id} no {no}: {status}, {} of {money} {currency}", kind.name())?;
            return Ok(1);
        }
        head(*created_at, &id.to_string(), (&memo.description, kind.name()), &memo.reference, out)?;
        for entry in entries {
            let Balance { amount_minor, currency } =
                Balance { amount_minor: entry.amount_minor, currency: entry.account.currency };
            posting(&name(&entry.account), currency, amount_minor, entry.balance_after_minor, out)?;
        }
        Ok(1)
    }

    fn end(
        &mut self,
        _: &Book,
        _: &BTreeMap<AccountKey, i64>,
        totals: &Totals,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        writeln!(out, "\n; end: {}", totals.sentence())
    }
}

fn name(key: &AccountKey) -> String {
    account_name(key, |user: UserId| user.to_string())
}

fn declare(
    currencies: BTreeSet<Currency>,
    accounts: &BTreeSet<String>,
    out: &mut dyn Write,
) -> io::Result<()> {
    for currency in currencies {
        let thousand =
            Balance { amount_minor: 1000_i64.saturating_mul(ten_to(currency.exponent())), currency };
        // hledger wants the point that marks the decimals also where there are none, and Ledger reads such a point at the
        // end of the line alone.
        if currency.exponent() == 0 {
            writeln!(out, "\ncommodity {currency}\n    format {currency} {thousand}.")?;
        } else {
            writeln!(out, "\ncommodity {currency}\n    format {thousand} {currency}")?;
        }
    }
    writeln!(out)?;
    accounts.iter().try_for_each(|account| writeln!(out, "account {account}"))?;
    writeln!(out)?;
    TAGS.iter().try_for_each(|tag| writeln!(out, "tag {tag}"))
}

fn ten_to(exponent: u8) -> i64 {
    10_i64.saturating_pow(u32::from(exponent))
}

/// The first lines of a transaction.
fn head(
    at: Timestamp,
    code: &str,
    (description, kind): (&str, &str),
    reference: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let described = text::plain(description);
    let payee = if described.is_empty() { kind } else { &described };
    writeln!(out, "\n{} * ({code}) {payee}\n    ; type: {kind}\n    ; time: {at}", day(at))?;
    let reference = text::plain(reference);
    if reference.is_empty() { Ok(()) } else { writeln!(out, "    ; reference: {reference}") }
}

/// A posting, and the balance that it leaves.
fn posting(
    account: &str,
    currency: Currency,
    amount_minor: i64,
    balance_after_minor: i64,
    out: &mut dyn Write,
) -> io::Result<()> {
    let of = |amount_minor| Balance { amount_minor, currency };
    let (amount, balance) = (of(amount_minor), of(balance_after_minor));
    writeln!(out, "    {account}  {amount} {currency} = {balance} {currency}")
}

/// A wallet's statement.
#[derive(Debug)]
pub struct Wallet;

const WALLET: &str = "Assets:Wallet";
const OTHERS: &str = "Equity:Counterparties";

impl super::statement::Sheet for Wallet {
    fn begin(&mut self, statement: &Statement, out: &mut Vec<u8>) -> io::Result<()> {
        let Statement { user, currency, at, opening_minor, .. } = statement;
        writeln!(out, "; The {currency} wallet of {user}, as of {at}.")?;
        let accounts = [WALLET, OTHERS].map(str::to_owned);
        declare(BTreeSet::from([*currency]), &BTreeSet::from(accounts), out)?;
        if *opening_minor == 0 {
            return Ok(());
        }
        writeln!(out, "\n{} * {OPENING}", day(statement.span.from.unwrap_or(*at)))?;
        posting(WALLET, *currency, *opening_minor, *opening_minor, out)?;
        writeln!(out, "    {OTHERS}")
    }

    fn line(&mut self, statement: &Statement, line: &Line<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        let Transaction { id, created_at, memo, .. } = line.transaction();
        let described = (memo.description.as_str(), line.kind());
        head(*created_at, &id.to_string(), described, &memo.reference, out)?;
        writeln!(out, "    ; counterparty: {}", line.counterparty.id.told())?;
        posting(WALLET, statement.currency, line.amount_minor, line.balance_after_minor, out)?;
        writeln!(out, "    {OTHERS}")
    }

    fn end(&mut self, statement: &Statement, moved: &Moved, out: &mut Vec<u8>) -> io::Result<()> {
        let closing = Balance { amount_minor: statement.closing_minor, currency: statement.currency };
        let (currency, sentence) = (statement.currency, moved.sentence(statement.currency));
        writeln!(out, "\n; end: {sentence}, closing {closing} {currency}")
    }
}
