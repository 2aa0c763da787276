//! The worker: what happens by itself, on every serving node. It goes through the teller like everybody.
//!
//! Each job looks for what is due and asks for one thing after another. That is safe on many nodes at once, because the
//! decision looks again: whoever comes second is answered that there is nothing to do. A job that fails is tried again
//! with the next round.

use std::sync::Arc;
use std::time::Duration;

use crate::teller::Teller;

/// Time between two rounds.
const ROUND: Duration = Duration::from_millis(500);

/// Works until it is dropped.
pub async fn run(teller: Arc<Teller>) {
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if !teller.status().ready {
            continue;
        }
        if let Err(error) = teller.lapse_holds().await {
            tracing::warn!(%error, "what was held too long could not be released, and is tried again: {error}");
        }
        if let Err(error) = teller.lapse_requests().await {
            tracing::warn!(%error, "nobody was told of what was not paid in time yet: {error}");
        }
        if let Err(error) = teller.run_schedules().await {
            tracing::warn!(%error, "schedules could not be run, and are tried again: {error}");
        }
    }
}
