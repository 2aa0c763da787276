//! Logging in and out, and proving who calls.

use std::sync::Arc;

use crate::auth::password::{Password, PasswordFault};
use crate::auth::permission::Permission;
use crate::auth::throttle::{Attempt, Settled};
use crate::auth::token::{AccessToken, ApiKeyToken, RefreshToken};
use crate::ledger::{
    Action, Caller, Email, EndSession, EventDraft, EventKind, Lifetime, Network, OpenSession, Origin,
    PasswordHash, RefreshSession, Refusal, Reply, Role, Session, SessionId, SessionKind, Timestamp,
    TokenHash, TokenPair, User, UserId, check_session, may_use,
};

use super::{Teller, TellerError, unexpected};

/// How old a session's last sighting may be before a new one is written, in milliseconds.
const TOUCH_AFTER_MS: i64 = 60_000;

/// Who calls, as their access token proves, or proved when it was last looked up.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The proof, looked at again inside each decision.
    pub caller: Caller,
    /// The user at that moment.
    pub user: Arc<User>,
    /// A login, or an API key with its scopes.
    pub kind: SessionKind,
    /// Whether they were only recalled ([`Teller::recall`]).
    pub is_recalled: bool,
}

/// Somebody who wants to log in.
#[derive(Debug)]
pub struct LoginRequest {
    /// Their email; none if what they gave is none, which is told as any unknown one is.
    pub email: Option<Email>,
    /// Their password.
    pub password: Password,
    /// What is shown for a second factor.
    pub otp: Option<String>,
    /// How long their session shall last.
    pub lifetime: Lifetime,
}

/// A password that was looked at.
pub(super) struct Tried<'a> {
    /// The account, as it was named.
    pub account: &'a str,
    /// The password.
    pub password: &'a Password,
    /// Whether it is the account's.
    pub matches: bool,
}

/// A session and its tokens; the only time that the tokens can be seen.
#[derive(Debug)]
pub struct Login {
    /// For the `Authorization` header.
    pub access: AccessToken,
    /// For the next pair.
    pub refresh: RefreshToken,
    /// The session.
    pub session: Arc<Session>,
    /// Whose it is.
    pub user: Arc<User>,
}

impl Teller {
    /// Proves who calls from the text of an access token or an API key.
    ///
    /// # Errors
    /// [`Refusal::TokenInvalid`], [`Refusal::TokenExpired`]; faults of the store.
    pub async fn authenticate(
        self: &Arc<Self>,
        token: &str,
        origin: &Origin,
    ) -> Result<Identity, TellerError> {
        match hash_of(token) {
            Some(access) => self.authenticate_hash(access, origin).await,
            None => Err(self.invalid_token(origin)),
        }
    }

    /// Proves who calls from what is kept of an access token or an API key.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate).
    pub async fn authenticate_hash(
        self: &Arc<Self>,
        access: TokenHash,
        origin: &Origin,
    ) -> Result<Identity, TellerError> {
        let Some((session, user)) = self.store.session_by_access(access).await? else {
            return Err(self.invalid_token(origin));
        };
        let caller = Caller { user: user.id, session: session.id, access };
        let now = self.clock.now();
        if let Err(refusal) = check_session(&session, &caller, now) {
            self.note_anonymous(EventKind::TokenInvalid, origin);
            return Err(refusal.into());
        }
        if is_touch_due(&session, now) {
            let (teller, id, origin) = (Arc::clone(self), session.id, origin.clone());
            tokio::spawn(async move { teller.execute(origin, Action::TouchSession(id)).await.map(|_| ()) });
        }
        Ok(Identity { caller, user, kind: session.kind.clone(), is_recalled: false })
    }

    /// Who called with this token when it was last looked up, if they would be let in as they were then. For calls
    /// whose decision looks at session and user again: a yes of the decision stands, and before anybody is told no they
    /// are to be [looked up](Self::authenticate_hash).
    pub fn recall(&self, token: &str, permission: Permission) -> Option<Identity> {
        let access = hash_of(token)?;
        let (session, user) = self.store.seen_session(access)?;
        let caller = Caller { user: user.id, session: session.id, access };
        let now = self.clock.now();
        let is_let_in = check_session(&session, &caller, now).is_ok()
            && !is_touch_due(&session, now)
            && may_use(&user, &session.kind, permission, true, self.rules.mode).is_ok();
        is_let_in.then(|| Identity { caller, user, kind: session.kind.clone(), is_recalled: true })
    }

