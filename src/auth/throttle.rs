//! The throttle: who has failed too often, or asks too often, waits.
//!
//! - Per account, five failures in a row are free; each further one doubles the wait, from one second to a quarter of
//!   an hour. An address from which the owner logged in before has a counter of its own, so that a stranger's failures
//!   never lock the owner out.
//! - Per address (IPv6 by /64), failures count likewise, whatever the account; more are free, and success forgets none,
//!   or whoever tries stolen passwords would log in to an account of their own in between.
//! - Per address, account and key there are rates of calls, by class of route ([`quota`], [`rates`]).
//! - One password that is tried on many accounts is noticed ([`guesses`]), whoever tries it.
//!
//! An attempt is counted before the password is looked at and settled after, so that a hundred at once do not pass
//! where five may; one that is never settled (the server was too busy, the client went away) is taken back. Answers
//! come at once; nothing is slowed. Bounded: past `CAPACITY` counters the oldest are forgotten. A clock that runs back
//! makes nobody wait longer than the limits say.
//!
//! Nodes that share a ledger tell each other what they counted ([`Throttle::take_news`], [`Throttle::hear`]) about once a
//! second: in between each of them counts alone, so that a burst may pass as often as there are nodes. Of rates they tell
//! only once an eighth of a quota is used: for each further node an eighth more may pass.

mod guesses;
mod news;
pub mod quota;
mod rates;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::password::Password;
use crate::ledger::{Timestamp, network_of};
use guesses::Guesses;
pub use news::{Counted, ThrottleNews};
pub use quota::{Asker, CallClass, ClassQuotas, Policy, Quota, Quotas, Scope};
use rates::Rates;
pub use rates::Standing;

/// Counters kept of each kind of failures.
const CAPACITY: usize = 100_000;
/// What all clients without an address share.
const NO_ADDRESS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// How much is free, and how long the rest waits.
#[derive(Debug, Clone)]
pub struct ThrottleLimits {
    /// Failures in a row per account that cost nothing.
    pub free_failures: u32,
    /// Failures per address that cost nothing.
    pub free_failures_per_address: u32,
    /// The wait after the first failure above those, in seconds; doubles with each.
    pub first_wait_seconds: u32,
    /// The longest wait, in seconds.
    pub longest_wait_seconds: u32,
    /// After how long without an attempt an account's failures are forgotten, in seconds.
    pub forget_after_seconds: u32,
    /// After how long without an attempt an address's failures are forgotten, in seconds.
    pub forget_address_after_seconds: u32,
    /// How often somebody may ask, by class of call.
    pub quotas: Quotas,
}

impl Default for ThrottleLimits {
    fn default() -> Self {
        Self {
            free_failures: 5,
            free_failures_per_address: 50,
            first_wait_seconds: 1,
            longest_wait_seconds: 900,
            forget_after_seconds: 86_400,
            forget_address_after_seconds: 3_600,
            quotas: Quotas::default(),
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
#[must_use = "an attempt that is dropped is taken back, as if it had never been"]
pub struct Attempt {
    reserved: Option<Reserved>,
}

#[derive(Debug)]
struct Reserved {
    state: Arc<Mutex<State>>,
    account: AccountKey,
    /// None if the owner was here before: then the account's own counter is enough.
    address: Option<IpAddr>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some(reserved) = self.reserved.take() else { return };
        let mut state = lock(&reserved.state);
        take_back(&mut state.accounts, &reserved.account);
        if let Some(address) = reserved.address {
            take_back(&mut state.addresses, &address);
        }
    }
}

/// What settling an attempt brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Nothing that needs telling.
    Quiet,
    /// From now on the account's further attempts wait. Told once for each series of failures.
    LockBegins {
        /// For how long, in seconds.
        seconds: u32,
    },
    /// The password was tried on many accounts. Told once for each password.
    OneOnMany {
        /// On how many so far.
        accounts: usize,
    },
}

/// The throttle. Shared by everything that asks for passwords.
#[derive(Debug)]
pub struct Throttle {
    /// None if it is switched off.
    limits: Option<ThrottleLimits>,
    rates: Rates,
    state: Arc<Mutex<State>>,
}

/// An account, as a digest of its email, and, for addresses that the owner used before, the address.
type AccountKey = ([u8; 16], IpAddr);

#[derive(Debug, Default)]
struct State {
    news: Vec<ThrottleNews>,
    accounts: HashMap<AccountKey, Failures>,
    addresses: HashMap<IpAddr, Failures>,
    guesses: Guesses,
}

impl Throttle {
    /// A throttle with those limits; without any it lets everything pass.
    pub fn new(limits: Option<ThrottleLimits>) -> Self {
        let quotas = limits.as_ref().map(|limits| limits.quotas).unwrap_or_default();
        Self { limits, rates: Rates::new(quotas), state: Arc::default() }
    }

