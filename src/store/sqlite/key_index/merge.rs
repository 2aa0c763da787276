//! Merging of runs, and removal of those that were merged, in slices that the caller bounds in pages.
//!
//! At most one merge per level is under way; the lowest level goes first, so that a long merge of large runs does not
//! let small ones pile up. The inputs answer lookups until the last slice makes the new run live and them dead in one
//! transaction. What is dead is removed before anything else is built, so that its pages are used again.

use rusqlite::Connection;

use super::{
    BLOCK_PAIRS, Builder, FAN_OUT, KeyIndex, KeyIndexError, MergeProgress, Pair, Result, Run, Shape, set_live,
};

impl KeyIndex {
    /// Whether [`KeyIndex::merge_step`] has work to do.
    pub fn wants_merge(&self) -> bool {
        !self.dead.is_empty() || self.next_level().is_some()
    }

    /// Does merge work that writes or removes about `max_blocks` pages. For merging to keep up, a page added by
    /// [`KeyIndex::add_run`] must be followed by two for each level: one written, one removed.
    ///
    /// # Errors
    /// If SQLite fails, a block is damaged, or the index is full.
    pub fn merge_step(&mut self, connection: &Connection, max_blocks: usize) -> Result<MergeProgress> {
        let mut left = max_blocks.max(1);
        while left > 0 {
            if let Some(removal) = self.dead.last_mut() {
                if removal.step(connection, &mut left)? {
                    self.dead.pop();
                }
            } else if let Some(level) = self.next_level() {
                let at = self.merge_of(connection, level)?;
                let Some(merge) = self.merges.get_mut(at) else { break };
                if merge.step(connection, &self.live, &mut left)? {
                    let merge = self.merges.swap_remove(at);
                    self.finish(connection, merge)?;
                }
            } else {
                break;
            }
        }
        Ok(if self.wants_merge() { MergeProgress::More } else { MergeProgress::Idle })
    }

    /// The lowest level with a merge under way or with enough runs for one.
    pub(super) fn next_level(&self) -> Option<i64> {
        let under_way = self.merges.iter().map(Merge::input_level);
        let full =
            self.live.iter().map(|run| run.shape.level).filter(|level| self.waiting(*level) >= FAN_OUT);
        under_way.chain(full).min()
    }

    fn waiting(&self, level: i64) -> usize {
        self.live.iter().filter(|run| run.shape.level == level && !run.merging).count()
    }

    /// Where in `merges` the merge of a level's runs is; it is begun if there is none.
    fn merge_of(&mut self, connection: &Connection, level: i64) -> Result<usize> {
        if let Some(at) = self.merges.iter().position(|merge| merge.input_level() == level) {
            return Ok(at);
        }
        let mut inputs = Vec::with_capacity(FAN_OUT);
        for run in self.live.iter_mut().filter(|run| run.shape.level == level && !run.merging).take(FAN_OUT) {
            run.merging = true;
            inputs.push(run.shape);
        }
        let entries = inputs.iter().map(|shape| shape.entries).fold(0, usize::saturating_add);
        let shape = self.next_shape(level.saturating_add(1), entries)?;
        self.merges.push(Merge::start(connection, shape, &inputs, &self.live)?);
        Ok(self.merges.len().saturating_sub(1))
    }

    /// Puts the new run in the place of its inputs.
    fn finish(&mut self, connection: &Connection, merge: Merge) -> Result<()> {
        for input in &merge.inputs {
            set_live(connection, input.shape, false)?;
            self.live.retain(|run| run.shape.run != input.shape.run);
            self.dead.push(Removal::new(input.shape));
        }
        self.live.push(merge.builder.make_live(connection)?);
        Ok(())
    }
}

/// A merge under way.
#[derive(Debug)]
pub(super) struct Merge {
    inputs: Vec<Cursor>,
    builder: Builder,
    /// The block being filled; kept to be used again.
    block: Vec<Pair>,
}

