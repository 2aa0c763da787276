//! Bank files: what a bank says was booked, read from CSV or ISO 20022 camt.053.
//!
//! CSV (RFC 4180, with commas or semicolons) has a first line with the names of its columns: `amount`, `currency` and
//! `reference`, and `date` if there is one; others are not looked at. An amount above zero came in, one below went out. Of
//! camt.053 every `Ntry` is a line, or each of its `TxDtls` where those have amounts of its currency. It can be matched by
//! the creditor's reference, the end-to-end id, what was written for people, and the entry's own reference: banks and payers
//! put a slip's number into any of them.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::ledger::{Currency, Money};

/// The most lines of one file.
pub const MOST_LINES: usize = 100_000;
/// The deepest that the elements of a statement lie.
const MAX_DEPTH: usize = 64;

/// What a bank booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankLine {
    /// Its place in the file: the line of a CSV file, or the number of the entry, from 1 on.
    pub line: u64,
    /// The day, as the file writes it; empty if it does not.
    pub date: String,
    /// In minor units: above zero what came in, below what went out.
    pub amount_minor: i64,
    /// Of this currency.
    pub currency: Currency,
    /// What it can be matched by, the likeliest first; none is empty.
    pub references: Vec<String>,
}

impl BankLine {
    /// What it is called by: the likeliest of its references, empty if it has none.
    pub fn reference(&self) -> &str {
        self.references.first().map(String::as_str).unwrap_or_default()
    }
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BankFault {
    /// Where.
    pub line: u64,
    /// What is wrong, and the cure.
    pub what: String,
}

fn fault<T>(line: u64, what: impl Into<String>) -> Result<T, BankFault> {
    Err(BankFault { line, what: what.into() })
}

/// Reads CSV.
///
/// # Errors
/// [`BankFault`] with the first line that cannot be read.
pub fn read_csv(text: &str) -> Result<Vec<BankLine>, BankFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let head = text.lines().next().unwrap_or_default();
    let delimiter = if head.matches(';').count() > head.matches(',').count() { b';' } else { b',' };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut counted = Counted { text, to: 0, line: 1 };
    let names = reader.headers().map_err(|error| csv_fault(&error, &mut counted))?.clone();
    let place = |name: &str| names.iter().position(|column| column.eq_ignore_ascii_case(name));
    let needed = |name: &str| match place(name) {
        Some(place) => Ok(place),
        None => fault(1, format!("has no column '{name}'; needed are amount, currency and reference")),
    };
    let (amount, currency, reference) = (needed("amount")?, needed("currency")?, needed("reference")?);
    let date = place("date");
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| csv_fault(&error, &mut counted))?;
        let line = counted.line_of(record.position());
        if lines.len() >= MOST_LINES {
            return fault(line, format!("is more than {MOST_LINES} lines; send the file in parts"));
        }
        let cell = |place: usize| record.get(place).unwrap_or_default();
        let (amount_minor, currency) = money(line, cell(amount), cell(currency))?;
        let date = date.map(cell).unwrap_or_default().to_owned();
        let references = references([cell(reference)]);
        lines.push(BankLine { line, date, amount_minor, currency, references });
    }
    Ok(lines)
}

/// Counts lines as editors do, whatever ends them.
struct Counted<'a> {
    text: &'a str,
    to: usize,
    line: u64,
}

impl Counted<'_> {
    fn line_of(&mut self, position: Option<&csv::Position>) -> u64 {
        let byte = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(self.to);
        let rest = self.text.get(byte..).unwrap_or_default();
        let blanks = rest.len().saturating_sub(rest.trim_start_matches(['\r', '\n']).len());
        let start = byte.saturating_add(blanks);
        let passed = self.text.get(self.to..start).unwrap_or_default().matches('\n').count();
        (self.to, self.line) = (start, self.line.saturating_add(u64::try_from(passed).unwrap_or_default()));
        self.line
    }
}

fn csv_fault(error: &csv::Error, counted: &mut Counted<'_>) -> BankFault {
    let line = counted.line_of(error.position());
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} cells where the first line has {expected_len}")
        }
        _ => "is no CSV in UTF-8".to_owned(),
    };
    BankFault { line, what }
}

