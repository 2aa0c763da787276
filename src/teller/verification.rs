//! Verifying the ledger from within the server, one at a time, and remembering what came of it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::ledger::Timestamp;
use crate::store::VerifyReport;

use super::Teller;

/// Recomputes the whole ledger; blocks. What is wrong with it is an error's text where it cannot be read.
pub type Verifier = Arc<dyn Fn() -> Result<VerifyReport, String> + Send + Sync>;

/// What is known of the books.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Since when one is under way.
    pub running_since: Option<Timestamp>,
    /// When the last one ended, and what it found.
    pub last: Option<(Timestamp, Result<VerifyReport, String>)>,
}

/// What the teller keeps of it.
pub(super) struct Verifying {
    verifier: Verifier,
    state: Mutex<Verification>,
}

impl Verifying {
    pub(super) fn new(verifier: Verifier) -> Self {
        Self { verifier, state: Mutex::default() }
    }
}

impl Teller {
    /// What is known of the books.
    pub fn verification(&self) -> Verification {
        self.verifying.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Since when the ledger is being verified, and when it was last: what tells one state of that from another.
    pub fn verification_times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let state = self.verifying.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.running_since, state.last.as_ref().map(|(at, _)| *at))
    }

    /// Begins to verify the ledger, unless that is under way; the answer comes to [`Teller::verification`].
    pub fn begin_verification(self: &Arc<Self>) {
        let mut state = self.verifying.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.running_since.is_some() {
            return;
        }
        state.running_since = Some(self.clock.now());
        drop(state);
        let teller = Arc::clone(self);
        tokio::spawn(async move {
            let verifier = Arc::clone(&teller.verifying.verifier);
            // In a task of its own: where the system has no thread for it, this panics.
            let verifying = tokio::spawn(async { tokio::task::spawn_blocking(move || verifier()).await });
            let found = verifying.await.flatten().unwrap_or_else(|error| Err(error.to_string()));
            if let Ok(VerifyReport { discrepancies, .. }) = &found
                && !discrepancies.is_empty()
            {
                tracing::error!(count = discrepancies.len(), "the ledger does not follow from its journal");
            }
            let at = teller.clock.now();
            let mut state = teller.verifying.state.lock().unwrap_or_else(PoisonError::into_inner);
            *state = Verification { running_since: None, last: Some((at, found)) };
        });
    }
}
