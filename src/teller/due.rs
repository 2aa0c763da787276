//! What falls due without anybody asking. The worker calls these; each record found is only a hint, and the decision
//! looks again.

use crate::ledger::{
    Action, Command, Deadline, Expire, LapseRequest, PaymentId, PaymentRequest, PaymentRequestId, RecordKind,
    Review, Stored, Timestamp, TransactionId,
};
use crate::store::Answer;

use super::{Teller, TellerError};

/// Payments, and payment requests, that are looked at in one round.
const ROUND: usize = 200;

impl Teller {
    /// How many payments are held whose time is up before that moment, as far as [`ROUND`] of each kind.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn lapsing(&self, before: Timestamp) -> Result<usize, TellerError> {
        let mut lapsing = 0_usize;
        for kind in [Deadline::KIND, Review::KIND] {
            lapsing = lapsing.saturating_add(self.store.due_records(kind, before, ROUND).await?.len());
        }
        Ok(lapsing)
    }

    /// Releases the money of payments that were neither captured nor reviewed in time; says how many.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn lapse_holds(&self) -> Result<usize, TellerError> {
        let mut lapsed = 0_usize;
        for kind in [Deadline::KIND, Review::KIND] {
            lapsed = lapsed.saturating_add(self.lapse(kind).await?);
        }
        Ok(lapsed)
    }

    /// Tells of payment requests that were not paid in time; says of how many.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn lapse_requests(&self) -> Result<usize, TellerError> {
        self.lapse(PaymentRequest::KIND).await
    }

    async fn lapse(&self, kind: RecordKind) -> Result<usize, TellerError> {
        let due = self.store.due_records(kind, self.clock.now(), ROUND).await?;
        // All are handed over before the first answer is waited for, so that they make few batches.
        let mut answers: Vec<Answer<'_, crate::ledger::Outcome>> = Vec::with_capacity(due.len());
        for record in due {
            let action = if kind == PaymentRequest::KIND {
                let (request, owner) = (PaymentRequestId::new(record.key.id), record.filing.owner);
                Action::LapseRequest(LapseRequest { request, owner })
            } else {
                let step = TransactionId::new(self.clock.uuid()?);
                let request = record.read::<Review>().and_then(|review| review.request);
                Action::Expire(Expire { payment: PaymentId::new(record.key.id), request, step })
            };
            answers.push(self.store.execute(Command { origin: self.host_origin()?, action }));
        }
        let mut lapsed = 0_usize;
        for answer in answers {
            // A no says that another node was first, or that its clock is a little ahead.
            if answer.await?.result.is_ok() {
                lapsed = lapsed.saturating_add(1);
            }
        }
        Ok(lapsed)
    }
}
