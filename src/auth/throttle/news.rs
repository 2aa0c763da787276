//! What the throttles of several nodes tell each other, so that a limit holds for all of them together.

use std::net::IpAddr;

use super::{CAPACITY, Policy, State, Throttle, forgive, lock, reserve};
use crate::ledger::Timestamp;

/// What one node counted, for the others. Names no account but by a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleNews {
    /// What happened.
    pub what: Counted,
    /// Of failures the account, as a digest of its email; of calls whoever asked; zeros where none is concerned.
    pub key: [u8; 16],
    /// Of failures the network that asked; the unspecified address for none.
    pub network: IpAddr,
    /// How often; at least once.
    pub times: u32,
}

/// What a throttle counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Calls that count for a limit.
    Calls(Policy),
    /// A login failed, for its account.
    AccountFailure,
    /// A login succeeded after failures.
    AccountSuccess,
    /// A login failed, for its address.
    AddressFailure,
}

impl Counted {
    const LOGINS: [Self; 3] = [Self::AccountFailure, Self::AccountSuccess, Self::AddressFailure];

    /// Its name in a database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls(policy) => policy.name(),
            Self::AccountFailure => "account_failure",
            Self::AccountSuccess => "account_success",
            Self::AddressFailure => "address_failure",
        }
    }

    /// What has that name.
    pub fn from_name(name: &str) -> Option<Self> {
        let of_logins = Self::LOGINS.into_iter().find(|counted| counted.name() == name);
        of_logins.or_else(|| Policy::from_name(name).map(Self::Calls))
    }
}

impl Throttle {
    /// What was counted here since the last time.
    pub fn take_news(&self) -> Vec<ThrottleNews> {
        let mut news = std::mem::take(&mut lock(&self.state).news);
        news.append(&mut self.rates.take_news());
        news
    }

    /// Counts what others counted.
    pub fn hear(&self, news: &[ThrottleNews], now: Timestamp) {
        let Some(limits) = &self.limits else { return };
        for ThrottleNews { what, key, network, times } in news.iter().copied() {
            let mut state = lock(&self.state);
            match what {
                Counted::Calls(policy) => self.rates.hear(policy, key, times, now),
                Counted::AccountFailure => {
                    reserve(&mut state.accounts, (key, network), now);
                    if let Some(failures) = state.accounts.get_mut(&(key, network)) {
                        limits.per_account().count(failures, now);
                    }
                }
                Counted::AccountSuccess => forgive(&mut state.accounts, &(key, network), now),
                Counted::AddressFailure => {
                    reserve(&mut state.addresses, network, now);
                    if let Some(failures) = state.addresses.get_mut(&network) {
                        limits.per_address().count(failures, now);
                    }
                }
            }
        }
    }
}

impl State {
    /// Keeps what was counted for the other nodes. Nobody may fetch it, so there is an end to it.
    pub(super) fn tell(&mut self, what: Counted, key: [u8; 16], network: IpAddr) {
        if self.news.len() < CAPACITY {
            self.news.push(ThrottleNews { what, key, network, times: 1 });
        }
    }
}