    /// Whether what was let in before would be let in now; where it needs it, with the permission to administer.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn is_live(&self, caller: &Caller, administers: bool) -> Result<bool, TellerError> {
        let Some((session, user)) = self.store.session_by_access(caller.access).await? else {
            return Ok(false);
        };
        let is_live = check_session(&session, caller, self.clock.now()).is_ok();
        Ok(is_live && (!administers || Permission::Administer.is_given_to(user.role)))
    }

    /// Begins a session. Wrong email and wrong password are told alike, in the same time.
    ///
    /// # Errors
    /// [`TellerError::Throttled`], [`Refusal::InvalidCredentials`]; faults.
    pub async fn login(&self, origin: Origin, request: LoginRequest) -> Result<Login, TellerError> {
        let LoginRequest { email, password, otp, lifetime } = request;
        let account = email.as_ref().map(Email::folded).unwrap_or_default();
        let user = match &email {
            Some(_) => self.store.user_by_email(account.to_owned()).await?,
            None => None,
        };
        let network = match (&user, origin.ip) {
            (Some(user), Some(ip)) => self.store.network(user.id, ip).await?,
            _ => Network::First,
        };
        let attempt = self.begin_password_attempt(account, network == Network::Known, &origin)?;
        let (matches, needs_rehash) = if let Some(user) = &user {
            let check = self.hasher.verify(password.clone(), user.password.clone()).await?;
            (check.matches, check.needs_rehash)
        } else {
            self.hasher.verify_unknown(password.clone()).await?;
            (false, false)
        };
        let Some(user) = user.clone().filter(|_| matches) else {
            let tried = Tried { account, password: &password, matches };
            self.settle_password_attempt(attempt, tried, user.as_deref(), &origin).await?;
            return Err(Refusal::InvalidCredentials.into());
        };
        // Only after the right password is anything said about a second factor.
        let shown = self.read_otp(&user, otp.as_deref())?;
        self.settle_otp_attempt(attempt, &user, shown, &origin).await?;
        let rehashed = if needs_rehash { Some(self.hasher.hash(password).await?) } else { None };
        let (access, refresh) = (AccessToken::generate(&self.clock)?, RefreshToken::generate(&self.clock)?);
        let open = OpenSession {
            user: user.id,
            verified: user.password.clone(),
            shown,
            rehashed,
            session: SessionId::new(self.clock.uuid()?),
            tokens: TokenPair { access: access.hash(), refresh: refresh.hash() },
            lifetime,
            is_new_address: network == Network::New,
        };
        let (reply, _) = self.execute(origin, Action::OpenSession(open)).await?;
        with_tokens(reply, access, refresh)
    }

    /// Swaps a refresh token for a new pair.
    ///
    /// # Errors
    /// [`Refusal::TokenInvalid`], [`Refusal::TokenExpired`], [`Refusal::TokenReused`]; faults of the store.
    pub async fn refresh(&self, origin: Origin, token: &str) -> Result<Login, TellerError> {
        let Ok(shown) = RefreshToken::parse(token) else {
            return Err(self.invalid_token(&origin));
        };
        let (access, refresh) = (AccessToken::generate(&self.clock)?, RefreshToken::generate(&self.clock)?);
        let tokens = TokenPair { access: access.hash(), refresh: refresh.hash() };
        let swap = RefreshSession { shown: shown.hash(), tokens };
        let swapped = self.execute(origin.clone(), Action::RefreshSession(swap)).await;
        if matches!(
            swapped,
            Err(TellerError::Refused { refusal: Refusal::TokenInvalid | Refusal::TokenExpired, .. })
        ) {
            self.note_anonymous(EventKind::TokenInvalid, &origin);
        }
        with_tokens(swapped?.0, access, refresh)
    }

    /// Ends one of the caller's own sessions; the current one is a logout.
    ///
    /// # Errors
    /// [`Refusal::SessionNotFound`]; faults of the store.
    pub async fn end_session(
        &self,
        who: &Identity,
        origin: Origin,
        session: SessionId,
    ) -> Result<(), TellerError> {
        let end = EndSession { caller: who.caller, session };
        self.execute(origin, Action::EndSession(end)).await.map(|_| ())
    }

    /// The caller's own logins that still count, newest first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn sessions(&self, who: &Identity) -> Result<Vec<Session>, TellerError> {
        self.logins(who.user.id).await
    }

    pub(super) async fn logins(&self, user: UserId) -> Result<Vec<Session>, TellerError> {
        let mut sessions = self.store.sessions(user, self.clock.now()).await?;
        sessions.retain(|session| session.kind == SessionKind::Login);
        Ok(sessions)
    }

    /// Where the command line on the host is said to come from.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn host_origin(&self) -> Result<Origin, TellerError> {
        Ok(Origin { request: self.request_id()?, ip: None, user_agent: None })
    }

    /// Checks a new password and hashes it, both on the passwords' own pool.
    pub(super) async fn checked_hash(
        &self,
        field: &'static str,
        password: Password,
        email: &Email,
        role: Role,
    ) -> Result<PasswordHash, TellerError> {
        let faults = self.password_faults(password.clone(), Some(email.clone()), role).await?;
        if !faults.is_empty() {
            return Err(TellerError::PasswordRefused { field, faults });
        }
        Ok(self.hasher.hash(password).await?)
    }

    /// Everything that is wrong with a new password; empty if it passes.
    pub(super) async fn password_faults(
        &self,
        password: Password,
        email: Option<Email>,
        role: Role,
    ) -> Result<Vec<PasswordFault>, TellerError> {
        Ok(self.hasher.check(Arc::clone(&self.policy), password, email, role).await?)
    }

    /// Asks the throttle, before any password is looked at.
    pub(super) fn begin_password_attempt(
        &self,
        account: &str,
        known_address: bool,
        origin: &Origin,
    ) -> Result<Attempt, TellerError> {
        let now = self.clock.now();
        self.throttle.begin_login(account, origin.ip, known_address, now).map_err(|limited| {
            self.note_anonymous(EventKind::RateLimitExceeded, origin);
            TellerError::Throttled(limited)
        })
    }

    /// Tells the throttle how it went, and writes what a failure means.
    pub(super) async fn settle_password_attempt(
        &self,
        attempt: Attempt,
        tried: Tried<'_>,
        user: Option<&User>,
        origin: &Origin,
    ) -> Result<(), TellerError> {
        let now = self.clock.now();
        let settled = self.throttle.settle_login(attempt, tried.matches, now);
        if tried.matches {
            return Ok(());
        }
        let mut events = vec![EventDraft::new(EventKind::LoginFail, user.map(|user| user.id))];
        for settled in [settled, self.throttle.note_guess(tried.account, tried.password, now)] {
            events.extend(lock_event(settled, user));
        }
        if user.is_none() && events.len() == 1 {
            self.note_anonymous(EventKind::LoginFail, origin);
            return Ok(());
        }
        self.execute(origin.clone(), Action::Note(events)).await.map(|_| ())
    }

    fn invalid_token(&self, origin: &Origin) -> TellerError {
        self.note_anonymous(EventKind::TokenInvalid, origin);
        Refusal::TokenInvalid.into()
    }
}

