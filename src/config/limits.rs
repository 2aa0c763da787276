//! `[rate_limits]`: how often somebody may ask, and how often they may be wrong.

use super::ClassQuotas;
use crate::auth::throttle::{Quotas, ThrottleLimits};

/// Limits on requests and login attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    /// Off for load tests only.
    pub enabled: bool,
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
    /// Wrong passwords in a row that an account has free.
    pub login_failures: u32,
    /// The longest wait after more of them, in seconds.
    pub longest_wait_seconds: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        let ThrottleLimits { quotas, free_failures, longest_wait_seconds, .. } = ThrottleLimits::default();
        let Quotas { login, register, refresh, payment, read, admin } = quotas;
        let login_failures = free_failures;
        Self {
            enabled: true,
            login,
            register,
            refresh,
            payment,
            read,
            admin,
            login_failures,
            longest_wait_seconds,
        }
    }
}

impl RateLimits {
    /// What the throttle is told; nothing if it is switched off.
    pub fn throttle(&self) -> Option<ThrottleLimits> {
        let &Self { enabled, login, register, refresh, payment, read, admin, .. } = self;
        enabled.then(|| ThrottleLimits {
            quotas: Quotas { login, register, refresh, payment, read, admin },
            free_failures: self.login_failures,
            longest_wait_seconds: self.longest_wait_seconds,
            ..ThrottleLimits::default()
        })
    }
}
