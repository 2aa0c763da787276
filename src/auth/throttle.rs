//! The throttle on logging in and registering: who has failed too often, or asks too often, waits.
//!
//! - Per account, five failures in a row are free; each further one doubles the wait, from one second to a quarter of
//!   an hour. An address from which the owner logged in before has a counter of its own, so that a stranger's failures
//!   never lock the owner out.
//! - Per address (IPv6 by /64) there is a rate of attempts, whatever the account, counted with GCRA (ITU-T I.371).
//!
//! An attempt is counted before the password is looked at and settled after, so that a hundred at once do not pass
//! where five may. Answers come at once; nothing is slowed. Bounded: past `CAPACITY` counters the oldest are
//! forgotten.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ledger::Timestamp;

/// Counters kept of each kind.
const CAPACITY: usize = 100_000;
/// What all clients without an address share.
const NO_ADDRESS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// How much is free, and how long the rest waits.
#[derive(Debug, Clone)]
pub struct ThrottleLimits {
    /// Failures in a row per account that cost nothing.
    pub free_failures: u32,
    /// The wait after the first failure above that, in seconds; doubles with each.
    pub first_wait_seconds: u32,
    /// The longest wait, in seconds.
    pub longest_wait_seconds: u32,
    /// Login attempts per address and minute.
    pub logins_per_minute: u32,
    /// Registrations per address and hour.
    pub registrations_per_hour: u32,
}

impl Default for ThrottleLimits {
    fn default() -> Self {
        Self {
            free_failures: 5,
            first_wait_seconds: 1,
            longest_wait_seconds: 900,
            logins_per_minute: 60,
            registrations_per_hour: 120,
        }
    }
}

/// Why somebody must wait, with what the rate limit headers say (draft-ietf-httpapi-ratelimit-headers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// The limit's name.
    pub policy: &'static str,
    /// How many are allowed in a window.
    pub quota: u32,
    /// The window, in seconds.
    pub window_seconds: u32,
    /// How many are left.
    pub remaining: u32,
    /// When there will be more, in seconds; at least one.
    pub retry_after_seconds: u32,
}

/// A login attempt that was let through and is not settled yet.
#[derive(Debug)]
#[must_use = "an attempt that is not settled counts as a failure"]
pub struct Attempt {
    counter: Option<(String, IpAddr)>,
}

/// What settling an attempt brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Nothing that needs telling.
    Quiet,
    /// From now on the account's further attempts wait.
    LockBegins {
        /// For how long, in seconds.
        seconds: u32,
    },
}

/// The throttle. Shared by everything that asks for passwords.
#[derive(Debug)]
pub struct Throttle {
    /// None if it is switched off.
    limits: Option<ThrottleLimits>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By account and, for addresses that the owner used before, the address.
    failures: HashMap<(String, IpAddr), Failures>,
    logins: HashMap<IpAddr, Timestamp>,
    registrations: HashMap<IpAddr, Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    /// In a row, attempts that are not settled yet included.
    count: u32,
    open_at: Timestamp,
    last_at: Timestamp,
}

impl Throttle {
    /// A throttle with those limits; without any it lets everything pass.
    pub fn new(limits: Option<ThrottleLimits>) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// Asks whether this address may register now.
    ///
    /// # Errors
    /// [`Limited`] if it must wait.
    pub fn admit_registration(&self, ip: Option<IpAddr>, now: Timestamp) -> Result<(), Limited> {
        let Some(limits) = &self.limits else { return Ok(()) };
        let rate =
            Rate { policy: "registrations", quota: limits.registrations_per_hour, window_seconds: 3_600 };
        rate.take(&mut self.state().registrations, network(ip), now)
    }

