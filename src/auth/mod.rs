//! Who may do what: passwords, tokens, permissions and the login throttle. No I/O but the hash itself.

pub mod password;
pub mod permission;
mod pool;
pub mod throttle;
pub mod token;
