//! Deliveries: made where the feed's cursor moves, claimed, recorded, made again, forgotten.
//!
//! What is decided here may have been overtaken by another node since it was read; then the asker reads again. A command
//! that comes too late changes nothing.

use std::sync::Arc;

use uuid::Uuid;

use super::super::{
    Claim, Command, Delivery, DeliveryCommand, DeliveryState, Disabled, EventType, FanOut, FeedCursor,
    Filing, NewDelivery, Notice, Record, RecordKey, Redeliver, Refusal, Replay, Rules, SettleDelivery,
    Timestamp, Try, UserId, Webhook, WebhookId, WebhookState, WorkingSet, lane,
};
use super::Reply;
use super::webhooks::{kept, tell};

/// How long a delivery is its node's alone, in milliseconds: longer than an attempt takes, and soon enough after a crash.
const LEASE_MS: i64 = 30_000;
/// How long a delivery that came to its end is listed, in milliseconds: 30 days.
const KEPT_MS: i64 = 30 * 86_400_000;
/// How exactly a webhook's last success is known, in milliseconds: an hour. Each would be a write to one record.
const SUCCESS_MS: i64 = 3_600_000;

pub(super) fn decide(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    asked: &DeliveryCommand,
) -> Result<Reply, Refusal> {
    match asked {
        DeliveryCommand::FanOut(asked) => fan_out(set, asked),
        DeliveryCommand::Claim(claims) => {
            let mut claimed = Vec::new();
            for claim in claims {
                take(set, claim, &mut claimed);
            }
            Ok(Reply::Claimed(claimed))
        }
        DeliveryCommand::Settle(settles) => {
            if settles.iter().any(|asked| is_overtaken(set, asked)) {
                return Err(Refusal::Overtaken);
            }
            let mut claimed = Vec::new();
            for asked in settles {
                settle(rules, set, command, asked, &mut claimed);
            }
            Ok(Reply::Claimed(claimed))
        }
        DeliveryCommand::Redeliver(asked) => redeliver(set, asked),
        DeliveryCommand::BeginReplay { keeper, id, webhook, replay } => {
            kept(set, keeper, WebhookId::new(*webhook))?;
            let filing = replay_filing(keeper.owner, *webhook, set.now);
            set.put_record(*id, filing, replay);
            Ok(Reply::Done)
        }
        DeliveryCommand::Replay { id, from, to, deliveries } => {
            let (record, replay) = set.stored::<Replay>(*id).ok_or(Refusal::Overtaken)?;
            if replay.position != *from {
                return Err(Refusal::Overtaken);
            }
            if *to == replay.end {
                set.remove_record(record.key);
            } else {
                set.put_record(*id, record.filing, &Replay { position: *to, ..replay });
            }
            Ok(Reply::Claimed(deliveries.iter().filter_map(|new| add(set, new)).collect()))
        }
        DeliveryCommand::Purge(keys) => {
            for key in keys {
                purge(set, *key);
            }
            Ok(Reply::Done)
        }
    }
}

fn replay_filing(owner: UserId, webhook: Uuid, now: Timestamp) -> Filing {
    Filing { parent: Some(webhook), due_at: Some(now), ..Filing::under(owner) }
}

fn fan_out(set: &mut WorkingSet, asked: &FanOut) -> Result<Reply, Refusal> {
    let key = FeedCursor::FAN_OUT;
    let cursor = set.stored::<FeedCursor>(key.id).map(|(_, cursor)| cursor.position);
    if cursor != asked.from || set.stored::<Webhook>(asked.webhook).is_none() {
        return Err(Refusal::Overtaken);
    }
    set.put_record(key.id, Filing::under(UserId::HOUSE), &FeedCursor { position: asked.to });
    Ok(Reply::Claimed(asked.deliveries.iter().filter_map(|new| add(set, new)).collect()))
}

