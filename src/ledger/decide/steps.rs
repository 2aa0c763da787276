//! The later steps of a payment: captured, voided, expired, reviewed, refunded.
//!
//! Each is a row of its own that says where it leaves the payment; which steps are legal stands in
//! [`PaymentStatus::allows`](super::super::PaymentStatus::allows) alone. What is held too long counts as expired from that
//! moment on, whether or not anybody has released it yet.

use std::sync::Arc;

use super::super::{
    AccountKey, Amount, BalancesAfter, Capture, Command, Deadline, Decline, Entry, EventDraft, EventKind,
    Expire, IdempotencyKey, KnownPayment, Money, Move, Party, PaymentId, PaymentState, PaymentStatus,
    RecordKey, Refusal, Review, Rules, Settle, Settlement, Stage, Step, Transaction, TransactionId,
    TransactionKind, User, UserId, WorkingSet,
};
use super::payments::{
    answered, balances_after, declined_event, differing, entry, stands_for_no_cash, two_entries,
};
use super::requests::reopen;
use super::{Outcome, Reply, caller_with};

pub(super) fn settle(rules: &Rules, set: &mut WorkingSet, command: &Command, settle: &Settle) -> Outcome {
    let user = match caller_with(rules, set, &settle.caller, settle.settlement.permission()) {
        Ok(user) => user,
        Err(refusal) => return refusal.into(),
    };
    if let Some(first) = answered(set, user.id, settle.key.as_ref()) {
        return replay(set, &first, settle);
    }
    let Some(known) = set.payments.get(&settle.payment).cloned() else {
        return Refusal::PaymentNotFound.into();
    };
    match check(rules, set, &user, &known, settle) {
        Ok(planned) => write(set, command, &known, planned).into(),
        Err(refusal) => {
            if refusal == Refusal::PermissionDenied {
                let event = EventDraft::new(EventKind::AuthzFail, Some(user.id))
                    .with("payment", settle.payment.to_string());
                set.record(command, &event);
            }
            refusal.into()
        }
    }
}

pub(super) fn expire(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    expire: Expire,
) -> Result<Reply, Refusal> {
    let known = set.payments.get(&expire.payment).cloned().ok_or(Refusal::PaymentNotFound)?;
    let status = known.state.status;
    if !status.allows(Move::Expire) || !is_overdue(rules, set, &known) {
        return Err(Refusal::PaymentState { status });
    }
    let state = PaymentState::without_capture(PaymentStatus::Expired);
    let planned = Planned::of(expire.step, TransactionKind::Expiry, known.first.money, state);
    let step = post(set, command, &known, planned)?;
    Ok(Reply::Step { first: known.first, step })
}

/// A step that every rule allows.
struct Planned {
    id: TransactionId,
    kind: TransactionKind,
    money: Money,
    /// Where it leaves the payment.
    state: PaymentState,
    note: String,
    actor: Option<UserId>,
    key: Option<IdempotencyKey>,
    /// Whether it was the caller's role that allowed it.
    by_privilege: bool,
}

impl Planned {
    fn of(id: TransactionId, kind: TransactionKind, money: Money, state: PaymentState) -> Self {
        Self { id, kind, money, state, note: String::new(), actor: None, key: None, by_privilege: false }
    }
}

/// What the caller is to a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Payer,
    Payee,
    /// No party to it, but of a role that lets them act on it; for the house, as the payee.
    Operator,
}

/// The rules of a step, in the order of [`Refusal`].
fn check(
    rules: &Rules,
    set: &WorkingSet,
    user: &User,
    known: &KnownPayment,
    settle: &Settle,
) -> Result<Planned, Refusal> {
    stands_for_no_cash(set, user.id, settle.key.as_ref())?;
    let standing = standing(rules, set, user, known, settle)?;
    if !may(standing, &known.first, &settle.settlement) {
        return Err(Refusal::PermissionDenied);
    }
    if user.frozen {
        return Err(Refusal::AccountFrozen);
    }
    let status = known.state.status;
    if status.is_held() && is_overdue(rules, set, known) {
        return Err(Refusal::PaymentState { status: PaymentStatus::Expired });
    }
    if !status.allows(settle.settlement.step()) {
        return Err(Refusal::PaymentState { status });
    }
    let (kind, money, state) = outcome(known, &settle.settlement)?;
    Ok(Planned {
        note: settle.settlement.note().to_owned(),
        actor: Some(user.id),
        key: settle.key.clone(),
        by_privilege: standing == Standing::Operator,
        ..Planned::of(settle.step, kind, money, state)
    })
}

