//! Many payments in one call.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::super::call::Call;
use super::super::extract::Form;
use super::super::problem::Problem;
use super::super::reply;
use super::super::spec::Answer;
use super::super::views::PaymentView;
use super::{KEY_RULE, count, read_fields, status_of};
use crate::ledger::IdempotencyKey;
use crate::teller::{self, BulkRequest, PayRequest, TellerError};

/// The most payments in one call.
pub(in crate::http) const MOST: usize = 1_000;
/// What happens where one of them is refused.
pub(in crate::http) const MODES: &[&str] = &["one_by_one", "all_or_nothing"];

#[derive(Serialize)]
struct BulkView<'a> {
    results: Vec<ResultView<'a>>,
}

/// What became of one payment: what it would have been answered with alone.
#[derive(Serialize)]
struct ResultView<'a> {
    index: usize,
    idempotency_key: &'a str,
    status: u16,
    replayed: bool,
    payment: Option<PaymentView<'a>>,
    error: Option<Value>,
}

pub(in crate::http) async fn pay_many(call: Call) -> Answer {
    let mut form = call.form()?;
    let all_or_nothing = form.word("mode") == Some("all_or_nothing");
    let otp = form.text("otp");
    let payments = form.items("payments", read_payment);
    let payments = form.finish(payments)?;
    let keys: Vec<Option<IdempotencyKey>> = payments.iter().map(|payment| payment.key.clone()).collect();
    let request = BulkRequest { payments, all_or_nothing, otp };
    let answers = call.teller().pay_many(call.who()?, call.origin.clone(), request).await?;
    let results = answers.iter().zip(&keys).enumerate().map(|(index, (answer, key))| {
        count(&call, answer);
        let idempotency_key = key.as_ref().map(IdempotencyKey::as_str).unwrap_or_default();
        let paid = answer.as_ref().ok().map(|answer| &answer.transaction);
        let refused = answer.as_ref().err().map(|error| Problem::from(error.clone()));
        let status = match (paid, &refused) {
            (Some(paid), _) => status_of(paid),
            (None, Some(problem)) => problem.code().entry().status,
            (None, None) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        ResultView {
            index,
            idempotency_key,
            status: status.as_u16(),
            replayed: replayed(answer),
            payment: paid.map(|paid| PaymentView::new(paid, paid.payment_state())),
            error: refused.map(|problem| problem.to_value()),
        }
    });
    Ok(reply::json(StatusCode::OK, &BulkView { results: results.collect() }))
}

fn replayed(answer: &Result<teller::Answer, TellerError>) -> bool {
    match answer {
        Ok(answer) => answer.replayed,
        Err(TellerError::Refused { replayed, .. }) => *replayed,
        Err(_) => false,
    }
}

/// One of the payments: the fields of a single one, and the key that is a header there.
fn read_payment(form: &mut Form<'_>) -> Option<PayRequest> {
    let key = form.text("idempotency_key").and_then(|text| IdempotencyKey::parse(&text).ok());
    if key.is_none() && form.has("idempotency_key") {
        form.refuse("idempotency_key", "invalid", KEY_RULE);
    }
    read_fields(form, key, None).filter(|payment| payment.key.is_some())
}