/// Makes a delivery, unless the webhook gets nothing any more. It is the asker's to try, unless it waits for another.
fn add(set: &mut WorkingSet, new: &NewDelivery) -> Option<Uuid> {
    let (webhook, value) = set.stored::<Webhook>(new.webhook)?;
    if value.state != WebhookState::Enabled {
        return None;
    }
    let lane = lane(new.webhook, new.object);
    let before = set.record_lookups.get(&(RecordKey::of::<Delivery>(new.id).kind, lane)).copied();
    let before = before.and_then(|key| set.stored::<Delivery>(key.id));
    let waits = before.is_some();
    if let Some((record, mut delivery)) = before {
        delivery.next = Some(new.id);
        set.put_record(record.key.id, Filing { lookup: None, ..record.filing }, &delivery);
    }
    let delivery = Delivery {
        event: new.event,
        name: new.name.clone(),
        source: new.source,
        object: new.object,
        state: DeliveryState::Pending,
        tries: Vec::new(),
        body: String::new(),
        next: None,
        again: new.again,
    };
    let due_at = (!waits).then(|| set.now.plus_millis(LEASE_MS));
    let filing =
        Filing { owner: webhook.filing.owner, parent: Some(new.webhook), lookup: Some(lane), due_at };
    set.put_record(new.id, filing, &delivery);
    (!waits).then_some(new.id)
}

/// Claims a delivery that is due. One whose webhook gets nothing any more comes to its end.
fn take(set: &mut WorkingSet, claim: &Claim, claimed: &mut Vec<Uuid>) {
    let Some((record, delivery)) = set.stored::<Delivery>(claim.delivery) else { return };
    let is_due = record.filing.due_at.is_some_and(|due_at| due_at <= set.now);
    if delivery.state != DeliveryState::Pending || !is_due || !knows_next(set, &delivery) {
        return;
    }
    let webhook = set.stored::<Webhook>(claim.webhook);
    if webhook.is_some_and(|(_, webhook)| webhook.state == WebhookState::Enabled) {
        let due_at = Some(set.now.plus_millis(claim.lease_ms));
        set.put_record(record.key.id, Filing { due_at, ..record.filing }, &delivery);
        claimed.push(record.key.id);
    } else {
        end(set, &record, Delivery { state: DeliveryState::Canceled, ..delivery }, claimed);
    }
}

/// The delivery whose attempt is to be recorded; none if somebody else tried it as well, after this attempt's claim had
/// ended, and was faster.
fn tried(set: &WorkingSet, asked: &SettleDelivery) -> Option<(Arc<Record>, Delivery)> {
    let (record, delivery) = set.stored::<Delivery>(asked.delivery)?;
    let is_awaited = delivery.state == DeliveryState::Pending && delivery.tries.len() == asked.number;
    is_awaited.then_some((record, delivery))
}

/// Whether something began to wait for that delivery since it was last looked at.
fn is_overtaken(set: &WorkingSet, asked: &SettleDelivery) -> bool {
    tried(set, asked).is_some_and(|(_, delivery)| !knows_next(set, &delivery))
}

/// Records an attempt, and claims what waited for its end.
fn settle(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    asked: &SettleDelivery,
    claimed: &mut Vec<Uuid>,
) {
    let Some((record, mut delivery)) = tried(set, asked) else { return };
    let result = &asked.result;
    delivery.tries.push(Try {
        at: set.now,
        status: result.status,
        failure: result.failure.clone(),
        elapsed_ms: result.elapsed_ms,
    });
    delivery.body.clone_from(&result.body);
    let webhook = set.stored::<Webhook>(asked.webhook);
    if result.is_success() {
        end(set, &record, Delivery { state: DeliveryState::Delivered, ..delivery }, claimed);
        if let Some((at, webhook)) = webhook {
            note_success(set, &at, webhook);
        }
        return;
    }
    let wait_ms = rules.webhooks.schedule_ms.get(delivery.tries.len()).copied();
    if let Some(wait_ms) = wait_ms.filter(|_| result.status != Some(410)) {
        let jitter_ms = wait_ms.saturating_mul(asked.jitter_permille).checked_div(1_000).unwrap_or_default();
        let wait_ms = wait_ms.saturating_add(jitter_ms).max(result.retry_after_ms.unwrap_or_default());
        let filing = Filing { due_at: Some(set.now.plus_millis(wait_ms)), ..record.filing };
        set.put_record(record.key.id, filing, &delivery);
        return;
    }
    end(set, &record, Delivery { state: DeliveryState::Failed, ..delivery }, claimed);
    if let Some((at, webhook)) = webhook {
        let why = if result.status == Some(410) { Disabled::Gone } else { Disabled::Failing };
        disable(set, command, &at, webhook, why, record.created_at);
    }
}