fn standing(
    rules: &Rules,
    set: &WorkingSet,
    user: &User,
    known: &KnownPayment,
    settle: &Settle,
) -> Result<Standing, Refusal> {
    let first = &known.first;
    if first.from.id == user.id {
        Ok(Standing::Payer)
    } else if first.to.id == user.id && first.decline.is_none() {
        Ok(Standing::Payee)
    } else if caller_with(rules, set, &settle.caller, settle.settlement.of_others()).is_ok() {
        Ok(Standing::Operator)
    } else {
        Err(Refusal::PaymentNotFound)
    }
}

fn may(standing: Standing, first: &Transaction, settlement: &Settlement) -> bool {
    match settlement {
        Settlement::Capture { .. } => {
            standing == Standing::Payee || (standing == Standing::Operator && first.to.id == UserId::HOUSE)
        }
        Settlement::Void | Settlement::Refund { .. } => standing != Standing::Payer,
        Settlement::Approve { .. } | Settlement::Reject { .. } => standing == Standing::Operator,
    }
}

fn is_overdue(rules: &Rules, set: &WorkingSet, known: &KnownPayment) -> bool {
    set.now >= known.first.created_at.plus_millis(rules.hold_ttl_ms)
}

/// What kind of row the step is, how much it moves, and where it leaves the payment.
fn outcome(
    known: &KnownPayment,
    settlement: &Settlement,
) -> Result<(TransactionKind, Money, PaymentState), Refusal> {
    let whole = known.first.money;
    let nothing = PaymentState::without_capture;
    Ok(match settlement {
        Settlement::Capture { amount } => {
            let money = part(amount.as_ref(), whole)?;
            (TransactionKind::Capture, money, PaymentState::captured(money.amount_minor()))
        }
        Settlement::Void => (TransactionKind::Void, whole, nothing(PaymentStatus::Voided)),
        Settlement::Refund { amount, .. } => {
            let left = Money::from_minor(known.state.refundable_minor(), whole.currency())
                .map_err(|error| Refusal::AmountRefused { error })?;
            let money = part(amount.as_ref(), left)?;
            (TransactionKind::Refund, money, known.state.refunded(money.amount_minor()))
        }
        Settlement::Approve { .. } => {
            let state = match known.first.capture {
                Capture::Automatic => PaymentState::captured(whole.amount_minor()),
                Capture::Manual => nothing(PaymentStatus::Authorized),
            };
            (TransactionKind::Approval, whole, state)
        }
        Settlement::Reject { .. } => (TransactionKind::Rejection, whole, nothing(PaymentStatus::Rejected)),
    })
}

/// So much of what there is; all if nothing is said.
fn part(amount: Option<&Amount>, most: Money) -> Result<Money, Refusal> {
    let Some(amount) = amount else { return Ok(most) };
    let money = amount.of(most.currency()).map_err(|error| Refusal::AmountRefused { error })?;
    if money.amount_minor() > most.amount_minor() { Err(Refusal::AmountTooLarge { most }) } else { Ok(money) }
}

/// Writes the step, or keeps the declined refund where the payee has too little.
fn write(
    set: &mut WorkingSet,
    command: &Command,
    known: &KnownPayment,
    planned: Planned,
) -> Result<Reply, Refusal> {
    let privilege = planned.by_privilege.then(|| privilege_event(known, &planned));
    let step = post(set, command, known, planned)?;
    if let Some(event) = privilege {
        set.record(command, &event);
    }
    if step.decline.is_some() {
        set.record(command, &declined_event(&step));
    }
    answer(known, &step)
}

fn post(
    set: &mut WorkingSet,
    command: &Command,
    known: &KnownPayment,
    planned: Planned,
) -> Result<Arc<Transaction>, Refusal> {
    let Planned { id, kind, money, state, note, actor, key, .. } = planned;
    let first = &known.first;
    let (from, to) = match kind {
        TransactionKind::Refund => (&first.to, &first.from),
        _ => (&first.from, &first.to),
    };
    let available_minor = set.balance(&AccountKey::wallet(from.id, money.currency()));
    let is_declined = kind == TransactionKind::Refund && available_minor < money.amount_minor();
    let entries =
        if is_declined { Vec::new() } else { entries(set, kind, from.id, to.id, money, first.money, state)? };
    let state = if is_declined { known.state } else { state };
    let mut transaction = Transaction {
        id,
        kind,
        from: Party::clone(from),
        to: Party::clone(to),
        money,
        memo: first.memo.clone(),
        method: None,
        capture: Capture::Automatic,
        stage: Stage::Step(Box::new(Step { payment: first.id.into(), state, note })),
        actor,
        after: BalancesAfter::default(),
        decline: is_declined.then_some(Decline::InsufficientFunds { available_minor }),
        key,
        created_at: set.now,
        entries,
    };
    if transaction.movement().is_some() {
        let sides = [transaction.from.id, transaction.to.id];
        transaction.after = balances_after(set, sides, money.currency(), &transaction.entries);
    }
    settle_deadline(set, command, first, state)?;
    Ok(set.post(transaction))
}

