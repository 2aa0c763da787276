//! A "no" that is a page of its own: what happened, what to do, and under which id the log has it.

use maud::{Markup, html};

use super::shell;
use crate::http::problem::{Code, Problem};
use crate::ledger::RequestId;

/// The page of a problem.
pub(super) fn page(problem: &Problem, request_id: RequestId) -> Markup {
    let entry = problem.code().entry();
    shell::document(
        entry.title,
        None,
        &html! {
            header.top { a.brand href="/console/" { "Farthing" } }
            main.narrow id="content" tabindex="-1" {
                h1 { (entry.title) }
                p.lead { (problem.detail()) }
                p { (entry.cure) }
                @if problem.code() == Code::CredentialsTooWeak {
                    p.actions { a.button href="/console/security" { "Mend them" } }
                } @else {
                    p.actions { a.button href="/console/" { "Go to your wallet" } }
                }
                p.quiet.small { "Request " code { (request_id) } " · " (entry.status.as_u16()) " " code { (entry.name) } }
            }
        },
    )
}
