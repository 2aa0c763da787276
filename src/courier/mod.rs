//! The courier: hands events to webhooks and carries the deliveries out, beside the payments and never in their way.
//!
//! Four passes go round. **Fan-out** reads the feed from where it got to, makes a delivery for each webhook that wants an
//! event, and moves the cursor, in one command; of several nodes one is first, and the others read again. **Recording**
//! writes down what attempts led to. **Due** claims deliveries whose next attempt has come, or whose node died in between,
//! and goes on with replays. **Purge** forgets what nobody lists any more. Whatever was claimed is tried by tasks of their
//! own; the [`gate`] says which may start, so that webhooks that never answer take no place from those that do.
//!
//! All of it runs on a thread of its own (`thread.rs`), after those that answer clients. The passes follow each other and each
//! command is short, so that a payment waits for one short command at most; a store lets them give way and may lose the last
//! ones when the power fails: what they said is then done again.
//!
//! While no webhook wants anything, the journal is not read.

mod gate;
mod thread;
mod tries;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use crate::ledger::{
    Claim, Delivery, DeliveryCommand, FanOut, FeedPosition, NewDelivery, Record, RecordKind, Replay,
    Timestamp, UserId, Webhook, WebhookState,
};
use crate::teller::{FeedEvent, Teller, TellerError};
use crate::webhook::Sender;
use gate::Gate;
use thread::{Own, Until};
use tries::{Job, Outcome};

/// How often the feed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often due deliveries are looked for.
const DUE_EVERY: Duration = Duration::from_secs(1);
/// How often records whose time is over are looked for.
const PURGE_EVERY: Duration = Duration::from_mins(1);
/// Pieces of due deliveries that are claimed before it is the turn of new ones.
const DUE_PIECES: usize = 128;
/// Webhooks that are read before it is the turn of others.
const READ_AT_ONCE: usize = 32;
/// Events that are read at a time.
const EVENTS: usize = 500;
/// Deliveries that one command makes, claims, records or forgets: payments wait for it.
const DELIVERIES: usize = 8;
/// Replays that go on each time, and events that each of them sends then.
const REPLAYED: usize = 16;
/// Records that are looked at to be forgotten, each time.
const PURGED: usize = 2_000;
/// Events that may go by without one for any webhook before the cursor is written down all the same.
const UNWRITTEN: u64 = 20_000;
/// How long a due delivery is put off whose webhook has enough waiting already, in milliseconds.
const PUT_OFF_MS: i64 = 60_000;
/// How long a claim lasts, in milliseconds.
const LEASE_MS: i64 = 30_000;

/// Writes an event down as it is sent.
pub type Render = fn(&FeedEvent) -> String;

/// What the passes share.
pub(crate) struct Courier {
    teller: Arc<Teller>,
    sender: Sender,
    own: Own,
    render: Render,
    gate: Mutex<Gate<Job>>,
    /// What attempts led to and is not recorded yet: of each job that was claimed at most one.
    outcomes: Mutex<Vec<Outcome>>,
}

/// A courier that runs. What it is at ends with this.
pub struct Running {
    courier: Arc<Courier>,
    rounds: JoinHandle<()>,
    until: Until,
}

impl Running {
    /// Ends it, and records what came of the last attempts; what is under way is sent again later.
    pub async fn stop(self) {
        self.rounds.abort();
        // It ends because it was told to.
        let _ = self.rounds.await;
        report(self.courier.record_all().await);
        drop(self.until);
    }
}

/// Starts the courier.
pub fn start(teller: Arc<Teller>, sender: Sender, render: Render) -> Running {
    let ((own, until), gate, outcomes) = (thread::start(), Mutex::default(), Mutex::default());
    let courier = Arc::new(Courier { teller, sender, own, render, gate, outcomes });
    let moved = Arc::clone(&courier);
    let rounds = courier.own.spawn(async move {
        let webhooks = Webhooks::default();
        let mut rounds = Rounds { courier: moved, webhooks, cursor: None, seen: None };
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut due_at, mut purge_at) = (Instant::now(), Instant::now());
        loop {
            looks.tick().await;
            let done = rounds.fan_out_all().await;
            report(done);
            let done = rounds.courier.record_all().await;
            report(done);
            let now = Instant::now();
            if now >= due_at {
                due_at = now.checked_add(DUE_EVERY).unwrap_or(now);
                let done = rounds.due().await;
                report(done);
            }
            if now >= purge_at {
                purge_at = now.checked_add(PURGE_EVERY).unwrap_or(now);
                let done = rounds.purge().await;
                report(done);
            }
        }
    });
    Running { courier, rounds, until }
}

