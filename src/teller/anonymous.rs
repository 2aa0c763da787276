//! Events that name no known user (unknown tokens, failed logins of unknown accounts, limits, malformed input), counted
//! per event, network of the address ([`network_of`]) and minute, so that a flood costs neither fsyncs nor disk.
//!
//! The first of a minute is written within a second or so, with its own address; how many more came, when its minute is
//! over. Bounded: past [`MAX_COUNTERS`] different ones they are counted together under no address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::ledger::{EventDraft, EventKind, Origin, Timestamp, network_of};

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
        let mut key = (kind, origin.ip.map(network_of));
        if counters.len() >= MAX_COUNTERS && !counters.contains_key(&key) {
            key.1 = None;
        }
        let counter = counters.entry(key).or_insert_with(|| Counter {
            first: Origin { ip: key.1.and(origin.ip), ..origin.clone() },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::RequestId;
    use uuid::Uuid;

    fn origin(ip: &str) -> Origin {
        Origin { request: RequestId::new(Uuid::nil()), ip: ip.parse().ok(), user_agent: None }
    }

    /// The address and the count of each row that is due.
    fn due(events: &AnonymousEvents, now_ms: i64) -> Vec<(String, String)> {
        let row = |(event, origin): (EventDraft, Origin)| {
            let ip = origin.ip.map_or_else(|| "none".to_owned(), |ip| ip.to_string());
            (ip, event.detail["count"].clone())
        };
        let mut rows: Vec<_> = events.due(Timestamp::from_millis(now_ms)).into_iter().map(row).collect();
        rows.sort();
        rows
    }

    #[test]
    fn a_network_of_ipv6_is_counted_together_under_its_first_address() {
        let events = AnonymousEvents::default();
        let count = |ip: &str| events.count(EventKind::TokenInvalid, &origin(ip), Timestamp::from_millis(0));
        for host in 1..=1_000 {
            count(&format!("2001:db8::{host:x}"));
        }
        for ip in ["2001:db8:0:1::1", "192.0.2.1", "::ffff:192.0.2.1"] {
            count(ip);
        }
        let row = |ip: &str, count: &str| (ip.to_owned(), count.to_owned());
        let rows = [row("192.0.2.1", "2"), row("2001:db8:0:1::1", "1"), row("2001:db8::1", "1000")];
        assert_eq!(due(&events, 1_000), rows);
        // What comes later in the minute is told at its end.
        count("2001:db8::ffff");
        assert_eq!(due(&events, WINDOW_MS - 1), []);
        assert_eq!(due(&events, WINDOW_MS), [row("2001:db8::1", "1")]);
        assert_eq!(due(&events, 2 * WINDOW_MS), []);
    }

    #[test]
    fn past_the_bound_events_are_counted_under_no_address() {
        let events = AnonymousEvents::default();
        let bound = u32::try_from(MAX_COUNTERS).unwrap();
        for number in 0..bound + 5 {
            let ip = std::net::Ipv4Addr::from_bits(number);
            events.count(EventKind::TokenInvalid, &origin(&ip.to_string()), Timestamp::from_millis(0));
        }
        let rows = due(&events, 0);
        assert_eq!(rows.len(), MAX_COUNTERS + 1);
        assert!(rows.contains(&("none".to_owned(), "5".to_owned())));
    }
}
