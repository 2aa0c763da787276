//! Everybody's payments: searched as the API's operators search them, and one in full with the moves that are legal now.

use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::reviews::{decision, hits};
use super::{ROWS, done, may, person, user_link};
use crate::auth::permission::Permission;
use crate::console::form::{Filled, Input, any_word, select};
use crate::console::format::{self, Sign};
use crate::console::history::{badge, pager, sentence};
use crate::console::shell::{self, Place};
use crate::console::{once, reply};
use crate::http::call::Call;
use crate::http::payments::{read_refund, settle};
use crate::http::problem::{Code, Problem};
use crate::http::search;
use crate::http::spec::Answer;
use crate::http::transactions::STATUSES;
use crate::ledger::{
    Capture, Decline, Hold, Move, PaymentId, PaymentState, PaymentStatus, Settlement, Stage, Timestamp,
    Transaction, TransactionKind, UserId,
};
use crate::store::{Page, PageRequest};
use crate::teller::PaymentNow;

const SEARCH: Input = Input { kind: "search", ..Input::text("q", "Payment id", "") };
const USER: Input = Input::text("user", "User id", "");
const CURRENCY: Input = Input::text("currency", "Currency", "");
const COUNTERPARTY: Input = Input::text("counterparty", "Party", "");
const REFERENCE: Input = Input::text("reference", "Reference", "");
const LEAST: Input = Input { inputmode: Some("decimal"), ..Input::text("min_amount", "At least", "") };
const MOST: Input = Input { inputmode: Some("decimal"), ..Input::text("max_amount", "At most", "") };
const FROM: Input = Input { kind: "date", ..Input::text("from", "From", "") };
const TO: Input = Input { kind: "date", ..Input::text("to", "To", "") };
const KEY: Input = Input::text("metadata_key", "Metadata key", "");
const VALUE: Input = Input::text("metadata_value", "Metadata value", "");
const AMOUNT: Input = Input {
    inputmode: Some("decimal"),
    ..Input::text("amount", "Amount", "Everything that is left, if you leave this empty.")
};
const REASON: Input = Input::text("reason", "Reason", "Both sides see it.");

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let pairs = query.pairs();
    let named = query.text("q").and_then(|text| text.trim().parse::<PaymentId>().ok());
    if let Some(payment) = named {
        return Ok(reply::see_other(&format!("/console/desk/payments/{payment}")));
    }
    if pairs.iter().any(|(name, _)| *name == "q") {
        query.refuse(
            "q",
            "invalid_id",
            "must be the id of a payment, such as pay_01h455vb4pex5vsknk084sn02q",
        );
    }
    let page = PageRequest { limit: ROWS, after: query.after() };
    let user = query.id::<UserId>("user");
    let search = search::read(&mut query);
    let values: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let mut filled = Filled::with(&values);
    let payments = match query.finish(search) {
        Ok(search) => {
            call.teller().find_payments(call.who()?, call.origin.clone(), user, search, page).await?
        }
        Err(problem) => {
            filled = filled.wrong(&problem);
            Page { rows: Vec::new(), next: None }
        }
    };
    let now = call.teller().clock().now();
    let content = html! {
        h1 { "Payments" }
        (filters(&filled))
        div id="payments" data-live {
            @if payments.rows.is_empty() { (nothing(pairs.is_empty(), payments.next.is_some())) }
            @else { (table(&payments.rows, now)) }
        }
        (pager("/console/desk/payments", &pairs, page.after.is_some(), payments.next))
    };
    shell::page(&call, "Payments", Place::Payments, &content)
}

fn nothing(is_all: bool, goes_on: bool) -> Markup {
    html! {
        div.empty {
            @if is_all {
                p { "Nobody has paid anybody yet." }
                p { "The first payment shows up here as it happens; your own are not listed." }
            } @else if goes_on {
                p { "No payment is like that among the newest." } p { "Look at older ones below." }
            } @else {
                p { "No payment is like that." } p { a href="/console/desk/payments" { "Show all of them" } }
            }
        }
    }
}

fn filters(filled: &Filled) -> Markup {
    let more = [CURRENCY, USER, REFERENCE, LEAST, MOST, KEY, VALUE];
    let is_open = more.iter().any(|input| !filled.value(input.name).is_empty());
    html! {
        form.filters method="get" action="/console/desk/payments" role="search" aria-label="Payments" {
            (SEARCH.show(filled))
            (COUNTERPARTY.show(filled))
            (select(filled, "status", "Status", any_word(STATUSES)))
            (FROM.show(filled)) (TO.show(filled))
            details.more open[is_open] {
                summary { "More" }
                div { @for input in more { (input.show(filled)) } }
            }
            div.actions { button.button.second type="submit" { "Show" } }
        }
    }
}

