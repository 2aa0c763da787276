//! What the throttles of several nodes tell each other, so that a limit holds for all of them together.

use std::net::IpAddr;

use super::{CAPACITY, State, Throttle, forgive, lock, reserve};
use crate::ledger::Timestamp;

/// What one node counted, for the others. Names no account but by a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleNews {
    /// What happened.
    pub what: Counted,
    /// The account, as a digest of its email; zeros where none is concerned.
    pub account: [u8; 16],
    /// The network that asked; the unspecified address for none.
    pub network: IpAddr,
}

/// What a throttle counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Somebody asked to register.
    Registration,
    /// Somebody tried to log in.
    Login,
    /// A login failed, for its account.
    AccountFailure,
    /// A login succeeded after failures.
    AccountSuccess,
    /// A login failed, for its address.
    AddressFailure,
}

impl Counted {
    /// Everything that is counted.
    pub const ALL: [Self; 5] =
        [Self::Registration, Self::Login, Self::AccountFailure, Self::AccountSuccess, Self::AddressFailure];

    /// Its name in a database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Login => "login",
            Self::AccountFailure => "account_failure",
            Self::AccountSuccess => "account_success",
            Self::AddressFailure => "address_failure",
        }
    }

    /// What has that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|counted| counted.name() == name)
    }
}

impl Throttle {
    /// What was counted here since the last time.
    pub fn take_news(&self) -> Vec<ThrottleNews> {
        std::mem::take(&mut lock(&self.state).news)
    }

    /// Counts what others counted.
    pub fn hear(&self, news: &[ThrottleNews], now: Timestamp) {
        let Some(limits) = &self.limits else { return };
        let mut state = lock(&self.state);
        for ThrottleNews { what, account, network } in news.iter().copied() {
            // What was let through elsewhere has been: it counts here up to a full window.
            match what {
                Counted::Registration => {
                    let _ = limits.registrations().take(&mut state.registrations, network, now);
                }
                Counted::Login => {
                    let _ = limits.logins().take(&mut state.logins, network, now);
                }
                Counted::AccountFailure => {
                    reserve(&mut state.accounts, (account, network), now);
                    if let Some(failures) = state.accounts.get_mut(&(account, network)) {
                        limits.per_account().count(failures, now);
                    }
                }
                Counted::AccountSuccess => forgive(&mut state.accounts, &(account, network), now),
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
    pub(super) fn tell(&mut self, what: Counted, account: [u8; 16], network: IpAddr) {
        if self.news.len() < CAPACITY {
            self.news.push(ThrottleNews { what, account, network });
        }
    }
}
