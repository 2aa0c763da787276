//! One movement in full: who, how much, what became of it.

use hyper::StatusCode;
use maud::{Markup, html};

use super::form::Filled;
use super::format::{self, Sign};
use super::history::{about, badge, party};
use super::shell::{self, Place};
use super::steps;
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::requests::link;
use crate::http::spec::Answer;
use crate::ledger::{Decline, PaymentId, PaymentRequestId, PaymentState, PaymentStatus, Transaction, UserId};

pub(super) async fn payment(call: Call) -> Answer {
    let mut query = call.query();
    let note = query.word("note");
    query.finish(())?;
    show_payment(&call, StatusCode::OK, &Filled::default(), note).await
}

/// The payment's page, after a step of it was refused.
pub(super) async fn show_refused(call: &Call, status: StatusCode, filled: &Filled) -> Answer {
    show_payment(call, status, filled, None).await
}

async fn show_payment(call: &Call, status: StatusCode, filled: &Filled, note: Option<&str>) -> Answer {
    let who = call.who()?;
    let payment = call.teller().payment(who, call.id()?).await?;
    let payment = payment.ok_or_else(|| Problem::new(Code::NotFound))?;
    let steps = call.teller().payment_steps(who, &payment).await?;
    let (first, seer) = (&*payment.first, who.user.id);
    let now = call.teller().clock().now();
    let id = PaymentId::from(first.id);
    let content = html! {
        p.crumb { a href="/console/history" { "History" } }
        @if let Some(done) = note.and_then(|note| done(note, first, payment.state)) { div.notice.good role="status" { p { (done) } } }
        h1 { (about(first, seer)) }
        (filled.summary(&["amount", "reason"]))
        div id="payment" data-live {
            (amount(first, payment.state.map_or(PaymentStatus::Declined, |state| state.status), seer))
            (facts(first, payment.state, seer, &id.to_string()))
            (steps::timeline(first, &steps, now))
            p { a href={ "/console/payments/" (id) "/receipt" } { "Receipt" } span.quiet.small { ", signed, with a proof that the ledger holds the payment" } }
        }
        (again(first, seer))
        (steps::forms(call, &payment, seer, filled)?)
    };
    shell::page_with(call, status, "Payment", Place::History, &content)
}

pub(super) async fn transaction(call: Call) -> Answer {
    let movement = call.teller().transaction(call.who()?, call.id()?).await?;
    let movement = movement.ok_or_else(|| Problem::new(Code::NotFound))?;
    let transaction = &movement.transaction;
    let is_declined = transaction.decline.is_some();
    let status = if is_declined { PaymentStatus::Declined } else { PaymentStatus::Succeeded };
    let (seer, now) = (call.who()?.user.id, call.teller().clock().now());
    let content = html! {
        p.crumb { a href="/console/history" { "History" } }
        h1 { (about(transaction, seer)) }
        (amount(transaction, status, seer))
        (facts(transaction, None, seer, &transaction.id.to_string()))
        (steps::timeline(transaction, &[], now))
    };
    shell::page(&call, "Movement", Place::History, &content)
}

/// What was just done, in a sentence.
fn done(note: &str, first: &Transaction, state: Option<PaymentState>) -> Option<Markup> {
    let status = state.map(|state| state.status)?;
    let payee = party(&first.to);
    Some(match (note, status) {
        (_, PaymentStatus::Declined) => return None,
        ("sent", PaymentStatus::PendingReview) => {
            html! { strong { "Held." } " An operator looks at it before " (payee) " has it." }
        }
        ("sent", PaymentStatus::Authorized) => {
            html! { strong { "Held" } " for " (payee) ", who captures it." }
        }
        ("sent", _) => html! { strong { "Sent." } " " (payee) " has it." },
        ("captured", _) => html! { strong { "Captured." } " It is in your wallet." },
        ("voided", _) => html! { strong { "Voided." } " The money is the payer's again." },
        ("refunded", _) => html! { strong { "Refunded." } },
        _ => return None,
    })
}

