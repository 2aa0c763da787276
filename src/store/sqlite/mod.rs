//! The SQLite engine.

mod filter;
pub mod key_index;
