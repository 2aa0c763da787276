//! Payment requests: links by which whoever knows one pays its maker, at most once.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::call::Call;
use super::extract::Cursor;
use super::payments::{count, paid};
use super::problem::{Code, Problem};
use super::qr;
use super::reply::{self, List};
use super::spec::Answer;
use super::views::with;
use crate::ledger::{IdempotencyKey, PaymentRequestId, RequestEnd, ToldRequest, UserId};
use crate::store::PageRequest;
use crate::teller::{self, NewRequest, RequestNow};

/// The request as that user may see it: which payment it was is for its two sides.
fn view<'a>(now: &'a RequestNow, seer: UserId, origin: &str) -> RequestView<'a> {
    let made = (now.id, now.record.created_at);
    let mut told = now.request.told(made, (now.to, now.to_name.as_deref()), now.at);
    let is_side = match now.request.end {
        Some(RequestEnd::Paid { by, .. }) => seer == by || seer == now.to,
        Some(RequestEnd::Cancelled { .. }) | None => true,
    };
    if !is_side {
        told.payment = None;
    }
    RequestView { told, url: link(now.id, origin) }
}

/// A request with the address of its page.
#[derive(Debug, Serialize)]
struct RequestView<'a> {
    #[serde(flatten)]
    told: ToldRequest<'a>,
    url: String,
}

/// The page of a request, which whoever is to pay is given.
pub(crate) fn link(request: PaymentRequestId, origin: &str) -> String {
    format!("{origin}/pay/{request}")
}

pub(super) async fn make(call: Call) -> Answer {
    let new = read_request(&call)?;
    let now = call.teller().make_request(call.who()?, call.origin.clone(), new).await?;
    let request = view(&now, call.who()?.user.id, &call.own_origin());
    Ok(reply::json(StatusCode::CREATED, &request))
}

/// What somebody wants to be paid.
///
/// # Errors
/// 422 with every wrong field.
pub(crate) fn read_request(call: &Call) -> Result<NewRequest, Problem> {
    let mut form = call.form()?;
    let money = form.money("amount", "currency");
    let description = form.text("description").unwrap_or_default();
    let expires_in_ms = form.number("expires_in").map(|seconds| seconds.saturating_mul(1_000));
    let money = form.finish(money)?;
    Ok(NewRequest { money, description, expires_in_ms })
}

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let pairs = query.pairs();
    query.finish(())?;
    let who = call.who()?;
    let page = call.teller().requests(who, page).await?;
    let origin = call.own_origin();
    let rows = page.rows.iter().map(|now| view(now, who.user.id, &origin)).collect();
    Ok(List::new(rows, page.next.map(Cursor::new)).into_reply("/requests", &pairs))
}

pub(super) async fn get(call: Call) -> Answer {
    let now = call.teller().request(call.id()?).await?;
    let now = now.ok_or_else(|| Problem::new(Code::NotFound))?;
    let origin = call.own_origin();
    let request = view(&now, call.who()?.user.id, &origin);
    Ok(reply::json(StatusCode::OK, &with(json!(request), "qr_svg", qr::svg(&link(now.id, &origin)))))
}

pub(super) async fn pay(call: Call) -> Answer {
    let id = call.id()?;
    let mut form = call.form()?;
    let (amount, currency) = (form.amount("amount"), form.currency("currency"));
    if amount.is_some() || currency.is_some() {
        let now = call.teller().request(id).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
        let money = now.request.money;
        if amount.is_some_and(|amount| amount.of(money.currency()) != Ok(money)) {
            let message =
                format!("must be {money}: what is asked is paid as a whole and once; or leave it out");
            form.refuse("amount", "not_what_is_asked", &message);
        }
        if currency.is_some_and(|currency| currency != money.currency()) {
            let message = format!("must be {}, which is asked; or leave it out", money.currency());
            form.refuse("currency", "not_what_is_asked", &message);
        }
    }
    let otp = form.text("otp");
    form.finish(Some(()))?;
    Ok(paid(&pay_and_count(&call, id, call.idempotency_key()?, otp).await?))
}

/// Pays a request, and counts how it went.
///
/// # Errors
/// Every refusal of a payment, and of one of a request.
pub(crate) async fn pay_and_count(
    call: &Call,
    request: PaymentRequestId,
    key: Option<IdempotencyKey>,
    otp: Option<String>,
) -> Result<teller::Answer, Problem> {
    let (who, origin) = (call.who()?, call.origin.clone());
    let paid = call.teller().pay_request(who, origin, request, key, otp.as_deref()).await;
    count(call, &paid);
    Ok(paid?)
}

pub(super) async fn cancel(call: Call) -> Answer {
    call.teller().cancel_request(call.who()?, call.origin.clone(), call.id()?).await?;
    Ok(reply::no_content())
}
