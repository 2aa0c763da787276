//! API keys: for servers, with a name and scopes; shown once.

use std::sync::Arc;

use crate::auth::token::ApiKeyToken;
use crate::ledger::{Action, ApiKey, MakeApiKey, Origin, Reply, RotateApiKey, Session, SessionId};

use super::{Identity, Teller, TellerError, unexpected};

/// A key that somebody wants.
#[derive(Debug)]
pub struct NewApiKeyRequest {
    /// Its name and scopes.
    pub key: ApiKey,
    /// For how long it counts, in milliseconds; none for good.
    pub expires_in_ms: Option<i64>,
    /// What is shown for a second factor.
    pub otp: Option<String>,
}

/// A key that was made; the only time that its token can be seen.
#[derive(Debug)]
pub struct NewApiKey {
    /// For the `Authorization` header.
    pub token: ApiKeyToken,
    /// What is kept of it.
    pub session: Arc<Session>,
}

impl Teller {
    /// Makes a key.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`](crate::ledger::Refusal::PermissionDenied) if a scope is beyond the caller's role,
    /// [`Refusal::OtpRequired`](crate::ledger::Refusal::OtpRequired) and its like; faults.
    pub async fn make_api_key(
        &self,
        who: &Identity,
        origin: Origin,
        request: NewApiKeyRequest,
    ) -> Result<NewApiKey, TellerError> {
        let NewApiKeyRequest { key, expires_in_ms, otp } = request;
        let shown = self.look_at_otp(who, otp.as_deref(), &origin).await?;
        let token = ApiKeyToken::generate(&self.clock)?;
        let (id, hash) = (SessionId::new(self.clock.uuid()?), token.hash());
        let make = MakeApiKey { caller: who.caller, id, token: hash, key, expires_in_ms, shown };
        let (reply, _) = self.execute(origin, Action::MakeApiKey(make)).await?;
        with_token(reply, token)
    }

    /// Makes another key of the same name, scopes and lifetime; the old one counts for a while longer.
    ///
    /// # Errors
    /// [`Refusal::SessionNotFound`](crate::ledger::Refusal::SessionNotFound) if there is no such key of the caller's;
    /// otherwise as for making one.
    pub async fn rotate_api_key(
        &self,
        who: &Identity,
        origin: Origin,
        old: SessionId,
        overlap_ms: i64,
        otp: Option<&str>,
    ) -> Result<NewApiKey, TellerError> {
        let shown = self.look_at_otp(who, otp, &origin).await?;
        let token = ApiKeyToken::generate(&self.clock)?;
        let (id, hash) = (SessionId::new(self.clock.uuid()?), token.hash());
        let rotate = RotateApiKey { caller: who.caller, old, id, token: hash, overlap_ms, shown };
        let (reply, _) = self.execute(origin, Action::RotateApiKey(rotate)).await?;
        with_token(reply, token)
    }

    /// The caller's own keys that still count, newest first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn api_keys(&self, who: &Identity) -> Result<Vec<Session>, TellerError> {
        let mut sessions = self.store.sessions(who.user.id, self.clock.now()).await?;
        sessions.retain(|session| session.kind.api_key().is_some());
        Ok(sessions)
    }
}

fn with_token(reply: Reply, token: ApiKeyToken) -> Result<NewApiKey, TellerError> {
    match reply {
        Reply::Session(session, _) => Ok(NewApiKey { token, session }),
        other => Err(unexpected(&other)),
    }
}
