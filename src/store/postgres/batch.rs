//! One batch: load, decide, write, commit; again if another node was in the way, in halves if the database refuses a
//! command, and looked up if the answer to the COMMIT was lost.
//!
//! **Round trips: two** for a batch of any size (one to lock and load, one to write and commit), three if it holds an
//! idempotency key that is repeated, or that comes from somebody who may move cash. What must hold: the chain's head is locked last, by a statement that is sent together with the
//! COMMIT, so that no other node waits for this one's network. Where somebody waits for the next batch, its BEGIN goes
//! along with the COMMIT: each message that is answered by itself wakes the node once more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use deadpool_postgres::Object;
use uuid::Uuid;

use super::fault::Fault;
use super::load::{self, LoadTime, Wanted};
use super::pasts::Pasts;
use super::save::{self, Committed, Loaded};
use super::{Shared, connect, statements};
use crate::ledger::{Command, Mode, Outcome, Reply, SecurityEvent, Timestamp, WorkingSet, decide};
use crate::telemetry::log_security;

/// How long a batch is tried until it is loaded. With the two below it bounds how long a request can hang: no request may
/// take 10 s.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long writing and committing may take before the outcome is looked up.
const WRITE_LIMIT: Duration = Duration::from_millis(2_500);
/// How long the outcome is looked up before the askers are told that it is unknown.
const RESOLVE_LIMIT: Duration = Duration::from_secs(2);
/// How long a rollback may take before its connection is given up.
const ROLLBACK_LIMIT: Duration = Duration::from_millis(500);
/// The longest pause before a batch that conflicted is tried again, in milliseconds: drawn at random, and doubled each
/// time up to this.
const LONGEST_PAUSE_MS: u64 = 200;
/// How often a batch may lose a race for a unique name before a command is suspected.
const RACES: u32 = 8;

macro_rules! begin {
    () => {
        "BEGIN ISOLATION LEVEL READ COMMITTED; LOCK TABLE chain IN ACCESS SHARE MODE"
    };
}

/// Begins a batch's transaction; nothing else of the ledger's is touched before the table of the chain's head. So a reset,
/// which takes that table from everybody, never meets a batch that holds others.
pub(super) const BEGIN: &str = begin!();
const COMMIT_AND_BEGIN: &str = concat!("COMMIT; ", begin!());

/// What a batch decided, before it is known whether it was committed.
struct Decided {
    outcomes: Vec<Outcome>,
    set: WorkingSet,
}

/// What a batch came to.
pub(super) struct Done {
    pub(super) outcomes: Vec<Outcome>,
    /// How long it took to write and commit it; nothing if there was nothing to write, or it is not known.
    pub(super) commit: Duration,
}

/// What a lane keeps from batch to batch.
#[derive(Default)]
pub(super) struct Lane {
    pasts: Pasts,
    /// A connection whose next transaction has begun.
    begun: Option<Object>,
}

impl Lane {
    /// Ends what was begun for a next batch that does not come yet.
    pub(super) async fn rest(&mut self) {
        if let Some(client) = self.begun.take() {
            roll_back(client).await;
        }
    }
}

/// Runs the commands as one batch. On a fault nothing of it happened, unless it is [`Fault::Unknown`].
pub(super) async fn run(shared: &Shared, commands: &[Command], lane: &mut Lane) -> Result<Done, Fault> {
    let began = Instant::now();
    let is_late = || began.elapsed() >= PATIENCE;
    let wanted = Wanted::by(commands);
    let mut tries = 0_u32;
    loop {
        let batch = shared.clock.uuid().map_err(|error| Fault::Transient(error.to_string()))?;
        let fault = match Box::pin(attempt(shared, batch, commands, (&wanted, &mut *lane), began)).await {
            Attempt::Done(done) => return Ok(done),
            Attempt::Lost(decided, told) => match resolve(shared, batch).await {
                Resolved::Committed(committed) => {
                    return Ok(finish(shared, *decided, committed, Duration::ZERO, &mut lane.pasts));
                }
                Resolved::Never => Fault::Transient(told),
                Resolved::NotKnown => return Err(Fault::Unknown(told)),
            },
            Attempt::Failed(fault) => fault,
        };
        tries = tries.saturating_add(1);
        match fault {
            Fault::Transient(_) if !is_late() => {}
            Fault::Raced(_) if !is_late() && tries < RACES => {}
            Fault::Raced(told) => return Err(Fault::Refused(told)),
            fault => return Err(fault),
        }
        tracing::debug!(%fault, tries, "a batch is tried again: {fault}");
        pause(shared, tries).await;
    }
}