fn note_success(set: &mut WorkingSet, at: &Arc<Record>, webhook: Webhook) {
    let now = set.now;
    if webhook.last_success_at.is_none_or(|last| last.plus_millis(SUCCESS_MS) <= now) {
        set.put_record(at.key.id, at.filing, &Webhook { last_success_at: Some(now), ..webhook });
    }
}

/// Switches a webhook off; one that fails only if it took nothing since this delivery was made.
fn disable(
    set: &mut WorkingSet,
    command: &Command,
    at: &Arc<Record>,
    webhook: Webhook,
    why: Disabled,
    since: Timestamp,
) {
    let took_others = webhook.last_success_at.is_some_and(|last| last.plus_millis(SUCCESS_MS) > since);
    if webhook.state != WebhookState::Enabled || why == Disabled::Failing && took_others {
        return;
    }
    let webhook = Webhook { state: WebhookState::Disabled(why), ..webhook };
    set.put_record(at.key.id, at.filing, &webhook);
    if let Some((record, webhook)) = set.stored::<Webhook>(at.key.id) {
        tell(set, command, EventType::WebhookDisabled, &record, &webhook);
    }
}

fn redeliver(set: &mut WorkingSet, asked: &Redeliver) -> Result<Reply, Refusal> {
    kept(set, &asked.keeper, WebhookId::new(asked.webhook))?;
    let (record, delivery) = set.stored::<Delivery>(asked.delivery).ok_or(Refusal::WebhookNotFound)?;
    if record.filing.parent != Some(asked.webhook) || delivery.object != asked.object {
        return Err(Refusal::WebhookNotFound);
    }
    let Delivery { event, name, source, object, .. } = delivery;
    let new = NewDelivery { id: asked.new, webhook: asked.webhook, event, name, source, object, again: true };
    if let Some(claimed) = add(set, &new)
        && let Some((record, delivery)) = set.stored::<Delivery>(claimed)
    {
        // Whoever asked does not try it: it is due at once.
        let filing = Filing { due_at: Some(set.now), ..record.filing };
        set.put_record(claimed, filing, &delivery);
    }
    let new = set.records.get(&RecordKey::of::<Delivery>(asked.new)).cloned();
    new.map(Reply::Record).ok_or(Refusal::WebhookDisabled)
}

/// Whether what waits for it was loaded, so that it can be let go.
fn knows_next(set: &WorkingSet, delivery: &Delivery) -> bool {
    delivery.next.is_none_or(|next| set.records.contains_key(&RecordKey::of::<Delivery>(next)))
}

/// Brings a delivery to its end, and claims what waited for it.
fn end(set: &mut WorkingSet, record: &Arc<Record>, delivery: Delivery, claimed: &mut Vec<Uuid>) {
    let next = delivery.next;
    let due_at = Some(set.now.plus_millis(KEPT_MS));
    let filing = Filing { lookup: None, due_at, ..record.filing };
    set.put_record(record.key.id, filing, &Delivery { next: None, ..delivery });
    if let Some((record, delivery)) = next.and_then(|next| set.stored::<Delivery>(next)) {
        let due_at = Some(set.now.plus_millis(LEASE_MS));
        set.put_record(record.key.id, Filing { due_at, ..record.filing }, &delivery);
        claimed.push(record.key.id);
    }
}

/// Forgets a notice or a delivery whose time is over; a delivery that waits stays.
fn purge(set: &mut WorkingSet, key: RecordKey) {
    let Some(record) = set.records.get(&key).cloned() else { return };
    let is_due =
        Notice::is_over(&record, set.now) || record.filing.due_at.is_some_and(|due_at| due_at <= set.now);
    let waits = record.read::<Delivery>().is_some_and(|delivery| delivery.state == DeliveryState::Pending);
    if is_due && !waits {
        set.remove_record(key);
    }
}
