//! How passwords are kept: Argon2id (RFC 9106), as a PHC string.
//!
//! Hashing runs on a pool of its own (`pool.rs`), so that a flood of logins can neither exhaust memory nor slow payments.
//! Parameters: m = 19 MiB, t = 2, p = 1, one of OWASP's equal choices; the one with the least memory, because the pool's
//! size times it is what a flood can take. With a pepper, whoever has the database alone can try no password at all.

use std::fmt;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, KeyId, Params, ParamsBuilder, Version};
use sha2::{Digest as _, Sha256};

use super::password::{Password, PasswordFault, Policy};
use super::pool::Pool;
use crate::clock::{Clock, RandomError};
use crate::ledger::{Email, PasswordHash, Role};

/// A secret that goes into passwords' hashes and is kept outside of the database (Argon2's secret value K, RFC 9106
/// section 3.1). A hash names the one it was made with. Does not print.
#[derive(Clone)]
struct Secret {
    value: String,
    id: KeyId,
}

impl Secret {
    fn new(value: &str) -> Option<Self> {
        // Eight bytes of a digest: nothing can be told from them of a secret that nobody can guess.
        let digest = Sha256::new().chain_update("farthing pepper").chain_update(value).finalize();
        let id = KeyId::new(digest.get(..KeyId::MAX_LEN)?).ok()?;
        (value.chars().count() >= Pepper::MIN_LENGTH).then(|| Self { value: value.to_owned(), id })
    }
}

/// The secrets of passwords' hashes: the newest makes new ones, the older ones are there for hashes not yet made anew.
/// There may be none. Does not print.
#[derive(Clone, Default)]
pub struct Pepper {
    secrets: Vec<Secret>,
}

impl Pepper {
    /// The fewest characters of a secret: as many as `openssl rand -hex 16` writes.
    pub const MIN_LENGTH: usize = 32;

    /// Reads what a pepper's file holds: a secret a line, the last one the newest. `None` if there is none, or one is
    /// shorter than [`Self::MIN_LENGTH`].
    pub fn parse(text: &str) -> Option<Self> {
        let secrets = text.lines().map(Secret::new).collect::<Option<Vec<_>>>()?;
        (!secrets.is_empty()).then_some(Self { secrets })
    }

    fn newest(&self) -> Option<&Secret> {
        self.secrets.last()
    }

    /// The secret that a hash names: `Ok(None)` if it was made without one.
    fn of(&self, id: &[u8]) -> Result<Option<&Secret>, HashError> {
        if id.is_empty() {
            return Ok(None);
        }
        let named = self.secrets.iter().find(|secret| secret.id.as_bytes() == id);
        named.map(Some).ok_or(HashError::UnknownPepper)
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Whether it is the password.
    pub matches: bool,
    /// Whether the stored hash has weaker parameters, or another secret, than new ones get.
    pub needs_rehash: bool,
}

/// Why nothing was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many wait.
    #[error("too many passwords are waiting to be hashed")]
    Busy {
        /// After how many seconds it is worth trying again.
        retry_after_seconds: u64,
    },
    /// The hash function, the randomness or a stored hash failed.
    #[error("a password could not be hashed or compared")]
    Fault,
    /// The stored hash was made with a secret that is not in the pepper's file any more, or not yet on this node.
    #[error(
        "a password was hashed with a secret that passwords.pepper_file does not hold; put it back, above the newest"
    )]
    UnknownPepper,
}

impl From<RandomError> for HashError {
    fn from(_: RandomError) -> Self {
        Self::Fault
    }
}

/// Hashes and compares passwords on its own pool.
#[derive(Debug)]
pub struct Hasher {
    pool: Pool,
    pepper: Arc<Pepper>,
    clock: Clock,
    /// A hash of nobody's password: what unknown accounts are compared with, so that they take as long as known ones.
    decoy: PasswordHash,
}

impl Hasher {
    /// A pool of `threads` threads before which at most `queue` jobs wait.
    ///
    /// # Errors
    /// If threads cannot be had.
    pub fn start(threads: usize, queue: usize, pepper: Pepper, clock: Clock) -> Result<Self, HashError> {
        let pool = Pool::start(threads, queue).ok_or(HashError::Fault)?;
        Ok(Self { pool, pepper: Arc::new(pepper), clock, decoy: decoy() })
    }

