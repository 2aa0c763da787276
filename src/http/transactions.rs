//! Transactions: the caller's own movements of money, newest first.

use hyper::StatusCode;

use super::call::Call;
use super::extract::Cursor;
use super::problem::{Code, Problem};
use super::reply::{self, List};
use super::search;
use super::spec::Answer;
use super::views::TransactionView;
use crate::ledger::{MovementType, PaymentStatus};
use crate::store::{Listing, Page, PageRequest};

/// What a movement can be.
pub(crate) const TYPES: &[&str] = &["payment", "topup", "deposit", "withdrawal", "refund", "grant"];
/// How a movement can stand; likewise.
pub(crate) const STATUSES: &[&str] = &[
    "succeeded",
    "authorized",
    "pending_review",
    "declined",
    "rejected",
    "voided",
    "expired",
    "refunded",
    "partially_refunded",
];

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let kind = query.word("type").and_then(MovementType::from_name);
    let mut search = search::read(&mut query);
    let pairs = query.pairs();
    query.finish(())?;
    let who = call.who()?;
    search.filter.listing = Listing::Movements(kind);
    let page = match search.status.take() {
        // The others are states of payments, and no movement is in one.
        Some(status) if status != PaymentStatus::Succeeded => Page { rows: Vec::new(), next: None },
        _ => call.teller().transactions(who, page, search).await?,
    };
    let rows = page.rows.iter().map(|movement| TransactionView::new(movement, who.user.id)).collect();
    Ok(List::new(rows, page.next.map(Cursor::new)).into_reply("/transactions", &pairs))
}

pub(super) async fn get(call: Call) -> Answer {
    let who = call.who()?;
    let movement = call.teller().transaction(who, call.id()?).await?;
    let movement = movement.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(reply::json(StatusCode::OK, &TransactionView::new(&movement, who.user.id)))
}
