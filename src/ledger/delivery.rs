//! Deliveries: one event on its way to one webhook.
//!
//! A delivery is made by the command that moves the feed's cursor past its event, so that there is exactly one, whichever
//! node does it. Whoever is to try it claims it first: until the claim's end nobody else does. What is tried and not
//! recorded is tried again after that, with the same id. Events about one thing go to one webhook in order: each waits in
//! a lane for the one before, which knows it as its next; the last of each is found by the two names.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::chain::Hash;
use super::{
    Action, Command, EventSource, FeedCursor, FeedPosition, Keeper, Needs, RecordKey, Timestamp, Webhook,
};

/// An event on its way to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The event's id, without its prefix.
    pub event: Uuid,
    /// The name of the event's type.
    pub name: String,
    /// Where the event is told.
    pub source: EventSource,
    /// What the event is about.
    pub object: Uuid,
    /// How it stands.
    pub state: DeliveryState,
    /// Every attempt so far.
    pub tries: Vec<Try>,
    /// The beginning of the last answer's body.
    pub body: String,
    /// What waits for it.
    pub next: Option<Uuid>,
    /// Whether somebody asked that its event be sent again.
    #[serde(default)]
    pub again: bool,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryState {
    /// It waits for its turn or its next attempt.
    Pending,
    /// The webhook took it.
    Delivered,
    /// The webhook never took it.
    Failed,
    /// The webhook was switched off before it took it.
    Canceled,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Failed, Self::Canceled];

    /// The states' names.
    pub const NAMES: &'static [&'static str] = &["pending", "delivered", "failed", "canceled"];

    /// The state's name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// One attempt, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// When it was recorded.
    pub at: Timestamp,
    /// The answer's status; none if there was none.
    pub status: Option<u16>,
    /// Why there was no answer.
    pub failure: Option<String>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// What an attempt led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryResult {
    /// The answer's status; none if there was none.
    pub status: Option<u16>,
    /// Why there was no answer.
    pub failure: Option<String>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// The beginning of the answer's body.
    pub body: String,
    /// The webhook asked for this much time, in milliseconds.
    pub retry_after_ms: Option<i64>,
}

impl TryResult {
    /// Whether the webhook took the event.
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// A delivery that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// The id that it gets.
    pub id: Uuid,
    /// To which webhook.
    pub webhook: Uuid,
    /// The event's id, without its prefix.
    pub event: Uuid,
    /// The name of the event's type.
    pub name: String,
    /// Where the event is told.
    pub source: EventSource,
    /// What the event is about.
    pub object: Uuid,
    /// Whether somebody asked that its event be sent again.
    pub again: bool,
}

/// Past these events the feed's cursor is to move; these are their deliveries.
#[derive(Debug, Clone)]
pub struct FanOut {
    /// Where the cursor is.
    pub from: Option<FeedPosition>,
    /// Where it is to be.
    pub to: FeedPosition,
    /// A webhook there is: a cursor of another ledger may stand where this one's does.
    pub webhook: Uuid,
    /// What goes to whom.
    pub deliveries: Vec<NewDelivery>,
}

/// A delivery that is due, to be claimed.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// Which.
    pub delivery: Uuid,
    /// To which webhook.
    pub webhook: Uuid,
    /// What waits for it, as far as was known.
    pub next: Option<Uuid>,
    /// For how long, in milliseconds. Nobody else tries it that long.
    pub lease_ms: i64,
}

/// The outcome of an attempt, to be recorded.
#[derive(Debug, Clone)]
pub struct SettleDelivery {
    /// Of which delivery.
    pub delivery: Uuid,
    /// To which webhook.
    pub webhook: Uuid,
    /// What waits for it, as far as was known.
    pub next: Option<Uuid>,
    /// Which attempt this was, from 0.
    pub number: usize,
    /// What it led to.
    pub result: TryResult,
    /// How much longer than its schedule the next attempt waits, in thousandths.
    pub jitter_permille: i64,
}

/// A delivery that is to be made again.
#[derive(Debug, Clone)]
pub struct Redeliver {
    /// Who asks.
    pub keeper: Keeper,
    /// Which.
    pub delivery: Uuid,
    /// To which webhook.
    pub webhook: Uuid,
    /// What its event is about.
    pub object: Uuid,
    /// The id that the new one gets.
    pub new: Uuid,
}

