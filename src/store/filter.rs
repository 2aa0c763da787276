//! Which transactions of a history are wanted.

use crate::ledger::{Currency, MovementType, Stage, Timestamp, Transaction, TransactionKind};

/// What a transaction must be to be listed; an absent condition lets everything pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Movements of money, or payments.
    pub listing: Listing,
    /// In this currency.
    pub currency: Option<Currency>,
    /// Declined, or not.
    pub declined: Option<bool>,
    /// At or after this time.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
}

/// What a history lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// What moved money, and what was declined; of one type, or all of them.
    Movements(Option<MovementType>),
    /// Payments, each once, whatever became of it.
    Payments,
    /// What risk rules look at: payments, and that operators let them through.
    Activity,
}

impl Default for Listing {
    fn default() -> Self {
        Self::Movements(None)
    }
}

impl HistoryFilter {
    /// The kinds of transactions that are listed.
    pub fn kinds(&self) -> impl Iterator<Item = TransactionKind> + use<> {
        let types: &'static [MovementType] = match self.listing {
            Listing::Movements(None) => &MovementType::ALL,
            Listing::Movements(Some(_)) | Listing::Payments | Listing::Activity => &[],
        };
        let kinds = match self.listing {
            Listing::Movements(None) => &[],
            Listing::Movements(Some(one)) => one.kinds(),
            Listing::Payments => &[TransactionKind::Payment],
            Listing::Activity => &[TransactionKind::Payment, TransactionKind::Approval],
        };
        types.iter().flat_map(|kind| kind.kinds()).chain(kinds).copied()
    }

    /// The one kind of transactions that is listed, if it is one.
    pub fn kind(&self) -> Option<TransactionKind> {
        let mut kinds = self.kinds();
        kinds.next().filter(|_| kinds.next().is_none())
    }

    /// Whether what only holds money is listed, too.
    pub fn takes_held(&self) -> bool {
        matches!(self.listing, Listing::Payments | Listing::Activity)
    }

    /// Whether the transaction is one of these.
    pub fn matches(&self, transaction: &Transaction) -> bool {
        let is_held = matches!(transaction.stage, Stage::Held(_))
            || transaction.stage.step().is_some_and(|step| step.state.status.is_held());
        self.kinds().any(|kind| transaction.kind == kind)
            && (!is_held || self.takes_held())
            && self.currency.is_none_or(|currency| transaction.money.currency() == currency)
            && self.declined.is_none_or(|declined| transaction.decline.is_some() == declined)
            && self.from.is_none_or(|from| transaction.created_at >= from)
            && self.to.is_none_or(|to| transaction.created_at < to)
    }
}
