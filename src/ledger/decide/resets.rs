//! Links by which a user sets a new password: made by an operator or on the host, used once, within half an hour.
//!
//! A link proves no second factor and begins no session: whoever has one still logs in like everybody. A user has one
//! link at a time, so that the newest is the only one that counts.

use super::super::{
    Command, EventDraft, EventKind, EventType, Filing, MakeResetLink, RecordKey, Refusal, ResetLink,
    ResetPassword, SessionEnd, User, WorkingSet,
};
use super::Reply;
use super::users::end_sessions;

/// Makes the link, in place of an earlier one.
pub(super) fn make(set: &mut WorkingSet, user: &User, make: &MakeResetLink) {
    let due_at = set.now.plus_millis(ResetLink::TTL_MS);
    let filing = Filing { lookup: Some(make.secret.0), due_at: Some(due_at), ..Filing::under(user.id) };
    let made_by = make.by.caller().map(|caller| caller.user);
    set.put_record(user.id.uuid(), filing, &ResetLink { made_by });
}

pub(super) fn reset_password(
    set: &mut WorkingSet,
    command: &Command,
    reset: &ResetPassword,
) -> Result<Reply, Refusal> {
    let (link, _) = set.stored::<ResetLink>(reset.user.uuid()).ok_or(Refusal::ResetLinkInvalid)?;
    let counts = link.filing.lookup == Some(reset.secret.0)
        && link.filing.due_at.is_some_and(|due_at| set.now < due_at);
    let user = set.users.get(&reset.user).cloned().filter(|_| counts).ok_or(Refusal::ResetLinkInvalid)?;
    set.remove_record(RecordKey::of::<ResetLink>(user.id.uuid()));
    set.put_user(User { password: reset.new.clone(), password_changed_at: set.now, ..User::clone(&user) });
    let event = EventDraft::new(EventKind::PasswordChange, Some(user.id)).with("by", "reset_link");
    set.record(command, &event);
    end_sessions(set, command, user.id, None, SessionEnd::PasswordChanged);
    set.tell_user(command, EventType::UserPasswordChanged, &user);
    Ok(Reply::Done)
}
