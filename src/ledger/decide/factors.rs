//! Second factors: begun, confirmed by a first code, taken away; and the one place where a code is taken, whatever it is
//! shown for.

use std::sync::Arc;

use super::super::{
    BeginFactor, Command, ConfirmFactor, EventDraft, EventKind, EventType, Refusal, RemoveFactor,
    SecondFactor, Shown, User, UserId, WorkingSet,
};
use super::{Reply, caller_user};

pub(super) fn begin(set: &mut WorkingSet, begin: &BeginFactor) -> Result<Reply, Refusal> {
    let user = caller_user(set, &begin.caller)?;
    if user.active_factor().is_some() {
        return Err(Refusal::FactorState { is_on: true });
    }
    let factor =
        SecondFactor { seed: begin.seed.clone(), is_confirmed: false, last_step: 0, recovery: Vec::new() };
    set.put_user(User { second_factor: Some(factor), ..User::clone(&user) });
    Ok(Reply::Done)
}

pub(super) fn confirm(
    set: &mut WorkingSet,
    command: &Command,
    confirm: &ConfirmFactor,
) -> Result<Reply, Refusal> {
    let user = caller_user(set, &confirm.caller)?;
    let is_on = user.active_factor().is_some();
    // The code is of the seed that was read at the door; another may have been begun since.
    let begun = user.second_factor.as_ref().filter(|factor| !is_on && factor.seed == confirm.seed);
    let begun = begun.ok_or(Refusal::FactorState { is_on })?;
    let factor = SecondFactor {
        is_confirmed: true,
        last_step: confirm.step,
        recovery: confirm.recovery.clone(),
        ..begun.clone()
    };
    set.put_user(User { second_factor: Some(factor), ..User::clone(&user) });
    let event = EventDraft::new(EventKind::AuthzChange, Some(user.id)).with("second_factor", "confirmed");
    set.record(command, &event);
    set.tell_user(command, EventType::UserTotpEnabled, &user);
    Ok(Reply::Done)
}

pub(super) fn remove(
    set: &mut WorkingSet,
    command: &Command,
    remove: &RemoveFactor,
) -> Result<Reply, Refusal> {
    let user = caller_user(set, &remove.caller)?;
    if user.password != remove.verified {
        return Err(Refusal::InvalidCredentials);
    }
    if user.second_factor.is_none() {
        return Err(Refusal::FactorState { is_on: false });
    }
    set.put_user(User { second_factor: None, ..User::clone(&user) });
    let event = EventDraft::new(EventKind::AuthzChange, Some(user.id)).with("second_factor", "removed");
    set.record(command, &event);
    if user.active_factor().is_some() {
        set.tell_user(command, EventType::UserTotpDisabled, &user);
    }
    Ok(Reply::Done)
}

/// What was shown with one command for its caller's second factor: taken at most once, and good for all that the command
/// does.
pub(super) struct Asked {
    shown: Shown,
    is_taken: bool,
}

impl Asked {
    /// What was shown, before it is asked for.
    pub(super) fn of(shown: Shown) -> Self {
        Self { shown, is_taken: false }
    }

    /// Where nobody is there to show anything: what was decided before stands.
    pub(super) fn nobody() -> Self {
        Self { shown: Shown::Nothing, is_taken: true }
    }

    /// Asks for it.
    pub(super) fn take(&mut self, set: &mut WorkingSet, user: UserId) -> Result<(), Refusal> {
        if !self.is_taken {
            let user = set.users.get(&user).cloned().ok_or(Refusal::TokenInvalid)?;
            take(set, user, self.shown)?;
            self.is_taken = true;
        }
        Ok(())
    }
}

/// Takes what was shown for the user's second factor: each code once, whoever else shows it at the same moment. Without a
/// factor there is nothing to show.
pub(super) fn take(set: &mut WorkingSet, user: Arc<User>, shown: Shown) -> Result<Arc<User>, Refusal> {
    let Some(factor) = user.active_factor() else { return Ok(user) };
    let proof = match shown {
        Shown::Nothing => return Err(Refusal::OtpRequired),
        Shown::Wrong => return Err(Refusal::OtpInvalid),
        Shown::Proof(proof) => proof,
    };
    let factor = factor.take(proof).ok_or(Refusal::OtpInvalid)?;
    let id = user.id;
    set.put_user(User { second_factor: Some(factor), ..User::clone(&user) });
    set.users.get(&id).cloned().ok_or(Refusal::TokenInvalid)
}
