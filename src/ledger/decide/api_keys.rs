//! API keys: sessions with one token, which are not refreshed. They end like every session.

use std::sync::Arc;

use super::super::{
    ApiKey, Command, EventDraft, EventKind, EventType, MakeApiKey, Refusal, RotateApiKey, Session, SessionId,
    SessionKind, Timestamp, TokenHash, User, WorkingSet,
};
use super::users::tell_key;
use super::{Reply, caller_user, factors};

pub(super) fn make(set: &mut WorkingSet, command: &Command, make: &MakeApiKey) -> Result<Reply, Refusal> {
    let user = caller_user(set, &make.caller)?;
    let is_within = make.key.scopes.iter().all(|scope| scope.permission().is_given_to(user.role));
    if !is_within {
        return Err(Refusal::PermissionDenied);
    }
    let user = factors::take(set, user, make.shown)?;
    let expires_at = make.expires_in_ms.map_or(Timestamp::NEVER, |millis| set.now.plus_millis(millis));
    Ok(begin(set, command, user, (make.id, make.token), make.key.clone(), expires_at))
}

pub(super) fn rotate(
    set: &mut WorkingSet,
    command: &Command,
    rotate: &RotateApiKey,
) -> Result<Reply, Refusal> {
    let user = caller_user(set, &rotate.caller)?;
    let old =
        set.sessions.get(&rotate.old).filter(|old| old.user == user.id && old.is_live(set.now)).cloned();
    let old = old.ok_or(Refusal::SessionNotFound)?;
    let key = old.kind.api_key().cloned().ok_or(Refusal::SessionNotFound)?;
    let user = factors::take(set, user, rotate.shown)?;
    let lifetime_ms = old.access_expires_at.as_millis().saturating_sub(old.created_at.as_millis());
    let expires_at = if old.access_expires_at == Timestamp::NEVER {
        Timestamp::NEVER
    } else {
        set.now.plus_millis(lifetime_ms)
    };
    // Both count for a while, so that nobody who uses the old one stands before a closed door meanwhile.
    let ends_at = set.now.plus_millis(rotate.overlap_ms).min(old.access_expires_at);
    let old = Session { access_expires_at: ends_at, refresh_expires_at: ends_at, ..Session::clone(&old) };
    set.put_session(old.clone());
    tell_key(set, command, EventType::ApiKeyRotated, &old);
    Ok(begin(set, command, user, (rotate.id, rotate.token), key, expires_at))
}

fn begin(
    set: &mut WorkingSet,
    command: &Command,
    user: Arc<User>,
    (id, token): (SessionId, TokenHash),
    key: ApiKey,
    expires_at: Timestamp,
) -> Reply {
    let session = Session {
        id,
        user: user.id,
        created_at: set.now,
        last_seen_at: set.now,
        kind: SessionKind::ApiKey(key),
        // Where it is used from says nothing of where its user logs in.
        ip: None,
        user_agent: None,
        access: token,
        access_expires_at: expires_at,
        // It has no refresh token; nobody can show this hash as one, since a token's kind stands in its text.
        refresh: token,
        refresh_expires_at: expires_at,
        ended: None,
    };
    set.put_session(session.clone());
    let event =
        EventDraft::new(EventKind::TokenCreated, Some(user.id)).with("api_key", session.id.to_string());
    set.record(command, &event);
    tell_key(set, command, EventType::ApiKeyCreated, &session);
    Reply::Session(Arc::new(session), user)
}
