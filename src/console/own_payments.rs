//! Every payment of one's own, from either side and however it stands: also those that are held, which are no movements
//! yet, and those that came to nothing.

use std::sync::Arc;

use maud::{Markup, html};

use super::form::{Filled, Input, any_word, select};
use super::format;
use super::history::{about, badge, pager};
use super::payments::sign;
use super::shell::{self, Place};
use crate::http::call::Call;
use crate::http::search;
use crate::http::spec::Answer;
use crate::http::transactions::STATUSES;
use crate::ledger::{PaymentId, PaymentStatus, Timestamp, Transaction, UserId};
use crate::store::{Page, PageRequest};
use crate::teller::PaymentNow;

/// How many payments a page has.
const ROWS: usize = 25;
const ADDRESS: &str = "/console/payments";
const COUNTERPARTY: Input = Input::text("counterparty", "With", "");
const FROM: Input = Input { kind: "date", ..Input::text("from", "From", "") };
const TO: Input = Input { kind: "date", ..Input::text("to", "To", "") };

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: ROWS, after: query.after() };
    let pairs = query.pairs();
    let search = search::read(&mut query);
    let values: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let mut filled = Filled::with(&values);
    let payments = match query.finish(search) {
        Ok(search) => call.teller().payments(call.who()?, page, search).await?,
        Err(problem) => {
            filled = filled.wrong(&problem);
            Page { rows: Vec::new(), next: None }
        }
    };
    let (seer, now) = (call.who()?.user.id, call.teller().clock().now());
    let is_filtered = pairs.iter().any(|(name, _)| *name != "after");
    let content = html! {
        p.crumb { a href="/console/history" { "History" } }
        h1 { "Payments" }
        (filters(&filled))
        div id="payments" data-live {
            @if payments.rows.is_empty() {
                div.empty {
                    @if payments.next.is_some() {
                        p { "None so far. There are older ones to look through." }
                    } @else if is_filtered {
                        p { "No payment is like that." } p { a href=(ADDRESS) { "Show all of them" } }
                    } @else {
                        p { "No payment yet." } p { a href="/console/send" { "Send money" } " to somebody, or let them pay you." }
                    }
                }
            } @else {
                (table(&payments.rows, seer, now))
            }
        }
        (pager(ADDRESS, &pairs, page.after.is_some(), payments.next))
    };
    shell::page(&call, "Payments", Place::History, &content)
}

fn filters(filled: &Filled) -> Markup {
    html! {
        form.filters method="get" action=(ADDRESS) role="search" aria-label="Payments" {
            (COUNTERPARTY.show(filled))
            (select(filled, "status", "State", any_word(STATUSES)))
            (select(filled, "direction", "Direction", any_word(&["in", "out"])))
            (FROM.show(filled))
            (TO.show(filled))
            div.actions { button.button.second type="submit" { "Show" } }
        }
    }
}

fn table(payments: &[PaymentNow], seer: UserId, now: Timestamp) -> Markup {
    html! {
        table.rows {
            thead { tr {
                th scope="col" { "Who" } th.wide scope="col" { "When" } th.wide scope="col" { "State" } th.end scope="col" { "Amount" }
            } }
            tbody { @for payment in payments { (row(&payment.first, status(payment), seer, now)) } }
        }
    }
}

fn status(payment: &PaymentNow) -> PaymentStatus {
    payment.state.map_or(PaymentStatus::Declined, |state| state.status)
}

fn row(first: &Arc<Transaction>, status: PaymentStatus, seer: UserId, now: Timestamp) -> Markup {
    html! {
        tr.declined[status.is_undone()] {
            th scope="row" {
                a href={ (ADDRESS) "/" (PaymentId::from(first.id)) } { (about(first, seer)) }
                @if !first.memo.description.is_empty() { p.note { (first.memo.description) } }
                p.note.slim { (badge(status.name())) " " (format::time(first.created_at, now)) }
            }
            td.wide { (format::time(first.created_at, now)) }
            td.wide { (badge(status.name())) }
            td.end { (format::amount(first.money, sign(first, status, seer))) }
        }
    }
}
