//! The desk: what operators look at and do, by role. Every permission stands in [`routes`]; what a page leads to is shown
//! only to those whom it would let in. Whatever changes something goes through the same readers and the same teller as
//! the API's operator calls.

mod audit;
mod cash;
mod chart;
mod events;
mod overview;
mod payments;
mod reconciliation;
mod reviews;
pub mod routes;
mod settings;
mod today;
mod users;

use maud::{Markup, html};

use super::form::Filled;
use super::{format, history};
use crate::auth::permission::Permission;
use crate::http::call::Call;
use crate::ledger::{Party, Timestamp, UserId};
use crate::teller::Verification;

/// How many rows a list of the desk has.
const ROWS: usize = 25;

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

/// Whether the caller's role has the permission: whether a page shows what leads further.
fn may(call: &Call, permission: Permission) -> bool {
    call.who.as_ref().is_some_and(|who| permission.is_given_to(who.user.role))
}

/// An id as much as one needs to tell it from others, with the whole of it for whoever points at it.
fn short_id(id: &str) -> Markup {
    let is_long = id.len() > 16;
    html! {
        @match (id.get(..8), id.get(id.len().saturating_sub(5)..)) {
            (Some(start), Some(end)) if is_long => { code.id title=(id) { (start) "…" (end) } }
            _ => { code.id { (id) } }
        }
    }
}

/// Somebody by the name that a row has of them, with the way to what is known of them.
fn person(party: &Party) -> Markup {
    html! {
        @if party.id.system_name().is_some() { (history::party(party)) } @else { (user_link(party.id, party.name.as_deref())) }
    }
}

fn user_link(id: UserId, name: Option<&str>) -> Markup {
    html! {
        a href={ "/console/desk/users/" (id) } { @match name { Some(name) => { (name) } None => { (short_id(&id.to_string())) } } }
    }
}

/// What was just done, above everything else.
fn done(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { div.notice.good role="status" { p { (text) } } } }
}

/// A field for words about a decision, with an id of its own where a page has many.
fn words(id: &str, name: &str, label: &str, is_required: bool, filled: Option<&Filled>) -> Markup {
    let error = filled.and_then(|filled| filled.error(name));
    html! {
        div.field.wrong[error.is_some()] {
            label for=(id) { (label) @if !is_required { span.quiet { " (optional)" } } }
            input id=(id) name=(name) type="text" maxlength="500" autocomplete="off" required[is_required]
                value=[filled.map(|filled| filled.value(name)).filter(|value| !value.is_empty())]
                aria-invalid=[error.map(|_| "true")] aria-describedby=[error.map(|_| format!("{id}-error"))];
            @if let Some(error) = error { p.error id={ (id) "-error" } { (label) " " (error) "." } }
        }
    }
}

/// Stands before the buttons of a form that offers two ways: the Enter key, which presses the first button, chooses none.
fn no_default() -> Markup {
    html! { button type="submit" disabled hidden {} }
}
