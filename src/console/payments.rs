//! One movement in full: who, how much, what became of it.

use maud::{Markup, html};

use super::format::{self, Sign};
use super::history::{about, badge, party};
use super::shell::{self, Place};
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::spec::Answer;
use crate::ledger::{Decline, Stage, Timestamp, Transaction, UserId};

pub(super) async fn payment(call: Call) -> Answer {
    let mut query = call.query();
    let note = query.word("note");
    query.finish(())?;
    let who = call.who()?;
    let payment = call.teller().payment(who, call.id()?).await?;
    let payment = payment.ok_or_else(|| Problem::new(Code::NotFound))?;
    let status = payment.state.map_or("declined", |state| state.status.name());
    show(&call, &payment.first, status, call.path_parameter(), note == Some("sent"))
}

pub(super) async fn transaction(call: Call) -> Answer {
    let movement = call.teller().transaction(call.who()?, call.id()?).await?;
    let movement = movement.ok_or_else(|| Problem::new(Code::NotFound))?;
    let transaction = &movement.transaction;
    let status = if transaction.decline.is_some() { "declined" } else { "succeeded" };
    show(&call, transaction, status, &transaction.id.to_string(), false)
}

fn show(call: &Call, transaction: &Transaction, state: &str, id: &str, was_sent: bool) -> Answer {
    let (seer, now) = (call.who()?.user.id, call.teller().clock().now());
    let is_out = transaction.from.id == seer;
    let is_declined = transaction.decline.is_some();
    let sign = if is_declined {
        Sign::Plain
    } else if is_out {
        Sign::Out
    } else {
        Sign::In
    };
    let content = html! {
        p.crumb { a href="/console/history" { "History" } }
        @if was_sent && !is_declined { div.notice.good role="status" { p { strong { "Sent." } " " (party(&transaction.to)) " has it." } } }
        h1 { (about(transaction, seer)) }
        div id="payment" data-live {
            p.amount { (format::amount(transaction.money, sign)) " " (badge(state)) }
            @if let Some(decline) = transaction.decline { (declined(decline, transaction)) }
            (facts(transaction, seer, id))
            (timeline(transaction, now))
        }
        div.actions {
            @if is_out && !is_declined && transaction.to.id != UserId::HOUSE {
                a.button.second href=(again(transaction)) { "Send again" }
            }
        }
    };
    shell::page(call, "Payment", Place::History, &content)
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

fn facts(transaction: &Transaction, seer: UserId, id: &str) -> Markup {
    let memo = &transaction.memo;
    let balance = transaction.balance_after(seer);
    html! {
        dl.facts {
            dt { "From" } dd { (party(&transaction.from)) }
            dt { "To" } dd { (party(&transaction.to)) }
            @if !memo.description.is_empty() { dt { "Note" } dd { (memo.description) } }
            @if !memo.reference.is_empty() { dt { "Reference" } dd { (memo.reference) } }
            @for (key, value) in metadata(&memo.metadata) { dt { (key) } dd { (value) } }
            @if let Some(balance) = balance { dt { "Balance after" } dd { (format::money(balance, transaction.money.currency(), Sign::Plain)) } }
            dt { "Id" } dd { code.id data-copy { (id) } }
        }
    }
}

pub(super) fn metadata(text: &str) -> Vec<(String, String)> {
    let pairs: std::collections::BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
    pairs.into_iter().collect()
}

fn timeline(transaction: &Transaction, now: Timestamp) -> Markup {
    let ends = match transaction.stage {
        _ if transaction.decline.is_some() => "Declined",
        Stage::Held(_) => "Held, durable in the ledger",
        Stage::Whole | Stage::Step(_) => "Paid, durable in the ledger",
    };
    html! {
        h2 { "Timeline" }
        ol.timeline {
            li { strong { (ends) } " " (format::time(transaction.created_at, now)) br; span.quiet.small { (format::exact(transaction.created_at)) } }
        }
    }
}

fn again(transaction: &Transaction) -> String {
    let (to, amount) = (transaction.to.id.to_string(), transaction.money.to_string());
    let fields =
        [("to", to.as_str()), ("amount", &amount), ("currency", transaction.money.currency().code())];
    crate::http::reply::query_string("/console/send", fields.into_iter())
}
