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

impl Teller {
    /// The payments that wait for an operator, the longest waiting first; without those to which the caller is a party.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn reviews(&self, who: &Identity, page: PageRequest) -> Result<Page<ReviewNow>, TellerError> {
        let query =
            RecordQuery { kind: Review::KIND, owner: None, parent: None, order: Order::OldestFirst, page };
        let found = self.store.records(query).await?;
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
    pub(super) async fn review(&self, payment: PaymentId) -> Result<Option<Review>, StoreError> {
        let record = self.store.record(RecordKey::of::<Review>(payment.uuid())).await?;
        Ok(record.and_then(|record| record.read()))
    }
}
