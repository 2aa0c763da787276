//! Parsing at the door: bodies, queries and headers become types that cannot hold a wrong value, or one problem that
//! names everything that is wrong.

mod form;
mod headers;
mod moment;
mod query;
mod recipient;

pub use form::{Form, MAX_METADATA_PAIRS};
pub use headers::{bearer_token, idempotency_key, is_json, is_one_of, last_event_id, user_agent};
pub use moment::{parse_end, parse_start};
pub use query::{Cursor, MAX_LIMIT, Place, Query, decode_form};

use super::problem::{FieldError, Problem};
use crate::ledger::{Currency, MoneyError};

/// The most errors that one answer lists, so that a small request cannot ask for a large answer.
const MAX_ERRORS: usize = 100;

/// The errors gathered so far.
#[derive(Debug, Default)]
pub struct Errors(Vec<FieldError>);

impl Errors {
    fn push(&mut self, field: &str, code: &'static str, message: impl Into<String>) {
        if self.0.len() < MAX_ERRORS {
            let field = field.chars().take(100).collect();
            self.0.push(FieldError { field, code, message: message.into() });
        }
    }

    /// The value, if nothing was wrong.
    ///
    /// # Errors
    /// 422 with every error; 500 if there is neither a value nor an error, which would be a mistake of ours.
    fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        if !self.0.is_empty() {
            return Err(Problem::validation(&self.0));
        }
        value.ok_or_else(|| Problem::internal("a value was refused without an error"))
    }
}

/// Reads a currency's code; shared by bodies and queries.
fn currency(errors: &mut Errors, field: &str, text: &str) -> Option<Currency> {
    Currency::parse(text)
        .map_err(|error: MoneyError| errors.push(field, error.code(), error.to_string()))
        .ok()
}
