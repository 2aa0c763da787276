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
    generations: VecDeque<(Timestamp, HashMap<u64, i64>)>,
}

impl Recents {
    pub(super) fn new(window_ms: i64) -> Self {
        Self { hasher: RandomState::new(), window_ms, generations: VecDeque::new() }
    }

    /// The number of the newest payment that may have this shape.
    pub(super) fn candidate(&self, shape: &PaymentShape) -> Option<i64> {
        let hash = self.hasher.hash_one(shape);
        self.generations.iter().rev().find_map(|(_, numbers)| numbers.get(&hash).copied())
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
        match self.generations.back_mut().filter(|(began, _)| at < began.plus_millis(span_ms)) {
            Some((_, numbers)) => {
                numbers.insert(hash, no);
            }
            None => self.generations.push_back((at, HashMap::from([(hash, no)]))),
        }
    }
}
