//! The ledger's side of a reconciliation: deposits and withdrawals of a period, and around it.

use super::search::Whose;
use super::{Identity, Teller, TellerError};
use crate::ledger::{MovementType, Timestamp};
use crate::store::{HistoryFilter, Listing, Movement, PageRequest};

/// How far from the period a booking may be that a line of the bank is matched with: a week.
const SLACK_MS: i64 = 7 * 86_400_000;
/// Bookings that are read at a time.
const PIECE: usize = 1_000;

impl Teller {
    /// Deposits and withdrawals from a time on and before another, oldest first, without those to which the operator is a
    /// party; and those of a week on either side.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn cash_around(
        &self,
        who: &Identity,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Movement>, TellerError> {
        let mut found = Vec::new();
        for kind in [MovementType::Deposit, MovementType::Withdrawal] {
            let filter = HistoryFilter {
                listing: Listing::Movements(Some(kind)),
                from: Some(from.plus_millis(SLACK_MS.saturating_neg())),
                to: Some(to.plus_millis(SLACK_MS)),
                ..HistoryFilter::default()
            };
            let mut page = PageRequest { after: None, limit: PIECE };
            loop {
                let piece = self.search(Whose::NotOf(who.user.id), &filter.into(), page).await?;
                found.extend(piece.rows);
                page.after = piece.next;
                if page.after.is_none() {
                    break;
                }
            }
        }
        found.sort_by_key(|movement| movement.sequence);
        Ok(found)
    }
}
