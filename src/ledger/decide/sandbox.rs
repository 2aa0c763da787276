//! What only a sandbox does.

use super::super::{Command, EventDraft, EventKind, Mode, MoveClock, Refusal, Role, Rules, WorkingSet};
use super::Reply;

/// The clock was moved before this is decided: what is left is to write it down, at the new time.
pub(super) fn move_clock(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    moved: &MoveClock,
) -> Result<Reply, Refusal> {
    if rules.mode != Mode::Sandbox {
        return Err(Refusal::SandboxOnly);
    }
    // Moving the clock may have ended the session that asked for it.
    let user = set.users.get(&moved.caller.user).cloned().ok_or(Refusal::TokenInvalid)?;
    if user.role != Role::Admin {
        return Err(Refusal::PermissionDenied);
    }
    if user.frozen {
        return Err(Refusal::AccountFrozen);
    }
    let event = EventDraft::new(EventKind::PrivilegeUse, Some(user.id))
        .with("action", "move_clock")
        .with("from", moved.before.to_string())
        .with("by_seconds", moved.by_ms.div_euclid(1_000).to_string());
    set.record(command, &event);
    Ok(Reply::Done)
}
