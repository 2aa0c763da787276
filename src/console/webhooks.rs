//! Webhooks of one's own: made, tested, switched off and on, given another secret, taken away; and what was sent to them.

use hyper::StatusCode;
use maud::{Markup, html};

use super::form::{Filled, Input, any_word, checkboxes, or_any, owned, select};
use super::history::{badge, pager};
use super::secret::{OVERLAPS, Shown};
use super::shell::{self, Place};
use super::{format, once, reply, secret};
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::spec::Answer;
use crate::http::webhooks::{read_filter, read_webhook, replace_secret};
use crate::ledger::{
    Delivery, DeliveryId, DeliveryState, Disabled, EventType, Record, Timestamp, UserId, Webhook, WebhookId,
    WebhookPatch, WebhookState,
};
use crate::store::{Page, PageRequest};
use crate::teller::{DeliveryFilter, FreshWebhook};

/// How many webhooks a page has, and how many deliveries.
const ROWS: usize = 25;
const ADDRESS: &str = "/console/webhooks";
const URL: Input =
    Input { kind: "url", ..Input::text("url", "Address", "Where events are sent: https, a public host.") }
        .required();
const NOTE: Input = Input::text("description", "Note", "For yourself.");
/// The signatures' schemes.
const SCHEMES: [(&str, &str); 2] =
    [("v1", "v1: a shared secret (HMAC-SHA256)"), ("v1a", "v1a: a public key (Ed25519)")];
/// What can be selected, families of types; the first is everything.
const FAMILIES: [(&str, &str); 8] = [
    ("*", "Everything"),
    ("payment.*", "Payments: made, held, captured, voided, reviewed"),
    ("refund.*", "Refunds"),
    ("topup.*", "Top-ups"),
    ("deposit.*", "Deposits"),
    ("withdrawal.*", "Withdrawals"),
    ("request.*", "Payment requests"),
    ("schedule.*", "Scheduled payments"),
];

/// Whose webhooks a list has.
struct List {
    title: &'static str,
    address: &'static str,
    /// As the form that makes one says it.
    scope: &'static str,
    place: Place,
    /// What they are good for, where there are none yet.
    about: &'static str,
}

const OWN: List = List {
    title: "Webhooks",
    address: ADDRESS,
    scope: "own",
    place: Place::OwnWebhooks,
    about: "A webhook is told of your payments the moment they happen, so that a server of yours need not ask.",
};
const OF_HOUSE: List = List {
    title: "Webhooks of the house",
    address: "/console/desk/webhooks",
    scope: "ledger",
    place: Place::Webhooks,
    about: "A webhook of the house gets every event of the ledger, signed, in order per object.",
};

/// What was just done, of all webhooks' pages.
pub(super) const DONE: &[&str] = &["deleted", "twice"];

pub(super) async fn list(call: Call) -> Answer {
    let owner = call.who()?.user.id;
    show_list(&call, &OWN, owner).await
}

pub(super) async fn list_of_house(call: Call) -> Answer {
    show_list(&call, &OF_HOUSE, UserId::HOUSE).await
}

async fn show_list(call: &Call, list: &List, owner: UserId) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: ROWS, after: query.after() };
    let note = query.word("note");
    let pairs = query.pairs();
    query.finish(())?;
    let webhooks = call.teller().webhooks(owner, page).await?;
    let now = call.teller().clock().now();
    let add = format!("{ADDRESS}/new?scope={}", list.scope);
    let content = html! {
        div.heading {
            h1 { (list.title) }
            @if !webhooks.rows.is_empty() { a.button href=(add) { "Add a webhook" } }
        }
        @if let Some(done) = note.and_then(done) { div.notice.good role="status" { p { (done) } } }
        @if webhooks.rows.is_empty() {
            div.empty {
                p { "No webhook yet." }
                p.quiet { (list.about) }
                p { a.button href=(add) { "Add a webhook" } }
            }
        } @else {
            table.rows {
                thead { tr { th scope="col" { "Address" } th.wide scope="col" { "Events" } th scope="col" { "State" } th.wide scope="col" { "Made" } } }
                tbody { @for record in &webhooks.rows { (row(record, now)?) } }
            }
        }
        (pager(list.address, &pairs, page.after.is_some(), webhooks.next))
    };
    shell::page(call, list.title, list.place, &content)
}

