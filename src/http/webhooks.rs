//! Webhooks and their deliveries: make, see, change, rotate, take away, test, send again.

pub mod docs;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::call::Call;
use super::extract::{Cursor, Form, Query};
use super::problem::Problem;
use super::reply::{self, List};
use super::spec::{Answer, Permission};
use super::views::with;
use crate::ledger::{
    Delivery, DeliveryId, DeliveryState, EventId, EventType, Record, Timestamp, UserId, Webhook, WebhookId,
    WebhookPatch,
};
use crate::store::PageRequest;
use crate::teller::{DeliveryFilter, FreshWebhook, WebhookRequest};
use crate::webhook::{Scheme, Target};

/// For how long an old secret signs, too, if nothing else is said: a day.
const KEEP_SECONDS: i64 = 86_400;

pub(super) async fn create(call: Call) -> Answer {
    let request = read_webhook(&call).await?;
    let fresh = call.teller().create_webhook(call.who()?, call.origin.clone(), request).await?;
    Ok(reply::json(StatusCode::CREATED, &with_secret(&fresh)?))
}

/// The webhook that somebody wants.
///
/// # Errors
/// 422 with every wrong field; 403 for one of the house that is not theirs to make.
pub(crate) async fn read_webhook(call: &Call) -> Result<WebhookRequest, Problem> {
    let mut form = call.form()?;
    let url = read_url(call, &mut form);
    let events = read_events(&mut form).unwrap_or_else(|| vec!["*".to_owned()]);
    let description = form.text("description").unwrap_or_default();
    let scheme = form.word("signature").and_then(Scheme::from_name).unwrap_or(Scheme::V1);
    let scope = form.word("scope");
    let url = form.finish(url)?;
    let owner = owner(call, scope).await?;
    Ok(WebhookRequest { url, events, description, scheme, owner })
}

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let scope = query.word("scope");
    let pairs = query.pairs();
    query.finish(())?;
    let page = call.teller().webhooks(owner(&call, scope).await?, page).await?;
    let rows = page.rows.iter().map(|record| told(record)).collect::<Result<Vec<Value>, Problem>>()?;
    Ok(List::new(rows, page.next.map(Cursor::new)).into_reply("/webhooks", &pairs))
}

pub(super) async fn get(call: Call) -> Answer {
    let record = call.teller().webhook(call.who()?, call.id()?).await?;
    Ok(reply::json(StatusCode::OK, &told(&record)?))
}

pub(super) async fn update(call: Call) -> Answer {
    let id: WebhookId = call.id()?;
    let mut form = call.form()?;
    let url = if form.has("url") { read_url(&call, &mut form) } else { None };
    let events = read_events(&mut form);
    let description =
        if form.has("description") { Some(form.text("description").unwrap_or_default()) } else { None };
    let enabled = form.flag("enabled");
    let patch = form.finish(Some(WebhookPatch { url, events, description, enabled }))?;
    let record = call.teller().update_webhook(call.who()?, call.origin.clone(), id, patch).await?;
    Ok(reply::json(StatusCode::OK, &told(&record)?))
}

pub(super) async fn rotate(call: Call) -> Answer {
    Ok(reply::json(StatusCode::OK, &with_secret(&replace_secret(&call).await?)?))
}

/// Gives a webhook another secret as the form says.
///
/// # Errors
/// 422; 404.
pub(crate) async fn replace_secret(call: &Call) -> Result<FreshWebhook, Problem> {
    let id: WebhookId = call.id()?;
    let mut form = call.form()?;
    let keep = form.number("keep_old_seconds").unwrap_or(KEEP_SECONDS);
    let keep_ms = form.finish(Some(keep))?.saturating_mul(1_000);
    Ok(call.teller().rotate_webhook_secret(call.who()?, call.origin.clone(), id, keep_ms).await?)
}

pub(super) async fn delete(call: Call) -> Answer {
    call.teller().delete_webhook(call.who()?, call.origin.clone(), call.id()?).await?;
    Ok(reply::no_content())
}

pub(super) async fn test(call: Call) -> Answer {
    let event = call.teller().test_webhook(call.who()?, call.origin.clone(), call.id()?).await?;
    Ok(reply::json(StatusCode::ACCEPTED, &json!({"event": event})))
}

pub(super) async fn replay(call: Call) -> Answer {
    let id: WebhookId = call.id()?;
    let mut form = call.form()?;
    let (since, until) = (form.moment("since"), form.moment("until"));
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        form.refuse("until", "range_empty", "must be after 'since'");
    }
    let since = form.finish(since)?;
    let now = call.teller().clock().now();
    let until = until.unwrap_or_else(|| now.plus_millis(1)).min(now.plus_millis(1));
    let teller = call.teller();
    let span = (teller.feed_position(since).await?, teller.feed_position(until).await?);
    teller.replay_webhook(call.who()?, call.origin.clone(), id, span).await?;
    Ok(reply::json(StatusCode::ACCEPTED, &json!({"since": since.to_string(), "until": until.to_string()})))
}

