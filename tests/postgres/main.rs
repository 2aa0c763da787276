//! Faults of PostgreSQL and of the way to it, and several nodes on one database: nothing acknowledged is lost, nothing
//! happens twice, and service comes back by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop at what it did not expect"
)]

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod moves;
mod nodes;
mod plans;
mod recalled;
mod reset;
mod rights;
mod tls;
