//! Bank statements after ISO 20022, camt.053.001.08: one document, valid against the schema.
//!
//! A wallet's statement is one `Stmt`. Of the whole journal there is a `Stmt` for each account that a piece of the journal
//! touches, numbered per account in `ElctrncSeqNb`; its opening balance is the closing one of the `Stmt` before, so that
//! memory stays bounded and the accounts can still be followed. An account that nothing touched has one without entries.
//! What moved nothing is no entry of anybody's, and is counted alone.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use super::export::{Book, Sheet};
use super::statement::{Line, Moved, Statement};
use super::{Totals, text};
use crate::ledger::{AccountKey, Balance, Currency, Entry, Party, Timestamp, Total, Transaction, UserId};

const SCHEMA: &str = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08";
/// The lengths that the schema gives its texts.
const SHORT: usize = 35;
const NAME: usize = 140;
const LINE: usize = 140;
const LONG: usize = 500;

/// The whole journal.
#[derive(Debug, Default)]
pub struct Journal {
    /// How many statements there are so far, and of each account.
    statements: u64,
    sequence: HashMap<AccountKey, u64>,
    /// What the accounts hold after the last statement.
    balances: BTreeMap<AccountKey, i64>,
    /// When the last statement ended.
    since: Timestamp,
    piece: BTreeMap<AccountKey, Page>,
    newest: Timestamp,
}

/// The entries of one account in one piece of the journal.
#[derive(Debug, Default)]
struct Page {
    entries: Vec<u8>,
    moved: Moved,
    closing_minor: i64,
}

impl Sheet for Journal {
    fn begin(&mut self, book: &Book, out: &mut dyn Write) -> io::Result<()> {
        self.balances.clone_from(&book.opening);
        (self.since, self.newest) = (book.begins, book.begins);
        document(&book.ledger.simple().to_string(), book.ends, out)
    }

    fn transaction(&mut self, _: i64, transaction: &Transaction, _: &mut dyn Write) -> io::Result<u64> {
        self.newest = transaction.created_at;
        for Entry { account, amount_minor, balance_after_minor } in &transaction.entries {
            let page = self.piece.entry(*account).or_default();
            page.moved.add(*amount_minor);
            page.closing_minor = *balance_after_minor;
            let amount = Balance { amount_minor: *amount_minor, currency: account.currency };
            entry(transaction, transaction.kind.name(), amount, &mut page.entries)?;
        }
        Ok(u64::try_from(transaction.entries.len()).unwrap_or(u64::MAX).max(1))
    }

    fn piece(&mut self, out: &mut dyn Write) -> io::Result<()> {
        for (account, page) in std::mem::take(&mut self.piece) {
            self.statement(account, &page, out)?;
        }
        self.since = self.newest;
        Ok(())
    }

    fn end(
        &mut self,
        book: &Book,
        closing: &BTreeMap<AccountKey, i64>,
        totals: &Totals,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        (self.since, self.newest) = (book.begins, book.ends.max(book.begins));
        // The schema wants a statement at least: a ledger without accounts has the empty one of its house.
        let house = AccountKey::wallet(UserId::HOUSE, Currency::USD);
        let nothing = closing.is_empty().then_some((&house, &0));
        for (account, closing_minor) in closing.iter().chain(nothing) {
            if !self.sequence.contains_key(account) {
                let page = Page { closing_minor: *closing_minor, ..Page::default() };
                self.statement(*account, &page, out)?;
            }
        }
        end_document(&totals.sentence(), out)
    }
}

impl Journal {
    fn statement(&mut self, account: AccountKey, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        self.statements = self.statements.saturating_add(1);
        let sequence = self.sequence.entry(account).or_default();
        *sequence = sequence.saturating_add(1);
        let opening_minor = self.balances.insert(account, page.closing_minor).unwrap_or_default();
        let head = Head {
            id: &self.statements.to_string(),
            sequence: *sequence,
            account,
            from: self.since,
            to: self.newest,
            opening_minor,
            closing_minor: page.closing_minor,
        };
        head.write(out)?;
        summary(&page.moved, account.currency, out)?;
        out.write_all(&page.entries)?;
        end_statement(&page.moved.sentence(account.currency), out)
    }
}

/// A wallet's statement.
#[derive(Debug)]
pub struct Wallet;

impl super::statement::Sheet for Wallet {
    fn begin(&mut self, statement: &Statement, out: &mut Vec<u8>) -> io::Result<()> {
        let account = AccountKey::wallet(statement.user, statement.currency);
        let to = statement.span.to.unwrap_or(statement.at);
        document(&statement.user.told(), statement.at, out)?;
        let head = Head {
            id: &format!("{}-{}", statement.currency, statement.at.as_millis()),
            sequence: 1,
            account,
            from: statement.span.from.unwrap_or(Timestamp::from_millis(0)),
            to,
            opening_minor: statement.opening_minor,
            closing_minor: statement.closing_minor,
        };
        head.write(out)
    }

    fn line(&mut self, statement: &Statement, line: &Line<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        let amount = Balance { amount_minor: line.amount_minor, currency: statement.currency };
        entry(line.transaction(), line.kind(), amount, out)
    }

    fn end(&mut self, statement: &Statement, moved: &Moved, out: &mut Vec<u8>) -> io::Result<()> {
        let sentence = moved.sentence(statement.currency);
        end_statement(&sentence, out)?;
        end_document(&sentence, out)
    }
}

fn document(id: &str, made: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document xmlns=\"{SCHEMA}\">\n<BkToCstmrStmt>"
    )?;
    writeln!(out, "<GrpHdr><MsgId>{id}</MsgId><CreDtTm>{made}</CreDtTm></GrpHdr>")
}

