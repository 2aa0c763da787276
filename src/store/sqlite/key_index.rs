//! The index of idempotency keys on disk: from a uniform 64-bit hash to the transactions that were made under it.
//!
//! Keys are kept for good and arrive in random order; a B-tree by hash would dirty a page for each. So the index is
//! a set of immutable **runs**, each sorted by hash and cut into blocks of one database page. A fold adds a run at
//! level 0; [`FAN_OUT`] runs of one level are merged into one of the next, in slices that fit between batches.
//! Each run has a filter and the first hash of each of its blocks (its fences) in memory, so that a new key,
//! the usual case, is told from the known ones mostly without a read.
//!
//! What bounds it, for `n` keys that arrived in runs of `r`:
//!
//! - Memory: 12.3 bits a key (12 filter, 0.25 fences), and as much again for the runs of a merge under way.
//! - Write amplification: each pair (16 bytes, 17.6 with its part of filter and fences) is written once per level,
//!   `1 + log₈(n / r)` times at most, in whole pages. 5 million keys in runs of 100,000: twice, which with the
//!   write-ahead log and its checkpoint comes to 73 bytes a key.
//! - Disk: 17.6 bytes a key, and as much again for the keys of the merges under way.
//! - Runs: fewer than 8 per level when merging keeps up, and 8 more where a merge is under way. A new key asks the
//!   filter of each (a cache miss) and reads a block for 0.5 % of them: about 0.1 reads with 20 runs. A known key costs
//!   one read more.
//!
//! The index does not know the journal: a hash is 64 bits, so the caller compares the whole key with the row of each
//! candidate. It keeps each pair it is given, also equal ones.
//!
//! All is written inside the caller's transaction, by one writer. Memory runs ahead of the commit: after an error or
//! a rollback the value must be dropped and [`KeyIndex::open`] called again. What a merge has built until then is
//! not `live`, so it counts for nothing and is removed by later slices.
//!
//! What must not change without a migration: the two tables, the layout of a block, [`BLOCK_PAIRS`], and the filter.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::filter::Filter;

mod merge;
#[cfg(test)]
mod tests;

