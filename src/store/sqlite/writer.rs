//! The writer thread: gathers what waits, runs it as one batch, answers everybody, and folds in between.
//!
//! Group commit without a timer: a batch is whatever queued while the last one was being made durable. What carries
//! deliveries out gives way: it is a batch of its own when nobody else came for a moment, one command long, so that whoever
//! comes then waits for that one at most; when it gave way often enough, it goes with the others. After a fault
//! nothing in memory is believed: the connection is thrown away, the file opened and read anew, and until that succeeds
//! every command is answered at once with a fault and the store is not ready.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::engine::{Done, Engine};
use super::fault::Fault;
use super::flusher::Flusher;
use super::fold::FoldPace;
use super::{Shared, connect, properties};
use crate::auth::keyring::Fingerprints;
use crate::clock::Clock;
use crate::ledger::{Command, Outcome, Rules, SecurityEvent};
use crate::store::{OpenError, StoreError};
use crate::telemetry::{BatchTimes, Telemetry, Traced, log_security};

/// The most commands in one batch: what bounds the time that one takes.
const MAX_BATCH: usize = 512;
/// How long nothing must happen before an idle writer folds.
const IDLE: Duration = Duration::from_millis(500);
/// How many batches go before a command that gives way.
const GIVES_WAY: u32 = 2;
/// How long nobody must have come before one of these runs: as long as those who were answered last take to hear of it, and
/// as those take who are on their way here. The writer would hold the processor that they need.
const PAUSE: Duration = Duration::from_micros(300);
/// How long to wait before the file is tried again after a fault.
const RETRY: Duration = Duration::from_millis(250);

/// A command that waits, and where its answer goes.
pub(super) struct Waiting {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<Outcome, StoreError>>,
    pub(super) traced: Option<Traced>,
}

/// Commands that wait until nobody else does.
#[derive(Default)]
struct Behind {
    waiting: VecDeque<Waiting>,
    /// How often the first of them gave way.
    passed: u32,
}

impl Behind {
    /// The next one, whose turn it is.
    fn next(&mut self) -> Option<Waiting> {
        self.passed = 0;
        self.waiting.pop_front()
    }

    /// The next one, if it gave way often enough; else it gives way once more.
    fn next_if_passed(&mut self) -> Option<Waiting> {
        if self.passed >= GIVES_WAY || self.waiting.is_empty() {
            return self.next();
        }
        self.passed = self.passed.saturating_add(1);
        None
    }
}

/// What an engine is made from, at start and after each fault.
pub(super) struct Source {
    pub(super) folder: PathBuf,
    pub(super) keys: Fingerprints,
    pub(super) shared: Arc<Shared>,
    pub(super) rules: Rules,
    pub(super) clock: Clock,
    pub(super) pace: FoldPace,
}

impl Source {
    /// Reads the journal's end on the writing connection.
    pub(super) fn engine(&self, connection: Connection) -> Result<Engine, OpenError> {
        let (shared, rules, clock) = (Arc::clone(&self.shared), self.rules.clone(), self.clock.clone());
        let made = Engine::new(connection, shared, rules, clock, self.pace);
        made.map_err(|fault| OpenError::Unusable(fault.to_string()))
    }

    /// After a fault: the file again, everything that its WAL holds brought into it, and a write that proves it.
    fn recover(&self) -> Result<Engine, OpenError> {
        guarded(|| {
            let mut engine = self.engine(connect::writer(&self.folder)?)?;
            engine.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            engine.sync()?;
            Ok(engine)
        })
    }
}

