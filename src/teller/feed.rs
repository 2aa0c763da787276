//! The feed: every event once, in one order, from any place on. What one user sees of it, or all of it.

use std::sync::Arc;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Teller, TellerError};
use crate::ledger::{
    Delivery, EventId, EventSource, EventType, FeedPosition, Notice, PaymentId, Record, RecordKind,
    Timestamp, Transaction, UserId,
};
use crate::store::{JournalQuery, Movement, Order, PageRequest, RecordQuery, StoreError};

/// An event of the feed.
#[derive(Debug, Clone)]
pub struct FeedEvent {
    /// Its id: the same wherever it is told.
    pub id: EventId,
    /// What it tells.
    pub kind: EventType,
    /// When it happened.
    pub at: Timestamp,
    /// Where it is told.
    pub source: EventSource,
    /// What it is about.
    pub object: Uuid,
    /// The thing that it tells of.
    pub told: Told,
    /// The feed up to and with it.
    pub position: FeedPosition,
}

/// What an event tells of.
#[derive(Debug, Clone)]
pub enum Told {
    /// A row of the journal.
    Transaction(Arc<Transaction>),
    /// Something else.
    Notice {
        /// Whom it concerns.
        owner: UserId,
        /// The thing as it was then: JSON that nobody here looks into.
        data: Box<RawValue>,
        /// The only webhook that gets it; none if it is for all.
        only: Option<Uuid>,
    },
}

impl FeedEvent {
    /// Whom it concerns.
    pub fn concerns(&self) -> Vec<UserId> {
        match &self.told {
            Told::Transaction(transaction) => transaction.seen_by().collect(),
            Told::Notice { owner, .. } => vec![*owner],
        }
    }

    /// The only webhook that gets it; none if it is for all.
    pub fn only(&self) -> Option<Uuid> {
        match &self.told {
            Told::Transaction(_) => None,
            Told::Notice { only, .. } => *only,
        }
    }

    fn of_row(row: Movement, before: FeedPosition) -> Self {
        let Movement { sequence, transaction, .. } = row;
        Self {
            id: EventId::new(transaction.id.uuid()),
            kind: EventType::of(&transaction),
            at: transaction.created_at,
            source: EventSource::Journal(sequence),
            // What is about one payment arrives in order.
            object: transaction.payment().map_or_else(|| transaction.id.uuid(), PaymentId::uuid),
            told: Told::Transaction(transaction),
            position: FeedPosition { transaction: sequence, ..before },
        }
    }

    fn of_notice(place: u64, record: &Record, before: FeedPosition) -> Result<Self, StoreError> {
        let damaged =
            || StoreError::Damaged(format!("records {}: what it tells is not readable", record.key));
        let notice = record.read::<Notice>().ok_or_else(damaged)?;
        let id = record.key.id;
        Ok(Self {
            id: EventId::new(id),
            kind: EventType::from_name(&notice.name).ok_or_else(damaged)?,
            at: record.created_at,
            source: EventSource::Notice(id),
            object: notice.object,
            told: Told::Notice { owner: record.filing.owner, only: notice.only, data: notice.told(record) },
            position: FeedPosition { notice: place, ..before },
        })
    }
}