    /// Counts one call of this class by whoever asks, and says how they stand; none where there is no such limit.
    ///
    /// # Errors
    /// [`Limited`] if they must wait.
    pub fn take(&self, class: CallClass, asker: Asker, now: Timestamp) -> Result<Option<Standing>, Limited> {
        if self.limits.is_some() { self.rates.take(class, asker, now) } else { Ok(None) }
    }

    /// How somebody stands, without counting anything.
    pub fn standing(&self, class: CallClass, asker: Asker, now: Timestamp) -> Option<Standing> {
        self.limits.as_ref().and_then(|_| self.rates.standing(class, asker, now))
    }

    /// The quotas in force; none if it is switched off.
    pub fn quotas(&self) -> Option<&Quotas> {
        self.limits.as_ref().map(|limits| &limits.quotas)
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
        let Some(limits) = &self.limits else { return Ok(Attempt { reserved: None }) };
        self.take(CallClass::Login, Asker::Address(ip), now)?;
        let network = network(ip);
        let mut state = lock(&self.state);
        let account = (digest(account), if known_address { network } else { NO_ADDRESS });
        let address = (!known_address).then_some(network);
        // Both are asked before either counts the attempt, so that a refusal leaves no trace.
        limits.per_account().admit(&mut state.accounts, &account, now)?;
        if let Some(address) = address {
            limits.per_address().admit(&mut state.addresses, &address, now)?;
            reserve(&mut state.addresses, address, now);
        }
        reserve(&mut state.accounts, account, now);
        Ok(Attempt { reserved: Some(Reserved { state: Arc::clone(&self.state), account, address }) })
    }

    /// Remembers the password of an attempt that failed.
    pub fn note_guess(&self, account: &str, password: &Password, now: Timestamp) -> Settled {
        let is_attack = self.limits.is_some() && lock(&self.state).guesses.note(password, account, now);
        if is_attack { Settled::OneOnMany { accounts: guesses::MANY } } else { Settled::Quiet }
    }

    /// Tells how an attempt went: success forgets the account's failures, failure makes the next ones wait.
    pub fn settle_login(&self, mut attempt: Attempt, succeeded: bool, now: Timestamp) -> Settled {
        let (Some(limits), Some(reserved)) = (&self.limits, attempt.reserved.take()) else {
            return Settled::Quiet;
        };
        let mut state = lock(&self.state);
        if succeeded {
            let (account, known) = reserved.account;
            if state.accounts.get(&reserved.account).is_some_and(|failures| failures.count > 0) {
                state.tell(Counted::AccountSuccess, account, known);
            }
            forgive(&mut state.accounts, &reserved.account, now);
            take_back(&mut state.accounts, &reserved.account);
            if let Some(address) = reserved.address {
                take_back(&mut state.addresses, &address);
            }
            return Settled::Quiet;
        }
        let (account, known) = reserved.account;
        state.tell(Counted::AccountFailure, account, known);
        if let Some(address) = reserved.address {
            state.tell(Counted::AddressFailure, [0; 16], address);
            limits.per_address().count(state.addresses.entry(address).or_insert(Failures::none(now)), now);
        }
        let per_account = limits.per_account();
        let failures = state.accounts.entry(reserved.account).or_insert(Failures::none(now));
        let seconds = per_account.count(failures, now);
        // Only one failure is the first beyond the free ones, however many were under way.
        let begins = failures.count == per_account.free.saturating_add(1);
        if begins { Settled::LockBegins { seconds } } else { Settled::Quiet }
    }
}

impl ThrottleLimits {
    fn per_account(&self) -> FailureLimit {
        FailureLimit {
            policy: "login_failures",
            free: self.free_failures,
            first_wait_seconds: self.first_wait_seconds,
            longest_wait_seconds: self.longest_wait_seconds,
            forget_after_seconds: self.forget_after_seconds,
        }
    }

