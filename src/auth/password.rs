//! Passwords: what they must be. `hasher` has how they are kept.
//!
//! A password is compared in NFC, otherwise exactly as it came: no trimming, no truncation, no composition rules
//! (NIST SP 800-63B).

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io::BufRead;
use std::path::Path;

use unicode_normalization::UnicodeNormalization;
use zxcvbn::matching::patterns::MatchPattern;

use crate::ledger::{Email, Role};

/// The fewest characters of a customer's password.
pub const MIN_LENGTH: usize = 8;
/// The fewest characters of an operator's password.
pub const MIN_OPERATOR_LENGTH: usize = 15;
/// The most characters of a password.
pub const MAX_LENGTH: usize = 128;
/// How much of a password is looked at for guessability: the estimate's time grows with the square of it.
const ESTIMATED_LENGTH: usize = 64;
/// How much of one that is full of characters that may stand for letters: the estimate tries every combination of what
/// they may stand for, so that such a password would cost ten times what hashing it does.
const ESTIMATED_LENGTH_OF_SUBSTITUTES: usize = 24;
/// From how many different such characters on.
const MANY_SUBSTITUTES: usize = 8;
/// The characters that the estimate takes for letters.
const SUBSTITUTES: &str = "4@8({[<3691!|70$5+%2";
/// Passwords that fall within so many guesses are common. It is the length of the estimator's list, so that whatever is
/// on the list is among them, and with it what would be found as soon.
const COMMON_WITHIN_GUESSES: u64 = 30_001;
/// Shorter ones fall within as many guesses whatever they are.
const SHORTEST_COMMON: usize = 5;
/// Words that everybody who attacks this service tries first.
const CONTEXT_WORDS: [&str; 2] = ["farthing", "payment"];

/// A password as somebody typed it, in NFC. Does not print.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Password(String);

impl Password {
    /// Takes a password as it came.
    pub fn new(text: &str) -> Self {
        // Longer ones are refused anyway; a bound keeps normalisation from being work for free.
        Self(text.nfc().take(MAX_LENGTH.saturating_add(1)).collect())
    }

    /// What is hashed.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether it is as long as an operator's must be.
    pub(super) fn is_long(&self) -> bool {
        self.0.chars().count() >= MIN_OPERATOR_LENGTH
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What is wrong with a new password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordFault {
    /// Fewer characters than the role needs.
    TooShort {
        /// The fewest.
        at_least: usize,
    },
    /// More than [`MAX_LENGTH`] characters.
    TooLong,
    /// On a list of common or breached passwords.
    TooCommon,
    /// Contains the email's local part.
    ContainsEmail,
    /// Could be guessed in few tries.
    TooGuessable,
}

impl PasswordFault {
    /// The stable code of the field's error.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooShort { .. } => "too_short",
            Self::TooLong => "too_long",
            Self::TooCommon => "too_common",
            Self::ContainsEmail => "contains_email",
            Self::TooGuessable => "too_guessable",
        }
    }

    /// What is wrong and how to mend it.
    pub fn message(self) -> String {
        match self {
            Self::TooShort { at_least } => format!("must have at least {at_least} characters"),
            Self::TooLong => format!("must have at most {MAX_LENGTH} characters"),
            Self::TooCommon => "is on a list of common or breached passwords; choose another".into(),
            Self::ContainsEmail => "must not contain the name in your email address".into(),
            Self::TooGuessable => "is too easy to guess; use more words, or less usual ones".into(),
        }
    }
}

/// What a new password must be.
#[derive(Debug, Default)]
pub struct Policy {
    /// Hashes of the operator's own list, so that a long list costs eight bytes a line.
    breached: HashSet<u64>,
}

