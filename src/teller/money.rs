//! Payments, top-ups, wallets and histories.

use std::sync::Arc;

use crate::auth::permission::Permission;
use crate::ledger::{
    Action, Capture, Email, IdempotencyKey, Memo, Money, Origin, Party, Pay, PaymentId, PaymentState,
    Refusal, Reply, Settle, Settlement, Topup, TopupMethod, Transaction, TransactionId, TransactionKind,
    UserId,
};
use crate::proof::Receipt;
use crate::store::{AccountBalance, Movement, Page, PageRequest, StoreError};

use super::operators::MOST_STEPS;
use super::search::{Search, Whose};
use super::{Identity, Teller, TellerError, unexpected};

/// Who is to be paid, as the payer says it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    /// When the payee gets it.
    pub capture: Capture,
    /// The key under which the answer is repeated.
    pub key: Option<IdempotencyKey>,
    /// What is shown for a second factor.
    pub otp: Option<String>,
}

/// A later step of a payment that somebody asks for.
#[derive(Debug, Clone)]
pub struct SettleRequest {
    /// Of which payment.
    pub payment: PaymentId,
    /// Which step.
    pub settlement: Settlement,
    /// The key under which the answer is repeated.
    pub key: Option<IdempotencyKey>,
}

/// A step that was made.
#[derive(Debug, Clone)]
pub struct StepAnswer {
    /// The first row of the payment.
    pub first: Arc<Transaction>,
    /// The step.
    pub step: Arc<Transaction>,
    /// Whether this is the first answer to an idempotency key, given again.
    pub replayed: bool,
}

/// A payment, and where the newest row about it left it.
#[derive(Debug, Clone)]
pub struct PaymentNow {
    /// Its first row.
    pub first: Arc<Transaction>,
    /// How it stands; none only of what is no payment.
    pub state: Option<PaymentState>,
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
        let payee = self.user_of(&request.to).await?.ok_or(Refusal::RecipientNotFound)?;
        let payment = PaymentId::new(self.clock.uuid()?);
        let PayRequest { money, memo, capture, key, otp, .. } = request;
        let shown = self.look_at_otp(who, otp.as_deref(), &origin).await?;
        let pay = Pay { caller: who.caller, payment, payee, money, memo, capture, shown, key };
        self.move_money(origin, Action::Pay(pay)).await
    }

    /// Who that is. Whether there is a user of an id is the decision's to say.
    pub(super) async fn user_of(&self, recipient: &Recipient) -> Result<Option<UserId>, StoreError> {
        Ok(match recipient {
            Recipient::House => Some(UserId::HOUSE),
            Recipient::Id(id) => Some(*id),
            Recipient::Email(email) => {
                self.store.user_by_email(email.folded().to_owned()).await?.map(|user| user.id)
            }
        })
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

    /// Takes a payment a step further. Answers once it is durable.
    ///
    /// # Errors
    /// Every refusal of such a step; faults of the store.
    pub async fn settle(
        &self,
        who: &Identity,
        origin: Origin,
        request: SettleRequest,
    ) -> Result<StepAnswer, TellerError> {
        let SettleRequest { payment, settlement, key } = request;
        // What a review is about never changes, and the decision needs it to know which rows to load.
        let request = match settlement.permission() {
            Permission::ReviewPayments => self.review(payment).await?.and_then(|review| review.request),
            _ => None,
        };
        let step = TransactionId::new(self.clock.uuid()?);
        let settle = Settle { caller: who.caller, payment, request, step, settlement, key };
        match self.execute(origin, Action::Settle(settle)).await? {
            (Reply::Step { first, step }, replayed) => Ok(StepAnswer { first, step, replayed }),
            (other, _) => Err(unexpected(&other)),
        }
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

    pub(super) async fn move_money(&self, origin: Origin, action: Action) -> Result<Answer, TellerError> {
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
        wanted: impl Into<Search>,
    ) -> Result<Page<Movement>, TellerError> {
        self.search(Whose::Of(who.user.id), &wanted.into(), page).await
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
        let found = self.store.transaction(who.user.id, id).await?;
        Ok(found.filter(|movement| movement.transaction.movement().is_some()))
    }

    /// A signed receipt of one of the caller's own payments, from either side, if there is one of that id.
    ///
    /// # Errors
    /// Faults of the store; [`StoreError::Unavailable`] while the proofs are behind the journal.
    pub async fn receipt(&self, who: &Identity, id: PaymentId) -> Result<Option<Receipt>, TellerError> {
        let movement = self.store.transaction(who.user.id, id.into()).await?;
        let payment = movement.filter(|movement| movement.transaction.kind == TransactionKind::Payment);
        let Some(first) = payment else { return Ok(None) };
        let steps = self.seen_steps(who, id).await?;
        let rows: Vec<(u64, Arc<Transaction>)> =
            std::iter::once(first).chain(steps).map(|row| (row.sequence, row.transaction)).collect();
        let nothing = || StoreError::Unavailable("this process keeps no proofs".into());
        let proofs = self.proofs.as_ref().ok_or_else(nothing)?;
        Ok(Some(proofs.receipt(id, &rows).await?))
    }

    /// One of the caller's own payments, from either side, if there is one of that id.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn payment(&self, who: &Identity, id: PaymentId) -> Result<Option<PaymentNow>, TellerError> {
        let movement = self.store.transaction(who.user.id, id.into()).await?;
        let payment = movement.filter(|movement| movement.transaction.kind == TransactionKind::Payment);
        let Some(payment) = payment else { return Ok(None) };
        Ok(self.as_they_stand(vec![payment.transaction]).await?.pop())
    }

    /// The later steps of one of the caller's own payments that they may know of, oldest first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn payment_steps(
        &self,
        who: &Identity,
        payment: &PaymentNow,
    ) -> Result<Vec<Arc<Transaction>>, TellerError> {
        let steps = self.seen_steps(who, payment.first.id.into()).await?;
        Ok(steps.into_iter().map(|step| step.transaction).collect())
    }

    async fn seen_steps(&self, who: &Identity, payment: PaymentId) -> Result<Vec<Movement>, TellerError> {
        let mut steps = self.store.payment_steps(payment, MOST_STEPS).await?;
        steps.retain(|step| step.transaction.seen_by().any(|seer| seer == who.user.id));
        Ok(steps)
    }

    /// The caller's own payments, from either side, newest first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn payments(
        &self,
        who: &Identity,
        page: PageRequest,
        wanted: impl Into<Search>,
    ) -> Result<Page<PaymentNow>, TellerError> {
        let wanted = wanted.into().of_payments();
        let page = self.search(Whose::Of(who.user.id), &wanted, page).await?;
        let firsts = page.rows.into_iter().map(|movement| movement.transaction).collect();
        Ok(Page { rows: self.as_they_stand(firsts).await?, next: page.next })
    }

    pub(super) async fn as_they_stand(
        &self,
        firsts: Vec<Arc<Transaction>>,
    ) -> Result<Vec<PaymentNow>, TellerError> {
        let ids = firsts.iter().map(|first| first.id.into()).collect();
        let states = self.store.payment_states(ids).await?;
        let now = |first: Arc<Transaction>| {
            let later = states.get(&first.id.into()).copied();
            PaymentNow { state: later.or_else(|| first.payment_state()), first }
        };
        Ok(firsts.into_iter().map(now).collect())
    }
}
