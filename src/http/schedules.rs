//! Schedules: payments that run by themselves.

use hyper::StatusCode;
use serde_json::Value;

use super::call::Call;
use super::extract::Cursor;
use super::payments::{mark_replay, recipient};
use super::problem::{Code, Problem};
use super::reply::{self, List};
use super::spec::Answer;
use crate::ledger::{Memo, Missed, Record, Schedule};
use crate::store::PageRequest;
use crate::teller::NewSchedule;

/// The names of what is done about missed runs.
pub(super) const MISSED: &[&str] = &["skip", "run_once", "run_all"];

fn view(record: &Record) -> Result<Value, Problem> {
    let schedule: Schedule = record.read().ok_or_else(|| Problem::internal("a schedule cannot be read"))?;
    Ok(schedule.told(record))
}

fn one(status: StatusCode, record: &Record) -> Answer {
    Ok(reply::json(status, &view(record)?))
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
    let key = call.idempotency_key()?;
    let new = NewSchedule { to, money, memo, at, rule, missed, key };
    let (record, replayed) = call.teller().make_schedule(call.who()?, call.origin.clone(), new).await?;
    Ok(mark_replay(one(StatusCode::CREATED, &record)?, replayed))
}

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let pairs = query.pairs();
    query.finish(())?;
    let page = call.teller().schedules(call.who()?, page).await?;
    let rows = page.rows.iter().map(|record| view(record)).collect::<Result<_, Problem>>()?;
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
