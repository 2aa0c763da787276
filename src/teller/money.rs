//! Payments, top-ups, wallets and histories.

use std::sync::Arc;

use crate::ledger::{
    Action, Email, IdempotencyKey, Memo, Money, Origin, Party, Pay, PaymentId, Refusal, Reply, Topup,
    TopupMethod, Transaction, TransactionId, TransactionKind, UserId,
};
use crate::store::{AccountBalance, HistoryFilter, HistoryQuery, Movement, Page, PageRequest};

use super::{Identity, Teller, TellerError, unexpected};

/// Who is to be paid, as the payer says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// Nobody was named: the house.
    House,
    /// A user by id.
    Id(UserId),
    /// A user by email.
    Email(Email),
}

/// A payment that somebody wants to make.
#[derive(Debug, Clone)]
pub struct PayRequest {
    /// To whom.
    pub to: Recipient,
    /// How much.
    pub money: Money,
    /// What is said about it.
    pub memo: Memo,
    /// The key under which the answer is repeated.
    pub key: Option<IdempotencyKey>,
}

/// A top-up that somebody wants to make.
#[derive(Debug, Clone)]
pub struct TopupRequest {
    /// How much.
    pub money: Money,
    /// How it goes.
    pub method: TopupMethod,
    /// The key under which the answer is repeated.
    pub key: Option<IdempotencyKey>,
}

/// A 'yes' about money.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was written.
    pub transaction: Arc<Transaction>,
    /// Whether this is the first answer to an idempotency key, given again.
    pub replayed: bool,
}

impl Teller {
    /// Makes a payment. Answers once it is durable.
    ///
    /// # Errors
    /// Every refusal of a payment; faults of the store.
    pub async fn pay(
        &self,
        who: &Identity,
        origin: Origin,
        request: PayRequest,
    ) -> Result<Answer, TellerError> {
        let payee = match request.to {
            Recipient::House => UserId::HOUSE,
            Recipient::Id(id) => id,
            Recipient::Email(email) => {
                let found = self.store.user_by_email(email.folded().to_owned()).await?;
                found.ok_or(Refusal::RecipientNotFound)?.id
            }
        };
        let payment = PaymentId::new(self.clock.uuid()?);
        let PayRequest { money, memo, key, .. } = request;
        let pay = Pay { caller: who.caller, payment, payee, money, memo, key };
        self.move_money(origin, Action::Pay(pay)).await
    }

    /// Who would be paid, by the name that the payment would show.
    ///
    /// # Errors
    /// [`Refusal::RecipientNotFound`]; faults of the store.
    pub async fn payee(&self, to: &Recipient) -> Result<Party, TellerError> {
        let user = match to {
            Recipient::House => {
                return Ok(Party { id: UserId::HOUSE, name: Some(self.rules.house_name.clone()) });
            }
            Recipient::Id(id) => self.store.user(*id).await?,
            Recipient::Email(email) => self.store.user_by_email(email.folded().to_owned()).await?,
        };
        let user = user.ok_or(Refusal::RecipientNotFound)?;
        Ok(Party { id: user.id, name: user.name.clone() })
    }

    /// Takes simulated money in. Answers once it is durable; the slow method after three seconds more.
    ///
    /// # Errors
    /// Every refusal of a top-up; faults of the store.
    pub async fn topup(
        &self,
        who: &Identity,
        origin: Origin,
        request: TopupRequest,
    ) -> Result<Answer, TellerError> {
        let TopupRequest { money, method, key } = request;
        let transaction = TransactionId::new(self.clock.uuid()?);
        let topup = Topup { caller: who.caller, transaction, money, method, key };
        let answer = self.move_money(origin, Action::Topup(topup)).await;
        if method == TopupMethod::Slow {
            tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        }
        answer
    }

    async fn move_money(&self, origin: Origin, action: Action) -> Result<Answer, TellerError> {
        match self.execute(origin, action).await? {
            (Reply::Transaction(transaction), replayed) => Ok(Answer { transaction, replayed }),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// What the caller's accounts hold, by currency.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn wallets(&self, who: &Identity) -> Result<Vec<AccountBalance>, TellerError> {
        Ok(self.store.wallets(who.user.id).await?)
    }

    /// The caller's own transactions, newest first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn transactions(
        &self,
        who: &Identity,
        page: PageRequest,
        filter: HistoryFilter,
    ) -> Result<Page<Movement>, TellerError> {
        Ok(self.store.history(HistoryQuery { user: who.user.id, page, filter }).await?)
    }

    /// One of the caller's own transactions, if there is one of that id.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn transaction(
        &self,
        who: &Identity,
        id: TransactionId,
    ) -> Result<Option<Movement>, TellerError> {
        Ok(self.store.transaction(who.user.id, id).await?)
    }

    /// One of the caller's own payments, from either side, if there is one of that id.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn payment(
        &self,
        who: &Identity,
        id: PaymentId,
    ) -> Result<Option<Arc<Transaction>>, TellerError> {
        let movement = self.store.transaction(who.user.id, id.into()).await?;
        let payment = movement.filter(|movement| movement.transaction.kind == TransactionKind::Payment);
        Ok(payment.map(|movement| movement.transaction))
    }
}
