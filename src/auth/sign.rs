//! Signatures: Ed25519 (RFC 8032), with a key derived from the ledger's own.
//!
//! A public key is written as `ed25519:` and 32 bytes in base64 (URL-safe, no padding).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::error::KeyRejected;
use ring::signature::{ED25519, ED25519_PUBLIC_KEY_LEN, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::keyring::{Generation, Keyring, derive};
use super::ledger_key::LedgerKey;

/// What a public key begins with.
const PREFIX: &str = "ed25519:";

/// A key with which signatures are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; ED25519_PUBLIC_KEY_LEN]);

impl PublicKey {
    /// Reads a public key.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text.strip_prefix(PREFIX)?).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// Whether the signature, in base64, is this key's under that message.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        BASE64.decode(signature).is_ok_and(|signature| {
            UnparsedPublicKey::new(&ED25519, self.0).verify(message, &signature).is_ok()
        })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64.encode(self.0))
    }
}

/// No signing key could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no signing key could be made of the ledger's key")]
pub struct SigningFault;

impl From<ring::error::Unspecified> for SigningFault {
    fn from(_: ring::error::Unspecified) -> Self {
        Self
    }
}

impl From<KeyRejected> for SigningFault {
    fn from(_: KeyRejected) -> Self {
        Self
    }
}

/// Signs with the newest key of a ledger, and knows the public keys of all of them. Does not print.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
    all: Vec<(Generation, PublicKey)>,
}

impl Signer {
    /// With these keys.
    ///
    /// # Errors
    /// None that a key file can cause; the library's are passed on.
    pub fn new(keys: &Keyring) -> Result<Self, SigningFault> {
        let mut all = Vec::new();
        let mut newest = None;
        for (generation, key) in keys.generations() {
            let pair = key_pair(key)?;
            all.push((generation, public_key(&pair)?));
            newest = Some(pair);
        }
        let pair = newest.ok_or(SigningFault)?;
        Ok(Self { public: public_key(&pair)?, pair, all })
    }

    /// The key with which this signer's signatures are checked.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The public keys of every generation, oldest first.
    pub fn all(&self) -> &[(Generation, PublicKey)] {
        &self.all
    }

    /// The signature under that message, in base64.
    pub fn sign(&self, message: &[u8]) -> String {
        BASE64.encode(self.pair.sign(message))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public)
    }
}

fn key_pair(key: &LedgerKey) -> Result<Ed25519KeyPair, SigningFault> {
    Ok(Ed25519KeyPair::from_seed_unchecked(&derive(key, "sign ed25519")?)?)
}

fn public_key(pair: &Ed25519KeyPair) -> Result<PublicKey, SigningFault> {
    pair.public_key().as_ref().try_into().map(PublicKey).map_err(|_| SigningFault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_signature_is_its_keys_and_its_messages_alone() {
        let clock = Clock::system();
        let first = Keyring::random(&clock).unwrap();
        let signer = Signer::new(&first).unwrap();
        let signature = signer.sign(b"message");
        assert!(signer.public().verifies(b"message", &signature));
        assert!(!signer.public().verifies(b"massage", &signature));
        assert!(!signer.public().verifies(b"message", &signature[1..]));
        let later = Signer::new(&first.rotated(&clock).unwrap()).unwrap();
        assert!(!later.public().verifies(b"message", &signature));
        assert_eq!(later.all(), [(1, signer.public()), (2, later.public())]);
        let text = signer.public().to_string();
        assert_eq!(PublicKey::parse(&text), Some(signer.public()));
        for wrong in ["", "ed25519:", &text[8..], &text[..text.len() - 1], &format!("{text}A")] {
            assert_eq!(PublicKey::parse(wrong), None, "{wrong}");
        }
        assert!(format!("{signer:?}").starts_with("Signer(ed25519:"));
    }
}
