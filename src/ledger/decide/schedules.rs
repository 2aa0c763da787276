//! Schedules: made, ended, and run exactly once each time.

use std::sync::Arc;

use super::super::{
    Caller, Capture, Command, EndSchedule, EventDraft, EventKind, EventType, Filing, LastRun, MakeSchedule,
    Memo, Pay, Record, RecordKey, Refusal, Rules, RunOutcome, RunSchedule, Schedule, ScheduleEnd, ScheduleId,
    SessionId, Shown, TokenHash, User, UserId, WorkingSet,
};
use super::factors::Asked;
use super::payments::{answered, differing, party, stands_for_no_cash, write_payment};
use super::{Outcome, Reply, active, caller_user};

pub(super) fn make(rules: &Rules, set: &mut WorkingSet, command: &Command, make: &MakeSchedule) -> Outcome {
    let owner = match caller_user(set, &make.caller) {
        Ok(user) => user,
        Err(refusal) => return refusal.into(),
    };
    if let Some(answer) = made_before(set, owner.id, make) {
        return answer;
    }
    new(rules, set, command, make, owner).into()
}

fn new(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    make: &MakeSchedule,
    owner: Arc<User>,
) -> Result<Reply, Refusal> {
    let owner = active(owner)?;
    let payee = party(rules, set, make.schedule.payee).ok_or(Refusal::RecipientNotFound)?;
    if payee.id == owner.id {
        return Err(Refusal::SelfPayment);
    }
    let first_due = make.key.as_ref().map(|_| make.due);
    let schedule = Schedule { payee_name: payee.name, first_due, ..make.schedule.clone() };
    let lookup = make.key.as_ref().map(|key| Schedule::lookup(owner.id, key).1);
    let filing = Filing { lookup, due_at: Some(make.due), ..Filing::under(owner.id) };
    let record = put(set, make.id, filing, &schedule)?;
    tell(set, command, EventType::ScheduleCreated, &record, &schedule);
    Ok(Reply::Record(record))
}

/// What the key was answered with, if it was used: the schedule as it was made, whatever became of it since.
fn made_before(set: &WorkingSet, owner: UserId, make: &MakeSchedule) -> Option<Outcome> {
    let key = make.key.as_ref()?;
    if answered(set, owner, Some(key)).is_some() {
        return Some(Refusal::IdempotencyKeyReused { fields: vec!["call"] }.into());
    }
    if let Err(refusal) = stands_for_no_cash(set, owner, Some(key)) {
        return Some(refusal.into());
    }
    let found = set.record_lookups.get(&Schedule::lookup(owner, key))?;
    let (record, schedule) = set.stored::<Schedule>(found.id)?;
    let fields = differences(&schedule, &make.schedule);
    if !fields.is_empty() {
        return Some(Refusal::IdempotencyKeyReused { fields }.into());
    }
    let filing = Filing { due_at: schedule.first_due, ..record.filing };
    let first = Schedule { runs: 0, last: None, end: None, ..schedule };
    let value = serde_json::to_string(&first).ok()?;
    let result = Ok(Reply::Record(Arc::new(Record { filing, value, ..(*record).clone() })));
    Some(Outcome { replayed: true, result })
}

fn differences(first: &Schedule, other: &Schedule) -> Vec<&'static str> {
    let rule = |schedule: &Schedule| schedule.rule.as_deref().map(str::to_ascii_uppercase);
    differing([
        ("to", first.payee != other.payee),
        ("amount", first.money.amount_minor() != other.money.amount_minor()),
        ("currency", first.money.currency() != other.money.currency()),
        ("description", first.description != other.description),
        ("reference", first.reference != other.reference),
        ("at", first.at != other.at),
        ("rrule", rule(first) != rule(other)),
        ("missed", first.missed != other.missed),
    ])
}

pub(super) fn end(set: &mut WorkingSet, command: &Command, end: &EndSchedule) -> Result<Reply, Refusal> {
    let user = active(caller_user(set, &end.caller)?)?;
    let (record, mut schedule) =
        set.stored::<Schedule>(end.schedule.uuid()).ok_or(Refusal::ScheduleNotFound)?;
    if record.filing.owner != user.id {
        return Err(Refusal::ScheduleNotFound);
    }
    if schedule.end.is_some() {
        return Ok(Reply::Record(record));
    }
    schedule.end = Some(ScheduleEnd::Cancelled);
    let record = put(set, end.schedule, Filing { due_at: None, ..record.filing }, &schedule)?;
    tell(set, command, EventType::ScheduleCancelled, &record, &schedule);
    Ok(Reply::Record(record))
}

