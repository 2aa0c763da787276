//! Webhooks: for those who keep them. A user keeps their own; who administers the server keeps the house's, too.

use std::sync::Arc;

use uuid::Uuid;

use super::{Identity, Teller, TellerError, expect_record, unexpected};
use crate::auth::permission::Permission;
use crate::auth::seal::{self, SecretKind};
use crate::ledger::{
    Action, Delivery, DeliveryCommand, DeliveryId, DeliveryState, EventId, EventType, FeedPosition, Keeper,
    NewSecret, Origin, Record, RecordKey, RecordKind, Redeliver, Refusal, Replay, Reply, UserId, Webhook,
    WebhookCommand, WebhookDraft, WebhookId, WebhookPatch,
};
use crate::store::{Order, Page, PageRequest, RecordQuery};
use crate::webhook::{Scheme, Secret};

/// Deliveries that are looked at for one page, however few of them a filter lets pass.
const MOST_LOOKED_AT: usize = 2_000;

/// A webhook, and what was just made for it to sign with.
#[derive(Debug)]
pub struct FreshWebhook {
    /// The webhook.
    pub record: Arc<Record>,
    /// What its receiver verifies with, shown this once.
    pub secret: String,
}

/// What somebody wants their webhook to be.
#[derive(Debug)]
pub struct WebhookRequest {
    /// Where it is.
    pub url: String,
    /// Which events it gets.
    pub events: Vec<String>,
    /// What is said about it; empty if nothing.
    pub description: String,
    /// How its deliveries are signed.
    pub scheme: Scheme,
    /// Whose it is.
    pub owner: UserId,
}

/// Which deliveries are wanted; an absent condition lets everything pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Of events of this type.
    pub kind: Option<EventType>,
}

impl Teller {
    /// Makes a webhook.
    ///
    /// # Errors
    /// [`Refusal::WebhookLimit`], [`Refusal::AccountFrozen`]; faults.
    pub async fn create_webhook(
        &self,
        who: &Identity,
        origin: Origin,
        request: WebhookRequest,
    ) -> Result<FreshWebhook, TellerError> {
        let id = WebhookId::new(self.clock.uuid()?);
        let (secret, shown) = self.new_secret(id, request.scheme)?;
        let WebhookRequest { url, events, description, scheme, owner } = request;
        let draft = WebhookDraft { url, events, description, scheme: scheme.name().to_owned(), secret };
        let keeper = Keeper { caller: who.caller, owner };
        let record = self.change_webhook(origin, WebhookCommand::Create { keeper, id, draft }).await?;
        Ok(FreshWebhook { record, secret: shown })
    }

