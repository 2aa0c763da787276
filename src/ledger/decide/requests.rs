//! Payment requests: made, taken back, and paid at most once.
//!
//! A request is paid by an ordinary payment whose reference is the request's id. Clients cannot choose such a reference,
//! so that a repeated key is told from the payment alone. That the payment moves money and that the request is paid are
//! one change: of many who pay one request, one does.

use std::sync::Arc;

use super::super::{
    CancelRequest, Command, EventType, Filing, LapseRequest, MakeRequest, PayRequested, PaymentId,
    PaymentRequest, PaymentRequestId, Permission, RecordKey, Refusal, RequestEnd, RequestStatus, RequestThen,
    Rules, Transaction, User, UserId, WorkingSet,
};
use super::factors::Asked;
use super::payments::{answered, check_payment, replay, stands_for_no_cash, write_payment};
use super::{Outcome, Reply, active, caller_user, caller_with};

pub(super) fn make(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    make: &MakeRequest,
) -> Result<Reply, Refusal> {
    let user = active(caller_with(rules, set, &make.caller, Permission::OwnAccount)?)?;
    let request = PaymentRequest {
        money: make.money,
        description: make.description.clone(),
        expires_at: make.expires_in_ms.map(|millis| set.now.plus_millis(millis)),
        end: None,
    };
    put(set, command, EventType::RequestCreated, (make.request, request), (user.id, user.name.clone()))
}

pub(super) fn cancel(
    set: &mut WorkingSet,
    command: &Command,
    cancel: &CancelRequest,
) -> Result<Reply, Refusal> {
    let user = active(caller_user(set, &cancel.caller)?)?;
    let (record, mut request) =
        set.stored::<PaymentRequest>(cancel.request.uuid()).ok_or(Refusal::RequestNotFound)?;
    if record.filing.owner != user.id {
        return Err(Refusal::RequestNotFound);
    }
    match request.status(set.now) {
        RequestStatus::Cancelled => Ok(Reply::Request { record, to_name: user.name.clone() }),
        RequestStatus::Paid => Err(Refusal::RequestState { status: RequestStatus::Paid }),
        RequestStatus::Open | RequestStatus::Expired => {
            request.end = Some(RequestEnd::Cancelled { at: set.now });
            let to = (user.id, user.name.clone());
            put(set, command, EventType::RequestCancelled, (cancel.request, request), to)
        }
    }
}

/// Tells that a request was not paid in time. That it cannot be paid any more needs nobody who says so.
pub(super) fn lapse(set: &mut WorkingSet, command: &Command, lapse: &LapseRequest) -> Result<Reply, Refusal> {
    let (record, request) =
        set.stored::<PaymentRequest>(lapse.request.uuid()).ok_or(Refusal::RequestNotFound)?;
    let status = request.status(set.now);
    if status != RequestStatus::Expired || record.filing.due_at.is_none() {
        return Err(Refusal::RequestState { status });
    }
    let owner = record.filing.owner;
    let name = set.users.get(&owner).and_then(|user| user.name.clone());
    put(set, command, EventType::RequestExpired, (lapse.request, request), (owner, name))
}

pub(super) fn pay(rules: &Rules, set: &mut WorkingSet, command: &Command, asked: &PayRequested) -> Outcome {
    let pay = &asked.pay;
    let payer = match caller_with(rules, set, &pay.caller, Permission::OwnAccount) {
        Ok(payer) => payer,
        Err(refusal) => return refusal.into(),
    };
    if let Some(first) = answered(set, payer.id, pay.key.as_ref()) {
        let is_same = first.memo.reference == pay.memo.reference;
        return replay(&first, || if is_same { Vec::new() } else { vec!["call"] });
    }
    pay_open(rules, set, command, asked, &payer).into()
}

fn pay_open(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    asked: &PayRequested,
    payer: &Arc<User>,
) -> Result<Reply, Refusal> {
    let (pay, id) = (&asked.pay, asked.request);
    stands_for_no_cash(set, payer.id, pay.key.as_ref())?;
    if payer.frozen {
        return Err(Refusal::AccountFrozen);
    }
    let (record, mut request) = set.stored::<PaymentRequest>(id.uuid()).ok_or(Refusal::RequestNotFound)?;
    // Neither ever changes: what was read at the door is what is here.
    if record.filing.owner != pay.payee || request.money != pay.money {
        return Err(Refusal::RequestNotFound);
    }
    match request.status(set.now) {
        RequestStatus::Open => {}
        status => return Err(Refusal::RequestState { status }),
    }
    let payee = check_payment(rules, set, payer, pay)?;
    let to_name = payee.name.clone();
    let reply = write_payment(rules, set, command, pay, (payer, payee), &mut Asked::of(pay.shown))?;
    request.end = Some(RequestEnd::Paid { payment: pay.payment, by: payer.id, at: set.now });
    put(set, command, EventType::RequestPaid, (id, request), (record.filing.owner, to_name))?;
    Ok(reply)
}

/// Opens a request again whose payment came to nothing.
pub(super) fn reopen(
    set: &mut WorkingSet,
    command: &Command,
    id: PaymentRequestId,
    first: &Transaction,
) -> Result<(), Refusal> {
    let payment: PaymentId = first.id.into();
    if let Some((_, mut request)) = set.stored::<PaymentRequest>(id.uuid())
        && matches!(request.end, Some(RequestEnd::Paid { payment: by, .. }) if by == payment)
    {
        request.end = None;
        let to = (first.to.id, first.to.name.clone());
        put(set, command, EventType::RequestReopened, (id, request), to)?;
    }
    Ok(())
}

/// Writes a request and tells its maker. It is due when its time is over, until that is told.
fn put(
    set: &mut WorkingSet,
    command: &Command,
    kind: EventType,
    (id, request): (PaymentRequestId, PaymentRequest),
    (owner, to_name): (UserId, Option<String>),
) -> Result<Reply, Refusal> {
    let waits = request.end.is_none() && kind != EventType::RequestExpired;
    let due_at = request.expires_at.filter(|_| waits);
    set.put_record(id.uuid(), Filing { due_at, ..Filing::under(owner) }, &request);
    let record = set.records.get(&RecordKey::of::<PaymentRequest>(id.uuid())).cloned();
    let record = record.ok_or(Refusal::RequestNotFound)?;
    let made_at = Some(record.created_at).filter(|made_at| *made_at != set.now);
    set.tell_request(
        command,
        kind,
        (owner, id.uuid()),
        RequestThen { request, made_at, to_name: to_name.clone() },
    );
    Ok(Reply::Request { record, to_name })
}