/// The next round tries again; deliveries wait where they are.
fn report(done: Result<(), TellerError>) {
    if let Err(error) = done {
        tracing::warn!(%error, "webhooks are held up: {error}");
    }
}

/// Every webhook, as far as what it wants goes. Read again when one was made, and now and then.
#[derive(Default)]
struct Webhooks {
    newest: Option<u64>,
    read_at: Option<Instant>,
    of: HashMap<UserId, Vec<Wanted>>,
    oldest: Option<(Timestamp, Uuid)>,
}

/// What a webhook wants.
struct Wanted {
    id: Uuid,
    since: Timestamp,
    webhook: Webhook,
}

/// What one command hands out.
struct Piece {
    /// Where the cursor is to be.
    to: FeedPosition,
    deliveries: Vec<NewDelivery>,
    bodies: Bodies,
}

/// Events as they are sent, by the delivery: to which webhook, the event's id, the body.
type Bodies = HashMap<Uuid, (Uuid, Uuid, Arc<str>)>;

struct Rounds {
    courier: Arc<Courier>,
    webhooks: Webhooks,
    /// Where the written cursor is, as far as is known.
    cursor: Option<FeedPosition>,
    /// How far the feed was read; none before it was begun.
    seen: Option<FeedPosition>,
}

impl Rounds {
    /// Hands out what there is: after a whole page the next one follows, once what came of the last one is recorded.
    async fn fan_out_all(&mut self) -> Result<(), TellerError> {
        while self.fan_out().await? {
            self.courier.record_all().await?;
        }
        Ok(())
    }

    /// Hands out a page of the feed, a piece at a time; says whether it was a whole one.
    async fn fan_out(&mut self) -> Result<bool, TellerError> {
        self.know_webhooks().await?;
        if self.webhooks.of.is_empty() {
            self.seen = None;
            return Ok(false);
        }
        let seen = match self.seen {
            Some(seen) => seen,
            None => self.begin().await?,
        };
        let courier = Arc::clone(&self.courier);
        let events = courier.teller.feed(None, seen, EVENTS).await?;
        if events.is_empty() {
            return Ok(false);
        }
        // Looked at after the page: a webhook that was made before one of its events is seen here.
        self.know_webhooks().await?;
        if self.seen != Some(seen) {
            return Ok(false);
        }
        let mut piece = Piece { to: seen, deliveries: Vec::new(), bodies: HashMap::new() };
        for event in &events {
            let takers = self.takers(event);
            let is_full = piece.deliveries.len().saturating_add(takers.len()) > DELIVERIES;
            if is_full && !piece.deliveries.is_empty() {
                let next = Piece { to: piece.to, deliveries: Vec::new(), bodies: HashMap::new() };
                if !self.hand_out(std::mem::replace(&mut piece, next)).await? {
                    return Ok(false);
                }
            }
            piece.to = event.position;
            if takers.is_empty() {
                continue;
            }
            let body: Arc<str> = (courier.render)(event).into();
            for webhook in takers {
                let id = courier.teller.clock().uuid()?;
                piece.bodies.insert(id, (webhook, event.id.uuid(), Arc::clone(&body)));
                piece.deliveries.push(new_delivery(id, webhook, event));
            }
        }
        let written = self.cursor.map_or(0, |cursor| cursor.transaction);
        if piece.deliveries.is_empty() && piece.to.transaction.saturating_sub(written) < UNWRITTEN {
            self.seen = Some(piece.to);
        } else if !self.hand_out(piece).await? {
            return Ok(false);
        }
        Ok(events.len() >= EVENTS)
    }

