//! Security events of everybody, as they come, in the words of the OWASP Logging Vocabulary.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{ROWS, short_id, user_link};
use crate::console::form::{Filled, Input, any_word, or_any, select};
use crate::console::format;
use crate::console::history::{badge, pager, sentence};
use crate::console::security::told;
use crate::console::shell::{self, Place};
use crate::http::call::Call;
use crate::http::operators::{SEVERITIES, read_event_query};
use crate::http::spec::Answer;
use crate::ledger::{EventKind, SecurityEvent, Severity, Timestamp};
use crate::store::Page;

const USER: Input = Input::text("user", "User id", "");
const FROM: Input = Input { kind: "date", ..Input::text("from", "From", "") };
const TO: Input = Input { kind: "date", ..Input::text("to", "To", "") };

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let pairs = query.pairs();
    let asked = read_event_query(&mut query, ROWS);
    let is_later = asked.page.after.is_some();
    let values: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let mut filled = Filled::with(&values);
    let events = match query.finish(asked) {
        Ok(asked) => call.teller().find_events(asked).await?,
        Err(problem) => {
            filled = filled.wrong(&problem);
            Page { rows: Vec::new(), next: None }
        }
    };
    let now = call.teller().clock().now();
    let content = html! {
        h1 { "Security events" }
        (filters(&filled))
        div id="events" data-live {
            @if events.rows.is_empty() {
                div.empty { p { "No event is like that." } p { a href="/console/desk/events" { "Show all of them" } } }
            } @else { (table(&events.rows, now)) }
        }
        (pager("/console/desk/events", &pairs, is_later, events.next))
    };
    shell::page(&call, "Security events", Place::Events, &content)
}

fn filters(filled: &Filled) -> Markup {
    let kinds = EventKind::ALL.iter().map(|kind| (kind.name().to_owned(), told(*kind).to_owned()));
    html! {
        form.filters method="get" action="/console/desk/events" role="search" aria-label="Security events" {
            (select(filled, "event", "Event", or_any(kinds)))
            (select(filled, "severity", "Severity", any_word(SEVERITIES)))
            (USER.show(filled)) (FROM.show(filled)) (TO.show(filled))
            div.actions { button.button.second type="submit" { "Show" } }
        }
    }
}

fn table(events: &[SecurityEvent], now: Timestamp) -> Markup {
    html! {
        table.rows {
            thead { tr { th scope="col" { "What" } th scope="col" { "When" } th.wide scope="col" { "Who" } th.wide scope="col" { "From" } } }
            tbody { @for event in events { (row(event, now)) } }
        }
    }
}

fn row(event: &SecurityEvent, now: Timestamp) -> Markup {
    let details: BTreeMap<String, String> = serde_json::from_str(&event.detail).unwrap_or_default();
    html! {
        tr {
            th scope="row" {
                (told(event.kind))
                @if event.severity != Severity::Info { " " (badge(event.severity.name())) }
                p.note { code { (event.kind.name()) } }
                @if !details.is_empty() {
                    p.note { @for (at, (name, value)) in details.iter().enumerate() { @if at > 0 { " · " } (sentence(name)) ": " (detail(value)) } }
                }
                p.note.slim { (whom(event)) @if let Some(ip) = event.ip { " · " (ip) } }
            }
            td { (format::time(event.at, now)) }
            td.wide { (whom(event)) }
            td.wide {
                @if let Some(ip) = event.ip { (ip) } @else { "this host" }
                @if event.user_agent.is_some() { p.note { (format::device(event.user_agent.as_deref())) } }
            }
        }
    }
}

fn whom(event: &SecurityEvent) -> Markup {
    html! { @match event.user { Some(user) => { (user_link(user, None)) } None => { span.quiet { "nobody known" } } } }
}

/// A value that explains an event; of an id as much as tells it from others.
fn detail(value: &str) -> Markup {
    let is_id = value.len() > 20 && value.split_once('_').is_some_and(|(kind, _)| kind.len() == 3);
    html! { @if is_id { (short_id(value)) } @else { (value) } }
}
