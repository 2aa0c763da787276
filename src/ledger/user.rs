//! Users and what identifies them: email, name, role, and the hashes of their secrets.
//!
//! A secret's hash does not print, so that no log or error can carry it.

use std::fmt;

use serde::Serialize;

use super::{Mode, SecondFactor, Timestamp, UserId};

/// An email address: an addr-spec (RFC 5322) of at most 254 characters, without surrounding space.
///
/// Kept as it was written; compared by [`Email::folded`], so that case makes no second account.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email {
    text: String,
    folded: String,
}

/// A text that is not an email address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an email address of at most 254 characters, such as \"ada@example.com\"")]
pub struct EmailError;

impl Email {
    /// The most characters that an address may have (RFC 5321).
    pub const MAX_LENGTH: usize = 254;

    /// Reads an address; space around it is dropped.
    ///
    /// # Errors
    /// If it is no addr-spec, too long, or written with a display name or a comment.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        let options = email_address::Options { allow_display_text: false, ..Default::default() };
        if text.len() > Self::MAX_LENGTH || text.chars().any(char::is_control) {
            return Err(EmailError);
        }
        email_address::EmailAddress::parse_with_options(text, options).map_err(|_| EmailError)?;
        Ok(Self { text: text.to_owned(), folded: text.to_lowercase() })
    }

    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address in lower case: what makes two addresses one account.
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// What stands before the last `@`.
    pub fn local_part(&self) -> &str {
        self.text.rsplit_once('@').map_or(self.text.as_str(), |(local, _)| local)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a user may do. What each role is allowed stands in `auth::permission`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Pays and is paid.
    Customer,
    /// Helps customers: freezes, reviews, refunds.
    Support,
    /// Takes in and pays out cash.
    Cashier,
    /// Reads everything, changes nothing.
    Auditor,
    /// May do everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Customer, Self::Support, Self::Cashier, Self::Auditor, Self::Admin];

    /// The role's name, as in the API and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Support => "support",
            Self::Cashier => "cashier",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether this role works for the operator: longer passwords, no sandbox grant.
    pub fn is_operator(self) -> bool {
        self != Self::Customer
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A password's Argon2id hash, as a PHC string, and the one thing that it does not tell. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    phc: String,
    is_long: bool,
}

impl PasswordHash {
    /// Takes a PHC string as it is; the hasher checks it when it is used. Of a password that may be a short one.
    pub fn from_phc(phc: String) -> Self {
        Self { phc, is_long: false }
    }

    /// The same hash, of a password that is as long as an operator's must be, or not.
    #[must_use]
    pub fn of_length(self, is_long: bool) -> Self {
        Self { is_long, ..self }
    }

    /// The PHC string.
    pub fn as_phc(&self) -> &str {
        &self.phc
    }

    /// Whether the password is as long as an operator's must be.
    pub fn is_long(&self) -> bool {
        self.is_long
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A token's SHA-256: what is stored of it. Does not print.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// A user, as every decision sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Who it is.
    pub id: UserId,
    /// Unique without regard to case.
    pub email: Email,
    /// What others are shown; absent if never given.
    pub name: Option<String>,
    /// The hash of the password.
    pub password: PasswordHash,
    /// What the user may do.
    pub role: Role,
    /// Frozen users can read and log in, but move no money.
    pub frozen: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the password was last set.
    pub password_changed_at: Timestamp,
    /// When the user last logged in from a network for the first time; none if never but from the first one.
    pub new_address_at: Option<Timestamp>,
    /// The second factor, if there is one.
    pub second_factor: Option<SecondFactor>,
}

impl User {
    /// The most characters that a name may have.
    pub const MAX_NAME: usize = 100;

    /// The second factor, once its user has shown a code of it.
    pub fn active_factor(&self) -> Option<&SecondFactor> {
        self.second_factor.as_ref().filter(|factor| factor.is_confirmed)
    }

    /// Whether an operator must first mend their own credentials before they may do anything else: the password is too
    /// short for an operator's, or real money is at stake and there is no second factor.
    pub fn must_mend(&self, mode: Mode) -> bool {
        let lacks_factor = mode == Mode::Live && self.active_factor().is_none();
        self.role.is_operator() && (lacks_factor || !self.password.is_long())
    }

    /// Whether this can be a name: not too long, and no control characters, of which one engine could not store the zero.
    pub fn allows_name(name: &str) -> bool {
        name.chars().count() <= Self::MAX_NAME && !name.chars().any(char::is_control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("ada@example.com")]
    #[case("Ada.Lovelace+pay@Example.co.uk")]
    #[case("\"a b\"@example.com")]
    #[case("jürgen@exämple.de")]
    #[case("  ada@example.com\t")]
    fn addresses_are_read(#[case] text: &str) {
        let email = Email::parse(text).unwrap();
        assert_eq!(email.as_str(), text.trim());
        assert_eq!(email.folded(), text.trim().to_lowercase());
    }

    #[rstest]
    #[case("")]
    #[case("ada")]
    #[case("ada@")]
    #[case("@example.com")]
    #[case("ada@example.com, eve@example.com")]
    #[case("Ada <ada@example.com>")]
    #[case("ada@exam ple.com")]
    #[case("ada@example.com\nbcc: eve@example.com")]
    #[case("ada@@example.com")]
    #[case("a\0da@example.com")]
    fn what_is_no_address_is_refused(#[case] text: &str) {
        assert_eq!(Email::parse(text), Err(EmailError), "{text:?}");
    }

    #[test]
    fn an_address_of_255_characters_is_too_long() {
        let domain = format!("{0}.{0}.{0}.example.com", "d".repeat(60));
        let at = |local: usize| format!("{}@{domain}", "l".repeat(local));
        assert!(Email::parse(&at(254 - domain.len() - 1)).is_ok());
        assert_eq!(Email::parse(&at(255 - domain.len() - 1)), Err(EmailError));
    }

    #[test]
    fn hashes_do_not_print() {
        assert!(!format!("{:?}", PasswordHash::from_phc("$argon2id$x".into())).contains("argon"));
        assert!(!format!("{:?}", TokenHash([7; 32])).contains('7'));
    }
}
