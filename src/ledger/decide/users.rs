//! Accounts and sessions: register, log in, refresh, log out, change the password, rename.

use std::sync::Arc;

use super::super::{
    AccountKey, BalancesAfter, Capture, ChangePassword, Command, EndSession, EventDraft, EventKind,
    EventType, Lifetime, Mode, OpenSession, Party, RefreshSession, RefreshState, Refusal, Register, Rename,
    Rules, Session, SessionEnd, SessionId, SessionKind, Stage, Transaction, TransactionKind, User, UserId,
    WorkingSet,
};
use super::payments::two_entries;
use super::{Reply, caller_user, factors};

pub(super) fn register(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    register: &Register,
) -> Result<Reply, Refusal> {
    if set.emails.contains_key(register.email.folded()) {
        return Err(Refusal::EmailTaken);
    }
    let grant = welcome_grant(rules, set, register)?;
    set.put_user(User {
        id: register.user,
        email: register.email.clone(),
        name: register.name.clone(),
        password: register.password.clone(),
        role: register.role,
        frozen: false,
        created_at: set.now,
        password_changed_at: set.now,
        new_address_at: None,
        second_factor: None,
    });
    if let Some(grant) = grant {
        set.post(grant);
    }
    let event =
        EventDraft::new(EventKind::UserCreated, Some(register.user)).with("role", register.role.name());
    set.record(command, &event);
    let user = set.users.get(&register.user).cloned().ok_or(Refusal::TokenInvalid)?;
    set.tell_user(command, EventType::UserCreated, &user);
    Ok(Reply::User(user))
}

/// What a new customer of a sandbox starts with; operators and live users start with nothing.
fn welcome_grant(
    rules: &Rules,
    set: &WorkingSet,
    register: &Register,
) -> Result<Option<Transaction>, Refusal> {
    if rules.mode != Mode::Sandbox || register.role.is_operator() {
        return Ok(None);
    }
    let currency = rules.grant.currency();
    let from = AccountKey::wallet(UserId::SANDBOX, currency);
    let to = AccountKey::wallet(register.user, currency);
    Ok(Some(Transaction {
        id: register.grant,
        kind: TransactionKind::Grant,
        from: Party { id: UserId::SANDBOX, name: None },
        to: Party { id: register.user, name: register.name.clone() },
        money: rules.grant,
        memo: super::super::Memo::default(),
        method: None,
        capture: Capture::Automatic,
        stage: Stage::Whole,
        actor: None,
        after: BalancesAfter::default(),
        decline: None,
        key: None,
        created_at: set.now,
        entries: two_entries(set, from, to, rules.grant)?,
    }))
}

pub(super) fn open_session(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    open: &OpenSession,
) -> Result<Reply, Refusal> {
    let mut user = set.users.get(&open.user).cloned().ok_or(Refusal::InvalidCredentials)?;
    // The password may have been changed between the check at the door and this batch.
    if user.password != open.verified {
        return Err(Refusal::InvalidCredentials);
    }
    user = factors::take(set, user, open.shown)?;
    if let Some(rehashed) = &open.rehashed {
        set.put_user(User { password: rehashed.clone(), ..User::clone(&user) });
        user = set.users.get(&open.user).cloned().ok_or(Refusal::InvalidCredentials)?;
    }
    if open.is_new_address {
        set.put_user(User { new_address_at: Some(set.now), ..User::clone(&user) });
        user = set.users.get(&open.user).cloned().ok_or(Refusal::InvalidCredentials)?;
    }
    let (access_ms, refresh_ms) = match open.lifetime {
        Lifetime::Refreshed => (rules.access_ttl_ms, rules.refresh_ttl_ms),
        Lifetime::Fixed(milliseconds) => (milliseconds, milliseconds),
    };
    let session = Session {
        id: open.session,
        user: user.id,
        kind: SessionKind::Login,
        created_at: set.now,
        last_seen_at: set.now,
        ip: command.origin.ip,
        user_agent: command.origin.user_agent.clone(),
        access: open.tokens.access,
        access_expires_at: set.now.plus_millis(access_ms),
        refresh: open.tokens.refresh,
        refresh_expires_at: set.now.plus_millis(refresh_ms),
        ended: None,
    };
    set.put_session(session.clone());
    let mut login = session_event(EventKind::LoginSuccess, &session);
    if open.is_new_address {
        login = login.with("address", "new");
    }
    set.record(command, &login);
    set.record(command, &session_event(EventKind::TokenCreated, &session));
    Ok(Reply::Session(Arc::new(session), user))
}

