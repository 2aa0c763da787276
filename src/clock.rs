//! The only source of time and random bytes; everything else takes them as arguments.
//!
//! A real clock reads the system; a fixed one, for tests, starts where it is told and moves when it is told.
//!
//! A real clock never runs back and never stands still, whatever is done to the system's: where that is set back, this
//! one goes on from where it was at the pace of the machine's uptime, until the system's has caught up or the process
//! ends. So nothing that has expired comes to life again. Where the system's is set forward, this one follows at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use crate::ledger::Timestamp;
use uuid::Uuid;

/// By how much clocks of several machines may differ.
const TOLERATED_MS: i64 = 1_000;

/// Where time and randomness come from. Cheap to clone; clones share the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Arc<Source>,
}

#[derive(Debug)]
enum Source {
    Fixed {
        at_ms: AtomicI64,
    },
    System {
        began: Instant,
        /// What is added to the time since `began`: the most by which the system's clock, or a ledger, was ahead of it.
        ahead_ms: AtomicI64,
    },
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        let source = Source::System { began: Instant::now(), ahead_ms: AtomicI64::new(i64::MIN) };
        Self { source: Arc::new(source) }
    }

    /// A clock that stands still until [`Clock::advance_ms`] moves it. For tests.
    pub fn fixed(at: Timestamp) -> Self {
        Self { source: Arc::new(Source::Fixed { at_ms: AtomicI64::new(at.as_millis()) }) }
    }

    /// Moves a fixed clock forward; a system clock ignores it.
    pub fn advance_ms(&self, by_ms: i64) {
        if let Source::Fixed { at_ms } = &*self.source {
            at_ms.fetch_add(by_ms, Ordering::SeqCst);
        }
    }

    /// The time of a fixed clock; none if it reads the system's. Where a database has a time of its own, only a fixed
    /// clock overrules it.
    pub fn fixed_ms(&self) -> Option<i64> {
        match &*self.source {
            Source::Fixed { at_ms } => Some(at_ms.load(Ordering::SeqCst)),
            Source::System { .. } => None,
        }
    }

    /// It is at least that late: a ledger's last row says so. A fixed clock ignores it.
    pub fn not_before(&self, at: Timestamp) {
        if let Source::System { began, ahead_ms } = &*self.source {
            ahead_ms.fetch_max(at.as_millis().saturating_sub(elapsed_ms(*began)), Ordering::Relaxed);
        }
    }

    /// The time of a clock that is ahead of the system's, as a sandbox's is once it was moved; none if it is not. A
    /// database's own time knows nothing of that.
    pub fn ahead_ms(&self) -> Option<i64> {
        let now_ms = self.now().as_millis();
        (now_ms.saturating_sub(system_ms()) > TOLERATED_MS).then_some(now_ms)
    }

    /// Now, in milliseconds since 1970 UTC.
    pub fn now(&self) -> Timestamp {
        match &*self.source {
            Source::Fixed { at_ms } => Timestamp::from_millis(at_ms.load(Ordering::SeqCst)),
            Source::System { began, ahead_ms } => {
                let elapsed_ms = elapsed_ms(*began);
                let ahead = system_ms().saturating_sub(elapsed_ms);
                let furthest = ahead_ms.fetch_max(ahead, Ordering::Relaxed).max(ahead);
                Timestamp::from_millis(elapsed_ms.saturating_add(furthest))
            }
        }
    }

    /// A new `UUIDv7` (RFC 9562): 48 bits of time, 74 random bits.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn uuid(&self) -> Result<Uuid, RandomError> {
        let mut random = [0_u8; 10];
        fill_random(&mut random)?;
        let millis = u64::try_from(self.now().as_millis()).unwrap_or_default();
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// `N` bytes from the operating system's generator.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], RandomError> {
        let mut bytes = [0_u8; N];
        fill_random(&mut bytes)?;
        Ok(bytes)
    }
}

/// The operating system's random generator failed: nothing that needs a secret or an id can go on.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct RandomError;

fn elapsed_ms(began: Instant) -> i64 {
    i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this is the place that may read the system's clock")]
fn system_ms() -> i64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this is the place that may ask for random bytes")]
fn fill_random(bytes: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(bytes).map_err(|_| RandomError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_goes_on_from_what_a_ledger_says() {
        let (clock, other) = (Clock::system(), Clock::system());
        let late = clock.now().plus_millis(3_600_000);
        clock.not_before(late);
        let now = clock.now();
        assert!(now >= late, "{now:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(clock.now() > now, "it does not stand still");
        clock.not_before(other.now());
        assert!(clock.now() > now, "and does not go back");
        assert!(other.now() < late, "each clock for itself");
    }
}
