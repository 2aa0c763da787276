//! Search: what somebody wants of a history beyond what the engines select by.
//!
//! Engines select by kind, currency, time and whether a payment was declined, which is cheap in every order of rows. The
//! rest is looked at here, row by row behind them: no index for each wish, and one rule on every engine. One call looks at
//! [`MOST_LOOKED_AT`] rows at most and then says where to go on, so that a rare wish costs its asker more calls and nobody
//! else anything.

use std::sync::Arc;

use serde_json::Map;

use super::{Recipient, Teller, TellerError};
use crate::ledger::{PaymentStatus, Transaction, UserId};
use crate::store::oversight::TransactionQuery;
use crate::store::{HistoryFilter, HistoryQuery, Listing, Movement, Page, PageRequest, StoreError};

/// Rows that one call looks at before it says where to go on.
pub const MOST_LOOKED_AT: usize = 2_000;
/// Rows that are looked at in one piece.
const PIECE: usize = 250;

/// What somebody wants of a history; an absent condition lets everything pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// What the engines select by.
    pub filter: HistoryFilter,
    /// How a payment stands now.
    pub status: Option<PaymentStatus>,
    /// Out of the wallet of whose history it is, or into it.
    pub is_out: Option<bool>,
    /// Who is on the other side.
    pub counterparty: Option<Recipient>,
    /// The very reference.
    pub reference: Option<String>,
    /// At least so many minor units.
    pub least_minor: Option<i64>,
    /// At most so many minor units.
    pub most_minor: Option<i64>,
    /// Metadata with this key, and with this value if one is told.
    pub metadata: Option<(String, Option<String>)>,
}

impl From<HistoryFilter> for Search {
    fn from(filter: HistoryFilter) -> Self {
        Self { filter, ..Self::default() }
    }
}

/// Whose transactions are searched.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose {
    /// One user's, as that user sees them.
    Of(UserId),
    /// Everybody's, without those to which this operator is a party.
    NotOf(UserId),
}

impl Search {
    /// The same among payments, each once, instead of among movements.
    #[must_use]
    pub(super) fn of_payments(mut self) -> Self {
        self.filter.listing = Listing::Payments;
        self
    }

    /// Whether the engines' selection is all that is wanted.
    fn is_plain(&self) -> bool {
        *self == Self::from(self.filter)
    }

    /// Whether a row is wanted, its payment's state apart.
    fn takes(&self, transaction: &Transaction, whose: Whose, counterparty: Option<UserId>) -> bool {
        let is_party = |user: UserId| match whose {
            Whose::Of(own) if transaction.from.id == own => transaction.to.id == user,
            Whose::Of(_) => transaction.from.id == user,
            Whose::NotOf(_) => transaction.is_party(user),
        };
        let minor = transaction.money.amount_minor();
        counterparty.is_none_or(is_party)
            && self
                .is_out
                .is_none_or(|out| matches!(whose, Whose::Of(own) if (transaction.from.id == own) == out))
            && self.reference.as_ref().is_none_or(|reference| *reference == transaction.memo.reference)
            && self.least_minor.is_none_or(|least| minor >= least)
            && self.most_minor.is_none_or(|most| minor <= most)
            && self
                .metadata
                .as_ref()
                .is_none_or(|(key, value)| has_metadata(&transaction.memo.metadata, key, value.as_deref()))
    }
}

fn has_metadata(text: &str, key: &str, value: Option<&str>) -> bool {
    // Most rows have none; those need no reading.
    let pairs = if text.is_empty() { Map::new() } else { serde_json::from_str(text).unwrap_or_default() };
    pairs.get(key).is_some_and(|found| value.is_none_or(|value| found.as_str() == Some(value)))
}

impl Teller {
    /// A page of what is wanted, newest first. It may have fewer rows than were asked for and still a next page.
    pub(super) async fn search(
        &self,
        whose: Whose,
        search: &Search,
        page: PageRequest,
    ) -> Result<Page<Movement>, TellerError> {
        if search.is_plain() {
            return Ok(self.select(whose, search.filter, page).await?);
        }
        let counterparty = match &search.counterparty {
            None => None,
            Some(named) => match self.user_of(named).await? {
                None => return Ok(Page { rows: Vec::new(), next: None }),
                found => found,
            },
        };
        let (mut rows, mut after): (Vec<Movement>, _) = (Vec::new(), page.after);
        for _ in 0..MOST_LOOKED_AT.div_euclid(PIECE) {
            let piece = self.select(whose, search.filter, PageRequest { after, limit: PIECE }).await?;
            let taken = piece
                .rows
                .into_iter()
                .filter(|movement| search.takes(&movement.transaction, whose, counterparty));
            for movement in self.standing(taken.collect(), search.status).await? {
                if rows.len() >= page.limit {
                    let next = rows.last().map(|last| last.sequence);
                    return Ok(Page { rows, next });
                }
                rows.push(movement);
            }
            after = piece.next;
            if after.is_none() || rows.len() >= page.limit {
                break;
            }
        }
        Ok(Page { rows, next: after })
    }

    async fn select(
        &self,
        whose: Whose,
        filter: HistoryFilter,
        page: PageRequest,
    ) -> Result<Page<Movement>, StoreError> {
        match whose {
            Whose::Of(user) => self.store.history(HistoryQuery { user, page, filter }).await,
            Whose::NotOf(not_of) => {
                self.store.find_transactions(TransactionQuery { not_of, filter, page }).await
            }
        }
    }

    /// Those whose payment stands so now; all of them if it does not matter.
    async fn standing(
        &self,
        rows: Vec<Movement>,
        status: Option<PaymentStatus>,
    ) -> Result<Vec<Movement>, TellerError> {
        let Some(status) = status else { return Ok(rows) };
        let firsts = rows.iter().map(|movement| Arc::clone(&movement.transaction)).collect();
        let now = self.as_they_stand(firsts).await?;
        let standing = rows.into_iter().zip(now);
        let standing = standing.filter(|(_, now)| now.state.is_some_and(|state| state.status == status));
        Ok(standing.map(|(movement, _)| movement).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::has_metadata;

    #[test]
    fn metadata_is_found_by_key_and_by_value() {
        let text = "{\"order\":\"42\",\"shop\":\"north\"}";
        assert!(has_metadata(text, "order", None) && has_metadata(text, "order", Some("42")));
        assert!(!has_metadata(text, "order", Some("4")) && !has_metadata(text, "42", None));
        assert!(!has_metadata("", "order", None));
    }
}