/// Which deliveries somebody wants to see.
pub(crate) fn read_filter(query: &mut Query<'_>) -> DeliveryFilter {
    let (state, kind) = (query.word("status"), query.word("type"));
    DeliveryFilter {
        state: state.and_then(|name| DeliveryState::ALL.into_iter().find(|state| state.name() == name)),
        kind: kind.and_then(EventType::from_name),
    }
}

pub(super) async fn deliveries(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let filter = read_filter(&mut query);
    let pairs = query.pairs();
    query.finish(())?;
    let id: WebhookId = call.id()?;
    let page = call.teller().deliveries(call.who()?, id, page, filter).await?;
    let rows =
        page.rows.iter().map(|record| told_delivery(record)).collect::<Result<Vec<Value>, Problem>>()?;
    let path = format!("/webhooks/{id}/deliveries");
    Ok(List::new(rows, page.next.map(Cursor::new)).into_reply(&path, &pairs))
}

pub(super) async fn delivery(call: Call) -> Answer {
    let record = call.teller().delivery(call.who()?, (call.id()?, call.part_id()?)).await?;
    Ok(reply::json(StatusCode::OK, &told_delivery(&record)?))
}

pub(super) async fn redeliver(call: Call) -> Answer {
    let delivery = (call.id()?, call.part_id()?);
    let record = call.teller().redeliver(call.who()?, call.origin.clone(), delivery).await?;
    Ok(reply::json(StatusCode::ACCEPTED, &told_delivery(&record)?))
}

/// Whose webhooks or events are meant: the caller's, or the house's, which are for those who administer the server.
pub(super) async fn owner(call: &Call, scope: Option<&str>) -> Result<UserId, Problem> {
    let who = call.who()?;
    if scope != Some("ledger") {
        return Ok(who.user.id);
    }
    call.teller().authorise(who, &call.origin, Permission::Administer, true).await?;
    Ok(UserId::HOUSE)
}

fn read_url(call: &Call, form: &mut Form<'_>) -> Option<String> {
    let text = form.text("url")?;
    match Target::parse(&text, call.teller().targets()) {
        Ok(target) => Some(target.as_str().to_owned()),
        Err(fault) => {
            form.refuse("url", "url_not_allowed", &fault.to_string());
            None
        }
    }
}

/// The selections; each must take one type at least.
fn read_events(form: &mut Form<'_>) -> Option<Vec<String>> {
    let events = form.words("events")?;
    let takes_nothing =
        |selection: &&String| !EventType::ALL.iter().any(|kind| kind.is_selected_by(selection));
    if let Some(wrong) = events.iter().find(takes_nothing) {
        let message = format!("must be types of events, or beginnings such as payment.*; none is {wrong:?}");
        form.refuse("events", "not_allowed", &message);
        return None;
    }
    if events.is_empty() {
        form.refuse("events", "required", "must have at least one entry");
        return None;
    }
    Some(events)
}

fn told(record: &Record) -> Result<Value, Problem> {
    let webhook = record.read::<Webhook>().ok_or_else(|| Problem::internal("a webhook is not readable"))?;
    Ok(webhook.told(record))
}

fn with_secret(fresh: &FreshWebhook) -> Result<Value, Problem> {
    Ok(with(told(&fresh.record)?, "secret", fresh.secret.as_str()))
}

fn told_delivery(record: &Record) -> Result<Value, Problem> {
    let delivery =
        record.read::<Delivery>().ok_or_else(|| Problem::internal("a delivery is not readable"))?;
    let last = delivery.tries.last();
    let tries: Vec<Value> = delivery
        .tries
        .iter()
        .map(|attempt| {
            json!({
                "at": attempt.at.to_string(),
                "status": attempt.status,
                "failure": attempt.failure,
                "elapsed_ms": attempt.elapsed_ms,
            })
        })
        .collect();
    let is_pending = delivery.state == DeliveryState::Pending;
    let next = record.filing.due_at.filter(|_| is_pending).map(|at: Timestamp| at.to_string());
    Ok(json!({
        "id": DeliveryId::new(record.key.id),
        "webhook": record.filing.parent.map(WebhookId::new),
        "event": EventId::new(delivery.event),
        "type": delivery.name,
        "status": delivery.state.name(),
        "attempts": tries,
        "response": last.and_then(|attempt| attempt.status).map(|status| json!({
            "status": status,
            "body": delivery.body,
        })),
        "next_attempt_at": next,
        "created_at": record.created_at.to_string(),
        "updated_at": record.updated_at.to_string(),
    }))
}
