//! A key of the ledger: 32 random bytes, kept in a file outside of the database, and the fingerprint by which a ledger
//! knows its own.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::clock::{Clock, RandomError};
use crate::ledger::hexadecimal;

/// What the fingerprint is a hash of, beside the key: it is of no use for anything else that the key will be used for.
const FINGERPRINT_LABEL: &[u8] = b"farthing ledger key fingerprint\0";

/// A ledger's key. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct LedgerKey([u8; 32]);

impl LedgerKey {
    /// A new key.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn random(clock: &Clock) -> Result<Self, RandomError> {
        clock.random().map(Self)
    }

    /// Reads the 64 hexadecimal digits of a key.
    pub fn parse(text: &str) -> Option<Self> {
        hexadecimal::read(text).map(Self)
    }

    /// The 64 hexadecimal digits: for the key file and the backup, never for a message.
    pub fn expose(&self) -> String {
        hexadecimal::write(&self.0)
    }

    /// What other keys are derived from.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// By what the ledger knows this key.
    pub fn fingerprint(&self) -> KeyFingerprint {
        KeyFingerprint(Sha256::new().chain_update(FINGERPRINT_LABEL).chain_update(self.0).finalize().into())
    }
}

impl fmt::Debug for LedgerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LedgerKey(…)")
    }
}

/// A SHA-256 over a ledger's key: tells keys apart and says nothing about them. It prints as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFingerprint([u8; 32]);

impl KeyFingerprint {
    /// Reads the 64 hexadecimal digits of a fingerprint.
    pub fn parse(text: &str) -> Option<Self> {
        hexadecimal::read(text).map(Self)
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal::write(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_and_do_not_print() {
        let key = LedgerKey::random(&Clock::system()).unwrap();
        let text = key.expose();
        assert_eq!(LedgerKey::parse(&text), Some(key.clone()));
        assert_eq!(LedgerKey::parse(&text.to_uppercase()), Some(key.clone()));
        assert_eq!(format!("{key:?}"), "LedgerKey(…)");
        for text in ["", &text[1..], &format!("{text}00"), &format!("{}g", &text[1..]), &"é".repeat(32)] {
            assert_eq!(LedgerKey::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_fingerprint_stays_the_same_for_good() {
        let fingerprint = LedgerKey::parse(&"00".repeat(32)).unwrap().fingerprint();
        // Computed with another program; ledgers have theirs written down.
        assert_eq!(
            fingerprint.to_string(),
            "385422b8c8aebd98d827c32d7b192a6691a90896d9e52383199475f6443f26cb"
        );
        assert_eq!(KeyFingerprint::parse(&fingerprint.to_string()), Some(fingerprint));
        let other = LedgerKey::parse(&format!("{}01", "00".repeat(31))).unwrap();
        assert_ne!(other.fingerprint(), fingerprint);
    }
}
