//! What a ledger's key file holds: its key, and after a rotation every key before it, in the order of their making.
//!
//! A line of the file is a generation, the last one the newest. The newest seals and signs; the older ones stay, so
//! that what they sealed opens and what they signed can be checked. For each use a key of its own is derived (HKDF,
//! RFC 5869, with SHA-256), so that no use learns anything of another's.

use std::fmt;

use ring::error::Unspecified;
use ring::hkdf;

use super::ledger_key::{KeyFingerprint, LedgerKey};
use crate::clock::{Clock, RandomError};

/// What HKDF extracts with: no other program derives the same keys of the same file.
const SALT: &[u8] = b"farthing ledger key";

/// The keys of a ledger. There is always one. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Keyring {
    older: Vec<LedgerKey>,
    newest: LedgerKey,
}

/// Which of a ledger's keys: 1 is the first.
pub type Generation = u32;

impl Keyring {
    /// The keys of a new ledger: one.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn random(clock: &Clock) -> Result<Self, RandomError> {
        Ok(Self { older: Vec::new(), newest: LedgerKey::random(clock)? })
    }

    /// Reads what a key file holds: 64 hexadecimal digits a line.
    pub fn parse(text: &str) -> Option<Self> {
        let mut keys = text.lines().map(LedgerKey::parse).collect::<Option<Vec<_>>>()?;
        let newest = keys.pop()?;
        Some(Self { older: keys, newest })
    }

    /// The lines of the key file: for it and the backup, never for a message.
    pub fn expose(&self) -> String {
        let lines: Vec<String> = self.generations().map(|(_, key)| key.expose()).collect();
        lines.join("\n")
    }

    /// The same keys and a new one after them.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn rotated(&self, clock: &Clock) -> Result<Self, RandomError> {
        let older = self.generations().map(|(_, key)| key.clone()).collect();
        Ok(Self { older, newest: LedgerKey::random(clock)? })
    }

    /// By what a ledger knows these keys.
    pub fn fingerprints(&self) -> Fingerprints {
        let older = self.older.iter().map(LedgerKey::fingerprint).collect();
        Fingerprints { older, newest: self.newest.fingerprint() }
    }

    /// By what a ledger knows the newest key.
    pub fn fingerprint(&self) -> KeyFingerprint {
        self.newest.fingerprint()
    }

    /// Which generation seals and signs.
    pub fn newest(&self) -> Generation {
        Generation::try_from(self.older.len()).unwrap_or(Generation::MAX).saturating_add(1)
    }

    /// Every key with its generation, oldest first.
    pub fn generations(&self) -> impl Iterator<Item = (Generation, &LedgerKey)> {
        (1..).zip(self.older.iter().chain([&self.newest]))
    }
}

/// By what a ledger knows the keys of a file. A ledger names the newest that it was opened with, and opens with a file
/// that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprints {
    older: Vec<KeyFingerprint>,
    newest: KeyFingerprint,
}

impl Fingerprints {
    /// The newest one's.
    pub fn newest(&self) -> KeyFingerprint {
        self.newest
    }

    /// Whether one of the keys has that fingerprint.
    pub fn has(&self, fingerprint: KeyFingerprint) -> bool {
        self.newest == fingerprint || self.older.contains(&fingerprint)
    }
}

impl From<KeyFingerprint> for Fingerprints {
    fn from(newest: KeyFingerprint) -> Self {
        Self { older: Vec::new(), newest }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring(… {} generations)", self.newest())
    }
}

/// The key of one use, derived from a ledger's key.
///
/// # Errors
/// None with this length; the library's are passed on.
pub(super) fn derive(key: &LedgerKey, purpose: &str) -> Result<[u8; 32], Unspecified> {
    let mut derived = [0_u8; 32];
    let info = [purpose.as_bytes()];
    let pseudorandom = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(key.bytes());
    pseudorandom.expand(&info, hkdf::HKDF_SHA256)?.fill(&mut derived)?;
    Ok(derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_grows_at_its_end_and_is_read_back() {
        let clock = Clock::system();
        let first = Keyring::random(&clock).unwrap();
        assert_eq!(first.expose().len(), 64, "as ledgers have it that never rotated");
        let second = first.rotated(&clock).unwrap();
        assert_eq!((first.newest(), second.newest()), (1, 2));
        assert_eq!(second.expose().lines().next(), Some(first.expose().as_str()));
        assert_ne!(first.fingerprint(), second.fingerprint());
        for text in [second.expose(), format!("{}\n", second.expose())] {
            assert_eq!(Keyring::parse(&text), Some(second.clone()));
        }
        for text in ["", "\n", "x", &format!("{}\n\n", second.expose()), &format!("\n{}", first.expose())] {
            assert_eq!(Keyring::parse(text), None, "{text:?}");
        }
        assert_eq!(format!("{second:?}"), "Keyring(… 2 generations)");
    }

    #[test]
    fn derived_keys_stay_the_same_for_good() {
        let key = LedgerKey::parse(&"00".repeat(32)).unwrap();
        let other = LedgerKey::parse(&format!("{}01", "00".repeat(31))).unwrap();
        let hexadecimal = |bytes: [u8; 32]| bytes.map(|byte| format!("{byte:02x}")).concat();
        let first = derive(&key, "seal totp_seed").unwrap();
        // Computed with another program; what was sealed and signed hangs on it.
        assert_eq!(hexadecimal(first), "47bbad73a482d7b4d7d0cb50f394e63bc8061f45a88c26ae01192f2a87ab7dba");
        for (key, purpose) in [(&key, "seal webhook_secret"), (&other, "seal totp_seed")] {
            assert_ne!(derive(key, purpose).unwrap(), first);
        }
    }
}
