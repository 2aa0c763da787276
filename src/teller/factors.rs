//! Second factors: offered, confirmed, taken away; and how a code is looked at before a decision takes it.

use std::sync::Arc;

use crate::auth::password::Password;
use crate::auth::seal::{Secret, SecretKind};
use crate::auth::throttle::Attempt;
use crate::auth::totp::{self, RecoveryCode};
use crate::ledger::{
    Action, BeginFactor, ConfirmFactor, EventDraft, EventKind, Origin, Proof, Refusal, RemoveFactor, Shown,
    User, check_session,
};

use super::sessions::{Tried, lock_event};
use super::{Identity, Teller, TellerError};

/// A second factor before it is confirmed: the only time that its seed can be seen.
#[derive(Debug)]
pub struct FactorOffer {
    seed: Secret,
    issuer: String,
    account: String,
}

impl FactorOffer {
    /// The seed, as it is typed into an app.
    pub fn secret(&self) -> String {
        totp::base32(self.seed.expose())
    }

    /// What an app takes it in by.
    pub fn otpauth_url(&self) -> String {
        totp::otpauth_url(&self.seed, &self.issuer, &self.account)
    }
}

impl Teller {
    /// Begins a second factor, in place of one that was begun and not confirmed.
    ///
    /// # Errors
    /// [`Refusal::FactorState`] if there is one; faults.
    pub async fn begin_factor(&self, who: &Identity, origin: Origin) -> Result<FactorOffer, TellerError> {
        let seed = totp::new_seed(&self.clock)?;
        let sealed = self.sealer.seal(SecretKind::TotpSeed, who.user.id.uuid(), &seed)?;
        let begin = BeginFactor { caller: who.caller, seed: sealed };
        self.execute(origin, Action::BeginFactor(begin)).await?;
        Ok(self.offer(seed, &who.user))
    }

    /// The second factor that the caller has begun and not confirmed, if there is one.
    ///
    /// # Errors
    /// If its seed does not open.
    pub fn offered_factor(&self, who: &Identity) -> Result<Option<FactorOffer>, TellerError> {
        let begun = who.user.second_factor.as_ref().filter(|_| who.user.active_factor().is_none());
        let Some(begun) = begun else { return Ok(None) };
        let seed = self.sealer.open(SecretKind::TotpSeed, who.user.id.uuid(), &begun.seed)?;
        Ok(Some(self.offer(seed, &who.user)))
    }

    fn offer(&self, seed: Secret, user: &User) -> FactorOffer {
        FactorOffer { seed, issuer: self.rules.house_name.clone(), account: user.email.as_str().to_owned() }
    }

    /// Confirms it by a first code; from then on it is asked for. Gives the recovery codes, which are seen this once.
    ///
    /// # Errors
    /// [`Refusal::FactorState`] if none was begun, [`Refusal::OtpInvalid`], [`TellerError::Throttled`]; faults.
    pub async fn confirm_factor(
        &self,
        who: &Identity,
        origin: Origin,
        otp: &str,
    ) -> Result<Vec<RecoveryCode>, TellerError> {
        let is_on = who.user.active_factor().is_some();
        let begun = who.user.second_factor.as_ref().filter(|_| !is_on);
        let begun = begun.ok_or(Refusal::FactorState { is_on })?;
        let attempt = self.begin_password_attempt(who.user.email.folded(), true, &origin)?;
        let seed = self.sealer.open(SecretKind::TotpSeed, who.user.id.uuid(), &begun.seed)?;
        let proof = totp::proof(&seed, otp, self.clock.now());
        let shown = match proof {
            Some(Proof::Step(_)) => Shown::Nothing,
            Some(Proof::Recovery(_)) | None => Shown::Wrong,
        };
        self.settle_shown(attempt, &who.user, shown, &origin).await?;
        let Some(Proof::Step(step)) = proof else { return Err(Refusal::OtpInvalid.into()) };
        let codes = (0..totp::RECOVERY_CODES).map(|_| RecoveryCode::generate(&self.clock));
        let codes = codes.collect::<Result<Vec<_>, _>>()?;
        let recovery = codes.iter().map(RecoveryCode::hash).collect();
        let confirm = ConfirmFactor { caller: who.caller, seed: begun.seed.clone(), step, recovery };
        self.execute(origin, Action::ConfirmFactor(confirm)).await?;
        Ok(codes)
    }

