//! Payments: make one, list one's own, look at one.

use hyper::StatusCode;
use hyper::header::HeaderValue;

use super::call::Call;
use super::extract::{Cursor, Recipient};
use super::problem::{Code, Problem, REPLAYED};
use super::reply::{self, List, Reply};
use super::spec::Answer;
use super::views::PaymentView;
use crate::ledger::{IdempotencyKey, Memo, Refusal, TransactionKind};
use crate::store::{HistoryFilter, PageRequest};
use crate::telemetry::PaymentOutcome;
use crate::teller::{self, PayRequest, TellerError};

pub(super) async fn pay(call: Call) -> Answer {
    let request = read_payment(&call, call.idempotency_key()?)?;
    let answer = pay_and_count(&call, request).await?;
    let reply = reply::json(StatusCode::CREATED, &PaymentView::new(&answer.transaction));
    Ok(mark_replay(reply, answer.replayed))
}

/// Pays, and counts how it went.
///
/// # Errors
/// Every refusal of a payment.
pub(crate) async fn pay_and_count(call: &Call, request: PayRequest) -> Result<teller::Answer, Problem> {
    let paid = call.teller().pay(call.who()?, call.origin.clone(), request).await;
    call.app.telemetry().engine().payment(outcome(&paid));
    Ok(paid?)
}

/// The payment that somebody wants to make.
///
/// # Errors
/// 422 with every wrong field.
pub(crate) fn read_payment(call: &Call, key: Option<IdempotencyKey>) -> Result<PayRequest, Problem> {
    let mut form = call.form()?;
    let money = form.money("amount", "currency");
    let to = match form.recipient("to") {
        None | Some(Recipient::House) => teller::Recipient::House,
        Some(Recipient::User(id)) => teller::Recipient::Id(id),
        Some(Recipient::Email(email)) => teller::Recipient::Email(email),
    };
    let memo = Memo {
        description: form.text("description").unwrap_or_default(),
        reference: form.text("reference").unwrap_or_default(),
        metadata: form.metadata("metadata").unwrap_or_default(),
    };
    if form.word("capture") == Some("manual") {
        form.refuse("capture", "unsupported", "must be \"automatic\": this version does not hold payments");
    }
    let money = form.finish(money)?;
    Ok(PayRequest { to, money, memo, key })
}

/// Says that an answer is the first one to its key, given again.
pub(super) fn mark_replay(mut reply: Reply, replayed: bool) -> Reply {
    if replayed {
        reply.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    reply
}

fn outcome(paid: &Result<teller::Answer, TellerError>) -> PaymentOutcome {
    match paid {
        Ok(answer) if answer.replayed => PaymentOutcome::Replayed,
        Ok(_) => PaymentOutcome::Succeeded,
        Err(TellerError::Refused { replayed: true, .. }) => PaymentOutcome::Replayed,
        Err(TellerError::Refused { refusal: Refusal::InsufficientFunds { .. }, .. }) => {
            PaymentOutcome::Declined
        }
        Err(TellerError::Refused { refusal: Refusal::DuplicatePayment { .. }, .. }) => {
            PaymentOutcome::Duplicate
        }
        Err(TellerError::Refused { .. }) => PaymentOutcome::Refused,
        Err(_) => PaymentOutcome::Failed,
    }
}

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let pairs = query.pairs();
    query.finish(())?;
    let filter = HistoryFilter { kind: Some(TransactionKind::Payment), ..HistoryFilter::default() };
    let page = call.teller().transactions(call.who()?, page, filter).await?;
    let rows = page.rows.iter().map(|movement| PaymentView::new(&movement.transaction)).collect();
    Ok(List::new(rows, page.next.map(Cursor::new)).into_reply("/payments", &pairs))
}

pub(super) async fn get(call: Call) -> Answer {
    let payment = call.teller().payment(call.who()?, call.id()?).await?;
    let payment = payment.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(reply::json(StatusCode::OK, &PaymentView::new(&payment)))
}
