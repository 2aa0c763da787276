//! The sandbox: its clock, and a new beginning.

use hyper::StatusCode;
use serde::Serialize;

use super::call::Call;
use super::reply;
use super::spec::Answer;
use super::views::Text;
use crate::ledger::Timestamp;

#[derive(Serialize)]
struct ClockView {
    now: Text<Timestamp>,
}

pub(super) async fn move_clock(call: Call) -> Answer {
    let mut form = call.form()?;
    let seconds = form.number("advance");
    let seconds = form.finish(seconds)?;
    let by_ms = seconds.saturating_mul(1_000);
    let now = call.teller().move_clock(call.who()?, call.origin.clone(), by_ms).await?;
    Ok(reply::json(StatusCode::OK, &ClockView { now: Text(now) }))
}

pub(super) async fn reset(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    call.teller().reset_sandbox(call.who()?).await?;
    Ok(reply::no_content())
}