/// The tables of the index.
///
/// A run of `entries` pairs has `ceil(entries / 253)` blocks of pairs and after them the blocks of its summary:
/// fences, then filter, as big-endian 64-bit words. Block `b` of run `r` has the id `r · 2²⁸ + b`. A run that is not
/// live is being built or being removed; after a start it can only be the latter.
pub const SCHEMA: &str = "
CREATE TABLE key_runs (
    run INTEGER PRIMARY KEY,
    level INTEGER NOT NULL CHECK (level >= 0),
    entries INTEGER NOT NULL CHECK (entries > 0),
    live INTEGER NOT NULL CHECK (live IN (0, 1))
) STRICT;
CREATE TABLE key_blocks (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;
";

/// Runs of one level that are merged into one of the next.
pub const FAN_OUT: usize = 8;

/// Pairs in a full block: 253 × 16 bytes with SQLite's own 25 bytes are the most that a page of 4096 holds without
/// an overflow page.
pub const BLOCK_PAIRS: usize = 253;

const PAIR_BYTES: usize = 16;
const BLOCK_WORDS: usize = BLOCK_PAIRS * PAIR_BYTES / 8;
const BLOCK_NUMBER_BITS: u32 = 28;

/// A hash and the number of a transaction (its row in the journal) made under it.
pub type Pair = (u64, u64);

/// Why the index could not answer. After any of these while writing, the index in memory must be dropped.
#[derive(Debug, thiserror::Error)]
pub enum KeyIndexError {
    /// SQLite failed.
    #[error("index of idempotency keys: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A row does not hold what the index wrote there.
    #[error("table {table}, row {row}: {what}")]
    Corrupt {
        /// The damaged table.
        table: &'static str,
        /// Its row.
        row: i64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The caller's pairs are not in order: a fault in Farthing.
    #[error("pairs for the index of idempotency keys are not sorted")]
    Unsorted,
    /// A run has 2²⁸ blocks (68 thousand million keys), or 2³⁵ runs were made.
    #[error("the index of idempotency keys is full")]
    Full,
}

type Result<T> = std::result::Result<T, KeyIndexError>;

/// Whether a slice of merge work left more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeProgress {
    /// Nothing is left until more runs are added.
    Idle,
    /// Another slice is wanted.
    More,
}

/// The index: filters and fences of all live runs, and the merges under way.
#[derive(Debug)]
pub struct KeyIndex {
    live: Vec<Run>,
    merges: Vec<merge::Merge>,
    dead: Vec<merge::Removal>,
    next_run: i64,
}

impl KeyIndex {
    /// Loads the filters and fences of the live runs. Reads one page for 2,600 keys, and writes nothing.
    ///
    /// # Errors
    /// If SQLite fails, or a run's row or summary is damaged.
    pub fn open(connection: &Connection) -> Result<Self> {
        let mut index = Self { live: Vec::new(), merges: Vec::new(), dead: Vec::new(), next_run: 1 };
        let mut statement =
            connection.prepare("SELECT run, level, entries, live FROM key_runs ORDER BY run")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (run, level, entries, live) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let shape = Shape::parse(run, level, entries)?;
            index.next_run = run.saturating_add(1);
            if live {
                index.live.push(Run::load(connection, shape)?);
            } else {
                index.dead.push(merge::Removal::new(shape));
            }
        }
        Ok(index)
    }

    /// Appends to `out` the number of each transaction stored under `hash`, in no particular order.
    ///
    /// # Errors
    /// If SQLite fails, or a block that must be read is damaged.
    pub fn candidates(&self, connection: &Connection, hash: u64, out: &mut Vec<u64>) -> Result<()> {
        for run in &self.live {
            if run.filter.may_hold(hash) {
                run.find(connection, hash, out)?;
            }
        }
        Ok(())
    }

    /// Stores `sorted` as a new run; nothing if it is empty. Writes one page for 230 pairs.
    ///
    /// # Errors
    /// If the pairs are not sorted, SQLite fails, or the index is full.
    pub fn add_run(&mut self, connection: &Connection, sorted: &[Pair]) -> Result<()> {
        if !sorted.is_sorted() {
            return Err(KeyIndexError::Unsorted);
        }
        if sorted.is_empty() {
            return Ok(());
        }
        let shape = self.next_shape(0, sorted.len())?;
        let mut builder = Builder::start(connection, shape)?;
        for pairs in sorted.chunks(BLOCK_PAIRS) {
            builder.write_block(connection, pairs)?;
        }
        while builder.write_summary_block(connection)? {}
        self.live.push(builder.make_live(connection)?);
        Ok(())
    }

    /// Calls `visit` with each pair of the live runs, run by run in the order of the hashes, and checks on the way
    /// all that lookups rely on: order, fences, and that the filter knows each hash.
    ///
    /// # Errors
    /// What `visit` returns; or if SQLite fails or a block is damaged.
    pub fn for_each<E: From<KeyIndexError>>(
        &self,
        connection: &Connection,
        mut visit: impl FnMut(u64, u64) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut pairs = Vec::with_capacity(BLOCK_PAIRS);
        for run in &self.live {
            for block in 0..run.shape.blocks() {
                run.read_block(connection, block, &mut pairs)?;
                for (hash, transaction) in pairs.iter().copied() {
                    if !run.filter.may_hold(hash) {
                        return Err(run
                            .shape
                            .corrupt(block, "its run's filter denies a hash that it holds")
                            .into());
                    }
                    visit(hash, transaction)?;
                }
            }
        }
        Ok(())
    }

    fn next_shape(&mut self, level: i64, entries: usize) -> Result<Shape> {
        let shape = Shape { run: self.next_run, level, entries };
        self.next_run = self.next_run.saturating_add(1);
        if shape.fits() { Ok(shape) } else { Err(KeyIndexError::Full) }
    }
}

/// What `key_runs` says of a run; where its blocks are follows from it.
#[derive(Debug, Clone, Copy)]
struct Shape {
    run: i64,
    level: i64,
    entries: usize,
}

impl Shape {
    fn parse(run: i64, level: i64, entries: i64) -> Result<Self> {
        let damaged = |what| KeyIndexError::Corrupt { table: "key_runs", row: run, what };
        let entries = usize::try_from(entries).map_err(|_| damaged("a negative number of entries"))?;
        let shape = Self { run, level, entries };
        if entries > 0 && level >= 0 && shape.fits() {
            Ok(shape)
        } else {
            Err(damaged("a number out of range"))
        }
    }

