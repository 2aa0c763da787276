//! Gather: commands wait in one queue, and each lane takes whatever is there as one batch. Nobody waits for a timer.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::batch::{Done, Lane};
use super::fault::Fault;
use super::{Shared, batch};
use crate::ledger::{Command, Outcome};
use crate::store::StoreError;
use crate::telemetry::{BatchTimes, Telemetry, Traced};

/// The most commands in one batch: what bounds the time that one takes.
const MAX_BATCH: usize = 512;

/// A command that waits, and where its answer goes.
pub(super) struct Waiting {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<Outcome, StoreError>>,
    pub(super) traced: Option<Traced>,
}

/// Runs batches until every sender is gone and the queue is empty.
pub(super) async fn run(shared: Arc<Shared>, queue: Arc<Mutex<mpsc::Receiver<Waiting>>>) {
    let mut lane = Lane::default();
    loop {
        let mut waiting = Vec::new();
        let mut queue = match queue.try_lock() {
            Ok(queue) if !queue.is_empty() => queue,
            // Nobody is there, or another lane waits for whoever comes.
            other => {
                drop(other);
                lane.rest().await;
                queue.lock().await
            }
        };
        if queue.recv_many(&mut waiting, MAX_BATCH).await == 0 {
            return;
        }
        drop(queue);
        shared.gauges.taken(waiting.len());
        let (mut commands, mut answers, mut traced) = (Vec::new(), Vec::new(), Vec::new());
        for Waiting { command, answer, traced: by } in waiting {
            commands.push(command);
            answers.push(answer);
            traced.push(by);
        }
        if shared.gauges.ready.load(Ordering::Relaxed) {
            run_halving(&shared, &commands, answers, &traced, &mut lane).await;
        } else {
            // What waited for a batch that failed does not wait for as long again.
            for answer in answers {
                let _ = answer.send(Err(StoreError::Unavailable("waiting for the database".into())));
            }
        }
    }
}

/// Answers everybody. Where the database refuses what a command wrote, the batch is cut in halves until that command
/// stands alone, so that its neighbours go through.
async fn run_halving(
    shared: &Shared,
    commands: &[Command],
    answers: Vec<oneshot::Sender<Result<Outcome, StoreError>>>,
    traced: &[Option<Traced>],
    lane: &mut Lane,
) {
    let mut answers: Vec<_> = answers.into_iter().map(Some).collect();
    let mut pieces: Vec<Range<usize>> = Vec::new();
    pieces.push(0..commands.len());
    while let Some(piece) = pieces.pop() {
        let Some(part) = commands.get(piece.clone()) else { continue };
        let began = Instant::now();
        let results: Vec<Result<Outcome, StoreError>> = match batch::run(shared, part, lane).await {
            Ok(Done { outcomes, commit }) => {
                if let Some(traces) = shared.telemetry.as_ref().and_then(Telemetry::traces) {
                    let times = BatchTimes { began, ended: Instant::now(), commit, commands: part.len() };
                    traces.batch(traced.get(piece.clone()).into_iter().flatten().flatten(), times);
                }
                outcomes.into_iter().map(Ok).collect()
            }
            Err(Fault::Refused(told)) if part.len() > 1 => {
                tracing::warn!("the database refuses a command of a batch, which is tried in halves: {told}");
                let middle = piece.start.midpoint(piece.end);
                pieces.push(middle..piece.end);
                pieces.push(piece.start..middle);
                continue;
            }
            Err(fault) => {
                report(shared, &fault);
                let error = StoreError::from(fault);
                part.iter().map(|_| Err(error.clone())).collect()
            }
        };
        for (answer, result) in answers.iter_mut().skip(piece.start).zip(results) {
            if let Some(answer) = answer.take() {
                // Whoever asked may have gone; what was decided stands.
                let _ = answer.send(result);
            }
        }
    }
}

/// A fault is logged once, here; whether the database can be used is asked anew until it can.
fn report(shared: &Shared, fault: &Fault) {
    tracing::error!(%fault, "the database failed: {fault}");
    if matches!(fault, Fault::Transient(_) | Fault::Unknown(_)) {
        shared.gauges.ready.store(false, Ordering::Relaxed);
    }
}
