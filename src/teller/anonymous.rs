//! Events that name no known user (unknown tokens, failed logins of unknown accounts, limits, malformed input), counted
//! per event, address and minute, so that a flood costs neither fsyncs nor disk.
//!
//! The first of a minute is written within a second or so; how many more came, when its minute is over. Bounded:
//! past [`MAX_COUNTERS`] different ones they are counted together under no address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::ledger::{EventDraft, EventKind, Origin, Timestamp};

const WINDOW_MS: i64 = 60_000;
const MAX_COUNTERS: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct AnonymousEvents {
    counters: Mutex<HashMap<(EventKind, Option<IpAddr>), Counter>>,
}

#[derive(Debug)]
struct Counter {
    first: Origin,
    since: Timestamp,
    first_is_written: bool,
    unwritten: u64,
}

impl AnonymousEvents {
    pub(super) fn count(&self, kind: EventKind, origin: &Origin, now: Timestamp) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (kind, origin.ip);
        if counters.len() >= MAX_COUNTERS && !counters.contains_key(&key) {
            key.1 = None;
        }
        let counter = counters.entry(key).or_insert_with(|| Counter {
            first: Origin { ip: key.1, ..origin.clone() },
            since: now,
            first_is_written: false,
            unwritten: 0,
        });
        counter.unwritten = counter.unwritten.saturating_add(1);
    }

    /// What is to be written now; counters whose minute is over are closed.
    pub(super) fn due(&self, now: Timestamp) -> Vec<(EventDraft, Origin)> {
        let mut due = Vec::new();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|(kind, _), counter| {
            let is_over = now >= counter.since.plus_millis(WINDOW_MS);
            if counter.unwritten > 0 && (is_over || !counter.first_is_written) {
                due.push((event(*kind, counter), next_origin(counter)));
                counter.first_is_written = true;
                counter.unwritten = 0;
            }
            !is_over
        });
        due
    }
}

fn event(kind: EventKind, counter: &Counter) -> EventDraft {
    EventDraft::new(kind, None).with("count", counter.unwritten.to_string())
}

/// The second row of a minute must not have the first one's id, which comes from its request's: one bit tells them
/// apart.
fn next_origin(counter: &Counter) -> Origin {
    let mut origin = counter.first.clone();
    if counter.first_is_written {
        origin.request =
            crate::ledger::RequestId::new(uuid::Uuid::from_u128(origin.request.uuid().as_u128() ^ (1 << 32)));
    }
    origin
}
