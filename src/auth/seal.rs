//! Secrets that the ledger must be able to read again, encrypted for the database: second factors' seeds, webhooks'
//! secrets.
//!
//! A sealed secret is text: `s1`, the generation of the key, and in base64 a random nonce and what ChaCha20-Poly1305
//! (RFC 8439) made of it, divided by points. The key is derived for each kind of secret; kind, the row's id and
//! the generation are authenticated along. So a sealed secret opens in its own row and as what it is, and nowhere else,
//! and nobody without the key file can read or make one. A key is fresh with each rotation, and nonces are random: a
//! ledger would have to seal billions of secrets before two could meet.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use uuid::Uuid;

use super::keyring::{Generation, Keyring, derive};
use crate::clock::{Clock, RandomError};

/// What a sealed secret begins with: the version of its form.
const FORM: &str = "s1";

/// Of what kind a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// What a user's second factor is computed from; the row's id is the user's.
    TotpSeed,
    /// What a webhook's messages are signed with; the row's id is the webhook's.
    WebhookSecret,
}

impl SecretKind {
    /// Its name in what is authenticated and derived: never to be changed.
    fn name(self) -> &'static str {
        match self {
            Self::TotpSeed => "totp_seed",
            Self::WebhookSecret => "webhook_secret",
        }
    }
}

/// A secret that can be read. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes a secret.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The secret itself: for what it is used for, never for a message.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a sealed secret does not open, or none can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// The text is none.
    #[error("this is no sealed secret")]
    Unreadable,
    /// It was sealed with a key that the key file lacks.
    #[error(
        "it was sealed with generation {sealed} of the ledger's key, and this key file has {newest}; copy the key file of \
         the node where 'farthing keys rotate' ran"
    )]
    NewerKey {
        /// The generation that sealed it.
        sealed: Generation,
        /// The newest one that there is.
        newest: Generation,
    },
    /// Changed, moved here from another row, or sealed by somebody else's key.
    #[error("it was altered, or is another row's")]
    Altered,
    /// No randomness, or the cipher refuses.
    #[error("it could not be sealed: {0}")]
    NotSealed(String),
}

impl From<RandomError> for SealFault {
    fn from(error: RandomError) -> Self {
        Self::NotSealed(error.to_string())
    }
}

/// Seals and opens secrets with a ledger's keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sealer {
    keys: Keyring,
    clock: Clock,
}

impl Sealer {
    /// With these keys.
    pub fn new(keys: Keyring, clock: Clock) -> Self {
        Self { keys, clock }
    }

    /// Seals a secret for the row with that id.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn seal(&self, kind: SecretKind, row: Uuid, secret: &Secret) -> Result<String, SealFault> {
        let generation = self.keys.newest();
        let nonce = self.clock.random::<NONCE_LEN>()?;
        let mut bytes = secret.0.clone();
        self.cipher(kind, generation)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(authenticated(kind, row, generation)),
                &mut bytes,
            )
            .map_err(|error| SealFault::NotSealed(error.to_string()))?;
        Ok(format!("{FORM}.{generation}.{}", BASE64.encode([&nonce[..], &bytes].concat())))
    }

    /// Opens what was sealed for the row with that id.
    ///
    /// # Errors
    /// If it is no sealed secret, not this row's, altered, or of a key that the key file lacks.
    pub fn open(&self, kind: SecretKind, row: Uuid, sealed: &str) -> Result<Secret, SealFault> {
        let (generation, mut bytes) = parse(sealed).ok_or(SealFault::Unreadable)?;
        let nonce: [u8; NONCE_LEN] = *bytes.first_chunk().ok_or(SealFault::Unreadable)?;
        let mut bytes = bytes.split_off(NONCE_LEN);
        let opened = self
            .cipher(kind, generation)?
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(authenticated(kind, row, generation)),
                &mut bytes,
            )
            .map_err(|_| SealFault::Altered)?;
        Ok(Secret(opened.to_vec()))
    }

    /// Whether the newest key sealed it; another is to be sealed anew after a rotation.
    pub fn is_current(&self, sealed: &str) -> bool {
        parse(sealed).is_some_and(|(generation, _)| generation == self.keys.newest())
    }

    fn cipher(&self, kind: SecretKind, generation: Generation) -> Result<LessSafeKey, SealFault> {
        let found = self.keys.generations().find(|(number, _)| *number == generation);
        let (_, key) = found.ok_or(SealFault::NewerKey { sealed: generation, newest: self.keys.newest() })?;
        derive(key, &format!("seal {}", kind.name()))
            .and_then(|derived| UnboundKey::new(&CHACHA20_POLY1305, &derived))
            .map(LessSafeKey::new)
            .map_err(|error| SealFault::NotSealed(error.to_string()))
    }
}