pub(super) fn refresh_session(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    refresh: &RefreshSession,
) -> Result<Reply, Refusal> {
    let (id, state) = set.refresh_tokens.get(&refresh.shown).copied().ok_or(Refusal::TokenInvalid)?;
    let session = set.sessions.get(&id).cloned().ok_or(Refusal::TokenInvalid)?;
    let user = set.users.get(&session.user).cloned().ok_or(Refusal::TokenInvalid)?;
    if state == RefreshState::Spent {
        // Somebody holds a token that was swapped before: thief or victim, the session is no longer trustworthy
        // (RFC 9700, 4.14.2).
        let event = session_event(EventKind::TokenReuse, &session);
        end(set, command, &session, SessionEnd::TokenReused);
        set.record(command, &event);
        return Err(Refusal::TokenReused);
    }
    if session.ended.is_some() {
        return Err(Refusal::TokenInvalid);
    }
    if set.now >= session.refresh_expires_at {
        return Err(Refusal::TokenExpired);
    }
    set.spend_refresh_token(refresh.shown, id);
    let renewed = Session {
        last_seen_at: set.now,
        access: refresh.tokens.access,
        access_expires_at: set.now.plus_millis(rules.access_ttl_ms),
        refresh: refresh.tokens.refresh,
        refresh_expires_at: set.now.plus_millis(rules.refresh_ttl_ms),
        ..Session::clone(&session)
    };
    set.put_session(renewed.clone());
    set.record(command, &session_event(EventKind::TokenCreated, &renewed));
    Ok(Reply::Session(Arc::new(renewed), user))
}

pub(super) fn end_session(
    set: &mut WorkingSet,
    command: &Command,
    asked: &EndSession,
) -> Result<Reply, Refusal> {
    caller_user(set, &asked.caller)?;
    let session = set
        .sessions
        .get(&asked.session)
        .filter(|session| session.user == asked.caller.user && session.is_live(set.now))
        .cloned()
        .ok_or(Refusal::SessionNotFound)?;
    let why =
        if asked.session == asked.caller.session { SessionEnd::Logout } else { SessionEnd::EndedByUser };
    end(set, command, &session, why);
    set.record(command, &revoked_event(&session, why));
    Ok(Reply::Done)
}

pub(super) fn touch_session(set: &mut WorkingSet, id: SessionId) -> Result<Reply, Refusal> {
    let session = set.sessions.get(&id).cloned().ok_or(Refusal::SessionNotFound)?;
    set.put_session(Session { last_seen_at: set.now, ..Session::clone(&session) });
    Ok(Reply::Done)
}

pub(super) fn change_password(
    set: &mut WorkingSet,
    command: &Command,
    change: &ChangePassword,
) -> Result<Reply, Refusal> {
    let user = caller_user(set, &change.caller)?;
    if user.password != change.verified {
        return Err(Refusal::InvalidCredentials);
    }
    let user = factors::take(set, user, change.shown)?;
    set.put_user(User { password: change.new.clone(), password_changed_at: set.now, ..User::clone(&user) });
    set.record(command, &EventDraft::new(EventKind::PasswordChange, Some(user.id)));
    end_sessions(set, command, user.id, Some(change.caller.session), SessionEnd::PasswordChanged);
    set.tell_user(command, EventType::UserPasswordChanged, &user);
    Ok(Reply::Done)
}

/// Ends the user's live sessions, all but one if one is to stay.
pub(super) fn end_sessions(
    set: &mut WorkingSet,
    command: &Command,
    user: UserId,
    stays: Option<SessionId>,
    why: SessionEnd,
) {
    let mut ending = set.sessions_of.get(&user).cloned().unwrap_or_default();
    // Engines load them in orders of their own; events must come in one.
    ending.sort_unstable();
    for id in ending.into_iter().filter(|id| Some(*id) != stays) {
        let Some(session) = set.sessions.get(&id).filter(|session| session.is_live(set.now)).cloned() else {
            continue;
        };
        end(set, command, &session, why);
        set.record(command, &revoked_event(&session, why));
    }
}

pub(super) fn rename(set: &mut WorkingSet, command: &Command, rename: &Rename) -> Result<Reply, Refusal> {
    let user = caller_user(set, &rename.caller)?;
    set.put_user(User { name: rename.name.clone(), ..User::clone(&user) });
    let user = set.users.get(&user.id).cloned().ok_or(Refusal::TokenInvalid)?;
    set.tell_user(command, EventType::UserUpdated, &user);
    Ok(Reply::User(user))
}

fn end(set: &mut WorkingSet, command: &Command, session: &Session, why: SessionEnd) {
    if session.ended.is_none() {
        set.put_session(Session { ended: Some((set.now, why)), ..session.clone() });
        tell_key(set, command, EventType::ApiKeyDeleted, session);
    }
}

/// Tells what changed about an API key; nothing of a session that is none.
pub(super) fn tell_key(set: &mut WorkingSet, command: &Command, kind: EventType, session: &Session) {
    if let Some(told) = session.told_key() {
        set.tell_owner(command, kind, session.user, (session.id.uuid(), told));
    }
}

fn session_event(kind: EventKind, session: &Session) -> EventDraft {
    EventDraft::new(kind, Some(session.user)).with("session", session.id.to_string())
}

fn revoked_event(session: &Session, why: SessionEnd) -> EventDraft {
    session_event(EventKind::TokenRevoked, session).with("reason", why.name())
}
