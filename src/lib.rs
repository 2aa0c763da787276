//! Farthing: a secure payment backend in one binary.
//!
//! A guided tour, from the inside out. Imports go one way, down this list never up:
//!
//! 1. [`ledger`] is the pure core: money, ids, commands, and [`ledger::decide()`], which holds every business rule.
//!    No I/O, no clock, no randomness.
//! 2. [`auth`] knows passwords, tokens, permissions and the login throttle.
//! 3. [`proof`] proves to others what the ledger holds: checkpoints and receipts.
//! 4. [`clock`] is the only source of time and random bytes.
//! 5. [`store`] carries what the ledger decided: engines load rows, run the decision, write the difference.
//! 6. [`webhook`] signs what is sent to other people's servers and guards where it goes.
//! 7. [`teller`] is the one door: authorise, stamp time and ids, commit. HTTP and command line both go through it.
//!    [`worker`] asks it for what is due without anybody asking.
//! 8. [`courier`] hands events to webhooks and carries the deliveries out.
//! 9. [`books`] writes journals and statements down for accountants.
//! 10. [`http`], [`console`] and [`cli`] translate between the world and the teller. [`telemetry`] watches, [`config`]
//!     refuses bad settings at start.

pub mod auth;
pub mod books;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod courier;
pub mod http;
pub mod ledger;
pub mod proof;
pub mod store;
pub mod telemetry;
pub mod teller;
pub mod webhook;
pub mod worker;
