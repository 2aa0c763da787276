//! Payments under review: which wait, and why.

use std::sync::Arc;

use crate::ledger::{PaymentId, Record, RecordKey, Review, Stored, Transaction};
use crate::store::{Order, Page, PageRequest, RecordQuery, StoreError};

use super::{Identity, Teller, TellerError};

/// A payment that waits for an operator.
#[derive(Debug, Clone)]
pub struct ReviewNow {
    /// Its first row.
    pub first: Arc<Transaction>,
    /// Why it waits.
    pub review: Review,
    /// When it was held, and when its money is released if nobody looks at it.
    pub record: Arc<Record>,
}

/// How much waits for operators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReviewQueue {
    /// How many payments.
    pub waiting: u64,
    /// How long the oldest of them has waited, in milliseconds; 0 if none waits.
    pub oldest_ms: i64,
}

/// Records that are counted at a time.
const PIECE: usize = 500;

impl Teller {
    /// How many payments wait for an operator, and for how long.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn review_queue(&self) -> Result<ReviewQueue, StoreError> {
        let mut queue = ReviewQueue::default();
        let mut page = PageRequest { after: None, limit: PIECE };
        loop {
            let found = self.store.records(oldest_reviews(page)).await?;
            if let Some((_, first)) = found.rows.first().filter(|_| page.after.is_none()) {
                queue.oldest_ms = {
                    let (now, then) = (self.clock.now().as_millis(), first.created_at.as_millis());
                    now.saturating_sub(then).max(0)
                };
            }
            queue.waiting = queue.waiting.saturating_add(u64::try_from(found.rows.len()).unwrap_or(u64::MAX));
            match found.next {
                Some(next) => page.after = Some(next),
                None => return Ok(queue),
            }
        }
    }

    /// The payments that wait for an operator, the longest waiting first; without those to which the caller is a party.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn reviews(&self, who: &Identity, page: PageRequest) -> Result<Page<ReviewNow>, TellerError> {
        let found = self.store.records(oldest_reviews(page)).await?;
        let mut rows = Vec::with_capacity(found.rows.len());
        for (_, record) in found.rows {
            let damaged = || StoreError::Damaged(format!("records row {}: it cannot be read", record.key));
            let review: Review = record.read().ok_or_else(damaged)?;
            let first = self.store.find_transaction(PaymentId::new(record.key.id).into()).await?;
            let first = first.ok_or_else(damaged)?.transaction;
            if !first.is_party(who.user.id) {
                rows.push(ReviewNow { first, review, record });
            }
        }
        Ok(Page { rows, next: found.next })
    }

    /// Why a payment waits for an operator, if it does.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn review(&self, payment: PaymentId) -> Result<Option<Review>, StoreError> {
        let record = self.store.record(RecordKey::of::<Review>(payment.uuid())).await?;
        Ok(record.and_then(|record| record.read()))
    }
}

fn oldest_reviews(page: PageRequest) -> RecordQuery {
    RecordQuery { kind: Review::KIND, owner: None, parent: None, order: Order::OldestFirst, page }
}
