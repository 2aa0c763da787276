//! The decision: every business rule, and no I/O. Commands are applied one after another to the working set.
//!
//! The order of a command: who asks (the session is looked at again, so that what changed since the door counts), then
//! the idempotency key, then the rules in [`Refusal`]'s order, then the change. Nothing is changed before every check
//! has passed, so that a refused command costs its neighbours nothing.

mod api_keys;
mod bulk;
mod cash;
mod deliveries;
mod factors;
mod operators;
mod payments;
mod requests;
mod resets;
mod risk;
mod sandbox;
mod schedules;
mod steps;
mod users;
mod webhooks;

pub use operators::may_use;

use std::sync::Arc;

use uuid::Uuid;

use super::{
    Action, Caller, Command, Permission, Record, Refusal, Rules, Session, Timestamp, Transaction, User,
    WorkingSet,
};

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
    /// The answer to each of many payments, in their order.
    Many(Vec<Outcome>),
    /// The record as it stands now.
    Record(Arc<Record>),
    /// The payment request as it stands now.
    Request {
        /// Its record.
        record: Arc<Record>,
        /// Its maker's name.
        to_name: Option<String>,
    },
    /// An event was told; its id, without its prefix.
    Told(Uuid),
    /// These deliveries are the asker's to try.
    Claimed(Vec<Uuid>),
    /// The record of cash that waits for a second operator.
    CashWaits(Arc<Record>),
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
        Action::BeginFactor(begin) => factors::begin(set, begin).into(),
        Action::ConfirmFactor(confirm) => factors::confirm(set, command, confirm).into(),
        Action::RemoveFactor(remove) => factors::remove(set, command, remove).into(),
        Action::MakeApiKey(make) => api_keys::make(set, command, make).into(),
        Action::RotateApiKey(rotate) => api_keys::rotate(set, command, rotate).into(),
        Action::ChangeUser(change) => operators::change_user(rules, set, command, change).into(),
        Action::EndUserSessions(end) => operators::end_user_sessions(rules, set, command, end).into(),
        Action::ResetFactor(reset) => operators::reset_factor(rules, set, command, reset).into(),
        Action::MakeResetLink(make) => operators::make_reset_link(rules, set, command, make).into(),
        Action::ResetPassword(reset) => resets::reset_password(set, command, reset).into(),
        Action::Rename(rename) => users::rename(set, command, rename).into(),
        Action::Pay(pay) => payments::pay(rules, set, command, pay),
        Action::PayMany(many) => bulk::pay_many(rules, set, command, many),
        Action::FindKey(find) => payments::find_key(set, find).into(),
        Action::MakeSchedule(make) => schedules::make(rules, set, command, make),
        Action::EndSchedule(end) => schedules::end(set, command, end).into(),
        Action::RunSchedule(run) => schedules::run(rules, set, command, run).into(),
        Action::MoveClock(moved) => sandbox::move_clock(rules, set, command, moved).into(),
        Action::MakeRequest(make) => requests::make(rules, set, command, make).into(),
        Action::CancelRequest(cancel) => requests::cancel(set, command, cancel).into(),
        Action::LapseRequest(lapse) => requests::lapse(set, command, lapse).into(),
        Action::PayRequest(asked) => requests::pay(rules, set, command, asked),
        Action::Settle(settle) => steps::settle(rules, set, command, settle),
        Action::Cash(cash) => cash::cash(rules, set, command, cash),
        Action::DecideCash(asked) => cash::decide(rules, set, command, asked).into(),
        Action::Expire(expire) => steps::expire(rules, set, command, *expire).into(),
        Action::Topup(topup) => payments::topup(rules, set, command, topup),
        Action::Webhook(asked) => webhooks::decide(rules, set, command, asked).into(),
        Action::Delivery(asked) => deliveries::decide(rules, set, command, asked).into(),
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

/// The caller, if they may use the permission to change something with what they showed: an API key has no more than its
/// scopes. Where the door goes by what it recalls of callers, this alone lets them do what they ask.
fn caller_with(
    rules: &Rules,
    set: &WorkingSet,
    caller: &Caller,
    permission: Permission,
) -> Result<Arc<User>, Refusal> {
    let user = caller_user(set, caller)?;
    let session = set.sessions.get(&caller.session).ok_or(Refusal::TokenInvalid)?;
    may_use(&user, &session.kind, permission, true, rules.mode)?;
    Ok(user)
}

fn caller_user(set: &WorkingSet, caller: &Caller) -> Result<Arc<User>, Refusal> {
    let session = set.sessions.get(&caller.session).ok_or(Refusal::TokenInvalid)?;
    check_session(session, caller, set.now)?;
    set.users.get(&caller.user).cloned().ok_or(Refusal::TokenInvalid)
}

/// Whoever may move money: not while they are frozen.
fn active(user: Arc<User>) -> Result<Arc<User>, Refusal> {
    if user.frozen { Err(Refusal::AccountFrozen) } else { Ok(user) }
}
