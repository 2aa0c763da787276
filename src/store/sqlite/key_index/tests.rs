//! The index against a map in memory, through merges, restarts and rollbacks; and damage of each kind.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::store::sqlite::filter::tests::uniform;

type Model = BTreeMap<u64, Vec<u64>>;

/// How the hashes of a run are spread; the narrow ones repeat within a run, over blocks, and across runs.
#[derive(Debug, Clone, Copy)]
enum Spread {
    Uniform,
    /// A dozen values over the whole range.
    Dozen,
    /// The lowest and the highest hash.
    Ends,
}

impl Spread {
    fn hash(self, n: u64) -> u64 {
        match self {
            Self::Uniform => uniform(n),
            Self::Dozen => uniform(uniform(n) % 12),
            Self::Ends if uniform(n).is_multiple_of(2) => 0,
            Self::Ends => u64::MAX,
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add { size: usize, spread: Spread },
    Merge { max_blocks: usize },
    MergeAll,
    Commit,
    CommitAndReopen,
    RollBackAndReopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let spread = prop_oneof![6 => Just(Spread::Uniform), 2 => Just(Spread::Dozen), 1 => Just(Spread::Ends)];
    let size = prop_oneof![1 => Just(0_usize), 6 => 1_usize..40, 4 => 250_usize..760];
    let step = prop_oneof![
        12 => (size, spread).prop_map(|(size, spread)| Step::Add { size, spread }),
        8 => (0_usize..30).prop_map(|max_blocks| Step::Merge { max_blocks }),
        1 => Just(Step::MergeAll),
        2 => Just(Step::Commit),
        2 => Just(Step::CommitAndReopen),
        1 => Just(Step::RollBackAndReopen),
    ];
    prop::collection::vec(step, 1..120)
}

/// An index inside a transaction, and what it should hold: now, and after a rollback.
struct Trial {
    connection: Connection,
    index: KeyIndex,
    model: Model,
    committed: Model,
    /// Transaction numbers are given once, as the journal does.
    next_transaction: u64,
}

impl Trial {
    fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        connection.execute_batch("BEGIN").unwrap();
        let index = KeyIndex::open(&connection).unwrap();
        Self { connection, index, model: Model::new(), committed: Model::new(), next_transaction: 1 }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Add { size, spread } => self.add(*size, *spread),
            Step::Merge { max_blocks } => {
                let progress = self.index.merge_step(&self.connection, *max_blocks).unwrap();
                assert_eq!(progress == MergeProgress::More, self.index.wants_merge());
            }
            Step::MergeAll => self.merge_all(),
            Step::Commit => self.commit(),
            Step::CommitAndReopen => {
                self.commit();
                self.reopen();
            }
            Step::RollBackAndReopen => {
                self.connection.execute_batch("ROLLBACK; BEGIN").unwrap();
                self.model = self.committed.clone();
                self.reopen();
            }
        }
    }

    fn add(&mut self, size: usize, spread: Spread) {
        let from = self.next_transaction;
        self.next_transaction += u64::try_from(size).unwrap();
        let mut pairs: Vec<Pair> = (from..self.next_transaction).map(|n| (spread.hash(n), n)).collect();
        pairs.sort_unstable();
        self.index.add_run(&self.connection, &pairs).unwrap();
        for (hash, transaction) in pairs {
            self.model.entry(hash).or_default().push(transaction);
        }
    }

    fn merge_all(&mut self) {
        while self.index.merge_step(&self.connection, 7).unwrap() == MergeProgress::More {}
    }

    fn commit(&mut self) {
        self.connection.execute_batch("COMMIT; BEGIN").unwrap();
        self.committed = self.model.clone();
    }

    fn reopen(&mut self) {
        self.index = KeyIndex::open(&self.connection).unwrap();
    }

    fn look_up(&self, hash: u64) -> Vec<u64> {
        let mut found = Vec::new();
        self.index.candidates(&self.connection, hash, &mut found).unwrap();
        found.sort_unstable();
        found
    }

    /// Every `stride`th hash of the model, and hashes beside them, are found as the model says.
    fn check_lookups(&self, stride: usize) {
        for (hash, transactions) in self.model.iter().step_by(stride) {
            assert_eq!(&self.look_up(*hash), transactions, "hash {hash}");
            let beside = hash.wrapping_add(1);
            let expected = self.model.get(&beside).cloned().unwrap_or_default();
            assert_eq!(self.look_up(beside), expected, "hash {beside}");
        }
    }

    fn check_walk(&self) {
        let mut walked = Model::new();
        let walk = self.index.for_each(&self.connection, |hash, transaction| {
            walked.entry(hash).or_default().push(transaction);
            Ok::<(), KeyIndexError>(())
        });
        walk.unwrap();
        for transactions in walked.values_mut() {
            transactions.sort_unstable();
        }
        assert_eq!(walked, self.model);
    }

