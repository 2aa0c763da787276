//! Webhooks: where the events that concern their owner are sent. The house has some, too, which get every event.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Caller, EventType, Needs, Record, RecordKey, Timestamp, UserId, WebhookId};

/// A webhook. Its record's owner is whose events it gets: a user's, or, of the house, everybody's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where it is.
    pub url: String,
    /// Which events it gets: names, or beginnings such as `payment.*`.
    pub events: Vec<String>,
    /// What its owner says about it; empty if nothing.
    pub description: String,
    /// The name of its signatures' scheme.
    pub scheme: String,
    /// What signs its deliveries, sealed.
    pub secret: String,
    /// What its signatures are verified with, where that is no secret.
    pub public_key: Option<String>,
    /// What signed them before, and still does for a while.
    pub retired: Option<RetiredSecret>,
    /// Whether it gets anything.
    pub state: WebhookState,
    /// About when it last took a delivery; it is written at most once an hour.
    pub last_success_at: Option<Timestamp>,
}

impl Webhook {
    /// Whether it wants events of this type.
    pub fn wants(&self, kind: EventType) -> bool {
        self.events.iter().any(|selection| kind.is_selected_by(selection))
    }

    /// The webhook as those who keep it are told, in answers and in events.
    pub fn told(&self, record: &Record) -> Value {
        let (status, reason) = match self.state {
            WebhookState::Enabled => ("enabled", None),
            WebhookState::Disabled(reason) => ("disabled", Some(reason.name())),
        };
        json!({
            "id": WebhookId::new(record.key.id),
            "url": self.url,
            "events": self.events,
            "description": (!self.description.is_empty()).then_some(&self.description),
            "scope": if record.filing.owner == UserId::HOUSE { "ledger" } else { "own" },
            "signature": self.scheme,
            "public_key": self.public_key,
            "status": status,
            "disabled_reason": reason,
            "old_secret_until": self.retired.as_ref().map(|retired| retired.until.to_string()),
            "created_at": record.created_at.to_string(),
            "updated_at": record.updated_at.to_string(),
        })
    }
}

/// A secret that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredSecret {
    /// The secret, sealed.
    pub secret: String,
    /// Until when deliveries are signed with it, too.
    pub until: Timestamp,
}

/// Whether a webhook gets anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebhookState {
    /// It does.
    Enabled,
    /// It does not.
    Disabled(Disabled),
}

/// Why a webhook gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disabled {
    /// Its owner wants it so.
    ByOwner,
    /// It answered 410.
    Gone,
    /// It failed until the schedule's end.
    Failing,
}

impl Disabled {
    /// The reason's name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ByOwner => "by_owner",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// Which webhooks an owner has: what their number is counted by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookList {
    /// In the order of their making.
    pub webhooks: Vec<Uuid>,
}

/// Who asks for something about webhooks, and whose they are.
#[derive(Debug, Clone, Copy)]
pub struct Keeper {
    /// Who asks.
    pub caller: Caller,
    /// Whose: the caller's own, or the house's.
    pub owner: UserId,
}

/// A webhook that somebody wants.
#[derive(Debug, Clone)]
pub struct WebhookDraft {
    /// Where it is to be.
    pub url: String,
    /// Which events it is to get.
    pub events: Vec<String>,
    /// What its owner says about it; empty if nothing.
    pub description: String,
    /// The name of its signatures' scheme.
    pub scheme: String,
    /// What signs its deliveries.
    pub secret: NewSecret,
}

/// A secret that was just made.
#[derive(Debug, Clone)]
pub struct NewSecret {
    /// The secret, sealed.
    pub sealed: String,
    /// What its signatures are verified with, where that is no secret.
    pub public_key: Option<String>,
}

/// What is to change about a webhook; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct WebhookPatch {
    /// Where it is.
    pub url: Option<String>,
    /// Which events it gets.
    pub events: Option<Vec<String>>,
    /// What its owner says about it.
    pub description: Option<String>,
    /// Whether it gets anything.
    pub enabled: Option<bool>,
}

/// Something asked about webhooks by those who keep them.
#[derive(Debug, Clone)]
pub enum WebhookCommand {
    /// Make one.
    Create {
        /// Who asks.
        keeper: Keeper,
        /// The id that it gets.
        id: WebhookId,
        /// What it is to be.
        draft: WebhookDraft,
    },
    /// Change one.
    Update {
        /// Who asks.
        keeper: Keeper,
        /// Which.
        id: WebhookId,
        /// What is to change.
        patch: WebhookPatch,
    },
    /// Give one another secret.
    Rotate {
        /// Who asks.
        keeper: Keeper,
        /// Which.
        id: WebhookId,
        /// The new secret.
        secret: NewSecret,
        /// For how long the old one signs, too, in milliseconds.
        keep_ms: i64,
    },
    /// Take one away.
    Delete {
        /// Who asks.
        keeper: Keeper,
        /// Which.
        id: WebhookId,
    },
    /// Send a test.
    Test {
        /// Who asks.
        keeper: Keeper,
        /// Which.
        id: WebhookId,
    },
    /// Tell an event that did not happen. In a sandbox alone.
    Trigger {
        /// Who asks.
        caller: Caller,
        /// The event's type.
        kind: EventType,
        /// What it is to be about.
        object: Uuid,
        /// What it is to tell.
        data: Value,
    },
}

impl WebhookCommand {
    pub(super) fn add_needs(&self, needs: &mut Needs) {
        let caller = match self {
            Self::Create { keeper, id, .. } | Self::Delete { keeper, id } => {
                needs.records.push(RecordKey::of::<WebhookList>(keeper.owner.uuid()));
                needs.records.push(RecordKey::of::<Webhook>(id.uuid()));
                &keeper.caller
            }
            Self::Update { keeper, id, .. } | Self::Rotate { keeper, id, .. } | Self::Test { keeper, id } => {
                needs.records.push(RecordKey::of::<Webhook>(id.uuid()));
                &keeper.caller
            }
            Self::Trigger { caller, .. } => caller,
        };
        needs.users.push(caller.user);
        needs.sessions.push(caller.session);
    }
}
