//! Reconciliation: a bank's file beside the ledger's deposits and withdrawals. Nothing is changed by it.

use hyper::StatusCode;
use maud::{Markup, html};

use super::short_id;
use crate::books::bank::BankLine;
use crate::books::reconciliation::Booking;
use crate::console::form::{Filled, Input};
use crate::console::format::{self, Sign};
use crate::console::shell::{self, Place};
use crate::http::call::Call;
use crate::http::extract::parse_end;
use crate::http::problem::Problem;
use crate::http::reconciliations::{Compared, read};
use crate::http::spec::Answer;
use crate::ledger::Timestamp;

const FROM: Input = Input { kind: "date", ..Input::text("from", "From", "").required() };
const TO: Input = Input { kind: "date", ..Input::text("to", "To", "").required() };
const FILE: Input = Input {
    kind: "file",
    ..Input::text(
        "file",
        "The bank’s file",
        "CSV with the columns amount, currency and reference, or camt.053; at most 10 MB.",
    )
    .required()
};
/// How many rows of a kind the page shows.
const MOST_SHOWN: usize = 500;

pub(super) async fn page(call: Call) -> Answer {
    show(&call, StatusCode::OK, &Filled::default(), None)
}

pub(super) async fn compare(call: Call) -> Answer {
    // The file is not given back: what was typed is.
    let sent = Filled::sent(&call);
    let filled = Filled::with(&[("from", sent.value("from")), ("to", sent.value("to"))]);
    match look(&call).await {
        Ok(compared) => show(&call, StatusCode::OK, &filled, Some(&compared)),
        Err(problem) => show(&call, problem.code().entry().status, &filled.wrong(&problem), None),
    }
}

async fn look(call: &Call) -> Result<Compared, Problem> {
    let mut form = call.form()?;
    let file = form.secret("file");
    let (from, to) = (form.moment("from"), until(&mut form));
    let (file, period) = form.finish(file.zip(from.zip(to)))?;
    let is_csv = !file.trim_start().starts_with('<');
    let lines = read("file", &file, is_csv)?;
    crate::http::reconciliations::compare(call, lines, period.0..period.1).await
}

/// The end of the day that the field names.
fn until(form: &mut crate::http::extract::Form<'_>) -> Option<Timestamp> {
    let text = form.secret("to")?;
    let until = parse_end(&text);
    if until.is_none() {
        form.refuse("to", "invalid_time", "must be a date such as 2026-01-31");
    }
    until
}

fn show(call: &Call, status: StatusCode, filled: &Filled, compared: Option<&Compared>) -> Answer {
    let content = html! {
        h1 { "Reconciliation" }
        p.lead { "A bank’s file beside the ledger’s deposits and withdrawals. Nothing is changed by it." }
        (filled.summary(&["from", "to", "file"]))
        form method="post" action="/console/desk/reconciliation" enctype="multipart/form-data" {
            (shell::form_token(call)?)
            div.pair { (FROM.show(filled)) (TO.show(filled)) }
            (FILE.show(filled))
            div.actions { button.button type="submit" { "Compare" } }
        }
        @if let Some(compared) = compared { (result(compared)) }
    };
    shell::page_with(call, status, "Reconciliation", Place::Reconciliation, &content)
}

fn result(compared: &Compared) -> Markup {
    let Compared { lines, bookings, found } = compared;
    let is_clean = found.differing.is_empty() && found.missing.is_empty() && found.extra.is_empty();
    let rows = |pairs: &[(usize, usize)]| -> Vec<(Option<BankLine>, Option<Booking>)> {
        pairs
            .iter()
            .map(|(line, booking)| (lines.get(*line).cloned(), bookings.get(*booking).cloned()))
            .collect()
    };
    let of_bank = found.missing.iter().map(|line| (lines.get(*line).cloned(), None)).collect::<Vec<_>>();
    let of_ledger =
        found.extra.iter().map(|booking| (None, bookings.get(*booking).cloned())).collect::<Vec<_>>();
    html! {
        section id="result" {
            h2 { "What came of it" }
            @if is_clean { div.notice.good role="status" { p { "All " (lines.len()) " lines of the bank are in the ledger, and nothing else is." } } }
            @else { div.notice.wait role="status" { p { (found.matched.len()) " of " (lines.len()) " lines are the same on both sides. Look at the others." } } }
            (table("Differing", "Same reference, another amount.", &rows(&found.differing)))
            (table("Missing", "In the bank’s file and not in the ledger.", &of_bank))
            (table("Extra", "In the ledger and not in the bank’s file.", &of_ledger))
            details { summary { "Matched: " (found.matched.len()) } (table("Matched", "The same on both sides.", &rows(&found.matched))) }
        }
    }
}

fn table(title: &str, about: &str, rows: &[(Option<BankLine>, Option<Booking>)]) -> Markup {
    html! {
        @if !rows.is_empty() {
            h3 { (title) ": " (rows.len()) }
            p.quiet.small { (about) }
            div.scrolled tabindex="0" role="region" aria-label=(title) {
                table.rows {
                    thead { tr { th scope="col" { "Reference" } th scope="col" { "Date" } th.end scope="col" { "Bank" } th.end scope="col" { "Ledger" } th.end scope="col" { "Where" } } }
                    tbody {
                        @for (line, booking) in rows.iter().take(MOST_SHOWN) {
                            tr {
                                th scope="row" { (booking.as_ref().map(|booking| booking.reference.as_str()).or(line.as_ref().map(BankLine::reference)).unwrap_or_default()) }
                                td { (line.as_ref().map_or("", |line| line.date.as_str())) }
                                td.end { @if let Some(line) = line { (format::money(line.amount_minor, line.currency, Sign::Plain)) } }
                                td.end { @if let Some(booking) = booking { (format::money(booking.amount_minor, booking.currency, Sign::Plain)) } }
                                td.end {
                                    @if let Some(line) = line { "line " (line.line) } @else if let Some(booking) = booking { (short_id(&booking.transaction.to_string())) }
                                }
                            }
                        }
                    }
                }
            }
            @if rows.len() > MOST_SHOWN { p.quiet { "The first " (MOST_SHOWN) " of them; the API gives all: " code { "POST /admin/reconciliations" } "." } }
        }
    }
}