    /// Counts an attempt to log in, before the password is looked at.
    ///
    /// # Errors
    /// [`Limited`] if the account or the address must wait.
    pub fn begin_login(
        &self,
        account: &str,
        ip: Option<IpAddr>,
        known_address: bool,
        now: Timestamp,
    ) -> Result<Attempt, Limited> {
        let Some(limits) = &self.limits else { return Ok(Attempt { counter: None }) };
        let mut state = self.state();
        let rate = Rate { policy: "logins", quota: limits.logins_per_minute, window_seconds: 60 };
        rate.take(&mut state.logins, network(ip), now)?;
        let key = (account.to_owned(), if known_address { network(ip) } else { NO_ADDRESS });
        if state.failures.len() >= CAPACITY && !state.failures.contains_key(&key) {
            forget_oldest(&mut state.failures, |failures| failures.last_at);
        }
        let failures =
            state.failures.entry(key.clone()).or_insert(Failures { count: 0, open_at: now, last_at: now });
        if now < failures.open_at {
            return Err(Limited {
                policy: "login_failures",
                quota: limits.free_failures,
                window_seconds: limits.longest_wait_seconds,
                remaining: 0,
                retry_after_seconds: seconds_until(failures.open_at, now),
            });
        }
        failures.count = failures.count.saturating_add(1);
        failures.last_at = now;
        let wait = limits.wait_seconds(failures.count);
        failures.open_at = now.plus_millis(i64::from(wait).saturating_mul(1_000));
        Ok(Attempt { counter: Some(key) })
    }