/// Events that are to be sent to a webhook once more: those between two places of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// How far it has got.
    pub position: FeedPosition,
    /// How far it goes.
    pub end: FeedPosition,
}

/// Something about deliveries. Most of it nobody asks for: it is what carries them out.
#[derive(Debug, Clone)]
pub enum DeliveryCommand {
    /// Hand events to webhooks.
    FanOut(FanOut),
    /// Claim what is due.
    Claim(Vec<Claim>),
    /// Record attempts.
    Settle(Vec<SettleDelivery>),
    /// Make a delivery again.
    Redeliver(Redeliver),
    /// Send events of a span once more.
    BeginReplay {
        /// Who asks.
        keeper: Keeper,
        /// The id that it gets.
        id: Uuid,
        /// To which webhook.
        webhook: Uuid,
        /// What is to be sent.
        replay: Replay,
    },
    /// A piece of that.
    Replay {
        /// Which.
        id: Uuid,
        /// Where it was.
        from: FeedPosition,
        /// Where it is to be.
        to: FeedPosition,
        /// What goes out.
        deliveries: Vec<NewDelivery>,
    },
    /// Forget records whose time is over.
    Purge(Vec<RecordKey>),
}

impl Command {
    /// Whether nobody waits for it, and what it wrote is done again if it was lost: it gives way to all others.
    pub fn gives_way(&self) -> bool {
        matches!(&self.action, Action::Delivery(asked) if asked.gives_way())
    }
}

impl DeliveryCommand {
    /// Whether it carries deliveries out.
    fn gives_way(&self) -> bool {
        match self {
            Self::FanOut(_) | Self::Claim(_) | Self::Settle(_) | Self::Replay { .. } | Self::Purge(_) => true,
            Self::Redeliver(_) | Self::BeginReplay { .. } => false,
        }
    }

    pub(super) fn add_needs(&self, needs: &mut Needs) {
        match self {
            Self::FanOut(fan_out) => {
                needs.records.extend([FeedCursor::FAN_OUT, RecordKey::of::<Webhook>(fan_out.webhook)]);
                add_new(&fan_out.deliveries, needs);
            }
            Self::Claim(claims) => {
                for claim in claims {
                    add_pair(claim.delivery, claim.webhook, claim.next, needs);
                }
            }
            Self::Settle(settles) => {
                for settle in settles {
                    add_pair(settle.delivery, settle.webhook, settle.next, needs);
                }
            }
            Self::Redeliver(redeliver) => {
                add_keeper(&redeliver.keeper, needs);
                add_pair(redeliver.delivery, redeliver.webhook, None, needs);
                needs.record_lookups.push(lookup(redeliver.webhook, redeliver.object));
            }
            Self::BeginReplay { keeper, webhook, .. } => {
                add_keeper(keeper, needs);
                needs.records.push(RecordKey::of::<Webhook>(*webhook));
            }
            Self::Replay { id, deliveries, .. } => {
                needs.records.push(RecordKey::of::<Replay>(*id));
                add_new(deliveries, needs);
            }
            Self::Purge(keys) => needs.records.extend(keys),
        }
    }
}

fn add_keeper(keeper: &Keeper, needs: &mut Needs) {
    needs.users.push(keeper.caller.user);
    needs.sessions.push(keeper.caller.session);
}

fn add_pair(delivery: Uuid, webhook: Uuid, next: Option<Uuid>, needs: &mut Needs) {
    needs.records.push(RecordKey::of::<Delivery>(delivery));
    needs.records.push(RecordKey::of::<Webhook>(webhook));
    needs.records.extend(next.map(RecordKey::of::<Delivery>));
}

fn add_new(deliveries: &[NewDelivery], needs: &mut Needs) {
    for new in deliveries {
        needs.records.push(RecordKey::of::<Webhook>(new.webhook));
        needs.record_lookups.push(lookup(new.webhook, new.object));
    }
}

fn lookup(webhook: Uuid, object: Uuid) -> (super::RecordKind, Hash) {
    (super::RecordKind::Delivery, lane(webhook, object))
}

/// What the last pending delivery of a webhook's events about one thing is found by. The thing comes first: ids follow the
/// time, so that lanes which come and go together are neighbours in the index.
pub fn lane(webhook: Uuid, object: Uuid) -> Hash {
    let mut lane = [0; 32];
    for (place, byte) in lane.iter_mut().zip(object.into_bytes().into_iter().chain(webhook.into_bytes())) {
        *place = byte;
    }
    lane
}
