//! Who asks too often: the throttle's rates, by class of call, and the event that says so.
//!
//! A door counts a call by its address before it looks at anything else, and by its caller once that is known. Logging in
//! and registering count by themselves ([`Teller::login`], [`Teller::begin_registration`]), whatever door they come by.

use super::{Identity, Teller, TellerError};
use crate::auth::throttle::{Asker, CallClass, Quotas, Standing};
use crate::ledger::{EventKind, Origin};

impl Teller {
    /// The quotas in force; none if limits are off.
    pub fn quotas(&self) -> Option<&Quotas> {
        self.throttle.quotas()
    }

    /// Counts a call for the address that it came from.
    ///
    /// # Errors
    /// [`TellerError::Throttled`].
    pub fn admit_address(&self, class: CallClass, origin: &Origin) -> Result<Option<Standing>, TellerError> {
        self.take(class, Asker::Address(origin.ip), origin)
    }

    /// Counts a call for the session or API key that it came with, and for its account.
    ///
    /// # Errors
    /// [`TellerError::Throttled`].
    pub fn admit_caller(
        &self,
        class: CallClass,
        who: &Identity,
        origin: &Origin,
    ) -> Result<Option<Standing>, TellerError> {
        // The key first: what it is refused must not count for the account's other keys.
        let by_key = self.take(class, Asker::Key(who.caller.session), origin)?;
        let by_account = self.take(class, Asker::Account(who.caller.user), origin)?;
        Ok(tightest([by_key, by_account]))
    }

    /// How the address stands, without counting anything.
    pub fn address_standing(&self, class: CallClass, origin: &Origin) -> Option<Standing> {
        self.throttle.standing(class, Asker::Address(origin.ip), self.clock.now())
    }

    pub(super) fn take(
        &self,
        class: CallClass,
        asker: Asker,
        origin: &Origin,
    ) -> Result<Option<Standing>, TellerError> {
        self.throttle.take(class, asker, self.clock.now()).map_err(|limited| {
            self.note_anonymous(EventKind::RateLimitExceeded, origin);
            TellerError::Throttled(limited)
        })
    }
}

/// The one that leaves least.
pub fn tightest<const N: usize>(standings: [Option<Standing>; N]) -> Option<Standing> {
    standings.into_iter().flatten().reduce(Standing::tighter)
}
