//! Schedules: payments that run by themselves.

use hyper::StatusCode;
use serde::Serialize;

use super::call::Call;
use super::extract::Cursor;
use super::payments::recipient;
use super::problem::{Code, Problem};
use super::reply::{self, List};
use super::spec::Answer;
use super::views::{PartyView, Text, text_or_null};
use crate::ledger::{
    Currency, Memo, Missed, Money, PaymentId, Record, RunOutcome, Schedule, ScheduleId, Timestamp,
};
use crate::store::PageRequest;
use crate::teller::NewSchedule;

/// The names of what is done about missed runs.
pub(super) const MISSED: &[&str] = &["skip", "run_once", "run_all"];

#[derive(Serialize)]
struct ScheduleView<'a> {
    id: ScheduleId,
    status: &'static str,
    amount: Text<Money>,
    currency: Currency,
    to: PartyView<'a>,
    description: Option<&'a str>,
    reference: Option<&'a str>,
    at: Text<Timestamp>,
    rrule: Option<&'a str>,
    missed: Missed,
    next_at: Option<Text<Timestamp>>,
    runs: u64,
    last: Option<LastView<'a>>,
    created_at: Text<Timestamp>,
}

#[derive(Serialize)]
struct LastView<'a> {
    due_at: Text<Timestamp>,
    at: Text<Timestamp>,
    outcome: &'static str,
    payment: Option<PaymentId>,
    reason: Option<&'a str>,
}

impl<'a> ScheduleView<'a> {
    fn new(record: &Record, schedule: &'a Schedule) -> Self {
        let last = schedule.last.as_ref().map(|last| {
            let (outcome, payment, reason) = match &last.outcome {
                RunOutcome::Paid(payment) => ("paid", Some(*payment), None),
                RunOutcome::Declined(payment) => ("declined", Some(*payment), None),
                RunOutcome::Refused(reason) => ("refused", None, Some(reason.as_str())),
                RunOutcome::Skipped => ("skipped", None, None),
            };
            LastView { due_at: Text(last.due), at: Text(last.at), outcome, payment, reason }
        });
        Self {
            id: ScheduleId::new(record.key.id),
            status: schedule.status(),
            amount: Text(schedule.money),
            currency: schedule.money.currency(),
            to: PartyView::named(schedule.payee, schedule.payee_name.as_deref()),
            description: text_or_null(&schedule.description),
            reference: text_or_null(&schedule.reference),
            at: Text(schedule.at),
            rrule: schedule.rule.as_deref(),
            missed: schedule.missed,
            next_at: record.filing.due_at.map(Text),
            runs: schedule.runs,
            last,
            created_at: Text(record.created_at),
        }
    }
}

fn read(record: &Record) -> Result<Schedule, Problem> {
    record.read().ok_or_else(|| Problem::internal("a schedule cannot be read"))
}

fn one(status: StatusCode, record: &Record) -> Answer {
    Ok(reply::json(status, &ScheduleView::new(record, &read(record)?)))
}

pub(super) async fn make(call: Call) -> Answer {
    let mut form = call.form()?;
    let money = form.money("amount", "currency");
    let to = recipient(&mut form);
    let memo = Memo {
        description: form.text("description").unwrap_or_default(),
        reference: form.text("reference").unwrap_or_default(),
        metadata: String::new(),
    };
    let (at, rule) = (form.moment("at"), form.text("rrule"));
    let missed = form.word("missed").and_then(Missed::from_name).unwrap_or(Missed::RunOnce);
    let (money, at) = form.finish(money.zip(at))?;
    let new = NewSchedule { to, money, memo, at, rule, missed };
    let record = call.teller().make_schedule(call.who()?, call.origin.clone(), new).await?;
    one(StatusCode::CREATED, &record)
}

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let pairs = query.pairs();
    query.finish(())?;
    let page = call.teller().schedules(call.who()?, page).await?;
    let schedules = page.rows.iter().map(|record| Ok((record, read(record)?)));
    let schedules = schedules.collect::<Result<Vec<_>, Problem>>()?;
    let rows = schedules.iter().map(|(record, schedule)| ScheduleView::new(record, schedule)).collect();
    Ok(List::new(rows, page.next.map(Cursor::new)).into_reply("/schedules", &pairs))
}

pub(super) async fn get(call: Call) -> Answer {
    let record = call.teller().schedule(call.who()?, call.id()?).await?;
    one(StatusCode::OK, &*record.ok_or_else(|| Problem::new(Code::NotFound))?)
}

pub(super) async fn end(call: Call) -> Answer {
    call.teller().end_schedule(call.who()?, call.origin.clone(), call.id()?).await?;
    Ok(reply::no_content())
}