/// What is authenticated with a secret, each part divided from the next.
fn authenticated(kind: SecretKind, row: Uuid, generation: Generation) -> Vec<u8> {
    [FORM.as_bytes(), b"\0", kind.name().as_bytes(), b"\0", row.as_bytes(), &generation.to_be_bytes()]
        .concat()
}

fn parse(sealed: &str) -> Option<(Generation, Vec<u8>)> {
    let (generation, bytes) = sealed.strip_prefix(FORM)?.strip_prefix('.')?.split_once('.')?;
    let number: Generation = generation.parse().ok()?;
    // One secret has one form: no sign, no leading zeros.
    (number > 0 && number.to_string() == generation).then_some(())?;
    Some((number, BASE64.decode(bytes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Uuid = Uuid::from_u128(7);

    fn sealer(keys: &Keyring) -> Sealer {
        Sealer::new(keys.clone(), Clock::system())
    }

    fn secret() -> Secret {
        Secret::new(b"a seed of twenty byt".to_vec())
    }

    #[test]
    fn a_secret_opens_in_its_row_and_as_what_it_is() {
        let keys = Keyring::random(&Clock::system()).unwrap();
        let sealer = sealer(&keys);
        let sealed = sealer.seal(SecretKind::TotpSeed, ROW, &secret()).unwrap();
        assert!(sealed.starts_with("s1.1.") && sealer.is_current(&sealed), "{sealed}");
        assert_eq!(sealer.open(SecretKind::TotpSeed, ROW, &sealed), Ok(secret()));
        let other = Uuid::from_u128(8);
        assert_eq!(sealer.open(SecretKind::TotpSeed, other, &sealed), Err(SealFault::Altered));
        assert_eq!(sealer.open(SecretKind::WebhookSecret, ROW, &sealed), Err(SealFault::Altered));
        let stranger = self::sealer(&Keyring::random(&Clock::system()).unwrap());
        assert_eq!(stranger.open(SecretKind::TotpSeed, ROW, &sealed), Err(SealFault::Altered));
        assert_ne!(sealer.seal(SecretKind::TotpSeed, ROW, &secret()).unwrap(), sealed, "a nonce of its own");
        assert_eq!(format!("{:?}", secret()), "Secret(…)");
    }

    #[test]
    fn what_was_sealed_opens_after_a_rotation_and_a_lagging_key_file_says_so() {
        let clock = Clock::system();
        let first = Keyring::random(&clock).unwrap();
        let second = first.rotated(&clock).unwrap();
        let old = sealer(&first).seal(SecretKind::WebhookSecret, ROW, &secret()).unwrap();
        assert!(!sealer(&second).is_current(&old));
        assert_eq!(sealer(&second).open(SecretKind::WebhookSecret, ROW, &old), Ok(secret()));
        let new = sealer(&second).seal(SecretKind::WebhookSecret, ROW, &secret()).unwrap();
        assert_eq!(
            sealer(&first).open(SecretKind::WebhookSecret, ROW, &new),
            Err(SealFault::NewerKey { sealed: 2, newest: 1 })
        );
        let relabelled = new.replacen("s1.2.", "s1.1.", 1);
        assert_eq!(
            sealer(&second).open(SecretKind::WebhookSecret, ROW, &relabelled),
            Err(SealFault::Altered)
        );
    }

    #[test]
    fn no_altered_secret_opens() {
        let sealer = sealer(&Keyring::random(&Clock::system()).unwrap());
        let sealed = sealer.seal(SecretKind::TotpSeed, ROW, &secret()).unwrap();
        for position in 0..sealed.len() {
            for digit in ['A', 'B', '0', '.', '-', '+'] {
                let mut altered: Vec<char> = sealed.chars().collect();
                if altered[position] == digit {
                    continue;
                }
                altered[position] = digit;
                let altered: String = altered.into_iter().collect();
                assert!(sealer.open(SecretKind::TotpSeed, ROW, &altered).is_err(), "{altered}");
            }
            assert!(sealer.open(SecretKind::TotpSeed, ROW, &sealed[..position]).is_err());
        }
        for text in ["s1.01.AAAA", "s1.+1.AAAA", "s1.0.AAAA", "s2.1.AAAA", "s1.1", "s1..AAAA"] {
            assert_eq!(sealer.open(SecretKind::TotpSeed, ROW, text), Err(SealFault::Unreadable), "{text}");
        }
    }
}