impl Source {
    /// Moves the ledger's files aside, as they are, and makes an empty ledger in their place.
    fn begin_anew(&self, engine: Option<Engine>) -> Result<Engine, OpenError> {
        if let Some(mut engine) = engine {
            finish(&mut engine);
            engine.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        move_aside(&self.folder).map_err(|error| {
            OpenError::Unusable(format!("the ledger's files could not be moved aside: {error}"))
        })?;
        let mut connection = connect::writer(&self.folder)?;
        properties::settle(&mut connection, &self.keys, &self.rules, &self.clock)?;
        self.engine(connection)
    }
}

/// Gives the ledger's files the next free name of those that were moved aside.
fn move_aside(folder: &Path) -> io::Result<()> {
    let name = |number: u32| folder.join(format!("farthing-reset-{number}.db"));
    let number = (1..u32::MAX).find(|number| !name(*number).exists()).unwrap_or(u32::MAX);
    for ending in ["", "-wal", "-shm"] {
        let of = |file: &Path| PathBuf::from(format!("{}{ending}", file.display()));
        let from = of(&super::file(folder));
        if from.exists() {
            std::fs::rename(from, of(&name(number)))?;
        }
    }
    std::fs::File::open(folder)?.sync_all()
}

/// Runs until every sender is gone; then folds what is left and lets go of the file.
pub(super) fn run(source: &Source, engine: Engine, commands: &Receiver<Waiting>, flusher: Flusher) {
    let (mut engine, mut behind) = (Some(engine), Behind::default());
    loop {
        let anew = source.shared.anew.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(answer) = anew {
            let _off = flusher.keep_off();
            let begun = guarded(|| source.begin_anew(engine.take()));
            let told = begun.as_ref().map(|_| ()).map_err(|error| StoreError::Unavailable(error.to_string()));
            engine = begun.ok();
            let _ = answer.send(told);
        }
        let Some(running) = &mut engine else {
            refuse_waiting(&mut behind, commands);
            let _off = flusher.keep_off();
            engine = try_to_recover(source);
            continue;
        };
        let step = match gather(running, &mut behind, commands) {
            Gathered::Batch(batch) => run_batch(source, running, batch),
            Gathered::Idle if running.is_unsynced() => guarded(|| running.sync()),
            Gathered::Idle => guarded(|| running.fold_slice(true)),
            Gathered::Closed => break,
        };
        let step = step.and_then(|()| {
            if running.wants_to_fold(false) { guarded(|| running.fold_slice(false)) } else { Ok(()) }
        });
        if running.log.is_due() {
            flusher.bring_in();
        } else if running.is_unsynced() {
            flusher.wake();
        }
        if let Err(fault) = step {
            source.shared.gauges.set_ready(false);
            tracing::error!(%fault, "the database failed, and is opened anew: {fault}");
            engine = None;
        }
    }
    // The last one who has the file open brings all of the log into it.
    drop(flusher);
    if let Some(mut engine) = engine {
        finish(&mut engine);
    }
    source.shared.gauges.set_ready(false);
}

enum Gathered {
    Batch(Vec<Waiting>),
    Idle,
    Closed,
}

fn gather(engine: &Engine, behind: &mut Behind, commands: &Receiver<Waiting>) -> Gathered {
    let busy = engine.wants_to_fold(false);
    let waits = if busy || !behind.waiting.is_empty() { Duration::ZERO } else { IDLE };
    let first = match commands.recv_timeout(waits) {
        Ok(first) => Some(first),
        Err(RecvTimeoutError::Disconnected) if behind.waiting.is_empty() => return Gathered::Closed,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
    };
    let mut batch = Vec::new();
    take(first, commands, &mut batch, behind);
    if batch.is_empty() && !behind.waiting.is_empty() {
        take(commands.recv_timeout(PAUSE).ok(), commands, &mut batch, behind);
    }
    batch.extend(if batch.is_empty() { behind.next() } else { behind.next_if_passed() });
    if batch.is_empty() && (engine.is_unsynced() || busy || engine.wants_to_fold(true)) {
        return Gathered::Idle;
    }
    Gathered::Batch(batch)
}

/// Takes what waits, after the first, into the batch or behind it.
fn take(first: Option<Waiting>, commands: &Receiver<Waiting>, batch: &mut Vec<Waiting>, behind: &mut Behind) {
    for waiting in first.into_iter().chain(commands.try_iter().take(MAX_BATCH.saturating_sub(1))) {
        if waiting.command.gives_way() {
            behind.waiting.push_back(waiting);
        } else {
            batch.push(waiting);
        }
    }
}

/// Runs the batch and answers everybody in it; on a fault everybody is told, and the engine is done for.
fn run_batch(source: &Source, engine: &mut Engine, batch: Vec<Waiting>) -> Result<(), Fault> {
    if batch.is_empty() {
        return Ok(());
    }
    let (mut commands, mut answers, mut traced) = (Vec::new(), Vec::new(), Vec::new());
    for waiting in batch {
        commands.push(waiting.command);
        answers.push(waiting.answer);
        traced.extend(waiting.traced);
    }
    source.shared.gauges.taken(commands.len());
    let began = Instant::now();
    match guarded(|| engine.run(&commands)) {
        Ok(Done { outcomes, events }) => {
            if let Some(traces) = source.shared.telemetry.as_ref().and_then(Telemetry::traces) {
                let (ended, commit) = (Instant::now(), engine.last_commit);
                traces.batch(traced.iter(), BatchTimes { began, ended, commit, commands: commands.len() });
            }
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                // Whoever asked may have gone; what was decided stands.
                let _ = answer.send(Ok(outcome));
            }
            log(source, &events);
            Ok(())
        }
        Err(fault) if fault.may_be_one_command() && commands.len() > 1 => {
            run_one_by_one(source, engine, commands, answers)
        }
        Err(fault) => {
            for answer in answers {
                let _ = answer.send(Err(StoreError::from(&fault)));
            }
            Err(fault)
        }
    }
}

