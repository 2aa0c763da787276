//! The HTTP API over real connections: one file a noun, and in each every sentence that the API promises about it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

#[path = "../support/mod.rs"]
mod support;

mod activity;
mod api_keys;
mod bodies;
mod cash;
mod conventions;
mod edge;
mod events;
mod factors;
mod limits;
mod lists;
mod monitoring;
mod operators;
mod payments;
mod reconciliations;
mod requests;
mod reviews;
mod sandbox;
mod schedules;
mod sessions;
mod statements;
mod system;
mod throttle;
mod transactions;
mod users;
mod wallets;
mod webhooks;