/// What is held no more has no deadline; what is still to be captured after a review keeps the one it had.
fn settle_deadline(
    set: &mut WorkingSet,
    command: &Command,
    first: &Transaction,
    state: PaymentState,
) -> Result<(), Refusal> {
    let uuid = first.id.uuid();
    let deadline = set.remove_record(RecordKey::of::<Deadline>(uuid));
    let request = set.stored::<Review>(uuid).and_then(|(_, review)| review.request);
    let review = set.remove_record(RecordKey::of::<Review>(uuid));
    if let Some(request) = request.filter(|_| state.status.is_undone()) {
        reopen(set, command, request, first)?;
    }
    let kept = deadline.or(review).filter(|_| state.status.is_held());
    if let Some(record) = kept {
        set.put_record(uuid, record.filing, &Deadline {});
    }
    Ok(())
}

/// What a step moves: a refund from wallet to wallet, anything else what was held.
fn entries(
    set: &WorkingSet,
    kind: TransactionKind,
    from: UserId,
    to: UserId,
    money: Money,
    whole: Money,
    state: PaymentState,
) -> Result<Vec<Entry>, Refusal> {
    let currency = money.currency();
    let (wallet, holds) = (AccountKey::wallet(from, currency), AccountKey::holds(from, currency));
    if kind == TransactionKind::Refund {
        return two_entries(set, wallet, AccountKey::wallet(to, currency), money);
    }
    if state.status.is_held() {
        // A payment let through that is still to be captured stays as it is.
        return Ok(Vec::new());
    }
    let captured_minor = state.captured_minor;
    let released_minor = whole.amount_minor().saturating_sub(captured_minor);
    let mut entries = vec![entry(set, holds, whole.amount_minor().saturating_neg())?];
    if captured_minor > 0 {
        entries.push(entry(set, AccountKey::wallet(to, currency), captured_minor)?);
    }
    if released_minor > 0 {
        entries.push(entry(set, wallet, released_minor)?);
    }
    Ok(entries)
}

/// What a step was answered with: told from its own row and the payment's first one, neither of which ever changes.
fn answer(known: &KnownPayment, step: &Arc<Transaction>) -> Result<Reply, Refusal> {
    match step.decline {
        Some(Decline::InsufficientFunds { available_minor }) => Err(Refusal::InsufficientFunds {
            payment: known.first.id.into(),
            asked: step.money,
            available_minor,
        }),
        Some(Decline::Risk | Decline::Topup(_)) | None => {
            Ok(Reply::Step { first: Arc::clone(&known.first), step: Arc::clone(step) })
        }
    }
}

/// The first answer again, unless the key was used for something else.
fn replay(set: &WorkingSet, first: &Arc<Transaction>, settle: &Settle) -> Outcome {
    let known = set.payments.get(&settle.payment);
    let fields = differences(first, known, settle);
    match known {
        Some(known) if fields.is_empty() => Outcome { replayed: true, result: answer(known, first) },
        _ => Refusal::IdempotencyKeyReused { fields }.into(),
    }
}

fn differences(first: &Transaction, known: Option<&KnownPayment>, settle: &Settle) -> Vec<&'static str> {
    let kind = match settle.settlement.step() {
        Move::Capture => TransactionKind::Capture,
        Move::Void => TransactionKind::Void,
        Move::Refund => TransactionKind::Refund,
        Move::Approve => TransactionKind::Approval,
        Move::Reject => TransactionKind::Rejection,
        Move::Expire => TransactionKind::Expiry,
    };
    let Some(step) = first.stage.step().filter(|_| first.kind == kind) else { return vec!["call"] };
    let Some(known) = known.filter(|_| step.payment == settle.payment) else { return vec!["payment"] };
    // Nothing said is all that there was.
    let is_other_amount = |amount: &Option<Amount>, is_all: bool| match amount {
        None => !is_all,
        Some(amount) => amount.of(first.money.currency()) != Ok(first.money),
    };
    match &settle.settlement {
        Settlement::Capture { amount } => {
            let is_all = first.money == known.first.money;
            differing([("amount", is_other_amount(amount, is_all))])
        }
        Settlement::Refund { amount, reason } => {
            let left = step.state.refundable_minor();
            let is_all = if first.decline.is_some() { first.money.amount_minor() == left } else { left == 0 };
            differing([("amount", is_other_amount(amount, is_all)), ("reason", step.note != *reason)])
        }
        Settlement::Approve { note } | Settlement::Reject { note } => {
            differing([("note", step.note != *note)])
        }
        Settlement::Void => Vec::new(),
    }
}

fn privilege_event(known: &KnownPayment, planned: &Planned) -> EventDraft {
    EventDraft::new(EventKind::PrivilegeUse, planned.actor)
        .with("payment", PaymentId::from(known.first.id).to_string())
        .with("what", planned.kind.name())
}