fn done(note: &str) -> Option<&'static str> {
    Some(match note {
        "deleted" => "The webhook is gone: nothing more is sent to it.",
        "twice" => "That form was sent before. Its secret was shown then, and nothing was made again.",
        "tested" => "A test is on its way. It shows up below.",
        "on" => "It is switched on.",
        "off" => "It is switched off: nothing is sent to it.",
        "again" => "It is on its way once more, as a new delivery.",
        _ => return None,
    })
}

fn webhook_of(record: &Record) -> Result<Webhook, Problem> {
    record.read().ok_or_else(|| Problem::internal("a webhook is not readable"))
}

fn row(record: &Record, now: Timestamp) -> Result<Markup, Problem> {
    let webhook = webhook_of(record)?;
    Ok(html! {
        tr {
            th scope="row" {
                a href={ (ADDRESS) "/" (WebhookId::new(record.key.id)) } { (webhook.url) }
                @if !webhook.description.is_empty() { p.note { (webhook.description) } }
            }
            td.wide { @for event in &webhook.events { span.badge { (event) } " " } }
            td { (state(&webhook)) }
            td.wide { (format::time(record.created_at, now)) }
        }
    })
}

fn state(webhook: &Webhook) -> Markup {
    match webhook.state {
        WebhookState::Enabled => html! { span.badge.good { "On" } },
        WebhookState::Disabled(Disabled::ByOwner) => html! { span.badge { "Off" } },
        WebhookState::Disabled(Disabled::Gone) => html! { span.badge.bad { "Off: it answered 410" } },
        WebhookState::Disabled(Disabled::Failing) => html! { span.badge.bad { "Off: it kept failing" } },
    }
}

pub(super) async fn new(call: Call) -> Answer {
    let mut query = call.query();
    let scope = query.word("scope").unwrap_or_default();
    query.finish(())?;
    form(&call, StatusCode::OK, &Filled::with(&[("events", "*"), ("scope", scope)]))
}

fn form(call: &Call, status: StatusCode, filled: &Filled) -> Answer {
    let list = if filled.value("scope") == "ledger" { OF_HOUSE } else { OWN };
    let content = html! {
        p.crumb { a href=(list.address) { (list.title) } }
        h1 { "Add a webhook" }
        (filled.summary(&["url", "events", "description", "signature"]))
        form method="post" action="/console/webhooks/new" novalidate data-once {
            (shell::form_token(call)?)
            (once::field(call, filled)?)
            input type="hidden" name="scope" value=(list.scope);
            (URL.show(filled))
            (checkboxes(filled, "events", "What it is told", FAMILIES))
            (NOTE.show(filled))
            (select(filled, "signature", "How deliveries are signed", owned(SCHEMES)))
            div.actions { button.button type="submit" { "Add it" } a.button.second href=(list.address) { "Leave it" } }
        }
    };
    shell::page_with(call, status, "Add a webhook", list.place, &content)
}

pub(super) async fn make(call: Call) -> Answer {
    let Some(claim) = once::claim(&call)? else {
        return Ok(reply::see_other("/console/webhooks?note=twice"));
    };
    let made = match read_webhook(&call).await {
        Ok(request) => {
            let making = call.teller().create_webhook(call.who()?, call.origin.clone(), request);
            making.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match made {
        Ok(fresh) => {
            claim.keep();
            shown(&call, &fresh)
        }
        Err(problem) => form(&call, problem.code().entry().status, &Filled::refused(&call, &problem)),
    }
}

/// What deliveries are verified with, this once.
fn shown(call: &Call, fresh: &FreshWebhook) -> Answer {
    let webhook = webhook_of(&fresh.record)?;
    let is_public = webhook.public_key.is_some();
    secret::page(
        call,
        &Shown {
            title: if is_public { "The public key of your webhook" } else { "The secret of your webhook" },
            about: html! {
                p { "Deliveries to " strong { (webhook.url) } " are signed after Standard Webhooks. Verify each with this before you believe it." }
            },
            secret: &fresh.secret,
            back: &address(&fresh.record),
            place: list_of(&fresh.record).place,
        },
    )
}

fn list_of(record: &Record) -> &'static List {
    if record.filing.owner == UserId::HOUSE { &OF_HOUSE } else { &OWN }
}

fn address(record: &Record) -> String {
    format!("{ADDRESS}/{}", WebhookId::new(record.key.id))
}

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: ROWS, after: query.after() };
    let (note, filter) = (query.word("note"), read_filter(&mut query));
    let mut pairs = query.pairs();
    query.finish(())?;
    pairs.retain(|(name, _)| *name != "note");
    let id: WebhookId = call.id()?;
    let record = call.teller().webhook(call.who()?, id).await?;
    let deliveries = call.teller().deliveries(call.who()?, id, page, filter).await?;
    let (webhook, now) = (webhook_of(&record)?, call.teller().clock().now());
    let (address, token) = (address(&record), shell::form_token(&call)?);
    let values: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let list = list_of(&record);
    let content = html! {
        p.crumb { a href=(list.address) { (list.title) } }
        h1.address { (webhook.url) }
        @if let Some(done) = note.and_then(done) { div.notice.good role="status" { p { (done) } } }
        (facts(&record, &webhook, now))
        (actions(&webhook, &address, &token))
        section {
            div.heading { h2 { "Deliveries" } a href=(address) { "Look again" } }
            (filters(&address, &Filled::with(&values)))
            div id="deliveries" data-live { (table(&deliveries, filter, (&address, &token), now)?) }
            (pager(&address, &pairs, page.after.is_some(), deliveries.next))
        }
        (secret_and_end(&call, &address, &token)?)
    };
    shell::page(&call, "Webhook", list.place, &content)
}

