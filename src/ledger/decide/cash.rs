//! Cash: an operator takes it in or pays it out. Above a set amount a second operator must let it through.
//!
//! Never for a wallet of the operator's own, and never both eyes of one person. What waits is a record and moves nothing;
//! it stays when it is decided, so that its key gets its first answer again.

use std::sync::Arc;

use serde_json::json;

use super::super::{
    AccountKey, Balance, BalancesAfter, Capture, Cash, CashDecision, CashDirection, CashRequest, Command,
    DecideCash, Decline, Entry, EventDraft, EventKind, EventType, Filing, IdempotencyKey, Memo, Money, Party,
    Permission, Record, RecordKey, Refusal, Rules, Stage, Transaction, TransactionId, TransactionKind, User,
    UserId, WorkingSet,
};
use super::payments::{answered, balances_after, declined_event, differing, two_entries};
use super::{Outcome, Reply, caller_with};

pub(super) fn cash(rules: &Rules, set: &mut WorkingSet, command: &Command, cash: &Cash) -> Outcome {
    let operator = match caller_with(rules, set, &cash.caller, Permission::MoveCash) {
        Ok(operator) => operator,
        Err(refusal) => return refusal.into(),
    };
    if let Some(first) = answered(set, operator.id, cash.key.as_ref()) {
        let fields = differences(&first, cash);
        return replay(fields, || answer(&first));
    }
    if let Some(waiting) = waiting(set, cash) {
        let fields = differences_from_request(&waiting, cash);
        return replay(fields, || Ok(Reply::CashWaits(waiting)));
    }
    match check(set, &operator, cash) {
        Ok(user) if rules.needs_four_eyes(cash.money) => file(set, command, cash, &operator, &user).into(),
        Ok(user) => {
            let movement = Movement {
                id: cash.transaction,
                direction: cash.direction,
                user: Party { id: user.id, name: user.name.clone() },
                money: cash.money,
                reference: cash.reference.clone(),
                actor: operator.id,
                key: cash.key.clone(),
            };
            write(set, command, movement).into()
        }
        Err(refusal) => refusal.into(),
    }
}

pub(super) fn decide(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    asked: &DecideCash,
) -> Result<Reply, Refusal> {
    let operator = caller_with(rules, set, &asked.caller, Permission::MoveCash)?;
    let (record, request) =
        set.stored::<CashRequest>(asked.transaction.uuid()).ok_or(Refusal::CashRequestNotFound)?;
    if operator.id == request.asked_by || operator.id == request.user {
        return Err(Refusal::PermissionDenied);
    }
    // Frozen since it was asked for: it still waits, and may be stopped.
    if asked.approved && set.users.get(&request.user).is_some_and(|user| user.frozen) {
        return Err(Refusal::AccountFrozen);
    }
    if request.decided.is_some() {
        return Err(Refusal::CashRequestDecided);
    }
    let money = Money::from_minor(request.amount_minor, request.currency)
        .map_err(|error| Refusal::AmountRefused { error })?;
    let reply = if asked.approved {
        let movement = Movement {
            id: asked.transaction,
            direction: request.direction,
            user: Party { id: request.user, name: request.name.clone() },
            money,
            reference: request.reference.clone(),
            actor: request.asked_by,
            key: None,
        };
        // With too little in the wallet nothing is written, and the request still waits.
        if request.direction == CashDirection::Withdrawal {
            let available_minor = set.balance(&AccountKey::wallet(request.user, money.currency()));
            if available_minor < money.amount_minor() {
                return Err(Refusal::CashShort { transaction: None, asked: money, available_minor });
            }
        }
        write(set, command, movement)?
    } else {
        Reply::Done
    };
    let decision = CashDecision { by: operator.id, approved: asked.approved, note: asked.note.clone() };
    let filing = Filing { due_at: None, parent: None, ..record.filing };
    let request = CashRequest { decided: Some(decision), ..request };
    set.put_record(asked.transaction.uuid(), filing, &request);
    if !asked.approved {
        tell(set, command, &record, &request);
    }
    let event = privilege(operator.id, asked.transaction)
        .with("action", if asked.approved { "approve_cash" } else { "reject_cash" });
    set.record(command, &event);
    Ok(reply)
}

/// What waits under the same key.
fn waiting(set: &WorkingSet, cash: &Cash) -> Option<Arc<Record>> {
    let lookup = CashRequest::lookup(cash.caller.user, cash.key.as_ref()?);
    set.records.get(set.record_lookups.get(&lookup)?).cloned()
}

/// The rules, in the order of [`Refusal`]; gives back whose wallet it is.
fn check(set: &WorkingSet, operator: &User, cash: &Cash) -> Result<Arc<User>, Refusal> {
    if cash.user == operator.id {
        return Err(Refusal::PermissionDenied);
    }
    let user = set.users.get(&cash.user).cloned();
    if user.as_ref().is_some_and(|user| user.frozen) {
        return Err(Refusal::AccountFrozen);
    }
    user.ok_or(Refusal::RecipientNotFound)
}