    /// Makes the deliveries of a piece and moves the cursor to its end; false if another node was faster, and it is to be
    /// read again from where that one got to.
    async fn hand_out(&mut self, piece: Piece) -> Result<bool, TellerError> {
        let Piece { to, deliveries, mut bodies } = piece;
        self.seen = None;
        let Some((_, webhook)) = self.webhooks.oldest else { return Ok(false) };
        let command = DeliveryCommand::FanOut(FanOut { from: self.cursor, to, webhook, deliveries });
        let Some(claimed) = self.courier.teller.deliver(command).await? else { return Ok(false) };
        self.cursor = Some(to);
        self.seen = Some(to);
        self.courier.take_fresh(claimed, &mut bodies);
        Ok(true)
    }

    /// Where to go on: at the cursor, but not before the oldest webhook, which wants nothing from before it was made.
    async fn begin(&mut self) -> Result<FeedPosition, TellerError> {
        self.cursor = self.courier.teller.fan_out_cursor().await?;
        let oldest = match self.webhooks.oldest {
            Some((oldest, _)) => self.courier.teller.feed_position(oldest).await?,
            None => FeedPosition::default(),
        };
        let cursor = self.cursor.unwrap_or_default();
        let place = FeedPosition {
            transaction: cursor.transaction.max(oldest.transaction),
            notice: cursor.notice.max(oldest.notice),
        };
        self.seen = Some(place);
        Ok(place)
    }

    async fn know_webhooks(&mut self) -> Result<(), TellerError> {
        let teller = &self.courier.teller;
        let newest = teller.newest_webhook().await?;
        let is_fresh = self.webhooks.read_at.is_some_and(|at| at.elapsed() < DUE_EVERY);
        if newest == self.webhooks.newest && is_fresh {
            return Ok(());
        }
        let mut known = Webhooks { newest, read_at: Some(Instant::now()), ..Webhooks::default() };
        for (number, record) in teller.all_webhooks().await?.into_iter().enumerate() {
            if number % READ_AT_ONCE == 0 {
                // Attempts are made on this thread, too.
                tokio::task::yield_now().await;
            }
            let Some(webhook) = record.read::<Webhook>() else { continue };
            if webhook.state != WebhookState::Enabled {
                continue;
            }
            let (id, since) = (record.key.id, record.created_at);
            known.oldest = Some(known.oldest.map_or((since, id), |oldest| oldest.min((since, id))));
            known.of.entry(record.filing.owner).or_default().push(Wanted { id, since, webhook });
        }
        if known.oldest != self.webhooks.oldest {
            // Others than before, maybe of another ledger, whose feed begins anew.
            self.seen = None;
        }
        self.webhooks = known;
        Ok(())
    }

    /// Who gets an event: the webhooks of those whom it concerns, and the house's.
    fn takers(&self, event: &FeedEvent) -> Vec<Uuid> {
        let mut owners = event.concerns();
        if !owners.contains(&UserId::HOUSE) {
            owners.push(UserId::HOUSE);
        }
        let wanted = owners.iter().filter_map(|owner| self.webhooks.of.get(owner)).flatten();
        wanted.filter(|wanted| wanted.takes(event)).map(|wanted| wanted.id).collect()
    }

    /// Goes on with what is due: deliveries first, then replays. What is more than so many pieces is due again next time.
    async fn due(&mut self) -> Result<(), TellerError> {
        let courier = Arc::clone(&self.courier);
        let now = courier.teller.clock().now();
        for _ in 0..DUE_PIECES {
            let mut due = courier.teller.due(RecordKind::Delivery, now, DELIVERIES).await?;
            due.retain(|record| record.read::<Delivery>().is_some_and(|delivery| is_pending(&delivery)));
            if due.is_empty() {
                break;
            }
            let claims: Vec<Claim> = due.iter().filter_map(|record| courier.claim(record)).collect();
            let put_off: Vec<Uuid> =
                claims.iter().filter(|claim| claim.lease_ms > LEASE_MS).map(|claim| claim.delivery).collect();
            let whole = due.len() >= DELIVERIES;
            let claimed = courier.teller.deliver(DeliveryCommand::Claim(claims)).await?.unwrap_or_default();
            let mine = claimed.into_iter().filter(|id| !put_off.contains(id)).collect();
            courier.take_known(mine).await?;
            if !whole {
                break;
            }
        }
        for record in courier.teller.due(RecordKind::Replay, now, REPLAYED).await? {
            self.replay(&record).await?;
        }
        Ok(())
    }

