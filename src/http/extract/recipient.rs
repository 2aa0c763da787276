//! Whom a payment is about, as clients name them.

use crate::ledger::Email;
use crate::teller::Recipient;

/// Reads an email address, a user id or the name of the house.
pub fn recipient(text: &str) -> Option<Recipient> {
    let text = text.trim();
    if text == "house" {
        return Some(Recipient::House);
    }
    let user = text.parse().map(Recipient::Id);
    user.or_else(|_| Email::parse(text).map(Recipient::Email)).ok()
}
