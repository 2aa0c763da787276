//! The history: every movement of one's own, filtered, page by page.

use maud::{Markup, html};

use super::form::{Filled, Input, any_word, select};
use super::format::{self, Sign};
use super::reply;
use super::shell::{self, Place};
use crate::http::call::Call;
use crate::http::extract::Cursor;
use crate::http::problem::Problem;
use crate::http::reply::query_string;
use crate::http::spec::Answer;
use crate::ledger::{MovementType, PaymentId, Transaction, TransactionId, UserId};
use crate::store::{HistoryFilter, Listing, Movement, PageRequest};

/// How many movements a page has.
const ROWS: usize = 25;
const SEARCH: Input = Input { kind: "search", ..Input::text("q", "Search", "") };
const FROM: Input = Input { kind: "date", ..Input::text("from", "From", "") };
const TO: Input = Input { kind: "date", ..Input::text("to", "To", "") };

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let pairs = query.pairs();
    let found = query.pairs().into_iter().find(|(name, _)| *name == "q").and_then(|(_, text)| by_id(&text));
    let page = PageRequest { limit: ROWS, after: query.after() };
    let kind = query.word("type").and_then(MovementType::from_name);
    let declined = query.word("status").map(|status| status == "declined");
    let currency = query.currency("currency");
    let (from, to) = (query.from("from"), query.until("to"));
    let values: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let mut filled = Filled::with(&values);
    let movements =
        match query.finish(HistoryFilter { listing: Listing::Movements(kind), currency, declined, from, to })
        {
            _ if found.is_some() => return Ok(reply::see_other(&found.unwrap_or_default())),
            Ok(filter) => call.teller().transactions(call.who()?, page, filter).await?,
            Err(problem) => {
                filled = filled.wrong(&problem);
                crate::store::Page { rows: Vec::new(), next: None }
            }
        };
    let is_filtered = pairs.iter().any(|(name, _)| *name != "after");
    let content = html! {
        div.heading { h1 { "History" } span { a href="/console/payments" { "All payments" } " · " a href="/console/statement" { "Statement" } } }
        (filters(&filled))
        div id="movements" data-live {
            @if movements.rows.is_empty() && is_filtered {
                div.empty { p { "No movement is like that." } p { a href="/console/history" { "Show all of them" } } }
            } @else {
                (table(&call, &movements.rows)?)
            }
        }
        (pager("/console/history", &pairs, page.after.is_some(), movements.next))
    };
    shell::page(&call, "History", Place::History, &content)
}

/// Where an id leads that somebody pasted into the search.
fn by_id(text: &str) -> Option<String> {
    let text = text.trim();
    let payment = text.parse::<PaymentId>().map(|id| format!("/console/payments/{id}"));
    payment.or_else(|_| text.parse::<TransactionId>().map(|id| format!("/console/transactions/{id}"))).ok()
}

fn filters(filled: &Filled) -> Markup {
    html! {
        form.filters method="get" action="/console/history" role="search" aria-label="Movements" {
            (SEARCH.show(filled))
            (select(filled, "type", "Type", any_word(crate::http::transactions::TYPES)))
            (select(filled, "status", "Status", any_word(&["succeeded", "declined"])))
            (FROM.show(filled))
            (TO.show(filled))
            div.actions { button.button.second type="submit" { "Show" } }
        }
    }
}