    /// With no work left, no level is full and no block is stored that no live run owns.
    fn check_tidy(&self) {
        let full = "SELECT count(*) FROM (SELECT 1 FROM key_runs GROUP BY level HAVING count(*) >= 8)";
        assert_eq!(self.count(full), 0);
        assert_eq!(self.count("SELECT count(*) FROM key_runs WHERE NOT live"), 0);
        let owned: usize = self.index.live.iter().map(|run| run.shape.all_blocks()).sum();
        assert_eq!(self.count("SELECT count(*) FROM key_blocks"), owned);
    }

    fn count(&self, query: &str) -> usize {
        count(&self.connection, query)
    }
}

fn count(connection: &Connection, query: &str) -> usize {
    let number: i64 = connection.query_row(query, [], |row| row.get(0)).unwrap();
    usize::try_from(number).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_as_a_map_does(steps in steps()) {
        let mut trial = Trial::new();
        for step in &steps {
            trial.take(step);
            trial.check_lookups(97);
        }
        trial.check_lookups(3);
        trial.check_walk();
        trial.merge_all();
        trial.check_tidy();
        trial.reopen();
        trial.check_lookups(3);
        trial.check_walk();
    }
}

#[test]
fn merges_over_three_levels_and_keeps_each_pair() {
    let mut trial = Trial::new();
    for _ in 0..FAN_OUT * FAN_OUT + 3 {
        trial.add(70, Spread::Uniform);
        trial.merge_all();
    }
    let mut levels: Vec<i64> = trial.index.live.iter().map(|run| run.shape.level).collect();
    levels.sort_unstable();
    assert_eq!(levels, [0, 0, 0, 2]);
    trial.check_tidy();
    trial.check_lookups(1);
}

#[test]
fn small_runs_are_merged_while_a_large_merge_is_under_way() {
    let mut trial = Trial::new();
    for _ in 0..FAN_OUT {
        trial.add(2_000, Spread::Uniform);
    }
    trial.merge_all();
    for _ in 1..FAN_OUT {
        (0..FAN_OUT).for_each(|_| trial.add(2_000, Spread::Uniform));
        while trial.index.next_level() == Some(0) || !trial.index.dead.is_empty() {
            trial.index.merge_step(&trial.connection, 1).unwrap();
        }
    }
    trial.index.merge_step(&trial.connection, 5).unwrap();
    assert_eq!(trial.index.merges.len(), 1);
    (0..FAN_OUT).for_each(|_| trial.add(10, Spread::Uniform));
    trial.index.merge_step(&trial.connection, 1).unwrap();
    assert_eq!(trial.index.merges.len(), 2);
    assert_eq!(trial.index.next_level(), Some(0));
    trial.check_lookups(50);
    trial.merge_all();
    trial.check_tidy();
    trial.check_walk();
}

#[test]
fn a_slice_writes_no_more_pages_than_it_was_given() {
    let mut trial = Trial::new();
    (0..FAN_OUT).for_each(|_| trial.add(1_000, Spread::Uniform));
    while trial.index.wants_merge() {
        let before = trial.count("SELECT total_changes()");
        trial.index.merge_step(&trial.connection, 5).unwrap();
        let changes = trial.count("SELECT total_changes()") - before;
        // Beside the five blocks, the rows of the runs that begin, end, or are gone.
        assert!(changes <= 5 + FAN_OUT + 2, "{changes} rows");
    }
    trial.check_tidy();
}

#[test]
fn a_full_block_fills_one_page_without_overflow() {
    let directory = tempfile::tempdir().unwrap();
    let connection = Connection::open(directory.path().join("keys.db")).unwrap();
    connection.execute_batch("PRAGMA page_size = 4096").unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    let pages = || count(&connection, "PRAGMA page_count");
    let data = vec![7_u8; BLOCK_PAIRS * PAIR_BYTES];
    // The highest ids, which take the most bytes.
    let store =
        |id: i64| connection.execute("INSERT INTO key_blocks VALUES (?1, ?2)", params![id, data]).unwrap();
    (0..50).for_each(|n| assert_eq!(store(i64::MAX - 100 + n), 1));
    let before = pages();
    (50..100).for_each(|n| assert_eq!(store(i64::MAX - 100 + n), 1));
    assert_eq!(pages() - before, 50);
}

#[test]
fn pairs_out_of_order_are_refused() {
    let mut trial = Trial::new();
    let refused = trial.index.add_run(&trial.connection, &[(2, 1), (1, 2)]);
    assert!(matches!(refused, Err(KeyIndexError::Unsorted)));
    assert_eq!(trial.count("SELECT count(*) FROM key_runs"), 0);
}

