//! Users and sessions kept in memory, so that proving who calls costs no read.
//!
//! Exact, not approximate: only the writer changes these rows, and it replaces them here after the commit and before
//! anybody is answered. A reader that missed puts a row in only if nothing was committed since it began to read.
//! Bounded: when full, everything is forgotten and read again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ledger::{IdMap, Session, SessionId, TokenHash, User, UserId};

const CAPACITY: usize = 50_000;

/// The cache. Shared by the writer and the door.
#[derive(Debug, Default)]
pub(super) struct Identities {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    version: u64,
    users: IdMap<UserId, Arc<User>>,
    sessions: IdMap<SessionId, Arc<Session>>,
    by_access: IdMap<TokenHash, SessionId>,
}

/// What a look-up by token found.
pub(super) enum Lookup {
    /// Both rows.
    Known(Arc<Session>, Arc<User>),
    /// Nothing; read the rows, and give the version back with them.
    Unknown(u64),
}

impl Identities {
    /// The session and user of an access token.
    pub(super) fn by_access(&self, access: &TokenHash) -> Lookup {
        let known = self.lock();
        let session = known.by_access.get(access).and_then(|id| known.sessions.get(id));
        match session.and_then(|session| Some((session, known.users.get(&session.user)?))) {
            Some((session, user)) => Lookup::Known(Arc::clone(session), Arc::clone(user)),
            None => Lookup::Unknown(known.version),
        }
    }

    /// Takes in what was read, unless something was committed since.
    pub(super) fn learn(&self, version: u64, session: &Arc<Session>, user: &Arc<User>) {
        let mut known = self.lock();
        if known.version == version {
            known.put_session(session);
            known.put_user(user);
        }
    }

    /// Runs with the rows that are known; for the writer, for whom they are always right.
    pub(super) fn with_known<T>(
        &self,
        run: impl FnOnce(&IdMap<UserId, Arc<User>>, &IdMap<SessionId, Arc<Session>>) -> T,
    ) -> T {
        let known = self.lock();
        run(&known.users, &known.sessions)
    }

    /// Takes in rows that the writer read or committed; what readers began to read before is then too old to learn.
    pub(super) fn replace<'a>(
        &self,
        users: impl Iterator<Item = &'a Arc<User>>,
        sessions: impl Iterator<Item = &'a Arc<Session>>,
    ) {
        let mut known = self.lock();
        known.version = known.version.wrapping_add(1);
        users.for_each(|user| known.put_user(user));
        sessions.for_each(|session| known.put_session(session));
    }

    /// Forgets everything, as after a fault.
    pub(super) fn clear(&self) {
        let mut known = self.lock();
        known.forget();
        known.version = known.version.wrapping_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put_user(&mut self, user: &Arc<User>) {
        if self.users.len() >= CAPACITY {
            self.forget();
        }
        self.users.insert(user.id, Arc::clone(user));
    }

    fn put_session(&mut self, session: &Arc<Session>) {
        if self.sessions.len() >= CAPACITY {
            self.forget();
        }
        if let Some(older) = self.sessions.insert(session.id, Arc::clone(session)) {
            self.by_access.remove(&older.access);
        }
        self.by_access.insert(session.access, session.id);
    }

    fn forget(&mut self) {
        self.users.clear();
        self.sessions.clear();
        self.by_access.clear();
    }
}
