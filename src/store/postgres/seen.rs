//! The sessions that this node looked up last, with their users, as they were then: for a door whose caller a batch looks
//! at anew. Another node may have ended, frozen or changed any of them since, so that nothing here says no, nor yes.
//!
//! Bound: two halves of [`HALF`] sessions. What was not looked up since the young half began is forgotten when it is full.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::reads::SessionAndUser;
use crate::ledger::TokenHash;

/// The most sessions in a half.
const HALF: usize = 8_192;

/// Sessions by their access tokens.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<TokenHash, SessionAndUser>,
    old: HashMap<TokenHash, SessionAndUser>,
}

impl Seen {
    /// Takes what was just looked up in place of what was known.
    pub(super) fn take(&self, access: TokenHash, found: Option<&SessionAndUser>) {
        let Halves { young, old } = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        old.remove(&access);
        match found {
            Some(found) => young.insert(access, found.clone()),
            None => young.remove(&access),
        };
        if young.len() >= HALF {
            *old = std::mem::take(young);
        }
    }

    /// What was found the last time.
    pub(super) fn find(&self, access: TokenHash) -> Option<SessionAndUser> {
        let halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.young.get(&access).or_else(|| halves.old.get(&access)).cloned()
    }
}