    fn per_address(&self) -> FailureLimit {
        FailureLimit {
            policy: "address_failures",
            free: self.free_failures_per_address,
            forget_after_seconds: self.forget_address_after_seconds,
            ..self.per_account()
        }
    }
}

/// How many failures are free, and how long the others wait.
struct FailureLimit {
    policy: &'static str,
    free: u32,
    first_wait_seconds: u32,
    longest_wait_seconds: u32,
    forget_after_seconds: u32,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// Attempts let through and not settled yet.
    under_way: u32,
    open_at: Timestamp,
    last_at: Timestamp,
}

impl Failures {
    fn none(now: Timestamp) -> Self {
        Self { count: 0, under_way: 0, open_at: now, last_at: now }
    }
}

impl FailureLimit {
    /// Whether one more attempt may begin; forgets what is too old to count.
    fn admit<K: Eq + Hash>(
        &self,
        counters: &mut HashMap<K, Failures>,
        key: &K,
        now: Timestamp,
    ) -> Result<(), Limited> {
        let Some(failures) = counters.get_mut(key) else { return Ok(()) };
        if now >= after(failures.last_at, self.forget_after_seconds) {
            failures.count = 0;
        }
        // The clock may have run back since.
        failures.open_at = failures.open_at.min(after(now, self.wait_seconds(failures.count)));
        failures.last_at = failures.last_at.min(now);
        // Once the free ones are used up, by failures or by what may still fail, attempts go one at a time.
        let crowded = failures.under_way > 0 && failures.count.saturating_add(failures.under_way) > self.free;
        if now >= failures.open_at && !crowded {
            return Ok(());
        }
        Err(Limited {
            policy: self.policy,
            quota: self.free,
            window_seconds: self.longest_wait_seconds,
            remaining: 0,
            retry_after_seconds: seconds_until(failures.open_at, now),
        })
    }

    /// Counts an attempt that failed; answers how long the next one waits, in seconds.
    fn count(&self, failures: &mut Failures, now: Timestamp) -> u32 {
        failures.under_way = failures.under_way.saturating_sub(1);
        failures.count = failures.count.saturating_add(1);
        failures.last_at = now;
        let seconds = self.wait_seconds(failures.count);
        failures.open_at = failures.open_at.max(after(now, seconds));
        seconds
    }

    /// How long to wait after that many failures.
    fn wait_seconds(&self, count: u32) -> u32 {
        let Some(beyond) = count.checked_sub(self.free.saturating_add(1)) else { return 0 };
        let doublings = 1_u32.checked_shl(beyond).unwrap_or(u32::MAX);
        self.first_wait_seconds.saturating_mul(doublings).min(self.longest_wait_seconds)
    }
}

fn reserve<K: Eq + Hash>(counters: &mut HashMap<K, Failures>, key: K, now: Timestamp) {
    if counters.len() >= CAPACITY && !counters.contains_key(&key) {
        forget_oldest(counters, |failures| failures.last_at);
    }
    let failures = counters.entry(key).or_insert(Failures::none(now));
    failures.under_way = failures.under_way.saturating_add(1);
    failures.last_at = now;
}

/// Forgets failures after a success.
fn forgive<K: Eq + Hash>(counters: &mut HashMap<K, Failures>, key: &K, now: Timestamp) {
    let Some(failures) = counters.get_mut(key) else { return };
    failures.count = 0;
    failures.open_at = now;
    if failures.under_way == 0 {
        counters.remove(key);
    }
}

/// Ends an attempt that did not fail. A counter with nothing to remember goes, so that only failures take memory.
fn take_back<K: Eq + Hash>(counters: &mut HashMap<K, Failures>, key: &K) {
    let Some(failures) = counters.get_mut(key) else { return };
    failures.under_way = failures.under_way.saturating_sub(1);
    if failures.count == 0 && failures.under_way == 0 {
        counters.remove(key);
    }
}

/// What an account is known by here and among nodes: no table of addresses comes of it.
fn digest(account: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(account).into();
    let mut short = [0; 16];
    short.iter_mut().zip(digest).for_each(|(byte, digested)| *byte = digested);
    short
}

/// What is counted together: the network of an address; one for all who have none.
fn network(ip: Option<IpAddr>) -> IpAddr {
    ip.map_or(NO_ADDRESS, network_of)
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn after(then: Timestamp, seconds: u32) -> Timestamp {
    then.plus_millis(i64::from(seconds).saturating_mul(1_000))
}

fn seconds_until(then: Timestamp, now: Timestamp) -> u32 {
    let millis = then.as_millis().saturating_sub(now.as_millis()).max(1);
    u32::try_from(millis.saturating_add(999) / 1_000).unwrap_or(u32::MAX)
}

/// Makes room by forgetting the older half: rare, so that a flood costs little per request.
fn forget_oldest<K: Eq + Hash, V>(map: &mut HashMap<K, V>, age: impl Fn(&V) -> Timestamp) {
    let mut ages: Vec<Timestamp> = map.values().map(&age).collect();
    let middle = ages.len() / 2;
    let (_, median, _) = ages.select_nth_unstable(middle);
    let median = *median;
    map.retain(|_, value| age(value) > median);
}

#[cfg(test)]
mod tests;
