//! Cash: operators take it in, pay it out, and let through what another one asked for.

use hyper::StatusCode;

use super::call::Call;
use super::extract::Cursor;
use super::payments::mark_replay;
use super::problem::{Code, Problem};
use super::reply::{self, List};
use super::spec::Answer;
use super::views::CashView;
use crate::ledger::{CashDirection, IdempotencyKey};
use crate::store::PageRequest;
use crate::teller::{CashAnswer, CashOrder, Recipient};

pub(super) async fn deposit(call: Call) -> Answer {
    order(call, CashDirection::Deposit).await
}

pub(super) async fn withdraw(call: Call) -> Answer {
    order(call, CashDirection::Withdrawal).await
}

async fn order(call: Call, direction: CashDirection) -> Answer {
    let order = read_order(&call, direction, call.idempotency_key()?)?;
    let (answer, replayed) = call.teller().cash(call.who()?, call.origin.clone(), order).await?;
    Ok(mark_replay(show(&answer)?, replayed))
}

/// The cash that an operator took in or is to pay out.
///
/// # Errors
/// 422 with every wrong field.
pub(crate) fn read_order(
    call: &Call,
    direction: CashDirection,
    key: Option<IdempotencyKey>,
) -> Result<CashOrder, Problem> {
    let mut form = call.form()?;
    let money = form.money("amount", "currency");
    let user = match form.recipient("user") {
        Some(Recipient::House) => {
            form.refuse("user", "invalid_recipient", "must be a user; the house has no cash desk");
            None
        }
        user => user,
    };
    let reference = form.text("reference");
    let (money, user, reference) =
        form.finish(money.zip(user).zip(reference).map(|((m, u), r)| (m, u, r)))?;
    Ok(CashOrder { direction, user, money, reference, key })
}

pub(super) async fn approve(call: Call) -> Answer {
    decide(call, true).await
}

pub(super) async fn reject(call: Call) -> Answer {
    decide(call, false).await
}

async fn decide(call: Call, approved: bool) -> Answer {
    show(&decided(&call, approved).await?)
}

/// Lets the cash of the path through, or stops it.
///
/// # Errors
/// 422 with every wrong field; every refusal of that.
pub(crate) async fn decided(call: &Call, approved: bool) -> Result<CashAnswer, Problem> {
    let mut form = call.form()?;
    let note = form.text("note").unwrap_or_default();
    form.finish(Some(()))?;
    let (who, id) = (call.who()?, call.id()?);
    Ok(call.teller().decide_cash(who, call.origin.clone(), id, approved, note).await?)
}

fn show(answer: &CashAnswer) -> Answer {
    Ok(match answer {
        CashAnswer::Moved(transaction) => reply::json(StatusCode::CREATED, &CashView::moved(transaction)),
        CashAnswer::Waits(record) => {
            let view = CashView::waiting(record).ok_or_else(|| Problem::new(Code::InternalError))?;
            reply::json(StatusCode::ACCEPTED, &view)
        }
        CashAnswer::Rejected => reply::no_content(),
    })
}

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let pairs = query.pairs();
    query.finish(())?;
    let page = call.teller().waiting_cash(page).await?;
    let rows = page.rows.iter().filter_map(|(_, record)| CashView::waiting(record)).collect();
    Ok(List::new(rows, page.next.map(Cursor::new)).into_reply("/admin/cash", &pairs))
}
