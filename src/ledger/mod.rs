//! The pure core. Std, serde and the vocabulary of ISO 4217 and UUIDs; no I/O, no clock, no randomness.

mod id;
mod money;
mod time;
mod user;

pub use id::{IdError, PaymentId, RequestId, SecurityEventId, SessionId, TransactionId, UserId};
pub use money::{Balance, Currency, Money, MoneyError};
pub use time::Timestamp;
pub use user::{Email, EmailError, PasswordHash, Role, TokenHash, User};