impl Policy {
    /// The policy with an operator's file of breached passwords, one a line.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn with_breached_file(path: &Path) -> std::io::Result<Self> {
        let file = std::io::BufReader::new(std::fs::File::open(path)?);
        let mut breached = HashSet::new();
        for line in file.split(b'\n') {
            // Such lists hold lines in other encodings. Nobody can type those here, so they are passed over.
            if let Ok(line) = std::str::from_utf8(&line?) {
                breached.insert(fingerprint(&Password::new(line.trim_end_matches('\r'))));
            }
        }
        Ok(Self { breached })
    }

    /// Everything that is wrong with the password; empty if it passes.
    pub fn check(&self, password: &Password, email: Option<&Email>, role: Role) -> Vec<PasswordFault> {
        let mut faults = Vec::new();
        let length = password.0.chars().count();
        let at_least = if role.is_operator() { MIN_OPERATOR_LENGTH } else { MIN_LENGTH };
        if length < at_least {
            faults.push(PasswordFault::TooShort { at_least });
        }
        if length > MAX_LENGTH {
            faults.push(PasswordFault::TooLong);
        }
        let local_part: String = email
            .map(|email| email.local_part().nfc().collect::<String>().to_lowercase())
            .unwrap_or_default();
        if local_part.chars().count() >= 4 && password.0.to_lowercase().contains(&local_part) {
            faults.push(PasswordFault::ContainsEmail);
        }
        let words = [CONTEXT_WORDS.as_slice(), &[email.map_or("", Email::as_str), &local_part]].concat();
        let estimate = zxcvbn::zxcvbn(&estimated_head(password), &words);
        if is_common(length, &estimate) || self.breached.contains(&fingerprint(password)) {
            faults.push(PasswordFault::TooCommon);
        } else if u8::from(estimate.score()) <= 1 {
            faults.push(PasswordFault::TooGuessable);
        }
        faults
    }
}

/// Whether a password of that length is on the estimator's list, or no harder to guess than what is. Told by the guesses
/// and not by the match, because much of the list has a likelier reading (`chelsea2` is a word and a digit); repetitions
/// are left out, because of the many that there are the list has but a few.
fn is_common(length: usize, estimate: &zxcvbn::Entropy) -> bool {
    let is_repetition =
        matches!(estimate.sequence(), [only] if matches!(only.pattern, MatchPattern::Repeat(_)));
    length >= SHORTEST_COMMON && !is_repetition && estimate.guesses() <= COMMON_WITHIN_GUESSES
}

/// The part of a password by which its guessability is told: bounded, because the rest only adds to it.
fn estimated_head(password: &Password) -> String {
    let substitutes = SUBSTITUTES.chars().filter(|substitute| password.0.contains(*substitute)).count();
    let length =
        if substitutes > MANY_SUBSTITUTES { ESTIMATED_LENGTH_OF_SUBSTITUTES } else { ESTIMATED_LENGTH };
    password.0.chars().take(length).collect()
}