enum Attempt {
    Done(Done),
    /// The COMMIT's answer did not come.
    Lost(Box<Decided>, String),
    Failed(Fault),
}

/// The time that the batch is given instead of the database's own; none in a ledger of real money. A sandbox's clock that
/// was moved is ahead, and its nodes know by how much from the ledger's newest row.
fn given_time(shared: &Shared) -> Option<i64> {
    let ahead = || (shared.rules.mode == Mode::Sandbox).then(|| shared.clock.ahead_ms()).flatten();
    shared.clock.fixed_ms().or_else(ahead)
}

async fn attempt(
    shared: &Shared,
    batch: Uuid,
    commands: &[Command],
    (wanted, lane): (&Wanted, &mut Lane),
    began: Instant,
) -> Attempt {
    let left = || PATIENCE.saturating_sub(began.elapsed());
    let Lane { pasts, begun } = lane;
    let kept = begun.take().filter(|client| !client.is_closed());
    let has_begun = kept.is_some();
    let client = match kept {
        Some(client) => client,
        None => match in_time(left(), connect::take(&shared.writers, &shared.runtime)).await {
            Ok(Ok(client)) => client,
            Ok(Err(fault)) | Err(fault) => return Attempt::Failed(fault),
        },
    };
    pasts.over(Object::metrics(&client).created);
    let time = LoadTime {
        has_begun,
        fixed_ms: given_time(shared),
        duplicate_window_ms: shared.rules.duplicate_window_ms,
        assesses_risk: shared.rules.risk.enabled,
    };
    let mut set = match in_time(left(), Box::pin(load::load(&client, wanted, time, pasts))).await {
        Ok(Ok(set)) => set,
        Ok(Err(fault)) | Err(fault) => {
            let_go(client, &fault).await;
            return Attempt::Failed(fault);
        }
    };
    let loaded = Loaded::of(&set);
    let decided = catch_unwind(AssertUnwindSafe(|| {
        commands.iter().map(|command| decide(&shared.rules, &mut set, command)).collect()
    }));
    let Ok(outcomes) = decided else {
        roll_back(client).await;
        return Attempt::Failed(Fault::Refused("a command could not be decided".into()));
    };
    if set.changes.is_empty() {
        roll_back(client).await;
        return Attempt::Done(Done { outcomes, commit: Duration::ZERO });
    }
    let began = Instant::now();
    let somebody_waits = shared.gauges.queued.load(Ordering::Relaxed) > 0;
    let commit = if somebody_waits { COMMIT_AND_BEGIN } else { "COMMIT" };
    let written = in_time(WRITE_LIMIT, Box::pin(save::write(&client, batch, (&set, &loaded), commit))).await;
    let decided = Decided { outcomes, set };
    match written {
        Ok(Ok(committed)) => {
            *begun = Some(client).filter(|_| somebody_waits);
            Attempt::Done(finish(shared, decided, committed, began.elapsed(), pasts))
        }
        Ok(Err(Fault::Unknown(told))) | Err(Fault::Transient(told)) => {
            drop(Object::take(client));
            Attempt::Lost(Box::new(decided), told)
        }
        Ok(Err(fault)) | Err(fault) => {
            let_go(client, &fault).await;
            Attempt::Failed(fault)
        }
    }
}

/// Gives a connection back after a fault; but not one that may be broken, or lead to a server that is no leader any more.
async fn let_go(client: Object, fault: &Fault) {
    match fault {
        Fault::Transient(_) | Fault::Unknown(_) => drop(Object::take(client)),
        Fault::Raced(_) | Fault::Refused(_) | Fault::Damaged(_) => roll_back(client).await,
    }
}