    /// Whether each of its blocks has an id of its own.
    fn fits(&self) -> bool {
        (1..i64::MAX >> BLOCK_NUMBER_BITS).contains(&self.run) && self.all_blocks() <= 1 << BLOCK_NUMBER_BITS
    }

    /// Blocks of pairs, which are also the fences.
    fn blocks(&self) -> usize {
        self.entries.div_ceil(BLOCK_PAIRS)
    }

    fn summary_words(&self) -> usize {
        self.blocks().saturating_add(Filter::words_for(self.entries))
    }

    fn all_blocks(&self) -> usize {
        self.blocks().saturating_add(self.summary_words().div_ceil(BLOCK_WORDS))
    }

    /// How many pairs a block holds: all are full but the last.
    fn pairs_in(&self, block: usize) -> usize {
        self.entries.saturating_sub(block.saturating_mul(BLOCK_PAIRS)).min(BLOCK_PAIRS)
    }

    /// The row of a block in `key_blocks`; [`Shape::fits`] has made sure that the number does not overflow.
    fn block_id(&self, block: usize) -> i64 {
        (self.run << BLOCK_NUMBER_BITS).saturating_add(i64::try_from(block).unwrap_or(i64::MAX))
    }

    fn corrupt(&self, block: usize, what: &'static str) -> KeyIndexError {
        KeyIndexError::Corrupt { table: "key_blocks", row: self.block_id(block), what }
    }
}

/// A live run.
#[derive(Debug)]
struct Run {
    shape: Shape,
    /// The first hash of each block.
    fences: Vec<u64>,
    filter: Filter,
    /// Whether a merge under way reads it; it answers lookups until that is done.
    merging: bool,
}

impl Run {
    fn load(connection: &Connection, shape: Shape) -> Result<Self> {
        let mut statement = connection
            .prepare_cached("SELECT data FROM key_blocks WHERE id >= ?1 AND id < ?2 ORDER BY id")?;
        let first = shape.blocks();
        let mut rows = statement.query([shape.block_id(first), shape.block_id(shape.all_blocks())])?;
        // Grown as the rows come, not reserved: a damaged count must not ask for all memory.
        let mut words = Vec::new();
        while let Some(row) = rows.next()? {
            let (whole, rest) = blob(row.get_ref(0)?).as_chunks::<8>();
            if !rest.is_empty() {
                return Err(shape.corrupt(first, "the summary is not made of whole words"));
            }
            words.extend(whole.iter().map(|bytes| u64::from_be_bytes(*bytes)));
        }
        if words.len() != shape.summary_words() {
            return Err(shape.corrupt(first, "the summary that starts here has a wrong length"));
        }
        let (fences, filter) = words.split_at(shape.blocks());
        if !fences.is_sorted() {
            return Err(shape.corrupt(first, "the fences are not in order"));
        }
        Ok(Self { shape, fences: fences.to_vec(), filter: Filter::from_words(filter), merging: false })
    }

    /// Appends the transactions under `hash`. Equal hashes may go over several blocks, and begin in the one whose
    /// fence is still lower.
    fn find(&self, connection: &Connection, hash: u64, out: &mut Vec<u64>) -> Result<()> {
        let first = self.fences.partition_point(|fence| *fence < hash).saturating_sub(1);
        let mut pairs = Vec::with_capacity(BLOCK_PAIRS);
        for (block, fence) in self.fences.iter().enumerate().skip(first) {
            if *fence > hash {
                break;
            }
            self.read_block(connection, block, &mut pairs)?;
            let start = pairs.partition_point(|pair| pair.0 < hash);
            let equal = pairs.iter().skip(start).take_while(|pair| pair.0 == hash);
            out.extend(equal.map(|pair| pair.1));
        }
        Ok(())
    }

