//! What survives: `kill -9`, a full disk, a disk that fails, a power cut, signals, clocks that jump, and too few file
//! handles, no threads, or too little memory.
//!
//! Every test drives the real binary with concurrent clients that write down what they asked and what they were
//! told, breaks something, mends it, and then compares the ledger with that book from outside: each acknowledged
//! payment exists once with its amount and parties, each unknown one resolves to one effect or none under its key,
//! nothing was invented, nothing is negative, every balance is what the book says, and `farthing verify` agrees.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

#[path = "../console/browser.rs"]
#[allow(dead_code, reason = "test code, of which other tests use the rest")]
mod browser;
#[path = "../support/mod.rs"]
mod support;

mod clock;
mod disk;
mod fsync;
mod kill;
mod power_cut;
mod signals;
mod strace;
mod threads;
mod trace;
mod world;