fn facts(record: &Record, webhook: &Webhook, now: Timestamp) -> Markup {
    html! {
        dl.facts {
            dt { "State" } dd { (state(webhook)) }
            dt { "Events" } dd { @for event in &webhook.events { span.badge { (event) } " " } }
            @if !webhook.description.is_empty() { dt { "Note" } dd { (webhook.description) } }
            dt { "Signed by" } dd { (webhook.scheme) }
            @if let Some(key) = &webhook.public_key { dt { "Public key" } dd { code.id data-copy { (key) } } }
            @if let Some(retired) = webhook.retired.as_ref().filter(|retired| now < retired.until) {
                dt { "Old secret" } dd { "signs, too, until " (format::exact(retired.until)) }
            }
            dt { "Made" } dd { (format::time(record.created_at, now)) }
            dt { "Id" } dd { code.id data-copy { (WebhookId::new(record.key.id)) } }
        }
    }
}

fn actions(webhook: &Webhook, address: &str, token: &Markup) -> Markup {
    let is_on = webhook.state == WebhookState::Enabled;
    html! {
        div.actions {
            form method="post" action={ (address) "/test" } { (token) button.button type="submit" { "Send a test" } }
            form method="post" action={ (address) "/switch" } {
                (token)
                input type="hidden" name="enabled" value=(if is_on { "false" } else { "true" });
                button.button.second type="submit" { @if is_on { "Switch it off" } @else { "Switch it on" } }
            }
        }
    }
}

fn filters(address: &str, filled: &Filled) -> Markup {
    let types = EventType::NAMES.iter().map(|name| ((*name).to_owned(), (*name).to_owned()));
    html! {
        form.filters.few method="get" action=(address) aria-label="Deliveries" {
            (select(filled, "status", "State", any_word(DeliveryState::NAMES)))
            (select(filled, "type", "Event", or_any(types)))
            div.actions { button.button.second type="submit" { "Show" } }
        }
    }
}

fn table(
    deliveries: &Page<std::sync::Arc<Record>>,
    filter: DeliveryFilter,
    form: (&str, &Markup),
    now: Timestamp,
) -> Result<Markup, Problem> {
    let is_filtered = filter.state.is_some() || filter.kind.is_some();
    Ok(html! {
        @if deliveries.rows.is_empty() {
            div.empty {
                @if is_filtered { p { "No delivery is like that." } } @else { p { "Nothing was sent yet. “Send a test” shows how it goes." } }
            }
        } @else {
            table.rows {
                thead { tr {
                    th scope="col" { "Event" } th.wide scope="col" { "State" } th.wide scope="col" { "Last answer" } th.end scope="col" { span.unseen { "Again" } }
                } }
                tbody { @for record in &deliveries.rows { (delivery_row(record, form, now)?) } }
            }
        }
    })
}

