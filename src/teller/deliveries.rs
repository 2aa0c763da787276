//! Deliveries, for what carries them out: which webhooks there are, what is due, and the commands that nobody asks for.

use std::sync::Arc;

use uuid::Uuid;

use super::{Teller, TellerError, unexpected};
use crate::ledger::{
    Action, DeliveryCommand, FeedCursor, FeedPosition, Record, RecordKey, RecordKind, Refusal, Reply,
    Timestamp,
};
use crate::store::{Order, PageRequest, RecordQuery};

/// Records that are read at a time.
const PIECE: usize = 500;

impl Teller {
    /// The place of the newest webhook among the records: it changes when one is made. None if there are none.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn newest_webhook(&self) -> Result<Option<u64>, TellerError> {
        let page = PageRequest { after: None, limit: 1 };
        let query = RecordQuery {
            kind: RecordKind::Webhook,
            owner: None,
            parent: None,
            order: Order::NewestFirst,
            page,
        };
        Ok(self.store.records(query).await?.rows.first().map(|(place, _)| *place))
    }

    /// Every webhook.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn all_webhooks(&self) -> Result<Vec<Arc<Record>>, TellerError> {
        let (mut webhooks, mut after) = (Vec::new(), None);
        loop {
            let page = PageRequest { after, limit: PIECE };
            let order = Order::OldestFirst;
            let query = RecordQuery { kind: RecordKind::Webhook, owner: None, parent: None, order, page };
            let found = self.store.records(query).await?;
            webhooks.extend(found.rows.into_iter().map(|(_, record)| record));
            after = found.next;
            if after.is_none() {
                return Ok(webhooks);
            }
        }
    }

    /// A record, for whatever carries out what it says.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn record(&self, key: RecordKey) -> Result<Option<Arc<Record>>, TellerError> {
        Ok(self.store.record(key).await?)
    }

    /// Records of this kind that are due, the longest due first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn due(
        &self,
        kind: RecordKind,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Arc<Record>>, TellerError> {
        Ok(self.store.due_records(kind, until, limit).await?)
    }

    /// How far events were handed to webhooks; none if they never were.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn fan_out_cursor(&self) -> Result<Option<FeedPosition>, TellerError> {
        let found = self.store.record(FeedCursor::FAN_OUT).await?;
        Ok(found.and_then(|record| record.read::<FeedCursor>()).map(|cursor| cursor.position))
    }

    /// Carries out a command about deliveries; gives those that are now this node's to try. None if another node was
    /// faster.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn deliver(&self, command: DeliveryCommand) -> Result<Option<Vec<Uuid>>, TellerError> {
        let origin = self.host_origin()?;
        match self.execute(origin, Action::Delivery(command)).await {
            Ok((Reply::Claimed(claimed), _)) => Ok(Some(claimed)),
            Ok((Reply::Done, _)) => Ok(Some(Vec::new())),
            Ok((other, _)) => Err(unexpected(&other)),
            Err(TellerError::Refused { refusal: Refusal::Overtaken, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
