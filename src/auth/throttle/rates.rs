//! Rates: so many per window, evenly refilled. GCRA (ITU-T I.371), whose only state is the theoretical arrival time.
//!
//! A quota of `q` in `w` lets `q` pass at once and one more each `w / q`. Bounded: past [`SHARD_CAPACITY`] counters those that
//! have recovered are forgotten, then those that were used least, so that a flood of addresses keeps its own counters
//! out and not those of whoever is limited. In shards, so that nobody waits for the tidying of all.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Mutex;

use super::quota::{Asker, Policy, Quota, Quotas};
use super::{CallClass, Counted, Limited, NO_ADDRESS, ThrottleNews, lock};
use crate::ledger::Timestamp;

pub(super) const SHARDS: usize = 16;
/// Counters kept of each shard's rates, all together at most 22 MiB.
/// Just under half of what a table of 32,768 slots takes, so that it is tidied in its place and does not grow.
pub(super) const SHARD_CAPACITY: usize = 14_000;
/// The part of a quota that other nodes are not told of: an eighth.
const QUIET_SHARE: i64 = 8;

/// How somebody stands to a limit that let them pass, for the rate limit headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which limit.
    pub policy: &'static str,
    /// How many are allowed in a window.
    pub quota: u32,
    /// How many are left.
    pub remaining: u32,
    /// When there will be one more, in seconds; at least one.
    pub more_in_seconds: u32,
}

impl Standing {
    /// Which of two leaves less of its quota.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        let left = |one: Self, of: Self| u64::from(one.remaining).saturating_mul(u64::from(of.quota));
        if left(other, self) < left(self, other) { other } else { self }
    }
}

#[derive(Debug)]
pub(super) struct Rates {
    quotas: Quotas,
    shards: [Mutex<Shard>; SHARDS],
    hasher: std::hash::RandomState,
}

type RateKey = (Policy, [u8; 16]);

#[derive(Debug, Default)]
struct Shard {
    arrivals: HashMap<RateKey, Arrival>,
    /// Whose counts the other nodes should hear of.
    loud: HashSet<RateKey>,
}

#[derive(Debug, Clone, Copy)]
struct Arrival {
    /// Up to when the quota is taken, in microseconds.
    taken_until: i64,
    /// How many the other nodes were not told of.
    untold: u32,
}

impl Rates {
    pub(super) fn new(quotas: Quotas) -> Self {
        Self { quotas, shards: Default::default(), hasher: std::hash::RandomState::new() }
    }

    /// Counts one call, if it may pass. None where there is no such limit.
    pub(super) fn take(
        &self,
        class: CallClass,
        asker: Asker,
        now: Timestamp,
    ) -> Result<Option<Standing>, Limited> {
        let policy = Policy { class, scope: asker.scope() };
        let Some(quota) = self.quotas.by(policy) else { return Ok(None) };
        let (rate, key) = (Rate::new(quota, now), (policy, asker.key()));
        let mut shard = lock(self.shard(&key));
        let arrival = shard.entry(key, rate.now);
        let taken_until = rate.settle(arrival.taken_until);
        let with_this = taken_until.saturating_add(rate.step);
        if with_this > rate.full {
            arrival.taken_until = taken_until;
            return Err(Limited {
                policy: policy.name(),
                quota: quota.count,
                window_seconds: quota.window_seconds,
                remaining: 0,
                retry_after_seconds: seconds(with_this.saturating_sub(rate.full)),
            });
        }
        // What was taken before this quota was whole again concerns nobody.
        arrival.untold = if taken_until == rate.now { 1 } else { arrival.untold.saturating_add(1) };
        arrival.taken_until = with_this;
        if rate.is_loud(with_this) {
            shard.loud.insert(key);
        }
        Ok(Some(rate.standing(policy, with_this)))
    }

    /// How somebody stands, without counting anything.
    pub(super) fn standing(&self, class: CallClass, asker: Asker, now: Timestamp) -> Option<Standing> {
        let policy = Policy { class, scope: asker.scope() };
        let (rate, key) = (Rate::new(self.quotas.by(policy)?, now), (policy, asker.key()));
        let taken_until = lock(self.shard(&key)).arrivals.get(&key).map_or(0, |arrival| arrival.taken_until);
        Some(rate.standing(policy, rate.settle(taken_until)))
    }

