//! One password tried on many accounts, from wherever: what no counter of an account or an address sees.
//!
//! Of each failed guess 64 bits of a hash are kept, under a key that only this process has and forgets with it; of the
//! accounts likewise. Bounded: the oldest of [`CAPACITY`] passwords is forgotten, and each knows [`MANY`] accounts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};

use super::{after, forget_oldest};
use crate::auth::password::Password;
use crate::ledger::Timestamp;

/// Passwords of failed guesses that are remembered.
const CAPACITY: usize = 20_000;
/// How many accounts make it an attack.
pub(super) const MANY: usize = 10;
/// After how long without another guess a password is forgotten, in seconds.
const FORGET_AFTER_SECONDS: u32 = 3_600;

#[derive(Debug, Default)]
pub(super) struct Guesses {
    hasher: RandomState,
    passwords: HashMap<u64, Tried>,
}

#[derive(Debug)]
struct Tried {
    accounts: Vec<u64>,
    last_at: Timestamp,
}

impl Guesses {
    /// Remembers a failed guess. True once for each password, when it was tried on many accounts.
    pub(super) fn note(&mut self, password: &Password, account: &str, now: Timestamp) -> bool {
        let (password, account) = (self.hasher.hash_one(password), self.hasher.hash_one(account));
        if self.passwords.len() >= CAPACITY && !self.passwords.contains_key(&password) {
            forget_oldest(&mut self.passwords, |tried| tried.last_at);
        }
        let tried = match self.passwords.entry(password) {
            Entry::Vacant(entry) => entry.insert(Tried { accounts: Vec::new(), last_at: now }),
            Entry::Occupied(entry) => entry.into_mut(),
        };
        if now >= after(tried.last_at, FORGET_AFTER_SECONDS) {
            tried.accounts.clear();
        }
        tried.last_at = now;
        if tried.accounts.len() >= MANY || tried.accounts.contains(&account) {
            return false;
        }
        tried.accounts.push(account);
        tried.accounts.len() == MANY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn one_password_on_many_accounts_is_noticed_once() {
        let mut guesses = Guesses::default();
        let noticed: Vec<usize> =
            (0..50).filter(|n| guesses.note(&Password::new("spring 2026"), &n.to_string(), at(0))).collect();
        assert_eq!(noticed, [MANY - 1]);
        // An hour later it may begin anew.
        let again: Vec<usize> = (0..50)
            .filter(|n| guesses.note(&Password::new("spring 2026"), &n.to_string(), at(3_600)))
            .collect();
        assert_eq!(again, [MANY - 1]);
    }

    #[test]
    fn many_passwords_on_one_account_are_none_of_it() {
        let mut guesses = Guesses::default();
        assert!((0..1_000).all(|n| !guesses.note(&Password::new(&n.to_string()), "ada", at(0))));
        assert!((0..1_000).all(|_| !guesses.note(&Password::new("the same"), "ada", at(0))));
    }

    #[test]
    fn memory_is_bounded() {
        let mut guesses = Guesses::default();
        for n in 0..100_000_i64 {
            guesses.note(&Password::new(&n.to_string()), "ada", Timestamp::from_millis(n));
        }
        assert!(guesses.passwords.len() <= CAPACITY);
    }
}
