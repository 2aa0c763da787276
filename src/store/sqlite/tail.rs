//! The tail: what the journal and the records hold and the folded tables do not yet, kept in memory for readers and rebuilt
//! at start.
//!
//! Two generations: the active one takes what commits now; the other, while a fold runs, is the one being folded and
//! does not change. A reader takes what it needs of the tail first and opens its snapshot second. Then everything up to
//! the snapshot's watermark comes from the table and the rest from the tail: no gap, no double.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::ledger::{AccountKey, IdMap, RecordKind, Transaction, UserId};
use crate::store::Order;

/// A transaction that a user sees: its number, and what the user's wallet held after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TailMovement {
    pub(super) no: i64,
    pub(super) balance_after: Option<i64>,
}

/// What an account held after the transaction of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TailBalance {
    pub(super) no: i64,
    pub(super) balance: i64,
}

/// What one user's rows in the tail are.
#[derive(Debug, Default, Clone)]
pub(super) struct UserTail {
    /// In the order of their numbers.
    pub(super) movements: Vec<TailMovement>,
    /// One per account.
    pub(super) balances: Vec<(AccountKey, TailBalance)>,
    /// The numbers of the user's records, in their order, of each kind that is listed by owner.
    pub(super) records: Vec<(RecordKind, Vec<i64>)>,
}

/// The rows of a span of the journal, by user.
#[derive(Debug, Default)]
pub(super) struct Generation {
    pub(super) users: IdMap<UserId, UserTail>,
    pub(super) transactions: u64,
    pub(super) records: u64,
}

/// A new record that is listed by owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TailRecord {
    pub(super) no: i64,
    pub(super) kind: RecordKind,
    pub(super) owner: UserId,
}

impl Generation {
    /// Takes the transaction with that number, which is above all that it has.
    pub(super) fn add(&mut self, no: i64, transaction: &Transaction) {
        self.transactions = self.transactions.saturating_add(1);
        for user in transaction.seen_by() {
            let balance_after = transaction.balance_after(user);
            self.users.entry(user).or_default().movements.push(TailMovement { no, balance_after });
        }
        for entry in &transaction.entries {
            let balances = &mut self.users.entry(entry.account.owner).or_default().balances;
            let balance = TailBalance { no, balance: entry.balance_after_minor };
            match balances.iter_mut().find(|(account, _)| *account == entry.account) {
                Some((_, known)) => *known = balance,
                None => balances.push((entry.account, balance)),
            }
        }
    }

    /// Takes a record whose number is above all that it has.
    pub(super) fn add_record(&mut self, record: TailRecord) {
        self.records = self.records.saturating_add(1);
        let lists = &mut self.users.entry(record.owner).or_default().records;
        match lists.iter_mut().find(|(kind, _)| *kind == record.kind) {
            Some((_, numbers)) => numbers.push(record.no),
            None => lists.push((record.kind, vec![record.no])),
        }
    }
}

#[derive(Debug, Default)]
struct Generations {
    active: Generation,
    folding: Option<Arc<Generation>>,
}

/// The tail, shared by the writer and the readers.
#[derive(Debug, Default)]
pub(super) struct Tail {
    generations: RwLock<Generations>,
}

impl Tail {
    /// Takes transactions that are durable, with their numbers, and new records. Whoever sees the ones sees the others.
    pub(super) fn extend<'a>(
        &self,
        transactions: impl Iterator<Item = (i64, &'a Transaction)>,
        records: impl Iterator<Item = TailRecord>,
    ) {
        let mut generations = self.write();
        for record in records {
            generations.active.add_record(record);
        }
        for (no, transaction) in transactions {
            generations.active.add(no, transaction);
        }
    }

    /// Starts again with what the journal was read to hold.
    pub(super) fn replace(&self, active: Generation) {
        *self.write() = Generations { active, folding: None };
    }

    /// Closes the active generation and hands it out to be folded.
    pub(super) fn begin_fold(&self) -> Arc<Generation> {
        let mut generations = self.write();
        let closed = Arc::new(std::mem::take(&mut generations.active));
        generations.folding = Some(Arc::clone(&closed));
        closed
    }

