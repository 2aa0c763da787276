//! The security events that concern the caller.

use super::call::Call;
use super::extract::Cursor;
use super::reply::List;
use super::spec::Answer;
use super::views::EventView;
use crate::store::PageRequest;

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let pairs = query.pairs();
    query.finish(())?;
    let page = call.teller().activity(call.who()?, page).await?;
    let rows = page.rows.iter().map(EventView::own).collect();
    Ok(List::new(rows, page.next.map(Cursor::new)).into_reply("/me/activity", &pairs))
}