fn delivery_row(
    record: &Record,
    (address, token): (&str, &Markup),
    now: Timestamp,
) -> Result<Markup, Problem> {
    let delivery: Delivery = record.read().ok_or_else(|| Problem::internal("a delivery is not readable"))?;
    let id = DeliveryId::new(record.key.id);
    let next = record.filing.due_at.filter(|_| delivery.state == DeliveryState::Pending);
    Ok(html! {
        tr {
            th scope="row" {
                (delivery.name)
                p.note { (format::time(record.created_at, now)) }
                p.note.slim { (badge(delivery.state.name())) }
                (tries(&delivery, now))
            }
            td.wide {
                (badge(delivery.state.name()))
                @if let Some(next) = next { p.note { "next " (format::time(next, now)) } }
            }
            td.wide { (last_answer(&delivery)) }
            td.end {
                form method="post" action={ (address) "/deliveries/" (id) "/redeliver" } {
                    (token)
                    button.button.second.small type="submit" aria-label={ "Send " (delivery.name) " of " (format::exact(record.created_at)) " again" } { "Send again" }
                }
            }
        }
    })
}

fn last_answer(delivery: &Delivery) -> Markup {
    html! {
        @match delivery.tries.last() {
            None => { span.quiet { "not tried yet" } }
            Some(last) => {
                @if let Some(status) = last.status { span.number { (status) } }
                @if let Some(failure) = &last.failure { (failure) }
                p.note.number { (last.elapsed_ms) " ms" }
            }
        }
    }
}

/// Every attempt, and the beginning of the last answer's body.
fn tries(delivery: &Delivery, now: Timestamp) -> Markup {
    html! {
        @if !delivery.tries.is_empty() {
            details.tries {
                summary { (delivery.tries.len()) @if delivery.tries.len() == 1 { " attempt" } @else { " attempts" } }
                ul {
                    @for attempt in &delivery.tries {
                        li.number {
                            (format::time(attempt.at, now)) ": "
                            @if let Some(status) = attempt.status { (status) }
                            @if let Some(failure) = &attempt.failure { (failure) }
                            ", " (attempt.elapsed_ms) " ms"
                        }
                    }
                }
                @if !delivery.body.is_empty() { pre tabindex="0" { code { (delivery.body) } } }
            }
        }
    }
}

fn secret_and_end(call: &Call, address: &str, token: &Markup) -> Result<Markup, Problem> {
    let filled = Filled::default();
    Ok(html! {
        section {
            h2 { "Another secret" }
            p.quiet { "Both sign for a while, so that no receiver misses a delivery." }
            form method="post" action={ (address) "/secret" } data-once {
                (token)
                (once::field(call, &filled)?)
                (select(&filled, "keep_old_seconds", "The old one signs, too", owned(OVERLAPS)))
                div.actions { button.button.second type="submit" { "Make another" } }
            }
        }
        section {
            h2 { "Take it away" }
            p.quiet { "Nothing more is sent to it, and its deliveries are not shown any more." }
            form method="post" action={ (address) "/delete" } { (token) div.actions { button.button.danger type="submit" { "Delete the webhook" } } }
        }
    })
}

pub(super) async fn rotate(call: Call) -> Answer {
    let Some(claim) = once::claim(&call)? else {
        return Ok(reply::see_other("/console/webhooks?note=twice"));
    };
    let fresh = replace_secret(&call).await?;
    claim.keep();
    shown(&call, &fresh)
}

pub(super) async fn test(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    let id: WebhookId = call.id()?;
    call.teller().test_webhook(call.who()?, call.origin.clone(), id).await?;
    Ok(reply::see_other(&format!("{ADDRESS}/{id}?note=tested")))
}

pub(super) async fn switch(call: Call) -> Answer {
    let id: WebhookId = call.id()?;
    let mut form = call.form()?;
    let enabled = form.flag("enabled");
    let enabled = form.finish(enabled)?;
    let patch = WebhookPatch { enabled: Some(enabled), ..WebhookPatch::default() };
    call.teller().update_webhook(call.who()?, call.origin.clone(), id, patch).await?;
    let note = if enabled { "on" } else { "off" };
    Ok(reply::see_other(&format!("{ADDRESS}/{id}?note={note}")))
}

pub(super) async fn delete(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    let id: WebhookId = call.id()?;
    let list = list_of(call.teller().webhook(call.who()?, id).await?.as_ref());
    call.teller().delete_webhook(call.who()?, call.origin.clone(), id).await?;
    Ok(reply::see_other(&format!("{}?note=deleted", list.address)))
}

pub(super) async fn redeliver(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    let webhook: WebhookId = call.id()?;
    let delivery = (webhook, call.part_id()?);
    call.teller().redeliver(call.who()?, call.origin.clone(), delivery).await?;
    Ok(reply::see_other(&format!("{ADDRESS}/{webhook}?note=again")))
}
