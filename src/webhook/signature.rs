//! Signatures after Standard Webhooks: `v1`, HMAC-SHA256 with a shared secret, or `v1a`, Ed25519 with a key of which the
//! receiver knows the public half alone. What is signed is `id.timestamp.body`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::clock::{Clock, RandomError};

const BYTES: usize = 32;

/// How deliveries of an endpoint are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA256.
    V1,
    /// Ed25519.
    V1a,
}

impl Scheme {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V1, Self::V1a];

    /// The scheme's name, as signatures begin with it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1a => "v1a",
        }
    }

    /// The scheme of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// What a secret of it begins with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::V1 => "whsec_",
            Self::V1a => "whsk_",
        }
    }
}

/// What signs an endpoint's deliveries. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    scheme: Scheme,
    /// The shared key, or the seed of the key pair.
    bytes: [u8; BYTES],
}

impl Secret {
    /// A new secret.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn generate(scheme: Scheme, clock: &Clock) -> Result<Self, RandomError> {
        Ok(Self { scheme, bytes: clock.random()? })
    }

    /// Reads what [`Secret::expose`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let scheme = Scheme::ALL.into_iter().find(|scheme| text.starts_with(scheme.prefix()))?;
        let bytes = STANDARD.decode(text.strip_prefix(scheme.prefix())?).ok()?;
        let (seed, rest) = bytes.split_at_checked(BYTES)?;
        let secret = Self { scheme, bytes: seed.try_into().ok()? };
        let is_whole = match scheme {
            Scheme::V1 => rest.is_empty(),
            Scheme::V1a => rest == secret.public_key()?,
        };
        is_whole.then_some(secret)
    }

    /// How it signs.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The secret itself, `whsec_…` or `whsk_…`: to be sealed, never for a message.
    pub fn expose(&self) -> String {
        let mut bytes = self.bytes.to_vec();
        if self.scheme == Scheme::V1a {
            bytes.extend(self.public_key().unwrap_or_default());
        }
        format!("{}{}", self.scheme.prefix(), STANDARD.encode(bytes))
    }

    /// What the receiver verifies with: the shared secret, or the public key (`whpk_…`).
    pub fn for_receiver(&self) -> String {
        match self.scheme {
            Scheme::V1 => self.expose(),
            Scheme::V1a => format!("whpk_{}", STANDARD.encode(self.public_key().unwrap_or_default())),
        }
    }

    /// The signature of a message, with its scheme before it.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut content = format!("{id}.{timestamp}.").into_bytes();
        content.extend_from_slice(body);
        let signature = match self.scheme {
            Scheme::V1 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &self.bytes);
                STANDARD.encode(hmac::sign(&key, &content))
            }
            Scheme::V1a => {
                self.key_pair().map(|pair| STANDARD.encode(pair.sign(&content))).unwrap_or_default()
            }
        };
        format!("{},{signature}", self.scheme.name())
    }

    /// Any 32 bytes are a seed, so that there is always a pair.
    fn key_pair(&self) -> Option<Ed25519KeyPair> {
        Ed25519KeyPair::from_seed_unchecked(&self.bytes).ok()
    }

    fn public_key(&self) -> Option<Vec<u8>> {
        Some(self.key_pair()?.public_key().as_ref().to_vec())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_other_programs_compute() {
        // The example of the specification's reference libraries.
        let bytes = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let content = br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        assert_eq!(
            STANDARD.encode(hmac::sign(&key, content)),
            "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        // And ours is that, with a key of our length.
        let secret = Secret { scheme: Scheme::V1, bytes: [7; BYTES] };
        let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; BYTES]), content);
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, format!("v1,{}", STANDARD.encode(expected)));
    }

    #[test]
    fn secrets_are_read_back_and_do_not_print() {
        for (scheme, prefix, shown) in [(Scheme::V1, "whsec_", "whsec_"), (Scheme::V1a, "whsk_", "whpk_")] {
            let secret = Secret::generate(scheme, &Clock::system()).unwrap();
            let text = secret.expose();
            assert!(text.starts_with(prefix) && secret.for_receiver().starts_with(shown));
            assert_eq!(Secret::parse(&text), Some(secret.clone()));
            assert_eq!(format!("{secret:?}"), "Secret(…)");
            for bad in ["", prefix, &text[1..], &text[..text.len() - 4], &format!("{text}AAAA")] {
                assert_eq!(Secret::parse(bad), None, "{bad}");
            }
        }
    }

    #[test]
    fn a_public_key_verifies_and_any_change_does_not() {
        use ring::signature::{ED25519, UnparsedPublicKey};
        let secret = Secret::generate(Scheme::V1a, &Clock::system()).unwrap();
        let public = STANDARD.decode(secret.for_receiver().strip_prefix("whpk_").unwrap()).unwrap();
        let signed = secret.sign("evt_1", 5, b"{}");
        let signature = STANDARD.decode(signed.strip_prefix("v1a,").unwrap()).unwrap();
        let key = UnparsedPublicKey::new(&ED25519, public);
        assert!(key.verify(b"evt_1.5.{}", &signature).is_ok());
        assert!(key.verify(b"evt_1.6.{}", &signature).is_err());
    }
}