/// Those that say something.
fn references<const N: usize>(told: [&str; N]) -> Vec<String> {
    let told = told.map(str::trim).into_iter().filter(|text| !text.is_empty() && *text != "NOTPROVIDED");
    told.map(str::to_owned).collect()
}

/// A signed amount of a currency.
fn money(line: u64, amount: &str, currency: &str) -> Result<(i64, Currency), BankFault> {
    let Ok(currency) = Currency::parse(currency) else {
        return fault(line, "'currency' is no code of ISO 4217");
    };
    let (is_out, digits) = match amount.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, amount.strip_prefix('+').unwrap_or(amount)),
    };
    match Money::parse(digits, currency) {
        Ok(money) if is_out => Ok((money.amount_minor().saturating_neg(), currency)),
        Ok(money) => Ok((money.amount_minor(), currency)),
        Err(error) => fault(line, format!("'amount' {error}")),
    }
}

/// An amount as it is written.
#[derive(Debug, Default)]
struct Amount {
    digits: String,
    currency: String,
}

/// What is known of an entry, or of one of its parts.
#[derive(Debug, Default)]
struct Part {
    booked: Amount,
    /// The same among the details, where early versions of the standard have it alone.
    detailed: Amount,
    creditors: String,
    end_to_end: String,
    for_people: String,
}

/// An entry that is being read.
#[derive(Debug, Default)]
struct Pending {
    whole: Amount,
    is_out: Option<bool>,
    date: String,
    own: String,
    parts: Vec<Part>,
}

/// Reads camt.053, of whatever version.
///
/// # Errors
/// [`BankFault`] with the first entry that cannot be read; line 0 if it is the file as a whole.
pub fn read_camt053(text: &str) -> Result<Vec<BankLine>, BankFault> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut pending: Option<Pending> = None;
    let (mut entries, mut lines, mut is_statement) = (0_u64, Vec::new(), false);
    loop {
        let event = reader.read_event();
        match event {
            Err(_) => return fault(entries, "is no well-formed XML"),
            Ok(Event::DocType(_)) => return fault(0, "has a DTD, which a bank statement has not"),
            Ok(Event::Start(start)) => {
                let name = start.local_name().as_ref().to_owned();
                is_statement |= name == "BkToCstmrStmt";
                if path.len() >= MAX_DEPTH {
                    return fault(entries, "is nested deeper than a bank statement");
                }
                if name == "Ntry" && pending.is_none() {
                    entries = entries.saturating_add(1);
                    (pending, path) = (Some(Pending::default()), Vec::new());
                } else {
                    path.push(name);
                }
                if let Some(entry) = &mut pending {
                    open(entry, &path, &start);
                }
            }
            Ok(Event::Text(text)) => take(pending.as_mut(), &path, &text),
            Ok(Event::CData(text)) => take(pending.as_mut(), &path, &text),
            Ok(Event::GeneralRef(name)) => {
                let known = match &*name {
                    "amp" => Some('&'),
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => name.resolve_char_ref().ok().flatten(),
                };
                let Some(known) = known else {
                    return fault(entries, "names an entity that XML does not have");
                };
                take(pending.as_mut(), &path, known.encode_utf8(&mut [0; 4]));
            }
            Ok(Event::End(_)) if path.is_empty() => {
                if let Some(entry) = pending.take() {
                    close(entries, entry, &mut lines)?;
                }
                if lines.len() > MOST_LINES {
                    return fault(
                        entries,
                        format!("is more than {MOST_LINES} lines; send the file in parts"),
                    );
                }
            }
            Ok(Event::End(_)) => drop(path.pop()),
            Ok(Event::Eof) => break,
            Ok(Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_)) => {}
        }
    }
    if is_statement { Ok(lines) } else { fault(0, "is no camt.053: there is no BkToCstmrStmt in it") }
}

