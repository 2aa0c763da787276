//! Which payments were made within the duplicate window, by a hash of their shape. In memory alone; rebuilt at start.
//!
//! A hit is only a candidate: the row is read and compared. Generations of a quarter of the window are forgotten whole,
//! so that forgetting costs nothing; about 24 bytes per payment of the last window and a quarter.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use crate::ledger::{PaymentShape, Timestamp};

const GENERATIONS_PER_WINDOW: i64 = 4;

/// The recent payments' shapes.
#[derive(Debug)]
pub(super) struct Recents {
    hasher: RandomState,
    window_ms: i64,
    /// Oldest first; each with the time at which it began.
    generations: VecDeque<(Timestamp, Numbers)>,
}

impl Recents {
    pub(super) fn new(window_ms: i64) -> Self {
        Self { hasher: RandomState::new(), window_ms, generations: VecDeque::new() }
    }

    /// The numbers of the payments that may have this shape, newest first.
    pub(super) fn candidates(&self, shape: &PaymentShape) -> impl Iterator<Item = i64> {
        let hash = self.hasher.hash_one(shape);
        self.generations.iter().rev().flat_map(move |(_, numbers)| numbers.newest_first(hash))
    }

    /// Takes in a payment; times never run back.
    pub(super) fn add(&mut self, shape: &PaymentShape, no: i64, at: Timestamp) {
        let hash = self.hasher.hash_one(shape);
        let span_ms = self.window_ms / GENERATIONS_PER_WINDOW;
        while self
            .generations
            .front()
            .is_some_and(|(began, _)| at >= began.plus_millis(self.window_ms + span_ms))
        {
            self.generations.pop_front();
        }
        if self.generations.back().is_none_or(|(began, _)| at >= began.plus_millis(span_ms)) {
            self.generations.push_back((at, Numbers::default()));
        }
        if let Some((_, numbers)) = self.generations.back_mut() {
            numbers.add(hash, no);
        }
    }
}

/// The payments of a generation by their hash: the newest, and, of the few that have any, earlier ones.
#[derive(Debug, Default)]
struct Numbers {
    newest: HashMap<u64, i64>,
    earlier: HashMap<u64, Vec<i64>>,
}

impl Numbers {
    fn add(&mut self, hash: u64, no: i64) {
        if let Some(earlier) = self.newest.insert(hash, no) {
            self.earlier.entry(hash).or_default().push(earlier);
        }
    }

    fn newest_first(&self, hash: u64) -> impl Iterator<Item = i64> {
        let earlier = self.earlier.get(&hash).into_iter().flatten().rev();
        self.newest.get(&hash).into_iter().chain(earlier).copied()
    }
}