/// The comment is the count of the whole document: a document that was cut has neither it nor its end.
fn end_document(sentence: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "</BkToCstmrStmt>\n<!-- end: {sentence} -->\n</Document>")
}

/// What a statement says before its entries.
struct Head<'a> {
    id: &'a str,
    sequence: u64,
    account: AccountKey,
    from: Timestamp,
    to: Timestamp,
    opening_minor: i64,
    closing_minor: i64,
}

impl Head<'_> {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { id, sequence, account, from, to, opening_minor, closing_minor } = self;
        let (owner, kind, currency) = (account.owner.told(), account.kind.name(), account.currency);
        writeln!(out, "<Stmt><Id>{id}</Id><ElctrncSeqNb>{sequence}</ElctrncSeqNb><CreDtTm>{to}</CreDtTm>")?;
        writeln!(out, "<FrToDt><FrDtTm>{from}</FrDtTm><ToDtTm>{to}</ToDtTm></FrToDt>")?;
        write!(out, "<Acct><Id><Othr><Id>{owner}</Id></Othr></Id><Tp><Prtry>{kind}</Prtry></Tp>")?;
        writeln!(out, "<Ccy>{currency}</Ccy></Acct>")?;
        balance("OPBD", Balance { amount_minor: *opening_minor, currency }, *from, out)?;
        balance("CLBD", Balance { amount_minor: *closing_minor, currency }, *to, out)
    }
}

fn end_statement(sentence: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<AddtlStmtInf>{sentence}</AddtlStmtInf></Stmt>")
}

fn balance(code: &str, balance: Balance, at: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>")?;
    amount(balance, out)?;
    writeln!(out, "<Dt><DtTm>{at}</DtTm></Dt></Bal>")
}

/// An amount without its sign, and the sign as the standard says it.
fn amount(balance: Balance, out: &mut dyn Write) -> io::Result<()> {
    let Balance { amount_minor, currency } = balance;
    let size = Total { amount_minor: i128::from(amount_minor.unsigned_abs()), currency };
    let side = if amount_minor < 0 { "DBIT" } else { "CRDT" };
    write!(out, "<Amt Ccy=\"{currency}\">{size}</Amt><CdtDbtInd>{side}</CdtDbtInd>")
}

fn summary(moved: &Moved, currency: Currency, out: &mut dyn Write) -> io::Result<()> {
    let of = |amount_minor| Total { amount_minor, currency };
    let all = of(moved.in_minor.saturating_add(moved.out_minor));
    write!(out, "<TxsSummry><TtlNtries><NbOfNtries>{}</NbOfNtries><Sum>{all}</Sum></TtlNtries>", moved.rows)?;
    write!(out, "<TtlCdtNtries><Sum>{}</Sum></TtlCdtNtries>", of(moved.in_minor))?;
    writeln!(out, "<TtlDbtNtries><Sum>{}</Sum></TtlDbtNtries></TxsSummry>", of(moved.out_minor))
}

fn entry(transaction: &Transaction, kind: &str, moved: Balance, out: &mut dyn Write) -> io::Result<()> {
    let Transaction { id, created_at, from, to, memo, .. } = transaction;
    write!(out, "<Ntry><NtryRef>{id}</NtryRef>")?;
    amount(moved, out)?;
    write!(out, "<Sts><Cd>BOOK</Cd></Sts><BookgDt><DtTm>{created_at}</DtTm></BookgDt>")?;
    write!(out, "<AcctSvcrRef>{id}</AcctSvcrRef><BkTxCd><Prtry><Cd>{kind}</Cd></Prtry></BkTxCd>")?;
    let reference = memo.reference.trim();
    let is_short = !reference.is_empty() && reference.chars().count() <= SHORT;
    write!(out, "<NtryDtls><TxDtls><Refs><AcctSvcrRef>{id}</AcctSvcrRef>")?;
    if is_short {
        write!(out, "<EndToEndId>{}</EndToEndId>", text::xml(reference))?;
    }
    out.write_all(b"</Refs>")?;
    amount(moved, out)?;
    out.write_all(b"<RltdPties>")?;
    side("Dbtr", from, out)?;
    side("Cdtr", to, out)?;
    out.write_all(b"</RltdPties>")?;
    remittance(&memo.description, out)?;
    if !reference.is_empty() && !is_short {
        write!(out, "<AddtlTxInf>{}</AddtlTxInf>", text::xml(text::cut(reference, LONG)))?;
    }
    out.write_all(b"</TxDtls></NtryDtls></Ntry>\n")
}

fn side(name: &str, who: &Party, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "<{name}><Pty>")?;
    if let Some(known) = who.name.as_deref().map(str::trim).filter(|known| !known.is_empty()) {
        write!(out, "<Nm>{}</Nm>", text::xml(text::cut(known, NAME)))?;
    }
    write!(out, "<Id><PrvtId><Othr><Id>{}</Id></Othr></PrvtId></Id></Pty></{name}>", who.id.told())
}

/// What was said of a payment, in lines as long as the schema lets them be.
fn remittance(description: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut rest = description.trim();
    if rest.is_empty() {
        return Ok(());
    }
    out.write_all(b"<RmtInf>")?;
    while !rest.is_empty() {
        let line = text::cut(rest, LINE);
        write!(out, "<Ustrd>{}</Ustrd>", text::xml(line))?;
        rest = rest.get(line.len()..).unwrap_or_default();
    }
    out.write_all(b"</RmtInf>")
}
