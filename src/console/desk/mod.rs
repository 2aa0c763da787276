//! The desk: what operators look at and do, by role. Every permission stands in the route table; what a page leads to is
//! shown only to those whom it would let in.

mod audit;
mod settings;

pub(super) use audit::{page as audit, verify};
pub(super) use settings::page as settings;

use maud::{Markup, html};

use super::format;
use crate::ledger::Timestamp;
use crate::teller::Verification;

/// Whether the books balance, in a mark and a sentence.
fn books(verification: &Verification, now: Timestamp) -> Markup {
    html! {
        @match (&verification.last, verification.running_since) {
            (Some((at, Ok(report))), _) if report.discrepancies.is_empty() => {
                span.badge.good { "The books balance" } " " span.quiet.small { "checked " (format::time(*at, now)) }
            }
            (Some((at, Ok(report))), _) => {
                span.badge.bad { "The books do not balance" } " "
                span.small { (report.discrepancies.len()) " discrepancies, found " (format::time(*at, now)) }
            }
            (Some((at, Err(_))), _) => { span.badge.bad { "The books could not be checked" } " " span.quiet.small { (format::time(*at, now)) } }
            (None, Some(_)) => { span.badge.wait { "The books are being checked" } }
            (None, None) => { span.badge { "The books were not checked yet" } }
        }
    }
}