    /// Hashes a password with a fresh salt.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        let salt = self.clock.random::<16>()?;
        let pepper = Arc::clone(&self.pepper);
        self.pool.run(move || hash(&password, &salt, pepper.newest())).await?
    }

    /// Compares a password with a stored hash.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn verify(&self, password: Password, stored: PasswordHash) -> Result<Verified, HashError> {
        let pepper = Arc::clone(&self.pepper);
        self.pool.run(move || verify(&password, &stored, &pepper)).await?
    }

    /// Takes the time of a comparison for an account that does not exist.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn verify_unknown(&self, password: Password) -> Result<(), HashError> {
        self.verify(password, self.decoy.clone()).await.map(|_| ())
    }

    /// Checks a password against the policy; on the pool, because guessing at guessability costs time too.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn check(
        &self,
        policy: Arc<Policy>,
        password: Password,
        email: Option<Email>,
        role: Role,
    ) -> Result<Vec<PasswordFault>, HashError> {
        self.pool.run(move || policy.check(&password, email.as_ref(), role)).await
    }

    /// How many jobs wait.
    pub fn queue_length(&self) -> usize {
        self.pool.queue_length()
    }
}

/// A hash with the current parameters whose output is all zeros, so that no password is known to match it. Written down
/// and not computed: hashing at start would leave its memory behind in an idle server.
fn decoy() -> PasswordHash {
    let params = params(None);
    let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
    let (salt, output) = ("ZmFydGhpbmctZGVjb3k", "A".repeat(43));
    PasswordHash::from_phc(format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${output}"))
}

/// The parameters of new hashes, which name the secret.
fn params(secret: Option<&Secret>) -> Params {
    let mut params = ParamsBuilder::new();
    params.m_cost(19 * 1024).t_cost(2).p_cost(1);
    if let Some(secret) = secret {
        params.keyid(secret.id);
    }
    params.build().unwrap_or_default()
}

fn argon2(secret: Option<&Secret>) -> Result<Argon2<'_>, HashError> {
    let (algorithm, version, params) = (Algorithm::Argon2id, Version::V0x13, params(secret));
    match secret {
        None => Ok(Argon2::new(algorithm, version, params)),
        Some(secret) => Argon2::new_with_secret(secret.value.as_bytes(), algorithm, version, params)
            .map_err(|_| HashError::Fault),
    }
}

fn hash(password: &Password, salt: &[u8], secret: Option<&Secret>) -> Result<PasswordHash, HashError> {
    let phc: Phc =
        argon2(secret)?.hash_password_with_salt(password.as_bytes(), salt).map_err(|_| HashError::Fault)?;
    Ok(PasswordHash::from_phc(phc.to_string()).of_length(password.is_long()))
}

