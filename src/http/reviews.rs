//! Payments under review: operators see why each is held, and let it through or stop it.

use serde::Serialize;

use super::call::Call;
use super::extract::Cursor;
use super::payments::settled;
use super::reply::List;
use super::spec::Answer;
use super::views::{PaymentView, Text};
use crate::ledger::{ReviewReason, Settlement, Timestamp};
use crate::store::PageRequest;
use crate::teller::ReviewNow;

#[derive(Serialize)]
struct ReviewView<'a> {
    payment: PaymentView<'a>,
    reasons: Vec<ReasonView<'a>>,
    expires_at: Option<Text<Timestamp>>,
}

#[derive(Serialize)]
struct ReasonView<'a> {
    rule: &'a str,
    figure: &'a str,
    limit: &'a str,
}

impl<'a> ReviewView<'a> {
    fn new(now: &'a ReviewNow) -> Self {
        let reason =
            |ReviewReason { rule, figure, limit }: &'a ReviewReason| ReasonView { rule, figure, limit };
        Self {
            payment: PaymentView::new(&now.first, now.first.payment_state()),
            reasons: now.review.reasons.iter().map(reason).collect(),
            expires_at: now.record.filing.due_at.map(Text),
        }
    }
}

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let pairs = query.pairs();
    query.finish(())?;
    let page = call.teller().reviews(call.who()?, page).await?;
    let rows = page.rows.iter().map(ReviewView::new).collect();
    Ok(List::new(rows, page.next.map(Cursor::new)).into_reply("/admin/reviews", &pairs))
}

pub(super) async fn approve(call: Call) -> Answer {
    let note = read_note(&call)?;
    settled(&call, Settlement::Approve { note }).await
}

pub(super) async fn reject(call: Call) -> Answer {
    let note = read_note(&call)?;
    settled(&call, Settlement::Reject { note }).await
}

/// Why an operator decides so.
///
/// # Errors
/// 422 if it is missing or too long.
pub(crate) fn read_note(call: &Call) -> Result<String, super::problem::Problem> {
    let mut form = call.form()?;
    let note = form.text("note");
    form.finish(note)
}
