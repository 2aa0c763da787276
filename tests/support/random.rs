//! Seeded random numbers (SplitMix64): enough for choosing what to do next, and the same run again from the same seed.

use std::hash::{BuildHasher, RandomState};

/// A sequence of random numbers that its seed decides.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The seed of this run: `FARTHING_SEED` if set, or else a fresh one. Printed, so that a failure can be repeated.
    pub fn seed_of_this_run() -> u64 {
        let seed = std::env::var("FARTHING_SEED").ok().map_or_else(
            || RandomState::new().hash_one(0u8),
            |text| text.parse().expect("FARTHING_SEED is a number"),
        );
        println!("seed: repeat this run with FARTHING_SEED={seed}");
        seed
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// An index into something of that length.
    pub fn below(&mut self, length: usize) -> usize {
        usize::try_from(self.between(0, u64::try_from(length - 1).unwrap())).unwrap()
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.between(1, n) == 1
    }
}
