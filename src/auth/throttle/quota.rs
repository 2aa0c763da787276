//! Quotas: how often a client may ask, by class of call and by whom it is counted.
//!
//! Every limit has a name made of both, such as `payment-account`, by which headers, metrics and the nodes of a ledger
//! know it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::network;
use crate::ledger::{SessionId, UserId};

/// What kind of call it is, as far as limits go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallClass {
    /// Logging in.
    Login,
    /// Making an account.
    Register,
    /// Getting a new pair of tokens.
    Refresh,
    /// Paying, and every other change.
    Payment,
    /// Reading.
    Read,
    /// What operators do.
    Admin,
}

impl CallClass {
    /// Every class.
    pub const ALL: [Self; 6] =
        [Self::Login, Self::Register, Self::Refresh, Self::Payment, Self::Read, Self::Admin];

    /// Whether the caller is known before the limit is looked at; without, there is but an address to count by.
    pub const fn knows_caller(self) -> bool {
        matches!(self, Self::Payment | Self::Read | Self::Admin)
    }
}

/// What a limit counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The client's address; of IPv6 its /64.
    Address,
    /// The account, over all its sessions and keys.
    Account,
    /// The one session or API key that the token belongs to.
    Key,
}

impl Scope {
    const ALL: [Self; 3] = [Self::Address, Self::Account, Self::Key];

    const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Account => "account",
            Self::Key => "key",
        }
    }
}

/// Who asks, in the way that one limit counts.
#[derive(Debug, Clone, Copy)]
pub enum Asker {
    /// Somebody at this address, or without one.
    Address(Option<IpAddr>),
    /// An account.
    Account(UserId),
    /// A session or an API key.
    Key(SessionId),
}

impl Asker {
    pub(super) fn scope(self) -> Scope {
        match self {
            Self::Address(_) => Scope::Address,
            Self::Account(_) => Scope::Account,
            Self::Key(_) => Scope::Key,
        }
    }

    pub(super) fn key(self) -> [u8; 16] {
        match self {
            Self::Address(ip) => match network(ip) {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            },
            Self::Account(user) => user.uuid().into_bytes(),
            Self::Key(session) => session.uuid().into_bytes(),
        }
    }
}

/// One limit: of which calls, counted by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Of which calls.
    pub class: CallClass,
    /// Counted by what.
    pub scope: Scope,
}

impl Policy {
    /// Its name in headers, metrics and the database.
    pub const fn name(self) -> &'static str {
        match (self.class, self.scope) {
            (CallClass::Login, Scope::Address) => "login-address",
            (CallClass::Login, Scope::Account) => "login-account",
            (CallClass::Login, Scope::Key) => "login-key",
            (CallClass::Register, Scope::Address) => "register-address",
            (CallClass::Register, Scope::Account) => "register-account",
            (CallClass::Register, Scope::Key) => "register-key",
            (CallClass::Refresh, Scope::Address) => "refresh-address",
            (CallClass::Refresh, Scope::Account) => "refresh-account",
            (CallClass::Refresh, Scope::Key) => "refresh-key",
            (CallClass::Payment, Scope::Address) => "payment-address",
            (CallClass::Payment, Scope::Account) => "payment-account",
            (CallClass::Payment, Scope::Key) => "payment-key",
            (CallClass::Read, Scope::Address) => "read-address",
            (CallClass::Read, Scope::Account) => "read-account",
            (CallClass::Read, Scope::Key) => "read-key",
            (CallClass::Admin, Scope::Address) => "admin-address",
            (CallClass::Admin, Scope::Account) => "admin-account",
            (CallClass::Admin, Scope::Key) => "admin-key",
        }
    }

    /// The limit of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all =
            CallClass::ALL.into_iter().flat_map(|class| Scope::ALL.map(|scope| Self { class, scope }));
        all.find(|policy| policy.name() == name)
    }
}

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub count: u32,
    /// In how long, in seconds.
    pub window_seconds: u32,
}

impl Quota {
    /// The most that a quota may be.
    pub const MAX_COUNT: u32 = 1_000_000;

    const fn per_minute(count: u32) -> Self {
        Self { count, window_seconds: 60 }
    }
}

/// The quotas of one class of calls; none where nothing is counted by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassQuotas {
    /// Of an address.
    pub address: Option<Quota>,
    /// Of an account.
    pub account: Option<Quota>,
    /// Of a session or an API key.
    pub key: Option<Quota>,
}

impl ClassQuotas {
    /// Reads quotas of a class whose caller is not known: by address alone.
    pub fn parse_anonymous(text: &str) -> Option<Self> {
        text.parse().ok().filter(|quotas: &Self| quotas.account.is_none() && quotas.key.is_none())
    }

    /// The quota that counts by this.
    pub const fn by(&self, scope: Scope) -> Option<Quota> {
        match scope {
            Scope::Address => self.address,
            Scope::Account => self.account,
            Scope::Key => self.key,
        }
    }

    fn slot(&mut self, scope: Scope) -> &mut Option<Quota> {
        match scope {
            Scope::Address => &mut self.address,
            Scope::Account => &mut self.account,
            Scope::Key => &mut self.key,
        }
    }
}

/// The quotas of every class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Of logging in.
    pub login: ClassQuotas,
    /// Of making accounts.
    pub register: ClassQuotas,
    /// Of new pairs of tokens.
    pub refresh: ClassQuotas,
    /// Of payments and other changes.
    pub payment: ClassQuotas,
    /// Of reading.
    pub read: ClassQuotas,
    /// Of what operators do.
    pub admin: ClassQuotas,
}