pub(super) async fn in_time<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Fault> {
    tokio::time::timeout(limit, work)
        .await
        .map_err(|_| Fault::Transient("the database did not answer in time".into()))
}

/// Ends the transaction, and gives the connection back if that goes well.
async fn roll_back(client: Object) {
    if !matches!(in_time(ROLLBACK_LIMIT, client.batch_execute("ROLLBACK")).await, Ok(Ok(()))) {
        drop(Object::take(client));
    }
}

enum Resolved {
    /// It was committed; the block tells what it learned, if it had one.
    Committed(Option<Committed>),
    Never,
    NotKnown,
}

/// Finds out what became of a batch: inserts its id as a fence. If that succeeds, the batch never was and never will be;
/// if the id is there, it was committed. A batch that is still being committed makes the fence wait.
async fn resolve(shared: &Shared, batch: Uuid) -> Resolved {
    let looking_up = async {
        let mut tries = 0_u32;
        loop {
            match fence(shared, batch).await {
                Ok(resolved) => return resolved,
                Err(fault) => tracing::warn!(%fault, "the outcome of a batch is not known yet: {fault}"),
            }
            tries = tries.saturating_add(1);
            pause(shared, tries).await;
        }
    };
    tokio::time::timeout(RESOLVE_LIMIT, looking_up).await.unwrap_or(Resolved::NotKnown)
}

async fn fence(shared: &Shared, batch: Uuid) -> Result<Resolved, Fault> {
    // A connection of its own if the look-up is given up: a fence that still waits must not hold up the next batch.
    let client = Object::take(connect::take(&shared.writers, &shared.runtime).await?);
    let statement = client.prepare_cached(statements::ADD_BATCH).await?;
    match client.execute(&statement, &[&batch]).await {
        Ok(_) => Ok(Resolved::Never),
        Err(error) if error.as_db_error().and_then(|error| error.constraint()) == Some("batches_id") => {
            let statement = client.prepare_cached(statements::BLOCK_OF_BATCH).await?;
            let block = client.query_opt(&statement, &[&batch]).await?;
            Ok(Resolved::Committed(block.as_ref().map(save::committed_of).transpose()?))
        }
        Err(error) => Err(error.into()),
    }
}

/// A random pause, so that two nodes that met do not meet again.
async fn pause(shared: &Shared, tries: u32) {
    let longest = 2_u64.saturating_pow(tries.min(8)).saturating_mul(4).min(LONGEST_PAUSE_MS);
    let random = shared.clock.random::<2>().map_or(0, u16::from_be_bytes);
    let pause = u64::from(random).checked_rem(longest).unwrap_or_default().saturating_add(1);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

/// Takes a committed batch's own time and number into what is told about it.
fn finish(
    shared: &Shared,
    decided: Decided,
    committed: Option<Committed>,
    commit: Duration,
    pasts: &mut Pasts,
) -> Done {
    let Decided { mut outcomes, mut set } = decided;
    if let Some(committed) = committed {
        pasts.wrote(&committed, &set);
        if committed.at != set.now {
            for event in &mut set.changes.events {
                *event = SecurityEvent { at: committed.at, ..event.clone() };
            }
            for outcome in &mut outcomes {
                restamp(outcome, set.now, committed.at);
            }
        }
        shared.saw(&committed);
    }
    shared.gauges.ready.store(true, Ordering::Relaxed);
    if let Some(telemetry) = &shared.telemetry {
        telemetry.security_events(&set.changes.events);
        log_security(&set.changes.events);
        telemetry.engine().batch(outcomes.len(), commit);
    }
    Done { outcomes, commit }
}

/// A transaction of this batch says the time that its row got. One that was replayed keeps its own.
fn restamp(outcome: &mut Outcome, decided: Timestamp, written: Timestamp) {
    if let Ok(Reply::Many(outcomes)) = &mut outcome.result {
        for outcome in outcomes {
            restamp(outcome, decided, written);
        }
        return;
    }
    if let Ok(Reply::Transaction(transaction) | Reply::Step { step: transaction, .. }) = &mut outcome.result
        && !outcome.replayed
        && transaction.created_at == decided
    {
        Arc::make_mut(transaction).created_at = written;
    }
}
