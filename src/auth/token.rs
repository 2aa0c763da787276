//! Tokens: opaque, 256 random bits, with a recognisable prefix and a checksum; stored only as a SHA-256 hash.
//!
//! The checksum tells a mistyped token without a read of the database, and the prefix lets secret scanners find a leaked
//! one. Neither adds secrecy.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::clock::{Clock, RandomError};
use crate::ledger::TokenHash;

const SECRET_BYTES: usize = 32;
const SECRET_DIGITS: usize = 64;
const CHECKSUM_DIGITS: usize = 8;

/// A text that cannot be a token of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this kind")]
pub struct TokenError;

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// What a token of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new token.
            ///
            /// # Errors
            /// If there is no randomness.
            pub fn generate(clock: &Clock) -> Result<Self, RandomError> {
                Ok(Self(write(Self::PREFIX, &clock.random::<SECRET_BYTES>()?)))
            }

            /// Reads a token that somebody shows.
            ///
            /// # Errors
            /// If prefix, length, alphabet or checksum are wrong.
            pub fn parse(text: &str) -> Result<Self, TokenError> {
                check(text, Self::PREFIX).map(|()| Self(text.to_owned()))
            }

            /// What is stored of it.
            pub fn hash(&self) -> TokenHash {
                TokenHash(Sha256::digest(&self.0).into())
            }

            /// The token itself, for the one answer that gives it out.
            pub fn reveal(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

tokens! {
    /// Proves who calls, for minutes.
    AccessToken = "fat_";
    /// Gets the next pair, for weeks.
    RefreshToken = "frt_";
    /// Proves which server calls, until it is revoked.
    ApiKeyToken = "fak_";
    /// Sets a new password, once, for minutes.
    ResetToken = "fpr_";
}

fn write(prefix: &str, secret: &[u8; SECRET_BYTES]) -> String {
    let mut text = prefix.to_owned();
    text.extend(secret.iter().flat_map(|byte| [hex_digit(byte >> 4), hex_digit(byte & 15)]));
    let checksum = checksum(text.as_bytes());
    text.extend(checksum);
    text
}

fn check(text: &str, prefix: &str) -> Result<(), TokenError> {
    let rest = text.strip_prefix(prefix).ok_or(TokenError)?;
    // The length first, so that a long text costs no more than a short one.
    let is_of_length = rest.len() == SECRET_DIGITS + CHECKSUM_DIGITS;
    if !is_of_length || !rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(TokenError);
    }
    let (body, shown) = text.split_at_checked(prefix.len() + SECRET_DIGITS).ok_or(TokenError)?;
    if shown.chars().eq(checksum(body.as_bytes())) { Ok(()) } else { Err(TokenError) }
}

fn checksum(body: &[u8]) -> [char; CHECKSUM_DIGITS] {
    let hash: [u8; 32] = Sha256::digest(body).into();
    let [a, b, c, d, ..] = hash;
    let mut digits = ['0'; CHECKSUM_DIGITS];
    let nibbles = [a, b, c, d].into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for (digit, nibble) in digits.iter_mut().zip(nibbles) {
        *digit = hex_digit(nibble);
    }
    digits
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_hides_itself() {
        let token = AccessToken::generate(&Clock::system()).unwrap();
        assert_eq!(AccessToken::parse(token.reveal()), Ok(token.clone()));
        assert_ne!(AccessToken::generate(&Clock::system()).unwrap().hash(), token.hash());
        assert!(!format!("{token:?}").contains(&token.reveal()[4..12]));
    }

    /// Every single-character change, every cut, and what else an attacker tries.
    #[test]
    fn crafted_tokens_are_refused() {
        let clock = Clock::system();
        let token = AccessToken::generate(&clock).unwrap();
        let good = token.reveal();
        let mut crafted: Vec<String> = vec![
            String::new(),
            "fat_".into(),
            "null".into(),
            "undefined".into(),
            "Bearer".into(),
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.".into(),
            "' OR '1'='1".into(),
            "fat_%00".into(),
            "../../etc/passwd".into(),
            RefreshToken::generate(&clock).unwrap().reveal().into(),
            good.replacen("fat_", "frt_", 1),
            good.replacen("fat_", "FAT_", 1),
            good.to_uppercase(),
            format!(" {good}"),
            format!("{good} "),
            format!("{good}\n"),
            format!("{good}\0"),
            format!("{good}{good}"),
            format!("{good}="),
            good.chars().rev().collect(),
            format!("fat_{}", "0".repeat(72)),
            format!("fat_{}", "f".repeat(72)),
            format!("fat_{}", "é".repeat(36)),
            "a".repeat(1_000_000),
        ];
        crafted.extend((0..good.len()).map(|cut| good[..cut].to_owned()));
        crafted.extend((0..good.len()).map(|at| {
            let other = if &good[at..=at] == "a" { "b" } else { "a" };
            format!("{}{other}{}", &good[..at], &good[at + 1..])
        }));
        assert!(crafted.len() >= 60);
        for text in crafted.iter().filter(|text| *text != good) {
            assert_eq!(AccessToken::parse(text), Err(TokenError), "{text:.90}");
        }
    }

    /// Texts whose checksum is right, so that nothing but what is wrong with the rest can be the reason.
    #[test]
    fn a_right_checksum_does_not_mend_a_wrong_token() {
        let digits = "00ff17a9e4c25b3d".repeat(4);
        let signed = |body: String| {
            let sum = checksum(body.as_bytes());
            body + &String::from_iter(sum)
        };
        assert!(AccessToken::parse(&signed(format!("fat_{digits}"))).is_ok());
        let mut crafted = Vec::new();
        for prefix in
            ["FAT_", "Fat_", "fat-", "fat.", "fat ", "gat_", "ghp_", "\u{17f}at_", "____", "", "frt_"]
        {
            crafted.push(signed(format!("{prefix}{digits}")));
        }
        for length in [0, 1, 62, 63, 65, 66, 128, 4_096] {
            crafted.push(signed(format!("fat_{}", "a".repeat(length))));
        }
        for odd in ["G", "A", "F", " ", "\n", "\0", "+", "/", "=", "-", "\u{663}", "\u{ff10}", "é"] {
            crafted.push(signed(format!("fat_{odd}{}", &digits[odd.len()..])));
        }
        for text in &crafted {
            assert_eq!(AccessToken::parse(text), Err(TokenError), "{text:.90}");
        }
    }

    #[test]
    fn neighbouring_characters_that_change_places_are_noticed() {
        let token = AccessToken::generate(&Clock::system()).unwrap();
        let good = token.reveal();
        for at in 0..good.len() - 1 {
            let mut bytes = good.as_bytes().to_vec();
            bytes.swap(at, at + 1);
            let text = String::from_utf8(bytes).unwrap();
            assert!(text == good || AccessToken::parse(&text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_or_passes(text in proptest::prelude::any::<String>(), tail in "[0-9a-f]{72}") {
            proptest::prop_assert!(AccessToken::parse(&text).is_err());
            proptest::prop_assert!(RefreshToken::parse(&["fat_", &tail].concat()).is_err());
            proptest::prop_assert!(AccessToken::parse(&["fat_", &text].concat()).is_err());
        }
    }
}
