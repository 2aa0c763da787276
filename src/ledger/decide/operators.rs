//! What operators do to users, and what the host does. An operator's permission is looked at again here, and never
//! reaches the operator's own account; what was done is written beside it.

use std::sync::Arc;

use super::super::{
    Authority, ChangeUser, Command, EndUserSessions, EventDraft, EventKind, EventType, MakeResetLink, Mode,
    Permission, Refusal, ResetFactor, Rules, SessionEnd, SessionKind, User, UserId, WorkingSet,
};
use super::users::end_sessions;
use super::{Reply, caller_user, caller_with, resets};

pub(super) fn change_user(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    change: &ChangeUser,
) -> Result<Reply, Refusal> {
    for permission in change.needs() {
        authorise(rules, set, command, &change.by, permission, change.user)?;
    }
    let user = find(set, change.user)?;
    let role = change.role.unwrap_or(user.role);
    let frozen = change.frozen.unwrap_or(user.frozen);
    if role != user.role {
        let event = about(EventKind::AuthzChange, &user, &change.by).with("was", user.role.name());
        set.record(command, &event.with("role", role.name()));
    }
    if frozen != user.frozen {
        let event = about(EventKind::AuthzChange, &user, &change.by);
        set.record(command, &event.with("frozen", frozen.to_string()));
    }
    if role != user.role || frozen != user.frozen {
        note_use(set, command, &change.by, "change_user", user.id);
        set.put_user(User { role, frozen, ..User::clone(&user) });
    }
    let changed = find(set, change.user)?;
    if role != user.role {
        set.tell_user(command, EventType::UserRoleChanged, &changed);
    }
    if frozen != user.frozen {
        let kind = if frozen { EventType::UserFrozen } else { EventType::UserUnfrozen };
        set.tell_user(command, kind, &changed);
    }
    Ok(Reply::User(changed))
}

pub(super) fn end_user_sessions(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    end: &EndUserSessions,
) -> Result<Reply, Refusal> {
    authorise(rules, set, command, &end.by, Permission::FreezeUsers, end.user)?;
    let user = find(set, end.user)?;
    note_use(set, command, &end.by, "end_sessions", user.id);
    end_sessions(set, command, user.id, None, SessionEnd::EndedByOperator);
    Ok(Reply::Done)
}

pub(super) fn make_reset_link(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    make: &MakeResetLink,
) -> Result<Reply, Refusal> {
    // Whoever sets the password of an operator can do what the operator can: that takes an administrator.
    let is_operator = set.users.get(&make.user).is_some_and(|user| user.role.is_operator());
    let permission = if is_operator { Permission::Administer } else { Permission::FreezeUsers };
    authorise(rules, set, command, &make.by, permission, make.user)?;
    let user = find(set, make.user)?;
    resets::make(set, &user, make);
    set.record(command, &about(EventKind::AuthzChange, &user, &make.by).with("reset_link", "made"));
    note_use(set, command, &make.by, "make_reset_link", user.id);
    Ok(Reply::User(user))
}

pub(super) fn reset_factor(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    reset: &ResetFactor,
) -> Result<Reply, Refusal> {
    authorise(rules, set, command, &reset.by, Permission::Administer, reset.user)?;
    let user = find(set, reset.user)?;
    set.put_user(User { second_factor: None, ..User::clone(&user) });
    set.record(command, &about(EventKind::AuthzChange, &user, &reset.by).with("second_factor", "removed"));
    note_use(set, command, &reset.by, "reset_totp", user.id);
    if user.active_factor().is_some() {
        set.tell_user(command, EventType::UserTotpDisabled, &user);
    }
    find(set, reset.user).map(Reply::User)
}

/// Whether the user may use the permission with a session of that kind, in a call that changes something or not.
///
/// The door calls it with what it read; the decision calls it again with what the batch loaded.
///
/// # Errors
/// [`Refusal::PermissionDenied`], [`Refusal::CredentialsTooWeak`], [`Refusal::AccountFrozen`].
pub fn may_use(
    user: &User,
    kind: &SessionKind,
    permission: Permission,
    changes: bool,
    mode: Mode,
) -> Result<(), Refusal> {
    if !permission.is_given_to(user.role) || !kind.allows(permission, changes) {
        Err(Refusal::PermissionDenied)
    } else if user.must_mend(mode) && permission != Permission::OwnCredentials {
        Err(Refusal::CredentialsTooWeak)
    } else if user.frozen && !permission.is_own() {
        Err(Refusal::AccountFrozen)
    } else {
        Ok(())
    }
}

/// Whether this may be done on that authority to that user.
fn authorise(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    by: &Authority,
    permission: Permission,
    target: UserId,
) -> Result<(), Refusal> {
    let Authority::Operator(caller) = by else { return Ok(()) };
    let operator = caller_user(set, caller)?;
    let refusal = match caller_with(rules, set, caller, permission) {
        Err(refusal) => refusal,
        Ok(_) if operator.id == target => Refusal::OwnAffair,
        Ok(_) => return Ok(()),
    };
    let event =
        EventDraft::new(EventKind::AuthzFail, Some(operator.id)).with("permission", permission.name());
    set.record(command, &event);
    Err(refusal)
}

fn find(set: &WorkingSet, user: UserId) -> Result<Arc<User>, Refusal> {
    set.users.get(&user).cloned().ok_or(Refusal::UserNotFound)
}

/// An event about a user, which says on whose authority it came.
fn about(kind: EventKind, user: &User, by: &Authority) -> EventDraft {
    let by = by.caller().map_or_else(|| "host".to_owned(), |caller| caller.user.to_string());
    EventDraft::new(kind, Some(user.id)).with("by", by)
}

/// An operator's permission was used; what the host does needs none.
fn note_use(set: &mut WorkingSet, command: &Command, by: &Authority, action: &'static str, target: UserId) {
    if let Some(caller) = by.caller() {
        let event = EventDraft::new(EventKind::PrivilegeUse, Some(caller.user)).with("action", action);
        set.record(command, &event.with("target", target.to_string()));
    }
}
