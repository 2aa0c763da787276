//! Schedules: made, ended, and run exactly once each time.

use std::sync::Arc;

use super::super::{
    Caller, Capture, Command, EndSchedule, EventDraft, EventKind, EventType, Filing, LastRun, MakeSchedule,
    Memo, Pay, Record, RecordKey, Refusal, Rules, RunOutcome, RunSchedule, Schedule, ScheduleEnd, ScheduleId,
    SessionId, Shown, Timestamp, TokenHash, User, UserId, WorkingSet,
};
use super::factors::Asked;
use super::payments::{party, write_payment};
use super::{Reply, caller_user};

pub(super) fn make(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    make: &MakeSchedule,
) -> Result<Reply, Refusal> {
    let user = active_caller(set, &make.caller)?;
    let payee = party(rules, set, make.schedule.payee).ok_or(Refusal::RecipientNotFound)?;
    if payee.id == user.id {
        return Err(Refusal::SelfPayment);
    }
    let schedule = Schedule { payee_name: payee.name, ..make.schedule.clone() };
    let record = put(set, make.id, user.id, Some(make.due), &schedule)?;
    tell(set, command, EventType::ScheduleCreated, &record, &schedule);
    Ok(Reply::Record(record))
}

pub(super) fn end(set: &mut WorkingSet, command: &Command, end: &EndSchedule) -> Result<Reply, Refusal> {
    let user = active_caller(set, &end.caller)?;
    let (record, mut schedule) =
        set.stored::<Schedule>(end.schedule.uuid()).ok_or(Refusal::ScheduleNotFound)?;
    if record.filing.owner != user.id {
        return Err(Refusal::ScheduleNotFound);
    }
    if schedule.end.is_some() {
        return Ok(Reply::Record(record));
    }
    schedule.end = Some(ScheduleEnd::Cancelled);
    let record = put(set, end.schedule, user.id, None, &schedule)?;
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
    let record = put(set, run.schedule, owner, run.next, &schedule)?;
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

fn active_caller(set: &WorkingSet, caller: &Caller) -> Result<Arc<User>, Refusal> {
    let user = caller_user(set, caller)?;
    if user.frozen { Err(Refusal::AccountFrozen) } else { Ok(user) }
}

fn put(
    set: &mut WorkingSet,
    id: ScheduleId,
    owner: UserId,
    due_at: Option<Timestamp>,
    schedule: &Schedule,
) -> Result<Arc<Record>, Refusal> {
    set.put_record(id.uuid(), Filing { due_at, ..Filing::under(owner) }, schedule);
    let record: Option<&Arc<Record>> = set.records.get(&RecordKey::of::<Schedule>(id.uuid()));
    record.cloned().ok_or(Refusal::ScheduleNotFound)
}

fn tell(set: &mut WorkingSet, command: &Command, kind: EventType, record: &Record, schedule: &Schedule) {
    let (owner, object) = (record.filing.owner, record.key.id);
    set.tell_owner(command, kind, owner, (object, schedule.told(record)));
}
