//! A user's second factor: codes that change with time (TOTP, RFC 6238), and codes to recover with.
//!
//! The seed is sealed before it comes here, so that the ledger cannot read it. Whoever can checks a code against the seed
//! and tells the decision the code's *time step*; the decision takes each step once, so that a code that somebody saw is
//! of no use, on whatever node.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::chain::Hash;

/// A second factor.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// The sealed seed.
    pub seed: String,
    /// Whether its user has shown a code of it. Before that it is asked for nowhere.
    pub is_confirmed: bool,
    /// The step of the last code that was taken; 0 before the first.
    pub last_step: u64,
    /// Hashes of the recovery codes that are left: each is as good as a code, once.
    pub recovery: Vec<Hash>,
}

impl fmt::Debug for SecondFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_confirmed, last_step, recovery, .. } = self;
        write!(f, "SecondFactor({is_confirmed} {last_step} {})", recovery.len())
    }
}

/// What somebody showed for a second factor, as the door found it. Does not print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A code of the seed, of this time step.
    Step(u64),
    /// The hash of something that may be a recovery code.
    Recovery(Hash),
}

/// What came of what somebody showed, or did not show, where a second factor may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Nothing was shown.
    Nothing,
    /// It was no code.
    Wrong,
    /// It may be worth something.
    Proof(Proof),
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(…)")
    }
}

impl SecondFactor {
    /// The factor after the proof was taken; none if it is worth nothing, or was taken before.
    pub fn take(&self, proof: Proof) -> Option<Self> {
        let mut after = self.clone();
        match proof {
            Proof::Step(step) if step > self.last_step => after.last_step = step,
            Proof::Step(_) => return None,
            Proof::Recovery(shown) => {
                let place = self.recovery.iter().position(|code| *code == shown)?;
                after.recovery.remove(place);
            }
        }
        Some(after)
    }
}
