//! What every black-box test shares: a server in a folder of its own, a small HTTP/1.1 client, users, and a seeded
//! source of random numbers.
//!
//! Nothing here reaches into the program: tests see what a client or an operator sees. The client checks the
//! conventions that hold for *every* answer (a request id, problem documents, no leaks) on every answer it reads,
//! so that each test is also a test of those.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "test code: a wrong assumption must stop the test, and no test binary uses all of this"
)]

pub mod cast;
mod client;
pub mod damage;
pub mod factor;
pub mod lists;
pub mod postgres;
pub mod proxy;
pub mod random;
pub mod receiver;
pub mod server;
pub mod shape;
pub mod stories;
pub mod user;
pub mod wait;

pub use client::{Client, Request, Response, at_once};
pub use random::Random;
pub use server::Server;
pub use user::{PASSWORD, User};
pub use wait::{found, until};

/// Whether the long counts were asked for (`./test --long`).
pub fn long_run() -> bool {
    std::env::var_os("FARTHING_LONG").is_some_and(|value| value != "0" && !value.is_empty())
}

/// The count for an ordinary run, or the one for a long run.
pub fn count(ordinary: usize, long: usize) -> usize {
    if long_run() { long } else { ordinary }
}
