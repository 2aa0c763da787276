//! Sending money in two steps: say what, see who gets it, then confirm.
//!
//! The form of the first step carries a random word, and the confirming form a key that follows from that word and from
//! what is to be paid. A double click, a reload and a way back through the browser's history therefore all send the same
//! key, under which the ledger pays once; another amount or another payee makes another key.

use hyper::StatusCode;
use maud::{Markup, html};

use super::form::{Filled, Input, select};
use super::format::{self, Sign};
use super::history::party;
use super::home::wallets;
use super::shell::{self, Place};
use super::{once, reply};
use crate::http::call::Call;
use crate::http::payments::{pay_and_count, read_payment};
use crate::http::problem::{Code, Problem};
use crate::http::spec::Answer;
use crate::ledger::PaymentId;
use crate::teller::PayRequest;

const TO: Input = Input::text("to", "To", "An email or a user id; “house” pays the house.").required();
const AMOUNT: Input = Input::amount();
const NOTE: Input = Input::text("description", "Note", "They see it, too.");
const REFERENCE: Input = Input::text("reference", "Reference", "For the books, such as an invoice number.");
const CODE: Input = Input::otp();
const SHOWN: [&str; 5] = ["to", "amount", "currency", "description", "reference"];

pub(super) async fn page(call: Call) -> Answer {
    let query = call.query();
    let pairs = query.pairs();
    query.finish(())?;
    let values: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    form_page(&call, StatusCode::OK, &Filled::with(&values)).await
}

/// The first step is over: who gets what.
pub(super) async fn review(call: Call) -> Answer {
    match look_at(&call, None).await {
        Ok(content) => shell::page(&call, "Confirm", Place::Send, &content),
        Err(problem) => refused(&call, &problem).await,
    }
}

/// The second step once more, with a field for the code that it asks for.
async fn ask_for_code(call: &Call, problem: &Problem) -> Answer {
    let content = look_at(call, Some(problem)).await?;
    shell::page_with(call, problem.code().entry().status, "Confirm", Place::Send, &content)
}

/// Whether what was refused goes on with a code of the second factor.
pub(super) fn asks_for_code(code: Code) -> bool {
    matches!(code, Code::OtpRequired | Code::OtpInvalid)
}

async fn look_at(call: &Call, code_wanted: Option<&Problem>) -> Result<Markup, Problem> {
    let request = read_payment(call, None)?;
    let who = call.who()?;
    let payee = call.teller().payee(&request.to).await?;
    let currency = request.money.currency();
    let available =
        wallets(&call.teller().wallets(who).await?).get(&currency).map_or(0, |wallet| wallet.available);
    let left = available.saturating_sub(request.money.amount_minor());
    let sent = Filled::sent(call);
    Ok(html! {
        h1 { "Is this right?" }
        div.confirm {
            p.amount { (format::amount(request.money, Sign::Plain)) }
            dl.facts {
                dt { "To" } dd { strong { (party(&payee)) } br; span.quiet { (sent.value("to")) } }
                @if !request.memo.description.is_empty() { dt { "Note" } dd { (request.memo.description) } }
                @if !request.memo.reference.is_empty() { dt { "Reference" } dd { (request.memo.reference) } }
                dt { "You have" } dd { (format::money(available, currency, Sign::Plain)) }
                @if left >= 0 { dt { "Then left" } dd { (format::money(left, currency, Sign::Plain)) } }
            }
            @if left < 0 {
                div.notice.bad role="status" { p { "That is more than you have. The payment would be declined." } }
            }
        }
        form method="post" action="/console/send/confirm" novalidate data-once {
            (shell::form_token(call)?)
            (carried(&sent))
            @if let Some(problem) = code_wanted { (CODE.show(&Filled::default().wrong(problem))) }
            div.actions {
                button.button type="submit" { "Send " (format::plain(request.money.amount_minor(), currency)) }
                a.button.second href=(change_address(&sent)) { "Change" }
            }
        }
    })
}

/// What the first step said, carried through the second.
fn carried(sent: &Filled) -> Markup {
    html! {
        @for name in SHOWN.into_iter().chain(["nonce"]) {
            @if !sent.value(name).is_empty() { input type="hidden" name=(name) value=(sent.value(name)); }
        }
    }
}

fn change_address(sent: &Filled) -> String {
    let filled =
        SHOWN.into_iter().map(|name| (name, sent.value(name))).filter(|(_, value)| !value.is_empty());
    crate::http::reply::query_string("/console/send", filled)
}

/// Pays, and shows the payment: also one that was declined, which is kept.
pub(super) async fn confirm(call: Call) -> Answer {
    let paid = match read_payment(&call, Some(once::key(&call, &SHOWN)?)) {
        Ok(request) => pay(&call, request).await,
        Err(problem) => Err(problem),
    };
    match paid {
        Ok(payment) => Ok(reply::see_other(&format!("/console/payments/{payment}?note=sent"))),
        Err(problem) => match kept_payment(&problem) {
            Some(payment) => Ok(reply::see_other(&format!("/console/payments/{payment}"))),
            None if asks_for_code(problem.code()) => ask_for_code(&call, &problem).await,
            None => refused(&call, &problem).await,
        },
    }
}

async fn pay(call: &Call, request: PayRequest) -> Result<PaymentId, Problem> {
    let answer = pay_and_count(call, request).await?;
    Ok(answer.transaction.id.into())
}

/// The payment that a refusal left in the history.
pub(super) fn kept_payment(problem: &Problem) -> Option<PaymentId> {
    let is_kept = matches!(problem.code(), Code::InsufficientFunds | Code::PaymentDeclined);
    problem.find_member("payment").filter(|_| is_kept)?.as_str()?.parse().ok()
}

async fn refused(call: &Call, problem: &Problem) -> Answer {
    form_page(call, problem.code().entry().status, &Filled::refused(call, problem)).await
}

async fn form_page(call: &Call, status: StatusCode, filled: &Filled) -> Answer {
    let wallets = wallets(&call.teller().wallets(call.who()?).await?);
    let mut currencies: Vec<(String, String)> = wallets
        .iter()
        .map(|(currency, wallet)| {
            let has = format::plain(wallet.available, *currency);
            (currency.code().to_owned(), format!("{currency}: you have {has}"))
        })
        .collect();
    let asked = filled.value("currency").to_uppercase();
    if !asked.is_empty() && currencies.iter().all(|(code, _)| *code != asked) {
        currencies.push((asked.clone(), asked));
    }
    if currencies.is_empty() {
        currencies.push(("USD".to_owned(), "USD".to_owned()));
    }
    let content = html! {
        h1 { "Send money" }
        (filled.summary(&SHOWN))
        form method="post" action="/console/send" novalidate {
            (shell::form_token(call)?)
            (once::field(call, filled)?)
            (TO.show(filled))
            div.pair {
                (AMOUNT.show(filled))
                (select(filled, "currency", "Currency", currencies))
            }
            (NOTE.show(filled))
            (REFERENCE.show(filled))
            div.actions { button.button type="submit" { "Go on" } span.quiet.small { "You can look at it once more before it goes." } }
        }
    };
    shell::page_with(call, status, "Send money", Place::Send, &content)
}