/// Payments as somebody reads them who is no party to them.
pub(super) fn table(payments: &[PaymentNow], now: Timestamp) -> Markup {
    html! {
        table.rows {
            thead { tr { th scope="col" { "From and to" } th.wide scope="col" { "Status" } th.wide scope="col" { "When" } th.end scope="col" { "Amount" } } }
            tbody { @for payment in payments { (row(payment, now)) } }
        }
    }
}

fn row(payment: &PaymentNow, now: Timestamp) -> Markup {
    let first = &*payment.first;
    let status = status_of(payment.state);
    let id = PaymentId::from(first.id);
    html! {
        tr.declined[first.decline.is_some()] {
            th scope="row" {
                (person(&first.from)) " → " (person(&first.to))
                @if !first.memo.description.is_empty() { p.note { (first.memo.description) } }
                p.note.slim { (badge(status.name())) " " (format::time(first.created_at, now)) }
            }
            td.wide { (badge(status.name())) }
            td.wide { (format::time(first.created_at, now)) }
            td.end { a href={ "/console/desk/payments/" (id) } { (format::amount(first.money, Sign::Plain)) } }
        }
    }
}

fn status_of(state: Option<PaymentState>) -> PaymentStatus {
    state.map_or(PaymentStatus::Declined, |state| state.status)
}

pub(super) async fn payment(call: Call) -> Answer {
    let mut query = call.query();
    let told = match query.word("note") {
        Some("refunded") => Some("The money went back."),
        Some("voided") => Some("What was held is the payer's again."),
        _ => None,
    };
    query.finish(())?;
    show(&call, StatusCode::OK, &Filled::default(), told).await
}

async fn show(call: &Call, status: StatusCode, filled: &Filled, told: Option<&str>) -> Answer {
    let id: PaymentId = call.id()?;
    let found = call.teller().find_payment(call.who()?, call.origin.clone(), id).await?;
    let payment = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    let review = call.teller().review(id).await.map_err(crate::teller::TellerError::from)?;
    let steps = call.teller().steps_of(&payment).await?;
    let first = &*payment.first;
    let state = status_of(payment.state);
    let now = call.teller().clock().now();
    let content = html! {
        p.crumb { a href="/console/desk/payments" { "Payments" } }
        h1 { "Payment" }
        (done(told))
        (filled.summary(&["amount", "reason", "note"]))
        div id="payment" data-live {
            p.amount { (format::amount(first.money, Sign::Plain)) " " (badge(state.name())) }
            (facts(&payment, id, now))
            (timeline(first, &steps, now))
        }
        @if let Some(review) = review.filter(|_| state == PaymentStatus::PendingReview) {
            section { h2 { "Why it waits" } (hits(&review)) }
        }
        (moves(call, &payment, id, filled)?)
    };
    shell::page_with(call, status, "Payment", Place::Payments, &content)
}

fn facts(payment: &PaymentNow, id: PaymentId, now: Timestamp) -> Markup {
    let first = &*payment.first;
    let currency = first.money.currency();
    html! {
        dl.facts {
            dt { "From" } dd { (person(&first.from)) }
            dt { "To" } dd { (person(&first.to)) }
            dt { "Made" } dd { (format::time(first.created_at, now)) " · " span.quiet { (format::exact(first.created_at)) } }
            @if let Some(decline) = first.decline { dt { "Declined" } dd { (why(decline, first)) } }
            @if first.capture == Capture::Manual { dt { "Capture" } dd { "By the payee" } }
            @if let Some(state) = payment.state {
                @if state.captured_minor > 0 && (state.captured_minor != first.money.amount_minor() || state.refunded_minor > 0) {
                    dt { "Captured" } dd { (format::money(state.captured_minor, currency, Sign::Plain)) }
                }
                @if state.refunded_minor > 0 { dt { "Given back" } dd { (format::money(state.refunded_minor, currency, Sign::Plain)) } }
            }
            @if !first.memo.description.is_empty() { dt { "Note" } dd { (first.memo.description) } }
            @if !first.memo.reference.is_empty() { dt { "Reference" } dd { (first.memo.reference) } }
            @for (key, value) in crate::console::payments::metadata(&first.memo.metadata) { dt { (key) } dd { (value) } }
            dt { "Id" } dd { code.id data-copy { (id) } }
        }
    }
}