    /// Replaces `pairs` by those of a block, after checking that they can be those that were written.
    fn read_block(&self, connection: &Connection, block: usize, pairs: &mut Vec<Pair>) -> Result<()> {
        pairs.clear();
        let mut statement = connection.prepare_cached("SELECT data FROM key_blocks WHERE id = ?1")?;
        let mut rows = statement.query([self.shape.block_id(block)])?;
        let Some(row) = rows.next()? else {
            return Err(self.shape.corrupt(block, "the block is missing"));
        };
        let (words, rest) = blob(row.get_ref(0)?).as_chunks::<8>();
        let (couples, odd) = words.as_chunks::<2>();
        pairs.extend(
            couples
                .iter()
                .map(|[hash, transaction]| (u64::from_be_bytes(*hash), u64::from_be_bytes(*transaction))),
        );
        if !rest.is_empty() || !odd.is_empty() || pairs.len() != self.shape.pairs_in(block) {
            return Err(self.shape.corrupt(block, "the block has a wrong length"));
        }
        if !pairs.is_sorted() {
            return Err(self.shape.corrupt(block, "the pairs are not in order"));
        }
        let begins_right = pairs.first().map(|pair| pair.0) == self.fences.get(block).copied();
        let next_fence = self.fences.get(block.saturating_add(1)).copied().unwrap_or(u64::MAX);
        let ends_right = pairs.last().is_some_and(|pair| pair.0 <= next_fence);
        if begins_right && ends_right {
            Ok(())
        } else {
            Err(self.shape.corrupt(block, "the block is not between its fences"))
        }
    }
}

/// A run being written, block by block in the order of the hashes, then its summary.
#[derive(Debug)]
struct Builder {
    shape: Shape,
    fences: Vec<u64>,
    filter: Filter,
    written_blocks: usize,
}

impl Builder {
    /// Announces the run, so that its blocks are found and removed if it is never finished.
    fn start(connection: &Connection, shape: Shape) -> Result<Self> {
        connection
            .prepare_cached("INSERT INTO key_runs (run, level, entries, live) VALUES (?1, ?2, ?3, 0)")?
            .execute(params![shape.run, shape.level, i64::try_from(shape.entries).unwrap_or(i64::MAX)])?;
        let fences = Vec::with_capacity(shape.blocks());
        Ok(Self { shape, fences, filter: Filter::new(shape.entries), written_blocks: 0 })
    }

    fn write_block(&mut self, connection: &Connection, pairs: &[Pair]) -> Result<()> {
        debug_assert_eq!(
            pairs.len(),
            self.shape.pairs_in(self.written_blocks),
            "all blocks are full but the last"
        );
        self.fences.extend(pairs.first().map(|pair| pair.0));
        for (hash, _) in pairs {
            self.filter.insert(*hash);
        }
        self.write(connection, pairs.iter().flat_map(|pair| [pair.0, pair.1]))
    }

    /// Writes one more block of the summary; false if there is none left.
    fn write_summary_block(&mut self, connection: &Connection) -> Result<bool> {
        if self.written_blocks == self.shape.all_blocks() {
            return Ok(false);
        }
        let from = self.written_blocks.saturating_sub(self.shape.blocks()).saturating_mul(BLOCK_WORDS);
        let fences: Vec<u64> = self.fences.iter().copied().skip(from).take(BLOCK_WORDS).collect();
        let filter_from = from.saturating_sub(self.fences.len());
        let filter: Vec<u64> = self.filter.words(filter_from).take(BLOCK_WORDS - fences.len()).collect();
        self.write(connection, fences.into_iter().chain(filter))?;
        Ok(true)
    }

    fn write(&mut self, connection: &Connection, words: impl Iterator<Item = u64>) -> Result<()> {
        let mut data = Vec::with_capacity(BLOCK_PAIRS * PAIR_BYTES);
        words.for_each(|word| data.extend_from_slice(&word.to_be_bytes()));
        connection
            .prepare_cached("INSERT INTO key_blocks (id, data) VALUES (?1, ?2)")?
            .execute(params![self.shape.block_id(self.written_blocks), data])?;
        self.written_blocks = self.written_blocks.saturating_add(1);
        Ok(())
    }

    fn make_live(self, connection: &Connection) -> Result<Run> {
        set_live(connection, self.shape, true)?;
        Ok(Run { shape: self.shape, fences: self.fences, filter: self.filter, merging: false })
    }
}

fn set_live(connection: &Connection, shape: Shape, live: bool) -> Result<()> {
    let changed = connection
        .prepare_cached("UPDATE key_runs SET live = ?2 WHERE run = ?1 AND live <> ?2")?
        .execute(params![shape.run, live])?;
    if changed == 1 {
        Ok(())
    } else {
        Err(KeyIndexError::Corrupt {
            table: "key_runs",
            row: shape.run,
            what: "the run is missing or was changed",
        })
    }
}

/// The bytes of a blob; of anything else none, which no check of a length lets pass.
fn blob(value: ValueRef<'_>) -> &[u8] {
    match value {
        ValueRef::Blob(bytes) => bytes,
        _ => &[],
    }
}
