//! Reconciliation: a bank's file beside the ledger's deposits and withdrawals.

use std::ops::Range;

use hyper::StatusCode;
use serde::Serialize;

use super::call::Call;
use super::extract::is_one_of;
use super::problem::Problem;
use super::reply;
use super::spec::{Answer, File};
use super::views::{Text, text_or_null};
use crate::books::bank::{self, BankLine};
use crate::books::reconciliation::{Booking, Reconciliation, reconcile};
use crate::ledger::{Balance, Currency, MovementType, Timestamp, Transaction, TransactionId};

/// What a bank file may be declared as, and how one looks.
pub(super) const FILES: &[File] = &[
    File {
        media: CSV,
        example: "date,amount,currency,reference\n2026-01-31,50.00,EUR,\"Till 2, slip 17\"\n2026-01-31,-20.00,EUR,\"Till 2, slip 18\"\n",
    },
    File { media: "application/xml", example: CAMT053 },
    File { media: "text/xml", example: CAMT053 },
];
const CAMT053: &str = "<?xml version=\"1.0\"?>\n\
    <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\"><BkToCstmrStmt><Stmt>\n\
    <Ntry><Amt Ccy=\"EUR\">50.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><BookgDt><Dt>2026-01-31</Dt></BookgDt>\n\
    <NtryDtls><TxDtls><Refs><EndToEndId>Till 2, slip 17</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>\n\
    </Stmt></BkToCstmrStmt></Document>\n";
const CSV: &str = "text/csv";

#[derive(Serialize)]
struct ReconciliationView<'a> {
    counts: CountsView,
    matched: Vec<PairView<'a>>,
    differing: Vec<PairView<'a>>,
    missing: Vec<LineView<'a>>,
    extra: Vec<BookingView<'a>>,
}

#[derive(Serialize)]
struct CountsView {
    lines: usize,
    matched: usize,
    differing: usize,
    missing: usize,
    extra: usize,
}

#[derive(Serialize)]
struct PairView<'a> {
    bank: LineView<'a>,
    ledger: BookingView<'a>,
}

#[derive(Serialize)]
struct LineView<'a> {
    line: u64,
    date: Option<&'a str>,
    amount: Text<Balance>,
    currency: Currency,
    reference: Option<&'a str>,
}

#[derive(Serialize)]
struct BookingView<'a> {
    transaction: TransactionId,
    amount: Text<Balance>,
    currency: Currency,
    reference: Option<&'a str>,
}

impl<'a> LineView<'a> {
    fn new(told: &'a BankLine) -> Self {
        let BankLine { line, date, amount_minor, currency, .. } = told;
        Self {
            line: *line,
            date: text_or_null(date),
            amount: Text(Balance { amount_minor: *amount_minor, currency: *currency }),
            currency: *currency,
            reference: text_or_null(told.reference()),
        }
    }
}

impl<'a> BookingView<'a> {
    fn new(booking: &'a Booking) -> Self {
        let Booking { transaction, amount_minor, currency, reference, .. } = booking;
        Self {
            transaction: *transaction,
            amount: Text(Balance { amount_minor: *amount_minor, currency: *currency }),
            currency: *currency,
            reference: text_or_null(reference),
        }
    }
}

pub(super) async fn make(call: Call) -> Answer {
    let mut query = call.query();
    query.require("from");
    query.require("to");
    let period = query.from("from").zip(query.until("to"));
    query.finish(())?;
    let (from, to) = period.ok_or_else(|| Problem::internal("a period was refused without an error"))?;
    let is_csv = is_one_of(&call.headers, &[CSV]);
    let text = std::str::from_utf8(&call.body)
        .map_err(|_| Problem::field("body", "bank_file", "must be UTF-8; save the file as such"))?;
    let lines = read("body", text, is_csv)?;
    let Compared { lines, bookings, found } = compare(&call, lines, from..to).await?;
    let line = |place: &usize| lines.get(*place).map(LineView::new);
    let booking = |place: &usize| bookings.get(*place).map(BookingView::new);
    let pair = |(of_bank, of_ledger): &(usize, usize)| {
        Some(PairView { bank: line(of_bank)?, ledger: booking(of_ledger)? })
    };
    let view = ReconciliationView {
        counts: CountsView {
            lines: lines.len(),
            matched: found.matched.len(),
            differing: found.differing.len(),
            missing: found.missing.len(),
            extra: found.extra.len(),
        },
        matched: found.matched.iter().filter_map(pair).collect(),
        differing: found.differing.iter().filter_map(pair).collect(),
        missing: found.missing.iter().filter_map(line).collect(),
        extra: found.extra.iter().filter_map(booking).collect(),
    };
    Ok(reply::json(StatusCode::OK, &view))
}

/// A bank's file beside the ledger's cash; what was found tells places in the two.
pub(crate) struct Compared {
    /// The bank's.
    pub(crate) lines: Vec<BankLine>,
    /// The ledger's.
    pub(crate) bookings: Vec<Booking>,
    /// What is the same, what differs, and what only one side has.
    pub(crate) found: Reconciliation,
}

/// Compares a bank's lines with the ledger's cash of a period.
///
/// # Errors
/// Faults of the store.
pub(crate) async fn compare(
    call: &Call,
    lines: Vec<BankLine>,
    period: Range<Timestamp>,
) -> Result<Compared, Problem> {
    let cash = call.teller().cash_around(call.who()?, period.start, period.end).await?;
    let bookings: Vec<Booking> =
        cash.iter().map(|movement| booked(&movement.transaction, period.clone())).collect();
    let found = reconcile(&lines, &bookings);
    Ok(Compared { lines, bookings, found })
}

fn booked(transaction: &Transaction, period: Range<Timestamp>) -> Booking {
    let minor = transaction.money.amount_minor();
    let is_out = transaction.movement() == Some(MovementType::Withdrawal);
    Booking {
        transaction: transaction.id,
        amount_minor: if is_out { minor.saturating_neg() } else { minor },
        currency: transaction.money.currency(),
        reference: transaction.memo.reference.clone(),
        is_of_period: period.contains(&transaction.created_at),
    }
}

/// The lines of a bank's file, which a field of that name holds.
///
/// # Errors
/// 422 if it cannot be read.
pub(crate) fn read(field: &'static str, text: &str, is_csv: bool) -> Result<Vec<BankLine>, Problem> {
    let lines = if is_csv { bank::read_csv(text) } else { bank::read_camt053(text) };
    lines.map_err(|fault| Problem::field(field, "bank_file", &fault.to_string()))
}