    /// Tells how an attempt went: success forgets the failures, failure keeps the wait that it was counted with.
    pub fn settle_login(&self, attempt: Attempt, succeeded: bool, now: Timestamp) -> Settled {
        let (Some(limits), Some(key)) = (&self.limits, attempt.counter) else { return Settled::Quiet };
        let mut state = self.state();
        if succeeded {
            state.failures.remove(&key);
            return Settled::Quiet;
        }
        let Some(failures) = state.failures.get_mut(&key) else { return Settled::Quiet };
        let seconds = limits.wait_seconds(failures.count);
        failures.open_at = failures.open_at.max(now.plus_millis(i64::from(seconds).saturating_mul(1_000)));
        let begins = failures.count == limits.free_failures.saturating_add(1);
        if begins { Settled::LockBegins { seconds } } else { Settled::Quiet }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ThrottleLimits {
    /// How long to wait after that many failures in a row.
    fn wait_seconds(&self, failures: u32) -> u32 {
        let Some(beyond) = failures.checked_sub(self.free_failures.saturating_add(1)) else { return 0 };
        let doubled = self.first_wait_seconds.checked_shl(beyond.min(31)).unwrap_or(u32::MAX);
        if beyond > 20 { self.longest_wait_seconds } else { doubled.min(self.longest_wait_seconds) }
    }
}

/// So many per window, evenly refilled: GCRA, with the theoretical arrival time as the only state.
struct Rate {
    policy: &'static str,
    quota: u32,
    window_seconds: u32,
}

impl Rate {
    fn take(
        &self,
        arrivals: &mut HashMap<IpAddr, Timestamp>,
        network: IpAddr,
        now: Timestamp,
    ) -> Result<(), Limited> {
        let window_ms = i64::from(self.window_seconds).saturating_mul(1_000);
        let step_ms = window_ms.checked_div(i64::from(self.quota)).unwrap_or(window_ms);
        if arrivals.len() >= CAPACITY && !arrivals.contains_key(&network) {
            forget_oldest(arrivals, |arrival| *arrival);
        }
        let arrival = arrivals.get(&network).copied().unwrap_or(now).max(now).plus_millis(step_ms);
        let full_at = now.plus_millis(window_ms);
        if arrival > full_at {
            return Err(Limited {
                policy: self.policy,
                quota: self.quota,
                window_seconds: self.window_seconds,
                remaining: 0,
                retry_after_seconds: seconds_until(arrival, full_at),
            });
        }
        arrivals.insert(network, arrival);
        Ok(())
    }
}

/// IPv6 clients own whole networks: they are counted by /64.
fn network(ip: Option<IpAddr>) -> IpAddr {
    match ip {
        None => NO_ADDRESS,
        Some(IpAddr::V4(ip)) => IpAddr::V4(ip),
        Some(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(mapped) => IpAddr::V4(mapped),
            None => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
        },
    }
}

fn seconds_until(then: Timestamp, now: Timestamp) -> u32 {
    let millis = then.as_millis().saturating_sub(now.as_millis()).max(1);
    u32::try_from(millis.saturating_add(999) / 1_000).unwrap_or(u32::MAX)
}

/// Makes room by forgetting the older half: rare, so that a flood costs little per request.
fn forget_oldest<K: Clone + Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>, age: impl Fn(&V) -> Timestamp) {
    let mut ages: Vec<Timestamp> = map.values().map(&age).collect();
    let middle = ages.len() / 2;
    let (_, median, _) = ages.select_nth_unstable(middle);
    let median = *median;
    map.retain(|_, value| age(value) > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn stranger(number: u32) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number))
    }

    fn fail(throttle: &Throttle, ip: Option<IpAddr>, now: Timestamp) -> Result<Settled, Limited> {
        let attempt = throttle.begin_login("ada@example.com", ip, false, now)?;
        Ok(throttle.settle_login(attempt, false, now))
    }

    #[test]
    fn five_failures_are_free_and_then_the_wait_doubles() {
        let throttle = Throttle::new(Some(ThrottleLimits::default()));
        for _ in 0..5 {
            assert_eq!(fail(&throttle, OWNER, at(0)), Ok(Settled::Quiet));
        }
        assert_eq!(fail(&throttle, OWNER, at(0)), Ok(Settled::LockBegins { seconds: 1 }));
        assert_eq!(fail(&throttle, OWNER, at(0)).unwrap_err().retry_after_seconds, 1);
        assert_eq!(fail(&throttle, OWNER, at(1)), Ok(Settled::Quiet));
        assert_eq!(fail(&throttle, OWNER, at(1)).unwrap_err().retry_after_seconds, 2);
        assert_eq!(fail(&throttle, OWNER, at(3)), Ok(Settled::Quiet));
        assert_eq!(fail(&throttle, OWNER, at(3)).unwrap_err().retry_after_seconds, 4);
    }

    #[test]
    fn success_forgets_the_failures() {
        let throttle = Throttle::new(Some(ThrottleLimits::default()));
        for _ in 0..5 {
            fail(&throttle, OWNER, at(0)).unwrap();
        }
        let attempt = throttle.begin_login("ada@example.com", OWNER, false, at(0)).unwrap();
        throttle.settle_login(attempt, true, at(0));
        assert_eq!(fail(&throttle, OWNER, at(0)), Ok(Settled::Quiet));
    }

    #[test]
    fn strangers_do_not_lock_the_owner_out() {
        let throttle = Throttle::new(Some(ThrottleLimits::default()));
        let mut failed = 0;
        for number in 0..1_000 {
            failed += u32::from(fail(&throttle, Some(stranger(number)), at(0)).is_ok());
        }
        assert_eq!(failed, 6);
        assert!(throttle.begin_login("ada@example.com", OWNER, true, at(0)).is_ok());
    }

    #[test]
    fn attempts_at_once_do_not_pass_where_few_may() {
        let throttle = Throttle::new(Some(ThrottleLimits { logins_per_minute: 1_000, ..Default::default() }));
        let begun: Vec<_> = (0..100).map(|_| throttle.begin_login("a", OWNER, false, at(0))).collect();
        assert_eq!(begun.iter().filter(|attempt| attempt.is_ok()).count(), 6);
    }

    #[test]
    fn an_address_has_its_rate_and_gets_it_back_evenly() {
        let throttle =
            Throttle::new(Some(ThrottleLimits { registrations_per_hour: 4, ..Default::default() }));
        let admit = |seconds| throttle.admit_registration(OWNER, at(seconds));
        assert!((0..4).all(|_| admit(0).is_ok()));
        let limited = admit(0).unwrap_err();
        assert_eq!((limited.quota, limited.window_seconds, limited.retry_after_seconds), (4, 3_600, 900));
        assert!(admit(899).is_err());
        assert!(admit(900).is_ok());
        assert!(throttle.admit_registration(Some(stranger(1)), at(0)).is_ok());
    }

    #[test]
    fn ipv6_is_counted_by_its_network() {
        let one = network("2001:db8::1".parse().ok());
        assert_eq!(one, network("2001:db8::ffff:1".parse().ok()));
        assert_ne!(one, network("2001:db8:0:1::1".parse().ok()));
        assert_eq!(network("::ffff:192.0.2.1".parse().ok()), network(OWNER));
    }

    #[test]
    fn memory_is_bounded_under_a_flood_of_addresses() {
        let throttle = Throttle::new(Some(ThrottleLimits::default()));
        for number in 0..300_000 {
            let account = format!("user{number}@example.com");
            let now = Timestamp::from_millis(i64::from(number));
            let _ = throttle.begin_login(&account, Some(stranger(number)), false, now);
        }
        let state = throttle.state();
        assert!(state.failures.len() <= CAPACITY && state.logins.len() <= CAPACITY);
    }

    #[test]
    fn switched_off_it_lets_everything_pass() {
        let throttle = Throttle::new(None);
        assert!((0..1_000).all(|_| fail(&throttle, OWNER, at(0)) == Ok(Settled::Quiet)));
    }
}
