//! The only source of time and random bytes; everything else takes them as arguments.
//!
//! A real clock reads the system; a fixed one, for tests, starts where it is told and moves when it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::ledger::Timestamp;
use uuid::Uuid;

/// Where time and randomness come from. Cheap to clone; clones share the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    fixed_ms: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self { fixed_ms: None }
    }

    /// A clock that stands still until [`Clock::advance_ms`] moves it. For tests.
    pub fn fixed(at: Timestamp) -> Self {
        Self { fixed_ms: Some(Arc::new(AtomicI64::new(at.as_millis()))) }
    }

    /// Moves a fixed clock forward; a system clock ignores it.
    pub fn advance_ms(&self, by_ms: i64) {
        if let Some(fixed) = &self.fixed_ms {
            fixed.fetch_add(by_ms, Ordering::SeqCst);
        }
    }

    /// The time of a fixed clock; none if it reads the system's. Where a database has a time of its own, only a fixed
    /// clock overrules it.
    pub fn fixed_ms(&self) -> Option<i64> {
        self.fixed_ms.as_ref().map(|fixed| fixed.load(Ordering::SeqCst))
    }

    /// Now, in milliseconds since 1970 UTC.
    pub fn now(&self) -> Timestamp {
        match &self.fixed_ms {
            Some(fixed) => Timestamp::from_millis(fixed.load(Ordering::SeqCst)),
            None => Timestamp::from_millis(system_ms()),
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

#[expect(clippy::disallowed_methods, reason = "this is the place that may read the system's clock")]
fn system_ms() -> i64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this is the place that may ask for random bytes")]
fn fill_random(bytes: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(bytes).map_err(|_| RandomError)
}
