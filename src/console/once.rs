//! Forms that make something are taken once: each carries a word of its own, and a word that was taken is known for a
//! while. A double click and a reload of the answer make nothing again.
//!
//! Forms that move money claim nothing: of their word an idempotency key is made, which the ledger keeps for good. What else
//! is made moves no money, so that a process's own memory is enough.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use maud::{Markup, html};

use super::cookie::{fingerprint, new_secret};
use super::form::Filled;
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::ledger::IdempotencyKey;

/// How many words are known at most, the newest.
const KNOWN: usize = 4_096;
/// The field that carries the word.
const FIELD: &str = "nonce";

static TAKEN: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// The right to make what a form asks for. Given up without [`Claim::keep`], the form may be sent again.
pub(super) struct Claim {
    word: String,
    is_kept: bool,
}

/// Takes a form, if it was not taken before.
///
/// # Errors
/// 403 if it carries no word.
pub(super) fn claim(call: &Call) -> Result<Option<Claim>, Problem> {
    let sent = Filled::sent(call);
    let nonce = sent.value(FIELD);
    if nonce.is_empty() {
        return Err(Problem::new(Code::FormExpired));
    }
    let word = fingerprint(&[&call.who()?.user.id.to_string(), call.uri.path(), nonce]);
    Ok(Claim::of(word))
}

impl Claim {
    fn of(word: String) -> Option<Self> {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.contains(&word) {
            return None;
        }
        if taken.len() >= KNOWN {
            taken.pop_front();
        }
        taken.push_back(word.clone());
        Some(Self { word, is_kept: false })
    }

    /// What the form asks for was made.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_kept {
            let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
            taken.retain(|word| *word != self.word);
        }
    }
}

/// The hidden field: the word that the form had, or a new one.
///
/// # Errors
/// If there is no randomness.
pub(super) fn field(call: &Call, filled: &Filled) -> Result<Markup, Problem> {
    let nonce = match filled.value(FIELD) {
        "" => new_secret(call.teller().clock()).map_err(|error| Problem::internal(error.to_string()))?,
        nonce => nonce.to_owned(),
    };
    Ok(html! { input type="hidden" name=(FIELD) value=(nonce); })
}

/// The key under which a form pays, however often it is sent: the same for the same form with the same values.
///
/// # Errors
/// None that a form can cause.
pub(super) fn key(call: &Call, fields: &[&str]) -> Result<IdempotencyKey, Problem> {
    let sent = Filled::sent(call);
    let values = fields.iter().map(|name| sent.value(name));
    let parts: Vec<&str> = [call.uri.path(), sent.value(FIELD)].into_iter().chain(values).collect();
    let key = format!("console-{}", fingerprint(&parts));
    IdempotencyKey::parse(&key).map_err(|error| Problem::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_taken_once_unless_it_is_given_up() {
        drop(Claim::of("given up".to_owned()).unwrap());
        let claim = Claim::of("given up".to_owned()).unwrap();
        assert!(Claim::of("given up".to_owned()).is_none(), "under way");
        claim.keep();
        assert!(Claim::of("given up".to_owned()).is_none(), "made");
        assert!(Claim::of("another".to_owned()).is_some());
    }
}
