//! Who may do what: passwords, tokens, permissions, the login throttle; the ledger's keys and what is done with them. No
//! I/O but the hash itself.

pub mod hasher;
pub mod keyring;
pub mod ledger_key;
pub mod password;
pub mod permission;
mod pool;
pub mod seal;
pub mod sign;
pub mod throttle;
pub mod token;
pub mod totp;
