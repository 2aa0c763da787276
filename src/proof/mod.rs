//! What proves to others what the ledger holds, with no ledger at hand: signed checkpoints and receipts.
//!
//! - `statement`: what a receipt says of a row of the journal;
//! - `tree`: the Merkle tree over these statements (RFC 6962), in which a row's place can be shown with a few hashes;
//! - `checkpoint`: how far the journal went at a time, tree and chain, signed;
//! - `receipt`: a payment's rows, their places in the tree, and the checkpoint that holds them.
//!
//! Pure: no I/O, no clock. `docs/audit.md` says how to check all of it with other tools.

pub mod checkpoint;
pub mod receipt;
pub mod statement;
pub mod tree;

use crate::ledger::chain::Hash;
use crate::ledger::hexadecimal;

pub use checkpoint::{Checkpoint, Position};
pub use receipt::{Receipt, ReceiptFault};
pub use statement::Statement;
pub use tree::Tree;

/// Reads a hash of 64 hexadecimal digits in lower-case, and nothing else.
fn parse_hash(text: &str) -> Option<Hash> {
    let is_lower = !text.bytes().any(|digit| digit.is_ascii_uppercase());
    is_lower.then(|| hexadecimal::read(text)).flatten()
}
