//! Cash: deposits and withdrawals by operators, and what waits for a second one.

use std::sync::Arc;

use crate::ledger::{
    Action, Cash, CashDirection, CashRequest, DecideCash, IdempotencyKey, Money, Origin, Record, Refusal,
    Reply, Stored, Transaction, TransactionId,
};
use crate::store::{Order, Page, PageRequest, RecordQuery};

use super::{Identity, Recipient, Teller, TellerError, unexpected};

/// Cash that an operator takes in or pays out.
#[derive(Debug, Clone)]
pub struct CashOrder {
    /// In or out.
    pub direction: CashDirection,
    /// Whose wallet.
    pub user: Recipient,
    /// How much.
    pub money: Money,
    /// For the books.
    pub reference: String,
    /// The key under which the answer is repeated.
    pub key: Option<IdempotencyKey>,
}

/// What became of cash.
#[derive(Debug, Clone)]
pub enum CashAnswer {
    /// It moved.
    Moved(Arc<Transaction>),
    /// It waits for a second operator.
    Waits(Arc<Record>),
    /// A second operator stopped it.
    Rejected,
}

impl Teller {
    /// Takes cash in or pays it out; above a set amount it waits. Answers once that is durable.
    ///
    /// # Errors
    /// Every refusal of cash; faults of the store.
    pub async fn cash(
        &self,
        who: &Identity,
        origin: Origin,
        order: CashOrder,
    ) -> Result<(CashAnswer, bool), TellerError> {
        if order.user == Recipient::House {
            return Err(Refusal::RecipientNotFound.into());
        }
        let user = self.user_of(&order.user).await?.ok_or(Refusal::RecipientNotFound)?;
        let CashOrder { direction, money, reference, key, .. } = order;
        let transaction = TransactionId::new(self.clock.uuid()?);
        let cash = Cash { caller: who.caller, transaction, direction, user, money, reference, key };
        match self.execute(origin, Action::Cash(cash)).await? {
            (Reply::Transaction(transaction), replayed) => Ok((CashAnswer::Moved(transaction), replayed)),
            (Reply::CashWaits(record), replayed) => Ok((CashAnswer::Waits(record), replayed)),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Lets cash through that another operator asked for, or stops it.
    ///
    /// # Errors
    /// Every refusal of that; faults of the store.
    pub async fn decide_cash(
        &self,
        who: &Identity,
        origin: Origin,
        transaction: TransactionId,
        approved: bool,
        note: String,
    ) -> Result<CashAnswer, TellerError> {
        // Whose wallet it is never changes, and the decision needs it to know which rows to load.
        let record =
            self.store.record(crate::ledger::RecordKey::of::<CashRequest>(transaction.uuid())).await?;
        let request = record.and_then(|record| record.read::<CashRequest>());
        let request = request.ok_or(Refusal::CashRequestNotFound)?;
        let decide = DecideCash {
            caller: who.caller,
            transaction,
            user: request.user,
            currency: request.currency,
            approved,
            note,
        };
        match self.execute(origin, Action::DecideCash(decide)).await? {
            (Reply::Transaction(transaction), _) => Ok(CashAnswer::Moved(transaction)),
            (Reply::Done, _) => Ok(CashAnswer::Rejected),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// The cash that waits for a second operator, newest first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn waiting_cash(&self, page: PageRequest) -> Result<Page<(u64, Arc<Record>)>, TellerError> {
        let query = RecordQuery {
            kind: CashRequest::KIND,
            owner: None,
            parent: Some(CashRequest::WAITING),
            order: Order::NewestFirst,
            page,
        };
        Ok(self.store.records(query).await?)
    }
}
