//! Payments: make one, take it further, list one's own, look at one.

mod bulk;

use std::borrow::Cow;

use hyper::StatusCode;
use hyper::header::HeaderValue;

use super::call::Call;
use super::extract::{Cursor, Form};
use super::problem::{Code, Problem, REPLAYED};
use super::reply::{self, List, Reply};
use super::search;
use super::spec::Answer;
use super::views::{PaymentView, RefundView};
use crate::ledger::{
    Capture, Hold, IdempotencyKey, Memo, MovementType, PaymentRequestId, PaymentStatus, Refusal, Settlement,
    Stage, Transaction,
};
use crate::store::{Page, PageRequest};
use crate::telemetry::PaymentOutcome;
use crate::teller::{self, PayRequest, PaymentNow, SettleRequest, StepAnswer, TellerError};

pub(super) use bulk::{MODES, MOST, pay_many};

/// What a key must be where it is no header.
const KEY_RULE: &str = "must be 1 to 255 printable ASCII characters";

pub(super) async fn pay(call: Call) -> Answer {
    let request = read_payment(&call, call.idempotency_key()?)?;
    let answer = pay_and_count(&call, request).await?;
    Ok(paid(&answer))
}

/// The answer to a payment, however it was asked for.
pub(super) fn paid(answer: &teller::Answer) -> Reply {
    let transaction = &answer.transaction;
    let view = PaymentView::new(transaction, transaction.payment_state());
    mark_replay(reply::json(status_of(transaction), &view), answer.replayed)
}

/// What a payment that was written is answered with.
pub(super) fn status_of(transaction: &Transaction) -> StatusCode {
    let state = transaction.payment_state();
    let is_reviewed = state.is_some_and(|state| state.status == PaymentStatus::PendingReview);
    if is_reviewed { StatusCode::ACCEPTED } else { StatusCode::CREATED }
}

pub(super) async fn by_key(call: Call) -> Answer {
    let mut query = call.query();
    query.require("idempotency_key");
    let text = query.text("idempotency_key");
    let key = text.as_deref().map(IdempotencyKey::parse);
    if let Some(Err(_)) = key {
        query.refuse("idempotency_key", "invalid", KEY_RULE);
    }
    query.finish(())?;
    let key = key.and_then(Result::ok).ok_or_else(|| Problem::new(Code::NotFound))?;
    show(call.teller().payment_by_key(call.who()?, call.origin.clone(), key).await?)
}

pub(super) async fn capture(call: Call) -> Answer {
    settled(&call, read_capture(&call)?).await
}

/// How much of what is held the payee takes.
///
/// # Errors
/// 422.
pub(crate) fn read_capture(call: &Call) -> Result<Settlement, Problem> {
    let mut form = call.form()?;
    let amount = form.amount("amount");
    form.finish(Some(Settlement::Capture { amount }))
}

pub(super) async fn void(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    settled(&call, Settlement::Void).await
}

/// Takes the payment a step further, and answers with the payment as the step left it.
pub(super) async fn settled(call: &Call, settlement: Settlement) -> Answer {
    let answer = settle(call, settlement, call.idempotency_key()?).await?;
    let view = PaymentView::new(&answer.first, answer.step.payment_state());
    Ok(mark_replay(reply::json(StatusCode::OK, &view), answer.replayed))
}

pub(super) async fn refund(call: Call) -> Answer {
    let answer = settle(&call, read_refund(&call)?, call.idempotency_key()?).await?;
    let reply = reply::json(StatusCode::CREATED, &RefundView::new(&answer.step));
    Ok(mark_replay(reply, answer.replayed))
}

/// What is to go back of a payment, and why.
///
/// # Errors
/// 422 with every wrong field.
pub(crate) fn read_refund(call: &Call) -> Result<Settlement, Problem> {
    let mut form = call.form()?;
    let amount = form.amount("amount");
    let reason = form.text("reason").unwrap_or_default();
    form.finish(Some(Settlement::Refund { amount, reason }))
}

/// Takes the payment of the path a step further.
///
/// # Errors
/// Every refusal of such a step.
pub(crate) async fn settle(
    call: &Call,
    settlement: Settlement,
    key: Option<IdempotencyKey>,
) -> Result<StepAnswer, Problem> {
    let request = SettleRequest { payment: call.id()?, settlement, key };
    Ok(call.teller().settle(call.who()?, call.origin.clone(), request).await?)
}

