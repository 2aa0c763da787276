//! The console over real HTTP: what its cookies, forms and answers must be, whatever the browser. What a real browser
//! makes of it is in `tests/browser`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod desk;
mod forms;
mod headers;
mod programs;
mod requests;
mod security;
mod sessions;
mod statements;
mod steps;
