//! Who may do what: passwords, tokens, permissions, the login throttle and the ledger's key. No I/O but the hash itself.

pub mod ledger_key;
pub mod password;
pub mod permission;
mod pool;
pub mod throttle;
pub mod token;