/// A word of the API as people read it.
pub(super) fn sentence(word: &str) -> String {
    let spaced = word.replace('_', " ");
    let mut letters = spaced.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The way to older rows, and back to the newest.
pub(super) fn pager(
    path: &str,
    pairs: &[(&'static str, std::borrow::Cow<'_, str>)],
    is_later: bool,
    next: Option<u64>,
) -> Markup {
    let mut fields: Vec<(&str, &str)> = pairs
        .iter()
        .filter(|(name, _)| *name != "after")
        .map(|(name, value)| (*name, value.as_ref()))
        .collect();
    let newest = query_string(path, fields.iter().copied());
    let after = next.map(|next| Cursor::new(next).to_string());
    fields.extend(after.as_deref().map(|after| ("after", after)));
    let older = after.as_ref().map(|_| query_string(path, fields.into_iter()));
    html! {
        @if is_later || older.is_some() {
            nav.pager aria-label="Pages" {
                @if is_later { a rel="first" href=(newest) { "Newest" } }
                @if let Some(older) = older { a rel="next" href=(older) { "Older" } }
            }
        }
    }
}

/// Movements as their owner reads them.
///
/// # Errors
/// If nobody is logged in, which would be a mistake of ours.
pub(super) fn table(call: &Call, movements: &[Movement]) -> Result<Markup, Problem> {
    let (seer, now) = (call.who()?.user.id, call.teller().clock().now());
    Ok(html! {
        @if movements.is_empty() {
            div.empty {
                p { "Nothing has moved yet." }
                p { a href="/console/send" { "Send money" } " to somebody, or let them pay you." }
            }
        } @else {
            table.rows {
                thead { tr {
                    th scope="col" { "What" } th.wide scope="col" { "When" } th.end scope="col" { "Amount" } th.end.wide scope="col" { "Balance" }
                } }
                tbody { @for movement in movements { (row(movement, seer, now)) } }
            }
        }
    })
}

fn row(movement: &Movement, seer: UserId, now: crate::ledger::Timestamp) -> Markup {
    let transaction = &*movement.transaction;
    let is_out = transaction.from.id == seer;
    let declined = transaction.decline.is_some();
    let sign = if declined {
        Sign::Plain
    } else if is_out {
        Sign::Out
    } else {
        Sign::In
    };
    let currency = transaction.money.currency();
    html! {
        tr.declined[declined] {
            th scope="row" {
                a href=(address(transaction)) { (about(transaction, seer)) }
                @if declined { " " (badge("declined")) }
                @if !transaction.memo.description.is_empty() { p.note { (transaction.memo.description) } }
                p.note.slim { (format::time(transaction.created_at, now)) }
            }
            td.wide { (format::time(transaction.created_at, now)) }
            td.end { (format::amount(transaction.money, sign)) }
            td.end.wide { @if let Some(balance) = movement.balance_after_minor { (format::money(balance, currency, Sign::Plain)) } }
        }
    }
}

/// Where a movement is told in full.
fn address(transaction: &Transaction) -> String {
    if let Some(payment) = transaction.payment() {
        format!("/console/payments/{payment}")
    } else {
        format!("/console/transactions/{}", transaction.id)
    }
}

/// A movement in a few words.
pub(super) fn about(transaction: &Transaction, seer: UserId) -> String {
    let is_out = transaction.from.id == seer;
    match transaction.movement().unwrap_or(MovementType::Payment) {
        MovementType::Payment if is_out => format!("To {}", party(&transaction.to)),
        MovementType::Payment => format!("From {}", party(&transaction.from)),
        MovementType::Refund if is_out => format!("Refund to {}", party(&transaction.to)),
        MovementType::Refund => format!("Refund from {}", party(&transaction.from)),
        MovementType::Deposit => "Cash paid in".to_owned(),
        MovementType::Withdrawal => "Cash paid out".to_owned(),
        MovementType::Topup => "Play money added".to_owned(),
        MovementType::Grant => "Welcome money".to_owned(),
    }
}

/// What a side of a payment is called.
pub(super) fn party(party: &crate::ledger::Party) -> String {
    match (party.id, party.name.as_deref()) {
        (_, Some(name)) => name.to_owned(),
        (UserId::HOUSE, None) => "the house".to_owned(),
        (UserId::SANDBOX, None) => "the sandbox".to_owned(),
        (UserId::CASH, None) => "cash".to_owned(),
        (user, None) => user.to_string(),
    }
}

/// A state, as a small mark whose word says what its colour does.
pub(super) fn badge(state: &str) -> Markup {
    let tone = match state {
        "succeeded" | "active" | "approved" | "delivered" | "paid" => "badge good",
        "declined" | "rejected" | "failed" | "frozen" | "high" => "badge bad",
        "authorized" | "pending_review" | "pending" | "warning" | "open" => "badge wait",
        _ => "badge",
    };
    html! { span class=(tone) { (sentence(state)) } }
}