/// An element within an entry begins.
fn open(entry: &mut Pending, path: &[String], start: &BytesStart<'_>) {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    if path == ["NtryDtls", "TxDtls"] {
        entry.parts.push(Part::default());
    }
    let amount = match path.as_slice() {
        ["Amt"] => Some(&mut entry.whole),
        ["NtryDtls", "TxDtls", "Amt"] => entry.parts.last_mut().map(|part| &mut part.booked),
        ["NtryDtls", "TxDtls", "AmtDtls", "TxAmt", "Amt"] => {
            entry.parts.last_mut().map(|part| &mut part.detailed)
        }
        _ => None,
    };
    if let (Some(amount), Ok(Some(currency))) = (amount, start.try_get_attribute("Ccy")) {
        amount.currency = currency.value.into_owned();
    }
}

/// Text within an entry.
fn take(entry: Option<&mut Pending>, path: &[String], text: &str) {
    let Some(entry) = entry else { return };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let place = match path.as_slice() {
        ["Amt"] => &mut entry.whole.digits,
        ["CdtDbtInd"] => {
            entry.is_out = match text.trim() {
                "CRDT" => Some(false),
                "DBIT" => Some(true),
                _ => entry.is_out,
            };
            return;
        }
        ["BookgDt", "Dt" | "DtTm"] => &mut entry.date,
        ["NtryRef"] => &mut entry.own,
        ["NtryDtls", "TxDtls", rest @ ..] => {
            let Some(part) = entry.parts.last_mut() else { return };
            match rest {
                ["Amt"] => &mut part.booked.digits,
                ["AmtDtls", "TxAmt", "Amt"] => &mut part.detailed.digits,
                ["RmtInf", "Strd", "CdtrRefInf", "Ref"] => &mut part.creditors,
                ["Refs", "EndToEndId"] => &mut part.end_to_end,
                ["RmtInf", "Ustrd"] => &mut part.for_people,
                _ => return,
            }
        }
        _ => return,
    };
    place.push_str(text);
}

