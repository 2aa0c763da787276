//! The page to which a payment link leads: who asks, for what, and a button for whoever wants to pay.
//!
//! The link's id is what lets one in, so that the page shows the request to anybody; it tells nothing of its payment but
//! to the payment's two sides. Paying needs a login, from which one comes back here.
//!
//! A request is paid at most once whatever its page is sent for: that is the ledger's rule. The form's own key, which
//! follows from the request and from a word of the page, is why a double click and a reload get the answer of the payment
//! that was made, and why another try after a declined one is another.

use hyper::StatusCode;
use maud::{Markup, html};

use super::door::visitor;
use super::form::{Filled, Input};
use super::format::{self, Sign};
use super::history::{badge, party};
use super::home::wallets;
use super::send::{asks_for_code, kept_payment};
use super::shell::{self, Place};
use super::{once, reply};
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::reply::{Reply, query_string};
use crate::http::requests::pay_and_count;
use crate::http::spec::Answer;
use crate::ledger::{Party, PaymentRequestId, RequestEnd, RequestStatus};
use crate::teller::RequestNow;

const CODE: Input = Input::otp();

pub(super) async fn page(mut call: Call) -> Answer {
    call.who = visitor(&call).await;
    show(&call, StatusCode::OK, &Filled::default(), None).await
}

/// Pays, and shows the payment: also one that was declined, which is kept.
pub(super) async fn pay(call: Call) -> Answer {
    let id = call.id()?;
    let problem = match try_pay(&call, id).await {
        Ok(reply) => return Ok(reply),
        Err(problem) => problem,
    };
    if let Some(payment) = kept_payment(&problem) {
        return Ok(reply::see_other(&format!("/console/payments/{payment}")));
    }
    if problem.code() == Code::NotFound {
        return Err(problem);
    }
    let filled = Filled::refused(&call, &problem);
    show(&call, problem.code().entry().status, &filled, Some(problem.code())).await
}

async fn try_pay(call: &Call, id: PaymentRequestId) -> Result<Reply, Problem> {
    let mut form = call.form()?;
    let (nonce, otp) = (form.text("nonce"), form.text("otp"));
    form.finish(nonce)?;
    let paid = pay_and_count(call, id, Some(once::key(call, &[])?), otp).await?;
    let payment = crate::ledger::PaymentId::from(paid.transaction.id);
    Ok(reply::see_other(&format!("/console/payments/{payment}?note=sent")))
}

async fn show(call: &Call, status: StatusCode, filled: &Filled, refused: Option<Code>) -> Answer {
    let request = call.teller().request(call.id()?).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    let payee = party(&Party { id: request.to, name: request.to_name.clone() });
    let now = call.teller().clock().now();
    let content = html! {
        h1 { (payee) " asks for" }
        div.confirm {
            p.amount { (format::amount(request.request.money, Sign::Plain)) " " (badge(request.status.name())) }
            dl.facts {
                dt { "To" } dd { strong { (payee) } }
                @if !request.request.description.is_empty() { dt { "Note" } dd { (request.request.description) } }
                dt { "Asked" } dd { (format::time(request.record.created_at, now)) }
                @if let (Some(at), RequestStatus::Open) = (request.request.expires_at, request.status) {
                    dt { "Until" } dd { (format::time(at, now)) }
                }
            }
        }
        @match request.status {
            RequestStatus::Open => { (way_to_pay(call, &request, filled, refused).await?) }
            RequestStatus::Paid => { (told_paid(call, &request)) }
            RequestStatus::Expired => { div.notice role="status" { p { strong { "This request has expired." } " Ask " (payee) " for a new one." } } }
            RequestStatus::Cancelled => { div.notice role="status" { p { strong { "This request was taken back." } " Nothing is to be paid." } } }
        }
    };
    let title = format!("Pay {payee}");
    if call.who.is_some() {
        return shell::page_with(call, status, &title, Place::Elsewhere, &content);
    }
    Ok(shell::visitor_page(status, &title, &content))
}

/// What whoever looks can do about an open request.
async fn way_to_pay(
    call: &Call,
    request: &RequestNow,
    filled: &Filled,
    refused: Option<Code>,
) -> Result<Markup, Problem> {
    let Some(who) = &call.who else { return Ok(way_in(call)) };
    if who.user.id == request.to {
        return Ok(html! {
            div.notice role="status" {
                p { "This is your own request, as others see it. " a href={ "/console/requests/" (request.id) } { "Back to it" } }
            }
        });
    }
    let money = request.request.money;
    let currency = money.currency();
    let available =
        wallets(&call.teller().wallets(who).await?).get(&currency).map_or(0, |wallet| wallet.available);
    let asks = refused.is_some_and(asks_for_code);
    Ok(html! {
        (filled.summary(&["otp"]))
        form method="post" action=(call.uri.path()) novalidate data-once {
            (shell::form_token(call)?)
            (once::field(call, filled)?)
            p.quiet {
                "You have " (format::money(available, currency, Sign::Plain)) "."
                @if available < money.amount_minor() { " That is not enough: the payment would be declined." }
            }
            @if asks { (CODE.show(filled)) }
            div.actions {
                button.button type="submit" { "Pay " (format::plain(money.amount_minor(), currency)) }
                a.button.second href="/console/" { "Not now" }
            }
        }
    })
}

/// The way in for whoever is not logged in, and back.
fn way_in(call: &Call) -> Markup {
    let to = |page: &str| query_string(page, std::iter::once(("next", call.uri.path())));
    html! {
        p { "Paying takes a wallet here. Log in, or make one, and you come back to this page." }
        div.actions {
            a.button href=(to("/console/login")) { "Log in to pay" }
            a.button.second href=(to("/console/register")) { "Register" }
        }
    }
}

fn told_paid(call: &Call, request: &RequestNow) -> Markup {
    let seer = call.who.as_ref().map(|who| who.user.id);
    let own = match request.request.end {
        Some(RequestEnd::Paid { payment, by, .. }) if seer == Some(by) || seer == Some(request.to) => {
            Some(payment)
        }
        _ => None,
    };
    html! {
        div.notice.good role="status" {
            p {
                strong { "This was paid." } " It can be paid once, so nothing more is to be done."
                @if let Some(payment) = own { " " a href={ "/console/payments/" (payment) } { "The payment" } }
            }
        }
    }
}