    /// Takes the caller's second factor away.
    ///
    /// # Errors
    /// [`Refusal::InvalidCredentials`] if the password is wrong, [`Refusal::FactorState`] if there is none; faults.
    pub async fn remove_factor(
        &self,
        who: &Identity,
        origin: Origin,
        password: Password,
    ) -> Result<(), TellerError> {
        let attempt = self.begin_password_attempt(who.user.email.folded(), true, &origin)?;
        let verified = who.user.password.clone();
        let check = self.hasher.verify(password.clone(), verified.clone()).await?;
        let tried = Tried { account: who.user.email.folded(), password: &password, matches: check.matches };
        self.settle_password_attempt(attempt, tried, Some(&who.user), &origin).await?;
        if !check.matches {
            return Err(Refusal::InvalidCredentials.into());
        }
        let remove = RemoveFactor { caller: who.caller, verified };
        self.execute(origin, Action::RemoveFactor(remove)).await.map(|_| ())
    }

    /// What somebody showed where a second factor may be asked for. Guesses are slowed down like those of passwords; whether
    /// it is asked for is the decision's to say.
    pub(super) async fn look_at_otp(
        &self,
        who: &Identity,
        otp: Option<&str>,
        origin: &Origin,
    ) -> Result<Shown, TellerError> {
        if otp.is_none() {
            return Ok(Shown::Nothing);
        }
        let user = if who.is_recalled { self.user_now(who).await? } else { Arc::clone(&who.user) };
        if user.active_factor().is_none() {
            return Ok(Shown::Nothing);
        }
        let attempt = self.begin_password_attempt(user.email.folded(), true, origin)?;
        let shown = self.read_otp(&user, otp)?;
        self.settle_shown(attempt, &user, shown, origin).await?;
        Ok(shown)
    }

    /// The user as they are now, who may have begun or removed a factor since they were recalled; whose session has ended
    /// guesses no code.
    async fn user_now(&self, who: &Identity) -> Result<Arc<User>, TellerError> {
        let found = self.store.session_by_access(who.caller.access).await?;
        let (session, user) = found.ok_or(Refusal::TokenInvalid)?;
        check_session(&session, &who.caller, self.clock.now())?;
        Ok(user)
    }

    /// What a text proves about the user's second factor.
    pub(super) fn read_otp(&self, user: &User, otp: Option<&str>) -> Result<Shown, TellerError> {
        let (Some(factor), Some(otp)) = (user.active_factor(), otp) else { return Ok(Shown::Nothing) };
        let seed = self.sealer.open(SecretKind::TotpSeed, user.id.uuid(), &factor.seed)?;
        let proof = totp::proof(&seed, otp, self.clock.now());
        // A code that was used before is wrong; the decision looks again, for who was quicker.
        let proof = proof.filter(|proof| factor.take(*proof).is_some());
        Ok(proof.map_or(Shown::Wrong, Shown::Proof))
    }

    /// Tells the throttle how a login went whose password was right, and stops it where a code is missing or wrong. A
    /// missing one counts as a failure, or else whoever has the password could forget theirs by it.
    pub(super) async fn settle_otp_attempt(
        &self,
        attempt: Attempt,
        user: &User,
        shown: Shown,
        origin: &Origin,
    ) -> Result<(), TellerError> {
        if user.active_factor().is_some() && shown == Shown::Nothing {
            self.throttle.settle_login(attempt, false, self.clock.now());
            return Err(Refusal::OtpRequired.into());
        }
        self.settle_shown(attempt, user, shown, origin).await?;
        if shown == Shown::Wrong { Err(Refusal::OtpInvalid.into()) } else { Ok(()) }
    }

    /// Tells the throttle whether a code was wrong, and writes it down if it was.
    async fn settle_shown(
        &self,
        attempt: Attempt,
        user: &User,
        shown: Shown,
        origin: &Origin,
    ) -> Result<(), TellerError> {
        let settled = self.throttle.settle_login(attempt, shown != Shown::Wrong, self.clock.now());
        if shown != Shown::Wrong {
            return Ok(());
        }
        let failed = EventDraft::new(EventKind::LoginFail, Some(user.id)).with("factor", "otp");
        let events = std::iter::once(failed).chain(lock_event(settled, Some(user))).collect();
        self.execute(origin.clone(), Action::Note(events)).await.map(|_| ())
    }
}
