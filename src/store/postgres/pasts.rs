//! What risk rules know of users, kept by a lane from batch to batch, so that a load reads only what is new.
//!
//! Nothing of it decides unasked. Each load asks for the rows after the last one that is known, and numbers follow the order
//! of commits, so that a row which is seen later never stands before one that was seen. There is nothing to read where the
//! journal ends with this lane's own last block. What another connection leads to may lack what was read over the last
//! one: with the connection everything is forgotten.

use std::time::Instant;

use tokio_postgres::Row;

use super::fault::Fault;
use super::rows;
use super::save::Committed;
use crate::ledger::{Activity, IdMap, Part, UserId, WorkingSet};

/// Users who are remembered, before all of them are forgotten and read again: 45 MiB at most.
const ACTIVE_USERS: usize = 20_000;

/// Of which nothing is known.
const UNKNOWN: i64 = -1;

/// Payments that were made, or that were got: each is asked for by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Paid,
    Got,
}

/// The last payments of users.
#[derive(Debug, Default)]
pub(super) struct Pasts {
    /// When the connection was made over which they were read.
    connection: Option<Instant>,
    of: IdMap<UserId, Known>,
    /// This lane wrote every transaction after the one of this number, …
    own_after: i64,
    /// … up to this one.
    own_to: i64,
}

#[derive(Debug)]
struct Known {
    activity: Activity,
    /// Up to the transaction of this number every payment is in it, that the user made …
    paid_to: i64,
    /// … or got.
    got_to: i64,
}

impl Default for Known {
    fn default() -> Self {
        Self { activity: Activity::default(), paid_to: UNKNOWN, got_to: UNKNOWN }
    }
}

impl Known {
    fn to(&mut self, way: Way) -> &mut i64 {
        match way {
            Way::Paid => &mut self.paid_to,
            Way::Got => &mut self.got_to,
        }
    }

    fn reaches(&mut self, way: Way, no: i64) {
        let to = self.to(way);
        *to = no.max(*to);
    }
}

impl Pasts {
    /// Forgets what was read over another connection.
    pub(super) fn over(&mut self, connection: Instant) {
        if self.connection != Some(connection) {
            *self = Self { connection: Some(connection), ..Self::default() };
        }
    }

    /// After which transactions there may be payments of each user that are not known.
    pub(super) fn known_to(&mut self, users: &[UserId], way: Way) -> Vec<i64> {
        let known_to = |user| {
            let to = self.of.get_mut(user).map_or(UNKNOWN, |known| *known.to(way));
            if to >= self.own_after { to.max(self.own_to) } else { to }
        };
        users.iter().map(known_to).collect()
    }

    /// Takes in what was found about those users after what was known, and gives all that is known to the batch. The
    /// journal had reached `end` before it was looked for.
    pub(super) fn take(
        &mut self,
        asked: [(&[UserId], Way); 2],
        found: &[Row],
        end: i64,
        set: &mut WorkingSet,
    ) -> Result<(), Fault> {
        let found = found.iter().map(rows::past).collect::<Result<Vec<_>, _>>()?;
        if end != self.own_to {
            (self.own_after, self.own_to) = (end, end);
        }
        for (users, way) in asked {
            for user in users {
                self.of.entry(*user).or_default().reaches(way, end);
            }
        }
        for (user, no, past) in found {
            let known = self.of.entry(user).or_default();
            known.activity.push(past);
            known.reaches(if past.part == Part::Got { Way::Got } else { Way::Paid }, no);
        }
        for user in asked.iter().flat_map(|(users, _)| *users) {
            set.activity.extend(self.of.get(user).map(|known| (*user, known.activity.clone())));
        }
        if self.of.len() >= ACTIVE_USERS {
            self.of.clear();
        }
        Ok(())
    }

    /// Takes in what the lane committed.
    pub(super) fn wrote(&mut self, committed: &Committed, set: &WorkingSet) {
        let transactions = &set.changes.transactions;
        let count = i64::try_from(transactions.len()).unwrap_or(i64::MAX);
        let before = committed.last_transaction.saturating_sub(count);
        if committed.at != set.now {
            // The rows got another time than these have: they are to be read.
            self.own_after = committed.last_transaction;
        } else if before != self.own_to {
            self.own_after = before;
        }
        self.own_to = committed.last_transaction;
        for transaction in transactions {
            for (side, way) in [(transaction.from.id, Way::Paid), (transaction.to.id, Way::Got)] {
                let Some(known) = self.of.get_mut(&side) else { continue };
                if *known.to(way) >= self.own_after {
                    known.activity.take(side, transaction);
                    *known.to(way) = committed.last_transaction;
                }
            }
        }
    }
}