    /// What was counted here and matters to the other nodes.
    pub(super) fn take_news(&self) -> Vec<ThrottleNews> {
        let mut news = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            for key in std::mem::take(&mut shard.loud) {
                let Some(arrival) = shard.arrivals.get_mut(&key) else { continue };
                let times = std::mem::take(&mut arrival.untold);
                if times > 0 {
                    let what = Counted::Calls(key.0);
                    news.push(ThrottleNews { what, key: key.1, network: NO_ADDRESS, times });
                }
            }
        }
        news
    }

    /// Counts what another node let through: it has been, so it counts here up to the whole quota.
    pub(super) fn hear(&self, policy: Policy, key: [u8; 16], times: u32, now: Timestamp) {
        let Some(quota) = self.quotas.by(policy) else { return };
        let (rate, key) = (Rate::new(quota, now), (policy, key));
        let mut shard = lock(self.shard(&key));
        let arrival = shard.entry(key, rate.now);
        let taken = rate.step.saturating_mul(i64::from(times));
        arrival.taken_until = rate.settle(arrival.taken_until).saturating_add(taken).min(rate.full);
    }

    fn shard(&self, key: &RateKey) -> &Mutex<Shard> {
        let hash = usize::try_from(self.hasher.hash_one(key) & 0xf).unwrap_or_default();
        self.shards.get(hash).unwrap_or(&self.shards[0])
    }

    /// How many counters there are, and for how many there is room.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        let sizes = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            (shard.arrivals.len() + shard.loud.len(), shard.arrivals.capacity() + shard.loud.capacity())
        };
        self.shards.iter().map(sizes).fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
    }
}

impl Shard {
    fn entry(&mut self, key: RateKey, now: i64) -> &mut Arrival {
        if self.arrivals.len() >= SHARD_CAPACITY && !self.arrivals.contains_key(&key) {
            self.make_room(now);
        }
        self.arrivals.entry(key).or_insert(Arrival { taken_until: now, untold: 0 })
    }

    /// Rare, since it makes room for a quarter of all: a flood costs little per call.
    fn make_room(&mut self, now: i64) {
        self.arrivals.retain(|_, arrival| arrival.taken_until > now);
        if self.arrivals.len() > SHARD_CAPACITY / 4 * 3 {
            let mut taken: Vec<i64> = self.arrivals.values().map(|arrival| arrival.taken_until).collect();
            let middle = taken.len() / 2;
            let (_, median, _) = taken.select_nth_unstable(middle);
            let median = *median;
            self.arrivals.retain(|_, arrival| arrival.taken_until > median);
        }
        let Self { arrivals, loud } = self;
        loud.retain(|key| arrivals.contains_key(key));
    }
}

/// A quota at a moment, in microseconds.
struct Rate {
    quota: Quota,
    now: i64,
    /// What one call takes.
    step: i64,
    /// Up to when the quota is taken once it is all used.
    full: i64,
}

impl Rate {
    fn new(quota: Quota, now: Timestamp) -> Self {
        let now = now.as_millis().saturating_mul(1_000);
        let window = i64::from(quota.window_seconds).saturating_mul(1_000_000);
        let step = window.checked_div(i64::from(quota.count)).unwrap_or(window).max(1);
        let full = now.saturating_add(step.saturating_mul(i64::from(quota.count)));
        Self { quota, now, step, full }
    }

    /// Up to when the quota is taken, as it looks now. Later than full can only be what a clock that ran back left.
    fn settle(&self, taken_until: i64) -> i64 {
        taken_until.clamp(self.now, self.full)
    }

    fn is_loud(&self, taken_until: i64) -> bool {
        let used = taken_until.saturating_sub(self.now);
        used.saturating_mul(QUIET_SHARE) >= self.full.saturating_sub(self.now)
    }

    fn standing(&self, policy: Policy, taken_until: i64) -> Standing {
        let free = self.full.saturating_sub(taken_until);
        let remaining = free.checked_div(self.step).unwrap_or_default();
        let missing = remaining.saturating_add(1).saturating_mul(self.step).saturating_sub(free);
        Standing {
            policy: policy.name(),
            quota: self.quota.count,
            remaining: u32::try_from(remaining).unwrap_or(self.quota.count),
            more_in_seconds: seconds(missing),
        }
    }
}

/// Whole seconds, at least one: nobody is told to come back too early.
fn seconds(micros: i64) -> u32 {
    u32::try_from(micros.max(1).saturating_add(999_999) / 1_000_000).unwrap_or(u32::MAX)
}