/// Runs a schedule, if it is due for the time that the command is about: else somebody else has run it.
pub(super) fn run(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    run: &RunSchedule,
) -> Result<Reply, Refusal> {
    let Some((record, mut schedule)) = set.stored::<Schedule>(run.schedule.uuid()) else {
        return Ok(Reply::Done);
    };
    let is_due = record.filing.due_at == Some(run.due) && run.due <= set.now && schedule.end.is_none();
    if !is_due {
        return Ok(Reply::Done);
    }
    let owner = record.filing.owner;
    let outcome = if run.skips {
        RunOutcome::Skipped
    } else {
        schedule.runs = schedule.runs.saturating_add(1);
        pay(rules, set, command, run, (owner, &schedule))
    };
    if let RunOutcome::Refused(reason) = &outcome {
        let event = EventDraft::new(EventKind::PaymentDeclined, Some(owner))
            .with("schedule", run.schedule.to_string())
            .with("reason", reason.clone());
        set.record(command, &event);
    }
    // What was paid is told by its payment.
    let kind = match outcome {
        RunOutcome::Paid(_) => None,
        RunOutcome::Declined(_) | RunOutcome::Refused(_) => Some(EventType::ScheduleRunFailed),
        RunOutcome::Skipped => Some(EventType::ScheduleRunSkipped),
    };
    schedule.last = Some(LastRun { due: run.due, at: set.now, outcome });
    let done = run.next.is_none().then_some(EventType::ScheduleDone);
    if done.is_some() {
        schedule.end = Some(ScheduleEnd::Done);
    }
    let record = put(set, run.schedule, Filing { due_at: run.next, ..record.filing }, &schedule)?;
    for kind in kind.into_iter().chain(done) {
        tell(set, command, kind, &record, &schedule);
    }
    Ok(Reply::Record(record))
}

/// What a run's payment comes to. Its payer is not here: no session is asked for, since the record says what they want.
fn pay(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    run: &RunSchedule,
    (owner, schedule): (UserId, &Schedule),
) -> RunOutcome {
    let refused = |reason: &str| RunOutcome::Refused(reason.to_owned());
    let Some(payer) = set.users.get(&owner).cloned() else { return refused("payer_not_found") };
    if payer.frozen {
        return refused("account_frozen");
    }
    let Some(payee) = party(rules, set, schedule.payee) else { return refused("recipient_not_found") };
    let pay = payment_of(run, owner, schedule);
    match write_payment(rules, set, command, &pay, (&payer, payee), &mut Asked::nobody()) {
        Ok(_) => RunOutcome::Paid(run.payment),
        Err(Refusal::InsufficientFunds { payment, .. } | Refusal::PaymentDeclined { payment }) => {
            RunOutcome::Declined(payment)
        }
        Err(_) => refused("not_possible"),
    }
}

/// The payment of a run. It needs no key: the schedule's record sees to it that each run happens once.
fn payment_of(run: &RunSchedule, owner: UserId, schedule: &Schedule) -> Pay {
    let nobody =
        Caller { user: owner, session: SessionId::new(uuid::Uuid::nil()), access: TokenHash([0; 32]) };
    Pay {
        // It was looked at when the schedule was made; nobody is there to show a code.
        shown: Shown::Nothing,
        caller: nobody,
        payment: run.payment,
        payee: schedule.payee,
        money: schedule.money,
        memo: Memo {
            description: schedule.description.clone(),
            reference: schedule.reference.clone(),
            metadata: String::new(),
        },
        capture: Capture::Automatic,
        key: None,
    }
}

fn put(
    set: &mut WorkingSet,
    id: ScheduleId,
    filing: Filing,
    schedule: &Schedule,
) -> Result<Arc<Record>, Refusal> {
    set.put_record(id.uuid(), filing, schedule);
    let record: Option<&Arc<Record>> = set.records.get(&RecordKey::of::<Schedule>(id.uuid()));
    record.cloned().ok_or(Refusal::ScheduleNotFound)
}

fn tell(set: &mut WorkingSet, command: &Command, kind: EventType, record: &Record, schedule: &Schedule) {
    let (owner, object) = (record.filing.owner, record.key.id);
    set.tell_owner(command, kind, owner, (object, schedule.told(record)));
}
