//! Receipts: what the journal says of a payment, and the proof that it does, to be checked with a public key alone.
//!
//! Each row is led by the hashes beside its way to the root that the checkpoint signs. So nobody without the ledger's
//! key can make one, and the ledger cannot take a row back without contradicting its own signature.

use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, CheckpointFault};
use super::parse_hash;
use super::statement::Statement;
use super::tree::root_of_proof;
use crate::auth::sign::PublicKey;
use crate::ledger::chain::Hash;
use crate::ledger::hexadecimal;

/// The version of a receipt's form.
const FORM: u64 = 1;

/// A receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The version of this form.
    version: u64,
    /// The payment.
    payment: String,
    /// The journal's rows about it, oldest first.
    rows: Vec<Row>,
    /// What signs them.
    checkpoint: Checkpoint,
}

/// A row and its place in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What the journal says.
    pub statement: Statement,
    /// The hashes beside its way to the root, from the bottom up.
    path: Vec<String>,
}

impl Row {
    /// A row with its proof.
    pub fn new(statement: Statement, path: &[Hash]) -> Self {
        Self { statement, path: path.iter().map(|hash| hexadecimal::write(hash)).collect() }
    }
}

/// Why a receipt is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    /// It is in no form that this version knows.
    #[error("it is no receipt that this version can read")]
    Unreadable,
    /// It holds no row, or one of another payment.
    #[error("it is not about the payment that it names")]
    OtherPayment,
    /// The checkpoint is not believed.
    #[error("its checkpoint is not believed: {0}")]
    Checkpoint(#[from] CheckpointFault),
    /// A row is not in the journal that the checkpoint signs.
    #[error("row {0} of the journal is not what was signed: it was altered")]
    NotInTree(u64),
}

impl Receipt {
    /// A receipt of these rows.
    pub fn new(payment: String, rows: Vec<Row>, checkpoint: Checkpoint) -> Self {
        Self { version: FORM, payment, rows, checkpoint }
    }

    /// Reads a receipt; whether it is to be believed is [`Receipt::check`]'s to say.
    ///
    /// # Errors
    /// [`ReceiptFault::Unreadable`].
    pub fn parse(text: &[u8]) -> Result<Self, ReceiptFault> {
        serde_json::from_slice(text).map_err(|_| ReceiptFault::Unreadable)
    }

    /// Believes it if one of these keys signed a journal with all of its rows.
    ///
    /// # Errors
    /// [`ReceiptFault`].
    pub fn check(&self, keys: &[PublicKey]) -> Result<(), ReceiptFault> {
        if self.version != FORM {
            return Err(ReceiptFault::Unreadable);
        }
        self.checkpoint.check(keys)?;
        let root = self.checkpoint.root().ok_or(ReceiptFault::Unreadable)?;
        if self.rows.is_empty() {
            return Err(ReceiptFault::OtherPayment);
        }
        for Row { statement, path } in &self.rows {
            if !statement.is_about(&self.payment) {
                return Err(ReceiptFault::OtherPayment);
            }
            let path = path.iter().map(|hash| parse_hash(hash)).collect::<Option<Vec<_>>>();
            let path = path.ok_or(ReceiptFault::Unreadable)?;
            let (leaf, size) = (statement.leaf(), self.checkpoint.transactions());
            let index = statement.sequence.checked_sub(1);
            let leads_to = index.and_then(|index| root_of_proof(&leaf, index, size, &path));
            if leads_to != Some(root) {
                return Err(ReceiptFault::NotInTree(statement.sequence));
            }
        }
        Ok(())
    }

    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What signs them.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The payment's id.
    pub fn payment(&self) -> &str {
        &self.payment
    }
}