/// Damage to run 1, which has blocks 0 to 3 of pairs and 4 onwards of summary, and the row that must be named.
#[rstest]
#[case::cut_short("UPDATE key_blocks SET data = substr(data, 1, 100) WHERE id = (1 << 28) + 1", 1)]
#[case::odd_length("UPDATE key_blocks SET data = substr(data, 1, 4047) WHERE id = (1 << 28) + 1", 1)]
#[case::empty("UPDATE key_blocks SET data = x'' WHERE id = (1 << 28) + 3", 3)]
#[case::zeros("UPDATE key_blocks SET data = zeroblob(4048) WHERE id = (1 << 28) + 2", 2)]
#[case::missing("DELETE FROM key_blocks WHERE id = (1 << 28) + 2", 2)]
#[case::other_block(
    "UPDATE key_blocks SET data = (SELECT data FROM key_blocks WHERE id = (1 << 28) + 1) WHERE id = (1 << 28) + 2",
    2
)]
#[case::out_of_order(
    "UPDATE key_blocks SET data = CAST(substr(data, 1, 16) || substr(data, 33, 16) || substr(data, 17, 16) || substr(data, 49) AS BLOB)
     WHERE id = (1 << 28) + 1",
    1
)]
#[case::past_the_next_fence(
    "UPDATE key_blocks SET data = CAST(substr(data, 1, 4032) || x'ffffffffffffffff0000000000000001' AS BLOB) WHERE id = 1 << 28",
    0
)]
#[case::summary_missing("DELETE FROM key_blocks WHERE id = (1 << 28) + 4", 4)]
#[case::summary_cut_short("UPDATE key_blocks SET data = substr(data, 1, 64) WHERE id = (1 << 28) + 4", 4)]
#[case::summary_odd_length(
    "UPDATE key_blocks SET data = CAST(data || x'00' AS BLOB) WHERE id = (1 << 28) + 4",
    4
)]
#[case::fences_out_of_order(
    "UPDATE key_blocks SET data = CAST(substr(data, 1, 8) || x'ffffffffffffffff' || substr(data, 17) AS BLOB)
     WHERE id = (1 << 28) + 4",
    4
)]
#[case::filter_without_bits(
    "UPDATE key_blocks SET data = CAST(substr(data, 1, 32) || zeroblob(length(data) - 32) AS BLOB) WHERE id = (1 << 28) + 4",
    0
)]
fn a_damaged_block_is_named(#[case] damage: &str, #[case] block: i64) {
    let mut trial = Trial::new();
    trial.add(1_000, Spread::Uniform);
    assert_eq!(trial.connection.execute(damage, []).unwrap(), 1);
    let walk = |index: KeyIndex| index.for_each(&trial.connection, |_, _| Ok::<(), KeyIndexError>(()));
    let error = KeyIndex::open(&trial.connection).and_then(walk).unwrap_err();
    let named = format!("table key_blocks, row {}: ", (1_i64 << 28) + block);
    assert!(error.to_string().starts_with(&named), "{error}");
}

#[rstest]
#[case::fewer_entries("UPDATE key_runs SET entries = 253")]
#[case::too_many_entries("UPDATE key_runs SET entries = 9223372036854775807")]
#[case::other_entries("UPDATE key_runs SET entries = entries + 1")]
fn a_damaged_run_is_an_error_at_open(#[case] damage: &str) {
    let mut trial = Trial::new();
    trial.add(1_012, Spread::Uniform);
    assert_eq!(trial.connection.execute(damage, []).unwrap(), 1);
    let opened = KeyIndex::open(&trial.connection);
    assert!(matches!(opened, Err(KeyIndexError::Corrupt { .. })), "{opened:?}");
}

#[test]
fn a_lookup_that_needs_a_damaged_block_fails_rather_than_say_absent() {
    let mut trial = Trial::new();
    trial.add(1_000, Spread::Uniform);
    trial.connection.execute("DELETE FROM key_blocks WHERE id = 1 << 28", []).unwrap();
    let lowest = *trial.model.keys().next().unwrap();
    let looked_up = trial.index.candidates(&trial.connection, lowest, &mut Vec::new());
    assert!(matches!(looked_up, Err(KeyIndexError::Corrupt { row: 268_435_456, .. })), "{looked_up:?}");
}

#[test]
fn a_merge_stops_at_a_damaged_block() {
    let mut trial = Trial::new();
    (0..FAN_OUT).for_each(|_| trial.add(600, Spread::Uniform));
    trial.connection.execute("UPDATE key_blocks SET data = x'00' WHERE id = (3 << 28) + 1", []).unwrap();
    let merged = trial.index.merge_step(&trial.connection, 1_000);
    assert!(matches!(merged, Err(KeyIndexError::Corrupt { row: 805_306_369, .. })), "{merged:?}");
}
