//! The audit: where the chain of the journal ends, and whether everything follows from it.

use maud::{Markup, html};

use super::books;
use crate::console::shell::{self, Place};
use crate::console::{format, reply};
use crate::http::call::Call;
use crate::http::spec::Answer;
use crate::ledger::Timestamp;
use crate::teller::Verification;

pub(super) async fn page(call: Call) -> Answer {
    let status = call.teller().status();
    let verification = call.teller().verification();
    let now = call.teller().clock().now();
    let content = html! {
        h1 { "Audit" }
        section {
            h2 { "The books" }
            div id="verification" data-live { (told(&verification, now)) }
            form method="post" action="/console/desk/audit/verify" {
                (shell::form_token(&call)?)
                button.button type="submit" disabled[verification.running_since.is_some()] { "Verify now" }
            }
        }
        section {
            h2 { "The chain" }
            p { "Every payment and every security event is in one chain of hashes: a row that is changed, removed or put in between breaks it." }
            dl.facts id="chain" data-live {
                dt { "Blocks" } dd.number { (format::count(status.blocks)) }
                dt { "Transactions" } dd.number { (format::count(status.sequence)) }
            }
        }
    };
    shell::page(&call, "Audit", Place::Audit, &content)
}

fn told(verification: &Verification, now: Timestamp) -> Markup {
    html! {
        p { (books(verification, now)) }
        @if let Some(since) = verification.running_since {
            p { progress aria-label="Verifying" {} " Recomputing every balance from the journal, since " (format::time(since, now)) ". " a href="/console/desk/audit" { "Look again" } }
        }
        @match &verification.last {
            Some((_, Ok(report))) => {
                p.quiet { (format::count(report.transactions)) " transactions, " (format::count(report.entries)) " entries, " (format::count(report.accounts)) " accounts, " (format::count(report.blocks)) " blocks." }
                @if !report.discrepancies.is_empty() { ul { @for discrepancy in report.discrepancies.iter().take(100) { li { (discrepancy) } } } }
            }
            Some((_, Err(why))) => { p { (why) } }
            None => {}
        }
    }
}

pub(super) async fn verify(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    call.teller().begin_verification();
    Ok(reply::see_other("/console/desk/audit"))
}