/// One poisonous command must fail alone: each runs as a batch of its own, on a fresh engine after each fault.
fn run_one_by_one(
    source: &Source,
    engine: &mut Engine,
    commands: Vec<Command>,
    answers: Vec<oneshot::Sender<Result<Outcome, StoreError>>>,
) -> Result<(), Fault> {
    let fresh = || source.recover().map_err(|error| Fault::Damaged(error.to_string()));
    engine.roll_back();
    *engine = fresh()?;
    for (command, answer) in commands.into_iter().zip(answers) {
        let result = guarded(|| engine.run(std::slice::from_ref(&command)));
        let failed = result.is_err();
        let outcome = result.map_err(StoreError::from).and_then(|mut done| {
            log(source, &done.events);
            done.outcomes.pop().ok_or_else(|| StoreError::Damaged("a command was not answered".into()))
        });
        let _ = answer.send(outcome);
        if failed {
            engine.roll_back();
            *engine = fresh()?;
        }
    }
    Ok(())
}

/// Logs what a batch wrote. Nobody waits for that: those who asked are answered before.
fn log(source: &Source, events: &[SecurityEvent]) {
    if source.shared.telemetry.is_some() {
        log_security(events);
    }
}

/// A panic must not end the writer: nobody could write until the next start.
fn guarded<T, E: From<Fault>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Fault::Panicked.into()))
}

/// Nothing can be written now: everybody who waits is told at once. However many come, the file is tried again in time.
fn refuse_waiting(behind: &mut Behind, commands: &Receiver<Waiting>) {
    let refuse = |waiting: Waiting| {
        let _ = waiting.answer.send(Err(StoreError::Unavailable("recovering from a fault".into())));
    };
    behind.waiting.drain(..).for_each(refuse);
    let began = Instant::now();
    while let Some(left) = RETRY.checked_sub(began.elapsed())
        && let Ok(waiting) = commands.recv_timeout(left)
    {
        refuse(waiting);
    }
}

fn try_to_recover(source: &Source) -> Option<Engine> {
    match source.recover() {
        Ok(engine) => {
            source.shared.gauges.set_ready(true);
            tracing::info!("the database works again");
            Some(engine)
        }
        Err(error) => {
            tracing::warn!(%error, "the database still fails: {error}");
            None
        }
    }
}

/// Folds what is left, so that the next start has nothing to rebuild. A failure costs nothing but that.
fn finish(engine: &mut Engine) {
    let synced = engine.fold_all().and_then(|()| if engine.is_unsynced() { engine.sync() } else { Ok(()) });
    if let Err(fault) = synced {
        tracing::warn!(%fault, "the last fold failed; the next start does it: {fault}");
    }
}
