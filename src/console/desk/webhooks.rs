//! Webhooks of the house, which get every event: where they are, how their deliveries went, sent again.

use hyper::StatusCode;
use maud::{Markup, html};

use super::{ROWS, done, short_id};
use crate::console::form::Filled;
use crate::console::format;
use crate::console::history::{badge, pager};
use crate::console::reply;
use crate::console::shell::{self, Place};
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::spec::Answer;
use crate::ledger::{
    Delivery, DeliveryId, DeliveryState, Record, Timestamp, UserId, Webhook, WebhookId, WebhookPatch,
    WebhookState,
};
use crate::store::PageRequest;
use crate::teller::DeliveryFilter;

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: ROWS, after: query.after() };
    query.finish(())?;
    let found = call.teller().webhooks(UserId::HOUSE, page).await?;
    let now = call.teller().clock().now();
    let content = html! {
        h1 { "Webhooks of the house" }
        p.lead { "They get every event of the ledger, signed, in order per object." }
        @if found.rows.is_empty() {
            div.empty {
                p { "The house has no webhook yet." }
                p { "Make one with " code { "POST /webhooks" } " and " code { "\"scope\": \"ledger\"" } ": " a href="/docs#createWebhook" { "how" } "." }
            }
        }
        ul.cards id="webhooks" data-live { @for record in &found.rows { (card(record, now)) } }
        (pager("/console/desk/webhooks", &[], page.after.is_some(), found.next))
    };
    shell::page(&call, "Webhooks of the house", Place::Webhooks, &content)
}

fn card(record: &Record, now: Timestamp) -> Markup {
    let Some(webhook) = record.read::<Webhook>() else { return html! {} };
    let id = WebhookId::new(record.key.id);
    html! {
        li.card {
            div {
                p { a href={ "/console/desk/webhooks/" (id) } { strong { (webhook.url) } } }
                p.quiet.small { (webhook.events.join(", ")) @if !webhook.description.is_empty() { " · " (webhook.description) } }
            }
            p { (state(&webhook)) " " span.quiet.small { "since " (format::time(record.created_at, now)) } }
        }
    }
}

fn state(webhook: &Webhook) -> Markup {
    html! {
        @match webhook.state {
            WebhookState::Enabled => { span.badge.good { "On" } }
            WebhookState::Disabled(why) => { span.badge.bad { "Off: " (why.name().replace('_', " ")) } }
        }
    }
}

pub(super) async fn webhook(call: Call) -> Answer {
    let mut query = call.query();
    let told = match query.word("note") {
        Some("tested") => Some("A test is on its way."),
        Some("sent") => Some("It is on its way once more."),
        Some("enabled") => {
            Some("Switched on. What happened in between is sent with POST /webhooks/{id}/replay.")
        }
        Some("disabled") => Some("Switched off: nothing more is sent to it."),
        _ => None,
    };
    let page = PageRequest { limit: ROWS, after: query.after() };
    query.finish(())?;
    show(&call, StatusCode::OK, call.id()?, &Filled::default(), told, page).await
}

async fn show(
    call: &Call,
    status: StatusCode,
    id: WebhookId,
    filled: &Filled,
    told: Option<&str>,
    page: PageRequest,
) -> Answer {
    let who = call.who()?;
    let record = of_the_house(call.teller().webhook(who, id).await?.as_ref())?.clone();
    let webhook = record.read::<Webhook>().ok_or_else(|| Problem::internal("a webhook is not readable"))?;
    let found = call.teller().deliveries(who, id, page, DeliveryFilter::default()).await?;
    let now = call.teller().clock().now();
    let is_on = webhook.state == WebhookState::Enabled;
    let path = format!("/console/desk/webhooks/{id}");
    let token = shell::form_token(call)?;
    let content = html! {
        p.crumb { a href="/console/desk/webhooks" { "Webhooks of the house" } }
        h1.address { (webhook.url) }
        (done(told))
        (filled.summary(&[]))
        dl.facts {
            dt { "State" } dd { (state(&webhook)) }
            dt { "Events" } dd { (webhook.events.join(", ")) }
            dt { "Signed with" } dd { (webhook.scheme) }
            dt { "Id" } dd { code.id data-copy { (id) } }
        }
        div.moves {
            form method="post" action={ (path) "/test" } { (token) button.button.second type="submit" disabled[!is_on] { "Send a test" } }
            @if is_on { form method="post" action={ (path) "/disable" } { (token) button.button.danger type="submit" { "Switch off" } } }
            @else { form method="post" action={ (path) "/enable" } { (token) button.button.second type="submit" { "Switch on" } } }
        }
        section {
            h2 { "Deliveries" }
            div id="deliveries" data-live { (deliveries(&found.rows.iter().map(AsRef::as_ref).collect::<Vec<_>>(), &token, is_on, now)) }
            (pager(&path, &[], page.after.is_some(), found.next))
        }
    };
    shell::page_with(call, status, "Webhook", Place::Webhooks, &content)
}

