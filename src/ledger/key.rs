//! Idempotency keys (IETF draft-ietf-httpapi-idempotency-key-header).

use std::fmt;

use sha2::{Digest, Sha256};

use super::UserId;
use super::chain::Hash;

/// A client's name for one intent: 1 to 255 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(Box<str>);

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 printable ASCII characters, plain or as a quoted string")]
pub struct IdempotencyKeyError;

impl IdempotencyKey {
    /// The most characters that a key may have.
    pub const MAX_LENGTH: usize = 255;

    /// Reads a header's value: plain, or a quoted structured-field string (RFC 9651), which counts as its inside.
    ///
    /// # Errors
    /// Empty, too long, not printable ASCII, or a quoted string that does not end or escapes wrongly.
    pub fn parse(value: &str) -> Result<Self, IdempotencyKeyError> {
        let value = value.trim_matches([' ', '\t']);
        let text = match value.strip_prefix('"') {
            Some(rest) => unquote(rest.strip_suffix('"').ok_or(IdempotencyKeyError)?)?,
            None => value.to_owned(),
        };
        Self::checked(text)
    }

    fn checked(text: String) -> Result<Self, IdempotencyKeyError> {
        let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !printable {
            return Err(IdempotencyKeyError);
        }
        Ok(Self(text.into_boxed_str()))
    }

    /// A key as a store kept it, that is without quotes around it.
    pub fn from_stored(text: &str) -> Option<Self> {
        Self::checked(text.to_owned()).ok()
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What tells this key of its owner from all other keys and owners: the same in every run of the program.
    pub fn digest(&self, owner: UserId) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(owner.uuid().as_bytes());
        hasher.update(self.as_str());
        hasher.finalize().into()
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Inside a structured-field string only `\"` and `\\` are escapes, and a bare quote ends it.
fn unquote(inside: &str) -> Result<String, IdempotencyKeyError> {
    let mut text = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Err(IdempotencyKeyError),
            '\\' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => text.push(escaped),
                _ => return Err(IdempotencyKeyError),
            },
            plain => text.push(plain),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("a", "a")]
    #[case("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324")]
    #[case("\"8e03978e\"", "8e03978e")]
    #[case("\"a \\\"b\\\" \\\\c\"", "a \"b\" \\c")]
    #[case("half\"way", "half\"way")]
    fn keys_are_read(#[case] value: &str, #[case] text: &str) {
        assert_eq!(IdempotencyKey::parse(value).unwrap().as_str(), text);
    }

    #[rstest]
    #[case("")]
    #[case("   ")]
    #[case("\"\"")]
    #[case("\"")]
    #[case("\"open")]
    #[case("\"a\"b\"")]
    #[case("\"a\\n\"")]
    #[case("\"a\\")]
    #[case("é")]
    #[case("a\u{7f}")]
    #[case("a\tb")]
    fn what_is_no_key_is_refused(#[case] value: &str) {
        assert_eq!(IdempotencyKey::parse(value), Err(IdempotencyKeyError));
    }

    #[test]
    fn a_key_has_at_most_255_characters() {
        assert!(IdempotencyKey::parse(&"k".repeat(255)).is_ok());
        assert_eq!(IdempotencyKey::parse(&"k".repeat(256)), Err(IdempotencyKeyError));
    }
}