    /// Forgets the generation that is folded by now.
    pub(super) fn end_fold(&self) {
        // The old generation is dropped after the lock is.
        let folded = self.write().folding.take();
        drop(folded);
    }

    /// How many transactions are not yet folded.
    pub(super) fn len(&self) -> u64 {
        let generations = self.read();
        let folding = generations.folding.as_ref().map_or(0, |folding| folding.transactions);
        folding.saturating_add(generations.active.transactions)
    }

    /// How many transactions and records the active generation has.
    pub(super) fn active_len(&self) -> u64 {
        let generations = self.read();
        generations.active.transactions.saturating_add(generations.active.records)
    }

    /// The user's newest movements below a number, newest first, and whether there are no more.
    pub(super) fn newest(&self, user: UserId, before: i64, limit: usize) -> (Vec<TailMovement>, bool) {
        let generations = self.read();
        let of_user = |generation: &Generation| -> Vec<TailMovement> {
            let Some(tail) = generation.users.get(&user) else { return Vec::new() };
            let end = tail.movements.partition_point(|movement| movement.no < before);
            tail.movements.iter().take(end).rev().take(limit.saturating_add(1)).copied().collect()
        };
        let mut movements = of_user(&generations.active);
        if movements.len() <= limit
            && let Some(folding) = &generations.folding
        {
            movements.extend(of_user(folding));
        }
        let is_all = movements.len() <= limit;
        movements.truncate(limit);
        (movements, is_all)
    }

    /// The user's movements between two numbers, oldest first: after the one, up to the other.
    pub(super) fn between(&self, user: UserId, after: i64, to: i64) -> Vec<TailMovement> {
        let generations = self.read();
        let tails = generations.folding.as_deref().into_iter().chain([&generations.active]);
        let movements = tails.filter_map(|generation| generation.users.get(&user)).flat_map(|tail| {
            let start = tail.movements.partition_point(|movement| movement.no <= after);
            tail.movements.iter().skip(start).take_while(|movement| movement.no <= to)
        });
        movements.copied().collect()
    }

    /// The newest balances of the user's accounts, as far as the tail knows them.
    pub(super) fn balances(&self, user: UserId) -> Vec<(AccountKey, TailBalance)> {
        let generations = self.read();
        let mut balances = Vec::new();
        let folding = generations.folding.as_ref().and_then(|folding| folding.users.get(&user));
        for tail in folding.into_iter().chain(generations.active.users.get(&user)) {
            for (account, balance) in &tail.balances {
                match balances.iter_mut().find(|(known, _)| known == account) {
                    Some((_, older)) => *older = *balance,
                    None => balances.push((*account, *balance)),
                }
            }
        }
        balances
    }

    /// The numbers of the owner's records of a kind that come next after one in that order, as far as the tail knows them.
    pub(super) fn records(
        &self,
        (kind, owner): (RecordKind, UserId),
        order: Order,
        from: i64,
        limit: usize,
    ) -> Vec<i64> {
        let generations = self.read();
        let of_owner = |generation: &Generation| -> Vec<i64> {
            let lists = generation.users.get(&owner).map(|tail| &tail.records);
            let Some((_, numbers)) = lists.and_then(|lists| lists.iter().find(|(of, _)| *of == kind)) else {
                return Vec::new();
            };
            match order {
                Order::NewestFirst => {
                    let end = numbers.partition_point(|no| *no < from);
                    numbers.iter().take(end).rev().take(limit).copied().collect()
                }
                Order::OldestFirst => {
                    let start = numbers.partition_point(|no| *no <= from);
                    numbers.iter().skip(start).take(limit).copied().collect()
                }
            }
        };
        let folding = generations.folding.as_deref();
        let (first, second) = match order {
            Order::NewestFirst => (Some(&generations.active), folding),
            Order::OldestFirst => (folding, Some(&generations.active)),
        };
        let mut numbers: Vec<i64> = first.into_iter().chain(second).flat_map(of_owner).collect();
        numbers.truncate(limit);
        numbers
    }

    fn read(&self) -> RwLockReadGuard<'_, Generations> {
        self.generations.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Generations> {
        self.generations.write().unwrap_or_else(PoisonError::into_inner)
    }
}