fn verify(password: &Password, stored: &PasswordHash, pepper: &Pepper) -> Result<Verified, HashError> {
    let phc = Phc::new(stored.as_phc()).map_err(|_| HashError::Fault)?;
    let parameters = Params::try_from(&phc).map_err(|_| HashError::Fault)?;
    if phc.salt.is_none() || phc.hash.is_none() {
        return Err(HashError::Fault);
    }
    let secret = pepper.of(parameters.keyid())?;
    let current = argon2(secret)?;
    let wanted = params(pepper.newest());
    let weaker = parameters.m_cost() < wanted.m_cost()
        || parameters.t_cost() < wanted.t_cost()
        || parameters.keyid() != wanted.keyid();
    // The parameters are the stored ones, whatever `current` has. What could not be computed is not a wrong password.
    let matches = match current.verify_password(password.as_bytes(), &phc) {
        Ok(()) => true,
        Err(argon2::password_hash::Error::PasswordInvalid) => false,
        Err(_) => return Err(HashError::Fault),
    };
    Ok(Verified { matches, needs_rehash: matches && weaker })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_alone() {
        let hasher = Hasher::start(1, 4, Pepper::default(), Clock::system()).unwrap();
        let stored = hasher.hash(Password::new("e\u{301}clair au café")).await.unwrap();
        assert!(stored.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let same = hasher.verify(Password::new("\u{e9}clair au café"), stored.clone()).await.unwrap();
        assert_eq!(same, Verified { matches: true, needs_rehash: false });
        let other = hasher.verify(Password::new("\u{e9}clair au cafe"), stored).await.unwrap();
        assert_eq!(other, Verified { matches: false, needs_rehash: false });
    }

    #[test]
    fn a_weaker_hash_is_to_be_made_anew() {
        let weak =
            Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8 * 1024, 1, 1, None).unwrap());
        let phc: Phc = weak.hash_password_with_salt(b"orange teapot ladder", b"saltsaltsaltsalt").unwrap();
        let stored = PasswordHash::from_phc(phc.to_string());
        let found = verify(&Password::new("orange teapot ladder"), &stored, &Pepper::default()).unwrap();
        assert_eq!(found, Verified { matches: true, needs_rehash: true });
    }

    #[rstest]
    #[case("")]
    #[case("orange teapot ladder")]
    #[case("$argon2id$v=19$m=19456,t=2,p=1")]
    #[case("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA")]
    #[case("$argon2id$v=99$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAA")]
    #[case("$scrypt$ln=17,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAA")]
    fn a_broken_hash_is_a_fault_and_not_a_wrong_password(#[case] phc: &str) {
        let stored = PasswordHash::from_phc(phc.to_owned());
        assert_eq!(
            verify(&Password::new("orange teapot ladder"), &stored, &Pepper::default()),
            Err(HashError::Fault)
        );
    }

    #[test]
    fn the_decoy_is_compared_like_any_hash_and_matches_nothing() {
        let found = verify(&Password::new("orange teapot ladder"), &decoy(), &Pepper::default()).unwrap();
        assert_eq!(found, Verified { matches: false, needs_rehash: false });
    }

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";

    fn pepper(secrets: &[&str]) -> Pepper {
        Pepper::parse(&secrets.join("\n")).unwrap()
    }

    #[test]
    fn a_hash_with_a_pepper_matches_with_that_pepper_alone() {
        let password = Password::new("orange teapot ladder");
        let old = pepper(&[OLD]);
        let stored = hash(&password, b"saltsaltsaltsalt", old.newest()).unwrap();
        let found = |with: &Pepper| verify(&password, &stored, with);
        assert_eq!(found(&old), Ok(Verified { matches: true, needs_rehash: false }));
        assert_eq!(found(&pepper(&[OLD, NEW])), Ok(Verified { matches: true, needs_rehash: true }));
        assert_eq!(found(&pepper(&[NEW])), Err(HashError::UnknownPepper));
        assert_eq!(found(&Pepper::default()), Err(HashError::UnknownPepper));
        let other = verify(&Password::new("orange teapot ladders"), &stored, &old);
        assert_eq!(other, Ok(Verified { matches: false, needs_rehash: false }));
    }

    #[test]
    fn the_secret_itself_goes_into_the_hash() {
        let password = Password::new("orange teapot ladder");
        let output = |secret: Option<&Secret>| {
            let stored = hash(&password, b"saltsaltsaltsalt", secret).unwrap();
            stored.as_phc().rsplit('$').next().unwrap().to_owned()
        };
        let (old, new) = (pepper(&[OLD]), pepper(&[NEW]));
        let outputs = [output(None), output(old.newest()), output(new.newest())];
        assert!(
            outputs[0] != outputs[1] && outputs[1] != outputs[2] && outputs[0] != outputs[2],
            "{outputs:?}"
        );
    }

    #[test]
    fn a_hash_without_a_pepper_is_made_anew_with_one() {
        let password = Password::new("orange teapot ladder");
        let stored = hash(&password, b"saltsaltsaltsalt", None).unwrap();
        let found = verify(&password, &stored, &pepper(&[NEW]));
        assert_eq!(found, Ok(Verified { matches: true, needs_rehash: true }));
    }

    #[rstest]
    #[case("", false)]
    #[case("0123456789abcdef", false)]
    #[case("0123456789abcdef0123456789abcdef", true)]
    #[case("0123456789abcdef0123456789abcdef\n", true)]
    #[case("0123456789abcdef0123456789abcdef\nshort\n", false)]
    #[case("\n0123456789abcdef0123456789abcdef", false)]
    fn secrets_are_long(#[case] text: &str, #[case] good: bool) {
        assert_eq!(Pepper::parse(text).is_some(), good);
    }

    #[test]
    fn a_pepper_does_not_print() {
        assert!(!format!("{:?}", pepper(&[OLD])).contains("0123"));
    }
}
