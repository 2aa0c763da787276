//! What a receipt says of one row of the journal: all that both of its sides may know, and nothing else.
//!
//! Balances, idempotency keys and what was available stay out: the other side would learn them, and the hash chain
//! has them. Each field is a text, so that there is one way to write it. The leaf of the Merkle tree is SHA-256 over a
//! zero byte and, field by field in the order below, the length of the text (8 bytes, highest first) and the text; a
//! field that is null is eight bytes of 255.

use serde::{Deserialize, Serialize};

use super::tree::leaf_hash;
use crate::ledger::chain::Hash;
use crate::ledger::{Party, TopupMethod, Transaction};

/// One row of the journal, as its two sides may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Its place in the journal, from 1.
    pub sequence: u64,
    /// Its id as a transaction.
    pub transaction: String,
    /// What it is: `payment`, `topup` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// The payment that it is or is about; of other transactions none.
    pub payment: Option<String>,
    /// What became of it, or where it left the payment.
    pub status: String,
    /// In major units.
    pub amount: String,
    /// An ISO 4217 code.
    pub currency: String,
    /// Who gives.
    pub from: Side,
    /// Who gets.
    pub to: Side,
    /// For people; empty if there is none.
    pub description: String,
    /// For the books; empty if there is none.
    pub reference: String,
    /// A JSON object as text; empty if there is none.
    pub metadata: String,
    /// The simulated method of a top-up.
    pub method: Option<String>,
    /// Why nothing moved.
    pub decline: Option<String>,
    /// When it was written.
    pub created_at: String,
}

/// One of the two sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// A user's id, or the name of a party that every ledger has.
    pub id: String,
    /// The name at that time.
    pub name: Option<String>,
}

impl Statement {
    /// What the journal's row with that number says.
    pub fn of(sequence: u64, transaction: &Transaction) -> Self {
        let money = transaction.money;
        Self {
            sequence,
            transaction: transaction.id.to_string(),
            kind: transaction.kind.name().to_owned(),
            payment: transaction.payment().map(|payment| payment.to_string()),
            status: status(transaction).to_owned(),
            amount: money.to_string(),
            currency: money.currency().code().to_owned(),
            from: Side::of(&transaction.from),
            to: Side::of(&transaction.to),
            description: transaction.memo.description.clone(),
            reference: transaction.memo.reference.clone(),
            metadata: transaction.memo.metadata.clone(),
            method: transaction.method.map(|method| TopupMethod::name(method).to_owned()),
            decline: transaction.decline.map(|decline| decline.name().to_owned()),
            created_at: transaction.created_at.to_string(),
        }
    }

    /// Whether the row is that payment, or is about it.
    pub fn is_about(&self, payment: &str) -> bool {
        self.payment.as_deref() == Some(payment)
    }

    /// Its leaf in the Merkle tree.
    pub fn leaf(&self) -> Hash {
        let sequence = self.sequence.to_string();
        let fields = [
            Some(&sequence),
            Some(&self.transaction),
            Some(&self.kind),
            self.payment.as_ref(),
            Some(&self.status),
            Some(&self.amount),
            Some(&self.currency),
            Some(&self.from.id),
            self.from.name.as_ref(),
            Some(&self.to.id),
            self.to.name.as_ref(),
            Some(&self.description),
            Some(&self.reference),
            Some(&self.metadata),
            self.method.as_ref(),
            self.decline.as_ref(),
            Some(&self.created_at),
        ];
        let mut bytes = Vec::with_capacity(512);
        for field in fields {
            match field {
                None => bytes.extend([u8::MAX; 8]),
                Some(text) => {
                    bytes.extend(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
        leaf_hash(&bytes)
    }
}

fn status(transaction: &Transaction) -> &'static str {
    match transaction.payment_state() {
        Some(state) => state.status.name(),
        None if transaction.decline.is_some() => "declined",
        None => "succeeded",
    }
}

impl Side {
    fn of(party: &Party) -> Self {
        Self { id: party.id.told(), name: party.name.clone() }
    }
}
