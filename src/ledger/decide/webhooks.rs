//! Webhooks: made, changed, given another secret, taken away by those who keep them. A user keeps their own, an admin the
//! house's. What is changed is told as an event, too.

use std::sync::Arc;

use uuid::Uuid;

use super::super::feed::raw;
use super::super::{
    Command, Disabled, EventType, Filing, Keeper, Mode, NewSecret, NoticeDraft, Record, RecordKey, Refusal,
    RetiredSecret, Role, Rules, User, UserId, Webhook, WebhookCommand, WebhookDraft, WebhookId, WebhookList,
    WebhookPatch, WebhookState, WorkingSet,
};
use super::{Reply, caller_user};

pub(super) fn decide(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    asked: &WebhookCommand,
) -> Result<Reply, Refusal> {
    match asked {
        WebhookCommand::Create { keeper, id, draft } => create(rules, set, command, keeper, *id, draft),
        WebhookCommand::Update { keeper, id, patch } => update(set, command, keeper, *id, patch),
        WebhookCommand::Rotate { keeper, id, secret, keep_ms } => {
            rotate(set, command, keeper, *id, secret, *keep_ms)
        }
        WebhookCommand::Delete { keeper, id } => delete(set, command, keeper, *id),
        WebhookCommand::Test { keeper, id } => {
            let (record, webhook) = kept(set, keeper, *id)?;
            Ok(Reply::Told(tell(set, command, EventType::WebhookTest, &record, &webhook)))
        }
        WebhookCommand::Trigger { caller, kind, object, data } => {
            let user = caller_user(set, caller)?;
            if rules.mode != Mode::Sandbox {
                return Err(Refusal::SandboxOnly);
            }
            let draft =
                NoticeDraft { kind: *kind, owner: user.id, object: *object, data: raw(data), only: None };
            Ok(Reply::Told(set.tell(command, draft)))
        }
    }
}

/// Who asks, if they may keep the webhooks of that owner.
pub(super) fn keeper_user(set: &WorkingSet, keeper: &Keeper) -> Result<Arc<User>, Refusal> {
    let user = caller_user(set, &keeper.caller)?;
    let may = keeper.owner == user.id || keeper.owner == UserId::HOUSE && user.role == Role::Admin;
    if may { Ok(user) } else { Err(Refusal::WebhookNotFound) }
}

/// The webhook, if it is the owner's and the caller may keep it.
pub(super) fn kept(
    set: &WorkingSet,
    keeper: &Keeper,
    id: WebhookId,
) -> Result<(Arc<Record>, Webhook), Refusal> {
    keeper_user(set, keeper)?;
    let (record, webhook) = set.stored::<Webhook>(id.uuid()).ok_or(Refusal::WebhookNotFound)?;
    if record.filing.owner == keeper.owner { Ok((record, webhook)) } else { Err(Refusal::WebhookNotFound) }
}

fn create(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    keeper: &Keeper,
    id: WebhookId,
    draft: &WebhookDraft,
) -> Result<Reply, Refusal> {
    let user = keeper_user(set, keeper)?;
    if user.frozen {
        return Err(Refusal::AccountFrozen);
    }
    let mut list = list_of(set, keeper.owner);
    let most = rules.webhooks.most;
    if list.webhooks.len() >= most {
        return Err(Refusal::WebhookLimit { most });
    }
    list.webhooks.push(id.uuid());
    set.put_record(keeper.owner.uuid(), Filing::under(keeper.owner), &list);
    let WebhookDraft { url, events, description, scheme, secret } = draft.clone();
    let webhook = Webhook {
        url,
        events,
        description,
        scheme,
        secret: secret.sealed,
        public_key: secret.public_key,
        retired: None,
        state: WebhookState::Enabled,
        last_success_at: None,
    };
    put(set, command, EventType::WebhookCreated, id, Filing::under(keeper.owner), &webhook)
}

fn update(
    set: &mut WorkingSet,
    command: &Command,
    keeper: &Keeper,
    id: WebhookId,
    patch: &WebhookPatch,
) -> Result<Reply, Refusal> {
    let (record, mut webhook) = kept(set, keeper, id)?;
    let WebhookPatch { url, events, description, enabled } = patch.clone();
    webhook.url = url.unwrap_or(webhook.url);
    webhook.events = events.unwrap_or(webhook.events);
    webhook.description = description.unwrap_or(webhook.description);
    webhook.state = match (enabled, webhook.state) {
        (Some(true), _) => WebhookState::Enabled,
        (Some(false), WebhookState::Enabled) => WebhookState::Disabled(Disabled::ByOwner),
        (Some(false) | None, state) => state,
    };
    put(set, command, EventType::WebhookUpdated, id, record.filing, &webhook)
}

fn rotate(
    set: &mut WorkingSet,
    command: &Command,
    keeper: &Keeper,
    id: WebhookId,
    secret: &NewSecret,
    keep_ms: i64,
) -> Result<Reply, Refusal> {
    let (record, mut webhook) = kept(set, keeper, id)?;
    let old = std::mem::replace(&mut webhook.secret, secret.sealed.clone());
    let until = set.now.plus_millis(keep_ms);
    webhook.retired = (keep_ms > 0).then_some(RetiredSecret { secret: old, until });
    webhook.public_key.clone_from(&secret.public_key);
    put(set, command, EventType::WebhookUpdated, id, record.filing, &webhook)
}

fn delete(set: &mut WorkingSet, command: &Command, keeper: &Keeper, id: WebhookId) -> Result<Reply, Refusal> {
    let (record, webhook) = kept(set, keeper, id)?;
    let mut list = list_of(set, keeper.owner);
    list.webhooks.retain(|known| *known != id.uuid());
    set.put_record(keeper.owner.uuid(), Filing::under(keeper.owner), &list);
    set.remove_record(RecordKey::of::<Webhook>(id.uuid()));
    tell(set, command, EventType::WebhookDeleted, &record, &webhook);
    Ok(Reply::Done)
}

fn list_of(set: &WorkingSet, owner: UserId) -> WebhookList {
    set.stored::<WebhookList>(owner.uuid()).map(|(_, list)| list).unwrap_or_default()
}

/// Writes a webhook and tells about it.
fn put(
    set: &mut WorkingSet,
    command: &Command,
    kind: EventType,
    id: WebhookId,
    filing: Filing,
    webhook: &Webhook,
) -> Result<Reply, Refusal> {
    set.put_record(id.uuid(), filing, webhook);
    let (record, webhook) = set.stored::<Webhook>(id.uuid()).ok_or(Refusal::WebhookNotFound)?;
    tell(set, command, kind, &record, &webhook);
    Ok(Reply::Record(record))
}

/// Tells something about a webhook; a test is for that webhook alone.
pub(super) fn tell(
    set: &mut WorkingSet,
    command: &Command,
    kind: EventType,
    record: &Record,
    webhook: &Webhook,
) -> Uuid {
    let object = record.key.id;
    let only = (kind == EventType::WebhookTest).then_some(object);
    let data = raw(&webhook.told(record));
    set.tell(command, NoticeDraft { kind, owner: record.filing.owner, object, data, only })
}
