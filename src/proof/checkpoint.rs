//! Checkpoints: how far the journal went, signed, so that nobody can cut it or write it anew behind one unseen.
//!
//! What is signed is the text that [`Checkpoint::signed_text`] gives, a line for each thing: anybody can write it down
//! again from the fields. A checkpoint is one JSON object on a line of its own.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::parse_hash;
use crate::auth::sign::{PublicKey, Signer};
use crate::ledger::Timestamp;
use crate::ledger::chain::Hash;
use crate::ledger::hexadecimal;

/// The version of a checkpoint's form.
const FORM: u64 = 1;

/// How far a ledger's journal went: what a checkpoint is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which ledger, in whatever place.
    pub ledger: Uuid,
    /// Which of its lives: one more with each restore.
    pub epoch: u64,
    /// Transactions of the journal.
    pub transactions: u64,
    /// The root of the Merkle tree over their statements.
    pub root: Hash,
    /// Security events.
    pub events: u64,
    /// Blocks of the hash chain.
    pub blocks: u64,
    /// The hash of the last one.
    pub head: Hash,
    /// The time of the last one.
    pub at: Timestamp,
}

/// A signed position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The version of this form.
    version: u64,
    ledger: String,
    epoch: u64,
    transactions: u64,
    root: String,
    events: u64,
    blocks: u64,
    head: String,
    at: String,
    key: String,
    signature: String,
}

/// Why a checkpoint is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// It is in no form that this version knows.
    #[error("it is no checkpoint that this version can read")]
    Unreadable,
    /// It is signed with a key that is not among those believed.
    #[error("it is signed with another key than those given")]
    UnknownKey,
    /// The signature is not that key's, or what was signed was altered.
    #[error("its signature is wrong: it was altered, or somebody else wrote it")]
    WrongSignature,
}

impl Checkpoint {
    /// Signs a position.
    pub fn sign(position: &Position, signer: &Signer) -> Self {
        let mut checkpoint = Self {
            version: FORM,
            ledger: position.ledger.to_string(),
            epoch: position.epoch,
            transactions: position.transactions,
            root: hexadecimal::write(&position.root),
            events: position.events,
            blocks: position.blocks,
            head: hexadecimal::write(&position.head),
            at: position.at.to_string(),
            key: signer.public().to_string(),
            signature: String::new(),
        };
        checkpoint.signature = signer.sign(checkpoint.signed_text().as_bytes());
        checkpoint
    }

    /// Reads a line of a file of checkpoints; whether it is to be believed is [`Checkpoint::check`]'s to say.
    ///
    /// # Errors
    /// [`CheckpointFault::Unreadable`].
    pub fn parse(line: &str) -> Result<Self, CheckpointFault> {
        serde_json::from_str(line).map_err(|_| CheckpointFault::Unreadable)
    }

    /// What is signed.
    pub fn signed_text(&self) -> String {
        let Self { version, ledger, epoch, transactions, root, events, blocks, head, at, .. } = self;
        format!(
            "farthing checkpoint {version}\nledger {ledger}\nepoch {epoch}\ntransactions {transactions}\n\
             root {root}\nevents {events}\nblocks {blocks}\nhead {head}\nat {at}\n"
        )
    }

    /// Believes it if one of these keys signed it.
    ///
    /// # Errors
    /// [`CheckpointFault`].
    pub fn check(&self, keys: &[PublicKey]) -> Result<(), CheckpointFault> {
        let (Some(_), Some(_), FORM) = (self.root(), self.head(), self.version) else {
            return Err(CheckpointFault::Unreadable);
        };
        let key = PublicKey::parse(&self.key).ok_or(CheckpointFault::Unreadable)?;
        if !keys.contains(&key) {
            return Err(CheckpointFault::UnknownKey);
        }
        if key.verifies(self.signed_text().as_bytes(), &self.signature) {
            Ok(())
        } else {
            Err(CheckpointFault::WrongSignature)
        }
    }

    /// The id of the ledger that it is of.
    pub fn ledger(&self) -> &str {
        &self.ledger
    }

    /// Whether it is of that ledger.
    pub fn is_of(&self, ledger: Uuid) -> bool {
        self.ledger == ledger.to_string()
    }

    /// Which of its lives.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Transactions of the journal.
    pub fn transactions(&self) -> u64 {
        self.transactions
    }

    /// Security events.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Blocks of the hash chain.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// When the last block was written.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// The root of the Merkle tree.
    pub fn root(&self) -> Option<Hash> {
        parse_hash(&self.root)
    }

    /// The hash of the last block.
    pub fn head(&self) -> Option<Hash> {
        parse_hash(&self.head)
    }

    /// The line that it is in a file.
    ///
    /// # Errors
    /// None that this type can cause; the encoder's are passed on.
    pub fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|line| line + "\n")
    }
}