    /// Sends a piece of a replay.
    async fn replay(&mut self, record: &Arc<Record>) -> Result<(), TellerError> {
        let courier = Arc::clone(&self.courier);
        let (Some(replay), Some(webhook)) = (record.read::<Replay>(), record.filing.parent) else {
            return Ok(());
        };
        let owner = record.filing.owner;
        let seer = (owner != UserId::HOUSE).then_some(owner);
        let wanted =
            self.webhooks.of.get(&owner).and_then(|of| of.iter().find(|wanted| wanted.id == webhook));
        let (mut deliveries, mut bodies, mut to) = (Vec::new(), HashMap::new(), replay.end);
        if let Some(wanted) = wanted {
            let events = courier.teller.feed(seer, replay.position, REPLAYED).await?;
            let within = |event: &&FeedEvent| {
                event.position.transaction <= replay.end.transaction
                    && event.position.notice <= replay.end.notice
            };
            let whole = events.len() >= REPLAYED && events.last().is_some_and(|event| within(&event));
            for event in events.iter().filter(within).filter(|event| wanted.selects(event)) {
                let id = courier.teller.clock().uuid()?;
                bodies.insert(id, (webhook, event.id.uuid(), Arc::from((courier.render)(event))));
                deliveries.push(NewDelivery { again: true, ..new_delivery(id, webhook, event) });
            }
            if whole && let Some(last) = events.last() {
                to = last.position;
            }
        }
        let command = DeliveryCommand::Replay { id: record.key.id, from: replay.position, to, deliveries };
        if let Some(claimed) = courier.teller.deliver(command).await? {
            courier.take_fresh(claimed, &mut bodies);
        }
        Ok(())
    }

    async fn purge(&mut self) -> Result<(), TellerError> {
        let teller = &self.courier.teller;
        let now = teller.clock().now();
        let mut over = teller.due(RecordKind::Delivery, now, PURGED).await?;
        over.retain(|record| record.read::<Delivery>().is_some_and(|delivery| !is_pending(&delivery)));
        over.extend(teller.old_notices(now, PURGED).await?);
        let keys: Vec<_> = over.iter().map(|record| record.key).collect();
        for keys in keys.chunks(DELIVERIES) {
            teller.deliver(DeliveryCommand::Purge(keys.to_vec())).await?;
        }
        Ok(())
    }
}

impl Wanted {
    fn takes(&self, event: &FeedEvent) -> bool {
        event.at >= self.since && self.selects(event)
    }

    fn selects(&self, event: &FeedEvent) -> bool {
        match event.only() {
            Some(only) => only == self.id,
            None => self.webhook.wants(event.kind),
        }
    }
}

impl Courier {
    /// A claim on a due delivery; one whose webhook has enough waiting is put off.
    fn claim(&self, record: &Arc<Record>) -> Option<Claim> {
        let delivery = record.read::<Delivery>()?;
        let webhook = record.filing.parent?;
        let has_room = self.gate.lock().unwrap_or_else(PoisonError::into_inner).has_room(webhook);
        let lease_ms = if has_room { LEASE_MS } else { PUT_OFF_MS };
        Some(Claim { delivery: record.key.id, webhook, next: delivery.next, lease_ms })
    }

    /// Takes deliveries that were just made, whose events are at hand.
    fn take_fresh(self: &Arc<Self>, claimed: Vec<Uuid>, bodies: &mut Bodies) {
        for id in claimed {
            let Some((webhook, event, body)) = bodies.remove(&id) else { continue };
            let until = self.teller.clock().now().plus_millis(LEASE_MS);
            self.offer(webhook, Job { id, webhook, event, until, number: 0, next: None, body: Some(body) });
        }
        self.start_jobs();
    }
}

fn is_pending(delivery: &Delivery) -> bool {
    delivery.state == crate::ledger::DeliveryState::Pending
}

fn new_delivery(id: Uuid, webhook: Uuid, event: &FeedEvent) -> NewDelivery {
    NewDelivery {
        id,
        webhook,
        event: event.id.uuid(),
        name: event.kind.name().to_owned(),
        source: event.source,
        object: event.object,
        again: false,
    }
}
