//! The teller: the one door. HTTP and the command line both come here; nothing else gives a store commands.
//!
//! It authorises (who shows which token, is the password right, is the throttle willing), stamps ids and secrets, and
//! hands a [`Command`] to the store. Rules about money are not here but in [`crate::ledger::decide`].

mod accounts;
mod anonymous;
mod api_keys;
mod bulk;
mod cash;
mod deliveries;
mod due;
mod factors;
mod feed;
mod figures;
mod first_admin;
mod limits;
mod money;
mod operators;
pub mod proofs;
mod reconcile;
mod requests;
mod reviews;
mod sandbox;
mod schedules;
mod search;
mod sessions;
mod statements;
mod verification;
mod webhooks;

use std::sync::Arc;

pub use accounts::{NewUser, OperatorRequest, Registration};
pub use api_keys::{NewApiKey, NewApiKeyRequest};
pub use bulk::BulkRequest;
pub use cash::{CashAnswer, CashOrder};
pub use factors::FactorOffer;
pub use feed::{FeedEvent, Told};
pub use figures::{Figures, Tally};
pub use limits::tightest;
pub use money::{Answer, PayRequest, PaymentNow, Recipient, SettleRequest, StepAnswer, TopupRequest};
pub use requests::{NewRequest, RequestNow};
pub use reviews::ReviewNow;
pub use schedules::{NewSchedule, RuleFault, first_run};
pub use search::Search;
pub use sessions::{Identity, Login, LoginRequest};
pub use statements::{StatementBounds, StatementRequest};
pub use verification::{Verification, Verifier};
pub use webhooks::{DeliveryFilter, FreshWebhook, WebhookRequest};

use crate::auth::hasher::{HashError, Hasher};
use crate::auth::password::{PasswordFault, Policy};
use crate::auth::seal::{SealFault, Sealer};
use crate::auth::throttle::{Limited, Throttle};
use crate::clock::{Clock, RandomError};
use crate::ledger::{
    Action, Command, EventDraft, EventKind, Origin, Outcome, Record, Refusal, Reply, RequestId, Rules,
    Timestamp, User,
};
use crate::store::{Status, Store, StoreError};
use crate::webhook::TargetRules;

use anonymous::AnonymousEvents;
use proofs::{ProofStatus, Proofs};

/// Why the teller did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TellerError {
    /// The ledger said no.
    #[error("refused: {refusal:?}")]
    Refused {
        /// The 'no'.
        refusal: Refusal,
        /// Whether this is the first answer to an idempotency key, given again.
        replayed: bool,
    },
    /// The throttle said no.
    #[error("throttled")]
    Throttled(Limited),
    /// The new password does not pass; says everything that is wrong with it.
    #[error("the password does not pass the policy")]
    PasswordRefused {
        /// The field that holds it, by its name in the API.
        field: &'static str,
        /// Everything that is wrong.
        faults: Vec<PasswordFault>,
    },
    /// The passwords' pool is full, or failed.
    #[error("password hashing: {0}")]
    Hashing(#[from] HashError),
    /// The store could not say yes or no.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A schedule that would run at no time that is allowed.
    #[error("the schedule {0}")]
    Schedule(RuleFault),
    /// This ledger is not one that can begin anew, and this is why.
    #[error("this ledger cannot begin anew: {0}")]
    ResetUnsupported(String),
    /// No randomness.
    #[error("{0}")]
    Random(#[from] RandomError),
    /// A secret of the database does not open, or cannot be sealed.
    #[error("a secret of the database: {0}")]
    Seal(#[from] SealFault),
}

impl From<Refusal> for TellerError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { refusal, replayed: false }
    }
}

/// What the teller is made of.
pub struct TellerParts {
    /// Where the rows are.
    pub store: Arc<dyn Store>,
    /// Time and randomness.
    pub clock: Clock,
    /// The rules that the store decides by.
    pub rules: Rules,
    /// The passwords' pool.
    pub hasher: Hasher,
    /// What a password must be.
    pub policy: Policy,
    /// Who must wait.
    pub throttle: Throttle,
    /// Seals the secrets that the database keeps.
    pub sealer: Sealer,
    /// What signs and proves; a command that only writes a row goes without.
    pub proofs: Option<Proofs>,
    /// What recomputes the whole ledger.
    pub verifier: Verifier,
    /// What URLs webhooks may have.
    pub targets: TargetRules,
}

/// The one door. Shared by everything that asks.
pub struct Teller {
    store: Arc<dyn Store>,
    clock: Clock,
    rules: Rules,
    hasher: Hasher,
    policy: Arc<Policy>,
    throttle: Throttle,
    sealer: Sealer,
    proofs: Option<Proofs>,
    targets: TargetRules,
    anonymous: AnonymousEvents,
    verifying: verification::Verifying,
    first_admin: first_admin::FirstAdmin,
    counting: figures::Counting,
}

