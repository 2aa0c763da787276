//! What risk rules know of a user, as the file has it.

use rusqlite::Connection;

use super::fault::Fault;
use super::{Shared, reads};
use crate::ledger::{Activity, REMEMBERED, UserId};
use crate::store::{HistoryFilter, HistoryQuery, Listing, Movement, PageRequest};

/// How many of a user's payments are read at a time for the last [`REMEMBERED`] each way: of who paid and was paid in turn
/// these are enough. Of who mostly did the one thing, so many pieces are read for the other.
const PIECE: usize = 4 * REMEMBERED;
const PIECES: usize = 16;

/// The last payments of a user.
pub(super) fn read(connection: &Connection, shared: &Shared, user: UserId) -> Result<Activity, Fault> {
    let mut page = PageRequest { after: None, limit: PIECE };
    let (mut newest, mut paid) = (Vec::new(), 0_usize);
    for _ in 0..PIECES {
        let filter = HistoryFilter { listing: Listing::Activity, ..HistoryFilter::default() };
        let found = reads::history(connection, shared, &HistoryQuery { user, page, filter })?;
        let is_paid = |movement: &&Movement| movement.transaction.from.id == user;
        paid = paid.saturating_add(found.rows.iter().filter(is_paid).count());
        newest.extend(found.rows);
        page.after = found.next;
        let fewest = paid.min(newest.len().saturating_sub(paid));
        if fewest >= REMEMBERED || page.after.is_none() {
            break;
        }
    }
    let mut activity = Activity::default();
    newest.iter().rev().for_each(|movement| activity.take(user, &movement.transaction));
    Ok(activity)
}