impl Teller {
    /// The feed after a place, oldest first: what this user sees, or all of it.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn feed(
        &self,
        seer: Option<UserId>,
        after: FeedPosition,
        limit: usize,
    ) -> Result<Vec<FeedEvent>, TellerError> {
        let rows = self.store.journal(JournalQuery { seer, after: after.transaction, limit }).await?;
        let page = PageRequest { after: Some(after.notice), limit };
        let notices = self.store.records(notices_of(seer, page)).await?.rows;
        let mut rows = rows.into_iter().peekable();
        let mut notices = notices.into_iter().peekable();
        let (mut events, mut place) = (Vec::new(), after);
        while events.len() < limit {
            let row_first = match (rows.peek(), notices.peek()) {
                (None, None) => break,
                (Some(row), Some((_, notice))) => row.transaction.created_at <= notice.created_at,
                (Some(_), None) => true,
                (None, Some(_)) => false,
            };
            let event = match (row_first, rows.next_if(|_| row_first), notices.next_if(|_| !row_first)) {
                (_, Some(row), _) => FeedEvent::of_row(row, place),
                (_, None, Some((number, record))) => FeedEvent::of_notice(number, &record, place)?,
                (_, None, None) => break,
            };
            place = event.position;
            events.push(event);
        }
        Ok(events)
    }

    /// The events that were sent again to webhooks of that owner after a place among the records, oldest first, each with its
    /// own, and the place up to which was looked.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn resent(
        &self,
        owner: UserId,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<(u64, FeedEvent)>, u64), TellerError> {
        let page = PageRequest { after: Some(after), limit };
        let found = self.store.records(deliveries_of(owner, Order::OldestFirst, page)).await?.rows;
        let (mut events, mut place) = (Vec::new(), after);
        for (number, record) in found {
            place = number;
            let again = record.read::<Delivery>().filter(|delivery| delivery.again);
            if let Some(delivery) = again {
                events.extend(self.event(delivery.source).await?.map(|event| (number, event)));
            }
        }
        Ok((events, place))
    }

    /// The place among the records of the newest delivery to a webhook of that owner.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn newest_delivery(&self, owner: UserId) -> Result<u64, TellerError> {
        let page = PageRequest { after: None, limit: 1 };
        let found = self.store.records(deliveries_of(owner, Order::NewestFirst, page)).await?.rows;
        Ok(found.first().map_or(0, |(number, _)| *number))
    }

    /// The event that is told there; none if it was forgotten.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn event(&self, source: EventSource) -> Result<Option<FeedEvent>, TellerError> {
        match source {
            EventSource::Journal(number) => {
                let query = JournalQuery { seer: None, after: number.saturating_sub(1), limit: 1 };
                let mut rows = self.store.journal(query).await?;
                Ok(rows.pop().map(|row| FeedEvent::of_row(row, FeedPosition::default())))
            }
            EventSource::Notice(id) => {
                let key = crate::ledger::RecordKey::of::<Notice>(id);
                let found = self.store.record(key).await?;
                found.map(|record| Ok(FeedEvent::of_notice(0, &record, FeedPosition::default())?)).transpose()
            }
        }
    }

    /// The oldest notices, as far as they were kept long enough.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn old_notices(&self, now: Timestamp, limit: usize) -> Result<Vec<Arc<Record>>, TellerError> {
        let page = PageRequest { after: None, limit };
        let oldest = self.store.records(notices_of(None, page)).await?.rows;
        let oldest = oldest.into_iter().map(|(_, record)| record);
        Ok(oldest.take_while(|record| Notice::is_over(record, now)).collect())
    }

    /// The place in the feed before the first event at or after that time.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn feed_position(&self, at: Timestamp) -> Result<FeedPosition, TellerError> {
        let transaction = self.transaction_before(at).await?;
        let notice = last_before(at, |after| async move {
            let query = notices_of(None, PageRequest { after: Some(after), limit: 1 });
            let rows = self.store.records(query).await?.rows;
            Ok(rows.first().map(|(number, record)| (*number, record.created_at)))
        })
        .await?;
        Ok(FeedPosition { transaction, notice })
    }

    /// The place in the journal before the first transaction at or after that time.
    pub(super) async fn transaction_before(&self, at: Timestamp) -> Result<u64, TellerError> {
        last_before(at, |after| async move {
            let rows = self.store.journal(JournalQuery { seer: None, after, limit: 1 }).await?;
            Ok(rows.first().map(|row| (row.sequence, row.transaction.created_at)))
        })
        .await
    }
}

fn deliveries_of(owner: UserId, order: Order, page: PageRequest) -> RecordQuery {
    RecordQuery { kind: RecordKind::Delivery, owner: Some(owner), parent: None, order, page }
}

fn notices_of(owner: Option<UserId>, page: PageRequest) -> RecordQuery {
    RecordQuery { kind: RecordKind::Notice, owner, parent: None, order: Order::OldestFirst, page }
}

/// The highest number after which nothing came before that time. Time never runs back along numbers, so that this is found
/// by halving: `first_after` gives the number and the time of the first row after a number.
async fn last_before<F>(at: Timestamp, first_after: impl Fn(u64) -> F) -> Result<u64, TellerError>
where
    F: Future<Output = Result<Option<(u64, Timestamp)>, TellerError>>,
{
    let is_later = |found: Option<(u64, Timestamp)>| found.is_none_or(|(_, time)| time >= at);
    let (mut low, mut step) = (0_u64, 1_u64);
    // After `low` an earlier row may come; after `high` none does.
    let mut high = loop {
        let high = low.saturating_add(step);
        if is_later(first_after(high).await?) {
            break high;
        }
        low = high;
        step = step.saturating_mul(2);
    };
    if is_later(first_after(0).await?) {
        return Ok(0);
    }
    while high.saturating_sub(low) > 1 {
        let middle = low.saturating_add(high.saturating_sub(low) / 2);
        if is_later(first_after(middle).await?) {
            high = middle;
        } else {
            low = middle;
        }
    }
    // Nothing earlier comes after `high`; what is at `high` itself is earlier.
    Ok(high)
}
