//! Whom a payment is about, as clients name them.

use crate::ledger::{Email, UserId};

/// Whom a payment goes to, as the client names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// The house, by its name in answers.
    House,
    /// By id.
    User(UserId),
    /// By email.
    Email(Email),
}

impl Recipient {
    /// Reads an email address, a user id or the name of the house.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "house" {
            return Some(Self::House);
        }
        let user = text.parse().map(Self::User);
        user.or_else(|_| Email::parse(text).map(Self::Email)).ok()
    }
}

impl From<Recipient> for crate::teller::Recipient {
    fn from(recipient: Recipient) -> Self {
        match recipient {
            Recipient::House => Self::House,
            Recipient::User(id) => Self::Id(id),
            Recipient::Email(email) => Self::Email(email),
        }
    }
}
