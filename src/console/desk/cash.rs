//! Cash: taken in and paid out by operators, and what waits for a second one.

use hyper::StatusCode;
use maud::{Markup, html};

use super::{ROWS, done, no_default, short_id, user_link, words};
use crate::console::form::{Filled, Input};
use crate::console::format::{self, Sign};
use crate::console::history::pager;
use crate::console::shell::{self, Place};
use crate::console::{once, reply};
use crate::http::call::Call;
use crate::http::cash::{decided, read_order};
use crate::http::problem::{Code, Problem};
use crate::http::spec::Answer;
use crate::ledger::{CashDirection, CashRequest, Record, Timestamp, TransactionId, UserId};
use crate::store::PageRequest;
use crate::teller::CashAnswer;

const FIRST: PageRequest = PageRequest { after: None, limit: ROWS };
const USER: Input = Input::text("user", "Whose wallet", "An email or a user id.").required();
const AMOUNT: Input = Input::amount();
const CURRENCY: Input = Input::text("currency", "Currency", "Three letters.").required();
const REFERENCE: Input =
    Input::text("reference", "Reference", "For the books, such as the number of a slip.").required();

/// Where in the page what was refused is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Nowhere,
    Order,
    Waiting,
}

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let told = query.word("note").and_then(told);
    let page = PageRequest { after: query.after(), ..FIRST };
    query.finish(())?;
    show(&call, StatusCode::OK, &Filled::default(), Part::Nowhere, told, page).await
}

fn told(note: &str) -> Option<&'static str> {
    Some(match note {
        "deposit" => "The cash is in the wallet.",
        "withdrawal" => "The cash is out of the wallet.",
        "waits" => "It is above the amount that one operator may move alone: it waits for a second one.",
        "approved" => "It went through.",
        "rejected" => "It was stopped, and nothing moved.",
        _ => return None,
    })
}

async fn show(
    call: &Call,
    status: StatusCode,
    filled: &Filled,
    part: Part,
    told: Option<&str>,
    page: PageRequest,
) -> Answer {
    let waiting = call.teller().waiting_cash(page).await?;
    let who = call.who()?.user.id;
    let now = call.teller().clock().now();
    let token = shell::form_token(call)?;
    let empty = Filled::with(&[("currency", "USD")]);
    let order = if part == Part::Order { filled } else { &empty };
    let content = html! {
        h1 { "Cash" }
        (done(told))
        (filled.summary(&["user", "amount", "currency", "reference", "note"]))
        section {
            h2 { "Waits for a second operator" }
            @if waiting.rows.is_empty() { div.empty { p { "No cash waits." } p { "What is above the amount that one operator may move alone shows up here." } } }
            @for (_, record) in &waiting.rows { (card(record, who, &token, now, Some(filled).filter(|_| part == Part::Waiting && is_named(call, record)))) }
            (pager("/console/desk/cash", &[], page.after.is_some(), waiting.next))
        }
        section {
            h2 { "Take in or pay out" }
            form method="post" action="/console/desk/cash/deposit" novalidate data-once {
                (token) (once::field(call, &Filled::default())?) (no_default())
                (USER.show(order))
                div.pair { (AMOUNT.show(order)) (CURRENCY.show(order)) }
                (REFERENCE.show(order))
                div.actions {
                    button.button type="submit" formaction="/console/desk/cash/deposit" { "Take it in" }
                    button.button.second type="submit" formaction="/console/desk/cash/withdraw" { "Pay it out" }
                }
            }
        }
    };
    shell::page_with(call, status, "Cash", Place::Cash, &content)
}

fn is_named(call: &Call, record: &Record) -> bool {
    call.path_parameter() == TransactionId::new(record.key.id).to_string()
}

fn card(record: &Record, who: UserId, token: &Markup, now: Timestamp, filled: Option<&Filled>) -> Markup {
    let Some(request) = record.read::<CashRequest>() else { return html! {} };
    let id = TransactionId::new(record.key.id);
    let title = match request.direction {
        CashDirection::Deposit => "Deposit",
        CashDirection::Withdrawal => "Withdrawal",
    };
    let action = |word: &str| format!("/console/desk/cash/{id}/{word}");
    html! {
        article.review id=(id) aria-label={ (title) " of " (format::plain(request.amount_minor, request.currency)) } {
            div.heading {
                h3.amount { (format::money(request.amount_minor, request.currency, Sign::Plain)) }
                p.quiet.small { "waits since " (format::time(record.created_at, now)) }
            }
            p.route {
                span.badge { (title) } " " (user_link(request.user, request.name.as_deref())) " · " (request.reference)
            }
            @if request.asked_by == who {
                p.quiet { "You asked for this: another operator looks at it." }
            } @else {
                p.quiet { "Asked for by " (user_link(request.asked_by, None)) "." }
                form method="post" action=(action("reject")) novalidate {
                    (token) (no_default())
                    (words(&format!("note-{id}"), "note", "Note", false, filled))
                    div.actions {
                        button.button type="submit" formaction=(action("approve")) { "Let it through" }
                        button.button.danger type="submit" formaction=(action("reject")) { "Stop it" }
                    }
                }
            }
            p.quiet.small { "Id " (short_id(&id.to_string())) }
        }
    }
}

pub(super) async fn deposit(call: Call) -> Answer {
    order(&call, CashDirection::Deposit, "deposit").await
}

pub(super) async fn withdraw(call: Call) -> Answer {
    order(&call, CashDirection::Withdrawal, "withdrawal").await
}

async fn order(call: &Call, direction: CashDirection, word: &str) -> Answer {
    let key = once::key(call, &["user", "amount", "currency", "reference"])?;
    let answered = match read_order(call, direction, Some(key)) {
        Ok(order) => {
            let answered = call.teller().cash(call.who()?, call.origin.clone(), order).await;
            answered.map(|(answer, _)| answer).map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match answered {
        Ok(CashAnswer::Waits(_)) => Ok(reply::see_other("/console/desk/cash?note=waits")),
        Ok(_) => Ok(reply::see_other(&format!("/console/desk/cash?note={word}"))),
        Err(problem) => {
            let problem = match problem.code() {
                Code::RecipientNotFound => Problem::field("user", "unknown", "is no account of this ledger"),
                _ => problem,
            };
            refused(call, &problem, Part::Order).await
        }
    }
}

pub(super) async fn approve(call: Call) -> Answer {
    decide(&call, true, "approved").await
}

pub(super) async fn reject(call: Call) -> Answer {
    decide(&call, false, "rejected").await
}

async fn decide(call: &Call, approved: bool, word: &str) -> Answer {
    match decided(call, approved).await {
        Ok(_) => Ok(reply::see_other(&format!("/console/desk/cash?note={word}"))),
        Err(problem) => refused(call, &problem, Part::Waiting).await,
    }
}

async fn refused(call: &Call, problem: &Problem, part: Part) -> Answer {
    let status = problem.code().entry().status;
    show(call, status, &Filled::refused(call, problem), part, None, FIRST).await
}