/// Pays, and counts how it went.
///
/// # Errors
/// Every refusal of a payment.
pub(crate) async fn pay_and_count(call: &Call, request: PayRequest) -> Result<teller::Answer, Problem> {
    let paid = call.teller().pay(call.who()?, call.origin.clone(), request).await;
    count(call, &paid);
    Ok(paid?)
}

/// Counts how a payment went.
pub(super) fn count(call: &Call, paid: &Result<teller::Answer, TellerError>) {
    call.app.telemetry().engine().payment(outcome(paid));
}

/// The payment that somebody wants to make.
///
/// # Errors
/// 422 with every wrong field.
pub(crate) fn read_payment(call: &Call, key: Option<IdempotencyKey>) -> Result<PayRequest, Problem> {
    let mut form = call.form()?;
    let otp = form.text("otp");
    let request = read_fields(&mut form, key, otp);
    form.finish(request)
}

/// The fields of a payment; none if they are not all right, which the form knows.
pub(super) fn read_fields(
    form: &mut Form<'_>,
    key: Option<IdempotencyKey>,
    otp: Option<String>,
) -> Option<PayRequest> {
    let money = form.money("amount", "currency");
    let to = recipient(form);
    let memo = Memo {
        description: form.text("description").unwrap_or_default(),
        reference: form.text("reference").unwrap_or_default(),
        metadata: form.metadata("metadata").unwrap_or_default(),
    };
    if memo.reference.parse::<PaymentRequestId>().is_ok() {
        let message = "must not be the id of a payment request; POST /requests/{id}/pay pays one";
        form.refuse("reference", "reserved", message);
    }
    let capture = form.word("capture").and_then(Capture::from_name).unwrap_or_default();
    Some(PayRequest { to, money: money?, memo, capture, key, otp })
}

/// Whom the field `to` names; the house if it names nobody.
pub(super) fn recipient(form: &mut Form<'_>) -> teller::Recipient {
    form.recipient("to").unwrap_or(teller::Recipient::House)
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
        Ok(answer) => match answer.transaction.stage {
            Stage::Held(Hold::ForReview) => PaymentOutcome::PendingReview,
            Stage::Held(Hold::ForCapture) => PaymentOutcome::Authorized,
            Stage::Whole | Stage::Step(_) => PaymentOutcome::Succeeded,
        },
        Err(TellerError::Refused { replayed: true, .. }) => PaymentOutcome::Replayed,
        Err(TellerError::Refused {
            refusal: Refusal::InsufficientFunds { .. } | Refusal::PaymentDeclined { .. },
            ..
        }) => PaymentOutcome::Declined,
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
    let kind = query.word("type").and_then(MovementType::from_name);
    let search = search::read(&mut query);
    let pairs = query.pairs();
    query.finish(())?;
    let who = call.who()?;
    let page = match kind {
        None | Some(MovementType::Payment) => call.teller().payments(who, page, search).await?,
        Some(_) => Page { rows: Vec::new(), next: None },
    };
    Ok(show_page(&page, "/payments", &pairs))
}

pub(crate) async fn receipt(call: Call) -> Answer {
    let receipt = call.teller().receipt(call.who()?, call.id()?).await?;
    let receipt = receipt.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(reply::json(StatusCode::OK, &receipt))
}

pub(super) async fn get(call: Call) -> Answer {
    show(call.teller().payment(call.who()?, call.id()?).await?)
}

/// The payment as it stands, if there is one.
pub(super) fn show(payment: Option<PaymentNow>) -> Answer {
    let payment = payment.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(reply::json(StatusCode::OK, &PaymentView::new(&payment.first, payment.state)))
}

/// A page of payments as they stand.
pub(super) fn show_page(page: &Page<PaymentNow>, path: &str, query: &[(&str, Cow<'_, str>)]) -> Reply {
    let rows = page.rows.iter().map(|payment| PaymentView::new(&payment.first, payment.state)).collect();
    List::new(rows, page.next.map(Cursor::new)).into_reply(path, query)
}