impl Merge {
    fn start(connection: &Connection, shape: Shape, inputs: &[Shape], live: &[Run]) -> Result<Self> {
        let mut cursors = Vec::with_capacity(inputs.len());
        for input in inputs {
            cursors.push(Cursor::start(connection, *input, live)?);
        }
        let builder = Builder::start(connection, shape)?;
        Ok(Self { inputs: cursors, builder, block: Vec::with_capacity(BLOCK_PAIRS) })
    }

    fn input_level(&self) -> i64 {
        self.builder.shape.level.saturating_sub(1)
    }

    /// Writes up to `left` blocks and takes them off it; true if the run is complete.
    fn step(&mut self, connection: &Connection, live: &[Run], left: &mut usize) -> Result<bool> {
        while *left > 0 {
            *left = left.saturating_sub(1);
            if self.builder.written_blocks < self.builder.shape.blocks() {
                self.fill_block(connection, live)?;
                self.builder.write_block(connection, &self.block)?;
            } else if !self.builder.write_summary_block(connection)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn fill_block(&mut self, connection: &Connection, live: &[Run]) -> Result<()> {
        self.block.clear();
        while self.block.len() < BLOCK_PAIRS {
            // A scan over so few cursors costs less than to keep a heap.
            let lowest = self
                .inputs
                .iter_mut()
                .filter(|input| input.head().is_some())
                .min_by_key(|input| input.head());
            let Some(input) = lowest else { break };
            self.block.extend(input.head());
            input.advance(connection, live)?;
        }
        Ok(())
    }
}

/// A place in a run that is being read from start to end.
#[derive(Debug)]
struct Cursor {
    shape: Shape,
    next_block: usize,
    pairs: Vec<Pair>,
    at: usize,
}

impl Cursor {
    fn start(connection: &Connection, shape: Shape, live: &[Run]) -> Result<Self> {
        let mut cursor = Self { shape, next_block: 0, pairs: Vec::with_capacity(BLOCK_PAIRS), at: 0 };
        cursor.load(connection, live)?;
        Ok(cursor)
    }

    fn head(&self) -> Option<Pair> {
        self.pairs.get(self.at).copied()
    }

    fn advance(&mut self, connection: &Connection, live: &[Run]) -> Result<()> {
        self.at = self.at.saturating_add(1);
        if self.at < self.pairs.len() { Ok(()) } else { self.load(connection, live) }
    }

    fn load(&mut self, connection: &Connection, live: &[Run]) -> Result<()> {
        self.at = 0;
        if self.next_block == self.shape.blocks() {
            self.pairs.clear();
            return Ok(());
        }
        let run = live.iter().find(|run| run.shape.run == self.shape.run);
        let run = run.ok_or(self.shape.corrupt(self.next_block, "its run is merged, but not live"))?;
        run.read_block(connection, self.next_block, &mut self.pairs)?;
        self.next_block = self.next_block.saturating_add(1);
        Ok(())
    }
}

/// A dead run being removed.
#[derive(Debug)]
pub(super) struct Removal {
    shape: Shape,
    next_block: usize,
}

impl Removal {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, next_block: 0 }
    }

    /// Removes up to `left` blocks and takes them off it; true if the run is gone.
    fn step(&mut self, connection: &Connection, left: &mut usize) -> Result<bool> {
        let end = self.next_block.saturating_add(*left).min(self.shape.all_blocks());
        connection
            .prepare_cached("DELETE FROM key_blocks WHERE id >= ?1 AND id < ?2")?
            .execute([self.shape.block_id(self.next_block), self.shape.block_id(end)])?;
        *left = left.saturating_sub(end.saturating_sub(self.next_block));
        self.next_block = end;
        if end < self.shape.all_blocks() {
            return Ok(false);
        }
        // The row goes last: while it stands, a restart knows that there may be blocks to remove.
        let removed =
            connection.prepare_cached("DELETE FROM key_runs WHERE run = ?1")?.execute([self.shape.run])?;
        if removed == 1 {
            Ok(true)
        } else {
            Err(KeyIndexError::Corrupt { table: "key_runs", row: self.shape.run, what: "the run is missing" })
        }
    }
}
