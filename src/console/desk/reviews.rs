//! The review queue: payments that a risk rule holds, the longest waiting first, each with why; an operator lets it
//! through or stops it, and says why.

use hyper::StatusCode;
use maud::{Markup, html};

use super::{ROWS, done, no_default, person, words};
use crate::console::form::Filled;
use crate::console::format::{self, Sign};
use crate::console::history::{pager, sentence};
use crate::console::shell::{self, Place};
use crate::console::{once, reply};
use crate::http::call::Call;
use crate::http::payments::settle;
use crate::http::problem::Problem;
use crate::http::reviews::read_note;
use crate::http::spec::Answer;
use crate::ledger::{Review, Settlement, Timestamp};
use crate::store::PageRequest;
use crate::teller::ReviewNow;

const FIRST: PageRequest = PageRequest { after: None, limit: ROWS };

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let note = query.word("note");
    let page = PageRequest { after: query.after(), ..FIRST };
    query.finish(())?;
    let told = match note {
        Some("approved") => Some("The payment went through."),
        Some("rejected") => Some("The payment was stopped; its payer has the money back."),
        _ => None,
    };
    show(&call, StatusCode::OK, &Filled::default(), told, page).await
}

async fn show(
    call: &Call,
    status: StatusCode,
    filled: &Filled,
    told: Option<&str>,
    page: PageRequest,
) -> Answer {
    let queue = call.teller().review_queue().await.map_err(crate::teller::TellerError::from)?;
    let found = call.teller().reviews(call.who()?, page).await?;
    let now = call.teller().clock().now();
    let token = html! { (shell::form_token(call)?) (once::field(call, &Filled::default())?) };
    let refused = call.path_parameter();
    let content = html! {
        h1 { "Reviews" }
        (done(told))
        (filled.summary(&["note"]))
        p id="queue" data-live { (length(queue.waiting, now.plus_millis(queue.oldest_ms.saturating_neg()), now)) }
        @if found.rows.is_empty() {
            div.empty {
                p { "No payment waits for you." }
                p { "A rule that holds payments puts them here; payments of your own are for another operator." }
            }
        }
        @for review in &found.rows {
            (card(review, &token, now, Some(filled).filter(|_| !refused.is_empty() && review.first.payment().is_some_and(|id| id.to_string() == refused))))
        }
        (pager("/console/desk/reviews", &[], page.after.is_some(), found.next))
    };
    shell::page_with(call, status, "Reviews", Place::Reviews, &content)
}

fn length(waiting: u64, oldest: Timestamp, now: Timestamp) -> Markup {
    html! {
        @match waiting {
            0 => { span.badge.good { "Nothing waits" } }
            1 => { span.badge.wait { "1 payment waits" } " " span.quiet.small { "since " (format::time(oldest, now)) } }
            many => { span.badge.wait { (format::count(many)) " payments wait" } " " span.quiet.small { "the oldest since " (format::time(oldest, now)) } }
        }
    }
}

fn card(review: &ReviewNow, token: &Markup, now: Timestamp, filled: Option<&Filled>) -> Markup {
    let first = &*review.first;
    let Some(payment) = first.payment() else { return html! {} };
    html! {
        article.review id=(payment) aria-label={ "Payment of " (format::plain(first.money.amount_minor(), first.money.currency())) } {
            div.heading {
                h2.amount { (format::amount(first.money, Sign::Plain)) }
                p.quiet.small {
                    "waits since " (format::time(first.created_at, now))
                    @if let Some(due) = review.record.filing.due_at { " · its money goes back " (format::time(due, now)) }
                }
            }
            p.route { (person(&first.from)) " → " (person(&first.to)) " · " a href={ "/console/desk/payments/" (payment) } { "Details" } }
            @if !first.memo.description.is_empty() { p.quiet { "“" (first.memo.description) "”" } }
            (hits(&review.review))
            (decision(&payment.to_string(), token, filled))
        }
    }
}

/// The rules that a payment hit, each with what it counted and where its limit is.
pub(super) fn hits(review: &Review) -> Markup {
    html! {
        table.rows.hits {
            thead { tr { th scope="col" { "Rule" } th.end scope="col" { "Counted" } th.end scope="col" { "Limit" } } }
            tbody {
                @for reason in &review.reasons {
                    tr { th scope="row" { (sentence(&reason.rule)) } td.end.number { (reason.figure) } td.end.number { (reason.limit) } }
                }
            }
        }
    }
}

/// The two ways that a payment under review can go.
pub(super) fn decision(payment: &str, token: &Markup, filled: Option<&Filled>) -> Markup {
    let action = |word: &str| format!("/console/desk/reviews/{payment}/{word}");
    html! {
        form method="post" action=(action("reject")) novalidate data-once {
            (token) (no_default())
            (words(&format!("note-{payment}"), "note", "Why", true, filled))
            div.actions {
                button.button type="submit" formaction=(action("approve")) { "Let it through" }
                button.button.danger type="submit" formaction=(action("reject")) { "Stop it" }
            }
        }
    }
}

pub(super) async fn approve(call: Call) -> Answer {
    decide(&call, |note| Settlement::Approve { note }, "approved").await
}

pub(super) async fn reject(call: Call) -> Answer {
    decide(&call, |note| Settlement::Reject { note }, "rejected").await
}

async fn decide(call: &Call, settlement: fn(String) -> Settlement, word: &str) -> Answer {
    let decided = match read_note(call) {
        Ok(note) => settle(call, settlement(note), Some(once::key(call, &["note"])?)).await.map(|_| ()),
        Err(problem) => Err(problem),
    };
    match decided {
        Ok(()) => Ok(reply::see_other(&format!("/console/desk/reviews?note={word}"))),
        Err(problem) => refused(call, &problem).await,
    }
}

async fn refused(call: &Call, problem: &Problem) -> Answer {
    let status = problem.code().entry().status;
    show(call, status, &Filled::refused(call, problem), None, FIRST).await
}