/// The sign that the amount of a payment has for one of its sides: none where nothing moved between them, or not yet.
pub(super) fn sign(transaction: &Transaction, status: PaymentStatus, seer: UserId) -> Sign {
    if status.is_held() || status.is_undone() {
        Sign::Plain
    } else if transaction.from.id == seer {
        Sign::Out
    } else {
        Sign::In
    }
}

fn amount(transaction: &Transaction, status: PaymentStatus, seer: UserId) -> Markup {
    let sign = sign(transaction, status, seer);
    html! {
        p.amount { (format::amount(transaction.money, sign)) " " (badge(status.name())) }
        @if let Some(decline) = transaction.decline { (declined(decline, transaction)) }
    }
}

fn declined(decline: Decline, transaction: &Transaction) -> Markup {
    let currency = transaction.money.currency();
    html! {
        div.notice.bad role="status" {
            @match decline {
                Decline::InsufficientFunds { available_minor } => {
                    p { strong { "Declined: not enough money." } " There was " (format::money(available_minor, currency, Sign::Plain)) ", and nothing has moved." }
                }
                Decline::Risk => {
                    p { strong { "Declined: a rule against fraud does not let it through." } " Nothing has moved. Ask the operator." }
                }
                Decline::Topup(failure) => {
                    p { strong { "The top-up failed" } " with “" (failure.name()) "”, as its method asks for. Nothing has moved." }
                }
            }
        }
    }
}

fn facts(transaction: &Transaction, state: Option<PaymentState>, seer: UserId, id: &str) -> Markup {
    let (memo, currency) = (&transaction.memo, transaction.money.currency());
    // What is usual needs no line: all of it was captured, and nothing went back.
    let captured = state.map(|state| state.captured_minor);
    let captured = captured.filter(|captured| *captured > 0 && *captured != transaction.money.amount_minor());
    let refunded = state.map(|state| state.refunded_minor).filter(|refunded| *refunded > 0);
    let request = memo.reference.parse::<PaymentRequestId>().ok();
    let balance = transaction.balance_after(seer);
    html! {
        dl.facts {
            dt { "From" } dd { (party(&transaction.from)) }
            dt { "To" } dd { (party(&transaction.to)) }
            @if !memo.description.is_empty() { dt { "Note" } dd { (memo.description) } }
            @if let Some(request) = request {
                dt { "Asked for by" } dd { a href=(link(request, "")) { "a payment request" } }
            } @else if !memo.reference.is_empty() {
                dt { "Reference" } dd { (memo.reference) }
            }
            @for (key, value) in metadata(&memo.metadata) { dt { (key) } dd { (value) } }
            @if let Some(captured) = captured { dt { "Captured" } dd { (format::money(captured, currency, Sign::Plain)) } }
            @if let Some(refunded) = refunded { dt { "Refunded" } dd { (format::money(refunded, currency, Sign::Plain)) } }
            @if let Some(balance) = balance { dt { "Balance after" } dd { (format::money(balance, currency, Sign::Plain)) } }
            dt { "Id" } dd { code.id data-copy { (id) } }
        }
    }
}

pub(super) fn metadata(text: &str) -> Vec<(String, String)> {
    let pairs: std::collections::BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
    pairs.into_iter().collect()
}

/// The way to pay the same once more.
fn again(transaction: &Transaction, seer: UserId) -> Markup {
    let is_offered =
        transaction.from.id == seer && transaction.decline.is_none() && transaction.to.id != UserId::HOUSE;
    html! {
        @if is_offered { div.actions { a.button.second href=(again_address(transaction)) { "Send again" } } }
    }
}

fn again_address(transaction: &Transaction) -> String {
    let (to, amount) = (transaction.to.id.to_string(), transaction.money.to_string());
    let fields =
        [("to", to.as_str()), ("amount", &amount), ("currency", transaction.money.currency().code())];
    crate::http::reply::query_string("/console/send", fields.into_iter())
}