impl Quotas {
    /// Those of a class.
    pub const fn of(&self, class: CallClass) -> &ClassQuotas {
        match class {
            CallClass::Login => &self.login,
            CallClass::Register => &self.register,
            CallClass::Refresh => &self.refresh,
            CallClass::Payment => &self.payment,
            CallClass::Read => &self.read,
            CallClass::Admin => &self.admin,
        }
    }

    /// That of one limit.
    pub const fn by(&self, policy: Policy) -> Option<Quota> {
        self.of(policy.class).by(policy.scope)
    }
}

/// What a shop can live with: a till that rings ten times a second, an office behind one address.
impl Default for Quotas {
    fn default() -> Self {
        let by_address = |quota| ClassQuotas { address: Some(quota), account: None, key: None };
        let by_all = |address, account, key| ClassQuotas {
            address: Some(Quota::per_minute(address)),
            account: Some(Quota::per_minute(account)),
            key: Some(Quota::per_minute(key)),
        };
        Self {
            login: by_address(Quota::per_minute(60)),
            register: by_address(Quota { count: 120, window_seconds: 3_600 }),
            refresh: by_address(Quota::per_minute(300)),
            payment: by_all(1_200, 600, 300),
            read: by_all(3_000, 1_200, 600),
            admin: by_all(600, 600, 300),
        }
    }
}

/// Why a text says no quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a list of quotas such as 1200/min per address, 600/min per account, 300/min per key")]
pub struct QuotaError;

/// `1200/min per address, 600/min per account, 10/30s per key`; `none` for no limit.
impl FromStr for ClassQuotas {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let mut quotas = Self::default();
        if text.trim() == "none" {
            return Ok(quotas);
        }
        for part in text.split(',') {
            let (quota, scope) = part.split_once(" per ").ok_or(QuotaError)?;
            let scope =
                Scope::ALL.into_iter().find(|known| known.name() == scope.trim()).ok_or(QuotaError)?;
            let slot = quotas.slot(scope);
            // Two of a kind: one of them is a mistake.
            if slot.replace(parse_quota(quota.trim())?).is_some() {
                return Err(QuotaError);
            }
        }
        Ok(quotas)
    }
}

impl fmt::Display for ClassQuotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for scope in Scope::ALL {
            if let Some(quota) = self.by(scope) {
                write!(f, "{separator}{quota} per {}", scope.name())?;
                separator = ", ";
            }
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

const WINDOWS: [(&str, u32); 4] = [("s", 1), ("min", 60), ("h", 3_600), ("day", 86_400)];

fn parse_quota(text: &str) -> Result<Quota, QuotaError> {
    let (count, window) = text.split_once('/').ok_or(QuotaError)?;
    let count = count.trim().parse().ok().filter(|count| (1..=Quota::MAX_COUNT).contains(count));
    let window = window.trim();
    let digits = window.len().saturating_sub(window.trim_start_matches(|c: char| c.is_ascii_digit()).len());
    let (times, unit) = window.split_at(digits);
    let times: u32 = if times.is_empty() { 1 } else { times.parse().map_err(|_| QuotaError)? };
    let (_, unit_seconds) = WINDOWS.into_iter().find(|(name, _)| *name == unit).ok_or(QuotaError)?;
    let window_seconds =
        times.checked_mul(unit_seconds).filter(|seconds| (1..=86_400).contains(seconds)).ok_or(QuotaError)?;
    Ok(Quota { count: count.ok_or(QuotaError)?, window_seconds })
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, window_seconds } = self;
        match WINDOWS.into_iter().find(|(_, seconds)| seconds == window_seconds) {
            Some((unit, _)) => write!(f, "{count}/{unit}"),
            None => write!(f, "{count}/{window_seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_read_back_as_they_are_written() {
        let quotas = Quotas::default();
        for class in CallClass::ALL {
            let quotas = quotas.of(class);
            assert_eq!(quotas.to_string().parse::<ClassQuotas>().as_ref(), Ok(quotas));
            assert_eq!(class.knows_caller(), quotas.account.is_some());
        }
        assert_eq!(quotas.payment.to_string(), "1200/min per address, 600/min per account, 300/min per key");
        assert_eq!("none".parse::<ClassQuotas>().unwrap().to_string(), "none");
        let odd: ClassQuotas = " 5/30s per key,7 / 2h per address ".parse().unwrap();
        assert_eq!(odd.key, Some(Quota { count: 5, window_seconds: 30 }));
        assert_eq!(odd.address, Some(Quota { count: 7, window_seconds: 7_200 }));
        assert_eq!(odd.to_string(), "7/7200s per address, 5/30s per key");
    }

    #[test]
    fn what_is_no_quota_is_refused() {
        for text in [
            "",
            "5",
            "5/min",
            "5/min per user",
            "0/min per address",
            "-1/min per address",
            "1000001/min per address",
            "5/0s per address",
            "5/2day per address",
            "5/fortnight per address",
            "5/min per address, 6/min per address",
            "5/min per address,",
            "5/99999999999s per address",
        ] {
            assert_eq!(text.parse::<ClassQuotas>(), Err(QuotaError), "{text}");
        }
        assert!(ClassQuotas::parse_anonymous("5/min per address").is_some());
        assert!(ClassQuotas::parse_anonymous("5/min per account").is_none());
    }

    #[test]
    fn names_are_unique_and_lead_back() {
        for class in CallClass::ALL {
            for scope in Scope::ALL {
                let policy = Policy { class, scope };
                assert_eq!(Policy::from_name(policy.name()), Some(policy));
            }
        }
        assert_eq!(Policy::from_name("payment"), None);
    }

    #[test]
    fn an_address_of_ipv4_is_the_same_in_both_notations() {
        let key = |text: &str| Asker::Address(text.parse().ok()).key();
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    }
}
