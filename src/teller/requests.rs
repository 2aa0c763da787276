//! Payment requests: made, shown to whoever knows them, paid, taken back.

use std::sync::Arc;

use crate::ledger::{
    Action, CancelRequest, Capture, IdempotencyKey, MakeRequest, Memo, Money, Origin, Pay, PayRequested,
    PaymentId, PaymentRequest, PaymentRequestId, Record, RecordKey, Refusal, Reply, RequestStatus, Timestamp,
    UserId,
};
use crate::store::{Order, Page, PageRequest, RecordQuery, StoreError};

use super::{Answer, Identity, Teller, TellerError, unexpected};

/// What somebody wants to be paid.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// How much.
    pub money: Money,
    /// What for; empty if nothing is said.
    pub description: String,
    /// For how long it can be paid, in milliseconds; none for ever.
    pub expires_in_ms: Option<i64>,
}

/// A payment request as it stands now.
#[derive(Debug, Clone)]
pub struct RequestNow {
    /// Which one.
    pub id: PaymentRequestId,
    /// Who asks, and by which name others know them.
    pub to: UserId,
    /// That name.
    pub to_name: Option<String>,
    /// What is asked, and what became of it.
    pub request: PaymentRequest,
    /// How it stands …
    pub status: RequestStatus,
    /// … at this time.
    pub at: Timestamp,
    /// The record.
    pub record: Arc<Record>,
}

impl Teller {
    /// Makes a request.
    ///
    /// # Errors
    /// [`Refusal::AccountFrozen`]; faults of the store.
    pub async fn make_request(
        &self,
        who: &Identity,
        origin: Origin,
        new: NewRequest,
    ) -> Result<RequestNow, TellerError> {
        let request = PaymentRequestId::new(self.clock.uuid()?);
        let NewRequest { money, description, expires_in_ms } = new;
        let make = MakeRequest { caller: who.caller, request, money, description, expires_in_ms };
        self.changed_request(origin, Action::MakeRequest(make)).await
    }

    /// Takes one of the caller's requests back. One that is taken back already stays so.
    ///
    /// # Errors
    /// [`Refusal::RequestNotFound`], [`Refusal::RequestState`]; faults of the store.
    pub async fn cancel_request(
        &self,
        who: &Identity,
        origin: Origin,
        request: PaymentRequestId,
    ) -> Result<RequestNow, TellerError> {
        let cancel = CancelRequest { caller: who.caller, request };
        self.changed_request(origin, Action::CancelRequest(cancel)).await
    }

    /// The caller's own requests, newest first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn requests(&self, who: &Identity, page: PageRequest) -> Result<Page<RequestNow>, TellerError> {
        let query = RecordQuery {
            kind: <PaymentRequest as crate::ledger::Stored>::KIND,
            owner: Some(who.user.id),
            parent: None,
            order: Order::NewestFirst,
            page,
        };
        let found = self.store.records(query).await?;
        let rows = found.rows.into_iter().map(|(_, record)| self.request_now(record, who.user.name.clone()));
        Ok(Page { rows: rows.collect::<Result<_, _>>()?, next: found.next })
    }

    /// The request of that id, for whoever knows it.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn request(&self, id: PaymentRequestId) -> Result<Option<RequestNow>, TellerError> {
        let key = RecordKey::of::<PaymentRequest>(id.uuid());
        let Some(record) = self.store.record(key).await? else { return Ok(None) };
        let name = match record.filing.owner {
            UserId::HOUSE => Some(self.rules.house_name.clone()),
            owner => self.store.user(owner).await?.and_then(|user| user.name.clone()),
        };
        self.request_now(record, name).map(Some)
    }

    /// Pays a request, at most once. Answers once it is durable.
    ///
    /// # Errors
    /// [`Refusal::RequestNotFound`], [`Refusal::RequestState`], every refusal of a payment; faults of the store.
    pub async fn pay_request(
        &self,
        who: &Identity,
        origin: Origin,
        request: PaymentRequestId,
        key: Option<IdempotencyKey>,
        otp: Option<&str>,
    ) -> Result<Answer, TellerError> {
        let shown = self.look_at_otp(who, otp, &origin).await?;
        let found = self.store.record(RecordKey::of::<PaymentRequest>(request.uuid())).await?;
        let record = found.ok_or(Refusal::RequestNotFound)?;
        let asked = value(&record)?;
        let memo =
            Memo { description: asked.description, reference: request.to_string(), metadata: String::new() };
        let pay = Pay {
            caller: who.caller,
            payment: PaymentId::new(self.clock.uuid()?),
            payee: record.filing.owner,
            money: asked.money,
            memo,
            capture: Capture::Automatic,
            shown,
            key,
        };
        self.move_money(origin, Action::PayRequest(PayRequested { request, pay })).await
    }

    async fn changed_request(&self, origin: Origin, action: Action) -> Result<RequestNow, TellerError> {
        match self.execute(origin, action).await? {
            (Reply::Request { record, to_name }, _) => self.request_now(record, to_name),
            (other, _) => Err(unexpected(&other)),
        }
    }

    fn request_now(&self, record: Arc<Record>, to_name: Option<String>) -> Result<RequestNow, TellerError> {
        let request = value(&record)?;
        let id = PaymentRequestId::new(record.key.id);
        let (to, at) = (record.filing.owner, self.clock.now());
        let status = request.status(at);
        Ok(RequestNow { id, to, to_name, request, status, at, record })
    }
}

fn value(record: &Record) -> Result<PaymentRequest, TellerError> {
    let damaged = || StoreError::Damaged(format!("records row {}: it cannot be read", record.key));
    Ok(record.read().ok_or_else(damaged)?)
}