/// The record, if it is the house's: one's own are elsewhere.
fn of_the_house(record: &Record) -> Result<&Record, Problem> {
    Some(record)
        .filter(|record| record.filing.owner == UserId::HOUSE)
        .ok_or_else(|| Problem::new(Code::NotFound))
}

fn deliveries(records: &[&Record], token: &Markup, is_on: bool, now: Timestamp) -> Markup {
    html! {
        @if records.is_empty() { div.empty { p { "Nothing was sent to it yet." } p { "A test shows whether it listens." } } } @else {
            table.rows {
                thead { tr { th scope="col" { "Event" } th scope="col" { "State" } th.wide scope="col" { "Last answer" } th.end scope="col" { "Again" } } }
                tbody { @for record in records { (delivery(record, token, is_on, now)) } }
            }
        }
    }
}

fn delivery(record: &Record, token: &Markup, is_on: bool, now: Timestamp) -> Markup {
    let Some(delivery) = record.read::<Delivery>() else { return html! {} };
    let id = DeliveryId::new(record.key.id);
    let last = delivery.tries.last();
    let next = record.filing.due_at.filter(|_| delivery.state == DeliveryState::Pending);
    html! {
        tr {
            th scope="row" { (delivery.name) p.note { (format::time(record.created_at, now)) " · " (short_id(&id.to_string())) } }
            td {
                (badge(delivery.state.name()))
                p.note { (delivery.tries.len()) @if delivery.tries.len() == 1 { " try" } @else { " tries" } @if let Some(next) = next { ", next " (format::time(next, now)) } }
            }
            td.wide {
                @if let Some(last) = last {
                    @if let Some(status) = last.status { (status) } @else if let Some(failure) = &last.failure { (failure) }
                    p.note { (last.elapsed_ms) " ms, " (format::time(last.at, now)) }
                }
            }
            td.end {
                form method="post" action={ "/console/desk/deliveries/" (id) "/redeliver" } {
                    (token)
                    button.button.second.small type="submit" disabled[!is_on] aria-label={ "Send " (delivery.name) " again" } { "Send again" }
                }
            }
        }
    }
}

pub(super) async fn test(call: Call) -> Answer {
    let id: WebhookId = call.id()?;
    let (who, origin) = (call.who()?, call.origin.clone());
    of_the_house(call.teller().webhook(who, id).await?.as_ref())?;
    let done = call.teller().test_webhook(who, origin, id).await.map(|_| ()).map_err(Problem::from);
    finish(&call, id, done, "tested").await
}

pub(super) async fn enable(call: Call) -> Answer {
    switch(&call, true, "enabled").await
}

pub(super) async fn disable(call: Call) -> Answer {
    switch(&call, false, "disabled").await
}

async fn switch(call: &Call, enabled: bool, word: &str) -> Answer {
    let id: WebhookId = call.id()?;
    let (who, origin) = (call.who()?, call.origin.clone());
    of_the_house(call.teller().webhook(who, id).await?.as_ref())?;
    let patch = WebhookPatch { url: None, events: None, description: None, enabled: Some(enabled) };
    let done = call.teller().update_webhook(who, origin, id, patch).await.map(|_| ()).map_err(Problem::from);
    finish(call, id, done, word).await
}

pub(super) async fn redeliver(call: Call) -> Answer {
    let id: DeliveryId = call.id()?;
    let (who, origin) = (call.who()?, call.origin.clone());
    let record = call.teller().delivery(who, id).await?;
    let webhook = of_the_house(&record)?.filing.parent.map(WebhookId::new);
    let webhook = webhook.ok_or_else(|| Problem::new(Code::NotFound))?;
    let done = call.teller().redeliver(who, origin, id).await.map(|_| ()).map_err(Problem::from);
    finish(&call, webhook, done, "sent").await
}

async fn finish(call: &Call, id: WebhookId, done: Result<(), Problem>, word: &str) -> Answer {
    match done {
        Ok(()) => Ok(reply::see_other(&format!("/console/desk/webhooks/{id}?note={word}"))),
        Err(problem) => {
            let status = problem.code().entry().status;
            let first = PageRequest { limit: ROWS, after: None };
            show(call, status, id, &Filled::refused(call, &problem), None, first).await
        }
    }
}
