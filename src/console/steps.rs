//! The life of a payment on its page: what happened to it so far, and what its payee can do next.

use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use maud::{Markup, html};

use super::form::{Filled, Input};
use super::format::{self, Sign};
use super::payments::show_refused;
use super::{once, reply, shell};
use crate::http::call::Call;
use crate::http::payments::{read_capture, read_refund, receipt as signed, settle};
use crate::http::problem::{Code, Problem};
use crate::http::spec::Answer;
use crate::ledger::{
    Balance, Hold, Move, PaymentId, Settlement, Stage, Timestamp, Transaction, TransactionKind, UserId,
};
use crate::teller::PaymentNow;

const AMOUNT: Input = Input::amount();
const REASON: Input = Input::text("reason", "Reason", "They see it.");

/// What happened, oldest first.
pub(super) fn timeline(first: &Transaction, steps: &[std::sync::Arc<Transaction>], now: Timestamp) -> Markup {
    html! {
        h2 { "Timeline" }
        ol.timeline {
            (event(&html! { (begun(first)) }, first.created_at, now))
            @for step in steps { (event(&stepped(step), step.created_at, now)) }
        }
    }
}

fn event(what: &Markup, at: Timestamp, now: Timestamp) -> Markup {
    html! { li { strong { (what) } " " (format::time(at, now)) br; span.quiet.small { (format::exact(at)) } } }
}

fn begun(first: &Transaction) -> &'static str {
    match first.stage {
        _ if first.decline.is_some() => "Declined",
        Stage::Held(Hold::ForCapture) => "Authorised: the money is held until it is captured",
        Stage::Held(Hold::ForReview) => "Held: an operator looks at it first",
        Stage::Whole | Stage::Step(_) => "Paid, durable in the ledger",
    }
}

fn stepped(step: &Transaction) -> Markup {
    let amount = || format::amount(step.money, Sign::Plain);
    let reason = step.stage.step().map_or("", |step| step.note.as_str());
    html! {
        @match step.kind {
            TransactionKind::Capture => { "Captured " (amount()) }
            TransactionKind::Void => { "Voided: what was held is released" }
            TransactionKind::Expiry => { "Expired: what was held is released" }
            TransactionKind::Approval => { "Looked at by an operator, and let through" }
            TransactionKind::Rejection => { "Looked at by an operator, and stopped" }
            TransactionKind::Refund if step.decline.is_some() => { "A refund of " (amount()) " was declined: there was too little money" }
            TransactionKind::Refund => { "Refunded " (amount()) @if !reason.is_empty() { ": " (reason) } }
            TransactionKind::Payment | TransactionKind::Topup | TransactionKind::Grant | TransactionKind::Deposit | TransactionKind::Withdrawal => { "Moved" }
        }
    }
}

/// What the payee can do with the payment as it stands.
///
/// # Errors
/// If there is no randomness.
pub(super) fn forms(
    call: &Call,
    payment: &PaymentNow,
    seer: UserId,
    filled: &Filled,
) -> Result<Markup, Problem> {
    let Some(state) = payment.state.filter(|_| payment.first.to.id == seer) else { return Ok(html! {}) };
    let currency = payment.first.money.currency();
    let address = format!("/console/payments/{}", PaymentId::from(payment.first.id));
    let whole = |amount_minor| filled.or("amount", &Balance { amount_minor, currency }.to_string());
    let hidden = html! { (shell::form_token(call)?) (once::field(call, filled)?) };
    Ok(html! {
        @if state.status.allows(Move::Capture) {
            section {
                h2 { "Capture it" }
                p.quiet { "Once, in whole or in part; the rest goes back to the payer." }
                form method="post" action={ (address) "/capture" } novalidate data-once {
                    (hidden) (AMOUNT.show(&whole(payment.first.money.amount_minor())))
                    div.actions { button.button type="submit" { "Capture" } }
                }
            }
        }
        @if state.status.allows(Move::Void) {
            section {
                h2 { "Void it" }
                p.quiet { "Everything goes back to the payer, and nothing is paid." }
                form method="post" action={ (address) "/void" } data-once {
                    (hidden)
                    div.actions { button.button.danger type="submit" { "Void" } }
                }
            }
        }
        @if state.status.allows(Move::Refund) {
            section {
                h2 { "Refund it" }
                p.quiet { "In whole or in part, from your wallet." }
                form method="post" action={ (address) "/refund" } novalidate data-once {
                    (hidden) (AMOUNT.show(&whole(state.refundable_minor()))) (REASON.show(filled))
                    div.actions { button.button.second type="submit" { "Refund" } }
                }
            }
        }
    })
}

pub(super) async fn capture(call: Call) -> Answer {
    take(&call, read_capture(&call), "captured").await
}

pub(super) async fn void(call: Call) -> Answer {
    let read = call.form()?.finish(Some(Settlement::Void));
    take(&call, read, "voided").await
}

pub(super) async fn refund(call: Call) -> Answer {
    take(&call, read_refund(&call), "refunded").await
}

/// Takes the payment the step that was read, once however often its form is sent.
async fn take(call: &Call, read: Result<Settlement, Problem>, note: &str) -> Answer {
    let id: PaymentId = call.id()?;
    let taken = match read {
        Ok(settlement) => settle(call, settlement, Some(once::key(call, &["amount", "reason"])?)).await,
        Err(problem) => Err(problem),
    };
    match taken {
        Ok(_) => Ok(reply::see_other(&format!("/console/payments/{id}?note={note}"))),
        Err(problem) if problem.code() == Code::NotFound => Err(problem),
        Err(problem) => {
            let status: StatusCode = problem.code().entry().status;
            // What was declined has used its key up: the next try is another.
            let is_kept = problem.code() == Code::InsufficientFunds;
            let filled =
                if is_kept { Filled::default().wrong(&problem) } else { Filled::refused(call, &problem) };
            show_refused(call, status, &filled).await
        }
    }
}

/// The payment's signed receipt, as a file.
pub(super) async fn receipt(call: Call) -> Answer {
    let id: PaymentId = call.id()?;
    let mut reply = signed(call).await?;
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"receipt-{id}.json\"")) {
        reply.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(reply)
}