/// Keeps what a second operator is to look at.
fn file(
    set: &mut WorkingSet,
    command: &Command,
    cash: &Cash,
    operator: &User,
    user: &User,
) -> Result<Reply, Refusal> {
    let uuid = cash.transaction.uuid();
    let filing = Filing {
        lookup: cash.key.as_ref().map(|key| CashRequest::lookup(operator.id, key).1),
        // Those that wait are the ones that belong to this; what is decided belongs to nothing.
        parent: Some(CashRequest::WAITING),
        ..Filing::under(operator.id)
    };
    let request = CashRequest {
        direction: cash.direction,
        user: user.id,
        name: user.name.clone(),
        amount_minor: cash.money.amount_minor(),
        currency: cash.money.currency(),
        reference: cash.reference.clone(),
        asked_by: operator.id,
        decided: None,
    };
    set.put_record(uuid, filing, &request);
    set.record(command, &privilege(operator.id, cash.transaction).with("action", "ask_for_cash"));
    let record = set.records.get(&RecordKey::of::<CashRequest>(uuid)).cloned();
    let record = record.ok_or(Refusal::CashRequestNotFound)?;
    tell(set, command, &record, &request);
    Ok(Reply::CashWaits(record))
}

/// Tells the operator who asked how it stands with what moves nothing, as the event of a movement does.
fn tell(set: &mut WorkingSet, command: &Command, record: &Record, request: &CashRequest) {
    let kind = match (request.direction, &request.decided) {
        (CashDirection::Deposit, None) => EventType::DepositPending,
        (CashDirection::Deposit, Some(_)) => EventType::DepositRejected,
        (CashDirection::Withdrawal, None) => EventType::WithdrawalPending,
        (CashDirection::Withdrawal, Some(_)) => EventType::WithdrawalRejected,
    };
    let amount = Balance { amount_minor: request.amount_minor, currency: request.currency };
    let told = json!({
        "id": TransactionId::new(record.key.id),
        "type": request.direction,
        "status": if request.decided.is_some() { "rejected" } else { "pending" },
        "amount": amount.to_string(),
        "currency": request.currency,
        "user": request.user,
        "reason": null,
        "created_at": record.created_at.to_string(),
    });
    set.tell_owner(command, kind, request.asked_by, (record.key.id, told));
}

/// Cash that every rule allows.
struct Movement {
    id: TransactionId,
    direction: CashDirection,
    user: Party,
    money: Money,
    reference: String,
    actor: UserId,
    key: Option<IdempotencyKey>,
}

/// Moves it, or keeps the declined withdrawal where there is too little in the wallet.
fn write(set: &mut WorkingSet, command: &Command, movement: Movement) -> Result<Reply, Refusal> {
    let Movement { id, direction, user, money, reference, actor, key } = movement;
    let desk = Party { id: UserId::CASH, name: None };
    let (kind, from, to) = match direction {
        CashDirection::Deposit => (TransactionKind::Deposit, desk, user),
        CashDirection::Withdrawal => (TransactionKind::Withdrawal, user, desk),
    };
    let wallet = |side: UserId| AccountKey::wallet(side, money.currency());
    let available_minor = set.balance(&wallet(from.id));
    let is_short = !from.id.is_outside() && available_minor < money.amount_minor();
    let entries: Vec<Entry> =
        if is_short { Vec::new() } else { two_entries(set, wallet(from.id), wallet(to.id), money)? };
    let after: BalancesAfter = balances_after(set, [from.id, to.id], money.currency(), &entries);
    let transaction = set.post(Transaction {
        id,
        kind,
        from,
        to,
        money,
        memo: Memo { reference, ..Memo::default() },
        method: None,
        capture: Capture::Automatic,
        stage: Stage::Whole,
        actor: Some(actor),
        after,
        decline: is_short.then_some(Decline::InsufficientFunds { available_minor }),
        key,
        created_at: set.now,
        entries,
    });
    set.record(command, &privilege(actor, id).with("action", kind.name()));
    if is_short {
        set.record(command, &declined_event(&transaction));
    }
    answer(&transaction)
}

/// What it was answered with: told from the row alone.
fn answer(transaction: &Arc<Transaction>) -> Result<Reply, Refusal> {
    match transaction.decline {
        Some(Decline::InsufficientFunds { available_minor }) => Err(Refusal::CashShort {
            transaction: Some(transaction.id),
            asked: transaction.money,
            available_minor,
        }),
        Some(Decline::Risk | Decline::Topup(_)) | None => Ok(Reply::Transaction(Arc::clone(transaction))),
    }
}

fn replay(fields: Vec<&'static str>, first: impl FnOnce() -> Result<Reply, Refusal>) -> Outcome {
    if fields.is_empty() {
        Outcome { replayed: true, result: first() }
    } else {
        Refusal::IdempotencyKeyReused { fields }.into()
    }
}

fn differences(first: &Transaction, cash: &Cash) -> Vec<&'static str> {
    let (kind, user) = match cash.direction {
        CashDirection::Deposit => (TransactionKind::Deposit, first.to.id),
        CashDirection::Withdrawal => (TransactionKind::Withdrawal, first.from.id),
    };
    if first.kind != kind {
        return vec!["call"];
    }
    differing([
        ("user", user != cash.user),
        ("amount", first.money.amount_minor() != cash.money.amount_minor()),
        ("currency", first.money.currency() != cash.money.currency()),
        ("reference", first.memo.reference != cash.reference),
    ])
}

fn differences_from_request(first: &Record, cash: &Cash) -> Vec<&'static str> {
    let Some(request) = first.read::<CashRequest>().filter(|first| first.direction == cash.direction) else {
        return vec!["call"];
    };
    differing([
        ("user", request.user != cash.user),
        ("amount", request.amount_minor != cash.money.amount_minor()),
        ("currency", request.currency != cash.money.currency()),
        ("reference", request.reference != cash.reference),
    ])
}

fn privilege(operator: UserId, transaction: TransactionId) -> EventDraft {
    EventDraft::new(EventKind::PrivilegeUse, Some(operator)).with("transaction", transaction.to_string())
}