impl std::fmt::Debug for Teller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Teller").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Teller {
    /// Opens the door.
    pub fn new(parts: TellerParts) -> Self {
        let TellerParts { store, clock, rules, hasher, policy, throttle, sealer, proofs, verifier, targets } =
            parts;
        let anonymous = AnonymousEvents::default();
        let verifying = verification::Verifying::new(verifier);
        let first_admin = first_admin::FirstAdmin::default();
        let policy = Arc::new(policy);
        Self {
            store,
            clock,
            rules,
            hasher,
            policy,
            throttle,
            sealer,
            proofs,
            targets,
            anonymous,
            verifying,
            first_admin,
            counting: figures::Counting::default(),
        }
    }

    /// The rules that the store decides by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Time and randomness.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What URLs webhooks may have.
    pub fn targets(&self) -> &TargetRules {
        &self.targets
    }

    /// Seals the secrets that the database keeps, and opens them.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// How the store is.
    pub fn status(&self) -> Status {
        self.store.status()
    }

    /// How many passwords wait to be hashed.
    pub fn password_queue(&self) -> usize {
        self.hasher.queue_length()
    }

    /// A fresh id for a request.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn request_id(&self) -> Result<RequestId, RandomError> {
        self.clock.uuid().map(RequestId::new)
    }

    /// Counts an event that names no known user, to be written with the next flush: one row per event, address and
    /// minute, however many there are.
    pub fn note_anonymous(&self, kind: EventKind, origin: &Origin) {
        self.anonymous.count(kind, origin, self.clock.now());
    }

    /// Writes an event that concerns a known user, such as a permission refused at the door.
    ///
    /// # Errors
    /// If the store cannot.
    pub async fn note(&self, event: EventDraft, origin: Origin) -> Result<(), TellerError> {
        self.execute(origin, Action::Note(vec![event])).await.map(|_| ())
    }

    /// Writes the anonymous events that are due. Called every second, and once more before the end.
    pub async fn flush_anonymous(&self, everything: bool) {
        let now = if everything { Timestamp::from_millis(i64::MAX) } else { self.clock.now() };
        for (draft, origin) in self.anonymous.due(now) {
            if let Err(error) = self.note(draft, origin).await {
                tracing::warn!(%error, "an anonymous security event could not be written: {error}");
            }
        }
    }

    /// Lets the proofs follow the journal; writes a checkpoint, too, where one is due. Called every second.
    pub async fn keep_proofs(&self, checkpoint_due: bool) {
        let Some(proofs) = &self.proofs else { return };
        let now = self.clock.now();
        let kept = if checkpoint_due { proofs.write(now).await } else { proofs.follow().await };
        match kept {
            Err(fault) if checkpoint_due => {
                tracing::error!(%fault, "no checkpoint could be written: {fault}");
            }
            // It is tried again in a second.
            Err(fault) => tracing::debug!(%fault, "the proofs could not follow the journal: {fault}"),
            Ok(()) => {}
        }
    }

    /// How the proofs are.
    pub fn proof_status(&self) -> Option<ProofStatus> {
        self.proofs.as_ref().map(Proofs::status)
    }

    /// Tells the other nodes what the throttle counted, and counts what they tell. Called every second.
    pub async fn share_throttle(&self) {
        match self.store.exchange_news(self.throttle.take_news()).await {
            Ok(news) => self.throttle.hear(&news, self.clock.now()),
            // While the database is away nobody logs in; what was not told is lost, and the limits hold per node.
            Err(error) => tracing::debug!(%error, "the throttle's news could not be exchanged: {error}"),
        }
    }

    /// Makes durable what was accepted, and lets go of the database.
    pub async fn close(&self) {
        self.flush_anonymous(true).await;
        if let Some(proofs) = &self.proofs {
            proofs.close(self.clock.now()).await;
        }
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "the database could not be let go of: {error}");
        }
    }

    async fn execute(&self, origin: Origin, action: Action) -> Result<(Reply, bool), TellerError> {
        let Outcome { replayed, result } = self.store.execute(Command { origin, action }).await?;
        match result {
            Ok(reply) => Ok((reply, replayed)),
            Err(refusal) => Err(TellerError::Refused { refusal, replayed }),
        }
    }
}

/// The decision answers each command with its own kind of reply; another is a bug of ours, told as a fault.
fn unexpected(reply: &Reply) -> TellerError {
    TellerError::Store(StoreError::Damaged(format!("unexpected reply {reply:?}")))
}

fn expect_record(reply: Reply) -> Result<Arc<Record>, TellerError> {
    match reply {
        Reply::Record(record) => Ok(record),
        other => Err(unexpected(&other)),
    }
}

fn expect_user(reply: Reply) -> Result<Arc<User>, TellerError> {
    match reply {
        Reply::User(user) => Ok(user),
        other => Err(unexpected(&other)),
    }
}