/// An entry has ended: it is a line, or each of its parts is.
fn close(number: u64, entry: Pending, lines: &mut Vec<BankLine>) -> Result<(), BankFault> {
    let Pending { whole, is_out, date, own, mut parts } = entry;
    let Some(is_out) = is_out else { return fault(number, "the entry does not say CRDT or DBIT") };
    for part in &mut parts {
        if part.booked.digits.is_empty() {
            part.booked = std::mem::take(&mut part.detailed);
        }
    }
    let is_line = |part: &Part| !part.booked.digits.is_empty() && part.booked.currency == whole.currency;
    if parts.len() < 2 || !parts.iter().all(is_line) {
        let first = parts.into_iter().next().unwrap_or_default();
        parts = vec![Part { booked: whole, ..first }];
    }
    for Part { booked, creditors, end_to_end, for_people, .. } in parts {
        let (amount_minor, currency) = money(number, booked.digits.trim(), &booked.currency)?;
        lines.push(BankLine {
            line: number,
            date: date.trim().to_owned(),
            amount_minor: if is_out { amount_minor.saturating_neg() } else { amount_minor },
            currency,
            references: references([&creditors, &end_to_end, &for_people, &own]),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn told(lines: Vec<BankLine>) -> Vec<(u64, i64, String)> {
        lines.into_iter().map(|line| (line.line, line.amount_minor, line.references.join("|"))).collect()
    }

    #[test]
    fn csv_is_read_with_either_delimiter_and_columns_in_any_order() {
        let comma =
            "date,Amount,currency,reference,else\n2026-01-02,12.50,eur,\"Till 2, slip 17\",x\n,-3,JPY,r,\n";
        let expected = vec![(2, 1250, "Till 2, slip 17".to_owned()), (3, -3, "r".to_owned())];
        assert_eq!(told(read_csv(comma).unwrap()), expected);
        let semicolon = "\u{feff}reference;currency;amount\r\nTill 2, slip 17;EUR;+12.50\r\nr;jpy;-3\r\n";
        assert_eq!(told(read_csv(semicolon).unwrap()), expected);
    }

    #[rstest]
    #[case("", "line 1: has no column 'amount'")]
    #[case("amount,currency\n", "line 1: has no column 'reference'")]
    #[case("amount,currency,reference\n1,EUR,a\n1.001,EUR,b\n", "line 3: 'amount'")]
    #[case("amount,currency,reference\n1,XYZ,a\n", "line 2: 'currency'")]
    #[case("amount,currency,reference\n1,EUR\n", "line 2: has 2 cells")]
    #[case("amount,currency,reference\n\"1,000.00\",EUR,a\n", "line 2: 'amount'")]
    fn what_is_wrong_with_csv_is_told(#[case] text: &str, #[case] expected: &str) {
        let error = read_csv(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    fn statement(entries: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\"><BkToCstmrStmt>\
             <Stmt><Ntry>{entries}</Ntry></Stmt></BkToCstmrStmt></Document>"
        )
    }

    #[test]
    fn camt053_is_read_entry_by_entry_and_part_by_part() {
        let one = "<NtryRef>own</NtryRef><Amt Ccy=\"EUR\">12.5</Amt><CdtDbtInd>CRDT</CdtDbtInd><BookgDt><Dt>2026-01-02</Dt>\
             </BookgDt><NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs><RmtInf><Ustrd>A &amp; B &#x31;\
             </Ustrd></RmtInf></TxDtls></NtryDtls>";
        let lines = read_camt053(&statement(one)).unwrap();
        assert_eq!(
            (lines[0].date.as_str(), told(lines.clone())),
            ("2026-01-02", vec![(1, 1250, "A & B 1|own".to_owned())])
        );
        let parts = "<Amt Ccy=\"EUR\">3</Amt><CdtDbtInd>DBIT</CdtDbtInd><NtryDtls>\
             <TxDtls><Refs><EndToEndId>x</EndToEndId></Refs><Amt Ccy=\"EUR\">1</Amt></TxDtls>\
             <TxDtls><Refs><EndToEndId>y</EndToEndId></Refs><Amt Ccy=\"EUR\">2</Amt></TxDtls></NtryDtls>";
        let two = read_camt053(&statement(&format!("{one}</Ntry><Ntry>{parts}"))).unwrap();
        let told = told(two);
        assert_eq!(told[1..], [(2, -100, "x".to_owned()), (2, -200, "y".to_owned())]);
    }

    #[test]
    fn camt053_of_early_versions_and_structured_references_are_read() {
        let details = |currency: &str| {
            format!(
                "<Amt Ccy=\"EUR\">10</Amt><CdtDbtInd>CRDT</CdtDbtInd><NtryDtls>\
                 <TxDtls><Refs><EndToEndId>x</EndToEndId></Refs><AmtDtls><TxAmt><Amt Ccy=\"{currency}\">4</Amt></TxAmt></AmtDtls>\
                 <RmtInf><Strd><CdtrRefInf><Ref>RF18</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>\
                 <TxDtls><AmtDtls><TxAmt><Amt Ccy=\"EUR\">6</Amt></TxAmt></AmtDtls></TxDtls></NtryDtls>"
            )
        };
        let read = |currency| told(read_camt053(&statement(&details(currency))).unwrap());
        assert_eq!(read("EUR"), [(1, 400, "RF18|x".to_owned()), (1, 600, String::new())]);
        // In a currency of its own a part does not add up to what was booked.
        assert_eq!(read("USD"), [(1, 1000, "RF18|x".to_owned())]);
    }

    #[test]
    fn what_is_no_statement_is_refused() {
        for (text, expected) in [
            (String::new(), "line 0: is no camt.053"),
            ("<a/>".to_owned(), "line 0: is no camt.053"),
            ("<a><b></a>".to_owned(), "line 0: is no well-formed XML"),
            ("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>".to_owned(), "line 0: has a DTD"),
            (statement("<Amt Ccy=\"EUR\">1</Amt>"), "line 1: the entry does not say"),
            (statement("<Amt Ccy=\"EUR\">x</Amt><CdtDbtInd>DBIT</CdtDbtInd>"), "line 1: 'amount'"),
            (statement("<Amt>1</Amt><CdtDbtInd>DBIT</CdtDbtInd>"), "line 1: 'currency'"),
            (statement("<NtryRef>&nbsp;</NtryRef>"), "line 1: names an entity"),
            (statement(&"<a>".repeat(100)), "line 1: is nested deeper"),
        ] {
            let error = read_camt053(&text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
