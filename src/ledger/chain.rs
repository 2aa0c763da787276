//! The hash chain over the journal and the security events.
//!
//! Each batch that wrote transactions or events is a block. Its digest is SHA-256 over the canonical form of its rows
//! in their order, without their time, which is the block's: the time stands in the link. The block's hash is
//! SHA-256(previous hash ‖ digest ‖ time), the time as 8 bytes of milliseconds, highest first; the first block's
//! previous hash is 32 zero bytes. So the time can be settled last, where a database gives it.
//! The canonical form puts the length before each text, so that no two different rows have the same bytes.

use sha2::{Digest, Sha256};

use super::{Decline, SecurityEvent, Timestamp, Transaction};

/// A digest or a hash: 32 bytes.
pub type Hash = [u8; 32];

/// What the first block follows.
pub const GENESIS: Hash = [0; 32];

/// The hash of a block that follows one with the hash `previous`, has that digest and was written at that time.
pub fn link(previous: &Hash, digest: &Hash, at: Timestamp) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(digest);
    hasher.update(at.as_millis().to_be_bytes());
    hasher.finalize().into()
}

/// Gathers a block's rows and digests them.
#[derive(Debug, Default)]
pub struct BlockDigest {
    bytes: Vec<u8>,
}

impl BlockDigest {
    /// Takes the next transaction, all of it but its time.
    pub fn transaction(&mut self, transaction: &Transaction) {
        self.tag(b'T');
        self.bytes.extend(transaction.id.uuid().as_bytes());
        self.text(transaction.kind.name());
        for party in [&transaction.from, &transaction.to] {
            self.bytes.extend(party.id.uuid().as_bytes());
            self.optional_text(party.name.as_deref());
        }
        self.number(transaction.money.amount_minor());
        self.text(transaction.money.currency().code());
        self.text(&transaction.memo.description);
        self.text(&transaction.memo.reference);
        self.text(&transaction.memo.metadata);
        self.optional_text(transaction.method.map(super::TopupMethod::name));
        self.optional_text(transaction.decline.map(super::Decline::name));
        if let Some(Decline::InsufficientFunds { available_minor }) = transaction.decline {
            self.number(available_minor);
        }
        self.optional_text(transaction.key.as_ref().map(super::IdempotencyKey::as_str));
        for entry in &transaction.entries {
            self.tag(b'E');
            self.bytes.extend(entry.account.owner.uuid().as_bytes());
            self.text(entry.account.kind.name());
            self.text(entry.account.currency.code());
            self.number(entry.amount_minor);
            self.number(entry.balance_after_minor);
        }
    }

    /// Takes the next security event, all of it but its time.
    pub fn event(&mut self, event: &SecurityEvent) {
        self.tag(b'S');
        self.bytes.extend(event.id.uuid().as_bytes());
        self.text(event.kind.name());
        self.text(event.severity.name());
        self.optional_text(event.user.map(|user| user.to_string()).as_deref());
        self.optional_text(event.ip.map(|ip| ip.to_string()).as_deref());
        self.optional_text(event.user_agent.as_deref());
        self.bytes.extend(event.request.uuid().as_bytes());
        self.text(&event.detail);
    }

    /// The digest of the rows taken.
    pub fn finish(self) -> Hash {
        Sha256::digest(&self.bytes).into()
    }

    fn tag(&mut self, tag: u8) {
        self.bytes.push(tag);
    }

    fn number(&mut self, number: i64) {
        self.bytes.extend(number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(i64::try_from(text.len()).unwrap_or(i64::MAX));
        self.bytes.extend(text.as_bytes());
    }

    fn optional_text(&mut self, text: Option<&str>) {
        match text {
            None => self.tag(0),
            Some(text) => {
                self.tag(1);
                self.text(text);
            }
        }
    }
}
