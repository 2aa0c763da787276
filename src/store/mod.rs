//! Placeholder header.

pub mod sqlite;
