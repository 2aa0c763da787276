//! What only a sandbox does: its clock moved forward, and a new ledger in the place of the old one.

use crate::ledger::{Action, Mode, MoveClock, Origin, Refusal, Timestamp};

use super::{Identity, Teller, TellerError};

impl Teller {
    /// Moves the sandbox's clock forward, and says what it shows then. Holds lapse, schedules run and tokens expire as if so
    /// much time had passed. It is written down as a security event at the new time: a clock never shows less than the
    /// newest row of its ledger, so that it stays forward when the server is started again, and on every node.
    ///
    /// # Errors
    /// [`Refusal::SandboxOnly`], [`Refusal::AccountFrozen`]; faults of the store.
    pub async fn move_clock(
        &self,
        who: &Identity,
        origin: Origin,
        by_ms: i64,
    ) -> Result<Timestamp, TellerError> {
        self.check_sandbox(who)?;
        // First, so that what is written is written at the new time.
        let before = self.clock.now();
        let now = before.plus_millis(by_ms);
        self.clock.not_before(now);
        self.execute(origin, Action::MoveClock(MoveClock { caller: who.caller, before, by_ms })).await?;
        Ok(now)
    }

    /// Puts an empty ledger in the place of this one, which is moved aside as it is. Nobody is known to the new one: its first
    /// operator is made on the host.
    ///
    /// # Errors
    /// [`Refusal::SandboxOnly`], [`Refusal::AccountFrozen`]; [`TellerError::ResetUnsupported`] where the database does not let
    /// it; faults of the store.
    pub async fn reset_sandbox(&self, who: &Identity) -> Result<(), TellerError> {
        self.check_sandbox(who)?;
        self.store.begin_anew(who.caller.session).await?.map_err(TellerError::ResetUnsupported)?;
        tracing::warn!(user = %who.user.id, "the sandbox was reset: an empty ledger has taken the place of the one before");
        self.keep_proofs(false).await;
        Ok(())
    }

    fn check_sandbox(&self, who: &Identity) -> Result<(), TellerError> {
        if self.rules.mode != Mode::Sandbox {
            return Err(Refusal::SandboxOnly.into());
        }
        if who.user.frozen {
            return Err(Refusal::AccountFrozen.into());
        }
        Ok(())
    }
}