    /// The webhooks of an owner, newest first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn webhooks(&self, owner: UserId, page: PageRequest) -> Result<Page<Arc<Record>>, TellerError> {
        let order = Order::NewestFirst;
        let query = RecordQuery { kind: RecordKind::Webhook, owner: Some(owner), parent: None, order, page };
        let Page { rows, next } = self.store.records(query).await?;
        Ok(Page { rows: rows.into_iter().map(|(_, record)| record).collect(), next })
    }

    /// A webhook that the caller keeps.
    ///
    /// # Errors
    /// [`Refusal::WebhookNotFound`]; faults.
    pub async fn webhook(&self, who: &Identity, id: WebhookId) -> Result<Arc<Record>, TellerError> {
        let found = self.store.record(RecordKey::of::<Webhook>(id.uuid())).await?;
        let kept = found.filter(|record| keeps(who, record.filing.owner));
        kept.ok_or_else(|| Refusal::WebhookNotFound.into())
    }

    /// Changes a webhook.
    ///
    /// # Errors
    /// [`Refusal::WebhookNotFound`]; faults.
    pub async fn update_webhook(
        &self,
        who: &Identity,
        origin: Origin,
        id: WebhookId,
        patch: WebhookPatch,
    ) -> Result<Arc<Record>, TellerError> {
        let keeper = self.keeper(who, id).await?;
        self.change_webhook(origin, WebhookCommand::Update { keeper, id, patch }).await
    }

    /// Gives a webhook another secret; the old one signs, too, for a while.
    ///
    /// # Errors
    /// [`Refusal::WebhookNotFound`]; faults.
    pub async fn rotate_webhook_secret(
        &self,
        who: &Identity,
        origin: Origin,
        id: WebhookId,
        keep_ms: i64,
    ) -> Result<FreshWebhook, TellerError> {
        let record = self.webhook(who, id).await?;
        let scheme = record.read::<Webhook>().and_then(|webhook| Scheme::from_name(&webhook.scheme));
        let (secret, shown) = self.new_secret(id, scheme.unwrap_or(Scheme::V1))?;
        let keeper = Keeper { caller: who.caller, owner: record.filing.owner };
        let record =
            self.change_webhook(origin, WebhookCommand::Rotate { keeper, id, secret, keep_ms }).await?;
        Ok(FreshWebhook { record, secret: shown })
    }

    /// Takes a webhook away.
    ///
    /// # Errors
    /// [`Refusal::WebhookNotFound`]; faults.
    pub async fn delete_webhook(
        &self,
        who: &Identity,
        origin: Origin,
        id: WebhookId,
    ) -> Result<(), TellerError> {
        let keeper = self.keeper(who, id).await?;
        self.execute(origin, Action::Webhook(WebhookCommand::Delete { keeper, id })).await?;
        Ok(())
    }

    /// Sends a test to a webhook; gives the event's id.
    ///
    /// # Errors
    /// [`Refusal::WebhookNotFound`]; faults.
    pub async fn test_webhook(
        &self,
        who: &Identity,
        origin: Origin,
        id: WebhookId,
    ) -> Result<EventId, TellerError> {
        let keeper = self.keeper(who, id).await?;
        self.tell(origin, WebhookCommand::Test { keeper, id }).await
    }

    /// Tells the caller's webhooks an event that did not happen; gives its id. In a sandbox alone.
    ///
    /// # Errors
    /// [`Refusal::SandboxOnly`]; faults.
    pub async fn trigger_event(
        &self,
        who: &Identity,
        origin: Origin,
        kind: EventType,
        data: serde_json::Value,
    ) -> Result<EventId, TellerError> {
        let object = self.clock.uuid()?;
        self.tell(origin, WebhookCommand::Trigger { caller: who.caller, kind, object, data }).await
    }

    /// The deliveries to a webhook, newest first.
    ///
    /// # Errors
    /// [`Refusal::WebhookNotFound`]; faults.
    pub async fn deliveries(
        &self,
        who: &Identity,
        id: WebhookId,
        page: PageRequest,
        filter: DeliveryFilter,
    ) -> Result<Page<Arc<Record>>, TellerError> {
        self.webhook(who, id).await?;
        let (mut rows, mut after, mut looked_at) = (Vec::new(), page.after, 0_usize);
        loop {
            let missing = page.limit.saturating_sub(rows.len());
            let piece = PageRequest { after, limit: missing };
            let parent = Some(id.uuid());
            let order = Order::NewestFirst;
            let query = RecordQuery { kind: RecordKind::Delivery, owner: None, parent, order, page: piece };
            let found = self.store.records(query).await?;
            looked_at = looked_at.saturating_add(found.rows.len());
            rows.extend(
                found.rows.into_iter().map(|(_, record)| record).filter(|record| passes(record, filter)),
            );
            after = found.next;
            if after.is_none() || rows.len() >= page.limit || looked_at >= MOST_LOOKED_AT {
                return Ok(Page { rows, next: after });
            }
        }
    }

    /// A delivery to a webhook that the caller keeps.
    ///
    /// # Errors
    /// [`Refusal::WebhookNotFound`]; faults.
    pub async fn delivery(
        &self,
        who: &Identity,
        (webhook, id): (WebhookId, DeliveryId),
    ) -> Result<Arc<Record>, TellerError> {
        let found = self.store.record(RecordKey::of::<Delivery>(id.uuid())).await?;
        let of_webhook = found.filter(|record| record.filing.parent == Some(webhook.uuid()));
        let kept = of_webhook.filter(|record| keeps(who, record.filing.owner));
        kept.ok_or_else(|| Refusal::WebhookNotFound.into())
    }

    /// Sends what a delivery was about once more; gives the new delivery.
    ///
    /// # Errors
    /// [`Refusal::WebhookNotFound`], [`Refusal::WebhookDisabled`]; faults.
    pub async fn redeliver(
        &self,
        who: &Identity,
        origin: Origin,
        (webhook, id): (WebhookId, DeliveryId),
    ) -> Result<Arc<Record>, TellerError> {
        let record = self.delivery(who, (webhook, id)).await?;
        let delivery = record.read::<Delivery>().ok_or(Refusal::WebhookNotFound)?;
        let keeper = Keeper { caller: who.caller, owner: record.filing.owner };
        let new = self.clock.uuid()?;
        let object = delivery.object;
        let asked = Redeliver { keeper, delivery: id.uuid(), webhook: webhook.uuid(), object, new };
        let action = Action::Delivery(DeliveryCommand::Redeliver(asked));
        expect_record(self.execute(origin, action).await?.0)
    }

    /// Sends a webhook once more what it would have got between two places of the feed.
    ///
    /// # Errors
    /// [`Refusal::WebhookNotFound`]; faults.
    pub async fn replay_webhook(
        &self,
        who: &Identity,
        origin: Origin,
        id: WebhookId,
        span: (FeedPosition, FeedPosition),
    ) -> Result<(), TellerError> {
        let keeper = self.keeper(who, id).await?;
        let replay = Replay { position: span.0, end: span.1 };
        let new = self.clock.uuid()?;
        let asked = DeliveryCommand::BeginReplay { keeper, id: new, webhook: id.uuid(), replay };
        self.execute(origin, Action::Delivery(asked)).await?;
        Ok(())
    }

    /// What a webhook's deliveries are signed with now.
    ///
    /// # Errors
    /// If a secret does not open.
    pub fn signing_secrets(&self, record: &Record, webhook: &Webhook) -> Result<Vec<Secret>, TellerError> {
        let now = self.clock.now();
        let retired = webhook.retired.iter().filter(|retired| now < retired.until);
        let sealed = std::iter::once(&webhook.secret).chain(retired.map(|retired| &retired.secret));
        sealed.map(|sealed| self.open_secret(record.key.id, sealed)).collect()
    }

    fn open_secret(&self, row: Uuid, sealed: &str) -> Result<Secret, TellerError> {
        let damaged = |what: String| {
            TellerError::Store(crate::store::StoreError::Damaged(format!(
                "the secret of webhook {row}: {what}"
            )))
        };
        let opened = self.sealer.open(SecretKind::WebhookSecret, row, sealed);
        let opened = opened.map_err(|fault| damaged(fault.to_string()))?;
        let text = std::str::from_utf8(opened.expose()).map_err(|error| damaged(error.to_string()))?;
        Secret::parse(text).ok_or_else(|| damaged("not readable".to_owned()))
    }

    /// A fresh secret, sealed, and what its receiver verifies with.
    fn new_secret(&self, id: WebhookId, scheme: Scheme) -> Result<(NewSecret, String), TellerError> {
        let secret = Secret::generate(scheme, &self.clock)?;
        let bytes = seal::Secret::new(secret.expose().into_bytes());
        let sealed = self
            .sealer
            .seal(SecretKind::WebhookSecret, id.uuid(), &bytes)
            .map_err(|fault| TellerError::Store(crate::store::StoreError::Unavailable(fault.to_string())))?;
        let shown = secret.for_receiver();
        let public_key = (scheme == Scheme::V1a).then(|| shown.clone());
        Ok((NewSecret { sealed, public_key }, shown))
    }

    async fn keeper(&self, who: &Identity, id: WebhookId) -> Result<Keeper, TellerError> {
        let record = self.webhook(who, id).await?;
        Ok(Keeper { caller: who.caller, owner: record.filing.owner })
    }

    async fn change_webhook(
        &self,
        origin: Origin,
        command: WebhookCommand,
    ) -> Result<Arc<Record>, TellerError> {
        expect_record(self.execute(origin, Action::Webhook(command)).await?.0)
    }

    async fn tell(&self, origin: Origin, command: WebhookCommand) -> Result<EventId, TellerError> {
        match self.execute(origin, Action::Webhook(command)).await?.0 {
            Reply::Told(id) => Ok(EventId::new(id)),
            other => Err(unexpected(&other)),
        }
    }
}

/// Whether the caller keeps what belongs to that owner.
fn keeps(who: &Identity, owner: UserId) -> bool {
    owner == who.user.id || owner == UserId::HOUSE && Permission::Administer.is_given_to(who.user.role)
}

fn passes(record: &Record, filter: DeliveryFilter) -> bool {
    let Some(delivery) = record.read::<Delivery>() else { return false };
    filter.state.is_none_or(|state| delivery.state == state)
        && filter.kind.is_none_or(|kind| delivery.name == kind.name())
}
