//! Many payments at once, and what an idempotency key stands for.

use std::collections::HashMap;

use super::{Answer, Identity, PayRequest, PaymentNow, Teller, TellerError, unexpected};
use crate::ledger::{Action, FindKey, IdempotencyKey, Origin, Pay, PayMany, PaymentId, Refusal, Reply};

/// Many payments that somebody wants to make.
#[derive(Debug, Clone)]
pub struct BulkRequest {
    /// The payments, each with a key of its own.
    pub payments: Vec<PayRequest>,
    /// Whether none is made if any is refused.
    pub all_or_nothing: bool,
    /// What is shown for a second factor, once for all of them.
    pub otp: Option<String>,
}

impl Teller {
    /// Makes many payments in one command. Answers once all of them are durable, with one answer for each, in their order.
    ///
    /// # Errors
    /// [`Refusal::BatchRefused`] where all or nothing was asked for; what refuses all of them alike; faults of the store.
    pub async fn pay_many(
        &self,
        who: &Identity,
        origin: Origin,
        request: BulkRequest,
    ) -> Result<Vec<Result<Answer, TellerError>>, TellerError> {
        let BulkRequest { payments, all_or_nothing, otp } = request;
        let shown = self.look_at_otp(who, otp.as_deref(), &origin).await?;
        let mut known = HashMap::new();
        let mut pays = Vec::with_capacity(payments.len());
        for PayRequest { to, money, memo, capture, key, .. } in payments {
            // Each is looked up once, however often they are paid.
            let payee = if let Some(found) = known.get(&to) {
                *found
            } else {
                let found = self.user_of(&to).await?;
                known.insert(to, found);
                found
            };
            let payment = PaymentId::new(self.clock.uuid()?);
            let pay = |payee| Pay { caller: who.caller, payment, payee, money, memo, capture, shown, key };
            pays.push(payee.map(pay).ok_or(Refusal::RecipientNotFound));
        }
        let many = PayMany { caller: who.caller, pays, all_or_nothing, shown };
        match self.execute(origin, Action::PayMany(many)).await? {
            (Reply::Many(outcomes), _) => Ok(outcomes
                .into_iter()
                .map(|outcome| match outcome.result {
                    Ok(Reply::Transaction(transaction)) => {
                        Ok(Answer { transaction, replayed: outcome.replayed })
                    }
                    Ok(other) => Err(unexpected(&other)),
                    Err(refusal) => Err(TellerError::Refused { refusal, replayed: outcome.replayed }),
                })
                .collect()),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// The payment that a key of the caller's stands for, or is about; none if it is none of a payment.
    ///
    /// # Errors
    /// [`Refusal::PaymentNotFound`] if the key was never used; faults of the store.
    pub async fn payment_by_key(
        &self,
        who: &Identity,
        origin: Origin,
        key: IdempotencyKey,
    ) -> Result<Option<PaymentNow>, TellerError> {
        let found = self.execute(origin, Action::FindKey(FindKey { caller: who.caller, key })).await?;
        match found {
            (Reply::Transaction(transaction), _) => match transaction.payment() {
                Some(payment) => self.payment(who, payment).await,
                None => Ok(None),
            },
            (other, _) => Err(unexpected(&other)),
        }
    }
}
