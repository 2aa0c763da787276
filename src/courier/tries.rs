//! One attempt after the other: what was claimed is sent, each in a task of its own, and what came of it is recorded
//! together with what came of others.
//!
//! Until an outcome is recorded it is known here alone. Nothing that waits for the delivery goes before that, so that order
//! holds whatever happens; and if this node ends before, the claim runs out and the delivery is sent again.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use super::{Courier, DELIVERIES, LEASE_MS};
use crate::ledger::{
    Delivery, DeliveryCommand, DeliveryState, EventId, RecordKey, SettleDelivery, Timestamp, TryResult,
    Webhook, WebhookState,
};
use crate::teller::TellerError;
use crate::webhook::sender::TIMEOUT;
use crate::webhook::{Attempt, Message};

/// After how long an attempt counts as hanging, so that it no longer takes a place from others.
const HANGS_AFTER: Duration = Duration::from_secs(1);

/// A delivery that is this node's to try.
#[derive(Debug)]
pub(super) struct Job {
    /// Which.
    pub(super) id: Uuid,
    /// To which webhook.
    pub(super) webhook: Uuid,
    /// The event's id, without its prefix.
    pub(super) event: Uuid,
    /// Until when nobody else tries it.
    pub(super) until: Timestamp,
    /// Which attempt it is, from 0.
    pub(super) number: usize,
    /// What waits for it, as far as is known.
    pub(super) next: Option<Uuid>,
    /// The event, where it is at hand.
    pub(super) body: Option<Arc<str>>,
}

/// What an attempt led to, to be recorded.
#[derive(Debug)]
pub(super) struct Outcome {
    job: Job,
    result: TryResult,
}

