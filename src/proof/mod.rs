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

use std::fmt::Write as _;

use crate::ledger::chain::Hash;

pub use checkpoint::{Checkpoint, Position};
pub use receipt::{Receipt, ReceiptFault};
pub use statement::Statement;
pub use tree::Tree;

/// A hash as 64 hexadecimal digits in lower-case.
pub fn hexadecimal(hash: &Hash) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads what [`hexadecimal`] writes, and nothing else.
pub fn parse_hexadecimal(text: &str) -> Option<Hash> {
    let digits = text.as_bytes();
    let mut hash = Hash::default();
    if digits.len() != hash.len().checked_mul(2)? || text.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [*pair.first()?, *pair.get(1)?].map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high?.checked_mul(16)?.checked_add(low?)?).ok()?;
    }
    Some(hash)
}