fn fingerprint(password: &Password) -> u64 {
    let mut hasher = DefaultHasher::new();
    password.0.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn faults(password: &str, role: Role) -> Vec<&'static str> {
        let email = Email::parse("lovelace@example.com").unwrap();
        let found = Policy::default().check(&Password::new(password), Some(&email), role);
        found.into_iter().map(PasswordFault::code).collect()
    }

    #[rstest]
    #[case("correct horse battery staple", Role::Customer, &[])]
    #[case("correct horse battery staple", Role::Admin, &[])]
    #[case("пароль-от-кассы-42", Role::Customer, &[])]
    #[case("Xk9#vq", Role::Customer, &["too_short", "too_guessable"])]
    #[case("plumWagon73x", Role::Admin, &["too_short"])]
    #[case("password", Role::Customer, &["too_common"])]
    #[case("trustno1", Role::Customer, &["too_common"])]
    #[case("lovelyday", Role::Customer, &["too_guessable"])]
    #[case("aaaaaaaaaaaa", Role::Customer, &["too_guessable"])]
    #[case("x", Role::Customer, &["too_short", "too_guessable"])]
    #[case("123456", Role::Customer, &["too_short", "too_common"])]
    #[case("", Role::Customer, &["too_short", "too_guessable"])]
    #[case("my LOVELACE secret tin", Role::Customer, &["contains_email"])]
    fn the_policy_names_every_fault(#[case] password: &str, #[case] role: Role, #[case] codes: &[&str]) {
        assert_eq!(faults(password, role), codes);
    }

    /// Taken from the whole length of the estimator's list, among them some that it would rather read as two words or a
    /// row of keys.
    #[rstest]
    fn what_is_on_the_list_is_common(
        #[values(
            "12345678",
            "123456789",
            "1234567890",
            "qwertyuiop",
            "1qaz2wsx",
            "zxcvbnmm",
            "baseball",
            "michael3",
            "chelsea2",
            "ddddddd1",
            "1scooter",
            "password13",
            "newpassword",
            "1234567890w",
            "football12",
            "jackryan",
            "anna2000",
            "12345abcde",
            "1qwertyuiop",
            "dcowboys"
        )]
        password: &str,
    ) {
        assert!(faults(password, Role::Customer).contains(&"too_common"), "{password}");
        assert!(!faults(&format!("{password} tram vexed gulp"), Role::Customer).contains(&"too_common"));
    }

    #[rstest]
    #[case("lovelace@example.com", "xx Lovelace 7 tram vexed", true)]
    #[case("LoveLace@example.com", "xx loveLACE 7 tram vexed", true)]
    #[case("j\u{fc}rgen@example.com", "xx ju\u{308}rgen 7 tram vexed", true)]
    #[case("ju\u{308}rgen@example.com", "xx J\u{dc}RGEN 7 tram vexed", true)]
    #[case("ada@example.com", "xx ada 7 tram vexed", false)]
    #[case("lovelace@example.com", "xx love lace 7 tram vexed", false)]
    fn the_emails_local_part_is_found(#[case] email: &str, #[case] password: &str, #[case] found: bool) {
        let email = Email::parse(email).unwrap();
        let faults = Policy::default().check(&Password::new(password), Some(&email), Role::Customer);
        assert_eq!(faults.contains(&PasswordFault::ContainsEmail), found);
    }

    #[test]
    fn what_would_take_the_estimate_long_is_looked_at_in_part() {
        let head = |text: &str| estimated_head(&Password::new(text)).chars().count();
        assert_eq!(head(&SUBSTITUTES.repeat(6)), ESTIMATED_LENGTH_OF_SUBSTITUTES);
        assert_eq!(head(&"\u{e9}".repeat(128)), ESTIMATED_LENGTH);
        assert_eq!(head("1234567890 twelve drummers"), ESTIMATED_LENGTH_OF_SUBSTITUTES);
        assert_eq!(head("p@55w0rd"), 8);
        assert!(faults(&SUBSTITUTES.repeat(6), Role::Customer).is_empty());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_makes_the_policy_panic(text in "\\PC{0,140}", role in 0_usize..5) {
            let faults = faults(&text, Role::ALL[role]);
            let characters = text.nfc().count();
            proptest::prop_assert_eq!(faults.contains(&"too_long"), characters > MAX_LENGTH);
            let least = if role == 0 { 8 } else { 15 };
            proptest::prop_assert_eq!(faults.contains(&"too_short"), characters < least);
        }
    }

    #[test]
    fn length_is_counted_in_characters_after_nfc() {
        let composed = "\u{e9}".repeat(MAX_LENGTH);
        let decomposed = "e\u{301}".repeat(MAX_LENGTH);
        assert!(!faults(&composed, Role::Customer).contains(&"too_long"));
        assert!(!faults(&decomposed, Role::Customer).contains(&"too_long"));
        assert_eq!(Password::new(&composed), Password::new(&decomposed));
        assert!(faults(&"\u{e9}".repeat(MAX_LENGTH + 1), Role::Customer).contains(&"too_long"));
    }

    #[test]
    fn an_operators_own_list_counts() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"caf\xe9 latin one\n\nviolet tractor umbrella\r\n").unwrap();
        let policy = Policy::with_breached_file(file.path()).unwrap();
        let email = Email::parse("a@example.com").unwrap();
        let check = |text: &str| policy.check(&Password::new(text), Some(&email), Role::Customer);
        assert_eq!(check("violet tractor umbrella"), [PasswordFault::TooCommon]);
        assert_eq!(check("violet tractor umbrellas"), []);
    }

    #[test]
    fn a_password_does_not_print() {
        assert!(!format!("{:?}", Password::new("tell nobody")).contains("tell"));
    }
}