/// What there is to write once guesses are slowed down or noticed.
pub(super) fn lock_event(settled: Settled, user: Option<&User>) -> Option<EventDraft> {
    match settled {
        Settled::Quiet => None,
        // Of an unknown account nothing is written by itself, or a flood of them would cost fsyncs and disk.
        Settled::LockBegins { seconds } => user.map(|user| {
            EventDraft::new(EventKind::LoginLock, Some(user.id))
                .with("retry_after_seconds", seconds.to_string())
        }),
        Settled::OneOnMany { accounts } => Some(
            EventDraft::new(EventKind::LoginLock, None)
                .with("pattern", "one_password_on_many_accounts")
                .with("accounts", accounts.to_string()),
        ),
    }
}

/// What is kept of an access token or an API key; none if it is neither.
fn hash_of(token: &str) -> Option<TokenHash> {
    let access = AccessToken::parse(token).map(|token| token.hash());
    access.or_else(|_| ApiKeyToken::parse(token).map(|key| key.hash())).ok()
}

/// Whether a new sighting of the session is to be written.
fn is_touch_due(session: &Session, now: Timestamp) -> bool {
    now >= session.last_seen_at.plus_millis(TOUCH_AFTER_MS)
}

fn with_tokens(reply: Reply, access: AccessToken, refresh: RefreshToken) -> Result<Login, TellerError> {
    match reply {
        Reply::Session(session, user) => Ok(Login { access, refresh, session, user }),
        other => Err(unexpected(&other)),
    }
}
