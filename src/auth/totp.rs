//! Codes that change with time (TOTP, RFC 6238: HMAC-SHA-1, six digits, thirty seconds, what every authenticator app
//! takes), the picture that an app reads a seed from, and recovery codes.
//!
//! Here a code is only found: which time step it is of. That each step counts once is decided with the user's row.

use std::fmt;

use ring::hmac;
use sha2::{Digest, Sha256};

use super::seal::Secret;
use crate::clock::{Clock, RandomError};
use crate::ledger::chain::Hash;
use crate::ledger::{Proof, Timestamp};

/// How long a code is shown.
const STEP_MS: i64 = 30_000;
/// How many digits a code has.
pub const DIGITS: usize = 6;
/// How many random bytes a seed has: as many as the hash.
const SEED_BYTES: usize = 20;
/// How many recovery codes there are.
pub const RECOVERY_CODES: usize = 10;
/// 120 bits: too many to be guessed, so that a plain hash keeps them.
const RECOVERY_BYTES: usize = 15;
/// Letters of a recovery code that stand together.
const RECOVERY_GROUP: usize = 4;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A new seed.
///
/// # Errors
/// If there is no randomness.
pub fn new_seed(clock: &Clock) -> Result<Secret, RandomError> {
    Ok(Secret::new(clock.random::<SEED_BYTES>()?.to_vec()))
}

/// What somebody's text proves: a code of the seed, of now or the step before or after, since clocks differ; anything
/// that is no code may be a recovery code. None if it is a wrong code.
pub fn proof(seed: &Secret, text: &str, now: Timestamp) -> Option<Proof> {
    let text = text.trim();
    let is_code = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_code {
        return Some(Proof::Recovery(recovery_hash(text)));
    }
    let current = step_at(now);
    let steps = [current, current.saturating_sub(1), current.saturating_add(1)];
    // Hashes are compared, so that the time says nothing about how many digits were right.
    let shown = Sha256::digest(text);
    let is_of = |step: &u64| Sha256::digest(code(seed, *step)) == shown;
    steps.into_iter().find(is_of).map(Proof::Step)
}

/// The time step of that time.
pub fn step_at(now: Timestamp) -> u64 {
    u64::try_from(now.as_millis().div_euclid(STEP_MS)).unwrap_or_default()
}

/// The code of a time step (RFC 4226, 5.3).
pub fn code(seed: &Secret, step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed.expose());
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let offset = usize::from(bytes.last().copied().unwrap_or_default() & 15);
    let word = bytes.get(offset..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
    let number = u32::from_be_bytes(word) & 0x7fff_ffff;
    format!("{:0width$}", number % 1_000_000, width = DIGITS)
}

/// The seed as people type it into an app.
pub fn base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits = bits.saturating_add(8);
        while bits >= 5 {
            bits = bits.saturating_sub(5);
            text.push(base32_digit(held >> bits));
        }
        held &= 0xff;
    }
    if bits > 0 {
        text.push(base32_digit(held << 5_u32.saturating_sub(bits)));
    }
    text
}

fn base32_digit(value: u32) -> char {
    let index = usize::try_from(value & 31).unwrap_or_default();
    BASE32.get(index).copied().map_or('A', char::from)
}

/// What an app takes a seed in by.
pub fn otpauth_url(seed: &Secret, issuer: &str, account: &str) -> String {
    let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
    let secret = base32(seed.expose());
    format!(
        "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
    )
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.extend(
                [byte >> 4, byte & 15].map(|nibble| {
                    char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase()
                }),
            );
        }
        encoded
    })
}

/// A recovery code, as its user sees it once. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(String);

impl RecoveryCode {
    /// A new one.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn generate(clock: &Clock) -> Result<Self, RandomError> {
        let letters = base32(&clock.random::<RECOVERY_BYTES>()?).to_lowercase();
        let groups: Vec<&str> = letters
            .as_bytes()
            .chunks(RECOVERY_GROUP)
            .filter_map(|group| std::str::from_utf8(group).ok())
            .collect();
        Ok(Self(groups.join("-")))
    }

    /// What is stored of it.
    pub fn hash(&self) -> Hash {
        recovery_hash(&self.0)
    }

    /// The code itself, for the one answer that gives it out.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(…)")
    }
}

/// However it is typed: in upper- or lower-case, with spaces or dashes or without.
fn recovery_hash(text: &str) -> Hash {
    let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    Sha256::digest(letters.to_lowercase()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> Secret {
        Secret::new(b"12345678901234567890".to_vec())
    }

    /// RFC 6238, appendix B, the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        for (seconds, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let now = Timestamp::from_millis(seconds * 1_000);
            assert_eq!(code(&seed(), step_at(now)), expected);
            assert_eq!(proof(&seed(), expected, now), Some(Proof::Step(step_at(now))));
        }
    }

    #[test]
    fn a_code_counts_in_its_own_step_and_beside_it() {
        let step = 50_000_000;
        let shown = code(&seed(), step);
        for (distance, counts) in [(-2_i64, false), (-1, true), (0, true), (1, true), (2, false)] {
            let now = Timestamp::from_millis((i64::try_from(step).unwrap() + distance) * STEP_MS + 1);
            assert_eq!(proof(&seed(), &shown, now).is_some(), counts, "{distance}");
        }
    }

    /// RFC 4648, section 10.
    #[test]
    fn base32_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn recovery_codes_are_long_new_and_read_however_they_are_typed() {
        let clock = Clock::system();
        let one = RecoveryCode::generate(&clock).unwrap();
        assert_eq!((one.reveal().len(), one.reveal().split('-').count()), (29, 6));
        assert_ne!(one, RecoveryCode::generate(&clock).unwrap());
        let typed = one.reveal().to_uppercase().replace('-', " ");
        let now = Timestamp::from_millis(0);
        assert_eq!(proof(&seed(), &typed, now), Some(Proof::Recovery(one.hash())));
        assert!(!format!("{one:?}").contains(&one.reveal()[..4]));
    }

    #[test]
    fn an_app_reads_the_seed() {
        let url = otpauth_url(&seed(), "The House", "ann@example.com");
        assert_eq!(
            url,
            "otpauth://totp/The%20House:ann%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=The%20House&\
             algorithm=SHA1&digits=6&period=30"
        );
    }
}
