//! What operators look at: everybody's users, payments and security events, and how the ledger is doing.

use super::{Answer, HistoryFilter, Movement, Page, PageRequest};
use crate::ledger::{
    Currency, EventKind, PaymentId, Role, SecurityEvent, Severity, Timestamp, TransactionId, User, UserId,
};
use std::sync::Arc;

/// What operators look at. Lists come newest first.
pub trait Oversight: Send + Sync {
    /// Users that the query describes.
    fn find_users(&self, query: UserQuery) -> Answer<'_, Page<Arc<User>>>;

    /// Transactions that the query describes, whoever's they are.
    fn find_transactions(&self, query: TransactionQuery) -> Answer<'_, Page<Movement>>;

    /// One transaction, whoever's it is, without its entries.
    fn find_transaction(&self, id: TransactionId) -> Answer<'_, Option<Movement>>;

    /// The later steps of a payment, whoever's it is, oldest first and without their entries; so many of them at most.
    fn payment_steps(&self, payment: PaymentId, limit: usize) -> Answer<'_, Vec<Movement>>;

    /// Security events that the query describes.
    fn find_events(&self, query: EventQuery) -> Answer<'_, Page<SecurityEvent>>;

    /// Figures: users and sessions at a time, payments from another time on.
    fn statistics(&self, now: Timestamp, since: Timestamp) -> Answer<'_, Statistics>;
}

/// Which users are wanted. An absent condition lets everybody pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserQuery {
    /// Part of the email in whatever case, or of the name as it is written.
    pub search: Option<String>,
    /// With this role.
    pub role: Option<Role>,
    /// Frozen, or not.
    pub frozen: Option<bool>,
    /// Which part of the list.
    pub page: PageRequest,
}

impl UserQuery {
    /// Whether the user is one of these.
    pub fn matches(&self, user: &User) -> bool {
        let is_found = |search: &String| {
            user.email.folded().contains(&search.to_lowercase())
                || user.name.as_ref().is_some_and(|name| name.contains(search))
        };
        self.search.as_ref().is_none_or(is_found)
            && self.role.is_none_or(|role| user.role == role)
            && self.frozen.is_none_or(|frozen| user.frozen == frozen)
    }
}

/// Which transactions are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionQuery {
    /// Not those to which this user is a party.
    pub not_of: UserId,
    /// Only these.
    pub filter: HistoryFilter,
    /// Which part of the list.
    pub page: PageRequest,
}

/// Which security events are wanted. An absent condition lets every event pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventQuery {
    /// Of this kind.
    pub kind: Option<EventKind>,
    /// Of this severity.
    pub severity: Option<Severity>,
    /// That concern this user.
    pub user: Option<UserId>,
    /// At or after this time.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// Which part of the list.
    pub page: PageRequest,
}

impl EventQuery {
    /// Whether the event is one of these.
    pub fn matches(&self, event: &SecurityEvent) -> bool {
        self.kind.is_none_or(|kind| event.kind == kind)
            && self.severity.is_none_or(|severity| event.severity == severity)
            && self.user.is_none_or(|user| event.user == Some(user))
            && self.from.is_none_or(|from| event.at >= from)
            && self.to.is_none_or(|to| event.at < to)
    }
}

/// How the ledger is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// How many users have each role.
    pub users: Vec<(Role, u64)>,
    /// How many of them are frozen.
    pub frozen: u64,
    /// How many sessions and API keys count.
    pub sessions: u64,
    /// Payments in each currency in which there were any, in the order of the currencies' codes.
    pub payments: Vec<PaymentFigures>,
}

/// Payments in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentFigures {
    /// The currency.
    pub currency: Currency,
    /// How many moved money.
    pub succeeded: u64,
    /// How much that was, in minor units.
    pub volume_minor: i128,
    /// How many were declined.
    pub declined: u64,
}
