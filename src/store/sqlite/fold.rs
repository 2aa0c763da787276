//! Folding: what the hot path appended in the order of time is brought into the orders that readers and keys need.
//!
//! A fold takes everything up to a transaction and a record, in the sorted bulk that makes it cheap: balances by account,
//! movements by user, records by owner, keys as a new sorted run. It goes in slices of a few milliseconds, each its own
//! transaction, between the batches; rows above the watermarks are ignored by readers, and the last slice moves the
//! watermarks together with the keys. A fold that was cut short is done again from its beginning: every slice writes the same
//! rows again. Security events are listed by user whenever there is a slice of them, with a watermark of their own.

use std::sync::Arc;

use rusqlite::params;

use super::engine::{Engine, key_fault};
use super::fault::Fault;
use super::tail::Generation;
use super::{properties, statements};
use crate::ledger::UserId;

/// When a fold begins and how much of it is done at a time.
#[derive(Debug, Clone, Copy)]
pub struct FoldPace {
    /// Unfolded transactions and records that begin a fold while payments go on. Each costs about 100 bytes of memory.
    pub begin_at: u64,
    /// Rows that one slice writes.
    pub slice_rows: usize,
}

impl Default for FoldPace {
    fn default() -> Self {
        Self { begin_at: 131_072, slice_rows: 2_048 }
    }
}

/// Blocks of keys that one slice merges.
const SLICE_BLOCKS: usize = 256;

/// A fold under way.
pub(super) struct Fold {
    to: i64,
    /// Likewise the last record.
    listed_to: i64,
    generation: Arc<Generation>,
    /// Users that are still to be folded, the next one last.
    waiting: Vec<UserId>,
}

impl Engine {
    /// Whether there is folding or merging to do now; while nothing else is, any tail is worth it.
    pub(super) fn wants_to_fold(&self, is_idle: bool) -> bool {
        self.fold.is_some()
            || self.wants_to_begin(is_idle)
            || self.key_index.wants_merge()
            || self.wants_to_list_events(is_idle)
    }

    fn wants_to_begin(&self, is_idle: bool) -> bool {
        let waiting = self.shared.tail.active_len();
        waiting >= self.pace.begin_at || (is_idle && waiting > 0)
    }

    /// Does one slice: a few milliseconds of work, durable when it returns.
    pub(super) fn fold_slice(&mut self, is_idle: bool) -> Result<(), Fault> {
        if self.fold.is_none() && self.wants_to_begin(is_idle) {
            self.begin_fold();
        }
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut finished = None;
        let mut events_listed_to = self.events_listed_to;
        if let Some(fold) = self.fold.take() {
            finished = self.continue_fold(fold)?;
        } else if self.wants_to_list_events(is_idle) {
            events_listed_to = self.list_events()?;
        } else {
            self.key_index.merge_step(&self.connection, SLICE_BLOCKS).map_err(key_fault)?;
        }
        self.connection.execute_batch("COMMIT").map_err(Fault::Commit)?;
        self.events_listed_to = events_listed_to;
        if let Some(fold) = finished {
            self.folded_to = fold.to;
            self.gone.retain(|no| *no > fold.listed_to);
            self.folding_keys = super::engine::KeyHashes::new();
            self.shared.tail.end_fold();
            self.publish();
        }
        Ok(())
    }

    fn begin_fold(&mut self) {
        let generation = self.shared.tail.begin_fold();
        self.folding_keys = std::mem::take(&mut self.active_keys);
        let mut waiting: Vec<UserId> = generation.users.keys().copied().collect();
        // In the tables' order, so that neighbours share pages; taken from the end.
        waiting.sort_unstable_by(|one, other| other.cmp(one));
        let (to, listed_to) = (self.head.transaction, self.last_record);
        self.fold = Some(Fold { to, listed_to, generation, waiting });
    }

    /// Writes the next rows; when all are written, the keys and the watermarks too, and gives the fold back.
    fn continue_fold(&mut self, mut fold: Fold) -> Result<Option<Fold>, Fault> {
        let mut written = 0_usize;
        while written < self.pace.slice_rows
            && let Some(user) = fold.waiting.pop()
        {
            written = written.saturating_add(self.fold_user(&fold, user)?);
        }
        if !fold.waiting.is_empty() {
            self.fold = Some(fold);
            return Ok(None);
        }
        self.fold_keys()?;
        properties::set_number(&self.connection, properties::FOLDED_TO, fold.to)?;
        properties::set_number(&self.connection, properties::LISTED_TO, fold.listed_to)?;
        Ok(Some(fold))
    }

    fn wants_to_list_events(&self, is_idle: bool) -> bool {
        let unlisted = self.head.event.saturating_sub(self.events_listed_to);
        unlisted > 0 && (is_idle || unlisted >= self.slice_events())
    }

    fn slice_events(&self) -> i64 {
        i64::try_from(self.pace.slice_rows).unwrap_or(i64::MAX)
    }

    /// Lists the next security events by user, and says up to which.
    fn list_events(&self) -> Result<i64, Fault> {
        let to = self.events_listed_to.saturating_add(self.slice_events()).min(self.head.event);
        self.connection.prepare_cached(statements::LIST_EVENTS)?.execute([self.events_listed_to, to])?;
        properties::set_number(&self.connection, properties::EVENTS_LISTED_TO, to)?;
        Ok(to)
    }

    fn fold_user(&self, fold: &Fold, user: UserId) -> Result<usize, Fault> {
        let Some(tail) = fold.generation.users.get(&user) else { return Ok(0) };
        let mut add_movement = self.connection.prepare_cached(statements::ADD_MOVEMENT)?;
        for movement in &tail.movements {
            add_movement.execute(params![user.uuid(), movement.no, movement.balance_after])?;
        }
        let mut fold_account = self.connection.prepare_cached(statements::FOLD_ACCOUNT)?;
        for (account, newest) in &tail.balances {
            let known = self.accounts.get(account);
            let no = known
                .ok_or_else(|| Fault::Damaged(format!("an unfolded account of {user} is not known")))?
                .no;
            fold_account.execute(params![no, newest.balance, fold.to])?;
        }
        let mut list_record = self.connection.prepare_cached(statements::LIST_RECORD)?;
        let mut listed = 0_usize;
        for (kind, numbers) in &tail.records {
            for no in numbers.iter().filter(|no| !self.gone.contains(no)) {
                list_record.execute(params![user.uuid(), kind.name(), no])?;
                listed = listed.saturating_add(1);
            }
        }
        Ok(tail.movements.len().saturating_add(tail.balances.len()).saturating_add(listed))
    }

    fn fold_keys(&mut self) -> Result<(), Fault> {
        let pairs =
            self.folding_keys.iter().flat_map(|(hash, numbers)| numbers.iter().map(move |no| (*hash, *no)));
        let mut run: Vec<(u64, u64)> =
            pairs.filter_map(|(hash, no)| Some((hash, u64::try_from(no).ok()?))).collect();
        if run.is_empty() {
            return Ok(());
        }
        run.sort_unstable();
        self.key_index.add_run(&self.connection, &run).map_err(key_fault)
    }
}
