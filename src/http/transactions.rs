//! Transactions: the caller's own movements of money, newest first.

use hyper::StatusCode;

use super::call::Call;
use super::extract::Cursor;
use super::problem::{Code, Problem};
use super::reply::{self, List};
use super::spec::Answer;
use super::views::TransactionView;
use crate::ledger::TransactionKind;
use crate::store::{HistoryFilter, Page, PageRequest};

/// What a movement can be; some of them come with later versions, and no movement is one yet.
pub(crate) const TYPES: &[&str] = &["payment", "topup", "deposit", "withdrawal", "refund", "grant"];
/// How a movement can stand; likewise.
pub(super) const STATUSES: &[&str] = &[
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
    let (kind, status) = (query.word("type"), query.word("status"));
    let currency = query.currency("currency");
    let (from, to) = (query.from("from"), query.until("to"));
    let pairs = query.pairs();
    query.finish(())?;
    let who = call.who()?;
    let page = match (kind.map(TransactionKind::from_name), status.map(declined)) {
        // No movement is of a type or in a state that does not exist yet.
        (Some(None), _) | (_, Some(None)) => Page { rows: Vec::new(), next: None },
        (kind, declined) => {
            let (kind, declined) = (kind.flatten(), declined.flatten());
            let filter = HistoryFilter { currency, kind, declined, from, to };
            call.teller().transactions(who, page, filter).await?
        }
    };
    let rows = page.rows.iter().map(|movement| TransactionView::new(movement, who.user.id)).collect();
    Ok(List::new(rows, page.next.map(Cursor::new)).into_reply("/transactions", &pairs))
}

fn declined(status: &str) -> Option<bool> {
    match status {
        "succeeded" => Some(false),
        "declined" => Some(true),
        _ => None,
    }
}

pub(super) async fn get(call: Call) -> Answer {
    let who = call.who()?;
    let movement = call.teller().transaction(who, call.id()?).await?;
    let movement = movement.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(reply::json(StatusCode::OK, &TransactionView::new(&movement, who.user.id)))
}