/// What happened to the payment, oldest first: who did it, and why.
fn timeline(first: &Transaction, steps: &[Arc<Transaction>], now: Timestamp) -> Markup {
    let begun = match first.stage {
        _ if first.decline.is_some() => "Declined",
        Stage::Held(Hold::ForReview) => "Held for review",
        Stage::Held(Hold::ForCapture) => "Authorised",
        Stage::Whole | Stage::Step(_) => "Paid",
    };
    html! {
        h2 { "Timeline" }
        ol.timeline {
            li { strong { (begun) } " " (format::time(first.created_at, now)) }
            @for step in steps {
                li {
                    strong { (stepped(step)) } " " (format::amount(step.money, Sign::Plain)) " " (format::time(step.created_at, now))
                    @if step.decline.is_some() { " " (badge("declined")) }
                    br;
                    span.quiet.small {
                        @match step.actor { Some(actor) => { "by " (user_link(actor, None)) } None => { "by itself" } }
                        @if let Some(note) = step.stage.step().map(|step| &step.note).filter(|note| !note.is_empty()) { ": “" (note) "”" }
                    }
                }
            }
        }
    }
}

fn stepped(step: &Transaction) -> &'static str {
    match step.kind {
        TransactionKind::Capture => "Captured",
        TransactionKind::Void => "Voided",
        TransactionKind::Expiry => "Expired",
        TransactionKind::Approval => "Let through",
        TransactionKind::Rejection => "Stopped",
        TransactionKind::Refund => "Refund",
        TransactionKind::Payment
        | TransactionKind::Topup
        | TransactionKind::Grant
        | TransactionKind::Deposit
        | TransactionKind::Withdrawal => "Moved",
    }
}

fn why(decline: Decline, first: &Transaction) -> Markup {
    html! {
        @match decline {
            Decline::InsufficientFunds { available_minor } => { "Not enough money: there was " (format::money(available_minor, first.money.currency(), Sign::Plain)) }
            Decline::Risk => { "A rule against fraud" }
            Decline::Topup(failure) => { (sentence(failure.name())) }
        }
    }
}

/// The moves that the payment's state and the caller's role allow.
fn moves(call: &Call, payment: &PaymentNow, id: PaymentId, filled: &Filled) -> Result<Markup, Problem> {
    let state = status_of(payment.state);
    let token = html! { (shell::form_token(call)?) (once::field(call, &Filled::default())?) };
    let may_refund = may(call, Permission::RefundAny);
    let left = payment.state.map_or(0, |state| state.refundable_minor());
    let currency = payment.first.money.currency();
    Ok(html! {
        @if state.allows(Move::Approve) && may(call, Permission::ReviewPayments) {
            section { h2 { "Decide" } (decision(&id.to_string(), &token, Some(filled))) }
        }
        @if state.allows(Move::Refund) && may_refund {
            section {
                h2 { "Give back" }
                p { (format::money(left, currency, Sign::Plain)) " can go back to the payer." }
                form method="post" action={ "/console/desk/payments/" (id) "/refund" } novalidate data-once {
                    (token)
                    div.pair { (AMOUNT.show(filled)) (REASON.show(filled)) }
                    div.actions { button.button.danger type="submit" { "Refund" } }
                }
            }
        }
        @if state.allows(Move::Void) && may_refund {
            section {
                h2 { "Release" }
                p { "The money is held until the payee captures it. Releasing gives it back to the payer." }
                form method="post" action={ "/console/desk/payments/" (id) "/void" } data-once {
                    (token) div.actions { button.button.danger type="submit" { "Void" } }
                }
            }
        }
    })
}

pub(super) async fn refund(call: Call) -> Answer {
    let settled = match read_refund(&call) {
        Ok(refund) => settle(&call, refund, Some(once::key(&call, &["amount", "reason"])?)).await,
        Err(problem) => Err(problem),
    };
    finish(&call, settled.map(|_| ()), "refunded").await
}

pub(super) async fn void(call: Call) -> Answer {
    let settled = settle(&call, Settlement::Void, Some(once::key(&call, &[])?)).await;
    finish(&call, settled.map(|_| ()), "voided").await
}

async fn finish(call: &Call, settled: Result<(), Problem>, word: &str) -> Answer {
    match settled {
        Ok(()) => {
            let id = call.path_parameter();
            Ok(reply::see_other(&format!("/console/desk/payments/{id}?note={word}")))
        }
        Err(problem) => {
            show(call, problem.code().entry().status, &Filled::refused(call, &problem), None).await
        }
    }
}