impl Courier {
    /// Lets a job wait for its turn. Where there is no room, its claim runs out and it is due again.
    pub(super) fn offer(&self, webhook: Uuid, job: Job) {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner).offer(webhook, job);
    }

    /// Starts every job that may.
    pub(super) fn start_jobs(self: &Arc<Self>) {
        loop {
            let next = self.gate.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(job) = next else { return };
            let courier = Arc::clone(self);
            self.own.spawn(async move { courier.run(job).await });
        }
    }

    /// Takes deliveries that were claimed and of which only the id is known.
    pub(super) async fn take_known(self: &Arc<Self>, claimed: Vec<Uuid>) -> Result<(), TellerError> {
        for id in claimed {
            let Some(record) = self.teller.record(RecordKey::of::<Delivery>(id)).await? else { continue };
            let (Some(webhook), Some(delivery)) = (record.filing.parent, record.read::<Delivery>()) else {
                continue;
            };
            if delivery.state != DeliveryState::Pending {
                continue;
            }
            let until = record.filing.due_at.unwrap_or_default();
            let Delivery { event, next, tries, .. } = delivery;
            self.offer(webhook, Job { id, webhook, event, until, number: tries.len(), next, body: None });
        }
        self.start_jobs();
        Ok(())
    }

    async fn run(self: Arc<Self>, job: Job) {
        let webhook = job.webhook;
        let mut attempt = Box::pin(self.attempt(&job));
        let (outcome, hung) = if let Ok(outcome) = timeout(HANGS_AFTER, &mut attempt).await {
            (outcome, false)
        } else {
            self.gate.lock().unwrap_or_else(PoisonError::into_inner).hang(webhook);
            self.start_jobs();
            ((&mut attempt).await, true)
        };
        drop(attempt);
        let is_well =
            matches!(&outcome, Ok(Some(result)) if result.status.is_some_and(|status| status < 500));
        self.gate.lock().unwrap_or_else(PoisonError::into_inner).finish(webhook, hung, is_well);
        self.start_jobs();
        match outcome {
            Ok(Some(result)) => self.outcomes().push(Outcome { job, result }),
            Ok(None) => {}
            Err(error) => {
                // The claim runs out, and somebody tries it again.
                tracing::warn!(%error, "a delivery could not be tried: {error}");
            }
        }
    }

    /// Sends it, if it may still be sent; none if somebody else may be at it by now, or nobody is to be.
    async fn attempt(&self, job: &Job) -> Result<Option<TryResult>, TellerError> {
        let timeout_ms = i64::try_from(TIMEOUT.as_millis()).unwrap_or(LEASE_MS);
        if self.teller.clock().now().plus_millis(timeout_ms) > job.until {
            return Ok(None);
        }
        let Some(record) = self.teller.record(RecordKey::of::<Webhook>(job.webhook)).await? else {
            return Ok(None);
        };
        let Some(webhook) = record.read::<Webhook>().filter(|webhook| webhook.state == WebhookState::Enabled)
        else {
            return Ok(None);
        };
        let Some(body) = self.body(job).await? else {
            return Ok(Some(no_answer("forgotten")));
        };
        let secrets = self.teller.signing_secrets(&record, &webhook)?;
        let (id, at) = (EventId::new(job.event).to_string(), self.teller.clock().now());
        let message = Message { id: &id, at, body: &body, secrets: &secrets };
        Ok(Some(result_of(self.sender.send(&webhook.url, message).await)))
    }

    async fn body(&self, job: &Job) -> Result<Option<Arc<str>>, TellerError> {
        if let Some(body) = &job.body {
            return Ok(Some(Arc::clone(body)));
        }
        let record = self.teller.record(RecordKey::of::<Delivery>(job.id)).await?;
        let Some(delivery) = record.and_then(|record| record.read::<Delivery>()) else { return Ok(None) };
        let event = self.teller.event(delivery.source).await?;
        Ok(event.map(|event| Arc::from((self.render)(&event))))
    }

    /// Writes down what attempts led to, a piece at a time, and takes what waited for them. What could not be recorded is
    /// tried again next time, until its claim has run out: then it is sent again.
    pub(super) async fn record_all(self: &Arc<Self>) -> Result<(), TellerError> {
        loop {
            let mut piece = self.take_outcomes();
            if piece.is_empty() {
                return Ok(());
            }
            let settles = piece.iter().map(|outcome| self.settle(outcome)).collect();
            match self.teller.deliver(DeliveryCommand::Settle(settles)).await {
                Ok(Some(claimed)) => self.take_known(claimed).await?,
                // Something began to wait for one of them meanwhile.
                Ok(None) => {
                    for outcome in &mut piece {
                        let record = self.teller.record(RecordKey::of::<Delivery>(outcome.job.id)).await?;
                        let delivery = record.and_then(|record| record.read::<Delivery>());
                        outcome.job.next = delivery.and_then(|delivery| delivery.next);
                    }
                    self.outcomes().append(&mut piece);
                }
                Err(error) => {
                    let now = self.teller.clock().now();
                    self.outcomes().extend(piece.into_iter().filter(|outcome| outcome.job.until > now));
                    return Err(error);
                }
            }
        }
    }

    fn take_outcomes(&self) -> Vec<Outcome> {
        let mut outcomes = self.outcomes();
        let some = outcomes.len().min(DELIVERIES);
        outcomes.drain(..some).collect()
    }

    fn outcomes(&self) -> MutexGuard<'_, Vec<Outcome>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, Outcome { job, result }: &Outcome) -> SettleDelivery {
        let jitter = self.teller.clock().random::<1>().map_or(0, |[byte]| i64::from(byte));
        SettleDelivery {
            delivery: job.id,
            webhook: job.webhook,
            next: job.next,
            number: job.number,
            result: result.clone(),
            // Up to a tenth.
            jitter_permille: jitter.saturating_mul(100) / 255,
        }
    }
}

fn result_of(attempt: Attempt) -> TryResult {
    let elapsed_ms = attempt.elapsed_ms;
    match attempt.outcome {
        Ok(answer) => TryResult {
            status: Some(answer.status),
            failure: None,
            elapsed_ms,
            body: answer.body,
            retry_after_ms: answer
                .retry_after
                .map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
        },
        Err(failure) => TryResult { elapsed_ms, ..no_answer(failure.name()) },
    }
}

fn no_answer(failure: &str) -> TryResult {
    let failure = Some(failure.to_owned());
    TryResult { status: None, failure, elapsed_ms: 0, body: String::new(), retry_after_ms: None }
}
