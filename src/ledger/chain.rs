//! The hash chain over the journal and the security events.
//!
//! Each batch that wrote transactions or events is a block. Its digest is SHA-256 over the canonical form of its rows
//! in their order, without their time, which is the block's: the time stands in the link. The block's hash is
//! SHA-256(previous hash ‖ digest ‖ time), the time as 8 bytes of milliseconds, highest first; the first block's
//! previous hash is 32 zero bytes. So the time can be settled last, where a database gives it.
//! The canonical form puts the length before each text, so that no two different rows have the same bytes.
//!
//! Beside its digest a block keeps a mark of each row, by which a changed row is told from its neighbours. Marks prove
//! nothing: whoever changes a row may change its mark, and then the digest tells the block alone.

use sha2::{Digest, Sha256};

use super::{Capture, Decline, SecurityEvent, Stage, Timestamp, Transaction};

/// A digest or a hash: 32 bytes.
pub type Hash = [u8; 32];

/// What tells a row from what it was: 4 bytes of a hash that is quick and no secret.
pub type Mark = [u8; 4];

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
    marks: Vec<u8>,
}

/// A block's rows in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digested {
    /// The digest of all of them.
    pub digest: Hash,
    /// The marks of the transactions and then of the events, one after another.
    pub marks: Vec<u8>,
}

impl BlockDigest {
    /// Takes the next transaction, all of it but its time.
    pub fn transaction(&mut self, transaction: &Transaction) -> Mark {
        let begin = self.bytes.len();
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
        self.life(transaction);
        for entry in &transaction.entries {
            self.tag(b'E');
            self.bytes.extend(entry.account.owner.uuid().as_bytes());
            self.text(entry.account.kind.name());
            self.text(entry.account.currency.code());
            self.number(entry.amount_minor);
            self.number(entry.balance_after_minor);
        }
        self.mark(begin)
    }

    /// What a transaction is in the life of a payment, each thing behind a tag of its own and only where there is
    /// something to say.
    fn life(&mut self, transaction: &Transaction) {
        if transaction.capture == Capture::Manual {
            self.tag(b'C');
        }
        match &transaction.stage {
            Stage::Whole => {}
            Stage::Held(hold) => {
                self.tag(b'H');
                self.text(hold.status().name());
            }
            Stage::Step(step) => {
                self.tag(b'P');
                self.bytes.extend(step.payment.uuid().as_bytes());
                self.text(step.state.status.name());
                self.number(step.state.captured_minor);
                self.number(step.state.refunded_minor);
                self.text(&step.note);
            }
        }
        if let Some(actor) = transaction.actor {
            self.tag(b'A');
            self.bytes.extend(actor.uuid().as_bytes());
        }
        for (tag, balance) in [(b'F', transaction.after.from), (b'G', transaction.after.to)] {
            if let Some(balance) = balance {
                self.tag(tag);
                self.number(balance);
            }
        }
    }

    /// Takes the next security event, all of it but its time.
    pub fn event(&mut self, event: &SecurityEvent) -> Mark {
        let begin = self.bytes.len();
        self.tag(b'S');
        self.bytes.extend(event.id.uuid().as_bytes());
        self.text(event.kind.name());
        self.text(event.severity.name());
        self.optional_text(event.user.map(|user| user.to_string()).as_deref());
        self.optional_text(event.ip.map(|ip| ip.to_string()).as_deref());
        self.optional_text(event.user_agent.as_deref());
        self.bytes.extend(event.request.uuid().as_bytes());
        self.text(&event.detail);
        self.mark(begin)
    }

    /// The rows taken, in short.
    pub fn finish(self) -> Digested {
        Digested { digest: Sha256::digest(&self.bytes).into(), marks: self.marks }
    }

    /// Marks the row whose bytes begin there. Each step can be undone, so that two rows that differ within 8 bytes of
    /// each other never have the same 64 bits; the mark is the upper half.
    fn mark(&mut self, begin: usize) -> Mark {
        let mut state = 0_u64;
        for chunk in self.bytes.get(begin..).unwrap_or_default().chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(byte, next)| *byte = *next);
            state = (state.rotate_left(5) ^ u64::from_be_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
        let [first, second, third, fourth, ..] = state.to_be_bytes();
        let mark = [first, second, third, fourth];
        self.marks.extend(mark);
        mark
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
