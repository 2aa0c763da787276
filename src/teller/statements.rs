//! Statements: where a span of a wallet's history begins and ends, and its movements, a piece at a time.

use std::collections::BTreeSet;

use crate::ledger::{Balance, Currency, Timestamp, UserId};
use crate::store::{HistoryFilter, HistoryQuery, Movement, PageRequest, WalletQuery};

use super::{Identity, Teller, TellerError};

/// Movements that are read at a time.
const PIECE: usize = 1_000;

/// A statement that somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementRequest {
    /// Of which wallet.
    pub currency: Currency,
    /// From this time on; none for the beginning.
    pub from: Option<Timestamp>,
    /// Before this time; none for now.
    pub to: Option<Timestamp>,
}

/// What stands at both ends of a statement. What lies between never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementBounds {
    /// Whose wallet.
    pub user: UserId,
    /// Which.
    pub currency: Currency,
    /// When it was looked at.
    pub at: Timestamp,
    /// What it held before, in minor units.
    pub opening_minor: i64,
    /// What it holds after the last movement, in minor units.
    pub closing_minor: i64,
    after: u64,
    to: u64,
}

impl Teller {
    /// Finds the ends of a statement of the caller's wallet.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn statement(
        &self,
        who: &Identity,
        request: StatementRequest,
    ) -> Result<StatementBounds, TellerError> {
        let (user, currency) = (who.user.id, request.currency);
        let opening = match request.from {
            Some(from) => self.newest_movement(user, currency, Some(from)).await?,
            None => None,
        };
        let closing = self.newest_movement(user, currency, request.to).await?;
        let place = |movement: &Option<Movement>| movement.as_ref().map_or(0, |movement| movement.sequence);
        let balance = |movement: &Option<Movement>| {
            movement.as_ref().and_then(|movement| movement.balance_after_minor).unwrap_or_default()
        };
        Ok(StatementBounds {
            user,
            currency,
            at: self.clock().now(),
            opening_minor: balance(&opening),
            closing_minor: balance(&closing),
            after: place(&opening),
            to: place(&closing),
        })
    }

    /// The next movements of a statement, oldest first, behind the one at that place; empty at its end.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn statement_piece(
        &self,
        bounds: &StatementBounds,
        behind: Option<u64>,
    ) -> Result<Vec<Movement>, TellerError> {
        let StatementBounds { user, currency, after, to, .. } = *bounds;
        let query = WalletQuery { user, currency, after: behind.unwrap_or(after), to, limit: PIECE };
        Ok(self.store.wallet_movements(query).await?)
    }

    /// What the caller's wallets held right before that time; those that had no movement by then are left out.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn wallets_before(&self, who: &Identity, time: Timestamp) -> Result<Vec<Balance>, TellerError> {
        let user = who.user.id;
        let accounts = self.store.wallets(user).await?;
        let currencies: BTreeSet<Currency> =
            accounts.iter().map(|account| account.balance.currency).collect();
        let mut balances = Vec::new();
        for currency in currencies {
            let last = self.newest_movement(user, currency, Some(time)).await?;
            let amount_minor = last.and_then(|movement| movement.balance_after_minor);
            balances.extend(amount_minor.map(|amount_minor| Balance { amount_minor, currency }));
        }
        Ok(balances)
    }

    async fn newest_movement(
        &self,
        user: UserId,
        currency: Currency,
        before: Option<Timestamp>,
    ) -> Result<Option<Movement>, TellerError> {
        let filter = HistoryFilter {
            currency: Some(currency),
            declined: Some(false),
            to: before,
            ..HistoryFilter::default()
        };
        let page = PageRequest { after: None, limit: 1 };
        Ok(self.store.history(HistoryQuery { user, page, filter }).await?.rows.pop())
    }
}
