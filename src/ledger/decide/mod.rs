//! The decision: every business rule, and no I/O. Commands are applied one after another to the working set.
//!
//! The order of a command: who asks (the session is looked at again, so that what changed since the door counts), then
//! the idempotency key, then the rules in [`Refusal`]'s order, then the change. Nothing is changed before every check
//! has passed, so that a refused command costs its neighbours nothing.

mod payments;
mod resets;
mod risk;
mod steps;
mod users;

use std::sync::Arc;

use super::{Action, Caller, Command, Refusal, Rules, Session, Timestamp, Transaction, User, WorkingSet};

/// What a command is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether this is the first answer to an idempotency key, given again.
    pub replayed: bool,
    /// The answer.
    pub result: Result<Reply, Refusal>,
}

/// A 'yes'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The user as it stands now.
    User(Arc<User>),
    /// The session as it stands now, and its user.
    Session(Arc<Session>, Arc<User>),
    /// The transaction that was written.
    Transaction(Arc<Transaction>),
    /// The step that was written, and the first row of the payment that it is about.
    Step {
        /// The payment's first row.
        first: Arc<Transaction>,
        /// The step.
        step: Arc<Transaction>,
    },
    /// Done; there is nothing to say about it.
    Done,
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Self { replayed: false, result: Err(refusal) }
    }
}

impl From<Result<Reply, Refusal>> for Outcome {
    fn from(result: Result<Reply, Refusal>) -> Self {
        Self { replayed: false, result }
    }
}

/// Decides one command and applies it to the working set.
pub fn decide(rules: &Rules, set: &mut WorkingSet, command: &Command) -> Outcome {
    match &command.action {
        Action::Register(register) => users::register(rules, set, command, register).into(),
        Action::OpenSession(open) => users::open_session(rules, set, command, open).into(),
        Action::RefreshSession(refresh) => users::refresh_session(rules, set, command, refresh).into(),
        Action::EndSession(end) => users::end_session(set, command, end).into(),
        Action::TouchSession(session) => users::touch_session(set, *session).into(),
        Action::ChangePassword(change) => users::change_password(set, command, change).into(),
        Action::MakeResetLink(make) => resets::make(set, command, make).into(),
        Action::ResetPassword(reset) => resets::reset_password(set, command, reset).into(),
        Action::Rename(rename) => users::rename(set, rename).into(),
        Action::Pay(pay) => payments::pay(rules, set, command, pay),
        Action::Settle(settle) => steps::settle(rules, set, command, settle),
        Action::Expire(expire) => steps::expire(rules, set, *expire).into(),
        Action::Topup(topup) => payments::topup(rules, set, command, topup),
        Action::Note(drafts) => {
            for draft in drafts {
                set.record(command, draft);
            }
            Ok(Reply::Done).into()
        }
    }
}

/// The caller's session and user, if the token shown still counts.
///
/// The door calls it with what it read; the decision calls it again with what the batch loaded.
///
/// # Errors
/// [`Refusal::TokenInvalid`] or [`Refusal::TokenExpired`].
pub fn check_session(session: &Session, caller: &Caller, now: Timestamp) -> Result<(), Refusal> {
    let is_current = session.user == caller.user && session.access == caller.access;
    if session.ended.is_some() || !is_current {
        Err(Refusal::TokenInvalid)
    } else if now >= session.access_expires_at {
        Err(Refusal::TokenExpired)
    } else {
        Ok(())
    }
}

fn caller_user(set: &WorkingSet, caller: &Caller) -> Result<Arc<User>, Refusal> {
    let session = set.sessions.get(&caller.session).ok_or(Refusal::TokenInvalid)?;
    check_session(session, caller, set.now)?;
    set.users.get(&caller.user).cloned().ok_or(Refusal::TokenInvalid)
}
